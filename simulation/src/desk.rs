//! A desk in memory: what lies on its disk, and a session that goes with every crash.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::catalogue::{Item, ItemName};
use crdt_model::entry::{Entry, EntryRef, Fact};
use crdt_model::ids::{RewardId, VenueId, Writer};
use crdt_model::ledger::{Ledger, LedgerId, Position};
use crdt_model::stock::{GrantId, GrantedUnits, Unit};
use crdt_model::time::{UnixMillis, date_of_day_number};
use jiff::civil::Date;
use sync_protocol::catalogue;
use sync_protocol::desk::{DeskEvent, DeskSession, DeskStart, DeskView, OwnList, SealedList, date};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{CataloguePage, Closing, Seal, Share, StatedGrant, Wanted};
use sync_protocol::notice::SignedNotice;
use sync_protocol::request::{RequestId, SealedRequest};
use sync_protocol::seal::DeviceKey;
use sync_protocol::version::{GoOn, Seen, Version, forget_beyond, go_back, note};

use crate::hub::{REWARD, hub_public_key, venue};

/// Units that a desk asks for ahead.
const AHEAD: u32 = 6;

/// A request on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    sealed: SealedRequest,
    /// The number under which the hub answered, once it has.
    pub(crate) answered: Option<u64>,
}

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) ledgers: BTreeMap<Date, Ledger>,
    /// The neighbours' seals, with their keys.
    seals: BTreeMap<(Date, Writer), (Vec<u8>, Vec<Seal>)>,
    pub(crate) requests: BTreeMap<RequestId, Asked>,
    /// What the hub told of anything.
    any: Vec<Version>,
    pub(crate) grants: Vec<GrantedUnits>,
    /// Those of them that are given back.
    closing: BTreeSet<GrantId>,
    pub(crate) notices: BTreeSet<SignedNotice>,
    notices_seen: Vec<Version>,
    /// The rest is sled's: it may vanish.
    pub(crate) store: Store,
}

/// What may vanish, all of it at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) acknowledged: BTreeMap<(Date, Writer), u64>,
    venue: Vec<Version>,
    catalogue: Vec<Version>,
    /// The catalogue, each item with the number under which it came.
    pub(crate) items: BTreeMap<ItemName, (u64, Item)>,
}

fn newest(list: &[Version]) -> u64 {
    list.first().map_or(0, |pair| pair.number)
}

/// What a desk heard that the world compares at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Acknowledged { day: Date, writer: Writer, sequence: u64 },
    SetApart { writer: Writer, reason: String },
    Restored,
    DenyList,
    SaidAgain,
    NotEnrolled,
}

pub(crate) struct Desk {
    pub(crate) key: DeviceKey,
    pub(crate) disk: Disk,
    epoch: u32,
    /// Its clock is so far from the world's, in milliseconds.
    pub(crate) skew: i64,
    last_at: i64,
    pub(crate) session: Option<DeskSession>,
    pub(crate) heard: Vec<Heard>,
    /// What a volunteer was shown, and no restored image took away.
    pub(crate) shown: BTreeSet<EntryRef>,
    /// What was ever shown.
    pub(crate) ever_shown: BTreeSet<EntryRef>,
    /// Its disk was once an older image again: it may hand out a unit a second time.
    pub(crate) was_restored: bool,
}

impl Desk {
    pub(crate) fn new(n: u8, skew: i64) -> Self {
        Self {
            key: key(n),
            disk: Disk::default(),
            epoch: 1,
            skew,
            last_at: 0,
            session: None,
            heard: Vec::new(),
            shown: BTreeSet::new(),
            ever_shown: BTreeSet::new(),
            was_restored: false,
        }
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer { device: self.key.device(), epoch: self.epoch }
    }

    /// Records this, at its own clock.
    pub(crate) fn append(&mut self, world: i64, mut entry: Entry) {
        self.last_at = (world + self.skew).max(self.last_at + 1);
        entry.at = UnixMillis(self.last_at);
        // It is afternoon on each of these days: the day is the same in Brussels.
        let day = i32::try_from(self.last_at.div_euclid(86_400_000)).unwrap();
        let day = date_of_day_number(day).unwrap();
        let writer = self.writer();
        let ledger = ledger(&mut self.disk.ledgers, day);
        let extension = ledger.appended(writer, &entry).unwrap();
        ledger.extend(&extension).unwrap();
        let place = EntryRef { day, writer, index: extension.first_index() };
        self.shown.insert(place);
        self.ever_shown.insert(place);
    }

    /// The units that its own entries name, taken back or not.
    fn used(&self) -> BTreeSet<Unit> {
        let device = self.key.device();
        let entries = self.disk.ledgers.values().flat_map(Ledger::entries);
        let own = entries.filter(|(place, _)| place.writer.device == device);
        own.filter_map(|(_, entry)| match entry.fact {
            Fact::Redemption { unit, .. } => unit,
            _ => None,
        })
        .collect()
    }

    /// The unit to hand out next.
    pub(crate) fn next_unit(&self) -> Option<Unit> {
        let used = self.used();
        let held = self.disk.grants.iter().filter(|it| !self.disk.closing.contains(&it.grant));
        let mut units = held.flat_map(|it| it.units.iter().map(|unit| (it.grant, unit)));
        let unit = units.find(|(grant, unit)| !used.contains(&Unit { grant: *grant, unit: *unit }));
        unit.map(|(grant, unit)| Unit { grant, unit })
    }

    /// It hands out nothing more of what it holds, and tells the hub so. Whether it held anything.
    pub(crate) fn give_back(&mut self) -> bool {
        self.disk.closing = self.disk.grants.iter().map(|it| it.grant).collect();
        !self.disk.closing.is_empty()
    }

    pub(crate) fn ask(&mut self, sealed: SealedRequest) {
        self.disk.requests.insert(sealed.id, Asked { sealed, answered: None });
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
        self.was_restored = true;
        let disk = &self.disk;
        let there =
            |at: &EntryRef| disk.ledgers.get(&at.day).is_some_and(|it| it.entry(at).is_some());
        self.shown.retain(there);
    }

    pub(crate) fn connect(&mut self, world: i64) {
        let start = DeskStart {
            software: "simulated".to_owned(),
            clock: UnixMillis(world + self.skew),
            catalogue_version: newest(&self.disk.store.catalogue),
            venue_version: newest(&self.disk.store.venue),
            holders_version: 0,
            run: Some(self.epoch),
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
        outcome.expect("the hub says nothing that is wrong");
        let run = session.run().map_or(0, |run| run.run);
        for event in events {
            if !self.take_up(event, run) {
                return false;
            }
        }
        session.have(newest(&self.disk.store.catalogue), newest(&self.disk.store.venue));
        self.session = Some(session);
        true
    }

    fn take_up(&mut self, event: DeskEvent, run: u64) -> bool {
        let at = |number| Version { run, number };
        match event {
            DeskEvent::Holders(_)
            | DeskEvent::CardKeys(_)
            | DeskEvent::UsedTwice(_)
            | DeskEvent::Compared
            // A restored image: the hub shares what is lacking.
            | DeskEvent::Behind { .. }
            | DeskEvent::HubClock { .. } => {}
            DeskEvent::Granted { grants, .. } => {
                // The hub no longer lists what it has heard to be given back.
                self.disk.closing.retain(|it| grants.iter().any(|granted| granted.grant == *it));
                self.disk.grants = grants;
            }
            DeskEvent::Notices { notices, to } => {
                for signed in notices {
                    signed.open(hub_public_key()).expect("the hub's own notices");
                    self.disk.notices.insert(signed);
                }
                note(&mut self.disk.notices_seen, at(to));
            }
            DeskEvent::Told(version) => note(&mut self.disk.any, version),
            DeskEvent::Answered(answer) => {
                if let Some(asked) = self.disk.requests.get_mut(&answer.id) {
                    asked.answered = Some(answer.number.expect("this hub numbers its answers"));
                }
            }
            DeskEvent::Acknowledged { day, writer, sequence } => {
                let length = self.position_at_end(day, &writer).sequence;
                assert!(sequence <= length, "nothing is acknowledged that is not here");
                let known = self.disk.store.acknowledged.entry((day, writer)).or_default();
                *known = (*known).max(sequence);
                self.heard.push(Heard::Acknowledged { day, writer, sequence });
            }
            DeskEvent::AcknowledgementsLost => self.disk.store.acknowledged.clear(),
            DeskEvent::Diverged { day, writer, .. } => panic!("{writer} diverged on {day}"),
            DeskEvent::Shared(share) => {
                if !self.take_share(&share) {
                    return false;
                }
                note(&mut self.disk.store.venue, at(share.venue_version));
            }
            DeskEvent::Advanced(number) => note(&mut self.disk.store.venue, at(number)),
            DeskEvent::Quarantined(set_apart) => {
                let writer = set_apart.writer.writer();
                self.heard.push(Heard::SetApart { writer, reason: set_apart.reason });
            }
            DeskEvent::Ended(goodbye) => {
                use sync_protocol::message::GoodbyeKind;
                assert_eq!(goodbye.kind, GoodbyeKind::NotEnrolled, "{}", goodbye.sentence);
                self.heard.push(Heard::NotEnrolled);
                return false;
            }
            DeskEvent::Welcomed(welcome) => {
                let go_on = welcome.go_on.expect("this hub knows runs");
                go_back(&mut self.disk.store.venue, at(go_on.venue));
                if welcome.restored.is_none() {
                    go_back(&mut self.disk.store.catalogue, at(go_on.catalogue));
                    go_back(&mut self.disk.notices_seen, at(go_on.notices));
                } else {
                    self.heard.push(Heard::Restored);
                }
            }
            DeskEvent::Page(page) => self.take_page(&page, run),
            DeskEvent::AgainDone { go_on, common, told } => self.go_back(go_on, common, told),
        }
        true
    }

    fn go_back(&mut self, go_on: GoOn, common: u64, told: Version) {
        let at = |number| Version { run: told.run, number };
        forget_beyond(&mut self.disk.store.venue, common, at(go_on.venue));
        forget_beyond(&mut self.disk.store.catalogue, common, at(go_on.catalogue));
        forget_beyond(&mut self.disk.notices_seen, common, at(go_on.notices));
        forget_beyond(&mut self.disk.any, common, told);
        self.heard.push(Heard::SaidAgain);
    }

    /// `false` where something lies between what is here and what came: then all is asked for again.
    fn take_share(&mut self, share: &Share) -> bool {
        let (day, writer) = (date(share.batch.day).unwrap(), share.batch.writer.writer());
        let own = writer.device == self.key.device();
        let Disk { store, ledgers, seals, .. } = &mut self.disk;
        let ledger = ledger(ledgers, day);
        match judge(&share.batch, &ledger.id().clone(), ledger.position(&writer)) {
            Judgement::Merge(extension) => {
                ledger.extend(&extension).unwrap();
                if own {
                    store.acknowledged.insert((day, writer), extension.head().sequence);
                } else {
                    let kept = seals.entry((day, writer));
                    let kept = kept.or_insert_with(|| (share.batch.public_key.clone(), Vec::new()));
                    kept.1.push(share.batch.seal.clone());
                }
            }
            Judgement::Held => {}
            Judgement::Lacking { .. } => {
                store.venue.clear();
                return false;
            }
            Judgement::Quarantine(reason) => panic!("the hub shares what is sealed: {reason}"),
        }
        true
    }

    fn take_page(&mut self, page: &CataloguePage, run: u64) {
        let store = &mut self.disk.store;
        assert!(page.from <= newest(&store.catalogue), "no page is left out");
        for item in catalogue::unpack(&page.items).unwrap() {
            match item {
                Item::Gone(name) => drop(store.items.remove(&name)),
                item => drop(store.items.insert(item.name(), (page.stamp(), item))),
            }
        }
        if page.stamp.is_none() {
            note(&mut store.catalogue, Version { run, number: page.to });
        } else if !page.again_done {
            self.heard.push(Heard::DenyList);
        }
    }

    fn position_at_end(&self, day: Date, writer: &Writer) -> Position {
        self.disk.ledgers.get(&day).map(|ledger| ledger.position(writer)).unwrap_or_default()
    }

    fn requests_where(&self, which: impl Fn(&Asked) -> bool) -> Vec<SealedRequest> {
        let asked = self.disk.requests.values().filter(|it| which(it));
        asked.map(|it| it.sealed.clone()).collect()
    }
}

/// The key of the desk with this number.
pub(crate) fn key(n: u8) -> DeviceKey {
    DeviceKey::from_seed(&[n + 1; 32]).unwrap()
}

fn ledger(ledgers: &mut BTreeMap<Date, Ledger>, day: Date) -> &mut Ledger {
    ledgers.entry(day).or_insert_with(|| Ledger::new(LedgerId { venue: venue().clone(), day }))
}

impl DeskView for Desk {
    fn venue(&self) -> &VenueId {
        venue()
    }

    fn key(&self) -> &DeviceKey {
        &self.key
    }

    fn pending(&self) -> Vec<OwnList> {
        let mut lists = self.own_lists();
        lists.retain(|it| it.acknowledged < self.position_at_end(it.day, &it.writer).sequence);
        lists
    }

    fn own_lists(&self) -> Vec<OwnList> {
        let device = self.key.device();
        let lists = self.disk.ledgers.iter();
        let lists = lists.flat_map(|(day, it)| it.writers().map(move |writer| (*day, writer)));
        let acknowledged = &self.disk.store.acknowledged;
        lists
            .filter(|(_, writer)| writer.device == device)
            .map(|(day, writer)| {
                let acknowledged = acknowledged.get(&(day, writer)).copied().unwrap_or(0);
                OwnList { day, writer, acknowledged }
            })
            .collect()
    }

    fn acknowledged(&self) -> u64 {
        let device = self.key.device();
        let own = self.disk.store.acknowledged.iter();
        own.filter(|((_, writer), _)| writer.device == device).map(|(_, sequence)| sequence).sum()
    }

    fn position_at(&self, day: Date, writer: &Writer, sequence: u64) -> Option<Position> {
        match self.disk.ledgers.get(&day) {
            Some(ledger) => ledger.position_at(writer, sequence),
            None => (sequence == 0).then(Position::default),
        }
    }

    fn entries(&self, day: Date, writer: &Writer, from: u64, most: usize) -> Vec<Vec<u8>> {
        let ledger = self.disk.ledgers.get(&day);
        ledger.map_or_else(Vec::new, |it| it.entry_bytes_of(writer, from).take(most).collect())
    }

    fn requests(&self) -> Vec<SealedRequest> {
        self.requests_where(|it| it.answered.is_none())
    }

    fn wanted(&self) -> Vec<Wanted> {
        let low = self.next_unit().is_none() && self.disk.closing.is_empty();
        let wanted = Wanted { reward: RewardId(REWARD), units: AHEAD, now: false };
        low.then_some(wanted).into_iter().collect()
    }

    fn closings(&self) -> Vec<Closing> {
        let used = self.used();
        let used = |grant| used.iter().filter(move |it| it.grant == grant).map(|it| it.unit);
        let closing = self.disk.closing.iter();
        closing.map(|grant| self.key.sign_closing(*grant, used(*grant).collect())).collect()
    }

    fn seen(&self) -> Option<Seen> {
        let Store { venue, catalogue, .. } = self.disk.store.clone();
        let (any, notices) = (self.disk.any.clone(), self.disk.notices_seen.clone());
        Some(Seen { catalogue, venue, any, notices, ..Seen::default() })
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
        self.disk.notices.iter().cloned().collect()
    }

    fn stated(&self) -> Vec<StatedGrant> {
        let used = self.used();
        let stated = |it: &GrantedUnits| StatedGrant {
            grant: it.grant,
            reward: it.reward,
            units: it.units,
            used: used.iter().filter(|used| used.grant == it.grant).map(|it| it.unit).collect(),
        };
        self.disk.grants.iter().map(stated).collect()
    }

    fn answered_beyond(&self, number: u64) -> Vec<SealedRequest> {
        self.requests_where(|it| it.answered.is_some_and(|at| at > number))
    }

    fn names_beyond(&self, catalogue: u64, _: u64) -> Vec<ItemName> {
        let items = self.disk.store.items.iter();
        items.filter(|(_, (stamp, _))| *stamp > catalogue).map(|(name, _)| *name).collect()
    }
}
