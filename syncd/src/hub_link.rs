//! The link to the hub: connects by itself, tries again with jittered back-off, and at once when
//! asked. It moves bytes; what they mean the session and the desk know.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use quinn::{Connection, RecvStream, SendStream};
use rand::RngExt;
use sync_protocol::desk::DeskSession;
use sync_protocol::heartbeat::Pulse;
use sync_protocol::message::GoodbyeKind;
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::desk::{Desk, LinkError};
use crate::links::{Peer, Session};
use desk_api::types::HubLink;
use lines::connect::{CONNECT_TIMEOUT, ConnectError, connect};
use lines::peer_key;

/// The first wait after a link broke, at the most.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// A link that held for so long was a good one: the next is tried for at once.
const GOOD_LINK: Duration = Duration::from_secs(10);

/// The longest wait where the hub took this desk, and the link broke soon after.
const BACKOFF_WELCOMED: Duration = Duration::from_secs(2);

/// The longest wait where the hub cannot store anything.
const BACKOFF_CANNOT_STORE: Duration = Duration::from_secs(5);

/// The longest wait.
const BACKOFF_LONGEST: Duration = Duration::from_secs(30);

/// How often this computer's clocks are looked at where nobody asks for anything: a clock that was set is noticed
/// before the next visitor comes.
const LOOK_AT_CLOCKS: Duration = Duration::from_secs(5);

/// Between two looks at a line, at the least: looks are cheap, and never a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);

/// Bytes that are read from the hub at once.
const READ_BYTES: usize = 64 * 1024;

/// The desk, shared between the desk API and the link.
pub type SharedDesk = Arc<Mutex<Desk>>;

/// The desk, for as long as the guard lives. A panic elsewhere does not take the desk away: what
/// it holds is changed only after the disk has it.
pub fn lock(desk: &SharedDesk) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a link ended.
#[derive(Debug, Error)]
enum Broken {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Session(#[from] sync_protocol::desk::SessionError),
    #[error("the line to the hub broke ({0})")]
    Line(String),
    #[error("the hub has said nothing for {} seconds, and something is unanswered; it is called anew", .for_ms / 1000)]
    Silent { for_ms: u64 },
    #[error("the link to the hub failed in itself; it is tried again")]
    Panicked,
    #[error("the desk can keep again what the hub says: another session begins")]
    BegunAnew,
}

impl Broken {
    /// The desk itself cannot take what the hub sends: that does not pass within a second.
    fn is_of_this_desk(&self) -> bool {
        matches!(self, Self::Panicked | Self::Link(LinkError::Ledger(_)))
    }

    /// How the link stands behind it.
    fn link(&self) -> HubLink {
        let why = self.to_string();
        match self {
            Self::Connect(ConnectError::OtherKey { .. }) => HubLink::Refused { why },
            Self::Link(LinkError::Ended { kind, .. }) => match kind {
                GoodbyeKind::NotEnrolled | GoodbyeKind::Version | GoodbyeKind::Invitation => {
                    HubLink::Refused { why }
                }
                GoodbyeKind::CannotStore => HubLink::CannotStore { why },
                GoodbyeKind::Malformed => HubLink::Offline { why },
            },
            _ => HubLink::Offline { why },
        }
    }
}

/// Keeps a link to the hub for as long as the daemon runs. `key` is the desk's key in PKCS#8;
/// `at_once` makes a waiting link try again at once.
pub async fn keep_linked(desk: SharedDesk, key: Vec<u8>, at_once: Arc<Notify>) -> Infallible {
    offline_at_the_end(&desk, try_for_ever(&desk, &key, &at_once)).await
}

/// Runs the link. Whatever it dies of, the status says that nobody is linked any more.
pub(crate) async fn offline_at_the_end(
    desk: &SharedDesk,
    link: impl Future<Output = Infallible>,
) -> Infallible {
    let Err(panic) = AssertUnwindSafe(link).catch_unwind().await;
    let why = "the link to the hub failed in itself; it is started again".to_owned();
    set_hub(desk, HubLink::Offline { why });
    std::panic::resume_unwind(panic)
}

/// Looks at this computer's clocks for as long as the daemon runs.
pub async fn look_at_clocks(desk: SharedDesk) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_AT_CLOCKS).await;
        lock(&desk).now();
    }
}

async fn try_for_ever(desk: &SharedDesk, key: &[u8], at_once: &Notify) -> Infallible {
    let mut longest = BACKOFF_FIRST;
    let mut began_anew = false;
    loop {
        let welcomed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let begun = Instant::now();
        // A panic is a fault of ours or of the store. The desk goes on without the hub, and says so.
        let tried = AssertUnwindSafe(link_once(desk, key, &welcomed)).catch_unwind().await;
        let broken = match tried {
            Ok(Ok(never)) => match never {},
            Ok(Err(broken)) => broken,
            Err(_) => Broken::Panicked,
        };
        let good = begun.elapsed() >= CONNECT_TIMEOUT + GOOD_LINK;
        if welcomed.load(std::sync::atomic::Ordering::Relaxed) {
            longest = if good { BACKOFF_FIRST } else { longest.min(BACKOFF_WELCOMED) };
        }
        if broken.is_of_this_desk() {
            longest = BACKOFF_LONGEST;
        }
        let begins_anew = matches!(broken, Broken::BegunAnew);
        let again = std::mem::replace(&mut began_anew, begins_anew);
        if begins_anew {
            // Once at once. Where the desk cannot keep what the hub says in the next session either, that does not pass
            // within a second.
            if good || !again {
                tracing::info!("the session with the hub begins anew");
                continue;
            }
            longest = BACKOFF_CANNOT_STORE;
        }
        let link = broken.link();
        match &link {
            HubLink::Refused { why } => {
                tracing::error!(why, "the hub and this desk do not take each other");
                longest = BACKOFF_LONGEST;
            }
            // The hub looks every second whether it can store again: soon enough after it, not all at once.
            HubLink::CannotStore { why } => {
                tracing::info!(why, "the hub cannot store anything");
                longest = BACKOFF_CANNOT_STORE;
            }
            HubLink::Offline { .. } | HubLink::Connected => {
                tracing::info!(why = %broken, "not linked to the hub");
            }
        }
        set_hub(desk, link);
        // Full jitter: a thousand desks that lost their hub together do not come back together.
        let wait = longest.mul_f64(rand::rng().random_range(0.0..=1.0));
        tokio::select! {
            () = tokio::time::sleep(wait) => longest = (longest * 2).min(BACKOFF_LONGEST),
            () = at_once.notified() => longest = BACKOFF_FIRST,
        }
    }
}

fn set_hub(desk: &SharedDesk, link: HubLink) {
    let mut desk = lock(desk);
    let now = desk.now();
    desk.set_link(Peer::Hub, link, now);
}

async fn link_once(
    desk: &SharedDesk,
    key: &[u8],
    welcomed: &std::sync::atomic::AtomicBool,
) -> Result<Infallible, Broken> {
    let (hub_key, addresses) = {
        let desk = lock(desk);
        (desk.enrolment().hub_key, desk.enrolment().hub_addresses.clone())
    };
    let (endpoint, connection, _) = connect(key, hub_key, &addresses).await?;
    if let Some(key) = peer_key(&connection).and_then(|key| key.try_into().ok()) {
        lock(desk).set_hub_key(key);
    }
    let line = |error: quinn::ConnectionError| Broken::Line(error.to_string());
    let (send, receive) = connection.open_bi().await.map_err(line)?;
    let (session, mut said, wakes, sessions) = {
        let mut desk = lock(desk);
        let clocks = desk.read_clocks();
        let (start, said) = desk.begin_session(Peer::Hub, clocks);
        (DeskSession::start(&start, &*desk), said, desk.wakes(), desk.sessions())
    };
    let session = Mutex::new(session);
    let (heard, sent) = (Notify::new(), Notify::new());
    let ended = tokio::select! {
        ended = send_frames(desk, &session, send, (wakes, &heard, &sent), sessions) => ended,
        ended = receive_frames(desk, (&session, &mut said), receive, &heard, welcomed) => ended,
        ended = keep_beating(desk, &session, &connection, &heard, &sent) => ended,
    };
    connection.close(0u32.into(), b"");
    drop(endpoint);
    ended
}

async fn send_frames(
    desk: &SharedDesk,
    session: &Mutex<DeskSession>,
    mut send: SendStream,
    (mut wakes, heard, sent): (watch::Receiver<()>, &Notify, &Notify),
    sessions: u64,
) -> Result<Infallible, Broken> {
    loop {
        let frame = {
            let desk = lock(desk);
            if desk.sessions() != sessions {
                return Err(Broken::BegunAnew);
            }
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            session.next_frame(&*desk)
        };
        if let Some(frame) = frame {
            send.write_all(&frame).await.map_err(|error| Broken::Line(error.to_string()))?;
        } else {
            sent.notify_one();
            tokio::select! {
                // The desk, which holds the sender, outlives the link.
                _ = wakes.changed() => {}
                () = heard.notified() => {}
            }
        }
    }
}

/// Beats, and gives up a line that no longer carries both ways.
async fn keep_beating(
    desk: &SharedDesk,
    session: &Mutex<DeskSession>,
    connection: &Connection,
    heard: &Notify,
    sent: &Notify,
) -> Result<Infallible, Broken> {
    loop {
        let acknowledged_packets = connection.stats().frame_rx.acks;
        let (now, pulse) = {
            let mut desk = lock(desk);
            let clocks = desk.read_clocks();
            desk.look(clocks);
            let waiting = desk.pending_count();
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            let pulse = session.tick(clocks.steady, clocks.wall, waiting, acknowledged_packets);
            (clocks.steady, pulse)
        };
        let until = match pulse {
            Pulse::Silent { for_ms } => return Err(Broken::Silent { for_ms }),
            Pulse::Beat { until, .. } => {
                heard.notify_one();
                until
            }
            Pulse::Quiet { until } => until,
        };
        let wait = Duration::from_millis(until.since(now)).max(SHORTEST_WAIT);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = sent.notified() => {}
        }
    }
}

async fn receive_frames(
    desk: &SharedDesk,
    (session, said): (&Mutex<DeskSession>, &mut Session),
    mut receive: RecvStream,
    heard: &Notify,
    welcomed: &std::sync::atomic::AtomicBool,
) -> Result<Infallible, Broken> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match receive.read(&mut buffer).await {
            Ok(Some(count)) => count,
            Ok(None) => return Err(Broken::Line("the hub hung up".to_owned())),
            Err(error) => return Err(Broken::Line(error.to_string())),
        };
        // Merging writes to the disk, so this thread is given to it.
        tokio::task::block_in_place(|| {
            let mut desk = lock(desk);
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            let clocks = desk.read_clocks();
            session.heard(clocks.steady);
            let (events, outcome) = session.receive(&buffer[..count], &*desk);
            desk.take_up(said, events, clocks)?;
            let (catalogue, venue) = desk.have();
            session.have(catalogue, venue);
            welcomed.fetch_or(session.is_welcomed(), std::sync::atomic::Ordering::Relaxed);
            outcome.map_err(Broken::from)
        })?;
        heard.notify_one();
    }
}
