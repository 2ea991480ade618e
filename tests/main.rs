//! Tests of the whole binary. One test crate, since each one links the whole tree.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

mod asim_check;
mod asim_coverage;
mod asim_import;
mod bad_input;
mod config;
mod dead_letters;
mod deploy;
mod diff;
mod documents;
mod drift;
mod explain;
mod files;
mod flow;
mod guide;
mod http;
mod hunt;
mod kafka;
mod kafka_faults;
mod kql;
mod kql_run;
mod mapping_tests;
mod objects;
mod samples;
mod stores;
mod torture;
mod workspace;
