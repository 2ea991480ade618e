//! `weir kql run`: queries over files, and over nothing.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::weir::{Workplace, text, weir};

fn answer(args: &[&str]) -> Value {
    let output = weir(&[&["kql", "run", "--format", "json"][..], args].concat()).output().expect("the binary starts");
    assert!(output.status.success(), "{args:?}\n{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{}", text(&output.stdout)))
}

#[test]
fn a_query_without_tables_runs_by_itself() {
    let query = "print t = datetime(2024-01-02 03:04:05.123456), p = -25h, d = dynamic({'a':[1,null]}), r = real(nan), \
                 n = long(null), s = 'x', g = guid(74be27de-1e4e-49d9-b579-fe0b331d3642), b = true, i = int(3)";
    let found = answer(&["-e", query]);
    let types: Vec<&str> = found["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| column["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(types, ["datetime", "timespan", "dynamic", "real", "long", "string", "guid", "bool", "int"]);
    let guid = "74be27de-1e4e-49d9-b579-fe0b331d3642";
    let row = json!(["2024-01-02T03:04:05.1234560Z", "-1.01:00:00", {"a": [1, null]}, "NaN", null, "x", guid, true, 3]);
    assert_eq!(found["rows"], json!([row]));
    let query = "range x from 1 to 5 step 1 | join kind=inner (datatable(x:long, y:string)[2, 'b', 9, 'z']) on x | project x, y";
    assert_eq!(answer(&["-e", query])["rows"], json!([[2, "b"]]));
    assert_eq!(answer(&["-e", "datatable(a:long)[]"]), json!({"columns": [{"name": "a", "type": "long"}], "rows": []}));
}

#[test]
fn files_are_tables() {
    let place = Workplace::new();
    let csv = place
        .write("events.csv", "Time,Host,Count,Share\n2026-01-02T03:00:00Z,a,1,0.5\n2026-01-02T04:00:00Z,\"b,c\",2,\n");
    let json =
        place.write("hosts.jsonl", "{\"Host\":\"a\",\"Tags\":{\"os\":\"linux\"}}\n{\"Host\":\"z\",\"Tags\":null}\n");
    let tables = [format!("Events={}", csv.display()), format!("Hosts={}", json.display())];
    let query = "Events | join kind=leftouter Hosts on Host | project Time, Host, Count, Share, Os = tostring(Tags.os) | sort by Time asc";
    let found = answer(&["-e", query, "--table", &tables[0], "--table", &tables[1]]);
    let rows = json!([
        ["2026-01-02T03:00:00.0000000Z", "a", 1, 0.5, "linux"],
        ["2026-01-02T04:00:00.0000000Z", "b,c", 2, null, ""],
    ]);
    assert_eq!(found["rows"], rows);
    let query = place.write("query.kql", "Events\n| summarize sum(Count)\n").display().to_string();
    let output = weir(&["kql", "run", &query, "-t", &tables[0], "--format", "csv"]).output().expect("starts");
    assert_eq!(text(&output.stdout), "sum_Count\n3\n", "{}", text(&output.stderr));
}

#[test]
fn a_parquet_file_is_a_table() {
    let place = Workplace::new();
    place.write(
        "input/events.json",
        &crate::support::weir::own_samples()
            .into_iter()
            .find(|(name, _)| name == "DeviceLogonEvents")
            .expect("a sample")
            .1,
    );
    crate::support::weir::run_once(&place.files_to_lake());
    let mut folders = vec![place.path("lake/ASimAuthenticationEventLogs")];
    let mut file = None;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("_delta_log") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                file = Some(path);
            }
        }
    }
    let table = format!("T={}", file.expect("the lake has files").display());
    let found = answer(&["-e", "T | summarize n = count() by EventProduct | project n > 0", "--table", &table]);
    assert_eq!(found["rows"][0], json!([true]), "{found}");
}

#[test]
fn a_query_comes_from_standard_input_too() {
    let mut child = weir(&["kql", "run", "-", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"print x = 1 + 1").expect("read");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stdout), "x\n2\n");
}

#[test]
fn faults_say_what_to_do() {
    let run = |args: &[&str]| {
        let output = weir(&[&["kql", "run"][..], args].concat()).output().expect("the binary starts");
        (output.status.code(), text(&output.stderr))
    };
    let (code, error) = run(&["-e", "print x = strlen(1, 2)"]);
    assert_eq!(code, Some(64), "{error}");
    assert!(error.contains("query:1:") && error.contains('^'), "{error}");
    let (code, error) = run(&["-e", "T | count", "--table", "T=rows.txt"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("`rows.txt` is no `.csv`"), "{error}");
    let (code, error) = run(&["-e", "T | count", "--table", "T=nowhere.csv"]);
    assert!(code == Some(1) && error.contains("cannot read `nowhere.csv`"), "{error}");
    let (code, error) = run(&["-e", "T | count", "--table", "nothing"]);
    assert!(code == Some(2) && error.contains("NAME=FILE"), "{error}");
}
