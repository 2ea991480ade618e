//! Arrays in order: sorted ones, and ranges of numbers and times.

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Bool, Datetime, Dynamic, Int, Long, Real, Timespan};

use super::args::Args;
use super::arrays::{list, write_list};
use super::{Function, Returns, Want, function};
use crate::scalar::Scalar;
use crate::text;

const DYNAMIC: Returns = Returns::Ty(Dynamic);

pub(super) const FUNCTIONS: &[Function] = &[
    function("array_sort_asc", &[Want::Any], DYNAMIC, |args| sort(args, false), "`array_sort_asc(array[, array…][, nulls_last])`: several arrays are put in the order of the first, and come as one array").repeating(1),
    function("array_sort_desc", &[Want::Any], DYNAMIC, |args| sort(args, true), "`array_sort_desc(array[, array…][, nulls_last])`: as `array_sort_asc`").repeating(1),
    function("range", &[Want::Summable, Want::Summable, Want::Summable], DYNAMIC, range, "`range(from, to[, step])`: array of numbers, datetimes or timespans, at most 65,536").requires(2),
];

/// Most elements of a `range`.
const MAX_RANGE: usize = 1 << 16;

fn sort(args: &Args<'_>, descending: bool) -> ArrayRef {
    let nulls_last = (args.types.last() == Some(&Bool)).then(|| args.bool(args.len() - 1));
    let arrays = args.len() - usize::from(nulls_last.is_some());
    let texts: Vec<_> = (0..arrays).filter(|n| args.types[*n] == Dynamic).map(|n| args.text(n)).collect();
    args.opt_texts(|row, out| {
        let lists: Option<Vec<Vec<&str>>> = texts.iter().map(|text| list(text.get(row))).collect();
        let Some(lists) = lists.filter(|lists| lists.len() == arrays && !lists.is_empty()) else { return false };
        let keys = &lists[0];
        if lists.iter().any(|list| list.len() != keys.len()) {
            return false;
        }
        let nulls_last = nulls_last.is_none_or(|nulls_last| nulls_last.get(row) != Some(false));
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (keys[*a], keys[*b]);
            let nulls = if nulls_last { (a == "null").cmp(&(b == "null")) } else { (b == "null").cmp(&(a == "null")) };
            nulls.then_with(|| if descending { values(b, a) } else { values(a, b) })
        });
        let sorted: Vec<String> = lists
            .iter()
            .map(|list| {
                let mut text = String::new();
                write_list(&mut text, order.iter().map(|place| list[*place]));
                text
            })
            .collect();
        match sorted.as_slice() {
            [only] => out.push_str(only),
            several => write_list(out, several.iter().map(String::as_str)),
        }
        true
    })
}

fn range(args: &Args<'_>) -> ArrayRef {
    let real = args.types.contains(&Real);
    let whole = |n: usize, row: usize| match args.types.get(n) {
        Some(Int) => args.int(n).get(row).map(i64::from),
        Some(Long | Datetime | Timespan) => args.long(n).get(row),
        // Without a step: one, or one hour.
        None if matches!(args.types[0], Datetime | Timespan) => Some(3_600_000_000),
        None => Some(1),
        Some(_) => None,
    };
    let number = |n: usize, row: usize| match args.types.get(n) {
        Some(Real) => args.real(n).get(row),
        _ => whole(n, row).map(|value| value as f64),
    };
    args.opt_texts(|row, out| {
        let mut items: Vec<String> = Vec::new();
        let mut push = |scalar: Scalar| {
            let mut item = String::new();
            text::write_json(&scalar, &mut item);
            items.push(item);
            items.len() < MAX_RANGE
        };
        if real {
            let (Some(from), Some(to), Some(step)) = (number(0, row), number(1, row), number(2, row)) else {
                return false;
            };
            let within = |value: f64| if step > 0.0 { value <= to } else { step < 0.0 && value >= to };
            for count in 0..MAX_RANGE {
                let value = from + count as f64 * step;
                if !within(value) || !push(Scalar::Real(value)) {
                    break;
                }
            }
        } else {
            let (Some(from), Some(to), Some(step)) = (whole(0, row), whole(1, row), whole(2, row)) else {
                return false;
            };
            let within = |value: i64| if step > 0 { value <= to } else { step < 0 && value >= to };
            let mut next = Some(from);
            while let Some(value) = next.filter(|value| within(*value)) {
                let more = push(match args.types[0] {
                    Datetime => Scalar::Datetime(value),
                    Timespan => Scalar::Timespan(value),
                    _ => Scalar::Long(value),
                });
                next = value.checked_add(step).filter(|_| more);
            }
        }
        write_list(out, items.iter().map(String::as_str));
        true
    })
}

fn values(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => text::dynamic_text(a).cmp(&text::dynamic_text(b)),
    }
}
