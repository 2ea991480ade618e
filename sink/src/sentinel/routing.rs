//! Which rule and stream a table's rows go to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use crate::billing::prices::Tier;
use crate::sentinel::config::{Endpoint, Packing, RuleId, SentinelConfig};
use crate::sentinel::definition::{Definition, StreamColumns};
use crate::sink::SinkError;

/// A body is never aimed smaller than this, whatever the service refuses: rows of a few kB must fit.
const MIN_TARGET_BYTES: usize = 64 * 1024;
/// The compression that dense packing assumes before it saw any.
const FIRST_RATIO_PERMILLE: usize = 4000;

/// The rules of a config, with their definitions.
#[derive(Debug)]
pub struct Routing {
    endpoint: Endpoint,
    rules: Vec<Rule>,
    tiers: BTreeMap<String, Tier>,
}

#[derive(Debug)]
struct Rule {
    state: Arc<RuleState>,
    streams: BTreeMap<String, String>,
    definition: Option<Definition>,
}

/// What was learnt about a rule; shared by all tables that go to it.
#[derive(Debug)]
pub struct RuleState {
    /// The rule.
    pub id: RuleId,
    paused_until: Mutex<Option<Instant>>,
    /// The largest body, before compression, that the rule is known to take.
    max_body: AtomicUsize,
}

/// Where the rows of a table go.
#[derive(Debug)]
pub struct Destination {
    /// The table.
    pub table: Arc<str>,
    /// The stream.
    pub stream: String,
    /// The address of its requests.
    pub url: Url,
    /// Its rule.
    pub rule: Arc<RuleState>,
    /// The columns that it declares, where known.
    pub columns: Option<Arc<StreamColumns>>,
    /// The plan of the table.
    pub tier: Tier,
    /// Bytes before compression per 1000 bytes after it, lately.
    ratio_permille: AtomicUsize,
}

impl Packing {
    /// The largest body before compression, in bytes.
    pub fn max_raw(self) -> usize {
        match self {
            Self::Safe => 1_000_000,
            Self::Dense => 20_000_000,
        }
    }

    /// The largest body after compression, in bytes. Compression may add a little to what is random.
    pub fn max_wire(self) -> usize {
        match self {
            Self::Safe => 1_048_576,
            Self::Dense => 1_040_000,
        }
    }
}

impl Routing {
    /// Reads the rules' definitions. The error tells all faults of the config at once.
    pub fn new(config: &SentinelConfig) -> Result<Self, SinkError> {
        let mut faults = config.faults();
        let mut rules = Vec::new();
        for rule in &config.rules {
            let definition = match rule.definition.as_deref().map(|path| Definition::read(path, &rule.id)) {
                Some(Ok(definition)) => Some(definition),
                Some(Err(fault)) => {
                    faults.push(fault);
                    continue;
                }
                None => None,
            };
            if let Some(definition) = &definition {
                for (table, stream) in &rule.streams {
                    if !definition.streams.contains_key(stream) {
                        faults.push(format!(
                            "rule `{}` declares no stream `{stream}` (table `{table}`); its definition has: {}",
                            rule.id,
                            names(definition)
                        ));
                    }
                }
            }
            let state = RuleState {
                id: rule.id.clone(),
                paused_until: Mutex::new(None),
                max_body: AtomicUsize::new(config.packing.max_raw()),
            };
            rules.push(Rule { state: Arc::new(state), streams: rule.streams.clone(), definition });
        }
        if faults.is_empty() {
            Ok(Self { endpoint: config.endpoint.clone(), rules, tiers: config.tiers.clone() })
        } else {
            Err(SinkError::config(faults.join("\n")))
        }
    }

    /// The destination of `table`; the error says how to give it one.
    pub fn destination(&self, table: &str) -> Result<Destination, SinkError> {
        let default_stream = format!("Custom-{table}");
        let declares = |rule: &&Rule| {
            rule.definition.as_ref().is_some_and(|definition| definition.streams.contains_key(&default_stream))
        };
        let takes_all = |rule: &&Rule| rule.streams.is_empty() && rule.definition.is_none();
        if let Some((rule, stream)) = self.rules.iter().find_map(|rule| Some((rule, rule.streams.get(table)?))) {
            return Ok(self.to(rule, table, stream));
        }
        let rule = self.rules.iter().find(declares).or_else(|| self.rules.iter().find(takes_all));
        rule.map(|rule| self.to(rule, table, &default_stream)).ok_or_else(|| {
            SinkError::config(format!(
                "no data collection rule takes the table `{table}`; name it in the `streams` of a rule, or route it \
                 elsewhere"
            ))
        })
    }

    /// The destinations that are known before any row is: those that the config or a definition names.
    pub fn known(&self) -> Vec<Destination> {
        let mut known = Vec::new();
        for rule in &self.rules {
            let streams = rule.streams.iter().map(|(table, stream)| (table.as_str(), stream.as_str()));
            known.extend(streams.map(|(table, stream)| self.to(rule, table, stream)));
            let declared = rule.definition.iter().flat_map(|definition| definition.streams.keys());
            for stream in declared.filter(|stream| !rule.streams.values().any(|named| named == *stream)) {
                known.push(self.to(rule, stream.strip_prefix("Custom-").unwrap_or(stream), stream));
            }
        }
        known
    }

    fn to(&self, rule: &Rule, table: &str, stream: &str) -> Destination {
        Destination {
            table: table.into(),
            stream: stream.to_owned(),
            url: self.endpoint.stream_url(&rule.state.id, stream),
            rule: Arc::clone(&rule.state),
            columns: rule.definition.as_ref().and_then(|definition| definition.streams.get(stream).cloned()),
            tier: self.tiers.get(table).copied().unwrap_or_default(),
            ratio_permille: AtomicUsize::new(FIRST_RATIO_PERMILLE),
        }
    }
}

fn names(definition: &Definition) -> String {
    let mut names: Vec<_> = definition.streams.keys().map(String::as_str).collect();
    names.sort_unstable();
    names.join(", ")
}

impl RuleState {
    /// Waits until nothing else was told to wait for this rule.
    pub async fn wait_until_free(&self) {
        loop {
            let until = *self.paused_until.lock().expect("no panic while held");
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Lets every request to this rule wait: the service throttles rules, not senders.
    pub fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut paused = self.paused_until.lock().expect("no panic while held");
        if paused.is_none_or(|known| known < until) {
            *paused = Some(until);
        }
    }

    /// Remembers that a body of `bytes` before compression was too large.
    pub fn refuse_body(&self, bytes: usize) {
        self.max_body.fetch_min((bytes / 2).max(MIN_TARGET_BYTES), Ordering::Relaxed);
    }
}

impl Destination {
    /// The size before compression that the next body is aimed at.
    pub fn target_bytes(&self, packing: Packing) -> usize {
        let known = self.rule.max_body.load(Ordering::Relaxed);
        match packing {
            Packing::Safe => known,
            Packing::Dense => {
                // 5 % less than what the last bodies would allow, so that few have to be cut after compression.
                let by_ratio = packing.max_wire() / 1000 * self.ratio_permille.load(Ordering::Relaxed) / 100 * 95;
                known.min(by_ratio)
            }
        }
    }

    /// Remembers how well a body compressed: the mean of what was known and what was seen.
    pub fn note_ratio(&self, raw: usize, wire: usize) {
        let seen = raw.saturating_mul(1000) / wire.max(1);
        let known = self.ratio_permille.load(Ordering::Relaxed);
        self.ratio_permille.store((known + seen.clamp(1000, 50_000)) / 2, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(digit: char) -> String {
        format!("dcr-{}", digit.to_string().repeat(32))
    }

    fn config(rules: serde_json::Value) -> SentinelConfig {
        serde_json::from_value(json!({
            "endpoint": "http://localhost:1",
            "rules": rules,
            "credential": {"client_secret": {"tenant_id": "t", "client_id": "c", "secret": {"env": "X"}}},
            "tiers": {"Raw": "lake"},
        }))
        .expect("a config")
    }

    #[test]
    fn a_table_goes_to_the_rule_that_names_it_then_to_the_one_that_declares_it_then_to_the_rest() {
        let folder = std::env::temp_dir().join(format!("weir-routing-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temp folder");
        let definition = folder.join("rule.json");
        let declared = json!({"properties": {"streamDeclarations": {"Custom-Declared": {"columns": []}}}});
        std::fs::write(&definition, declared.to_string()).expect("a temp file");
        let routing = Routing::new(&config(json!([
            {"id": id('c')},
            {"id": id('b'), "definition": definition},
            {"id": id('a'), "streams": {"Named": "Custom-Other"}},
        ])))
        .expect("valid");
        let to = |table: &str| {
            let destination = routing.destination(table).expect("has one");
            (destination.rule.id.to_string(), destination.stream, destination.tier)
        };
        assert_eq!(to("Named"), (id('a'), "Custom-Other".into(), Tier::Analytics));
        assert_eq!(to("Declared"), (id('b'), "Custom-Declared".into(), Tier::Analytics));
        assert_eq!(to("Raw"), (id('c'), "Custom-Raw".into(), Tier::Lake));
        assert_eq!(routing.known().len(), 2);
        let strict = Routing::new(&config(json!([{"id": id('a'), "streams": {"Named": "Custom-Other"}}])));
        assert!(strict.expect("valid").destination("Raw").expect_err("none").to_string().contains("`Raw`"));
        let wrong = json!([{"id": id('b'), "definition": definition, "streams": {"X": "Custom-X"}}]);
        let error = Routing::new(&config(wrong)).expect_err("no such stream").to_string();
        assert!(error.contains("Custom-Declared"), "{error}");
        std::fs::remove_dir_all(folder).expect("a temp folder");
    }

    #[test]
    fn a_refused_body_lowers_the_target_and_dense_packing_follows_the_ratio() {
        let routing = Routing::new(&config(json!([{"id": id('a')}]))).expect("valid");
        let destination = routing.destination("T").expect("has one");
        assert_eq!(destination.target_bytes(Packing::Safe), 1_000_000);
        assert_eq!(destination.target_bytes(Packing::Dense), 1_000_000, "what the rule takes comes first");
        destination.rule.refuse_body(1_000_000);
        assert_eq!(destination.target_bytes(Packing::Safe), 500_000);
        destination.rule.refuse_body(100);
        assert_eq!(destination.target_bytes(Packing::Safe), MIN_TARGET_BYTES);
        let mut dense = config(json!([{"id": id('a')}]));
        dense.packing = Packing::Dense;
        let destination = Routing::new(&dense).expect("valid").destination("T").expect("has one");
        let before = destination.target_bytes(Packing::Dense);
        destination.note_ratio(10_000_000, 1_000_000);
        assert!(before < destination.target_bytes(Packing::Dense));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_rule_holds_every_request_back() {
        let routing = Routing::new(&config(json!([{"id": id('a')}]))).expect("valid");
        let rule = routing.destination("T").expect("has one").rule;
        let start = Instant::now();
        rule.wait_until_free().await;
        assert!(start.elapsed().is_zero());
        rule.pause(Duration::from_secs(5));
        rule.pause(Duration::from_secs(1));
        rule.wait_until_free().await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
