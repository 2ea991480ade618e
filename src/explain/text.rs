//! An explanation for a person.

use std::fmt::Write as _;

use serde_json::Value;

use super::{BAG, Explanation, Mapped, Outcome, OutputColumn, Record, Row};
use crate::summary::count;
use crate::terminal::{Style, cut_to};

/// Longest value and longest assignment that are shown, in characters.
const SHOWN: usize = 72;

pub(super) fn render(explanation: &Explanation, all: bool) -> String {
    let style = Style::of_output();
    let mut text = String::new();
    for (number, record) in explanation.records.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        record_text(&mut text, record, number + 1, all, &style);
    }
    if explanation.not_shown > 0 {
        let _ = writeln!(text, "\n{} more records; `--limit` shows more", explanation.not_shown);
    }
    text
}

fn record_text(text: &mut String, record: &Record, number: usize, all: bool, style: &Style) {
    let Style { bold, warn, off, .. } = style;
    let table = record.table.as_deref().unwrap_or("unknown table");
    let _ = writeln!(text, "{bold}record {number}: {table}{off}, {} columns with a value", record.raw.len());
    match record.outcome {
        Outcome::Mapped => {}
        Outcome::PassedThrough if record.mappings.is_empty() => {
            let _ = writeln!(text, "  {warn}no mapping reads this table{off}: the record stays in `{table}`");
        }
        Outcome::PassedThrough => {
            let _ = writeln!(text, "  {warn}no mapping makes a row of it{off}: the record stays in `{table}`");
        }
        Outcome::DeadLetter => {
            let reason = record.reason.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  {warn}refused, kept as a dead letter{off}: {reason}");
        }
    }
    for mapping in &record.mappings {
        mapping_text(text, mapping, all, style);
    }
}

fn mapping_text(text: &mut String, mapped: &Mapped, all: bool, style: &Style) {
    let Style { bold, dim, off, .. } = style;
    if !mapped.claims {
        let filter = mapped.filter.as_deref().unwrap_or_default();
        let filter = filter.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "  {dim}{} does not claim it: {}{off}", mapped.mapping, cut(&filter));
        return;
    }
    let _ = writeln!(text, "  {bold}{} → {}{off}  {dim}({}){off}", mapped.mapping, mapped.target, mapped.file);
    if mapped.rows.is_empty() {
        let _ = writeln!(text, "    its query leaves no row");
    }
    for row in &mapped.rows {
        row_text(text, row, all, style);
    }
    for dropped in &mapped.dropped {
        let Style { warn, off, .. } = style;
        let (column, value) = (&dropped.column, cut(&plain(&dropped.value)));
        let _ = writeln!(text, "    {warn}dropped{off} {column} = {value}: {}", dropped.why);
    }
}

fn row_text(text: &mut String, row: &Row, all: bool, style: &Style) {
    let Style { dim, value: value_style, off, .. } = style;
    let shown = || row.columns.iter().filter(|column| all || !column.value.is_null());
    let width = shown().map(|column| column.name.chars().count()).max().unwrap_or(0);
    for column in shown() {
        let value = if column.value.is_null() { "(empty)".to_owned() } else { cut(&plain(&column.value)) };
        let _ = writeln!(text, "    {:<width$}  {value_style}{value}{off}  {dim}{}{off}", column.name, origin(column));
    }
    let empty = row.columns.iter().filter(|column| column.value.is_null()).count();
    if empty > 0 && !all {
        let _ = writeln!(text, "    {dim}and {empty} columns without a value; `--all` shows them{off}");
    }
    if !row.packed.is_empty() {
        let _ = writeln!(text, "    packed in {BAG}:");
        for member in &row.packed {
            let _ = writeln!(text, "      {} = {value_style}{}{off}", member.key, cut(&plain(&member.value)));
        }
    }
    let prices = row.price_of_a_million.iter().map(|(tier, price)| format!("{price:.2} on {tier}"));
    let prices = prices.collect::<Vec<_>>().join(", ");
    let (bytes, currency) = (count(row.billed_bytes), &row.currency);
    let _ = writeln!(text, "    billed: {bytes} bytes; a million such rows cost {currency} {prices}");
}

/// Where a value comes from: the line, what it is computed from, and the values there.
fn origin(column: &OutputColumn) -> String {
    let line = column.line.map_or_else(|| "as it is".to_owned(), |line| format!("line {line}"));
    let filled = column.sources.iter().filter(|source| !source.value.is_null());
    let sources: Vec<String> = if column.name == BAG {
        Vec::new()
    } else {
        filled.map(|source| format!("{} = {}", source.name, cut_to(&plain(&source.value), SHOWN / 2))).collect()
    };
    match (sources.is_empty(), column.sources.is_empty()) {
        (false, _) => format!("{line} ← {}", sources.join(", ")),
        (true, true) => format!("{line}, constant"),
        (true, false) => line,
    }
}

/// A value as text on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    cut_to(text, SHOWN)
}
