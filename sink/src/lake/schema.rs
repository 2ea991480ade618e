//! The columns of a table in the lake, and how Arrow columns become them.
//!
//! | KQL type | Delta | Parquet |
//! | --- | --- | --- |
//! | `bool`, `int`, `long`, `real` | `boolean`, `integer`, `long`, `double` | the same |
//! | `string`, `guid`, `dynamic` | `string` | UTF-8 |
//! | `datetime` | `timestamp` | microseconds, UTC |
//! | `timespan` | `long` | microseconds |
//! | bytes of dead letters | `binary` | bytes |
//!
//! `guid`, `dynamic` and `timespan` carry their name in the column's metadata, key `weir.type`, so that the reader gives
//! them back. All columns are nullable. A batch may lack columns (they are null) and may bring new ones, which are added
//! to the table; a column of a batch whose type is narrower than the table's is widened (`int` to `long` or `real`). Any
//! other difference is an error that names table and column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use deltalake::kernel::{DataType as DeltaType, MetadataValue, PrimitiveType, StructField, StructType};
use weir_contract::schema::{ColumnType, TYPE_KEY};

use crate::lake::layout::{self, DATE_COLUMN};
use crate::sink::SinkError;

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// One of KQL's types.
    Kql(ColumnType),
    /// Bytes.
    Binary,
}

/// A column of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LakeColumn {
    pub(crate) name: String,
    pub(crate) storage: Storage,
}

/// The columns of a table, without the partition column, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableColumns {
    columns: Vec<LakeColumn>,
    /// Index by lower-case name, since Delta's names are case-insensitive.
    by_name: HashMap<String, usize>,
    /// Names of the columns with statistics in the log; fixed when the table is created.
    indexed: Vec<String>,
}

/// The table property that names the columns with statistics.
///
/// We set it, since a reader takes a column within its default (the first 32) that lacks statistics in some file for a
/// column without nulls there: the deltalake package of Python does, and then finds wrong rows for `is not null`. JSON
/// text never has statistics, and columns that are added later lack them in the older files.
pub(crate) const INDEXED_PROPERTY: &str = "delta.dataSkippingStatsColumns";
/// Columns with statistics, as many as Delta's own default.
const INDEXED: usize = 32;

impl Storage {
    fn of_field(field: &Field) -> Option<Self> {
        match field.data_type() {
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Some(Self::Binary),
            _ => ColumnType::of_field(field).map(Self::Kql),
        }
    }

    fn of_delta(field: &StructField) -> Option<Self> {
        let DeltaType::Primitive(primitive) = field.data_type() else { return None };
        let tag = match field.metadata.get(TYPE_KEY) {
            Some(MetadataValue::String(tag)) => tag.parse::<ColumnType>().ok(),
            _ => None,
        };
        Some(match (primitive, tag) {
            (PrimitiveType::String, Some(ty @ (ColumnType::Dynamic | ColumnType::Guid))) => Self::Kql(ty),
            (PrimitiveType::Long, Some(ColumnType::Timespan)) => Self::Kql(ColumnType::Timespan),
            (PrimitiveType::String, _) => Self::Kql(ColumnType::String),
            (PrimitiveType::Long, _) => Self::Kql(ColumnType::Long),
            (PrimitiveType::Integer, _) => Self::Kql(ColumnType::Int),
            (PrimitiveType::Double, _) => Self::Kql(ColumnType::Real),
            (PrimitiveType::Boolean, _) => Self::Kql(ColumnType::Bool),
            (PrimitiveType::Timestamp, _) => Self::Kql(ColumnType::Datetime),
            (PrimitiveType::Binary, _) => Self::Binary,
            _ => return None,
        })
    }

    fn delta(self) -> DeltaType {
        match self {
            Self::Binary => DeltaType::BINARY,
            Self::Kql(ty) => match ty {
                ColumnType::Bool => DeltaType::BOOLEAN,
                ColumnType::Int => DeltaType::INTEGER,
                ColumnType::Long | ColumnType::Timespan => DeltaType::LONG,
                ColumnType::Real => DeltaType::DOUBLE,
                ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => DeltaType::STRING,
                ColumnType::Datetime => DeltaType::TIMESTAMP,
            },
        }
    }

    fn tag(self) -> Option<&'static str> {
        match self {
            Self::Kql(ty @ (ColumnType::Guid | ColumnType::Dynamic | ColumnType::Timespan)) => Some(ty.name()),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Kql(ty) => ty.name(),
        }
    }

    /// The type of the Parquet column, as Arrow names it.
    pub(crate) fn written(self) -> DataType {
        match self {
            Self::Binary => DataType::Binary,
            Self::Kql(ColumnType::Timespan) => DataType::Int64,
            Self::Kql(ty) => ty.arrow(),
        }
    }

    /// The Arrow field that the reader gives back.
    pub(crate) fn field(self, name: &str) -> Field {
        match self {
            Self::Binary => Field::new(name, DataType::Binary, true),
            Self::Kql(ty) => ty.field(name),
        }
    }

    /// The storage of a column that holds both, if `other` fits into `self` without loss.
    fn takes(self, other: Self) -> bool {
        use ColumnType::{Dynamic, Guid, Int, Long, Real, String};
        match (self, other) {
            (Self::Kql(table), Self::Kql(batch)) => {
                table == batch
                    || matches!((table, batch), (Long | Real, Int) | (String | Guid | Dynamic, String | Guid | Dynamic))
            }
            (table, batch) => table == batch,
        }
    }
}

impl TableColumns {
    /// The columns of a Delta table with this schema and these properties. Columns of types that the sink never writes
    /// are left out; they stay null.
    pub(crate) fn of_delta(schema: &StructType, properties: &HashMap<String, String>) -> Self {
        let mut columns = Self::default();
        for field in schema.fields().filter(|field| field.name() != DATE_COLUMN) {
            if let Some(storage) = Storage::of_delta(field) {
                columns.push(LakeColumn { name: field.name().clone(), storage });
            }
        }
        match properties.get(INDEXED_PROPERTY) {
            Some(names) => {
                columns.indexed = names.split(',').map(|name| name.trim_matches([' ', '`']).into()).collect()
            }
            None => columns.choose_indexed(),
        }
        columns
    }

    /// Chooses the columns with statistics for a new table: its datetimes, then others in their order.
    ///
    /// JSON text and bytes have none, nor have real numbers, whose infinities JSON can't hold.
    pub(crate) fn choose_indexed(&mut self) {
        let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_time = |column: &&LakeColumn| column.storage == Storage::Kql(ColumnType::Datetime);
        let suits = |column: &&LakeColumn| {
            plain(&column.name)
                && matches!(column.storage, Storage::Kql(ty) if !matches!(ty, ColumnType::Dynamic | ColumnType::Real))
        };
        let (times, others): (Vec<_>, Vec<_>) = self.columns.iter().filter(suits).partition(is_time);
        self.indexed = times.into_iter().chain(others).take(INDEXED).map(|column| column.name.clone()).collect();
    }

    /// The columns with statistics.
    pub(crate) fn indexed(&self) -> &[String] {
        &self.indexed
    }

    /// Whether there is no column at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LakeColumn> {
        self.columns.iter()
    }

    /// Adds the columns of a batch that the table lacks; true if there were any.
    ///
    /// Refuses columns of a type that does not fit the table's, of a nested type, or called as the partition column.
    pub(crate) fn admit(&mut self, table: &str, batch: &Schema) -> Result<bool, SinkError> {
        let refuse = |column: &str, message: String| {
            Err(SinkError::Schema { table: table.to_owned(), column: column.to_owned(), message })
        };
        let mut grown = false;
        for field in batch.fields() {
            let name = layout::column(field.name());
            if name.eq_ignore_ascii_case(DATE_COLUMN) {
                return refuse(
                    &name,
                    "the lake keeps this name for its partitions; give the column another one".into(),
                );
            }
            let Some(storage) = Storage::of_field(field) else {
                let message = format!("the lake has no column type for `{}`", field.data_type());
                return refuse(&name, message);
            };
            match self.by_name.get(&name.to_lowercase()).map(|index| &self.columns[*index]) {
                None => {
                    self.push(LakeColumn { name: name.into_owned(), storage });
                    grown = true;
                }
                Some(known) if known.name != name => {
                    let message = format!(
                        "the table has `{}` already, and Delta does not tell names by case alone; rename one",
                        known.name
                    );
                    return refuse(&name, message);
                }
                Some(known) if !known.storage.takes(storage) => {
                    let message = format!(
                        "the table holds `{}` and the batch `{}`; cast it in the mapping, or give it another name",
                        known.storage.name(),
                        storage.name()
                    );
                    return refuse(&name, message);
                }
                Some(_) => {}
            }
        }
        Ok(grown)
    }

    /// Whether a batch of this schema brings no column that is missing here.
    pub(crate) fn covers(&self, batch: &Schema) -> bool {
        batch.fields().iter().all(|field| self.by_name.contains_key(&layout::column(field.name()).to_lowercase()))
    }

    /// Adds the columns of `other` that are missing here; true if there were any.
    pub(crate) fn merge(&mut self, table: &str, other: &Self) -> Result<bool, SinkError> {
        let fields: Vec<Field> = other.columns.iter().map(|column| column.storage.field(&column.name)).collect();
        self.admit(table, &Schema::new(fields))
    }

    /// The schema of the Parquet files.
    pub(crate) fn written(&self) -> SchemaRef {
        let fields: Vec<Field> =
            self.columns.iter().map(|column| Field::new(&column.name, column.storage.written(), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// The Delta fields, with the partition column last.
    pub(crate) fn delta_fields(&self) -> Vec<StructField> {
        let fields = self.columns.iter().map(|column| {
            let field = StructField::nullable(column.name.as_str(), column.storage.delta());
            match column.storage.tag() {
                Some(tag) => field.with_metadata([(TYPE_KEY, tag)]),
                None => field,
            }
        });
        fields.chain([StructField::nullable(DATE_COLUMN, DeltaType::DATE)]).collect()
    }

    /// The batch's columns in the order and types of [`TableColumns::written`]; `None` stands for an all-null column.
    pub(crate) fn arrange(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, arrow::error::ArrowError> {
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; self.columns.len()];
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(index) = self.by_name.get(&layout::column(field.name()).to_lowercase()) {
                arrays[*index] = Some(to_written(array, self.columns[*index].storage)?);
            }
        }
        let rows = batch.num_rows();
        let filled = arrays.into_iter().zip(&self.columns);
        Ok(filled
            .map(|(array, column)| array.unwrap_or_else(|| new_null_array(&column.storage.written(), rows)))
            .collect())
    }

    fn push(&mut self, column: LakeColumn) {
        self.by_name.insert(column.name.to_lowercase(), self.columns.len());
        self.columns.push(column);
    }
}

fn to_written(array: &ArrayRef, storage: Storage) -> Result<ArrayRef, arrow::error::ArrowError> {
    let wanted = storage.written();
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    if let DataType::Duration(unit) = array.data_type() {
        let micros = match unit {
            TimeUnit::Microsecond => Arc::clone(array),
            _ => cast(array, &DataType::Duration(TimeUnit::Microsecond))?,
        };
        return cast(&micros, &DataType::Int64);
    }
    cast(array, &wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_contract::schema::{Column, TableSchema};

    fn schema(columns: &[(&str, ColumnType)]) -> SchemaRef {
        TableSchema { name: "T".into(), columns: columns.iter().map(|(name, ty)| Column::new(name, *ty)).collect() }
            .arrow()
    }

    #[test]
    fn every_type_survives_the_way_through_the_delta_schema() {
        use ColumnType::*;
        let all = [Bool, Int, Long, Real, String, Datetime, Timespan, Guid, Dynamic];
        let names: Vec<_> = all.iter().map(|ty| ty.name()).collect();
        let mut columns = TableColumns::default();
        let batch = schema(&names.iter().copied().zip(all).collect::<Vec<_>>());
        assert!(columns.admit("T", &batch).expect("admitted"));
        columns.choose_indexed();
        assert_eq!(columns.indexed(), ["datetime", "bool", "int", "long", "string", "timespan", "guid"]);
        let delta = StructType::try_new(columns.delta_fields()).expect("a schema");
        let properties = HashMap::from([(INDEXED_PROPERTY.to_owned(), columns.indexed().join(","))]);
        assert_eq!(TableColumns::of_delta(&delta, &properties), columns);
    }

    #[test]
    fn new_columns_are_added_once_and_narrow_ones_fit() {
        let mut columns = TableColumns::default();
        assert!(columns.admit("T", &schema(&[("A", ColumnType::Long)])).expect("new"));
        assert!(!columns.admit("T", &schema(&[("A", ColumnType::Int)])).expect("narrower"));
        assert!(columns.admit("T", &schema(&[("B", ColumnType::Dynamic)])).expect("new"));
        assert_eq!(columns.written().fields().len(), 2);
    }

    #[test]
    fn a_type_conflict_names_table_and_column() {
        let mut columns = TableColumns::default();
        columns.admit("T", &schema(&[("A", ColumnType::Long)])).expect("new");
        let error = columns.admit("T", &schema(&[("A", ColumnType::String)])).expect_err("conflict").to_string();
        assert!(
            error.contains("`A` of table `T`") && error.contains("`long`") && error.contains("`string`"),
            "{error}"
        );
        assert!(columns.admit("T", &schema(&[("a", ColumnType::Long)])).is_err());
        assert!(columns.admit("T", &schema(&[("EventDate", ColumnType::Datetime)])).is_err());
    }
}
