//! What the desk API says, as types: JSON in camelCase with the contracts' words. The server and
//! the client share them; nothing here knows how the bytes travel.
//!
//! Times are milliseconds since the Unix epoch; points are whole points.

mod card_checks;
mod passes;
mod problem;
mod requests;
mod sales;
mod status;
mod taps;

pub use self::card_checks::{CardAnswer, CardCheckRequest, CardCheckView};
pub use self::passes::{ActivityRequest, ActivityView, PassView, RewardView, SealedView};
pub use self::problem::{Problem, ProblemKind};
pub use self::requests::{MembershipPriceView, RequestBody, RequestState, RequestView, StockView};
pub use self::sales::{SaleAnswer, SaleRequest, SaleView, TariffView, TariffsView};
pub use self::status::{
    Event, Health, HistoryRow, HubLink, HubState, Outcome, Status, TodayCount, Trouble,
};
pub use self::taps::{Answer, Kind, PolicyRule, RedemptionRequest, TapRequest, VoidRequest};

/// Numbers and keys do not go to logs: these show what they are and nothing of what they hold.
macro_rules! hidden_debug {
    ($($type:ident),*) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        })*
    };
}

use hidden_debug;
