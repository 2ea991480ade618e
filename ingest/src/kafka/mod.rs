//! The Kafka source: topics read as a member of a consumer group, Azure Event Hubs included.
//!
//! ```text
//! librdkafka ──poll──▶ reader thread ──1 batch──▶ hand-over task ──queue──▶ pipeline
//!                        gathers, commits            reserves memory            │
//!                              ▲                                                │
//!                              └──────────────── acknowledgements ──────────────┘
//! ```
//!
//! Messages of all partitions travel in one batch, each message a document of its own. Offsets are committed by the
//! acknowledgements alone: per partition the contiguous front ([`offsets`]), at most once per `commit_interval`, when a
//! partition is revoked, and at the end. So delivery is at least once: what was not acknowledged is read again, and
//! the lake skips what it has. Beside each offset stands how far the workspace is.
//!
//! Outside the memory budget stand at most three batches (one gathered, one offered, one that waits for its
//! reservation) and what librdkafka fetches ahead, 16 MiB.

use std::sync::Arc;

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::BaseConsumer;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_azure_identity::TokenProvider;
use weir_azure_identity::exchange::http_client;
use weir_contract::ack::{self, AckSender};
use weir_contract::batch::{Framing, RawBatch};
use weir_contract::memory::MemoryBudget;
use weir_contract::position::{Offset, Origin, Repeats, SourceName};

use crate::metrics::IngestMetrics;
use crate::source::{Source, SourceError};
use assignment::Assignment;
use builder::Filled;
use client::{client_config, config_error};
use config::{KafkaConfig, Start};
use context::Context;
use oauth::Tokens;
use offsets::Lease;
use reader::{Reader, Signals};

mod assignment;
mod builder;
mod client;
mod committer;
pub mod config;
mod context;
mod ends;
pub mod event_hubs;
mod lag;
mod oauth;
pub mod offsets;
pub mod problems;
mod reader;

/// Reads topics as a member of a consumer group.
pub struct KafkaSource {
    name: SourceName,
    config: KafkaConfig,
    client: ClientConfig,
    /// Where tokens come from, and their scope.
    tokens: Option<(TokenProvider, String)>,
    budget: MemoryBudget,
    metrics: IngestMetrics,
    until_end: bool,
    remembers_workspace: bool,
}

impl KafkaSource {
    /// A source that is ready to run; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`SourceError::Config`] with the first fault of `config` (see [`KafkaConfig::problems`] for all of them), when a
    /// secret can't be read, or when librdkafka refuses a setting.
    pub fn new(
        name: SourceName,
        config: KafkaConfig,
        budget: MemoryBudget,
        metrics: IngestMetrics,
    ) -> Result<Self, SourceError> {
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(config_error(&name, &problem.key, problem.text));
        }
        let client = client_config(&name, &config)?;
        let tokens = Self::tokens(&name, &config)?;
        Ok(Self { name, config, client, tokens, budget, metrics, until_end: false, remembers_workspace: false })
    }

    /// Whether to end once every assigned partition is read to the offset that it ended at when it was assigned. For
    /// finite runs; off unless said.
    #[must_use]
    pub fn read_to_end(mut self, until_end: bool) -> Self {
        self.until_end = until_end;
        self
    }

    /// Whether to store, beside each offset, how far the workspace is: after a crash it is then not sent again what it had
    /// before the lake had it. For pipelines that write to one; off unless said.
    #[must_use]
    pub fn remember_workspace(mut self, remembers: bool) -> Self {
        self.remembers_workspace = remembers;
        self
    }

    fn tokens(name: &SourceName, config: &KafkaConfig) -> Result<Option<(TokenProvider, String)>, SourceError> {
        let Some(hubs) = &config.event_hubs else { return Ok(None) };
        let Some(credential) = hubs.auth.credential() else { return Ok(None) };
        credential.check().map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            config_error(name, "event_hubs.auth", format!("can't be used: {error}{cause}"))
        })?;
        let http = http_client().map_err(|error| SourceError::Service {
            source_name: name.clone(),
            problem: "cannot set up TLS for the sign-in service".to_owned(),
            retryable: false,
            source: Some(Box::new(error)),
        })?;
        Ok(Some((TokenProvider::new(credential, http), hubs.scope())))
    }
}

#[async_trait::async_trait]
impl Source for KafkaSource {
    fn name(&self) -> &SourceName {
        &self.name
    }

    async fn run(self: Box<Self>, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError> {
        let mut this = *self;
        // Whether the end of a partition is an event.
        this.client.set("enable.partition.eof", if this.until_end { "true" } else { "false" });
        let (acks, reports) = if this.remembers_workspace { ack::channel_by_sink() } else { ack::channel() };
        let assignment = Arc::new(Assignment::new(reports));
        let (filled_tx, filled_rx) = mpsc::channel(1); // one batch of max_batch_bytes
        let signals = Signals { stop, ..Signals::default() };
        // Whatever becomes of this future, the thread ends.
        let _abandon = signals.abandoned.clone().drop_guard();

        let hand_over = HandOver {
            name: this.name.clone(),
            default_table: this.config.table.as_deref().map(Arc::from),
            budget: this.budget,
            metrics: this.metrics.clone(),
            acks,
            assignment: Arc::clone(&assignment),
            stop: signals.stop.clone(),
            starts_with_newest: this.config.start == Start::Latest,
        };
        let runtime = Handle::current();
        let tokens = this.tokens.map(|(provider, scope)| Tokens {
            provider,
            scope,
            runtime: runtime.clone(),
            stop: signals.stop.clone(),
        });
        let context = Context::new(this.name.clone(), assignment, this.metrics, tokens);
        let name = this.name.clone();
        let handed_over = signals.handed_over.clone();
        let (ended_tx, mut ended) = oneshot::channel();
        let thread = move || {
            let result = BaseConsumer::from_config_and_context(&this.client, context)
                .map_err(|error| SourceError::Service {
                    source_name: name.clone(),
                    problem: "cannot start the Kafka client".to_owned(),
                    retryable: false,
                    source: Some(Box::new(error)),
                })
                .and_then(|consumer| {
                    Reader::new(name, this.config, consumer, filled_tx, signals, runtime, this.until_end)?.run()
                });
            // Nobody listens when the future was dropped.
            let _ = ended_tx.send(result);
        };
        std::thread::Builder::new().name(format!("kafka-{}", this.name)).spawn(thread).map_err(|error| {
            SourceError::Service {
                source_name: this.name.clone(),
                problem: "cannot start the reading thread".to_owned(),
                retryable: true,
                source: Some(Box::new(error)),
            }
        })?;

        let died = |_| SourceError::ReaderDied { source_name: this.name.clone() };
        let handed = tokio::select! {
            // The thread ends by itself only when it can't go on.
            result = &mut ended => return result.map_err(died)?,
            handed = hand_over.run(filled_rx, out) => handed,
        };
        handed_over.cancel();
        let result = ended.await.map_err(died)?;
        handed.and(result)
    }
}

/// Moves batches from the reader to the pipeline, each with its memory and its acknowledgement.
struct HandOver {
    name: SourceName,
    default_table: Option<Arc<str>>,
    budget: MemoryBudget,
    metrics: IngestMetrics,
    acks: AckSender,
    assignment: Arc<Assignment>,
    stop: CancellationToken,
    starts_with_newest: bool,
}

impl HandOver {
    /// Runs until the reader has no more or the stop; `out` is closed then. A batch that waits for its memory when the
    /// stop comes is let go; it was never handed over.
    async fn run(self, mut filled: mpsc::Receiver<Filled>, out: mpsc::Sender<RawBatch>) -> Result<(), SourceError> {
        let stopped = self.stop.clone().cancelled_owned();
        tokio::select! {
            biased;
            () = stopped => Ok(()),
            result = self.forward(&mut filled, &out) => result,
        }
    }

    async fn forward(
        &self,
        filled: &mut mpsc::Receiver<Filled>,
        out: &mpsc::Sender<RawBatch>,
    ) -> Result<(), SourceError> {
        let mut number = 0;
        while let Some(mut batch) = filled.recv().await {
            let mut permit = self.budget.reserve(batch.bytes()).await;
            let slot = out.reserve().await.map_err(|_| SourceError::Closed { source_name: self.name.clone() })?;
            // From here on nothing waits, so that what is counted as handed over is handed over.
            number += 1;
            self.metrics.count_skipped(&self.name, "tombstone", batch.tombstones);
            if self.starts_with_newest {
                self.assignment.began(batch.ranges.iter().map(|range| (range.lease, range.start)));
            }
            let leases: Vec<(Lease, Offset, Offset)> =
                batch.ranges.iter().map(|range| (range.lease, range.start, range.next)).collect();
            let live = self.assignment.hand_over(number, &leases, batch.records.is_empty());
            batch.retain(&live);
            self.metrics.count_in_flight(&self.name, self.assignment.in_flight());
            let ack = self.acks.issue(number);
            if batch.records.is_empty() {
                ack.done();
                continue;
            }
            permit.resize(batch.bytes());
            let origin =
                Arc::new(Origin { source: self.name.clone(), ranges: batch.offset_ranges(), positions: Repeats::Same });
            slot.send(RawBatch {
                origin,
                framing: Framing::Document,
                default_table: self.default_table.clone(),
                records: batch.records,
                ack,
                permit,
            });
        }
        Ok(())
    }
}
