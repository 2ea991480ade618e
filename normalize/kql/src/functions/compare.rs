//! `==`, `!=`, `<`… and membership. Equality is two-valued: a null on one side is unequal; two nulls give null.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Scalar as ArrowScalar};
use arrow::compute::kernels::cmp;
use weir_contract::schema::ColumnType;

use super::args::Args;
use super::prepared::Prepared;
use super::{Function, Returns, Want, function};
use crate::scalar::{Scalar, Value};

const BOOL: Returns = Returns::Ty(ColumnType::Bool);
const TWO: &[Want] = &[Want::Any, Want::Any];

pub(super) const FUNCTIONS: &[Function] = &[
    function("==", TWO, BOOL, |args| equality(args, false), "`a == b`: equal; text with regard to case"),
    function("!=", TWO, BOOL, |args| equality(args, true), "`a != b`: not equal; true if one side alone is null"),
    function(
        "=~",
        &[Want::Text; 2],
        BOOL,
        |args| equals_ignoring_case(args, false),
        "`a =~ b`: equal texts, ignoring case",
    ),
    function(
        "!~",
        &[Want::Text; 2],
        BOOL,
        |args| equals_ignoring_case(args, true),
        "`a !~ b`: unequal texts, ignoring case",
    ),
    function("<", TWO, BOOL, |args| ordering(args, Ordering::is_lt), "`a < b`: null if a side is null"),
    function("<=", TWO, BOOL, |args| ordering(args, Ordering::is_le), "`a <= b`: null if a side is null"),
    function(">", TWO, BOOL, |args| ordering(args, Ordering::is_gt), "`a > b`: null if a side is null"),
    function(">=", TWO, BOOL, |args| ordering(args, Ordering::is_ge), "`a >= b`: null if a side is null"),
    function("in", TWO, BOOL, |args| membership(args, false, false), "`a in (b, c)`: equal to one of them")
        .repeating(1)
        .prepared(set),
    function("!in", TWO, BOOL, |args| membership(args, false, true), "`a !in (b, c)`: equal to none of them")
        .repeating(1)
        .prepared(set),
    function(
        "in~",
        TWO,
        BOOL,
        |args| membership(args, true, false),
        "`a in~ (b, c)`: equal to one of them, ignoring case",
    )
    .repeating(1)
    .prepared(lower_set),
    function(
        "!in~",
        TWO,
        BOOL,
        |args| membership(args, true, true),
        "`a !in~ (b, c)`: equal to none of them, ignoring case",
    )
    .repeating(1)
    .prepared(lower_set),
];

fn is_text(ty: ColumnType) -> bool {
    matches!(ty, ColumnType::String | ColumnType::Guid | ColumnType::Dynamic)
}

fn equality(args: &Args<'_>, negated: bool) -> ArrayRef {
    let two_valued = |a_null: bool, b_null: bool, equal: bool| match (a_null, b_null) {
        (true, true) => None,
        (true, false) | (false, true) => Some(negated),
        _ => Some(equal != negated),
    };
    match args.types[0] {
        ColumnType::String => {
            if let (Value::Array(array), Value::Scalar(Scalar::String(text))) = (&args.values[0], &args.values[1]) {
                return equals_constant(array, text, negated);
            }
            let (a, b) = (args.text(0), args.text(1));
            args.bools(|row| (a.get(row) == b.get(row)) != negated)
        }
        ty if is_text(ty) => {
            let (a, b) = (args.text(0), args.text(1));
            args.opt_bools(|row| {
                let (a, b) = (a.opt(row), b.opt(row));
                let equal = ty == ColumnType::Guid && a.unwrap_or("").eq_ignore_ascii_case(b.unwrap_or("")) || a == b;
                two_valued(a.is_none(), b.is_none(), equal)
            })
        }
        ColumnType::Bool => {
            let (a, b) = (args.bool(0), args.bool(1));
            args.opt_bools(|row| {
                let (a, b) = (a.get(row), b.get(row));
                two_valued(a.is_none(), b.is_none(), a == b)
            })
        }
        ColumnType::Real => {
            let (a, b) = (args.real(0), args.real(1));
            args.opt_bools(|row| {
                let (a, b) = (a.get(row), b.get(row));
                two_valued(a.is_none(), b.is_none(), a == b)
            })
        }
        _ => {
            let (a, b) = (args.long(0), args.long(1));
            args.opt_bools(|row| {
                let (a, b) = (a.get(row), b.get(row));
                two_valued(a.is_none(), b.is_none(), a == b)
            })
        }
    }
}

/// A text column against one text: Arrow compares lengths and prefixes of whole views.
fn equals_constant(array: &ArrayRef, text: &str, negated: bool) -> ArrayRef {
    let constant = ArrowScalar::new(Scalar::String(text.into()).to_array());
    let compared = if negated { cmp::neq(&array, &constant) } else { cmp::eq(&array, &constant) };
    let compared = compared.expect("both sides are Utf8View");
    match compared.nulls() {
        None => Arc::new(compared),
        // A null text is the empty text.
        Some(nulls) => {
            let at_null = text.is_empty() != negated;
            let values = compared.values();
            let filled = if at_null { values | &!nulls.inner() } else { values & nulls.inner() };
            Arc::new(BooleanArray::new(filled, None))
        }
    }
}

fn equals_ignoring_case(args: &Args<'_>, negated: bool) -> ArrayRef {
    let (a, b) = (args.text(0), args.text(1));
    args.bools(|row| same_ignoring_case(a.get(row), b.get(row)) != negated)
}

/// Equality by Unicode lower case; ASCII takes the short way.
pub(super) fn same_ignoring_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

fn ordering(args: &Args<'_>, holds: fn(Ordering) -> bool) -> ArrayRef {
    match args.types[0] {
        ColumnType::String => {
            let (a, b) = (args.text(0), args.text(1));
            args.bools(|row| holds(a.get(row).cmp(b.get(row))))
        }
        ty if is_text(ty) => {
            let (a, b) = (args.text(0), args.text(1));
            args.opt_bools(|row| Some(holds(a.opt(row)?.cmp(b.opt(row)?))))
        }
        ColumnType::Bool => {
            let (a, b) = (args.bool(0), args.bool(1));
            args.opt_bools(|row| Some(holds(a.get(row)?.cmp(&b.get(row)?))))
        }
        ColumnType::Real => {
            let (a, b) = (args.real(0), args.real(1));
            args.opt_bools(|row| Some(a.get(row)?.partial_cmp(&b.get(row)?).is_some_and(holds)))
        }
        _ => {
            let (a, b) = (args.long(0), args.long(1));
            args.opt_bools(|row| Some(holds(a.get(row)?.cmp(&b.get(row)?))))
        }
    }
}

fn set(constants: &[Option<Scalar>], types: &[ColumnType]) -> Result<Prepared, String> {
    Ok(match types[0] {
        ColumnType::String => constants[1..]
            .iter()
            .map(|item| item.as_ref().and_then(Scalar::as_str).map(str::to_owned))
            .collect::<Option<_>>()
            .map_or(Prepared::Nothing, Prepared::Texts),
        ColumnType::Long => constants[1..]
            .iter()
            .map(|item| match item {
                Some(Scalar::Long(value)) => Some(*value),
                _ => None,
            })
            .collect::<Option<_>>()
            .map_or(Prepared::Nothing, Prepared::Longs),
        _ => Prepared::Nothing,
    })
}

fn lower_set(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    Ok(constants[1..]
        .iter()
        .map(|item| item.as_ref().and_then(Scalar::as_str).map(str::to_lowercase))
        .collect::<Option<_>>()
        .map_or(Prepared::Nothing, Prepared::Texts))
}

/// So few texts are sooner compared one by one than hashed.
const FEW: usize = 8;

/// `in` and its kin. All arguments have the type of the first.
fn membership(args: &Args<'_>, ignore_case: bool, negated: bool) -> ArrayRef {
    match args.prepared {
        Prepared::Texts(set) => {
            let value = args.text(0);
            let mut lower = String::new();
            return args.bools(|row| {
                let text = value.get(row);
                let found = if ignore_case && set.len() <= FEW && text.is_ascii() {
                    set.iter().any(|item| item.eq_ignore_ascii_case(text))
                } else if ignore_case {
                    lower.clear();
                    push_lower(text, &mut lower);
                    set.contains(lower.as_str())
                } else {
                    set.contains(text)
                };
                found != negated
            });
        }
        Prepared::Longs(set) => {
            let value = args.long(0);
            return args.bools(|row| value.get(row).is_some_and(|value| set.contains(&value)) != negated);
        }
        _ => {}
    }
    let mut found = vec![false; args.rows];
    for item in 1..args.len() {
        let pair = [args.values[0].clone(), args.values[item].clone()];
        let types = [args.types[0], args.types[item]];
        let pair = Args { values: &pair, types: &types, ..*args };
        let equal = if ignore_case { equals_ignoring_case(&pair, false) } else { equality(&pair, false) };
        let equal = equal.as_boolean();
        for (row, found) in found.iter_mut().enumerate() {
            *found |= !equal.is_null(row) && equal.value(row);
        }
    }
    args.bools(|row| found[row] != negated)
}

/// Appends `text` in Unicode lower case.
pub(crate) fn push_lower(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        out[start..].make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}
