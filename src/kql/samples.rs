//! `weir kql test`: mappings over the samples beside them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use weir_contract::batch::RowKind;
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_ingest::schema::RawTables;
use weir_kql::{Catalog, Mode};
use weir_normalize::library::{Library, LibraryError};
use weir_normalize::mapping::Mapping;
use weir_normalize::metrics::NormalizeMetrics;
use weir_normalize::normalizer::Normalizer;
use weir_normalize::samples;

use super::find;
use super::report::plural;
use crate::assembly::load_catalog;
use crate::records;

/// Arguments of `weir kql test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Mapping files, or folders of such. Beside `X.yaml` stand `samples/X.json` with raw records, and
    /// `expected/X.json` with the rows that they become; one JSON object a line.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Write what the mappings make to the expected files; read the difference before you keep it.
    #[arg(long)]
    update: bool,
    /// An unknown column is empty.
    #[arg(long)]
    lenient: bool,
    /// A config file, for the functions and watchlists under its `mappings:`.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What a mapping makes of its samples.
struct Made {
    /// Records in the samples.
    records: usize,
    rows: Vec<Value>,
}

/// Runs every mapping over its samples.
pub(crate) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let catalog = load_catalog(args.config.as_deref())?;
    let mut mappings = 0;
    let mut failed = 0;
    for found in find::files(&args.files)? {
        let path = &found.path;
        let text = std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        if !found.named && !text.contains("TargetASIMTable") {
            continue;
        }
        mappings += 1;
        let name = path.display();
        match test(path, &text, args, &catalog) {
            Ok(told) => println!("{name}: {told}"),
            Err(fault) => {
                failed += 1;
                eprintln!("{name}: failed\n{}\n", format!("{fault:#}").trim_end());
            }
        }
    }
    anyhow::ensure!(mappings > 0, "there is no mapping file among these files");
    match failed {
        0 => println!("{}: ok", plural(mappings, "mapping")),
        failed => println!("{}: {failed} failed", plural(mappings, "mapping")),
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tests one mapping; tells what was found well.
fn test(path: &Path, text: &str, args: &TestArgs, catalog: &Catalog) -> anyhow::Result<String> {
    let file = path.display().to_string();
    let mapping = Mapping::parse(&file, &file, text)?;
    let samples_path = samples::beside(path, "samples");
    anyhow::ensure!(
        samples_path.exists(),
        "there are no samples; write raw records, one JSON object a line, to `{}`",
        samples_path.display()
    );
    let raw = std::fs::read(&samples_path).with_context(|| format!("`{}` cannot be read", samples_path.display()))?;
    let made = make(mapping, raw, args.lenient, catalog).with_context(|| format!("`{}`", samples_path.display()));
    let made = made.map_err(|error| match error.downcast::<LibraryError>() {
        // The faults of the mapping itself name its file.
        Ok(faults) => anyhow::Error::new(faults),
        Err(error) => error,
    })?;
    let told = format!("{} from {}", plural(made.rows.len(), "row"), plural(made.records, "sample"));
    let expected_path = samples::beside(path, "expected");
    if args.update {
        let folder = expected_path.parent().expect("it stands in the folder `expected`");
        std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        std::fs::write(&expected_path, samples::print_expected(&made.rows))
            .with_context(|| format!("`{}` cannot be written", expected_path.display()))?;
        return Ok(format!("{told}, written to {}", expected_path.display()));
    }
    anyhow::ensure!(expected_path.exists(), "`{}` is not there; `--update` writes it: {told}", expected_path.display());
    let expected = std::fs::read_to_string(&expected_path)
        .with_context(|| format!("`{}` cannot be read", expected_path.display()))?;
    let expected = samples::parse_expected(&expected).with_context(|| format!("`{}`", expected_path.display()))?;
    let differences = samples::differences(&made.rows, &expected);
    if differences.is_empty() {
        return Ok(told);
    }
    let lines: Vec<String> = differences.iter().map(|difference| format!("  {difference}")).collect();
    anyhow::bail!("{}", lines.join("\n"))
}

/// Decodes the samples as a source's records, and runs the mapping over them as the pipeline does.
fn make(mapping: Mapping, raw: Vec<u8>, lenient: bool, catalog: &Catalog) -> anyhow::Result<Made> {
    let tables = Arc::new(RawTables::builtin());
    let table = Arc::clone(&mapping.source_table);
    let mode = if lenient { Mode::Lenient } else { Mode::Strict };
    let library = Library::compile_with(vec![mapping], |name| tables.schema(name).cloned(), mode, catalog)?;
    let budget = MemoryBudget::new(usize::MAX >> 1);
    let decoded = records::decode("samples", raw, Some(&table), tables, &budget);
    if let Some(letter) = decoded.dead_letters.first() {
        anyhow::bail!("a sample is no record that can be read: {}: {}", letter.reason, letter.detail);
    }
    decoded.ack.done();
    let normalizer = Normalizer::new(library, NormalizeMetrics::new(&MetricSet::new()), budget);
    let mut made = Made { records: 0, rows: Vec::new() };
    for batch in decoded.batches {
        if batch.table != table {
            anyhow::bail!("a sample is a record of `{}`, which this mapping does not read", batch.table);
        }
        made.records += batch.rows.num_rows();
        for batch in normalizer.normalize(batch).batches {
            if batch.kind == RowKind::Normalized {
                made.rows.extend(samples::expected_rows(&batch.table, &batch.rows));
            }
            batch.ack.done();
        }
    }
    anyhow::ensure!(made.records > 0, "there is no record in the samples");
    Ok(made)
}
