//! Records that were refused, kept whole.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BinaryBuilder, Int64Builder, StringViewBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;

use crate::position::{Offset, PartitionId, SourceName};

/// The lake table that dead letters are kept in.
pub const DEAD_LETTERS: &str = "dead_letters";

/// The stage that refused a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The source: too large to read.
    Source,
    /// The decoder.
    Decode,
    /// The normalizer.
    Normalize,
    /// A sink.
    Sink,
}

/// A refused record: what it was, where it came from, who refused it and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Source.
    pub source: SourceName,
    /// Partition (topic and partition, or path).
    pub partition: PartitionId,
    /// Offset of the record in its partition.
    pub offset: Offset,
    /// Table that it was on its way to, if known.
    pub table: Option<Arc<str>>,
    /// Who refused it.
    pub stage: Stage,
    /// Why, as a short fixed word for the metric's label, such as `invalid_json`.
    pub reason: &'static str,
    /// Why, for a person: what was found, where, what was expected.
    pub detail: String,
    /// The record's bytes, whole.
    pub payload: Bytes,
}

impl Stage {
    /// The name in the table and in metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Decode => "decode",
            Self::Normalize => "normalize",
            Self::Sink => "sink",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The Arrow schema of [`DEAD_LETTERS`]: one row per refused record, `Payload` holds its bytes as they were.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("TimeGenerated", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("Source", DataType::Utf8View, false),
        Field::new("Partition", DataType::Utf8View, false),
        // Delta has no unsigned 64-bit type; offsets fit 63 bits.
        Field::new("Offset", DataType::Int64, false),
        Field::new("Table", DataType::Utf8View, true),
        Field::new("Stage", DataType::Utf8View, false),
        Field::new("Reason", DataType::Utf8View, false),
        Field::new("Detail", DataType::Utf8View, true),
        Field::new("Payload", DataType::Binary, false),
    ]))
}

/// Rows of [`schema`] for `letters`, all stamped `now_us` (microseconds since 1970 UTC).
pub fn to_rows(letters: &[DeadLetter], now_us: i64) -> RecordBatch {
    let mut time = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut source = StringViewBuilder::new();
    let mut partition = StringViewBuilder::new();
    let mut offset = Int64Builder::new();
    let mut table = StringViewBuilder::new();
    let mut stage = StringViewBuilder::new();
    let mut reason = StringViewBuilder::new();
    let mut detail = StringViewBuilder::new();
    let mut payload = BinaryBuilder::new();
    for letter in letters {
        time.append_value(now_us);
        source.append_value(&letter.source);
        partition.append_value(&letter.partition);
        offset.append_value(i64::try_from(letter.offset.0).unwrap_or(i64::MAX));
        table.append_option(letter.table.as_deref());
        stage.append_value(letter.stage.name());
        reason.append_value(letter.reason);
        detail.append_value(&letter.detail);
        payload.append_value(&letter.payload);
    }
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(time.finish()),
            Arc::new(source.finish()),
            Arc::new(partition.finish()),
            Arc::new(offset.finish()),
            Arc::new(table.finish()),
            Arc::new(stage.finish()),
            Arc::new(reason.finish()),
            Arc::new(detail.finish()),
            Arc::new(payload.finish()),
        ],
    )
    .expect("columns follow the schema above")
}
