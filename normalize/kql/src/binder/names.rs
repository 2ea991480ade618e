//! Names of results that the author did not name, and wildcard patterns.

use std::borrow::Cow;

use weir_contract::schema::ColumnType;

use super::{BoundColumn, Relation};
use crate::diagnostic::Span;
use crate::functions::SERIES_STATS as STATS;
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, Assignment, Expr, ExprKind, Name, Pattern};

/// The name that KQL gives an unnamed expression: a column's own, `a_b` for the path `a.b`, and the argument's for the
/// conversions; `None` for the rest (`Column1`, `print_0`).
pub(super) fn implied(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Member(base, name) => {
            Some(format!("{}_{}", implied(base)?, name.replace(|c: char| !c.is_alphanumeric() && c != '_', "_")))
        }
        ExprKind::Index(base, index) => match &index.kind {
            ExprKind::Literal(Scalar::Long(index)) if *index >= 0 => Some(format!("{}_{index}", implied(base)?)),
            _ => Some(format!("{}_", implied(base)?)),
        },
        ExprKind::Call(name, args) => match (name.text.as_str(), args.as_slice()) {
            (function, [Arg { name: None, value }, ..]) if passes_through(function) => implied(value),
            (function @ ("strlen" | "string_size"), [Arg { name: None, value }]) => {
                Some(format!("{function}_{}", implied(value).unwrap_or_default()))
            }
            ("gettype", [Arg { name: None, value }]) => Some(format!("type_{}", implied(value).unwrap_or_default())),
            ("treepath", [Arg { name: None, value }]) => Some(format!("tree_{}", implied(value)?)),
            ("make_datetime" | "make_timespan", [Arg { name: None, value }]) => implied(value),
            ("ingestion_time", []) => Some("$IngestionTime".to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// Functions whose result is called as their first argument is, by Microsoft's own binder.
#[rustfmt::skip]
const PASSING: &[&str] = &[
    "split", "tostring", "tohex", "todynamic", "toobject", "tolong", "toint", "toreal", "todouble", "todatetime",
    "totimespan", "totime", "tobool", "toboolean", "todecimal", "toguid", "parse_csv", "parsejson", "parse_json",
    "parse_xml", "format_datetime", "format_timespan", "startofday", "bin", "floor", "bin_at", "binary_and",
    "binary_or", "binary_xor", "binary_not", "binary_shift_right", "binary_shift_left", "bitset_count_ones", "round",
    "ceiling", "pow", "sqrt", "log", "log2", "log10", "exp", "exp2", "exp10", "cos", "sin", "tan", "acos", "asin",
    "atan", "atan2", "abs", "rand", "gamma", "loggamma", "format_bytes",
];

/// Whether the result of a function is called as its argument is.
pub(super) fn passes_through(function: &str) -> bool {
    PASSING.contains(&function)
}

/// A value beside its weight, which is 1 unless there is another argument: what `tdigest` gathers.
pub(super) fn weighed(args: &[Arg], span: &Span) -> Arg {
    let unit = Arg { name: None, value: Expr { kind: ExprKind::Literal(Scalar::Long(1)), span: span.clone() } };
    let pair = args.iter().take(2).cloned().chain((args.len() < 2).then_some(unit));
    let name = Name { text: "pack_array".to_owned(), span: span.clone() };
    Arg { name: None, value: Expr { kind: ExprKind::Call(name, pair.collect()), span: span.clone() } }
}

/// The columns that a call gives when it stands alone and nobody names just one: the default name and the value of each.
/// `array_sort_asc(a, b)` gives every array sorted, `series_stats(a)` seven numbers.
pub(super) fn several(expr: &Expr) -> Option<Vec<(String, Expr)>> {
    let ExprKind::Call(function, args) = &expr.kind else { return None };
    let at = |kind: ExprKind| Expr { kind, span: expr.span.clone() };
    let element = |call: Expr, number: usize| {
        let number = at(ExprKind::Literal(Scalar::Long(number as i64)));
        at(ExprKind::Index(Box::new(call), Box::new(number)))
    };
    match function.text.as_str() {
        "array_sort_asc" | "array_sort_desc" => {
            let arrays = args.iter().filter(|arg| !matches!(arg.value.kind, ExprKind::Literal(Scalar::Bool(_))));
            let arrays: Vec<&Arg> = arrays.collect();
            if arrays.len() < 2 {
                return None;
            }
            let column = |(number, arg): (usize, &&Arg)| {
                let name = implied(&arg.value).unwrap_or_else(|| format!("array{number}"));
                (format!("{name}_sorted"), element(expr.clone(), number))
            };
            Some(arrays.iter().enumerate().map(column).collect())
        }
        "series_stats" => {
            let subject = args.first().and_then(|arg| implied(&arg.value)).unwrap_or_default();
            let bag = Name { text: "series_stats_dynamic".to_owned(), ..function.clone() };
            let bag = at(ExprKind::Call(bag, args.clone()));
            let column = |(name, whole): &(&str, bool)| {
                let value = at(ExprKind::Member(Box::new(bag.clone()), (*name).to_owned()));
                let convert = Name { text: if *whole { "tolong" } else { "toreal" }.to_owned(), ..function.clone() };
                let value = at(ExprKind::Call(convert, vec![Arg { name: None, value }]));
                (format!("series_stats_{subject}_{name}"), value)
            };
            Some(STATS.iter().map(column).collect())
        }
        _ => None,
    }
}

/// Assignments with each call that gives several columns taken apart. With `print`, a single name takes the first alone.
pub(super) fn taken_apart(assignments: &[Assignment], print: bool) -> Cow<'_, [Assignment]> {
    let apart = |assignment: &Assignment| -> Option<Vec<Assignment>> {
        if print && assignment.name.is_some() && assignment.more.is_empty() {
            return None;
        }
        let columns = several(&assignment.value)?;
        let mut written = assignment.name.iter().chain(&assignment.more).cloned();
        let all = columns.into_iter().map(|(name, value)| {
            let own = Name { text: name, span: value.span.clone() };
            Assignment { name: Some(written.next().unwrap_or(own)), more: Vec::new(), value }
        });
        Some(all.collect())
    };
    if assignments.iter().all(|assignment| apart(assignment).is_none()) {
        return Cow::Borrowed(assignments);
    }
    Cow::Owned(assignments.iter().flat_map(|one| apart(one).unwrap_or_else(|| vec![one.clone()])).collect())
}

/// The type of a column that every table of a workspace has
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/log-standard-columns>).
pub(super) fn standard_column(name: &str) -> Option<ColumnType> {
    Some(match name {
        "TimeGenerated" | "_TimeReceived" => ColumnType::Datetime,
        "_BilledSize" => ColumnType::Real,
        "Type"
        | "TenantId"
        | "SourceSystem"
        | "MG"
        | "ManagementGroupName"
        | "Computer"
        | "_ItemId"
        | "_ResourceId"
        | "_SubscriptionId"
        | "_IsBillable" => ColumnType::String,
        _ => return None,
    })
}

/// `name`, or `name1`, `name2`… if it is taken.
pub(super) fn unique(name: &str, columns: &[BoundColumn]) -> String {
    let taken = |candidate: &str| columns.iter().any(|column| &*column.name == candidate);
    if !taken(name) {
        return name.to_owned();
    }
    (1..).map(|number| format!("{name}{number}")).find(|candidate| !taken(candidate)).unwrap_or_default()
}

/// The first of `Column1`, `Column2`… that neither the operator's input nor its result has.
pub(super) fn unnamed(input: &[BoundColumn], columns: &[BoundColumn]) -> String {
    (1..)
        .map(|number| format!("Column{number}"))
        .find(|candidate| !input.iter().chain(columns).any(|column| *column.name == **candidate))
        .unwrap_or_default()
}

/// Whether `name` fits a pattern whose stars stand for any text.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(position) => rest = &rest[position + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The places of the columns that a pattern names, in the table's order.
pub(super) fn matching(pattern: &Pattern, relation: &Relation) -> Vec<usize> {
    (0..relation.columns.len())
        .filter(|place| {
            let name = &*relation.columns[*place].name;
            if pattern.wildcard { fits(&pattern.text, name) } else { pattern.text == name }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, holds) in [
            ("*", "anything", true),
            ("Src*", "SrcIp", true),
            ("*Id", "DeviceId", true),
            ("A*B*C", "AxBxC", true),
            ("A*B*C", "AxC", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, name), holds, "{pattern} {name}");
        }
    }
}
