//! The bound of memory: what goes to disk, and what ends in an error that says so.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_hunt::{Hunter, Settings, Table};

use crate::support::{hunt, try_hunt};

const COLUMNS: [(&str, ColumnType); 3] =
    [("n", ColumnType::Long), ("k", ColumnType::Long), ("text", ColumnType::String)];

/// Rows with a key of `keys` values and 200 bytes of text each.
fn rows(count: i64, keys: i64) -> RecordBatch {
    let numbers: ArrayRef = Arc::new((0..count).map(|n| (n * 7919) % count).collect::<Int64Array>());
    let key: ArrayRef = Arc::new((0..count).map(|n| n % keys).collect::<Int64Array>());
    let text: ArrayRef = Arc::new((0..count).map(|n| Some(format!("{n:0>200}"))).collect::<StringViewArray>());
    RecordBatch::try_from_iter([("n", numbers), ("k", key), ("text", text)]).expect("a batch")
}

fn hunter(memory_mib: usize, count: i64, keys: i64) -> Hunter {
    let settings = Settings { memory_bytes: memory_mib << 20, partitions: 1, batch_rows: 1024, spill_folder: None };
    let mut hunter = Hunter::new(settings).expect("an engine");
    // Batches that share one buffer would each count as large as all of them.
    let rows = rows(count, keys);
    let starts = (0..rows.num_rows()).step_by(1024);
    let batches = starts.map(|start| {
        let batch = rows.slice(start, 1024.min(rows.num_rows() - start));
        let columns = batch.columns().iter().map(|column| match column.as_string_view_opt() {
            Some(texts) => Arc::new(texts.gc()) as ArrayRef,
            None => Arc::clone(column),
        });
        RecordBatch::try_new(batch.schema(), columns.collect()).expect("the same columns")
    });
    hunter.register(
        Table::of_rows(
            TableSchema { name: "T".into(), columns: COLUMNS.map(|(name, ty)| Column::new(name, ty)).to_vec() },
            batches.collect(),
        )
        .expect("KQL types"),
    );
    hunter
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_that_outgrows_the_memory_goes_to_disk() {
    // 400,000 rows of 200 bytes are 80 MB.
    let hunter = hunter(64, 400_000, 10);
    let sorted = "T | sort by n asc | project n, text";
    let (_, rows) = try_hunt(&hunter, sorted).await.expect("it spills");
    let numbers = rows.column(0).as_any().downcast_ref::<Int64Array>().expect("longs");
    assert!(numbers.values().iter().copied().eq(0..400_000));
    let bound = hunter.compile(sorted, &Arc::default(), 0).await.expect("binds");
    let counted = hunter.analyze(&bound).await.expect("runs");
    let spilled = counted.lines().filter(|line| line.contains("SortExec")).any(|line| {
        let count = line.split("spill_count=").nth(1).and_then(|rest| rest.split([',', ']']).next());
        count.is_some_and(|count| count.trim() != "0")
    });
    assert!(spilled, "nothing was spilled\n{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_outgrow_the_memory_go_to_disk() {
    let hunter = hunter(32, 150_000, 150_000);
    let rows =
        hunt(&hunter, "T | summarize arg_max(n, text) by k | summarize count(), sum(n), sum(strlen(text))").await;
    assert_eq!(rows, [format!("150000|{}|30000000", 150_000_i64 * 149_999 / 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_outgrows_the_memory_is_an_error_that_says_so() {
    let hunter = hunter(4, 100_000, 100_000);
    let query = "T | join kind=inner (T | project k, other = text) on k | summarize sum(strlen(strcat(text, other)))";
    let error = try_hunt(&hunter, query).await.expect_err("40 MB do not fit into 4");
    assert!(error.contains("needs more than its 4 MiB of memory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rows_for_a_list_are_an_error_with_its_place() {
    let hunter = hunter(256, 100_000, 10);
    let error = try_hunt(&hunter, "T | where n in ((T | project n))").await.expect_err("a list of 100,000 is too long");
    assert!(error.contains("there are more than 50000 rows") && error.contains("^^^"), "{error}");
}
