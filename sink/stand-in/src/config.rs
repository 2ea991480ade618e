//! What a stand-in is told at its start. Every default stands here, beside its field.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Tenant that the stand-in's directory knows unless told otherwise.
pub const DEFAULT_TENANT: &str = "00000000-0000-4000-8000-0000000000aa";
/// Application (client) id that may ask for tokens unless told otherwise.
pub const DEFAULT_CLIENT_ID: &str = "00000000-0000-4000-8000-0000000000bb";
/// Client secret of that application unless told otherwise. It protects nothing: the stand-in is local.
pub const DEFAULT_CLIENT_SECRET: &str = "stand-in-secret";

/// Largest call that the Logs Ingestion API takes, in bytes (the number in its own 413 text).
pub const CALL_LIMIT_BYTES: u64 = 1_048_576;

/// How a stand-in behaves. Built with `StandInConfig { keep_rows: 100, ..Default::default() }`.
#[derive(Clone)]
pub struct StandInConfig {
    /// Address to listen on; port 0 takes a free one (default `127.0.0.1:0`).
    pub listen: SocketAddr,
    /// Which size the 1 MiB limit of a call is measured on (default: the wire).
    pub size_limit: SizeLimit,
    /// Largest call after gunzip, in bytes (default 50 MiB: what the service's later stages take).
    pub raw_limit_bytes: u64,
    /// What happens to a call above `raw_limit_bytes` (default: refused with 413).
    pub over_raw_limit: OverRawLimit,
    /// Newest rows kept per table for queries (default 10,000). Counters stay exact beyond.
    pub keep_rows: usize,
    /// Largest total of kept rows per table, in bytes of JSON (default 64 MiB).
    pub keep_bytes: usize,
    /// Tenant id in the token endpoint's path (default [`DEFAULT_TENANT`]).
    pub tenant: String,
    /// Application that may have tokens (default [`DEFAULT_CLIENT_ID`]).
    pub client_id: String,
    /// Its secret (default [`DEFAULT_CLIENT_SECRET`]).
    pub client_secret: String,
    /// A text that is taken as client assertion as it stands, beside well-made JWTs (default none).
    pub federated_token: Option<String>,
    /// Lifetime of issued tokens (default 3599 s, Entra's usual answer).
    pub token_lifetime: Duration,
    /// Whether a `TimeGenerated` older than 2 days or over 1 day ahead becomes the receive time, as the service
    /// does it (default yes). Off for replays, which want to look at their rows by event time.
    pub time_rule: bool,
    /// Requests per minute that one rule takes before it answers 429 (default 12,000, the documented limit).
    pub requests_per_minute: u64,
    /// Uncompressed bytes per minute that one rule takes before it answers 429 (default 2 GB, the documented limit).
    pub bytes_per_minute: u64,
}

/// Which bytes the limit of 1 MiB per call counts. The documentation says "compressed and uncompressed", the
/// service's text and its users' experience say the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeLimit {
    /// The body as sent, usually gzip.
    Wire,
    /// The body as sent, and also what it unpacks to.
    Both,
}

/// What becomes of a call that unpacks to more than the limit. Nobody has published the service's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverRawLimit {
    /// 413, so that the sender learns of it.
    TooLarge,
    /// 400.
    BadRequest,
    /// 204, and the rows are gone: the worst reading, counted in `lost_calls`.
    Lose,
}

impl Default for StandInConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            size_limit: SizeLimit::Wire,
            raw_limit_bytes: 50 << 20,
            over_raw_limit: OverRawLimit::TooLarge,
            keep_rows: 10_000,
            keep_bytes: 64 << 20,
            tenant: DEFAULT_TENANT.to_owned(),
            client_id: DEFAULT_CLIENT_ID.to_owned(),
            client_secret: DEFAULT_CLIENT_SECRET.to_owned(),
            federated_token: None,
            token_lifetime: Duration::from_secs(3599),
            time_rule: true,
            requests_per_minute: 12_000,
            bytes_per_minute: 2_000_000_000,
        }
    }
}

impl fmt::Debug for StandInConfig {
    /// Leaves the secret and the federated token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandInConfig")
            .field("listen", &self.listen)
            .field("size_limit", &self.size_limit)
            .field("tenant", &self.tenant)
            .field("client_id", &self.client_id)
            .field("time_rule", &self.time_rule)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let config = StandInConfig { federated_token: Some("federated-text".to_owned()), ..Default::default() };
        let shown = format!("{config:?}");
        assert!(!shown.contains(DEFAULT_CLIENT_SECRET) && !shown.contains("federated-text"), "{shown}");
    }
}
