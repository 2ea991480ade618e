//! From which raw table a mapped row came.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray, new_null_array};
use weir_contract::schema::{ColumnType, TableSchema};
use weir_ingest::schema::UNKNOWN_COLUMNS;
use weir_normalize::library::CompiledMapping;
use weir_normalize::samples::json_rows;

use super::Known;

/// The raw column that mappings of Defender's tables choose their rows by; they keep it in `EventOriginalType`.
const ACTION_TYPE: &str = "ActionType";

/// What a mapped row shows of its origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RowOrigin {
    /// The table that the row is in.
    pub(super) target: String,
    /// Its `EventProduct`.
    pub(super) product: String,
    /// Its `EventOriginalType`.
    pub(super) original_type: String,
}

/// Finds raw tables; every kind of row once.
pub(super) struct Sources<'k> {
    known: &'k Known,
    found: HashMap<RowOrigin, Vec<String>>,
}

impl<'k> Sources<'k> {
    pub(super) fn new(known: &'k Known) -> Self {
        Self { known, found: HashMap::new() }
    }

    /// The raw tables that a row may have come from, sorted; the table that it is in if none is known.
    ///
    /// A row does not name its raw table. It came from one whose mapping makes rows of this table and carries unknown
    /// columns on; which one, the mappings themselves tell: each runs over a raw row with nothing but the action type.
    /// One that claims it and makes the same product is meant, else one that makes the same product, else any of them.
    pub(super) fn of(&mut self, origin: RowOrigin) -> &[String] {
        let known = self.known;
        self.found.entry(origin).or_insert_with_key(|origin| {
            let into_target = known.library.iter().filter(|mapping| {
                *mapping.mapping.target_table == *origin.target
                    && mapping.program.inputs().iter().any(|input| **input == *UNKNOWN_COLUMNS)
            });
            let fits: Vec<(u8, &CompiledMapping)> =
                into_target.map(|mapping| (fit(mapping, origin, known), mapping)).collect();
            let best = fits.iter().map(|(fit, _)| *fit).max().unwrap_or_default();
            let mut tables: Vec<String> = fits
                .into_iter()
                .filter(|(fit, _)| *fit == best)
                .map(|(_, mapping)| mapping.mapping.source_table.to_string())
                .collect();
            tables.sort();
            tables.dedup();
            if tables.is_empty() { vec![origin.target.clone()] } else { tables }
        })
    }
}

/// 2: the mapping claims such a row and makes the same product of it; 1: it makes the same product; 0: neither.
fn fit(mapping: &CompiledMapping, origin: &RowOrigin, known: &Known) -> u8 {
    let Some(schema) = known.tables.schema(&mapping.mapping.source_table) else { return 0 };
    let Ok(row) = raw_row(schema, &origin.original_type) else { return 0 };
    let Ok(made) = mapping.program.run(&row) else { return 0 };
    let is_same = |row: &serde_json::Map<String, serde_json::Value>| {
        row.get("EventProduct").and_then(serde_json::Value::as_str).unwrap_or_default() == origin.product
    };
    if !json_rows(&made).first().is_some_and(is_same) {
        return 0;
    }
    let is_claimed = match &mapping.filter {
        Some(filter) => filter.mask(&row).is_ok_and(|mask| mask.value(0)),
        None => true,
    };
    if is_claimed { 2 } else { 1 }
}

/// A row of a raw table with nothing but its action type.
fn raw_row(schema: &TableSchema, action_type: &str) -> Result<RecordBatch, arrow::error::ArrowError> {
    let arrow = schema.arrow();
    let arrays = schema.columns.iter().zip(arrow.fields()).map(|(column, field)| -> ArrayRef {
        if &*column.name == ACTION_TYPE && column.ty == ColumnType::String {
            Arc::new(StringViewArray::from_iter_values([action_type]))
        } else {
            new_null_array(field.data_type(), 1)
        }
    });
    RecordBatch::try_new(Arc::clone(&arrow), arrays.collect())
}
