//! Tokens for SASL OAUTHBEARER, fetched when librdkafka asks for one.
//!
//! librdkafka asks on the thread that polls, when the client starts and at four fifths of a token's life; it tries again
//! by itself when there is none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::client::OAuthToken;
use tokio::runtime::Handle;
use weir_azure_identity::{TokenError, TokenProvider};

/// Longest time that the polling thread stands still for a token; far below the poll interval that a group allows.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where the consumer's tokens come from.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    pub(super) provider: TokenProvider,
    pub(super) scope: String,
    pub(super) runtime: Handle,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoToken {
    #[error(transparent)]
    Refused(#[from] TokenError),
    #[error("the sign-in service did not answer within {}s", TIMEOUT.as_secs())]
    TimedOut,
}

impl Tokens {
    /// A token, waited for. Not to be called on a thread of the async runtime.
    pub(super) fn fetch(&self) -> Result<OAuthToken, NoToken> {
        let wait = async { tokio::time::timeout(TIMEOUT, self.provider.token(&self.scope)).await };
        let token = self.runtime.block_on(wait).map_err(|_| NoToken::TimedOut)??;
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
            Self::TimedOut => true,
        }
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
