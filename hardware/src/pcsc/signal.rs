//! The lights and the beeper of PC/SC readers that have them and can be told: the ACR122U. Others beep by
//! themselves when a card comes, whatever its verdict.
//!
//! Source: ACS, ACR122U Application Programming Interface 2.04, 6.2 (the pseudo-APDU for LEDs and buzzer).

use std::ffi::CStr;

use pcsc::Context;

use super::channel::CardOnReader;
use crate::reader::Signal;

/// Gives a signal on the reader of this name, if it is one that can. A card lies there.
pub(super) fn give(context: &Context, name: &CStr, signal: Signal) {
    let Some(apdu) = signal_of(&name.to_string_lossy(), signal) else { return };
    // A reader that stays dark is no reason to stop: the verdict is on the screen.
    if let Err(error) = CardOnReader::new(context, name).transmit(&apdu) {
        tracing::debug!(%error, "the reader gave no signal");
    }
}

/// The pseudo-APDU for a signal: which light blinks, how long in tenths of a second, how often, and when
/// the buzzer sounds.
fn signal_of(reader: &str, signal: Signal) -> Option<[u8; 9]> {
    if !reader.to_ascii_uppercase().contains("ACR122") {
        return None;
    }
    // Bits from the lowest: red and green in the end, their masks, red and green while blinking, their
    // masks. The light that does not blink stays as it is.
    let (lights, on, off, times) = match signal {
        Signal::Welcome => (0b1010_1010, 2, 1, 1),
        Signal::Refused => (0b0101_0100, 1, 1, 3),
    };
    let buzzer_while_on = 0x01;
    Some([0xff, 0x00, 0x40, lights, 0x04, on, off, times, buzzer_while_on])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn welcome_and_refused_differ_and_other_readers_are_told_nothing() {
        let name = "ACS ACR122U PICC Interface 00 00";
        let welcome = signal_of(name, Signal::Welcome).unwrap();
        assert_eq!(welcome, [0xff, 0x00, 0x40, 0xaa, 0x04, 2, 1, 1, 1]);
        assert_ne!(signal_of(name, Signal::Refused), Some(welcome));
        assert_eq!(signal_of("Identiv uTrust 3700 F", Signal::Welcome), None);
    }
}
