//! The contract of a sink: takes batches, makes their rows durable, then answers their acknowledgements.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::sync::mpsc;
use weir_contract::batch::Batch;

/// Where batches end.
///
/// The pipeline makes a sink, calls [`Sink::check`] once before any source is read, then [`Sink::run`] once. A sink
/// holds no queue of its own beyond what it buffers to write larger units, and that is bounded: its memory is held by
/// the batches' permits, and a sink writes early under [`weir_contract::memory::MemoryBudget::pressure`].
#[async_trait]
pub trait Sink: Send {
    /// The name in metric labels and logs, such as `lake`.
    fn name(&self) -> &str;

    /// Makes sure that the target is reachable, writable and of a fitting shape, without leaving anything behind.
    ///
    /// The error tells a person what to do; it is meant to end the start-up.
    async fn check(&mut self) -> Result<(), SinkError>;

    /// Takes batches until `input` is closed, then writes what is left and returns the totals.
    ///
    /// `batch.ack.done()` is called only once all rows of the batch are durable. On a fatal error (one that outlived
    /// its retries, or that no retry helps) it returns `Err`; acknowledgements not answered by then are dropped, which
    /// tells the source that they failed. A dropped future does the same: rows that were not acknowledged may or may
    /// not be visible, rows that were are.
    async fn run(self: Box<Self>, input: mpsc::Receiver<Batch>) -> Result<SinkSummary, SinkError>;
}

/// What a sink wrote in one life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkSummary {
    /// Totals by table name.
    pub tables: BTreeMap<String, TableTotals>,
}

/// What a sink wrote to one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableTotals {
    /// Durable rows.
    pub rows: u64,
    /// Bytes written: of Parquet for the lake, of compressed request bodies for a workspace.
    pub bytes: u64,
    /// Bytes that the workspace bills for these rows; 0 for the lake.
    pub billed_bytes: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Rows that the target refused or can't take; they were handed on as dead letters.
    pub refused: u64,
}

impl TableTotals {
    /// Adds `other` to this.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.billed_bytes += other.billed_bytes;
        self.batches += other.batches;
        self.refused += other.refused;
    }
}

impl SinkSummary {
    /// Adds `totals` to those of `table`.
    pub fn add(&mut self, table: &str, totals: TableTotals) {
        if let Some(known) = self.tables.get_mut(table) {
            known.add(totals);
        } else {
            self.tables.insert(table.to_owned(), totals);
        }
    }
}

/// A cause of any type.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a sink could not be set up, checked, or could not write.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The configuration can't work as it stands; `message` says what to write instead.
    #[error("{message}")]
    Config {
        /// What is wrong, and what to write instead.
        message: String,
    },
    /// The target did not answer, or answered that it can't for now; the same write may succeed later.
    #[error("cannot {operation} `{target}`")]
    Unavailable {
        /// What was tried, as a verb: `put`, `commit to`, `post to`.
        operation: &'static str,
        /// The object, table or URL, without secrets.
        target: String,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The target refuses for good: read-only, full, not allowed, not there.
    #[error("cannot {operation} `{target}`; {advice}")]
    Refused {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The object, table or URL, without secrets.
        target: String,
        /// What a person should do.
        advice: String,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// Rows don't fit the table that they are to be written to.
    #[error("column `{column}` of table `{table}`: {message}")]
    Schema {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What was found, what is expected, what to do.
        message: String,
    },
    /// Rows could not be turned into the bytes to write: a bug in Weir, or damaged memory.
    #[error("cannot encode rows of table `{table}`")]
    Encode {
        /// The table.
        table: String,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// A retryable error came back until the attempts were used up.
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        /// Attempts made.
        attempts: u32,
        /// The last error.
        #[source]
        source: Box<SinkError>,
    },
}

impl SinkError {
    /// Whether the same write may succeed if it is tried again later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// A [`SinkError::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config { message: message.into() }
    }

    /// A [`SinkError::Encode`].
    pub fn encode(table: &str, source: impl Into<Cause>) -> Self {
        Self::Encode { table: table.to_owned(), source: source.into() }
    }
}

/// An error and its causes in one line, for logs and the details of dead letters.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_up_is_final() {
        let source: Cause = "connection reset".into();
        let error = SinkError::Unavailable { operation: "put", target: "a/b".into(), source };
        assert!(error.is_retryable());
        assert!(!SinkError::GaveUp { attempts: 5, source: Box::new(error) }.is_retryable());
    }
}
