//! Why a query has no rows.

use std::path::PathBuf;

use datafusion::error::DataFusionError;

/// Why a hunting query, or the table it reads, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HuntError {
    /// A table has a column of an Arrow type that no KQL type stands for.
    #[error("table `{table}`: column `{column}` of type {found} has no KQL type; leave it out of the table")]
    ColumnType {
        /// The table.
        table: String,
        /// Its column.
        column: String,
        /// The column's type.
        found: String,
    },
    /// A file that should be a table cannot be read.
    #[error("cannot read `{}` as a table", path.display())]
    File {
        /// The file.
        path: PathBuf,
        #[source]
        /// Why.
        source: DataFusionError,
    },
    /// The engine could not be set up.
    #[error("cannot set up the query engine")]
    Setup(#[source] DataFusionError),
    /// Rows of a join or a group outgrew the memory, and cannot go to disk.
    #[error(
        "the query needs more than its {limit_mib} MiB of memory; allow it more, filter earlier, or put the smaller table \
         on the left of a join"
    )]
    Memory {
        /// The bound, in MiB.
        limit_mib: usize,
        #[source]
        /// What asked for more.
        source: DataFusionError,
    },
    /// More rows than a constant table of a query may have.
    #[error("there are more than {limit} rows; filter or summarize them first")]
    TooManyRows {
        /// The most rows.
        limit: usize,
    },
    /// The engine refused the plan: a fault of ours.
    #[error("the query cannot be planned; please report it with the query")]
    Plan(#[source] DataFusionError),
    /// A table could not be read, or the disk for spilled rows could not be written.
    #[error("the query failed while it ran")]
    Run(#[source] DataFusionError),
}

impl HuntError {
    /// What an error of a running plan means.
    pub(crate) fn of_run(error: DataFusionError, memory_bytes: usize) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory { limit_mib: memory_bytes >> 20, source: error },
            _ => Self::Run(error),
        }
    }

    /// The message with all its causes, for places that keep no source.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
