//! KQL's plan to DataFusion's.
//!
//! Columns keep their ids, unqualified; names are never parsed. Every operator here gives strings without nulls.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use datafusion::common::{Column, DataFusionError, JoinConstraint, NullEquality, Result, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{
    Aggregate, Expr as Native, Extension, Filter, Join, JoinType as NativeJoin, LogicalPlan, LogicalPlanBuilder,
    Projection, Sort, SortExpr, Union, lit,
};
use weir_contract::schema::ColumnType;
use weir_kql::Program;
use weir_kql::plan::{AggregateFunction, Aggregation, Expr, JoinType, Plan, PlanColumn, SortKey};

use crate::aggregate;
use crate::implied::{self, Condition, StoredColumn, exact};
use crate::map::Map;
use crate::order::Ordered;
use crate::scalar::{self, Reading, without_nulls};
use crate::table::Table;

/// Lowers plans over these tables.
pub(crate) struct Lowering<'a> {
    tables: &'a BTreeMap<String, Table>,
    /// How many parts the rows of a constant table are split into.
    partitions: usize,
    /// Whether the plan in hand is read by what depends on the order of its rows.
    needs_order: Cell<bool>,
}

impl<'a> Lowering<'a> {
    pub(crate) fn new(tables: &'a BTreeMap<String, Table>, partitions: usize) -> Self {
        Self { tables, partitions, needs_order: Cell::new(false) }
    }

    /// The same, for a reader of the plan that depends on the order of its rows, or does not.
    fn plan_with_order(&self, plan: &Plan, conditions: &[Condition], needs_order: bool) -> Result<LogicalPlan> {
        let before = self.needs_order.replace(needs_order);
        let lowered = self.plan(plan, conditions);
        self.needs_order.set(before);
        lowered
    }

    /// The plan's columns under their ids. `conditions` hold for all rows that anyone will look at.
    pub(crate) fn plan(&self, plan: &Plan, conditions: &[Condition]) -> Result<LogicalPlan> {
        match plan {
            Plan::Scan { table, columns } => self.scan(table, columns, conditions),
            Plan::Values { columns, rows } => self.values(columns, rows),
            Plan::Filter { input, condition } => {
                let mut conditions = conditions.to_vec();
                conditions.extend(Condition::of(condition));
                let input = self.plan(input, &conditions)?;
                Ok(LogicalPlan::Filter(Filter::try_new(predicate(condition)?, Arc::new(input))?))
            }
            Plan::Project { input, columns } => {
                let below = renamed(conditions, |id| {
                    columns.iter().find(|(column, _)| *column.id == *id).and_then(|(_, value)| implied::id_of(value))
                });
                let input = self.plan(input, &below)?;
                let columns: Result<Vec<Native>> =
                    columns.iter().map(|(column, value)| Ok(expr(value)?.alias(&*column.id))).collect();
                project(input, columns?)
            }
            Plan::Aggregate { input, keys, aggregates } => self.aggregate(input, keys, aggregates, conditions),
            Plan::Sort { input, keys, limit } => {
                let below = if limit.is_none() { conditions } else { &[] };
                self.sort(input, keys, *limit, below)
            }
            Plan::Limit { input, rows } => {
                LogicalPlanBuilder::from(self.plan(input, &[])?).limit(0, Some(*rows))?.build()
            }
            Plan::Union { inputs, .. } => {
                let mut inputs = inputs
                    .iter()
                    .map(|input| self.plan_with_order(input, conditions, false).map(Arc::new))
                    .collect::<Result<Vec<Arc<LogicalPlan>>>>()?;
                match inputs.len() {
                    1 => Ok(Arc::unwrap_or_clone(inputs.swap_remove(0))),
                    _ => Ok(LogicalPlan::Union(Union::try_new(inputs)?)),
                }
            }
            Plan::Join { kind, left, right, keys } => self.join(*kind, (left, right), keys, conditions),
            Plan::Map { input, program, columns } => {
                let known = input.columns();
                let below = renamed(conditions, |id| {
                    let passes = columns.iter().any(|column| *column.id == *id);
                    known.iter().find(|column| passes && *column.id == *id).map(|column| Arc::clone(&column.id))
                });
                let rows = self.plan(input, &below)?;
                self.map(rows, program, columns)
            }
        }
    }

    fn scan(&self, name: &str, columns: &[(Arc<str>, PlanColumn)], conditions: &[Condition]) -> Result<LogicalPlan> {
        let table = self.tables.get(name);
        let table = table.ok_or_else(|| DataFusionError::Plan(format!("the table `{name}` is not registered")))?;
        let provider = table.provider();
        let schema = provider.schema();
        let relation = TableReference::bare(name);
        let stored = |name: &str| schema.field_with_name(name).ok().map(|field| field.data_type().clone());
        let at = |name: &str| Column::new(Some(relation.clone()), name);
        let find = |id: &str| {
            let (name, column) = columns.iter().find(|(_, column)| *column.id == *id)?;
            let day = table.day().filter(|(time, date)| *time == &**name && stored(date).is_some());
            let day = day.map(|(_, date)| at(date));
            Some(StoredColumn { column: at(name), stored: stored(name)?, ty: column.ty, day })
        };
        let filters: Vec<Native> = conditions.iter().filter_map(|condition| condition.native(&find)).collect();
        let mut plan =
            LogicalPlanBuilder::scan(relation.clone(), provider_as_source(Arc::clone(provider)), None)?.build()?;
        if let Some(filter) = filters.into_iter().reduce(Native::and) {
            plan = LogicalPlan::Filter(Filter::try_new(filter, Arc::new(plan))?);
        }
        let mut outputs = Vec::with_capacity(columns.len());
        for (name, column) in columns {
            let is_time = table.day().is_some_and(|(time, _)| *time == **name);
            let reading = Reading { ty: column.ty, within_years: is_time && column.ty == ColumnType::Datetime };
            let value = match stored(name) {
                None => Native::Literal(absent(column.ty)?, None),
                Some(stored) if reading.is_plain(&stored) => Native::Column(at(name)),
                Some(_) => scalar::stored(Native::Column(at(name)), reading),
            };
            outputs.push(value.alias(&*column.id));
        }
        if outputs.is_empty() {
            // Rows are counted by a column.
            outputs.push(lit(true).alias("rows"));
        }
        project(plan, outputs)
    }

    fn values(&self, columns: &[PlanColumn], rows: &RecordBatch) -> Result<LogicalPlan> {
        let fields: Vec<Field> =
            columns.iter().map(|column| Field::new(&*column.id, column.ty.arrow(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let arrays = columns.iter().zip(rows.columns()).map(|(column, array)| match column.ty {
            ColumnType::String => without_nulls(array),
            _ => Arc::clone(array),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays.collect(), &options)?;
        let part = rows.num_rows().div_ceil(self.partitions.max(1)).max(8192);
        let parts = (0..rows.num_rows()).step_by(part);
        let mut parts: Vec<Vec<RecordBatch>> =
            parts.map(|start| vec![rows.slice(start, part.min(rows.num_rows() - start))]).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let table = MemTable::try_new(schema, parts)?;
        let relation = TableReference::bare("values");
        let plan = LogicalPlanBuilder::scan(relation.clone(), provider_as_source(Arc::new(table)), None)?.build()?;
        let column =
            |column: &PlanColumn| Native::Column(Column::new(Some(relation.clone()), &*column.id)).alias(&*column.id);
        project(plan, columns.iter().map(column).collect())
    }

    fn aggregate(
        &self,
        input: &Plan,
        keys: &[(PlanColumn, Expr)],
        aggregates: &[(PlanColumn, Aggregation)],
        conditions: &[Condition],
    ) -> Result<LogicalPlan> {
        let below = renamed(conditions, |id| match keys.iter().find(|(column, _)| *column.id == *id)? {
            (_, Expr::Column(source)) => Some(Arc::clone(&source.id)),
            _ => None,
        });
        let is_ordered = |call: &Aggregation| {
            use AggregateFunction as Function;
            let function = call.function;
            matches!(function, Function::List | Function::ListWithNulls | Function::Set | Function::Bag | Function::Any)
        };
        let needs_order = aggregates.iter().any(|(_, call)| is_ordered(call));
        let input = self.plan_with_order(input, &below, needs_order)?;
        // Keys and arguments become columns first: then calls have simple names, and equal arguments are one column.
        let mut arguments = Arguments::default();
        for (key, value) in keys {
            arguments.columns.push(expr(value)?.alias(&*key.id));
        }
        let mut calls = Vec::with_capacity(aggregates.len());
        let mut outputs: Vec<Native> = keys.iter().map(|(key, _)| column(&key.id)).collect();
        for (output, aggregation) in aggregates {
            let mut argument = |value: &Option<Expr>| value.as_ref().map(|value| arguments.column(value)).transpose();
            let (value, carried) = (argument(&aggregation.value)?, argument(&aggregation.carried)?);
            let condition = argument(&aggregation.condition)?;
            let lowered = aggregate::lower(aggregation, value, carried, condition);
            outputs.push(lowered.value(column(&output.id))?.alias(&*output.id));
            calls.push(lowered.call.alias(&*output.id));
        }
        if arguments.columns.is_empty() {
            arguments.columns.push(lit(true).alias("rows"));
        }
        let input = project(input, arguments.columns)?;
        let groups = keys.iter().map(|(key, _)| column(&key.id)).collect();
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, calls)?);
        project(plan, outputs)
    }

    fn sort(
        &self,
        input: &Plan,
        keys: &[SortKey],
        limit: Option<usize>,
        conditions: &[Condition],
    ) -> Result<LogicalPlan> {
        let outputs: Vec<Native> = input.columns().iter().map(|found| column(&found.id)).collect();
        let mut plan = self.plan_with_order(input, conditions, false)?;
        let mut extended = Vec::new();
        let mut sorts = Vec::with_capacity(keys.len());
        for (number, key) in keys.iter().enumerate() {
            let mut value = expr(&key.value)?;
            if key.value.ty() == ColumnType::Dynamic {
                value = scalar::dynamic_order(value);
            }
            if !matches!(value, Native::Column(_)) {
                let id = format!("key{number}");
                extended.push(value.alias(&id));
                value = column(&id);
            }
            sorts.push(SortExpr::new(value, key.ascending, key.nulls_first));
        }
        let is_extended = !extended.is_empty();
        if is_extended {
            plan = project(plan, outputs.iter().cloned().chain(extended).collect())?;
        }
        plan = LogicalPlan::Sort(Sort { expr: sorts, input: Arc::new(plan), fetch: limit });
        if self.needs_order.get() {
            plan = LogicalPlan::Extension(Extension { node: Arc::new(Ordered::new(plan)) });
        }
        if is_extended { project(plan, outputs) } else { Ok(plan) }
    }

    fn join(
        &self,
        kind: JoinType,
        (left, right): (&Plan, &Plan),
        keys: &[(Expr, Expr)],
        conditions: &[Condition],
    ) -> Result<LogicalPlan> {
        let (left_columns, right_columns) = (left.columns(), right.columns());
        let of_side = |columns: &[PlanColumn]| {
            renamed(conditions, |id| {
                columns.iter().find(|column| *column.id == *id).map(|column| Arc::clone(&column.id))
            })
        };
        // A condition on a side that is filled up with nulls says nothing of the rows that were there.
        let (asks_left, asks_right) = match kind {
            JoinType::Inner => (true, true),
            JoinType::LeftOuter | JoinType::LeftSemi | JoinType::LeftAnti => (true, false),
            JoinType::RightOuter | JoinType::RightSemi | JoinType::RightAnti => (false, true),
            JoinType::FullOuter => (false, false),
        };
        let left_conditions = if asks_left { of_side(&left_columns) } else { Vec::new() };
        let right_conditions = if asks_right { of_side(&right_columns) } else { Vec::new() };
        let left_plan = self.plan_with_order(left, &left_conditions, false)?;
        let right_plan = self.plan_with_order(right, &right_conditions, false)?;
        let native = match kind {
            JoinType::Inner => NativeJoin::Inner,
            JoinType::LeftOuter => NativeJoin::Left,
            JoinType::RightOuter => NativeJoin::Right,
            JoinType::FullOuter => NativeJoin::Full,
            JoinType::LeftSemi => NativeJoin::LeftSemi,
            JoinType::LeftAnti => NativeJoin::LeftAnti,
            JoinType::RightSemi => NativeJoin::RightSemi,
            JoinType::RightAnti => NativeJoin::RightAnti,
        };
        let on = keys.iter().map(|(left, right)| Ok((expr(left)?, expr(right)?))).collect::<Result<Vec<_>>>()?;
        // Only an inner join may do without any condition.
        let filter = (on.is_empty() && kind != JoinType::Inner).then(|| lit(true));
        let plan = LogicalPlan::Join(Join::try_new(
            Arc::new(left_plan),
            Arc::new(right_plan),
            on,
            filter,
            native,
            JoinConstraint::On,
            NullEquality::NullEqualsNull,
            false,
        )?);
        let fills_left = matches!(kind, JoinType::RightOuter | JoinType::FullOuter);
        let fills_right = matches!(kind, JoinType::LeftOuter | JoinType::FullOuter);
        if !fills_left && !fills_right {
            return Ok(plan);
        }
        let text = Reading { ty: ColumnType::String, within_years: false };
        let side = |columns: Vec<PlanColumn>, filled: bool| {
            columns.into_iter().map(move |found| {
                let value = column(&found.id);
                let is_filled = filled && found.ty == ColumnType::String;
                if is_filled { scalar::stored(value, text).alias(&*found.id) } else { value }
            })
        };
        project(plan, side(left_columns, fills_left).chain(side(right_columns, fills_right)).collect())
    }

    fn map(&self, rows: LogicalPlan, program: &Arc<Program>, columns: &[PlanColumn]) -> Result<LogicalPlan> {
        let has = |id: &str| rows.schema().has_column_with_unqualified_name(id);
        let mut inputs: Vec<Native> = program.inputs().iter().filter(|id| has(id)).map(|id| column(id)).collect();
        if inputs.is_empty() {
            inputs.push(lit(true).alias("rows"));
        }
        let map = Map::new(project(rows, inputs)?, Arc::clone(program), columns.to_vec())?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(map) }))
    }
}

/// Columns that an aggregate's calls read.
#[derive(Default)]
struct Arguments {
    columns: Vec<Native>,
    known: Vec<(Native, String)>,
}

impl Arguments {
    /// The column that holds `value`.
    fn column(&mut self, value: &Expr) -> Result<Native> {
        let value = expr(value)?;
        if let Some((_, id)) = self.known.iter().find(|(known, _)| *known == value) {
            return Ok(column(id));
        }
        let id = format!("argument{}", self.known.len());
        self.columns.push(value.clone().alias(&id));
        self.known.push((value, id.clone()));
        Ok(column(&id))
    }
}

fn renamed(conditions: &[Condition], name: impl Fn(&str) -> Option<Arc<str>>) -> Vec<Condition> {
    conditions.iter().filter_map(|condition| condition.renamed(&name)).collect()
}

fn project(input: LogicalPlan, columns: Vec<Native>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?))
}

fn column(id: &str) -> Native {
    Native::Column(Column::new_unqualified(id))
}

/// The null of a type; the empty text of a string.
fn absent(ty: ColumnType) -> Result<ScalarValue> {
    match ty {
        ColumnType::String => Ok(ScalarValue::Utf8View(Some(String::new()))),
        ty => ScalarValue::try_from(&ty.arrow()),
    }
}

fn expr(expr: &Expr) -> Result<Native> {
    Ok(match expr {
        Expr::Column(found) => column(&found.id),
        Expr::Literal(value, ty) if value.is_null(0) => Native::Literal(absent(*ty)?, None),
        Expr::Literal(value, _) => Native::Literal(ScalarValue::try_from_array(value, 0)?, None),
        Expr::Call(kernel, args) => {
            let args = args.iter().map(self::expr).collect::<Result<Vec<_>>>()?;
            scalar::call(kernel, args)
        }
    })
}

/// A condition where null counts as false, in DataFusion's own terms as far as they mean the same.
fn predicate(condition: &Expr) -> Result<Native> {
    let Expr::Call(kernel, args) = condition else { return expr(condition) };
    match (kernel.name(), args.as_slice()) {
        ("and", [left, right]) => Ok(predicate(left)?.and(predicate(right)?)),
        ("or", [left, right]) => Ok(predicate(left)?.or(predicate(right)?)),
        (name, [left, right]) => {
            let (a, b) = (expr(left)?, expr(right)?);
            let is_native = left.ty() == right.ty();
            let native = is_native.then(|| exact(name, left.ty(), &a, &b)).flatten();
            native.map_or_else(|| expr(condition), Ok)
        }
        _ => expr(condition),
    }
}
