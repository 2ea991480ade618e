//! `case`, `iff`, `coalesce`, the tests for null and empty, `min_of`, `max_of`.
//!
//! Branches are evaluated on whole columns; the result is gathered by one interleaving pass that shares text buffers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{interleave, take};
use weir_contract::schema::ColumnType;

use super::args::Args;
use super::prepared::Prepared;
use super::{Function, Returns, Want, function};
use crate::json;
use crate::scalar::Value;

const BOOL: Returns = Returns::Ty(ColumnType::Bool);

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "case",
        &[Want::Bool, Want::Any, Want::Any],
        Returns::Special,
        case,
        "`case(condition, value, …, otherwise)`: the value of the first true condition; null counts as false",
    )
    .repeating(1),
    function(
        "case of a text",
        &[Want::Text, Want::Any],
        Returns::Special,
        case_of_text,
        "a `case` whose conditions compare one column with constants: one map lookup",
    )
    .repeating(1),
    function(
        "iff",
        &[Want::Bool, Want::Any, Want::Any],
        Returns::Special,
        case,
        "`iff(condition, then, otherwise)`: null counts as false",
    ),
    function(
        "coalesce",
        &[Want::Any],
        Returns::Special,
        coalesce,
        "`coalesce(a, b, …)`: the first that is neither null nor the empty text",
    )
    .requires(2)
    .repeating(1),
    function(
        "isempty",
        &[Want::Any],
        BOOL,
        |args| args.bools(|row| is_empty(args, 0, row)),
        "`isempty(a)`: null or the empty text",
    ),
    function(
        "isnotempty",
        &[Want::Any],
        BOOL,
        |args| args.bools(|row| !is_empty(args, 0, row)),
        "`isnotempty(a)`: neither null nor the empty text",
    ),
    function(
        "isnull",
        &[Want::Any],
        BOOL,
        |args| args.bools(|row| args.is_null(0, row)),
        "`isnull(a)`: null; false for every string",
    ),
    function(
        "isnotnull",
        &[Want::Any],
        BOOL,
        |args| args.bools(|row| !args.is_null(0, row)),
        "`isnotnull(a)`: not null; true for every string",
    ),
    function(
        "min_of",
        &[Want::Any],
        Returns::Special,
        |args| extreme(args, false),
        "`min_of(a, b, …)`: the least; nulls are left out",
    )
    .requires(2)
    .repeating(1),
    function(
        "max_of",
        &[Want::Any],
        Returns::Special,
        |args| extreme(args, true),
        "`max_of(a, b, …)`: the greatest; nulls are left out",
    )
    .requires(2)
    .repeating(1),
];

/// Gathers row `row` from argument `choices(row)`; `None` is null.
fn choose(args: &Args<'_>, arguments: &[usize], mut choice: impl FnMut(usize) -> usize) -> ArrayRef {
    let arrays: Vec<ArrayRef> = arguments
        .iter()
        .map(|argument| match &args.values[*argument] {
            Value::Array(array) => Arc::clone(array),
            Value::Scalar(scalar) => scalar.to_array(),
        })
        .collect();
    let constant: Vec<bool> =
        arguments.iter().map(|argument| matches!(args.values[*argument], Value::Scalar(_))).collect();
    let indices: Vec<(usize, usize)> = (0..args.rows)
        .map(|row| {
            let choice = choice(row);
            (choice, if constant[choice] { 0 } else { row })
        })
        .collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    interleave(&arrays, &indices).expect("the binder gave all branches one type")
}

fn case(args: &Args<'_>) -> ArrayRef {
    let branches = args.len() / 2;
    let conditions: Vec<_> = (0..branches).map(|branch| args.bool(2 * branch)).collect();
    let values: Vec<usize> = (0..branches).map(|branch| 2 * branch + 1).chain([args.len() - 1]).collect();
    choose(args, &values, |row| {
        conditions.iter().position(|condition| condition.get(row) == Some(true)).unwrap_or(branches)
    })
}

fn case_of_text(args: &Args<'_>) -> ArrayRef {
    let Prepared::CaseMap { rows, results } = args.prepared else {
        unreachable!("the binder prepares the map with the call")
    };
    let default = results.len() - 1;
    let value = args.text(0);
    let indices: arrow::array::UInt32Array =
        (0..args.rows).map(|row| Some(rows.get(value.get(row)).copied().unwrap_or(default) as u32)).collect();
    take(results, &indices, None).expect("the map leads to rows of its results")
}

fn coalesce(args: &Args<'_>) -> ArrayRef {
    let all: Vec<usize> = (0..args.len()).collect();
    if let Value::Array(array) = &args.values[0]
        && array.null_count() == 0
        && args.types[0] != ColumnType::Dynamic
        && (args.types[0] != ColumnType::String || array.as_string_view().lengths().all(|length| length > 0))
    {
        return Arc::clone(array);
    }
    let last = args.len() - 1;
    choose(args, &all, |row| all.iter().copied().find(|argument| !is_empty(args, *argument, row)).unwrap_or(last))
}

/// Null, or the empty text. An empty array or object is not empty.
fn is_empty(args: &Args<'_>, n: usize, row: usize) -> bool {
    match args.types[n] {
        ColumnType::String | ColumnType::Guid => args.text(n).get(row).is_empty(),
        ColumnType::Dynamic => {
            let text = args.text(n).get(row);
            !text.starts_with(['{', '[']) && json::is_empty(text)
        }
        _ => args.is_null(n, row),
    }
}

fn extreme(args: &Args<'_>, greatest: bool) -> ArrayRef {
    let all: Vec<usize> = (0..args.len()).collect();
    let better = |a: usize, b: usize, row: usize| -> bool {
        let ordering = match args.types[0] {
            ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => {
                args.text(a).get(row).cmp(args.text(b).get(row))
            }
            ColumnType::Real => {
                args.real(a).get(row).partial_cmp(&args.real(b).get(row)).unwrap_or(std::cmp::Ordering::Equal)
            }
            ColumnType::Bool => args.bool(a).get(row).cmp(&args.bool(b).get(row)),
            _ => args.long(a).get(row).cmp(&args.long(b).get(row)),
        };
        if greatest { ordering.is_gt() } else { ordering.is_lt() }
    };
    choose(args, &all, |row| {
        let mut best = 0;
        for candidate in 1..args.len() {
            if args.is_null(candidate, row) {
                continue;
            }
            if args.is_null(best, row) || better(candidate, best, row) {
                best = candidate;
            }
        }
        best
    })
}
