//! The console in a real terminal, of 24 rows and 80 columns.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::{Desk, PATIENCE, program};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// Longer than the quiet that makes a key stand alone.
const QUIET: Duration = Duration::from_millis(400);

/// A terminal in which `stempel` runs.
pub struct Terminal {
    /// Everything that was written to it, in order.
    pub written: Vec<u8>,
    name: PathBuf,
    /// The console's process.
    pub child: Box<dyn Child + Send + Sync>,
    screen: vt100::Parser,
    bytes: Receiver<Vec<u8>>,
    keys: Box<dyn Write + Send>,
    /// Held open: the console ends with it.
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts `stempel` with these arguments.
    ///
    /// # Panics
    /// Where the program was not built, or the system gives no terminal.
    pub fn open(arguments: &[&str]) -> Self {
        Self::run(&program("stempel"), arguments, &[], |_| {})
    }

    /// Starts a program in a terminal whose modes this sets before.
    ///
    /// # Panics
    /// As [`Terminal::open`].
    pub fn run(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        set: impl FnOnce(&mut Termios),
    ) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("the system gives a terminal");
        let name = pair.master.tty_name().expect("the terminal has a name");
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        command.env("TERM", "xterm-256color");
        change_modes(&name, set);
        let child = pair.slave.spawn_command(command).expect("the console starts");
        let mut reader = pair.master.try_clone_reader().expect("the terminal can be read");
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = vt100::Parser::new(
            ROWS.try_into().expect("it is not zero"),
            COLUMNS.try_into().expect("it is not zero"),
            0,
        );
        let keys = pair.master.take_writer().expect("nobody has taken the keys");
        let written = Vec::new();
        Self { written, name, child, screen, bytes, keys, master: pair.master }
    }

    /// How the terminal is set.
    ///
    /// # Panics
    /// Where the system does not say it.
    pub fn modes(&self) -> Termios {
        modes_of(&self.name)
    }

    /// Sets the terminal otherwise, as another program does that has it meanwhile.
    pub fn change_modes(&self, set: impl FnOnce(&mut Termios)) {
        change_modes(&self.name, set);
    }

    /// Sends the console a signal.
    ///
    /// # Panics
    /// Where the console has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the console is there");
    }

    /// Waits until the kernel says that the console is stopped.
    ///
    /// # Panics
    /// Where it does not stop within [`PATIENCE`].
    pub fn wait_until_stopped(&self) {
        let begun = Instant::now();
        let path = format!("/proc/{}/stat", self.pid().as_raw_nonzero());
        loop {
            let stat = std::fs::read_to_string(&path).expect("the console is there");
            if stat.rsplit(')').next().is_some_and(|after| after.trim_start().starts_with('T')) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the console does not stop");
            std::thread::yield_now();
        }
    }

    fn pid(&self) -> Pid {
        let id = self.child.process_id().and_then(|id| i32::try_from(id).ok());
        id.and_then(Pid::from_raw).expect("the console has a process id")
    }

    /// Waits until the console has ended, and takes up all that it wrote.
    ///
    /// # Panics
    /// Where the system cannot wait.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        // Whoever does not read lets a program wait that writes.
        while let Ok(bytes) = self.bytes.recv_timeout(PATIENCE) {
            self.take_up(&bytes);
        }
        self.child.wait().expect("the console is a child")
    }

    /// What was drawn so far, forgotten: what is waited for must be drawn anew.
    pub fn forget_screen(&mut self) {
        self.screen.process(b"\x1b[H\x1b[2J");
    }

    /// The screen as a terminal has it.
    pub fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    fn take_up(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.screen.process(bytes);
    }

    /// Starts the console of a desk, in Dutch, with this reader.
    ///
    /// # Panics
    /// As [`Terminal::open`].
    pub fn of_desk(desk: &Desk, reader: &str) -> Self {
        let folder = desk.folder.display().to_string();
        Self::open(&["--folder", &folder, "--language", "nl", "--reader", reader])
    }

    /// Waits until the screen shows this. What it shows then.
    ///
    /// # Panics
    /// Where it does not come within [`PATIENCE`].
    pub fn wait_for(&mut self, wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let shown = self.screen.screen().contents();
            if shown.contains(wanted) {
                return shown;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.take_up(&bytes),
                Err(_) => panic!("{wanted:?} did not appear:\n{shown}"),
            }
        }
    }

    /// Presses keys as a scanner does: all at once.
    ///
    /// # Panics
    /// Where the console has ended.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the console takes keys");
    }

    /// Waits until the screen no longer shows this. What it shows then.
    ///
    /// # Panics
    /// Where that does not come within [`PATIENCE`].
    pub fn wait_for_change(&mut self, unwanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let shown = self.screen.screen().contents();
            if !shown.contains(unwanted) {
                return shown;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.take_up(&bytes),
                Err(_) => panic!("{unwanted:?} did not go:\n{shown}"),
            }
        }
    }

    /// Takes in what was drawn meanwhile.
    pub fn take_in(&mut self) {
        while let Ok(bytes) = self.bytes.try_recv() {
            self.take_up(&bytes);
        }
    }

    /// Presses a key as a person does: with quiet before it. Where it is right behind a scan it is a part of the scan.
    ///
    /// # Panics
    /// As [`Terminal::press`].
    pub fn press_alone(&mut self, key: &str) {
        std::thread::sleep(QUIET);
        self.press(key);
    }

    /// Quits a console in Dutch: asks, and says yes.
    ///
    /// # Panics
    /// Where it does not end, or not well.
    pub fn quit(&mut self) {
        self.press_alone("q");
        self.wait_for("Stoppen?");
        self.press_alone("\r");
        let ended = self.child.wait().expect("its end can be waited for");
        assert!(ended.success(), "{ended:?}");
    }

    /// Makes the window another size.
    ///
    /// # Panics
    /// Where the system does not let it.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("a window can have any size");
        let not_zero = |length: u16| length.try_into().expect("it is not zero");
        self.take_in();
        self.screen.screen_mut().set_size(not_zero(rows), not_zero(columns));
    }
}

fn modes_of(terminal: &Path) -> Termios {
    let file = File::open(terminal).expect("the terminal can be opened");
    tcgetattr(file).expect("a terminal has modes")
}

fn change_modes(terminal: &Path, set: impl FnOnce(&mut Termios)) {
    let file = File::open(terminal).expect("the terminal can be opened");
    let mut modes = tcgetattr(&file).expect("a terminal has modes");
    set(&mut modes);
    tcsetattr(&file, OptionalActions::Now, &modes).expect("a terminal takes modes");
}
