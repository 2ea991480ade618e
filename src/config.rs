//! `weir.yaml`: what a person writes, checked whole before anything starts.
//!
//! Two steps: [`Config`] is what was written (typed by each stage's own config); [`inspect`] also tells every fault at
//! once, each with its line and what to write instead. The same types make the JSON Schema for editors, and that
//! schema is what the text is held against, so the two can't differ.

mod check;
mod faults;
mod outside;
mod whole;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_contract::units::{ByteSize, Span};
use weir_ingest::file::FileConfig;
use weir_ingest::http::HttpConfig;
use weir_ingest::kafka::config::KafkaConfig;
use weir_ingest::objects::ObjectsConfig;
use weir_sink::lake::config::LakeConfig;
use weir_sink::sentinel::config::SentinelConfig;

pub(crate) use faults::{ConfigFaults, Fault};

/// The configuration of one Weir process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where events come from. At least one.
    pub(crate) sources: Vec<SourceConfig>,
    /// The mappings from raw tables to ASIM.
    pub(crate) mappings: MappingsConfig,
    /// The open lake: Delta tables on a disk or in an object store. Absent: no lake.
    pub(crate) lake: Option<LakeConfig>,
    /// The Sentinel workspace. Absent: nothing is sent.
    pub(crate) sentinel: Option<SentinelConfig>,
    /// Which tables go where; the first match wins. Tables that no route names go to the lake, and ASIM tables also to
    /// the workspace, as far as these are configured.
    pub(crate) routes: Vec<RouteConfig>,
    /// Where dead letters go when there is no lake.
    pub(crate) dead_letters: DeadLettersConfig,
    /// Where the process keeps on this machine what must outlive it.
    pub(crate) state: StateConfig,
    /// Memory for all that is in flight.
    pub(crate) memory: MemoryConfig,
    /// The metrics endpoint.
    pub(crate) metrics: MetricsConfig,
    /// How a stop is carried out.
    pub(crate) shutdown: ShutdownConfig,
    /// Threads that decode and normalise; absent or 0: one per core.
    pub(crate) workers: usize,
}

/// One source: a name and exactly one kind.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceConfig {
    /// The name in metrics, positions and dead letters; unique.
    pub(crate) name: String,
    /// Kafka topics, or Event Hubs through their Kafka endpoint.
    #[serde(default)]
    pub(crate) kafka: Option<KafkaConfig>,
    /// Files, read to their end and, if asked, followed.
    #[serde(default)]
    pub(crate) files: Option<FileConfig>,
    /// Objects in a bucket, container or folder, and what is added to them.
    #[serde(default)]
    pub(crate) objects: Option<ObjectsConfig>,
    /// Requests of senders: JSON, and events of Splunk's HTTP Event Collector.
    #[serde(default)]
    pub(crate) http: Option<HttpConfig>,
}

/// Which mapping files are in force.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MappingsConfig {
    /// Whether the built-in mappings are used (default true).
    pub(crate) builtin: bool,
    /// Folders of mapping files of your own; relative to this file.
    pub(crate) directories: Vec<PathBuf>,
    /// What a column means that a mapping names and its raw table lacks (default `error`). A mapping file's own
    /// `UnknownColumns` wins.
    pub(crate) unknown_columns: UnknownColumns,
    /// Functions that mappings may call: folders of `.kql` and `.yaml` files with one function each, or such files;
    /// relative to this file.
    pub(crate) functions: Vec<PathBuf>,
    /// Watchlists that mappings may read with `_GetWatchlist('alias')`: alias to CSV file, whose first line names the
    /// columns; relative to this file.
    pub(crate) watchlists: BTreeMap<String, PathBuf>,
    /// The share of the normalised rows that are held against their ASIM schema, 0 to 1 (default 0.001); 0 checks none.
    /// What breaks a rule is counted in `weir_asim_findings_total`, and goes on as it is.
    pub(crate) check_share: f64,
}

/// What a column means that a mapping names and its raw table lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownColumns {
    /// A fault: nothing is started.
    #[default]
    Error,
    /// An empty column, with a warning. For parsers that were written against wider tables.
    Empty,
}

/// Where some tables go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteConfig {
    /// What the route is called in metrics and in the summary; absent: its table patterns.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Table names; `*` stands for any text (`ASim*`).
    pub(crate) tables: Vec<String>,
    /// The sinks that get the rows. An empty list drops them; they are counted under the route's name.
    pub(crate) to: Vec<SinkName>,
}

/// A sink, as routes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SinkName {
    /// The lake.
    Lake,
    /// The Sentinel workspace.
    Sentinel,
}

/// Where dead letters go when there is no lake.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeadLettersConfig {
    /// The folder or URL of a lake that holds only the table `dead_letters` (default `./weir-dead-letters`). With a
    /// lake configured, dead letters go there and this key is not used.
    pub(crate) url: String,
}

/// Where the process keeps on this machine what must outlive it: how far files are read, what push sources took in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StateConfig {
    /// The folder (default `./weir-state`). Each source that needs one has a folder of its name in it. Two processes
    /// must not share it.
    pub(crate) directory: PathBuf,
}

/// Memory for all that is in flight between a source and its acknowledgement.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MemoryConfig {
    /// The budget (default 512MiB). Sources wait while it is used up.
    pub(crate) budget: ByteSize,
}

/// The endpoint with `/metrics`, `/healthz` and `/readyz`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MetricsConfig {
    /// Address and port, such as `0.0.0.0:9090`. Absent: no endpoint.
    pub(crate) listen: Option<SocketAddr>,
}

/// How a stop (SIGTERM, SIGINT) is carried out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ShutdownConfig {
    /// Longest time to write what is in flight (default 60s). What is not durable by then is read again at the next
    /// start.
    pub(crate) deadline: Span,
}

impl Default for MappingsConfig {
    fn default() -> Self {
        Self {
            builtin: true,
            directories: Vec::new(),
            unknown_columns: UnknownColumns::default(),
            functions: Vec::new(),
            watchlists: BTreeMap::new(),
            check_share: 0.001,
        }
    }
}

impl Default for DeadLettersConfig {
    fn default() -> Self {
        Self { url: "./weir-dead-letters".to_owned() }
    }
}

impl Default for StateConfig {
    fn default() -> Self {
        Self { directory: PathBuf::from("./weir-state") }
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { budget: ByteSize(512 << 20) }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { deadline: Span(std::time::Duration::from_secs(60)) }
    }
}

/// A config file, read and checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What was written; none where the text has not the form of a config.
    pub(crate) config: Option<Config>,
    /// What is wrong with it, wherever it is used.
    pub(crate) faults: Vec<Fault>,
    /// What it names and this machine lacks: files, secrets, variables.
    pub(crate) outside: Vec<Fault>,
}

/// Reads and checks the config file at `path`.
pub(crate) fn inspect(path: &Path) -> Checked {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) => {
            let message = format!("cannot be read ({cause}); give the path of a config file with `-c`");
            let faults = vec![Fault { line: None, key: String::new(), message }];
            return Checked { config: None, faults, outside: Vec::new() };
        }
    };
    let mut checked = check::inspect(path, &text);
    // What mappings need is named relative to the file that names it, wherever the process runs.
    let base = path.parent().unwrap_or(Path::new("."));
    if let Some(config) = &mut checked.config {
        let MappingsConfig { directories, functions, watchlists, .. } = &mut config.mappings;
        for path in directories.iter_mut().chain(functions).chain(watchlists.values_mut()) {
            if path.is_relative() {
                *path = base.join(&*path);
            }
        }
    }
    checked
}

/// The config in the file at `path`, whatever it names outside.
///
/// # Errors
///
/// Every fault that can be told from the file alone, in the order of their lines.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigFaults> {
    let checked = inspect(path);
    match ConfigFaults::new(path, checked.faults, Vec::new()) {
        Some(faults) => Err(faults),
        None => Ok(checked.config.expect("what is no config has faults")),
    }
}

/// The JSON Schema (draft 2020-12) of `weir.yaml`.
pub(crate) fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}
