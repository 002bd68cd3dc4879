//! A hub in memory: what it has committed, and what it answers to a session's needs from there.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::account::{Account, Limits, Placed, fold};
use crdt_model::catalogue::{Activity, Item, ItemName};
use crdt_model::entry::{Entry, EntryRef, Subject};
use crdt_model::ids::{ActivityId, CouponId, DeviceId, RewardId};
use crdt_model::ledger::{Extension, LedgerId, Position};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::time::{Calendar, UnixMillis};
use sync_protocol::desk::{date, short_head};
use sync_protocol::feed::{
    Found, HubClock, KnownDesk, LogRow, Need, News, Numbered, Standing, Taken, Tops,
};
use sync_protocol::heartbeat::Ticks;
use sync_protocol::hub::{End, HubSession, Step};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{Batch, Hello, ListPosition, StatedGrant, WriterBytes};
use sync_protocol::notice::SignedNotice;
use sync_protocol::request::{RequestAnswer, RequestId};
use sync_protocol::runs::{Run, RunTable};

use crate::desk::venue;

/// Items that are found at once: few, so that a stream is often cut between two pages.
const PAGE_ITEMS: usize = 3;

/// A list: how far it has come, and its entries.
pub(crate) type List = (Position, Vec<Vec<u8>>);

/// What the hub has committed: what a backup holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Committed {
    pub(crate) lists: BTreeMap<(i32, WriterBytes), List>,
    rows: BTreeMap<Subject, BTreeMap<EntryRef, Entry>>,
    pub(crate) accounts: BTreeMap<Subject, Account>,
    /// What was accepted, by number: batches as they were merged.
    log: BTreeMap<u64, LogRow>,
    /// The catalogue: each activity with the number of its last change.
    pub(crate) activities: BTreeMap<u32, (u64, Activity)>,
    /// Requests that were done.
    pub(crate) done: BTreeSet<RequestId>,
    /// What desks gave back and stated: how many grants each.
    pub(crate) notices: BTreeSet<SignedNotice>,
    pub(crate) stated: BTreeMap<DeviceId, usize>,
    runs: Vec<Run>,
    counter: u64,
}

impl Committed {
    fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn tops(&self) -> Tops {
        Tops {
            catalogue: self.activities.values().map(|(number, _)| *number).max().unwrap_or(0),
            venue: self.log.last_key_value().map_or(0, |(number, _)| *number),
            ..Tops::default()
        }
    }
}

/// A mistake that is planted in a hub, to see that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// Versions are counted and not stamped: whichever run a desk names, its number is taken for one of this database.
    RunsIgnored,
}

/// The hub.
pub(crate) struct Hub {
    pub(crate) committed: Committed,
    planted: Planted,
    /// How often it was started: what the ids of its runs are made of. No backup takes it back.
    starts: u64,
    calendar: Calendar,
}

impl Hub {
    pub(crate) fn new(planted: Planted) -> Self {
        let mut hub = Self {
            committed: Committed::default(),
            planted,
            starts: 0,
            calendar: Calendar::of("Europe/Brussels").unwrap(),
        };
        hub.start();
        hub
    }

    /// It starts again, with what it has committed.
    pub(crate) fn start(&mut self) {
        self.starts += 1;
        let id = self.starts.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
        self.committed.runs.push(Run { id, begins: self.committed.counter });
    }

    /// It starts again from a backup.
    pub(crate) fn restore(&mut self, backup: &Committed) {
        self.committed = backup.clone();
        self.start();
    }

    /// An operator changes an activity.
    pub(crate) fn change_activity(&mut self, id: u32, points: u32) {
        let event_id = format!("event-{id}");
        let activity = Activity {
            checkin_points: points,
            ..Activity::new(ActivityId(id), &event_id, "Story hour", venue())
        };
        let number = self.committed.number();
        self.committed.activities.insert(id, (number, activity));
    }

    /// One commit: the list, the log, the rows by their natural key, the accounts that they touch.
    fn commit(&mut self, batch: &Batch, extension: &Extension) -> u64 {
        let entries = extension.entry_bytes().to_vec();
        let committed = &mut self.committed;
        let list = committed.lists.entry((batch.day, batch.writer)).or_default();
        list.1.extend_from_slice(&entries);
        list.0 = extension.head();
        let row = LogRow {
            day: batch.day,
            writer: batch.writer,
            first: extension.first_index() + 1,
            entries,
            signature: batch.seal.signature.clone(),
            public_key: batch.public_key.clone(),
        };
        let number = committed.number();
        committed.log.insert(number, row);

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
        number
    }

    fn take(&mut self, batch: &Batch) -> Taken {
        let ledger = LedgerId { venue: venue(), day: date(batch.day).unwrap() };
        let held = self.committed.lists.get(&(batch.day, batch.writer)).map(|list| list.0);
        let held = held.unwrap_or_default();
        match judge(batch, &ledger, held) {
            Judgement::Held => {
                Taken::Held { sequence: held.sequence, number: Some(self.committed.counter) }
            }
            Judgement::Lacking { held } => Taken::Lacking { held },
            Judgement::Quarantine(reason) => panic!("an honest desk was set apart: {reason}"),
            Judgement::Merge(extension) => {
                let number = Some(self.commit(batch, &extension));
                Taken::Held { sequence: extension.head().sequence, number }
            }
        }
    }

    fn known(&self, device: DeviceId) -> KnownDesk {
        let lists = self.committed.lists.iter();
        let own = lists.filter(|((_, writer), _)| writer.writer().device == device);
        KnownDesk {
            device,
            venue_name: String::new(),
            desk_name: String::new(),
            entries: own.map(|(_, (position, _))| position.sequence).sum(),
            request_key: None,
            card_keys: None,
            used_twice: false,
            is_held: false,
            tops: self.committed.tops(),
        }
    }

    fn runs(&self, hello: &Hello) -> RunTable {
        let (mut runs, counter) = (self.committed.runs.clone(), self.committed.counter);
        if self.planted == Planted::RunsIgnored {
            let seen = hello.seen.iter().flat_map(|it| [&it.catalogue, &it.venue, &it.any]);
            let said = seen.flatten().map(|pair| Run { id: pair.run, begins: counter });
            runs = said.chain(runs.last().copied()).collect();
        }
        RunTable::of_all(&runs, counter)
    }

    fn held(&self, list: &ListPosition) -> ListPosition {
        let held = self.committed.lists.get(&(list.day, list.writer));
        let position = held.map(|list| list.0).unwrap_or_default();
        let head = short_head(&position);
        ListPosition { sequence: position.sequence, head, ..list.clone() }
    }

    fn page(&self, from: u64) -> Found {
        let mut items: Vec<Numbered> = self
            .committed
            .activities
            .values()
            .filter(|(number, _)| *number > from)
            .map(|(number, it)| Numbered { number: *number, item: Item::Activity(it.clone()) })
            .collect();
        items.sort_by_key(|it| it.number);
        let last = items.len() <= PAGE_ITEMS;
        items.truncate(PAGE_ITEMS);
        Found::Page { to: items.last().map_or(from, |it| it.number), items, last }
    }

    fn item(&self, name: &ItemName, up_to: u64) -> Standing<Item> {
        let ItemName::Activity(id) = name else { panic!("{name:?}") };
        match self.committed.activities.get(&id.0) {
            Some((number, it)) if *number <= up_to => Standing::Is(Item::Activity(it.clone())),
            Some(_) => Standing::Later,
            None => Standing::Gone,
        }
    }

    /// What is found for a need; and whether something was committed.
    fn answer(&mut self, need: Need, session: &Session) -> (Found, bool) {
        let found = match need {
            Need::Desk(_) => Found::Desk(Box::new(self.known(session.device))),
            Need::Runs(_) => Found::Runs(self.runs(session.hello.as_ref().unwrap())),
            Need::Held(lists) => Found::Held(lists.iter().map(|list| self.held(list)).collect()),
            Need::Take(batches) => {
                let before = self.committed.counter;
                let taken = batches.iter().map(|batch| self.take(batch)).collect();
                return (Found::Taken(taken), self.committed.counter > before);
            }
            Need::Request(request) => {
                let new = self.committed.done.insert(request.id);
                let number = Some(self.committed.number());
                let answer = RequestAnswer { id: request.id, refused: None, number };
                return (Found::Answered(Some(answer)), new);
            }
            Need::Log { from, known, .. } => {
                let rows = self.committed.log.range(from + 1..);
                let known = |row: &&LogRow| {
                    known.get(&(row.day, row.writer)).is_none_or(|known| *known < row.last())
                };
                let rows = rows.map(|(_, row)| row).filter(known).cloned().collect();
                Found::Log { rows, reached: self.committed.tops().venue.max(from) }
            }
            Need::Grants => Found::Granted { grants: Vec::new(), none_left: None, number: None },
            Need::Page { from, .. } => self.page(from),
            Need::Items { names, up_to } => {
                Found::Items(names.iter().map(|name| self.item(name, up_to)).collect())
            }
            Need::DenyList { .. } => Found::DenyList(Vec::new()),
            Need::Stated(stated) => {
                let grants: Vec<StatedGrant> = minicbor::decode(&stated.grants).unwrap();
                self.committed.stated.insert(session.device, grants.len());
                Found::Done
            }
            Need::KeepNotices(notices) => {
                self.committed.notices.extend(notices);
                Found::Done
            }
            Need::Note(_) => Found::Done,
            Need::Enrol(_)
            | Need::Wanted(_)
            | Need::Closing(_)
            | Need::KeepSealingKey(_)
            | Need::CardKeys { .. }
            | Need::Notices { .. }
            | Need::SealedParts { .. }
            | Need::Holders { .. } => panic!("these desks have none of it: {need:?}"),
        };
        (found, false)
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
    machine: HubSession,
    hello: Option<Hello>,
    told: Tops,
}

/// The hub went down behind a commit, before it could say so.
pub(crate) struct Crashed;

impl Session {
    pub(crate) fn new(device: DeviceId) -> Self {
        let machine = HubSession::new(Ticks(0), CLOCK);
        Self { device, machine, hello: None, told: Tops::default() }
    }

    /// Takes bytes, and gives those to send; `crash` loses the hub behind its next commit.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        hub: &mut Hub,
        crash: bool,
    ) -> Result<Vec<u8>, Crashed> {
        let tops = hub.committed.tops();
        if tops.venue > self.told.venue {
            self.machine.news(News::Venue(tops.venue));
        }
        if tops.catalogue > self.told.catalogue {
            self.machine.news(News::Catalogue { number: tops.catalogue, urgent: false });
        }
        self.told = tops;
        self.machine.receive(bytes);
        let mut answers = Vec::new();
        loop {
            match self.machine.step() {
                Step::Send(bytes) => answers.extend(bytes),
                Step::Need(need) => {
                    if let Need::Desk(hello) = &need {
                        self.hello = Some(hello.as_ref().clone());
                    }
                    let (found, committed) = hub.answer(need, self);
                    if committed && crash {
                        return Err(Crashed);
                    }
                    self.machine.found(found);
                }
                Step::Wait { .. } => return Ok(answers),
                // A repeated or cut stream may end in the middle of a frame, but says nothing wrong.
                Step::End(end @ (End::Protocol(_) | End::NotAsked | End::Goodbye(_))) => {
                    panic!("an honest desk says nothing that is wrong: {end}")
                }
                Step::End(end) => panic!("{end}"),
            }
        }
    }
}

/// The hub's clock, which nobody looks at here.
const CLOCK: HubClock = HubClock { wall: UnixMillis(0), doubtful: false };
