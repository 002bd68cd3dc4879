//! Requests: what a desk asks of the hub about people and their cards. A ledger holds no personal
//! data, so a registration is no entry: it is sealed to the hub's request key (HPKE, RFC 9180), kept
//! on the desk's disk as it is, and sent until the hub has answered. The desk cannot open it again.

use crdt_model::ids::{CardSystemId, ChipNumber, Identification, UitpasNumber};
use crdt_model::money::Cents;
use hpke::rand_core::CryptoRng;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::sealed_box::{OpeningKey, seal};

/// Where a sealed request begins, so that nothing sealed for something else can pass for one.
const CONTEXT: &[u8] = b"stempel request 1";

/// Bytes of a request at the most, sealed: a name, a few numbers and dates, and their frame.
pub const MAX_REQUEST_BYTES: usize = 4096;

/// A request's name: random, so that the hub can tell a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct RequestId(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for RequestId {
    type Err = data_encoding::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes())?;
        let length = data_encoding::DecodeError {
            position: bytes.len(),
            kind: data_encoding::DecodeKind::Length,
        };
        Ok(Self(bytes.try_into().map_err(|_| length)?))
    }
}

/// What is asked.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// A pass was sold: somebody is registered on a card from the desk's stock (contract:
    /// `POST /passholders`).
    Register(Registration),
    /// A chip is linked to a printed number.
    LinkChip {
        /// The number.
        number: UitpasNumber,
        /// The chip.
        chip: ChipNumber,
    },
    /// A card was lost or stolen: it is blocked, its pass goes on.
    ReportLost {
        /// The card, by its chip or its number.
        card: Identification,
    },
    /// A pass gets a new card in place of an old one, which is blocked.
    Replace {
        /// The old card, by its chip or its number.
        old: Identification,
        /// The new card's number, from the desk's stock.
        new: UitpasNumber,
        /// The new card's chip, where it was read.
        chip: Option<ChipNumber>,
    },
}

/// A new holder.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// The card, from the desk's stock.
    pub number: UitpasNumber,
    /// Its chip, where it was read.
    pub chip: Option<ChipNumber>,
    /// The holder's name.
    pub name: String,
    /// The day of birth.
    pub date_of_birth: jiff::civil::Date,
    /// The postal code of where the holder lives; coupons are granted by it.
    pub postal_code: Option<String>,
    /// The card system of which the holder becomes a member.
    pub card_system: CardSystemId,
    /// The last day of a social tariff that was shown to be due.
    pub social_tariff_ends: Option<jiff::civil::Date>,
    /// What was paid at the desk.
    pub paid: Cents,
}

/// Shows what kind it is and nothing of whom it is about.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({})", self.kind().name())
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registration(…)")
    }
}

/// The kind of a request: all that the desk remembers of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RequestKind {
    /// [`Request::Register`].
    Register,
    /// [`Request::LinkChip`].
    LinkChip,
    /// [`Request::ReportLost`].
    ReportLost,
    /// [`Request::Replace`].
    Replace,
}

impl RequestKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "REGISTER",
            Self::LinkChip => "LINK_CHIP",
            Self::ReportLost => "REPORT_LOST",
            Self::Replace => "REPLACE",
        }
    }
}

/// Why a request cannot be sealed or opened. Nothing of its contents is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The hub's key is none.
    #[error("the hub's request key cannot be used")]
    Key,
    /// It is too large: a name of thousands of letters.
    #[error("a request has at most {MAX_REQUEST_BYTES} bytes")]
    TooLarge,
    /// It was not sealed for this hub, this request and this desk, or was changed.
    #[error("the request cannot be opened: it was not sealed for this hub, or was changed")]
    Sealed,
    /// What was sealed is no request of a kind that this version knows.
    #[error("the request is of a kind that this hub does not know; update the hub")]
    Contents,
}

/// The wire's form of a request: text for whatever has a text.
#[derive(Encode, Decode)]
struct Wire {
    #[n(0)]
    kind: u8,
    #[n(1)]
    number: Option<String>,
    #[n(2)]
    chip: Option<String>,
    #[n(3)]
    card: Option<String>,
    #[n(4)]
    name: Option<String>,
    #[n(5)]
    date_of_birth: Option<String>,
    #[n(6)]
    postal_code: Option<String>,
    #[n(7)]
    card_system: Option<CardSystemId>,
    #[n(8)]
    social_tariff_ends: Option<String>,
    #[n(9)]
    paid: Option<Cents>,
}

impl Wire {
    fn of_kind(kind: u8) -> Self {
        Self {
            kind,
            number: None,
            chip: None,
            card: None,
            name: None,
            date_of_birth: None,
            postal_code: None,
            card_system: None,
            social_tariff_ends: None,
            paid: None,
        }
    }
}

impl Request {
    /// Its kind.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Register(_) => RequestKind::Register,
            Self::LinkChip { .. } => RequestKind::LinkChip,
            Self::ReportLost { .. } => RequestKind::ReportLost,
            Self::Replace { .. } => RequestKind::Replace,
        }
    }

    fn to_wire(&self) -> Wire {
        match self {
            Self::Register(new) => Wire {
                number: Some(new.number.to_string()),
                chip: new.chip.map(|chip| chip.to_string()),
                name: Some(new.name.clone()),
                date_of_birth: Some(new.date_of_birth.to_string()),
                postal_code: new.postal_code.clone(),
                card_system: Some(new.card_system),
                social_tariff_ends: new.social_tariff_ends.map(|day| day.to_string()),
                paid: Some(new.paid),
                ..Wire::of_kind(0)
            },
            Self::LinkChip { number, chip } => Wire {
                number: Some(number.to_string()),
                chip: Some(chip.to_string()),
                ..Wire::of_kind(1)
            },
            Self::ReportLost { card } => Wire { card: Some(card.to_string()), ..Wire::of_kind(2) },
            Self::Replace { old, new, chip } => Wire {
                card: Some(old.to_string()),
                number: Some(new.to_string()),
                chip: chip.map(|chip| chip.to_string()),
                ..Wire::of_kind(3)
            },
        }
    }

    fn of_wire(wire: Wire) -> Option<Self> {
        let Wire { number, chip, card, .. } = &wire;
        let number = || number.as_deref()?.parse().ok();
        let card = || card.as_deref()?.parse().ok();
        let chip = match chip {
            Some(text) => Some(text.parse::<ChipNumber>().ok()?),
            None => None,
        };
        Some(match wire.kind {
            0 => Self::Register(Registration {
                number: number()?,
                chip,
                date_of_birth: wire.date_of_birth.as_deref()?.parse().ok()?,
                card_system: wire.card_system?,
                social_tariff_ends: match wire.social_tariff_ends.as_deref() {
                    Some(day) => Some(day.parse().ok()?),
                    None => None,
                },
                paid: wire.paid?,
                postal_code: wire.postal_code,
                name: wire.name?,
            }),
            1 => Self::LinkChip { number: number()?, chip: chip? },
            2 => Self::ReportLost { card: card()? },
            3 => Self::Replace { old: card()?, new: number()?, chip },
            _ => return None,
        })
    }
}

/// A request as the desk keeps and sends it.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealedRequest {
    /// Its name.
    #[n(0)]
    pub id: RequestId,
    /// HPKE's encapsulated key and the ciphertext behind it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for SealedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedRequest({}, {} bytes)", self.id, self.sealed.len())
    }
}

/// What the hub says to a request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RequestAnswer {
    /// Which.
    #[n(0)]
    pub id: RequestId,
    /// Nothing where it was done, else a sentence that says why not: without any personal data.
    #[n(1)]
    pub refused: Option<String>,
    /// The hub's number behind that commit.
    #[n(2)]
    pub number: Option<u64>,
}

/// The key pair to which requests are sealed. The hub holds it.
pub struct RequestKey(OpeningKey);

impl std::fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestKey(…)")
    }
}

impl RequestKey {
    /// The key pair of this seed of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(OpeningKey::from_seed(seed))
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.public()
    }

    /// Opens a request of the desk with this public key.
    ///
    /// # Errors
    /// [`RequestError::Sealed`], [`RequestError::Contents`].
    pub fn open(&self, request: &SealedRequest, desk: &[u8]) -> Result<Request, RequestError> {
        if request.sealed.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge);
        }
        let plain = self
            .0
            .open(CONTEXT, &bound_to(&request.id, desk), &request.sealed)
            .ok_or(RequestError::Sealed)?;
        let wire = minicbor::decode(&plain).map_err(|_| RequestError::Contents)?;
        Request::of_wire(wire).ok_or(RequestError::Contents)
    }
}

/// A request is sealed for its own name and desk: nobody can send another desk's as theirs.
fn bound_to(id: &RequestId, desk: &[u8]) -> Vec<u8> {
    [&id.0[..], desk].concat()
}

/// Seals a request to the hub's request key, for the desk with this public key.
///
/// # Errors
/// [`RequestError::Key`], [`RequestError::TooLarge`].
pub fn seal_request(
    request: &Request,
    id: RequestId,
    hub: &[u8; 32],
    desk: &[u8],
    random: &mut impl CryptoRng,
) -> Result<SealedRequest, RequestError> {
    let plain = minicbor::to_vec(request.to_wire()).map_err(|_| RequestError::TooLarge)?;
    let sealed =
        seal(hub, CONTEXT, &bound_to(&id, desk), &plain, random).ok_or(RequestError::Key)?;
    if sealed.len() > MAX_REQUEST_BYTES {
        return Err(RequestError::TooLarge);
    }
    Ok(SealedRequest { id, sealed })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn registration() -> Request {
        Request::Register(Registration {
            number: "0900000020405".parse().unwrap(),
            chip: Some("047E2EEA053B80".parse().unwrap()),
            name: "Fien Fictief".to_owned(),
            date_of_birth: "2010-02-28".parse().unwrap(),
            postal_code: Some("9000".to_owned()),
            card_system: CardSystemId(1),
            social_tariff_ends: None,
            paid: Cents(200),
        })
    }

    fn requests() -> Vec<Request> {
        let (number, chip) = ("0900000020405".parse().unwrap(), "047E2EEA053B80".parse().unwrap());
        let card: Identification = "0900000095902".parse().unwrap();
        vec![
            registration(),
            Request::LinkChip { number, chip },
            Request::ReportLost { card: card.clone() },
            Request::Replace { old: card, new: number, chip: Some(chip) },
        ]
    }

    fn sealed(request: &Request, key: &RequestKey) -> SealedRequest {
        let mut random = ChaCha20Rng::seed_from_u64(1);
        let id = RequestId([7; 16]);
        seal_request(request, id, &key.public_key(), b"desk 1", &mut random).unwrap()
    }

    #[test]
    fn the_hub_opens_what_a_desk_sealed_and_nobody_else_does() {
        let key = RequestKey::from_seed(&[1; 32]);
        for request in requests() {
            let sealed = sealed(&request, &key);
            assert!(key.open(&sealed, b"desk 1").unwrap() == request);
            let other = RequestKey::from_seed(&[2; 32]);
            assert_eq!(other.open(&sealed, b"desk 1"), Err(RequestError::Sealed));
            assert_eq!(key.open(&sealed, b"desk 2"), Err(RequestError::Sealed), "another desk");
            let renamed = SealedRequest { id: RequestId([8; 16]), ..sealed };
            assert_eq!(key.open(&renamed, b"desk 1"), Err(RequestError::Sealed), "another name");
        }
    }

    /// Invariant 8.
    #[test]
    fn nothing_of_a_holder_shows_in_what_is_kept_sent_or_logged() {
        let key = RequestKey::from_seed(&[1; 32]);
        let request = registration();
        let sealed = sealed(&request, &key);
        let holds = |text: &str| sealed.sealed.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(!holds("Fien") && !holds("0900000020405"));
        let shown = format!("{request:?} {sealed:?} {key:?}");
        assert!(!shown.contains("Fien") && !shown.contains("20405"), "{shown}");
    }

    #[test]
    fn a_changed_or_cut_request_is_refused() {
        let key = RequestKey::from_seed(&[1; 32]);
        let whole = sealed(&registration(), &key);
        for place in 0..whole.sealed.len() {
            let mut changed = whole.clone();
            changed.sealed[place] ^= 1;
            assert!(key.open(&changed, b"desk 1").is_err(), "byte {place}");
            changed.sealed.truncate(place);
            assert!(key.open(&changed, b"desk 1").is_err(), "cut at {place}");
        }
        let long = Request::Register(match registration() {
            Request::Register(it) => Registration { name: "x".repeat(5000), ..it },
            _ => unreachable!("it is one"),
        });
        let mut random = ChaCha20Rng::seed_from_u64(1);
        let id = RequestId([7; 16]);
        let refused = seal_request(&long, id, &key.public_key(), b"desk 1", &mut random);
        assert_eq!(refused, Err(RequestError::TooLarge));
    }

    #[test]
    fn a_requests_name_survives_its_text() {
        let id = RequestId([0xab; 16]);
        assert_eq!(id.to_string().parse::<RequestId>().unwrap(), id);
        assert!("ab".parse::<RequestId>().is_err());
    }
}
