//! Importing a catalogue: a JSON file with the contracts' names. What does not fit is said before
//! anything is taken.

mod offers;
mod passes;
mod policies;
mod seals;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crdt_model::catalogue::{GrantedCoupon, Policy, Programme, Residence, RewardKind};
use crdt_model::ids::{CouponId, Identification};
use crdt_model::time::UnixMillis;
use thiserror::Error;

pub use catalogue_file::*;
use policies::policy_of;

use crate::db::{DatabaseError, Db, HubError, Reading, Writing};
use crate::holders::{self, HolderProblem};
use crate::ledgers::TIME_ZONE;
use crate::records::{catalogue, venues};
use crate::restored;
use crate::secrets::lookup_key;

/// Passes that are written in one transaction. Desks' entries wait for one: some hundredths of a second.
const PASSES_AT_ONCE: usize = 2_000;

/// Between two such transactions, so that a server in another process gets its turn, which asks for it each 25 ms.
const OTHERS_TURN: Duration = Duration::from_millis(30);

/// Why a file cannot be imported. Nothing of it was taken, unless it is said.
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
    /// Something was changed while the file was imported, so that a row does not fit any more.
    #[error(
        "{field}: {why}, since a moment ago. What stands before it was imported: import the file again"
    )]
    Meanwhile {
        /// The field.
        field: String,
        /// What does not fit.
        why: &'static str,
    },
    /// The hub failed. What was imported before stays; the same file again goes on from there.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl From<DatabaseError> for ImportError {
    fn from(error: DatabaseError) -> Self {
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
/// The whole file is judged first; what does not fit is said, and nothing is taken. Then everything but the passes is
/// taken at once, and the passes some thousands at a time, so that desks need not wait for the whole. An import that is
/// broken off there, by a full disk or a kill, goes on where it was when the file is imported again.
///
/// # Errors
/// [`ImportError`].
pub async fn import(db: &Db, file: &CatalogueFile) -> Result<Imported, ImportError> {
    // In a process of its own, while no server runs, nobody else has looked.
    restored::compare(db).await?;
    let lookup = lookup_key(db).await?;
    passes::judge(db, file).await?;
    let mut writing = db.write().await?;
    let mut importing =
        Importing { writing: &mut writing, done: Imported::default(), grants: Grants::default() };
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
    let (mut done, grants) = (importing.done, importing.grants);
    for (place, pass) in file.passes.iter().enumerate() {
        grants.judge(place, pass)?;
    }
    writing.commit().await?;
    let mut to_seal = Vec::new();
    let mut from = 0;
    while from < file.passes.len() {
        let until = file.passes.len().min(from + PASSES_AT_ONCE);
        let some = passes::prepared(&lookup, &file.passes, from..until);
        from += passes::take(db, &grants, some, &mut done, &mut to_seal).await?;
        if from < file.passes.len() {
            tokio::time::sleep(OTHERS_TURN).await;
        }
    }
    done.sealed = seals::seal(db, &lookup, file, &to_seal).await?;
    Ok(done)
}

/// The field of cards that a pass had before.
const EARLIER: &str = "earlierCards";

/// A row as it is compared with the one that was last taken.
fn hash_of(row: &PassRow) -> Vec<u8> {
    let json = serde_json::to_vec(row).unwrap_or_default();
    ring::digest::digest(&ring::digest::SHA256, &json).as_ref().to_vec()
}

/// Everything of a file but its passes, on its way into the database.
struct Importing<'a> {
    writing: &'a mut Writing,
    done: Imported,
    grants: Grants,
}

/// By what passes are granted coupons.
#[derive(Debug, Default)]
struct Grants {
    /// The coupons' serial numbers by their ids.
    coupons: HashMap<String, CouponId>,
    /// Coupons that are granted by where somebody lives.
    by_residence: Vec<(CouponId, Residence)>,
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
        let (name, writing) = (&venue.name, &mut *self.writing);
        let changed = venues::keep(writing, &venue.id, name, TIME_ZONE, organiser).await?;
        self.count(changed);
        let policy = match &venue.policy {
            Some(row) => policy_of(row, Policy::default()),
            None => self.known_default_policy().await?,
        };
        let policy = Policy { organiser: venue.organizer.clone(), ..policy };
        self.policy_of_venue(venue.id.as_str(), venue.policy.is_some(), &policy).await
    }
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
    reading: &mut Reading,
) -> Result<Vec<(CouponId, String, Residence)>, HubError> {
    let all = catalogue::coupons(reading).await?.into_iter();
    let all = all.map(|(id, coupon_id, residence)| {
        let residence = serde_json::from_str(&residence)
            .map_err(|error| HubError::Record(format!("a coupon's residence: {error}")))?;
        Ok((CouponId(id), coupon_id, residence))
    });
    all.collect()
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
        let db = HubFolder::create(folder.path()).unwrap().database().await.unwrap();
        for (code, taken) in [("", false), ("   ", false), ("abc", false), ("zaal", true)] {
            let file = format!(
                r#"{{"venues": [{{"id": "museum", "name": "Museum"}}], "activities": [{{
                    "eventId": "expo", "title": "Expo", "venue": "museum", "checkinPoints": 1,
                    "checkinCodes": [{{"code": "stempel:expo"}}, {{"code": "{code}"}}]}}]}}"#
            );
            match import(&db, &read(&file).unwrap()).await {
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
