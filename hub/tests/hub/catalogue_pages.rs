//! Pages of the catalogue: taken in any pieces they give the same, and no desk is sent a page that
//! it cannot unpack.

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::catalogue::{CardStatus, Item};
use crdt_model::ids::PassId;
use hub::catalogue::{Stretch, behind, denied_behind};
use hub::db::{Db, sql};
use hub::ledgers::take;
use sync_protocol::catalogue::{MAX_PAGE_ITEMS, fitting, unpack};
use sync_protocol::feed::Numbered;

use crate::desk::{TestDesk, check_in, execute, hub_with_passes, put_list, put_passes, row, venue};

/// The stretch behind `from`, as one page takes it.
async fn page(db: &Db, from: u64) -> Option<Stretch> {
    let mut reading = db.read().await.unwrap();
    let mut stretch = behind(&mut reading, &venue(), from, MAX_PAGE_ITEMS).await.unwrap();
    let fitting = fitting(stretch.items.iter().map(|it| &it.item));
    assert!(fitting.too_large.is_empty());
    unpack(&fitting.packed).expect("a desk can unpack every page");
    if fitting.settled < stretch.items.len() {
        stretch.items.truncate(fitting.settled);
        stretch.to = stretch.items.last().unwrap().number;
        stretch.last = false;
    }
    (stretch.to > from).then_some(stretch)
}

/// Everything behind `from`, page by page; pass by pass the newest record.
async fn all_pages(db: &Db, mut from: u64) -> (BTreeMap<PassId, Item>, u64, usize) {
    let (mut passes, mut pages) = (BTreeMap::new(), 0);
    while let Some(page) = page(db, from).await {
        for Numbered { item, .. } in page.items {
            if let Item::Pass(record) = &item {
                passes.insert(record.pass, item);
            }
        }
        (from, pages) = (page.to, pages + 1);
        if page.last {
            break;
        }
    }
    (passes, from, pages)
}

#[tokio::test]
async fn pages_resumed_anywhere_give_what_one_pass_gives() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    put_passes(&db, 11..=2500, CardStatus::Active).await;
    let (whole, version, pages) = all_pages(&db, 0).await;
    assert_eq!(whole.len(), 2500);
    assert!(pages >= 3);
    // A desk that has everything up to `from` already lacks exactly what stands behind it.
    for from in [1, 2, 11, 12, 13, 999, 1000, 1001, 2500] {
        let (rest, reached, _) = all_pages(&db, from).await;
        assert_eq!(reached, version);
        assert!(rest.iter().all(|(pass, item)| whole[pass] == *item));
        // The policy took version 1 and the activity 12; the passes took the others, in order.
        let behind = whole.len() as u64 + 1 - from + u64::from(from >= 12);
        assert_eq!(rest.len() as u64, behind, "from {from}");
    }
    assert!(page(&db, version).await.is_none());
}

#[tokio::test]
async fn a_record_says_exactly_which_of_the_venues_entries_it_includes() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    let mut desk = TestDesk::enrolled(&db, "Balie").await;
    for pass in [1, 2, 1, 3] {
        desk.append(check_in(pass, 0));
    }
    take(&db, &venue(), desk.key.device(), &desk.batch(1, 4)).await.unwrap();
    let (passes, ..) = all_pages(&db, 0).await;
    let entries = |pass: u64| match &passes[&PassId(pass)] {
        Item::Pass(record) => record.folded.iter().map(|f| f.entries).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (entries(1), entries(2), entries(3), entries(4)),
        (vec![3], vec![2], vec![4], vec![])
    );
}

#[tokio::test]
async fn all_denied_passes_are_found_whatever_else_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    put_passes(&db, 11..=1300, CardStatus::Blocked).await;
    let (mut told, mut denied) = (0, BTreeSet::new());
    loop {
        let mut reading = db.read().await.unwrap();
        let some = denied_behind(&mut reading, &venue(), told, 1000).await.unwrap();
        let Some(last) = some.last() else { break };
        told = last.number;
        for Numbered { item, .. } in some {
            let Item::Pass(record) = item else { panic!("{item:?}") };
            assert_eq!(record.cards[0].status, CardStatus::Blocked);
            denied.insert(record.pass);
        }
    }
    assert_eq!(denied.len(), 1290);
}

/// Regular visitors at a busy desk: each record lists forty days of a few desks. A page of 1,000 of
/// them would unpack to more than a desk allows.
#[tokio::test]
async fn a_page_of_long_records_keeps_to_what_a_desk_unpacks() {
    let folder = tempfile::tempdir().unwrap();
    let db = hub_with_passes(folder.path()).await;
    put_passes(&db, 11..=900, CardStatus::Active).await;
    let last_day = crdt_model::time::day_number(crate::desk::today());
    for list in 0..=35 {
        put_list(&db, i64::from(list), last_day - list, [0; 20]).await;
    }
    let rows = (11..=900i64).flat_map(|pass| {
        (0..=35i64).map(move |list| row([list.into(), pass.into(), pass.into(), [0u8; 20].into()]))
    });
    let insert = "WITH given (list, idx, pass, bytes) AS (:rows)
         INSERT INTO entry (list, idx, pass, bytes) SELECT list, idx, pass, bytes FROM given";
    execute(&db, sql(insert).rows(rows.collect())).await;
    let (passes, ..) = all_pages(&db, 0).await;
    assert_eq!(passes.len(), 900);
}
