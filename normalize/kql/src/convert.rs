//! Text to typed values, as KQL's `to…` functions read it. Bad text is `None`, never an error.

use chrono::{Datelike, NaiveDate, NaiveDateTime};
use weir_contract::datetime::{DAY_US, SECOND_US, parse_iso};

/// Reads a 64-bit integer: optional sign, decimal or `0x` hexadecimal, blanks around it allowed.
pub(crate) fn long_of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok().map(u64::cast_signed);
    }
    text.parse().ok()
}

/// Reads a 32-bit integer; what does not fit is `None`.
pub(crate) fn int_of_text(text: &str) -> Option<i32> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok().map(u32::cast_signed);
    }
    text.parse().ok()
}

/// Reads a real.
pub(crate) fn real_of_text(text: &str) -> Option<f64> {
    let text = text.trim();
    match text {
        "NaN" | "nan" => return Some(f64::NAN),
        "Infinity" | "+inf" => return Some(f64::INFINITY),
        "-Infinity" | "-inf" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let plausible = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    text.parse().ok().filter(|value: &f64| plausible && value.is_finite())
}

/// Reads `true`, `false` in any case, or a number (0 is false).
pub(crate) fn bool_of_text(text: &str) -> Option<bool> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Some(false);
    }
    text.parse::<i64>().ok().map(|number| number != 0)
}

/// Reads a GUID with or without braces, with dashes anywhere or none; prints it in lower case with dashes.
pub(crate) fn guid_of_text(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['{', '(']).trim_end_matches(['}', ')']);
    let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some(format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]))
}

/// Reads `[-][d.]hh:mm[:ss[.fraction]]`, or a bare number of days. Microseconds.
pub(crate) fn timespan_of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if !text.contains(':') {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let days: i64 = text.parse().ok()?;
        return days.checked_mul(DAY_US).map(|micros| sign * micros);
    }
    let (days, clock) = match text.split_once(':')?.0.split_once('.') {
        Some((days, _)) => (days.parse::<i64>().ok()?, &text[days.len() + 1..]),
        None => (0, text),
    };
    let mut parts = clock.split(':');
    let hours: i64 = digits(parts.next()?)?;
    let minutes: i64 = digits(parts.next()?)?;
    let (seconds, micros) = match parts.next() {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (digits(seconds)?, 0),
            Some((seconds, fraction)) => (digits(seconds)?, fraction_micros(fraction)?),
        },
    };
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let clock = ((hours * 60 + minutes) * 60 + seconds) * SECOND_US + micros;
    days.checked_mul(DAY_US)?.checked_add(clock).map(|micros| sign * micros)
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn fraction_micros(text: &str) -> Option<i64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut micros = 0;
    let mut scale = 100_000;
    for digit in text.bytes().take(6) {
        micros += i64::from(digit - b'0') * scale;
        scale /= 10;
    }
    Some(micros)
}

/// Reads a point in time: ISO 8601, RFC 822 and 850, and the US form `MM/DD/YYYY[ hh:mm[:ss[.fraction]][ AM|PM]]`.
/// Offsets are resolved to UTC. Microseconds since 1970.
pub(crate) fn datetime_of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(micros) = parse_iso(text) {
        return Some(micros);
    }
    if text.contains('/') {
        return us_datetime(text);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('-') && !text.contains(' ') {
        // `2020-1-5` and the year and month alone.
        return loose_date(text);
    }
    named_month(text)
}

fn loose_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?)?;
    let month = digits(parts.next()?)?;
    let day = match parts.next() {
        Some(day) => digits(day)?,
        None => 1,
    };
    if parts.next().is_some() || year < 1000 {
        return None;
    }
    midnight(year, month, day)
}

/// Microseconds of midnight UTC of a day between the years 1 and 9999.
pub(crate) fn midnight(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) {
        return None;
    }
    let date =
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    Some(i64::from(date.num_days_from_ce() - 719_163) * DAY_US)
}

fn us_datetime(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = date.split('/');
    let month = digits(parts.next()?)?;
    let day = digits(parts.next()?)?;
    let year = digits(parts.next()?)?;
    if parts.next().is_some() {
        return None;
    }
    Some(midnight(year, month, day)? + clock_micros(clock)?)
}

fn clock_micros(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches('Z');
    if text.is_empty() {
        return Some(0);
    }
    let upper = text.to_ascii_uppercase();
    let (text, shift) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
        (Some(clock), _) => (clock.trim().to_owned(), Some(0)),
        (_, Some(clock)) => (clock.trim().to_owned(), Some(12)),
        _ => (upper, None),
    };
    let mut parts = text.split(':');
    let mut hours = digits(parts.next()?)?;
    let minutes = digits(parts.next()?)?;
    let (seconds, micros) = match parts.next() {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (digits(seconds)?, 0),
            Some((seconds, fraction)) => (digits(seconds)?, fraction_micros(fraction)?),
        },
    };
    if let Some(shift) = shift {
        if !(1..=12).contains(&hours) {
            return None;
        }
        hours = hours % 12 + shift;
    }
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(((hours * 60 + minutes) * 60 + seconds) * SECOND_US + micros)
}

/// RFC 822 (`Sat, 8 Nov 14 15:05:02 GMT`), RFC 850 and the forms with a month's name. The weekday is not checked.
fn named_month(text: &str) -> Option<i64> {
    let text = match text.split_once(',') {
        Some((weekday, rest)) if weekday.chars().all(char::is_alphabetic) => rest.trim(),
        _ => text,
    };
    let (text, zone) = match text.rsplit_once(' ') {
        Some((rest, "GMT" | "UTC" | "UT" | "Z")) => (rest, 0),
        Some((rest, zone)) if zone.len() == 5 && zone.starts_with(['+', '-']) => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            (rest, sign * (digits(&zone[1..3])? * 60 + digits(&zone[3..5])?))
        }
        _ => (text, 0),
    };
    // Two-digit years first: the four-digit form would read `14` as the year 14.
    const FORMS: &[&str] = &[
        "%d %b %y %H:%M:%S%.f",
        "%d %b %Y %H:%M:%S%.f",
        "%d-%b-%y %H:%M:%S%.f",
        "%d-%b-%Y %H:%M:%S%.f",
        "%d %b %y %H:%M",
        "%d %b %Y %H:%M",
        "%b %d %Y %H:%M:%S%.f",
    ];
    let time = FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    if !(1..=9999).contains(&time.year()) {
        return None;
    }
    Some(time.and_utc().timestamp_micros() - zone * 60 * SECOND_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_contract::datetime::format_iso;

    #[test]
    fn documented_time_forms_are_read() {
        for (text, iso) in [
            ("2014-11-08 15:55:55.123456Z", "2014-11-08T15:55:55.1234560Z"),
            ("Sat, 8 Nov 14 15:05:02 GMT", "2014-11-08T15:05:02.0000000Z"),
            ("8 Nov 2014 15:05:02 +0200", "2014-11-08T13:05:02.0000000Z"),
            ("Saturday, 08-Nov-14 15:05:02 GMT", "2014-11-08T15:05:02.0000000Z"),
            ("02/17/2016 08:40:01", "2016-02-17T08:40:01.0000000Z"),
            ("2/7/2016 8:40 PM", "2016-02-07T20:40:00.0000000Z"),
        ] {
            assert_eq!(datetime_of_text(text).map(format_iso).as_deref(), Some(iso), "{text}");
        }
        for text in ["nonsense", "", "13/13/2020", "-", "2020-99-01"] {
            assert_eq!(datetime_of_text(text), None, "{text}");
        }
    }

    #[test]
    fn timespans_of_every_form_are_read() {
        assert_eq!(timespan_of_text("00:00:01"), Some(SECOND_US));
        assert_eq!(timespan_of_text("1.00:00:00.5"), Some(DAY_US + 500_000));
        assert_eq!(timespan_of_text("-0.00:01"), Some(-60 * SECOND_US));
        assert_eq!(timespan_of_text("2"), Some(2 * DAY_US));
        assert_eq!(timespan_of_text("25:00:00"), None);
    }
}
