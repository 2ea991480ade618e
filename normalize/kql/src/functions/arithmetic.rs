//! `+ - * / %`, `and`, `or`, `not` and the sign.
//!
//! Integers wrap instead of failing, division by zero is null, `%` is never negative. Times and spans are counted in
//! microseconds. The binder has already brought both sides to one of the type pairs that [`result_type`] knows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::{and_kleene, not, or_kleene};
use arrow::error::ArrowError;
use weir_contract::schema::ColumnType::{self, Bool, Datetime, Dynamic, Long, Real, Timespan};

use super::args::{Args, Bools};
use super::{Function, Returns, Want, function};
use crate::text;

const TWO: &[Want] = &[Want::Any, Want::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    function("+", TWO, Returns::Special, add, "`a + b`: sum of numbers, time and span"),
    function("-", TWO, Returns::Special, subtract, "`a - b`: difference; of two datetimes, a timespan"),
    function("*", TWO, Returns::Special, multiply, "`a * b`: product; a number times a timespan is a timespan"),
    function("/", TWO, Returns::Special, divide, "`a / b`: integers truncate toward zero; by zero it is null"),
    function("%", TWO, Returns::Special, modulo, "`a % b`: remainder, never negative"),
    function(
        "and",
        &[Want::Bool; 2],
        Returns::Ty(Bool),
        |args| {
            logical(args, and_kleene, |a, b| match (a, b) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            })
        },
        "`a and b`: false wins over null",
    ),
    function(
        "or",
        &[Want::Bool; 2],
        Returns::Ty(Bool),
        |args| {
            logical(args, or_kleene, |a, b| match (a, b) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            })
        },
        "`a or b`: true wins over null",
    ),
    function(
        "not",
        &[Want::Bool],
        Returns::Ty(Bool),
        |args| match args.bool(0) {
            Bools::Many(array) => Arc::new(not(array).expect("a mask has its opposite")),
            a @ Bools::One(_) => args.opt_bools(|row| Some(!a.get(row)?)),
        },
        "`not(a)`: null stays null",
    ),
];

/// Two masks by Arrow's kernel; where one side is constant, row by row.
fn logical(
    args: &Args<'_>,
    masks: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>,
    row: fn(Option<bool>, Option<bool>) -> Option<bool>,
) -> ArrayRef {
    match (args.bool(0), args.bool(1)) {
        (Bools::Many(a), Bools::Many(b)) => Arc::new(masks(a, b).expect("both sides have the call's rows")),
        (a, b) => args.opt_bools(|index| row(a.get(index), b.get(index))),
    }
}

/// The type of `left op right`, and the types to which the sides are converted first. `None`: the operator does not
/// take these types. Ints and bools count as longs. Two dynamics give a dynamic, of their numbers.
pub(crate) fn result_type(
    op: &str,
    left: ColumnType,
    right: ColumnType,
) -> Option<(ColumnType, ColumnType, ColumnType)> {
    let whole = |ty| match ty {
        ColumnType::Int | Bool => Long,
        ty => ty,
    };
    let (left, right) = (whole(left), whole(right));
    Some(match (op, left, right) {
        (_, Dynamic, Dynamic) => (Dynamic, Dynamic, Dynamic),
        // A dynamic beside a datetime: a datetime to subtract, a timespan to add.
        ("+", Datetime, Dynamic) => (Datetime, Datetime, Timespan),
        ("+", Dynamic, Datetime) => (Datetime, Timespan, Datetime),
        (_, other, Dynamic) | (_, Dynamic, other) => return result_type(op, other, other),
        (_, Long, Long) => (Long, Long, Long),
        ("+" | "-" | "*" | "/" | "%", Long | Real, Long | Real) => (Real, Real, Real),
        ("+" | "-" | "%", Timespan, Timespan) => (Timespan, Timespan, Timespan),
        ("/", Timespan, Timespan) => (Real, Timespan, Timespan),
        ("*", Timespan, Long | Real) => (Timespan, Timespan, Real),
        ("*", Long | Real, Timespan) => (Timespan, Real, Timespan),
        ("/", Timespan, Long | Real) => (Timespan, Timespan, Real),
        ("+" | "-", Datetime, Timespan) => (Datetime, Datetime, Timespan),
        ("+", Timespan, Datetime) => (Datetime, Timespan, Datetime),
        ("-", Datetime, Datetime) => (Timespan, Datetime, Datetime),
        _ => return None,
    })
}

fn output(args: &Args<'_>, op: &str, row: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
    match result_type(op, args.types[0], args.types[1]).map(|(ty, _, _)| ty) {
        Some(Datetime) => args.datetimes(row),
        Some(Timespan) => args.timespans(row),
        _ => args.longs(row),
    }
}

/// Of two dynamic numbers: whole if both are, and real otherwise; of anything else, null.
fn dynamics(args: &Args<'_>, whole: fn(i64, i64) -> Option<i64>, real: fn(f64, f64) -> f64) -> ArrayRef {
    let (a, b) = (args.text(0), args.text(1));
    args.opt_texts(|row, out| {
        let (a, b) = (a.get(row).trim_ascii(), b.get(row).trim_ascii());
        match (a.parse(), b.parse(), a.parse(), b.parse()) {
            (Ok(a), Ok(b), ..) => whole(a, b).map(|value| out.push_str(&value.to_string())).is_some(),
            (_, _, Ok(a), Ok(b)) => {
                text::write_real_json(real(a, b), out);
                true
            }
            _ => false,
        }
    })
}

fn add(args: &Args<'_>) -> ArrayRef {
    if args.types[0] == Dynamic {
        return dynamics(args, |a, b| Some(a.wrapping_add(b)), |a, b| a + b);
    }
    if args.types[0] == Real {
        let (a, b) = (args.real(0), args.real(1));
        return args.reals(|row| Some(a.get(row)? + b.get(row)?));
    }
    let (a, b) = (args.long(0), args.long(1));
    if args.types[0] == Long {
        return args.longs(|row| Some(a.get(row)?.wrapping_add(b.get(row)?)));
    }
    output(args, "+", |row| a.get(row)?.checked_add(b.get(row)?))
}

fn subtract(args: &Args<'_>) -> ArrayRef {
    if args.types[0] == Dynamic {
        return dynamics(args, |a, b| Some(a.wrapping_sub(b)), |a, b| a - b);
    }
    if args.types[0] == Real {
        let (a, b) = (args.real(0), args.real(1));
        return args.reals(|row| Some(a.get(row)? - b.get(row)?));
    }
    let (a, b) = (args.long(0), args.long(1));
    if args.types[0] == Long {
        return args.longs(|row| Some(a.get(row)?.wrapping_sub(b.get(row)?)));
    }
    output(args, "-", |row| a.get(row)?.checked_sub(b.get(row)?))
}

fn multiply(args: &Args<'_>) -> ArrayRef {
    match (args.types[0], args.types[1]) {
        (Real, Real) => {
            let (a, b) = (args.real(0), args.real(1));
            args.reals(|row| Some(a.get(row)? * b.get(row)?))
        }
        (Dynamic, Dynamic) => dynamics(args, |a, b| Some(a.wrapping_mul(b)), |a, b| a * b),
        (Timespan, Real) => {
            let (a, b) = (args.long(0), args.real(1));
            args.timespans(|row| whole_micros(a.get(row)? as f64 * b.get(row)?))
        }
        (Real, Timespan) => {
            let (a, b) = (args.real(0), args.long(1));
            args.timespans(|row| whole_micros(a.get(row)? * b.get(row)? as f64))
        }
        _ => {
            let (a, b) = (args.long(0), args.long(1));
            args.longs(|row| Some(a.get(row)?.wrapping_mul(b.get(row)?)))
        }
    }
}

fn divide(args: &Args<'_>) -> ArrayRef {
    match (args.types[0], args.types[1]) {
        (Real, _) => {
            let (a, b) = (args.real(0), args.real(1));
            args.reals(|row| Some(a.get(row)? / b.get(row)?))
        }
        (Dynamic, _) => dynamics(args, |a, b| (b != 0).then(|| a.wrapping_div(b)), |a, b| a / b),
        (Timespan, Timespan) => {
            let (a, b) = (args.long(0), args.long(1));
            args.reals(|row| Some(a.get(row)? as f64 / b.get(row)? as f64))
        }
        (Timespan, _) => {
            let (a, b) = (args.long(0), args.real(1));
            args.timespans(|row| whole_micros(a.get(row)? as f64 / b.get(row)?))
        }
        _ => {
            let (a, b) = (args.long(0), args.long(1));
            args.longs(|row| {
                let (a, b) = (a.get(row)?, b.get(row)?);
                (b != 0).then(|| a.wrapping_div(b))
            })
        }
    }
}

fn modulo(args: &Args<'_>) -> ArrayRef {
    if args.types[0] == Dynamic {
        return dynamics(args, |a, b| (b != 0).then(|| a.wrapping_rem_euclid(b)), f64::rem_euclid);
    }
    if args.types[0] == Real {
        let (a, b) = (args.real(0), args.real(1));
        return args.reals(|row| Some(a.get(row)?.rem_euclid(b.get(row)?)));
    }
    let (a, b) = (args.long(0), args.long(1));
    output(args, "%", |row| {
        let (a, b) = (a.get(row)?, b.get(row)?);
        (b != 0).then(|| a.wrapping_rem_euclid(b))
    })
}

fn whole_micros(micros: f64) -> Option<i64> {
    (micros.abs() < 9.2e18).then_some(micros as i64)
}
