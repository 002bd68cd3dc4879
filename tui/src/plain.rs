//! The console as lines, for screen readers: one line for each thing that happens, and one for each number that is
//! typed.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::time::{Duration, Instant};

use crdt_model::catalogue::Programme;
use crdt_model::decide::VerdictKind;
use crdt_model::entry::EntryRef;
use crossterm::event::KeyCode;
use desk_api::client::DeskClient;
use desk_api::types::{Answer, Event, Health, HistoryRow, HubState, Status};
use hardware::reader::ReaderEvent;
use i18n_embed_fl::fl;
use tokio::sync::mpsc;

use crate::app::{Command, Dialog, Message, Model, Question, ReaderState};
use crate::clock::{self, Moment};
use crate::feedback;
use crate::i18n::{Language, Notice, Texts, sign};
use crate::readers::Readers;
use crate::scan::{Settings, Source};
use crate::surroundings::Surroundings;
use service::out;

/// Answers of which it is known that they were said, at the most: more than the daemon's history has.
const MOST_ANSWERS: usize = 512;

/// What an answer is, in one line.
pub fn line(answer: &Answer, texts: &Texts) -> String {
    let verdict = answer.verdict;
    let mut line = format!("{} {} {}", sign(verdict), texts.word(verdict), texts.sentence(answer));
    if let Some(pass) = &answer.pass {
        line = format!("{line} {} …{}", texts.programme(Some(pass.programme)), pass.telling_digits);
        if pass.programme == Programme::Museumpass {
            line.push('.');
        } else {
            let points = fl!(texts.loader, "points-now", points = pass.points);
            line.push_str(&format!(", {points}."));
        }
    }
    line
}

/// What somebody typed, or a scanner: a line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A number or a code.
    Read(String, Source),
    Undo,
    Help,
    Quit,
    Nothing,
}

impl Line {
    fn of(text: &str) -> Self {
        let text = text.trim_end_matches(['\r', '\n']);
        match (text.trim(), text.trim().split_once(' ')) {
            ("", _) => Self::Nothing,
            ("u" | "U", _) => Self::Undo,
            ("?", _) => Self::Help,
            ("q" | "Q", _) => Self::Quit,
            (_, Some(("c" | "C", code))) => Self::Read(code.trim().to_owned(), Source::Scanned),
            // A line is typed as likely as scanned.
            _ => Self::Read(text.to_owned(), Source::Typed),
        }
    }

    /// Whether it is a yes to a question.
    fn is_yes(text: &str) -> bool {
        matches!(text.trim().to_lowercase().as_str(), "j" | "ja" | "y" | "yes")
    }

    fn is_no(text: &str) -> bool {
        matches!(text.trim().to_lowercase().as_str(), "n" | "nee" | "no")
    }
}

/// How long answers are waited for after the last line of the input was read. The daemon answers within milliseconds; one
/// that hangs must not hold up a script for ever.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How long the check-in codes of the desk are waited for before the first line of the input is read: a code that nobody
/// knows yet would not be read, and the pass on the line after it would be counted for another activity.
const CODES_WITHIN: Duration = Duration::from_secs(2);

/// The desk as lines: cards on the readers and numbers that are typed are taps, and each thing that happens is a
/// line. It runs until somebody quits it, or its input ends: then every line of the input has been answered.
///
/// # Errors
/// Those of [`Surroundings::start`].
pub async fn run(
    client: DeskClient,
    readers: Readers,
    scanner: Settings,
    feedback: feedback::Settings,
    language: Language,
) -> io::Result<()> {
    let texts = Texts::new(language);
    let mut model = Model { scanner, ..Model::new(language, readers.slots(), Moment::now()) };
    let (surroundings, mut heard) = Surroundings::start(client, &readers, feedback)?;
    let mut typed = typed_lines();
    let mut said = Said::default();
    // Questions to the daemon whose answers are owed to whoever typed them.
    let mut owed = 0_usize;
    let mut ends_at: Option<Instant> = None;
    say(&fl!(texts.loader, "plain-help"))?;
    // The next line waits for the desk's codes and for the answers to the lines before it, until these moments.
    let codes_by = tokio::time::Instant::now() + CODES_WITHIN;
    let mut answers_by = codes_by;
    while ends_at.is_none_or(|ends_at| owed > 0 && Instant::now() < ends_at) {
        let reads_at = match &model.codes {
            _ if owed > 0 => Some(answers_by),
            Some(_) => None,
            None => Some(codes_by),
        };
        let reads = reads_at.is_none_or(|reads_at| tokio::time::Instant::now() >= reads_at);
        let message = tokio::select! {
            () = tokio::time::sleep_until(reads_at.unwrap_or(codes_by)), if !reads => continue,
            line = typed.recv(), if reads && ends_at.is_none() => {
                let Some(line) = line else {
                    ends_at = Some(Instant::now() + LAST_ANSWERS_WITHIN);
                    continue;
                };
                let asked = matches!(model.dialog, Some(Dialog::Question(_)));
                match Line::of(&line) {
                    _ if asked && Line::is_yes(&line) => Message::Key(KeyCode::Enter.into()),
                    _ if asked && Line::is_no(&line) => Message::Key(KeyCode::Esc.into()),
                    Line::Read(line, source) => Message::Line(line, source),
                    // A line is no key that was pressed by mistake: it asks where it is not about what was said last.
                    Line::Undo => {
                        model.dialog = None;
                        Message::Key(KeyCode::F(2).into())
                    }
                    Line::Help => {
                        say(&fl!(texts.loader, "plain-help"))?;
                        continue;
                    }
                    Line::Quit => return Ok(()),
                    Line::Nothing => continue,
                }
            }
            message = heard.recv() => match message {
                Some(message) => message,
                None => return Ok(()),
            },
            () = tokio::time::sleep(LAST_ANSWERS_WITHIN), if ends_at.is_some() => return Ok(()),
        };
        if answers_a_line(&message) {
            owed = owed.saturating_sub(1);
        }
        let mut line = said.of(&message, &texts);
        let typed_line = matches!(message, Message::Key(_) | Message::Line(..));
        let gone = matches!(message, Message::DaemonGone);
        model.update(Message::Tick(Moment::now()));
        if typed_line {
            // What was said before about another line is no word about this one.
            model.notice = None;
        }
        let had_code = model.code.clone();
        let commands = model.update(message);
        if typed_line {
            line = said_about(&model, had_code.as_ref(), &texts).or(line);
        }
        for command in commands {
            // Names and pictures stay where they are: what a terminal was sent, it keeps.
            if !matches!(command, Command::OpenHolder(_) | Command::LoadRewards(_)) {
                if matches!(command, Command::Tap { .. } | Command::Void(_)) {
                    owed += 1;
                    // A line that takes something back is about the answer to the line before.
                    answers_by = tokio::time::Instant::now() + LAST_ANSWERS_WITHIN;
                }
                surroundings.carry_out(command);
            }
        }
        for line in line.into_iter().chain(said.news(&model, gone, &texts)) {
            say(&line)?;
        }
    }
    Ok(())
}

/// Whether a message is the answer to a line, or says that there is none. That there is no loudspeaker answers nobody.
fn answers_a_line(message: &Message) -> bool {
    match message {
        Message::Failed { notice: Notice::NoSounds { .. }, .. } => false,
        Message::Answered { .. } | Message::Failed { .. } => true,
        _ => false,
    }
}

/// Lines from standard input, until it ends. A byte that is not UTF-8, as a scanner set to Latin-1 sends, ends nothing: the
/// line is then no number, and that is said.
fn typed_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let lines = io::stdin().lock().split(b'\n').map_while(Result::ok);
        for line in lines {
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if sender.blocking_send(String::from_utf8_lossy(line).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Says what takes a line, or several.
fn say(lines: &str) -> io::Result<()> {
    lines.lines().try_for_each(|line| out::write_line(&mut io::stdout().lock(), line))
}

/// What was said: how the desk is, and the answers.
#[derive(Debug, Default)]
struct Said {
    status: Option<String>,
    reader: Option<String>,
    /// The last answers, by their time and entry, and whether what became of each was said.
    answers: VecDeque<(i64, Option<EntryRef>, bool)>,
}

impl Said {
    /// Notes an answer; whether it is news: it was not said, or something has become of it since.
    fn is_news(&mut self, answer: &Answer, became: bool) -> bool {
        let key = (answer.at, answer.entry);
        let known = self.answers.iter_mut().find(|(at, entry, _)| (*at, *entry) == key);
        if let Some((_, _, said)) = known {
            return became && !std::mem::replace(said, true);
        }
        self.answers.push_back((key.0, key.1, became));
        if self.answers.len() > MOST_ANSWERS {
            self.answers.pop_front();
        }
        true
    }

    fn row(&mut self, row: &HistoryRow, texts: &Texts) -> Option<String> {
        // That the hub has it is no news for whoever listens; that it set it apart, or counts it otherwise, is.
        let became =
            matches!(row.hub, HubState::Quarantined { .. }) || texts.outcome(row.outcome).is_some();
        self.is_news(&row.answer, became).then(|| row_line(row, texts))
    }

    /// What a message is as a line, where it is one.
    fn of(&mut self, message: &Message, texts: &Texts) -> Option<String> {
        match message {
            Message::Daemon(Event::Row(row)) => self.row(row, texts),
            Message::Answered { answer, .. } => {
                self.is_news(answer, false).then(|| line(answer, texts))
            }
            Message::History(rows) if self.answers.is_empty() => {
                // What was before this began is no news.
                for row in rows.iter().rev() {
                    self.row(row, texts);
                }
                None
            }
            // What was missed while the daemon was not heard, the oldest first.
            Message::History(rows) => {
                let missed: Vec<_> =
                    rows.iter().rev().filter_map(|row| self.row(row, texts)).collect();
                (!missed.is_empty()).then(|| missed.join("\n"))
            }
            other => line_about(other, texts),
        }
    }
}

/// What is said at once about a line: a question, an activity's code, or what could not be read or done.
fn said_about(model: &Model, had_code: Option<&(String, i64)>, texts: &Texts) -> Option<String> {
    let loader = &texts.loader;
    if let Some(Dialog::Question(Question::TakeBack(answer))) = &model.dialog {
        let time = clock::seconds(answer.at);
        let how = fl!(loader, "question-plain");
        return Some(format!("? {} {how}", texts.take_back(answer, &time)));
    }
    match &model.notice {
        Some((notice, _)) if notice.is_unread() => {
            let word = texts.word(VerdictKind::Retry);
            Some(format!("{} {word} {}", sign(VerdictKind::Retry), texts.notice(notice)))
        }
        Some((notice, _)) => Some(again(texts.notice(notice))),
        None if model.code.is_some() && model.code.as_ref() != had_code => {
            Some(fl!(loader, "code-scanned"))
        }
        None => None,
    }
}

/// What did not work, with its sign; some sentences have one of their own.
fn again(text: String) -> String {
    let sign = sign(VerdictKind::Retry);
    if text.starts_with('✖') { text } else { format!("{sign} {text}") }
}

/// What a message is as a line, where it is neither an answer nor the desk's state.
fn line_about(message: &Message, texts: &Texts) -> Option<String> {
    let loader = &texts.loader;
    match message {
        Message::Failed { notice, .. } => Some(again(texts.notice(notice))),
        Message::Reader { event, .. } => Some(again(match event {
            ReaderEvent::TwoCards => fl!(loader, "two-cards"),
            ReaderEvent::ReadError => fl!(loader, "read-error"),
            ReaderEvent::RandomUid => fl!(loader, "random-uid"),
            _ => return None,
        })),
        _ => None,
    }
}

impl Said {
    /// How the desk and its readers are, where that is news. `gone` says that the daemon does not answer.
    fn news(&mut self, model: &Model, gone: bool, texts: &Texts) -> Vec<String> {
        let loader = &texts.loader;
        let status = match &model.status {
            Some(status) => Some(status_line(status, texts)),
            None if gone || self.status.is_some() => Some(fl!(loader, "status-no-daemon")),
            None => None,
        };
        let reader = match model.reader() {
            ReaderState::None | ReaderState::Starting => None,
            ReaderState::Ready => Some(fl!(loader, "reader-ready")),
            ReaderState::Lost(why) => {
                let why = texts.no_reader(&why);
                Some(fl!(loader, "reader-lost", why = why))
            }
        };
        let mut news = Vec::new();
        for (said, now) in [(&mut self.status, status), (&mut self.reader, reader)] {
            if now.is_some() && *said != now {
                said.clone_from(&now);
                news.extend(now);
            }
        }
        news
    }
}

fn row_line(row: &HistoryRow, texts: &Texts) -> String {
    let outcome = texts.outcome(row.outcome).map_or_else(String::new, |text| format!(", {text}"));
    format!("{}: {} ({}{outcome})", row.id, line(&row.answer, texts), texts.hub(&row.hub))
}

/// The link to the hub, what waits, and what is the matter with the desk, in one line.
pub fn status_line(status: &Status, texts: &Texts) -> String {
    let since = clock::minutes(status.hub_since);
    let link = texts.link(&status.hub, &since, status.records());
    let link = format!("{link} {}", fl!(texts.loader, "status-pending", pending = status.pending));
    let mut troubles = Vec::new();
    for health in [&status.disk, &status.store, &status.clock] {
        if let Health::Trouble(trouble) = health {
            troubles.push(format!("✖ {}", texts.trouble(trouble)));
        }
    }
    troubles.extend(status.beside.iter().map(|it| format!("✖ {}", texts.trouble(it))));
    let said = Texts::in_order(status, link, troubles.join(" "));
    said.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use desk_api::types::{Kind, Outcome};

    use super::*;

    #[test]
    fn a_line_is_a_command_only_where_it_is_nothing_else() {
        for (text, line) in [
            (" ", Line::Nothing),
            ("u", Line::Undo),
            ("?", Line::Help),
            ("Q", Line::Quit),
            ("uq", Line::Read("uq".to_owned(), Source::Typed)),
            ("0900000095902\r", Line::Read("0900000095902".to_owned(), Source::Typed)),
            ("c LGIWNWB", Line::Read("LGIWNWB".to_owned(), Source::Scanned)),
        ] {
            assert_eq!(Line::of(text), line);
        }
    }

    #[test]
    fn a_line_that_is_no_card_and_no_code_is_said_and_leaves_the_next_pass_alone() {
        let texts = Texts::new(Language::En);
        let mut model = Model::new(Language::En, Vec::new(), Moment::default());
        model.codes = Some(vec!["LGIWNWB".to_owned()]);
        let mut said = |line: &str| {
            let (had, Line::Read(line, source)) = (model.code.clone(), Line::of(line)) else {
                panic!("{line} is a command")
            };
            model.notice = None;
            let commands = model.update(Message::Line(line, source));
            (commands, said_about(&model, had.as_ref(), &texts).unwrap_or_default())
        };
        for line in ["STAFF-0042", "090000009590", "0478x", "kiosk:77", "https://example.org/5a"] {
            let (_, words) = said(line);
            assert!(words.starts_with("↻ RETRY Not read"), "{line}: {words}");
        }
        let (commands, _) = said("0900000067513");
        let card = "0900000067513".to_owned().into();
        assert_eq!(commands, [Command::Tap { card, code: None }]);
        assert!(said("lgiwnwb").1.starts_with("Activity scanned"));
    }

    #[test]
    fn an_answer_is_said_once_whichever_way_it_comes_and_again_when_the_hub_sees_it_otherwise() {
        let texts = Texts::new(Language::Nl);
        let answer = |at| Answer::without_pass(Kind::CheckIn, at);
        let row = |at, hub, outcome| HistoryRow { id: 1, answer: answer(at), hub, outcome };
        let answered = |at| Message::Answered { answer: Box::new(answer(at)), card: None };
        let event = |row| Message::Daemon(Event::Row(Box::new(row)));
        let mut said = Said::default();
        let before = vec![row(1, HubState::Accepted, Outcome::Counted)];
        assert_eq!(said.of(&Message::History(before), &texts), None, "before this began");
        assert!(said.of(&answered(5), &texts).is_some());
        assert_eq!(said.of(&event(row(5, HubState::Waiting, Outcome::Counted)), &texts), None);
        assert_eq!(said.of(&event(row(5, HubState::Accepted, Outcome::Counted)), &texts), None);
        let over = || event(row(5, HubState::Accepted, Outcome::OverLimit));
        assert!(said.of(&over(), &texts).is_some());
        assert_eq!(said.of(&over(), &texts), None);
        // The event first, and then the answer.
        assert!(said.of(&event(row(7, HubState::Waiting, Outcome::Counted)), &texts).is_some());
        assert_eq!(said.of(&answered(7), &texts), None);
        let missed = vec![row(9, HubState::Waiting, Outcome::Counted)];
        assert!(said.of(&Message::History(missed), &texts).is_some(), "while nobody was heard");
    }
}
