//! The request that turns a credential into a token: OAuth's client credentials grant, with a secret or an assertion.
//!
//! The form holds the secret, so the request follows no redirect ([`http_client`]) and nothing of it is logged.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, header, redirect};
use serde::{Deserialize, Deserializer};
use weir_contract::secret::Secret;

use crate::credential::{Authority, Proof, Resolved};
use crate::error::TokenError;

/// Longest wait for one answer of the sign-in service.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Requests per token before the caller hears of a passing fault.
const ATTEMPTS: u32 = 3;
/// First wait between two of them; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// Longest wait between two of them; a service that asks for more fails the call, and the caller decides.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// An answer is a few KiB; more is not read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// A token as it was answered.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) token: Secret,
    /// Life left when the answer arrived.
    pub(crate) expires_in: Duration,
    /// When the service wants it renewed, counted like `expires_in`.
    pub(crate) refresh_in: Option<Duration>,
}

/// An HTTP client fit for token requests: it follows no redirect, since that would carry the secret elsewhere.
pub fn http_client() -> Result<Client, reqwest::Error> {
    Client::builder().redirect(redirect::Policy::none()).connect_timeout(Duration::from_secs(10)).build()
}

impl Proof {
    /// The secret or the assertion, read now.
    pub(crate) fn read(&self) -> Result<Secret, TokenError> {
        match self {
            Self::Secret(secret) => Ok(secret.read()?),
            Self::TokenFile(path) => {
                let failed = |source| TokenError::TokenFile { path: path.clone(), source };
                let token = std::fs::read_to_string(path).map_err(failed)?;
                match token.trim() {
                    "" => Err(failed(std::io::Error::other("the file is empty"))),
                    token => Ok(Secret::new(token)),
                }
            }
        }
    }
}

/// Asks for a token for `scope`; tries again a few times while the service is out of reach or throttling.
pub(crate) async fn request(http: &Client, credential: &Resolved, scope: &str) -> Result<Grant, TokenError> {
    let mut backoff = FIRST_BACKOFF;
    let mut attempt = 1;
    loop {
        let error = match request_once(http, credential, scope).await {
            Ok(grant) => return Ok(grant),
            Err(error) => error,
        };
        let wait = error.retry_after().unwrap_or(backoff);
        if !error.is_retryable() || attempt == ATTEMPTS || wait > LONGEST_BACKOFF {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
        backoff *= 2;
        attempt += 1;
    }
}

async fn request_once(http: &Client, credential: &Resolved, scope: &str) -> Result<Grant, TokenError> {
    // A file of a few KiB on a memory-backed mount: not worth a blocking thread.
    let proof = credential.proof.read()?;
    let mut form =
        vec![("client_id", credential.client_id.as_str()), ("grant_type", "client_credentials"), ("scope", scope)];
    match credential.proof {
        Proof::Secret(_) => form.push(("client_secret", proof.expose())),
        Proof::TokenFile(_) => {
            form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
            form.push(("client_assertion", proof.expose()));
        }
    }
    let url = credential.authority.token_url(&credential.tenant_id);
    let unreachable = |source| TokenError::Unreachable { authority: credential.authority.to_string(), source };
    let response = http.post(url).timeout(TIMEOUT).form(&form).send().await.map_err(unreachable)?;
    let status = response.status();
    let retry_after = retry_after(&response);
    let body = read_bounded(response).await.map_err(unreachable)?;
    understand(&credential.authority, status, retry_after, &body)
}

/// Reads an answer; what follows [`MAX_ANSWER_BYTES`] is left out.
async fn read_bounded(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(body)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn understand(
    authority: &Authority,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Result<Grant, TokenError> {
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Err(TokenError::Unavailable { status: status.as_u16(), retry_after });
    }
    let answer = |reason: &str| TokenError::Answer { authority: authority.to_string(), reason: reason.to_owned() };
    if !status.is_success() {
        let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
            return Err(answer(&format!("status {status} without an OAuth error")));
        };
        return Err(TokenError::Refused {
            status: status.as_u16(),
            code: refusal.error,
            description: refusal.error_description.lines().next().unwrap_or_default().trim().to_owned(),
            number: refusal.error_codes.first().copied().unwrap_or(0),
        });
    }
    // The parser's own message could quote the token.
    let granted: Granted =
        serde_json::from_slice(body).map_err(|_| answer("status 200 without the expected fields"))?;
    if granted.access_token.is_empty() {
        return Err(answer("the token is empty"));
    }
    Ok(Grant {
        token: Secret::new(granted.access_token),
        expires_in: Duration::from_secs(granted.expires_in),
        refresh_in: granted.refresh_in.map(Duration::from_secs),
    })
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
    #[serde(default, deserialize_with = "optional_seconds")]
    refresh_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

/// Seconds as a number, or as the text that some token services answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Seconds::deserialize(deserializer)?.read()
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<Seconds>::deserialize(deserializer)?.map(Seconds::read).transpose()
}

impl Seconds {
    fn read<E: serde::de::Error>(self) -> Result<u64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => text.parse().map_err(E::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Grant, TokenError> {
        let status = StatusCode::from_u16(status).expect("a status");
        understand(&Authority::default(), status, None, body.as_bytes())
    }

    #[test]
    fn lives_are_read_as_numbers_and_as_text() {
        let grant = read(200, r#"{"access_token":"t","expires_in":86399,"refresh_in":43199}"#).expect("a token");
        assert_eq!(grant.expires_in, Duration::from_secs(86_399));
        assert_eq!(grant.refresh_in, Some(Duration::from_secs(43_199)));
        let grant = read(200, r#"{"access_token":"t","expires_in":"3599"}"#).expect("a token");
        assert_eq!((grant.expires_in, grant.refresh_in), (Duration::from_secs(3_599), None));
    }

    #[test]
    fn a_refusal_keeps_the_first_line_and_says_what_to_do() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.\r\nTrace ID: 1",
                       "error_codes":[7000215]}"#;
        let error = read(401, body).expect_err("refused");
        assert!(!error.is_retryable());
        let text = error.to_string();
        assert!(text.contains("AADSTS7000215: Invalid client secret.; give the secret's value"), "{text}");
        assert!(!text.contains("Trace"), "{text}");
    }

    #[test]
    fn throttling_and_outages_are_retryable_and_nonsense_never_quotes_the_answer() {
        assert!(read(429, "").expect_err("throttled").is_retryable());
        assert!(read(503, "<html>").expect_err("out of order").is_retryable());
        let error = read(200, r#"{"access_token":"s3cret","expires_in":"soon"}"#).expect_err("no life");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        assert!(matches!(read(302, ""), Err(TokenError::Answer { .. })));
    }
}
