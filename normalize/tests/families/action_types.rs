//! Each table that Defender XDR streams, and each known action type of a mapped one, has samples that some mapping
//! claims, or stands in `lake_only.csv`: such rows have samples, too, and pass through whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value};
use weir_contract::batch::RowKind;
use weir_contract::schema::ColumnType;
use weir_ingest::schema::{RawTables, action_types, streamed_tables};
use weir_normalize::coverage::Coverage;
use weir_normalize::coverage::notes::LakeOnly;

use super::{compile, decode, families, mappings, normalizer, rows};

/// A raw table and an action type, in lower case: they are compared without regard to case.
type Kind = (String, String);

/// What all mappings together leave of a folder's samples.
struct Samples {
    /// Kinds of which some sample becomes an ASIM row.
    claimed: BTreeSet<Kind>,
    /// The samples that become none, by kind.
    left: BTreeMap<Kind, Vec<Map<String, Value>>>,
}

fn kind(table: &str, row: &Map<String, Value>) -> Kind {
    (table.to_owned(), row.get("ActionType").and_then(Value::as_str).unwrap_or_default().to_lowercase())
}

fn samples() -> Samples {
    let all = normalizer(compile(mappings()));
    let mut samples = Samples { claimed: BTreeSet::new(), left: BTreeMap::new() };
    for entry in std::fs::read_dir(families().join("microsoft/defender-xdr/samples")).unwrap() {
        for batch in decode(&std::fs::read_to_string(entry.unwrap().path()).unwrap()) {
            let table = batch.table.to_string();
            let mut claimed: Vec<Map<String, Value>> = rows(&batch.rows);
            for batch in all.normalize(batch).batches {
                if batch.kind == RowKind::Raw {
                    assert_eq!(*batch.table, table);
                    for row in rows(&batch.rows) {
                        let at = claimed.iter().position(|sample| *sample == row);
                        claimed.remove(at.expect("a row that passes through is one that came, whole"));
                        samples.left.entry(kind(&table, &row)).or_default().push(row);
                    }
                }
                batch.ack.done();
            }
            samples.claimed.extend(claimed.iter().map(|row| kind(&table, row)));
        }
    }
    samples
}

fn lake_only() -> Vec<LakeOnly> {
    Coverage::of_folder(&families()).expect("the families can be read").lake_only
}

#[test]
fn each_streamed_table_and_each_known_action_type_is_mapped_or_left_to_the_lake_on_purpose() {
    let samples = samples();
    let mut faults = Vec::new();
    let listed = lake_only();
    let mapped: HashSet<String> = mappings().iter().map(|mapping| mapping.source_table.to_string()).collect();
    for table in streamed_tables() {
        match (mapped.contains(table), listed.iter().any(|left| left.table == table && left.action_type.is_none())) {
            (true, true) => faults.push(format!("{table}: mapped, though it is listed as lake only")),
            (false, false) => faults.push(format!("{table}: neither mapped nor listed as lake only")),
            _ => {}
        }
    }
    assert_eq!(streamed_tables().count(), 30);
    let mut known = 0;
    for (table, action) in action_types().filter(|(table, _)| mapped.contains(*table)) {
        known += 1;
        let is_listed = listed
            .iter()
            .any(|left| left.table == table && left.action_type.as_deref() == Some(action) && left.rows.is_none());
        match (samples.claimed.contains(&(table.to_owned(), action.to_lowercase())), is_listed) {
            (true, true) => faults.push(format!("{table} {action}: claimed, though it is listed as lake only")),
            (false, false) => faults.push(format!("{table} {action}: no sample of it is claimed")),
            _ => {}
        }
    }
    assert!(known > 400, "{known} action types are known");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_listed_as_lake_only_has_samples_that_pass_through_and_no_others_do() {
    let mut samples = samples();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for listed in lake_only() {
        let kind = (listed.table.clone(), listed.action_type.clone().unwrap_or_default().to_lowercase());
        let told = format!("{} {}", listed.table, listed.action_type.as_deref().unwrap_or_default());
        if !seen.insert(kind.clone()) {
            faults.push(format!("{told}: listed twice"));
        }
        if samples.left.remove(&kind).is_none() {
            faults.push(format!("{told}: no sample of it passes through"));
        }
        if listed.rows.is_some() && !samples.claimed.contains(&kind) {
            faults.push(format!("{told}: it is said that some rows are claimed, but no sample is"));
        }
        assert!(!listed.reason.is_empty(), "{told}: no reason is given");
    }
    // Samples of action types that no one knows show that those are not guessed at.
    let known: BTreeSet<Kind> =
        action_types().map(|(table, action)| (table.to_owned(), action.to_lowercase())).collect();
    let unlisted = samples.left.keys().filter(|kind| known.contains(*kind));
    faults.extend(unlisted.map(|(table, action)| format!("{table} {action}: passes through and is not listed")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_passes_through_has_every_value_of_its_record() {
    let text = std::fs::read_to_string(families().join("microsoft/defender-xdr/samples/lake_only.json")).unwrap();
    let tables = RawTables::builtin();
    let mut compared = 0;
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let mut decoded = decode(&format!("{line}\n"));
        assert_eq!(decoded.len(), 1);
        let batch = decoded.remove(0);
        let row = rows(&batch.rows).remove(0);
        let schema = tables.schema(&batch.table).unwrap();
        for (name, value) in record["properties"].as_object().unwrap() {
            let is_empty = value.is_null() || value == "";
            let expected = match (schema.column(name).map(|column| column.ty), value) {
                (_, _) if is_empty => continue,
                // Microseconds, of the stream's tenths.
                (Some(ColumnType::Datetime), Value::String(time)) => {
                    Value::from(weir_contract::datetime::format_iso(weir_contract::datetime::parse_iso(time).unwrap()))
                }
                (Some(ColumnType::Dynamic), Value::String(json)) => serde_json::from_str(json).unwrap(),
                _ => value.clone(),
            };
            assert_eq!(row.get(name), Some(&expected), "{name} of {line}");
            compared += 1;
        }
        assert!(!row.contains_key("UnknownColumns"), "{line}");
        batch.ack.done();
    }
    assert!(compared > 1_000, "{compared} values");
}
