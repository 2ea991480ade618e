//! Commits offsets on a thread of their own, so that polling never waits for a broker's answer.
//!
//! The commits are synchronous ones: of an asynchronous commit that the application asks for, this client tells no
//! outcome (librdkafka hands it to `offset_commit_cb` alone, and rdkafka sets none since it reads events).

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use super::context::{Context, offset_list};
use super::offsets::Committable;

/// Sends positions to the broker, one commit after the other, and tells the assignment what became of them.
pub(super) struct Committer {
    queue: SyncSender<Vec<Committable>>,
    thread: JoinHandle<()>,
}

impl Committer {
    /// Starts the thread; it lives until [`Committer::finish`] or the drop.
    pub(super) fn start(consumer: Arc<BaseConsumer<Context>>) -> std::io::Result<Self> {
        let (queue, positions) = sync_channel::<Vec<Committable>>(1); // one commit waits while one is under way
        let run = move || {
            for mut positions in positions {
                // A rebalance may have come between.
                consumer.context().assignment.retain_live(&mut positions);
                if !positions.is_empty() {
                    commit(&consumer, &positions);
                }
            }
        };
        let thread = std::thread::Builder::new().name("kafka-commit".to_owned()).spawn(run)?;
        Ok(Self { queue, thread })
    }

    /// Queues a commit; false if the last two have not been answered yet.
    pub(super) fn submit(&self, positions: Vec<Committable>) -> bool {
        self.queue.try_send(positions).is_ok()
    }

    /// Waits until everything that was queued is answered, and lets go of the consumer.
    pub(super) fn finish(self) {
        drop(self.queue);
        // It has nothing to panic about; if it did, the commits were not confirmed, which was seen already.
        let _ = self.thread.join();
    }
}

fn commit(consumer: &BaseConsumer<Context>, positions: &[Committable]) {
    let context = consumer.context();
    let result = consumer.commit(&offset_list(positions), CommitMode::Sync);
    if let Err(error) = &result {
        tracing::warn!(source = %context.source, %error, "cannot commit offsets, trying again");
    }
    context.assignment.commit_answered(positions, result.is_ok());
    context.metrics.count_in_flight(&context.source, context.assignment.in_flight());
}
