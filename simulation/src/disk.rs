//! A desk's disk: a folder in memory, and what of it a power cut leaves.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::panic_any;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use rand::{Rng, RngExt};
use syncd::durable::Watch;

/// The power went in the middle of something.
pub(crate) struct PowerCut;

/// A power cut is no failure, so nothing is printed of it.
pub(crate) fn let_power_cuts_be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |why| {
            if !why.payload().is::<PowerCut>() {
                before(why);
            }
        }));
    });
}

/// The contents of a folder, by paths below it.
pub(crate) type Image = BTreeMap<PathBuf, Vec<u8>>;

/// What is durable below a folder.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    durable: Mutex<Durable>,
    /// It has no room.
    pub(crate) full: AtomicBool,
    /// It says that what it is given is durable, and forgets it at a power cut.
    lies: bool,
    /// The power goes when so many more things were to be made durable; never where this is 0.
    cut_in: AtomicU32,
}

/// What was made durable: of each file its contents, of each folder its names. A name is that of a file, which may get
/// another name.
#[derive(Debug, Default)]
struct Durable {
    contents: BTreeMap<u64, Vec<u8>>,
    names: BTreeMap<PathBuf, BTreeMap<PathBuf, u64>>,
}

/// The files in a folder.
fn files_in(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // sled's own threads come and go with files.
        if let Ok(known) = fs::symlink_metadata(&path)
            && known.is_file()
        {
            found.insert(path, known.ino());
        }
    }
    found
}

/// sled's files beside the one that the desk makes durable in its own time.
fn is_small_file_of_sled(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    folder.join("conf").exists() && path.file_name().is_some_and(|name| name != "db")
}

fn folders_below(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while next < found.len() {
        let entries = fs::read_dir(&found[next]).into_iter().flatten().flatten();
        let folders = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
        let folders: Vec<PathBuf> = folders.map(|it| it.path()).collect();
        found.extend(folders);
        next += 1;
    }
    found
}

/// All files below a folder, as they are now.
pub(crate) fn image_of(root: &Path) -> Image {
    let folders = folders_below(root);
    let files = folders.iter().flat_map(|folder| files_in(folder).into_keys());
    files
        .filter_map(|path| {
            let contents = fs::read(&path).ok()?;
            Some((path.strip_prefix(root).ok()?.to_owned(), contents))
        })
        .collect()
}

/// Puts these files there, and nothing else.
pub(crate) fn put(root: &Path, image: &Image) {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
    fs::create_dir_all(root).unwrap();
    for (path, contents) in image {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
}

impl Disk {
    pub(crate) fn new(root: &Path, lies: bool) -> Self {
        let disk = Self {
            root: root.to_owned(),
            durable: Mutex::default(),
            full: AtomicBool::new(false),
            lies,
            cut_in: AtomicU32::new(0),
        };
        disk.is_durable();
        disk
    }

    /// All that is there now is durable.
    pub(crate) fn is_durable(&self) {
        let mut durable = Durable::default();
        for folder in folders_below(&self.root) {
            let names = files_in(&folder);
            for (path, id) in &names {
                durable.contents.insert(*id, fs::read(path).unwrap_or_default());
            }
            durable.names.insert(folder, names);
        }
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = durable;
        self.cut_in.store(0, Ordering::Relaxed);
    }

    /// The power goes when so many more things were to be made durable.
    pub(crate) fn cut_in(&self, many: u32) {
        self.cut_in.store(many, Ordering::Relaxed);
    }

    fn before(&self) -> io::Result<()> {
        if self.cut_in.load(Ordering::Relaxed) > 0
            && self.cut_in.fetch_sub(1, Ordering::Relaxed) == 1
        {
            panic_any(PowerCut);
        }
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// What a power cut may leave. What was made durable is there; of what was written since, anything between nothing
    /// and all.
    pub(crate) fn after_a_power_cut(&self, random: &mut impl Rng) -> Image {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = Image::new();
        let now = folders_below(&self.root);
        let known = durable.names.keys().filter(|it| !now.contains(it));
        for folder in now.iter().chain(known) {
            let there = files_in(folder);
            let kept = durable.names.get(folder);
            let names = match kept {
                Some(kept) if random.random() => kept,
                _ => &there,
            };
            for (path, id) in names {
                let written = there.iter().find(|(_, it)| *it == id);
                let written = written.and_then(|(path, _)| fs::read(path).ok());
                let kept = durable.contents.get(id).cloned().unwrap_or_default();
                let contents = match written {
                    // sled makes these durable itself.
                    Some(written) if is_small_file_of_sled(path) => written,
                    // Appended to: cut off anywhere behind what is durable.
                    Some(mut written) if written.starts_with(&kept) => {
                        let end = random.random_range(kept.len()..=written.len());
                        written.truncate(end);
                        written
                    }
                    Some(written) if random.random() => written,
                    _ => kept,
                };
                left.insert(path.strip_prefix(&self.root).unwrap().to_owned(), contents);
            }
        }
        left
    }
}

impl Watch for Disk {
    fn contents(&self, file: &Path) -> io::Result<()> {
        self.before()?;
        if !self.lies {
            let contents = fs::read(file)?;
            let id = fs::symlink_metadata(file)?.ino();
            let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
            durable.contents.insert(id, contents);
        }
        Ok(())
    }

    fn names(&self, folder: &Path) -> io::Result<()> {
        self.before()?;
        if !self.lies {
            let names = files_in(folder);
            let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
            durable.names.insert(folder.to_owned(), names);
        }
        Ok(())
    }
}
