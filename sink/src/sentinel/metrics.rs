//! What the Sentinel sink counts beside what all sinks count.

use prometheus::IntCounterVec;
use weir_contract::dead_letter::DeadLetterMetrics;
use weir_contract::metrics::MetricSet;

use crate::metrics::SinkMetrics;

/// The sink's metrics. Cloning shares them; make one per process, since a name can be declared only once.
#[derive(Debug, Clone)]
pub struct SentinelMetrics {
    /// Those of all sinks.
    pub shared: SinkMetrics,
    /// `weir_sentinel_requests_total{rule,status}`: requests by answer; `status` is `none` where none came.
    pub requests: IntCounterVec,
    /// `weir_sentinel_truncated_fields_total{table}`: values longer than 64 KiB, which the service cuts off.
    pub truncated_fields: IntCounterVec,
    /// `weir_sentinel_omitted_values_total{table}`: NaN and infinite numbers, which JSON can't hold.
    pub omitted_values: IntCounterVec,
    /// Those of all stages: rows that the workspace refuses or can't take are among them.
    pub dead_letters: DeadLetterMetrics,
}

impl SentinelMetrics {
    /// Declares them in `set`; `shared` are those that all sinks of the process share.
    pub fn new(set: &MetricSet, shared: SinkMetrics) -> Self {
        Self {
            shared,
            requests: set.counter(
                "weir_sentinel_requests_total",
                "Requests to the Logs Ingestion API by rule and HTTP status; `none` where no answer came.",
                &["rule", "status"],
            ),
            truncated_fields: set.counter(
                "weir_sentinel_truncated_fields_total",
                "Values longer than 64 KiB, which the workspace cuts off; the lake keeps them whole.",
                &["table"],
            ),
            omitted_values: set.counter(
                "weir_sentinel_omitted_values_total",
                "NaN and infinite numbers left out because JSON can't hold them; the lake keeps them.",
                &["table"],
            ),
            dead_letters: DeadLetterMetrics::new(set),
        }
    }
}
