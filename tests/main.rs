//! Tests of the whole binary. One test crate, since each one links the whole tree.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

mod asim_check;
mod bad_input;
mod config;
mod deploy;
mod documents;
mod files;
mod flow;
mod kafka;
mod kafka_faults;
mod samples;
mod stores;
mod workspace;
