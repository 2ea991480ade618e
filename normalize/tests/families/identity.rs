//! Identity: the same record gives the same ids and times on every replay, however the records are batched; other
//! records give other ids.

use std::collections::HashMap;

use serde_json::{Map, Value};
use weir_contract::batch::RowKind;

use super::{compile, decode, file_of, mappings, normalizer, rows};
use weir_normalize::mapping::Mapping;

const OF_IDENTITY: [&str; 5] = ["EventOriginalUid", "EventUid", "TimeGenerated", "EventStartTime", "EventEndTime"];

/// The rows that a mapping makes of each of these texts of records, one batch after the other.
fn replayed<'a>(mapping: &Mapping, texts: impl Iterator<Item = &'a str>) -> Vec<Map<String, Value>> {
    let normalizer = normalizer(compile(vec![mapping.clone()]));
    let mut made = Vec::new();
    for text in texts {
        for batch in decode(text) {
            for batch in normalizer.normalize(batch).batches {
                if batch.kind == RowKind::Normalized {
                    made.extend(rows(&batch.rows));
                }
                batch.ack.done();
            }
        }
    }
    made
}

fn identities(rows: &[Map<String, Value>]) -> Vec<String> {
    let mut all: Vec<String> = rows
        .iter()
        .map(|row| OF_IDENTITY.map(|column| row.get(column).unwrap_or(&Value::Null).to_string()).join(" "))
        .collect();
    all.sort();
    all
}

fn samples(mapping: &Mapping) -> String {
    let path = file_of(mapping, "samples");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_replay_gives_the_same_ids_and_times() {
    let mut compared = 0;
    for mapping in mappings() {
        let text = samples(&mapping);
        let at_once = replayed(&mapping, std::iter::once(&*text));
        let one_by_one = replayed(&mapping, text.lines().rev());
        assert_eq!(identities(&at_once), identities(&one_by_one), "{}", mapping.name);
        compared += at_once.len();
    }
    assert!(compared > 500, "{compared} rows");
}

#[test]
fn every_row_has_an_id_that_no_other_record_has() {
    let mut faults = Vec::new();
    for mapping in mappings() {
        let text = samples(&mapping);
        let mut of_id: HashMap<String, &str> = HashMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            for row in replayed(&mapping, std::iter::once(line)) {
                let Some(Value::String(id)) = row.get("EventOriginalUid") else {
                    faults.push(format!("{}: no EventOriginalUid of {line}", mapping.name));
                    continue;
                };
                if let Some(other) = of_id.insert(id.clone(), line)
                    && other != line
                {
                    faults.push(format!("{}: `{id}` of\n  {other}\nand\n  {line}", mapping.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
