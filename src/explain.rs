//! `weir explain`: what becomes of a record, column by column.

mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::RecordBatch;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::MemoryBudget;
use weir_ingest::schema::RawTables;
use weir_normalize::library::{CompiledMapping, Library};
use weir_sink::billing::prices::{Prices, Tier};
use weir_sink::billing::{self, SizeModel};
use weir_sink::sentinel::encode::EncodedRows;

use crate::assembly::load_library;
use crate::config::{self, MappingsConfig};
use crate::records;
use crate::terminal::Format;

/// Arguments of `weir explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A file with one record or several (a JSON document or JSON lines); `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The raw table that the records belong to, where they don't tell.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// A config file, for its mappings; absent: the built-in ones.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder of mapping files of your own; may be repeated.
    #[arg(long, value_name = "DIR")]
    mappings: Vec<PathBuf>,
    /// Show columns without a value, too.
    #[arg(long)]
    all: bool,
    /// Explain at most so many records.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// How to print it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// All that was explained.
#[derive(Debug, Serialize)]
struct Explanation {
    records: Vec<Record>,
    /// Records behind `--limit`.
    not_shown: usize,
}

/// One record.
#[derive(Debug, Serialize)]
struct Record {
    /// Its raw table; absent if it could not be told.
    table: Option<String>,
    /// Its columns with a value, as the decoder read them.
    raw: Map<String, Value>,
    outcome: Outcome,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The mappings of its table.
    mappings: Vec<Mapped>,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// At least one mapping makes rows of it.
    Mapped,
    /// No mapping claims it: it stays in its raw table.
    PassedThrough,
    /// It is kept as a dead letter.
    DeadLetter,
}

/// What one mapping makes of a record.
#[derive(Debug, Serialize)]
struct Mapped {
    mapping: String,
    file: String,
    target: String,
    /// Whether its filter claims the record.
    claims: bool,
    /// The filter, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    rows: Vec<Row>,
    /// Raw columns with a value that the mapping does not read.
    dropped: Vec<Dropped>,
}

#[derive(Debug, Serialize)]
struct Dropped {
    column: String,
    value: Value,
    why: &'static str,
}

/// One row that a mapping makes.
#[derive(Debug, Serialize)]
struct Row {
    columns: Vec<OutputColumn>,
    /// Raw values that are kept in a bag only.
    packed: Vec<Packed>,
    /// Bytes that the workspace bills for the row, by the text model.
    billed_bytes: u64,
    /// What a million such rows cost, in the currency of the price list, by tier.
    price_of_a_million: Vec<(&'static str, f64)>,
    currency: String,
}

/// One member of `AdditionalFields`.
#[derive(Debug, Serialize)]
struct Packed {
    column: &'static str,
    key: String,
    value: Value,
}

/// One output column.
#[derive(Debug, Serialize)]
struct OutputColumn {
    name: String,
    /// The value after the mapping; null where it is empty.
    value: Value,
    /// The line of the mapping's file with the assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignment: Option<String>,
    /// What it is computed from, with the values before.
    sources: Vec<SourceValue>,
}

#[derive(Debug, Serialize)]
struct SourceValue {
    name: String,
    value: Value,
}

/// The bag that takes what has no column of its own.
const BAG: &str = "AdditionalFields";

/// Explains the records of a file.
pub(crate) fn run(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let raw_tables = RawTables::builtin();
    let mut mappings = match &args.config {
        Some(path) => config::load(path)?.mappings,
        None => MappingsConfig::default(),
    };
    mappings.directories.extend(args.mappings.iter().cloned());
    let library = load_library(&mappings, &raw_tables)?;
    let raw_tables = Arc::new(raw_tables.with_declared(library.declared_tables()));
    let text = records::read(&args.file)?;
    let explanation = explain(text, &args, raw_tables, &library)?;
    match args.format {
        Format::Text => print!("{}", text::render(&explanation, args.all)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&explanation)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(
    text: Vec<u8>,
    args: &ExplainArgs,
    raw_tables: Arc<RawTables>,
    library: &Library,
) -> anyhow::Result<Explanation> {
    let budget = MemoryBudget::new(usize::MAX >> 1);
    let decoded = records::decode("explain", text, args.table.as_deref(), raw_tables, &budget);
    let mut records = Vec::new();
    let mut count = 0;
    let read = library.with_lookups(&decoded.batches);
    for (batch, read) in decoded.batches.iter().zip(&read) {
        for row in 0..batch.rows.num_rows() {
            count += 1;
            if records.len() < args.limit {
                records.push(record(batch, read, row, library)?);
            }
        }
    }
    for letter in &decoded.dead_letters {
        count += 1;
        if records.len() < args.limit {
            records.push(Record {
                table: letter.table.as_deref().map(str::to_owned),
                raw: Map::new(),
                outcome: Outcome::DeadLetter,
                reason: Some(format!("{}: {}", letter.reason, letter.detail)),
                mappings: Vec::new(),
            });
        }
    }
    anyhow::ensure!(count > 0, "there is no record in the input");
    Ok(Explanation { not_shown: count - records.len(), records })
}

/// Explains one row of a decoded batch. `read` has the batch's rows as the mappings read them.
fn record(batch: &Batch, read: &RecordBatch, row: usize, library: &Library) -> anyhow::Result<Record> {
    let raw = object(&batch.rows.slice(row, 1), 0)?;
    let read = read.slice(row, 1);
    let mappings = if batch.kind == RowKind::Raw { library.of_table(&batch.table) } else { &[] };
    let mappings =
        mappings.iter().map(|mapping| mapped(mapping, &read, &raw)).collect::<anyhow::Result<Vec<Mapped>>>()?;
    let is_mapped = mappings.iter().any(|mapping| !mapping.rows.is_empty());
    Ok(Record {
        table: Some(batch.table.to_string()),
        raw,
        outcome: if is_mapped { Outcome::Mapped } else { Outcome::PassedThrough },
        reason: None,
        mappings,
    })
}

/// What a mapping makes of one row: `raw` as it came, `read` with what is looked up for it.
fn mapped(mapping: &CompiledMapping, read: &RecordBatch, raw: &Map<String, Value>) -> anyhow::Result<Mapped> {
    let claims = match &mapping.filter {
        Some(filter) => filter.mask(read)?.value(0),
        None => true,
    };
    let mut result = Mapped {
        mapping: mapping.mapping.name.to_string(),
        file: mapping.mapping.file.clone(),
        target: mapping.mapping.target_table.to_string(),
        claims,
        filter: mapping.mapping.filter.as_ref().filter(|_| !claims).map(|filter| filter.text.trim_end().to_owned()),
        rows: Vec::new(),
        dropped: Vec::new(),
    };
    if !claims {
        return Ok(result);
    }
    let made = mapping.program.run(read)?;
    let sources = object(read, 0)?;
    let mut sizes = billing::row_sizes(&made, SizeModel::Text);
    billing::add_arrival_time(&made, SizeModel::Text, &mut sizes);
    for (number, size) in sizes.into_iter().enumerate() {
        let values = object(&made, number)?;
        result.rows.push(output_row(mapping, &values, &sources, size));
    }
    let is_read = |column: &str| mapping.program.inputs().iter().any(|input| **input == *column);
    for (column, value) in raw.iter().filter(|(column, _)| !is_read(column)) {
        result.dropped.push(Dropped {
            column: column.clone(),
            value: value.clone(),
            why: "the mapping does not read it",
        });
    }
    Ok(result)
}

fn output_row(mapping: &CompiledMapping, values: &Map<String, Value>, raw: &Map<String, Value>, size: u64) -> Row {
    let query = &mapping.mapping.parser;
    let columns = mapping.program.lineage().into_iter().map(|lineage| {
        let span = lineage.span.as_ref();
        OutputColumn {
            value: values.get(&*lineage.column).cloned().unwrap_or(Value::Null),
            line: span.map(|span| query.line + query.text[..span.start].matches('\n').count()),
            assignment: span.map(|span| query.text[span.clone()].to_owned()),
            sources: lineage
                .sources
                .into_iter()
                .map(|name| SourceValue { value: source_value(raw, &name), name })
                .collect(),
            name: lineage.column.to_string(),
        }
    });
    let columns = columns.collect();
    let packed = match values.get(BAG) {
        Some(Value::Object(members)) => {
            members.iter().map(|(key, value)| Packed { column: BAG, key: key.clone(), value: value.clone() }).collect()
        }
        _ => Vec::new(),
    };
    let prices = Prices::embedded();
    let tiers = [Tier::Analytics, Tier::Basic, Tier::Lake];
    let price =
        |tier: Tier| (tier.name(), size as f64 * 1e6 / billing::prices::BYTES_PER_GB * prices.dollars_per_gb(tier));
    Row {
        columns,
        packed,
        billed_bytes: size,
        price_of_a_million: tiers.map(price).to_vec(),
        currency: prices.currency.clone(),
    }
}

/// A row's values by column; those without a value are not among them.
fn object(rows: &RecordBatch, row: usize) -> anyhow::Result<Map<String, Value>> {
    let encoded = EncodedRows::encode(rows)?;
    Ok(serde_json::from_slice(encoded.row(row))?)
}

/// The raw value at `Column.path[0]`, as [`weir_kql::Lineage`] writes it.
fn source_value(raw: &Map<String, Value>, source: &str) -> Value {
    if let Some(value) = raw.get(source) {
        return value.clone();
    }
    let (column, mut path) = source.split_at(source.find(['.', '[']).unwrap_or(source.len()));
    let mut value = raw.get(column);
    while let (Some(inside), false) = (value, path.is_empty()) {
        if let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) {
            let array = inside.as_array();
            value = index.parse::<i64>().ok().and_then(|index| {
                let array = array?;
                let index =
                    if index < 0 { array.len().checked_sub(index.unsigned_abs() as usize)? } else { index as usize };
                array.get(index)
            });
            path = rest;
            continue;
        }
        // A key may itself contain dots: the longest one that is there counts.
        let keys = path.strip_prefix('.').unwrap_or(path);
        let ends = keys.match_indices(['.', '[']).map(|(end, _)| end).chain([keys.len()]);
        let ends: Vec<usize> = ends.collect();
        let found = ends.into_iter().rev().find(|end| inside.get(&keys[..*end]).is_some());
        value = found.and_then(|end| inside.get(&keys[..end]));
        path = found.map_or("", |end| &keys[end..]);
    }
    value.cloned().unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_by_its_path() {
        let raw: Map<String, Value> =
            serde_json::from_str(r#"{"A":1,"Bag":{"x":{"y.z":[10,20]},"k":"v"}}"#).expect("JSON");
        for (source, expected) in [
            ("A", Value::from(1)),
            ("Bag.k", Value::from("v")),
            ("Bag.x.y.z[-1]", Value::from(20)),
            ("Bag.x.y.z[0]", Value::from(10)),
            ("Bag.x.q", Value::Null),
            ("B", Value::Null),
        ] {
            assert_eq!(source_value(&raw, source), expected, "{source}");
        }
    }
}
