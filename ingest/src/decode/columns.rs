//! Rows of one table, collected column by column.
//!
//! A record rarely has a value for every column, and its keys come in any order, so a column is filled by row number:
//! it pads itself with nulls up to the row that it is given, and a second value for the same row replaces the first.
//! Columns that no record of the chunk fills cost nothing until the end.
//!
//! Text is not copied where it need not be: a string column holds views into the chunk's own buffer, in which the
//! parser has unescaped the strings in place. Text that does not stand there (JSON that had to be rewritten, numbers in
//! text columns) goes to a second buffer, shared by all columns of the table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array,
    StringViewArray, TimestampMicrosecondArray, make_view, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::error::ArrowError;
use weir_contract::schema::ColumnType;

/// The chunk's buffer in the views.
const CHUNK_BLOCK: u32 = 0;
/// The table's buffer of other text in the views.
const EXTRA_BLOCK: u32 = 1;

/// Where the chunk's text lies, so that a string inside of it can become a view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkBase(pub(crate) usize);

impl ChunkBase {
    /// The view of `text`, which is a part of the chunk.
    pub(crate) fn view(self, text: &str) -> u128 {
        // Chunks are smaller than 4 GiB: the decoder checks that before it reads one.
        let offset = (text.as_ptr() as usize).wrapping_sub(self.0) as u32;
        make_view(text.as_bytes(), CHUNK_BLOCK, offset)
    }
}

/// Text of a table that stands nowhere in the chunk.
#[derive(Debug, Default)]
pub(crate) struct Extra(Vec<u8>);

impl Extra {
    /// Appends what `write` writes, and returns its view.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u128 {
        let start = self.0.len();
        write(&mut self.0);
        make_view(&self.0[start..], EXTRA_BLOCK, start as u32)
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The values of one column.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    values: Values,
    valid: BooleanBufferBuilder,
    nulls: bool,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBufferBuilder),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Real(Vec<f64>),
    Text(Vec<u128>),
}

/// One value, converted to its column's type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i32),
    /// A `long`, or microseconds of a `datetime` or `timespan`.
    Long(i64),
    Real(f64),
    /// A view of a text, from [`ChunkBase::view`] or [`Extra::append`].
    Text(u128),
}

impl ColumnBuilder {
    pub(crate) fn new(ty: ColumnType, capacity: usize) -> Self {
        let values = match ty {
            ColumnType::Bool => Values::Bool(BooleanBufferBuilder::new(capacity)),
            ColumnType::Int => Values::Int(Vec::with_capacity(capacity)),
            ColumnType::Long | ColumnType::Datetime | ColumnType::Timespan => {
                Values::Long(Vec::with_capacity(capacity))
            }
            ColumnType::Real => Values::Real(Vec::with_capacity(capacity)),
            ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => Values::Text(Vec::with_capacity(capacity)),
        };
        Self { values, valid: BooleanBufferBuilder::new(capacity), nulls: false }
    }

    /// Rows so far.
    pub(crate) fn len(&self) -> usize {
        self.valid.len()
    }

    /// Whether `row` has a value.
    pub(crate) fn is_set(&self, row: usize) -> bool {
        row < self.len() && self.valid.get_bit(row)
    }

    /// Sets the value of `row`, which is the last row or a later one.
    pub(crate) fn set(&mut self, row: usize, cell: Cell) {
        debug_assert!(row + 1 >= self.len(), "rows are filled in order");
        if cell == Cell::Null {
            if row < self.len() {
                self.valid.set_bit(row, false);
                self.nulls = true;
            }
            return;
        }
        self.truncate(row);
        self.pad(row);
        self.valid.append(true);
        match (&mut self.values, cell) {
            (Values::Bool(values), Cell::Bool(value)) => values.append(value),
            (Values::Int(values), Cell::Int(value)) => values.push(value),
            (Values::Long(values), Cell::Long(value)) => values.push(value),
            (Values::Real(values), Cell::Real(value)) => values.push(value),
            (Values::Text(values), Cell::Text(value)) => values.push(value),
            _ => unreachable!("cells are converted to their column's type"),
        }
    }

    /// The microseconds or long of `row`, if it has a value.
    pub(crate) fn long(&self, row: usize) -> Option<i64> {
        match &self.values {
            Values::Long(values) if self.is_set(row) => values.get(row).copied(),
            _ => None,
        }
    }

    /// Forgets all rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows >= self.len() {
            return;
        }
        self.valid.truncate(rows);
        match &mut self.values {
            Values::Bool(values) => values.truncate(rows),
            Values::Int(values) => values.truncate(rows),
            Values::Long(values) => values.truncate(rows),
            Values::Real(values) => values.truncate(rows),
            Values::Text(values) => values.truncate(rows),
        }
    }

    fn pad(&mut self, rows: usize) {
        let missing = rows - self.len();
        if missing == 0 {
            return;
        }
        self.nulls = true;
        self.valid.append_n(missing, false);
        match &mut self.values {
            Values::Bool(values) => values.append_n(missing, false),
            Values::Int(values) => values.resize(rows, 0),
            Values::Long(values) => values.resize(rows, 0),
            Values::Real(values) => values.resize(rows, 0.0),
            Values::Text(values) => values.resize(rows, 0),
        }
    }

    fn finish(mut self, ty: ColumnType, rows: usize, buffers: &[Buffer]) -> Result<ArrayRef, ArrowError> {
        self.pad(rows);
        let nulls = self.nulls.then(|| NullBuffer::new(self.valid.finish())).filter(|nulls| nulls.null_count() > 0);
        Ok(match (self.values, ty) {
            (Values::Bool(mut values), _) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            (Values::Int(values), _) => Arc::new(Int32Array::new(values.into(), nulls)),
            (Values::Long(values), ColumnType::Datetime) => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
            }
            (Values::Long(values), ColumnType::Timespan) => {
                Arc::new(DurationMicrosecondArray::new(values.into(), nulls))
            }
            (Values::Long(values), _) => Arc::new(Int64Array::new(values.into(), nulls)),
            (Values::Real(values), _) => Arc::new(Float64Array::new(values.into(), nulls)),
            (Values::Text(views), _) => {
                // Without `unsafe`, Arrow cannot be told that the parser has checked the text already.
                Arc::new(StringViewArray::try_new(ScalarBuffer::from(views), buffers.to_vec(), nulls)?)
            }
        })
    }
}

/// The arrays of a table: one per column type, in order; columns that were never filled are all null.
pub(crate) fn finish(
    columns: Vec<Option<ColumnBuilder>>,
    types: impl Iterator<Item = ColumnType>,
    rows: usize,
    chunk: &Buffer,
    extra: Extra,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let buffers = [chunk.clone(), Buffer::from_vec(extra.0)];
    let finish = |(column, ty): (Option<ColumnBuilder>, ColumnType)| match column {
        Some(column) => column.finish(ty, rows, &buffers),
        None => Ok(new_null_array(&ty.arrow(), rows)),
    };
    columns.into_iter().zip(types).map(finish).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    #[test]
    fn a_column_pads_replaces_and_forgets() {
        let mut column = ColumnBuilder::new(ColumnType::Long, 4);
        column.set(1, Cell::Long(5));
        column.set(1, Cell::Long(6));
        column.set(3, Cell::Long(7));
        column.set(3, Cell::Null);
        column.set(4, Cell::Long(8));
        assert_eq!((column.long(1), column.long(3), column.is_set(0)), (Some(6), None, false));
        column.truncate(4);
        let array = column.finish(ColumnType::Long, 6, &[]).expect("a valid array");
        let array = array.as_primitive::<arrow::datatypes::Int64Type>();
        assert_eq!(array.iter().collect::<Vec<_>>(), [None, Some(6), None, None, None, None]);
    }

    #[test]
    fn views_point_into_the_chunk_and_the_extra_text() {
        let chunk = b"a short and a somewhat longer text".to_vec();
        let base = ChunkBase(chunk.as_ptr() as usize);
        let text = std::str::from_utf8(&chunk).expect("UTF-8");
        let mut extra = Extra::default();
        let mut column = ColumnBuilder::new(ColumnType::String, 4);
        column.set(0, Cell::Text(base.view(&text[2..7])));
        column.set(1, Cell::Text(base.view(&text[12..])));
        column.set(2, Cell::Text(extra.append(|out| out.extend_from_slice(b"text from elsewhere"))));
        column.set(3, Cell::Text(base.view("")));
        let arrays = finish(vec![Some(column)], [ColumnType::String].into_iter(), 5, &Buffer::from_vec(chunk), extra);
        let arrays = arrays.expect("valid arrays");
        let array = arrays[0].as_string_view();
        let texts: Vec<_> = array.iter().collect();
        assert_eq!(texts, [Some("short"), Some("a somewhat longer text"), Some("text from elsewhere"), Some(""), None]);
        assert_eq!(array.null_count(), 1);
    }
}
