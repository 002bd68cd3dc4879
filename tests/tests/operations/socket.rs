//! The desk API's socket.

use std::fs;
use std::time::{Duration, Instant};

use desk_api::client::DeskClient;
use desk_api::types::{Event, Status, Trouble};
use stempel_tests::{Desk, Hub, PATIENCE, catalogue, pass_number};

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_deleted_is_made_again_and_who_is_connected_stays_so() {
    let world = tempfile::tempdir().unwrap();
    let hub = Hub::start(world.path(), &catalogue(2, 0));
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    let socket = desk.folder.join("desk.sock");
    let mut events = desk.client.events().await.unwrap();
    fs::remove_file(&socket).unwrap();
    let begun = Instant::now();
    desk.client.activities().await.expect("who is connected needs no socket");
    while DeskClient::new(&socket).tap(&pass_number(0)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "no socket again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = async { while !matches!(events.next().await.unwrap().unwrap(), Event::Row(_)) {} };
    tokio::time::timeout(PATIENCE, seen).await.expect("who is connected sees the tap");

    // What is no socket is not removed; who is connected is told, until it is gone.
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "something else").unwrap();
    let mut wait_for = async |wanted: fn(&Status) -> bool| {
        let waited = async {
            loop {
                match events.next().await.unwrap().unwrap() {
                    Event::Status(status) if wanted(&status) => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("it is said");
    };
    let gone = |status: &Status| {
        status.beside.iter().any(|trouble| matches!(trouble, Trouble::SocketGone { .. }))
    };
    wait_for(gone).await;
    fs::remove_file(&socket).unwrap();
    wait_for(|status| status.beside.is_empty()).await;
    assert!(DeskClient::new(&socket).status().await.is_ok());
}
