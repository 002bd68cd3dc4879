//! The steps that bring a database's tables up to date, from the files in `hub/migrations`.
//!
//! They are listed by hand: `sqlx::migrate!` would compile SQLite a second time, for the compiler's own use.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One file: its number, what its name says, and its text. The database remembers all three (the text by its hash),
/// and refuses a program whose step differs.
type Step = (i64, &'static str, &'static str);

macro_rules! step {
    ($number:literal, $name:literal) => {
        ($number, $name, include_str!(concat!("../../migrations/", $name, ".sql")))
    };
}

/// In the order in which they are done.
const STEPS: &[Step] = &[
    step!(1, "0001_first"),
    step!(2, "0002_domain"),
    step!(3, "0003_card_keys"),
    step!(4, "0004_changed_at_desk"),
    step!(6, "0006_receipts"),
    step!(7, "0007_desks_told_apart"),
];

/// All steps.
pub(super) fn all() -> Migrator {
    let steps = STEPS.iter().map(|&(number, file, text)| {
        // As `sqlx::migrate!` and sqlx's command line read a file's name.
        let name = file.split_once('_').map_or(file, |(_, name)| name).replace('_', " ");
        Migration::new(number, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn every_file_is_a_step_as_sqlx_itself_would_read_it() {
        let files = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
        let read = Migrator::new(files).await.unwrap();
        let told = |migrator: &Migrator| -> Vec<(i64, String, Vec<u8>)> {
            let step = |s: &Migration| (s.version, s.description.to_string(), s.checksum.to_vec());
            migrator.iter().map(step).collect()
        };
        assert_eq!(told(&all()), told(&read));
    }
}
