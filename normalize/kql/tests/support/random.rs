//! What random queries are made of: choices, and a table with a column of each type.

use weir_contract::schema::{Column, ColumnType, TableSchema};

pub(crate) const COLUMNS: [(&str, ColumnType); 10] = [
    ("s", ColumnType::String),
    ("u", ColumnType::String),
    ("i", ColumnType::Int),
    ("l", ColumnType::Long),
    ("r", ColumnType::Real),
    ("b", ColumnType::Bool),
    ("t", ColumnType::Datetime),
    ("p", ColumnType::Timespan),
    ("d", ColumnType::Dynamic),
    ("g", ColumnType::Guid),
];

/// The table `T` of those columns.
pub(crate) fn table() -> TableSchema {
    let columns = COLUMNS.iter().map(|(name, ty)| Column::new(name, *ty)).collect();
    TableSchema { name: "T".into(), columns }
}

/// Xorshift: good enough to choose, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// A number under `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
