//! What a restored hub says of passes, activities and rewards: its word holds at every desk, all of it.

use crdt_model::decide::{Reason, VerdictKind};
use desk_api::types::{RequestBody, Status};
use serde_json::json;
use stempel_tests::older_copy::{Means, Part};
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, catalogue, pass_number};

use super::{
    LAST, LOST, POINTS, REWARD, block, entries, import_new, import_passes, import_price, linked,
    pass, points, price, record, refusal,
};

/// Three desks: one knew no more than the copy, one knew a change that is lost, one two. The restored hub makes
/// three changes before it meets them.
async fn all_three_changes_reach_all_desks(means: Means, part: Part) {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let mut none = Desk::start(world.path(), &hub, "balie-0").await;
    let mut one = Desk::start(world.path(), &hub, "balie-1").await;
    let two = Desk::start(world.path(), &hub, "balie-2").await;
    let older = hub.older_copy_by(means, part);
    none.stop();
    import_new(&hub, LOST);
    one.learns(LOST).await;
    one.stop();
    import_new(&hub, LOST + 1);
    two.learns(LOST + 1).await;

    hub.restore(&older);
    block(&hub, 1);
    import_price(&hub, 900);
    import_new(&hub, LAST);
    hub.go();
    none.go();
    one.go();
    // Whoever takes the card makes an entry, by which the others hear of it: the one that knew most is asked first.
    let mut known = Vec::new();
    for (lost_changes, desk) in [(2, &two), (1, &one), (0, &none)] {
        desk.learns(LAST).await;
        known.push((lost_changes, refusal(desk, 1).await, price(desk).await));
    }
    let wanted = [2, 1, 0].map(|lost_changes| (lost_changes, Some(Reason::CardBlocked), 900));
    assert_eq!(
        known, wanted,
        "lost changes that the desk knew, whether it refuses the card, price"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_all_that_a_hub_with_a_restored_database_changes_reaches_every_desk() {
    all_three_changes_reach_all_desks(Means::of_this_database(), Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_all_that_a_hub_on_a_restored_machine_changes_reaches_every_desk() {
    all_three_changes_reach_all_desks(Means::of_this_database(), Part::Machine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_all_that_a_hub_restored_by_its_own_command_changes_reaches_every_desk() {
    all_three_changes_reach_all_desks(Means::Commands, Part::Database).await;
}

/// The card is blocked because a desk that met the restored hub first reports it lost.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_card_reported_lost_at_a_restored_hub_is_refused_where_more_was_known() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let mut ahead = Desk::start(world.path(), &hub, "balie-1").await;
    let mut first = Desk::start(world.path(), &hub, "balie-2").await;
    let older = hub.older_copy(Part::Database);
    first.stop();
    import_new(&hub, LOST);
    import_new(&hub, LOST + 1);
    ahead.learns(LOST + 1).await;
    ahead.stop();

    hub.restore(&older);
    hub.go();
    first.go();
    let lost = RequestBody::ReportLost { pass: pass_number(1) };
    first.client.request(&lost).await.unwrap();
    first.wait_for("the hub's answer", |status| status.requests_waiting == 0).await;
    import_price(&hub, 900);
    import_new(&hub, LAST);
    ahead.go();
    for desk in [&first, &ahead] {
        desk.learns(LAST).await;
        assert_eq!(refusal(desk, 1).await, Some(Reason::CardBlocked));
        assert_eq!(price(desk).await, 900);
    }
}

/// The restored hub has made as many changes as it lost. A desk that says that its pass list is up to date has them.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_linked_desk_answers_by_the_changes_of_a_restored_hub_that_made_as_many_as_it_lost()
 {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let older = hub.older_copy(Part::Database);
    import_new(&hub, LOST);
    import_new(&hub, LOST + 1);
    desk.learns(LOST + 1).await;

    hub.restore(&older);
    desk.wait_for("the end of the link", |status| !linked(status)).await;
    let confirmed_before = desk.client.status().await.unwrap().catalogue_at;
    block(&hub, 1);
    import_price(&hub, 900);
    hub.go();
    let up_to_date = |status: &Status| linked(status) && status.catalogue_at > confirmed_before;
    desk.wait_for("the word that the pass list is up to date", up_to_date).await;
    let blocked = desk.client.tap(&pass_number(1)).await.unwrap();
    let dear = desk.client.redeem(&pass_number(3), None, REWARD).await.unwrap();
    assert_eq!(
        [blocked.reason, dear.reason],
        [Some(Reason::CardBlocked), Some(Reason::RewardPassholderPointsConstraint)],
        "a blocked pass is tapped; a pass with {POINTS} points wants what costs 900"
    );
}

/// What a desk shows of the catalogue.
#[derive(Debug, PartialEq)]
struct Shown {
    activities: Vec<(String, String)>,
    rewards: Vec<(String, u32)>,
    undo_window: i64,
    knows_the_lost_pass: bool,
    holders: Vec<Option<String>>,
}

async fn shown(desk: &Desk) -> Shown {
    let client = &desk.client;
    let activities = client.activities().await.unwrap().into_iter();
    let mut activities: Vec<_> = activities.map(|it| (it.event_id, it.title)).collect();
    activities.sort();
    let rewards = client.rewards(&pass_number(3), None).await.unwrap().into_iter();
    let mut rewards: Vec<_> = rewards.map(|it| (it.reward_id, it.points)).collect();
    rewards.sort();
    let mut holders = Vec::new();
    for n in [5, 6] {
        // A part of it tells two of them apart, and can be read in a message.
        let sealed = client.sealed(&pass_number(n)).await.ok();
        holders.push(sealed.map(|it| it.sealed.chars().skip(8).take(16).collect()));
    }
    Shown {
        activities,
        rewards,
        undo_window: client.status().await.unwrap().undo_window,
        knows_the_lost_pass: client.pass(&pass_number(LOST)).await.is_ok(),
        holders,
    }
}

fn with_holder(n: u32, name: &str) -> serde_json::Value {
    pass(n, json!({ "holder": { "name": name, "dateOfBirth": "2015-06-01" } }))
}

/// Whatever an operator can import is changed before the hub is restored. Behind that it makes so many changes.
async fn what_is_lost_is_undone(part: Part, changes_since: u32) {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    import_passes(&hub, &[with_holder(5, "Fien Fictief")]);
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.wait_until("the holder", true, async || shown(&desk).await.holders[0].is_some()).await;
    let before = shown(&desk).await;
    let older = hub.older_copy(part);

    let activity = |id: &str| {
        json!({ "eventId": id, "title": "Verloren", "venue": VENUE, "checkinPoints": 9,
            "checkinLimit": { "volume": 1, "periodType": "DAY" } })
    };
    let reward = |id: &str| json!({ "id": id, "title": "Verloren", "type": "POINTS", "points": 2 });
    let lost = json!({
        "policy": { "undoWindowSeconds": 7 },
        "activities": [activity(ACTIVITY), activity("verloren")],
        "rewards": [reward(REWARD), reward("verloren")],
        "passes": [
            pass(4, json!({ "cardStatus": "BLOCKED" })),
            with_holder(5, "Lost Holder"), with_holder(6, "Lost Holder"), pass(LOST, json!({})),
        ],
    });
    hub.import(&lost.to_string());
    let known = async || {
        let now = shown(&desk).await;
        now.knows_the_lost_pass && now.holders[1].is_some() && now.holders != before.holders
    };
    desk.wait_until("all that will be lost", true, known).await;
    assert_eq!(shown(&desk).await.rewards.len(), 2);

    hub.restore(&older);
    let new: Vec<_> = (0..changes_since).rev().map(|n| pass(LAST - n, json!({}))).collect();
    import_passes(&hub, &new);
    hub.go();
    desk.learns(LAST).await;
    desk.wait_until("what the hub says", before, async || shown(&desk).await).await;
    assert_eq!(refusal(&desk, 4).await, None, "the hub does not know that it was blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_what_a_restored_hub_does_not_know_is_gone_at_the_desk() {
    what_is_lost_is_undone(Part::Database, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_what_a_restored_hub_does_not_know_is_gone_at_a_desk_that_it_has_overtaken() {
    what_is_lost_is_undone(Part::Machine, 20).await;
}

/// Two passes must not have one name: what was recorded of the first would count for the second.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_pass_made_by_a_restored_hub_has_nothing_of_a_pass_that_was_lost() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let older = hub.older_copy(Part::Database);
    import_new(&hub, LOST);
    desk.learns(LOST).await;
    record(&desk, [LOST]).await;

    hub.restore(&older);
    import_new(&hub, LAST);
    hub.go();
    desk.learns(LAST).await;
    hub.wait_until("the entry that was lost", &1, entries);
    assert_eq!(points(&hub, LAST), u64::from(POINTS), "nobody has checked in with it");
    let tap = desk.client.tap(&pass_number(LAST)).await.unwrap();
    assert_eq!(tap.verdict, VerdictKind::Ok, "the first of the day: {tap:?}");
}

/// Twice from the same copy: what the hub made in between is lost in its turn.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_hub_that_is_restored_a_second_time_from_the_same_copy_is_followed_again() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let older = hub.older_copy(Part::Machine);
    import_new(&hub, LOST);
    desk.learns(LOST).await;

    hub.restore(&older);
    block(&hub, 1);
    import_price(&hub, 900);
    import_new(&hub, LAST - 1);
    hub.go();
    desk.learns(LAST - 1).await;

    hub.restore(&older);
    block(&hub, 2);
    import_price(&hub, 7);
    for n in [LAST - 3, LAST - 2, LAST] {
        import_new(&hub, n);
    }
    hub.go();
    desk.learns(LAST).await;
    let known = [LOST, LAST - 1].map(pass_number);
    let gone = async || {
        let mut gone = Vec::new();
        for number in &known {
            gone.push(desk.client.pass(number).await.is_err());
        }
        gone
    };
    assert_eq!(refusal(&desk, 2).await, Some(Reason::CardBlocked), "blocked since");
    assert_eq!(price(&desk).await, 7);
    assert_eq!(gone().await, [true, true], "passes that are lost");
    assert_eq!(refusal(&desk, 1).await, None, "blocked in between");
}
