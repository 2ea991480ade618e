//! `contains`, `startswith`, `endswith` in all their forms.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType;

use super::args::{Args, Texts, mask};
use super::compare::push_lower;
use super::views::{self, AsciiNeedle};
use super::{Function, Returns, Want, function};
use crate::text::same_ignoring_case;

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
    function("startswith", TWO, BOOL, |args| starts(args, false, true), "`a startswith b`: ignoring case"),
    function("!startswith", TWO, BOOL, |args| starts(args, true, true), "`a !startswith b`"),
    function("startswith_cs", TWO, BOOL, |args| starts(args, false, false), "`a startswith_cs b`: with regard to case"),
    function("!startswith_cs", TWO, BOOL, |args| starts(args, true, false), "`a !startswith_cs b`"),
    function("endswith", TWO, BOOL, |args| ends(args, false), "`a endswith b`: ignoring case"),
    function("!endswith", TWO, BOOL, |args| ends(args, true), "`a !endswith b`"),
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

fn starts(args: &Args<'_>, negated: bool, ignore_case: bool) -> ArrayRef {
    let test = if ignore_case { starts_with } else { |text: &str, prefix: &str| text.starts_with(prefix) };
    if let (Texts::Many(array), Texts::One(prefix, _)) = (args.text(0), args.text(1))
        && let Some(needle) = AsciiNeedle::new(prefix, ignore_case)
    {
        let found = views::decide(array, prefix.is_empty(), |row, view| {
            needle.starts_in(array, row, view, |text| test(text, prefix))
        });
        return mask(found, negated);
    }
    holds(args, negated, test)
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

fn ends(args: &Args<'_>, negated: bool) -> ArrayRef {
    if let (Texts::Many(array), Texts::One(suffix, _)) = (args.text(0), args.text(1))
        && let Some(last) = suffix.as_bytes().last()
        && suffix.is_ascii()
    {
        // A text whose last byte is another ASCII one, whatever its case, ends in another way.
        let fold = if last.is_ascii_alphabetic() { 0x20 } else { 0 };
        let found = views::decide(array, false, |row, view| {
            let text = array.value(row);
            views::length(view) >= suffix.len()
                && text.as_bytes().last().is_none_or(|byte| !byte.is_ascii() || byte | fold == last | fold)
                && ends_with(text, suffix)
        });
        return mask(found, negated);
    }
    holds(args, negated, ends_with)
}

#[inline]
fn ends_with(text: &str, suffix: &str) -> bool {
    // Most texts that end so end in the same case.
    if text.ends_with(suffix) {
        return true;
    }
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
    // Only a letter has another case: any other ASCII text stands in a text if its bytes do.
    if let (Texts::Many(array), Some(needle)) = (a, b.constant())
        && needle.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_alphabetic())
    {
        let finder = memchr::memmem::Finder::new(needle);
        let found = views::decide(array, needle.is_empty(), |row, view| {
            views::length(view) >= needle.len() && finder.find(array.value(row).as_bytes()).is_some()
        });
        return mask(found, negated);
    }
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
