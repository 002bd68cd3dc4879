//! What is around a console, of whatever kind: the daemon, the readers, the loudspeaker. What they say comes
//! as messages; what [`crate::app`] wants of them goes out as commands.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crdt_model::decide::Reason;
use crdt_model::money::Cents;
use desk_api::client::{ClientError, DeskClient};
use desk_api::types::{ActivityView, Answer, Event, ProblemKind, TapRequest};
use hardware::card::Attendant;
use hardware::reader::{NoReader, ReaderEvent, ReaderHandle};
use tokio::sync::mpsc;

use crate::app::{Command, Message, ShownCard};
use crate::card_desk::CardDesk;
use crate::clock::{self, Moment};
use crate::feedback::{self, Feedback};
use crate::holder::Holder;
use crate::i18n::Notice;
use crate::readers::Readers;

/// Messages that wait for the console at the most.
const QUEUE: usize = 256;

/// Between two attempts to reach a daemon that does not answer.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// What the daemon answers to what is no card.
const NOT_A_CARD: ProblemKind = ProblemKind::Reason(Reason::InvalidUitpasNumber);

/// Daemon, readers, sounds and lights.
pub struct Surroundings {
    client: DeskClient,
    sender: mpsc::Sender<Message>,
    feedback: Feedback,
    handles: Vec<ReaderHandle>,
}

impl Surroundings {
    /// Starts the readers, opens the loudspeaker and listens to the daemon. What they say comes out of the
    /// channel.
    ///
    /// # Errors
    /// Those of [`Readers::start`].
    pub fn start(
        client: DeskClient,
        readers: &Readers,
        feedback: feedback::Settings,
    ) -> io::Result<(Self, mpsc::Receiver<Message>)> {
        let (feedback, no_sound) = Feedback::open(feedback);
        let (sender, receiver) = mpsc::channel(QUEUE);
        if let Some(detail) = no_sound {
            let notice = Notice::NoSounds { detail };
            // The channel is empty, and its other end is here.
            let _ = sender.try_send(Message::Failed { notice, tapped: None });
        }
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
                // Its thread has ended, and not with the console: a driver's panic. Nobody listens to that reader.
                let why = NoReader::System { detail: "its driver broke off".to_owned() };
                let event = ReaderEvent::Lost { why };
                let _ = sender.blocking_send(Message::Reader { reader, event });
            });
        }
        let (listened, told) = (client.clone(), sender.clone());
        tokio::spawn(async move {
            // A panic is kept for the screen; the daemon is listened to all the same.
            while tokio::spawn(listen_to_daemon(listened.clone(), told.clone())).await.is_err() {
                tokio::time::sleep(TRY_AGAIN).await;
            }
        });
        Ok((Self { client, sender, feedback, handles }, receiver))
    }

    /// A sender for other sources of messages.
    pub fn sender(&self) -> mpsc::Sender<Message> {
        self.sender.clone()
    }

    /// Carries a command out beside the console; its answer comes back as a message.
    pub fn carry_out(&self, command: Command) {
        let handle = |reader: Option<usize>| reader.and_then(|reader| self.handles.get(reader));
        let tapped = match &command {
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
            Command::Tap { card, .. } => Some(card.clone()),
            _ => None,
        };
        let (client, sender) = (self.client.clone(), self.sender.clone());
        tokio::spawn(async move {
            let message = match tokio::spawn(async move { ask(command, &client).await }).await {
                Ok(Ok(message)) => message,
                Ok(Err(error)) => Message::Failed { notice: error.into(), tapped },
                Err(_) => Message::Failed { notice: Notice::ConsoleFault, tapped },
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
                answered(Answer::not_a_card(clock::wall()), None)
            }
            answer => answered(answer?, Some(card)),
        },
        Command::Redeem { card, reward_id } => {
            let check = card.check.as_deref();
            answered(client.redeem(&card.number, check, &reward_id).await?, Some(card))
        }
        Command::Void(entry) => answered(client.void(Some(entry)).await?, None),
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
                    Ok(Err(_)) | Err(_) => Message::Tick(Moment::now()),
                }
            }
            Err(ClientError::Problem(_)) => Message::Tick(Moment::now()),
            Err(error) => return Err(error),
        },
        Command::LoadCodes(catalogue_version) => match client.activities().await {
            Ok(activities) => Message::Codes { codes: codes_of(activities), catalogue_version },
            // Nobody has asked for this: it is asked for again with the next status.
            Err(_) => Message::Tick(Moment::now()),
        },
        Command::LoadActivities => Message::Activities(client.activities().await?),
        Command::ChooseActivity(event_id) => {
            client.choose_activity(&event_id).await?;
            Message::Tick(Moment::now())
        }
        // Those are not for the daemon.
        Command::Signal(..) | Command::Forget(_) => Message::Tick(Moment::now()),
    })
}

/// The check-in codes of these activities.
pub fn codes_of(activities: Vec<ActivityView>) -> Vec<String> {
    activities.into_iter().flat_map(|activity| activity.checkin_codes).collect()
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
