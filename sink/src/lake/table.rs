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
//! may be told never depends on a later commit. While a flush is on its way the next files fill. A raw batch that several
//! batches of the table come from is never cut in two: its offset is committed with all of its rows.
//!
//! Rows that the table has are skipped, by their position (`progress`): mostly before they are encoded, and where
//! another worker was faster, when the commit finds it out; the files are then written anew without them.
//!
//! A crash before the commit leaves objects that no log names: never rows. (Delta's `VACUUM` removes them.)

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use deltalake::kernel::Add;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use weir_contract::ack::Ack;
use weir_contract::batch::Batch;
use weir_contract::memory::{MemoryBudget, Permit};
use weir_contract::position::Offset;

use crate::lake::commit::{Append, Committed, TableLog};
use crate::lake::config::LakeConfig;
use crate::lake::encode::{EncodeOptions, EncodedFile, OpenFile, RowKey};
use crate::lake::error::reason;
use crate::lake::layout::{self, DATE_COLUMN, Day, DayRows};
use crate::lake::progress::{Reach, Streams};
use crate::lake::retry::{Decision, decide_now};
use crate::lake::rewrite;
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

impl Shared {
    /// Counts rows that `table` has already.
    fn count_skipped(&self, table: &str, rows: usize) {
        self.metrics.skipped.with_label_values(&["lake", table]).inc_by(rows as u64);
    }
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
    streams: Streams,
    /// How far `buffer` brings each stream.
    reach: BTreeMap<u32, Reach>,
    /// Whether the table waits for the rest of a raw batch; nothing is committed then.
    has_more: bool,
    /// A flush that waits for that rest.
    wanted: Option<FlushReason>,
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
            streams: Streams::default(),
            reach: BTreeMap::new(),
            has_more: false,
            wanted: None,
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
            let since = self.since.filter(|_| !self.has_more);
            let due = since.map(|since| since + self.shared.config.flush_interval.0);
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
        let (rows, keys) = self.admit(&batch).await?;
        let Batch { ack, permit, has_more, .. } = batch;
        self.has_more = has_more;
        if !has_more {
            for (stream, reach) in self.streams.finish() {
                self.reach.entry(stream).or_insert(reach).widen(reach);
            }
        }
        // Also of rows that are skipped: those that they repeat may still be on their way, in front of this flush.
        self.acks.push(ack);
        self.since.get_or_insert_with(tokio::time::Instant::now);
        if rows.num_rows() > 0 {
            self.encode(rows, keys, started).await?;
        }
        // The rows themselves are gone by now; what remains of them is in `self.permit`.
        drop(permit);
        let target = self.shared.config.target_file_size.as_usize();
        let why = if self.buffer.largest() >= target { Some(FlushReason::Size) } else { self.wanted };
        match why {
            Some(why) => self.flush(why).await,
            None => Ok(()),
        }
    }

    /// The rows of a batch that the table does not have, and where they came from.
    async fn admit(&mut self, batch: &Batch) -> Result<(RecordBatch, Vec<RowKey>), SinkError> {
        let unmet = self.streams.unmet(&batch.origin);
        let reached = match unmet.is_empty() {
            true => HashMap::new(),
            false => self.log.lock().await.reached(&unmet).await?,
        };
        self.streams.meet(&batch.origin, |id| reached.get(id).copied().unwrap_or_default());
        let admitted = self.streams.admit(batch);
        let rows = match &admitted.kept {
            None => batch.rows.clone(),
            Some(kept) => {
                self.shared.count_skipped(&self.table, batch.rows.num_rows() - admitted.keys.len());
                filter_record_batch(&batch.rows, kept).map_err(|error| SinkError::encode(&self.table, error))?
            }
        };
        Ok((rows, admitted.keys))
    }

    /// Adds rows to the files.
    async fn encode(&mut self, rows: RecordBatch, keys: Vec<RowKey>, started: Instant) -> Result<(), SinkError> {
        let count = rows.num_rows();
        let is_new = self.columns.is_empty();
        self.columns.admit(&self.table, &rows.schema())?;
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
        let encoded = tokio::task::spawn_blocking(move || job.run(rows, &keys))
            .await
            .map_err(|error| SinkError::encode(&self.table, error))?;
        self.buffer = encoded.map_err(|error| SinkError::encode(&self.table, error))?;
        let after = self.buffer.open.len();
        self.shared.open_files.fetch_add(after, Ordering::Relaxed);
        self.shared.open_files.fetch_sub(before, Ordering::Relaxed);

        self.rows += count as u64;
        self.hold(self.buffer.memory());
        let metrics = &self.shared.metrics;
        metrics.encode_seconds.with_label_values(&["lake"]).observe(started.elapsed().as_secs_f64());
        metrics.buffered_rows.with_label_values(&["lake"]).add(count as i64);
        Ok(())
    }

    /// Ends all files and sends them on their way.
    async fn flush(&mut self, why: FlushReason) -> Result<(), SinkError> {
        if self.acks.is_empty() {
            return Ok(());
        }
        if self.has_more {
            // At the end the rest will not come; what is here is not acknowledged, and read again.
            self.wanted = Some(why);
            return Ok(());
        }
        self.wanted = None;
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
            reach: std::mem::take(&mut self.reach)
                .into_iter()
                .map(|(stream, reach)| (stream, (self.streams.id(stream).to_owned(), reach)))
                .collect(),
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
    fn run(self, rows: RecordBatch, keys: &[RowKey]) -> Result<Buffer, parquet::errors::ParquetError> {
        let Self { mut buffer, columns, options, room } = self;
        for DayRows { day, rows, places } in layout::split_by_day(rows, today())? {
            let picked: Option<Vec<RowKey>> =
                places.map(|places| places.into_iter().map(|place| keys[place as usize]).collect());
            let lacks_columns = |file: &OpenFile| file.columns() != &columns && !file.columns().covers(&rows.schema());
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
            let file = buffer.open.get_mut(&day).expect("opened above");
            file.write(&rows, picked.as_deref().unwrap_or(keys))?;
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

/// A file that is in the store and not yet in the log.
struct StoredFile {
    day: Day,
    /// Kept until the commit, which may find that some of the rows must be left out.
    encoded: EncodedFile,
    add: Add,
}

/// Files on their way to the store and into the log.
struct Flush {
    shared: Arc<Shared>,
    table: Arc<str>,
    store: TableStore,
    log: Arc<Mutex<TableLog>>,
    columns: TableColumns,
    files: Vec<(Day, EncodedFile)>,
    /// By number, each stream's transaction id and how far the files bring it.
    reach: BTreeMap<u32, (String, Reach)>,
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
                // A flush of nothing but rows that the table has commits nothing.
                metrics.commits.with_label_values(&labels).inc_by(u64::from(totals.rows > 0));
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
        let encoded = std::mem::take(&mut self.files);
        let mut files = self.put_all(encoded).await?;
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
        let started = Instant::now();
        while !files.is_empty() {
            let adds = files.iter().map(|file| file.add.clone()).collect();
            let append =
                Append { columns: self.columns.clone(), adds, progress: self.reach.values().cloned().collect() };
            let committed = self.log.lock().await.commit(&append).await?;
            match committed {
                Committed::At(version) => {
                    let seconds = started.elapsed().as_secs_f64();
                    self.shared.metrics.commit_seconds.with_label_values(&["lake"]).observe(seconds);
                    tracing::debug!(table = %self.table, version, files = files.len(), "committed");
                    break;
                }
                Committed::Overtaken(reached) => files = self.leave_out(files, &reached).await?,
            }
        }
        Ok(TableTotals {
            rows: files.iter().map(|file| file.encoded.keys.len() as u64).sum(),
            bytes: files.iter().map(|file| file.add.size as u64).sum(),
            batches: self.acks.len() as u64,
            ..TableTotals::default()
        })
    }

    /// Writes the files anew without the rows that another writer has committed: those of the streams in `reached`, by
    /// transaction id, that lie before its offset.
    async fn leave_out(
        &mut self,
        files: Vec<StoredFile>,
        reached: &HashMap<String, Offset>,
    ) -> Result<Vec<StoredFile>, SinkError> {
        let mut limits = HashMap::new();
        self.reach.retain(|stream, (id, reach)| {
            let Some(next) = reached.get(id) else { return true };
            limits.insert(*stream, *next);
            reach.from = reach.from.max(*next);
            reach.from < reach.next
        });
        let is_new =
            |key: &RowKey| key.stream.and_then(|stream| limits.get(&stream)).is_none_or(|next| key.offset >= *next);
        let (kept, old): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.encoded.keys.iter().all(is_new));
        let mut remade = Vec::new();
        let mut skipped = 0;
        for StoredFile { day, encoded, add } in old {
            let keep: Vec<bool> = encoded.keys.iter().map(is_new).collect();
            skipped += keep.iter().filter(|keep| !**keep).count();
            let (columns, options) = (self.columns.clone(), self.shared.options);
            let remaining = tokio::task::spawn_blocking(move || rewrite::without(&encoded, &keep, columns, options))
                .await
                .map_err(|error| SinkError::encode(&self.table, error))?
                .map_err(|error| SinkError::encode(&self.table, error))?;
            remade.extend(remaining.map(|file| (day, file)));
            // No log names it; a failure only leaves it for Delta's own cleaning.
            self.store.delete(&add.path).await;
        }
        tracing::info!(
            table = %self.table,
            rows = skipped,
            "another worker has committed these rows; they are not written again"
        );
        self.shared.count_skipped(&self.table, skipped);
        let mut files = kept;
        files.extend(self.put_all(remade).await?);
        Ok(files)
    }

    async fn put_all(&self, files: Vec<(Day, EncodedFile)>) -> Result<Vec<StoredFile>, SinkError> {
        let put = futures::stream::iter(files).map(|(day, file)| self.put(day, file));
        put.buffer_unordered(PUTS_IN_FLIGHT).try_collect().await
    }

    async fn put(&self, day: Day, file: EncodedFile) -> Result<StoredFile, SinkError> {
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
        let add = Add {
            path,
            partition_values: [(DATE_COLUMN.to_owned(), Some(day.iso()))].into(),
            size: file.bytes.len() as i64,
            modification_time: chrono::Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(file.stats.clone()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        };
        Ok(StoredFile { day, encoded: file, add })
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
