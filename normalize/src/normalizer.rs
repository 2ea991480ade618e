//! Runs the mappings over batches.
//!
//! Per raw table, the filters of all mappings are evaluated together, once; each mapping then runs on the rows that it
//! claims. Several mappings may claim a row. Rows that none claims keep their raw table: nothing is dropped
//! here in silence. What a mapping looks up in another raw table is found before, among the batches that were decoded
//! together; it is read by the mapping alone, and rows that pass through do not have it. A row at which a mapping fails
//! is refused for that mapping (`engine`).

use std::sync::Arc;
use std::time::Instant;

use arrow::array::BooleanArray;
use arrow::compute::{filter_record_batch, not, or};
use arrow::record_batch::RecordBatch;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::dead_letter::MappedBy;
use weir_contract::memory::{MemoryBudget, unique_bytes};
use weir_contract::panics::catch;
use weir_contract::position::{RowPosition, positions_of};

use crate::check::sample::Sampler;
use crate::engine::{self, Compiled, Engine};
use crate::library::{CompiledMapping, Library};
use crate::metrics::NormalizeMetrics;

/// Turns raw batches into ASIM batches. Shared by all workers.
#[derive(Debug)]
pub struct Normalizer {
    library: Library,
    metrics: NormalizeMetrics,
    budget: MemoryBudget,
    sampler: Option<Sampler>,
    engine: Box<dyn Engine>,
    /// The one mapping that is run, of those in force.
    only: Option<Arc<str>>,
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
    /// Rows that a mapping failed at: neither it nor the raw table has them, so whoever called makes them dead letters.
    pub refused: Vec<RefusedRow>,
}

/// A row that one mapping failed at; what other mappings make of it is among the batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Its number in the raw batch.
    pub row: usize,
    /// The mapping.
    pub by: MappedBy,
    /// Why, as a dead letter has it.
    pub reason: &'static str,
    /// Why, for a person.
    pub detail: String,
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
    /// Claimed rows that it failed at.
    pub refused: u64,
}

impl Normalizer {
    /// A normalizer that runs `library`.
    pub fn new(library: Library, metrics: NormalizeMetrics, budget: MemoryBudget) -> Self {
        Self { library, metrics, budget, sampler: None, engine: Box::new(Compiled), only: None }
    }

    /// The same, with the mappings run by `engine`.
    pub fn running_by(self, engine: Box<dyn Engine>) -> Self {
        Self { engine, ..self }
    }

    /// From now on, only the mapping called `name` makes rows: for rows that it alone failed at before, while the
    /// others have made theirs. What another mapping claims does not pass through. A mapping that is not in force any
    /// more changes nothing.
    pub fn run_only(&mut self, name: &str) {
        let is_known = self.library.iter().any(|mapping| &*mapping.mapping.name == name);
        self.only = is_known.then(|| name.into());
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
        let read = catch(|| self.library.with_lookups(&batches)).unwrap_or_else(|panic| {
            tracing::error!(%panic, "rows cannot be looked up; the mappings run without them");
            batches.iter().map(|batch| batch.rows.clone()).collect()
        });
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
            return Normalized { batches: vec![batch], passed_through: passed, ..Normalized::default() };
        }
        let started = Instant::now();
        let mut out = Normalized::default();
        let mut claimed: Option<BooleanArray> = None;
        let masks = engine::claims(&*self.engine, &self.library, &batch.table, rows);
        for (mapping, mask) in mappings.iter().zip(masks) {
            let name = &mapping.mapping.name;
            if self.only.as_ref().is_some_and(|only| only != name) {
                // It made its rows before; that it claims them is enough. Where that fails, it has failed before.
                claimed = join(claimed, mask);
                continue;
            }
            let made = engine::run(&*self.engine, mapping, rows, mask);
            let (rows_in, refused) = (made.claimed.true_count() as u64, made.refused.len() as u64);
            claimed = join(claimed, Some(made.claimed));
            if rows_in == 0 {
                continue;
            }
            if let Some((_, failure)) = made.refused.first() {
                self.metrics.failures.with_label_values(&[name]).inc();
                tracing::error!(
                    mapping = &**name,
                    rows = refused,
                    of = batch.rows.num_rows(),
                    first = failure.detail,
                    "a mapping failed at some rows; they are kept as dead letters"
                );
                let by = MappedBy { mapping: Arc::clone(name), version: mapping.mapping.version.clone() };
                out.refused.extend(made.refused.into_iter().map(|(row, failure)| RefusedRow {
                    row,
                    by: by.clone(),
                    reason: failure.reason,
                    detail: failure.detail,
                }));
            }
            let positions = match &made.came_from {
                None => Arc::clone(&batch.positions),
                Some(rows) => positions_of(&batch.positions, rows, mapping.program.multiplies()).into(),
            };
            let made = made.rows;
            let rows_out = made.num_rows() as u64;
            self.count(mapping, &batch.table, rows_in, rows_out, refused);
            out.outcomes.push(Outcome {
                mapping: Arc::clone(name),
                target: Arc::clone(&mapping.mapping.target_table),
                rows_in,
                rows_out,
                refused,
            });
            if made.num_rows() > 0 {
                if let Some(sampler) = &self.sampler {
                    // A check must not cost the rows that it is about.
                    let observed = catch(|| sampler.observe(name, &mapping.mapping.target_table, &made));
                    if let Err(panic) = observed {
                        tracing::error!(mapping = &**name, %panic, "rows could not be checked; they go on");
                    }
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

    fn count(&self, mapping: &CompiledMapping, table: &str, rows_in: u64, rows_out: u64, refused: u64) {
        let name = &*mapping.mapping.name;
        self.metrics.rows_in.with_label_values(&[name, table]).inc_by(rows_in);
        self.metrics.rows_out.with_label_values(&[name, &mapping.mapping.target_table]).inc_by(rows_out);
        let filtered = rows_in.saturating_sub(rows_out + refused);
        if filtered > 0 {
            self.metrics.filtered.with_label_values(&[name]).inc_by(filtered);
        }
    }

    fn count_passed(&self, table: &str, rows: u64) {
        if rows > 0 {
            self.metrics.passed_through.with_label_values(&[table]).inc_by(rows);
        }
    }
}

/// The positions of the rows that `mask` keeps.
fn positions_where(positions: &[RowPosition], mask: &BooleanArray) -> Arc<[RowPosition]> {
    mask.values().set_indices().map(|row| positions[row]).collect()
}

/// The rows that one mapping or another claims.
fn join(so_far: Option<BooleanArray>, more: Option<BooleanArray>) -> Option<BooleanArray> {
    match (so_far, more) {
        (Some(so_far), Some(more)) => Some(or(&so_far, &more).expect("both masks have one value per row")),
        (so_far, more) => so_far.or(more),
    }
}
