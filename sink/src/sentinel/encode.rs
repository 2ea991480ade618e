//! Arrow columns to the JSON text of rows, in one pass into one buffer.
//!
//! What a column needs is worked out once per batch: its type, its escaped `"Name":`, whether it has values at all.
//! Columns without values cost nothing; of a wide ASIM table that is most of them. Then the rows are written one behind
//! the other, each followed by a comma, so that any run of rows is a run of bytes and the packing knows exact sizes.
//!
//! | type | JSON |
//! | --- | --- |
//! | `string`, `guid` | string; the empty string is left out, as a null is |
//! | `int`, `long` | number, all 64 bits |
//! | `real` | number, shortest form; NaN and infinities don't exist in JSON: left out and counted |
//! | `bool` | `true`, `false` |
//! | `datetime` | `YYYY-MM-DDThh:mm:ss.ffffffZ`: six decimals are the one form that all table plans accept |
//! | `timespan` | string `[-][d.]hh:mm:ss[.fffffff]`; streams know no such type |
//! | `dynamic` | the JSON text itself; empty text and `null` are left out |

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DurationMicrosecondArray, Float64Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::error::ArrowError;
use weir_contract::datetime::{DAY_US, SECOND_US, format_date};
use weir_contract::schema::ColumnType;

use crate::billing::MAX_FIELD_BYTES;

/// The JSON text of the rows of one batch.
#[derive(Debug, Default)]
pub struct EncodedRows {
    json: Vec<u8>,
    ends: Vec<usize>,
    /// Values that are longer than what the workspace stores; it cuts them off without a word.
    pub long_values: u64,
    /// Real numbers left out because JSON has no text for them.
    pub omitted_reals: u64,
}

/// A column that can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A workspace has no such type.
    #[error("column `{column}` has the type {found}, which no workspace table can hold")]
    Type {
        /// The column.
        column: String,
        /// Its Arrow type.
        found: DataType,
    },
    /// Arrow can't bring the column to the type that is written.
    #[error("cannot read column `{column}`")]
    Cast {
        /// The column.
        column: String,
        /// The cause.
        #[source]
        source: ArrowError,
    },
}

impl EncodedRows {
    /// Encodes all rows of `rows` with all its columns. Rows without any value become `{}`.
    pub fn encode(rows: &RecordBatch) -> Result<Self, EncodeError> {
        let mut columns = Vec::with_capacity(rows.num_columns());
        for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            if column.null_count() < column.len() {
                columns.push(ColumnWriter::new(field, column)?);
            }
        }
        let mut encoded = Self {
            // A guess from the first rows would be more exact; growth by doubling costs at most one copy.
            json: Vec::with_capacity(rows.num_rows() * (64 + columns.len() * 32)),
            ends: Vec::with_capacity(rows.num_rows()),
            ..Self::default()
        };
        for row in 0..rows.num_rows() {
            encoded.json.push(b'{');
            for column in &mut columns {
                column.write(row, &mut encoded);
            }
            // Every value is followed by a comma; the last one gives way to the brace.
            match encoded.json.last_mut() {
                Some(last @ b',') => *last = b'}',
                _ => encoded.json.push(b'}'),
            }
            encoded.json.push(b',');
            encoded.ends.push(encoded.json.len());
        }
        encoded.json.shrink_to_fit();
        Ok(encoded)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that the rows take in memory.
    pub fn memory(&self) -> usize {
        self.json.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// The JSON object of one row.
    pub fn row(&self, row: usize) -> &[u8] {
        &self.json[self.start(row)..self.ends[row] - 1]
    }

    /// The rows from `range`, each followed by a comma.
    pub fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        if range.is_empty() { &[] } else { &self.json[self.start(range.start)..self.ends[range.end - 1]] }
    }

    /// How many rows of `range`, counted from its start, fit into `room` bytes, each with its comma.
    pub fn rows_within(&self, range: std::ops::Range<usize>, room: usize) -> usize {
        let end = self.start(range.start).saturating_add(room);
        self.ends[range].partition_point(|row_end| *row_end <= end)
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] }
    }
}

/// One column: its name as JSON, and its values by type.
struct ColumnWriter {
    prefix: Vec<u8>,
    values: Values,
}

enum Values {
    Text(StringViewArray),
    Json(StringViewArray),
    Bool(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Real(Float64Array),
    /// With the day that was printed last: the rows of a batch are mostly of one day.
    Time {
        values: TimestampMicrosecondArray,
        day: i64,
        date: String,
    },
    Span(DurationMicrosecondArray),
}

impl ColumnWriter {
    fn new(field: &Field, column: &ArrayRef) -> Result<Self, EncodeError> {
        let name = field.name();
        let to = |ty: &DataType| cast(column, ty).map_err(|source| EncodeError::Cast { column: name.clone(), source });
        let Some(ty) = ColumnType::of_field(field) else {
            return Err(EncodeError::Type { column: name.clone(), found: field.data_type().clone() });
        };
        let values = match ty {
            ColumnType::String | ColumnType::Guid => Values::Text(to(&DataType::Utf8View)?.as_string_view().clone()),
            ColumnType::Dynamic => Values::Json(to(&DataType::Utf8View)?.as_string_view().clone()),
            ColumnType::Bool => Values::Bool(column.as_boolean().clone()),
            ColumnType::Int | ColumnType::Long if *field.data_type() == DataType::UInt64 => {
                Values::Unsigned(column.as_primitive().clone())
            }
            ColumnType::Int | ColumnType::Long => Values::Integer(to(&DataType::Int64)?.as_primitive().clone()),
            ColumnType::Real => Values::Real(to(&DataType::Float64)?.as_primitive().clone()),
            ColumnType::Datetime => {
                let values = to(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
                Values::Time { values: values.as_primitive().clone(), day: i64::MIN, date: String::new() }
            }
            ColumnType::Timespan => {
                Values::Span(to(&DataType::Duration(TimeUnit::Microsecond))?.as_primitive().clone())
            }
        };
        let mut prefix = Vec::with_capacity(name.len() + 3);
        push_string(&mut prefix, name);
        prefix.push(b':');
        Ok(Self { prefix, values })
    }

    /// Appends `"Name":value,` for the value of `row`, or nothing where it has none.
    fn write(&mut self, row: usize, to: &mut EncodedRows) {
        match &mut self.values {
            Values::Text(values) => {
                if values.is_null(row) {
                    return;
                }
                let text = values.value(row);
                if text.is_empty() {
                    return;
                }
                to.long_values += u64::from(text.len() > MAX_FIELD_BYTES);
                to.json.extend_from_slice(&self.prefix);
                push_string(&mut to.json, text);
            }
            Values::Json(values) => {
                if values.is_null(row) {
                    return;
                }
                let text = values.value(row).trim_ascii();
                if text.is_empty() || text == "null" {
                    return;
                }
                to.long_values += u64::from(text.len() > MAX_FIELD_BYTES);
                to.json.extend_from_slice(&self.prefix);
                to.json.extend_from_slice(text.as_bytes());
            }
            Values::Bool(values) => {
                if values.is_null(row) {
                    return;
                }
                to.json.extend_from_slice(&self.prefix);
                to.json.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
            }
            Values::Integer(values) => {
                if values.is_null(row) {
                    return;
                }
                to.json.extend_from_slice(&self.prefix);
                to.json.extend_from_slice(itoa::Buffer::new().format(values.value(row)).as_bytes());
            }
            Values::Unsigned(values) => {
                if values.is_null(row) {
                    return;
                }
                to.json.extend_from_slice(&self.prefix);
                to.json.extend_from_slice(itoa::Buffer::new().format(values.value(row)).as_bytes());
            }
            Values::Real(values) => {
                if values.is_null(row) {
                    return;
                }
                let number = values.value(row);
                if !number.is_finite() {
                    to.omitted_reals += 1;
                    return;
                }
                to.json.extend_from_slice(&self.prefix);
                to.json.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
            }
            Values::Time { values, day, date } => {
                if values.is_null(row) {
                    return;
                }
                let micros = values.value(row);
                if *day != micros.div_euclid(DAY_US) {
                    *day = micros.div_euclid(DAY_US);
                    *date = format_date(micros);
                }
                to.json.extend_from_slice(&self.prefix);
                push_time(&mut to.json, date, micros.rem_euclid(DAY_US));
            }
            Values::Span(values) => {
                if values.is_null(row) {
                    return;
                }
                to.json.extend_from_slice(&self.prefix);
                push_timespan(&mut to.json, values.value(row));
            }
        }
        to.json.push(b',');
    }
}

/// Appends `"<date>T<time of day>Z"` with six decimals.
fn push_time(out: &mut Vec<u8>, date: &str, micros_of_day: i64) {
    let seconds = micros_of_day / SECOND_US;
    let mut time = *b"Thh:mm:ss.ffffffZ\"";
    put_digits(&mut time[1..3], seconds / 3600);
    put_digits(&mut time[4..6], seconds / 60 % 60);
    put_digits(&mut time[7..9], seconds % 60);
    put_digits(&mut time[10..16], micros_of_day % SECOND_US);
    out.push(b'"');
    out.extend_from_slice(date.as_bytes());
    out.extend_from_slice(&time);
}

/// Appends a timespan as KQL prints it, in quotes.
fn push_timespan(out: &mut Vec<u8>, micros: i64) {
    let length = micros.unsigned_abs();
    let (days, in_day) = (length / DAY_US.unsigned_abs(), (length % DAY_US.unsigned_abs()).cast_signed());
    let seconds = in_day / SECOND_US;
    let mut time = *b"hh:mm:ss.ffffff0";
    put_digits(&mut time[0..2], seconds / 3600);
    put_digits(&mut time[3..5], seconds / 60 % 60);
    put_digits(&mut time[6..8], seconds % 60);
    put_digits(&mut time[9..15], in_day % SECOND_US);
    out.push(b'"');
    if micros < 0 {
        out.push(b'-');
    }
    if days > 0 {
        out.extend_from_slice(itoa::Buffer::new().format(days).as_bytes());
        out.push(b'.');
    }
    out.extend_from_slice(if in_day % SECOND_US == 0 { &time[..8] } else { &time });
    out.push(b'"');
}

fn put_digits(slot: &mut [u8], mut number: i64) {
    for digit in slot.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit of a number that is not negative");
        number /= 10;
    }
}

/// Appends `text` as a JSON string (RFC 8259, section 7).
fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(clean) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..clean]);
        match rest[clean] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]]);
            }
        }
        rest = &rest[clean + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The position of the first byte that a JSON string can't hold as it is: a quote, a backslash or a control character.
///
/// Looks at eight bytes at a time. `(x - n) & !x & 0x80` marks the bytes below n; a borrow can mark wrongly only above
/// a byte that is marked rightly, and the lowest mark is the one that counts
/// (<https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord>).
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let mut position = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let marks =
            below(word, 0x20) | below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1);
        if marks != 0 {
            return Some(position + marks.trailing_zeros() as usize / 8);
        }
        position += 8;
    }
    tail.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')).map(|at| position + at)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, ListArray, StringArray};
    use arrow::datatypes::{Int32Type, Schema};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::billing::billed_bytes;

    fn batch(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
        let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit")
    }

    fn texts(encoded: &EncodedRows) -> Vec<&str> {
        (0..encoded.len()).map(|row| std::str::from_utf8(encoded.row(row)).expect("UTF-8")).collect()
    }

    #[test]
    fn every_type_is_written_as_the_service_wants_it() {
        use ColumnType::*;
        let noon = 1_784_721_600 * SECOND_US; // 2026-07-22T12:00:00Z
        let rows = batch(vec![
            (
                Datetime.field("TimeGenerated"),
                Arc::new(
                    TimestampMicrosecondArray::from(vec![Some(noon + 123_456), Some(-1), None]).with_timezone("UTC"),
                ),
            ),
            (String.field("Computer"), Arc::new(StringViewArray::from(vec![Some("a\"b\\c\n\u{1}é"), Some(""), None]))),
            (Int.field("Port"), Arc::new(Int32Array::from(vec![Some(443), Some(-1), None]))),
            (Long.field("Id"), Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), None]))),
            (Real.field("Score"), Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), None]))),
            (Bool.field("Ok"), Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
            (
                Dynamic.field("Extra"),
                Arc::new(StringViewArray::from(vec![Some(r#"{"a":[1,"x"]}"#), Some("null"), None])),
            ),
            (
                Timespan.field("Took"),
                Arc::new(DurationMicrosecondArray::from(vec![Some(90_061_500_000), Some(-1_000_000), None])),
            ),
            (Guid.field("Key"), Arc::new(StringViewArray::from(vec![Some("72f988bf"), None, None]))),
            (String.field("Empty"), Arc::new(StringViewArray::new_null(3))),
        ]);
        let encoded = EncodedRows::encode(&rows).expect("encodes");
        assert_eq!(
            texts(&encoded),
            [
                concat!(
                    r#"{"TimeGenerated":"2026-07-22T12:00:00.123456Z","Computer":"a\"b\\c\n\u0001é","Port":443,"#,
                    r#""Id":9223372036854775807,"Score":0.1,"Ok":true,"Extra":{"a":[1,"x"]},"#,
                    r#""Took":"1.01:01:01.5000000","Key":"72f988bf"}"#
                ),
                concat!(
                    r#"{"TimeGenerated":"1969-12-31T23:59:59.999999Z","Port":-1,"Id":-9223372036854775808,"#,
                    r#""Ok":false,"Took":"-00:00:01"}"#
                ),
                "{}"
            ]
        );
        assert_eq!((encoded.omitted_reals, encoded.long_values), (1, 0));
        for row in 0..encoded.len() {
            serde_json::from_slice::<Value>(encoded.row(row)).expect("every row is JSON");
        }
    }

    #[test]
    fn other_arrow_types_are_brought_to_ours_and_nested_ones_named() {
        let rows = batch(vec![
            (Field::new("T", DataType::Utf8, true), Arc::new(StringArray::from(vec!["x"]))),
            (Field::new("U", DataType::UInt64, true), Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ]);
        assert_eq!(texts(&EncodedRows::encode(&rows).expect("encodes")), [r#"{"T":"x","U":18446744073709551615}"#]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)])]);
        let nested = batch(vec![(Field::new("L", list.data_type().clone(), true), Arc::new(list))]);
        assert!(EncodedRows::encode(&nested).expect_err("no such type").to_string().contains("`L`"));
    }

    #[test]
    fn long_values_are_counted_and_sent_whole() {
        let long = "x".repeat(MAX_FIELD_BYTES + 1);
        let rows = batch(vec![(ColumnType::String.field("X"), Arc::new(StringViewArray::from(vec![&*long, "y"])))]);
        let encoded = EncodedRows::encode(&rows).expect("encodes");
        assert_eq!(encoded.long_values, 1);
        assert_eq!(encoded.row(0).len(), r#"{"X":""}"#.len() + long.len());
    }

    #[test]
    fn a_run_of_rows_is_a_run_of_bytes() {
        let rows = batch(vec![(ColumnType::Long.field("N"), Arc::new(Int64Array::from(vec![1, 22, 333])))]);
        let encoded = EncodedRows::encode(&rows).expect("encodes");
        assert_eq!(encoded.bytes(1..3), br#"{"N":22},{"N":333},"#);
        assert_eq!(encoded.bytes(1..1), b"");
        assert_eq!(encoded.rows_within(0..3, 7), 0);
        assert_eq!(encoded.rows_within(0..3, 8), 1);
        assert_eq!(encoded.rows_within(1..3, 8), 0);
        assert_eq!(encoded.rows_within(1..3, 1000), 2);
    }

    proptest! {
        #[test]
        fn rows_read_back_as_they_were(
            rows in proptest::collection::vec(
                (any::<Option<String>>(), any::<Option<i64>>(), any::<Option<f64>>(), any::<Option<bool>>(), any::<Option<i32>>()),
                1..30,
            ),
        ) {
            let dynamic = |text: &Option<String>| text.as_ref().map(|text| json!([text]).to_string());
            let arrow = batch(vec![
                (ColumnType::String.field("s\"t\n"), Arc::new(StringViewArray::from_iter(rows.iter().map(|r| r.0.as_deref())))),
                (ColumnType::Long.field("l"), Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.1)))),
                (ColumnType::Real.field("r"), Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.2)))),
                (ColumnType::Bool.field("b"), Arc::new(BooleanArray::from_iter(rows.iter().map(|r| r.3)))),
                (ColumnType::Dynamic.field("d"), Arc::new(StringViewArray::from_iter(rows.iter().map(|r| dynamic(&r.0))))),
                (ColumnType::Timespan.field("t"), Arc::new(DurationMicrosecondArray::from_iter(rows.iter().map(|r| r.1)))),
            ]);
            let encoded = EncodedRows::encode(&arrow).expect("encodes");
            prop_assert_eq!(encoded.len(), rows.len());
            let mut billed = 0;
            for (index, (text, long, real, bool, _)) in rows.iter().enumerate() {
                let mut expected = Map::new();
                if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                    expected.insert("s\"t\n".into(), json!(text));
                    billed += text.len() as u64;
                }
                if let Some(long) = long {
                    expected.insert("l".into(), json!(long));
                    billed += long.to_string().len() as u64;
                }
                if let Some(real) = real.as_ref().filter(|real| real.is_finite()) {
                    // Through the same parser: without its `float_roundtrip` it may miss by one bit.
                    let text = ryu::Buffer::new().format(*real).to_owned();
                    prop_assert_eq!(text.parse::<f64>(), Ok(*real));
                    expected.insert("r".into(), serde_json::from_str(&text).expect("a number"));
                    billed += text.len() as u64;
                }
                if let Some(bool) = bool {
                    expected.insert("b".into(), json!(bool));
                    billed += bool.to_string().len() as u64;
                }
                if let Some(json) = dynamic(text) {
                    expected.insert("d".into(), json!([text]));
                    billed += json.len() as u64;
                }
                let mut found: Map<std::string::String, Value> = serde_json::from_slice(encoded.row(index)).expect("JSON");
                let span = found.remove("t");
                prop_assert_eq!(span.is_some(), long.is_some());
                billed += span.and_then(|span| span.as_str().map(|text| text.len() as u64)).unwrap_or(0);
                prop_assert_eq!(found, expected);
            }
            // What is sent and what is billed agree on every value's text.
            prop_assert_eq!(billed_bytes(&arrow), billed);
        }

        #[test]
        fn escapes_are_found_where_they_are(text in "[ -~\\n\"\\\\é]{0,40}") {
            let expected = text.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            prop_assert_eq!(first_to_escape(text.as_bytes()), expected);
        }
    }
}
