//! Rows that come again are written once: after a restart, from a worker that lost its partition, and in any order of
//! commits between several writers.

use std::ops::Range;
use std::sync::Arc;

use object_store::memory::InMemory;
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats, RowPosition};

use super::tests::{Bench, numbered};
use crate::sink::{Sink as _, SinkError, SinkSummary};

/// Rows of one partition whose numbers are their offsets.
fn stretch(bench: &Bench, table: &str, offsets: Range<u64>) -> Batch {
    let rows = numbered(offsets.start as i64..offsets.end as i64);
    let range = OffsetRange {
        partition: "topic/0".into(),
        start: Offset(offsets.start),
        next: Offset(offsets.end),
        delivered: Offset(0),
    };
    Batch {
        table: table.into(),
        kind: RowKind::Normalized,
        positions: RowPosition::numbered(offsets.start, rows.num_rows()),
        mapping: None,
        has_more: false,
        permit: bench.budget.charge(rows.get_array_memory_size()),
        rows,
        origin: Arc::new(Origin { source: "hub".into(), ranges: vec![range], positions: Repeats::Same }),
        raw_bytes: 0,
        ack: bench.acks.issue(offsets.end),
    }
}

/// A sink that runs until its input is dropped.
struct Writer {
    input: mpsc::Sender<Batch>,
    sink: JoinHandle<Result<SinkSummary, SinkError>>,
}

impl Writer {
    fn new(bench: &Bench) -> Self {
        let (input, batches) = mpsc::channel(1);
        Self { input, sink: tokio::spawn(bench.sink().run(batches)) }
    }

    async fn send(&self, batch: Batch) {
        self.input.send(batch).await.expect("the sink runs");
    }

    /// Commits what it holds; gives the rows that it made durable, over all tables.
    async fn end(self) -> u64 {
        drop(self.input);
        let summary = self.sink.await.expect("no panic").expect("written");
        summary.tables.values().map(|table| table.rows).sum()
    }
}

fn all(range: Range<i64>) -> Vec<i64> {
    range.collect()
}

#[tokio::test]
async fn what_a_table_has_is_not_written_again_after_a_restart() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let first = Writer::new(&bench);
    first.send(stretch(&bench, "A", 0..10)).await;
    first.send(stretch(&bench, "B", 0..5)).await;
    assert_eq!(first.end().await, 15);
    // The offset was not stored: everything comes again, cut otherwise, and then what is new. Each table goes on from
    // where it is.
    let second = Writer::new(&bench);
    second.send(stretch(&bench, "A", 3..8)).await;
    second.send(stretch(&bench, "A", 8..14)).await;
    second.send(stretch(&bench, "B", 0..9)).await;
    assert_eq!(second.end().await, 8);
    assert_eq!(bench.numbers("A").await, all(0..14));
    assert_eq!(bench.numbers("B").await, all(0..9));
    assert_eq!(bench.durable(), 5, "also what was skipped is answered");
}

#[tokio::test]
async fn a_worker_that_lost_its_partition_doubles_nothing() {
    for newer_is_first in [true, false] {
        let mut bench = Bench::on(Arc::new(InMemory::new()));
        let start = Writer::new(&bench);
        start.send(stretch(&bench, "A", 0..4)).await;
        start.end().await;
        // Both know the table at 4, and hold rows of the same partition.
        let (older, newer) = (Writer::new(&bench), Writer::new(&bench));
        older.send(stretch(&bench, "A", 4..12)).await;
        newer.send(stretch(&bench, "A", 4..9)).await;
        newer.send(stretch(&bench, "B", 4..9)).await;
        let written = match newer_is_first {
            true => (newer.end().await, older.end().await),
            false => {
                let older = older.end().await;
                (newer.end().await, older)
            }
        };
        let expected = if newer_is_first { (10, 3) } else { (5, 8) };
        assert_eq!(written, expected, "who comes second leaves out what the first has");
        assert_eq!(bench.numbers("A").await, all(0..12));
        assert_eq!(bench.numbers("B").await, all(4..9));
        assert_eq!(bench.durable(), 4);
    }
}

#[tokio::test]
async fn rows_under_several_days_and_of_two_partitions_are_left_out_one_by_one() {
    let bench = Bench::on(Arc::new(InMemory::new()));
    let far = 90_000; // rows are a second apart: this many are more than a day
    let (older, newer) = (Writer::new(&bench), Writer::new(&bench));
    older.send(stretch(&bench, "A", 0..far)).await;
    newer.send(stretch(&bench, "A", 0..far - 10)).await;
    assert_eq!(newer.end().await, far - 10);
    assert_eq!(older.end().await, 10);
    assert_eq!(bench.numbers("A").await, all(0..far as i64));
}

#[tokio::test]
async fn a_raw_batch_is_committed_with_all_of_its_rows_or_not_at_all() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let writer = Writer::new(&bench);
    let mut half = stretch(&bench, "A", 0..5);
    half.has_more = true;
    writer.send(half).await;
    // The other half never comes: committed, the first would keep it out for good.
    writer.end().await;
    assert_eq!(bench.numbers("A").await, all(0..0));
    let whole = Writer::new(&bench);
    let mut half = stretch(&bench, "A", 0..5);
    half.has_more = true;
    whole.send(half).await;
    // Another mapping's rows of the same records.
    whole.send(stretch(&bench, "A", 0..5)).await;
    whole.end().await;
    assert_eq!(bench.numbers("A").await, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    let durable = std::iter::from_fn(|| bench.reports().try_recv().ok()).filter(|report| report.durable).count();
    assert_eq!(durable, 2);
}

/// The rows of a stretch that are `table`'s: every third is that of B, the others are A's.
fn share(bench: &Bench, table: &str, offsets: Range<u64>) -> Batch {
    let keep: Vec<bool> = offsets.clone().map(|n| n.is_multiple_of(3) == (table == "B")).collect();
    let mut batch = stretch(bench, table, offsets);
    let kept = batch.positions.iter().zip(&keep).filter(|(_, keep)| **keep);
    batch.positions = kept.map(|(position, _)| *position).collect();
    batch.rows = arrow::compute::filter_record_batch(&batch.rows, &keep.into()).expect("rows");
    batch
}

/// What one of several writers does next.
#[derive(Debug, Clone)]
enum Step {
    /// Reads on, this many offsets.
    Read(usize, u64),
    /// Ends cleanly or by a crash, and a new one begins at an offset that all tables have.
    Restart(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 1..20_u64).prop_map(|(writer, count)| Step::Read(writer, count)),
        1 => (0..3_usize, any::<bool>()).prop_map(|(writer, crash)| Step::Restart(writer, crash)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn however_writers_of_one_partition_overlap_each_row_is_there_once(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let bench = Bench::on(Arc::new(InMemory::new()));
            let mut end = 0;
            let mut writers: Vec<(Writer, u64)> = (0..3).map(|_| (Writer::new(&bench), 0)).collect();
            for step in steps {
                match step {
                    Step::Read(writer, count) => {
                        let (writer, at) = &mut writers[writer];
                        for table in ["A", "B"] {
                            writer.send(share(&bench, table, *at..*at + count)).await;
                        }
                        *at += count;
                        end = end.max(*at);
                    }
                    Step::Restart(number, crash) => {
                        let (writer, _) = writers.remove(number);
                        if crash {
                            writer.sink.abort();
                        } else {
                            writer.end().await;
                        }
                        // What is stored is never ahead of any table.
                        let last = |numbers: Vec<i64>| numbers.last().map_or(0, |last| *last as u64);
                        let stored = last(bench.numbers("A").await).min(last(bench.numbers("B").await));
                        writers.insert(number, (Writer::new(&bench), stored));
                    }
                }
            }
            for (writer, _) in writers {
                writer.end().await;
            }
            // One more, which reads everything: nothing is missing then, and nothing was doubled.
            let last = Writer::new(&bench);
            for table in ["A", "B"] {
                if end > 0 {
                    last.send(share(&bench, table, 0..end)).await;
                }
            }
            last.end().await;
            let of = |table: &str| (0..end as i64).filter(|n| (n % 3 == 0) == (table == "B")).collect::<Vec<_>>();
            assert_eq!(bench.numbers("A").await, of("A"));
            assert_eq!(bench.numbers("B").await, of("B"));
        });
    }
}
