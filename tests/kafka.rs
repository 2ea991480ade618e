//! A real broker: two workers share the group, one is stopped half-way, every record is in the lake.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::support::tansu::Tansu;
use crate::support::weir::{Running, Workplace, lake_counts, lake_rows, own_samples, wait_until};

const TOPIC: &str = "insights-defender";
const COPIES: u64 = 200;
const TIMEOUT: Duration = Duration::from_secs(30);

fn config(place: &Workplace, bootstrap: &str) -> std::path::PathBuf {
    place.config(&format!(
        "sources:\n  - name: hub\n    kafka:\n      brokers: [\"{bootstrap}\"]\n      topics: [{TOPIC}]\n      \
         group: weir-test\n      max_batch_bytes: 256KiB\nlake: {{url: \"{{dir}}/lake\", flush_interval: 500ms}}\n"
    ))
}

/// Sends each message `copies` times, each copy with a number of its own in `MachineGroup`, which every table keeps.
/// Returns where each number was put.
async fn produce(bootstrap: &str, messages: &[String], copies: std::ops::Range<u64>) -> BTreeMap<u64, String> {
    // One record per record batch: tansu 0.6 answers a fetch that begins inside a batch with the batches behind it, so a
    // worker that takes over there would never see the rest. Kafka sends the batch that holds the offset.
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("batch.num.messages", "1");
    let producer: FutureProducer = config.create().expect("a producer");
    let mut sent = BTreeMap::new();
    for copy in copies {
        let numbers = copy * messages.len() as u64..;
        let payloads: Vec<(u64, String)> =
            numbers.zip(messages).map(|(number, message)| (number, numbered(message, number))).collect();
        let sends = payloads.iter().map(|(number, payload)| {
            let key = number.to_string();
            let producer = &producer;
            async move { producer.send(FutureRecord::to(TOPIC).key(&key).payload(payload), TIMEOUT).await }
        });
        for (delivered, (number, _)) in futures::future::join_all(sends).await.into_iter().zip(&payloads) {
            let place = delivered.expect("the broker takes it");
            sent.insert(*number, format!("partition {} offset {}", place.partition, place.offset));
        }
    }
    sent
}

fn numbered(message: &str, number: u64) -> String {
    let mut record: serde_json::Value = serde_json::from_str(message).expect("a record");
    record["properties"]["MachineGroup"] = format!("number-{number};").into();
    record.to_string()
}

/// How often each number is in the lake.
async fn numbers_in(place: &Workplace) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    for table in lake_counts(&place.lake()).await.keys() {
        for batch in lake_rows(&place.lake(), table).await {
            let name = if table.starts_with("ASim") { "AdditionalFields" } else { "MachineGroup" };
            let column = arrow::compute::cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
            for text in column.as_string::<i32>().iter().flatten() {
                let number = text.split_once("number-").and_then(|(_, rest)| rest.split(';').next());
                *found.entry(number.unwrap().parse().unwrap()).or_default() += 1;
            }
        }
    }
    found
}

/// The numbers that are not in the lake exactly once, for the message of a failed test.
async fn misplaced(place: &Workplace, sent: &BTreeMap<u64, String>) -> String {
    let found = numbers_in(place).await;
    let wrong = sent.iter().filter(|(number, _)| found.get(number) != Some(&1));
    wrong.map(|(number, put)| format!("{number} ({put}): {:?}\n", found.get(number))).collect()
}

/// What the broker says of the group's progress, for the message of a failed test.
fn positions(bootstrap: &str) -> String {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "weir-test")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(TOPIC, 0, 7);
    let timeout = Duration::from_secs(10);
    let committed = match consumer.committed_offsets(list, timeout) {
        Ok(list) => list,
        Err(error) => return format!("no committed offsets: {error}"),
    };
    let mut text = String::new();
    for partition in committed.elements() {
        let marks = consumer.fetch_watermarks(TOPIC, partition.partition(), timeout);
        text += &format!("partition {}: committed {:?}, {marks:?}\n", partition.partition(), partition.offset());
    }
    text
}

async fn records_in(place: &Workplace) -> u64 {
    let counts = lake_counts(&place.lake()).await;
    counts.values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_half_way_loses_nothing() {
    let broker = Tansu::start().await;
    broker.create_topic(TOPIC, 8).await;
    // One mapping per raw table here, so that rows in the lake are records.
    let once = ["DeviceFileEvents", "DeviceLogonEvents", "DeviceProcessEvents", "DeviceRegistryEvents"];
    let messages: Vec<String> = own_samples()
        .into_iter()
        .filter(|(table, _)| once.contains(&table.as_str()))
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let place = Workplace::new();
    let path = config(&place, broker.bootstrap()).display().to_string();

    let mut sent = produce(broker.bootstrap(), &messages, 0..COPIES / 2).await;
    let first = Running::start(&["run", "-c", &path]);
    let second = Running::start(&["run", "-c", &path]);
    let some = sent.len() as u64 / 4;
    assert!(wait_until(|| async { records_in(&place).await > some }).await, "some records arrive");
    assert_eq!(first.terminate(), Some(0), "SIGTERM is a clean end");
    sent.append(&mut produce(broker.bootstrap(), &messages, COPIES / 2..COPIES).await);
    let expected = sent.len() as u64;
    wait_until(|| async { records_in(&place).await >= expected }).await;
    assert_eq!(second.terminate(), Some(0));
    let misplaced = misplaced(&place, &sent).await;
    assert!(misplaced.is_empty(), "not once in the lake:\n{misplaced}{}", positions(broker.bootstrap()));
    assert_eq!(records_in(&place).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_reads_a_topic_to_its_present_end() {
    let broker = Tansu::start().await;
    broker.create_topic(TOPIC, 3).await;
    let (_, text) = own_samples().into_iter().find(|(table, _)| table == "DeviceFileEvents").unwrap();
    let messages: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    let sent = produce(broker.bootstrap(), &messages, 0..5).await.len() as u64;
    let place = Workplace::new();
    let path = config(&place, broker.bootstrap());
    let again = path.clone();
    let summary = tokio::task::spawn_blocking(move || crate::support::weir::run_once(&path)).await.unwrap();
    assert_eq!(summary["records"].as_u64(), Some(sent));
    let summary = tokio::task::spawn_blocking(move || crate::support::weir::run_once(&again)).await.unwrap();
    assert_eq!(summary["records"].as_u64(), Some(0), "the offsets were committed");
    assert_eq!(records_in(&place).await, sent);
}
