//! The thread that polls.
//!
//! librdkafka's consumer wants to be polled, or the group takes its partitions away; its callbacks run inside the poll,
//! and some of them wait for a broker. So a thread of its own does nothing else: it gathers messages into batches and
//! offers them to the hand-over through a channel of one. While that is full it stops gathering, at first by simply not
//! polling (a slow moment costs nothing), after a second by pausing the partitions and polling on, so that the worker
//! stays in its group however long the sinks take.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::position::{Offset, SourceName};

use super::assignment::{Assignment, Holding, Observed};
use super::builder::{BatchBuilder, Filled};
use super::committer::Committer;
use super::config::KafkaConfig;
use super::context::{Context, delivered_in};
use super::ends::{self, Ends};
use super::offsets::{Committable, TopicPartition};
use crate::source::SourceError;

/// Longest sleep in one poll: how late a stop or an acknowledgement is seen.
const POLL: Duration = Duration::from_millis(50);
/// How long a full queue is waited for before the partitions are paused. Pausing throws away what was fetched ahead,
/// so it is not for a short wait; not polling for a second is far within what the group allows.
const PATIENCE: Duration = Duration::from_secs(1);
/// Messages between two looks at acknowledgements and signals.
const MESSAGES_PER_ROUND: usize = 1000;
/// Time between two looks at the newest offsets while paused, when no fetch brings them.
const LOOK_AHEAD: Duration = Duration::from_secs(5);
/// Longest wait for what is stored beside the committed offsets.
const LOOK_UP: Duration = Duration::from_secs(5);
/// Longest wait for the last commit's confirmation.
const LAST_COMMIT: Duration = Duration::from_secs(20);

/// What the thread is told from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    /// Read no more.
    pub(super) stop: CancellationToken,
    /// No further batch will be handed over.
    pub(super) handed_over: CancellationToken,
    /// Nobody waits for the thread any more: end without waiting for acknowledgements.
    pub(super) abandoned: CancellationToken,
}

/// Everything that the thread works with.
pub(super) struct Reader {
    name: SourceName,
    config: KafkaConfig,
    consumer: Arc<BaseConsumer<Context>>,
    committer: Committer,
    assignment: Arc<Assignment>,
    filled: Option<mpsc::Sender<Filled>>,
    signals: Signals,
    runtime: Handle,
    builder: BatchBuilder,
    held: Vec<(TopicPartition, Holding)>,
    epoch: u64,
    /// Only when reading to the end.
    ends: Option<Ends>,
    ask_ends_at: Instant,
    paused: bool,
    /// Partitions that were lost while they were paused. The client keeps its mark on them: without a resumption they
    /// would not be read when they come back.
    lost_paused: HashSet<TopicPartition>,
    look_ahead_at: Instant,
    commit_at: Instant,
}

enum Room {
    Free,
    None,
    Stopping,
}

impl Reader {
    pub(super) fn new(
        name: SourceName,
        config: KafkaConfig,
        consumer: BaseConsumer<Context>,
        filled: mpsc::Sender<Filled>,
        signals: Signals,
        runtime: Handle,
        until_end: bool,
    ) -> Result<Self, SourceError> {
        let now = Instant::now();
        let consumer = Arc::new(consumer);
        let committer = Committer::start(Arc::clone(&consumer)).map_err(|error| SourceError::Service {
            source_name: name.clone(),
            problem: "cannot start the thread that commits offsets".to_owned(),
            retryable: true,
            source: Some(Box::new(error)),
        })?;
        Ok(Self {
            name,
            assignment: Arc::clone(&consumer.context().assignment),
            consumer,
            committer,
            filled: Some(filled),
            signals,
            runtime,
            builder: BatchBuilder::default(),
            held: Vec::new(),
            epoch: 0,
            ends: until_end.then(Ends::default),
            ask_ends_at: now,
            paused: false,
            lost_paused: HashSet::new(),
            look_ahead_at: now,
            commit_at: now + config.commit_interval.0,
            config,
        })
    }

    /// Connects, reads until the end or the stop, waits for the acknowledgements, commits and leaves the group.
    ///
    /// What is acknowledged is committed after a failure too; never anything behind an unacknowledged batch.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let result = self.connect().and_then(|()| self.read()).and_then(|()| self.wind_down());
        let committed = self.commit_last();
        if committed.is_ok() {
            // Or the consumer would be closed, and the group left, on that thread and after our return.
            self.committer.finish();
        }
        result.and(committed)
    }

    /// Waits until a broker answers for every topic.
    fn connect(&self) -> Result<(), SourceError> {
        let deadline = Instant::now() + self.config.start_timeout.0;
        for topic in &self.config.topics {
            loop {
                if self.is_stopping() {
                    return Ok(());
                }
                // Serves token requests and errors; nothing is subscribed yet, so no message can come.
                let _ = self.consumer.poll(POLL);
                let Some(problem) = self.look_up(topic)? else { break };
                let trouble = self.consumer.context().trouble();
                let hopeless = trouble.as_ref().is_some_and(|trouble| trouble.hopeless);
                if hopeless || Instant::now() >= deadline {
                    let cause = trouble.map_or(problem, |trouble| trouble.text);
                    return Err(self.cannot_connect(&cause, hopeless));
                }
            }
        }
        self.consumer.context().set_connected(true);
        let topics: Vec<&str> = self.config.topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&topics).map_err(|error| self.service("cannot subscribe to the topics", false, error))
    }

    /// Asks a broker for `topic`; `Some` says why there is no usable answer yet.
    fn look_up(&self, topic: &str) -> Result<Option<String>, SourceError> {
        let metadata = match self.consumer.fetch_metadata(Some(topic), Duration::from_secs(2)) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let Some(code) = metadata.topics().first().and_then(|topic| topic.error()).map(RDKafkaErrorCode::from) else {
            return Ok(None);
        };
        match code {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                let text = format!("topic `{topic}` does not exist; create it, or correct `topics`");
                Err(self.service(&text, false, code))
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => Err(self.unauthorized(code)),
            other => Ok(Some(other.to_string())),
        }
    }

    fn read(&mut self) -> Result<(), SourceError> {
        while !self.is_stopping() {
            self.serve()?;
            let wait = match self.builder.opened_at() {
                None => POLL,
                Some(opened) => POLL.min(self.config.max_batch_wait.0.saturating_sub(opened.elapsed())),
            };
            self.poll(wait)?;
            let at_end = self.is_at_end();
            if (at_end || self.is_batch_ready()) && self.builder.opened_at().is_some() {
                self.offer()?;
            }
            if at_end {
                break;
            }
        }
        Ok(())
    }

    /// Polls once, then takes what has arrived already.
    fn poll(&mut self, wait: Duration) -> Result<(), SourceError> {
        let consumer = Arc::clone(&self.consumer);
        let mut wait = wait;
        let mut received = false;
        for _ in 0..MESSAGES_PER_ROUND {
            let polled = consumer.poll(wait);
            if self.assignment.epoch() != self.epoch {
                self.see_rebalance();
            }
            match polled {
                None => break,
                Some(Ok(message)) => {
                    received = true;
                    let offset = Offset(u64::try_from(message.offset()).unwrap_or_default());
                    self.builder.push(message.topic(), message.partition(), offset, message.payload());
                    if self.builder.bytes() >= self.config.max_batch_bytes.as_usize() {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    if let Some(ends) = &mut self.ends {
                        ends.end_seen(number);
                    }
                }
                Some(Err(error)) => self.judge(error)?,
            }
            wait = Duration::ZERO;
        }
        if received {
            consumer.context().set_connected(true);
        }
        if let Some(ends) = &mut self.ends {
            for range in self.builder.ranges() {
                ends.advance(range.lease, range.next);
            }
            for (partition, offset) in consumer.context().take_drained() {
                ends.drained(&partition, offset);
            }
        }
        Ok(())
    }

    fn see_rebalance(&mut self) {
        self.epoch = self.assignment.epoch();
        self.look_up_delivered();
        let before = std::mem::replace(&mut self.held, self.assignment.held());
        self.builder.set_held(self.held.clone());
        self.ask_ends_at = Instant::now();
        let is_held = |partition: &TopicPartition| self.held.iter().any(|(held, _)| held == partition);
        if self.paused {
            let names = before.into_iter().map(|(partition, _)| partition);
            self.lost_paused.extend(names.filter(|partition| !is_held(partition)));
            // Partitions that came while the others are paused.
            self.pause(true);
        } else if self.lost_paused.iter().any(is_held) {
            self.pause(false);
        }
    }

    /// Asks, for partitions that have just come, how far the workspace is: that is stored beside the committed offset.
    fn look_up_delivered(&self) {
        let is_known = |holding: &Holding| self.held.iter().any(|(_, known)| known.lease == holding.lease);
        let new: Vec<_> = self.assignment.held().into_iter().filter(|(_, holding)| !is_known(holding)).collect();
        if new.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(new.len());
        for (partition, _) in &new {
            list.add_partition(&partition.topic, partition.partition);
        }
        match self.consumer.committed_offsets(list, LOOK_UP) {
            Ok(committed) => {
                for (partition, _) in &new {
                    let found = committed.find_partition(&partition.topic, partition.partition);
                    if let Some(element) = found {
                        self.assignment.resume(partition, delivered_in(element.metadata()));
                    }
                }
            }
            Err(error) => tracing::warn!(
                source = %self.name,
                %error,
                "cannot ask how far the workspace is; some rows may be sent to it again"
            ),
        }
    }

    /// Ends the source on errors that no waiting cures; the client itself cures the others.
    fn judge(&self, error: KafkaError) -> Result<(), SourceError> {
        let code = error.rdkafka_error_code();
        match (&error, code) {
            (KafkaError::MessageConsumptionFatal(_), Some(RDKafkaErrorCode::FencedInstanceId)) => Err(self.service(
                "another worker runs with the same `group_instance_id`; give each its own",
                false,
                error,
            )),
            (KafkaError::MessageConsumptionFatal(_), _) => {
                Err(self.service("the Kafka client cannot go on", true, error))
            }
            (_, Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed)) => {
                Err(self.unauthorized(error))
            }
            (_, Some(RDKafkaErrorCode::InconsistentGroupProtocol)) => {
                Err(self.service("the other workers of the group have another `assignment`", false, error))
            }
            (_, Some(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                tracing::warn!(source = %self.name, %error, "a topic is gone; waiting for it to come back");
                Ok(())
            }
            _ => {
                tracing::debug!(source = %self.name, %error, "the client reports an error and goes on");
                Ok(())
            }
        }
    }

    /// Takes acknowledgements in and commits what they allow.
    fn serve(&mut self) -> Result<(), SourceError> {
        self.assignment.settle().map_err(|batch| SourceError::NotDurable { source_name: self.name.clone(), batch })?;
        let now = Instant::now();
        if now >= self.commit_at {
            self.commit_at = now + self.config.commit_interval.0;
            self.commit(self.assignment.take_committable());
        }
        Ok(())
    }

    fn commit(&self, positions: Vec<Committable>) {
        if !positions.is_empty() && !self.committer.submit(positions.clone()) {
            self.assignment.commit_answered(&positions, false);
        }
    }

    fn is_batch_ready(&self) -> bool {
        let is_full = self.builder.bytes() >= self.config.max_batch_bytes.as_usize();
        is_full || self.builder.opened_at().is_some_and(|opened| opened.elapsed() >= self.config.max_batch_wait.0)
    }

    /// Whether everything that was to be read is read. Never, unless reading to the end.
    fn is_at_end(&mut self) -> bool {
        let Some(ends) = &mut self.ends else { return false };
        if self.assignment.rounds() == 0 {
            return false;
        }
        if !ends.all_known(&self.held) && Instant::now() >= self.ask_ends_at {
            self.ask_ends_at = Instant::now() + Duration::from_secs(1);
            if let Err(error) = ends.set_held(&self.consumer, &self.held, self.config.start) {
                tracing::warn!(source = %self.name, %error, "cannot ask where the partitions end, trying again");
            }
        }
        ends.all_reached(&self.held)
    }

    /// Gives the gathered batch to the hand-over; waits for room, and meanwhile stays in the group.
    ///
    /// When the source is stopping the batch is let go: it was never handed over, so it is read again.
    fn offer(&mut self) -> Result<(), SourceError> {
        let filled = self.builder.take();
        let mut wait = PATIENCE;
        loop {
            match self.await_room(wait) {
                Room::Free => break,
                Room::Stopping => return Ok(()),
                Room::None => {}
            }
            if !self.paused {
                self.pause(true);
                wait = POLL;
            }
            self.poll(Duration::ZERO)?;
            self.serve()?;
            self.look_ahead();
        }
        if self.paused {
            self.pause(false);
        }
        if let Some(sender) = &self.filled {
            // There is room, and nobody else sends; a closed channel is seen as a stop.
            let _ = sender.try_send(filled);
        }
        Ok(())
    }

    fn await_room(&self, wait: Duration) -> Room {
        let Some(sender) = &self.filled else { return Room::Stopping };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.signals.stop.cancelled() => Room::Stopping,
                () = self.signals.abandoned.cancelled() => Room::Stopping,
                room = sender.reserve() => if room.is_ok() { Room::Free } else { Room::Stopping },
                () = tokio::time::sleep(wait) => Room::None,
            }
        })
    }

    /// Pauses or resumes what is held. To resume what is not paused would make the client fetch some records again.
    fn pause(&mut self, pause: bool) {
        let was_paused = std::mem::replace(&mut self.paused, pause);
        let is_meant = |partition: &TopicPartition| pause || was_paused || self.lost_paused.contains(partition);
        let mut list = TopicPartitionList::with_capacity(self.held.len());
        for (partition, _) in self.held.iter().filter(|(partition, _)| is_meant(partition)) {
            list.add_partition(&partition.topic, partition.partition);
        }
        for (partition, _) in &self.held {
            self.lost_paused.remove(partition);
        }
        let result = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        if let Err(error) = result {
            tracing::warn!(source = %self.name, %error, pause, "cannot pause or resume partitions");
        }
        tracing::debug!(source = %self.name, pause, partitions = list.count(), "partitions paused or resumed");
    }

    /// Keeps the lag true while nothing is fetched.
    fn look_ahead(&mut self) {
        let now = Instant::now();
        if now < self.look_ahead_at || self.held.is_empty() {
            return;
        }
        self.look_ahead_at = now + LOOK_AHEAD;
        let names: Vec<&TopicPartition> = self.held.iter().map(|(partition, _)| partition).collect();
        let Ok(ends) = ends::query(&self.consumer, &names, KafkaOffset::End) else { return };
        for partition in names {
            let Some(element) = ends.find_partition(&partition.topic, partition.partition) else { continue };
            if let KafkaOffset::Offset(high) = element.offset() {
                self.assignment.observe(partition, Observed { high, committed: -1, position: -1 });
            }
        }
        self.consumer.context().report_lags();
    }

    /// Lets the hand-over finish and waits until everything handed over is acknowledged.
    fn wind_down(&mut self) -> Result<(), SourceError> {
        self.pause(true);
        self.filled = None;
        loop {
            // In this order: what is handed over before the signal is counted by the second look.
            let is_last = self.signals.handed_over.is_cancelled();
            self.assignment
                .settle()
                .map_err(|batch| SourceError::NotDurable { source_name: self.name.clone(), batch })?;
            if self.signals.abandoned.is_cancelled() || (is_last && self.assignment.outstanding() == 0) {
                return Ok(());
            }
            self.poll(POLL / 2)?;
            self.serve()?;
            // Of partitions that came just now; their next owner reads them.
            self.builder.take();
        }
    }

    /// Commits what is acknowledged and waits for the confirmation.
    fn commit_last(&mut self) -> Result<(), SourceError> {
        // The outcome, if it failed, is known already.
        let _ = self.assignment.settle();
        self.assignment.resubmit();
        let deadline = Instant::now() + LAST_COMMIT;
        let mut awaited = Vec::new();
        let mut submit_at = Instant::now();
        loop {
            if Instant::now() >= submit_at {
                submit_at = Instant::now() + Duration::from_secs(1);
                let positions = self.assignment.take_committable();
                if !positions.is_empty() {
                    awaited.clone_from(&positions);
                    self.commit(positions);
                }
            }
            if self.assignment.are_committed(&awaited) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let text =
                    "the last commit of offsets was not confirmed; some records are read again at the next start";
                return Err(SourceError::Service {
                    source_name: self.name.clone(),
                    problem: text.to_owned(),
                    retryable: true,
                    source: None,
                });
            }
            // An error here changes nothing: the deadline bounds the wait.
            let _ = self.poll(POLL / 5);
            self.builder.take();
        }
    }

    fn is_stopping(&self) -> bool {
        let is_closed = self.filled.as_ref().is_none_or(mpsc::Sender::is_closed);
        self.signals.stop.is_cancelled() || self.signals.abandoned.is_cancelled() || is_closed
    }

    fn cannot_connect(&self, cause: &str, hopeless: bool) -> SourceError {
        let problem = match &self.config.event_hubs {
            Some(hubs) => format!(
                "cannot connect to `{}` ({cause}); check `namespace`, that the network lets port 9093 through, \
                 that the tier is Standard or higher, and that the credential may listen",
                hubs.bootstrap()
            ),
            None => format!(
                "cannot connect to {} ({cause}); check `brokers`, the network, and that `security` is what they expect",
                self.config.brokers.join(", ")
            ),
        };
        SourceError::Service { source_name: self.name.clone(), problem, retryable: !hopeless, source: None }
    }

    fn unauthorized(&self, error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
        let text = match &self.config.event_hubs {
            Some(_) => {
                "not allowed to read; give the credential the role Azure Event Hubs Data Receiver (a connection \
                 string: the claim Listen), and note that the Basic tier has no Kafka endpoint"
            }
            None => "not allowed to read; give the user Read on the topics and on the group",
        };
        self.service(text, false, error)
    }

    fn service(
        &self,
        problem: &str,
        retryable: bool,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> SourceError {
        SourceError::Service {
            source_name: self.name.clone(),
            problem: problem.to_owned(),
            retryable,
            source: Some(Box::new(error)),
        }
    }
}
