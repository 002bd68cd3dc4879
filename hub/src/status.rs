//! How the hub is, for operators: `stempel-hub status`. What another process can see (the database, the disk)
//! is looked at; what only the server knows, it keeps in a small file of the hub's folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::tasks::Failures;
use tokio::sync::watch;

use crate::clock::{self, Doubt};
use crate::db::storage::{self, StorageTrouble};
use crate::db::{HubError, HubFolder};
use crate::records::runs;
use crate::registry::{self, Device};

/// The status file's size. It is filled once and then written in place, so that a full disk, too, takes what
/// is to be said about it.
const FILE_BYTES: usize = 4096;

/// Letters of a reason that are kept at the most.
const MOST_LETTERS: usize = 200;

/// A desk that was heard within so long is there, in milliseconds.
const HEARD_WITHIN: i64 = 2 * 60 * 1000;

/// A task of the server that failed and was started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedTask {
    /// Its name.
    pub task: String,
    /// How often it failed since the server started.
    pub times: u64,
    /// Whether it failed several times in a row, the last time not long ago.
    pub still_fails: bool,
    /// Why it failed last.
    pub why: String,
}

/// What the server keeps in its status file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    tasks: Vec<FailedTask>,
}

/// How the hub is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HubStatus {
    /// Whether a server runs.
    pub serving: bool,
    /// Why nothing can be stored, where that is so.
    pub storage: Option<StorageTrouble>,
    /// Why the hub's own clock is in doubt, where it is.
    pub clock_doubt: Option<Doubt>,
    /// Room that is left, in bytes, where the system tells.
    pub room: Option<u64>,
    /// Desks that are enrolled and not revoked.
    pub desks: u64,
    /// Those that were heard in the last two minutes.
    pub heard: u64,
    /// Desks of which two computers have the key.
    pub used_twice: Vec<Device>,
    /// Desks that sent entries again which this hub, restored from an older copy, had lost.
    pub sent_again: Vec<Device>,
    /// Desks of which a hub that was restored waits to hear what they were granted: until then nothing limited is
    /// granted.
    pub not_stated: Vec<Device>,
    /// Tasks of the server that failed.
    pub failed_tasks: Vec<FailedTask>,
}

fn shortened(why: &str) -> String {
    why.chars().take(MOST_LETTERS).collect()
}

fn tasks_of(failures: &Failures) -> Vec<FailedTask> {
    let tasks = failures.iter().map(|(name, failed)| FailedTask {
        task: (*name).to_owned(),
        times: failed.times,
        still_fails: failed.still_fails(),
        why: shortened(&failed.why),
    });
    tasks.collect()
}

fn write(file: &File, kept: &Kept) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(kept).unwrap_or_default();
    // Over everything that stands there: a file that was longer once must not end in what it said then.
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(FILE_BYTES);
    bytes.resize(FILE_BYTES.max(length).max(bytes.len()), b' ');
    file.write_all_at(&bytes, 0)
}

/// Keeps the server's status file up to date for as long as the server runs.
///
/// # Errors
/// Where the file cannot be opened.
pub(crate) async fn keep(
    folder: &HubFolder,
    mut failures: watch::Receiver<Failures>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file =
        options.write(true).create(true).truncate(false).mode(0o600).open(folder.status())?;
    loop {
        let tasks = tasks_of(&failures.borrow_and_update());
        // A failed write is ignored: `status` tests the disk itself.
        let _ = write(&file, &Kept { tasks });
        // What fails no more is to be said, too.
        let changed = tokio::time::timeout(Duration::from_secs(30), failures.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return Ok(());
        }
    }
}

/// Looks how the hub of this folder is.
///
/// # Errors
/// [`HubError`]; not for what is the matter with its disk, which is a part of the answer.
pub async fn status(folder: &HubFolder) -> Result<HubStatus, HubError> {
    let serving = folder.is_served();
    let mut status = HubStatus {
        serving,
        storage: None,
        clock_doubt: None,
        room: storage::room(folder.root()).map(|(left, _)| left),
        desks: 0,
        heard: 0,
        used_twice: Vec::new(),
        sent_again: Vec::new(),
        not_stated: Vec::new(),
        failed_tasks: Vec::new(),
    };
    let looked = async {
        let db = folder.database().await?;
        let now = db.now().0;
        let held = runs::held(&mut db.read().await?).await?;
        for device in registry::devices(&db).await? {
            let heard = device.last_contact.is_some_and(|at| now.saturating_sub(at) < HEARD_WITHIN);
            status.desks += u64::from(!device.revoked);
            status.heard += u64::from(!device.revoked && heard);
            if device.used_twice_since.is_some() {
                status.used_twice.push(device.clone());
            }
            if held.iter().any(|(held, _)| *held == device.device) {
                status.not_stated.push(device.clone());
            }
            if device.sent_again_at.is_some() {
                status.sent_again.push(device);
            }
        }
        status.clock_doubt = clock::doubt(&db).await?;
        storage::look(folder.root(), &db).await
    };
    status.storage = match looked.await {
        Ok(found) => found,
        Err(error) => Some(storage::trouble_in(folder.root(), &error).ok_or(error)?),
    };
    if serving {
        let kept = fs::read(folder.status()).unwrap_or_default();
        status.failed_tasks = serde_json::from_slice::<Kept>(&kept).unwrap_or_default().tasks;
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_keeps_is_read_again_whatever_stood_there_before() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failed = |why: &str| FailedTask {
            task: "changes".to_owned(),
            times: 3,
            still_fails: true,
            why: shortened(why),
        };
        let long = failed(&"é".repeat(1000));
        for tasks in [vec![long.clone(), failed("y")], vec![long; 20], vec![failed("no")], vec![]] {
            write(file.as_file(), &Kept { tasks: tasks.clone() }).unwrap();
            let bytes = fs::read(file.path()).unwrap();
            assert!(bytes.len() >= FILE_BYTES);
            assert_eq!(serde_json::from_slice::<Kept>(&bytes).unwrap().tasks, tasks);
        }
    }
}
