//! The workspace's state: rules, tables, counters, tokens, the fault script. [`Workspace`] is a handle for tests in
//! the same process; the HTTP handlers use the same one.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rand::RngCore as _;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::config::StandInConfig;
use crate::counters::{TableCounters, Totals};
use crate::faults::{Endpoint, Fault, Script};
use crate::rows::TableRows;
use crate::rules::{Problem, Rule, RuleError, Stream};
use crate::tokens::Tokens;

/// Uploads that are unpacked and read at the same time; each may hold `raw_limit_bytes`.
const UNPACKING_AT_ONCE: usize = 4;
/// Rules that are held at most.
const MAX_RULES: usize = 1_000;

/// A handle to a stand-in's state. Clones show the same state.
#[derive(Clone)]
pub struct Workspace(Arc<State>);

struct State {
    config: StandInConfig,
    url: String,
    rules: RwLock<IndexMap<String, Arc<RuleState>>>,
    tables: Mutex<BTreeMap<String, Table>>,
    totals: Mutex<Totals>,
    tokens: Mutex<Tokens>,
    script: Mutex<Script>,
    unpacking: Semaphore,
}

/// A rule with what changes about it.
pub(crate) struct RuleState {
    pub(crate) rule: Rule,
    is_granted: AtomicBool,
    window: Mutex<Window>,
}

/// What a rule took in its current minute.
struct Window {
    since: Instant,
    requests: u64,
    bytes: u64,
}

#[derive(Default)]
struct Table {
    counters: TableCounters,
    /// The newest rows, as JSON objects, oldest first.
    rows: VecDeque<Box<str>>,
    kept_bytes: usize,
}

/// A rule as it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedRule {
    /// `dcr-` and 32 hex digits: the id in the ingestion path.
    pub immutable_id: String,
    /// ARM name, if the JSON had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Endpoints as in the properties of a rule that ARM returns.
    pub endpoints: Endpoints,
    /// Tables that each stream flows into.
    pub streams: BTreeMap<String, Vec<String>>,
    /// Whether senders have the role Monitoring Metrics Publisher on it.
    pub granted: bool,
    /// What the service takes without a word but loses data by.
    pub warnings: Vec<String>,
}

/// Where a rule takes its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Base URL of the Logs Ingestion API; `None` unless the rule is of kind `Direct`. (The same URL also works as a
    /// data collection endpoint for any rule.)
    pub logs_ingestion: Option<String>,
}

impl Workspace {
    pub(crate) fn new(config: StandInConfig, url: String) -> Self {
        Self(Arc::new(State {
            config,
            url,
            rules: RwLock::default(),
            tables: Mutex::default(),
            totals: Mutex::default(),
            tokens: Mutex::default(),
            script: Mutex::default(),
            unpacking: Semaphore::new(UNPACKING_AT_ONCE),
        }))
    }

    /// Base URL of the server, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Loads a rule's JSON, or an array of them: all or none.
    ///
    /// A rule with the immutable id of a loaded one, or without id and with the name of a loaded one, takes its place.
    pub fn add_rule(&self, json: impl Borrow<Value>) -> Result<Vec<LoadedRule>, RuleError> {
        let json: &Value = json.borrow();
        let documents = json.as_array().map_or(std::slice::from_ref(json), Vec::as_slice);
        let rules: Vec<Rule> =
            documents.iter().map(|document| Rule::read(document, self.id_for(document))).collect::<Result<_, _>>()?;
        let mut loaded = Vec::new();
        let mut held = self.0.rules.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() + rules.len() > MAX_RULES {
            let message = format!("the stand-in holds at most {MAX_RULES} rules");
            return Err(RuleError { problems: vec![Problem { code: "InvalidRule", message, target: "$".to_owned() }] });
        }
        for rule in rules {
            let mut tables = lock(&self.0.tables);
            for target in rule.streams.values().flat_map(|stream| &stream.targets) {
                tables.entry(target.table.clone()).or_default();
            }
            let window = Mutex::new(Window { since: Instant::now(), requests: 0, bytes: 0 });
            let state = Arc::new(RuleState { rule, is_granted: AtomicBool::new(true), window });
            loaded.push(self.loaded(&state));
            held.insert(state.rule.immutable_id.clone(), state);
        }
        Ok(loaded)
    }

    /// The loaded rules, in the order in which they came.
    pub fn rules(&self) -> Vec<LoadedRule> {
        let rules = self.0.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.values().map(|rule| self.loaded(rule)).collect()
    }

    /// Gives senders the role on a rule, or takes it away (403 from then on). `false` if there is no such rule.
    pub fn set_role(&self, immutable_id: &str, granted: bool) -> bool {
        let rule = self.rule(immutable_id);
        if let Some(rule) = &rule {
            rule.is_granted.store(granted, Ordering::Release);
        }
        rule.is_some()
    }

    /// Appends faults to the script.
    pub fn script_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.0.script).extend(faults);
    }

    /// Faults that have not happened yet.
    pub fn faults_left(&self) -> Vec<Fault> {
        lock(&self.0.script).left()
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        lock(&self.0.script).clear();
    }

    /// The kept rows of a table, oldest first: its columns that are not null, with `Type`, `_BilledSize` and
    /// `_TimeReceived`. At most the newest `keep_rows`.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        let parse = |row: &str| serde_json::from_str(row).expect("rows are stored as the JSON that we wrote");
        self.with_rows(table, |rows| rows.map(parse).collect())
    }

    /// What happened to a table; all zero for one that no rule names.
    pub fn counters(&self, table: &str) -> TableCounters {
        lock(&self.0.tables).get(table).map(|table| table.counters.clone()).unwrap_or_default()
    }

    /// The counters of all tables that a rule names.
    pub fn tables(&self) -> BTreeMap<String, TableCounters> {
        lock(&self.0.tables).iter().map(|(name, table)| (name.clone(), table.counters.clone())).collect()
    }

    /// What happened to the whole server.
    pub fn totals(&self) -> Totals {
        lock(&self.0.totals).clone()
    }

    /// Forgets rows and sets all counters to zero; rules, tokens and faults stay.
    pub fn clear_rows(&self) {
        lock(&self.0.tables).values_mut().for_each(|table| *table = Table::default());
        *lock(&self.0.totals) = Totals::default();
    }

    /// Makes all tokens invalid: the next calls get 401 until their sender asks for a new one.
    pub fn revoke_tokens(&self) {
        self.with_tokens(Tokens::revoke_all);
    }

    pub(crate) fn config(&self) -> &StandInConfig {
        &self.0.config
    }

    pub(crate) fn rule(&self, immutable_id: &str) -> Option<Arc<RuleState>> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner).get(immutable_id).cloned()
    }

    pub(crate) fn unpacking(&self) -> &Semaphore {
        &self.0.unpacking
    }

    pub(crate) fn take_fault(&self, endpoint: Endpoint, stream: Option<&str>) -> Option<Fault> {
        lock(&self.0.script).take(endpoint, stream)
    }

    pub(crate) fn with_tokens<T>(&self, run: impl FnOnce(&mut Tokens) -> T) -> T {
        run(&mut lock(&self.0.tokens))
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Totals)) {
        add(&mut lock(&self.0.totals));
    }

    /// Adds what one call did to a table.
    pub(crate) fn add_to_table(&self, table: &str, call: TableRows) {
        let mut tables = lock(&self.0.tables);
        let table = tables.entry(table.to_owned()).or_default();
        table.counters.add(call.counters);
        for row in call.rows {
            table.kept_bytes += row.len();
            table.rows.push_back(row);
            let config = &self.0.config;
            while table.rows.len() > config.keep_rows || table.kept_bytes > config.keep_bytes {
                let Some(oldest) = table.rows.pop_front() else { break };
                table.kept_bytes -= oldest.len();
            }
        }
    }

    /// Hands the kept rows of a table, oldest first, to `run`.
    pub(crate) fn with_rows<T>(&self, table: &str, run: impl FnOnce(&mut dyn Iterator<Item = &str>) -> T) -> T {
        let tables = lock(&self.0.tables);
        run(&mut tables.get(table).into_iter().flat_map(|table| &table.rows).map(AsRef::as_ref))
    }

    fn loaded(&self, state: &RuleState) -> LoadedRule {
        let rule = &state.rule;
        let tables = |stream: &Stream| stream.targets.iter().map(|target| target.table.clone()).collect();
        let is_direct = rule.kind.as_deref() == Some("Direct");
        LoadedRule {
            immutable_id: rule.immutable_id.clone(),
            name: rule.name.clone(),
            endpoints: Endpoints { logs_ingestion: is_direct.then(|| self.0.url.clone()) },
            streams: rule.streams.iter().map(|(name, stream)| (name.clone(), tables(stream))).collect(),
            granted: state.is_granted(),
            warnings: rule.warnings.clone(),
        }
    }

    /// The id for a rule that brings none: that of the loaded rule with its name, else a new one.
    fn id_for(&self, document: &Value) -> String {
        let name = document.get("name").and_then(Value::as_str);
        let rules = self.0.rules.read().unwrap_or_else(PoisonError::into_inner);
        let same = rules.values().find(|state| name.is_some() && state.rule.name.as_deref() == name);
        same.map_or_else(
            || {
                let mut rng = rand::rng();
                format!("dcr-{:016x}{:016x}", rng.next_u64(), rng.next_u64())
            },
            |state| state.rule.immutable_id.clone(),
        )
    }
}

impl RuleState {
    pub(crate) fn is_granted(&self) -> bool {
        self.is_granted.load(Ordering::Acquire)
    }

    /// Counts a call of `bytes` against the limits of the minute; `Err` holds the seconds until the next one.
    pub(crate) fn admit(&self, bytes: u64, config: &StandInConfig) -> Result<(), u64> {
        const MINUTE: Duration = Duration::from_secs(60);
        let mut window = lock(&self.window);
        if window.since.elapsed() >= MINUTE {
            *window = Window { since: Instant::now(), requests: 0, bytes: 0 };
        }
        if window.requests >= config.requests_per_minute || window.bytes.saturating_add(bytes) > config.bytes_per_minute
        {
            return Err((MINUTE.saturating_sub(window.since.elapsed())).as_secs() + 1);
        }
        window.requests += 1;
        window.bytes += bytes;
        Ok(())
    }
}

/// Locks; a panic in another holder leaves counters that are still worth reading.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
