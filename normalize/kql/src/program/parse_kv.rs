//! `parse-kv`: named values out of `key=value` texts. The first occurrence of a key counts, blanks around it do not;
//! only listed keys are taken; a missing one is empty or null.

use arrow::array::{Array, ArrayRef, AsArray};
use regex::Regex;
use weir_contract::schema::ColumnType;

use super::parse::typed_column;

/// How pairs are told apart.
#[derive(Debug)]
pub(crate) struct KvPattern {
    pub(crate) columns: Vec<(String, ColumnType)>,
    pub(crate) pair_delimiters: Vec<char>,
    pub(crate) kv_delimiters: Vec<char>,
    /// Opening and closing quote characters.
    pub(crate) quotes: Option<(char, char)>,
    pub(crate) escape: Option<char>,
    /// A value goes on over pair delimiters until the next `key=`.
    pub(crate) greedy: bool,
    /// Groups 1 and 2 are key and value.
    pub(crate) regex: Option<Regex>,
}

impl KvPattern {
    /// One column per key.
    pub(crate) fn run(&self, texts: &ArrayRef) -> Vec<ArrayRef> {
        let texts = texts.as_string_view();
        let mut columns: Vec<Vec<Option<&str>>> = vec![vec![None; texts.len()]; self.columns.len()];
        for row in 0..texts.len() {
            if texts.is_null(row) {
                continue;
            }
            let mut set = |key: &str, value| {
                for ((name, _), column) in self.columns.iter().zip(&mut columns) {
                    if name == key && column[row].is_none() {
                        column[row] = Some(value);
                    }
                }
            };
            match &self.regex {
                Some(regex) => {
                    for captures in regex.captures_iter(texts.value(row)) {
                        if let (Some(key), Some(value)) = (captures.get(1), captures.get(2)) {
                            set(key.as_str().trim(), value.as_str().trim());
                        }
                    }
                }
                None => self.pairs(texts.value(row), set),
            }
        }
        columns.iter().zip(&self.columns).map(|(column, (_, ty))| typed_column(column, *ty)).collect()
    }

    fn pairs<'t>(&self, text: &'t str, mut set: impl FnMut(&str, &'t str)) {
        let is_pair_delimiter = |c: char| self.pair_delimiters.contains(&c);
        let is_kv_delimiter = |c: char| self.kv_delimiters.contains(&c);
        let mut rest = text;
        while !rest.is_empty() {
            let Some(stop) = rest.find(|c| is_pair_delimiter(c) || is_kv_delimiter(c)) else { return };
            let (key, after) = rest.split_at(stop);
            let delimiter = after.chars().next().unwrap_or(' ');
            let value = &after[delimiter.len_utf8()..];
            if !is_kv_delimiter(delimiter) {
                rest = value;
                continue;
            }
            let key = key.trim();
            let key = match self.quotes {
                Some((open, close)) => key.strip_prefix(open).and_then(|key| key.strip_suffix(close)).unwrap_or(key),
                None => key,
            };
            let blanks_delimit = is_pair_delimiter(' ');
            let trimmed = if blanks_delimit { value } else { value.trim_start() };
            if let Some((open, close)) = self.quotes
                && let Some(inner) = trimmed.strip_prefix(open)
                && let Some(end) = self.closing_quote(inner, close)
            {
                set(key, &inner[..end]);
                rest = &inner[end + close.len_utf8()..];
                continue;
            }
            let end = if self.greedy { self.greedy_end(value) } else { value.find(is_pair_delimiter) };
            let end = end.unwrap_or(value.len());
            set(key, value[..end].trim());
            rest = &value[end..];
        }
    }

    fn closing_quote(&self, text: &str, close: char) -> Option<usize> {
        let mut escaped = false;
        for (position, c) in text.char_indices() {
            if escaped {
                escaped = false;
            } else if Some(c) == self.escape {
                escaped = true;
            } else if c == close {
                return Some(position);
            }
        }
        None
    }

    /// The last pair delimiter before the next key.
    fn greedy_end(&self, text: &str) -> Option<usize> {
        let next_kv = text.find(|c| self.kv_delimiters.contains(&c))?;
        text[..next_kv].trim_end().rfind(|c| self.pair_delimiters.contains(&c))
    }
}
