//! Records that were refused, kept whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{BinaryBuilder, Int64Builder, StringViewBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use prometheus::IntCounterVec;
use sha2::{Digest as _, Sha256};

use crate::metrics::MetricSet;
use crate::position::{Offset, PartitionId, SourceName};

/// The lake table that dead letters are kept in.
pub const DEAD_LETTERS: &str = "dead_letters";

/// The reason of a record that is larger than its source may hold; it is kept in pieces ([`Form::Piece`]).
pub const TOO_LARGE: &str = "too_large";
/// The reason of a record at which the decoder or a mapping panicked.
pub const PANIC: &str = "panic";
/// The reason of a record that a mapping could not be run over.
pub const MAPPING_FAILED: &str = "mapping_failed";

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

/// What the payload of a dead letter is, and so how it can be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// A document as received: what a decoder reads as [`crate::batch::Framing::Document`].
    Document,
    /// The header of a CSV file and one row of it.
    Csv,
    /// A stretch of a record that is larger than its source may hold; the next one begins where it ends.
    Piece,
    /// A row as a sink was to write it, as a JSON object: it was decoded and normalised before.
    Row,
}

/// A mapping that had a part in a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MappedBy {
    /// Its name.
    pub mapping: Arc<str>,
    /// The version that its file states, if it does.
    pub version: Option<Arc<str>>,
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
    /// The mapping that refused it, where one did.
    pub mapping: Option<MappedBy>,
    /// Who refused it.
    pub stage: Stage,
    /// Why, as a short fixed word for the metric's label, such as `invalid_json`.
    pub reason: &'static str,
    /// Why, for a person: what was found, where, what was expected.
    pub detail: String,
    /// What the payload is.
    pub form: Form,
    /// The record's bytes, whole.
    pub payload: Bytes,
}

/// Counts the dead letters of all stages. Cloning shares it.
#[derive(Debug, Clone)]
pub struct DeadLetterMetrics {
    /// `weir_dead_letters_total{source,stage,reason,table}`; `table` is empty where it could not be told.
    pub letters: IntCounterVec,
}

impl DeadLetterMetrics {
    /// Declares the metric in `set`; several stages may do so and count in the same one.
    pub fn new(set: &MetricSet) -> Self {
        Self {
            letters: set.shared_counter(
                "weir_dead_letters_total",
                "Records refused and kept whole as dead letters, by the stage that refused them, the reason, and the \
                 table that they were on their way to (empty where it could not be told)",
                &["source", "stage", "reason", "table"],
            ),
        }
    }

    /// Counts refused records.
    pub fn count(&self, letters: &[DeadLetter]) {
        for letter in letters {
            let table = letter.table.as_deref().unwrap_or_default();
            let labels = [letter.source.as_ref(), letter.stage.name(), letter.reason, table];
            self.letters.with_label_values(&labels).inc();
        }
    }
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

impl Form {
    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Csv => "csv",
            Self::Piece => "piece",
            Self::Row => "row",
        }
    }

    /// The form of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Document, Self::Csv, Self::Piece, Self::Row].into_iter().find(|form| form.name() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DeadLetter {
    /// The letter's id: 32 hexadecimal digits that the same record gets whenever it is refused at the same place for
    /// the same reason, also after a crash. `number` tells letters of one record apart.
    ///
    /// A record is told by its position. A sink's row is told by its content instead: it has an id of its own by then,
    /// while the batch that it is in depends on how the source was cut.
    fn id(&self, number: u32) -> String {
        let mapping = self.mapping.as_ref().map_or("", |by| &by.mapping);
        let mut parts: Vec<&[u8]> =
            vec![self.source.as_ref().as_bytes(), self.stage.name().as_bytes(), self.reason.as_bytes()];
        let (offset, number) = (self.offset.0.to_le_bytes(), number.to_le_bytes());
        match self.form {
            Form::Row => parts.extend([self.table.as_deref().unwrap_or_default().as_bytes(), &self.payload]),
            _ => parts.extend([self.partition.as_ref().as_bytes(), &offset, mapping.as_bytes(), &number]),
        }
        hash_id(&parts)
    }
}

/// The first 128 bits of SHA-256 over `parts`, each behind its length, in hexadecimal. Refusals are rare, so that a
/// faster hash would gain nothing.
pub fn hash_id(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

/// The Arrow schema of [`DEAD_LETTERS`]: one row per refused record, `Payload` holds its bytes as they were.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("TimeGenerated", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("Id", DataType::Utf8View, false),
        Field::new("Source", DataType::Utf8View, false),
        Field::new("Partition", DataType::Utf8View, false),
        // Delta has no unsigned 64-bit type; offsets fit 63 bits.
        Field::new("Offset", DataType::Int64, false),
        Field::new("Table", DataType::Utf8View, true),
        Field::new("Stage", DataType::Utf8View, false),
        Field::new("Reason", DataType::Utf8View, false),
        Field::new("Detail", DataType::Utf8View, true),
        Field::new("Mapping", DataType::Utf8View, true),
        Field::new("MappingVersion", DataType::Utf8View, true),
        Field::new("WeirVersion", DataType::Utf8View, false),
        Field::new("Form", DataType::Utf8View, false),
        Field::new("Payload", DataType::Binary, false),
    ]))
}

/// Rows of [`schema`] for `letters`, all stamped `now_us` (microseconds since 1970 UTC).
///
/// Letters of one record must come in one call, in their order: their ids are made of their numbers.
pub fn to_rows(letters: &[DeadLetter], now_us: i64) -> RecordBatch {
    let mut numbers = HashMap::new();
    let mut time = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let mut id = StringViewBuilder::new();
    let mut source = StringViewBuilder::new();
    let mut partition = StringViewBuilder::new();
    let mut offset = Int64Builder::new();
    let mut table = StringViewBuilder::new();
    let mut stage = StringViewBuilder::new();
    let mut reason = StringViewBuilder::new();
    let mut detail = StringViewBuilder::new();
    let mut mapping = StringViewBuilder::new();
    let mut mapping_version = StringViewBuilder::new();
    let mut weir_version = StringViewBuilder::new();
    let mut form = StringViewBuilder::new();
    let mut payload = BinaryBuilder::new();
    for letter in letters {
        let record = (&letter.source, &letter.partition, letter.offset, letter.stage, letter.reason, &letter.mapping);
        let number = numbers.entry(record).or_insert(0_u32);
        time.append_value(now_us);
        id.append_value(letter.id(*number));
        *number += 1;
        source.append_value(&letter.source);
        partition.append_value(&letter.partition);
        offset.append_value(i64::try_from(letter.offset.0).unwrap_or(i64::MAX));
        table.append_option(letter.table.as_deref());
        stage.append_value(letter.stage.name());
        reason.append_value(letter.reason);
        detail.append_value(&letter.detail);
        mapping.append_option(letter.mapping.as_ref().map(|by| &*by.mapping));
        mapping_version.append_option(letter.mapping.as_ref().and_then(|by| by.version.as_deref()));
        weir_version.append_value(env!("CARGO_PKG_VERSION"));
        form.append_value(letter.form.name());
        payload.append_value(&letter.payload);
    }
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(time.finish()),
            Arc::new(id.finish()),
            Arc::new(source.finish()),
            Arc::new(partition.finish()),
            Arc::new(offset.finish()),
            Arc::new(table.finish()),
            Arc::new(stage.finish()),
            Arc::new(reason.finish()),
            Arc::new(detail.finish()),
            Arc::new(mapping.finish()),
            Arc::new(mapping_version.finish()),
            Arc::new(weir_version.finish()),
            Arc::new(form.finish()),
            Arc::new(payload.finish()),
        ],
    )
    .expect("columns follow the schema above")
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;

    use super::*;

    fn letter(offset: u64, reason: &'static str, payload: &'static str) -> DeadLetter {
        DeadLetter {
            source: "hub".into(),
            partition: "events/0".into(),
            offset: Offset(offset),
            table: None,
            mapping: None,
            stage: Stage::Decode,
            reason,
            detail: String::new(),
            form: Form::Document,
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    fn ids(letters: &[DeadLetter], now_us: i64) -> Vec<String> {
        let rows = to_rows(letters, now_us);
        rows.column_by_name("Id").expect("a column").as_string_view().iter().flatten().map(str::to_owned).collect()
    }

    #[test]
    fn an_id_is_the_same_whenever_the_record_is_refused_and_no_other_record_has_it() {
        let by = |mapping: &str| Some(MappedBy { mapping: mapping.into(), version: None });
        let letters = [
            letter(7, "invalid_json", "{"),
            letter(7, "invalid_json", "["),
            letter(7, "too_deep", "{"),
            letter(8, "invalid_json", "{"),
            DeadLetter { mapping: by("a"), ..letter(7, PANIC, "{}") },
            DeadLetter { mapping: by("b"), ..letter(7, PANIC, "{}") },
            DeadLetter { source: "other".into(), ..letter(7, "invalid_json", "{") },
            DeadLetter { partition: "events/1".into(), ..letter(7, "invalid_json", "{") },
            DeadLetter { form: Form::Row, stage: Stage::Sink, ..letter(7, "no_rule", "{}") },
            DeadLetter { form: Form::Row, stage: Stage::Sink, ..letter(7, "no_rule", "{\"a\":1}") },
        ];
        let first = ids(&letters, 1);
        assert_eq!(first, ids(&letters, 2), "whatever the time");
        let distinct: std::collections::HashSet<_> = first.iter().collect();
        assert_eq!(distinct.len(), letters.len(), "{first:?}");
        assert_eq!(ids(&letters[3..4], 1)[0], first[3], "whatever is refused beside it");
        let moved = DeadLetter { offset: Offset(99), ..letters[8].clone() };
        assert_eq!(ids(&[moved], 1)[0], first[8], "a sink's row is told by its content");
        assert!(first.iter().all(|id| id.len() == 32));
    }
}
