//! Invariant 12: a hub that was restored from an older copy costs nobody anything. With the real processes.
//!
//! The copy is the database alone, or the whole machine with all that the hub keeps beside its database.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod catalogue;
mod devices;
mod given_back;
mod requests;
mod stock;

use std::path::{Path, PathBuf};

use crdt_model::decide::Reason;
use desk_api::types::{HubLink, Status};
use serde_json::{Value, json};
use stempel_tests::{Desk, Hub, pass_number};
use syncd::enrol::enrol;

/// The reward of [`stempel_tests::catalogue`]: it costs 5 points.
const REWARD: &str = "5687";

/// A new pass that an operator imports before the hub is restored: what the older copy does not know.
const LOST: u32 = 90;

/// A new pass that an operator imports last: whoever knows it knows all that changed before.
const LAST: u32 = 199;

/// Points that a pass begins with.
const POINTS: u32 = 30;

/// A pass, as an operator's file has it, with these fields beside.
fn pass(n: u32, more: Value) -> Value {
    let mut pass = json!({
        "programme": "UITPAS", "uitpasNumber": pass_number(n), "cardStatus": "ACTIVE",
        "memberships": [{ "cardSystem": 1 }], "points": POINTS,
    });
    if let (Value::Object(pass), Value::Object(more)) = (&mut pass, more) {
        pass.extend(more);
    }
    pass
}

/// The hub takes these passes over from a file.
fn import_passes(hub: &Hub, passes: &[Value]) {
    hub.import(&json!({ "passes": passes }).to_string());
}

/// The hub takes a pass over that was not there.
fn import_new(hub: &Hub, n: u32) {
    import_passes(hub, &[pass(n, json!({}))]);
}

/// The hub blocks a pass.
fn block(hub: &Hub, n: u32) {
    import_passes(hub, &[pass(n, json!({ "cardStatus": "BLOCKED" }))]);
}

/// The hub changes what [`REWARD`] costs.
fn import_price(hub: &Hub, points: u32) {
    let reward = json!({ "id": REWARD, "title": "Voordeel", "type": "POINTS", "points": points });
    hub.import(&json!({ "rewards": [reward] }).to_string());
}

/// What [`REWARD`] costs, as this desk says.
async fn price(desk: &Desk) -> u32 {
    let rewards = desk.client.rewards(&pass_number(3), None).await.unwrap();
    rewards.iter().find(|it| it.reward_id == REWARD).unwrap().points
}

/// Why this desk does not take a pass, where it does not.
async fn refusal(desk: &Desk, n: u32) -> Option<Reason> {
    desk.client.tap(&pass_number(n)).await.unwrap().reason
}

/// Taps these passes, and waits until the hub has the entries, whose names these are.
async fn record(desk: &Desk, passes: impl IntoIterator<Item = u32>) -> Vec<String> {
    let mut entries = Vec::new();
    for n in passes {
        let answer = desk.client.tap(&pass_number(n)).await.unwrap();
        assert_eq!(answer.reason, None, "{answer:?}");
        entries.push(answer.entry.unwrap().to_string());
    }
    desk.wait_for("pending 0", |status| linked(status) && status.pending == 0).await;
    entries
}

fn linked(status: &Status) -> bool {
    status.hub == HubLink::Connected
}

/// Waits for the first word of the hub to a desk, whatever it is.
async fn answered(desk: &Desk) -> HubLink {
    let said = |status: &Status| !matches!(status.hub, HubLink::Offline { .. });
    desk.wait_for("a word of the hub", said).await.hub
}

/// The folder of a desk that is enrolled and was never started.
async fn enrolled(world: &Path, hub: &Hub, name: &str) -> PathBuf {
    let folder = world.join(name);
    enrol(&folder, &hub.invite(name)).await.unwrap();
    folder
}

/// The name under which the hub knows a desk.
async fn device_of(desk: &Desk) -> String {
    desk.client.status().await.unwrap().device.to_string()
}

/// What the hub says of the desk of this name, where it knows it.
fn device(hub: &Hub, name: &str) -> Option<Value> {
    let devices = hub.json(&["device", "list"]);
    devices.as_array().unwrap().iter().find(|it| it["name"] == name).cloned()
}

/// How many entries the hub holds.
fn entries(hub: &Hub) -> u64 {
    hub.json(&["show", "totals"])["entries"].as_u64().unwrap()
}

/// The points of a pass at the hub.
fn points(hub: &Hub, n: u32) -> u64 {
    hub.json(&["show", "pass", &pass_number(n)])["points"].as_u64().unwrap()
}
