//! Arrays inside `dynamic` values. What is no array gives null.

use ahash::AHashSet;
use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{self, Bool, Dynamic, Long, Real, String as Str};

use super::args::Args;
use super::conversion::Printer;
use super::term;
use super::{Function, Returns, Want, function};
use crate::{json, text};

const DYNAMIC: Returns = Returns::Ty(Dynamic);
const D1: &[Want] = &[Want::Dynamic];

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "[]",
        &[Want::Dynamic, Want::Any],
        DYNAMIC,
        index,
        "`a[i]`: the element (negative counts from the end) or the member of that name",
    ),
    function(
        "array_length",
        D1,
        Returns::Ty(Long),
        |args| {
            let a = args.text(0);
            args.longs(|row| Some(list(a.get(row))?.len() as i64))
        },
        "`array_length(array)`: number of elements",
    ),
    function(
        "array_slice",
        &[Want::Dynamic, Want::Long, Want::Long],
        DYNAMIC,
        slice,
        "`array_slice(array, start, end)`: both ends included; negative counts from the end",
    ),
    function(
        "array_index_of",
        &[Want::Dynamic, Want::Any, Want::Long],
        Returns::Ty(Long),
        index_of,
        "`array_index_of(array, value[, start])`: position or -1",
    )
    .requires(2),
    function(
        "array_concat",
        D1,
        DYNAMIC,
        concat,
        "`array_concat(a, b, …)`: the elements of all; null if one is no array",
    )
    .repeating(1),
    function("pack_array", &[Want::Any], DYNAMIC, pack_array, "`pack_array(a, b, …)`: an array of the values")
        .repeating(1),
    function("array_reverse", D1, DYNAMIC, |args| edit(args, |items| items.reverse()), "`array_reverse(array)`"),
    function(
        "array_sum",
        D1,
        Returns::Ty(Real),
        |args| {
            let a = args.text(0);
            args.reals(|row| list(a.get(row))?.iter().map(|item| item.parse::<f64>().ok()).sum())
        },
        "`array_sum(array)`: null unless all are numbers",
    ),
    function(
        "array_shift_left",
        &[Want::Dynamic, Want::Long, Want::Any],
        DYNAMIC,
        |args| shift(args, 1),
        "`array_shift_left(array, count[, fill])`",
    )
    .requires(2),
    function(
        "array_shift_right",
        &[Want::Dynamic, Want::Long, Want::Any],
        DYNAMIC,
        |args| shift(args, -1),
        "`array_shift_right(array, count[, fill])`",
    )
    .requires(2),
    function(
        "array_rotate_left",
        &[Want::Dynamic, Want::Long],
        DYNAMIC,
        |args| rotate(args, 1),
        "`array_rotate_left(array, count)`",
    ),
    function(
        "array_rotate_right",
        &[Want::Dynamic, Want::Long],
        DYNAMIC,
        |args| rotate(args, -1),
        "`array_rotate_right(array, count)`",
    ),
    function(
        "array_iff",
        &[Want::Dynamic, Want::Any, Want::Any],
        DYNAMIC,
        iff,
        "`array_iff(conditions, then, otherwise)`: element by element",
    ),
    function(
        "repeat",
        &[Want::Any, Want::Long],
        DYNAMIC,
        |args| {
            let (print, count) = (Printer::new(args, 0), args.long(1));
            args.opt_texts(|row, out| {
                let Some(count) = count.get(row).filter(|count| *count >= 0) else { return false };
                let mut item = String::new();
                print.json(row, &mut item);
                write_list(out, (0..count.min(1 << 16)).map(|_| item.as_str()));
                true
            })
        },
        "`repeat(value, count)`: an array of copies, at most 65,536",
    ),
    function(
        "set_has_element",
        &[Want::Dynamic, Want::Any],
        Returns::Ty(Bool),
        |args| {
            let (a, print) = (args.text(0), Printer::new(args, 1));
            let mut wanted = String::new();
            args.opt_bools(|row| {
                let items = list(a.get(row))?;
                wanted.clear();
                print.text(row, &mut wanted);
                Some(items.iter().any(|item| text::dynamic_text(item) == wanted.as_str()))
            })
        },
        "`set_has_element(array, value)`",
    ),
    function(
        "set_union",
        D1,
        DYNAMIC,
        set_union,
        "`set_union(a, b, …)`: distinct elements of all, in order of appearance",
    )
    .requires(2)
    .repeating(1),
    function(
        "set_intersect",
        D1,
        DYNAMIC,
        |args| combine(args, true),
        "`set_intersect(a, b, …)`: distinct elements of a that all hold",
    )
    .requires(2)
    .repeating(1),
    function(
        "set_difference",
        D1,
        DYNAMIC,
        |args| combine(args, false),
        "`set_difference(a, b, …)`: distinct elements of a that no other holds",
    )
    .requires(2)
    .repeating(1),
    function("zip", D1, DYNAMIC, zip, "`zip(a, b, …)`: an array of arrays, padded with null").requires(2).repeating(1),
];

/// The elements of an array; `None` for anything else.
pub(super) fn list(value: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    json::elements(value, |item| items.push(item))?;
    Some(items)
}

/// Appends an array of JSON values.
pub(super) fn write_list<'a>(out: &mut String, items: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
}

fn index(args: &Args<'_>) -> ArrayRef {
    let base = args.text(0);
    if matches!(args.types[1], Str | ColumnType::Guid | Dynamic) {
        let (key, dynamic) = (args.text(1), args.types[1] == Dynamic);
        return args.slices(|row| {
            let key = key.get(row);
            let key = if dynamic { text::dynamic_text(key) } else { key.into() };
            let value = base.get(row);
            if let Ok(position) = key.parse::<i64>()
                && dynamic
            {
                return element(value, position);
            }
            member(value, &key)
        });
    }
    if args.types[1] != Long {
        return args.slices(|_| None);
    }
    let position = args.long(1);
    args.slices(|row| element(base.get(row), position.get(row)?))
}

fn element(value: &str, position: i64) -> Option<&str> {
    let items = list(value)?;
    let position = if position < 0 { position + items.len() as i64 } else { position };
    let item = *items.get(usize::try_from(position).ok()?)?;
    (item != "null").then_some(item)
}

fn member<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    let _ = json::members(value, |key, member| {
        if json::unquote(key) == name {
            found = Some(member);
        }
    });
    found.filter(|member| *member != "null")
}

fn slice(args: &Args<'_>) -> ArrayRef {
    let (a, start, end) = (args.text(0), args.long(1), args.long(2));
    args.opt_texts(|row, out| {
        let (Some(items), Some(start), Some(end)) = (list(a.get(row)), start.get(row), end.get(row)) else {
            return false;
        };
        let count = items.len() as i64;
        let place = |position: i64| if position < 0 { position + count } else { position };
        let start = place(start).max(0).min(count) as usize;
        let end = (place(end).saturating_add(1)).clamp(start as i64, count) as usize;
        write_list(out, items[start..end].iter().copied());
        true
    })
}

fn index_of(args: &Args<'_>) -> ArrayRef {
    let (a, print, start) = (args.text(0), Printer::new(args, 1), args.long_or(2, 0));
    let mut wanted = String::new();
    args.longs(|row| {
        let items = list(a.get(row))?;
        wanted.clear();
        print.text(row, &mut wanted);
        let start = usize::try_from(start.get(row)?).unwrap_or(0);
        let found = items.iter().skip(start).position(|item| text::dynamic_text(item) == wanted.as_str());
        Some(found.map_or(-1, |found| (found + start) as i64))
    })
}

fn concat(args: &Args<'_>) -> ArrayRef {
    let lists: Vec<_> = (0..args.len()).map(|n| args.text(n)).collect();
    args.opt_texts(|row, out| {
        let mut all = Vec::new();
        for value in &lists {
            match list(value.get(row)) {
                Some(items) => all.extend(items),
                None => return false,
            }
        }
        write_list(out, all);
        true
    })
}

fn pack_array(args: &Args<'_>) -> ArrayRef {
    let printers: Vec<_> = (0..args.len()).map(|n| Printer::new(args, n)).collect();
    args.texts(|row, out| {
        out.push('[');
        for (number, printer) in printers.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            printer.json(row, out);
        }
        out.push(']');
    })
}

fn edit(args: &Args<'_>, change: impl Fn(&mut Vec<&str>)) -> ArrayRef {
    let a = args.text(0);
    args.opt_texts(|row, out| {
        let Some(mut items) = list(a.get(row)) else { return false };
        change(&mut items);
        write_list(out, items);
        true
    })
}

fn shift(args: &Args<'_>, direction: i64) -> ArrayRef {
    let (a, count) = (args.text(0), args.long(1));
    let fill = (args.len() > 2).then(|| Printer::new(args, 2));
    args.opt_texts(|row, out| {
        let (Some(items), Some(count)) = (list(a.get(row)), count.get(row)) else { return false };
        let mut filler = String::new();
        match &fill {
            Some(fill) => fill.json(row, &mut filler),
            None => filler.push_str("null"),
        }
        let count = count.saturating_mul(direction);
        write_list(
            out,
            (0..items.len()).map(|position| {
                let from = (position as i64).checked_add(count).and_then(|from| usize::try_from(from).ok());
                from.and_then(|from| items.get(from).copied()).unwrap_or(&filler)
            }),
        );
        true
    })
}

fn rotate(args: &Args<'_>, direction: i64) -> ArrayRef {
    let (a, count) = (args.text(0), args.long(1));
    args.opt_texts(|row, out| {
        let (Some(mut items), Some(count)) = (list(a.get(row)), count.get(row)) else { return false };
        if !items.is_empty() {
            let by = count.wrapping_mul(direction).rem_euclid(items.len() as i64) as usize;
            items.rotate_left(by);
        }
        write_list(out, items);
        true
    })
}

fn iff(args: &Args<'_>) -> ArrayRef {
    let (conditions, then, otherwise) = (args.text(0), Printer::new(args, 1), Printer::new(args, 2));
    args.opt_texts(|row, out| {
        let Some(conditions) = list(conditions.get(row)) else { return false };
        let (mut a, mut b) = (String::new(), String::new());
        then.json(row, &mut a);
        otherwise.json(row, &mut b);
        let pick = |value: &str, position: usize| -> String {
            match list(value) {
                Some(items) => items.get(position).copied().unwrap_or("null").to_owned(),
                None => value.to_owned(),
            }
        };
        let items: Vec<String> = conditions
            .iter()
            .enumerate()
            .map(|(position, condition)| match *condition {
                "null" => "null".to_owned(),
                "true" => pick(&a, position),
                number if number.parse::<f64>().is_ok_and(|number| number != 0.0) => pick(&a, position),
                _ => pick(&b, position),
            })
            .collect();
        write_list(out, items.iter().map(String::as_str));
        true
    })
}

fn set_union(args: &Args<'_>) -> ArrayRef {
    let lists: Vec<_> = (0..args.len()).map(|n| args.text(n)).collect();
    args.opt_texts(|row, out| {
        let mut seen = AHashSet::new();
        let mut all = Vec::new();
        for value in &lists {
            let Some(items) = list(value.get(row)) else { return false };
            all.extend(items.into_iter().filter(|item| seen.insert(*item)));
        }
        write_list(out, all);
        true
    })
}

fn combine(args: &Args<'_>, keep_common: bool) -> ArrayRef {
    let lists: Vec<_> = (0..args.len()).map(|n| args.text(n)).collect();
    args.opt_texts(|row, out| {
        let sets: Option<Vec<_>> = lists.iter().map(|value| list(value.get(row))).collect();
        let Some(sets) = sets else { return false };
        let others: Vec<AHashSet<&str>> = sets[1..].iter().map(|set| set.iter().copied().collect()).collect();
        let mut seen = AHashSet::new();
        let kept = sets[0].iter().copied().filter(|item| {
            let holds = if keep_common {
                others.iter().all(|other| other.contains(item))
            } else {
                !others.iter().any(|other| other.contains(item))
            };
            holds && seen.insert(*item)
        });
        let kept: Vec<&str> = kept.collect();
        write_list(out, kept);
        true
    })
}

fn zip(args: &Args<'_>) -> ArrayRef {
    let lists: Vec<_> = (0..args.len()).map(|n| args.text(n)).collect();
    args.texts(|row, out| {
        let lists: Vec<Vec<&str>> = lists.iter().map(|value| list(value.get(row)).unwrap_or_default()).collect();
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        out.push('[');
        for position in 0..longest {
            if position > 0 {
                out.push(',');
            }
            write_list(out, lists.iter().map(|items| items.get(position).copied().unwrap_or("null")));
        }
        out.push(']');
    })
}

/// `has_any_index`: kept beside the arrays because its list is one.
pub(super) fn has_any_index(args: &Args<'_>) -> ArrayRef {
    let (a, terms) = (args.text(0), args.text(1));
    args.longs(|row| {
        let terms = list(terms.get(row)).unwrap_or_default();
        let text = a.get(row);
        let found = terms.iter().position(|needle| term::has_term(text, &text::dynamic_text(needle)));
        Some(found.map_or(-1, |found| found as i64))
    })
}
