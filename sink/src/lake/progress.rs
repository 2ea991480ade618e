//! How far a table has come in each stream that its rows come from.
//!
//! A stream is one partition of one source. A commit carries, as an application transaction of Delta's, the next offset
//! of each stream that it holds rows of, so rows and offsets become visible in one step. Rows that come again, after a
//! crash, a rebalance or from a worker that does not know yet that its partition has another owner, lie before the
//! offset that the table has reached, and are skipped. Both writers of a partition may commit: the log takes one entry
//! per version, so the second finds the first one's offset before its own rows can become visible.

use std::collections::{BTreeMap, HashMap};

use arrow::array::BooleanArray;
use weir_contract::batch::Batch;
use weir_contract::position::{Offset, Origin, PartitionId, Repeats, SourceName};

use crate::lake::encode::RowKey;

/// The streams of one table's writer, numbered in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    numbers: HashMap<(SourceName, PartitionId), u32>,
    streams: Vec<Stream>,
    /// What a raw batch, of which more is to come, has for this table so far.
    unfinished: BTreeMap<u32, Reach>,
}

#[derive(Debug)]
struct Stream {
    /// The id of the application transaction.
    id: String,
    /// Rows before it are committed, or on their way in front of those that come now.
    taken: Offset,
}

/// The rows of one stream in a commit: they begin at `from`, and `next` is what to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) from: Offset,
    pub(crate) next: Offset,
}

/// What a table writer does with the rows of a batch.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// The key of each row that is kept.
    pub(crate) keys: Vec<RowKey>,
    /// Which rows are kept; `None`: all.
    pub(crate) kept: Option<BooleanArray>,
}

impl Streams {
    /// The ids of streams of `origin` that were not met before, with their numbers.
    pub(crate) fn unmet(&self, origin: &Origin) -> Vec<String> {
        if origin.positions == Repeats::Unrelated {
            return Vec::new();
        }
        let is_unmet =
            |partition: &PartitionId| !self.numbers.contains_key(&(origin.source.clone(), partition.clone()));
        let partitions = origin.ranges.iter().map(|range| &range.partition);
        partitions.filter(|partition| is_unmet(partition)).map(|partition| id(&origin.source, partition)).collect()
    }

    /// Takes note of the streams of `origin`; `reached` tells by id how far the table has come in those not met before.
    pub(crate) fn meet(&mut self, origin: &Origin, reached: impl Fn(&str) -> Offset) {
        if origin.positions == Repeats::Unrelated {
            return;
        }
        for range in &origin.ranges {
            let streams = &mut self.streams;
            self.numbers.entry((origin.source.clone(), range.partition.clone())).or_insert_with(|| {
                let id = id(&origin.source, &range.partition);
                streams.push(Stream { taken: reached(&id), id });
                streams.len() as u32 - 1
            });
        }
    }

    /// Decides which rows of `batch`, whose streams were met, are new. Those count as taken from here on.
    pub(crate) fn admit(&mut self, batch: &Batch) -> Admitted {
        let rows = batch.positions.len();
        if batch.origin.positions == Repeats::Unrelated {
            let keys = batch.positions.iter().map(|position| RowKey { stream: None, offset: position.offset });
            return Admitted { keys: keys.collect(), kept: None };
        }
        let ranges = &batch.origin.ranges;
        let number = |partition: &PartitionId| self.numbers[&(batch.origin.source.clone(), partition.clone())];
        let streams: Vec<u32> = ranges.iter().map(|range| number(&range.partition)).collect();
        let mut keys = Vec::with_capacity(rows);
        let mut kept = Vec::with_capacity(rows);
        for position in &*batch.positions {
            let range = position.partition as usize;
            let stream = streams[range];
            let is_new = position.offset >= self.streams[stream as usize].taken;
            kept.push(is_new);
            if is_new {
                keys.push(RowKey { stream: Some(stream), offset: position.offset });
                let reach = Reach { from: position.offset, next: ranges[range].next };
                self.unfinished.entry(stream).or_insert(reach).widen(reach);
            }
        }
        Admitted { kept: (keys.len() < rows).then(|| kept.into()), keys }
    }

    /// Ends a raw batch: what was admitted of it counts as taken. Gives how far that brings each stream.
    pub(crate) fn finish(&mut self) -> BTreeMap<u32, Reach> {
        let finished = std::mem::take(&mut self.unfinished);
        for (stream, reach) in &finished {
            let taken = &mut self.streams[*stream as usize].taken;
            *taken = reach.next.max(*taken);
        }
        finished
    }

    /// The id of the application transaction of a stream.
    pub(crate) fn id(&self, stream: u32) -> &str {
        &self.streams[stream as usize].id
    }
}

impl Reach {
    pub(crate) fn widen(&mut self, other: Self) {
        self.from = self.from.min(other.from);
        self.next = self.next.max(other.next);
    }
}

/// The id of the application transaction of a partition of a source.
fn id(source: &SourceName, partition: &PartitionId) -> String {
    format!("weir/{source}/{partition}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use weir_contract::ack::Ack;
    use weir_contract::batch::RowKind;
    use weir_contract::memory::MemoryBudget;
    use weir_contract::position::{OffsetRange, RowPosition};

    fn batch(offsets: &[u64], next: u64, positions: Repeats) -> Batch {
        let range = OffsetRange { partition: "t/0".into(), start: Offset(0), next: Offset(next), delivered: Offset(0) };
        let at = |offset: &u64| RowPosition { offset: Offset(*offset), partition: 0, row: 0 };
        Batch {
            table: "T".into(),
            kind: RowKind::Raw,
            rows: RecordBatch::new_empty(Arc::new(Schema::empty())),
            origin: Arc::new(Origin { source: "hub".into(), ranges: vec![range], positions }),
            positions: offsets.iter().map(at).collect(),
            mapping: None,
            has_more: false,
            raw_bytes: 0,
            ack: Ack::detached(),
            permit: MemoryBudget::new(1).charge(0),
        }
    }

    fn admitted(streams: &mut Streams, batch: &Batch) -> Vec<u64> {
        streams.meet(&batch.origin, |_| Offset(10));
        streams.admit(batch).keys.iter().map(|key| key.offset.0).collect()
    }

    #[test]
    fn what_the_table_has_is_skipped_and_what_is_taken_is_not_taken_again() {
        let mut streams = Streams::default();
        assert_eq!(streams.unmet(&batch(&[], 0, Repeats::Same).origin), ["weir/hub/t/0"]);
        assert_eq!(admitted(&mut streams, &batch(&[8, 9, 10, 12], 13, Repeats::Same)), [10, 12]);
        assert_eq!(streams.finish()[&0], Reach { from: Offset(10), next: Offset(13) });
        assert_eq!(admitted(&mut streams, &batch(&[9, 12, 13], 20, Repeats::Same)), [13], "read again, then on");
        streams.finish();
        assert_eq!(admitted(&mut streams, &batch(&[3, 19], 20, Repeats::Unrelated)), [3, 19], "a replay is not held");
    }

    #[test]
    fn a_second_batch_of_the_same_raw_batch_is_not_taken_for_a_repetition() {
        let mut streams = Streams::default();
        assert_eq!(admitted(&mut streams, &batch(&[10, 11], 12, Repeats::Same)), [10, 11]);
        assert_eq!(admitted(&mut streams, &batch(&[10], 12, Repeats::Same)), [10], "another mapping's rows");
        assert_eq!(streams.finish()[&0], Reach { from: Offset(10), next: Offset(12) });
        assert_eq!(admitted(&mut streams, &batch(&[10, 11], 12, Repeats::Same)), [0; 0]);
        assert_eq!(streams.finish().len(), 0);
    }
}
