//! The flow as a whole: a slow workspace stops the source, a stage that fails ends the process, a stop is obeyed at any
//! time, metrics tell what happens meanwhile, and routes and replays bring rows where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use weir_normalize::library;

use crate::support::scrape::{Scrape, free_address, scrape, status};
use crate::support::tansu::Tansu;
use crate::support::weir::{Running, Workplace, lake_counts, lake_rows, own_samples, run_once, text, wait_until, weir};
use crate::support::workspace::{connected, delivered, script, unscript};

fn sample(table: &str) -> Vec<String> {
    let (_, text) = own_samples().into_iter().find(|(name, _)| name == table).expect("a sample of the table");
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// At least `bytes` of events of one table, no two alike.
fn many_events(bytes: usize) -> (String, u64) {
    let mut record: Value = serde_json::from_str(&sample("DeviceProcessEvents")[0]).expect("JSON");
    let mut text = String::with_capacity(bytes + 8192);
    let mut records = 0_u64;
    while text.len() < bytes {
        let noise: String =
            (0..8).map(|part| format!("{:x}", (records * 8 + part + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        record["properties"]["ProcessCommandLine"] = noise.into();
        text.push_str(&record.to_string());
        text.push('\n');
        records += 1;
    }
    (text, records)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_workspace_stops_the_source_and_memory_stays_within_the_budget() {
    const BUDGET: u64 = 64 << 20;
    let listen = free_address();
    let (server, place, config) =
        connected(&format!("  probe: false\nmemory: {{budget: 64MiB}}\nmetrics: {{listen: \"{listen}\"}}\n")).await;
    let (input, records) = many_events(300 << 20);
    let input_bytes = input.len() as u64;
    place.write("input/events.json", input);
    // Each of the four requests under way takes two seconds: two megabytes a second at the most.
    script(&server, json!([{"delay_ms": 2000, "count": 1_000_000}])).await;
    let mut running = Running::start(&["run", "--once", "-c", &config.display().to_string()]);

    let mut peak_in_flight = 0.0_f64;
    let mut peak_rss = 0;
    let mut read = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        peak_rss = peak_rss.max(running.resident_bytes());
        let Some(seen) = scrape(&listen).await else { continue };
        peak_in_flight = peak_in_flight.max(seen.one("weir_in_flight_bytes"));
        read.push(seen.sum("weir_source_bytes_total"));
        if seen.one("weir_backpressure") == 1.0 {
            assert_eq!(status(&listen, "/readyz").await, Some(200), "slow is not unready");
        }
    }
    let read_bytes = read.last().copied().expect("scraped") as u64;
    eprintln!("peak in flight {peak_in_flight}, peak RSS {peak_rss}, read {read_bytes} of {input_bytes}");
    assert!(read_bytes > 0 && read_bytes < input_bytes / 2, "the source waits: {read_bytes} of {input_bytes}");
    assert!(peak_in_flight > 0.7 * BUDGET as f64, "the budget is used: {peak_in_flight}");
    assert!(peak_in_flight < 1.5 * BUDGET as f64, "and hardly passed: {peak_in_flight}");
    assert!(peak_rss < BUDGET + (200 << 20), "resident: {peak_rss}");

    // The workspace recovers: everything arrives.
    unscript(&server);
    while !running.has_ended() {
        assert!(start.elapsed() < Duration::from_secs(120), "it does not end");
        peak_rss = peak_rss.max(running.resident_bytes());
        if let Some(seen) = scrape(&listen).await {
            peak_in_flight = peak_in_flight.max(seen.one("weir_in_flight_bytes"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(running.wait(), Some(0));
    eprintln!("of the whole run: peak in flight {peak_in_flight}, peak RSS {peak_rss}");
    assert!(peak_in_flight < 1.5 * BUDGET as f64, "at full speed: {peak_in_flight}");
    // At full speed the allocator keeps what was freed for the next batch (with `MIMALLOC_PURGE_DELAY=0` it gives it
    // back, and the first bound holds here too).
    assert!(peak_rss < BUDGET + (400 << 20), "resident: {peak_rss}");
    assert_eq!(delivered(&server), records);
    assert_eq!(lake_counts(&place.lake()).await["ASimProcessEventLogs"], records);
    server.shutdown().await;
}

async fn send(bootstrap: &str, topic: &str, messages: &[String]) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("a producer");
    for (number, message) in messages.iter().enumerate() {
        let key = number.to_string();
        let record = FutureRecord::to(topic).key(&key).payload(message);
        producer.send(record, Duration::from_secs(30)).await.expect("the broker takes it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_tells_its_health_and_counts_what_it_does() {
    let broker = Tansu::start().await;
    broker.create_topic("events", 2).await;
    let listen = free_address();
    let place = Workplace::new();
    let config = place.config(&format!(
        "sources:\n  - name: hub\n    kafka:\n      brokers: [\"{}\"]\n      topics: [events]\n      group: g\n      \
         commit_interval: 200ms\nlake: {{url: \"{{dir}}/lake\", flush_interval: 300ms}}\nmetrics: {{listen: \"{listen}\"}}\n",
        broker.bootstrap()
    ));
    let running = Running::start(&["run", "-c", &config.display().to_string()]);
    assert!(wait_until(|| async { status(&listen, "/readyz").await == Some(200) }).await, "never ready");
    assert_eq!(status(&listen, "/healthz").await, Some(200));

    let mut messages = sample("DeviceFileEvents");
    let files = messages.len() as f64;
    let unmapped = json!({"category": "AdvancedHunting-DeviceInfo", "tenantId": "t", "time": "2026-01-02T03:04:05Z",
        "properties": {"Timestamp": "2026-01-02T03:04:05Z", "DeviceName": "a"}});
    messages.push(unmapped.to_string());
    messages.push("{\"category\": \"AdvancedHunt".to_owned());
    let sent_bytes: usize = messages.iter().map(String::len).sum();
    send(broker.bootstrap(), "events", &messages).await;
    let all_durable = |seen: &Scrape| {
        seen.sum("weir_sink_rows_total") == messages.len() as f64
            && seen.count("weir_source_lag_records") == 2
            && seen.sum("weir_source_lag_records") == 0.0
    };
    let is_done = wait_until(|| async { scrape(&listen).await.is_some_and(|seen| all_durable(&seen)) }).await;
    assert!(is_done, "rows or offsets are missing");
    let seen = scrape(&listen).await.expect("answers");
    let hub = |table| [("source", "hub"), ("table", table)];
    let lake = |table| [("sink", "lake"), ("table", table)];
    assert_eq!(seen.get("weir_source_records_total", &hub("DeviceFileEvents")), files);
    assert_eq!(seen.get("weir_source_records_total", &hub("DeviceInfo")), 1.0);
    assert_eq!(seen.sum("weir_source_bytes_total"), sent_bytes as f64);
    assert_eq!(seen.get("weir_sink_rows_total", &lake("ASimFileEventLogs")), files);
    assert_eq!(seen.get("weir_sink_rows_total", &lake("DeviceInfo")), 1.0);
    assert_eq!(seen.get("weir_sink_rows_total", &lake("dead_letters")), 1.0);
    let letters = [("source", "hub"), ("stage", "decode"), ("reason", "invalid_json"), ("table", "")];
    assert_eq!(seen.get("weir_dead_letters_total", &letters), 1.0);
    assert!(seen.get("weir_sink_bytes_total", &lake("ASimFileEventLogs")) > 1000.0);
    let billed = seen.get("weir_billed_bytes_total", &[("table", "ASimFileEventLogs")]);
    assert!(billed > 100.0 * files && billed < 10_000.0 * files, "{billed}");
    assert_eq!(seen.get("weir_normalize_passed_through_rows_total", &[("table", "DeviceInfo")]), 1.0);
    for partition in ["events/0", "events/1"] {
        assert_eq!(seen.get("weir_source_lag_records", &[("source", "hub"), ("partition", partition)]), 0.0);
    }
    for stage in ["decode", "normalize", "sink_encode", "sink_write", "sink_commit"] {
        assert!(seen.sum(&format!("weir_{stage}_seconds_count")) >= 1.0, "{stage}");
        assert!(seen.sum(&format!("weir_{stage}_seconds_sum")) < 60.0, "{stage}");
    }
    assert_eq!(seen.one("weir_in_flight_bytes"), 0.0, "nothing is in flight any more");
    assert_eq!(seen.one("weir_memory_budget_bytes"), f64::from(512 << 20));
    assert_eq!(seen.one("weir_backpressure"), 0.0);
    assert_eq!(seen.get("weir_source_connected", &[("source", "hub")]), 1.0);
    assert_eq!(seen.sum("weir_sink_buffered_rows"), 0.0);
    assert_eq!(running.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_ends_the_process_though_another_one_could_go_on() {
    let broker = Tansu::start().await;
    broker.create_topic("events", 1).await;
    let nowhere = free_address();
    let place = Workplace::new();
    let config = place.config(&format!(
        "sources:\n  - name: idle\n    kafka: {{brokers: [\"{}\"], topics: [events], group: g}}\n  - name: lost\n    \
         kafka: {{brokers: [\"{nowhere}\"], topics: [events], group: g, start_timeout: 1s}}\nlake: {{url: \
         \"{{dir}}/lake\"}}\n",
        broker.bootstrap()
    ));
    let config = config.display().to_string();
    let output = tokio::task::spawn_blocking(move || weir(&["run", "-c", &config]).output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("it ends by itself").unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("error: source `lost`") && log.contains(&nowhere), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_the_start_up_is_obeyed_at_once() {
    // Takes connections and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let keeps = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((socket, _)) = silent.accept().await {
            open.push(socket);
        }
    });
    let (server, place, config) = connected("").await;
    let text = std::fs::read_to_string(&config)
        .unwrap()
        .replace(&format!("authority: {}", server.url()), &format!("authority: {url}"));
    let config = place.write("weir.yaml", text);
    place.write("input/events.json", sample("DeviceFileEvents").join("\n"));
    let mut running = Running::start(&["run", "-c", &config.display().to_string()]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!running.has_ended(), "it waits for the sign-in service");
    let start = Instant::now();
    assert_eq!(running.terminate(), Some(0), "nothing was read, nothing is lost");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    keeps.abort();
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_takes_too_long_ends_with_an_error_and_a_second_signal_at_once() {
    for (signals, expected) in [(1, 1), (2, 130)] {
        let (server, place, config) = connected("  probe: false\nshutdown: {deadline: 2s}\n").await;
        place.write("input/events.json", sample("DeviceFileEvents").join("\n"));
        script(&server, json!([{"status": 429, "retry_after": 3600, "count": 1_000_000}])).await;
        let running = Running::start(&["run", "-c", &config.display().to_string()]);
        assert!(wait_until(|| async { server.state().totals().requests > 0 }).await, "nothing is sent");
        let start = Instant::now();
        for _ in 1..signals {
            running.signal();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert_eq!(running.terminate(), Some(expected));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2 * (3 - signals)) + Duration::from_secs(3), "{signals} signals: {took:?}");
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_decide_where_tables_go() {
    let routes = "routes:\n  - {name: workspace only, tables: [\"ASimFile*\"], to: [sentinel]}\n  \
                  - {tables: [\"ASimRegistry*\", ASimAuditEventLogs], to: [lake]}\n  \
                  - {name: noise, tables: [\"ASimNetwork*\"], to: []}\n  \
                  - {tables: [DeviceInfo, \"*Logs\"], to: [lake, sentinel]}\n";
    // DeviceInfo has no rule: its rows are kept in the lake, and as dead letters of the workspace.
    let (server, place, config) = connected(&routes.replace("DeviceInfo", "\"DeviceInf?\"")).await;
    for (table, text) in own_samples() {
        place.write(&format!("input/{table}.json"), text);
    }
    let unmapped =
        json!({"category": "AdvancedHunting-DeviceInfo", "properties": {"Timestamp": "2026-01-02T03:04:05Z"}});
    place.write("input/info.json", unmapped.to_string());
    let summary = tokio::task::spawn_blocking(move || run_once(&config)).await.unwrap();
    let made = |table: &str| -> u64 {
        let mappings = summary["raw_tables"].as_object().unwrap().values();
        let all = mappings.flat_map(|raw| raw["mappings"].as_object().unwrap().values());
        all.filter(|mapping| mapping["target"] == table).map(|mapping| mapping["rows"].as_u64().unwrap()).sum()
    };
    let lake = lake_counts(&place.lake()).await;
    let in_lake = |table: &str| lake.get(table).copied().unwrap_or(0);
    let sent = |table: &str| summary["sinks"]["sentinel"][table]["rows"].as_u64().unwrap_or(0);
    for (table, lands_in_lake, lands_in_sentinel) in [
        ("ASimFileEventLogs", false, true),
        ("ASimRegistryEventLogs", true, false),
        ("ASimAuditEventLogs", true, false),
        ("ASimNetworkSessionLogs", false, false),
        ("ASimProcessEventLogs", true, true),
        ("ASimAuthenticationEventLogs", true, true),
    ] {
        assert!(made(table) > 0, "{table}: {summary}");
        assert_eq!(in_lake(table), if lands_in_lake { made(table) } else { 0 }, "{table}: {lake:?}");
        assert_eq!(sent(table), if lands_in_sentinel { made(table) } else { 0 }, "{table}: {summary}");
    }
    assert_eq!(summary["dropped_by_route"], json!({"noise": made("ASimNetworkSessionLogs")}));
    let infos = summary["raw_tables"]["DeviceInfo"]["records"].as_u64().unwrap();
    assert!(infos > 0 && (in_lake("DeviceInfo"), in_lake("dead_letters")) == (infos, infos), "{lake:?}");
    assert_eq!(summary["sinks"]["sentinel"]["DeviceInfo"]["refused"], infos);
    server.shutdown().await;

    // Named in full, it is a fault of the config.
    let (server, place, config) = connected(routes).await;
    place.write("input/info.json", unmapped.to_string());
    let output = tokio::task::spawn_blocking(move || crate::support::weir::try_run_once(&config)).await.unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("no data collection rule takes the table `DeviceInfo`"));
    server.shutdown().await;
}

/// All rows of a lake table as text, sorted: column by column in the order of names.
async fn shown_rows(place: &Workplace, table: &str) -> Vec<BTreeMap<String, String>> {
    let options = FormatOptions::default().with_null("(null)");
    let mut shown = Vec::new();
    for batch in lake_rows(&place.lake(), table).await {
        let batch: RecordBatch = batch;
        let schema = batch.schema();
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| {
                let name = format!("{} {} {:?}", field.name(), field.data_type(), field.metadata());
                (name, ArrayFormatter::try_new(column, &options).expect("printable"))
            })
            .collect();
        for row in 0..batch.num_rows() {
            shown.push(columns.iter().map(|(name, values)| (name.clone(), values.value(row).to_string())).collect());
        }
    }
    shown.sort();
    shown
}

fn replay(place: &Workplace, arguments: &[&str]) -> Value {
    let config = place.path("weir.yaml").display().to_string();
    let mut all = vec!["replay", "--summary", "json", "-c", &config];
    all.extend(arguments);
    let output = weir(&all).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_raw_table_that_is_replayed_gives_the_rows_that_its_events_would_have_given() {
    let (raw, direct) = (Workplace::new(), Workplace::new());
    for place in [&raw, &direct] {
        for (table, text) in own_samples() {
            place.write(&format!("input/{table}.json"), text);
        }
        place.files_to_lake();
    }
    let config = std::fs::read_to_string(raw.path("weir.yaml")).unwrap();
    raw.write("weir.yaml", format!("{config}mappings: {{builtin: false}}\n"));
    run_once(&raw.path("weir.yaml"));
    let before = lake_counts(&raw.lake()).await;
    assert!(before.keys().all(|table| !table.starts_with("ASim")), "{before:?}");
    raw.write("weir.yaml", config);
    run_once(&direct.path("weir.yaml"));

    let mut mapped = 0;
    // A table that no mapping reads cannot be replayed.
    let read: BTreeSet<String> =
        library::builtin().unwrap().iter().map(|mapping| mapping.source_table.to_string()).collect();
    for table in before.keys().filter(|table| read.contains(*table)) {
        let summary = replay(&raw, &["--table", table]);
        assert_eq!(summary["raw_tables"][table]["records"].as_u64(), Some(before[table]), "{summary}");
        mapped += summary["raw_tables"][table]["mapped"].as_u64().unwrap();
    }
    assert!(mapped > 50, "{mapped}");
    let (replayed, direct_counts) = (lake_counts(&raw.lake()).await, lake_counts(&direct.lake()).await);
    for (table, rows) in direct_counts.iter().filter(|(table, _)| table.starts_with("ASim")) {
        assert_eq!(replayed.get(table), Some(rows), "{table}");
        assert_eq!(shown_rows(&raw, table).await, shown_rows(&direct, table).await, "{table}");
    }
    for (table, rows) in &before {
        assert_eq!(replayed.get(table), Some(rows), "{table}: raw rows stay, and are not written again");
    }
}

/// A mapping that copies columns of every type that the raw table has, and looks into a dynamic one.
const OWN_MAPPING: &str = "SourceRawTable: DeviceEvents\nTargetASIMTable: Copies_CL\nParserFilterQuery: |\n  \
    DeviceEvents\n  | where ActionType == \"UsbDriveMounted\"\nParserQuery: |\n  DeviceEvents\n  | project TimeGenerated, \
    Timestamp, DeviceName, ActionType, RemotePort, FileSize, ReportId, ProcessCreationTime, AdditionalFields, \
    Letter = tostring(AdditionalFields.DriveLetter), Twice = FileSize * 2, Odd = UnknownColumns\n";

fn device_events() -> String {
    let event = |number: i64, action: &str| {
        json!({"category": "AdvancedHunting-DeviceEvents", "tenantId": "t", "time": "2026-03-04T05:06:07Z", "properties": {
            "Timestamp": format!("2026-03-0{}T05:06:07.1234567Z", 1 + number % 3), "DeviceName": format!("d{number}"),
            "ActionType": action, "RemotePort": if number % 2 == 0 { json!(number) } else { Value::Null },
            "FileSize": 9_007_199_254_740_993_i64 + number, "ReportId": number,
            "ProcessCreationTime": "1601-01-01T00:00:00Z", "Brand": {"new": [number, "ü"]},
            "AdditionalFields": json!({"DriveLetter": "E:", "n": number}).to_string(),
        }})
        .to_string()
    };
    let lines: Vec<String> = (0..40)
        .map(|number| event(number, if number % 4 == 0 { "ScreenshotTaken" } else { "UsbDriveMounted" }))
        .collect();
    lines.join("\n")
}

#[tokio::test]
async fn a_mapping_that_is_added_later_is_applied_by_a_replay_of_the_table_or_of_the_files() {
    let place = Workplace::new();
    place.write("input/events.json", device_events());
    let unmapped =
        json!({"category": "AdvancedHunting-DeviceInfo", "properties": {"Timestamp": "2026-03-04T05:06:07Z"}});
    place.write("input/info.json", unmapped.to_string());
    let config = std::fs::read_to_string(place.files_to_lake()).unwrap();
    let summary = run_once(&place.path("weir.yaml"));
    assert_eq!(summary["passed_through"], 41);

    let nothing = weir(&["replay", "-c", &place.path("weir.yaml").display().to_string(), "--table", "DeviceInfo"]);
    let output = { nothing }.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no mapping in force reads `DeviceInfo`"), "{}", text(&output.stderr));

    place.write("own/usb.yaml", OWN_MAPPING);
    place.write("weir.yaml", format!("{config}mappings: {{directories: [own]}}\n"));
    let summary = replay(&place, &["--table", "DeviceEvents"]);
    let raw = &summary["raw_tables"]["DeviceEvents"];
    assert_eq!(
        (raw["records"].as_u64(), raw["mapped"].as_u64(), raw["passed_through"].as_u64()),
        (Some(40), Some(30), Some(10))
    );
    assert_eq!(summary["sinks"]["lake"]["Copies_CL"]["rows"], 30);
    let counts = lake_counts(&place.lake()).await;
    assert_eq!((counts["Copies_CL"], counts["DeviceEvents"]), (30, 40));

    let files = Workplace::new();
    files.write("input/events.json", device_events());
    files.write("own/usb.yaml", OWN_MAPPING);
    let config = std::fs::read_to_string(files.files_to_lake()).unwrap();
    // A source that would fail if it were read.
    let config = config.replace("/input", "/nowhere");
    files.write("weir.yaml", format!("{config}mappings: {{directories: [own]}}\n"));
    let summary = replay(&files, &[&files.path("input").display().to_string()]);
    assert_eq!(summary["sinks"]["lake"]["Copies_CL"]["rows"], 30);
    assert_eq!(lake_counts(&files.lake()).await["DeviceEvents"], 10, "the rest passes through");
    let (of_table, of_files) = (shown_rows(&place, "Copies_CL").await, shown_rows(&files, "Copies_CL").await);
    assert_eq!(of_table, of_files);
    assert!(of_table.iter().any(|row| {
        row.iter().any(|(name, value)| name.starts_with("FileSize Int64") && value == "9007199254740994")
    }));
    assert!(of_table.iter().all(|row| row.iter().any(|(name, value)| name.starts_with("Letter") && value == "E:")));
    assert!(of_table.iter().all(|row| {
        row.iter()
            .any(|(name, value)| name.starts_with("Odd") && name.contains("dynamic") && value.contains("\"Brand\""))
    }));
}

#[test]
fn a_replay_of_a_table_that_is_not_there_names_those_that_are() {
    let place = Workplace::new();
    place.write("input/events.json", device_events());
    let config = place.files_to_lake();
    run_once(&config);
    let output = weir(&["replay", "-c", &config.display().to_string(), "--table", "DeviceEvent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no table `DeviceEvent`; it has: DeviceEvents"), "{}", text(&output.stderr));
}
