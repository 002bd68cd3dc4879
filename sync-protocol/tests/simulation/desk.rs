//! A desk in memory: what lies on its disk, and a session that goes with every crash.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::catalogue::{Activity, Item};
use crdt_model::entry::{Entry, EntryRef};
use crdt_model::ids::{VenueId, Writer};
use crdt_model::ledger::{Ledger, LedgerId, Position};
use crdt_model::time::UnixMillis;
use jiff::civil::Date;
use sync_protocol::catalogue;
use sync_protocol::desk::{DeskEvent, DeskSession, DeskStart, DeskView, OwnList, date};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::seal::DeviceKey;

pub(crate) fn venue() -> VenueId {
    "de-reede".parse().unwrap()
}

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) ledgers: BTreeMap<Date, Ledger>,
    /// The rest is sled's: it may vanish.
    pub(crate) acknowledged: BTreeMap<(Date, Writer), u64>,
    pub(crate) venue_version: u64,
    pub(crate) catalogue_version: u64,
    pub(crate) activities: BTreeMap<u32, Activity>,
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
            let ledgers = std::mem::take(&mut self.disk.ledgers);
            self.disk = Disk { ledgers, ..Disk::default() };
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
            catalogue_version: self.disk.catalogue_version,
            venue_version: self.disk.venue_version,
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
        for event in events {
            if !self.take_up(event) {
                return false;
            }
        }
        session.have(self.disk.catalogue_version, self.disk.venue_version);
        self.session = Some(session);
        true
    }

    fn take_up(&mut self, event: DeskEvent) -> bool {
        match event {
            DeskEvent::Answered(_)
            | DeskEvent::Granted { .. }
            | DeskEvent::Holders(_)
            | DeskEvent::CardKeys(_)
            | DeskEvent::UsedTwice(_)
            | DeskEvent::Told(_)
            | DeskEvent::Notices { .. }
            | DeskEvent::AgainDone { .. }
            | DeskEvent::Compared
            | DeskEvent::HubClock { .. } => {}
            DeskEvent::Acknowledged { day, writer, sequence } => {
                let length = self.position_at_end(day, &writer).sequence;
                assert!(sequence <= length, "nothing is acknowledged that is not here");
                let known = self.disk.acknowledged.entry((day, writer)).or_default();
                *known = (*known).max(sequence);
            }
            DeskEvent::AcknowledgementsLost => {
                self.disk.acknowledged.clear();
                self.disk.venue_version = 0;
            }
            // A restored image: the hub shares what is lacking.
            DeskEvent::Behind { .. } => {}
            DeskEvent::Diverged { day, writer, .. } => panic!("{writer} diverged on {day}"),
            DeskEvent::Shared(share) => {
                let (day, writer) = (date(share.batch.day).unwrap(), share.batch.writer.writer());
                let id = LedgerId { venue: venue(), day };
                let ledger =
                    self.disk.ledgers.entry(day).or_insert_with(|| Ledger::new(id.clone()));
                match judge(&share.batch, &id, ledger.position(&writer)) {
                    Judgement::Merge(extension) => {
                        ledger.extend(&extension).unwrap();
                        if writer.device == self.key.device() {
                            let sequence = extension.head().sequence;
                            self.disk.acknowledged.insert((day, writer), sequence);
                        }
                    }
                    Judgement::Held => {}
                    Judgement::Lacking { .. } => {
                        self.disk.venue_version = 0;
                        return false;
                    }
                    Judgement::Quarantine(reason) => {
                        panic!("an honest hub shares what is sealed: {reason}")
                    }
                }
                self.disk.venue_version = self.disk.venue_version.max(share.venue_version);
            }
            DeskEvent::Advanced(version) => {
                self.disk.venue_version = self.disk.venue_version.max(version);
            }
            DeskEvent::Quarantined(set_apart) => panic!("{}", set_apart.reason),
            DeskEvent::Ended(goodbye) => panic!("{}", goodbye.sentence),
            DeskEvent::Welcomed(welcome) => {
                if welcome.venue_version < self.disk.venue_version {
                    self.disk.venue_version = 0;
                }
                if welcome.catalogue_version < self.disk.catalogue_version {
                    self.disk.catalogue_version = 0;
                }
            }
            DeskEvent::Page(page) => {
                assert!(page.from <= self.disk.catalogue_version, "no page is left out");
                for item in catalogue::unpack(&page.items).unwrap() {
                    let Item::Activity(activity) = item else { panic!("{item:?}") };
                    self.disk.activities.insert(activity.activity.0, activity);
                }
                self.disk.catalogue_version = self.disk.catalogue_version.max(page.to);
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
                let acknowledged = self.disk.acknowledged.get(&(day, writer)).copied().unwrap_or(0);
                OwnList { day, writer, acknowledged }
            })
            .collect()
    }

    fn acknowledged(&self) -> u64 {
        let device = self.key.device();
        let own = self.disk.acknowledged.iter().filter(|((_, writer), _)| writer.device == device);
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
}
