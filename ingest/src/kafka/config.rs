//! The Kafka source's config: what a person writes, and every fault of it at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_contract::secret::SecretRef;
use weir_contract::units::{ByteSize, Span};

use super::event_hubs::EventHubs;
use super::problems::{Problem, Problems};
use crate::decode::table_name_fault;

/// Topics of a Kafka cluster or of an Event Hubs namespace, read as a member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Kafka brokers to start from, each as `host:port`. Either this or `event_hubs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<String>,
    /// An Azure Event Hubs namespace; brings every setting that the service asks for. Either this or `brokers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_hubs: Option<EventHubs>,
    /// Encryption and sign-in for `brokers` (default: neither).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Names of the topics (for Event Hubs: of the event hubs), case-sensitive.
    pub topics: Vec<String>,
    /// The consumer group; all workers that share the topics name the same one, and nobody else.
    pub group: String,
    /// A name for this worker that outlives its restarts, unlike that of any other worker; saves rebalances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_instance_id: Option<String>,
    /// Where to start in a partition for which the group has no committed offset (default earliest).
    pub start: Start,
    /// How partitions are shared out; the same for all workers of a group (default range).
    pub assignment: AssignmentStrategy,
    /// The table of records that do not name theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Bytes of messages after which a batch is handed on (default 4MiB); a larger message travels alone.
    pub max_batch_bytes: ByteSize,
    /// Longest time that a message waits for its batch to fill (default 250ms).
    pub max_batch_wait: Span,
    /// Time between two commits of offsets (default 1s). Event Hubs throttles commits, so it takes no less than 1s.
    pub commit_interval: Span,
    /// How long the brokers may take to answer at the start before the source gives up (default 30s).
    pub start_timeout: Span,
    /// Further librdkafka settings, by their own names. Settings that have a key of their own here, and secrets, are
    /// refused.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// Where to start without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the oldest message that the topic still holds.
    Earliest,
    /// With the next message that arrives.
    Latest,
}

/// How partitions are shared out among the members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AssignmentStrategy {
    /// In stretches, by topic. All members stop while partitions move.
    Range,
    /// As even and as unmoved as can be. Only the partitions that move are stopped.
    CooperativeSticky,
}

/// Encryption and sign-in for plain Kafka brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Encrypt with TLS; `{}` trusts the system's certificate authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Sign in with a user name and a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
}

/// TLS towards the brokers. Their certificates and names are always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// A PEM file of the certificate authorities to trust instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// A user name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// The mechanism (default plain).
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// The user name.
    pub username: String,
    /// Where the password is.
    pub password: SecretRef,
}

/// How the password is shown to the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SaslMechanism {
    /// As it is; only with `tls`, unless the broker is on this machine.
    #[default]
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// Kafka's own limit is generous; Event Hubs takes group names of up to 256 characters.
const MAX_GROUP_LENGTH: usize = 256;
/// A batch below this is all overhead.
const MIN_BATCH_BYTES: u64 = 1024;
/// Offsets and lengths within a batch must stay far from the limits of Arrow's 32-bit views.
const MAX_BATCH_BYTES: u64 = 256 * 1024 * 1024;

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            event_hubs: None,
            security: None,
            topics: Vec::new(),
            group: String::new(),
            group_instance_id: None,
            start: Start::Earliest,
            assignment: AssignmentStrategy::Range,
            table: None,
            max_batch_bytes: ByteSize(4 << 20),
            max_batch_wait: Span(Duration::from_millis(250)),
            commit_interval: Span(Duration::from_secs(1)),
            start_timeout: Span(Duration::from_secs(30)),
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaConfig {
    /// Every fault that can be seen without reading a secret or asking a broker.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        match (&self.event_hubs, self.brokers.is_empty()) {
            (None, true) => problems.add("brokers", "is missing; list brokers as `host:port`, or write `event_hubs:`"),
            (Some(_), false) => problems.add("brokers", "stands beside `event_hubs`; write one of the two"),
            (Some(hubs), true) => hubs.problems(&self.topics, &mut problems),
            (None, false) => {}
        }
        for broker in self.brokers.iter().filter(|broker| !is_host_and_port(broker)) {
            problems.add("brokers", format!("has `{broker}`; write `host:port`"));
        }
        if self.event_hubs.is_some() && self.security.is_some() {
            problems.add("security", "is for `brokers`; `event_hubs` has `auth` and always encrypts");
        }
        self.check_topics(&mut problems);
        self.check_group(&mut problems);
        self.check_sizes(&mut problems);
        if let Some(text) = self.table.as_deref().and_then(table_name_fault) {
            problems.add("table", text);
        }
        for key in self.properties.keys() {
            if let Some(text) = refusal(key) {
                problems.add(format!("properties.{key}"), text);
            }
        }
        problems.into_inner()
    }

    fn check_topics(&self, problems: &mut Problems) {
        if self.topics.is_empty() {
            problems.add("topics", "is missing; name at least one topic");
        }
        for (index, topic) in self.topics.iter().enumerate() {
            if topic.is_empty() || topic.len() > 249 || !topic.chars().all(is_topic_character) {
                problems.add("topics", format!("has `{topic}`, which is no topic name; patterns are not supported"));
            }
            if self.topics[..index].contains(topic) {
                problems.add("topics", format!("names `{topic}` twice"));
            }
        }
    }

    fn check_group(&self, problems: &mut Problems) {
        if self.group.is_empty() {
            problems.add("group", "is missing; name the consumer group that this pipeline's workers share");
        } else if self.group.len() > MAX_GROUP_LENGTH {
            problems.add("group", format!("is longer than {MAX_GROUP_LENGTH} bytes"));
        }
        if self.group_instance_id.as_ref().is_some_and(String::is_empty) {
            problems.add("group_instance_id", "is empty; name this worker, or leave the key out");
        }
    }

    fn check_sizes(&self, problems: &mut Problems) {
        if !(MIN_BATCH_BYTES..=MAX_BATCH_BYTES).contains(&self.max_batch_bytes.0) {
            problems.add("max_batch_bytes", "must be from 1KiB to 256MiB");
        }
        let spans = [
            ("max_batch_wait", self.max_batch_wait, Duration::from_secs(60)),
            ("commit_interval", self.commit_interval, Duration::from_secs(3600)),
            ("start_timeout", self.start_timeout, Duration::from_secs(3600)),
        ];
        for (key, span, longest) in spans {
            if span.0.is_zero() || span.0 > longest {
                problems.add(key, format!("must be more than 0s and at most {}", humantime::format_duration(longest)));
            }
        }
        if self.event_hubs.is_some() && self.commit_interval.0 < Duration::from_secs(1) {
            problems.add("commit_interval", "must be at least 1s: Event Hubs throttles frequent commits");
        }
    }
}

fn is_topic_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok())
}

/// Why a librdkafka setting can't stand under `properties`: it is a secret, or the source decides it.
fn refusal(key: &str) -> Option<String> {
    // librdkafka takes its older names too.
    let instead = match key {
        "bootstrap.servers" | "metadata.broker.list" => "`brokers` or `event_hubs.namespace`",
        "group.id" => "`group`",
        "group.instance.id" => "`group_instance_id`",
        "auto.offset.reset" => "`start`",
        "partition.assignment.strategy" => "`assignment`",
        "security.protocol" | "ssl.ca.location" => "`security.tls` or `event_hubs`",
        "sasl.mechanism" | "sasl.mechanisms" | "sasl.username" => "`security.sasl` or `event_hubs.auth`",
        "sasl.password" => "`security.sasl.password` or `event_hubs.auth`, as a reference to the secret",
        _ if key.starts_with("sasl.oauthbearer.") => "`event_hubs.auth`",
        "enable.auto.commit" | "enable.auto.offset.store" | "auto.commit.interval.ms" | "enable.partition.eof" => {
            return Some("can't be changed: offsets are committed only behind durable rows".to_owned());
        }
        "statistics.interval.ms" | "log.queue" | "opaque" => return Some("can't be changed".to_owned()),
        _ if is_secret(key) => return Some("is a secret, and secrets can't stand in the config".to_owned()),
        _ => return None,
    };
    Some(format!("has a key of its own; write {instead}"))
}

fn is_secret(key: &str) -> bool {
    key.contains("password") || key.contains("secret") || key.contains("key.pem") || key.ends_with("passphrase")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> KafkaConfig {
        serde_json::from_str(text).expect("a config")
    }

    fn problem_keys(config: &KafkaConfig) -> Vec<String> {
        config.problems().into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn a_short_config_is_complete() {
        let config = read(r#"{"brokers":["k1:9092"],"topics":["defender"],"group":"weir"}"#);
        assert_eq!(config.problems(), []);
        assert_eq!(config.max_batch_bytes, ByteSize(4 << 20));
        assert_eq!(config.start, Start::Earliest);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let config = read(
            r#"{"brokers":["k1"],"topics":["a","a","^b.*"],"commit_interval":"0s",
                "properties":{"sasl.password":"x","enable.auto.commit":"true","ssl.key.password":"y","fetch.min.bytes":"1"}}"#,
        );
        let expected = [
            "brokers",
            "topics",
            "topics",
            "group",
            "commit_interval",
            "properties.enable.auto.commit",
            "properties.sasl.password",
            "properties.ssl.key.password",
        ];
        assert_eq!(problem_keys(&config), expected);
    }

    #[test]
    fn a_refused_secret_is_not_repeated_and_its_key_is_named() {
        let config = read(r#"{"brokers":["k:1"],"topics":["a"],"group":"g","properties":{"sasl.password":"hunter2"}}"#);
        let text = format!("{:?}", config.problems());
        assert!(text.contains("security.sasl.password") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn brokers_and_event_hubs_exclude_each_other() {
        let hubs = r#""event_hubs":{"namespace":"ns.servicebus.windows.net","auth":{"workload_identity":{}}}"#;
        let both = read(&format!(r#"{{"brokers":["k:1"],{hubs},"topics":["a"],"group":"g"}}"#));
        assert_eq!(problem_keys(&both), ["brokers"]);
        let one = read(&format!(r#"{{{hubs},"topics":["a"],"group":"g"}}"#));
        assert_eq!(one.problems(), []);
        let hasty = read(&format!(r#"{{{hubs},"topics":["a"],"group":"g","commit_interval":"100ms"}}"#));
        assert_eq!(problem_keys(&hasty), ["commit_interval"]);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<KafkaConfig>(r#"{"topic":"a"}"#).is_err());
    }
}
