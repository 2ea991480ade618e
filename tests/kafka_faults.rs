//! A real broker, and what goes wrong behind it: a lake that cannot be written, messages that cannot be read.

use std::path::PathBuf;
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Int64Type};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support::tansu::Tansu;
use crate::support::weir::{Workplace, lake_counts, lake_rows, own_samples, run_once, text, try_run_once};

const TOPIC: &str = "insights-faults";
const GROUP: &str = "weir-faults";

fn config(place: &Workplace, broker: &Tansu) -> PathBuf {
    place.config(&format!(
        "sources:\n  - name: hub\n    kafka: {{brokers: [\"{}\"], topics: [{TOPIC}], group: {GROUP}}}\n\
         lake: {{url: \"{{dir}}/lake\", retry: {{max_attempts: 2}}}}\n",
        broker.bootstrap()
    ))
}

/// Sends the messages to partition 0, in order.
async fn produce(broker: &Tansu, messages: &[Vec<u8>]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("message.max.bytes", "64000000")
        .create()
        .expect("a producer");
    for message in messages {
        let record = FutureRecord::<(), _>::to(TOPIC).partition(0).payload(message);
        producer.send(record, Duration::from_secs(60)).await.expect("the broker takes it");
    }
}

/// What the group has committed for partition 0.
fn committed(broker: &Tansu) -> Offset {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", GROUP)
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition(TOPIC, 0);
    let list = consumer.committed_offsets(list, Duration::from_secs(10)).expect("the broker answers");
    list.elements()[0].offset()
}

/// A record that becomes one row of ASimProcessEventLogs.
fn good() -> Vec<u8> {
    let (_, text) = own_samples().into_iter().find(|(name, _)| name == "DeviceProcessEvents").unwrap();
    text.lines().next().unwrap().as_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_that_cannot_be_written_commits_no_offset_and_a_later_run_reads_everything() {
    let broker = Tansu::start().await;
    broker.create_topic(TOPIC, 1).await;
    produce(&broker, &vec![good(); 50]).await;
    let place = Workplace::new();
    let path = config(&place, &broker);
    // The lake itself is fine at the start; its table cannot be made, not even by root.
    let obstacle = place.write("lake/ASimProcessEventLogs", "a file where the folder should be");

    let output = tokio::task::spawn_blocking({
        let path = path.clone();
        move || try_run_once(&path)
    });
    let output = output.await.unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("ASimProcessEventLogs"), "the error names what cannot be written: {log}");
    assert_eq!(committed(&broker), Offset::Invalid, "{log}");

    std::fs::remove_file(obstacle).unwrap();
    let summary = tokio::task::spawn_blocking(move || run_once(&path)).await.unwrap();
    assert_eq!(summary["records"], 50, "{summary}");
    assert_eq!(lake_counts(&place.lake()).await["ASimProcessEventLogs"], 50);
    assert_eq!(committed(&broker), Offset::Offset(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_between_good_messages_becomes_dead_letters_with_their_offsets() {
    let broker = Tansu::start().await;
    broker.create_topic(TOPIC, 1).await;
    let good = good();
    let truncated = good[..good.len() / 2].to_vec();
    let not_utf8 =
        b"{\"category\":\"AdvancedHunting-DeviceInfo\",\"properties\":{\"DeviceName\":\"\xff\xfe\"}}".to_vec();
    let mut huge: serde_json::Value = serde_json::from_slice(&good).unwrap();
    huge["properties"]["ProcessCommandLine"] = "x".repeat(20 << 20).into();
    let huge = serde_json::to_vec(&huge).unwrap();
    let huge_and_cut = huge[..huge.len() - 2].to_vec();
    let messages =
        [&good, &truncated, &good, &not_utf8, &huge, &good, &huge_and_cut, &b"\0".to_vec(), &good].map(Vec::clone);
    produce(&broker, &messages).await;

    let place = Workplace::new();
    let path = config(&place, &broker);
    let summary = tokio::task::spawn_blocking(move || run_once(&path)).await.unwrap();
    assert_eq!(summary["records"], messages.len() as u64, "{summary}");
    assert_eq!(lake_counts(&place.lake()).await["ASimProcessEventLogs"], 5, "{summary}");
    let mut letters = Vec::new();
    for batch in lake_rows(&place.lake(), "dead_letters").await {
        let column = |name: &str, ty: &DataType| {
            arrow::compute::cast(batch.column_by_name(name).expect("a column of dead letters"), ty).unwrap()
        };
        let (partition, reason) = (column("Partition", &DataType::Utf8), column("Reason", &DataType::Utf8));
        let (offset, payload) = (column("Offset", &DataType::Int64), column("Payload", &DataType::Binary));
        for row in 0..batch.num_rows() {
            letters.push((
                offset.as_primitive::<Int64Type>().value(row) as usize,
                partition.as_string::<i32>().value(row).to_owned(),
                reason.as_string::<i32>().value(row).to_owned(),
                payload.as_binary::<i32>().value(row).to_vec(),
            ));
        }
    }
    letters.sort();
    let told: Vec<_> = letters.iter().map(|(offset, _, reason, _)| (*offset, reason.as_str())).collect();
    assert_eq!(told, [(1, "invalid_json"), (3, "invalid_utf8"), (6, "invalid_json"), (7, "invalid_json")]);
    for (offset, partition, _, payload) in &letters {
        assert_eq!(partition, &format!("{TOPIC}/0"));
        assert!(*payload == messages[*offset], "the bytes of message {offset} are kept whole");
    }
    assert_eq!(committed(&broker), Offset::Offset(messages.len() as i64));
}
