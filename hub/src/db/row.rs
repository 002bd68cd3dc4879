//! A row of an answer, read by its columns' names.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::error::DatabaseError;

/// A row of an answer.
#[derive(Debug)]
pub enum Row {
    /// Of SQLite.
    #[doc(hidden)]
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    #[doc(hidden)]
    Postgres(PgRow),
}

impl Row {
    /// The value of this column.
    ///
    /// # Errors
    /// [`DatabaseError`] where there is no such column, or its value is of another kind.
    pub fn get<T: Column>(&self, name: &str) -> Result<T, DatabaseError> {
        T::of(self, name)
    }

    /// The bytes of this column, where they lie.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn bytes(&self, name: &str) -> Result<&[u8], DatabaseError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(name)?,
            Self::Postgres(row) => row.try_get(name)?,
        })
    }
}

/// What a column's value can be read as.
pub trait Column: Sized {
    /// The value, or nothing where it is NULL.
    ///
    /// # Errors
    /// As [`Row::get`].
    fn optional(row: &Row, name: &str) -> Result<Option<Self>, DatabaseError>;

    /// The value, which is not NULL.
    ///
    /// # Errors
    /// As [`Row::get`].
    fn of(row: &Row, name: &str) -> Result<Self, DatabaseError> {
        Self::optional(row, name)?.ok_or_else(|| DatabaseError::value(name, "it is NULL"))
    }
}

impl<T: Column> Column for Option<T> {
    fn optional(row: &Row, name: &str) -> Result<Option<Self>, DatabaseError> {
        Ok(Some(T::optional(row, name)?))
    }
}

macro_rules! native {
    ($($kind:ty),*) => {$(
        impl Column for $kind {
            fn optional(row: &Row, name: &str) -> Result<Option<Self>, DatabaseError> {
                Ok(match row {
                    Row::Sqlite(row) => row.try_get(name)?,
                    Row::Postgres(row) => row.try_get(name)?,
                })
            }
        }
    )*};
}
native!(i64, bool, String, Vec<u8>);

macro_rules! narrowed {
    ($($kind:ty),*) => {$(
        impl Column for $kind {
            fn optional(row: &Row, name: &str) -> Result<Option<Self>, DatabaseError> {
                let wide = i64::optional(row, name)?;
                let narrow = wide.map(|wide| {
                    Self::try_from(wide).map_err(|_| DatabaseError::value(name, "it is too large"))
                });
                narrow.transpose()
            }
        }
    )*};
}
narrowed!(i32, u8, u32, u64);

impl<const N: usize> Column for [u8; N] {
    fn optional(row: &Row, name: &str) -> Result<Option<Self>, DatabaseError> {
        let bytes = Vec::<u8>::optional(row, name)?;
        let sized = bytes.map(|bytes| {
            Self::try_from(bytes).map_err(|_| DatabaseError::value(name, "it has another length"))
        });
        sized.transpose()
    }
}
