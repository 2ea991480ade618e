//! Statements, functions, and the small things that all parts share: names, types, lists of columns.

use std::rc::Rc;

use weir_contract::schema::ColumnType;

use super::ast::{Expr, ExprKind, FunctionDef, Let, LetValue, Name, Param, ParamType, Query, Schema, Statement};
use super::cursor::{Layout, Parsed, Parser, comma_list};
use super::lexer::{self, TokenKind};
use super::{MAX_DEPTH, MAX_QUERY_BYTES};
use crate::diagnostic::Diagnostic;

/// Parses a whole query: the tree, or all errors that one pass finds.
pub(crate) fn parse(source: &str) -> Result<Query, Vec<Diagnostic>> {
    parse_with_layout(source).map(|(query, _)| query)
}

/// As [`parse`], with what the formatter needs.
pub(super) fn parse_with_layout(source: &str) -> Result<(Query, Layout), Vec<Diagnostic>> {
    if source.len() > MAX_QUERY_BYTES {
        return Err(vec![Diagnostic::error(0..0, format!("the query is longer than {MAX_QUERY_BYTES} bytes"))]);
    }
    let lexed = lexer::lex(source);
    let mut parser = Parser::new(lexed.tokens, lexed.errors, source.len());
    let query = match parser.query() {
        Ok(query) => query,
        Err(error) => {
            parser.errors.push(error);
            return Err(in_order(parser.errors));
        }
    };
    if parser.errors.is_empty() && !matches!(parser.peek(), TokenKind::End) {
        parser.errors.push(parser.unexpected("`|`, `;` or the end of the query"));
    }
    if parser.errors.is_empty() { Ok((query, parser.layout)) } else { Err(in_order(parser.errors)) }
}

/// Parses a query or a stored function, and gives what the formatter needs.
pub(super) fn parse_text(source: &str) -> Result<Layout, Vec<Diagnostic>> {
    if source.len() <= MAX_QUERY_BYTES && is_function(source) {
        return parse_function_with_layout(source).map(|(_, layout)| layout);
    }
    parse_with_layout(source).map(|(_, layout)| layout)
}

/// Whether the text begins as a stored function does.
pub(super) fn is_function(source: &str) -> bool {
    let lexed = lexer::lex(source);
    Parser::new(lexed.tokens, lexed.errors, source.len()).at_function()
}

/// Parses a stored function: `(a:string, T:(*)) { … }`.
pub(crate) fn parse_function(source: &str) -> Result<FunctionDef, Vec<Diagnostic>> {
    parse_function_with_layout(source).map(|(function, _)| function)
}

fn parse_function_with_layout(source: &str) -> Result<(FunctionDef, Layout), Vec<Diagnostic>> {
    let lexed = lexer::lex(source);
    let mut parser = Parser::new(lexed.tokens, lexed.errors, source.len());
    let function = parser.function();
    match function {
        Ok(function) if parser.errors.is_empty() && matches!(parser.peek(), TokenKind::End) => {
            Ok((function, parser.layout))
        }
        Ok(_) => {
            if parser.errors.is_empty() {
                parser.errors.push(parser.unexpected("the end of the function"));
            }
            Err(in_order(parser.errors))
        }
        Err(error) => {
            parser.errors.push(error);
            Err(in_order(parser.errors))
        }
    }
}

fn in_order(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    errors.sort_by_key(|error| error.span.start);
    errors
}

impl Parser {
    /// Statements up to the end of input or a closing brace.
    pub(crate) fn query(&mut self) -> Parsed<Query> {
        self.nested(|parser| {
            let mut statements = Vec::new();
            loop {
                while parser.accept(";") {}
                let start = parser.position();
                let statement = match parser.statement() {
                    Ok(statement) => statement,
                    Err(error) => {
                        let end = matches!(parser.peek(), TokenKind::End);
                        parser.recover(error, start);
                        while !end && parser.accept("|") {
                            let after = parser.position();
                            if let Err(error) = parser.operator() {
                                parser.recover(error, after);
                            }
                        }
                        if !parser.is(";") {
                            let body = Expr { kind: ExprKind::Missing, span: parser.span() };
                            return Ok(Query { statements, body });
                        }
                        continue;
                    }
                };
                let separated = parser.is(";");
                while parser.accept(";") {}
                let last = matches!(parser.peek(), TokenKind::End | TokenKind::Symbol("}"));
                match statement {
                    Statement::Result(body) if last => return Ok(Query { statements, body }),
                    Statement::Result(_) if !separated => {
                        return Err(parser.unexpected("`|`, `;` or the end of the query"));
                    }
                    statement => statements.push(statement),
                }
            }
        })
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let names_follow = matches!(self.peek_at(1), TokenKind::Word(_));
        if self.is_word("let") && (names_follow || self.is_at(1, "[")) {
            return self.let_statement().map(Statement::Let);
        }
        if self.is_word("set") && names_follow {
            self.advance();
            let name = self.name()?;
            let value = if self.accept("=") { Some(self.expression()?) } else { None };
            return Ok(Statement::Set(name, value));
        }
        if self.is_word("declare") && self.is_word_at(1, "query_parameters") {
            self.advance();
            self.advance();
            self.glue(0);
            return Ok(Statement::Declare(self.params()?));
        }
        let other = (self.is_word("declare") && self.is_word_at(1, "pattern"))
            || (self.is_word("alias") && self.is_word_at(1, "database"))
            || (self.is_word("restrict") && self.is_word_at(1, "access"));
        if other {
            let name = self.name()?;
            self.skip()?;
            return Ok(Statement::Other(name));
        }
        self.pipeline().map(Statement::Result)
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
            TokenKind::Symbol(";") | TokenKind::End => Ok(Let { name, value }),
            _ => Err(self.unexpected("`;` after the `let` statement")),
        }
    }

    /// Whether `(…) {` stands here: a function, not an expression in parentheses.
    fn at_function(&self) -> bool {
        if self.is_word("view") && self.is_at(1, "(") {
            return true;
        }
        if !self.is("(") {
            return false;
        }
        match (self.peek_at(1), self.peek_at(2)) {
            (TokenKind::Symbol(")"), TokenKind::Symbol("{")) | (TokenKind::Word(_), TokenKind::Symbol(":")) => true,
            (TokenKind::Symbol("["), TokenKind::Text(_)) => self.is_at(4, ":"),
            _ => false,
        }
    }

    /// `(name: type = default, …)`, with a comma before the closing bracket or none.
    fn params(&mut self) -> Parsed<Vec<Param>> {
        self.expect("(")?;
        let mut params = Vec::new();
        while !self.is(")") {
            params.push(self.param()?);
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(params)
    }

    fn function(&mut self) -> Parsed<FunctionDef> {
        self.accept_word("view");
        let params = self.params()?;
        self.expect("{")?;
        let body = self.query()?;
        self.expect("}")?;
        Ok(FunctionDef { params, body })
    }

    pub(super) fn param(&mut self) -> Parsed<Param> {
        let name = self.name()?;
        self.expect(":")?;
        let ty = if self.accept("(") {
            let columns = if self.accept("*") { Vec::new() } else { self.columns()? };
            self.expect(")")?;
            ParamType::Table(columns)
        } else {
            ParamType::Scalar(self.column_type()?)
        };
        let default = if self.accept("=") {
            self.layout_named();
            Some(self.expression()?)
        } else {
            None
        };
        Ok(Param { name, ty, default })
    }

    /// `a:string, b:long`; empty before a closing bracket.
    pub(super) fn columns(&mut self) -> Parsed<Schema> {
        if self.is(")") {
            return Ok(Vec::new());
        }
        let mut columns = Vec::new();
        loop {
            // `(a:string, *)` of a plugin's schema: what else comes is not said.
            if !self.accept("*") {
                let name = self.name()?;
                self.expect(":")?;
                columns.push((name, self.column_type()?));
            }
            if !self.accept(",") || self.is(")") {
                return Ok(columns);
            }
        }
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

    /// `(name = value, …)` behind `with`.
    pub(super) fn properties(&mut self) -> Parsed<Vec<(Name, Expr)>> {
        self.expect("(")?;
        let mut properties = Vec::new();
        while !self.is(")") {
            let name = self.name()?;
            self.expect("=")?;
            self.layout_named();
            properties.push((name, self.expression()?));
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(properties)
    }

    /// Columns, comma-separated, by their names alone.
    pub(super) fn name_list(&mut self) -> Parsed<Vec<Name>> {
        comma_list(self, Self::name)
    }

    /// After `name =` of an argument or option: no blanks around the `=`.
    pub(super) fn layout_named(&mut self) {
        self.glue(0);
        let before = self.position() - 1;
        self.layout.glued[before] = true;
    }

    /// Skips the operands of something that is only read over, up to the `|`, `;` or bracket that ends it. Its blanks
    /// stay as they are.
    pub(super) fn skip(&mut self) -> Parsed<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                TokenKind::End => return Ok(()),
                TokenKind::Symbol("(" | "[" | "{") if depth >= MAX_DEPTH => {
                    return Err(Diagnostic::error(self.span(), format!("nested more than {MAX_DEPTH} levels deep")));
                }
                TokenKind::Symbol("(" | "[" | "{") => depth += 1,
                TokenKind::Symbol(")" | "]" | "}") if depth == 0 => return Ok(()),
                TokenKind::Symbol(")" | "]" | "}") => depth -= 1,
                TokenKind::Symbol("|" | ";") if depth == 0 => return Ok(()),
                _ => {}
            }
            if self.adjacent(0) {
                self.glue(0);
            }
            self.advance();
        }
    }
}
