//! Expressions by precedence climbing.
//!
//! From loose to tight, as in Microsoft's grammar: `or`; `and`; equality (`==` `!=` `in` `between` `has_any`);
//! relation (`<`…); sum; product; the text operators (`has`, `=~`, `matches regex`…); sign; paths and calls. Of
//! equality, relation and the text operators one stands alone: `a == b == c` needs parentheses.

use super::ast::{Arg, Assignment, Expr, ExprKind, External, Name};
use super::cursor::{Parsed, Parser, comma_list};
use super::lexer::TokenKind;
use crate::diagnostic::Diagnostic;
use crate::scalar::Scalar;

const OR: u8 = 1;
const AND: u8 = 2;
const EQUALITY: u8 = 3;
const RELATION: u8 = 4;
const SUM: u8 = 5;
const PRODUCT: u8 = 6;
const TEXT: u8 = 7;

/// Longest chain of operators on one level, such as `a or b or …`.
const MAX_CHAIN: usize = 20_000;

enum Infix {
    Binary(&'static str),
    Among(&'static str),
    Between(bool),
}

impl Parser {
    /// One scalar expression.
    pub(crate) fn expression(&mut self) -> Parsed<Expr> {
        self.binary(OR)
    }

    /// An expression without comparisons: `in` and its kin after it belong to what is around.
    pub(super) fn operand(&mut self) -> Parsed<Expr> {
        self.binary(SUM)
    }

    fn binary(&mut self, minimum: u8) -> Parsed<Expr> {
        self.nested(|parser| {
            let mut left = parser.unary()?;
            let mut length = 0;
            let mut last = None;
            while let Some((infix, precedence, tokens)) = parser.infix() {
                if precedence < minimum {
                    break;
                }
                length += 1;
                if length > MAX_CHAIN {
                    let message = format!("more than {MAX_CHAIN} operators in a row");
                    return Err(Diagnostic::error(parser.span(), message).with_help("use `in (…)`, or name parts"));
                }
                if last == Some(precedence) && matches!(precedence, EQUALITY | RELATION | TEXT) {
                    return Err(Diagnostic::error(parser.span(), "a comparison does not follow another one")
                        .with_help("put parentheses around the first, as in `(a == b) == c`"));
                }
                last = Some(precedence);
                // `!` and its word are one operator.
                if tokens == 2 && parser.is("!") {
                    parser.glue(1);
                }
                for _ in 0..tokens {
                    parser.advance();
                }
                let start = left.span.start;
                let kind = match infix {
                    Infix::Binary(op) => {
                        let right = parser.binary(precedence + 1)?;
                        ExprKind::Binary(op, Box::new(left), Box::new(right))
                    }
                    Infix::Among(op) => {
                        parser.expect("(")?;
                        let mut items = Vec::new();
                        while !parser.is(")") {
                            items.push(parser.pipeline()?);
                            if !parser.accept(",") {
                                break;
                            }
                        }
                        parser.expect(")")?;
                        ExprKind::Among(op, Box::new(left), items)
                    }
                    Infix::Between(negated) => {
                        parser.expect("(")?;
                        let low = parser.binary(SUM)?;
                        parser.expect("..")?;
                        let high = parser.binary(SUM)?;
                        parser.expect(")")?;
                        ExprKind::Between(negated, Box::new(left), Box::new(low), Box::new(high))
                    }
                };
                left = Expr { kind, span: start..parser.previous_end() };
            }
            Ok(left)
        })
    }

    /// The infix operator at the cursor, its precedence and its number of tokens.
    fn infix(&self) -> Option<(Infix, u8, usize)> {
        let binary = |op, precedence, tokens| Some((Infix::Binary(op), precedence, tokens));
        match self.peek() {
            TokenKind::Symbol(symbol) => match *symbol {
                "==" => binary("==", EQUALITY, 1),
                "!=" | "<>" => binary("!=", EQUALITY, 1),
                "<" => binary("<", RELATION, 1),
                "<=" => binary("<=", RELATION, 1),
                ">" => binary(">", RELATION, 1),
                ">=" => binary(">=", RELATION, 1),
                "+" => binary("+", SUM, 1),
                "-" => binary("-", SUM, 1),
                "*" => binary("*", PRODUCT, 1),
                "/" => binary("/", PRODUCT, 1),
                "%" => binary("%", PRODUCT, 1),
                "=~" => binary("=~", TEXT, 1),
                "!~" => binary("!~", TEXT, 1),
                // `column:'text'` of a `search`.
                ":" if matches!(self.peek_at(1), TokenKind::Text(_)) => binary("has", TEXT, 1),
                "in~" => Some((Infix::Among("in~"), EQUALITY, 1)),
                "!in~" => Some((Infix::Among("!in~"), EQUALITY, 1)),
                "!" if self.adjacent(1) => match self.peek_at(1) {
                    TokenKind::Word(word) if word == "in" => Some((Infix::Among("!in"), EQUALITY, 2)),
                    TokenKind::Word(word) if word == "between" => Some((Infix::Between(true), EQUALITY, 2)),
                    TokenKind::Word(word) => negated_text_operator(word).map(|op| (Infix::Binary(op), TEXT, 2)),
                    _ => None,
                },
                _ => None,
            },
            TokenKind::Word(word) => match word.as_str() {
                "or" => binary("or", OR, 1),
                "and" => binary("and", AND, 1),
                "in" => Some((Infix::Among("in"), EQUALITY, 1)),
                "has_any" => Some((Infix::Among("has_any"), EQUALITY, 1)),
                "has_all" => Some((Infix::Among("has_all"), EQUALITY, 1)),
                "between" => Some((Infix::Between(false), EQUALITY, 1)),
                "matches" if matches!(self.peek_at(1), TokenKind::Word(next) if next == "regex") => {
                    binary("matches regex", TEXT, 2)
                }
                word => text_operator(word).map(|op| (Infix::Binary(op), TEXT, 1)),
            },
            _ => None,
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.span().start;
        if self.accept("-") {
            self.glue(0);
            let inner = self.nested(Self::unary)?;
            let kind = match inner.kind {
                ExprKind::Literal(Scalar::Long(value)) => ExprKind::Literal(Scalar::Long(value.wrapping_neg())),
                ExprKind::Literal(Scalar::Real(value)) => ExprKind::Literal(Scalar::Real(-value)),
                ExprKind::Literal(Scalar::Timespan(value)) => ExprKind::Literal(Scalar::Timespan(value.wrapping_neg())),
                _ => ExprKind::Negate(Box::new(inner)),
            };
            return Ok(Expr { kind, span: start..self.previous_end() });
        }
        if self.accept("+") {
            self.glue(0);
            return self.nested(Self::unary);
        }
        self.path(Self::primary, |parser, base| {
            let kind = if parser.is(".") {
                parser.advance();
                let name = parser.name()?;
                if parser.is("(") {
                    ExprKind::Method(Box::new(base), name, parser.arguments()?)
                } else {
                    ExprKind::Member(Box::new(base), name.text)
                }
            } else if parser.is("[") {
                parser.glue(0);
                parser.advance();
                let index = parser.expression()?;
                parser.expect("]")?;
                match index.kind {
                    ExprKind::Literal(Scalar::String(name)) => ExprKind::Member(Box::new(base), name.to_string()),
                    _ => ExprKind::Index(Box::new(base), Box::new(index)),
                }
            } else {
                return Ok(Err(base));
            };
            Ok(Ok(Expr { kind, span: start..parser.previous_end() }))
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let start = self.span().start;
        let kind = match self.peek().clone() {
            TokenKind::Text(mut text) => {
                self.advance();
                // Adjacent literals are one literal.
                while let TokenKind::Text(next) = self.peek() {
                    text.push_str(next);
                    self.advance();
                }
                ExprKind::Literal(Scalar::String(text.into()))
            }
            TokenKind::Literal(scalar) => {
                self.advance();
                ExprKind::Literal(scalar)
            }
            TokenKind::Symbol("(") => {
                self.advance();
                let inner = self.pipeline()?;
                self.expect(")")?;
                return Ok(Expr { kind: inner.kind, span: start..self.previous_end() });
            }
            TokenKind::Symbol("[") => ExprKind::Name(self.name()?.text),
            TokenKind::Symbol("*") => {
                self.advance();
                ExprKind::Star
            }
            TokenKind::Word(word) => return self.word(&word),
            _ => return Err(self.unexpected("an expression")),
        };
        Ok(Expr { kind, span: start..self.previous_end() })
    }

    fn word(&mut self, word: &str) -> Parsed<Expr> {
        let span = self.span();
        let start = span.start;
        let next_is_open = matches!(self.peek_at(1), TokenKind::Symbol("("));
        let kind = match word {
            "true" | "True" | "TRUE" if !next_is_open => {
                self.advance();
                ExprKind::Literal(Scalar::Bool(true))
            }
            "false" | "False" | "FALSE" if !next_is_open => {
                self.advance();
                ExprKind::Literal(Scalar::Bool(false))
            }
            "datatable" if next_is_open => {
                self.advance();
                self.datatable()?
            }
            "externaldata" if next_is_open => {
                self.advance();
                self.external()?
            }
            "typeof" if next_is_open => {
                self.advance();
                self.glue(0);
                self.expect("(")?;
                let ty = self.column_type()?;
                self.expect(")")?;
                ExprKind::TypeOf(ty)
            }
            _ => {
                self.advance();
                if self.is("(") {
                    let args = self.arguments()?;
                    ExprKind::Call(Name { text: word.to_owned(), span }, args)
                } else {
                    ExprKind::Name(word.to_owned())
                }
            }
        };
        Ok(Expr { kind, span: start..self.previous_end() })
    }

    /// `(a, name = b)` behind a function's name.
    pub(crate) fn arguments(&mut self) -> Parsed<Vec<Arg>> {
        self.glue(0);
        self.expect("(")?;
        let mut args = Vec::new();
        while !self.is(")") {
            let name = match (self.peek(), self.peek_at(1)) {
                (TokenKind::Word(word), TokenKind::Symbol("=")) => Some(word.clone()),
                _ => None,
            };
            if name.is_some() {
                self.advance();
                self.advance();
                self.layout_named();
            }
            args.push(Arg { name, value: self.pipeline()? });
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(args)
    }

    fn datatable(&mut self) -> Parsed<ExprKind> {
        self.glue(0);
        self.expect("(")?;
        let start = self.span();
        let columns = self.columns()?;
        if columns.is_empty() {
            return Err(Diagnostic::error(start, "a `datatable` has at least one column"));
        }
        self.expect(")")?;
        self.note_table(columns.len());
        self.expect("[")?;
        let mut values = Vec::new();
        while !self.is("]") {
            values.push(self.expression()?);
            if !self.accept(",") {
                break;
            }
        }
        let span = self.span();
        self.expect("]")?;
        if !values.len().is_multiple_of(columns.len()) {
            return Err(Diagnostic::error(
                span,
                format!("{} values do not fill rows of {} columns", values.len(), columns.len()),
            ));
        }
        Ok(ExprKind::Datatable(columns, values))
    }

    /// `(a:string) [@"https://…"] with (format="csv")` behind `externaldata`.
    fn external(&mut self) -> Parsed<ExprKind> {
        self.glue(0);
        self.expect("(")?;
        let columns = self.columns()?;
        self.expect(")")?;
        self.expect("[")?;
        let addresses = comma_list(self, Self::expression)?;
        self.expect("]")?;
        let properties = if self.accept_word("with") { self.properties()? } else { Vec::new() };
        Ok(ExprKind::External(Box::new(External { columns, addresses, properties })))
    }

    /// `name = expression`, `(a, b) = expression` or `expression`.
    pub(crate) fn assignment(&mut self) -> Parsed<Assignment> {
        let start = self.position();
        if matches!(self.peek(), TokenKind::Word(_) | TokenKind::Symbol("["))
            && let Ok(name) = self.name()
            && self.accept("=")
        {
            return Ok(Assignment { name: Some(name), more: Vec::new(), value: self.expression()? });
        }
        self.rewind(start);
        if self.accept("(") {
            if let Ok(mut names) = comma_list(self, Self::name)
                && self.accept(")")
                && self.accept("=")
            {
                let name = names.remove(0);
                return Ok(Assignment { name: Some(name), more: names, value: self.expression()? });
            }
            self.rewind(start);
        }
        Ok(Assignment { name: None, more: Vec::new(), value: self.expression()? })
    }
}

fn text_operator(word: &str) -> Option<&'static str> {
    TEXT_OPERATORS.iter().copied().find(|op| *op == word)
}

fn negated_text_operator(word: &str) -> Option<&'static str> {
    NEGATED_TEXT_OPERATORS.iter().copied().find(|op| &op[1..] == word)
}

/// The operators between two texts that are words.
pub(crate) const TEXT_OPERATORS: &[&str] = &[
    "has",
    "has_cs",
    "hasprefix",
    "hasprefix_cs",
    "hassuffix",
    "hassuffix_cs",
    "contains",
    "contains_cs",
    "startswith",
    "startswith_cs",
    "endswith",
    "endswith_cs",
];

const NEGATED_TEXT_OPERATORS: &[&str] = &[
    "!has",
    "!has_cs",
    "!hasprefix",
    "!hasprefix_cs",
    "!hassuffix",
    "!hassuffix_cs",
    "!contains",
    "!contains_cs",
    "!startswith",
    "!startswith_cs",
    "!endswith",
    "!endswith_cs",
];
