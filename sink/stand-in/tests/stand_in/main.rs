//! The stand-in over HTTP, as one binary: each test starts a server of its own on a free port.

#![allow(clippy::unwrap_used, missing_docs)]

mod contract;
mod faults;
mod own_api;
mod sender;
