//! A desk in memory: what lies on its disk, and a session that goes with every crash.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::catalogue::{Activity, Item, ItemName};
use crdt_model::entry::{Entry, EntryRef};
use crdt_model::ids::{VenueId, Writer};
use crdt_model::ledger::{Ledger, LedgerId, Position};
use crdt_model::time::UnixMillis;
use jiff::civil::Date;
use sync_protocol::catalogue;
use sync_protocol::desk::{DeskEvent, DeskSession, DeskStart, DeskView, OwnList, SealedList, date};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{Seal, StatedGrant};
use sync_protocol::notice::SignedNotice;
use sync_protocol::request::{RequestId, SealedRequest};
use sync_protocol::seal::DeviceKey;
use sync_protocol::version::{Seen, Version, forget_beyond, go_back, note};

pub(crate) fn venue() -> VenueId {
    "de-reede".parse().unwrap()
}

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) ledgers: BTreeMap<Date, Ledger>,
    /// The neighbours' seals, with their keys: they stand beside the ledgers.
    seals: BTreeMap<(Date, Writer), (Vec<u8>, Vec<Seal>)>,
    /// Requests, each with the number under which it was answered: files of their own.
    pub(crate) requests: BTreeMap<RequestId, Option<u64>>,
    /// What the hub told of anything: a file beside the requests.
    any: Vec<Version>,
    /// The rest is sled's: it may vanish.
    pub(crate) store: Store,
}

/// What may vanish, all of it at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) acknowledged: BTreeMap<(Date, Writer), u64>,
    /// Pairs of what it has of the venue and of the catalogue.
    venue: Vec<Version>,
    catalogue: Vec<Version>,
    /// The activities, each with the number under which it came.
    pub(crate) activities: BTreeMap<u32, (u64, Activity)>,
}

fn newest(list: &[Version]) -> u64 {
    list.first().map_or(0, |pair| pair.number)
}

pub(crate) struct Desk {
    key: DeviceKey,
    pub(crate) disk: Disk,
    epoch: u32,
    pub(crate) session: Option<DeskSession>,
    /// What a volunteer was shown, and no restored image took away.
    pub(crate) shown: BTreeSet<EntryRef>,
    /// What was ever shown.
    pub(crate) ever_shown: BTreeSet<EntryRef>,
    /// What it states and names where a test says so.
    pub(crate) kept_notices: Vec<SignedNotice>,
    pub(crate) held_grants: Vec<StatedGrant>,
    pub(crate) names: Vec<ItemName>,
}

impl Desk {
    pub(crate) fn new(n: u8) -> Self {
        Self {
            key: DeviceKey::from_seed(&[n + 1; 32]).unwrap(),
            disk: Disk::default(),
            epoch: 1,
            session: None,
            shown: BTreeSet::new(),
            ever_shown: BTreeSet::new(),
            kept_notices: Vec::new(),
            held_grants: Vec::new(),
            names: Vec::new(),
        }
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer { device: self.key.device(), epoch: self.epoch }
    }

    pub(crate) fn append(&mut self, day: Date, entry: &Entry) {
        let writer = self.writer();
        let id = LedgerId { venue: venue(), day };
        let ledger = self.disk.ledgers.entry(day).or_insert_with(|| Ledger::new(id));
        let extension = ledger.appended(writer, entry).unwrap();
        ledger.extend(&extension).unwrap();
        let place = EntryRef { day, writer, index: extension.first_index() };
        self.shown.insert(place);
        self.ever_shown.insert(place);
    }

    /// The daemon is killed and started again: a new epoch. `store` says whether sled survived.
    pub(crate) fn crash(&mut self, store: bool) {
        self.session = None;
        self.epoch += 1;
        if !store {
            self.disk.store = Store::default();
        }
    }

    /// The disk is an older image again. What was written since is the desk's no longer.
    pub(crate) fn restore(&mut self, image: &Disk) {
        self.disk = image.clone();
        self.crash(true);
        let disk = &self.disk;
        let there = |place: &EntryRef| {
            disk.ledgers.get(&place.day).is_some_and(|l| l.entry(place).is_some())
        };
        self.shown.retain(there);
    }

    pub(crate) fn connect(&mut self) {
        let start = DeskStart {
            software: "simulated".to_owned(),
            clock: UnixMillis(0),
            catalogue_version: newest(&self.disk.store.catalogue),
            venue_version: newest(&self.disk.store.venue),
            holders_version: 0,
            run: None,
        };
        self.session = Some(DeskSession::start(&start, self));
    }

    pub(crate) fn next_frame(&mut self) -> Option<Vec<u8>> {
        let mut session = self.session.take()?;
        let frame = session.next_frame(self);
        self.session = Some(session);
        frame
    }

    /// Takes bytes; `false` where the session is over.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> bool {
        let Some(mut session) = self.session.take() else { return false };
        let (events, outcome) = session.receive(bytes, self);
        outcome.expect("an honest hub says nothing that is wrong");
        let run = session.run().map(|run| run.run);
        for event in events {
            if !self.take_up(event, run.unwrap()) {
                return false;
            }
        }
        session.have(newest(&self.disk.store.catalogue), newest(&self.disk.store.venue));
        self.session = Some(session);
        true
    }

    fn take_up(&mut self, event: DeskEvent, run: u64) -> bool {
        let at = |number| Version { run, number };
        let Disk { store, ledgers, seals, .. } = &mut self.disk;
        match event {
            DeskEvent::Granted { .. }
            | DeskEvent::Holders(_)
            | DeskEvent::CardKeys(_)
            | DeskEvent::UsedTwice(_)
            | DeskEvent::Notices { .. }
            | DeskEvent::Compared
            | DeskEvent::HubClock { .. } => {}
            DeskEvent::Told(version) => note(&mut self.disk.any, version),
            DeskEvent::Answered(answer) => {
                self.disk.requests.insert(answer.id, answer.number);
            }
            DeskEvent::Acknowledged { day, writer, sequence } => {
                let length = self.position_at_end(day, &writer).sequence;
                assert!(sequence <= length, "nothing is acknowledged that is not here");
                let known = self.disk.store.acknowledged.entry((day, writer)).or_default();
                *known = (*known).max(sequence);
            }
            DeskEvent::AcknowledgementsLost => store.acknowledged.clear(),
            // A restored image: the hub shares what is lacking.
            DeskEvent::Behind { .. } => {}
            DeskEvent::Diverged { day, writer, .. } => panic!("{writer} diverged on {day}"),
            DeskEvent::Shared(share) => {
                let (day, writer) = (date(share.batch.day).unwrap(), share.batch.writer.writer());
                let id = LedgerId { venue: venue(), day };
                let ledger = ledgers.entry(day).or_insert_with(|| Ledger::new(id.clone()));
                match judge(&share.batch, &id, ledger.position(&writer)) {
                    Judgement::Merge(extension) => {
                        ledger.extend(&extension).unwrap();
                        let sequence = extension.head().sequence;
                        if writer.device == self.key.device() {
                            store.acknowledged.insert((day, writer), sequence);
                        } else {
                            let key = share.batch.public_key;
                            let kept = seals.entry((day, writer));
                            kept.or_insert_with(|| (key, Vec::new())).1.push(share.batch.seal);
                        }
                    }
                    Judgement::Held => {}
                    Judgement::Lacking { .. } => {
                        store.venue.clear();
                        return false;
                    }
                    Judgement::Quarantine(reason) => {
                        panic!("an honest hub shares what is sealed: {reason}")
                    }
                }
                note(&mut store.venue, at(share.venue_version));
            }
            DeskEvent::Advanced(number) => note(&mut store.venue, at(number)),
            DeskEvent::Quarantined(set_apart) => panic!("{}", set_apart.reason),
            DeskEvent::Ended(goodbye) => panic!("{}", goodbye.sentence),
            DeskEvent::Welcomed(welcome) => {
                let go_on = welcome.go_on.unwrap();
                // Entries are never otherwise than they were, so here nothing is to be said again first.
                go_back(&mut store.venue, at(go_on.venue));
                if welcome.restored.is_none() {
                    go_back(&mut store.catalogue, at(go_on.catalogue));
                }
            }
            DeskEvent::Page(page) => {
                assert!(page.from <= newest(&store.catalogue), "no page is left out");
                for item in catalogue::unpack(&page.items).unwrap() {
                    match item {
                        Item::Activity(activity) => {
                            let id = activity.activity.0;
                            store.activities.insert(id, (page.stamp(), activity));
                        }
                        Item::Gone(ItemName::Activity(id)) => {
                            store.activities.remove(&id.0);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                if page.stamp.is_none() {
                    note(&mut store.catalogue, at(page.to));
                }
            }
            DeskEvent::AgainDone { go_on, common, told } => {
                forget_beyond(&mut store.venue, common, at(go_on.venue));
                forget_beyond(&mut store.catalogue, common, at(go_on.catalogue));
                forget_beyond(&mut self.disk.any, common, told);
            }
        }
        true
    }

    fn position_at_end(&self, day: Date, writer: &Writer) -> Position {
        self.disk.ledgers.get(&day).map(|ledger| ledger.position(writer)).unwrap_or_default()
    }
}

impl DeskView for Desk {
    fn venue(&self) -> &VenueId {
        static VENUE: std::sync::OnceLock<VenueId> = std::sync::OnceLock::new();
        VENUE.get_or_init(venue)
    }

    fn key(&self) -> &DeviceKey {
        &self.key
    }

    fn pending(&self) -> Vec<OwnList> {
        let mut lists = self.own_lists();
        lists.retain(|list| {
            list.acknowledged < self.position_at_end(list.day, &list.writer).sequence
        });
        lists
    }

    fn own_lists(&self) -> Vec<OwnList> {
        let device = self.key.device();
        let lists = self
            .disk
            .ledgers
            .iter()
            .flat_map(|(day, ledger)| ledger.writers().map(move |writer| (*day, writer)));
        lists
            .filter(|(_, writer)| writer.device == device)
            .map(|(day, writer)| {
                let acknowledged =
                    self.disk.store.acknowledged.get(&(day, writer)).copied().unwrap_or(0);
                OwnList { day, writer, acknowledged }
            })
            .collect()
    }

    fn acknowledged(&self) -> u64 {
        let device = self.key.device();
        let own =
            self.disk.store.acknowledged.iter().filter(|((_, writer), _)| writer.device == device);
        own.map(|(_, sequence)| sequence).sum()
    }

    fn position_at(&self, day: Date, writer: &Writer, sequence: u64) -> Option<Position> {
        match self.disk.ledgers.get(&day) {
            Some(ledger) => ledger.position_at(writer, sequence),
            None => (sequence == 0).then(Position::default),
        }
    }

    fn entries(&self, day: Date, writer: &Writer, from: u64, most: usize) -> Vec<Vec<u8>> {
        let ledger = self.disk.ledgers.get(&day);
        ledger.map_or_else(Vec::new, |ledger| {
            ledger.entry_bytes_of(writer, from).take(most).collect()
        })
    }

    fn requests(&self) -> Vec<SealedRequest> {
        self.requests_where(|answered| answered.is_none())
    }

    fn seen(&self) -> Option<Seen> {
        let Store { venue, catalogue, .. } = self.disk.store.clone();
        Some(Seen { catalogue, venue, any: self.disk.any.clone(), ..Seen::default() })
    }

    fn others(&self) -> Vec<SealedList> {
        let kept = self.disk.seals.iter();
        kept.map(|((day, writer), (public_key, seals))| SealedList {
            day: *day,
            writer: *writer,
            seals: seals.clone(),
            public_key: public_key.clone(),
        })
        .collect()
    }

    fn notices(&self) -> Vec<SignedNotice> {
        self.kept_notices.clone()
    }

    fn stated(&self) -> Vec<StatedGrant> {
        self.held_grants.clone()
    }

    fn answered_beyond(&self, number: u64) -> Vec<SealedRequest> {
        self.requests_where(|answered| answered.is_some_and(|answered| answered > number))
    }

    fn names_beyond(&self, catalogue: u64, _: u64) -> Vec<ItemName> {
        let items = self.disk.store.activities.values();
        let beyond = items.filter(|(stamp, _)| *stamp > catalogue);
        let beyond = beyond.map(|(_, activity)| ItemName::Activity(activity.activity));
        beyond.chain(self.names.iter().copied()).collect()
    }
}

impl Desk {
    /// It keeps these seals of a neighbour's list, and no others.
    pub(crate) fn kept(&mut self, list: SealedList) {
        let SealedList { day, writer, seals, public_key } = list;
        self.disk.seals.insert((day, writer), (public_key, seals));
    }

    /// Somebody asks for something about a card.
    pub(crate) fn ask(&mut self, id: RequestId) {
        self.disk.requests.insert(id, None);
    }

    fn requests_where(&self, which: impl Fn(Option<u64>) -> bool) -> Vec<SealedRequest> {
        let requests = self.disk.requests.iter().filter(|(_, answered)| which(**answered));
        requests.map(|(id, _)| SealedRequest { id: *id, sealed: vec![7] }).collect()
    }
}
