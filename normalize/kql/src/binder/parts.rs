//! Operators that look at parts of a table: `partition`, `top-nested`, `top-hitters`, `sample-distinct`, `reduce`.
//!
//! Rules: the operators' pages below <https://learn.microsoft.com/kusto/query/>.

use std::rc::Rc;

use ahash::{AHashMap, AHashSet};
use weir_contract::schema::ColumnType;

use super::rows::null_of;
use super::scope::{Binding, Context, Scope};
use super::{Binder, Bound, BoundColumn, Relation, names};
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::aggregates;
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, Assignment, Expr, ExprKind, Name, NestedLevel, PartitionBody, SortKey};

/// Most parts of one `partition`: each is a query of its own.
const MAX_PARTS: usize = 1_000;

impl Binder<'_> {
    pub(super) fn partition(
        &mut self,
        relation: Relation,
        by: &Expr,
        body: &PartitionBody,
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let relation = self.known_rows(relation, "partition", span)?;
        let node = self.expr(by, Context { relation: Some(&relation), scope })?;
        let values = self.values_of(node, &relation, span)?;
        let parts = parts_of(&values);
        if parts.len() > MAX_PARTS {
            let message = format!("`{}` has {} values, a partition at most {MAX_PARTS}", text_of(by), parts.len());
            return Err(Diagnostic::error(by.span.clone(), message).with_help("`summarize … by` has no such limit"));
        }
        let mut results = Vec::with_capacity(parts.len());
        for (key, rows) in &parts {
            results.push(match body {
                PartitionBody::Operators(operators) => {
                    let part = self.picked_rows(&relation, rows, span)?;
                    self.operators(part, operators, scope)?
                }
                PartitionBody::Query(query) => {
                    let inner = Scope::inside(scope, false);
                    let key = self.graph.scalar(key.clone());
                    inner.insert(&text_of(by), Binding::Scalar(key));
                    self.query(query, &inner)?.into_table(&query.body.span)?
                }
            });
        }
        if results.is_empty() {
            // No rows, but the columns that there would be.
            return match body {
                PartitionBody::Operators(operators) => self.operators(relation, operators, scope),
                PartitionBody::Query(_) => Ok(Relation { columns: Vec::new(), ..relation }),
            };
        }
        Ok(self.united(&results, false))
    }

    /// `sample-distinct n of x`: any n of its values.
    pub(super) fn sample_distinct(
        &mut self,
        relation: &Relation,
        count: &Expr,
        of: &Expr,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let limit = self.row_count(count, scope)?;
        let distinct = self.distinct(relation, &[unnamed(of.clone())], scope)?;
        self.arrange(&distinct, &[], limit, scope)
    }

    /// `top-hitters n of x [by w]`: the values that occur most, or weigh most. Exact, where Kusto's are approximate.
    pub(super) fn top_hitters(
        &mut self,
        relation: &Relation,
        (count, of, by): (&Expr, &Expr, Option<&Expr>),
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let limit = self.row_count(count, scope)?;
        let (aggregate, subject) = match by {
            Some(by) => (call("sum", vec![by.clone()], &by.span), names::implied(by)),
            None => (call("count", Vec::new(), &of.span), names::implied(of)),
        };
        let kind = if by.is_some() { "sum" } else { "count" };
        let name = Name { text: format!("approximate_{kind}_{}", subject.unwrap_or_default()), span: of.span.clone() };
        let order = Expr { kind: ExprKind::Name(name.text.clone()), span: of.span.clone() };
        let aggregate = Assignment { name: Some(name), more: Vec::new(), value: aggregate };
        let grouped = self.summarize(relation, &[aggregate], &[unnamed(of.clone())], scope)?;
        let key = SortKey { value: unnamed(order), ascending: false, nulls_first: false };
        self.arrange(&grouped, &[key], limit, scope)
    }

    pub(super) fn top_nested(
        &mut self,
        relation: Relation,
        levels: &[NestedLevel],
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let relation = self.known_rows(relation, "top-nested", span)?;
        let mut columns: Vec<(String, ColumnType)> = Vec::new();
        for level in levels {
            let node = self.expr(&level.of.value, Context { relation: Some(&relation), scope })?;
            let key = match (&level.of.name, names::implied(&level.of.value)) {
                (Some(name), _) => name.text.clone(),
                (None, Some(name)) => name,
                (None, None) => format!("Column{}", columns.len() + 1),
            };
            let value = match &level.by.name {
                Some(name) => name.text.clone(),
                None => format!("aggregated_{key}"),
            };
            let (_, ty) = self.total(&relation, level, span, scope)?;
            columns.push((key, self.graph.ty(node)));
            columns.push((value, ty));
        }
        let mut rows = Vec::new();
        self.nest(&relation, levels, &columns, span, scope, &mut Vec::new(), &mut rows)?;
        let mut result = Vec::with_capacity(columns.len());
        for (place, (name, ty)) in columns.iter().enumerate() {
            result.push((name.as_str().into(), *ty, rows.iter().map(|row| row[place].clone()).collect()));
        }
        let mut result = self.constant_rows(rows.len(), result);
        let columns = std::mem::take(&mut result.columns);
        for BoundColumn { name, node } in columns {
            let name = names::unique(&name, &result.columns);
            result.columns.push(BoundColumn { name: name.into(), node });
        }
        Ok(result)
    }

    /// Adds the rows of the first of `levels`, each followed by those of the next ones. `columns` are those of the levels.
    #[expect(clippy::too_many_arguments, reason = "the table, the levels below, and the row so far")]
    fn nest(
        &mut self,
        relation: &Relation,
        levels: &[NestedLevel],
        columns: &[(String, ColumnType)],
        span: &Span,
        scope: &Rc<Scope>,
        prefix: &mut Vec<Scalar>,
        found: &mut Vec<Vec<Scalar>>,
    ) -> Bound<()> {
        let Some((level, below)) = levels.split_first() else {
            found.push(prefix.clone());
            return Ok(());
        };
        let limit = match &level.count {
            Some(count) => self.row_count(count, scope)?,
            None => usize::MAX,
        };
        let node = self.expr(&level.of.value, Context { relation: Some(relation), scope })?;
        let values = self.values_of(node, relation, span)?;
        let mut groups = Vec::new();
        for (key, rows) in parts_of(&values) {
            let part = self.picked_rows(relation, &rows, span)?;
            let (total, _) = self.total(&part, level, span, scope)?;
            groups.push((key, total, part, rows));
        }
        groups.sort_by(|a, b| {
            let order = aggregates::compare(&a.1, &b.1);
            if level.ascending { order } else { order.reverse() }
        });
        let rest: Vec<usize> = groups.iter().skip(limit).flat_map(|(.., rows)| rows.iter().copied()).collect();
        for (key, total, part, _) in groups.into_iter().take(limit) {
            prefix.extend([key, total]);
            self.nest(&part, below, &columns[2..], span, scope, prefix, found)?;
            prefix.truncate(prefix.len() - 2);
        }
        // The others, if this level or one below shows them: a level that does not is empty in their row.
        if levels.iter().any(|level| level.others.is_some()) && !rest.is_empty() {
            let rest = self.picked_rows(relation, &rest, span)?;
            let mut row = prefix.clone();
            for (level, pair) in levels.iter().zip(columns.chunks(2)) {
                let (label, total) = match &level.others {
                    Some(label) => {
                        let node = self.expr(label, Context { relation: None, scope })?;
                        let node = self.graph.convert(node, pair[0].1);
                        let label = self.graph.constant(node).cloned();
                        (label.unwrap_or_else(|| null_of(pair[0].1)), self.total(&rest, level, span, scope)?.0)
                    }
                    None => (null_of(pair[0].1), null_of(pair[1].1)),
                };
                row.extend([label, total]);
            }
            found.push(row);
        }
        Ok(())
    }

    /// A level's aggregate over all rows of a table.
    fn total(
        &mut self,
        relation: &Relation,
        level: &NestedLevel,
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<(Scalar, ColumnType)> {
        let total = self.summarize(relation, &[unnamed(level.by.value.clone())], &[], scope)?;
        let total = self.known_rows(total, "top-nested", span)?;
        let Some((_, ty, cells)) = self.cells_of(&total, span)?.into_iter().next() else {
            return Err(Diagnostic::error(level.by.value.span.clone(), "`top-nested` needs an aggregate here"));
        };
        Ok((cells.into_iter().next().unwrap_or_else(|| null_of(ty)), ty))
    }

    /// `reduce`: texts that share a word in one place are one group. Microsoft does not say how its own groups are found; a
    /// text goes with the word that it shares with most others, the earlier one of two.
    pub(super) fn reduce(
        &mut self,
        relation: Relation,
        of: &Expr,
        properties: &[(Name, Expr)],
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let relation = self.known_rows(relation, "reduce", span)?;
        let (mut threshold, mut separators) = (0.1, String::new());
        for (name, value) in properties {
            let node = self.expr(value, Context { relation: None, scope })?;
            match (name.text.as_str(), self.graph.constant(node)) {
                ("threshold", Some(Scalar::Real(value))) if (0.0..=1.0).contains(value) => threshold = *value,
                ("characters", Some(Scalar::String(value))) => separators = value.to_string(),
                _ => {
                    return Err(Diagnostic::error(value.span.clone(), "expected `threshold` or `characters`")
                        .with_help("`reduce by text with threshold=0.1, characters=\"-\"`"));
                }
            }
        }
        let node = self.expr(of, Context { relation: Some(&relation), scope })?;
        let node = self.graph.convert(node, ColumnType::String);
        let values = self.values_of(node, &relation, span)?;
        let texts: Vec<&str> = values.iter().filter_map(Scalar::as_str).collect();
        let groups = similar_texts(&texts, threshold, &separators);
        let column = |cell: &dyn Fn(&(String, i64, String)) -> Scalar| groups.iter().map(cell).collect::<Vec<_>>();
        let patterns = column(&|(pattern, ..)| Scalar::String(pattern.as_str().into()));
        let counts = column(&|(_, count, _)| Scalar::Long(*count));
        let examples = column(&|(.., example)| Scalar::String(example.as_str().into()));
        let columns = vec![
            ("Pattern".into(), ColumnType::String, patterns),
            ("Count".into(), ColumnType::Long, counts),
            ("Representative".into(), ColumnType::String, examples),
        ];
        Ok(self.constant_rows(groups.len(), columns))
    }
}

/// The different values in order of appearance, each with its rows.
pub(super) fn parts_of(values: &[Scalar]) -> Vec<(Scalar, Vec<usize>)> {
    let mut index: AHashMap<&Scalar, usize> = AHashMap::new();
    let mut parts: Vec<(Scalar, Vec<usize>)> = Vec::new();
    for (row, value) in values.iter().enumerate() {
        let part = *index.entry(value).or_insert_with(|| {
            parts.push((value.clone(), Vec::new()));
            parts.len() - 1
        });
        parts[part].1.push(row);
    }
    parts
}

/// Pattern, number and an example of each group, the largest first; what is like nothing else is among the `others`.
fn similar_texts(texts: &[&str], threshold: f64, separators: &str) -> Vec<(String, i64, String)> {
    let separates = |c: char| !c.is_ascii_alphanumeric() || separators.contains(c);
    let words = |text: &str| text.split(separates).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let words: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
    let mut counts: AHashMap<(usize, &str), usize> = AHashMap::new();
    for word in words.iter().flat_map(|words| words.iter().enumerate()) {
        *counts.entry((word.0, word.1)).or_default() += 1;
    }
    let enough = ((threshold * texts.len() as f64).ceil() as usize).max(2);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut index: AHashMap<(usize, &str), usize> = AHashMap::new();
    let mut others = 0;
    for (row, words) in words.iter().enumerate() {
        let shared = words.iter().enumerate().map(|(place, word)| (place, word.as_str()));
        let shared = shared.max_by_key(|word| (counts[word], std::cmp::Reverse(word.0)));
        match shared.filter(|word| counts[word] >= enough) {
            Some(word) => {
                let group = *index.entry(word).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                groups[group].push(row);
            }
            None => others += 1,
        }
    }
    let mut found: Vec<(String, i64, String)> = Vec::new();
    for rows in groups {
        let pattern = pattern_of(&rows, texts, &words, separators);
        found.push((pattern, rows.len() as i64, texts[rows[0]].to_owned()));
    }
    found.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    if others > 0 {
        found.push(("others".to_owned(), others, String::new()));
    }
    found
}

/// The first text of a group, a star in place of the words that the others do not have there.
/// Separators that the author added are no part of it.
fn pattern_of(rows: &[usize], texts: &[&str], words: &[Vec<String>], separators: &str) -> String {
    let first = &words[rows[0]];
    let lengths: AHashSet<usize> = rows.iter().map(|row| words[*row].len()).collect();
    let is_shared = |place: usize| rows.iter().all(|row| words[*row].get(place) == first.get(place));
    let mut pattern = String::new();
    let mut rest = texts[rows[0]];
    for (place, word) in first.iter().enumerate() {
        let Some(start) = rest.find(word.as_str()) else { break };
        let shared = is_shared(place);
        if shared || !pattern.ends_with('*') {
            pattern.extend(rest[..start].chars().filter(|c| !separators.contains(*c)));
            pattern.push_str(if shared { word } else { "*" });
        }
        rest = &rest[start + word.len()..];
    }
    if lengths.len() > 1 && !pattern.ends_with('*') {
        pattern.push('*');
    } else if !pattern.ends_with('*') {
        pattern.push_str(rest);
    }
    pattern
}

fn unnamed(value: Expr) -> Assignment {
    Assignment { name: None, more: Vec::new(), value }
}

fn call(name: &str, args: Vec<Expr>, span: &Span) -> Expr {
    let args = args.into_iter().map(|value| Arg { name: None, value }).collect();
    Expr { kind: ExprKind::Call(Name { text: name.to_owned(), span: span.clone() }, args), span: span.clone() }
}

/// The name of the column that parts a table; the parser takes nothing else there.
fn text_of(by: &Expr) -> String {
    match &by.kind {
        ExprKind::Name(name) => name.clone(),
        _ => String::new(),
    }
}
