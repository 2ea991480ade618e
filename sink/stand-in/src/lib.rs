//! A local server that behaves like the ingestion side of a Microsoft Sentinel workspace.
//!
//! It is the default workspace of `weir demo` and the peer of our tests, and shares no code with the sink that it
//! judges. One HTTP server plays three parts of the cloud and adds an interface of its own:
//!
//! ```text
//! POST /{tenant}/oauth2/v2.0/token                      Entra's token endpoint           directory.rs
//! GET  /metadata/identity/oauth2/token                  managed identity of a machine    directory.rs
//! POST /dataCollectionRules/{id}/streams/{stream}       Logs Ingestion API               ingest.rs → rows.rs
//! …    /stand-in/…                                      rules, faults, rows, counters    own_api.rs
//! ```
//!
//! It refuses what the service refuses, in the service's order and, where they are known, in its words. What the
//! service does silently after a `204` (drop undeclared columns, null mistyped values, truncate long strings,
//! rewrite times) it does too, but counts each case by name: [`counters::TableCounters`]. What Microsoft has not
//! documented is a choice of ours, said at the place and in docs/stand-in.md.
//!
//! Memory is bounded: at most 1 MiB of each upload's wire bytes is held, few uploads are unpacked at a time, and
//! each table keeps its newest rows up to a number and a size.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answers;
mod billed;
mod cell;
pub mod config;
mod connection;
pub mod counters;
mod directory;
pub mod faults;
mod ingest;
mod own_api;
mod page;
mod rows;
pub mod rule_builder;
pub mod rules;
mod server;
pub mod tables;
mod tokens;
mod upload;
pub mod workspace;

pub use crate::config::{SizeLimit, StandInConfig};
pub use crate::faults::Fault;
pub use crate::rule_builder::rule_for_tables;
pub use crate::server::StandIn;
pub use crate::workspace::Workspace;
