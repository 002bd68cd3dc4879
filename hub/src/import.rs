//! Importing a catalogue: a JSON file with the contracts' names. All of it is taken, or nothing.

mod rows;

use std::collections::{BTreeSet, HashMap};

use crdt_model::account::Account;
use crdt_model::catalogue::{
    Activity, AgeRule, Card, CardName, CardStatus, CardSystem, CheckinCode, Coupon, GrantedCoupon,
    HolderStatus, LookupKey, Membership, PassRecord, Policy, Programme, ProofRule, Proofs,
    Residence, Reward, RewardKind, SocialTariffRight,
};
use crdt_model::ids::{ActivityId, CouponId, Identification, PassId, RewardId};
use crdt_model::stock::Stock;
use crdt_model::time::{UnixMillis, day_number};
use sqlx::{Row, SqliteConnection, SqlitePool};
use thiserror::Error;

pub use rows::*;

use crate::catalogue::Versions;
use crate::db::{HubError, lookup_key};
use crate::holders::{self, HolderProblem};
use crate::ledgers::{TIME_ZONE, encoded, fold_passes};
use crate::stock;

/// Why a file cannot be imported. Nothing of it was taken.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It is not JSON, or a field is wrong.
    #[error("line {line}, column {column}, at {field}: {why}. Nothing was imported")]
    Field {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// The field, such as `passes[3].uitpasNumber`.
        field: String,
        /// What is wrong.
        why: String,
    },
    /// The fields do not fit together.
    #[error("{field}: {why}. Nothing was imported")]
    Together {
        /// The field.
        field: String,
        /// What does not fit.
        why: String,
    },
    /// The hub failed.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl From<sqlx::Error> for ImportError {
    fn from(error: sqlx::Error) -> Self {
        Self::Hub(error.into())
    }
}

/// What an import changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Items that were new or had changed.
    pub changed: u64,
    /// Items that were the same already.
    pub same: u64,
    /// Holders that were sealed.
    pub sealed: u64,
}

/// Reads a catalogue file.
///
/// # Errors
/// [`ImportError::Field`], [`ImportError::Together`].
pub fn read(json: &str) -> Result<CatalogueFile, ImportError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let file: CatalogueFile =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let field = error.path().to_string();
            let inner = error.into_inner();
            let (line, column) = (inner.line(), inner.column());
            let said = inner.to_string();
            let why = said.split(" at line ").next().unwrap_or_default().to_owned();
            ImportError::Field { line, column, field, why }
        })?;
    for (place, reward) in file.rewards.iter().enumerate() {
        // The contract requires points of POINTS rewards; a welcome reward costs none.
        if (reward.kind == RewardKind::Points) != (reward.points > 0) {
            let field = format!("rewards[{place}].points");
            return together(field, "a POINTS reward costs points, a WELCOME reward none");
        }
    }
    let mut cards = BTreeSet::new();
    for (place, pass) in file.passes.iter().enumerate() {
        let field = |field: &str| format!("passes[{place}].{field}");
        match (pass.programme, &pass.uitpas_number, &pass.museumpass_number) {
            (Programme::Uitpas | Programme::UitpasGroup, Some(_), None)
            | (Programme::Museumpass, None, Some(_)) => {}
            (Programme::Uitpas | Programme::UitpasGroup, None, _) => {
                return together(field("uitpasNumber"), "a UiTPAS needs its number");
            }
            (Programme::Museumpass, _, None) => {
                return together(field("museumpassNumber"), "a museumPASS needs its number");
            }
            (Programme::External, ..) => {
                return together(
                    field("programme"),
                    "external cards are no passes of the catalogue",
                );
            }
            (_, Some(_), Some(_)) => {
                return together(field("museumpassNumber"), "a pass has one number");
            }
        }
        if let Some(holder) = &pass.holder
            && let Err(HolderProblem::Row { field: of, why }) = holders::check(holder)
        {
            return together(field(&format!("holder.{of}")), &why);
        }
        for (name, card) in cards_of(pass) {
            if !cards.insert(card) {
                return together(field(name), "the file has this card twice");
            }
        }
    }
    Ok(file)
}

fn together<T>(field: String, why: &str) -> Result<T, ImportError> {
    Err(ImportError::Together { field, why: why.to_owned() })
}

/// All cards of a pass with the fields that name them, the printed number first.
fn cards_of(pass: &PassRow) -> impl Iterator<Item = (&'static str, Identification)> + '_ {
    let number = pass.uitpas_number.map(Identification::Uitpas);
    let museum = pass.museumpass_number.clone().map(Identification::MuseumPass);
    let chip = pass.chip_number.map(Identification::Chip);
    let current = [("uitpasNumber", number), ("museumpassNumber", museum), ("chipNumber", chip)];
    let earlier = pass.earlier_cards.iter().flat_map(|card| {
        [
            (EARLIER, card.uitpas_number.map(Identification::Uitpas)),
            (EARLIER, card.chip_number.map(Identification::Chip)),
        ]
    });
    current.into_iter().chain(earlier).filter_map(|(field, card)| Some((field, card?)))
}

/// Imports a catalogue. The same file twice changes nothing the second time.
///
/// # Errors
/// [`ImportError`]; nothing is then changed.
pub async fn import(pool: &SqlitePool, file: &CatalogueFile) -> Result<Imported, ImportError> {
    let lookup = lookup_key(pool).await?;
    let mut writing = pool.begin_with("BEGIN IMMEDIATE").await?;
    let waiting: i64 =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM entry WHERE chip IS NOT NULL)")
            .fetch_one(&mut *writing)
            .await?;
    let mut importing = Importing {
        versions: Versions::begin(&mut writing).await?,
        connection: &mut writing,
        lookup,
        done: Imported::default(),
        coupons: HashMap::new(),
        by_residence: Vec::new(),
        chips_are_waiting: waiting == 1,
        to_seal: Vec::new(),
    };
    if let Some(policy) = &file.policy {
        importing.default_policy(policy).await?;
    }
    for venue in &file.venues {
        importing.venue(venue).await?;
    }
    for card_system in &file.card_systems {
        importing.card_system(card_system).await?;
    }
    for (place, activity) in file.activities.iter().enumerate() {
        importing.activity(place, activity).await?;
    }
    for (place, reward) in file.rewards.iter().enumerate() {
        importing.reward(place, reward).await?;
    }
    for (place, coupon) in file.coupons.iter().enumerate() {
        importing.coupon(place, coupon).await?;
    }
    importing.read_coupons().await?;
    let mut touched = BTreeSet::new();
    for (place, pass) in file.passes.iter().enumerate() {
        touched.extend(importing.pass(place, pass).await?);
    }
    let (mut done, versions) = (importing.done, importing.versions);
    let to_seal = importing.to_seal;
    versions.keep(&mut writing).await?;
    fold_passes(&mut writing, &touched).await?;
    writing.commit().await?;
    // Each in a transaction of its own: it takes long. A file that was broken off here is imported
    // again, and goes on where it was.
    for (place, pass) in to_seal {
        let row = &file.passes[place];
        let Some(holder) = &row.holder else { continue };
        let cards: Vec<Identification> =
            if row.card_status == CardStatus::Active { current_cards(row) } else { Vec::new() };
        if cards.is_empty() {
            continue;
        }
        match holders::keep_apart(pool, &lookup, pass, &cards, holder).await {
            Ok(sealed) => done.sealed += u64::from(sealed),
            Err(HolderProblem::Hub(error)) => return Err(error.into()),
            Err(HolderProblem::Row { field, why }) => {
                return together(format!("passes[{place}].holder.{field}"), &why);
            }
        }
    }
    Ok(done)
}

/// The cards that a pass has now, the printed number first.
fn current_cards(row: &PassRow) -> Vec<Identification> {
    let current = cards_of(row).filter(|(field, _)| *field != EARLIER);
    current.map(|(_, card)| card).collect()
}

/// The field of cards that a pass had before.
const EARLIER: &str = "earlierCards";

/// A row as it is compared with the one that was last taken.
fn hash_of(row: &PassRow) -> Vec<u8> {
    let json = serde_json::to_vec(row).unwrap_or_default();
    ring::digest::digest(&ring::digest::SHA256, &json).as_ref().to_vec()
}

struct Importing<'a> {
    connection: &'a mut SqliteConnection,
    versions: Versions,
    lookup: LookupKey,
    done: Imported,
    /// The coupons' serial numbers by their ids.
    coupons: HashMap<String, CouponId>,
    /// Coupons that are granted by where somebody lives.
    by_residence: Vec<(CouponId, Residence)>,
    /// Whether entries under chip numbers may be waiting for their passes.
    chips_are_waiting: bool,
    /// Rows whose holders are sealed when everything else is done, with their passes.
    to_seal: Vec<(usize, PassId)>,
}

fn at(timestamp: &jiff::Timestamp) -> UnixMillis {
    UnixMillis(timestamp.as_millisecond())
}

impl Importing<'_> {
    fn count(&mut self, changed: bool) {
        if changed {
            self.done.changed += 1;
        } else {
            self.done.same += 1;
        }
    }

    /// What the policy of venues without one of their own is, before or behind this file.
    async fn known_default_policy(&mut self) -> Result<Policy, ImportError> {
        let known: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT value FROM meta WHERE name = 'policy'")
                .fetch_optional(&mut *self.connection)
                .await?;
        let known = known.map(|record| minicbor::decode(&record)).transpose();
        Ok(known.map_err(HubError::from)?.unwrap_or_default())
    }

    async fn default_policy(&mut self, row: &PolicyRow) -> Result<(), ImportError> {
        let policy = policy_of(row, Policy::default());
        sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES ('policy', ?)")
            .bind(encoded(&policy)?)
            .execute(&mut *self.connection)
            .await?;
        let venues: Vec<(String, Option<String>)> = sqlx::query_as(
            "SELECT v.id, v.organiser FROM venue v LEFT JOIN policy p ON p.venue = v.id
             WHERE p.own IS NOT 1",
        )
        .fetch_all(&mut *self.connection)
        .await?;
        for (venue, organiser) in venues {
            let organiser = organiser.and_then(|id| id.parse().ok());
            let policy = Policy { organiser, ..policy.clone() };
            self.policy_of_venue(&venue, false, &policy).await?;
        }
        Ok(())
    }

    async fn policy_of_venue(
        &mut self,
        venue: &str,
        own: bool,
        policy: &Policy,
    ) -> Result<(), ImportError> {
        let record = encoded(policy)?;
        let before: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT record FROM policy WHERE venue = ?")
                .bind(venue)
                .fetch_optional(&mut *self.connection)
                .await?;
        let changed = before.as_ref() != Some(&record);
        if changed {
            sqlx::query(
                "INSERT OR REPLACE INTO policy (venue, own, record, version) VALUES (?, ?, ?, ?)",
            )
            .bind(venue)
            .bind(own)
            .bind(record)
            .bind(self.versions.next())
            .execute(&mut *self.connection)
            .await?;
            self.done.changed += 1;
        }
        Ok(())
    }

    async fn venue(&mut self, venue: &VenueRow) -> Result<(), ImportError> {
        let organiser = venue.organizer.as_ref().map(ToString::to_string);
        let done = sqlx::query(
            "INSERT INTO venue (id, name, time_zone, organiser) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET name = ?2, organiser = ?4
             WHERE name <> ?2 OR organiser IS NOT ?4",
        )
        .bind(venue.id.as_str())
        .bind(&venue.name)
        .bind(TIME_ZONE)
        .bind(organiser)
        .execute(&mut *self.connection)
        .await?;
        self.count(done.rows_affected() > 0);
        let policy = match &venue.policy {
            Some(row) => policy_of(row, Policy::default()),
            None => self.known_default_policy().await?,
        };
        let policy = Policy { organiser: venue.organizer.clone(), ..policy };
        self.policy_of_venue(venue.id.as_str(), venue.policy.is_some(), &policy).await
    }

    async fn card_system(&mut self, row: &CardSystemRow) -> Result<(), ImportError> {
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
        let changed = before.as_ref() != Some(&record);
        if changed {
            sqlx::query(
                "INSERT OR REPLACE INTO card_system (id, record, version) VALUES (?, ?, ?)",
            )
            .bind(id)
            .bind(record)
            .bind(self.versions.next())
            .execute(&mut *self.connection)
            .await?;
        }
        self.count(changed);
        Ok(())
    }

    /// The row's id and whether its record is another than what is there; a new id where it is new.
    async fn known(
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

    async fn activity(&mut self, place: usize, row: &ActivityRow) -> Result<(), ImportError> {
        let venue: Option<i64> = sqlx::query_scalar("SELECT 1 FROM venue WHERE id = ?")
            .bind(row.venue.as_str())
            .fetch_optional(&mut *self.connection)
            .await?;
        let field = format!("activities[{place}].venue");
        if venue.is_none() {
            return together(field, &format!("there is no venue {}", row.venue));
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
        let changed = before.as_ref() != Some(&record);
        if changed {
            sqlx::query(
                "INSERT OR REPLACE INTO activity (id, event_id, venue, record, version)
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(&row.event_id)
            .bind(row.venue.as_str())
            .bind(record)
            .bind(self.versions.next())
            .execute(&mut *self.connection)
            .await?;
        }
        self.count(changed);
        Ok(())
    }

    async fn reward(&mut self, place: usize, row: &RewardRow) -> Result<(), ImportError> {
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
        let changed = before.as_ref() != Some(&record);
        if changed {
            sqlx::query(
                "INSERT INTO reward (id, reward_id, record, version) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET record = ?3, version = ?4",
            )
            .bind(id)
            .bind(&row.id)
            .bind(record)
            .bind(self.versions.next())
            .execute(&mut *self.connection)
            .await?;
        }
        self.count(changed);
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

    async fn coupon(&mut self, place: usize, row: &CouponRow) -> Result<(), ImportError> {
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
        let changed = before.as_ref() != Some(&record);
        let residence = serde_json::to_string(&row.residence).unwrap_or_default();
        if changed {
            sqlx::query(
                "INSERT OR REPLACE INTO coupon (id, coupon_id, record, residence, version)
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(&row.id)
            .bind(record)
            .bind(residence)
            .bind(self.versions.next())
            .execute(&mut *self.connection)
            .await?;
        } else {
            sqlx::query("UPDATE coupon SET residence = ? WHERE id = ?")
                .bind(residence)
                .bind(id)
                .execute(&mut *self.connection)
                .await?;
        }
        self.count(changed);
        Ok(())
    }

    async fn read_coupons(&mut self) -> Result<(), ImportError> {
        for (coupon, coupon_id, residence) in coupons(self.connection).await? {
            self.coupons.insert(coupon_id, coupon);
            if !residence.0.is_empty() {
                self.by_residence.push((coupon, residence));
            }
        }
        Ok(())
    }

    /// The coupons that a pass is granted, by name and by where its holder lives.
    fn granted(&self, place: usize, row: &PassRow) -> Result<Vec<GrantedCoupon>, ImportError> {
        let mut granted = Vec::new();
        for it in &row.coupons {
            let Some(coupon) = self.coupons.get(&it.coupon) else {
                let why = format!("there is no coupon {}", it.coupon);
                return together(format!("passes[{place}].coupons"), &why);
            };
            granted.push(GrantedCoupon {
                coupon: *coupon,
                begin: at(&it.validity_period.begin),
                end: it.validity_period.end.as_ref().map(at),
            });
        }
        let of_here = granted_by_residence(&self.by_residence, row.postal_code.as_deref());
        let new = of_here.filter(|it| !granted.iter().any(|known| known.coupon == it.coupon));
        let new: Vec<_> = new.collect();
        granted.extend(new);
        Ok(granted)
    }

    /// Imports a pass; says which it is where entries were waiting for it.
    async fn pass(&mut self, place: usize, row: &PassRow) -> Result<Option<i64>, ImportError> {
        let cards: Vec<Identification> = cards_of(row).map(|(_, card)| card).collect();
        let Some(number) = cards.first() else { return Ok(None) };
        let row_hash = hash_of(row);
        let taken: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT row_hash FROM imported WHERE number = ?")
                .bind(number.to_string())
                .fetch_optional(&mut *self.connection)
                .await?;
        let (id, before) = self.pass_of_any(&cards).await?;
        let pass_id = PassId(u64::try_from(id).unwrap_or_default());
        if taken.as_ref() == Some(&row_hash) && before.is_some() {
            if row.holder.is_some() && self.lacks_holder(id).await? {
                self.to_seal.push((place, pass_id));
            }
            self.count(false);
            return Ok(None);
        }
        let before: Option<PassRecord> =
            before.map(|record| minicbor::decode(&record)).transpose().map_err(HubError::from)?;
        let blocked = row
            .earlier_cards
            .iter()
            .flat_map(|it| [it.uitpas_number.is_some(), it.chip_number.is_some()]);
        let current = cards.len() - blocked.filter(|is_there| *is_there).count();
        let mut named: Vec<Card> = before.iter().flat_map(|record| record.cards.clone()).collect();
        for (position, card) in cards.iter().enumerate() {
            let status = if position < current { row.card_status } else { CardStatus::Blocked };
            let name = CardName(self.lookup.card_key(card));
            match named.iter_mut().find(|known| known.name == name) {
                Some(known) => known.status = status,
                None => named.push(Card { name, status }),
            }
        }
        let account = before.as_ref().map_or_else(
            || Account { earned: u64::from(row.points), ..Account::default() },
            |record| record.account.clone(),
        );
        let record = PassRecord {
            pass: pass_id,
            programme: row.programme,
            holder: row.holder_status,
            memberships: row.memberships.iter().map(membership).collect(),
            valid_until: row.subscription_end_date.map(day_number),
            coupons: self.granted(place, row)?,
            telling_digits: telling_digits(number),
            cards: named,
            account,
            folded: Vec::new(),
            tickets_per_year: row.total_tickets_per_year,
        };
        // The row is another one than was last taken, or the first: also where the record is the same,
        // for a subscription or a postal code stand beside it.
        sqlx::query(
            "INSERT INTO pass (id, record, opening_points, active, version, subscription, postal_code)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE
             SET record = ?2, active = ?4, version = ?5, subscription = ?6, postal_code = ?7",
        )
        .bind(id)
        .bind(encoded(&record)?)
        .bind(i64::from(row.points))
        .bind(is_active(&record))
        .bind(self.versions.next())
        .bind(row.subscription.map(|it| format!("{it:?}")))
        .bind(&row.postal_code)
        .execute(&mut *self.connection)
        .await?;
        for card in &cards {
            self.card(place, id, card).await?;
        }
        sqlx::query("INSERT OR REPLACE INTO imported (number, row_hash) VALUES (?, ?)")
            .bind(number.to_string())
            .bind(row_hash)
            .execute(&mut *self.connection)
            .await?;
        if row.holder.is_some() {
            self.to_seal.push((place, pass_id));
        }
        self.count(true);
        let Some(chip) = row.chip_number.filter(|_| self.chips_are_waiting) else {
            return Ok(None);
        };
        // Entries that were written under the chip number before the pass was known are its own.
        let settled = sqlx::query("UPDATE entry SET pass = ? WHERE chip = ? AND pass IS NULL")
            .bind(id)
            .bind(chip.to_string())
            .execute(&mut *self.connection)
            .await?;
        Ok((settled.rows_affected() > 0).then_some(id))
    }

    /// The pass that carries any of these cards, or a new id.
    async fn pass_of_any(
        &mut self,
        cards: &[Identification],
    ) -> Result<(i64, Option<Vec<u8>>), ImportError> {
        let mut found = (0, None);
        for card in cards {
            found = self
                .known(
                    "SELECT p.id, p.record FROM pass p JOIN card c ON c.pass = p.id WHERE c.identification = ?",
                    &card.to_string(),
                    "SELECT COALESCE(MAX(id), 0) FROM pass",
                )
                .await?;
            if found.1.is_some() {
                break;
            }
        }
        Ok(found)
    }

    async fn lacks_holder(&mut self, pass: i64) -> Result<bool, ImportError> {
        let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM holder WHERE pass = ?")
            .bind(pass)
            .fetch_optional(&mut *self.connection)
            .await?;
        Ok(known.is_none())
    }

    async fn card(
        &mut self,
        place: usize,
        pass: i64,
        card: &Identification,
    ) -> Result<(), ImportError> {
        let text = card.to_string();
        let added = sqlx::query("INSERT OR IGNORE INTO card (identification, pass) VALUES (?, ?)")
            .bind(&text)
            .bind(pass)
            .execute(&mut *self.connection)
            .await?;
        if added.rows_affected() > 0 {
            return Ok(());
        }
        let owner: i64 = sqlx::query_scalar("SELECT pass FROM card WHERE identification = ?")
            .bind(&text)
            .fetch_one(&mut *self.connection)
            .await?;
        if owner == pass {
            Ok(())
        } else {
            together(format!("passes[{place}].chipNumber"), "another pass has this card")
        }
    }
}

/// Whether a pass is not on the deny list: its holder and its current cards are in order.
pub(crate) fn is_active(record: &PassRecord) -> bool {
    record.holder != HolderStatus::Blocked
        && record.cards.iter().all(|card| card.status == CardStatus::Active)
}

/// The digits of a card's number that may be shown.
pub(crate) fn telling_digits(number: &Identification) -> String {
    match number {
        Identification::Uitpas(number) => number.telling_digits().to_owned(),
        Identification::MuseumPass(number) => {
            let text = number.to_string();
            text.chars().skip(text.len().saturating_sub(4)).collect()
        }
        Identification::Chip(_) | Identification::External(_) => String::new(),
    }
}

/// All coupons: serial number, id, and where people must live to be granted them.
pub(crate) async fn coupons(
    connection: &mut SqliteConnection,
) -> Result<Vec<(CouponId, String, Residence)>, HubError> {
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, coupon_id, residence FROM coupon").fetch_all(connection).await?;
    rows.into_iter()
        .map(|(id, coupon_id, residence)| {
            let residence = serde_json::from_str(&residence)
                .map_err(|error| HubError::Record(format!("a coupon's residence: {error}")))?;
            Ok((CouponId(u32::try_from(id).unwrap_or(u32::MAX)), coupon_id, residence))
        })
        .collect()
}

/// The coupons that somebody with this postal code is granted, for ever.
pub(crate) fn granted_by_residence<'a>(
    coupons: &'a [(CouponId, Residence)],
    postal_code: Option<&'a str>,
) -> impl Iterator<Item = GrantedCoupon> + 'a {
    let of_here = coupons.iter().filter(move |(_, residence)| residence.includes(postal_code));
    of_here.map(|(coupon, _)| GrantedCoupon { coupon: *coupon, begin: UnixMillis(0), end: None })
}

fn membership(row: &MembershipRow) -> Membership {
    Membership {
        card_system: row.card_system,
        status: row.status,
        ends: row.end_date.map(day_number),
        suspended_until: row.suspended_until_date.map(day_number),
        social_tariff: row.social_tariff.as_ref().map(|right| SocialTariffRight {
            ends: day_number(right.end_date),
            suspended_until: right.suspended_until_date.map(day_number),
        }),
    }
}

fn policy_of(row: &PolicyRow, default: Policy) -> Policy {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_file_names_line_and_field() {
        let wrong = |json: &str| read(json).unwrap_err().to_string();
        let number = "{\n \"passes\": [\n  {\"programme\": \"UITPAS\", \"uitpasNumber\": \"0900000095903\"}\n ]\n}";
        assert_eq!(
            wrong(number),
            "line 3, column 58, at passes[0].uitpasNumber: the check digit does not fit: a digit was mistyped. Nothing was imported"
        );
        assert!(
            wrong("{\"visitors\": []}")
                .starts_with("line 1, column 11, at visitors: unknown field")
        );
        assert!(wrong("{\"passes\": [").starts_with("line 1"));
        assert!(wrong("").contains("EOF"));
    }

    #[test]
    fn a_pass_needs_the_number_of_its_programme() {
        let json = r#"{"passes": [{"programme": "MUSEUMPASS", "cardStatus": "ACTIVE"}]}"#;
        let said = read(json).unwrap_err().to_string();
        assert!(
            said.starts_with("passes[0].museumpassNumber: a museumPASS needs its number"),
            "{said}"
        );
    }
}
