//! Policies: each venue has its own, or the file's.

use crdt_model::catalogue::{AgeRule, Policy, ProofRule, Proofs};

use super::{AgeRuleRow, ImportError, Importing, PolicyRow};
use crate::db::HubError;
use crate::records::{catalogue, encoded, meta, venues};

impl Importing<'_> {
    /// What the policy of venues without one of their own is, before or behind this file.
    pub(super) async fn known_default_policy(&mut self) -> Result<Policy, ImportError> {
        let known = meta::value(self.writing, "policy").await?;
        let known = known.map(|record| minicbor::decode(&record)).transpose();
        Ok(known.map_err(HubError::from)?.unwrap_or_default())
    }

    pub(super) async fn default_policy(&mut self, row: &PolicyRow) -> Result<(), ImportError> {
        let policy = policy_of(row, Policy::default());
        meta::keep(self.writing, "policy", &encoded(&policy)?).await?;
        let venues = venues::without_own_policy(self.writing).await?;
        for (venue, organiser) in venues {
            let organiser = organiser.and_then(|id| id.parse().ok());
            let policy = Policy { organiser, ..policy.clone() };
            self.policy_of_venue(&venue, false, &policy).await?;
        }
        Ok(())
    }

    pub(super) async fn policy_of_venue(
        &mut self,
        venue: &str,
        own: bool,
        policy: &Policy,
    ) -> Result<(), ImportError> {
        let record = encoded(policy)?;
        let before = catalogue::policy(self.writing, venue).await?;
        if before.as_ref() != Some(&record) {
            catalogue::keep_policy(self.writing, venue, own, record).await?;
            self.done.changed += 1;
        }
        Ok(())
    }
}

/// A policy of a row; what the row leaves out is as in this one.
pub(super) fn policy_of(row: &PolicyRow, default: Policy) -> Policy {
    let milliseconds = |seconds: Option<u32>| seconds.map(|seconds| i64::from(seconds) * 1000);
    Policy {
        undo_window: milliseconds(row.undo_window_seconds).unwrap_or(default.undo_window),
        unknown_cards: row.unknown_cards.unwrap_or(default.unknown_cards),
        clock_tolerance: milliseconds(row.clock_tolerance_seconds)
            .unwrap_or(default.clock_tolerance),
        unknown_cards_a_day: row.unknown_cards_a_day.or(default.unknown_cards_a_day),
        redemptions: row.redemptions.as_ref().map_or(default.redemptions, |rules| {
            let rule = |it: &AgeRuleRow| AgeRule {
                up_to: i64::from(it.up_to_hours) * 3_600_000,
                points: it.points,
            };
            rules.iter().map(rule).collect()
        }),
        unregistered_visits: row.unregistered_visits.unwrap_or(default.unregistered_visits),
        external_cards: row.external_cards.clone().unwrap_or(default.external_cards),
        organiser: default.organiser,
        proofs: row.proofs.as_ref().map_or(default.proofs, |row| Proofs {
            check_in: row.check_in,
            visit: row.visit,
            redemptions: row
                .redemptions
                .iter()
                .map(|it| ProofRule { from_points: it.from_points, at_least: it.at_least })
                .collect(),
        }),
        units_without_hub: row.units_without_hub.or(default.units_without_hub),
    }
}
