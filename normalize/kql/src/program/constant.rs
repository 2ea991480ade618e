//! Programs without input, run while a query is bound.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;

use super::EvalError;
use super::eval::Frame;
use super::graph::{DomainId, Graph, NodeId};
use super::schedule::{Schedule, is_constant};

/// Evaluates columns at compile time. `None` if they depend on the raw table.
pub(crate) fn constant_columns(
    graph: &mut Graph,
    columns: &[NodeId],
    domain: DomainId,
) -> Option<Result<(Vec<ArrayRef>, usize), EvalError>> {
    if !is_constant(graph, columns, domain) {
        return None;
    }
    let owned = std::mem::replace(graph, Graph::new());
    let schedule = Schedule::new(Arc::new(owned), columns.to_vec(), domain);
    let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let result = {
        let mut frame = Frame::new(&schedule, &batch);
        frame.run().map(|()| {
            let rows = frame.rows(domain);
            (columns.iter().map(|node| frame.column(*node, rows)).collect(), rows)
        })
    };
    *graph = Arc::into_inner(schedule.graph).expect("the schedule held the only reference");
    Some(result)
}
