//! Series: arrays of numbers as `make-series` gives them. What is no array gives null; an element that is no number gives
//! null in its place.
//!
//! Rules: the functions' pages below <https://learn.microsoft.com/kusto/query/>.

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Dynamic, Real};

use super::args::Args;
use super::arrays::{list, write_list};
use super::{Function, Printer, Returns, Want, function};
use crate::text;

const DYNAMIC: Returns = Returns::Ty(Dynamic);
const D1: &[Want] = &[Want::Dynamic];
/// A number in place of a series stands for a series of it.
const PAIR: &[Want] = &[Want::NumberOrDynamic, Want::NumberOrDynamic];

#[rustfmt::skip]
pub(super) const FUNCTIONS: &[Function] = &[
    function("series_add", PAIR, DYNAMIC, |args| pairs(args, false, |a, b| a + b), "`series_add(a, b)`: element by element"),
    function("series_subtract", PAIR, DYNAMIC, |args| pairs(args, false, |a, b| a - b), "`series_subtract(a, b)`"),
    function("series_multiply", PAIR, DYNAMIC, |args| pairs(args, false, |a, b| a * b), "`series_multiply(a, b)`"),
    function("series_divide", PAIR, DYNAMIC, |args| pairs(args, true, |a, b| a / b), "`series_divide(a, b)`: in reals"),
    function("series_pow", PAIR, DYNAMIC, |args| pairs(args, false, |a, b| a.powf(b)), "`series_pow(a, b)`"),
    function("series_greater", PAIR, DYNAMIC, |args| compare(args, |order| order == Ordering::Greater), "`series_greater(a, b)`: a bool per element"),
    function("series_greater_equals", PAIR, DYNAMIC, |args| compare(args, |order| order != Ordering::Less), "`series_greater_equals(a, b)`"),
    function("series_less", PAIR, DYNAMIC, |args| compare(args, |order| order == Ordering::Less), "`series_less(a, b)`"),
    function("series_less_equals", PAIR, DYNAMIC, |args| compare(args, |order| order != Ordering::Greater), "`series_less_equals(a, b)`"),
    function("series_equals", PAIR, DYNAMIC, |args| compare(args, |order| order == Ordering::Equal), "`series_equals(a, b)`"),
    function("series_not_equals", PAIR, DYNAMIC, |args| compare(args, |order| order != Ordering::Equal), "`series_not_equals(a, b)`"),
    function("series_abs", D1, DYNAMIC, |args| each(args, f64::abs), "`series_abs(a)`"),
    function("series_ceiling", D1, DYNAMIC, |args| each(args, f64::ceil), "`series_ceiling(a)`"),
    function("series_floor", D1, DYNAMIC, |args| each(args, f64::floor), "`series_floor(a)`"),
    function("series_exp", D1, DYNAMIC, |args| each(args, f64::exp), "`series_exp(a)`"),
    function("series_log", D1, DYNAMIC, |args| each(args, f64::ln), "`series_log(a)`: natural logarithm"),
    function("series_sign", D1, DYNAMIC, |args| each(args, |a| if a == 0.0 { 0.0 } else { a.signum() }), "`series_sign(a)`"),
    function("series_sum", D1, Returns::Ty(Real), |args| whole(args, |a| Some(a.iter().sum())), "`series_sum(a)`"),
    function("series_product", D1, Returns::Ty(Real), |args| whole(args, |a| Some(a.iter().product())), "`series_product(a)`"),
    function("series_magnitude", D1, Returns::Ty(Real), |args| whole(args, |a| Some(a.iter().map(|a| a * a).sum::<f64>().sqrt())), "`series_magnitude(a)`: its length as a vector"),
    function("series_dot_product", &[Want::Dynamic, Want::Dynamic], Returns::Ty(Real), dot_product, "`series_dot_product(a, b)`"),
    function("series_stats_dynamic", &[Want::Dynamic, Want::Bool], DYNAMIC, stats, "`series_stats_dynamic(a[, ignore_nonfinite])`: bag of min, min_idx, max, max_idx, avg, stdev, variance, sum, len").requires(1).constant_at(&[1]),
    function("series_fill_const", &[Want::Dynamic, Want::Number, Want::Number], DYNAMIC, fill_const, "`series_fill_const(a, constant[, missing])`: the constant where `missing` (null) stands").requires(2),
    function("series_fill_forward", &[Want::Dynamic, Want::Number], DYNAMIC, |args| carry(args, false), "`series_fill_forward(a[, missing])`: the value before").requires(1),
    function("series_fill_backward", &[Want::Dynamic, Want::Number], DYNAMIC, |args| carry(args, true), "`series_fill_backward(a[, missing])`: the value after").requires(1),
    function("series_fill_linear", &[Want::Dynamic, Want::Number, Want::Bool, Want::Number], DYNAMIC, fill_linear, "`series_fill_linear(a[, missing[, fill_edges[, constant]]])`: on the line between the neighbours").requires(1),
];

fn number(item: &str) -> Option<f64> {
    // Non-finite numbers stand in JSON as texts.
    item.parse().ok().or(match item {
        "\"NaN\"" => Some(f64::NAN),
        "\"Infinity\"" => Some(f64::INFINITY),
        "\"-Infinity\"" => Some(f64::NEG_INFINITY),
        _ => None,
    })
}

fn is_whole(item: &str) -> bool {
    item.parse::<i64>().is_ok()
}

fn write_number(value: Option<f64>, as_whole: bool, out: &mut String) {
    match value {
        None => out.push_str("null"),
        // Beyond 2^53, a real no longer tells whole numbers apart.
        Some(value) if as_whole && value.fract() == 0.0 && value.abs() < 9e15 => out.push_str(&format!("{value:.0}")),
        Some(value) => text::write_real_json(value, out),
    }
}

/// Two series side by side, as their elements' texts. A single number repeats; the longer one's rest has no partner.
fn side_by_side(args: &Args<'_>, mut row: impl FnMut(&[(&str, &str)], &mut String)) -> ArrayRef {
    let (a, b) = (Printer::new(args, 0), Printer::new(args, 1));
    args.opt_texts(|index, out| {
        let (mut left, mut right) = (String::new(), String::new());
        a.json(index, &mut left);
        b.json(index, &mut right);
        let (lefts, rights) = match (list(&left), list(&right)) {
            (Some(lefts), Some(rights)) => (lefts, rights),
            (Some(lefts), None) if number(&right).is_some() => {
                let count = lefts.len();
                (lefts, vec![right.as_str(); count])
            }
            (None, Some(rights)) if number(&left).is_some() => (vec![left.as_str(); rights.len()], rights),
            _ => return false,
        };
        let at = |items: &[&'_ str], place: usize| items.get(place).copied().unwrap_or("null").to_owned();
        let count = lefts.len().max(rights.len());
        let texts: Vec<(String, String)> = (0..count).map(|place| (at(&lefts, place), at(&rights, place))).collect();
        let pairs: Vec<(&str, &str)> = texts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        row(&pairs, out);
        true
    })
}

/// Whole numbers stay whole, unless `real`.
fn pairs(args: &Args<'_>, real: bool, operation: fn(f64, f64) -> f64) -> ArrayRef {
    side_by_side(args, |pairs, out| {
        let items: Vec<String> = pairs
            .iter()
            .map(|(a, b)| {
                let value = number(a).zip(number(b)).map(|(a, b)| operation(a, b));
                let mut item = String::new();
                write_number(value, !real && is_whole(a) && is_whole(b), &mut item);
                item
            })
            .collect();
        write_list(out, items.iter().map(String::as_str));
    })
}

fn compare(args: &Args<'_>, holds: fn(Ordering) -> bool) -> ArrayRef {
    side_by_side(args, |pairs, out| {
        let items = pairs.iter().map(|(a, b)| match (number(a), number(b)) {
            (Some(a), Some(b)) => match a.partial_cmp(&b).map(holds) {
                Some(true) => "true",
                _ => "false",
            },
            _ => "null",
        });
        write_list(out, items);
    })
}

fn each(args: &Args<'_>, operation: fn(f64) -> f64) -> ArrayRef {
    let a = args.text(0);
    args.opt_texts(|row, out| {
        let Some(items) = list(a.get(row)) else { return false };
        let items: Vec<String> = items
            .iter()
            .map(|item| {
                let mut out = String::new();
                write_number(number(item).map(operation), is_whole(item), &mut out);
                out
            })
            .collect();
        write_list(out, items.iter().map(String::as_str));
        true
    })
}

/// A value of the whole series; null if an element is no number.
fn whole(args: &Args<'_>, operation: fn(&[f64]) -> Option<f64>) -> ArrayRef {
    let a = args.text(0);
    args.reals(|row| {
        let numbers: Option<Vec<f64>> = list(a.get(row))?.into_iter().map(number).collect();
        operation(&numbers?)
    })
}

fn dot_product(args: &Args<'_>) -> ArrayRef {
    let (a, b) = (args.text(0), args.text(1));
    args.reals(|row| {
        let (a, b) = (list(a.get(row))?, list(b.get(row))?);
        a.iter().zip(&b).map(|(a, b)| Some(number(a)? * number(b)?)).sum()
    })
}

/// The names of what `series_stats` gives, in its order, with their types.
pub(crate) const STATS: &[(&str, bool)] = &[
    ("min", false),
    ("min_idx", true),
    ("max", false),
    ("max_idx", true),
    ("avg", false),
    ("stdev", false),
    ("variance", false),
];

fn stats(args: &Args<'_>) -> ArrayRef {
    let a = args.text(0);
    let finite = (args.len() > 1).then(|| args.bool(1));
    args.opt_texts(|row, out| {
        let Some(items) = list(a.get(row)) else { return false };
        let finite = finite.as_ref().is_some_and(|finite| finite.get(row) == Some(true));
        let numbers: Vec<Option<f64>> = items.into_iter().map(number).collect();
        let kept = numbers.iter().enumerate().filter(|(_, value)| !finite || value.is_some_and(f64::is_finite));
        let kept: Vec<(usize, f64)> = kept.map(|(place, value)| (place, value.unwrap_or(f64::NAN))).collect();
        let count = kept.len() as f64;
        // What cannot be ordered spoils all, as one missing value does in Kusto.
        if kept.is_empty() || kept.iter().any(|(_, value)| value.is_nan()) {
            let names = STATS.iter().map(|(name, _)| *name).chain(["sum"]);
            let nulls: Vec<String> = names.map(|name| format!("\"{name}\":null")).collect();
            out.push_str(&format!("{{{},\"len\":{}}}", nulls.join(","), kept.len()));
            return true;
        }
        let pick = |better: fn(f64, f64) -> bool| {
            kept.iter()
                .copied()
                .reduce(|best, next| if better(next.1, best.1) { next } else { best })
                .unwrap_or_default()
        };
        let (min, max) = (pick(|a, b| a < b), pick(|a, b| a > b));
        let sum: f64 = kept.iter().map(|(_, value)| value).sum();
        let mean = sum / count;
        let squares: f64 = kept.iter().map(|(_, value)| (value - mean) * (value - mean)).sum();
        let variance = if kept.len() > 1 { squares / (count - 1.0) } else { 0.0 };
        out.push_str("{\"min\":");
        text::write_real_json(min.1, out);
        out.push_str(&format!(",\"min_idx\":{},\"max\":", min.0));
        text::write_real_json(max.1, out);
        out.push_str(&format!(",\"max_idx\":{}", max.0));
        for (name, value) in [("avg", mean), ("stdev", variance.sqrt()), ("variance", variance), ("sum", sum)] {
            out.push_str(&format!(",\"{name}\":"));
            text::write_real_json(value, out);
        }
        out.push_str(&format!(",\"len\":{}}}", kept.len()));
        true
    })
}

/// Reads the series and what counts as missing in it; hands both to `row`.
fn filled(
    args: &Args<'_>,
    missing: usize,
    mut row: impl FnMut(&[&str], &dyn Fn(&str) -> bool, usize, &mut String),
) -> ArrayRef {
    let a = args.text(0);
    let missing = (args.len() > missing).then(|| Printer::new(args, missing));
    args.opt_texts(|index, out| {
        let Some(items) = list(a.get(index)) else { return false };
        let mut marker = String::from("null");
        if let Some(missing) = &missing {
            marker.clear();
            missing.json(index, &mut marker);
        }
        let is_missing = |item: &str| match (number(item), number(&marker)) {
            (Some(item), Some(marker)) => item == marker || (item.is_nan() && marker.is_nan()),
            _ => item == marker || item == "null",
        };
        row(&items, &is_missing, index, out);
        true
    })
}

fn fill_const(args: &Args<'_>) -> ArrayRef {
    let constant = Printer::new(args, 1);
    filled(args, 2, |items, is_missing, row, out| {
        let mut value = String::new();
        constant.json(row, &mut value);
        write_list(out, items.iter().map(|item| if is_missing(item) { value.as_str() } else { item }));
    })
}

fn carry(args: &Args<'_>, backward: bool) -> ArrayRef {
    filled(args, 1, |items, is_missing, _, out| {
        let mut items = items.to_vec();
        if backward {
            items.reverse();
        }
        let mut last = None;
        for item in &mut items {
            if is_missing(item) {
                *item = last.unwrap_or(item);
            } else {
                last = Some(*item);
            }
        }
        if backward {
            items.reverse();
        }
        write_list(out, items);
    })
}

fn fill_linear(args: &Args<'_>) -> ArrayRef {
    let edges = (args.len() > 2).then(|| args.bool(2));
    let constant = (args.len() > 3).then(|| Printer::new(args, 3));
    filled(args, 1, |items, is_missing, row, out| {
        let known: Vec<(usize, f64)> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| !is_missing(item))
            .filter_map(|(place, item)| Some((place, number(item)?)))
            .collect();
        let fill_edges = edges.as_ref().is_none_or(|edges| edges.get(row) != Some(false));
        let mut nothing = String::from("0");
        if let Some(constant) = &constant {
            nothing.clear();
            constant.json(row, &mut nothing);
        }
        let mut results: Vec<String> = Vec::with_capacity(items.len());
        for place in 0..items.len() {
            let next = known.partition_point(|(known, _)| *known < place);
            let (before, after) = (next.checked_sub(1).map(|before| known[before]), known.get(next).copied());
            let value = match (before, after) {
                (_, Some((at, value))) if at == place => Some(value),
                (Some((from, a)), Some((to, b))) => Some(a + (b - a) * (place - from) as f64 / (to - from) as f64),
                (Some((_, value)), None) | (None, Some((_, value))) if fill_edges => Some(value),
                (None, None) => number(&nothing),
                _ => None,
            };
            let mut item = String::new();
            write_number(value, false, &mut item);
            results.push(item);
        }
        write_list(out, results.iter().map(String::as_str));
    })
}
