//! Each rule of a rule, broken once.

use serde_json::{Value, json};

use super::*;
use crate::rule_builder::rule_for_tables;

const FRESH: &str = "dcr-00000000000000000000000000000001";

fn good() -> Value {
    json!({
        "kind": "Direct",
        "properties": {
            "streamDeclarations": {"Custom-In": {"columns": [
                {"name": "TimeGenerated", "type": "datetime"},
                {"name": "EventCount", "type": "int"},
                {"name": "EventMessage", "type": "string"}]}},
            "destinations": {"logAnalytics": [{"name": "ws", "workspaceResourceId": "/subscriptions/x"}]},
            "dataFlows": [{"streams": ["Custom-In"], "destinations": ["ws"], "transformKql": "source",
                           "outputStream": "Microsoft-ASimProcessEventLogs"}]
        }
    })
}

/// The codes by which the rule is refused after `change`.
fn refused(change: impl FnOnce(&mut Value)) -> Vec<&'static str> {
    let mut rule = good();
    change(&mut rule);
    let error = Rule::read(&rule, FRESH.to_owned()).expect_err("refused");
    assert!(error.problems.iter().all(|problem| !problem.message.is_empty() && !problem.target.is_empty()));
    error.problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn a_good_rule_is_read_with_its_flow() {
    let rule = Rule::read(&good(), FRESH.to_owned()).unwrap();
    assert_eq!(rule.immutable_id, FRESH);
    assert!(rule.warnings.is_empty(), "{:?}", rule.warnings);
    let stream = &rule.streams["Custom-In"];
    assert_eq!(stream.targets[0].table, "ASimProcessEventLogs");
    assert_eq!(stream.columns[stream.index["EventCount"]].kind, ColumnType::Int);
}

#[test]
fn stream_names_begin_with_custom() {
    let codes = refused(|rule| {
        let declarations = &mut rule["properties"]["streamDeclarations"];
        let stream = declarations["Custom-In"].take();
        *declarations = json!({ "In": stream });
        rule["properties"]["dataFlows"][0]["streams"] = json!(["In"]);
    });
    assert_eq!(codes, ["InvalidStream"]);
}

#[test]
fn unknown_column_types_and_bad_or_double_names_are_refused() {
    let with = |column: Value| {
        refused(|rule| {
            let columns = &mut rule["properties"]["streamDeclarations"]["Custom-In"]["columns"];
            columns.as_array_mut().unwrap().push(column);
        })
    };
    assert_eq!(with(json!({"name": "X", "type": "guid"})), ["InvalidStream"]);
    assert_eq!(with(json!({"name": "has blank", "type": "string"})), ["InvalidStream"]);
    assert_eq!(with(json!({"name": "x".repeat(46), "type": "string"})), ["InvalidStream"]);
    assert_eq!(with(json!({"name": "EventCount", "type": "int"})), ["InvalidStream"]);
}

#[test]
fn only_the_transformation_source_is_run() {
    let with = |kql: &str| refused(|rule| rule["properties"]["dataFlows"][0]["transformKql"] = json!(kql));
    assert_eq!(with("source | where EventCount > 0"), ["InvalidTransformQuery"]);
    let mut spaced = good();
    spaced["properties"]["dataFlows"][0]["transformKql"] = json!(" source ");
    assert!(Rule::read(&spaced, FRESH.to_owned()).is_ok());
}

#[test]
fn types_must_equal_those_of_the_table() {
    let mut rule = good();
    rule["properties"]["streamDeclarations"]["Custom-In"]["columns"][1]["type"] = json!("string");
    let error = Rule::read(&rule, FRESH.to_owned()).unwrap_err();
    assert_eq!(error.problems[0].code, "InvalidTransformOutput");
    assert_eq!(
        error.problems[0].message,
        "Types of transform output columns do not match the ones defined by the output stream: \
         EventCount [produced:'String', output:'Int']"
    );
}

#[test]
fn output_streams_must_be_tables_of_the_workspace() {
    for output in ["Microsoft-ASimNothingLogs", "ASimProcessEventLogs", "Custom-Mine_CL"] {
        let codes = refused(|rule| rule["properties"]["dataFlows"][0]["outputStream"] = json!(output));
        assert_eq!(codes, ["InvalidOutputTable"], "{output}");
    }
}

#[test]
fn flows_name_declared_streams_and_destinations() {
    let codes = refused(|rule| {
        rule["properties"]["dataFlows"][0]["streams"] = json!(["Custom-Other"]);
        rule["properties"]["dataFlows"][0]["destinations"] = json!(["elsewhere"]);
    });
    assert_eq!(codes, ["InvalidRule", "InvalidStream"], "all faults at once");
}

#[test]
fn more_than_ten_flows_are_refused() {
    let codes = refused(|rule| {
        let flow = rule["properties"]["dataFlows"][0].clone();
        rule["properties"]["dataFlows"] = Value::Array(vec![flow; MAX_PER_RULE + 1]);
    });
    assert_eq!(codes, ["InvalidRule"]);
}

#[test]
fn a_bad_immutable_id_and_a_foreign_shape_are_refused() {
    assert_eq!(refused(|rule| rule["properties"]["immutableId"] = json!("dcr-1")), ["InvalidRule"]);
    assert_eq!(refused(|rule| *rule = json!({"streams": []})), ["InvalidRule"]);
    assert_eq!(refused(|rule| rule["properties"] = json!({})), ["InvalidRule"; 3]);
}

#[test]
fn columns_that_the_table_lacks_or_forbids_are_warned_about() {
    let mut rule = good();
    let columns = rule["properties"]["streamDeclarations"]["Custom-In"]["columns"].as_array_mut().unwrap();
    columns.push(json!({"name": "Nonsense", "type": "string"}));
    columns.push(json!({"name": "User", "type": "string"}));
    let rule = Rule::read(&rule, FRESH.to_owned()).unwrap();
    assert_eq!(rule.warnings.len(), 2, "{:?}", rule.warnings);
    assert!(rule.warnings[0].contains("Nonsense") && rule.warnings[1].contains("forbids"));
}

#[test]
fn the_builder_makes_good_rules_for_all_native_tables() {
    let all: Vec<&str> = crate::tables::native_tables().keys().map(String::as_str).collect();
    let rules = rule_for_tables(&all);
    let rules = rules.as_array().expect("thirteen tables need two rules");
    assert_eq!(rules.len(), 2);
    let mut tables = Vec::new();
    for json in rules {
        let rule = Rule::read(json, FRESH.to_owned()).unwrap();
        assert_ne!(rule.immutable_id, FRESH, "the builder names its rules");
        assert!(rule.warnings.is_empty(), "{:?}", rule.warnings);
        for (name, stream) in &rule.streams {
            assert_eq!(name.strip_prefix("Custom-"), Some(stream.targets[0].table.as_str()));
            tables.push(stream.targets[0].table.clone());
        }
    }
    assert_eq!(tables, all);
    assert_eq!(rule_for_tables(&all), rule_for_tables(&all), "same tables, same ids");
}

#[test]
fn the_builder_makes_a_good_rule_for_a_custom_table() {
    let rule = Rule::read(&rule_for_tables(&["ASimEmailEventLogs_CL"]), FRESH.to_owned()).unwrap();
    assert!(rule.warnings.is_empty(), "{:?}", rule.warnings);
    assert_eq!(rule.streams["Custom-ASimEmailEventLogs_CL"].targets[0].table, "ASimEmailEventLogs_CL");
}

#[test]
fn the_builder_leaves_an_unknown_table_for_the_check_to_refuse() {
    let error = Rule::read(&rule_for_tables(&["ASimNothing"]), FRESH.to_owned()).unwrap_err();
    assert_eq!(error.problems[0].code, "InvalidOutputTable");
}
