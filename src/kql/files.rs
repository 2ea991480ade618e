//! Tables of CSV and JSON files, with types that are read off their values.

use std::sync::Arc;

use anyhow::{bail, ensure};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use weir_contract::datetime::parse_iso;
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_hunt::Table;

/// The rows of a CSV text (RFC 4180) whose first line has the names. A column is of the first type that all its values
/// have of long, real, bool and datetime (ISO 8601), else a string; empty cells are null.
pub(super) fn of_csv(name: &str, text: &str) -> anyhow::Result<Table> {
    let mut rows = csv_rows(text.trim_start_matches('\u{feff}'))?.into_iter();
    let Some(header) = rows.next() else { bail!("the file is empty; its first line names the columns") };
    let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); header.len()];
    for (number, row) in rows.enumerate() {
        ensure!(
            row.len() == header.len(),
            "row {} has {} cells, and the header line has {}; quote cells that hold a comma",
            number + 1,
            row.len(),
            header.len()
        );
        for (column, cell) in columns.iter_mut().zip(row) {
            column.push(Some(cell).filter(|cell| !cell.is_empty()));
        }
    }
    let columns = header.into_iter().zip(columns.iter().map(|cells| typed(cells)));
    table(name, columns.map(|(name, (ty, array))| (name, ty, array)).collect())
}

/// The rows of a JSON text: an array of objects, or one object per line. A member is a column of the first type that all
/// its values have of bool, long, real, datetime (ISO 8601) and string, else dynamic.
pub(super) fn of_json(name: &str, text: &str) -> anyhow::Result<Table> {
    let rows = json_rows(text.trim_start_matches('\u{feff}'))?;
    let mut columns: IndexMap<String, Vec<Option<Value>>> = IndexMap::new();
    let count = rows.len();
    for (number, row) in rows.into_iter().enumerate() {
        for (member, value) in row {
            let column = columns.entry(member).or_default();
            column.resize(number, None);
            column.push(Some(value).filter(|value| !value.is_null()));
        }
    }
    let columns = columns.into_iter().map(|(name, mut values)| {
        values.resize(count, None);
        let (ty, array) = typed_json(&values);
        (name, ty, array)
    });
    table(name, columns.collect())
}

fn table(name: &str, columns: Vec<(String, ColumnType, ArrayRef)>) -> anyhow::Result<Table> {
    let named = columns.iter().map(|(name, ty, _)| Column::new(name, *ty)).collect();
    let schema = TableSchema { name: name.into(), columns: named };
    for (number, column) in schema.columns.iter().enumerate() {
        let is_twice = schema.columns[..number].iter().any(|other| other.name == column.name);
        ensure!(!is_twice, "two columns are called `{}`; rename one", column.name);
    }
    let arrays: Vec<ArrayRef> = columns.into_iter().map(|(_, _, array)| array).collect();
    ensure!(!arrays.is_empty(), "the file has no columns");
    let rows = RecordBatch::try_new(schema.arrow(), arrays)?;
    Ok(Table::of_rows(schema, vec![rows])?)
}

/// Every cell as `parse` reads it; `None` if it cannot read one.
fn all<T>(cells: &[Option<String>], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
    cells.iter().map(|cell| cell.as_ref().map(|cell| parse(cell)).map_or(Some(None), |read| read.map(Some))).collect()
}

fn typed(cells: &[Option<String>]) -> (ColumnType, ArrayRef) {
    let truth = |cell: &str| match cell.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    // `inf` and `nan` are words, too.
    let real = |cell: &str| cell.parse::<f64>().ok().filter(|_| cell.bytes().any(|byte| byte.is_ascii_digit()));
    if cells.iter().all(Option::is_none) {
        (ColumnType::String, texts(cells))
    } else if let Some(values) = all(cells, |cell| cell.parse::<i64>().ok()) {
        (ColumnType::Long, Arc::new(Int64Array::from(values)))
    } else if let Some(values) = all(cells, real) {
        (ColumnType::Real, Arc::new(Float64Array::from(values)))
    } else if let Some(values) = all(cells, truth) {
        (ColumnType::Bool, Arc::new(BooleanArray::from(values)))
    } else if let Some(values) = all(cells, parse_iso) {
        (ColumnType::Datetime, Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")))
    } else {
        (ColumnType::String, texts(cells))
    }
}

fn texts(cells: &[Option<String>]) -> ArrayRef {
    Arc::new(cells.iter().map(|cell| cell.as_deref()).collect::<StringViewArray>())
}

fn typed_json(values: &[Option<Value>]) -> (ColumnType, ArrayRef) {
    let present = || values.iter().flatten();
    if present().all(Value::is_boolean) && present().next().is_some() {
        let values = values.iter().map(|value| value.as_ref().and_then(Value::as_bool));
        (ColumnType::Bool, Arc::new(values.collect::<BooleanArray>()))
    } else if present().all(Value::is_i64) && present().next().is_some() {
        let values = values.iter().map(|value| value.as_ref().and_then(Value::as_i64));
        (ColumnType::Long, Arc::new(values.collect::<Int64Array>()))
    } else if present().all(Value::is_number) && present().next().is_some() {
        let values = values.iter().map(|value| value.as_ref().and_then(Value::as_f64));
        (ColumnType::Real, Arc::new(values.collect::<Float64Array>()))
    } else if present().all(Value::is_string) {
        let texts: Vec<Option<String>> =
            values.iter().map(|value| value.as_ref().and_then(Value::as_str).map(str::to_owned)).collect();
        match all(&texts, parse_iso) {
            Some(times) if present().next().is_some() => {
                (ColumnType::Datetime, Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")))
            }
            _ => (ColumnType::String, self::texts(&texts)),
        }
    } else {
        let json = values.iter().map(|value| value.as_ref().map(Value::to_string));
        (ColumnType::Dynamic, Arc::new(json.collect::<StringViewArray>()))
    }
}

fn json_rows(text: &str) -> anyhow::Result<Vec<Map<String, Value>>> {
    if text.trim_start().starts_with('[') {
        return Ok(serde_json::from_str(text)?);
    }
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(row) => rows.push(row),
            // One object over several lines is no fault.
            Err(_) if rows.is_empty() && number == 0 => {
                let objects = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
                return Ok(objects.collect::<Result<Vec<_>, _>>()?);
            }
            Err(error) => bail!("line {}: {error}; each line is one JSON object", number + 1),
        }
    }
    Ok(rows)
}

fn csv_rows(text: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut opened, mut is_quoted) = (1, 1, false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        line += usize::from(char == '\n');
        match char {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            char if is_quoted => cell.push(char),
            '"' if cell.is_empty() => (is_quoted, opened) = (true, line),
            ',' => row.push(std::mem::take(&mut cell)),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            char => cell.push(char),
        }
    }
    ensure!(!is_quoted, "line {opened}: a quoted cell has no end");
    if !row.is_empty() || !cell.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows.retain(|row: &Vec<String>| row.len() > 1 || !row[0].is_empty());
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(table: &Table) -> Vec<String> {
        table.schema().columns.iter().map(|Column { name, ty }| format!("{name}:{ty}")).collect()
    }

    #[test]
    fn csv_cells_have_the_narrowest_type_of_their_column() {
        let text = "n,r,b,t,s,e\n1,1.5,true,2026-01-02,x,\n,2,FALSE,2026-01-02T03:04:05Z,\"a,\"\"b\"\"\nc\",\n";
        let table = of_csv("T", text).expect("a table");
        assert_eq!(types(&table), ["n:long", "r:real", "b:bool", "t:datetime", "s:string", "e:string"]);
    }

    #[test]
    fn a_row_of_another_length_is_an_error_that_names_it() {
        let error = of_csv("T", "a,b\n1,2\n3\n").expect_err("a cell is missing").to_string();
        assert!(error.contains("row 2 has 1 cells"), "{error}");
        let error = of_csv("T", "a\n\"x\n").expect_err("a quote is open").to_string();
        assert!(error.contains("line 2: a quoted cell has no end"), "{error}");
    }

    #[test]
    fn json_members_become_columns_and_nested_ones_dynamic() {
        let lines = "{\"a\":1,\"b\":{\"x\":1},\"t\":\"2026-01-02T00:00:00Z\"}\n{\"c\":\"s\",\"a\":2.5,\"b\":null}\n";
        let table = of_json("T", lines).expect("a table");
        assert_eq!(types(&table), ["a:real", "b:dynamic", "t:datetime", "c:string"]);
        let array = of_json("T", "[{\"a\":true},{\"a\":false}]").expect("a table");
        assert_eq!(types(&array), ["a:bool"]);
        assert!(of_json("T", "{\"a\":1}\nx").expect_err("no JSON").to_string().contains("line 2"));
    }
}
