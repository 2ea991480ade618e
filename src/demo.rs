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

/// Starts the stand-in with rules for the native tables, and writes a config that sends to it.
async fn start_workspace(folder: &Path) -> anyhow::Result<(StandIn, PathBuf)> {
    let settings = StandInConfig::default();
    let (tenant, client, secret) =
        (settings.tenant.clone(), settings.client_id.clone(), settings.client_secret.clone());
    let workspace = StandIn::start(settings).await.context("cannot start the stand-in workspace")?;
    let secret_file = folder.join("stand-in-secret");
    fs::write(&secret_file, secret)?;
    let mut rules = String::new();
    for rule in stand_in::native_rules() {
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
    let lake = summary.sinks.get("lake");
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
    let mut totals = (0, 0, 0, 0, 0.0, 0.0);
    for (name, events) in events_per_target(summary) {
        let written = lake.and_then(|tables| tables.get(&name));
        let (rows, parquet) = written.map_or((0, 0), |written| (written.rows, written.bytes));
        let billed = summary.billed_bytes.get(&name).copied().unwrap_or(0);
        let per_day = billed as f64 / days;
        let analytics = prices.dollars_per_month(Tier::Analytics, per_day);
        let lake_tier = prices.dollars_per_month(Tier::Lake, per_day);
        totals = (
            totals.0 + events,
            totals.1 + rows,
            totals.2 + parquet,
            totals.3 + billed,
            totals.4 + analytics,
            totals.5 + lake_tier,
        );
        table.row([
            name,
            count(events),
            count(rows),
            "0".to_owned(),
            bytes(parquet),
            if billed > 0 { bytes(billed) } else { "-".to_owned() },
            dollars(analytics),
            dollars(lake_tier),
        ]);
    }
    let refused: u64 = summary.dead_letters.values().sum();
    table.row([
        "total".to_owned(),
        count(totals.0),
        count(totals.1),
        count(refused),
        bytes(totals.2),
        bytes(totals.3),
        dollars(totals.4),
        dollars(totals.5),
    ]);
    Ok(format!(
        "{}\nThe events cover {} minutes; a month at that rate, at list prices of {} ({}), before grants and \
         commitment tiers.\nBilled bytes follow Microsoft's published rule; this is an estimate, not an invoice.\n",
        table.render(),
        span.num_minutes(),
        prices.region,
        prices.as_of,
    ))
}

/// Raw events per table that they ended in: the mapping's target, or their own raw table.
fn events_per_target(summary: &Summary) -> BTreeMap<String, u64> {
    let mut events = BTreeMap::new();
    for (table, raw) in &summary.raw_tables {
        for mapping in raw.mappings.values() {
            *events.entry(mapping.target.clone()).or_default() += mapping.claimed;
        }
        if raw.passed_through > 0 {
            *events.entry(table.clone()).or_default() += raw.passed_through;
        }
    }
    events
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
