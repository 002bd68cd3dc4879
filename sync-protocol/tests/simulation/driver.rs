//! A driver of the hub's machine that knows nothing: what is asked and said is written down.

use crdt_model::time::UnixMillis;
use sync_protocol::feed::{Found, HubClock, KnownDesk, Need, Standing, Taken, Tops};
use sync_protocol::frame::FrameReader;
use sync_protocol::heartbeat::Ticks;
use sync_protocol::hub::{End, HubSession, Step};
use sync_protocol::message::{Batch, HubMessage};
use sync_protocol::runs::{Run, RunTable};

use crate::desk::Desk;

pub(crate) const CLOCK: HubClock = HubClock { wall: UnixMillis(0), doubtful: false };

pub(crate) fn session() -> HubSession {
    HubSession::new(Ticks(0), CLOCK)
}

/// What a session asked and said until it waited.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) needs: Vec<Need>,
    pub(crate) said: Vec<HubMessage>,
    pub(crate) end: Option<End>,
    /// When it is to be looked at again.
    pub(crate) until: Option<Ticks>,
}

/// Answers whatever is asked until the session waits or is over.
pub(crate) fn run(session: &mut HubSession, mut answer: impl FnMut(&Need) -> Found) -> Heard {
    let mut heard = Heard::default();
    let mut reader = FrameReader::default();
    loop {
        match session.step() {
            Step::Send(bytes) => {
                reader.push(&bytes);
                while let Some(contents) = reader.next_frame().unwrap() {
                    heard.said.push(HubMessage::from_bytes(contents).unwrap());
                }
            }
            Step::Need(need) => {
                session.found(answer(&need));
                heard.needs.push(need);
            }
            Step::Wait { until } => {
                heard.until = until;
                return heard;
            }
            Step::End(end) => {
                heard.end = Some(end);
                return heard;
            }
        }
    }
}

/// What a new session asks and says when this comes, at a hub that has nothing.
pub(crate) fn hear(stream: &[u8]) -> Heard {
    let mut session = session();
    session.receive(stream);
    run(&mut session, plain)
}

pub(crate) fn known(tops: Tops) -> KnownDesk {
    KnownDesk {
        device: Desk::new(0).writer().device,
        venue_name: "De Reede".to_owned(),
        desk_name: "Balie 1".to_owned(),
        entries: 1_000_000,
        request_key: None,
        card_keys: None,
        used_twice: false,
        is_held: false,
        tops,
    }
}

pub(crate) fn runs(counter: u64) -> RunTable {
    RunTable::of_all(&[Run { id: 1, begins: 0 }], counter)
}

/// The answers of a hub that has nothing, and takes everything.
pub(crate) fn plain(need: &Need) -> Found {
    match need {
        Need::Desk(_) => Found::Desk(Box::new(known(Tops::default()))),
        Need::Runs(_) => Found::Runs(runs(0)),
        Need::Enrol(_) => Found::Enrolled(Err("no".to_owned())),
        Need::Held(lists) => Found::Held(lists.clone()),
        Need::Take(batches) => {
            let held = |batch: &Batch| Taken::Held { sequence: batch.seal.sequence, number: None };
            Found::Taken(batches.iter().map(held).collect())
        }
        Need::Request(_) => Found::Answered(None),
        Need::Grants | Need::Wanted(_) | Need::Closing(_) => {
            Found::Granted { grants: Vec::new(), none_left: None, number: None }
        }
        Need::Stated(_) | Need::KeepNotices(_) | Need::KeepSealingKey(_) | Need::Note(_) => {
            Found::Done
        }
        Need::Log { from, .. } => Found::Log { rows: Vec::new(), reached: *from },
        Need::CardKeys { .. } => Found::CardKeys(None),
        Need::Notices { from, .. } => Found::Notices { notices: Vec::new(), to: *from },
        Need::DenyList { .. } => Found::DenyList(Vec::new()),
        Need::Page { from, .. } => Found::Page { items: Vec::new(), to: *from, last: true },
        Need::Items { names, .. } => Found::Items(names.iter().map(|_| Standing::Gone).collect()),
        Need::SealedParts { passes, .. } => {
            Found::SealedParts(passes.iter().map(|_| Standing::Gone).collect())
        }
        Need::Holders { from, .. } => Found::Holders { parts: Vec::new(), to: *from },
    }
}
