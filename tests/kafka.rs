//! A real broker: two workers share the group, one is stopped half-way, every record is in the lake.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::support::tansu::Tansu;
use crate::support::weir::{Running, Workplace, lake_counts, own_samples, wait_until};

const TOPIC: &str = "insights-defender";
const COPIES: u64 = 200;

fn config(place: &Workplace, bootstrap: &str) -> std::path::PathBuf {
    place.config(&format!(
        "sources:\n  - name: hub\n    kafka:\n      brokers: [\"{bootstrap}\"]\n      topics: [{TOPIC}]\n      \
         group: weir-test\n      max_batch_bytes: 256KiB\nlake: {{url: \"{{dir}}/lake\", flush_interval: 500ms}}\n"
    ))
}

async fn produce(bootstrap: &str, messages: &[String], copies: std::ops::Range<u64>) -> u64 {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a producer");
    let mut sent = 0;
    for copy in copies {
        let keys: Vec<String> = (0..messages.len()).map(|number| format!("{copy}-{number}")).collect();
        let records = messages.iter().zip(&keys).map(|(message, key)| {
            let record = FutureRecord::to(TOPIC).key(key).payload(message);
            producer.send(record, Duration::from_secs(30))
        });
        for delivered in futures::future::join_all(records).await {
            delivered.expect("the broker takes it");
            sent += 1;
        }
    }
    sent
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
    let messages: Vec<String> = own_samples()
        .into_iter()
        .filter(|(table, _)| table.starts_with("Device"))
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let place = Workplace::new();
    let path = config(&place, broker.bootstrap()).display().to_string();

    let mut expected = produce(broker.bootstrap(), &messages, 0..COPIES / 2).await;
    let first = Running::start(&["run", "-c", &path]);
    let second = Running::start(&["run", "-c", &path]);
    wait_until("some of the records", || async { records_in(&place).await > expected / 4 }).await;
    assert_eq!(first.terminate(), Some(0), "SIGTERM is a clean end");
    expected += produce(broker.bootstrap(), &messages, COPIES / 2..COPIES).await;
    wait_until("all records", || async { records_in(&place).await >= expected }).await;
    assert_eq!(second.terminate(), Some(0));
    let counts = lake_counts(&place.lake()).await;
    assert_eq!(counts.values().sum::<u64>(), expected, "each record once: nothing was killed. {counts:?}");
    assert!(!counts.contains_key("dead_letters"), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_reads_a_topic_to_its_present_end() {
    let broker = Tansu::start().await;
    broker.create_topic(TOPIC, 3).await;
    let (_, text) = own_samples().into_iter().find(|(table, _)| table == "DeviceFileEvents").unwrap();
    let messages: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    let sent = produce(broker.bootstrap(), &messages, 0..5).await;
    let place = Workplace::new();
    let path = config(&place, broker.bootstrap());
    let again = path.clone();
    let summary = tokio::task::spawn_blocking(move || crate::support::weir::run_once(&path)).await.unwrap();
    assert_eq!(summary["records"].as_u64(), Some(sent));
    let summary = tokio::task::spawn_blocking(move || crate::support::weir::run_once(&again)).await.unwrap();
    assert_eq!(summary["records"].as_u64(), Some(0), "the offsets were committed");
    assert_eq!(records_in(&place).await, sent);
}
