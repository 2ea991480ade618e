//! `==`, `!=`, `<`… and membership. Equality is two-valued: a null on one side is unequal; two nulls give null.

use std::cmp::Ordering;
use std::sync::Arc;

use ahash::AHashSet;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Scalar as ArrowScalar};
use arrow::compute::kernels::cmp;
use weir_contract::schema::ColumnType;

use super::args::{Args, Numbers, Texts, mask};
use super::prepared::Prepared;
use super::views::{self, AsciiNeedle};
use super::{Function, Returns, Want, function};
use crate::scalar::{Scalar, Value};
use crate::text::same_ignoring_case;

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
            match (args.text(0), args.text(1)) {
                (Texts::Many(a), Texts::Many(b)) => mask(views::equal(a, b), negated),
                (a, b) => args.bools(|row| (a.get(row) == b.get(row)) != negated),
            }
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
        _ => match (args.long(0), args.long(1)) {
            (Numbers::Many(a, None), Numbers::One(Some(b))) => args.bools(|row| (a[row] == b) != negated),
            (Numbers::Many(a, None), Numbers::Many(b, None)) => args.bools(|row| (a[row] == b[row]) != negated),
            (a, b) => args.opt_bools(|row| {
                let (a, b) = (a.get(row), b.get(row));
                two_valued(a.is_none(), b.is_none(), a == b)
            }),
        },
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
    if let (Texts::Many(array), Texts::One(text, _)) = (a, b)
        && let Some(needle) = AsciiNeedle::new(text, true)
    {
        return mask(views::among_ignoring_case(array, &[needle]), negated);
    }
    args.bools(|row| same_ignoring_case(a.get(row), b.get(row)) != negated)
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
        _ => match (args.long(0), args.long(1)) {
            (Numbers::Many(a, None), Numbers::One(Some(b))) => args.bools(|row| holds(a[row].cmp(&b))),
            (Numbers::Many(a, None), Numbers::Many(b, None)) => args.bools(|row| holds(a[row].cmp(&b[row]))),
            (a, b) => args.opt_bools(|row| Some(holds(a.get(row)?.cmp(&b.get(row)?)))),
        },
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
            return among(args, set, ignore_case, negated);
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

/// Whether the text of argument 0 is in a set, whose texts are lower-cased where case is ignored.
fn among(args: &Args<'_>, set: &AHashSet<String>, ignore_case: bool, negated: bool) -> ArrayRef {
    let Texts::Many(array) = args.text(0) else {
        let value = args.text(0);
        return args.bools(|row| contains(set, value.get(row), ignore_case, &mut String::new()) != negated);
    };
    let needles: Option<Vec<AsciiNeedle<'_>>> =
        if set.len() <= FEW { set.iter().map(|item| AsciiNeedle::new(item, ignore_case)).collect() } else { None };
    let found = match needles {
        Some(needles) if ignore_case => views::among_ignoring_case(array, &needles),
        Some(needles) => views::among(array, &needles),
        None => {
            // Few lengths stand in a set; the longest texts share the last bit.
            let bit = |length: usize| 1_u64 << length.min(63);
            let lengths = set.iter().fold(0, |lengths, item| lengths | bit(item.len()));
            let mut lower = String::new();
            views::decide(array, set.contains(""), |row, view| {
                (ignore_case || lengths & bit(views::length(view)) != 0)
                    && contains(set, array.value(row), ignore_case, &mut lower)
            })
        }
    };
    mask(found, negated)
}

fn contains(set: &AHashSet<String>, text: &str, ignore_case: bool, lower: &mut String) -> bool {
    if !ignore_case {
        return set.contains(text);
    }
    lower.clear();
    push_lower(text, lower);
    set.contains(lower.as_str())
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
