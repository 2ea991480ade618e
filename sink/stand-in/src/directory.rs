//! The directory's part: token requests of the client-credentials flow (secret, certificate or federated assertion) and
//! of a managed identity.
//!
//! Assertions are read but their signatures are not checked: there is no key to check with.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::config::StandInConfig;
use crate::faults::Endpoint;
use crate::workspace::Workspace;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Audience of a federated assertion (workload identity).
const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// A refused token request, by Entra's numbers.
#[derive(Debug, PartialEq, Eq)]
struct TokenRefusal {
    status: StatusCode,
    error: &'static str,
    number: u32,
    text: String,
}

impl TokenRefusal {
    fn new(status: u16, error: &'static str, number: u32, text: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, error, number, text: text.into() }
    }

    fn answer(&self) -> Response<Body> {
        let id = "00000000-0000-4000-8000-0000000000cc";
        let body = json!({
            "error": self.error,
            "error_description": format!("AADSTS{}: {}", self.number, self.text),
            "error_codes": [self.number],
            "timestamp": Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string(),
            "trace_id": id,
            "correlation_id": id,
        });
        answer(self.status, &body)
    }
}

/// `POST /{tenant}/oauth2/v2.0/token`.
pub(crate) async fn client_credentials(
    State(workspace): State<Workspace>,
    Path(tenant): Path<String>,
    form: Bytes,
) -> Response<Body> {
    if let Some(answer) = scripted_answer(&workspace).await {
        return answer;
    }
    let form: HashMap<String, String> = form_urlencoded::parse(&form).into_owned().collect();
    match audience_asked_for(&form, &tenant, workspace.config(), Utc::now().timestamp()) {
        Ok(audience) => {
            let config = workspace.config();
            let token = workspace.with_tokens(|tokens| tokens.issue(audience, config));
            workspace.count(|totals| totals.tokens += 1);
            let seconds = config.token_lifetime.as_secs();
            let body = json!({
                "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
            });
            answer(StatusCode::OK, &body)
        }
        Err(refusal) => {
            workspace.count(|totals| totals.token_refusals += 1);
            refusal.answer()
        }
    }
}

/// `GET /metadata/identity/oauth2/token`: a machine's managed identity. All numbers in the answer are strings.
pub(crate) async fn managed_identity(
    State(workspace): State<Workspace>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    if let Some(answer) = scripted_answer(&workspace).await {
        return answer;
    }
    let query: HashMap<String, String> =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let config = workspace.config();
    let wrong = if headers.get("metadata").is_none_or(|value| !value.as_bytes().eq_ignore_ascii_case(b"true")) {
        Some("Required metadata header not specified")
    } else if query.get("client_id").is_some_and(|id| *id != config.client_id) {
        Some("Identity not found")
    } else if !query.contains_key("resource") {
        Some("Required audience parameter not specified")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        workspace.count(|totals| totals.token_refusals += 1);
        return answer(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request", "error_description": wrong}));
    }
    let resource = query.get("resource").map_or("", String::as_str);
    let token = workspace.with_tokens(|tokens| tokens.issue(resource, config));
    workspace.count(|totals| totals.tokens += 1);
    let now = Utc::now().timestamp();
    let seconds = config.token_lifetime.as_secs();
    let body = json!({
        "access_token": token, "client_id": config.client_id, "resource": resource, "token_type": "Bearer",
        "expires_in": seconds.to_string(), "expires_on": now.saturating_add_unsigned(seconds).to_string(),
        "not_before": now.to_string(),
    });
    answer(StatusCode::OK, &body)
}

/// The refusal that the fault script has for this request, after its delay.
async fn scripted_answer(workspace: &Workspace) -> Option<Response<Body>> {
    let fault = workspace.take_fault(Endpoint::Token, None)?;
    tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    let status = fault.refusal()?;
    workspace.count(|totals| totals.token_refusals += 1);
    let mut answer = match &fault.body {
        Some(body) => answer_text(status, body.clone()),
        None => TokenRefusal::new(
            status.as_u16(),
            "temporarily_unavailable",
            90033,
            "A transient error has occurred. Please try again.",
        )
        .answer(),
    };
    if let Some(value) = fault.retry_after.as_ref().and_then(|retry_after| retry_after.header(Utc::now())) {
        answer.headers_mut().insert(header::RETRY_AFTER, value);
    }
    Some(answer)
}

/// Decides a token request: the audience of the token, or the refusal.
fn audience_asked_for<'a>(
    form: &'a HashMap<String, String>,
    tenant: &str,
    config: &StandInConfig,
    now: i64,
) -> Result<&'a str, TokenRefusal> {
    let field = |name: &str| form.get(name).map(String::as_str);
    if tenant != config.tenant {
        return Err(TokenRefusal::new(400, "invalid_request", 90002, format!("Tenant '{tenant}' not found.")));
    }
    match field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(TokenRefusal::new(
                400,
                "unsupported_grant_type",
                70003,
                "The app requested an unsupported grant type.",
            ));
        }
        None => {
            let text = "The request body must contain the following parameter: 'grant_type'.";
            return Err(TokenRefusal::new(400, "invalid_request", 900_144, text));
        }
    }
    let client_id = field("client_id").unwrap_or_default();
    if client_id != config.client_id {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        return Err(TokenRefusal::new(400, "unauthorized_client", 700_016, text));
    }
    match (field("client_secret"), field("client_assertion")) {
        (Some(secret), None) if secret == config.client_secret => {}
        (Some(_), None) => {
            return Err(TokenRefusal::new(401, "invalid_client", 7_000_215, "Invalid client secret provided."));
        }
        (None, Some(assertion)) if field("client_assertion_type") == Some(JWT_BEARER) => {
            check_assertion(assertion, tenant, config, now)?;
        }
        _ => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return Err(TokenRefusal::new(401, "invalid_client", 7_000_218, text));
        }
    }
    let scope = field("scope").unwrap_or_default();
    match scope.strip_suffix("/.default") {
        Some(audience) if audience.starts_with("https://") || audience.starts_with("api://") => Ok(audience),
        _ => {
            let text = format!(
                "The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            );
            Err(TokenRefusal::new(400, "invalid_scope", 70011, text))
        }
    }
}

/// Two kinds of assertion: signed by the application's certificate (`iss` = `sub` = client id, `aud` = this token
/// endpoint), or issued by a federated provider (`aud` = `api://AzureADTokenExchange`).
fn check_assertion(assertion: &str, tenant: &str, config: &StandInConfig, now: i64) -> Result<(), TokenRefusal> {
    if config.federated_token.as_deref() == Some(assertion.trim()) {
        return Ok(());
    }
    let claims = jwt_claims(assertion.trim())
        .ok_or_else(|| TokenRefusal::new(401, "invalid_client", 50027, "JWT token is invalid or malformed."))?;
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    };
    let is_certificate = claim("iss") == config.client_id && claim("sub") == config.client_id;
    let is_expected = if is_certificate {
        let endpoint = format!("/{tenant}/oauth2/v2.0/token");
        audiences.iter().any(|audience| audience.ends_with(&endpoint))
    } else {
        audiences.contains(&EXCHANGE_AUDIENCE) && !claim("iss").is_empty() && !claim("sub").is_empty()
    };
    if !is_expected {
        let text =
            format!("No matching federated identity record found for presented assertion subject '{}'.", claim("sub"));
        return Err(TokenRefusal::new(401, "invalid_client", 700_213, text));
    }
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    // Clocks may differ by five minutes.
    let is_begun = seconds("nbf").is_none_or(|from| from <= now as f64 + 300.0);
    if !seconds("exp").is_some_and(|until| until > now as f64 - 300.0) || !is_begun {
        let text = "Client assertion is not within its valid time range.";
        return Err(TokenRefusal::new(401, "invalid_client", 700_024, text));
    }
    Ok(())
}

fn jwt_claims(text: &str) -> Option<serde_json::Map<String, Value>> {
    let mut parts = text.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let header: Value = serde_json::from_slice(&part(header)?).ok()?;
    let is_whole = parts.next().is_none() && !signature.is_empty() && header.get("alg").is_some();
    if is_whole { serde_json::from_slice(&part(claims)?).ok() } else { None }
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    answer_text(status, body.to_string())
}

fn answer_text(status: StatusCode, body: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    answer
}

#[cfg(test)]
mod tests;
