//! The lake sink: one Delta table per destination table, at `<url>/<Table>/`.
//!
//! [`LakeSink`] hands each batch to the writer of its table (`table`), a task of its own, so that tables are encoded
//! side by side and a slow commit of one does not hold up another. A writer encodes into Parquet files in memory
//! (`encode`), one per event date (`layout`), and commits them to the table's log (`commit`) after
//! `flush_interval`, at `target_file_size`, when a source waits for memory, and at the end. The acknowledgement of a
//! batch is answered after the commit that holds all its rows.
//!
//! The sink buffers at most what the memory budget lets through: the bytes of open and travelling files are held
//! against it, and a source that waits for room makes the writers commit early.

mod commit;
pub mod config;
mod encode;
mod error;
mod layout;
#[cfg(test)]
mod once_tests;
mod progress;
pub mod read;
mod retry;
mod rewrite;
mod schema;
mod stats;
mod store;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parquet::basic::ZstdLevel;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use weir_contract::batch::Batch;
use weir_contract::memory::MemoryBudget;

pub use self::layout::{DATE_COLUMN, TIME_COLUMN};

use self::config::LakeConfig;
use self::encode::EncodeOptions;
use self::store::LakeStore;
use self::table::{Command, FlushReason, Shared, TableWriter};
use crate::metrics::SinkMetrics;
use crate::sink::{Sink, SinkError, SinkSummary, TableTotals};

/// Batches that wait before a table's writer.
const QUEUE: usize = 1;
/// How often the sink looks whether a source waits for memory.
const PRESSURE_TICK: Duration = Duration::from_millis(50);

/// Writes batches to Delta tables.
pub struct LakeSink {
    shared: Arc<Shared>,
}

impl LakeSink {
    /// The sink, from its config; touches neither disk nor network.
    pub fn new(config: LakeConfig, budget: MemoryBudget, metrics: SinkMetrics) -> Result<Self, SinkError> {
        config.validate()?;
        let store = LakeStore::open(&config)?;
        Self::with_store(config, store, budget, metrics)
    }

    fn with_store(
        config: LakeConfig,
        store: LakeStore,
        budget: MemoryBudget,
        metrics: SinkMetrics,
    ) -> Result<Self, SinkError> {
        let compression = ZstdLevel::try_new(config.compression_level)
            .map_err(|error| SinkError::config(format!("lake: `compression_level`: {error}")))?;
        let options = EncodeOptions { compression, row_group_rows: config.row_group_rows as usize };
        let shared = Shared {
            config: Arc::new(config),
            store,
            budget,
            metrics,
            options,
            open_files: AtomicUsize::new(0),
            buffered_bytes: AtomicUsize::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

#[async_trait]
impl Sink for LakeSink {
    fn name(&self) -> &str {
        "lake"
    }

    async fn check(&mut self) -> Result<(), SinkError> {
        self.shared.store.probe().await
    }

    async fn run(self: Box<Self>, input: mpsc::Receiver<Batch>) -> Result<SinkSummary, SinkError> {
        Router { shared: self.shared, input, tables: HashMap::new(), writers: JoinSet::new() }.run().await
    }
}

/// Brings batches to the writers of their tables.
struct Router {
    shared: Arc<Shared>,
    input: mpsc::Receiver<Batch>,
    tables: HashMap<Arc<str>, mpsc::Sender<Command>>,
    writers: JoinSet<Result<(Arc<str>, TableTotals), SinkError>>,
}

impl Router {
    async fn run(mut self) -> Result<SinkSummary, SinkError> {
        let mut pressure = tokio::time::interval(PRESSURE_TICK);
        pressure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_batch = Instant::now();
        loop {
            tokio::select! {
                batch = self.input.recv() => match batch {
                    Some(batch) => {
                        self.route(batch).await?;
                        last_batch = Instant::now();
                    }
                    None => break,
                },
                Some(ended) = self.writers.join_next() => self.failed(ended)?,
                _ = pressure.tick() => {
                    if self.should_give_room(last_batch.elapsed()) {
                        self.flush_all(FlushReason::Pressure).await?;
                    }
                }
            }
        }
        self.tables.clear();
        let mut summary = SinkSummary::default();
        while let Some(ended) = self.writers.join_next().await {
            let (table, totals) = joined(ended)?;
            summary.add(&table, totals);
        }
        Ok(summary)
    }

    async fn route(&mut self, batch: Batch) -> Result<(), SinkError> {
        if batch.rows.num_rows() == 0 {
            batch.ack.done();
            return Ok(());
        }
        if !self.tables.contains_key(&batch.table) {
            self.start(Arc::clone(&batch.table));
        }
        let writer = self.tables.get(&batch.table).expect("started above");
        if writer.send(Command::Write(batch)).await.is_err() { self.writer_died().await } else { Ok(()) }
    }

    fn start(&mut self, table: Arc<str>) {
        let (commands, obeyed) = mpsc::channel(QUEUE);
        self.tables.insert(Arc::clone(&table), commands);
        let shared = Arc::clone(&self.shared);
        self.writers.spawn(async move {
            let totals = TableWriter::open(shared, Arc::clone(&table)).await?.run(obeyed).await?;
            Ok((table, totals))
        });
    }

    async fn flush_all(&mut self, why: FlushReason) -> Result<(), SinkError> {
        for writer in self.tables.values() {
            if writer.send(Command::Flush(why)).await.is_err() {
                return self.writer_died().await;
            }
        }
        Ok(())
    }

    /// Whether a source waits for memory that a flush would give back.
    ///
    /// Files that are cut off early are small, so a little is worth it only when nothing else would make room: no batch
    /// came for two ticks, and most of what is held is held here. (Where a slow workspace holds the memory, a commit
    /// for each batch that trickles in would free next to nothing and leave a great many small files. What others hold
    /// they free by themselves, so this part becomes the largest if it is what the source waits for.)
    fn should_give_room(&self, idle: Duration) -> bool {
        let held = self.shared.buffered_bytes.load(Ordering::Relaxed);
        let budget = &self.shared.budget;
        held > 0
            && budget.is_under_pressure()
            && (held >= budget.limit() / 4 || (idle >= 2 * PRESSURE_TICK && held >= budget.used() / 2))
    }

    /// The error of a writer that takes no more commands.
    async fn writer_died(&mut self) -> Result<(), SinkError> {
        match self.writers.join_next().await {
            Some(ended) => self.failed(ended),
            None => Ok(()),
        }
    }

    /// A writer ends while its channel is open only by an error.
    fn failed(
        &mut self,
        ended: Result<Result<(Arc<str>, TableTotals), SinkError>, tokio::task::JoinError>,
    ) -> Result<(), SinkError> {
        joined(ended).map(|_| ())
    }
}

fn joined<T>(ended: Result<Result<T, SinkError>, tokio::task::JoinError>) -> Result<T, SinkError> {
    ended.unwrap_or_else(|error| Err(SinkError::encode("(unknown)", error)))
}
