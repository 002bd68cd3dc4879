//! What cards that take commands of ISO 7816-4 have in common: the shape of a command, the status at
//! the end of an answer, and a key in the card's memory.

use super::aes::{BLOCK, check_sum};

/// The end of an answer (ISO 7816-4; the codes 91xx are those of NT4H2421Gx rev 3.0 and of DESFire).
pub(super) mod status {
    /// Done (ISO).
    pub(crate) const DONE: u16 = 0x9000;
    /// Wrong length (ISO).
    pub(crate) const ISO_LENGTH: u16 = 0x6700;
    /// The security status does not allow it (ISO).
    pub(crate) const ISO_SECURITY: u16 = 0x6982;
    /// No such file or application (ISO).
    pub(crate) const ISO_NOT_FOUND: u16 = 0x6a82;
    /// Wrong parameters P1 and P2 (ISO).
    pub(crate) const ISO_PARAMETERS: u16 = 0x6a86;
    /// No such instruction (ISO).
    pub(crate) const ISO_INSTRUCTION: u16 = 0x6d00;
    /// No such class (ISO).
    pub(crate) const ISO_CLASS: u16 = 0x6e00;
    /// Done (native).
    pub(crate) const OK: u16 = 0x9100;
    /// More to come.
    pub(crate) const MORE: u16 = 0x91af;
    /// There is no such command, or not now.
    pub(crate) const ILLEGAL_COMMAND: u16 = 0x911c;
    /// A MAC, padding or check sum that does not hold.
    pub(crate) const INTEGRITY: u16 = 0x911e;
    /// There is no key of this number.
    pub(crate) const NO_SUCH_KEY: u16 = 0x9140;
    /// Wrong length.
    pub(crate) const LENGTH: u16 = 0x917e;
    /// Not permitted.
    pub(crate) const PERMISSION_DENIED: u16 = 0x919d;
    /// A parameter that is none.
    pub(crate) const PARAMETER: u16 = 0x919e;
    /// There is no application of this number.
    pub(crate) const NO_SUCH_APPLICATION: u16 = 0x91a0;
    /// Not authenticated, or not with the key that it takes.
    pub(crate) const AUTHENTICATION: u16 = 0x91ae;
    /// Beyond the end of the file.
    pub(crate) const BOUNDARY: u16 = 0x91be;
    /// Another command was not over yet, and is now given up.
    pub(crate) const ABORTED: u16 = 0x91ca;
    /// There is one of this number already.
    pub(crate) const DUPLICATE: u16 = 0x91de;
    /// There is no file of this number.
    pub(crate) const NO_SUCH_FILE: u16 = 0x91f0;
}

/// The class of native commands in the shape of ISO 7816-4.
pub(super) const NATIVE: u8 = 0x90;

/// The class of ISO 7816-4's own commands.
pub(super) const ISO: u8 = 0x00;

/// A command, short form (ISO 7816-4, 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Apdu<'a> {
    pub(super) class: u8,
    pub(super) instruction: u8,
    /// P1 and P2.
    pub(super) parameters: [u8; 2],
    pub(super) data: &'a [u8],
    /// Le: bytes of the answer at the most.
    pub(super) expected: usize,
}

impl<'a> Apdu<'a> {
    /// The command that these bytes are, if their lengths agree.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let ([class, instruction, p1, p2], rest) = bytes.split_first_chunk()?;
        let (data, expected) = match rest {
            [] => (&[][..], 0),
            [expected] => (&[][..], *expected),
            [length, rest @ ..] => {
                let (data, rest) = rest.split_at_checked(usize::from(*length))?;
                match rest {
                    [] => (data, 0),
                    [expected] => (data, *expected),
                    _ => return None,
                }
            }
        };
        // No Le and Le 0 both ask for whatever there is.
        let expected = if expected == 0 { 256 } else { usize::from(expected) };
        let (class, instruction) = (*class, *instruction);
        Some(Self { class, instruction, parameters: [*p1, *p2], data, expected })
    }
}

/// An answer: data and status.
pub(super) fn answer(data: &[u8], status: u16) -> Vec<u8> {
    [data, &status.to_be_bytes()].concat()
}

/// A key on a card and its version, which the card says to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StoredKey {
    pub(super) bytes: [u8; BLOCK],
    pub(super) version: u8,
}

impl StoredKey {
    /// The key that ChangeKey's decrypted data makes of this one (NT4H2421Gx rev 3.0, 10.6.1): the
    /// new key as it is where it is the key of the session, and else its difference to the old one
    /// and a check sum, for a mistake would close the card for ever.
    pub(super) fn changed(self, data: &[u8], is_of_the_session: bool) -> Result<Self, u16> {
        let (key, rest) = data.split_first_chunk::<BLOCK>().ok_or(status::LENGTH)?;
        match (is_of_the_session, rest) {
            (true, [version]) => Ok(Self { bytes: *key, version: *version }),
            (false, [version, sum @ ..]) if sum.len() == 4 => {
                let bytes = std::array::from_fn(|at| key[at] ^ self.bytes[at]);
                if check_sum(&bytes) != sum {
                    return Err(status::INTEGRITY);
                }
                Ok(Self { bytes, version: *version })
            }
            _ => Err(status::LENGTH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_all_four_cases_are_read_and_lengths_that_do_not_agree_are_not() {
        let parse = |bytes| {
            Apdu::parse(bytes).map(|apdu| (apdu.class, apdu.instruction, apdu.data, apdu.expected))
        };
        assert_eq!(parse(&[0, 0xb0, 0, 0]), Some((0, 0xb0, &[][..], 256)));
        assert_eq!(parse(&[0, 0xb0, 0, 0, 16]), Some((0, 0xb0, &[][..], 16)));
        assert_eq!(parse(&[0x90, 0x5a, 0, 0, 1, 7]), Some((0x90, 0x5a, &[7][..], 256)));
        assert_eq!(parse(&[0x90, 0x5a, 0, 0, 1, 7, 3]), Some((0x90, 0x5a, &[7][..], 3)));
        for bytes in [&[][..], &[0, 0xb0, 0], &[0, 0xa4, 0, 0, 2, 1], &[0, 0xa4, 0, 0, 1, 1, 0, 0]]
        {
            assert_eq!(parse(bytes), None, "{bytes:02X?}");
        }
    }

    #[test]
    fn a_key_is_changed_only_if_length_and_check_sum_are_right() {
        let old = StoredKey { bytes: [3; BLOCK], version: 0 };
        let (new, difference) = ([5; BLOCK], [6; BLOCK]);
        let changed = StoredKey { bytes: new, version: 9 };
        assert_eq!(old.changed(&[&new[..], &[9]].concat(), true), Ok(changed));
        let other = [&difference[..], &[9], &check_sum(&new)].concat();
        assert_eq!(old.changed(&other, false), Ok(changed));
        assert_eq!(old.changed(&other, true), Err(status::LENGTH));
        assert_eq!(old.changed(&other[..20], false), Err(status::LENGTH));
        let wrong = [&difference[..], &[9], &check_sum(&difference)].concat();
        assert_eq!(old.changed(&wrong, false), Err(status::INTEGRITY));
    }
}
