//! Which rules hold, and what may happen how often.

/// A rule of the design that can be left out, to see what it is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Numbers are compared without their runs: plain counting.
    RunIgnored,
    /// A hub that knows that it was restored grants stock at once.
    NothingHeld,
    /// A desk does not name the items that it took beyond the number where the feed goes on.
    NoAgain,
    /// A desk moves its cursor, and drops its later pairs, at `Welcome`.
    CursorMovedEarly,
    /// A desk keeps its acknowledgements, and offers no lists, where the hub was restored.
    AcknowledgementsKept,
    /// A page of the deny list is stored under the desk's cursor instead of the page's own stamp.
    DenyListUnstamped,
    /// A desk stores what it was sent before it notes the number, and a crash may come between.
    NotedLate,
    /// An acknowledgement is sent before its entries are numbered.
    AcknowledgedUnnumbered,
    /// Grants take no number of their own: they are sent with the counter as it stands.
    GrantsUnnumbered,
    /// The same of answers to requests.
    AnswersUnnumbered,
    /// The same of settled grants.
    ClosingsUnnumbered,
    /// The same of notices that a device is revoked.
    RevocationsUnnumbered,
    /// Pass ids count on from the database's highest and the journal's ceiling.
    IdsCountOn,
    /// `Welcome.restored` depends only on what the desk was told, not on whether it is on hold.
    AskedByPairsOnly,
    /// What is told in a session with a restored hub is noted beside the older pairs at once.
    PairsNotedEarly,
    /// A hub looks only for its own run in the table, not whether the counter went backwards.
    OwnRunOnly,
    /// Only numbering looks whether the database was replaced, not whatever else writes.
    WritesUnguarded,
    /// Sessions go on when the hub finds that its database was replaced.
    SessionsGoOn,
    /// A request that is done again gets a new pass id.
    RequestsRenamed,
    /// A stated unit that another desk's grant names is refused, also where that desk is on hold.
    OverlapRefused,
    /// A grant of the database that the desk does not state stays active.
    StatementOnlyAdds,
    /// A desk that is about to give its unit back states that it holds it.
    ClosingStatedAsHeld,
    /// Items that a desk named are sent as they are, though a change of them is not numbered yet.
    AgainUnnumbered,
    /// Items that a desk named are stamped with the number where the feed goes on.
    AgainStampedLow,
    /// A machine that was asleep does not notice that its clock jumped.
    ClockUnwatched,
}

/// The rules in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Design {
    /// The rule that is left out.
    pub without: Option<Fault>,
    /// Whether every start of a hub holds all grants until each desk has stated its own.
    pub held_at_every_start: bool,
    /// Whether a unit that a hub grants twice before anything told it of a restore counts against it.
    pub strict: bool,
}

impl Design {
    /// Whether the design has this fault.
    pub fn has(self, fault: Fault) -> bool {
        self.without == Some(fault)
    }
}

/// How a hub comes back as an older copy of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Restore {
    /// The hub is stopped, its database replaced, and it is started. The journal stays.
    Database,
    /// The database is replaced under the running hub. The journal stays.
    UnderRunningHub,
    /// The hub is stopped, database and journal are replaced, and it is started.
    WholeFolder,
    /// A snapshot of the machine goes on: database, journal and memory. Its clock jumps.
    Machine,
}

/// What may happen, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Changes of catalogue items at the hub.
    pub changes: u8,
    /// Entries that each desk writes.
    pub taps: [u8; 2],
    /// How often each desk may ask for the unit.
    pub wants: [u8; 2],
    /// How often a desk may give its unit back.
    pub closings: u8,
    /// Which desks make a request.
    pub requests: [bool; 2],
    /// Whether the second desk may be revoked.
    pub revocation: bool,
    /// Whether the second desk may vanish for ever.
    pub vanishing: bool,
    /// Restarts of the hub.
    pub restarts: u8,
    /// Lines that break.
    pub cuts: u8,
    /// Restores, each from the one backup.
    pub restores: u8,
    /// How the hub is restored.
    pub restore: Restore,
    /// Whether both desks may be connected at once.
    pub together: bool,
}

impl Bounds {
    /// One restore, and nothing else.
    pub const fn one(restore: Restore) -> Self {
        Self {
            changes: 0,
            taps: [0, 0],
            wants: [0, 0],
            closings: 0,
            requests: [false, false],
            revocation: false,
            vanishing: false,
            restarts: 0,
            cuts: 0,
            restores: 1,
            restore,
            together: false,
        }
    }
}
