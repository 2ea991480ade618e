//! Raw batches made by hand, and rows shown as JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use weir_contract::ack::Ack;
use weir_contract::batch::{Framing, RawBatch, RawRecord, RowKind};
use weir_contract::datetime::format_iso;
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats};
use weir_contract::schema::ColumnType;
use weir_ingest::decode::{Decoded, Decoder};
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::schema::RawTables;

pub fn tables() -> Arc<RawTables> {
    static TABLES: OnceLock<Arc<RawTables>> = OnceLock::new();
    TABLES.get_or_init(|| Arc::new(RawTables::builtin())).clone()
}

pub fn metrics() -> IngestMetrics {
    IngestMetrics::new(&MetricSet::new())
}

/// A batch of payloads at offsets 100, 101, …, of one partition.
pub fn raw_batch(framing: Framing, default_table: Option<&str>, payloads: &[&[u8]]) -> RawBatch {
    let next = Offset(100 + payloads.len() as u64);
    let range = OffsetRange { partition: "hub/0".into(), start: Offset(100), next, delivered: Offset(0) };
    let record = |(index, payload): (usize, &&[u8])| RawRecord {
        payload: payload.to_vec().into(),
        partition: 0,
        offset: Offset(100 + index as u64),
    };
    RawBatch {
        origin: Arc::new(Origin { source: "hub".into(), ranges: vec![range], positions: Repeats::Unrelated }),
        framing,
        default_table: default_table.map(Into::into),
        records: payloads.iter().enumerate().map(record).collect(),
        ack: Ack::detached(),
        permit: MemoryBudget::new(1 << 30).charge(0),
    }
}

pub fn decode_with(framing: Framing, default_table: Option<&str>, payloads: &[&[u8]]) -> Decoded {
    let decoder = Decoder::new(tables(), metrics());
    let decoded = decoder.decode(raw_batch(framing, default_table, payloads), &MemoryBudget::new(1 << 30));
    let rows: usize = decoded.batches.iter().map(|batch| batch.rows.num_rows()).sum();
    assert_eq!(decoded.records, (rows + decoded.dead_letters.len()) as u64, "every record is accounted for");
    decoded
}

pub fn decode(payload: &str) -> Decoded {
    decode_with(Framing::Document, None, &[payload.as_bytes()])
}

/// The rows of `batch` as JSON: columns in order, nulls left out, dynamic values as they are.
pub fn row_texts(rows: &RecordBatch) -> Vec<String> {
    (0..rows.num_rows())
        .map(|row| {
            let mut text = String::from("{");
            for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
                if column.is_null(row) {
                    continue;
                }
                let quoted = |text: &str| serde_json::to_string(text).unwrap();
                let value = match ColumnType::of_field(field).unwrap() {
                    ColumnType::Bool => column.as_boolean().value(row).to_string(),
                    ColumnType::Int => column.as_primitive::<Int32Type>().value(row).to_string(),
                    ColumnType::Long => column.as_primitive::<Int64Type>().value(row).to_string(),
                    ColumnType::Real => column.as_primitive::<Float64Type>().value(row).to_string(),
                    ColumnType::Datetime => {
                        quoted(&format_iso(column.as_primitive::<TimestampMicrosecondType>().value(row)))
                    }
                    ColumnType::Timespan => column.as_primitive::<DurationMicrosecondType>().value(row).to_string(),
                    ColumnType::String | ColumnType::Guid => quoted(column.as_string_view().value(row)),
                    ColumnType::Dynamic => column.as_string_view().value(row).to_owned(),
                };
                let comma = if text.len() > 1 { "," } else { "" };
                text += &format!("{comma}{}:{value}", quoted(field.name()));
            }
            text + "}"
        })
        .collect()
}

/// Rows by table; a table without a schema is marked with a `?`.
pub fn rows_by_table(decoded: &Decoded) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for batch in &decoded.batches {
        let mark = if batch.kind == RowKind::Unknown { "?" } else { "" };
        tables.entry(format!("{mark}{}", batch.table)).or_default().extend(row_texts(&batch.rows));
    }
    tables
}

/// The only row of all, parsed.
pub fn only_row(decoded: &Decoded) -> serde_json::Value {
    let letters: Vec<_> = decoded.dead_letters.iter().map(|letter| (letter.reason, &letter.detail)).collect();
    assert_eq!((decoded.records, decoded.batches.len()), (1, 1), "{letters:?}");
    serde_json::from_str(&row_texts(&decoded.batches[0].rows)[0]).unwrap()
}
