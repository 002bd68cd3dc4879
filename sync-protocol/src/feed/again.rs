//! What a desk names that it took from a database that is no more, and how that stands now.

use std::collections::{BTreeSet, VecDeque};

use crdt_model::catalogue::{Item, ItemName};
use crdt_model::holder::SealedHolder;
use crdt_model::ids::PassId;

use super::{Asked, Feed, HOLDERS_BYTES, Need, NotAsked, Standing};
use crate::catalogue::fitting;
use crate::message::{HoldersPage, HubMessage, SealedPart};

/// What waits for the desk's word, and how far that has come.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// The desk has stated what it holds.
    pub(super) stated: bool,
    /// Names that are not answered: those of one message, at the most.
    names: Vec<ItemName>,
    /// Passes whose sealed parts are not answered.
    parts: VecDeque<PassId>,
    /// The desk has named all.
    last: bool,
}

/// How what the desk named is answered.
pub(crate) enum NextAgain {
    /// This is looked up.
    Ask(Need),
    /// All is answered, and this page says so.
    Done(Box<HubMessage>),
}

impl Feed {
    /// The desk names items. Said by a desk of which nothing is waited for, it changes nothing.
    pub(crate) fn named(&mut self, names: Vec<ItemName>, last: bool) {
        let Some(again) = &mut self.again else { return };
        let names: BTreeSet<ItemName> = names.into_iter().collect();
        again.names.extend(names);
        again.last = last;
    }

    /// What is asked for to answer what the desk named; or, where all is answered, the page that says so.
    pub(crate) fn next_again(&mut self) -> Option<NextAgain> {
        let again = self.again.as_mut()?;
        if !again.names.is_empty() {
            let names = std::mem::take(&mut again.names);
            let passes = names.iter().filter_map(|name| match name {
                ItemName::Pass(pass) => Some(*pass),
                ItemName::Activity(_)
                | ItemName::Reward(_)
                | ItemName::Policy
                | ItemName::Coupon(_)
                | ItemName::CardSystem(_) => None,
            });
            again.parts.extend(passes);
            self.asked = Some(Asked::Items(names.clone()));
            return Some(NextAgain::Ask(Need::Items { names, up_to: self.catalogue.at }));
        }
        if !again.parts.is_empty() {
            let passes = again.parts.iter().copied().collect();
            self.asked = Some(Asked::SealedParts);
            let (up_to, most_bytes) = (self.holders.at, HOLDERS_BYTES);
            return Some(NextAgain::Ask(Need::SealedParts { passes, up_to, most_bytes }));
        }
        again.last.then(|| NextAgain::Done(Box::new(self.done_again())))
    }

    pub(super) fn items_again(
        &self,
        names: Vec<ItemName>,
        items: Vec<Standing<Item>>,
        too_large: &mut Vec<ItemName>,
    ) -> Vec<HubMessage> {
        let standing = |(name, item)| match item {
            Standing::Is(item) => Some(item),
            Standing::Later => None,
            Standing::Gone => Some(Item::Gone(name)),
        };
        let items: Vec<Item> = names.into_iter().zip(items).filter_map(standing).collect();
        let (mut rest, mut pages) = (&items[..], Vec::new());
        while !rest.is_empty() {
            let fitting = fitting(rest);
            too_large.extend(fitting.too_large);
            rest = &rest[fitting.settled..];
            pages.push(self.page_again(fitting.packed, false));
        }
        pages
    }

    pub(super) fn parts_again(
        &mut self,
        parts: Vec<Standing<SealedHolder>>,
    ) -> Result<Vec<HubMessage>, NotAsked> {
        let again = self.again.as_mut().ok_or(NotAsked)?;
        if parts.is_empty() || parts.len() > again.parts.len() {
            return Err(NotAsked);
        }
        let passes = again.parts.drain(..parts.len());
        let part = |(pass, part)| match part {
            Standing::Is(sealed) => Some(SealedPart { pass, sealed: Some(sealed) }),
            Standing::Later => None,
            Standing::Gone => Some(SealedPart { pass, sealed: None }),
        };
        let holders: Vec<SealedPart> = passes.zip(parts).filter_map(part).collect();
        let (to, stamp) = (self.holders.at, Some(self.holders.at));
        let page = HubMessage::Holders(HoldersPage { to, holders, stamp });
        Ok(vec![page])
    }
}
