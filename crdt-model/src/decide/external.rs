//! Is an admission pass of another platform let in here?

use crate::account::{Account, Limited, VISIT_LIMIT};
use crate::catalogue::ExternalCardRule;
use crate::decide::{Here, Reason};
use crate::ids::ExternalCard;

/// The rule that lets it in. Whether the card itself is valid only its own platform knows: the
/// volunteer looks at it.
///
/// # Errors
/// [`Reason::ExternalCardNotAccepted`]; [`Reason::MaximumReached`] where it was here today.
pub fn external<'a>(
    card: &ExternalCard,
    account: &Account,
    here: &Here<'a>,
) -> Result<&'a ExternalCardRule, Reason> {
    let rule = here
        .policy
        .external_cards
        .iter()
        .find(|rule| rule.card_type == card.card_type() && rule.allowed)
        .ok_or(Reason::ExternalCardNotAccepted)?;
    if account.leaves_room(&Limited::Visit(here.venue.clone()), VISIT_LIMIT, here.today()) {
        Ok(rule)
    } else {
        Err(Reason::MaximumReached)
    }
}
