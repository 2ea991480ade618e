//! What was seen of columns and tables that no schema knows.

use indexmap::IndexMap;
use serde_json::{Map, Value};
use weir_contract::datetime::parse_iso;
use weir_contract::schema::ColumnType;

/// Distinct values that are kept as examples.
const EXAMPLES: usize = 3;
/// Longest example, in characters.
const EXAMPLE_LENGTH: usize = 80;
/// The member of an enveloped record that holds the row.
const PROPERTIES: &str = "properties";

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Unknown columns, by the raw tables that their row may come from (one, unless nothing tells) and name.
    pub(super) columns: IndexMap<(Vec<String>, String), SeenColumn>,
    /// Unknown tables by name.
    pub(super) tables: IndexMap<String, SeenTable>,
    /// Records that the decoder refuses.
    pub(super) refused: usize,
}

/// One column.
#[derive(Debug, Default)]
pub(super) struct SeenColumn {
    pub(super) when: When,
    pub(super) guess: Guess,
    pub(super) examples: Vec<String>,
}

/// One table.
#[derive(Debug, Default)]
pub(super) struct SeenTable {
    pub(super) when: When,
    pub(super) columns: IndexMap<String, SeenColumn>,
}

/// How often, and the event times of the first and the last; in microseconds since 1970 UTC.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct When {
    pub(super) rows: u64,
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
}

/// The narrowest type that all values have so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    /// Only empty texts: any type.
    #[default]
    Open,
    Of(ColumnType),
}

impl Seen {
    /// A row's unknown columns: a JSON object.
    pub(super) fn columns(&mut self, tables: &[String], time: Option<i64>, text: &str) {
        for (name, value) in object(text) {
            self.columns.entry((tables.to_vec(), name)).or_default().add(time, &value);
        }
    }

    /// A whole record of an unknown table: a JSON object.
    pub(super) fn record(&mut self, table: &str, time: Option<i64>, text: &str) {
        let mut record = object(text);
        let row = match record.remove(PROPERTIES) {
            Some(Value::Object(row)) => row,
            _ => object(text),
        };
        let table = self.tables.entry(table.to_owned()).or_default();
        table.when.add(time);
        for (name, value) in row.iter().filter(|(_, value)| !value.is_null()) {
            table.columns.entry(name.clone()).or_default().add(time, value);
        }
    }
}

fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

impl SeenColumn {
    fn add(&mut self, time: Option<i64>, value: &Value) {
        self.when.add(time);
        self.guess = self.guess.and(Guess::of(value));
        if self.examples.len() < EXAMPLES {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let text = crate::terminal::cut_to(&text, EXAMPLE_LENGTH);
            if !text.is_empty() && !self.examples.contains(&text) {
                self.examples.push(text);
            }
        }
    }
}

impl When {
    fn add(&mut self, time: Option<i64>) {
        self.rows += 1;
        self.first = self.first.into_iter().chain(time).min();
        self.last = self.last.max(time);
    }
}

impl Guess {
    fn of(value: &Value) -> Self {
        Self::Of(match value {
            Value::Null => return Self::Open,
            Value::String(text) if text.is_empty() => return Self::Open,
            Value::Bool(_) => ColumnType::Bool,
            Value::Number(number) if number.is_i64() => ColumnType::Long,
            Value::Number(_) => ColumnType::Real,
            Value::String(text) if parse_iso(text).is_some() => ColumnType::Datetime,
            Value::String(_) => ColumnType::String,
            Value::Array(_) | Value::Object(_) => ColumnType::Dynamic,
        })
    }

    /// The narrowest type of both: text holds every scalar, `dynamic` everything.
    fn and(self, other: Self) -> Self {
        use ColumnType::{Dynamic, Long, Real, String};
        match (self, other) {
            (Self::Open, guess) | (guess, Self::Open) => guess,
            (Self::Of(a), Self::Of(b)) if a == b => Self::Of(a),
            (Self::Of(Dynamic), _) | (_, Self::Of(Dynamic)) => Self::Of(Dynamic),
            (Self::Of(Long | Real), Self::Of(Long | Real)) => Self::Of(Real),
            _ => Self::Of(String),
        }
    }

    pub(super) fn ty(self) -> ColumnType {
        match self {
            Self::Open => ColumnType::String,
            Self::Of(ty) => ty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(values: &str) -> ColumnType {
        let values: Vec<Value> = serde_json::from_str(values).expect("JSON");
        values.iter().fold(Guess::Open, |guess, value| guess.and(Guess::of(value))).ty()
    }

    #[test]
    fn the_type_is_the_narrowest_that_all_values_have() {
        for (values, expected) in [
            ("[1, 2]", ColumnType::Long),
            ("[1, 2.5, 18446744073709551615]", ColumnType::Real),
            ("[true, \"\"]", ColumnType::Bool),
            ("[\"2026-01-02T03:04:05Z\", \"\"]", ColumnType::Datetime),
            ("[\"2026-01-02T03:04:05Z\", \"soon\"]", ColumnType::String),
            ("[true, 1]", ColumnType::String),
            ("[\"a\", [1]]", ColumnType::Dynamic),
            ("[\"\"]", ColumnType::String),
        ] {
            assert_eq!(guessed(values), expected, "{values}");
        }
    }

    #[test]
    fn rows_are_counted_with_the_first_and_the_last_time() {
        let mut seen = Seen::default();
        let table = ["T".to_owned()];
        seen.columns(&table, Some(20), r#"{"a":"x","b":null}"#);
        seen.columns(&table, None, r#"{"a":"x"}"#);
        seen.columns(&table, Some(10), r#"{"a":"y"}"#);
        let column = &seen.columns[&(table.to_vec(), "a".to_owned())];
        assert_eq!((column.when.rows, column.when.first, column.when.last), (3, Some(10), Some(20)));
        assert_eq!(column.examples, ["x", "y"]);
    }

    #[test]
    fn a_record_in_an_envelope_has_the_columns_of_its_properties() {
        let mut seen = Seen::default();
        seen.record("T", None, r#"{"category":"T","properties":{"a":1}}"#);
        seen.record("T", None, r#"{"b":1,"properties":"text"}"#);
        let names: Vec<&str> = seen.tables["T"].columns.keys().map(String::as_str).collect();
        assert_eq!(names, ["a", "b", "properties"]);
    }
}
