//! How kernels read their arguments and build their results, row by row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array,
    StringViewArray, StringViewBuilder, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::take;
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use weir_contract::schema::ColumnType;

use super::prepared::Prepared;
use super::views;
use crate::scalar::{Scalar, Value};

/// The arguments of one call on one batch.
pub(crate) struct Args<'a> {
    pub(crate) values: &'a [Value],
    pub(crate) types: &'a [ColumnType],
    pub(crate) rows: usize,
    pub(crate) prepared: &'a Prepared,
    /// The batch's one point in time, microseconds.
    pub(crate) now: i64,
}

/// Text values. A null is the empty text.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    One(&'a str, bool),
    Many(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    #[inline]
    pub(crate) fn get(self, row: usize) -> &'a str {
        match self {
            Self::One(text, _) => text,
            Self::Many(array) if array.is_null(row) => "",
            Self::Many(array) => array.value(row),
        }
    }

    /// Whether the text is empty or null, without a look at it.
    #[inline]
    pub(crate) fn is_empty(self, row: usize) -> bool {
        match self {
            Self::One(text, _) => text.is_empty(),
            Self::Many(array) => views::length(array.views()[row]) == 0 || array.is_null(row),
        }
    }

    /// The text, `None` where it is null (guid and dynamic have nulls).
    #[inline]
    pub(crate) fn opt(self, row: usize) -> Option<&'a str> {
        match self {
            Self::One(text, null) => (!null).then_some(text),
            Self::Many(array) => (!array.is_null(row)).then(|| array.value(row)),
        }
    }

    pub(crate) fn constant(self) -> Option<&'a str> {
        match self {
            Self::One(text, _) => Some(text),
            Self::Many(_) => None,
        }
    }
}

/// Values of a type with nulls.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a, T> {
    One(Option<T>),
    Many(&'a [T], Option<&'a NullBuffer>),
}

impl<T: Copy> Numbers<'_, T> {
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        match self {
            Self::One(value) => *value,
            Self::Many(values, nulls) => match nulls {
                Some(nulls) if nulls.is_null(row) => None,
                _ => Some(values[row]),
            },
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Bools<'a> {
    One(Option<bool>),
    Many(&'a BooleanArray),
}

impl Bools<'_> {
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        match self {
            Self::One(value) => *value,
            Self::Many(array) => (!array.is_null(row)).then(|| array.value(row)),
        }
    }
}

impl<'a> Args<'a> {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Argument `n`, which is of type string, guid or dynamic.
    pub(crate) fn text(&self, n: usize) -> Texts<'a> {
        match &self.values[n] {
            Value::Array(array) => Texts::Many(array.as_string_view()),
            Value::Scalar(Scalar::String(text) | Scalar::Guid(text) | Scalar::Dynamic(text)) => Texts::One(text, false),
            Value::Scalar(_) => Texts::One("", true),
        }
    }

    /// Argument `n`, which is a long, datetime or timespan.
    pub(crate) fn long(&self, n: usize) -> Numbers<'a, i64> {
        match &self.values[n] {
            Value::Array(array) => match self.types[n] {
                ColumnType::Datetime => {
                    let array = array.as_primitive::<TimestampMicrosecondType>();
                    Numbers::Many(array.values(), array.nulls())
                }
                ColumnType::Timespan => {
                    let array = array.as_primitive::<DurationMicrosecondType>();
                    Numbers::Many(array.values(), array.nulls())
                }
                _ => {
                    let array = array.as_primitive::<Int64Type>();
                    Numbers::Many(array.values(), array.nulls())
                }
            },
            Value::Scalar(Scalar::Long(value) | Scalar::Datetime(value) | Scalar::Timespan(value)) => {
                Numbers::One(Some(*value))
            }
            Value::Scalar(Scalar::Int(value)) => Numbers::One(Some(i64::from(*value))),
            Value::Scalar(_) => Numbers::One(None),
        }
    }

    pub(crate) fn int(&self, n: usize) -> Numbers<'a, i32> {
        match &self.values[n] {
            Value::Array(array) => {
                let array = array.as_primitive::<Int32Type>();
                Numbers::Many(array.values(), array.nulls())
            }
            Value::Scalar(Scalar::Int(value)) => Numbers::One(Some(*value)),
            Value::Scalar(_) => Numbers::One(None),
        }
    }

    pub(crate) fn real(&self, n: usize) -> Numbers<'a, f64> {
        match &self.values[n] {
            Value::Array(array) => {
                let array = array.as_primitive::<Float64Type>();
                Numbers::Many(array.values(), array.nulls())
            }
            Value::Scalar(Scalar::Real(value)) => Numbers::One(Some(*value)),
            Value::Scalar(_) => Numbers::One(None),
        }
    }

    pub(crate) fn bool(&self, n: usize) -> Bools<'a> {
        match &self.values[n] {
            Value::Array(array) => Bools::Many(array.as_boolean()),
            Value::Scalar(Scalar::Bool(value)) => Bools::One(Some(*value)),
            Value::Scalar(_) => Bools::One(None),
        }
    }

    /// Argument `n` if it is there, else `default` for every row.
    pub(crate) fn long_or(&self, n: usize, default: i64) -> Numbers<'a, i64> {
        if n < self.len() { self.long(n) } else { Numbers::One(Some(default)) }
    }

    pub(crate) fn text_or(&self, n: usize, default: &'a str) -> Texts<'a> {
        if n < self.len() { self.text(n) } else { Texts::One(default, false) }
    }

    /// Whether argument `n` is null in `row`; a string is null nowhere.
    pub(crate) fn is_null(&self, n: usize, row: usize) -> bool {
        if self.types[n] == ColumnType::String {
            return false;
        }
        match &self.values[n] {
            Value::Array(array) => {
                array.is_null(row)
                    || (self.types[n] == ColumnType::Dynamic
                        && matches!(array.as_string_view().value(row).trim_ascii(), "" | "null"))
            }
            Value::Scalar(scalar) => scalar.is_null(),
        }
    }

    pub(crate) fn bools(&self, mut row: impl FnMut(usize) -> bool) -> ArrayRef {
        Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(self.rows, &mut row), None))
    }

    pub(crate) fn opt_bools(&self, row: impl FnMut(usize) -> Option<bool>) -> ArrayRef {
        Arc::new((0..self.rows).map(row).collect::<BooleanArray>())
    }

    pub(crate) fn longs(&self, row: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
        Arc::new((0..self.rows).map(row).collect::<Int64Array>())
    }

    pub(crate) fn ints(&self, row: impl FnMut(usize) -> Option<i32>) -> ArrayRef {
        Arc::new((0..self.rows).map(row).collect::<Int32Array>())
    }

    pub(crate) fn reals(&self, row: impl FnMut(usize) -> Option<f64>) -> ArrayRef {
        Arc::new((0..self.rows).map(row).collect::<Float64Array>())
    }

    pub(crate) fn datetimes(&self, row: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
        Arc::new((0..self.rows).map(row).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    }

    pub(crate) fn timespans(&self, row: impl FnMut(usize) -> Option<i64>) -> ArrayRef {
        Arc::new((0..self.rows).map(row).collect::<DurationMicrosecondArray>())
    }

    /// Text that each row writes into an empty buffer.
    pub(crate) fn texts(&self, mut row: impl FnMut(usize, &mut String)) -> ArrayRef {
        self.opt_texts(|index, out| {
            row(index, out);
            true
        })
    }

    /// Text that each row writes into an empty buffer; `false` makes it null.
    pub(crate) fn opt_texts(&self, mut row: impl FnMut(usize, &mut String) -> bool) -> ArrayRef {
        let mut builder = StringViewBuilder::with_capacity(self.rows).with_fixed_block_size(BLOCK_BYTES);
        let mut buffer = String::new();
        for index in 0..self.rows {
            buffer.clear();
            if row(index, &mut buffer) {
                builder.append_value(&buffer);
            } else {
                builder.append_null();
            }
        }
        Arc::new(builder.finish())
    }

    /// One of a few texts for each row, by its number.
    pub(crate) fn one_of(&self, texts: &[&str], row: impl FnMut(usize) -> u32) -> ArrayRef {
        let numbers: UInt32Array = (0..self.rows).map(row).collect::<Vec<u32>>().into();
        take(&StringViewArray::from_iter_values(texts), &numbers, None).expect("the numbers are those of texts")
    }

    /// Text that each row borrows from an argument.
    pub(crate) fn slices<'s>(&self, mut row: impl FnMut(usize) -> Option<&'s str>) -> ArrayRef {
        self.append(|index, builder| builder.append_option(row(index)))
    }

    /// One text that each row appends.
    pub(crate) fn append(&self, mut row: impl FnMut(usize, &mut StringViewBuilder)) -> ArrayRef {
        let mut builder = StringViewBuilder::with_capacity(self.rows).with_fixed_block_size(BLOCK_BYTES);
        for index in 0..self.rows {
            row(index, &mut builder);
        }
        Arc::new(builder.finish())
    }
}

/// Where a condition is true.
pub(crate) fn holds(condition: &Value, rows: usize) -> BooleanBuffer {
    match condition {
        Value::Array(array) => two_valued(array.as_boolean()),
        Value::Scalar(scalar) => constant_mask(rows, matches!(scalar, Scalar::Bool(true))),
    }
}

/// The bits of a mask; nulls are false.
pub(crate) fn two_valued(mask: &BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        None => mask.values().clone(),
        Some(nulls) => mask.values() & nulls.inner(),
    }
}

pub(crate) fn constant_mask(rows: usize, value: bool) -> BooleanBuffer {
    if value { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) }
}

/// A mask without nulls.
pub(crate) fn mask(found: BooleanBuffer, negated: bool) -> ArrayRef {
    Arc::new(BooleanArray::new(if negated { !&found } else { found }, None))
}

/// Size of a text buffer: large enough to amortise, small enough that a short column does not hold much.
pub(crate) const BLOCK_BYTES: u32 = 64 * 1024;
