//! Files in, lake out.

use crate::support::weir::{
    Running, Workplace, assert_accounted, lake_counts, own_samples, run_once, wait_until, weir,
};

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

/// Process events with the numbers `from` up to `to`, as lines.
fn events(from: u64, to: u64) -> String {
    let event = |number| {
        format!(
            "{{\"time\":\"2026-01-01T00:00:00Z\",\"category\":\"AdvancedHunting-DeviceInfo\",\"properties\":\
             {{\"Timestamp\":\"2026-01-01T00:00:00Z\",\"DeviceId\":\"d{number}\",\"ReportId\":{number}}}}}\r\n"
        )
    };
    (from..to).map(event).collect()
}

#[tokio::test]
async fn a_second_run_reads_only_what_was_added() {
    let place = Workplace::new();
    let config = place.files_to_lake();
    place.write("input/a.json", events(0, 50));
    place.write("input/b.json", events(50, 60));
    assert_eq!(run_once(&config)["records"], 60);
    assert_eq!(run_once(&config)["records"], 0);
    place.write("input/a.json", events(0, 50) + &events(60, 63));
    assert_eq!(run_once(&config)["records"], 3);
    let replay = weir(&["replay", "--summary", "json", "-c", &config.display().to_string()])
        .arg(place.path("input/b.json"))
        .output()
        .unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert_eq!(summary["records"], 10, "a replay reads everything");
    assert_eq!(run_once(&config)["records"], 0, "and leaves the progress as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_file_is_read_on_after_the_process_was_killed() {
    let place = Workplace::new();
    let config = place.config(
        "sources:\n  - name: files\n    files: {paths: [\"{dir}/input\"], follow: true, poll_interval: 50ms}\n\
         lake: {url: \"{dir}/lake\", flush_interval: 100ms}\n",
    );
    let rows = async || lake_counts(&place.lake()).await.values().sum::<u64>();
    let path = config.display().to_string();
    let running = Running::start(&["run", "-c", &path]);
    place.write("input/a.json", events(0, 20));
    assert!(wait_until(async || rows().await == 20).await, "{} rows", rows().await);
    place.write("input/a.json", events(0, 30) + "{\"half\":");
    assert!(wait_until(async || rows().await == 30).await, "{} rows", rows().await);
    // Long enough for the progress to be stored.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    drop(running);
    place.write("input/a.json", events(0, 35));
    let running = Running::start(&["run", "-c", &path]);
    assert!(wait_until(async || rows().await >= 35).await, "{} rows", rows().await);
    assert_eq!(running.terminate(), Some(0));
    assert_eq!(rows().await, 35, "nothing is read twice, and half a line is no record");
}
