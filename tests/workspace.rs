//! The Sentinel workspace: delivery against the stand-in, and against every answer that the service may give.

use serde_json::{Value, json};

use crate::support::weir::{Workplace, assert_accounted, lake_counts, own_samples, run_once, text, try_run_once};
use crate::support::workspace::{TABLES, connected, delivered, rows_of, script, tables};

fn write_samples(place: &Workplace) {
    for (table, text) in own_samples() {
        place.write(&format!("input/{table}.json"), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_arrive_with_no_column_that_the_table_does_not_take() {
    let (server, place, config) = connected("").await;
    write_samples(&place);
    let summary = tokio::task::spawn_blocking(move || run_once(&config)).await.unwrap();
    assert_accounted(&summary);
    let counts = lake_counts(&place.lake()).await;
    let counters = tables(&server).await;
    for table in TABLES {
        let rows = rows_of(&server, table).await;
        assert_eq!(Some(rows.len() as u64), counts.get(table).copied(), "{table}");
        assert!(!rows.is_empty(), "{table}");
        let known = weir_normalize::asim::table(table).expect("native");
        for row in &rows {
            for (column, value) in row.as_object().expect("an object") {
                if value.is_null() || value == "" {
                    continue;
                }
                assert_eq!(
                    known
                        .forbidden(column)
                        .filter(|_| !column.starts_with('_') && column != "Type" && column != "TenantId"),
                    None,
                    "{table}.{column}"
                );
            }
        }
    }
    assert_no_misfit(&counters);
    assert_eq!(
        summary["sinks"]["sentinel"]["ASimProcessEventLogs"]["rows"].as_u64(),
        counts.get("ASimProcessEventLogs").copied()
    );
    server.shutdown().await;
}

/// The stand-in dropped, converted, cut or refused nothing of what it was sent.
fn assert_no_misfit(counters: &Value) {
    for table in TABLES {
        let counters = &counters["tables"][table];
        assert_eq!(counters["alias_columns"], 0, "{table}: {counters}");
        for kind in
            ["dropped_columns", "mismatched_values", "converted_values", "truncated_values", "forbidden_columns"]
        {
            assert_eq!(counters[kind], json!({}), "{table}: {counters}");
        }
        assert_eq!(counters["time_missing"], 0, "{table}: {counters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_faults_lose_no_row() {
    for fault in [
        json!([{"status": 401, "count": 1}]),
        json!([{"status": 413, "count": 1}]),
        json!([{"status": 429, "retry_after": 1, "count": 2}]),
        json!([{"status": 429, "retry_after": "http-date", "count": 1}]),
        json!([{"status": 500, "count": 2}, {"status": 503, "count": 1}]),
        json!([{"reset_after_bytes": 100, "count": 1}]),
    ] {
        let (server, place, config) = connected("  probe: false\n  retry: {initial: 50ms, max: 2s}\n").await;
        write_samples(&place);
        script(&server, fault.clone()).await;
        let summary = tokio::task::spawn_blocking(move || run_once(&config)).await.unwrap();
        let written: u64 =
            summary["sinks"]["sentinel"].as_object().unwrap().values().map(|t| t["rows"].as_u64().unwrap()).sum();
        assert_eq!(delivered(&server), written, "{fault}");
        let counts = lake_counts(&place.lake()).await;
        let expected: u64 = TABLES.iter().filter_map(|table| counts.get(*table)).sum();
        assert_eq!(written, expected, "{fault}");
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_doubles_rows_but_loses_none() {
    let (server, place, config) = connected("  probe: false\n  retry: {initial: 50ms, max: 1s}\n").await;
    write_samples(&place);
    script(&server, json!([{"lose_response": true, "count": 1}])).await;
    let summary = tokio::task::spawn_blocking(move || run_once(&config)).await.unwrap();
    let written: u64 =
        summary["sinks"]["sentinel"].as_object().unwrap().values().map(|t| t["rows"].as_u64().unwrap()).sum();
    assert!(delivered(&server) > written, "the service had taken the rows before its answer was lost");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_ends_the_run_and_says_what_to_do() {
    for (status, advice) in [(404, "dcr-"), (403, "Monitoring Metrics Publisher")] {
        let (server, place, config) = connected("  retry: {max_attempts: 2, initial: 20ms, max: 50ms}\n").await;
        write_samples(&place);
        script(&server, json!([{"status": status, "count": 1000}])).await;
        let output = tokio::task::spawn_blocking(move || try_run_once(&config)).await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{status}");
        let log = text(&output.stderr);
        assert!(log.contains(advice), "{status}: {log}");
        assert_eq!(delivered(&server), 0);
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told_without_showing_it() {
    let (server, place, config) = connected("  retry: {max_attempts: 2, initial: 20ms, max: 50ms}\n").await;
    write_samples(&place);
    place.write("secret", "not-the-right-one");
    let output = tokio::task::spawn_blocking(move || try_run_once(&config)).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = text(&output.stderr) + &text(&output.stdout);
    assert!(log.contains("invalid_client") || log.contains("AADSTS7000215"), "{log}");
    assert!(!log.contains("not-the-right-one"), "the secret is in the log");
    server.shutdown().await;
}
