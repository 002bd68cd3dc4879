//! Checks of cards: what the card is asked, what it answered, what that proves.

use crdt_model::authenticity::Authenticity;
use crdt_model::ids::ChipNumber;
use hardware::authentic::check::Finding;
use hardware::card::{Answered, Broken, Command, Speaks};
use serde::{Deserialize, Serialize};

use super::hidden_debug;

/// Body of `POST /v1/card-checks`: a card was put on a reader. The daemon holds the keys and says what to
/// ask the card; whoever has the reader carries question and answer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CardCheckRequest {
    /// The card's chip.
    pub chip_number: ChipNumber,
    /// How it talks; nothing where it can be asked for nothing but its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks: Option<Speaks>,
    /// It is not checked but made: only where the hub allows this desk to.
    #[serde(default)]
    pub make: bool,
    /// It is made although a pass has its chip number already: whoever asks knows the card.
    #[serde(default)]
    pub again: bool,
}

/// Body of `POST /v1/card-checks/{check}/answers`: what the card said, or why it said nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CardAnswer {
    /// Its answer, in upper-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Answer of both: what to ask the card next, or what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CardCheckView {
    /// Its name, to be given with the tap.
    pub check: String,
    /// What to ask the card next; nothing where it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Command>,
    /// How strong the proof is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticity: Option<Authenticity>,
    /// What the card showed of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// The same as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Why the card was not made, where one was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

hidden_debug!(CardCheckRequest, CardAnswer);
