//! Programs without input, run while a query is bound.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;

use super::EvalError;
use super::eval::Frame;
use super::graph::{DomainId, Graph, INPUT, NodeId};
use super::schedule::{Schedule, is_constant};
use crate::scalar::Scalar;

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

/// Expressions over the columns of one row (inputs of the graph), bound once and run on many rows one by one.
pub(crate) struct RowProgram {
    schedule: Schedule,
    /// The columns that it reads.
    pub(crate) inputs: Vec<Arc<str>>,
}

impl RowProgram {
    /// The values of the expressions for the one row of `batch`.
    pub(crate) fn run(&self, batch: &RecordBatch) -> Result<Vec<Scalar>, EvalError> {
        let mut frame = Frame::new(&self.schedule, batch);
        frame.run()?;
        let value = |node: &NodeId| {
            let ty = self.schedule.graph.ty(*node);
            Scalar::of_array(&frame.column(*node, 1), 0, ty)
        };
        Ok(self.schedule.outputs.iter().map(value).collect())
    }
}

/// Makes a program of each list of nodes and hands them to `run`.
pub(crate) fn with_row_programs<T>(
    graph: &mut Graph,
    outputs: Vec<Vec<NodeId>>,
    run: impl FnOnce(&[RowProgram]) -> T,
) -> T {
    let shared = Arc::new(std::mem::replace(graph, Graph::new()));
    let program = |nodes: Vec<NodeId>| {
        let schedule = Schedule::new(Arc::clone(&shared), nodes, INPUT);
        let inputs = schedule.inputs();
        RowProgram { schedule, inputs }
    };
    let programs: Vec<RowProgram> = outputs.into_iter().map(program).collect();
    let result = run(&programs);
    drop(programs);
    *graph = Arc::into_inner(shared).expect("the programs held the only other references");
    result
}
