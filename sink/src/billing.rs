//! What a workspace bills for rows, and what that costs.
//!
//! Log Analytics bills "the string representation of the values" of a record as it is stored
//! (<https://learn.microsoft.com/azure/azure-monitor/logs/cost-logs>); column names and the compression of the request
//! don't count, and neither do a few system columns ([`UNBILLED`]). There is no published table of bytes per type, so
//! two models stand here: [`SizeModel::Text`] takes the rule at its word and is the default; [`SizeModel::Native`]
//! counts numbers and times at their binary width, as KQL's `estimate_data_size()` does, and is the lower bound. Both
//! are estimates: the invoice is the sum of the workspace's own `_BilledSize`.
//!
//! Sizes are summed column by column into one number per row, without printing a value: the digits of an integer are
//! counted, a datetime always takes 28 bytes. [`prices`] turns bytes into money.

pub mod prices;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int64Type, UInt64Type};
use weir_contract::datetime::{DAY_US, SECOND_US};
use weir_contract::schema::ColumnType;

/// Columns that Analytics and Basic tables don't bill. Microsoft's list says `_TenantId`; the column that is there is
/// called `TenantId`, and is taken to be meant.
pub const UNBILLED: [&str; 8] =
    ["_ResourceId", "_SubscriptionId", "_ItemId", "_IsBillable", "_BilledSize", "_TenantId", "Type", "TenantId"];

/// The longest string that a workspace stores, in bytes of UTF-8; what is longer is cut off by the service.
pub const MAX_FIELD_BYTES: usize = 65_536;

/// Bytes that the text model counts for a datetime: `2026-07-22T12:00:00.0000000Z`.
pub const DATETIME_BYTES: u64 = 28;

/// How the size of a value is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SizeModel {
    /// The bytes of the value's text: digits of an integer, `true` as 4, a datetime as 28.
    #[default]
    Text,
    /// The bytes of the value in KQL's engine: `int` 4, `long`, `real`, `datetime` and `timespan` 8, `bool` 1, `guid` 16.
    Native,
}

/// Bytes that a workspace bills for `rows`, by the text model.
///
/// Strings count their UTF-8 bytes up to [`MAX_FIELD_BYTES`], dynamic values their compact JSON, integers their digits
/// and sign, reals their shortest text, booleans 4 or 5, datetimes 28; nulls, empty strings and [`UNBILLED`] columns
/// nothing.
pub fn billed_bytes(rows: &RecordBatch) -> u64 {
    row_sizes(rows, SizeModel::Text).iter().sum()
}

/// Bytes that a workspace bills for each row of `rows`, in row order.
///
/// A column of a type that no table has (nested, binary) counts nothing: it can't be stored.
pub fn row_sizes(rows: &RecordBatch, model: SizeModel) -> Vec<u64> {
    let mut sizes = vec![0; rows.num_rows()];
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if column.null_count() == column.len() || UNBILLED.contains(&field.name().as_str()) {
            continue;
        }
        let Some(ty) = ColumnType::of_field(field) else { continue };
        match (ty, model) {
            (ColumnType::String, _) | (ColumnType::Guid, SizeModel::Text) => {
                add_texts(&mut sizes, column, |text| text.len().min(MAX_FIELD_BYTES));
            }
            (ColumnType::Dynamic, _) => add_texts(&mut sizes, column, compact_json_len),
            (ColumnType::Int | ColumnType::Long, SizeModel::Text) => add_integers(&mut sizes, column),
            (ColumnType::Real, SizeModel::Text) => add_reals(&mut sizes, column),
            (ColumnType::Bool, SizeModel::Text) => add_bools(&mut sizes, column.as_boolean()),
            (ColumnType::Datetime, SizeModel::Text) => add_fixed(&mut sizes, column, DATETIME_BYTES),
            (ColumnType::Timespan, SizeModel::Text) => add_timespans(&mut sizes, column),
            (ColumnType::Bool, SizeModel::Native) => add_fixed(&mut sizes, column, 1),
            (ColumnType::Int, SizeModel::Native) => add_fixed(&mut sizes, column, 4),
            (ColumnType::Guid, SizeModel::Native) => add_fixed(&mut sizes, column, 16),
            (ColumnType::Long | ColumnType::Real | ColumnType::Datetime | ColumnType::Timespan, SizeModel::Native) => {
                add_fixed(&mut sizes, column, 8)
            }
        }
    }
    sizes
}

/// Adds what the workspace itself fills in: a row without `TimeGenerated` gets the time of its arrival, and that is
/// billed.
pub fn add_arrival_time(rows: &RecordBatch, model: SizeModel, sizes: &mut [u64]) {
    let bytes = match model {
        SizeModel::Text => DATETIME_BYTES,
        SizeModel::Native => 8,
    };
    match rows.column_by_name("TimeGenerated") {
        Some(times) if times.null_count() == 0 => {}
        Some(times) => (0..sizes.len()).filter(|&row| times.is_null(row)).for_each(|row| sizes[row] += bytes),
        None => sizes.iter_mut().for_each(|size| *size += bytes),
    }
}

fn add_fixed(sizes: &mut [u64], column: &ArrayRef, bytes: u64) {
    match column.nulls() {
        None => sizes.iter_mut().for_each(|size| *size += bytes),
        Some(nulls) => nulls.valid_indices().for_each(|row| sizes[row] += bytes),
    }
}

fn add_texts(sizes: &mut [u64], column: &ArrayRef, size_of: impl Fn(&str) -> usize) {
    if let Some(texts) = column.as_any().downcast_ref::<StringViewArray>() {
        sizes.iter_mut().zip(texts).for_each(|(size, text)| *size += text.map_or(0, |text| size_of(text) as u64));
    } else if let Some(texts) = column.as_any().downcast_ref::<StringArray>() {
        sizes.iter_mut().zip(texts).for_each(|(size, text)| *size += text.map_or(0, |text| size_of(text) as u64));
    } else if let Ok(texts) = cast(column, &DataType::Utf8View) {
        add_texts(sizes, &texts, size_of);
    }
}

fn add_integers(sizes: &mut [u64], column: &ArrayRef) {
    if *column.data_type() == DataType::UInt64 {
        add_values::<UInt64Type>(sizes, column.as_primitive(), decimal_digits);
    } else if let Ok(numbers) = cast(column, &DataType::Int64) {
        add_values::<Int64Type>(sizes, numbers.as_primitive(), |number| {
            u64::from(number < 0) + decimal_digits(number.unsigned_abs())
        });
    }
}

fn add_reals(sizes: &mut [u64], column: &ArrayRef) {
    let mut text = ryu::Buffer::new();
    if let Ok(numbers) = cast(column, &DataType::Float64) {
        add_values::<Float64Type>(sizes, numbers.as_primitive(), |number| {
            // What JSON can't hold is not sent, and so not stored.
            if number.is_finite() { text.format_finite(number).len() as u64 } else { 0 }
        });
    }
}

fn add_timespans(sizes: &mut [u64], column: &ArrayRef) {
    let micros = DataType::Duration(arrow::datatypes::TimeUnit::Microsecond);
    if let Ok(spans) = cast(column, &micros) {
        let spans = spans.as_primitive::<arrow::datatypes::DurationMicrosecondType>();
        add_values(sizes, spans, timespan_len);
    }
}

fn add_bools(sizes: &mut [u64], bools: &BooleanArray) {
    for (size, value) in sizes.iter_mut().zip(bools) {
        *size += value.map_or(0, |value| if value { 4 } else { 5 });
    }
}

fn add_values<T: ArrowPrimitiveType>(
    sizes: &mut [u64],
    values: &PrimitiveArray<T>,
    mut size_of: impl FnMut(T::Native) -> u64,
) {
    match values.nulls() {
        None => sizes.iter_mut().zip(values.values()).for_each(|(size, value)| *size += size_of(*value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| sizes[row] += size_of(values.values()[row])),
    }
}

fn decimal_digits(number: u64) -> u64 {
    number.checked_ilog10().map_or(1, |log| u64::from(log) + 1)
}

/// Bytes of a timespan as KQL prints it: `[-][d.]hh:mm:ss[.fffffff]`.
fn timespan_len(micros: i64) -> u64 {
    let days = micros.unsigned_abs() / DAY_US.unsigned_abs();
    let has_fraction = micros % SECOND_US != 0;
    u64::from(micros < 0) + if days > 0 { decimal_digits(days) + 1 } else { 0 } + 8 + if has_fraction { 8 } else { 0 }
}

/// Bytes of JSON text without the whitespace between its tokens.
fn compact_json_len(json: &str) -> usize {
    let mut length = 0;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if in_string {
            length += 1;
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                in_string = false;
            }
        } else if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            length += 1;
            in_string = byte == b'"';
        }
    }
    // A stored null has no entry.
    if json.trim() == "null" { 0 } else { length }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array, TimestampMicrosecondArray,
        UInt64Array,
    };
    use arrow::datatypes::{Field, Schema};
    use proptest::prelude::*;

    use super::*;

    fn one(field: Field, column: ArrayRef) -> RecordBatch {
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("one column")
    }

    fn sizes(ty: ColumnType, column: ArrayRef, model: SizeModel) -> Vec<u64> {
        row_sizes(&one(ty.field("X"), column), model)
    }

    #[test]
    fn known_sizes_of_every_type() {
        use SizeModel::{Native, Text};
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("0123456789"), Some(""), None, Some("é")]));
        assert_eq!(sizes(ColumnType::String, text, Text), [10, 0, 0, 2]);
        let long: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(-12), None, Some(i64::MIN)]));
        assert_eq!(sizes(ColumnType::Long, Arc::clone(&long), Text), [1, 3, 0, 20]);
        assert_eq!(sizes(ColumnType::Long, long, Native), [8, 8, 0, 8]);
        let int: ArrayRef = Arc::new(Int32Array::from(vec![Some(999), Some(1000), None]));
        assert_eq!(sizes(ColumnType::Int, Arc::clone(&int), Text), [3, 4, 0]);
        assert_eq!(sizes(ColumnType::Int, int, Native), [4, 4, 0]);
        let real: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), Some(-1.25), None, Some(f64::NAN)]));
        assert_eq!(sizes(ColumnType::Real, real, Text), [3, 5, 0, 0]);
        let bools: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
        assert_eq!(sizes(ColumnType::Bool, Arc::clone(&bools), Text), [4, 5, 0]);
        assert_eq!(sizes(ColumnType::Bool, bools, Native), [1, 1, 0]);
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("UTC"));
        assert_eq!(sizes(ColumnType::Datetime, Arc::clone(&time), Text), [28, 0]);
        assert_eq!(sizes(ColumnType::Datetime, time, Native), [8, 0]);
        let guid: ArrayRef = Arc::new(StringViewArray::from(vec!["72f988bf-86f1-41af-91ab-2d7cd011db47"]));
        assert_eq!(sizes(ColumnType::Guid, Arc::clone(&guid), Text), [36]);
        assert_eq!(sizes(ColumnType::Guid, guid, Native), [16]);
        let spans: ArrayRef = Arc::new(DurationMicrosecondArray::from(vec![1_000_000]));
        assert_eq!(sizes(ColumnType::Timespan, spans, Text), ["00:00:01".len() as u64]);
        let json: ArrayRef = Arc::new(StringViewArray::from(vec![r#"{ "a b" : [1, "x\" y"] }"#, "null", r#""""#]));
        assert_eq!(sizes(ColumnType::Dynamic, json, Text), [r#"{"a b":[1,"x\" y"]}"#.len() as u64, 0, 2]);
        let wide = one(Field::new("X", DataType::UInt64, true), Arc::new(UInt64Array::from(vec![u64::MAX])));
        assert_eq!(billed_bytes(&wide), 20);
    }

    #[test]
    fn long_strings_count_what_is_stored() {
        let text: ArrayRef = Arc::new(StringViewArray::from(vec!["x".repeat(70_000)]));
        assert_eq!(sizes(ColumnType::String, text, SizeModel::Text), [65_536]);
    }

    #[test]
    fn system_columns_are_free_and_a_missing_time_is_filled_in() {
        let text: ArrayRef = Arc::new(StringViewArray::from(vec!["abc", "d"]));
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("UTC"));
        let fields = vec![
            ColumnType::String.field("Type"),
            ColumnType::String.field("_ResourceId"),
            ColumnType::String.field("Computer"),
            ColumnType::Datetime.field("TimeGenerated"),
        ];
        let columns = vec![Arc::clone(&text), Arc::clone(&text), text, time];
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit");
        let mut sizes = row_sizes(&rows, SizeModel::Text);
        assert_eq!(sizes, [3 + 28, 1]);
        add_arrival_time(&rows, SizeModel::Text, &mut sizes);
        assert_eq!(sizes, [31, 29]);
        let mut without_time = [0, 0];
        add_arrival_time(&rows.project(&[0, 1, 2]).expect("columns exist"), SizeModel::Text, &mut without_time);
        assert_eq!(without_time, [28, 28]);
    }

    proptest! {
        #[test]
        fn integers_count_as_their_text(numbers in proptest::collection::vec(proptest::option::of(any::<i64>()), 0..50)) {
            let expected: Vec<u64> =
                numbers.iter().map(|number| number.map_or(0, |number| number.to_string().len() as u64)).collect();
            prop_assert_eq!(sizes(ColumnType::Long, Arc::new(Int64Array::from(numbers)), SizeModel::Text), expected);
        }

        #[test]
        fn pretty_json_counts_like_compact_json(keys in proptest::collection::vec("[ -~]{0,12}", 0..6)) {
            let value = serde_json::json!({"list": keys, "nested": {"keys": keys}, "n": 1.5});
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            prop_assert_eq!(compact_json_len(&pretty), value.to_string().len());
        }
    }
}
