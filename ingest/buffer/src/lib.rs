//! A log on this machine's disk that stands before sources which cannot be asked again.
//!
//! A sender that gets its answer forgets what it sent. So what it sent is first appended here, and answered when it is
//! durable ([`buffer::Buffer`]). The pipeline reads on from the stored front, and moves the front behind what its sinks
//! have made durable; segments before the front are deleted.
//!
//! ```text
//! state/<source>/
//!   id                          32 hexadecimal digits, made once: the partition is `buffer-<id>`
//!   lock                        held by the one process that uses the folder
//!   front                       the sequence number of the first record that is not acknowledged
//!   00000000000000000000.seg    records (`record`), named by the sequence number of the first
//!   damaged-…                   bytes that failed their checksum, kept for a person
//! ```
//!
//! What always holds (`tests/model.rs` tries to break it):
//! - A record that was answered as durable is read until the front has passed it, whatever byte a crash came at.
//! - Sequence numbers only rise, and a record is read only after it is durable: no number ever stands for two records.
//! - A write that fails (a full disk) is answered as an error and taken back; what was durable stays readable.
//!
//! [`log`] has the rules and does no waiting; [`buffer`] puts a thread around it, which commits in groups; [`folder`]
//! is the file system behind a trait, so that the tests can crash it at any byte.

pub mod buffer;
pub mod folder;
mod front;
pub mod log;
pub mod record;
mod segment;
