//! The messages, as CBOR with integer keys. Whoever reads one passes over fields that it does not
//! know, so either side may be the newer one.

use crdt_model::catalogue::ItemName;
use crdt_model::ids::{RewardId, VenueId, Writer};
use crdt_model::stock::GrantedUnits;
use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::card_keys::SealedCardKeys;
use crate::notice::SignedNotice;
use crate::request::{RequestAnswer, SealedRequest};
pub use crate::seal::{Closing, Seal, Stated, StatedGrant};
use crate::version::{GoOn, Restored, Seen, Version};

/// The protocol's version. A hub answers another one with [`Goodbye`].
pub const PROTOCOL_VERSION: u16 = 1;

/// The ALPN name of the protocol in TLS.
pub const ALPN: &[u8] = b"stempel/1";

/// One list's position, as the two sides compare it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ListPosition {
    /// The ledger's local day, as days since 1970-01-01.
    #[n(0)]
    pub day: i32,
    /// The list.
    #[n(1)]
    pub writer: WriterBytes,
    /// How many entries.
    #[n(2)]
    pub sequence: u64,
    /// The first eight bytes of the last change's hash, big-endian.
    #[n(3)]
    pub head: u64,
}

/// A [`Writer`] as its 20 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct WriterBytes(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 20]);

impl From<Writer> for WriterBytes {
    fn from(writer: Writer) -> Self {
        Self(writer.to_bytes())
    }
}

impl WriterBytes {
    /// The writer.
    pub fn writer(&self) -> Writer {
        let (device, epoch) = self.0.split_at(16);
        let mut id = [0; 16];
        id.copy_from_slice(device);
        let epoch = u32::from_be_bytes([epoch[0], epoch[1], epoch[2], epoch[3]]);
        Writer { device: crdt_model::ids::DeviceId(id), epoch }
    }
}

/// The desk's first message, with its batches right behind it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    #[n(0)]
    pub protocol: u16,
    /// The desk's software version, for operators.
    #[n(1)]
    pub software: String,
    /// The desk's clock, in milliseconds since the epoch.
    #[n(2)]
    pub clock: i64,
    /// The catalogue that the desk has: everything up to this version.
    #[n(3)]
    pub catalogue_version: u64,
    /// The other desks' entries that it has: everything up to this version of the venue.
    #[n(4)]
    pub venue_version: u64,
    /// How many of its own entries the hub has acknowledged, over all ledgers: a hub that holds
    /// fewer was restored from a backup and asks for all positions.
    #[n(5)]
    pub acknowledged: u64,
    /// Its own lists that hold entries without an acknowledgement; the sequence is the acknowledged one.
    #[n(6)]
    pub pending: Vec<ListPosition>,
    /// The sealed parts of pass records that the desk has: everything up to this version.
    #[n(7)]
    pub holders_version: Option<u64>,
    /// The run of the desk's daemon: a random number of each start. Two runs of one device that live side by
    /// side are two copies of one desk. A desk that says it understands [`HubMessage::UsedTwice`].
    #[n(8)]
    pub run: Option<u32>,
    /// What it was told by this hub, in pairs of run and number. A desk that says it understands whatever the hub says
    /// of its runs ([`Welcome::run`], [`HubMessage::Run`], [`HubMessage::Notices`]).
    #[n(9)]
    pub seen: Option<Seen>,
    /// What the hub stated when it enrolled this desk: for a hub that was restored from a copy that is older.
    #[n(10)]
    pub enrolled: Option<SignedNotice>,
}

/// The hub's answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// [`PROTOCOL_VERSION`].
    #[n(0)]
    pub protocol: u16,
    /// The hub's clock, in milliseconds since the epoch.
    #[n(1)]
    pub clock: i64,
    /// For each list of [`Hello::pending`]: what the hub holds of it.
    #[n(2)]
    pub held: Vec<ListPosition>,
    /// The hub holds less than it acknowledged: the desk forgets its acknowledgements and sends
    /// [`DeskMessage::Positions`].
    #[n(3)]
    pub lost: bool,
    /// The catalogue's version at the hub.
    #[n(4)]
    pub catalogue_version: u64,
    /// The venue's version at the hub.
    #[n(5)]
    pub venue_version: u64,
    /// The venue's name, the desk's name: an operator may have changed them.
    #[n(6)]
    pub venue_name: String,
    /// The desk's name.
    #[n(7)]
    pub desk_name: String,
    /// The key to which requests are sealed ([`crate::request`]), where the hub takes any.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub request_key: Option<[u8; 32]>,
    /// The version of the card keys at the hub, where it has any: a desk that has others asks for them
    /// ([`DeskMessage::CardKeys`]). 0 where the hub does not know to which key they are to be sealed.
    #[n(9)]
    pub card_keys: Option<u64>,
    /// The hub answers [`DeskMessage::Beat`]. A hub of an earlier release says nothing of it, and is sent none: a
    /// kind of message that it does not know would end the session.
    #[n(10)]
    #[cbor(skip_if = "is_false")]
    pub beats: bool,
    /// The hub doubts its own clock: nobody is to go by it.
    #[n(11)]
    #[cbor(skip_if = "is_false")]
    pub clock_doubtful: bool,
    /// The hub's present run and where it begins. What this session tells is of this run, until [`HubMessage::Run`]
    /// says another one. Only said to a desk that told [`Hello::seen`], as are the two below.
    #[n(12)]
    pub run: Option<Version>,
    /// From which numbers the hub goes on. Where nothing is [`Welcome::restored`], the desk takes these as what it has.
    #[n(13)]
    pub go_on: Option<GoOn>,
    /// The hub's database is an older one than the desk was told of: the desk says again what is beyond, in the order
    /// that [`crate::desk`] gives, and ends it with the last [`DeskMessage::Again`].
    #[n(14)]
    pub restored: Option<Restored>,
}

/// What is false is not written, so that a message without it is what it was before there was such a field.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the derived code passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The desk asks whether the line carries both ways, and what the hub's clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DeskBeat {
    /// Counts up from 1 within a session.
    #[n(0)]
    pub number: u64,
    /// The desk's own clock as it stands, right or wrong, in milliseconds since the epoch: the hub notes how far it
    /// is off, for operators.
    #[n(1)]
    pub clock: i64,
}

/// The hub's answer to a [`DeskBeat`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HubBeat {
    /// The number that was asked. One that nobody asked is a sign of life of a hub that cannot answer yet.
    #[n(0)]
    pub number: u64,
    /// The hub's clock, in milliseconds since the epoch.
    #[n(1)]
    pub clock: i64,
    /// The hub doubts its own clock: nobody is to go by it.
    #[n(2)]
    #[cbor(skip_if = "is_false")]
    pub clock_doubtful: bool,
}

/// Entries of one list, in order, with their writer's seal over the last of them.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Batch {
    /// The ledger's local day, as days since 1970-01-01.
    #[n(0)]
    pub day: i32,
    /// The list.
    #[n(1)]
    pub writer: WriterBytes,
    /// The sequence number of the first entry, from 1.
    #[n(2)]
    pub first: u64,
    /// The entries: [`crate::batch::pack`].
    #[cbor(n(3), with = "minicbor::bytes")]
    pub entries: Vec<u8>,
    /// Its device's signature over the list as far as this batch goes.
    #[n(4)]
    pub seal: Seal,
    /// The writer's public key (Ed25519, 32 bytes), which its device id is made of.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub public_key: Vec<u8>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { day, writer, first, entries, .. } = self;
        write!(
            f,
            "Batch {{ day {day}, {}, from {first}, {} bytes }}",
            writer.writer(),
            entries.len()
        )
    }
}

/// The hub's commit holds this list up to here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ack {
    /// The ledger's local day, as days since 1970-01-01.
    #[n(0)]
    pub day: i32,
    /// The list.
    #[n(1)]
    pub writer: WriterBytes,
    /// How many entries the hub holds.
    #[n(2)]
    pub sequence: u64,
    /// The hub's number behind that commit.
    #[n(3)]
    pub number: Option<u64>,
}

/// The hub set a batch apart: it is kept for an operator, and merged never.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Quarantined {
    /// The ledger's local day, as days since 1970-01-01.
    #[n(0)]
    pub day: i32,
    /// The list.
    #[n(1)]
    pub writer: WriterBytes,
    /// From which entry on.
    #[n(2)]
    pub first: u64,
    /// Why.
    #[n(3)]
    pub reason: String,
}

/// The hub lacks what stands before a batch: send again from there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Resend {
    /// The ledger's local day, as days since 1970-01-01.
    #[n(0)]
    pub day: i32,
    /// The list.
    #[n(1)]
    pub writer: WriterBytes,
    /// How many entries the hub holds.
    #[n(2)]
    pub held: u64,
}

/// A page of the catalogue: numbered changes, applied whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CataloguePage {
    /// The page holds all changes behind this version (of those that reach this venue) …
    #[n(0)]
    pub from: u64,
    /// … up to this one. A page of the deny list repeats `from` here: it moves nothing.
    #[n(1)]
    pub to: u64,
    /// Whether nothing stands behind it now.
    #[n(2)]
    pub last: bool,
    /// The items: [`crate::catalogue::pack`].
    #[cbor(n(3), with = "minicbor::bytes")]
    pub items: Vec<u8>,
    /// The highest number that may stand in a page that moves nothing: one of the deny list, or one that answers
    /// [`DeskMessage::Again`]. The desk keeps it with each item. In an ordinary page that number is [`Self::to`].
    #[n(4)]
    pub stamp: Option<u64>,
    /// All that [`DeskMessage::Again`] named has been told, and what was said before it has been taken up: the desk now
    /// has what the hub has up to [`Welcome::go_on`].
    #[n(5)]
    #[cbor(skip_if = "is_false")]
    pub again_done: bool,
}

impl CataloguePage {
    /// The highest number that may stand in it.
    pub fn stamp(&self) -> u64 {
        self.stamp.unwrap_or(self.to)
    }
}

/// Other desks' entries of the venue, and the version that the desk has with them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Share {
    /// The entries.
    #[n(0)]
    pub batch: Batch,
    /// The venue's version behind this batch.
    #[n(1)]
    pub venue_version: u64,
}

/// Why the hub ends a session. The desk does not send on; it says the sentence.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Goodbye {
    /// What kind.
    #[n(0)]
    pub kind: GoodbyeKind,
    /// A sentence for the people at the desk.
    #[n(1)]
    pub sentence: String,
}

/// Kinds of [`Goodbye`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum GoodbyeKind {
    /// The hub does not know this device, or has revoked it.
    #[n(0)]
    NotEnrolled,
    /// The hub speaks another version of the protocol.
    #[n(1)]
    Version,
    /// The invitation is wrong, was used, or has expired.
    #[n(2)]
    Invitation,
    /// What the desk sent cannot be read.
    #[n(3)]
    Malformed,
    /// The hub cannot store anything now, for its disk is full, read-only or fails. Nothing is lost: the desk
    /// keeps what it has recorded, and comes again.
    #[n(4)]
    CannotStore,
}

/// A new desk's first and only message: it shows its invitation.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Enrol {
    /// The invitation's one-time token.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub token: Vec<u8>,
    /// [`PROTOCOL_VERSION`].
    #[n(1)]
    pub protocol: u16,
}

impl std::fmt::Debug for Enrol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrol(…)")
    }
}

/// The hub's answer to [`Enrol`]: from now on both sides know each other's key.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Enrolled {
    /// The venue.
    #[n(0)]
    pub venue: VenueId,
    /// The venue's name, for people.
    #[n(1)]
    pub venue_name: String,
    /// The desk's name, for people.
    #[n(2)]
    pub desk_name: String,
    /// The venue's IANA time zone.
    #[n(3)]
    pub time_zone: String,
    /// The key under which cards are looked up ([`crdt_model::catalogue::LookupKey`]).
    #[cbor(n(4), with = "minicbor::bytes")]
    pub lookup_key: [u8; 32],
    /// The key to which requests are sealed ([`crate::request`]), where the hub takes any.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub request_key: Option<[u8; 32]>,
    /// That it was enrolled, as [`Hello::enrolled`] shows it: for a hub that is restored before this desk calls it.
    #[n(6)]
    pub notice: Option<SignedNotice>,
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrolled {{ venue {}, … }}", self.venue)
    }
}

/// A desk runs low on a limited reward and asks for units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Wanted {
    /// The reward.
    #[n(0)]
    pub reward: RewardId,
    /// How many units it would like.
    #[n(1)]
    pub units: u32,
    /// Somebody stands at the desk and wants one now: then the hub gives of its last ones, too.
    #[n(2)]
    pub now: bool,
}

/// Sealed parts of pass records: numbered changes of their own, sent behind everything else.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HoldersPage {
    /// Everything up to this version is here, with this page.
    #[n(0)]
    pub to: u64,
    /// The sealed parts.
    #[n(1)]
    pub holders: Vec<SealedPart>,
    /// In a page that answers [`DeskMessage::Again`] and so moves nothing: the highest number that may stand in it.
    #[n(2)]
    pub stamp: Option<u64>,
}

impl HoldersPage {
    /// The highest number that may stand in it.
    pub fn stamp(&self) -> u64 {
        self.stamp.unwrap_or(self.to)
    }
}

/// The sealed part of one pass's record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealedPart {
    /// The pass.
    #[n(0)]
    pub pass: crdt_model::ids::PassId,
    /// [`crdt_model::holder::SealedHolder`]; nothing where it is gone.
    #[n(1)]
    pub sealed: Option<crdt_model::holder::SealedHolder>,
}

/// What a desk says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DeskMessage {
    /// First, from an enrolled desk.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// First, from a new desk.
    #[n(1)]
    Enrol(#[n(0)] Enrol),
    /// Its entries.
    #[n(2)]
    Batch(#[n(0)] Batch),
    /// All its own lists with their heads: the answer to [`Welcome::lost`].
    #[n(3)]
    Positions(#[n(0)] Vec<ListPosition>),
    /// How far it has what the hub sends: catalogue version, venue version. For operators.
    #[n(4)]
    Have(#[n(0)] u64, #[n(1)] u64),
    /// A request about somebody's card, sealed. Sent again until it is answered.
    #[n(5)]
    Request(#[n(0)] SealedRequest),
    /// Units that it would like. The hub answers with [`HubMessage::Grants`].
    #[n(6)]
    Wanted(#[n(0)] Vec<Wanted>),
    /// A grant is given back. The hub answers with [`HubMessage::Grants`], which lacks it.
    #[n(7)]
    Closing(#[n(0)] Closing),
    /// The desk would like the card keys, sealed to this key. The hub answers with
    /// [`HubMessage::CardKeys`], now and whenever they change.
    #[n(8)]
    CardKeys(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]),
    /// Does the line carry both ways, and what time is it? Only said where [`Welcome::beats`]; the hub answers with
    /// [`HubMessage::Beat`] at once.
    #[n(9)]
    Beat(#[n(0)] DeskBeat),
    /// Notices of the hub that the desk keeps. This and the two below are only said where [`Welcome::restored`].
    #[n(10)]
    Notices(#[n(0)] Vec<SignedNotice>),
    /// The grants that the desk holds.
    #[n(11)]
    Stated(#[n(0)] Stated),
    /// Items of the catalogue that the desk took and the hub may have in another form by now, at most
    /// [`MOST_NAMES`] in one message; and whether these are the last.
    #[n(12)]
    Again(#[n(0)] Vec<ItemName>, #[n(1)] bool),
}

/// Names in one [`DeskMessage::Again`] at the most: as many as items of a page.
pub const MOST_NAMES: usize = 1000;

/// Lists in one [`DeskMessage::Positions`] at the most: some 160 KiB. More come in a second message.
pub const MOST_POSITIONS: usize = 4000;

/// What the hub says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum HubMessage {
    /// First, to an enrolled desk.
    #[n(0)]
    Welcome(#[n(0)] Welcome),
    /// First, to a new desk.
    #[n(1)]
    Enrolled(#[n(0)] Enrolled),
    /// After its commit.
    #[n(2)]
    Ack(#[n(0)] Ack),
    /// Something is kept apart.
    #[n(3)]
    Quarantined(#[n(0)] Quarantined),
    /// Something in between is lacking.
    #[n(4)]
    Resend(#[n(0)] Resend),
    /// What the hub holds of the lists in [`DeskMessage::Positions`].
    #[n(5)]
    Held(#[n(0)] Vec<ListPosition>),
    /// The catalogue.
    #[n(6)]
    Page(#[n(0)] CataloguePage),
    /// Other desks' entries.
    #[n(7)]
    Share(#[n(0)] Share),
    /// The end.
    #[n(8)]
    Goodbye(#[n(0)] Goodbye),
    /// The desk has everything of the venue up to this version: what came last was its own.
    #[n(9)]
    Advance(#[n(0)] u64),
    /// What became of a request.
    #[n(10)]
    Answered(#[n(0)] RequestAnswer),
    /// All units that the desk may hand out now: what is not in it, it no longer may. Where it answers
    /// [`DeskMessage::Wanted`]: the rewards of which somebody wants one now, and of which the hub has none left to give.
    /// Last the hub's number at that time.
    #[n(11)]
    Grants(#[n(0)] Vec<GrantedUnits>, #[n(1)] Option<Vec<RewardId>>, #[n(2)] Option<u64>),
    /// Sealed parts of pass records.
    #[n(12)]
    Holders(#[n(0)] HoldersPage),
    /// The card keys, sealed to this desk.
    #[n(13)]
    CardKeys(#[n(0)] SealedCardKeys),
    /// Whether another daemon uses this desk's key, too. Only said to a desk that told its [`Hello::run`].
    #[n(15)]
    UsedTwice(#[n(0)] bool),
    /// The answer to [`DeskMessage::Beat`], or a sign of life without a question.
    #[n(14)]
    Beat(#[n(0)] HubBeat),
    /// Another run of the hub's database was opened, and where it begins: what is numbered beyond that is of this run.
    /// Only said to a desk that told [`Hello::seen`].
    #[n(16)]
    Run(#[n(0)] Version),
    /// Notices that the desk is to keep, and the number up to which it has them now. Only said to a desk that told
    /// [`Hello::seen`].
    #[n(17)]
    Notices(#[n(0)] Vec<SignedNotice>, #[n(1)] u64),
}

/// Bytes that are not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a message of this protocol: {why}")]
pub struct MessageError {
    /// What the decoder met.
    pub why: String,
}

macro_rules! message_bytes {
    ($type:ty) => {
        impl $type {
            /// The message's bytes, without a frame.
            pub fn to_bytes(&self) -> Vec<u8> {
                minicbor::to_vec(self).unwrap_or_else(
                    |never: minicbor::encode::Error<std::convert::Infallible>| {
                        unreachable!("writing to memory does not fail: {never}")
                    },
                )
            }

            /// The message of these bytes.
            ///
            /// # Errors
            /// [`MessageError`].
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
                minicbor::decode(bytes).map_err(|error| MessageError { why: error.to_string() })
            }
        }
    };
}

message_bytes!(DeskMessage);
message_bytes!(HubMessage);
