//! Simulated time in ticks of 100 ns since 1970 UTC, the resolution that Defender sends.
//!
//! The clock is the export service's: it gives each record its publication time, and an event happened some minutes
//! before. Events come at a rate that follows the working day, so that a file over a whole day has its hills and valleys.

use chrono::{DateTime, Utc};
use weir_contract::datetime;

use super::dice::Dice;

/// Ticks of one second.
pub(crate) const SECOND: i64 = 10_000_000;

/// Ticks of one day.
pub(crate) const DAY: i64 = 86_400 * SECOND;

/// Events per second and device at the busiest hour. About 5,000 events per device and day, which is what a busy
/// workstation reports; the share of each hour is in [`BUSY_PERCENT`].
const EVENTS_PER_SECOND: f64 = 0.12;

/// How busy each hour of the day (UTC) is, in percent of the busiest one.
const BUSY_PERCENT: [u32; 24] =
    [14, 12, 12, 12, 13, 18, 34, 66, 92, 100, 98, 94, 78, 88, 97, 95, 86, 64, 40, 30, 26, 22, 18, 16];

/// The time at the export service, which only moves forward.
pub(crate) struct Clock {
    now: i64,
    devices: usize,
}

impl Clock {
    /// A clock that begins at `start` for an organisation of `devices`.
    pub(crate) fn new(start: DateTime<Utc>, devices: usize) -> Self {
        Self { now: ticks_of(start), devices }
    }

    /// The current time in ticks.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Moves on to the publication of the next record and returns it, in ticks.
    pub(crate) fn advance(&mut self, dice: &mut Dice) -> i64 {
        let hour = (self.now.rem_euclid(DAY) / (3600 * SECOND)) as usize;
        let per_second = EVENTS_PER_SECOND * self.devices as f64 * f64::from(BUSY_PERCENT[hour]) / 100.0;
        self.now += 1 + dice.waiting_time(SECOND as f64 / per_second);
        self.now
    }
}

/// When something that is published at `published` happened: mostly minutes before, now and then hours (a device that
/// was offline), rarely a little later (a device whose clock runs ahead).
pub(crate) fn happened_before(published: i64, dice: &mut Dice) -> i64 {
    if dice.one_in(400) {
        return published - dice.waiting_time((5 * 3600 * SECOND) as f64).min(40 * 3600 * SECOND) - 600 * SECOND;
    }
    if dice.one_in(1000) {
        return published + i64::from(dice.between(1, 1700)) * SECOND;
    }
    published - 53 * SECOND - dice.waiting_time((80 * SECOND) as f64).min(3600 * SECOND)
}

/// Ticks since 1970 of `time`; what is finer than a tick is cut off.
pub(crate) fn ticks_of(time: DateTime<Utc>) -> i64 {
    time.timestamp() * SECOND + i64::from(time.timestamp_subsec_nanos() / 100)
}

/// The time at `ticks`.
pub(crate) fn time_at(ticks: i64) -> DateTime<Utc> {
    let nanos = (ticks.rem_euclid(SECOND) * 100) as u32;
    DateTime::from_timestamp(ticks.div_euclid(SECOND), nanos).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Appends `ticks` as ISO 8601 without zone. With `trim`, zeros at the end of the fraction are left out as in
/// `properties.Timestamp`; without it seven digits stand, as in the envelope's `time`.
pub(crate) fn push_time(out: &mut Vec<u8>, ticks: i64, trim: bool) {
    let (year, month, day) = datetime::civil_from_days(ticks.div_euclid(DAY));
    let of_day = ticks.rem_euclid(DAY);
    let seconds = of_day / SECOND;
    let mut text = *b"0000-00-00T00:00:00.0000000";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], seconds / 3600);
    digits(&mut text[14..16], seconds / 60 % 60);
    digits(&mut text[17..19], seconds % 60);
    digits(&mut text[20..27], of_day % SECOND);
    let mut end = text.len();
    if trim {
        while text[end - 1] == b'0' && end > 20 {
            end -= 1;
        }
        if end == 20 {
            end = 19;
        }
    }
    out.extend_from_slice(&text[..end]);
}

fn digits(field: &mut [u8], mut value: i64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}
