//! `weir diff`: two versions of a mapping over the same samples.

mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use weir_contract::schema::Column;
use weir_normalize::samples::differences;

use crate::config::{self, ConfigFaults, MappingsConfig};
use crate::records;
use crate::samples::{MappingFile, OtherTables, Runnable, Runner};
use crate::terminal::{EXIT_USAGE, Format, print_error};

/// Arguments of `weir diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The mapping before: a file, a folder of such, or the name of a built-in one, such as
    /// `microsoft/defender-xdr/DeviceProcessEvents`.
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The mapping after; of folders, files of the same path below them are compared.
    #[arg(value_name = "B")]
    after: PathBuf,
    /// A file with raw records (`-`: standard input); may be repeated. Records of tables that a mapping does not read are
    /// left out [default: the samples beside A, else those beside B].
    #[arg(long = "sample", value_name = "FILE")]
    samples: Vec<PathBuf>,
    /// A config file, for its functions and watchlists.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An unknown column is empty.
    #[arg(long)]
    lenient: bool,
    /// How to print it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// All that was compared.
#[derive(Debug, Serialize)]
struct Report {
    mappings: Vec<Compared>,
}

/// Two versions of one mapping.
#[derive(Debug, Default, Serialize)]
struct Compared {
    /// The file before; absent: the mapping is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// The file after; absent: the mapping is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// The files with the records.
    samples: Vec<String>,
    /// Records of the mapping's raw table in them.
    records: usize,
    rows_before: usize,
    rows_after: usize,
    /// Rows that both versions make, with a value that differs.
    rows_changed: usize,
    /// Rows that only one of them makes.
    rows_added: usize,
    rows_removed: usize,
    /// The output columns that differ, in type or in a value.
    columns: Vec<ComparedColumn>,
    /// The first of the rows that only one version makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_row: Option<WholeRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_row: Option<WholeRow>,
}

/// One output column.
#[derive(Debug, Serialize)]
struct ComparedColumn {
    name: String,
    /// Its KQL type before; absent: the column is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    type_before: Option<&'static str>,
    /// Its KQL type after; absent: the column is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    type_after: Option<&'static str>,
    /// Rows whose value differs.
    rows: usize,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<Example>,
}

/// A value before and after; null is nothing.
#[derive(Debug, Serialize)]
struct Example {
    /// The record that the row is made of, from 1, counted over all samples.
    record: usize,
    /// Keys below the column, outermost first, where only a part of a bag differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<String>,
    before: Value,
    after: Value,
}

/// A row that only one version makes.
#[derive(Debug, Serialize)]
struct WholeRow {
    /// The record that it is made of, from 1, counted over all samples.
    record: usize,
    row: Value,
}

/// The two files of one mapping; one at least is there.
type Pair = (Option<MappingFile>, Option<MappingFile>);

impl Compared {
    fn is_same(&self) -> bool {
        self.before.is_some()
            && self.after.is_some()
            && self.columns.is_empty()
            && self.rows_changed + self.rows_added + self.rows_removed == 0
    }
}

/// Compares: exit status 0 if nothing differs, 1 if something does, [`EXIT_USAGE`] if there is nothing to compare.
pub(crate) fn run(args: DiffArgs) -> anyhow::Result<ExitCode> {
    let report = match compare(&args) {
        Ok(report) => report,
        // Faults of the config are printed as such, with the same status.
        Err(error) if error.is::<ConfigFaults>() => return Err(error),
        // Status 1 would say that the two differ.
        Err(error) => {
            print_error(&error);
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    match args.format {
        Format::Text => print!("{}", text::render(&report)),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    let is_same = report.mappings.iter().all(Compared::is_same);
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(args: &DiffArgs) -> anyhow::Result<Report> {
    let config = match &args.config {
        Some(path) => config::load(path)?.mappings,
        None => MappingsConfig::default(),
    };
    let runner = Runner::new(&config, args.lenient)?;
    let mut given = Vec::new();
    for path in &args.samples {
        given.push((path.display().to_string(), records::read(path)?));
    }
    let mut mappings = Vec::new();
    for pair in pairs(&args.before, &args.after)? {
        mappings.push(compare_pair(&pair, &given, &runner)?);
    }
    Ok(Report { mappings })
}

/// Which files are versions of one mapping.
fn pairs(before: &Path, after: &Path) -> anyhow::Result<Vec<Pair>> {
    if before.is_dir() != after.is_dir() {
        let (folder, file) = if before.is_dir() { (before, after) } else { (after, before) };
        anyhow::bail!(
            "`{}` is a folder and `{}` is not; name two files, or two folders",
            folder.display(),
            file.display()
        );
    }
    let files = |path: &Path| -> anyhow::Result<Vec<MappingFile>> {
        if !path.exists()
            && let Some(builtin) = MappingFile::builtin_called(path)
        {
            return Ok(vec![builtin]);
        }
        MappingFile::below(&[path.to_owned()]).with_context(|| format!("nothing to compare in `{}`", path.display()))
    };
    let (files_before, files_after) = (files(before)?, files(after)?);
    if !before.is_dir() {
        return Ok(vec![(files_before.into_iter().next(), files_after.into_iter().next())]);
    }
    let mut pairs: BTreeMap<PathBuf, Pair> = BTreeMap::new();
    let below = |file: &MappingFile, folder: &Path| file.path.strip_prefix(folder).unwrap_or(&file.path).to_owned();
    for file in files_before {
        let pair = pairs.entry(below(&file, before)).or_default();
        pair.0 = Some(file);
    }
    for file in files_after {
        let pair = pairs.entry(below(&file, after)).or_default();
        pair.1 = Some(file);
    }
    Ok(pairs.into_values().collect())
}

fn compare_pair(pair: &Pair, given: &[(String, Vec<u8>)], runner: &Runner) -> anyhow::Result<Compared> {
    let compile = |file: &Option<MappingFile>| -> anyhow::Result<Option<Runnable>> {
        file.as_ref().map(|file| Ok(runner.compile(file.parse()?)?)).transpose()
    };
    let (before, after) = (compile(&pair.0)?, compile(&pair.1)?);
    if let (Some(before), Some(after)) = (&before, &after) {
        anyhow::ensure!(
            before.table() == after.table(),
            "one version reads the raw table `{}`, the other `{}`: no record belongs to both",
            before.table(),
            after.table()
        );
    }
    let name = |file: &Option<MappingFile>| file.as_ref().map(MappingFile::name);
    let mut compared = Compared { before: name(&pair.0), after: name(&pair.1), ..Compared::default() };
    let samples = match given {
        [] => samples_beside(pair)?,
        given => given.to_vec(),
    };
    let output = |runnable: &Option<Runnable>| runnable.as_ref().map(|it| it.output().to_vec()).unwrap_or_default();
    let mut columns = compared_columns(&output(&before), &output(&after));
    for (name, bytes) in samples {
        let rows = |runnable: &Option<Runnable>| match runnable {
            Some(runnable) => runnable.run(bytes.clone(), OtherTables::Skip).with_context(|| format!("`{name}`")),
            None => Ok(Vec::new()),
        };
        compare_rows(&rows(&before)?, &rows(&after)?, &mut compared, &mut columns);
        compared.samples.push(name);
    }
    anyhow::ensure!(
        compared.records > 0,
        "there is no record of `{}` in {}",
        before.as_ref().or(after.as_ref()).map_or("", Runnable::table),
        compared.samples.join(", ")
    );
    let differs = |column: &ComparedColumn| column.rows > 0 || column.type_before != column.type_after;
    compared.columns = columns.into_values().filter(differs).collect();
    Ok(compared)
}

/// The samples beside the version before, else those beside the one after.
fn samples_beside(pair: &Pair) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut missing = Vec::new();
    for file in [&pair.0, &pair.1].into_iter().flatten() {
        let samples = file.beside("samples")?;
        match samples.bytes {
            Some(bytes) => return Ok(vec![(samples.path.display().to_string(), bytes)]),
            None => missing.push(format!("`{}`", samples.path.display())),
        }
    }
    anyhow::bail!("there are no samples at {}; name a file with raw records: `--sample FILE`", missing.join(" or "))
}

/// The columns of both versions, those of the one before first.
fn compared_columns(before: &[Column], after: &[Column]) -> IndexMap<String, ComparedColumn> {
    let mut columns = IndexMap::new();
    let ty = |columns: &[Column], name: &str| {
        columns.iter().find(|column| *column.name == *name).map(|column| column.ty.name())
    };
    for column in before.iter().chain(after) {
        let name = column.name.to_string();
        columns.entry(name.clone()).or_insert_with(|| ComparedColumn {
            type_before: ty(before, &name),
            type_after: ty(after, &name),
            name,
            rows: 0,
            example: None,
        });
    }
    columns
}

/// Compares what the two versions make of each record.
fn compare_rows(
    before: &[Vec<Value>],
    after: &[Vec<Value>],
    compared: &mut Compared,
    columns: &mut IndexMap<String, ComparedColumn>,
) {
    let none = Vec::new();
    for at in 0..before.len().max(after.len()) {
        let (before, after) = (before.get(at).unwrap_or(&none), after.get(at).unwrap_or(&none));
        compared.records += 1;
        compared.rows_before += before.len();
        compared.rows_after += after.len();
        let record = compared.records;
        for difference in differences(after, before) {
            match (difference.expected, difference.made) {
                (None, Some(row)) => {
                    compared.rows_added += 1;
                    compared.added_row.get_or_insert_with(|| WholeRow { record, row: after[row].clone() });
                }
                (Some(row), None) => {
                    compared.rows_removed += 1;
                    compared.removed_row.get_or_insert_with(|| WholeRow { record, row: before[row].clone() });
                }
                _ => {
                    compared.rows_changed += 1;
                    let mut last = None;
                    for value in difference.values {
                        let column = columns.entry(value.column.clone()).or_insert_with(|| ComparedColumn {
                            // What the rows have beside their columns: the table that they go to.
                            name: value.column.clone(),
                            type_before: Some("string"),
                            type_after: Some("string"),
                            rows: 0,
                            example: None,
                        });
                        // Values of one column stand together, however many of its members differ.
                        column.rows += usize::from(last.as_ref() != Some(&value.column));
                        column.example.get_or_insert_with(|| Example {
                            record,
                            members: value.members,
                            before: value.expected,
                            after: value.made,
                        });
                        last = Some(value.column);
                    }
                }
            }
        }
    }
}
