//! Text functions. Positions count characters from 0.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Dynamic, Long, String as Str};

use super::args::Args;
use super::compare::push_lower;
use super::{Function, Returns, Want, function};
use crate::{json, text};

const TEXT: Returns = Returns::Ty(Str);
const T1: &[Want] = &[Want::Text];

pub(super) const FUNCTIONS: &[Function] = &[
    function("strcat", &[Want::Text], TEXT, |args| strcat(args, 0), "`strcat(a, b, …)`: the texts joined").repeating(1),
    function(
        "strcat_delim",
        &[Want::Text, Want::Text],
        TEXT,
        |args| strcat(args, 1),
        "`strcat_delim(delimiter, a, b, …)`: joined with a delimiter; empty ones keep their place",
    )
    .requires(3)
    .repeating(1),
    function(
        "strcat_array",
        &[Want::Dynamic, Want::Text],
        TEXT,
        strcat_array,
        "`strcat_array(array, delimiter)`: the elements joined; the text of what is no array",
    ),
    function(
        "split",
        &[Want::Text, Want::Str, Want::Long],
        Returns::Ty(Dynamic),
        split,
        "`split(text, delimiter[, index])`: an array of the parts; with an index, an array of that part",
    )
    .requires(2),
    function(
        "substring",
        &[Want::Text, Want::Long, Want::Long],
        TEXT,
        substring,
        "`substring(text, start[, length])`: clamped; a negative start counts from the end, before the first it is empty",
    )
    .requires(2),
    function(
        "indexof",
        &[Want::Text, Want::Text, Want::Long, Want::Long, Want::Long],
        Returns::Ty(Long),
        index_of,
        "`indexof(text, lookup[, start[, length[, occurrence]]])`: position or -1",
    )
    .requires(2)
    .constant_at(&[4]),
    function(
        "strlen",
        &[Want::Str],
        Returns::Ty(Long),
        |args| {
            let a = args.text(0);
            args.longs(|row| {
                let text = a.get(row);
                Some(if text.is_ascii() { text.len() } else { text.chars().count() } as i64)
            })
        },
        "`strlen(text)`: number of characters",
    ),
    function(
        "string_size",
        &[Want::Str],
        Returns::Ty(Long),
        |args| {
            let a = args.text(0);
            args.longs(|row| Some(a.get(row).len() as i64))
        },
        "`string_size(text)`: number of bytes in UTF-8",
    ),
    function(
        "tolower",
        T1,
        TEXT,
        |args| {
            let a = args.text(0);
            args.texts(|row, out| push_lower(a.get(row), out))
        },
        "`tolower(text)`: in lower case",
    ),
    function(
        "toupper",
        T1,
        TEXT,
        |args| {
            let a = args.text(0);
            args.texts(|row, out| out.extend(a.get(row).chars().flat_map(char::to_uppercase)))
        },
        "`toupper(text)`: in upper case",
    ),
    function(
        "replace_string",
        &[Want::Str; 3],
        TEXT,
        |args| {
            let (a, from, to) = (args.text(0), args.text(1), args.text(2));
            args.texts(|row, out| {
                let (text, from) = (a.get(row), from.get(row));
                if from.is_empty() { out.push_str(text) } else { out.push_str(&text.replace(from, to.get(row))) }
            })
        },
        "`replace_string(text, from, to)`: each `from` replaced",
    ),
    function(
        "replace_strings",
        &[Want::Str, Want::Dynamic, Want::Dynamic],
        TEXT,
        replace_strings,
        "`replace_strings(text, from array, to array)`: one after the other",
    ),
    function(
        "reverse",
        T1,
        TEXT,
        |args| {
            let a = args.text(0);
            args.texts(|row, out| out.extend(a.get(row).chars().rev()))
        },
        "`reverse(text)`: the characters in reverse order",
    ),
    function(
        "strrep",
        &[Want::Text, Want::Long, Want::Text],
        TEXT,
        strrep,
        "`strrep(text, count[, delimiter])`: repeated, at most 1024 times",
    )
    .requires(2),
    function(
        "strcmp",
        &[Want::Text; 2],
        Returns::Ty(Long),
        |args| {
            let (a, b) = (args.text(0), args.text(1));
            args.longs(|row| Some(a.get(row).cmp(b.get(row)) as i64))
        },
        "`strcmp(a, b)`: -1, 0 or 1",
    ),
    function(
        "isascii",
        T1,
        Returns::Ty(weir_contract::schema::ColumnType::Bool),
        |args| {
            let a = args.text(0);
            args.bools(|row| a.get(row).is_ascii())
        },
        "`isascii(text)`: whether all characters are ASCII",
    ),
    function(
        "unicode_codepoints_from_string",
        T1,
        Returns::Ty(Dynamic),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| {
                let points: Vec<String> = a.get(row).chars().map(|c| u32::from(c).to_string()).collect();
                out.push('[');
                out.push_str(&points.join(","));
                out.push(']');
            })
        },
        "`unicode_codepoints_from_string(text)`: array of code points",
    ),
    function(
        "make_string",
        &[Want::LongOrDynamic],
        TEXT,
        make_string,
        "`unicode_codepoints_to_string(code points…)`: the text of numbers and arrays of numbers",
    )
    .repeating(1),
    function(
        "unicode_codepoints_to_string",
        &[Want::LongOrDynamic],
        TEXT,
        make_string,
        "`unicode_codepoints_to_string(code points…)`: the text of numbers and arrays of numbers",
    )
    .repeating(1),
];

fn strcat(args: &Args<'_>, first: usize) -> ArrayRef {
    let parts: Vec<_> = (first..args.len()).map(|n| args.text(n)).collect();
    if first == 0 {
        return args.texts(|row, out| parts.iter().for_each(|part| out.push_str(part.get(row))));
    }
    let delimiter = args.text(0);
    args.texts(|row, out| {
        for (number, part) in parts.iter().enumerate() {
            if number > 0 {
                out.push_str(delimiter.get(row));
            }
            out.push_str(part.get(row));
        }
    })
}

fn strcat_array(args: &Args<'_>) -> ArrayRef {
    let (array, delimiter) = (args.text(0), args.text(1));
    args.texts(|row, out| {
        let value = array.get(row);
        let mut first = true;
        let array = json::elements(value, |element| {
            if !first {
                out.push_str(delimiter.get(row));
            }
            first = false;
            out.push_str(&text::dynamic_text(element));
        });
        if array.is_none() {
            out.push_str(&text::dynamic_text(value));
        }
    })
}

fn split(args: &Args<'_>) -> ArrayRef {
    let (a, delimiter) = (args.text(0), args.text(1));
    let index = (args.len() > 2).then(|| args.long(2));
    args.texts(|row, out| {
        let (text, delimiter) = (a.get(row), delimiter.get(row));
        out.push('[');
        let mut parts: Box<dyn Iterator<Item = &str>> =
            if delimiter.is_empty() { Box::new(std::iter::once(text)) } else { Box::new(text.split(delimiter)) };
        match &index {
            Some(index) => {
                let wanted = index.get(row).and_then(|index| usize::try_from(index).ok());
                if let Some(part) = wanted.and_then(|wanted| parts.nth(wanted)) {
                    json::write_string(out, part);
                }
            }
            None => {
                for (number, part) in parts.enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    json::write_string(out, part);
                }
            }
        }
        out.push(']');
    })
}

fn substring(args: &Args<'_>) -> ArrayRef {
    let (a, start, length) = (args.text(0), args.long(1), args.long_or(2, i64::MAX));
    args.slices(|row| {
        let text = a.get(row);
        let (start, length) = (start.get(row)?, length.get(row)?);
        let ascii = text.is_ascii();
        let count = if ascii { text.len() } else { text.chars().count() } as i64;
        let start = if start < 0 { count.saturating_add(start) } else { start.min(count) };
        // Further back than the text is long, there is nothing.
        if start < 0 {
            return Some("");
        }
        let end = start.saturating_add(length.max(0)).min(count);
        let (start, end) = (start as usize, end as usize);
        Some(if ascii { &text[start..end] } else { characters(text, start, end) })
    })
}

/// The characters from `start` to `end`, which lie within the text.
fn characters(text: &str, start: usize, end: usize) -> &str {
    if text.is_ascii() {
        return &text[start..end];
    }
    let byte = |position: usize| text.char_indices().nth(position).map_or(text.len(), |(byte, _)| byte);
    &text[byte(start)..byte(end)]
}

fn index_of(args: &Args<'_>) -> ArrayRef {
    let (a, lookup) = (args.text(0), args.text(1));
    let (start, length, occurrence) = (args.long_or(2, 0), args.long_or(3, -1), args.long_or(4, 1));
    args.longs(|row| {
        let (text, lookup) = (a.get(row), lookup.get(row));
        let (start, length, occurrence) = (start.get(row)?, length.get(row)?, occurrence.get(row)?);
        if (start, occurrence) == (0, 1) && length < 0 {
            let place = match lookup.as_bytes() {
                [byte] => memchr::memchr(*byte, text.as_bytes()),
                _ => text.find(lookup),
            };
            return Some(place.map_or(-1, |place| text[..place].chars().count() as i64));
        }
        let count = text.chars().count() as i64;
        let start = if start < 0 { (count + start).max(0) } else { start };
        if start > count || occurrence < 1 {
            return Some(-1);
        }
        // The length limits each search, and each begins behind the occurrence before.
        let mut from = start;
        let mut found = -1;
        for _ in 0..occurrence {
            if from > count {
                return Some(-1);
            }
            let end = if length < 0 { count } else { from.saturating_add(length).min(count) };
            let window = characters(text, from as usize, end as usize);
            let Some(place) = window.find(lookup) else { return Some(-1) };
            found = from + window[..place].chars().count() as i64;
            from = found + 1;
        }
        Some(found)
    })
}

fn replace_strings(args: &Args<'_>) -> ArrayRef {
    let (a, from, to) = (args.text(0), args.text(1), args.text(2));
    args.texts(|row, out| {
        let mut replaced = a.get(row).to_owned();
        let mut targets = Vec::new();
        let _ = json::elements(to.get(row), |target| targets.push(text::dynamic_text(target).into_owned()));
        let mut number = 0;
        let _ = json::elements(from.get(row), |source| {
            let source = text::dynamic_text(source);
            if !source.is_empty() {
                replaced = replaced.replace(&*source, targets.get(number).map_or("", String::as_str));
            }
            number += 1;
        });
        out.push_str(&replaced);
    })
}

fn strrep(args: &Args<'_>) -> ArrayRef {
    let (a, count, delimiter) = (args.text(0), args.long(1), args.text_or(2, ""));
    args.texts(|row, out| {
        for number in 0..count.get(row).unwrap_or(0).clamp(0, 1024) {
            if number > 0 {
                out.push_str(delimiter.get(row));
            }
            out.push_str(a.get(row));
        }
    })
}

fn make_string(args: &Args<'_>) -> ArrayRef {
    let printers: Vec<_> = (0..args.len()).map(|n| super::conversion::Printer::new(args, n)).collect();
    let mut buffer = String::new();
    args.texts(|row, out| {
        for printer in &printers {
            buffer.clear();
            printer.json(row, &mut buffer);
            let mut push = |digits: &str| {
                out.extend(digits.trim().parse().ok().and_then(char::from_u32));
            };
            if json::elements(&buffer, &mut push).is_none() {
                push(&buffer);
            }
        }
    })
}
