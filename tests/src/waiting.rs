//! What tests wait for: conditions, never times.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::{Desk, Hub, PATIENCE, pass_number};

/// A desk is asked again at each of its events, and so often where none comes: not all that can be asked about is
/// announced by one.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

impl Desk {
    /// Waits until this question to the desk has this answer.
    ///
    /// # Panics
    /// Where that does not come.
    pub async fn wait_until<T: PartialEq + Debug>(
        &self,
        what: &str,
        wanted: T,
        ask: impl AsyncFn() -> T,
    ) {
        let begun = Instant::now();
        let mut events = self.client.events().await.expect("the daemon answers");
        loop {
            let answer = ask().await;
            if answer == wanted {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} did not come: wanted {wanted:?}, and it is {answer:?}, at {:?}",
                self.client.status().await
            );
            // What comes is not looked at: an event says only that something has changed.
            if let Ok(event) = tokio::time::timeout(ASKED_AGAIN, events.next()).await {
                event.expect("the events go on").expect("an event is one");
            }
        }
    }

    /// Waits until this desk knows the n-th pass. What the hub changed before it made that pass is here then, too.
    ///
    /// # Panics
    /// Where that does not come.
    pub async fn learns(&self, n: u32) {
        let ask = async || self.client.pass(&pass_number(n)).await.is_ok();
        self.wait_until(&format!("pass {n}"), true, ask).await;
    }
}

impl Hub {
    /// Waits until this question to the hub has this answer. Asking starts a program, so no pause is needed.
    ///
    /// # Panics
    /// Where that does not come.
    pub fn wait_until<T: PartialEq + Debug>(
        &self,
        what: &str,
        wanted: &T,
        ask: impl Fn(&Self) -> T,
    ) {
        let begun = Instant::now();
        loop {
            let answer = ask(self);
            if answer == *wanted {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} did not come: wanted {wanted:?}, and it is {answer:?}"
            );
        }
    }
}
