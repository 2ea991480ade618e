//! What sources and decoders count.
//!
//! Counters are touched once per batch and table, never per record. Sources count what only they know (lag,
//! connection, skipped records); records and bytes are counted by the decoder, the first to know a record's table.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use weir_contract::dead_letter::DeadLetterMetrics;
use weir_contract::metrics::MetricSet;
use weir_contract::position::SourceName;

use crate::push::metrics::PushMetrics;

/// Names of unknown columns that are told apart, per table: each is a time series, and a sender chooses it.
const MAX_COLUMNS: usize = 100;
/// Longest name of an unknown column in a label, in bytes.
const MAX_COLUMN_NAME: usize = 64;
/// The label of all further names.
pub(crate) const OTHER_COLUMNS: &str = "other";

/// The names of unknown columns that have a time series, by table. Cloning shares them.
#[derive(Debug, Clone, Default)]
struct ColumnNames(Arc<Mutex<HashMap<String, HashSet<String>>>>);

impl ColumnNames {
    /// The label of a column: its name with `_` for all but ASCII letters, digits, `_`, `-` and `.`.
    fn label(&self, table: &str, column: &str) -> String {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
        let clean = column.chars().map(|char| if is_plain(char) { char } else { '_' });
        let label: String = clean.take(MAX_COLUMN_NAME).collect();
        let mut tables = self.0.lock().expect("no panic while the names are held");
        if !tables.contains_key(table) {
            tables.insert(table.to_owned(), HashSet::new());
        }
        let names = tables.get_mut(table).expect("it was inserted if it was not there");
        if label.is_empty() || (names.len() >= MAX_COLUMNS && !names.contains(&label)) {
            return OTHER_COLUMNS.to_owned();
        }
        if !names.contains(&label) {
            names.insert(label.clone());
        }
        label
    }
}

/// The metrics of all sources and of the decoder. Cloning shares them.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    /// Records read, by source and table.
    pub records: IntCounterVec,
    /// Raw bytes read, by source and table.
    pub bytes: IntCounterVec,
    /// Newest offset minus committed offset, by source and partition.
    pub lag: IntGaugeVec,
    /// Records handed over whose position is not stored yet, by source: what a crash reads again.
    pub in_flight: IntGaugeVec,
    /// 1 while the source is connected to its service, else 0, by source.
    pub connected: IntGaugeVec,
    /// Records that a source passed over on purpose, by source and reason (such as `tombstone`).
    pub skipped: IntCounterVec,
    /// Files that a source knows, by source.
    pub files_known: IntGaugeVec,
    /// Files that were read to their end, by source.
    pub files_finished: IntGaugeVec,
    /// Files whose last line has not ended yet, or whose reading has not come to their end, by source.
    pub files_open: IntGaugeVec,
    /// Bytes of files, as stored, that are still to be read, by source.
    pub files_behind: IntGaugeVec,
    /// Files that could not be read to their end, by source.
    pub files_failed: IntCounterVec,
    /// Values kept in `UnknownColumns` because the table's schema has no such column, by table and column; counted by
    /// [`IngestMetrics::count_unknown_column`].
    unknown_columns: IntCounterVec,
    column_names: ColumnNames,
    /// Records of tables that have no schema, by table.
    pub unknown_tables: IntCounterVec,
    /// Values kept in `UnknownColumns` because they do not fit their column's type, by table.
    pub mistyped_values: IntCounterVec,
    /// Records refused, of all stages.
    pub dead_letters: DeadLetterMetrics,
    /// Time to decode one raw batch, by source.
    pub decode_seconds: HistogramVec,
    /// Those of push sources.
    pub(crate) push: PushMetrics,
}

impl IngestMetrics {
    /// Declares the metrics in `set`; once per set.
    pub fn new(set: &MetricSet) -> Self {
        Self {
            records: set.counter(
                "weir_source_records_total",
                "Records read and decoded, by the source and the table that they belong to",
                &["source", "table"],
            ),
            bytes: set.counter(
                "weir_source_bytes_total",
                "Raw bytes of the records in weir_source_records_total, uncompressed",
                &["source", "table"],
            ),
            lag: set.gauge(
                "weir_source_lag_records",
                "Newest offset of the partition minus the offset that is committed, in records",
                &["source", "partition"],
            ),
            in_flight: set.gauge(
                "weir_source_in_flight_records",
                "Records that were handed over and whose position is not stored yet: what a crash would read again (for \
                 Kafka, messages)",
                &["source"],
            ),
            connected: set.gauge(
                "weir_source_connected",
                "1 while the source is connected to its service, 0 while it is not",
                &["source"],
            ),
            skipped: set.counter(
                "weir_source_skipped_records_total",
                "Records that hold nothing to decode and were passed over, by reason",
                &["source", "reason"],
            ),
            files_known: set.gauge(
                "weir_source_files_known",
                "Files and objects that the source has read from, in this run or before, and remembers",
                &["source"],
            ),
            files_finished: set.gauge(
                "weir_source_files_finished",
                "Files and objects of weir_source_files_known that were read to their end",
                &["source"],
            ),
            files_open: set.gauge(
                "weir_source_files_open",
                "Files and objects of weir_source_files_known that are being followed: more of them is to be read, or \
                 their last line has not ended yet",
                &["source"],
            ),
            files_behind: set.gauge(
                "weir_source_files_behind_bytes",
                "Bytes of files and objects, as stored, that the last look found and that are not read yet",
                &["source"],
            ),
            files_failed: set.counter(
                "weir_source_files_failed_total",
                "Attempts to read a file or an object that ended before its end: it is damaged, or cannot be read; the \
                 log says which",
                &["source"],
            ),
            unknown_columns: set.counter(
                "weir_decode_unknown_columns_total",
                "Values kept in UnknownColumns because the table's schema has no such column; the columns of a table \
                 behind its first 100, and columns without a name, are counted as `other`",
                &["table", "column"],
            ),
            column_names: ColumnNames::default(),
            unknown_tables: set.counter(
                "weir_decode_unknown_table_records_total",
                "Records kept whole because no schema describes their table",
                &["table"],
            ),
            mistyped_values: set.counter(
                "weir_decode_mistyped_values_total",
                "Values kept in UnknownColumns because they do not fit the type of their column",
                &["table"],
            ),
            dead_letters: DeadLetterMetrics::new(set),
            decode_seconds: set.seconds("weir_decode_seconds", "Time to decode one raw batch", &["source"]),
            push: PushMetrics::new(set),
        }
    }

    /// Counts `values` under a column that the table's schema lacks. The name comes from the records: it is cut and
    /// cleaned, and a table has [`MAX_COLUMNS`] of them at most.
    pub(crate) fn count_unknown_column(&self, table: &str, column: &str, values: u64) {
        let column = self.column_names.label(table, column);
        self.unknown_columns.with_label_values(&[table, &column]).inc_by(values);
    }

    /// Tells how many records of `source` were handed over and have no stored position yet.
    pub fn count_in_flight(&self, source: &SourceName, records: u64) {
        self.in_flight.with_label_values(&[source.as_ref()]).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Counts `records` that `source` passed over for `reason`.
    pub fn count_skipped(&self, source: &SourceName, reason: &str, records: u64) {
        if records > 0 {
            self.skipped.with_label_values(&[source.as_ref(), reason]).inc_by(records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unknown_columns_are_clean_and_their_number_is_bounded() {
        let names = ColumnNames::default();
        assert_eq!(names.label("T", "Naïve \"x\"\n{}"), "Na_ve__x____");
        assert_eq!(names.label("T", "envelope.user-id_2"), "envelope.user-id_2");
        assert_eq!(names.label("T", &"x".repeat(500)).len(), MAX_COLUMN_NAME);
        assert_eq!(names.label("T", ""), OTHER_COLUMNS);
        for number in 0..2 * MAX_COLUMNS {
            names.label("T", &format!("c{number}"));
        }
        assert_eq!(names.label("T", "OneMore"), OTHER_COLUMNS);
        assert_eq!(names.label("T", "c1"), "c1", "who has a series keeps it");
        assert_eq!(names.label("U", "OneMore"), "OneMore", "one table takes nothing from another");
    }
}
