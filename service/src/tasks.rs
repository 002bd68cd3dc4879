//! Tasks that do not die unnoticed. A task that fails, or panics, is said, counted and started again, with
//! waits between that grow to a bound; who shows a status can ask how each of them is.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The wait before a task that failed is started again; it doubles with each failure in a row.
const WAIT_FIRST: Duration = Duration::from_millis(100);

/// The longest wait: a task that fails at every start costs no more than one start in so long.
const WAIT_LONGEST: Duration = Duration::from_secs(30);

/// A task that ran for so long was well: what comes after is a failure of its own.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// A task that failed so often in a row does not merely have bad luck.
const FAILS_FROM: u32 = 3;

/// How a task is that has failed at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// How often, since the program started.
    pub times: u64,
    /// How often without having run well in between.
    pub in_a_row: u32,
    /// When last.
    pub at: Instant,
    /// Why last, for operators.
    pub why: String,
}

impl Failed {
    /// Whether the task does not run, as far as can be told: it failed several times in a row, the last time not long
    /// ago.
    pub fn still_fails(&self) -> bool {
        self.in_a_row >= FAILS_FROM && self.at.elapsed() < WAIT_LONGEST + WELL_AFTER
    }
}

/// The tasks that have failed, by name.
pub type Failures = BTreeMap<&'static str, Failed>;

/// The tasks of a program.
#[derive(Debug, Clone, Default)]
pub struct Tasks(Arc<watch::Sender<Failures>>);

impl Tasks {
    /// Which tasks have failed, now and whenever one fails.
    pub fn failures(&self) -> watch::Receiver<Failures> {
        self.0.subscribe()
    }

    /// Runs a task for as long as the program runs. `make` makes it anew when it has failed; one that ends with `Ok`
    /// has done its work and is not started again.
    pub fn supervise<F, E>(
        &self,
        name: &'static str,
        mut make: impl FnMut() -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let tasks = self.clone();
        tokio::spawn(async move {
            let mut in_a_row = 0;
            loop {
                let begun = Instant::now();
                // What a panic leaves half done is what the task itself shares, and it is made anew.
                let run = AssertUnwindSafe(async { make().await }).catch_unwind().await;
                let why = match run {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(panic) => panic_text(panic.as_ref()),
                };
                in_a_row = if begun.elapsed() >= WELL_AFTER { 1 } else { in_a_row + 1 };
                tasks.note(name, why, in_a_row);
                tokio::time::sleep(wait_after(in_a_row)).await;
            }
        })
    }

    /// Runs a task that has its own end, such as one session of many. Where it panics that is said and counted under
    /// this name.
    pub fn once(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let tasks = self.clone();
        tokio::spawn(async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                tasks.note(name, panic_text(panic.as_ref()), 1);
            }
        })
    }

    fn note(&self, name: &'static str, why: String, in_a_row: u32) {
        self.0.send_modify(|failures| {
            let times = failures.get(name).map_or(0, |failed| failed.times) + 1;
            tracing::error!(task = name, times, in_a_row, why, "a task failed");
            failures.insert(name, Failed { times, in_a_row, at: Instant::now(), why });
        });
    }
}

/// How long is waited before a task is started that failed so often in a row.
fn wait_after(in_a_row: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(in_a_row.saturating_sub(1));
    WAIT_FIRST.saturating_mul(doubled).min(WAIT_LONGEST)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", said.unwrap_or("nothing that can be printed"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_fails_is_started_again_and_counted() {
        let tasks = Tasks::default();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        let task = tasks.supervise("example", move || {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                match run {
                    0 => panic!("half way"),
                    1 | 2 => Err("no"),
                    _ => Ok(()),
                }
            }
        });
        task.await.unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        let failures = tasks.failures().borrow().clone();
        let failed = &failures["example"];
        assert_eq!((failed.times, failed.in_a_row, failed.why.as_str()), (3, 3, "no"));
        assert!(failed.still_fails());
    }

    #[test]
    fn a_task_that_always_fails_is_started_at_intervals_that_grow_to_a_bound() {
        let waits: Vec<_> = (1..=12).map(wait_after).collect();
        assert_eq!(waits[0], WAIT_FIRST);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert_eq!(wait_after(u32::MAX), WAIT_LONGEST);
    }

    #[tokio::test]
    async fn a_session_that_panics_is_counted_and_ends_alone() {
        let tasks = Tasks::default();
        tasks.once("session", async { panic!("a pass of lead") }).await.unwrap();
        tasks.once("session", async {}).await.unwrap();
        let failures = tasks.failures().borrow().clone();
        assert_eq!(failures["session"].times, 1);
        assert!(failures["session"].why.contains("a pass of lead"));
        assert!(!failures["session"].still_fails());
    }
}
