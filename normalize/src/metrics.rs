//! What the normalizer counts.

use prometheus::{HistogramVec, IntCounterVec};
use weir_contract::metrics::MetricSet;

use crate::check::sample::CheckMetrics;

/// The normalizer's metrics. Cloning shares them.
#[derive(Debug, Clone)]
pub struct NormalizeMetrics {
    pub(crate) rows_in: IntCounterVec,
    pub(crate) rows_out: IntCounterVec,
    pub(crate) filtered: IntCounterVec,
    pub(crate) passed_through: IntCounterVec,
    pub(crate) failures: IntCounterVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) check: CheckMetrics,
}

impl NormalizeMetrics {
    /// Declares the metrics in `set`.
    pub fn new(set: &MetricSet) -> Self {
        Self {
            rows_in: set.counter(
                "weir_normalize_rows_in_total",
                "Raw rows that a mapping's filter claimed.",
                &["mapping", "table"],
            ),
            rows_out: set.counter(
                "weir_normalize_rows_out_total",
                "Rows that a mapping made, by target table.",
                &["mapping", "table"],
            ),
            filtered: set.counter(
                "weir_normalize_filtered_rows_total",
                "Claimed rows that the mapping's own query dropped.",
                &["mapping"],
            ),
            passed_through: set.counter(
                "weir_normalize_passed_through_rows_total",
                "Raw rows that no mapping claims; they keep their raw table.",
                &["table"],
            ),
            failures: set.counter(
                "weir_normalize_failed_batches_total",
                "Batches at some rows of which a mapping failed; these are dead letters of the stage `normalize`.",
                &["mapping"],
            ),
            seconds: set.seconds("weir_normalize_seconds", "Time to normalise one batch of one raw table.", &["table"]),
            check: CheckMetrics::new(set),
        }
    }
}
