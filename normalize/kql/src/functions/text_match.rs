//! `contains`, `startswith`, `endswith` in all their forms.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType;

use super::args::Args;
use super::compare::{push_lower, same_ignoring_case};
use super::{Function, Returns, Want, function};

const TWO: &[Want] = &[Want::Text, Want::Text];
const BOOL: Returns = Returns::Ty(ColumnType::Bool);

pub(super) const FUNCTIONS: &[Function] = &[
    function("contains", TWO, BOOL, |args| contains(args, false), "`a contains b`: b stands in a, ignoring case"),
    function("!contains", TWO, BOOL, |args| contains(args, true), "`a !contains b`"),
    function(
        "contains_cs",
        TWO,
        BOOL,
        |args| holds(args, false, |a, b| a.contains(b)),
        "`a contains_cs b`: with regard to case",
    ),
    function("!contains_cs", TWO, BOOL, |args| holds(args, true, |a, b| a.contains(b)), "`a !contains_cs b`"),
    function("startswith", TWO, BOOL, |args| holds(args, false, starts_with), "`a startswith b`: ignoring case"),
    function("!startswith", TWO, BOOL, |args| holds(args, true, starts_with), "`a !startswith b`"),
    function(
        "startswith_cs",
        TWO,
        BOOL,
        |args| holds(args, false, |a, b| a.starts_with(b)),
        "`a startswith_cs b`: with regard to case",
    ),
    function("!startswith_cs", TWO, BOOL, |args| holds(args, true, |a, b| a.starts_with(b)), "`a !startswith_cs b`"),
    function("endswith", TWO, BOOL, |args| holds(args, false, ends_with), "`a endswith b`: ignoring case"),
    function("!endswith", TWO, BOOL, |args| holds(args, true, ends_with), "`a !endswith b`"),
    function(
        "endswith_cs",
        TWO,
        BOOL,
        |args| holds(args, false, |a, b| a.ends_with(b)),
        "`a endswith_cs b`: with regard to case",
    ),
    function("!endswith_cs", TWO, BOOL, |args| holds(args, true, |a, b| a.ends_with(b)), "`a !endswith_cs b`"),
];

fn holds(args: &Args<'_>, negated: bool, test: impl Fn(&str, &str) -> bool) -> ArrayRef {
    let (a, b) = (args.text(0), args.text(1));
    match b.constant() {
        Some(b) => args.bools(|row| test(a.get(row), b) != negated),
        None => args.bools(|row| test(a.get(row), b.get(row)) != negated),
    }
}

#[inline]
fn starts_with(text: &str, prefix: &str) -> bool {
    // No text is shorter than an ASCII text that it equals but for case.
    if text.len() < prefix.len() && prefix.is_ascii() {
        return false;
    }
    match text.get(..prefix.len()) {
        Some(head) if prefix.is_ascii() || head.is_ascii() => head.eq_ignore_ascii_case(prefix),
        _ => {
            let head: String = text.chars().take(prefix.chars().count()).collect();
            same_ignoring_case(&head, prefix)
        }
    }
}

#[inline]
fn ends_with(text: &str, suffix: &str) -> bool {
    if text.len() < suffix.len() && suffix.is_ascii() {
        return false;
    }
    match text.len().checked_sub(suffix.len()).and_then(|start| text.get(start..)) {
        Some(tail) if suffix.is_ascii() || tail.is_ascii() => tail.eq_ignore_ascii_case(suffix),
        _ => {
            let (length, count) = (text.chars().count(), suffix.chars().count());
            let tail: String = text.chars().skip(length.saturating_sub(count)).collect();
            same_ignoring_case(&tail, suffix)
        }
    }
}

fn contains(args: &Args<'_>, negated: bool) -> ArrayRef {
    let (a, b) = (args.text(0), args.text(1));
    let mut buffers = (String::new(), String::new());
    args.bools(|row| {
        let (text, needle) = (a.get(row), b.get(row));
        let found = if text.is_ascii() && needle.is_ascii() {
            find_ascii(text.as_bytes(), needle.as_bytes(), 0).is_some()
        } else {
            buffers.0.clear();
            buffers.1.clear();
            push_lower(text, &mut buffers.0);
            push_lower(needle, &mut buffers.1);
            buffers.0.contains(&buffers.1)
        };
        found != negated
    })
}

/// The first place at or after `from` where `needle` stands in `text`, ignoring ASCII case.
pub(super) fn find_ascii(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let Some(first) = needle.first() else { return (from <= text.len()).then_some(from) };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let mut position = from;
    loop {
        position += memchr::memchr2(lower, upper, text.get(position..)?)?;
        match text.get(position..position + needle.len()) {
            Some(window) if window.eq_ignore_ascii_case(needle) => return Some(position),
            Some(_) => position += 1,
            None => return None,
        }
    }
}
