//! A join of two tables of which neither is constant. Only an engine that stores tables runs it.

use super::selection::DomainId;

/// How a join treats rows without a match. `innerunique` is an aggregate before an inner join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum JoinType {
    Inner,
    LeftOuter,
    RightOuter,
    FullOuter,
    LeftSemi,
    LeftAnti,
    RightSemi,
    RightAnti,
}

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
