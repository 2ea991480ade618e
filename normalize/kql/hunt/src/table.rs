//! A stored table: where its rows are, and what their columns are in KQL.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;
use weir_contract::schema::{Column, ColumnType, TableSchema};

use crate::error::HuntError;
use crate::nested;

/// A table that queries may name.
#[derive(Clone)]
pub struct Table {
    schema: TableSchema,
    provider: Arc<dyn TableProvider>,
    day: Option<(Arc<str>, Arc<str>)>,
}

impl Table {
    /// The table `schema.name`, whose rows `provider` has. Columns are found there by name, and read as the types of
    /// `schema`; a column that the provider lacks is null in every row.
    pub fn new(schema: TableSchema, provider: Arc<dyn TableProvider>) -> Self {
        Self { schema, provider, day: None }
    }

    /// The same with all columns of the provider, and the KQL types that fit their Arrow types: those of
    /// [`ColumnType::of_field`]; decimals are reals, lists and structs dynamic, bytes texts.
    ///
    /// # Errors
    ///
    /// A column of any other type.
    pub fn of_provider(name: &str, provider: Arc<dyn TableProvider>) -> Result<Self, HuntError> {
        let mut columns = Vec::new();
        for field in provider.schema().fields() {
            let ty = column_type(field).ok_or_else(|| HuntError::ColumnType {
                table: name.to_owned(),
                column: field.name().clone(),
                found: field.data_type().to_string(),
            })?;
            columns.push(Column::new(field.name(), ty));
        }
        Ok(Self::new(TableSchema { name: name.into(), columns }, provider))
    }

    /// A table whose rows are in memory, one batch after the other. All batches have the same fields, which are read as
    /// [`Table::new`] says.
    ///
    /// # Errors
    ///
    /// A batch has other fields than the first.
    pub fn of_rows(schema: TableSchema, batches: Vec<RecordBatch>) -> Result<Self, HuntError> {
        let fields = batches.first().map_or_else(|| schema.arrow(), RecordBatch::schema);
        let table = MemTable::try_new(fields, vec![batches]).map_err(HuntError::Setup)?;
        Ok(Self::new(schema, Arc::new(table)))
    }

    /// The rows of one Parquet file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no Parquet, or has a column that no KQL type stands for.
    pub async fn of_parquet(name: &str, path: &Path) -> Result<Self, HuntError> {
        let failed = |source| HuntError::File { path: path.to_owned(), source };
        let full = path.canonicalize().map_err(|error| failed(error.into()))?;
        let url = ListingTableUrl::parse(full.display().to_string()).map_err(failed)?;
        let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
        let state = SessionContext::new().state();
        let schema = options.infer_schema(&state, &url).await.map_err(failed)?;
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
        Self::of_provider(name, Arc::new(ListingTable::try_new(config).map_err(failed)?))
    }

    /// Says that the stored column `date` (a date) holds the UTC day of each row's `time`, for all times of the years 1
    /// to 9999: what a query asks of `time`, its scan may ask of `date`. Times outside those years are null to a query.
    #[must_use]
    pub fn partitioned_by_day(mut self, time: &str, date: &str) -> Self {
        self.day = Some((time.into(), date.into()));
        self
    }

    /// Name and columns.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    pub(crate) fn provider(&self) -> &Arc<dyn TableProvider> {
        &self.provider
    }

    /// The time column, and the column with its day.
    pub(crate) fn day(&self) -> Option<(&str, &str)> {
        self.day.as_ref().map(|(time, date)| (&**time, &**date))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("schema", &self.schema).field("day", &self.day).finish_non_exhaustive()
    }
}

fn column_type(field: &Field) -> Option<ColumnType> {
    if let Some(ty) = ColumnType::of_field(field) {
        return Some(ty);
    }
    match field.data_type() {
        DataType::Dictionary(_, value) => column_type(&Field::new(field.name(), (**value).clone(), true)),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Some(ColumnType::Real)
        }
        DataType::Time32(_) | DataType::Time64(_) => Some(ColumnType::String),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null => Some(ColumnType::String),
        ty if ty.is_nested() && nested::is_readable(ty) => Some(ColumnType::Dynamic),
        _ => None,
    }
}
