//! What the desk lets hear and see beside the screen: the terminal's bell, sounds, the reader's own lights
//! and beeper. One for each verdict, and nothing else: two passes that differ in their tariff sound alike
//! (invariant 11).

use std::io::{self, Write};

use crdt_model::decide::VerdictKind;
use hardware::reader::{ReaderHandle, Signal};
use serde::Deserialize;

/// What is heard and seen: `feedback.toml` in the desk's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// The terminal's bell, for all but OK.
    pub bell: bool,
    /// Sounds through the loudspeaker, another for each verdict.
    pub sounds: bool,
    /// The reader's own lights and beeper, where it has any that can be told.
    pub reader: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bell: true, sounds: false, reader: true }
    }
}

/// A tone: its frequency in hertz and its length in milliseconds.
pub type Tone = (u16, u16);

/// The sound of a verdict, one tone behind the other: rising for a welcome, low for a stop, different in
/// number and length, so that whoever hears few frequencies tells them apart all the same.
pub fn sound(verdict: VerdictKind) -> &'static [Tone] {
    match verdict {
        VerdictKind::Ok => &[(660, 90), (990, 160)],
        VerdictKind::Again => &[(660, 90), (660, 90)],
        VerdictKind::Ask => &[(550, 120), (660, 120), (550, 120)],
        VerdictKind::Stop => &[(220, 450)],
        VerdictKind::Retry => &[(330, 70), (330, 70), (330, 70), (330, 70)],
    }
}

/// What the reader shows for a verdict: whoever is let in is welcome, whether it was counted or not.
pub fn signal(verdict: VerdictKind) -> Signal {
    match verdict {
        VerdictKind::Ok | VerdictKind::Again => Signal::Welcome,
        VerdictKind::Ask | VerdictKind::Stop | VerdictKind::Retry => Signal::Refused,
    }
}

/// Whether the terminal's bell rings.
fn rings(verdict: VerdictKind) -> bool {
    match verdict {
        VerdictKind::Ok => false,
        VerdictKind::Again | VerdictKind::Ask | VerdictKind::Stop | VerdictKind::Retry => true,
    }
}

/// What gives it.
pub struct Feedback {
    settings: Settings,
    loudspeaker: Option<loudspeaker::Loudspeaker>,
}

impl std::fmt::Debug for Feedback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feedback({:?})", self.settings)
    }
}

impl Feedback {
    /// Opens what the settings ask for. Without a loudspeaker everything else goes on: the second is why
    /// there is none. To be called before the terminal is the console's, for the system's sound
    /// library writes to it.
    pub fn open(settings: Settings) -> (Self, Option<String>) {
        if !settings.sounds {
            return (Self { settings, loudspeaker: None }, None);
        }
        match loudspeaker::Loudspeaker::open() {
            Ok(loudspeaker) => (Self { settings, loudspeaker: Some(loudspeaker) }, None),
            Err(why) => (Self { settings, loudspeaker: None }, Some(why)),
        }
    }

    /// Gives the signal of a verdict, on the reader at which the card lies where one did.
    pub fn give(&self, verdict: VerdictKind, reader: Option<&ReaderHandle>) {
        if self.settings.bell && rings(verdict) {
            // A terminal without a bell is no reason to stop.
            let _ = io::stdout().write_all(b"\x07").and_then(|()| io::stdout().flush());
        }
        if let Some(loudspeaker) = &self.loudspeaker {
            loudspeaker.play(sound(verdict));
        }
        if let (true, Some(reader)) = (self.settings.reader, reader) {
            reader.signal(signal(verdict));
        }
    }
}

#[cfg(feature = "sounds")]
mod loudspeaker {
    use std::time::Duration;

    use rodio::source::{SineWave, Source};
    use rodio::{DeviceSinkBuilder, MixerDeviceSink};

    use super::Tone;

    /// How loud, of the most.
    const VOLUME: f32 = 0.25;

    /// Between two tones.
    const PAUSE: Duration = Duration::from_millis(40);

    /// The system's loudspeaker.
    pub(super) struct Loudspeaker(MixerDeviceSink);

    impl Loudspeaker {
        /// Opens it.
        pub(super) fn open() -> Result<Self, String> {
            let mut sink =
                DeviceSinkBuilder::open_default_sink().map_err(|error| error.to_string())?;
            // It would say on the console that it ends with it.
            sink.log_on_drop(false);
            Ok(Self(sink))
        }

        /// Plays these tones, beside whatever sounds still.
        pub(super) fn play(&self, tones: &[Tone]) {
            let mut begins = Duration::ZERO;
            for (frequency, milliseconds) in tones {
                let length = Duration::from_millis((*milliseconds).into());
                let tone = SineWave::new(f32::from(*frequency)).take_duration(length);
                self.0.mixer().add(tone.amplify(VOLUME).delay(begins));
                begins += length + PAUSE;
            }
        }
    }
}

#[cfg(not(feature = "sounds"))]
mod loudspeaker {
    use super::Tone;

    /// There is none in this build.
    pub(super) enum Loudspeaker {}

    impl Loudspeaker {
        pub(super) fn open() -> Result<Self, String> {
            Err("this stempel was built without them".to_owned())
        }

        pub(super) fn play(&self, _: &[Tone]) {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [VerdictKind; 5] = [
        VerdictKind::Ok,
        VerdictKind::Again,
        VerdictKind::Ask,
        VerdictKind::Stop,
        VerdictKind::Retry,
    ];

    #[test]
    fn each_verdict_has_a_sound_of_its_own_and_is_short() {
        for (place, verdict) in ALL.iter().enumerate() {
            assert!(ALL[..place].iter().all(|other| sound(*other) != sound(*verdict)));
            let length: u32 = sound(*verdict).iter().map(|(_, ms)| u32::from(*ms)).sum();
            assert!(length <= 500, "{verdict:?}: a queue waits");
        }
        // Without frequencies, too.
        let beats = |verdict| sound(verdict).iter().map(|(_, ms)| *ms).collect::<Vec<_>>();
        for (place, verdict) in ALL.iter().enumerate() {
            assert!(ALL[..place].iter().all(|other| beats(*other) != beats(*verdict)));
        }
    }

    #[test]
    fn sounds_are_off_and_the_rest_is_on_unless_somebody_says_otherwise() {
        let parse = |text| toml::from_str::<Settings>(text).unwrap();
        assert_eq!(parse(""), Settings { bell: true, sounds: false, reader: true });
        assert_eq!(
            parse("bell = false\nsounds = true\nreader = false"),
            Settings { bell: false, sounds: true, reader: false }
        );
        assert!(toml::from_str::<Settings>("loud = true").is_err());
    }
}
