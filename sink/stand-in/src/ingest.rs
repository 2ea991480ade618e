//! `POST /dataCollectionRules/{id}/streams/{stream}`: the Logs Ingestion API.
//!
//! A scripted fault comes first. Then the checks run in the service's order: token (401), rule (404), role (403),
//! stream (400), size on the wire (413), gzip (400), size unpacked, emptiness (500), JSON (400), quota (429). What
//! passes is accepted with an empty 204.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use chrono::Utc;
use url::form_urlencoded;

use crate::answers::{self, Refusal};
use crate::config::{CALL_LIMIT_BYTES, OverRawLimit, SizeLimit, StandInConfig};
use crate::connection::Line;
use crate::faults::{Endpoint, Fault};
use crate::rows::{Clock, TableRows, read_rows};
use crate::rules::Stream;
use crate::upload::{Broken, Unpacked, Upload, gunzip, receive};
use crate::workspace::Workspace;

/// Versions of the API that the service has.
const API_VERSIONS: [&str; 3] = ["2023-01-01", "2021-11-01-preview", "2023-04-01-preview"];

/// What the path, the query and the headers of a call say.
struct Call {
    id: String,
    stream: String,
    query: Option<String>,
    headers: HeaderMap,
}

/// Rows of an accepted call.
struct Accepted {
    /// By target of the stream.
    tables: Vec<TableRows>,
    raw_bytes: u64,
    /// The rows are lost on purpose: see [`OverRawLimit::Lose`].
    is_lost: bool,
}

pub(crate) async fn post(
    State(workspace): State<Workspace>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((id, stream)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let fault = workspace.take_fault(Endpoint::Ingest, Some(&stream)).unwrap_or_default();
    workspace.count(|totals| totals.requests += 1);
    if fault.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let upload = match receive(body, declared, fault.reset_after_bytes).await {
        Ok(upload) => upload,
        Err(Broken::CutHere) => {
            workspace.count(|totals| totals.resets += 1);
            line.reset();
            return answers::accepted(); // never written: the line is cut
        }
        Err(Broken::Aborted) => return Refusal::bad_payload("the body broke off".to_owned()).into_answer(),
    };
    let call = Call { id, stream, query, headers };
    let outcome = match fault.refusal() {
        Some(status) => Err(Refusal::scripted(status, &call.id, &call.stream)),
        None => judge(&workspace, &call, &upload).await,
    };
    match outcome {
        Ok(accepted) => {
            store(&workspace, &call, &upload, accepted);
            if fault.lose_response {
                workspace.count(|totals| totals.lost_responses += 1);
                line.close();
            }
            answers::accepted()
        }
        Err(refusal) => {
            count_refusal(&workspace, &call, refusal.status);
            tracing::debug!(status = refusal.status.as_u16(), stream = call.stream, "refused a call");
            let answer = refusal.into_answer();
            if fault.refusal().is_some() { dress(answer, &fault) } else { answer }
        }
    }
}

/// Decides a call, in the service's order.
async fn judge(workspace: &Workspace, call: &Call, upload: &Upload) -> Result<Accepted, Refusal> {
    if !workspace.with_tokens(|tokens| tokens.admits(&call.headers)) {
        return Err(Refusal::unauthorized());
    }
    check_api_version(call.query.as_deref().unwrap_or_default())?;
    let rule = workspace.rule(&call.id).ok_or_else(|| Refusal::unknown_rule(&call.id))?;
    if !rule.is_granted() {
        return Err(Refusal::no_role(&call.id));
    }
    if !rule.rule.streams.contains_key(&call.stream) {
        return Err(Refusal::unknown_stream(&call.id, &call.stream));
    }
    if upload.wire_bytes > CALL_LIMIT_BYTES {
        return Err(Refusal::too_large(upload.wire_bytes));
    }
    let is_gzip = check_headers(&call.headers)?;
    if upload.bytes.is_empty() {
        return Err(Refusal::empty_body());
    }

    let permit = workspace.unpacking().acquire().await.expect("the semaphore is never closed");
    let accepted = tokio::task::spawn_blocking({
        let (workspace, rule, name) = (workspace.clone(), rule.clone(), call.stream.clone());
        let packed = upload.bytes.clone();
        move || read_body(packed, is_gzip, &rule.rule.streams[&name], workspace.config())
    });
    let accepted = accepted.await.map_err(|error| {
        tracing::error!(%error, "reading a call failed; this is a bug of the stand-in");
        Refusal::empty_body()
    })?;
    drop(permit);

    let accepted = accepted?;
    rule.admit(accepted.raw_bytes, workspace.config()).map_err(Refusal::throttled)?;
    Ok(accepted)
}

fn check_api_version(query: &str) -> Result<(), Refusal> {
    let version =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "api-version").map(|(_, value)| value);
    match version {
        Some(version) if API_VERSIONS.contains(&version.as_ref()) => Ok(()),
        version => Err(Refusal::api_version(version.as_deref())),
    }
}

/// Checks `Content-Type` and `Content-Encoding`; returns whether the body is gzip.
fn check_headers(headers: &HeaderMap) -> Result<bool, Refusal> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::content_type());
    }
    match text(header::CONTENT_ENCODING) {
        None | Some("identity") => Ok(false),
        Some("gzip") => Ok(true),
        Some(other) => Err(Refusal::bad_payload(format!("Content-Encoding '{other}' is not supported; use gzip"))),
    }
}

/// Unpacks and reads a body: CPU work, away from the server's own threads.
fn read_body(packed: Bytes, is_gzip: bool, stream: &Stream, config: &StandInConfig) -> Result<Accepted, Refusal> {
    let unpacked = if is_gzip { gunzip(&packed, config.raw_limit_bytes) } else { Unpacked::Whole(packed.into()) };
    let text = match unpacked {
        Unpacked::Whole(text) => text,
        Unpacked::Broken => return Err(Refusal::bad_payload("the body is not valid gzip".to_owned())),
        Unpacked::TooLarge => {
            let raw_bytes = config.raw_limit_bytes;
            return match config.over_raw_limit {
                OverRawLimit::TooLarge => Err(Refusal::too_large(raw_bytes)),
                OverRawLimit::BadRequest => Err(Refusal::bad_payload("the body unpacks to too much".to_owned())),
                OverRawLimit::Lose => Ok(Accepted { tables: Vec::new(), raw_bytes, is_lost: true }),
            };
        }
    };
    let raw_bytes = text.len() as u64;
    if config.size_limit == SizeLimit::Both && raw_bytes > CALL_LIMIT_BYTES {
        return Err(Refusal::too_large(raw_bytes));
    }
    if text.is_empty() || text.trim_ascii() == b"null" {
        return Err(Refusal::empty_body());
    }
    let clock = Clock { now: Utc::now(), time_rule: config.time_rule };
    let tables = read_rows(&text, stream, clock).map_err(Refusal::bad_payload)?;
    Ok(Accepted { tables, raw_bytes, is_lost: false })
}

/// Adds an accepted call to its tables. Each table of a stream with several flows counts the whole call's bytes.
fn store(workspace: &Workspace, call: &Call, upload: &Upload, accepted: Accepted) {
    workspace.count(|totals| totals.accepted += 1);
    let Some(rule) = workspace.rule(&call.id) else { return };
    let Some(stream) = rule.rule.streams.get(&call.stream) else { return };
    let mut tables = accepted.tables.into_iter();
    for target in &stream.targets {
        let mut table = tables.next().unwrap_or_default();
        table.counters.requests += 1;
        table.counters.wire_bytes += upload.wire_bytes;
        table.counters.raw_bytes += accepted.raw_bytes;
        table.counters.lost_calls += u64::from(accepted.is_lost);
        workspace.add_to_table(&target.table, table);
    }
}

fn count_refusal(workspace: &Workspace, call: &Call, status: StatusCode) {
    workspace.count(|totals| *totals.refusals.entry(status.as_u16()).or_default() += 1);
    let Some(rule) = workspace.rule(&call.id) else { return };
    let Some(stream) = rule.rule.streams.get(&call.stream) else { return };
    for target in &stream.targets {
        let mut table = TableRows::default();
        table.counters.refusals.insert(status.as_u16(), 1);
        workspace.add_to_table(&target.table, table);
    }
}

/// Puts a scripted body and `Retry-After` on a scripted refusal.
fn dress(mut answer: Response<Body>, fault: &Fault) -> Response<Body> {
    if let Some(body) = &fault.body {
        *answer.body_mut() = Body::from(body.clone());
    }
    if let Some(value) = fault.retry_after.as_ref().and_then(|retry_after| retry_after.header(Utc::now())) {
        answer.headers_mut().insert(header::RETRY_AFTER, value);
    }
    answer
}
