//! The file source: files, directories and globs, read to their end and, if asked, followed.
//!
//! Plain, gzip and zstd files of JSON Lines, JSON documents or CSV (`config`). Files are read one after the other on a
//! thread of its own (`reader`), cut into pieces of whole records (`framing`), and handed over. A partition is a file's
//! identity (`ledger`), named by the path where it was first seen and by what it begins with; an offset is the byte
//! position in its decompressed text. How far a file is acknowledged is kept in the source's own folder (`journal`).
//!
//! All but `config` and `local` is the same for objects of a store ([`crate::objects`]).

pub(crate) mod config;
pub(crate) mod files;
pub(crate) mod fingerprint;
mod framing;
pub(crate) mod journal;
mod ledger;
pub(crate) mod local;
pub(crate) mod open;
mod progress;
mod reader;
pub(crate) mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::batch::RawBatch;
use weir_contract::memory::MemoryBudget;
use weir_contract::position::SourceName;

use crate::file::local::LocalFiles;
use crate::file::run::{Parts, run};
use crate::metrics::IngestMetrics;
use crate::source::{Source, SourceError};

pub use config::{FileConfig, FileFormat};
pub use progress::Progress;

/// A source that reads files.
#[derive(Debug)]
pub struct FileSource {
    name: SourceName,
    config: FileConfig,
    once: bool,
    /// The folder for the journal.
    folder: Option<PathBuf>,
    files: Vec<PathBuf>,
    budget: MemoryBudget,
    metrics: IngestMetrics,
    progress: Arc<Progress>,
}

impl FileSource {
    /// A source for the files that `config` names now; they are listed here and opened when read. It remembers nothing,
    /// unless it is told [where](FileSource::remember_in).
    ///
    /// # Errors
    ///
    /// A path that does not exist, a directory or glob without a log file (but where files are followed, these may come
    /// later), a value out of range.
    pub fn new(
        name: SourceName,
        config: FileConfig,
        budget: MemoryBudget,
        metrics: IngestMetrics,
    ) -> Result<Self, SourceError> {
        let files = if config.follow { config.present(&name)? } else { config.resolve(&name)? };
        Ok(Self { name, config, once: false, folder: None, files, budget, metrics, progress: Arc::default() })
    }

    /// Reads to the present end only, whatever the config says of following.
    pub fn once(mut self, once: bool) -> Self {
        self.once = once;
        self
    }

    /// Keeps the progress in the source's own folder below `state`, if the config says so.
    pub fn remember_in(mut self, state: &Path) -> Self {
        self.folder = self.config.remember.then(|| journal::folder_of(state, self.name.as_ref()));
        self
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
        let Self { name, config, once, folder, files, budget, metrics, progress } = *self;
        let mut reading = config.reading(once);
        reading.remembers = folder.is_some();
        let follows = reading.poll_interval.is_some();
        let files = LocalFiles { name: name.clone(), config, found: Some(files), follows };
        run(Parts { name, reading, files, folder, budget, metrics, progress }, out, stop).await
    }
}
