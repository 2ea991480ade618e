//! Answers of the Logs Ingestion API as they go over the wire.
//!
//! Texts marked "seen" come from official tests or public reports of the service; the others only follow the error
//! shape of the API's specification, because nobody has published them.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::config::CALL_LIMIT_BYTES;

/// A refusal: status and, where the service sends one, an error code with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// `error.code` and `error.message`; without them the body is empty.
    pub(crate) error: Option<(&'static str, String)>,
    /// `Retry-After` in seconds.
    pub(crate) retry_after_s: Option<u64>,
}

impl Refusal {
    fn with(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, error: Some((code, message)), retry_after_s: None }
    }

    /// 401 with `WWW-Authenticate: Bearer` and no body.
    pub(crate) fn unauthorized() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, error: None, retry_after_s: None }
    }

    /// 400: the query's `api-version` is missing or none that the service has.
    pub(crate) fn api_version(version: Option<&str>) -> Self {
        let message = match version {
            Some(version) => format!("The api-version '{version}' is not supported; use 2023-01-01."),
            None => "The api-version query parameter is required.".to_owned(),
        };
        Self::with(StatusCode::BAD_REQUEST, "UnsupportedApiVersion", message)
    }

    /// 404: no rule has this id.
    pub(crate) fn unknown_rule(id: &str) -> Self {
        let message = format!("Data collection rule with immutable Id '{id}' not found.");
        Self::with(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// 403: the sender lacks the role Monitoring Metrics Publisher on the rule (seen).
    pub(crate) fn no_role(id: &str) -> Self {
        let message = format!(
            "The authentication token provided does not have access to ingest data for the data collection rule with \
             immutable Id '{id}' PipelineAccessResult: AccessGranted: False, IsRbacPresent: False, \
             IsDcrDceBindingValid: , DcrArmId: /stand-in/{id}"
        );
        Self::with(StatusCode::FORBIDDEN, "OperationFailed", message)
    }

    /// 400: the rule declares no such stream.
    pub(crate) fn unknown_stream(id: &str, stream: &str) -> Self {
        let message = format!("Data collection rule '{id}' does not contain stream '{stream}'.");
        Self::with(StatusCode::BAD_REQUEST, "InvalidStream", message)
    }

    /// 413 with the service's text (seen).
    pub(crate) fn too_large(bytes: u64) -> Self {
        let message = format!(
            "Maximum allowed content length: {CALL_LIMIT_BYTES} bytes (1 MB). Provided content length: {bytes} bytes."
        );
        Self::with(StatusCode::PAYLOAD_TOO_LARGE, "ContentLengthLimitExceeded", message)
    }

    /// 415: the body is not declared as JSON.
    pub(crate) fn content_type() -> Self {
        let message = "Content-Type must be application/json.".to_owned();
        Self::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 400: what was sent is no JSON array of objects.
    pub(crate) fn bad_payload(message: String) -> Self {
        Self::with(StatusCode::BAD_REQUEST, "InvalidPayload", message)
    }

    /// 500 without a code: what the service gives for an empty body (seen).
    pub(crate) fn empty_body() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, error: None, retry_after_s: None }
    }

    /// 429 with `Retry-After`.
    pub(crate) fn throttled(retry_after_s: u64) -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, error: None, retry_after_s: Some(retry_after_s) }
    }

    /// A scripted refusal in the shape that the service gives this status.
    pub(crate) fn scripted(status: StatusCode, id: &str, stream: &str) -> Self {
        match status {
            StatusCode::FORBIDDEN => Self::no_role(id),
            StatusCode::NOT_FOUND => Self::unknown_rule(id),
            StatusCode::BAD_REQUEST => Self::unknown_stream(id, stream),
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(CALL_LIMIT_BYTES + 1),
            status => Self { status, error: None, retry_after_s: None },
        }
    }

    /// The HTTP answer: error body, `x-ms-error-code`, `WWW-Authenticate` and `Retry-After` where they belong.
    pub(crate) fn into_answer(self) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some((code, message)) = self.error {
            answer.headers_mut().insert("x-ms-error-code", HeaderValue::from_static(code));
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let error = json!({"code": code, "message": message, "target": null, "details": [], "innererror": null});
            *answer.body_mut() = Body::from(json!({ "error": error }).to_string());
        }
        answer
    }
}

/// 204 without body or `Content-Type`.
pub(crate) fn accepted() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
