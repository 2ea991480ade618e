//! What a mapping looks up in another raw table of its batch: the evidence of an alert in the alert's own row, and the
//! rules of the lookup itself over tables of the test's own.

use serde_json::{Map, Value, json};
use weir_contract::batch::{Batch, RowKind};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::Mode;
use weir_normalize::library::Library;
use weir_normalize::mapping::Mapping;

use super::one_row::expect;
use super::{compile, decode, mappings, normalizer, rows};

type Rows = Vec<Map<String, Value>>;

const ALERT: &str = "da0123456789abcdef0123456789abcd01_1";

fn record(table: &str, properties: Value) -> Value {
    let mut all = json!({"Timestamp": "2026-11-20T09:00:00Z", "AlertId": ALERT});
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    json!({
        "time": "2026-11-20T09:16:00Z", "tenantId": "aaaaaaaa-0000-4000-8000-000000000001",
        "category": format!("AdvancedHunting-{table}"), "properties": all,
    })
}

fn info(properties: Value) -> Value {
    let mut all = json!({
        "Title": "Malware found", "Severity": "high", "Category": "Malware",
        "AttackTechniques": "[\"User Execution (T1204)\"]", "ServiceSource": "Microsoft Defender for Endpoint", "DetectionSource": "Antivirus",
    });
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    record("AlertInfo", all)
}

/// A row of evidence that says nothing about its alert but the id.
fn evidence(properties: Value) -> Value {
    let mut all = json!({"EntityType": "Ip", "RemoteIP": "198.51.100.9"});
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    record("AlertEvidence", all)
}

fn batches(records: &[Value]) -> Vec<Batch> {
    decode(&records.iter().map(|record| format!("{record}\n")).collect::<String>())
}

/// The ASIM rows that the records of one batch become: those of AlertInfo, and those of AlertEvidence.
fn made(records: &[Value]) -> (Rows, Rows) {
    let all = normalizer(compile(mappings()));
    let (mut of_info, mut of_evidence) = (Vec::new(), Vec::new());
    for normalized in all.normalize_all(batches(records)) {
        let name = normalized.outcomes[0].mapping.rsplit('/').next().unwrap().to_owned();
        for batch in normalized.batches {
            assert_eq!(batch.kind, RowKind::Normalized, "no row passes through");
            match &*name {
                "AlertInfo" => of_info.extend(rows(&batch.rows)),
                "AlertEvidence" => of_evidence.extend(rows(&batch.rows)),
                other => panic!("{other} claims a row"),
            }
            batch.ack.done();
        }
    }
    (of_info, of_evidence)
}

fn of_the_alert() -> Value {
    json!({
        "AlertName": "Malware found", "EventSeverity": "High", "EventOriginalSeverity": "high",
        "EventSubType": "Threat", "AttackTechniques": "User Execution (T1204)", "DetectionMethod": "Antivirus",
        "ThreatCategory": "Malware", "ThreatOriginalCategory": "Malware",
    })
}

fn of_nothing() -> Value {
    json!({
        "AlertName": null, "EventSeverity": null, "EventOriginalSeverity": null, "EventSubType": "Suspicious Activity",
        "AttackTactics": null, "AttackTechniques": null, "DetectionMethod": null, "ThreatCategory": null,
        "ThreatOriginalCategory": null,
    })
}

#[test]
fn evidence_has_what_its_alert_says_whichever_comes_first_and_both_keep_their_rows() {
    let second = json!({"EntityType": "User", "AccountName": "dana"});
    let orders = [
        [info(json!({})), evidence(json!({})), evidence(second.clone())],
        [evidence(json!({})), evidence(second.clone()), info(json!({}))],
        [evidence(json!({})), info(json!({})), evidence(second)],
    ];
    for records in orders {
        let (of_info, of_evidence) = made(&records);
        assert_eq!((of_info.len(), of_evidence.len()), (1, 2));
        expect(&of_info[0], of_the_alert());
        expect(&of_info[0], json!({"IndicatorType": null, "Username": null}));
        for row in &of_evidence {
            expect(row, of_the_alert());
            let bag = &row["AdditionalFields"];
            assert_eq!(bag["ServiceSource"], json!("Microsoft Defender for Endpoint"));
            assert_eq!(bag["DetectionSource"], json!("Antivirus"));
        }
        expect(&of_evidence[0], json!({"IndicatorType": "Ip", "Username": null}));
        expect(&of_evidence[1], json!({"IndicatorType": "User", "Username": "dana"}));
    }
}

#[test]
fn what_the_evidence_says_itself_wins() {
    let own = json!({
        "Title": "Suspicious script", "Severity": "Low", "Categories": "[\"Execution\"]",
        "AttackTechniques": "[\"PowerShell (T1059.001)\"]", "ServiceSource": "Microsoft Defender for Identity",
        "DetectionSource": "EDR",
    });
    let alone = made(&[evidence(own.clone())]).1;
    expect(&alone[0], json!({"AlertName": "Suspicious script", "EventSeverity": "Low", "AttackTactics": "Execution"}));
    assert_eq!(made(&[info(json!({})), evidence(own)]).1, alone);
}

#[test]
fn evidence_without_its_alert_in_the_batch_is_as_it_came() {
    let other = info(json!({"AlertId": "da0123456789abcdef0123456789abcd02_1"}));
    for records in [vec![evidence(json!({}))], vec![other.clone(), evidence(json!({}))]] {
        let (of_info, of_evidence) = made(&records);
        assert_eq!((of_info.len(), of_evidence.len()), (records.len() - 1, 1));
        expect(&of_evidence[0], of_nothing());
    }
    // One normalizer, two batches one after the other: what came in the first is not remembered.
    let all = normalizer(compile(mappings()));
    let first = all.normalize_all(batches(&[info(json!({}))]));
    let second = all.normalize_all(batches(&[evidence(json!({}))]));
    expect(&rows(&second[0].batches[0].rows)[0], of_nothing());
    for normalized in first.into_iter().chain(second) {
        normalized.batches.into_iter().for_each(|batch| batch.ack.done());
    }
}

#[test]
fn an_empty_alert_id_meets_nothing() {
    for id in [json!(""), Value::Null] {
        let (of_info, of_evidence) = made(&[info(json!({"AlertId": id})), evidence(json!({"AlertId": id}))]);
        assert_eq!((of_info.len(), of_evidence.len()), (1, 1));
        expect(&of_info[0], json!({"AlertName": "Malware found"}));
        expect(&of_evidence[0], of_nothing());
    }
}

#[test]
fn of_several_rows_of_an_alert_the_last_one_that_says_something_counts() {
    let updated =
        info(json!({"Title": "Malware found and removed", "Severity": null, "Category": "", "DetectionSource": "EDR"}));
    let (of_info, of_evidence) = made(&[info(json!({})), evidence(json!({})), updated]);
    assert_eq!((of_info.len(), of_evidence.len()), (2, 1), "an alert that came twice does not double its evidence");
    expect(
        &of_evidence[0],
        json!({
            "AlertName": "Malware found and removed", "EventSeverity": "High", "ThreatCategory": "Malware",
            "DetectionMethod": "EDR",
        }),
    );
}

#[test]
fn the_identity_of_evidence_is_its_own_with_and_without_its_alert() {
    let alone = made(&[evidence(json!({}))]).1;
    let met = made(&[info(json!({})), evidence(json!({}))]).1;
    assert_ne!(alone[0].get("AlertName"), met[0].get("AlertName"));
    for column in ["EventOriginalUid", "EventUid", "AlertId", "EventStartTime", "TimeGenerated"] {
        assert_eq!(alone[0][column], met[0][column], "{column}");
    }
}

/// A mapping of DeviceEvents that looks up `columns` of DeviceProcessEvents by the report id, and shows `shown`.
fn of_reports(name: &str, columns: &str, shown: &str) -> Mapping {
    let text = format!(
        "SourceRawTable: DeviceEvents\nTargetASIMTable: {name}_CL\nBatchLookup:\n  Table: DeviceProcessEvents\n  \
         On: ReportId\n  Columns: {columns}\nParserQuery: |\n  DeviceEvents | project TimeGenerated, ActionType, {shown}\n"
    );
    Mapping::parse(name, &format!("{name}.yaml"), &text).unwrap()
}

fn report(table: &str, id: i64, properties: Value) -> Value {
    let mut record = record(table, properties);
    record["properties"]["ReportId"] = json!(id);
    record
}

#[test]
fn rows_meet_by_a_number_over_several_batches_and_mappings_share_what_they_look_up() {
    let one = of_reports("one", "{Command: ProcessCommandLine, ProcessBag: AdditionalFields}", "Command, ProcessBag");
    let two = of_reports("two", "{Command: ProcessCommandLine, Size: FileSize}", "Command, Size");
    let library = compile(vec![one, two]);
    let all = normalizer(library);
    let mut input =
        batches(&[report("DeviceProcessEvents", 7, json!({"ProcessCommandLine": "a.exe /x", "FileSize": 12}))]);
    input.extend(batches(&[
        report("DeviceEvents", 7, json!({"ActionType": "A"})),
        report("DeviceEvents", 8, json!({"ActionType": "B"})),
        report("DeviceEvents", 9, json!({"ActionType": "C"})),
        report("DeviceProcessEvents", 8, json!({"ProcessCommandLine": "b.exe", "AdditionalFields": "{\"k\":[1]}"})),
    ]));
    let mut made = Vec::new();
    for normalized in all.normalize_all(input) {
        for batch in normalized.batches {
            if batch.kind == RowKind::Normalized {
                made.extend(rows(&batch.rows).into_iter().map(|mut row| {
                    row.remove("TimeGenerated");
                    (batch.table.to_string(), Value::Object(row))
                }));
            } else {
                assert_eq!(&*batch.table, "DeviceProcessEvents", "its rows pass through, as they came");
                assert!(batch.rows.column_by_name("Command").is_none());
            }
            batch.ack.done();
        }
    }
    let expected = [
        ("one_CL", json!({"ActionType": "A", "Command": "a.exe /x"})),
        ("one_CL", json!({"ActionType": "B", "Command": "b.exe", "ProcessBag": {"k": [1]}})),
        ("one_CL", json!({"ActionType": "C"})),
        ("two_CL", json!({"ActionType": "A", "Command": "a.exe /x", "Size": 12})),
        ("two_CL", json!({"ActionType": "B", "Command": "b.exe"})),
        ("two_CL", json!({"ActionType": "C"})),
    ];
    assert_eq!(made, expected.map(|(table, row)| (table.to_owned(), row)));
}

#[test]
fn a_filter_may_ask_for_what_is_looked_up_and_rows_that_it_leaves_pass_through_as_they_came() {
    let mapping = of_reports("kept", "{Command: ProcessCommandLine}", "Command | where isnotempty(Command)");
    let all = normalizer(compile(vec![mapping]));
    let input = batches(&[
        report("DeviceEvents", 7, json!({"ActionType": "A"})),
        report("DeviceEvents", 8, json!({"ActionType": "B"})),
        report("DeviceProcessEvents", 8, json!({"ProcessCommandLine": "b.exe"})),
    ]);
    let columns = input.iter().find(|batch| &*batch.table == "DeviceEvents").unwrap().rows.num_columns();
    let (mut mapped, mut left) = (Vec::new(), Vec::new());
    for batch in all.normalize_all(input).into_iter().flat_map(|normalized| normalized.batches) {
        match (batch.kind, &*batch.table) {
            (RowKind::Normalized, _) => mapped.extend(rows(&batch.rows)),
            (_, "DeviceEvents") => {
                assert_eq!(batch.rows.num_columns(), columns);
                left.extend(rows(&batch.rows));
            }
            _ => {}
        }
        batch.ack.done();
    }
    assert_eq!((mapped.len(), left.len()), (1, 1));
    expect(&mapped[0], json!({"ActionType": "B", "Command": "b.exe"}));
    expect(&left[0], json!({"ActionType": "A", "ReportId": 7}));
}

/// The faults of mappings of the table `Own`, each with its `BatchLookup`; the other table is `Other`.
fn faults(lookups: &[&str]) -> Vec<String> {
    let tables = [
        ("Own", vec![("Id", ColumnType::String), ("Bag", ColumnType::Dynamic), ("Number", ColumnType::Int)]),
        ("Other", vec![("Id", ColumnType::String), ("Bag", ColumnType::Dynamic), ("Number", ColumnType::Long)]),
    ];
    let schema = |name: &str| {
        let (_, columns) = tables.iter().find(|(table, _)| *table == name)?;
        let time = [("TimeGenerated", ColumnType::Datetime)];
        let columns = time.iter().chain(columns).map(|(name, ty)| Column::new(name, *ty)).collect();
        Some(TableSchema { name: name.into(), columns })
    };
    let mapping = |(number, lookup): (usize, &&str)| {
        let text = format!(
            "SourceRawTable: Own\nTargetASIMTable: Own_CL\nParserQuery: Own | project TimeGenerated\n\
             BatchLookup:\n{lookup}"
        );
        Mapping::parse(&format!("m{number}"), &format!("m{number}.yaml"), &text).unwrap()
    };
    let mappings = lookups.iter().enumerate().map(mapping).collect();
    match Library::compile(mappings, schema, Mode::Strict) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults,
    }
}

#[test]
fn a_lookup_that_does_not_fit_its_tables_is_refused_with_line_and_help() {
    let lookup =
        |table: &str, key: &str, columns: &str| format!("  Table: {table}\n  On: {key}\n  Columns:\n    {columns}\n");
    for (text, expected) in [
        (lookup("Other", "Id", "More: Number"), vec![]),
        (
            lookup("Othre", "Id", "More: Number"),
            vec!["m0.yaml:5: no schema is known for the raw table `Othre`; check `Table`, or declare"],
        ),
        (
            lookup("Other", "Ids", "More: Nummer"),
            vec![
                "m0.yaml:6: `Own` has no column `Ids`; did you mean `Id`?",
                "m0.yaml:6: `Other` has no column `Ids`; did you mean `Id`?",
                "m0.yaml:8: `Other` has no column `Nummer`; did you mean `Number`?",
            ],
        ),
        (
            lookup("Other", "Number", "More: Id"),
            vec!["m0.yaml:6: the key `Number` is int in `Own` and long in `Other`; rows meet by a column"],
        ),
        (
            lookup("Other", "Bag", "More: Id"),
            vec!["m0.yaml:6: the key `Bag` is dynamic, of which equal values may look"],
        ),
        (
            lookup("Other", "Id", "Number: Number"),
            vec!["m0.yaml:8: `Own` has a column `Number` of its own; give the looked up one another name"],
        ),
    ] {
        let found = faults(&[&text]);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
        }
    }
    let (number, bag) = (lookup("Other", "Id", "More: Number"), lookup("Other", "Id", "More: Bag"));
    assert_eq!(faults(&[&number, &number]), Vec::<String>::new());
    let clash = "m1.yaml: another mapping of `Own` looks up something else as `More`; give it another name here";
    assert_eq!(faults(&[&number, &bag]), [clash]);
}
