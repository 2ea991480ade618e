//! Runs a source of files: the reading thread, the acknowledgements that come back, and the journal.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use weir_contract::ack;
use weir_contract::batch::RawBatch;
use weir_contract::memory::MemoryBudget;
use weir_contract::position::SourceName;

use crate::file::files::{Files, Reading};
use crate::file::journal::Journal;
use crate::file::ledger::Ledger;
use crate::file::progress::Progress;
use crate::file::reader::Reader;
use crate::metrics::IngestMetrics;
use crate::source::SourceError;

/// The least time between two writes of the journal, which is synced to disk each time.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// The pause behind a write that failed: a full disk is not mended within a second.
const SAVE_AGAIN: Duration = Duration::from_secs(10);

/// What it takes to run a source of files.
pub(crate) struct Parts<F: Files> {
    pub(crate) name: SourceName,
    pub(crate) reading: Reading,
    pub(crate) files: F,
    /// The source's own folder for the journal; none: nothing is remembered.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) budget: MemoryBudget,
    pub(crate) metrics: IngestMetrics,
    pub(crate) progress: Arc<Progress>,
}

/// Reads until the end or until `stop`, then waits for the acknowledgements and stores the progress.
pub(crate) async fn run<F: Files>(
    parts: Parts<F>,
    out: mpsc::Sender<RawBatch>,
    stop: CancellationToken,
) -> Result<(), SourceError> {
    let Parts { name, reading, files, folder, budget, metrics, progress } = parts;
    let mut store = Store::open(&name, folder).await?;
    let (acks, mut reports) = ack::channel();
    // A batch that is not durable stops this reader, not its siblings.
    let stop = stop.child_token();
    let reader = Reader {
        name: name.clone(),
        reading,
        files,
        ledger: Arc::clone(&store.ledger),
        budget,
        metrics: metrics.clone(),
        progress,
        acks,
        out,
        stop: stop.clone(),
        runtime: Handle::current(),
        next_batch: 0,
        set_aside: HashMap::new(),
    };
    metrics.connected.with_label_values(&[name.as_ref()]).set(1);
    let reading = tokio::task::spawn_blocking(move || reader.read());
    let mut saves = tokio::time::interval(SAVE_INTERVAL);
    saves.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The reader and each token hold a sender of reports: their end is the end of all work.
    let mut not_durable = None;
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) if report.durable => store.acknowledge(report.batch),
                Some(report) => {
                    not_durable.get_or_insert(report.batch);
                    stop.cancel();
                }
                None => break,
            },
            _ = saves.tick() => {
                if let Err(error) = store.save().await {
                    tracing::error!(
                        source = %name,
                        error = &error as &dyn std::error::Error,
                        "the progress is not stored; trying again (what is read meanwhile comes twice after a crash)"
                    );
                    saves.reset_after(SAVE_AGAIN);
                }
            }
        }
    }
    metrics.connected.with_label_values(&[name.as_ref()]).set(0);
    let read = reading.await.unwrap_or(Err(SourceError::ReaderDied { source_name: name.clone() }));
    let saved = store.save().await;
    match not_durable {
        Some(batch) => Err(SourceError::NotDurable { source_name: name, batch }),
        None => read.and(saved),
    }
}

/// The ledger and the journal that it is stored in.
struct Store {
    name: SourceName,
    ledger: Arc<Mutex<Ledger>>,
    journal: Option<Arc<Mutex<Journal>>>,
}

impl Store {
    async fn open(name: &SourceName, folder: Option<PathBuf>) -> Result<Self, SourceError> {
        let name = name.clone();
        let Some(folder) = folder else { return Ok(Self { name, ledger: Arc::default(), journal: None }) };
        let opened = blocking(&name, move || {
            let (journal, known) = Journal::open(&folder)?;
            Ok((journal, Ledger::new(known)))
        });
        let (journal, ledger) = opened.await?;
        tracing::debug!(source = %name, files = ledger.known(), "the progress of earlier runs is read");
        Ok(Self { name, ledger: Arc::new(Mutex::new(ledger)), journal: Some(Arc::new(Mutex::new(journal))) })
    }

    fn acknowledge(&self, batch: u64) {
        self.ledger.lock().expect("no panic while the ledger is held").acknowledge(batch);
    }

    /// Stores what has become durable since the last time.
    async fn save(&mut self) -> Result<(), SourceError> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let ledger = Arc::clone(&self.ledger);
        blocking(&self.name, move || {
            let mut journal = journal.lock().expect("no panic while the journal is held");
            let mut ledger = ledger.lock().expect("no panic while the ledger is held");
            let changed = ledger.take_dirty();
            let files = ledger.known() as usize;
            if journal.wants_rewrite(files) {
                return journal.rewrite(ledger.all());
            }
            drop(ledger);
            if changed.is_empty() { Ok(()) } else { journal.append(&changed) }
        })
        .await
    }
}

/// Runs `work`, which waits for the disk, beside the runtime's threads.
async fn blocking<T: Send + 'static>(
    name: &SourceName,
    work: impl FnOnce() -> Result<T, crate::file::journal::JournalError> + Send + 'static,
) -> Result<T, SourceError> {
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| SourceError::Progress { source_name: name.clone(), source };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| failed(Box::new(error))),
        Err(panicked) => Err(failed(Box::new(panicked))),
    }
}
