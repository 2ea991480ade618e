//! The text inside typed literals: `datetime(…)`, `timespan(…)`, `dynamic(…)` and their siblings.

use weir_contract::schema::ColumnType;

use super::quoted;
use crate::convert;
use crate::json;
use crate::scalar::Scalar;

/// Deepest nesting inside a `dynamic(…)` literal.
const MAX_DEPTH: usize = 64;

/// The value of `ty(text)`. `None` if `text` is no literal of that type.
pub(crate) fn typed(ty: ColumnType, text: &str) -> Option<Scalar> {
    if text == "null" {
        return Some(Scalar::Null(ty));
    }
    Some(match ty {
        ColumnType::Bool => match text {
            "true" | "True" | "TRUE" | "1" => Scalar::Bool(true),
            "false" | "False" | "FALSE" | "0" => Scalar::Bool(false),
            _ => return None,
        },
        ColumnType::Int => Scalar::Int(i32::try_from(convert::long_of_text(text)?).ok()?),
        ColumnType::Long => Scalar::Long(convert::long_of_text(text)?),
        ColumnType::Real => match text {
            "+inf" | "inf" => Scalar::Real(f64::INFINITY),
            "-inf" => Scalar::Real(f64::NEG_INFINITY),
            "nan" => Scalar::Real(f64::NAN),
            _ => Scalar::Real(text.parse().ok()?),
        },
        ColumnType::Datetime => Scalar::Datetime(convert::datetime_of_text(unquoted(text))?),
        ColumnType::Timespan => {
            let text = unquoted(text);
            let micros = convert::timespan_of_text(text).or_else(|| {
                let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
                timespan_of(text[..unit].trim(), &text[unit..])
            })?;
            Scalar::Timespan(micros)
        }
        ColumnType::Guid => Scalar::Guid(convert::guid_of_text(unquoted(text))?.into()),
        ColumnType::String => Scalar::String(unquoted(text).into()),
        ColumnType::Dynamic => {
            let mut out = String::new();
            let rest = dynamic(text, &mut out, 0)?;
            if !rest.trim().is_empty() {
                return None;
            }
            if out == "null" { Scalar::Null(ty) } else { Scalar::Dynamic(out.into()) }
        }
    })
}

/// Microseconds of `number` units: `d`, `h`, `m`, `s`, `ms`, `microsecond`, `tick` and their long names.
pub(crate) fn timespan_of(number: &str, unit: &str) -> Option<i64> {
    let ticks_per_unit = match unit {
        "d" | "day" | "days" => 864_000_000_000_i64,
        "h" | "hr" | "hrs" | "hour" | "hours" => 36_000_000_000,
        "m" | "min" | "minute" | "minutes" => 600_000_000,
        "s" | "sec" | "second" | "seconds" => 10_000_000,
        "ms" | "milli" | "millis" | "millisec" | "millisecond" | "milliseconds" => 10_000,
        "micro" | "micros" | "microsec" | "microsecond" | "microseconds" => 10,
        "nano" | "nanos" | "nanosec" | "nanosecond" | "nanoseconds" => 0,
        "tick" | "ticks" => 1,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<i64>() {
        return Some(whole.checked_mul(ticks_per_unit)? / 10);
    }
    let micros = number.parse::<f64>().ok()? * ticks_per_unit as f64 / 10.0;
    (micros.abs() < 9e18).then_some(micros as i64)
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\''])).unwrap_or(text)
}

/// Reads one value of a `dynamic` literal (JSON, but with KQL's strings and typed literals inside) and appends it to
/// `out` as compact JSON; returns what follows it.
fn dynamic<'a>(text: &'a str, out: &mut String, depth: usize) -> Option<&'a str> {
    if depth > MAX_DEPTH {
        return None;
    }
    let text = text.trim_start();
    if let Some(string) = quoted::string(text) {
        let (value, length) = string.ok()?;
        json::write_string(out, &value);
        return Some(&text[length..]);
    }
    if let Some(rest) = text.strip_prefix('[') {
        return sequence(rest, ']', out, '[', |item, out| dynamic(item, out, depth + 1));
    }
    if let Some(rest) = text.strip_prefix('{') {
        return sequence(rest, '}', out, '{', |item, out| {
            let (key, length) = quoted::string(item)?.ok()?;
            json::write_string(out, &key);
            let value = item[length..].trim_start().strip_prefix(':')?;
            out.push(':');
            dynamic(value, out, depth + 1)
        });
    }
    let length = text.find([',', ']', '}', '(']).unwrap_or(text.len());
    let token = text[..length].trim_end();
    if text[length..].starts_with('(') {
        if token == "dynamic" {
            return dynamic(&text[length + 1..], out, depth + 1)?.trim_start().strip_prefix(')');
        }
        let close = length + text[length..].find(')')?;
        let ty = token.parse().ok().filter(|ty| *ty != ColumnType::Dynamic)?;
        let scalar = typed(ty, text[length + 1..close].trim())?;
        crate::text::write_json(&scalar, out);
        return Some(&text[close + 1..]);
    }
    match token {
        "true" | "false" | "null" => out.push_str(token),
        number if json::is_valid(number) => out.push_str(number),
        _ => {
            let unit = token.find(|c: char| c.is_ascii_alphabetic())?;
            let micros = timespan_of(&token[..unit], &token[unit..])?;
            crate::text::write_json(&Scalar::Timespan(micros), out);
        }
    }
    Some(&text[length..])
}

fn sequence<'a>(
    text: &'a str,
    close: char,
    out: &mut String,
    open: char,
    mut item: impl FnMut(&'a str, &mut String) -> Option<&'a str>,
) -> Option<&'a str> {
    out.push(open);
    let mut rest = text.trim_start();
    let mut first = true;
    loop {
        if let Some(after) = rest.strip_prefix(close) {
            out.push(close);
            return Some(after);
        }
        if !first {
            out.push(',');
        }
        first = false;
        rest = item(rest, out)?.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with(close) => {}
            None => return None,
        }
    }
}
