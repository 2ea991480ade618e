//! The trait that every source implements, and why a source ends early.
//!
//! A source knows nothing of what stands behind it: it cuts its input into [`RawBatch`]es, gives each an
//! acknowledgement and a memory permit, and hands them to a bounded queue.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::batch::RawBatch;
use weir_contract::position::SourceName;

/// What hands us records from outside, with their positions.
///
/// The pipeline's wiring calls [`Source::run`] once, on a tokio task of its own. For each batch the source first
/// reserves its bytes with the memory budget, then sends it; both may wait, and waiting is how a slow sink slows a
/// source down. Batches of one partition are sent in the order of their offsets.
///
/// A source stores progress (commits offsets) only behind an acknowledgement that says `durable`, and only up to the
/// lowest position that is still unacknowledged. What was sent but not acknowledged when the process dies is read
/// again at the next start, also what a sink had made durable just before: delivery is at least once, and a sink that
/// keeps positions skips what it has.
#[async_trait::async_trait]
pub trait Source: Send {
    /// The name that the config gives the source; the `source` label of its metrics.
    fn name(&self) -> &SourceName;

    /// Reads until the end (a finite source) or until `stop` is cancelled, then winds down and returns.
    ///
    /// To wind down, the source reads no more, drops `out`, waits for the acknowledgements of everything that it handed
    /// over, and stores the progress. The caller may bound that wait by dropping the future: nothing is lost, the
    /// unacknowledged part is read again later.
    ///
    /// # Errors
    ///
    /// [`SourceError::NotDurable`] when a batch was answered as not durable: a stage behind has failed, its progress is
    /// not stored. [`SourceError::Closed`] when the queue was closed from behind. Else what kept the source from
    /// reading; [`SourceError::is_retryable`] says whether a later start may succeed.
    async fn run(self: Box<Self>, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError>;
}

/// Why a source could not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A configured path does not exist.
    #[error(
        "source `{source_name}`: `{}` does not exist; correct `paths`, or create it before the start",
        path.display()
    )]
    Missing {
        /// The source.
        source_name: SourceName,
        /// The path as configured.
        path: PathBuf,
    },
    /// A directory or glob holds no file that can be read as logs.
    #[error(
        "source `{source_name}`: `{pattern}` matches no readable log file; \
         hidden files, Parquet files and `_delta_log` folders are skipped"
    )]
    NothingMatches {
        /// The source.
        source_name: SourceName,
        /// The directory or glob as configured.
        pattern: String,
    },
    /// A glob cannot be parsed.
    #[error(
        "source `{source_name}`: `{pattern}` is no valid glob; escape `[`, `{{` and `*` in a literal name with `\\`"
    )]
    BadGlob {
        /// The source.
        source_name: SourceName,
        /// The glob as configured.
        pattern: String,
        /// The fault in it.
        #[source]
        source: globset::Error,
    },
    /// A file cannot be opened or read.
    #[error("source `{source_name}`: cannot read `{}` at byte {at}; check its permissions and what it lies on", path.display())]
    Read {
        /// The source.
        source_name: SourceName,
        /// The file.
        path: PathBuf,
        /// Bytes of the file (as stored) that were read before.
        at: u64,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A compressed file is damaged or cut off.
    #[error(
        "source `{source_name}`: `{}` is damaged {codec} near byte {at} of the compressed file; \
         everything before was read, restore the file and read it again",
        path.display()
    )]
    Corrupt {
        /// The source.
        source_name: SourceName,
        /// The file.
        path: PathBuf,
        /// `gzip` or `zstd`.
        codec: &'static str,
        /// Bytes of the compressed file that were read before.
        at: u64,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A setting has a value that the source cannot work with.
    #[error("source `{source_name}`: `{key}` {problem}")]
    Config {
        /// The source.
        source_name: SourceName,
        /// The config key.
        key: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// The service behind the source failed or refused.
    #[error("source `{source_name}`: {problem}")]
    Service {
        /// The source.
        source_name: SourceName,
        /// What failed, and what to check.
        problem: String,
        /// Whether a later attempt may succeed.
        retryable: bool,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A stage behind the source failed; the batch's progress was not stored and it will be read again.
    #[error(
        "source `{source_name}`: batch {batch} was not made durable, its progress is not stored; \
         the failed stage's own error says why"
    )]
    NotDurable {
        /// The source.
        source_name: SourceName,
        /// The number that the source gave the batch.
        batch: u64,
    },
    /// The stage behind the source went away while the source still had records.
    #[error("source `{source_name}`: the pipeline behind it closed while records were still to be read")]
    Closed {
        /// The source.
        source_name: SourceName,
    },
    /// How far the source has read cannot be stored, or is stored in a way that cannot be read.
    #[error("source `{source_name}`: its progress cannot be kept")]
    Progress {
        /// The source.
        source_name: SourceName,
        /// The cause, with what to do.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that reads ended without a result.
    #[error("source `{source_name}`: its reading thread ended unexpectedly; this is a defect, please report it")]
    ReaderDied {
        /// The source.
        source_name: SourceName,
    },
}

impl SourceError {
    /// Whether the same source may succeed if it is started again later, with nothing changed by a person.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Service { retryable, .. } => *retryable,
            Self::NotDurable { .. } | Self::Closed { .. } => true,
            Self::Read { source, .. } => {
                !matches!(source.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotFound)
            }
            Self::Missing { .. }
            | Self::NothingMatches { .. }
            | Self::BadGlob { .. }
            | Self::Corrupt { .. }
            | Self::Config { .. }
            | Self::Progress { .. }
            | Self::ReaderDied { .. } => false,
        }
    }
}
