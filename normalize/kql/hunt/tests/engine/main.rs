//! The engine over tables in memory and in files. One test crate, since each one links DataFusion.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

mod aggregates;
mod documented;
mod functions;
mod joins;
mod memory;
mod operators;
mod skipping;
