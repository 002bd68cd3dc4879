//! Between a card on a reader and the daemon, which holds the keys: carries questions and answers, and
//! understands neither. So no master key is ever in the process that shows things.

use std::time::Duration;

use desk_api::client::{ClientError, DeskClient};
use desk_api::types::{CardAnswer, CardCheckRequest, CardCheckView};
use hardware::card::{Answered, Attendant, CardChannel, Presented};
use tokio::runtime::Handle;

/// Questions that a card is asked at the most: the longest conversation makes a card anew.
const MOST_QUESTIONS: usize = 256;

/// How long the daemon may think about one answer. It takes less than a millisecond: a daemon that hangs is
/// not to hold up the reader with it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be done with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is checked.
    Check,
    /// It is made a pass.
    Make {
        /// Although a pass has its chip number already.
        again: bool,
    },
}

/// Carries what the daemon and a card have to say to each other.
#[derive(Debug)]
pub struct CardDesk {
    client: DeskClient,
    runtime: Handle,
}

impl CardDesk {
    /// Asks the daemon behind this client. To be made where tokio runs.
    pub fn new(client: DeskClient) -> Self {
        Self { client, runtime: Handle::current() }
    }

    /// Has a card checked, or made. To be called on a thread of a reader's own.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn converse(
        &self,
        card: &Presented,
        purpose: Purpose,
        channel: &mut dyn CardChannel,
    ) -> Result<CardCheckView, ClientError> {
        let Presented { chip, speaks } = *card;
        let (make, again) = match purpose {
            Purpose::Check => (false, false),
            Purpose::Make { again } => (true, again),
        };
        let request = CardCheckRequest { chip_number: chip, speaks, make, again };
        let mut view = self.wait(self.client.begin_card_check(&request))?;
        for _ in 0..MOST_QUESTIONS {
            let Some(command) = &view.ask else { break };
            let answer = match channel.exchange(command) {
                Ok(answer) => CardAnswer { answer: Some(Answered(answer)), broken: None },
                Err(broken) => CardAnswer { answer: None, broken: Some(broken) },
            };
            view = self.wait(self.client.answer_card_check(&view.check, &answer))?;
        }
        Ok(view)
    }

    fn wait(
        &self,
        asked: impl Future<Output = Result<CardCheckView, ClientError>>,
    ) -> Result<CardCheckView, ClientError> {
        let late = |_| ClientError::Io("it took too long over a card".to_owned());
        let patient = async { tokio::time::timeout(PATIENCE, asked).await };
        self.runtime.block_on(patient).map_err(late)?
    }
}

impl Attendant for CardDesk {
    fn attend(&self, card: &Presented, channel: &mut dyn CardChannel) -> Option<String> {
        // Without the daemon there is no verdict either: the tap says why.
        self.converse(card, Purpose::Check, channel).ok().map(|view| view.check)
    }
}
