//! What is asked about: the card and what is known of it, and the counter at which it is shown.

use std::collections::BTreeSet;

use crate::account::Account;
use crate::authenticity::Authenticity;
use crate::catalogue::{Activity, Coupon, Reward};
use crate::decide::{Here, NoUnit, Standing};
use crate::entry::{Entry, Fact};
use crate::ids::{CardKey, ChipNumber, ExternalCard, RewardId};
use crate::stock::{Holding, Unit};

/// A card at a counter.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The card, and what is known of it.
    pub presented: Presented<'a>,
    /// Where it is shown.
    pub counter: Counter<'a>,
}

/// The card that is shown, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub enum Presented<'a> {
    /// A card that failed its proof. It is not even looked up: whoever shows it learns nothing of the pass whose
    /// number it has, not even whether there is one.
    Forged,
    /// A card of a pass that the catalogue knows.
    Pass(PassPresented<'a>),
    /// A card that the catalogue does not know.
    Unknown(UnknownPresented<'a>),
    /// An admission pass of another platform. There are no records of those.
    External(ExternalPresented<'a>),
}

/// A pass that the catalogue knows.
#[derive(Debug, Clone, Copy)]
pub struct PassPresented<'a> {
    /// How it stands.
    pub standing: Standing<'a>,
    /// This venue's entries about the pass, each dated at when it counts, in any order.
    pub seen: &'a [Entry],
}

/// A card that the catalogue does not know.
#[derive(Debug, Clone, Copy)]
pub struct UnknownPresented<'a> {
    /// Its chip; nothing where a number was typed or scanned, by which nothing can be recorded.
    pub chip: Option<ChipNumber>,
    /// Its account, as far as this venue has seen it.
    pub account: &'a Account,
    /// How many other unknown cards were taken here today.
    pub taken_today: u32,
    /// What it proved of itself.
    pub authenticity: Authenticity,
}

/// An admission pass of another platform.
#[derive(Debug, Clone, Copy)]
pub struct ExternalPresented<'a> {
    /// The card.
    pub card: &'a ExternalCard,
    /// The name under which it is recorded.
    pub key: CardKey,
    /// Its account, as far as this venue has seen it.
    pub account: &'a Account,
    /// This venue's entries about it, each dated at when it counts, in any order.
    pub seen: &'a [Entry],
}

/// Where a card is shown: what there is, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Counter<'a> {
    /// The venue's name, for people.
    pub venue_name: &'a str,
    /// What the venue has.
    pub catalogue: Catalogue<'a>,
    /// The activity that a check-in or a sale is for where none is named.
    pub chosen: Option<&'a Activity>,
    /// Units of limited rewards.
    pub units: Units<'a>,
    /// Where, when and by which policy.
    pub here: Here<'a>,
}

/// What a venue has.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue<'a> {
    /// Its activities.
    pub activities: &'a [Activity],
    /// The rewards that may be handed out there.
    pub rewards: &'a [Reward],
    /// The coupons that passes may have been granted.
    pub coupons: &'a [Coupon],
}

/// Units of limited rewards that may be handed out without asking the hub.
#[derive(Debug, Clone, Copy)]
pub struct Units<'a> {
    /// What was granted, and what of it was handed out.
    pub holding: &'a Holding,
    /// The rewards of which the hub says at present that it has none left.
    pub none_left: &'a BTreeSet<RewardId>,
}

impl Units<'_> {
    /// The unit of this reward to hand out next, or why there is none.
    ///
    /// # Errors
    /// [`NoUnit`].
    pub fn next(&self, reward: &Reward) -> Result<Unit, NoUnit> {
        let said = self.none_left.contains(&reward.reward);
        let why = if said { NoUnit::NoneLeft } else { NoUnit::NotHere };
        self.holding.next_unit(reward.reward).ok_or(why)
    }

    /// How many units of this reward are left here, where its stock is limited.
    pub fn left(&self, reward: &Reward) -> Option<u32> {
        reward.limited.then(|| self.holding.left(reward.reward))
    }
}

impl<'a> Counter<'a> {
    /// The activity of this `eventId`, or the chosen one where none is named.
    pub(super) fn activity_of(&self, event_id: Option<&str>) -> Option<&'a Activity> {
        match event_id {
            Some(event_id) => self.catalogue.activities.iter().find(|it| it.event_id == event_id),
            None => self.chosen,
        }
    }

    /// What this fact was about, for people: the activity's or reward's title, the venue's name for a visit; nothing
    /// where the catalogue does not have it any more.
    pub fn title_of(&self, fact: &Fact) -> Option<&'a str> {
        match *fact {
            Fact::CheckIn { activity, .. } | Fact::TicketSale { activity, .. } => {
                let found = self.catalogue.activities.iter().find(|it| it.activity == activity);
                found.map(|found| &found.title[..])
            }
            Fact::Redemption { reward, .. } => {
                let found = self.catalogue.rewards.iter().find(|it| it.reward == reward);
                found.map(|found| &found.title[..])
            }
            Fact::Visit | Fact::ExternalVisit => Some(self.venue_name),
            Fact::Void { .. } | Fact::Newer { .. } => None,
        }
    }
}
