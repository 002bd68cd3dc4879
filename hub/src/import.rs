//! Importing a catalogue: a JSON file with the contracts' names. All of it is taken, or nothing.

use std::collections::BTreeSet;

use crdt_model::account::Account;
use crdt_model::catalogue::{
    Activity, CardName, LookupKey, PassRecord, PassStatus, Policy, Programme, Reward, RewardKind,
    SocialTariff,
};
use crdt_model::ids::{
    ActivityId, CardSystemId, ChipNumber, Identification, MuseumPassNumber, PassId, RewardId,
    UitpasNumber, VenueId,
};
use crdt_model::limits::PeriodLimit;
use crdt_model::time::{UnixMillis, day_number};
use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection, SqlitePool};
use thiserror::Error;

use crate::catalogue::next_version;
use crate::db::{HubError, lookup_key, to_sql};
use crate::ledgers::{TIME_ZONE, encoded, fold_passes};

/// A catalogue file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CatalogueFile {
    /// Where the facts come from.
    pub source: Option<String>,
    /// Venues that are to be there.
    pub venues: Vec<VenueRow>,
    /// Activities.
    pub activities: Vec<ActivityRow>,
    /// Rewards.
    pub rewards: Vec<RewardRow>,
    /// Passes.
    pub passes: Vec<PassRow>,
    /// The policy for all desks.
    pub policy: Option<PolicyRow>,
}

/// A venue in a catalogue file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VenueRow {
    /// Its id.
    pub id: VenueId,
    /// Its name, for people.
    pub name: String,
}

/// An activity in a catalogue file (contract: event and `EventSettings`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivityRow {
    /// The contract's id.
    pub event_id: String,
    /// Its title.
    pub title: String,
    /// The venue where it takes place.
    pub venue: VenueId,
    /// Points for one check-in.
    pub checkin_points: u32,
    /// How often one pass may check in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkin_limit: Option<PeriodLimit>,
}

/// A period in a catalogue file, RFC 3339.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeriodRow {
    /// From when.
    pub begin: jiff::Timestamp,
    /// Until when.
    pub end: jiff::Timestamp,
}

/// A reward in a catalogue file (contract: `Reward`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RewardRow {
    /// The contract's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// POINTS or WELCOME.
    #[serde(rename = "type")]
    pub kind: RewardKind,
    /// Its price in points.
    #[serde(default)]
    pub points: u32,
    /// How often one pass may redeem it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_constraint: Option<PeriodLimit>,
    /// When it may be redeemed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeem_period: Option<PeriodRow>,
    /// The card systems whose members may redeem it; none means all.
    #[serde(default)]
    pub card_systems: Vec<CardSystemId>,
    /// Redeemed online only.
    #[serde(default)]
    pub online: bool,
}

/// A pass in a catalogue file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PassRow {
    /// The platform.
    pub programme: Programme,
    /// The number on a UiTPAS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uitpas_number: Option<UitpasNumber>,
    /// The number on a museumPASS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub museumpass_number: Option<MuseumPassNumber>,
    /// The chip, if the card has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip_number: Option<ChipNumber>,
    /// What its state allows.
    pub status: PassStatus,
    /// Card systems of which the holder is an active member.
    #[serde(default)]
    pub card_systems: Vec<CardSystemId>,
    /// The last valid day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<jiff::civil::Date>,
    /// The right to a social tariff.
    pub social_tariff: SocialTariff,
    /// Points that the pass begins with. Read when the pass is new; later only entries move points.
    #[serde(default)]
    pub points: u32,
}

/// The policy in a catalogue file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRow {
    /// How long an entry can be taken back, in seconds.
    pub undo_window_seconds: u32,
    /// Whether unknown cards are taken provisionally.
    pub unknown_cards: bool,
}

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
    let mut cards = BTreeSet::new();
    for (place, pass) in file.passes.iter().enumerate() {
        let together = |field: &str, why: &str| {
            Err(ImportError::Together {
                field: format!("passes[{place}].{field}"),
                why: why.to_owned(),
            })
        };
        match (pass.programme, &pass.uitpas_number, &pass.museumpass_number) {
            (Programme::Uitpas | Programme::UitpasGroup, Some(_), None)
            | (Programme::Museumpass, None, Some(_)) => {}
            (Programme::Uitpas | Programme::UitpasGroup, None, _) => {
                return together("uitpasNumber", "a UiTPAS needs its number");
            }
            (Programme::Museumpass, _, None) => {
                return together("museumpassNumber", "a museumPASS needs its number");
            }
            (_, Some(_), Some(_)) => return together("museumpassNumber", "a pass has one number"),
        }
        let twice = "the file has this card twice";
        if pass.uitpas_number.is_some_and(|it| !cards.insert(Identification::Uitpas(it))) {
            return together("uitpasNumber", twice);
        }
        let museumpass = pass.museumpass_number.clone().map(Identification::MuseumPass);
        if museumpass.is_some_and(|it| !cards.insert(it)) {
            return together("museumpassNumber", twice);
        }
        if pass.chip_number.is_some_and(|it| !cards.insert(Identification::Chip(it))) {
            return together("chipNumber", twice);
        }
    }
    Ok(file)
}

/// Imports a catalogue. The same file twice changes nothing the second time.
///
/// # Errors
/// [`ImportError`]; nothing is then changed.
pub async fn import(pool: &SqlitePool, file: &CatalogueFile) -> Result<Imported, ImportError> {
    let lookup = lookup_key(pool).await?;
    let mut writing = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut importing = Importing { connection: &mut writing, lookup, done: Imported::default() };
    for venue in &file.venues {
        importing.venue(venue).await?;
    }
    for (place, activity) in file.activities.iter().enumerate() {
        importing.activity(place, activity).await?;
    }
    for reward in &file.rewards {
        importing.reward(reward).await?;
    }
    let mut touched = BTreeSet::new();
    for (place, pass) in file.passes.iter().enumerate() {
        touched.extend(importing.pass(place, pass).await?);
    }
    if let Some(policy) = &file.policy {
        importing.policy(policy).await?;
    }
    let done = importing.done;
    fold_passes(&mut writing, &touched).await?;
    writing.commit().await?;
    Ok(done)
}

struct Importing<'a> {
    connection: &'a mut SqliteConnection,
    lookup: LookupKey,
    done: Imported,
}

impl Importing<'_> {
    fn count(&mut self, changed: bool) {
        if changed {
            self.done.changed += 1;
        } else {
            self.done.same += 1;
        }
    }

    async fn venue(&mut self, venue: &VenueRow) -> Result<(), ImportError> {
        let done = sqlx::query(
            "INSERT INTO venue (id, name, time_zone) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET name = ?2 WHERE name <> ?2",
        )
        .bind(venue.id.as_str())
        .bind(&venue.name)
        .bind(TIME_ZONE)
        .execute(&mut *self.connection)
        .await?;
        self.count(done.rows_affected() > 0);
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
        let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM venue WHERE id = ?")
            .bind(row.venue.as_str())
            .fetch_optional(&mut *self.connection)
            .await?;
        if known.is_none() {
            return Err(ImportError::Together {
                field: format!("activities[{place}].venue"),
                why: format!("there is no venue {}", row.venue),
            });
        }
        let (id, before) = self
            .known(
                "SELECT id, record FROM activity WHERE event_id = ?",
                &row.event_id,
                "SELECT COALESCE(MAX(id), 0) FROM activity",
            )
            .await?;
        let record = encoded(&Activity {
            activity: ActivityId(u32::try_from(id).unwrap_or(u32::MAX)),
            event_id: row.event_id.clone(),
            title: row.title.clone(),
            venue: row.venue.clone(),
            checkin_points: row.checkin_points,
            checkin_limit: row.checkin_limit,
        })?;
        let changed = before.as_ref() != Some(&record);
        if changed {
            let version = next_version(self.connection).await?;
            sqlx::query(
                "INSERT OR REPLACE INTO activity (id, event_id, venue, record, version) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(&row.event_id)
            .bind(row.venue.as_str())
            .bind(record)
            .bind(version)
            .execute(&mut *self.connection)
            .await?;
        }
        self.count(changed);
        Ok(())
    }

    async fn reward(&mut self, row: &RewardRow) -> Result<(), ImportError> {
        let (id, before) = self
            .known(
                "SELECT id, record FROM reward WHERE reward_id = ?",
                &row.id,
                "SELECT COALESCE(MAX(id), 0) FROM reward",
            )
            .await?;
        let at = |timestamp: &jiff::Timestamp| UnixMillis(timestamp.as_millisecond());
        let record = encoded(&Reward {
            reward: RewardId(u32::try_from(id).unwrap_or(u32::MAX)),
            reward_id: row.id.clone(),
            title: row.title.clone(),
            kind: row.kind,
            points: if row.kind == RewardKind::Welcome { 0 } else { row.points },
            redeem_constraint: row.redeem_constraint,
            redeem_begin: row.redeem_period.as_ref().map(|period| at(&period.begin)),
            redeem_end: row.redeem_period.as_ref().map(|period| at(&period.end)),
            card_systems: row.card_systems.clone(),
            online: row.online,
        })?;
        let changed = before.as_ref() != Some(&record);
        if changed {
            let version = next_version(self.connection).await?;
            sqlx::query(
                "INSERT OR REPLACE INTO reward (id, reward_id, record, version) VALUES (?, ?, ?, ?)",
            )
            .bind(id)
            .bind(&row.id)
            .bind(record)
            .bind(version)
            .execute(&mut *self.connection)
            .await?;
        }
        self.count(changed);
        Ok(())
    }

    /// Imports a pass; says which it is where entries were waiting for it.
    async fn pass(&mut self, place: usize, row: &PassRow) -> Result<Option<i64>, ImportError> {
        let number = match (&row.uitpas_number, &row.museumpass_number) {
            (Some(number), _) => Identification::Uitpas(*number),
            (None, Some(number)) => Identification::MuseumPass(number.clone()),
            (None, None) => return Ok(None),
        };
        let (id, before) = self
            .known(
                "SELECT p.id, p.record FROM pass p JOIN card c ON c.pass = p.id WHERE c.identification = ?",
                &number.to_string(),
                "SELECT COALESCE(MAX(id), 0) FROM pass",
            )
            .await?;
        let before: Option<PassRecord> =
            before.map(|record| minicbor::decode(&record)).transpose().map_err(HubError::from)?;
        let mut cards = vec![number.clone()];
        cards.extend(row.chip_number.map(Identification::Chip));
        let mut names: Vec<CardName> =
            before.iter().flat_map(|record| record.cards.clone()).collect();
        for card in &cards {
            let name = CardName(self.lookup.card_key(card));
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let telling_digits = match &number {
            Identification::Uitpas(number) => number.telling_digits().to_owned(),
            Identification::MuseumPass(number) => {
                let text = number.to_string();
                text.chars().skip(text.len().saturating_sub(4)).collect()
            }
            Identification::Chip(_) => String::new(),
        };
        let account = before.as_ref().map_or_else(
            || Account { earned: u64::from(row.points), ..Account::default() },
            |record| record.account.clone(),
        );
        let record = PassRecord {
            pass: PassId(u64::try_from(id).unwrap_or_default()),
            programme: row.programme,
            status: row.status,
            card_systems: row.card_systems.clone(),
            valid_until: row.valid_until.map(day_number),
            social_tariff: row.social_tariff,
            telling_digits,
            cards: names,
            account,
            folded: Vec::new(),
        };
        let changed = before.as_ref() != Some(&record);
        self.count(changed);
        if !changed {
            return Ok(None);
        }
        let version = next_version(self.connection).await?;
        sqlx::query(
            "INSERT INTO pass (id, record, opening_points, active, version) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET record = ?2, active = ?4, version = ?5",
        )
        .bind(id)
        .bind(encoded(&record)?)
        .bind(i64::from(row.points))
        .bind(row.status == PassStatus::Active)
        .bind(version)
        .execute(&mut *self.connection)
        .await?;
        for card in &cards {
            self.card(place, id, card).await?;
        }
        let Some(chip) = row.chip_number else { return Ok(None) };
        // Entries that were written under the chip number before the pass was known are its own.
        let settled = sqlx::query("UPDATE entry SET pass = ? WHERE chip = ? AND pass IS NULL")
            .bind(id)
            .bind(chip.to_string())
            .execute(&mut *self.connection)
            .await?;
        Ok((settled.rows_affected() > 0).then_some(id))
    }

    async fn card(
        &mut self,
        place: usize,
        pass: i64,
        card: &Identification,
    ) -> Result<(), ImportError> {
        let text = card.to_string();
        let owner: Option<i64> =
            sqlx::query_scalar("SELECT pass FROM card WHERE identification = ?")
                .bind(&text)
                .fetch_optional(&mut *self.connection)
                .await?;
        if owner.is_some_and(|owner| owner != pass) {
            return Err(ImportError::Together {
                field: format!("passes[{place}].chipNumber"),
                why: "another pass has this card".to_owned(),
            });
        }
        sqlx::query("INSERT OR IGNORE INTO card (identification, pass) VALUES (?, ?)")
            .bind(text)
            .bind(pass)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn policy(&mut self, row: &PolicyRow) -> Result<(), ImportError> {
        let record = encoded(&Policy {
            undo_window: i64::from(row.undo_window_seconds) * 1000,
            unknown_cards: row.unknown_cards,
            ..Policy::default()
        })?;
        let before: Option<Vec<u8>> = sqlx::query_scalar("SELECT record FROM policy WHERE id = 1")
            .fetch_optional(&mut *self.connection)
            .await?;
        let changed = before.as_ref() != Some(&record);
        if changed {
            let version = next_version(self.connection).await?;
            sqlx::query("INSERT OR REPLACE INTO policy (id, record, version) VALUES (1, ?, ?)")
                .bind(record)
                .bind(to_sql(u64::try_from(version).unwrap_or_default()))
                .execute(&mut *self.connection)
                .await?;
        }
        self.count(changed);
        Ok(())
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
        let json = r#"{"passes": [{"programme": "MUSEUMPASS", "status": "ACTIVE", "socialTariff": "NONE"}]}"#;
        let said = read(json).unwrap_err().to_string();
        assert!(
            said.starts_with("passes[0].museumpassNumber: a museumPASS needs its number"),
            "{said}"
        );
    }
}
