//! Which readers the console listens to. Several at once are fine: a desk and a kiosk on one machine.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hardware::card::Attendant;
use hardware::reader::{Reader, ReaderHandle, Session};
use hardware::scripted::{ScriptError, ScriptedReader};
use serde::Deserialize;
use thiserror::Error;

use crate::app::ReaderSlot;

/// One reader.
#[derive(Debug, Clone)]
pub enum ReaderChoice {
    /// The first that libnfc finds, or the one at this connection string.
    Libnfc(Option<String>),
    /// All that PC/SC knows, or those whose names contain this.
    Pcsc(Option<String>),
    /// A script.
    Script(ScriptedReader),
}

/// Which readers a desk has: `readers.toml` in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReaderSettings {
    /// As `--reader` takes them.
    pub readers: Vec<String>,
}

impl Default for ReaderSettings {
    /// Whatever is found.
    fn default() -> Self {
        Self { readers: vec!["auto".to_owned()] }
    }
}

/// The readers of a console.
#[derive(Debug, Clone)]
pub struct Readers {
    chosen: Vec<Chosen>,
}

/// A reader that was chosen.
#[derive(Debug, Clone)]
struct Chosen {
    choice: ReaderChoice,
    /// Nobody has said that it is there: it is looked for.
    looked_for: bool,
}

impl From<ReaderChoice> for Chosen {
    fn from(choice: ReaderChoice) -> Self {
        Self { choice, looked_for: false }
    }
}

/// Why a text names no reader.
#[derive(Debug, Error)]
pub enum ReaderChoiceError {
    /// The script cannot be read.
    #[error("the script {path} cannot be read: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The script is wrong.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// PC/SC was chosen more than once: libpcsclite keeps what it knows of readers once for a process.
    #[error(
        "PC/SC can be chosen once: give pcsc for all its readers, or one pcsc:NAME without auto"
    )]
    PcscTwice,
}

impl Readers {
    /// This one alone.
    pub fn one(choice: ReaderChoice) -> Self {
        Self { chosen: vec![choice.into()] }
    }

    /// The readers that these texts name: `auto` (whatever libnfc or PC/SC finds), `none`, `pcsc`,
    /// `pcsc:NAME`, `scripted:FILE`, or a libnfc connection string.
    ///
    /// # Errors
    /// [`ReaderChoiceError`].
    pub fn parse(texts: &[String]) -> Result<Self, ReaderChoiceError> {
        let mut readers = Self { chosen: Vec::new() };
        for text in texts {
            match (&text[..], text.strip_prefix("scripted:"), text.strip_prefix("pcsc:")) {
                ("none", ..) => {}
                ("auto", ..) => {
                    let looked_for =
                        automatic().into_iter().map(|choice| Chosen { choice, looked_for: true });
                    readers.chosen.extend(looked_for);
                }
                ("pcsc", ..) => readers.chosen.push(ReaderChoice::Pcsc(None).into()),
                (_, Some(path), _) => {
                    let script = std::fs::read_to_string(path)
                        .map_err(|error| ReaderChoiceError::File { path: path.into(), error })?;
                    readers
                        .chosen
                        .push(ReaderChoice::Script(ScriptedReader::parse(&script)?).into());
                }
                (_, None, Some(name)) => {
                    readers.chosen.push(ReaderChoice::Pcsc(Some(name.to_owned())).into());
                }
                (connection, None, None) => {
                    readers.chosen.push(ReaderChoice::Libnfc(Some(connection.to_owned())).into());
                }
            }
        }
        let is_pcsc = |it: &&Chosen| matches!(it.choice, ReaderChoice::Pcsc(_));
        if readers.chosen.iter().filter(is_pcsc).count() > 1 {
            return Err(ReaderChoiceError::PcscTwice);
        }
        Ok(readers)
    }

    /// Starts them all, each on a thread of its own. Cards are talked with by this attendant.
    ///
    /// # Errors
    /// Where one is asked for that this program was built without, or the system has no thread left.
    pub fn start(&self, attendant: &Arc<dyn Attendant>) -> io::Result<Vec<ReaderHandle>> {
        self.chosen.iter().map(|it| start(&it.choice, Arc::clone(attendant))).collect()
    }

    /// What the console knows of them before they have said anything.
    pub fn slots(&self) -> Vec<ReaderSlot> {
        self.chosen.iter().map(|it| ReaderSlot::new(it.looked_for)).collect()
    }
}

/// What is tried where nobody says which readers there are.
fn automatic() -> Vec<ReaderChoice> {
    let mut tried = Vec::new();
    if cfg!(feature = "libnfc") {
        tried.push(ReaderChoice::Libnfc(None));
    }
    if cfg!(feature = "pcsc") {
        tried.push(ReaderChoice::Pcsc(None));
    }
    tried
}

/// A reader of any kind.
struct AnyReader(Box<dyn Reader>);

impl Reader for AnyReader {
    fn run(&mut self, session: &Session) {
        self.0.run(session);
    }
}

fn start(choice: &ReaderChoice, attendant: Arc<dyn Attendant>) -> io::Result<ReaderHandle> {
    let reader: Box<dyn Reader> = match choice {
        ReaderChoice::Script(script) => Box::new(script.clone()),
        #[cfg(feature = "libnfc")]
        ReaderChoice::Libnfc(connection) => {
            let reader = hardware::libnfc::LibnfcReader::new(connection.clone());
            Box::new(reader.attended_by(attendant))
        }
        #[cfg(not(feature = "libnfc"))]
        ReaderChoice::Libnfc(_) => return Err(built_without("libnfc")),
        #[cfg(feature = "pcsc")]
        ReaderChoice::Pcsc(name) => {
            let reader = hardware::pcsc::PcscReader::new(name.clone());
            Box::new(reader.attended_by(attendant))
        }
        #[cfg(not(feature = "pcsc"))]
        ReaderChoice::Pcsc(_) => return Err(built_without("PC/SC")),
    };
    hardware::reader::spawn(AnyReader(reader))
}

#[cfg(not(all(feature = "libnfc", feature = "pcsc")))]
fn built_without(what: &str) -> io::Error {
    io::Error::other(format!(
        "this stempel was built without {what}: use --reader none or scripted:FILE"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_readers_are_chosen_by_name_and_a_wrong_script_is_said() {
        let parse = |texts: &[&str]| {
            Readers::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        let two = parse(&["pn532_uart:/dev/ttyUSB0", "pcsc:ACR1252"]).unwrap();
        assert!(two.slots().iter().all(|slot| !slot.looked_for));
        let names: Vec<String> = two.chosen.iter().map(|it| format!("{:?}", it.choice)).collect();
        assert_eq!(names, ["Libnfc(Some(\"pn532_uart:/dev/ttyUSB0\"))", "Pcsc(Some(\"ACR1252\"))"]);
        let auto_and_one = parse(&["auto", "pn532_uart:/dev/ttyUSB0"]).unwrap().slots();
        let looked_for: Vec<bool> = auto_and_one.iter().map(|slot| slot.looked_for).collect();
        let (named, others) = looked_for.split_last().unwrap();
        assert!(!named && others.iter().all(|it| *it), "{looked_for:?}");
        assert!(parse(&["none"]).unwrap().chosen.is_empty());
        for twice in [&["pcsc:a", "pcsc:b"], &["auto", "pcsc"]] {
            assert!(matches!(parse(twice), Err(ReaderChoiceError::PcscTwice)), "{twice:?}");
        }
        assert!(matches!(parse(&["scripted:/nowhere"]), Err(ReaderChoiceError::File { .. })));
    }
}
