//! Which product a card is: the commands that ask it, and what their answers mean.
//!
//! Sources: those of [`crate::describe`].

/// GET_VERSION of Type 2 cards.
pub(crate) const TYPE_2_VERSION: [u8; 1] = [0x60];

/// GetVersion of cards that take APDUs, and the command for the rest of its answer.
pub(crate) const VERSION_APDU: [u8; 5] = [0x90, 0x60, 0x00, 0x00, 0x00];
pub(crate) const VERSION_GOES_ON: [u8; 5] = [0x90, 0xaf, 0x00, 0x00, 0x00];

/// The product that has keys of its own among Type 2 cards.
pub(crate) const ULTRALIGHT_AES: &str = "MIFARE Ultralight AES";

/// The product that writes messages.
pub(crate) const NTAG_424: &str = "NTAG 424 DNA";

/// The product behind a Type 2 card's version: vendor, type, and size of memory.
pub(crate) fn type_2_product(version: &[u8]) -> Option<&'static str> {
    Some(match version {
        [_, 0x04, 0x04, _, _, _, 0x0b, _] => "NTAG210",
        [_, 0x04, 0x04, _, _, _, 0x0e, _] => "NTAG212",
        [_, 0x04, 0x04, _, _, _, 0x0f, _] => "NTAG213",
        [_, 0x04, 0x04, _, _, _, 0x11, _] => "NTAG215",
        [_, 0x04, 0x04, _, _, _, 0x13, _] => "NTAG216",
        [_, 0x04, 0x03, _, 0x04, _, _, _] => ULTRALIGHT_AES,
        [_, 0x04, 0x03, _, 0x01, _, _, _] => "MIFARE Ultralight EV1",
        _ => return None,
    })
}

pub(crate) fn iso_dep_product(version: &[u8]) -> Option<&'static str> {
    Some(match version {
        [0x04, 0x04, _, 0x30, ..] => NTAG_424,
        [0x04, 0x01, _, 0x12, ..] => "MIFARE DESFire EV2",
        [0x04, 0x01, _, 0x33, ..] => "MIFARE DESFire EV3",
        [0x04, 0x01, _, 0x01, ..] => "MIFARE DESFire EV1",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_known_by_their_versions() {
        for (version, product) in [
            ([0x00, 0x04, 0x04, 0x02, 0x01, 0x00, 0x0f, 0x03], Some("NTAG213")),
            ([0x00, 0x04, 0x04, 0x02, 0x01, 0x00, 0x13, 0x03], Some("NTAG216")),
            ([0x00, 0x04, 0x03, 0x01, 0x04, 0x00, 0x0f, 0x03], Some("MIFARE Ultralight AES")),
            ([0x00, 0x05, 0x04, 0x02, 0x01, 0x00, 0x0f, 0x03], None),
        ] {
            assert_eq!(type_2_product(&version), product, "{version:02X?}");
        }
        assert_eq!(
            iso_dep_product(&[0x04, 0x04, 0x02, 0x30, 0x00, 0x11, 0x05]),
            Some("NTAG 424 DNA")
        );
        assert_eq!(iso_dep_product(&[]), None);
    }
}
