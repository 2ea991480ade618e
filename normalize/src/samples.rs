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

/// How one row differs from what was expected. Positions count from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDifference {
    /// The row that was made; `None`: the expected one is missing.
    pub made: Option<usize>,
    /// The row that was expected; `None`: nobody expected the one that was made.
    pub expected: Option<usize>,
    /// What differs, where both are there.
    pub values: Vec<ValueDifference>,
}

/// A value that is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueDifference {
    /// The column.
    pub column: String,
    /// Keys below it, outermost first, where both values are objects.
    pub members: Vec<String>,
    /// What the mapping makes; null: nothing.
    pub made: Value,
    /// What was expected; null: nothing.
    pub expected: Value,
}

/// Cells of the table that pairs rows: of more rows than these, the first are compared with the first.
const MAX_PAIRINGS: usize = 1 << 18;

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

/// Compares rows, in order. A row that is missing or too many does not shift those behind it: rows are paired so that as
/// little as possible differs.
pub fn differences(made: &[Value], expected: &[Value]) -> Vec<RowDifference> {
    let pairs = pair(made, expected).into_iter().filter_map(|(at_made, at_expected)| {
        let values = match (at_made, at_expected) {
            (Some(at_made), Some(at_expected)) => {
                let mut values = Vec::new();
                compare(&made[at_made], &expected[at_expected], &mut Vec::new(), &mut values);
                if values.is_empty() {
                    return None;
                }
                values
            }
            _ => Vec::new(),
        };
        Some(RowDifference { made: at_made, expected: at_expected, values })
    });
    pairs.collect()
}

/// Which row is which: the fewest changes, where a row that is missing costs half of one whose every column differs.
fn pair(made: &[Value], expected: &[Value]) -> Vec<(Option<usize>, Option<usize>)> {
    let alike = |pairs: &mut dyn Iterator<Item = (&Value, &Value)>| pairs.take_while(|(a, b)| a == b).count();
    let before = alike(&mut made.iter().zip(expected));
    let behind = alike(&mut made[before..].iter().rev().zip(expected[before..].iter().rev()));
    let (rows, columns) = (made.len() - before - behind, expected.len() - before - behind);
    let both = |at: usize| (Some(at), Some(at));
    let mut pairs: Vec<_> = (0..before).map(both).collect();
    if rows.saturating_mul(columns) > MAX_PAIRINGS {
        let place = |at: usize, count: usize| (at < count).then_some(before + at);
        pairs.extend((0..rows.max(columns)).map(|at| (place(at, rows), place(at, columns))));
    } else {
        pairs.extend(
            cheapest(&made[before..before + rows], &expected[before..before + columns])
                .into_iter()
                .map(|(at_made, at_expected)| (at_made.map(|at| before + at), at_expected.map(|at| before + at))),
        );
    }
    pairs.extend((0..behind).map(|at| (Some(before + rows + at), Some(before + columns + at))));
    pairs
}

/// The pairing with the least cost (edit distance over rows), found from the ends.
fn cheapest(made: &[Value], expected: &[Value]) -> Vec<(Option<usize>, Option<usize>)> {
    const ALONE: u64 = 500;
    let width = expected.len() + 1;
    let mut costs = vec![0_u64; (made.len() + 1) * width];
    let mut apart = vec![0_u64; costs.len()];
    for row in (0..=made.len()).rev() {
        for column in (0..=expected.len()).rev() {
            let at = row * width + column;
            let mut least = u64::MAX;
            if row < made.len() {
                least = least.min(costs[at + width] + ALONE);
            }
            if column < expected.len() {
                least = least.min(costs[at + 1] + ALONE);
            }
            if row < made.len() && column < expected.len() {
                apart[at] = distance(&made[row], &expected[column]);
                least = least.min(costs[at + width + 1] + apart[at]);
            }
            costs[at] = if least == u64::MAX { 0 } else { least };
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < made.len() || column < expected.len() {
        let at = row * width + column;
        let is_pair =
            row < made.len() && column < expected.len() && costs[at] == costs[at + width + 1].saturating_add(apart[at]);
        let is_missing = !is_pair && column < expected.len() && costs[at] == costs[at + 1] + ALONE;
        pairs.push(((!is_missing).then_some(row), (is_pair || is_missing).then_some(column)));
        row += usize::from(!is_missing);
        column += usize::from(is_pair || is_missing);
    }
    pairs
}

/// How much of two rows differs, in thousandths of their columns.
fn distance(made: &Value, expected: &Value) -> u64 {
    if made == expected {
        return 0;
    }
    let (Value::Object(made), Value::Object(expected)) = (made, expected) else { return 1000 };
    let names = expected.keys().chain(made.keys().filter(|name| !expected.contains_key(*name)));
    let (mut count, mut differ) = (0, 0);
    for name in names {
        count += 1;
        differ += u64::from(made.get(name) != expected.get(name));
    }
    (differ * 1000 / count.max(1)).max(1)
}

/// Collects the values that differ, as deep as both sides are objects.
fn compare(made: &Value, expected: &Value, path: &mut Vec<String>, found: &mut Vec<ValueDifference>) {
    if let (Value::Object(made), Value::Object(expected)) = (made, expected) {
        let names = expected.keys().chain(made.keys().filter(|name| !expected.contains_key(*name)));
        for name in names {
            path.push(name.clone());
            let value = |row: &Map<String, Value>| row.get(name).cloned().unwrap_or(Value::Null);
            compare(&value(made), &value(expected), path, found);
            path.pop();
        }
    } else if made != expected
        && let Some((column, members)) = path.split_first()
    {
        found.push(ValueDifference {
            column: column.clone(),
            members: members.to_vec(),
            made: made.clone(),
            expected: expected.clone(),
        });
    }
}

impl ValueDifference {
    /// The column and the keys below it: `AdditionalFields.IsLocalLogon`.
    pub fn path(&self) -> String {
        let mut path = self.column.clone();
        for member in &self.members {
            path.push('.');
            path.push_str(member);
        }
        path
    }
}

impl std::fmt::Display for RowDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |value: &Value| if value.is_null() { "nothing".to_owned() } else { value.to_string() };
        match (self.made, self.expected) {
            (None, Some(row)) => write!(f, "row {} is expected and missing", row + 1),
            (Some(row), None) => write!(f, "row {} is made and not expected", row + 1),
            (made, expected) => {
                write!(f, "row {}", made.or(expected).unwrap_or_default() + 1)?;
                for (number, value) in self.values.iter().enumerate() {
                    let separator = if number == 0 { ": " } else { "; " };
                    let (path, made, expected) = (value.path(), text(&value.made), text(&value.expected));
                    write!(f, "{separator}`{path}` is {made}, expected {expected}")?;
                }
                Ok(())
            }
        }
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

    fn told(made: &[Value], expected: &[Value]) -> Vec<String> {
        differences(made, expected).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_difference_is_told_with_row_column_and_member() {
        let made = [json!({"table": "T", "a": 1, "c": "x", "bag": {"k": {"m": 1, "n": 2}}}), json!({"table": "U"})];
        let expected = [json!({"table": "T", "a": 2, "b": true, "bag": {"k": {"m": 1, "n": 3}, "l": 4}})];
        let lines = [
            "row 1: `a` is 1, expected 2; `b` is nothing, expected true; `bag.k.n` is 2, expected 3; `bag.l` is \
             nothing, expected 4; `c` is \"x\", expected nothing",
            "row 2 is made and not expected",
        ];
        assert_eq!(told(&made, &expected), lines);
        assert_eq!(differences(&made, &made), []);
    }

    #[test]
    fn a_row_too_many_or_missing_does_not_shift_the_others() {
        let row = |number: i32| json!({"table": "T", "kind": "same", "n": number, "text": format!("t{number}")});
        let rows = |numbers: &[i32]| numbers.iter().map(|number| row(*number)).collect::<Vec<_>>();
        let expected = rows(&[1, 2, 3, 4]);
        assert_eq!(told(&rows(&[1, 3, 4]), &expected), ["row 2 is expected and missing"]);
        assert_eq!(told(&rows(&[1, 2, 9, 3, 4]), &expected), ["row 3 is made and not expected"]);
        let mut changed = rows(&[2, 3, 4, 5]);
        changed[1]["n"] = json!(33);
        let lines = ["row 1 is expected and missing", "row 2: `n` is 33, expected 3", "row 4 is made and not expected"];
        assert_eq!(told(&changed, &expected), lines);
        assert_eq!(told(&[], &expected).len(), 4);
    }

    #[test]
    fn many_rows_are_compared_by_place() {
        let rows = |shift: usize| (0..600).map(|row| json!({"n": row * 2 + shift})).collect::<Vec<_>>();
        let found = differences(&rows(0), &rows(1));
        assert_eq!(found.len(), 600);
        assert!(found.iter().all(|difference| difference.made == difference.expected));
    }

    #[test]
    fn an_expected_file_is_read_back_and_a_faulty_line_is_named() {
        let rows = [json!({"table": "T", "a": [1, null]})];
        assert_eq!(parse_expected(&print_expected(&rows)).expect("objects"), rows);
        let error = parse_expected("{}\n\n[1]\n").expect_err("no object");
        assert_eq!(error.line, 3);
    }
}
