//! The sealed part of a pass record: who its holder is, in bytes that only a card of the pass opens.
//!
//! Name and date of birth, and apart from them the picture, are encrypted (XChaCha20-Poly1305) under
//! a key of the pass's own, the [`ContentKey`]. That key lies in the record once for each card, in a
//! [`Lock`]: encrypted under what Argon2id makes of the card's number and the look-up key. So a desk
//! reads them while the card is on the reader or its number is typed, and at no other time
//! (invariant 8). `docs/privacy.md` works out what a guess costs, and what this does not protect from.
//!
//! [`SealedHolder::unlock`] is slow on purpose: it belongs behind the verdict, never before it.
//!
//! What is secret here is overwritten when it is dropped, shows nothing in `Debug`, and cannot be
//! cloned. Nothing here keeps a holder: whoever opened one drops it when it leaves the screen.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use jiff::civil::Date;
use minicbor::{Decode, Encode};
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing, optimization_barrier};

use crate::catalogue::{CardName, LookupKey};
use crate::ids::{Identification, PassId};
use crate::time::{date_of_day_number, day_number};

/// A name at the most, in bytes of UTF-8: 66 letters of an alphabet that takes three bytes each.
pub const MAX_NAME_BYTES: usize = 200;

/// A picture at the most. A portrait of 480 by 640 pixels takes 20 to 45 KiB as JPEG, and no console
/// shows more of it. Sealed, nine of the largest fit a page of the catalogue.
pub const MAX_PICTURE_BYTES: usize = 48 * 1024;

/// Locks of one pass at the most: chip and printed number of a card and of three before it. A record
/// with as many still stays under the store's 4 KiB.
pub const MAX_LOCKS: usize = 8;

/// A nonce of XChaCha20-Poly1305: long enough to be drawn at random without fear of a repetition.
pub const NONCE_BYTES: usize = 24;

const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// Details are padded to this length, one for everybody, so that the length of a name shows nothing.
/// The longest name and a date take 208 bytes; the rest is for later fields.
const DETAILS_ROOM: usize = 256;

/// A picture is padded to a multiple of this, so that its file's length does not tell whose it is.
const PICTURE_STEP: usize = 4 * 1024;

/// In front of a picture stands its length, big-endian.
const LENGTH_BYTES: usize = 4;

const JPEG_BEGINS: &[u8] = &[0xff, 0xd8, 0xff];
const PNG_BEGINS: &[u8] = b"\x89PNG\r\n\x1a\n";

const SEALED_DETAILS_BYTES: usize = NONCE_BYTES + DETAILS_ROOM + TAG_BYTES;
const WRAPPED_KEY_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const MAX_SEALED_PICTURE_BYTES: usize =
    NONCE_BYTES + (LENGTH_BYTES + MAX_PICTURE_BYTES).next_multiple_of(PICTURE_STEP) + TAG_BYTES;

/// What every key and every associated data begins with: the format's version. It begins with a
/// letter, and what a card is looked up by with its kind (0 to 3): the two never meet.
const FORMAT: &[u8; 16] = b"stempel holder 1";

/// Why something does not go into a sealed holder. It never repeats what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HolderError {
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("a name has at most {MAX_NAME_BYTES} bytes, this has {bytes}")]
    NameTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The picture is larger than [`MAX_PICTURE_BYTES`].
    #[error("a picture has at most {MAX_PICTURE_BYTES} bytes, this has {bytes}")]
    PictureTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It is neither a JPEG nor a PNG file.
    #[error("a picture is a JPEG or a PNG file")]
    PictureFormat,
}

/// A holder's name and date of birth.
#[derive(PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Details {
    name: String,
    /// As days since 1970-01-01: a number can be overwritten.
    born: Option<i32>,
}

impl Details {
    /// The details of somebody.
    ///
    /// # Errors
    /// [`HolderError::NameTooLong`].
    pub fn new(name: String, date_of_birth: Option<Date>) -> Result<Self, HolderError> {
        let details = Self { name, born: date_of_birth.map(day_number) };
        match details.name.len() {
            ..=MAX_NAME_BYTES => Ok(details),
            bytes => Err(HolderError::NameTooLong { bytes }),
        }
    }

    /// The name, as people say it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The date of birth, where it is known.
    pub fn date_of_birth(&self) -> Option<Date> {
        self.born.and_then(date_of_day_number)
    }
}

/// A holder's picture: an image file of a bounded size.
#[derive(PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Picture(Vec<u8>);

impl Picture {
    /// The picture in this image file. Only its first bytes are looked at.
    ///
    /// # Errors
    /// [`HolderError::PictureTooLarge`], [`HolderError::PictureFormat`].
    pub fn from_file(bytes: Vec<u8>) -> Result<Self, HolderError> {
        let picture = Self(bytes);
        if picture.0.len() > MAX_PICTURE_BYTES {
            return Err(HolderError::PictureTooLarge { bytes: picture.0.len() });
        }
        let kinds: [&[u8]; 2] = [JPEG_BEGINS, PNG_BEGINS];
        if !kinds.iter().any(|begins| picture.0.starts_with(begins)) {
            return Err(HolderError::PictureFormat);
        }
        Ok(picture)
    }

    /// The image file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Who holds a pass.
#[derive(PartialEq, Eq)]
pub struct Holder {
    /// Name and date of birth.
    pub details: Details,
    /// The picture, where the programme has one.
    pub picture: Option<Picture>,
}

/// Its parts overwrite themselves.
impl ZeroizeOnDrop for Holder {}

/// The key of one pass's sealed part: 32 random bytes.
#[derive(PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ContentKey([u8; KEY_BYTES]);

impl ContentKey {
    /// The key that these random bytes are. A pass gets new ones whenever its holder is sealed anew
    /// after the loss of a card, for an old copy of the record still opens with the lost card.
    pub fn new(random: [u8; KEY_BYTES]) -> Self {
        Self(random)
    }
}

/// What a card is to a sealed holder: the name under which its lock lies, and the secret that opens
/// the lock. It takes the look-up key as well as the card's number, so that sealed records are worth
/// nothing to whoever has them without that key, however few numbers there are to try.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct CardSecret {
    #[zeroize(skip)]
    name: CardName,
    secret: [u8; KEY_BYTES],
}

impl CardSecret {
    /// The secret of this card. This is the fast half, one HMAC.
    pub fn of(card: &Identification, lookup: &LookupKey) -> Self {
        // HMAC pads a key with zeros to its block: so it is a key of the length that cannot fail.
        let mut block = Zeroizing::new([0; 64]);
        block[..lookup.0.len()].copy_from_slice(&lookup.0);
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(FORMAT);
        // A card's text tells its kind: no two kinds have one in common.
        mac.update(Zeroizing::new(card.to_string()).as_bytes());
        Self { name: CardName(lookup.card_key(card)), secret: mac.finalize().into_bytes().into() }
    }

    /// The card's name in the catalogue.
    pub fn name(&self) -> CardName {
        self.name
    }

    /// The key of this card's lock. This is the slow half.
    fn lock_key(&self, cost: Cost) -> Result<Zeroizing<[u8; KEY_BYTES]>, CostRefused> {
        let params = cost.params()?;
        let mut memory = vec![Block::new(); params.block_count()];
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                &self.secret,
                &self.name.0,
                key.as_mut_slice(),
                &mut memory,
            );
        // The key follows from this memory. `zeroize` goes over it word by word, and takes 3 ms more.
        memory.fill(Block::new());
        optimization_barrier(memory.as_slice());
        derived.map_err(|_| cost.refused())?;
        Ok(key)
    }
}

/// What one guess costs: Argon2id's memory and its passes over it, in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// In KiB.
    pub memory_kib: u32,
    /// How often it is gone over.
    pub passes: u32,
}

/// A cost that this desk does not pay, or that Argon2id does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a lock that costs {memory_kib} KiB and {passes} passes is refused")]
pub struct CostRefused {
    /// The memory that was asked for, in KiB.
    pub memory_kib: u32,
    /// The passes that were asked for.
    pub passes: u32,
}

impl Cost {
    /// What the hub seals at. Measured (`docs/privacy.md`): 42 ms on the two-core machine that the
    /// project measures on, so that with everything around it a tap stays under 60 ms. Not less than
    /// 32 MiB: so much glibc takes from the system and gives back, while 60 taps at 24 MiB left
    /// 174 MiB with the process. Not more: a desk's daemon has 96 MiB in all.
    pub const STANDARD: Self = Self { memory_kib: 32 * 1024, passes: 2 };

    /// Memory of a lock at the most, in KiB: a hostile catalogue must not make a desk take
    /// gigabytes. It leaves room to raise [`Cost::STANDARD`] while older desks are about.
    pub const MOST_MEMORY_KIB: u32 = 64 * 1024;

    /// Passes at the most. Both limits together are a third of a second.
    pub const MOST_PASSES: u32 = 8;

    fn refused(self) -> CostRefused {
        CostRefused { memory_kib: self.memory_kib, passes: self.passes }
    }

    fn params(self) -> Result<Params, CostRefused> {
        if self.memory_kib > Self::MOST_MEMORY_KIB || self.passes > Self::MOST_PASSES {
            return Err(self.refused());
        }
        Params::new(self.memory_kib, self.passes, 1, Some(KEY_BYTES)).map_err(|_| self.refused())
    }
}

/// The content key, locked for one card.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Lock {
    /// The card's name in the catalogue; it is the salt too, so no two locks share a guess.
    #[n(0)]
    pub card: CardName,
    /// Nonce, encrypted content key, tag.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub wrapped: [u8; WRAPPED_KEY_BYTES],
    /// [`Cost::memory_kib`].
    #[n(2)]
    pub memory_kib: u32,
    /// [`Cost::passes`].
    #[n(3)]
    pub passes: u32,
}

/// A holder as it lies in a catalogue. Of the holder it shows whether there is a picture and how
/// large that is, in steps of 4 KiB; nothing else.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealedHolder {
    /// Nonce, encrypted and padded [`Details`], tag: of one length for everybody.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub details: [u8; SEALED_DETAILS_BYTES],
    /// Nonce, encrypted and padded [`Picture`], tag. Too large for the store of records: whoever
    /// keeps it elsewhere takes it out of here and opens it with [`open_picture`].
    #[cbor(n(1), with = "minicbor::bytes")]
    pub picture: Option<Vec<u8>>,
    /// One for each card that opens it.
    #[n(2)]
    pub locks: Vec<Lock>,
}

/// One encrypted part. Each is bound to its pass and to which it is, so that none can be put in the
/// place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Name and date of birth.
    Details,
    /// The picture.
    Picture,
    /// The content key in a lock.
    Lock,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Details => "name and date of birth",
            Self::Picture => "picture",
            Self::Lock => "lock",
        })
    }
}

impl Part {
    /// The associated data: the format's version, which part, whose.
    fn of(self, pass: PassId) -> [u8; 25] {
        let mut bound = [0; 25];
        bound[..16].copy_from_slice(FORMAT);
        bound[16] = match self {
            Self::Details => 0,
            Self::Picture => 1,
            Self::Lock => 2,
        };
        bound[17..].copy_from_slice(&pass.0.to_be_bytes());
        bound
    }
}

/// Why a holder cannot be sealed, or a lock not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// Nobody could ever open it.
    #[error("a holder is sealed for at least one card")]
    NoCard,
    /// There are [`MAX_LOCKS`] already.
    #[error("a pass has at most {MAX_LOCKS} locks")]
    TooManyLocks,
    /// Such a lock would be refused wherever it is read.
    #[error(transparent)]
    Cost(#[from] CostRefused),
    /// The key is not the one that this holder is sealed under.
    #[error("this is another pass's key")]
    OtherKey,
    /// The cipher took it for too long, which nothing here is.
    #[error("the cipher refuses")]
    Cipher,
}

/// Why a sealed holder does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It has no lock for this card: another pass's, or one that was replaced.
    #[error("this card opens nothing here")]
    NoLock,
    /// The lock asks for too much.
    #[error(transparent)]
    Cost(#[from] CostRefused),
    /// It was sealed for another pass, or by another hub, or is damaged.
    #[error("the {part} does not open: it is damaged, or of another pass")]
    Damaged {
        /// Which part.
        part: Part,
    },
    /// The sealed picture is larger than any can be.
    #[error("a sealed picture of {bytes} bytes is too large")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It opened, and is not what it should be: a newer or a faulty hub sealed it.
    #[error("the {part} opened, and cannot be read")]
    Malformed {
        /// Which part.
        part: Part,
    },
}

/// What [`Details`] are before they are encrypted.
#[derive(Encode, Decode)]
struct DetailsFields<'a> {
    #[b(0)]
    name: &'a str,
    #[n(1)]
    born: Option<i32>,
}

/// Seals a holder for these cards. `nonces` gives random bytes, new ones at every call.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    holder: &Holder,
    pass: PassId,
    key: &ContentKey,
    cards: &[CardSecret],
    cost: Cost,
    nonces: &mut impl FnMut() -> [u8; NONCE_BYTES],
) -> Result<SealedHolder, SealError> {
    if cards.is_empty() {
        return Err(SealError::NoCard);
    }
    let mut details = [0; SEALED_DETAILS_BYTES];
    let fields = DetailsFields { name: &holder.details.name, born: holder.details.born };
    minicbor::encode(fields, &mut details[NONCE_BYTES..][..DETAILS_ROOM])
        .map_err(|_| SealError::Cipher)?;
    encrypt(&mut details, &key.0, nonces(), &Part::Details.of(pass))?;

    let picture = holder.picture.as_ref().map(|picture| sealed_picture(picture, pass, key, nonces));
    let mut sealed = SealedHolder { details, picture: picture.transpose()?, locks: Vec::new() };
    for card in cards {
        sealed.add_lock(pass, key, card, cost, nonces)?;
    }
    Ok(sealed)
}

fn sealed_picture(
    picture: &Picture,
    pass: PassId,
    key: &ContentKey,
    nonces: &mut impl FnMut() -> [u8; NONCE_BYTES],
) -> Result<Vec<u8>, SealError> {
    let length = u32::try_from(picture.0.len()).map_err(|_| SealError::Cipher)?.to_be_bytes();
    let filled = NONCE_BYTES + LENGTH_BYTES + picture.0.len();
    let room = (LENGTH_BYTES + picture.0.len()).next_multiple_of(PICTURE_STEP);
    let mut sealed = vec![0; NONCE_BYTES + room + TAG_BYTES];
    sealed[NONCE_BYTES..][..LENGTH_BYTES].copy_from_slice(&length);
    sealed[NONCE_BYTES + LENGTH_BYTES..filled].copy_from_slice(&picture.0);
    encrypt(&mut sealed, &key.0, nonces(), &Part::Picture.of(pass))?;
    Ok(sealed)
}

/// Opens a sealed picture that is kept apart from its record.
///
/// # Errors
/// [`OpenError`].
pub fn open_picture(sealed: &[u8], pass: PassId, key: &ContentKey) -> Result<Picture, OpenError> {
    let part = Part::Picture;
    if sealed.len() > MAX_SEALED_PICTURE_BYTES {
        return Err(OpenError::TooLarge { bytes: sealed.len() });
    }
    let plain = decrypt(sealed, &key.0, part, pass)?;
    let malformed = OpenError::Malformed { part };
    let (length, padded) = plain.split_first_chunk::<LENGTH_BYTES>().ok_or(malformed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| malformed)?;
    let file = padded.get(..length).ok_or(malformed)?;
    Picture::from_file(file.to_vec()).map_err(|_| malformed)
}

impl SealedHolder {
    /// The content key, by means of one of the pass's cards: once for a tap, and slow (see [`Cost`]).
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn unlock(&self, pass: PassId, card: &CardSecret) -> Result<ContentKey, OpenError> {
        let part = Part::Lock;
        let lock =
            self.locks.iter().find(|lock| lock.card == card.name).ok_or(OpenError::NoLock)?;
        let lock_key = card.lock_key(lock.cost())?;
        let plain = decrypt(&lock.wrapped, &lock_key, part, pass)?;
        plain.as_slice().try_into().map(ContentKey).map_err(|_| OpenError::Malformed { part })
    }

    /// Name and date of birth.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn details(&self, pass: PassId, key: &ContentKey) -> Result<Details, OpenError> {
        let part = Part::Details;
        let plain = decrypt(&self.details, &key.0, part, pass)?;
        let malformed = OpenError::Malformed { part };
        let fields: DetailsFields = minicbor::decode(&plain).map_err(|_| malformed)?;
        let born = fields.born.map(|born| date_of_day_number(born).ok_or(malformed)).transpose()?;
        Details::new(fields.name.to_owned(), born).map_err(|_| malformed)
    }

    /// The picture, where there is one in the record.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn picture(&self, pass: PassId, key: &ContentKey) -> Result<Option<Picture>, OpenError> {
        self.picture.as_deref().map(|sealed| open_picture(sealed, pass, key)).transpose()
    }

    /// All of it at once.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, pass: PassId, card: &CardSecret) -> Result<Holder, OpenError> {
        let key = self.unlock(pass, card)?;
        Ok(Holder { details: self.details(pass, &key)?, picture: self.picture(pass, &key)? })
    }

    /// Adds a lock for this card, or makes the one that it has anew.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn add_lock(
        &mut self,
        pass: PassId,
        key: &ContentKey,
        card: &CardSecret,
        cost: Cost,
        nonces: &mut impl FnMut() -> [u8; NONCE_BYTES],
    ) -> Result<(), SealError> {
        self.details(pass, key).map_err(|_| SealError::OtherKey)?;
        let others = self.locks.iter().filter(|lock| lock.card != card.name).count();
        if others >= MAX_LOCKS {
            return Err(SealError::TooManyLocks);
        }
        let lock_key = card.lock_key(cost)?;
        let mut wrapped = [0; WRAPPED_KEY_BYTES];
        wrapped[NONCE_BYTES..][..KEY_BYTES].copy_from_slice(&key.0);
        encrypt(&mut wrapped, &lock_key, nonces(), &Part::Lock.of(pass))?;
        self.remove_lock(&card.name);
        let Cost { memory_kib, passes } = cost;
        self.locks.push(Lock { card: card.name, wrapped, memory_kib, passes });
        Ok(())
    }

    /// Removes the lock of a card that was lost or replaced, and says whether there was one. Copies
    /// of the record from before still open with that card: after a loss, seal anew under a new key.
    pub fn remove_lock(&mut self, card: &CardName) -> bool {
        let before = self.locks.len();
        self.locks.retain(|lock| lock.card != *card);
        self.locks.len() < before
    }
}

impl Lock {
    /// What opening it costs.
    pub fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes }
    }
}

/// Encrypts in place what stands between the room for the nonce and the room for the tag.
fn encrypt(
    blob: &mut [u8],
    key: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    bound_to: &[u8],
) -> Result<(), SealError> {
    let (front, rest) = blob.split_first_chunk_mut().ok_or(SealError::Cipher)?;
    let (text, tag) = rest.split_last_chunk_mut().ok_or(SealError::Cipher)?;
    *front = nonce;
    *tag = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&nonce.into(), bound_to, text.into())
        .map_err(|_| SealError::Cipher)?
        .into();
    Ok(())
}

/// The text of a nonce, a ciphertext and a tag.
fn decrypt(
    blob: &[u8],
    key: &[u8; KEY_BYTES],
    part: Part,
    pass: PassId,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let damaged = OpenError::Damaged { part };
    let (nonce, rest) = blob.split_first_chunk::<NONCE_BYTES>().ok_or(damaged)?;
    let (text, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(damaged)?;
    let mut text = Zeroizing::new(text.to_vec());
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(
            nonce.into(),
            &part.of(pass),
            text.as_mut_slice().into(),
            tag.into(),
        )
        .map_err(|_| damaged)?;
    Ok(text)
}

/// Nothing of these goes to a log, not even how long it is.
macro_rules! shows_nothing {
    ($($type:ident),+) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    )+};
}

shows_nothing!(Details, Picture, Holder, ContentKey, CardSecret, Lock, SealedHolder);

#[cfg(test)]
mod tests;
