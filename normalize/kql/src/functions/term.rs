//! `has` and its kin. A term is a maximal run of Unicode letters and digits, so an underscore separates terms.
//!
//! A boundary is required only at an edge of the needle that is itself a term character; the empty needle is found
//! everywhere.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType;

use super::args::{Args, Texts};
use super::compare::push_lower;
use super::prepared::Prepared;
use super::text_match::find_ascii;
use super::{Function, Returns, Want, function};
use crate::scalar::Scalar;
use crate::{json, text};

const TWO: &[Want] = &[Want::Text, Want::Text];
const BOOL: Returns = Returns::Ty(ColumnType::Bool);

/// Which edges of the needle must be edges of terms, and whether case counts.
#[derive(Clone, Copy)]
struct Rule {
    start: bool,
    end: bool,
    ignore_case: bool,
}

const HAS: Rule = Rule { start: true, end: true, ignore_case: true };
const HAS_CS: Rule = Rule { start: true, end: true, ignore_case: false };
const PREFIX: Rule = Rule { start: true, end: false, ignore_case: true };
const PREFIX_CS: Rule = Rule { start: true, end: false, ignore_case: false };
const SUFFIX: Rule = Rule { start: false, end: true, ignore_case: true };
const SUFFIX_CS: Rule = Rule { start: false, end: true, ignore_case: false };

pub(super) const FUNCTIONS: &[Function] = &[
    function("has", TWO, BOOL, |args| has(args, HAS, false), "`a has b`: b is a term (or terms) of a, ignoring case"),
    function("!has", TWO, BOOL, |args| has(args, HAS, true), "`a !has b`"),
    function("has_cs", TWO, BOOL, |args| has(args, HAS_CS, false), "`a has_cs b`: with regard to case"),
    function("!has_cs", TWO, BOOL, |args| has(args, HAS_CS, true), "`a !has_cs b`"),
    function(
        "hasprefix",
        TWO,
        BOOL,
        |args| has(args, PREFIX, false),
        "`a hasprefix b`: a term of a starts with b, ignoring case",
    ),
    function("!hasprefix", TWO, BOOL, |args| has(args, PREFIX, true), "`a !hasprefix b`"),
    function("hasprefix_cs", TWO, BOOL, |args| has(args, PREFIX_CS, false), "`a hasprefix_cs b`: with regard to case"),
    function("!hasprefix_cs", TWO, BOOL, |args| has(args, PREFIX_CS, true), "`a !hasprefix_cs b`"),
    function(
        "hassuffix",
        TWO,
        BOOL,
        |args| has(args, SUFFIX, false),
        "`a hassuffix b`: a term of a ends with b, ignoring case",
    ),
    function("!hassuffix", TWO, BOOL, |args| has(args, SUFFIX, true), "`a !hassuffix b`"),
    function("hassuffix_cs", TWO, BOOL, |args| has(args, SUFFIX_CS, false), "`a hassuffix_cs b`: with regard to case"),
    function("!hassuffix_cs", TWO, BOOL, |args| has(args, SUFFIX_CS, true), "`a !hassuffix_cs b`"),
    function(
        "has_any",
        &[Want::Text, Want::Any],
        BOOL,
        |args| has_list(args, false),
        "`a has_any (b, c)`: has one of the terms",
    )
    .repeating(1)
    .prepared(needles),
    function(
        "has_all",
        &[Want::Text, Want::Any],
        BOOL,
        |args| has_list(args, true),
        "`a has_all (b, c)`: has each of the terms",
    )
    .repeating(1)
    .prepared(needles),
];

fn has(args: &Args<'_>, rule: Rule, negated: bool) -> ArrayRef {
    let (a, b) = (args.text(0), args.text(1));
    let mut search = Search::default();
    args.bools(|row| search.find(a.get(row), b.get(row), rule) != negated)
}

fn needles(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    let mut needles = Vec::new();
    for constant in &constants[1..] {
        match constant {
            Some(Scalar::Dynamic(list)) => {
                match json::elements(list, |item| needles.push(text::dynamic_text(item).into_owned())) {
                    Some(()) => {}
                    None => needles.push(text::dynamic_text(list).into_owned()),
                }
            }
            Some(scalar) => needles.push(text::to_text(scalar)),
            None => return Ok(Prepared::Nothing),
        }
    }
    Ok(Prepared::Needles(needles))
}

fn has_list(args: &Args<'_>, all: bool) -> ArrayRef {
    let value = args.text(0);
    let mut search = Search::default();
    if let Prepared::Needles(needles) = args.prepared {
        return args.bools(|row| {
            let text = value.get(row);
            if all {
                needles.iter().all(|needle| search.find(text, needle, HAS))
            } else {
                needles.iter().any(|needle| search.find(text, needle, HAS))
            }
        });
    }
    let lists: Vec<(Texts<'_>, bool)> = (1..args.len())
        .filter(|n| matches!(args.types[*n], ColumnType::String | ColumnType::Guid | ColumnType::Dynamic))
        .map(|n| (args.text(n), args.types[n] == ColumnType::Dynamic))
        .collect();
    args.bools(|row| {
        let text = value.get(row);
        let mut found = all;
        let mut check = |needle: &str| {
            let hit = search.find(text, needle, HAS);
            found = if all { found && hit } else { found || hit };
        };
        for (list, dynamic) in &lists {
            let item = list.get(row);
            if !dynamic || json::elements(item, |element| check(&text::dynamic_text(element))).is_none() {
                check(&text::dynamic_text(item));
            }
        }
        found
    })
}

/// Whether `needle` is a term of `text`, ignoring case.
pub(super) fn has_term(text: &str, needle: &str) -> bool {
    Search::default().find(text, needle, HAS)
}

/// Buffers for lower-cased text, kept over the rows.
#[derive(Default)]
struct Search {
    text: String,
    needle: String,
}

impl Search {
    fn find(&mut self, text: &str, needle: &str, rule: Rule) -> bool {
        if needle.is_empty() {
            return true;
        }
        let ascii = text.is_ascii() && needle.is_ascii();
        if ascii && rule.ignore_case {
            return matches(text, needle, rule, |from| find_ascii(text.as_bytes(), needle.as_bytes(), from));
        }
        let (text, needle) = if rule.ignore_case {
            self.text.clear();
            self.needle.clear();
            push_lower(text, &mut self.text);
            push_lower(needle, &mut self.needle);
            (self.text.as_str(), self.needle.as_str())
        } else {
            (text, needle)
        };
        matches(text, needle, rule, |from| text.get(from..)?.find(needle).map(|offset| from + offset))
    }
}

fn matches(text: &str, needle: &str, rule: Rule, find: impl Fn(usize) -> Option<usize>) -> bool {
    let needs_start = rule.start && needle.chars().next().is_some_and(char::is_alphanumeric);
    let needs_end = rule.end && needle.chars().next_back().is_some_and(char::is_alphanumeric);
    let mut from = 0;
    while let Some(start) = find(from) {
        let end = start + needle.len();
        let starts = !needs_start || !text[..start].chars().next_back().is_some_and(char::is_alphanumeric);
        let ends = !needs_end || !text[end..].chars().next().is_some_and(char::is_alphanumeric);
        if starts && ends {
            return true;
        }
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
    }
    false
}
