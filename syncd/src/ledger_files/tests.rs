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
    LedgerFiles::open(folder, &"de-reede".parse().unwrap(), DeviceId([0; 16])).unwrap()
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

/// What can be said of a file that was opened: who has how many entries, whichever list they stand in.
fn count_of(files: &LedgerFiles, desk: u8) -> usize {
    let ledger = files.ledger(DAY).unwrap();
    let of_desk = |writer: &Writer| writer.device == DeviceId([desk; 16]);
    ledger.writers().filter(of_desk).map(|it| ledger.entries_of(&it, 0).len()).sum()
}

#[test]
fn a_flipped_bit_anywhere_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = filled(folder.path(), 6);
    let whole = fs::read(&path).unwrap();
    for bit in (0..whole.len() * 8).step_by(37) {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        let (files, repairs) = open(folder.path());
        let [Repair { damage: Damage::Mended { entries: 1 }, .. }] = &repairs[..] else {
            panic!("bit {bit}: {repairs:?}");
        };
        assert_eq!((count_of(&files, 0), count_of(&files, 1)), (3, 3), "bit {bit}");
        assert!(!files.is_incomplete());
        assert_eq!(fs::read(&path).unwrap().len(), whole.len());
        assert_eq!(open(folder.path()).1, [], "bit {bit}: the new file is whole");
    }
    let kept = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(kept, 1 + aside::MOST_ASIDE as usize, "the copies have a bound");
}

/// Of this desk's own what stands behind a hole goes on in another list, once, however often the start is broken off.
#[test]
fn what_stands_behind_a_hole_is_saved_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lengths) = filled(folder.path(), 150);
    let whole = fs::read(&path).unwrap();
    let begins = |n: usize| if n == 0 { 0 } else { lengths[n - 1] };
    for (first, holes) in [(0, 1), (1, 1), (2, 3), (75, 1), (76, 5), (140, 4), (147, 1)] {
        let mut damaged = whole.clone();
        damaged[begins(first) + 20..lengths[first + holes - 1] - 9].fill(0xa5);
        // A start that was killed before it renamed its new file.
        fs::write(path.with_extension("new"), &whole[..50]).unwrap();
        fs::write(&path, &damaged).unwrap();
        let (mut files, repairs) = open(folder.path());
        let own: Vec<usize> = (0..150).filter(|n| n % 2 == 0).collect();
        let hole = first..first + holes;
        let gone = own.iter().filter(|n| hole.contains(n)).count();
        let behind = own.iter().filter(|n| **n >= hole.end).count();
        let [Repair { damage: Damage::Lost { copied, lost, .. }, .. }] = &repairs[..] else {
            panic!("{hole:?}: {repairs:?}");
        };
        // A list of which nothing is lacking goes on as it is.
        let expected = if gone == 0 { 0 } else { behind as u64 };
        assert_eq!((*copied, *lost), (expected, gone as u64), "{hole:?}");
        assert_eq!(count_of(&files, 0), own.len() - gone, "{hole:?}");
        assert_eq!(files.missing_count(), gone as u64);
        assert!(files.is_incomplete());
        // A hole of one entry's size has one entry in it.
        assert!(holes > 1 || files.knows_what_is_missing(), "{hole:?}");
        let (again, repairs) = open(folder.path());
        assert_eq!((count_of(&again, 0), repairs), (own.len() - gone, vec![]), "{hole:?}");
        assert_eq!(again.missing_count(), gone as u64, "also after another start");
        // The hub has them all: the copies make way, once.
        let list = files.lists_of_copies().next();
        assert_eq!(list.is_some(), gone > 0);
        if let Some((day, writer, _)) = list {
            let entries: Vec<_> = own
                .iter()
                .map(|n| entry(i64::try_from(*n).unwrap()).encode(DAY, &self::writer(0)))
                .collect();
            let all = entries.iter().map(Vec::as_slice);
            let back = files.ledger_or_new(day).extension(self::writer(0), 1, all).unwrap();
            files.append(day, &back).unwrap();
            let moves = files.drop_copies(day, &writer).unwrap().unwrap();
            assert_eq!(moves.len() as u64, expected);
            assert_eq!((count_of(&files, 0), files.missing_count()), (own.len(), 0));
            assert_eq!(count_of(&open(folder.path()).0, 0), own.len());
        }
        files.set_complete().unwrap();
    }
}

/// Nothing stands behind the end of a list to tell what was lost of it.
#[test]
fn where_more_may_be_lost_than_can_be_counted_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lengths) = filled(folder.path(), 10);
    let mut bytes = fs::read(&path).unwrap();
    bytes[lengths[1] + 20..lengths[2] - 9].fill(0xa5);
    bytes[lengths[7] + 20..lengths[9] - 9].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let (files, _) = open(folder.path());
    assert_eq!((files.missing_count(), files.knows_what_is_missing()), (1, false));
    let (mut files, _) = open(folder.path());
    assert!(!files.knows_what_is_missing(), "also after another start");
    files.set_complete().unwrap();
    assert!(open(folder.path()).0.knows_what_is_missing());
    // As an earlier version wrote it.
    fs::write(folder.path().join("de-reede/incomplete"), "").unwrap();
    assert!(!open(folder.path()).0.knows_what_is_missing());
}

/// Invariant 5: an entry that the disk had confirmed may have handed out a unit.
#[test]
fn a_last_entry_that_is_damaged_and_not_cut_off_leaves_the_ledger_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lengths) = filled(folder.path(), 10);
    let whole = fs::read(&path).unwrap();
    // Cut off: that append was never finished.
    fs::write(&path, &whole[..lengths[9] - 5]).unwrap();
    assert!(!open(folder.path()).0.is_incomplete());
    let zeroed = |from: usize| {
        let mut bytes = whole.clone();
        bytes[from..].fill(0);
        bytes
    };
    let mut two_bits = whole.clone();
    two_bits[lengths[8] + 40] ^= 1;
    two_bits[lengths[8] + 60] ^= 1;
    for (bytes, kept, lost) in [
        (two_bits, 9, None),
        (zeroed(lengths[8] + 3), 9, None),
        (zeroed(lengths[8]), 9, None),
        // More than one entry has: what an unfinished append leaves is never so long.
        (zeroed(lengths[3] + 20), 4, Some(2)),
        (zeroed(0), 0, Some(3)),
    ] {
        fs::write(&path, bytes).unwrap();
        let (mut files, repairs) = open(folder.path());
        assert_eq!(files.ledger(DAY).unwrap().len(), kept);
        assert!(files.is_incomplete() && !files.knows_what_is_missing(), "{repairs:?}");
        match (&repairs[0].damage, lost) {
            (Damage::Tail { unfinished: false, .. }, None) => {}
            (Damage::Lost { lost: found, .. }, Some(least)) if *found >= least => {}
            (damage, _) => panic!("{damage:?}"),
        }
        assert!(!open(folder.path()).0.knows_what_is_missing(), "also after another start");
        files.set_complete().unwrap();
    }
}

/// Invariant 10: a desk whose disk is full starts, says what is lacking, and makes the file whole when there is room.
#[test]
fn a_damaged_file_on_a_disk_that_takes_nothing_is_made_whole_later() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lengths) = filled(folder.path(), 10);
    let id = LedgerId { venue: "de-reede".parse().unwrap(), day: DAY };
    let whole = fs::read(&path).unwrap();
    let mut hole = whole.clone();
    hole[lengths[1] + 20..lengths[2] - 9].fill(0xa5);
    for (bytes, kept) in [(&whole[..lengths[9] - 5], 9), (&hole[..], 9)] {
        fs::write(&path, bytes).unwrap();
        let (mut files, _) = LedgerFiles::open(
            &folder.path().join("elsewhere"),
            &"de-reede".parse().unwrap(),
            DeviceId([0; 16]),
        )
        .unwrap();
        files.folder = path.parent().unwrap().to_owned();
        let full = |_| Err(io::Error::from(io::ErrorKind::StorageFull));
        let found = salvage::examine(&id, bytes, DeviceId([0; 16])).unwrap();
        let file = LedgerFile::damaged(found.ledger, path.clone(), found.damage);
        if let Some(missing) = found.missing {
            // What a full disk says to the note.
            let loaded = salvage::load(&id, &path, bytes, DeviceId([0; 16]), full).unwrap();
            assert!(loaded.file.awaits_repair() && loaded.repair.is_none());
            assert_eq!(fs::read(&path).unwrap(), bytes, "the file is as it was");
            (files.incomplete, files.missing, files.noted) = (true, missing, false);
        }
        files.days.insert(DAY, file);
        assert!(files.awaits_repair(DAY));
        assert_eq!(files.ledger(DAY).unwrap().len(), kept);
        // There is room again at the next append.
        let extension = files.ledger_or_new(DAY).appended(writer(9), &entry(99)).unwrap();
        files.append(DAY, &extension).unwrap();
        assert!(!files.awaits_repair(DAY));
        assert_eq!((files.take_repaired().len(), files.take_written_again()), (1, Vec::new()));
        let (mut again, repairs) = open(folder.path());
        assert_eq!((again.ledger(DAY).unwrap().len(), repairs), (kept + 1, Vec::new()));
        assert_eq!(again.is_incomplete(), bytes.len() == whole.len());
        again.set_complete().unwrap();
    }
}

/// Each list that is shorter than the hub has it is noted, unless the damage that was found tells as much.
#[test]
fn a_second_loss_is_noted_beside_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lengths) = filled(folder.path(), 10);
    let mut hole = fs::read(&path).unwrap();
    hole[lengths[1] + 20..lengths[2] - 9].fill(0xa5);
    fs::write(&path, hole).unwrap();
    let (mut files, _) = open(folder.path());
    files.set_incomplete(DAY, &writer(0), 5).unwrap();
    assert_eq!((files.missing_count(), files.knows_what_is_missing()), (1, true), "it is known");
    files.set_incomplete(DAY, &writer(0), 8).unwrap();
    files.set_incomplete(DAY.tomorrow().unwrap(), &writer(0), 2).unwrap();
    assert_eq!((files.missing_count(), files.knows_what_is_missing()), (6, false));
    let (files, _) = open(folder.path());
    assert_eq!((files.missing_count(), files.knows_what_is_missing()), (6, false));
}

#[test]
fn a_note_that_cannot_be_read_says_that_something_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = open(folder.path());
    files.set_incomplete(DAY, &writer(0), 5).unwrap();
    let note = folder.path().join("de-reede/incomplete");
    let whole = fs::read(&note).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&note, damaged).unwrap();
        let (files, _) = open(folder.path());
        assert!(files.is_incomplete() && !files.knows_what_is_missing(), "bit {bit}");
        assert_eq!(files.missing_count(), 0, "bit {bit}");
    }
    fs::remove_file(&note).unwrap();
    // As a file that the disk does not give.
    fs::create_dir(&note).unwrap();
    let (files, _) = open(folder.path());
    assert!(files.is_incomplete() && !files.knows_what_is_missing());
}

/// A verdict that was shown is an entry in a file that a restart finds, whatever became of the file meanwhile.
#[test]
fn a_file_that_is_gone_is_written_again_at_the_next_append_or_look() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, _) = open(folder.path());
    let path = folder.path().join("de-reede/2026-11-21.automerge");
    let append = |files: &mut LedgerFiles, n: i64| {
        let extension = files.ledger_or_new(DAY).appended(writer(0), &entry(n)).unwrap();
        files.append(DAY, &extension)
    };
    append(&mut files, 0).unwrap();
    fs::remove_file(&path).unwrap();
    append(&mut files, 1).unwrap();
    assert_eq!(count_of(&open(folder.path()).0, 0), 2);
    assert_eq!(files.take_written_again().len(), 1);
    fs::remove_dir_all(folder.path().join("de-reede")).unwrap();
    files.check().unwrap();
    assert_eq!(count_of(&open(folder.path()).0, 0), 2);
    fs::write(&path, "not this").unwrap();
    append(&mut files, 2).unwrap();
    assert_eq!(count_of(&open(folder.path()).0, 0), 3);
    assert_eq!(fs::read(path.with_extension("replaced-1")).unwrap(), b"not this");
    // Where it cannot be written again the append is refused, and the next one that can be made has all.
    fs::remove_dir_all(folder.path().join("de-reede")).unwrap();
    fs::write(folder.path().join("de-reede"), "in the way").unwrap();
    append(&mut files, 3).unwrap_err();
    fs::remove_file(folder.path().join("de-reede")).unwrap();
    append(&mut files, 3).unwrap();
    assert_eq!(count_of(&open(folder.path()).0, 0), 4);
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
