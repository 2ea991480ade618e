//! From a decoded row back to the record that it came from.
//!
//! Rows do not carry their bytes. When a later stage refuses one, its record is found by decoding again: the batch is
//! halved, and the half goes on that has the row. Rows of a table stand in the order of their records, so counting tells
//! which half that is. This costs as much as decoding the batch twice, and happens only where a row is refused.

use std::sync::Arc;

use bytes::Bytes;
use weir_contract::batch::{Framing, RawBatch, RawRecord};
use weir_contract::dead_letter::Form;
use weir_contract::position::{Offset, Origin, PartitionId};

use super::{Decoder, apart};

/// The records of a raw batch, to find the origin of rows after the batch itself is decoded. Shares the batch's bytes:
/// whoever keeps it also keeps a permit for them.
#[derive(Debug, Clone)]
pub struct Origins {
    /// Where the batch came from.
    pub origin: Arc<Origin>,
    pub(super) framing: Framing,
    pub(super) default_table: Option<Arc<str>>,
    pub(super) records: Vec<RawRecord>,
}

/// The record of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// What `payload` is.
    pub form: Form,
    /// Its bytes: of a document with many records only those of the row's.
    pub payload: Bytes,
}

impl Origins {
    /// The records of `raw`.
    pub fn of(raw: &RawBatch) -> Self {
        Self {
            origin: Arc::clone(&raw.origin),
            framing: raw.framing,
            default_table: raw.default_table.clone(),
            records: raw.records.clone(),
        }
    }

    pub(super) fn partition(&self, record: &RawRecord) -> PartitionId {
        let range = usize::try_from(record.partition).ok().and_then(|index| self.origin.ranges.get(index));
        range.map_or_else(|| "unknown".into(), |range| range.partition.clone())
    }
}

impl Decoder {
    /// The records that the rows numbered `rows` (rising) of the raw table `table` came from, in the order of `rows`.
    /// Numbers count the table's rows over all batches that `from` was decoded into. `None` where a row cannot be told.
    pub fn locate(&self, from: &Origins, table: &str, rows: &[usize]) -> Vec<Option<Located>> {
        let mut search = Search { decoder: self, from, table, rows, found: vec![None; rows.len()] };
        search.within(&from.records, 0, apart::DEEPEST);
        search.found
    }
}

struct Search<'s> {
    decoder: &'s Decoder,
    from: &'s Origins,
    table: &'s str,
    rows: &'s [usize],
    found: Vec<Option<Located>>,
}

impl Search<'_> {
    /// Looks for the rows within `records`, whose first row of the table is numbered `first`. Returns how many rows of
    /// the table they have.
    fn within(&mut self, records: &[RawRecord], first: usize, splits: usize) -> usize {
        let (of_table, of_all) = self.count(records);
        let wanted =
            self.rows.partition_point(|row| *row < first)..self.rows.partition_point(|row| *row < first + of_table);
        if wanted.is_empty() {
            return of_table;
        }
        if records.len() > 1 {
            let (front, back) = records.split_at(records.len() / 2);
            let before = self.within(front, first, splits);
            self.within(back, first + before, splits);
            return of_table;
        }
        let record = &records[0];
        let pieces = if splits > 0 && of_all > 1 { apart::pieces(record, self.from.framing) } else { Vec::new() };
        if pieces.len() > 1 {
            self.within(&pieces, first, splits - 1);
            return of_table;
        }
        let text = apart::as_sent(record, self.from.framing);
        let located = Located {
            partition: self.from.partition(record),
            offset: record.offset,
            form: if self.from.framing == Framing::Csv { Form::Csv } else { Form::Document },
            payload: Bytes::copy_from_slice(text.strip_suffix(b"\n").unwrap_or(text)),
        };
        self.found[wanted].fill(Some(located));
        of_table
    }

    /// Rows of the table, and of all tables together with what is refused.
    fn count(&self, records: &[RawRecord]) -> (usize, usize) {
        let read = |part: &[RawRecord], framing| self.decoder.read(self.from, part, framing);
        let (mut of_table, mut of_all) = (0, 0);
        for part in apart::read(records, self.from.framing, &read) {
            match part {
                apart::Part::Read(read) => {
                    of_all += read.letters.len();
                    for made in read.made {
                        of_all += made.rows.num_rows();
                        of_table += if *made.table == *self.table { made.rows.num_rows() } else { 0 };
                    }
                }
                apart::Part::Panicked(..) => of_all += 1,
            }
        }
        (of_table, of_all)
    }
}

#[cfg(test)]
mod tests {
    use weir_contract::ack::Ack;
    use weir_contract::memory::MemoryBudget;
    use weir_contract::metrics::MetricSet;
    use weir_contract::position::{OffsetRange, Repeats};

    use super::*;
    use crate::metrics::IngestMetrics;
    use crate::schema::RawTables;

    fn row(table: &str, name: &str) -> String {
        format!(
            r#"{{"category":"AdvancedHunting-{table}","properties":{{"Timestamp":"2026-11-20T09:00:00Z","DeviceId":"{name}"}}}}"#
        )
    }

    fn found(framing: Framing, records: &[(u64, String)], table: &str, rows: &[usize]) -> Vec<(u64, String)> {
        let range = OffsetRange { partition: "t/3".into(), start: Offset(0), next: Offset(1000), delivered: Offset(0) };
        let records = records.iter().map(|(at, text)| RawRecord {
            payload: text.clone().into(),
            partition: 0,
            offset: Offset(*at),
        });
        let raw = RawBatch {
            origin: Arc::new(Origin { source: "test".into(), ranges: vec![range], positions: Repeats::Same }),
            framing,
            default_table: None,
            records: records.collect(),
            ack: Ack::detached(),
            permit: MemoryBudget::new(1 << 30).charge(0),
        };
        let decoder = Decoder::new(Arc::new(RawTables::builtin()), IngestMetrics::new(&MetricSet::new()));
        let located = decoder.locate(&Origins::of(&raw), table, rows);
        let told = located.into_iter().map(|located| {
            let located = located.expect("every row has a record");
            assert_eq!(&*located.partition.0, "t/3");
            (located.offset.0, String::from_utf8(located.payload.to_vec()).expect("text"))
        });
        told.collect()
    }

    #[test]
    fn a_row_leads_back_to_its_own_record_in_messages_wrappers_and_lines() {
        let (a, b, c, d) =
            (row("DeviceInfo", "a"), row("DeviceEvents", "b"), row("DeviceInfo", "c"), row("DeviceInfo", "d"));
        let messages = [(7, format!("{{\"records\":[{a},{b}, {c}]}}")), (8, "{damaged".to_owned()), (9, d.clone())];
        let all = vec![(7, a.clone()), (7, c.clone()), (9, d.clone())];
        assert_eq!(found(Framing::Document, &messages, "DeviceInfo", &[0, 1, 2]), all);
        assert_eq!(found(Framing::Document, &messages, "DeviceInfo", &[1]), all[1..2]);
        assert_eq!(found(Framing::Document, &messages, "DeviceEvents", &[0]), [(7, b.clone())]);
        let lines = [(100, format!("{a}\n{b}\n\n[{c}, {d}]\n"))];
        let third = 100 + (a.len() + b.len() + 4) as u64;
        let expected = [(100, a), (third, c.clone()), (third + c.len() as u64 + 2, d)];
        assert_eq!(found(Framing::Lines, &lines, "DeviceInfo", &[0, 1, 2]), expected);
    }

    #[test]
    fn a_row_of_a_csv_file_comes_with_its_header() {
        let header = "Type,Timestamp,DeviceId\n";
        let rows = ["DeviceInfo,2026-11-20T09:00:00Z,a\n", "DeviceInfo,2026-11-20T09:00:00Z,\"b\"\"\"\n"];
        let located = found(Framing::Csv, &[(24, format!("{header}{}", rows.concat()))], "DeviceInfo", &[1]);
        assert_eq!(located, [(24 + rows[0].len() as u64, format!("{header}{}", rows[1].trim_end()))]);
    }

    #[test]
    fn a_row_that_is_not_there_has_no_record() {
        let range = OffsetRange { partition: "t/3".into(), start: Offset(0), next: Offset(1000), delivered: Offset(0) };
        let from = Origins {
            origin: Arc::new(Origin { source: "test".into(), ranges: vec![range], positions: Repeats::Same }),
            framing: Framing::Document,
            default_table: None,
            records: vec![RawRecord { payload: row("DeviceInfo", "a").into(), partition: 0, offset: Offset(1) }],
        };
        let decoder = Decoder::new(Arc::new(RawTables::builtin()), IngestMetrics::new(&MetricSet::new()));
        assert_eq!(decoder.locate(&from, "DeviceInfo", &[1]), [None]);
    }
}
