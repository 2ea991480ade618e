//! A comparison for a person.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Compared, ComparedColumn, Report, WholeRow};
use crate::kql::report::plural;
use crate::summary::{Table, count};
use crate::terminal::{Style, cut_to};

/// Longest value that is shown, in characters.
const SHOWN: usize = 48;
/// The same of a whole row.
const SHOWN_ROW: usize = 240;

pub(super) fn render(report: &Report) -> String {
    let style = Style::of_output();
    let mut text = String::new();
    let mut same = 0;
    for compared in &report.mappings {
        if compared.is_same() && report.mappings.len() > 1 {
            same += 1;
            continue;
        }
        mapping(&mut text, compared, &style);
    }
    if same > 0 {
        let _ = writeln!(text, "{} without a difference", plural(same, "mapping"));
    }
    text
}

fn mapping(text: &mut String, compared: &Compared, style: &Style) {
    let Style { bold, less, more, off, .. } = style;
    let _ = match (&compared.before, &compared.after) {
        (Some(before), Some(after)) => writeln!(text, "{bold}{before} → {after}{off}"),
        (Some(before), None) => writeln!(text, "{bold}{before}{off}: {less}only before{off}"),
        (None, after) => writeln!(text, "{bold}{}{off}: {more}only after{off}", after.as_deref().unwrap_or_default()),
    };
    let (records, before, after) = (compared.records, compared.rows_before, compared.rows_after);
    let _ = writeln!(
        text,
        "{} of {}: {} before, {after} after; {} changed, {} added, {} removed",
        plural(records, "record"),
        compared.samples.join(", "),
        plural(before, "row"),
        compared.rows_changed,
        compared.rows_added,
        compared.rows_removed,
    );
    if !compared.columns.is_empty() && compared.before.is_some() && compared.after.is_some() {
        let mut table = Table::new(&["column", "rows", "first difference"]).texts_from(2);
        for column in &compared.columns {
            let name = match (column.type_before, column.type_after) {
                (None, Some(_)) => format!("+ {}", column.name),
                (Some(_), None) => format!("- {}", column.name),
                _ => format!("  {}", column.name),
            };
            table.row([name, count(column.rows as u64), first_difference(column)]);
        }
        text.push('\n');
        *text += &table.render();
    }
    for (sign, colour, row) in [("+", more, &compared.added_row), ("-", less, &compared.removed_row)] {
        if let Some(WholeRow { record, row }) = row {
            let row = cut_to(&row.to_string(), SHOWN_ROW);
            let _ = writeln!(text, "\nrecord {record}:\n  {colour}{sign} {row}{off}");
        }
    }
    text.push('\n');
}

fn first_difference(column: &ComparedColumn) -> String {
    let types = match (column.type_before, column.type_after) {
        (Some(before), Some(after)) if before != after => Some(format!("{before} → {after}")),
        (None, Some(after)) => Some(format!("new, {after}")),
        (Some(before), None) => Some(format!("gone, {before}")),
        _ => None,
    };
    let example = column.example.as_ref().map(|example| {
        let members: String = example.members.iter().map(|member| format!(".{member}")).collect();
        let space = if members.is_empty() { "" } else { " " };
        let (record, before, after) = (example.record, shown(&example.before), shown(&example.after));
        format!("record {record}: {members}{space}{before} → {after}")
    });
    types.into_iter().chain(example).collect::<Vec<_>>().join("; ")
}

fn shown(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { cut_to(&value.to_string(), SHOWN) }
}
