//! The units that travel: raw records from a source, and columnar rows behind the decoder.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use crate::ack::Ack;
use crate::memory::Permit;
use crate::position::{Offset, Origin, RowPosition};

/// How the bytes of a record are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The whole payload is one JSON document: an object, an array of objects, or a `{"records":[…]}` wrapper.
    Document,
    /// Each line of the payload is such a document; lines end in LF or CRLF.
    Lines,
    /// CSV with a header: the payload's first line names the columns (a source repeats it in each record).
    Csv,
    /// Each payload tells itself what it is ([`crate::pushed`]).
    Pushed,
    /// Each payload is a piece of a record that is larger than the source may hold: to be refused, not read.
    Oversized,
}

/// Bytes as received, with their position.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// The payload.
    pub payload: Bytes,
    /// Index into the `ranges` of the batch's origin: the partition that it came from.
    pub partition: u32,
    /// The record's own offset; for [`Framing::Lines`] the position of the payload's first byte, for
    /// [`Framing::Csv`] that of the first row behind the header.
    pub offset: Offset,
}

/// Raw records that a source hands over together.
#[derive(Debug)]
pub struct RawBatch {
    /// Source, partitions and offsets.
    pub origin: Arc<Origin>,
    /// How each payload is to be read.
    pub framing: Framing,
    /// The table of rows that carry no table name of their own, from the source's config.
    pub default_table: Option<Arc<str>>,
    /// The records, in the order of the source.
    pub records: Vec<RawRecord>,
    /// To be answered when every row made from these records is durable.
    pub ack: Ack,
    /// The payload's bytes against the memory budget.
    pub permit: Permit,
}

impl RawBatch {
    /// Sum of the payload sizes.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.payload.len()).sum()
    }
}

/// What a batch's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// Rows of a raw table, typed by its schema.
    Raw,
    /// Rows of a table that no schema describes: `TimeGenerated`, `Type` and the record as one dynamic column.
    Unknown,
    /// Rows of an ASIM table.
    Normalized,
    /// Dead letters ([`crate::dead_letter`]).
    DeadLetter,
}

/// Columnar rows of one table: the unit of every queue, metric and write behind the decoder.
///
/// Of one table, the batches come in the order of their raw batches.
#[derive(Debug)]
pub struct Batch {
    /// The table that the rows belong to.
    pub table: Arc<str>,
    /// What the rows are.
    pub kind: RowKind,
    /// The rows; column types by [`crate::schema`].
    pub rows: RecordBatch,
    /// Where the raw batch came from; shared by all batches made from it.
    pub origin: Arc<Origin>,
    /// Where each row came from, one per row.
    pub positions: Arc<[RowPosition]>,
    /// The mapping that made the rows; none for rows as they were decoded.
    pub mapping: Option<Arc<str>>,
    /// Whether another batch of the same table was made of the same raw batch and follows this one: only with the last
    /// of them does the table have all that the raw batch holds for it.
    pub has_more: bool,
    /// Bytes of raw input that these rows were decoded from (0 where a row was counted elsewhere already).
    pub raw_bytes: u64,
    /// To be answered once the rows are durable.
    pub ack: Ack,
    /// The rows' bytes against the memory budget.
    pub permit: Permit,
}
