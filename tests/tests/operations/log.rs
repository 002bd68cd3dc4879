//! Logging never matters, and a program that is told to end ends.

use std::fs::File;
use std::io::{PipeReader, Read, pipe};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use desk_api::types::HubLink;
use rustix::process::{Pid, Signal, kill_process};
use stempel_tests::{ACTIVITY, Desk, Hub, PATIENCE, catalogue, program};

use super::tap;

/// What can be the matter with standard error.
#[derive(Debug, Clone, Copy)]
enum Stderr {
    /// A disk without room.
    FullDisk,
    /// A pipe whose reader has gone.
    BrokenPipe,
    /// A pipe that nobody empties.
    StuckPipe,
    /// No descriptor at all.
    Closed,
}

const ALL: [Stderr; 4] = [Stderr::FullDisk, Stderr::BrokenPipe, Stderr::StuckPipe, Stderr::Closed];

/// A program with such a standard error. It is killed where a test fails.
struct Program {
    child: Child,
    stuck: Option<PipeReader>,
}

impl Program {
    fn start(name: &str, arguments: &[&str], stderr: Stderr) -> Self {
        let (mut command, mut stuck) = (Command::new(program(name)), None);
        match stderr {
            Stderr::FullDisk => {
                command.stderr(File::options().write(true).open("/dev/full").unwrap());
            }
            Stderr::BrokenPipe => {
                command.stderr(pipe().unwrap().1);
            }
            Stderr::StuckPipe => {
                let (reader, writer) = pipe().unwrap();
                command.stderr(writer).env("STEMPEL_LOG", "trace");
                stuck = Some(reader);
            }
            Stderr::Closed => {
                command = Command::new("sh");
                command.args(["-c", "exec \"$0\" \"$@\" 2>&-"]).arg(program(name));
            }
        }
        // Nobody listens on standard output, either.
        command.args(arguments).stdin(Stdio::null()).stdout(pipe().unwrap().1);
        Self { child: command.spawn().unwrap(), stuck }
    }

    /// Tells it to end, and waits until it does.
    async fn end(mut self) -> (ExitStatus, Option<PipeReader>) {
        terminate(&self.child);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.stuck.take());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn terminate(child: &Child) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
}

/// Waits until the daemon of this desk answers.
async fn answers(desk: &Desk) {
    let begun = Instant::now();
    while desk.client.status().await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the daemon does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// It ended by itself, and the stuck pipe was full for all that.
fn assert_ended(stderr: Stderr, (status, stuck): (ExitStatus, Option<PipeReader>)) {
    assert!(status.success(), "{stderr:?}: {status}");
    let mut said = Vec::new();
    if let Some(mut reader) = stuck {
        reader.read_to_end(&mut said).unwrap();
        assert!(said.len() >= 32 * 1024, "the pipe was not full: {} bytes", said.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_its_log_a_daemon_records_sends_and_ends() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(100, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.stop();
    let (folder, marks) = (desk.folder.display().to_string(), desk.marks.display().to_string());
    for (round, stderr) in (0..).zip(ALL) {
        let daemon =
            Program::start("stempel-syncd", &["--folder", &folder, "--marks", &marks], stderr);
        answers(&desk).await;
        let first = round * 10;
        tap(&desk, first..first + 5).await;
        desk.wait_for("pending 0", |status| status.pending == 0).await;
        // Whatever happens to the link is logged.
        hub.stop();
        desk.wait_for("the end of the link", |status| status.hub != HubLink::Connected).await;
        tap(&desk, first + 5..first + 10).await;
        hub.go();
        let sent = |status: &desk_api::types::Status| {
            status.pending == 0 && status.hub == HubLink::Connected
        };
        let status = desk.wait_for("the link again, and pending 0", sent).await;
        assert!(status.beside.is_empty(), "{stderr:?}: {status:?}");
        assert_ended(stderr, daemon.end().await);
    }
    assert_eq!(hub.json(&["show", "totals"])["entries"], 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_its_log_a_hub_takes_entries_and_ends() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(100, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.stop();
    let folder = world.path().join("hub").display().to_string();
    for (round, stderr) in (0..).zip(ALL) {
        let first = round * 10;
        tap(&desk, first..first + 5).await;
        let arguments = ["--folder", &folder, "serve", "--listen", &hub.address];
        let server = Program::start("stempel-hub", &arguments, stderr);
        desk.wait_for("pending 0", |status| status.pending == 0).await;
        tap(&desk, first + 5..first + 10).await;
        desk.wait_for("pending 0", |status| status.pending == 0).await;
        assert_ended(stderr, server.end().await);
        desk.wait_for("the end of the link", |status| status.hub != HubLink::Connected).await;
    }
    assert_eq!(hub.json(&["show", "totals"])["entries"], 40);
}

/// A daemon that says nothing for so long hangs: the slowest machine with much to do answers sooner.
const HANGS_FROM: Duration = Duration::from_secs(10);

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_hangs_in_its_disk_ends_all_the_same_when_it_is_told_to() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(1, 0));
    let mut desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.stop();
    let (folder, marks) = (desk.folder.display().to_string(), desk.marks.display().to_string());
    let daemon = Program::start(
        "stempel-syncd",
        &["--folder", &folder, "--marks", &marks],
        Stderr::StuckPipe,
    );
    answers(&desk).await;
    // Where the choice is written first: nobody reads this, so the write hangs, and with it whoever asks the desk.
    make_fifo(&desk.folder.join("settings.new"));
    let client = desk.client.clone();
    let chooses = tokio::spawn(async move { client.choose_activity(ACTIVITY).await });
    let hangs = async {
        while tokio::time::timeout(HANGS_FROM, desk.client.status()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, hangs).await.expect("the desk hangs");
    assert!(!chooses.is_finished(), "the choice is not written");
    let (status, _) = daemon.end().await;
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it ended itself: {status}");
    chooses.abort();
}
