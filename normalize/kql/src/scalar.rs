//! One typed KQL value, and [`Value`]: a column or a constant that stands for one.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array,
    StringViewArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use weir_contract::schema::ColumnType;

/// One value. Text types share their bytes.
#[derive(Debug, Clone)]
pub(crate) enum Scalar {
    Null(ColumnType),
    Bool(bool),
    Int(i32),
    Long(i64),
    Real(f64),
    String(Arc<str>),
    /// Microseconds since 1970 UTC.
    Datetime(i64),
    /// Microseconds.
    Timespan(i64),
    Guid(Arc<str>),
    /// Compact JSON text; never `null`, which is [`Scalar::Null`].
    Dynamic(Arc<str>),
}

impl Scalar {
    pub(crate) fn ty(&self) -> ColumnType {
        match self {
            Self::Null(ty) => *ty,
            Self::Bool(_) => ColumnType::Bool,
            Self::Int(_) => ColumnType::Int,
            Self::Long(_) => ColumnType::Long,
            Self::Real(_) => ColumnType::Real,
            Self::String(_) => ColumnType::String,
            Self::Datetime(_) => ColumnType::Datetime,
            Self::Timespan(_) => ColumnType::Timespan,
            Self::Guid(_) => ColumnType::Guid,
            Self::Dynamic(_) => ColumnType::Dynamic,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null(_))
    }

    /// The text of a string; `None` for other types. A null string is the empty text.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null(ColumnType::String) => Some(""),
            _ => None,
        }
    }

    /// Reads row `row` of an array that holds values of type `ty`.
    pub(crate) fn of_array(array: &dyn Array, row: usize, ty: ColumnType) -> Self {
        if array.is_null(row) {
            return if ty == ColumnType::String { Self::String("".into()) } else { Self::Null(ty) };
        }
        let text = || -> Arc<str> { array.as_string_view().value(row).into() };
        match ty {
            ColumnType::Bool => Self::Bool(array.as_boolean().value(row)),
            ColumnType::Int => Self::Int(array.as_primitive::<Int32Type>().value(row)),
            ColumnType::Long => Self::Long(array.as_primitive::<Int64Type>().value(row)),
            ColumnType::Real => Self::Real(array.as_primitive::<Float64Type>().value(row)),
            ColumnType::Datetime => Self::Datetime(array.as_primitive::<TimestampMicrosecondType>().value(row)),
            ColumnType::Timespan => Self::Timespan(array.as_primitive::<DurationMicrosecondType>().value(row)),
            ColumnType::String => Self::String(text()),
            ColumnType::Guid => Self::Guid(text()),
            ColumnType::Dynamic => Self::Dynamic(text()),
        }
    }

    /// An array of one row.
    pub(crate) fn to_array(&self) -> ArrayRef {
        match self {
            Self::Null(ty) => new_null_array(&ty.arrow(), 1),
            Self::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
            Self::Int(value) => Arc::new(Int32Array::from(vec![*value])),
            Self::Long(value) => Arc::new(Int64Array::from(vec![*value])),
            Self::Real(value) => Arc::new(Float64Array::from(vec![*value])),
            Self::Datetime(value) => Arc::new(TimestampMicrosecondArray::from(vec![*value]).with_timezone("UTC")),
            Self::Timespan(value) => Arc::new(DurationMicrosecondArray::from(vec![*value])),
            Self::String(text) | Self::Guid(text) | Self::Dynamic(text) => {
                Arc::new(StringViewArray::from(vec![&**text]))
            }
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null(a), Self::Null(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Real(a), Self::Real(b)) => a.to_bits() == b.to_bits(),
            (Self::Long(a), Self::Long(b))
            | (Self::Datetime(a), Self::Datetime(b))
            | (Self::Timespan(a), Self::Timespan(b)) => a == b,
            (Self::String(a), Self::String(b))
            | (Self::Guid(a), Self::Guid(b))
            | (Self::Dynamic(a), Self::Dynamic(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ty().hash(state);
        match self {
            Self::Null(_) => 0.hash(state),
            Self::Bool(value) => value.hash(state),
            Self::Int(value) => value.hash(state),
            Self::Real(value) => value.to_bits().hash(state),
            Self::Long(value) | Self::Datetime(value) | Self::Timespan(value) => value.hash(state),
            Self::String(text) | Self::Guid(text) | Self::Dynamic(text) => text.hash(state),
        }
    }
}

/// A column's values: an array of the batch's rows, or one constant for all of them.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar(Scalar),
    Array(ArrayRef),
}

impl Value {
    /// The values as an array of `rows` rows; a constant's text is stored once and shared by all rows.
    pub(crate) fn materialise(&self, rows: usize) -> ArrayRef {
        match self {
            Self::Array(array) => Arc::clone(array),
            Self::Scalar(Scalar::Null(ty)) => new_null_array(&ty.arrow(), rows),
            Self::Scalar(scalar) => {
                let one = scalar.to_array();
                let zeros = UInt32Array::from(vec![0; rows]);
                arrow::compute::take(&one, &zeros, None).expect("index 0 exists")
            }
        }
    }
}
