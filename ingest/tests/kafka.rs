//! The Kafka source against librdkafka's mock cluster: real protocol over loopback, brokers inside this process.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use rdkafka::types::RDKafkaApiKey;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_contract::ack::Ack;
use weir_contract::batch::{Framing, RawBatch};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_ingest::kafka::KafkaSource;
use weir_ingest::kafka::config::KafkaConfig;
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::source::{Source, SourceError};

const TOPIC: &str = "defender";
/// Longer than anything takes on a busy machine; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message as a test knows it: partition and offset.
type Key = (String, u64);

struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    brokers: String,
    producer: BaseProducer,
    partitions: i32,
}

impl Cluster {
    fn start(partitions: i32) -> Self {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic(TOPIC, partitions, 1).unwrap();
        let brokers = mock.bootstrap_servers();
        let producer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        Self { mock, brokers, producer, partitions }
    }

    /// Sends `count` messages of about `size` bytes, in turn to each partition.
    fn produce(&self, count: usize, size: usize) {
        for number in 0..count {
            let payload = format!(r#"{{"number":{number},"pad":"{}"}}"#, "x".repeat(size));
            let partition = (number % self.partitions as usize) as i32;
            let record = BaseRecord::<(), String>::to(TOPIC).payload(&payload).partition(partition);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    fn tombstone(&self, partition: i32) {
        let record = BaseRecord::<(), ()>::to(TOPIC).partition(partition);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        self.producer.flush(PATIENCE).unwrap();
    }

    /// What the group has committed, by partition.
    fn committed(&self, group: &str) -> BTreeMap<String, u64> {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(TOPIC, 0, self.partitions - 1);
        let committed = consumer.committed_offsets(list, PATIENCE).unwrap();
        let offset = |offset| if let KafkaOffset::Offset(offset) = offset { Some(offset as u64) } else { None };
        let elements = committed.elements();
        elements.iter().filter_map(|it| Some((format!("{TOPIC}/{}", it.partition()), offset(it.offset())?))).collect()
    }

    fn config(&self, extra: &str) -> KafkaConfig {
        let text = format!(
            r#"{{"brokers":["{}"],"topics":["{TOPIC}"],"group":"weir","commit_interval":"200ms","max_batch_wait":"50ms"{extra}}}"#,
            self.brokers
        );
        let mut config: KafkaConfig = serde_json::from_str(&text).unwrap();
        // The mock cluster rebalances a group for as long as a session may be silent.
        for (key, value) in [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")] {
            config.properties.entry(key.to_owned()).or_insert(value.to_owned());
        }
        config
    }
}

/// A source at work.
struct Running {
    batches: mpsc::Receiver<RawBatch>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SourceError>>,
    metrics: IngestMetrics,
}

impl Running {
    fn start(config: KafkaConfig, budget: &MemoryBudget, until_end: bool) -> Self {
        Self::start_named("test", config, budget, until_end)
    }

    fn start_named(name: &str, config: KafkaConfig, budget: &MemoryBudget, until_end: bool) -> Self {
        let metrics = IngestMetrics::new(&MetricSet::new());
        let source = KafkaSource::new(name.into(), config, budget.clone(), metrics.clone()).unwrap();
        let source = Box::new(source.read_to_end(until_end));
        let (out, batches) = mpsc::channel(2);
        let stop = CancellationToken::new();
        let task = tokio::spawn(source.run(out, stop.clone()));
        Self { batches, stop, task, metrics }
    }

    async fn next(&mut self) -> Option<RawBatch> {
        tokio::time::timeout(PATIENCE, self.batches.recv()).await.expect("a batch in time")
    }

    /// Takes batches until `count` messages are there.
    async fn take(&mut self, count: usize) -> Vec<RawBatch> {
        let mut batches = Vec::new();
        let mut seen = 0;
        while seen < count {
            let batch = self.next().await.expect("the source goes on");
            seen += batch.records.len();
            batches.push(batch);
        }
        batches
    }

    async fn stop(self) -> Result<(), SourceError> {
        self.stop.cancel();
        drop(self.batches);
        tokio::time::timeout(PATIENCE, self.task).await.expect("an end in time").unwrap()
    }

    /// Waits for a source that ends by itself with an error.
    async fn error(self) -> SourceError {
        tokio::time::timeout(PATIENCE, self.task).await.expect("an end in time").unwrap().unwrap_err()
    }
}

fn budget() -> MemoryBudget {
    MemoryBudget::new(64 << 20)
}

/// The messages of a batch; checks what every batch must be.
fn keys(batch: &RawBatch) -> Vec<Key> {
    assert_eq!(batch.framing, Framing::Document);
    assert!(batch.permit.bytes() >= batch.bytes());
    for record in &batch.records {
        let range = &batch.origin.ranges[record.partition as usize];
        assert!(range.start <= record.offset && record.offset < range.next, "{range:?} {:?}", record.offset);
        serde_json::from_slice::<serde_json::Value>(&record.payload).expect("the payload as it was produced");
    }
    let id = |partition: u32| batch.origin.ranges[partition as usize].partition.to_string();
    batch.records.iter().map(|record| (id(record.partition), record.offset.0)).collect()
}

fn done(batches: Vec<RawBatch>) -> Vec<Key> {
    let mut all = Vec::new();
    for batch in batches {
        all.extend(keys(&batch));
        batch.ack.done();
    }
    all
}

fn every_key(partitions: usize, count: usize) -> BTreeSet<Key> {
    (0..count).map(|number| (format!("{TOPIC}/{}", number % partitions), (number / partitions) as u64)).collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redelivery_starts_at_the_first_unacknowledged_message() {
    let cluster = Cluster::start(2);
    cluster.produce(400, 100);
    let mut first = Running::start(cluster.config(r#","max_batch_bytes":"4KiB""#), &budget(), false);
    let mut batches = first.take(400).await;
    assert!(batches.len() > 8, "{} batches", batches.len());
    let rest = batches.split_off(batches.len() / 2);
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for range in batches.iter().flat_map(|batch| &batch.origin.ranges) {
        acknowledged.insert(range.partition.to_string(), range.next.0);
    }
    let mut seen: BTreeSet<Key> = done(batches).into_iter().collect();
    until("the acknowledged half is committed", || cluster.committed("weir") == acknowledged).await;
    drop(rest);
    let error = first.stop().await.expect_err("half of the batches were dropped");
    assert!(matches!(error, SourceError::NotDurable { .. }) && error.is_retryable(), "{error}");
    assert_eq!(cluster.committed("weir"), acknowledged, "nothing beyond the acknowledged half");

    let mut second = Running::start(cluster.config(""), &budget(), true);
    let mut again = Vec::new();
    while let Some(batch) = second.next().await {
        again.extend(done(vec![batch]));
    }
    second.stop().await.unwrap();
    assert!(again.iter().all(|key| seen.insert(key.clone())), "only what was not acknowledged comes again");
    assert_eq!(seen, every_key(2, 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_never_pass_a_pending_offset() {
    let cluster = Cluster::start(1);
    cluster.produce(300, 100);
    let mut running = Running::start(cluster.config(r#","max_batch_bytes":"4KiB""#), &budget(), false);
    let mut batches = running.take(300).await;
    let first = batches.remove(0);
    done(batches);
    // Several commit intervals.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.committed("weir"), BTreeMap::new());
    first.ack.done();
    let all = BTreeMap::from([(format!("{TOPIC}/0"), 300)]);
    until("everything is committed", || cluster.committed("weir") == all).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_acknowledgements_and_commits_them() {
    let cluster = Cluster::start(1);
    cluster.produce(10, 10);
    let mut config = cluster.config("");
    config.commit_interval.0 = Duration::from_secs(3600);
    let mut running = Running::start(config, &budget(), false);
    let batches = running.take(10).await;
    running.stop.cancel();
    assert!(running.next().await.is_none(), "the queue is closed");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!running.task.is_finished());
    done(batches);
    running.stop().await.unwrap();
    assert_eq!(cluster.committed("weir"), BTreeMap::from([(format!("{TOPIC}/0"), 10)]));
}

async fn two_members_share_the_partitions_and_one_leaves(strategy: &str) {
    let cluster = Cluster::start(4);
    let config = || cluster.config(&format!(r#","assignment":"{strategy}""#));
    let mut seen = BTreeSet::new();
    let mut one = Running::start(config(), &budget(), false);
    cluster.produce(40, 10);
    seen.extend(done(one.take(40).await));

    let mut other = Running::start(config(), &budget(), false);
    let mut of_other = BTreeSet::new();
    let mut produced = 40;
    let start = Instant::now();
    while of_other.is_empty() {
        assert!(start.elapsed() < PATIENCE, "the partitions are shared");
        cluster.produce(4, 10);
        produced += 4;
        let both = async {
            loop {
                tokio::select! {
                    Some(batch) = one.batches.recv() => seen.extend(done(vec![batch])),
                    Some(batch) = other.batches.recv() => of_other.extend(done(vec![batch])),
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), both).await;
    }

    // The other one leaves; what it still holds is acknowledged while it winds down.
    other.stop.cancel();
    while let Some(batch) = other.next().await {
        of_other.extend(done(vec![batch]));
    }
    other.stop().await.unwrap();
    let partitions: BTreeSet<&String> = of_other.iter().map(|(partition, _)| partition).collect();
    assert!(partitions.len() <= 2, "{partitions:?}");
    seen.extend(of_other);
    cluster.produce(40, 10);
    produced += 40;
    let expected = every_key(4, produced);
    while !seen.is_superset(&expected) {
        let batch = one.next().await.expect("the one that stays reads on");
        seen.extend(done(vec![batch]));
    }
    assert_eq!(seen, expected);
    one.stop().await.unwrap();
    let ends = (0..4).map(|number| (format!("{TOPIC}/{number}"), produced as u64 / 4)).collect();
    assert_eq!(cluster.committed("weir"), ends);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_partitions_and_one_leaves_by_range() {
    two_members_share_the_partitions_and_one_leaves("range").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_partitions_and_one_leaves_cooperatively() {
    two_members_share_the_partitions_and_one_leaves("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_budget_pauses_without_leaving_the_group() {
    let cluster = Cluster::start(2);
    cluster.produce(2_000, 100);
    let budget = MemoryBudget::new(20_000);
    // A member that does not poll for six seconds is expelled.
    let limits = r#","max_batch_bytes":"8KiB","properties":{"max.poll.interval.ms":"6000"}"#;
    let mut running = Running::start(cluster.config(limits), &budget, false);
    let held = running.next().await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(budget.used() <= budget.limit(), "{} bytes in flight", budget.used());
    assert!(budget.is_under_pressure());
    let mut seen = done(vec![held]);
    while seen.len() < 2_000 {
        seen.extend(done(vec![running.next().await.unwrap()]));
    }
    let distinct: BTreeSet<Key> = seen.iter().cloned().collect();
    assert_eq!(seen.len(), distinct.len(), "a member that stayed gets nothing twice");
    assert_eq!(distinct, every_key(2, 2_000));
    let lag = running.metrics.lag.with_label_values(&["test", "defender/0"]);
    assert!(lag.get() > 0, "it was behind when it was last looked at");
    until("the lag is gone", || lag.get() == 0).await;
    running.stop().await.unwrap();
}

async fn a_partition_lost_while_paused_is_read_when_it_comes_back(strategy: &str) {
    let cluster = Cluster::start(4);
    cluster.produce(800, 100);
    let config = || cluster.config(&format!(r#","max_batch_bytes":"8KiB","assignment":"{strategy}""#));
    let small = MemoryBudget::new(20_000);
    let mut one = Running::start(config(), &small, false);
    let held = one.next().await.unwrap();
    until("the source waits for memory", || small.is_under_pressure()).await;
    // It pauses its partitions after a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut other = Running::start(config(), &budget(), false);
    let mut seen: BTreeSet<Key> = done(vec![other.next().await.unwrap()]).into_iter().collect();

    seen.extend(done(vec![held]));
    while seen.len() < 800 {
        let batch = tokio::select! {
            batch = one.next() => batch,
            batch = other.next() => batch,
        };
        seen.extend(done(vec![batch.unwrap()]));
    }
    other.stop.cancel();
    while let Some(batch) = other.next().await {
        done(vec![batch]);
    }
    other.stop().await.unwrap();
    cluster.produce(840, 100);
    let expected = every_key(4, 1640);
    while !seen.is_superset(&expected) {
        let missing: BTreeSet<_> = expected.difference(&seen).map(|(partition, _)| partition).collect();
        let batch = tokio::time::timeout(Duration::from_secs(20), one.batches.recv()).await;
        let batch = batch.unwrap_or_else(|_| panic!("nothing comes of {missing:?}"));
        seen.extend(done(vec![batch.unwrap()]));
    }
    // What moved while it was not acknowledged may come twice.
    one.stop.cancel();
    while let Some(batch) = one.next().await {
        done(vec![batch]);
    }
    one.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_lost_while_paused_is_read_when_it_comes_back_by_range() {
    a_partition_lost_while_paused_is_read_when_it_comes_back("range").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_lost_while_paused_is_read_when_it_comes_back_cooperatively() {
    a_partition_lost_while_paused_is_read_when_it_comes_back("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_memory() {
    let cluster = Cluster::start(1);
    cluster.produce(1_000, 100);
    let budget = MemoryBudget::new(10_000);
    let mut running = Running::start(cluster.config(r#","max_batch_bytes":"8KiB""#), &budget, false);
    let held = running.next().await.unwrap();
    until("the source waits for memory", || budget.is_under_pressure()).await;
    running.stop.cancel();
    assert!(running.next().await.is_none());
    let next = held.origin.ranges[0].next.0;
    done(vec![held]);
    running.stop().await.unwrap();
    assert_eq!(cluster.committed("weir"), BTreeMap::from([(format!("{TOPIC}/0"), next)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_to_the_end_ends_and_empty_partitions_are_ended_at_once() {
    let cluster = Cluster::start(3);
    let mut empty = Running::start(cluster.config(""), &budget(), true);
    assert!(empty.next().await.is_none());
    empty.stop().await.unwrap();

    // Two of the three partitions get a message; the second run finds nothing new.
    cluster.produce(2, 10);
    for expected in [2, 0] {
        let mut running = Running::start(cluster.config(""), &budget(), true);
        let mut seen = Vec::new();
        while let Some(batch) = running.next().await {
            seen.extend(done(vec![batch]));
        }
        tokio::time::timeout(PATIENCE, running.task).await.unwrap().unwrap().unwrap();
        assert_eq!(seen.len(), expected);
    }
    let committed = BTreeMap::from([(format!("{TOPIC}/0"), 1), (format!("{TOPIC}/1"), 1)]);
    assert_eq!(cluster.committed("weir"), committed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_with_the_newest_message_is_read_again_if_it_was_not_acknowledged() {
    let cluster = Cluster::start(1);
    cluster.produce(5, 10);
    let config = || cluster.config(r#","start":"latest""#);
    let mut first = Running::start(config(), &budget(), false);
    // Whatever was there when the partition was assigned is left out; when that is can't be seen from here.
    let mut produced = 5;
    let batch = loop {
        cluster.produce(1, 10);
        produced += 1;
        match tokio::time::timeout(Duration::from_millis(300), first.batches.recv()).await {
            Ok(batch) => break batch.unwrap(),
            Err(_) => assert!(produced < 200, "nothing is read"),
        }
    };
    let start = batch.origin.ranges[0].start.0;
    assert!(start >= 5);
    until("the beginning is committed", || cluster.committed("weir").get("defender/0") == Some(&start)).await;
    drop(batch);
    assert!(matches!(first.error().await, SourceError::NotDurable { .. }));

    let mut second = Running::start(config(), &budget(), false);
    let again = done(vec![second.next().await.unwrap()]);
    assert_eq!(again[0], ("defender/0".to_owned(), start));
    second.stop.cancel();
    while let Some(batch) = second.next().await {
        done(vec![batch]);
    }
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_are_counted_and_passed_over() {
    let cluster = Cluster::start(1);
    cluster.produce(2, 10);
    cluster.tombstone(0);
    let mut running = Running::start(cluster.config(""), &budget(), true);
    let mut seen = Vec::new();
    while let Some(batch) = running.next().await {
        seen.extend(done(vec![batch]));
    }
    let metrics = running.metrics.clone();
    running.stop().await.unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(metrics.skipped.with_label_values(&["test", "tombstone"]).get(), 1);
    assert_eq!(cluster.committed("weir"), BTreeMap::from([(format!("{TOPIC}/0"), 3)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_versions_that_event_hubs_speaks_are_enough() {
    let cluster = Cluster::start(2);
    let ranges = [
        (RDKafkaApiKey::Produce, 0, 7),
        (RDKafkaApiKey::Fetch, 4, 6),
        (RDKafkaApiKey::ListOffsets, 0, 5),
        (RDKafkaApiKey::Metadata, 0, 5),
        (RDKafkaApiKey::Heartbeat, 0, 3),
        (RDKafkaApiKey::LeaveGroup, 0, 1),
    ];
    for (key, least, most) in ranges {
        cluster.mock.apiversion(key, Some(least), Some(most)).unwrap();
    }
    cluster.produce(20, 10);
    let mut running = Running::start(cluster.config(r#","group_instance_id":"worker-1""#), &budget(), true);
    let mut seen = BTreeSet::new();
    while let Some(batch) = running.next().await {
        seen.extend(done(vec![batch]));
    }
    running.stop().await.unwrap();
    assert_eq!(seen, every_key(2, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_taken_up_again() {
    let cluster = Cluster::start(1);
    cluster.produce(5, 10);
    let mut running = Running::start(cluster.config(""), &budget(), false);
    done(running.take(5).await);
    let connected = running.metrics.connected.with_label_values(&["test"]);
    assert_eq!(connected.get(), 1);
    cluster.mock.broker_down(-1).unwrap();
    until("the loss is seen", || connected.get() == 0).await;
    cluster.mock.broker_up(-1).unwrap();
    cluster.produce(5, 10);
    done(running.take(5).await);
    until("the return is seen", || connected.get() == 1).await;
    // The outage may have cost the membership: then records that were not committed come once more.
    let everything = BTreeMap::from([(format!("{TOPIC}/0"), 10)]);
    let start = Instant::now();
    while cluster.committed("weir") != everything {
        assert!(start.elapsed() < PATIENCE, "the position after the outage is committed");
        if let Ok(Some(again)) = tokio::time::timeout(Duration::from_millis(200), running.next()).await {
            done(vec![again]);
        }
    }
    running.stop().await.unwrap();
    assert_eq!(cluster.committed("weir"), everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_brokers_ends_with_what_to_check() {
    // Bound and dropped: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(r#"{{"brokers":["127.0.0.1:{port}"],"topics":["{TOPIC}"],"group":"g","start_timeout":"2s"}}"#);
    let running = Running::start(serde_json::from_str(&config).unwrap(), &budget(), false);
    let error = running.error().await;
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("check `brokers`"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_named() {
    let cluster = Cluster::start(1);
    let mut config = cluster.config("");
    config.topics = vec!["defendre".to_owned()];
    let error = Running::start(config, &budget(), false).error().await;
    assert!(!error.is_retryable() && error.to_string().contains("`defendre` does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_ends_its_thread_and_leaves_the_group() {
    let cluster = Cluster::start(1);
    cluster.produce(10, 10);
    let mut running = Running::start_named("dropped", cluster.config(""), &budget(), false);
    let batches = running.take(10).await;
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "kafka-dropped").count()
    };
    assert_eq!(threads(), 1);
    running.task.abort();
    until("the thread ends although nothing was acknowledged", || threads() == 0).await;
    drop(batches);
    let mut next = Running::start(cluster.config(""), &budget(), false);
    assert_eq!(done(next.take(10).await).len(), 10);
    next.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipeline_ends_the_source_and_commits_nothing() {
    let cluster = Cluster::start(1);
    cluster.produce(10, 10);
    let mut running = Running::start(cluster.config(""), &budget(), false);
    let acks: Vec<Ack> = running.take(10).await.into_iter().map(|batch| batch.ack).collect();
    drop(acks);
    drop(std::mem::replace(&mut running.batches, mpsc::channel(1).1));
    let error = running.error().await;
    assert!(matches!(error, SourceError::Closed { .. } | SourceError::NotDurable { .. }), "{error}");
    assert_eq!(cluster.committed("weir"), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn event_hubs_tokens_are_asked_for_and_a_refusal_ends_the_start() {
    let asked = Arc::new(AtomicUsize::new(0));
    let form = Arc::new(Mutex::new(String::new()));
    let answer = {
        let (asked, form) = (Arc::clone(&asked), Arc::clone(&form));
        move |body: String| {
            asked.fetch_add(1, Ordering::SeqCst);
            *form.lock().unwrap() = body;
            let refusal =
                r#"{"error":"invalid_client","error_description":"AADSTS7000222: expired","error_codes":[7000222]}"#;
            std::future::ready((axum::http::StatusCode::UNAUTHORIZED, refusal))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/{tenant}/oauth2/v2.0/token", axum::routing::post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let config = format!(
        r#"{{"event_hubs":{{"namespace":"127.0.0.1","auth":{{"client_secret":{{"tenant_id":"t","client_id":"c",
            "secret":{{"file":"{}"}},"authority":"{authority}"}}}}}},"topics":["{TOPIC}"],"group":"g"}}"#,
        secret.display()
    );
    let running = Running::start(serde_json::from_str(&config).unwrap(), &budget(), false);
    let start = Instant::now();
    let error = running.error().await;
    assert!(start.elapsed() < Duration::from_secs(20), "a refusal is not waited out");
    assert!(!error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("AADSTS7000222") && text.contains("127.0.0.1:9093"), "{text}");
    assert!(!format!("{error:?}").contains("s3cret"));
    assert!(asked.load(Ordering::SeqCst) >= 1);
    assert!(form.lock().unwrap().contains("scope=https%3A%2F%2F127.0.0.1%2F.default"));
}
