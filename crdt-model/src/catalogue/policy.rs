//! What the hub lets a venue's desks do on their own.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::authenticity::Authenticity;
use crate::ids::OrganiserId;

/// A rule for redemptions on an account that the hub has not confirmed for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct AgeRule {
    /// Up to this age of the account, in milliseconds …
    #[n(0)]
    pub up_to: i64,
    /// … so many points of it may be spent before the hub has seen them; `None` means all.
    #[n(1)]
    pub points: Option<u32>,
}

/// What a card must prove before points of it are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ProofRule {
    /// For a reward that costs so many points or more …
    #[n(0)]
    pub from_points: u32,
    /// … at least this.
    #[n(1)]
    pub at_least: Authenticity,
}

/// What a card must prove for what. Without rules a chip number is enough for everything: most cards
/// that people carry can prove nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Proofs {
    /// For a check-in.
    #[n(0)]
    pub check_in: Authenticity,
    /// For a museum visit.
    #[n(1)]
    pub visit: Authenticity,
    /// For redemptions: the strictest rule that applies.
    #[n(2)]
    pub redemptions: Vec<ProofRule>,
}

impl Proofs {
    /// What a card must prove for a reward that costs so many points.
    pub fn redemption(&self, points: u32) -> Authenticity {
        let applying = self.redemptions.iter().filter(|rule| points >= rule.from_points);
        applying.map(|rule| rule.at_least).max().unwrap_or_default()
    }
}

/// Whether a type of external card is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalCardRule {
    /// The type, as [`crate::ids::ExternalCard::card_type`].
    #[n(0)]
    pub card_type: String,
    /// Its name, for people.
    #[n(1)]
    pub name: String,
    /// Whether it is let in here.
    #[n(2)]
    pub allowed: bool,
}

/// What the hub lets a venue's desks do on their own.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Policy {
    /// How long an entry can be taken back at the desk, in milliseconds.
    #[n(0)]
    pub undo_window: i64,
    /// Whether a card that the catalogue does not know is taken provisionally.
    #[n(1)]
    pub unknown_cards: bool,
    /// How far the desk's clock may be from the hub's before it is called wrong, in milliseconds.
    #[n(2)]
    pub clock_tolerance: i64,
    /// How many unknown cards one desk takes on one day; `None` means any number.
    #[n(3)]
    pub unknown_cards_a_day: Option<u32>,
    /// For redemptions on accounts of growing age, in order; older than the last rule says: none.
    /// Empty means that age does not matter.
    #[n(4)]
    pub redemptions: Vec<AgeRule>,
    /// Visits that a museumPASS may make before its holder is registered.
    #[n(5)]
    pub unregistered_visits: u32,
    /// Types of external cards.
    #[n(6)]
    pub external_cards: Vec<ExternalCardRule>,
    /// Whose venue it is: rewards may be bound to organisers.
    #[n(7)]
    pub organiser: Option<OrganiserId>,
    /// What a card must prove for what.
    #[n(8)]
    #[cbor(default)]
    pub proofs: Proofs,
    /// How many units of limited rewards a desk may hand out before it has heard the hub, on a computer that does not know
    /// what the desk has handed out before; `None` means 2.
    #[n(9)]
    pub units_without_hub: Option<u32>,
}

/// Units that a desk may hand out on a computer that does not know it, where no policy says how many: a visitor or two
/// are served, and a copied folder doubles no more than that.
pub const UNITS_WITHOUT_HUB: u32 = 2;

/// Ten years: a rule that is always the last.
const EVER: i64 = 10 * 366 * 24 * 3_600_000;

impl Default for Policy {
    /// The cautious policy before the hub has said one.
    fn default() -> Self {
        Self {
            undo_window: 5 * 60 * 1000,
            unknown_cards: true,
            clock_tolerance: 2 * 60 * 1000,
            unknown_cards_a_day: Some(200),
            redemptions: vec![
                AgeRule { up_to: 24 * 3_600_000, points: None },
                AgeRule { up_to: 7 * 24 * 3_600_000, points: Some(50) },
                AgeRule { up_to: EVER, points: Some(20) },
            ],
            unregistered_visits: 2,
            external_cards: Vec::new(),
            organiser: None,
            proofs: Proofs::default(),
            units_without_hub: None,
        }
    }
}

impl Policy {
    /// How many units of limited rewards a desk may hand out before it has heard the hub, on a computer that does not
    /// know it.
    pub fn units_without_hub(&self) -> u32 {
        self.units_without_hub.unwrap_or(UNITS_WITHOUT_HUB)
    }

    /// The rule for an account of this age in milliseconds; `None` where it is too old for any.
    pub fn age_rule(&self, age: i64) -> Option<AgeRule> {
        if self.redemptions.is_empty() {
            return Some(AgeRule { up_to: i64::MAX, points: None });
        }
        self.redemptions.iter().find(|rule| age <= rule.up_to).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy that a hub of an earlier version sent has no rules about proofs.
    #[test]
    fn a_policy_without_rules_about_proofs_is_still_read() {
        #[derive(Encode)]
        struct Earlier {
            #[n(0)]
            undo_window: i64,
            #[n(1)]
            unknown_cards: bool,
            #[n(2)]
            clock_tolerance: i64,
            #[n(3)]
            unknown_cards_a_day: Option<u32>,
            #[n(4)]
            redemptions: Vec<AgeRule>,
            #[n(5)]
            unregistered_visits: u32,
            #[n(6)]
            external_cards: Vec<ExternalCardRule>,
            #[n(7)]
            organiser: Option<OrganiserId>,
        }
        let Policy {
            undo_window,
            unknown_cards,
            clock_tolerance,
            unknown_cards_a_day,
            redemptions,
            unregistered_visits,
            external_cards,
            organiser,
            proofs: _,
            units_without_hub: _,
        } = Policy::default();
        let earlier = minicbor::to_vec(Earlier {
            undo_window,
            unknown_cards,
            clock_tolerance,
            unknown_cards_a_day,
            redemptions,
            unregistered_visits,
            external_cards,
            organiser,
        });
        let read: Policy = minicbor::decode(&earlier.unwrap()).unwrap();
        assert_eq!(read, Policy::default());
        assert_eq!(read.units_without_hub(), UNITS_WITHOUT_HUB);
    }

    #[test]
    fn the_strictest_rule_that_applies_says_what_a_redemption_needs() {
        let rule = |from_points, at_least| ProofRule { from_points, at_least };
        let proofs = Proofs {
            redemptions: vec![
                rule(100, Authenticity::Cryptographic),
                rule(50, Authenticity::Signed),
            ],
            ..Proofs::default()
        };
        for (points, needed) in [
            (0, Authenticity::UidOnly),
            (49, Authenticity::UidOnly),
            (50, Authenticity::Signed),
            (100, Authenticity::Cryptographic),
            (1000, Authenticity::Cryptographic),
        ] {
            assert_eq!(proofs.redemption(points), needed, "{points}");
        }
        assert_eq!(Proofs::default().redemption(u32::MAX), Authenticity::UidOnly);
    }
}
