//! Takes records in: into the buffer, and back comes the word that they are durable.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use weir_buffer::buffer::{Buffer, BufferError, Options};
use weir_contract::memory::MemoryBudget;
use weir_contract::position::SourceName;

use super::config::{BufferConfig, WhenFull};
use super::metrics::PushMetrics;
use crate::source::SourceError;

/// The way in of one source. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    pub(crate) name: SourceName,
    pub(crate) buffer: Buffer,
    when_full: WhenFull,
    /// For what is on its way from a socket to the disk.
    pub(crate) memory: MemoryBudget,
    pub(crate) metrics: PushMetrics,
    stop: CancellationToken,
}

/// Why records were not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The buffer is full; the sender may come again.
    #[error("the buffer is full")]
    Full,
    /// No room came within the time given, or the process stops.
    #[error("there was no room in time")]
    Late,
    /// More than ever fits.
    #[error(transparent)]
    TooLarge(BufferError),
    /// The disk failed.
    #[error(transparent)]
    Disk(BufferError),
}

impl Refusal {
    /// A word for the metric.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Late => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::Disk(_) => "disk",
        }
    }
}

/// Opens the buffer of a source in its folder below `state`.
pub(crate) async fn open(
    name: &SourceName,
    config: &BufferConfig,
    state: &Path,
    metrics: &PushMetrics,
) -> Result<Buffer, SourceError> {
    let seconds = metrics.sync_seconds.with_label_values(&[name.as_ref()]);
    let options = Options {
        folder: state.join(name.as_ref()),
        max_bytes: config.max_size.0,
        on_sync: Arc::new(move |time: Duration| seconds.observe(time.as_secs_f64())),
    };
    metrics.buffer_limit.with_label_values(&[name.as_ref()]).set(config.max_size.0.try_into().unwrap_or(i64::MAX));
    let opened = tokio::task::spawn_blocking(move || Buffer::open(options)).await;
    let failed = |error: BufferError| SourceError::Service {
        source_name: name.clone(),
        problem: "cannot open its buffer".to_owned(),
        retryable: matches!(error, BufferError::InUse { .. } | BufferError::Disk { .. }),
        source: Some(Box::new(error)),
    };
    opened.map_err(|_| SourceError::ReaderDied { source_name: name.clone() })?.map_err(failed)
}

impl Intake {
    pub(crate) fn new(
        name: SourceName,
        buffer: Buffer,
        config: &BufferConfig,
        memory: MemoryBudget,
        metrics: PushMetrics,
        stop: CancellationToken,
    ) -> Self {
        Self { name, buffer, when_full: config.when_full, memory, metrics, stop }
    }

    /// Takes records in, within `limit`; returns the number behind the last when all are durable. The caller holds their
    /// memory until then.
    pub(crate) async fn take(&self, records: Vec<Bytes>, limit: Duration) -> Result<u64, Refusal> {
        let (count, bytes) = (records.len() as u64, records.iter().map(|record| record.len() as u64).sum());
        let taken = tokio::time::timeout(limit, self.append(records)).await.unwrap_or(Err(Refusal::Late));
        let source = self.name.as_ref();
        match &taken {
            Ok(_) => {
                self.metrics.records.with_label_values(&[source]).inc_by(count);
                self.metrics.bytes.with_label_values(&[source]).inc_by(bytes);
            }
            Err(refusal) => self.refused(refusal.reason()),
        }
        taken
    }

    async fn append(&self, records: Vec<Bytes>) -> Result<u64, Refusal> {
        let receipt = match self.when_full {
            WhenFull::Refuse => self.buffer.try_append(records),
            WhenFull::Block => tokio::select! {
                appended = self.buffer.append(records) => appended,
                () = self.stop.cancelled() => return Err(Refusal::Late),
            },
        };
        let receipt = receipt.map_err(|error| match error {
            BufferError::Full { .. } => Refusal::Full,
            BufferError::TooLarge { .. } => Refusal::TooLarge(error),
            other => Refusal::Disk(other),
        })?;
        receipt.durable().await.map_err(|error| {
            tracing::error!(
                source = %self.name,
                error = &error as &dyn std::error::Error,
                "the buffer did not take records; their sender is told to come again"
            );
            Refusal::Disk(error)
        })
    }

    /// Counts a request or connection that was refused.
    pub(crate) fn refused(&self, reason: &str) {
        self.metrics.refused.with_label_values(&[self.name.as_ref(), reason]).inc();
    }
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
