//! What can be had: card systems, activities, rewards, coupons.

use crdt_model::catalogue::{Activity, CardSystem, CheckinCode, Coupon, Reward};
use crdt_model::ids::{ActivityId, CouponId, RewardId};
use crdt_model::stock::Stock;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Row, Sqlite};

use super::{
    ActivityRow, CardSystemRow, CouponRow, ImportError, Importing, PeriodRow, RewardRow, at,
    coupons, together,
};
use crate::db::HubError;
use crate::ledgers::encoded;
use crate::stock;

/// Letters of a check-in code at the least: desks compare whatever is scanned or typed with the codes of the venue,
/// and a shorter code would be taken for what it is not.
const FEWEST_CODE_LETTERS: usize = 4;

impl Importing<'_> {
    pub(super) async fn card_system(&mut self, row: &CardSystemRow) -> Result<(), ImportError> {
        let id = i64::from(row.id.0);
        let before: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT record FROM card_system WHERE id = ?")
                .bind(id)
                .fetch_optional(&mut *self.connection)
                .await?;
        let record = encoded(&CardSystem {
            card_system: row.id,
            name: row.name.clone(),
            membership_prices: row.membership_prices.clone(),
        })?;
        let insert = sqlx::query(
            "INSERT OR REPLACE INTO card_system (id, record, version) VALUES (?, ?, ?)",
        )
        .bind(id);
        self.keep(insert, before, record).await.map(drop)
    }

    /// The row's id and whether its record is another than what is there; a new id where it is new.
    pub(super) async fn known(
        &mut self,
        select: &'static str,
        name: &str,
        highest: &'static str,
    ) -> Result<(i64, Option<Vec<u8>>), ImportError> {
        let row = sqlx::query(select).bind(name).fetch_optional(&mut *self.connection).await?;
        if let Some(row) = row {
            return Ok((row.get(0), Some(row.get(1))));
        }
        let highest: i64 = sqlx::query_scalar(highest).fetch_one(&mut *self.connection).await?;
        Ok((highest + 1, None))
    }

    /// Writes a row whose record is another than before, and counts it; whether it was. The statement's last two
    /// places are for the record and its version.
    async fn keep(
        &mut self,
        insert: Query<'_, Sqlite, SqliteArguments>,
        before: Option<Vec<u8>>,
        record: Vec<u8>,
    ) -> Result<bool, ImportError> {
        let changed = before.as_ref() != Some(&record);
        if changed {
            let insert = insert.bind(record).bind(self.versions.next());
            insert.execute(&mut *self.connection).await?;
        }
        self.count(changed);
        Ok(changed)
    }

    pub(super) async fn activity(
        &mut self,
        place: usize,
        row: &ActivityRow,
    ) -> Result<(), ImportError> {
        let venue: Option<i64> = sqlx::query_scalar("SELECT 1 FROM venue WHERE id = ?")
            .bind(row.venue.as_str())
            .fetch_optional(&mut *self.connection)
            .await?;
        let field = format!("activities[{place}].venue");
        if venue.is_none() {
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
        let (id, before) = self
            .known(
                "SELECT id, record FROM activity WHERE event_id = ?",
                &row.event_id,
                "SELECT COALESCE(MAX(id), 0) FROM activity",
            )
            .await?;
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
            activity: ActivityId(u32::try_from(id).unwrap_or(u32::MAX)),
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
        let insert = sqlx::query(
            "INSERT OR REPLACE INTO activity (id, event_id, venue, record, version)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(&row.event_id)
        .bind(row.venue.as_str());
        self.keep(insert, before, record).await.map(drop)
    }

    pub(super) async fn reward(
        &mut self,
        place: usize,
        row: &RewardRow,
    ) -> Result<(), ImportError> {
        let (id, before) = self
            .known(
                "SELECT id, record FROM reward WHERE reward_id = ?",
                &row.id,
                "SELECT COALESCE(MAX(id), 0) FROM reward",
            )
            .await?;
        let begin = |period: &Option<PeriodRow>| period.as_ref().map(|it| at(&it.begin));
        let end = |period: &Option<PeriodRow>| period.as_ref()?.end.as_ref().map(at);
        let reward = RewardId(u32::try_from(id).unwrap_or(u32::MAX));
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
        let insert = sqlx::query(
            "INSERT INTO reward (id, reward_id, record, version) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET record = ?3, version = ?4",
        )
        .bind(id)
        .bind(&row.id);
        self.keep(insert, before, record).await?;
        if let Some(total) = row.max_available_units {
            let field = format!("rewards[{place}].maxAvailableUnits");
            // Units that were granted cannot be taken away by a file.
            let mut known = match stock::load(self.connection, reward).await? {
                Some(known) => known,
                None => match Stock::new(reward, 0, stock::ONLINE_UNITS) {
                    Ok(empty) => empty,
                    Err(error) => return together(field, &error.to_string()),
                },
            };
            if let Err(error) = known.set_total(total) {
                return together(field, &error.to_string());
            }
            stock::keep_total(self.connection, &known).await?;
        }
        Ok(())
    }

    pub(super) async fn coupon(
        &mut self,
        place: usize,
        row: &CouponRow,
    ) -> Result<(), ImportError> {
        let (id, before) = self
            .known(
                "SELECT id, record FROM coupon WHERE coupon_id = ?",
                &row.id,
                "SELECT COALESCE(MAX(id), 0) FROM coupon",
            )
            .await?;
        let mut activities = Vec::with_capacity(row.activities.len());
        for event_id in &row.activities {
            let found: Option<i64> =
                sqlx::query_scalar("SELECT id FROM activity WHERE event_id = ?")
                    .bind(event_id)
                    .fetch_optional(&mut *self.connection)
                    .await?;
            let Some(found) = found else {
                let field = format!("coupons[{place}].activities");
                return together(field, &format!("there is no activity {event_id}"));
            };
            activities.push(ActivityId(u32::try_from(found).unwrap_or(u32::MAX)));
        }
        let coupon = CouponId(u32::try_from(id).unwrap_or(u32::MAX));
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
        let insert = sqlx::query(
            "INSERT OR REPLACE INTO coupon (id, coupon_id, residence, record, version)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(&row.id)
        .bind(residence.clone());
        if !self.keep(insert, before, record).await? {
            // Who gets it may have changed all the same.
            sqlx::query("UPDATE coupon SET residence = ? WHERE id = ?")
                .bind(residence)
                .bind(id)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn read_coupons(&mut self) -> Result<(), ImportError> {
        for (coupon, coupon_id, residence) in coupons(self.connection).await? {
            self.coupons.insert(coupon_id, coupon);
            if !residence.0.is_empty() {
                self.by_residence.push((coupon, residence));
            }
        }
        Ok(())
    }
}
