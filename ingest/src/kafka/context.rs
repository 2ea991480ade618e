//! What librdkafka calls back: rebalances, statistics, errors and token requests.
//!
//! Everything here runs on the thread that polls, so it may wait for a broker, but never for the pipeline.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use weir_contract::position::{Offset as PositionOffset, SourceName};

use super::assignment::{Assignment, topic_partition};
use super::lag::Facts;
use super::oauth::Tokens;
use super::offsets::{Committable, TopicPartition};
use crate::metrics::IngestMetrics;

/// The callbacks of one consumer.
pub(super) struct Context {
    pub(super) source: SourceName,
    pub(super) assignment: Arc<Assignment>,
    pub(super) metrics: IngestMetrics,
    pub(super) tokens: Option<Tokens>,
    connected: AtomicBool,
    /// The last error that the client told of, for the message when the start fails.
    trouble: Mutex<Option<Trouble>>,
    /// Partitions that are read to some offset, by the newest statistics.
    drained: Mutex<Vec<(TopicPartition, u64)>>,
}

/// What is wrong with the connection.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) text: String,
    /// Whether waiting can't help.
    pub(super) hopeless: bool,
}

impl Context {
    pub(super) fn new(
        source: SourceName,
        assignment: Arc<Assignment>,
        metrics: IngestMetrics,
        tokens: Option<Tokens>,
    ) -> Self {
        metrics.connected.with_label_values(&[source.as_ref()]).set(0);
        Self {
            source,
            assignment,
            metrics,
            tokens,
            connected: AtomicBool::new(false),
            trouble: Mutex::default(),
            drained: Mutex::default(),
        }
    }

    /// Notes whether a broker is connected; logs a change.
    pub(super) fn set_connected(&self, connected: bool) {
        if self.connected.swap(connected, Ordering::AcqRel) == connected {
            return;
        }
        self.metrics.connected.with_label_values(&[self.source.as_ref()]).set(i64::from(connected));
        if connected {
            tracing::info!(source = %self.source, "connected to the brokers");
        } else {
            let trouble = self.trouble().map(|trouble| trouble.text).unwrap_or_default();
            tracing::warn!(source = %self.source, trouble, "lost all brokers, trying to connect again");
        }
    }

    /// The last error that the client told of.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().expect("no panic while held").clone()
    }

    fn set_trouble(&self, text: String, hopeless: bool) {
        *self.trouble.lock().expect("no panic while held") = Some(Trouble { text, hopeless });
    }

    /// Partitions that the newest statistics call read to some offset; empties the list.
    pub(super) fn take_drained(&self) -> Vec<(TopicPartition, u64)> {
        std::mem::take(&mut self.drained.lock().expect("no panic while held"))
    }

    /// Publishes the lag of every partition.
    pub(super) fn report_lags(&self) {
        for (id, lag) in self.assignment.lags() {
            let lag = i64::try_from(lag).unwrap_or(i64::MAX);
            self.metrics.lag.with_label_values(&[self.source.as_ref(), id.as_ref()]).set(lag);
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, revoked: &[TopicPartition]) {
        let (ended, left) = self.assignment.revoke(revoked);
        for holding in ended {
            let _ = self.metrics.lag.remove_label_values(&[self.source.as_ref(), holding.id.as_ref()]);
        }
        if left.is_empty() {
            return;
        }
        if consumer.assignment_lost() {
            tracing::warn!(source = %self.source, "partitions were taken away before their offsets were committed; \
                the new owner reads some records again");
            return;
        }
        if let Err(error) = consumer.commit(&offset_list(&left), CommitMode::Sync) {
            tracing::warn!(source = %self.source, %error, "cannot commit the offsets of revoked partitions; \
                the new owner reads some records again");
        }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // The client repeats itself with every attempt to connect; what matters comes through `error`.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(source = %self.source, facility, message, "librdkafka");
            }
            _ => tracing::debug!(source = %self.source, facility, message, "librdkafka"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let facts = match Facts::read(statistics) {
            Ok(facts) => facts,
            Err(error) => {
                tracing::debug!(source = %self.source, %error, "cannot read librdkafka's statistics");
                return;
            }
        };
        self.set_connected(facts.connected);
        for (partition, observed) in facts.partitions {
            self.assignment.observe(&partition, observed);
        }
        *self.drained.lock().expect("no panic while held") = facts.drained;
        self.report_lags();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(source = %self.source, %error, reason, "librdkafka reports an error");
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.set_connected(false);
        } else if !self.trouble().is_some_and(|trouble| trouble.hopeless) {
            self.set_trouble(reason.to_owned(), false);
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let tokens = self.tokens.as_ref().ok_or("no credential is configured")?;
        tokens.fetch().map_err(|error| {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            tracing::warn!(source = %self.source, error = text, "cannot get an access token");
            self.set_trouble(text.clone(), !error.is_retryable());
            text.into()
        })
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let assigned = partitions(list);
                tracing::info!(source = %self.source, partitions = assigned.len(), "partitions assigned");
                self.assignment.assign(assigned);
            }
            Rebalance::Revoke(list) => {
                let revoked = partitions(list);
                tracing::info!(source = %self.source, partitions = revoked.len(), "partitions revoked");
                self.revoke(consumer, &revoked);
            }
            Rebalance::Error(error) => {
                // The client then gives all partitions up.
                tracing::warn!(source = %self.source, %error, "rebalance failed");
                let all: Vec<_> = self.assignment.held().into_iter().map(|(partition, _)| partition).collect();
                self.assignment.revoke(&all);
            }
        }
    }
}

/// The list that librdkafka commits. The workspace's front travels as the metadata of each offset.
pub(super) fn offset_list(positions: &[Committable]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for it in positions {
        let next = i64::try_from(it.next.0).unwrap_or(i64::MAX);
        let mut element = list.add_partition(&it.partition.topic, it.partition.partition);
        element.set_offset(Offset::Offset(next)).expect("an offset that a broker gave is not negative");
        if it.delivered > it.next {
            element.set_metadata(format!("{DELIVERED}{}", it.delivered));
        }
    }
    list
}

/// What stands before the workspace's front in the metadata of a committed offset.
const DELIVERED: &str = "weir workspace=";

/// The workspace's front in the metadata of a committed offset; 0 if there is none.
pub(super) fn delivered_in(metadata: &str) -> PositionOffset {
    PositionOffset(metadata.strip_prefix(DELIVERED).and_then(|front| front.parse().ok()).unwrap_or(0))
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|element| topic_partition(element.topic(), element.partition())).collect()
}
