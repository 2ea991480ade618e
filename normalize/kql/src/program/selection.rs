//! What an operator that chooses rows leaves, and the numbers by which nodes and row domains are known.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::FilterPredicate;

pub(crate) type NodeId = usize;
pub(crate) type DomainId = usize;

/// Which rows a selection leaves, and the columns that it brings.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) rows: usize,
    pub(crate) kind: SelectionKind,
    pub(crate) columns: Vec<ArrayRef>,
}

#[derive(Debug)]
pub(crate) enum SelectionKind {
    All,
    Filter(FilterPredicate),
    Take(UInt32Array),
}
