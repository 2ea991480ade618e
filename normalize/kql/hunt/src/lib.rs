//! KQL over stored tables: a bound plan becomes a DataFusion plan, with KQL's own kernels as its functions.
//!
//! [`Hunter`] holds the tables. A query goes text → [`weir_kql::plan::Plan`] (by `weir-kql`) → DataFusion's logical plan
//! (`lower`) → rows. DataFusion scans, joins, sorts and aggregates, within a bound of memory and beyond it on disk; every
//! expression is one of KQL's kernels (`scalar`), so that a rule gives the same answer here and at ingest. Expressions
//! are fully typed, so that DataFusion has nothing to coerce.
//!
//! Strings are never null in a plan: a null becomes the empty text where it comes in (scans, constant tables, outer joins,
//! programs, kernels). What filters ask of a table's columns is told to its scan in plain comparisons too (`implied`), so
//! that partitions, files and row groups are skipped.

mod aggregate;
mod error;
mod hunter;
mod implied;
mod lower;
mod map;
mod nested;
mod order;
mod planner;
mod scalar;
mod table;

pub use error::HuntError;
pub use hunter::{Answer, Hunter, Settings};
pub use table::Table;
