use automerge::transaction::{CommitOptions, Transactable};
use automerge::{AutoCommit, ROOT, ReadDoc, Value};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::chunk::walk;
use crate::samples::{
    any_entry_bytes, cases, desk, entry, ledger_id, some_entries, with_newer_field,
};

fn appended(ledger: &mut Ledger, writer: Writer, entry: &Entry) -> Vec<u8> {
    let extension = ledger.appended(writer, entry).unwrap();
    ledger.extend(&extension).unwrap();
    extension.chunks().to_vec()
}

/// The lists of an Automerge document, read back through the library.
fn lists_of(document: &Automerge) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut lists = BTreeMap::new();
    for name in document.keys(ROOT) {
        let (_, list) = document.get(ROOT, &name).unwrap().unwrap();
        let entries = (0..document.length(&list)).map(|index| {
            match document.get(&list, index).unwrap().unwrap().0 {
                Value::Scalar(scalar) => scalar.as_bytes().unwrap().to_vec(),
                Value::Object(_) => panic!("an entry is a scalar"),
            }
        });
        let entries = entries.collect();
        lists.insert(name, entries);
    }
    lists
}

fn lists_in(ledger: &Ledger) -> BTreeMap<String, Vec<Vec<u8>>> {
    ledger
        .writers()
        .map(|writer| {
            let entries = ledger.entries_of(&writer, 0).iter();
            (writer.to_string(), entries.map(|e| e.encode(ledger.id().day, &writer)).collect())
        })
        .collect()
}

#[test]
fn a_canonical_change_is_what_automerge_itself_writes() {
    let (writer, mut ledger) = (desk(1), Ledger::new(ledger_id()));
    let mut document = AutoCommit::new().with_actor(ActorId::from(&writer.to_bytes()[..]));
    let mut list = None;
    for n in 0..40 {
        let entry = entry(n);
        let ours = appended(&mut ledger, writer, &entry);
        let list = list.get_or_insert_with(|| {
            document.put_object(ROOT, writer.to_string(), ObjType::List).unwrap()
        });
        let at = document.length(&*list);
        document.insert(&*list, at, entry.encode(ledger.id().day, &writer)).unwrap();
        document.commit_with(CommitOptions::default().with_time(0));
        let theirs = document.get_last_local_change().unwrap();
        assert_eq!(ours, theirs.raw_bytes(), "change {n}");
    }
}

/// A ledger file of release 0.1: `entry(0)` and `entry(1)` of desk 1.
const RELEASE_0_1: &str = "\
    856f4a83c1acb1fb018101001401010101010101010101010101010101000000010101000000090104020413\
    04152d340242035604570f700200017f0000017f0100017f007f293031303130313031303130313031303130\
    3130313031303130313031303130312e3030303030303031000101017e02017e00f701a500010107031a025c\
    3f80040105010200856f4a83ee3faa1d016e01c1acb1fbcdccb8a2f00aecef47c443126ecdf92db4de9f7491\
    e33e4a447d8c0614010101010101010101010101010101010000000102030000000901020202110213023402\
    42025603570f70027f007f017f007f0200017f017ff701a500010107031a025c3f81040105017f00";

/// A later version must read it for ever, and write the same.
#[test]
fn the_file_of_release_0_1_is_still_read() {
    let byte = |at: usize| u8::from_str_radix(&RELEASE_0_1[at..at + 2], 16).unwrap();
    let file: Vec<u8> = (0..RELEASE_0_1.len()).step_by(2).map(byte).collect();
    let mut ledger = Ledger::new(ledger_id());
    for chunk in walk(&file).chunks {
        ledger.take_chunk(&chunk, &file).unwrap();
    }
    assert_eq!(ledger.entries_of(&desk(1), 0), [entry(0), entry(1)]);

    let mut now = Ledger::new(ledger_id());
    let written: Vec<u8> = (0..2).flat_map(|n| appended(&mut now, desk(1), &entry(n))).collect();
    assert_eq!(written, file);
}

#[test]
fn change_chunks_one_behind_the_other_are_a_file_that_automerge_loads() {
    let mut ledger = Ledger::new(ledger_id());
    let mut file = Vec::new();
    for n in 0..20 {
        file.extend(appended(&mut ledger, desk(u8::try_from(n % 3).unwrap()), &entry(n)));
    }
    let loaded = Automerge::load(&file).unwrap();
    assert_eq!(lists_of(&loaded), lists_in(&ledger));
    let mut walked = Ledger::new(ledger_id());
    for chunk in walk(&file).chunks {
        walked.take_chunk(&chunk, &file).unwrap();
    }
    assert_eq!(walked, ledger);
}

#[test]
fn a_compacted_document_gives_the_same_ledger_back() {
    let mut ledger = Ledger::new(ledger_id());
    for n in 0..300 {
        appended(&mut ledger, desk(u8::try_from(n % 3).unwrap()), &entry(n));
    }
    let saved = ledger.document().unwrap().save();
    let mut loaded = Ledger::new(ledger_id());
    for chunk in walk(&saved).chunks {
        loaded.take_chunk(&chunk, &saved).unwrap();
    }
    assert_eq!(loaded, ledger);
}

/// A change of `writer`, made by hand from the canonical one.
fn forged(ledger: &Ledger, change: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let bytes = entry(99).encode(ledger.id().day, &desk(1));
    let canonical = canonical_change(&desk(1), &ledger.position(&desk(1)), &bytes);
    let mut expanded = canonical.decode();
    change(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

#[test]
fn whatever_is_not_the_next_canonical_change_is_refused_and_changes_nothing() {
    let mut ledger = Ledger::new(ledger_id());
    for n in 0..3 {
        appended(&mut ledger, desk(1), &entry(n));
        appended(&mut ledger, desk(2), &entry(10 + n));
    }
    let before = ledger.clone();
    let other_list = ObjectId::Id(OpId(1, ActorId::from(&desk(2).to_bytes()[..])));
    let head_of_other = ChangeHash(ledger.position(&desk(2)).head);
    let forgeries: Vec<(&str, Vec<u8>)> = vec![
        ("a gap", forged(&ledger, |c| c.seq += 1)),
        ("an earlier place", forged(&ledger, |c| c.seq -= 1)),
        ("a message", forged(&ledger, |c| c.message = Some("hello".to_owned()))),
        ("a time", forged(&ledger, |c| c.time = 1)),
        ("extra bytes", forged(&ledger, |c| c.extra_bytes = vec![1])),
        ("another dependency", forged(&ledger, |c| c.deps.push(head_of_other))),
        ("no dependency", forged(&ledger, |c| c.deps.clear())),
        ("another's list", forged(&ledger, |c| c.operations[0].obj = other_list.clone())),
        ("the list's head", forged(&ledger, |c| c.operations[0].key = Key::Seq(ElementId::Head))),
        (
            "a delete",
            forged(&ledger, |c| {
                c.operations[0].insert = false;
                c.operations[0].action = OpType::Delete;
            }),
        ),
        ("two operations", forged(&ledger, |c| c.operations.push(c.operations[0].clone()))),
        (
            "no entry",
            forged(&ledger, |c| {
                c.operations[0].action = OpType::Put(ScalarValue::Bytes(vec![0xff]));
            }),
        ),
        (
            "an integer",
            forged(&ledger, |c| c.operations[0].action = OpType::Put(ScalarValue::Int(1))),
        ),
        ("too large", vec![0; MAX_CHANGE_BYTES + 1]),
        ("nothing", Vec::new()),
    ];
    for (what, chunk) in forgeries {
        assert!(ledger.check_change(&chunk).is_err(), "{what}");
    }
    let good = forged(&ledger, |_| ());
    for byte in 0..good.len() {
        let mut flipped = good.clone();
        flipped[byte] ^= 1;
        assert!(ledger.check_change(&flipped).is_err(), "byte {byte}");
    }
    assert!(ledger.check_change(&good).is_ok());
    assert_eq!(ledger, before);
}

#[test]
fn the_first_holder_of_a_place_keeps_it() {
    let mut ledger = Ledger::new(ledger_id());
    appended(&mut ledger, desk(1), &entry(1));
    let (one, other) = (
        ledger.appended(desk(1), &entry(2)).unwrap(),
        ledger.appended(desk(1), &entry(3)).unwrap(),
    );
    ledger.extend(&one).unwrap();
    assert!(matches!(ledger.extend(&other), Err(MergeError::NotCanonical { .. })));
    assert!(matches!(ledger.check_change(other.chunks()), Err(MergeError::NotCanonical { .. })));
    assert!(ledger.check_change(one.chunks()).unwrap().entries().is_empty(), "held already");
}

proptest! {
    /// Invariants 2 and 3: whatever the split over desks, the order, the repetition and the size of
    /// exchanges, everybody ends with the union, and so does Automerge.
    #[test]
    fn ledgers_merge_to_the_union_in_any_order(
        written in prop::collection::vec((0u8..4, some_entries()), 0..40),
        exchanges in prop::collection::vec((0usize..4, 0usize..4, 0u64..8, 1usize..9, any::<bool>()), 0..120),
    ) {
        let mut desks: Vec<Ledger> = (0..4).map(|_| Ledger::new(ledger_id())).collect();
        let mut union = Ledger::new(ledger_id());
        for (n, entry) in &written {
            appended(&mut desks[usize::from(*n)], desk(*n), entry);
            appended(&mut union, desk(*n), entry);
        }
        let send = |desks: &mut Vec<Ledger>, from: usize, to: usize, back: u64, most: usize, chunks: bool| {
            for writer in desks[from].writers().collect::<Vec<_>>() {
                let first = desks[to].position(&writer).sequence.saturating_sub(back);
                let entries: Vec<Vec<u8>> = desks[from]
                    .entries_of(&writer, first)
                    .iter()
                    .take(most)
                    .map(|entry| entry.encode(ledger_id().day, &writer))
                    .collect();
                let extension =
                    desks[to].extension(writer, first + 1, entries.iter().map(Vec::as_slice)).unwrap();
                if chunks {
                    for chunk in walk(extension.chunks()).chunks {
                        let checked = desks[to].check_change(&extension.chunks()[chunk.range]).unwrap();
                        desks[to].extend(&checked).unwrap();
                    }
                } else {
                    desks[to].extend(&extension).unwrap();
                    desks[to].extend(&extension).unwrap();
                }
            }
        };
        for (from, to, back, most, chunks) in exchanges {
            send(&mut desks, from, to, back, most, chunks);
        }
        for _ in 0..2 {
            for from in 0..4 {
                for to in 0..4 {
                    send(&mut desks, from, to, 0, usize::MAX, false);
                }
            }
        }
        for desk in &desks {
            prop_assert_eq!(desk, &union);
        }
        let mut merged = Automerge::new();
        for desk in &desks {
            merged.merge(&mut desk.document().unwrap()).unwrap();
        }
        prop_assert_eq!(lists_of(&merged), lists_in(&union));
    }
}

/// The chunk of each change by which desk 1 writes these entries.
fn changes(entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut held = Position::default();
    let change = |bytes: &Vec<u8>| {
        let change = canonical_change(&desk(1), &held, bytes);
        held = Position { sequence: held.sequence + 1, head: change.hash().0 };
        change.raw_bytes().to_vec()
    };
    entries.iter().map(change).collect()
}

fn taken(entries: &[Vec<u8>]) -> Ledger {
    let mut ledger = Ledger::new(ledger_id());
    let all = ledger.extension(desk(1), 1, entries.iter().map(Vec::as_slice)).unwrap();
    ledger.extend(&all).unwrap();
    ledger
}

proptest! {
    #![proptest_config(cases(512))]

    /// Invariants 2 and 7. The checksum is put right, so that a change is refused for what it says.
    #[test]
    fn a_change_with_other_bytes_is_refused_without_a_panic(
        entries in prop::collection::vec(any_entry_bytes(), 1..3),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let ledger = taken(&entries[..entries.len() - 1]);
        let right = changes(&entries).pop().unwrap();
        let mut chunk = right.clone();
        for (place, flip) in flips {
            let place = 9 + place.index(chunk.len() - 9);
            chunk[place] ^= flip;
        }
        let digest = Sha256::digest(&chunk[8..]);
        chunk[4..8].copy_from_slice(&digest[..4]);
        prop_assume!(chunk != right);
        if let Ok(extension) = ledger.check_change(&chunk) {
            // Another fact, or another writer's: canonical for what it says.
            prop_assert_eq!(extension.chunks(), &chunk[..]);
        }
    }

    /// Invariant 2: an older version keeps, sends on, saves and compacts what a newer one wrote.
    #[test]
    fn no_byte_of_a_newer_version_is_lost(entries in prop::collection::vec(any_entry_bytes(), 1..12)) {
        let ledger = taken(&entries);
        prop_assert_eq!(&ledger.entry_bytes_of(&desk(1), 0).collect::<Vec<_>>(), &entries);
        let mut by_changes = Ledger::new(ledger_id());
        for chunk in changes(&entries) {
            let checked = by_changes.check_change(&chunk).unwrap();
            prop_assert_eq!(checked.entry_bytes().len(), 1);
            by_changes.extend(&checked).unwrap();
        }
        prop_assert_eq!(&by_changes, &ledger);

        let document = ledger.document().unwrap();
        prop_assert_eq!(&lists_of(&document)[&desk(1).to_string()], &entries);
        let saved = document.save();
        let mut loaded = Ledger::new(ledger_id());
        for chunk in walk(&saved).chunks {
            loaded.take_chunk(&chunk, &saved).unwrap();
        }
        prop_assert_eq!(loaded, ledger);
    }
}

#[test]
fn a_chunk_of_another_type_or_size_is_refused_before_anything_is_inflated() {
    let bytes = with_newer_field(entry(0).encode(ledger_id().day, &desk(1)), &[0; 200]);
    let (ledger, right) = (Ledger::new(ledger_id()), changes(&[bytes]).remove(0));
    assert!(ledger.check_change(&right).is_ok());
    let deflated = Change::from_bytes(right.clone()).unwrap().bytes().into_owned();
    assert_eq!(deflated[8], 2, "Automerge deflates what has more than 256 bytes");
    let mut large = Change::from_bytes(right.clone()).unwrap().decode();
    large.extra_bytes = vec![0; MAX_CHANGE_BYTES];
    for (what, chunk) in [
        ("deflated", deflated),
        ("oversized", Change::from(large).raw_bytes().to_vec()),
        ("a document", Automerge::new().save()),
        ("torn", right[..right.len() - 1].to_vec()),
        ("two", [&right[..], &right].concat()),
    ] {
        let error = ledger.check_change(&chunk).expect_err(what);
        assert!(matches!(error, MergeError::NotAChange { .. }), "{what}: {error}");
    }
}

#[test]
fn an_extension_behind_another_list_is_refused_though_nothing_overlaps() {
    let bytes = [1, 2, 3].map(|n| entry(n).encode(ledger_id().day, &desk(1)));
    let mut here = taken(&bytes[..1]);
    let there = taken(&bytes[1..2]);
    let extension = there.extension(desk(1), 2, [&bytes[2][..]]).unwrap();
    let before = here.clone();
    let not_canonical = MergeError::NotCanonical { writer: desk(1), sequence: 2 };
    assert_eq!(here.extend(&extension), Err(not_canonical.clone()));
    assert_eq!(here.check_change(extension.chunks()).unwrap_err(), not_canonical);
    assert_eq!(here, before);
    let gap = MergeError::Gap { first: 2, held: 0 };
    assert_eq!(Ledger::new(ledger_id()).extend(&extension), Err(gap.clone()));
    assert_eq!(Ledger::new(ledger_id()).check_change(extension.chunks()).unwrap_err(), gap);
}

#[test]
fn an_extension_passes_over_what_is_there() {
    let bytes = [0, 1, 2].map(|n| entry(n).encode(ledger_id().day, &desk(1)));
    let mut ledger = taken(&bytes[..2]);
    let all = bytes.iter().map(Vec::as_slice);
    let held = ledger.extension(desk(1), 1, all.clone().take(2)).unwrap();
    assert_eq!((held.head(), held.entries().len()), (ledger.position(&desk(1)), 0));
    let extension = ledger.extension(desk(1), 1, all).unwrap();
    assert_eq!((extension.first_index(), extension.entries()), (2, &[entry(2)][..]));
    ledger.extend(&extension).unwrap();
    assert_eq!(ledger, taken(&bytes));
    assert_eq!(ledger.position_at(&desk(1), 2), Some(held.head()));
}

#[test]
fn a_list_takes_no_more_than_its_bound() {
    let full = Position { sequence: MAX_LIST_ENTRIES, head: [1; 32] };
    let bytes = entry(0).encode(ledger_id().day, &desk(1));
    let more = Extension::behind(&ledger_id(), desk(1), full, MAX_LIST_ENTRIES + 1, [&bytes[..]]);
    assert_eq!(more.unwrap_err(), MergeError::TooLong);
}

#[test]
fn a_change_whose_list_is_broken_off_before_it_is_still_proved_by_itself() {
    let mut ledger = Ledger::new(ledger_id());
    let mut chunks = Vec::new();
    for entry in (0..4).map(entry) {
        let extension = ledger.appended(desk(1), &entry).unwrap();
        ledger.extend(&extension).unwrap();
        chunks.push(extension.chunks().to_vec());
    }
    for (index, chunk) in (0u64..).zip(&chunks) {
        let orphan = Orphan::of(ledger_id().day, chunk).unwrap();
        let place = EntryRef { day: ledger_id().day, writer: desk(1), index };
        let entry = ledger.entry_bytes_of(&desk(1), index).next().unwrap();
        assert_eq!(orphan, Orphan { place, entry });
        for byte in 8..chunk.len() {
            let mut other = chunk.clone();
            other[byte] ^= 1;
            assert_eq!(Orphan::of(ledger_id().day, &other), None, "byte {byte}");
        }
    }
}

#[test]
fn a_ledger_knows_which_of_its_entries_are_copies() {
    let mut ledger = Ledger::new(ledger_id());
    let first = EntryRef { day: ledger_id().day, writer: desk(1), index: 7 };
    // Another list of the same desk.
    let other = Writer { epoch: 2, ..desk(1) };
    let entry = entry(0);
    let copy = crate::entry::copy_of(&entry.encode(ledger_id().day, &desk(1)), &first).unwrap();
    let plain = entry.encode(ledger_id().day, &other);
    let bytes = [&plain[..], &copy];
    let extension = ledger.extension(other, 1, bytes).unwrap();
    ledger.extend(&extension).unwrap();
    let place = |index| EntryRef { index, writer: other, ..first };
    assert_eq!([ledger.first_place(&place(0)), ledger.first_place(&place(1))], [None, Some(first)]);
    assert_eq!(ledger.entry_bytes_of(&other, 0).collect::<Vec<_>>(), bytes);
    ledger.remove(&other);
    assert!(ledger.is_empty() && ledger.first_places_of(&other).next().is_none());
}
