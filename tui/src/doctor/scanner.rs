//! `stempel doctor scanner`: shows what arrives from a scanner, what the desk makes of it, and what to set. Nothing of it
//! is kept.
//!
//! Where standard input is no terminal, what comes from it is one scan after the other, without times: so a test, or
//! somebody with a file of bytes, asks the same question.

use std::io::{self, IsTerminal, Read as _, Write};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind};
use i18n_embed_fl::fl;
use service::text::printable;
use tokio::sync::mpsc;

use crate::clock;
use crate::i18n::Texts;
use crate::keys;
use crate::scan::wedge::{Pressed, control_character, keys_of};
use crate::scan::{Advice, Arrived, Known, Read, Reading, Settings};
use crate::terminal::{Ended, Interruption, RawLines, Signals};

/// Milliseconds without a key after which a scan is complete: longer than between the slowest scanner's characters.
const COMPLETE: Duration = Duration::from_millis(600);

/// Bytes of standard input that are looked at, at the most, where it is no terminal.
const MOST_BYTES: u64 = 64 * 1024;

/// Keys that wait to be looked at, at the most.
const QUEUE: usize = 256;

/// Shows what arrives until Esc or Ctrl-C is pressed alone, standard input ends, or a signal comes. The terminal is then
/// as it was.
///
/// # Errors
/// Whatever the terminal says.
pub async fn run(
    settings: &Settings,
    codes: Option<&[String]>,
    texts: &Texts,
) -> io::Result<Ended> {
    let known = Known { settings, codes };
    if codes.is_none() {
        say(&fl!(texts.loader, "doctor-scanner-no-desk"))?;
    }
    if !io::stdin().is_terminal() {
        let mut bytes = Vec::new();
        io::stdin().lock().take(MOST_BYTES).read_to_end(&mut bytes)?;
        let keys = keys_of(&String::from_utf8_lossy(&bytes), 0, 0);
        for scan in keys.split_inclusive(|pressed| is_end(&pressed.key)) {
            report(scan, false, known, texts)?;
        }
        return Ok(Ended::Quit);
    }
    let mut signals = Signals::listen()?;
    let mut raw = RawLines::take()?;
    say(&fl!(texts.loader, "doctor-scanner-begin"))?;
    let mut events = events();
    let mut keys: Vec<Pressed> = Vec::new();
    loop {
        let came = tokio::select! {
            interruption = signals.next() => match interruption {
                Interruption::End(signal) => return Ok(Ended::Signal(signal)),
                Interruption::Suspend => {
                    raw.suspend();
                    continue;
                }
                // Whoever had the terminal meanwhile left it in another mode.
                Interruption::Resume => {
                    raw.resume()?;
                    continue;
                }
            },
            came = events.recv() => match came {
                Some(came) => Some(came),
                None => return Err(io::Error::other("the terminal gives no keys any more")),
            },
            () = tokio::time::sleep(COMPLETE), if !keys.is_empty() => None,
        };
        match came {
            Some((Event::Key(key), at)) if key.kind == KeyEventKind::Press => {
                keys.push(Pressed { key, at, screen: 0 });
            }
            Some((Event::Paste(text), at)) => {
                report(&keys_of(&text, at, 0), true, known, texts)?;
                keys.clear();
            }
            Some(_) => {}
            None => {
                let ends = |key: &KeyEvent| key.code == KeyCode::Esc || keys::is_interrupt(key);
                if keys.iter().all(|pressed| ends(&pressed.key)) {
                    return Ok(Ended::Quit);
                }
                report(&keys, false, known, texts)?;
                keys.clear();
            }
        }
    }
}

/// What comes from the terminal, and when.
fn events() -> mpsc::Receiver<(Event, i64)> {
    let (sender, events) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send((event, clock::steady())).is_err() {
                return;
            }
        }
    });
    events
}

fn is_end(key: &KeyEvent) -> bool {
    matches!(key.code, KeyCode::Enter | KeyCode::Tab) || control_character(key) == Some('\n')
}

fn report(keys: &[Pressed], pasted: bool, known: Known<'_>, texts: &Texts) -> io::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    for line in explained(&Arrived::of(keys, known), pasted, known.settings, texts) {
        say(&line)?;
    }
    say("")
}

/// What arrived, in words: what came, what the desk makes of it, what to set.
fn explained(arrived: &Arrived, pasted: bool, settings: &Settings, texts: &Texts) -> Vec<String> {
    let loader = &texts.loader;
    let (keys, text) = (arrived.keys, arrived.visible.as_str());
    let mut lines = vec![fl!(loader, "doctor-scanner-came", keys = keys, text = text)];
    match arrived.gaps {
        _ if pasted => lines.push(fl!(loader, "doctor-scanner-pasted")),
        Some((shortest, average, longest)) if longest > 0 => lines.push(fl!(
            loader,
            "doctor-scanner-gaps",
            shortest = shortest,
            average = average,
            longest = longest
        )),
        Some(_) | None => {}
    }
    if arrived.lines.is_empty() {
        lines.push(fl!(loader, "doctor-scanner-keys"));
        return lines;
    }
    for line in &arrived.lines {
        let Some(Read { reading, put_right, .. }) = line.line() else {
            lines.push(fl!(loader, "not-read-no-enter"));
            continue;
        };
        match reading {
            Reading::Nothing => {}
            Reading::Card(_) if arrived.is_chip() => lines.push(fl!(loader, "doctor-scanner-chip")),
            Reading::Card(_) => lines.push(fl!(loader, "doctor-scanner-card")),
            Reading::Code(_) => lines.push(fl!(loader, "doctor-scanner-code")),
            Reading::NotRead(why) => lines.push(texts.not_read(*why)),
        }
        for what in put_right {
            let what = texts.put_right(*what);
            lines.push(fl!(loader, "doctor-scanner-put-right", what = what));
        }
    }
    let advice = |advice: Advice| format!("→ {}", texts.advice(advice, settings));
    lines.extend(arrived.advice().into_iter().map(advice));
    lines
}

/// A line that is fit for a terminal, which may be raw.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let end = if out.is_terminal() { "\r\n" } else { "\n" };
    write!(out, "{}{end}", printable(line)).and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Language;
    use crate::scan::Layout;

    #[test]
    fn what_a_scanner_is_to_be_set_to_is_said_in_words() {
        let (settings, texts) = (Settings::default(), Texts::new(Language::En));
        let known = Known { settings: &settings, codes: Some(&[]) };
        let said = |text: &str| {
            explained(&Arrived::of(&keys_of(text, 0, 0), known), false, &settings, &texts)
                .join("\n")
        };
        let prefixed = said("]C10900000095902\r");
        assert!(prefixed.contains("]C10•••••••••••2⏎"), "{prefixed}");
        assert!(prefixed.contains("Read: the number of a pass."), "{prefixed}");
        assert!(prefixed.contains("→ Switch prefixes off"), "{prefixed}");
        assert!(!prefixed.contains("0900000095902"), "{prefixed}");
        assert!(said("0900000095902").contains("→ Let the scanner send Enter"));
        assert!(said("STAFF-0042\r").contains("no code of this desk"));
        // A Belgian scanner on a computer with QWERTY; and the other way round, with a digit lost.
        let moved = Layout::Qwerty.of_scanner(Layout::Belgian, "0900000067513").unwrap() + "\r";
        assert!(said(&moved).contains("this computer (QWERTY)"), "{}", said(&moved));
        assert!(said("àçààààà§è(&\"\r").contains("this computer (Belgian AZERTY)"));
    }

    #[test]
    fn how_fast_a_scanner_must_be_is_as_the_desk_is_set() {
        let settings = Settings { gap: 400, ..Settings::default() };
        let known = Known { settings: &settings, codes: Some(&[]) };
        let slow = Arrived::of(&keys_of("0900000095902\r", 0, 50), known);
        let said = explained(&slow, false, &settings, &Texts::new(Language::En)).join("\n");
        let said = said.replace(['\u{2068}', '\u{2069}'], "");
        assert!(said.contains("Above 400 ms"), "{said}");
    }
}
