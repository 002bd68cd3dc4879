//! Limited rewards at a desk that has none of its own: it asks the hub, and says what the hub said.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crdt_model::decide::Reason;
use desk_api::types::HubLink;
use serde_json::{Value, json};
use stempel_tests::{Desk, Hub, PATIENCE, catalogue, pass_number};

/// Three of three are free, and the hub keeps as many for desks that have a visitor: none is granted ahead.
#[tokio::test(flavor = "multi_thread")]
async fn none_left_is_said_where_none_is_left_and_not_where_the_hub_was_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut world: Value = serde_json::from_str(&catalogue(8, 30)).unwrap();
    let few = json!({
        "id": "few", "title": "Poster", "type": "POINTS", "points": 1, "maxAvailableUnits": 3,
    });
    world["rewards"].as_array_mut().unwrap().push(few);
    let mut hub = Hub::start(folder.path(), &world.to_string());
    let desk = Desk::start_without_activity(folder.path(), &hub, "balie-1").await;
    let redeem =
        async |pass: u32| desk.client.redeem(&pass_number(pass), None, "few").await.unwrap().reason;
    // A hub that is slow on a machine with much to do has not answered: the desk says so, and the volunteer tries again.
    // No other answer is tried again here, and such an answer must stay the exception.
    let tried_again = AtomicU32::new(0);
    let redeem_linked = async |pass: u32| {
        let begun = Instant::now();
        loop {
            match redeem(pass).await {
                Some(Reason::RewardNoUnitHere) if begun.elapsed() < PATIENCE => {
                    tried_again.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                answer => return answer,
            }
        }
    };
    assert_eq!(redeem_linked(0).await, None, "right after linking");
    hub.stop();
    desk.wait_for("the end of the link", |it| it.hub != HubLink::Connected).await;
    assert_eq!(redeem(1).await, Some(Reason::RewardNoUnitHere), "two are free");
    let offered = desk.client.rewards(&pass_number(1), None).await.unwrap();
    let offered = offered.iter().find(|it| it.reward_id == "few").unwrap();
    assert_eq!(offered.reason, Some(Reason::RewardNoUnitHere));
    hub.go();
    desk.wait_for("the link", |it| it.hub == HubLink::Connected).await;
    assert_eq!([redeem_linked(1).await, redeem_linked(2).await], [None, None]);
    assert_eq!(redeem_linked(3).await, Some(Reason::RewardVolumeConstraint), "the hub said so");
    let offered = desk.client.rewards(&pass_number(3), None).await.unwrap();
    let offered = offered.iter().find(|it| it.reward_id == "few").unwrap();
    assert_eq!(offered.reason, Some(Reason::RewardVolumeConstraint));
    // More are there, and the next visitor has one at the first try.
    world["rewards"].as_array_mut().unwrap().last_mut().unwrap()["maxAvailableUnits"] = json!(4);
    hub.import(&world.to_string());
    assert_eq!(redeem_linked(3).await, None, "asked anew");
    assert!(tried_again.into_inner() < 4, "the hub answers at the first try, as a rule");
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    let stock = hub.json(&["stock", "list"]);
    let few = stock.as_array().unwrap().iter().find(|it| it["rewardId"] == "few").unwrap();
    assert_eq!((&few["used"], &few["free"]), (&json!(4), &json!(0)));
}
