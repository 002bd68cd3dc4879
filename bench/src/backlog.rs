//! What a backlog costs: bytes on the wire (whole UDP payloads, handshake included), counted by a
//! relay between desk and hub, and the time from the hub's return to pending 0.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use desk_api::types::HubLink;
use stempel_tests::{Desk, Hub, catalogue, pass_number};

/// Passes that the check-ins are spread over.
const PASSES: u32 = 10_000;

/// Visitors do not come in the order of their numbers: a permutation of 0..10,000, for 7,919 and
/// 10,000 have no common factor, with its own jumps on top.
fn shuffled(n: u32) -> u32 {
    (n % PASSES * 7_919 + n / PASSES) % PASSES
}

/// A relay that counts.
struct Relay {
    address: SocketAddr,
    up: Arc<AtomicU64>,
    down: Arc<AtomicU64>,
}

impl Relay {
    fn to(hub: SocketAddr) -> std::io::Result<Self> {
        let desk_side = UdpSocket::bind("127.0.0.1:0")?;
        let hub_side = UdpSocket::bind("127.0.0.1:0")?;
        hub_side.connect(hub)?;
        let address = desk_side.local_addr()?;
        let (up, down) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let last_desk = Arc::new(Mutex::new(None));
        std::thread::spawn({
            let (desk_side, hub_side) = (desk_side.try_clone()?, hub_side.try_clone()?);
            let (up, last_desk) = (up.clone(), last_desk.clone());
            move || {
                let mut buffer = [0; 65_536];
                while let Ok((count, desk)) = desk_side.recv_from(&mut buffer) {
                    *last_desk.lock().unwrap_or_else(PoisonError::into_inner) = Some(desk);
                    up.fetch_add(count as u64, Ordering::Relaxed);
                    // A hub that is stopped refuses: the datagram is lost, as on any network.
                    let _ = hub_side.send(&buffer[..count]);
                }
            }
        });
        std::thread::spawn({
            let down = down.clone();
            move || {
                let mut buffer = [0; 65_536];
                loop {
                    let Ok(count) = hub_side.recv(&mut buffer) else { continue };
                    down.fetch_add(count as u64, Ordering::Relaxed);
                    let desk = *last_desk.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(desk) = desk {
                        let _ = desk_side.send_to(&buffer[..count], desk);
                    }
                }
            }
        });
        Ok(Self { address, up, down })
    }
}

pub(crate) async fn measure(entries: u32) {
    let world = tempfile::tempdir_in(".").expect("this folder can be written");
    let mut hub = Hub::start(world.path(), &catalogue(entries.min(PASSES), 0));
    let hub_address = hub.address.clone();
    let relay = Relay::to(hub_address.parse().expect("it is an address")).expect("a relay");
    // The invitation names the relay.
    hub.address = relay.address.to_string();
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    hub.address = hub_address;
    hub.stop();
    desk.wait_for("the end of the link", |status| status.hub != HubLink::Connected).await;
    for n in 0..entries {
        desk.client.tap(&pass_number(shuffled(n) % PASSES)).await.expect("the desk answers");
    }
    let pending = desk.client.status().await.expect("the desk answers").pending;
    let (up, down) = (relay.up.load(Ordering::Relaxed), relay.down.load(Ordering::Relaxed));
    let begun = Instant::now();
    hub.go();
    desk.wait_for("a link", |status| status.hub == HubLink::Connected).await;
    let linked = begun.elapsed();
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    let done = begun.elapsed();
    let up = relay.up.load(Ordering::Relaxed) - up;
    let down = relay.down.load(Ordering::Relaxed) - down;
    #[allow(clippy::cast_precision_loss, reason = "they are far below 2^52")]
    let each = up as f64 / pending as f64;
    println!("{pending} pending check-ins, over loopback through a relay that counts");
    println!(
        "up   {up:9} bytes  {each:.2} an entry (target: at most 12; attempts while the hub was starting included)"
    );
    println!("down {down:9} bytes  (acknowledgements, and the changed records of the catalogue)");
    println!(
        "time {:9.3} s from link to pending 0 ({:.3} s from the hub's start to the link)",
        done.saturating_sub(linked).as_secs_f64(),
        linked.as_secs_f64()
    );
}
