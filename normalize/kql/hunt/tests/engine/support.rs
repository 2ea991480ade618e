//! Tables, queries and rows as text.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use futures::TryStreamExt;
use weir_contract::schema::{Column, TableSchema};
use weir_hunt::{HuntError, Hunter, Settings, Table};
use weir_kql::{Catalog, Mode, compile};

/// A fixed `now()`: 2026-01-02T03:04:05Z.
pub(crate) const NOW: i64 = 1_767_323_045_000_000;

/// Two partitions of small batches: enough for partial aggregates and joins over several batches.
pub(crate) fn settings() -> Settings {
    Settings { partitions: 2, batch_rows: 16, ..Settings::default() }
}

/// The rows of a constant KQL table, by the ingest back-end.
pub(crate) fn constant(datatable: &str) -> RecordBatch {
    let nowhere = TableSchema { name: "NoTable".into(), columns: Vec::new() };
    let program = compile(datatable, &nowhere, Mode::Strict).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(|error| error.render("datatable", datatable, 1)).collect();
        panic!("{}", shown.join("\n"))
    });
    program.run(&RecordBatch::new_empty(Arc::new(Schema::empty()))).expect("a constant table")
}

/// A table with these rows, split into two partitions.
pub(crate) fn table(name: &str, rows: &RecordBatch) -> Table {
    let middle = rows.num_rows() / 2;
    let parts = vec![vec![rows.slice(0, middle)], vec![rows.slice(middle, rows.num_rows() - middle)]];
    let provider = MemTable::try_new(rows.schema(), parts).expect("a table");
    Table::of_provider(name, Arc::new(provider)).expect("KQL types")
}

/// A hunter over constant KQL tables.
pub(crate) fn hunter(tables: &[(&str, &str)]) -> Hunter {
    let mut hunter = Hunter::new(settings()).expect("an engine");
    for (name, datatable) in tables {
        hunter.register(table(name, &constant(datatable)));
    }
    hunter
}

/// Runs a query to its end.
pub(crate) async fn try_hunt(hunter: &Hunter, query: &str) -> Result<(TableSchema, RecordBatch), String> {
    let bound = hunter.compile(query, &Arc::new(Catalog::default()), NOW).await.map_err(|errors| {
        let shown: Vec<String> = errors.iter().map(|error| error.render("query", query, 1)).collect();
        shown.join("\n")
    })?;
    let failed = |error: HuntError| error.with_causes();
    let answer = hunter.run(&bound).await.map_err(failed)?;
    let schema = answer.schema;
    let batches: Vec<RecordBatch> = answer.rows.try_collect().await.map_err(failed)?;
    Ok((schema.clone(), concat_batches(&schema.arrow(), &batches).expect("one schema")))
}

/// Rows as text, `|` between cells; a null prints as `-`.
pub(crate) async fn hunt(hunter: &Hunter, query: &str) -> Vec<String> {
    match try_hunt(hunter, query).await {
        Ok((_, rows)) => shown(&rows),
        Err(error) => panic!("{query}\n{error}"),
    }
}

/// The same, sorted.
pub(crate) async fn hunt_set(hunter: &Hunter, query: &str) -> Vec<String> {
    let mut rows = hunt(hunter, query).await;
    rows.sort();
    rows
}

pub(crate) fn shown(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    // Arrow prints no time of a named zone.
    let plain = |column: &ArrayRef| match column.data_type() {
        DataType::Timestamp(unit, _) => cast(column, &DataType::Timestamp(*unit, None)).expect("drops the zone"),
        _ => Arc::clone(column),
    };
    let columns: Vec<ArrayRef> = rows.columns().iter().map(plain).collect();
    let columns: Vec<ArrayFormatter<'_>> =
        columns.iter().map(|column| ArrayFormatter::try_new(column, &options).expect("printable")).collect();
    (0..rows.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

/// A schema as text.
pub(crate) fn columns(schema: &TableSchema) -> Vec<String> {
    schema.columns.iter().map(|Column { name, ty }| format!("{name}:{ty}")).collect()
}
