//! Hands the buffer's records to the pipeline, and moves its front behind what the sinks have.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_buffer::buffer::{Buffer, BufferError};
use weir_contract::ack::{self, AckReport, AckSender};
use weir_contract::batch::{Framing, RawBatch, RawRecord};
use weir_contract::memory::MemoryBudget;
use weir_contract::position::{Offset, OffsetRange, Origin, PartitionId, Repeats, SourceName};

use super::intake::now_us;
use super::metrics::PushMetrics;
use crate::metrics::IngestMetrics;
use crate::source::SourceError;

/// Bytes of one batch, about: as much as a worker decodes in some milliseconds.
const BATCH_BYTES: u64 = 1 << 20;
/// How often the front is stored: what a crash may bring a second time.
const STORE_EVERY: Duration = Duration::from_millis(200);

/// What hands one buffer's records over.
pub(crate) struct Delivery {
    pub(crate) name: SourceName,
    pub(crate) buffer: Buffer,
    pub(crate) budget: MemoryBudget,
    pub(crate) metrics: IngestMetrics,
    /// Whether to end when all that was there is handed over.
    pub(crate) until_end: bool,
}

/// Batches on their way, in order: the number behind the last record of each, and whether it is acknowledged.
#[derive(Debug, Default)]
struct Pending(VecDeque<(u64, bool)>);

impl Pending {
    fn handed_over(&mut self, next: u64) {
        self.0.push_back((next, false));
    }

    /// Notes that the batch that ends before `next` is durable; returns the new front, if it moved.
    fn acknowledged(&mut self, next: u64) -> Option<u64> {
        if let Ok(index) = self.0.binary_search_by_key(&next, |(next, _)| *next) {
            self.0[index].1 = true;
        }
        let mut front = None;
        while let Some((next, true)) = self.0.front() {
            front = Some(*next);
            self.0.pop_front();
        }
        front
    }
}

impl Delivery {
    /// Runs until the stop (or the end), then waits for the acknowledgements of all that was handed over.
    pub(crate) async fn run(self, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError> {
        let (acks, reports) = ack::channel();
        let pending = Mutex::new(Pending::default());
        // A batch that is not durable stops this source alone.
        let stop = stop.child_token();
        let handing_over = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                // It owns the senders of reports: behind it, these end with the last acknowledgement.
                result = self.hand_over(acks, &pending, out) => result,
            }
        };
        let (handed, settled) = tokio::join!(handing_over, self.settle(reports, &pending, &stop));
        settled.and(handed)
    }

    async fn hand_over(
        &self,
        acks: AckSender,
        pending: &Mutex<Pending>,
        out: mpsc::Sender<RawBatch>,
    ) -> Result<(), SourceError> {
        let partition = PartitionId(format!("buffer-{}", self.buffer.id()).into());
        loop {
            let wanted = match self.until_end {
                true => self.buffer.ready_now(BATCH_BYTES),
                false => self.buffer.ready(BATCH_BYTES).await,
            };
            let wanted = wanted.map_err(|error| self.failed(error))?;
            if wanted == 0 {
                return Ok(());
            }
            let mut permit = self.budget.reserve(usize::try_from(wanted).unwrap_or(usize::MAX)).await;
            let slot = out.reserve().await.map_err(|_| SourceError::Closed { source_name: self.name.clone() })?;
            let buffer = self.buffer.clone();
            // Were this future dropped here, the records read would not be handed over; none behind them would be either.
            let read = tokio::task::spawn_blocking(move || buffer.read(wanted)).await;
            let read = read.map_err(|_| SourceError::ReaderDied { source_name: self.name.clone() })?;
            let read = read.map_err(|error| self.failed(error))?;
            let (Some(first), Some(last)) = (read.records.first(), read.records.last()) else { continue };
            let (start, next) = (first.sequence, last.sequence + 1);
            let records: Vec<RawRecord> = read
                .records
                .iter()
                .map(|record| RawRecord {
                    payload: record.payload.clone(),
                    partition: 0,
                    offset: Offset(record.sequence),
                })
                .collect();
            permit.resize(usize::try_from(wanted).unwrap_or(usize::MAX) + records.len() * size_of::<RawRecord>());
            pending.lock().expect("no panic while it is held").handed_over(next);
            let range = OffsetRange {
                partition: partition.clone(),
                start: Offset(start),
                next: Offset(next),
                delivered: Offset(0),
            };
            slot.send(RawBatch {
                origin: Arc::new(Origin { source: self.name.clone(), ranges: vec![range], positions: Repeats::Same }),
                framing: Framing::Pushed,
                default_table: None,
                records,
                ack: acks.issue(next),
                permit,
            });
        }
    }

    /// Takes the acknowledgements in until there can be no more, and stores the front.
    async fn settle(
        &self,
        mut reports: mpsc::UnboundedReceiver<AckReport>,
        pending: &Mutex<Pending>,
        stop: &CancellationToken,
    ) -> Result<(), SourceError> {
        let mut not_durable = None;
        let mut tick = tokio::time::interval(STORE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                report = reports.recv() => match report {
                    None => break,
                    Some(AckReport { batch, durable: true, .. }) => {
                        let front = pending.lock().expect("no panic while it is held").acknowledged(batch);
                        if let Some(front) = front {
                            self.buffer.acknowledge(front);
                        }
                    }
                    Some(AckReport { batch, durable: false, .. }) => {
                        not_durable.get_or_insert(batch);
                        stop.cancel();
                    }
                },
                _ = tick.tick() => {
                    // The next tick tries again; what is not stored may come a second time after a crash, no more.
                    if let Err(error) = self.store_front().await {
                        tracing::warn!(
                            source = %self.name,
                            error = &error as &dyn std::error::Error,
                            "the buffer's front could not be stored; it is tried again"
                        );
                    }
                    self.publish(&self.metrics.push);
                }
            }
        }
        self.store_front().await.map_err(|error| self.failed(error))?;
        self.publish(&self.metrics.push);
        match not_durable {
            Some(batch) => Err(SourceError::NotDurable { source_name: self.name.clone(), batch }),
            None => Ok(()),
        }
    }

    async fn store_front(&self) -> Result<(), BufferError> {
        let buffer = self.buffer.clone();
        tokio::task::spawn_blocking(move || buffer.store_front()).await.unwrap_or(Err(BufferError::Closed))
    }

    fn publish(&self, metrics: &PushMetrics) {
        let stats = self.buffer.stats();
        let source = &[self.name.as_ref()];
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.buffer_bytes.with_label_values(source).set(number(stats.bytes));
        metrics.buffer_records.with_label_values(source).set(number(stats.records));
        metrics.buffer_damaged.with_label_values(source).set(number(stats.damaged));
        let age = stats.oldest_us.map_or(0, |oldest| (now_us() - oldest).max(0) / 1_000_000);
        metrics.buffer_oldest.with_label_values(source).set(age);
    }

    fn failed(&self, error: BufferError) -> SourceError {
        SourceError::Service {
            source_name: self.name.clone(),
            problem: "its buffer failed".to_owned(),
            retryable: true,
            source: Some(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_never_passes_a_pending_batch() {
        let mut pending = Pending::default();
        for next in [10, 20, 30] {
            pending.handed_over(next);
        }
        assert_eq!(pending.acknowledged(20), None);
        assert_eq!(pending.acknowledged(99), None, "a batch that is not ours");
        assert_eq!(pending.acknowledged(10), Some(20));
        assert_eq!(pending.acknowledged(30), Some(30));
    }
}
