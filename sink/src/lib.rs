//! Where batches end: the Delta lake and the Sentinel workspace.
//!
//! Every sink follows the contract of [`sink`]: it takes columnar batches from a bounded queue, makes their rows
//! durable, and answers each batch's acknowledgement only then. [`lake`] writes Parquet files and commits them to Delta
//! tables; [`sentinel`] posts JSON to the Logs Ingestion API; [`billing`] computes what a workspace bills for rows.

pub mod billing;
pub mod lake;
pub mod metrics;
pub mod sentinel;
pub mod sink;
