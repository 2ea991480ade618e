//! Rows to request bodies: greedy, exact to the byte, no row split, order kept.
//!
//! A [`Segment`] is a run of rows of one encoded batch with its part of that batch's acknowledgement. Segments queue in
//! a [`Packer`] per table; a [`Payload`] takes as many rows from the front as fit, so that one body may hold rows of
//! several batches and one batch may go out in several bodies. Nothing is copied on the way: a payload refers to the
//! batches' own bytes until it is compressed.
//!
//! Each part's acknowledgement is answered on its own; the batch is durable when its last part is.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_contract::ack::Ack;
use weir_contract::memory::Permit;
use weir_contract::position::{Origin, RowPosition};

use crate::sentinel::encode::EncodedRows;

/// An encoded batch, shared by the segments that its rows were cut into.
#[derive(Debug)]
pub struct PackedBatch {
    /// The rows as JSON.
    pub rows: EncodedRows,
    /// What the workspace bills for each row, in bytes.
    pub billed: Vec<u64>,
    /// Where the rows came from.
    pub came: CameFrom,
    /// The encoded bytes against the memory budget; given back when the last segment is gone.
    pub permit: Permit,
    /// Rows that are neither delivered nor dead letters.
    pending: AtomicUsize,
}

/// Where the rows of a batch came from.
#[derive(Debug, Clone)]
pub struct CameFrom {
    /// Source and partitions.
    pub origin: Arc<Origin>,
    /// One per row.
    pub positions: Arc<[RowPosition]>,
    /// The mapping that made the rows.
    pub mapping: Option<Arc<str>>,
}

/// A run of rows of one batch, with its part of the acknowledgement. Dropped unanswered, it fails the batch.
#[derive(Debug)]
pub struct Segment {
    batch: Arc<PackedBatch>,
    range: Range<usize>,
    ack: Ack,
}

/// The rows of one request.
#[derive(Debug, Default)]
pub struct Payload {
    segments: Vec<Segment>,
}

/// Rows of one table that wait for their request.
#[derive(Debug, Default)]
pub struct Packer {
    queue: VecDeque<Segment>,
    bytes: usize,
    rows: usize,
}

/// What [`Packer::next`] took from the queue.
#[derive(Debug)]
pub enum Packed {
    /// Rows that fit together.
    Payload(Payload),
    /// One row that fits into no request.
    TooLarge(Segment),
}

impl PackedBatch {
    /// A batch none of whose rows is settled yet.
    pub fn new(rows: EncodedRows, billed: Vec<u64>, came: CameFrom, permit: Permit) -> Self {
        let pending = AtomicUsize::new(rows.len());
        Self { rows, billed, came, permit, pending }
    }
}

impl Segment {
    /// All rows of `batch`, with the whole acknowledgement.
    pub fn whole(batch: Arc<PackedBatch>, ack: Ack) -> Self {
        let range = 0..batch.rows.len();
        Self { batch, range, ack }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The rows' JSON, each row followed by a comma.
    pub fn json(&self) -> &[u8] {
        self.batch.rows.bytes(self.range.clone())
    }

    /// What the workspace bills for the rows, in bytes.
    pub fn billed_bytes(&self) -> u64 {
        self.batch.billed[self.range.clone()].iter().sum()
    }

    /// Where the batch came from, and the place of the first row in it.
    pub fn origin(&self) -> (&CameFrom, usize) {
        (&self.batch.came, self.range.start)
    }

    /// Answers the acknowledgement: the rows are durable. True if they were the last ones of their batch.
    pub fn settle(self) -> bool {
        let (ack, last) = self.hand_over();
        ack.done();
        last
    }

    /// Gives the acknowledgement to whoever answers for the rows from here on, such as the lake that takes a dead
    /// letter. True beside it if they were the last ones of their batch.
    pub fn hand_over(self) -> (Ack, bool) {
        let rows = self.range.len();
        let last = self.batch.pending.fetch_sub(rows, Ordering::AcqRel) == rows;
        (self.ack, last)
    }

    /// Cuts off the first `rows` rows. `None` for the half that would be empty.
    fn split_at(self, rows: usize) -> (Option<Segment>, Option<Segment>) {
        if rows == 0 {
            return (None, Some(self));
        }
        if rows >= self.len() {
            return (Some(self), None);
        }
        let middle = self.range.start + rows;
        let front = Segment { batch: Arc::clone(&self.batch), range: self.range.start..middle, ack: self.ack.split() };
        (Some(front), Some(Segment { range: middle..self.range.end, ..self }))
    }
}

impl Payload {
    /// A payload of one run of rows.
    pub fn single(segment: Segment) -> Self {
        Self { segments: vec![segment] }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    /// Bytes of the body before compression, brackets included.
    pub fn body_len(&self) -> usize {
        // Each row brings a comma, the last one's gives way to a bracket; the other bracket comes on top.
        self.segments.iter().map(|segment| segment.json().len()).sum::<usize>().max(1) + 1
    }

    /// What the workspace bills for the rows, in bytes.
    pub fn billed_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::billed_bytes).sum()
    }

    /// Writes the body: `[row,row,…]`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"[")?;
        for (index, segment) in self.segments.iter().enumerate() {
            let json = segment.json();
            let is_last = index + 1 == self.segments.len();
            out.write_all(if is_last { &json[..json.len() - 1] } else { json })?;
        }
        out.write_all(b"]")
    }

    /// The two halves by number of rows, in order; the row itself if there is but one.
    pub fn halves(self) -> Result<(Payload, Payload), Segment> {
        let rows = self.rows();
        let mut to_front = rows / 2;
        let (mut front, mut back) = (Payload::default(), Payload::default());
        for segment in self.segments {
            if rows == 1 {
                return Err(segment);
            }
            let taken = to_front.min(segment.len());
            to_front -= taken;
            let (head, tail) = segment.split_at(taken);
            front.segments.extend(head);
            back.segments.extend(tail);
        }
        Ok((front, back))
    }

    /// The segments, to be settled one by one.
    pub fn into_segments(self) -> Vec<Segment> {
        self.segments
    }
}

impl Packer {
    /// Queues rows behind those that wait.
    pub fn push(&mut self, segment: Segment) {
        if !segment.is_empty() {
            self.bytes += segment.json().len();
            self.rows += segment.len();
            self.queue.push_back(segment);
        }
    }

    /// Rows that wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes from the front as many rows as make a body of at most `limit` bytes.
    ///
    /// Unless `flush` is set, `None` while everything that waits fits into one body: more may come.
    pub fn next(&mut self, limit: usize, flush: bool) -> Option<Packed> {
        let mut room = limit.saturating_sub(1);
        if self.rows == 0 || (!flush && self.bytes <= room) {
            return None;
        }
        let mut payload = Payload::default();
        while let Some(segment) = self.queue.pop_front() {
            let fitting = segment.batch.rows.rows_within(segment.range.clone(), room);
            let (front, rest) = segment.split_at(fitting);
            if let Some(front) = front {
                room -= front.json().len();
                self.take(&front);
                payload.segments.push(front);
            }
            if let Some(rest) = rest {
                if !payload.segments.is_empty() {
                    self.queue.push_front(rest);
                    break;
                }
                let (row, rest) = rest.split_at(1);
                if let Some(rest) = rest {
                    self.queue.push_front(rest);
                }
                let row = row.expect("a segment in the queue has rows");
                self.take(&row);
                return Some(Packed::TooLarge(row));
            }
        }
        Some(Packed::Payload(payload))
    }

    fn take(&mut self, segment: &Segment) {
        self.bytes -= segment.json().len();
        self.rows -= segment.len();
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
    use arrow::datatypes::Schema;
    use proptest::prelude::*;
    use weir_contract::ack::{AckReport, Answered, channel};
    use weir_contract::memory::MemoryBudget;
    use weir_contract::position::Repeats;
    use weir_contract::schema::ColumnType;

    use super::*;

    /// A batch whose rows are numbered from `first` and padded to the given lengths.
    fn segment(first: usize, padding: &[usize], ack: Ack) -> Segment {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter((first..).map(|n| n as i64).take(padding.len())));
        let pads: ArrayRef = Arc::new(StringViewArray::from_iter_values(padding.iter().map(|n| "x".repeat(*n))));
        let schema = Schema::new(vec![ColumnType::Long.field("n"), ColumnType::String.field("p")]);
        let rows = RecordBatch::try_new(Arc::new(schema), vec![numbers, pads]).expect("columns fit");
        let encoded = EncodedRows::encode(&rows).expect("encodes");
        let origin = Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated });
        let permit = MemoryBudget::new(1 << 20).charge(encoded.memory());
        let came = CameFrom { origin, positions: RowPosition::numbered(0, padding.len()), mapping: None };
        Segment::whole(Arc::new(PackedBatch::new(encoded, vec![1; padding.len()], came, permit)), ack)
    }

    fn body(payload: &Payload) -> Vec<u8> {
        let mut body = Vec::new();
        payload.write_to(&mut body).expect("memory takes it");
        assert_eq!(body.len(), payload.body_len(), "sizes are exact");
        body
    }

    fn numbers(json: &[u8]) -> Vec<usize> {
        let rows: Vec<serde_json::Value> = serde_json::from_slice(json).expect("a body is a JSON array");
        rows.iter().map(|row| row["n"].as_u64().expect("numbered") as usize).collect()
    }

    #[test]
    fn waits_until_a_body_is_full_and_flushes_on_demand() {
        let mut packer = Packer::default();
        packer.push(segment(0, &[0, 0], Ack::detached()));
        // [{"n":0},{"n":1}]
        assert!(packer.next(17, false).is_none(), "fits exactly, more may come");
        packer.push(segment(2, &[0], Ack::detached()));
        let Some(Packed::Payload(full)) = packer.next(17, false) else { panic!("full") };
        assert_eq!(body(&full), br#"[{"n":0},{"n":1}]"#);
        assert!(packer.next(17, false).is_none());
        let Some(Packed::Payload(rest)) = packer.next(17, true) else { panic!("flushed") };
        assert_eq!(body(&rest), br#"[{"n":2}]"#);
        assert!(packer.next(17, true).is_none());
    }

    #[test]
    fn a_lone_row_over_the_limit_is_handed_out_alone() {
        let mut packer = Packer::default();
        packer.push(segment(0, &[0, 100, 0], Ack::detached()));
        let Some(Packed::Payload(before)) = packer.next(50, true) else { panic!("the row before") };
        assert_eq!(numbers(&body(&before)), [0]);
        let Some(Packed::TooLarge(row)) = packer.next(50, true) else { panic!("the large one") };
        assert!(row.json().starts_with(br#"{"n":1,"#));
        let Some(Packed::Payload(after)) = packer.next(50, true) else { panic!("the row after") };
        assert_eq!(numbers(&body(&after)), [2]);
    }

    #[test]
    fn a_batch_is_acknowledged_with_its_last_row() {
        let (sender, mut reports) = channel();
        let mut packer = Packer::default();
        packer.push(segment(0, &[0, 0, 0], sender.issue(9)));
        let mut payloads = Vec::new();
        while let Some(Packed::Payload(payload)) = packer.next(10, true) {
            payloads.push(payload);
        }
        assert_eq!(payloads.len(), 3);
        let mut last = Vec::new();
        for payload in payloads {
            assert!(reports.try_recv().is_err());
            last.extend(payload.into_segments().into_iter().map(Segment::settle));
        }
        assert_eq!(last, [false, false, true]);
        assert_eq!(reports.try_recv(), Ok(AckReport { batch: 9, of: Answered::All, durable: true }));
    }

    #[test]
    fn halves_end_in_the_single_row() {
        let mut packer = Packer::default();
        packer.push(segment(0, &[0, 0], Ack::detached()));
        packer.push(segment(2, &[0, 0, 0], Ack::detached()));
        let Some(Packed::Payload(payload)) = packer.next(1000, true) else { panic!("one body") };
        let mut singles = Vec::new();
        let mut stack = vec![payload];
        while let Some(payload) = stack.pop() {
            match payload.halves() {
                Ok((front, back)) => stack.extend([back, front]),
                Err(row) => singles.extend(numbers(&[b"[", &row.json()[..row.json().len() - 1], b"]"].concat())),
            }
        }
        assert_eq!(singles, [0, 1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn no_row_is_lost_doubled_or_out_of_order(
            batches in proptest::collection::vec(proptest::collection::vec(0usize..60, 0..12), 1..8),
            limit in 20usize..200,
            flush_every in 1usize..5,
        ) {
            let mut packer = Packer::default();
            let mut pushed = 0;
            let mut seen = Vec::new();
            let drain = |packer: &mut Packer, flush: bool, seen: &mut Vec<usize>| {
                while let Some(packed) = packer.next(limit, flush) {
                    match packed {
                        Packed::Payload(payload) => {
                            let body = body(&payload);
                            assert!(body.len() <= limit, "{} > {limit}", body.len());
                            assert_eq!(payload.billed_bytes(), payload.rows() as u64);
                            seen.extend(numbers(&body));
                        }
                        Packed::TooLarge(row) => {
                            assert!(row.json().len() + 1 > limit, "only a row that fits nowhere");
                            let json = row.json();
                            seen.extend(numbers(&[b"[", &json[..json.len() - 1], b"]"].concat()));
                        }
                    }
                }
            };
            for (index, padding) in batches.iter().enumerate() {
                packer.push(segment(pushed, padding, Ack::detached()));
                pushed += padding.len();
                drain(&mut packer, index % flush_every == 0, &mut seen);
            }
            drain(&mut packer, true, &mut seen);
            prop_assert_eq!(packer.rows(), 0);
            prop_assert_eq!(packer.bytes, 0);
            prop_assert_eq!(seen, (0..pushed).collect::<Vec<_>>());
        }
    }
}
