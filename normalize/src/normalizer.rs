//! Runs the mappings over batches.
//!
//! Per raw table, the filters of all mappings are evaluated together, once; each mapping then runs on the rows that it
//! claims. Several mappings may claim a row. Rows that none claims keep their raw table: nothing is dropped
//! here in silence. What a mapping looks up in another raw table is found before, among the batches that were decoded
//! together; it is read by the mapping alone, and rows that pass through do not have it.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::BooleanArray;
use arrow::compute::{filter_record_batch, not, or};
use arrow::record_batch::RecordBatch;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::{MemoryBudget, unique_bytes};
use weir_contract::position::{RowPosition, positions_of};
use weir_kql::EvalError;

use crate::check::sample::Sampler;
use crate::library::{CompiledMapping, Library};
use crate::metrics::NormalizeMetrics;

/// Turns raw batches into ASIM batches. Shared by all workers.
#[derive(Debug)]
pub struct Normalizer {
    library: Library,
    metrics: NormalizeMetrics,
    budget: MemoryBudget,
    sampler: Option<Sampler>,
}

/// What became of one raw batch.
#[derive(Debug, Default)]
pub struct Normalized {
    /// The batches to write: ASIM rows, and raw rows that no mapping claims.
    pub batches: Vec<Batch>,
    /// What each mapping did.
    pub outcomes: Vec<Outcome>,
    /// Raw rows that passed through.
    pub passed_through: u64,
}

/// What one mapping did with one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The mapping's name.
    pub mapping: Arc<str>,
    /// Its target table.
    pub target: Arc<str>,
    /// Raw rows that it claimed.
    pub rows_in: u64,
    /// Rows that it made.
    pub rows_out: u64,
}

impl Normalizer {
    /// A normalizer that runs `library`.
    pub fn new(library: Library, metrics: NormalizeMetrics, budget: MemoryBudget) -> Self {
        Self { library, metrics, budget, sampler: None }
    }

    /// The same, holding `share` (0 to 1) of the rows that mappings make against their schema. What breaks a rule is
    /// counted, and goes on as it is. 0 checks nothing.
    pub fn checking(mut self, share: f64) -> Self {
        self.sampler = (share > 0.0).then(|| Sampler::new(share, self.metrics.check.clone()));
        self
    }

    /// The mappings in force.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Runs the mappings over all batches that one raw batch was decoded into, which may look each other's rows up.
    /// Gives what became of each, in their order; each is acknowledged as by [`Normalizer::normalize`].
    pub fn normalize_all(&self, batches: Vec<Batch>) -> Vec<Normalized> {
        let read = self.library.with_lookups(&batches);
        batches.into_iter().zip(read).map(|(batch, rows)| self.run_all(batch, &rows)).collect()
    }

    /// Runs every mapping of the batch's table. Batches that are not raw rows pass through untouched. What the mappings
    /// look up in other tables is null.
    ///
    /// The acknowledgement is split over the batches that come out; if none does, it is answered here.
    pub fn normalize(&self, batch: Batch) -> Normalized {
        let rows = batch.rows.clone();
        self.run_all(batch, &rows)
    }

    /// Runs every mapping of the batch's table over `rows`: those of the batch, with what is looked up for them.
    fn run_all(&self, batch: Batch, rows: &RecordBatch) -> Normalized {
        let mappings = self.library.of_table(&batch.table);
        if batch.kind != RowKind::Raw || mappings.is_empty() {
            let passed = if batch.kind == RowKind::DeadLetter { 0 } else { batch.rows.num_rows() as u64 };
            self.count_passed(&batch.table, passed);
            return Normalized { batches: vec![batch], outcomes: Vec::new(), passed_through: passed };
        }
        let started = Instant::now();
        let mut out = Normalized::default();
        let mut claimed: Option<BooleanArray> = None;
        for (mapping, mask) in mappings.iter().zip(self.library.claims(&batch.table, rows)) {
            let (mask, made, positions) = match mask.and_then(|mask| run(mapping, rows, &batch.positions, mask)) {
                Ok(made) => made,
                Err(error) => {
                    self.metrics.failures.with_label_values(&[&mapping.mapping.name]).inc();
                    tracing::error!(
                        mapping = &*mapping.mapping.name,
                        error = %error,
                        rows = batch.rows.num_rows(),
                        "mapping failed; its rows are passed through raw"
                    );
                    continue;
                }
            };
            let rows_in = mask.true_count() as u64;
            claimed = Some(match claimed {
                None => mask,
                Some(so_far) => or(&so_far, &mask).expect("both masks have one value per row"),
            });
            if rows_in == 0 {
                continue;
            }
            self.count(mapping, &batch.table, rows_in, made.num_rows() as u64);
            out.outcomes.push(Outcome {
                mapping: Arc::clone(&mapping.mapping.name),
                target: Arc::clone(&mapping.mapping.target_table),
                rows_in,
                rows_out: made.num_rows() as u64,
            });
            if made.num_rows() > 0 {
                if let Some(sampler) = &self.sampler {
                    sampler.observe(&mapping.mapping.name, &mapping.mapping.target_table, &made);
                }
                let target = Arc::clone(&mapping.mapping.target_table);
                let mut derived = self.derive(&batch, target, RowKind::Normalized, made, positions);
                derived.mapping = Some(Arc::clone(&mapping.mapping.name));
                out.batches.push(derived);
            }
        }
        let rest = match &claimed {
            Some(claimed) if claimed.true_count() == claimed.len() => None,
            Some(claimed) => {
                let rest = not(claimed).expect("negates a mask");
                let rows = filter_record_batch(&batch.rows, &rest).expect("the mask has one value per row");
                Some((rows, positions_where(&batch.positions, &rest)))
            }
            None => Some((batch.rows.clone(), Arc::clone(&batch.positions))),
        };
        if let Some((rest, positions)) = rest {
            out.passed_through = rest.num_rows() as u64;
            self.count_passed(&batch.table, out.passed_through);
            let table = Arc::clone(&batch.table);
            out.batches.push(self.derive(&batch, table, RowKind::Raw, rest, positions));
        }
        self.metrics.seconds.with_label_values(&[&batch.table]).observe(started.elapsed().as_secs_f64());
        batch.ack.done();
        out
    }

    fn derive(
        &self,
        from: &Batch,
        table: Arc<str>,
        kind: RowKind,
        rows: RecordBatch,
        positions: Arc<[RowPosition]>,
    ) -> Batch {
        let permit = self.budget.charge(unique_bytes(&rows) + size_of_val(&*positions));
        Batch {
            table,
            kind,
            rows,
            origin: Arc::clone(&from.origin),
            positions,
            mapping: None,
            has_more: false,
            raw_bytes: 0,
            ack: from.ack.split(),
            permit,
        }
    }

    fn count(&self, mapping: &CompiledMapping, table: &str, rows_in: u64, rows_out: u64) {
        let name = &*mapping.mapping.name;
        self.metrics.rows_in.with_label_values(&[name, table]).inc_by(rows_in);
        self.metrics.rows_out.with_label_values(&[name, &mapping.mapping.target_table]).inc_by(rows_out);
        if rows_out < rows_in {
            self.metrics.filtered.with_label_values(&[name]).inc_by(rows_in - rows_out);
        }
    }

    fn count_passed(&self, table: &str, rows: u64) {
        if rows > 0 {
            self.metrics.passed_through.with_label_values(&[table]).inc_by(rows);
        }
    }
}

/// The rows that a mapping claims, what it makes of them, and where that came from.
fn run(
    mapping: &CompiledMapping,
    rows: &RecordBatch,
    positions: &Arc<[RowPosition]>,
    mask: BooleanArray,
) -> Result<(BooleanArray, RecordBatch, Arc<[RowPosition]>), EvalError> {
    let all = mask.true_count() == rows.num_rows();
    let (made, positions) = if all {
        (mapping.program.make(rows)?, Arc::clone(positions))
    } else {
        let selected = filter_record_batch(rows, &mask).expect("the mask has one value per row");
        (mapping.program.make(&selected)?, positions_where(positions, &mask))
    };
    let positions = match &made.came_from {
        None => positions,
        Some(came_from) => positions_of(&positions, came_from, mapping.program.multiplies()).into(),
    };
    Ok((mask, made.rows, positions))
}

/// The positions of the rows that `mask` keeps.
fn positions_where(positions: &[RowPosition], mask: &BooleanArray) -> Arc<[RowPosition]> {
    mask.values().set_indices().map(|row| positions[row]).collect()
}
