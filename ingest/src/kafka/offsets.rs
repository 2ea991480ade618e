//! Which offsets may be committed.
//!
//! Batches are handed over in the order of their offsets and acknowledged in any order. Of each partition only the
//! contiguous front may be committed: the position behind the last batch whose predecessors are all acknowledged too.
//!
//! The workspace has a front of its own: it is mostly ahead of the whole, since the lake commits less often. It is stored
//! beside the offset, and after a crash what lies before it is not sent to the workspace again.
//!
//! A partition can be taken away and come back while batches of it are still on their way. So what is tracked is not
//! the partition but a [`Lease`], one assignment of it to us: an acknowledgement that belongs to an ended lease is
//! ignored, and the records are read again by whoever owns the partition then.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use weir_contract::position::Offset;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// One assignment of one partition to this consumer; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease(u64);

/// A position that may be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committable {
    /// The lease that the position was reached under.
    pub lease: Lease,
    /// The partition.
    pub partition: TopicPartition,
    /// The offset of the next record to read: everything before it is durable.
    pub next: Offset,
    /// Everything before it is in the workspace.
    pub delivered: Offset,
}

/// Follows every batch from hand-over to acknowledgement.
#[derive(Debug, Default)]
pub struct OffsetTracker {
    leases: BTreeMap<Lease, Progress>,
    /// Unacknowledged batches, each with its live leases.
    batches: HashMap<u64, Vec<Lease>>,
    next_lease: u64,
}

#[derive(Debug)]
struct Progress {
    partition: TopicPartition,
    /// Batches from the first unacknowledged one on.
    pending: VecDeque<Pending>,
    /// What may be committed; none before the first acknowledgement.
    front: Option<Offset>,
    /// Where reading began; what may be committed with a front of the workspace alone.
    start: Option<Offset>,
    /// The front of the workspace.
    delivered: Option<Offset>,
    /// What was last asked to be committed.
    submitted: Option<(Offset, Offset)>,
}

#[derive(Debug)]
struct Pending {
    batch: u64,
    next: Offset,
    acknowledged: bool,
    delivered: bool,
}

impl OffsetTracker {
    /// Begins a lease of `partition`.
    pub fn assign(&mut self, partition: TopicPartition) -> Lease {
        let lease = Lease(self.next_lease);
        self.next_lease += 1;
        let progress = Progress {
            partition,
            pending: VecDeque::new(),
            front: None,
            start: None,
            delivered: None,
            submitted: None,
        };
        self.leases.insert(lease, progress);
        lease
    }

    /// Ends a lease and forgets what is pending under it. Returns what should still be committed, if anything.
    pub fn revoke(&mut self, lease: Lease) -> Option<Committable> {
        let progress = self.leases.remove(&lease)?;
        for pending in &progress.pending {
            if let Some(leases) = self.batches.get_mut(&pending.batch) {
                leases.retain(|other| *other != lease);
                if leases.is_empty() {
                    self.batches.remove(&pending.batch);
                }
            }
        }
        progress.committable(lease)
    }

    /// Whether `lease` has not ended.
    pub fn is_live(&self, lease: Lease) -> bool {
        self.leases.contains_key(&lease)
    }

    /// Notes that `batch` was handed over with records of `lease` from `start` up to `next`. Batches of a lease come in
    /// the order of their offsets. A batch with records of an ended lease is not tracked under it.
    pub fn handed_over(&mut self, lease: Lease, batch: u64, start: Offset, next: Offset) {
        if let Some(progress) = self.leases.get_mut(&lease) {
            progress.start.get_or_insert(start);
            progress.pending.push_back(Pending { batch, next, acknowledged: false, delivered: false });
            self.batches.entry(batch).or_default().push(lease);
        }
    }

    /// Notes that reading under `lease` began at `start`, which may be committed at once if nothing was handed over yet:
    /// records before it are not wanted.
    pub fn began(&mut self, lease: Lease, start: Offset) {
        if let Some(progress) = self.leases.get_mut(&lease)
            && progress.pending.is_empty()
        {
            progress.front.get_or_insert(start);
        }
    }

    /// Notes that the workspace has all of `batch` that it is to have.
    pub fn delivered(&mut self, batch: u64) {
        for lease in self.batches.get(&batch).into_iter().flatten() {
            let Some(progress) = self.leases.get_mut(lease) else { continue };
            for pending in progress.pending.iter_mut().filter(|pending| pending.batch == batch) {
                pending.delivered = true;
            }
            progress.advance();
        }
    }

    /// Notes that all of `batch` is durable.
    pub fn acknowledged(&mut self, batch: u64) {
        for lease in self.batches.remove(&batch).unwrap_or_default() {
            let Some(progress) = self.leases.get_mut(&lease) else { continue };
            for pending in progress.pending.iter_mut().filter(|pending| pending.batch == batch) {
                pending.acknowledged = true;
                pending.delivered = true;
            }
            progress.advance();
        }
    }

    /// Whether `batch` still waits for its acknowledgement under a live lease.
    pub fn awaits(&self, batch: u64) -> bool {
        self.batches.contains_key(&batch)
    }

    /// How many batches wait for their acknowledgement.
    pub fn outstanding(&self) -> usize {
        self.batches.len()
    }

    /// What may be committed and was not submitted yet, one position per lease.
    pub fn committable(&self) -> Vec<Committable> {
        self.leases.iter().filter_map(|(lease, progress)| progress.committable(*lease)).collect()
    }

    /// Notes that a commit of `position` was asked for.
    pub fn submitted(&mut self, position: &Committable) {
        if let Some(progress) = self.leases.get_mut(&position.lease) {
            progress.submitted = Some((position.next, position.delivered));
        }
    }

    /// Notes that a commit failed, so that the position is submitted again.
    pub fn commit_failed(&mut self, lease: Lease) {
        if let Some(progress) = self.leases.get_mut(&lease) {
            progress.submitted = None;
        }
    }
}

impl Progress {
    /// Moves the fronts on.
    fn advance(&mut self) {
        let delivered = self.pending.iter().take_while(|pending| pending.delivered).last();
        self.delivered = self.delivered.max(delivered.map(|pending| pending.next));
        while self.pending.front().is_some_and(|pending| pending.acknowledged) {
            self.front = self.pending.pop_front().map(|pending| pending.next);
        }
    }

    fn committable(&self, lease: Lease) -> Option<Committable> {
        let next = self.front.or(self.delivered.and(self.start))?;
        // What is durable everywhere is in the workspace too.
        let delivered = self.delivered.max(self.front).unwrap_or(next);
        let is_news = self.submitted.is_none_or(|submitted| submitted < (next, delivered));
        is_news.then(|| Committable { lease, partition: self.partition.clone(), next, delivered })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: number }
    }

    fn positions(tracker: &OffsetTracker) -> Vec<u64> {
        tracker.committable().into_iter().map(|it| it.next.0).collect()
    }

    fn submit(tracker: &mut OffsetTracker) {
        for position in tracker.committable() {
            tracker.submitted(&position);
        }
    }

    #[test]
    fn the_workspace_has_a_front_of_its_own() {
        let mut tracker = OffsetTracker::default();
        let lease = tracker.assign(partition(0));
        for (batch, start, next) in [(1, 4, 10), (2, 10, 20), (3, 20, 30)] {
            tracker.handed_over(lease, batch, Offset(start), Offset(next));
        }
        let fronts = |tracker: &OffsetTracker| {
            tracker.committable().into_iter().map(|it| (it.next.0, it.delivered.0)).collect::<Vec<_>>()
        };
        tracker.delivered(2);
        assert_eq!(fronts(&tracker), [], "what came before it is not there yet");
        tracker.delivered(1);
        assert_eq!(fronts(&tracker), [(4, 20)], "nothing is in the lake; reading began at 4");
        submit(&mut tracker);
        assert_eq!(fronts(&tracker), []);
        tracker.acknowledged(1);
        assert_eq!(fronts(&tracker), [(10, 20)]);
        tracker.acknowledged(2);
        assert_eq!(fronts(&tracker), [(20, 20)]);
    }

    #[test]
    fn commits_never_pass_a_pending_offset() {
        let mut tracker = OffsetTracker::default();
        let lease = tracker.assign(partition(0));
        for (batch, next) in [(1, 10), (2, 20), (3, 30)] {
            tracker.handed_over(lease, batch, Offset(0), Offset(next));
        }
        tracker.acknowledged(2);
        tracker.acknowledged(3);
        assert_eq!(positions(&tracker), [] as [u64; 0]);
        tracker.acknowledged(1);
        assert_eq!(positions(&tracker), [30]);
        assert_eq!(tracker.outstanding(), 0);
    }

    #[test]
    fn a_position_is_submitted_once_and_again_after_a_failure() {
        let mut tracker = OffsetTracker::default();
        let lease = tracker.assign(partition(0));
        tracker.handed_over(lease, 1, Offset(0), Offset(5));
        tracker.acknowledged(1);
        submit(&mut tracker);
        assert_eq!(positions(&tracker), [] as [u64; 0]);
        tracker.commit_failed(lease);
        assert_eq!(positions(&tracker), [5]);
    }

    #[test]
    fn a_beginning_is_committed_before_any_acknowledgement_and_only_once() {
        let mut tracker = OffsetTracker::default();
        let lease = tracker.assign(partition(0));
        tracker.began(lease, Offset(7));
        tracker.handed_over(lease, 1, Offset(0), Offset(9));
        assert_eq!(positions(&tracker), [7]);
        submit(&mut tracker);
        tracker.began(lease, Offset(9));
        tracker.handed_over(lease, 2, Offset(0), Offset(12));
        assert_eq!(positions(&tracker), [] as [u64; 0]);
        tracker.acknowledged(1);
        assert_eq!(positions(&tracker), [9]);
    }

    #[test]
    fn an_acknowledgement_of_an_ended_lease_moves_nothing() {
        let mut tracker = OffsetTracker::default();
        let old = tracker.assign(partition(0));
        tracker.handed_over(old, 1, Offset(0), Offset(5));
        assert_eq!(tracker.revoke(old), None);
        assert!(!tracker.awaits(1));
        let new = tracker.assign(partition(0));
        tracker.handed_over(new, 2, Offset(0), Offset(3));
        tracker.acknowledged(1);
        assert_eq!(positions(&tracker), [] as [u64; 0]);
        tracker.acknowledged(2);
        assert_eq!(positions(&tracker), [3]);
    }

    #[test]
    fn a_batch_of_two_partitions_waits_for_the_one_that_stays() {
        let mut tracker = OffsetTracker::default();
        let (gone, kept) = (tracker.assign(partition(0)), tracker.assign(partition(1)));
        tracker.handed_over(gone, 1, Offset(0), Offset(5));
        tracker.handed_over(kept, 1, Offset(0), Offset(7));
        tracker.revoke(gone);
        assert!(tracker.awaits(1));
        tracker.acknowledged(1);
        assert_eq!(positions(&tracker), [7]);
    }

    /// The model keeps every batch of every lease and computes the front from scratch.
    #[derive(Default)]
    struct Model {
        live: Vec<(Lease, Vec<(u64, u64)>)>,
        durable: std::collections::HashSet<u64>,
        delivered: std::collections::HashSet<u64>,
        submitted: HashMap<Lease, (u64, u64)>,
    }

    impl Model {
        fn committable(&self) -> Vec<(Lease, (u64, u64))> {
            let mut all = Vec::new();
            for (lease, batches) in &self.live {
                let front = batches.iter().take_while(|(batch, _)| self.durable.contains(batch)).last();
                let is_there = |batch: &u64| self.durable.contains(batch) || self.delivered.contains(batch);
                let Some((_, delivered)) = batches.iter().take_while(|(batch, _)| is_there(batch)).last() else {
                    continue;
                };
                let position = (front.map_or(0, |(_, next)| *next), *delivered);
                if self.submitted.get(lease).is_none_or(|submitted| *submitted < position) {
                    all.push((*lease, position));
                }
            }
            all
        }

        fn outstanding(&self) -> usize {
            let batches = self.live.iter().flat_map(|(_, batches)| batches.iter().map(|(batch, _)| *batch));
            batches.filter(|batch| !self.durable.contains(batch)).collect::<std::collections::HashSet<_>>().len()
        }
    }

    #[derive(Debug, Clone)]
    enum Action {
        Assign(i32),
        Revoke(usize),
        /// One batch with records of the chosen leases.
        HandOver(Vec<usize>),
        Acknowledge(usize),
        Deliver(usize),
        Submit,
        Fail(usize),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            1 => (0..4i32).prop_map(Action::Assign),
            1 => any::<usize>().prop_map(Action::Revoke),
            6 => prop::collection::vec(any::<usize>(), 1..3).prop_map(Action::HandOver),
            6 => any::<usize>().prop_map(Action::Acknowledge),
            6 => any::<usize>().prop_map(Action::Deliver),
            2 => Just(Action::Submit),
            1 => any::<usize>().prop_map(Action::Fail),
        ]
    }

    proptest! {
        #[test]
        fn the_tracker_agrees_with_a_simple_model(actions in prop::collection::vec(action(), 1..120)) {
            let mut tracker = OffsetTracker::default();
            let mut model = Model::default();
            let mut next_batch = 0u64;
            for action in actions {
                match action {
                    Action::Assign(number) => {
                        let lease = tracker.assign(partition(number));
                        model.live.push((lease, Vec::new()));
                    }
                    Action::Revoke(index) if !model.live.is_empty() => {
                        let index = index % model.live.len();
                        let lease = model.live[index].0;
                        let expected = model.committable().into_iter().find(|(it, _)| *it == lease);
                        let left = tracker.revoke(lease).map(|it| (it.lease, (it.next.0, it.delivered.0)));
                        prop_assert_eq!(left, expected);
                        model.live.remove(index);
                    }
                    Action::HandOver(indexes) if !model.live.is_empty() => {
                        let mut chosen: Vec<usize> = indexes.iter().map(|i| i % model.live.len()).collect();
                        chosen.dedup();
                        chosen.sort_unstable();
                        chosen.dedup();
                        for index in chosen {
                            let (lease, batches) = &mut model.live[index];
                            let next = batches.last().map_or(0, |(_, next)| *next) + 10;
                            batches.push((next_batch, next));
                            tracker.handed_over(*lease, next_batch, Offset(0), Offset(next));
                        }
                        next_batch += 1;
                    }
                    Action::Acknowledge(index) if next_batch > 0 => {
                        // Any batch, acknowledged or not, of a live lease or not.
                        let batch = index as u64 % next_batch;
                        model.durable.insert(batch);
                        tracker.acknowledged(batch);
                    }
                    Action::Deliver(index) if next_batch > 0 => {
                        let batch = index as u64 % next_batch;
                        if !model.durable.contains(&batch) {
                            model.delivered.insert(batch);
                        }
                        tracker.delivered(batch);
                    }
                    Action::Submit => {
                        for it in tracker.committable() {
                            model.submitted.insert(it.lease, (it.next.0, it.delivered.0));
                            tracker.submitted(&it);
                        }
                    }
                    Action::Fail(index) if !model.live.is_empty() => {
                        let lease = model.live[index % model.live.len()].0;
                        model.submitted.remove(&lease);
                        tracker.commit_failed(lease);
                    }
                    _ => {}
                }
                let actual: Vec<_> = tracker.committable().into_iter().map(|it| (it.lease, (it.next.0, it.delivered.0))).collect();
                prop_assert_eq!(actual, model.committable());
                prop_assert_eq!(tracker.outstanding(), model.outstanding());
            }
        }
    }
}
