//! `weir asim check`, on every kind of place that rows stand in.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::weir::{Workplace, own_samples, run_once, text, weir};
use crate::support::workspace::connected;

fn check(args: &[&str]) -> Output {
    weir(&[&["asim", "check"], args].concat()).output().unwrap()
}

/// The report as JSON, and the exit status.
fn report(args: &[&str]) -> (Value, i32) {
    let output = check(&[args, &["--format", "json"]].concat());
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    (report, output.status.code().unwrap())
}

/// `rule field` of every finding that is worse than an info.
fn told(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] != "info");
    findings.map(|f| format!("{} {}", f["rule"].as_str().unwrap(), f["field"].as_str().unwrap())).collect()
}

fn as_text(path: &Path) -> String {
    path.display().to_string()
}

/// Two rows, the second with faults in three fields.
fn rows() -> [Value; 2] {
    [
        json!({"table": "ASimDnsActivityLogs", "TimeGenerated": "2026-11-20T10:00:00Z", "EventResult": "Success",
            "EventCount": 1, "SrcIpAddr": "192.0.2.1", "AdditionalFields": {"a": "b"}}),
        json!({"table": "ASimDnsActivityLogs", "TimeGenerated": "2026-11-20T10:00:01Z", "EventResult": "success",
            "EventCount": 0, "SrcIpAddr": "::ffff:192.0.2.1", "AdditionalFields": {"a": "b"}}),
    ]
}

const FAULTS: [&str; 3] = ["W1 EventResult", "W13 SrcIpAddr", "W18 EventCount"];

#[test]
fn json_and_csv_tell_the_same_of_the_same_rows() {
    let place = Workplace::new();
    let rows = rows();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let csv: String = rows.iter().fold(
        "table,TimeGenerated,EventResult,EventCount,SrcIpAddr,AdditionalFields\n".into(),
        |csv, row| {
            let cell = |name: &str| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned);
            let bag = cell("AdditionalFields").replace('"', "\"\"");
            let cells = ["table", "TimeGenerated", "EventResult", "EventCount", "SrcIpAddr"].map(cell).join(",");
            csv + &format!("{cells},\"{bag}\"\n")
        },
    );
    let files = [
        (place.write("a/rows.jsonl", &lines), 2),
        (place.write("b/rows.json", json!(rows).to_string()), 2),
        (place.write("c/rows.csv", csv), 3),
    ];
    let (expected, _) = report(&[&as_text(&files[0].0)]);
    for (path, number) in files {
        let (report, status) = report(&[&as_text(&path)]);
        assert_eq!(told(&report), told(&expected), "{}", path.display());
        assert!(FAULTS.iter().all(|fault| told(&report).contains(*fault)), "{report:#}");
        assert_eq!((status, report["errors"] == 0), (1, false));
        let spelling = report["findings"].as_array().unwrap().iter().find(|finding| finding["rule"] == "W1").unwrap();
        assert_eq!(spelling["value"], "success");
        assert_eq!((spelling["count"].as_u64(), spelling["rows"].as_u64()), (Some(1), Some(2)));
        assert_eq!(spelling["example"], format!("{}:{number}", path.display()));
    }
}

#[test]
fn the_expected_rows_of_the_families_have_no_error() {
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize/families");
    let mut checked = 0;
    for vendor in ["aws/cloudtrail", "microsoft/defender-xdr"] {
        let (report, status) = report(&[&as_text(&families.join(vendor).join("expected"))]);
        assert_eq!((report["errors"].as_u64(), status), (Some(0), 0), "{report:#}");
        checked += report["infos"].as_u64().unwrap();
    }
    assert!(checked > 0, "optional fields are empty somewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_its_tables_and_the_stand_in_have_no_error_after_a_run() {
    let (server, place, config) = connected("").await;
    for (table, samples) in own_samples() {
        place.write(&format!("input/{table}.json"), samples);
    }
    let url = server.url();
    tokio::task::spawn_blocking(move || {
        run_once(&config);
        let lake = as_text(&place.path("lake"));
        let (whole, status) = report(&[&lake]);
        assert_eq!((whole["errors"].as_u64(), status), (Some(0), 0), "{whole:#}");
        let (of_config, _) = report(&["lake", "-c", &as_text(&config)]);
        assert_eq!(whole, of_config);
        let (table, status) = report(&[&format!("{lake}/ASimProcessEventLogs")]);
        assert_eq!(status, 0);
        let of_table = |report: &Value| {
            let findings = report["findings"].as_array().unwrap().clone();
            findings.into_iter().filter(|finding| finding["table"] == "ASimProcessEventLogs").collect::<Vec<_>>()
        };
        assert!(!of_table(&table).is_empty());
        assert_eq!(of_table(&table), of_table(&whole));
        let (sent, status) = report(&["stand-in", "--url", &url]);
        assert_eq!((sent["errors"].as_u64(), status), (Some(0), 0), "{sent:#}");
        assert!(!of_table(&sent).is_empty());
        // The files of one table by themselves, without their log.
        let bare = place.path("bare/ASimProcessEventLogs");
        std::fs::create_dir_all(&bare).unwrap();
        for entry in walk(&place.path("lake/ASimProcessEventLogs")) {
            if entry.extension().is_some_and(|extension| extension == "parquet")
                && !as_text(&entry).contains("_delta_log")
            {
                std::fs::copy(&entry, bare.join(entry.file_name().unwrap())).unwrap();
            }
        }
        let (files, status) = report(&[&as_text(&place.path("bare"))]);
        assert_eq!(status, 0, "{files:#}");
        assert_eq!(told(&files), told(&table));
    })
    .await
    .unwrap();
    server.shutdown().await;
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn the_official_report_is_lines_of_the_testers_and_nothing_of_weirs_own() {
    let place = Workplace::new();
    let lines: String = rows().iter().map(|row| format!("{row}\n")).collect();
    let path = as_text(&place.write("rows.jsonl", lines));
    let output = check(&[&path, "--official"]);
    assert_eq!(output.status.code(), Some(1), "the schema tester misses the aliases of a native table");
    let printed = text(&output.stdout);
    assert!(printed.lines().is_sorted() && printed.lines().all(|line| line.starts_with('(')), "{printed}");
    let (official, _) = report(&[&path, "--official"]);
    let findings = official["findings"].as_array().unwrap();
    assert_eq!(findings.len(), printed.lines().count());
    assert!(findings.iter().all(|finding| !finding["rule"].as_str().unwrap().starts_with('W')));
    // `success` passes there.
    assert!(!told(&official).contains("D7 EventResult"));
}

#[test]
fn a_wrong_command_line_ends_with_64_and_says_what_to_write() {
    let place = Workplace::new();
    let rows = as_text(&place.write("rows.jsonl", "{\"EventVendor\": \"x\"}\n"));
    let raw = as_text(&place.write("raw.jsonl", "{\"table\": \"DeviceEvents\", \"a\": 1}\n"));
    let odd = as_text(&place.write("rows.txt", "x"));
    let missing = as_text(&place.path("missing"));
    let config = as_text(&place.config("sources:\n  - name: a\n    files: {paths: [x]}\nsentinel: {endpoint: x}\n"));
    for (args, expected) in [
        (vec![&*rows, "--schema", "Process"], "`--schema` takes AgentEvent, AlertEvent"),
        (vec![&*missing], "give a file, a folder, `lake` or `stand-in`"),
        (vec![&*odd], "its name should end in .json"),
        (vec![&*raw], "there is nothing to check: found DeviceEvents"),
        (vec!["lake", "-c", &*config], "sentinel"),
        (vec!["stand-in", "--url", "x"], "`--url x` is no URL"),
    ] {
        let output = check(&args);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(expected), "{args:?}: {}", text(&output.stderr));
    }
    let broken = as_text(&place.write("broken.jsonl", "{\"EventVendor\": \"x\"}\n{\n"));
    let output = check(&[&broken]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("broken.jsonl:2: no JSON object"), "{}", text(&output.stderr));
}
