//! The Type 2 tags and where each has what.

use super::PAGE;

/// Where the keys of an Ultralight AES begin, four pages each, and which page locks them.
pub(super) const AES_KEYS: usize = 0x30;
pub(super) const AES_LOCK_KEYS: usize = 0x2d;

/// Which Type 2 tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// 144 bytes for the user.
    Ntag213,
    /// 504 bytes for the user.
    Ntag215,
    /// 888 bytes for the user.
    Ntag216,
    /// MF0UL11: 48 bytes for the user, and three counters.
    UltralightEv1,
    /// MF0AES20: 144 bytes for the user, and two AES keys.
    UltralightAes,
}

/// Where a tag has what. Numbers are those of pages.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) pages: u8,
    /// The dynamic lock bytes, and how many pages each of their bits locks, from page 16 on.
    pub(super) lock: Option<u8>,
    pub(super) pages_of_a_lock_bit: u8,
    /// The first of two pages of configuration.
    pub(super) configuration: u8,
    /// The first page that reads as zeros.
    pub(super) secret: u8,
    /// The password. Its acknowledgement (PACK) lies behind it.
    pub(super) password: Option<u8>,
    pub(super) version: [u8; 8],
    /// Bytes of NXP's signature.
    pub(super) signature: usize,
    /// Pages that the factory writes.
    pub(super) factory: &'static [(u8, [u8; PAGE])],
}

const NO_PASSWORD: [u8; PAGE] = [0xff; PAGE];

const NTAG_213: Layout = Layout {
    pages: 45,
    lock: Some(0x28),
    pages_of_a_lock_bit: 2,
    configuration: 0x29,
    secret: 0x2b,
    password: Some(0x2b),
    version: [0x00, 0x04, 0x04, 0x02, 0x01, 0x00, 0x0f, 0x03],
    signature: 32,
    factory: &[
        (0x03, [0xe1, 0x10, 0x12, 0x00]),
        (0x04, [0x01, 0x03, 0xa0, 0x0c]),
        (0x05, [0x34, 0x03, 0x00, 0xfe]),
        (0x28, [0, 0, 0, 0xbd]),
        (0x29, [0x04, 0, 0, 0xff]),
        (0x2a, [0x00, 0x05, 0, 0]),
        (0x2b, NO_PASSWORD),
    ],
};

const NTAG_215: Layout = Layout {
    pages: 135,
    lock: Some(0x82),
    pages_of_a_lock_bit: 16,
    configuration: 0x83,
    secret: 0x85,
    password: Some(0x85),
    version: [0x00, 0x04, 0x04, 0x02, 0x01, 0x00, 0x11, 0x03],
    signature: 32,
    factory: &[
        (0x03, [0xe1, 0x10, 0x3e, 0x00]),
        (0x04, [0x03, 0x00, 0xfe, 0x00]),
        (0x82, [0, 0, 0, 0xbd]),
        (0x83, [0x04, 0, 0, 0xff]),
        (0x84, [0x00, 0x05, 0, 0]),
        (0x85, NO_PASSWORD),
    ],
};

const NTAG_216: Layout = Layout {
    pages: 231,
    lock: Some(0xe2),
    pages_of_a_lock_bit: 16,
    configuration: 0xe3,
    secret: 0xe5,
    password: Some(0xe5),
    version: [0x00, 0x04, 0x04, 0x02, 0x01, 0x00, 0x13, 0x03],
    signature: 32,
    factory: &[
        (0x03, [0xe1, 0x10, 0x6d, 0x00]),
        (0x04, [0x03, 0x00, 0xfe, 0x00]),
        (0xe2, [0, 0, 0, 0xbd]),
        (0xe3, [0x04, 0, 0, 0xff]),
        (0xe4, [0x00, 0x05, 0, 0]),
        (0xe5, NO_PASSWORD),
    ],
};

const ULTRALIGHT_EV1: Layout = Layout {
    pages: 20,
    lock: None,
    pages_of_a_lock_bit: 1,
    configuration: 0x10,
    secret: 0x12,
    password: Some(0x12),
    version: [0x00, 0x04, 0x03, 0x01, 0x01, 0x00, 0x0b, 0x03],
    signature: 32,
    factory: &[(0x10, [0, 0, 0, 0xff]), (0x11, [0x00, 0x05, 0, 0]), (0x12, NO_PASSWORD)],
};

const ULTRALIGHT_AES: Layout = Layout {
    pages: 60,
    lock: Some(0x28),
    pages_of_a_lock_bit: 2,
    configuration: 0x29,
    secret: 0x30,
    password: None,
    version: [0x00, 0x04, 0x03, 0x01, 0x04, 0x00, 0x0f, 0x03],
    signature: 48,
    factory: &[(0x29, [0, 0, 0, 0x3c]), (0x2a, [0x00, 0x05, 0, 0])],
};

impl Model {
    /// Whether it is an NTAG21x.
    pub(super) fn is_ntag(self) -> bool {
        match self {
            Self::Ntag213 | Self::Ntag215 | Self::Ntag216 => true,
            Self::UltralightEv1 | Self::UltralightAes => false,
        }
    }

    pub(super) fn layout(self) -> &'static Layout {
        match self {
            Self::Ntag213 => &NTAG_213,
            Self::Ntag215 => &NTAG_215,
            Self::Ntag216 => &NTAG_216,
            Self::UltralightEv1 => &ULTRALIGHT_EV1,
            Self::UltralightAes => &ULTRALIGHT_AES,
        }
    }
}
