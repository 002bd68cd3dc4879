//! Decisions: what a desk answers, and why. Pure functions of the records, the account and the time.
//!
//! One file per question. A decision never looks at a clock, a file or the network, and never says
//! anything of a social tariff that a bystander could read (invariant 11).

mod check_in;
mod external;
mod reason;
mod redeem;
mod sell;
mod visit;
mod void;

pub use check_in::{check_in, check_in_by_code, unknown_card};
pub use external::external;
pub use reason::{Reason, UnknownReason, VerdictKind};
pub use redeem::{NoUnit, Redemption, RewardOffer, redeem, rewards_for};
pub use sell::{Offer, Offers, Sale, offers, sell, verdict_of_sale};
pub use visit::visit;
pub use void::void;

use jiff::civil::Date;

use crate::account::Account;
use crate::authenticity::Authenticity;
use crate::catalogue::{CardStatus, HolderStatus, PassRecord, Policy, Programme};
use crate::ids::VenueId;
use crate::time::{Calendar, UnixMillis};

/// A pass as a decision sees it: its record, and its account with the entries of this venue that
/// the record does not include yet.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The record.
    pub record: &'a PassRecord,
    /// The state of the card that was shown.
    pub card: CardStatus,
    /// The account.
    pub account: &'a Account,
    /// For how long the hub has not confirmed the record, in milliseconds; `i64::MAX` where it never
    /// did.
    pub age: i64,
    /// How strong the proof is that the card is the one it says it is.
    pub authenticity: Authenticity,
}

/// Where and when a decision is taken, and by which policy.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// The venue.
    pub venue: &'a VenueId,
    /// What its desks may do on their own.
    pub policy: &'a Policy,
    /// Its local time.
    pub calendar: &'a Calendar,
    /// Now.
    pub now: UnixMillis,
    /// Whether the hour of the day is known. Where it is not, the volunteer knows it: every activity is open then.
    pub hour_known: bool,
}

impl Here<'_> {
    /// Today, at the venue.
    pub fn today(&self) -> Date {
        self.calendar.day(self.now)
    }
}

/// What every question about a UiTPAS begins with: whether the card and its holder are in order and
/// a membership is in force.
///
/// # Errors
/// The contract's [`Reason`].
fn uitpas_in_use(pass: Standing<'_>, here: &Here<'_>) -> Result<(), Reason> {
    match pass.card {
        CardStatus::Active => {}
        CardStatus::Blocked => return Err(Reason::CardBlocked),
        CardStatus::Provisioned | CardStatus::LocalStock | CardStatus::Deleted => {
            return Err(Reason::InvalidCardStatus);
        }
    }
    match pass.record.holder {
        HolderStatus::Registered => {}
        HolderStatus::Unregistered => return Err(Reason::InvalidCardStatus),
        HolderStatus::Blocked => return Err(Reason::UitpasHolderBlocked),
    }
    if matches!(pass.record.programme, Programme::Museumpass | Programme::External) {
        return Err(Reason::CheckinNotAllowed);
    }
    if pass.record.active_card_systems(here.today()).next().is_none() {
        return Err(Reason::PassholderNoActiveCardsystems);
    }
    Ok(())
}

/// Whether a card has proved enough of itself. A card that was refuted never has, whatever is needed.
///
/// # Errors
/// [`Reason::CardNotGenuine`], [`Reason::CardProofRequired`].
pub fn proven(shown: Authenticity, needed: Authenticity) -> Result<(), Reason> {
    match shown {
        Authenticity::Refuted => Err(Reason::CardNotGenuine),
        shown if shown >= needed => Ok(()),
        Authenticity::UidOnly | Authenticity::Signed | Authenticity::Cryptographic => {
            Err(Reason::CardProofRequired)
        }
    }
}

#[cfg(test)]
mod tests;
