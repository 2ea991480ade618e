//! What the config says about an HTTP source.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_contract::secret::SecretRef;
use weir_contract::units::{ByteSize, Span};

use crate::decode::table_name_fault;
use crate::push::config::{BufferConfig, TlsConfig};

/// A source that listens for HTTP requests, and keeps what they bring in a buffer on the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port, such as `0.0.0.0:8088`.
    pub listen: SocketAddr,
    /// Tokens that senders show: `Authorization: Bearer …`, for the collector `Authorization: Splunk …`. Without one,
    /// only a loopback address may be listened on.
    #[serde(default)]
    pub tokens: Vec<SecretRef>,
    /// The certificate for HTTPS. Absent: plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// The table of rows that name none themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Speaks Splunk's HTTP Event Collector too, under `/services/collector`. Absent: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<CollectorConfig>,
    /// The buffer on the disk.
    #[serde(default)]
    pub buffer: BufferConfig,
    /// Largest request body, decompressed (default 16MiB). A larger one is answered with 413.
    #[serde(default = "default_max_request_size")]
    pub max_request_size: ByteSize,
    /// Memory for requests that are under way, a share of `memory.budget` (default 64MiB).
    #[serde(default = "default_request_memory")]
    pub request_memory: ByteSize,
    /// Longest time until an answer (default 30s). What has no room by then is answered with 503.
    #[serde(default = "default_request_timeout")]
    pub request_timeout: Span,
    /// A connection on which nothing moves for so long is closed (default 2m).
    #[serde(default = "default_idle_timeout")]
    pub idle_timeout: Span,
    /// Most connections at once (default 512).
    #[serde(default = "default_max_connections")]
    pub max_connections: usize,
}

/// Splunk's HTTP Event Collector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorConfig {
    /// The table of events by their `sourcetype`; others are in the source's `table`.
    pub tables: BTreeMap<String, String>,
    /// Whether requests with a channel get an `ackId`, which turns true when the sinks have their events (default false).
    pub acknowledge: bool,
}

fn default_max_request_size() -> ByteSize {
    ByteSize(16 << 20)
}

fn default_request_memory() -> ByteSize {
    ByteSize(64 << 20)
}

fn default_request_timeout() -> Span {
    Span(Duration::from_secs(30))
}

fn default_idle_timeout() -> Span {
    Span(Duration::from_secs(120))
}

fn default_max_connections() -> usize {
    512
}

impl HttpConfig {
    /// Every value that the source cannot work with, as its key (dots between the steps) and what is wrong with it.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut push = |key: &str, text: String| faults.push((key.to_owned(), text));
        if self.tokens.is_empty() && !self.listen.ip().is_loopback() {
            push("listen", "is open to others, and no token is asked for; add `tokens:`".to_owned());
        }
        if !(1024..=256 << 20).contains(&self.max_request_size.0) {
            push("max_request_size", "must lie between 1KiB and 256MiB; 16MiB suits most senders".to_owned());
        }
        // A body is held as received, decompressed and as records, one behind the other.
        if self.request_memory.0 < self.max_request_size.0.saturating_mul(2) {
            push(
                "request_memory",
                "is less than two of the largest requests; raise it to twice `max_request_size`".into(),
            );
        }
        if let Some(text) = self.buffer.fault(self.max_request_size.0) {
            push("buffer.max_size", text);
        }
        if self.request_timeout.0.is_zero() {
            push("request_timeout", "is 0; write how long senders may wait, such as 30s".to_owned());
        }
        if self.idle_timeout.0 <= self.request_timeout.0 {
            push(
                "idle_timeout",
                "must be longer than `request_timeout`: nothing moves while a request waits".to_owned(),
            );
        }
        if self.max_connections == 0 {
            push("max_connections", "is 0; write how many senders may be connected, such as 512".to_owned());
        }
        if let Some(text) = self.table.as_deref().and_then(table_name_fault) {
            push("table", text);
        }
        for (sourcetype, table) in self.collector.iter().flat_map(|collector| &collector.tables) {
            if let Some(text) = table_name_fault(table) {
                push(
                    "collector.tables",
                    format!("has `{sourcetype}: {table}`, {}", text.split_once(", ").map_or("", |it| it.1)),
                );
            }
        }
        faults
    }
}
