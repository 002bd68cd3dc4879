//! What goes wrong in the hub, and what a database's error says.

use std::io;
use std::path::PathBuf;

use sqlx::Error;
use thiserror::Error as ThisError;

/// An error of the database, whichever engine it is.
#[derive(Debug, ThisError)]
#[error("{0}")]
pub struct DatabaseError(#[from] pub(super) Error);

/// What a database's error says of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// There is no room on its disk.
    Full,
    /// Its disk, or the database, takes no writes.
    ReadOnly,
    /// Its disk fails otherwise.
    DiskFails,
    /// The server cannot be reached, or shut the connection.
    Unreachable,
    /// Another writer is in the way: the same again may do.
    Busy,
    /// Nothing of the kind: a mistake of ours, or a broken database.
    Other,
}

impl DatabaseError {
    /// A value that cannot be read.
    pub(super) fn value(column: &str, why: &str) -> Self {
        Self(Error::ColumnDecode { index: column.to_owned(), source: why.to_owned().into() })
    }

    /// What it says of the world.
    pub fn says(&self) -> Says {
        match &self.0 {
            Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::WorkerCrashed => {
                Says::Unreachable
            }
            Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                    of_postgres(&code)
                } else {
                    of_sqlite(&code)
                }
            }
            _ => Says::Other,
        }
    }
}

fn of_sqlite(code: &str) -> Says {
    // The rest of an extended code says more precisely what the lowest byte says.
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(13) => Says::Full,
        Ok(8) => Says::ReadOnly,
        Ok(10 | 14) => Says::DiskFails,
        Ok(5 | 6) => Says::Busy,
        _ => Says::Other,
    }
}

fn of_postgres(code: &str) -> Says {
    match code {
        "53100" => Says::Full,
        "25006" => Says::ReadOnly,
        // Two writers wait for each other, or a snapshot is too old to write over.
        "40P01" | "40001" | "55P03" => Says::Busy,
        code if code.starts_with("58") => Says::DiskFails,
        code if code.starts_with("08") || code.starts_with("57P") || code.starts_with("53") => {
            Says::Unreachable
        }
        _ => Says::Other,
    }
}

/// What goes wrong in the hub.
#[derive(Debug, ThisError)]
pub enum HubError {
    /// The database says no.
    #[error("the hub's database: {0}")]
    Database(#[from] DatabaseError),
    /// The database cannot be brought to this version's layout.
    #[error("the hub's database cannot be brought up to date: {0}")]
    Migration(DatabaseError),
    /// The database was put back from an older copy under the running hub: everything begins anew.
    #[error("the hub's database was put back from an older copy; everything begins anew")]
    PutBack,
    /// A stored record cannot be read.
    #[error("a record of the hub's database cannot be read: {0}")]
    Record(String),
    /// The folder or a file in it cannot be used.
    #[error("{path} cannot be used: {error}. The hub needs a folder that it can write to")]
    Disk {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is no backup that a hub can be put back from.
    #[error("{path} is no backup of a hub: {why}. Nothing was changed")]
    NoBackup {
        /// The file that was named.
        path: PathBuf,
        /// What is the matter with it.
        why: String,
    },
    /// A backup cannot be written there.
    #[error("no backup can be written to {path}: {why}. The hub is not affected")]
    NoPlace {
        /// The file that was named.
        path: PathBuf,
        /// What is the matter.
        why: String,
    },
    /// Another hub serves this folder.
    #[error(
        "another stempel-hub already serves {folder}. Stop it first, or choose another --folder"
    )]
    AlreadyServing {
        /// The hub's folder.
        folder: PathBuf,
    },
    /// No hub was begun here: a typing error must not look like a hub without desks.
    #[error(
        "there is no hub in {folder}: `venue add`, `import` and `serve` begin one; `--folder` says where it is"
    )]
    NoHub {
        /// The folder that was named.
        folder: PathBuf,
    },
    /// There is no such venue, device or pass.
    #[error("there is no {what} named {name}")]
    NoSuch {
        /// What kind of thing.
        what: &'static str,
        /// The name that was asked for.
        name: String,
    },
    /// There is one already.
    #[error("there is already a {what} named {name}")]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The network says no.
    #[error("the hub cannot listen on {address}: {why}")]
    Listen {
        /// The address that was asked for.
        address: String,
        /// What the system says.
        why: String,
    },
}

impl From<minicbor::decode::Error> for HubError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Record(error.to_string())
    }
}
