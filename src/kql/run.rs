//! `weir kql run`: a query over files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use weir_hunt::Table;
use weir_kql::Catalog;

use super::files;
use crate::hunt::{self, LimitArgs, QueryText};
use crate::run as process;

/// Arguments of `weir kql run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The file with the query; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "query", conflicts_with = "query")]
    file: Option<PathBuf>,
    /// The query itself.
    #[arg(short = 'e', long = "query", value_name = "KQL")]
    query: Option<String>,
    /// A table and the file with its rows: `.csv` (with a header line), `.json`, `.jsonl` or `.parquet`. May be given
    /// several times.
    #[arg(short, long = "table", value_name = "NAME=FILE")]
    tables: Vec<TableFile>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// `NAME=FILE`
#[derive(Debug, Clone)]
struct TableFile {
    name: String,
    path: PathBuf,
}

impl FromStr for TableFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: path.into() })
            }
            _ => Err("write `NAME=FILE`, such as `Events=events.csv`".to_owned()),
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let query = match (&args.query, &args.file) {
        (Some(text), _) => QueryText::of_text(text.clone()),
        (None, Some(path)) => QueryText::of_file(path)?,
        (None, None) => bail!("no query was given; name a file, or write the query behind `-e`"),
    };
    process::block_on(async {
        let mut hunter = hunt::hunter(&args.limits)?;
        for TableFile { name, path } in &args.tables {
            let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
            let text = || std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()));
            let in_file = || format!("cannot read `{}` as the table `{name}`", path.display());
            let table = match extension.as_deref() {
                Some("csv") => files::of_csv(name, &text()?).with_context(in_file)?,
                Some("json" | "jsonl" | "ndjson") => files::of_json(name, &text()?).with_context(in_file)?,
                Some("parquet") => Table::of_parquet(name, path).await?,
                _ => bail!("`{}` is no `.csv`, `.json`, `.jsonl` or `.parquet` file", path.display()),
            };
            hunter.register(table);
        }
        hunt::execute(&hunter, &query, &Arc::new(Catalog::default()), &args.limits).await
    })
}
