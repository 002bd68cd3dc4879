//! `stempel-hub backup` and `restore`: a copy of the database, taken while the hub serves, and taken back.

use std::path::Path;

use service::say;

use super::CliError;
use crate::db::{self, HubFolder};

pub(super) async fn write(folder: &HubFolder, file: &Path) -> Result<(), CliError> {
    db::backup(&folder.database().await?, file).await?;
    say!("written to {}", file.display());
    Ok(())
}

pub(super) async fn take_back(folder: &HubFolder, file: &Path) -> Result<(), CliError> {
    db::restore(folder, file).await?;
    say!(
        "restored from {}. When the hub serves again, desks send again what was recorded since, and nothing limited is granted before each has said what it holds (`status` shows which; `stock waive` where one will not come back). Import again what was imported since",
        file.display()
    );
    Ok(())
}
