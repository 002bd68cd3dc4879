//! A PN532 on a pseudo-terminal, for tests: the real libnfc opens it as `pn532_uart:/dev/pts/N`,
//! and the test puts cards on it and takes them away.
//!
//! [`frame`] is the wire format, [`chip`] the chip's answers (pure: a command in, an answer out),
//! and this file the pseudo-terminal and its thread. Source: NXP UM0701-02 (PN532 user manual).

pub mod chip;
pub mod frame;
pub mod vpcd;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use chip::{Answer, Card, Chip};
use frame::{ACK, Received, Scanner};

/// How often the thread looks whether a card has come while a command waits for one.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// An emulated PN532. It ends when this is dropped.
#[derive(Debug)]
pub struct Pn532Emulator {
    path: PathBuf,
    chip: Arc<Mutex<Chip>>,
    noise: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Held open so that the other end is never alone.
    _terminal: File,
}

impl Pn532Emulator {
    /// Starts an emulated PN532 without a card.
    ///
    /// # Errors
    /// Whatever the system says where it has no pseudo-terminal or thread left.
    pub fn start() -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(&path)?;
        let mut settings = tcgetattr(&terminal)?;
        settings.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &settings)?;
        let chip = Arc::new(Mutex::new(Chip::default()));
        let noise: Arc<Mutex<Vec<u8>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("pn532".to_owned()).spawn({
            let (chip, noise, stop) = (chip.clone(), noise.clone(), stop.clone());
            move || {
                if let Err(error) = serve(master, &chip, &noise, &stop) {
                    tracing::warn!(%error, "the emulated PN532 ended");
                }
            }
        })?;
        Ok(Self { path, chip, noise, stop, thread: Some(thread), _terminal: terminal })
    }

    /// Puts a card with this UID (4, 7 or 10 bytes) on the reader, in place of what lies there.
    pub fn present(&self, uid: &[u8]) {
        self.chip().cards = vec![Card::new(uid)];
    }

    /// Puts one more card on the reader.
    pub fn add(&self, uid: &[u8]) {
        self.chip().cards.push(Card::new(uid));
    }

    /// Takes all cards away.
    pub fn remove(&self) {
        self.chip().cards.clear();
    }

    /// Sends these bytes before its next answer: noise on the line.
    pub fn garble(&self, noise: &[u8]) {
        self.noise.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(noise);
    }

    fn chip(&self) -> MutexGuard<'_, Chip> {
        self.chip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pseudo-terminal, `/dev/pts/N`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What libnfc calls it.
    pub fn connstring(&self) -> String {
        format!("pn532_uart:{}", self.path.display())
    }
}

impl Drop for Pn532Emulator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn serve(
    master: OwnedFd,
    chip: &Mutex<Chip>,
    noise: &Mutex<Vec<u8>>,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut line = File::from(master);
    let mut scanner = Scanner::default();
    let mut buffer = [0; 512];
    // A command that waits for a card.
    let mut waiting: Option<Vec<u8>> = None;
    while !stop.load(Ordering::Relaxed) {
        if let Some(command) = &waiting {
            let answer = chip.lock().unwrap_or_else(PoisonError::into_inner).answer(command);
            if let Answer::Frame(answer) = answer {
                line.write_all(&answer)?;
                waiting = None;
            }
        }
        let mut ready = [PollFd::new(&line, PollFlags::IN)];
        if poll(&mut ready, Some(&LOOK))? == 0 {
            continue;
        }
        let count = line.read(&mut buffer)?;
        for received in scanner.push(&buffer[..count]) {
            // Whatever the host says ends a command that waits: an ACK aborts it.
            waiting = None;
            match received {
                Received::Ack | Received::Nack => {}
                Received::Command(command) => {
                    let noise =
                        std::mem::take(&mut *noise.lock().unwrap_or_else(PoisonError::into_inner));
                    line.write_all(&noise)?;
                    line.write_all(&ACK)?;
                    let answer =
                        chip.lock().unwrap_or_else(PoisonError::into_inner).answer(&command);
                    match answer {
                        Answer::Frame(answer) => line.write_all(&answer)?,
                        Answer::WaitForCard => waiting = Some(command),
                    }
                }
            }
        }
    }
    Ok(())
}
