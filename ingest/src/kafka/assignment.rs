//! What the reading thread, librdkafka's callbacks and the hand-over share: the leases held, the acknowledgements and
//! the offsets that follow from them.
//!
//! The lock is held for bookkeeping only, never across a call that waits for a broker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc::UnboundedReceiver;
use weir_contract::ack::{AckReport, Answered};
use weir_contract::position::{Offset, PartitionId};

use super::offsets::{Committable, Lease, OffsetTracker, TopicPartition};

/// The partitions that this consumer holds, and how far each one is.
#[derive(Debug)]
pub(super) struct Assignment {
    state: Mutex<State>,
    /// Changes with every assignment and revocation, so that a reader sees cheaply that it must look again.
    epoch: AtomicU64,
}

#[derive(Debug)]
struct State {
    tracker: OffsetTracker,
    held: BTreeMap<TopicPartition, Holding>,
    reports: UnboundedReceiver<AckReport>,
    /// The first batch that was reported as not durable.
    failed: Option<u64>,
    /// How often partitions were handed to us.
    rounds: u64,
}

/// A partition held under a lease.
#[derive(Debug, Clone)]
pub(super) struct Holding {
    pub(super) lease: Lease,
    /// `topic/partition`.
    pub(super) id: PartitionId,
    /// The newest offset that the broker told of.
    high: Option<u64>,
    /// The committed position, or where reading began as long as nothing is committed.
    low: Option<u64>,
    /// The position that a broker confirmed to have stored.
    confirmed: Option<u64>,
    /// The first offset that was handed over, and the one behind the last.
    handed_over: Option<(u64, u64)>,
    /// Records before it are in the workspace, by what was stored with the committed offset.
    pub(super) delivered: Offset,
}

/// A partition's figures, as the client's statistics or a query tell them. Negative numbers mean unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) high: i64,
    pub(super) committed: i64,
    pub(super) position: i64,
}

impl Assignment {
    pub(super) fn new(reports: UnboundedReceiver<AckReport>) -> Self {
        let state =
            State { tracker: OffsetTracker::default(), held: BTreeMap::new(), reports, failed: None, rounds: 0 };
        Self { state: Mutex::new(state), epoch: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the assignment is held")
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// How often the group handed us partitions (none at all counts too).
    pub(super) fn rounds(&self) -> u64 {
        self.state().rounds
    }

    /// Begins a lease of each partition.
    pub(super) fn assign(&self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let mut state = self.state();
        for partition in partitions {
            let lease = state.tracker.assign(partition.clone());
            let id = PartitionId(partition.to_string().into());
            let replaced = state.held.insert(
                partition,
                Holding { lease, id, high: None, low: None, confirmed: None, handed_over: None, delivered: Offset(0) },
            );
            if let Some(replaced) = replaced {
                state.tracker.revoke(replaced.lease);
            }
        }
        state.rounds += 1;
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the leases of the partitions, after the acknowledgements that have arrived so far. Returns the ended
    /// holdings and what should still be committed for them.
    pub(super) fn revoke(&self, partitions: &[TopicPartition]) -> (Vec<Holding>, Vec<Committable>) {
        let mut state = self.state();
        state.settle();
        let ended: Vec<Holding> = partitions.iter().filter_map(|partition| state.held.remove(partition)).collect();
        let mut left = Vec::new();
        for holding in &ended {
            // A commit that is only on its way may come too late: what no broker has confirmed is committed again.
            state.tracker.commit_failed(holding.lease);
            let position = state.tracker.revoke(holding.lease);
            let is_news = |it: &Committable| {
                it.delivered > it.next || holding.confirmed.is_none_or(|confirmed| confirmed < it.next.0)
            };
            left.extend(position.filter(is_news));
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        (ended, left)
    }

    /// Notes what was stored beside the committed offset of a partition that was assigned.
    pub(super) fn resume(&self, partition: &TopicPartition, delivered: Offset) {
        if let Some(holding) = self.state().held.get_mut(partition) {
            holding.delivered = delivered;
        }
    }

    /// The partitions held now.
    pub(super) fn held(&self) -> Vec<(TopicPartition, Holding)> {
        self.state().held.iter().map(|(partition, holding)| (partition.clone(), holding.clone())).collect()
    }

    /// Takes in the acknowledgements that have arrived. The error is the first batch that is not durable.
    pub(super) fn settle(&self) -> Result<(), u64> {
        let mut state = self.state();
        state.settle();
        state.failed.map_or(Ok(()), Err)
    }

    /// Notes the hand-over of `batch`: `ranges` are its leases, with the offsets of their first record and behind their
    /// last one, of which those
    /// whose lease has ended are left out. Returns for each range whether it is still ours. `empty` says that nothing
    /// of the batch has to be made durable, so it is acknowledged at once.
    pub(super) fn hand_over(&self, batch: u64, ranges: &[(Lease, Offset, Offset)], empty: bool) -> Vec<bool> {
        let mut state = self.state();
        let live = ranges.iter().map(|(lease, ..)| state.tracker.is_live(*lease)).collect();
        for (lease, start, next) in ranges {
            state.tracker.handed_over(*lease, batch, *start, *next);
            if let Some(holding) = state.held.values_mut().find(|holding| holding.lease == *lease) {
                let first = holding.handed_over.map_or(start.0, |(first, _)| first);
                holding.handed_over = Some((first, next.0));
            }
        }
        if empty {
            state.tracker.acknowledged(batch);
        }
        live
    }

    /// Notes where the first batch under each lease begins; only the first call for a lease counts. Where reading starts
    /// with what is newest, the next owner would else start with what is newest then, and leave out what we hold.
    pub(super) fn began(&self, starts: impl IntoIterator<Item = (Lease, Offset)>) {
        let mut state = self.state();
        for (lease, start) in starts {
            state.tracker.began(lease, start);
        }
    }

    /// How many records were handed over whose position no broker has confirmed.
    pub(super) fn in_flight(&self) -> u64 {
        let open = |holding: &Holding| {
            let (first, next) = holding.handed_over?;
            Some(next.saturating_sub(holding.confirmed.unwrap_or(first)))
        };
        self.state().held.values().filter_map(open).sum()
    }

    /// How many batches wait for their acknowledgement.
    pub(super) fn outstanding(&self) -> usize {
        self.state().tracker.outstanding()
    }

    /// What may be committed now; counts as submitted.
    pub(super) fn take_committable(&self) -> Vec<Committable> {
        let mut state = self.state();
        let all = state.tracker.committable();
        for it in &all {
            state.tracker.submitted(it);
        }
        all
    }

    /// Takes the broker's answer to a commit in. What failed is submitted again with the next one.
    pub(super) fn commit_answered(&self, positions: &[Committable], succeeded: bool) {
        let mut state = self.state();
        for position in positions {
            if !succeeded {
                state.tracker.commit_failed(position.lease);
            } else if let Some(holding) = state.held.get_mut(&position.partition)
                && holding.lease == position.lease
            {
                let committed = position.next.0;
                holding.confirmed = holding.confirmed.max(Some(committed));
                holding.low = holding.low.max(Some(committed));
            }
        }
    }

    /// Leaves out the positions of ended leases: their partition has another owner, whose commits they would undo.
    pub(super) fn retain_live(&self, positions: &mut Vec<Committable>) {
        let state = self.state();
        positions.retain(|position| state.tracker.is_live(position.lease));
    }

    /// Whether the broker has confirmed all of these positions, those of lost partitions aside.
    pub(super) fn are_committed(&self, positions: &[Committable]) -> bool {
        let state = self.state();
        positions.iter().all(|position| match state.held.get(&position.partition) {
            Some(holding) if holding.lease == position.lease => {
                holding.confirmed.is_some_and(|confirmed| confirmed >= position.next.0)
            }
            _ => true,
        })
    }

    /// Lets every position be submitted again, confirmed or not.
    pub(super) fn resubmit(&self) {
        let mut state = self.state();
        let leases: Vec<Lease> = state.held.values().map(|holding| holding.lease).collect();
        for lease in leases {
            state.tracker.commit_failed(lease);
        }
    }

    /// Takes in what is known of `partition`.
    pub(super) fn observe(&self, partition: &TopicPartition, observed: Observed) {
        let known = |number: i64| u64::try_from(number).ok();
        if let Some(holding) = self.state().held.get_mut(partition) {
            holding.high = holding.high.max(known(observed.high));
            // The position runs ahead of the commits: it counts only as the place where reading began.
            holding.low = holding.low.max(known(observed.committed)).or(known(observed.position));
        }
    }

    /// Newest minus committed offset of each partition for which both are known.
    pub(super) fn lags(&self) -> Vec<(PartitionId, u64)> {
        let state = self.state();
        let lag = |holding: &Holding| Some((holding.id.clone(), holding.high?.saturating_sub(holding.low?)));
        state.held.values().filter_map(lag).collect()
    }
}

impl State {
    fn settle(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            if report.of == Answered::Workspace {
                // That it failed is told once more, with the whole batch.
                if report.durable {
                    self.tracker.delivered(report.batch);
                }
            } else if report.durable {
                self.tracker.acknowledged(report.batch);
            } else if self.tracker.awaits(report.batch) {
                self.failed.get_or_insert(report.batch);
            }
        }
    }
}

/// The partition called `topic` and `partition`.
pub(super) fn topic_partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: Arc::from(topic), partition }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_contract::ack;

    #[test]
    fn a_failed_batch_of_a_revoked_partition_does_not_end_the_source() {
        let (acks, reports) = ack::channel();
        let assignment = Assignment::new(reports);
        let gone = topic_partition("t", 0);
        assignment.assign([gone.clone(), topic_partition("t", 1)]);
        let held = assignment.held();
        let (first, second) = (acks.issue(1), acks.issue(2));
        assignment.hand_over(1, &[(held[0].1.lease, Offset(0), Offset(5))], false);
        assignment.hand_over(2, &[(held[1].1.lease, Offset(0), Offset(5))], false);
        assignment.revoke(&[gone]);
        drop(first);
        assert_eq!(assignment.settle(), Ok(()));
        drop(second);
        assert_eq!(assignment.settle(), Err(2));
        assert_eq!(assignment.take_committable(), []);
    }

    #[test]
    fn what_is_acknowledged_before_a_revocation_is_left_to_commit() {
        let (acks, reports) = ack::channel();
        let assignment = Assignment::new(reports);
        assignment.assign([topic_partition("t", 0)]);
        let lease = assignment.held()[0].1.lease;
        assert_eq!(assignment.hand_over(1, &[(lease, Offset(0), Offset(5))], false), [true]);
        assert_eq!(assignment.in_flight(), 5);
        acks.issue(1).done();
        let (_, left) = assignment.revoke(&[topic_partition("t", 0)]);
        assert_eq!(left.iter().map(|it| it.next).collect::<Vec<_>>(), [Offset(5)]);
        assert_eq!(assignment.hand_over(2, &[(lease, Offset(5), Offset(9))], false), [false]);
        assert_eq!(assignment.in_flight(), 0, "what was lost is another's");
        assert_eq!(assignment.outstanding(), 0);
    }

    #[test]
    fn a_commit_that_is_only_on_its_way_is_repeated_at_a_revocation_and_not_sent_after_it() {
        let (acks, reports) = ack::channel();
        let assignment = Assignment::new(reports);
        assignment.assign([topic_partition("t", 0), topic_partition("t", 1)]);
        for (batch, (_, holding)) in assignment.held().into_iter().enumerate() {
            assignment.hand_over(batch as u64, &[(holding.lease, Offset(0), Offset(5))], false);
            acks.issue(batch as u64).done();
        }
        assignment.settle().expect("durable");
        let mut queued = assignment.take_committable();
        assert_eq!(queued.len(), 2);
        assignment.commit_answered(&queued[1..], true);
        let (_, left) = assignment.revoke(&[topic_partition("t", 0), topic_partition("t", 1)]);
        assert_eq!(left, queued[..1], "the other one is confirmed");
        assignment.retain_live(&mut queued);
        assert_eq!(queued, []);
    }

    #[test]
    fn lag_counts_from_the_commit_and_before_the_first_one_from_where_reading_began() {
        let (_acks, reports) = ack::channel();
        let assignment = Assignment::new(reports);
        let partition = topic_partition("t", 0);
        assignment.assign([partition.clone()]);
        assert_eq!(assignment.lags(), []);
        assignment.observe(&partition, Observed { high: 100, committed: -1001, position: 20 });
        assignment.observe(&partition, Observed { high: 110, committed: -1001, position: 70 });
        assert_eq!(assignment.lags(), [("t/0".into(), 90)]);
        let lease = assignment.held()[0].1.lease;
        let position = Committable { lease, partition, next: Offset(60), delivered: Offset(60) };
        assert!(!assignment.are_committed(std::slice::from_ref(&position)));
        assignment.commit_answered(std::slice::from_ref(&position), true);
        assert!(assignment.are_committed(&[position]));
        assert_eq!(assignment.lags(), [("t/0".into(), 50)]);
    }
}
