//! Tables whose rows are known while a query is bound: read as values, and built from values.
//!
//! Operators that look at many rows at once and that no back-end runs (`make-series`, `scan`, `evaluate pivot`…) read such
//! a table, compute, and give another. At ingest the input must be constant; when hunting, the host runs what the input
//! depends on.

use std::sync::Arc;

use weir_contract::schema::ColumnType;

use super::faults::stateful;
use super::{Binder, Bound, BoundColumn, Relation};
use crate::diagnostic::{Diagnostic, Span};
use crate::program::gather::array_of;
use crate::program::graph::{Domain, NodeId};
use crate::scalar::Scalar;
use crate::text;

/// Column name, type and cells.
pub(super) type Cells = (Arc<str>, ColumnType, Vec<Scalar>);

impl Binder<'_> {
    /// The table with its rows at hand. `name` is what needs them.
    pub(super) fn known_rows(&mut self, relation: Relation, name: &str, span: &Span) -> Bound<Relation> {
        if relation.applied.is_some() {
            return Err(Diagnostic::error(span.clone(), format!("`{name}` cannot run inside `mv-apply`")));
        }
        let relation = self.collected(relation, span)?;
        if !self.is_constant_table(&relation) {
            return Err(stateful(name, span.clone()));
        }
        if matches!(self.graph.domains[relation.domain], Domain::Rows(_)) {
            return Ok(relation);
        }
        let nodes: Vec<NodeId> = relation.columns.iter().map(|column| column.node).collect();
        let (arrays, rows) = self.constant_table(&nodes, relation.domain, span)?;
        let domain = self.graph.domain(Domain::Rows(rows));
        let mut result = Relation::new(domain);
        for (column, array) in relation.columns.iter().zip(arrays) {
            let node = self.graph.column(array, self.graph.ty(column.node));
            result.columns.push(BoundColumn { name: Arc::clone(&column.name), node });
        }
        Ok(result)
    }

    /// The values of a node over the rows of a table that [`Self::known_rows`] gave.
    pub(super) fn values_of(&mut self, node: NodeId, relation: &Relation, span: &Span) -> Bound<Vec<Scalar>> {
        let ty = self.graph.ty(node);
        let (arrays, rows) = self.constant_table(&[node], relation.domain, span)?;
        Ok((0..rows).map(|row| Scalar::of_array(&arrays[0], row, ty)).collect())
    }

    /// The table's columns with their values.
    pub(super) fn cells_of(&mut self, relation: &Relation, span: &Span) -> Bound<Vec<Cells>> {
        let mut cells = Vec::with_capacity(relation.columns.len());
        for column in &relation.columns {
            let ty = self.graph.ty(column.node);
            cells.push((Arc::clone(&column.name), ty, self.values_of(column.node, relation, span)?));
        }
        Ok(cells)
    }

    pub(super) fn row_total(&self, relation: &Relation) -> usize {
        match self.graph.domains[relation.domain] {
            Domain::Rows(rows) => rows,
            _ => unreachable!("a table with known rows"),
        }
    }

    /// A constant table. All columns have `rows` cells, each of its column's type or a null of it.
    pub(super) fn constant_rows(&mut self, rows: usize, columns: Vec<Cells>) -> Relation {
        let domain = self.graph.domain(Domain::Rows(rows));
        let mut result = Relation::new(domain);
        for (name, ty, cells) in columns {
            debug_assert_eq!(cells.len(), rows, "{name}");
            let node = self.graph.column(array_of(&cells, ty), ty);
            result.columns.push(BoundColumn { name, node });
        }
        result
    }

    /// Those rows of a table with known rows, in that order.
    pub(super) fn picked_rows(&mut self, relation: &Relation, rows: &[usize], span: &Span) -> Bound<Relation> {
        let cells = self.cells_of(relation, span)?;
        let picked = cells.into_iter().map(|(name, ty, cells)| {
            let cells = rows.iter().map(|row| cells[*row].clone()).collect();
            (name, ty, cells)
        });
        let picked = picked.collect();
        Ok(self.constant_rows(rows.len(), picked))
    }
}

/// The null of a type; of a string, the empty text.
pub(super) fn null_of(ty: ColumnType) -> Scalar {
    if ty == ColumnType::String { Scalar::String("".into()) } else { Scalar::Null(ty) }
}

/// The values as one array.
pub(super) fn array<'a>(cells: impl Iterator<Item = &'a Scalar>) -> Scalar {
    let mut out = String::from("[");
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(',');
        }
        text::write_json(cell, &mut out);
    }
    out.push(']');
    Scalar::Dynamic(out.into())
}
