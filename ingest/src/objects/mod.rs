//! The object source: what lies in a bucket, a container or a folder, read as files are and followed.
//!
//! Made for what services export: append blobs that grow for an hour and then rest, and archives that are put once.
//! The place is listed by prefix; what its tags and sizes say is new is read by ranges, from the byte up to which it was
//! acknowledged, by the same reader as files ([`mod@crate::file`]). A partition is an object's name with what it begins
//! with, an offset the byte position in its decompressed text.

mod config;
mod input;
mod listing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::batch::RawBatch;
use weir_contract::memory::MemoryBudget;
use weir_contract::position::SourceName;
use weir_object_storage::Place;

use crate::file::Progress;
use crate::file::journal;
use crate::file::run::{Parts, run};
use crate::metrics::IngestMetrics;
use crate::objects::listing::Objects;
use crate::source::{Source, SourceError};

pub use config::ObjectsConfig;

/// A source that reads objects.
#[derive(Debug)]
pub struct ObjectSource {
    name: SourceName,
    config: ObjectsConfig,
    place: Place,
    once: bool,
    /// The folder for the journal.
    folder: Option<PathBuf>,
    budget: MemoryBudget,
    metrics: IngestMetrics,
    progress: Arc<Progress>,
}

impl ObjectSource {
    /// A source for the objects at the config's place; nothing is requested yet. It remembers nothing, unless it is told
    /// [where](ObjectSource::remember_in).
    ///
    /// # Errors
    ///
    /// A value out of range, an unknown storage option, a secret that is not there.
    pub fn new(
        name: SourceName,
        config: ObjectsConfig,
        budget: MemoryBudget,
        metrics: IngestMetrics,
    ) -> Result<Self, SourceError> {
        if let Some((key, problem)) = config.faults().into_iter().next() {
            return Err(SourceError::Config { source_name: name, key: key.to_owned(), problem });
        }
        // The reader retries on its own; the client only bridges short gaps, or the two would multiply.
        let retry = object_store::RetryConfig {
            max_retries: 2,
            retry_timeout: Duration::from_secs(20),
            ..object_store::RetryConfig::default()
        };
        let place = Place::open(&config.url, &config.storage, retry).map_err(|error| SourceError::Service {
            source_name: name.clone(),
            problem: error.to_string(),
            retryable: false,
            source: std::error::Error::source(&error).map(|cause| cause.to_string().into()),
        })?;
        Ok(Self { name, config, place, once: false, folder: None, budget, metrics, progress: Arc::default() })
    }

    /// Reads what is there now only, instead of following.
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
}

#[async_trait::async_trait]
impl Source for ObjectSource {
    fn name(&self) -> &SourceName {
        &self.name
    }

    async fn run(self: Box<Self>, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError> {
        let Self { name, config, place, once, folder, budget, metrics, progress } = *self;
        let mut reading = config.reading(once);
        reading.remembers = folder.is_some();
        let files = Objects {
            name: name.clone(),
            glob: config.matcher(),
            config,
            place,
            follows: !once,
            told_missing: false,
            budget: budget.clone(),
            runtime: Handle::current(),
            stop: stop.clone(),
        };
        run(Parts { name, reading, files, folder, budget, metrics, progress }, out, stop).await
    }
}
