//! What only a hunting query may do: read stored tables, join them with each other, and look at all rows at once.
//!
//! Where KQL evaluates something once (`toscalar`, `in (table)`, `materialize`), the binder has the host run the plan
//! so far and goes on with its rows as a constant table; everything that is done with constants then just works.

use std::sync::Arc;

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType;

use super::{Binder, Bound, BoundColumn, Relation, names};
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::aggregates::Kind;
use crate::plan::{JoinType, lower};
use crate::program::gather::{AggregateCall, ArrangeSpec, GatherSpec};
use crate::program::graph::{Domain, NodeId, Op};
use crate::program::is_constant;
use crate::program::join::JoinSpec;
use crate::scalar::Scalar;
use crate::syntax::ast::{Expr, ExprKind, Join, JoinKind, Operator, OperatorKind};

/// Most rows that become a constant table while the query is bound.
pub(super) const MAX_COLLECTED: usize = 1_000_000;
/// Most values of an `in (table)`: each is a constant of the query.
pub(super) const MAX_LISTED: usize = 50_000;

impl Binder<'_> {
    pub(super) fn is_hunting(&self) -> bool {
        self.host.is_some()
    }

    /// A stored table, if this is a hunting query and there is one of that name.
    pub(super) fn stored_table(&mut self, name: &str) -> Option<Relation> {
        let schema = self.host?.table(name)?;
        let domain = self.graph.domain(Domain::Stored(name.into()));
        let mut relation = Relation::new(domain);
        for column in &schema.columns {
            let node = self.graph.input(&column.name, column.ty, domain);
            relation.columns.push(BoundColumn { name: Arc::clone(&column.name), node });
        }
        Some(relation)
    }

    pub(super) fn is_constant_table(&self, relation: &Relation) -> bool {
        let columns: Vec<NodeId> = relation.columns.iter().map(|column| column.node).collect();
        relation.applied.is_none() && is_constant(&self.graph, &columns, relation.domain)
    }

    /// Has the host run what the columns depend on.
    pub(super) fn collect(
        &mut self,
        columns: &[NodeId],
        domain: usize,
        span: &Span,
        limit: usize,
    ) -> Bound<(Vec<ArrayRef>, usize)> {
        let Some(host) = self.host else { unreachable!("only a hunting query collects") };
        let (plan, _) = lower::plan(&self.graph, columns, domain);
        let rows = host.rows(&plan, limit).map_err(|message| Diagnostic::error(span.clone(), message))?;
        Ok((rows.columns().to_vec(), rows.num_rows()))
    }

    /// A table's rows as a constant table: itself if it is constant; in a hunting query, what the host finds.
    pub(super) fn collected(&mut self, relation: Relation, span: &Span) -> Bound<Relation> {
        if !self.is_hunting() || self.is_constant_table(&relation) {
            return Ok(relation);
        }
        let nodes: Vec<NodeId> = relation.columns.iter().map(|column| column.node).collect();
        let (arrays, rows) = self.collect(&nodes, relation.domain, span, MAX_COLLECTED)?;
        let domain = self.graph.domain(Domain::Rows(rows));
        let mut result = Relation::new(domain);
        for (column, array) in relation.columns.iter().zip(arrays) {
            let ty = self.graph.ty(column.node);
            let node = self.graph.column(array, ty);
            result.columns.push(BoundColumn { name: Arc::clone(&column.name), node });
        }
        Ok(result)
    }

    /// The first row of a table that is not constant.
    pub(super) fn first_row(&mut self, relation: &Relation) -> Relation {
        let spec = ArrangeSpec { outside: None, keys: Vec::new(), limit: 1 };
        let (selection, domain) = self.graph.selection(Op::Arrange(spec), Vec::new(), relation.domain);
        self.carried(relation, selection, domain)
    }

    /// `materialize`: the rows, if they are few enough to keep; else the table is computed wherever it is used.
    pub(super) fn materialised(&mut self, relation: Relation, span: &Span) -> Relation {
        if relation.applied.is_some() {
            return relation;
        }
        match self.collected(relation.clone(), span) {
            Ok(collected) => collected,
            Err(mut error) => {
                error.severity = crate::Severity::Warning;
                let error = error.with_help("the table is computed anew wherever it is used");
                self.warn(error);
                relation
            }
        }
    }

    /// `join` and `lookup` of tables that are not constant.
    pub(super) fn stored_join(
        &mut self,
        relation: &Relation,
        table: &Relation,
        join: &Join,
        (left_keys, right_keys): (Vec<NodeId>, Vec<NodeId>),
        brought: &[BoundColumn],
    ) -> Relation {
        let deduplicated;
        let mut left_keys = left_keys;
        let mut relation = relation;
        if join.kind == JoinKind::InnerUnique {
            (deduplicated, left_keys) = self.one_row_per_key(relation, &left_keys);
            relation = &deduplicated;
        }
        let kind = match join.kind {
            JoinKind::Inner | JoinKind::InnerUnique => JoinType::Inner,
            JoinKind::LeftOuter => JoinType::LeftOuter,
            JoinKind::RightOuter => JoinType::RightOuter,
            JoinKind::FullOuter => JoinType::FullOuter,
            JoinKind::LeftAnti => JoinType::LeftAnti,
            JoinKind::RightAnti => JoinType::RightAnti,
            JoinKind::LeftSemi => JoinType::LeftSemi,
            JoinKind::RightSemi => JoinType::RightSemi,
        };
        let keys = left_keys.len();
        let mut args = left_keys;
        args.extend(right_keys);
        let left = relation.columns.iter().filter(|_| !matches!(kind, JoinType::RightSemi | JoinType::RightAnti));
        let left: Vec<BoundColumn> = left.cloned().collect();
        let right: &[BoundColumn] = if matches!(kind, JoinType::LeftSemi | JoinType::LeftAnti) { &[] } else { brought };
        args.extend(left.iter().chain(right).map(|column| column.node));
        let spec = JoinSpec { kind, right: table.domain, keys, left_columns: left.len() };
        let (selection, domain) = self.graph.selection(Op::Join(spec), args, relation.domain);
        let mut result = Relation::new(domain);
        for (number, column) in left.iter().chain(right).enumerate() {
            let ty = self.graph.ty(column.node);
            let node = self.graph.field(Op::Joined(number), number, selection, ty, domain);
            let name = names::unique(&column.name, &result.columns);
            result.columns.push(BoundColumn { name: name.into(), node });
        }
        result
    }

    /// One whole row for each value of the keys, and the keys there.
    fn one_row_per_key(&mut self, relation: &Relation, keys: &[NodeId]) -> (Relation, Vec<NodeId>) {
        let mut args = keys.to_vec();
        // All calls compare the same value and so take the same row.
        args.push(self.graph.scalar(Scalar::Bool(true)));
        let mut calls = Vec::new();
        for column in &relation.columns {
            let ty = self.graph.ty(column.node);
            let carried = Some(args.len());
            calls.push(AggregateCall {
                kind: Kind::ArgMin,
                value: Some(keys.len()),
                carried,
                mask: None,
                parameter: None,
                ty,
            });
            args.push(column.node);
        }
        let types: Vec<ColumnType> = args.iter().map(|arg| self.graph.ty(*arg)).collect();
        let spec = GatherSpec { outside: None, keys: keys.len(), types: types.clone(), calls };
        let (selection, domain) = self.graph.selection(Op::Gather(spec), args, relation.domain);
        let mut result = Relation::new(domain);
        let mut field = |number: usize, ty| self.graph.field(Op::Gathered(number), number, selection, ty, domain);
        let new_keys = (0..keys.len()).map(|number| field(number, types[number])).collect();
        for (number, column) in relation.columns.iter().enumerate() {
            let node = field(keys.len() + number, types[keys.len() + 1 + number]);
            result.columns.push(BoundColumn { name: Arc::clone(&column.name), node });
        }
        (result, new_keys)
    }

    /// Tables that a wildcard of `union` names.
    pub(super) fn stored_tables_like(&mut self, pattern: &str) -> Vec<(String, Relation)> {
        let Some(host) = self.host else { return Vec::new() };
        let mut names: Vec<String> = host.table_names();
        names.retain(|name| names::fits(pattern, name));
        names.sort();
        names.into_iter().filter_map(|name| Some((name.clone(), self.stored_table(&name)?))).collect()
    }
}

/// How a branch of a `union` is called: its table, the name that `as` gave, or its number.
pub(super) fn branch_label(table: &Expr, number: usize) -> String {
    match &table.kind {
        ExprKind::Name(name) => name.clone(),
        ExprKind::Pipe(_, operators) => match operators.last() {
            Some(Operator { kind: OperatorKind::As(name), .. }) => name.text.clone(),
            _ => format!("union_arg{number}"),
        },
        _ => format!("union_arg{number}"),
    }
}
