//! What is shown of a pass beside a verdict.

use jiff::civil::Date;

use crate::account::Account;
use crate::catalogue::{PassRecord, Programme};
use crate::ids::PassId;
use crate::time::date_of_day_number;

/// A pass as a counter may show it: nothing here tells of a social tariff (invariant 11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassShown<'a> {
    /// The hub's serial number.
    pub pass: PassId,
    /// The platform.
    pub programme: Programme,
    /// A few digits of the number that tell two rows apart and reveal nothing.
    pub telling_digits: &'a str,
    /// Points that can be spent now.
    pub points: u64,
    /// Points overspent while desks were apart; later points pay them first.
    pub debt: u64,
    /// The last day of validity; only that of a museumPASS is shown.
    pub valid_until: Option<Date>,
    /// Visits counted.
    pub visits: u64,
}

impl<'a> PassShown<'a> {
    /// The pass of this record with this account: after a verdict, the account with what was written.
    pub fn of(record: &'a PassRecord, account: &Account) -> Self {
        let dated = record.programme == Programme::Museumpass;
        Self {
            pass: record.pass,
            programme: record.programme,
            telling_digits: &record.telling_digits,
            points: account.points(),
            debt: account.debt(),
            valid_until: record.valid_until.filter(|_| dated).and_then(date_of_day_number),
            visits: account.visits,
        }
    }
}
