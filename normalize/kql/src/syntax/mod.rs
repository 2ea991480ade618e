//! Text to syntax tree: lexer, recursive descent for statements and operators, precedence climbing for expressions.
//!
//! The whole query language is read, also what does not run at ingest, so that a refusal can say where and why; the
//! graph operators alone are only skipped over. Keywords of KQL are contextual (`where` may be a column's name), so the
//! lexer knows only words and the parser decides. One pass reports several errors. Input is bounded
//! ([`MAX_QUERY_BYTES`], [`MAX_DEPTH`]); no text makes the parser panic.

#[allow(dead_code, reason = "the tree holds the whole language; what cannot run at ingest is read by nobody yet")]
pub(crate) mod ast;
mod combining;
mod cursor;
pub(crate) mod expression;
pub(crate) mod format;
mod gathering;
mod graph;
mod lexer;
pub(crate) mod literal;
pub(crate) mod operator;
pub(crate) mod parser;
mod quoted;
#[cfg(test)]
mod tests;

use crate::diagnostic::{Diagnostic, Span};
use crate::scalar::Scalar;

/// Longest query that is read, in bytes.
pub const MAX_QUERY_BYTES: usize = 1 << 20;

/// Deepest nesting of expressions and pipelines: what a stack of 2 MiB holds with room to spare.
pub const MAX_DEPTH: usize = 100;

/// What one pass finds wrong with the syntax of a query or a stored function, in the order of the text. Empty: it parses.
pub fn syntax_errors(text: &str) -> Vec<Diagnostic> {
    parser::parse_text(text).err().unwrap_or_default()
}

/// Whether a text is a stored function, `(a:string) { … }`, rather than a query. It may be a faulty one.
pub fn is_function(text: &str) -> bool {
    parser::is_function(text)
}

/// The numbers, times and typed literals of a text, with their places.
pub(crate) fn literal_tokens(source: &str) -> impl Iterator<Item = (Span, Scalar)> {
    lexer::lex(source).tokens.into_iter().filter_map(|token| match token.kind {
        lexer::TokenKind::Literal(scalar) => Some((token.span, scalar)),
        _ => None,
    })
}
