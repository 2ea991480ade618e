//! The columns of a batch in the forms that the checks read.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringViewArray};
use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use weir_contract::datetime::format_iso;
use weir_contract::schema::ColumnType;

/// A column that no KQL type can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` is {ty}, which is no type of a log table; write nested values as JSON text")]
pub struct UnreadableColumn {
    /// Its name.
    pub column: String,
    /// Its Arrow type.
    pub ty: String,
}

/// One column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: Arc<str>,
    pub(super) ty: ColumnType,
    pub(super) values: Values,
}

/// A column's values, by how Arrow holds them.
#[derive(Debug)]
pub(super) enum Values {
    /// `string`, `guid` and `dynamic`
    Text(StringViewArray),
    Bool(BooleanArray),
    Int(Int32Array),
    Long(Int64Array),
    Real(Float64Array),
    /// Microseconds since 1970 UTC
    Time(TimestampMicrosecondArray),
    /// `timespan`, which no schema has
    Other(ArrayRef),
}

impl Column {
    /// The columns of `rows`, whatever widths and units their writer chose.
    pub(super) fn all(rows: &RecordBatch) -> Result<Vec<Self>, UnreadableColumn> {
        rows.schema().fields().iter().zip(rows.columns()).map(|(field, array)| Self::new(field, array)).collect()
    }

    fn new(field: &arrow::datatypes::Field, array: &ArrayRef) -> Result<Self, UnreadableColumn> {
        let unreadable = || UnreadableColumn { column: field.name().clone(), ty: field.data_type().to_string() };
        let plain = match field.data_type() {
            DataType::Dictionary(_, values) => field.clone().with_data_type((**values).clone()),
            _ => field.clone(),
        };
        let ty = ColumnType::of_field(&plain).ok_or_else(unreadable)?;
        let wanted = ty.arrow();
        let array = if *array.data_type() == wanted || ty == ColumnType::Timespan {
            Arc::clone(array)
        } else {
            cast(array, &wanted).map_err(|_| unreadable())?
        };
        let values = match ty {
            ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => Values::Text(array.as_string_view().clone()),
            ColumnType::Bool => Values::Bool(array.as_boolean().clone()),
            ColumnType::Int => Values::Int(array.as_primitive::<Int32Type>().clone()),
            ColumnType::Long => Values::Long(array.as_primitive::<Int64Type>().clone()),
            ColumnType::Real => Values::Real(array.as_primitive::<Float64Type>().clone()),
            ColumnType::Datetime => Values::Time(array.as_primitive::<TimestampMicrosecondType>().clone()),
            ColumnType::Timespan => Values::Other(array),
        };
        Ok(Self { name: field.name().as_str().into(), ty, values })
    }

    /// Whether row `row` holds nothing: null, or the empty text.
    pub(super) fn is_empty(&self, row: usize) -> bool {
        match &self.values {
            Values::Text(texts) => {
                texts.is_null(row) || {
                    let text = texts.value(row);
                    text.is_empty() || (self.ty == ColumnType::Dynamic && text == "null")
                }
            }
            values => values.array().is_null(row),
        }
    }

    /// How many rows hold nothing, and the first of them.
    pub(super) fn empties(&self) -> Option<(u64, usize)> {
        let array = self.values.array();
        if array.null_count() == 0 && !matches!(self.values, Values::Text(_)) {
            return None;
        }
        let mut empty = (0..array.len()).filter(|row| self.is_empty(*row));
        let first = empty.next()?;
        Some((1 + empty.count() as u64, first))
    }

    /// The value as text; empty where there is none.
    pub(super) fn text(&self, row: usize) -> Cow<'_, str> {
        if self.is_empty(row) {
            return Cow::Borrowed("");
        }
        match &self.values {
            Values::Text(texts) => Cow::Borrowed(texts.value(row)),
            Values::Bool(values) => Cow::Borrowed(if values.value(row) { "true" } else { "false" }),
            Values::Int(values) => Cow::Owned(values.value(row).to_string()),
            Values::Long(values) => Cow::Owned(values.value(row).to_string()),
            Values::Real(values) => Cow::Owned(values.value(row).to_string()),
            Values::Time(values) => Cow::Owned(format_iso(values.value(row))),
            Values::Other(_) => Cow::Borrowed("?"),
        }
    }

    /// The text of a row that has one.
    pub(super) fn str(&self, row: usize) -> Option<&str> {
        match &self.values {
            Values::Text(texts) if !self.is_empty(row) => Some(texts.value(row)),
            _ => None,
        }
    }

    /// The number of a row that has one.
    pub(super) fn number(&self, row: usize) -> Option<f64> {
        if self.is_empty(row) {
            return None;
        }
        match &self.values {
            Values::Int(values) => Some(f64::from(values.value(row))),
            Values::Long(values) => Some(values.value(row) as f64),
            Values::Real(values) => Some(values.value(row)),
            _ => None,
        }
    }

    /// The time of a row that has one, in microseconds since 1970 UTC.
    pub(super) fn time(&self, row: usize) -> Option<i64> {
        match &self.values {
            Values::Time(values) if values.is_valid(row) => Some(values.value(row)),
            _ => None,
        }
    }
}

impl Values {
    fn array(&self) -> &dyn Array {
        match self {
            Self::Text(array) => array,
            Self::Bool(array) => array,
            Self::Int(array) => array,
            Self::Long(array) => array,
            Self::Real(array) => array,
            Self::Time(array) => array,
            Self::Other(array) => array,
        }
    }
}
