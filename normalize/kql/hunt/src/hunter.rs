//! The engine: tables by name, a bound of memory, and queries over them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::displayable;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use weir_contract::schema::{Column, TableSchema};
use weir_kql::compile_plan;
use weir_kql::plan::{BoundQuery, Host, Plan, PlanColumn};
use weir_kql::{Catalog, Diagnostic};

use crate::error::HuntError;
use crate::lower::Lowering;
use crate::planner::Planner;
use crate::table::Table;

/// Planning goes down the plan level by level: room for a few thousand operators.
const PLANNER_STACK: usize = 64 << 20;
/// Consumers of memory that an error names.
const TOLD: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// What a [`Hunter`] may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most bytes that sorts, groups and joins hold at one time (default 1 GiB). Sorts and groups go to disk beyond it.
    pub memory_bytes: usize,
    /// How many parts of a table are read side by side (default: one per core).
    pub partitions: usize,
    /// Rows of a batch (default 8192).
    pub batch_rows: usize,
    /// Where rows go that do not fit into memory (default: the system's folder for temporary files).
    pub spill_folder: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        let partitions = std::thread::available_parallelism().map_or(2, usize::from);
        Self { memory_bytes: 1 << 30, partitions, batch_rows: 8192, spill_folder: None }
    }
}

/// Tables, and queries over them. A clone shares the bound of memory.
#[derive(Clone)]
pub struct Hunter {
    context: SessionContext,
    settings: Settings,
    tables: BTreeMap<String, Table>,
}

/// The rows of a query, as they come.
pub struct Answer {
    /// Names and KQL types of the columns.
    pub schema: TableSchema,
    /// Batches of exactly these columns. Ends after the first error.
    pub rows: BoxStream<'static, Result<RecordBatch, HuntError>>,
}

impl Hunter {
    /// No tables yet.
    ///
    /// # Errors
    ///
    /// The spill folder cannot be used.
    pub fn new(settings: Settings) -> Result<Self, HuntError> {
        let pool = TrackConsumersPool::new(FairSpillPool::new(settings.memory_bytes), TOLD);
        let disk = match &settings.spill_folder {
            None => DiskManagerMode::OsTmpDirectory,
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
            .build_arc()
            .map_err(HuntError::Setup)?;
        let mut config = SessionConfig::new()
            .with_target_partitions(settings.partitions.max(1))
            .with_batch_size(settings.batch_rows.max(1));
        // Rows in an order must stay in it on their way out, whatever is computed of them.
        config.options_mut().optimizer.enable_round_robin_repartition = false;
        config.options_mut().execution.parquet.pushdown_filters = true;
        // What each sort keeps back for merging what it spilled must leave room to sort in.
        let share = settings.memory_bytes / (8 * settings.partitions.max(1));
        config.options_mut().execution.sort_spill_reservation_bytes = share.clamp(64 << 10, 10 << 20);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_query_planner(Arc::new(Planner))
            .build();
        Ok(Self { context: SessionContext::new_with_state(state), settings, tables: BTreeMap::new() })
    }

    /// Adds a table under its name, or replaces the one of that name.
    pub fn register(&mut self, table: Table) {
        self.tables.insert(table.schema().name.to_string(), table);
    }

    /// The tables, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    /// What scans run in: their object stores are registered here.
    pub fn runtime(&self) -> Arc<RuntimeEnv> {
        self.context.runtime_env()
    }

    /// Binds a query. What it evaluates once (`toscalar`, `in (table)`, `materialize`) is run meanwhile, on a thread that
    /// may wait for it. `now_micros`: the time that `now()` is, in microseconds since 1970 UTC.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the query, with its place there.
    pub async fn compile(
        &self,
        query: &str,
        catalog: &Arc<Catalog>,
        now_micros: i64,
    ) -> Result<BoundQuery, Vec<Diagnostic>> {
        let session = Binding { hunter: self.clone(), runtime: Handle::current() };
        let (query, catalog) = (query.to_owned(), Arc::clone(catalog));
        let bound = tokio::task::spawn_blocking(move || compile_plan(&query, &session, &catalog, now_micros));
        match bound.await {
            Ok(bound) => bound,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Starts a bound query.
    pub async fn run(&self, query: &BoundQuery) -> Result<Answer, HuntError> {
        let columns: Vec<PlanColumn> = query.output.iter().map(|(column, _)| column.clone()).collect();
        let named = query.output.iter().map(|(column, name)| Column::new(name, column.ty)).collect();
        let schema = TableSchema { name: "".into(), columns: named };
        let arrow = schema.arrow();
        let rows = self.stream(&query.plan, columns).await?;
        let rows = rows.map(move |batch| {
            let batch = batch?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&arrow), batch.columns().to_vec(), &options)
                .map_err(|error| HuntError::Run(error.into()))
        });
        Ok(Answer { schema, rows: rows.boxed() })
    }

    /// DataFusion's plan of a bound query, as text: for people, and for tests of what is skipped.
    pub async fn explain(&self, query: &BoundQuery) -> Result<String, HuntError> {
        let plan = self.physical(&query.plan).await?;
        Ok(displayable(plan.as_ref()).indent(false).to_string())
    }

    /// DataFusion's plan of a bound query after it ran to its end, with what its parts counted: files and row groups
    /// that were skipped, rows that came out.
    pub async fn analyze(&self, query: &BoundQuery) -> Result<String, HuntError> {
        let plan = self.physical(&query.plan).await?;
        let failed = |error| HuntError::of_run(error, self.settings.memory_bytes);
        let rows = execute_stream(Arc::clone(&plan), self.context.task_ctx()).map_err(failed)?;
        rows.try_for_each(|_| async { Ok(()) }).await.map_err(failed)?;
        let shown = datafusion::physical_plan::display::DisplayableExecutionPlan::with_metrics(plan.as_ref());
        Ok(shown.indent(true).to_string())
    }

    /// Batches with the fields `columns`, picked out of the plan's.
    async fn stream(
        &self,
        plan: &Arc<Plan>,
        columns: Vec<PlanColumn>,
    ) -> Result<BoxStream<'static, Result<RecordBatch, HuntError>>, HuntError> {
        let plan = self.physical(plan).await?;
        let memory = self.settings.memory_bytes;
        let rows = execute_stream(plan, self.context.task_ctx()).map_err(|error| HuntError::of_run(error, memory))?;
        let picked = rows.map(move |batch| {
            let batch = batch.map_err(|error| HuntError::of_run(error, memory))?;
            let schema = batch.schema();
            let places: Result<Vec<usize>, _> = columns.iter().map(|column| schema.index_of(&column.id)).collect();
            places.and_then(|places| batch.project(&places)).map_err(|error| HuntError::Run(error.into()))
        });
        Ok(picked.boxed())
    }

    /// Plans on a thread with a stack of its own.
    async fn physical(&self, plan: &Arc<Plan>) -> Result<Arc<dyn ExecutionPlan>, HuntError> {
        let (hunter, plan, runtime) = (self.clone(), Arc::clone(plan), Handle::current());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let work = move || {
            let lowering = Lowering::new(&hunter.tables, hunter.settings.partitions);
            let planned = lowering.plan(&plan, &[]).and_then(|plan| {
                let state = hunter.context.state();
                runtime.block_on(state.create_physical_plan(&plan))
            });
            let _ = sender.send(planned);
        };
        std::thread::Builder::new()
            .name("weir-planner".to_owned())
            .stack_size(PLANNER_STACK)
            .spawn(work)
            .map_err(|error| HuntError::Setup(error.into()))?;
        let failed = "the planner stopped before it was done";
        let planned = receiver.await.map_err(|_| datafusion::common::DataFusionError::Internal(failed.to_owned()));
        planned.and_then(|planned| planned).map_err(HuntError::Plan)
    }

    /// All rows of a plan, in one batch of its columns.
    async fn collect(&self, plan: &Arc<Plan>, limit: usize) -> Result<RecordBatch, HuntError> {
        let columns = plan.columns();
        let fields = columns.iter().map(|column| Field::new(&*column.id, column.ty.arrow(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let limited = Arc::new(Plan::Limit { input: Arc::clone(plan), rows: limit.saturating_add(1) });
        let mut rows = self.stream(&limited, columns).await?;
        let mut batches = Vec::new();
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            count += batch.num_rows();
            if count > limit {
                return Err(HuntError::TooManyRows { limit });
            }
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options);
            batches.push(batch.map_err(|error| HuntError::Run(error.into()))?);
        }
        concat_batches(&schema, &batches).map_err(|error| HuntError::Run(error.into()))
    }
}

/// A query that is being bound, on a thread that may block.
struct Binding {
    hunter: Hunter,
    runtime: Handle,
}

impl Host for Binding {
    fn table(&self, name: &str) -> Option<TableSchema> {
        self.hunter.tables.get(name).map(|table| table.schema().clone())
    }

    fn table_names(&self) -> Vec<String> {
        self.hunter.tables.keys().cloned().collect()
    }

    fn rows(&self, plan: &Arc<Plan>, limit: usize) -> Result<RecordBatch, String> {
        self.runtime.block_on(self.hunter.collect(plan, limit)).map_err(|error| error.with_causes())
    }
}
