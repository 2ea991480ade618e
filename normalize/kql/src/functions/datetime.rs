//! Points in time and spans. Both are microseconds; a week starts on Sunday, as Kusto's does.

use arrow::array::ArrayRef;
use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use weir_contract::datetime::{DAY_US, SECOND_US};
use weir_contract::schema::ColumnType::{self, Datetime, Long, Real, String as Str, Timespan};

use super::args::Args;
use super::prepared::{Prepared, one_of};
use super::{Function, Returns, Want, function};
use crate::convert::midnight;
use crate::scalar::Scalar;

const DT: Returns = Returns::Ty(Datetime);
const D1: &[Want] = &[Want::Datetime];
const D_OFFSET: &[Want] = &[Want::Datetime, Want::Long];

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "now",
        &[Want::Timespan],
        DT,
        |args| {
            let (now, offset) = (args.now, args.long_or(0, 0));
            args.datetimes(|row| now.checked_add(offset.get(row)?))
        },
        "`now([offset])`: one value for the whole batch",
    )
    .requires(0)
    .volatile(),
    function(
        "ago",
        &[Want::Timespan],
        DT,
        |args| {
            let (now, span) = (args.now, args.long(0));
            args.datetimes(|row| now.checked_sub(span.get(row)?))
        },
        "`ago(span)`: now minus the span",
    )
    .volatile(),
    function(
        "ingestion_time",
        &[],
        DT,
        |args| {
            let now = args.now;
            args.datetimes(|_| Some(now))
        },
        "`ingestion_time()`: the batch's time, as `now()`",
    )
    .volatile(),
    function(
        "datetime_add",
        &[Want::Str, Want::Long, Want::Datetime],
        DT,
        add,
        "`datetime_add(period, amount, time)`: in calendar terms; periods year to nanosecond",
    )
    .constant_at(&[0])
    .prepared(period),
    function(
        "datetime_diff",
        &[Want::Str, Want::Datetime, Want::Datetime],
        Returns::Ty(Long),
        diff,
        "`datetime_diff(period, a, b)`: boundaries of the period crossed from b to a",
    )
    .constant_at(&[0])
    .prepared(period),
    function(
        "datetime_part",
        &[Want::Str, Want::Datetime],
        Returns::Ty(ColumnType::Int),
        |args| {
            let (part, a) = (args.text(0), args.long(1));
            args.ints(|row| {
                let value = date_part(&part.get(row).to_ascii_lowercase(), a.get(row)?)?;
                i32::try_from(value).ok()
            })
        },
        "`datetime_part(part, time)`: year, quarter, month, week_of_year, day, dayofyear, hour … nanosecond",
    )
    .constant_at(&[0])
    .prepared(part),
    function("startofday", D_OFFSET, DT, |args| start(args, Unit::Day, false), "`startofday(time[, offset])`")
        .requires(1),
    function(
        "startofweek",
        D_OFFSET,
        DT,
        |args| start(args, Unit::Week, false),
        "`startofweek(time[, offset])`: Sunday",
    )
    .requires(1),
    function("startofmonth", D_OFFSET, DT, |args| start(args, Unit::Month, false), "`startofmonth(time[, offset])`")
        .requires(1),
    function("startofyear", D_OFFSET, DT, |args| start(args, Unit::Year, false), "`startofyear(time[, offset])`")
        .requires(1),
    function(
        "endofday",
        D_OFFSET,
        DT,
        |args| start(args, Unit::Day, true),
        "`endofday(time[, offset])`: the last microsecond",
    )
    .requires(1),
    function("endofweek", D_OFFSET, DT, |args| start(args, Unit::Week, true), "`endofweek(time[, offset])`")
        .requires(1),
    function("endofmonth", D_OFFSET, DT, |args| start(args, Unit::Month, true), "`endofmonth(time[, offset])`")
        .requires(1),
    function("endofyear", D_OFFSET, DT, |args| start(args, Unit::Year, true), "`endofyear(time[, offset])`")
        .requires(1),
    function(
        "dayofmonth",
        D1,
        Returns::Ty(ColumnType::Int),
        |args| part_as_int(args, "day"),
        "`dayofmonth(time)`: 1 to 31",
    ),
    function(
        "dayofyear",
        D1,
        Returns::Ty(ColumnType::Int),
        |args| part_as_int(args, "dayofyear"),
        "`dayofyear(time)`: 1 to 366",
    ),
    function(
        "dayofweek",
        D1,
        Returns::Ty(Timespan),
        |args| {
            let a = args.long(0);
            args.timespans(|row| Some(i64::from(date(a.get(row)?)?.weekday().num_days_from_sunday()) * DAY_US))
        },
        "`dayofweek(time)`: days since Sunday, as a timespan",
    ),
    function(
        "hourofday",
        D1,
        Returns::Ty(ColumnType::Int),
        |args| part_as_int(args, "hour"),
        "`hourofday(time)`: 0 to 23",
    ),
    function(
        "monthofyear",
        D1,
        Returns::Ty(ColumnType::Int),
        |args| part_as_int(args, "month"),
        "`monthofyear(time)`: 1 to 12",
    ),
    function("getyear", D1, Returns::Ty(ColumnType::Int), |args| part_as_int(args, "year"), "`getyear(time)`"),
    function(
        "week_of_year",
        D1,
        Returns::Ty(ColumnType::Int),
        |args| part_as_int(args, "week_of_year"),
        "`week_of_year(time)`: ISO 8601 week",
    ),
    function(
        "make_datetime",
        &[Want::Whole, Want::Whole, Want::Whole, Want::Whole, Want::Whole, Want::Real],
        DT,
        make_datetime,
        "`make_datetime(year, month, day[, hour, minute[, second]])`",
    )
    .requires(3),
    function(
        "make_timespan",
        &[Want::Long, Want::Long, Want::Real, Want::Real],
        Returns::Ty(Timespan),
        make_timespan,
        "`make_timespan([days,] hours, minutes[, seconds])`",
    )
    .requires(2),
    function(
        "format_datetime",
        &[Want::Datetime, Want::Str],
        Returns::Ty(Str),
        |args| {
            let (a, format) = (args.long(0), args.text(1));
            args.texts(|row, out| {
                if let Some(time) = a.get(row).and_then(moment) {
                    write_format(format.get(row), &Fields::of_time(&time), out);
                }
            })
        },
        "`format_datetime(time, format)`: y M d h H m s f F tt, as .NET counts the letters",
    )
    .constant_at(&[1]),
    function(
        "format_timespan",
        &[Want::Timespan, Want::Str],
        Returns::Ty(Str),
        |args| {
            let (a, format) = (args.long(0), args.text(1));
            args.texts(|row, out| {
                if let Some(span) = a.get(row) {
                    write_format(format.get(row), &Fields::of_span(span), out);
                }
            })
        },
        "`format_timespan(span, format)`: d H h m s f F",
    )
    .constant_at(&[1]),
    function(
        "unixtime_seconds_todatetime",
        &[Want::Real],
        DT,
        |args| unix(args, 1e6),
        "`unixtime_seconds_todatetime(number)`",
    ),
    function(
        "unixtime_milliseconds_todatetime",
        &[Want::Number],
        DT,
        |args| unix(args, 1e3),
        "`unixtime_milliseconds_todatetime(number)`",
    ),
    function(
        "unixtime_microseconds_todatetime",
        &[Want::Number],
        DT,
        |args| unix(args, 1.0),
        "`unixtime_microseconds_todatetime(number)`",
    ),
    function(
        "unixtime_nanoseconds_todatetime",
        &[Want::Number],
        DT,
        |args| unix(args, 1e-3),
        "`unixtime_nanoseconds_todatetime(number)`",
    ),
    function(
        "datetime_utc_to_local",
        &[Want::Datetime, Want::Str],
        DT,
        |args| {
            let (a, zone) = (args.long(0), args.text(1));
            args.datetimes(|row| if zone.get(row).eq_ignore_ascii_case("utc") { a.get(row) } else { None })
        },
        "`datetime_utc_to_local(time, zone)`: only the zone UTC is known",
    ),
];

const MIN_US: i64 = -62_135_596_800_000_000;
const MAX_US: i64 = 253_402_300_799_999_999;

fn moment(micros: i64) -> Option<DateTime<Utc>> {
    (MIN_US..=MAX_US).contains(&micros).then(|| DateTime::from_timestamp_micros(micros))?
}

fn date(micros: i64) -> Option<NaiveDate> {
    moment(micros).map(|time| time.date_naive())
}

fn in_range(micros: i64) -> Option<i64> {
    (MIN_US..=MAX_US).contains(&micros).then_some(micros)
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
}

/// Midnight that starts the unit which lies `offset` units after that of `micros`.
fn start_of(micros: i64, unit: Unit, offset: i64) -> Option<i64> {
    let day = micros.div_euclid(DAY_US);
    let date = date(micros)?;
    match unit {
        Unit::Day => day.checked_add(offset)?.checked_mul(DAY_US),
        Unit::Week => {
            let sunday = day - i64::from(date.weekday().num_days_from_sunday());
            sunday.checked_add(offset.checked_mul(7)?)?.checked_mul(DAY_US)
        }
        Unit::Month => {
            let month = (i64::from(date.year()) * 12 + i64::from(date.month0())).checked_add(offset)?;
            midnight(month.div_euclid(12), month.rem_euclid(12) + 1, 1)
        }
        Unit::Year => midnight(i64::from(date.year()).checked_add(offset)?, 1, 1),
    }
}

fn start(args: &Args<'_>, unit: Unit, end: bool) -> ArrayRef {
    let (a, offset) = (args.long(0), args.long_or(1, 0));
    args.datetimes(|row| {
        let (micros, offset) = (a.get(row)?, offset.get(row)?);
        if end {
            // The end of the last unit of the calendar has no successor to start.
            return start_of(micros, unit, offset.checked_add(1)?).and_then(|next| in_range(next - 1));
        }
        start_of(micros, unit, offset).and_then(in_range)
    })
}

fn singular(period: &str) -> String {
    let lower = period.to_ascii_lowercase();
    lower.strip_suffix('s').map(str::to_owned).unwrap_or(lower)
}

/// The periods of `datetime_add` and `datetime_diff`, without a plural's `s`.
const PERIODS: &[&str] = &[
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
];

/// The parts of `datetime_part`; of the last two, one is an older word and one our own.
const PARTS: &[&str] = &[
    "year",
    "quarter",
    "month",
    "week_of_year",
    "day",
    "dayofyear",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
    "weekofyear",
    "week",
];

fn period(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    one_of(PERIODS, constants[0].as_ref(), singular)
}

fn part(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    one_of(PARTS, constants[0].as_ref(), str::to_ascii_lowercase)
}

/// Length of the periods that have a fixed one.
fn fixed(period: &str) -> Option<i64> {
    Some(match period {
        "week" => 7 * DAY_US,
        "day" => DAY_US,
        "hour" => 3600 * SECOND_US,
        "minute" => 60 * SECOND_US,
        "second" => SECOND_US,
        "millisecond" => 1000,
        "microsecond" => 1,
        _ => return None,
    })
}

fn add(args: &Args<'_>) -> ArrayRef {
    let (period, amount, a) = (args.text(0), args.long(1), args.long(2));
    args.datetimes(|row| {
        let (amount, micros) = (amount.get(row)?, a.get(row)?);
        let period = singular(period.get(row));
        if let Some(length) = fixed(&period) {
            return micros.checked_add(amount.checked_mul(length)?).and_then(in_range);
        }
        let months = match period.as_str() {
            "year" => amount.checked_mul(12)?,
            "quarter" => amount.checked_mul(3)?,
            "month" => amount,
            "nanosecond" => return micros.checked_add(amount / 1000).and_then(in_range),
            _ => return None,
        };
        let date = date(micros)?;
        let month = (i64::from(date.year()) * 12 + i64::from(date.month0())).checked_add(months)?;
        let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
        let day = (1..=i64::from(date.day())).rev().find_map(|day| midnight(year, month, day))?;
        Some(day + micros.rem_euclid(DAY_US))
    })
}

fn diff(args: &Args<'_>) -> ArrayRef {
    let (period, a, b) = (args.text(0), args.long(1), args.long(2));
    args.longs(|row| {
        let (a, b) = (a.get(row)?, b.get(row)?);
        let period = singular(period.get(row));
        let (from, to) = (date(b)?, date(a)?);
        let months = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
        Some(match period.as_str() {
            "year" => i64::from(to.year()) - i64::from(from.year()),
            "quarter" => months(to).div_euclid(3) - months(from).div_euclid(3),
            "month" => months(to) - months(from),
            "week" => (start_of(a, Unit::Week, 0)? - start_of(b, Unit::Week, 0)?) / (7 * DAY_US),
            "nanosecond" => (a - b).checked_mul(1000)?,
            period => {
                let length = fixed(period)?;
                a.div_euclid(length) - b.div_euclid(length)
            }
        })
    })
}

fn date_part(part: &str, micros: i64) -> Option<i64> {
    let time = moment(micros)?;
    Some(match part {
        "year" => i64::from(time.year()),
        "quarter" => i64::from(time.month0() / 3 + 1),
        "month" => i64::from(time.month()),
        "week_of_year" | "weekofyear" | "week" => i64::from(time.iso_week().week()),
        "day" => i64::from(time.day()),
        "dayofyear" => i64::from(time.ordinal()),
        "hour" => i64::from(time.hour()),
        "minute" => i64::from(time.minute()),
        "second" => i64::from(time.second()),
        "millisecond" => micros.rem_euclid(SECOND_US) / 1000,
        "microsecond" => micros.rem_euclid(SECOND_US),
        "nanosecond" => micros.rem_euclid(SECOND_US) * 1000,
        _ => return None,
    })
}

fn part_as_int(args: &Args<'_>, part: &str) -> ArrayRef {
    let a = args.long(0);
    args.ints(|row| i32::try_from(date_part(part, a.get(row)?)?).ok())
}

fn make_datetime(args: &Args<'_>) -> ArrayRef {
    let (year, month, day) = (args.long(0), args.long(1), args.long(2));
    let (hour, minute) = (args.long_or(3, 0), args.long_or(4, 0));
    let second = (args.len() > 5).then(|| args.real(5));
    args.datetimes(|row| {
        let (hour, minute) = (hour.get(row)?, minute.get(row)?);
        let second = match &second {
            Some(second) => second.get(row)?,
            None => 0.0,
        };
        if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..60.0).contains(&second) {
            return None;
        }
        let clock = (hour * 60 + minute) * 60 * SECOND_US + (second * 1e6).round() as i64;
        Some(midnight(year.get(row)?, month.get(row)?, day.get(row)?)? + clock)
    })
}

fn make_timespan(args: &Args<'_>) -> ArrayRef {
    let (first, second) = (args.long(0), args.long(1));
    let third = (args.len() > 2).then(|| args.real(2));
    let fourth = (args.len() > 3).then(|| args.real(3));
    args.timespans(|row| {
        let (first, second) = (first.get(row)?, second.get(row)?);
        let (days, hours, minutes, seconds) = match (&third, &fourth) {
            (Some(third), Some(fourth)) => (first, second, third.get(row)? as i64, fourth.get(row)?),
            (Some(third), None) => (0, first, second, third.get(row)?),
            _ => (0, first, second, 0.0),
        };
        if !(0..24).contains(&hours) || !(0..60).contains(&minutes) || !(0.0..60.0).contains(&seconds) {
            return None;
        }
        let clock = (hours * 60 + minutes) * 60 * SECOND_US + (seconds * 1e6).round() as i64;
        days.checked_mul(DAY_US)?.checked_add(clock)
    })
}

fn unix(args: &Args<'_>, micros_per_unit: f64) -> ArrayRef {
    if args.types[0] == Real {
        let a = args.real(0);
        return args.datetimes(|row| {
            let micros = a.get(row)? * micros_per_unit;
            (micros.abs() < 9e17).then(|| in_range(micros.round() as i64))?
        });
    }
    let a = args.long(0);
    args.datetimes(|row| {
        let value = a.get(row)?;
        let micros =
            if micros_per_unit < 1.0 { value.div_euclid(1000) } else { value.checked_mul(micros_per_unit as i64)? };
        in_range(micros)
    })
}

/// The numbers that a format's letters stand for.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Of a second, in 100 ns.
    ticks: i64,
}

impl Fields {
    fn of_time(time: &DateTime<Utc>) -> Self {
        Self {
            year: i64::from(time.year()),
            month: i64::from(time.month()),
            day: i64::from(time.day()),
            hour: i64::from(time.hour()),
            minute: i64::from(time.minute()),
            second: i64::from(time.second()),
            ticks: i64::from(time.timestamp_subsec_micros()) * 10,
        }
    }

    fn of_span(micros: i64) -> Self {
        let total = micros.saturating_abs();
        let seconds = total / SECOND_US;
        Self {
            year: 0,
            month: 0,
            day: total / DAY_US,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            ticks: total % SECOND_US * 10,
        }
    }
}

fn write_format(format: &str, fields: &Fields, out: &mut String) {
    use std::fmt::Write;
    let mut chars = format.chars().peekable();
    while let Some(letter) = chars.next() {
        let mut count = 1;
        while letter.is_ascii_alphabetic() && chars.peek() == Some(&letter) {
            chars.next();
            count += 1;
        }
        let number = match letter {
            'y' if count <= 2 => fields.year % 100,
            'y' => fields.year,
            'M' => fields.month,
            'd' => fields.day,
            'H' => fields.hour,
            'h' => (fields.hour + 11) % 12 + 1,
            'm' => fields.minute,
            's' => fields.second,
            'f' | 'F' => {
                let digits = format!("{:07}", fields.ticks);
                let digits = &digits[..count.min(7)];
                out.push_str(if letter == 'f' { digits } else { digits.trim_end_matches('0') });
                continue;
            }
            't' => {
                out.push_str(if fields.hour < 12 { "AM" } else { "PM" });
                continue;
            }
            other => {
                out.extend(std::iter::repeat_n(other, count));
                continue;
            }
        };
        let _ = write!(out, "{number:0count$}");
    }
}
