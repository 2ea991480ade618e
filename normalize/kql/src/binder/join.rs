//! `join` and `lookup`.
//!
//! Events meet constants: the right side is indexed once, and each event finds its rows there, so inner, outer, semi and
//! anti joins with a constant right side run at ingest. The kinds that look at all rows of the left side
//! (`innerunique`, `rightouter`, `fullouter`, `rightsemi`, `rightanti`) run where that side is constant too, at compile
//! time.

use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashSet;
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use weir_contract::schema::ColumnType;

use super::faults::unknown_column;
use super::scope::{Context, Scope};
use super::{Binder, Bound, BoundColumn, Relation, names};
use crate::diagnostic::{Diagnostic, Span};
use crate::program::graph::{Domain, NodeId, Op};
use crate::program::probe::{Matching, ProbeTable};
use crate::scalar::Scalar;
use crate::syntax::ast::{Join, JoinKind};

impl Binder<'_> {
    pub(super) fn join(
        &mut self,
        relation: Relation,
        join: &Join,
        name_span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let left_is_constant = self.is_constant_table(&relation);
        let matching = match join.kind {
            JoinKind::Inner => Some(Matching::Inner),
            JoinKind::LeftOuter => Some(Matching::Outer),
            JoinKind::LeftSemi => Some(Matching::Semi),
            JoinKind::LeftAnti => Some(Matching::Anti),
            _ => None,
        };
        if matching.is_none() && !left_is_constant && !self.is_hunting() {
            let name = if join.lookup { "lookup" } else { "join" };
            let message = format!("stateful operator `{name}` of this kind cannot run at ingest");
            return Err(Diagnostic::error(name_span.clone(), message)
                .with_help("write `kind=inner` or `kind=leftouter` against a constant table"));
        }
        let table = self.table(&join.right, Context { relation: None, scope })?;
        let (left_keys, right_keys) = self.keys(&relation, &table, join)?;
        let brought: Vec<BoundColumn> = table
            .columns
            .iter()
            .filter(|column| !join.lookup || !join.keys.iter().any(|key| *key.right.text == *column.name))
            .cloned()
            .collect();
        let is_stored = |binder: &Self| !binder.is_constant_table(&table) || matching.is_none() && !left_is_constant;
        if self.is_hunting() && relation.applied.is_none() && is_stored(self) {
            return Ok(self.stored_join(&relation, &table, join, (left_keys, right_keys), &brought));
        }
        let all: Vec<NodeId> = right_keys.iter().copied().chain(brought.iter().map(|column| column.node)).collect();
        let (mut arrays, rows) = self.constant_table(&all, table.domain, &join.right.span)?;
        let columns = arrays.split_off(right_keys.len());
        if let Some(matching) = matching {
            return Ok(self.probe(&relation, &left_keys, &right_keys, &brought, (arrays, columns, rows), matching));
        }
        self.constant_join(&relation, join, &left_keys, (arrays, columns, rows), &brought)
    }

    /// Both sides' keys, in one type each.
    fn keys(&mut self, relation: &Relation, table: &Relation, join: &Join) -> Bound<(Vec<NodeId>, Vec<NodeId>)> {
        let mut left_keys = Vec::new();
        let mut right_keys = Vec::new();
        for key in &join.keys {
            let left = match relation.column(&key.left.text) {
                Some(node) => node,
                None => {
                    self.complain(unknown_column(&key.left.text, &key.left.span, relation))?;
                    self.null(ColumnType::String)
                }
            };
            let right =
                table.column(&key.right.text).ok_or_else(|| unknown_column(&key.right.text, &key.right.span, table))?;
            let (left_ty, right_ty) = (self.graph.ty(left), self.graph.ty(right));
            let whole = |ty| matches!(ty, ColumnType::Int | ColumnType::Long);
            let ty = match (left_ty, right_ty) {
                (a, b) if a == b => a,
                (a, b) if whole(a) && whole(b) => ColumnType::Long,
                (ColumnType::Dynamic, other) => other,
                (ColumnType::String, other) if self.graph.constant(left).is_some() => other,
                (a, b) => {
                    return Err(Diagnostic::error(
                        key.left.span.clone(),
                        format!("the key `{}` is of type {a} on the left and {b} on the right", key.left.text),
                    )
                    .with_help("convert one of them with `extend` before"));
                }
            };
            left_keys.push(self.graph.convert(left, ty));
            right_keys.push(self.graph.convert(right, ty));
        }
        Ok((left_keys, right_keys))
    }

    pub(super) fn probe(
        &mut self,
        relation: &Relation,
        left_keys: &[NodeId],
        right_keys: &[NodeId],
        brought: &[BoundColumn],
        (keys, columns, rows): (Vec<ArrayRef>, Vec<ArrayRef>, usize),
        matching: Matching,
    ) -> Relation {
        let key_types = right_keys.iter().map(|node| self.graph.ty(*node)).collect();
        let probe = ProbeTable::new(&keys, key_types, columns, rows, matching);
        let (selection, domain) = self.graph.selection(Op::Probe(Arc::new(probe)), left_keys.to_vec(), relation.domain);
        let mut result = self.carried(relation, selection, domain);
        if matches!(matching, Matching::Inner | Matching::Outer) {
            for (number, column) in brought.iter().enumerate() {
                let ty = self.graph.ty(column.node);
                let node = self.graph.field(Op::Probed(number), number, selection, ty, domain);
                let name = names::unique(&column.name, &result.columns);
                result.columns.push(BoundColumn { name: name.into(), node });
            }
        }
        result
    }

    /// A join of two constant tables, computed now.
    fn constant_join(
        &mut self,
        relation: &Relation,
        join: &Join,
        left_keys: &[NodeId],
        (right_keys, right_columns, right_rows): (Vec<ArrayRef>, Vec<ArrayRef>, usize),
        brought: &[BoundColumn],
    ) -> Bound<Relation> {
        let key_types: Vec<ColumnType> = left_keys.iter().map(|node| self.graph.ty(*node)).collect();
        let all: Vec<NodeId> =
            left_keys.iter().copied().chain(relation.columns.iter().map(|column| column.node)).collect();
        let (mut left_arrays, left_rows) = self.constant_table(&all, relation.domain, &join.right.span)?;
        let left_columns = left_arrays.split_off(left_keys.len());
        let key = |arrays: &[ArrayRef], row: usize| -> Vec<Scalar> {
            arrays.iter().zip(&key_types).map(|(array, ty)| Scalar::of_array(array, row, *ty)).collect()
        };
        let mut pairs: Vec<(Option<u32>, Option<u32>)> = Vec::new();
        let mut seen: AHashSet<Vec<Scalar>> = AHashSet::new();
        let mut matched = vec![false; right_rows];
        let right: Vec<Vec<Scalar>> = (0..right_rows).map(|row| key(&right_keys, row)).collect();
        for row in 0..left_rows {
            let left = key(&left_arrays, row);
            if join.kind == JoinKind::InnerUnique && !seen.insert(left.clone()) {
                continue;
            }
            let mut any = false;
            for (other, _) in right.iter().enumerate().filter(|(_, key)| **key == left) {
                any = true;
                matched[other] = true;
                pairs.push((Some(row as u32), Some(other as u32)));
            }
            if !any && join.kind == JoinKind::FullOuter {
                pairs.push((Some(row as u32), None));
            }
        }
        if !matches!(join.kind, JoinKind::InnerUnique) {
            pairs.extend(matched.iter().enumerate().filter(|(_, m)| !**m).map(|(row, _)| (None, Some(row as u32))));
        }
        let only_right = matches!(join.kind, JoinKind::RightSemi | JoinKind::RightAnti);
        if only_right {
            let wanted = join.kind == JoinKind::RightSemi;
            pairs = (0..right_rows).filter(|row| matched[*row] == wanted).map(|row| (None, Some(row as u32))).collect();
        }
        let left_rows: UInt32Array = pairs.iter().map(|(left, _)| *left).collect();
        let right_rows: UInt32Array = pairs.iter().map(|(_, right)| *right).collect();
        let domain = self.graph.domain(Domain::Rows(pairs.len()));
        let mut result = Relation::new(domain);
        let sides = [(&relation.columns[..], &left_columns, &left_rows), (brought, &right_columns, &right_rows)];
        for (columns, arrays, rows) in &sides[usize::from(only_right)..] {
            for (column, array) in columns.iter().zip(*arrays) {
                let array = take(array, *rows, None).map_err(|error| {
                    Diagnostic::error(join.right.span.clone(), format!("cannot join the constant tables: {error}"))
                })?;
                let ty = self.graph.ty(column.node);
                let node = self.graph.column(array, ty);
                let name = names::unique(&column.name, &result.columns);
                result.columns.push(BoundColumn { name: name.into(), node });
            }
        }
        Ok(result)
    }
}
