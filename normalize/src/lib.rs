//! Raw rows in, ASIM rows out.
//!
//! What Weir knows of a log family is data: a mapping file ([`mapping`]) in KQL, beside its samples and expected rows
//! in `families/<vendor>/<product>/`. [`library`] loads the built-in files and the user's own and compiles them
//! against the raw tables; [`normalizer`] runs them over batches. [`asim`] holds the native tables that the output
//! must fit, and [`check`] holds rows against the ASIM schemas.

pub mod asim;
pub mod check;
pub mod library;
pub mod mapping;
pub mod metrics;
pub mod normalizer;
