//! Splunk's HTTP Event Collector: `/services/collector` and what is below it.
//!
//! Paths, answers and their codes are those of <https://docs.splunk.com/Documentation/Splunk/latest/Data/HECRESTendpoints>
//! and its list of error codes. Unlike there, a request with a faulty event is refused whole: nothing of it is taken, and
//! the sender is told the number of that event.

mod acknowledgements;
mod events;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use weir_contract::pushed::{Kind, Pushed};

use super::Shared;
use super::body::{BodyFault, receive};
use super::config::CollectorConfig;
use super::plain::{RETRY_SECONDS, describe};
use super::tokens::Shown;
use crate::push::intake::{Refusal, now_us};

pub(super) use acknowledgements::Acknowledgements;
pub use events::{Event, EventFault, events, raw_events};

/// The documented answers: status, code, text.
mod answers {
    use axum::http::StatusCode;

    pub(super) type Answer = (StatusCode, u16, &'static str);

    pub(super) const SUCCESS: Answer = (StatusCode::OK, 0, "Success");
    pub(super) const TOKEN_REQUIRED: Answer = (StatusCode::UNAUTHORIZED, 2, "Token is required");
    pub(super) const INVALID_AUTHORIZATION: Answer = (StatusCode::UNAUTHORIZED, 3, "Invalid authorization");
    pub(super) const INVALID_TOKEN: Answer = (StatusCode::FORBIDDEN, 4, "Invalid token");
    pub(super) const NO_DATA: Answer = (StatusCode::BAD_REQUEST, 5, "No data");
    pub(super) const INVALID_FORMAT: Answer = (StatusCode::BAD_REQUEST, 6, "Invalid data format");
    pub(super) const INTERNAL: Answer = (StatusCode::INTERNAL_SERVER_ERROR, 8, "Internal server error");
    pub(super) const BUSY: Answer = (StatusCode::SERVICE_UNAVAILABLE, 9, "Server is busy");
    pub(super) const CHANNEL_MISSING: Answer = (StatusCode::BAD_REQUEST, 10, "Data channel is missing");
    pub(super) const CHANNEL_INVALID: Answer = (StatusCode::BAD_REQUEST, 11, "Invalid data channel");
    pub(super) const EVENT_REQUIRED: Answer = (StatusCode::BAD_REQUEST, 12, "Event field is required");
    pub(super) const EVENT_BLANK: Answer = (StatusCode::BAD_REQUEST, 13, "Event field cannot be blank");
    pub(super) const ACK_DISABLED: Answer = (StatusCode::BAD_REQUEST, 14, "ACK is disabled");
    pub(super) const FIELDS: Answer = (StatusCode::BAD_REQUEST, 15, "Error in handling indexed fields");
    pub(super) const HEALTHY: Answer = (StatusCode::OK, 17, "HEC is healthy");
    pub(super) const UNHEALTHY: Answer = (StatusCode::SERVICE_UNAVAILABLE, 18, "HEC is unhealthy, queues are full");
    pub(super) const TOO_LARGE: Answer = (StatusCode::PAYLOAD_TOO_LARGE, 27, "Request entity too large");
}
use answers::Answer;

/// What a request may say in its address.
#[derive(Debug, Default, Deserialize)]
struct Parameters {
    channel: Option<String>,
    host: Option<String>,
    source: Option<String>,
    sourcetype: Option<String>,
    index: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Events,
    Raw,
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for path in ["", "/event", "/event/1.0"] {
        router = router.route(&format!("/services/collector{path}"), post(post_events));
    }
    for path in ["/raw", "/raw/1.0"] {
        router = router.route(&format!("/services/collector{path}"), post(post_raw));
    }
    for path in ["/health", "/health/1.0"] {
        router = router.route(&format!("/services/collector{path}"), get(health));
    }
    router.route("/services/collector/ack", post(ack))
}

async fn post_events(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    within_time(&shared, take(&shared, parameters, &headers, body, Form::Events)).await
}

async fn post_raw(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    within_time(&shared, take(&shared, parameters, &headers, body, Form::Raw)).await
}

async fn within_time(shared: &Shared, work: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(shared.config.request_timeout.0, work).await {
        Ok(answer) => answer,
        Err(_) => refuse(shared, "timeout", answers::BUSY),
    }
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    told(if shared.intake.buffer.is_full() { answers::UNHEALTHY } else { answers::HEALTHY }, None)
}

async fn take(shared: &Shared, parameters: Parameters, headers: &HeaderMap, body: Body, form: Form) -> Response {
    if let Err(answer) = authorize(shared, headers) {
        return refuse(shared, "token", answer);
    }
    let Some(config) = &shared.config.collector else { return refuse(shared, "config", answers::INTERNAL) };
    let channel = match channel(&parameters, headers) {
        Ok(channel) => channel,
        Err(answer) => return refuse(shared, "channel", answer),
    };
    let received = match receive(shared, headers, body).await {
        Ok(received) => received,
        Err(BodyFault::TooLarge) => return refuse(shared, "too_large", answers::TOO_LARGE),
        Err(fault) => {
            let (_, reason, _) = describe(&fault, shared);
            return refuse(shared, reason, answers::INVALID_FORMAT);
        }
    };
    let (bytes, permit) = (received.bytes, received.permit);
    let (config_of_tables, table) = (config.clone(), shared.config.table.clone());
    // Parsing may take some milliseconds for a large body; the I/O threads have other connections to serve.
    let cut =
        tokio::task::spawn_blocking(move || records(&bytes, form, &parameters, &config_of_tables, table.as_deref()));
    let records = match cut.await {
        Ok(Ok(records)) => records,
        Ok(Err((number, fault))) => {
            shared.intake.refused("format");
            return told(answer_of(fault), number);
        }
        Err(_) => return refuse(shared, "defect", answers::INTERNAL),
    };
    if config.acknowledge && channel.is_some() && shared.collector.is_full() {
        return refuse(shared, "acknowledgements", answers::BUSY);
    }
    let taken = shared.intake.take(records, shared.config.request_timeout.0).await;
    drop(permit);
    match taken {
        Ok(next) => {
            let id = channel.filter(|_| config.acknowledge).map(|channel| shared.collector.issue(&channel, next));
            let mut body = serde_json::json!({ "text": answers::SUCCESS.2, "code": answers::SUCCESS.1 });
            if let Some(id) = id {
                body["ackId"] = id.into();
            }
            (answers::SUCCESS.0, body.to_string()).into_response()
        }
        // Counted where it was refused.
        Err(Refusal::TooLarge(_)) => told(answers::TOO_LARGE, None),
        Err(Refusal::Full | Refusal::Late | Refusal::Disk(_)) => told(answers::BUSY, None),
    }
}

/// The records of a body, as the buffer keeps them.
fn records(
    body: &[u8],
    form: Form,
    parameters: &Parameters,
    config: &CollectorConfig,
    default_table: Option<&str>,
) -> Result<Vec<Bytes>, (Option<usize>, EventFault)> {
    let received_us = now_us();
    let record = |event: &Event<'_>| {
        let table = event.sourcetype.as_deref().and_then(|sourcetype| config.tables.get(sourcetype));
        let table = table.map(String::as_str).or(default_table);
        Pushed { kind: Kind::Event, received_us, table, body: event.text.as_bytes() }.to_bytes()
    };
    let envelope = [
        ("host", parameters.host.as_deref()),
        ("source", parameters.source.as_deref()),
        ("sourcetype", parameters.sourcetype.as_deref()),
        ("index", parameters.index.as_deref()),
    ];
    match form {
        Form::Events => events(body, record),
        Form::Raw => raw_events(body, &envelope, record),
    }
}

#[derive(Deserialize)]
struct Asked {
    acks: Vec<u64>,
}

async fn ack(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(answer) = authorize(&shared, &headers) {
        return refuse(&shared, "token", answer);
    }
    if !shared.config.collector.as_ref().is_some_and(|collector| collector.acknowledge) {
        return told(answers::ACK_DISABLED, None);
    }
    let channel = match channel(&parameters, &headers) {
        Ok(Some(channel)) => channel,
        Ok(None) => return told(answers::CHANNEL_MISSING, None),
        Err(answer) => return told(answer, None),
    };
    let asked = match receive(&shared, &headers, body).await {
        Ok(received) => serde_json::from_slice::<Asked>(&received.bytes).ok(),
        Err(_) => None,
    };
    let Some(Asked { acks }) = asked else { return told(answers::INVALID_FORMAT, None) };
    let front = shared.intake.buffer.front();
    let said = acks.into_iter().map(|id| (id.to_string(), shared.collector.ask(&channel, id, front).into()));
    let said: serde_json::Map<String, serde_json::Value> = said.collect();
    (StatusCode::OK, serde_json::json!({ "acks": said }).to_string()).into_response()
}

fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<(), Answer> {
    let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    match shared.tokens.check(authorization, &["Splunk", "Bearer"]) {
        Shown::Valid => Ok(()),
        Shown::Nothing => Err(answers::TOKEN_REQUIRED),
        Shown::OtherScheme => Err(answers::INVALID_AUTHORIZATION),
        Shown::Unknown => Err(answers::INVALID_TOKEN),
    }
}

/// The channel that a request names, by its header or its address: a GUID.
fn channel(parameters: &Parameters, headers: &HeaderMap) -> Result<Option<String>, Answer> {
    let header =
        headers.get("x-splunk-request-channel").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let Some(text) = header.or_else(|| parameters.channel.clone()) else { return Ok(None) };
    let text = text.trim().to_ascii_lowercase();
    let is_guid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if is_guid { Ok(Some(text)) } else { Err(answers::CHANNEL_INVALID) }
}

fn answer_of(fault: EventFault) -> Answer {
    match fault {
        EventFault::NoData => answers::NO_DATA,
        EventFault::Format => answers::INVALID_FORMAT,
        EventFault::Required => answers::EVENT_REQUIRED,
        EventFault::Blank => answers::EVENT_BLANK,
        EventFault::Fields => answers::FIELDS,
    }
}

fn refuse(shared: &Shared, reason: &str, answer: Answer) -> Response {
    shared.intake.refused(reason);
    told(answer, None)
}

fn told((status, code, text): Answer, event: Option<usize>) -> Response {
    let mut body = serde_json::json!({ "text": text, "code": code });
    if let Some(number) = event {
        body["invalid-event-number"] = number.into();
    }
    let mut answer = (status, body.to_string()).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    }
    answer
}
