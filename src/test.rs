//! `weir test`: mappings over the samples beside them.

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use weir_normalize::samples;

use crate::config::{self, MappingsConfig};
use crate::samples::{MappingFile, OtherTables, Runner};
use crate::terminal::Format;

/// The config that is read if it is there and nothing was named.
const CONFIG: &str = "weir.yaml";

/// Arguments of `weir test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Folders of mapping files, or such files. Beside `X.yaml` stand `samples/X.json` with raw records, and
    /// `expected/X.json` with the rows that they become; one JSON object a line [default: the folders of the config;
    /// without these the built-in mappings].
    #[arg(value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// A config file, for its mapping folders, functions and watchlists [default without DIR: `weir.yaml`, if it is
    /// there].
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write what the mappings make to the expected files; read the difference before you keep it.
    #[arg(long)]
    update: bool,
    /// An unknown column is empty.
    #[arg(long)]
    lenient: bool,
    /// How to print it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// All that was tested.
#[derive(Debug, Serialize)]
struct Report {
    mappings: Vec<Tested>,
}

/// One mapping.
#[derive(Debug, Serialize)]
struct Tested {
    /// Its file.
    mapping: String,
    outcome: Outcome,
    /// The file with its raw records.
    samples: String,
    /// The file with the rows that they become.
    expected: String,
    /// Records in the samples.
    records: usize,
    /// Rows that the mapping makes of them.
    rows: usize,
    /// What is wrong, beside differences.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    differences: Vec<Difference>,
}

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// The rows are the expected ones.
    Ok,
    /// There was nothing to write: the expected rows are these.
    Unchanged,
    /// The expected rows were written.
    Written,
    /// Rows differ.
    Differs,
    /// The mapping or a file is faulty, or there are no expected rows.
    Failed,
    /// There are no samples.
    Untested,
}

/// A row that differs. Rows and records count from 1.
#[derive(Debug, Serialize)]
struct Difference {
    /// The row among the expected ones; absent: it is not expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_row: Option<usize>,
    /// The row among those made; absent: it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    /// The record of the samples that it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<usize>,
    /// The whole row, where it is missing or not expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<Value>,
    values: Vec<DifferentValue>,
}

/// A value that differs; null is nothing.
#[derive(Debug, Serialize)]
struct DifferentValue {
    /// The column, and keys below it behind dots.
    column: String,
    expected: Value,
    found: Value,
}

/// Tests the mappings.
pub(crate) fn run(args: TestArgs) -> anyhow::Result<ExitCode> {
    let default = || (args.paths.is_empty() && Path::new(CONFIG).is_file()).then(|| PathBuf::from(CONFIG));
    let config = match args.config.clone().or_else(default) {
        Some(path) => config::load(&path)?.mappings,
        None => MappingsConfig::default(),
    };
    let paths = if args.paths.is_empty() { &config.directories } else { &args.paths };
    let files = if paths.is_empty() { MappingFile::builtin() } else { MappingFile::below(paths)? };
    anyhow::ensure!(
        !(args.update && paths.is_empty()),
        "the expected rows of the built-in mappings are part of the binary; name the folder of mappings whose expected \
         rows are to be written"
    );
    let runner = Runner::new(&config, args.lenient)?;
    let mappings: Vec<Tested> = files.iter().map(|file| tested(file, &runner, args.update)).collect();
    let is_faulty = mappings.iter().any(|tested| matches!(tested.outcome, Outcome::Differs | Outcome::Failed));
    let is_untested = mappings.iter().all(|tested| tested.outcome == Outcome::Untested);
    let report = Report { mappings };
    match args.format {
        Format::Text => print!("{}", text::render(&report)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if is_faulty || is_untested { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn tested(file: &MappingFile, runner: &Runner, update: bool) -> Tested {
    let beside = |kind| samples::beside(&file.path, kind).display().to_string();
    let mut tested = Tested {
        mapping: file.name(),
        outcome: Outcome::Ok,
        samples: beside("samples"),
        expected: beside("expected"),
        records: 0,
        rows: 0,
        message: None,
        differences: Vec::new(),
    };
    match test(file, runner, update, &mut tested) {
        Ok(outcome) => tested.outcome = outcome,
        Err(error) => {
            tested.outcome = Outcome::Failed;
            tested.message = Some(format!("{error:#}").trim_end().to_owned());
        }
    }
    tested
}

/// Tests one mapping, and takes note of what was found.
fn test(file: &MappingFile, runner: &Runner, update: bool, tested: &mut Tested) -> anyhow::Result<Outcome> {
    // A faulty mapping is one with samples or without.
    let mapping = runner.compile(file.parse()?)?;
    let samples = file.beside("samples")?;
    let Some(raw) = samples.bytes else { return Ok(Outcome::Untested) };
    let in_samples = || format!("`{}`", samples.path.display());
    let made = mapping.run(raw, OtherTables::Refuse).with_context(in_samples)?;
    anyhow::ensure!(!made.is_empty(), "`{}`: there is no record in it", samples.path.display());
    tested.records = made.len();
    let records: Vec<usize> = made.iter().enumerate().flat_map(|(at, rows)| rows.iter().map(move |_| at + 1)).collect();
    let rows: Vec<Value> = made.into_iter().flatten().collect();
    tested.rows = rows.len();
    let expected = file.beside("expected")?;
    let path = expected.path.display();
    if update {
        let text = samples::print_expected(&rows);
        if expected.bytes.as_deref() == Some(text.as_bytes()) {
            return Ok(Outcome::Unchanged);
        }
        let folder = expected.path.parent().expect("it stands in the folder `expected`");
        std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        std::fs::write(&expected.path, text).with_context(|| format!("`{path}` cannot be written"))?;
        return Ok(Outcome::Written);
    }
    let Some(text) = expected.bytes else { anyhow::bail!("`{path}` is not there; `--update` writes it") };
    let text = String::from_utf8(text).with_context(|| format!("`{path}` is not UTF-8"))?;
    let expected = samples::parse_expected(&text).with_context(|| format!("`{path}`"))?;
    let differences = samples::differences(&rows, &expected).into_iter().map(|difference| Difference {
        expected_row: difference.expected.map(|row| row + 1),
        row: difference.made.map(|row| row + 1),
        record: difference.made.map(|row| records[row]),
        whole: match (difference.made, difference.expected) {
            (Some(row), None) => Some(rows[row].clone()),
            (None, Some(row)) => Some(expected[row].clone()),
            _ => None,
        },
        values: difference
            .values
            .into_iter()
            .map(|value| DifferentValue { column: value.path(), expected: value.expected, found: value.made })
            .collect(),
    });
    tested.differences = differences.collect();
    Ok(if tested.differences.is_empty() { Outcome::Ok } else { Outcome::Differs })
}
