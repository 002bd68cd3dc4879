//! The counter: what a desk, a kiosk or the contract API answers to a card, and what it writes.
//!
//! One file a question: [`tap`], [`redeem`] and [`rewards`], [`tariffs`] and [`sell`], [`void`]. A question gets a
//! [`Case`] (the card and what is known of it, the counter with its catalogue, policy and time) and gives a
//! [`Decision`]: the verdict with its reason, the entry that is to be written, and what is to be shown.
//!
//! The rules themselves are in [`crate::decide`]; here is the order in which they are asked, and what is looked at
//! before and beside them. Whoever asks looks things up, writes the decision's entry, and only then shows the verdict.

mod age;
mod case;
mod decision;
mod external;
mod redeem;
mod sell;
mod shown;
mod tap;
mod tariff;
mod unknown;
mod void;

pub use age::{AccountAge, Confirmed, age_of, age_rule};
pub use case::{
    Case, Catalogue, Counter, ExternalPresented, PassPresented, Presented, Units, UnknownPresented,
};
pub use decision::{Decision, Kind, Rule, Unanswered, Verdict, points_change};
pub use redeem::{lacks_only_a_unit, redeem, rewards};
pub use sell::{SaleAsked, Sold, sell};
pub use shown::PassShown;
pub use tap::tap;
pub use tariff::{Tariff, TariffType, Tariffs, tariffs};
pub use void::{Target, void};

#[cfg(test)]
mod tests;
