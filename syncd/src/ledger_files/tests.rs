use std::fs;

use crdt_model::entry::{Entry, Fact, Subject};
use crdt_model::ids::{ActivityId, DeviceId, PassId, Writer};
use crdt_model::time::UnixMillis;

use super::*;

const DAY: Date = Date::constant(2026, 11, 21);

fn writer(desk: u8) -> Writer {
    Writer { device: DeviceId([desk; 16]), epoch: 1 }
}

fn entry(n: i64) -> Entry {
    Entry {
        at: UnixMillis(1_795_255_393_000 + n),
        subject: Subject::Pass(PassId(7)),
        fact: Fact::CheckIn { activity: ActivityId(1), points: 1 },
    }
}

fn open(folder: &Path) -> (LedgerFiles, Vec<Repair>) {
    LedgerFiles::open(folder, &"de-reede".parse().unwrap()).unwrap()
}

/// Appends for two desks in turn, and gives the length of the file after each append.
fn filled(folder: &Path, entries: i64) -> (PathBuf, Vec<usize>) {
    let (mut files, _) = open(folder);
    let path = folder.join("de-reede/2026-11-21.automerge");
    let lengths = (0..entries)
        .map(|n| {
            let desk = writer(u8::try_from(n % 2).unwrap());
            let extension = files.ledger_or_new(DAY).appended(desk, &entry(n)).unwrap();
            files.append(DAY, &extension).unwrap();
            usize::try_from(fs::metadata(&path).unwrap().len()).unwrap()
        })
        .collect();
    (path, lengths)
}

/// Invariant 1.
#[test]
fn what_was_appended_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 9);
    let (files, repairs) = open(folder.path());
    assert_eq!(repairs, []);
    assert_eq!(files.ledger(DAY).unwrap().len(), 9);
}

/// Invariant 1: a verdict is shown after the append only, so a torn append was never shown.
#[test]
fn a_file_cut_at_any_byte_keeps_every_finished_append() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lengths) = filled(folder.path(), 4);
    let whole = fs::read(&path).unwrap();
    for cut in 1..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (mut files, repairs) = open(folder.path());
        let finished = lengths.iter().filter(|length| **length <= cut).count();
        assert_eq!(files.ledger(DAY).unwrap().len(), finished as u64, "cut at {cut}");
        assert_eq!(repairs.is_empty(), lengths.contains(&cut), "cut at {cut}");
        let extension = files.ledger_or_new(DAY).appended(writer(9), &entry(99)).unwrap();
        files.append(DAY, &extension).unwrap();
        let (reopened, repairs) = open(folder.path());
        assert_eq!((reopened.ledger(DAY).unwrap().len(), repairs), (finished as u64 + 1, vec![]));
    }
}

#[test]
fn damage_in_the_middle_sets_the_file_aside_and_what_still_chains_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lengths) = filled(folder.path(), 6);
    let mut bytes = fs::read(&path).unwrap();
    bytes[lengths[1] + 20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (files, repairs) = open(folder.path());
    let aside = path.with_extension("damaged-1");
    assert_eq!(repairs, [Repair::SetAside { path: aside.clone(), chunks_left_out: 1 }]);
    assert_eq!(fs::read(aside).unwrap(), bytes, "the damaged file is kept as it was");
    // Desk 0 wrote entries 0, 2, 4 and lost 2; desk 1 lost nothing.
    let ledger = files.ledger(DAY).unwrap();
    assert_eq!(ledger.position(&writer(0)).sequence, 1);
    assert_eq!(ledger.position(&writer(1)).sequence, 3);
    assert_eq!(open(folder.path()).1, [], "the new file is whole");
}

#[test]
fn the_file_is_one_that_automerge_itself_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = filled(folder.path(), 5);
    let ledger = open(folder.path()).0.ledger(DAY).unwrap().clone();
    let document = ledger.document().unwrap();
    assert_eq!(document.get_changes(&[]).len(), 5);
    let bytes = fs::read(path).unwrap();
    for change in document.get_changes(&[]) {
        let chunk = change.raw_bytes();
        assert!(bytes.windows(chunk.len()).any(|window| window == chunk));
    }
}
