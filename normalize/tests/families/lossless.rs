//! Nothing of a Defender row is dropped: a value that is taken away, changed or added in a sample changes the row that
//! the mapping makes of it.
//!
//! Each sample is written again once per value that it holds, of its columns and of the keys of its `AdditionalFields`,
//! without the value and with another one, and once per column of its table that it leaves empty, with a value there.
//! The service's time of receipt marks the copies, so that each row is compared with the row of its own sample.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{compile, decode, file_of, mappings, normalizer, rows};
use weir_contract::batch::RowKind;
use weir_contract::schema::ColumnType;
use weir_ingest::schema::RawTables;
use weir_normalize::mapping::Mapping;

/// What the decoder adds to the columns of every raw table.
const OF_THE_DECODER: [&str; 5] = ["TimeGenerated", "TenantId", "PublishedTime", "TimeReceivedBySvc", "UnknownColumns"];

/// One sample with one value taken away, changed or added.
struct Variant {
    sample: usize,
    /// `Column`, or `AdditionalFields.key`.
    place: String,
    change: &'static str,
}

#[test]
fn each_value_of_a_defender_row_shows_in_the_row_made_of_it() {
    let mut faults = Vec::new();
    let mut compared = 0;
    for mapping in mappings() {
        if !mapping.name.starts_with("microsoft/") {
            continue;
        }
        let samples = samples(&mapping);
        let mut variants = Vec::new();
        let mut lines = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            lines.push(sample.clone());
            for (place, change, line) in changed(sample).into_iter().chain(filled(&mapping, sample)) {
                variants.push(Variant { sample: index, place, change });
                lines.push(line);
            }
        }
        let made = marked_rows(&mapping, lines);
        // Marks count the lines: a sample's own first, then its variants'.
        let mut mark = 0;
        let mut of_sample = HashMap::new();
        let mut variants = variants.into_iter().peekable();
        for index in 0..samples.len() {
            of_sample.insert(index, made.get(&mark));
            mark += 1;
            while let Some(variant) = variants.next_if(|variant| variant.sample == index) {
                // Without its action type, or the verdict that the filter asks for, the mapping does not claim it.
                if let (Some(Some(before)), Some(after)) = (of_sample.get(&index), made.get(&mark)) {
                    compared += 1;
                    if *before == after {
                        faults.push(format!(
                            "{} sample {}: {} {} and nothing changes",
                            mapping.name,
                            index + 1,
                            variant.place,
                            variant.change
                        ));
                    }
                }
                mark += 1;
            }
        }
    }
    assert!(compared > 5_000, "{compared} comparisons");
    assert!(faults.is_empty(), "{} values dropped:\n{}", faults.len(), faults.join("\n"));
}

/// The samples as objects, one per record.
fn samples(mapping: &Mapping) -> Vec<Map<String, Value>> {
    let text = std::fs::read_to_string(file_of(mapping, "samples")).unwrap();
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `sample` without each of its values in turn, and with each changed.
fn changed(sample: &Map<String, Value>) -> Vec<(String, &'static str, Map<String, Value>)> {
    let properties = sample["properties"].as_object().unwrap();
    let bag = properties.get("AdditionalFields").map_or_else(String::new, Value::to_string);
    let mut out = Vec::new();
    for (column, value) in properties {
        let with = |value: Value| {
            let mut sample = sample.clone();
            sample["properties"][column] = value;
            sample
        };
        if column == "AdditionalFields" {
            let (bag, is_text) = match value {
                Value::String(text) => (serde_json::from_str(text).unwrap_or_default(), true),
                value => (value.clone(), false),
            };
            for (key, value) in bag.as_object().into_iter().flatten() {
                let mut less = bag.clone();
                less.as_object_mut().unwrap().remove(key);
                let mut other = bag.clone();
                other[key] = another(value).unwrap_or_else(|| json!("other"));
                for (change, bag) in [("is taken away", less), ("changes", other)] {
                    let value = if is_text { json!(bag.to_string()) } else { bag };
                    out.push((format!("AdditionalFields.{key}"), change, with(value)));
                }
            }
            continue;
        }
        let Some(other) = another(value) else { continue };
        // A row without a time has that of its publication, which differs.
        // What the bag repeats is not lost with its column.
        let is_repeated = value.as_str().is_some_and(|text| bag.contains(text));
        if column != "Timestamp" && !is_repeated && !is_placeholder(column, value, properties) {
            out.push((column.clone(), "is taken away", with(Value::Null)));
        }
        out.push((column.clone(), "changes", with(other)));
    }
    out
}

/// `sample` with a value in each column of its table that it leaves empty, in turn.
fn filled(mapping: &Mapping, sample: &Map<String, Value>) -> Vec<(String, &'static str, Map<String, Value>)> {
    let tables = RawTables::builtin();
    let columns = &tables.schema(&mapping.source_table).expect("known").columns;
    let bag = sample["properties"].get("AdditionalFields").map_or_else(String::new, Value::to_string);
    // The decoder takes a column in any case, and a key of the bag may repeat it.
    let is_empty = |name: &str| {
        let mut columns = sample["properties"].as_object().unwrap().iter();
        !columns.any(|(column, value)| column.eq_ignore_ascii_case(name) && !value.is_null() && value != "")
            && !bag.contains(&format!("\\\"{name}\\\""))
            && !bag.contains(&format!("\"{name}\""))
    };
    let mut out = Vec::new();
    for column in columns {
        let name = column.name.to_string();
        // Without a time the row has that of its publication, which is this one's.
        if OF_THE_DECODER.contains(&&*name) || name == "Timestamp" || !is_empty(&name) {
            continue;
        }
        let value = match column.ty {
            ColumnType::Bool => json!(true),
            ColumnType::Int | ColumnType::Long => json!(77),
            ColumnType::Real => json!(7.5),
            ColumnType::Datetime => json!("2001-02-03T04:05:06Z"),
            ColumnType::Dynamic => json!({"added": 1}),
            _ if name.ends_with("IP") => json!("192.0.2.199"),
            _ => json!("added"),
        };
        let mut sample = sample.clone();
        sample["properties"][&name] = value;
        out.push((name, "is added", sample));
    }
    out
}

/// Another value of the same kind; nothing for what is empty.
fn another(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => json!(!value),
        Value::Number(value) => json!(value.as_i64()? + 1),
        Value::String(text) if text.is_empty() => return None,
        // A time stays one; the seventh digit is cut.
        Value::String(text) if text.starts_with("20") && text.ends_with('Z') => json!(format!("19{}", &text[2..])),
        Value::String(text) if text.parse::<f64>().is_ok() => json!(format!("1{text}")),
        Value::String(text) => json!(format!("z{text}z")),
        Value::Array(values) => json!([values, "more"]),
        Value::Object(fields) => json!({"before": fields}),
    })
}

/// Whether a value means that there is none: port 0, address `-`, the id of no process, the type of no value.
fn is_placeholder(column: &str, value: &Value, row: &Map<String, Value>) -> bool {
    match column {
        "RemotePort" | "LocalPort" | "RequestSourcePort" | "Port" | "DestinationPort" => *value == json!(0),
        "InitiatingProcessId" => *value == json!(0) && row["InitiatingProcessFileName"].as_str().is_none(),
        "InitiatingProcessParentId" => *value == json!(0) && row["InitiatingProcessParentFileName"].as_str().is_none(),
        "RegistryValueType" => *value == json!("None"),
        _ => *value == json!("-"),
    }
}

/// The rows made of `lines`, by the number of the line; the mark is taken out again.
fn marked_rows(mapping: &Mapping, lines: Vec<Map<String, Value>>) -> HashMap<usize, Map<String, Value>> {
    let text: String = lines
        .into_iter()
        .enumerate()
        .map(|(mark, mut line)| {
            line.insert(
                "_TimeReceivedBySvc".to_owned(),
                json!(format!("2020-01-01T{:02}:{:02}:{:02}Z", mark / 3600, mark / 60 % 60, mark % 60)),
            );
            format!("{}\n", Value::Object(line))
        })
        .collect();
    let normalizer = normalizer(compile(vec![mapping.clone()]));
    let mut made = HashMap::new();
    for batch in decode(&text) {
        for batch in normalizer.normalize(batch).batches {
            if batch.kind == RowKind::Normalized {
                for mut row in rows(&batch.rows) {
                    let bag = row["AdditionalFields"].as_object_mut().unwrap();
                    let mark = bag.remove("TimeReceivedBySvc").expect("each mapping keeps the time of receipt");
                    let mark: Vec<usize> =
                        mark.as_str().unwrap()[11..19].split(':').map(|n| n.parse().unwrap()).collect();
                    made.insert(mark[0] * 3600 + mark[1] * 60 + mark[2], row);
                }
            }
            batch.ack.done();
        }
    }
    made
}
