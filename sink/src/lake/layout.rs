//! Where a row ends up: `<lake>/<Table>/EventDate=<day>/part-<uuid>.zstd.parquet`.
//!
//! The day is that of `TimeGenerated` in UTC. Rows whose `TimeGenerated` is null or outside the years 1 to 9999 (no
//! reader could parse such a partition), and rows of tables that have no such datetime column, stand under the day on
//! which the sink took them. As Delta wants it, the day is not in the Parquet
//! files but in the table's log.
//!
//! Parquet and Delta (without column mapping) forbid the characters ` ,;{}()\n\t=` in column names; they become `_`.
//! Table names become directory names: whatever is no ASCII letter, digit, `_`, `-` or `.` becomes `_`, so that a name
//! which comes with the data can't leave the lake's directory.

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;
use weir_contract::datetime::{DAY_US, PRINTABLE_US, format_date};

/// The partition column.
pub const DATE_COLUMN: &str = "EventDate";
/// The column that decides a row's day.
pub const TIME_COLUMN: &str = "TimeGenerated";

/// Days since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(pub(crate) i32);

impl Day {
    /// The day that `micros` since 1970 UTC falls on.
    pub(crate) fn of(micros: i64) -> Self {
        Self(i32::try_from(micros.div_euclid(DAY_US)).expect("64 bits of microseconds are fewer than 2^31 days"))
    }

    /// `YYYY-MM-DD`, as Delta writes partition values.
    pub(crate) fn iso(self) -> String {
        format_date(i64::from(self.0).saturating_mul(DAY_US))
    }
}

/// The directory of the table called `table`, below the lake's.
pub(crate) fn directory(table: &str) -> String {
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    // File systems end at 255 bytes; no table that a person named comes near.
    let name: String = table.chars().take(128).map(|char| if allowed(char) { char } else { '_' }).collect();
    // A leading dot or underscore would hide the directory from readers, and `..` leave it.
    if name.is_empty() || name.starts_with(['.', '_']) { format!("t{name}") } else { name }
}

/// The name of column `name` in the lake.
pub(crate) fn column(name: &str) -> Cow<'_, str> {
    const FORBIDDEN: [char; 10] = [' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];
    if name.contains(FORBIDDEN) { Cow::Owned(name.replace(FORBIDDEN, "_")) } else { Cow::Borrowed(name) }
}

/// A new file's path, below the table's directory.
pub(crate) fn new_file(day: Day) -> String {
    format!("{DATE_COLUMN}={}/part-{}.zstd.parquet", day.iso(), Uuid::new_v4())
}

/// Rows of one day.
#[derive(Debug)]
pub(crate) struct DayRows {
    pub(crate) day: Day,
    pub(crate) rows: RecordBatch,
    /// Their places among the rows that were split; `None` if these are all of them.
    pub(crate) places: Option<Vec<u32>>,
}

/// Splits `rows` by day; rows of one day keep their order. `today` is for rows without a time.
///
/// Most batches hold one day and are passed on as they are.
pub(crate) fn split_by_day(rows: RecordBatch, today: Day) -> Result<Vec<DayRows>, ArrowError> {
    let whole = |day, rows| Ok(vec![DayRows { day, rows, places: None }]);
    let Some(times) = rows.column_by_name(TIME_COLUMN) else { return whole(today, rows) };
    if !matches!(times.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
        return whole(today, rows);
    }
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let has_day = |row: usize| times.is_valid(row) && PRINTABLE_US.contains(&times.value(row));
    let day_at = |row: usize| if has_day(row) { Day::of(times.value(row)) } else { today };
    if times.is_empty() {
        return Ok(Vec::new());
    }
    let first = day_at(0);
    let start = i64::from(first.0).saturating_mul(DAY_US);
    let end = start.saturating_add(DAY_US);
    let one_day = times.null_count() == 0 && times.values().iter().all(|time| (start..end).contains(time));
    if one_day {
        return whole(first, rows);
    }
    let mut by_day: BTreeMap<Day, Vec<u32>> = BTreeMap::new();
    for row in 0..times.len() {
        by_day.entry(day_at(row)).or_default().push(row as u32);
    }
    if by_day.len() == 1 {
        return whole(first, rows);
    }
    let part = |(day, places): (Day, Vec<u32>)| {
        let indices = UInt32Array::from(places);
        let rows = take_record_batch(&rows, &indices)?;
        Ok(DayRows { day, rows, places: Some(indices.values().to_vec()) })
    };
    by_day.into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn rows(times: Vec<Option<i64>>) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(0..times.len() as i64);
        let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
        RecordBatch::try_from_iter([(TIME_COLUMN, Arc::new(times) as ArrayRef), ("N", Arc::new(numbers) as ArrayRef)])
            .expect("a batch")
    }

    #[test]
    fn names_from_data_stay_inside_the_lake() {
        assert_eq!(directory("ASimProcessEventLogs"), "ASimProcessEventLogs");
        assert_eq!(directory("../../etc/passwd"), "t.._.._etc_passwd");
        assert_eq!(directory(".."), "t..");
        assert_eq!(directory(""), "t");
        assert_eq!(directory("_delta_log"), "t_delta_log");
        assert_eq!(directory("Ä b"), "__b".replacen('_', "t_", 1).as_str());
        assert_eq!(column("Source IP (v4)"), "Source_IP__v4_");
    }

    #[test]
    fn a_row_without_time_stands_under_today() {
        let parts = split_by_day(rows(vec![Some(DAY_US), None, Some(-1)]), Day(9)).expect("split");
        let days: Vec<_> = parts.iter().map(|part| (part.day.iso(), part.rows.num_rows())).collect();
        assert_eq!(days, [("1969-12-31".into(), 1), ("1970-01-02".into(), 1), ("1970-01-10".into(), 1)]);
    }

    #[test]
    fn a_time_that_no_reader_could_parse_stands_under_today() {
        let times =
            vec![Some(PRINTABLE_US.start - 1), Some(PRINTABLE_US.end), Some(i64::MIN), Some(PRINTABLE_US.start)];
        let parts = split_by_day(rows(times), Day(9)).expect("split");
        let days: Vec<_> = parts.iter().map(|part| (part.day.iso(), part.rows.num_rows())).collect();
        assert_eq!(days, [("0001-01-01".into(), 1), ("1970-01-10".into(), 3)]);
    }

    proptest! {
        #[test]
        fn splitting_keeps_every_row_once_and_in_order(days in proptest::collection::vec(proptest::option::of(-3_i64..3), 1..60)) {
            let times = days.iter().map(|day| day.map(|day| day * DAY_US + 5)).collect();
            let parts = split_by_day(rows(times), Day(100)).expect("split");
            let mut seen = Vec::new();
            for DayRows { day, rows, places } in parts {
                let numbers = rows.column(1).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec();
                prop_assert!(numbers.is_sorted());
                if let Some(places) = places {
                    prop_assert!(places.iter().map(|place| i64::from(*place)).eq(numbers.iter().copied()));
                }
                for number in &numbers {
                    prop_assert_eq!(i64::from(day.0), days[*number as usize].unwrap_or(100));
                }
                seen.extend(numbers);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..days.len() as i64).collect::<Vec<_>>());
        }
    }
}
