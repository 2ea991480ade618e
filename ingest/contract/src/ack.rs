//! The acknowledgement that travels with a batch, from the source that made it to every sink that ends it.
//!
//! A source makes a pair with [`channel`] and gives each raw batch an [`Ack`] by [`AckSender::issue`]. Every stage that
//! turns one batch into several splits the token ([`Ack::split`]); every sink that made its rows durable calls
//! [`Ack::done`]. When the last part is answered the source receives one [`AckReport`]. A part that is dropped
//! unanswered counts as failed: nothing is ever acknowledged by accident.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

/// What a source learns when all parts of a raw batch were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckReport {
    /// The number that the source gave the batch.
    pub batch: u64,
    /// True if every part is durable; false if at least one was dropped unanswered.
    pub durable: bool,
}

/// Makes tokens whose reports arrive at the receiver of the same [`channel`].
#[derive(Debug, Clone)]
pub struct AckSender(mpsc::UnboundedSender<AckReport>);

/// One part of a batch's acknowledgement.
#[derive(Debug)]
pub struct Ack {
    shared: Arc<Shared>,
    answered: bool,
}

#[derive(Debug)]
struct Shared {
    batch: u64,
    failed: AtomicBool,
    reports: mpsc::UnboundedSender<AckReport>,
}

/// A sender of tokens and the receiver of their reports.
///
/// The queue of reports is unbounded, but holds at most one small entry per raw batch in flight, and those are bounded
/// by the memory budget.
pub fn channel() -> (AckSender, mpsc::UnboundedReceiver<AckReport>) {
    let (tx, rx) = mpsc::unbounded_channel();
    (AckSender(tx), rx)
}

impl AckSender {
    /// A token for the raw batch numbered `batch`.
    pub fn issue(&self, batch: u64) -> Ack {
        let shared = Shared { batch, failed: AtomicBool::new(false), reports: self.0.clone() };
        Ack { shared: Arc::new(shared), answered: false }
    }
}

impl Ack {
    /// Another part of the same acknowledgement; the batch is durable only when this one is answered too.
    pub fn split(&self) -> Ack {
        Ack { shared: Arc::clone(&self.shared), answered: false }
    }

    /// Says that this part's rows are durable (or that it has none left to write).
    pub fn done(mut self) {
        self.answered = true;
    }

    /// A token that nobody listens to, for tests and one-off writes.
    pub fn detached() -> Ack {
        channel().0.issue(0)
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.failed.store(true, Ordering::Release);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let durable = !*self.failed.get_mut();
        // A source that is gone no longer needs the report.
        let _ = self.reports.send(AckReport { batch: self.batch, durable });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_once_when_every_part_is_done() {
        let (sender, mut reports) = channel();
        let first = sender.issue(7);
        let second = first.split();
        first.done();
        assert!(reports.try_recv().is_err());
        second.done();
        assert_eq!(reports.try_recv(), Ok(AckReport { batch: 7, durable: true }));
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn a_dropped_part_fails_the_batch() {
        let (sender, mut reports) = channel();
        let first = sender.issue(1);
        let second = first.split();
        drop(first);
        second.done();
        assert_eq!(reports.try_recv(), Ok(AckReport { batch: 1, durable: false }));
    }
}
