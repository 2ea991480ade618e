//! Numbers: rounding, powers, logarithms, tests.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Bool, Datetime, Long, Real, Timespan};

use super::args::Args;
use super::{Function, Returns, Want, function};

const R1: &[Want] = &[Want::Real];
const R2: &[Want] = &[Want::Real, Want::Real];
const REAL: Returns = Returns::Ty(Real);

macro_rules! real_function {
    ($name:literal, $operation:expr, $doc:literal) => {
        function(
            $name,
            R1,
            REAL,
            |args| {
                let a = args.real(0);
                let operation: fn(f64) -> f64 = $operation;
                args.reals(|row| a.get(row).map(operation))
            },
            $doc,
        )
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "bin",
        &[Want::Any, Want::Any],
        Returns::Special,
        bin,
        "`bin(value, size)`: rounded down to a multiple of the size; keeps the value's type",
    ),
    function(
        "bin_at",
        &[Want::Any, Want::Any, Want::Any],
        Returns::Special,
        bin_at,
        "`bin_at(value, size, fixed point)`: as bin, counted from the fixed point",
    ),
    function(
        "abs",
        &[Want::Any],
        Returns::Arg(0),
        |args| match args.types[0] {
            Real => {
                let a = args.real(0);
                args.reals(|row| a.get(row).map(f64::abs))
            }
            Timespan => {
                let a = args.long(0);
                args.timespans(|row| a.get(row).map(i64::wrapping_abs))
            }
            Long => {
                let a = args.long(0);
                args.longs(|row| a.get(row).map(i64::wrapping_abs))
            }
            _ => args.values[0].materialise(args.rows),
        },
        "`abs(number or span)`",
    ),
    function(
        "sign",
        R1,
        REAL,
        |args| {
            let a = args.real(0);
            args.reals(|row| {
                let value = a.get(row).unwrap_or(0.0);
                Some(if value == 0.0 || value.is_nan() { 0.0 } else { value.signum() })
            })
        },
        "`sign(number)`: -1, 0 or 1; 0 for null",
    ),
    function("round", &[Want::Real, Want::Long], REAL, round, "`round(number[, digits])`: halves to even")
        .requires(1)
        .constant_at(&[1]),
    real_function!("ceiling", f64::ceil, "`ceiling(number)`: the next whole number above"),
    real_function!("sqrt", f64::sqrt, "`sqrt(number)`"),
    real_function!("exp", f64::exp, "`exp(number)`: e to the power"),
    real_function!("exp2", f64::exp2, "`exp2(number)`"),
    real_function!("exp10", |value| 10f64.powf(value), "`exp10(number)`"),
    real_function!("log", f64::ln, "`log(number)`: natural logarithm"),
    real_function!("log2", f64::log2, "`log2(number)`"),
    real_function!("log10", f64::log10, "`log10(number)`"),
    real_function!("sin", f64::sin, "`sin(radians)`"),
    real_function!("cos", f64::cos, "`cos(radians)`"),
    real_function!("tan", f64::tan, "`tan(radians)`"),
    function("asin", R1, REAL, |args| of_unit(args, f64::asin), "`asin(number)`: null outside of -1 to 1"),
    function("acos", R1, REAL, |args| of_unit(args, f64::acos), "`acos(number)`: null outside of -1 to 1"),
    real_function!("atan", f64::atan, "`atan(number)`"),
    real_function!("cot", |value| 1.0 / value.tan(), "`cot(radians)`"),
    real_function!("degrees", f64::to_degrees, "`degrees(radians)`"),
    real_function!("radians", f64::to_radians, "`radians(degrees)`"),
    function(
        "pow",
        R2,
        REAL,
        |args| {
            let (a, b) = (args.real(0), args.real(1));
            args.reals(|row| Some(a.get(row)?.powf(b.get(row)?)))
        },
        "`pow(base, exponent)`",
    ),
    function(
        "atan2",
        R2,
        REAL,
        |args| {
            let (a, b) = (args.real(0), args.real(1));
            args.reals(|row| Some(a.get(row)?.atan2(b.get(row)?)))
        },
        "`atan2(y, x)`",
    ),
    function("pi", &[], REAL, |args| args.reals(|_| Some(std::f64::consts::PI)), "`pi()`"),
    function(
        "isnan",
        R1,
        Returns::Ty(Bool),
        |args| {
            let a = args.real(0);
            args.bools(|row| a.get(row).is_some_and(f64::is_nan))
        },
        "`isnan(number)`",
    ),
    function(
        "isinf",
        R1,
        Returns::Ty(Bool),
        |args| {
            let a = args.real(0);
            args.bools(|row| a.get(row).is_some_and(f64::is_infinite))
        },
        "`isinf(number)`",
    ),
    function(
        "isfinite",
        R1,
        Returns::Ty(Bool),
        |args| {
            let a = args.real(0);
            args.bools(|row| a.get(row).is_some_and(f64::is_finite))
        },
        "`isfinite(number)`",
    ),
];

/// Where the bins of datetimes begin: the start of year 1, microseconds since 1970.
pub(crate) const YEAR_ONE_US: i64 = -62_135_596_800_000_000;

fn bin(args: &Args<'_>) -> ArrayRef {
    if args.types[0] == Real {
        let (a, size) = (args.real(0), args.real(1));
        return args.reals(|row| {
            let (value, size) = (a.get(row)?, size.get(row)?);
            // A size of zero gives NaN, as the division does.
            (size >= 0.0 || size.is_nan()).then(|| (value / size).floor() * size)
        });
    }
    let (a, size) = (args.long(0), args.long(1));
    // Kusto counts bins of datetimes from the year 1.
    let origin = if args.types[0] == Datetime { YEAR_ONE_US } else { 0 };
    whole(args, |row| floor_to(a.get(row)?, size.get(row)?, origin))
}

fn bin_at(args: &Args<'_>) -> ArrayRef {
    if args.types[0] == Real {
        let (a, size, fixed) = (args.real(0), args.real(1), args.real(2));
        return args.reals(|row| {
            let (value, size, fixed) = (a.get(row)?, size.get(row)?, fixed.get(row)?);
            (size >= 0.0 || size.is_nan()).then(|| ((value - fixed) / size).floor() * size + fixed)
        });
    }
    let (a, size, fixed) = (args.long(0), args.long(1), args.long(2));
    whole(args, |row| floor_to(a.get(row)?, size.get(row)?, fixed.get(row)?))
}

fn whole(args: &Args<'_>, row: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
    match args.types[0] {
        Datetime => args.datetimes(row),
        Timespan => args.timespans(row),
        _ => args.longs(row),
    }
}

fn floor_to(value: i64, size: i64, origin: i64) -> Option<i64> {
    if size <= 0 {
        return None;
    }
    value.checked_sub(origin.checked_add(value.checked_sub(origin)?.rem_euclid(size))?).map(|count| count + origin)
}

fn of_unit(args: &Args<'_>, function: fn(f64) -> f64) -> ArrayRef {
    let a = args.real(0);
    args.reals(|row| a.get(row).filter(|value| value.is_nan() || value.abs() <= 1.0).map(function))
}

fn round(args: &Args<'_>) -> ArrayRef {
    let (a, digits) = (args.real(0), args.long_or(1, 0));
    args.reals(|row| {
        let scale = 10f64.powi(i32::try_from(digits.get(row)?).ok()?.clamp(-300, 300));
        let rounded = (a.get(row)? * scale).round_ties_even() / scale;
        if rounded.is_finite() { Some(rounded) } else { a.get(row) }
    })
}
