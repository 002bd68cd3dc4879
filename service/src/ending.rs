//! The end of a program that was told to stop: it always comes, and soon.
//!
//! The signals are heard by a thread with a runtime of its own. Where every worker of the program hangs in
//! a disk, or a lock is never given back, that thread still hears them, and still counts the seconds.

use std::io;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::watch;

/// The longest time a program may take to stop. Service managers and people wait longer before they
/// kill; everything that was acknowledged is on the disk at any moment.
pub const END_WITHIN: Duration = Duration::from_secs(3);

/// Tells when the program is to stop (SIGTERM, SIGINT).
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens for the signals. From the first on the program has [`END_WITHIN`] to end by itself.
    ///
    /// # Errors
    /// Where the system gives no thread or no signals.
    pub fn on_signals() -> io::Result<Self> {
        let (told, stop) = watch::channel(false);
        let (ready, listening) = channel();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let listens = || {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                let _inside = runtime.enter();
                let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
                io::Result::Ok((runtime, signals))
            };
            match listens() {
                Err(error) => drop(ready.send(Err(error))),
                Ok((runtime, (terminate, interrupt))) => {
                    drop(ready.send(Ok(())));
                    runtime.block_on(hear(terminate, interrupt, told));
                }
            }
        })?;
        let gone = |_| Err(io::Error::other("the thread for signals ended"));
        // A moment: until the system has taken the handlers.
        listening.recv().unwrap_or_else(gone)?;
        Ok(Self(stop))
    }

    /// Waits until the program is told to stop.
    pub async fn asked(mut self) {
        if self.0.wait_for(|told| *told).await.is_err() {
            // The thread that hears the signals is gone: nobody tells any more.
            std::future::pending::<()>().await;
        }
    }
}

async fn hear(mut terminate: Signals, mut interrupt: Signals, told: watch::Sender<bool>) {
    let heard = tokio::select! {
        heard = terminate.recv() => heard,
        heard = interrupt.recv() => heard,
    };
    if heard.is_none() {
        return;
    }
    told.send_replace(true);
    tokio::time::sleep(END_WITHIN).await;
    tracing::error!("told to stop, but something does not end; ended without it");
    // A word for the log, where somebody takes it.
    std::thread::sleep(Duration::from_millis(100));
    // `exit` would run what other libraries left to be done, and that may wait for the same disk.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort();
}
