//! Entries: the immutable facts of a ledger, and their bytes.
//!
//! An entry is one CBOR map with integer keys. Fields may be added: what reads an entry passes over
//! keys that it does not know, and keeps a kind that it does not know as [`Fact::Newer`].
//!
//! | key | holds | in |
//! | --- | --- | --- |
//! | 0 | kind: 1 check-in, 2 visit, 3 redemption, 4 void, 5 ticket sale, 6 external visit | all |
//! | 1 | `PassId` | all, unless 2 or 16 stands |
//! | 2 | chip number, where the catalogue did not know the card | check-in, visit |
//! | 3 | `at`, in milliseconds after midnight UTC of the ledger's day | all |
//! | 4 | activity or reward | check-in, redemption, ticket sale |
//! | 5 | points | check-in, redemption |
//! | 6 | the target's index in its list | void |
//! | 7 | the target's writer, where it is not the void's own | void |
//! | 8 | the target's day as days since 1970-01-01, where it is not the ledger's | void |
//! | 9 | grant and unit of a limited reward | redemption |
//! | 10 | tickets | ticket sale |
//! | 11 | holder's, city's and organiser's shares of one ticket, in cents | ticket sale |
//! | 12 | tariff: 0 regular, 1 social, else the coupon's number + 2 | ticket sale |
//! | 13 | the writer and the index of the list, of the same ledger, in which the entry stood first | all |
//! | 16 | the keyed hash of an external card's number | external visit |

mod copies;

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use thiserror::Error;

use crate::ids::{
    ActivityId, CardKey, ChipNumber, CouponId, PassId, RewardId, Writer, serde_as_text,
};
use crate::money::{Cents, Shares};
use crate::stock::{GrantId, Unit};
use crate::time::{UnixMillis, date_of_day_number, day_number, utc_midnight};

pub use copies::copy_of;

/// An entry's bytes at the most: the largest known kind has some 60, the rest is for later fields.
pub const MAX_ENTRY_BYTES: usize = 256;

/// Whom an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A pass that the catalogue knows.
    Pass(PassId),
    /// A card that it does not know: provisional, settled by the hub.
    Chip(ChipNumber),
    /// An external card, by the keyed hash of its number: enough to know it again.
    External(CardKey),
}

/// Which tariff a ticket was sold at (contract: `Tariff.type`; the contract knows no regular one,
/// for there only discounted sales are registered).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TariffKind {
    /// The regular price.
    Regular,
    /// The social tariff.
    SocialTariff,
    /// A coupon.
    Coupon(CouponId),
}

/// One entry of a venue by its place: which day's ledger, which list, where in it. As text:
/// `2026-11-21/<writer>/<index>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryRef {
    /// The local day of its ledger.
    pub day: Date,
    /// Its list.
    pub writer: Writer,
    /// Its place in the list, from 0.
    pub index: u64,
}

/// Why a text names no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an entry is named by its day, its list and its place, as in 2026-11-21/<writer>/12")]
pub struct EntryRefError;

impl fmt::Display for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.day, self.writer, self.index)
    }
}

impl FromStr for EntryRef {
    type Err = EntryRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let (Some(day), Some(writer), Some(index), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(EntryRefError);
        };
        Ok(Self {
            day: day.parse().map_err(|_| EntryRefError)?,
            writer: writer.parse().map_err(|_| EntryRefError)?,
            index: index.parse().map_err(|_| EntryRefError)?,
        })
    }
}

serde_as_text!(EntryRef);

/// An entry, and where it stood first.
///
/// A list is a chain: behind an entry that a disk has lost for ever nothing can be added to it. What stands there and
/// is whole goes on as a *copy* in another list of the same desk and day. A copy names its first place, and is the same
/// entry: whoever has both counts one, and a void of either place takes both back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The entry.
    pub entry: Entry,
    /// Where it stood first, where it is a copy.
    pub first_place: Option<EntryRef>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A check-in at an activity of the venue.
    CheckIn {
        /// The activity.
        activity: ActivityId,
        /// What it earns, by the catalogue of that moment.
        points: u32,
    },
    /// A museum visit with a museumPASSmusées, at the ledger's venue.
    Visit,
    /// A reward handed out.
    Redemption {
        /// The reward.
        reward: RewardId,
        /// Its price in points; 0 for a welcome reward.
        points: u32,
        /// The unit that was handed out, where the reward's stock is limited.
        unit: Option<Unit>,
    },
    /// Tickets sold for an activity, all at one tariff.
    TicketSale {
        /// The activity.
        activity: ActivityId,
        /// How many.
        tickets: u16,
        /// The tariff.
        tariff: TariffKind,
        /// Who pays what of one ticket's regular price.
        shares: Shares,
    },
    /// A visit with an admission pass of another platform, at the ledger's venue.
    ExternalVisit,
    /// An earlier entry of this venue taken back.
    Void {
        /// Which.
        target: EntryRef,
    },
    /// A kind that this version does not know. It is kept and counts for nothing.
    Newer {
        /// Its number.
        kind: u32,
    },
}

/// One immutable fact in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When, by the desk's clock, never before anything that the desk had seen.
    pub at: UnixMillis,
    /// About whom.
    pub subject: Subject,
    /// What.
    pub fact: Fact,
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryError {
    /// More than [`MAX_ENTRY_BYTES`].
    #[error("an entry has at most {MAX_ENTRY_BYTES} bytes, this has {bytes}")]
    TooLarge {
        /// How many there were.
        bytes: usize,
    },
    /// Not CBOR, or a value of another type than its key wants.
    #[error("malformed: {why}")]
    Malformed {
        /// What the decoder met.
        why: String,
    },
    /// A field that this kind needs is not there.
    #[error("field {key} is missing in an entry of kind {kind}")]
    Missing {
        /// Its key.
        key: u32,
        /// The entry's kind.
        kind: u32,
    },
}

impl From<minicbor::decode::Error> for EntryError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Malformed { why: error.to_string() }
    }
}

const CHECK_IN: u32 = 1;
const VISIT: u32 = 2;
const REDEMPTION: u32 = 3;
const VOID: u32 = 4;
const TICKET_SALE: u32 = 5;
const EXTERNAL_VISIT: u32 = 6;

impl Entry {
    /// The entry's bytes in the list of `writer` in the ledger of `day`. A kind of a newer version
    /// cannot be written by this one, only carried: it encodes to a map of its kind and time.
    pub fn encode(&self, day: Date, writer: &Writer) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        let mut fields = Fields { encoder: Encoder::new(&mut bytes) };
        let (kind, more) = match &self.fact {
            Fact::CheckIn { .. } => (CHECK_IN, 2),
            Fact::Visit => (VISIT, 0),
            Fact::Redemption { unit, .. } => (REDEMPTION, 2 + u64::from(unit.is_some())),
            Fact::TicketSale { .. } => (TICKET_SALE, 4),
            Fact::ExternalVisit => (EXTERNAL_VISIT, 0),
            Fact::Void { target } => {
                (VOID, 1 + u64::from(target.writer != *writer) + u64::from(target.day != day))
            }
            Fact::Newer { kind } => (*kind, 0),
        };
        fields.begin(3 + more);
        fields.number(0, i64::from(kind));
        match &self.subject {
            Subject::Pass(pass) => fields.unsigned(1, pass.0),
            Subject::Chip(chip) => fields.bytes(2, chip.bytes()),
            Subject::External(_) => {}
        }
        fields.number(3, self.at.since(utc_midnight(day)));
        match &self.fact {
            Fact::CheckIn { activity: ActivityId(of), points } => {
                fields.number(4, i64::from(*of));
                fields.number(5, i64::from(*points));
            }
            Fact::Redemption { reward: RewardId(of), points, unit } => {
                fields.number(4, i64::from(*of));
                fields.number(5, i64::from(*points));
                if let Some(unit) = unit {
                    fields.numbers(9, &[unit.grant.0, u64::from(unit.unit)]);
                }
            }
            Fact::TicketSale { activity, tickets, tariff, shares } => {
                fields.number(4, i64::from(activity.0));
                fields.number(10, i64::from(*tickets));
                let Shares { holder, city, organiser } = shares;
                fields.numbers(11, &[holder, city, organiser].map(|share| u64::from(share.0)));
                fields.unsigned(12, tariff.number());
            }
            Fact::Void { target } => {
                fields.unsigned(6, target.index);
                if target.writer != *writer {
                    fields.bytes(7, &target.writer.to_bytes());
                }
                if target.day != day {
                    fields.number(8, i64::from(day_number(target.day)));
                }
            }
            Fact::Visit | Fact::ExternalVisit | Fact::Newer { .. } => {}
        }
        if let Subject::External(card) = &self.subject {
            fields.bytes(16, card);
        }
        bytes
    }

    /// The entry of these bytes, in the list of `writer` in the ledger of `day`.
    ///
    /// # Errors
    /// [`EntryError`] where the bytes are too many, malformed or lack a field.
    pub fn decode(bytes: &[u8], day: Date, writer: &Writer) -> Result<Self, EntryError> {
        Ok(Located::decode(bytes, day, writer)?.entry)
    }
}

impl Located {
    /// The entry of these bytes, in the list of `writer` in the ledger of `day`.
    ///
    /// # Errors
    /// As [`Entry::decode`].
    pub fn decode(bytes: &[u8], day: Date, writer: &Writer) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLarge { bytes: bytes.len() });
        }
        let raw = Raw::decode(bytes)?;
        let kind = raw.kind.ok_or(EntryError::Missing { key: 0, kind: 0 })?;
        let missing = |key| EntryError::Missing { key, kind };
        let subject = match (raw.pass, raw.chip, raw.external) {
            (Some(pass), None, None) => Subject::Pass(PassId(pass)),
            (None, Some(chip), None) => Subject::Chip(chip),
            (None, None, Some(card)) => Subject::External(card),
            (None, None, None) => return Err(missing(1)),
            _ => return Err(EntryError::Malformed { why: "about more than one card".to_owned() }),
        };
        let at = utc_midnight(day).plus(raw.at.ok_or(missing(3))?);
        let fact = match kind {
            CHECK_IN => Fact::CheckIn {
                activity: ActivityId(raw.of.ok_or(missing(4))?),
                points: raw.points.ok_or(missing(5))?,
            },
            VISIT => Fact::Visit,
            REDEMPTION => Fact::Redemption {
                reward: RewardId(raw.of.ok_or(missing(4))?),
                points: raw.points.ok_or(missing(5))?,
                unit: raw.unit,
            },
            TICKET_SALE => Fact::TicketSale {
                activity: ActivityId(raw.of.ok_or(missing(4))?),
                tickets: raw.tickets.ok_or(missing(10))?,
                tariff: raw.tariff.ok_or(missing(12))?,
                shares: raw.shares.ok_or(missing(11))?,
            },
            EXTERNAL_VISIT => Fact::ExternalVisit,
            VOID => Fact::Void {
                target: EntryRef {
                    day: raw.target_day.unwrap_or(day),
                    writer: raw.target_writer.unwrap_or(*writer),
                    index: raw.target_index.ok_or(missing(6))?,
                },
            },
            kind => Fact::Newer { kind },
        };
        // A desk copies its own entries. One that named another desk's as its copy would count in that one's place.
        let own = raw.first_place.filter(|(first, _)| first.device == writer.device);
        let first_place = own.map(|(writer, index)| EntryRef { day, writer, index });
        Ok(Self { entry: Entry { at, subject, fact }, first_place })
    }
}

/// Writes the fields of one entry. Writing to a `Vec` cannot fail, so the results are dropped.
struct Fields<'a> {
    encoder: Encoder<&'a mut Vec<u8>>,
}

impl Fields<'_> {
    fn begin(&mut self, fields: u64) {
        let _ = self.encoder.map(fields);
    }
    fn number(&mut self, key: u32, value: i64) {
        let _ = self.encoder.u32(key).and_then(|e| e.i64(value));
    }
    fn unsigned(&mut self, key: u32, value: u64) {
        let _ = self.encoder.u32(key).and_then(|e| e.u64(value));
    }
    fn numbers(&mut self, key: u32, values: &[u64]) {
        let _ = self.encoder.u32(key).and_then(|e| e.array(values.len() as u64));
        for value in values {
            let _ = self.encoder.u64(*value);
        }
    }
    fn list_place(&mut self, key: u32, writer: &Writer, index: u64) {
        let array = self.encoder.u32(key).and_then(|e| e.array(2));
        let _ = array.and_then(|e| e.bytes(&writer.to_bytes())).and_then(|e| e.u64(index));
    }
    fn bytes(&mut self, key: u32, value: &[u8]) {
        let _ = self.encoder.u32(key).and_then(|e| e.bytes(value));
    }
}

impl TariffKind {
    fn number(self) -> u64 {
        match self {
            Self::Regular => 0,
            Self::SocialTariff => 1,
            Self::Coupon(coupon) => u64::from(coupon.0) + 2,
        }
    }

    fn of_number(number: u64) -> Result<Self, EntryError> {
        Ok(match number {
            0 => Self::Regular,
            1 => Self::SocialTariff,
            coupon => Self::Coupon(CouponId(u32::try_from(coupon - 2).map_err(|_| {
                EntryError::Malformed { why: "there are no coupons of so high a number".to_owned() }
            })?)),
        })
    }
}

/// Reads the head of an array of exactly so many values.
fn exactly(decoder: &mut Decoder<'_>, values: u64) -> Result<(), EntryError> {
    if decoder.array()? == Some(values) {
        Ok(())
    } else {
        Err(EntryError::Malformed { why: format!("not an array of {values}") })
    }
}

/// The fields as they stand in the bytes, before a kind is made of them.
#[derive(Default)]
struct Raw {
    kind: Option<u32>,
    pass: Option<u64>,
    chip: Option<ChipNumber>,
    at: Option<i64>,
    of: Option<u32>,
    points: Option<u32>,
    target_index: Option<u64>,
    target_writer: Option<Writer>,
    target_day: Option<Date>,
    unit: Option<Unit>,
    tickets: Option<u16>,
    shares: Option<Shares>,
    tariff: Option<TariffKind>,
    first_place: Option<(Writer, u64)>,
    external: Option<CardKey>,
}

impl Raw {
    fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let malformed = |why: &str| EntryError::Malformed { why: why.to_owned() };
        let mut decoder = Decoder::new(bytes);
        let fields = decoder.map()?.ok_or_else(|| malformed("a map of indefinite length"))?;
        let mut raw = Self::default();
        for _ in 0..fields {
            match decoder.u32()? {
                0 => raw.kind = Some(decoder.u32()?),
                1 => raw.pass = Some(decoder.u64()?),
                2 => {
                    let chip = ChipNumber::from_bytes(decoder.bytes()?);
                    raw.chip = Some(chip.map_err(|error| malformed(&error.to_string()))?);
                }
                3 => raw.at = Some(decoder.i64()?),
                4 => raw.of = Some(decoder.u32()?),
                5 => raw.points = Some(decoder.u32()?),
                6 => raw.target_index = Some(decoder.u64()?),
                7 => {
                    let writer = Writer::from_bytes(decoder.bytes()?);
                    raw.target_writer =
                        Some(writer.map_err(|error| malformed(&error.to_string()))?);
                }
                8 => {
                    let day = date_of_day_number(decoder.i32()?);
                    raw.target_day =
                        Some(day.ok_or_else(|| malformed("a day outside the calendar"))?);
                }
                9 => {
                    exactly(&mut decoder, 2)?;
                    raw.unit = Some(Unit { grant: GrantId(decoder.u64()?), unit: decoder.u32()? });
                }
                10 => raw.tickets = Some(decoder.u16()?),
                11 => {
                    exactly(&mut decoder, 3)?;
                    let mut share = || Ok::<_, EntryError>(Cents(decoder.u32()?));
                    let (holder, city, organiser) = (share()?, share()?, share()?);
                    raw.shares = Some(Shares { holder, city, organiser });
                }
                12 => raw.tariff = Some(TariffKind::of_number(decoder.u64()?)?),
                13 => {
                    exactly(&mut decoder, 2)?;
                    let writer = Writer::from_bytes(decoder.bytes()?);
                    let writer = writer.map_err(|error| malformed(&error.to_string()))?;
                    raw.first_place = Some((writer, decoder.u64()?));
                }
                16 => {
                    let card = decoder.bytes()?.try_into();
                    raw.external = Some(card.map_err(|_| malformed("a keyed hash has 16 bytes"))?);
                }
                _ if decoder.datatype()? == Type::Break => return Err(malformed("a stray break")),
                _ => decoder.skip()?,
            }
        }
        if decoder.position() == bytes.len() {
            Ok(raw)
        } else {
            Err(malformed("bytes behind the entry"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DeviceId;

    pub(super) fn writer(epoch: u32) -> Writer {
        Writer { device: DeviceId([7; 16]), epoch }
    }

    pub(super) fn day() -> Date {
        "2026-11-21".parse().unwrap()
    }

    fn sale(subject: Subject, tariff: TariffKind) -> Entry {
        let shares = Shares { holder: Cents(200), city: Cents(400), organiser: Cents(401) };
        let fact = Fact::TicketSale { activity: ActivityId(3), tickets: 25, tariff, shares };
        Entry { at: UnixMillis(1_795_255_393_123), subject, fact }
    }

    pub(super) fn samples() -> Vec<Entry> {
        let at = UnixMillis(1_795_255_393_123);
        let pass = Subject::Pass(PassId(481_516));
        let chip = Subject::Chip("04784CDAEE3880".parse().unwrap());
        let target = |day: Date, epoch| EntryRef { day, writer: writer(epoch), index: 300 };
        vec![
            Entry { at, subject: pass, fact: Fact::CheckIn { activity: ActivityId(3), points: 1 } },
            Entry { at, subject: chip, fact: Fact::CheckIn { activity: ActivityId(3), points: 2 } },
            Entry { at, subject: pass, fact: Fact::Visit },
            Entry {
                at,
                subject: pass,
                fact: Fact::Redemption { reward: RewardId(9), points: 15, unit: None },
            },
            Entry {
                at,
                subject: pass,
                fact: Fact::Redemption {
                    reward: RewardId(9),
                    points: 0,
                    unit: Some(Unit { grant: GrantId(77), unit: 12 }),
                },
            },
            sale(pass, TariffKind::Regular),
            sale(pass, TariffKind::SocialTariff),
            sale(pass, TariffKind::Coupon(CouponId(4))),
            Entry { at, subject: Subject::External([9; 16]), fact: Fact::ExternalVisit },
            Entry { at, subject: pass, fact: Fact::Void { target: target(day(), 1) } },
            Entry {
                at,
                subject: pass,
                fact: Fact::Void { target: target("2026-11-20".parse().unwrap(), 2) },
            },
            Entry { at: UnixMillis(-5), subject: pass, fact: Fact::Newer { kind: 99 } },
        ]
    }

    #[test]
    fn every_kind_survives_its_bytes() {
        for entry in samples() {
            let bytes = entry.encode(day(), &writer(1));
            assert_eq!(Entry::decode(&bytes, day(), &writer(1)), Ok(entry));
        }
    }

    /// The bytes of the first release. A later version must read them for ever.
    #[test]
    fn the_bytes_of_release_0_1_are_still_read() {
        let bytes =
            [0xa5, 0, 1, 1, 0x1a, 0, 7, 0x58, 0xec, 3, 0x1a, 0, 0xd2, 0xa4, 0x23, 4, 3, 5, 1];
        let entry = Entry::decode(&bytes, day(), &writer(1)).unwrap();
        assert_eq!(entry.subject, Subject::Pass(PassId(481_516)));
        assert_eq!(entry.fact, Fact::CheckIn { activity: ActivityId(3), points: 1 });
        assert_eq!(entry.encode(day(), &writer(1)), bytes);
    }

    #[test]
    fn a_field_of_a_newer_version_is_passed_over() {
        let mut bytes = samples()[2].encode(day(), &writer(1));
        bytes[0] += 1;
        bytes.extend([0x18, 40, 0x82, 1, 0x61, b'x']);
        assert_eq!(Entry::decode(&bytes, day(), &writer(1)), Ok(samples()[2]));
    }

    #[test]
    fn bytes_that_are_no_entry_are_refused_with_the_reason() {
        let decode = |bytes: &[u8]| Entry::decode(bytes, day(), &writer(1));
        assert!(matches!(decode(&[]), Err(EntryError::Malformed { .. })));
        assert!(matches!(decode(&[0xa1, 0, 1]), Err(EntryError::Missing { key: 1, kind: 1 })));
        assert!(matches!(decode(&[0; 257]), Err(EntryError::TooLarge { bytes: 257 })));
        let mut trailing = samples()[2].encode(day(), &writer(1));
        trailing.push(0);
        assert!(matches!(decode(&trailing), Err(EntryError::Malformed { .. })));
    }
}
