//! Folding passes: from all their entries to their accounts, many passes at once. The passes are locked in the order of
//! their ids before their entries are read: whoever writes entries of a pass folds it, so the last one sees them all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crdt_model::account::{Account, Outcome, Placed, fold};
use crdt_model::catalogue::{Activity, CatalogueLimits, Coupon, Reward};
use crdt_model::entry::{EntryRef, Fact, TariffKind};
use crdt_model::time::day_number;

use super::calendar;
use crate::db::{HubError, Reading, Writing, outcome};
use crate::records::catalogue::{Named, records};
use crate::records::entries::{self, Kept};
use crate::records::passes;
use crate::records::stock::{UnitUse, note_uses};

pub(crate) use crate::records::entries::New;

/// Passes that are folded in one go where nothing else sets a bound.
const PASSES_AT_ONCE: usize = 2_000;

/// Reads the limits that these entries fall under.
///
/// # Errors
/// [`HubError`].
pub async fn limits_of(
    reading: &mut Reading,
    entries: impl IntoIterator<Item = &Placed>,
) -> Result<CatalogueLimits, HubError> {
    let (mut activities, mut rewards, mut coupons) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for placed in entries {
        match placed.entry.fact {
            Fact::CheckIn { activity, .. } => {
                activities.insert(activity.0);
            }
            Fact::TicketSale { activity, tariff, .. } => {
                activities.insert(activity.0);
                if let TariffKind::Coupon(coupon) = tariff {
                    coupons.insert(coupon.0);
                }
            }
            Fact::Redemption { reward, .. } => {
                rewards.insert(reward.0);
            }
            Fact::Visit | Fact::ExternalVisit | Fact::Void { .. } | Fact::Newer { .. } => {}
        }
    }
    let mut limits = CatalogueLimits::default();
    limits.add_activities(&records::<Activity>(reading, Named::Activity, activities).await?);
    limits.add_rewards(&records::<Reward>(reading, Named::Reward, rewards).await?);
    limits.add_coupons(&records::<Coupon>(reading, Named::Coupon, coupons).await?);
    Ok(limits)
}

/// Folds these passes again from all their entries, and gives them new versions.
pub(crate) async fn fold_passes(
    writing: &mut Writing,
    passes: &BTreeSet<u64>,
) -> Result<(), HubError> {
    let passes: Vec<u64> = passes.iter().copied().collect();
    for some in passes.chunks(PASSES_AT_ONCE) {
        fold_some(writing, some.iter().copied(), &mut []).await?;
    }
    Ok(())
}

/// Adds new entries, and folds the passes that they are about, which get new versions. An entry of a pass that the hub
/// does not know is kept, and counts for nobody yet.
pub(crate) async fn fold_with(writing: &mut Writing, mut new: Vec<New>) -> Result<(), HubError> {
    let passes: BTreeSet<u64> = new.iter().filter_map(|it| it.pass).collect();
    let _span = tracing::debug_span!("fold", passes = passes.len());
    fold_some(writing, passes, &mut new).await?;
    entries::add(writing, new).await
}

async fn fold_some(
    writing: &mut Writing,
    passes: impl IntoIterator<Item = u64>,
    new: &mut [New],
) -> Result<(), HubError> {
    let calendar = calendar()?;
    let mut found = passes::lock(writing, passes).await?;
    if found.is_empty() {
        return Ok(());
    }
    let kept = entries::of_passes(writing, found.keys().copied()).await?;
    let all = kept.values().flatten().map(|it| &it.placed);
    let limits = limits_of(writing, all.chain(new.iter().map(|it| &it.placed))).await?;
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, it) in new.iter().enumerate() {
        places.entry(it.pass.unwrap_or_default()).or_default().push(place);
    }
    let mut folded = Vec::with_capacity(found.len());
    let (mut units, mut changed) = (Vec::new(), Vec::new());
    let none = Vec::new();
    for (id, pass) in &mut found {
        let kept = kept.get(id).unwrap_or(&none);
        let own = places.remove(id).unwrap_or_default();
        let of_it = kept.iter().map(|it| &it.placed);
        let of_it: Vec<Placed> =
            of_it.chain(own.iter().map(|place| &new[*place].placed)).cloned().collect();
        let opening = Account { earned: pass.opening_points, ..Account::default() };
        units.extend(units_of(&of_it));
        let result = fold(&opening, of_it, &limits.of(&pass.record), &calendar);
        note_outcomes(kept, &own, new, &result.outcomes, &mut changed);
        pass.record.account = result.account;
        folded.push((*id, pass.record.clone()));
    }
    passes::write_folded(writing, &folded).await?;
    if !units.is_empty() {
        let outcomes = changed_or_kept(&kept, &changed, new);
        note_uses(writing, uses(units, &outcomes)).await?;
    }
    let changed = changed.iter().map(|it| (it.list, it.place.index, it.outcome));
    entries::set_outcomes(writing, changed.collect()).await
}

/// An entry of before whose outcome is another one now.
struct Changed {
    list: u64,
    place: EntryRef,
    outcome: Outcome,
}

/// Writes what became of the new entries beside them, and gives those of before whose outcome is another now.
fn note_outcomes(
    kept: &[Kept],
    own: &[usize],
    new: &mut [New],
    outcomes: &[(EntryRef, Outcome)],
    changed: &mut Vec<Changed>,
) {
    // A place is one venue's: two venues may have lists of one writer only after a mistake of ours.
    let mut outcomes: HashMap<EntryRef, Outcome> = outcomes.iter().copied().collect();
    for place in own {
        let it = &mut new[*place];
        it.outcome = outcomes.remove(&it.placed.place);
    }
    for it in kept {
        if let Some(found) = outcomes.get(&it.placed.place)
            && it.outcome.as_deref() != Some(outcome(*found))
        {
            changed.push(Changed { list: it.list, place: it.placed.place, outcome: *found });
        }
    }
}

/// What became of each entry that names a unit.
fn changed_or_kept(
    kept: &BTreeMap<u64, Vec<Kept>>,
    changed: &[Changed],
    new: &[New],
) -> HashMap<EntryRef, String> {
    let known =
        kept.values().flatten().filter_map(|it| Some((it.placed.place, it.outcome.clone()?)));
    let new = new.iter().filter_map(|it| Some((it.placed.place, outcome(it.outcome?).to_owned())));
    let changed = changed.iter().map(|it| (it.place, outcome(it.outcome).to_owned()));
    known.chain(new).chain(changed).collect()
}

/// The redemptions that hand out units of a limited stock.
fn units_of(entries: &[Placed]) -> Vec<Placed> {
    let has_unit =
        |placed: &&Placed| matches!(placed.entry.fact, Fact::Redemption { unit: Some(_), .. });
    entries.iter().filter(has_unit).cloned().collect()
}

/// Which units were handed out, and which of that stands.
fn uses(redemptions: Vec<Placed>, outcomes: &HashMap<EntryRef, String>) -> Vec<UnitUse> {
    // A copy of an entry that is here itself hands out nothing of its own.
    let nothing = [outcome(Outcome::TakenBack), outcome(Outcome::Nothing)];
    let uses = redemptions.into_iter().filter_map(|placed| {
        let Fact::Redemption { reward, unit: Some(unit), .. } = placed.entry.fact else {
            return None;
        };
        let EntryRef { day, writer, index } = placed.place;
        let of_it = outcomes.get(&placed.place);
        Some(UnitUse {
            venue: placed.venue.to_string(),
            day: day_number(day),
            writer: writer.to_bytes(),
            index,
            reward,
            unit,
            stands: !of_it.is_some_and(|it| nothing.contains(&it.as_str())),
        })
    });
    uses.collect()
}
