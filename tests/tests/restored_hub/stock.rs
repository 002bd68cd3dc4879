//! Invariants 5 and 12: a restored hub grants no unit of a limited reward a second time.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crdt_model::decide::Reason;
use desk_api::types::Status;
use serde_json::{Value, json};
use stempel_tests::older_copy::{OlderCopy, Part};
use stempel_tests::{Desk, Hub, PATIENCE, catalogue, pass_number};

use super::{LAST, POINTS, device_of, enrolled, import_new, linked};

/// The limited reward.
const FEW: &str = "few";

/// Its units. A desk is granted seven ahead: three are for desks that have a visitor.
const TOTAL: usize = 10;
const AHEAD: u32 = 7;

/// A hub with the limited reward, and the folders of two desks that are enrolled and have not been started.
async fn hub_with_two_desks(world: &Path) -> (Hub, [PathBuf; 2]) {
    let mut sample: Value = serde_json::from_str(&catalogue(80, POINTS)).unwrap();
    sample["rewards"].as_array_mut().unwrap().push(json!({
        "id": FEW, "title": "Poster", "type": "POINTS", "points": 1, "maxAvailableUnits": TOTAL,
    }));
    let hub = Hub::start(world, &sample.to_string());
    let desks = [enrolled(world, &hub, "balie-1").await, enrolled(world, &hub, "balie-2").await];
    (hub, desks)
}

/// A desk of this folder, with so many units.
async fn granted(folder: PathBuf, units: u32) -> Desk {
    let desk = Desk::of_folder(folder);
    desk.wait_for("the link and the pass list", linked_with_passes).await;
    desk.wait_until("its grant", units, async || left(&desk).await).await;
    desk
}

/// What the older copy knows: two desks, and no grant.
struct World {
    hub: Hub,
    older: OlderCopy,
    /// Holds [`AHEAD`] units, of which the copy does not know.
    holder: Desk,
    /// Holds none, and does not run.
    other: PathBuf,
}

impl World {
    async fn begin(world: &Path, part: Part) -> Self {
        let (mut hub, [holder, other]) = hub_with_two_desks(world).await;
        let older = hub.older_copy(part);
        let holder = granted(holder, AHEAD).await;
        if part == Part::Machine {
            // Nothing beside the machine knows that it was put back but what desks were told since: one of them was.
            let mut witness = Desk::of_folder(other.clone());
            import_new(&hub, LAST);
            witness.learns(LAST).await;
            witness.stop();
        }
        Self { hub, older, holder, other }
    }
}

fn linked_with_passes(status: &Status) -> bool {
    linked(status) && status.catalogue_at.is_some()
}

/// The units that a desk holds.
async fn left(desk: &Desk) -> u32 {
    let stock = desk.client.stock().await.unwrap();
    stock.iter().find(|it| it.reward_id == FEW).map_or(0, |it| it.left)
}

/// How many of these passes get one: each is asked for once.
async fn hand_out(desk: &Desk, passes: Range<u32>) -> usize {
    let mut handed_out = 0;
    for n in passes {
        let answer = desk.client.redeem(&pass_number(n), None, FEW).await.unwrap();
        handed_out += usize::from(answer.entry.is_some());
    }
    handed_out
}

/// How many of these passes get one. Where the hub has not said that none is left, it is asked again.
async fn hand_out_all(desk: &Desk, passes: Range<u32>) -> usize {
    let begun = Instant::now();
    let mut handed_out = 0;
    for n in passes {
        let mut answer = desk.client.redeem(&pass_number(n), None, FEW).await.unwrap();
        while answer.reason == Some(Reason::RewardNoUnitHere) {
            assert!(
                begun.elapsed() < PATIENCE,
                "after {handed_out} the hub grants none: {answer:?}"
            );
            answer = desk.client.redeem(&pass_number(n), None, FEW).await.unwrap();
        }
        let none_left = Some(Reason::RewardVolumeConstraint);
        assert!(answer.reason.is_none() || answer.reason == none_left, "{answer:?}");
        handed_out += usize::from(answer.reason.is_none());
    }
    handed_out
}

/// What the hub makes of the limited reward.
fn booked(hub: &Hub) -> Value {
    let stock = hub.json(&["stock", "list"]);
    stock.as_array().unwrap().iter().find(|it| it["rewardId"] == FEW).unwrap().clone()
}

/// Waits until the hub has all that these desks recorded, and compares what it makes of the limited reward.
async fn assert_all_is_booked(hub: &Hub, desks: &[&Desk], handed_out: usize) {
    for desk in desks {
        desk.wait_for("pending 0", |status| linked(status) && status.pending == 0).await;
    }
    let few = booked(hub);
    let said = ["used", "handedOutTwice", "breaches", "losses"].map(|what| few[what].clone());
    assert_eq!(said, [json!(handed_out), json!(0), json!([]), json!(0)], "{few}");
}

/// The holder is away while the hub is restored, with units that it has not handed out.
async fn nothing_is_granted_before_the_holder_is_back(part: Part) {
    let world = tempfile::tempdir().unwrap();
    let World { mut hub, older, mut holder, other } = World::begin(world.path(), part).await;
    hub.stop();
    holder.wait_for("the end of the link", |status| !linked(status)).await;
    let mut handed_out = hand_out(&holder, 0..2).await;
    assert_eq!(handed_out, 2);
    holder.stop();

    hub.restore(&older);
    hub.go();
    let other = Desk::of_folder(other);
    other.wait_for("the link and the pass list", linked_with_passes).await;
    let granted = hand_out(&other, 10..22).await;
    assert_eq!(
        granted, 0,
        "handed out while {AHEAD} of {TOTAL} units are with a desk that is away"
    );

    // It goes on with what it holds, and when the hub has heard of that, the rest is for whoever asks.
    holder.go();
    handed_out += hand_out(&holder, 2..7).await;
    assert_eq!(handed_out, 7);
    handed_out += hand_out_all(&other, 30..40).await;
    handed_out += hand_out_all(&holder, 40..50).await;
    assert_eq!(handed_out, TOTAL, "every unit once");
    assert_all_is_booked(&hub, &[&holder, &other], handed_out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_a_hub_with_a_restored_database_grants_nothing_before_the_holder_is_back()
 {
    nothing_is_granted_before_the_holder_is_back(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_a_hub_on_a_restored_machine_grants_nothing_before_the_holder_is_back()
{
    nothing_is_granted_before_the_holder_is_back(Part::Machine).await;
}

/// Both desks are there, and the holder has handed out all that it had.
async fn what_was_handed_out_is_not_granted_again(part: Part) {
    let world = tempfile::tempdir().unwrap();
    let World { mut hub, older, holder, other } = World::begin(world.path(), part).await;
    let other = Desk::of_folder(other);
    other.wait_for("the pass list", |status| status.catalogue_at.is_some()).await;
    let mut handed_out = hand_out(&holder, 0..AHEAD).await;
    assert_eq!(handed_out, 7);
    holder.wait_for("pending 0", |status| status.pending == 0).await;

    hub.restore(&older);
    hub.go();
    for desk in [&other, &holder] {
        desk.wait_for("the link", linked).await;
    }
    handed_out += hand_out_all(&other, 10..25).await;
    handed_out += hand_out_all(&holder, 25..40).await;
    assert_eq!(handed_out, TOTAL, "every unit once");
    assert_all_is_booked(&hub, &[&holder, &other], handed_out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_a_hub_with_a_restored_database_grants_no_unit_that_was_handed_out() {
    what_was_handed_out_is_not_granted_again(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_a_hub_on_a_restored_machine_grants_no_unit_that_was_handed_out() {
    what_was_handed_out_is_not_granted_again(Part::Machine).await;
}

/// The holder does not come back, and an operator says so in this way. Behind that units are granted again, but none
/// of those that the hub remembers beside its database.
async fn an_operator_waives(command: &[&str], part: Part) {
    let world = tempfile::tempdir().unwrap();
    let World { mut hub, older, mut holder, other } = World::begin(world.path(), part).await;
    let device = device_of(&holder).await;
    holder.stop();
    hub.restore(&older);
    hub.go();
    let other = Desk::of_folder(other);
    other.wait_for("the link and the pass list", linked_with_passes).await;
    assert_eq!(hand_out(&other, 10..13).await, 0, "granted while the holder is away");

    hub.run(&[command, &[device.as_str()]].concat());
    let handed_out = hand_out_all(&other, 20..35).await;
    match part {
        Part::Database => assert_eq!(handed_out, TOTAL - 7, "those that were granted to nobody"),
        Part::Machine => assert_eq!(handed_out, TOTAL, "the hub knows of no grant"),
    }
    assert_all_is_booked(&hub, &[&other], handed_out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_an_operator_waives_what_a_lost_desk_would_state_at_a_restored_database()
 {
    an_operator_waives(&["stock", "waive"], Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_an_operator_waives_what_a_lost_desk_would_state_on_a_restored_machine()
{
    an_operator_waives(&["stock", "waive"], Part::Machine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_a_desk_that_is_revoked_is_waited_for_no_longer_at_a_restored_hub() {
    an_operator_waives(&["device", "revoke"], Part::Database).await;
}

/// The copy knows a grant that was given back since, and whose units were granted to another desk.
async fn what_was_given_back_and_granted_to_another_is_the_others(part: Part) {
    let world = tempfile::tempdir().unwrap();
    let (mut hub, [first, second]) = hub_with_two_desks(world.path()).await;
    let first = granted(first, AHEAD).await;
    let older = hub.older_copy(part);
    first.wait_for("the link", linked).await;
    let mut handed_out = hand_out(&first, 0..2).await;
    first.wait_for("pending 0", |status| status.pending == 0).await;
    first.client.give_stock_back().await.unwrap();
    first.wait_until("the end of its grant", 0, async || left(&first).await).await;
    let second = granted(second, AHEAD - 2).await;
    handed_out += hand_out(&second, 10..12).await;
    second.wait_for("pending 0", |status| status.pending == 0).await;
    assert_eq!(handed_out, 4);

    hub.restore(&older);
    hub.go();
    for desk in [&first, &second] {
        desk.wait_for("the link", linked).await;
    }
    handed_out += hand_out_all(&second, 20..35).await;
    handed_out += hand_out_all(&first, 35..50).await;
    assert_eq!(handed_out, TOTAL, "every unit once");
    assert_all_is_booked(&hub, &[&first, &second], handed_out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_units_given_back_since_are_their_next_desks_at_a_restored_database() {
    what_was_given_back_and_granted_to_another_is_the_others(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_units_given_back_since_are_their_next_desks_on_a_restored_machine() {
    what_was_given_back_and_granted_to_another_is_the_others(Part::Machine).await;
}

/// A hub that is killed, whose operator imports something, and that is started again was not restored: nobody has to
/// state anything, and nobody is told anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_killed_and_started_again_grants_what_is_free_while_the_holder_is_away() {
    let world = tempfile::tempdir().unwrap();
    let (mut hub, [holder, other]) = hub_with_two_desks(world.path()).await;
    let mut holder = granted(holder, AHEAD).await;
    holder.stop();
    hub.kill();
    import_new(&hub, LAST);
    hub.go();
    let other = Desk::of_folder(other);
    other.learns(LAST).await;
    let handed_out = hand_out_all(&other, 10..20).await;
    assert_eq!(handed_out, TOTAL - 7, "all that was granted to nobody");
    assert_all_is_booked(&hub, &[&other], handed_out).await;
    holder.go();
    holder.learns(LAST).await;
    assert_eq!(hand_out(&holder, 20..30).await, 7);
    for desk in [&holder, &other] {
        assert_eq!(desk.client.status().await.unwrap().beside, []);
    }
    assert_all_is_booked(&hub, &[&holder, &other], TOTAL).await;
}

/// The copy knows of a grant that its desk has given back since, and got again in parts, and given back. What it handed
/// out by those parts nobody else gets.
#[tokio::test(flavor = "multi_thread")]
async fn invariants_5_and_12_what_was_handed_out_by_grants_that_were_given_back_is_not_granted_again()
 {
    let world = tempfile::tempdir().unwrap();
    let (mut hub, [holder, other]) = hub_with_two_desks(world.path()).await;
    let holder = granted(holder, AHEAD).await;
    let older = hub.older_copy(Part::Database);
    holder.wait_for("the link", linked).await;
    let give_back = async || {
        holder.client.give_stock_back().await.unwrap();
        holder.wait_until("nothing granted", 0, async || left(&holder).await).await;
        let free = || booked(&hub)["active"].clone();
        holder.wait_until("all given back", json!(0), async || free()).await;
    };
    give_back().await;
    let mut handed_out = hand_out_all(&holder, 0..3).await;
    assert_eq!(handed_out, 3);
    holder.wait_for("pending 0", |status| status.pending == 0).await;
    give_back().await;

    hub.restore(&older);
    hub.go();
    holder.wait_for("all said again", |status| linked(status) && status.pending == 0).await;
    let other = Desk::of_folder(other);
    other.wait_for("the link and the pass list", linked_with_passes).await;
    handed_out += hand_out_all(&other, 10..25).await;
    assert_eq!(handed_out, TOTAL, "every unit once");
    assert_all_is_booked(&hub, &[&holder, &other], handed_out).await;
}
