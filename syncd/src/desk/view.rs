//! The desk as a sync session sees it.

use std::collections::BTreeSet;

use crdt_model::catalogue::ItemName;
use crdt_model::ids::{VenueId, Writer};
use crdt_model::ledger::Position;
use jiff::civil::Date;
use sync_protocol::desk::{DeskView, OwnList, SealedList};
use sync_protocol::message::{Closing, StatedGrant, Wanted};
use sync_protocol::notice::SignedNotice;
use sync_protocol::request::SealedRequest;
use sync_protocol::seal::DeviceKey;
use sync_protocol::version::Seen;

use super::Desk;

impl Desk {
    /// The lists of this desk that the hub may have or is asked about.
    fn lists_for_hub(&self) -> impl Iterator<Item = (OwnList, u64)> + '_ {
        let firsts: BTreeSet<_> = self.salvaged.firsts().collect();
        // A list of which this disk has not even the first entry.
        let empty =
            move |(day, writer): &(Date, Writer)| self.book.files.length_of(*day, writer) == 0;
        let empty = firsts.into_iter().filter(empty);
        let empty = empty.map(|(day, writer)| (OwnList { day, writer, acknowledged: 0 }, 0));
        self.book
            .own_list_lengths()
            .filter(|(list, _)| !self.salvaged.holds_back(list.day, list.writer))
            .chain(empty)
    }
}

impl DeskView for Desk {
    fn venue(&self) -> &VenueId {
        &self.enrolment.venue
    }

    fn key(&self) -> &DeviceKey {
        &self.key
    }

    fn pending(&self) -> Vec<OwnList> {
        let asked: BTreeSet<_> = self.salvaged.firsts().collect();
        self.lists_for_hub()
            .filter(|(list, length)| {
                list.acknowledged < *length || asked.contains(&(list.day, list.writer))
            })
            .map(|(list, _)| list)
            .collect()
    }

    fn own_lists(&self) -> Vec<OwnList> {
        self.lists_for_hub().map(|(list, _)| list).collect()
    }

    fn acknowledged(&self) -> u64 {
        let device = self.book.writer.device;
        let own = self.book.acknowledged.iter().filter(|((_, writer), _)| writer.device == device);
        own.map(|(_, sequence)| sequence).sum()
    }

    fn position_at(&self, day: Date, writer: &Writer, sequence: u64) -> Option<Position> {
        match self.book.files.ledger(day) {
            Some(ledger) => ledger.position_at(writer, sequence),
            None => (sequence == 0).then(Position::default),
        }
    }

    fn entries(&self, day: Date, writer: &Writer, from: u64, most: usize) -> Vec<Vec<u8>> {
        let Some(ledger) = self.book.files.ledger(day) else { return Vec::new() };
        ledger.entry_bytes_of(writer, from).take(most).collect()
    }

    fn seen(&self) -> Option<Seen> {
        Some(self.seen_of_hub())
    }

    fn enrolled(&self) -> Option<SignedNotice> {
        self.notices_kept.enrolled(self.book.writer.device)
    }

    fn others(&self) -> Vec<SealedList> {
        self.sealed_lists()
    }

    fn notices(&self) -> Vec<SignedNotice> {
        self.notices_kept.notices().to_vec()
    }

    fn stated(&self) -> Vec<StatedGrant> {
        self.stated_grants()
    }

    fn answered_beyond(&self, number: u64) -> Vec<SealedRequest> {
        self.requests.answered_beyond(number)
    }

    fn names_beyond(&self, catalogue: u64, holders: u64) -> Vec<ItemName> {
        self.names_of_items_beyond(catalogue, holders)
    }

    fn requests(&self) -> Vec<SealedRequest> {
        self.requests.waiting()
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.wanted_units()
    }

    fn card_keys_version(&self) -> Option<u64> {
        self.checks.keys_version()
    }

    fn closings(&self) -> Vec<Closing> {
        self.closing_statements()
    }
}
