//! A join of two tables of which neither is constant. Only an engine that stores tables runs it.

use super::graph::DomainId;
use crate::plan::JoinType;

/// Arguments of the node: the left keys, the right keys, then the left and the right columns that the join brings.
#[derive(Debug, Clone)]
pub(crate) struct JoinSpec {
    pub(crate) kind: JoinType,
    /// The right side's rows; the left side's are the node's own domain.
    pub(crate) right: DomainId,
    pub(crate) keys: usize,
    /// How many columns come from the left side.
    pub(crate) left_columns: usize,
}
