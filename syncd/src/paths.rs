//! The desk's folder: where everything of one desk lies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use desk_api::place::socket_in;
use etcetera::BaseStrategy;

use crate::durable::{sync_all, sync_names};

/// The desk's folder.
///
/// | name | what |
/// | --- | --- |
/// | `ledger/<venue>/<day>.automerge` | the ledgers: the truth |
/// | `desk.key` | the desk's private key |
/// | `enrolment.json` | the venue, the hub's addresses and pinned key |
/// | `enrolment.copy` | the same, for when that is damaged |
/// | `seals/<day>` | the seals of other desks' lists |
/// | `requests/` | requests about people's cards, sealed to the hub |
/// | `stock` | what this desk may hand out of limited rewards |
/// | `notices` | what the hub has signed and must not forget |
/// | `settings.json` | what the volunteers chose |
/// | `card-keys` | the keys of cards that cannot be faked, sealed to this desk |
/// | `clock` | what the hub's clock said, while this computer's is wrong |
/// | `store/` | sled, and what proves it whole: may be deleted at any time |
/// | `desk.sock`, `desk.lock` | the desk API and the lock of the running daemon |
#[derive(Debug, Clone)]
pub struct DeskFolder {
    root: PathBuf,
    marks: Option<PathBuf>,
}

impl DeskFolder {
    /// The folder at this place.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), marks: None }
    }

    /// The same folder, with its mark kept in this one ([`crate::mark`]).
    #[must_use]
    pub fn with_marks(self, marks: impl Into<PathBuf>) -> Self {
        Self { marks: Some(marks.into()), ..self }
    }

    /// The folder of the marks: what was handed out is noted there, outside the desk's folder, so that a copy of that does
    /// not take it along. Where nobody chose one: where systemd says that a service keeps its state, or where this
    /// user's programs do.
    pub fn marks(&self) -> PathBuf {
        if let Some(marks) = &self.marks {
            return marks.clone();
        }
        let of_service = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let of_service = of_service.filter(|it| it.is_absolute()).map(|it| it.join("marks"));
        let of_user = etcetera::choose_base_strategy().ok().and_then(|base| base.state_dir());
        let of_user = of_user.map(|it| it.join("stempel/marks"));
        let mut found = of_service.into_iter().chain(of_user).filter(|it| !self.holds(it));
        found.next().unwrap_or_else(|| PathBuf::from("/var/lib/stempel-marks"))
    }

    /// Whether this path is inside the desk's folder.
    pub fn holds(&self, path: &Path) -> bool {
        let whole = |path: &Path| {
            // The marks' folder may not be there yet: what of its path is there decides.
            let there = path.ancestors().find_map(|it| Some((it, it.canonicalize().ok()?)));
            there.map_or_else(
                || path.to_owned(),
                |(it, whole)| {
                    path.strip_prefix(it).map_or_else(|_| whole.clone(), |rest| whole.join(rest))
                },
            )
        };
        whole(path).starts_with(whole(&self.root))
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The desk API's socket.
    pub fn socket(&self) -> PathBuf {
        socket_in(&self.root)
    }
    /// The running daemon's lock.
    pub fn lock(&self) -> PathBuf {
        self.root.join("desk.lock")
    }
    /// The desk's private key.
    pub fn key(&self) -> PathBuf {
        self.root.join("desk.key")
    }
    /// What enrolment gave.
    pub fn enrolment(&self) -> PathBuf {
        self.root.join("enrolment.json")
    }
    /// The same, for when that is damaged.
    pub fn enrolment_copy(&self) -> PathBuf {
        self.root.join("enrolment.copy")
    }
    /// What the volunteers chose.
    pub fn settings(&self) -> PathBuf {
        self.root.join("settings.json")
    }
    /// sled's folder.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }
    /// The folder of neighbours' seals, a file for each day.
    pub fn seals(&self) -> PathBuf {
        self.root.join("seals")
    }
    /// What the hub has signed and must not forget.
    pub fn notices(&self) -> PathBuf {
        self.root.join("notices")
    }
    /// The folder of requests that wait for the hub.
    pub fn requests(&self) -> PathBuf {
        self.root.join("requests")
    }
    /// What this desk may hand out of limited rewards.
    pub fn stock(&self) -> PathBuf {
        self.root.join("stock")
    }
    /// What the hub's clock said while this computer's was wrong.
    pub fn clock(&self) -> PathBuf {
        self.root.join("clock")
    }
    /// The card keys, sealed to this desk.
    pub fn card_keys(&self) -> PathBuf {
        self.root.join("card-keys")
    }
    /// The ledgers' folder.
    pub fn ledgers(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// Makes the folder, for its owner only.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root)
    }
}

/// Writes a small file so that after a crash it is there whole or as it was before: beside, fsync,
/// rename, fsync of the folder. Readable for its owner only.
///
/// # Errors
/// Whatever the file system says; the old file is then still there.
pub fn write_durably(path: &Path, contents: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = open_in_its_folder(&options, &beside)?;
    file.write_all(contents)?;
    sync_all(&file, &beside)?;
    fs::rename(&beside, path)?;
    sync_folder_of(path)
}

/// Opens a file that may be new. Where its folder was removed under the running desk, that is made again.
///
/// # Errors
/// Whatever the file system says.
pub(crate) fn open_in_its_folder(options: &OpenOptions, path: &Path) -> io::Result<File> {
    match (options.open(path), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            options.open(path)
        }
        (opened, _) => opened,
    }
}

/// Makes a name in a folder durable.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_names)
}
