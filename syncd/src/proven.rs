//! What proves a small file whole, of those that are written at once: the first eight bytes of the SHA-256 of its contents, behind them. A flipped bit, a
//! number cut short and half a file do not prove themselves, and are not believed.

use ring::digest::{SHA256, digest};

/// Bytes of the proof.
const PROOF_BYTES: usize = 8;

fn proof_of(contents: &[u8]) -> [u8; PROOF_BYTES] {
    let mut proof = [0; PROOF_BYTES];
    proof.copy_from_slice(&digest(&SHA256, contents).as_ref()[..PROOF_BYTES]);
    proof
}

/// The contents with their proof.
pub(crate) fn prove(mut contents: Vec<u8>) -> Vec<u8> {
    let proof = proof_of(&contents);
    contents.extend_from_slice(&proof);
    contents
}

/// The contents of bytes that prove themselves.
pub(crate) fn proven(bytes: &[u8]) -> Option<&[u8]> {
    let (contents, proof) = bytes.split_last_chunk::<PROOF_BYTES>()?;
    (proof_of(contents) == *proof).then_some(contents)
}

#[cfg(test)]
pub(crate) mod damage {
    /// The same bytes with each of their bits flipped, one at a time; and each of their beginnings.
    pub fn each_of(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let flipped = (0..bytes.len() * 8).map(|bit| {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged
        });
        flipped.chain((0..bytes.len()).map(|length| bytes[..length].to_vec()))
    }
}
