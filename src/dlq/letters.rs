//! Dead letters as they stand in the lake.

use std::collections::HashMap;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use futures::TryStreamExt as _;
use weir_contract::dead_letter::{Form, hash_id};
use weir_sink::lake::read::LakeTable;

/// Rows of the table that are read together; each may have megabytes.
const BATCH_ROWS: usize = 256;
/// Bytes of the payload that a list shows.
const HEAD: usize = 160;

/// A dead letter without its payload.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) id: String,
    /// When it was refused, in microseconds since 1970 UTC.
    pub(super) time_us: i64,
    pub(super) source: String,
    pub(super) partition: String,
    pub(super) offset: i64,
    pub(super) table: Option<String>,
    pub(super) stage: String,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) mapping: Option<String>,
    pub(super) mapping_version: Option<String>,
    pub(super) weir_version: Option<String>,
    pub(super) form: Form,
    /// Bytes of the payload.
    pub(super) bytes: usize,
    /// The first of them.
    pub(super) head: Vec<u8>,
    last: Option<u8>,
}

/// Calls back with each letter and its payload, in the order of the table. Letters that an earlier version wrote have no
/// id of their own: theirs is made of what they say.
pub(super) async fn scan(table: &LakeTable, mut visit: impl FnMut(Letter, &[u8])) -> anyhow::Result<()> {
    let mut rows = std::pin::pin!(table.read(BATCH_ROWS));
    while let Some(batch) = rows.try_next().await? {
        for (letter, payload) in Columns::of(&batch)?.letters() {
            visit(letter, &payload);
        }
    }
    Ok(())
}

/// Newest first; of letters with the same id the newest.
pub(super) fn distinct(mut letters: Vec<Letter>) -> Vec<Letter> {
    letters.sort_by(|a, b| (b.time_us, &a.id).cmp(&(a.time_us, &b.id)));
    let mut seen = std::collections::HashSet::new();
    letters.retain(|letter| seen.insert(letter.id.clone()));
    letters
}

/// Which pieces make up one record: the ids of pieces that follow each other, in order. `letters` are distinct.
pub(super) fn records_of_pieces(letters: &[Letter]) -> Vec<Vec<String>> {
    let mut by_partition: HashMap<(&str, &str), Vec<&Letter>> = HashMap::new();
    for letter in letters.iter().filter(|letter| letter.form == Form::Piece) {
        by_partition.entry((&letter.source, &letter.partition)).or_default().push(letter);
    }
    let mut records: Vec<Vec<String>> = Vec::new();
    for (_, mut pieces) in by_partition {
        pieces.sort_by_key(|piece| piece.offset);
        let mut before: Option<&Letter> = None;
        for piece in pieces {
            // A line that is too large may follow another one: its piece begins where that one's line ends.
            let is_next = before.is_some_and(|before| {
                let is_new_line = before.last == Some(b'\n') && matches!(piece.head.first(), Some(b'{' | b'['));
                before.offset + before.bytes as i64 == piece.offset && !is_new_line
            });
            match records.last_mut().filter(|_| is_next) {
                Some(record) => record.push(piece.id.clone()),
                None => records.push(vec![piece.id.clone()]),
            }
            before = Some(piece);
        }
    }
    records
}

/// The columns of some rows, brought to the types that are read here.
pub(super) struct Columns(RecordBatch);

impl Columns {
    pub(super) fn of(batch: &RecordBatch) -> anyhow::Result<Self> {
        let fields = batch.schema();
        let mut columns = Vec::new();
        for (field, column) in fields.fields().iter().zip(batch.columns()) {
            let wanted = match field.data_type() {
                DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
                DataType::Int64 | DataType::Date32 => field.data_type().clone(),
                _ => DataType::Utf8View,
            };
            columns.push((field.name().clone(), cast(column, &wanted)?));
        }
        Ok(Self(RecordBatch::try_from_iter(columns)?))
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        let column = self.0.column_by_name(name)?.as_string_view_opt()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    }

    fn time(&self, row: usize) -> i64 {
        let column = self.0.column_by_name("TimeGenerated");
        column.map_or(0, |column| column.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(row))
    }

    pub(super) fn letters(&self) -> impl Iterator<Item = (Letter, Vec<u8>)> + '_ {
        (0..self.0.num_rows()).map(|row| {
            let payload = self.0.column_by_name("Payload").and_then(|column| column.as_binary_opt::<i32>());
            let payload = payload.map_or(&[][..], |column| column.value(row));
            let offset = self.0.column_by_name("Offset").and_then(|column| column.as_primitive_opt::<Int64Type>());
            let offset = offset.map_or(0, |column| column.value(row));
            let text = |name| self.text(name, row);
            let always = |name| text(name).unwrap_or_default();
            let (source, partition, stage, reason) =
                (always("Source"), always("Partition"), always("Stage"), always("Reason"));
            let made_of = || {
                let parts = [&source, &partition, &stage, &reason].map(|text| text.as_bytes());
                hash_id(&[parts[0], parts[1], &offset.to_le_bytes(), parts[2], parts[3], payload])
            };
            let letter = Letter {
                id: text("Id").unwrap_or_else(made_of),
                time_us: self.time(row),
                form: text("Form").as_deref().and_then(Form::of_name).unwrap_or_else(|| form_of(&stage, &reason)),
                offset,
                table: text("Table"),
                detail: always("Detail"),
                mapping: text("Mapping"),
                mapping_version: text("MappingVersion"),
                weir_version: text("WeirVersion"),
                bytes: payload.len(),
                head: payload[..payload.len().min(HEAD)].to_vec(),
                last: payload.last().copied(),
                source,
                partition,
                stage,
                reason,
            };
            (letter, payload.to_vec())
        })
    }

    /// Texts of two columns and the time, for the table of replays.
    pub(super) fn replays(&self) -> impl Iterator<Item = (String, i64)> + '_ {
        (0..self.0.num_rows()).filter_map(|row| Some((self.text("Id", row)?, self.time(row))))
    }
}

/// What a letter of an earlier version is.
fn form_of(stage: &str, reason: &str) -> Form {
    match (stage, reason) {
        ("sink", _) => Form::Row,
        (_, "too_large") => Form::Piece,
        _ => Form::Document,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: &str, offset: i64, text: &str) -> Letter {
        Letter {
            id: id.to_owned(),
            time_us: 0,
            source: "files".to_owned(),
            partition: "a.json".to_owned(),
            offset,
            table: None,
            stage: "decode".to_owned(),
            reason: "too_large".to_owned(),
            detail: String::new(),
            mapping: None,
            mapping_version: None,
            weir_version: None,
            form: Form::Piece,
            bytes: text.len(),
            head: text.as_bytes().to_vec(),
            last: text.bytes().last(),
        }
    }

    #[test]
    fn pieces_that_follow_each_other_are_one_record_and_the_next_line_is_another() {
        let letters = [
            piece("d", 110, "end\n"),
            piece("b", 104, "ab\n"),
            piece("a", 100, "{\"a\""),
            piece("c", 107, "{.."),
            piece("e", 500, "{alone}"),
        ];
        assert_eq!(records_of_pieces(&letters), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    }
}
