//! Scripted faults: what the next requests get instead of, or on top of, the ordinary treatment.

use std::collections::VecDeque;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which of the server's endpoints a fault waits at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// The Logs Ingestion API.
    #[default]
    Ingest,
    /// The token endpoints.
    Token,
}

/// One entry of a fault script. A request takes the first entry that matches it; the entry is gone after `count`
/// requests. Fields combine: a delay with a status waits, then refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// Answer with this status instead of looking at the call; 2xx means: treat the call as usual (which lets a
    /// script say "the third call fails").
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `Retry-After` of that answer; without it the header is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<RetryAfter>,
    /// Body of that answer, sent as it stands; without it the body is the service's own for this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Wait before anything else, in milliseconds.
    pub delay_ms: u64,
    /// Reset the TCP connection once this many bytes of the body have been read (0: at once).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_after_bytes: Option<u64>,
    /// Accept the call, store its rows, then close the connection without an answer.
    pub lose_response: bool,
    /// How many requests this entry serves (default 1).
    pub count: u32,
    /// Only requests to this stream, by its name in the path (default: any).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Where the fault waits (default: the Logs Ingestion API).
    pub endpoint: Endpoint,
}

/// A `Retry-After` header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date so many seconds from the moment of the answer.
    Date {
        /// Seconds ahead; negative for a date gone by.
        http_date: i64,
    },
    /// `http-date` (a date one second ahead), `absurd` (86400 seconds), or any other text, sent as it stands.
    Text(String),
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            status: None,
            retry_after: None,
            body: None,
            delay_ms: 0,
            reset_after_bytes: None,
            lose_response: false,
            count: 1,
            stream: None,
            endpoint: Endpoint::Ingest,
        }
    }
}

impl Fault {
    /// One answer with `status`.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// One connection reset after `bytes` of the body.
    pub fn reset_after(bytes: u64) -> Self {
        Self { reset_after_bytes: Some(bytes), ..Self::default() }
    }

    /// One call that is accepted, but whose answer is lost.
    pub fn lost_response() -> Self {
        Self { lose_response: true, ..Self::default() }
    }

    /// One call that is treated as usual after a wait.
    pub fn delay(delay: Duration) -> Self {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self { delay_ms, ..Self::default() }
    }

    /// The same with `Retry-After: <seconds>`.
    pub fn retry_after_seconds(mut self, seconds: u64) -> Self {
        self.retry_after = Some(RetryAfter::Seconds(seconds));
        self
    }

    /// The same with `Retry-After` as an HTTP date so many seconds ahead.
    pub fn retry_after_date(mut self, seconds_ahead: i64) -> Self {
        self.retry_after = Some(RetryAfter::Date { http_date: seconds_ahead });
        self
    }

    /// The same for `count` requests.
    pub fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// The same for requests to `stream` alone.
    pub fn on_stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// The same at the token endpoint.
    pub fn on_token(mut self) -> Self {
        self.endpoint = Endpoint::Token;
        self
    }

    /// The refusal status, unless the script lets the call through.
    ///
    /// A number that is no HTTP status counts as 500.
    pub(crate) fn refusal(&self) -> Option<StatusCode> {
        let status = self.status?;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (!status.is_success()).then_some(status)
    }
}

impl RetryAfter {
    /// The header's text at `now`; `None` for text that no header can carry.
    pub(crate) fn header(&self, now: DateTime<Utc>) -> Option<HeaderValue> {
        let text = match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date { http_date } => http_date_text(now, *http_date),
            Self::Text(text) if text == "http-date" => http_date_text(now, 1),
            Self::Text(text) if text == "absurd" => "86400".to_owned(),
            Self::Text(text) => text.clone(),
        };
        HeaderValue::from_str(&text).ok()
    }
}

/// RFC 9110, section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date_text(now: DateTime<Utc>, seconds_ahead: i64) -> String {
    let ahead = chrono::TimeDelta::try_seconds(seconds_ahead).unwrap_or_default();
    let time = now.checked_add_signed(ahead).unwrap_or(now);
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The faults still to come, in order.
#[derive(Debug, Default)]
pub(crate) struct Script(VecDeque<Fault>);

impl Script {
    /// Appends entries. Those with `count` 0 serve nobody and are left out.
    pub(crate) fn extend(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.0.extend(faults.into_iter().filter(|fault| fault.count > 0));
    }

    /// Takes the fault for a request to `endpoint` (and `stream`, at the Logs Ingestion API).
    pub(crate) fn take(&mut self, endpoint: Endpoint, stream: Option<&str>) -> Option<Fault> {
        let matches = |fault: &Fault| {
            fault.endpoint == endpoint && fault.stream.as_deref().is_none_or(|wanted| stream == Some(wanted))
        };
        let at = self.0.iter().position(matches)?;
        let fault = &mut self.0[at];
        fault.count -= 1;
        if fault.count == 0 { self.0.remove(at) } else { Some(fault.clone()) }
    }

    /// What is left of the script.
    pub(crate) fn left(&self) -> Vec<Fault> {
        self.0.iter().cloned().collect()
    }

    /// Forgets the rest of the script.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_taken_in_order_and_by_stream() {
        let mut script = Script::default();
        script.extend([
            Fault::status(500).on_stream("Custom-B"),
            Fault::status(429).times(2),
            Fault::status(503).on_token(),
            Fault::status(400).times(0),
        ]);
        let mut take = |endpoint, stream| script.take(endpoint, stream).and_then(|fault| fault.status);
        assert_eq!(take(Endpoint::Ingest, Some("Custom-A")), Some(429));
        assert_eq!(take(Endpoint::Ingest, Some("Custom-B")), Some(500));
        assert_eq!(take(Endpoint::Ingest, Some("Custom-B")), Some(429));
        assert_eq!(take(Endpoint::Ingest, Some("Custom-B")), None);
        assert_eq!(take(Endpoint::Token, None), Some(503));
        assert!(script.left().is_empty());
    }

    #[test]
    fn a_script_reads_every_form_of_retry_after() {
        let now = DateTime::from_timestamp(784_111_777, 0).expect("in range");
        let header = |json: &str| {
            let fault: Fault = serde_json::from_str(json).unwrap();
            let header = fault.retry_after.unwrap().header(now).unwrap();
            header.to_str().unwrap().to_owned()
        };
        assert_eq!(header(r#"{"status":429,"retry_after":15}"#), "15");
        assert_eq!(header(r#"{"status":429,"retry_after":{"http_date":0}}"#), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(header(r#"{"status":429,"retry_after":"http-date"}"#), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(header(r#"{"status":429,"retry_after":"absurd"}"#), "86400");
        assert_eq!(header(r#"{"status":429,"retry_after":"soon"}"#), "soon");
    }

    #[test]
    fn misspelt_keys_of_a_script_are_refused() {
        assert!(serde_json::from_str::<Fault>(r#"{"stauts":429}"#).is_err());
    }
}
