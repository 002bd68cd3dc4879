//! A PN532 on a pseudo-terminal, for tests: the real libnfc opens it as `pn532_uart:/dev/pts/N`,
//! and the test puts cards on it and takes them away.
//!
//! [`frame`] is the wire format, [`chip`] the chip's answers (pure: a command in, an answer out),
//! and this file the pseudo-terminal and its thread. Source: NXP UM0701-02 (PN532 user manual).
//! [`card`] is what lies on the reader: a UID and no more, or one of [`type2`], [`ntag424`] and
//! [`desfire`], which remember what is written on them. [`vpcd`] puts the same cards before pcscd.

mod aes;
pub mod card;
pub mod chip;
pub mod desfire;
mod dialogue;
pub mod frame;
mod iso_dep;
pub mod ntag424;
mod random;
mod sdm;
pub mod type2;
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

use card::{Card, SharedCard};
use chip::{Answer, Chip};
use frame::{ACK, Received, Scanner};
use random::Random;

/// How often the thread looks whether a card has come while a command waits for one.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// An emulated PN532. It ends when this is dropped.
#[derive(Debug)]
pub struct Pn532Emulator {
    path: PathBuf,
    chip: Arc<Mutex<Chip>>,
    faults: Arc<Mutex<Faults>>,
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
        let faults: Arc<Mutex<Faults>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("pn532".to_owned()).spawn({
            let (chip, faults, stop) = (chip.clone(), faults.clone(), stop.clone());
            move || {
                if let Err(error) = serve(master, &chip, &faults, &stop) {
                    tracing::warn!(%error, "the emulated PN532 ended");
                }
            }
        })?;
        Ok(Self { path, chip, faults, stop, thread: Some(thread), _terminal: terminal })
    }

    /// Puts a card with this UID (4, 7 or 10 bytes) on the reader, in place of what lies there. It
    /// says nothing beyond it.
    pub fn present(&self, uid: &[u8]) {
        self.present_shared(&Card::new(uid).into());
    }

    /// Puts one more such card on the reader.
    pub fn add(&self, uid: &[u8]) {
        self.add_shared(&Card::new(uid).into());
    }

    /// Puts this card on the reader, in place of what lies there. A card that left in the middle of a
    /// conversation is back.
    pub fn present_shared(&self, card: &SharedCard) {
        self.chip().present(vec![card.clone()]);
    }

    /// Puts this card on the reader as well.
    pub fn add_shared(&self, card: &SharedCard) {
        self.chip().add(card.clone());
    }

    /// Takes all cards away.
    pub fn remove(&self) {
        self.chip().clear();
    }

    /// Has each card that lies there leave the field behind so many more exchanges with it: the next
    /// one times out, without the card having done anything, and the card is gone.
    pub fn take_away_after(&self, exchanges: u32) {
        for card in &self.chip().cards {
            card.with(|card| card.take_away_after(exchanges));
        }
    }

    /// Sends these bytes before its next answer: noise on the line.
    pub fn garble(&self, noise: &[u8]) {
        self.faults().noise.extend_from_slice(noise);
    }

    /// Spoils its next answers, so many of them: by turns the check sum is wrong, or the whole frame
    /// is other bytes. What was asked is done all the same.
    pub fn garble_answers(&self, answers: u32) {
        self.faults().garbled = answers;
    }

    /// Takes the next commands, so many of them, without answering. What was asked is done all the
    /// same.
    pub fn silent(&self, commands: u32) {
        self.faults().silent = commands;
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chip(&self) -> MutexGuard<'_, Chip> {
        self.chip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pseudo-terminal, `/dev/pts/N`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Plugs it in at this port: a name that stays, whichever pseudo-terminal is behind it, as udev gives
    /// readers. What libnfc calls it there. Unplugged is what is dropped; the port goes with
    /// [`std::fs::remove_file`].
    ///
    /// # Errors
    /// Whatever the system says where something is at that port.
    pub fn plugged_in_at(&self, port: &Path) -> io::Result<String> {
        std::os::unix::fs::symlink(&self.path, port)?;
        Ok(format!("pn532_uart:{}", port.display()))
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

/// What goes wrong on the line.
#[derive(Debug, Default)]
struct Faults {
    /// Sent before the next answer.
    noise: Vec<u8>,
    /// Answers yet to be spoilt.
    garbled: u32,
    /// Commands that get no answer.
    silent: u32,
}

impl Faults {
    /// The frame as it goes out.
    fn spoilt(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        if self.garbled == 0 {
            return frame;
        }
        self.garbled -= 1;
        if self.garbled.is_multiple_of(2) {
            // The last byte is the postamble, which nobody looks at.
            if let Some(check) = frame.iter_mut().nth_back(1) {
                *check ^= 0x01;
            }
            return frame;
        }
        let mut random = Random::of(u64::from(self.garbled));
        // No start code, behind which the host would wait for more.
        frame.iter().map(|_| random.next::<1>()[0] | 1).collect()
    }

    /// Whether this command gets no answer.
    fn silences(&mut self) -> bool {
        let silent = self.silent > 0;
        self.silent = self.silent.saturating_sub(1);
        silent
    }
}

fn serve(
    master: OwnedFd,
    chip: &Mutex<Chip>,
    faults: &Mutex<Faults>,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut line = File::from(master);
    let mut scanner = Scanner::default();
    let mut buffer = [0; 512];
    // A command that waits for a card.
    let mut waiting: Option<Vec<u8>> = None;
    let faults = || faults.lock().unwrap_or_else(PoisonError::into_inner);
    let ask = |command: &[u8]| chip.lock().unwrap_or_else(PoisonError::into_inner).answer(command);
    while !stop.load(Ordering::Relaxed) {
        if let Some(command) = &waiting
            && let Answer::Frame(answer) = ask(command)
        {
            let answer = faults().spoilt(answer);
            line.write_all(&answer)?;
            waiting = None;
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
                    let noise = std::mem::take(&mut faults().noise);
                    line.write_all(&noise)?;
                    line.write_all(&ACK)?;
                    let answer = ask(&command);
                    if faults().silences() {
                        continue;
                    }
                    match answer {
                        Answer::Frame(answer) => {
                            let answer = faults().spoilt(answer);
                            line.write_all(&answer)?;
                        }
                        Answer::WaitForCard => waiting = Some(command),
                    }
                }
            }
        }
    }
    Ok(())
}
