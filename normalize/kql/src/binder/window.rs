//! Window functions: values that depend on a row's neighbours in a table of known rows and order.
//!
//! Rules: Microsoft's pages on `prev`, `next`, `row_number`, `row_cumsum`, `row_rank_dense`, `row_rank_min` and
//! `row_window_session` (<https://learn.microsoft.com/kusto/query/window-functions>).

use std::rc::Rc;

use weir_contract::schema::ColumnType;

use super::rows::null_of;
use super::scope::{Context, Scope};
use super::{Binder, Bound, Relation};
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::FunctionDoc;
use crate::program::gather::array_of;
use crate::program::graph::NodeId;
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, Assignment, Expr, ExprKind, Operator, OperatorKind};

/// Name, fewest and most arguments, documentation.
#[rustfmt::skip]
const FUNCTIONS: &[(&str, usize, usize, &str)] = &[
    ("prev", 1, 3, "`prev(column[, offset[, default]])`: its value some rows before, 1 without an offset"),
    ("next", 1, 3, "`next(column[, offset[, default]])`: its value some rows after, 1 without an offset"),
    ("row_number", 0, 2, "`row_number([start[, restart]])`: counts rows from `start`, again where `restart` is true"),
    ("row_cumsum", 1, 2, "`row_cumsum(value[, restart])`: the sum so far"),
    ("row_rank_dense", 1, 2, "`row_rank_dense(value[, restart])`: counts the different values so far"),
    ("row_rank_min", 1, 2, "`row_rank_min(value[, restart])`: number of the first row of the same value"),
    ("row_window_session", 3, 4, "`row_window_session(time, from_first, between[, restart])`: start of the row's session"),
];

/// The reference of the window functions. They run where all rows are known: when hunting, and over constant tables.
pub fn window_functions() -> Vec<FunctionDoc> {
    FUNCTIONS.iter().map(|(name, .., doc)| FunctionDoc { name, family: "window functions", doc }).collect()
}

fn find(name: &str) -> Option<&'static (&'static str, usize, usize, &'static str)> {
    FUNCTIONS.iter().find(|function| function.0 == name)
}

pub(super) fn is_window_function(name: &str) -> bool {
    find(name).is_some()
}

/// The first call of a window function in the operator's expressions.
pub(super) fn window_call<'e>(operator: &'e Operator, scope: &Rc<Scope>) -> Option<(&'e str, &'e Span)> {
    let of_all =
        |assignments: &'e [Assignment]| assignments.iter().find_map(|assignment| call_in(&assignment.value, scope));
    match &operator.kind {
        OperatorKind::Where(condition) => call_in(condition, scope),
        OperatorKind::Extend(assignments)
        | OperatorKind::Project(assignments)
        | OperatorKind::Serialize(assignments) => of_all(assignments),
        OperatorKind::Summarize { aggregates, by } => of_all(aggregates).or_else(|| of_all(by)),
        _ => None,
    }
}

/// Without recursion: a chain of thousands of `or`s is as many levels deep.
fn call_in<'e>(expr: &'e Expr, scope: &Rc<Scope>) -> Option<(&'e str, &'e Span)> {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        if let ExprKind::Call(name, _) = &expr.kind
            && is_window_function(&name.text)
            && scope.get(&name.text).is_none()
        {
            return Some((&name.text, &name.span));
        }
        open.extend(expr.children());
    }
    None
}

impl Binder<'_> {
    /// A call over a table of known rows, as a column of it.
    pub(super) fn window(&mut self, name: &str, args: &[Arg], span: &Span, context: Context<'_>) -> Bound<NodeId> {
        let Some((_, fewest, most, doc)) = find(name) else { unreachable!("the caller asked for its name") };
        if !(*fewest..=*most).contains(&args.len()) {
            let message = format!("`{name}` takes {fewest} to {most} arguments, found {}", args.len());
            return Err(Diagnostic::error(span.clone(), message).with_help(*doc));
        }
        let Some(relation) = context.relation.filter(|relation| self.is_constant_table(relation)) else {
            return Err(super::faults::stateful(name, span.clone()).with_help(
                "it stands in `extend`, `project`, `where` or `serialize`, over a table whose rows are known",
            ));
        };
        let mut nodes = Vec::with_capacity(args.len());
        for arg in args {
            nodes.push(self.expr(&arg.value, context)?);
        }
        let at = |place: usize| args.get(place).map_or(span, |arg| &arg.value.span);
        let (cells, ty) = match name {
            "prev" | "next" => self.neighbour(name == "prev", &nodes, relation, args, span)?,
            "row_number" => {
                let start = match nodes.first() {
                    Some(node) => self.whole(*node, at(0))?,
                    None => 1,
                };
                let restarts = self.restarts(nodes.get(1), relation, at(1))?;
                let mut number = start - 1;
                let next = |restart: &bool| {
                    number = if *restart { start } else { number.wrapping_add(1) };
                    Scalar::Long(number)
                };
                (restarts.iter().map(next).collect(), ColumnType::Long)
            }
            "row_cumsum" => {
                let ty = match self.graph.ty(nodes[0]) {
                    ColumnType::Int | ColumnType::Long => ColumnType::Long,
                    ty @ (ColumnType::Real | ColumnType::Timespan) => ty,
                    ty => {
                        let message = format!("`row_cumsum` adds numbers or timespans, found {ty}");
                        return Err(Diagnostic::error(at(0).clone(), message));
                    }
                };
                let node = self.graph.convert(nodes[0], ty);
                let values = self.values_of(node, relation, span)?;
                let restarts = self.restarts(nodes.get(1), relation, at(1))?;
                (running_sums(&values, &restarts, ty), ty)
            }
            "row_rank_dense" | "row_rank_min" => {
                let values = self.values_of(nodes[0], relation, span)?;
                let restarts = self.restarts(nodes.get(1), relation, at(1))?;
                (ranks(&values, &restarts, name == "row_rank_dense"), ColumnType::Long)
            }
            _ => {
                if self.graph.ty(nodes[0]) != ColumnType::Datetime {
                    return Err(Diagnostic::error(at(0).clone(), "`row_window_session` needs a datetime here"));
                }
                let times = self.values_of(nodes[0], relation, span)?;
                let from_first = self.span_of(nodes[1], at(1))?;
                let between = self.span_of(nodes[2], at(2))?;
                let restarts = self.restarts(nodes.get(3), relation, at(3))?;
                (sessions(&times, from_first, between, &restarts), ColumnType::Datetime)
            }
        };
        Ok(self.graph.column(array_of(&cells, ty), ty))
    }

    fn neighbour(
        &mut self,
        before: bool,
        nodes: &[NodeId],
        relation: &Relation,
        args: &[Arg],
        span: &Span,
    ) -> Bound<(Vec<Scalar>, ColumnType)> {
        let ty = self.graph.ty(nodes[0]);
        let values = self.values_of(nodes[0], relation, span)?;
        let offset = match nodes.get(1) {
            Some(node) => self.whole(*node, &args[1].value.span)?,
            None => 1,
        };
        let offset = if before { offset.saturating_neg() } else { offset };
        let default = match nodes.get(2) {
            Some(node) => {
                let node = self.graph.convert(*node, ty);
                match self.graph.constant(node) {
                    Some(default) => default.clone(),
                    None => {
                        return Err(Diagnostic::error(args[2].value.span.clone(), "the default must be a constant"));
                    }
                }
            }
            None => null_of(ty),
        };
        let cell = |row: usize| {
            let place = i64::try_from(row).ok().and_then(|row| usize::try_from(row.saturating_add(offset)).ok());
            place.and_then(|place| values.get(place)).unwrap_or(&default).clone()
        };
        Ok(((0..values.len()).map(cell).collect(), ty))
    }

    fn whole(&mut self, node: NodeId, span: &Span) -> Bound<i64> {
        match self.graph.constant(node) {
            Some(Scalar::Long(value)) => Ok(*value),
            Some(Scalar::Int(value)) => Ok(i64::from(*value)),
            _ => Err(Diagnostic::error(span.clone(), "this argument must be a constant whole number")),
        }
    }

    fn span_of(&mut self, node: NodeId, span: &Span) -> Bound<i64> {
        match self.graph.constant(node) {
            Some(Scalar::Timespan(value)) => Ok(*value),
            _ => Err(Diagnostic::error(span.clone(), "this argument must be a constant timespan")),
        }
    }

    /// For each row, whether it starts anew; nowhere without an argument.
    fn restarts(&mut self, node: Option<&NodeId>, relation: &Relation, span: &Span) -> Bound<Vec<bool>> {
        let Some(node) = node else { return Ok(vec![false; self.row_total(relation)]) };
        if self.graph.ty(*node) != ColumnType::Bool {
            return Err(Diagnostic::error(span.clone(), "`restart` must be a condition"));
        }
        let values = self.values_of(*node, relation, span)?;
        Ok(values.iter().map(|value| matches!(value, Scalar::Bool(true))).collect())
    }
}

/// A null adds nothing.
fn running_sums(values: &[Scalar], restarts: &[bool], ty: ColumnType) -> Vec<Scalar> {
    let (mut whole, mut real) = (0_i64, 0.0);
    let sum = |(value, restart): (&Scalar, &bool)| {
        if *restart {
            (whole, real) = (0, 0.0);
        }
        match value {
            Scalar::Long(value) | Scalar::Timespan(value) => whole = whole.wrapping_add(*value),
            Scalar::Real(value) => real += value,
            _ => {}
        }
        match ty {
            ColumnType::Real => Scalar::Real(real),
            ColumnType::Timespan => Scalar::Timespan(whole),
            _ => Scalar::Long(whole),
        }
    };
    values.iter().zip(restarts).map(sum).collect()
}

/// A rank changes where a value differs from the one before; dense ranks leave no gaps.
fn ranks(values: &[Scalar], restarts: &[bool], dense: bool) -> Vec<Scalar> {
    let (mut rank, mut first) = (0, 0);
    let mut cells = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        if row == 0 || restarts[row] {
            (rank, first) = (1, row);
        } else if *value != values[row - 1] {
            rank = if dense { rank + 1 } else { row - first + 1 };
        }
        cells.push(Scalar::Long(rank as i64));
    }
    cells
}

/// A session ends where a time is as far from its first time, or from the time before, as the limits say, or is null.
fn sessions(times: &[Scalar], from_first: i64, between: i64, restarts: &[bool]) -> Vec<Scalar> {
    let mut session: Option<(i64, i64)> = None;
    let start = |(time, restart): (&Scalar, &bool)| {
        let Scalar::Datetime(time) = time else {
            session = None;
            return Scalar::Null(ColumnType::Datetime);
        };
        let goes_on = session.filter(|(first, last)| {
            !restart && *time < first.saturating_add(from_first) && *time < last.saturating_add(between)
        });
        let first = goes_on.map_or(*time, |(first, _)| first);
        session = Some((first, *time));
        Scalar::Datetime(first)
    };
    times.iter().zip(restarts).map(start).collect()
}
