//! Tokens for SASL OAUTHBEARER, fetched when librdkafka asks for one.
//!
//! librdkafka asks on the thread that polls, when the client starts and at four fifths of a token's life; it tries again
//! by itself when there is none.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::client::OAuthToken;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use weir_azure_identity::{TokenError, TokenProvider};

/// Longest time that the polling thread stands still for a token; far below the poll interval that a group allows.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The same once the source is to stop: a token may still be needed for the last commit, but a sign-in service that is
/// silent must not use the stop's own deadline up.
const TIMEOUT_WHILE_STOPPING: Duration = Duration::from_secs(5);

/// Where the consumer's tokens come from.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) provider: TokenProvider,
    pub(super) scope: String,
    pub(super) runtime: Handle,
    pub(super) stop: CancellationToken,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoToken {
    #[error(transparent)]
    Refused(#[from] TokenError),
    #[error("the sign-in service did not answer within {}s", .0.as_secs())]
    TimedOut(Duration),
}

impl Tokens {
    /// A token, waited for. Not to be called on a thread of the async runtime.
    pub(super) fn fetch(&self) -> Result<OAuthToken, NoToken> {
        let started = Instant::now();
        let wait = async {
            let stopping = async {
                self.stop.cancelled().await;
                tokio::time::sleep(TIMEOUT_WHILE_STOPPING).await;
            };
            tokio::select! {
                token = tokio::time::timeout(TIMEOUT, self.provider.token(&self.scope)) => token.ok(),
                () = stopping => None,
            }
        };
        let token = self.runtime.block_on(wait).ok_or_else(|| NoToken::TimedOut(started.elapsed()))??;
        Ok(OAuthToken {
            token: token.token.expose().to_owned(),
            // The service reads the principal from the token; librdkafka only wants some text.
            principal_name: "weir".to_owned(),
            lifetime_ms: milliseconds(token.expires_at),
        })
    }
}

impl NoToken {
    /// Whether a later try may succeed without a person changing something.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_retryable(),
            Self::TimedOut(_) => true,
        }
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_azure_identity::AzureCredential;
    use weir_azure_identity::exchange::http_client;

    #[test]
    fn a_silent_sign_in_service_does_not_hold_a_stop_up() {
        // Connections are taken by the system, and never answered.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let secret = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(secret.path(), "s3cret").expect("writable");
        let credential: AzureCredential = serde_json::from_value(serde_json::json!({"client_secret": {
            "tenant_id": "t", "client_id": "c", "secret": {"file": secret.path()},
            "authority": format!("http://{}", silent.local_addr().expect("bound")),
        }}))
        .expect("a credential");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let stop = CancellationToken::new();
        stop.cancel();
        let provider = TokenProvider::new(credential, http_client().expect("TLS"));
        let tokens = Tokens { provider, scope: "s".to_owned(), runtime: runtime.handle().clone(), stop };
        let started = Instant::now();
        let error = tokens.fetch().err().expect("no answer");
        assert!(started.elapsed() < TIMEOUT_WHILE_STOPPING * 2, "{:?}", started.elapsed());
        assert!(error.is_retryable() && error.to_string().contains("did not answer within 5s"), "{error}");
    }
}
