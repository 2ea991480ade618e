//! The list for a person.

use std::fmt::Write as _;

use super::propose::{DriftedColumn, DriftedTable, Found, Place, Report, State};
use crate::kql::report::plural;
use crate::summary::count;
use crate::terminal::Style;

pub(super) fn render(report: &Report) -> String {
    let style = Style::of_output();
    let mut text = String::new();
    let mut last: Option<&[String]> = None;
    for column in &report.columns {
        if last != Some(&column.tables) {
            let _ = writeln!(text, "{}{}{}", style.bold, column.tables.join(" or "), style.off);
            last = Some(&column.tables);
        }
        column_text(&mut text, column, &style);
    }
    for table in &report.tables {
        table_text(&mut text, table, &style);
    }
    let (columns, tables) = (plural(report.columns.len(), "column"), plural(report.tables.len(), "table"));
    let _ = writeln!(text, "{columns} and {tables} drifted");
    if report.refused > 0 {
        let records = plural(report.refused, "record");
        let _ = writeln!(text, "{records} of the files cannot be decoded; `weir explain` tells why");
    }
    text
}

fn column_text(text: &mut String, column: &DriftedColumn, style: &Style) {
    let Style { dim, warn, value, off, .. } = style;
    let _ = writeln!(text, "  {warn}{}{off}  {}", column.column, found_text(&column.found));
    match (column.state, column.schema_type) {
        (State::Mistyped, Some(ty)) => {
            let _ = writeln!(text, "    the schema has it as {ty}, which these values do not fit");
        }
        (State::KnownByNow, Some(ty)) => {
            let _ =
                writeln!(text, "    the schema has it by now, as {ty}; `weir replay` sends older rows through again");
        }
        _ => {}
    }
    // Mappings of one table often take the same line.
    let mut lines: Vec<(Place, &str, Vec<&str>)> = Vec::new();
    for line in &column.mapping {
        match lines.iter_mut().find(|(place, text, _)| (*place, *text) == (line.place, line.line.as_str())) {
            Some((.., files)) => files.push(&line.file),
            None => lines.push((line.place, &line.line, vec![&line.file])),
        }
    }
    for (place, line, files) in lines {
        let place = match place {
            Place::Extend => "extend",
            Place::AdditionalFields => "AdditionalFields",
        };
        let files = match files.as_slice() {
            [first, .., _] if files.len() > 2 => format!("{} mappings, such as {first}", files.len()),
            files => files.join(", "),
        };
        let _ = writeln!(text, "    mapping  {value}{line}{off}  {dim}{place} in {files}{off}");
    }
    let stream = serde_json::to_string(&column.stream_column).unwrap_or_default();
    let _ = writeln!(text, "    stream   {value}{stream}{off}");
}

fn found_text(found: &Found) -> String {
    let examples: Vec<String> = found.examples.iter().map(|example| example.escape_debug().to_string()).collect();
    let examples = if examples.is_empty() { String::new() } else { format!(", such as {}", examples.join(" | ")) };
    format!("{}{}, {}{examples}", rows_text(found.rows), times_text(&found.first, &found.last), found.ty)
}

fn rows_text(rows: u64) -> String {
    format!("{} {}", count(rows), if rows == 1 { "row" } else { "rows" })
}

fn times_text(first: &Option<String>, last: &Option<String>) -> String {
    match (first, last) {
        (Some(first), Some(last)) if first == last => format!(" at {first}"),
        (Some(first), Some(last)) => format!(" from {first} to {last}"),
        _ => String::new(),
    }
}

fn table_text(text: &mut String, table: &DriftedTable, style: &Style) {
    let Style { bold, warn, value, off, .. } = style;
    let seen = format!("{}{}", rows_text(table.rows), times_text(&table.first, &table.last));
    let _ = writeln!(text, "{bold}{}{off}: {warn}no schema knows this table{off}, {seen}", table.table);
    for column in &table.columns {
        let _ = writeln!(text, "  {}  {}", column.column, found_text(&column.found));
    }
    match (&table.mapping, &table.stream) {
        (Some(mapping), Some(stream)) => {
            let _ = writeln!(text, "  a mapping to start from, {}.yaml:", table.table);
            mapping.lines().for_each(|line| {
                let _ = writeln!(text, "    {value}{line}{off}");
            });
            let _ = writeln!(text, "  its stream:\n    {value}{stream}{off}");
        }
        _ => {
            let _ = writeln!(text, "  these records name no table; give their source a `table:`");
        }
    }
}
