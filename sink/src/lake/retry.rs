//! Pauses between attempts: exponential, bounded, with jitter.

use std::time::Duration;

use rand::Rng;

use crate::lake::config::RetryConfig;
use crate::sink::SinkError;

/// What to do after a failed attempt.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Wait so long, then try again.
    Again(Duration),
    /// Stop with this error.
    Stop(SinkError),
}

/// Decides after attempt number `attempt` (1 is the first) failed with `error`.
///
/// `chance`, from 0 to 1, takes off up to half of the pause, so that workers which failed together don't come back
/// together.
pub(crate) fn decide(config: &RetryConfig, attempt: u32, error: SinkError, chance: f64) -> Decision {
    if !error.is_retryable() {
        return Decision::Stop(error);
    }
    if attempt >= config.max_attempts {
        return Decision::Stop(SinkError::GaveUp { attempts: attempt, source: Box::new(error) });
    }
    let doubled = config.initial.0.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
    Decision::Again(doubled.min(config.max.0).mul_f64(1.0 - chance / 2.0))
}

/// [`decide`] with a random chance.
pub(crate) fn decide_now(config: &RetryConfig, attempt: u32, error: SinkError) -> Decision {
    decide(config, attempt, error, rand::rng().random())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> SinkError {
        SinkError::Unavailable { operation: "put", target: "a".into(), source: "reset".into() }
    }

    #[test]
    fn pauses_double_up_to_the_bound() {
        let config = RetryConfig { max_attempts: 100, ..RetryConfig::default() };
        let pause = |attempt, chance| match decide(&config, attempt, lost(), chance) {
            Decision::Again(pause) => pause.as_millis(),
            Decision::Stop(error) => panic!("{error}"),
        };
        assert_eq!((pause(1, 0.0), pause(2, 0.0), pause(3, 1.0)), (200, 400, 400));
        assert_eq!(pause(60, 0.0), 10_000);
    }

    #[test]
    fn the_last_attempt_and_final_errors_stop() {
        let config = RetryConfig::default();
        assert!(matches!(decide(&config, 5, lost(), 0.5), Decision::Stop(SinkError::GaveUp { attempts: 5, .. })));
        assert!(matches!(decide(&config, 1, SinkError::config("x"), 0.5), Decision::Stop(SinkError::Config { .. })));
    }
}
