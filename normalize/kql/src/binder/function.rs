//! A stored function bound by itself, for its author: with empty arguments in place of a caller's.

use std::rc::Rc;
use std::sync::Arc;

use weir_contract::schema::{Column, TableSchema};

use super::scope::{Binding, Context, Scope};
use super::{Binder, Bound, BoundColumn, Item, Mode, Relation};
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::syntax::ast::{FunctionDef, ParamType, Schema};
use crate::syntax::parser;

/// What a stored function gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundFunction {
    /// Columns of the table that it gives; `None` for a function that gives a value.
    pub table: Option<TableSchema>,
    /// The value, as a column called `result`; `None` for a function that gives a table.
    pub value: Option<Column>,
    /// What the binder found odd.
    pub warnings: Vec<Diagnostic>,
}

/// Binds a stored function, written as [`Catalog::add_function`] takes it, over `table`.
///
/// A value parameter without a default is empty. A table parameter has the columns that it declares, and those of
/// `table`; the free name of `table`, or `source`, is that table. Errors have spans into `text`.
pub fn compile_function(
    text: &str,
    table: &TableSchema,
    mode: Mode,
    catalog: &Catalog,
) -> Result<BoundFunction, Vec<Diagnostic>> {
    let function = parser::parse_function(text)?;
    let mut binder = Binder::new(table, mode, false, catalog);
    match binder.function(&function) {
        Ok(item) => {
            let binder = binder.finish(None)?;
            let column = |name: &str, node| Column::new(name, binder.graph.ty(node));
            let (table, value) = match item {
                Item::Scalar(node) => (None, Some(column("result", node))),
                Item::Table(relation) => {
                    let columns = relation.columns.iter().map(|bound| column(&bound.name, bound.node)).collect();
                    (Some(TableSchema { name: table.name.clone(), columns }), None)
                }
            };
            Ok(BoundFunction { table, value, warnings: binder.warnings })
        }
        Err(error) => Err(binder.finish(Some(error)).err().unwrap_or_default()),
    }
}

impl Binder<'_> {
    fn function(&mut self, function: &FunctionDef) -> Bound<Item> {
        let outer = Scope::root();
        let scope = Scope::inside(&outer, true);
        for param in &function.params {
            let binding = match (&param.ty, &param.default) {
                (ParamType::Table(columns), _) => Binding::Table(Rc::new(self.declared_table(columns))),
                (ParamType::Scalar(ty), Some(default)) => {
                    let node = self.expr(default, Context { relation: None, scope: &outer })?;
                    Binding::Scalar(self.graph.convert(node, *ty))
                }
                (ParamType::Scalar(ty), None) => Binding::Scalar(self.null(*ty)),
            };
            scope.insert(&param.name.text, binding);
        }
        self.query(&function.body, &scope)
    }

    fn declared_table(&mut self, columns: &Schema) -> Relation {
        let mut relation = self.raw_table();
        for (name, ty) in columns {
            let name: Arc<str> = name.text.as_str().into();
            let node = self.graph.input(&name, *ty, relation.domain);
            match relation.columns.iter_mut().find(|column| column.name == name) {
                Some(column) => column.node = node,
                None => relation.columns.push(BoundColumn { name, node }),
            }
        }
        relation
    }
}
