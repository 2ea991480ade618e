//! The part of librdkafka's statistics that the source uses
//! (<https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md>).

use std::collections::HashMap;

use serde::Deserialize;

use super::assignment::{Observed, topic_partition};
use super::offsets::TopicPartition;

/// How often the client tells its statistics.
pub(super) const INTERVAL_MS: &str = "5000";

/// Facts from one statistics document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether any broker connection stands.
    pub(super) connected: bool,
    /// Figures of each partition.
    pub(super) partitions: Vec<(TopicPartition, Observed)>,
    /// Partitions of which everything before this offset was delivered to us.
    pub(super) drained: Vec<(TopicPartition, u64)>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Broker {
    state: String,
}

#[derive(Deserialize)]
struct Topic {
    topic: String,
    #[serde(default)]
    partitions: HashMap<i32, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    fetchq_cnt: i64,
    app_offset: i64,
    committed_offset: i64,
    eof_offset: i64,
    hi_offset: i64,
    ls_offset: i64,
    next_offset: i64,
}

impl Facts {
    /// Reads a statistics document.
    pub(super) fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(json)?;
        let mut facts =
            Self { connected: document.brokers.values().any(|broker| broker.state == "UP"), ..Self::default() };
        for topic in document.topics.values() {
            // Partition -1 is the client's own, for messages without a partition.
            for (number, partition) in topic.partitions.iter().filter(|(number, _)| **number >= 0) {
                let name = topic_partition(&topic.topic, *number);
                if let (0, Ok(end)) = (partition.fetchq_cnt, u64::try_from(partition.eof_offset)) {
                    facts.drained.push((name.clone(), end));
                }
                let position = if partition.app_offset >= 0 { partition.app_offset } else { partition.next_offset };
                let observed = Observed {
                    high: partition.hi_offset.max(partition.ls_offset),
                    committed: partition.committed_offset,
                    position,
                };
                facts.partitions.push((name, observed));
            }
        }
        Ok(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_the_inner_partition_is_left_out() {
        let partition = |fetched: i64, eof: i64| {
            format!(
                r#"{{"partition":0,"fetchq_cnt":{fetched},"app_offset":-1001,"committed_offset":-1001,"eof_offset":{eof},
                    "hi_offset":12,"ls_offset":12,"next_offset":4,"fetch_state":"active"}}"#
            )
        };
        let document = format!(
            r#"{{"name":"x","brokers":{{"b":{{"state":"UP"}}}},
                "topics":{{"t":{{"topic":"t","partitions":{{"0":{},"-1":{}}}}}}}}}"#,
            partition(0, 12),
            partition(0, 12),
        );
        let facts = Facts::read(document.as_bytes()).expect("a document");
        let name = topic_partition("t", 0);
        let observed = Observed { high: 12, committed: -1001, position: 4 };
        assert_eq!(facts.partitions, [(name.clone(), observed)]);
        assert_eq!(facts.drained, [(name, 12)]);
        assert!(facts.connected);
    }
}
