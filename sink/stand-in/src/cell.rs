//! One value of a row: whether it fits its column's type, how it is stored, what it costs.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::billed;
use crate::tables::ColumnType;

/// Longest value that a column stores, in UTF-8 bytes; the service documents "64 KB" and cuts silently.
pub(crate) const MAX_VALUE_BYTES: usize = 65_536;

/// Deepest nesting of a dynamic value. The service's own limit is not published; JSON readers stop near here.
pub(crate) const MAX_DEPTH: usize = 100;

/// A stored value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell<'a> {
    /// JSON text.
    pub(crate) json: Cow<'a, str>,
    pub(crate) billed_bytes: u64,
    /// The time, in a datetime column; else 1970.
    pub(crate) time: DateTime<Utc>,
}

/// What happened to a value on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Stored as it came (null, too).
    Kept,
    /// Stored as text in a string column, though it came as something else.
    Converted,
    /// Cut at [`MAX_VALUE_BYTES`].
    Truncated,
    /// Stored as null, because its JSON type does not fit. What the service does is not documented; null is what it
    /// is believed to do.
    Mismatched,
}

/// A value that the whole call is refused for, though its JSON is well formed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadValue {
    /// Half a surrogate pair is no text.
    #[error("a string holds an unpaired surrogate")]
    UnpairedSurrogate,
    /// Arrays and objects in each other, deeper than [`MAX_DEPTH`].
    #[error("a value is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Reads one value, given as valid JSON without outer blanks, for a column of type `kind`.
///
/// Null gives no cell. Numbers count as they are written: `1.0` is no integer. Times are RFC 3339.
pub(crate) fn read(kind: ColumnType, raw: &str) -> Result<(Option<Cell<'_>>, Fate), BadValue> {
    if raw == "null" {
        return Ok((None, Fate::Kept));
    }
    let kept = |billed_bytes| Ok((Some(cell(Cow::Borrowed(raw), billed_bytes)), Fate::Kept));
    match kind {
        ColumnType::String => return string(raw),
        ColumnType::Dynamic => return dynamic(raw),
        ColumnType::Int if raw.parse::<i32>().is_ok() => return kept(raw.len() as u64),
        ColumnType::Long if raw.parse::<i64>().is_ok() => return kept(raw.len() as u64),
        ColumnType::Boolean if matches!(raw, "true" | "false") => return kept(billed::boolean(raw == "true")),
        // JSON has no NaN or infinity, but Rust's parser has: only digits may begin a number.
        ColumnType::Real if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            if let Some(value) = raw.parse::<f64>().ok().filter(|value| value.is_finite()) {
                return kept(billed::real(value));
            }
        }
        ColumnType::DateTime if raw.starts_with('"') => {
            if let Ok(time) = DateTime::parse_from_rfc3339(&unescape(raw)?) {
                let mut cell = cell(Cow::Borrowed(raw), billed::DATETIME_BYTES);
                cell.time = time.to_utc();
                return Ok((Some(cell), Fate::Kept));
            }
        }
        _ => {}
    }
    Ok((None, Fate::Mismatched))
}

fn cell(json: Cow<'_, str>, billed_bytes: u64) -> Cell<'_> {
    Cell { json, billed_bytes, time: DateTime::UNIX_EPOCH }
}

fn string(raw: &str) -> Result<(Option<Cell<'_>>, Fate), BadValue> {
    if !raw.starts_with('"') {
        let text = compact(raw);
        let fate = if text.len() > MAX_VALUE_BYTES { Fate::Truncated } else { Fate::Converted };
        return Ok((Some(text_cell(&text)), fate));
    }
    let text = unescape(raw)?;
    if text.len() > MAX_VALUE_BYTES {
        return Ok((Some(text_cell(&text)), Fate::Truncated));
    }
    Ok((Some(cell(Cow::Borrowed(raw), text.len() as u64)), Fate::Kept))
}

fn dynamic(raw: &str) -> Result<(Option<Cell<'_>>, Fate), BadValue> {
    if is_too_deep(raw) {
        return Err(BadValue::TooDeep);
    }
    // Only an escape can hide half a surrogate pair.
    if raw.contains("\\u") && serde_json::from_str::<Value>(raw).is_err() {
        return Err(BadValue::UnpairedSurrogate);
    }
    let json = compact(raw);
    if json.len() > MAX_VALUE_BYTES {
        return Ok((Some(text_cell(&json)), Fate::Truncated));
    }
    let billed_bytes = if json == "\"\"" { 0 } else { json.len() as u64 };
    Ok((Some(cell(json, billed_bytes)), Fate::Kept))
}

/// A string cell with `text`, cut to the limit between two characters.
fn text_cell(text: &str) -> Cell<'static> {
    let cut = &text[..text.floor_char_boundary(MAX_VALUE_BYTES)];
    cell(Cow::Owned(Value::from(cut).to_string()), cut.len() as u64)
}

/// The text of a JSON string, quotes included in `raw`.
fn unescape(raw: &str) -> Result<Cow<'_, str>, BadValue> {
    if raw.contains('\\') {
        serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|_| BadValue::UnpairedSurrogate)
    } else {
        Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
    }
}

fn is_too_deep(raw: &str) -> bool {
    // Few brackets cannot be deep; hardly any value has to be looked at more closely.
    if raw.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut is_escaped) = (0usize, false, false);
    for byte in raw.bytes() {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// JSON without blanks between its tokens; `raw` is valid.
fn compact(raw: &str) -> Cow<'_, str> {
    if !raw.contains([' ', '\n', '\r', '\t']) {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let (mut in_string, mut is_escaped) = (false, false);
    for character in raw.chars() {
        if in_string {
            in_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        text.push(character);
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(kind: ColumnType, raw: &str) -> (Option<String>, u64, Fate) {
        let (cell, fate) = read(kind, raw).unwrap();
        let billed_bytes = cell.as_ref().map_or(0, |cell| cell.billed_bytes);
        (cell.map(|cell| cell.json.into_owned()), billed_bytes, fate)
    }

    #[test]
    fn values_of_the_right_type_are_kept_and_billed_by_their_text() {
        let kept = |kind, raw: &str, billed_bytes| {
            assert_eq!(stored(kind, raw), (Some(raw.to_owned()), billed_bytes, Fate::Kept), "{raw}");
        };
        kept(ColumnType::String, "\"0123456789\"", 10);
        kept(ColumnType::String, "\"\"", 0);
        kept(ColumnType::String, r#""a\"\u00e9""#, 4);
        kept(ColumnType::String, "\"é\"", 2);
        kept(ColumnType::Int, "-2147483648", 11);
        kept(ColumnType::Long, "9223372036854775807", 19);
        kept(ColumnType::Real, "1.50", 3);
        kept(ColumnType::Boolean, "true", 4);
        kept(ColumnType::Boolean, "false", 5);
        kept(ColumnType::DateTime, "\"2026-11-20T08:00:00Z\"", 28);
        kept(ColumnType::DateTime, "\"2026-11-20T08:00:00.1234567+01:00\"", 28);
        kept(ColumnType::Dynamic, r#"{"a":[1,"b c"]}"#, 15);
        assert_eq!(stored(ColumnType::Int, "null"), (None, 0, Fate::Kept));
    }

    #[test]
    fn values_of_a_wrong_type_become_null() {
        let wrong = [
            (ColumnType::Int, "2147483648"),
            (ColumnType::Int, "1.0"),
            (ColumnType::Int, "\"1\""),
            (ColumnType::Long, "9223372036854775808"),
            (ColumnType::Long, "1e3"),
            (ColumnType::Real, "\"1.5\""),
            (ColumnType::Real, "1e999"),
            (ColumnType::Boolean, "1"),
            (ColumnType::Boolean, "\"true\""),
            (ColumnType::DateTime, "\"yesterday\""),
            (ColumnType::DateTime, "\"2026-11-20T08:00:00\""),
            (ColumnType::DateTime, "1763625600"),
        ];
        for (kind, raw) in wrong {
            assert_eq!(stored(kind, raw), (None, 0, Fate::Mismatched), "{kind:?} {raw}");
        }
    }

    #[test]
    fn other_values_become_text_in_a_string_column() {
        assert_eq!(stored(ColumnType::String, "42"), (Some("\"42\"".to_owned()), 2, Fate::Converted));
        assert_eq!(stored(ColumnType::String, "true"), (Some("\"true\"".to_owned()), 4, Fate::Converted));
        assert_eq!(stored(ColumnType::String, "{ \"a\": 1 }"), (Some(r#""{\"a\":1}""#.to_owned()), 7, Fate::Converted));
    }

    #[test]
    fn dynamic_values_are_stored_without_blanks_outside_strings() {
        let (json, billed_bytes, _) = stored(ColumnType::Dynamic, "{ \"a b\" :\t[ 1 , \"c \\\" d\" ] }");
        assert_eq!(json.as_deref(), Some(r#"{"a b":[1,"c \" d"]}"#));
        assert_eq!(billed_bytes, 20);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = format!("\"{}\"", "é".repeat(MAX_VALUE_BYTES / 2 + 1));
        let (json, billed_bytes, fate) = stored(ColumnType::String, &long);
        assert_eq!((billed_bytes, fate), (MAX_VALUE_BYTES as u64, Fate::Truncated));
        assert_eq!(json.map(|json| json.len()), Some(MAX_VALUE_BYTES + 2));
        let odd = format!("\"x{}\"", "é".repeat(MAX_VALUE_BYTES / 2));
        assert_eq!(stored(ColumnType::String, &odd).1, MAX_VALUE_BYTES as u64 - 1);
        let just = format!("\"{}\"", "x".repeat(MAX_VALUE_BYTES));
        assert_eq!(stored(ColumnType::String, &just).2, Fate::Kept);
        let list = format!("[\"{}\"]", "x".repeat(MAX_VALUE_BYTES));
        assert_eq!(stored(ColumnType::Dynamic, &list).2, Fate::Truncated);
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        for kind in [ColumnType::String, ColumnType::Dynamic, ColumnType::DateTime] {
            assert_eq!(read(kind, r#""\ud800""#), Err(BadValue::UnpairedSurrogate), "{kind:?}");
        }
    }

    #[test]
    fn nesting_has_a_limit_and_brackets_in_strings_do_not_count() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(ColumnType::Dynamic, &nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(ColumnType::Dynamic, &nested(MAX_DEPTH + 1)), Err(BadValue::TooDeep));
        let flat = format!("[{}1]", "[],".repeat(500));
        assert!(read(ColumnType::Dynamic, &flat).is_ok());
        assert!(read(ColumnType::Dynamic, &format!("[\"\\\"{}\"]", "[".repeat(500))).is_ok());
    }
}
