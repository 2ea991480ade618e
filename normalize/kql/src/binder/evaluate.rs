//! `evaluate`: the plugins. `bag_unpack`, `pivot` and `narrow` are here, whose columns follow from the rows.
//!
//! Rules: the plugins' pages below <https://learn.microsoft.com/kusto/query/evaluate-operator>. Without an output schema the
//! rows must be known while the query is bound; with one, `bag_unpack` also runs on events.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use weir_contract::schema::ColumnType;

use super::rows::{Cells, null_of};
use super::scope::{Context, Scope};
use super::{Binder, Bound, BoundColumn, Relation};
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::aggregates;
use crate::json::{self, Segment};
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, Assignment, Expr, ExprKind, Name, Schema};
use crate::text;

/// Most columns that `bag_unpack` and `pivot` may give.
const MAX_COLUMNS: usize = 1_000;

impl Binder<'_> {
    pub(super) fn evaluate(
        &mut self,
        relation: Relation,
        call: &Expr,
        schema: Option<&Schema>,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let ExprKind::Call(name, args) = &call.kind else {
            return Err(Diagnostic::error(call.span.clone(), "expected a plugin's call, as in `bag_unpack(column)`"));
        };
        match name.text.as_str() {
            "bag_unpack" => self.bag_unpack(relation, args, schema, &call.span, scope),
            "pivot" => self.pivot(relation, args, schema, &call.span, scope),
            "narrow" => self.narrow(relation, &call.span),
            "geo_polygon_lookup" => {
                let found = self.geo_polygon_lookup(&relation, args, &call.span, scope)?;
                schema.map_or(Ok(found.clone()), |schema| self.fitted(found, schema, &call.span))
            }
            other => Err(Diagnostic::error(name.span.clone(), format!("the plugin `{other}` does not run here"))
                .with_help("`bag_unpack`, `geo_polygon_lookup`, `narrow` and `pivot` do")),
        }
    }

    fn bag_unpack(
        &mut self,
        relation: Relation,
        args: &[Arg],
        schema: Option<&Schema>,
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let options = self.unpack_options(args, span, scope)?;
        let place = relation.columns.iter().position(|column| *column.name == *options.column);
        let Some(place) = place else {
            return Err(super::faults::unknown_column(&options.column, span, &relation));
        };
        let mut bag = relation.columns[place].node;
        if self.graph.ty(bag) != ColumnType::Dynamic {
            return Err(Diagnostic::error(span.clone(), "`bag_unpack` needs a dynamic column")
                .with_help("`todynamic(…)` reads a text as a dynamic value"));
        }
        let mut relation = relation;
        // With a schema, each column is a path into the bag, whatever the rows are.
        let (mut relation, slots) = match schema {
            Some(schema) => {
                relation.columns.remove(place);
                let slots = schema.iter().map(|(name, ty)| (name.text.clone(), *ty));
                let of_bag = |name: &str| name.strip_prefix(&options.prefix).map(str::to_owned);
                let kept = |name: &str| options.conflict != Conflict::Replace && relation.column(name).is_some();
                let slots: Vec<(String, String, ColumnType)> = slots
                    .filter(|(name, _)| !kept(name))
                    .filter_map(|(name, ty)| Some((of_bag(&name)?, name, ty)))
                    .collect();
                (relation, slots)
            }
            None => {
                relation = self.known_rows(relation, "bag_unpack", span).map_err(|error| {
                    error.with_help("give the columns: `evaluate bag_unpack(column) : (name:type, …)`")
                })?;
                bag = relation.columns[place].node;
                let bags = self.values_of(bag, &relation, span)?;
                let slots = slots_of(&bags, &options.ignored).into_iter();
                let slots = slots.map(|(key, ty)| (key.clone(), format!("{}{key}", options.prefix), ty)).collect();
                relation.columns.remove(place);
                (relation, slots)
            }
        };
        if slots.len() > MAX_COLUMNS {
            return Err(Diagnostic::error(span.clone(), format!("`bag_unpack` gives at most {MAX_COLUMNS} columns")));
        }
        for (key, name, ty) in slots {
            if relation.columns.iter().any(|column| *column.name == *name) {
                match options.conflict {
                    Conflict::Keep => continue,
                    Conflict::Replace => relation.columns.retain(|column| *column.name != *name),
                    Conflict::Error => {
                        return Err(Diagnostic::error(span.clone(), format!("there is already a column `{name}`"))
                            .with_help("a prefix, or `columnsConflict='replace_source'` or `'keep_source'`, helps"));
                    }
                }
            }
            let node = self.graph.path(bag, Segment::Key(key));
            let node = self.graph.convert(node, ty);
            relation.columns.push(BoundColumn { name: name.as_str().into(), node });
        }
        if let Some(schema) = schema {
            return self.fitted(relation, schema, span);
        }
        Ok(relation)
    }

    /// The columns that the author says there are, in that order.
    fn fitted(&mut self, relation: Relation, schema: &Schema, span: &Span) -> Bound<Relation> {
        let mut columns = Vec::with_capacity(schema.len());
        for (name, ty) in schema {
            let Some(node) = relation.column(&name.text) else {
                return Err(Diagnostic::error(
                    name.span.clone(),
                    format!("the plugin gives no column `{}`", name.text),
                ));
            };
            let found = self.graph.ty(node);
            if found != *ty {
                let message = format!("column `{}` is a {found}, not a {ty}", name.text);
                return Err(Diagnostic::error(span.clone(), message));
            }
            columns.push(BoundColumn { name: name.text.as_str().into(), node });
        }
        Ok(Relation { columns, ..relation })
    }

    fn unpack_options(&mut self, args: &[Arg], span: &Span, scope: &Rc<Scope>) -> Bound<UnpackOptions> {
        let Some((Arg { name: None, value: Expr { kind: ExprKind::Name(column), .. } }, rest)) = args.split_first()
        else {
            return Err(Diagnostic::error(span.clone(), "`bag_unpack` needs the column to unpack"));
        };
        let mut options = UnpackOptions {
            column: column.clone(),
            prefix: String::new(),
            conflict: Conflict::Error,
            ignored: Vec::new(),
        };
        for (place, arg) in rest.iter().enumerate() {
            let name = arg
                .name
                .as_deref()
                .or(["OutputColumnPrefix", "columnsConflict", "ignoredProperties"].get(place).copied());
            let node = self.expr(&arg.value, Context { relation: None, scope })?;
            let wrong = |expected: &str| Diagnostic::error(arg.value.span.clone(), format!("expected {expected}"));
            let constant = self.graph.constant(node).ok_or_else(|| wrong("a constant"))?;
            match name {
                Some("OutputColumnPrefix") => {
                    options.prefix = constant.as_str().ok_or_else(|| wrong("a text"))?.to_owned();
                }
                Some("columnsConflict") => {
                    options.conflict = match constant.as_str() {
                        Some("error") => Conflict::Error,
                        Some("replace_source") => Conflict::Replace,
                        Some("keep_source") => Conflict::Keep,
                        _ => return Err(wrong("`error`, `replace_source` or `keep_source`")),
                    };
                }
                Some("ignoredProperties") => {
                    let Scalar::Dynamic(list) = constant else { return Err(wrong("an array of names")) };
                    json::elements(list, |item| options.ignored.push(json::unquote(item).into_owned()))
                        .ok_or_else(|| wrong("an array of names"))?;
                }
                _ => return Err(wrong("a prefix, `columnsConflict` or `ignoredProperties`")),
            }
        }
        Ok(options)
    }

    fn pivot(
        &mut self,
        relation: Relation,
        args: &[Arg],
        schema: Option<&Schema>,
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let relation = self.known_rows(relation, "pivot", span)?;
        let Some((Arg { value: Expr { kind: ExprKind::Name(pivot), .. }, .. }, rest)) = args.split_first() else {
            return Err(Diagnostic::error(span.clone(), "`pivot` needs the column whose values become columns"));
        };
        let is_aggregate =
            |arg: &Arg| matches!(&arg.value.kind, ExprKind::Call(name, _) if aggregates::find(&name.text).is_some());
        let (aggregate, columns) = match rest.split_first() {
            Some((first, columns)) if is_aggregate(first) => (first.value.clone(), columns),
            _ => {
                let name = Name { text: "count".to_owned(), span: span.clone() };
                (Expr { kind: ExprKind::Call(name, Vec::new()), span: span.clone() }, rest)
            }
        };
        let named = |name: &str| Expr { kind: ExprKind::Name(name.to_owned()), span: span.clone() };
        let key = |value: Expr| Assignment { name: None, more: Vec::new(), value };
        let mut keys: Vec<Assignment> = Vec::new();
        if columns.is_empty() {
            let mut used = vec![pivot.as_str()];
            columns_of(&aggregate, &mut used);
            let others = relation.columns.iter().filter(|column| !used.contains(&&*column.name));
            keys.extend(others.map(|column| key(named(&column.name))));
        } else {
            keys.extend(columns.iter().map(|arg| key(arg.value.clone())));
        }
        let key_count = keys.len();
        keys.push(key(named(pivot)));
        let is_counting = matches!(&aggregate.kind, ExprKind::Call(name, _)
            if matches!(name.text.as_str(), "count" | "countif" | "dcount" | "dcountif" | "sum" | "sumif"));
        let grouped = self.summarize(&relation, &[key(aggregate)], &keys, scope)?;
        let grouped = self.known_rows(grouped, "pivot", span)?;
        let cells = self.cells_of(&grouped, span)?;
        let (keys, rest) = cells.split_at(key_count);
        let [pivots, (_, ty, results)] = rest else {
            return Err(Diagnostic::error(span.clone(), "the aggregate of `pivot` gives one column"));
        };
        // What no row says: no rows add up to zero; anything else is unknown.
        let nothing = match ty {
            ColumnType::Long if is_counting => Scalar::Long(0),
            ColumnType::Real if is_counting => Scalar::Real(0.0),
            ty => null_of(*ty),
        };
        let mut groups: Vec<Vec<Scalar>> = Vec::new();
        let mut new: Vec<(String, BTreeMap<usize, Scalar>)> = Vec::new();
        for (row, result) in results.iter().enumerate() {
            let key: Vec<Scalar> = keys.iter().map(|(_, _, cells)| cells[row].clone()).collect();
            let group = groups.iter().position(|known| *known == key).unwrap_or_else(|| {
                groups.push(key);
                groups.len() - 1
            });
            let name = text::to_text(&pivots.2[row]);
            let column = new.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                new.push((name, BTreeMap::new()));
                new.len() - 1
            });
            new[column].1.insert(group, result.clone());
        }
        if new.len() > MAX_COLUMNS {
            return Err(Diagnostic::error(span.clone(), format!("`pivot` gives at most {MAX_COLUMNS} columns")));
        }
        let mut columns: Vec<Cells> = Vec::new();
        for (place, (name, ty, _)) in keys.iter().enumerate() {
            columns.push((Arc::clone(name), *ty, groups.iter().map(|key| key[place].clone()).collect()));
        }
        for (name, values) in new {
            let cells = (0..groups.len()).map(|group| values.get(&group).unwrap_or(&nothing).clone()).collect();
            let taken = |name: &str| columns.iter().any(|(known, ..)| **known == *name);
            let name = if name.is_empty() || taken(&name) { format!("{pivot}_{name}") } else { name };
            columns.push((name.as_str().into(), *ty, cells));
        }
        let relation = self.constant_rows(groups.len(), columns);
        match schema {
            Some(schema) => self.fitted(relation, schema, span),
            None => Ok(relation),
        }
    }

    /// One row per cell: its row's number, its column, its text.
    fn narrow(&mut self, relation: Relation, span: &Span) -> Bound<Relation> {
        let relation = self.known_rows(relation, "narrow", span)?;
        let cells = self.cells_of(&relation, span)?;
        let (mut rows, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..self.row_total(&relation) {
            for (name, _, cells) in &cells {
                rows.push(Scalar::Long(row as i64));
                columns.push(Scalar::String(Arc::clone(name)));
                values.push(Scalar::String(text::to_text(&cells[row]).into()));
            }
        }
        let total = rows.len();
        let columns = vec![
            ("Row".into(), ColumnType::Long, rows),
            ("Column".into(), ColumnType::String, columns),
            ("Value".into(), ColumnType::String, values),
        ];
        Ok(self.constant_rows(total, columns))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    Error,
    Replace,
    Keep,
}

struct UnpackOptions {
    column: String,
    prefix: String,
    conflict: Conflict,
    ignored: Vec<String>,
}

/// The slots of all bags by name, each with its type: that of its values if they have one, else dynamic.
fn slots_of(bags: &[Scalar], ignored: &[String]) -> BTreeMap<String, ColumnType> {
    let mut slots: BTreeMap<String, Option<ColumnType>> = BTreeMap::new();
    for bag in bags {
        let Scalar::Dynamic(bag) = bag else { continue };
        let _ = json::members(bag, |key, value| {
            let key = json::unquote(key).into_owned();
            if ignored.contains(&key) {
                return;
            }
            let slot = slots.entry(key).or_default();
            let Some(ty) = json_type(value) else { return };
            *slot = Some(match *slot {
                None => ty,
                Some(known) if known == ty => ty,
                Some(_) => ColumnType::Dynamic,
            });
        });
    }
    slots.into_iter().map(|(key, ty)| (key, ty.unwrap_or(ColumnType::Dynamic))).collect()
}

/// `None`: null, which fits any type.
fn json_type(value: &str) -> Option<ColumnType> {
    Some(match value.as_bytes().first() {
        None => return None,
        Some(b'"') => ColumnType::String,
        Some(b'{' | b'[') => ColumnType::Dynamic,
        Some(b't' | b'f') => ColumnType::Bool,
        Some(b'n') => return None,
        Some(_) if value.parse::<i64>().is_ok() => ColumnType::Long,
        Some(_) => ColumnType::Real,
    })
}

/// The names in an expression.
fn columns_of<'e>(expr: &'e Expr, found: &mut Vec<&'e str>) {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        if let ExprKind::Name(name) = &expr.kind {
            found.push(name);
        }
        open.extend(expr.children());
    }
}
