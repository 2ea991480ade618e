//! Azure Event Hubs through its Kafka endpoint: where it is, how to sign in, and the settings that it asks for.
//!
//! The settings follow Microsoft's list for librdkafka clients
//! (<https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations>); each one says why.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_azure_identity::AzureCredential;
use weir_azure_identity::credential::{ClientSecret, WorkloadIdentity};
use weir_contract::secret::{Secret, SecretRef};

use super::problems::Problems;

/// An Event Hubs namespace (Standard, Premium or Dedicated; the Basic tier has no Kafka endpoint).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventHubs {
    /// The namespace's host name, such as `contoso.servicebus.windows.net`.
    pub namespace: String,
    /// How to sign in.
    pub auth: EventHubsAuth,
}

/// How to sign in to a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum EventHubsAuth {
    /// Where the connection string is (of the namespace or of the event hub, with the `Listen` claim).
    ConnectionString(SecretRef),
    /// An application with the role Azure Event Hubs Data Receiver, and its client secret.
    ClientSecret(ClientSecret),
    /// A workload identity with the role Azure Event Hubs Data Receiver.
    WorkloadIdentity(WorkloadIdentity),
}

/// What the service asks of a consumer. A user's `properties` go over these.
pub(super) const SETTINGS: [(&str, &str); 11] = [
    ("security.protocol", "SASL_SSL"),
    // Azure drops connections that were silent for 240 s; close or refresh them before it does. librdkafka would lower
    // the limit by itself only for host names with `azure` in them.
    ("socket.keepalive.enable", "true"),
    ("connections.max.idle.ms", "180000"),
    ("topic.metadata.refresh.interval.ms", "180000"),
    ("metadata.max.age.ms", "180000"),
    // The service may take 20 s by itself.
    ("socket.timeout.ms", "60000"),
    ("session.timeout.ms", "30000"),
    ("heartbeat.interval.ms", "3000"),
    // The newer group protocol is not offered.
    ("group.protocol", "classic"),
    // No transactions, and `read_committed` makes offset fetches ask for what the service may not know.
    ("isolation.level", "read_uncommitted"),
    ("check.crcs", "false"),
];

/// The user name that says that the password is a connection string.
pub(super) const CONNECTION_STRING_USER: &str = "$ConnectionString";

impl EventHubs {
    /// The one bootstrap address of the namespace.
    pub(super) fn bootstrap(&self) -> String {
        format!("{}:9093", self.namespace)
    }

    /// The scope of tokens for the namespace.
    pub(super) fn scope(&self) -> String {
        format!("https://{}/.default", self.namespace)
    }

    pub(super) fn problems(&self, topics: &[String], problems: &mut Problems) {
        let is_host = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !self.namespace.contains('.') || !self.namespace.chars().all(is_host) {
            let text =
                format!("is `{}`; write the host name, such as `contoso.servicebus.windows.net`", self.namespace);
            problems.add("event_hubs.namespace", text);
        }
        // Event Hubs keeps the offsets of a group for the whole namespace.
        if topics.iter().any(|topic| topic.len() > 256) {
            problems.add("topics", "has a name longer than 256 characters");
        }
    }
}

impl EventHubsAuth {
    /// The credential to ask Entra ID with; none for a connection string.
    pub fn credential(&self) -> Option<AzureCredential> {
        match self {
            Self::ConnectionString(_) => None,
            Self::ClientSecret(it) => Some(AzureCredential::ClientSecret(it.clone())),
            Self::WorkloadIdentity(it) => Some(AzureCredential::WorkloadIdentity(it.clone())),
        }
    }
}

/// A connection string that can't be the right one. Never holds any part of the key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadConnectionString {
    /// A part is missing.
    Lacks(&'static str),
    /// It is of another namespace.
    OtherNamespace { host: String },
    /// It is of one event hub, and `topics` has others.
    OtherHub { hub: String },
}

impl fmt::Display for BadConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks(part) => write!(
                f,
                "refers to a connection string without `{part}=`; \
                 copy it whole from the portal (`Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`)"
            ),
            Self::OtherNamespace { host } => {
                write!(f, "refers to a connection string of the namespace `{host}`; correct it or `namespace`")
            }
            Self::OtherHub { hub } => write!(
                f,
                "refers to a connection string of the event hub `{hub}` alone; \
                 use the namespace's, or let `topics` be that hub"
            ),
        }
    }
}

/// Finds out at the start what would else be a nameless refusal by the service.
pub(super) fn check_connection_string(
    text: &Secret,
    namespace: &str,
    topics: &[String],
) -> Result<(), BadConnectionString> {
    let part = |name: &str| {
        let mut parts = text.expose().split(';').filter_map(|part| part.split_once('='));
        parts.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    for name in ["Endpoint", "SharedAccessKeyName", "SharedAccessKey"] {
        if part(name).is_none_or(str::is_empty) {
            return Err(BadConnectionString::Lacks(name));
        }
    }
    let endpoint = part("Endpoint").unwrap_or_default();
    let host = endpoint.strip_prefix("sb://").unwrap_or(endpoint).split(['/', ':']).next().unwrap_or_default();
    if !host.eq_ignore_ascii_case(namespace) {
        return Err(BadConnectionString::OtherNamespace { host: host.to_owned() });
    }
    match part("EntityPath") {
        Some(hub) if topics.iter().any(|topic| topic != hub) => {
            Err(BadConnectionString::OtherHub { hub: hub.to_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "contoso.servicebus.windows.net";

    fn check(text: &str, topics: &[&str]) -> Result<(), BadConnectionString> {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        check_connection_string(&Secret::new(text), NAMESPACE, &topics)
    }

    #[test]
    fn a_connection_string_of_another_place_is_found_out() {
        let good = format!("Endpoint=sb://{NAMESPACE}/;SharedAccessKeyName=listen;SharedAccessKey=abc=");
        assert_eq!(check(&good, &["a", "b"]), Ok(()));
        assert_eq!(check(&format!("{good};EntityPath=a"), &["a"]), Ok(()));
        let other_hub = BadConnectionString::OtherHub { hub: "a".to_owned() };
        assert_eq!(check(&format!("{good};EntityPath=a"), &["a", "b"]), Err(other_hub));
        let other = "Endpoint=sb://fabrikam.servicebus.windows.net/;SharedAccessKeyName=l;SharedAccessKey=k3y";
        let error = check(other, &["a"]).expect_err("another namespace");
        assert!(error.to_string().contains("fabrikam") && !error.to_string().contains("k3y"), "{error}");
        assert_eq!(check("k3y", &["a"]), Err(BadConnectionString::Lacks("Endpoint")));
    }
}
