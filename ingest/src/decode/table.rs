//! Rows of one table out of one chunk: a raw table's by its schema, or an unknown table's as whole records.

use std::sync::Arc;

use ahash::HashMap;
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use weir_contract::datetime;
use weir_contract::position::RowPosition;
use weir_contract::schema::{ColumnType, TableSchema};

use crate::decode::columns::{Cell, ChunkBase, ColumnBuilder, Extra, finish};
use crate::decode::values::{Mistyped, Value, Written, convert};
use crate::json_text::write_string;
use crate::schema::{Keys, RawTable, Slot, TIME_GENERATED};

/// A row has no event time, although rows of its table have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MissingTime;

/// One field of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: Value<'a>,
    pub(crate) written: Written<'a>,
}

/// How many keys of one batch that the schema lacks are counted by name: records may have a new one each.
const MAX_UNKNOWN_KEYS: usize = 1000;

/// Keys that the schema lacks, with the number of their values.
#[derive(Debug, Default)]
pub(crate) struct UnknownKeys {
    by_key: HashMap<Box<str>, usize>,
    /// In order of their first value.
    counts: Vec<(Box<str>, u64)>,
}

impl UnknownKeys {
    /// Where a key is counted; keys behind [`MAX_UNKNOWN_KEYS`] share the empty one, which tells no name.
    fn position(&mut self, key: &str) -> usize {
        if let Some(at) = self.by_key.get(key) {
            return *at;
        }
        let key = if self.by_key.len() < MAX_UNKNOWN_KEYS { key } else { "" };
        let next = self.counts.len();
        let at = *self.by_key.entry(key.into()).or_insert(next);
        if at == next {
            self.counts.push((key.into(), 0));
        }
        at
    }

    /// The keys that rows have, with the number of their values.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(key, count)| (&**key, *count)).filter(|(_, count)| *count > 0)
    }
}

/// Rows of a table that has a schema.
#[derive(Debug)]
pub(crate) struct TableBuilder {
    table: Arc<RawTable>,
    columns: Vec<Option<ColumnBuilder>>,
    extra: Extra,
    base: ChunkBase,
    capacity: usize,
    rows: usize,
    /// Raw bytes of the rows.
    pub(crate) raw_bytes: u64,
    /// Where each row came from; whoever adds a row notes it.
    pub(crate) positions: Vec<RowPosition>,
    /// The slot of each key of the record before, in order: the guess for the next record.
    order: Vec<usize>,
    next_key: usize,
    /// Members of this row's `UnknownColumns`, each followed by a comma.
    unknown: Vec<u8>,
    /// Positions of this row's unknown keys in `unknown_values`.
    row_unknown: Vec<usize>,
    row_mistyped: u64,
    /// Values under keys that the schema lacks, by key.
    pub(crate) unknown_values: UnknownKeys,
    /// Values that do not fit their column.
    pub(crate) mistyped_values: u64,
}

impl TableBuilder {
    /// A builder without rows; columns are made for `capacity` rows when they are first filled.
    pub(crate) fn new(table: Arc<RawTable>, base: ChunkBase, capacity: usize) -> Self {
        Self {
            columns: table.schema().columns.iter().map(|_| None).collect(),
            table,
            extra: Extra::default(),
            base,
            capacity,
            rows: 0,
            raw_bytes: 0,
            positions: Vec::new(),
            order: Vec::new(),
            next_key: 0,
            unknown: Vec::new(),
            row_unknown: Vec::new(),
            row_mistyped: 0,
            unknown_values: UnknownKeys::default(),
            mistyped_values: 0,
        }
    }

    pub(crate) fn table(&self) -> &Arc<RawTable> {
        &self.table
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The slot of the next top-level key of a row. `keys` are those of this table.
    pub(crate) fn slot<'t>(&mut self, keys: &'t Keys, key: &str) -> Option<&'t Slot> {
        let position = self.next_key;
        self.next_key += 1;
        if let Some(guess) = self.order.get(position)
            && keys.is(*guess, key)
        {
            return Some(keys.slot(*guess));
        }
        let found = keys.find(key);
        // A key without a slot is remembered as such by a number that no slot has.
        let remembered = found.unwrap_or(usize::MAX);
        match self.order.get_mut(position) {
            Some(guess) => *guess = remembered,
            None => self.order.push(remembered),
        }
        found.map(|at| keys.slot(at))
    }

    /// Sets `column` in the current row; what does not fit goes to `UnknownColumns` under its key.
    #[inline]
    pub(crate) fn put(&mut self, column: usize, field: &Field<'_>) {
        if matches!(field.value, Value::Null) {
            if let Some(builder) = &mut self.columns[column] {
                builder.set(self.rows, Cell::Null);
            }
            return;
        }
        let ty = self.table.schema().columns[column].ty;
        match convert(field.value, &field.written, ty, self.base, &mut self.extra) {
            Ok(cell) => self.set(column, ty, cell),
            Err(Mistyped) => {
                self.row_mistyped += 1;
                self.append_unknown(field.key, &field.written);
            }
        }
    }

    /// As [`TableBuilder::put`], for a field of the envelope; where the row has a value of its own, that one stays.
    pub(crate) fn put_envelope(&mut self, column: usize, field: &Field<'_>) {
        match self.is_set(column) {
            false => self.put(column, field),
            true => self.keep_envelope(field),
        }
    }

    /// Keeps a field of the envelope that has no column, under a name that no field of the row has.
    pub(crate) fn keep_envelope(&mut self, field: &Field<'_>) {
        self.keep_unknown(&Field { key: &format!("envelope.{}", field.key), ..*field });
    }

    /// Keeps a field that the schema has no column for. A null says nothing and is left out.
    pub(crate) fn keep_unknown(&mut self, field: &Field<'_>) {
        if !matches!(field.value, Value::Null) {
            self.row_unknown.push(self.unknown_values.position(field.key));
            self.append_unknown(field.key, &field.written);
        }
    }

    /// Takes over members of an object that a build before this one had kept as unknown.
    pub(crate) fn keep_unknown_members(&mut self, field: &Field<'_>) {
        let mut object = Vec::new();
        match field.value {
            Value::Null | Value::Text("") => return,
            Value::Text(text) => object.extend_from_slice(text.as_bytes()),
            _ => field.written.append_json(&mut object),
        }
        match object.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")) {
            Some(b"") => {}
            Some(members) if crate::json_text::check(&object).is_some() => {
                self.unknown.extend_from_slice(members);
                self.unknown.push(b',');
            }
            _ => self.keep_unknown(field),
        }
    }

    /// Whether the current row has a value in `column`.
    pub(crate) fn is_set(&self, column: usize) -> bool {
        self.columns[column].as_ref().is_some_and(|builder| builder.is_set(self.rows))
    }

    /// Sets the event time of the current row, in microseconds since 1970 UTC, if it has none of its own.
    pub(crate) fn put_time_if_none(&mut self, micros: i64) {
        let has_own = self.table.timestamp().is_some_and(|column| self.is_set(column));
        let time = self.table.time_generated();
        if !has_own && !self.is_set(time) {
            self.set(time, ColumnType::Datetime, Cell::Long(micros));
        }
    }

    /// Ends the current row. If it has no time although it must, the row is undone.
    pub(crate) fn end_row(&mut self, raw_bytes: u64) -> Result<(), MissingTime> {
        self.next_key = 0;
        let time = self.table.time_generated();
        if !self.is_set(time)
            && let Some(timestamp) = self.table.timestamp().and_then(|column| self.columns[column].as_ref())
            && let Some(micros) = timestamp.long(self.rows)
        {
            self.set(time, ColumnType::Datetime, Cell::Long(micros));
        }
        let unknown = std::mem::take(&mut self.unknown);
        let row_mistyped = std::mem::take(&mut self.row_mistyped);
        if self.table.needs_time() && !self.is_set(time) {
            for column in self.columns.iter_mut().flatten() {
                column.truncate(self.rows);
            }
            self.row_unknown.clear();
            return Err(MissingTime);
        }
        if let Some(members) = unknown.strip_suffix(b",") {
            let view = self.extra.append(|out| {
                out.push(b'{');
                out.extend_from_slice(members);
                out.push(b'}');
            });
            self.set(self.table.unknown_columns(), ColumnType::Dynamic, Cell::Text(view));
        }
        self.unknown = unknown;
        self.unknown.clear();
        for at in self.row_unknown.drain(..) {
            self.unknown_values.counts[at].1 += 1;
        }
        self.mistyped_values += row_mistyped;
        self.raw_bytes += raw_bytes;
        self.rows += 1;
        Ok(())
    }

    /// The rows, and about how many bytes they hold beside the chunk.
    pub(crate) fn finish(self, chunk: &Buffer) -> Result<(RecordBatch, usize), ArrowError> {
        let schema = self.table.schema();
        let bytes = column_bytes(schema, self.rows) + self.extra.len();
        let types = schema.columns.iter().map(|column| column.ty);
        let arrays = finish(self.columns, types, self.rows, chunk, self.extra)?;
        Ok((RecordBatch::try_new(self.table.arrow().clone(), arrays)?, bytes))
    }

    fn set(&mut self, column: usize, ty: ColumnType, cell: Cell) {
        let builder = self.columns[column].get_or_insert_with(|| ColumnBuilder::new(ty, self.capacity));
        builder.set(self.rows, cell);
    }

    fn append_unknown(&mut self, key: &str, written: &Written<'_>) {
        write_string(key, &mut self.unknown);
        self.unknown.push(b':');
        written.append_json(&mut self.unknown);
        self.unknown.push(b',');
    }
}

/// Rows of a table without a schema: `TimeGenerated` (null if the record shows no time), `Type` and `RawRecord`.
#[derive(Debug)]
pub(crate) struct UnknownTableBuilder {
    /// The table that the records named, or the one for records that name none.
    pub(crate) name: Arc<str>,
    time: ColumnBuilder,
    table: ColumnBuilder,
    record: ColumnBuilder,
    name_view: u128,
    extra: Extra,
    rows: usize,
    /// Raw bytes of the rows.
    pub(crate) raw_bytes: u64,
    /// Where each row came from.
    pub(crate) positions: Vec<RowPosition>,
}

/// The column with the whole record as JSON text.
pub const RAW_RECORD: &str = "RawRecord";

/// The columns of tables that no schema describes.
pub fn unknown_table_schema(name: &str) -> TableSchema {
    use weir_contract::schema::Column;
    TableSchema {
        name: name.into(),
        columns: vec![
            Column::new(TIME_GENERATED, ColumnType::Datetime),
            Column::new("Type", ColumnType::String),
            Column::new(RAW_RECORD, ColumnType::Dynamic),
        ],
    }
}

impl UnknownTableBuilder {
    pub(crate) fn new(name: &str) -> Self {
        let mut extra = Extra::default();
        Self {
            name: name.into(),
            time: ColumnBuilder::new(ColumnType::Datetime, 0),
            table: ColumnBuilder::new(ColumnType::String, 0),
            record: ColumnBuilder::new(ColumnType::Dynamic, 0),
            name_view: extra.append(|out| out.extend_from_slice(name.as_bytes())),
            extra,
            rows: 0,
            raw_bytes: 0,
            positions: Vec::new(),
        }
    }

    /// Adds a record; `write` writes it as compact JSON, `time` is what it shows as its time.
    pub(crate) fn add(
        &mut self,
        position: RowPosition,
        time: Option<&str>,
        raw_bytes: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.add_at(position, time.and_then(datetime::parse_iso), raw_bytes, write);
    }

    /// As [`UnknownTableBuilder::add`], with the time in microseconds since 1970 UTC.
    pub(crate) fn add_at(
        &mut self,
        position: RowPosition,
        time: Option<i64>,
        raw_bytes: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.positions.push(position);
        if let Some(micros) = time {
            self.time.set(self.rows, Cell::Long(micros));
        }
        self.table.set(self.rows, Cell::Text(self.name_view));
        let view = self.extra.append(write);
        self.record.set(self.rows, Cell::Text(view));
        self.raw_bytes += raw_bytes;
        self.rows += 1;
    }

    /// The rows, and about how many bytes they hold.
    pub(crate) fn finish(self) -> Result<(RecordBatch, usize), ArrowError> {
        let schema = unknown_table_schema(&self.name);
        let bytes = column_bytes(&schema, self.rows) + self.extra.len();
        let columns = vec![Some(self.time), Some(self.table), Some(self.record)];
        let types = schema.columns.iter().map(|column| column.ty);
        let arrays = finish(columns, types, self.rows, &Buffer::from_vec(Vec::<u8>::new()), self.extra)?;
        Ok((RecordBatch::try_new(schema.arrow(), arrays)?, bytes))
    }
}

fn column_bytes(schema: &TableSchema, rows: usize) -> usize {
    let width = |ty: ColumnType| match ty {
        ColumnType::Bool => 1,
        ColumnType::Int => 4,
        ColumnType::Long | ColumnType::Real | ColumnType::Datetime | ColumnType::Timespan => 8,
        ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => 16,
    };
    schema.columns.iter().map(|column| width(column.ty) * rows + rows / 8).sum()
}
