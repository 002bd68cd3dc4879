//! A hub in memory: what it has committed, and sessions that go with every crash.

use std::collections::BTreeMap;

use crdt_model::ids::DeviceId;
use crdt_model::ledger::{LedgerId, Position};
use sync_protocol::batch::pack;
use sync_protocol::desk::{date, short_head};
use sync_protocol::hub::{HubEvent, HubSession};
use sync_protocol::ledger_sync::{Judgement, judge};
use sync_protocol::message::{
    Ack, Batch, HubMessage, ListPosition, PROTOCOL_VERSION, Resend, Share, Welcome, WriterBytes,
};

use crate::desk::venue;

/// A list: how far it has come, and its entries.
pub(crate) type List = (Position, Vec<Vec<u8>>);

/// What the hub has committed.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    pub(crate) lists: BTreeMap<(i32, WriterBytes), List>,
    /// What was accepted, in order: batches as they were merged.
    log: Vec<Batch>,
}

/// One connection at the hub.
pub(crate) struct Session {
    device: DeviceId,
    machine: HubSession,
    open: bool,
    venue_version: usize,
    /// How far the desk is known to have its own lists.
    known: BTreeMap<(i32, WriterBytes), u64>,
}

impl Session {
    pub(crate) fn new(device: DeviceId) -> Self {
        Self {
            device,
            machine: HubSession::default(),
            open: false,
            venue_version: 0,
            known: BTreeMap::new(),
        }
    }

    /// Takes bytes and gives those to send; `crash` loses the hub behind its next commit, before
    /// it could say so.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        hub: &mut Committed,
        crash: bool,
    ) -> Option<Vec<u8>> {
        let (events, outcome) = self.machine.receive(bytes);
        let mut answers = Vec::new();
        for event in events {
            let (message, committed) = self.answer(event, hub);
            if committed && crash {
                return None;
            }
            if let Some(message) = message {
                answers.extend(self.machine.send(&message).unwrap());
            }
        }
        // A repeated or cut stream may end in the middle of a frame, but says nothing wrong.
        outcome.expect("an honest desk says nothing that is wrong");
        Some(answers)
    }

    fn answer(&mut self, event: HubEvent, hub: &mut Committed) -> (Option<HubMessage>, bool) {
        match event {
            HubEvent::HelloReceived(hello) => {
                let held_of_device: u64 = hub
                    .lists
                    .iter()
                    .filter(|((_, writer), _)| writer.writer().device == self.device)
                    .map(|(_, (position, _))| position.sequence)
                    .sum();
                let lost = held_of_device < hello.acknowledged;
                let asked = usize::try_from(hello.venue_version).unwrap();
                self.venue_version = if asked <= hub.log.len() && !lost { asked } else { 0 };
                self.open = true;
                for list in &hello.pending {
                    self.known.insert((list.day, list.writer), list.sequence);
                }
                let welcome = Welcome {
                    protocol: PROTOCOL_VERSION,
                    clock: 0,
                    held: held(&hello.pending, hub),
                    lost,
                    catalogue_version: 0,
                    venue_version: hub.log.len() as u64,
                    venue_name: String::new(),
                    desk_name: String::new(),
                };
                (Some(HubMessage::Welcome(welcome)), false)
            }
            HubEvent::PositionsReceived(lists) => {
                (Some(HubMessage::Held(held(&lists, hub))), false)
            }
            HubEvent::HaveReceived { .. } => (None, false),
            HubEvent::EnrolReceived(_) => panic!("all desks are enrolled"),
            HubEvent::BatchReceived(batch) => {
                let key = (batch.day, batch.writer);
                let known = self.known.entry(key).or_default();
                *known = (*known).max(batch.seal.sequence);
                let ledger = LedgerId { venue: venue(), day: date(batch.day).unwrap() };
                let position = hub.lists.get(&key).map(|list| list.0).unwrap_or_default();
                let ack = |sequence| {
                    HubMessage::Ack(Ack { day: batch.day, writer: batch.writer, sequence })
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
                        let list = hub.lists.entry(key).or_default();
                        let new: Vec<Vec<u8>> = extension.entry_bytes().to_vec();
                        let (entries, count) = pack(new.iter().map(Vec::as_slice));
                        assert_eq!(count, new.len(), "what came in one batch fits one");
                        list.1.extend(new);
                        list.0 = extension.head();
                        let first = extension.first_index() + 1;
                        hub.log.push(Batch { entries, first, ..batch.clone() });
                        (Some(ack(extension.head().sequence)), true)
                    }
                }
            }
        }
    }

    /// What the desk lacks of the log.
    pub(crate) fn news(&mut self, hub: &Committed) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.open || self.venue_version == hub.log.len() {
            return bytes;
        }
        let mut shared = false;
        for (place, batch) in hub.log.iter().enumerate().skip(self.venue_version) {
            let known = self.known.get(&(batch.day, batch.writer)).copied().unwrap_or(0);
            shared = batch.seal.sequence > known;
            if shared {
                let share = Share { batch: batch.clone(), venue_version: place as u64 + 1 };
                bytes.extend(self.machine.send(&HubMessage::Share(share)).unwrap());
            }
        }
        self.venue_version = hub.log.len();
        if !shared {
            bytes.extend(
                self.machine.send(&HubMessage::Advance(self.venue_version as u64)).unwrap(),
            );
        }
        bytes
    }
}

fn held(lists: &[ListPosition], hub: &Committed) -> Vec<ListPosition> {
    lists
        .iter()
        .map(|list| {
            let position = hub.lists.get(&(list.day, list.writer)).map(|l| l.0).unwrap_or_default();
            ListPosition {
                sequence: position.sequence,
                head: short_head(&position),
                ..list.clone()
            }
        })
        .collect()
}
