//! The file source: files, directories and globs, read once from beginning to end.
//!
//! Plain, gzip and zstd files of JSON Lines, JSON documents or CSV (`config`). Files are read one after the other on a
//! thread of its own (`reader`), cut into pieces of whole records (`framing`), and handed over. A partition is a
//! file's path, an offset the byte position in its decompressed text. Nothing is stored about progress yet: a file
//! source that is started again reads its files again.

mod config;
mod framing;
mod open;
mod progress;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::ack;
use weir_contract::batch::RawBatch;
use weir_contract::memory::MemoryBudget;
use weir_contract::position::SourceName;

use crate::file::reader::Reader;
use crate::metrics::IngestMetrics;
use crate::source::{Source, SourceError};

pub use config::{FileConfig, FileFormat};
pub use progress::Progress;

/// A source that reads files.
#[derive(Debug)]
pub struct FileSource {
    name: SourceName,
    config: FileConfig,
    files: Vec<PathBuf>,
    budget: MemoryBudget,
    metrics: IngestMetrics,
    progress: Arc<Progress>,
}

impl FileSource {
    /// A source for the files that `config` names now; they are listed here and opened when read.
    ///
    /// # Errors
    ///
    /// A path that does not exist, a directory or glob without a log file, a value out of range.
    pub fn new(
        name: SourceName,
        config: FileConfig,
        budget: MemoryBudget,
        metrics: IngestMetrics,
    ) -> Result<Self, SourceError> {
        let files = config.resolve(&name)?;
        let progress = Arc::new(Progress::default());
        for file in &files {
            // A file that is gone by now is told when it is its turn to be read.
            progress.expect(std::fs::metadata(file).map_or(0, |metadata| metadata.len()));
        }
        Ok(Self { name, config, files, budget, metrics, progress })
    }

    /// How far the source has read, to be shown while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The files that will be read, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

#[async_trait::async_trait]
impl Source for FileSource {
    fn name(&self) -> &SourceName {
        &self.name
    }

    async fn run(self: Box<Self>, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError> {
        let Self { name, config, files, budget, metrics, progress } = *self;
        let (acks, mut reports) = ack::channel();
        // A batch that is not durable stops this reader, not its siblings.
        let stop = stop.child_token();
        let reader = Reader {
            name: name.clone(),
            config,
            budget,
            progress,
            acks,
            out,
            stop: stop.clone(),
            runtime: Handle::current(),
            next_batch: 0,
        };
        metrics.connected.with_label_values(&[name.as_ref()]).set(1);
        let reading = tokio::task::spawn_blocking(move || reader.read(&files));
        // The reader and each token hold a sender of reports: their end is the end of all work.
        let mut not_durable = None;
        while let Some(report) = reports.recv().await {
            if !report.durable {
                not_durable.get_or_insert(report.batch);
                stop.cancel();
            }
        }
        metrics.connected.with_label_values(&[name.as_ref()]).set(0);
        let read = reading.await.unwrap_or(Err(SourceError::ReaderDied { source_name: name.clone() }));
        match not_durable {
            Some(batch) => Err(SourceError::NotDurable { source_name: name, batch }),
            None => read,
        }
    }
}
