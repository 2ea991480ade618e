//! Rows of a query for people and programs.
//!
//! - `table`: aligned columns and the number of rows; on a terminal, wide values are cut so that a row fits the line.
//! - `json`: one object, `{"columns":[{"name":…,"type":…}],"rows":[[…]]}`. Datetimes and timespans are texts as KQL prints
//!   them, dynamic values are JSON, nulls are null, and reals that JSON has no number for are `"NaN"`, `"Infinity"` and
//!   `"-Infinity"`.
//! - `csv`: a header line, then one line per row (RFC 4180); nulls are empty.

use std::io::{IsTerminal as _, Write};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use clap::ValueEnum;
use futures::TryStreamExt as _;
use serde_json::value::RawValue;
use weir_contract::datetime::{DAY_US, SECOND_US, format_iso};
use weir_contract::schema::{ColumnType, TableSchema};
use weir_hunt::Answer;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowsFormat {
    /// Aligned columns, for people.
    Table,
    /// One object with columns and rows, for programs.
    Json,
    /// Comma-separated values with a header line.
    Csv,
}

/// Rows that a table is laid out by; later rows are cut to its columns.
const MEASURED: usize = 1000;
/// No column is made narrower than this to fit a line.
const NARROWEST: usize = 8;

/// Prints the rows to standard output: without a `format`, as a table on a terminal and as JSON elsewhere.
pub(crate) async fn print(answer: Answer, format: Option<RowsFormat>) -> anyhow::Result<()> {
    let is_terminal = std::io::stdout().is_terminal();
    let format = format.unwrap_or(if is_terminal { RowsFormat::Table } else { RowsFormat::Json });
    let width = is_terminal.then(|| terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    write(answer, format, width, &mut out).await?;
    out.flush()?;
    Ok(())
}

async fn write(answer: Answer, format: RowsFormat, width: Option<usize>, out: &mut impl Write) -> anyhow::Result<()> {
    let Answer { schema, mut rows } = answer;
    match format {
        RowsFormat::Json => {
            write!(out, "{{\"columns\":{},\"rows\":[", json_columns(&schema))?;
            let mut is_first = true;
            while let Some(batch) = rows.try_next().await? {
                for row in 0..batch.num_rows() {
                    let separator: &[u8] = if is_first { b"\n" } else { b",\n" };
                    out.write_all(separator)?;
                    is_first = false;
                    write_json_row(&batch, &schema, row, out)?;
                }
            }
            writeln!(out, "]}}")?;
        }
        RowsFormat::Csv => {
            let names = schema.columns.iter().map(|column| csv_cell(&column.name));
            writeln!(out, "{}", names.collect::<Vec<_>>().join(","))?;
            while let Some(batch) = rows.try_next().await? {
                for row in 0..batch.num_rows() {
                    let cells = cells(&batch, &schema, row).map(|cell| csv_cell(&cell.unwrap_or_default()));
                    writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
                }
            }
        }
        RowsFormat::Table => {
            let mut layout: Option<Vec<ColumnLayout>> = None;
            let mut measured: Vec<Vec<String>> = Vec::new();
            let mut count = 0;
            while let Some(batch) = rows.try_next().await? {
                for row in 0..batch.num_rows() {
                    count += 1;
                    let cells: Vec<String> =
                        cells(&batch, &schema, row).map(|cell| one_line(&cell.unwrap_or_default())).collect();
                    match &layout {
                        Some(layout) => write_line(&cells, layout, out)?,
                        None => measured.push(cells),
                    }
                    if measured.len() == MEASURED {
                        layout = Some(write_table_head(&schema, &std::mem::take(&mut measured), width, out)?);
                    }
                }
            }
            if layout.is_none() {
                write_table_head(&schema, &measured, width, out)?;
            }
            writeln!(out, "{count} {}", if count == 1 { "row" } else { "rows" })?;
        }
    }
    Ok(())
}

fn json_columns(schema: &TableSchema) -> String {
    let columns = schema
        .columns
        .iter()
        .map(|column| format!("{{\"name\":{},\"type\":\"{}\"}}", serde_json::Value::from(&*column.name), column.ty));
    format!("[{}]", columns.collect::<Vec<_>>().join(","))
}

fn write_json_row(batch: &RecordBatch, schema: &TableSchema, row: usize, out: &mut impl Write) -> anyhow::Result<()> {
    out.write_all(b"[")?;
    for (number, (array, column)) in batch.columns().iter().zip(&schema.columns).enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        let Some(text) = text_of(array, column.ty, row) else {
            out.write_all(b"null")?;
            continue;
        };
        match column.ty {
            ColumnType::Bool | ColumnType::Int | ColumnType::Long => out.write_all(text.as_bytes())?,
            ColumnType::Real => match serde_json::Number::from_f64(array.as_primitive::<Float64Type>().value(row)) {
                Some(number) => write!(out, "{number}")?,
                None => write!(out, "\"{text}\"")?,
            },
            // What a foreign table holds for JSON may be none.
            ColumnType::Dynamic if serde_json::from_str::<&RawValue>(&text).is_ok() => {
                out.write_all(text.as_bytes())?
            }
            _ => serde_json::to_writer(&mut *out, &text)?,
        }
    }
    out.write_all(b"]")?;
    Ok(())
}

/// The cells of a row; a null is `None`.
fn cells<'a>(batch: &'a RecordBatch, schema: &'a TableSchema, row: usize) -> impl Iterator<Item = Option<String>> + 'a {
    batch.columns().iter().zip(&schema.columns).map(move |(array, column)| text_of(array, column.ty, row))
}

fn text_of(array: &ArrayRef, ty: ColumnType, row: usize) -> Option<String> {
    if array.is_null(row) {
        return (ty == ColumnType::String).then(String::new);
    }
    Some(match ty {
        ColumnType::Bool => array.as_boolean().value(row).to_string(),
        ColumnType::Int => array.as_primitive::<Int32Type>().value(row).to_string(),
        ColumnType::Long => array.as_primitive::<Int64Type>().value(row).to_string(),
        ColumnType::Real => real(array.as_primitive::<Float64Type>().value(row)),
        ColumnType::Datetime => format_iso(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        ColumnType::Timespan => timespan(array.as_primitive::<DurationMicrosecondType>().value(row)),
        ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => array.as_string_view().value(row).to_owned(),
    })
}

fn real(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// `[-][d.]hh:mm:ss[.fffffff]`
fn timespan(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = i128::from(micros).abs();
    let (days, in_day) = (micros / i128::from(DAY_US), micros % i128::from(DAY_US));
    let (seconds, fraction) = (in_day / i128::from(SECOND_US), in_day % i128::from(SECOND_US));
    let days = if days > 0 { format!("{days}.") } else { String::new() };
    let fraction = if fraction > 0 { format!(".{fraction:06}0") } else { String::new() };
    format!("{sign}{days}{:02}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A text without what would break a line or move the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// How wide a column is, and whether its values stand on the right.
struct ColumnLayout {
    width: usize,
    is_number: bool,
}

/// Lays the columns out by these rows, and prints the heading and the rows.
fn write_table_head(
    schema: &TableSchema,
    rows: &[Vec<String>],
    width: Option<usize>,
    out: &mut impl Write,
) -> std::io::Result<Vec<ColumnLayout>> {
    let length = |text: &String| text.chars().count();
    let mut layout = Vec::with_capacity(schema.columns.len());
    for (number, column) in schema.columns.iter().enumerate() {
        let widest = rows.iter().map(|row| length(&row[number])).max().unwrap_or(0);
        let is_number = matches!(column.ty, ColumnType::Int | ColumnType::Long | ColumnType::Real);
        layout.push(ColumnLayout { width: widest.max(column.name.chars().count()).max(1), is_number });
    }
    if let Some(line) = width {
        fit(&mut layout, line);
    }
    let heads: Vec<String> = schema.columns.iter().map(|column| column.name.to_string()).collect();
    write_line(&heads, &layout, out)?;
    let rules: Vec<String> = layout.iter().map(|column| "-".repeat(column.width)).collect();
    writeln!(out, "{}", rules.join("  "))?;
    for row in rows {
        write_line(row, &layout, out)?;
    }
    Ok(layout)
}

/// Takes from the widest columns until a row fits the line.
fn fit(layout: &mut [ColumnLayout], line: usize) {
    let gaps = 2 * layout.len().saturating_sub(1);
    loop {
        let total: usize = layout.iter().map(|column| column.width).sum::<usize>() + gaps;
        let Some(widest) = layout.iter_mut().max_by_key(|column| column.width) else { return };
        if total <= line || widest.width <= NARROWEST {
            return;
        }
        widest.width = widest.width.saturating_sub(total - line).max(NARROWEST).max(widest.width / 2);
    }
}

fn write_line(cells: &[String], layout: &[ColumnLayout], out: &mut impl Write) -> std::io::Result<()> {
    let padded = cells.iter().zip(layout).map(|(cell, ColumnLayout { width, is_number })| {
        let cell = match cell.chars().count() > *width {
            true => cell.chars().take(width - 1).chain(['…']).collect(),
            false => cell.clone(),
        };
        if *is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{
        DurationMicrosecondArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
    };
    use futures::StreamExt as _;
    use weir_contract::schema::Column;

    fn answer() -> Answer {
        let columns = [
            ("n", ColumnType::Long),
            ("r", ColumnType::Real),
            ("t", ColumnType::Datetime),
            ("p", ColumnType::Timespan),
            ("d", ColumnType::Dynamic),
            ("s", ColumnType::String),
        ];
        let columns = columns.iter().map(|(name, ty)| Column::new(name, *ty)).collect();
        let schema = TableSchema { name: "".into(), columns };
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(7), None])),
            Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(1.0)])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_704_164_645_123_456), None]).with_timezone("UTC")),
            Arc::new(DurationMicrosecondArray::from(vec![Some(-90_061_000_001), Some(0)])),
            Arc::new(StringViewArray::from(vec![Some(r#"{"a":[1,"x"]}"#), None])),
            Arc::new(StringViewArray::from(vec![Some("a, \"b\"\nc"), None])),
        ];
        let batch = RecordBatch::try_new(schema.arrow(), arrays).expect("a batch");
        Answer { schema, rows: futures::stream::iter([Ok(batch)]).boxed() }
    }

    async fn written(format: RowsFormat, width: Option<usize>) -> String {
        let mut out = Vec::new();
        write(answer(), format, width, &mut out).await.expect("written");
        String::from_utf8(out).expect("text")
    }

    #[tokio::test]
    async fn json_is_one_object_with_typed_columns() {
        let text = written(RowsFormat::Json, None).await;
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["columns"][2], serde_json::json!({"name": "t", "type": "datetime"}));
        let expected = serde_json::json!([
            [7, "NaN", "2024-01-02T03:04:05.1234560Z", "-1.01:01:01.0000010", {"a": [1, "x"]}, "a, \"b\"\nc"],
            [null, 1.0, null, "00:00:00", null, ""],
        ]);
        assert_eq!(value["rows"], expected);
    }

    #[tokio::test]
    async fn csv_quotes_what_needs_it() {
        let text = written(RowsFormat::Csv, None).await;
        let expected = "n,r,t,p,d,s\n7,NaN,2024-01-02T03:04:05.1234560Z,-1.01:01:01.0000010,\"{\"\"a\"\":[1,\"\"x\"\"]}\",\
                        \"a, \"\"b\"\"\nc\"\n,1,,00:00:00,,\n";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn a_table_is_cut_to_the_line() {
        let text = written(RowsFormat::Table, Some(60)).await;
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains('…') && text.ends_with("2 rows\n"), "{text}");
        let whole = written(RowsFormat::Table, None).await;
        assert!(whole.contains("2024-01-02T03:04:05.1234560Z") && !whole.contains('…'), "{whole}");
    }
}
