//! Where a record came from: source, partition and offset.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The name of a source as the config gives it, such as `defender-hub`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceName(pub Arc<str>);

/// One ordered stream of a source: `topic/3` for Kafka, a path or object name for files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub Arc<str>);

/// A position in a partition: the Kafka offset of a message, or a byte position in a file's decompressed text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// Records before it are in the workspace already, by what the source has stored; 0 if it has stored nothing.
    pub delivered: Offset,
}

/// Where a batch came from: one source, and a stretch of each partition that it holds records of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source's configured name.
    pub source: SourceName,
    /// At most one stretch per partition.
    pub ranges: Vec<OffsetRange>,
    /// What a sink may conclude from positions that it has seen.
    pub positions: Repeats,
}

/// Whether a source's positions mean the same records each time they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// They do, and batches come in the order of their offsets: what lies before a position that a table has reached is
    /// in that table, and is skipped when it comes again.
    Same,
    /// They don't, or rows come out of order: nothing is ever skipped. A replay, and what a sink refused.
    Unrelated,
}

/// Where one row came from. Together with the origin's source, and the mapping that made the row, it is the row's
/// identity: the same in each life that reads the record again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowPosition {
    /// The offset of the record that the row was made of.
    pub offset: Offset,
    /// Index into the `ranges` of the batch's origin.
    pub partition: u32,
    /// The number of the row among those made of the same record, from 0.
    pub row: u32,
}

impl RowPosition {
    /// The positions of `rows` rows of one partition (number 0) with one row per record, from the offset `first` on.
    pub fn numbered(first: u64, rows: usize) -> Arc<[RowPosition]> {
        (first..).take(rows).map(|offset| RowPosition { offset: Offset(offset), partition: 0, row: 0 }).collect()
    }
}

/// The positions of rows that were made of others: `came_from` has, per row, the place of its forerunner in `before`.
///
/// Where a row may become several (`multiplies`, a property of the program, not of these rows), the rows of each record
/// are numbered anew in their order, so that they get the same numbers whatever else is in the batch.
pub fn positions_of(before: &[RowPosition], came_from: &[u32], multiplies: bool) -> Vec<RowPosition> {
    let forerunners = came_from.iter().map(|row| before[*row as usize]);
    if !multiplies {
        return forerunners.collect();
    }
    let mut counts: HashMap<(u32, Offset), u32> = HashMap::new();
    let number = |position: RowPosition| {
        let count = counts.entry((position.partition, position.offset)).or_insert(0);
        *count += 1;
        RowPosition { row: *count - 1, ..position }
    };
    forerunners.map(number).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64, row: u32) -> RowPosition {
        RowPosition { offset: Offset(offset), partition: 0, row }
    }

    #[test]
    fn a_filter_keeps_the_numbers_and_what_multiplies_counts_per_record() {
        let before = [at(5, 0), at(5, 1), at(9, 0)];
        assert_eq!(positions_of(&before, &[1, 2], false), [at(5, 1), at(9, 0)]);
        assert_eq!(positions_of(&before, &[0, 2, 0, 1, 2], true), [at(5, 0), at(9, 0), at(5, 1), at(5, 2), at(9, 1)]);
        // The same record alone gets the same numbers.
        assert_eq!(positions_of(&before[2..], &[0, 0], true), [at(9, 0), at(9, 1)]);
    }
}
