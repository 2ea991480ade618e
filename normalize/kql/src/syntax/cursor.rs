//! The token cursor: looking ahead, accepting, reporting, and going on after an error.
//!
//! A faulty operator or statement is reported, and reading goes on behind it, at the next `|` or `;` of its level, so
//! that one pass finds several faults. The cursor also keeps what the formatter cannot see from tokens alone: which of
//! them belong together without a blank, and how wide a `datatable` is.

use std::collections::BTreeMap;

use super::MAX_DEPTH;
use super::lexer::{Token, TokenKind};
use crate::diagnostic::{Diagnostic, Span};

/// Result of a parsing step.
pub(crate) type Parsed<T> = Result<T, Diagnostic>;

/// Most errors that one pass reports.
const MAX_ERRORS: usize = 20;

/// Most levels of an expression, with the steps of its paths.
const MAX_HEIGHT: usize = 2 * MAX_DEPTH;

/// What the formatter needs to know about tokens, by their number.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Tokens that touch the one before.
    pub(crate) glued: Vec<bool>,
    /// The `[` of each `datatable`, and its number of columns.
    pub(crate) tables: BTreeMap<usize, usize>,
    /// The last token of each operator's keyword.
    pub(crate) keywords: Vec<bool>,
}

pub(crate) struct Parser {
    pub(super) tokens: Vec<Token>,
    position: usize,
    depth: usize,
    /// Levels below what was read last.
    height: usize,
    source_len: usize,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) layout: Layout,
}

impl Parser {
    pub(super) fn new(tokens: Vec<Token>, errors: Vec<Diagnostic>, source_len: usize) -> Self {
        let layout =
            Layout { glued: vec![false; tokens.len()], tables: BTreeMap::new(), keywords: vec![false; tokens.len()] };
        Self { tokens, position: 0, depth: 0, height: 0, source_len, errors, layout }
    }

    /// Runs `step` one level deeper; refuses to go too deep.
    pub(crate) fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Diagnostic::error(self.span(), format!("nested more than {MAX_DEPTH} levels deep"))
                .with_help("name inner parts with `let`"));
        }
        self.depth += 1;
        let beside = std::mem::take(&mut self.height);
        let result = step(self);
        self.depth -= 1;
        self.height = beside.max(self.height + 1);
        result
    }

    /// Reads `base`, then the steps of a path behind it (`step` gives `Err(base)` behind the last one). Each step is a
    /// level above the ones before it, and those of its base: too many of them are refused too.
    pub(super) fn path<T>(
        &mut self,
        base: impl FnOnce(&mut Self) -> Parsed<T>,
        mut step: impl FnMut(&mut Self, T) -> Parsed<Result<T, T>>,
    ) -> Parsed<T> {
        let beside = std::mem::take(&mut self.height);
        let mut value = base(self)?;
        let mut height = self.height;
        loop {
            value = match step(self, value)? {
                Ok(longer) => longer,
                Err(whole) => {
                    self.height = beside.max(height);
                    return Ok(whole);
                }
            };
            height = self.height.max(height) + 1;
            if height > MAX_HEIGHT {
                return Err(Diagnostic::error(self.span(), format!("nested more than {MAX_HEIGHT} levels deep"))
                    .with_help("name its first part with `extend`"));
            }
        }
    }

    /// Reports `error`, met in what began at token `start`, and skips to its end: a `|` or `;` at its level, or the
    /// bracket that closes around it.
    pub(super) fn recover(&mut self, error: Diagnostic, start: usize) {
        let reached = self.position;
        self.errors.push(error);
        if self.errors.len() >= MAX_ERRORS {
            // Enough; each search for an end may go through the whole rest.
            self.position = self.tokens.len() - 1;
            return;
        }
        self.position = start;
        let mut depth = 0_usize;
        loop {
            let ends = match self.peek() {
                TokenKind::End => break,
                TokenKind::Symbol("(" | "[" | "{") => {
                    depth += 1;
                    false
                }
                TokenKind::Symbol(")" | "]" | "}") if depth > 0 => {
                    depth -= 1;
                    false
                }
                TokenKind::Symbol(")" | "]" | "}") => true,
                TokenKind::Symbol("|" | ";") => depth == 0,
                _ => false,
            };
            if ends && self.position >= reached {
                return;
            }
            self.advance();
        }
        // A bracket is missing: the next separator at any level is as good a place as any.
        self.position = reached;
        while !matches!(self.peek(), TokenKind::End | TokenKind::Symbol("|" | ";")) {
            self.advance();
        }
    }

    /// Notes that the token `ahead` belongs to its predecessor without a blank.
    pub(super) fn glue(&mut self, ahead: usize) {
        if let Some(glued) = self.layout.glued.get_mut(self.position + ahead) {
            *glued = true;
        }
    }

    pub(super) fn note_table(&mut self, columns: usize) {
        self.layout.tables.insert(self.position, columns);
    }

    /// Notes that the token before the cursor ends an operator's keyword.
    pub(super) fn note_keyword(&mut self) {
        if let Some(keyword) = self.position.checked_sub(1).and_then(|last| self.layout.keywords.get_mut(last)) {
            *keyword = true;
        }
    }

    pub(crate) fn peek(&self) -> &TokenKind {
        self.peek_at(0)
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> &TokenKind {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.position + ahead).min(last)].kind
    }

    pub(crate) fn span(&self) -> Span {
        self.tokens[self.position].span.clone()
    }

    /// End of the token before the cursor.
    pub(crate) fn previous_end(&self) -> usize {
        self.position.checked_sub(1).map_or(0, |previous| self.tokens[previous].span.end)
    }

    /// Whether the token `ahead` follows its predecessor without a blank.
    pub(crate) fn adjacent(&self, ahead: usize) -> bool {
        let index = self.position + ahead;
        index > 0 && index < self.tokens.len() && self.tokens[index - 1].span.end == self.tokens[index].span.start
    }

    pub(crate) fn advance(&mut self) {
        if self.position + 1 < self.tokens.len() {
            self.position += 1;
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn rewind(&mut self, position: usize) {
        self.position = position;
    }

    pub(crate) fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), TokenKind::Symbol(found) if *found == symbol)
    }

    pub(crate) fn is_at(&self, ahead: usize, symbol: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Symbol(found) if *found == symbol)
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(crate) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Word(found) if found == word)
    }

    pub(crate) fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.accept_word(word) { Ok(()) } else { Err(self.unexpected(&format!("`{word}`"))) }
    }

    pub(crate) fn unexpected(&self, expected: &str) -> Diagnostic {
        let span = if matches!(self.peek(), TokenKind::End) { self.source_len..self.source_len } else { self.span() };
        let found = match self.peek() {
            TokenKind::Word(word) => format!("`{word}`"),
            TokenKind::Text(_) => "a text".to_owned(),
            TokenKind::Literal(_) => "a literal".to_owned(),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            TokenKind::End => "the end of the query".to_owned(),
        };
        Diagnostic::error(span, format!("expected {expected}, found {found}"))
    }
}

/// `a, b, c` read by `item`, at least one.
pub(crate) fn comma_list<T>(parser: &mut Parser, mut item: impl FnMut(&mut Parser) -> Parsed<T>) -> Parsed<Vec<T>> {
    let mut items = vec![item(parser)?];
    while parser.accept(",") {
        items.push(item(parser)?);
    }
    Ok(items)
}
