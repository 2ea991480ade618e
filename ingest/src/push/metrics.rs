//! What push sources count.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};
use weir_contract::metrics::MetricSet;

/// The metrics of push sources and their buffers. Cloning shares them.
#[derive(Debug, Clone)]
pub(crate) struct PushMetrics {
    /// Records that are durable in the buffer, by source.
    pub(crate) records: IntCounterVec,
    /// Their bytes, by source.
    pub(crate) bytes: IntCounterVec,
    /// Requests and connections that were refused, by source and reason.
    pub(crate) refused: IntCounterVec,
    /// Open connections, by source.
    pub(crate) connections: IntGaugeVec,
    pub(crate) buffer_bytes: IntGaugeVec,
    pub(crate) buffer_limit: IntGaugeVec,
    pub(crate) buffer_records: IntGaugeVec,
    pub(crate) buffer_oldest: IntGaugeVec,
    pub(crate) buffer_damaged: IntGaugeVec,
    pub(crate) sync_seconds: HistogramVec,
}

impl PushMetrics {
    /// Declares the metrics in `set`; once per set.
    pub(crate) fn new(set: &MetricSet) -> Self {
        Self {
            records: set.counter(
                "weir_push_received_records_total",
                "Requests, events and messages taken in: they are durable in the buffer",
                &["source"],
            ),
            bytes: set.counter(
                "weir_push_received_bytes_total",
                "Bytes of weir_push_received_records_total, uncompressed",
                &["source"],
            ),
            refused: set.counter(
                "weir_push_refused_total",
                "Requests and connections that were refused, by reason; their senders were told",
                &["source", "reason"],
            ),
            connections: set.gauge("weir_push_connections", "Open connections of senders", &["source"]),
            buffer_bytes: set.gauge("weir_buffer_bytes", "Bytes of the source's buffer on the disk", &["source"]),
            buffer_limit: set.gauge("weir_buffer_limit_bytes", "Most bytes that weir_buffer_bytes may be", &["source"]),
            buffer_records: set.gauge(
                "weir_buffer_records",
                "Records in the source's buffer that are not acknowledged by the sinks",
                &["source"],
            ),
            buffer_oldest: set.gauge(
                "weir_buffer_oldest_seconds",
                "Age of the oldest record in weir_buffer_records; 0 without one",
                &["source"],
            ),
            buffer_damaged: set.gauge(
                "weir_buffer_damaged_bytes",
                "Bytes of the source's buffer that failed their checksum since the start; they are kept in files \
                 named damaged-*",
                &["source"],
            ),
            sync_seconds: set.seconds(
                "weir_buffer_sync_seconds",
                "Time to make appended records durable on the disk",
                &["source"],
            ),
        }
    }
}
