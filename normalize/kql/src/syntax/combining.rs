//! Operators that bring rows or columns from elsewhere: joins, unions, `parse` and its kin, `mv-expand`, `mv-apply`.

use super::ast::{
    Apply, Expand, Expr, ExprKind, Join, JoinKey, JoinKind, Name, OperatorKind, ParseKind, ParseKv, ParsePart,
    ParseSpec, Union,
};
use super::cursor::{Parsed, Parser, comma_list};
use super::lexer::TokenKind;
use crate::diagnostic::{Diagnostic, Span, nearest};

const JOIN_KINDS: &[(&str, JoinKind)] = &[
    ("inner", JoinKind::Inner),
    ("innerunique", JoinKind::InnerUnique),
    ("leftouter", JoinKind::LeftOuter),
    ("rightouter", JoinKind::RightOuter),
    ("fullouter", JoinKind::FullOuter),
    ("leftanti", JoinKind::LeftAnti),
    ("leftantisemi", JoinKind::LeftAnti),
    ("anti", JoinKind::LeftAnti),
    ("rightanti", JoinKind::RightAnti),
    ("rightantisemi", JoinKind::RightAnti),
    ("leftsemi", JoinKind::LeftSemi),
    ("rightsemi", JoinKind::RightSemi),
];

impl Parser {
    /// The operator called `word`, if it is one of this file's.
    pub(super) fn combining(&mut self, word: &str, name_span: &Span) -> Parsed<Option<OperatorKind>> {
        Ok(Some(match word {
            "join" | "lookup" => OperatorKind::Join(Box::new(self.join(word, name_span)?)),
            "union" => OperatorKind::Union(self.union()?),
            "parse" | "parse-where" => OperatorKind::Parse(Box::new(self.parse_spec(word == "parse-where")?)),
            "parse-kv" => OperatorKind::ParseKv(Box::new(self.parse_kv()?)),
            "mv-expand" | "mvexpand" => OperatorKind::Expand(self.expand()?),
            "mv-apply" | "mvapply" => {
                let expand = self.expand()?;
                self.expect_word("on")?;
                OperatorKind::Apply(Box::new(Apply { expand, body: self.inner_operators()? }))
            }
            _ => return Ok(None),
        }))
    }

    fn join(&mut self, word: &str, name_span: &Span) -> Parsed<Join> {
        let lookup = word == "lookup";
        let options = self.options()?;
        let written = options.iter().find(|(name, _)| name == "kind").map(|(_, value)| value.as_str());
        let kind = written.unwrap_or(if lookup { "leftouter" } else { "innerunique" });
        let Some((_, kind)) = JOIN_KINDS.iter().find(|(name, _)| *name == kind) else {
            let mut error = Diagnostic::error(name_span.clone(), format!("unknown kind `{kind}` of {word}"));
            error.help = nearest(kind, JOIN_KINDS.iter().map(|(name, _)| *name));
            return Err(error);
        };
        let right = self.source()?;
        if !self.accept_word("on") {
            return Err(self.unexpected("`on` and the key columns"));
        }
        let keys = comma_list(self, Self::join_keys)?.into_iter().flatten().collect();
        Ok(Join { kind: *kind, lookup, right, keys })
    }

    /// One condition: a column of both sides, `$left.a == $right.b`, or several of these joined by `and`.
    fn join_keys(&mut self) -> Parsed<Vec<JoinKey>> {
        let mut condition = self.expression()?;
        let mut keys = Vec::new();
        while let ExprKind::Binary("and", left, right) = condition.kind {
            keys.push(join_key(&right)?);
            condition = *left;
        }
        keys.push(join_key(&condition)?);
        keys.reverse();
        Ok(keys)
    }

    pub(super) fn union(&mut self) -> Parsed<Union> {
        let options = self.options()?;
        let value = |key: &str| options.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let tables = self.table_list()?;
        Ok(Union {
            tables,
            inner: value("kind").as_deref() == Some("inner"),
            fuzzy: value("isfuzzy").as_deref() == Some("true"),
            withsource: value("withsource").or_else(|| value("with_source")),
        })
    }

    /// `A, (B | where …), C*`
    pub(super) fn table_list(&mut self) -> Parsed<Vec<Expr>> {
        comma_list(self, |parser| {
            let start = parser.span().start;
            let wildcard = parser.is("*")
                || matches!(parser.peek(), TokenKind::Word(_)) && parser.is_at(1, "*") && parser.adjacent(1);
            if wildcard {
                let pattern = parser.pattern()?;
                return Ok(Expr { kind: ExprKind::Wildcard(pattern.text), span: start..parser.previous_end() });
            }
            if !parser.accept("(") {
                return parser.expression();
            }
            let inner = parser.pipeline()?;
            parser.expect(")")?;
            Ok(inner)
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
        let columns = self.columns()?;
        self.expect(")")?;
        let options = if self.accept_word("with") { self.properties()? } else { Vec::new() };
        Ok(ParseKv { input, columns, options })
    }

    fn expand(&mut self) -> Parsed<Expand> {
        let mut index = None;
        let mut as_array = false;
        while let TokenKind::Word(word) = self.peek().clone() {
            if !matches!(word.as_str(), "bagexpansion" | "kind" | "with_itemindex") || !self.is_at(1, "=") {
                break;
            }
            self.advance();
            self.advance();
            self.layout_named();
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
}

fn join_key(condition: &Expr) -> Parsed<JoinKey> {
    let span = condition.span.clone();
    let name = |text: &str| Name { text: text.to_owned(), span: span.clone() };
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
