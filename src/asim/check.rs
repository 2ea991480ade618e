//! `weir asim check`: holds rows of files, of the lake or of a stand-in workspace against the ASIM schemas.
//!
//! Exit status: 0 without errors, 1 with errors among the findings, 64 for a wrong command line or config.

mod files;
mod tables;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::record_batch::RecordBatch;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use url::Url;
use weir_normalize::check::rows::{Selection, Sorted, retype};
use weir_normalize::check::{Checker, Mode, Numbers, Origin, Report, Severity, Target};
use weir_sink::lake::config::LakeConfig;

use crate::terminal::EXIT_USAGE;
use crate::{config, run};

/// Rows that are checked together.
const BATCH_ROWS: usize = 8192;

/// Arguments of `weir asim check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A file or folder of JSON lines, JSON arrays, CSV or Parquet; a table of a lake, or a lake; `lake`: the one of the
    /// config; `stand-in`: the local workspace at `--url`. (Write `./lake` for a file of that name.)
    #[arg(value_name = "PATH|lake|stand-in")]
    source: String,
    /// Check only rows of this schema, such as `ProcessEvent`; rows that tell no table are taken for the output of a
    /// parser of it. Without it, rows tell their schema by `table` or `Type`, by `EventSchema`, or by the file's name.
    #[arg(long, value_name = "SCHEMA")]
    schema: Option<String>,
    /// How to print the findings.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ReportFormat,
    /// Report what Microsoft's schema and data testers would, and nothing else.
    #[arg(long)]
    official: bool,
    /// The config file whose lake is checked.
    #[arg(short, long, value_name = "FILE", default_value = "weir.yaml")]
    config: PathBuf,
    /// Where the stand-in is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7080")]
    url: String,
}

/// A format of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// Runs the check.
pub(crate) fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    match run::block_on(check(&args)) {
        Ok(report) => {
            let text = match args.format {
                ReportFormat::Text => report.to_text(),
                ReportFormat::Json => format!("{}\n", serde_json::to_string_pretty(&report.to_json())?),
            };
            match std::io::stdout().write_all(text.as_bytes()) {
                // A reader such as `head` may want no more.
                Err(cause) if cause.kind() != ErrorKind::BrokenPipe => return Err(cause.into()),
                _ => {}
            }
            let has_errors = report.count(Severity::Error) > 0;
            Ok(if has_errors { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Err(error) => match error.downcast::<UsageError>() {
            Ok(fault) => {
                eprintln!("{fault}");
                Ok(ExitCode::from(EXIT_USAGE))
            }
            Err(error) => Err(error),
        },
    }
}

async fn check(args: &CheckArgs) -> anyhow::Result<Report> {
    let schema = match &args.schema {
        None => None,
        Some(name) => Some(Target::of_schema(name).ok_or_else(|| {
            UsageError(format!("there is no ASIM schema `{name}`; `--schema` takes {}", Target::schemas().join(", ")))
        })?),
    };
    let mode = if args.official { Mode::Official } else { Mode::Full };
    let mut rows =
        Rows { selection: Selection::of_schema(schema), checker: Checker::new(mode), left_out: BTreeSet::new() };
    match args.source.as_str() {
        "lake" => {
            let config = config::load(&args.config)?;
            let lake = config.lake.ok_or_else(|| {
                UsageError(format!("`{}` has no `lake:`; give another config with `-c`", args.config.display()))
            })?;
            tables::check_lake(&lake, None, &mut rows).await?;
        }
        "stand-in" => {
            let url = Url::parse(&args.url)
                .map_err(|cause| UsageError(format!("`--url {}` is no URL ({cause})", args.url)))?;
            tables::check_stand_in(&url, &mut rows).await?;
        }
        path => check_path(Path::new(path), &mut rows).await?,
    }
    rows.finish()
}

async fn check_path(path: &Path, rows: &mut Rows) -> anyhow::Result<()> {
    let told = path.display();
    let metadata = std::fs::metadata(path).map_err(|cause| {
        UsageError(format!("`{told}` cannot be read ({cause}); give a file, a folder, `lake` or `stand-in`"))
    })?;
    if metadata.is_file() {
        return files::check_file(path, rows);
    }
    if is_table(path) {
        // A name such as `..` has no file name of its own.
        let whole = path.canonicalize().with_context(|| format!("cannot find `{told}`"))?;
        let (Some(lake), Some(name)) = (whole.parent(), whole.file_name().and_then(|name| name.to_str())) else {
            return Err(UsageError(format!("`{told}` has no name that could be a table's")).into());
        };
        return tables::check_lake(&LakeConfig::at(lake.display().to_string()), Some(name), rows).await;
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot list `{told}`"))?;
    if entries.flatten().any(|entry| is_table(&entry.path())) {
        return tables::check_lake(&LakeConfig::at(path.display().to_string()), None, rows).await;
    }
    files::check_folder(path, rows)
}

/// Whether a folder is a Delta table.
fn is_table(folder: &Path) -> bool {
    folder.join("_delta_log").is_dir()
}

/// Takes rows from wherever they are, and has them checked.
struct Rows {
    selection: Selection,
    checker: Checker,
    /// Tables whose rows are not checked.
    left_out: BTreeSet<String>,
}

impl Rows {
    /// JSON rows with their numbers; `default` is what those belong to that name no table.
    fn json(
        &mut self,
        place: &Arc<str>,
        default: Option<Target>,
        rows: Vec<(u64, Map<String, Value>)>,
    ) -> anyhow::Result<()> {
        let sorted = self.selection_for(default).sort(rows);
        self.sorted(place, sorted)
    }

    /// CSV records with their numbers.
    fn csv(
        &mut self,
        place: &Arc<str>,
        default: Option<Target>,
        header: &[String],
        records: Vec<(u64, Vec<String>)>,
    ) -> anyhow::Result<()> {
        let sorted = self.selection_for(default).sort_csv(header, records);
        self.sorted(place, sorted)
    }

    /// Columns of one target, from row `first` on.
    fn columns(&mut self, place: &Arc<str>, target: &Target, rows: &RecordBatch, first: u64) -> anyhow::Result<()> {
        self.check(place, target, &retype(target, rows), Numbers::From(first))
    }

    fn selection_for(&self, default: Option<Target>) -> Selection {
        default.map_or_else(|| self.selection.clone(), |target| self.selection.with_default(target))
    }

    fn sorted(&mut self, place: &Arc<str>, sorted: Sorted) -> anyhow::Result<()> {
        self.left_out.extend(sorted.left_out.into_keys());
        for batch in sorted.batches {
            self.check(place, &batch.target, &batch.rows, Numbers::Each(&batch.numbers))?;
        }
        Ok(())
    }

    fn check(
        &mut self,
        place: &Arc<str>,
        target: &Target,
        rows: &RecordBatch,
        numbers: Numbers<'_>,
    ) -> anyhow::Result<()> {
        let origin = Origin { place, numbers };
        self.checker.check(target, rows, &origin).with_context(|| format!("cannot check `{place}`"))
    }

    /// All findings.
    fn finish(self) -> anyhow::Result<Report> {
        let left_out: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
        let report = self.checker.finish();
        if report.is_empty() {
            let found = if left_out.is_empty() { "no rows".to_owned() } else { left_out.join(", ") };
            return Err(UsageError(format!(
                "there is nothing to check: found {found}; say with `--schema` which schema the rows have"
            ))
            .into());
        }
        if !left_out.is_empty() {
            tracing::info!("not checked, by their table: {}", left_out.join(", "));
        }
        Ok(report)
    }
}
