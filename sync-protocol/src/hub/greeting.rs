//! From a desk's Hello to the hub's Welcome: who it is, where it goes on, what is held of its lists.

use crate::feed::{Feed, Found, HubClock, KnownDesk, Need, News, NotAsked, Note, Tops};
use crate::message::{Hello, HubMessage, ListPosition, PROTOCOL_VERSION, Welcome};
use crate::runs::Located;
use crate::version::{GoOn, Restored, Version};

use super::{HubSession, Phase};

/// How far a greeting has come.
#[derive(Debug)]
pub(super) struct Greeting {
    hello: Hello,
    known: Option<KnownDesk>,
    located: Option<Located>,
    held: Option<Vec<ListPosition>>,
    /// What moved meanwhile.
    pub(super) moved: Vec<News>,
    /// A run that was opened meanwhile.
    pub(super) opened: Option<Version>,
}

impl Greeting {
    pub(super) fn new(hello: Hello) -> Self {
        let (known, located, held, moved, opened) = (None, None, None, Vec::new(), None);
        Self { hello, known, located, held, moved, opened }
    }

    pub(super) fn next_need(&mut self) -> Option<Need> {
        if self.known.is_none() {
            return Some(Need::Desk(Box::new(self.hello.clone())));
        }
        if let Some(seen) = &self.hello.seen
            && self.located.is_none()
        {
            return Some(Need::Runs(seen.runs()));
        }
        if self.held.is_none() {
            return Some(Need::Held(self.hello.pending.clone()));
        }
        None
    }

    fn take(&mut self, found: Found) -> Result<(), NotAsked> {
        match (found, &self.hello.seen) {
            (Found::Desk(known), _) if self.known.is_none() => {
                self.known = Some(*known);
                if self.hello.pending.is_empty() {
                    self.held = Some(Vec::new());
                }
            }
            (Found::Runs(table), Some(seen)) if self.located.is_none() => {
                self.located = Some(table.locate(seen));
            }
            (Found::Held(held), _) if self.held.is_none() => self.held = Some(held),
            _ => return Err(NotAsked),
        }
        Ok(())
    }

    /// Where a desk goes on that keeps no pairs: one that is ahead of a restored hub begins again.
    fn go_on_by_versions(&self, tops: Tops, lost: bool) -> GoOn {
        let up_to = |version: u64, top: u64| if version <= top { version } else { 0 };
        let Hello { catalogue_version, venue_version, holders_version, .. } = self.hello;
        GoOn {
            catalogue: up_to(catalogue_version, tops.catalogue),
            venue: if lost { 0 } else { up_to(venue_version, tops.venue) },
            holders: up_to(holders_version.unwrap_or_default(), tops.holders),
            notices: 0,
        }
    }
}

impl HubSession {
    pub(super) fn greet(&mut self, found: Found) -> Result<(), NotAsked> {
        let Phase::Greeted(greeting) = &mut self.phase else { return Err(NotAsked) };
        greeting.take(found)?;
        if greeting.next_need().is_some() {
            return Ok(());
        }
        let (Some(known), Some(held)) = (greeting.known.take(), greeting.held.take()) else {
            return Err(NotAsked);
        };
        let located = greeting.located;
        let restored = located.and_then(|located| {
            // All that it was told holds, and the hub wants to hear all the same what it was granted.
            let asked = known.is_held.then_some(Restored { common: u64::MAX });
            located.restored.or(asked)
        });
        let lost = known.entries < greeting.hello.acknowledged;
        let go_on = match located {
            // The rows are gone and the counter is not: whatever was told of the venue may lack.
            Some(located) if lost => GoOn { venue: 0, ..located.go_on },
            Some(located) => located.go_on,
            None => greeting.go_on_by_versions(known.tops, lost),
        };
        let mut feed = Feed::new(known.device, go_on, known.tops, known.card_keys);
        feed.announce(&greeting.hello.pending);
        if located.is_some() {
            feed.tell_notices(go_on.notices, known.tops.notices);
        }
        if restored.is_some() {
            feed.hold();
        }
        greeting.moved.iter().for_each(|news| feed.moved(news));
        let (hello, opened) = (Box::new(greeting.hello.clone()), greeting.opened);
        self.phase = Phase::Open(Box::new(feed));
        self.run = located.and_then(|located| located.run);

        let HubClock { wall, doubtful } = self.clock;
        self.clock_offset = hello.clock.saturating_sub(wall.0);
        self.say(&HubMessage::Welcome(Welcome {
            protocol: PROTOCOL_VERSION,
            clock: wall.0,
            held,
            lost,
            catalogue_version: known.tops.catalogue,
            venue_version: known.tops.venue,
            venue_name: known.venue_name,
            desk_name: known.desk_name,
            request_key: known.request_key,
            card_keys: known.card_keys,
            beats: true,
            clock_doubtful: doubtful,
            run: self.run,
            go_on: located.map(|_| go_on),
            restored,
        }));
        if let Some(run) = opened {
            self.open_run(run);
        }
        if self.knows_copies {
            self.used_twice = Some(known.used_twice);
        }
        let lost = lost || restored.is_some();
        if let Some(located) = located.filter(|located| located.restored.is_some()) {
            self.notes.push_back(Note::Restored { lost: located.lost });
        }
        self.notes.push_back(Note::Came { hello, clock_offset: self.clock_offset, lost });
        Ok(())
    }
}
