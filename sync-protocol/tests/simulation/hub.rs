//! A hub in memory: what it has committed, and sessions that go with every crash.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::account::{Account, Limits, Placed, fold};
use crdt_model::catalogue::{Activity, Item};
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::{ActivityId, CouponId, DeviceId, RewardId};
use crdt_model::ledger::{Extension, LedgerId, Position};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::time::Calendar;
use sync_protocol::batch::pack;
use sync_protocol::catalogue;
use sync_protocol::desk::{date, short_head};
use sync_protocol::hub_phases::{HubEvent, HubPhases};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{
    Ack, Batch, CataloguePage, DeskBeat, Hello, HubBeat, HubMessage, ListPosition,
    PROTOCOL_VERSION, Resend, Share, Welcome, WriterBytes,
};

use crate::desk::venue;

/// Items on a page: few, so that a stream is often cut between two.
const PAGE_ITEMS: usize = 3;

/// How a hub numbers its two logs, which is what desks' versions are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// 1, 2, 3 and so on. A version that a restored hub gave before is given again, for something
    /// else.
    Counted,
    /// Each start of the hub goes on from its clock. No version is ever given twice, so a version
    /// that the log does not hold is one that was lost, and so may be anything else.
    Stamped,
}

/// A list: how far it has come, and its entries.
pub(crate) type List = (Position, Vec<Vec<u8>>);

/// What the hub has committed: what a backup holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Committed {
    pub(crate) lists: BTreeMap<(i32, WriterBytes), List>,
    rows: BTreeMap<Subject, BTreeMap<EntryRef, Entry>>,
    pub(crate) accounts: BTreeMap<Subject, Account>,
    /// What was accepted, by version: batches as they were merged.
    log: BTreeMap<u64, Batch>,
    /// The catalogue: each activity with the version of its last change.
    pub(crate) activities: BTreeMap<u32, (u64, Activity)>,
    catalogue_versions: BTreeSet<u64>,
}

/// The hub.
pub(crate) struct Hub {
    pub(crate) committed: Committed,
    numbering: Numbering,
    /// How often it was started: its clock.
    starts: u64,
    calendar: Calendar,
}

impl Hub {
    pub(crate) fn new(numbering: Numbering) -> Self {
        Self {
            committed: Committed::default(),
            numbering,
            starts: 1,
            calendar: Calendar::of("Europe/Brussels").unwrap(),
        }
    }

    /// It starts again, with what it has committed.
    pub(crate) fn start(&mut self) {
        self.starts += 1;
    }

    /// It starts again from a backup.
    pub(crate) fn restore(&mut self, backup: &Committed) {
        self.committed = backup.clone();
        self.start();
    }

    fn next_version(&self, last: u64) -> u64 {
        match self.numbering {
            Numbering::Counted => last + 1,
            Numbering::Stamped => (last + 1).max(self.starts << 20),
        }
    }

    pub(crate) fn venue_version(&self) -> u64 {
        self.committed.log.last_key_value().map_or(0, |(version, _)| *version)
    }

    pub(crate) fn catalogue_version(&self) -> u64 {
        self.committed.catalogue_versions.last().copied().unwrap_or(0)
    }

    /// An operator changes an activity.
    pub(crate) fn change_activity(&mut self, id: u32, points: u32) {
        let event_id = format!("event-{id}");
        let activity = Activity {
            checkin_points: points,
            ..Activity::new(ActivityId(id), &event_id, "Story hour", venue())
        };
        let version = self.next_version(self.catalogue_version());
        self.committed.catalogue_versions.insert(version);
        self.committed.activities.insert(id, (version, activity));
    }

    /// One commit: the list, the log, the rows by their natural key, the accounts that they touch.
    fn commit(&mut self, batch: &Batch, extension: &Extension) {
        let entry_bytes = extension.entry_bytes();
        let (entries, count) = pack(entry_bytes.iter().map(Vec::as_slice));
        assert_eq!(count, entry_bytes.len(), "what came in one batch fits one");
        let first = extension.first_index() + 1;
        let version = self.next_version(self.venue_version());
        let committed = &mut self.committed;
        committed.log.insert(version, Batch { entries, first, ..batch.clone() });
        let list = committed.lists.entry((batch.day, batch.writer)).or_default();
        list.1.extend_from_slice(entry_bytes);
        list.0 = extension.head();

        let (day, writer) = (date(batch.day).unwrap(), batch.writer.writer());
        let mut touched = BTreeSet::new();
        for (index, entry) in (extension.first_index()..).zip(extension.entries()) {
            let rows = committed.rows.entry(entry.subject).or_default();
            let before = rows.insert(EntryRef { day, writer, index }, *entry);
            assert_eq!(before, None, "invariant 2: no row is written twice");
            touched.insert(entry.subject);
        }
        for subject in touched {
            let account = account(&committed.rows[&subject], &self.calendar);
            committed.accounts.insert(subject, account);
        }
    }

    fn welcome(&self, device: DeviceId, hello: &Hello) -> Welcome {
        let of_device = |writer: &WriterBytes| writer.writer().device == device;
        let lists = self.committed.lists.iter().filter(|((_, writer), _)| of_device(writer));
        let entries: u64 = lists.map(|(_, (position, _))| position.sequence).sum();
        let resumed = self.venue_resumed(hello);
        let lost = entries < hello.acknowledged
            || (self.numbering == Numbering::Stamped && resumed.is_none());
        Welcome {
            protocol: PROTOCOL_VERSION,
            clock: 0,
            held: self.held(&hello.pending),
            lost,
            catalogue_version: self.catalogue_version(),
            venue_version: self.venue_version(),
            venue_name: String::new(),
            desk_name: String::new(),
            request_key: None,
            card_keys: None,
            beats: true,
            clock_doubtful: false,
            run: None,
            go_on: None,
            restored: None,
        }
    }

    /// Where in the venue's log a desk goes on; `None` where the hub cannot know what it has.
    fn venue_resumed(&self, hello: &Hello) -> Option<u64> {
        let known = match self.numbering {
            Numbering::Counted => hello.venue_version <= self.venue_version(),
            Numbering::Stamped => {
                hello.venue_version == 0 || self.committed.log.contains_key(&hello.venue_version)
            }
        };
        known.then_some(hello.venue_version)
    }

    fn catalogue_resumed(&self, hello: &Hello) -> Option<u64> {
        let version = hello.catalogue_version;
        let known = match self.numbering {
            Numbering::Counted => version <= self.catalogue_version(),
            Numbering::Stamped => self.committed.catalogue_versions.contains(&version),
        };
        known.then_some(version)
    }

    fn held(&self, lists: &[ListPosition]) -> Vec<ListPosition> {
        let position = |list: &ListPosition| {
            self.committed.lists.get(&(list.day, list.writer)).map(|l| l.0).unwrap_or_default()
        };
        lists
            .iter()
            .map(|list| (list, position(list)))
            .map(|(list, position)| ListPosition {
                sequence: position.sequence,
                head: short_head(&position),
                ..list.clone()
            })
            .collect()
    }
}

/// The account of one pass from its rows.
pub(crate) fn account<'a>(
    rows: impl IntoIterator<Item = (&'a EntryRef, &'a Entry)>,
    calendar: &Calendar,
) -> Account {
    let placed = rows.into_iter().map(|(place, entry)| Placed {
        venue: venue(),
        place: *place,
        first_place: None,
        entry: *entry,
        included: false,
        receipt: None,
    });
    fold(&Account::default(), placed, &TwiceADay, calendar).account
}

struct TwiceADay;

impl Limits for TwiceADay {
    fn checkin_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
        Some(PeriodLimit { volume: 2, period_type: PeriodType::Day })
    }
    fn redeem_constraint(&self, _: RewardId) -> Option<PeriodLimit> {
        None
    }
    fn ticket_limit(&self, _: ActivityId) -> Option<PeriodLimit> {
        None
    }
    fn coupon_limit(&self, _: CouponId) -> Option<PeriodLimit> {
        None
    }
}

/// One connection at the hub.
pub(crate) struct Session {
    device: DeviceId,
    machine: HubPhases,
    open: bool,
    venue_version: u64,
    catalogue_version: u64,
    /// How far the desk is known to have its own lists.
    known: BTreeMap<(i32, WriterBytes), u64>,
}

/// The hub went down behind a commit, before it could say so.
pub(crate) struct Crashed;

impl Session {
    pub(crate) fn new(device: DeviceId) -> Self {
        Self {
            device,
            machine: HubPhases::default(),
            open: false,
            venue_version: 0,
            catalogue_version: 0,
            known: BTreeMap::new(),
        }
    }

    /// Takes bytes and gives those to send; `crash` loses the hub behind its next commit.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        hub: &mut Hub,
        crash: bool,
    ) -> Result<Vec<u8>, Crashed> {
        let (events, outcome) = self.machine.receive(bytes);
        let mut answers = Vec::new();
        for event in events {
            let (message, committed) = self.answer(event, hub);
            if committed && crash {
                return Err(Crashed);
            }
            if let Some(message) = message {
                answers.extend(self.machine.send(&message).unwrap());
            }
        }
        // A repeated or cut stream may end in the middle of a frame, but says nothing wrong.
        outcome.expect("an honest desk says nothing that is wrong");
        Ok(answers)
    }

    fn answer(&mut self, event: HubEvent, hub: &mut Hub) -> (Option<HubMessage>, bool) {
        match event {
            HubEvent::HelloReceived(hello) => {
                let welcome = hub.welcome(self.device, &hello);
                self.venue_version =
                    hub.venue_resumed(&hello).filter(|_| !welcome.lost).unwrap_or(0);
                self.catalogue_version = hub.catalogue_resumed(&hello).unwrap_or(0);
                self.open = true;
                self.announced(&hello.pending);
                (Some(HubMessage::Welcome(welcome)), false)
            }
            HubEvent::PositionsReceived(lists) => {
                self.announced(&lists);
                (Some(HubMessage::Held(hub.held(&lists))), false)
            }
            HubEvent::HaveReceived { .. } => (None, false),
            HubEvent::BeatReceived(DeskBeat { number, .. }) => {
                let beat = HubBeat { number, clock: 0, clock_doubtful: false };
                (Some(HubMessage::Beat(beat)), false)
            }
            HubEvent::RequestReceived(_)
            | HubEvent::WantedReceived(_)
            | HubEvent::ClosingReceived(_)
            | HubEvent::CardKeysWanted(_) => panic!("these desks ask nothing"),
            HubEvent::EnrolReceived(_) => panic!("all desks are enrolled"),
            HubEvent::BatchReceived(batch) => {
                let key = (batch.day, batch.writer);
                self.knows(key, batch.seal.sequence);
                let ledger = LedgerId { venue: venue(), day: date(batch.day).unwrap() };
                let position = hub.committed.lists.get(&key).map(|list| list.0).unwrap_or_default();
                let ack = |sequence| {
                    HubMessage::Ack(Ack {
                        day: batch.day,
                        writer: batch.writer,
                        sequence,
                        number: None,
                    })
                };
                match judge(&batch, &ledger, position) {
                    Judgement::Held => (Some(ack(position.sequence)), false),
                    Judgement::Lacking { held } => {
                        let resend = Resend { day: batch.day, writer: batch.writer, held };
                        (Some(HubMessage::Resend(resend)), false)
                    }
                    Judgement::Quarantine(reason) => {
                        panic!("an honest desk was set apart: {reason}")
                    }
                    Judgement::Merge(extension) => {
                        hub.commit(&batch, &extension);
                        (Some(ack(extension.head().sequence)), true)
                    }
                }
            }
        }
    }

    fn announced(&mut self, lists: &[ListPosition]) {
        for list in lists {
            self.knows((list.day, list.writer), list.sequence);
        }
    }

    fn knows(&mut self, list: (i32, WriterBytes), sequence: u64) {
        let known = self.known.entry(list).or_default();
        *known = (*known).max(sequence);
    }

    /// What the desk lacks of the venue's log and of the catalogue.
    pub(crate) fn news(&mut self, hub: &Hub) -> Vec<u8> {
        let mut messages = Vec::new();
        if !self.open {
            return Vec::new();
        }
        let mut advance = None;
        for (version, batch) in hub.committed.log.range(self.venue_version + 1..) {
            let known = self.known.get(&(batch.day, batch.writer)).copied().unwrap_or(0);
            if batch.seal.sequence > known {
                advance = None;
                let share = Share { batch: batch.clone(), venue_version: *version };
                messages.push(HubMessage::Share(share));
            } else {
                advance = Some(HubMessage::Advance(*version));
            }
        }
        messages.extend(advance);
        self.venue_version = self.venue_version.max(hub.venue_version());

        let mut changed: Vec<&(u64, Activity)> = hub.committed.activities.values().collect();
        changed.sort_by_key(|(version, _)| *version);
        changed.retain(|(version, _)| *version > self.catalogue_version);
        let pages = changed.chunks(PAGE_ITEMS);
        let count = pages.len();
        for (place, page) in pages.enumerate() {
            let items: Vec<Item> = page.iter().map(|(_, a)| Item::Activity(a.clone())).collect();
            let (from, to) = (self.catalogue_version, page[page.len() - 1].0);
            let last = place + 1 == count;
            let items = catalogue::pack(&items);
            messages.push(HubMessage::Page(CataloguePage {
                from,
                to,
                last,
                items,
                stamp: None,
                again_done: false,
            }));
            self.catalogue_version = to;
        }
        messages.iter().flat_map(|message| self.machine.send(message).unwrap()).collect()
    }
}
