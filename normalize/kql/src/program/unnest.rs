//! `mv-expand`: one row per element of a row's arrays or bags. Several columns are walked side by side; the shorter
//! ones end with nulls.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, StringViewBuilder, UInt32Builder};

use super::selection::{Selection, SelectionKind};
use crate::functions::args::BLOCK_BYTES;
use crate::json;

/// How elements become rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnnestSpec {
    /// A bag's member becomes `["name", value]` instead of `{"name": value}`.
    pub(crate) as_array: bool,
    /// Most rows that one row becomes.
    pub(crate) limit: usize,
}

impl UnnestSpec {
    /// The selection's columns are one dynamic column per argument, the element's position, and the row it came from.
    pub(crate) fn unnest(&self, columns: &[ArrayRef], rows: usize) -> Selection {
        let mut indices = UInt32Builder::new();
        let mut positions = Int64Builder::new();
        let mut origins = Int64Builder::new();
        let mut builders: Vec<StringViewBuilder> =
            columns.iter().map(|_| StringViewBuilder::new().with_fixed_block_size(BLOCK_BYTES)).collect();
        for row in 0..rows {
            let lists: Vec<Vec<Option<String>>> = columns
                .iter()
                .map(|column| {
                    let column = column.as_string_view();
                    self.elements(if column.is_null(row) { "" } else { column.value(row) })
                })
                .collect();
            let longest = lists.iter().map(Vec::len).max().unwrap_or(0).min(self.limit);
            for position in 0..longest {
                indices.append_value(row as u32);
                positions.append_value(position as i64);
                origins.append_value(row as i64);
                for (builder, list) in builders.iter_mut().zip(&lists) {
                    builder.append_option(list.get(position).and_then(Option::as_deref));
                }
            }
        }
        let indices = indices.finish();
        let mut columns: Vec<ArrayRef> =
            builders.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
        columns.push(Arc::new(positions.finish()));
        columns.push(Arc::new(origins.finish()));
        Selection { rows: indices.len(), kind: SelectionKind::Take(indices), columns }
    }

    fn elements(&self, value: &str) -> Vec<Option<String>> {
        let mut items = Vec::new();
        if json::elements(value, |item| items.push((item != "null").then(|| item.to_owned()))).is_some() {
            return items;
        }
        let members = json::members(value, |key, member| {
            items.push(Some(if self.as_array { format!("[{key},{member}]") } else { format!("{{{key}:{member}}}") }));
        });
        if members.is_some() {
            return items;
        }
        vec![(!json::is_empty(value) || value.starts_with('"')).then(|| value.to_owned())]
    }
}
