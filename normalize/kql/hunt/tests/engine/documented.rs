//! The documented examples by both back-ends: what the ingest back-end gives, the engine gives too.
//!
//! The cases stand outside of the repository (they are Microsoft's, CC-BY-4.0); without them the test says that it skips.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use std::sync::Arc;
use weir_contract::schema::TableSchema;
use weir_kql::{Mode, compile};

use crate::functions::assert_same;
use crate::support::{columns, hunter, try_hunt};

/// How many examples run at ingest today; fewer would mean that this test compares less.
const FLOOR: usize = 110;

#[tokio::test(flavor = "multi_thread")]
async fn documented_examples_give_the_same_rows_in_both_back_ends() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/kql/docs_cases.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: {path} is not there");
        return;
    };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("the cases are JSON");
    let hunter = hunter(&[]);
    let nowhere = TableSchema { name: "NoTable".into(), columns: Vec::new() };
    let (mut compared, mut only_here) = (0, 0);
    for case in &cases {
        let query = case["query"].as_str().expect("a query");
        let hunted = try_hunt(&hunter, query).await;
        let Ok(program) = compile(query, &nowhere, Mode::Strict) else {
            only_here += usize::from(hunted.is_ok());
            continue;
        };
        // What depends on the time of the call differs.
        if query.contains("now()") || query.contains("ago(") || query.contains("ingestion_time") {
            continue;
        }
        let expected = program.run(&RecordBatch::new_empty(Arc::new(Schema::empty()))).expect("runs");
        let (schema, found) = hunted.unwrap_or_else(|error| panic!("{query}\n{error}"));
        assert_eq!(columns(&schema), columns(program.output()), "{query}");
        assert_same(query, &found, &expected, program.output(), case["ordered"] == true);
        compared += 1;
    }
    println!("{compared} of {} documented examples compared; {only_here} run only here", cases.len());
    assert!(compared >= FLOOR, "only {compared} examples were compared");
}
