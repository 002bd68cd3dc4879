//! Walking an Automerge file chunk by chunk, without trusting it: magic, checksum, type, length.
//!
//! A chunk is `85 6f 4a 83`, four bytes of checksum, one byte of type, the length as unsigned
//! LEB128, and the contents; the checksum is the first four bytes of the SHA-256 of type, length
//! and contents (Automerge binary format, "chunk container"). `Automerge::load_incremental` is not
//! relied upon: on a document that is not empty it answers `Ok` for a torn tail.

use std::ops::Range;

use sha2::{Digest, Sha256};

/// The first bytes of every chunk.
pub const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// A chunk's contents at the most: a compacted day of 100,000 entries has some 2 MiB.
pub const MAX_CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    /// A whole document: what compaction leaves.
    Document,
    /// One change.
    Change,
    /// Any other kind. Stempel writes none.
    Other(u8),
}

/// One chunk that is whole and whose checksum fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it stands, header included.
    pub range: Range<usize>,
    /// What it holds.
    pub kind: ChunkKind,
}

/// How a file's bytes end, or where they go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// At the end of a chunk.
    Whole,
    /// In a chunk that was not written to its end: nothing whole stands behind it.
    Torn {
        /// Where the torn chunk begins: cut here.
        at: usize,
    },
    /// Bytes in the middle that are no chunk, with whole chunks behind them.
    Damaged {
        /// Where the damage begins.
        at: usize,
    },
}

/// What a walk over a file's bytes found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The whole chunks before the ending.
    pub chunks: Vec<Chunk>,
    /// How it ended.
    pub ending: Ending,
}

/// Walks the chunks of a file.
pub fn walk(bytes: &[u8]) -> Walk {
    let mut chunks = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let Some(chunk) = chunk_at(bytes, at) else {
            let damaged = has_whole_chunk_behind(bytes, at + 1);
            let ending = if damaged { Ending::Damaged { at } } else { Ending::Torn { at } };
            return Walk { chunks, ending };
        };
        at = chunk.range.end;
        chunks.push(chunk);
    }
    Walk { chunks, ending: Ending::Whole }
}

/// Bytes of a chunk that is mended at the most: a canonical change has some 150, and at most 512. Each of its bits is
/// tried, and each try is one hash over it.
const MAX_MENDED_BYTES: usize = 1024;

/// Places of one file that are mended at the most: beyond that it is no flipped bit but a broken disk, and each place
/// costs thousands of hashes.
const MOST_MENDED: usize = 64;

/// What can be got out of a damaged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage {
    /// All whole chunks in the file's order, also those behind damage, and those that were mended.
    pub chunks: Vec<Chunk>,
    /// How many chunks are whole again since one bit of them was put right.
    pub mended: usize,
    /// The bytes that are of no whole chunk.
    pub damaged: Vec<Range<usize>>,
}

/// Gets out of a damaged file whatever its checksums prove. A chunk in which a single bit is wrong is put right in
/// `bytes`: of all the chunks that differ from it in one bit, one at the most has a checksum that fits (another one
/// would fit by chance, once in some millions of damaged chunks; whoever takes the chunks sees then that they do not
/// chain).
pub fn salvage(bytes: &mut [u8]) -> Salvage {
    let mut found = Salvage { chunks: Vec::new(), mended: 0, damaged: Vec::new() };
    let (mut at, mut tried) = (0, 0);
    let mut damage: Option<usize> = None;
    while at < bytes.len() {
        let mut chunk = chunk_at(bytes, at);
        let may_begin =
            damage.is_none() || bytes.get(at..).is_some_and(|it| it.starts_with(&MAGIC));
        if chunk.is_none() && may_begin && tried < MOST_MENDED {
            tried += 1;
            chunk = mend(bytes, at);
            found.mended += usize::from(chunk.is_some());
        }
        if let Some(chunk) = chunk {
            found.damaged.extend(damage.take().map(|begun| begun..at));
            at = chunk.range.end;
            found.chunks.push(chunk);
        } else {
            damage.get_or_insert(at);
            let behind = bytes.get(at + 1..).unwrap_or_default();
            let next = behind.windows(MAGIC.len()).position(|it| it == MAGIC);
            at = next.map_or(bytes.len(), |step| at + 1 + step);
        }
    }
    found.damaged.extend(damage.map(|begun| begun..bytes.len()));
    found
}

/// Puts the one wrong bit of the chunk that begins here right, where there is one. Otherwise the bytes stay as they are.
fn mend(bytes: &mut [u8], at: usize) -> Option<Chunk> {
    // Magic, checksum, type and length first: a wrong length would say that the contents end elsewhere.
    let header = at..bytes.len().min(at + 12);
    let whole = declared_end(bytes, at).filter(|end| end - at <= MAX_MENDED_BYTES);
    for byte in header.start..whole.unwrap_or(header.end) {
        for bit in 0..8 {
            bytes[byte] ^= 1 << bit;
            let short = declared_end(bytes, at).is_some_and(|end| end - at <= MAX_MENDED_BYTES);
            if let Some(chunk) = short.then(|| chunk_at(bytes, at)).flatten() {
                return Some(chunk);
            }
            bytes[byte] ^= 1 << bit;
        }
    }
    None
}

/// Where the chunk that begins here ends, by what its header says, if it ends in these bytes.
pub fn declared_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (length, digits) = unsigned_leb128(bytes.get(start + 9..)?)?;
    start.checked_add(9 + digits)?.checked_add(length).filter(|end| *end <= bytes.len())
}

/// The whole chunk that begins here, if one does.
fn chunk_at(bytes: &[u8], start: usize) -> Option<Chunk> {
    let header = bytes.get(start..)?;
    let checksum = header.strip_prefix(&MAGIC)?.get(..4)?;
    let kind = *header.get(8)?;
    let (length, digits) = unsigned_leb128(header.get(9..)?)?;
    if length > MAX_CHUNK_BYTES {
        return None;
    }
    let end = start.checked_add(9 + digits)?.checked_add(length)?;
    let digest = Sha256::digest(bytes.get(start + 8..end)?);
    if digest.get(..4)? != checksum {
        return None;
    }
    let kind = match kind {
        0 => ChunkKind::Document,
        1 => ChunkKind::Change,
        other => ChunkKind::Other(other),
    };
    Some(Chunk { range: start..end, kind })
}

fn has_whole_chunk_behind(bytes: &[u8], from: usize) -> bool {
    let mut at = from;
    while let Some(step) =
        bytes.get(at..).and_then(|rest| rest.windows(MAGIC.len()).position(|w| w == MAGIC))
    {
        at += step;
        if chunk_at(bytes, at).is_some() {
            return true;
        }
        at += 1;
    }
    false
}

/// What a change chunk says of itself, read without trusting it and without Automerge, whose
/// `Change::decode` panics where an operation names an actor that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChangeParts<'a> {
    /// Its actor.
    pub actor: &'a [u8],
    /// Its sequence number.
    pub sequence: u64,
    /// The hashes of the changes before it, one behind the other.
    pub dependencies: &'a [u8],
    /// The values of its operations, one behind the other: the column `VALUE` of the format.
    pub values: &'a [u8],
}

/// The number of the column that holds the values' bytes.
const VALUE_COLUMN: usize = 0x57;

impl<'a> ChangeParts<'a> {
    /// The parts of the change whose chunk this is, if it is one whole chunk of a change that
    /// names no other actors. Neither its checksum nor its operations are looked at.
    pub fn of(chunk: &'a [u8]) -> Option<Self> {
        let mut rest = Reader(chunk.strip_prefix(&MAGIC)?.get(4..)?.strip_prefix(&[1])?);
        let contents = rest.number()?;
        if contents != rest.0.len() {
            return None;
        }
        let dependencies = rest.number()?;
        let dependencies = rest.take(dependencies.checked_mul(32)?)?;
        let length = rest.number()?;
        let actor = rest.take(length)?;
        let sequence = rest.number()? as u64;
        let (_first_operation, _time) = (rest.number()?, rest.number()?);
        let message = rest.number()?;
        rest.take(message)?;
        let (other_actors, columns) = (rest.number()?, rest.number()?);
        if other_actors != 0 {
            return None;
        }
        let (mut before, mut values) = (0usize, 0..0);
        for _ in 0..columns {
            let (column, length) = (rest.number()?, rest.number()?);
            let end = before.checked_add(length)?;
            if column == VALUE_COLUMN {
                values = before..end;
            }
            before = end;
        }
        Some(Self { actor, sequence, dependencies, values: rest.0.get(values)? })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        let (value, digits) = unsigned_leb128(self.0)?;
        self.take(digits).map(|_| value)
    }
}

/// The number and how many bytes it took.
fn unsigned_leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0usize;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, place + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(contents: &[u8]) -> Vec<u8> {
        let mut hashed = vec![1, u8::try_from(contents.len()).unwrap()];
        hashed.extend(contents);
        let digest = Sha256::digest(&hashed);
        [&MAGIC[..], &digest[..4], &hashed].concat()
    }

    #[test]
    fn a_file_cut_at_any_byte_is_torn_at_the_start_of_its_last_chunk() {
        let (first, second) = (chunk(b"first"), chunk(b"second"));
        let whole = [first.clone(), second].concat();
        assert_eq!(walk(&whole).ending, Ending::Whole);
        for cut in 1..whole.len() {
            let expected = if cut == first.len() {
                Ending::Whole
            } else {
                Ending::Torn { at: if cut < first.len() { 0 } else { first.len() } }
            };
            assert_eq!(walk(&whole[..cut]).ending, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_in_the_middle_is_damage() {
        let parts = [chunk(b"first"), chunk(b"second"), chunk(b"third")];
        let whole = parts.concat();
        for byte in parts[0].len()..parts[0].len() + parts[1].len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 0x10;
            let walk = walk(&damaged);
            assert_eq!(walk.ending, Ending::Damaged { at: parts[0].len() }, "byte {byte}");
            assert_eq!(walk.chunks.len(), 1);
        }
    }

    #[test]
    fn any_flipped_bit_is_put_right_and_a_hole_costs_what_stood_in_it() {
        let parts = [chunk(b"first"), chunk(b"second"), chunk(b"third")];
        let whole = parts.concat();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let found = salvage(&mut damaged);
            assert_eq!((found.chunks.len(), found.mended), (3, 1), "bit {bit}");
            assert!(found.damaged.is_empty() && damaged == whole, "bit {bit}");
        }
        let second = parts[0].len()..parts[0].len() + parts[1].len();
        for length in 2..=second.len() {
            let mut damaged = whole.clone();
            damaged[second.start..second.start + length].fill(0);
            let before = damaged.clone();
            let found = salvage(&mut damaged);
            assert_eq!((found.chunks.len(), found.mended), (2, 0), "{length} zeroes");
            assert_eq!((found.damaged, damaged), (vec![second.clone()], before));
        }
    }

    #[test]
    fn zeroes_behind_the_last_chunk_are_a_torn_tail() {
        let mut bytes = chunk(b"first");
        let end = bytes.len();
        bytes.extend([0; 100]);
        assert_eq!(walk(&bytes).ending, Ending::Torn { at: end });
    }
}
