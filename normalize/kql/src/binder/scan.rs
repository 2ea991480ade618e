//! `scan`: sequences of rows that match steps one after the other.
//!
//! Rules: <https://learn.microsoft.com/kusto/query/scan-operator>. Conditions and assignments are bound once, over a row's
//! columns and those of the steps' states (`step.column`); each step is then run on one such row after the other.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use weir_contract::schema::ColumnType;

use super::parts::parts_of;
use super::rows::{Cells, null_of};
use super::scope::{Context, Scope};
use super::{Binder, Bound, BoundColumn, Relation};
use crate::diagnostic::{Diagnostic, Span};
use crate::program::graph::{INPUT, NodeId};
use crate::program::{EvalError, RowProgram, with_row_programs};
use crate::scalar::Scalar;
use crate::syntax::ast::{Expr, ExprKind, ParamType, Scan, ScanStep};

/// A column of a step's state: `step.column`, where the base is no column itself.
pub(super) fn of_step(base: &Expr, column: &str, context: Context<'_>) -> Option<NodeId> {
    let (ExprKind::Name(step), Some(relation)) = (&base.kind, context.relation) else { return None };
    if relation.column(step).is_some() {
        return None;
    }
    relation.columns.iter().find(|known| *known.name == *state_column(step, column)).map(|known| known.node)
}

/// A name that no author can write, so that no column of a table is taken for a state.
pub(super) fn state_column(step: &str, column: &str) -> String {
    format!("\0{step}\0{column}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    All,
    Last,
    None,
}

/// A bound step. Its program gives the condition, then the assigned values.
struct Step {
    nodes: Vec<NodeId>,
    /// Which of the row's columns are assigned.
    assigned: Vec<usize>,
    output: Output,
}

type Row = Vec<Scalar>;

/// A match under way: the last row of each step so far, and its number.
#[derive(Clone)]
struct State {
    rows: Vec<Row>,
    number: i64,
}

impl Binder<'_> {
    pub(super) fn scan(&mut self, relation: Relation, scan: &Scan, span: &Span, scope: &Rc<Scope>) -> Bound<Relation> {
        let mut relation = self.known_rows(relation, "scan", span)?;
        if !scan.order.is_empty() {
            relation = self.arrange(&relation, &scan.order, usize::MAX, scope)?;
            relation = self.known_rows(relation, "scan", span)?;
        }
        let mut keys: Vec<Vec<Scalar>> = Vec::new();
        for assignment in &scan.partition {
            let node = self.expr(&assignment.value, Context { relation: Some(&relation), scope })?;
            keys.push(self.values_of(node, &relation, span)?);
        }
        let source = self.cells_of(&relation, span)?;
        let mut columns: Vec<(Arc<str>, ColumnType)> =
            source.iter().map(|(name, ty, _)| (Arc::clone(name), *ty)).collect();
        // What a row, or a step that has none yet, holds in the declared columns.
        let mut empty: Row = columns.iter().map(|(_, ty)| null_of(*ty)).collect();
        for param in &scan.declared {
            let ParamType::Scalar(ty) = param.ty else {
                return Err(Diagnostic::error(param.name.span.clone(), "a declared column has a scalar type"));
            };
            let default = match &param.default {
                Some(default) => {
                    let node = self.expr(default, Context { relation: None, scope })?;
                    let node = self.graph.convert(node, ty);
                    self.graph
                        .constant(node)
                        .cloned()
                        .ok_or_else(|| Diagnostic::error(default.span.clone(), "a default must be a constant"))?
                }
                None => null_of(ty),
            };
            columns.push((param.name.text.as_str().into(), ty));
            empty.push(default);
        }
        let steps = self.scan_steps(scan, &columns, scope)?;
        let match_id = scan.options.iter().find(|(name, _)| name == "with_match_id").map(|(_, name)| name.as_str());

        let total = self.row_total(&relation);
        let key = |row: usize| -> Vec<Scalar> { keys.iter().map(|key| key[row].clone()).collect() };
        let parts: Vec<Vec<usize>> = if keys.is_empty() {
            vec![(0..total).collect()]
        } else {
            let keys: Vec<Scalar> = (0..total)
                .map(|row| {
                    let key: Vec<String> = key(row).iter().map(|key| format!("{key:?}")).collect();
                    Scalar::String(key.join("\0").into())
                })
                .collect();
            parts_of(&keys).into_iter().map(|(_, rows)| rows).collect()
        };
        let names: Vec<&str> = scan.steps.iter().map(|step| step.name.text.as_str()).collect();
        let programs: Vec<Vec<NodeId>> = steps.iter().map(|step| step.nodes.clone()).collect();
        let result = with_row_programs(&mut self.graph, programs, |programs| {
            let mut run = Run {
                steps: &steps,
                names: &names,
                programs,
                empty: &empty,
                columns: &columns,
                matches: 0,
                found: Vec::new(),
            };
            for rows in parts {
                let cells = |row: usize| source.iter().map(move |(_, _, cells)| cells[row].clone());
                let declared = || empty[source.len()..].iter().cloned();
                run.part(rows.into_iter().map(|row| cells(row).chain(declared()).collect()))?;
            }
            Ok(run.found)
        });
        let found: Vec<(Row, i64)> = result
            .map_err(|error: EvalError| Diagnostic::error(span.clone(), format!("cannot run `scan`: {error}")))?;
        let mut result: Vec<Cells> = Vec::new();
        for (place, (name, ty)) in columns.into_iter().enumerate() {
            result.push((name, ty, found.iter().map(|(row, _)| row[place].clone()).collect()));
        }
        if let Some(name) = match_id {
            let numbers = found.iter().map(|(_, number)| Scalar::Long(*number)).collect();
            result.push((name.into(), ColumnType::Long, numbers));
        }
        Ok(self.constant_rows(found.len(), result))
    }

    fn scan_steps(&mut self, scan: &Scan, columns: &[(Arc<str>, ColumnType)], scope: &Rc<Scope>) -> Bound<Vec<Step>> {
        let mut relation = Relation::new(INPUT);
        for (name, ty) in columns {
            let node = self.graph.input(name, *ty, INPUT);
            relation.columns.push(BoundColumn { name: Arc::clone(name), node });
        }
        for step in &scan.steps {
            for (name, ty) in columns {
                let name: Arc<str> = state_column(&step.name.text, name).into();
                let node = self.graph.input(&name, *ty, INPUT);
                relation.columns.push(BoundColumn { name, node });
            }
        }
        scan.steps.iter().map(|step| self.scan_step(step, columns, &relation, scope)).collect()
    }

    fn scan_step(
        &mut self,
        step: &ScanStep,
        columns: &[(Arc<str>, ColumnType)],
        relation: &Relation,
        scope: &Rc<Scope>,
    ) -> Bound<Step> {
        if step.optional {
            return Err(Diagnostic::error(step.name.span.clone(), "optional steps of `scan` do not run here")
                .with_help("write the sequences with and without it as two queries, and `union` them"));
        }
        let output = match step.options.iter().find(|(name, _)| name == "output").map(|(_, value)| value.as_str()) {
            None | Some("all") => Output::All,
            Some("last") => Output::Last,
            Some("none") => Output::None,
            Some(_) => {
                return Err(Diagnostic::error(step.name.span.clone(), "`output` is `all`, `last` or `none`"));
            }
        };
        let mut nodes = vec![self.predicate(&step.condition, relation, scope)?];
        let mut assigned = Vec::new();
        for assignment in &step.assignments {
            let name = assignment.name.as_ref().map(|name| name.text.as_str()).unwrap_or_default();
            let Some(place) = columns.iter().position(|(known, _)| **known == *name) else {
                return Err(Diagnostic::error(assignment.value.span.clone(), format!("`{name}` is not declared"))
                    .with_help("`scan declare (name:type) with (…)` declares the columns that steps assign"));
            };
            let node = self.expr(&assignment.value, Context { relation: Some(relation), scope })?;
            nodes.push(self.graph.convert(node, columns[place].1));
            assigned.push(place);
        }
        Ok(Step { nodes, assigned, output })
    }
}

/// One run of the steps.
struct Run<'a> {
    steps: &'a [Step],
    names: &'a [&'a str],
    programs: &'a [RowProgram],
    /// What a step without a row holds.
    empty: &'a Row,
    columns: &'a [(Arc<str>, ColumnType)],
    /// How many matches have begun.
    matches: i64,
    /// The rows of the result, with the numbers of their matches.
    found: Vec<(Row, i64)>,
}

impl Run<'_> {
    /// The rows of one part; each is tried against the last step first.
    fn part(&mut self, rows: impl Iterator<Item = Row>) -> Result<(), EvalError> {
        let mut states: Vec<Option<State>> = vec![None; self.steps.len()];
        for row in rows {
            for place in (0..self.steps.len()).rev() {
                self.step(place, &row, &mut states)?;
            }
        }
        for (place, state) in states.iter().enumerate() {
            if let Some(state) = state {
                self.series_ended(place, state);
            }
        }
        Ok(())
    }

    fn step(&mut self, place: usize, row: &Row, states: &mut [Option<State>]) -> Result<(), EvalError> {
        // From the state of the step before: the match goes one step on.
        if place > 0
            && let Some(before) = states[place - 1].clone()
            && let Some(extended) = self.matched(place, row, Some(&before))?
        {
            if let Some(old) = states[place].take() {
                self.series_ended(place, &old);
            }
            self.series_ended(place - 1, &before);
            states[place - 1] = None;
            states[place] = Some(self.extended(place, before, extended));
            return Ok(());
        }
        // From its own state: the step matches again. The first step needs none.
        let own = states[place].clone();
        if place > 0 && own.is_none() {
            return Ok(());
        }
        if let Some(extended) = self.matched(place, row, own.as_ref())? {
            let state = own.unwrap_or_else(|| {
                self.matches += 1;
                State { rows: Vec::new(), number: self.matches - 1 }
            });
            states[place] = Some(self.extended(place, state, extended));
        }
        Ok(())
    }

    fn extended(&mut self, place: usize, mut state: State, row: Row) -> State {
        if self.steps[place].output == Output::All {
            self.found.push((row.clone(), state.number));
        }
        state.rows.truncate(place);
        state.rows.push(row);
        state
    }

    /// A series of matches has ended: `output=last` gives its last row.
    fn series_ended(&mut self, place: usize, state: &State) {
        if self.steps[place].output == Output::Last {
            self.found.push((state.rows[place].clone(), state.number));
        }
    }

    /// The row with the step's assignments, if its condition holds with that state.
    fn matched(&self, place: usize, row: &Row, state: Option<&State>) -> Result<Option<Row>, EvalError> {
        let program = &self.programs[place];
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for input in &program.inputs {
            let of_state = input.strip_prefix('\0').and_then(|name| name.split_once('\0'));
            let (source, name) = match of_state {
                Some((step, name)) => {
                    let number = self.names.iter().position(|known| *known == step);
                    let row = number.and_then(|number| state.and_then(|state| state.rows.get(number)));
                    (row.unwrap_or(self.empty), name)
                }
                None => (row, &**input),
            };
            let column = self.columns.iter().position(|(known, _)| **known == *name);
            let column = column.expect("the steps were bound over these columns");
            fields.push(Field::new(input.as_ref(), self.columns[column].1.arrow(), true));
            arrays.push(source[column].to_array());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
        let values = program.run(&batch)?;
        if !matches!(values.first(), Some(Scalar::Bool(true))) {
            return Ok(None);
        }
        let mut extended = row.clone();
        for (column, value) in self.steps[place].assigned.iter().zip(&values[1..]) {
            extended[*column] = value.clone();
        }
        Ok(Some(extended))
    }
}
