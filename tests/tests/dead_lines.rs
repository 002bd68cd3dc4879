//! A line that is dead is noticed in seconds, through the real processes.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::time::Duration;

use crdt_model::decide::VerdictKind;
use desk_api::types::{HubLink, Status};
use stempel_tests::lossy_line::{LossyLine, Way};
use stempel_tests::{Desk, Hub, catalogue, pass_number};

/// QUIC's own idle time-out is 30 s: what is noticed by that alone comes too late. The desk's bound is 7 s, the rest is
/// for a busy machine.
const SOON: Duration = Duration::from_secs(24);

async fn soon(desk: &Desk, what: &str, wanted: impl Fn(&Status) -> bool) {
    let waited = tokio::time::timeout(SOON, desk.wait_for(what, wanted)).await;
    assert!(waited.is_ok(), "not soon: {what}: {:?}", desk.client.status().await);
}

fn connected(status: &Status) -> bool {
    status.hub == HubLink::Connected
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_killed_and_is_back_at_once_gets_the_next_tap_within_seconds() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(3, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.wait_for("the link", connected).await;
    hub.kill();
    hub.go();
    let answer = desk.client.tap(&pass_number(0)).await.unwrap();
    assert_eq!(answer.verdict, VerdictKind::Ok);
    soon(&desk, "the acknowledgement", |status| connected(status) && status.pending == 0).await;
}

async fn one_way_loss(way: Way) {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(3, 0));
    let line = LossyLine::to(&hub.address);
    hub.address.clone_from(&line.address);
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    desk.wait_for("the link", connected).await;
    line.lose(way, true);
    desk.client.tap(&pass_number(0)).await.unwrap();
    soon(&desk, "the end of the link", |status| !connected(status)).await;
    desk.client.tap(&pass_number(1)).await.unwrap();
    line.lose(way, false);
    soon(&desk, "the acknowledgements", |status| connected(status) && status.pending == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_no_longer_carries_to_the_hub_is_not_called_connected() {
    one_way_loss(Way::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_no_longer_carries_to_the_desk_is_not_called_connected() {
    one_way_loss(Way::Down).await;
}
