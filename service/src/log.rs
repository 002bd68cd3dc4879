//! The log on standard error, which never matters to the program: whatever becomes of standard error (a
//! full disk, a reader that has gone, a pipe that nobody empties), no thread waits for it, and none fails.
//!
//! Lines go into a queue with a bound; one thread of its own writes them. What finds no room is dropped
//! and counted, and the count is the first thing that is written when there is room again.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::out::printable_lines;

/// Bytes that wait to be written at the most: some ten thousand lines, which is minutes of an ordinary
/// log, and nothing that a small computer misses.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// How long the end of the program waits for the last lines. A pipe that nobody empties takes none.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The variable that says what is logged: a level, or `module=level` for some modules, with commas between
/// (`info,quinn=debug`).
const VARIABLE: &str = "STEMPEL_LOG";

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that were dropped, or that standard error did not take, since the last that it took.
    lost: u64,
    /// A line is being written at this moment.
    writing: bool,
}

/// Lines on their way to standard error.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// There is a line to be written.
    more: Condvar,
    /// Nothing is left to be written.
    done: Condvar,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, or drops and counts it where there is no room. Never waits for a disk or a reader.
    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > MOST_BYTES {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_vec());
        self.more.notify_one();
    }

    /// Writes what comes, for as long as the program runs.
    fn write_to(&self, mut out: impl Write) {
        let mut waiting = self.waiting();
        loop {
            let Some(line) = waiting.lines.pop_front() else {
                self.done.notify_all();
                waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            waiting.bytes -= line.len();
            waiting.writing = true;
            let lost = waiting.lost;
            drop(waiting);
            let said = if lost == 0 { Ok(()) } else { out.write_all(lost_line(lost).as_bytes()) };
            let written = said.and_then(|()| out.write_all(&line));
            waiting = self.waiting();
            waiting.writing = false;
            if written.is_ok() {
                // Others may have been lost meanwhile.
                waiting.lost -= lost;
            } else {
                waiting.lost += 1;
            }
        }
    }

    /// Waits until all is written, but not for longer than this.
    fn flush(&self, within: Duration) {
        let until = Instant::now() + within;
        let mut waiting = self.waiting();
        while waiting.writing || !waiting.lines.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            let waited = self.done.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lost_line(lost: u64) -> String {
    format!("{} WARN {lost} lines of this log were lost: they found no room\n", timestamp())
}

fn timestamp() -> String {
    let mut now = String::new();
    // A clock that cannot be formatted leaves the place empty.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    now
}

/// One event's way into the queue: the formatter hands it over as a whole.
struct IntoQueue(Arc<Queue>);

impl Write for IntoQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for IntoQueue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The log. When it is dropped, the last lines are written, where they are taken soon.
#[derive(Debug)]
pub struct Log(Arc<Queue>);

impl Log {
    /// Sends everything that is traced, and every panic, to standard error. `filter` is what is logged where
    /// `STEMPEL_LOG` says nothing.
    pub fn start(filter: &str) -> Self {
        let queue = Arc::new(Queue::default());
        // A descriptor of its own: the lock that the standard library keeps over standard error would be held for as
        // long as a write hangs, and `eprintln!` anywhere would hang with it.
        let taken = io::stderr().as_fd().try_clone_to_owned().and_then(|descriptor| {
            let (queue, out) = (queue.clone(), File::from(descriptor));
            std::thread::Builder::new().name("log".to_owned()).spawn(move || queue.write_to(out))
        });
        // Without a descriptor or a thread nothing is written; the program goes on all the same.
        drop(taken);
        let panics = queue.clone();
        std::panic::set_hook(Box::new(move |info| panics.push(panic_line(info).as_bytes())));
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(io::stderr().is_terminal())
            // Its way to say so is `eprintln!`, which panics where standard error is the trouble.
            .log_internal_errors(false)
            .with_writer(IntoQueue(queue.clone()));
        let told = std::env::var(VARIABLE).ok();
        // `Targets` and not `EnvFilter`: the latter brings a machine for regular expressions, which is long to build.
        tracing_subscriber::registry().with(lines).with(targets(told.as_deref(), filter)).init();
        Self(queue)
    }

    /// Writes what a program says last, fit for a terminal.
    pub fn say(&self, text: &str) {
        self.0.push(format!("{}\n", printable_lines(text)).as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// What is logged: as `told` says, or as `otherwise` says where nothing is told, or nothing that can be read.
fn targets(told: Option<&str>, otherwise: &str) -> Targets {
    told.filter(|told| !told.is_empty())
        .and_then(|told| told.parse().ok())
        .or_else(|| otherwise.parse().ok())
        .unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

/// What a panic says. It goes past `tracing`, which may be what failed.
fn panic_line(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let said = info.payload_as_str().unwrap_or("nothing that can be printed");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let mut line = format!("{} ERROR panic in thread {name} at {place}: {said}\n", timestamp());
    let trace = std::backtrace::Backtrace::capture();
    if trace.status() == std::backtrace::BacktraceStatus::Captured {
        // Writing to a string does not fail.
        let _ = writeln!(line, "{trace}");
    }
    line
}

/// Says on standard output that the program is ready. Whoever started it may have closed that, or may not
/// read it: the program is ready all the same.
pub fn ready(line: String) {
    let said = std::thread::Builder::new().name("ready".to_owned()).spawn(move || {
        let mut out = io::stdout().lock();
        // Nobody listens: then nobody needs to know.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    });
    // Without a thread for it nothing is said.
    drop(said);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing until it is told to, as a pipe that nobody empties.
    struct Stuck {
        open: Arc<(Mutex<bool>, Condvar)>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (open, told) = &*self.open;
            drop(told.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            self.taken.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_variable_says_what_is_logged_and_where_it_cannot_be_read_the_program_does() {
        let told = targets(Some("info,quinn=debug"), "warn");
        assert!(told.would_enable("quinn::connection", &tracing::Level::DEBUG));
        assert!(told.would_enable("hub::session", &tracing::Level::INFO));
        assert!(!told.would_enable("hub::session", &tracing::Level::DEBUG));
        for unreadable in [None, Some(""), Some("hub=loud")] {
            assert_eq!(targets(unreadable, "info,sled=warn"), "info,sled=warn".parse().unwrap());
        }
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_nobody_waits() {
        let queue = Arc::new(Queue::default());
        let open: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
        let out = Stuck { open: open.clone(), taken: taken.clone() };
        let writer = queue.clone();
        std::thread::spawn(move || writer.write_to(out));
        let line = vec![b'x'; MOST_BYTES / 8];
        for _ in 0..100 {
            queue.push(&line);
        }
        let lost = queue.waiting().lost;
        assert!(lost >= 90, "{lost}");
        assert!(queue.waiting().bytes <= MOST_BYTES);
        queue.flush(Duration::from_millis(10));
        *open.0.lock().unwrap() = true;
        open.1.notify_all();
        queue.flush(Duration::from_secs(60));
        let taken = taken.lock().unwrap();
        let said = String::from_utf8_lossy(&taken);
        assert!(said.contains(&format!("{lost} lines of this log were lost")), "it is said");
        assert_eq!(queue.waiting().lost, 0, "and counted anew");
    }

    /// As `/dev/full` does.
    struct Refuses;

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_standard_error_does_not_take_is_counted_as_lost() {
        let queue = Arc::new(Queue::default());
        let writer = queue.clone();
        std::thread::spawn(move || writer.write_to(Refuses));
        for _ in 0..3 {
            queue.push(b"a line\n");
        }
        queue.flush(Duration::from_secs(60));
        assert_eq!(queue.waiting().lost, 3);
    }
}
