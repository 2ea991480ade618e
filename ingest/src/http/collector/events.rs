//! Cuts a body into events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json_text::write_string;

/// One event, its envelope around it.
#[derive(Debug)]
pub struct Event<'a> {
    /// The whole object, as the decoder reads it.
    pub text: Cow<'a, str>,
    /// What the envelope says of its kind.
    pub sourcetype: Option<Cow<'a, str>>,
}

/// Why a body, or one of its events, is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFault {
    /// There is no event.
    NoData,
    /// Not JSON, not UTF-8, or not an object.
    Format,
    /// No `event`.
    Required,
    /// `event` is empty.
    Blank,
    /// `fields` is no flat object.
    Fields,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fields: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sourcetype: Option<&'a RawValue>,
}

/// A value that is there, also if it is null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The events of a body: objects one behind the other, with or without blanks between them, or an array of them. Calls
/// `make` for each.
///
/// # Errors
///
/// The fault, with the number of the event (from 0) where it is one event's.
pub fn events<T>(body: &[u8], mut make: impl FnMut(&Event<'_>) -> T) -> Result<Vec<T>, (Option<usize>, EventFault)> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|_| (None, EventFault::Format))?;
    let mut made = Vec::new();
    let values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    for value in values {
        let number = made.len();
        let value = value.map_err(|_| (Some(number), EventFault::Format))?;
        if value.get().starts_with('[') {
            let inner: Vec<&RawValue> =
                serde_json::from_str(value.get()).map_err(|_| (Some(number), EventFault::Format))?;
            for value in inner {
                let number = made.len();
                made.push(make(&event(value.get()).map_err(|fault| (Some(number), fault))?));
            }
            continue;
        }
        made.push(make(&event(value.get()).map_err(|fault| (Some(number), fault))?));
    }
    if made.is_empty() { Err((None, EventFault::NoData)) } else { Ok(made) }
}

fn event(text: &str) -> Result<Event<'_>, EventFault> {
    let envelope: Envelope<'_> = match text.starts_with('{') {
        true => serde_json::from_str(text).map_err(|_| EventFault::Format)?,
        false => return Err(EventFault::Format),
    };
    match envelope.event.map(RawValue::get) {
        None => return Err(EventFault::Required),
        Some("null" | "\"\"" | "{}") => return Err(EventFault::Blank),
        Some(_) => {}
    }
    if let Some(fields) = envelope.fields.map(RawValue::get)
        && !(fields == "null" || fields.starts_with('{'))
    {
        return Err(EventFault::Fields);
    }
    let sourcetype = envelope.sourcetype.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
    Ok(Event { text: Cow::Borrowed(text), sourcetype: sourcetype.map(Cow::Owned) })
}

/// The events of a raw body: one in each line that is not blank. A line that is a JSON object is one, any other is text.
/// `envelope` is what the request's address says of all of them.
///
/// # Errors
///
/// As [`events`].
pub fn raw_events<T>(
    body: &[u8],
    envelope: &[(&str, Option<&str>)],
    mut make: impl FnMut(&Event<'_>) -> T,
) -> Result<Vec<T>, (Option<usize>, EventFault)> {
    let text = std::str::from_utf8(body).map_err(|_| (None, EventFault::Format))?;
    let mut head = b"{".to_vec();
    for (key, value) in envelope.iter().filter_map(|(key, value)| Some((*key, (*value)?))) {
        write_string(key, &mut head);
        head.push(b':');
        write_string(value, &mut head);
        head.push(b',');
    }
    head.extend_from_slice(b"\"event\":");
    let sourcetype = envelope.iter().find(|(key, _)| *key == "sourcetype").and_then(|(_, value)| *value);
    let mut made = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut event = head.clone();
        match line.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok() {
            true => event.extend_from_slice(line.as_bytes()),
            false => write_string(line, &mut event),
        }
        event.push(b'}');
        let text = String::from_utf8(event).map_err(|_| (Some(made.len()), EventFault::Format))?;
        made.push(make(&Event { text: text.into(), sourcetype: sourcetype.map(Cow::Borrowed) }));
    }
    if made.is_empty() { Err((None, EventFault::NoData)) } else { Ok(made) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(body: &str) -> Result<Vec<String>, (Option<usize>, EventFault)> {
        events(body.as_bytes(), |event| event.text.to_string())
    }

    #[test]
    fn events_may_stand_in_any_row() {
        let expected = Ok(vec![r#"{"event":1}"#.to_owned(), r#"{"event":{"a":"}{"}}"#.to_owned()]);
        for body in [
            r#"{"event":1}{"event":{"a":"}{"}}"#,
            "{\"event\":1}\r\n\r\n{\"event\":{\"a\":\"}{\"}}\n",
            r#" [{"event":1}, {"event":{"a":"}{"}}]"#,
        ] {
            assert_eq!(texts(body), expected, "{body}");
        }
    }

    #[test]
    fn a_faulty_event_is_told_by_its_number() {
        assert_eq!(texts(" \n"), Err((None, EventFault::NoData)));
        assert_eq!(texts("[]"), Err((None, EventFault::NoData)));
        assert_eq!(texts(r#"{"event":1}{"event":"#), Err((Some(1), EventFault::Format)));
        assert_eq!(texts(r#"{"event":1} 7"#), Err((Some(1), EventFault::Format)));
        assert_eq!(texts(r#"{"time":1}"#), Err((Some(0), EventFault::Required)));
        assert_eq!(texts(r#"{"event":""}"#), Err((Some(0), EventFault::Blank)));
        assert_eq!(texts(r#"{"event":null}"#), Err((Some(0), EventFault::Blank)));
        assert_eq!(texts(r#"{"event":1,"fields":[1]}"#), Err((Some(0), EventFault::Fields)));
        assert_eq!(events(b"\xff", |_| ()), Err((None, EventFault::Format)));
    }

    #[test]
    fn lines_become_events_with_the_envelope_of_the_address() {
        let envelope = [("host", Some("h\"")), ("index", None), ("sourcetype", Some("st"))];
        let made = raw_events(b"plain \"text\"\r\n\n{\"a\": 1}\n{broken", &envelope, |event| {
            assert_eq!(event.sourcetype.as_deref(), Some("st"));
            serde_json::from_str::<serde_json::Value>(&event.text).expect("an event is JSON")["event"].clone()
        });
        let expected = [serde_json::json!("plain \"text\""), serde_json::json!({"a": 1}), serde_json::json!("{broken")];
        assert_eq!(made.as_deref(), Ok(&expected[..]));
    }

    proptest! {
        #[test]
        fn any_body_is_cut_or_refused(body in "[\\[\\]{}\":,a-c0-9 \\n]{0,60}|\\PC{0,40}") {
            let _ = events(body.as_bytes(), |event| event.text.len());
            let _ = raw_events(body.as_bytes(), &[], |event| event.text.len());
        }
    }
}
