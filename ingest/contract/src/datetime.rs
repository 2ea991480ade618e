//! ISO 8601 timestamps to microseconds since 1970 UTC, and back.
//!
//! Defender sends 0 to 7 fractional digits within one table, some fields without a zone. What microseconds cannot hold
//! is cut off, never rounded, so that order and day of an event stay what they were.

/// Microseconds of one second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds of one day.
pub const DAY_US: i64 = 86_400 * SECOND_US;

/// The times of the years 1 to 9999, which have a printed form that every reader knows.
pub const PRINTABLE_US: std::ops::Range<i64> = -62_135_596_800 * SECOND_US..253_402_300_800 * SECOND_US;

/// Reads `YYYY-MM-DD`, optionally followed by `T` or a blank and `hh:mm[:ss[.fraction]]`, optionally by `Z` or an
/// offset `±hh[:]mm`. Without a zone the time is UTC. `None` if the text is anything else or no such date exists.
pub fn parse_iso(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = digits(&bytes[..4])?;
    let month = digits(&bytes[5..7])?;
    let day = digits(&bytes[8..10])?;
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * DAY_US;
    if bytes.len() == 10 {
        return Some(midnight);
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') || bytes.len() < 16 || bytes[13] != b':' {
        return None;
    }
    let hour = digits(&bytes[11..13])?;
    let minute = digits(&bytes[14..16])?;
    let mut rest = &bytes[16..];
    let mut second = 0;
    let mut micros = 0;
    if rest.first() == Some(&b':') {
        second = digits(rest.get(1..3)?)?;
        rest = &rest[3..];
        if rest.first() == Some(&b'.') {
            let length = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if length == 0 {
                return None;
            }
            let mut scale = 100_000;
            for byte in rest[1..=length].iter().take(6) {
                micros += i64::from(byte - b'0') * scale;
                scale /= 10;
            }
            rest = &rest[1 + length..];
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let time = ((hour * 60 + minute) * 60 + second) * SECOND_US + micros;
    Some(midnight + time - zone_offset(rest)?)
}

/// Prints `YYYY-MM-DDThh:mm:ss.fffffffZ`: seven fractional digits, as KQL prints datetimes.
pub fn format_iso(micros: i64) -> String {
    let mut text = String::new();
    push_iso(micros, &mut text);
    text
}

/// Appends what [`format_iso`] prints.
pub fn push_iso(micros: i64, out: &mut String) {
    let days = micros.div_euclid(DAY_US);
    let in_day = micros.rem_euclid(DAY_US) as u64;
    let (seconds, fraction) = ((in_day / SECOND_US as u64) as u32, (in_day % SECOND_US as u64) as u32);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if !DAYS_OF_FOUR_DIGITS.contains(&days) {
        use std::fmt::Write;
        let (year, month, day) = civil_from_days(days);
        let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}0Z");
        return;
    }
    // Half of a mapping's output can be times: 32-bit arithmetic and two digits at once are four times as fast.
    let (year, month, day) = civil_of_era((days + DAYS_TO_1970) as u32);
    let digits = |number: u32| TWO_DIGITS[number as usize % 100];
    let (c, y, mo, d) = (digits(year / 100), digits(year), digits(month), digits(day));
    let (h, mi, s) = (digits(hour), digits(minute), digits(second));
    let (f1, f2, f3) = (digits(fraction / 10_000), digits(fraction / 100), digits(fraction));
    // Aligned, for the check that the bytes are a text.
    #[repr(align(8))]
    struct Text([u8; 32]);
    #[rustfmt::skip]
    let text = Text([
        c[0], c[1], y[0], y[1], b'-', mo[0], mo[1], b'-', d[0], d[1], b'T',
        h[0], h[1], b':', mi[0], mi[1], b':', s[0], s[1], b'.',
        f1[0], f1[1], f2[0], f2[1], f3[0], f3[1], b'0', b'Z', b' ', b' ', b' ', b' ',
    ]);
    out.push_str(&std::str::from_utf8(&text.0).expect("digits and punctuation")[..28]);
}

/// The days from the first of March of the year 0 to the end of the year 9999.
const DAYS_OF_FOUR_DIGITS: std::ops::RangeInclusive<i64> = -719_468..=2_932_896;

/// "00" to "99".
static TWO_DIGITS: [[u8; 2]; 100] = {
    let mut digits = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        digits[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    digits
};

/// Prints the day as `YYYY-MM-DD`.
pub fn format_date(micros: i64) -> String {
    let (year, month, day) = civil_from_days(micros.div_euclid(DAY_US));
    format!("{year:04}-{month:02}-{day:02}")
}

fn zone_offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours_minutes) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match hours_minutes {
        [_, _] => (digits(hours_minutes)?, 0),
        [_, _, b':', minutes @ ..] | [_, _, minutes @ ..] if minutes.len() == 2 => {
            (digits(&hours_minutes[..2])?, digits(minutes)?)
        }
        _ => return None,
    };
    (hours <= 14 && minutes <= 59).then(|| sign * (hours * 60 + minutes) * 60 * SECOND_US)
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar
/// (<http://howardhinnant.github.io/date_algorithms.html>, `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month (1 to 12) and day (1 to 31) of the day `days` after 1970-01-01, in the proleptic Gregorian calendar
/// (<http://howardhinnant.github.io/date_algorithms.html>, `civil_from_days`).
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let (year, month, day) = civil_of_era(days.rem_euclid(DAYS_OF_ERA) as u32);
    (i64::from(year) + 400 * days.div_euclid(DAYS_OF_ERA), i64::from(month), i64::from(day))
}

/// Days of 400 years.
const DAYS_OF_ERA: i64 = 146_097;

/// From the first of March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

/// Year, month and day of a day after the first of March of the year 0.
fn civil_of_era(days: u32) -> (u32, u32, u32) {
    let (era, day_of_era) = (days / DAYS_OF_ERA as u32, days % DAYS_OF_ERA as u32);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + 400 * era + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_the_stream_is_read() {
        let noon = parse_iso("2026-07-22T12:00:00Z").expect("a date");
        for (text, micros) in [
            ("2026-07-22T12:00:00", 0),
            ("2026-07-22 12:00:00Z", 0),
            ("2026-07-22T12:00:00.1Z", 100_000),
            ("2026-07-22T12:00:00.123Z", 123_000),
            ("2026-07-22T12:00:00.1234567Z", 123_456),
            ("2026-07-22T12:00:00.9999999Z", 999_999),
            ("2026-07-22T14:30:00+02:30", 0),
            ("2026-07-22T09:00:00-0300", 0),
            ("2026-07-22T12:00Z", 0),
        ] {
            assert_eq!(parse_iso(text), Some(noon + micros), "{text}");
        }
        assert_eq!(parse_iso("1601-01-01T00:00:00Z"), Some(-11_644_473_600 * SECOND_US));
        assert_eq!(parse_iso("1970-01-01"), Some(0));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026",
            "2026-02-29",
            "2026-13-01",
            "2026-01-01X",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+2",
            "0000-01-01",
            "2026-01-01T00:00:0",
            "2026-01-01T00:00:00Zjunk",
            "२०२६-01-01",
        ] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(micros in PRINTABLE_US) {
            prop_assert_eq!(parse_iso(&format_iso(micros)), Some(micros));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = parse_iso(&text);
        }
    }
}
