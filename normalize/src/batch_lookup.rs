//! `BatchLookup`: what a mapping reads of the other records of its batch.
//!
//! A source delivers some facts in two raw tables: an alert in one, its entities in the other. A mapping that names the
//! other table and the column by which rows meet gets further columns, filled from rows that were decoded from the same
//! raw batch. The batch is the whole window: nothing waits for a row that may come later, so no row is held back,
//! doubled or lost, and what is not there is empty. Each row of both tables still goes through its own mappings.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{can_cast_types, cast, concat, take};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::row::{Row, RowConverter, SortField};
use weir_contract::schema::{Column, ColumnType, TableSchema};

use crate::asim::nearest;
use crate::mapping::{BatchLookup, MappingError, Written};

/// A lookup that is ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The raw table whose rows are looked up.
    pub(crate) table: Arc<str>,
    key: Column,
    /// The columns that it brings, each with the column of the other table that fills it.
    columns: Vec<(Column, Arc<str>)>,
}

impl Lookup {
    /// Holds what a mapping's file says against the mapping's raw table and the other one (`None`: no schema is known
    /// for it).
    ///
    /// # Errors
    ///
    /// All faults of `file`: tables and columns that are not there, a key that does not fit, names that are taken.
    pub(crate) fn resolve(
        written: &BatchLookup,
        file: &str,
        own: &TableSchema,
        other: Option<&TableSchema>,
    ) -> Result<Self, Vec<MappingError>> {
        let fault = |line: usize, message: String| MappingError { file: file.to_owned(), line, message };
        let Some(other) = other else {
            let message = format!(
                "no schema is known for the raw table `{}`; check `Table`, or declare the table's columns under the \
                 `SourceColumns` of a mapping that reads it",
                written.table.name
            );
            return Err(vec![fault(written.table.line, message)]);
        };
        let mut faults = Vec::new();
        let mut find = |table: &TableSchema, column: &Written| {
            let found = table.column(&column.name).cloned();
            if found.is_none() {
                let help = match nearest(table, &column.name) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "check the name".to_owned(),
                };
                let message = format!("`{}` has no column `{}`; {help}", table.name, column.name);
                faults.push(fault(column.line, message));
            }
            found
        };
        let keys = (find(own, &written.key), find(other, &written.key));
        let mut columns = Vec::with_capacity(written.columns.len());
        for (name, source) in &written.columns {
            if let Some(found) = find(other, source) {
                columns.push((Column { name: Arc::clone(name), ty: found.ty }, Arc::clone(&source.name)));
            }
        }
        for (name, source) in written.columns.iter().filter(|(name, _)| own.column(name).is_some()) {
            let message =
                format!("`{}` has a column `{name}` of its own; give the looked up one another name", own.name);
            faults.push(fault(source.line, message));
        }
        let key = match keys {
            (Some(own_key), Some(other_key)) if own_key.ty != other_key.ty => {
                let message = format!(
                    "the key `{}` is {} in `{}` and {} in `{}`; rows meet by a column that has one type in both",
                    own_key.name, own_key.ty, own.name, other_key.ty, other.name
                );
                faults.push(fault(written.key.line, message));
                None
            }
            (Some(key), Some(_)) if matches!(key.ty, ColumnType::Dynamic | ColumnType::Real) => {
                let message = format!("the key `{}` is {}, of which equal values may look different", key.name, key.ty);
                faults
                    .push(fault(written.key.line, format!("{message}; rows meet by text, a guid, a number or a time")));
                None
            }
            (Some(key), Some(_)) => Some(key),
            _ => None,
        };
        match key {
            Some(key) if faults.is_empty() => Ok(Self { table: Arc::clone(&written.table.name), key, columns }),
            _ => Err(faults),
        }
    }

    /// The columns that it brings.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|(column, _)| column)
    }

    /// Adds this lookup to those that other mappings of the same raw table ask for: what several ask for is brought
    /// once. Gives the names that mean something else there.
    pub(crate) fn add_to(self, lookups: &mut Vec<Self>) -> Vec<Arc<str>> {
        let mut clashes = Vec::new();
        let mut missing = Vec::new();
        for (column, source) in self.columns {
            let known = lookups.iter().find_map(|lookup| {
                let (_, known) = lookup.columns.iter().find(|(known, _)| known.name == column.name)?;
                Some((lookup.table == self.table && lookup.key == self.key, known))
            });
            match known {
                None => missing.push((column, source)),
                Some((true, known)) if *known == source => {}
                Some(_) => clashes.push(column.name),
            }
        }
        match lookups.iter_mut().find(|lookup| lookup.table == self.table && lookup.key == self.key) {
            Some(lookup) => lookup.columns.extend(missing),
            None => lookups.push(Self { columns: missing, ..self }),
        }
        clashes
    }

    /// `rows` with the columns of the lookup, filled from the rows of `others`, which are batches of [`Lookup::table`].
    ///
    /// Keys are equal if their values are; a key that is null or the empty text meets none. Where several rows have the
    /// key, each column takes the last value that one of them has: what a source says later about the same thing is
    /// newer. Every row of `rows` stays one row, in its place.
    pub(crate) fn fill(&self, rows: &RecordBatch, others: &[&RecordBatch]) -> Result<RecordBatch, ArrowError> {
        let key_type = self.key.ty.arrow();
        let converter = RowConverter::new(vec![SortField::new(key_type.clone())])?;
        let other_key = joined(others, &self.key.name, &key_type)?;
        let other_keys = converter.convert_columns(std::slice::from_ref(&other_key))?;
        let mut by_key: HashMap<Row<'_>, Vec<u32>> = HashMap::new();
        for (position, row) in (0..).zip(0..other_key.len()) {
            if has_value(&other_key, row) {
                by_key.entry(other_keys.row(row)).or_default().push(position);
            }
        }
        let own_key = joined(&[rows], &self.key.name, &key_type)?;
        let own_keys = converter.convert_columns(std::slice::from_ref(&own_key))?;
        let matches: Vec<&[u32]> = own_keys.iter().map(|key| by_key.get(&key).map_or(&[][..], Vec::as_slice)).collect();

        let mut fields = rows.schema().fields().to_vec();
        let mut arrays = rows.columns().to_vec();
        for (column, source) in &self.columns {
            let values = joined(others, source, &column.ty.arrow())?;
            let last = |rows: &&[u32]| rows.iter().rev().copied().find(|row| has_value(&values, *row as usize));
            let chosen: UInt32Array = matches.iter().map(last).collect();
            fields.push(Arc::new(column.ty.field(&column.name)));
            arrays.push(take(&values, &chosen, None)?);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }
}

/// The column `name` of all `batches`, one behind the other; null where a batch has none, or one of a type that cannot
/// become `ty`.
fn joined(batches: &[&RecordBatch], name: &str, ty: &DataType) -> Result<ArrayRef, ArrowError> {
    let mut arrays = Vec::with_capacity(batches.len());
    for batch in batches {
        arrays.push(match batch.column_by_name(name) {
            Some(array) if array.data_type() == ty => Arc::clone(array),
            Some(array) if can_cast_types(array.data_type(), ty) => cast(array, ty)?,
            _ => new_null_array(ty, batch.num_rows()),
        });
    }
    match arrays.as_slice() {
        [one] => Ok(Arc::clone(one)),
        several => concat(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
    }
}

/// Whether there is a value in a row: neither null nor the empty text.
fn has_value(array: &ArrayRef, row: usize) -> bool {
    array.is_valid(row) && array.as_string_view_opt().is_none_or(|texts| !texts.value(row).is_empty())
}
