//! A desk for tests: its ledgers in memory, its session the real one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crdt_model::catalogue::{
    Activity, Card, CardName, CardStatus, Item, Membership, MembershipStatus, PassRecord, Programme,
};
use crdt_model::entry::{Entry, Fact, Subject};
use crdt_model::ids::{ActivityId, CardSystemId, PassId, VenueId, Writer};
use crdt_model::ledger::{Ledger, LedgerId, Position};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::stock::GrantedUnits;
use crdt_model::time::{UnixMillis, day_number, utc_midnight};
use hub::db::{Db, HubFolder, Moves, Value, sql};
use jiff::civil::Date;
use ring::signature::Ed25519KeyPair;
use sync_protocol::batch;
use sync_protocol::card_keys::SealedCardKeys;
use sync_protocol::desk::{DeskEvent, DeskSession, DeskStart, DeskView, OwnList, date};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{Batch, Closing, Goodbye, SealedPart};
use sync_protocol::request::{RequestAnswer, SealedRequest};
use sync_protocol::seal::DeviceKey;

/// How long a test waits for the hub before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a hub listens, and the SHA-256 of the key that it proves there.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    pub at: SocketAddr,
    pub key: [u8; 32],
}

pub fn venue() -> VenueId {
    "museum-de-reede".parse().unwrap()
}

pub fn today() -> Date {
    "2026-11-21".parse().unwrap()
}

/// Noon of the test's day, UTC.
pub fn noon() -> UnixMillis {
    utc_midnight(today()).plus(12 * 3_600_000)
}

/// The hub's folder here: with its database in it, or with a fresh one on the PostgreSQL that
/// `STEMPEL_TEST_POSTGRES` names, as `./dev test` does.
pub async fn hub_folder(folder: &Path) -> HubFolder {
    let created = HubFolder::create(folder).unwrap();
    let Ok(server) = std::env::var("STEMPEL_TEST_POSTGRES") else { return created };
    // A schema for each folder, named for it: whoever opens the folder again finds its own.
    let name: String =
        folder.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("t_{}", name.to_lowercase());
    let plain = Db::open_address(&server, Arc::new(hub::surroundings::System)).await;
    let mut writing = plain.unwrap().write().await.unwrap();
    let create: &'static str = format!("CREATE SCHEMA IF NOT EXISTS {name}").leak();
    writing.execute(sql(create)).await.unwrap();
    writing.commit().await.unwrap();
    let join = if server.contains('?') { '&' } else { '?' };
    created.with_database(Some(format!("{server}{join}options[search_path]={name}")))
}

/// Opens a new hub's database in this folder.
pub async fn database(folder: &Path) -> Db {
    hub_folder(folder).await.database().await.unwrap()
}

/// A hub's database with one venue, ten passes and one activity that counts once a day.
pub async fn hub_with_passes(folder: &Path) -> Db {
    let db = database(folder).await;
    hub::registry::add_venue(&db, &venue(), "Museum De Reede").await.unwrap();
    put_passes(&db, 1..=10, CardStatus::Active).await;
    let title = "Permanente UiTPAS Test Festiviteit";
    let activity = Activity {
        checkin_limit: Some(PeriodLimit { volume: 1, period_type: PeriodType::Day }),
        ..Activity::new(ActivityId(1), "5a0967f9-cc06-4c3c-9206-30481a767434", title, venue())
    };
    let mut writing = db.write().await.unwrap();
    writing.ids("activity", 1, 1).await.unwrap();
    let version = writing.version(Moves::Catalogue).await.unwrap();
    let insert = sql(
        "INSERT INTO activity (id, event_id, venue, record, version) VALUES (1, $1, $2, $3, $4)",
    );
    let insert = insert.bind(&activity.event_id).bind(venue().as_str());
    let insert = insert.bind(minicbor::to_vec(&activity).unwrap()).bind(version);
    writing.execute(insert).await.unwrap();
    writing.commit().await.unwrap();
    db
}

/// A pass of this number whose card has this status, in the catalogue under a new version.
pub async fn put_pass(db: &Db, number: u64, status: CardStatus) {
    put_passes(db, number..=number, status).await;
}

/// The same for several.
pub async fn put_passes(db: &Db, numbers: std::ops::RangeInclusive<u64>, status: CardStatus) {
    let mut writing = db.write().await.unwrap();
    let passes = numbers.clone().map(|number| hub::records::passes::Imported {
        record: PassRecord {
            memberships: vec![Membership {
                card_system: CardSystemId(1),
                status: MembershipStatus::Active,
                ends: None,
                suspended_until: None,
                social_tariff: None,
            }],
            telling_digits: "0959".to_owned(),
            cards: vec![Card { name: CardName([0; 16]), status }],
            ..PassRecord::new(PassId(number), Programme::Uitpas)
        },
        opening_points: 0,
        subscription: None,
        municipality: None,
        birth_year: None,
    });
    let passes: Vec<_> = passes.collect();
    hub::records::passes::write_imported(&mut writing, &passes).await.unwrap();
    // Ids that the hub gives go on behind these.
    writing.ids("pass", 1, *numbers.end()).await.unwrap();
    writing.commit().await.unwrap();
}

/// The points of a pass, as the hub folded them.
pub async fn points(db: &Db, pass: i64) -> u64 {
    let select = sql("SELECT record AS found FROM pass WHERE id = $1").bind(pass);
    let record: Vec<u8> = value(db, select).await;
    minicbor::decode::<PassRecord>(&record).unwrap().account.points()
}

/// The column `found` of the one row that a statement finds.
pub async fn value<T: hub::db::Column>(db: &Db, statement: hub::db::Statement) -> T {
    db.read().await.unwrap().value(statement).await.unwrap().unwrap()
}

/// Carries a statement out as nobody else would: what a test needs of the world.
pub async fn execute(db: &Db, statement: hub::db::Statement) {
    db.write_one(statement).await.unwrap();
}

/// Makes a list of this number, for entries that nobody sends.
pub async fn put_list(db: &Db, list: i64, day: i32, writer: [u8; 20]) {
    let put = "INSERT INTO list (id, venue, day, writer, device, sequence, head)
         VALUES ($1, $2, $3, $4, $5, 0, $6)";
    let put = sql(put).bind(list).bind(venue().as_str()).bind(day).bind(writer);
    execute(db, put.bind([0u8; 16]).bind([0u8; 32])).await;
}

/// Values for `:rows`.
pub fn row<const N: usize>(values: [Value; N]) -> Vec<Value> {
    values.into()
}

pub async fn count(db: &Db, table: &'static str) -> i64 {
    let select: &'static str = format!("SELECT COUNT(*) AS found FROM {table}").leak();
    value(db, sql(select)).await
}

pub fn check_in(pass: u64, minute: i64) -> Entry {
    Entry {
        at: noon().plus(minute * 60_000),
        subject: Subject::Pass(PassId(pass)),
        fact: Fact::CheckIn { activity: ActivityId(1), points: 1 },
    }
}

/// How a session ended for the desk.
#[derive(Debug)]
pub enum Ending {
    /// What was waited for has happened.
    Done,
    /// The hub said goodbye.
    Goodbye(Goodbye),
}

pub struct TestDesk {
    pub key: DeviceKey,
    der: Vec<u8>,
    pub writer: Writer,
    pub ledger: Ledger,
    pub acknowledged: BTreeMap<Writer, u64>,
    pub items: Vec<Item>,
    pub pages: usize,
    pub catalogue_version: u64,
    pub venue_version: u64,
    pub requests: Vec<SealedRequest>,
    pub closings: Vec<Closing>,
    pub answers: Vec<RequestAnswer>,
    pub granted: Option<Vec<GrantedUnits>>,
    /// The card keys that came last.
    pub card_keys: Option<SealedCardKeys>,
    pub holders: Vec<SealedPart>,
    /// The version of the venue that the hub had at its last welcome.
    pub welcomed_at: Option<u64>,
    /// What happened, as words, in order.
    pub heard: Vec<String>,
}

impl TestDesk {
    pub fn new() -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let key = DeviceKey::from_pkcs8(der.as_ref()).unwrap();
        let writer = Writer { device: key.device(), epoch: 1 };
        Self {
            key,
            der: der.as_ref().to_vec(),
            writer,
            ledger: Ledger::new(LedgerId { venue: venue(), day: today() }),
            acknowledged: BTreeMap::new(),
            items: Vec::new(),
            pages: 0,
            catalogue_version: 0,
            venue_version: 0,
            requests: Vec::new(),
            closings: Vec::new(),
            answers: Vec::new(),
            granted: None,
            card_keys: None,
            holders: Vec::new(),
            welcomed_at: None,
            heard: Vec::new(),
        }
    }

    /// A desk that the hub has enrolled, without a line.
    pub async fn enrolled(db: &Db, name: &str) -> Self {
        let desk = Self::new();
        let invitation =
            hub::registry::invite(db, &venue(), name, Vec::new(), &[0; 32]).await.unwrap();
        hub::registry::enrol(db, &invitation.token, desk.key.public_key())
            .await
            .unwrap()
            .expect("a fresh invitation");
        desk
    }

    pub fn append(&mut self, entry: Entry) {
        let extension = self.ledger.appended(self.writer, &entry).unwrap();
        self.ledger.extend(&extension).unwrap();
    }

    /// Its entries `first..=last`, sealed.
    pub fn batch(&self, first: u64, last: u64) -> Batch {
        let entries = self.entries(
            today(),
            &self.writer,
            first - 1,
            usize::try_from(last - first + 1).unwrap(),
        );
        let (packed, packed_count) = batch::pack(entries.iter().map(Vec::as_slice));
        assert_eq!(packed_count, entries.len());
        let position = self.ledger.position_at(&self.writer, last).unwrap();
        Batch {
            day: day_number(today()),
            writer: self.writer.into(),
            first,
            entries: packed,
            seal: self.key.seal(self.ledger.id(), &self.writer, &position),
            public_key: self.key.public_key().to_vec(),
        }
    }

    pub async fn connect(&self, hub: Address) -> (quinn::Endpoint, quinn::Connection) {
        let addresses = [hub.at.to_string()];
        let connected = lines::connect::connect(&self.der, hub.key, &addresses).await;
        let (endpoint, connection, _) = connected.unwrap();
        (endpoint, connection)
    }

    /// Talks to the hub until `done`, which is first asked when the hub has said welcome, or until the
    /// hub says goodbye.
    pub async fn talk(&mut self, hub: Address, mut done: impl FnMut(&Self) -> bool) -> Ending {
        let talk = async {
            let (_endpoint, connection) = self.connect(hub).await;
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            let start = DeskStart {
                software: "test".to_owned(),
                clock: hub::db::wall_clock(),
                catalogue_version: self.catalogue_version,
                venue_version: self.venue_version,
                holders_version: 0,
                run: None,
            };
            let mut session = DeskSession::start(&start, self);
            let mut buffer = vec![0; 64 * 1024];
            loop {
                while let Some(frame) = session.next_frame(self) {
                    send.write_all(&frame).await.unwrap();
                }
                if session.is_welcomed() && done(self) {
                    connection.close(0u32.into(), b"");
                    return Ending::Done;
                }
                let read = receive.read(&mut buffer).await.unwrap().expect("the hub hung up");
                let (events, outcome) = session.receive(&buffer[..read], self);
                for event in events {
                    if let Some(goodbye) = self.take_up(event) {
                        return Ending::Goodbye(goodbye);
                    }
                }
                outcome.unwrap();
                session.have(self.catalogue_version, self.venue_version);
            }
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("the hub answers in time")
    }

    fn take_up(&mut self, event: DeskEvent) -> Option<Goodbye> {
        match event {
            DeskEvent::Welcomed(welcome) => {
                self.heard.push(format!("welcome, lost {}", welcome.lost));
                self.welcomed_at = Some(welcome.venue_version);
            }
            DeskEvent::Acknowledged { writer, sequence, .. } => {
                self.heard.push(format!("acknowledged {sequence}"));
                let known = self.acknowledged.entry(writer).or_default();
                *known = sequence.max(*known);
            }
            DeskEvent::AcknowledgementsLost => {
                self.heard.push("acknowledgements lost".to_owned());
                self.acknowledged.clear();
                self.venue_version = 0;
            }
            DeskEvent::Behind { .. } => self.heard.push("behind".to_owned()),
            DeskEvent::Diverged { .. } => self.heard.push("diverged".to_owned()),
            DeskEvent::Shared(share) => {
                let writer = share.batch.writer.writer();
                let id = LedgerId { venue: venue(), day: date(share.batch.day).unwrap() };
                match judge(&share.batch, &id, self.ledger.position(&writer)) {
                    Judgement::Merge(extension) => {
                        self.heard.push(format!("shared {}", extension.entries().len()));
                        self.ledger.extend(&extension).unwrap();
                    }
                    Judgement::Held => self.heard.push("shared what is here".to_owned()),
                    other => self.heard.push(format!("shared and refused: {other:?}")),
                }
                self.venue_version = self.venue_version.max(share.venue_version);
            }
            DeskEvent::Advanced(version) => self.venue_version = self.venue_version.max(version),
            DeskEvent::Page(page) => {
                assert!(page.from <= self.catalogue_version, "a page leaves no hole");
                self.pages += 1;
                self.items.extend(sync_protocol::catalogue::unpack(&page.items).unwrap());
                self.catalogue_version = self.catalogue_version.max(page.to);
            }
            DeskEvent::Quarantined(apart) => {
                self.heard.push(format!("set apart: {}", apart.reason));
            }
            DeskEvent::Answered(answer) => self.answers.push(answer),
            DeskEvent::Granted { grants, .. } => self.granted = Some(grants),
            DeskEvent::Holders(page) => self.holders.extend(page.holders),
            DeskEvent::CardKeys(keys) => self.card_keys = Some(keys),
            DeskEvent::UsedTwice(_)
            | DeskEvent::Told(_)
            | DeskEvent::Notices { .. }
            | DeskEvent::AgainDone { .. }
            | DeskEvent::Compared
            | DeskEvent::HubClock { .. } => {}
            DeskEvent::Ended(goodbye) => return Some(goodbye),
        }
        None
    }
}

impl DeskView for TestDesk {
    fn venue(&self) -> &VenueId {
        &self.ledger.id().venue
    }
    fn key(&self) -> &DeviceKey {
        &self.key
    }
    fn card_keys_version(&self) -> Option<u64> {
        self.card_keys.as_ref().map(|keys| keys.version)
    }
    fn pending(&self) -> Vec<OwnList> {
        let length = self.ledger.position(&self.writer).sequence;
        self.own_lists().into_iter().filter(|list| list.acknowledged < length).collect()
    }
    fn own_lists(&self) -> Vec<OwnList> {
        let acknowledged = self.acknowledged.get(&self.writer).copied().unwrap_or_default();
        vec![OwnList { day: today(), writer: self.writer, acknowledged }]
    }
    fn acknowledged(&self) -> u64 {
        self.acknowledged.values().sum()
    }
    fn position_at(&self, day: Date, writer: &Writer, sequence: u64) -> Option<Position> {
        assert_eq!(day, today());
        self.ledger.position_at(writer, sequence)
    }
    fn entries(&self, day: Date, writer: &Writer, from: u64, most: usize) -> Vec<Vec<u8>> {
        let entries = self.ledger.entries_of(writer, from).iter().take(most);
        entries.map(|entry| entry.encode(day, writer)).collect()
    }
    fn requests(&self) -> Vec<SealedRequest> {
        self.requests.clone()
    }
    fn closings(&self) -> Vec<Closing> {
        self.closings.clone()
    }
}

/// The catalogue as the venue's desks get it, up to a page of it.
pub(crate) async fn catalogue(db: &Db) -> Vec<Item> {
    let most = sync_protocol::catalogue::MAX_PAGE_ITEMS;
    let stretch = hub::catalogue::behind(&mut db.read().await.unwrap(), &venue(), 0, most).await;
    stretch.unwrap().items.into_iter().map(|it| it.item).collect()
}
