//! Pipelines: `source | operator | operator`.

use super::ast::{
    Expand, Expr, ExprKind, JoinKey, JoinKind, Operator, OperatorKind, ParseKind, ParseKv, ParsePart, ParseSpec,
    Pattern, Union,
};
use super::lexer::TokenKind;
use super::parser::{Parsed, Parser, comma_list};
use crate::diagnostic::{Diagnostic, nearest};
use crate::scalar::Scalar;

/// Operators that need more than one batch's rows: they are known, so that the refusal can say why.
const STATEFUL: &[&str] = &[
    "summarize",
    "sort",
    "order",
    "top",
    "top-nested",
    "top-hitters",
    "distinct",
    "count",
    "take",
    "limit",
    "sample",
    "sample-distinct",
    "make-series",
    "make-graph",
    "graph-match",
    "reduce",
    "partition",
    "scan",
    "evaluate",
    "facet",
    "find",
    "fork",
    "search",
    "render",
    "mv-apply",
    "getschema",
    "externaldata",
    "macro-expand",
    "project-smart",
];

const RUNNABLE: &[&str] = &[
    "where",
    "filter",
    "extend",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "join",
    "lookup",
    "union",
    "parse",
    "parse-where",
    "parse-kv",
    "mv-expand",
    "mvexpand",
    "invoke",
    "as",
    "serialize",
    "consume",
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
            let mut operators = Vec::new();
            while parser.accept("|") {
                operators.push(parser.operator()?);
            }
            Ok(Expr { kind: ExprKind::Pipe(Box::new(source), operators), span: start..parser.previous_end() })
        })
    }

    fn source(&mut self) -> Parsed<Expr> {
        let start = self.span().start;
        let next_starts_operand = matches!(
            self.peek_at(1),
            TokenKind::Word(_) | TokenKind::Text(_) | TokenKind::Literal(_) | TokenKind::Symbol("(" | "-" | "[")
        );
        let kind = if self.is_word("print") && next_starts_operand {
            self.advance();
            ExprKind::Print(comma_list(self, Self::assignment)?)
        } else if self.is_word("range") && matches!(self.peek_at(1), TokenKind::Word(_)) {
            self.range()?
        } else if self.is_word("union") && next_starts_operand {
            self.advance();
            ExprKind::Union(self.union()?)
        } else {
            return self.expression();
        };
        Ok(Expr { kind, span: start..self.previous_end() })
    }

    fn range(&mut self) -> Parsed<ExprKind> {
        self.advance();
        let name = self.name()?;
        let mut bound = |word: &str| {
            if self.accept_word(word) { self.expression() } else { Err(self.unexpected(&format!("`{word}`"))) }
        };
        let bounds = [bound("from")?, bound("to")?, bound("step")?];
        Ok(ExprKind::Range(name, Box::new(bounds)))
    }

    fn operator(&mut self) -> Parsed<Operator> {
        let start = self.span().start;
        let word = self.hyphenated()?;
        let name_span = start..self.previous_end();
        let kind = match word.as_str() {
            "where" | "filter" => OperatorKind::Where(self.expression()?),
            "extend" => OperatorKind::Extend(comma_list(self, Self::assignment)?),
            "project" => OperatorKind::Project(comma_list(self, Self::assignment)?),
            "project-away" => OperatorKind::ProjectAway(comma_list(self, Self::pattern)?),
            "project-keep" => OperatorKind::ProjectKeep(comma_list(self, Self::pattern)?),
            "project-reorder" => OperatorKind::ProjectReorder(comma_list(self, Self::pattern)?),
            "project-rename" => OperatorKind::ProjectRename(comma_list(self, |parser| {
                let new = parser.name()?;
                parser.expect("=")?;
                Ok((new, parser.name()?))
            })?),
            "join" | "lookup" => self.join(&word, &name_span)?,
            "union" => OperatorKind::Union(self.union()?),
            "parse" | "parse-where" => OperatorKind::Parse(Box::new(self.parse_spec(word == "parse-where")?)),
            "parse-kv" => OperatorKind::ParseKv(Box::new(self.parse_kv()?)),
            "mv-expand" | "mvexpand" => OperatorKind::Expand(self.expand()?),
            "invoke" => {
                let name = self.name()?;
                OperatorKind::Invoke(name, self.arguments()?)
            }
            "as" => {
                self.options()?;
                self.name()?;
                OperatorKind::Nothing
            }
            "serialize" if !matches!(self.peek(), TokenKind::Word(_)) => OperatorKind::Nothing,
            "serialize" => OperatorKind::Extend(comma_list(self, Self::assignment)?),
            "consume" => OperatorKind::Nothing,
            word if STATEFUL.contains(&word) => {
                self.skip_operator();
                OperatorKind::Stateful(word.to_owned())
            }
            word => {
                let mut error = Diagnostic::error(name_span, format!("unknown operator `{word}`"));
                error.help = nearest(word, RUNNABLE.iter().chain(STATEFUL).copied());
                return Err(error);
            }
        };
        let span = match kind {
            OperatorKind::Stateful(_) => name_span,
            _ => start..self.previous_end(),
        };
        Ok(Operator { kind, span })
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
            self.advance();
            self.advance();
        }
        Ok(word)
    }

    /// A name, or a pattern such as `Src*` or `*_s`: names and stars that touch.
    fn pattern(&mut self) -> Parsed<Pattern> {
        let start = self.span().start;
        let mut text = String::new();
        let mut wildcard = false;
        loop {
            let touches = text.is_empty() || self.adjacent(0);
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
        let order = if self.accept_word("asc") || self.accept_word("granny-asc") {
            Some(true)
        } else if self.accept_word("desc") {
            Some(false)
        } else {
            None
        };
        Ok(Pattern { text, wildcard, span, order })
    }

    /// `kind=inner hint.strategy=broadcast …`: the options as (name, value text).
    fn options(&mut self) -> Parsed<Vec<(String, String)>> {
        let mut options = Vec::new();
        loop {
            let start = self.position();
            let TokenKind::Word(mut name) = self.peek().clone() else { break };
            self.advance();
            while self.accept(".") {
                name.push('.');
                name.push_str(&self.name()?.text);
            }
            if !self.accept("=") {
                self.rewind(start);
                break;
            }
            let value = match self.peek().clone() {
                TokenKind::Word(word) | TokenKind::Text(word) => word,
                TokenKind::Literal(scalar) => crate::text::to_text(&scalar),
                _ => {
                    self.rewind(start);
                    break;
                }
            };
            self.advance();
            options.push((name, value));
        }
        Ok(options)
    }

    fn join(&mut self, word: &str, name_span: &std::ops::Range<usize>) -> Parsed<OperatorKind> {
        let options = self.options()?;
        let default_kind = if word == "lookup" { "leftouter" } else { "innerunique" };
        let kind = options.iter().find(|(name, _)| name == "kind").map_or(default_kind, |(_, value)| value.as_str());
        let kind = match kind {
            "inner" => Some(JoinKind::Inner),
            "leftouter" => Some(JoinKind::LeftOuter),
            _ => None,
        };
        let right = self.source()?;
        if !self.accept_word("on") {
            return Err(self.unexpected("`on` and the key columns"));
        }
        let keys = comma_list(self, Self::join_key)?;
        match kind {
            Some(kind) => Ok(OperatorKind::Join { kind, drop_right_keys: word == "lookup", right, keys }),
            None => Err(Diagnostic::error(
                name_span.clone(),
                format!("stateful operator `{word}` of this kind cannot run at ingest"),
            )
            .with_help("write `kind=inner` or `kind=leftouter` against a constant table")),
        }
    }

    fn join_key(&mut self) -> Parsed<JoinKey> {
        let condition = self.expression()?;
        let span = condition.span.clone();
        let name = |text: &str| super::ast::Name { text: text.to_owned(), span: span.clone() };
        let side = |expr: &Expr| match &expr.kind {
            ExprKind::Member(base, name) => match &base.kind {
                ExprKind::Name(side) => Some((side.clone(), name.clone())),
                _ => None,
            },
            _ => None,
        };
        match &condition.kind {
            ExprKind::Name(column) => return Ok(JoinKey { left: name(column), right: name(column) }),
            ExprKind::Binary("==", a, b) => match (side(a), side(b)) {
                (Some((l, left)), Some((r, right))) if l == "$left" && r == "$right" => {
                    return Ok(JoinKey { left: name(&left), right: name(&right) });
                }
                (Some((r, right)), Some((l, left))) if l == "$left" && r == "$right" => {
                    return Ok(JoinKey { left: name(&left), right: name(&right) });
                }
                _ => {}
            },
            _ => {}
        }
        Err(Diagnostic::error(span, "expected a column name or `$left.a == $right.b`"))
    }

    fn union(&mut self) -> Parsed<Union> {
        let options = self.options()?;
        let value = |key: &str| options.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let tables = comma_list(self, |parser| {
            let TokenKind::Symbol("(") = parser.peek() else { return parser.expression() };
            parser.advance();
            let inner = parser.pipeline()?;
            parser.expect(")")?;
            Ok(inner)
        })?;
        Ok(Union {
            tables,
            inner: value("kind").as_deref() == Some("inner"),
            withsource: value("withsource").or_else(|| value("with_source")),
        })
    }

    fn parse_spec(&mut self, filter: bool) -> Parsed<ParseSpec> {
        let options = self.options()?;
        let value = |key: &str| options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let kind = match value("kind") {
            None | Some("simple") => ParseKind::Simple,
            Some("relaxed") => ParseKind::Relaxed,
            Some("regex") => ParseKind::Regex,
            Some(other) => {
                return Err(Diagnostic::error(self.span(), format!("unknown kind `{other}` of parse"))
                    .with_help("expected simple, relaxed or regex"));
            }
        };
        let flags = value("flags").unwrap_or_default().to_owned();
        let input = self.expression()?;
        if !self.accept_word("with") {
            return Err(self.unexpected("`with` and the pattern"));
        }
        let mut parts = Vec::new();
        loop {
            match self.peek().clone() {
                TokenKind::Symbol("*") => {
                    self.advance();
                    parts.push(ParsePart::Star);
                }
                TokenKind::Text(text) => {
                    self.advance();
                    match parts.last_mut() {
                        Some(ParsePart::Text(before)) => before.push_str(&text),
                        _ => parts.push(ParsePart::Text(text)),
                    }
                }
                TokenKind::Word(_) | TokenKind::Symbol("[") => {
                    let name = self.name()?;
                    let ty = if self.accept(":") { Some(self.column_type()?) } else { None };
                    parts.push(ParsePart::Column(name, ty));
                }
                _ => break,
            }
        }
        if parts.is_empty() {
            return Err(self.unexpected("a pattern: texts, `*` and column names"));
        }
        Ok(ParseSpec { kind, flags, input, parts, filter })
    }

    fn parse_kv(&mut self) -> Parsed<ParseKv> {
        let input = self.expression()?;
        if !self.accept_word("as") {
            return Err(self.unexpected("`as` and the columns"));
        }
        self.expect("(")?;
        let columns = comma_list(self, |parser| {
            let name = parser.name()?;
            parser.expect(":")?;
            Ok((name, parser.column_type()?))
        })?;
        self.expect(")")?;
        let mut options = Vec::new();
        if self.accept_word("with") {
            self.expect("(")?;
            options = comma_list(self, |parser| {
                let name = parser.name()?;
                parser.expect("=")?;
                Ok((name, parser.expression()?))
            })?;
            self.expect(")")?;
        }
        Ok(ParseKv { input, columns, options })
    }

    fn expand(&mut self) -> Parsed<Expand> {
        let mut index = None;
        let mut as_array = false;
        while let TokenKind::Word(word) = self.peek().clone() {
            if !matches!(word.as_str(), "bagexpansion" | "kind" | "with_itemindex")
                || !matches!(self.peek_at(1), TokenKind::Symbol("="))
            {
                break;
            }
            self.advance();
            self.advance();
            let value = self.name()?;
            match word.as_str() {
                "with_itemindex" => index = Some(value),
                _ => as_array = value.text == "array",
            }
        }
        let columns = comma_list(self, |parser| {
            let assignment = parser.assignment()?;
            let mut ty = None;
            if parser.accept_word("to") {
                let ExprKind::TypeOf(wanted) = parser.expression()?.kind else {
                    return Err(parser.unexpected("`typeof(type)`"));
                };
                ty = Some(wanted);
            }
            Ok((assignment, ty))
        })?;
        let limit = if self.accept_word("limit") { Some(self.expression()?) } else { None };
        Ok(Expand { columns, index, as_array, limit })
    }

    /// Skips to the `|`, `;` or closing bracket that ends the operator.
    fn skip_operator(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                TokenKind::End => return,
                TokenKind::Symbol("(" | "[" | "{") => depth += 1,
                TokenKind::Symbol(")" | "]" | "}") if depth == 0 => return,
                TokenKind::Symbol(")" | "]" | "}") => depth -= 1,
                TokenKind::Symbol("|" | ";") if depth == 0 => return,
                _ => {}
            }
            self.advance();
        }
    }
}
