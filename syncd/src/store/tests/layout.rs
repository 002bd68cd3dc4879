//! How the records lie in sled.

use super::*;

/// A store that was begun before there were buckets goes on as it is.
#[test]
fn a_list_without_buckets_is_read_and_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::create_dir_all(&path).unwrap();
    let database = sled::open(path.join("1")).unwrap();
    database.open_tree("meta").unwrap().insert("layout", &b"stempel store 3"[..]).unwrap();
    let mut tally = record::Tally { revision: 1, ..record::Tally::default() };
    for (name, tree, key, value) in [
        ("passes", Tree::Passes, &key(1)[..], stamped(&record(1, &[1]), 5)),
        ("cards", Tree::Cards, &card(1)[..], key(1).to_vec()),
    ] {
        let checksum = checksum(tree, key, &value);
        database.open_tree(name).unwrap().insert(key, closed(checksum, &value)).unwrap();
        tally.of_mut(tree).add(checksum);
    }
    let tally = shelf::encoded(&tally);
    let tally = closed(checksum(Tree::Meta, b"tally", &tally), &tally);
    database.open_tree("meta").unwrap().insert("tally", tally).unwrap();
    database.flush().unwrap();
    drop(database);
    let mut store = opened(&path);
    assert_eq!((store.trouble(), store.is_whole()), (None, true));
    store.apply(&[Item::Pass(record(2, &[2])), Item::Pass(blocked(1, &[1]))], 8, 8).unwrap();
    store.flush().unwrap();
    drop(store);
    let mut store = opened(&path);
    check_all(&mut store);
    assert_eq!((store.trouble(), store.is_whole()), (None, true));
    assert_eq!(status(&store, 1), Some(CardStatus::Blocked));
    assert_eq!(status(&store, 2), Some(CardStatus::Active));
    assert_eq!(store.names_beyond(7, 0).unwrap().len(), 2);
}

/// sled notes where its leaves lie when it is opened.
#[test]
fn a_list_that_grew_much_is_opened_anew_and_what_was_checked_of_it_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let noted = || fs::read_dir(path.join("1")).unwrap().flatten().map(|it| it.file_name());
    let noted = || noted().filter(|name| name.to_string_lossy().starts_with("snap.")).max();
    let mut store = opened(&path);
    let (mut n, before) = (0, noted());
    while !store.current.as_ref().unwrap().has_grown() {
        let items: Vec<Item> = (n..n + 2000).map(|n| Item::Pass(record(n, &[n]))).collect();
        n += 2000;
        store.apply(&items, n, n).unwrap();
    }
    check_all(&mut store);
    assert!(store.is_whole());
    store.flush().unwrap();
    assert_ne!(noted(), before);
    assert_eq!((store.trouble(), store.is_whole()), (None, true));
    assert_eq!((store.passes(), status(&store, n - 1)), (n, Some(CardStatus::Active)));
    assert!(!store.current.as_ref().unwrap().has_grown());
}
