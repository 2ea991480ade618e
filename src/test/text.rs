//! Test results for a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::{Difference, Outcome, Report, Tested};
use crate::kql::report::plural;
use crate::terminal::Style;

pub(super) fn render(report: &Report) -> String {
    let style = Style::of_output();
    let mut text = String::new();
    for tested in &report.mappings {
        mapping(&mut text, tested, &style);
    }
    text += &summary(report);
    text
}

fn mapping(text: &mut String, tested: &Tested, style: &Style) {
    let Style { warn, less, more, off, .. } = style;
    let Tested { mapping, samples, expected, .. } = tested;
    let made = format!("{} from {}", plural(tested.rows, "row"), plural(tested.records, "record"));
    let _ = match tested.outcome {
        Outcome::Ok => writeln!(text, "{mapping}: {more}ok{off}, {made}"),
        Outcome::Unchanged => writeln!(text, "{mapping}: {made}, {expected} has them already"),
        Outcome::Written => writeln!(text, "{mapping}: {made}, {warn}written{off} to {expected}"),
        Outcome::Untested => {
            writeln!(text, "{mapping}: {warn}no samples{off}; write raw records, one JSON object a line, to {samples}")
        }
        Outcome::Failed => {
            let message = tested.message.as_deref().unwrap_or_default();
            let made = if tested.records > 0 { format!(" ({made})") } else { String::new() };
            writeln!(text, "{mapping}: {less}failed{off}\n{message}{made}\n")
        }
        Outcome::Differs => {
            let count = plural(tested.differences.len(), "row");
            let verb = if tested.differences.len() == 1 { "differs" } else { "differ" };
            let _ = writeln!(text, "{mapping}: {less}{count} {verb}{off} from {expected} ({made})");
            tested.differences.iter().for_each(|found| difference(text, found, tested, style));
            writeln!(text)
        }
    };
}

fn difference(text: &mut String, found: &Difference, tested: &Tested, style: &Style) {
    let Style { bold, less, more, off, .. } = style;
    let record = found.record.map(|record| format!("record {record} of {}", tested.samples)).unwrap_or_default();
    let whole = found.whole.as_ref().map(Value::to_string).unwrap_or_default();
    match (found.expected_row, found.row) {
        (Some(row), None) => {
            let _ = writeln!(text, "  {bold}expected row {row} is missing{off}\n    {less}- {whole}{off}");
        }
        (None, _) => {
            let _ =
                writeln!(text, "  {bold}a row that is not expected{off}, made of {record}\n    {more}+ {whole}{off}");
        }
        (Some(row), Some(_)) => {
            let _ = writeln!(text, "  {bold}row {row}{off}, made of {record}");
            for value in &found.values {
                let _ = writeln!(
                    text,
                    "    {}\n      {less}expected  {}{off}\n      {more}found     {}{off}",
                    value.column,
                    shown(&value.expected),
                    shown(&value.found)
                );
            }
        }
    }
}

/// A value as JSON; null, which rows leave out, is nothing.
fn shown(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { value.to_string() }
}

/// `3 mappings: 2 ok, 1 differs`; names only what there is.
fn summary(report: &Report) -> String {
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    for tested in &report.mappings {
        *counts.entry(tested.outcome).or_default() += 1;
    }
    let counts = counts.into_iter().map(|(outcome, count)| {
        let what = match outcome {
            Outcome::Ok => "ok",
            Outcome::Unchanged => "unchanged",
            Outcome::Written => "written",
            Outcome::Differs if count == 1 => "differs",
            Outcome::Differs => "differ",
            Outcome::Failed => "failed",
            Outcome::Untested => "without samples",
        };
        format!("{count} {what}")
    });
    format!("{}: {}\n", plural(report.mappings.len(), "mapping"), counts.collect::<Vec<_>>().join(", "))
}
