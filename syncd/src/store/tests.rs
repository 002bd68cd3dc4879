#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod layout;

use std::fs;
use std::time::Instant;

use crdt_model::catalogue::{Card, CardName, CardStatus, HolderStatus, Policy, Programme};
use crdt_model::ids::{CardSystemId, PassId};
use sync_protocol::version::{GoOn, Version};

use super::bucket::{Bucket, bucket_of};
use super::record::{checksum, closed};
use super::shelf::numbers;
use super::*;

fn card(n: u64) -> CardKey {
    let mut key = [7; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key
}

fn record(pass: u64, cards: &[u64]) -> PassRecord {
    let active = |n: &u64| Card { name: CardName(card(*n)), status: CardStatus::Active };
    PassRecord {
        cards: cards.iter().map(active).collect(),
        ..PassRecord::new(PassId(pass), Programme::Uitpas)
    }
}

fn blocked(pass: u64, cards: &[u64]) -> PassRecord {
    let mut record = record(pass, cards);
    record.cards.iter_mut().for_each(|card| card.status = CardStatus::Blocked);
    record
}

fn opened(path: &Path) -> Store {
    Store::open(path, Arc::default())
}

/// What the desk does in the background.
fn check_all(store: &mut Store) {
    while store.check(1000) {}
    store.heal(None);
    while store.check(1000) {}
}

fn status(store: &Store, n: u64) -> Option<CardStatus> {
    let record = store.pass_of_card(&card(n)).unwrap()?;
    Some(record.card_status(&CardName(card(n))))
}

/// A list of passes 1 to `last` with a card each, pass 1 blocked in a later page; written out and closed.
fn filled(path: &Path, last: u64) -> Vec<Item> {
    let mut store = opened(path);
    let items: Vec<Item> = (1..=last).map(|n| Item::Pass(record(n, &[n]))).collect();
    for page in items.chunks(100) {
        store.apply(page, 7, 7).unwrap();
    }
    store.flush().unwrap();
    store.apply(&[Item::Pass(blocked(1, &[1]))], 8, 8).unwrap();
    store.caught_up();
    store.flush().unwrap();
    assert_eq!(store.trouble(), None);
    let mut items = items;
    items[0] = Item::Pass(blocked(1, &[1]));
    items
}

/// Does something to the records behind the store's back.
fn tamper(path: &Path, with: impl FnOnce(&sled::Db)) {
    // sled gives its lock up a moment after it was closed.
    let begun = Instant::now();
    let database = loop {
        match sled::open(path.join("1")) {
            Ok(database) => break database,
            Err(error) => assert!(begun.elapsed() < LOCK_PATIENCE, "{error}"),
        }
    };
    with(&database);
    database.flush().unwrap();
}

/// Puts these bytes in the place of a record's, or removes the record.
fn put(trees: &sled::Tree, tree: Tree, key: &[u8], value: Option<Vec<u8>>) {
    let name = bucket_of(tree, key).unwrap();
    let mut bucket = Bucket::of(tree, &trees.get(&name).unwrap().unwrap()).unwrap();
    match value {
        Some(value) => drop(bucket.put(key, value)),
        None => drop(bucket.remove(key)),
    }
    match bucket.to_bytes() {
        Some(bytes) => drop(trees.insert(&name, bytes).unwrap()),
        None => drop(trees.remove(&name).unwrap()),
    }
}

fn key(pass: u64) -> [u8; 8] {
    pass.to_be_bytes()
}

/// The hub sends everything anew: then the damaged one is gone.
fn refill(store: &mut Store, path: &Path, items: &[Item]) {
    assert_eq!(store.cursor(Cursor::Catalogue).unwrap(), 0, "everything is asked for again");
    for page in items.chunks(100) {
        store.apply(page, 8, 8).unwrap();
        assert!(path.join("1").exists(), "nothing is given up before the next is whole");
    }
    store.caught_up();
    check_all(store);
    assert_eq!(store.trouble(), None);
    assert!(store.is_whole());
    assert_eq!(numbers(path).unwrap(), [2]);
    assert_eq!(status(store, 1), Some(CardStatus::Blocked));
}

#[test]
fn a_page_is_found_again_after_a_restart_and_a_replaced_card_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = opened(&path);
    store.apply(&[Item::Pass(record(1, &[1, 2])), Item::Pass(record(2, &[3]))], 7, 7).unwrap();
    store.apply(&[Item::Pass(record(1, &[2, 4]))], 8, 8).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = opened(&path);
    assert_eq!(store.trouble(), None);
    assert!(store.is_whole());
    assert_eq!(store.pass_of_card(&card(1)).unwrap(), None);
    assert_eq!(store.pass_of_card(&card(4)).unwrap().unwrap().pass, PassId(1));
    assert_eq!(store.cursor(Cursor::Catalogue).unwrap(), 8);
    assert_eq!(store.passes(), 2);
}

/// Invariant 9.
#[test]
fn a_store_that_will_not_open_is_kept_until_the_next_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let items = filled(&path, 5);
    fs::write(path.join("1/conf"), "not a sled configuration").unwrap();
    fs::write(path.join("1/db"), [0xff; 5000]).unwrap();
    let mut store = opened(&path);
    let trouble = store.trouble();
    assert!(matches!(trouble, Some(StoreTrouble::Damaged { .. })), "{trouble:?}");
    assert_eq!(status(&store, 1), Some(CardStatus::Blocked), "that is known twice");
    refill(&mut store, &path, &items);
}

#[test]
fn the_leftover_of_a_crashed_snapshot_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(opened(&path));
    fs::write(path.join("1/snap.0000000000000ABC.generating"), "half").unwrap();
    assert_eq!(opened(&path).trouble(), None);
}

#[test]
fn a_record_that_does_not_prove_itself_is_noticed_and_the_others_are_used_until_the_hub_has_sent_all()
 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let items = filled(&path, 250);
    tamper(&path, |database| {
        let passes = database.open_tree("passes").unwrap();
        let name = bucket_of(Tree::Passes, &key(9)).unwrap();
        let bucket = Bucket::of(Tree::Passes, &passes.get(name).unwrap().unwrap()).unwrap();
        let mut bytes = bucket.get(&key(9)).unwrap().to_vec();
        bytes[3] ^= 1;
        put(&passes, Tree::Passes, &key(9), Some(bytes));
    });
    let store = opened(&path);
    let trouble = store.trouble();
    let counted = matches!(trouble, Some(StoreTrouble::Damaged { passes: 249, of: 250, .. }));
    assert!(counted, "{trouble:?}");
    assert_eq!(status(&store, 8), Some(CardStatus::Active), "it proves itself whole");
    assert_eq!(status(&store, 9), None, "nobody knows");
    assert_eq!(status(&store, 1), Some(CardStatus::Blocked));
    drop(store);
    let still = opened(&path);
    assert!(matches!(still.trouble(), Some(StoreTrouble::Damaged { passes: 249, of: 250, .. })));
    assert_eq!(status(&still, 8), Some(CardStatus::Active), "also after another start");
    drop(still);
    let mut store = opened(&path);
    // What the hub has sent counts, and the rest is read where it was.
    store.apply(&[Item::Pass(record(8, &[800]))], 0, 0).unwrap();
    assert_eq!(status(&store, 800), Some(CardStatus::Active));
    assert_eq!(status(&store, 8), Some(CardStatus::Deleted), "the pass has another card now");
    refill(&mut store, &path, &items);
}

/// What is done to a store, and its name.
type Tampering<'a> = (&'a str, Box<dyn Fn(&sled::Db) + 'a>);

#[test]
fn a_blocked_pass_stays_blocked_where_its_record_is_lost_or_came_back_in_an_older_form() {
    let whole = tempfile::tempdir().unwrap();
    filled(&whole.path().join("store"), 20);
    let older = shelf::encoded(&record(1, &[1]));
    let older = closed(checksum(Tree::Passes, &key(1), &older), &older);
    let tree = |database: &sled::Db, name: &str| database.open_tree(name).unwrap();
    let ways: [Tampering<'_>; 5] = [
        (
            "an older form",
            Box::new(|it| put(&tree(it, "passes"), Tree::Passes, &key(1), Some(older.clone()))),
        ),
        (
            "its record is lost",
            Box::new(|it| put(&tree(it, "passes"), Tree::Passes, &key(1), None)),
        ),
        ("its card is lost", Box::new(|it| put(&tree(it, "cards"), Tree::Cards, &card(1), None))),
        ("all passes are lost", Box::new(|it| tree(it, "passes").clear().unwrap())),
        ("all numbers are lost", Box::new(|it| tree(it, "meta").clear().unwrap())),
    ];
    for (what, tampering) in ways {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let items = filled(&path, 20);
        tamper(&path, tampering);
        let mut store = opened(&path);
        let trouble = store.trouble();
        assert!(matches!(trouble, Some(StoreTrouble::Damaged { .. })), "{what}: {trouble:?}");
        assert_eq!(status(&store, 1), Some(CardStatus::Blocked), "{what}");
        assert!(store.pass(PassId(1)).is_none_or(|it| it.cards[0].status == CardStatus::Blocked));
        refill(&mut store, &path, &items);
    }
}

#[test]
fn a_store_that_was_put_back_or_emptied_as_a_whole_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = opened(&path);
    store.apply(&[Item::Pass(record(1, &[1]))], 7, 7).unwrap();
    store.flush().unwrap();
    drop(store);
    let earlier = folder.path().join("earlier");
    copy(&path.join("1"), &earlier);
    let mut store = opened(&path);
    store.apply(&[Item::Pass(record(2, &[2]))], 8, 8).unwrap();
    store.flush().unwrap();
    drop(store);
    for put_back in [true, false] {
        let copied = folder.path().join(format!("store-{put_back}"));
        copy(&path, &copied);
        fs::remove_dir_all(copied.join("1")).unwrap();
        if put_back {
            copy(&earlier, &copied.join("1"));
        } else {
            fs::create_dir(copied.join("1")).unwrap();
        }
        let store = opened(&copied);
        let trouble = store.trouble();
        assert!(matches!(trouble, Some(StoreTrouble::Damaged { of: 2, .. })), "{trouble:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A store cut in half, and one with a flipped bit, at many places of the file: no blocked pass is welcome, whatever is
/// lost is said, and the hub can fill the next one.
#[test]
fn whatever_is_lost_by_a_cut_or_a_flipped_bit_is_said_and_no_blocked_pass_is_welcome() {
    const LAST: u64 = 300;
    const PLACES: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let items = filled(&whole, LAST);
    let bytes = fs::read(whole.join("1/db")).unwrap();
    // Behind what is used the file has zeros: a bit there changes nothing.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let cuts =
        [used / 2, used / 4, 100, 0].map(|at| (format!("cut at {at}"), bytes[..at].to_vec()));
    let flips = (0..PLACES).map(|n| {
        let (at, bit) = (n * used / PLACES, n % 8);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        (format!("bit {bit} of {at}"), flipped)
    });
    let mut noticed = 0;
    for (n, (what, damaged)) in cuts.into_iter().chain(flips).enumerate() {
        let path = folder.path().join(n.to_string());
        copy(&whole, &path);
        fs::write(path.join("1/db"), damaged).unwrap();
        let mut store = opened(&path);
        check_all(&mut store);
        assert_eq!(status(&store, 1), Some(CardStatus::Blocked), "{what}");
        let lost = (2..=LAST).any(|n| status(&store, n) != Some(CardStatus::Active));
        store.heal(None);
        let trouble = store.trouble();
        assert!(!lost || trouble.is_some(), "{what}: some are lost and nothing is said");
        noticed += usize::from(trouble.is_some());
        if trouble.is_some() {
            assert!(!store.is_whole(), "{what}");
            if n % 8 == 0 {
                for page in items.chunks(100) {
                    store.apply(page, 8, 8).unwrap();
                }
                store.caught_up();
                check_all(&mut store);
                assert_eq!(store.trouble(), None, "{what}");
            }
        }
        drop(store);
        fs::remove_dir_all(&path).unwrap();
    }
    assert!(noticed >= PLACES / 2, "only {noticed} were noticed");
}

#[test]
fn a_freed_card_is_welcome_again_and_a_blocked_holder_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path, 3);
    let mut store = opened(&path);
    store.apply(&[Item::Pass(record(1, &[1]))], 9, 9).unwrap();
    assert_eq!(status(&store, 1), Some(CardStatus::Active));
    let holder = PassRecord { holder: HolderStatus::Blocked, ..record(2, &[2]) };
    store.apply(&[Item::Pass(holder)], 10, 10).unwrap();
    store.flush().unwrap();
    drop(store);
    let mut store = opened(&path);
    check_all(&mut store);
    assert_eq!(status(&store, 1), Some(CardStatus::Active));
    let of_two = store.pass_of_card(&card(2)).unwrap().unwrap();
    assert_eq!(of_two.holder, HolderStatus::Blocked);
    // A blocked card that went over to another pass is that one's.
    store.apply(&[Item::Pass(blocked(3, &[3]))], 11, 11).unwrap();
    store.apply(&[Item::Pass(record(2, &[2, 3]))], 12, 12).unwrap();
    assert_eq!(status(&store, 3), Some(CardStatus::Active));
}

/// The desk was stopped between the page that freed a card and the change of the list.
#[test]
fn a_denial_that_ended_unnoticed_is_put_right_by_the_check_and_one_that_the_store_lost_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path, 2);
    let before = fs::read(path.join("denied")).unwrap();
    let mut store = opened(&path);
    store.apply(&[Item::Pass(record(1, &[1]))], 9, 9).unwrap();
    store.flush().unwrap();
    drop(store);
    fs::write(path.join("denied"), before).unwrap();
    let mut store = opened(&path);
    check_all(&mut store);
    assert_eq!(status(&store, 1), Some(CardStatus::Active), "it was freed");
    // A page that a power cut took: the list has it, the store does not.
    let later = store.current.as_ref().unwrap().tally().revision + 1;
    let denial = Denial::of(&blocked(2, &[2]), &blocked(2, &[2]).cards[0], 1, later);
    store.take_denials(&[(card(2), denial)]).unwrap();
    store.flush().unwrap();
    drop(store);
    let mut store = opened(&path);
    // What is written next uses the lost revisions again.
    for n in 1..4 {
        store.set_cursor(Cursor::Venue, n).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    let mut store = opened(&path);
    check_all(&mut store);
    assert_eq!(status(&store, 2), Some(CardStatus::Blocked));
    store.apply(&[Item::Pass(blocked(2, &[2]))], 10, 10).unwrap();
    let known = store.denied.get(&card(2)).map(|it| it.revision);
    assert_eq!(known, Some(store.current.as_ref().unwrap().tally().revision), "it has it now");
    // A list that is lost comes back from the store.
    store.apply(&[Item::Pass(blocked(2, &[2]))], 10, 10).unwrap();
    store.flush().unwrap();
    drop(store);
    fs::remove_file(path.join("denied")).unwrap();
    let mut store = opened(&path);
    check_all(&mut store);
    assert!(store.denied.get(&card(2)).is_some());
}

#[test]
fn what_changes_while_the_check_goes_on_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path, 100);
    let mut store = opened(&path);
    store.current.as_mut().unwrap().check = check::Check::default();
    let mut n = 0;
    while store.check(7) {
        n += 1;
        store
            .apply(&[Item::Pass(record(2 + n % 300, &[n % 300, 900 + n % 5]))], 9 + n, 9 + n)
            .unwrap();
        store.set_cursor(Cursor::Venue, n).unwrap();
    }
    assert!(n > 10, "the check took {n} steps");
    assert_eq!(store.trouble(), None);
    assert!(store.is_whole());
}

/// Nothing of the old list is lost by a new version of the program.
#[test]
fn the_list_of_an_earlier_version_is_used_until_the_hub_has_sent_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let items: Vec<Item> = vec![Item::Pass(blocked(1, &[1])), Item::Pass(record(2, &[2]))];
    let database = sled::open(&path).unwrap();
    database.open_tree("meta").unwrap().insert("layout", &b"stempel store 2"[..]).unwrap();
    for (n, it) in [(1, blocked(1, &[1])), (2, record(2, &[2]))] {
        database.open_tree("passes").unwrap().insert(key(n), shelf::encoded(&it)).unwrap();
        database.open_tree("cards").unwrap().insert(card(n), &key(n)).unwrap();
    }
    database.flush().unwrap();
    drop(database);
    let mut store = opened(&path);
    assert_eq!(store.trouble(), Some(StoreTrouble::OfEarlierVersion { passes: 2 }));
    assert_eq!(status(&store, 1), Some(CardStatus::Blocked));
    assert_eq!(status(&store, 2), Some(CardStatus::Active));
    store.apply(&items, 8, 8).unwrap();
    store.caught_up();
    check_all(&mut store);
    assert_eq!(store.trouble(), None);
    assert!(!path.join("db").exists() && path.join("1").exists());
    assert_eq!(status(&store, 2), Some(CardStatus::Active));
}

#[test]
fn damage_that_a_look_up_finds_is_seen_to_while_the_desk_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path, 9);
    let mut store = opened(&path);
    let shelf = store.current.as_ref().unwrap();
    let not_it = Some(b"not what was written".to_vec());
    put(&shelf.trees[Tree::Passes as usize], Tree::Passes, &key(4), not_it);
    assert_eq!(status(&store, 4), None, "nobody knows");
    assert!(store.heal(None));
    assert!(store.is_damaged() && store.is_writable());
    assert_eq!(numbers(&path).unwrap(), [2, 1]);
    assert_eq!(status(&store, 5), Some(CardStatus::Active));
    assert_eq!(status(&store, 1), Some(CardStatus::Blocked));
    assert!(!store.heal(None), "once is enough");
}

#[test]
fn what_the_operating_system_refuses_sets_no_store_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path, 9);
    let mut store = opened(&path);
    let no_descriptors = rustix::io::Errno::MFILE.raw_os_error();
    let error = || std::io::Error::from_raw_os_error(no_descriptors);
    for error in [
        StoreError::Sled(sled::Error::Io(error())),
        StoreError::Disk { path: path.clone(), error: error() },
    ] {
        store.noted::<()>(Err(error));
        assert!(store.heal(None));
        assert_eq!(store.trouble(), None);
        assert_eq!(numbers(&path).unwrap(), [1]);
        assert_eq!(status(&store, 5), Some(CardStatus::Active));
    }
}

#[test]
fn a_damaged_store_for_whose_successor_there_was_no_room_gets_one_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let items = filled(&path, 9);
    let mut store = opened(&path);
    store.set_aside("a test says so".to_owned());
    store.current = None;
    fs::remove_dir_all(path.join("2")).unwrap();
    store.closed = Some(("no room".to_owned(), Some(DiskTrouble::Full)));
    assert!(matches!(store.trouble(), Some(StoreTrouble::Closed { .. })));
    assert_eq!(status(&store, 5), Some(CardStatus::Active), "it is read all the same");
    assert!(store.heal(None));
    assert!(matches!(store.trouble(), Some(StoreTrouble::Damaged { passes: 9, of: 9, .. })));
    refill(&mut store, &path, &items);
}

#[test]
fn a_loss_in_a_list_that_is_too_long_for_the_start_is_found_while_the_desk_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path, 4000);
    tamper(&path, |database| {
        put(&database.open_tree("cards").unwrap(), Tree::Cards, &card(3999), None);
    });
    let mut store = opened(&path);
    assert!(!store.is_whole(), "nobody knows yet");
    assert_eq!(store.trouble(), None);
    check_all(&mut store);
    let trouble = store.trouble();
    assert!(matches!(trouble, Some(StoreTrouble::Damaged { of: 4000, .. })), "{trouble:?}");
}

#[test]
fn however_often_a_store_is_damaged_only_a_few_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let items = filled(&path, 9);
    let mut store = opened(&path);
    for _ in 0..5 {
        store.set_aside("a test says so".to_owned());
        assert!(numbers(&path).unwrap().len() <= 3, "{:?}", numbers(&path).unwrap());
        assert!(path.join("1").exists(), "the first had most");
        assert_eq!(status(&store, 5), Some(CardStatus::Active));
    }
    store.apply(&items, 8, 8).unwrap();
    store.caught_up();
    check_all(&mut store);
    assert_eq!(numbers(&path).unwrap(), [6]);
    assert_eq!(store.trouble(), None);
}

/// A store that was given a policy, and whose sled is then lost.
fn lost_with_a_policy(path: &Path) -> Policy {
    let mut store = opened(path);
    let policy = Policy { unknown_cards_a_day: Some(17), ..Policy::default() };
    store.apply(&[Item::Policy(policy.clone())], 7, 7).unwrap();
    store.flush().unwrap();
    drop(store);
    fs::write(path.join("1/db"), "no sled").unwrap();
    policy
}

/// Without its activity a desk checks nobody in.
#[test]
fn the_small_parts_of_the_catalogue_are_there_however_much_of_the_store_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let policy = lost_with_a_policy(&path);
    let store = opened(&path);
    assert!(store.is_damaged());
    assert_eq!(store.policy(), policy);
}

#[test]
fn the_small_parts_are_taken_over_also_where_the_new_store_could_only_be_begun_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let policy = lost_with_a_policy(&path);
    Shelf::open(&path, 2).unwrap().flush().unwrap();
    let store = opened(&path);
    assert_eq!(numbers(&path).unwrap(), [2, 1]);
    assert_eq!(store.policy(), policy);
}

#[test]
fn acknowledgements_are_taken_over_from_a_damaged_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path, 3);
    let writer = Writer::from_bytes(&[5; 20]).unwrap();
    let day = jiff::civil::date(2026, 11, 26);
    let mut store = opened(&path);
    store.acknowledge(day, &writer, 12).unwrap();
    store.flush().unwrap();
    drop(store);
    tamper(&path, |database| {
        put(&database.open_tree("passes").unwrap(), Tree::Passes, &key(2), None);
    });
    let mut store = opened(&path);
    assert!(store.is_damaged());
    assert_eq!(store.acknowledgements(), [(day_number(day), writer, 12)]);
    store.forget_acknowledgements().unwrap();
    store.flush().unwrap();
    drop(store);
    assert_eq!(opened(&path).acknowledgements(), []);
}

#[test]
fn what_came_beyond_a_number_is_named_and_what_is_gone_leaves_nothing() {
    use crdt_model::catalogue::CardSystem;
    use crdt_model::holder::SealedHolder;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = opened(&path);
    let at = |run, number| Version { run, number };
    store.note_told(at(1, 5)).unwrap();
    let system = CardSystem {
        card_system: CardSystemId(3),
        name: "UiTPAS Mechelen".to_owned(),
        membership_prices: Vec::new(),
    };
    store.apply(&[Item::Pass(record(1, &[1])), Item::CardSystem(system)], 5, 5).unwrap();
    store.apply(&[Item::Pass(blocked(2, &[2])), Item::Policy(Policy::default())], 9, 9).unwrap();
    let holder = SealedHolder { details: [1; _], picture: Some(vec![7; 4096]), locks: Vec::new() };
    let sealed = |pass| SealedPart { pass: PassId(pass), sealed: Some(holder.clone()) };
    store.apply_holders(&[sealed(1), sealed(2)], 8, 8).unwrap();
    store.flush().unwrap();
    drop(store);
    let mut store = opened(&path);
    let (one, two) = (ItemName::Pass(PassId(1)), ItemName::Pass(PassId(2)));
    let system = ItemName::CardSystem(CardSystemId(3));
    assert_eq!(store.names_beyond(5, 8).unwrap(), [two, ItemName::Policy]);
    assert_eq!(store.names_beyond(9, 7).unwrap(), [one, two]);
    assert_eq!(store.names_beyond(4, 8).unwrap(), [one, two, ItemName::Policy, system]);
    assert_eq!(store.seen().catalogue, [at(1, 9)]);
    store.set_run(Some(2));
    store.apply(&[Item::Gone(two), Item::Gone(system)], 9, 9).unwrap();
    // What answers a desk that says something again moves nothing, and run 2 has told no 9.
    assert_eq!(store.seen().catalogue, [at(1, 9)]);
    assert_eq!((status(&store, 2), store.holder(PassId(2))), (None, None));
    assert_eq!(store.card_systems(), []);
    let go_on = GoOn { catalogue: 4, venue: 3, holders: 2, notices: 0 };
    store.go_back(go_on, 4, at(2, 9)).unwrap();
    drop(store);
    let store = opened(&path);
    let cursors = [Cursor::Catalogue, Cursor::Venue, Cursor::Holders];
    assert_eq!(cursors.map(|it| store.cursor(it).unwrap()), [4, 3, 2]);
    assert_eq!((store.seen().catalogue, store.seen().any), (vec![at(2, 4)], vec![at(2, 9)]));
}

/// An earlier version kept no numbers.
#[test]
fn what_was_kept_without_its_number_counts_as_come_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder.path().join("store"));
    store.apply(&[Item::Pass(record(1, &[1]))], 5, 5).unwrap();
    let bytes = shelf::encoded(&record(2, &[2]));
    store.write(|writing| writing.put(Tree::Passes, &2u64.to_be_bytes(), &bytes)).unwrap();
    store.set_cursor(Cursor::Catalogue, 9).unwrap();
    assert_eq!(store.pass(PassId(2)).unwrap().pass, PassId(2));
    assert_eq!(store.names_beyond(8, 0).unwrap(), [ItemName::Pass(PassId(2))]);
    assert_eq!(store.names_beyond(9, 0).unwrap(), []);
}

/// A restored hub that has come less far than the one before tells again what it lost, and the line is cut meanwhile: the
/// desk was told nothing of that run so far.
#[test]
fn a_cursor_that_stands_says_nothing_of_the_run_that_tells_something_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = opened(&folder.path().join("store"));
    store.set_run(Some(1));
    store.set_cursor(Cursor::Venue, 40).unwrap();
    store.set_run(Some(2));
    store.set_cursor(Cursor::Venue, 40).unwrap();
    assert_eq!(store.seen().venue, [Version { run: 1, number: 40 }]);
    store.set_cursor(Cursor::Venue, 41).unwrap();
    assert_eq!(store.seen().venue[0], Version { run: 2, number: 41 });
}
