//! The console in a real terminal, of 24 rows and 80 columns.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::{Desk, PATIENCE, program};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// Longer than the quiet that makes a key stand alone.
const QUIET: Duration = Duration::from_millis(400);

/// A terminal in which `stempel` runs.
pub struct Terminal {
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
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("the system gives a terminal");
        let mut command = CommandBuilder::new(program("stempel"));
        command.args(arguments);
        command.env("TERM", "xterm-256color");
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
        Self { child, screen, bytes, keys, master: pair.master }
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
                Ok(bytes) => self.screen.process(&bytes),
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
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => panic!("{unwanted:?} did not go:\n{shown}"),
            }
        }
    }

    /// Takes in what was drawn meanwhile.
    pub fn take_in(&mut self) {
        while let Ok(bytes) = self.bytes.try_recv() {
            self.screen.process(&bytes);
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

    /// Sends the console this signal.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn signal(&self, name: &str) {
        let id = self.child.process_id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &id[..]]).status();
        assert!(sent.expect("signals can be sent").success(), "the console has ended");
    }
}
