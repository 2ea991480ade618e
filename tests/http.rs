//! The HTTP source: what it answered with success is in the lake, whatever happens to the process.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::scrape::free_address;
use crate::support::weir::{Running, Workplace, lake_counts, run_once, wait_until};

const CHANNEL: &str = "11111111-2222-3333-4444-555555555555";

/// A place whose config listens on `address`, and the config's path.
fn listening(address: &str, more: &str) -> (Workplace, String) {
    let place = Workplace::new();
    place.write("token", "s3cret\n");
    let config = place.config(&format!(
        "sources:\n  - name: web\n    http:\n      listen: \"{address}\"\n      tokens: [{{file: \"{{dir}}/token\"}}]\n      \
         table: Pushed\n{more}lake: {{url: \"{{dir}}/lake\", flush_interval: 1s}}\nstate: {{directory: \"{{dir}}/state\"}}\n"
    ));
    (place, config.display().to_string())
}

async fn post(address: &str, path: &str, scheme: &str, body: impl Into<reqwest::Body>) -> Option<(u16, Value)> {
    let request = reqwest::Client::new()
        .post(format!("http://{address}{path}"))
        .header("authorization", format!("{scheme} s3cret"))
        .body(body)
        .timeout(Duration::from_secs(40));
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_str(&answer.text().await.ok()?).unwrap_or_default()))
}

/// Posts until the port is open.
async fn post_when_up(address: &str, path: &str, scheme: &str, body: &'static str) -> (u16, Value) {
    for _ in 0..600 {
        if let Some(answer) = post(address, path, scheme, body).await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody listens on {address}");
}

#[tokio::test]
async fn what_was_answered_with_success_outlives_a_kill() {
    let address = free_address();
    let (place, config) = listening(&address, "");
    let running = Running::start(&["run", "-c", &config]);
    let (status, _) = post_when_up(&address, "/", "Bearer", "{\"a\":1}\n{\"a\":2}\n{broken\n").await;
    assert_eq!(status, 200);
    let refused = post(&address, "/", "Basic", "{}").await.unwrap();
    assert_eq!(refused.0, 401);
    drop(running); // SIGKILL
    run_once(std::path::Path::new(&config));
    let counts = lake_counts(&place.lake()).await;
    assert!(counts["Pushed"] >= 2 && counts["dead_letters"] >= 1, "{counts:?}");
    let again = run_once(std::path::Path::new(&config));
    assert_eq!(again["records"], json!(0), "what is acknowledged does not come back");
}

#[tokio::test]
async fn a_full_buffer_refuses_and_a_large_body_too() {
    let address = free_address();
    // A sink that never answers: nothing is acknowledged, so the buffer fills.
    let (_place, config) = listening(
        &address,
        "      max_request_size: 256KiB\n      request_memory: 1MiB\n      buffer: {max_size: 1MiB, when_full: refuse}\n",
    );
    let slow = std::fs::read_to_string(&config).unwrap().replace("flush_interval: 1s", "flush_interval: 10m");
    std::fs::write(&config, slow).unwrap();
    let _running = Running::start(&["run", "-c", &config]);
    post_when_up(&address, "/", "Bearer", "{\"a\":1}").await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(200 << 10));
    let mut last = 200;
    for _ in 0..8 {
        last = post(&address, "/", "Bearer", body.clone()).await.unwrap().0;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 429);
    assert_eq!(post(&address, "/", "Bearer", "x".repeat(300 << 10)).await.unwrap().0, 413);
}

#[tokio::test]
async fn the_event_collector_acknowledges_what_the_lake_has() {
    let address = free_address();
    let (place, config) = listening(&address, "      collector: {acknowledge: true, tables: {\"fw:log\": Firewall}}\n");
    let running = Running::start(&["run", "-c", &config]);
    let path = format!("/services/collector/event?channel={CHANNEL}");
    let body = "{\"time\":1700000000.5,\"sourcetype\":\"fw:log\",\"event\":{\"a\":1}}{\"event\":\"text\"}";
    let (status, told) = post_when_up(&address, &path, "Splunk", body).await;
    assert_eq!((status, &told), (200, &json!({"text": "Success", "code": 0, "ackId": 0})));
    let faulty = post(&address, &path, "Splunk", "{\"event\":1}{\"time\":1}").await.unwrap();
    let expected = json!({"text": "Event field is required", "code": 12, "invalid-event-number": 1});
    assert_eq!(faulty, (400, expected));
    let ask = format!("/services/collector/ack?channel={CHANNEL}");
    assert!(
        wait_until(async || {
            let (_, told) = post(&address, &ask, "Splunk", "{\"acks\":[0,7]}").await.unwrap();
            assert_eq!(told["acks"]["7"], json!(false));
            told["acks"]["0"] == json!(true)
        })
        .await
    );
    assert_eq!(running.terminate(), Some(0));
    let counts = lake_counts(&place.lake()).await;
    assert_eq!((counts["Firewall"], counts["Pushed"]), (1, 1));
}
