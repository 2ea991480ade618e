//! One request to the Logs Ingestion API: thin I/O, no decisions.
//!
//! `POST {endpoint}/dataCollectionRules/{rule}/streams/{stream}?api-version=2023-01-01` with a gzipped JSON array
//! (<https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>). Each attempt has an
//! `x-ms-client-request-id` of its own: the service's error log knows it as `ClientRequestId`.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use url::Url;
use uuid::Uuid;
use weir_azure_identity::{AccessToken, TokenError, TokenProvider, exchange};

use crate::sentinel::config::SentinelConfig;
use crate::sentinel::decide::{Answer, Response};
use crate::sink::{SinkError, chain};

/// Bytes of an error's body that are read; the rest can't help a person.
const MAX_ERROR_BYTES: usize = 16 * 1024;
/// Characters of the service's explanation that are kept.
const MAX_MESSAGE_CHARS: usize = 500;

/// The connections to the workspace and to the sign-in service.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    tokens: TokenProvider,
    scope: String,
}

impl Client {
    /// Makes the clients; sends nothing.
    pub fn new(config: &SentinelConfig) -> Result<Self, SinkError> {
        let failed = |cause: reqwest::Error| SinkError::config(format!("cannot set up TLS: {}", chain(&cause)));
        let http = reqwest::Client::builder()
            // A redirect would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            // One connection per request under way: over a shared HTTP/2 connection large bodies wait for each other.
            .http1_only()
            .connect_timeout(Duration::from_secs(10))
            .timeout(config.timeout.0)
            .build()
            .map_err(failed)?;
        let sign_in = exchange::http_client().map_err(failed)?;
        let tokens = TokenProvider::new(config.credential.clone(), sign_in);
        Ok(Self { http, tokens, scope: config.scope.clone() })
    }

    /// The token to send with the next request; the answer to put in its place if there is none.
    pub async fn token(&self) -> Result<AccessToken, Answer> {
        self.tokens.token(&self.scope).await.map_err(|error: TokenError| Answer::NoToken {
            retryable: error.is_retryable(),
            retry_after: error.retry_after(),
            detail: chain(&error),
        })
    }

    /// The scope of the tokens.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Throws a token away that the service refused.
    pub fn forget(&self, refused: &AccessToken) {
        self.tokens.invalidate_token(&self.scope, refused);
    }

    /// Sends `body`, a gzipped JSON array, and reads the answer.
    pub async fn post(&self, url: &Url, body: Bytes, token: &AccessToken, request_id: Uuid) -> Answer {
        let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", token.token.expose())) else {
            let detail = "the access token holds characters that no header can".to_owned();
            return Answer::NoToken { retryable: false, retry_after: None, detail };
        };
        bearer.set_sensitive(true);
        let sent = self
            .http
            .post(url.clone())
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .header("x-ms-client-request-id", request_id.to_string())
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) => Answer::Response(read(response).await),
            Err(error) => Answer::None { timed_out: error.is_timeout(), detail: chain(&error.without_url()) },
        }
    }
}

async fn read(mut response: reqwest::Response) -> Response {
    let status = response.status();
    let header = |headers: &HeaderMap, name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let mut read = Response {
        status: status.as_u16(),
        retry_after: header(response.headers(), RETRY_AFTER.as_str()),
        code: header(response.headers(), "x-ms-error-code"),
        message: None,
    };
    if status.is_success() {
        return read;
    }
    let mut body = Vec::new();
    // A body that breaks off explains less; the status has been said.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR_BYTES - body.len())]);
        if body.len() == MAX_ERROR_BYTES {
            break;
        }
    }
    let (code, message) = explain(&body);
    read.code = read.code.or(code);
    read.message = message;
    read
}

/// Code and message of an error's body: `{"error":{"code":…,"message":…}}`, or any text.
fn explain(body: &[u8]) -> (Option<String>, Option<String>) {
    let text = String::from_utf8_lossy(body);
    let shorten = |text: &str| text.trim().chars().take(MAX_MESSAGE_CHARS).collect::<String>();
    let Ok(json) = serde_json::from_str::<Value>(&text) else {
        let text = shorten(&text);
        return (None, (!text.is_empty()).then_some(text));
    };
    let error = json.get("error").unwrap_or(&json);
    let part = |key: &str| error.get(key).and_then(Value::as_str).map(shorten);
    (part("code"), part("message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_body_of_an_error_is_read() {
        let known = br#"{"error":{"code":"InvalidStream","message":"no such stream","target":null}}"#;
        assert_eq!(explain(known), (Some("InvalidStream".into()), Some("no such stream".into())));
        assert_eq!(explain(b""), (None, None));
        assert_eq!(explain(b"<html>\xff</html>").1.as_deref(), Some("<html>\u{fffd}</html>"));
        assert_eq!(explain(br#"{"error":null}"#), (None, None));
        assert_eq!(explain("é".repeat(600).as_bytes()).1.map(|text| text.chars().count()), Some(MAX_MESSAGE_CHARS));
    }
}
