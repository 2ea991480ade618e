//! `weir drift`: columns and tables that no schema knows, as the lake or sample files have them, and what to write for
//! each.
//!
//! An unknown column is kept in `UnknownColumns` of its raw row; mappings carry that on within `AdditionalFields`. A
//! record of an unknown table is kept whole in `RawRecord`. So nothing is lost that is listed here, and what it lists can
//! be sent through again (`weir replay`) once a mapping reads it.

mod propose;
mod seen;
mod source;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use clap::Args;
use futures::TryStreamExt as _;
use weir_contract::batch::RowKind;
use weir_contract::datetime::format_iso;
use weir_contract::dead_letter::DEAD_LETTERS;
use weir_contract::memory::MemoryBudget;
use weir_contract::schema::{ColumnType, TableSchema};
use weir_hunt::{Hunter, Settings};
use weir_ingest::decode::RAW_RECORD;
use weir_ingest::schema::{RawTables, TIME_GENERATED, UNKNOWN_COLUMNS};
use weir_kql::Catalog;
use weir_normalize::library::Library;
use weir_normalize::query::quoted_name;
use weir_sink::lake::config::LakeConfig;

use self::seen::Seen;
use self::source::{RowOrigin, Sources};
use crate::assembly::load_library;
use crate::config::{self, MappingsConfig};
use crate::terminal::Format;
use crate::{hunt, records, run as process};

/// Arguments of `weir drift`.
#[derive(Debug, Args)]
pub(crate) struct DriftArgs {
    /// Files with raw records (a JSON document or JSON lines; `-` is standard input), beside the lake or in its place.
    #[arg(value_name = "FILE", required_unless_present_any = ["lake", "config"])]
    files: Vec<PathBuf>,
    /// The lake: a path or URL, as `lake.url` of a config has it.
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// A config file, for its mappings, and for its lake unless files or another lake are given.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder of mapping files of your own; may be repeated.
    #[arg(long, value_name = "DIR")]
    mappings: Vec<PathBuf>,
    /// The raw table that records of the files belong to, where they don't tell.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only rows of the lake that are younger, such as `7days`.
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// How to print it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// What is known: raw tables and mappings.
struct Known {
    tables: Arc<RawTables>,
    library: Library,
}

/// Lists what no schema knows.
pub(crate) fn run(args: DriftArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.as_ref().map(|path| config::load(path)).transpose()?;
    let mut mappings = config.as_ref().map_or_else(MappingsConfig::default, |config| config.mappings.clone());
    mappings.directories.extend(args.mappings.iter().cloned());
    let tables = RawTables::builtin();
    let library = load_library(&mappings, &tables)?;
    let known = Known { tables: Arc::new(tables.with_declared(library.declared_tables())), library };

    let lake = match (&args.lake, config) {
        (Some(url), _) => Some(LakeConfig::at(url.clone())),
        (None, Some(config)) if args.files.is_empty() => match config.lake {
            Some(lake) => Some(lake),
            None => bail!("the config has no `lake:`; name the lake with `--lake`, or files with raw records"),
        },
        (None, _) => None,
    };
    let mut seen = Seen::default();
    for file in &args.files {
        let name = file.display().to_string();
        read_file(records::read(file)?, &args, &known, &mut seen).with_context(|| format!("`{name}`"))?;
    }
    if let Some(lake) = &lake {
        process::block_on(read_lake(lake, args.since, &known, &mut seen))?;
    }
    let report = propose::report(&seen, &known);
    match args.format {
        Format::Text => print!("{}", text::render(&report)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the records of a file as the decoder keeps them.
fn read_file(bytes: Vec<u8>, args: &DriftArgs, known: &Known, seen: &mut Seen) -> anyhow::Result<()> {
    let budget = MemoryBudget::new(usize::MAX >> 1);
    let decoded = records::decode("drift", bytes, args.table.as_deref(), Arc::clone(&known.tables), &budget);
    seen.refused += decoded.dead_letters.len();
    decoded.ack.done();
    for batch in decoded.batches {
        batch.ack.done();
        let column = if batch.kind == RowKind::Unknown { RAW_RECORD } else { UNKNOWN_COLUMNS };
        let (Some(times), Some(kept)) = (batch.rows.column_by_name(TIME_GENERATED), batch.rows.column_by_name(column))
        else {
            bail!("rows of `{}` have no `{column}`", batch.table);
        };
        for (_, time, text) in kept_rows(times, kept) {
            match batch.kind {
                RowKind::Unknown => seen.record(&batch.table, time, text),
                _ => seen.columns(&[batch.table.to_string()], time, text),
            }
        }
    }
    Ok(())
}

/// The rows that keep something: their number, their time in microseconds, and the JSON text.
fn kept_rows<'a>(times: &'a ArrayRef, kept: &'a ArrayRef) -> impl Iterator<Item = (usize, Option<i64>, &'a str)> {
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let kept = kept.as_string_view();
    (0..kept.len())
        .filter(|row| kept.is_valid(*row))
        .map(move |row| (row, times.is_valid(row).then(|| times.value(row)), kept.value(row)))
}

/// What a lake's table keeps of what is unknown.
enum Keeps {
    /// A table that no schema describes: whole records.
    Records,
    /// A raw table: the columns that its schema lacks.
    Columns,
    /// A table that mappings make rows of: the same, in a column of its own or within `AdditionalFields`.
    Carried(String),
}

impl Keeps {
    fn of(table: &TableSchema, known: &Known) -> Option<Self> {
        let has = |name: &str, ty| table.column(name).is_some_and(|column| column.ty == ty);
        if &*table.name == DEAD_LETTERS || !has(TIME_GENERATED, ColumnType::Datetime) {
            None
        } else if known.tables.get(&table.name).is_none() && has(RAW_RECORD, ColumnType::Dynamic) {
            Some(Self::Records)
        } else if has(UNKNOWN_COLUMNS, ColumnType::Dynamic) {
            let is_target = known.library.iter().any(|mapping| mapping.mapping.target_table == table.name);
            Some(if is_target { Self::Carried(UNKNOWN_COLUMNS.to_owned()) } else { Self::Columns })
        } else {
            let carried = || Self::Carried(format!("AdditionalFields.{UNKNOWN_COLUMNS}"));
            has("AdditionalFields", ColumnType::Dynamic).then(carried)
        }
    }

    /// The query for the rows that keep something: time, what is kept, and what tells where a mapped row came from.
    fn query(&self, table: &TableSchema, since: Option<i64>) -> String {
        let text = |name: &str| match table.column(name) {
            Some(column) if column.ty == ColumnType::String => name.to_owned(),
            _ => "\"\"".to_owned(),
        };
        let kept = match self {
            Self::Records => RAW_RECORD,
            Self::Columns => UNKNOWN_COLUMNS,
            Self::Carried(place) => place,
        };
        let since = since.map(|since| format!("| where {TIME_GENERATED} >= datetime({})\n", format_iso(since)));
        format!(
            "{}\n{}| extend kept = {kept}\n| where isnotnull(kept)\n| project {TIME_GENERATED}, kept, product = {}, \
             original = {}",
            quoted_name(&table.name),
            since.unwrap_or_default(),
            text("EventProduct"),
            text("EventOriginalType"),
        )
    }
}

/// Reads what the tables of a lake keep.
async fn read_lake(config: &LakeConfig, since: Option<Duration>, known: &Known, seen: &mut Seen) -> anyhow::Result<()> {
    let mut hunter = Hunter::new(Settings::default())?;
    hunt::register_lake(&mut hunter, config).await?;
    let now = chrono::Utc::now().timestamp_micros();
    let since = since.map(|span| now.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)));
    let tables: Vec<TableSchema> = hunter.tables().map(|table| table.schema().clone()).collect();
    let mut sources = Sources::new(known);
    for table in &tables {
        let Some(keeps) = Keeps::of(table, known) else { continue };
        let query = keeps.query(table, since);
        let bound = match hunter.compile(&query, &Arc::new(Catalog::default()), now).await {
            Ok(bound) => bound,
            Err(faults) => {
                let faults = faults.iter().map(|fault| fault.render(&table.name, &query, 1));
                bail!("the table `{}` cannot be asked:\n{}", table.name, faults.collect::<String>());
            }
        };
        let mut rows = hunter.run(&bound).await?.rows;
        while let Some(batch) = rows.try_next().await? {
            read_batch(&keeps, &table.name, &batch, &mut sources, seen);
        }
    }
    Ok(())
}

fn read_batch(keeps: &Keeps, table: &str, batch: &RecordBatch, sources: &mut Sources<'_>, seen: &mut Seen) {
    let (products, originals) = (batch.column(2).as_string_view(), batch.column(3).as_string_view());
    for (row, time, text) in kept_rows(batch.column(0), batch.column(1)) {
        match keeps {
            Keeps::Records => seen.record(table, time, text),
            Keeps::Columns => seen.columns(&[table.to_owned()], time, text),
            Keeps::Carried(_) => {
                let origin = RowOrigin {
                    target: table.to_owned(),
                    product: products.value(row).to_owned(),
                    original_type: originals.value(row).to_owned(),
                };
                seen.columns(sources.of(origin), time, text);
            }
        }
    }
}
