//! `weir kql parse`: the syntax alone.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::find;
use super::queries::QueryFile;
use super::report::{Format, Report, plural};

/// Arguments of `weir kql parse`.
#[derive(Debug, Args)]
pub(crate) struct ParseArgs {
    /// Files with a query or a stored function, YAML files with queries, or folders of such; `-` reads standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What messages call standard input; its ending tells YAML from KQL.
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    stdin_name: String,
    /// How to print what was found.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Parses every query of every file.
pub(crate) fn run(args: &ParseArgs) -> anyhow::Result<ExitCode> {
    let mut report: Report<()> = Report { errors: 0, warnings: 0, diagnostics: Vec::new(), outputs: Vec::new() };
    let (mut files, mut queries) = (0, 0);
    for found in find::files(&args.files)? {
        let file = match QueryFile::read(&found, &args.stdin_name) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(finding) => {
                report.add(*finding);
                continue;
            }
        };
        files += 1;
        for query in &file.queries {
            queries += 1;
            for error in weir_kql::syntax_errors(&query.text) {
                report.add(file.finding(query, &error));
            }
        }
    }
    let queries = if queries == 1 { "1 query".to_owned() } else { format!("{queries} queries") };
    report.print(args.format, |report| format!("{}, {queries}: {}\n", plural(files, "file"), report.count()))?;
    Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
