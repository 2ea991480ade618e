//! The compiled form of a query: a straight line of steps over slots, run once per batch.
//!
//! The binder builds a [`graph::Graph`] of typed nodes, each in a row domain (the input's rows, the rows that a filter
//! left, …). Equal nodes are one node, so common work is shared; only nodes that an output needs become steps, so
//! unused columns cost nothing; all constant paths of one dynamic column become one step. Columns that pass through
//! unchanged are shared, never copied.

mod claims;
mod constant;
pub(crate) mod dispatch;
pub(crate) mod eval;
pub(crate) mod gather;
pub(crate) mod graph;
pub(crate) mod join;
mod lineage;
pub(crate) mod parse;
pub(crate) mod parse_kv;
pub(crate) mod probe;
mod schedule;
pub(crate) mod selection;
pub(crate) mod unnest;

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use weir_contract::schema::TableSchema;

use self::eval::Frame;
use self::schedule::Schedule;
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::args;

pub(crate) use self::constant::{RowProgram, constant_columns, with_row_programs};
pub use self::lineage::Lineage;
pub(crate) use self::schedule::{is_constant, needed};

/// Why a batch could not be run: it does not fit the program. No value of any row is ever the cause.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// An input column has an Arrow type that holds no KQL value of the declared type.
    #[error("input column `{column}` of type {found} cannot be read as {expected}")]
    InputType {
        /// The column.
        column: String,
        /// Its Arrow type in the batch.
        found: String,
        /// Its declared KQL type.
        expected: String,
    },
    /// Arrow refused an operation, as on more than 2 GiB of rows.
    #[error("cannot evaluate the batch")]
    Arrow(#[from] ArrowError),
}

/// A compiled tabular query. Cheap to share; running it needs no lock.
#[derive(Debug)]
pub struct Program {
    pub(crate) schedule: Schedule,
    pub(crate) output: TableSchema,
    pub(crate) inputs: Vec<Arc<str>>,
    pub(crate) warnings: Vec<Diagnostic>,
    /// Where the query gives each output its value.
    pub(crate) spans: Vec<Option<Span>>,
    /// The numbers of the input rows that the output rows came from, where these are not the input's own.
    pub(crate) came_from: Option<graph::NodeId>,
    pub(crate) multiplies: bool,
}

/// What a program made of a batch.
#[derive(Debug, Clone)]
pub struct Made {
    /// The rows.
    pub rows: RecordBatch,
    /// For each row, the number of the input row that it came from (for one made of several, the first of them);
    /// `None`: each row came from the input row in its place.
    pub came_from: Option<Vec<u32>>,
}

impl Program {
    pub(crate) fn new(
        graph: graph::Graph,
        columns: &[(Arc<str>, graph::NodeId)],
        domain: graph::DomainId,
        name: &str,
        warnings: Vec<Diagnostic>,
    ) -> Self {
        let outputs: Vec<graph::NodeId> = columns.iter().map(|(_, node)| *node).collect();
        let output = TableSchema {
            name: name.into(),
            columns: columns
                .iter()
                .map(|(name, node)| weir_contract::schema::Column::new(name, graph.ty(*node)))
                .collect(),
        };
        let schedule = Schedule::new(Arc::new(graph), outputs, domain);
        let inputs = schedule.inputs();
        let spans = vec![None; columns.len()];
        Self { schedule, output, inputs, warnings, spans, came_from: None, multiplies: false }
    }

    /// A program that also tells where its rows came from.
    pub(crate) fn traced(
        mut graph: graph::Graph,
        columns: &[(Arc<str>, graph::NodeId)],
        domain: graph::DomainId,
        name: &str,
        warnings: Vec<Diagnostic>,
    ) -> Self {
        let multiplies = graph.multiplies(domain);
        let Some(rows) = graph.came_from(domain) else { return Self::new(graph, columns, domain, name, warnings) };
        let mut all = columns.to_vec();
        all.push(("".into(), rows));
        let mut program = Self::new(graph, &all, domain, name, warnings);
        program.output.columns.pop();
        program.spans.pop();
        program.came_from = program.schedule.outputs.pop();
        program.multiplies = multiplies;
        program
    }

    /// Names and types of the columns that [`Program::run`] gives, in order.
    pub fn output(&self) -> &TableSchema {
        &self.output
    }

    /// The raw columns that are read; columns without effect on the output are not among them.
    pub fn inputs(&self) -> &[Arc<str>] {
        &self.inputs
    }

    /// Whether one input row may become several.
    pub fn multiplies(&self) -> bool {
        self.multiplies
    }

    /// What the binder found odd, in the order of the query.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Runs the query over one batch.
    ///
    /// Columns are found by name; one that is absent counts as null in every row. `now()` is the time of the call.
    /// The result has exactly the Arrow fields of [`Program::output`]. Rows keep their order, except that the branches
    /// of a `union` follow each other.
    pub fn run(&self, batch: &RecordBatch) -> Result<RecordBatch, EvalError> {
        Ok(self.make(batch)?.rows)
    }

    /// As [`Program::run`], and tells which input row each row came from.
    pub fn make(&self, batch: &RecordBatch) -> Result<Made, EvalError> {
        let mut frame = Frame::new(&self.schedule, batch);
        frame.run()?;
        let rows = frame.rows(self.schedule.domain);
        let columns = self.schedule.outputs.iter().map(|node| frame.column(*node, rows)).collect();
        let came_from = self.came_from.map(|node| {
            let numbers = frame.column(node, rows);
            numbers.as_primitive::<Int64Type>().values().iter().map(|number| *number as u32).collect()
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let rows = RecordBatch::try_new_with_options(self.output.arrow(), columns, &options)?;
        Ok(Made { rows, came_from })
    }
}

/// A compiled predicate over a raw table.
#[derive(Debug)]
pub struct Filter {
    pub(crate) program: Program,
}

impl Filter {
    /// Which rows the predicate holds for. The mask has no nulls: null counts as false.
    pub fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray, EvalError> {
        let result = self.program.run(batch)?;
        Ok(two_valued(result.column(0).as_boolean()))
    }

    /// The raw columns that the predicate reads.
    pub fn inputs(&self) -> &[Arc<str>] {
        self.program.inputs()
    }

    /// What the binder found odd.
    pub fn warnings(&self) -> &[Diagnostic] {
        self.program.warnings()
    }
}

/// A mask whose nulls are false.
fn two_valued(mask: &BooleanArray) -> BooleanArray {
    BooleanArray::new(args::two_valued(mask), None)
}
