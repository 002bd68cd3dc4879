//! What can be had: card systems, activities, rewards, coupons.

use crdt_model::catalogue::{Activity, CardSystem, CheckinCode, Coupon, Reward};
use crdt_model::ids::{ActivityId, CouponId, RewardId};
use crdt_model::stock::Stock;

use super::{
    ActivityRow, CardSystemRow, CouponRow, ImportError, Importing, PeriodRow, RewardRow, at,
    coupons, together,
};
use crate::db::HubError;
use crate::records::catalogue::{self, Named};
use crate::records::{encoded, venues};
use crate::stock;

/// Letters of a check-in code at the least: desks compare whatever is scanned or typed with the codes of the venue,
/// and a shorter code would be taken for what it is not.
const FEWEST_CODE_LETTERS: usize = 4;

impl Importing<'_> {
    pub(super) async fn card_system(&mut self, row: &CardSystemRow) -> Result<(), ImportError> {
        let id = i64::from(row.id.0);
        let before = catalogue::card_system(self.writing, id).await?;
        let record = encoded(&CardSystem {
            card_system: row.id,
            name: row.name.clone(),
            membership_prices: row.membership_prices.clone(),
        })?;
        let changed = before.as_ref() != Some(&record);
        if changed {
            catalogue::keep_card_system(self.writing, id, record).await?;
        }
        self.count(changed);
        Ok(())
    }

    /// The id and record of the one that has this name; a new id where it is new.
    async fn known(
        &mut self,
        of: Named,
        name: &str,
    ) -> Result<(u32, Option<Vec<u8>>), ImportError> {
        match catalogue::known(self.writing, of, name).await? {
            Some((id, record)) => Ok((id, Some(record))),
            None => Ok((catalogue::new_id(self.writing, of).await?, None)),
        }
    }

    pub(super) async fn activity(
        &mut self,
        place: usize,
        row: &ActivityRow,
    ) -> Result<(), ImportError> {
        let field = format!("activities[{place}].venue");
        if !venues::exists(self.writing, &row.venue).await? {
            return together(field, &format!("there is no venue {}", row.venue));
        }
        for (number, row) in row.checkin_codes.iter().enumerate() {
            if row.code.trim().chars().count() < FEWEST_CODE_LETTERS {
                return together(
                    format!("activities[{place}].checkinCodes[{number}].code"),
                    &format!("a check-in code has at least {FEWEST_CODE_LETTERS} letters"),
                );
            }
        }
        let (id, before) = self.known(Named::Activity, &row.event_id).await?;
        if let Some(before) = &before {
            let before: Activity = minicbor::decode(before).map_err(HubError::from)?;
            if before.venue != row.venue {
                // Desks of the old venue would keep it for ever, and check people in to it.
                return together(
                    field,
                    "an activity does not move: give the one at the other venue an id of its own",
                );
            }
        }
        let record = encoded(&Activity {
            activity: ActivityId(id),
            event_id: row.event_id.clone(),
            title: row.title.clone(),
            venue: row.venue.clone(),
            checkin_points: row.checkin_points,
            checkin_limit: row.checkin_limit,
            organiser: row.organizer.clone(),
            card_systems: row.card_systems.clone(),
            opening_hours: row.opening_hours.clone(),
            ticket_limit: row.passholder_ticket_limit,
            prices: row.prices.clone(),
            distribution_keys: row.distribution_keys.clone(),
            checkin_codes: row
                .checkin_codes
                .iter()
                .map(|it| CheckinCode { code: it.code.clone(), ends: it.ends.as_ref().map(at) })
                .collect(),
        })?;
        let changed = before.as_ref() != Some(&record);
        if changed {
            let (event_id, venue) = (&row.event_id, &row.venue);
            catalogue::keep_activity(self.writing, id, event_id, venue, record).await?;
        }
        self.count(changed);
        Ok(())
    }

    pub(super) async fn reward(
        &mut self,
        place: usize,
        row: &RewardRow,
    ) -> Result<(), ImportError> {
        let (id, before) = self.known(Named::Reward, &row.id).await?;
        let begin = |period: &Option<PeriodRow>| period.as_ref().map(|it| at(&it.begin));
        let end = |period: &Option<PeriodRow>| period.as_ref()?.end.as_ref().map(at);
        let reward = RewardId(id);
        let record = encoded(&Reward {
            reward,
            reward_id: row.id.clone(),
            title: row.title.clone(),
            kind: row.kind,
            points: row.points,
            redeem_constraint: row.redeem_constraint,
            redeem_begin: begin(&row.redeem_period),
            redeem_end: end(&row.redeem_period),
            card_systems: row.applicable_card_systems.clone(),
            online: row.online,
            publication_begin: begin(&row.publication_period),
            publication_end: end(&row.publication_period),
            organisers: row.organizers.clone(),
            limited: row.max_available_units.is_some(),
            categories: row.categories.clone(),
            for_kids: row.for_kids,
            sport: row.sport,
            featured: row.featured,
        })?;
        let changed = before.as_ref() != Some(&record);
        if changed {
            catalogue::keep_reward(self.writing, id, &row.id, record).await?;
        }
        self.count(changed);
        if let Some(total) = row.max_available_units {
            let field = format!("rewards[{place}].maxAvailableUnits");
            // Units that were granted cannot be taken away by a file.
            let mut known = match stock::lock(self.writing, reward).await? {
                Some(known) => known,
                None => match Stock::new(reward, 0, stock::ONLINE_UNITS) {
                    Ok(empty) => empty,
                    Err(error) => return together(field, &error.to_string()),
                },
            };
            if let Err(error) = known.set_total(total) {
                return together(field, &error.to_string());
            }
            stock::keep_total(self.writing, &known).await?;
        }
        Ok(())
    }

    pub(super) async fn coupon(
        &mut self,
        place: usize,
        row: &CouponRow,
    ) -> Result<(), ImportError> {
        let (id, before) = self.known(Named::Coupon, &row.id).await?;
        let mut activities = Vec::with_capacity(row.activities.len());
        for event_id in &row.activities {
            let found = catalogue::known(self.writing, Named::Activity, event_id).await?;
            let Some((found, _)) = found else {
                let field = format!("coupons[{place}].activities");
                return together(field, &format!("there is no activity {event_id}"));
            };
            activities.push(ActivityId(found));
        }
        let coupon = CouponId(id);
        let record = encoded(&Coupon {
            coupon,
            coupon_id: row.id.clone(),
            name: row.name.clone(),
            discount: row.discount,
            city_percent: row.city_percent,
            limit: row.limit,
            activities,
        })?;
        let residence = serde_json::to_string(&row.residence).unwrap_or_default();
        let changed = before.as_ref() != Some(&record);
        if changed {
            catalogue::keep_coupon(self.writing, id, &row.id, &residence, record).await?;
        } else {
            // Who gets it may have changed all the same.
            catalogue::keep_residence(self.writing, id, &residence).await?;
        }
        self.count(changed);
        Ok(())
    }

    pub(super) async fn read_coupons(&mut self) -> Result<(), ImportError> {
        for (coupon, coupon_id, residence) in coupons(self.writing).await? {
            self.grants.coupons.insert(coupon_id, coupon);
            if !residence.0.is_empty() {
                self.grants.by_residence.push((coupon, residence));
            }
        }
        Ok(())
    }
}
