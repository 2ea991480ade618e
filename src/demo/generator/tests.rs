//! What the events must be: JSON, whole by the documented columns, the same for a seed, joined to each other.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;

use chrono::{DateTime, TimeZone, Utc};
use serde_json::Value;

use super::{Generator, Written};

const SCHEMAS: &str = include_str!("../../../ingest/schemas/defender.csv");

/// Columns of the schema that the stream does not carry: names that only one reference page or one capture has.
const NEVER_STREAMED: [(&str, &str); 13] = [
    ("DeviceProcessEvents", "LogonID"),
    ("DeviceProcessEvents", "NetworkAdapterName"),
    ("DeviceNetworkEvents", "LogonID"),
    ("DeviceFileEvents", "LogonID"),
    ("EmailEvents", "LatestDeliveryAction"),
    ("EmailEvents", "LatestDeliveryLocation"),
    ("CloudAppEvents", "Isp"),
    ("IdentityLogonEvents", "Isp"),
    ("UrlClickEvents", "SourceSystem"),
    ("UrlClickEvents", "TenantId"),
    ("UrlClickEvents", "TimeGenerated"),
    ("UrlClickEvents", "Type"),
    ("AlertInfo", "ProcessCommandLine"),
];

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 8, 0, 0).single().unwrap()
}

fn defender(seed: u64, records: u64) -> (Vec<u8>, Written) {
    let mut out = Vec::new();
    let mut generator = Generator::new(seed, start());
    let written = generator.write_defender(&mut out, records).unwrap();
    assert_eq!((written.from, written.until), (start(), generator.now()));
    (out, written)
}

fn records(bytes: &[u8]) -> Vec<Value> {
    let mut records = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Value = serde_json::from_slice(line).unwrap();
        records.extend(message["records"].as_array().unwrap().iter().cloned());
    }
    records
}

fn table(record: &Value) -> &str {
    record["category"].as_str().unwrap().strip_prefix("AdvancedHunting-").unwrap()
}

fn schema() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut tables: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for line in SCHEMAS.lines().skip(1) {
        let mut cells = line.split(',');
        let (table, column, kind) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
        let columns = tables.entry(table.to_owned()).or_default();
        columns.insert(column.to_owned(), kind.to_owned());
        // A column may be filled by keys of other names, too.
        for key in cells.next().unwrap_or_default().split('|').filter(|key| !key.is_empty()) {
            columns.insert(key.to_owned(), kind.to_owned());
        }
    }
    tables
}

#[test]
fn every_message_is_json_and_every_record_is_counted() {
    let (bytes, written) = defender(1, 5000);
    assert_eq!(written.bytes, bytes.len() as u64);
    assert_eq!(written.records(), 5000);
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for record in records(&bytes) {
        *counted.entry(table(&record).to_owned()).or_default() += 1;
    }
    assert_eq!(counted, written.records_per_table);
    assert_eq!(counted.len(), 11, "every table is there");
    assert!(written.until > written.from);
    let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
    assert!(longest < 1 << 20, "a message of {longest} bytes is more than Event Hubs takes");
}

#[test]
fn keys_are_the_columns_of_the_table_and_none_is_missing() {
    let schema = schema();
    for record in records(&defender(2, 4000).0) {
        let columns = &schema[table(&record)];
        let properties = record["properties"].as_object().unwrap();
        for key in properties.keys() {
            assert!(columns.contains_key(key), "{} has no column {key}", table(&record));
        }
        for column in columns.keys().filter(|column| !properties.contains_key(*column)) {
            assert!(NEVER_STREAMED.contains(&(table(&record), column)), "{} lacks {column}", table(&record));
        }
    }
}

#[test]
fn values_have_the_types_of_their_columns() {
    let schema = schema();
    for record in records(&defender(3, 4000).0) {
        for (key, value) in record["properties"].as_object().unwrap() {
            let fits = match (schema[table(&record)][key].as_str(), value) {
                (_, Value::Null) => true,
                ("long" | "int", value) => value.is_i64(),
                ("bool", value) => value.is_boolean(),
                ("datetime", Value::String(text)) => DateTime::parse_from_rfc3339(text).is_ok(),
                ("dynamic", Value::String(text)) => serde_json::from_str::<Value>(text).is_ok(),
                ("dynamic", value) => value.is_array() || value.is_object(),
                ("string", value) => value.is_string(),
                _ => false,
            };
            assert!(fits, "{}.{key}: {value}", table(&record));
        }
    }
}

#[test]
fn action_types_are_those_of_the_table_and_all_of_the_mapped_tables_occur() {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (table, action) in weir_ingest::schema::action_types() {
        known.entry(table).or_default().insert(action);
    }
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in records(&defender(4, 25_000).0) {
        if let Some(action) = record["properties"]["ActionType"].as_str() {
            seen.entry(table(&record).to_owned()).or_default().insert(action.to_owned());
        }
    }
    for table in
        ["DeviceProcessEvents", "DeviceNetworkEvents", "DeviceFileEvents", "DeviceRegistryEvents", "DeviceLogonEvents"]
    {
        let seen: BTreeSet<&str> = seen[table].iter().map(String::as_str).collect();
        assert_eq!(seen, known[table], "{table}");
    }
    for action in &seen["DeviceEvents"] {
        assert!(known["DeviceEvents"].contains(action.as_str()), "DeviceEvents has no action {action}");
    }
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_seed_gives_others() {
    assert!(defender(5, 500).0 == defender(5, 500).0);
    assert!(defender(5, 500).0 != defender(6, 500).0);
    let mut first = Vec::new();
    let mut second = Vec::new();
    Generator::new(5, start()).write_cloudtrail(&mut first, 50).unwrap();
    Generator::new(5, start()).write_cloudtrail(&mut second, 50).unwrap();
    assert!(first == second);
}

#[test]
fn acting_processes_are_the_ones_that_earlier_events_started() {
    let mut started: HashMap<(String, String), Value> = HashMap::new();
    let mut joined = 0;
    for record in records(&defender(7, 30_000).0) {
        let row = &record["properties"];
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        if let Some(process) = started.get(&(text("DeviceId"), text("InitiatingProcessUniqueId"))) {
            joined += 1;
            assert_eq!(row["InitiatingProcessId"], process["ProcessId"]);
            assert_eq!(row["InitiatingProcessSHA256"], process["SHA256"]);
            assert_eq!(row["InitiatingProcessCommandLine"], process["ProcessCommandLine"]);
            assert_eq!(row["InitiatingProcessCreationTime"], process["ProcessCreationTime"]);
            assert_eq!(row["InitiatingProcessAccountSid"], process["AccountSid"]);
            assert_eq!(row["InitiatingProcessParentId"], process["InitiatingProcessId"]);
            let lower = process["FolderPath"].as_str().unwrap().to_lowercase();
            assert_eq!(text("InitiatingProcessFolderPath"), lower);
        }
        if table(&record) == "DeviceProcessEvents" {
            started.insert((text("DeviceId"), text("ProcessUniqueId")), row.clone());
        }
    }
    assert!(joined > 5_000, "only {joined} events act by a process that was seen to start");
}

#[test]
fn no_process_acts_before_it_starts() {
    let time = |value: &Value| value.as_str().map(|text| DateTime::parse_from_rfc3339(text).unwrap());
    for record in records(&defender(8, 5000).0) {
        let row = &record["properties"];
        if let Some(created) = time(&row["InitiatingProcessCreationTime"]) {
            assert!(created <= time(&row["Timestamp"]).unwrap(), "{row}");
        }
    }
}

#[test]
fn addresses_are_private_or_reserved_for_documentation() {
    let allowed = ["10.", "192.0.2.", "198.51.100.", "203.0.113.", "127.0.0.1", "0.0.0.0", "2001:db8:", "::ffff:10."];
    let mut seen = 0;
    for record in records(&defender(9, 5000).0) {
        for (key, value) in record["properties"].as_object().unwrap() {
            let Some(address) = value.as_str().filter(|text| key.contains("IP") && text.contains(['.', ':'])) else {
                continue;
            };
            if key.ends_with("IP") || key.contains("IPAddress") || key.starts_with("SenderIPv") {
                seen += 1;
                assert!(allowed.iter().any(|prefix| address.starts_with(prefix)), "{key}: {address}");
            }
        }
    }
    assert!(seen > 3000);
}

#[test]
fn bad_records_come_at_the_rate_that_was_asked_for_and_none_is_readable() {
    let mut bytes = Vec::new();
    let mut generator = Generator::new(10, start()).with_bad_records(100);
    let written = generator.write_defender(&mut bytes, 20_000).unwrap();
    assert!((100..400).contains(&written.bad_records), "{} bad records", written.bad_records);
    let mut good = 0;
    let mut bad = 0;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Value>(line) {
            Ok(message) => {
                for record in message["records"].as_array().unwrap() {
                    if record.is_object() { good += 1 } else { bad += 1 }
                }
            }
            Err(_) => bad += 1,
        }
    }
    assert_eq!((good, bad), (20_000, written.bad_records));
}

#[test]
fn late_and_early_events_stand_among_the_others() {
    let time = |value: &Value| DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    let (mut late, mut early, mut last) = (0, 0, None);
    for record in records(&defender(11, 10_000).0) {
        let published = time(&record["time"]);
        assert!(last.is_none_or(|last| last <= published), "publication only moves forward");
        last = Some(published);
        let delay = (published - time(&record["properties"]["Timestamp"])).num_seconds();
        late += u32::from(delay > 3600);
        early += u32::from(delay < 0);
    }
    assert!((5..200).contains(&late), "{late} late events");
    assert!((1..60).contains(&early), "{early} events ahead of time");
}

#[test]
fn cloudtrail_files_are_gzip_documents_with_the_services_names() {
    let folder = tempfile::tempdir().unwrap();
    let written = Generator::new(12, start()).write_cloudtrail_files(folder.path(), 900).unwrap();
    assert_eq!(written.records_per_table, BTreeMap::from([("AWSCloudTrail".to_owned(), 900)]));
    let mut folders = vec![folder.path().to_owned()];
    let (mut count, mut files, mut bytes) = (0, 0, 0);
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.contains("_CloudTrail_") && name.ends_with(".json.gz"), "{name}");
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut text).unwrap();
            bytes += text.len() as u64;
            let document: Value = serde_json::from_slice(&text).unwrap();
            for record in document["Records"].as_array().unwrap() {
                count += 1;
                names.insert(record["eventName"].as_str().unwrap().to_owned());
                assert!(DateTime::parse_from_rfc3339(record["eventTime"].as_str().unwrap()).is_ok());
                for key in ["eventVersion", "userIdentity", "eventSource", "awsRegion", "eventID", "recipientAccountId"]
                {
                    assert!(!record[key].is_null(), "{key} is missing: {record}");
                }
                assert!(name.starts_with(record["recipientAccountId"].as_str().unwrap()));
                if record["userIdentity"]["type"] == "AssumedRole" {
                    let session = record["userIdentity"]["principalId"].as_str().unwrap();
                    let issuer =
                        record["userIdentity"]["sessionContext"]["sessionIssuer"]["principalId"].as_str().unwrap();
                    assert!(session.starts_with(issuer), "the session `{session}` is not the role `{issuer}`'s");
                }
                let text = record.to_string();
                for place in [
                    "{account}",
                    "{user}",
                    "{role}",
                    "{hex}",
                    "{key}",
                    "{user_key}",
                    "{role_key}",
                    "{guid}",
                    "{created}",
                ] {
                    assert!(!text.contains(place), "{place} is not filled: {text}");
                }
            }
        }
    }
    assert_eq!((count, files, bytes), (900, 3, written.bytes));
    for name in ["AssumeRole", "ConsoleLogin", "DescribeInstances", "GetObject"] {
        assert!(names.contains(name), "no {name}");
    }
}
