//! A desk without a disk: its list in memory, its session and its line the real ones. A thousand of them fit one process.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crdt_model::entry::{Entry, Fact, Subject};
use crdt_model::ids::{ActivityId, PassId, VenueId, Writer};
use crdt_model::ledger::{Ledger, LedgerId, Position};
use crdt_model::time::UnixMillis;
use jiff::civil::Date;
use quinn::{ClientConfig, Connection, Endpoint};
use sync_protocol::desk::{DeskEvent, DeskSession, DeskStart, DeskView, OwnList};
use sync_protocol::heartbeat::{Pulse, Ticks};
use sync_protocol::seal::DeviceKey;
use sync_protocol::version::{Seen, Version, go_back, note};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// Taps that wait for a desk at the most: more than any measurement has under way at one desk.
const MOST_WAITING: usize = 64;

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410).
const ED25519_PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A check-in that is to be recorded and sent.
#[derive(Debug)]
pub(crate) struct Tap {
    /// Of this pass.
    pub(crate) pass: PassId,
    /// Told how long it took from there to the acknowledgement, where somebody waits for that.
    pub(crate) acknowledged: Option<oneshot::Sender<Duration>>,
}

/// The hub as all desks know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownHub {
    pub(crate) address: SocketAddr,
    pub(crate) key: [u8; 32],
    /// The newest run of its database, and how far that has come: the desks have all up to there.
    pub(crate) version: Version,
}

/// A desk, linked or not.
pub(crate) struct LightDesk {
    key: DeviceKey,
    config: ClientConfig,
    activity: ActivityId,
    day: Date,
    ledger: Ledger,
    last_at: UnixMillis,
    acknowledged: u64,
    seen: Seen,
    /// Taps without an acknowledgement: the sequence number, when, and who waits.
    waiting: VecDeque<(u64, Instant, Tap)>,
    /// How far it has the catalogue.
    told: Arc<AtomicU64>,
    /// The highest number that any desk was told of anything.
    newest: Arc<AtomicU64>,
}

/// A desk that is linked.
pub(crate) struct LinkedDesk {
    taps: mpsc::Sender<Tap>,
    task: JoinHandle<LightDesk>,
    told: Arc<AtomicU64>,
}

fn wall() -> UnixMillis {
    UnixMillis(jiff::Timestamp::now().as_millisecond())
}

/// A clock that nobody sets.
fn ticks() -> Ticks {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let since = BEGUN.get_or_init(Instant::now).elapsed();
    Ticks(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl LightDesk {
    /// The n-th desk, of this venue with this activity. It has everything up to the hub's version. `newest` is where all
    /// desks note the highest number that they were told.
    pub(crate) fn new(
        n: u32,
        (venue, activity): (VenueId, ActivityId),
        hub: &KnownHub,
        newest: &Arc<AtomicU64>,
    ) -> Self {
        let mut seed = [0x5e; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        let der = [&ED25519_PKCS8_PREFIX[..], &seed].concat();
        let key = DeviceKey::from_seed(&seed).expect("32 bytes");
        let (config, _) = lines::quic::client_config(&der, hub.key).expect("the key is one");
        let time_zone = jiff::tz::TimeZone::get(hub::ledgers::TIME_ZONE).expect("it is bundled");
        let day = jiff::Timestamp::now().to_zoned(time_zone).date();
        let all = || vec![hub.version];
        let seen =
            Seen { catalogue: all(), venue: all(), holders: all(), any: all(), notices: all() };
        Self {
            key,
            config,
            activity,
            day,
            ledger: Ledger::new(LedgerId { venue, day }),
            last_at: UnixMillis(0),
            acknowledged: 0,
            seen,
            waiting: VecDeque::new(),
            told: Arc::new(AtomicU64::new(hub.version.number)),
            newest: newest.clone(),
        }
    }

    /// What it is enrolled with.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    fn writer(&self) -> Writer {
        Writer { device: self.key.device(), epoch: 1 }
    }

    fn have(&self) -> (u64, u64) {
        let newest = |list: &[Version]| list.first().map_or(0, |version| version.number);
        (newest(&self.seen.catalogue), newest(&self.seen.venue))
    }

    /// Links it. It is welcomed when this is done.
    pub(crate) async fn link(self, endpoint: &Endpoint, hub: &KnownHub) -> LinkedDesk {
        let config = self.config.clone();
        let connecting = endpoint.connect_with(config, hub.address, "stempel-hub");
        let connection = connecting.expect("it is well-formed").await.expect("the hub answers");
        let told = self.told.clone();
        let (taps, mut tapped) = mpsc::channel(MOST_WAITING);
        let (welcomed, welcome) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut desk = self;
            desk.talk(&connection, &mut tapped, welcomed).await;
            connection.close(0u32.into(), b"");
            desk
        });
        welcome.await.expect("the hub welcomes the desk");
        LinkedDesk { taps, task, told }
    }

    /// Talks until nobody taps any more.
    async fn talk(
        &mut self,
        connection: &Connection,
        taps: &mut mpsc::Receiver<Tap>,
        welcomed: oneshot::Sender<()>,
    ) {
        let mut welcomed = Some(welcomed);
        let (mut send, mut receive) = connection.open_bi().await.expect("the line stands");
        let (catalogue_version, venue_version) = self.have();
        let start = DeskStart {
            software: "bench".to_owned(),
            clock: wall(),
            catalogue_version,
            venue_version,
            holders_version: 0,
            run: Some(1),
        };
        let mut session = DeskSession::start(&start, self);
        loop {
            let signs = connection.stats().frame_rx.acks;
            let now = ticks();
            let pulse = session.tick(now, wall(), self.waiting.len() as u64, signs);
            let until = match pulse {
                Pulse::Quiet { until } | Pulse::Beat { until, .. } => until,
                Pulse::Silent { for_ms } => panic!("the hub said nothing for {for_ms} ms"),
            };
            while let Some(frame) = session.next_frame(self) {
                send.write_all(&frame).await.expect("the line stands");
            }
            let wait = Duration::from_millis(until.since(now).max(1));
            tokio::select! {
                read = receive.read_chunk(READ_BYTES, true) => {
                    let chunk = read.expect("the line stands").expect("the hub goes on");
                    session.heard(ticks());
                    let (events, outcome) = session.receive(&chunk.bytes, self);
                    let run = session.run().map(|run| run.run).unwrap_or_default();
                    for event in events {
                        self.take_up(event, run);
                    }
                    outcome.expect("the hub says nothing that is wrong");
                    let (catalogue, venue) = self.have();
                    session.have(catalogue, venue);
                    if session.is_welcomed() && let Some(welcomed) = welcomed.take() {
                        let _ = welcomed.send(());
                    }
                }
                tap = taps.recv() => match tap {
                    Some(tap) => self.tap(tap),
                    None => return,
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn tap(&mut self, tap: Tap) {
        let begun = Instant::now();
        self.last_at = UnixMillis(wall().0.max(self.last_at.0 + 1));
        let fact = Fact::CheckIn { activity: self.activity, points: 1 };
        let entry = Entry { at: self.last_at, subject: Subject::Pass(tap.pass), fact };
        let extension = self.ledger.appended(self.writer(), &entry).expect("it fits");
        self.ledger.extend(&extension).expect("it is the next");
        self.waiting.push_back((extension.head().sequence, begun, tap));
    }

    fn take_up(&mut self, event: DeskEvent, run: u64) {
        let at = |number| Version { run, number };
        match event {
            DeskEvent::Acknowledged { sequence, .. } => {
                self.acknowledged = self.acknowledged.max(sequence);
                while let Some((first, ..)) = self.waiting.front()
                    && *first <= sequence
                {
                    if let Some((_, begun, Tap { acknowledged: Some(told), .. })) =
                        self.waiting.pop_front()
                    {
                        let _ = told.send(begun.elapsed());
                    }
                }
            }
            // Its neighbours' entries and the catalogue would go to its disk: the hub's part ends here.
            DeskEvent::Shared(share) => note(&mut self.seen.venue, at(share.venue_version)),
            DeskEvent::Advanced(number) => note(&mut self.seen.venue, at(number)),
            DeskEvent::Page(page) => {
                if page.stamp.is_none() {
                    note(&mut self.seen.catalogue, at(page.to));
                    self.told.fetch_max(page.to, Ordering::Relaxed);
                }
            }
            DeskEvent::Told(version) => {
                note(&mut self.seen.any, version);
                self.newest.fetch_max(version.number, Ordering::Relaxed);
            }
            DeskEvent::Notices { to, .. } => note(&mut self.seen.notices, at(to)),
            DeskEvent::Holders(page) => note(&mut self.seen.holders, at(page.stamp())),
            DeskEvent::Welcomed(welcome) => {
                assert!(welcome.restored.is_none(), "this hub was never restored");
                if let Some(go_on) = welcome.go_on {
                    go_back(&mut self.seen.venue, at(go_on.venue));
                    go_back(&mut self.seen.catalogue, at(go_on.catalogue));
                }
            }
            DeskEvent::Granted { .. }
            | DeskEvent::Answered(_)
            | DeskEvent::CardKeys(_)
            | DeskEvent::UsedTwice(_)
            | DeskEvent::Compared
            | DeskEvent::HubClock { .. } => {}
            DeskEvent::AcknowledgementsLost
            | DeskEvent::Behind { .. }
            | DeskEvent::Diverged { .. }
            | DeskEvent::AgainDone { .. } => panic!("{event:?}"),
            DeskEvent::Quarantined(set_apart) => panic!("set apart: {}", set_apart.reason),
            DeskEvent::Ended(goodbye) => panic!("the hub said goodbye: {}", goodbye.sentence),
        }
    }
}

impl LinkedDesk {
    /// Has a check-in recorded and sent.
    pub(crate) async fn tap(&self, tap: Tap) {
        self.taps.send(tap).await.expect("the desk is linked");
    }

    /// How far it has the catalogue.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Ends its line.
    pub(crate) async fn unlink(self) -> LightDesk {
        drop(self.taps);
        self.task.await.expect("a desk does not fail")
    }
}

impl DeskView for LightDesk {
    fn venue(&self) -> &VenueId {
        &self.ledger.id().venue
    }

    fn key(&self) -> &DeviceKey {
        &self.key
    }

    fn pending(&self) -> Vec<OwnList> {
        let mut own = self.own_lists();
        own.retain(|list| self.ledger.position(&list.writer).sequence > list.acknowledged);
        own
    }

    fn own_lists(&self) -> Vec<OwnList> {
        let (day, writer, acknowledged) = (self.day, self.writer(), self.acknowledged);
        if self.ledger.is_empty() {
            return Vec::new();
        }
        vec![OwnList { day, writer, acknowledged }]
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn position_at(&self, day: Date, writer: &Writer, sequence: u64) -> Option<Position> {
        if day == self.day {
            self.ledger.position_at(writer, sequence)
        } else {
            (sequence == 0).then(Position::default)
        }
    }

    fn entries(&self, _: Date, writer: &Writer, from: u64, most: usize) -> Vec<Vec<u8>> {
        self.ledger.entry_bytes_of(writer, from).take(most).collect()
    }

    fn seen(&self) -> Option<Seen> {
        Some(self.seen.clone())
    }
}
