//! The `tansu` broker: the Kafka protocol from a process of its own, topics in memory.

use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::server::{Server, free_port, tool};

/// A broker on loopback.
pub(crate) struct Tansu {
    bootstrap: String,
    _server: Server,
}

impl Tansu {
    /// Starts a broker and waits until it answers a client.
    pub(crate) async fn start() -> Self {
        let binary = tool("tansu-0.6.0/bin/tansu", "tansu.sh");
        let bootstrap = format!("127.0.0.1:{}", free_port());
        let url = format!("tcp://{bootstrap}");
        let mut command = Command::new(binary);
        command.args(["broker", "--listener-url", &url, "--advertised-listener-url", &url]);
        command.args(["--storage-engine", "memory://tansu/"]).env("RUST_LOG", "warn");
        let mut server = Server::start("tansu", &mut command);
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &bootstrap).create().expect("a client");
        server.ready(|| client.fetch_metadata(None, Duration::from_secs(1)).is_ok()).await;
        Self { bootstrap, _server: server }
    }

    /// `host:port`, as `brokers` takes it.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic and waits until clients see it.
    pub(crate) async fn create_topic(&self, topic: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().expect("a client");
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let results = admin.create_topics([&new], &AdminOptions::new()).await.expect("the broker answers");
        results.into_iter().next().expect("one answer").expect("the topic is new");
        let seen = || {
            let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(1)).ok();
            metadata
                .is_some_and(|it| it.topics().first().is_some_and(|it| it.partitions().len() == partitions as usize))
        };
        while !seen() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
