//! `weir run` and `weir check`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use tokio_util::sync::CancellationToken;
use weir_ingest::schema::RawTables;

use crate::assembly::{Assembly, assemble, load_library};
use crate::cli::{RunArgs, SummaryFormat};
use crate::config::{self, Checked, Config, ConfigFaults, MappingsConfig};
use crate::pipeline;
use crate::server::{self, Readiness};
use crate::summary::Summary;
use crate::{progress, shutdown};

/// Runs the pipeline of a config file until its sources end or a signal comes.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let (mut config, _) = checked(&args.config, true)?;
    if args.listen.is_some() {
        config.metrics.listen = args.listen;
    }
    let summary = runtime()?.block_on(async {
        let stop = CancellationToken::new();
        shutdown::on_signal(stop.clone())?;
        execute(&config, args.once, stop, Ok).await
    })?;
    if args.once || args.summary == SummaryFormat::Json {
        print_summary(&summary, args.summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds, checks and runs a pipeline, and sums up. `adapt` may change the parts before they start.
pub(crate) async fn execute(
    config: &Config,
    once: bool,
    stop: CancellationToken,
    adapt: impl FnOnce(Assembly) -> anyhow::Result<Assembly>,
) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let Assembly { mut pipeline, metrics, process, budget, progress } = adapt(assemble(config, once)?)?;
    let ready = Readiness::default();
    if let Some(listen) = config.metrics.listen {
        server::serve(listen, metrics, process, budget, ready.clone()).await?;
    }
    for (sink, _) in &mut pipeline.sinks {
        sink.check().await.with_context(|| format!("the sink `{}` cannot be used", sink.name()))?;
    }
    tracing::info!(sources = pipeline.sources.len(), once, "running");
    ready.set(true);
    let bar = if once { progress::show(&progress) } else { None };
    let draining = async {
        stop.cancelled().await;
        ready.set(false);
        shutdown::deadline_after(&stop, config.shutdown.deadline.0).await;
    };
    let outcome = tokio::select! {
        outcome = pipeline::run(pipeline, stop.clone()) => outcome?,
        () = draining => {
            let waited = humantime::format_duration(config.shutdown.deadline.0);
            return Err(anyhow!(
                "not everything was durable {waited} after the stop; the rest is read again at the next start \
                 (raise `shutdown.deadline` to wait longer)"
            ));
        }
    };
    drop(bar);
    Ok(Summary::new(outcome.totals, &outcome.sinks, started.elapsed()))
}

/// Checks a config and its mappings; with `connect` also what they name outside.
pub(crate) fn check(path: &Path, connect: bool) -> anyhow::Result<ExitCode> {
    let (config, mappings) = checked(path, connect)?;
    if connect {
        runtime()?.block_on(async {
            let mut assembly = assemble(&config, false)?;
            for (sink, _) in &mut assembly.pipeline.sinks {
                sink.check().await.with_context(|| format!("the sink `{}` cannot be used", sink.name()))?;
                println!("sink {}: ok", sink.name());
            }
            anyhow::Ok(())
        })?;
    }
    println!("{}: ok ({} sources, {mappings} mappings)", path.display(), config.sources.len());
    Ok(ExitCode::SUCCESS)
}

/// Reads and checks a config and its mappings; returns the number of the mappings too. What the config names and this
/// machine lacks is a fault where the config is put to use, else a warning.
///
/// # Errors
///
/// Every fault at once, those of the mappings too.
fn checked(path: &Path, is_used: bool) -> Result<(Config, usize), ConfigFaults> {
    let Checked { config, mut faults, outside } = config::inspect(path);
    if is_used {
        faults.extend(outside);
    } else {
        outside.iter().for_each(|warning| eprintln!("warning: {}", warning.in_file(path)));
    }
    let (mut count, mut of_mappings) = (0, Vec::new());
    if let Some(config) = &config {
        // A folder that is not there was told of.
        let directories = config.mappings.directories.iter().filter(|folder| folder.is_dir()).cloned().collect();
        match load_library(&MappingsConfig { directories, ..config.mappings.clone() }, &RawTables::builtin()) {
            Ok(library) => {
                count = library.iter().count();
                // A run logs them when it starts.
                if !is_used {
                    library.warnings().iter().for_each(|warning| eprintln!("{}", warning.trim_end()));
                }
            }
            Err(faulty) => of_mappings = faulty.into_mappings(),
        }
    }
    match ConfigFaults::new(path, faults, of_mappings) {
        Some(faults) => Err(faults),
        None => Ok((config.expect("what is no config has faults"), count)),
    }
}

/// Prints a summary to standard output.
pub(crate) fn print_summary(summary: &Summary, format: SummaryFormat) -> anyhow::Result<()> {
    match format {
        SummaryFormat::Text => print!("{}", summary.to_text()),
        SummaryFormat::Json => println!("{}", serde_json::to_string(summary)?),
    }
    Ok(())
}

/// The runtime for I/O: few threads, since all CPU-bound work is on rayon's.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("weir-io")
        .enable_all()
        .build()
        .context("cannot start the I/O threads")
}
