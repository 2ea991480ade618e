//! `weir asim import`: parsers, queries and transformations made mapping files of.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use weir_ingest::schema::RawTables;
use weir_normalize::import::{self, Imported, Options, Severity};

use crate::assembly::load_catalog;

/// Arguments of `weir asim import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Parsers (`.yaml`), queries (`.kql`), data collection rules or templates with such (`.json`).
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The raw table that the query reads, in place of what the file tells.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The columns of the raw table, if Weir does not know it: CSV with name,type, or JSON.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The table that the rows belong to, in place of what the file tells, such as `ASimDnsActivityLogs`.
    #[arg(long, value_name = "TABLE")]
    target: Option<String>,
    /// Let parsers pack what has no column of its own into `AdditionalFields` (their parameter `pack`).
    #[arg(long)]
    pack: bool,
    /// The folder that the mappings are written to; list it under `mappings.directories`.
    #[arg(long, value_name = "DIR", default_value = "mappings")]
    out: PathBuf,
    /// Overwrite mapping files that are there.
    #[arg(long)]
    force: bool,
    /// A config file, for the functions and watchlists under its `mappings:`.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ReportFormat,
}

/// How an import is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// One mapping, or the reason why there is none.
struct Entry {
    file: String,
    imported: Imported,
    /// Where its file was written.
    path: Option<PathBuf>,
    /// Why the whole file could not be read, or the mapping not be written.
    fault: Option<String>,
}

/// Imports every file, writes the mappings and reports; the status is 1 if anything was not imported.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let catalog = load_catalog(args.config.as_deref())?;
    let columns = match &args.schema {
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            import::read_columns(path, &text).map_err(anyhow::Error::msg)?
        }
        None => Vec::new(),
    };
    let options = Options { table: args.table.clone(), target: args.target.clone(), columns, pack: args.pack };
    let raw_tables = RawTables::builtin();
    let mut entries = Vec::new();
    for path in &args.files {
        let contents = fs::read_to_string(path)
            .map_err(|cause| format!("{}: cannot be read: {cause}", path.display()))
            .and_then(|text| import::read(path, &text).map_err(|error| error.to_string()));
        match contents {
            Ok(contents) => {
                for content in contents {
                    let made = import::import(&content, &options, &|table| raw_tables.schema(table).cloned(), &catalog);
                    entries.extend(made.into_iter().map(|imported| written(path, imported, args)));
                }
            }
            Err(fault) => entries.push(Entry {
                file: path.display().to_string(),
                imported: Imported {
                    name: String::new(),
                    table: String::new(),
                    target: String::new(),
                    yaml: None,
                    findings: Vec::new(),
                },
                path: None,
                fault: Some(fault),
            }),
        }
    }
    match args.format {
        ReportFormat::Text => print!("{}", to_text(&entries)),
        ReportFormat::Json => println!("{}", to_json(&entries)),
    }
    let all = entries.iter().all(|entry| entry.path.is_some());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes a mapping's file; one that is there stays, unless it is to be overwritten.
fn written(from: &Path, imported: Imported, args: &ImportArgs) -> Entry {
    let file = from.display().to_string();
    let Some(yaml) = &imported.yaml else { return Entry { file, imported, path: None, fault: None } };
    // A name comes from a file; it must not lead out of the folder.
    let stem: String =
        imported.name.chars().map(|c| if c.is_alphanumeric() || "_-.".contains(c) { c } else { '_' }).collect();
    let path = args.out.join(format!("{}.yaml", stem.trim_start_matches('.')));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&args.out)?;
        let mut open = OpenOptions::new();
        open.write(true);
        if args.force {
            open.create(true).truncate(true)
        } else {
            open.create_new(true)
        };
        open.open(&path)?.write_all(yaml.as_bytes())
    };
    match write() {
        Ok(()) => Entry { file, imported, path: Some(path), fault: None },
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let fault = format!(
                "`{}` is there already; overwrite it with `--force`, or choose another `--out`",
                path.display()
            );
            Entry { file, imported, path: None, fault: Some(fault) }
        }
        Err(error) => {
            let fault = format!("cannot write `{}`: {error}", path.display());
            Entry { file, imported, path: None, fault: Some(fault) }
        }
    }
}

fn to_text(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut file = "";
    for entry in entries {
        if file != entry.file {
            file = &entry.file;
            let _ = writeln!(text, "{file}");
        }
        let Imported { name, table, target, findings, .. } = &entry.imported;
        match (&entry.path, name.is_empty()) {
            (Some(path), _) => {
                let _ = writeln!(text, "  {name}: {table} → {target}, written to {}", path.display());
            }
            (None, true) => {}
            (None, false) => {
                let _ = writeln!(text, "  {name}: not imported");
            }
        }
        if let Some(fault) = &entry.fault {
            let _ = writeln!(text, "    error: {fault}");
        }
        for finding in findings {
            let line = finding.line.map(|line| format!("{}:{line}: ", entry.file)).unwrap_or_default();
            // A compiler's message says its place and its weight itself.
            let message = match finding.message.split_once('\n') {
                Some(_) => finding.message.clone(),
                None => format!("{}: {line}{}", finding.severity.name(), finding.message),
            };
            for line in message.lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    let good = entries.iter().filter(|entry| entry.path.is_some()).count();
    let _ = writeln!(text, "{good} imported, {} not", entries.len() - good);
    text
}

fn to_json(entries: &[Entry]) -> Value {
    let mappings = entries.iter().map(|entry| {
        let mut findings: Vec<Value> = entry
            .imported
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "severity": finding.severity.name(),
                    "kind": finding.kind.name(),
                    "line": finding.line,
                    "subject": finding.subject,
                    "message": finding.message,
                })
            })
            .collect();
        if let Some(fault) = &entry.fault {
            let severity = Severity::Error.name();
            findings.insert(
                0,
                json!({"severity": severity, "kind": "file", "line": null, "subject": "", "message": fault}),
            );
        }
        json!({
            "file": entry.file,
            "name": entry.imported.name,
            "table": entry.imported.table,
            "target": entry.imported.target,
            "mapping": entry.path,
            "findings": findings,
        })
    });
    let imported = entries.iter().filter(|entry| entry.path.is_some()).count();
    json!({"imported": imported, "failed": entries.len() - imported, "mappings": mappings.collect::<Vec<_>>()})
}
