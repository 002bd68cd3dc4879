//! What a desk says again to a hub that was restored from an older copy, and in which order.

use std::collections::VecDeque;

use crdt_model::catalogue::ItemName;
use crdt_model::time::day_number;

use super::{DeskSession, DeskView, Said, SealedList};
use crate::batch::{self, MAX_BATCH_ENTRIES};
use crate::message::{Batch, DeskMessage, MOST_NAMES};
use crate::notice::{MOST_NOTICES_AT_ONCE, SignedNotice};
use crate::request::SealedRequest;
use crate::version::{GoOn, Restored};

/// How far it has come. The neighbours' lists and the notices are taken as they stood at the welcome; what is the
/// desk's own (grants, requests, names) as it stands when its turn comes.
#[derive(Debug)]
pub(super) struct SayingAgain {
    pub(super) common: u64,
    pub(super) go_on: GoOn,
    others: VecDeque<SealedList>,
    notices: VecDeque<Vec<SignedNotice>>,
    stated: bool,
    requests: Option<VecDeque<SealedRequest>>,
    names: Option<VecDeque<ItemName>>,
    named: bool,
}

impl SayingAgain {
    pub(super) fn new(restored: Restored, go_on: GoOn, view: &impl DeskView) -> Self {
        let notices = view.notices();
        Self {
            common: restored.common,
            go_on,
            others: view.others().into(),
            notices: notices.chunks(MOST_NOTICES_AT_ONCE).map(<[_]>::to_vec).collect(),
            stated: false,
            requests: None,
            names: None,
            named: false,
        }
    }

    /// The neighbours' lists that are not done with.
    pub(super) fn others(&self) -> impl Iterator<Item = &SealedList> {
        self.others.iter()
    }
}

impl DeskSession {
    /// The next that is said again, once this desk's own entries are sent.
    pub(super) fn next_again(&mut self, view: &impl DeskView) -> Option<DeskMessage> {
        if self.comparing > 0 || self.again.is_none() {
            return None;
        }
        if let Some(batch) = self.next_of_others(view) {
            return Some(DeskMessage::Batch(batch));
        }
        let again = self.again.as_mut()?;
        if let Some(notices) = again.notices.pop_front() {
            return Some(DeskMessage::Notices(notices));
        }
        if !std::mem::replace(&mut again.stated, true) {
            return Some(DeskMessage::Stated(view.key().sign_stated(&view.stated())));
        }
        let common = again.common;
        let requests = again.requests.get_or_insert_with(|| {
            view.answered_beyond(common).into_iter().chain(view.requests()).collect()
        });
        while let Some(request) = requests.pop_front() {
            if self.said.insert(Said::Request(request.id)) {
                return Some(DeskMessage::Request(request));
            }
        }
        if again.named {
            return None;
        }
        let GoOn { catalogue, holders, .. } = again.go_on;
        let names = again.names.get_or_insert_with(|| view.names_beyond(catalogue, holders).into());
        let some: Vec<ItemName> = names.drain(..names.len().min(MOST_NAMES)).collect();
        again.named = names.is_empty();
        Some(DeskMessage::Again(some, again.named))
    }

    /// The next batch of a neighbour's list, up to one of the neighbour's seals.
    fn next_of_others(&mut self, view: &impl DeskView) -> Option<Batch> {
        let again = self.again.as_mut()?;
        while let Some(list) = again.others.front() {
            let key = (list.day, list.writer);
            let sent = match self.sent.get(&key) {
                Some(sent) if !self.unlike.contains(&key) => *sent,
                _ => {
                    again.others.pop_front();
                    continue;
                }
            };
            let entries = view.entries(list.day, &list.writer, sent, MAX_BATCH_ENTRIES);
            let (_, fitting) = batch::pack(entries.iter().map(Vec::as_slice));
            let reach = sent + fitting as u64;
            let fits =
                |seal: &&crate::message::Seal| seal.sequence > sent && seal.sequence <= reach;
            let Some(seal) = list.seals.iter().rev().find(fits).cloned() else {
                // All is sent, or no seal ends within a batch: then only its own device can say it.
                again.others.pop_front();
                continue;
            };
            let count = usize::try_from(seal.sequence - sent).unwrap_or(usize::MAX);
            let (packed, _) = batch::pack(entries.iter().take(count).map(Vec::as_slice));
            let batch = Batch {
                day: day_number(list.day),
                writer: list.writer.into(),
                first: sent + 1,
                entries: packed,
                seal,
                public_key: list.public_key.clone(),
            };
            self.sent.insert(key, batch.seal.sequence);
            return Some(batch);
        }
        None
    }
}
