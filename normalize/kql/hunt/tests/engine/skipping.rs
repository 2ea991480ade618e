//! What a condition saves from being read: row groups of Parquet files, by the conditions that scans are told.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use weir_hunt::{Hunter, Table};

use crate::support::{hunt, settings};

const GROUP: usize = 100;
const GROUPS: usize = 10;

/// 1000 rows in ten row groups; all columns grow with the row's number. Every fiftieth text is null.
fn rows() -> RecordBatch {
    let count = (GROUP * GROUPS) as i64;
    let time = (0..count).map(|n| Some(n * 60_000_000)).collect::<TimestampMicrosecondArray>().with_timezone("UTC");
    let text = (0..count).map(|n| (n % 50 != 0).then(|| format!("t{n:04}"))).collect::<StringArray>();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Time", Arc::new(time)),
        ("Text", Arc::new(text)),
        ("Number", Arc::new((0..count).collect::<Int64Array>())),
        ("Small", Arc::new((0..count as i32).collect::<Int32Array>())),
        ("Real", Arc::new((0..count).map(|n| n as f64 / 2.0).collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

async fn hunter(folder: &std::path::Path) -> Hunter {
    let path = folder.join("rows.parquet");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP)).build();
    let rows = rows();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let url = ListingTableUrl::parse(path.display().to_string()).unwrap();
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()));
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(rows.schema());
    let table = ListingTable::try_new(config).unwrap();
    let mut hunter = Hunter::new(settings()).unwrap();
    hunter.register(Table::of_provider("T", Arc::new(table)).unwrap());
    hunter
}

/// Row groups of which statistics left nothing, of those that were looked at.
async fn skipped(hunter: &Hunter, query: &str) -> usize {
    let bound = hunter.compile(query, &Arc::default(), 0).await.unwrap();
    let counted = hunter.analyze(&bound).await.unwrap();
    let mut skipped = 0;
    for part in counted.split("row_groups_pruned_statistics=").skip(1) {
        let part = part.split([',', ']']).next().unwrap_or_default();
        let numbers: Vec<usize> = part.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        let [total, matched, ..] = numbers[..] else { panic!("{part}\n{counted}") };
        skipped += total - matched;
    }
    skipped
}

#[tokio::test(flavor = "multi_thread")]
async fn row_groups_outside_of_a_condition_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let hunter = hunter(folder.path()).await;
    let cases = [
        ("T | where Number == 555 | project Time", 9, 1),
        ("T | where Text == 't0555' | project Time", 9, 1),
        ("T | where Small > 898 and Small != 950 | project Time", 8, 100),
        ("T | where Time between (datetime(1970-01-01T02:00:00Z) .. 30m) | project Text", 9, 31),
        ("T | where Real >= 450.0 | project Time", 9, 100),
        ("T | where Text in ('t0001', 't0999') | project Time", 8, 2),
        ("T | where Number == 1 or Number == 999 | project Time", 8, 2),
        // Through what stands between the filter and the scan.
        (
            "T | extend N = Number, U = toupper(Text) | project-away Real | where N < 100 and U startswith 't0' | count",
            9,
            98,
        ),
        ("T | where Number >= 900 | summarize n = count() by Small | where Small >= 950 | count", 9, 50),
        ("T | parse Text with * 't' d:long | where Number == 7 and d == 7 | project Time", 9, 1),
        ("T | join kind=inner (T | project Number, Other = Small) on Number | where Number == 5 and Other == 5", 18, 1),
        ("union T, (T | extend x = 1) | where Number == 5", 18, 2),
    ];
    for (query, groups, rows) in cases {
        let found = hunt(&hunter, query).await;
        let count = if query.ends_with("count") { found[0].parse().unwrap() } else { found.len() };
        assert_eq!(count, rows, "{query}");
        assert_eq!(skipped(&hunter, query).await, groups, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_null_may_satisfy_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let hunter = hunter(folder.path()).await;
    for (query, rows) in [
        ("T | where Text == ''", 20),
        ("T | where isempty(Text)", 20),
        ("T | where Text != 't0001'", 999),
        ("T | where Text in ('', 't0001')", 21),
        ("T | where isnotempty(Text)", 980),
        ("T | where Number != 5", 999),
        (
            "T | join kind=leftouter (T | where Number < 0 | project Number, Other = Text) on Number | where Other == ''",
            1000,
        ),
    ] {
        assert_eq!(hunt(&hunter, query).await.len(), rows, "{query}");
    }
}
