//! How KQL prints values: as text (`tostring`) and inside JSON (`bag_pack`).

use std::borrow::Cow;

use weir_contract::datetime::{DAY_US, SECOND_US, format_iso};

use crate::json;
use crate::scalar::Scalar;

/// The text that `tostring` gives. Null is the empty text; a bool prints `True` or `False`.
pub(crate) fn to_text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null(_) => String::new(),
        Scalar::Bool(value) => bool_text(*value).to_owned(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Long(value) => value.to_string(),
        Scalar::Real(value) => {
            let mut out = String::new();
            write_real(*value, &mut out);
            out
        }
        Scalar::String(text) | Scalar::Guid(text) => text.to_string(),
        Scalar::Datetime(micros) => format_iso(*micros),
        Scalar::Timespan(micros) => timespan(*micros),
        Scalar::Dynamic(text) => dynamic_text(text).into_owned(),
    }
}

/// Appends `scalar` as JSON: numbers and booleans bare, the rest quoted, null as `null`.
pub(crate) fn write_json(scalar: &Scalar, out: &mut String) {
    match scalar {
        Scalar::Null(weir_contract::schema::ColumnType::String) => out.push_str("\"\""),
        Scalar::Null(_) => out.push_str("null"),
        Scalar::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Scalar::Real(value) => write_real_json(*value, out),
        Scalar::Int(_) | Scalar::Long(_) => out.push_str(&to_text(scalar)),
        Scalar::Dynamic(text) => out.push_str(text),
        Scalar::String(_) | Scalar::Guid(_) | Scalar::Datetime(_) | Scalar::Timespan(_) => {
            json::write_string(out, &to_text(scalar));
        }
    }
}

pub(crate) fn bool_text(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// Appends a real as KQL prints it: shortest digits that read back, at least one fractional digit, `NaN`, `Infinity`;
/// an exponent (`1E+20`) outside 1e-5 to 1e15, as .NET does.
pub(crate) fn write_real(value: f64, out: &mut String) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else if value == 0.0 || (1e-5..1e15).contains(&value.abs()) {
        use std::fmt::Write;
        let start = out.len();
        let _ = write!(out, "{value}");
        if !out[start..].contains('.') {
            out.push_str(".0");
        }
    } else {
        let scientific = format!("{value:E}");
        let (mantissa, exponent) = scientific.split_once('E').unwrap_or((&scientific, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        out.push_str(mantissa);
        out.push('E');
        out.push(sign);
        if digits.len() < 2 {
            out.push('0');
        }
        out.push_str(digits);
    }
}

/// As [`write_real`], but what JSON cannot hold is quoted.
pub(crate) fn write_real_json(value: f64, out: &mut String) {
    if value.is_finite() {
        write_real(value, out);
    } else {
        out.push('"');
        write_real(value, out);
        out.push('"');
    }
}

/// Prints `[-][d.]hh:mm:ss[.fffffff]`.
pub fn timespan(micros: i64) -> String {
    let total = micros.unsigned_abs();
    let day = DAY_US.unsigned_abs();
    let second = SECOND_US.unsigned_abs();
    let (days, in_day) = (total / day, total % day);
    let (seconds, fraction) = (in_day / second, in_day % second);
    let mut text = String::new();
    if micros < 0 {
        text.push('-');
    }
    if days > 0 {
        text.push_str(&format!("{days}."));
    }
    text.push_str(&format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    if fraction > 0 {
        text.push_str(&format!(".{fraction:06}0"));
    }
    text
}

/// The text of a dynamic value: a string without its quotes, null as the empty text, the rest as compact JSON.
pub(crate) fn dynamic_text(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim_ascii();
    match trimmed.as_bytes().first() {
        None => Cow::Borrowed(""),
        Some(b'"') => json::unquote(trimmed),
        Some(b'{' | b'[') => json::compact(trimmed),
        Some(b'n') if trimmed == "null" => Cow::Borrowed(""),
        Some(_) => Cow::Borrowed(trimmed),
    }
}

/// Equality by Unicode lower case; ASCII takes the short way.
pub(crate) fn same_ignoring_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_print_as_dotnet_prints_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e20, "1E+20"),
            (1.5e-7, "1.5E-07"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (0.0, "0.0"),
        ] {
            let mut out = String::new();
            write_real(value, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn timespans_print_days_and_fractions_only_if_there_are_any() {
        assert_eq!(timespan(0), "00:00:00");
        assert_eq!(timespan(-(DAY_US + 3_600_000_000)), "-1.01:00:00");
        assert_eq!(timespan(1_500_000), "00:00:01.5000000");
    }
}
