//! Reading to the end: up to the offset that each partition ended at when it was assigned.
//!
//! A partition is read when its position has reached that offset and the client has met the partition's end. The first
//! alone would do, but some brokers name the last batch's first offset as the end. The second alone would not: the
//! client's event names the partition's number without its topic.
//!
//! Where the last offsets hold no record (a compacted topic, a transaction's marker) no message ever moves the position
//! there; then the client's statistics count, which say that everything before some offset was delivered.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use weir_contract::position::Offset;

use super::assignment::Holding;
use super::config::Start;
use super::context::Context;
use super::offsets::{Lease, TopicPartition};

/// Longest wait for the answer of one query.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How far each held partition is from its end.
#[derive(Debug, Default)]
pub(super) struct Ends {
    by_lease: HashMap<Lease, End>,
    /// How far each lease was read; a message may come before the end is known.
    positions: HashMap<Lease, u64>,
    /// Numbers of partitions whose end was met before it was known where it is.
    seen: HashSet<i32>,
}

#[derive(Debug)]
struct End {
    partition: TopicPartition,
    end: u64,
    /// The position has reached `end`.
    reached: bool,
    /// The client has met the partition's end.
    seen: bool,
}

impl Ends {
    /// Asks for the ends of partitions that are new; forgets those that are gone.
    pub(super) fn set_held(
        &mut self,
        consumer: &BaseConsumer<Context>,
        held: &[(TopicPartition, Holding)],
        start: Start,
    ) -> KafkaResult<()> {
        let is_held = |lease: &Lease| held.iter().any(|(_, holding)| holding.lease == *lease);
        self.by_lease.retain(|lease, _| is_held(lease));
        self.positions.retain(|lease, _| is_held(lease));
        self.seen.retain(|number| held.iter().any(|(partition, _)| partition.partition == *number));
        let is_new = |holding: &Holding| !self.by_lease.contains_key(&holding.lease);
        let new: Vec<_> = held.iter().filter(|(_, holding)| is_new(holding)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let names: Vec<&TopicPartition> = new.iter().map(|(partition, _)| partition).collect();
        let ends = query(consumer, &names, KafkaOffset::End)?;
        let beginnings = query(consumer, &names, KafkaOffset::Beginning)?;
        let committed = consumer.committed_offsets(list(&names, KafkaOffset::Invalid)?, TIMEOUT)?;
        for (partition, holding) in &new {
            // What a broker could not tell is asked again later.
            let (Told::Offset(end), beginning, committed) =
                (told(&ends, partition), told(&beginnings, partition), told(&committed, partition))
            else {
                continue;
            };
            let reached = match (start, committed, beginning) {
                (_, Told::Unclear, _) => continue,
                (Start::Latest, Told::Nothing, _) => true,
                (Start::Latest, Told::Offset(committed), _) => committed >= end,
                // A commit that the topic no longer reaches back to starts at the beginning.
                (Start::Earliest, Told::Offset(committed), Told::Offset(beginning)) => committed.max(beginning) >= end,
                (Start::Earliest, Told::Nothing, Told::Offset(beginning)) => beginning >= end,
                (Start::Earliest, _, _) => continue,
            };
            let reached = reached || self.positions.get(&holding.lease).is_some_and(|position| *position >= end);
            let seen = self.seen.contains(&partition.partition);
            self.by_lease.insert(holding.lease, End { partition: (*partition).clone(), end, reached, seen });
        }
        Ok(())
    }

    /// Notes that a partition was read up to `next`.
    pub(super) fn advance(&mut self, lease: Lease, next: Offset) {
        self.positions.insert(lease, next.0);
        if let Some(end) = self.by_lease.get_mut(&lease) {
            end.reached |= next.0 >= end.end;
        }
    }

    /// Notes that the client has delivered everything of `partition` before `offset`.
    pub(super) fn drained(&mut self, partition: &TopicPartition, offset: u64) {
        for end in self.by_lease.values_mut().filter(|end| end.partition == *partition) {
            if offset >= end.end {
                (end.reached, end.seen) = (true, true);
            }
        }
    }

    /// Notes that the client met the end of a partition with this number.
    pub(super) fn end_seen(&mut self, number: i32) {
        self.seen.insert(number);
        for end in self.by_lease.values_mut().filter(|end| end.partition.partition == number) {
            end.seen = true;
        }
    }

    /// Whether the end of every held partition is known.
    pub(super) fn all_known(&self, held: &[(TopicPartition, Holding)]) -> bool {
        held.iter().all(|(_, holding)| self.by_lease.contains_key(&holding.lease))
    }

    /// Whether every held partition has been read to its end.
    pub(super) fn all_reached(&self, held: &[(TopicPartition, Holding)]) -> bool {
        held.iter().all(|(_, holding)| self.by_lease.get(&holding.lease).is_some_and(|end| end.reached && end.seen))
    }
}

/// What a broker says of one partition.
enum Told {
    Offset(u64),
    Nothing,
    Unclear,
}

fn told(list: &TopicPartitionList, partition: &TopicPartition) -> Told {
    let Some(element) = list.find_partition(&partition.topic, partition.partition) else { return Told::Unclear };
    match (element.error(), element.offset()) {
        (Ok(()), KafkaOffset::Offset(offset)) => u64::try_from(offset).map_or(Told::Unclear, Told::Offset),
        (Ok(()), _) => Told::Nothing,
        (Err(_), _) => Told::Unclear,
    }
}

/// The newest or oldest offset of each partition, one request per broker.
pub(super) fn query(
    consumer: &BaseConsumer<Context>,
    partitions: &[&TopicPartition],
    which: KafkaOffset,
) -> KafkaResult<TopicPartitionList> {
    consumer.offsets_for_times(list(partitions, which)?, TIMEOUT)
}

fn list(partitions: &[&TopicPartition], offset: KafkaOffset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(&partition.topic, partition.partition, offset)?;
    }
    Ok(list)
}
