//! Syntax tree to program: names resolved, every expression typed, functions expanded, constants folded.
//!
//! The binder writes straight into the program's graph. A table is a list of named nodes in one row domain, so
//! `project` and its kin only rearrange names, and a column that nothing uses never becomes a step.

mod calls;
mod evaluate;
mod expression;
mod faults;
mod function;
mod gather;
mod geo_lookup;
mod graph_match;
mod hunting;
mod join;
mod make_series;
mod names;
mod operators;
mod parts;
mod rows;
mod scan;
mod scope;
mod table;
mod window;

use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use weir_contract::schema::{ColumnType, TableSchema};

pub use self::function::{BoundFunction, compile_function};
use self::scope::{Binding, Scope};
pub use self::window::window_functions;
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::plan::{BoundQuery, Host, lower};
use crate::program::graph::{DomainId, Graph, INPUT, NodeId, Op};
use crate::program::{Filter, Program};
use crate::scalar::Scalar;
use crate::syntax::ast::{Expr, ExprKind, FunctionDef, Operator, OperatorKind};
use crate::syntax::parser;

/// How the binder treats names that the raw table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// An unknown column is an error: for authors.
    Strict,
    /// An unknown column is empty, with a warning: for parsers written against wider tables.
    Lenient,
}

/// Most nodes of one program: what a few hundred functions expand to.
const MAX_NODES: usize = 200_000;
/// Most expansions of `let` functions in one query.
const MAX_EXPANSIONS: usize = 20_000;
/// Most `let` statements of one query or function.
const MAX_LETS: usize = 2_000;
/// Deepest nesting of `let` functions that call each other.
const MAX_CALL_DEPTH: usize = 24;

type Bound<T> = Result<T, Diagnostic>;

/// A column of a table under construction.
#[derive(Debug, Clone)]
pub(crate) struct BoundColumn {
    pub(crate) name: Arc<str>,
    pub(crate) node: NodeId,
}

/// A table under construction.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) domain: DomainId,
    pub(crate) columns: Vec<BoundColumn>,
    /// Inside `mv-apply`.
    pub(crate) applied: Option<Applied>,
}

/// The rows outside of an `mv-apply`: each element of an array still knows the row it came from.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// Number of the row outside; a column of the inner table.
    origin: NodeId,
    /// The table outside, in its own domain.
    outside: Rc<Relation>,
    /// The same table, carried into the inner table's domain.
    carried: Rc<Relation>,
}

impl Relation {
    fn new(domain: DomainId) -> Self {
        Self { domain, columns: Vec::new(), applied: None }
    }

    /// A column's node; in `mv-apply`, also one of the row outside.
    fn column(&self, name: &str) -> Option<NodeId> {
        match self.columns.iter().find(|column| &*column.name == name) {
            Some(column) => Some(column.node),
            None => self.applied.as_ref().and_then(|applied| applied.carried.column(name)),
        }
    }

    /// Replaces the column of that name in place, or adds it at the end.
    fn set(&mut self, name: &str, node: NodeId) {
        match self.columns.iter_mut().find(|column| &*column.name == name) {
            Some(column) => column.node = node,
            None => self.columns.push(BoundColumn { name: name.into(), node }),
        }
    }
}

struct Binder<'t> {
    graph: Graph,
    table: &'t TableSchema,
    mode: Mode,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    expansions: usize,
    call_depth: usize,
    /// In a filter: the conjunction of all `where`s so far, over the raw table's own rows.
    conjunction: Option<NodeId>,
    is_filter: bool,
    /// In a `summarize`: the results of its aggregate calls, by where they stand.
    gathered: Vec<(Span, NodeId)>,
    /// Where columns got their values: the node, the column's name, the assignment.
    assigned: Vec<(NodeId, Arc<str>, Span)>,
    catalog: &'t Catalog,
    /// Stored functions that were looked for, and what was found.
    stored: AHashMap<String, Option<Rc<FunctionDef>>>,
    /// In a hunting query: who has the tables.
    host: Option<&'t dyn Host>,
}

impl<'t> Binder<'t> {
    fn new(table: &'t TableSchema, mode: Mode, is_filter: bool, catalog: &'t Catalog) -> Self {
        Self {
            graph: Graph::new(),
            table,
            mode,
            errors: Vec::new(),
            warnings: Vec::new(),
            expansions: 0,
            call_depth: 0,
            conjunction: None,
            is_filter,
            gathered: Vec::new(),
            assigned: Vec::new(),
            catalog,
            stored: AHashMap::new(),
            host: None,
        }
    }

    fn raw_table(&mut self) -> Relation {
        let columns = self
            .table
            .columns
            .iter()
            .map(|column| BoundColumn {
                name: Arc::clone(&column.name),
                node: self.graph.input(&column.name, column.ty, INPUT),
            })
            .collect();
        Relation { domain: INPUT, columns, applied: None }
    }

    fn warn(&mut self, warning: Diagnostic) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The error where the mode is strict, the same text as a warning where it is lenient.
    fn complain(&mut self, mut diagnostic: Diagnostic) -> Bound<()> {
        match self.mode {
            Mode::Strict => Err(diagnostic),
            Mode::Lenient => {
                diagnostic.severity = Severity::Warning;
                self.warn(diagnostic);
                Ok(())
            }
        }
    }

    /// Turns a recoverable error into a reported one and goes on with `fallback`.
    fn recover<T>(&mut self, result: Bound<T>, fallback: impl FnOnce(&mut Self) -> T) -> T {
        match result {
            Ok(value) => value,
            Err(error) => {
                self.errors.push(error);
                fallback(self)
            }
        }
    }

    fn null(&mut self, ty: ColumnType) -> NodeId {
        self.graph.scalar(match ty {
            ColumnType::String => Scalar::String("".into()),
            ty => Scalar::Null(ty),
        })
    }

    /// The assignment that gave a column its value, also before filters and the like carried it on.
    fn assignment_of(&self, column: &BoundColumn) -> Option<Span> {
        let mut node = column.node;
        loop {
            let of_node = || self.assigned.iter().rev().filter(|(assigned, ..)| *assigned == node);
            let found = of_node().find(|(_, name, _)| *name == column.name).or_else(|| of_node().next());
            if let Some((.., span)) = found {
                return Some(span.clone());
            }
            match self.graph.nodes[node].op {
                Op::Move => node = self.graph.nodes[node].args[0],
                _ => return None,
            }
        }
    }

    fn finish(mut self, error: Option<Diagnostic>) -> Result<Self, Vec<Diagnostic>> {
        self.errors.extend(error);
        if self.errors.is_empty() { Ok(self) } else { Err(self.errors) }
    }
}

/// Compiles a tabular query.
///
/// Its input is called as `table` is, or `source`; columns are those of `table`. Errors come with spans into `query`,
/// several at once where the binder can go on after one.
pub fn compile(query: &str, table: &TableSchema, mode: Mode) -> Result<Program, Vec<Diagnostic>> {
    compile_with(query, table, mode, &Catalog::default())
}

/// As [`compile`], with stored functions and watchlists of the host.
pub fn compile_with(
    query: &str,
    table: &TableSchema,
    mode: Mode,
    catalog: &Catalog,
) -> Result<Program, Vec<Diagnostic>> {
    let tree = parser::parse(query)?;
    let mut binder = Binder::new(table, mode, false, catalog);
    let scope = Scope::root();
    let relation = binder.query(&tree, &scope).and_then(|bound| bound.into_table(&tree.body.span));
    match relation {
        Ok(relation) => {
            let binder = binder.finish(None)?;
            let spans = relation.columns.iter().map(|column| binder.assignment_of(column)).collect();
            let columns: Vec<_> = relation.columns.into_iter().map(|column| (column.name, column.node)).collect();
            let program = Program::traced(binder.graph, &columns, relation.domain, &table.name, binder.warnings);
            Ok(Program { spans, ..program })
        }
        Err(error) => Err(binder.finish(Some(error)).err().unwrap_or_default()),
    }
}

/// Compiles a predicate: `source | where … | where …` (with `extend` and the `project` family between, if need be) or
/// a bare boolean expression over the columns of `table`.
pub fn compile_filter(query: &str, table: &TableSchema, mode: Mode) -> Result<Filter, Vec<Diagnostic>> {
    compile_filter_with(query, table, mode, &Catalog::default())
}

/// As [`compile_filter`], with stored functions and watchlists of the host.
pub fn compile_filter_with(
    query: &str,
    table: &TableSchema,
    mode: Mode,
    catalog: &Catalog,
) -> Result<Filter, Vec<Diagnostic>> {
    let tree = parser::parse(query)?;
    let mut binder = Binder::new(table, mode, true, catalog);
    match binder.filter(&tree) {
        Ok(mask) => {
            let binder = binder.finish(None)?;
            let columns = [(Arc::from("mask"), mask)];
            let program = Program::new(binder.graph, &columns, INPUT, &table.name, binder.warnings);
            Ok(Filter { program })
        }
        Err(error) => Err(binder.finish(Some(error)).err().unwrap_or_default()),
    }
}

/// Compiles a hunting query: over any of the host's tables, with every operator.
///
/// The host may be asked to run parts of the query while it is bound. `now` (microseconds since 1970 UTC) is the time of
/// the whole query. Errors come as those of [`compile`]; an unknown column is one.
pub fn compile_plan(query: &str, host: &dyn Host, catalog: &Catalog, now: i64) -> Result<BoundQuery, Vec<Diagnostic>> {
    let tree = parser::parse(query)?;
    let table = TableSchema { name: "".into(), columns: Vec::new() };
    let mut binder = Binder::new(&table, Mode::Strict, false, catalog);
    binder.host = Some(host);
    binder.graph.now = Some(now);
    let relation = binder.query(&tree, &Scope::root()).and_then(|bound| bound.into_table(&tree.body.span));
    match relation {
        Ok(relation) => {
            let binder = binder.finish(None)?;
            let nodes: Vec<NodeId> = relation.columns.iter().map(|column| column.node).collect();
            let (plan, columns) = lower::plan(&binder.graph, &nodes, relation.domain);
            let names = relation.columns.into_iter().map(|column| column.name);
            Ok(BoundQuery { plan, output: columns.into_iter().zip(names).collect(), warnings: binder.warnings })
        }
        Err(error) => Err(binder.finish(Some(error)).err().unwrap_or_default()),
    }
}

impl Binder<'_> {
    fn filter(&mut self, tree: &crate::syntax::ast::Query) -> Bound<NodeId> {
        let scope = Scope::root();
        let scope = self.statements(&tree.statements, &scope)?;
        let raw = self.raw_table();
        let (source, operators): (&Expr, &[Operator]) = match &tree.body.kind {
            ExprKind::Pipe(source, operators) => (source, operators),
            _ => (&tree.body, &[]),
        };
        let names_table = matches!(&source.kind, ExprKind::Name(name)
            if (**name == *self.table.name || name == "source") && raw.column(name).is_none());
        if !names_table && operators.is_empty() {
            return self.predicate(source, &raw, &scope);
        }
        if !names_table {
            return Err(Diagnostic::error(source.span.clone(), "a filter starts with the raw table's name")
                .with_help(format!("write `{} | where …`, or the bare condition", self.table.name)));
        }
        for operator in operators {
            if !matches!(
                operator.kind,
                OperatorKind::Where(_)
                    | OperatorKind::Extend(_)
                    | OperatorKind::Project(_)
                    | OperatorKind::ProjectAway(_)
                    | OperatorKind::ProjectKeep(_)
                    | OperatorKind::ProjectRename(_)
                    | OperatorKind::ProjectReorder(_)
                    | OperatorKind::Nothing
                    | OperatorKind::As(_)
                    | OperatorKind::Serialize(_)
            ) {
                return Err(Diagnostic::error(operator.span.clone(), "a filter consists of `where` and `extend`"));
            }
        }
        self.operators(raw, operators, &scope)?;
        Ok(self.conjunction.unwrap_or_else(|| self.graph.scalar(Scalar::Bool(true))))
    }
}

/// What an expression is bound to.
#[derive(Debug, Clone)]
enum Item {
    Scalar(NodeId),
    Table(Relation),
}

impl Item {
    fn into_table(self, span: &Span) -> Bound<Relation> {
        match self {
            Self::Table(relation) => Ok(relation),
            Self::Scalar(_) => Err(Diagnostic::error(span.clone(), "expected a table, found a value")
                .with_help("a query starts with a table, as in `source | where …`, or with `print`")),
        }
    }

    fn into_scalar(self, span: &Span) -> Bound<NodeId> {
        match self {
            Self::Scalar(node) => Ok(node),
            Self::Table(_) => Err(Diagnostic::error(span.clone(), "expected a value, found a table")
                .with_help("`toscalar(…)` takes the first value of a table")),
        }
    }

    fn into_binding(self) -> Binding {
        match self {
            Self::Scalar(node) => Binding::Scalar(node),
            Self::Table(relation) => Binding::Table(Rc::new(relation)),
        }
    }
}
