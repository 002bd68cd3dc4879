//! A line between one desk and the hub that can be made to carry one way only.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the desk to the hub.
    Up,
    /// From the hub to the desk.
    Down,
}

/// The line.
#[derive(Debug)]
pub struct LossyLine {
    /// Where a desk calls.
    pub address: String,
    lost: Arc<[AtomicBool; 2]>,
    ended: Arc<AtomicBool>,
}

impl LossyLine {
    /// A line to this hub that carries both ways.
    ///
    /// # Panics
    /// Where there is no free port.
    pub fn to(hub: &str) -> Self {
        let free = || UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        let (near, far) = (Arc::new(free()), Arc::new(free()));
        far.connect(hub).expect("a loopback address can be called");
        let address = near.local_addr().expect("it has an address").to_string();
        let (lost, ended) = (Arc::<[AtomicBool; 2]>::default(), Arc::<AtomicBool>::default());
        let desk: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        for way in [Way::Up, Way::Down] {
            let (near, far, desk) = (near.clone(), far.clone(), desk.clone());
            let (lost, ended) = (lost.clone(), ended.clone());
            let from = if way == Way::Up { near.clone() } else { far.clone() };
            from.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out can be set");
            std::thread::spawn(move || {
                let mut packet = [0; 2048];
                while !ended.load(Ordering::Relaxed) {
                    // The hub is down, or nothing came.
                    let Ok((length, sender)) = from.recv_from(&mut packet) else { continue };
                    let mut desk = desk.lock().expect("no thread panics with it");
                    if way == Way::Up {
                        *desk = Some(sender);
                    }
                    if lost[way as usize].load(Ordering::Relaxed) {
                        continue;
                    }
                    // What cannot be sent is lost, as on any line.
                    let _ = match (way, *desk) {
                        (Way::Up, _) => far.send(&packet[..length]),
                        (Way::Down, Some(desk)) => near.send_to(&packet[..length], desk),
                        (Way::Down, None) => Ok(0),
                    };
                }
            });
        }
        Self { address, lost, ended }
    }

    /// Loses whatever goes this way, or no longer.
    pub fn lose(&self, way: Way, lost: bool) {
        self.lost[way as usize].store(lost, Ordering::Relaxed);
    }
}

impl Drop for LossyLine {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
