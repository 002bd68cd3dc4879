//! The console: terminal, reader and daemon brought together. It moves messages; [`crate::app`]
//! says what they mean.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crdt_model::decide::Reason;
use crdt_model::money::Cents;
use crossterm::event::{self, Event as TerminalEvent, KeyEvent, KeyEventKind};
use hardware::card::Attendant;
use hardware::reader::ReaderHandle;
use jiff::tz::TimeZone;
use ratatui::DefaultTerminal;
use ratatui_image::picker::Picker;
use syncd::desk_api::client::{ClientError, DeskClient};
use syncd::desk_api::types::{Answer, Event, ProblemKind, TapRequest};
use tokio::sync::mpsc;
use tokio::time::Interval;

use crate::app::{Command, Message, Model, ShownCard};
use crate::card_desk::CardDesk;
use crate::feedback::{self, Feedback};
use crate::holder::Holder;
use crate::i18n::{Language, Notice, Texts};
use crate::readers::Readers;
use crate::screens::desk::{Drawing, draw};
use crate::screens::picture::Pictures;
use crate::theme::Theme;
use crate::wedge::{Input, Settings, Wedge};

/// Messages that wait for the console at the most.
const QUEUE: usize = 256;

/// How often the clock ticks.
const TICK: Duration = Duration::from_millis(250);

/// Between two attempts to reach a daemon that does not answer.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// How the type of the problem ends that the daemon answers to what is no card.
const NOT_A_CARD: ProblemKind = ProblemKind::Reason(Reason::InvalidUitpasNumber);

/// The time zone of the venues.
const TIME_ZONE: &str = "Europe/Brussels";

/// The system's clock, in milliseconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The venue's time zone.
pub fn venue_zone() -> TimeZone {
    TimeZone::get(TIME_ZONE).unwrap_or(TimeZone::UTC)
}

/// Opens the console and runs it until it is quit.
///
/// # Errors
/// Whatever the terminal says.
pub async fn run(
    client: DeskClient,
    readers: Readers,
    scanner: Settings,
    feedback: feedback::Settings,
    language: Language,
) -> io::Result<()> {
    let (feedback, no_sound) = Feedback::open(feedback);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let attendant: Arc<dyn Attendant> = Arc::new(CardDesk::new(client.clone()));
    let mut handles = readers.start(&attendant)?;
    for (reader, handle) in handles.iter_mut().enumerate() {
        let Some(events) = handle.events() else { continue };
        let sender = sender.clone();
        std::thread::spawn(move || {
            for event in events {
                if sender.blocking_send(Message::Reader { reader, event }).is_err() {
                    return;
                }
            }
        });
    }
    tokio::spawn(listen_to_daemon(client.clone(), sender.clone()));
    // The terminal is put back whatever happens: ratatui's hook sees to panics, this to the rest.
    let terminal = ratatui::try_init()?;
    let model = Model::new(language, readers.slots(), now());
    let (presses, pressed) = mpsc::channel(QUEUE);
    let others = sender.clone();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let listened_to = match event {
                TerminalEvent::Key(key) if key.kind == KeyEventKind::Press => {
                    presses.blocking_send((key, now())).is_ok()
                }
                TerminalEvent::Resize(..) => others.blocking_send(Message::Tick(now())).is_ok(),
                _ => true,
            };
            if !listened_to {
                return;
            }
        }
    });
    if let Some(detail) = no_sound {
        // The queue is empty, and somebody takes from it.
        let notice = Notice::NoSounds { detail };
        let _ = sender.send(Message::Failed { notice, card: None }).await;
    }
    let surroundings = Surroundings { client, sender, feedback, handles };
    let heard = Heard { pressed, receiver, wedge: Wedge::new(scanner.clone()), scanner };
    let ended = show(terminal, model, &surroundings, heard).await;
    ratatui::restore();
    drop(surroundings);
    ended
}

async fn show(
    mut terminal: DefaultTerminal,
    mut model: Model,
    surroundings: &Surroundings,
    mut heard: Heard,
) -> io::Result<()> {
    let mut drawing = Drawing {
        texts: Texts::new(model.language),
        theme: Theme::of_environment(),
        zone: venue_zone(),
        pictures: Pictures::new(pictures()),
    };
    let mut ticks = tokio::time::interval(TICK);
    let mut language = model.language;
    while !model.over {
        terminal.draw(|frame| draw(frame, &model, &drawing))?;
        let Some(messages) = heard.next(&mut ticks).await else { return Ok(()) };
        for command in messages.into_iter().flat_map(|message| model.update(message)) {
            surroundings.carry_out(command);
        }
        if model.language != language {
            language = model.language;
            drawing.texts = Texts::new(language);
        }
    }
    Ok(())
}

/// What the console hears.
struct Heard {
    /// Keys, and when each was pressed: however long a picture takes to draw, a scan is told by its speed.
    pressed: mpsc::Receiver<(KeyEvent, i64)>,
    receiver: mpsc::Receiver<Message>,
    wedge: Wedge,
    scanner: Settings,
}

impl Heard {
    /// What comes next, all that has come meanwhile with it; nothing where nobody speaks any more.
    async fn next(&mut self, ticks: &mut Interval) -> Option<Vec<Message>> {
        let held = self.wedge.due();
        let mut messages = tokio::select! {
            // What was pressed tells whether what is held was waited for in vain: so it is heard first.
            biased;
            Some((key, at)) = self.pressed.recv() => self.typed(|wedge| wedge.key(key, at)),
            message = self.receiver.recv() => vec![message?],
            () = until(held), if held.is_some() => self.typed(|wedge| wedge.expire(now())),
            _ = ticks.tick() => vec![Message::Tick(now())],
        };
        while let Ok((key, at)) = self.pressed.try_recv() {
            messages.extend(self.typed(|wedge| wedge.key(key, at)));
        }
        for _ in 0..QUEUE {
            let Ok(message) = self.receiver.try_recv() else { break };
            messages.push(message);
        }
        Some(messages)
    }

    /// Keys and scans as messages.
    fn typed(&mut self, held: impl FnOnce(&mut Wedge) -> Vec<Input>) -> Vec<Message> {
        let message = |input| match input {
            Input::Key(key) => Message::Key(key),
            Input::Scan(text) => Message::Scan(self.scanner.meaning(&text)),
        };
        held(&mut self.wedge).into_iter().map(message).collect()
    }
}

/// Until this moment, in milliseconds since the epoch.
async fn until(moment: Option<i64>) {
    let left = moment.map_or(0, |moment| moment - now());
    tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
}

/// What the console asks, and through what it speaks.
struct Surroundings {
    client: DeskClient,
    sender: mpsc::Sender<Message>,
    feedback: Feedback,
    handles: Vec<ReaderHandle>,
}

impl Surroundings {
    /// Carries a command out beside the console; its answer comes back as a message.
    fn carry_out(&self, command: Command) {
        let handle = |reader: Option<usize>| reader.and_then(|reader| self.handles.get(reader));
        let card = match &command {
            Command::Signal(verdict, reader) => {
                self.feedback.give(*verdict, handle(*reader));
                return;
            }
            Command::Forget(card) => {
                if let (Some(reader), Ok(chip)) = (handle(card.reader), card.number.parse()) {
                    reader.forget(chip);
                }
                return;
            }
            Command::Tap { card, .. } | Command::Redeem { card, .. } => Some(card.clone()),
            _ => None,
        };
        let (client, sender) = (self.client.clone(), self.sender.clone());
        tokio::spawn(async move {
            let message = match ask(command, &client).await {
                Ok(message) => message,
                Err(error) => Message::Failed { notice: error.into(), card },
            };
            // The console has ended meanwhile where nobody takes it.
            let _ = sender.send(message).await;
        });
    }
}

async fn ask(command: Command, client: &DeskClient) -> Result<Message, ClientError> {
    let answered = |answer, card| Message::Answered { answer: Box::new(answer), card };
    Ok(match command {
        Command::Tap { card, code } => match client.answer_tap(&tap_of(&card, code)).await {
            // What was typed is no number of a card: that is a verdict, too, in the desk's language.
            Err(ClientError::Problem(problem)) if problem.kind() == Some(NOT_A_CARD) => {
                answered(Answer::not_a_card(now()), None)
            }
            answer => answered(answer?, Some(card)),
        },
        Command::Redeem { card, reward_id } => {
            let check = card.check.as_deref();
            answered(client.redeem(&card.number, check, &reward_id).await?, Some(card))
        }
        Command::Void(entry) => answered(client.void(entry).await?, None),
        Command::LoadRewards(card) => {
            let rewards = client.rewards(&card.number, card.check.as_deref()).await?;
            Message::Rewards { card: card.number, rewards }
        }
        Command::LoadAmount(cards) => {
            let to_pay = amount(&cards, client).await?;
            Message::Amount { cards, to_pay }
        }
        Command::OpenHolder(card) => match client.sealed(&card).await {
            Ok(sealed) => {
                let of = card.clone();
                let opening = tokio::task::spawn_blocking(move || Holder::open(&sealed, &of));
                match opening.await {
                    Ok(Ok(holder)) => Message::Holder { card, holder: Box::new(holder) },
                    // A card without a lock of its own shows no name: that is no failure.
                    Ok(Err(_)) | Err(_) => Message::Tick(now()),
                }
            }
            Err(ClientError::Problem(_)) => Message::Tick(now()),
            Err(error) => return Err(error),
        },
        Command::LoadActivities => Message::Activities(client.activities().await?),
        Command::ChooseActivity(event_id) => {
            client.choose_activity(&event_id).await?;
            Message::Tick(now())
        }
        // Those are not for the daemon.
        Command::Signal(..) | Command::Forget(_) => Message::Tick(now()),
    })
}

/// What the daemon is asked about a card.
fn tap_of(card: &ShownCard, checkin_code: Option<String>) -> TapRequest {
    TapRequest { pass: card.number.clone(), checkin_code, check: card.check.clone() }
}

/// What a ticket costs these cards together, each at its best price. A pass that has no price of its
/// own pays the regular one; nothing where the desk's activity has none.
async fn amount(cards: &[String], client: &DeskClient) -> Result<Option<Cents>, ClientError> {
    let regular = client
        .activities()
        .await?
        .into_iter()
        .find(|activity| activity.chosen)
        .and_then(|activity| activity.prices.first().map(|category| category.price));
    let Some(regular) = regular else { return Ok(None) };
    let mut total = Cents::ZERO;
    for card in cards {
        total = total
            + match client.tariffs(card, None, None).await {
                Ok(tariffs) => tariffs.available.first().map_or(regular, |it| it.price_cents),
                Err(ClientError::Problem(_)) => regular,
                Err(error) => return Err(error),
            };
    }
    Ok(Some(total))
}

/// How this terminal shows pictures. It is asked only where it says in its environment that it may:
/// one that does not answer would swallow the first key.
fn pictures() -> Picker {
    const GRAPHICAL: [&str; 6] = ["kitty", "sixel", "foot", "mlterm", "wezterm", "ghostty"];
    let names = ["TERM", "TERM_PROGRAM"].map(|name| std::env::var(name).unwrap_or_default());
    let may = |name: &String| {
        let name = name.to_ascii_lowercase();
        name == "iterm.app" || GRAPHICAL.iter().any(|graphical| name.contains(graphical))
    };
    if names.iter().any(may) {
        Picker::from_query_stdio().unwrap_or_else(|_| Picker::halfblocks())
    } else {
        Picker::halfblocks()
    }
}

/// Follows the daemon's events for as long as the console runs, and asks anew when they broke off.
async fn listen_to_daemon(client: DeskClient, sender: mpsc::Sender<Message>) {
    loop {
        if let Ok(mut events) = client.events().await {
            if let Ok(history) = client.history().await
                && sender.send(Message::History(history)).await.is_err()
            {
                return;
            }
            while let Some(Ok(event)) = events.next().await {
                let missed = event == Event::Missed;
                if sender.send(Message::Daemon(event)).await.is_err() {
                    return;
                }
                if missed {
                    break;
                }
            }
        }
        if client.status().await.is_err() && sender.send(Message::DaemonGone).await.is_err() {
            return;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}
