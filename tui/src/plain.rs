//! The console as lines, for screen readers: one line for each thing that happens, and one for each number that is
//! typed.

use std::io::{self, Write};

use crdt_model::catalogue::Programme;
use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::ids::Identification;
use crossterm::event::KeyCode;
use hardware::reader::ReaderEvent;
use i18n_embed_fl::fl;
use syncd::desk_api::client::DeskClient;
use syncd::desk_api::types::{Answer, Event, Health, HistoryRow, HubLink, Status};
use tokio::sync::mpsc;

use crate::app::{Command, Message, Model, ReaderState};
use crate::feedback;
use crate::i18n::{Language, Texts, sign};
use crate::readers::Readers;
use crate::surroundings::{Surroundings, now};
use crate::wedge::{Scanned, Settings};

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
        match text.trim() {
            "" => Self::Nothing,
            "u" | "U" => Self::Undo,
            "?" => Self::Help,
            "q" | "Q" => Self::Quit,
            // Whoever types a colon means an external card; a scanner never does.
            pass if pass.parse::<Identification>().is_ok() => {
                Self::Pass(Scanned::Card(pass.to_owned()))
            }
            other => Self::Pass(scanner.meaning(other)),
        }
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
        let line = line_about(&message, &texts);
        model.update(Message::Tick(now()));
        for command in model.update(message) {
            // Names and pictures stay where they are: what a terminal was sent, it keeps.
            if !matches!(command, Command::OpenHolder(_) | Command::LoadRewards(_)) {
                surroundings.carry_out(command);
            }
        }
        for line in line.into_iter().chain(said.news(&model, &texts)) {
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

/// What a message is as a line, where it is one. What becomes of a tap comes as a row, whoever tapped.
fn line_about(message: &Message, texts: &Texts) -> Option<String> {
    let loader = &texts.loader;
    let again = |text: String| Some(format!("{} {text}", sign(VerdictKind::Retry)));
    match message {
        Message::Daemon(Event::Row(row)) => Some(row_line(row, texts)),
        Message::Answered { answer, .. } if answer.reason == Some(Reason::InvalidUitpasNumber) => {
            Some(line(answer, texts))
        }
        Message::Failed { notice, .. } => again(texts.notice(notice)),
        Message::Scan(Scanned::Code(_)) => Some(fl!(loader, "code-scanned")),
        Message::Reader { event, .. } => again(match event {
            ReaderEvent::TwoCards => fl!(loader, "two-cards"),
            ReaderEvent::ReadError => fl!(loader, "read-error"),
            ReaderEvent::RandomUid => fl!(loader, "random-uid"),
            _ => return None,
        }),
        _ => None,
    }
}

/// How the desk was, when that was last said.
#[derive(Debug, Default)]
struct Said {
    status: Option<String>,
    reader: Option<String>,
}

impl Said {
    /// How the desk and its readers are, where that is news.
    fn news(&mut self, model: &Model, texts: &Texts) -> Vec<String> {
        let loader = &texts.loader;
        let status = match &model.status {
            Some(status) => Some(status_line(status, texts)),
            None if self.status.is_some() => Some(fl!(loader, "status-no-daemon")),
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
            fl!(texts.loader, "status-offline", time = time)
        }
        HubLink::Refused { .. } => fl!(texts.loader, "status-refused"),
    };
    let mut line =
        format!("{link} {}", fl!(texts.loader, "status-pending", pending = status.pending));
    for health in [&status.disk, &status.store, &status.clock] {
        if let Health::Trouble(trouble) = health {
            line.push_str(&format!(" ✖ {}", texts.trouble(trouble)));
        }
    }
    line
}
