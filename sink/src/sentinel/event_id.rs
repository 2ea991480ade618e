//! The id that each row carries into the workspace.
//!
//! The Logs Ingestion API knows no idempotence: what was under way in a crash is sent again, and may then stand in the
//! workspace twice. A row's id is made of where it came from (source, partition, offset, number within the record) and
//! of the mapping that made it, so both copies have the same one, and one line of KQL keeps one of them.
//!
//! It is 16 characters: 96 bits of a hash, of which two are equal by chance in one of a billion days with a billion rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use twox_hash::XxHash3_128;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::position::{Origin, RowPosition};
use weir_contract::schema::ColumnType;

use crate::sentinel::definition::{DeclaredType, StreamColumns};

/// The column whose member the id is, unless the config names a column for it.
pub const ADDITIONAL_FIELDS: &str = "AdditionalFields";
/// The name of that member.
pub const MEMBER: &str = "WeirId";

/// The characters of an id.
pub const LENGTH: usize = 16;

/// Where the ids of a batch go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A member of `AdditionalFields`.
    Member,
    /// A column of its own.
    Column(Arc<str>),
    /// The table has no place for it, or the config wants none.
    Nowhere,
}

/// Where the ids of `batch` go, by what the config says and the stream declares (`None`: not known).
pub fn place(wanted: &str, batch: &Batch, declared: Option<&StreamColumns>) -> Place {
    match (wanted, declared) {
        ("", _) => Place::Nowhere,
        (ADDITIONAL_FIELDS, Some(columns)) => match columns.declared(ADDITIONAL_FIELDS) {
            Some(DeclaredType::Dynamic) => Place::Member,
            _ => Place::Nowhere,
        },
        (ADDITIONAL_FIELDS, None) => {
            let has_column = batch.rows.column_by_name(ADDITIONAL_FIELDS).is_some();
            // All native ASIM tables have it.
            let is_native = batch.kind == RowKind::Normalized && batch.table.starts_with("ASim");
            if has_column || is_native { Place::Member } else { Place::Nowhere }
        }
        (name, _) => Place::Column(name.into()),
    }
}

/// `rows`, which are those of a batch with these positions, with the id of each.
pub fn add(
    rows: RecordBatch,
    place: &Place,
    origin: &Origin,
    positions: &[RowPosition],
    mapping: Option<&str>,
) -> Result<RecordBatch, ArrowError> {
    let name = match place {
        Place::Nowhere => return Ok(rows),
        Place::Member => ADDITIONAL_FIELDS,
        Place::Column(name) => name,
    };
    let ids = Ids::new(origin, mapping);
    let known = rows.schema_ref().column_with_name(name).map(|(index, _)| index);
    let (field, column): (Field, ArrayRef) = match place {
        Place::Member => {
            let texts = match known {
                Some(index) => Some(arrow::compute::cast(rows.column(index), &ColumnType::Dynamic.arrow())?),
                None => None,
            };
            (ColumnType::Dynamic.field(name), members(texts.as_ref(), &ids, positions))
        }
        _ => {
            let mut column = StringViewBuilder::with_capacity(positions.len());
            positions.iter().for_each(|position| column.append_value(ids.text(&ids.of(position))));
            (ColumnType::String.field(name), Arc::new(column.finish()))
        }
    };
    let mut fields = rows.schema_ref().fields().to_vec();
    let mut columns = rows.columns().to_vec();
    match known {
        Some(index) => {
            fields[index] = Arc::new(field);
            columns[index] = column;
        }
        None => {
            fields.push(Arc::new(field));
            columns.push(column);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Objects with the id as their first member. A value that is no object becomes the member `value` beside it.
fn members(texts: Option<&ArrayRef>, ids: &Ids, positions: &[RowPosition]) -> ArrayRef {
    let texts = texts.map(|texts| texts.as_string_view());
    let mut made = StringViewBuilder::with_capacity(positions.len()).with_fixed_block_size(1 << 20);
    let mut object = String::new();
    for (row, position) in positions.iter().enumerate() {
        let id = ids.of(position);
        let text = texts.filter(|texts| texts.is_valid(row)).map_or("", |texts| texts.value(row).trim_ascii());
        object.clear();
        object.push_str("{\"");
        object.push_str(MEMBER);
        object.push_str("\":\"");
        object.push_str(ids.text(&id));
        object.push('"');
        match text.strip_prefix('{').map(str::trim_ascii_start) {
            // A row that is sent once more, out of the dead letters, keeps its own.
            Some(members) if members.starts_with("\"WeirId\":") => {
                object.clear();
                object.push_str(text);
            }
            Some("}") => object.push('}'),
            Some(members) => {
                object.push(',');
                object.push_str(members);
            }
            None if text.is_empty() || text == "null" => object.push('}'),
            None => {
                object.push_str(",\"value\":");
                object.push_str(text);
                object.push('}');
            }
        }
        made.append_value(&object);
    }
    Arc::new(made.finish())
}

/// Makes the ids of one batch.
#[derive(Debug)]
pub struct Ids {
    /// Per partition of the origin, the hash of all that its rows share.
    shared: Vec<[u8; 16]>,
}

impl Ids {
    /// For rows of `origin` that `mapping` made.
    pub fn new(origin: &Origin, mapping: Option<&str>) -> Self {
        let shared = |partition: &str| {
            // No name holds a zero byte, so that no two lists of names look the same.
            let names = [&*origin.source.0, partition, mapping.unwrap_or_default()].join("\0");
            XxHash3_128::oneshot(names.as_bytes()).to_le_bytes()
        };
        let mut shared: Vec<_> = origin.ranges.iter().map(|range| shared(range.partition.as_ref())).collect();
        if shared.is_empty() {
            shared.push(XxHash3_128::oneshot(origin.source.0.as_bytes()).to_le_bytes());
        }
        Self { shared }
    }

    /// The id of the row at `position`: 96 bits in the letters, digits, `-` and `_` of base64url.
    pub fn of(&self, position: &RowPosition) -> [u8; LENGTH] {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut place = [0; 28];
        place[..16].copy_from_slice(self.shared.get(position.partition as usize).unwrap_or(&self.shared[0]));
        place[16..24].copy_from_slice(&position.offset.0.to_le_bytes());
        place[24..].copy_from_slice(&position.row.to_le_bytes());
        let mut hash = XxHash3_128::oneshot(&place);
        let mut id = [0; LENGTH];
        for character in &mut id {
            *character = ALPHABET[(hash & 63) as usize];
            hash >>= 6;
        }
        id
    }

    /// An id as text.
    pub fn text<'a>(&self, id: &'a [u8; LENGTH]) -> &'a str {
        std::str::from_utf8(id).expect("letters of the alphabet")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringViewArray;
    use weir_contract::position::{Offset, OffsetRange, Repeats};

    fn origin(partitions: &[&str]) -> Origin {
        let range = |name: &&str| OffsetRange {
            partition: (*name).into(),
            start: Offset(0),
            next: Offset(9),
            delivered: Offset(0),
        };
        Origin { source: "hub".into(), ranges: partitions.iter().map(range).collect(), positions: Repeats::Same }
    }

    fn at(partition: u32, offset: u64, row: u32) -> RowPosition {
        RowPosition { offset: Offset(offset), partition, row }
    }

    #[test]
    fn an_id_says_where_a_row_came_from_whatever_came_with_it() {
        let both = Ids::new(&origin(&["t/0", "t/1"]), Some("Process"));
        let one = Ids::new(&origin(&["t/1"]), Some("Process"));
        assert_eq!(both.of(&at(1, 7, 0)), one.of(&at(0, 7, 0)), "the same partition under another number");
        let others = [
            both.of(&at(0, 7, 0)),
            both.of(&at(1, 8, 0)),
            both.of(&at(1, 7, 1)),
            Ids::new(&origin(&["t/1"]), Some("File")).of(&at(0, 7, 0)),
            Ids::new(&origin(&["t/1"]), None).of(&at(0, 7, 0)),
        ];
        assert!(others.iter().all(|other| *other != one.of(&at(0, 7, 0))));
        // What stands in a workspace must meet what a later version sends.
        assert_eq!(one.text(&one.of(&at(0, 7, 0))), "ABJSm8CSqC5Sy1zI");
    }

    #[test]
    fn the_id_is_a_member_beside_what_was_there() {
        let texts = [Some("{}"), Some(r#"{"a":1}"#), None, Some(" "), Some("[1]"), Some(r#""text""#)];
        let column: ArrayRef = Arc::new(StringViewArray::from_iter(texts));
        let schema = Schema::new(vec![ColumnType::Dynamic.field(ADDITIONAL_FIELDS)]);
        let rows = RecordBatch::try_new(Arc::new(schema), vec![column]).expect("one column");
        let positions = RowPosition::numbered(0, texts.len());
        let made = add(rows, &Place::Member, &origin(&["t/0"]), &positions, None).expect("added");
        let ids = Ids::new(&origin(&["t/0"]), None);
        let id = |row: u64| ids.text(&ids.of(&at(0, row, 0))).to_owned();
        let found: Vec<&str> = made.column(0).as_string_view().iter().flatten().collect();
        let expected = [
            format!(r#"{{"WeirId":"{}"}}"#, id(0)),
            format!(r#"{{"WeirId":"{}","a":1}}"#, id(1)),
            format!(r#"{{"WeirId":"{}"}}"#, id(2)),
            format!(r#"{{"WeirId":"{}"}}"#, id(3)),
            format!(r#"{{"WeirId":"{}","value":[1]}}"#, id(4)),
            format!(r#"{{"WeirId":"{}","value":"text"}}"#, id(5)),
        ];
        assert_eq!(found, expected);
        assert!(found.iter().all(|text| serde_json::from_str::<serde_json::Value>(text).is_ok()));
    }
}
