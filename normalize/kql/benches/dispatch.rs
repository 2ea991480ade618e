//! Fifty filters over one raw table: evaluated one by one, and by one dispatch. `cargo bench -p weir-kql --bench dispatch`
//! prints both times per batch and what each event costs. Everything is made in memory; no disk is read.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Dispatch, Filter, Mode, compile_filter};

const FILTERS: usize = 50;
const ROWS: usize = 8192;
const ROUNDS: u32 = 200;

fn main() {
    let table = TableSchema {
        name: "Fw_CL".into(),
        columns: vec![
            Column::new("DeviceVendor", ColumnType::String),
            Column::new("DeviceProduct", ColumnType::String),
            Column::new("EventID", ColumnType::Long),
            Column::new("Message", ColumnType::String),
        ],
    };
    for (what, query) in [
        ("vendor and product", query_by_vendor as fn(usize) -> String),
        ("vendor, product and a text of the message", query_with_text),
    ] {
        let filters: Vec<Arc<Filter>> = (0..FILTERS)
            .map(|number| Arc::new(compile_filter(&query(number), &table, Mode::Strict).expect("a filter")))
            .collect();
        let dispatch = Dispatch::new(filters.clone());
        for (order, run) in [("runs of one vendor", 500), ("vendors in turn", 1)] {
            let rows = rows(run);
            let alone = median(|| filters.iter().for_each(|filter| drop(black_box(filter.mask(&rows)))));
            let together = median(|| drop(black_box(dispatch.masks(&rows))));
            for (mask, filter) in dispatch.masks(&rows).into_iter().zip(&filters) {
                assert_eq!(mask.expect("fits"), filter.mask(&rows).expect("fits"));
            }
            println!(
                "{FILTERS} filters on {what}, {order}: one by one {alone:?} per batch of {ROWS}, dispatch {together:?} \
                 ({:.1} times as fast, {:.0} ns per event)",
                alone.as_secs_f64() / together.as_secs_f64(),
                together.as_secs_f64() * 1e9 / ROWS as f64,
            );
        }
    }
}

fn query_by_vendor(number: usize) -> String {
    format!("Fw_CL | where DeviceVendor == 'Vendor number {number}' and DeviceProduct == 'Product {}'", number % 3)
}

fn query_with_text(number: usize) -> String {
    format!(
        "Fw_CL | where DeviceVendor == 'Vendor number {number}' | where Message has 'action={}' and EventID != 7",
        number % 5
    )
}

/// `run` rows of one vendor follow each other.
fn rows(run: usize) -> RecordBatch {
    let vendor = |row: usize| row / run % (FILTERS + 10);
    let vendors: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|row| format!("Vendor number {}", vendor(row)))));
    let products: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..ROWS).map(|row| format!("Product {}", row % 4))));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS).map(|row| (row % 11) as i64)));
    let messages: ArrayRef = Arc::new(StringViewArray::from_iter_values(
        (0..ROWS).map(|row| format!("a session of host{row} ended; action={} bytes={}", row % 5, row * 37)),
    ));
    let columns = [("DeviceVendor", vendors), ("DeviceProduct", products), ("EventID", ids), ("Message", messages)];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
