//! Events of Splunk's HTTP Event Collector: the row is what stands under `event`, the rest is its envelope.
//!
//! The envelope's `time` is the event time of a row that has none; without one, the time of receipt is, as the collector
//! documents it (<https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>). What the
//! envelope has beside it stands in `UnknownColumns` as `envelope.<key>`. An event that is no object is kept whole.

use weir_contract::datetime::{self, SECOND_US};

use super::json::{Document, Object, add_unknown};
use super::route::{Hints, Route};
use super::table::{MissingTime, TableBuilder};
use super::{Place, TIME_KEYS, Work, builder_of, missing_time};
use crate::json_text::{compact_into, value_of_key};

impl Work<'_> {
    pub(super) fn read_event(
        &mut self,
        document: &Document<'_>,
        at: usize,
        received_us: i64,
        bytes: u64,
        place: Place<'_>,
    ) {
        let Some(envelope) = document.object(at) else {
            let length = document.text.len();
            return self.refuse(place, length, None, "not_an_object", "the event is no JSON object".to_owned());
        };
        let event = document.fields(envelope).find(|(key, _)| *key == "event").map(|(_, value)| value);
        let object = event.and_then(|at| document.object(at));
        let (hints, properties) = object.map_or_else(|| (Hints::default(), None), |object| document.hints(object));
        let time = time_of(document, envelope);
        let route = self.router.route(&hints, self.default_table, |call| {
            object.into_iter().for_each(|object| document.filled_keys(object, call));
        });
        let table = match route {
            Route::Known(table) => table,
            Route::Unknown(name) => {
                let own = object.and_then(|object| document.text_of(object, &TIME_KEYS)).and_then(datetime::parse_iso);
                let time = time.or(own).unwrap_or(received_us);
                let text = document.object_text(envelope);
                let position = self.next_position();
                self.unknown_table(name).add_at(position, Some(time), bytes, |out| compact_into(text, out));
                return;
            }
        };
        let base = Document::chunk_base(document.address, place.in_chunk);
        let needs_time = table.needs_time();
        let position = self.next_position();
        let builder = builder_of(&mut self.tables, table, base, self.bytes, bytes);
        builder.positions.push(position);
        let inner = properties.and_then(|at| document.object(at));
        match (object, inner) {
            (Some(object), Some(inner)) => document.fill_row(inner, Some(object), builder),
            (Some(object), None) => document.fill_row(object, None, builder),
            (None, _) => {
                let mut halves = Vec::new();
                document
                    .fields(envelope)
                    .filter(|(key, _)| *key == "event")
                    .for_each(|(key, value)| add_unknown(document.field(key, value), builder, &mut halves));
            }
        }
        add_envelope(document, envelope, builder);
        if let Some(time) = time.or((!needs_time).then_some(received_us)) {
            builder.put_time_if_none(time);
        }
        if builder.end_row(bytes) == Err(MissingTime) {
            builder.positions.pop();
            let time = object.and_then(|object| document.text_of(object, &TIME_KEYS));
            let (place, length) = place.of_object(document, envelope);
            self.refuse(place, length, Some(table), "missing_time", missing_time(time));
        }
    }
}

fn add_envelope(document: &Document<'_>, envelope: Object, builder: &mut TableBuilder) {
    for (key, value) in document.fields(envelope).filter(|(key, _)| *key != "event") {
        builder.keep_envelope(&document.field(key, value));
    }
}

/// The envelope's `time`: seconds since 1970 UTC with a fraction, as a number or as text; in microseconds.
fn time_of(document: &Document<'_>, envelope: Object) -> Option<i64> {
    let (key, _) = document.fields(envelope).find(|(key, _)| *key == "time")?;
    let text = value_of_key(document.text, (key.as_ptr() as usize).wrapping_sub(document.address));
    let text = std::str::from_utf8(text).ok()?.trim_matches('"').trim();
    epoch_us(text)
}

/// Decimal seconds to microseconds, without the detour over a double; what is finer is cut off.
fn epoch_us(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(fraction) || !all_digits(seconds) || seconds.is_empty() {
        // Such as `1.4e9`: rare, and as exact as a double is.
        let seconds: f64 = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && seconds.abs() < 1e11)?;
        return Some((seconds * SECOND_US as f64) as i64);
    }
    let micros = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = micros.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    let time = seconds.parse::<i64>().ok()?.checked_mul(SECOND_US)?.checked_add(micros)?;
    datetime::PRINTABLE_US.contains(&time).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::epoch_us;

    #[test]
    fn times_are_exact_and_never_beyond_what_can_be_printed() {
        assert_eq!(epoch_us("1426279439.123"), Some(1_426_279_439_123_000));
        assert_eq!(epoch_us("1426279439"), Some(1_426_279_439_000_000));
        assert_eq!(epoch_us("1426279439.1234567"), Some(1_426_279_439_123_456));
        assert_eq!(epoch_us("1.4e9"), Some(1_400_000_000_000_000));
        for text in ["", "x", "-", "99999999999999", "1e300", "nan", "1.2.3"] {
            assert_eq!(epoch_us(text), None, "{text}");
        }
    }
}
