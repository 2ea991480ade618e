//! Reading the lake back: what tables there are, and their rows.
//!
//! For `weir replay`, which feeds a raw table through the pipeline again, and for summaries and tests. It reads the
//! newest version of a table, one file after the other; a file is held in memory whole while its rows are decoded.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use deltalake::DeltaTableError;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::delta_datafusion::TableProviderBuilder;
use deltalake::kernel::Snapshot;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use tokio::sync::mpsc;

use weir_contract::datetime::{DAY_US, parse_iso};
use weir_contract::schema::{Column, ColumnType, TableSchema};

use crate::lake::config::LakeConfig;
use crate::lake::error::from_delta;
use crate::lake::layout::DATE_COLUMN;
use crate::lake::schema::{LakeColumn, Storage, TableColumns};
use crate::lake::store::{LakeStore, TableStore};
use crate::sink::SinkError;

/// Decoded batches that wait for the caller.
const QUEUE: usize = 2;

/// A lake, to be read.
#[derive(Debug, Clone)]
pub struct Lake {
    store: LakeStore,
}

/// One version of a table.
#[derive(Debug, Clone)]
pub struct LakeTable {
    name: String,
    store: TableStore,
    version: u64,
    columns: TableColumns,
    files: Vec<LakeFile>,
}

/// One file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeFile {
    /// Path below the table.
    pub path: String,
    /// Bytes of Parquet.
    pub bytes: u64,
    /// Rows, if the log says so.
    pub rows: Option<u64>,
    /// The day of the file's rows, `YYYY-MM-DD`.
    pub date: Option<String>,
}

impl Lake {
    /// The lake that `config` names; touches neither disk nor network.
    pub fn open(config: &LakeConfig) -> Result<Self, SinkError> {
        Ok(Self { store: LakeStore::open(config)? })
    }

    #[cfg(test)]
    pub(crate) fn with_store(store: LakeStore) -> Self {
        Self { store }
    }

    /// The names of its tables, sorted; none if the lake does not exist.
    pub async fn tables(&self) -> Result<Vec<String>, SinkError> {
        self.store.tables().await
    }

    /// The newest version of the table called `name`; `None` if there is no such table.
    pub async fn table(&self, name: &str) -> Result<Option<LakeTable>, SinkError> {
        let store = self.store.table(name);
        let log = store.log();
        let url = store.url();
        let failed = |error| from_delta("read the log of", url.as_str(), error);
        if !store.exists().await? {
            return Ok(None);
        }
        let snapshot = Snapshot::try_new(log.as_ref(), None).await.map_err(failed)?;
        let mut views = snapshot.file_views(log.as_ref(), None);
        let mut files = Vec::new();
        while let Some(view) = views.try_next().await.map_err(failed)? {
            let date = view.partition_values_map().remove(DATE_COLUMN).flatten();
            files.push(LakeFile {
                path: view.path().into_owned(),
                bytes: u64::try_from(view.size()).unwrap_or(0),
                rows: view.num_records().map(|rows| rows as u64),
                date,
            });
        }
        drop(views);
        files.sort_by(|a, b| (&a.date, &a.path).cmp(&(&b.date, &b.path)));
        let columns = TableColumns::of_delta(&snapshot.schema(), snapshot.metadata().configuration());
        Ok(Some(LakeTable { name: name.to_owned(), store, version: snapshot.version(), columns, files }))
    }

    /// The newest version of the table called `name`, for DataFusion; `None` if there is no such table. Which files it has
    /// is read when a query scans it.
    pub async fn queryable(&self, name: &str) -> Result<Option<QueryableTable>, SinkError> {
        let store = self.store.table(name);
        let log = store.log();
        let url = store.url();
        if !store.exists().await? {
            return Ok(None);
        }
        let snapshot = Snapshot::try_new(log.as_ref(), None)
            .await
            .map_err(|error| from_delta("read the log of", url.as_str(), error))?;
        let columns = TableColumns::of_delta(&snapshot.schema(), snapshot.metadata().configuration());
        let columns = columns.iter().map(|column| match column.storage {
            Storage::Kql(ty) => Column::new(&column.name, ty),
            Storage::Binary => Column::new(&column.name, ColumnType::String),
        });
        let schema = TableSchema { name: name.into(), columns: columns.collect() };
        let provider = TableProviderBuilder::default().with_log_store(log).with_snapshot(snapshot);
        let provider = provider.build().await.map_err(|error| {
            from_delta("read the log of", url.as_str(), DeltaTableError::generic(error.to_string()))
        })?;
        Ok(Some(QueryableTable { schema, provider: Arc::new(provider) }))
    }
}

/// The newest version of a table, for DataFusion.
#[derive(Debug, Clone)]
pub struct QueryableTable {
    /// Name and columns, without `EventDate`. Bytes, which KQL has not, are texts.
    pub schema: TableSchema,
    /// Reads the rows. It skips files by the table's partitions and statistics.
    pub provider: Arc<dyn TableProvider>,
}

impl LakeTable {
    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that this is.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Its files, by day.
    pub fn files(&self) -> &[LakeFile] {
        &self.files
    }

    /// Rows of all its files, as the log counts them.
    pub fn rows(&self) -> u64 {
        self.files.iter().filter_map(|file| file.rows).sum()
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The schema of [`LakeTable::read`]: the types of [`weir_contract::schema`], and `EventDate` (`Date32`) last.
    pub fn schema(&self) -> SchemaRef {
        let columns = self.columns.iter().map(|column| column.storage.field(&column.name));
        let fields: Vec<Field> = columns.chain([Field::new(DATE_COLUMN, DataType::Date32, true)]).collect();
        Arc::new(Schema::new(fields))
    }

    /// Its rows, by day, in batches of at most `batch_rows`. Ends after the first error.
    pub fn read(&self, batch_rows: usize) -> impl Stream<Item = Result<RecordBatch, SinkError>> + Send + use<> {
        let (batches, received) = mpsc::channel(QUEUE);
        let table = self.clone();
        tokio::spawn(async move {
            if let Err(error) = table.send_all(batch_rows, &batches).await {
                // A caller that is gone needs no error.
                let _ = batches.send(Err(error)).await;
            }
        });
        futures::stream::unfold(received, |mut received| async { received.recv().await.map(|item| (item, received)) })
            .boxed()
    }

    async fn send_all(
        &self,
        batch_rows: usize,
        batches: &mpsc::Sender<Result<RecordBatch, SinkError>>,
    ) -> Result<(), SinkError> {
        for file in &self.files {
            let bytes = self.store.get(&Path::from_iter(file.path.split('/'))).await?;
            let decoder =
                Decoder { schema: self.schema(), columns: self.columns.clone(), date: day_of(file), batch_rows };
            let sender = batches.clone();
            let decoded = tokio::task::spawn_blocking(move || decoder.run(bytes, &sender))
                .await
                .map_err(|error| SinkError::encode(&self.name, error))?;
            let goes_on = decoded.map_err(|error| SinkError::Refused {
                operation: "read",
                target: format!("{}{}", self.store.url(), file.path),
                advice: "the file is damaged or not one of Weir's; restore it, or remove it from the table".into(),
                source: error.into(),
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}

struct Decoder {
    schema: SchemaRef,
    columns: TableColumns,
    date: Option<i32>,
    batch_rows: usize,
}

impl Decoder {
    /// Sends the file's rows; false if nobody wants more.
    fn run(
        &self,
        bytes: Bytes,
        batches: &mpsc::Sender<Result<RecordBatch, SinkError>>,
    ) -> Result<bool, parquet::errors::ParquetError> {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?
            .with_batch_size(self.batch_rows.max(1))
            .build()?;
        for batch in reader {
            let batch = self.shape(&batch?)?;
            if batches.blocking_send(Ok(batch)).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn shape(&self, batch: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let mut arrays = given_back(&self.columns, batch)?;
        arrays.push(Arc::new(Date32Array::from(vec![self.date; batch.num_rows()])));
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }
}

/// The columns of rows out of a file, in the types of [`weir_contract::schema`]; those that the file lacks are null.
pub(super) fn given_back(
    columns: &TableColumns,
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>, arrow::error::ArrowError> {
    let given_back = |column: &LakeColumn| match batch.column_by_name(&column.name) {
        Some(array) => give_back(array, column.storage),
        None => Ok(new_null_array(column.storage.field(&column.name).data_type(), batch.num_rows())),
    };
    columns.iter().map(given_back).collect()
}

fn give_back(array: &ArrayRef, storage: Storage) -> Result<ArrayRef, arrow::error::ArrowError> {
    let wanted = storage.field("").data_type().clone();
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    if let DataType::Duration(_) = wanted {
        return cast(&cast(array, &DataType::Int64)?, &DataType::Duration(TimeUnit::Microsecond));
    }
    cast(array, &wanted)
}

fn day_of(file: &LakeFile) -> Option<i32> {
    let micros = parse_iso(file.date.as_deref()?)?;
    i32::try_from(micros.div_euclid(DAY_US)).ok()
}
