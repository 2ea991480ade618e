//! The Sentinel sink against the stand-in workspace: two implementations of the same contract that share no code must
//! agree on rows, sizes and refusals.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Schema;
use serde_json::json;
use tokio::sync::mpsc;
use weir_contract::ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin, Repeats, RowPosition};
use weir_contract::schema::ColumnType;
use weir_sink::metrics::SinkMetrics;
use weir_sink::sentinel::SentinelSink;
use weir_sink::sentinel::config::SentinelConfig;
use weir_sink::sentinel::metrics::SentinelMetrics;
use weir_sink::sink::Sink;
use weir_stand_in::config::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_TENANT};
use weir_stand_in::{StandIn, StandInConfig, rule_for_tables};

const TABLE: &str = "ASimNetworkSessionLogs";

/// Rows of the native table, with every type that it has, and text of every kind.
fn rows(count: usize) -> RecordBatch {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    let times = (0..count).map(|n| (n % 7 != 0).then_some(now - n as i64));
    let texts = (0..count).map(|n| match n % 5 {
        0 => None,
        1 => Some(String::new()),
        2 => Some("x".repeat(70_000 * usize::from(n < 3) + n)),
        _ => Some(format!("\"näme\"\t{n} \u{1} \\ 🦀")),
    });
    let extras = (0..count).map(|n| (n % 3 != 0).then(|| json!({"n": n, "list": [null, 1.5, "ä b"]}).to_string()));
    let columns: Vec<(_, ArrayRef)> = vec![
        (
            ColumnType::Datetime.field("TimeGenerated"),
            Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC")),
        ),
        (ColumnType::String.field("EventMessage"), Arc::new(StringViewArray::from_iter(texts))),
        (ColumnType::Int.field("EventCount"), Arc::new(Int32Array::from_iter((0..count).map(|n| Some(n as i32 - 50))))),
        (
            ColumnType::Long.field("SrcBytes"),
            Arc::new(Int64Array::from_iter((0..count).map(|n| Some(n as i64 * 1_000_000_007)))),
        ),
        (ColumnType::Real.field("DstGeoLatitude"), {
            Arc::new(Float64Array::from_iter((0..count).map(|n| Some(n as f64 * 0.1 - 1e-9))))
        }),
        (ColumnType::Dynamic.field("AdditionalFields"), Arc::new(StringViewArray::from_iter(extras))),
        (ColumnType::String.field("Type"), Arc::new(StringViewArray::from_iter_values((0..count).map(|_| TABLE)))),
    ];
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit")
}

#[tokio::test]
async fn sink_and_stand_in_agree_on_every_row_and_on_the_billed_bytes() {
    let stand_in = StandIn::start(StandInConfig::default()).await.expect("a free port");
    let rule = rule_for_tables(&[TABLE]);
    let loaded = stand_in.state().add_rule(&rule).expect("a valid rule");
    let folder = tempfile::tempdir().expect("a temp folder");
    let (definition, secret) = (folder.path().join("rule.json"), folder.path().join("secret"));
    std::fs::write(&definition, rule.to_string()).expect("a temp file");
    std::fs::write(&secret, DEFAULT_CLIENT_SECRET).expect("a temp file");
    let config: SentinelConfig = serde_json::from_value(json!({
        "endpoint": stand_in.url(),
        "rules": [{"id": loaded[0].immutable_id, "definition": definition}],
        "credential": {"client_secret": {
            "tenant_id": DEFAULT_TENANT, "client_id": DEFAULT_CLIENT_ID, "secret": {"file": secret},
            "authority": stand_in.url(),
        }},
    }))
    .expect("a config");

    let set = MetricSet::new();
    let metrics = SentinelMetrics::new(&set, SinkMetrics::new(&set));
    let budget = MemoryBudget::new(64 << 20);
    let (dead_letters, mut letters) = mpsc::channel(8);
    let mut sink = SentinelSink::new(config, budget.clone(), metrics, dead_letters).expect("a valid config");
    sink.check().await.expect("the stand-in lets us in");
    stand_in.state().clear_rows();
    sink.check_table(TABLE, &rows(0).schema()).expect("every column is declared");

    let (input, batches) = mpsc::channel(2);
    let (acks, mut reports) = ack::channel();
    let done = tokio::spawn(Box::new(sink).run(batches));
    for number in 0..10 {
        let rows = rows(500);
        let batch = Batch {
            table: TABLE.into(),
            kind: RowKind::Normalized,
            positions: RowPosition::numbered(0, rows.num_rows()),
            mapping: None,
            has_more: false,
            origin: Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: acks.issue(number),
            permit: budget.charge(rows.get_array_memory_size()),
            rows,
        };
        input.send(batch).await.expect("the sink runs");
    }
    drop(input);
    let summary = done.await.expect("no panic").expect("no error");
    assert!(letters.recv().await.is_none(), "no dead letter");
    for _ in 0..10 {
        assert!(reports.recv().await.expect("one report per batch").durable);
    }
    let sent = summary.tables[TABLE];
    let stored = stand_in.state().counters(TABLE);
    assert_eq!(stored.rows, 5000);
    assert_eq!((sent.rows, sent.bytes, sent.billed_bytes), (stored.rows, stored.wire_bytes, stored.billed_bytes));
    assert!(stored.dropped_columns.is_empty() && stored.mismatched_values.is_empty(), "{stored:?}");
    assert_eq!(stored.truncated_values["EventMessage"], 10);
    assert!(stored.refusals.is_empty(), "{:?}", stored.refusals);
    stand_in.shutdown().await;
}
