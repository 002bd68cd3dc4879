//! What a session says, message by message.
//!
//! A session is lock-step: one message is on its way, and whoever receives it says the next one. What
//! a desk says is read from its disk when the hub receives it: nothing else writes there meanwhile but
//! taps, which only add.

use crate::design::{Design, Fault};
use crate::desk::{Desk, Item, Request, bring_to, note};
use crate::hub::{Grant, Hub, ITEMS, LogRow};

/// What a desk says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Up {
    /// The desk's pairs, with the pending entries behind them.
    Hello,
    /// All lists on its disk, with what the hub lacks of them.
    Lists,
    /// The notices that it keeps.
    Notices,
    /// All that it holds of limited stock.
    Stated,
    /// Its request, where it was answered beyond the common number, or waits.
    RequestAgain,
    /// The items that it took beyond the number where the feed goes on.
    Again(Vec<usize>),
    /// Pending entries.
    Batch,
    /// A request.
    Request,
    /// It gives the unit back.
    Closing,
    /// It would like the unit.
    Wanted,
    /// Nothing: the feed may go on.
    Next,
}

/// What a hub says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Down {
    /// How the session goes on.
    Welcome {
        /// The run.
        run: u8,
        /// Where the catalogue goes on.
        catalogue: u8,
        /// Where the venue's log goes on.
        venue: u8,
        /// Everything told beyond this number is to be said again.
        restored: Option<u8>,
    },
    /// The device is revoked.
    Refused,
    /// What it has of the desk's own list.
    Ack {
        /// Entries.
        up_to: u8,
        /// The hub's number.
        number: u8,
    },
    /// The answer to a request.
    Answer {
        /// The pass that was made.
        pass: u8,
        /// The hub's number.
        number: u8,
    },
    /// What is granted.
    Grants {
        /// The unit's grant, if any.
        grant: Option<u8>,
        /// The hub's number.
        number: u8,
    },
    /// The grant is settled.
    Closed {
        /// The hub's number.
        number: u8,
    },
    /// Received.
    Fine,
    /// An item as it is now.
    Again {
        /// Which.
        item: usize,
        /// What it says.
        content: u8,
        /// The highest number in the page.
        stamp: u8,
    },
    /// No more of what was named: the desk moves its cursor.
    AgainDone,
    /// The deny list beyond a number; moves nothing.
    DenyList {
        /// What the denied item says.
        content: u8,
        /// The highest number in the page.
        stamp: u8,
    },
    /// An item of the catalogue.
    Page {
        /// Which.
        item: usize,
        /// What it says.
        content: u8,
        /// The cursor behind it.
        to: u8,
    },
    /// The neighbour's next entries.
    Share {
        /// The place of the first.
        first: u8,
        /// How many.
        count: u8,
        /// The cursor behind them.
        to: u8,
    },
    /// The second desk is revoked.
    Notice {
        /// The hub's number.
        number: u8,
    },
    /// There is nothing new.
    Idle,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// To the hub.
    Up(Up),
    /// To the desk.
    Down(Down),
}

/// Where a desk is in what it says to a hub that was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The steps are behind it, or were not asked for.
    Ordinary,
    /// It said its lists.
    Lists,
    /// It gave its notices.
    Notices,
    /// It stated its stock.
    Stated,
    /// It repeated its request.
    Request,
    /// It named its items.
    Again,
}

/// A session of one desk, both ends of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Session {
    /// What is on its way.
    pub wire: Message,
    /// Whether the hub says that there is nothing new while the desk lacks something.
    pub misled: bool,
    /// Hub: up to where the catalogue was sent.
    sent_catalogue: u8,
    /// Hub: up to where the venue's log was sent.
    sent_venue: u8,
    /// Hub: whether the deny list was sent.
    denied: bool,
    /// Hub: whether the notice was sent.
    noticed: bool,
    /// Hub: items that the desk named and that are still to be sent.
    named: Vec<usize>,
    /// Desk: the hub's run.
    run: u8,
    /// Desk: where the catalogue goes on.
    go_on: u8,
    /// Desk: where the venue's log goes on.
    venue: u8,
    /// Desk: what both know, where the hub was restored.
    common: Option<u8>,
    /// Desk: the highest number told in this session.
    told: u8,
    /// Desk: a number that is to be noted, under [`Fault::NotedLate`].
    late: Option<u8>,
    /// Desk: what it said last.
    step: Step,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// It goes on.
    On,
    /// It is over.
    Over,
    /// The hub found its database replaced: all sessions are over.
    AllOver,
}

impl Session {
    /// A desk connects.
    pub fn new() -> Self {
        Self {
            wire: Message::Up(Up::Hello),
            misled: false,
            sent_catalogue: 0,
            sent_venue: 0,
            denied: false,
            noticed: false,
            named: Vec::new(),
            run: 0,
            go_on: 0,
            venue: 0,
            common: None,
            told: 0,
            late: None,
            step: Step::Ordinary,
        }
    }

    /// What is on its way arrives.
    pub fn deliver(&mut self, design: Design, hub: &mut Hub, who: usize, desk: &mut Desk) -> Goes {
        match self.wire.clone() {
            Message::Up(up) => self.hub_receives(design, hub, who, desk, up),
            Message::Down(down) => self.desk_receives(design, desk, &down),
        }
    }

    fn hub_receives(
        &mut self,
        design: Design,
        hub: &mut Hub,
        who: usize,
        desk: &Desk,
        up: Up,
    ) -> Goes {
        let writes = up != Up::Next;
        if writes && !design.has(Fault::WritesUnguarded) && hub.guard(design) {
            return Goes::AllOver;
        }
        if who == 1 && hub.db.revoked {
            return if up == Up::Hello { self.say(Down::Refused) } else { Goes::Over };
        }
        let down = match up {
            Up::Hello => self.welcome(design, hub, who, desk),
            Up::Lists => {
                hub.take(who, 0, desk.own);
                hub.take(1 - who, 0, desk.other);
                acknowledge(design, hub, who)
            }
            Up::Batch => {
                hub.take(who, desk.acknowledged, desk.own);
                acknowledge(design, hub, who)
            }
            Up::Notices => {
                if desk.knows_revoked && !hub.db.revoked {
                    hub.revoke(design);
                }
                Down::Fine
            }
            Up::Stated => {
                let closing = desk.closing && !design.has(Fault::ClosingStatedAsHeld);
                hub.stated(design, who, desk.grant.filter(|_| !closing));
                Down::Fine
            }
            Up::RequestAgain | Up::Request => {
                let told = match desk.request {
                    Request::Answered { pass, .. } => Some(pass),
                    Request::Waiting | Request::None => None,
                };
                let pass = hub.request(design, who, told);
                Down::Answer {
                    pass,
                    number: hub.number_of_its_own(design, Fault::AnswersUnnumbered),
                }
            }
            Up::Closing => {
                let closed = |grant: &&mut Grant| Some(grant.id) == desk.grant;
                for grant in hub.db.grants.iter_mut().filter(closed) {
                    grant.active = false;
                }
                Down::Closed { number: hub.number_of_its_own(design, Fault::ClosingsUnnumbered) }
            }
            Up::Wanted => {
                let grant = hub.grant(who);
                let number = match grant {
                    Some(_) => hub.number_of_its_own(design, Fault::GrantsUnnumbered),
                    None => hub.db.counter,
                };
                Down::Grants { grant, number }
            }
            Up::Again(names) => {
                self.named = names;
                self.next_named(design, hub)
            }
            Up::Next if !self.named.is_empty() => self.next_named(design, hub),
            Up::Next if self.step == Step::Again => Down::AgainDone,
            Up::Next => {
                let down = self.feed(hub, who);
                self.misled = down == Down::Idle && !up_to_date(hub, who, desk);
                down
            }
        };
        self.say(down)
    }

    fn say(&mut self, down: Down) -> Goes {
        self.wire = Message::Down(down);
        Goes::On
    }

    fn welcome(&mut self, design: Design, hub: &mut Hub, who: usize, desk: &Desk) -> Down {
        let (catalogue, _) = hub.locate(design, &desk.catalogue);
        let (venue, _) = hub.locate(design, &desk.venue);
        let (common, lost) = hub.locate(design, &desk.any);
        if lost {
            hub.learn(design);
        }
        let restored = lost || (hub.db.held[who] && !design.has(Fault::AskedByPairsOnly));
        if !restored {
            hub.take(who, desk.acknowledged, desk.own);
        }
        self.sent_catalogue = catalogue;
        self.sent_venue = venue;
        let run = hub.db.runs.last().map_or(0, |run| run.id);
        Down::Welcome { run, catalogue, venue, restored: restored.then_some(common) }
    }

    /// The next item that the desk named, as it is now. Nothing leaves the hub without a number.
    fn next_named(&mut self, design: Design, hub: &mut Hub) -> Down {
        let Some(item) = self.named.pop() else { return Down::AgainDone };
        if !design.has(Fault::AgainUnnumbered) && !hub.replaced(design) {
            hub.number();
        }
        let row = hub.db.items[item];
        let stamp = if design.has(Fault::AgainStampedLow) { 0 } else { row.version };
        Down::Again { item, content: row.content, stamp: stamp.max(self.sent_catalogue) }
    }

    /// The next thing that the desk lacks.
    fn feed(&mut self, hub: &Hub, who: usize) -> Down {
        let lacking = |row: &&LogRow| row.version > self.sent_venue;
        let rows: Vec<_> = hub.db.log.iter().filter(lacking).collect();
        if let Some(last) = rows.iter().map(|row| row.version).max() {
            self.sent_venue = last;
            let places: Vec<u8> =
                rows.iter().filter(|row| row.desk != who).map(|row| row.place).collect();
            let first = places.first().copied().unwrap_or(0);
            let count = u8::try_from(places.len()).unwrap_or(u8::MAX);
            return Down::Share { first, count, to: last };
        }
        if hub.db.revoked && who == 0 && !self.noticed {
            self.noticed = true;
            return Down::Notice { number: hub.db.counter };
        }
        let denied = hub.db.items[0];
        if !self.denied && denied.version > self.sent_catalogue {
            self.denied = true;
            return Down::DenyList { content: denied.content, stamp: denied.version };
        }
        let lacking = (0..ITEMS).filter(|item| hub.db.items[*item].version > self.sent_catalogue);
        match lacking.min_by_key(|item| hub.db.items[*item].version) {
            Some(item) => {
                let row = hub.db.items[item];
                self.sent_catalogue = row.version;
                Down::Page { item, content: row.content, to: row.version }
            }
            None => Down::Idle,
        }
    }

    fn desk_receives(&mut self, design: Design, desk: &mut Desk, down: &Down) -> Goes {
        if let Some(number) = self.late.take() {
            note(&mut desk.any, self.run, number);
        }
        match *down {
            Down::Refused => return Goes::Over,
            Down::Welcome { run, catalogue, venue, restored } => {
                (self.run, self.go_on, self.venue) = (run, catalogue, venue);
                if let Some(common) = restored {
                    self.common = Some(common);
                    self.told = common;
                    self.begin_again(design, desk);
                    return Goes::On;
                }
            }
            Down::Ack { up_to, number } => {
                desk.acknowledged = up_to;
                self.tell(design, desk, number);
            }
            Down::Answer { pass, number } => {
                self.tell(design, desk, number);
                // Where a pass was told before, that one stands in entries.
                let first = match desk.request {
                    Request::Answered { pass: first, .. } => first,
                    Request::Waiting | Request::None => pass,
                };
                desk.request = Request::Answered { pass: first, number };
            }
            Down::Grants { grant, number } => {
                self.tell(design, desk, number);
                desk.wants = false;
                desk.grant = desk.grant.or(grant);
            }
            Down::Closed { number } => {
                self.tell(design, desk, number);
                desk.grant = None;
                desk.closing = false;
            }
            Down::Fine => {}
            Down::Again { item, content, stamp } => {
                self.tell(design, desk, stamp);
                desk.items[item] = Item { content, stamp };
            }
            Down::AgainDone => {
                self.bring_back(desk);
                self.common = None;
                self.step = Step::Ordinary;
            }
            Down::DenyList { content, stamp } => {
                self.tell(design, desk, stamp);
                let stamp = if design.has(Fault::DenyListUnstamped) { self.go_on } else { stamp };
                desk.items[0] = Item { content, stamp };
            }
            Down::Page { item, content, to } => {
                self.tell(design, desk, to);
                desk.items[item] = Item { content, stamp: to };
                note(&mut desk.catalogue, self.run, to);
            }
            Down::Share { first, count, to } => {
                self.tell(design, desk, to);
                if count > 0 {
                    assert!(first <= desk.other + 1, "the feed of the venue has no gaps");
                    desk.other = desk.other.max(first + count - 1);
                }
                note(&mut desk.venue, self.run, to);
            }
            Down::Notice { number } => {
                self.tell(design, desk, number);
                desk.knows_revoked = true;
            }
            Down::Idle => {
                if next_ordinary(desk) == Up::Next {
                    return Goes::Over;
                }
            }
        }
        self.wire = Message::Up(self.next(design, desk));
        Goes::On
    }

    /// Notes a number that this desk was told.
    fn tell(&mut self, design: Design, desk: &mut Desk, number: u8) {
        self.told = self.told.max(number);
        if self.common.is_some() && !design.has(Fault::PairsNotedEarly) {
            return;
        }
        if design.has(Fault::NotedLate) {
            self.late = Some(number);
        } else {
            note(&mut desk.any, self.run, number);
        }
    }

    /// The hub was restored: everything beyond the common number is said again.
    fn begin_again(&mut self, design: Design, desk: &mut Desk) {
        if design.has(Fault::CursorMovedEarly) {
            self.bring_back(desk);
        }
        if design.has(Fault::AcknowledgementsKept) {
            self.step = Step::Notices;
            self.wire = Message::Up(Up::Notices);
        } else {
            desk.acknowledged = 0;
            self.step = Step::Lists;
            self.wire = Message::Up(Up::Lists);
        }
    }

    /// The desk's cursors go back to what both know, and the later pairs go.
    fn bring_back(&self, desk: &mut Desk) {
        bring_to(&mut desk.catalogue, self.run, self.go_on);
        bring_to(&mut desk.venue, self.run, self.venue);
        bring_to(&mut desk.any, self.run, self.common.unwrap_or(0));
        note(&mut desk.any, self.run, self.told);
    }

    /// What the desk says next.
    fn next(&mut self, design: Design, desk: &Desk) -> Up {
        let Some(common) = self.common else {
            return next_ordinary(desk);
        };
        match self.step {
            Step::Lists => {
                self.step = Step::Notices;
                if desk.knows_revoked { Up::Notices } else { self.next(design, desk) }
            }
            Step::Notices => {
                self.step = Step::Stated;
                Up::Stated
            }
            Step::Stated => {
                self.step = Step::Request;
                match desk.request {
                    Request::Answered { number, .. } if number > common => Up::RequestAgain,
                    Request::Waiting => Up::RequestAgain,
                    Request::Answered { .. } | Request::None => self.next(design, desk),
                }
            }
            Step::Request => {
                self.step = Step::Again;
                let named = !design.has(Fault::NoAgain);
                let stamped = |item: &usize| named && desk.items[*item].stamp > self.go_on;
                Up::Again((0..ITEMS).filter(stamped).collect())
            }
            Step::Again | Step::Ordinary => Up::Next,
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

/// Commit first, number, then acknowledge.
fn acknowledge(design: Design, hub: &mut Hub, who: usize) -> Down {
    if !design.has(Fault::AcknowledgedUnnumbered) {
        hub.number();
    }
    Down::Ack { up_to: hub.db.entries[who], number: hub.db.counter }
}

/// What a desk says in an ordinary session.
fn next_ordinary(desk: &Desk) -> Up {
    if desk.own > desk.acknowledged {
        Up::Batch
    } else if desk.request == Request::Waiting {
        Up::Request
    } else if desk.closing {
        Up::Closing
    } else if desk.wants {
        Up::Wanted
    } else {
        Up::Next
    }
}

/// Whether a desk has all that is numbered.
fn up_to_date(hub: &Hub, who: usize, desk: &Desk) -> bool {
    let others = |row: &&LogRow| row.desk != who && row.version > 0;
    let items = hub.db.items.iter().zip(&desk.items);
    items.filter(|(row, _)| row.version > 0).all(|(row, item)| row.content == item.content)
        && hub.db.log.iter().filter(others).all(|row| row.place <= desk.other)
}
