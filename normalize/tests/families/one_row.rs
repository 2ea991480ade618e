//! What a mapping makes of one row, for tests of single rules.

use serde_json::{Map, Value, json};
use weir_contract::batch::RowKind;

use super::{compile, decode, mappings, normalizer, rows};

/// What the mapping called `name` makes of one row of its raw table with these columns, over those that all rows of
/// the table have.
pub(super) fn made_of(name: &str, common: Value, columns: Value) -> Map<String, Value> {
    let mapping = mappings()
        .into_iter()
        .find(|mapping| *mapping.name == format!("microsoft/defender-xdr/{name}"))
        .unwrap_or_else(|| panic!("no mapping `{name}`"));
    let mut properties = common;
    properties.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    let record = json!({
        "time": "2026-11-20T09:16:00Z", "tenantId": "aaaaaaaa-0000-4000-8000-000000000001",
        "category": format!("AdvancedHunting-{}", mapping.source_table), "properties": properties,
    });
    let normalizer = normalizer(compile(vec![mapping]));
    let mut made = Vec::new();
    for batch in decode(&format!("{record}\n")) {
        for batch in normalizer.normalize(batch).batches {
            if batch.kind == RowKind::Normalized {
                made.extend(rows(&batch.rows));
            }
            batch.ack.done();
        }
    }
    assert_eq!(made.len(), 1, "{name} claims {columns}");
    made.remove(0)
}

/// Whether `row` has these values; null stands for none.
#[track_caller]
pub(super) fn expect(row: &Map<String, Value>, values: Value) {
    for (column, value) in values.as_object().unwrap() {
        assert_eq!(row.get(column).unwrap_or(&Value::Null), value, "{column} of {}", json!(row));
    }
}
