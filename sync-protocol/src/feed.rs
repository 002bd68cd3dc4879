//! The feed: what a desk lacks, and in which order it is told.
//!
//! The venue's log first, then what the desk may hand out, its card keys, the hub's notices, the deny list, the
//! catalogue, and the sealed parts of records behind everything else. The feed knows how far the desk has come and how
//! far each of these has come at the hub; it asks ([`Need`]) only where the desk is behind, one thing at a time.
//!
//! Where the hub was restored from an older copy, catalogue and sealed parts wait until the desk has named what it took
//! from the database that is no more (`feed/again.rs`), and what it may hand out waits for its statement of what it holds.

mod again;
mod needs;
mod shares;

use std::sync::Arc;

use crdt_model::catalogue::ItemName;
use crdt_model::ids::DeviceId;
use crdt_model::stock::GrantedUnits;

use crate::batch::MAX_PACKED_BYTES;
use crate::catalogue::{MAX_PAGE_ITEMS, fitting, pack};
use crate::frame::MAX_FRAME_BYTES;
use crate::message::{
    Batch, CataloguePage, HoldersPage, HubMessage, ListPosition, SealedPart, Share, WriterBytes,
};
use crate::notice::MOST_NOTICES_AT_ONCE;
use crate::version::GoOn;
use again::Again;
pub(crate) use again::NextAgain;
pub use needs::{
    Found, HubClock, Known, KnownDesk, LogRow, Need, News, Note, Numbered, Standing, Taken, Tops,
};

/// Entries of the venue's log that are asked for at once, in bytes: four batches or so. A session holds no more, however
/// long the log is.
const LOG_BYTES: usize = 4 * MAX_PACKED_BYTES;

/// Bytes of sealed parts in one page: what fits a frame with room for the rest.
const HOLDERS_BYTES: usize = MAX_FRAME_BYTES / 2;

/// How far the desk has come with one list of numbered things, and how far the hub has.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    at: u64,
    top: u64,
    asked_top: u64,
}

impl Progress {
    fn new(at: u64, top: u64) -> Self {
        Self { at, top, asked_top: top }
    }

    fn is_behind(&self) -> bool {
        self.at < self.top
    }

    fn moved(&mut self, number: u64) {
        self.top = self.top.max(number);
    }

    fn asks(&mut self) -> u64 {
        self.asked_top = self.top;
        self.at
    }

    /// Everything up to this number was found; says whether that is more than before. Where it is not, there was
    /// nothing more when it was asked: only what moved since is asked for again.
    fn found(&mut self, to: u64) -> bool {
        let more = to > self.at;
        if more {
            self.at = to;
        } else if self.top == self.asked_top {
            self.top = self.at;
        }
        more
    }
}

/// What the feed has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Log,
    Grants,
    CardKeys,
    Notices,
    DenyList,
    Page,
    Items(Vec<ItemName>),
    SealedParts,
    Holders,
}

/// An answer to something that was not asked: the driver's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAsked;

/// What one desk is told.
#[derive(Debug)]
pub(crate) struct Feed {
    device: DeviceId,
    asked: Option<Asked>,
    known: Arc<Known>,
    venue: Progress,
    catalogue: Progress,
    holders: Progress,
    /// `None` for a desk that does not know notices.
    notices: Option<Progress>,
    /// Behind which number the deny list goes on, where it is under way.
    deny_list: Option<u64>,
    /// Up to which number the deny list was told, ahead of the catalogue.
    denied: u64,
    grants_moved: bool,
    grants: Option<Vec<GrantedUnits>>,
    card_keys_moved: bool,
    card_keys: Option<u64>,
    again: Option<Again>,
}

impl Feed {
    /// The feed of a desk that has everything up to `from`, at a hub that has come to `tops`.
    pub(crate) fn new(device: DeviceId, from: GoOn, tops: Tops, card_keys: Option<u64>) -> Self {
        let catalogue = Progress::new(from.catalogue, tops.catalogue);
        // One page holds all anyhow: then it needs no other order.
        let many = tops.catalogue.saturating_sub(from.catalogue) > MAX_PAGE_ITEMS as u64;
        Self {
            device,
            asked: None,
            known: Arc::default(),
            venue: Progress::new(from.venue, tops.venue),
            catalogue,
            holders: Progress::new(from.holders, tops.holders),
            notices: None,
            deny_list: many.then_some(from.catalogue),
            denied: from.catalogue,
            grants_moved: true,
            grants: None,
            card_keys_moved: false,
            card_keys,
            again: None,
        }
    }

    /// The desk.
    pub(crate) fn device(&self) -> DeviceId {
        self.device
    }

    /// The desk knows notices, and has them up to here.
    pub(crate) fn tell_notices(&mut self, from: u64, top: u64) {
        self.notices = Some(Progress::new(from, top));
    }

    /// The hub was restored: what waits for the desk's word waits.
    pub(crate) fn hold(&mut self) {
        self.again = Some(Again::default());
    }

    /// The desk has its list up to this sequence number.
    pub(crate) fn knows(&mut self, day: i32, writer: WriterBytes, sequence: u64) {
        let known = Arc::make_mut(&mut self.known).entry((day, writer)).or_default();
        *known = sequence.max(*known);
    }

    /// The desk says how far its lists have come.
    pub(crate) fn announce<'a>(&mut self, lists: impl IntoIterator<Item = &'a ListPosition>) {
        for list in lists {
            self.knows(list.day, list.writer, list.sequence);
        }
    }

    /// The desk sent this.
    pub(crate) fn took(&mut self, batch: &Batch) {
        self.knows(batch.day, batch.writer, batch.seal.sequence);
    }

    /// The desk has stated what it holds, so it can be told what it may hand out.
    pub(crate) fn stated(&mut self) {
        self.grants_moved = true;
        if let Some(again) = &mut self.again {
            again.stated = true;
        }
    }

    /// The desk was told this as an answer.
    pub(crate) fn told_grants(&mut self, grants: &[GrantedUnits]) {
        self.grants = Some(grants.to_vec());
    }

    /// The desk asked for its card keys, whichever it has.
    pub(crate) fn card_keys_wanted(&mut self) {
        self.card_keys = None;
        self.card_keys_moved = true;
    }

    /// The log has come to this number.
    pub(crate) fn venue_moved(&mut self, number: u64) {
        self.venue.moved(number);
    }

    /// Something moved, of what is told by itself.
    pub(crate) fn moved(&mut self, news: &News) {
        match news {
            News::Venue(number) => self.venue.moved(*number),
            News::Catalogue { number, urgent } => {
                if *urgent && self.catalogue.is_behind() {
                    self.deny_list.get_or_insert(self.denied);
                }
                self.catalogue.moved(*number);
            }
            News::Holders(number) => self.holders.moved(*number),
            News::Notices(number) => {
                if let Some(notices) = &mut self.notices {
                    notices.moved(*number);
                }
            }
            News::Grants => self.grants_moved = true,
            News::CardKeys => self.card_keys_moved = true,
            News::Revoked
            | News::Run(_)
            | News::UsedTwice(_)
            | News::CannotStore(_)
            | News::Stopping => {}
        }
    }

    /// What is asked for next, if the desk lacks anything.
    pub(crate) fn next_need(&mut self) -> Option<Need> {
        let (need, asked) = self.next()?;
        self.asked = Some(asked);
        Some(need)
    }

    fn next(&mut self) -> Option<(Need, Asked)> {
        if self.venue.is_behind() {
            let from = self.venue.asks();
            let known = self.known.clone();
            return Some((Need::Log { from, known, most_bytes: LOG_BYTES }, Asked::Log));
        }
        let stated = self.again.as_ref().is_none_or(|again| again.stated);
        if stated && std::mem::take(&mut self.grants_moved) {
            return Some((Need::Grants, Asked::Grants));
        }
        if std::mem::take(&mut self.card_keys_moved) {
            return Some((Need::CardKeys { has: self.card_keys }, Asked::CardKeys));
        }
        if let Some(notices) = self.notices.as_mut().filter(|notices| notices.is_behind()) {
            let from = notices.asks();
            return Some((Need::Notices { from, most: MOST_NOTICES_AT_ONCE }, Asked::Notices));
        }
        if self.again.is_some() {
            return None;
        }
        if let Some(behind) = self.deny_list.take() {
            self.denied = behind;
            return Some((Need::DenyList { behind, most: MAX_PAGE_ITEMS }, Asked::DenyList));
        }
        if self.catalogue.is_behind() {
            let from = self.catalogue.asks();
            return Some((Need::Page { from, most: MAX_PAGE_ITEMS }, Asked::Page));
        }
        if self.holders.is_behind() {
            let from = self.holders.asks();
            return Some((Need::Holders { from, most_bytes: HOLDERS_BYTES }, Asked::Holders));
        }
        None
    }

    /// What is said with what was found; and items that fit no page.
    pub(crate) fn found(
        &mut self,
        found: Found,
    ) -> Result<(Vec<HubMessage>, Vec<ItemName>), NotAsked> {
        let mut too_large = Vec::new();
        let messages = match (self.asked.take(), found) {
            (Some(Asked::Log), Found::Log { rows, reached }) => self.shares(rows, reached),
            (Some(Asked::Grants), Found::Granted { grants, number, .. }) => {
                if self.grants.as_ref() == Some(&grants) {
                    Vec::new()
                } else {
                    self.grants = Some(grants.clone());
                    vec![HubMessage::Grants(grants, None, number)]
                }
            }
            (Some(Asked::CardKeys), Found::CardKeys(found)) => {
                self.card_keys = found.as_ref().map_or(self.card_keys, |keys| Some(keys.version));
                found.map(HubMessage::CardKeys).into_iter().collect()
            }
            (Some(Asked::Notices), Found::Notices { notices, to }) => {
                let moved = self.notices.as_mut().is_some_and(|progress| progress.found(to));
                moved.then_some(HubMessage::Notices(notices, to)).into_iter().collect()
            }
            (Some(Asked::DenyList), Found::DenyList(items)) => {
                self.deny_list_page(&items, &mut too_large)
            }
            (Some(Asked::Page), Found::Page { items, to, last }) => {
                self.page(&items, to, last, &mut too_large)
            }
            (Some(Asked::Items(names)), Found::Items(items)) if items.len() == names.len() => {
                self.items_again(names, items, &mut too_large)
            }
            (Some(Asked::SealedParts), Found::SealedParts(parts)) => self.parts_again(parts)?,
            (Some(Asked::Holders), Found::Holders { parts, to }) => {
                let part = |(pass, sealed)| SealedPart { pass, sealed: Some(sealed) };
                let holders = parts.into_iter().map(part).collect();
                let page = HubMessage::Holders(HoldersPage { to, holders, stamp: None });
                self.holders.found(to).then_some(page).into_iter().collect()
            }
            _ => return Err(NotAsked),
        };
        Ok((messages, too_large))
    }

    /// Other desks' entries. The stretch is one step: only its last batch moves the desk's number.
    fn shares(&mut self, rows: Vec<LogRow>, reached: u64) -> Vec<HubMessage> {
        let from = self.venue.at;
        if !self.venue.found(reached) {
            return Vec::new();
        }
        let batches = shares::batches(rows, &self.known);
        let Some(last) = batches.len().checked_sub(1) else {
            return vec![HubMessage::Advance(reached)];
        };
        let share = |(place, batch)| {
            let venue_version = if place == last { reached } else { from };
            HubMessage::Share(Share { batch, venue_version })
        };
        batches.into_iter().enumerate().map(share).collect()
    }

    fn page(
        &mut self,
        items: &[Numbered],
        to: u64,
        last: bool,
        too_large: &mut Vec<ItemName>,
    ) -> Vec<HubMessage> {
        let from = self.catalogue.at;
        let fitting = fitting(items.iter().map(|it| &it.item));
        too_large.extend(fitting.too_large);
        let all = fitting.settled == items.len();
        let to = if all { to } else { items[fitting.settled - 1].number };
        let last = last && all;
        if !self.catalogue.found(to) {
            return Vec::new();
        }
        if !last {
            self.catalogue.moved(to + 1);
        }
        let items = fitting.packed;
        vec![HubMessage::Page(CataloguePage {
            from,
            to,
            last,
            items,
            stamp: None,
            again_done: false,
        })]
    }

    /// A page that moves nothing: passes that must be refused, ahead of everything else.
    fn deny_list_page(
        &mut self,
        items: &[Numbered],
        too_large: &mut Vec<ItemName>,
    ) -> Vec<HubMessage> {
        let fitting = fitting(items.iter().map(|it| &it.item));
        too_large.extend(fitting.too_large);
        let Some(reached) = fitting.settled.checked_sub(1).map(|place| items[place].number) else {
            return Vec::new();
        };
        self.denied = self.denied.max(reached);
        if fitting.settled < items.len() || items.len() >= MAX_PAGE_ITEMS {
            self.deny_list = Some(reached);
        }
        let (from, to) = (self.catalogue.at, self.catalogue.at);
        let stamp = Some(reached);
        let items = fitting.packed;
        vec![HubMessage::Page(CataloguePage {
            from,
            to,
            last: false,
            items,
            stamp,
            again_done: false,
        })]
    }

    /// A page that answers what the desk named, and moves nothing.
    fn page_again(&self, items: Vec<u8>, again_done: bool) -> HubMessage {
        let (from, to) = (self.catalogue.at, self.catalogue.at);
        let stamp = Some(self.catalogue.at);
        HubMessage::Page(CataloguePage { from, to, last: false, items, stamp, again_done })
    }

    /// The page behind all that the desk named: from now on the feed goes on as ever.
    fn done_again(&mut self) -> HubMessage {
        self.again = None;
        self.page_again(pack(&[]), true)
    }
}
