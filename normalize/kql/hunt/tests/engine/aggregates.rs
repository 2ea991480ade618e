//! Aggregates over stored rows, against the same aggregates over a constant table at ingest.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DurationMicrosecondArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Schema;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use weir_contract::schema::ColumnType;
use weir_hunt::Hunter;

use crate::support::{constant, hunt, hunter, settings, shown, table, try_hunt};

const T: &str = "datatable(k:string, n:long, r:real, s:string)[
    'a', 1, 0.5, 'x', 'a', long(null), real(null), '', 'b', 3, 1.0, 'y', 'b', 5, 2.0, 'x', '', 7, real(nan), 'z']";

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_still_give_one_row_without_keys_and_none_with() {
    let tables = hunter(&[("T", T)]);
    let query = "T | where n > 99 | summarize count(), sum(n), sum(r), avg(n), min(s), max(n), dcount(s), make_list(s), \
                 arg_max(n, s), take_any(s), stdev(n), percentile(n, 50)";
    let found = hunt(&tables, query).await;
    assert_eq!(found, ["0|0|0.0|NaN||-|0|[]|-|||-|-"].map(str::to_owned), "{found:?}");
    assert!(hunt(&tables, "T | where n > 99 | summarize count() by k").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn null_and_the_empty_text_are_keys() {
    let tables = hunter(&[("T", "datatable(k:long, s:string)[1, '', long(null), '', long(null), 'x']")]);
    let rows = hunt(&tables, "T | summarize n = count() by k | sort by k asc").await;
    assert_eq!(rows, ["-|2", "1|1"]);
    assert_eq!(hunt(&tables, "T | summarize n = count() by s | sort by s asc").await, ["|2", "x|1"]);
    assert_eq!(hunt(&tables, "T | distinct s | sort by s asc").await, ["", "x"]);
}

/// The aggregates that are compared, over the columns of [`rows`].
const CALLS: &[&str] = &[
    "count()",
    "countif(b)",
    "sum(n)",
    "sumif(n, b)",
    "sum(r)",
    "sum(p)",
    "avg(n)",
    "avgif(r, b)",
    "avg(t)",
    "avg(p)",
    "min(n)",
    "max(n)",
    "min(r)",
    "maxif(r, b)",
    "min(s)",
    "max(s)",
    "min(t)",
    "maxif(t, b)",
    "min(p)",
    "max(d)",
    "min(b)",
    "dcount(s)",
    "dcountif(n, b)",
    "dcount(d)",
    "make_list(n)",
    "make_list_if(s, b)",
    "make_list_with_nulls(t)",
    "make_set(s)",
    "make_set(d)",
    "make_bag(todynamic(d))",
    "percentile(n, 50)",
    "percentile(r, 90)",
    "percentile(t, 10)",
    "variance(r)",
    "stdevif(n, b)",
    "binary_all_and(n)",
    "binary_all_or(n)",
    "binary_all_xor(n)",
];

fn rows() -> impl Strategy<Value = RecordBatch> {
    let text = prop_oneof![Just(None), Just(Some(String::new())), "[abÄ]{1,2}".prop_map(Some)];
    let real = prop_oneof![Just(None), (-8_i32..8).prop_map(|n| Some(f64::from(n) / 4.0))];
    // Means of larger numbers depend on the order in which they are added.
    let long = prop_oneof![Just(None), (-9_i64..9).prop_map(Some), Just(Some(1 << 20)), Just(Some(-(1 << 20)))];
    let time = prop_oneof![Just(None), (0_i64..9).prop_map(|n| Some(n * 3_600_000_000))];
    let json = prop::sample::select(vec![
        None,
        Some("1"),
        Some("\"x\""),
        Some("[1,2]"),
        Some("{\"a\":1}"),
        // Members of one name would make the bag depend on the order of rows.
        Some("{\"c\":2,\"b\":[]}"),
    ]);
    let row = (prop::option::of(0_i64..3), text, real, long, prop::option::of(any::<bool>()), time, json);
    prop::collection::vec(row, 0..40).prop_map(|rows| {
        let columns: Vec<(&str, ColumnType, ArrayRef)> = vec![
            ("k", ColumnType::Long, Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>())),
            ("s", ColumnType::String, Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringViewArray>())),
            ("r", ColumnType::Real, Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>())),
            ("n", ColumnType::Long, Arc::new(rows.iter().map(|row| row.3).collect::<Int64Array>())),
            ("b", ColumnType::Bool, Arc::new(rows.iter().map(|row| row.4).collect::<BooleanArray>())),
            (
                "t",
                ColumnType::Datetime,
                Arc::new(rows.iter().map(|row| row.5).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            ),
            ("p", ColumnType::Timespan, Arc::new(rows.iter().map(|row| row.5).collect::<DurationMicrosecondArray>())),
            ("d", ColumnType::Dynamic, Arc::new(rows.iter().map(|row| row.6).collect::<StringViewArray>())),
        ];
        let fields: Vec<_> = columns.iter().map(|(name, ty, _)| ty.field(name)).collect();
        let arrays = columns.into_iter().map(|(.., array)| array).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a batch")
    })
}

/// The rows as KQL text: what the ingest back-end takes for a constant table.
fn datatable(rows: &RecordBatch) -> String {
    let cells = shown(rows);
    let literal = |cell: &str, column: usize| match (column, cell) {
        (1, "-") => "''".to_owned(),
        (1, text) => format!("'{text}'"),
        (0 | 3, "-") => "long(null)".into(),
        (2, "-") => "real(null)".into(),
        (4, "-") => "bool(null)".into(),
        (5, "-") => "datetime(null)".into(),
        (5, time) => format!("datetime({time})"),
        (6, "-") => "timespan(null)".into(),
        (6, span) => arrow_span(span),
        (7, "-") => "dynamic(null)".into(),
        (7, json) => format!("dynamic({json})"),
        (_, plain) => plain.to_owned(),
    };
    let rows: Vec<String> = cells
        .iter()
        .map(|row| {
            row.split('|').enumerate().map(|(column, cell)| literal(cell, column)).collect::<Vec<_>>().join(", ")
        })
        .collect();
    format!(
        "datatable(k:long, s:string, r:real, n:long, b:bool, t:datetime, p:timespan, d:dynamic)[{}]",
        rows.join(",\n")
    )
}

/// `PT3600S` or `0 days 1 hours…`: hours in whole, as the generator makes them.
fn arrow_span(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let seconds: i64 = digits.parse().unwrap_or(0);
    format!("{}h", seconds / 3600)
}

/// Lists and sets in an order of their own: the order of rows in a group is not KQL's business.
fn unordered(cell: &str) -> String {
    match serde_json::from_str::<Vec<serde_json::Value>>(cell) {
        Ok(items) => {
            let mut items: Vec<String> = items.iter().map(ToString::to_string).collect();
            items.sort();
            format!("[{}]", items.join(","))
        }
        Err(_) => cell.to_owned(),
    }
}

/// The order of a bag's members is that of the rows.
fn is_same_bag(a: &str, b: &str) -> bool {
    let bag = |text| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok();
    bag(a).is_some_and(|a| bag(b).is_some_and(|b| a == b))
}

fn same(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        _ => unordered(a) == unordered(b) || is_same_bag(a, b),
    }
}

#[test]
fn groups_of_stored_rows_have_the_values_that_groups_of_constant_rows_have() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let names: Vec<String> = CALLS.iter().enumerate().map(|(n, call)| format!("a{n} = {call}")).collect();
    let result = runner.run(&rows(), |rows| {
        let mut hunter = Hunter::new(settings()).expect("an engine");
        hunter.register(table("T", &rows));
        for keys in ["", " by k", " by s, k"] {
            let summarize = format!("summarize {}{keys}", names.join(", "));
            let text = datatable(&rows);
            let expected = constant(&format!("{text} | {summarize}"));
            let (_, found) = runtime.block_on(try_hunt(&hunter, &format!("T | {summarize}"))).expect("it runs");
            let (mut expected, mut found) = (shown(&expected), shown(&found));
            expected.sort();
            found.sort();
            prop_assert_eq!(found.len(), expected.len(), "{}", text);
            for (found, expected) in found.iter().zip(&expected) {
                let cells = found.split('|').zip(expected.split('|')).enumerate();
                for (place, (found, expected)) in cells {
                    prop_assert!(
                        same(found, expected),
                        "column {}: {} instead of {}\n{}",
                        place,
                        found,
                        expected,
                        text
                    );
                }
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extremum_brings_along_a_whole_row() {
    let tables = hunter(&[("T", T)]);
    let rows = hunt(&tables, "T | summarize arg_max(n, r, s) by k | sort by k asc | project k, n, r, s").await;
    assert_eq!(rows, ["|7|NaN|z", "a|1|0.5|x", "b|5|2.0|x"]);
    let rows = hunt(&tables, "T | summarize arg_min(n, *) | project n, k, s").await;
    assert_eq!(rows, ["1|a|x"]);
}
