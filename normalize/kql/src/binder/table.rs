//! Tabular expressions: sources, `let` statements, unions, constant tables.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_empty_array};
use arrow::compute::concat;
use weir_contract::schema::ColumnType;

use super::hunting::{MAX_COLLECTED, branch_label};
use super::scope::{Binding, Context, Scope};
use super::{Binder, Bound, BoundColumn, Item, MAX_LETS, Mode, Relation, names};
use crate::diagnostic::{Diagnostic, Severity, Span, Subject, nearest};
use crate::functions;
use crate::program::constant_columns;
use crate::program::graph::{Domain, NodeId};
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, Assignment, Expr, ExprKind, Let, LetValue, Name, Param, ParamType, Statement, Union};

/// Most branches of a union: each row of one table may come out once per branch.
const MAX_BRANCHES: u64 = 2_000;
/// Most rows of a `range` at compile time.
const MAX_RANGE_ROWS: i64 = 100_000;

impl Binder<'_> {
    /// Binds statements one after the other; each sees those before it.
    pub(super) fn statements(&mut self, statements: &[Statement], scope: &Rc<Scope>) -> Bound<Rc<Scope>> {
        let mut scope = Rc::clone(scope);
        for (number, statement) in statements.iter().enumerate() {
            let (name, binding) = match statement {
                Statement::Let(Let { name, .. }) if number >= MAX_LETS => {
                    let message = format!("more than {MAX_LETS} `let` statements");
                    return Err(Diagnostic::error(name.span.clone(), message));
                }
                Statement::Let(Let { name, value }) => (name, self.let_value(value, &scope)?),
                Statement::Set(..) => continue,
                Statement::Declare(params) => {
                    scope = self.declared(params, &scope)?;
                    continue;
                }
                Statement::Result(expr) => {
                    return Err(Diagnostic::error(expr.span.clone(), "a query at ingest has one result")
                        .with_help("name the table with `let`, or remove it"));
                }
                Statement::Other(name) => {
                    return Err(Diagnostic::error(name.span.clone(), "this statement means nothing at ingest")
                        .with_help("only the service knows its databases; remove it"));
                }
            };
            let inner = Scope::inside(&scope, false);
            inner.insert(&name.text, binding);
            scope = inner;
        }
        Ok(scope)
    }

    fn let_value(&mut self, value: &LetValue, scope: &Rc<Scope>) -> Bound<Binding> {
        let expr = match value {
            LetValue::Function(definition) => {
                return Ok(Binding::Function(Rc::clone(definition), Rc::clone(scope)));
            }
            LetValue::Expr(expr) => expr,
        };
        // `let f = g;` names a function anew.
        if let ExprKind::Name(name) = &expr.kind
            && let Some(function @ Binding::Function(..)) = scope.get(name)
        {
            return Ok(function);
        }
        Ok(self.item(expr, Context { relation: None, scope })?.into_binding())
    }

    /// Query parameters: their defaults, as nobody hands values over at ingest.
    fn declared(&mut self, params: &[Param], scope: &Rc<Scope>) -> Bound<Rc<Scope>> {
        let inner = Scope::inside(scope, false);
        for param in params {
            let (Some(default), ParamType::Scalar(ty)) = (&param.default, &param.ty) else {
                return Err(Diagnostic::error(param.name.span.clone(), "a query parameter needs a default at ingest"));
            };
            let node = self.expr(default, Context { relation: None, scope })?;
            inner.insert(&param.name.text, Binding::Scalar(self.graph.convert(node, *ty)));
        }
        Ok(inner)
    }

    pub(super) fn table(&mut self, expr: &Expr, context: Context<'_>) -> Bound<Relation> {
        self.item(expr, context)?.into_table(&expr.span)
    }

    /// Binds an expression that may be a table or a value.
    pub(super) fn item(&mut self, expr: &Expr, context: Context<'_>) -> Bound<Item> {
        match &expr.kind {
            ExprKind::Pipe(source, operators) => {
                let relation = self.table(source, Context { relation: None, ..context })?;
                Ok(Item::Table(self.operators(relation, operators, context.scope)?))
            }
            ExprKind::Name(name) => {
                if let Some(binding) = context.scope.param(name) {
                    return Self::bound_item(binding, name, &expr.span);
                }
                if context.relation.is_some_and(|relation| relation.column(name).is_some()) {
                    return Ok(Item::Scalar(self.expr(expr, context)?));
                }
                if let Some(binding) = context.scope.get(name) {
                    return Self::bound_item(binding, name, &expr.span);
                }
                if let Some(table) = self.named_table(name) {
                    return Ok(Item::Table(table));
                }
                if context.relation.is_some() {
                    return Ok(Item::Scalar(self.expr(expr, context)?));
                }
                // A stored function that needs no argument may be called by its bare name.
                if functions::find(name).is_none()
                    && let Some(definition) = self.stored(name)
                {
                    return self.expand_stored(&definition, None, &[], &expr.span, context);
                }
                Err(self.unknown_table(name, &expr.span, context.scope))
            }
            ExprKind::Call(name, args) => self.call_item(name, args, expr, context),
            ExprKind::Datatable(columns, values) => self.datatable(columns, values, context).map(Item::Table),
            ExprKind::Print(assignments) => self.print(assignments, context).map(Item::Table),
            ExprKind::Range(name, bounds) => self.range(name, bounds, context).map(Item::Table),
            ExprKind::Union(union) => {
                let relation = self.union(None, union, &expr.span, context)?;
                Ok(Item::Table(relation))
            }
            _ => Ok(Item::Scalar(self.expr(expr, context)?)),
        }
    }

    /// The raw table under either name; in a hunting query, a stored table.
    fn named_table(&mut self, name: &str) -> Option<Relation> {
        if self.is_hunting() {
            return self.stored_table(name);
        }
        if *name == *self.table.name || name == "source" {
            return Some(self.raw_table());
        }
        // One raw table is read at a time: the rows of the others are another program's.
        let columns = self.catalog.find_table(name).filter(|_| self.mode == Mode::Lenient)?;
        let domain = self.graph.absent_domain();
        let mut relation = Relation::new(domain);
        for column in columns {
            let node = self.graph.absent_column(column.ty, domain);
            relation.columns.push(BoundColumn { name: Arc::clone(&column.name), node });
        }
        Some(relation)
    }

    fn unknown_table(&self, name: &str, span: &Span, scope: &Scope) -> Diagnostic {
        let mut known = scope.visible();
        let otherwise = match self.host {
            Some(host) => {
                known.extend(host.table_names());
                "`print`, `datatable` and `range` need no table".to_owned()
            }
            None => {
                known.push(self.table.name.to_string());
                format!("the raw table is `{}`, also called `source`", self.table.name)
            }
        };
        let mut error = Diagnostic::error(span.clone(), format!("unknown table `{name}`")).about(Subject::UnknownTable);
        error.help = nearest(name, known.iter().map(String::as_str)).or(Some(otherwise));
        error
    }

    fn bound_item(binding: Binding, name: &str, span: &Span) -> Bound<Item> {
        match binding {
            Binding::Scalar(node) => Ok(Item::Scalar(node)),
            Binding::Table(relation) => Ok(Item::Table((*relation).clone())),
            Binding::Function(definition, _) if definition.params.iter().all(|param| param.default.is_some()) => {
                Err(Diagnostic::error(span.clone(), format!("`{name}` is a function"))
                    .with_help(format!("call it: `{name}()`")))
            }
            Binding::Function(..) => Err(Diagnostic::error(span.clone(), format!("`{name}` is a function"))
                .with_help("call it with its arguments in parentheses")),
        }
    }

    fn call_item(&mut self, name: &Name, args: &[Arg], expr: &Expr, context: Context<'_>) -> Bound<Item> {
        if let Some(Binding::Function(definition, scope)) = context.scope.get(&name.text) {
            return self.expand(&definition, &scope, None, args, &expr.span, context);
        }
        if functions::find(&name.text).is_none()
            && let Some(definition) = self.stored(&name.text)
        {
            return self.expand_stored(&definition, None, args, &expr.span, context);
        }
        match (name.text.as_str(), args) {
            ("_GetWatchlist", [alias, ..]) => self.watchlist(alias, context).map(Item::Table),
            ("materialize", [table]) => match self.item(&table.value, context)? {
                Item::Table(relation) => Ok(Item::Table(self.materialised(relation, &expr.span))),
                scalar => Ok(scalar),
            },
            ("table", [table]) => {
                let node = self.expr(&table.value, context)?;
                let Some(name) = self.graph.constant(node).and_then(Scalar::as_str).map(str::to_owned) else {
                    return Err(Diagnostic::error(table.value.span.clone(), "a table's name must be constant"));
                };
                match self.named_table(&name) {
                    Some(table) => Ok(Item::Table(table)),
                    None => Err(self.unknown_table(&name, &table.value.span, context.scope)),
                }
            }
            _ => Ok(Item::Scalar(self.expr(expr, context)?)),
        }
    }

    /// A table that the host knows. One that it does not know is empty, with a complaint.
    fn watchlist(&mut self, alias: &Arg, context: Context<'_>) -> Bound<Relation> {
        let node = self.expr(&alias.value, context)?;
        let Some(name) = self.graph.constant(node).and_then(Scalar::as_str).map(str::to_owned) else {
            return Err(Diagnostic::error(alias.value.span.clone(), "a watchlist's alias must be constant"));
        };
        let Some(rows) = self.catalog.find_watchlist(&name) else {
            let error = Diagnostic::error(alias.value.span.clone(), format!("unknown watchlist `{name}`"))
                .with_help("without it, nothing is on the list")
                .about(Subject::UnknownWatchlist);
            self.complain(error)?;
            let domain = self.graph.domain(Domain::Rows(0));
            return Ok(Relation::new(domain));
        };
        let domain = self.graph.domain(Domain::Rows(rows.num_rows()));
        let mut relation = Relation::new(domain);
        for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
            let Some(ty) = ColumnType::of_field(field) else { continue };
            let array = arrow::compute::cast(array, &ty.arrow()).map_err(|error| {
                Diagnostic::error(alias.value.span.clone(), format!("cannot read the watchlist: {error}"))
            })?;
            let node = self.graph.column(array, ty);
            relation.columns.push(BoundColumn { name: field.name().as_str().into(), node });
        }
        Ok(relation)
    }

    fn datatable(&mut self, columns: &[(Name, ColumnType)], values: &[Expr], context: Context<'_>) -> Bound<Relation> {
        let rows = values.len() / columns.len();
        let mut cells: Vec<Vec<ArrayRef>> = vec![Vec::with_capacity(rows); columns.len()];
        for (position, value) in values.iter().enumerate() {
            let (_, ty) = columns[position % columns.len()];
            let node = self.expr(value, Context { relation: None, scope: context.scope })?;
            let node = self.graph.convert(node, ty);
            let Some(scalar) = self.graph.constant(node) else {
                return Err(Diagnostic::error(value.span.clone(), "a value of a `datatable` must be constant"));
            };
            cells[position % columns.len()].push(scalar.to_array());
        }
        let domain = self.graph.domain(Domain::Rows(rows));
        let mut relation = Relation::new(domain);
        for ((name, ty), cells) in columns.iter().zip(cells) {
            let cells: Vec<&dyn arrow::array::Array> = cells.iter().map(AsRef::as_ref).collect();
            let array = if cells.is_empty() {
                new_empty_array(&ty.arrow())
            } else {
                concat(&cells).expect("all cells of a column have its type")
            };
            let node = self.graph.column(array, *ty);
            relation.columns.push(BoundColumn { name: name.text.as_str().into(), node });
        }
        Ok(relation)
    }

    fn print(&mut self, assignments: &[Assignment], context: Context<'_>) -> Bound<Relation> {
        let domain = self.graph.domain(Domain::Rows(1));
        let mut relation = Relation::new(domain);
        for (number, assignment) in names::taken_apart(assignments, true).iter().enumerate() {
            let node = self.expr(&assignment.value, Context { relation: None, scope: context.scope })?;
            let name = match &assignment.name {
                Some(name) => name.text.clone(),
                None => format!("print_{number}"),
            };
            relation.columns.push(BoundColumn { name: Arc::from(names::unique(&name, &relation.columns)), node });
        }
        Ok(relation)
    }

    fn range(&mut self, name: &Name, bounds: &[Expr; 3], context: Context<'_>) -> Bound<Relation> {
        let mut values = Vec::new();
        for bound in bounds {
            let node = self.expr(bound, Context { relation: None, scope: context.scope })?;
            match self.graph.constant(node) {
                Some(scalar) => values.push(scalar.clone()),
                None => return Err(Diagnostic::error(bound.span.clone(), "a bound of `range` must be constant")),
            }
        }
        let whole = |scalar: &Scalar| match scalar {
            Scalar::Long(value) | Scalar::Datetime(value) | Scalar::Timespan(value) => Some(*value),
            Scalar::Int(value) => Some(i64::from(*value)),
            _ => None,
        };
        let span = bounds[0].span.start..bounds[2].span.end;
        let (Some(from), Some(to), Some(step)) = (whole(&values[0]), whole(&values[1]), whole(&values[2])) else {
            return Err(Diagnostic::error(span, "the bounds of `range` are whole numbers, times or spans"));
        };
        let count =
            if step == 0 { -1 } else { to.saturating_sub(from).checked_div(step).unwrap_or(-1).saturating_add(1) };
        let count = if (step > 0) == (to >= from) { count } else { 0 };
        if !(0..=MAX_RANGE_ROWS).contains(&count) {
            return Err(Diagnostic::error(span, format!("`range` gives at most {MAX_RANGE_ROWS} rows at ingest")));
        }
        let values_of = values[0].clone();
        let ty = match values_of.ty() {
            ColumnType::Int => ColumnType::Long,
            ty => ty,
        };
        let cells: Vec<ArrayRef> = (0..count)
            .map(|number| {
                let value = from + number * step;
                match ty {
                    ColumnType::Datetime => Scalar::Datetime(value),
                    ColumnType::Timespan => Scalar::Timespan(value),
                    _ => Scalar::Long(value),
                }
                .to_array()
            })
            .collect();
        let cells: Vec<&dyn arrow::array::Array> = cells.iter().map(AsRef::as_ref).collect();
        let array = if cells.is_empty() {
            new_empty_array(&ty.arrow())
        } else {
            concat(&cells).expect("all cells have one type")
        };
        let node = self.graph.column(array, ty);
        let domain = self.graph.domain(Domain::Rows(count as usize));
        Ok(Relation { columns: vec![BoundColumn { name: name.text.as_str().into(), node }], ..Relation::new(domain) })
    }

    /// `union`: rows of all branches, columns by name. Same names of different types become `name_type`.
    pub(super) fn union(
        &mut self,
        first: Option<Relation>,
        union: &Union,
        span: &Span,
        context: Context<'_>,
    ) -> Bound<Relation> {
        if first.as_ref().is_some_and(|relation| relation.applied.is_some()) {
            return Err(Diagnostic::error(span.clone(), "`union` cannot run inside `mv-apply`"));
        }
        let mut branches: Vec<(String, Relation)> = Vec::new();
        branches.extend(first.map(|relation| ("union_arg0".to_owned(), relation)));
        for table in &union.tables {
            if let ExprKind::Wildcard(pattern) = &table.kind
                && self.is_hunting()
            {
                branches.extend(self.stored_tables_like(pattern));
                continue;
            }
            let label = branch_label(table, branches.len());
            match self.table(table, Context { relation: None, scope: context.scope }) {
                Ok(relation) => branches.push((label, relation)),
                // Other raw tables are empty here: a parser over several tables is one program per table.
                Err(error) if matches!(table.kind, ExprKind::Name(_)) && union.fuzzy => {
                    self.warn(Diagnostic { severity: Severity::Warning, ..error });
                }
                Err(error) if matches!(table.kind, ExprKind::Name(_)) => self.complain(error)?,
                Err(error) => return Err(error),
            }
        }
        if branches.is_empty() {
            return Err(Diagnostic::error(span.clone(), "no table of the union is known"));
        }
        if self.is_filter {
            return Err(Diagnostic::error(span.clone(), "a filter has no `union`"));
        }
        if let Some(column) = &union.withsource {
            for (label, relation) in &mut branches {
                let node = self.graph.text(label);
                relation.columns.insert(0, BoundColumn { name: column.as_str().into(), node });
            }
        }
        let mut branches: Vec<Relation> = branches.into_iter().map(|(_, relation)| relation).collect();
        if branches.iter().any(|branch| !self.graph.is_absent(branch.domain)) {
            branches.retain(|branch| !self.graph.is_absent(branch.domain));
        }
        let copies: u64 = branches.iter().map(|branch| self.graph.copies(branch.domain)).sum();
        if copies > MAX_BRANCHES {
            return Err(Diagnostic::error(span.clone(), format!("the union has {copies} branches"))
                .with_help(format!("at most {MAX_BRANCHES} are run, those of unions in unions counted")));
        }
        Ok(self.united(&branches, union.inner))
    }

    /// The rows of all branches, at least one; with `inner`, only the columns that all have.
    pub(super) fn united(&mut self, branches: &[Relation], inner: bool) -> Relation {
        if let [only] = branches {
            return only.clone();
        }
        let mut wanted: Vec<(Arc<str>, ColumnType)> = Vec::new();
        for branch in branches {
            for column in &branch.columns {
                let key = (Arc::clone(&column.name), self.graph.ty(column.node));
                if wanted.contains(&key)
                    || (inner && !branches.iter().all(|branch| branch.column(&column.name).is_some()))
                {
                    continue;
                }
                // Columns of one name stand together.
                let place = wanted.iter().rposition(|(name, _)| *name == key.0).map_or(wanted.len(), |last| last + 1);
                wanted.insert(place, key);
            }
        }
        let domain = self.graph.domain(Domain::Union(branches.iter().map(|branch| branch.domain).collect()));
        let mut relation = Relation::new(domain);
        for (name, ty) in &wanted {
            let nodes: Vec<NodeId> = branches
                .iter()
                .map(|branch| match branch.column(name) {
                    Some(node) if self.graph.ty(node) == *ty => node,
                    _ => self.null(*ty),
                })
                .collect();
            let node = self.graph.concat(nodes, *ty, domain);
            let ambiguous = wanted.iter().filter(|(other, _)| other == name).count() > 1;
            let name = if ambiguous { format!("{name}_{ty}").into() } else { Arc::clone(name) };
            relation.columns.push(BoundColumn { name, node });
        }
        relation
    }

    /// Values of constant columns; an error if they depend on the raw table.
    pub(super) fn constant_table(
        &mut self,
        columns: &[NodeId],
        domain: usize,
        span: &Span,
    ) -> Bound<(Vec<ArrayRef>, usize)> {
        match constant_columns(&mut self.graph, columns, domain) {
            Some(Ok(table)) => Ok(table),
            Some(Err(error)) => {
                Err(Diagnostic::error(span.clone(), format!("cannot evaluate the constant table: {error}")))
            }
            None if self.is_hunting() => self.collect(columns, domain, span, MAX_COLLECTED),
            None => Err(Diagnostic::error(span.clone(), "this table must be constant at ingest")
                .with_help("a table that depends on events would need all of them at once; use a `datatable`")),
        }
    }
}
