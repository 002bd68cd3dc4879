//! Between a card on a reader and the daemon, which holds the keys: carries questions and answers, and
//! understands neither. So no key is ever in the process that shows things.

use std::time::Duration;

use hardware::card::{Answered, Attendant, CardChannel, Presented};
use syncd::desk_api::client::{ClientError, DeskClient};
use syncd::desk_api::types::{CardAnswer, CardCheckRequest, CardCheckView};
use tokio::runtime::Handle;

/// Questions that a card is asked at the most: the longest conversation makes a card anew.
const MOST_QUESTIONS: usize = 256;

/// How long the daemon may think about one answer. It takes less than a millisecond: a daemon that hangs is
/// not to hold up the reader with it.
const PATIENCE: Duration = Duration::from_secs(2);

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
        make: bool,
        channel: &mut dyn CardChannel,
    ) -> Result<CardCheckView, ClientError> {
        let Presented { chip, speaks } = *card;
        let request = CardCheckRequest { chip_number: chip, speaks, make };
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
        self.converse(card, false, channel).ok().map(|view| view.check)
    }
}
