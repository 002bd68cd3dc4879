//! The terminal: taken for the console's screen, and given back whatever ends the console.
//!
//! A terminal has state that outlives a program: raw mode, the alternate screen, bracketed paste, a hidden cursor.
//! [`Screen`] gives all of it back when it is dropped, in the panic hook, and before the process is suspended; it takes
//! all of it again after SIGCONT. A program that is killed with SIGKILL can give nothing back, so a terminal that is raw
//! when the console starts is made sane first, and is sane afterwards.

use std::fs::File;
use std::io::{self, IsTerminal, Write, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::{DefaultTerminal, Frame, Terminal};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr,
    tcsetattr,
};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

/// The number of SIGTSTP on Linux: `SignalKind` has no name for it.
const SIGTSTP: i32 = 20;

/// The number of SIGCONT on Linux.
const SIGCONT: i32 = 18;

/// Whether the console has the terminal.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Panics of threads and tasks beside the console's own, until they are printed.
static FAULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Panics that are kept: the first ones say what happened.
const MOST_FAULTS: usize = 16;

/// The console's screen on this terminal.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal: raw mode, alternate screen, bracketed paste. A panic on this thread gives it back before it
    /// is printed; one on another thread is kept for [`take_faults`], because printed now it would stand across
    /// the screen.
    ///
    /// # Errors
    /// Where this is no terminal, or it does not take orders.
    pub fn take() -> io::Result<Self> {
        make_sane()?;
        keep_panics_off_the_screen(std::thread::current().id());
        TAKEN.store(true, Ordering::Relaxed);
        let taken = enable_raw_mode()
            .and_then(|()| enter())
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        if taken.is_err() {
            give_back();
        }
        Ok(Self { terminal: taken? })
    }

    /// Draws a frame.
    ///
    /// # Errors
    /// Whatever the terminal says.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(render).map(drop)
    }

    /// Gives the terminal back and stops this process, as SIGTSTP asks. Returns when it is continued.
    pub fn suspend(&mut self) {
        give_back();
        stop();
    }

    /// Takes the terminal again after SIGCONT: whoever had it meanwhile left it in another mode and wrote on it.
    ///
    /// # Errors
    /// Whatever the terminal says.
    pub fn resume(&mut self) -> io::Result<()> {
        make_raw()?;
        enter()?;
        // `Terminal::clear` asks where the cursor is, and a terminal that has just come back may not answer. A new
        // one has drawn nothing, so it draws everything.
        execute!(stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Stops this process until it is continued. SIGSTOP to the own process cannot fail.
fn stop() {
    let _ = kill_process(getpid(), Signal::STOP);
}

/// A terminal that gives each key at once, and on which lines are printed as ever.
#[derive(Debug)]
pub struct RawLines(());

impl RawLines {
    /// Takes the terminal: raw mode and bracketed paste.
    ///
    /// # Errors
    /// Whatever the terminal says.
    pub fn take() -> io::Result<Self> {
        make_sane()?;
        enable_raw_mode()?;
        let taken = Self(());
        execute!(stdout(), EnableBracketedPaste)?;
        Ok(taken)
    }

    /// Gives the terminal back and stops this process, as SIGTSTP asks. Returns when it is continued.
    pub fn suspend(&mut self) {
        Self::give_back();
        stop();
    }

    /// Takes the terminal again after SIGCONT.
    ///
    /// # Errors
    /// Whatever the terminal says.
    pub fn resume(&mut self) -> io::Result<()> {
        make_raw()?;
        execute!(stdout(), EnableBracketedPaste)
    }

    fn give_back() {
        // A terminal that is gone is put back by nobody.
        let _ = execute!(stdout(), DisableBracketedPaste);
        let _ = disable_raw_mode();
    }
}

impl Drop for RawLines {
    fn drop(&mut self) {
        Self::give_back();
    }
}

fn enter() -> io::Result<()> {
    TAKEN.store(true, Ordering::Relaxed);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// Gives everything back that [`Screen::take`] took, once: a terminal that is told a second time to leave its alternate
/// screen puts the cursor back over what was printed meanwhile. Nothing can be done where the terminal is gone.
fn give_back() {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return;
    }
    let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

/// Puts a terminal that another program left raw into the modes of a login: canonical input with echo, signals, and line
/// breaks that return. A terminal in any other mode is left as it is.
fn make_sane() -> io::Result<()> {
    on_terminal(|terminal| make_sane_of(terminal))
}

/// Raw mode, whatever mode the terminal is in. Where crossterm believes that raw mode is on, it does nothing; to switch it
/// off first would let a Ctrl-C that is typed just then end this process.
fn make_raw() -> io::Result<()> {
    enable_raw_mode()?;
    on_terminal(|terminal| {
        let mut modes = tcgetattr(terminal)?;
        modes.make_raw();
        Ok(tcsetattr(terminal, OptionalActions::Now, &modes)?)
    })
}

/// Does this to the terminal. The same choice as crossterm's: standard input where it is a terminal, else the
/// controlling one.
fn on_terminal(act: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
    if stdin().is_terminal() { act(stdin().as_fd()) } else { act(File::open("/dev/tty")?.as_fd()) }
}

fn make_sane_of(terminal: impl AsFd) -> io::Result<()> {
    let mut modes = tcgetattr(&terminal)?;
    if was_left_raw(&modes) {
        set_sane(&mut modes);
        tcsetattr(&terminal, OptionalActions::Now, &modes)?;
    }
    Ok(())
}

fn was_left_raw(modes: &Termios) -> bool {
    !modes.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
}

/// The modes that `stty sane` sets and raw mode (cfmakeraw(3)) takes away.
fn set_sane(modes: &mut Termios) {
    modes.input_modes |= InputModes::BRKINT | InputModes::ICRNL | InputModes::IXON;
    modes.input_modes -= InputModes::IGNCR | InputModes::INLCR;
    modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
    modes.local_modes |= LocalModes::ICANON
        | LocalModes::ECHO
        | LocalModes::ECHOE
        | LocalModes::ECHOK
        | LocalModes::ISIG
        | LocalModes::IEXTEN;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
}

fn keep_panics_off_the_screen(console: ThreadId) {
    let printed = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == console {
            give_back();
            printed(panic);
            return;
        }
        let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < MOST_FAULTS {
            faults.push(panic.to_string());
        }
    }));
}

/// How many panics beside the console are kept.
pub fn fault_count() -> usize {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// What panicked beside the console: to be printed after the terminal was given back.
pub fn take_faults() -> Vec<String> {
    std::mem::take(&mut *FAULTS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// How the console ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody quit it.
    Quit,
    /// A signal asked for it: its number.
    Signal(u8),
}

/// What a signal asks of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// To end, by the signal of this number.
    End(u8),
    /// To give the terminal back and stop (SIGTSTP).
    Suspend,
    /// To take the terminal again (SIGCONT, also after a SIGSTOP that nobody can hear).
    Resume,
}

/// The signals that the console hears.
#[derive(Debug)]
pub struct Signals {
    hang_up: SignalStream,
    interrupt: SignalStream,
    quit: SignalStream,
    terminate: SignalStream,
    suspend: SignalStream,
    resume: SignalStream,
}

impl Signals {
    /// Hears them from now on. To be called before the terminal is taken: from then on none of them ends the process by
    /// itself.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            suspend: signal(SignalKind::from_raw(SIGTSTP))?,
            resume: signal(SignalKind::from_raw(SIGCONT))?,
        })
    }

    /// The next one. Cancelling this loses none.
    pub async fn next(&mut self) -> Interruption {
        let number = |kind: SignalKind| u8::try_from(kind.as_raw_value()).unwrap_or_default();
        tokio::select! {
            _ = self.hang_up.recv() => Interruption::End(number(SignalKind::hangup())),
            _ = self.interrupt.recv() => Interruption::End(number(SignalKind::interrupt())),
            _ = self.quit.recv() => Interruption::End(number(SignalKind::quit())),
            _ = self.terminate.recv() => Interruption::End(number(SignalKind::terminate())),
            _ = self.suspend.recv() => Interruption::Suspend,
            _ = self.resume.recv() => Interruption::Resume,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    fn terminal() -> (impl AsFd, File) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let path = name.to_str().unwrap().to_owned();
        let slave = File::options().read(true).write(true).open(path).unwrap();
        (master, slave)
    }

    #[test]
    fn a_terminal_that_was_left_raw_is_sane_again_and_any_other_stays_as_it_is() {
        let (_master, slave) = terminal();
        let of_login = tcgetattr(&slave).unwrap();
        let mut raw = of_login.clone();
        raw.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &raw).unwrap();
        make_sane_of(&slave).unwrap();
        let sane = tcgetattr(&slave).unwrap();
        assert_eq!(sane.local_modes & of_login.local_modes, of_login.local_modes);
        assert_eq!(sane.output_modes, of_login.output_modes);
        assert!(sane.input_modes.contains(InputModes::ICRNL));

        // Somebody who types a password into another program of this terminal has no echo, and wants none.
        let mut silent = of_login.clone();
        silent.local_modes -= LocalModes::ECHO;
        tcsetattr(&slave, OptionalActions::Now, &silent).unwrap();
        make_sane_of(&slave).unwrap();
        assert_eq!(tcgetattr(&slave).unwrap().local_modes, silent.local_modes);
    }
}
