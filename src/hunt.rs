//! `weir hunt`: KQL over the tables of a lake.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use weir_contract::units::ByteSize;
use weir_hunt::{Hunter, Settings, Table};
use weir_kql::plan::{BoundQuery, Plan};
use weir_kql::{Catalog, Severity};
use weir_normalize::{asim, unifying};
use weir_sink::lake::config::LakeConfig;
use weir_sink::lake::read::Lake;
use weir_sink::lake::{DATE_COLUMN, TIME_COLUMN};

use crate::rows::{self, RowsFormat};
use crate::terminal::EXIT_USAGE;
use crate::{config, run};

/// Arguments of `weir hunt`.
#[derive(Debug, Args)]
pub(crate) struct HuntArgs {
    #[command(flatten)]
    query: QueryArgs,
    /// The lake: a path or URL, as `lake.url` of a config has it.
    #[arg(long, value_name = "URL", required_unless_present = "config", conflicts_with = "config")]
    lake: Option<String>,
    /// A config file whose lake is queried, with its credentials.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Where a query is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct QueryArgs {
    /// The query; `-` reads it from standard input.
    #[arg(value_name = "KQL")]
    query: Option<String>,
    /// Read the query from a file.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What a query may use, and what is printed of it.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// How to print the rows [default: a table on a terminal, else JSON].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<RowsFormat>,
    /// Most memory for sorts, groups and joins; sorts and groups go to disk beyond it.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub(crate) memory: ByteSize,
    /// Print at most this many rows.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<usize>,
}

/// A query's text, and what its messages call it.
pub(crate) struct QueryText {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl QueryText {
    /// Reads `path`; `-` is standard input.
    pub(crate) fn of_file(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the query from standard input")?;
            return Ok(Self { name: "standard input".to_owned(), text });
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(Self { name: path.display().to_string(), text })
    }

    /// A query from the command line.
    pub(crate) fn of_text(text: String) -> Self {
        Self { name: "query".to_owned(), text }
    }
}

/// Runs the command.
pub(crate) fn run(args: HuntArgs) -> anyhow::Result<ExitCode> {
    let query = match (&args.query.query, &args.query.file) {
        (Some(text), _) if text == "-" => QueryText::of_file(Path::new("-"))?,
        (Some(text), _) => QueryText::of_text(text.clone()),
        (None, Some(path)) => QueryText::of_file(path)?,
        (None, None) => bail!("no query was given; write one behind the command, or name a file with `--file`"),
    };
    let lake = match (&args.lake, &args.config) {
        (Some(url), _) => LakeConfig::at(url.clone()),
        (None, Some(path)) => match config::load(path)?.lake {
            Some(lake) => lake,
            None => bail!("`{}` has no `lake:`; name the lake with `--lake`", path.display()),
        },
        (None, None) => bail!("no lake was given; name it with `--lake`, or a config file with `--config`"),
    };
    run::block_on(async {
        let mut hunter = hunter(&args.limits)?;
        register_lake(&mut hunter, &lake).await?;
        execute(&hunter, &query, &catalog(), &args.limits).await
    })
}

/// An engine without tables.
pub(crate) fn hunter(limits: &LimitArgs) -> anyhow::Result<Hunter> {
    Ok(Hunter::new(Settings { memory_bytes: limits.memory.as_usize(), ..Settings::default() })?)
}

/// The stored functions of a workspace: ASIM's unifying functions.
fn catalog() -> Arc<Catalog> {
    let mut catalog = Catalog::default();
    for (name, text) in unifying::functions() {
        catalog.add_function(&name, &text).expect("a test parses every unifying function");
    }
    Arc::new(catalog)
}

/// All tables of a lake; ASIM tables that it lacks are empty, and have all their columns.
pub(crate) async fn register_lake(hunter: &mut Hunter, config: &LakeConfig) -> anyhow::Result<()> {
    let lake = Lake::open(config)?;
    let names = lake.tables().await?;
    if names.is_empty() {
        bail!("there are no tables at `{}`; name the directory that holds the lake's tables", config.url);
    }
    for name in &names {
        let Some(table) = lake.queryable(name).await? else { continue };
        let mut schema = table.schema;
        let native = asim::table(name).into_iter().flat_map(|native| &native.schema.columns);
        for column in native {
            if schema.column(&column.name).is_none() {
                schema.columns.push(column.clone());
            }
        }
        hunter.register(Table::new(schema, table.provider).partitioned_by_day(TIME_COLUMN, DATE_COLUMN));
    }
    let known = asim::tables().chain(asim::custom_tables());
    for lacking in known.filter(|table| !names.iter().any(|name| **name == *table.schema.name)) {
        hunter.register(Table::of_rows(lacking.schema.clone(), Vec::new())?);
    }
    Ok(())
}

/// Binds and runs a query, and prints its rows. What is wrong with the query goes to standard error, with its place.
pub(crate) async fn execute(
    hunter: &Hunter,
    query: &QueryText,
    catalog: &Arc<Catalog>,
    limits: &LimitArgs,
) -> anyhow::Result<ExitCode> {
    let now = chrono::Utc::now().timestamp_micros();
    let bound = match hunter.compile(&query.text, catalog, now).await {
        Ok(bound) => bound,
        Err(diagnostics) => {
            diagnostics.iter().for_each(|found| eprint!("{}", found.render(&query.name, &query.text, 1)));
            let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
            eprintln!("{errors} {} in the query", if errors == 1 { "error" } else { "errors" });
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    bound.warnings.iter().for_each(|warning| eprint!("{}", warning.render(&query.name, &query.text, 1)));
    let bound = match limits.limit {
        Some(rows) => BoundQuery { plan: Arc::new(Plan::Limit { input: bound.plan, rows }), ..bound },
        None => bound,
    };
    rows::print(hunter.run(&bound).await?, limits.format).await?;
    Ok(ExitCode::SUCCESS)
}
