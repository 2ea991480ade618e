//! KQL over Arrow batches: the language of Weir's mappings, filters and routes.
//!
//! A query goes syntax → binder → program. The syntax (lexer, recursive descent) gives a tree with spans; the binder
//! resolves names, types every expression, expands functions and folds constants into a graph of typed nodes; the
//! program is that graph as a straight line of steps, compiled once and run per batch without async or planning.
//! Semantics are KQL's own: strings are never null, equality is two-valued, conversions never fail. Data never makes a
//! program fail; [`EvalError`] means a batch that does not fit it.
//!
//! ```
//! use weir_contract::schema::{Column, ColumnType, TableSchema};
//! let columns = vec![Column::new("Host", ColumnType::String)];
//! let table = TableSchema { name: "Raw".into(), columns };
//! let program = weir_kql::compile("Raw | extend Short = tostring(split(Host, '.')[0])", &table, weir_kql::Mode::Strict);
//! assert_eq!(program.expect("compiles").output().columns.len(), 2);
//! ```

mod binder;
mod catalog;
mod convert;
mod dcr;
mod diagnostic;
mod functions;
mod json;
mod operators;
mod outline;
pub mod plan;
mod program;
mod scalar;
mod sphere;
mod stored;
mod syntax;
mod text;

pub use binder::{
    BoundFunction, Mode, compile, compile_filter, compile_filter_with, compile_function, compile_plan, compile_with,
    window_functions,
};
pub use catalog::Catalog;
pub use dcr::dcr_strict;
pub use diagnostic::{Diagnostic, Severity, Span, Subject};
pub use functions::aggregates::aggregates;
pub use functions::{FunctionDoc, aliases, reference};
pub use operators::{OperatorDoc, Runs, operators};
pub use outline::{Outline, outline};
pub use program::dispatch::Dispatch;
pub use program::{EvalError, Filter, Lineage, Made, Program};
pub use stored::names as helpers;
pub use syntax::format::format;
pub use syntax::{MAX_DEPTH, MAX_QUERY_BYTES, is_function, syntax_errors};
pub use text::timespan as format_timespan;
