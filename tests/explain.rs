//! `weir explain`: every output column is told with its line, its sources and its price.

use serde_json::{Value, json};

use crate::support::weir::{Workplace, text, weir};

const LOGON: &str = r#"{"category":"AdvancedHunting-DeviceLogonEvents","properties":{
    "Timestamp":"2026-03-01T10:00:00.1234567Z","DeviceId":"d1","DeviceName":"host1.example.org",
    "ActionType":"LogonFailed","LogonType":"Network","AccountDomain":"example","AccountName":"kim",
    "FailureReason":"InvalidUserNameOrPassword","RemoteIP":"192.0.2.7","ReportId":7,
    "AdditionalFields":{"IsLocalLogon":false},"Invented":"x"}}"#;

fn explained(dir: &Workplace, record: &str, more: &[&str]) -> Value {
    let file = dir.write("record.json", record).display().to_string();
    let args: Vec<&str> = ["explain", &file, "--format", "json"].iter().chain(more).copied().collect();
    let output = weir(&args).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn column<'a>(row: &'a Value, name: &str) -> &'a Value {
    row["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap()
}

#[test]
fn what_is_looked_up_in_another_record_of_the_file_is_a_source() {
    let dir = Workplace::new();
    let record = |table: &str, columns: &str| {
        format!(
            "{{\"category\":\"AdvancedHunting-{table}\",\"properties\":{{\"Timestamp\":\"2026-03-01T10:00:00Z\",\
             \"AlertId\":\"a1\",{columns}}}}}\n"
        )
    };
    let records = record("AlertInfo", "\"Title\":\"Found\"") + &record("AlertEvidence", "\"EntityType\":\"Ip\"");
    let explained = explained(&dir, &records, &[]);
    let records = explained["records"].as_array().unwrap();
    let evidence = records.iter().find(|record| record["table"] == "AlertEvidence").unwrap();
    assert!(evidence["raw"].get("InfoTitle").is_none(), "{}", evidence["raw"]);
    let name = column(&evidence["mappings"][0]["rows"][0], "AlertName");
    assert_eq!(name["value"], "Found");
    let sources = name["sources"].as_array().unwrap();
    assert!(sources.contains(&json!({"name": "InfoTitle", "value": "Found"})), "{name}");
}

#[test]
fn each_column_has_its_line_its_sources_and_both_values() {
    let dir = Workplace::new();
    let explained = explained(&dir, LOGON, &[]);
    let record = &explained["records"][0];
    assert_eq!(record["outcome"], "mapped");
    assert_eq!(record["table"], "DeviceLogonEvents");
    let mapping = &record["mappings"][0];
    assert_eq!(mapping["target"], "ASimAuthenticationEventLogs");
    let row = &mapping["rows"][0];
    let result = column(row, "EventResult");
    assert_eq!(result["value"], "Failure");
    assert_eq!(result["sources"], json!([{"name": "ActionType", "value": "LogonFailed"}]));
    let host = column(row, "DvcHostname");
    assert_eq!((&host["value"], &host["sources"][0]["value"]), (&json!("host1"), &json!("host1.example.org")));
    // The line is that of the assignment in the mapping's file.
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize/families");
    let file = std::fs::read_to_string(file.join("microsoft/defender-xdr/DeviceLogonEvents.yaml")).unwrap();
    let line = usize::try_from(result["line"].as_u64().unwrap()).unwrap();
    assert!(file.lines().nth(line - 1).unwrap().contains("EventResult = case("), "line {line}");
    // What is billed is what the pipeline counts for the row, and costs more on the dearer tier.
    assert!(row["billed_bytes"].as_u64().unwrap() > 300);
    let prices = row["price_of_a_million"].as_array().unwrap();
    assert!(prices[0][1].as_f64().unwrap() > prices[2][1].as_f64().unwrap(), "{prices:?}");
    assert!(row["packed"].as_array().unwrap().iter().any(|member| member["key"] == "IsLocalLogon"), "{row}");
}

#[test]
fn the_text_names_file_line_and_what_is_packed() {
    let dir = Workplace::new();
    let file = dir.write("record.json", LOGON).display().to_string();
    let output = weir(&["explain", &file]).output().unwrap();
    let shown = text(&output.stdout);
    for part in [
        "record 1: DeviceLogonEvents",
        "→ ASimAuthenticationEventLogs",
        "ActionType = LogonFailed",
        "packed in AdditionalFields:",
        "billed: ",
        "columns without a value; `--all` shows them",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours where no terminal is");
}

#[test]
fn what_is_not_claimed_refused_or_not_read_is_told() {
    let dir = Workplace::new();
    let unclaimed = LOGON.replace("LogonFailed", "SomethingNew");
    let record = &explained(&dir, &unclaimed, &[])["records"][0];
    assert_eq!(record["outcome"], "passed_through");
    assert_eq!(record["mappings"][0]["claims"], false);
    assert!(record["mappings"][0]["filter"].as_str().unwrap().contains("ActionType in~"));

    let record = &explained(&dir, "{\"category\":", &[])["records"][0];
    assert_eq!(record["outcome"], "dead_letter");
    assert!(record["reason"].as_str().unwrap().contains("invalid_json"), "{record}");

    let mapping = "SourceRawTable: DeviceLogonEvents\nTargetASIMTable: Tiny_CL\nParserQuery: |\n  DeviceLogonEvents\n  \
                   | project TimeGenerated = Timestamp, Who = AccountName\n";
    dir.write("own/microsoft/defender-xdr/DeviceLogonEvents.yaml", mapping);
    let own = dir.path("own").display().to_string();
    let record = &explained(&dir, LOGON, &["--mappings", &own])["records"][0];
    let dropped = record["mappings"].as_array().unwrap().iter().find(|mapping| mapping["target"] == "Tiny_CL").unwrap();
    let dropped = dropped["dropped"].as_array().unwrap();
    assert!(dropped.iter().any(|column| column["column"] == "RemoteIP" && column["value"] == "192.0.2.7"));
}

#[test]
fn an_empty_input_is_an_error_that_says_so() {
    let dir = Workplace::new();
    let file = dir.write("record.json", "").display().to_string();
    let output = weir(&["explain", &file]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("no record in the input"));
}
