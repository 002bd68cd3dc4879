//! One desk's session over QUIC: a driver of [`HubSession`]. It moves bytes, looks up what is asked (`Answers`), and
//! tells what moved; what a desk is told, and in which order, the machine decides.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crdt_model::ids::DeviceId;
use futures_util::FutureExt;
use quinn::{Chunk, Connection, RecvStream, SendStream};
use sync_protocol::feed::{HubClock, News};
use sync_protocol::heartbeat::Ticks;
use sync_protocol::hub::{End, HubSession, Step};
use sync_protocol::message::GoodbyeKind;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::answers::{Answer, Answers, Identified};
use crate::copies::{Lines, Place};
use crate::db::news::{Heard, Subscription};
use crate::db::storage::{Storage, StorageTrouble};
use crate::db::{Db, HubError};
use crate::ledgers::Taker;

/// Bytes that are read from a desk before they are looked at, or once over with the packet that reaches it: a full batch,
/// or all that a desk that taps as fast as it can says within a commit, so that its taps share the next one.
const READ_BYTES: usize = 64 * 1024;

/// How long a line may take to open its stream. Anybody may open a line; nobody may keep one without a word.
pub(crate) const FIRST_WORD: Duration = Duration::from_millis(sync_protocol::hub::FIRST_WORD);

/// What others' taps change in the catalogue is told so much later for each desk that is linked: a hundred pages a second
/// for all of them, however many taps there are …
const PAGE_FOR_EACH: Duration = Duration::from_millis(10);

/// … but at the soonest after this, half of it more or less: sooner than a visitor goes from one museum to the next,
const PAGE_SOONEST: Duration = Duration::from_millis(400);

/// and at the latest after this.
const PAGE_LATEST: Duration = Duration::from_secs(10);

/// So long the last words may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a session ended.
#[derive(Debug, Error)]
pub enum SessionEnd {
    /// The line broke or was closed: the ordinary end.
    #[error("the line ended ({0})")]
    Line(String),
    /// The session came to its end.
    #[error(transparent)]
    Session(#[from] End),
    /// The hub itself failed.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The hub said goodbye because it can store nothing, which is logged once for all desks.
    #[error("the hub cannot store anything: {0}")]
    CannotStore(StorageTrouble),
}

/// What the sessions of all desks share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) db: Db,
    /// Takes the batches of all sessions.
    pub(crate) taker: Taker,
    pub(crate) storage: Arc<Storage>,
    pub(crate) lines: Arc<Lines>,
    /// Whether the hub's own clock is in doubt: desks are told with each beat.
    pub(crate) clock_doubtful: Arc<AtomicBool>,
}

/// What is being looked up.
type Finding = Pin<Box<dyn Future<Output = Result<Answer, HubError>> + Send>>;

/// A session with one desk.
struct Session {
    shared: Shared,
    answers: Answers,
    machine: HubSession,
    begun: Instant,
    send: SendStream,
    connection: Connection,
    desk: Option<Identified>,
    finding: Option<Finding>,
    /// What moves, once it is known for whom.
    news: Option<Subscription>,
    /// How far the catalogue has come, and when the desk is told: many taps make one page.
    catalogue: Option<(u64, Instant)>,
    trouble: watch::Receiver<Option<StorageTrouble>>,
    /// Its place among the lines, where the desk has told its run.
    place: Option<Place>,
    /// The run that its daemon said.
    daemon: Option<u32>,
}

/// Serves one desk until the line ends. `public_key` is the key that it showed in the handshake.
///
/// # Errors
/// [`SessionEnd`], always.
pub(crate) async fn serve(
    shared: Shared,
    connection: &Connection,
    public_key: Vec<u8>,
) -> Result<(), SessionEnd> {
    let line = |error: quinn::ConnectionError| SessionEnd::Line(error.to_string());
    let (send, receive) = tokio::time::timeout(FIRST_WORD, connection.accept_bi())
        .await
        .map_err(|_| SessionEnd::Line("nothing was said".to_owned()))?
        .map_err(line)?;
    let (db, taker, storage) = (shared.db.clone(), shared.taker.clone(), shared.storage.clone());
    let begun = Instant::now();
    let clock = clock_of(&shared);
    let mut session = Session {
        answers: Answers::new(db, taker, public_key, shared.clock_doubtful.clone()),
        machine: HubSession::new(Ticks(0), clock),
        begun,
        send,
        connection: connection.clone(),
        desk: None,
        finding: None,
        news: None,
        catalogue: None,
        trouble: storage.trouble(),
        place: None,
        daemon: None,
        shared,
    };
    let mut ended = session.run(receive).await;
    if let Err(SessionEnd::Hub(error)) = &ended
        && let Some(trouble) = storage.note(error)
    {
        ended = session.cannot_store(trouble).await;
    }
    if storage.trouble().borrow().is_none() {
        session.note_last(&storage).await;
    }
    // What was said last, a goodbye above all, is to arrive before the line is closed.
    if session.send.finish().is_ok() {
        let _ = tokio::time::timeout(LAST_WORDS, session.send.stopped()).await;
    }
    ended
}

fn clock_of(shared: &Shared) -> HubClock {
    let doubtful = shared.clock_doubtful.load(Ordering::Relaxed);
    HubClock { wall: shared.db.now(), doubtful }
}

/// What woke a session.
enum Woken {
    Bytes(Chunk),
    HungUp(String),
    Found(Box<Result<Answer, HubError>>),
    Heard(Option<Heard>),
    Trouble(StorageTrouble),
    UsedTwice(bool),
    Page,
    Late,
}

/// How long a session waits for what may wake it.
enum Until {
    /// Not at all.
    Now,
    /// Until then.
    Late(Instant),
    /// As long as it takes.
    Woken,
}

impl Until {
    async fn comes(self) {
        match self {
            Self::Now => {}
            Self::Late(late) => sleep_until(late).await,
            Self::Woken => std::future::pending().await,
        }
    }
}

impl Session {
    async fn run(&mut self, mut receive: RecvStream) -> Result<(), SessionEnd> {
        loop {
            // What has come is taken up before the desk is told more: a large catalogue on its way holds up no
            // acknowledgement, and no revocation.
            if self.finding.is_none() && self.machine.has_read_all() {
                self.wait(Until::Now, &mut receive).await?;
            }
            self.tick();
            match self.machine.step() {
                Step::Send(bytes) => self.send(&bytes).await?,
                Step::Need(need) => {
                    if let sync_protocol::feed::Need::Desk(hello) = &need {
                        self.daemon = hello.run;
                    }
                    let finding = self.answers.clone().find(self.desk.clone(), need);
                    self.finding = Some(Box::pin(finding));
                }
                Step::Wait { until: None } => self.wait(Until::Woken, &mut receive).await?,
                Step::Wait { until: Some(until) } => {
                    let late = self.begun + Duration::from_millis(until.0);
                    self.wait(Until::Late(late), &mut receive).await?;
                }
                Step::End(end) => return Err(end.into()),
            }
        }
    }

    fn tick(&mut self) {
        let now = Ticks(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.machine.tick(now, clock_of(&self.shared));
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), SessionEnd> {
        self.send.write_all(bytes).await.map_err(|error| SessionEnd::Line(error.to_string()))
    }

    async fn wait(&mut self, until: Until, receive: &mut RecvStream) -> Result<(), SessionEnd> {
        let woken = {
            let (finding, news) = (&mut self.finding, &mut self.news);
            let (trouble, place) = (&mut self.trouble, &mut self.place);
            let catalogue = self.catalogue.map(|(_, at)| at);
            let finds = finding.is_some();
            tokio::select! {
                biased;
                found = found(finding) => Woken::Found(Box::new(found)),
                // The machine answers one thing at a time: what comes meanwhile waits on the line.
                read = receive.read_chunk(READ_BYTES, true), if !finds => match read {
                    Ok(Some(chunk)) => Woken::Bytes(chunk),
                    Ok(None) => Woken::HungUp("the desk hung up".to_owned()),
                    Err(error) => Woken::HungUp(error.to_string()),
                },
                trouble = troubled(trouble) => Woken::Trouble(trouble),
                heard = heard(news, catalogue.is_none()), if !finds => Woken::Heard(heard),
                () = due(catalogue), if !finds => Woken::Page,
                used_twice = used_twice(place) => Woken::UsedTwice(used_twice),
                () = until.comes() => Woken::Late,
            }
        };
        self.tick();
        match woken {
            Woken::Bytes(chunk) => self.receive(&chunk, receive),
            Woken::HungUp(why) => return Err(SessionEnd::Line(why)),
            Woken::Found(answer) => {
                self.finding = None;
                self.take((*answer)?);
            }
            Woken::Heard(Some(heard)) => self.hear(heard).await?,
            Woken::Heard(None) => self.machine.news(News::Stopping),
            Woken::Trouble(trouble) => return self.cannot_store(trouble).await,
            Woken::UsedTwice(used_twice) => self.machine.news(News::UsedTwice(used_twice)),
            Woken::Page => {
                if let (Some((number, _)), Some(news)) = (self.catalogue.take(), &mut self.news) {
                    let number = number.max(news.catalogue());
                    self.machine.news(News::Catalogue { number, urgent: false });
                }
            }
            Woken::Late => {}
        }
        Ok(())
    }

    /// Takes what came, and what came with it.
    fn receive(&mut self, first: &Chunk, receive: &mut RecvStream) {
        self.machine.receive(&first.bytes);
        let mut bytes = first.bytes.len();
        while bytes < READ_BYTES {
            // Where the line has ended, that is found when it is read again.
            let Some(Ok(Some(chunk))) = receive.read_chunk(READ_BYTES, true).now_or_never() else {
                return;
            };
            self.machine.receive(&chunk.bytes);
            bytes += chunk.bytes.len();
        }
    }

    fn take(&mut self, answer: Answer) {
        if let Some((desk, hears)) = answer.identified {
            self.news = Some(hears);
            self.take_place(&desk);
            self.desk = Some(desk);
        }
        // Before what was found: its numbers are of this run.
        if let Some(run) = answer.run {
            self.machine.news(News::Run(run));
        }
        self.machine.found(answer.found);
    }

    /// The desk told the run of its daemon: it takes its place among the lines.
    fn take_place(&mut self, desk: &Identified) {
        let Some(run) = self.daemon else { return };
        if desk.came_back {
            tracing::error!(
                device = %desk.device, desk = desk.known.name, venue = %desk.venue, from = %self.connection.remote_address(),
                "a desk is used twice: two computers record under its name in turn. Nothing is lost; enrol one of them anew, with a folder of its own"
            );
        }
        let known = desk.came_back || desk.known.used_twice_since.is_some();
        let heard = Box::new(self.connection.clone());
        let mut place = self.shared.lines.enter(desk.device, run, known, heard);
        place.used_twice.borrow_and_update();
        self.place = Some(place);
    }

    /// Tells the machine what moved.
    async fn hear(&mut self, heard: Heard) -> Result<(), SessionEnd> {
        if heard.put_back {
            return Err(SessionEnd::Line("the database was put back".to_owned()));
        }
        let Some(desk) = &self.desk else { return Ok(()) };
        // In a box of its own, as all that is rare and large: an idle session is as large as what it may become.
        for news in Box::pin(self.answers.news_of(desk, heard)).await? {
            match news {
                News::Catalogue { number, urgent: false } => {
                    let at = self.catalogue.map(|(_, at)| at);
                    self.catalogue =
                        Some((number, at.unwrap_or_else(|| self.next_page(desk.device))));
                }
                News::Catalogue { .. } => {
                    self.catalogue = None;
                    self.machine.news(news);
                }
                news => self.machine.news(news),
            }
        }
        Ok(())
    }

    /// When a desk is told what others' taps change in the catalogue. The more desks are linked, the more taps share a page,
    /// and each desk has its own moment: a tap costs the sessions of other venues next to nothing.
    fn next_page(&self, device: DeviceId) -> Instant {
        let sessions = u32::try_from(self.shared.db.news().sessions()).unwrap_or(u32::MAX);
        let each = PAGE_FOR_EACH.saturating_mul(sessions).clamp(PAGE_SOONEST, PAGE_LATEST);
        let own = f64::from(device.0[0]) / 255.0;
        Instant::now() + each.mul_f64(0.5 + own)
    }

    /// Says goodbye to a desk whose entries cannot be stored. Always an error, for the session is over.
    async fn cannot_store(&mut self, trouble: StorageTrouble) -> Result<(), SessionEnd> {
        let sentence = format!(
            "the hub cannot store anything now: {trouble}. Nothing is lost: what is recorded waits on this disk, and is sent when the hub can store again"
        );
        self.machine.goodbye(GoodbyeKind::CannotStore, sentence);
        while let Step::Send(bytes) = self.machine.step() {
            self.send(&bytes).await?;
        }
        Err(SessionEnd::CannotStore(trouble))
    }

    /// Notes what the desk said last that it has.
    async fn note_last(&mut self, storage: &Storage) {
        let (Some(note), Some(desk)) = (self.machine.last_note(), self.desk.clone()) else {
            return;
        };
        let need = sync_protocol::feed::Need::Note(note);
        if let Err(error) = Box::pin(self.answers.clone().find(Some(desk), need)).await {
            storage.note(&error);
            tracing::warn!(%error, "what a desk has could not be noted");
        }
    }
}

async fn found(finding: &mut Option<Finding>) -> Result<Answer, HubError> {
    match finding {
        Some(finding) => finding.await,
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What moved; of the catalogue alone, only where `catalogue` says so.
async fn heard(news: &mut Option<Subscription>, catalogue: bool) -> Option<Heard> {
    match news {
        Some(news) => news.heard_where(catalogue).await,
        None => std::future::pending().await,
    }
}

/// Resolves when, or where, the hub cannot store anything.
async fn troubled(trouble: &mut watch::Receiver<Option<StorageTrouble>>) -> StorageTrouble {
    loop {
        if let Some(trouble) = trouble.borrow_and_update().clone() {
            return trouble;
        }
        if trouble.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Resolves when it is found that another daemon has this desk's key, too, or that it has not.
async fn used_twice(place: &mut Option<Place>) -> bool {
    let Some(place) = place else { return std::future::pending().await };
    match place.used_twice.changed().await {
        Ok(()) => *place.used_twice.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}
