//! `case`, `iff`, `coalesce`, the tests for null and empty, `min_of`, `max_of`.
//!
//! Branches are evaluated on whole columns; the result is gathered by one interleaving pass that shares text buffers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{concat, interleave, take};
use weir_contract::schema::ColumnType;

use super::args::{Args, constant_mask, holds, mask};
use super::prepared::Prepared;
use super::views;
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
    function("isempty", &[Want::Any], BOOL, |args| mask(empty(args, 0), false), "`isempty(a)`: null or the empty text"),
    function(
        "isnotempty",
        &[Want::Any],
        BOOL,
        |args| mask(empty(args, 0), true),
        "`isnotempty(a)`: neither null nor the empty text",
    ),
    function(
        "isnull",
        &[Want::Any],
        BOOL,
        |args| mask(null(args, 0), false),
        "`isnull(a)`: null; false for every string",
    ),
    function(
        "isnotnull",
        &[Want::Any],
        BOOL,
        |args| mask(null(args, 0), true),
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

/// Gathers each row from one of `arguments`, numbered by `choices`.
fn choose(args: &Args<'_>, arguments: &[usize], choices: &[u32]) -> ArrayRef {
    let first = choices.first().copied().unwrap_or(0);
    if let Value::Array(array) = &args.values[arguments[first as usize]]
        && choices.iter().all(|choice| *choice == first)
    {
        return Arc::clone(array);
    }
    let arrays: Vec<ArrayRef> = arguments
        .iter()
        .map(|argument| match &args.values[*argument] {
            Value::Array(array) => Arc::clone(array),
            Value::Scalar(scalar) => scalar.to_array(),
        })
        .collect();
    let constant: Vec<bool> =
        arguments.iter().map(|argument| matches!(args.values[*argument], Value::Scalar(_))).collect();
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    if constant.iter().all(|constant| *constant) {
        let values = concat(&arrays).expect("the binder gave all branches one type");
        let choices = UInt32Array::from(choices.to_vec());
        return take(&values, &choices, None).expect("each branch has one row");
    }
    let indices: Vec<(usize, usize)> = choices
        .iter()
        .enumerate()
        .map(|(row, choice)| (*choice as usize, if constant[*choice as usize] { 0 } else { row }))
        .collect();
    interleave(&arrays, &indices).expect("the binder gave all branches one type")
}

/// Per row, the number of the first condition that holds; else the number of conditions.
fn first_that_holds(rows: usize, conditions: &[BooleanBuffer]) -> Vec<u32> {
    let mut choices = vec![conditions.len() as u32; rows];
    for (number, condition) in conditions.iter().enumerate().rev() {
        for (start, end) in condition.set_slices() {
            choices[start..end].fill(number as u32);
        }
    }
    choices
}

fn case(args: &Args<'_>) -> ArrayRef {
    let branches = args.len() / 2;
    let conditions: Vec<BooleanBuffer> =
        (0..branches).map(|branch| holds(&args.values[2 * branch], args.rows)).collect();
    let values: Vec<usize> = (0..branches).map(|branch| 2 * branch + 1).chain([args.len() - 1]).collect();
    choose(args, &values, &first_that_holds(args.rows, &conditions))
}

fn case_of_text(args: &Args<'_>) -> ArrayRef {
    let Prepared::CaseMap { rows, results } = args.prepared else {
        unreachable!("the binder prepares the map with the call")
    };
    let default = results.len() - 1;
    let value = args.text(0);
    let indices: UInt32Array =
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
    // The last one stands where all are empty.
    let filled: Vec<BooleanBuffer> = (0..args.len() - 1).map(|argument| !&empty(args, argument)).collect();
    choose(args, &all, &first_that_holds(args.rows, &filled))
}

/// Where argument `n` is null or the empty text. An empty array or object is not empty.
fn empty(args: &Args<'_>, n: usize) -> BooleanBuffer {
    match (args.types[n], args.values.get(n)) {
        (ColumnType::String | ColumnType::Guid, Some(Value::Array(array))) => views::empty(array.as_string_view()),
        (ColumnType::String | ColumnType::Guid, _) => constant_mask(args.rows, args.text(n).get(0).is_empty()),
        (ColumnType::Dynamic, _) => {
            let texts = args.text(n);
            BooleanBuffer::collect_bool(args.rows, |row| {
                let text = texts.get(row);
                !text.starts_with(['{', '[']) && json::is_empty(text)
            })
        }
        _ => null(args, n),
    }
}

/// Where argument `n` is null.
fn null(args: &Args<'_>, n: usize) -> BooleanBuffer {
    match (args.types[n], &args.values[n]) {
        (ColumnType::String, _) => constant_mask(args.rows, false),
        (ColumnType::Dynamic, Value::Array(_)) => BooleanBuffer::collect_bool(args.rows, |row| args.is_null(n, row)),
        (_, Value::Array(array)) => match array.nulls() {
            Some(nulls) => !nulls.inner(),
            None => constant_mask(args.rows, false),
        },
        (_, Value::Scalar(scalar)) => constant_mask(args.rows, scalar.is_null()),
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
    let choices: Vec<u32> = (0..args.rows)
        .map(|row| {
            let mut best = 0;
            for candidate in 1..args.len() {
                if args.is_null(candidate, row) {
                    continue;
                }
                if args.is_null(best, row) || better(candidate, best, row) {
                    best = candidate;
                }
            }
            best as u32
        })
        .collect();
    choose(args, &all, &choices)
}
