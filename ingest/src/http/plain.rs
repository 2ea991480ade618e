//! `POST /`: a JSON document, an array of them, or one in each line.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use weir_contract::pushed::{Kind, Pushed};

use super::Shared;
use super::body::{BodyFault, receive};
use super::tokens::Shown;
use crate::json_text::{skip_blanks, value_end};
use crate::push::intake::{Refusal, now_us};

/// Seconds after which a refused sender may come again.
pub(super) const RETRY_SECONDS: u64 = 5;

pub(super) async fn post(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let limit = shared.config.request_timeout.0;
    let intake = shared.intake.clone();
    match tokio::time::timeout(limit, take(&shared, &headers, body)).await {
        Ok(answer) => answer,
        Err(_) => {
            intake.refused("timeout");
            told(StatusCode::SERVICE_UNAVAILABLE, "there was no room in time; send it again later")
        }
    }
}

async fn take(shared: &Shared, headers: &HeaderMap, body: Body) -> Response {
    let shown = shared.tokens.check(headers.get(AUTHORIZATION).map(|value| value.as_bytes()), &["Bearer"]);
    if shown != Shown::Valid {
        shared.intake.refused("token");
        let text = "a valid token is needed: `Authorization: Bearer …`, one of the source's `tokens`";
        let mut answer = told(StatusCode::UNAUTHORIZED, text);
        answer.headers_mut().insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
        return answer;
    }
    let received = match receive(shared, headers, body).await {
        Ok(received) => received,
        Err(fault) => {
            let (status, reason, text) = describe(&fault, shared);
            shared.intake.refused(reason);
            return told(status, &text);
        }
    };
    if received.bytes.trim_ascii().is_empty() {
        shared.intake.refused("empty");
        return told(StatusCode::BAD_REQUEST, "the body is empty; send JSON");
    }
    let kind = kind_of(headers, &received.bytes);
    let table = shared.config.table.as_deref();
    let record = Pushed { kind, received_us: now_us(), table, body: &received.bytes }.to_bytes();
    let taken = shared.intake.take(vec![record], shared.config.request_timeout.0).await;
    drop(received.permit);
    match taken {
        Ok(_) => (StatusCode::OK, "{\"accepted\":true}\n").into_response(),
        Err(Refusal::Full) => told(StatusCode::TOO_MANY_REQUESTS, "the buffer is full; send it again later"),
        Err(Refusal::Late) => told(StatusCode::SERVICE_UNAVAILABLE, "there was no room in time; send it again later"),
        Err(Refusal::TooLarge(_)) => told(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than the buffer takes"),
        Err(Refusal::Disk(_)) => told(StatusCode::SERVICE_UNAVAILABLE, "the buffer's disk failed; send it again later"),
    }
}

/// The status, the metric's word and the text for a body that was not taken.
pub(super) fn describe(fault: &BodyFault, shared: &Shared) -> (StatusCode, &'static str, String) {
    match fault {
        BodyFault::TooLarge => {
            let most = shared.config.max_request_size;
            let text = format!("the body is larger than {most}, the source's `max_request_size`; send less at once");
            (StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
        }
        BodyFault::Encoding(name) => {
            let text = format!("the encoding `{name}` is not known; send gzip, deflate, zstd or none");
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", text)
        }
        BodyFault::Damaged(codec) => {
            (StatusCode::BAD_REQUEST, "damaged", format!("the body is damaged or cut-off {codec}"))
        }
        BodyFault::Broken => (StatusCode::BAD_REQUEST, "broken", "the body did not come to its end".to_owned()),
    }
}

fn told(status: StatusCode, text: &str) -> Response {
    let body = serde_json::json!({ "error": text }).to_string() + "\n";
    let mut answer = (status, body).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    }
    answer
}

/// One document, or one in each line: as the content type says, else as the first line looks.
fn kind_of(headers: &HeaderMap, body: &[u8]) -> Kind {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.ends_with("ndjson") || essence.ends_with("jsonl") || essence.ends_with("json-lines") {
        return Kind::Lines;
    }
    let start = skip_blanks(body, 0);
    let line_end = memchr::memchr(b'\n', &body[start..]).map(|length| start + length);
    match line_end {
        // The first value ends in the first line, and there are more lines.
        Some(end) if body.get(start) == Some(&b'{') && value_end(&body[..end], start).is_some() => {
            if body[end..].trim_ascii().is_empty() { Kind::Document } else { Kind::Lines }
        }
        _ => Kind::Document,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_from_documents_by_type_and_by_content() {
        let of = |ty: &'static str, body: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, axum::http::HeaderValue::from_static(ty))]);
            kind_of(&headers, body.as_bytes())
        };
        assert_eq!(of("application/x-ndjson; charset=utf-8", "{}"), Kind::Lines);
        assert_eq!(of("application/json", "{\"a\":1}\n{\"a\":2}\n"), Kind::Lines);
        assert_eq!(of("application/json", "{\"a\":1}\n"), Kind::Document);
        assert_eq!(of("application/json", "{\n\"a\":1}\n"), Kind::Document);
        assert_eq!(of("text/plain", " [{\"a\":1},\n{\"a\":2}]"), Kind::Document);
    }
}
