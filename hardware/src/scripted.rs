//! A reader that plays a script: for demonstrations and tests without hardware.

use std::time::Duration;

use crdt_model::ids::{ChipNumber, ChipNumberError};
use thiserror::Error;

use crate::reader::{Reader, ReaderEvent, Session};

/// One line of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `tap CHIP`: a card is put on the reader.
    Tap(ChipNumber),
    /// `remove`: the card is taken away.
    Remove,
    /// `wait MILLISECONDS`.
    Wait(Duration),
}

/// Why a text is not a script.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} of the script: {why}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// A reader that plays a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedReader {
    steps: Vec<Step>,
    again: bool,
}

impl ScriptedReader {
    /// A reader that plays these steps, and where `again` is set begins anew at their end.
    pub fn new(steps: Vec<Step>, again: bool) -> Self {
        Self { steps, again }
    }

    /// The reader of a script: one step a line, `#` begins a remark, `again` at the end plays it
    /// for ever.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub fn parse(script: &str) -> Result<Self, ScriptError> {
        let (mut steps, mut again) = (Vec::new(), false);
        for (place, text) in script.lines().enumerate() {
            let wrong = |why: &str| ScriptError { line: place + 1, why: why.to_owned() };
            let plain = text.split('#').next().unwrap_or_default();
            let mut words = plain.split_whitespace();
            let step = match (words.next(), words.next(), words.next()) {
                (None, ..) => continue,
                (Some("tap"), Some(chip), None) => {
                    let chip = chip.parse().map_err(|e: ChipNumberError| wrong(&e.to_string()))?;
                    Step::Tap(chip)
                }
                (Some("remove"), None, _) => Step::Remove,
                (Some("wait"), Some(time), None) => {
                    let time = time.parse().map_err(|_| wrong("wait takes milliseconds"))?;
                    Step::Wait(Duration::from_millis(time))
                }
                (Some("again"), None, _) => {
                    again = true;
                    continue;
                }
                _ => return Err(wrong("a step is: tap CHIP, remove, wait MILLISECONDS or again")),
            };
            steps.push(step);
        }
        let waits = steps.iter().any(|step| matches!(step, Step::Wait(time) if !time.is_zero()));
        if again && !waits {
            let line = script.lines().count();
            return Err(ScriptError {
                line,
                why: "a script that goes on for ever must wait".to_owned(),
            });
        }
        Ok(Self { steps, again })
    }
}

impl Reader for ScriptedReader {
    fn run(&mut self, session: &Session) {
        if !session.say(ReaderEvent::Ready { name: "script".to_owned() }) {
            return;
        }
        let mut present = None;
        loop {
            for step in &self.steps {
                let going_on = match step {
                    Step::Tap(chip) => {
                        present = Some(*chip);
                        session.say(ReaderEvent::tapped(*chip))
                    }
                    Step::Remove => {
                        present.take().is_none_or(|chip| session.say(ReaderEvent::Removed(chip)))
                    }
                    Step::Wait(time) => session.wait(*time),
                };
                if !going_on || session.is_over() {
                    return;
                }
            }
            if !self.again {
                // The reader stays plugged in when its script is over.
                while session.wait(Duration::from_secs(3600)) {}
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::spawn;

    #[test]
    fn a_script_is_played_in_order() {
        let script =
            "# two cards\ntap 04784CDAEE3880\nremove\nwait 1\ntap 04363CDAEE3880 # second\n";
        let mut handle = spawn(ScriptedReader::parse(script).unwrap()).unwrap();
        let events = handle.events().unwrap();
        let chip = |text: &str| text.parse::<ChipNumber>().unwrap();
        let first: Vec<_> = events.iter().take(4).collect();
        assert_eq!(
            first,
            [
                ReaderEvent::Ready { name: "script".to_owned() },
                ReaderEvent::tapped(chip("04784CDAEE3880")),
                ReaderEvent::Removed(chip("04784CDAEE3880")),
                ReaderEvent::tapped(chip("04363CDAEE3880")),
            ]
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        let said = |script: &str| ScriptedReader::parse(script).unwrap_err().to_string();
        assert!(
            said("wait 5\ntap 0478")
                .starts_with("line 2 of the script: a chip number has 4, 7 or 10")
        );
        assert!(said("jump").starts_with("line 1 of the script: a step is"));
        assert!(said("tap 04784CDAEE3880\nagain").contains("must wait"));
    }
}
