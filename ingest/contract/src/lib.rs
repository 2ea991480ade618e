//! What the stages of Weir share, and nothing else.
//!
//! An event walks ingest → normalize → sink. A source hands over a [`batch::RawBatch`]; the decoder and the
//! normalizer turn it into [`batch::Batch`]es; a sink ends them. Three things travel with the bytes the whole way:
//! where they came from ([`position`]), the word that they are durable ([`ack`]), and the memory that they hold
//! ([`memory`]). No stage needs to know a later one to use them.

pub mod ack;
pub mod batch;
pub mod bisect;
pub mod datetime;
pub mod dead_letter;
pub mod json;
pub mod memory;
pub mod metrics;
pub mod panics;
pub mod position;
pub mod pushed;
pub mod schema;
pub mod secret;
pub mod units;
pub mod yaml;
