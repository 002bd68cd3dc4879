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
use jiff::civil::Date;
use quinn::crypto::rustls::QuicClientConfig;
use ring::signature::Ed25519KeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sqlx::SqlitePool;
use sync_protocol::batch;
use sync_protocol::card_keys::SealedCardKeys;
use sync_protocol::desk::{DeskEvent, DeskSession, DeskStart, DeskView, OwnList, date};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{ALPN, Batch, Closing, Goodbye, SealedPart};
use sync_protocol::request::{RequestAnswer, SealedRequest};
use sync_protocol::seal::DeviceKey;

/// How long a test waits for the hub before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// A hub's database with one venue, ten passes and one activity that counts once a day.
pub async fn hub_with_passes(folder: &Path) -> SqlitePool {
    let pool = hub::db::HubFolder::create(folder).unwrap().database().await.unwrap();
    hub::registry::add_venue(&pool, &venue(), "Museum De Reede").await.unwrap();
    for number in 1..=10 {
        put_pass(&pool, number, CardStatus::Active).await;
    }
    let title = "Permanente UiTPAS Test Festiviteit";
    let activity = Activity {
        checkin_limit: Some(PeriodLimit { volume: 1, period_type: PeriodType::Day }),
        ..Activity::new(ActivityId(1), "5a0967f9-cc06-4c3c-9206-30481a767434", title, venue())
    };
    let version = next_version(&pool).await;
    sqlx::query(
        "INSERT INTO activity (id, event_id, venue, record, version) VALUES (1, ?, ?, ?, ?)",
    )
    .bind(&activity.event_id)
    .bind(venue().as_str())
    .bind(minicbor::to_vec(&activity).unwrap())
    .bind(version)
    .execute(&pool)
    .await
    .unwrap();
    pool
}

/// A pass of this number whose card has this status, in the catalogue under a new version.
pub async fn put_pass(pool: &SqlitePool, number: u64, status: CardStatus) {
    let record = PassRecord {
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
    };
    let version = next_version(pool).await;
    sqlx::query(
        "INSERT OR REPLACE INTO pass (id, record, opening_points, active, version) VALUES (?, ?, 0, ?, ?)",
    )
    .bind(i64::try_from(number).unwrap())
    .bind(minicbor::to_vec(&record).unwrap())
    .bind(status == CardStatus::Active)
    .bind(version)
    .execute(pool)
    .await
    .unwrap();
}

async fn next_version(pool: &SqlitePool) -> i64 {
    let mut connection = pool.acquire().await.unwrap();
    let next = hub::catalogue::version(&mut connection).await.unwrap() + 1;
    sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('catalogue', ?)")
        .bind(&next.to_be_bytes()[..])
        .execute(&mut *connection)
        .await
        .unwrap();
    i64::try_from(next).unwrap()
}

/// The points of a pass, as the hub folded them.
pub async fn points(pool: &SqlitePool, pass: i64) -> u64 {
    let record: Vec<u8> = sqlx::query_scalar("SELECT record FROM pass WHERE id = ?")
        .bind(pass)
        .fetch_one(pool)
        .await
        .unwrap();
    minicbor::decode::<PassRecord>(&record).unwrap().account.points()
}

pub async fn count(pool: &SqlitePool, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
        .fetch_one(pool)
        .await
        .unwrap()
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
    pub async fn enrolled(pool: &SqlitePool, name: &str) -> Self {
        let desk = Self::new();
        let invitation =
            hub::registry::invite(pool, &venue(), name, Vec::new(), &[0; 32]).await.unwrap();
        hub::registry::enrol(pool, &invitation.token, desk.key.public_key())
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

    pub async fn connect(&self, hub: SocketAddr) -> (quinn::Endpoint, quinn::Connection) {
        let mut endpoint = quinn::Endpoint::client("[::]:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(client_config(&self.der));
        let connection = endpoint.connect(hub, "hub").unwrap().await.unwrap();
        (endpoint, connection)
    }

    /// Talks to the hub until `done`, which is first asked when the hub has said welcome, or until the
    /// hub says goodbye.
    pub async fn talk(&mut self, hub: SocketAddr, mut done: impl FnMut(&Self) -> bool) -> Ending {
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

/// Takes any hub: which key it has is the desk's question, and tested there.
#[derive(Debug)]
struct AnyHub(rustls::crypto::WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyHub {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 alone is offered")
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, dss, &self.0)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn client_config(der: &[u8]) -> quinn::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let signing =
        rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der.to_vec()))
            .unwrap();
    let public = signing.public_key().unwrap().to_vec();
    let certified = rustls::sign::CertifiedKey::new(vec![CertificateDer::from(public)], signing);
    let verifier = AnyHub(provider.signature_verification_algorithms);
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(Arc::new(certified));
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}
