//! `weir run` and `weir check`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::batch::Batch;
use weir_ingest::schema::RawTables;
use weir_sink::sink::Sink;

use crate::assembly::{Assembly, assemble, load_library};
use crate::config::{self, Checked, Config, ConfigFaults, MappingsConfig};
use crate::pipeline;
use crate::server::{self, Readiness};
use crate::summary::{Summary, SummaryFormat, Totals};
use crate::{progress, shutdown};

/// Arguments of `weir run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The config file.
    #[arg(short, long, value_name = "FILE", default_value = "weir.yaml")]
    pub(crate) config: PathBuf,
    /// Read finite sources to their end and topics to their present end, then stop and sum up.
    #[arg(long)]
    pub(crate) once: bool,
    /// How to sum up at the end.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) summary: SummaryFormat,
    /// Serve metrics here, whatever the config says.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
}

/// Arguments of `weir check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The config file.
    #[arg(short, long, value_name = "FILE", default_value = "weir.yaml")]
    config: PathBuf,
    /// Also open the lake and the workspace, and take files and secrets that this machine lacks as faults. Brokers are
    /// not asked.
    #[arg(long)]
    connect: bool,
}

/// Runs the pipeline of a config file until its sources end or a signal comes.
pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let (mut config, _) = checked(&args.config, true)?;
    if args.listen.is_some() {
        config.metrics.listen = args.listen;
    }
    let summary = block_on(async {
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
    tokio::select! {
        checked = check_sinks(&mut pipeline.sinks, config) => checked?,
        () = stop.cancelled() => {
            tracing::info!("stopped before anything was read");
            return Ok(Summary::new(Totals::default(), &[], started.elapsed()));
        }
    }
    tracing::info!(sources = pipeline.sources.len(), once, "running");
    ready.set(true);
    let bar = if once { progress::show(&progress) } else { None };
    let leave = async {
        stop.cancelled().await;
        ready.set(false);
        std::future::pending::<Infallible>().await
    };
    let outcome = tokio::select! {
        outcome = pipeline::run(pipeline, stop.clone(), config.shutdown.deadline.0) => outcome?,
        never = leave => match never {},
    };
    drop(bar);
    Ok(Summary::new(outcome.totals, &outcome.sinks, started.elapsed()))
}

/// Makes sure that every sink can be written to.
async fn check_sinks(sinks: &mut [(Box<dyn Sink>, mpsc::Receiver<Batch>)], config: &Config) -> anyhow::Result<()> {
    for (sink, _) in sinks {
        let name = sink.name().to_owned();
        sink.check().await.with_context(|| match (name.as_str(), &config.lake) {
            ("lake", None) => "the lake for dead letters cannot be used; correct `dead_letters.url`".to_owned(),
            _ => format!("the sink `{name}` cannot be used"),
        })?;
    }
    Ok(())
}

/// Checks a config and its mappings; with `--connect` also the sinks.
pub(crate) fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let CheckArgs { config: path, connect } = args;
    let (config, mappings) = checked(&path, connect)?;
    if connect {
        runtime()?.block_on(async {
            let mut assembly = assemble(&config, false)?;
            check_sinks(&mut assembly.pipeline.sinks, &config).await?;
            for (sink, _) in &assembly.pipeline.sinks {
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
        match load_library(&what_is_there(&config.mappings), &RawTables::builtin()) {
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

/// The mappings' config without the folders and files that are not there: these were told of.
fn what_is_there(config: &MappingsConfig) -> MappingsConfig {
    let mut config = config.clone();
    config.directories.retain(|folder| folder.is_dir());
    config.functions.retain(|path| path.exists());
    config.watchlists.retain(|_, path| path.is_file());
    config
}

/// Prints a summary to standard output.
pub(crate) fn print_summary(summary: &Summary, format: SummaryFormat) -> anyhow::Result<()> {
    match format {
        SummaryFormat::Text => print!("{}", summary.to_text()),
        SummaryFormat::Json => println!("{}", serde_json::to_string(summary)?),
    }
    Ok(())
}

/// Runs `work` on a runtime of its own, and does not wait for what it leaves behind: a file system that hangs must not
/// keep the process from ending. What had to be durable was awaited by then.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
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
