//! `weir diff`: two versions of a mapping over the same records.

use serde_json::{Value, json};

use crate::support::weir::{Workplace, told, weir};

const MAPPING: &str = "SourceRawTable: DeviceLogonEvents\nTargetASIMTable: ASimAuthenticationEventLogs\n\
                       ParserFilterQuery: |\n  DeviceLogonEvents | where ActionType == \"LogonSuccess\"\n\
                       ParserQuery: |\n  DeviceLogonEvents\n  | extend LogonProtocol = Protocol, SrcIpAddr = RemoteIP\n  \
                       | project TimeGenerated, LogonProtocol, SrcIpAddr\n";

fn diff(place: &Workplace, args: &[&str]) -> (i32, String, String) {
    told(weir(&[&["diff"], args].concat()).current_dir(place.path("")))
}

/// A version and three samples beside it: two that it claims, and a failed logon.
fn place() -> Workplace {
    let place = Workplace::new();
    place.write("a/m.yaml", MAPPING);
    let record = |action: &str, protocol: &str| {
        format!(
            "{{\"Timestamp\":\"2026-11-20T09:14:29Z\",\"ActionType\":\"{action}\",\"Protocol\":\"{protocol}\",\
             \"RemoteIP\":\"192.0.2.1\",\"DeviceName\":\"pc1\"}}\n"
        )
    };
    let samples = [("LogonFailed", "NTLM"), ("LogonSuccess", "Kerberos"), ("LogonSuccess", "ntlm")];
    place.write("a/samples/m.json", samples.map(|(action, protocol)| record(action, protocol)).concat());
    place
}

#[test]
fn equal_versions_have_status_zero() {
    let place = place();
    place.write("b/m.yaml", MAPPING);
    let (status, out, errors) = diff(&place, &["a/m.yaml", "b/m.yaml"]);
    assert_eq!((status, &*errors), (0, ""));
    assert!(out.contains("2 rows before, 2 after; 0 changed, 0 added, 0 removed"), "{out}");
}

#[test]
fn each_column_is_told_with_its_rows_and_an_example() {
    let place = place();
    let after = MAPPING
        .replace("= Protocol, SrcIpAddr = RemoteIP", "= toupper(Protocol), DvcHostname = DeviceName")
        .replace("LogonProtocol, SrcIpAddr", "LogonProtocol, DvcHostname");
    place.write("b/m.yaml", after);
    let (status, out, _) = diff(&place, &["a/m.yaml", "b/m.yaml"]);
    assert_eq!(status, 1);
    let table = "column           rows  first difference\n\
                 --------------------------------------------------------------------\n  \
                 LogonProtocol     2  record 2: \"Kerberos\" → \"KERBEROS\"\n\
                 - SrcIpAddr         2  gone, string; record 2: \"192.0.2.1\" → nothing\n\
                 + DvcHostname       2  new, string; record 2: nothing → \"pc1\"\n";
    assert!(out.contains(table), "{out}");
    let (status, out, _) = diff(&place, &["a/m.yaml", "b/m.yaml", "--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status, 1);
    let mapping = &report["mappings"][0];
    assert_eq!((&mapping["rows_changed"], &mapping["records"]), (&json!(2), &json!(3)));
    let protocol = json!({"name": "LogonProtocol", "type_before": "string", "type_after": "string", "rows": 2,
        "example": {"record": 2, "before": "Kerberos", "after": "KERBEROS"}});
    assert_eq!(mapping["columns"][0], protocol);
    assert_eq!(mapping["columns"][2]["type_before"], Value::Null);
}

#[test]
fn a_record_that_only_one_version_claims_shifts_nothing() {
    let place = place();
    place.write("b/m.yaml", MAPPING.replace("== \"LogonSuccess\"", "in (\"LogonSuccess\", \"LogonFailed\")"));
    let (status, out, _) = diff(&place, &["a/m.yaml", "b/m.yaml"]);
    assert_eq!(status, 1);
    assert!(out.contains("2 rows before, 3 after; 0 changed, 1 added, 0 removed"), "{out}");
    assert!(out.contains("record 1:\n  + {\"table\":") && !out.contains("first difference"), "{out}");
    let (status, out, _) = diff(&place, &["b/m.yaml", "a/m.yaml"]);
    assert_eq!(status, 1, "samples beside the later version serve, too");
    assert!(out.contains("0 added, 1 removed") && out.contains("record 1:\n  - {"), "{out}");
}

#[test]
fn folders_are_compared_file_by_file() {
    let place = place();
    let samples = std::fs::read(place.path("a/samples/m.json")).unwrap();
    for (folder, file) in [("a", "gone"), ("b", "new")] {
        place.write(&format!("{folder}/{file}.yaml"), MAPPING);
        place.write(&format!("{folder}/samples/{file}.json"), &samples);
    }
    place.write("b/m.yaml", MAPPING);
    let (status, out, errors) = diff(&place, &["a", "b"]);
    assert_eq!(status, 1, "{errors}");
    assert!(out.contains("a/gone.yaml: only before\n") && out.contains("b/new.yaml: only after\n"), "{out}");
    assert!(out.contains("2 rows before, 0 after; 0 changed, 0 added, 2 removed"), "{out}");
    assert!(out.ends_with("1 mapping without a difference\n"), "{out}");
    assert_eq!(diff(&place, &["a", "a"]).0, 0);
}

#[test]
fn a_built_in_mapping_is_named_and_other_records_of_a_sample_are_left_out() {
    let place = Workplace::new();
    let families = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize/families/microsoft/defender-xdr");
    let own = std::fs::read_to_string(families.join("DeviceProcessEvents.yaml")).unwrap();
    place.write("own.yaml", own.replace("EventSeverity = \"Informational\"", "EventSeverity = \"Low\""));
    let name = "microsoft/defender-xdr/DeviceProcessEvents";
    let (status, out, errors) = diff(&place, &[name, "own.yaml"]);
    assert_eq!(status, 1, "{errors}");
    assert!(out.contains("  EventSeverity") && out.contains("\"Informational\" → \"Low\""), "{out}");
    let mut samples = std::fs::read_to_string(families.join("samples/DeviceLogonEvents.json")).unwrap();
    place.write("other.json", &samples);
    let (status, _, errors) = diff(&place, &[name, "own.yaml", "--sample", "other.json"]);
    assert_eq!(status, 64);
    assert!(errors.contains("no record of `DeviceProcessEvents` in other.json"), "{errors}");
    samples +=
        std::fs::read_to_string(families.join("samples/DeviceProcessEvents.json")).unwrap().lines().next().unwrap();
    place.write("both.json", samples);
    let (_, out, _) = diff(&place, &[name, "own.yaml", "--sample", "both.json"]);
    assert!(out.contains("1 record of both.json: 1 row before, 1 after; 1 changed"), "{out}");
}

#[test]
fn what_cannot_be_compared_has_a_status_of_its_own() {
    let place = place();
    place.write("b/m.yaml", MAPPING.replace("= Protocol", "= Protocl"));
    place.write("d/m.yaml", MAPPING);
    for (args, told) in [
        (vec!["a/m.yaml", "b/m.yaml"], "unknown column `Protocl`"),
        (vec!["a/m.yaml", "b"], "`b` is a folder and `a/m.yaml` is not"),
        (vec!["a/m.yaml", "nowhere.yaml"], "`nowhere.yaml` cannot be read"),
        (vec!["d/m.yaml", "d/m.yaml"], "no samples at `d/samples/m.json`"),
        (vec!["a/m.yaml", "a/m.yaml", "--sample", "none.json"], "`none.json` cannot be read"),
    ] {
        let (status, _, errors) = diff(&place, &args);
        assert_eq!(status, 64, "{args:?}: {errors}");
        assert!(errors.contains(told), "{args:?}: {errors}");
    }
}
