//! Gathers messages of many partitions into one batch.
//!
//! Every payload is copied once, into one buffer that all records of the batch share. The librdkafka message is free
//! again at once, so that the memory of a batch is what its permit says.

use std::time::Instant;

use bytes::Bytes;
use weir_contract::batch::RawRecord;
use weir_contract::position::{Offset, OffsetRange, PartitionId};

use super::assignment::Holding;
use super::offsets::{Lease, TopicPartition};

/// The batch under construction.
#[derive(Debug, Default)]
pub(super) struct BatchBuilder {
    buffer: Vec<u8>,
    records: Vec<Slice>,
    ranges: Vec<Range>,
    /// Messages with nothing in them.
    tombstones: u64,
    opened_at: Option<Instant>,
    /// The partitions held, each with its place in `ranges` once it has one.
    known: Vec<Known>,
    /// Index into `known` of the last message's partition: messages come in runs.
    last: usize,
    /// Size of the previous batch, the guess for this one's buffer.
    expected_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slice {
    range: u32,
    offset: Offset,
    end: usize,
}

/// A stretch of one partition, read under one lease.
#[derive(Debug, Clone)]
pub(super) struct Range {
    pub(super) lease: Lease,
    pub(super) id: PartitionId,
    pub(super) start: Offset,
    pub(super) next: Offset,
    pub(super) delivered: Offset,
}

#[derive(Debug)]
struct Known {
    partition: TopicPartition,
    holding: Holding,
    range: Option<u32>,
}

/// A batch ready to be handed over.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) records: Vec<RawRecord>,
    pub(super) ranges: Vec<Range>,
    pub(super) tombstones: u64,
}

impl BatchBuilder {
    /// Takes note of the partitions that are held now, and drops what was gathered under leases that have ended.
    pub(super) fn set_held(&mut self, held: Vec<(TopicPartition, Holding)>) {
        let is_held = |lease: Lease| held.iter().any(|(_, holding)| holding.lease == lease);
        let kept: Vec<bool> = self.ranges.iter().map(|range| is_held(range.lease)).collect();
        if kept.contains(&false) {
            let mut filled = self.take();
            filled.retain(&kept);
            self.refill(filled);
        }
        self.known = held
            .into_iter()
            .map(|(partition, holding)| {
                let range = self.ranges.iter().position(|range| range.lease == holding.lease);
                Known { partition, holding, range: range.map(|index| index as u32) }
            })
            .collect();
        self.last = 0;
    }

    /// Adds a message; `payload` is none for a tombstone. A message of a partition that is not held is dropped: its
    /// owner reads it.
    pub(super) fn push(&mut self, topic: &str, partition: i32, offset: Offset, payload: Option<&[u8]>) {
        let Some(index) = self.find(topic, partition) else { return };
        let next = Offset(offset.0 + 1);
        let known = &mut self.known[index];
        let range = match known.range {
            Some(range) => {
                self.ranges[range as usize].next = next;
                range
            }
            None => {
                let range = self.ranges.len() as u32;
                let id = known.holding.id.clone();
                let (lease, delivered) = (known.holding.lease, known.holding.delivered);
                self.ranges.push(Range { lease, id, start: offset, next, delivered });
                known.range = Some(range);
                range
            }
        };
        self.opened_at.get_or_insert_with(Instant::now);
        // An empty payload holds as little.
        let Some(payload) = payload.filter(|payload| !payload.is_empty()) else {
            self.tombstones += 1;
            return;
        };
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(self.expected_bytes.max(payload.len()));
        }
        self.buffer.extend_from_slice(payload);
        self.records.push(Slice { range, offset, end: self.buffer.len() });
    }

    /// Index of the partition in `known`.
    fn find(&mut self, topic: &str, partition: i32) -> Option<usize> {
        let is_it = |known: &Known| known.partition.partition == partition && &*known.partition.topic == topic;
        if !self.known.get(self.last).is_some_and(is_it) {
            self.last = self.known.iter().position(is_it)?;
        }
        Some(self.last)
    }

    /// The stretches gathered so far.
    pub(super) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Bytes gathered, bookkeeping included.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len() + self.records.len() * size_of::<RawRecord>()
    }

    /// When the first message of the batch came; none while it is empty.
    pub(super) fn opened_at(&self) -> Option<Instant> {
        self.opened_at
    }

    /// Hands out what was gathered and begins anew.
    pub(super) fn take(&mut self) -> Filled {
        for known in &mut self.known {
            known.range = None;
        }
        self.opened_at = None;
        // An eighth more than last time: a steady stream then grows its buffer no more.
        self.expected_bytes = self.buffer.len() + self.buffer.len() / 8;
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.capacity() > buffer.len() * 2 {
            buffer.shrink_to_fit();
        }
        let payload = Bytes::from(buffer);
        let mut start = 0;
        let records = self.records.drain(..).map(|slice| {
            let record = payload.slice(start..slice.end);
            start = slice.end;
            RawRecord { payload: record, partition: slice.range, offset: slice.offset }
        });
        Filled {
            records: records.collect(),
            ranges: std::mem::take(&mut self.ranges),
            tombstones: std::mem::take(&mut self.tombstones),
        }
    }

    /// Begins with what is left of a batch. Only after a rebalance.
    fn refill(&mut self, filled: Filled) {
        if filled.ranges.is_empty() {
            return;
        }
        for record in &filled.records {
            self.buffer.extend_from_slice(&record.payload);
            self.records.push(Slice { range: record.partition, offset: record.offset, end: self.buffer.len() });
        }
        self.ranges = filled.ranges;
        self.tombstones = filled.tombstones;
        self.opened_at = Some(Instant::now());
    }
}

impl Filled {
    /// Bytes to hold against the memory budget.
    pub(super) fn bytes(&self) -> usize {
        let payload: usize = self.records.iter().map(|record| record.payload.len()).sum();
        payload + self.records.len() * size_of::<RawRecord>()
    }

    /// Keeps the ranges for which `kept` (by index) is true, and their records.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        if !kept.contains(&false) {
            return;
        }
        let mut moved = Vec::with_capacity(kept.len());
        let mut count = 0u32;
        for keep in kept {
            moved.push(keep.then_some(count));
            count += u32::from(*keep);
        }
        self.records.retain_mut(|record| {
            let to = moved[record.partition as usize];
            record.partition = to.unwrap_or_default();
            to.is_some()
        });
        let mut index = 0;
        self.ranges.retain(|_| {
            index += 1;
            kept[index - 1]
        });
    }

    /// The stretches, as the batch's origin names them.
    pub(super) fn offset_ranges(&self) -> Vec<OffsetRange> {
        let range = |range: &Range| OffsetRange {
            partition: range.id.clone(),
            start: range.start,
            next: range.next,
            delivered: range.delivered,
        };
        self.ranges.iter().map(range).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::assignment::{Assignment, topic_partition};
    use weir_contract::ack;

    fn assignment(partitions: &[i32]) -> Assignment {
        let assignment = Assignment::new(ack::channel().1);
        assignment.assign(partitions.iter().map(|number| topic_partition("t", *number)));
        assignment
    }

    fn texts(filled: &Filled) -> Vec<(String, &str, u64)> {
        let text = |record: &RawRecord| {
            let id = filled.ranges[record.partition as usize].id.to_string();
            (id, std::str::from_utf8(&record.payload).expect("text").to_owned().leak() as &str, record.offset.0)
        };
        filled.records.iter().map(text).collect()
    }

    #[test]
    fn messages_keep_their_order_payload_and_partition() {
        let mut builder = BatchBuilder::default();
        builder.set_held(assignment(&[0, 1]).held());
        builder.push("t", 1, Offset(7), Some(b"b7"));
        builder.push("t", 0, Offset(0), Some(b""));
        builder.push("t", 1, Offset(8), None);
        builder.push("t", 0, Offset(5), Some(b"a5"));
        let filled = builder.take();
        let expected = [("t/1", "b7", 7), ("t/0", "a5", 5)];
        assert_eq!(texts(&filled), expected.map(|(id, text, offset)| (id.to_owned(), text, offset)));
        let ranges: Vec<_> = filled.ranges.iter().map(|range| (range.start.0, range.next.0)).collect();
        assert_eq!(ranges, [(7, 9), (0, 6)], "a tombstone moves the position on");
        assert_eq!(filled.tombstones, 2);
        assert!(builder.take().ranges.is_empty() && builder.opened_at().is_none());
    }

    #[test]
    fn a_lost_partition_takes_its_records_along_and_the_others_stay() {
        let assignment = assignment(&[0, 1]);
        let mut builder = BatchBuilder::default();
        builder.set_held(assignment.held());
        builder.push("t", 0, Offset(1), Some(b"gone"));
        builder.push("t", 1, Offset(2), Some(b"stays"));
        assignment.revoke(&[topic_partition("t", 0)]);
        // It comes back under a new lease and is read again from an earlier offset.
        assignment.assign([topic_partition("t", 0)]);
        builder.set_held(assignment.held());
        builder.push("t", 0, Offset(0), Some(b"again"));
        builder.push("u", 0, Offset(0), Some(b"not ours"));
        let filled = builder.take();
        let expected = [("t/1", "stays", 2), ("t/0", "again", 0)];
        assert_eq!(texts(&filled), expected.map(|(id, text, offset)| (id.to_owned(), text, offset)));
    }
}
