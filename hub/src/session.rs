//! One desk's session: what it says goes to the database, what it lacks comes from there.

mod noted;
mod patience;
mod shares;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crdt_model::ids::{DeviceId, RewardId, VenueId};
use crdt_model::ledger::Position;
use crdt_model::stock::GrantedUnits;
use quinn::{Connection, RecvStream, SendStream};
use sqlx::SqlitePool;
use sync_protocol::catalogue::MAX_PAGE_ITEMS;
use sync_protocol::desk::{SessionError, short_head};
use sync_protocol::hub_phases::{HubEvent, HubPhases};
use sync_protocol::message::{
    Ack, Batch, Goodbye, GoodbyeKind, Hello, HubMessage, ListPosition, PROTOCOL_VERSION,
    Quarantined, Resend, Share, Welcome, WriterBytes,
};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::copies::{Lines, Place};
use crate::db::{HubError, from_sql, request_key, wall_clock};
use crate::ledgers::{self, Taken};
use crate::registry::{self, Device};
use crate::storage::{Storage, StorageTrouble};
use crate::{card_keys, catalogue, clock, holders, requests, stock};

use noted::Found;

/// Bytes that are read from a desk at once.
const READ_BYTES: usize = 64 * 1024;

/// How long the hub waits for a Hello. Anybody may open a line; nobody may keep one without a word.
pub(crate) const FIRST_WORD: Duration = Duration::from_secs(10);

/// So long the last words may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a session ended.
#[derive(Debug, Error)]
pub enum SessionEnd {
    /// The line broke or was closed: the ordinary end.
    #[error("the line ended ({0})")]
    Line(String),
    /// The desk said what it may not say.
    #[error(transparent)]
    Protocol(#[from] SessionError),
    /// The hub itself failed.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The hub said goodbye.
    #[error("the hub said goodbye: {0}")]
    Goodbye(String),
    /// The hub said goodbye because it can store nothing, which is logged once for all desks.
    #[error("the hub cannot store anything: {0}")]
    CannotStore(StorageTrouble),
}

/// What the sessions of all desks share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) pool: SqlitePool,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) storage: Arc<Storage>,
    pub(crate) lines: Arc<Lines>,
    /// Whether the hub's own clock is in doubt: desks are told with each beat.
    pub(crate) clock_doubtful: Arc<AtomicBool>,
}

impl From<sqlx::Error> for SessionEnd {
    fn from(error: sqlx::Error) -> Self {
        Self::Hub(error.into())
    }
}

/// A session with one desk.
struct Session {
    pool: SqlitePool,
    machine: HubPhases,
    send: SendStream,
    public_key: Vec<u8>,
    changed: watch::Sender<u64>,
    shared: Shared,
    connection: Connection,
    trouble: watch::Receiver<Option<StorageTrouble>>,
    desk: Option<Desk>,
    /// Its place among the lines, where the desk has told its run.
    place: Option<Place>,
    /// What the desk said last that it has, of the catalogue and of the venue, where that is not noted yet.
    have: Option<(u64, u64)>,
    /// When that may be noted: a commit for each word of each desk would hold up the acknowledgements.
    note_at: Instant,
    /// How far the desk's clock is ahead of the hub's, in milliseconds: as noted, and where it has moved since.
    offset: i64,
    offset_moved: Option<i64>,
    /// When it is to be noted though it has not moved.
    offset_due: Instant,
    /// The desk beats. When it has said nothing until then, the line is dead.
    silent_at: Option<Instant>,
}

/// What the session knows of its desk, once it has said hello.
struct Desk {
    device: DeviceId,
    venue: VenueId,
    catalogue_version: u64,
    venue_version: u64,
    /// How far it is known to have its own lists: so far it need not be sent them.
    announced: BTreeMap<(i32, WriterBytes), u64>,
    /// The deny list goes first, once: behind which version it goes on.
    deny_list: Option<u64>,
    /// The sealed parts that it has.
    holders_version: u64,
    /// What it was last told that it may hand out.
    grants: Option<Vec<GrantedUnits>>,
    /// The version of the card keys that it has, or is taken to have until it asks.
    card_keys: Option<u64>,
}

impl Desk {
    /// The desk has its own list up to this sequence number.
    fn knows(&mut self, list: (i32, WriterBytes), sequence: u64) {
        let known = self.announced.entry(list).or_default();
        *known = sequence.max(*known);
    }
}

/// Serves one desk until the line ends. `public_key` is the key that it showed in the handshake.
///
/// # Errors
/// [`SessionEnd`], always.
pub(crate) async fn serve(
    shared: Shared,
    connection: &Connection,
    public_key: Vec<u8>,
) -> Result<(), SessionEnd> {
    let line = |error: quinn::ConnectionError| SessionEnd::Line(error.to_string());
    let (send, receive) = tokio::time::timeout(FIRST_WORD, connection.accept_bi())
        .await
        .map_err(|_| SessionEnd::Line("nothing was said".to_owned()))?
        .map_err(line)?;
    let Shared { pool, changed, storage, .. } = shared.clone();
    let mut news = changed.subscribe();
    let mut session = Session {
        pool,
        machine: HubPhases::default(),
        send,
        public_key,
        changed,
        trouble: storage.trouble(),
        shared,
        connection: connection.clone(),
        desk: None,
        place: None,
        have: None,
        note_at: Instant::now(),
        offset: 0,
        offset_moved: None,
        offset_due: Instant::now() + noted::OFFSET_NOTED_EACH,
        silent_at: None,
    };
    let mut ended = session.run(receive, &mut news).await;
    if let Err(SessionEnd::Hub(error)) = &ended
        && let Some(trouble) = storage.note(error)
    {
        ended = session.goodbye_cannot_store(trouble).await;
    }
    let stores = storage.trouble().borrow().is_none();
    if stores && let Err(error) = session.note_have().await {
        storage.note(&error);
        tracing::warn!(%error, "what a desk has could not be noted");
    }
    // What was said last, a goodbye above all, is to arrive before the line is closed.
    if session.send.finish().is_ok() {
        let _ = tokio::time::timeout(LAST_WORDS, session.send.stopped()).await;
    }
    ended
}

impl Session {
    async fn run(
        &mut self,
        mut receive: RecvStream,
        news: &mut watch::Receiver<u64>,
    ) -> Result<(), SessionEnd> {
        let first_word = tokio::time::sleep(FIRST_WORD);
        tokio::pin!(first_word);
        let mut more = false;
        loop {
            // In this order: what a desk tells is taken up before it is told more, so that a large
            // catalogue on its way does not hold up the acknowledgements.
            tokio::select! {
                biased;
                read = receive.read_chunk(READ_BYTES, true) => {
                    let chunk = match read {
                        Ok(Some(chunk)) => chunk,
                        Ok(None) => return Err(SessionEnd::Line("the desk hung up".to_owned())),
                        Err(error) => return Err(SessionEnd::Line(error.to_string())),
                    };
                    self.silent_at = self.silent_at.map(|_| noted::silent_at());
                    let (events, outcome) = self.machine.receive(&chunk.bytes);
                    for event in events {
                        self.answer(event).await?;
                    }
                    if let Err(error) = outcome {
                        let sentence = format!("the desk said what the hub cannot read: {error}");
                        self.goodbye(GoodbyeKind::Malformed, &sentence).await?;
                    }
                    more = true;
                }
                changed = news.changed() => {
                    if changed.is_err() {
                        return Err(SessionEnd::Line("the hub is stopping".to_owned()));
                    }
                    // Whoever was revoked meanwhile receives nothing more.
                    if let Some(desk) = &self.desk
                        && !registry::is_enrolled(&self.pool, desk.device).await?
                    {
                        self.goodbye_not_enrolled().await?;
                    }
                    more = true;
                }
                changed = self.trouble.changed() => {
                    let trouble = self.trouble.borrow_and_update().clone();
                    if let (Ok(()), Some(trouble)) = (changed, trouble) {
                        self.goodbye_cannot_store(trouble).await?;
                    }
                }
                used_twice = told::used_twice(&mut self.place) => {
                    self.say(&HubMessage::UsedTwice(used_twice)).await?;
                }
                () = sleep_until(self.note_at), if self.is_to_note() => {
                    let noting = self.note_have();
                    self.while_it_waits(noting).await??;
                }
                () = sleep_until(self.silent_at.unwrap_or(self.note_at)), if self.silent_at.is_some() => {
                    return Err(SessionEnd::Line("the desk fell silent".to_owned()));
                }
                () = &mut first_word, if self.desk.is_none() => {
                    return Err(SessionEnd::Line("no hello came".to_owned()));
                }
                // Runs outside the select: a cancelled `write_all` would leave half a frame on the wire.
                () = std::future::ready(()), if more => more = self.send_what_is_next().await?,
            }
        }
    }

    async fn say(&mut self, message: &HubMessage) -> Result<(), SessionEnd> {
        let frame = self.machine.send(message)?;
        self.send.write_all(&frame).await.map_err(|error| SessionEnd::Line(error.to_string()))
    }

    /// Says goodbye. Always an error, for the session is over.
    async fn goodbye(&mut self, kind: GoodbyeKind, sentence: &str) -> Result<(), SessionEnd> {
        let frame = self.machine.goodbye(Goodbye { kind, sentence: sentence.to_owned() });
        let written = self.send.write_all(&frame).await;
        written.map_err(|error| SessionEnd::Line(error.to_string()))?;
        Err(SessionEnd::Goodbye(sentence.to_owned()))
    }

    async fn goodbye_not_enrolled(&mut self) -> Result<(), SessionEnd> {
        let sentence = "the hub does not take this desk: it is not enrolled there, or it was revoked. What was recorded stays on this disk; tell an operator";
        self.goodbye(GoodbyeKind::NotEnrolled, sentence).await
    }

    async fn answer(&mut self, event: HubEvent) -> Result<(), SessionEnd> {
        let trouble = self.trouble.borrow_and_update().clone();
        if let Some(trouble) = trouble {
            return self.goodbye_cannot_store(trouble).await;
        }
        match event {
            HubEvent::HelloReceived(hello) => self.welcome(hello).await,
            HubEvent::EnrolReceived(enrol) if enrol.protocol != PROTOCOL_VERSION => {
                self.goodbye_version(enrol.protocol).await
            }
            HubEvent::EnrolReceived(enrol) => {
                match registry::enrol(&self.pool, &enrol.token, &self.public_key).await? {
                    Ok(enrolled) => self.say(&HubMessage::Enrolled(enrolled)).await,
                    Err(sentence) => self.goodbye(GoodbyeKind::Invitation, &sentence).await,
                }
            }
            HubEvent::BatchReceived(batch) => self.take(batch).await,
            HubEvent::PositionsReceived(lists) => {
                let held = self.held(&lists).await?;
                self.announce(&lists);
                self.say(&HubMessage::Held(held)).await
            }
            HubEvent::RequestReceived(request) => {
                let device = self.enrolled_desk().await?;
                let key = self.public_key.clone();
                let pool = self.pool.clone();
                let answering = requests::answer(&pool, device, &key, &request);
                let Some(answer) = self.while_it_waits(answering).await?? else {
                    return Ok(());
                };
                self.changed.send_modify(|count| *count += 1);
                self.say(&HubMessage::Answered(answer)).await
            }
            HubEvent::WantedReceived(wanted) => {
                let device = self.enrolled_desk().await?;
                let pool = self.pool.clone();
                let granting = stock::grant(&pool, device, &wanted);
                let answer = self.while_it_waits(granting).await??;
                self.say_grants(answer.grants, Some(answer.none_left)).await
            }
            HubEvent::ClosingReceived(closing) => {
                let device = self.enrolled_desk().await?;
                let key = self.public_key.clone();
                let pool = self.pool.clone();
                let closing = stock::close(&pool, device, &key, &closing);
                let granted = self.while_it_waits(closing).await??;
                self.say_grants(granted, None).await
            }
            HubEvent::CardKeysWanted(sealing_key) => {
                let device = self.enrolled_desk().await?;
                let pool = self.pool.clone();
                let keeping = card_keys::keep_sealing_key(&pool, device, &sealing_key);
                self.while_it_waits(keeping).await??;
                if let Some(desk) = &mut self.desk {
                    desk.card_keys = None;
                }
                // It is sent with whatever else the desk lacks.
                Ok(())
            }
            HubEvent::BeatReceived(beat) => self.beat(beat).await,
            HubEvent::HaveReceived { catalogue_version, venue_version } => {
                self.have = Some((catalogue_version, venue_version));
                Ok(())
            }
        }
    }

    async fn goodbye_version(&mut self, theirs: u16) -> Result<(), SessionEnd> {
        let sentence = format!(
            "this desk speaks version {theirs} of the protocol and the hub version {PROTOCOL_VERSION}: one of them must be updated. What was recorded stays on this disk"
        );
        self.goodbye(GoodbyeKind::Version, &sentence).await
    }

    async fn welcome(&mut self, hello: Hello) -> Result<(), SessionEnd> {
        if hello.protocol != PROTOCOL_VERSION {
            return self.goodbye_version(hello.protocol).await;
        }
        let Some(device) = registry::enrolled(&self.pool, &self.public_key).await? else {
            return self.goodbye_not_enrolled().await;
        };
        let now = wall_clock();
        let lost = device.entries < hello.acknowledged;
        self.offset = hello.clock.saturating_sub(now.0);
        let catalogue_now =
            catalogue::version(&mut *self.pool.acquire().await.map_err(HubError::from)?).await?;
        let venue_now = venue_version(&self.pool, &device.venue).await?;
        let holders_now = holders::version(&self.pool).await?;
        let card_keys = card_keys::announced(&self.pool, device.device).await?;
        self.desk = Some(Desk {
            device: device.device,
            venue: device.venue.clone(),
            // A desk that is ahead of a restored hub begins again.
            catalogue_version: Some(hello.catalogue_version)
                .filter(|v| *v <= catalogue_now)
                .unwrap_or(0),
            venue_version: Some(hello.venue_version)
                .filter(|v| *v <= venue_now && !lost)
                .unwrap_or(0),
            announced: BTreeMap::new(),
            deny_list: None,
            holders_version: hello
                .holders_version
                .filter(|version| *version <= holders_now)
                .unwrap_or_default(),
            grants: None,
            card_keys,
        });
        if let Some(desk) = &mut self.desk {
            // One page holds all anyhow: then it needs no other order.
            let behind = catalogue_now - desk.catalogue_version;
            let many = behind > MAX_PAGE_ITEMS as u64;
            desk.deny_list = many.then_some(desk.catalogue_version);
        }
        let held = self.held(&hello.pending).await?;
        self.announce(&hello.pending);
        let came_back = self.take_place(&device, hello.run);
        let Device { venue_name, name, .. } = device.clone();
        self.say(&HubMessage::Welcome(Welcome {
            protocol: PROTOCOL_VERSION,
            clock: now.0,
            held,
            lost,
            catalogue_version: catalogue_now,
            venue_version: venue_now,
            venue_name,
            desk_name: name,
            request_key: Some(request_key(&self.pool).await?.public_key()),
            card_keys,
            beats: true,
            clock_doubtful: clock::doubt(&self.pool).await?.is_some(),
            run: None,
            go_on: None,
            restored: None,
        }))
        .await?;
        self.note_hello(&device, &hello, Found { at: now, lost, came_back }).await?;
        let used_twice = self.place.as_mut().map(|place| *place.used_twice.borrow_and_update());
        match used_twice {
            Some(used_twice) => self.say(&HubMessage::UsedTwice(used_twice)).await,
            None => Ok(()),
        }
    }

    /// The desk, where it still is enrolled: a revoked one asks for nothing more (invariant 7).
    async fn enrolled_desk(&mut self) -> Result<DeviceId, SessionEnd> {
        match self.desk.as_ref().map(|desk| desk.device) {
            Some(device) if registry::is_enrolled(&self.pool, device).await? => Ok(device),
            _ => {
                self.goodbye_not_enrolled().await?;
                Err(SessionEnd::Line("the desk was revoked".to_owned()))
            }
        }
    }

    async fn say_grants(
        &mut self,
        granted: Vec<GrantedUnits>,
        none_left: Option<Vec<RewardId>>,
    ) -> Result<(), SessionEnd> {
        if let Some(desk) = &mut self.desk {
            desk.grants = Some(granted.clone());
        }
        self.say(&HubMessage::Grants(granted, none_left, None)).await
    }

    /// Tells the desk what it may hand out, where it was told something else before.
    async fn send_grants(&mut self) -> Result<bool, SessionEnd> {
        let Some(desk) = &self.desk else { return Ok(false) };
        let mut connection = self.pool.acquire().await?;
        let granted = stock::grants_of(&mut connection, desk.device).await?;
        drop(connection);
        if desk.grants.as_ref() == Some(&granted) {
            return Ok(false);
        }
        self.say_grants(granted, None).await?;
        Ok(true)
    }

    /// Sends the card keys where they are others than the desk has.
    async fn send_card_keys(&mut self) -> Result<bool, SessionEnd> {
        let Some(desk) = &self.desk else { return Ok(false) };
        if desk.card_keys == card_keys::version(&self.pool).await? {
            return Ok(false);
        }
        let Some(sealed) = card_keys::sealed_to(&self.pool, desk.device).await? else {
            return Ok(false);
        };
        let version = sealed.version;
        self.say(&HubMessage::CardKeys(sealed)).await?;
        if let Some(desk) = &mut self.desk {
            desk.card_keys = Some(version);
        }
        Ok(true)
    }

    async fn send_holders(&mut self) -> Result<bool, SessionEnd> {
        let Some(desk) = &self.desk else { return Ok(false) };
        let Some(page) = holders::page(&self.pool, desk.holders_version).await? else {
            return Ok(false);
        };
        let to = page.to;
        self.say(&HubMessage::Holders(page)).await?;
        if let Some(desk) = &mut self.desk {
            desk.holders_version = to;
        }
        Ok(true)
    }

    fn announce(&mut self, lists: &[ListPosition]) {
        if let Some(desk) = &mut self.desk {
            let device = desk.device;
            for list in lists.iter().filter(|list| list.writer.writer().device == device) {
                desk.knows((list.day, list.writer), list.sequence);
            }
        }
    }

    /// What the hub holds of these lists.
    async fn held(&self, lists: &[ListPosition]) -> Result<Vec<ListPosition>, SessionEnd> {
        let Some(desk) = &self.desk else { return Ok(Vec::new()) };
        let mut connection = self.pool.acquire().await?;
        let mut held = Vec::with_capacity(lists.len());
        for list in lists {
            let writer = list.writer.writer();
            let position: Position =
                ledgers::position(&mut connection, &desk.venue, list.day, &writer).await?;
            held.push(ListPosition {
                day: list.day,
                writer: list.writer,
                sequence: position.sequence,
                head: short_head(&position),
            });
        }
        Ok(held)
    }

    async fn take(&mut self, batch: Batch) -> Result<(), SessionEnd> {
        let Some(desk) = &mut self.desk else { return Ok(()) };
        if batch.writer.writer().device == desk.device {
            desk.knows((batch.day, batch.writer), batch.seal.sequence);
        }
        let (venue, device) = (desk.venue.clone(), desk.device);
        let _span = tracing::debug_span!("sync", %venue, %device, first = batch.first);
        let Batch { day, writer, first, .. } = batch;
        let pool = self.pool.clone();
        let taking = ledgers::take(&pool, &venue, device, &batch);
        match self.while_it_waits(taking).await?? {
            Taken::Held { sequence, new } => {
                if new {
                    self.changed.send_modify(|count| *count += 1);
                }
                self.say(&HubMessage::Ack(Ack { day, writer, sequence, number: None })).await
            }
            Taken::Lacking { held } => {
                self.say(&HubMessage::Resend(Resend { day, writer, held })).await
            }
            Taken::Quarantined { reason } => {
                self.say(&HubMessage::Quarantined(Quarantined { day, writer, first, reason })).await
            }
            Taken::Revoked => self.goodbye_not_enrolled().await,
        }
    }

    /// Sends the next piece of what the desk lacks: ledgers, what it may hand out, card keys, deny list,
    /// catalogue, sealed parts. Says whether there was anything.
    async fn send_what_is_next(&mut self) -> Result<bool, SessionEnd> {
        Ok(self.send_shares().await?
            || self.send_grants().await?
            || self.send_card_keys().await?
            || self.send_page().await?
            || self.send_holders().await?)
    }

    async fn send_page(&mut self) -> Result<bool, SessionEnd> {
        let Some(desk) = &mut self.desk else { return Ok(false) };
        let (venue, from) = (desk.venue.clone(), desk.catalogue_version);
        if let Some(behind) = desk.deny_list.take()
            && let Some((page, reached)) =
                catalogue::deny_list(&self.pool, &venue, from, behind).await?
        {
            desk.deny_list = Some(reached);
            self.say(&HubMessage::Page(page)).await?;
            return Ok(true);
        }
        let Some(page) = catalogue::page(&self.pool, &venue, from).await? else {
            return Ok(false);
        };
        let to = page.to;
        self.say(&HubMessage::Page(page)).await?;
        if let Some(desk) = &mut self.desk {
            desk.catalogue_version = to;
        }
        Ok(true)
    }

    /// Sends the next stretch of the venue's log, without what the desk wrote itself.
    async fn send_shares(&mut self) -> Result<bool, SessionEnd> {
        let Some(desk) = &self.desk else { return Ok(false) };
        let (shares, reached) = shares::next(&self.pool, desk).await?;
        if reached == desk.venue_version {
            return Ok(false);
        }
        let from = desk.venue_version;
        let count = shares.len();
        for (place, batch) in shares.into_iter().enumerate() {
            // The stretch is one step: only its last batch moves the desk's version.
            let venue_version = if place + 1 == count { reached } else { from };
            self.say(&HubMessage::Share(Share { batch, venue_version })).await?;
        }
        if count == 0 {
            self.say(&HubMessage::Advance(reached)).await?;
        }
        if let Some(desk) = &mut self.desk {
            desk.venue_version = reached;
        }
        Ok(true)
    }
}

/// The log's version for this venue: what a desk's venue version is compared with, and comes to when it has all.
async fn venue_version(pool: &SqlitePool, venue: &VenueId) -> Result<u64, SessionEnd> {
    let version: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM accepted WHERE venue = ?")
            .bind(venue.as_str())
            .fetch_one(pool)
            .await?;
    Ok(from_sql(version))
}
