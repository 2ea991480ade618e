//! Checks a share of the rows that mappings make, while they run.
//!
//! Each mapping owes a share of its rows. Once it owes enough for one check, consecutive rows of its next batch are
//! checked: whole columns at once cost little, single rows would not. What is found is counted by mapping and rule; the
//! rules about columns are left to `weir asim check`, since they say the same of every batch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::record_batch::RecordBatch;
use prometheus::IntCounterVec;
use weir_contract::metrics::MetricSet;

use crate::check::{Checker, Mode, Numbers, Origin, Rule, Target};

/// Rows that a mapping must owe before a check.
const LEAST_ROWS: f64 = 256.0;
/// Most rows of one check.
const MOST_ROWS: usize = 2048;

/// What live checks count. Cloning shares it.
#[derive(Debug, Clone)]
pub struct CheckMetrics {
    findings: IntCounterVec,
    rows: IntCounterVec,
}

impl CheckMetrics {
    /// Declares the metrics in `set`.
    pub fn new(set: &MetricSet) -> Self {
        Self {
            findings: set.counter(
                "weir_asim_findings_total",
                "Values of sampled rows that break a rule of the ASIM check, by the mapping that made them; \
                 `weir_asim_checked_rows_total` has the rows.",
                &["mapping", "rule", "severity"],
            ),
            rows: set.counter(
                "weir_asim_checked_rows_total",
                "Rows of the sample that the ASIM check looked at (`mappings.check_share`).",
                &["mapping"],
            ),
        }
    }
}

/// Chooses rows and checks them. Shared by all workers.
#[derive(Debug)]
pub struct Sampler {
    share: f64,
    metrics: CheckMetrics,
    owed: Mutex<HashMap<Arc<str>, Owed>>,
}

#[derive(Debug, Clone, Copy)]
struct Owed {
    rows: f64,
    /// Checks so far: the next one starts elsewhere in its batch.
    checks: usize,
}

impl Sampler {
    /// A sampler of `share` (0 to 1) of the rows. The first batch of each mapping is always looked at.
    pub fn new(share: f64, metrics: CheckMetrics) -> Self {
        Self { share, metrics, owed: Mutex::default() }
    }

    /// Looks at a batch that `mapping` made for `table`, if it is its turn.
    pub fn observe(&self, mapping: &Arc<str>, table: &str, rows: &RecordBatch) {
        let Some((start, count)) = self.turn(mapping, rows.num_rows()) else { return };
        let Some(target) = Target::of_table(table) else { return };
        let sample = rows.slice(start, count);
        let mut checker = Checker::new(Mode::Full);
        let origin = Origin { place: mapping, numbers: Numbers::From(start as u64 + 1) };
        if let Err(error) = checker.check(&target, &sample, &origin) {
            tracing::warn!(mapping = &**mapping, error = %error, "a sample could not be checked");
            return;
        }
        self.metrics.rows.with_label_values(&[&**mapping]).inc_by(count as u64);
        for finding in checker.values_only().findings() {
            // Most optional fields are empty in most rows.
            if finding.rule == Rule::D4 {
                continue;
            }
            let labels = [&**mapping, finding.rule.id(), finding.rule.severity().name()];
            self.metrics.findings.with_label_values(&labels).inc_by(finding.count);
        }
    }

    /// The first row to check and how many; `None` if the mapping does not owe enough yet.
    fn turn(&self, mapping: &Arc<str>, rows: usize) -> Option<(usize, usize)> {
        if rows == 0 {
            return None;
        }
        let mut all = self.owed.lock().expect("nothing panics while it is held");
        let owed = all.entry(Arc::clone(mapping)).or_insert(Owed { rows: LEAST_ROWS, checks: 0 });
        owed.rows += self.share * rows as f64;
        if owed.rows < LEAST_ROWS {
            return None;
        }
        let count = (owed.rows as usize).min(MOST_ROWS).min(rows);
        let start = if rows > count { owed.checks * count % (rows - count + 1) } else { 0 };
        owed.rows = (owed.rows - count as f64).clamp(0.0, MOST_ROWS as f64);
        owed.checks += 1;
        Some((start, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringViewArray;
    use weir_contract::schema::{Column, ColumnType, TableSchema};

    const TABLE: &str = "ASimProcessEventLogs";

    fn batch(rows: usize) -> RecordBatch {
        let columns = vec![Column::new("EventResult", ColumnType::String)];
        let schema = TableSchema { name: TABLE.into(), columns }.arrow();
        let values: StringViewArray = (0..rows).map(|_| Some("good")).collect();
        RecordBatch::try_new(schema, vec![Arc::new(values)]).expect("one column")
    }

    #[test]
    fn the_share_of_rows_is_checked_and_what_breaks_a_rule_is_counted() {
        let metrics = CheckMetrics::new(&MetricSet::new());
        let sampler = Sampler::new(0.01, metrics.clone());
        let mapping: Arc<str> = "m".into();
        for _ in 0..200 {
            sampler.observe(&mapping, TABLE, &batch(1000));
        }
        let rows = metrics.rows.with_label_values(&["m"]).get();
        // One hundredth of 200,000 rows, and the first check.
        assert!((2000..=2300).contains(&rows), "{rows}");
        assert_eq!(metrics.findings.with_label_values(&["m", "D7", "error"]).get(), rows);
        // Absent fields are no findings about values.
        assert_eq!(metrics.findings.with_label_values(&["m", "S1", "error"]).get(), 0);
    }

    #[test]
    fn small_batches_are_checked_whole_until_the_debt_is_paid() {
        let metrics = CheckMetrics::new(&MetricSet::new());
        let sampler = Sampler::new(1.0, metrics.clone());
        let mapping: Arc<str> = "m".into();
        for _ in 0..100 {
            sampler.observe(&mapping, TABLE, &batch(3));
        }
        assert_eq!(metrics.rows.with_label_values(&["m"]).get(), 300);
    }
}
