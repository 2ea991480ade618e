//! Mappings run over rows, come what may.
//!
//! No value of a row should make a mapping fail; where one does, by a panic or an error, the row is found by halving and
//! refused for that mapping alone. The mapping makes its rows of all others, and other mappings make theirs of this one.

use std::fmt;
use std::ops::Range;

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use weir_contract::bisect::bisect;
use weir_contract::dead_letter::{MAPPING_FAILED, PANIC};
use weir_contract::panics::{Panic, catch};
use weir_kql::EvalError;

use crate::library::{CompiledMapping, Library};

/// How mappings are run. [`Compiled`] runs their programs; a test puts one in its place that fails.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Which rows each mapping of `table` claims, as [`Library::claims`].
    fn claims(&self, library: &Library, table: &str, rows: &RecordBatch) -> Vec<Result<BooleanArray, EvalError>> {
        library.claims(table, rows)
    }

    /// Which rows one mapping claims.
    ///
    /// # Errors
    ///
    /// What its filter fails with.
    fn claim(&self, mapping: &CompiledMapping, rows: &RecordBatch) -> Result<BooleanArray, EvalError> {
        match &mapping.filter {
            Some(filter) => filter.mask(rows),
            None => Ok(BooleanArray::from(vec![true; rows.num_rows()])),
        }
    }

    /// The target's rows of rows that the mapping claims.
    ///
    /// # Errors
    ///
    /// What its program fails with.
    fn make(&self, mapping: &CompiledMapping, rows: &RecordBatch) -> Result<weir_kql::Made, EvalError> {
        mapping.program.make(rows)
    }
}

/// Runs the mappings' compiled programs.
#[derive(Debug)]
pub struct Compiled;

impl Engine for Compiled {}

/// Why a mapping could not be run over a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The reason of the dead letter.
    pub(crate) reason: &'static str,
    /// For a person.
    pub(crate) detail: String,
    /// Whether it is about the batch's columns, so that every row of it fails.
    concerns_all: bool,
}

impl From<Panic> for Failure {
    fn from(panic: Panic) -> Self {
        let detail = format!("the mapping failed at this row: {panic}; this is a defect of Weir, please report it");
        Self { reason: PANIC, detail, concerns_all: false }
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        let concerns_all = matches!(error, EvalError::InputType { .. });
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let detail = format!("the mapping cannot be run over this row: {error}{cause}");
        Self { reason: MAPPING_FAILED, detail, concerns_all }
    }
}

/// What one mapping made of the rows of a batch.
#[derive(Debug)]
pub(crate) struct Made {
    /// The rows that it claims, with those that it failed at: they are its own.
    pub(crate) claimed: BooleanArray,
    /// The target's rows.
    pub(crate) rows: RecordBatch,
    /// For each of them, the number of the batch's row that it came from; `None`: that in its place.
    pub(crate) came_from: Option<Vec<u32>>,
    /// The rows that it failed at, by their number in the batch, rising.
    pub(crate) refused: Vec<(usize, Failure)>,
}

/// Which rows each mapping claims; an error where that must be found mapping by mapping.
pub(crate) fn claims(
    engine: &dyn Engine,
    library: &Library,
    table: &str,
    rows: &RecordBatch,
) -> Vec<Option<BooleanArray>> {
    match catch(|| engine.claims(library, table, rows)) {
        Ok(masks) => masks.into_iter().map(Result::ok).collect(),
        // One of the filters panicked; which one is found by running each alone.
        Err(_) => library.of_table(table).iter().map(|_| None).collect(),
    }
}

/// Runs one mapping. `mask` has the rows that it claims, if these are known.
pub(crate) fn run(
    engine: &dyn Engine,
    mapping: &CompiledMapping,
    rows: &RecordBatch,
    mask: Option<BooleanArray>,
) -> Made {
    let (mask, mut refused) = match mask {
        Some(mask) => (mask, Vec::new()),
        None => claim_apart(engine, mapping, rows),
    };
    let is_all = mask.true_count() == rows.num_rows();
    let selected = match is_all {
        true => rows.clone(),
        false => filter_record_batch(rows, &mask).expect("the mask has one value per row"),
    };
    let make = |part: std::ops::Range<usize>| -> Result<weir_kql::Made, Failure> {
        Ok(catch(|| engine.make(mapping, &selected.slice(part.start, part.len())))??)
    };
    let found = bisect(selected.num_rows(), make, |failure| failure.concerns_all);
    // Every row in its place: the usual case, which needs no list of them.
    let is_plain =
        is_all && matches!(&*found.done, [(part, made)] if part.len() == mask.len() && made.came_from.is_none());
    let positions: Vec<u32> =
        if is_plain { Vec::new() } else { mask.values().set_indices().map(|row| row as u32).collect() };
    let came_from = (!is_plain).then(|| came_from(&found.done, &positions));
    let mut parts: Vec<RecordBatch> = found.done.into_iter().map(|(_, made)| made.rows).collect();
    let made = match parts.len() {
        0 => RecordBatch::new_empty(mapping.program.output().arrow()),
        1 => parts.remove(0),
        _ => concat_batches(parts[0].schema_ref(), &parts).expect("parts of one program have its columns"),
    };
    if found.culprits.is_empty() && refused.is_empty() {
        return Made { claimed: mask, rows: made, came_from, refused };
    }
    refused.extend(found.culprits.into_iter().map(|(row, failure)| (positions[row] as usize, failure)));
    refused.sort_by_key(|(row, _)| *row);
    let mut claimed = BooleanBufferBuilder::new(mask.len());
    claimed.append_buffer(mask.values());
    refused.iter().for_each(|(row, _)| claimed.set_bit(*row, true));
    Made { claimed: BooleanArray::new(claimed.finish(), None), rows: made, came_from, refused }
}

/// For each row that was made of parts of the claimed rows, the number of the batch's row that it came from; `positions`
/// are the batch's rows that are claimed.
fn came_from(parts: &[(Range<usize>, weir_kql::Made)], positions: &[u32]) -> Vec<u32> {
    let of_part = |(part, made): &(Range<usize>, weir_kql::Made)| -> Vec<u32> {
        match &made.came_from {
            Some(rows) => rows.iter().map(|row| positions[part.start + *row as usize]).collect(),
            None => positions[part.start..part.end].to_vec(),
        }
    };
    parts.iter().flat_map(of_part).collect()
}

/// The rows that a mapping claims, and those at which its filter fails.
fn claim_apart(
    engine: &dyn Engine,
    mapping: &CompiledMapping,
    rows: &RecordBatch,
) -> (BooleanArray, Vec<(usize, Failure)>) {
    let claim = |part: std::ops::Range<usize>| -> Result<BooleanArray, Failure> {
        Ok(catch(|| engine.claim(mapping, &rows.slice(part.start, part.len())))??)
    };
    let found = bisect(rows.num_rows(), claim, |failure| failure.concerns_all);
    let mut mask = vec![false; rows.num_rows()];
    for (part, claimed) in found.done {
        for (row, is_claimed) in part.zip(claimed.iter()) {
            mask[row] = is_claimed == Some(true);
        }
    }
    (BooleanArray::from(mask), found.culprits)
}

#[cfg(test)]
mod tests;
