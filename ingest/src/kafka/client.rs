//! Turns the config into librdkafka's settings.

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use weir_contract::position::SourceName;
use weir_contract::secret::SecretRef;

use super::config::{AssignmentStrategy, KafkaConfig, SaslMechanism, Security, Start};
use super::event_hubs::{self, CONNECTION_STRING_USER, EventHubsAuth, check_connection_string};
use super::lag;
use crate::source::SourceError;

/// Settings of every consumer; a user's `properties` go over them.
const SETTINGS: [(&str, &str); 10] = [
    ("client.id", "weir"),
    ("allow.auto.create.topics", "false"),
    ("socket.keepalive.enable", "true"),
    // What the client fetches ahead is outside the memory budget: a fixed overhead, so it is kept small. 16 MiB are
    // several batches; the default is 64 MiB.
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "16777216"),
    // Fetch again soon after the queue was full, not a second later.
    ("fetch.queue.backoff.ms", "20"),
    // How long a broker may hold an answer back while it has nothing new. Kafka answers at once when it has something;
    // other brokers of the protocol wait for this long all the same.
    ("fetch.wait.max.ms", "100"),
    // Brokers close idle connections; that is no news.
    ("log.connection.close", "false"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "10000"),
];

/// Settings that nothing goes over.
const FIXED: [(&str, &str); 3] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("statistics.interval.ms", lag::INTERVAL_MS),
];

/// The consumer's settings, secrets read and put in. Checked by librdkafka, without asking a broker.
pub(super) fn client_config(source: &SourceName, config: &KafkaConfig) -> Result<ClientConfig, SourceError> {
    let mut client = ClientConfig::new();
    set_all(&mut client, &SETTINGS);
    client.set("group.id", &config.group);
    if let Some(id) = &config.group_instance_id {
        client.set("group.instance.id", id);
    }
    client.set(
        "auto.offset.reset",
        match config.start {
            Start::Earliest => "earliest",
            Start::Latest => "latest",
        },
    );
    client.set(
        "partition.assignment.strategy",
        match config.assignment {
            AssignmentStrategy::Range => "range",
            AssignmentStrategy::CooperativeSticky => "cooperative-sticky",
        },
    );
    match &config.event_hubs {
        Some(hubs) => {
            client.set("bootstrap.servers", hubs.bootstrap());
            set_all(&mut client, &event_hubs::SETTINGS);
        }
        None => {
            client.set("bootstrap.servers", config.brokers.join(","));
        }
    }
    for (key, value) in &config.properties {
        client.set(key, value);
    }
    set_all(&mut client, &FIXED);
    // Everything but the secrets, so that what librdkafka says of a value can be repeated.
    client.create_native_config().map_err(|error| property_error(source, &error))?;
    set_sign_in(&mut client, source, config)?;
    Ok(client)
}

fn set_all(client: &mut ClientConfig, settings: &[(&str, &str)]) {
    for (key, value) in settings {
        client.set(*key, *value);
    }
}

fn set_sign_in(client: &mut ClientConfig, source: &SourceName, config: &KafkaConfig) -> Result<(), SourceError> {
    match (&config.event_hubs, &config.security) {
        (Some(hubs), _) => match &hubs.auth {
            EventHubsAuth::ConnectionString(secret) => {
                let key = "event_hubs.auth.connection_string";
                let text = read_secret(source, key, secret)?;
                check_connection_string(&text, &hubs.namespace, &config.topics)
                    .map_err(|bad| config_error(source, key, bad.to_string()))?;
                client.set("sasl.mechanism", "PLAIN");
                client.set("sasl.username", CONNECTION_STRING_USER);
                client.set("sasl.password", text.expose());
            }
            EventHubsAuth::ClientSecret(_) | EventHubsAuth::WorkloadIdentity(_) => {
                client.set("sasl.mechanism", "OAUTHBEARER");
            }
        },
        (None, Some(security)) => set_security(client, source, security)?,
        (None, None) => {}
    }
    Ok(())
}

fn set_security(client: &mut ClientConfig, source: &SourceName, security: &Security) -> Result<(), SourceError> {
    let protocol = match (&security.tls, &security.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    if let Some(ca) = security.tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
        if !ca.is_file() {
            return Err(config_error(source, "security.tls.ca", format!("`{}` is no file", ca.display())));
        }
        client.set("ssl.ca.location", ca.to_string_lossy());
    }
    if let Some(sasl) = &security.sasl {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        client.set("sasl.mechanism", mechanism);
        client.set("sasl.username", &sasl.username);
        client.set("sasl.password", read_secret(source, "security.sasl.password", &sasl.password)?.expose());
    }
    Ok(())
}

fn read_secret(
    source: &SourceName,
    key: &str,
    secret: &SecretRef,
) -> Result<weir_contract::secret::Secret, SourceError> {
    secret.read().map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        config_error(source, key, format!("can't be read: {error}{cause}"))
    })
}

fn property_error(source: &SourceName, error: &KafkaError) -> SourceError {
    match error {
        KafkaError::ClientConfig(_, reason, key, _) => {
            config_error(source, &format!("properties.{key}"), format!("is refused by librdkafka: {reason}"))
        }
        other => config_error(source, "properties", format!("are refused by librdkafka: {other}")),
    }
}

pub(super) fn config_error(source: &SourceName, key: &str, problem: String) -> SourceError {
    SourceError::Config { source_name: source.clone(), key: key.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(config: &str) -> Result<ClientConfig, SourceError> {
        let config: KafkaConfig = serde_json::from_str(config).expect("a config");
        assert_eq!(config.problems(), []);
        client_config(&"test".into(), &config)
    }

    fn secret_file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().expect("temp folder");
        let path = directory.path().join("secret");
        std::fs::write(&path, text).expect("temp file");
        let path = path.display().to_string();
        (directory, path)
    }

    #[test]
    fn the_event_hubs_preset_signs_in_with_the_connection_string() {
        let text = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=s3cret=";
        let (_directory, path) = secret_file(text);
        let client = build(&format!(
            r#"{{"event_hubs":{{"namespace":"ns.servicebus.windows.net","auth":{{"connection_string":{{"file":"{path}"}}}}}},
                "topics":["defender"],"group":"weir","properties":{{"session.timeout.ms":"60000"}}}}"#
        ))
        .expect("a valid client");
        let expected = [
            ("bootstrap.servers", "ns.servicebus.windows.net:9093"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "$ConnectionString"),
            ("sasl.password", text),
            ("connections.max.idle.ms", "180000"),
            ("isolation.level", "read_uncommitted"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("session.timeout.ms", "60000"),
        ];
        for (key, value) in expected {
            assert_eq!(client.get(key), Some(value), "{key}");
        }
        assert!(!format!("{client:?}").contains("s3cret"));
        client.create_native_config().expect("librdkafka takes it, SASL and TLS included");
    }

    #[test]
    fn entra_id_tokens_come_through_the_callback() {
        let client = build(
            r#"{"event_hubs":{"namespace":"ns.servicebus.windows.net","auth":{"workload_identity":{}}},
                "topics":["defender"],"group":"weir","assignment":"cooperative-sticky"}"#,
        )
        .expect("a valid client");
        assert_eq!(client.get("sasl.mechanism"), Some("OAUTHBEARER"));
        assert_eq!(client.get("partition.assignment.strategy"), Some("cooperative-sticky"));
        client.create_native_config().expect("librdkafka takes it");
    }

    #[test]
    fn plain_brokers_take_tls_and_a_password() {
        let (_directory, path) = secret_file("pass\n");
        let client = build(&format!(
            r#"{{"brokers":["a:1","b:2"],"topics":["t"],"group":"g",
                "security":{{"tls":{{}},"sasl":{{"mechanism":"scram-sha-512","username":"u","password":{{"file":"{path}"}}}}}}}}"#
        ))
        .expect("a valid client");
        assert_eq!(client.get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(client.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(client.get("sasl.password"), Some("pass"));
        client.create_native_config().expect("librdkafka takes it");
    }

    #[test]
    fn a_wrong_property_is_named() {
        let error = build(r#"{"brokers":["a:1"],"topics":["t"],"group":"g","properties":{"fetch.min.byte":"1"}}"#);
        let text = error.expect_err("no such setting").to_string();
        assert!(text.contains("properties.fetch.min.byte"), "{text}");
    }
}
