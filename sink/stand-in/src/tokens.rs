//! The tokens that the directory issued, and their check at the ingestion endpoint.
//!
//! Tokens look like JWTs and are remembered, not signed: one that this server did not issue, or that has expired or
//! been revoked, is unknown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use rand::RngCore as _;
use serde_json::json;

use crate::config::StandInConfig;

/// Audiences that the Logs Ingestion API takes: public, US government and China cloud.
const INGESTION_AUDIENCES: [&str; 3] =
    ["https://monitor.azure.com", "https://monitor.azure.us", "https://monitor.azure.cn"];
/// Tokens remembered at most; the oldest-expiring ones go first.
const MAX_TOKENS: usize = 10_000;

/// The tokens that are valid now.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashMap<String, Token>);

#[derive(Debug)]
struct Token {
    audience: String,
    expires: Instant,
}

impl Tokens {
    /// A new token for `audience`, valid for the config's lifetime.
    pub(crate) fn issue(&mut self, audience: &str, config: &StandInConfig) -> String {
        let now = Instant::now();
        self.0.retain(|_, token| token.expires > now);
        if self.0.len() >= MAX_TOKENS {
            let oldest = self.0.iter().min_by_key(|(_, token)| token.expires).map(|(text, _)| text.clone());
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        let issued_at = Utc::now().timestamp();
        let lifetime_s = i64::try_from(config.token_lifetime.as_secs()).unwrap_or(i64::MAX);
        let mut random = [0u8; 32];
        rand::rng().fill_bytes(&mut random);
        let claims = json!({
            "aud": audience, "iss": format!("https://sts.windows.net/{}/", config.tenant), "appid": config.client_id,
            "iat": issued_at, "nbf": issued_at, "exp": issued_at.saturating_add(lifetime_s), "ver": "1.0",
        });
        let parts = [
            URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"RS256"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string()),
            URL_SAFE_NO_PAD.encode(random),
        ];
        let text = parts.join(".");
        let expires = now.checked_add(config.token_lifetime).unwrap_or(now + Duration::from_secs(86_400));
        self.0.insert(text.clone(), Token { audience: audience.to_owned(), expires });
        text
    }

    /// Whether `Authorization` carries a valid token for the Logs Ingestion API.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, token)) = text.and_then(|text| text.split_once(' ')) else { return false };
        let token = self.0.get(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
        token.is_some_and(|token| token.expires > Instant::now() && is_for_ingestion(&token.audience))
    }

    /// Makes all tokens unknown, as a revoked session would.
    pub(crate) fn revoke_all(&mut self) {
        self.0.clear();
    }
}

/// The official SDKs' scope has a double slash, so that their audience ends with one.
fn is_for_ingestion(audience: &str) -> bool {
    INGESTION_AUDIENCES.contains(&audience.strip_suffix('/').unwrap_or(audience))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_good_until_it_expires_or_is_revoked_and_only_for_ingestion() {
        let mut tokens = Tokens::default();
        let admits = |tokens: &mut Tokens, text: String| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(text).unwrap())]);
            tokens.admits(&headers)
        };
        let lasting = StandInConfig::default();
        let good = tokens.issue("https://monitor.azure.com/", &lasting);
        let elsewhere = tokens.issue("https://storage.azure.com", &lasting);
        assert!(admits(&mut tokens, format!("Bearer {good}")));
        assert!(admits(&mut tokens, format!("bearer {good}")));
        assert!(!admits(&mut tokens, format!("Basic {good}")));
        assert!(!admits(&mut tokens, format!("Bearer {elsewhere}")), "wrong audience");
        assert!(!admits(&mut tokens, "Bearer made.up.token".to_owned()));
        assert!(!tokens.admits(&HeaderMap::new()));
        let short =
            tokens.issue("https://monitor.azure.com", &StandInConfig { token_lifetime: Duration::ZERO, ..lasting });
        assert!(!admits(&mut tokens, format!("Bearer {short}")), "expired");
        tokens.revoke_all();
        assert!(!admits(&mut tokens, format!("Bearer {good}")));
    }
}
