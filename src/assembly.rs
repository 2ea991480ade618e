//! Makes the parts of a pipeline out of a checked config.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use weir_contract::batch::Batch;
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::SourceName;
use weir_contract::schema::TableSchema;
use weir_ingest::decode::Decoder;
use weir_ingest::file::{FileSource, Progress};
use weir_ingest::http::HttpSource;
use weir_ingest::kafka::KafkaSource;
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::objects::ObjectSource;
use weir_ingest::schema::RawTables;
use weir_ingest::source::Source;
use weir_kql::{Catalog, Mode};
use weir_normalize::content;
use weir_normalize::library::{self, Library};
use weir_normalize::metrics::NormalizeMetrics;
use weir_normalize::normalizer::Normalizer;
use weir_sink::lake::LakeSink;
use weir_sink::lake::config::LakeConfig;
use weir_sink::metrics::SinkMetrics;
use weir_sink::sentinel::SentinelSink;
use weir_sink::sentinel::metrics::SentinelMetrics;
use weir_sink::sink::Sink;

use crate::config::{self, Config, ConfigFaults, MappingsConfig, RouteConfig, SinkName, UnknownColumns};
use crate::pipeline::{Pipeline, PipelineMetrics, SINK_QUEUE, Stages};
use crate::router::Router;
use crate::server::ProcessMetrics;

/// A pipeline that is ready to run, and what the process shows of it.
pub(crate) struct Assembly {
    pub(crate) pipeline: Pipeline,
    pub(crate) metrics: MetricSet,
    pub(crate) process: ProcessMetrics,
    pub(crate) budget: MemoryBudget,
    pub(crate) progress: Vec<Arc<Progress>>,
}

/// All metrics of the process, declared.
pub(crate) struct Declared {
    pub(crate) set: MetricSet,
    pub(crate) process: ProcessMetrics,
    ingest: IngestMetrics,
    normalize: NormalizeMetrics,
    pipeline: PipelineMetrics,
    sink: SinkMetrics,
    sentinel: SentinelMetrics,
}

impl Declared {
    /// Declares every metric that the binary has.
    pub(crate) fn new() -> Self {
        let set = MetricSet::new();
        let sink = SinkMetrics::new(&set);
        Self {
            process: ProcessMetrics::new(&set),
            ingest: IngestMetrics::new(&set),
            normalize: NormalizeMetrics::new(&set),
            pipeline: PipelineMetrics::new(&set),
            sentinel: SentinelMetrics::new(&set, sink.clone()),
            sink,
            set,
        }
    }
}

/// Builds the pipeline of `config`. With `once`, topics are read to their present end, and nothing is followed.
///
/// # Errors
///
/// A mapping that does not compile, a path that does not exist, a secret that is not there: all before anything is
/// read.
pub(crate) fn assemble(config: &Config, once: bool) -> anyhow::Result<Assembly> {
    let declared = Declared::new();
    let budget = MemoryBudget::new(config.memory.budget.as_usize());
    let workers = if config.workers == 0 { num_cores() } else { config.workers };
    start_workers(workers);

    let library = load_library(&config.mappings, &RawTables::builtin())?;
    let raw_tables = Arc::new(RawTables::builtin().with_declared(library.declared_tables()));
    for warning in library.warnings() {
        tracing::warn!("{warning}");
    }

    let mut sinks: Vec<(Box<dyn Sink>, mpsc::Receiver<Batch>)> = Vec::new();
    let mut lake_queue = None;
    let lake_config = match &config.lake {
        Some(lake) => lake.clone(),
        None => LakeConfig::at(config.dead_letters.url.clone()),
    };
    let (lake_tx, lake_rx) = mpsc::channel(SINK_QUEUE); // batches
    let dead_letters = lake_tx.clone();
    if config.lake.is_some() {
        lake_queue = Some(lake_tx);
    }
    let lake = LakeSink::new(lake_config, budget.clone(), declared.sink.clone())?;
    sinks.push((Box::new(lake), lake_rx));

    let mut sentinel_queue = None;
    if let Some(sentinel) = &config.sentinel {
        let (tx, rx) = mpsc::channel(SINK_QUEUE); // batches
        let sink =
            SentinelSink::new(sentinel.clone(), budget.clone(), declared.sentinel.clone(), dead_letters.clone())?;
        for mapping in library.iter() {
            let output = mapping.program.output();
            sink.check_table(&mapping.mapping.target_table, &output.arrow())?;
        }
        for table in tables_routed_by_name(&config.routes) {
            // Whether there is a rule; a raw row has few of its table's columns, and only those need a place.
            sink.check_table(table, &TableSchema { name: table.into(), columns: Vec::new() }.arrow())?;
        }
        sinks.push((Box::new(sink), rx));
        sentinel_queue = Some(tx);
    }
    let router = Router::new(&config.routes, lake_queue, sentinel_queue, dead_letters)?;

    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    let mut progress = Vec::new();
    for source in &config.sources {
        let name = SourceName::from(source.name.as_str());
        if let Some(files) = &source.files {
            let source = FileSource::new(name, files.clone(), budget.clone(), declared.ingest.clone())?;
            let source = source.once(once).remember_in(&config.state.directory);
            progress.push(source.progress());
            sources.push(Box::new(source));
        } else if let Some(objects) = &source.objects {
            let source = ObjectSource::new(name, objects.clone(), budget.clone(), declared.ingest.clone())?;
            let source = source.once(once).remember_in(&config.state.directory);
            progress.push(source.progress());
            sources.push(Box::new(source));
        } else if let Some(kafka) = &source.kafka {
            let source = KafkaSource::new(name, kafka.clone(), budget.clone(), declared.ingest.clone())?;
            let source = source.read_to_end(once).remember_workspace(config.sentinel.is_some());
            sources.push(Box::new(source));
        } else if let Some(http) = &source.http {
            let state = config.state.directory.clone();
            let source = HttpSource::new(name, http.clone(), state, budget.clone(), declared.ingest.clone())?;
            sources.push(Box::new(source.read_to_end(once)));
        }
    }
    let normalizer =
        Normalizer::new(library, declared.normalize.clone(), budget.clone()).checking(config.mappings.check_share);
    let stages = Stages {
        decoder: Decoder::new(raw_tables, declared.ingest.clone()),
        normalizer,
        budget: budget.clone(),
        metrics: declared.pipeline.clone(),
    };
    Ok(Assembly {
        pipeline: Pipeline { sources, replayed: None, stages: Arc::new(stages), router, sinks, workers },
        metrics: declared.set,
        process: declared.process,
        budget,
        progress,
    })
}

/// The functions and watchlists of the mappings of the config file at `path`; without one, there are none.
///
/// # Errors
///
/// [`ConfigFaults`], all of them at once.
pub(crate) fn load_catalog(path: Option<&Path>) -> Result<Catalog, ConfigFaults> {
    let Some(path) = path else { return Ok(Catalog::default()) };
    let mappings = config::load(path)?.mappings;
    content::load(&mappings.functions, &mappings.watchlists).map_err(ConfigFaults::of_mappings)
}

/// Loads and compiles the mappings in force; the error has every fault of theirs.
pub(crate) fn load_library(config: &MappingsConfig, raw_tables: &RawTables) -> Result<Library, ConfigFaults> {
    let mut mappings = Vec::new();
    let mut faults = Vec::new();
    if config.builtin {
        match library::builtin() {
            Ok(builtin) => mappings.extend(builtin),
            Err(errors) => faults.extend(errors.iter().map(ToString::to_string)),
        }
    }
    for folder in &config.directories {
        match library::from_folder(folder) {
            Ok(own) => mappings.extend(own),
            Err(errors) => faults.extend(errors.iter().map(ToString::to_string)),
        }
    }
    let catalog = content::load(&config.functions, &config.watchlists).unwrap_or_else(|errors| {
        faults.extend(errors);
        Catalog::default()
    });
    if !faults.is_empty() {
        return Err(ConfigFaults::of_mappings(faults));
    }
    Library::compile_with(mappings, |table| raw_tables.schema(table).cloned(), mode(config), &catalog)
        .map_err(|error| ConfigFaults::of_mappings(error.faults))
}

/// What a column means that a mapping names and its raw table lacks.
pub(crate) fn mode(config: &MappingsConfig) -> Mode {
    match config.unknown_columns {
        UnknownColumns::Error => Mode::Strict,
        UnknownColumns::Empty => Mode::Lenient,
    }
}

/// Tables that a route sends to the workspace by their full name: each needs a rule from the start. Those that a pattern
/// takes along are seen when their rows come.
fn tables_routed_by_name(routes: &[RouteConfig]) -> impl Iterator<Item = &str> {
    let to_sentinel = routes.iter().filter(|route| route.to.contains(&SinkName::Sentinel));
    let names = to_sentinel.flat_map(|route| route.tables.iter().map(String::as_str));
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

fn num_cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Starts the rayon pool; a second call (the demo runs a pipeline of its own) keeps the first one.
fn start_workers(workers: usize) {
    let started = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|index| format!("weir-worker-{index}"))
        // A worker that panics drops its batch unanswered; the router sees it and ends the run.
        .panic_handler(|_| tracing::error!("a worker panicked"))
        .build_global();
    if started.is_err() {
        tracing::debug!("the workers are running already");
    }
}
