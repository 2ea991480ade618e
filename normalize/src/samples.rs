//! Samples beside a mapping, and the rows that are expected of them.
//!
//! `samples/<Name>.json` beside `<Name>.yaml` holds raw records as the source delivers them, `expected/<Name>.json` the
//! rows that the mapping makes of them: JSON Lines, one object a row, in the order of the samples. A row has its table
//! under `table` and its columns as [`json_rows`] gives them.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use serde_json::{Map, Value, json};
use weir_contract::datetime::format_iso;
use weir_contract::schema::ColumnType;

/// A file that holds no rows.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: not a JSON object")]
pub struct ExpectedError {
    /// The line, from 1.
    pub line: usize,
    #[source]
    source: serde_json::Error,
}

/// A value that is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The row, from 1.
    pub row: usize,
    /// The column; `None` where the whole row is missing or too many.
    pub column: Option<String>,
    /// What the mapping makes; null: nothing.
    pub made: Value,
    /// What was expected; null: nothing.
    pub expected: Value,
}

/// The file of kind `samples` or `expected` that belongs to a mapping file.
pub fn beside(mapping: &Path, kind: &str) -> PathBuf {
    let stem = mapping.file_stem().unwrap_or_default();
    let mut file = stem.to_os_string();
    file.push(".json");
    mapping.with_file_name(kind).join(file)
}

/// Rows as JSON objects.
///
/// Nulls and empty texts are left out. Datetimes and timespans stand as KQL prints them, `dynamic` as the value that it
/// holds, a real number that JSON cannot hold as its text. A column that holds no KQL value is left out.
pub fn json_rows(batch: &RecordBatch) -> Vec<Map<String, Value>> {
    let mut rows = vec![Map::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let Some(ty) = ColumnType::of_field(field) else { continue };
        for (index, row) in rows.iter_mut().enumerate().filter(|(index, _)| column.is_valid(*index)) {
            let value = match ty {
                ColumnType::Bool => json!(column.as_boolean().value(index)),
                ColumnType::Int => json!(column.as_primitive::<Int32Type>().value(index)),
                ColumnType::Long => json!(column.as_primitive::<Int64Type>().value(index)),
                ColumnType::Real => match column.as_primitive::<Float64Type>().value(index) {
                    value if value.is_finite() => json!(value),
                    value => json!(value.to_string()),
                },
                ColumnType::Datetime => {
                    json!(format_iso(column.as_primitive::<TimestampMicrosecondType>().value(index)))
                }
                ColumnType::Timespan => {
                    json!(weir_kql::format_timespan(column.as_primitive::<DurationMicrosecondType>().value(index)))
                }
                ColumnType::Dynamic => {
                    let text = column.as_string_view().value(index);
                    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
                }
                ColumnType::String | ColumnType::Guid => match column.as_string_view().value(index) {
                    "" => continue,
                    text => json!(text),
                },
            };
            row.insert(field.name().clone(), value);
        }
    }
    rows
}

/// The rows of a batch as the lines of an expected file have them: the table first.
pub fn expected_rows(table: &str, batch: &RecordBatch) -> Vec<Value> {
    let lines = json_rows(batch).into_iter().map(|row| {
        let mut line = Map::from_iter([("table".to_owned(), json!(table))]);
        line.extend(row);
        Value::Object(line)
    });
    lines.collect()
}

/// Reads an expected file.
pub fn parse_expected(text: &str) -> Result<Vec<Value>, ExpectedError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(number, line)| match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(row) => Ok(Value::Object(row)),
        Err(source) => Err(ExpectedError { line: number + 1, source }),
    });
    rows.collect()
}

/// The text of an expected file.
pub fn print_expected(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Compares rows by place, column by column.
pub fn differences(made: &[Value], expected: &[Value]) -> Vec<Difference> {
    let mut found = Vec::new();
    for row in 0..made.len().max(expected.len()) {
        let (made, expected) = match (made.get(row), expected.get(row)) {
            (Some(made), Some(expected)) => (made, expected),
            (made, expected) => {
                let value = |row: Option<&Value>| row.cloned().unwrap_or(Value::Null);
                found.push(Difference { row: row + 1, column: None, made: value(made), expected: value(expected) });
                continue;
            }
        };
        let columns = |value: &Value| value.as_object().map(|row| row.keys().cloned().collect()).unwrap_or_default();
        let mut names: Vec<String> = columns(expected);
        names.extend(columns(made).into_iter().filter(|name| expected.get(name).is_none()));
        for name in names {
            let value = |row: &Value| row.get(&name).cloned().unwrap_or(Value::Null);
            let (made, expected) = (value(made), value(expected));
            if made != expected {
                found.push(Difference { row: row + 1, column: Some(name), made, expected });
            }
        }
    }
    found
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |value: &Value| if value.is_null() { "nothing".to_owned() } else { value.to_string() };
        match &self.column {
            Some(column) => write!(f, "row {}: `{column}` is {}", self.row, text(&self.made))?,
            None => write!(f, "row {}: {}", self.row, text(&self.made))?,
        }
        write!(f, ", expected {}", text(&self.expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_expected_rows_stand_beside_the_mapping() {
        let mapping = Path::new("own/fw/Traffic.yaml");
        assert_eq!(beside(mapping, "samples"), Path::new("own/fw/samples/Traffic.json"));
        assert_eq!(beside(Path::new("Traffic.yaml"), "expected"), Path::new("expected/Traffic.json"));
    }

    #[test]
    fn every_difference_is_told_with_row_and_column() {
        let made = [json!({"table": "T", "a": 1, "c": "x"}), json!({"table": "T"})];
        let expected = [json!({"table": "T", "a": 2, "b": true})];
        let told: Vec<String> = differences(&made, &expected).iter().map(ToString::to_string).collect();
        let lines = [
            "row 1: `a` is 1, expected 2",
            "row 1: `b` is nothing, expected true",
            "row 1: `c` is \"x\", expected nothing",
            "row 2: {\"table\":\"T\"}, expected nothing",
        ];
        assert_eq!(told, lines);
        assert_eq!(differences(&made, &made), []);
    }

    #[test]
    fn an_expected_file_is_read_back_and_a_faulty_line_is_named() {
        let rows = [json!({"table": "T", "a": [1, null]})];
        assert_eq!(parse_expected(&print_expected(&rows)).expect("objects"), rows);
        let error = parse_expected("{}\n\n[1]\n").expect_err("no object");
        assert_eq!(error.line, 3);
    }
}
