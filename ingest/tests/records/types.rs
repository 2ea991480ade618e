//! Values of every JSON type in every column of every known table.

use serde_json::{Map, Value, json};
use weir_contract::batch::Framing;
use weir_contract::schema::ColumnType;

use crate::support::*;

/// A value of each JSON type, and what its column then holds: `None` if the value does not fit and must be kept aside.
fn expected(ty: ColumnType, value: &Value) -> Option<Value> {
    let fits = match (ty, value) {
        (ColumnType::Dynamic, value) => Some(value.clone()),
        (ColumnType::String | ColumnType::Guid, Value::String(text)) => Some(json!(text)),
        (ColumnType::String | ColumnType::Guid, Value::Bool(_) | Value::Number(_)) => Some(json!(value.to_string())),
        (ColumnType::Bool, Value::Bool(_)) => Some(value.clone()),
        (ColumnType::Int | ColumnType::Long, Value::Number(number)) if number.is_i64() => Some(value.clone()),
        (ColumnType::Real, Value::Number(number)) => number.as_f64().map(|number| json!(number)),
        _ => None,
    };
    fits.filter(|_| ty != ColumnType::Int || value.as_i64().is_none_or(|number| i32::try_from(number).is_ok()))
}

/// A real is shown without a fraction if it has none.
fn as_type(ty: ColumnType, shown: &Value) -> Value {
    match shown.as_f64() {
        Some(number) if ty == ColumnType::Real => json!(number),
        _ => shown.clone(),
    }
}

#[test]
fn wrong_types_in_every_column_of_every_table_lose_nothing() {
    let values = [
        json!("no number, no time"),
        json!(12),
        json!(638123456789012345_i64),
        json!(1.5),
        json!(true),
        json!({"a": [1.0, "b"]}),
        json!([]),
    ];
    let added = ["TimeGenerated", "PublishedTime", "TimeReceivedBySvc", "UnknownColumns"];
    let mut checked = 0;
    for table in tables().all() {
        for value in &values {
            let mut record = Map::new();
            for column in &table.schema().columns {
                if !added.contains(&&*column.name) && &*column.name != "Timestamp" {
                    record.insert(column.name.to_string(), value.clone());
                }
            }
            let time = "2026-01-01T00:00:00.0000000Z";
            record.insert("TimeGenerated".to_owned(), json!(time));
            let payload = Value::Object(record.clone()).to_string();
            let decoded = decode_with(Framing::Document, Some(table.name()), &[payload.as_bytes()]);
            let row = only_row(&decoded);
            let empty = Map::new();
            let kept = row.get("UnknownColumns").and_then(Value::as_object).unwrap_or(&empty);
            for column in &table.schema().columns {
                let name = &*column.name;
                let Some(value) = record.get(name).filter(|_| name != "TimeGenerated") else { continue };
                let context = format!("{}.{name} ({}) of {value}", table.name(), column.ty);
                match expected(column.ty, value) {
                    Some(cell) => {
                        let found = row.get(name).map(|found| as_type(column.ty, found));
                        assert_eq!((found, kept.get(name)), (Some(cell), None), "{context}");
                    }
                    None => assert_eq!((row.get(name), kept.get(name)), (None, Some(value)), "{context}"),
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 10_000, "{checked} columns and values");
}

#[test]
fn nulls_and_empty_texts_are_null_in_columns_that_are_not_text() {
    for value in [Value::Null, json!("")] {
        for table in tables().all() {
            let mut record = Map::new();
            for column in &table.schema().columns {
                if !matches!(column.ty, ColumnType::String | ColumnType::Guid) {
                    record.insert(column.name.to_string(), value.clone());
                }
            }
            record.insert("TimeGenerated".to_owned(), json!("2026-01-01T00:00:00Z"));
            let payload = Value::Object(record).to_string();
            let decoded = decode_with(Framing::Document, Some(table.name()), &[payload.as_bytes()]);
            assert_eq!(
                only_row(&decoded),
                json!({"TimeGenerated": "2026-01-01T00:00:00.0000000Z"}),
                "{}",
                table.name()
            );
        }
    }
}
