//! Files and payloads through the public face of the crate: sources, decoder, and both together.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod decode;
mod files;
mod follow;
mod samples;
mod support;
mod types;
