//! What other programs make of the lake: the deltalake, DuckDB and Polars packages of Python read it and find the right
//! types, counts and partitions.
//!
//! Runs where a virtual environment with these packages stands at `$WEIR_VENV` or `target/venv`; says so when it skips.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Schema;
use tokio::sync::mpsc;
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::datetime::{DAY_US, parse_iso};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin, Repeats, RowPosition};
use weir_contract::schema::ColumnType;
use weir_sink::lake::LakeSink;
use weir_sink::lake::config::LakeConfig;
use weir_sink::metrics::SinkMetrics;
use weir_sink::sink::Sink;

/// Reads the lake given as its first argument, and fails if anything is not as it should be.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lake_python.py");

#[tokio::test(flavor = "multi_thread")]
async fn python_packages_read_types_counts_and_partitions() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: no Python with deltalake, duckdb and polars at $WEIR_VENV or target/venv");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let lake = directory.path().to_str().expect("UTF-8");
    let yesterday = parse_iso("2026-11-22T12:00:00Z").expect("a date");
    // Two lives of the sink and three checkpoints: Python reads the table from a checkpoint and the log behind it.
    write(lake, vec![events(yesterday, 1000, false), events(yesterday + DAY_US, 1000, false)]).await;
    write(lake, vec![events(yesterday + DAY_US, 100, true)]).await;

    let output = Command::new(python).args([SCRIPT, lake]).output().expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");

    // And what Python wrote does not disturb the next commit.
    write(lake, vec![events(yesterday, 10, true)]).await;
}

fn python() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv");
    let venv = std::env::var_os("WEIR_VENV").map_or(here, PathBuf::from);
    let python = venv.join("bin/python");
    let imports = Command::new(&python).args(["-c", "import deltalake, duckdb, polars, pyarrow"]).output();
    imports.is_ok_and(|output| output.status.success()).then_some(python)
}

fn events(start_us: i64, rows: usize, with_added: bool) -> RecordBatch {
    let numbers = || 0..rows as i64;
    let times = TimestampMicrosecondArray::from_iter_values(numbers().map(|n| start_us + n)).with_timezone("UTC");
    let large = numbers().map(|n| if n == 0 { i64::MAX } else { n - 1 });
    let mut columns: Vec<(&str, ColumnType, ArrayRef)> = vec![
        ("TimeGenerated", ColumnType::Datetime, Arc::new(times)),
        ("Flag", ColumnType::Bool, Arc::new(BooleanArray::from_iter(numbers().map(|n| Some(n % 2 == 0))))),
        ("Small", ColumnType::Int, Arc::new(Int32Array::from_iter_values(numbers().map(|n| n as i32)))),
        ("Large", ColumnType::Long, Arc::new(Int64Array::from_iter_values(large))),
        ("Share", ColumnType::Real, Arc::new(Float64Array::from_iter_values(numbers().map(|n| n as f64 / 7.0)))),
        (
            "Text",
            ColumnType::String,
            Arc::new(StringViewArray::from_iter_values(numbers().map(|n| format!("a text that is long enough {n}")))),
        ),
        (
            "Extra",
            ColumnType::Dynamic,
            Arc::new(StringViewArray::from_iter(numbers().map(|n| (n % 2 == 0).then_some(r#"{"k": 1}"#)))),
        ),
        (
            "Lasting",
            ColumnType::Timespan,
            Arc::new(DurationMicrosecondArray::from_iter_values(numbers().map(|n| n * 1000))),
        ),
    ];
    if with_added {
        columns.push(("Added", ColumnType::Long, Arc::new(Int64Array::from_iter_values(numbers()))));
    }
    let schema = Schema::new(columns.iter().map(|(name, ty, _)| ty.field(name)).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, _, array)| array).collect()).expect("a batch")
}

async fn write(lake: &str, batches: Vec<RecordBatch>) {
    let budget = MemoryBudget::new(1 << 30);
    let mut config = LakeConfig::at(lake);
    config.checkpoint_interval = 2;
    let metrics = SinkMetrics::new(&MetricSet::new());
    let mut sink = LakeSink::new(config, budget.clone(), metrics).expect("a sink");
    sink.check().await.expect("a writable lake");
    let (sender, receiver) = mpsc::channel(1);
    let running = tokio::spawn(Box::new(sink).run(receiver));
    for rows in batches {
        let batch = Batch {
            table: "Events".into(),
            kind: RowKind::Normalized,
            positions: RowPosition::numbered(0, rows.num_rows()),
            mapping: None,
            has_more: false,
            permit: budget.charge(rows.get_array_memory_size()),
            rows,
            origin: Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: Ack::detached(),
        };
        sender.send(batch).await.expect("the sink runs");
    }
    drop(sender);
    running.await.expect("no panic").expect("written");
}
