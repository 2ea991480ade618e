//! Sources and decoders: raw records in, columnar batches out.
//!
//! A [`source::Source`] reads records with their positions and hands them over as raw batches: [`mod@file`] reads files
//! and directories, [`objects`] what lies in an object store, [`kafka`] consumes topics (Azure Event Hubs included),
//! [`http`] is posted to, and keeps what it gets in a buffer on the disk ([`push`]). A [`decode::Decoder`] turns each raw batch
//! into typed Arrow rows, one batch per table, by the raw table schemas in [`schema`]. What cannot be decoded becomes
//! a dead letter with its bytes and origin; its neighbours are untouched.

pub mod decode;
pub mod file;
pub mod http;
mod json_text;
pub mod kafka;
pub mod metrics;
pub mod objects;
pub mod push;
pub mod schema;
pub mod source;
