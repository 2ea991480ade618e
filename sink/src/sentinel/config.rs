//! What a config says about the workspace.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};
use weir_azure_identity::AzureCredential;
use weir_contract::units::Span;

use crate::billing::prices::Tier;
use crate::sentinel::decide::Policy;
use crate::sentinel::event_id::ADDITIONAL_FIELDS;

/// A Microsoft Sentinel workspace, written to through the Logs Ingestion API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SentinelConfig {
    /// The logs ingestion endpoint, of the data collection rule itself (`kind: Direct`) or of a data collection
    /// endpoint: `https://….ingest.monitor.azure.com`.
    pub endpoint: Endpoint,
    /// The data collection rules that take the rows. A table goes to the rule that names it in `streams`, else to the
    /// first one whose `definition` declares `Custom-<table>`, else to the one that has neither key.
    pub rules: Vec<RuleConfig>,
    /// Who signs in. The application needs the role Monitoring Metrics Publisher on each rule.
    pub credential: AzureCredential,
    /// The scope of the access token (default `https://monitor.azure.com/.default`; other clouds have their own).
    #[serde(default = "default_scope")]
    pub scope: String,
    /// How request bodies are sized (default `safe`).
    #[serde(default)]
    pub packing: Packing,
    /// The column that carries each row's id, by which rows that a crash doubled are told (default `AdditionalFields`: as
    /// its member `WeirId`, where the table has that column). Any other name is that of a column of its own; the empty
    /// text sends no id.
    #[serde(default = "default_event_id")]
    pub event_id: String,
    /// Longest time that a row waits for its request to fill (default 2s).
    #[serde(default = "default_max_wait")]
    pub max_wait: Span,
    /// Requests under way at the same time (default 4).
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// Longest time that one request may take (default 30s).
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How failed requests are repeated.
    #[serde(default)]
    pub retry: RetryConfig,
    /// Compression of request bodies, 1 (fast) to 9 (small) (default 2). The bill doesn't depend on it.
    #[serde(default = "default_gzip_level")]
    pub gzip_level: u32,
    /// The plan of each table, for what it costs: `analytics` (default), `basic` or `lake`.
    #[serde(default)]
    pub tiers: BTreeMap<String, Tier>,
    /// Whether the start-up signs in and sends an empty request to each stream that `streams` or a `definition` names, to
    /// prove endpoint, rule and role (default true).
    #[serde(default = "default_probe")]
    pub probe: bool,
}

/// A data collection rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// The rule's immutable id: `dcr-` and 32 hexadecimal digits. It stands in the rule's JSON view, not in its name.
    pub id: RuleId,
    /// Stream by table, where it isn't `Custom-<table>`.
    #[serde(default)]
    pub streams: BTreeMap<String, String>,
    /// The rule's JSON as exported from Azure. With it, columns are compared with the stream's before rows are sent;
    /// without it, the service drops undeclared columns without a word.
    #[serde(default)]
    pub definition: Option<PathBuf>,
}

/// How request bodies are sized. The service's limit is 1 MiB; whether before or after compression is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// At most 1,000,000 bytes before compression: right by either reading.
    #[default]
    Safe,
    /// At most 1,040,000 bytes after compression and 20 MB before: fewer requests, right by the reading that Microsoft's
    /// own exporter relies on.
    Dense,
}

/// How failed requests are repeated. Throttling (429) is waited out without end; rows stay in flight meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Requests for the same rows that may fail before the sink stops with an error (default 10).
    pub max_attempts: u32,
    /// The first wait; it doubles with each further one (default 500ms).
    pub initial: Span,
    /// The longest wait, also where the service asks for a longer one (default 2m).
    pub max: Span,
    /// The wait after an answer that a role is missing (default 1m).
    pub role_wait: Span,
    /// How long a missing role is waited for; a new one takes up to 30 minutes to work (default 35m).
    pub role_patience: Span,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            initial: Span(Duration::from_millis(500)),
            max: Span(Duration::from_secs(120)),
            role_wait: Span(Duration::from_secs(60)),
            role_patience: Span(Duration::from_secs(35 * 60)),
        }
    }
}

fn default_scope() -> String {
    "https://monitor.azure.com/.default".to_owned()
}

fn default_event_id() -> String {
    ADDITIONAL_FIELDS.to_owned()
}

fn default_max_wait() -> Span {
    Span(Duration::from_secs(2))
}

fn default_concurrency() -> usize {
    4
}

fn default_timeout() -> Span {
    Span(Duration::from_secs(30))
}

fn default_gzip_level() -> u32 {
    2
}

fn default_probe() -> bool {
    true
}

impl SentinelConfig {
    /// A config with all defaults.
    pub fn new(endpoint: Endpoint, rules: Vec<RuleConfig>, credential: AzureCredential) -> Self {
        Self {
            endpoint,
            rules,
            credential,
            scope: default_scope(),
            packing: Packing::default(),
            event_id: default_event_id(),
            max_wait: default_max_wait(),
            concurrency: default_concurrency(),
            timeout: default_timeout(),
            retry: RetryConfig::default(),
            gzip_level: default_gzip_level(),
            tiers: BTreeMap::new(),
            probe: default_probe(),
        }
    }

    /// Everything that the types alone don't rule out, as sentences that say the key and what to write instead.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.rules.is_empty() {
            faults.push("`rules` is empty; name the data collection rule that takes the rows".to_owned());
        }
        let mut tables = HashSet::new();
        let mut catch_all = None;
        for rule in &self.rules {
            for (table, stream) in &rule.streams {
                if !tables.insert(table) {
                    faults.push(format!("table `{table}` stands in the `streams` of two rules; keep one"));
                }
                if !is_stream_name(stream) {
                    faults.push(format!(
                        "`{stream}` (table `{table}`) is no stream name; write one such as `Custom-{table}`"
                    ));
                }
            }
            let takes_all = rule.streams.is_empty() && rule.definition.is_none();
            if takes_all && let Some(first) = catch_all.replace(&rule.id) {
                faults.push(format!(
                    "rules `{first}` and `{}` both take every table; give each its `streams` or a `definition`",
                    rule.id
                ));
            }
        }
        if !(1..=256).contains(&self.concurrency) {
            faults.push(format!("`concurrency` is {}; write a number from 1 to 256", self.concurrency));
        }
        if !(1..=9).contains(&self.gzip_level) {
            faults.push(format!("`gzip_level` is {}; write a number from 1 to 9", self.gzip_level));
        }
        if self.retry.max_attempts == 0 {
            faults.push("`retry.max_attempts` is 0; write at least 1".to_owned());
        }
        for (key, span) in [
            ("timeout", self.timeout),
            ("retry.initial", self.retry.initial),
            ("retry.max", self.retry.max),
            ("retry.role_wait", self.retry.role_wait),
        ] {
            if span.0.is_zero() {
                faults.push(format!("`{key}` is 0; write a duration such as `1s`"));
            }
        }
        if Url::parse(&self.scope).is_err() {
            faults.push(format!("`scope` is `{}`; write a URL such as `{}`", self.scope, default_scope()));
        }
        faults
    }
}

impl RetryConfig {
    /// The same as the decisions need it.
    pub fn policy(&self) -> Policy {
        Policy {
            max_attempts: self.max_attempts,
            initial: self.initial.0,
            max: self.max.0.max(self.initial.0),
            role_wait: self.role_wait.0,
            role_patience: self.role_patience.0,
        }
    }
}

fn is_stream_name(name: &str) -> bool {
    let rest = name.strip_prefix("Custom-").or_else(|| name.strip_prefix("Microsoft-"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)))
}

/// A logs ingestion endpoint: `https`, or `http` to loopback.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads an endpoint; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "https://my-rule-ab12.westeurope-1.ingest.monitor.azure.com";
        let url =
            Url::parse(text).map_err(|cause| format!("`{text}` is no URL ({cause}); write one such as `{EXAMPLE}`"))?;
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(format!("`{text}` names no host; write one such as `{EXAMPLE}`")),
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(format!("`{text}` is not encrypted; write `https://…` (http is for loopback only)"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("write the endpoint only, without user, query or fragment".to_owned());
        }
        if url.host_str().is_some_and(|host| host.contains(".metrics.ingest.")) {
            return Err(format!("`{text}` takes metrics; write the rule's `logsIngestion` endpoint"));
        }
        Ok(Self(url))
    }

    /// The address that rows of `stream` are posted to.
    pub fn stream_url(&self, rule: &RuleId, stream: &str) -> Url {
        let mut url = self.0.clone();
        let mut path = url.path_segments_mut().expect("http URLs have a path");
        path.pop_if_empty().extend(["dataCollectionRules", &rule.0, "streams", stream]);
        drop(path);
        url.set_query(Some("api-version=2023-01-01"));
        url
    }
}

/// A rule's immutable id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RuleId(String);

impl RuleId {
    /// Reads an id; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("dcr-").unwrap_or("");
        if digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{text}` is no immutable id of a data collection rule; write `dcr-` and its 32 hexadecimal digits"
        ))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The traits of a text that is checked when it is read.
macro_rules! checked_text {
    ($name:ident, $pattern:literal, $description:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0.as_ref())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0.as_ref())
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "description": $description})
            }
        }
    };
}
checked_text!(Endpoint, "^https?://", "an https URL");
checked_text!(RuleId, "^dcr-[0-9a-fA-F]{32}$", "the immutable id of a data collection rule");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "dcr-0123456789abcdef0123456789abcdef";

    fn minimal() -> serde_json::Value {
        json!({
            "endpoint": "https://x-ab12.westeurope-1.ingest.monitor.azure.com",
            "rules": [{"id": ID}],
            "credential": {"client_secret": {
                "tenant_id": "contoso.onmicrosoft.com", "client_id": "app", "secret": {"env": "SECRET"}
            }},
        })
    }

    #[test]
    fn the_defaults_are_those_of_new() {
        let config: SentinelConfig = serde_json::from_value(minimal()).expect("a config");
        assert_eq!(config.faults(), Vec::<String>::new());
        assert_eq!(
            config,
            SentinelConfig::new(config.endpoint.clone(), config.rules.clone(), config.credential.clone())
        );
    }

    #[test]
    fn what_cannot_work_is_refused_with_advice() {
        for (key, value, advice) in [
            ("endpoint", json!("http://example.com"), "https://"),
            ("endpoint", json!("https://x.metrics.ingest.monitor.azure.com"), "logsIngestion"),
            ("rules", json!([{"id": "my-rule"}]), "32 hexadecimal digits"),
            ("colour", json!("blue"), "unknown field"),
        ] {
            let mut config = minimal();
            config[key] = value;
            let error = serde_json::from_value::<SentinelConfig>(config).expect_err("refused").to_string();
            assert!(error.contains(advice), "{error}");
        }
    }

    #[test]
    fn faults_are_told_all_at_once() {
        let mut config = minimal();
        config["rules"] = json!([{"id": ID, "streams": {"T": "T"}}, {"id": ID, "streams": {"T": "Custom-T"}}, {"id": ID}, {"id": ID}]);
        config["concurrency"] = json!(0);
        config["gzip_level"] = json!(12);
        config["timeout"] = json!("0s");
        let config: SentinelConfig = serde_json::from_value(config).expect("parses");
        assert_eq!(config.faults().len(), 6, "{:#?}", config.faults());
    }

    #[test]
    fn the_address_holds_rule_and_stream() {
        let endpoint = Endpoint::parse("http://127.0.0.1:9999/").expect("loopback");
        let url = endpoint.stream_url(&RuleId::parse(ID).expect("an id"), "Custom-ASimDnsActivityLogs");
        assert_eq!(
            url.as_str(),
            format!(
                "http://127.0.0.1:9999/dataCollectionRules/{ID}/streams/Custom-ASimDnsActivityLogs?api-version=2023-01-01"
            )
        );
    }
}
