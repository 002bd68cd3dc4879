//! Importing a catalogue: a JSON file with the contracts' names. All of it is taken, or nothing.

mod offers;
mod passes;
mod policies;

use std::collections::{BTreeSet, HashMap};

use crdt_model::catalogue::{
    CardStatus, GrantedCoupon, HolderStatus, LookupKey, PassRecord, Policy, Programme, Residence,
    RewardKind,
};
use crdt_model::ids::{CouponId, Identification, PassId};
use crdt_model::time::UnixMillis;
use sqlx::{SqliteConnection, SqlitePool};
use thiserror::Error;

pub use catalogue_file::*;
use policies::policy_of;

use crate::catalogue::Versions;
use crate::db::{HubError, lookup_key, to_sql};
use crate::holders::{self, HolderProblem};
use crate::ledgers::{TIME_ZONE, fold_passes};
use crate::requests::cards_in_use;

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
        // Not the row's: a card may have been reported lost since, or a chip linked.
        let cards = cards_of_pass(pool, &lookup, pass).await?;
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

/// The cards of a pass that are in use.
async fn cards_of_pass(
    pool: &SqlitePool,
    lookup: &LookupKey,
    pass: PassId,
) -> Result<Vec<Identification>, HubError> {
    let mut connection = pool.acquire().await?;
    let record: Vec<u8> = sqlx::query_scalar("SELECT record FROM pass WHERE id = ?")
        .bind(to_sql(pass.0))
        .fetch_one(&mut *connection)
        .await?;
    cards_in_use(&mut connection, lookup, &minicbor::decode(&record)?).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::HubFolder;

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

    #[tokio::test]
    async fn a_checkin_code_of_fewer_than_four_letters_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pool = HubFolder::create(folder.path()).unwrap().database().await.unwrap();
        for (code, taken) in [("", false), ("   ", false), ("abc", false), ("zaal", true)] {
            let file = format!(
                r#"{{"venues": [{{"id": "museum", "name": "Museum"}}], "activities": [{{
                    "eventId": "expo", "title": "Expo", "venue": "museum", "checkinPoints": 1,
                    "checkinCodes": [{{"code": "stempel:expo"}}, {{"code": "{code}"}}]}}]}}"#
            );
            match import(&pool, &read(&file).unwrap()).await {
                Ok(_) => assert!(taken, "{code:?}"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(!taken, "{code:?}: {said}");
                    assert!(said.starts_with("activities[0].checkinCodes[1].code: "), "{said}");
                }
            }
        }
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
