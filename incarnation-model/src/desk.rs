//! What a desk stores. All of it is durable.

use crate::hub::ITEMS;

/// A number under the run that it was heard in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The run.
    pub run: u8,
    /// The number.
    pub number: u8,
}

/// Notes a pair: the newest run first, of each run the highest number.
pub fn note(list: &mut Vec<Pair>, run: u8, number: u8) {
    match list.first_mut() {
        Some(first) if first.run == run => first.number = first.number.max(number),
        _ => list.insert(0, Pair { run, number }),
    }
}

/// A list after it was brought to `number` of this run: earlier pairs stay, later ones go.
pub fn bring_to(list: &mut Vec<Pair>, run: u8, number: u8) {
    list.retain(|pair| pair.number <= number && pair.run != run);
    list.insert(0, Pair { run, number });
}

/// A catalogue item as a desk has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Item {
    /// What it says; 0 is an item that does not exist.
    pub content: u8,
    /// The highest number that it may have come under.
    pub stamp: u8,
}

/// A request, sealed and on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// None was made.
    None,
    /// Not answered yet.
    Waiting,
    /// Answered: the pass, and the number of the answer. Kept for some days.
    Answered {
        /// The pass.
        pass: u8,
        /// The hub's number.
        number: u8,
    },
}

/// A desk.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact on the disk; any may hold beside any"
)]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Desk {
    /// The catalogue.
    pub items: [Item; ITEMS],
    /// The cursor into the catalogue.
    pub catalogue: Vec<Pair>,
    /// The cursor into the venue's log.
    pub venue: Vec<Pair>,
    /// What the desk was ever told.
    pub any: Vec<Pair>,
    /// Entries that it wrote.
    pub own: u8,
    /// How many of them the hub has acknowledged.
    pub acknowledged: u8,
    /// Entries of its neighbour that it holds.
    pub other: u8,
    /// The grant of the unit that it holds.
    pub grant: Option<u8>,
    /// Whether it handed the unit out.
    pub used: bool,
    /// Whether it is to give the unit back.
    pub closing: bool,
    /// Whether it is to ask for the unit.
    pub wants: bool,
    /// Its request.
    pub request: Request,
    /// Whether it has the hub's notice that the second desk is revoked.
    pub knows_revoked: bool,
    /// Whether it vanished.
    pub gone: bool,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            items: [Item::default(); ITEMS],
            catalogue: Vec::new(),
            venue: Vec::new(),
            any: Vec::new(),
            own: 0,
            acknowledged: 0,
            other: 0,
            grant: None,
            used: false,
            closing: false,
            wants: false,
            request: Request::None,
            knows_revoked: false,
            gone: false,
        }
    }
}

impl Desk {
    /// Whether the unit is, or was, in a visitor's or this desk's hands. A desk that is to give it back
    /// does not hand it out any more.
    pub fn had_unit(&self) -> bool {
        self.used || (self.grant.is_some() && !self.closing)
    }
}
