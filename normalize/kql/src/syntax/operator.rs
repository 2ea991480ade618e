//! Pipelines: `source | operator | operator`, and the operators that choose and name columns.

use super::ast::{Expr, ExprKind, Operator, OperatorKind, Options, Pattern};
use super::cursor::{Parsed, Parser, comma_list};
use super::lexer::TokenKind;
use crate::diagnostic::{Diagnostic, nearest};
use crate::scalar::Scalar;

/// All operators, for near-name hints and for the reference.
pub(crate) const OPERATORS: &[&str] = &[
    "as",
    "assert-schema",
    "consume",
    "count",
    "distinct",
    "evaluate",
    "extend",
    "facet",
    "filter",
    "find",
    "fork",
    "getschema",
    "graph-mark-components",
    "graph-match",
    "graph-shortest-paths",
    "graph-to-table",
    "graph-where-edges",
    "graph-where-nodes",
    "invoke",
    "join",
    "limit",
    "lookup",
    "macro-expand",
    "make-graph",
    "make-series",
    "mv-apply",
    "mv-expand",
    "order",
    "parse",
    "parse-kv",
    "parse-where",
    "partition",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "reduce",
    "render",
    "sample",
    "sample-distinct",
    "scan",
    "search",
    "serialize",
    "sort",
    "summarize",
    "take",
    "top",
    "top-hitters",
    "top-nested",
    "union",
    "where",
];

/// Operators whose operands are skipped over: this language only needs to know that they are there.
pub(crate) const OPAQUE: &[&str] = &[
    "assert-schema",
    "execute-and-cache",
    "graph-mark-components",
    "graph-to-table",
    "graph-where-edges",
    "graph-where-nodes",
    "macro-expand",
    "partition-by",
    "project-by-names",
];

/// Names that may stand before an operator's operands, with `=` and a value.
const OPTIONS: &[&str] = &[
    "bagexpansion",
    "cycles",
    "datascope",
    "decodeblocks",
    "expandoutput",
    "flags",
    "hint",
    "isfuzzy",
    "kind",
    "output",
    "with_itemindex",
    "with_match_id",
    "with_source",
    "with_step_name",
    "withsource",
];

impl Parser {
    /// An expression, followed by any number of `| operator`.
    pub(crate) fn pipeline(&mut self) -> Parsed<Expr> {
        self.nested(|parser| {
            let start = parser.span().start;
            let source = parser.source()?;
            if !parser.is("|") {
                return Ok(source);
            }
            let operators = parser.piped()?;
            Ok(Expr { kind: ExprKind::Pipe(Box::new(source), operators), span: start..parser.previous_end() })
        })
    }

    /// `| operator | operator …`
    fn piped(&mut self) -> Parsed<Vec<Operator>> {
        let mut operators = Vec::new();
        while self.accept("|") {
            operators.extend(self.one_operator());
        }
        Ok(operators)
    }

    /// `operator | operator …` inside the parentheses of `mv-apply`, `fork` and their kin.
    pub(super) fn inner_operators(&mut self) -> Parsed<Vec<Operator>> {
        self.nested(|parser| {
            parser.expect("(")?;
            let mut operators: Vec<Operator> = parser.one_operator().into_iter().collect();
            operators.extend(parser.piped()?);
            parser.expect(")")?;
            Ok(operators)
        })
    }

    /// One operator; `None` if it was faulty, which is reported.
    fn one_operator(&mut self) -> Option<Operator> {
        let start = self.position();
        let result = self.operator().and_then(|operator| match self.peek() {
            TokenKind::End | TokenKind::Symbol("|" | ";" | ")" | "]" | "}" | ",") => Ok(operator),
            _ => Err(self.unexpected("`|`, `;` or the end of the query")),
        });
        match result {
            Ok(operator) => Some(operator),
            Err(error) => {
                self.recover(error, start);
                None
            }
        }
    }

    /// What stands at the start of a pipeline.
    pub(super) fn source(&mut self) -> Parsed<Expr> {
        let start = self.span().start;
        let next_starts_operand = matches!(
            self.peek_at(1),
            TokenKind::Word(_) | TokenKind::Text(_) | TokenKind::Literal(_) | TokenKind::Symbol("(" | "-" | "[" | "*")
        );
        let next_is_word = matches!(self.peek_at(1), TokenKind::Word(_));
        let kind = if self.is_word("print") && next_starts_operand {
            self.advance();
            self.note_keyword();
            ExprKind::Print(comma_list(self, Self::assignment)?)
        } else if self.is_word("range") && next_is_word {
            self.range()?
        } else if self.is_word("union") && next_starts_operand {
            self.advance();
            self.note_keyword();
            ExprKind::Union(self.union()?)
        } else if (self.is_word("search") || self.is_word("find")) && next_starts_operand
            || self.is_word("evaluate") && next_is_word
        {
            ExprKind::Source(Box::new(self.operator()?))
        } else {
            return self.expression();
        };
        Ok(Expr { kind, span: start..self.previous_end() })
    }

    fn range(&mut self) -> Parsed<ExprKind> {
        self.advance();
        let name = self.name()?;
        let mut bound = |word: &str| {
            self.expect_word(word)?;
            self.expression()
        };
        let bounds = [bound("from")?, bound("to")?, bound("step")?];
        Ok(ExprKind::Range(name, Box::new(bounds)))
    }

    pub(super) fn operator(&mut self) -> Parsed<Operator> {
        let start = self.span().start;
        let word = self.hyphenated()?;
        let name_span = start..self.previous_end();
        self.note_keyword();
        let kind = match word.as_str() {
            "where" | "filter" => {
                self.hints()?;
                OperatorKind::Where(self.expression()?)
            }
            "extend" => OperatorKind::Extend(self.assignments()?),
            "project" if matches!(self.peek(), TokenKind::End | TokenKind::Symbol("|" | ")" | ";")) => {
                return Err(self.unexpected("a column or an expression"));
            }
            "project" => OperatorKind::Project(self.assignments()?),
            "project-away" => OperatorKind::ProjectAway(self.patterns()?),
            "project-keep" => OperatorKind::ProjectKeep(self.patterns()?),
            "project-reorder" => OperatorKind::ProjectReorder(self.patterns()?),
            "project-rename" => OperatorKind::ProjectRename(comma_list(self, |parser| {
                let new = parser.name()?;
                parser.expect("=")?;
                Ok((new, parser.name()?))
            })?),
            "as" => {
                self.hints()?;
                OperatorKind::As(self.name()?)
            }
            "serialize" if !matches!(self.peek(), TokenKind::Word(_) | TokenKind::Symbol("[")) => {
                OperatorKind::Serialize(Vec::new())
            }
            "serialize" => OperatorKind::Serialize(self.assignments()?),
            "consume" => {
                self.options()?;
                OperatorKind::Nothing
            }
            "invoke" => {
                let name = self.name()?;
                OperatorKind::Invoke(name, self.arguments()?)
            }
            word if OPAQUE.contains(&word) => {
                self.skip()?;
                OperatorKind::Opaque(word.to_owned())
            }
            word => match self.combining(word, &name_span)? {
                Some(kind) => kind,
                None => match self.gathering(word)?.map_or_else(|| self.graph(word), |kind| Ok(Some(kind)))? {
                    Some(kind) => kind,
                    None => {
                        let mut error = Diagnostic::error(name_span, format!("unknown operator `{word}`"));
                        error.help = nearest(word, OPERATORS.iter().copied());
                        return Err(error);
                    }
                },
            },
        };
        Ok(Operator { kind, span: start..self.previous_end(), name_span })
    }

    pub(super) fn assignments(&mut self) -> Parsed<Vec<super::ast::Assignment>> {
        comma_list(self, Self::assignment)
    }

    pub(super) fn patterns(&mut self) -> Parsed<Vec<Pattern>> {
        comma_list(self, Self::pattern)
    }

    /// `project-away` is three tokens that touch.
    fn hyphenated(&mut self) -> Parsed<String> {
        let TokenKind::Word(mut word) = self.peek().clone() else { return Err(self.unexpected("an operator")) };
        self.advance();
        while self.is("-")
            && self.adjacent(0)
            && self.adjacent(1)
            && let TokenKind::Word(next) = self.peek_at(1).clone()
        {
            word.push('-');
            word.push_str(&next);
            self.glue(0);
            self.glue(1);
            self.advance();
            self.advance();
        }
        Ok(word)
    }

    /// A name, or a pattern such as `Src*` or `*_s`: names and stars that touch.
    pub(super) fn pattern(&mut self) -> Parsed<Pattern> {
        let start = self.span().start;
        let mut text = String::new();
        let mut wildcard = false;
        loop {
            let touches = text.is_empty() || self.adjacent(0);
            if touches && !text.is_empty() && !self.is(",") && !self.is("|") && !self.is(")") && !self.is(";") {
                self.glue(0);
            }
            match self.peek().clone() {
                TokenKind::Symbol("*") if touches => {
                    wildcard = true;
                    text.push('*');
                    self.advance();
                }
                TokenKind::Word(word) if touches => {
                    text.push_str(&word);
                    self.advance();
                }
                TokenKind::Literal(Scalar::Long(digits)) if touches && !text.is_empty() => {
                    text.push_str(&digits.to_string());
                    self.advance();
                }
                TokenKind::Symbol("[") if text.is_empty() => {
                    text = self.name()?.text;
                    break;
                }
                _ => break,
            }
        }
        if text.is_empty() {
            return Err(self.unexpected("a column name or a pattern such as `Src*`"));
        }
        let span = start..self.previous_end();
        let order = if self.order_word("asc") {
            Some(true)
        } else if self.order_word("desc") {
            Some(false)
        } else {
            None
        };
        Ok(Pattern { text, wildcard, span, order })
    }

    /// `asc`, or `granny-asc` (numbers inside names by their value).
    fn order_word(&mut self, order: &str) -> bool {
        if self.is_word("granny") && self.is_at(1, "-") && self.is_word_at(2, order) {
            self.glue(1);
            self.glue(2);
            self.advance();
            self.advance();
            self.advance();
            return true;
        }
        self.accept_word(order)
    }

    /// `hint.strategy=broadcast …` alone, where any other name may be a column's.
    pub(super) fn hints(&mut self) -> Parsed<()> {
        if self.is_word("hint") && self.is_at(1, ".") {
            self.options()?;
        }
        Ok(())
    }

    /// `kind=inner hint.strategy=broadcast …`: the options as (name, value text).
    pub(super) fn options(&mut self) -> Parsed<Options> {
        let mut options = Vec::new();
        loop {
            let start = self.position();
            let TokenKind::Word(mut name) = self.peek().clone() else { break };
            if !OPTIONS.contains(&name.as_str()) {
                break;
            }
            self.advance();
            while self.is(".") {
                self.advance();
                name.push('.');
                name.push_str(&self.name()?.text);
            }
            if !self.is("=") {
                self.rewind(start);
                break;
            }
            self.advance();
            let value = match self.peek().clone() {
                TokenKind::Word(word) | TokenKind::Text(word) => word,
                TokenKind::Literal(scalar) => crate::text::to_text(&scalar),
                _ => {
                    self.rewind(start);
                    break;
                }
            };
            self.layout_named();
            self.advance();
            options.push((name, value));
        }
        Ok(options)
    }
}
