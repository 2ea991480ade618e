//! `lookup` and `join kind=inner` against a constant table: a hash map from key to its rows.
//!
//! Null equals null, and an event that matches two rows becomes two rows, as in Kusto.

use ahash::AHashMap;
use arrow::array::{ArrayBuilder, ArrayRef, UInt32Array, UInt32Builder};
use arrow::compute::take;
use weir_contract::schema::ColumnType;

use super::EvalError;
use super::selection::{Selection, SelectionKind};
use crate::functions::args::Args;
use crate::functions::{Prepared, Printer};
use crate::scalar::Value;

/// Which events stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matching {
    /// Those with a match, once per match.
    Inner,
    /// All, once per match.
    Outer,
    /// Those with a match, once.
    Semi,
    /// Those without a match.
    Anti,
}

/// A constant table, indexed.
#[derive(Debug)]
pub(crate) struct ProbeTable {
    rows: AHashMap<String, Vec<u32>>,
    /// Columns that the probe brings; a missing match takes their last row, which holds the type's empty value.
    columns: Vec<ArrayRef>,
    matching: Matching,
    key_types: Vec<ColumnType>,
    /// No key has two rows: the event's columns need no gathering.
    unique: bool,
}

impl ProbeTable {
    /// Indexes `keys` (of `key_types`) over `rows` rows; `columns` are what a match brings.
    pub(crate) fn new(
        keys: &[ArrayRef],
        key_types: Vec<ColumnType>,
        columns: Vec<ArrayRef>,
        rows: usize,
        matching: Matching,
    ) -> Self {
        let values: Vec<Value> = keys.iter().cloned().map(Value::Array).collect();
        let mut index: AHashMap<String, Vec<u32>> = AHashMap::new();
        for_each_key(&values, &key_types, rows, |row, key| {
            index.entry(key.to_owned()).or_default().push(row as u32);
        });
        let unique = index.values().all(|rows| rows.len() == 1);
        Self { rows: index, columns, matching, key_types, unique }
    }

    /// Matches each of `rows` rows.
    pub(crate) fn probe(&self, keys: &[Value], rows: usize) -> Result<Selection, EvalError> {
        let mut left = UInt32Builder::new();
        let mut right = UInt32Builder::new();
        for_each_key(keys, &self.key_types, rows, |row, key| match self.rows.get(key) {
            Some(_) if self.matching == Matching::Anti => {}
            Some(_) if self.matching == Matching::Semi => {
                left.append_value(row as u32);
                right.append_null();
            }
            Some(matches) => {
                for matched in matches {
                    left.append_value(row as u32);
                    right.append_value(*matched);
                }
            }
            None if matches!(self.matching, Matching::Outer | Matching::Anti) => {
                left.append_value(row as u32);
                right.append_null();
            }
            None => {}
        });
        let right: UInt32Array = right.finish();
        let columns = self.columns.iter().map(|column| take(column, &right, None)).collect::<Result<Vec<_>, _>>()?;
        let rows_left = left.len();
        let kind = if self.unique && self.matching == Matching::Outer {
            SelectionKind::All
        } else {
            SelectionKind::Take(left.finish())
        };
        Ok(Selection { rows: rows_left, kind, columns })
    }
}

/// Writes each row's key as one text: per column a mark for null or value, the value's text, a separator.
fn for_each_key(keys: &[Value], types: &[ColumnType], rows: usize, mut visit: impl FnMut(usize, &str)) {
    let prepared = Prepared::Nothing;
    let args = Args { values: keys, types, rows, prepared: &prepared, now: 0 };
    let printers: Vec<Printer<'_>> = (0..keys.len()).map(|n| Printer::new(&args, n)).collect();
    let mut key = String::new();
    for row in 0..rows {
        key.clear();
        for (n, printer) in printers.iter().enumerate() {
            key.push(if args.is_null(n, row) { 'n' } else { 'v' });
            printer.text(row, &mut key);
            key.push('\u{1f}');
        }
        visit(row, &key);
    }
}
