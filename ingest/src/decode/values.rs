//! One value of a record, converted to the type of its column.
//!
//! What is lenient and what is not follows the stream as it was seen: numbers come as text, booleans as 0 and 1,
//! dynamic values natively or as text that contains JSON. Empty text in a column that is not text means null. What
//! does not fit is not forced: the caller keeps it as it was written.

use weir_contract::datetime::{self, SECOND_US};
use weir_contract::schema::ColumnType;

use crate::decode::columns::{Cell, ChunkBase, Extra};
use crate::json_text::{check, compact_into, value_of_key, write_string};

/// A value as the parser hands it over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer over the range of [`Value::Int`].
    Big(u64),
    Float(f64),
    /// Text that stands in the chunk.
    Text(&'a str),
    /// An object or array.
    Nested,
}

/// Where a value is written down.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Written<'a> {
    /// In a JSON document, behind the key whose text begins at `key`.
    Json {
        /// The document as it was received.
        document: &'a [u8],
        /// Position of the first byte of the key.
        key: usize,
    },
    /// In a CSV cell.
    Cell {
        /// The text without its quotes.
        text: &'a str,
        /// What to subtract from a time without a zone to get UTC, in microseconds.
        offset_us: i64,
    },
}

impl Written<'_> {
    /// Appends the value as JSON: as it was written, less the blanks between tokens.
    pub(crate) fn append_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Json { document, key } => compact_into(value_of_key(document, *key), out),
            Self::Cell { text, .. } => write_string(text, out),
        }
    }
}

/// A value does not fit the type of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mistyped;

/// Converts `value` to a cell of a `ty` column. Text that must be written anew goes to `extra`.
pub(crate) fn convert(
    value: Value<'_>,
    written: &Written<'_>,
    ty: ColumnType,
    base: ChunkBase,
    extra: &mut Extra,
) -> Result<Cell, Mistyped> {
    let cell = match (ty, value) {
        (_, Value::Null) => return Ok(Cell::Null),
        (ColumnType::String | ColumnType::Guid, Value::Text(text)) => return Ok(Cell::Text(base.view(text))),
        // As Kusto does, a text column takes numbers and booleans as they are written.
        (ColumnType::String | ColumnType::Guid, Value::Nested) => None,
        (ColumnType::String | ColumnType::Guid, _) => Some(Cell::Text(extra.append(|out| written.append_json(out)))),
        (ColumnType::Dynamic, value) => Some(dynamic(value, written, base, extra)),
        (_, Value::Text("")) => return Ok(Cell::Null),
        (ColumnType::Bool, value) => to_bool(value).map(Cell::Bool),
        (ColumnType::Int, value) => to_long(value).and_then(|value| value.try_into().ok()).map(Cell::Int),
        (ColumnType::Long, value) => to_long(value).map(Cell::Long),
        (ColumnType::Real, value) => to_real(value).map(Cell::Real),
        (ColumnType::Datetime, Value::Text(text)) => to_time(text, written).map(Cell::Long),
        (ColumnType::Datetime | ColumnType::Timespan, _) => None,
    };
    cell.ok_or(Mistyped)
}

/// Dynamic values take anything: JSON natively or inside of text, and other text as a JSON string.
fn dynamic(value: Value<'_>, written: &Written<'_>, base: ChunkBase, extra: &mut Extra) -> Cell {
    let Value::Text(text) = value else {
        return Cell::Text(extra.append(|out| written.append_json(out)));
    };
    if text.is_empty() {
        return Cell::Null;
    }
    Cell::Text(match check(text.as_bytes()) {
        Some(checked) if checked.is_compact => base.view(text),
        Some(_) => extra.append(|out| compact_into(text.as_bytes(), out)),
        None => extra.append(|out| written.append_json(out)),
    })
}

fn to_bool(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(value),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Text(text) => match text.trim() {
            "0" => Some(false),
            "1" => Some(true),
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn to_long(value: Value<'_>) -> Option<i64> {
    match value {
        Value::Int(value) => Some(value),
        // Integers in a double are exact up to 2^53.
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => Some(value as i64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn to_real(value: Value<'_>) -> Option<f64> {
    let number = match value {
        Value::Int(value) => Some(value as f64),
        Value::Big(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        Value::Text(text) => {
            let text = text.trim();
            // `inf` and `nan` are words here, not numbers.
            text.ends_with(|last: char| last.is_ascii_digit() || last == '.').then(|| text.parse().ok()).flatten()
        }
        _ => None,
    };
    // `1e400` is beyond every double: JSON has no infinity to pass it on as.
    number.filter(|number: &f64| number.is_finite())
}

/// Microseconds since 1970 UTC of a time as Defender or a portal's CSV export writes it.
fn to_time(text: &str, written: &Written<'_>) -> Option<i64> {
    let text = text.trim();
    let offset_us = match written {
        Written::Cell { offset_us, .. } if !has_zone(text) => *offset_us,
        _ => 0,
    };
    datetime::parse_iso(text).or_else(|| exported_time(text)).map(|time| time - offset_us)
}

/// Whether a time names its zone itself: `Z` or an offset behind the date.
fn has_zone(text: &str) -> bool {
    text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']))
}

/// Reads `10/25/2023, 9:43:21.990 AM`: month first, as the Log Analytics CSV export writes times.
fn exported_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(", ")?;
    let mut date = date.splitn(3, '/').map(|part| part.parse::<u32>().ok());
    let (month, day, year) = (date.next()??, date.next()??, date.next()??);
    let (time, half) = time.rsplit_once(' ')?;
    let mut time = time.splitn(3, ':');
    let (hour, minute, second) = (time.next()?.parse::<u32>().ok()?, time.next()?, time.next()?);
    if !(1..=12).contains(&hour) {
        return None;
    }
    let hour = match half {
        "AM" => hour % 12,
        "PM" => hour % 12 + 12,
        _ => return None,
    };
    datetime::parse_iso(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute}:{second}Z"))
}

/// The offset that a CSV header's `[…]` gives its times, in microseconds: `UTC`, `UTC+02:00`; local time counts as UTC.
pub(crate) fn zone_offset_us(zone: &str) -> i64 {
    let Some(rest) = zone.strip_prefix("UTC") else { return 0 };
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    let Some((hours, minutes)) = rest.get(1..).and_then(|rest| rest.split_once(':')) else { return 0 };
    match (hours.parse::<i64>(), minutes.parse::<i64>()) {
        (Ok(hours @ 0..=14), Ok(minutes @ 0..=59)) => sign * (hours * 60 + minutes) * 60 * SECOND_US,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_contract::datetime::parse_iso;

    fn cell(ty: ColumnType, json: &str) -> Result<Cell, Mistyped> {
        let document = format!("{{\"k\":{json}}}");
        let written = Written::Json { document: document.as_bytes(), key: 2 };
        let unescaped: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let value = match &unescaped {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => Value::Int(value),
                (_, Some(value), _) => Value::Big(value),
                (.., value) => Value::Float(value.expect("a number")),
            },
            serde_json::Value::String(text) => Value::Text(text),
            _ => Value::Nested,
        };
        convert(value, &written, ty, ChunkBase(0), &mut Extra::default())
    }

    /// The text of a cell: views of at most twelve bytes hold it themselves.
    fn text(ty: ColumnType, json: &str) -> String {
        match cell(ty, json) {
            Ok(Cell::Text(view)) => {
                let length = view as u32 as usize;
                assert!(length <= 12, "the test's texts are short");
                String::from_utf8(view.to_le_bytes()[4..4 + length].to_vec()).expect("UTF-8")
            }
            other => panic!("no text: {other:?}"),
        }
    }

    #[test]
    fn integers_are_exact_and_come_as_text_too() {
        assert_eq!(cell(ColumnType::Long, "638123456789012345"), Ok(Cell::Long(638_123_456_789_012_345)));
        assert_eq!(cell(ColumnType::Long, "\"638123456789012345\""), Ok(Cell::Long(638_123_456_789_012_345)));
        assert_eq!(cell(ColumnType::Long, "5.0"), Ok(Cell::Long(5)));
        assert_eq!(cell(ColumnType::Long, "5.5"), Err(Mistyped));
        assert_eq!(cell(ColumnType::Long, "9007199254740993.0"), Err(Mistyped), "a double would change it");
        assert_eq!(cell(ColumnType::Long, "18446744073709551615"), Err(Mistyped));
        assert_eq!(cell(ColumnType::Int, "2147483647"), Ok(Cell::Int(i32::MAX)));
        assert_eq!(cell(ColumnType::Int, "2147483648"), Err(Mistyped));
        assert_eq!(cell(ColumnType::Int, "\"-\""), Err(Mistyped));
        assert_eq!(cell(ColumnType::Int, "true"), Err(Mistyped));
        assert_eq!(cell(ColumnType::Int, "\"\""), Ok(Cell::Null));
    }

    #[test]
    fn booleans_come_in_six_forms() {
        for (json, expected) in [
            ("true", Ok(Cell::Bool(true))),
            ("0", Ok(Cell::Bool(false))),
            ("1", Ok(Cell::Bool(true))),
            ("\"0\"", Ok(Cell::Bool(false))),
            ("\"False\"", Ok(Cell::Bool(false))),
            ("\"true\"", Ok(Cell::Bool(true))),
            ("\"\"", Ok(Cell::Null)),
            ("2", Err(Mistyped)),
            ("\"yes\"", Err(Mistyped)),
            ("{}", Err(Mistyped)),
        ] {
            assert_eq!(cell(ColumnType::Bool, json), expected, "{json}");
        }
    }

    #[test]
    fn reals_take_numbers_only() {
        assert_eq!(cell(ColumnType::Real, "1"), Ok(Cell::Real(1.0)));
        assert_eq!(cell(ColumnType::Real, "\"0.059\""), Ok(Cell::Real(0.059)));
        assert_eq!(cell(ColumnType::Real, "\"nan\""), Err(Mistyped));
        assert_eq!(cell(ColumnType::Real, "\"infinity\""), Err(Mistyped));
        assert_eq!(cell(ColumnType::Real, "\"1e400\""), Err(Mistyped));
    }

    #[test]
    fn dynamic_values_come_in_both_encodings() {
        assert_eq!(text(ColumnType::Dynamic, r#"{"a": 1.0}"#), r#"{"a":1.0}"#);
        assert_eq!(text(ColumnType::Dynamic, r#""{\"a\": 1.0}""#), r#"{"a":1.0}"#);
        assert_eq!(text(ColumnType::Dynamic, r#""T1059""#), r#""T1059""#);
        assert_eq!(text(ColumnType::Dynamic, r#""{oops""#), r#""{oops""#);
        assert_eq!(text(ColumnType::Dynamic, "1.50"), "1.50");
        assert_eq!(text(ColumnType::Dynamic, "[]"), "[]");
        assert_eq!(cell(ColumnType::Dynamic, "\"\""), Ok(Cell::Null));
    }

    #[test]
    fn text_takes_numbers_as_they_are_written() {
        assert_eq!(text(ColumnType::String, "1.50"), "1.50");
        assert_eq!(text(ColumnType::String, "true"), "true");
        assert_eq!(text(ColumnType::String, "\"\""), "");
        assert_eq!(cell(ColumnType::String, "{}"), Err(Mistyped));
    }

    #[test]
    fn times_are_read_in_the_streams_and_the_exports_form() {
        let micros = parse_iso("2023-10-25T21:43:21.990Z").expect("a time");
        assert_eq!(exported_time("10/25/2023, 9:43:21.990 PM"), Some(micros));
        assert_eq!(exported_time("10/4/2023, 12:04:03.610 AM"), parse_iso("2023-10-04T00:04:03.610Z"));
        assert_eq!(exported_time("25/10/2023, 9:43:21.990 PM"), None);
        assert_eq!(exported_time("10/25/2023, 13:43:21 PM"), None);
        let cell = |text, offset_us| to_time(text, &Written::Cell { text, offset_us });
        assert_eq!(cell("10/25/2023, 11:43:21.990 PM", zone_offset_us("UTC+02:00")), Some(micros));
        assert_eq!(cell("2023-10-25T21:43:21.990Z", zone_offset_us("UTC+02:00")), Some(micros));
        assert_eq!(cell("2023-10-25T23:43:21.990+02:00", zone_offset_us("UTC+05:00")), Some(micros));
        assert_eq!(zone_offset_us("UTC-03:30"), -12_600 * SECOND_US);
        assert_eq!(zone_offset_us("Local Time"), 0);
    }
}
