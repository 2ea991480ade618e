//! Where a record came from: source, partition and offset.

use std::fmt;
use std::sync::Arc;

/// The name of a source as the config gives it, such as `defender-hub`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceName(pub Arc<str>);

/// One ordered stream of a source: `topic/3` for Kafka, a path or object name for files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub Arc<str>);

/// A position in a partition: the Kafka offset of a message, or a byte position in a file's decompressed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

/// A half-open stretch of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    /// The partition that the stretch belongs to.
    pub partition: PartitionId,
    /// The offset of the first record.
    pub start: Offset,
    /// The offset of the next record to read after this stretch: what a commit stores.
    pub next: Offset,
}

/// Where a batch came from: one source, and a stretch of each partition that it holds records of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source's configured name.
    pub source: SourceName,
    /// At most one stretch per partition.
    pub ranges: Vec<OffsetRange>,
}

macro_rules! text_identity {
    ($($name:ident),*) => {$(
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}
text_identity!(SourceName, PartitionId);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
