//! What sources and decoders count.
//!
//! Counters are touched once per batch and table, never per record. Sources count what only they know (lag,
//! connection, skipped records); records and bytes are counted by the decoder, the first to know a record's table.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use weir_contract::dead_letter::DeadLetter;
use weir_contract::metrics::MetricSet;
use weir_contract::position::SourceName;

/// The metrics of all sources and of the decoder. Cloning shares them.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    /// Records read, by source and table.
    pub records: IntCounterVec,
    /// Raw bytes read, by source and table.
    pub bytes: IntCounterVec,
    /// Newest offset minus committed offset, by source and partition.
    pub lag: IntGaugeVec,
    /// 1 while the source is connected to its service, else 0, by source.
    pub connected: IntGaugeVec,
    /// Records that a source passed over on purpose, by source and reason (such as `tombstone`).
    pub skipped: IntCounterVec,
    /// Values kept in `UnknownColumns` because the table's schema has no such column, by table.
    pub unknown_columns: IntCounterVec,
    /// Values kept in `UnknownColumns` because they do not fit their column's type, by table.
    pub mistyped_values: IntCounterVec,
    /// Records refused, by source, stage and reason.
    pub dead_letters: IntCounterVec,
    /// Time to decode one raw batch, by source.
    pub decode_seconds: HistogramVec,
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
            unknown_columns: set.counter(
                "weir_decode_unknown_columns_total",
                "Values kept in UnknownColumns because the table's schema has no such column",
                &["table"],
            ),
            mistyped_values: set.counter(
                "weir_decode_mistyped_values_total",
                "Values kept in UnknownColumns because they do not fit the type of their column",
                &["table"],
            ),
            dead_letters: set.counter(
                "weir_dead_letters_total",
                "Records refused and kept whole as dead letters, by the stage that refused them and the reason",
                &["source", "stage", "reason"],
            ),
            decode_seconds: set.seconds("weir_decode_seconds", "Time to decode one raw batch", &["source"]),
        }
    }

    /// Counts refused records; for every stage, so that all of them stand in one metric.
    pub fn count_dead_letters(&self, letters: &[DeadLetter]) {
        for letter in letters {
            self.dead_letters.with_label_values(&[letter.source.as_ref(), letter.stage.name(), letter.reason]).inc();
        }
    }

    /// Counts `records` that `source` passed over for `reason`.
    pub fn count_skipped(&self, source: &SourceName, reason: &str, records: u64) {
        if records > 0 {
            self.skipped.with_label_values(&[source.as_ref(), reason]).inc_by(records);
        }
    }
}
