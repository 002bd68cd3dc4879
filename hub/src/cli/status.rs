//! `stempel-hub status`, for eyes.

use service::out::json_of;
use service::say;

use super::{CliError, time};
use crate::db::HubFolder;
use crate::{clock, status};

pub(super) async fn show(folder: &HubFolder, json: bool) -> Result<(), CliError> {
    let status = status::status(folder).await?;
    if json {
        say!("{}", json_of(&status));
        return Ok(());
    }
    say!("{}", if status.serving { "serves desks" } else { "does not run" });
    match &status.storage {
        None => say!("disk: fine"),
        Some(trouble) => say!(
            "disk: nothing can be stored, for {trouble}. Desks keep what they record; make room or mend the disk, and the hub goes on by itself"
        ),
    }
    if let Some(doubt) = &status.clock_doubt {
        say!("clock: IN DOUBT: {doubt}. {}", clock::NEXT_STEP);
    }
    if let Some(room) = status.room {
        say!("room: {} MiB", room / (1024 * 1024));
    }
    say!("desks: {}, of which {} were heard in the last two minutes", status.desks, status.heard);
    for desk in &status.used_twice {
        let since = desk.used_twice_since.map(time).unwrap_or_default();
        say!(
            "desk {} of {} is used twice since {since}: its folder was copied. Enrol one of the two computers anew, with a folder of its own",
            desk.name,
            desk.venue
        );
    }
    for desk in &status.sent_again {
        let at = desk.sent_again_at.map(time).unwrap_or_default();
        say!(
            "desk {} of {} sent {} entries again at {at}: this hub was restored from an older copy",
            desk.name,
            desk.venue,
            desk.sent_again
        );
    }
    for desk in &status.not_stated {
        say!(
            "this hub was restored, and grants nothing limited before desk {} of {} ({}) has said what it was granted. If it will not come back: stempel-hub stock waive {}",
            desk.name,
            desk.venue,
            desk.device,
            desk.device
        );
    }
    for task in &status.failed_tasks {
        let how = if task.still_fails { "still fails" } else { "was started again" };
        say!("task {} failed {} times and {how}: {}", task.task, task.times, task.why);
    }
    Ok(())
}
