//! Why a question to the desk has no answer at all.

use crdt_model::counter::Unanswered;
use crdt_model::decide::Reason;
use crdt_model::ids::IdentificationError;
use thiserror::Error;

use crate::ledger_files::LedgerFileError;
use crate::store::StoreError;

/// Why there is no verdict at all. Nothing was recorded.
#[derive(Debug, Error)]
pub enum Refusal {
    /// What was typed is no number of a card.
    #[error(transparent)]
    Card(#[from] IdentificationError),
    /// The disk does not take the entry.
    #[error("nothing was recorded, because the ledger could not be written: {0}")]
    Ledger(LedgerFileError),
    /// The pass list cannot be read.
    #[error("nothing was recorded, because the pass list cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The venue has no such activity.
    #[error("this venue has no such activity")]
    NoSuchActivity,
    /// There is no such entry in this venue's ledgers.
    #[error("there is no such entry in this venue's ledgers")]
    NoSuchEntry,
    /// There is no such check of a card, or nothing was asked in it.
    #[error("there is no such check of a card: show the card again")]
    NoSuchCheck,
    /// The card is not known, so there is nothing to say about it.
    #[error("no pass of this number or chip is known at this desk")]
    NoSuchPass,
    /// Neither the activity nor the request has a price.
    #[error("this activity has no price; say what it costs without a discount")]
    NoPrice,
    /// The pass can buy nothing as a pass.
    #[error("this pass has no prices of its own: {0}")]
    Not(Reason),
    /// There is no sealed part of this pass here.
    #[error("this desk has no name or picture of this pass")]
    NoHolder,
    /// The desk has not been told to which key requests are sealed.
    #[error(
        "the hub takes no requests about cards, or this desk has not reached it since it does. Link the desk to the hub once"
    )]
    NoRequestKey,
    /// A request cannot be sealed.
    #[error(transparent)]
    Request(#[from] sync_protocol::request::RequestError),
    /// A request could not be kept.
    #[error("the request could not be kept, so it was not made: {0}")]
    RequestNotKept(std::io::Error),
    /// The card is not one that can be sold.
    #[error(
        "this card is not from a stock: it was given to somebody before, or blocked. Take another card"
    )]
    NotInStock,
    /// A registration lacks something.
    #[error("a holder has a name, and a day of birth that has been")]
    Registration,
    /// No price fits.
    #[error("the card system has no price for somebody of this age")]
    NoMembershipPrice,
    /// The card system is not known, or must be named.
    #[error(
        "name the card system of which the holder becomes a member: this desk knows several, or not this one"
    )]
    CardSystem,
    /// What was chosen could not be kept.
    #[error("the choice could not be kept: {0}")]
    Settings(std::io::Error),
}

impl From<Unanswered> for Refusal {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::NoSuchPass => Self::NoSuchPass,
            Unanswered::NoSuchActivity => Self::NoSuchActivity,
            Unanswered::NoPrice => Self::NoPrice,
            Unanswered::NotForPass(reason) => Self::Not(reason),
        }
    }
}
