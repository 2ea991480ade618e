//! Programs over the batches of a plan: `parse`, `mv-expand`, `mv-apply`, `lookup` of constants.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};
use futures::StreamExt;
use weir_contract::schema::ColumnType;
use weir_kql::Program;
use weir_kql::plan::PlanColumn;

use crate::scalar::without_nulls;

/// The logical node.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    input: LogicalPlan,
    program: Arc<Program>,
    columns: Vec<PlanColumn>,
    schema: DFSchemaRef,
}

impl Map {
    /// `program` over the batches of `input`, whose columns are called by their ids. It gives `columns`.
    pub(crate) fn new(input: LogicalPlan, program: Arc<Program>, columns: Vec<PlanColumn>) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from(arrow_schema(&columns).as_ref().clone())?);
        Ok(Self { input, program, columns, schema })
    }
}

impl Map {
    /// The physical node over `input`.
    pub(crate) fn physical(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(MapExec::new(input, Arc::clone(&self.program), self.columns.clone()))
    }
}

fn arrow_schema(columns: &[PlanColumn]) -> SchemaRef {
    let fields = columns.iter().map(|column| Field::new(&*column.id, column.ty.arrow(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.program, &other.program) && self.columns == other.columns && self.input == other.input
    }
}

impl Eq for Map {}

impl PartialOrd for Map {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for Map {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.columns.hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Map {
    fn name(&self) -> &str {
        "Map"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    /// A column that passes through has its row's value, so a condition on it may be asked before.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let is_new = |column: &&PlanColumn| !self.input.schema().has_column_with_unqualified_name(&column.id);
        self.columns.iter().filter(is_new).map(|column| column.id.to_string()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map: {}", self.columns.iter().map(|column| &*column.id).collect::<Vec<_>>().join(", "))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.pop().ok_or_else(|| DataFusionError::Internal("a map has one input".into()))?;
        Ok(Self { input, ..self.clone() })
    }
}

/// The physical node: every partition by itself, rows in their order.
#[derive(Debug)]
struct MapExec {
    input: Arc<dyn ExecutionPlan>,
    program: Arc<Program>,
    columns: Vec<PlanColumn>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MapExec {
    fn new(input: Arc<dyn ExecutionPlan>, program: Arc<Program>, columns: Vec<PlanColumn>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(arrow_schema(&columns)),
            Partitioning::UnknownPartitioning(partitions),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, program, columns, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for MapExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapExec: {}", self.columns.iter().map(|column| &*column.id).collect::<Vec<_>>().join(", "))
    }
}

impl ExecutionPlan for MapExec {
    fn name(&self) -> &'static str {
        "MapExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or_else(|| DataFusionError::Internal("a map has one input".into()))?;
        Ok(Arc::new(Self::new(input, Arc::clone(&self.program), self.columns.clone())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let recompute = datafusion::physical_plan::execution_plan::ChildrenPropertiesMode::Recompute;
        self.replace_children(children, ReplaceChildrenOptions::new(recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let schema = arrow_schema(&self.columns);
        let (program, columns) = (Arc::clone(&self.program), self.columns.clone());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (given, types) = (Arc::clone(&schema), columns);
        let rows = input.map(move |batch| {
            let batch = batch?;
            let _timer = metrics.elapsed_compute().timer();
            let result = run(&program, &batch, &given, &types)?;
            metrics.record_output(result.num_rows());
            Ok(result)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

fn run(program: &Program, batch: &RecordBatch, schema: &SchemaRef, columns: &[PlanColumn]) -> Result<RecordBatch> {
    let result = program.run(batch).map_err(|error| DataFusionError::External(error.into()))?;
    let arrays: Vec<ArrayRef> = result
        .columns()
        .iter()
        .zip(columns)
        .map(|(array, column)| if column.ty == ColumnType::String { without_nulls(array) } else { Arc::clone(array) })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(result.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}
