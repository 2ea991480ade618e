//! Raw rows in, ASIM rows out.
//!
//! What Weir knows of a log family is data: a mapping file ([`mapping`]) in KQL, beside its samples and expected rows
//! in `families/<vendor>/<product>/`. [`library`] loads the built-in files and the user's own and compiles them
//! against the raw tables; [`normalizer`] runs them over batches; [`samples`] compares what they make of samples with
//! what is expected. [`asim`] holds the native tables that the output must fit, [`check`] holds rows against the ASIM
//! schemas, [`coverage`] tells what a folder of mappings covers of them; [`unifying`] has the functions that queries over those tables call.

pub mod asim;
mod batch_lookup;
pub mod check;
pub mod content;
pub mod coverage;
pub mod engine;
pub mod import;
pub mod library;
pub mod mapping;
pub mod metrics;
pub mod normalizer;
pub mod query;
pub mod samples;
pub mod unifying;
