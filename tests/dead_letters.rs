//! Dead letters from refusal to replay, with the real binary.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::weir::{Workplace, lake_counts, own_samples, run_once, told, weir};
use crate::support::workspace::{connected, delivered, rows_of, script};

/// `weir dlq` with arguments; it must succeed.
fn dlq(config: &Path, args: &[&str]) -> String {
    let config = config.display().to_string();
    let mut all = vec!["dlq", args[0], "-c", &config];
    all.extend(&args[1..]);
    let (status, out, err) = told(&mut weir(&all));
    assert_eq!(status, 0, "{out}{err}");
    out
}

/// The listed letters, as objects.
fn list(config: &Path, filter: &[&str]) -> Vec<Value> {
    let mut args = vec!["list", "--format", "json"];
    args.extend(filter);
    let answer: Value = serde_json::from_str(&dlq(config, &args)).expect("JSON");
    let names: Vec<&str> =
        answer["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    let object = |row: &Value| -> Value {
        names.iter().zip(row.as_array().unwrap()).map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect()
    };
    answer["rows"].as_array().unwrap().iter().map(object).collect()
}

fn text<'a>(letter: &'a Value, name: &str) -> &'a str {
    letter[name].as_str().unwrap_or_else(|| panic!("no text {name} in {letter}"))
}

fn good_line() -> String {
    let (_, text) = own_samples().into_iter().find(|(name, _)| name == "DeviceProcessEvents").unwrap();
    text.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn letters_are_listed_shown_and_doubled_ones_shown_once() {
    let place = Workplace::new();
    let config = place.config(
        "sources:\n  - name: files\n    files: {paths: [\"{dir}/input\"], remember: false}\n\
         lake: {url: \"{dir}/lake\"}\n",
    );
    assert_eq!(list(&config, &[]), [Value::Null; 0], "a lake that is not there has none");
    let input = [good_line().as_bytes(), b"{\"a\":\"cut", b"{\"a\":\"\xff\xfe\"}", b"[1, 2]"].join(&b'\n');
    place.write("input/events.json", input);
    run_once(&config);
    let letters = list(&config, &[]);
    assert_eq!(letters.len(), 4, "{letters:?}");
    // A source that remembers nothing reads the file again: the same records have the same ids.
    run_once(&config);
    assert_eq!(lake_counts(&place.lake()).await["dead_letters"], 8);
    let ids = |letters: &[Value]| {
        let mut ids: Vec<String> = letters.iter().map(|letter| text(letter, "Id").to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&list(&config, &[])), ids(&letters), "each once");

    let bad = list(&config, &["--reason", "invalid_json", "--stage", "decode", "--source", "files", "--since", "1h"]);
    assert_eq!(bad.len(), 1);
    assert_eq!((text(&bad[0], "Payload"), &bad[0]["Bytes"]), ("{\"a\":\"cut", &json!(9)));
    assert_eq!(bad[0]["Offset"], good_line().len() + 1);
    assert_eq!(list(&config, &["--table", "DeviceInfo"]).len() + list(&config, &["--source", "hub"]).len(), 0);
    assert_eq!(list(&config, &["--limit", "2"]).len(), 2);
    let counted = dlq(&config, &["list", "--count", "--format", "csv"]);
    assert!(counted.contains("decode,not_an_object,,2,0\n"), "{counted}");

    let id = text(&bad[0], "Id");
    let shown = dlq(&config, &["show", &id[..10]]);
    assert!(shown.contains(id) && shown.contains("\n\n{\"a\":\"cut\n") && shown.contains("near byte"), "{shown}");
    assert_eq!(dlq(&config, &["show", id, "--raw"]), "{\"a\":\"cut");
    let not_text = list(&config, &["--reason", "invalid_utf8"]);
    let shown = dlq(&config, &["show", text(&not_text[0], "Id")]);
    assert!(shown.contains("7b 22 61 22 3a 22 ff fe 22 7d"), "{shown}");
    let config = config.display().to_string();
    let (status, _, err) = told(&mut weir(&["dlq", "show", "-c", &config, "zz"]));
    assert!(status == 1 && err.contains("weir dlq list"), "{err}");
}

#[tokio::test]
async fn a_replay_that_fails_again_tells_the_old_id_and_is_not_repeated() {
    let place = Workplace::new();
    let config = place.files_to_lake();
    place.write("input/events.json", "{\"a\":\"cut\n[1]\n");
    run_once(&config);
    let bad = list(&config, &["--reason", "invalid_json"]);
    let id = text(&bad[0], "Id").to_owned();
    let summary = dlq(&config, &["replay", &id]);
    assert!(
        summary.starts_with("1 of 1 dead letters replayed\n") && summary.contains("1 were refused again"),
        "{summary}"
    );
    let again = list(&config, &["--source", "dlq"]);
    assert_eq!(again.len(), 1);
    let shown = dlq(&config, &["show", text(&again[0], "Id")]);
    assert!(shown.contains(&format!("replay of {id}: no valid JSON")), "{shown}");
    assert!(text(&again[0], "Partition").starts_with("dead_letters/"), "{again:?}");

    let rest = dlq(&config, &["replay", "--source", "files"]);
    assert!(rest.starts_with("1 of 1 "), "only the one that was not replayed: {rest}");
    assert!(dlq(&config, &["replay", "--source", "files"]).starts_with("0 of 0 "));
    assert!(dlq(&config, &["replay", "--source", "files", "--again"]).starts_with("2 of 2 "));
    let replayed: Vec<_> =
        list(&config, &["--source", "files"]).iter().map(|l| text(l, "Replayed").to_owned()).collect();
    assert_eq!(replayed, ["yes", "yes"]);
}

#[tokio::test]
async fn an_oversized_record_is_joined_and_becomes_the_row_that_it_is() {
    let place = Workplace::new();
    let mut record: Value = serde_json::from_str(&good_line()).unwrap();
    let mut line = |letter: &str| {
        record["properties"]["ProcessCommandLine"] = letter.repeat(5 << 20).into();
        record.to_string()
    };
    let (x, y) = (line("x"), line("y"));
    place.write("input/huge.json", format!("{}\n{x}\n{y}\n{}\n", good_line(), good_line()));
    let config = place.config(
        "sources:\n  - name: files\n    files: {paths: [\"{dir}/input\"], max_record_size: 1MiB}\nlake: {url: \"{dir}/lake\"}\n",
    );
    run_once(&config);
    let pieces = list(&config, &[]);
    assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece["Reason"] == "too_large"), "{}", pieces.len());
    let whole = dlq(&config, &["show", text(&pieces[0], "Id"), "--raw"]);
    assert!(whole.trim_end() == x || whole.trim_end() == y, "one record, whole: {} bytes", whole.len());
    let summary = dlq(&config, &["replay", text(&pieces[0], "Id")]);
    assert!(summary.contains("lake: 1 rows of ASimProcessEventLogs"), "{summary}");
    let summary = dlq(&config, &["replay"]);
    assert!(summary.contains("lake: 1 rows of ASimProcessEventLogs"), "the other one: {summary}");
    assert_eq!(lake_counts(&place.lake()).await["ASimProcessEventLogs"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_workspace_refused_go_to_the_workspace_alone_once_it_takes_them() {
    let (server, place, config) = connected("  probe: false\n  retry: {initial: 20ms, max: 1s}\n").await;
    place.write("input/events.json", good_line());
    // It finds a single row too large, so that no smaller request can help.
    let refusal = json!([{"status": 413, "count": 1}]);
    script(&server, refusal.clone()).await;
    let at = config.clone();
    tokio::task::spawn_blocking(move || {
        run_once(&at);
        let letters = list(&at, &[]);
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!((text(&letters[0], "Stage"), text(&letters[0], "Table")), ("sink", "ASimProcessEventLogs"));
        assert_eq!(text(&letters[0], "Reason"), "row_too_large");
    })
    .await
    .unwrap();
    assert_eq!(delivered(&server), 0);
    // It refuses once more, then takes the row.
    script(&server, refusal.clone()).await;
    let at = config.clone();
    let (first, second) =
        tokio::task::spawn_blocking(move || (dlq(&at, &["replay"]), dlq(&at, &["replay"]))).await.unwrap();
    assert!(first.contains("1 were refused again"), "{first}");
    assert!(second.starts_with("1 of 1 ") && second.contains("sentinel: 1 rows of ASimProcessEventLogs"), "{second}");
    let rows = rows_of(&server, "ASimProcessEventLogs").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(lake_counts(&place.lake()).await["ASimProcessEventLogs"], 1, "the lake has the row, and gets no other");
    assert_eq!(rows[0]["EventType"], "ProcessCreated");
    let rest = tokio::task::spawn_blocking(move || dlq(&config, &["replay"])).await.unwrap();
    assert!(rest.starts_with("0 of 0 "), "{rest}");
    server.shutdown().await;
}
