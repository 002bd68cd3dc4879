//! Statements: one SQL text for both engines, and its values.
//!
//! Values are `$1`, `$2`, …. Where a text says `:list`, a list of values of any length stands there
//! (`id IN (:list)`); where it says `:rows`, rows of values (`WITH given (id, name) AS (:rows) …`).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Values in a list, or parameters in rows, that one statement takes on SQLite. A list is filled up
/// to a power of two, so that there are few texts to prepare.
pub(super) const MOST_IN_LIST: usize = 4096;

/// Rows that one statement takes on SQLite.
pub(super) const MOST_ROWS: usize = 512;

/// Parameters that one statement takes on SQLite.
const MOST_PARAMETERS: usize = 32_000;

/// A value. What is NULL still has a kind: PostgreSQL asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `BIGINT`.
    Integer(Option<i64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BYTEA`, `BLOB`.
    Bytes(Option<Vec<u8>>),
    /// `BOOLEAN`.
    Boolean(Option<bool>),
}

macro_rules! value_of {
    ($($kind:ty => $variant:ident, $convert:expr;)*) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                let convert: fn($kind) -> _ = $convert;
                Self::$variant(Some(convert(value)))
            }
        }
        impl From<Option<$kind>> for Value {
            fn from(value: Option<$kind>) -> Self {
                let convert: fn($kind) -> _ = $convert;
                Self::$variant(value.map(convert))
            }
        }
    )*};
}
value_of! {
    i64 => Integer, |it| it;
    i32 => Integer, i64::from;
    u32 => Integer, i64::from;
    u8 => Integer, i64::from;
    u64 => Integer, |it| i64::try_from(it).unwrap_or(i64::MAX);
    bool => Boolean, |it| it;
    String => Text, |it| it;
    &String => Text, Clone::clone;
    &str => Text, str::to_owned;
    Vec<u8> => Bytes, |it| it;
    &Vec<u8> => Bytes, Clone::clone;
    &[u8] => Bytes, <[u8]>::to_vec;
}
impl<const N: usize> From<[u8; N]> for Value {
    fn from(value: [u8; N]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

/// A text whose values come behind so many others. On SQLite those of a list or of rows have no names: it looks a name
/// up among all names, so that binding thousands of names takes millions of steps.
fn behind(text: &str, many: usize) -> String {
    let mut parts = text.split('$');
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let place = part[..digits].parse::<usize>().unwrap_or_default() + many;
        let _ = write!(made, "${place}{}", &part[digits..]);
    }
    made
}

/// What stands for `:list` or `:rows`.
#[derive(Debug, Clone, Default)]
pub(super) enum Many {
    /// Nothing: the text has neither.
    #[default]
    None,
    /// Values, all of one kind.
    List(Vec<Value>),
    /// Rows, all of one shape.
    Rows(Vec<Vec<Value>>),
}

/// A statement and its values.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(super) text: Cow<'static, str>,
    pub(super) values: Vec<Value>,
    pub(super) many: Many,
    /// The rows that are found are locked, where the engine has locks for rows.
    pub(super) locking: bool,
}

/// A statement of this text.
pub fn sql(text: &'static str) -> Statement {
    made(Cow::Borrowed(text))
}

/// A statement whose text was put together of words that stand in this program.
pub(super) fn made(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement { text: text.into(), values: Vec::new(), many: Many::None, locking: false }
}

impl Statement {
    /// The next value: `$1`, `$2`, ….
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// What stands for `:list`. A long list is asked for in pieces, so an order by anything else than
    /// the list's own order is none.
    #[must_use]
    pub fn list<T: Into<Value>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.many = Many::List(values.into_iter().map(Into::into).collect());
        self
    }

    /// What stands for `:rows`.
    #[must_use]
    pub fn rows(mut self, rows: Vec<Vec<Value>>) -> Self {
        self.many = Many::Rows(rows);
        self
    }

    /// Locks the rows that are found until the transaction ends, in the order in which they are found:
    /// whoever locks several orders them by their keys. SQLite has one writer, which needs no locks.
    #[must_use]
    pub fn locking(mut self) -> Self {
        self.locking = true;
        self
    }

    /// The pieces in which SQLite takes it: each a text with its values, and whether its text comes
    /// again.
    pub(super) fn for_sqlite(mut self) -> Vec<(Text, Vec<Value>)> {
        match std::mem::take(&mut self.many) {
            Many::None => vec![(Text::of(self.text), self.values)],
            Many::List(list) => {
                let pieces = list.chunks(MOST_IN_LIST).map(|some| {
                    let many = some.len().next_power_of_two();
                    let mut values = Vec::with_capacity(many + self.values.len());
                    values.extend_from_slice(some);
                    // The last one again: who is asked for twice is found once.
                    let last = &some[some.len() - 1];
                    values.extend(std::iter::repeat_n(last, many - some.len()).cloned());
                    values.extend(self.values.iter().cloned());
                    let mut places = "?,".repeat(many);
                    places.pop();
                    (Text::Made(behind(&self.text, many).replace(":list", &places)), values)
                });
                pieces.collect()
            }
            Many::Rows(rows) => {
                let width = rows.first().map_or(1, Vec::len).max(1);
                let most = MOST_ROWS.min(MOST_PARAMETERS / width);
                let mut row = "?,".repeat(width);
                row.pop();
                let mut rows = rows.into_iter();
                let mut pieces = Vec::new();
                while rows.len() > 0 {
                    // In powers of two: few texts, each prepared once.
                    let many = 1 << rows.len().min(most).ilog2();
                    let mut values = Vec::with_capacity(many * width + self.values.len());
                    values.extend(rows.by_ref().take(many).flatten());
                    values.extend(self.values.iter().cloned());
                    let mut places = format!("({row}),").repeat(many);
                    places.pop();
                    let places = format!("VALUES {places}");
                    let text = behind(&self.text, many * width).replace(":rows", &places);
                    pieces.push((Text::Made(text), values));
                }
                pieces
            }
        }
    }

    /// How PostgreSQL takes it: a text, its values, and the columns of its list or rows.
    pub(super) fn for_postgres(mut self) -> (Text, Vec<Value>, Vec<Vec<Value>>) {
        let first = self.values.len() + 1;
        let (text, columns) = match std::mem::take(&mut self.many) {
            Many::None => (Text::of(self.text), Vec::new()),
            Many::List(list) => {
                let list_text = format!("SELECT UNNEST(${first})");
                (Text::Made(self.text.replace(":list", &list_text)), vec![list])
            }
            Many::Rows(rows) => {
                let width = rows.first().map_or(0, Vec::len);
                let mut columns: Vec<Vec<Value>> =
                    (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
                for row in rows {
                    for (column, value) in columns.iter_mut().zip(row) {
                        column.push(value);
                    }
                }
                let places: Vec<String> =
                    (first..first + width).map(|place| format!("${place}")).collect();
                let rows_text = format!("SELECT * FROM UNNEST({})", places.join(","));
                (Text::Made(self.text.replace(":rows", &rows_text)), columns)
            }
        };
        let text = match (text, self.locking) {
            (text, false) => text,
            (Text::Fixed(text), true) => Text::Made(format!("{text} FOR UPDATE")),
            (Text::Made(text), true) => Text::Made(text + " FOR UPDATE"),
        };
        (text, self.values, columns)
    }

    /// Whether there is nothing to ask or do: an empty list, no rows.
    pub(super) fn is_empty(&self) -> bool {
        match &self.many {
            Many::None => false,
            Many::List(list) => list.is_empty(),
            Many::Rows(rows) => rows.is_empty(),
        }
    }
}

/// A statement's text as an engine gets it.
#[derive(Debug)]
pub(super) enum Text {
    Fixed(&'static str),
    Made(String),
}

impl Text {
    fn of(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Fixed(text),
            Cow::Owned(text) => Self::Made(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_rows_are_cut_into_few_shapes() {
        let pieces = sql("SELECT 1 WHERE $1 IN (:list)").bind(7i64).list([1i64, 2, 3]).for_sqlite();
        let (Text::Made(text), values) = &pieces[0] else { panic!("{pieces:?}") };
        assert_eq!(text, "SELECT 1 WHERE $5 IN (?,?,?,?)");
        assert_eq!(values[4], 7i64.into());
        assert_eq!(values.len(), 5);
        let rows: Vec<Vec<Value>> = (0..1300i64).map(|n| vec![n.into(), "x".into()]).collect();
        let pieces = sql("WITH a (n, x) AS (:rows) SELECT 1").rows(rows).for_sqlite();
        let lengths: Vec<usize> = pieces.iter().map(|(_, values)| values.len() / 2).collect();
        assert_eq!(lengths, [512, 512, 256, 16, 4]);
    }
}
