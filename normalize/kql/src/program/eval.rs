//! One run of a schedule over one batch.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, FilterBuilder, can_cast_types, cast_with_options, concat, take};
use weir_contract::schema::ColumnType;

use super::EvalError;
use super::graph::{Domain, DomainId, Node, NodeId, Op};
use super::schedule::{PathGroup, Place, Schedule, Step};
use super::selection::{Selection, SelectionKind};
use crate::functions::args::{Args, holds};
use crate::functions::pieces::{Pieces, Whole};
use crate::json::PathTree;
use crate::scalar::{Scalar, Value};

#[derive(Debug)]
enum Slot {
    Empty,
    Value(Value),
    Tuple(Vec<ArrayRef>),
    Selection(Selection),
}

pub(crate) struct Frame<'a> {
    schedule: &'a Schedule,
    batch: &'a RecordBatch,
    slots: Vec<Slot>,
    /// Rows of each selection node; outlives the slot.
    selected_rows: Vec<usize>,
    now: i64,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(schedule: &'a Schedule, batch: &'a RecordBatch) -> Self {
        let nodes = schedule.graph.nodes.len();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros() as i64);
        Self {
            schedule,
            batch,
            slots: std::iter::repeat_with(|| Slot::Empty).take(nodes).collect(),
            selected_rows: vec![0; nodes],
            now,
        }
    }

    pub(crate) fn run(&mut self) -> Result<(), EvalError> {
        for step in &self.schedule.steps {
            self.step(step)?;
            for node in &step.frees {
                self.slots[*node] = Slot::Empty;
            }
        }
        Ok(())
    }

    /// Number of rows of a domain whose selections have run.
    pub(crate) fn rows(&self, domain: DomainId) -> usize {
        match &self.schedule.graph.domains[domain] {
            Domain::Input => self.batch.num_rows(),
            Domain::Stored(table) => unreachable!("only an engine has the rows of `{table}`"),
            Domain::Rows(rows) => *rows,
            Domain::Selected(selection) => self.selected_rows[*selection],
            Domain::Union(branches) => branches.iter().map(|branch| self.rows(*branch)).sum(),
        }
    }

    /// An output as an array of `rows` rows.
    pub(crate) fn column(&self, node: NodeId, rows: usize) -> ArrayRef {
        self.value(node).materialise(rows)
    }

    fn value(&self, node: NodeId) -> &Value {
        match &self.slots[node] {
            Slot::Value(value) => value,
            other => unreachable!("node {node} holds {other:?}, not a value"),
        }
    }

    fn selection(&self, node: NodeId) -> &Selection {
        match &self.slots[node] {
            Slot::Selection(selection) => selection,
            other => unreachable!("node {node} holds {other:?}, not a selection"),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), EvalError> {
        let node = &self.schedule.graph.nodes[step.node];
        if let Some(place) = step.place
            && !self.is_reached(place)
        {
            self.slots[step.node] = Slot::Value(Value::Scalar(Scalar::Null(node.ty)));
            return Ok(());
        }
        if let Some(group) = &step.paths {
            self.paths(node, group);
            return Ok(());
        }
        let slot = match &node.op {
            Op::Input(name) => Slot::Value(self.input(name, node.ty)?),
            Op::Const(scalar) => Slot::Value(Value::Scalar(scalar.clone())),
            Op::Column(array) => Slot::Value(Value::Array(Arc::clone(array))),
            Op::Call(function, prepared) => {
                let values: Vec<Value> = node.args.iter().map(|arg| self.value(*arg).clone()).collect();
                let types: Vec<ColumnType> = node.args.iter().map(|arg| self.schedule.graph.ty(*arg)).collect();
                let constant = values.iter().all(|value| matches!(value, Value::Scalar(_)));
                let rows = if constant { 1 } else { self.rows_of(node) };
                let args = Args { values: &values, types: &types, rows, prepared, now: self.now };
                let result = (function.kernel)(&args);
                debug_assert_eq!(result.len(), rows, "{}", function.name);
                Slot::Value(if constant {
                    Value::Scalar(Scalar::of_array(&result, 0, node.ty))
                } else {
                    Value::Array(result)
                })
            }
            Op::Path(..) => unreachable!("paths run as groups"),
            Op::Where => Slot::Selection(self.filter(node)?),
            Op::Move => {
                let selection = self.selection(node.args[1]);
                Slot::Value(match (self.value(node.args[0]), &selection.kind) {
                    (Value::Scalar(scalar), _) => Value::Scalar(scalar.clone()),
                    (value, SelectionKind::All) => value.clone(),
                    (Value::Array(array), SelectionKind::Filter(predicate)) => Value::Array(predicate.filter(array)?),
                    (Value::Array(array), SelectionKind::Take(indices)) => Value::Array(take(array, indices, None)?),
                })
            }
            Op::Probe(table) => {
                let rows = self.rows_of(node);
                let keys: Vec<Value> = node.args.iter().map(|arg| self.value(*arg).clone()).collect();
                Slot::Selection(table.probe(&keys, rows)?)
            }
            Op::Unnest(spec) => {
                let rows = self.rows_of(node);
                let columns: Vec<ArrayRef> = node.args.iter().map(|arg| self.column(*arg, rows)).collect();
                Slot::Selection(spec.unnest(&columns, rows))
            }
            Op::RowNumbers => {
                let numbers: Int64Array = (0..self.rows_of(node) as i64).collect();
                Slot::Value(Value::Array(Arc::new(numbers)))
            }
            Op::Gather(spec) => {
                let rows = self.rows_of(node);
                let columns: Vec<ArrayRef> = node.args.iter().map(|arg| self.column(*arg, rows)).collect();
                Slot::Selection(spec.gather(&columns, rows, spec.outside.map(|outside| self.rows(outside))))
            }
            Op::Arrange(spec) => {
                let rows = self.rows_of(node);
                let columns: Vec<ArrayRef> = node.args.iter().map(|arg| self.column(*arg, rows)).collect();
                Slot::Selection(spec.arrange(&columns, rows))
            }
            Op::Join(_) | Op::Joined(_) => unreachable!("only an engine joins stored tables"),
            Op::Probed(number) | Op::Unnested(number) | Op::Gathered(number) => {
                Slot::Value(Value::Array(Arc::clone(&self.selection(node.args[0]).columns[*number])))
            }
            Op::Parse(pattern) => {
                let rows = self.rows_of(node);
                Slot::Tuple(pattern.run(&self.column(node.args[0], rows)))
            }
            Op::ParseKv(pattern) => {
                let rows = self.rows_of(node);
                Slot::Tuple(pattern.run(&self.column(node.args[0], rows)))
            }
            Op::Part(number) => match &self.slots[node.args[0]] {
                Slot::Tuple(columns) => Slot::Value(Value::Array(Arc::clone(&columns[*number]))),
                other => unreachable!("part of {other:?}"),
            },
            Op::Concat => Slot::Value(Value::Array(self.concat(node)?)),
        };
        if let Slot::Selection(selection) = &slot {
            self.selected_rows[step.node] = selection.rows;
        }
        self.slots[step.node] = slot;
        Ok(())
    }

    /// Whether a row comes to an argument of a `case`: none of the conditions before it holds, and its own does.
    fn is_reached(&self, place: Place) -> bool {
        let case = &self.schedule.graph.nodes[place.case];
        let rows = self.rows_of(case);
        let condition = |argument: usize| holds(self.value(case.args[argument]), rows);
        let is_value = place.argument % 2 == 1;
        let before = if is_value { place.argument - 1 } else { place.argument };
        let mut open = BooleanBuffer::new_set(rows);
        for argument in (0..before).step_by(2) {
            open = &open & &!&condition(argument);
        }
        if is_value {
            open = &open & &condition(place.argument - 1);
        }
        open.has_true()
    }

    fn rows_of(&self, node: &Node) -> usize {
        node.domain.map_or(1, |domain| self.rows(domain))
    }

    fn input(&self, name: &str, ty: ColumnType) -> Result<Value, EvalError> {
        let Some((index, field)) = self.batch.schema_ref().column_with_name(name) else {
            return Ok(Value::Scalar(Scalar::Null(ty)));
        };
        let array = self.batch.column(index);
        if array.data_type() == &ty.arrow() {
            return Ok(Value::Array(Arc::clone(array)));
        }
        if !can_cast_types(array.data_type(), &ty.arrow()) {
            return Err(EvalError::InputType {
                column: name.to_owned(),
                found: field.data_type().to_string(),
                expected: ty.name().to_owned(),
            });
        }
        let options = CastOptions { safe: true, ..CastOptions::default() };
        Ok(Value::Array(cast_with_options(array, &ty.arrow(), &options)?))
    }

    fn filter(&self, node: &Node) -> Result<Selection, EvalError> {
        let rows = self.rows_of(node);
        let none = || BooleanArray::from(vec![false; rows]);
        let mask = match self.value(node.args[0]) {
            Value::Scalar(Scalar::Bool(true)) => {
                return Ok(Selection { rows, kind: SelectionKind::All, columns: Vec::new() });
            }
            Value::Scalar(_) => none(),
            Value::Array(array) => array.as_boolean().clone(),
        };
        let kept = mask.true_count();
        if kept == rows {
            return Ok(Selection { rows, kind: SelectionKind::All, columns: Vec::new() });
        }
        let predicate = FilterBuilder::new(&mask).optimize().build();
        Ok(Selection { rows: kept, kind: SelectionKind::Filter(predicate), columns: Vec::new() })
    }

    /// Fills the slots of all paths of one value in one pass over its rows.
    fn paths(&mut self, node: &Node, group: &PathGroup) {
        let rows = self.rows_of(node);
        let as_text: Vec<bool> = group.outputs.iter().map(|(_, as_text)| *as_text).collect();
        let results = path_values(&group.tree, &as_text, self.value(node.args[0]), rows);
        for ((node, _), result) in group.outputs.iter().zip(results) {
            self.slots[*node] = Slot::Value(result);
        }
    }

    fn concat(&self, node: &Node) -> Result<ArrayRef, EvalError> {
        let Some(Domain::Union(branches)) = node.domain.map(|domain| &self.schedule.graph.domains[domain]) else {
            unreachable!("only a union concatenates")
        };
        let columns: Vec<ArrayRef> =
            node.args.iter().zip(branches).map(|(arg, branch)| self.column(*arg, self.rows(*branch))).collect();
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        Ok(concat(&columns)?)
    }
}

/// The values of all paths of one dynamic value; `as_text` tells, per path, whether the value is unquoted.
pub(crate) fn path_values(tree: &PathTree, as_text: &[bool], value: &Value, rows: usize) -> Vec<Value> {
    let mut found = vec![None; tree.outputs()];
    match value {
        Value::Scalar(scalar) => {
            if let Scalar::Dynamic(json) = scalar {
                tree.find(json, &mut found);
            }
            let results = found.iter().zip(as_text);
            results
                .map(|(found, as_text)| {
                    Value::Scalar(match (*found, as_text) {
                        (Some(value), true) => Scalar::String(value.text(&mut String::new()).into()),
                        (None, true) => Scalar::String("".into()),
                        (Some(value), false) => Scalar::Dynamic(value.json.into()),
                        (None, false) => Scalar::Null(ColumnType::Dynamic),
                    })
                })
                .collect()
        }
        Value::Array(array) => {
            let array = array.as_string_view();
            let mut columns: Vec<Pieces> = as_text.iter().map(|_| Pieces::with_capacity(rows)).collect();
            let mut buffer = String::new();
            for row in 0..array.len() {
                if array.is_null(row) {
                    columns.iter_mut().for_each(Pieces::append_null);
                    continue;
                }
                let whole = Whole::of(array, row);
                tree.find(whole.text, &mut found);
                for ((column, found), as_text) in columns.iter_mut().zip(&found).zip(as_text) {
                    match *found {
                        Some(value) if *as_text => column.append(&whole, value.text(&mut buffer)),
                        Some(value) => column.append(&whole, value.json),
                        None => column.append_null(),
                    }
                }
            }
            columns.into_iter().map(|column| Value::Array(column.finish())).collect()
        }
    }
}
