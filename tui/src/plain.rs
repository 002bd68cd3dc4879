//! The console as lines, for screen readers and logs: one line for each thing that happens.

use std::io::{self, Write};

use crdt_model::catalogue::Programme;
use i18n_embed_fl::fl;
use syncd::desk_api::client::{ClientError, DeskClient};
use syncd::desk_api::types::{Answer, Event, Health, HistoryRow, HubLink, Status};

use crate::i18n::{Language, Texts, sign};

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

/// Follows the daemon, a line for each thing that happens, until it ends.
///
/// # Errors
/// [`ClientError`].
pub async fn run(client: &DeskClient, language: Language) -> Result<(), ClientError> {
    let texts = Texts::new(language);
    let mut events = client.events().await?;
    let mut said = None;
    while let Some(event) = events.next().await {
        let text = match event? {
            Event::Row(row) => Some(row_line(&row, &texts)),
            Event::Status(status) => {
                let line = status_line(&status, &texts);
                (said.replace(line.clone()) != Some(line.clone())).then_some(line)
            }
            Event::Missed => None,
        };
        if let Some(text) = text {
            let mut out = io::stdout().lock();
            if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
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
                .to_zoned(crate::console::venue_zone());
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
