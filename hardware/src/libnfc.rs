//! Real readers through libnfc: the UID of ISO 14443-A targets, and what is said to them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crdt_model::ids::ChipNumber;
use nfc1::target_info::TargetInfo;
use nfc1::{BaudRate, Context, Device, Error, Modulation, ModulationType, Property, Timeout};

use crate::card::{Attendant, Broken, CardChannel, Command, MAX_ANSWER, Speaks};
use crate::reader::{Debounce, NoReader, Reader, ReaderEvent, Session, is_random};
use crate::usb;

/// Between two polls. A card is noticed within this time plus some 30 ms of anticollision.
const POLL: Duration = Duration::from_millis(100);

/// So many polls that fail in a row mean that the reader is gone.
const GONE_AFTER: u32 = 3;

/// On the status line within two seconds: the waits leave most of that to a driver that takes its time to fail.
const _: () = assert!(POLL.as_millis() * GONE_AFTER as u128 <= 500);

/// Between two looks for a reader that is not there.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Between two attempts to open a reader whose port is there, but that does not open, at the most: nfc1
/// 0.7.1 forgets 1 KiB at each attempt (`Device::new_device`, `into_raw`), so an attempt each second
/// would cost 84 MiB a day, and these cost 3.
const TRY_AGAIN_AT_MOST: Duration = Duration::from_secs(30);

/// ISO 14443-A at 106 kbit/s: what all the passes speak.
const MODULATION: Modulation =
    Modulation { modulation_type: ModulationType::Iso14443a, baud_rate: BaudRate::Baud106 };

/// How long a card may take to answer. An authentication takes some 20 ms; a card whose keys were tried
/// in vain makes itself slower.
const ANSWER: Duration = Duration::from_millis(500);

/// A reader that libnfc drives.
#[derive(Clone)]
pub struct LibnfcReader {
    connection: Option<String>,
    poll: Duration,
    attendant: Option<Arc<dyn Attendant>>,
}

impl fmt::Debug for LibnfcReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LibnfcReader({:?})", self.connection)
    }
}

impl LibnfcReader {
    /// The reader at this libnfc connection string, such as `pn532_uart:/dev/ttyUSB0`, or on this USB port
    /// ([`usb::plugged_in`]); without one, the first that libnfc finds. Nothing is opened yet.
    pub fn new(connection: Option<String>) -> Self {
        Self { connection, poll: POLL, attendant: None }
    }

    /// The same reader, whose cards this attendant talks with.
    #[must_use]
    pub fn attended_by(self, attendant: Arc<dyn Attendant>) -> Self {
        Self { attendant: Some(attendant), ..self }
    }

    /// The same reader with another time between two polls: for tests and measurements.
    #[must_use]
    pub fn polling_every(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// What is to be opened, or why it makes no sense to try: the port is not there.
    fn place(&self) -> Result<Option<String>, NoReader> {
        let Some(connection) = &self.connection else { return Ok(None) };
        let unplugged = |reader: &str| NoReader::Unplugged { reader: reader.to_owned() };
        let place = usb::plugged_in(Path::new("/"), connection);
        let place = place.ok_or_else(|| unplugged(connection))?;
        // A speed may stand behind the port.
        let port = place.split(':').nth(1).unwrap_or_default();
        let path = Path::new(port);
        if path.is_absolute() && !path.exists() {
            return Err(unplugged(port));
        }
        Ok(Some(place))
    }

    /// Waits before the next attempt, but not beyond the moment at which the port comes or goes.
    fn wait(&self, session: &Session, time: Duration, missing: bool) {
        let until = Instant::now() + time;
        while session.wait(TRY_AGAIN) && Instant::now() < until && self.place().is_err() == missing
        {
        }
    }

    fn open(&self, place: Option<&str>) -> Result<(Context, Device), NoReader> {
        let mut context = Context::new()
            .map_err(|error| NoReader::System { detail: format!("libnfc: {error}") })?;
        let opened = match place {
            Some(place) => context.open_with_connstring(place),
            None => context.open(),
        };
        let mut device = opened.map_err(|_| match &self.connection {
            Some(connection) => NoReader::NotOpened { reader: connection.clone() },
            None => NoReader::NotFound,
        })?;
        let begun = device
            .initiator_init()
            .and_then(|()| device.set_property_bool(Property::InfiniteSelect, false));
        begun.map_err(|error| NoReader::Silent { detail: error.to_string() })?;
        Ok((context, device))
    }

    /// Polls until the reader fails or the session is over.
    fn poll(
        &self,
        device: &mut Device,
        session: &Session,
        debounce: &mut Debounce,
    ) -> Result<(), NoReader> {
        let mut failures = 0;
        while !session.is_over() {
            for card in session.take_forgotten() {
                debounce.forget(card);
            }
            let found = found(device);
            // Noise on the line costs one poll; a reader that is gone fails at every one.
            failures = if found.is_err() { failures + 1 } else { 0 };
            let events = match found {
                Err(_) if failures < GONE_AFTER => Vec::new(),
                Ok(Found::Nothing) => debounce.seen(None, Instant::now()),
                Ok(Found::Card { chip, speaks }) => {
                    let attendant = self.attendant.as_deref();
                    let mut card = Selected { device: &mut *device, chip, active: false };
                    let seen = debounce.seen(Some(chip), Instant::now()).into_iter();
                    seen.map(|event| event.attended(attendant, &mut card, |_| speaks)).collect()
                }
                Ok(Found::Several) => debounce.trouble(ReaderEvent::TwoCards).into_iter().collect(),
                Ok(Found::Unreadable) => {
                    debounce.trouble(ReaderEvent::ReadError).into_iter().collect()
                }
                Ok(Found::Random) => debounce.trouble(ReaderEvent::RandomUid).into_iter().collect(),
                Err(error) => return Err(NoReader::Silent { detail: error.to_string() }),
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
    Card { chip: ChipNumber, speaks: Option<Speaks> },
    Several,
    Unreadable,
    Random,
}

fn found(device: &mut Device) -> Result<Found, Error> {
    // Listing halts each card so that the next one can speak. Without power they forget it: else a card
    // that stays would be seen once and then never again.
    without_power(device)?;
    let targets = match device.initiator_list_passive_targets(&MODULATION, 2) {
        Ok(targets) => targets,
        // A card that is taken away during anticollision is not the reader's fault.
        Err(Error::RfTransmissionError | Error::TargetReleased | Error::Timeout) => {
            return Ok(Found::Nothing);
        }
        Err(error) => return Err(error),
    };
    let mut uids: Vec<(&[u8], u8)> = targets
        .iter()
        .filter_map(|target| match &target.target_info {
            TargetInfo::Iso14443a(info) => {
                Some((&info.uid[..info.uid_len.min(info.uid.len())], info.sak))
            }
            _ => None,
        })
        // nfc1 0.7.1 hands back as many targets as were asked for: those not found have no UID.
        .filter(|(uid, _)| !uid.is_empty())
        .collect();
    // A chip that does not halt a card lists the same one twice.
    uids.dedup_by_key(|(uid, _)| *uid);
    Ok(match uids[..] {
        [] => Found::Nothing,
        [(uid, _)] if is_random(uid) => Found::Random,
        [(uid, sak)] => match ChipNumber::from_bytes(uid) {
            Ok(chip) => Found::Card { chip, speaks: Speaks::of_sak(sak) },
            Err(_) => Found::Unreadable,
        },
        [..] => Found::Several,
    })
}

/// Switches the field off and on: every card forgets that it was told to be quiet, and what was
/// begun with it.
fn without_power(device: &mut Device) -> Result<(), Error> {
    device.set_property_bool(Property::ActivateField, false)?;
    device.set_property_bool(Property::ActivateField, true)
}

/// A card that lies on the reader. It is selected when the first thing is said to it.
struct Selected<'a> {
    device: &'a mut Device,
    chip: ChipNumber,
    active: bool,
}

impl Selected<'_> {
    fn select(&mut self) -> Result<(), Error> {
        without_power(self.device)?;
        let uid = self.chip.bytes();
        let found = self.device.initiator_select_passive_target_with_init_data(&MODULATION, uid)?;
        // libnfc finds nothing without calling that an error, and nfc1 0.7.1 then hands back a blank.
        match &found.target_info {
            TargetInfo::Iso14443a(info) if info.uid.get(..info.uid_len) == Some(uid) => {
                self.active = true;
                Ok(())
            }
            _ => Err(Error::TargetReleased),
        }
    }

    fn say(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        self.device.initiator_transceive_bytes(bytes, MAX_ANSWER, Timeout::Duration(ANSWER))
    }

    /// The card's own command, as it is: the PN532 would take some for commands that it knows.
    fn say_raw(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        self.device.set_property_bool(Property::EasyFraming, false)?;
        let answer = self.say(bytes);
        self.device.set_property_bool(Property::EasyFraming, true)?;
        answer
    }
}

impl CardChannel for Selected<'_> {
    fn exchange(&mut self, command: &Command) -> Result<Vec<u8>, Broken> {
        if !self.active {
            self.select().map_err(|_| Broken::Gone)?;
        }
        let (answer, type_2) = match command {
            Command::SelectAnew => (self.select().map(|()| Vec::new()), false),
            Command::ReadPages { from } => (self.say(&[0x30, *from]), true),
            Command::WritePage { page, data: [a, b, c, d] } => {
                (self.say(&[0xa2, *page, *a, *b, *c, *d]).map(|_| Vec::new()), true)
            }
            Command::Raw { bytes } => (self.say_raw(bytes), true),
            Command::Apdu { bytes } => (self.say(bytes), false),
        };
        answer.map_err(|error| {
            tracing::debug!(%error, ?command, "a card did not answer");
            self.active = false;
            // A Type 2 card that refuses falls silent, as one does that is gone: but it is still there.
            if type_2 && self.select().is_ok() { Broken::Refused } else { Broken::Gone }
        })
    }
}

impl Reader for LibnfcReader {
    fn run(&mut self, session: &Session) {
        let mut debounce = Debounce::default();
        let (mut said, mut again) = (None, TRY_AGAIN);
        // The reader that was there last.
        let mut last = None;
        while !session.is_over() {
            let place = self.place();
            let missing = place.is_err();
            let opened = place.and_then(|place| self.open(place.as_deref()));
            again = match (&opened, &self.connection) {
                (Err(_), Some(_)) if !missing => (again * 2).min(TRY_AGAIN_AT_MOST),
                _ => TRY_AGAIN,
            };
            let why = match opened {
                Ok((_context, mut device)) => {
                    said = None;
                    let name = device.name().to_owned();
                    last = Some(name.clone());
                    if !session.say(ReaderEvent::Ready { name }) {
                        return;
                    }
                    match self.poll(&mut device, session, &mut debounce) {
                        Ok(()) => return,
                        // One that was just pulled out is silent, too.
                        Err(why) => self.place().err().unwrap_or(why),
                    }
                }
                Err(NoReader::NotFound) => match last.clone() {
                    Some(reader) => NoReader::Unplugged { reader },
                    None => NoReader::NotFound,
                },
                Err(why) => why,
            };
            let gone = debounce.seen(None, Instant::now());
            if !gone.into_iter().all(|event| session.say(event)) {
                return;
            }
            if said.as_ref() != Some(&why) {
                tracing::warn!(%why, "no reader");
                said = Some(why.clone());
                if !session.say(ReaderEvent::Lost { why }) {
                    return;
                }
            }
            self.wait(session, again, missing);
        }
    }
}
