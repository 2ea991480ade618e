//! Regular expressions: Rust `regex` syntax, which KQL's page describes, but a `{` that starts no valid repetition
//! counts as itself (27 of the literals in public parsers rely on it).

use std::borrow::Cow;

use ahash::AHashMap;
use arrow::array::ArrayRef;
use regex::{Regex, RegexBuilder};
use weir_contract::schema::ColumnType::{self, Bool, Dynamic, Long, String as Str};

use super::args::{Args, Texts};
use super::prepared::{Prepared, one_of};
use super::{Function, Returns, Want, function};
use crate::json;
use crate::scalar::Scalar;

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "matches regex",
        &[Want::Str; 2],
        Returns::Ty(Bool),
        matches,
        "`a matches regex pattern`: the pattern is found anywhere in a",
    )
    .prepared(second),
    function(
        "extract",
        &[Want::Str, Want::Long, Want::Str],
        Returns::Ty(Str),
        extract,
        "`extract(pattern, group, text[, typeof(type)])`: the group of the first match",
    )
    .constant_at(&[0])
    .prepared(first),
    function(
        "extract_all",
        &[Want::Str, Want::Any, Want::Str],
        Returns::Ty(Dynamic),
        extract_all,
        "`extract_all(pattern, [groups,] text)`: an array of all matches; null if there is none",
    )
    .requires(2)
    .constant_at(&[0])
    .prepared(first),
    function(
        "replace_regex",
        &[Want::Str; 3],
        Returns::Ty(Str),
        replace,
        "`replace_regex(text, pattern, rewrite)`: `\\1` stands for a group",
    )
    .constant_at(&[1, 2])
    .prepared(second),
    function(
        "trim",
        &[Want::Str; 2],
        Returns::Ty(Str),
        |args| trim(args, true, true),
        "`trim(pattern, text)`: what the pattern matches at either end removed",
    )
    .constant_at(&[0])
    .prepared(at_ends),
    function(
        "trim_start",
        &[Want::Str; 2],
        Returns::Ty(Str),
        |args| trim(args, true, false),
        "`trim_start(pattern, text)`",
    )
    .constant_at(&[0])
    .prepared(at_ends),
    function(
        "trim_end",
        &[Want::Str; 2],
        Returns::Ty(Str),
        |args| trim(args, false, true),
        "`trim_end(pattern, text)`",
    )
    .constant_at(&[0])
    .prepared(at_ends),
    function(
        "countof",
        &[Want::Str, Want::Str, Want::Str],
        Returns::Ty(Long),
        count_of,
        "`countof(text, search[, \"normal\"|\"regex\"])`: occurrences; plain ones may overlap",
    )
    .requires(2)
    .constant_at(&[2])
    .prepared(kind),
    function(
        "regex_quote",
        &[Want::Text],
        Returns::Ty(Str),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| out.push_str(&regex::escape(a.get(row))))
        },
        "`regex_quote(text)`: a pattern that matches exactly the text",
    ),
    function(
        "has_any_index",
        &[Want::Str, Want::Dynamic],
        Returns::Ty(Long),
        super::arrays::has_any_index,
        "`has_any_index(text, terms)`: the place of the first term that is found, or -1",
    ),
];

fn kind(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    one_of(&["normal", "regex"], constants.get(2).and_then(Option::as_ref), str::to_ascii_lowercase)
}

/// Compiles a KQL pattern.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern).octal(true).size_limit(8 << 20).build().map_err(|error| error.to_string())
    };
    match build(pattern) {
        Ok(regex) => Ok(regex),
        Err(error) => build(&escape_braces(pattern))
            .map_err(|_| format!("bad regular expression: {}", error.lines().last().unwrap_or_default().trim())),
    }
}

/// Escapes each `{` that starts no counted repetition, outside of escapes.
fn escape_braces(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(position) = rest.find(['\\', '{']) {
        out.push_str(&rest[..position]);
        let tail = &rest[position..];
        if let Some(after) = tail.strip_prefix('\\') {
            let length = 1 + after.chars().next().map_or(0, char::len_utf8);
            let braced = after.starts_with(['p', 'P', 'x', 'u', 'U', 'b']) && after[1..].starts_with('{');
            let length = if braced { tail.find('}').map_or(length, |end| end + 1) } else { length };
            out.push_str(&tail[..length]);
            rest = &tail[length..];
            continue;
        }
        let inner = tail[1..].find('}').map(|end| &tail[1..=end]);
        let counted = inner.is_some_and(|inner| {
            let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
            !low.is_empty() && low.bytes().chain(high.bytes()).all(|b| b.is_ascii_digit())
        });
        out.push_str(if counted { "{" } else { "\\{" });
        rest = &tail[1..];
    }
    out.push_str(rest);
    out
}

fn of_constant(constant: Option<&Scalar>, wrap: fn(&str) -> String) -> Result<Prepared, String> {
    match constant.and_then(Scalar::as_str) {
        Some(pattern) => {
            // The pattern alone first: its error names what the author wrote.
            compile(pattern)?;
            Ok(Prepared::Regex(compile(&wrap(pattern))?))
        }
        None => Ok(Prepared::Nothing),
    }
}

fn first(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    of_constant(constants[0].as_ref(), str::to_owned)
}

fn second(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    of_constant(constants[1].as_ref(), str::to_owned)
}

fn at_ends(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    of_constant(constants[0].as_ref(), whole)
}

fn whole(pattern: &str) -> String {
    format!("(?:{pattern})")
}

/// The prepared pattern, or one per distinct text of a pattern column. A pattern that does not compile matches nothing.
struct Patterns<'a> {
    prepared: Option<&'a Regex>,
    texts: Texts<'a>,
    cache: AHashMap<String, Option<Regex>>,
}

impl<'a> Patterns<'a> {
    fn new(args: &Args<'a>, n: usize) -> Self {
        let prepared = match args.prepared {
            Prepared::Regex(regex) => Some(regex),
            _ => None,
        };
        Self { prepared, texts: args.text(n), cache: AHashMap::new() }
    }

    fn get(&mut self, row: usize) -> Option<&Regex> {
        if self.prepared.is_some() {
            return self.prepared;
        }
        let text = self.texts.get(row);
        if !self.cache.contains_key(text) {
            self.cache.insert(text.to_owned(), compile(text).ok());
        }
        self.cache.get(text).and_then(Option::as_ref)
    }
}

fn matches(args: &Args<'_>) -> ArrayRef {
    let a = args.text(0);
    let mut patterns = Patterns::new(args, 1);
    args.bools(|row| patterns.get(row).is_some_and(|regex| regex.is_match(a.get(row))))
}

fn extract(args: &Args<'_>) -> ArrayRef {
    let (group, a) = (args.long(1), args.text(2));
    let mut patterns = Patterns::new(args, 0);
    args.texts(|row, out| {
        let group = group.get(row).and_then(|group| usize::try_from(group).ok());
        if let (Some(regex), Some(group)) = (patterns.get(row), group)
            && let Some(captures) = regex.captures(a.get(row))
        {
            out.push_str(captures.get(group).map_or("", |found| found.as_str()));
        }
    })
}

fn extract_all(args: &Args<'_>) -> ArrayRef {
    let a = args.text(args.len() - 1);
    let groups = (args.len() > 2 && args.types[1] == Dynamic).then(|| args.text(1));
    let mut patterns = Patterns::new(args, 0);
    args.opt_texts(|row, out| {
        let Some(regex) = patterns.get(row) else { return false };
        let mut wanted: Vec<usize> = Vec::new();
        match groups {
            Some(groups) => {
                let _ = json::elements(groups.get(row), |group| {
                    let group = crate::text::dynamic_text(group);
                    let number =
                        group.parse().ok().or_else(|| regex.capture_names().position(|name| name == Some(&*group)));
                    wanted.extend(number);
                });
            }
            None => wanted.extend(1..regex.captures_len()),
        }
        if wanted.is_empty() {
            wanted.push(0);
        }
        out.push('[');
        let mut any = false;
        for captures in regex.captures_iter(a.get(row)) {
            if any {
                out.push(',');
            }
            any = true;
            if wanted.len() > 1 {
                out.push('[');
            }
            for (number, group) in wanted.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                json::write_string(out, captures.get(*group).map_or("", |found| found.as_str()));
            }
            if wanted.len() > 1 {
                out.push(']');
            }
        }
        out.push(']');
        any
    })
}

/// `\1` to the `${1}` of the regex crate; `$` counts as itself.
fn rewrite(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.peek() {
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str(&format!("${{{digit}}}"));
                    chars.next();
                }
                Some('\\') => {
                    out.push('\\');
                    chars.next();
                }
                _ => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

fn replace(args: &Args<'_>) -> ArrayRef {
    let (a, to) = (args.text(0), args.text(2));
    let constant = to.constant().map(rewrite);
    let mut patterns = Patterns::new(args, 1);
    args.texts(|row, out| {
        let text = a.get(row);
        let to: Cow<'_, str> = match &constant {
            Some(to) => Cow::Borrowed(to),
            None => Cow::Owned(rewrite(to.get(row))),
        };
        match patterns.get(row) {
            Some(regex) => out.push_str(&regex.replace_all(text, &*to)),
            None => out.push_str(text),
        }
    })
}

fn trim(args: &Args<'_>, start: bool, end: bool) -> ArrayRef {
    let a = args.text(1);
    let mut patterns = Patterns::new(args, 0);
    args.slices(|row| {
        let mut text = a.get(row);
        let Some(regex) = patterns.get(row) else { return Some(text) };
        if start
            && let Some(found) = regex.find(text)
            && found.start() == 0
        {
            text = &text[found.end()..];
        }
        if end
            && let Some(found) = regex.find_iter(text).last()
            && found.end() == text.len()
        {
            text = &text[..found.start()];
        }
        Some(text)
    })
}

fn count_of(args: &Args<'_>) -> ArrayRef {
    let (a, search, kind) = (args.text(0), args.text(1), args.text_or(2, "normal"));
    let mut patterns = Patterns::new(args, 1);
    args.longs(|row| {
        let (text, search) = (a.get(row), search.get(row));
        if kind.get(row).eq_ignore_ascii_case("regex") {
            return Some(patterns.get(row)?.find_iter(text).count() as i64);
        }
        if search.is_empty() {
            return Some(0);
        }
        let mut count = 0;
        let mut from = 0;
        while let Some(found) = text.get(from..).and_then(|rest| rest.find(search)) {
            count += 1;
            from += found + search.chars().next().map_or(1, char::len_utf8);
        }
        Some(count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brace_that_counts_nothing_is_itself() {
        for (pattern, text) in [("{?(.*?)}?$", "{x}"), ("a{1.3}", "a{1.3}"), ("a{2,3}", "aa"), (r"\x{41}{", "A{")] {
            let regex = compile(pattern).expect(pattern);
            assert!(regex.is_match(text), "{pattern} on {text}");
        }
        assert!(compile("(").is_err());
    }
}
