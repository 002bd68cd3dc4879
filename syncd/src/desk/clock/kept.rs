//! What the hub's clock said while this computer's was wrong, kept for a daemon that is started again before the
//! computer is: the steady clock went on meanwhile, so the desk still knows what time it is. Nothing is kept while the
//! clocks agree, and nothing is believed of an earlier start of the computer.

use std::fs;
use std::path::{Path, PathBuf};

use crdt_model::time::UnixMillis;
use minicbor::{Decode, Encode};
use sync_protocol::heartbeat::Ticks;

use super::Reading;
use crate::paths::write_durably;
use crate::proven::{prove, proven};

/// A measurement is written again where it is off by more than this against the one that is kept, in milliseconds.
const DRIFT: i64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Kept {
    /// Which start of the computer.
    #[n(0)]
    boot: String,
    /// The hub's clock, in milliseconds since the epoch.
    #[n(1)]
    hub: i64,
    /// The steady clock then, in milliseconds.
    #[n(2)]
    steady: u64,
}

impl Kept {
    /// The hub's clock now.
    fn now(&self, steady: Ticks) -> UnixMillis {
        let gone = steady.0.saturating_sub(self.steady);
        UnixMillis(self.hub).plus(i64::try_from(gone).unwrap_or(i64::MAX))
    }
}

/// The file.
#[derive(Debug)]
pub(in crate::desk) struct KeptClock {
    path: PathBuf,
    boot: Option<String>,
    kept: Option<Kept>,
}

impl KeptClock {
    /// Opens the file of a desk on a computer whose current start has this name; nothing is kept where it has none.
    pub(in crate::desk) fn open(path: PathBuf, boot: Option<String>) -> Self {
        let kept = fs::read(&path).ok();
        let kept = kept.and_then(|bytes| minicbor::decode::<Kept>(proven(&bytes)?).ok());
        let kept = kept.filter(|kept| boot.as_ref() == Some(&kept.boot));
        Self { path, boot, kept }
    }

    /// The hub's clock now, where it was measured since the computer's start.
    pub(in crate::desk) fn hub_now(&self, now: Reading) -> Option<UnixMillis> {
        let kept = self.kept.as_ref().filter(|kept| kept.steady <= now.steady.0)?;
        Some(kept.now(now.steady))
    }

    /// Keeps the hub's time where the computer's clock is off against it (`None`: it is not). Where the disk takes
    /// nothing, what was kept before stays: it is said elsewhere.
    pub(in crate::desk) fn keep(&mut self, now: Reading, hub: Option<UnixMillis>) {
        let Some(hub) = hub else {
            if self.kept.take().is_some()
                && let Err(error) = fs::remove_file(&self.path)
            {
                tracing::warn!(%error, "what is kept of the clock could not be removed");
            }
            return;
        };
        let fits = |kept: &Kept| kept.now(now.steady).since(hub).saturating_abs() <= DRIFT;
        let (None | Some(false), Some(boot)) = (self.kept.as_ref().map(fits), &self.boot) else {
            return;
        };
        let kept = Kept { boot: boot.clone(), hub: hub.0, steady: now.steady.0 };
        match write_durably(&self.path, &prove(minicbor::to_vec(&kept).unwrap_or_default())) {
            Ok(()) => self.kept = Some(kept),
            Err(error) => tracing::debug!(%error, "the hub's time could not be kept"),
        }
    }
}

/// The name of the computer's current start: Linux alone gives one.
pub(in crate::desk) fn boot() -> Option<String> {
    let boot = fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).ok()?;
    Some(boot.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proven::damage;

    fn reading(steady: u64) -> Reading {
        Reading { wall: UnixMillis(7), steady: Ticks(steady) }
    }

    #[test]
    fn what_the_hub_said_holds_for_this_start_of_the_computer_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let open = |boot: Option<&str>| KeptClock::open(path.clone(), boot.map(str::to_owned));
        let mut clock = open(Some("a"));
        assert_eq!(clock.hub_now(reading(1)), None);
        clock.keep(reading(1_000), Some(UnixMillis(50_000)));
        assert_eq!(open(Some("a")).hub_now(reading(3_000)), Some(UnixMillis(52_000)));
        assert_eq!(open(Some("b")).hub_now(reading(3_000)), None, "the computer was started again");
        assert_eq!(open(None).hub_now(reading(3_000)), None);
        let whole = fs::read(&path).unwrap();
        for damaged in damage::each_of(&whole) {
            fs::write(&path, damaged).unwrap();
            assert_eq!(open(Some("a")).hub_now(reading(3_000)), None);
        }
        fs::write(&path, whole).unwrap();
        let mut clock = open(Some("a"));
        clock.keep(reading(9_000), None);
        assert_eq!((clock.hub_now(reading(9_000)), path.exists()), (None, false));
        assert_eq!(open(Some("a")).hub_now(reading(9_000)), None);
    }
}
