//! What to do after an answer: pure decisions, apart from the requests that they follow.
//!
//! The service documents little more than its status codes, so the rules err on the side of keeping rows
//! (<https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>, "Limits and restrictions"):
//!
//! | answer | decision |
//! | --- | --- |
//! | 2xx | delivered |
//! | 401 | a new token, once; then as an error of the service |
//! | 403 | wait slowly: a role that was just given takes up to 30 minutes to work |
//! | 404, 400 `InvalidStream` | the config names what isn't there: stop |
//! | other 400 | some row is bad: bisect to it |
//! | 413 | split |
//! | 429 | wait as told, as often as needed: the rows are fine, the rule is busy |
//! | 408, 5xx, no answer | wait and try again, a bounded number of times, then stop |
//! | anything else | stop |
//!
//! To stop loses nothing: what was not delivered is not acknowledged, and the source reads it again.

use std::time::{Duration, SystemTime};

/// What came back from one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The service answered.
    Response(Response),
    /// It did not. The rows may have arrived nevertheless.
    None {
        /// Whether the time for an answer ran out, rather than the connection breaking.
        timed_out: bool,
        /// What happened, for a person.
        detail: String,
    },
    /// There was no token to send the request with.
    NoToken {
        /// Whether a later try may have one.
        retryable: bool,
        /// How long the sign-in service asks to wait.
        retry_after: Option<Duration>,
        /// Why, for a person.
        detail: String,
    },
}

/// The parts of a response that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After` as it stands: seconds or a date.
    pub retry_after: Option<String>,
    /// The service's error code, from the header `x-ms-error-code` or the body.
    pub code: Option<String>,
    /// The service's explanation, shortened.
    pub message: Option<String>,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The rows are in.
    Delivered,
    /// Throw the token away and send again at once.
    RefreshToken,
    /// Send again after `wait`.
    Retry {
        /// How long to wait.
        wait: Duration,
        /// Why.
        reason: Reason,
    },
    /// The body is too large: send it in halves, and smaller ones from now on.
    Split,
    /// Some row is refused: send it in halves until it stands alone.
    Bisect,
    /// No retry helps; a person must.
    Stop(Fault),
    /// Retries were used up.
    GiveUp(Reason),
}

/// Why a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// 429.
    Throttled,
    /// 408 or 5xx.
    ServerError,
    /// The connection broke or could not be made.
    Connection,
    /// No answer in time.
    Timeout,
    /// 401, also with a new token.
    Unauthorized,
    /// 403.
    Forbidden,
    /// The sign-in service gave no token.
    Token,
}

/// Why no retry helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The rule is not there.
    NoSuchRule,
    /// The rule has no such stream.
    NoSuchStream,
    /// The credential is refused by the sign-in service, or can't be read.
    Credential,
    /// An answer that this API does not give.
    Unexpected,
}

/// How often and how long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Requests for one body that may fail, throttling apart, before the sink stops.
    pub max_attempts: u32,
    /// The first wait; it doubles with each further one.
    pub initial: Duration,
    /// The longest wait, whatever the service asks for.
    pub max: Duration,
    /// The wait after a 403.
    pub role_wait: Duration,
    /// How long 403s are waited out.
    pub role_patience: Duration,
}

/// What one body went through so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Failures that count against [`Policy::max_attempts`].
    pub failures: u32,
    /// 429s in a row.
    pub throttled: u32,
    /// 403s.
    pub forbidden: u32,
    /// Whether a new token was fetched after a 401.
    pub refreshed: bool,
}

impl Reason {
    /// The word in metric labels and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Token => "token",
        }
    }
}

impl History {
    /// Counts a decision.
    pub fn note(&mut self, decision: Decision) {
        match decision {
            Decision::RefreshToken => self.refreshed = true,
            Decision::Retry { reason: Reason::Throttled, .. } => self.throttled += 1,
            Decision::Retry { reason: Reason::Forbidden, .. } => self.forbidden += 1,
            Decision::Retry { .. } => self.failures += 1,
            _ => {}
        }
    }
}

/// Decides what follows `answer`.
///
/// `jitter`, from 0 to 1, spreads the waits of requests that failed together; `now` is what a `Retry-After` date is
/// compared with.
pub fn decide(answer: &Answer, history: History, policy: &Policy, now: SystemTime, jitter: f64) -> Decision {
    let retry = |reason, asked: Option<Duration>| {
        if history.failures + 1 >= policy.max_attempts {
            return Decision::GiveUp(reason);
        }
        Decision::Retry { wait: wait(policy, history.failures, asked, jitter), reason }
    };
    let response = match answer {
        Answer::Response(response) => response,
        Answer::None { timed_out: true, .. } => return retry(Reason::Timeout, None),
        Answer::None { timed_out: false, .. } => return retry(Reason::Connection, None),
        Answer::NoToken { retryable: true, retry_after, .. } => return retry(Reason::Token, *retry_after),
        Answer::NoToken { retryable: false, .. } => return Decision::Stop(Fault::Credential),
    };
    let asked = response.retry_after.as_deref().and_then(|text| parse_retry_after(text, now));
    match response.status {
        200..=299 => Decision::Delivered,
        401 if !history.refreshed => Decision::RefreshToken,
        401 => retry(Reason::Unauthorized, asked),
        403 if policy.role_wait * history.forbidden < policy.role_patience => {
            Decision::Retry { wait: policy.role_wait, reason: Reason::Forbidden }
        }
        403 => Decision::GiveUp(Reason::Forbidden),
        404 => Decision::Stop(Fault::NoSuchRule),
        400 if response.code.as_deref().is_some_and(|code| code.eq_ignore_ascii_case("InvalidStream")) => {
            Decision::Stop(Fault::NoSuchStream)
        }
        400 => Decision::Bisect,
        413 => Decision::Split,
        429 => Decision::Retry { wait: wait(policy, history.throttled, asked, jitter), reason: Reason::Throttled },
        408 | 500..=599 => retry(Reason::ServerError, asked),
        _ => Decision::Stop(Fault::Unexpected),
    }
}

/// The wait before the next try: what the service asks for, or exponential; never longer than the policy allows.
///
/// Jitter adds up to a tenth to what the service asks for (never less than asked), and takes up to half from an
/// exponential wait.
fn wait(policy: &Policy, failures: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    if let Some(asked) = asked {
        return asked.max(policy.initial).mul_f64(1.0 + jitter / 10.0).min(policy.max);
    }
    let exponential = policy.initial.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(policy.max);
    exponential.mul_f64(1.0 - jitter / 2.0)
}

/// Reads a `Retry-After` (RFC 9110, section 10.2.3): seconds, or an HTTP date, which lies `now` or before for no wait.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy {
        max_attempts: 4,
        initial: Duration::from_millis(100),
        max: Duration::from_secs(60),
        role_wait: Duration::from_secs(60),
        role_patience: Duration::from_secs(120),
    };

    fn status(status: u16) -> Answer {
        Answer::Response(Response { status, ..Response::default() })
    }

    fn told(status: u16, retry_after: &str) -> Answer {
        Answer::Response(Response { status, retry_after: Some(retry_after.into()), ..Response::default() })
    }

    fn first(answer: &Answer) -> Decision {
        decide(answer, History::default(), &POLICY, SystemTime::UNIX_EPOCH, 0.0)
    }

    fn retry(millis: u64, reason: Reason) -> Decision {
        Decision::Retry { wait: Duration::from_millis(millis), reason }
    }

    #[test]
    fn the_first_answer_decides_by_its_status() {
        let with_code =
            |status, code: &str| Answer::Response(Response { status, code: Some(code.into()), ..Response::default() });
        let lost = |timed_out| Answer::None { timed_out, detail: "reset".into() };
        for (answer, expected) in [
            (status(204), Decision::Delivered),
            (status(200), Decision::Delivered),
            (status(202), Decision::Delivered),
            (status(401), Decision::RefreshToken),
            (status(403), retry(60_000, Reason::Forbidden)),
            (status(404), Decision::Stop(Fault::NoSuchRule)),
            (with_code(400, "InvalidStream"), Decision::Stop(Fault::NoSuchStream)),
            (with_code(400, "InvalidPayload"), Decision::Bisect),
            (with_code(400, "RecordsTimeRangeIsMoreThan30Minutes"), Decision::Bisect),
            (status(400), Decision::Bisect),
            (status(413), Decision::Split),
            (status(429), retry(100, Reason::Throttled)),
            (told(429, "15"), retry(15_000, Reason::Throttled)),
            (told(429, "0"), retry(100, Reason::Throttled)),
            (told(429, "86400"), retry(60_000, Reason::Throttled)),
            (told(429, "soon"), retry(100, Reason::Throttled)),
            (told(429, "Thu, 01 Jan 1970 00:00:07 GMT"), retry(7_000, Reason::Throttled)),
            (told(503, "2"), retry(2_000, Reason::ServerError)),
            (status(500), retry(100, Reason::ServerError)),
            (status(501), retry(100, Reason::ServerError)),
            (status(408), retry(100, Reason::ServerError)),
            (status(405), Decision::Stop(Fault::Unexpected)),
            (status(302), Decision::Stop(Fault::Unexpected)),
            (lost(false), retry(100, Reason::Connection)),
            (lost(true), retry(100, Reason::Timeout)),
            (
                Answer::NoToken { retryable: true, retry_after: Some(Duration::from_secs(9)), detail: String::new() },
                retry(9_000, Reason::Token),
            ),
            (
                Answer::NoToken { retryable: false, retry_after: None, detail: String::new() },
                Decision::Stop(Fault::Credential),
            ),
        ] {
            assert_eq!(first(&answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn a_date_in_the_past_means_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(parse_retry_after("Thu, 01 Jan 1970 00:00:07 GMT", now), Some(Duration::ZERO));
    }

    /// The decisions on the same answer again and again, up to the first that is no retry.
    fn course(answer: &Answer) -> Vec<Decision> {
        let mut history = History::default();
        let mut course = Vec::new();
        loop {
            let decision = decide(answer, history, &POLICY, SystemTime::UNIX_EPOCH, 0.0);
            course.push(decision);
            history.note(decision);
            if course.len() > 100 || !matches!(decision, Decision::Retry { .. } | Decision::RefreshToken) {
                return course;
            }
        }
    }

    #[test]
    fn errors_of_the_service_are_retried_a_bounded_number_of_times() {
        let retry = |millis| retry(millis, Reason::ServerError);
        assert_eq!(course(&status(503)), [retry(100), retry(200), retry(400), Decision::GiveUp(Reason::ServerError)]);
    }

    #[test]
    fn throttling_never_ends_the_stream() {
        let course = course(&status(429));
        assert_eq!(course.len(), 101);
        assert_eq!(course[100], retry(60_000, Reason::Throttled));
    }

    #[test]
    fn a_token_is_refreshed_once() {
        let retry = |millis| retry(millis, Reason::Unauthorized);
        assert_eq!(
            course(&status(401)),
            [Decision::RefreshToken, retry(100), retry(200), retry(400), Decision::GiveUp(Reason::Unauthorized)]
        );
    }

    #[test]
    fn a_missing_role_is_waited_out_slowly() {
        let retry = retry(60_000, Reason::Forbidden);
        assert_eq!(course(&status(403)), [retry, retry, Decision::GiveUp(Reason::Forbidden)]);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_policy_allows(
            code in 100u16..700,
            retry_after in proptest::option::of("[0-9]{1,25}|\\PC{0,30}"),
            failures in 0u32..100,
            jitter in 0.0..1.0,
        ) {
            let answer = Answer::Response(Response { status: code, retry_after, ..Response::default() });
            let history = History { failures, throttled: failures, forbidden: failures, refreshed: true };
            if let Decision::Retry { wait, .. } = decide(&answer, history, &POLICY, SystemTime::now(), jitter) {
                prop_assert!(wait <= POLICY.max && wait >= POLICY.initial / 2);
            }
        }
    }
}
