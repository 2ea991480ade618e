//! Records of one file, decoded as a source's are.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use weir_contract::ack::Ack;
use weir_contract::batch::{Framing, RawBatch, RawRecord};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats};
use weir_ingest::decode::{Decoded, Decoder};
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::schema::RawTables;

/// The bytes of a file; `-` is standard input.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))
}

/// Decodes the bytes of a file: one JSON document, or one in each line. `source` is what the records' origin is called,
/// `table` the raw table of those that don't tell.
pub(crate) fn decode(
    source: &str,
    bytes: Vec<u8>,
    table: Option<&str>,
    tables: Arc<RawTables>,
    budget: &MemoryBudget,
) -> Decoded {
    // One document may spread over many lines; many documents stand one in a line.
    let framing = match serde_json::from_slice::<serde::de::IgnoredAny>(&bytes) {
        Ok(_) => Framing::Document,
        Err(_) => Framing::Lines,
    };
    let range = OffsetRange {
        partition: source.into(),
        start: Offset(0),
        next: Offset(bytes.len() as u64),
        delivered: Offset(0),
    };
    let raw = RawBatch {
        origin: Arc::new(Origin { source: source.into(), ranges: vec![range], positions: Repeats::Unrelated }),
        framing,
        default_table: table.map(Into::into),
        permit: budget.charge(bytes.len()),
        records: vec![RawRecord { payload: bytes.into(), partition: 0, offset: Offset(0) }],
        ack: Ack::detached(),
    };
    Decoder::new(tables, IngestMetrics::new(&MetricSet::new())).decode(raw, budget)
}
