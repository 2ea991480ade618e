//! Whole calls through the row rules, at a fixed receive time.

use serde_json::{Value, json};

use super::*;
use crate::rule_builder::rule_for_tables;
use crate::rules::Rule;

const TABLE: &str = "ASimProcessEventLogs";
const NOW: &str = "2026-11-24T12:00:00.000000Z";

fn clock(time_rule: bool) -> Clock {
    Clock { now: DateTime::parse_from_rfc3339(NOW).unwrap().to_utc(), time_rule }
}

fn rule() -> Rule {
    Rule::read(&rule_for_tables(&[TABLE]), String::new()).unwrap()
}

fn read_with(rows: &Value, clock: Clock) -> (Vec<Value>, TableCounters) {
    let rule = rule();
    let body = rows.to_string();
    let mut tables = read_rows(body.as_bytes(), &rule.streams[&format!("Custom-{TABLE}")], clock).unwrap();
    assert_eq!(tables.len(), 1);
    let table = tables.remove(0);
    let rows = table.rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    (rows, table.counters)
}

fn read(rows: Value) -> (Vec<Value>, TableCounters) {
    read_with(&rows, clock(true))
}

#[test]
fn a_good_row_is_stored_with_its_type_and_size() {
    let (rows, counters) =
        read(json!([{"TimeGenerated": "2026-11-24T11:59:00Z", "EventCount": 12, "EventMessage": "0123456789"}]));
    assert_eq!(
        rows[0],
        json!({"TimeGenerated": "2026-11-24T11:59:00Z", "EventCount": 12, "EventMessage": "0123456789",
               "Type": TABLE, "_BilledSize": 40, "_TimeReceived": "2026-11-24T12:00:00.0000000Z"})
    );
    assert_eq!(counters, TableCounters { rows: 1, billed_bytes: 40, ..Default::default() });
}

#[test]
fn times_out_of_range_become_the_receive_time() {
    let received = json!("2026-11-24T12:00:00.0000000Z");
    let times = [
        ("2026-11-22T12:00:00Z", false),
        ("2026-11-22T11:59:59.999Z", true),
        ("2026-11-25T12:00:00Z", false),
        ("2026-11-25T12:00:00.001Z", true),
    ];
    for (time, is_rewritten) in times {
        let row = json!([{ "TimeGenerated": time }]);
        let (rows, counters) = read(row.clone());
        assert_eq!(rows[0]["TimeGenerated"] == received, is_rewritten, "{time}");
        assert_eq!(counters.time_rewritten, u64::from(is_rewritten), "{time}");
        let (rows, counters) = read_with(&row, clock(false));
        assert_eq!((rows[0]["TimeGenerated"].as_str(), counters.time_rewritten), (Some(time), 0), "the switch");
    }
}

#[test]
fn a_missing_or_unreadable_time_becomes_the_receive_time() {
    let (rows, counters) = read_with(&json!([{}, {"TimeGenerated": null}, {"TimeGenerated": "noon"}]), clock(false));
    assert!(rows.iter().all(|row| row["TimeGenerated"] == "2026-11-24T12:00:00.0000000Z"));
    assert_eq!((counters.time_missing, counters.mismatched_values["TimeGenerated"]), (3, 1));
    assert_eq!(counters.billed_bytes, 3 * 28);
}

#[test]
fn undeclared_columns_are_dropped_and_counted_by_name() {
    let (rows, counters) = read(json!([{"Nonsense": {"a": [1]}, "eventcount": 1}, {"Nonsense": 2}]));
    assert!(rows.iter().all(|row| row.as_object().unwrap().len() == 4));
    assert_eq!(counters.dropped_columns, ByName::from([("Nonsense".into(), 2), ("eventcount".into(), 1)]));
    assert_eq!(counters.alias_columns, 0);
}

#[test]
fn rows_with_alias_or_reserved_columns_are_counted_once() {
    let (_, counters) =
        read(json!([{"User": "a", "Hash": "b"}, {"User": null}, {"Type": "x"}, {"EventSchema": "ProcessEvent"}]));
    assert_eq!(counters.alias_columns, 3);
    let names = [("EventSchema", 1), ("Hash", 1), ("Type", 1), ("User", 1)];
    assert_eq!(counters.forbidden_columns, names.map(|(name, count)| (name.to_owned(), count)).into());
    assert_eq!(counters.dropped_columns["User"], 2);
}

#[test]
fn mistyped_converted_and_cut_values_are_counted_by_column() {
    let long = "x".repeat(70_000);
    let (rows, counters) =
        read(json!([{"EventCount": "many", "EventMessage": 5, "CommandLine": 1, "EventProduct": long}]));
    assert_eq!(rows[0].get("EventCount"), None);
    assert_eq!(rows[0]["EventMessage"], "5");
    assert_eq!(rows[0]["EventProduct"].as_str().map(str::len), Some(65_536));
    assert_eq!(counters.mismatched_values, ByName::from([("EventCount".into(), 1)]));
    assert_eq!(counters.converted_values, ByName::from([("EventMessage".into(), 1)]));
    assert_eq!(counters.truncated_values, ByName::from([("EventProduct".into(), 1)]));
    assert_eq!(counters.billed_bytes, 28 + 1 + 65_536);
}

#[test]
fn sizes_add_up_to_the_rows_own() {
    let (rows, counters) = read(json!([
        {"EventCount": 1, "AdditionalFields": {"k": "v", "n": [1, 2]}, "EventVendor": "Microsoft"},
        {"EventVendor": ""},
    ]));
    let sizes: Vec<u64> = rows.iter().filter_map(|row| row["_BilledSize"].as_u64()).collect();
    assert_eq!(sizes, [28 + 1 + r#"{"k":"v","n":[1,2]}"#.len() as u64 + 9, 28]);
    assert_eq!(counters.billed_bytes, sizes.iter().sum::<u64>());
}

#[test]
fn a_body_that_is_no_array_of_objects_stores_nothing() {
    let rule = rule();
    let stream = &rule.streams[&format!("Custom-{TABLE}")];
    let deep = format!("[{{\"AdditionalFields\":{}{}}}]", "[".repeat(1000), "]".repeat(1000));
    let bad = [
        "{}",
        "[{}",
        "[{}] x",
        "[1]",
        "[[]]",
        "null",
        "\"text\"",
        "[{\"a\":}]",
        &deep,
        r#"[{"EventMessage":"\ud800"}]"#,
    ];
    for body in bad {
        let shown = &body[..body.len().min(40)];
        assert!(read_rows(body.as_bytes(), stream, clock(true)).is_err(), "{shown}");
    }
    assert!(read_rows(b"[{\"EventMessage\":\"\xff\"}]", stream, clock(true)).is_err(), "not UTF-8");
    assert!(read_rows(b" [ ] ", stream, clock(true)).unwrap()[0].rows.is_empty(), "no rows is fine");
}

#[test]
fn the_last_of_two_equal_names_wins() {
    let rule = rule();
    let stream = &rule.streams[&format!("Custom-{TABLE}")];
    let tables = read_rows(br#"[{"EventVendor":"a","EventVendor":"bc"}]"#, stream, clock(true)).unwrap();
    assert!(tables[0].rows[0].contains(r#""EventVendor":"bc""#) && !tables[0].rows[0].contains(r#""a""#));
}

#[test]
fn a_stream_with_two_flows_is_stored_and_billed_in_both_tables() {
    let mut json = rule_for_tables(&[TABLE]);
    json["properties"]["streamDeclarations"][format!("Custom-{TABLE}")]["columns"] =
        json!([{"name": "TimeGenerated", "type": "datetime"}, {"name": "TargetProcessName", "type": "string"}]);
    let flows = json["properties"]["dataFlows"].as_array_mut().unwrap();
    let mut second = flows[0].clone();
    second["outputStream"] = json!("Microsoft-ASimDnsActivityLogs");
    flows.push(second);
    let rule = Rule::read(&json, String::new()).unwrap();
    assert_eq!(rule.warnings.len(), 1, "{:?}", rule.warnings);
    let body = br#"[{"TargetProcessName":"abcd"}]"#;
    let tables = read_rows(body, &rule.streams[&format!("Custom-{TABLE}")], clock(true)).unwrap();
    assert_eq!(tables.iter().map(|table| table.counters.billed_bytes).collect::<Vec<_>>(), [32, 28]);
    assert_eq!(tables[1].counters.dropped_columns["TargetProcessName"], 1);
}
