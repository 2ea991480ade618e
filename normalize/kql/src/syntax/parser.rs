//! The token cursor and the statements: `let …; let …; body`.

use std::rc::Rc;

use weir_contract::schema::ColumnType;

use super::ast::{FunctionDef, Let, LetValue, Name, Param, ParamType, Query};
use super::lexer::{Token, TokenKind, tokens};
use super::{MAX_DEPTH, MAX_QUERY_BYTES};
use crate::diagnostic::{Diagnostic, Span};

/// Result of a parsing step.
pub(crate) type Parsed<T> = Result<T, Diagnostic>;

/// Parses a whole query.
pub(crate) fn parse(source: &str) -> Parsed<Query> {
    if source.len() > MAX_QUERY_BYTES {
        return Err(Diagnostic::error(0..0, format!("the query is longer than {MAX_QUERY_BYTES} bytes")));
    }
    let mut parser = Parser { tokens: tokens(source)?, position: 0, depth: 0, source_len: source.len() };
    let query = parser.query()?;
    while parser.accept(";") {}
    match parser.peek() {
        TokenKind::End => Ok(query),
        _ => Err(parser.unexpected("`|`, `;` or the end of the query")),
    }
}

pub(crate) struct Parser {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
    source_len: usize,
}

impl Parser {
    /// Statements up to the end of input or a closing brace.
    pub(crate) fn query(&mut self) -> Parsed<Query> {
        self.nested(|parser| {
            let mut lets = Vec::new();
            loop {
                while parser.accept(";") {}
                if parser.is_word("let") && matches!(parser.peek_at(1), TokenKind::Word(_) | TokenKind::Symbol("[")) {
                    lets.push(parser.let_statement()?);
                } else if parser.is_word("set") && matches!(parser.peek_at(1), TokenKind::Word(_)) {
                    while !matches!(parser.peek(), TokenKind::End | TokenKind::Symbol(";")) {
                        parser.advance();
                    }
                } else {
                    break;
                }
            }
            let body = parser.pipeline()?;
            Ok(Query { lets, body })
        })
    }

    fn let_statement(&mut self) -> Parsed<Let> {
        self.advance();
        let name = self.name()?;
        self.expect("=")?;
        let value = if self.at_function() {
            LetValue::Function(Rc::new(self.function()?))
        } else {
            LetValue::Expr(self.pipeline()?)
        };
        match self.peek() {
            TokenKind::Symbol(";") => self.advance(),
            TokenKind::End => {}
            _ => return Err(self.unexpected("`;` after the `let` statement")),
        }
        Ok(Let { name, value })
    }

    /// Whether `(…) {` stands here: a function, not an expression in parentheses.
    fn at_function(&self) -> bool {
        if self.is_word("view") && matches!(self.peek_at(1), TokenKind::Symbol("(")) {
            return true;
        }
        if !self.is("(") {
            return false;
        }
        matches!(
            (self.peek_at(1), self.peek_at(2)),
            (TokenKind::Symbol(")"), TokenKind::Symbol("{")) | (TokenKind::Word(_), TokenKind::Symbol(":"))
        )
    }

    fn function(&mut self) -> Parsed<FunctionDef> {
        if self.is_word("view") {
            self.advance();
        }
        self.expect("(")?;
        let mut params = Vec::new();
        while !self.is(")") {
            params.push(self.param()?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        self.expect("{")?;
        let body = self.query()?;
        while self.accept(";") {}
        self.expect("}")?;
        Ok(FunctionDef { params, body })
    }

    fn param(&mut self) -> Parsed<Param> {
        let name = self.name()?;
        self.expect(":")?;
        let ty = if self.accept("(") {
            while !self.is(")") {
                if matches!(self.peek(), TokenKind::End) {
                    return Err(self.unexpected("`)`"));
                }
                self.advance();
            }
            self.expect(")")?;
            ParamType::Table
        } else {
            ParamType::Scalar(self.column_type()?)
        };
        let default = if self.accept("=") { Some(self.expression()?) } else { None };
        Ok(Param { name, ty, default })
    }

    pub(crate) fn column_type(&mut self) -> Parsed<ColumnType> {
        let TokenKind::Word(word) = self.peek() else { return Err(self.unexpected("a type such as `string`")) };
        let ty = match word.as_str() {
            "decimal" => ColumnType::Real,
            word => word.parse().map_err(|error: weir_contract::schema::UnknownType| {
                Diagnostic::error(self.span(), error.to_string())
            })?,
        };
        self.advance();
        Ok(ty)
    }

    /// A name: a word, or `['any text']`.
    pub(crate) fn name(&mut self) -> Parsed<Name> {
        let span = self.span();
        match self.peek().clone() {
            TokenKind::Word(text) => {
                self.advance();
                Ok(Name { text, span })
            }
            TokenKind::Symbol("[") => {
                let TokenKind::Text(text) = self.peek_at(1).clone() else {
                    return Err(self.unexpected("a name"));
                };
                self.advance();
                self.advance();
                let end = self.span().end;
                self.expect("]")?;
                Ok(Name { text, span: span.start..end })
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    /// Runs `step` one level deeper; refuses to go too deep.
    pub(crate) fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Diagnostic::error(self.span(), format!("nested more than {MAX_DEPTH} levels deep"))
                .with_help("name inner parts with `let`"));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
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

    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), TokenKind::Word(found) if found == word)
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
