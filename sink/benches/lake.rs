//! Lake sink alone: how fast wide rows become Delta tables.
//!
//! Takes batches with the shape of `ASimProcessEventLogs`: 150 columns, of which a third are filled, a third are
//! constants and the rest are null, with text of the lengths and the variety seen in Defender's process events. Prints
//! rows/s, MB/s of Arrow memory, and bytes on disk per row, for a lake in a temporary directory (which disk that is,
//! `TMPDIR` decides). Encoding runs on rayon's threads: `RAYON_NUM_THREADS=1` shows one core.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Schema;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::datetime::parse_iso;
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin, Repeats, RowPosition};
use weir_contract::schema::ColumnType;
use weir_sink::lake::LakeSink;
use weir_sink::lake::config::LakeConfig;
use weir_sink::metrics::SinkMetrics;
use weir_sink::sink::Sink;

const ROWS: usize = 4096;
const DISTINCT_BATCHES: usize = 8;
const BATCHES: usize = 48;

fn main() {
    let batches: Vec<RecordBatch> = (0..DISTINCT_BATCHES as u64).map(process_events).collect();
    let memory: usize = batches.iter().map(text_bytes).sum::<usize>() / DISTINCT_BATCHES;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for level in [1, 3] {
        let directory = tempfile::tempdir().expect("a directory");
        let started = Instant::now();
        let bytes = runtime.block_on(write(directory.path().to_str().expect("UTF-8"), level, &batches));
        let seconds = started.elapsed().as_secs_f64();
        let rows = (BATCHES * ROWS) as f64;
        println!(
            "lake zstd-{level}: {:.0} rows/s, {:.0} MB/s of values, {:.0} value bytes and {:.0} Parquet bytes a row",
            rows / seconds,
            (BATCHES * memory) as f64 / seconds / 1e6,
            memory as f64 / ROWS as f64,
            bytes as f64 / rows,
        );
    }
}

async fn write(lake: &str, level: i32, batches: &[RecordBatch]) -> u64 {
    let budget = MemoryBudget::new(1 << 30);
    let mut config = LakeConfig::at(lake);
    config.compression_level = level;
    let sink = LakeSink::new(config, budget.clone(), SinkMetrics::new(&MetricSet::new())).expect("a sink");
    let (sender, receiver) = mpsc::channel(2);
    let running = tokio::spawn(Box::new(sink).run(receiver));
    for rows in batches.iter().cycle().take(BATCHES) {
        let batch = Batch {
            table: "ASimProcessEventLogs".into(),
            kind: RowKind::Normalized,
            positions: RowPosition::numbered(0, rows.num_rows()),
            mapping: None,
            has_more: false,
            permit: budget.charge(rows.get_array_memory_size()),
            rows: rows.clone(),
            origin: Arc::new(Origin { source: "bench".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: Ack::detached(),
        };
        sender.send(batch).await.expect("the sink runs");
    }
    drop(sender);
    running.await.expect("no panic").expect("written").tables["ASimProcessEventLogs"].bytes
}

/// One batch of the table's shape; `seed` makes the values differ from batch to batch.
fn process_events(seed: u64) -> RecordBatch {
    let mut random = SmallRng::seed_from_u64(seed);
    let start = parse_iso("2026-11-23T09:00:00Z").expect("a date") + seed as i64 * 1_000_000_000;
    let mut columns: Vec<(String, ColumnType, ArrayRef)> = Vec::new();
    for name in ["TimeGenerated", "EventStartTime", "EventEndTime", "TargetProcessCreationTime"] {
        let times = TimestampMicrosecondArray::from_iter_values((0..ROWS as i64).map(|n| start + n * 977));
        columns.push((name.into(), ColumnType::Datetime, Arc::new(times.with_timezone("UTC"))));
    }
    for index in 0..6 {
        let numbers = Int64Array::from_iter_values((0..ROWS).map(|_| random.random_range(0..40_000)));
        columns.push((format!("Number{index}"), ColumnType::Long, Arc::new(numbers)));
    }
    // Name, distinct values, length: ids and hashes, command lines, then names that repeat.
    let hex = |random: &mut SmallRng, digits: usize| -> String {
        (0..digits).map(|_| char::from_digit(random.random_range(0..16), 16).expect("a digit")).collect()
    };
    for (name, digits) in [("EventOriginalUid", 36), ("TargetProcessSHA256", 64), ("TargetProcessSHA1", 40)] {
        let values: Vec<String> = (0..ROWS).map(|_| hex(&mut random, digits)).collect();
        columns.push((name.into(), ColumnType::String, Arc::new(StringViewArray::from_iter_values(values))));
    }
    for name in ["TargetProcessCommandLine", "ActingProcessCommandLine", "ParentProcessCommandLine"] {
        let value = |random: &mut SmallRng| {
            let (exe, id) = (random.random_range(0..300), hex(random, 8));
            format!(
                r"C:\Program Files\Vendor {exe}\bin\agent{exe}.exe --service --session {id} --log C:\ProgramData\v{exe}\x.log"
            )
        };
        let values: Vec<String> = (0..ROWS).map(|_| value(&mut random)).collect();
        columns.push((name.into(), ColumnType::String, Arc::new(StringViewArray::from_iter_values(values))));
    }
    let extra: Vec<String> = (0..ROWS)
        .map(|_| {
            let (id, level) = (hex(&mut random, 16), random.random_range(0..5));
            format!(r#"{{"ReportId":"{id}","IntegrityLevel":{level},"TokenElevation":"TokenElevationTypeDefault","LogonId":{}}}"#, random.random_range(0..1_000_000))
        })
        .collect();
    columns.push(("AdditionalFields".into(), ColumnType::Dynamic, Arc::new(StringViewArray::from_iter_values(extra))));
    for index in 0..35_u32 {
        let distinct = 5 + index * index;
        let values: Vec<String> =
            (0..ROWS).map(|_| format!("value of column {index} number {}", random.random_range(0..distinct))).collect();
        let values = StringViewArray::from_iter_values(values);
        columns.push((format!("Name{index}"), ColumnType::String, Arc::new(values)));
    }
    for index in 0..40 {
        let constant = StringViewArray::from_iter_values(std::iter::repeat_n("Microsoft Defender XDR", ROWS));
        columns.push((format!("Constant{index}"), ColumnType::String, Arc::new(constant)));
    }
    for index in columns.len()..150 {
        let ty = if index % 4 == 0 { ColumnType::Long } else { ColumnType::String };
        columns.push((format!("Null{index}"), ty, new_null_array(&ty.arrow(), ROWS)));
    }
    let schema = Schema::new(columns.iter().map(|(name, ty, _)| ty.field(name)).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, _, array)| array).collect()).expect("a batch")
}

/// Bytes of the batch's values: 8 per number, the text's own length, nothing for nulls.
fn text_bytes(rows: &RecordBatch) -> usize {
    rows.columns()
        .iter()
        .map(|array| match array.as_any().downcast_ref::<StringViewArray>() {
            Some(text) => text.iter().flatten().map(str::len).sum(),
            None => 8 * (array.len() - array.null_count()),
        })
        .sum()
}
