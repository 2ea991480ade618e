//! `weir kql fmt`: the one layout.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::find;
use super::queries::{Place, QueryFile};
use super::report::Finding;

/// Arguments of `weir kql fmt`.
#[derive(Debug, Args)]
pub(crate) struct FmtArgs {
    /// Files with a query or a stored function, YAML files with queries in block scalars (`key: |`), or folders of such;
    /// `-` formats standard input to standard output.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; list the files that would change, and exit with 1 if there are any.
    #[arg(long)]
    check: bool,
    /// What messages call standard input; its ending tells YAML from KQL.
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    stdin_name: String,
}

/// Formats every file. A file with a syntax error stays as it is.
pub(crate) fn run(args: &FmtArgs) -> anyhow::Result<ExitCode> {
    let mut is_clean = true;
    for found in find::files(&args.files)? {
        let formatted = match QueryFile::read(&found, &args.stdin_name) {
            Ok(Some(file)) => format(&file).map(|text| (file, text)),
            Ok(None) => continue,
            Err(finding) => Err(vec![*finding]),
        };
        let (file, text) = match formatted {
            Ok(formatted) => formatted,
            Err(findings) => {
                findings.iter().for_each(|finding| eprintln!("{}", finding.rendered));
                is_clean = false;
                continue;
            }
        };
        for query in &file.queries {
            let key = query.key.as_deref().unwrap_or_default();
            let why = match query.place {
                Place::Whole | Place::Block { .. } => continue,
                Place::Changed { .. } => format!("no block scalar (`{key}: |`)"),
                Place::Json { .. } => "a JSON string, which has no lines of its own".to_owned(),
            };
            let line = file.finding(query, &weir_kql::Diagnostic::error(0..0, "")).line;
            eprintln!("warning: {}:{line}: `{key}` is {why}; it stays as it is", file.name);
        }
        if args.check {
            if text != file.text {
                println!("{}", file.name);
                is_clean = false;
            }
        } else if found.path.as_os_str() == "-" {
            std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written")?;
        } else if text != file.text {
            std::fs::write(&found.path, text).with_context(|| format!("`{}` cannot be written", file.name))?;
        }
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The file's text with its queries formatted, all else untouched.
fn format(file: &QueryFile) -> Result<String, Vec<Finding>> {
    let mut text = file.text.clone();
    let mut findings = Vec::new();
    // From the end, so that places further up stay true.
    for query in file.queries.iter().rev() {
        let formatted = match weir_kql::format(&query.text) {
            Ok(formatted) => formatted,
            Err(errors) => {
                findings.splice(0..0, errors.iter().map(|error| file.finding(query, error)));
                continue;
            }
        };
        match &query.place {
            Place::Whole => text = formatted,
            Place::Block { bytes, indent } => {
                let before = &file.text[bytes.clone()];
                text.replace_range(bytes.clone(), &indented(&formatted, *indent, before));
            }
            Place::Changed { .. } | Place::Json { .. } => {}
        }
    }
    if findings.is_empty() { Ok(text) } else { Err(findings) }
}

/// The lines of a block scalar, with the line ends that the block has.
fn indented(text: &str, indent: usize, before: &str) -> String {
    let line_end = if before.contains("\r\n") { "\r\n" } else { "\n" };
    let blanks = " ".repeat(indent);
    let lines: Vec<String> =
        text.lines().map(|line| if line.is_empty() { String::new() } else { format!("{blanks}{line}") }).collect();
    let last = if before.ends_with('\n') { line_end } else { "" };
    lines.join(line_end) + last
}
