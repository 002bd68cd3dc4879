//! Card keys on their way to desks: sealed to each, and to those that make cards with what makes them.

use hub::card_keys::{self, Kind};
use sync_protocol::card_keys::{CardKeySet, DeskSealingKey};

use crate::desk::{Ending, TestDesk};
use crate::sessions::RunningHub;

/// Lets a desk talk until it has the hub's card keys, and opens them.
async fn keys_of(hub: &RunningHub, desk: &mut TestDesk) -> Vec<CardKeySet> {
    let version = card_keys::version(&hub.db).await.unwrap().unwrap();
    let has = |desk: &TestDesk| desk.card_keys.as_ref().is_some_and(|it| it.version == version);
    let ending = desk.talk(hub.address, has).await;
    assert!(matches!(ending, Ending::Done), "{ending:?}");
    DeskSealingKey::of(&desk.key).open(desk.card_keys.as_ref().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_desk_gets_what_checks_cards_and_only_some_what_makes_them() {
    let hub = RunningHub::start().await;
    let mut checks = TestDesk::enrolled(&hub.db, "Balie").await;
    let mut makes = TestDesk::enrolled(&hub.db, "Kantoor").await;
    assert_eq!(card_keys::version(&hub.db).await.unwrap(), None);
    assert_eq!(card_keys::make(&hub.db, Kind::Keys).await.unwrap(), 1);
    assert_eq!(card_keys::make(&hub.db, Kind::Signatures).await.unwrap(), 2);
    card_keys::let_make(&hub.db, makes.key.device(), true).await.unwrap();

    let checking = keys_of(&hub, &mut checks).await;
    assert_eq!(checking.iter().map(|set| set.number).collect::<Vec<_>>(), [1, 2]);
    assert!(checking[0].check.is_some());
    assert!(checking[1].check.is_none(), "signatures have no secret at a desk");
    assert!(checking.iter().all(|set| set.change.is_none() && set.signing.is_none()));

    let making = keys_of(&hub, &mut makes).await;
    assert!(making[0].change.is_some() && making.iter().all(|set| set.signing.is_some()));
    assert_eq!(making[0].check, checking[0].check);
    assert_eq!(making[0].public, checking[0].public);

    // No other desk opens what was sealed to this one.
    let sealed = makes.card_keys.as_ref().unwrap();
    assert!(DeskSealingKey::of(&checks.key).open(sealed).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_set_is_forgotten_and_a_withdrawn_desk_makes_no_more_cards() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Kantoor").await;
    let device = desk.key.device();
    card_keys::make(&hub.db, Kind::Keys).await.unwrap();
    card_keys::make(&hub.db, Kind::Keys).await.unwrap();
    card_keys::let_make(&hub.db, device, true).await.unwrap();
    assert_eq!(keys_of(&hub, &mut desk).await.len(), 2);

    card_keys::retire(&hub.db, 1).await.unwrap();
    card_keys::let_make(&hub.db, device, false).await.unwrap();
    let left = keys_of(&hub, &mut desk).await;
    assert_eq!(left.iter().map(|set| set.number).collect::<Vec<_>>(), [2]);
    assert!(left[0].change.is_none() && left[0].signing.is_none());

    let refused = card_keys::retire(&hub.db, 1).await.unwrap_err().to_string();
    assert_eq!(refused, "there is no key set in use named 1");
    // Numbers are never used again: cards out there have them.
    assert_eq!(card_keys::make(&hub.db, Kind::Keys).await.unwrap(), 3);
    let listed = card_keys::list(&hub.db).await.unwrap();
    assert_eq!(
        listed.iter().map(|set| set.retired_at.is_some()).collect::<Vec<_>>(),
        [true, false, false]
    );
}

/// Invariant 7.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_desk_gets_no_card_keys() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    card_keys::make(&hub.db, Kind::Keys).await.unwrap();
    hub::registry::revoke(&hub.db, desk.key.device()).await.unwrap();
    let ending = desk.talk(hub.address, |desk| desk.card_keys.is_some()).await;
    assert!(matches!(ending, Ending::Goodbye(_)));
    assert!(desk.card_keys.is_none());
    assert!(card_keys::let_make(&hub.db, desk.key.device(), true).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_is_connected_hears_of_a_new_set_at_once() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    card_keys::make(&hub.db, Kind::Keys).await.unwrap();
    keys_of(&hub, &mut desk).await;
    let (db, had) = (hub.db.clone(), desk.card_keys.clone());
    let making = tokio::spawn(async move { card_keys::make(&db, Kind::Keys).await });
    let ending = desk.talk(hub.address, |desk| desk.card_keys != had).await;
    assert!(matches!(ending, Ending::Done), "{ending:?}");
    making.await.unwrap().unwrap();
    assert_eq!(keys_of(&hub, &mut desk).await.len(), 2);
}
