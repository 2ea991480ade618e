//! Column types of raw and ASIM tables, and how Arrow holds them.
//!
//! The types are KQL's (<https://learn.microsoft.com/kusto/query/scalar-data-types/>). In Arrow:
//!
//! | type | Arrow | null |
//! | --- | --- | --- |
//! | `bool` | `Boolean` | yes |
//! | `int` | `Int32` | yes |
//! | `long` | `Int64` | yes |
//! | `real` | `Float64` | yes |
//! | `string` | `Utf8View` | a null means the empty text |
//! | `guid` | `Utf8View`, field metadata `weir.type` = `guid` | yes |
//! | `dynamic` | `Utf8View` of JSON text, field metadata `weir.type` = `dynamic` | yes |
//! | `datetime` | `Timestamp(Microsecond, "UTC")` | yes |
//! | `timespan` | `Duration(Microsecond)` | yes |
//!
//! Microseconds cover the years 1 to 9999, as Kusto does; nanoseconds would end in 2262. The seventh fractional digit
//! of a Defender timestamp (100 ns) is cut off.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The field metadata key that tells `dynamic` and `guid` from plain text.
pub const TYPE_KEY: &str = "weir.type";

/// A KQL scalar type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `bool`
    Bool,
    /// `int`, 32 bits
    Int,
    /// `long`, 64 bits
    Long,
    /// `real` (also written `double`)
    Real,
    /// `string`
    String,
    /// `datetime`, microseconds since 1970 UTC
    Datetime,
    /// `timespan`, microseconds
    Timespan,
    /// `guid`, kept as text
    Guid,
    /// `dynamic`, kept as JSON text
    Dynamic,
}

/// A named, typed column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name, case-sensitive.
    pub name: Arc<str>,
    /// Type.
    pub ty: ColumnType,
}

/// A table's name and columns, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Table name, case-sensitive.
    pub name: Arc<str>,
    /// Columns in order.
    pub columns: Vec<Column>,
}

/// A type name that is not one of KQL's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no column type; expected bool, int, long, real, string, datetime, timespan, guid or dynamic")]
pub struct UnknownType(pub String);

impl ColumnType {
    /// The KQL name, as `getschema` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Long => "long",
            Self::Real => "real",
            Self::String => "string",
            Self::Datetime => "datetime",
            Self::Timespan => "timespan",
            Self::Guid => "guid",
            Self::Dynamic => "dynamic",
        }
    }

    /// The Arrow type that holds a column of this type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Real => DataType::Float64,
            Self::String | Self::Guid | Self::Dynamic => DataType::Utf8View,
            Self::Datetime => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Timespan => DataType::Duration(TimeUnit::Microsecond),
        }
    }

    /// A nullable Arrow field of this type, tagged where Arrow's type alone does not tell.
    pub fn field(self, name: &str) -> Field {
        let field = Field::new(name, self.arrow(), true);
        match self {
            Self::Guid | Self::Dynamic => {
                field.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), self.name().to_owned())]))
            }
            _ => field,
        }
    }

    /// The type of an Arrow field: the reverse of [`ColumnType::field`], and lenient with types that other writers use
    /// (all integer widths, `Utf8`, `LargeUtf8`, other timestamp units). `None` for nested and binary types.
    pub fn of_field(field: &Field) -> Option<Self> {
        match field.metadata().get(TYPE_KEY).map(String::as_str) {
            Some("dynamic") => return Some(Self::Dynamic),
            Some("guid") => return Some(Self::Guid),
            _ => {}
        }
        Some(match field.data_type() {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Self::Int,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Self::Long,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Real,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Self::Datetime,
            DataType::Duration(_) => Self::Timespan,
            _ => return None,
        })
    }
}

impl FromStr for ColumnType {
    type Err = UnknownType;

    fn from_str(name: &str) -> Result<Self, UnknownType> {
        Ok(match name {
            "bool" | "boolean" => Self::Bool,
            "int" => Self::Int,
            "long" => Self::Long,
            "real" | "double" => Self::Real,
            "string" => Self::String,
            "datetime" | "date" => Self::Datetime,
            "timespan" | "time" => Self::Timespan,
            "guid" | "uuid" => Self::Guid,
            "dynamic" => Self::Dynamic,
            other => return Err(UnknownType(other.to_owned())),
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Column {
    /// A column.
    pub fn new(name: &str, ty: ColumnType) -> Self {
        Self { name: name.into(), ty }
    }
}

impl TableSchema {
    /// The Arrow schema of the table.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(|column| column.ty.field(&column.name)).collect::<Vec<_>>()))
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_the_way_through_arrow_and_its_name() {
        use ColumnType::*;
        for ty in [Bool, Int, Long, Real, String, Datetime, Timespan, Guid, Dynamic] {
            assert_eq!(ColumnType::of_field(&ty.field("x")), Some(ty));
            assert_eq!(ty.name().parse(), Ok(ty));
        }
    }
}
