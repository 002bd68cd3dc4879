//! Whether the line still carries both ways, as the desk's side of a session finds out: it asks
//! [`crate::message::DeskMessage::Beat`] and the hub answers with its clock.
//!
//! QUIC alone notices a dead line after its idle time-out, and a line that carries one way only does not
//! look dead to it for as long as anything arrives. Time is an argument here, as everywhere in this crate.

use std::collections::VecDeque;

/// Milliseconds on a clock that nobody sets: only differences mean something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u64);

impl Ticks {
    /// So many milliseconds later.
    #[must_use]
    pub fn plus(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to here; 0 where `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Between two beats of an idle desk: 5 s. A beat, its answer and QUIC's acknowledgement are 230 bytes
/// with all headers, so an open day of ten hours costs 1.6 MB. Twice as rare would save 0.8 MB a day, and a
/// clock that jumps or a hub that is gone would be noticed 5 s later.
pub const BEAT_EVERY: u64 = 5_000;

/// Entries that wait for their acknowledgement for so long make the next beat due: 1 s, which is longer than the
/// hub takes on a good line, so that an ordinary tap costs no beat.
pub const ASK_AFTER: u64 = 1_000;

/// A beat without an answer is repeated after so long, so that three are missing before the line is given up.
pub const ASK_AGAIN: u64 = 2_000;

/// A line on which something is unanswered and nothing at all arrives for so long is given up: 6 s, longer than
/// QUIC needs to bring a packet across a line with 10 % loss and a second of delay.
pub const PATIENCE: u64 = 6_000;

/// A line that works, but on which the hub says nothing for so long, is given up: 30 s. A hub may be busy with an
/// import; desks that then all come back at once would make that worse.
pub const HUB_PATIENCE: u64 = 30_000;

/// A hub ends the session of a desk that has sent beats and then says nothing for so long: 20 s, four beats. Longer
/// than [`PATIENCE`], for the desk is to notice first: it knows what waits.
pub const DESK_SILENCE: u64 = 20_000;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// Nothing before then.
    Quiet {
        /// When to look again, at the latest.
        until: Ticks,
    },
    /// A beat is to be sent.
    Beat {
        /// Its number.
        number: u64,
        /// When to look again, at the latest.
        until: Ticks,
    },
    /// The line is dead: it is to be closed, and another one opened.
    Silent {
        /// For how long nothing came, in milliseconds.
        for_ms: u64,
    },
}

/// The desk's beats on one line.
#[derive(Debug, Default)]
pub struct Heartbeat {
    begun: bool,
    /// The hub has said that it answers beats.
    answered_here: bool,
    /// Beats without an answer, oldest first. The hello is number 0. At most [`HUB_PATIENCE`] / [`ASK_AGAIN`] while the
    /// hub says nothing; a hub that waits minutes for its database says that it lives, and is asked on.
    asked: VecDeque<(u64, Ticks)>,
    next_number: u64,
    last_asked: Ticks,
    /// When the hub said something last.
    spoken: Ticks,
    /// When the line last showed that packets of this desk arrive.
    alive: Ticks,
    signs: u64,
    /// Entries without an acknowledgement at the last look, and at the last answer.
    waiting: u64,
    settled: u64,
    waiting_since: Option<Ticks>,
}

impl Heartbeat {
    /// Looks at the time. `waiting` is how many entries have no acknowledgement; `signs` counts whatever shows that
    /// packets of this desk arrive at the hub, such as QUIC's acknowledgements.
    pub fn look(&mut self, now: Ticks, waiting: u64, signs: u64) -> Pulse {
        if !self.begun {
            self.begun = true;
            self.asked.push_back((0, now));
            self.next_number = 1;
            (self.last_asked, self.spoken, self.alive) = (now, now, now);
        }
        if self.signs != signs {
            self.signs = signs;
            self.alive = now;
        }
        self.settled = self.settled.min(waiting);
        self.waiting = waiting;
        self.waiting_since = (waiting > self.settled).then(|| self.waiting_since.unwrap_or(now));
        let mut until = now.plus(BEAT_EVERY);
        if let Some((_, asked)) = self.asked.front().copied() {
            let spoken = self.spoken.max(asked);
            let alive = self.alive.max(spoken);
            if now.since(alive) >= PATIENCE || now.since(spoken) >= HUB_PATIENCE {
                return Pulse::Silent { for_ms: now.since(spoken) };
            }
            until = until.min(alive.plus(PATIENCE)).min(spoken.plus(HUB_PATIENCE));
        }
        if !self.answered_here {
            return Pulse::Quiet { until };
        }
        let due = self.due();
        if now < due {
            return Pulse::Quiet { until: until.min(due) };
        }
        let number = self.next_number;
        self.next_number += 1;
        self.last_asked = now;
        self.asked.push_back((number, now));
        Pulse::Beat { number, until: until.min(now.plus(ASK_AGAIN)) }
    }

    fn due(&self) -> Ticks {
        if !self.asked.is_empty() {
            return self.last_asked.plus(ASK_AGAIN);
        }
        let idle = self.last_asked.plus(BEAT_EVERY);
        match self.waiting_since {
            Some(since) => idle.min(since.max(self.last_asked).plus(ASK_AFTER)),
            None => idle,
        }
    }

    /// The hub said something.
    pub fn heard(&mut self, now: Ticks) {
        self.spoken = now;
    }

    /// The hub answered the beat of this number, or, where it is 0, the hello. Says when that was asked; nothing
    /// where it was not.
    pub fn answered(&mut self, number: u64) -> Option<Ticks> {
        let place = self.asked.iter().position(|(asked, _)| *asked == number)?;
        let (_, at) = self.asked.drain(..=place).next_back()?;
        self.settled = self.waiting;
        self.waiting_since = None;
        Some(at)
    }

    /// The hub has said that it answers beats.
    pub fn is_answered_here(&mut self) {
        self.answered_here = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A heart whose hello was answered at once, at 0.
    fn welcomed() -> Heartbeat {
        let mut heart = Heartbeat::default();
        assert!(matches!(heart.look(Ticks(0), 0, 0), Pulse::Quiet { .. }));
        heart.heard(Ticks(0));
        assert_eq!(heart.answered(0), Some(Ticks(0)));
        heart.is_answered_here();
        heart
    }

    /// Looks when it is told to, until something is to be done.
    fn next(heart: &mut Heartbeat, mut now: Ticks, waiting: u64, signs: u64) -> (Ticks, Pulse) {
        loop {
            match heart.look(now, waiting, signs) {
                Pulse::Quiet { until } => {
                    assert!(
                        until > now,
                        "a look that changes nothing must not be repeated at once"
                    );
                    now = until;
                }
                done => return (now, done),
            }
        }
    }

    #[test]
    fn an_idle_desk_beats_and_a_dead_line_is_given_up_after_three_beats() {
        let mut heart = welcomed();
        let (at, pulse) = next(&mut heart, Ticks(0), 0, 0);
        assert_eq!((at, matches!(pulse, Pulse::Beat { number: 1, .. })), (Ticks(BEAT_EVERY), true));
        heart.heard(at.plus(30));
        assert_eq!(heart.answered(1), Some(at));
        let (at, _) = next(&mut heart, at.plus(30), 0, 0);
        assert_eq!(at, Ticks(2 * BEAT_EVERY));
        let (mut now, mut beats) = (at, 1);
        let gone = loop {
            match next(&mut heart, now, 0, 0) {
                (at, Pulse::Silent { .. }) => break at,
                (at, _) => (now, beats) = (at, beats + 1),
            }
        };
        assert_eq!((gone.since(at), beats), (PATIENCE, 3));
    }

    #[test]
    fn entries_without_an_acknowledgement_ask_at_once_and_those_that_are_set_apart_do_not_ask_for_ever()
     {
        let mut heart = welcomed();
        heart.look(Ticks(1_000), 3, 0);
        let (at, _) = next(&mut heart, Ticks(1_000), 3, 0);
        assert_eq!(at, Ticks(1_000 + ASK_AFTER));
        heart.heard(at);
        heart.answered(1);
        let (later, _) = next(&mut heart, at, 3, 0);
        assert_eq!(later, at.plus(BEAT_EVERY), "the line is good: the hub has its reasons");
    }

    /// A backlog on a slow line, a large catalogue on its way: the answer waits behind it.
    #[test]
    fn a_line_that_carries_something_is_not_given_up() {
        let (mut heart, mut now, mut spoken) = (welcomed(), Ticks(0), Ticks(0));
        for signs in 0..20 {
            heart.heard(now);
            spoken = now;
            now = now.plus(PATIENCE - 1);
            assert!(!matches!(heart.look(now, 500, signs), Pulse::Silent { .. }), "{now:?}");
        }
        // The hub's system takes the packets, but the hub itself says nothing more.
        let mut signs = 100;
        let gone = loop {
            signs += 1;
            now = now.plus(1_000);
            if let Pulse::Silent { .. } = heart.look(now, 500, signs) {
                break now;
            }
        };
        assert!((HUB_PATIENCE..HUB_PATIENCE + 1_000).contains(&gone.since(spoken)), "{gone:?}");
    }

    #[test]
    fn a_hub_that_does_not_answer_the_hello_is_given_up_and_one_of_an_older_release_is_asked_nothing()
     {
        let mut heart = Heartbeat::default();
        let (at, pulse) = next(&mut heart, Ticks(7), 0, 0);
        assert_eq!((at, pulse), (Ticks(7 + PATIENCE), Pulse::Silent { for_ms: PATIENCE }));
        let mut heart = Heartbeat::default();
        heart.look(Ticks(0), 0, 0);
        heart.answered(0);
        for now in (0..1_000_000).step_by(777) {
            assert!(matches!(heart.look(Ticks(now), 9, 0), Pulse::Quiet { .. }));
        }
    }

    #[test]
    fn an_answer_that_nobody_asked_for_measures_nothing() {
        let mut heart = welcomed();
        assert_eq!(heart.answered(0), None);
        assert_eq!(heart.answered(1), None);
    }

    proptest! {
        /// Whatever the line does: what is unanswered stays bounded, and a line on which each beat is answered
        /// within the patience is never given up.
        #[test]
        fn a_good_line_is_never_given_up(steps in prop::collection::vec((0u64..PATIENCE, 0u64..5), 1..200)) {
            let (mut heart, mut now) = (welcomed(), Ticks(0));
            for (step, waiting) in steps {
                now = now.plus(step);
                match heart.look(now, waiting, 0) {
                    Pulse::Beat { number, .. } => {
                        heart.heard(now);
                        prop_assert_eq!(heart.answered(number), Some(now));
                    }
                    Pulse::Quiet { until } => prop_assert!(until > now),
                    Pulse::Silent { .. } => prop_assert!(false, "given up at {:?}", now),
                }
                prop_assert!(heart.asked.len() <= 1);
            }
        }

        #[test]
        fn what_is_unanswered_is_bounded_and_a_silent_line_is_given_up(waiting in 0u64..5, signs in any::<bool>()) {
            let (mut heart, mut now) = (welcomed(), Ticks(0));
            let gone = (1..1000).find(|n| {
                now = now.plus(500);
                let pulse = heart.look(now, waiting, if signs { *n } else { 0 });
                assert!(heart.asked.len() as u64 <= HUB_PATIENCE / ASK_AGAIN);
                matches!(pulse, Pulse::Silent { .. })
            });
            prop_assert!(gone.is_some());
        }
    }
}
