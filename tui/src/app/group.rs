//! Several passes that come in together, and what they pay.

use crdt_model::decide::VerdictKind;
use crdt_model::money::Cents;
use desk_api::types::{Answer, Kind};

use super::Model;
#[cfg(doc)]
use crate::clock::Moment;

/// An amount on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// What is to be paid; nothing where no price is known.
    pub to_pay: Option<Cents>,
    /// Whether it is a group's.
    pub of_group: bool,
    /// When it came ([`Moment::steady`]).
    pub since: i64,
}

/// Several passes that come in together: a family, a class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The cards, kept only while the group is open.
    pub cards: Vec<String>,
    /// How many passes were answered with ok.
    pub ok: usize,
    /// Points that were earned.
    pub points: i64,
    /// Whether it is closed: then only its sums are left.
    pub closed: Option<usize>,
}

impl Model {
    /// A tap while a group is open is one of the group, once for each card.
    pub(super) fn join_group(&mut self, answer: &Answer, card: Option<&str>) {
        let is_tap = matches!(answer.kind, Kind::CheckIn | Kind::Visit | Kind::ExternalVisit);
        match (&mut self.group, card) {
            (Some(group), Some(card)) if group.closed.is_none() && is_tap => {
                if !group.cards.iter().any(|known| known == card) {
                    group.cards.push(card.to_owned());
                    group.ok += usize::from(answer.verdict == VerdictKind::Ok);
                }
                group.points += answer.points_change;
            }
            (Some(group), _) if group.closed.is_some() && is_tap => self.group = None,
            _ => {}
        }
    }

    /// Opens a group, or closes the one that is open.
    pub(super) fn open_or_close_group(&mut self) {
        match &mut self.group {
            Some(group) if group.closed.is_none() => {
                group.closed = Some(group.cards.len());
                group.cards.clear();
            }
            _ => self.group = Some(Group::default()),
        }
    }

    pub(super) fn open_group(&self) -> Option<&Group> {
        self.group.as_ref().filter(|group| group.closed.is_none())
    }

    /// The cards whose amount is asked for: the group's, else the one on the screen.
    pub(super) fn cards_to_pay(&self) -> Vec<String> {
        if let Some(group) = self.open_group() {
            return group.cards.clone();
        }
        let cards = self.shown.iter().filter_map(|shown| shown.card.as_ref());
        cards.map(|card| card.number.clone()).collect()
    }
}
