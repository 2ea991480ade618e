//! The Logs Ingestion API's contract: the order of its checks, and each answer.

use crate::sender::{STREAM, Sender, TABLE, gzip, refusal};
use serde_json::{Value, json};
use weir_stand_in::config::OverRawLimit;
use weir_stand_in::{SizeLimit, StandInConfig};

const CALL_LIMIT: usize = 1_048_576;

async fn start() -> Sender {
    Sender::start(StandInConfig::default()).await
}

/// A body of exactly `length` bytes: one row and blanks.
fn body_of(length: usize) -> Vec<u8> {
    let mut body = br#"[{"EventVendor":"x"}"#.to_vec();
    body.resize(length - 1, b' ');
    body.push(b']');
    body
}

/// Bytes that gzip cannot shrink, as a JSON string in a row.
fn incompressible_rows(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b' ' + (state >> 33) as u8 % 90));
    }
    json!([{ "EventMessage": text }]).to_string().into_bytes()
}

#[tokio::test]
async fn an_accepted_call_is_an_empty_204_and_its_rows_are_there() {
    let sender = start().await;
    let answer = sender.post_gzip(br#"[{"EventVendor":"Microsoft","EventCount":1}]"#).await;
    assert_eq!(answer.status(), 204);
    assert!(answer.headers().get("content-type").is_none());
    assert!(answer.bytes().await.unwrap().is_empty());

    let state = sender.server.state();
    assert_eq!(state.rows(TABLE)[0]["EventVendor"], "Microsoft");
    let counters = state.counters(TABLE);
    assert_eq!((counters.rows, counters.requests, counters.raw_bytes), (1, 1, 44));
    assert_eq!(counters.billed_bytes, 28 + 9 + 1);
    assert_eq!(state.totals().accepted, 1);
}

#[tokio::test]
async fn an_empty_array_is_accepted() {
    let sender = start().await;
    assert_eq!(sender.post(&json!([])).await.status(), 204);
    assert_eq!(sender.server.state().counters(TABLE).rows, 0);
}

#[tokio::test]
async fn a_missing_or_unknown_token_is_401_before_anything_else() {
    let mut sender = start().await;
    let answer = sender.client.post(sender.url("/dataCollectionRules/x/streams/y")).body("").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].to_str().unwrap()), (401, "Bearer"));
    sender.server.state().revoke_tokens();
    assert_eq!(sender.post(&json!([])).await.status(), 401);
    sender.token = sender.ask_for_token().await;
    assert_eq!(sender.post(&json!([])).await.status(), 204);
    assert_eq!(sender.server.state().counters(TABLE).refusals[&401], 1);
}

#[tokio::test]
async fn the_checks_run_in_the_services_order() {
    let sender = start().await;
    let unknown = "dcr-ffffffffffffffffffffffffffffffff";
    let huge = || body_of(CALL_LIMIT + 1);

    // Each call has all faults from its own on; the first one decides.
    let answer = sender.request_to(unknown, "Custom-No").body(huge()).send().await.unwrap();
    assert_eq!(refusal(answer).await, (404, "NotFound".to_owned()));

    assert!(sender.server.state().set_role(&sender.rule, false));
    let answer = sender.request_to(&sender.rule, "Custom-No").body(huge()).send().await.unwrap();
    assert_eq!(refusal(answer).await, (403, "OperationFailed".to_owned()));
    assert!(sender.server.state().set_role(&sender.rule, true));

    let answer = sender.request_to(&sender.rule, "Custom-No").body(huge()).send().await.unwrap();
    assert_eq!(refusal(answer).await, (400, "InvalidStream".to_owned()));

    let answer = sender.request().header("content-encoding", "gzip").body(huge()).send().await.unwrap();
    assert_eq!(refusal(answer).await, (413, "ContentLengthLimitExceeded".to_owned()));

    let answer = sender.request().header("content-encoding", "gzip").body("no gzip").send().await.unwrap();
    assert_eq!(refusal(answer).await, (400, "InvalidPayload".to_owned()));

    for body in ["", "null"] {
        let answer = sender.request().body(body).send().await.unwrap();
        assert_eq!(refusal(answer).await, (500, String::new()), "{body:?}");
    }
    for body in ["{}", "[1]", "[{]", "text"] {
        let answer = sender.request().body(body).send().await.unwrap();
        assert_eq!(refusal(answer).await, (400, "InvalidPayload".to_owned()), "{body}");
    }
    assert_eq!(sender.server.state().counters(TABLE).rows, 0);
}

#[tokio::test]
async fn stream_names_and_api_versions_are_exact() {
    let sender = start().await;
    let answer = sender.request_to(&sender.rule, &STREAM.to_lowercase()).body("[]").send().await.unwrap();
    assert_eq!(refusal(answer).await.0, 400);
    let url = sender.url(&format!("/dataCollectionRules/{}/streams/{STREAM}", sender.rule));
    for (query, status) in [("", 400), ("?api-version=2020-01-01", 400), ("?api-version=2021-11-01-preview", 204)] {
        let request = sender.client.post(format!("{url}{query}")).bearer_auth(&sender.token);
        let answer = request.header("content-type", "application/json").body("[]").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{query}");
    }
    let request = sender.client.post(format!("{url}?api-version=2023-01-01")).bearer_auth(&sender.token);
    assert_eq!(request.body("[]").send().await.unwrap().status(), 415, "no Content-Type");
}

#[tokio::test]
async fn one_mebibyte_on_the_wire_passes_and_one_byte_more_is_413_with_the_services_text() {
    let sender = start().await;
    let send = async |length| sender.request().body(body_of(length)).send().await.unwrap();
    assert_eq!(send(CALL_LIMIT).await.status(), 204);
    let answer: Value = send(CALL_LIMIT + 1).await.json().await.unwrap();
    assert_eq!(
        answer["error"]["message"],
        "Maximum allowed content length: 1048576 bytes (1 MB). Provided content length: 1048577 bytes."
    );
    assert_eq!(answer["error"]["target"], Value::Null);
}

#[tokio::test]
async fn the_limit_holds_without_content_length_too() {
    let sender = start().await;
    let pieces = (0..2).map(|_| Ok::<_, std::io::Error>(vec![b' '; CALL_LIMIT]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let answer = sender.request().body(body).send().await.unwrap();
    assert_eq!(refusal(answer).await, (413, "ContentLengthLimitExceeded".to_owned()));
}

#[tokio::test]
async fn the_wire_mode_measures_gzip_and_the_strict_mode_both() {
    let rows = body_of(CALL_LIMIT + 1);
    let lax = start().await;
    assert_eq!(lax.post_gzip(&rows).await.status(), 204);
    let dense = incompressible_rows(CALL_LIMIT * 3 / 2);
    assert!(gzip(&dense).len() > CALL_LIMIT);
    assert_eq!(refusal(lax.post_gzip(&dense).await).await.0, 413);

    let strict = Sender::start(StandInConfig { size_limit: SizeLimit::Both, ..Default::default() }).await;
    assert_eq!(refusal(strict.post_gzip(&rows).await).await.0, 413);
    assert_eq!(strict.post_gzip(&body_of(CALL_LIMIT)).await.status(), 204);
}

#[tokio::test]
async fn a_call_that_unpacks_to_too_much_is_treated_as_configured() {
    let rows = body_of(60 << 20);
    for (over_raw_limit, status) in
        [(OverRawLimit::TooLarge, 413), (OverRawLimit::BadRequest, 400), (OverRawLimit::Lose, 204)]
    {
        let sender = Sender::start(StandInConfig { over_raw_limit, ..Default::default() }).await;
        assert_eq!(sender.post_gzip(&rows).await.status().as_u16(), status);
        let counters = sender.server.state().counters(TABLE);
        assert_eq!((counters.rows, counters.lost_calls), (0, u64::from(status == 204)));
    }
}

#[tokio::test]
async fn above_the_requests_or_bytes_of_a_minute_the_rule_answers_429_with_retry_after() {
    let sender = Sender::start(StandInConfig { requests_per_minute: 2, ..Default::default() }).await;
    for _ in 0..2 {
        assert_eq!(sender.post(&json!([{}])).await.status(), 204);
    }
    let answer = sender.post(&json!([{}])).await;
    assert_eq!(answer.status(), 429);
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(sender.server.state().counters(TABLE).rows, 2);

    let sender = Sender::start(StandInConfig { bytes_per_minute: 10, ..Default::default() }).await;
    assert_eq!(sender.post(&json!([{}])).await.status(), 204);
    assert_eq!(sender.post(&json!([{"EventCount": 1}])).await.status(), 429);
}

#[tokio::test]
async fn counters_are_exact_beyond_the_rows_kept() {
    let sender = Sender::start(StandInConfig { keep_rows: 3, ..Default::default() }).await;
    for call in 0..5 {
        let rows: Vec<Value> = (0..10).map(|row| json!({ "EventCount": call * 10 + row })).collect();
        assert_eq!(sender.post(&json!(rows)).await.status(), 204);
    }
    let state = sender.server.state();
    let kept: Vec<i64> = state.rows(TABLE).iter().filter_map(|row| row["EventCount"].as_i64()).collect();
    assert_eq!(kept, [47, 48, 49], "the newest");
    let counters = state.counters(TABLE);
    assert_eq!((counters.rows, counters.requests), (50, 5));
    assert_eq!(counters.billed_bytes, 50 * 28 + 10 + 40 * 2);
}

#[tokio::test]
async fn kept_rows_are_bounded_in_bytes() {
    let sender = Sender::start(StandInConfig { keep_bytes: 10_000, ..Default::default() }).await;
    let rows: Vec<Value> = (0..100).map(|_| json!({"EventMessage": "x".repeat(1_000)})).collect();
    assert_eq!(sender.post(&json!(rows)).await.status(), 204);
    let state = sender.server.state();
    assert_eq!((state.counters(TABLE).rows, state.rows(TABLE).len()), (100, 8));
}

#[tokio::test]
async fn shutdown_ends_the_server() {
    let sender = start().await;
    let (addr, client) = (sender.server.addr(), sender.client.clone());
    sender.server.shutdown().await;
    assert!(client.get(format!("http://{addr}/healthz")).send().await.is_err());
}
