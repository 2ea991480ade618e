//! The bound form of a query over stored tables: a tree of relational operators, for an engine that joins and sorts.
//!
//! [`crate::compile_plan`] binds a query with the same binder that makes ingest programs, with every operator allowed, and
//! lowers the bound graph to [`Plan`]. Columns are known by ids, so names never clash; expressions are calls of the
//! same [`Kernel`]s that run at ingest, so a rule gives the same answer in both places.

mod display;
mod kernel;
pub(crate) mod lower;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use weir_contract::schema::{ColumnType, TableSchema};

pub use self::kernel::{Kernel, Operand};
use crate::program::Program;
pub use crate::program::join::JoinType;

/// What the binder asks of the engine while it binds.
pub trait Host {
    /// The schema of a stored table, if there is one of that name.
    fn table(&self, name: &str) -> Option<TableSchema>;

    /// Names of all stored tables, for near-name hints and for `union *`-like patterns.
    fn table_names(&self) -> Vec<String>;

    /// Runs a plan now, and gives its rows with the fields that [`Plan::columns`] lists, in that order. The binder asks
    /// for what KQL evaluates once: `toscalar`, `in (table)`, `materialize`, operators whose columns depend on rows, and
    /// operators that need all rows at once. `limit`: more rows than this are an error, which says so.
    fn rows(&self, plan: &Arc<Plan>, limit: usize) -> Result<RecordBatch, String>;
}

/// A column of a plan: a unique id, which is its name in every batch, and its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlanColumn {
    /// Id, like `c17`; unique in the whole query.
    pub id: Arc<str>,
    /// KQL type; the Arrow type is that of [`ColumnType::arrow`].
    pub ty: ColumnType,
}

/// A relational operator. Inputs are shared where the query uses one table twice.
#[derive(Debug)]
pub enum Plan {
    /// A stored table. A null string there counts as the empty text.
    Scan {
        /// Its name.
        table: Arc<str>,
        /// Columns read: the name in the table, and the plan's column.
        columns: Vec<(Arc<str>, PlanColumn)>,
    },
    /// A constant table: the batch's fields are the columns' ids.
    Values {
        /// Columns, in the batch's order.
        columns: Vec<PlanColumn>,
        /// Rows.
        rows: RecordBatch,
    },
    /// The rows where the condition is true; null counts as false.
    Filter {
        /// Rows to choose from.
        input: Arc<Plan>,
        /// A bool.
        condition: Expr,
    },
    /// Exactly these columns.
    Project {
        /// Rows to compute from.
        input: Arc<Plan>,
        /// Output columns and what they are.
        columns: Vec<(PlanColumn, Expr)>,
    },
    /// One row per group; without keys one row, also for no input at all. Null is a key like any other.
    Aggregate {
        /// Rows to group.
        input: Arc<Plan>,
        /// Key columns.
        keys: Vec<(PlanColumn, Expr)>,
        /// Result columns.
        aggregates: Vec<(PlanColumn, Aggregation)>,
    },
    /// Rows in order; the columns are the input's.
    Sort {
        /// Rows to sort.
        input: Arc<Plan>,
        /// Most important first.
        keys: Vec<SortKey>,
        /// Keep only that many.
        limit: Option<usize>,
    },
    /// Any `rows` rows; the columns are the input's.
    Limit {
        /// Rows to choose from.
        input: Arc<Plan>,
        /// How many at most.
        rows: usize,
    },
    /// All rows of all inputs. Each input is a [`Plan::Project`] to columns of these types, in this order.
    Union {
        /// Branches.
        inputs: Vec<Arc<Plan>>,
        /// Output columns, by place.
        columns: Vec<PlanColumn>,
    },
    /// Both sides' columns (one side's for semi and anti kinds). Null keys are equal to each other. Where a side has no
    /// match its columns are null, and strings the empty text.
    Join {
        /// Kind.
        kind: JoinType,
        /// Left rows.
        left: Arc<Plan>,
        /// Right rows.
        right: Arc<Plan>,
        /// Pairs of keys of one type: left, right. None: every pair of rows.
        keys: Vec<(Expr, Expr)>,
    },
    /// A program run on each batch of the input by itself: `parse`, `mv-expand`, `mv-apply`, `lookup` of constants.
    /// Every row of the output comes from one row of the input.
    Map {
        /// Rows to map. The program reads its columns by id.
        input: Arc<Plan>,
        /// Gives `columns`, in this order.
        program: Arc<Program>,
        /// Output columns; those with an id of the input carry the value of their row.
        columns: Vec<PlanColumn>,
    },
}

/// A key of [`Plan::Sort`].
#[derive(Debug, Clone)]
pub struct SortKey {
    /// What is compared: texts by code points, `false` before `true`, dynamic by its text or number.
    pub value: Expr,
    /// Smallest first.
    pub ascending: bool,
    /// Nulls before all others.
    pub nulls_first: bool,
}

/// An aggregate call.
#[derive(Debug, Clone)]
pub struct Aggregation {
    /// What it computes.
    pub function: AggregateFunction,
    /// Its value, already of the type that it reads; `None` for `count`. For `arg_min`, `arg_max`: what is compared.
    pub value: Option<Expr>,
    /// What `arg_min` and `arg_max` bring along.
    pub carried: Option<Expr>,
    /// Only rows where this is true take part.
    pub condition: Option<Expr>,
    /// The percentile (0 to 100), or the most elements of a list or set.
    pub parameter: Option<f64>,
    /// Type of the result.
    pub ty: ColumnType,
}

pub use crate::functions::accumulate::Accumulators;
pub use crate::functions::aggregates::Kind as AggregateFunction;

/// An expression over the columns of a plan.
#[derive(Debug, Clone)]
pub enum Expr {
    /// A column of the input.
    Column(PlanColumn),
    /// A constant: an array of one value.
    Literal(ArrayRef, ColumnType),
    /// A call.
    Call(Kernel, Vec<Expr>),
}

/// A query ready to run.
#[derive(Debug)]
pub struct BoundQuery {
    /// What to run.
    pub plan: Arc<Plan>,
    /// Output columns in order: the ids in `plan`, and their names for the reader.
    pub output: Vec<(PlanColumn, Arc<str>)>,
    /// What the binder found odd.
    pub warnings: Vec<crate::Diagnostic>,
}

impl Plan {
    /// Columns of the rows that it gives, in order.
    pub fn columns(&self) -> Vec<PlanColumn> {
        match self {
            Self::Scan { columns, .. } => columns.iter().map(|(_, column)| column.clone()).collect(),
            Self::Values { columns, .. } | Self::Union { columns, .. } | Self::Map { columns, .. } => columns.clone(),
            Self::Filter { input, .. } | Self::Sort { input, .. } | Self::Limit { input, .. } => input.columns(),
            Self::Project { columns, .. } => columns.iter().map(|(column, _)| column.clone()).collect(),
            Self::Aggregate { keys, aggregates, .. } => {
                let keys = keys.iter().map(|(column, _)| column.clone());
                keys.chain(aggregates.iter().map(|(column, _)| column.clone())).collect()
            }
            Self::Join { kind, left, right, .. } => match kind {
                JoinType::LeftSemi | JoinType::LeftAnti => left.columns(),
                JoinType::RightSemi | JoinType::RightAnti => right.columns(),
                _ => [left.columns(), right.columns()].concat(),
            },
        }
    }
}

impl Expr {
    /// Type of the value.
    pub fn ty(&self) -> ColumnType {
        match self {
            Self::Column(column) => column.ty,
            Self::Literal(_, ty) => *ty,
            Self::Call(kernel, _) => kernel.ty(),
        }
    }
}
