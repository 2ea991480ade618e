//! Rows of files: JSON lines, JSON arrays, CSV and Parquet.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow::array::{AsArray as _, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use weir_normalize::check::{Numbers, Target, csv, rows::retype};

use super::{BATCH_ROWS, Rows, UsageError};

/// Endings of the files that are read.
const ENDINGS: [&str; 5] = ["json", "jsonl", "ndjson", "csv", "parquet"];

/// Checks all files below `folder`.
pub(super) fn check_folder(folder: &Path, rows: &mut Rows) -> anyhow::Result<()> {
    let mut found = false;
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot list `{}`", folder.display()))?;
        if entry.file_type().is_file() && ending(entry.path()).is_some() {
            found = true;
            check_file(entry.path(), rows)?;
        }
    }
    if !found {
        let text = format!("`{}` has no files that end in .{}", folder.display(), ENDINGS.join(", ."));
        return Err(UsageError(text).into());
    }
    Ok(())
}

/// Checks one file. A table's name in its path tells the table of rows that do not name one.
pub(super) fn check_file(path: &Path, rows: &mut Rows) -> anyhow::Result<()> {
    let place: Arc<str> = path.display().to_string().into();
    let mut table = None;
    if let Some(name) = table_of(path) {
        match rows.selection.of_table(&name) {
            Some(target) => table = Some(target),
            None => {
                rows.left_out.insert(name);
                return Ok(());
            }
        }
    }
    match ending(path) {
        Some("parquet") => check_parquet(path, &place, table, rows),
        Some("csv") => check_csv(path, &place, table, rows),
        Some(_) => check_json(path, &place, table, rows),
        None => {
            let text = format!("`{place}` is of no known kind; its name should end in .{}", ENDINGS.join(", ."));
            Err(UsageError(text).into())
        }
    }
}

fn ending(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?;
    ENDINGS.into_iter().find(|ending| extension.eq_ignore_ascii_case(ending))
}

/// The name of an ASIM table that a file, or a folder that it is in, is called by.
fn table_of(path: &Path) -> Option<String> {
    let names = path.file_stem().into_iter().chain(path.ancestors().skip(1).filter_map(Path::file_name));
    names.filter_map(|name| name.to_str()).find(|name| Target::of_table(name).is_some()).map(str::to_owned)
}

fn check_json(path: &Path, place: &Arc<str>, table: Option<Target>, rows: &mut Rows) -> anyhow::Result<()> {
    let mut reader = BufReader::new(open(path)?);
    let start = reader.fill_buf().with_context(|| format!("cannot read `{place}`"))?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    if start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{place}`"))?;
        let list: Vec<Map<String, Value>> = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .with_context(|| format!("`{place}` is no JSON array of objects"))?;
        let mut numbered = (1..).zip(list);
        loop {
            let chunk: Vec<_> = numbered.by_ref().take(BATCH_ROWS).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            rows.json(place, table.clone(), chunk)?;
        }
    }
    let mut chunk = Vec::new();
    for (number, line) in (1..).zip(reader.lines()) {
        let line = line.with_context(|| format!("{place}:{number}: cannot be read"))?;
        let line = line.trim_start_matches('\u{feff}');
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(row) => chunk.push((number, row)),
            Err(cause) => bail!("{place}:{number}: no JSON object ({cause}); write one row per line, or one array"),
        }
        if chunk.len() == BATCH_ROWS {
            rows.json(place, table.clone(), std::mem::take(&mut chunk))?;
        }
    }
    rows.json(place, table, chunk)
}

fn check_csv(path: &Path, place: &Arc<str>, table: Option<Target>, rows: &mut Rows) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{place}`"))?;
    let mut records = csv::records(&text).with_context(|| format!("`{place}` is no CSV"))?.into_iter();
    let Some((_, header)) = records.next() else { return Ok(()) };
    loop {
        let chunk: Vec<_> = records.by_ref().take(BATCH_ROWS).collect();
        if chunk.is_empty() {
            return Ok(());
        }
        if let Some((line, cells)) = chunk.iter().find(|(_, cells)| cells.len() != header.len()) {
            bail!("{place}:{line}: {} fields; the header has {}", cells.len(), header.len());
        }
        rows.csv(place, table.clone(), &header, chunk)?;
    }
}

fn check_parquet(path: &Path, place: &Arc<str>, table: Option<Target>, rows: &mut Rows) -> anyhow::Result<()> {
    let failed = || format!("cannot read `{place}` as Parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(open(path)?).with_context(failed)?;
    let reader = reader.with_batch_size(BATCH_ROWS).build().with_context(failed)?;
    let mut first = 1;
    for batch in reader {
        let batch = batch.with_context(failed)?;
        match &table {
            Some(target) => rows.columns(place, target, &batch, first)?,
            None => check_by_schema(place, &batch, first, rows)?,
        }
        first += batch.num_rows() as u64;
    }
    Ok(())
}

/// Rows that name their schema, if anything.
fn check_by_schema(place: &Arc<str>, batch: &RecordBatch, first: u64, rows: &mut Rows) -> anyhow::Result<()> {
    let named = ["EventSchema", "EntitySchema"].iter().find_map(|name| batch.column_by_name(name));
    let named = named.and_then(|column| cast(column, &DataType::Utf8View).ok());
    let Some(named) = named else {
        let target = rows.selection.of_rows(None);
        return rows.columns(place, &target, batch, first);
    };
    let schemas = named.as_string_view();
    let mut distinct: Vec<Option<&str>> = schemas.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    for schema in distinct {
        let target = rows.selection.of_rows(schema);
        let mask: BooleanArray = schemas.iter().map(|value| Some(value == schema)).collect();
        let part = filter_record_batch(batch, &mask)?;
        let numbers: Vec<u64> = (0..mask.len()).filter(|row| mask.value(*row)).map(|row| first + row as u64).collect();
        rows.check(place, &target, &retype(&target, &part), Numbers::Each(&numbers))?;
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot open `{}`", path.display()))
}
