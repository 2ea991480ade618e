//! What becomes of a call's rows between the `204` and the table.
//!
//! One pass over the body: values are matched to the stream's columns, mistyped ones become null, long ones are cut,
//! undeclared ones fall away, `TimeGenerated` is set straight, and each row is billed and written down once per table
//! that its stream flows into. Nothing is reported to the sender; everything is counted. A body that is not wholly an
//! array of objects stores nothing.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::billed;
use crate::cell::{self, Cell, Fate};
use crate::counters::{ByName, TableCounters, count_name};
use crate::rules::{Stream, Target};

/// The receive time, and whether it replaces times that are out of range.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: DateTime<Utc>,
    pub(crate) time_rule: bool,
}

/// What one call brings to one table: stored rows as JSON objects, and what happened to them.
#[derive(Debug, Default)]
pub(crate) struct TableRows {
    pub(crate) rows: Vec<Box<str>>,
    pub(crate) counters: TableCounters,
}

/// Reads a call's body for `stream`.
///
/// Returns one entry per target of the stream, in its order. The error is the reason for a 400, in words.
pub(crate) fn read_rows(body: &[u8], stream: &Stream, clock: Clock) -> Result<Vec<TableRows>, String> {
    let mut reader = Reader::new(stream, clock);
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_seq(RowsVisitor(&mut reader))
        .and_then(|()| json.end())
        .map_err(|cause| format!("malformed JSON: the body must be an array of objects ({cause})"))?;
    Ok(reader.finish())
}

struct Reader<'s, 'de> {
    stream: &'s Stream,
    clock: Clock,
    now_json: String,
    time_column: Option<usize>,
    /// The current row, by column of the stream.
    cells: Vec<Option<Cell<'de>>>,
    undeclared: ByName,
    /// By column of the stream.
    mismatched: Vec<u64>,
    converted: Vec<u64>,
    truncated: Vec<u64>,
    tables: Vec<TableRows>,
    /// By table: whether the current row carries a forbidden column.
    is_forbidden: Vec<bool>,
}

impl<'s, 'de> Reader<'s, 'de> {
    fn new(stream: &'s Stream, clock: Clock) -> Self {
        let columns = stream.columns.len();
        Self {
            stream,
            clock,
            now_json: format!("\"{}\"", clock.now.format("%Y-%m-%dT%H:%M:%S%.6f0Z")),
            time_column: stream.index.get("TimeGenerated").copied(),
            cells: vec![None; columns],
            undeclared: ByName::new(),
            mismatched: vec![0; columns],
            converted: vec![0; columns],
            truncated: vec![0; columns],
            tables: stream.targets.iter().map(|_| TableRows::default()).collect(),
            is_forbidden: vec![false; stream.targets.len()],
        }
    }

    fn declared_value(&mut self, column: usize, raw: &'de str) -> Result<(), cell::BadValue> {
        let (cell, fate) = cell::read(self.stream.columns[column].kind, raw)?;
        match fate {
            Fate::Kept => {}
            Fate::Converted => self.converted[column] += 1,
            Fate::Truncated => self.truncated[column] += 1,
            Fate::Mismatched => self.mismatched[column] += 1,
        }
        // A name that stands twice in an object: the last value wins, as in most JSON readers.
        self.cells[column] = cell;
        Ok(())
    }

    fn undeclared_value(&mut self, name: &str, is_null: bool) {
        count_name(&mut self.undeclared, name, 1);
        if is_null {
            return;
        }
        for (at, target) in self.stream.targets.iter().enumerate() {
            if target.native.forbidden.contains(name) {
                self.is_forbidden[at] = true;
                count_name(&mut self.tables[at].counters.forbidden_columns, name, 1);
            }
        }
    }

    /// Writes the current row into each table and clears it.
    fn end_row(&mut self) {
        for (at, target) in self.stream.targets.iter().enumerate() {
            let row = self.stored_row(at, target);
            self.tables[at].rows.push(row.into_boxed_str());
            self.is_forbidden[at] = false;
        }
        self.cells.fill(None);
    }

    fn stored_row(&mut self, at: usize, target: &Target) -> String {
        let counters = &mut self.tables[at].counters;
        let time = self.time_column.and_then(|column| self.cells[column].as_ref());
        let time_json = match time {
            None => {
                counters.time_missing += 1;
                &self.now_json
            }
            Some(time) if self.clock.time_rule && is_out_of_range(time.time, self.clock.now) => {
                counters.time_rewritten += 1;
                &self.now_json
            }
            Some(time) => time.json.as_ref(),
        };
        let mut billed_bytes = billed::DATETIME_BYTES;
        let mut row = String::with_capacity(1024);
        row.push_str("{\"TimeGenerated\":");
        row.push_str(time_json);
        for (column, cell) in self.cells.iter().enumerate() {
            let Some(cell) = cell else { continue };
            let name = &self.stream.columns[column].name;
            if target.forbidden[column] {
                self.is_forbidden[at] = true;
                count_name(&mut counters.forbidden_columns, name, 1);
            }
            if !target.stored[column] {
                count_name(&mut counters.dropped_columns, name, 1);
                continue;
            }
            if Some(column) == self.time_column {
                continue;
            }
            billed_bytes += cell.billed_bytes;
            row.push_str(",\"");
            row.push_str(name);
            row.push_str("\":");
            row.push_str(&cell.json);
        }
        counters.rows += 1;
        counters.billed_bytes += billed_bytes;
        counters.alias_columns += u64::from(self.is_forbidden[at]);
        let tail = format!(
            ",\"Type\":\"{}\",\"_BilledSize\":{billed_bytes},\"_TimeReceived\":{}}}",
            target.table, self.now_json
        );
        row.push_str(&tail);
        row
    }

    fn finish(mut self) -> Vec<TableRows> {
        for table in &mut self.tables {
            let by_column = [
                (&mut table.counters.mismatched_values, &self.mismatched),
                (&mut table.counters.converted_values, &self.converted),
                (&mut table.counters.truncated_values, &self.truncated),
            ];
            for (names, counts) in by_column {
                for (column, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                    count_name(names, &self.stream.columns[column].name, *count);
                }
            }
            for (name, count) in &self.undeclared {
                count_name(&mut table.counters.dropped_columns, name, *count);
            }
        }
        self.tables
    }
}

/// Older than 2 days, or more than 1 day ahead.
fn is_out_of_range(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    time < now - TimeDelta::days(2) || time > now + TimeDelta::days(1)
}

struct RowsVisitor<'r, 's, 'de>(&'r mut Reader<'s, 'de>);

impl<'de> Visitor<'de> for RowsVisitor<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(RowSeed(self.0))?.is_some() {}
        Ok(())
    }
}

struct RowSeed<'r, 's, 'de>(&'r mut Reader<'s, 'de>);

impl<'de> DeserializeSeed<'de> for RowSeed<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<(), A::Error> {
        while let Some(name) = row.next_key_seed(NameSeed(self.0.stream))? {
            match name {
                Name::Declared(column) => {
                    let raw: &'de RawValue = row.next_value()?;
                    self.0.declared_value(column, raw.get()).map_err(A::Error::custom)?;
                }
                Name::Undeclared(name) => {
                    let is_null = row.next_value::<Option<IgnoredAny>>()?.is_none();
                    self.0.undeclared_value(&name, is_null);
                }
            }
        }
        self.0.end_row();
        Ok(())
    }
}

enum Name {
    Declared(usize),
    Undeclared(String),
}

/// Finds a property's column without copying the name.
struct NameSeed<'s>(&'s Stream);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Name;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Name, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(self.0.index.get(name).map_or_else(|| Name::Undeclared(name.to_owned()), |column| Name::Declared(*column)))
    }
}

#[cfg(test)]
mod tests;
