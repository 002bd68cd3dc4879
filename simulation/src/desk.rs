//! A desk that ships: `syncd`'s own desk on its own files, and a session that goes with every crash. What drives it here is
//! to it what `syncd::hub_link` and the desk API are.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crdt_model::entry::EntryRef;
use crdt_model::ids::Writer;
use crdt_model::surroundings::Surroundings;
use crdt_model::time::UnixMillis;
use desk_api::types::{Answer, HubLink, RedemptionRequest, RequestBody, TapRequest};
use jiff::civil::Date;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sync_protocol::catalogue;
use sync_protocol::desk::{DeskEvent, DeskSession, DeskView, OwnList};
use sync_protocol::heartbeat::Pulse;
use sync_protocol::message::GoodbyeKind;
use sync_protocol::notice::SignedNotice;
use sync_protocol::seal::DeviceKey;
use syncd::desk::{Desk as Real, LinkError, Refusal};
use syncd::durable::{Watching, watch};
use syncd::enrolment::Enrolment;
use syncd::links::{Peer, Session};
use syncd::notice_file::NoticeFile;
use syncd::paths::DeskFolder;
use syncd::store::Store;

use crate::disk::{Disk, Image, PowerCut, image_of, put};
use crate::hub::{Planted, Simulated, folder, hub_public_key, pkcs8};

/// The desk's folder, and that of its mark, below the disk's.
const DESK: &str = "desk";
const MARKS: &str = "marks";

/// The seed of the key of the desk with this number.
fn seed(n: u8) -> [u8; 32] {
    [n + 1; 32]
}

/// The key of the desk with this number.
pub(crate) fn key(n: u8) -> DeviceKey {
    DeviceKey::from_seed(&seed(n)).unwrap()
}

/// A desk's clocks, which are the world's but for its skew, and the world's randomness.
#[derive(Debug)]
struct Here {
    world: Arc<Simulated>,
    skew: AtomicI64,
}

impl Surroundings for Here {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.world.clock.load(Ordering::Relaxed) + self.skew.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        // A computer runs for a while before its desk is started.
        self.world.steady() + Duration::from_hours(1)
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.world.fill(bytes);
    }
}

/// What a desk heard that the world compares at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Acknowledged {
        day: Date,
        writer: Writer,
        sequence: u64,
    },
    SetApart {
        writer: Writer,
        reason: String,
    },
    Restored,
    OutOfTurn,
    SaidAgain,
    NotEnrolled,
    /// The catalogue is on its way, and more of it is to come.
    FirstPage,
}

/// How a desk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The daemon is killed: what it has written is there.
    Killed,
    /// The power goes: what it has not made durable may be gone.
    PowerCut,
    /// The daemon is killed, and somebody removes its store.
    LostStore,
}

struct Talk {
    session: DeskSession,
    said: Session,
    /// The desk's number of its sessions when this one began.
    sessions: u64,
    paged: bool,
}

pub(crate) struct Desk {
    pub(crate) key: DeviceKey,
    // Before the folder that it lies in.
    real: Option<Real>,
    talk: Option<Talk>,
    _watching: Watching,
    folder: tempfile::TempDir,
    pub(crate) disk: Arc<Disk>,
    here: Arc<Here>,
    planted: Planted,
    random: ChaCha8Rng,
    /// Signs of life of the hub on this line, as QUIC gives them.
    pub(crate) signs: u64,
    pub(crate) heard: Vec<Heard>,
    /// What a volunteer was shown, and no restored image took away.
    pub(crate) shown: BTreeSet<EntryRef>,
    /// What was ever shown.
    pub(crate) ever_shown: BTreeSet<EntryRef>,
    /// Its whole disk was once an older image again, mark and all: it may hand out a unit a second time.
    pub(crate) was_restored: bool,
    /// Somebody removed its store once: with it goes what the hub was heard to say.
    pub(crate) lost_store: bool,
}

impl Desk {
    /// The desk with this number, enrolled so; its clock is so far from the world's, in milliseconds.
    pub(crate) fn new(
        n: u8,
        skew: i64,
        world: Arc<Simulated>,
        enrolment: &Enrolment,
        planted: Planted,
    ) -> Self {
        Self::enrolled(n, skew, world, (enrolment, None), planted)
    }

    /// The same, which has kept what the hub signed when it was enrolled.
    pub(crate) fn enrolled(
        n: u8,
        skew: i64,
        world: Arc<Simulated>,
        (enrolment, notice): (&Enrolment, Option<SignedNotice>),
        planted: Planted,
    ) -> Self {
        let folder = folder();
        fs::create_dir(folder.path().join(DESK)).unwrap();
        fs::create_dir(folder.path().join(MARKS)).unwrap();
        let place = DeskFolder::new(folder.path().join(DESK));
        fs::write(place.key(), pkcs8(&seed(n))).unwrap();
        let kept = NoticeFile::open(&place.notices()).keep(
            notice.into_iter().collect(),
            hub_public_key(),
            None,
        );
        kept.unwrap();
        enrolment.write(&place).unwrap();
        let disk = Arc::new(Disk::new(folder.path(), planted == Planted::NothingIsSynced));
        let random = ChaCha8Rng::seed_from_u64(u64::from_le_bytes(world.bytes()));
        let mut desk = Self {
            key: key(n),
            real: None,
            talk: None,
            _watching: watch(folder.path(), disk.clone()),
            folder,
            disk,
            here: Arc::new(Here { world, skew: AtomicI64::new(skew) }),
            planted,
            random,
            signs: 0,
            heard: Vec::new(),
            shown: BTreeSet::new(),
            ever_shown: BTreeSet::new(),
            was_restored: false,
            lost_store: false,
        };
        desk.start();
        desk
    }

    fn place(&self) -> DeskFolder {
        DeskFolder::new(self.folder.path().join(DESK)).with_marks(self.folder.path().join(MARKS))
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The daemon is started, unless it runs. On a full disk it may not be able to.
    pub(crate) fn start(&mut self) {
        if self.real.is_none() {
            let epoch = u32::from_le_bytes(self.here.world.bytes());
            match Real::open(self.place(), epoch, self.here.clone()) {
                Ok((real, _)) => self.real = Some(real),
                Err(error) => {
                    assert!(
                        self.disk.full.load(Ordering::Relaxed),
                        "a desk does not start: {error}"
                    );
                }
            }
        }
    }

    /// The daemon, where it runs.
    pub(crate) fn real(&self) -> Option<&Real> {
        self.real.as_ref()
    }

    pub(crate) fn has_session(&self) -> bool {
        self.talk.is_some()
    }

    /// Sets its clock.
    pub(crate) fn set_clock(&self, skew: i64) {
        self.here.skew.store(skew, Ordering::Relaxed);
    }

    /// Does something at the desk. The power may go in the middle of it; then there is no answer.
    fn at_desk<T>(&mut self, what: impl FnOnce(&mut Real) -> T) -> Option<T> {
        let real = self.real.as_mut()?;
        match catch_unwind(AssertUnwindSafe(|| what(real))) {
            Ok(done) => Some(done),
            Err(why) if why.is::<PowerCut>() => {
                self.end(Ending::PowerCut);
                self.start();
                // Nobody was told, and it may be there all the same.
                let lists = self.real.iter().flat_map(DeskView::own_lists);
                for OwnList { day, writer, .. } in lists {
                    let many = self
                        .real
                        .as_ref()
                        .map_or(0, |desk| desk.entries(day, &writer, 0, usize::MAX).len() as u64);
                    let places = (0..many).map(|index| EntryRef { day, writer, index });
                    self.ever_shown.extend(places);
                }
                None
            }
            Err(why) => resume_unwind(why),
        }
    }

    fn note(&mut self, answer: Result<Answer, Refusal>) -> Option<EntryRef> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Refusal::NoSuchEntry) => return None,
            Err(error) => {
                assert!(self.disk.full.load(Ordering::Relaxed), "a desk refuses: {error}");
                return None;
            }
        };
        let place = answer.entry?;
        self.shown.insert(place);
        self.ever_shown.insert(place);
        Some(place)
    }

    /// A visitor holds a card to the reader. The entry, where one was written.
    pub(crate) fn tap(&mut self, card: &str) -> Option<EntryRef> {
        let tap = TapRequest { pass: card.to_owned(), checkin_code: None, check: None };
        let answer = self.at_desk(|desk| {
            let now = desk.now();
            desk.tap(&tap, now)
        })?;
        self.note(answer)
    }

    /// A visitor would like a unit of the limited reward.
    pub(crate) fn redeem(&mut self, card: &str, reward: &str) -> Option<EntryRef> {
        let asked =
            RedemptionRequest { pass: card.to_owned(), reward_id: reward.to_owned(), check: None };
        let answer = self.at_desk(|desk| {
            let now = desk.now();
            if let Ok(Some(reward)) = desk.ask_for_unit(&asked, now) {
                desk.stop_waiting(reward);
            }
            desk.redeem(&asked, now)
        })?;
        self.note(answer)
    }

    /// Takes an entry back.
    pub(crate) fn void(&mut self, target: Option<EntryRef>) -> Option<EntryRef> {
        let answer = self.at_desk(|desk| {
            let now = desk.now();
            desk.void(target, now)
        })?;
        self.note(answer)
    }

    /// Chooses the activity that its check-ins are for.
    pub(crate) fn choose(&mut self, event_id: &str) {
        let chosen = self.at_desk(|desk| desk.choose_activity(event_id));
        if let Some(Err(error)) = chosen {
            let known = matches!(error, Refusal::NoSuchActivity);
            assert!(known || self.disk.full.load(Ordering::Relaxed), "{error}");
        }
    }

    /// A card is reported lost.
    pub(crate) fn ask(&mut self, card: &str) {
        let body = RequestBody::ReportLost { pass: card.to_owned() };
        let asked = self.at_desk(|desk| {
            let now = desk.now();
            desk.request(body, now)
        });
        if let Some(Err(error)) = asked {
            assert!(self.disk.full.load(Ordering::Relaxed), "a desk refuses: {error}");
        }
    }

    /// It hands out nothing more of what it holds, and tells the hub so. Whether it held anything.
    pub(crate) fn give_back(&mut self) -> bool {
        let given = self.at_desk(Real::give_stock_back);
        given.is_some_and(|given| given.is_ok_and(|given| given.iter().any(|it| it.granted > 0)))
    }

    /// What the daemon does by itself from time to time.
    pub(crate) fn look_after(&mut self) {
        self.at_desk(|desk| {
            desk.now();
            let tried = desk.trials().run();
            desk.look_after(&tried);
            desk.check_ledger_files();
        });
    }

    /// It ends, and its session with it.
    pub(crate) fn end(&mut self, how: Ending) {
        self.talk = None;
        let left = match how {
            Ending::PowerCut => self.disk.after_a_power_cut(&mut self.random),
            Ending::Killed => image_of(self.path()),
            Ending::LostStore => {
                self.lost_store = true;
                let mut left = image_of(self.path());
                left.retain(|path, _| !path.starts_with(Path::new(DESK).join("store")));
                left
            }
        };
        self.lie_there(&left);
    }

    fn lie_there(&mut self, left: &Image) {
        // What it would still write out goes to files that are removed.
        self.real = None;
        put(self.path(), left);
        self.disk.is_durable();
    }

    /// A copy of its disk, as it is now.
    pub(crate) fn image(&self) -> Image {
        image_of(self.path())
    }

    /// The folder is an older copy again, or with its mark the whole disk. What was written since is the desk's no longer.
    pub(crate) fn put_back(&mut self, image: &Image, whole: bool) {
        self.talk = None;
        let mut left = image.clone();
        if !whole {
            let marks = image_of(self.path());
            left.retain(|path, _| !path.starts_with(MARKS));
            left.extend(marks.into_iter().filter(|(path, _)| path.starts_with(MARKS)));
        }
        self.was_restored |= whole;
        self.lie_there(&left);
        self.start();
        let real = self.real.as_ref();
        self.shown.retain(|place| real.is_some_and(|desk| has(desk, place)));
    }

    /// It is stopped, as an operator stops it, and its store opened.
    pub(crate) fn ended(&mut self) -> Store {
        self.hang_up();
        if let Some(mut real) = self.real.take() {
            real.close();
        }
        Store::open(&self.place().store(), Arc::default())
    }

    /// Calls the hub.
    pub(crate) fn connect(&mut self) {
        self.hang_up();
        let sessions = self.at_desk(|desk| {
            desk.set_hub_key(hub_public_key().try_into().unwrap());
            let clocks = desk.read_clocks();
            let (start, said) = desk.begin_session(Peer::Hub, clocks);
            let session = DeskSession::start(&start, &*desk);
            Talk { session, said, sessions: desk.sessions(), paged: false }
        });
        self.talk = sessions;
    }

    /// Its session is over.
    pub(crate) fn hang_up(&mut self) {
        if self.talk.take().is_some() {
            self.at_desk(|desk| {
                let (now, why) = (desk.now(), "the line broke".to_owned());
                desk.set_link(Peer::Hub, HubLink::Offline { why }, now);
            });
        }
    }

    pub(crate) fn next_frame(&mut self) -> Option<Vec<u8>> {
        let mut talk = self.talk.take()?;
        let signs = self.signs;
        let (goes_on, frame) = self.at_desk(|desk| {
            let clocks = desk.read_clocks();
            desk.now();
            let pulse = talk.session.tick(clocks.steady, clocks.wall, desk.pending_count(), signs);
            let over = matches!(pulse, Pulse::Silent { .. }) || desk.sessions() != talk.sessions;
            let frame = if over { None } else { talk.session.next_frame(&*desk) };
            (!over, frame)
        })?;
        self.talk = Some(talk);
        if !goes_on {
            self.hang_up();
        }
        frame
    }

    /// Takes bytes; `false` where the session is over.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> bool {
        let Some(mut talk) = self.talk.take() else { return false };
        let planted = self.planted;
        let mut heard = Vec::new();
        let taken = self.at_desk(|desk| {
            let clocks = desk.read_clocks();
            talk.session.heard(clocks.steady);
            let (events, outcome) = talk.session.receive(bytes, &*desk);
            outcome.expect("the hub says nothing that is wrong");
            let mut passed = Vec::with_capacity(events.len());
            for event in events {
                hear(&event, &mut talk.paged, &mut heard);
                let again = talk.session.says_again();
                passed.extend(spoilt(planted, event, again));
            }
            let taken = desk.take_up(&mut talk.said, passed, clocks);
            let (catalogue, venue) = desk.have();
            talk.session.have(catalogue, venue);
            taken
        });
        self.heard.extend(heard);
        match taken {
            Some(Ok(())) => {
                self.talk = Some(talk);
                return true;
            }
            Some(Err(LinkError::Ended { kind: GoodbyeKind::NotEnrolled, .. })) => {
                self.heard.push(Heard::NotEnrolled);
            }
            Some(Err(LinkError::OutOfStep)) => {}
            None => return false,
            Some(Err(error)) => {
                assert!(self.disk.full.load(Ordering::Relaxed), "a link ends: {error}");
            }
        }
        self.talk = Some(talk);
        self.hang_up();
        false
    }
}

/// Whether a desk has this entry.
pub(crate) fn has(desk: &Real, place: &EntryRef) -> bool {
    desk.entries(place.day, &place.writer, place.index, 1).len() == 1
}

fn hear(event: &DeskEvent, paged: &mut bool, heard: &mut Vec<Heard>) {
    heard.push(match event {
        DeskEvent::Acknowledged { day, writer, sequence } => {
            Heard::Acknowledged { day: *day, writer: *writer, sequence: *sequence }
        }
        DeskEvent::Quarantined(it) => {
            Heard::SetApart { writer: it.writer.writer(), reason: it.reason.clone() }
        }
        DeskEvent::Welcomed(welcome) if welcome.restored.is_some() => Heard::Restored,
        DeskEvent::Page(page) if page.stamp.is_some() => Heard::OutOfTurn,
        DeskEvent::Page(page) if !page.last && !std::mem::replace(paged, true) => Heard::FirstPage,
        DeskEvent::AgainDone { .. } => Heard::SaidAgain,
        _ => return,
    });
}

/// What a desk makes of what it heard that has a fault.
fn spoilt(planted: Planted, event: DeskEvent, again: bool) -> Option<DeskEvent> {
    match (planted, event) {
        (Planted::PageHalfApplied, DeskEvent::Page(mut page)) => {
            let items = catalogue::unpack(&page.items).unwrap();
            page.items = catalogue::pack(&items[..items.len().div_ceil(2)]);
            Some(DeskEvent::Page(page))
        }
        (Planted::DenyListLeftOut, DeskEvent::Page(page))
            if page.stamp.is_some() && !page.again_done && !again =>
        {
            None
        }
        (_, event) => Some(event),
    }
}
