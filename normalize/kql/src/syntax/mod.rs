//! Text to syntax tree: lexer, recursive descent for statements and operators, precedence climbing for expressions.
//!
//! Keywords of KQL are contextual (`where` may be a column's name), so the lexer knows only words and the parser
//! decides. Input is bounded ([`MAX_QUERY_BYTES`], [`MAX_DEPTH`]); no text makes the parser panic.

pub(crate) mod ast;
mod expression;
mod lexer;
pub(crate) mod literal;
mod operator;
pub(crate) mod parser;

/// Longest query that is read, in bytes.
pub const MAX_QUERY_BYTES: usize = 1 << 20;

/// Deepest nesting of expressions and pipelines: what a stack of 2 MiB holds with room to spare.
pub const MAX_DEPTH: usize = 100;
