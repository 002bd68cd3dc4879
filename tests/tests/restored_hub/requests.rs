//! What desks were told is done about somebody's card is done at a restored hub, too: again, and once.

use crdt_model::decide::Reason;
use desk_api::types::{RequestBody, RequestState};
use serde_json::{Value, json};
use stempel_tests::older_copy::Part;
use stempel_tests::{Desk, Hub, catalogue, pass_number};

use super::{LAST, POINTS, import_new, pass, refusal};

/// A card that is lost, one that is replaced, and two that lie in a desk's stock.
const REPORTED: u32 = 1;
const REPLACED: u32 = 2;
const SOLD: u32 = 60;
const REPLACEMENT: u32 = 61;

fn world() -> String {
    let mut world: Value = serde_json::from_str(&catalogue(10, POINTS)).unwrap();
    let stock = json!({ "cardStatus": "LOCAL_STOCK", "memberships": [], "points": 0 });
    let passes = world["passes"].as_array_mut().unwrap();
    passes.extend([SOLD, REPLACEMENT].map(|n| pass(n, stock.clone())));
    world["cardSystems"] = json!([{ "id": 1, "name": "UiTPAS Regio Gent", "membershipPrices": [
        { "label": "Volwassene", "cents": 500 }] }]);
    world.to_string()
}

fn asked() -> [RequestBody; 3] {
    [
        RequestBody::ReportLost { pass: pass_number(REPORTED) },
        RequestBody::Register {
            uitpas_number: pass_number(SOLD).parse().unwrap(),
            chip_number: None,
            name: "Fien Fictief".to_owned(),
            date_of_birth: "2015-06-01".parse().unwrap(),
            postal_code: None,
            card_system: None,
            social_tariff_ends: None,
        },
        RequestBody::Replace {
            pass: pass_number(REPLACED),
            uitpas_number: pass_number(REPLACEMENT).parse().unwrap(),
            chip_number: None,
        },
    ]
}

/// How the cards stand at the hub, with their points.
fn cards(hub: &Hub) -> Vec<(String, u64)> {
    let shown = [REPORTED, REPLACED, SOLD, REPLACEMENT].map(|n| {
        let card = hub.json(&["show", "pass", &pass_number(n)]);
        (card["cardStatus"].as_str().unwrap().to_owned(), card["points"].as_u64().unwrap())
    });
    shown.to_vec()
}

async fn states(desk: &Desk) -> Vec<RequestState> {
    desk.client.requests().await.unwrap().into_iter().map(|it| it.state).collect()
}

async fn what_was_done_is_done_again(part: Part) {
    let world_folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world_folder.path(), &world());
    let asker = Desk::start(world_folder.path(), &hub, "balie-1").await;
    let other = Desk::start(world_folder.path(), &hub, "balie-2").await;
    let older = hub.older_copy(part);
    for request in asked() {
        asker.client.request(&request).await.unwrap();
    }
    let done = vec![RequestState::Done; 3];
    asker.wait_until("the hub's answers", done.clone(), async || states(&asker).await).await;
    let as_it_was = cards(&hub);
    let statuses: Vec<_> = as_it_was.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses, ["BLOCKED", "BLOCKED", "ACTIVE", "ACTIVE"]);

    hub.restore(&older);
    hub.go();
    hub.wait_until("what it had done", &as_it_was, cards);
    for desk in [&asker, &other] {
        for (n, wanted) in
            [(REPORTED, Some(Reason::CardBlocked)), (REPLACED, Some(Reason::CardBlocked))]
        {
            desk.wait_until("the block", wanted, async || refusal(desk, n).await).await;
        }
    }
    assert_eq!(refusal(&other, SOLD).await, None);
    assert_eq!(refusal(&asker, REPLACEMENT).await, None);

    // Once: what were asked a second time would be refused, for its card is no longer in the stock, or not in use.
    hub.stop();
    hub.go();
    import_new(&hub, LAST);
    for desk in [&asker, &other] {
        desk.learns(LAST).await;
        desk.wait_for("pending 0", |status| status.pending == 0 && status.requests_waiting == 0)
            .await;
    }
    assert_eq!(states(&asker).await, done);
    let statuses: Vec<_> = cards(&hub).into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, ["BLOCKED", "BLOCKED", "ACTIVE", "ACTIVE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_requests_that_were_done_are_done_again_by_a_hub_with_a_restored_database() {
    what_was_done_is_done_again(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_requests_that_were_done_are_done_again_by_a_hub_on_a_restored_machine() {
    what_was_done_is_done_again(Part::Machine).await;
}
