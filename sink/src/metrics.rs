//! The metrics that all sinks share; each counts under its own `sink` label, once per written unit.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use weir_contract::metrics::MetricSet;

/// The sinks' metrics. Cloning shares them; make one per process, since a name can be declared only once.
#[derive(Debug, Clone)]
pub struct SinkMetrics {
    /// `weir_sink_rows_total{sink,table}`: rows made durable.
    pub rows: IntCounterVec,
    /// `weir_sink_bytes_total{sink,table}`: bytes written (Parquet, or compressed request bodies).
    pub bytes: IntCounterVec,
    /// `weir_sink_billed_bytes_total{sink,table,tier}`: bytes that the workspace bills.
    pub billed_bytes: IntCounterVec,
    /// `weir_sink_batches_total{sink,table}`: batches acknowledged.
    pub batches: IntCounterVec,
    /// `weir_sink_skipped_rows_total{sink,table}`: rows not written again because the target has them.
    pub skipped: IntCounterVec,
    /// `weir_sink_commits_total{sink,table}`: atomic steps that made rows visible.
    pub commits: IntCounterVec,
    /// `weir_sink_retries_total{sink,reason}`: writes tried again.
    pub retries: IntCounterVec,
    /// `weir_sink_failures_total{sink,reason}`: writes given up.
    pub failures: IntCounterVec,
    /// `weir_sink_flushes_total{sink,reason}`: why buffered rows were written.
    pub flushes: IntCounterVec,
    /// `weir_sink_buffered_rows{sink}`: rows taken and not yet durable.
    pub buffered_rows: IntGaugeVec,
    /// `weir_sink_buffered_bytes{sink}`: encoded bytes not yet durable.
    pub buffered_bytes: IntGaugeVec,
    /// `weir_sink_encode_seconds{sink}`: time to encode one batch.
    pub encode_seconds: HistogramVec,
    /// `weir_sink_write_seconds{sink}`: time of one put or post, without its retries.
    pub write_seconds: HistogramVec,
    /// `weir_sink_commit_seconds{sink}`: time of one commit with its retries.
    pub commit_seconds: HistogramVec,
}

impl SinkMetrics {
    /// Declares them in `set`.
    pub fn new(set: &MetricSet) -> Self {
        let by_table = ["sink", "table"];
        let by_reason = ["sink", "reason"];
        Self {
            rows: set.counter("weir_sink_rows_total", "Rows made durable.", &by_table),
            bytes: set.counter(
                "weir_sink_bytes_total",
                "Bytes written: Parquet for the lake, compressed request bodies for a workspace.",
                &by_table,
            ),
            billed_bytes: set.counter(
                "weir_sink_billed_bytes_total",
                "Bytes that the workspace bills for delivered rows, by Microsoft's published rule.",
                &["sink", "table", "tier"],
            ),
            batches: set.counter("weir_sink_batches_total", "Batches acknowledged.", &by_table),
            skipped: set.counter(
                "weir_sink_skipped_rows_total",
                "Rows that came again, after a crash or a rebalance, and were not written a second time.",
                &by_table,
            ),
            commits: set.counter("weir_sink_commits_total", "Atomic steps that made rows visible.", &by_table),
            retries: set.counter("weir_sink_retries_total", "Writes tried again after an error.", &by_reason),
            failures: set.counter("weir_sink_failures_total", "Writes given up.", &by_reason),
            flushes: set.counter(
                "weir_sink_flushes_total",
                "Times that buffered rows were written, by what caused it (size, interval, pressure, end).",
                &by_reason,
            ),
            buffered_rows: set.gauge("weir_sink_buffered_rows", "Rows taken and not yet durable.", &["sink"]),
            buffered_bytes: set.gauge("weir_sink_buffered_bytes", "Encoded bytes not yet durable.", &["sink"]),
            encode_seconds: set.seconds("weir_sink_encode_seconds", "Time to encode one batch.", &["sink"]),
            write_seconds: set.seconds(
                "weir_sink_write_seconds",
                "Time of one object put or one post, without its retries.",
                &["sink"],
            ),
            commit_seconds: set.seconds("weir_sink_commit_seconds", "Time of one commit with its retries.", &["sink"]),
        }
    }
}
