//! Real readers through libnfc: the UID of ISO 14443-A targets.

use std::time::{Duration, Instant};

use crdt_model::ids::ChipNumber;
use nfc1::target_info::TargetInfo;
use nfc1::{BaudRate, Context, Device, Error, Modulation, ModulationType, Property};

use crate::reader::{Debounce, Reader, ReaderEvent, Session, is_random};

/// Between two polls. A card is noticed within this time plus some 30 ms of anticollision.
const POLL: Duration = Duration::from_millis(100);

/// So many polls that fail in a row mean that the reader is gone.
const GONE_AFTER: u32 = 3;

/// Between two attempts to open a reader that is not there.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// ISO 14443-A at 106 kbit/s: what all the passes speak.
const MODULATION: Modulation =
    Modulation { modulation_type: ModulationType::Iso14443a, baud_rate: BaudRate::Baud106 };

/// A reader that libnfc drives.
#[derive(Debug, Clone)]
pub struct LibnfcReader {
    connection: Option<String>,
    poll: Duration,
}

impl LibnfcReader {
    /// The reader at this libnfc connection string, such as `pn532_uart:/dev/ttyUSB0`; without one,
    /// the first that libnfc finds. Nothing is opened yet.
    pub fn new(connection: Option<String>) -> Self {
        Self { connection, poll: POLL }
    }

    /// The same reader with another time between two polls: for tests and measurements.
    #[must_use]
    pub fn polling_every(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    fn open(&self) -> Result<(Context, Device), String> {
        let mut context =
            Context::new().map_err(|error| format!("libnfc does not start: {error}"))?;
        let opened = match &self.connection {
            Some(connection) => context.open_with_connstring(connection),
            None => context.open(),
        };
        let mut device = opened.map_err(|_| match &self.connection {
            Some(connection) => format!(
                "the reader {connection} cannot be opened: plug it in, and check that this user may use it"
            ),
            None => "no reader was found: plug one in, and check that this user may use it".to_owned(),
        })?;
        let begun = device
            .initiator_init()
            .and_then(|()| device.set_property_bool(Property::InfiniteSelect, false));
        begun.map_err(|error| format!("the reader does not answer: {error}"))?;
        Ok((context, device))
    }

    /// Polls until the reader fails or the session is over.
    fn poll(
        &self,
        device: &mut Device,
        session: &Session,
        debounce: &mut Debounce,
    ) -> Result<(), String> {
        let mut failures = 0;
        while !session.is_over() {
            let found = found(device);
            // Noise on the line costs one poll; a reader that is gone fails at every one.
            failures = if found.is_err() { failures + 1 } else { 0 };
            let events = match found {
                Err(_) if failures < GONE_AFTER => Vec::new(),
                Ok(Found::Nothing) => debounce.seen(None, Instant::now()),
                Ok(Found::Card(chip)) => debounce.seen(Some(chip), Instant::now()),
                Ok(Found::Several) => debounce.trouble(ReaderEvent::TwoCards).into_iter().collect(),
                Ok(Found::Unreadable) => {
                    debounce.trouble(ReaderEvent::ReadError).into_iter().collect()
                }
                Ok(Found::Random) => debounce.trouble(ReaderEvent::RandomUid).into_iter().collect(),
                Err(error) => return Err(format!("the reader stopped answering: {error}")),
            };
            if !events.into_iter().all(|event| session.say(event)) || !session.wait(self.poll) {
                break;
            }
        }
        Ok(())
    }
}

enum Found {
    Nothing,
    Card(ChipNumber),
    Several,
    Unreadable,
    Random,
}

fn found(device: &mut Device) -> Result<Found, Error> {
    // Listing halts each card so that the next one can speak. Without power they forget it: else a card
    // that stays would be seen once and then never again.
    device.set_property_bool(Property::ActivateField, false)?;
    device.set_property_bool(Property::ActivateField, true)?;
    let targets = match device.initiator_list_passive_targets(&MODULATION, 2) {
        Ok(targets) => targets,
        // A card that is taken away during anticollision is not the reader's fault.
        Err(Error::RfTransmissionError | Error::TargetReleased | Error::Timeout) => {
            return Ok(Found::Nothing);
        }
        Err(error) => return Err(error),
    };
    let mut uids: Vec<&[u8]> = targets
        .iter()
        .filter_map(|target| match &target.target_info {
            TargetInfo::Iso14443a(info) => Some(&info.uid[..info.uid_len.min(info.uid.len())]),
            _ => None,
        })
        // nfc1 0.7.1 hands back as many targets as were asked for: those not found have no UID.
        .filter(|uid| !uid.is_empty())
        .collect();
    // A chip that does not halt a card lists the same one twice.
    uids.dedup();
    Ok(match uids[..] {
        [] => Found::Nothing,
        [uid] if is_random(uid) => Found::Random,
        [uid] => ChipNumber::from_bytes(uid).map_or(Found::Unreadable, Found::Card),
        [..] => Found::Several,
    })
}

impl Reader for LibnfcReader {
    fn run(&mut self, session: &Session) {
        let mut debounce = Debounce::default();
        let mut said = None;
        while !session.is_over() {
            let why = match self.open() {
                Ok((_context, mut device)) => {
                    said = None;
                    let name = device.name().to_owned();
                    if !session.say(ReaderEvent::Ready { name }) {
                        return;
                    }
                    match self.poll(&mut device, session, &mut debounce) {
                        Ok(()) => return,
                        Err(why) => why,
                    }
                }
                Err(why) => why,
            };
            let gone = debounce.seen(None, Instant::now());
            if !gone.into_iter().all(|event| session.say(event)) {
                return;
            }
            if said.as_ref() != Some(&why) {
                tracing::warn!(why, "no reader");
                said = Some(why.clone());
                if !session.say(ReaderEvent::Lost { why }) {
                    return;
                }
            }
            session.wait(TRY_AGAIN);
        }
    }
}
