//! `weir test`: mappings over the samples beside them.

use std::fs::read_to_string;

use serde_json::Value;

use crate::support::weir::{Workplace, told, weir};

const MAPPING: &str = "SourceRawTable: DeviceLogonEvents\nTargetASIMTable: ASimAuthenticationEventLogs\n\
                       ParserFilterQuery: |\n  DeviceLogonEvents | where ActionType == \"LogonSuccess\"\n\
                       ParserQuery: |\n  DeviceLogonEvents\n  | extend LogonProtocol = Protocol, AdditionalFields = \
                       pack_nonempty(\"Domain\", AccountDomain)\n  | project TimeGenerated, LogonProtocol, \
                       AdditionalFields\n";

fn record(action: &str, protocol: &str) -> String {
    format!(
        "{{\"Timestamp\":\"2026-11-20T09:14:29Z\",\"ActionType\":\"{action}\",\"Protocol\":\"{protocol}\",\
         \"AccountDomain\":\"d1\"}}\n"
    )
}

fn row(protocol: &str) -> String {
    format!(
        "{{\"table\":\"ASimAuthenticationEventLogs\",\"TimeGenerated\":\"2026-11-20T09:14:29.0000000Z\",\
         \"LogonProtocol\":\"{protocol}\",\"AdditionalFields\":{{\"Domain\":\"d1\"}}}}\n"
    )
}

/// Runs `weir test …` in the folder; gives status, standard output, standard error.
fn test(place: &Workplace, args: &[&str]) -> (i32, String, String) {
    told(weir(&[&["test"], args].concat()).current_dir(place.path("")))
}

/// A folder with a mapping and three samples, of which it claims two.
fn place() -> Workplace {
    let place = Workplace::new();
    place.write("own/m.yaml", MAPPING);
    let samples = record("LogonFailed", "NTLM") + &record("LogonSuccess", "Kerberos") + &record("LogonSuccess", "NTLM");
    place.write("own/samples/m.json", samples);
    place
}

#[test]
fn expected_rows_are_written_once_and_then_hold() {
    let place = place();
    let (status, out, _) = test(&place, &["own"]);
    assert_eq!(status, 1);
    assert!(out.contains("`own/expected/m.json` is not there; `--update` writes it (2 rows from 3 records)"), "{out}");
    let (status, out, _) = test(&place, &["own/m.yaml", "--update"]);
    assert_eq!(status, 0);
    assert_eq!(out, "own/m.yaml: 2 rows from 3 records, written to own/expected/m.json\n1 mapping: 1 written\n");
    let expected = place.path("own/expected/m.json");
    assert_eq!(read_to_string(&expected).unwrap(), row("Kerberos") + &row("NTLM"));
    assert_eq!(test(&place, &["own"]).1, "own/m.yaml: ok, 2 rows from 3 records\n1 mapping: 1 ok\n");
    let written = std::fs::metadata(&expected).unwrap().modified().unwrap();
    let (_, out, _) = test(&place, &["own", "--update"]);
    assert!(out.ends_with("1 mapping: 1 unchanged\n"), "{out}");
    assert_eq!(std::fs::metadata(&expected).unwrap().modified().unwrap(), written, "an equal file is left alone");
}

#[test]
fn differences_are_told_per_row_column_and_member_with_the_record() {
    let place = place();
    let expected = row("Kerberos").replace("d1", "d2") + &row("Negotiate") + &row("NTLM");
    place.write("own/expected/m.json", &expected);
    let (status, out, _) = test(&place, &["own"]);
    let lines = "own/m.yaml: 2 rows differ from own/expected/m.json (2 rows from 3 records)\n  \
                 row 1, made of record 2 of own/samples/m.json\n    AdditionalFields.Domain\n      \
                 expected  \"d2\"\n      found     \"d1\"\n  expected row 2 is missing\n    - ";
    assert_eq!(out, format!("{lines}{}\n1 mapping: 1 differs\n", row("Negotiate")));
    assert_eq!(status, 1);
    assert_eq!(read_to_string(place.path("own/expected/m.json")).unwrap(), expected, "a test changes nothing");

    place.write("own/expected/m.json", row("NTLM"));
    let (status, out, _) = test(&place, &["own", "--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let found = &report["mappings"][0];
    assert_eq!((status, &found["outcome"]), (1, &"differs".into()));
    assert_eq!(found["differences"].as_array().unwrap().len(), 1, "{out}");
    let extra = &found["differences"][0];
    assert_eq!((&extra["row"], &extra["record"], &extra["expected_row"]), (&1.into(), &2.into(), &Value::Null));
    assert_eq!(extra["whole"]["LogonProtocol"], "Kerberos");
}

#[test]
fn faults_of_samples_and_mappings_name_their_place() {
    let place = place();
    place.write("own/samples/m.json", "no record\n");
    let (status, out, _) = test(&place, &["own"]);
    assert_eq!(status, 1);
    assert!(out.contains("own/samples/m.json") && out.contains("no record that can be read"), "{out}");
    place.write(
        "own/samples/m.json",
        "{\"category\":\"AdvancedHunting-AlertInfo\",\"properties\":{\"Timestamp\":\"2026-11-20T09:14:29Z\"}}\n",
    );
    assert!(test(&place, &["own"]).1.contains("a sample is a record of `AlertInfo`"));
    place.write("own/m.yaml", MAPPING.replace("= Protocol", "= Protocl"));
    let (status, out, _) = test(&place, &["own"]);
    assert_eq!(status, 1);
    assert!(out.contains("unknown column `Protocl`") && out.contains("m.yaml:7:"), "{out}");
    assert_eq!(test(&place, &["nowhere"]).0, 1);
}

#[test]
fn a_mapping_without_samples_is_told_and_fails_only_alone() {
    let place = place();
    place.write("other/n.yaml", MAPPING);
    let (status, out, _) = test(&place, &["other"]);
    assert_eq!(status, 1, "nothing was tested");
    assert!(
        out.contains("other/n.yaml: no samples; write raw records") && out.contains("other/samples/n.json"),
        "{out}"
    );
    place.write("own/expected/m.json", row("Kerberos") + &row("NTLM"));
    let (status, out, _) = test(&place, &["own", "other"]);
    assert_eq!(status, 0);
    assert!(out.ends_with("2 mappings: 1 ok, 1 without samples\n"), "{out}");
}

#[test]
fn a_config_brings_folders_functions_and_watchlists() {
    let place = place();
    place.write("own/m.yaml", MAPPING.replace("= Protocol", "= Shout(Protocol)"));
    place.write("own/expected/m.json", row("KERBEROS") + &row("NTLM"));
    place.write("kql/Shout.kql", "(text:string) { toupper(text) }\n");
    assert!(test(&place, &["own"]).1.contains("`Shout`"), "nobody told where the function is");
    place.write(
        "weir.yaml",
        "sources: [{name: f, files: {paths: [own/samples]}}]\nlake: {url: lake}\n\
         mappings: {directories: [own], functions: [kql]}\n",
    );
    assert_eq!(test(&place, &["own", "--config", "weir.yaml"]).0, 0);
    let (status, out, errors) = test(&place, &[]);
    assert_eq!(status, 0, "{errors}");
    assert!(out.ends_with("own/m.yaml: ok, 2 rows from 3 records\n1 mapping: 1 ok\n"), "{out}");
}

#[test]
fn a_raw_table_that_only_the_mapping_describes_is_decoded_by_its_columns() {
    let place = Workplace::new();
    place.write(
        "m.yaml",
        "SourceRawTable: Fw\nTargetASIMTable: Fw_CL\nSourceColumns:\n  bytes: long\nParserQuery: |\n  Fw\n  | project \
         TimeGenerated, Twice = bytes * 2\n",
    );
    place.write("samples/m.json", "{\"TimeGenerated\":\"2026-11-20T09:14:29Z\",\"bytes\":\"21\"}\n");
    assert_eq!(test(&place, &["m.yaml", "--update"]).0, 0);
    assert!(read_to_string(place.path("expected/m.json")).unwrap().contains("\"Twice\":42"));
}

#[test]
fn samples_may_hold_records_of_the_table_that_a_mapping_looks_up_and_of_no_other() {
    let place = Workplace::new();
    place.write(
        "m.yaml",
        "SourceRawTable: AlertEvidence\nTargetASIMTable: Own_CL\nBatchLookup:\n  Table: AlertInfo\n  On: AlertId\n  \
         Columns: {InfoTitle: Title}\nParserQuery: |\n  AlertEvidence | project TimeGenerated, EntityType, InfoTitle\n",
    );
    let record = |table: &str, column: &str, value: &str| {
        format!(
            "{{\"category\":\"AdvancedHunting-{table}\",\"properties\":{{\"Timestamp\":\"2026-11-20T09:14:29Z\",\
             \"AlertId\":\"a1\",\"{column}\":\"{value}\"}}}}\n"
        )
    };
    let samples = record("AlertEvidence", "EntityType", "Ip") + &record("AlertInfo", "Title", "Found");
    place.write("samples/m.json", &samples);
    let (status, out, errors) = test(&place, &["m.yaml", "--update"]);
    assert_eq!(status, 0, "{out}{errors}");
    let expected = read_to_string(place.path("expected/m.json")).unwrap();
    assert_eq!(expected.lines().count(), 1, "{expected}");
    assert!(expected.contains("\"EntityType\":\"Ip\",\"InfoTitle\":\"Found\""), "{expected}");
    place.write("samples/m.json", samples + &record("DeviceEvents", "ActionType", "Other"));
    let (status, out, _) = test(&place, &["m.yaml"]);
    assert_eq!(status, 1);
    assert!(out.contains("a sample is a record of `DeviceEvents`, which this mapping does not read"), "{out}");
}

#[test]
fn the_binary_proves_its_own_mappings() {
    let place = Workplace::new();
    let (status, out, errors) = test(&place, &[]);
    assert_eq!(status, 0, "{out}{errors}");
    let summary = out.lines().last().unwrap();
    let (all, ok) = summary.split_once(" mappings: ").unwrap();
    assert_eq!(ok, format!("{all} ok"), "each has samples, and all hold");
    assert!(out.contains("microsoft/defender-xdr/DeviceProcessEvents.yaml: ok, "), "{out}");
    let (status, _, errors) = test(&place, &["--update"]);
    assert_eq!(status, 1);
    assert!(errors.contains("part of the binary"), "{errors}");
    let families = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize/families");
    let (status, out, _) = test(&place, &[families.to_str().unwrap()]);
    assert!(
        status == 0 && out.lines().last() == Some(summary),
        "the repository's files are those of the binary: {out}"
    );
}
