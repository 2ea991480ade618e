//! Tokens, kept: one per scope, fetched by one caller at a time, renewed before they end.
//!
//! A token is renewed when the service says (`refresh_in`), else five minutes before it ends. While it is still valid
//! and its renewal fails, the old one is handed out and the next try waits; only a caller without any valid token sees
//! the error.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use reqwest::Client;
use weir_contract::secret::Secret;

use crate::credential::{AzureCredential, environment};
use crate::error::TokenError;
use crate::exchange::{self, Grant};

/// How long before its end a token is renewed when the service doesn't say.
const MARGIN: Duration = Duration::from_secs(300);
/// Wait between two tries to renew a token that is still valid.
const RETRY_RENEWAL_AFTER: Duration = Duration::from_secs(30);

/// A bearer token.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token itself.
    pub token: Secret,
    /// When it ends, by this machine's clock.
    pub expires_at: SystemTime,
}

/// Hands out tokens of one credential. Cloning shares the tokens.
#[derive(Clone)]
pub struct TokenProvider {
    inner: Arc<Inner>,
}

struct Inner {
    credential: AzureCredential,
    http: Client,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// The token of one scope.
#[derive(Default)]
struct Slot {
    kept: Mutex<Option<Kept>>,
    /// Held by the one caller that asks the service.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    token: AccessToken,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Renewable,
    Ended,
}

impl TokenProvider {
    /// A provider without tokens yet; nothing is read or asked before the first [`TokenProvider::token`].
    ///
    /// `http` should follow no redirects: [`exchange::http_client`] makes such a client.
    pub fn new(credential: AzureCredential, http: Client) -> Self {
        Self { inner: Arc::new(Inner { credential, http, slots: Mutex::default() }) }
    }

    /// A token for `scope` (such as `https://monitor.azure.com/.default`) that is valid now.
    ///
    /// Answers from memory while the token is fresh. However many callers wait, one of them asks the service.
    /// Cancel-safe: when that one is dropped, the next one asks.
    pub async fn token(&self, scope: &str) -> Result<AccessToken, TokenError> {
        let slot = self.slot(scope);
        match slot.state(Instant::now()) {
            (State::Fresh, Some(kept)) => return Ok(kept.token),
            (State::Renewable, Some(kept)) => {
                let Ok(_flight) = slot.flight.try_lock() else { return Ok(kept.token) };
                return Ok(match self.fetch(&slot, scope).await {
                    Ok(token) => token,
                    Err(error) => {
                        tracing::warn!(scope, error = %Chain(&error), "cannot renew the access token, the old one serves on");
                        slot.postpone_renewal(Instant::now() + RETRY_RENEWAL_AFTER);
                        kept.token
                    }
                });
            }
            _ => {}
        }
        let _flight = slot.flight.lock().await;
        // Another caller may have fetched it meanwhile.
        match slot.state(Instant::now()) {
            (State::Fresh | State::Renewable, Some(kept)) => Ok(kept.token),
            _ => self.fetch(&slot, scope).await,
        }
    }

    /// Forgets the token for `scope`, so that the next call fetches another one. For a 401 from the service.
    pub fn invalidate(&self, scope: &str) {
        *self.slot(scope).kept() = None;
    }

    /// Forgets the token for `scope` if it is still `refused`: of several requests that were refused together, the late
    /// ones don't throw away the token that the first one caused to be fetched.
    pub fn invalidate_token(&self, scope: &str, refused: &AccessToken) {
        let slot = self.slot(scope);
        let mut kept = slot.kept();
        if kept.as_ref().is_some_and(|kept| kept.token.token == refused.token) {
            *kept = None;
        }
    }

    async fn fetch(&self, slot: &Slot, scope: &str) -> Result<AccessToken, TokenError> {
        let credential = self.inner.credential.resolve(&environment)?;
        let asked_at = (Instant::now(), SystemTime::now());
        let grant = exchange::request(&self.inner.http, &credential, scope).await?;
        let kept = Kept::new(grant, asked_at);
        let token = kept.token.clone();
        *slot.kept() = Some(kept);
        Ok(token)
    }

    fn slot(&self, scope: &str) -> Arc<Slot> {
        let mut slots = self.inner.slots.lock().expect("no panic while held");
        match slots.get(scope) {
            Some(slot) => Arc::clone(slot),
            None => Arc::clone(slots.entry(scope.to_owned()).or_default()),
        }
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProvider").field("credential", &self.inner.credential).finish_non_exhaustive()
    }
}

impl Slot {
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().expect("no panic while held")
    }

    fn state(&self, now: Instant) -> (State, Option<Kept>) {
        let kept = self.kept().clone();
        (kept.as_ref().map_or(State::Ended, |kept| kept.state(now)), kept)
    }

    fn postpone_renewal(&self, until: Instant) {
        if let Some(kept) = self.kept().as_mut() {
            kept.renew_at = until;
        }
    }
}

impl Kept {
    /// Lives are counted from when the token was asked for, so that a slow answer ends early rather than late.
    fn new(grant: Grant, (asked_at, asked_at_clock): (Instant, SystemTime)) -> Self {
        let life = grant.expires_in;
        // A life shorter than twice the margin is renewed half-way, or each call would renew it.
        let renew_in = grant.refresh_in.unwrap_or_else(|| life - MARGIN.min(life / 2)).min(life);
        Self {
            token: AccessToken { token: grant.token, expires_at: asked_at_clock + life },
            renew_at: asked_at + renew_in,
            ends_at: asked_at + life,
        }
    }

    fn state(&self, now: Instant) -> State {
        if now >= self.ends_at {
            State::Ended
        } else if now >= self.renew_at {
            State::Renewable
        } else {
            State::Fresh
        }
    }
}

/// An error and its causes on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(expires_in: u64, refresh_in: Option<u64>, at: Instant) -> Kept {
        let grant = Grant {
            token: Secret::new("t"),
            expires_in: Duration::from_secs(expires_in),
            refresh_in: refresh_in.map(Duration::from_secs),
        };
        Kept::new(grant, (at, SystemTime::now()))
    }

    #[test]
    fn a_token_is_renewed_when_the_service_says_or_five_minutes_before_its_end() {
        let at = Instant::now();
        let cases = [(3_600, None, 3_300), (86_400, Some(43_200), 43_200), (60, None, 30), (10, Some(99), 10)];
        for (expires_in, refresh_in, renewed_at) in cases {
            let kept = kept(expires_in, refresh_in, at);
            assert_eq!(kept.renew_at - at, Duration::from_secs(renewed_at), "{expires_in} {refresh_in:?}");
            assert_eq!(kept.state(at + Duration::from_secs(expires_in)), State::Ended);
        }
    }

    #[test]
    fn a_token_without_life_is_never_handed_out_again() {
        let at = Instant::now();
        assert_eq!(kept(0, None, at).state(at), State::Ended);
    }
}
