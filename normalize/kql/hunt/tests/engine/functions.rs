//! Every scalar function by both back-ends, over rows with nulls, empty texts and extreme values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Float64Type, Schema};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use weir_contract::schema::{ColumnType, TableSchema};
use weir_hunt::Hunter;
use weir_kql::{Mode, Program, compile};

use crate::support::{columns, settings, shown, table, try_hunt};

#[path = "../../../tests/support/calls.rs"]
mod calls;
#[path = "../../../tests/support/random.rs"]
mod random;

/// Calls of a function that the ingest back-end takes.
const CALLS: usize = 6;

fn rows() -> impl Strategy<Value = RecordBatch> {
    let texts = || {
        prop_oneof![
            Just(None),
            Just(Some(String::new())),
            "[a-c ,./:0-9]{0,12}".prop_map(Some),
            "\\PC{0,8}".prop_map(Some),
            prop::sample::select(vec![
                "a,b;c",
                "10.1.2.3",
                "fe80::1",
                "2025-06-01T10:00:00Z",
                "{\"a\":[1]}",
                "https://a.b/c?d=e",
                "YWJj",
                "Straße İ"
            ])
            .prop_map(|text| Some(text.to_owned())),
        ]
    };
    let long = prop_oneof![Just(None), any::<i64>().prop_map(Some), (-20_i64..20).prop_map(Some)];
    let int = prop_oneof![Just(None), any::<i32>().prop_map(Some), (-20_i32..20).prop_map(Some)];
    let real = prop_oneof![
        Just(None),
        any::<f64>().prop_map(Some),
        prop::sample::select(vec![0.0, -0.0, 1.5, -2.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).prop_map(Some),
    ];
    let first = -62_135_596_800_000_000_i64;
    let time = prop_oneof![
        Just(None),
        (first..253_402_300_800_000_000).prop_map(Some),
        (0_i64..1_800_000_000_000_000).prop_map(Some)
    ];
    let span =
        prop_oneof![Just(None), any::<i64>().prop_map(Some), (-90_000_000_000_i64..90_000_000_000).prop_map(Some)];
    let json = prop::sample::select(vec![
        None,
        Some("1"),
        Some("-2.5"),
        Some("\"a\""),
        Some("\"ä\\n\""),
        Some("[]"),
        Some("[1,\"a\",null,[2]]"),
        Some("true"),
        Some("{\"a\":1,\"b\":{\"c\":\"x\"}}"),
        Some("{}"),
        Some("[{\"a\":1},{\"a\":\"b\"}]"),
    ]);
    let guid = prop::sample::select(vec![
        None,
        Some("74be27de-1e4e-49d9-b579-fe0b331d3642"),
        Some("00000000-0000-0000-0000-000000000000"),
    ]);
    let row = ((texts(), texts(), int, long, real), (prop::option::of(any::<bool>()), time, span, json, guid));
    prop::collection::vec(row, 1..40).prop_map(|rows| {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|(a, _)| a.0.clone()).collect::<StringViewArray>()),
            Arc::new(rows.iter().map(|(a, _)| a.1.clone()).collect::<StringViewArray>()),
            Arc::new(rows.iter().map(|(a, _)| a.2).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|(a, _)| a.3).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|(a, _)| a.4).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|(_, b)| b.0).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|(_, b)| b.1).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            Arc::new(rows.iter().map(|(_, b)| b.2).collect::<DurationMicrosecondArray>()),
            Arc::new(rows.iter().map(|(_, b)| b.3).collect::<StringViewArray>()),
            Arc::new(rows.iter().map(|(_, b)| b.4).collect::<StringViewArray>()),
        ];
        let fields: Vec<_> = random::COLUMNS.iter().map(|(name, ty)| ty.field(name)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a batch")
    })
}

/// Compares rows cell by cell; a null string is the empty one. Rows without an order are compared sorted.
pub(crate) fn assert_same(
    query: &str,
    found: &RecordBatch,
    expected: &RecordBatch,
    schema: &TableSchema,
    ordered: bool,
) {
    let text = |rows: &RecordBatch| {
        let mut arrays = Vec::new();
        for (array, column) in rows.columns().iter().zip(&schema.columns) {
            arrays.push(match column.ty {
                ColumnType::String => {
                    let texts = array.as_string_view().iter().map(|text| Some(text.unwrap_or_default()));
                    Arc::new(texts.collect::<StringViewArray>()) as ArrayRef
                }
                // Arrow's text rounds; the shortest text that is read back as the same number does not.
                ColumnType::Real => {
                    let reals = array.as_primitive::<Float64Type>().iter();
                    Arc::new(reals.map(|real| real.map(|real| format!("{real:?}"))).collect::<StringViewArray>())
                }
                _ => Arc::clone(array),
            });
        }
        let fields: Vec<_> = arrays
            .iter()
            .zip(&schema.columns)
            .map(|(array, column)| arrow::datatypes::Field::new(&*column.name, array.data_type().clone(), true))
            .collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows =
            RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).expect("the same rows");
        let mut lines = shown(&rows);
        if !ordered {
            lines.sort();
        }
        lines
    };
    assert_eq!(text(found), text(expected), "{query}");
}

#[test]
fn every_function_has_the_same_values_in_both_back_ends() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let schema = random::table();
    let calls = calls::calls(CALLS, |call| {
        compile(&format!("T | project x = {call}"), &schema, Mode::Strict)
            .is_ok_and(|program| !program.inputs().is_empty())
    });
    let untried: Vec<&str> = calls.iter().filter(|(_, calls)| calls.is_empty()).map(|(name, _)| *name).collect();
    assert!(untried.is_empty(), "no call was found for {untried:?}");
    let all: Vec<&String> = calls.values().flatten().collect();
    println!("{} functions, {} calls", calls.len(), all.len());
    // Values, and conditions: those take another way to the engine.
    let mut queries: Vec<(String, Program)> = Vec::new();
    // Some calls give several columns, whose names would meet in one query.
    let is_alone = |call: &str| {
        compile(&format!("T | project x = {call}"), &schema, Mode::Strict)
            .is_ok_and(|program| program.output().columns.len() > 1)
    };
    let (alone, together): (Vec<&String>, Vec<&String>) = all.iter().partition(|call| is_alone(call));
    for part in together.chunks(12).chain(alone.chunks(1)) {
        let columns: Vec<String> = part.iter().enumerate().map(|(n, call)| format!("x{n} = {call}")).collect();
        let query = format!("T | project {}", columns.join(", "));
        queries.push((query.clone(), compile(&query, &schema, Mode::Strict).expect("each call compiles")));
    }
    for call in &all {
        let query = format!("T | where {call} | project s, l");
        if let Ok(program) = compile(&query, &schema, Mode::Strict) {
            queries.push((query, program));
        }
    }
    let mut runner =
        TestRunner::new(Config { cases: 3, failure_persistence: None, max_shrink_iters: 0, ..Config::default() });
    let result = runner.run(&rows(), |rows| {
        let mut hunter = Hunter::new(settings()).expect("an engine");
        hunter.register(table("T", &rows));
        for (query, program) in &queries {
            let expected = program.run(&rows).expect("runs");
            let (schema, found) =
                runtime.block_on(try_hunt(&hunter, query)).unwrap_or_else(|error| panic!("{query}\n{error}"));
            assert_eq!(columns(&schema), columns(program.output()), "{query}");
            assert_same(query, &found, &expected, program.output(), false);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
