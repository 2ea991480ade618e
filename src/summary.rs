//! What a run did, counted per table, and how it is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use weir_contract::batch::Batch;
use weir_contract::dead_letter::DeadLetter;
use weir_normalize::normalizer::Normalized;
use weir_sink::sink::SinkSummary;

use crate::router::DEFAULT_ROUTE;

/// A format of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    /// Tables for people.
    Text,
    /// One JSON object.
    Json,
}

/// Stands for the table of dead letters that tell none.
pub(crate) const NO_TABLE: &str = "(not decodable)";

/// Counts that the stages before the sinks make.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    raw: BTreeMap<String, RawTotals>,
    dead_letters: BTreeMap<String, u64>,
    dead_letters_by_table: BTreeMap<String, u64>,
    billed_bytes: BTreeMap<String, u64>,
    dropped_by_route: BTreeMap<String, u64>,
}

/// What became of the records of one raw table.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RawTotals {
    /// Records decoded.
    pub(crate) records: u64,
    /// Their raw bytes.
    pub(crate) bytes: u64,
    /// Records that at least one mapping claimed.
    pub(crate) mapped: u64,
    /// Records that went on under their raw table.
    pub(crate) passed_through: u64,
    /// Per mapping: what it claimed, made and dropped.
    pub(crate) mappings: BTreeMap<String, MappingTotals>,
}

/// What one mapping did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MappingTotals {
    /// The table that its rows belong to.
    pub(crate) target: String,
    /// Records claimed.
    pub(crate) claimed: u64,
    /// Rows made.
    pub(crate) rows: u64,
    /// Claimed records that its own query dropped.
    pub(crate) filtered: u64,
    /// Claimed records that it failed at; they are kept as dead letters.
    pub(crate) refused: u64,
}

impl Totals {
    pub(crate) fn count_decoded(&mut self, batch: &Batch) {
        let raw = self.raw.entry(batch.table.to_string()).or_default();
        raw.records += batch.rows.num_rows() as u64;
        raw.bytes += batch.raw_bytes;
    }

    pub(crate) fn count_dead_letters(&mut self, letters: &[DeadLetter]) {
        for letter in letters {
            *self.dead_letters.entry(letter.reason.to_owned()).or_default() += 1;
            let table = letter.table.as_deref().unwrap_or(NO_TABLE);
            *self.dead_letters_by_table.entry(table.to_owned()).or_default() += 1;
        }
    }

    pub(crate) fn count_normalized(&mut self, table: &str, normalized: &Normalized) {
        let raw = self.raw.entry(table.to_owned()).or_default();
        raw.passed_through += normalized.passed_through;
        for outcome in &normalized.outcomes {
            let mapping = raw.mappings.entry(outcome.mapping.to_string()).or_default();
            mapping.target = outcome.target.to_string();
            mapping.claimed += outcome.rows_in;
            mapping.rows += outcome.rows_out;
            mapping.filtered += outcome.rows_in.saturating_sub(outcome.rows_out + outcome.refused);
            mapping.refused += outcome.refused;
        }
        raw.mapped = raw.records - raw.passed_through.min(raw.records);
    }

    pub(crate) fn count_billed(&mut self, table: &str, bytes: u64) {
        *self.billed_bytes.entry(table.to_owned()).or_default() += bytes;
    }

    pub(crate) fn count_dropped(&mut self, route: &str, rows: u64) {
        *self.dropped_by_route.entry(route.to_owned()).or_default() += rows;
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (table, more) in other.raw {
            let raw = self.raw.entry(table).or_default();
            raw.records += more.records;
            raw.bytes += more.bytes;
            raw.mapped += more.mapped;
            raw.passed_through += more.passed_through;
            for (name, more) in more.mappings {
                let mapping = raw.mappings.entry(name).or_default();
                mapping.target = more.target;
                mapping.claimed += more.claimed;
                mapping.rows += more.rows;
                mapping.filtered += more.filtered;
                mapping.refused += more.refused;
            }
        }
        let sums = [
            (&mut self.dead_letters, other.dead_letters),
            (&mut self.dead_letters_by_table, other.dead_letters_by_table),
            (&mut self.billed_bytes, other.billed_bytes),
            (&mut self.dropped_by_route, other.dropped_by_route),
        ];
        for (into, from) in sums {
            for (key, more) in from {
                *into.entry(key).or_default() += more;
            }
        }
    }
}

/// The summary of a run, as `--summary json` prints it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    /// Records read: decoded ones and dead letters of the decoder.
    pub(crate) records: u64,
    /// Raw bytes of the decoded records.
    pub(crate) bytes: u64,
    /// Wall time.
    pub(crate) seconds: f64,
    /// Per raw table.
    pub(crate) raw_tables: BTreeMap<String, RawTotals>,
    /// Records of tables that no mapping claims.
    pub(crate) passed_through: u64,
    /// Per reason of the decoder.
    pub(crate) dead_letters: BTreeMap<String, u64>,
    /// The same, per table that the record was on its way to; [`NO_TABLE`] where it could not be told.
    pub(crate) dead_letters_by_table: BTreeMap<String, u64>,
    /// Rows dropped by a route with an empty list of sinks.
    pub(crate) dropped_by_route: BTreeMap<String, u64>,
    /// Per sink and table.
    pub(crate) sinks: BTreeMap<String, BTreeMap<String, WrittenTotals>>,
    /// Estimated billed bytes of the normalised rows, per table.
    pub(crate) billed_bytes: BTreeMap<String, u64>,
}

/// What a sink wrote to a table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WrittenTotals {
    /// Durable rows.
    pub(crate) rows: u64,
    /// Parquet bytes, or compressed request bytes.
    pub(crate) bytes: u64,
    /// Bytes billed for delivered rows (0 for the lake).
    pub(crate) billed_bytes: u64,
    /// Rows that the sink's target refused; the lake keeps them as dead letters.
    pub(crate) refused: u64,
}

impl Summary {
    /// Puts the counts of a run together.
    pub(crate) fn new(totals: Totals, sinks: &[(String, SinkSummary)], elapsed: Duration) -> Self {
        let decoded: u64 = totals.raw.values().map(|raw| raw.records).sum();
        let refused: u64 = totals.dead_letters.values().sum();
        let written = sinks.iter().map(|(name, summary)| {
            let tables = summary.tables.iter().map(|(table, t)| {
                let written =
                    WrittenTotals { rows: t.rows, bytes: t.bytes, billed_bytes: t.billed_bytes, refused: t.refused };
                (table.clone(), written)
            });
            (name.clone(), tables.collect())
        });
        Self {
            records: decoded + refused,
            bytes: totals.raw.values().map(|raw| raw.bytes).sum(),
            seconds: elapsed.as_secs_f64(),
            passed_through: totals.raw.values().map(|raw| raw.passed_through).sum(),
            raw_tables: totals.raw,
            dead_letters: totals.dead_letters,
            dead_letters_by_table: totals.dead_letters_by_table,
            dropped_by_route: totals.dropped_by_route,
            sinks: written.collect(),
            billed_bytes: totals.billed_bytes,
        }
    }

    /// The summary as text for a person.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let refused: u64 = self.dead_letters.values().sum();
        let rate = self.bytes as f64 / 1e6 / self.seconds.max(1e-9);
        let _ = writeln!(
            text,
            "{} records, {} in {:.2} s ({rate:.0} MB/s, {:.0} events/s)\n",
            count(self.records),
            bytes(self.bytes),
            self.seconds,
            self.records as f64 / self.seconds.max(1e-9),
        );
        let mut input = Table::new(&["raw table", "records", "bytes", "mapped", "passed through", "filtered"]);
        for (table, raw) in &self.raw_tables {
            let filtered = raw.mappings.values().map(|mapping| mapping.filtered).sum();
            input.row([
                table.clone(),
                count(raw.records),
                bytes(raw.bytes),
                count(raw.mapped),
                count(raw.passed_through),
                count(filtered),
            ]);
        }
        if refused > 0 {
            let reasons: Vec<_> = self.dead_letters.iter().map(|(why, n)| format!("{why} {}", count(*n))).collect();
            input.row([
                format!("(dead letters: {})", reasons.join(", ")),
                count(refused),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ]);
        }
        text.push_str(&input.render());
        for (name, mapping) in self.raw_tables.values().flat_map(|raw| &raw.mappings) {
            if mapping.refused > 0 {
                let rows = count(mapping.refused);
                let _ = writeln!(text, "mapping {name} failed at {rows} records; they are kept in `dead_letters`");
            }
        }
        for (name, tables) in &self.sinks {
            let mut output = Table::new(&[&format!("{name}: table"), "rows", "bytes written", "billed bytes"]);
            for (table, written) in tables {
                let billed = if written.billed_bytes > 0 {
                    written.billed_bytes
                } else {
                    self.billed_bytes.get(table).copied().unwrap_or(0)
                };
                let billed = if billed > 0 { bytes(billed) } else { "-".to_owned() };
                output.row([table.clone(), count(written.rows), bytes(written.bytes), billed]);
            }
            text.push('\n');
            text.push_str(&output.render());
            for (table, written) in tables.iter().filter(|(_, written)| written.refused > 0) {
                let rows = count(written.refused);
                let _ = writeln!(text, "{name} refused {rows} rows of {table}; they are kept in `dead_letters`");
            }
        }
        for (route, rows) in &self.dropped_by_route {
            let rows = count(*rows);
            let _ = if route == DEFAULT_ROUTE {
                writeln!(text, "\n{rows} rows were dropped: there is no lake, and no route sends their tables on")
            } else {
                writeln!(text, "\nroute `{route}` dropped {rows} rows, as configured")
            };
        }
        text
    }
}

/// Text columns: the first left-aligned, the others right-aligned.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns from this one on are left-aligned again.
    texts_from: usize,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()], texts_from: headings.len() }
    }

    /// The same, with the columns from `column` on left-aligned.
    pub(crate) fn texts_from(mut self, column: usize) -> Self {
        self.texts_from = column;
        self
    }

    /// Appends a row; as many cells as headings.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Draws it, with a rule below the headings.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 || column >= self.texts_from {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
            if index == 0 {
                text.push_str(&"-".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1)));
                text.push('\n');
            }
        }
        text
    }
}

/// `1234567` → `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the units of the bill: powers of 1000.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [(&str, f64); 4] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    match UNITS.iter().find(|(_, size)| number as f64 >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", number as f64 / size),
        None => format!("{number} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_bytes_have_units() {
        assert_eq!(count(0), "0");
        assert_eq!(count(123), "123");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
    }

    #[test]
    fn a_table_aligns_its_columns() {
        let mut table = Table::new(&["name", "n"]);
        table.row(["a long name".to_owned(), "1".to_owned()]);
        assert_eq!(table.render(), "name         n\n--------------\na long name  1\n");
    }
}
