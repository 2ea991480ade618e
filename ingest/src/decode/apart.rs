//! A record at which the decoder panics, taken apart from its neighbours.
//!
//! All records of a batch are read together. If that panics, each half is read by itself, down to single records; a
//! record that holds several (lines, an array, the rows of a CSV file) is cut into these and halved again. What is left
//! is the smallest piece that panics alone: it is refused, and everything else is read as if it had not been there.

use memchr::memchr_iter;
use weir_contract::batch::{Framing, RawRecord};
use weir_contract::bisect::bisect;
use weir_contract::panics::{Panic, catch};
use weir_contract::position::Offset;
use weir_contract::pushed::{Kind, Pushed};

use super::SPLITS;
use crate::decode::csv::Row;
use crate::json_text::parts;

/// How often a record is cut into those within it: lines of a chunk, arrays in a line, wrappers in those.
pub(super) const DEEPEST: usize = SPLITS + 1;

/// What became of some of the records.
#[derive(Debug)]
pub(super) enum Part<T> {
    /// They were read.
    Read(T),
    /// Reading this one panics.
    Panicked(RawRecord, Framing, Panic),
}

/// Reads `records` with `read`, which may panic. The parts stand in the order of the records.
pub(super) fn read<T>(
    records: &[RawRecord],
    framing: Framing,
    read: &dyn Fn(&[RawRecord], Framing) -> T,
) -> Vec<Part<T>> {
    read_pieces(records, framing, read, DEEPEST)
}

fn read_pieces<T>(
    records: &[RawRecord],
    framing: Framing,
    read: &dyn Fn(&[RawRecord], Framing) -> T,
    splits: usize,
) -> Vec<Part<T>> {
    let found = bisect(records.len(), |part| catch(|| read(&records[part], framing)), |_| false);
    let mut parts: Vec<(usize, Vec<Part<T>>)> =
        found.done.into_iter().map(|(part, done)| (part.start, vec![Part::Read(done)])).collect();
    for (index, panic) in found.culprits {
        let record = &records[index];
        let pieces = if splits > 0 { pieces(record, framing) } else { Vec::new() };
        parts.push((
            index,
            match pieces.len() {
                0 | 1 => vec![Part::Panicked(record.clone(), framing, panic)],
                _ => read_pieces(&pieces, framing, read, splits - 1),
            },
        ));
    }
    parts.sort_by_key(|(index, _)| *index);
    parts.into_iter().flat_map(|(_, parts)| parts).collect()
}

/// The records within a record, each as one of its own. Read one by one they give what the whole gives.
pub(super) fn pieces(record: &RawRecord, framing: Framing) -> Vec<RawRecord> {
    let piece = |start: usize, end: usize, offset: usize| RawRecord {
        payload: record.payload.slice(start..end),
        partition: record.partition,
        offset: Offset(record.offset.0 + offset as u64),
    };
    let text = &record.payload[..];
    match framing {
        Framing::Oversized => Vec::new(),
        Framing::Lines if memchr_iter(b'\n', text.trim_ascii_end()).next().is_some() => {
            let mut start = 0;
            let mut lines = Vec::new();
            for end in memchr_iter(b'\n', text).chain([text.len()]) {
                if !text[start..end].trim_ascii().is_empty() {
                    lines.push(piece(start, end, start));
                }
                start = end + 1;
            }
            lines
        }
        Framing::Lines => parts(text).into_iter().map(|part| piece(part.start, part.end, part.start)).collect(),
        Framing::Document => parts(text).into_iter().map(|part| piece(part.start, part.end, 0)).collect(),
        Framing::Pushed => pushed_pieces(record),
        // The reader of rows may be what panics; then the record stays whole.
        Framing::Csv => catch(|| csv_rows(record)).unwrap_or_default(),
    }
}

/// The documents within a pushed record, each with what the source noted beside it.
fn pushed_pieces(record: &RawRecord) -> Vec<RawRecord> {
    let Some(pushed) = Pushed::parse(&record.payload) else { return Vec::new() };
    if pushed.kind == Kind::Event {
        return Vec::new();
    }
    let piece = |part: std::ops::Range<usize>| RawRecord {
        payload: Pushed { kind: Kind::Document, body: &pushed.body[part], ..pushed }.to_bytes(),
        partition: record.partition,
        offset: record.offset,
    };
    parts(pushed.body).into_iter().map(piece).collect()
}

/// The bytes of a record as its sender wrote them.
pub(super) fn as_sent(record: &RawRecord, framing: Framing) -> &[u8] {
    match Pushed::parse(&record.payload) {
        Some(pushed) if framing == Framing::Pushed => pushed.body,
        _ => &record.payload,
    }
}

/// Each row of a CSV record behind the header.
fn csv_rows(record: &RawRecord) -> Vec<RawRecord> {
    let text = &record.payload[..];
    // Reading unescapes quotes in place.
    let mut copy = text.to_vec();
    let mut row = Row::default();
    let rows_start = row.read(&mut copy, 0).min(text.len());
    let mut rows = Vec::new();
    let mut start = rows_start;
    while start < text.len() {
        let next = row.read(&mut copy, start).min(text.len());
        if !row.is_blank() {
            rows.push(RawRecord {
                payload: [&text[..rows_start], &text[start..next]].concat().into(),
                partition: record.partition,
                offset: Offset(record.offset.0 + (start - rows_start) as u64),
            });
        }
        start = next;
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use arrow::array::AsArray as _;
    use proptest::prelude::*;
    use weir_contract::ack::Ack;
    use weir_contract::batch::RawBatch;
    use weir_contract::memory::MemoryBudget;
    use weir_contract::metrics::MetricSet;
    use weir_contract::position::{OffsetRange, Origin, Repeats};

    use super::super::{Decoder, Origins};
    use super::*;
    use crate::metrics::IngestMetrics;
    use crate::schema::RawTables;

    fn record(number: usize) -> String {
        format!(
            r#"{{"category":"AdvancedHunting-DeviceInfo","properties":{{"Timestamp":"2026-11-20T09:00:00Z","DeviceId":"n{number}."}}}}"#
        )
    }

    /// A batch of the numbered records: `per_record` of them stand in one.
    fn batch(count: usize, per_record: usize, framing: Framing) -> RawBatch {
        let numbers: Vec<usize> = (0..count).collect();
        let mut offset = 0;
        let records = numbers.chunks(per_record).map(|numbers| {
            let texts: Vec<String> = match framing {
                Framing::Csv => numbers.iter().map(|n| format!("DeviceInfo,2026-11-20T09:00:00Z,n{n}.\n")).collect(),
                _ => numbers.iter().map(|n| record(*n)).collect(),
            };
            let payload = match framing {
                Framing::Lines => texts.join("\n") + "\n",
                Framing::Csv => format!("Type,Timestamp,DeviceId\n{}", texts.concat()),
                _ => format!("{{\"records\": [{}]}}", texts.join(", ")),
            };
            let at = offset;
            offset += payload.len() as u64;
            RawRecord { payload: payload.into(), partition: 0, offset: Offset(at) }
        });
        let records = records.collect();
        let range = OffsetRange { partition: "p".into(), start: Offset(0), next: Offset(offset), delivered: Offset(0) };
        RawBatch {
            origin: Arc::new(Origin { source: "test".into(), ranges: vec![range], positions: Repeats::Same }),
            framing,
            default_table: None,
            records,
            ack: Ack::detached(),
            permit: MemoryBudget::new(1 << 30).charge(0),
        }
    }

    fn decoder() -> Decoder {
        Decoder::new(Arc::new(RawTables::builtin()), IngestMetrics::new(&MetricSet::new()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn exactly_the_records_that_panic_are_refused_and_all_others_are_rows_in_order(
            count in 1usize..60,
            per_record in 1usize..20,
            bad in prop::collection::btree_set(0usize..60, 0..6),
            framing in prop_oneof![Just(Framing::Lines), Just(Framing::Document), Just(Framing::Csv)],
        ) {
            let bad: BTreeSet<usize> = bad.into_iter().filter(|number| *number < count).collect();
            let (decoder, raw) = (decoder(), batch(count, per_record, framing));
            let from = Origins::of(&raw);
            // A decoder that has a defect at these records.
            let parts = read(&raw.records, framing, &|records, framing| {
                for record in records {
                    let text = String::from_utf8_lossy(&record.payload);
                    let hit = bad.iter().find(|number| text.contains(&format!("n{number}.")));
                    assert!(hit.is_none(), "cannot read number {hit:?}");
                }
                decoder.read(&from, records, framing)
            });
            let mut rows = Vec::new();
            let mut refused = Vec::new();
            for part in parts {
                match part {
                    Part::Read(read) => {
                        prop_assert!(read.letters.is_empty());
                        for made in &read.made {
                            let column = made.rows.column_by_name("DeviceId").expect("a column").as_string_view();
                            rows.extend(column.iter().flatten().map(str::to_owned));
                        }
                    }
                    Part::Panicked(record, framing, panic) => {
                        prop_assert!(panic.message.contains("cannot read number"));
                        let letter = from.panicked(&record, framing, &panic);
                        prop_assert_eq!(letter.reason, "panic");
                        let text = String::from_utf8(letter.payload.to_vec()).expect("text");
                        let (_, number) = text.rsplit_once('n').expect("its number");
                        let (number, _) = number.split_once('.').expect("its end");
                        refused.push(number.parse::<usize>().expect("a number"));
                    }
                }
            }
            prop_assert_eq!(refused, bad.iter().copied().collect::<Vec<_>>());
            let others = (0..count).filter(|number| !bad.contains(number)).map(|number| format!("n{number}."));
            prop_assert_eq!(rows, others.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_line_that_panics_is_told_with_its_own_offset_and_bytes() {
        let raw = batch(5, 5, Framing::Lines);
        let is_third = |records: &[RawRecord], _: Framing| {
            let is_bad = |record: &RawRecord| String::from_utf8_lossy(&record.payload).contains("n2.");
            assert!(!records.iter().any(is_bad), "the third");
        };
        let parts = read(&raw.records, Framing::Lines, &is_third);
        let panicked = parts.iter().find_map(|part| match part {
            Part::Panicked(record, ..) => Some((record.offset.0, record.payload.clone())),
            Part::Read(_) => None,
        });
        let line = record(2);
        assert_eq!(panicked, Some((2 * (line.len() as u64 + 1), line.into_bytes().into())));
    }
}
