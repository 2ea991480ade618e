//! The acknowledgement that travels with a batch, from the source that made it to every sink that ends it.
//!
//! A source makes a pair with [`channel`] and gives each raw batch an [`Ack`] by [`AckSender::issue`]. Every stage that
//! turns one batch into several splits the token ([`Ack::split`]); every sink that made its rows durable calls
//! [`Ack::done`]. When the last part is answered the source receives one [`AckReport`]. A part that is dropped
//! unanswered counts as failed: nothing is ever acknowledged by accident.

//!
//! The workspace can be far ahead of the lake, which commits at longer intervals. A source that stores more than one
//! position ([`channel_by_sink`]) learns beside it when the workspace alone has all that a batch holds for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;

/// What a source learns when all parts of a raw batch were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckReport {
    /// The number that the source gave the batch.
    pub batch: u64,
    /// Whose parts these are.
    pub of: Answered,
    /// True if every part is durable; false if at least one was dropped unanswered.
    pub durable: bool,
}

/// Whose parts were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// All of them: the last report of a batch.
    All,
    /// Those of the workspace, which may have none.
    Workspace,
}

/// Makes tokens whose reports arrive at the receiver of the same [`channel`].
#[derive(Debug, Clone)]
pub struct AckSender {
    reports: mpsc::UnboundedSender<AckReport>,
    by_sink: bool,
}

/// One part of a batch's acknowledgement.
#[derive(Debug)]
pub struct Ack {
    shared: Arc<Shared>,
    part: Part,
    answered: bool,
}

/// Where a part is on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Not routed yet: parts for any sink may come of it.
    Open,
    Lake,
    Workspace,
}

#[derive(Debug)]
struct Shared {
    batch: u64,
    failed: AtomicBool,
    by_sink: bool,
    /// Parts that are open or on their way to the workspace. As an open part only ever becomes others while it lives,
    /// none left means that none will come.
    before_workspace: AtomicUsize,
    workspace_failed: AtomicBool,
    reports: mpsc::UnboundedSender<AckReport>,
}

/// A sender of tokens and the receiver of their reports: one for each batch.
///
/// The queue of reports is unbounded, but holds at most one small entry per raw batch in flight, and those are bounded
/// by the memory budget.
pub fn channel() -> (AckSender, mpsc::UnboundedReceiver<AckReport>) {
    let (reports, received) = mpsc::unbounded_channel();
    (AckSender { reports, by_sink: false }, received)
}

/// As [`channel`], with two reports for each batch: that of the workspace is the first.
pub fn channel_by_sink() -> (AckSender, mpsc::UnboundedReceiver<AckReport>) {
    let (sender, received) = channel();
    (AckSender { by_sink: true, ..sender }, received)
}

impl AckSender {
    /// A token for the raw batch numbered `batch`.
    pub fn issue(&self, batch: u64) -> Ack {
        let shared = Shared {
            batch,
            failed: AtomicBool::new(false),
            by_sink: self.by_sink,
            before_workspace: AtomicUsize::new(1),
            workspace_failed: AtomicBool::new(false),
            reports: self.reports.clone(),
        };
        Ack { shared: Arc::new(shared), part: Part::Open, answered: false }
    }
}

impl Ack {
    /// Another part of the same acknowledgement; the batch is durable only when this one is answered too.
    pub fn split(&self) -> Ack {
        if self.part != Part::Lake {
            self.shared.before_workspace.fetch_add(1, Ordering::AcqRel);
        }
        Ack { shared: Arc::clone(&self.shared), part: self.part, answered: false }
    }

    /// The part as one that the lake answers.
    pub fn for_lake(mut self) -> Ack {
        if std::mem::replace(&mut self.part, Part::Lake) != Part::Lake {
            self.shared.leave_workspace();
        }
        self
    }

    /// The part as one that the workspace answers, or whoever keeps what the workspace refuses.
    pub fn for_workspace(mut self) -> Ack {
        debug_assert_ne!(self.part, Part::Lake, "only an open part is routed");
        self.part = Part::Workspace;
        self
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
        if self.part != Part::Lake {
            if !self.answered {
                self.shared.workspace_failed.store(true, Ordering::Release);
            }
            self.shared.leave_workspace();
        }
    }
}

impl Shared {
    fn leave_workspace(&self) {
        if self.before_workspace.fetch_sub(1, Ordering::AcqRel) == 1 && self.by_sink {
            let durable = !self.workspace_failed.load(Ordering::Acquire);
            let _ = self.reports.send(AckReport { batch: self.batch, of: Answered::Workspace, durable });
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let durable = !*self.failed.get_mut();
        // A source that is gone no longer needs the report.
        let _ = self.reports.send(AckReport { batch: self.batch, of: Answered::All, durable });
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
        assert_eq!(reports.try_recv(), Ok(AckReport { batch: 7, of: Answered::All, durable: true }));
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn a_dropped_part_fails_the_batch() {
        let (sender, mut reports) = channel();
        let first = sender.issue(1);
        let second = first.split();
        drop(first);
        second.done();
        assert_eq!(reports.try_recv(), Ok(AckReport { batch: 1, of: Answered::All, durable: false }));
    }

    #[test]
    fn the_workspace_is_reported_when_no_part_can_still_go_there() {
        let (sender, mut reports) = channel_by_sink();
        let report = |of, durable| Ok(AckReport { batch: 3, of, durable });
        let (worker, lake) = (sender.issue(3), sender.issue(4).for_lake());
        assert_eq!(reports.try_recv().map(|report| report.batch), Ok(4), "the lake alone has rows of batch 4");
        drop(lake);
        reports.try_recv().expect("batch 4 failed");

        let workspace = worker.split().for_workspace();
        let lake = worker.split().for_lake();
        let (sent, waits) = (workspace.split(), workspace);
        worker.done();
        sent.done();
        assert!(reports.try_recv().is_err(), "a part is under way");
        waits.done();
        assert_eq!(reports.try_recv(), report(Answered::Workspace, true));
        lake.done();
        assert_eq!(reports.try_recv(), report(Answered::All, true));

        let worker = sender.issue(3);
        let (workspace, lake) = (worker.split().for_workspace(), worker.for_lake());
        drop(workspace);
        assert_eq!(reports.try_recv(), report(Answered::Workspace, false));
        lake.done();
        assert_eq!(reports.try_recv(), report(Answered::All, false));
    }
}
