//! What is said to a card that lies on a PC/SC reader.
//!
//! Sources: PC/SC part 3, 3.2.2.1.8 and 9 (the pseudo-APDUs for memory), 3.1.3.2.3 (the ATRs).

use std::ffi::CStr;

use pcsc::{Card, Context, Disposition, Error, MAX_BUFFER_SIZE, Protocols, ShareMode};

use crate::card::{Broken, CardChannel, Command, Speaks};

/// A card that lies on a reader. It is connected to when the first thing is said to it, and left as
/// it is, for others may use it.
pub(super) struct CardOnReader<'a> {
    context: &'a Context,
    name: &'a CStr,
    card: Option<Card>,
}

impl<'a> CardOnReader<'a> {
    /// The card on the reader of this name.
    pub(super) fn new(context: &'a Context, name: &'a CStr) -> Self {
        Self { context, name, card: None }
    }

    fn card(&mut self) -> Result<&Card, Error> {
        match &mut self.card {
            Some(card) => Ok(card),
            card => {
                // Nobody is to select another application in the middle of a conversation. Where somebody
                // has the card already, it goes on beside them.
                let connected =
                    self.context.connect(self.name, ShareMode::Exclusive, Protocols::ANY).or_else(
                        |_| self.context.connect(self.name, ShareMode::Shared, Protocols::ANY),
                    )?;
                Ok(card.insert(connected))
            }
        }
    }

    /// How the card talks, by its ATR: one of a storage card names the standard that it is of. Only
    /// those of ISO 14443-A, part 3, are Type 2, and of them those that are no MIFARE Classic.
    pub(super) fn speaks(&mut self) -> Option<Speaks> {
        let status = self.card().ok()?.status2_owned().ok()?;
        speaks_of_atr(status.atr())
    }

    pub(super) fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut buffer = [0; MAX_BUFFER_SIZE];
        let card = self.card().map_err(|_| Broken::Gone)?;
        let answer = card.transmit(apdu, &mut buffer).map_err(|error| {
            tracing::debug!(%error, "a card did not answer");
            Broken::Gone
        })?;
        // An answer without a status is one that broke off.
        if answer.len() < 2 { Err(Broken::Gone) } else { Ok(answer.to_vec()) }
    }

    /// What a pseudo-APDU of the reader brings.
    fn memory(&mut self, apdu: &[u8]) -> Result<Vec<u8>, Broken> {
        let answer = self.transmit(apdu)?;
        match answer.split_last_chunk() {
            Some((data, [0x90, 0x00])) => Ok(data.to_vec()),
            Some((_, [0x6a, 0x81] | [0x6d | 0x6e, 0x00])) => Err(Broken::Unsupported),
            _ => Err(Broken::Refused),
        }
    }
}

impl CardChannel for CardOnReader<'_> {
    fn exchange(&mut self, command: &Command) -> Result<Vec<u8>, Broken> {
        match command {
            Command::ReadPages { from } => self.memory(&[0xff, 0xb0, 0x00, *from, 0x10]),
            Command::WritePage { page, data: [a, b, c, d] } => {
                self.memory(&[0xff, 0xd6, 0x00, *page, 0x04, *a, *b, *c, *d]).map(|_| Vec::new())
            }
            Command::SelectAnew => {
                let card = self.card.as_mut().ok_or(Broken::Gone)?;
                card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::ResetCard)
                    .map_err(|_| Broken::Gone)?;
                Ok(Vec::new())
            }
            // There is no standard for it, only one pseudo-APDU for each maker.
            Command::Raw { .. } => Err(Broken::Unsupported),
            Command::Apdu { bytes } => self.transmit(bytes),
        }
    }
}

impl Drop for CardOnReader<'_> {
    fn drop(&mut self) {
        if let Some(card) = self.card.take() {
            // A handle that is dropped resets the card; one that is gone cannot be left.
            let _ = card.disconnect(Disposition::LeaveCard);
        }
    }
}

/// PC/SC part 3, 3.1.3.2.3.1: the ATR of a storage card has the identifier of the PC/SC group, then the
/// standard (03: ISO 14443-A, part 3) and the kind of card (0001 and 0002: MIFARE Classic).
pub(super) fn speaks_of_atr(atr: &[u8]) -> Option<Speaks> {
    const STORAGE: [u8; 7] = [0x4f, 0x0c, 0xa0, 0x00, 0x00, 0x03, 0x06];
    match atr.windows(STORAGE.len()).position(|window| window == STORAGE) {
        None => Some(Speaks::IsoDep),
        Some(at) => match atr.get(at + STORAGE.len()..) {
            Some([0x03, 0x00, 0x01 | 0x02, ..]) => None,
            Some([0x03, ..]) => Some(Speaks::Type2),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atr_says_how_a_card_talks() {
        let hex = |text: &str| data_encoding::HEXUPPER.decode(text.as_bytes()).unwrap();
        for (atr, speaks) in [
            // NTAG21x and Ultralight, MIFARE Classic 1K, a FeliCa card, an NTAG 424 DNA.
            ("3B8F8001804F0CA0000003060300030000000068", Some(Speaks::Type2)),
            ("3B8F8001804F0CA000000306030001000000006A", None),
            ("3B8F8001804F0CA00000030611003B0000000042", None),
            ("3B8180018080", Some(Speaks::IsoDep)),
        ] {
            assert_eq!(speaks_of_atr(&hex(atr)), speaks, "{atr}");
        }
    }
}
