//! `weir drift`: what no schema knows is listed with what to write.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::weir::{Workplace, own_samples, run_once, told, weir};

/// Process events with a new column and one of another type; one of them is of a kind that no mapping claims. Events of a
/// second table that shares its product with the first, and of a table that nobody knows.
fn records() -> String {
    let samples = own_samples();
    let sample = |name: &str| {
        let (_, text) = samples.iter().find(|(sample, _)| sample == name).expect("a sample");
        serde_json::from_str::<Value>(text.lines().next().expect("a line")).expect("JSON")
    };
    let mut records = Vec::new();
    for (number, action) in ["ProcessCreated", "ProcessCreated", "NeverSeen"].into_iter().enumerate() {
        let mut record = sample("DeviceProcessEvents");
        let row = &mut record["properties"];
        row["ActionType"] = action.into();
        row["Timestamp"] = format!("2026-11-2{number}T00:00:00Z").into();
        row["Shell.Kind"] = json!({"n": number});
        row["EventOwner"] = "soc".into();
        row["ProcessId"] = "unreadable".into();
        records.push(record);
    }
    let mut record = sample("DeviceEvents_Dns");
    record["properties"]["Resolver"] = "192.0.2.53".into();
    records.push(record);
    for number in 0..2 {
        records.push(json!({"category": "AdvancedHunting-BadgeEvents", "properties":
            {"Timestamp": "2026-11-20T09:00:00Z", "Door": "north", "Badge ID": number, "Seen": true}}));
    }
    records.iter().map(|record| format!("{record}\n")).collect()
}

fn drift(place: &Workplace, args: &[&str]) -> Value {
    let (status, out, errors) =
        told(weir(&[&["drift", "--format", "json"], args].concat()).current_dir(place.path("")));
    assert_eq!(status, 0, "{errors}");
    serde_json::from_str(&out).expect("one object")
}

fn column<'a>(report: &'a Value, name: &str) -> &'a Value {
    let columns = report["columns"].as_array().unwrap();
    columns.iter().find(|column| column["column"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

#[test]
fn a_lake_and_the_records_themselves_tell_the_same() {
    let place = Workplace::new();
    place.write("input/records.json", records());
    run_once(&place.files_to_lake());
    let of_records = drift(&place, &["input/records.json"]);
    let of_lake = drift(&place, &["--lake", "lake"]);
    assert_eq!(of_lake["columns"].as_array().map(Vec::len), of_records["columns"].as_array().map(Vec::len));
    for report in [&of_lake, &of_records] {
        let kind = column(report, "Shell.Kind");
        assert_eq!(kind["tables"], json!(["DeviceProcessEvents"]), "mapped rows and raw ones are of one table");
        assert_eq!((&kind["rows"], &kind["type"], &kind["state"]), (&json!(3), &json!("dynamic"), &json!("unknown")));
        assert_eq!(kind["first"], "2026-11-20T00:00:00.0000000Z");
        assert_eq!(kind["last"], "2026-11-22T00:00:00.0000000Z");
        assert_eq!(kind["stream_column"], json!({"name": "Shell_Kind", "type": "dynamic"}));
        let line = &kind["mapping"][0];
        assert_eq!(line["file"], "microsoft/defender-xdr/DeviceProcessEvents.yaml");
        assert_eq!(line["line"], "\"Shell.Kind\", UnknownColumns['Shell.Kind']");
        let owner = &column(report, "EventOwner")["mapping"][0];
        assert_eq!(owner["place"], "extend");
        assert_eq!(owner["line"], "EventOwner = tostring(UnknownColumns.EventOwner)");
        let id = column(report, "ProcessId");
        assert_eq!((&id["state"], &id["schema_type"]), (&json!("mistyped"), &json!("long")));
        assert_eq!(column(report, "Resolver")["tables"], json!(["DeviceEvents"]), "the action type tells");
        assert_eq!(report["tables"][0]["rows"], 2);
    }
    assert_eq!(of_lake["tables"], of_records["tables"]);
    let none = drift(&place, &["--config", "weir.yaml", "--since", "1s"]);
    assert_eq!((&none["columns"], &none["tables"]), (&json!([]), &json!([])));
    let (status, out, _) = told(weir(&["drift", "--lake", "lake"]).current_dir(place.path("")));
    assert!(status == 0 && out.ends_with("4 columns and 1 table drifted\n"), "{out}");
}

#[test]
fn proposed_lines_and_mappings_are_sound() {
    let place = Workplace::new();
    place.write("records.json", records());
    let report = drift(&place, &["records.json"]);
    let line = |name: &str| column(&report, name)["mapping"][0]["line"].as_str().unwrap().to_owned();
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize/families/microsoft/defender-xdr");
    let mapping = std::fs::read_to_string(families.join("DeviceProcessEvents.yaml")).unwrap();
    let mapping = mapping
        .replace("pack_nonempty(\n", &format!("pack_nonempty({},\n", line("Shell.Kind")))
        .replace("EventVendor = ", &format!("{},\n      EventVendor = ", line("EventOwner")))
        .replace("TimeGenerated, EventVendor,", "TimeGenerated, EventOwner, EventVendor,");
    place.write("microsoft/defender-xdr/DeviceProcessEvents.yaml", mapping);
    let table = &report["tables"][0];
    place.write("own/BadgeEvents.yaml", table["mapping"].as_str().unwrap());
    for file in ["microsoft", "own"] {
        let (status, out, errors) = told(weir(&["kql", "check", file]).current_dir(place.path("")));
        assert_eq!(status, 0, "{out}{errors}");
    }
    place.write("own/samples/BadgeEvents.json", records().lines().skip(4).collect::<Vec<_>>().join("\n"));
    let (status, out, errors) = told(weir(&["test", "own", "--update"]).current_dir(place.path("")));
    assert_eq!(status, 0, "{out}{errors}");
    let rows = std::fs::read_to_string(place.path("own/expected/BadgeEvents.json")).unwrap();
    let row: Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!((&row["table"], &row["Badge_ID"], &row["Seen"]), (&json!("BadgeEvents_CL"), &json!(1), &json!(true)));
    assert_eq!(row["TimeGenerated"], "2026-11-20T09:00:00.0000000Z");
    let stream = &table["stream"]["Custom-BadgeEvents"]["columns"];
    let types: Vec<_> = stream.as_array().unwrap().iter().map(|column| column["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["datetime", "datetime", "string", "long", "boolean", "dynamic"]);
    // What a mapping in force reads is no drift any more.
    let after = drift(&place, &["records.json", "--mappings", "own"]);
    assert_eq!(after["tables"], json!([]));
}

#[test]
fn records_that_name_no_table_and_refused_ones_are_told() {
    let place = Workplace::new();
    place.write("records.json", "{\"a\":1}\n{\"category\":\n");
    let report = drift(&place, &["records.json"]);
    assert_eq!((&report["refused"], &report["tables"][0]["table"]), (&json!(1), &json!("UnroutedEvents")));
    assert_eq!(report["tables"][0]["mapping"], Value::Null);
    let (status, _, errors) = told(&mut weir(&["drift"]));
    assert_eq!(status, 2, "{errors}");
    let (status, _, errors) = told(&mut weir(&["drift", "--lake", "/nowhere/at/all"]));
    assert!(status == 1 && errors.contains("no tables at `/nowhere/at/all`"), "{errors}");
}
