//! The writer of one table: a task that encodes its batches and commits its files.
//!
//! ```text
//! batches ──► split by day ──► one open file per day ──► flush: all files of the table
//!                                                          ├─ put the objects, side by side
//!                                                          ├─ wait for the flush before this one
//!                                                          └─ one commit, then the acknowledgements
//! ```
//!
//! A flush always takes all files of the table, so that a commit holds every row of every batch before it: what a source
//! may be told never depends on a later commit. While a flush is on its way the next files fill.
//!
//! A crash before the commit leaves objects that no log names: never rows. (Delta's `VACUUM` removes them.)

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use deltalake::kernel::Add;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use weir_contract::ack::Ack;
use weir_contract::batch::Batch;
use weir_contract::memory::{MemoryBudget, Permit};

use crate::lake::commit::{Append, TableLog};
use crate::lake::config::LakeConfig;
use crate::lake::encode::{EncodeOptions, EncodedFile, OpenFile};
use crate::lake::error::reason;
use crate::lake::layout::{self, DATE_COLUMN, Day};
use crate::lake::retry::{Decision, decide_now};
use crate::lake::schema::TableColumns;
use crate::lake::store::{LakeStore, TableStore};
use crate::metrics::SinkMetrics;
use crate::sink::{SinkError, TableTotals, chain};

/// Flushes of one table that may be on their way at once; a store slower than that stops the table's encoding.
const FLUSHES_IN_FLIGHT: usize = 3;
/// Objects of one flush that are put at once.
const PUTS_IN_FLIGHT: usize = 4;

/// What all tables' writers share.
pub(crate) struct Shared {
    pub(crate) config: Arc<LakeConfig>,
    pub(crate) store: LakeStore,
    pub(crate) budget: MemoryBudget,
    pub(crate) metrics: SinkMetrics,
    pub(crate) options: EncodeOptions,
    /// Files that are being encoded, over all tables.
    pub(crate) open_files: AtomicUsize,
    /// Bytes held by rows that no flush has taken yet.
    pub(crate) buffered_bytes: AtomicUsize,
}

/// What the sink tells a table's writer.
pub(crate) enum Command {
    /// Write these rows.
    Write(Batch),
    /// Commit what is there.
    Flush(FlushReason),
}

/// Why rows are committed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlushReason {
    Interval,
    Size,
    Pressure,
    End,
}

/// Rows of a table that no flush has taken yet.
#[derive(Default)]
struct Buffer {
    open: BTreeMap<Day, OpenFile>,
    /// Files ended early: their columns changed, or too many were open.
    ended: Vec<(Day, EncodedFile)>,
}

pub(crate) struct TableWriter {
    shared: Arc<Shared>,
    table: Arc<str>,
    store: TableStore,
    log: Arc<Mutex<TableLog>>,
    columns: TableColumns,
    buffer: Buffer,
    acks: Vec<Ack>,
    rows: u64,
    /// Bytes of `buffer` against the budget.
    permit: Permit,
    /// When the oldest row of `buffer` came.
    since: Option<tokio::time::Instant>,
    flushes: VecDeque<JoinHandle<Result<TableTotals, SinkError>>>,
    /// Told when the newest flush has committed.
    newest_done: Option<oneshot::Receiver<()>>,
    totals: TableTotals,
}

impl TableWriter {
    /// Loads the log of `table`.
    pub(crate) async fn open(shared: Arc<Shared>, table: Arc<str>) -> Result<Self, SinkError> {
        let store = shared.store.table(&table);
        let log = TableLog::open(Arc::clone(&table), store.clone(), Arc::clone(&shared.config), shared.metrics.clone())
            .await?;
        Ok(Self {
            columns: log.columns(),
            log: Arc::new(Mutex::new(log)),
            buffer: Buffer::default(),
            acks: Vec::new(),
            rows: 0,
            permit: shared.budget.charge(0),
            since: None,
            flushes: VecDeque::new(),
            newest_done: None,
            totals: TableTotals::default(),
            shared,
            table,
            store,
        })
    }

    /// Obeys commands until their channel closes, commits what is left, and returns the totals.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<TableTotals, SinkError> {
        loop {
            let due = self.since.map(|since| since + self.shared.config.flush_interval.0);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Write(batch)) => self.write(batch).await?,
                    Some(Command::Flush(reason)) => self.flush(reason).await?,
                    None => break,
                },
                () = sleep_until(due) => self.flush(FlushReason::Interval).await?,
                done = first(&mut self.flushes) => {
                    self.flushes.pop_front();
                    self.count(done)?;
                }
            }
        }
        self.flush(FlushReason::End).await?;
        while let Some(flush) = self.flushes.pop_front() {
            self.count(flush.await)?;
        }
        Ok(self.totals)
    }

    async fn write(&mut self, batch: Batch) -> Result<(), SinkError> {
        let started = Instant::now();
        let rows = batch.rows.num_rows();
        let is_new = self.columns.is_empty();
        self.columns.admit(&self.table, &batch.rows.schema())?;
        if is_new {
            self.columns.choose_indexed();
        }
        let before = self.buffer.open.len();
        let job = EncodeJob {
            buffer: std::mem::take(&mut self.buffer),
            columns: self.columns.clone(),
            options: self.shared.options,
            room: self.room(),
        };
        let data = batch.rows;
        let encoded = tokio::task::spawn_blocking(move || job.run(data))
            .await
            .map_err(|error| SinkError::encode(&self.table, error))?;
        self.buffer = encoded.map_err(|error| SinkError::encode(&self.table, error))?;
        let after = self.buffer.open.len();
        self.shared.open_files.fetch_add(after, Ordering::Relaxed);
        self.shared.open_files.fetch_sub(before, Ordering::Relaxed);

        self.acks.push(batch.ack);
        self.rows += rows as u64;
        self.since.get_or_insert_with(tokio::time::Instant::now);
        self.hold(self.buffer.memory());
        // The rows themselves are gone by now; what remains of them is in `self.permit`.
        drop(batch.permit);
        let metrics = &self.shared.metrics;
        metrics.encode_seconds.with_label_values(&["lake"]).observe(started.elapsed().as_secs_f64());
        metrics.buffered_rows.with_label_values(&["lake"]).add(rows as i64);

        let target = self.shared.config.target_file_size.as_usize();
        if self.buffer.largest() >= target { self.flush(FlushReason::Size).await } else { Ok(()) }
    }

    /// Ends all files and sends them on their way.
    async fn flush(&mut self, why: FlushReason) -> Result<(), SinkError> {
        if self.acks.is_empty() {
            return Ok(());
        }
        self.shared.metrics.flushes.with_label_values(&["lake", why.name()]).inc();
        let buffer = std::mem::take(&mut self.buffer);
        self.shared.open_files.fetch_sub(buffer.open.len(), Ordering::Relaxed);
        let files = tokio::task::spawn_blocking(move || buffer.finish())
            .await
            .map_err(|error| SinkError::encode(&self.table, error))?
            .map_err(|error| SinkError::encode(&self.table, error))?;
        self.hold(0);
        let bytes = files.iter().map(|(_, file)| file.bytes.len()).sum();
        let (done, told) = oneshot::channel();
        let flush = Flush {
            shared: Arc::clone(&self.shared),
            table: Arc::clone(&self.table),
            store: self.store.clone(),
            log: Arc::clone(&self.log),
            columns: self.columns.clone(),
            files,
            acks: std::mem::take(&mut self.acks),
            rows: std::mem::take(&mut self.rows),
            _permit: self.shared.budget.charge(bytes),
            before: self.newest_done.replace(told),
            done,
        };
        self.since = None;
        self.flushes.push_back(tokio::spawn(flush.run()));
        while self.flushes.len() > FLUSHES_IN_FLIGHT
            && let Some(oldest) = self.flushes.pop_front()
        {
            self.count(oldest.await)?;
        }
        Ok(())
    }

    fn count(
        &mut self,
        flushed: Result<Result<TableTotals, SinkError>, tokio::task::JoinError>,
    ) -> Result<(), SinkError> {
        let totals = flushed.map_err(|error| SinkError::encode(&self.table, error))??;
        self.totals.add(totals);
        Ok(())
    }

    /// Files that may still be opened, over all tables; at least one, so that every table gets on.
    fn room(&self) -> usize {
        let others = self.shared.open_files.load(Ordering::Relaxed).saturating_sub(self.buffer.open.len());
        self.shared.config.max_open_files.saturating_sub(others).max(1)
    }

    fn hold(&mut self, bytes: usize) {
        let before = self.permit.bytes();
        self.permit.resize(bytes);
        self.shared.buffered_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.shared.buffered_bytes.fetch_sub(before, Ordering::Relaxed);
        self.shared.metrics.buffered_bytes.with_label_values(&["lake"]).add(bytes as i64 - before as i64);
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        self.shared.open_files.fetch_sub(self.buffer.open.len(), Ordering::Relaxed);
        self.hold(0);
        // A flush outlives its writer only if it is let: after an error nothing more may become visible.
        self.flushes.iter().for_each(JoinHandle::abort);
    }
}

struct EncodeJob {
    buffer: Buffer,
    columns: TableColumns,
    options: EncodeOptions,
    room: usize,
}

impl EncodeJob {
    fn run(self, rows: arrow::record_batch::RecordBatch) -> Result<Buffer, parquet::errors::ParquetError> {
        let Self { mut buffer, columns, options, room } = self;
        for (day, part) in layout::split_by_day(rows, today())? {
            let lacks_columns = |file: &OpenFile| file.columns() != &columns && !file.columns().covers(&part.schema());
            if buffer.open.get(&day).is_some_and(lacks_columns) {
                buffer.end(day)?;
            }
            if !buffer.open.contains_key(&day) {
                while buffer.open.len() >= room
                    && let Some(smallest) = buffer.smallest()
                {
                    buffer.end(smallest)?;
                }
                buffer.open.insert(day, OpenFile::new(columns.clone(), options)?);
            }
            buffer.open.get_mut(&day).expect("opened above").write(&part)?;
        }
        Ok(buffer)
    }
}

impl Buffer {
    fn memory(&self) -> usize {
        let open: usize = self.open.values().map(OpenFile::memory).sum();
        open + self.ended.iter().map(|(_, file)| file.bytes.len()).sum::<usize>()
    }

    fn largest(&self) -> usize {
        self.open.values().map(OpenFile::memory).max().unwrap_or(0)
    }

    fn smallest(&self) -> Option<Day> {
        self.open.iter().min_by_key(|(_, file)| file.memory()).map(|(day, _)| *day)
    }

    fn end(&mut self, day: Day) -> Result<(), parquet::errors::ParquetError> {
        if let Some(file) = self.open.remove(&day) {
            self.ended.push((day, file.finish()?));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<(Day, EncodedFile)>, parquet::errors::ParquetError> {
        while let Some((day, _)) = self.open.first_key_value() {
            self.end(*day)?;
        }
        Ok(self.ended)
    }
}

/// Files on their way to the store and into the log.
struct Flush {
    shared: Arc<Shared>,
    table: Arc<str>,
    store: TableStore,
    log: Arc<Mutex<TableLog>>,
    columns: TableColumns,
    files: Vec<(Day, EncodedFile)>,
    acks: Vec<Ack>,
    rows: u64,
    _permit: Permit,
    before: Option<oneshot::Receiver<()>>,
    done: oneshot::Sender<()>,
}

impl Flush {
    async fn run(mut self) -> Result<TableTotals, SinkError> {
        let result = self.try_run().await;
        let metrics = &self.shared.metrics;
        metrics.buffered_rows.with_label_values(&["lake"]).sub(self.rows as i64);
        match result {
            Ok(totals) => {
                let labels = ["lake", &*self.table];
                metrics.rows.with_label_values(&labels).inc_by(totals.rows);
                metrics.bytes.with_label_values(&labels).inc_by(totals.bytes);
                metrics.batches.with_label_values(&labels).inc_by(totals.batches);
                metrics.commits.with_label_values(&labels).inc();
                self.acks.into_iter().for_each(Ack::done);
                // Nobody listens after the last flush.
                let _ = self.done.send(());
                Ok(totals)
            }
            Err(error) => {
                metrics.failures.with_label_values(&["lake", reason(&error)]).inc();
                Err(error)
            }
        }
    }

    async fn try_run(&mut self) -> Result<TableTotals, SinkError> {
        let files = std::mem::take(&mut self.files);
        let this = &*self;
        let adds: Vec<Add> = futures::stream::iter(files)
            .map(|(day, file)| this.put(day, file))
            .buffer_unordered(PUTS_IN_FLIGHT)
            .try_collect()
            .await?;
        if let Some(before) = self.before.take()
            && before.await.is_err()
        {
            let source = "the flush before it failed".into();
            return Err(SinkError::Unavailable {
                operation: "commit to",
                target: self.store.url().to_string(),
                source,
            });
        }
        let totals = TableTotals {
            rows: self.rows,
            bytes: adds.iter().map(|add| add.size as u64).sum(),
            batches: self.acks.len() as u64,
            ..TableTotals::default()
        };
        let append = Append { columns: self.columns.clone(), adds, transactions: Vec::new() };
        let started = Instant::now();
        let version = self.log.lock().await.commit(&append).await?;
        self.shared.metrics.commit_seconds.with_label_values(&["lake"]).observe(started.elapsed().as_secs_f64());
        tracing::debug!(table = %self.table, version, rows = totals.rows, bytes = totals.bytes, "committed");
        Ok(totals)
    }

    async fn put(&self, day: Day, file: EncodedFile) -> Result<Add, SinkError> {
        let path = layout::new_file(day);
        let mut attempt = 1;
        loop {
            let started = Instant::now();
            let error = match self.store.put(&path, file.bytes.clone()).await {
                Ok(()) => {
                    let seconds = started.elapsed().as_secs_f64();
                    self.shared.metrics.write_seconds.with_label_values(&["lake"]).observe(seconds);
                    break;
                }
                Err(error) => error,
            };
            let shown = chain(&error);
            match decide_now(&self.shared.config.retry, attempt, error) {
                Decision::Again(pause) => {
                    self.shared.metrics.retries.with_label_values(&["lake", "put"]).inc();
                    tracing::warn!(table = %self.table, attempt, ?pause, error = shown, "trying a put again");
                    attempt += 1;
                    tokio::time::sleep(pause).await;
                }
                Decision::Stop(error) => return Err(error),
            }
        }
        Ok(Add {
            path,
            partition_values: [(DATE_COLUMN.to_owned(), Some(day.iso()))].into(),
            size: file.bytes.len() as i64,
            modification_time: chrono::Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(file.stats),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }
}

impl FlushReason {
    fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Size => "size",
            Self::Pressure => "pressure",
            Self::End => "end",
        }
    }
}

fn today() -> Day {
    Day::of(chrono::Utc::now().timestamp_micros())
}

/// Completes at `due`, or never.
async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The result of the oldest flush; never completes if there is none.
async fn first<T>(flushes: &mut VecDeque<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match flushes.front_mut() {
        Some(flush) => flush.await,
        None => std::future::pending().await,
    }
}
