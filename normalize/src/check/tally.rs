//! Counts of what was found, by rule and field.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::check::rule::Rule;

/// Most values that a finding lists: as many as the official testers print.
pub(super) const MAX_VALUES: usize = 10;
/// Characters of a listed value; more are cut.
const MAX_VALUE_CHARS: usize = 120;
/// Most different values that are told apart, so that a check of a whole lake holds its memory.
const MAX_DISTINCT: usize = 1 << 20;

/// Where the rows of a batch stand: in what, and at which numbers.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The file or table.
    pub place: &'a Arc<str>,
    /// The rows' numbers there.
    pub numbers: Numbers<'a>,
}

/// The numbers of a batch's rows.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// The first row's; the others follow.
    From(u64),
    /// Each row's.
    Each(&'a [u64]),
}

impl Origin<'_> {
    fn of(&self, row: usize) -> Place {
        let number = match self.numbers {
            Numbers::From(first) => first + row as u64,
            Numbers::Each(numbers) => numbers.get(row).copied().unwrap_or_default(),
        };
        Place { place: Arc::clone(self.place), number }
    }
}

/// Where an example row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    place: Arc<str>,
    number: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.place, self.number)
    }
}

/// What one rule found in one field.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Rows.
    pub(super) count: u64,
    /// Hashes of the offending values.
    seen: HashSet<u64>,
    /// The first of them, cut.
    pub(super) values: Vec<String>,
    pub(super) example: Option<Place>,
    /// What the rule's own text does not tell, such as the two types of a mismatch.
    pub(super) detail: String,
}

impl Entry {
    /// How many different values offend; at most 2^20 are told apart.
    pub(super) fn distinct(&self) -> u64 {
        self.seen.len() as u64
    }
}

/// Everything found.
#[derive(Debug, Default)]
pub(super) struct Tally {
    entries: BTreeMap<(Rule, Arc<str>), Entry>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Tally {
    /// Counts a row whose `value` offends.
    pub(super) fn value(&mut self, rule: Rule, field: &Arc<str>, row: usize, value: &str, origin: &Origin<'_>) {
        let hash = self.hasher.hash_one(value);
        let entry = self.entry(rule, field);
        entry.count += 1;
        if entry.example.is_none() {
            entry.example = Some(origin.of(row));
        }
        if entry.seen.len() < MAX_DISTINCT && entry.seen.insert(hash) && entry.values.len() < MAX_VALUES {
            entry.values.push(cut(value));
        }
    }

    /// Counts `count` rows, the first of them `first`, of which there is no value to show.
    pub(super) fn rows(&mut self, rule: Rule, field: &Arc<str>, count: u64, first: usize, origin: &Origin<'_>) {
        let entry = self.entry(rule, field);
        entry.count += count;
        if entry.example.is_none() {
            entry.example = Some(origin.of(first));
        }
    }

    /// Notes what is the same for all rows.
    pub(super) fn column(&mut self, rule: Rule, field: &str, detail: String) {
        let entry = self.entry(rule, &Arc::from(field));
        entry.count = 1;
        entry.detail = detail;
    }

    /// Says more of what a rule found in a field, if it found anything.
    pub(super) fn explain(&mut self, rule: Rule, field: &Arc<str>, detail: impl FnOnce() -> String) {
        if let Some(entry) = self.entries.get_mut(&(rule, Arc::clone(field)))
            && entry.detail.is_empty()
        {
            entry.detail = detail();
        }
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = ((Rule, Arc<str>), Entry)> {
        self.entries.into_iter()
    }

    fn entry(&mut self, rule: Rule, field: &Arc<str>) -> &mut Entry {
        self.entries.entry((rule, Arc::clone(field))).or_default()
    }
}

/// The value on one line, cut to [`MAX_VALUE_CHARS`].
fn cut(value: &str) -> String {
    let mut chars = value.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String = chars.by_ref().take(MAX_VALUE_CHARS).collect();
    if chars.next().is_some() {
        text.push('…');
    }
    text
}
