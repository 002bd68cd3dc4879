//! The console as lines, for screen readers: one line for each thing that happens, and one for each number that is
//! typed.

use std::collections::VecDeque;
use std::io::{self, Write};

use crdt_model::catalogue::Programme;
use crdt_model::decide::VerdictKind;
use crdt_model::entry::EntryRef;
use crossterm::event::KeyCode;
use hardware::reader::ReaderEvent;
use i18n_embed_fl::fl;
use syncd::desk_api::client::DeskClient;
use syncd::desk_api::types::{Answer, Event, Health, HistoryRow, HubLink, HubState, Status};
use tokio::sync::mpsc;

use crate::app::{Command, Message, Model, ReaderState};
use crate::feedback;
use crate::i18n::{Language, Texts, sign};
use crate::readers::Readers;
use crate::surroundings::{Surroundings, now};
use crate::wedge::{Scanned, Settings};

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
    Pass(Scanned),
    Undo,
    Help,
    Quit,
    Nothing,
}

impl Line {
    fn of(text: &str, scanner: &Settings) -> Self {
        let text = text.trim();
        match (text, text.split_once(' ')) {
            ("", _) => return Self::Nothing,
            ("u" | "U", _) => return Self::Undo,
            ("?", _) => return Self::Help,
            ("q" | "Q", _) => return Self::Quit,
            (_, Some(("c" | "C", code))) => {
                return Self::Pass(Scanned::Code(code.trim().to_owned()));
            }
            _ => {}
        }
        if let Some(code) = scanner.marked(text) {
            return Self::Pass(scanner.meaning(code));
        }
        Self::Pass(match scanner.meaning(text) {
            // Whatever is typed means a card, and the daemon says where it is none: as a code it would turn the next
            // visitor away. But an address is nobody's number.
            Scanned::Code(typed) if !typed.contains("://") => Scanned::Card(typed),
            meant => meant,
        })
    }
}

/// The desk as lines: cards on the readers and numbers that are typed are taps, and each thing that happens is a
/// line. It runs until somebody quits it.
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
    let mut model = Model::new(language, readers.slots(), now());
    let (surroundings, mut heard) = Surroundings::start(client, &readers, feedback)?;
    let mut typed = typed_lines();
    let mut said = Said::default();
    say(&fl!(texts.loader, "plain-help"))?;
    loop {
        let message = tokio::select! {
            Some(line) = typed.recv() => match Line::of(&line, &scanner) {
                Line::Pass(scanned) => Message::Scan(scanned),
                Line::Undo => Message::Key(KeyCode::Char('u').into()),
                Line::Help => {
                    say(&fl!(texts.loader, "plain-help"))?;
                    continue;
                }
                Line::Quit => return Ok(()),
                Line::Nothing => continue,
            },
            message = heard.recv() => match message {
                Some(message) => message,
                None => return Ok(()),
            },
        };
        let mut line = said.of(&message, &texts);
        let pressed = matches!(message, Message::Key(_));
        let gone = matches!(message, Message::DaemonGone);
        model.update(Message::Tick(now()));
        let commands = model.update(message);
        if let (true, true, Some((notice, _))) = (pressed, commands.is_empty(), &model.notice) {
            line = Some(again(texts.notice(notice)));
        }
        for command in commands {
            // Names and pictures stay where they are: what a terminal was sent, it keeps.
            if !matches!(command, Command::OpenHolder(_) | Command::LoadRewards(_)) {
                surroundings.carry_out(command);
            }
        }
        for line in line.into_iter().chain(said.news(&model, gone, &texts)) {
            say(&line)?;
        }
    }
}

/// Lines from standard input. Where it ends the desk goes on: there are readers.
fn typed_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
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
        Message::Scan(Scanned::Code(_)) => Some(fl!(loader, "code-scanned")),
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
    let link = match &status.hub {
        HubLink::Connected => fl!(texts.loader, "status-connected"),
        HubLink::Offline { .. } => {
            let since = jiff::Timestamp::from_millisecond(status.hub_since)
                .unwrap_or_default()
                .to_zoned(crate::surroundings::venue_zone());
            let time = since.strftime("%H:%M").to_string();
            if status.records() {
                fl!(texts.loader, "status-offline", time = time)
            } else {
                fl!(texts.loader, "status-offline-only", time = time)
            }
        }
        HubLink::Refused { .. } => fl!(texts.loader, "status-refused"),
    };
    let link = format!("{link} {}", fl!(texts.loader, "status-pending", pending = status.pending));
    let mut troubles = Vec::new();
    for health in [&status.disk, &status.store, &status.clock] {
        if let Health::Trouble(trouble) = health {
            troubles.push(format!("✖ {}", texts.trouble(trouble)));
        }
    }
    // A desk that records nothing: that is said first.
    let place = if status.records() { 0 } else { troubles.len() };
    troubles.insert(place, link);
    troubles.join(" ")
}

#[cfg(test)]
mod tests {
    use syncd::desk_api::types::{Kind, Outcome};

    use super::*;
    use crate::wedge::ExternalCode;

    fn scanner(prefix: &str) -> Settings {
        let external = ExternalCode {
            card_type: "museumkaart".to_owned(),
            begins: String::new(),
            lengths: vec![8],
        };
        Settings {
            prefix: prefix.to_owned(),
            external_cards: vec![external],
            ..Settings::default()
        }
    }

    #[test]
    fn whatever_is_typed_is_a_card_and_no_code_for_the_next_visitor() {
        let of = |text: &str| Line::of(text, &scanner(""));
        let card = |text: &str| Line::Pass(Scanned::Card(text.to_owned()));
        for text in ["0900000095902", "090000009590", "09000000959022", "0478x", "kiosk:77"] {
            assert_eq!(of(text), card(text));
        }
        assert_eq!(of("12345678"), card("museumkaart:12345678"), "as the console has it");
        let code = |text: &str| Line::Pass(Scanned::Code(text.to_owned()));
        assert_eq!(of("c LGIWNWB"), code("LGIWNWB"));
        assert_eq!(of("https://uitpas.be/checkin/5a"), code("https://uitpas.be/checkin/5a"));
        for (text, line) in
            [(" ", Line::Nothing), ("u", Line::Undo), ("?", Line::Help), ("Q", Line::Quit)]
        {
            assert_eq!(of(text), line);
        }
    }

    #[test]
    fn what_the_scanner_marks_is_what_it_means() {
        let of = |text: &str| Line::of(text, &scanner("~"));
        assert_eq!(of("~0900000095902"), Line::Pass(Scanned::Card("0900000095902".to_owned())));
        assert_eq!(of("~LGIWNWB"), Line::Pass(Scanned::Code("LGIWNWB".to_owned())));
        assert_eq!(of("LGIWNWB"), Line::Pass(Scanned::Card("LGIWNWB".to_owned())), "typed");
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
