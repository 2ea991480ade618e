//! `weir demo`: the main job on this machine alone, with nothing set up before.
//!
//! Generates events in the streaming envelope, starts the stand-in workspace, runs the pipeline into a local lake and
//! the stand-in with a config that it leaves behind, and sums up what it would cost.

mod generator;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use tokio_util::sync::CancellationToken;
use weir_sink::billing::prices::{Prices, Tier};
use weir_stand_in::{StandIn, StandInConfig};

use crate::config::Config;
use crate::demo::generator::Generator;
use crate::summary::{Summary, Table, bytes, count};
use crate::{run, shutdown, stand_in};

/// Marks a folder that the demo made and may clear.
const MARKER: &str = ".weir-demo";
/// Defender records per generated file.
const RECORDS_PER_FILE: u64 = 100_000;
/// One record in so many is damaged on purpose, so that there are dead letters to see.
const BAD_RECORD_EVERY: u64 = 20_000;

/// Arguments of `weir demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Defender events to generate; a twentieth of that many CloudTrail events comes on top.
    #[arg(long, default_value_t = 300_000, value_name = "N")]
    events: u64,
    /// The folder for events, config and lake; what an earlier demo left there is removed.
    #[arg(long, default_value = "weir-demo", value_name = "DIR")]
    directory: PathBuf,
    /// The seed of the generator: the same seed makes the same events.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Keep the stand-in workspace running at the end, to look at it.
    #[arg(long)]
    serve: bool,
}

/// Runs the demo.
pub(crate) fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = prepare_folder(&args.directory)?;
    eprintln!("generating {} events into {}", count(args.events), folder.join("events").display());
    let span = generate(&folder.join("events"), args.events, args.seed)?;

    run::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        shutdown::on_signal(stop.clone())?;
        let (workspace, config_path) = start_workspace(&folder).await?;
        let config = crate::config::load(&config_path)?;
        let summary = run::execute(&config, true, stop.clone(), Ok).await?;
        println!("\n{}", summary.to_text());
        println!("{}", cost_table(&summary, span)?);
        println!("{}", whereabouts(&folder, &config, &workspace, args.serve));
        if args.serve {
            eprintln!("the stand-in runs until Ctrl-C");
            stop.cancelled().await;
        }
        workspace.shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Clears what an earlier demo left; refuses a folder that holds anything else.
fn prepare_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    let shown = folder.display();
    if folder.join(MARKER).exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear `{shown}`"))?;
    } else if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("`{shown}` holds files that no demo made; name another folder with `--directory`");
    }
    fs::create_dir_all(folder.join("events")).with_context(|| format!("cannot create `{shown}`"))?;
    fs::write(folder.join(MARKER), "made by `weir demo`, which clears this folder at its next start\n")?;
    folder.canonicalize().with_context(|| format!("cannot find `{shown}`"))
}

/// Writes the events; returns the span of time that they cover.
fn generate(folder: &Path, events: u64, seed: u64) -> anyhow::Result<TimeDelta> {
    let start = working_morning(Utc::now());
    let mut generator = Generator::new(seed, start).with_bad_records(BAD_RECORD_EVERY);
    let mut left = events;
    for number in 0.. {
        if left == 0 {
            break;
        }
        let records = left.min(RECORDS_PER_FILE);
        let path = folder.join(format!("defender-{number:03}.json"));
        let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
        let mut out = BufWriter::new(file);
        generator.write_defender(&mut out, records)?;
        out.flush()?;
        left -= records;
    }
    let span = generator.now() - start;
    generator.write_cloudtrail_files(&folder.join("cloudtrail"), events / 20)?;
    Ok(span)
}

/// The last 07:00 UTC that is at least four hours ago: a working day's events that are over, and recent enough that the
/// workspace does not re-stamp them (it does so after two days).
fn working_morning(now: DateTime<Utc>) -> DateTime<Utc> {
    let hour = TimeDelta::hours(1);
    let latest = now - hour * 4;
    let seven = latest.date_naive().and_hms_opt(7, 0, 0).expect("07:00 is a time of day").and_utc();
    if seven <= latest { seven } else { seven - hour * 24 }
}

/// Starts the stand-in with rules for the ASIM tables, and writes a config that sends to it.
async fn start_workspace(folder: &Path) -> anyhow::Result<(StandIn, PathBuf)> {
    let settings = StandInConfig::default();
    let (tenant, client, secret) =
        (settings.tenant.clone(), settings.client_id.clone(), settings.client_secret.clone());
    let workspace = StandIn::start(settings).await.context("cannot start the stand-in workspace")?;
    let secret_file = folder.join("stand-in-secret");
    fs::write(&secret_file, secret)?;
    let mut rules = String::new();
    for rule in stand_in::asim_rules() {
        for loaded in workspace.state().add_rule(&rule)? {
            let id = loaded.immutable_id;
            let definition = folder.join(format!("{id}.json"));
            fs::write(&definition, serde_json::to_vec_pretty(&rule)?)?;
            rules.push_str(&format!("    - id: {id}\n      definition: {}\n", quoted(&definition)));
        }
    }
    let url = workspace.url();
    let config = format!(
        "# Written by `weir demo`. Run it again, with the stand-in up: weir run -c weir.yaml --once\n\
         sources:\n\
         \x20 - name: demo\n\
         \x20   files:\n\
         \x20     paths: [{events}]\n\
         \x20     remember: false\n\
         lake:\n\
         \x20 url: {lake}\n\
         sentinel:\n\
         \x20 endpoint: {url}\n\
         \x20 rules:\n{rules}\
         \x20 credential:\n\
         \x20   client_secret:\n\
         \x20     tenant_id: {tenant}\n\
         \x20     client_id: {client}\n\
         \x20     secret: {{file: {secret}}}\n\
         \x20     authority: {url}\n",
        events = quoted(&folder.join("events")),
        lake = quoted(&folder.join("lake")),
        secret = quoted(&secret_file),
    );
    let path = folder.join("weir.yaml");
    fs::write(&path, config)?;
    Ok((workspace, path))
}

/// A path as a YAML (and JSON) string.
fn quoted(path: &Path) -> String {
    serde_json::Value::String(path.display().to_string()).to_string()
}

/// What the run's rows would cost a month at the rate of the generated events.
fn cost_table(summary: &Summary, span: TimeDelta) -> anyhow::Result<String> {
    let prices = Prices::embedded();
    let days = span.num_milliseconds().max(1) as f64 / 1000.0 / 86_400.0;
    let mut table = Table::new(&[
        "table",
        "events",
        "rows",
        "dead letters",
        "Parquet",
        "billed",
        "$/month analytics",
        "$/month lake tier",
    ]);
    let mut total = CostRow::default();
    for (name, row) in cost_rows(summary, days, &prices) {
        table.row(row.cells(&name));
        total.add(&row);
    }
    table.row(total.cells("total"));
    Ok(format!(
        "{}\nThe events cover {} minutes; a month at that rate, at list prices of {} ({}), before grants and \
         commitment tiers.\nBilled bytes follow Microsoft's published rule; this is an estimate, not an invoice.\n",
        table.render(),
        span.num_minutes(),
        prices.region,
        prices.as_of,
    ))
}

/// One table of the cost table.
#[derive(Debug, Default)]
struct CostRow {
    events: u64,
    rows: u64,
    dead_letters: u64,
    parquet_bytes: u64,
    billed_bytes: u64,
    analytics: f64,
    lake_tier: f64,
}

impl CostRow {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.rows += other.rows;
        self.dead_letters += other.dead_letters;
        self.parquet_bytes += other.parquet_bytes;
        self.billed_bytes += other.billed_bytes;
        self.analytics += other.analytics;
        self.lake_tier += other.lake_tier;
    }

    fn cells(&self, name: &str) -> [String; 8] {
        // Rows that stay in the lake are not sent, so they have no price.
        let or_dash = |text: String| if self.billed_bytes > 0 { text } else { "-".to_owned() };
        [
            name.to_owned(),
            count(self.events),
            count(self.rows),
            count(self.dead_letters),
            bytes(self.parquet_bytes),
            or_dash(bytes(self.billed_bytes)),
            or_dash(dollars(self.analytics)),
            or_dash(dollars(self.lake_tier)),
        ]
    }
}

/// What each table got: events by the table that they ended in (the mapping's target, or their own raw table), rows
/// and bytes by the lake, dead letters of the decoder and of the workspace, and the price of the rows at that rate.
fn cost_rows(summary: &Summary, days: f64, prices: &Prices) -> BTreeMap<String, CostRow> {
    let mut rows: BTreeMap<String, CostRow> = BTreeMap::new();
    for (table, raw) in &summary.raw_tables {
        for mapping in raw.mappings.values() {
            rows.entry(mapping.target.clone()).or_default().events += mapping.claimed;
        }
        if raw.passed_through > 0 {
            rows.entry(table.clone()).or_default().events += raw.passed_through;
        }
    }
    for (table, letters) in &summary.dead_letters_by_table {
        rows.entry(table.clone()).or_default().dead_letters += letters;
    }
    for (name, row) in &mut rows {
        if let Some(written) = summary.sinks.get("lake").and_then(|tables| tables.get(name)) {
            row.rows = written.rows;
            row.parquet_bytes = written.bytes;
        }
        row.dead_letters +=
            summary.sinks.values().filter_map(|tables| tables.get(name)).map(|t| t.refused).sum::<u64>();
        row.billed_bytes = summary.billed_bytes.get(name).copied().unwrap_or(0);
        let per_day = row.billed_bytes as f64 / days;
        row.analytics = prices.dollars_per_month(Tier::Analytics, per_day);
        row.lake_tier = prices.dollars_per_month(Tier::Lake, per_day);
    }
    rows
}

fn dollars(amount: f64) -> String {
    if amount >= 100.0 { format!("${}", count(amount.round() as u64)) } else { format!("${amount:.2}") }
}

fn whereabouts(folder: &Path, config: &Config, workspace: &StandIn, serve: bool) -> String {
    let lake = config.lake.as_ref().map_or("", |lake| lake.url.as_str());
    let mut text = format!(
        "Look at\n  events  {}\n  config  {}\n  lake    {lake} (one Delta table per folder)\n",
        folder.join("events").display(),
        folder.join("weir.yaml").display(),
    );
    if serve {
        text.push_str(&format!("  stand-in workspace  {}\n", workspace.url()));
    } else {
        text.push_str("  `weir demo --serve` keeps the stand-in workspace up and prints its URL\n");
    }
    text
}
