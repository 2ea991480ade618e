//! Files in, lake out.

use crate::support::weir::{Workplace, assert_accounted, lake_counts, own_samples, run_once};

#[tokio::test]
async fn every_own_sample_lands_in_the_lake() {
    let place = Workplace::new();
    let mut lines = 0;
    for (table, text) in own_samples() {
        lines += text.lines().filter(|line| !line.trim().is_empty()).count() as u64;
        place.write(&format!("input/{table}.json"), text);
    }
    let summary = run_once(&place.files_to_lake());
    assert_accounted(&summary);
    assert!(summary["records"].as_u64().unwrap() >= lines, "one record or more per line");
    assert_eq!(summary["dead_letters"], serde_json::json!({}), "own samples are well-formed");
    let counts = lake_counts(&place.lake()).await;
    for (table, written) in summary["sinks"]["lake"].as_object().unwrap() {
        assert_eq!(counts.get(table).copied(), written["rows"].as_u64(), "{table}");
    }
    for table in [
        "ASimProcessEventLogs",
        "ASimNetworkSessionLogs",
        "ASimFileEventLogs",
        "ASimRegistryEventLogs",
        "ASimAuthenticationEventLogs",
        "ASimAuditEventLogs",
    ] {
        assert!(counts.get(table).is_some_and(|rows| *rows > 0), "{table}: {counts:?}");
    }
}

#[tokio::test]
async fn compressed_and_wrapped_files_give_the_same_rows_as_plain_ones() {
    use std::io::Write as _;
    let (table, text) = own_samples().into_iter().find(|(name, _)| name == "DeviceProcessEvents").unwrap();
    let records: Vec<serde_json::Value> =
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let wrapped = serde_json::json!({ "records": records });
    let forms: [(&str, Vec<u8>); 6] = [
        ("plain.json", text.clone().into_bytes()),
        ("crlf.json", text.trim_end().replace('\n', "\r\n").into_bytes()),
        ("gzip.json.gz", gzip.finish().unwrap()),
        ("zstd.json.zst", zstd::encode_all(text.as_bytes(), 1).unwrap()),
        ("wrapped.json", serde_json::to_vec(&wrapped).unwrap()),
        ("pretty.json", serde_json::to_vec_pretty(&serde_json::Value::Array(records)).unwrap()),
    ];
    let mut seen = Vec::new();
    for (name, bytes) in forms {
        let place = Workplace::new();
        place.write(&format!("input/{name}"), bytes);
        let summary = run_once(&place.files_to_lake());
        assert_accounted(&summary);
        assert!(summary["raw_tables"][&table]["records"].as_u64().unwrap() > 0, "{name}: {summary}");
        seen.push((name, lake_counts(&place.lake()).await));
    }
    for (name, counts) in &seen[1..] {
        assert_eq!(counts, &seen[0].1, "{name}");
    }
}
