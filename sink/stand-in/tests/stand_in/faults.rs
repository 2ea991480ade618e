//! Scripted faults as a sender sees them.

use std::time::{Duration, Instant};

use crate::sender::{STREAM, Sender, TABLE, refusal};
use serde_json::{Value, json};
use weir_stand_in::{Fault, StandInConfig};

async fn start() -> Sender {
    Sender::start(StandInConfig::default()).await
}

#[tokio::test]
async fn scripted_statuses_come_in_order_and_then_all_is_well() {
    let sender = start().await;
    let state = sender.server.state();
    state.script_faults([
        Fault::status(401),
        Fault::status(403),
        Fault::status(404),
        Fault::status(204),
        Fault::status(413),
        Fault::status(503).times(2),
    ]);
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(refusal(sender.post(&json!([{}])).await).await);
    }
    let codes = ["", "OperationFailed", "NotFound", "", "ContentLengthLimitExceeded", "", "", ""];
    let expected: Vec<(u16, String)> =
        [401, 403, 404, 204, 413, 503, 503, 204].into_iter().zip(codes.map(str::to_owned)).collect();
    assert_eq!(seen, expected);
    assert_eq!(state.counters(TABLE).rows, 2, "refused calls store nothing");
    assert_eq!(state.counters(TABLE).refusals[&503], 2);
    assert_eq!(state.totals().requests, 8);
    assert!(state.faults_left().is_empty());
}

#[tokio::test]
async fn retry_after_comes_as_seconds_date_nonsense_or_not_at_all() {
    let sender = start().await;
    let script = json!([
        {"status": 429, "retry_after": 7},
        {"status": 429, "retry_after": {"http_date": 5}},
        {"status": 429, "retry_after": "absurd"},
        {"status": 429, "retry_after": "soon"},
        {"status": 429, "body": "<html>busy</html>"},
    ]);
    let answer = sender.client.post(sender.url("/stand-in/faults")).body(script.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let mut headers = Vec::new();
    for _ in 0..5 {
        let answer = sender.post(&json!([{}])).await;
        assert_eq!(answer.status(), 429);
        headers.push(answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned()));
        let body = answer.text().await.unwrap();
        assert_eq!(body, if headers.len() == 5 { "<html>busy</html>" } else { "" });
    }
    let date = headers.remove(1).unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    assert_eq!(headers, [Some("7".to_owned()), Some("86400".to_owned()), Some("soon".to_owned()), None]);
}

#[tokio::test]
async fn a_reset_reaches_the_sender_and_stores_nothing() {
    let sender = start().await;
    let state = sender.server.state();
    let body = json!([{"EventMessage": "x".repeat(60_000)}, {"EventMessage": "y".repeat(60_000)}]).to_string();
    for after in [0, 50_000, 10_000_000] {
        state.script_faults([Fault::reset_after(after)]);
        let error = sender.request().body(body.clone()).send().await.expect_err("no answer");
        assert!(error.is_request() || error.is_connect() || error.is_body(), "{error:?}");
    }
    assert_eq!((state.totals().resets, state.counters(TABLE).rows), (3, 0));
    assert_eq!(sender.request().body(body).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_reset_is_a_tcp_reset() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let sender = start().await;
    let read_after = async |fault: Fault| {
        sender.server.state().script_faults([fault]);
        let mut socket = tokio::net::TcpStream::connect(sender.server.addr()).await.unwrap();
        let head = format!(
            "POST /dataCollectionRules/{}/streams/{STREAM}?api-version=2023-01-01 HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n[{{}}]",
            sender.rule, sender.token
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.map(|_| answer).map_err(|error| error.kind())
    };
    assert_eq!(read_after(Fault::reset_after(4)).await, Err(std::io::ErrorKind::ConnectionReset));
    assert_eq!(read_after(Fault::lost_response()).await, Ok(Vec::new()), "a plain end of the stream");
}

#[tokio::test]
async fn a_lost_response_leaves_the_rows_so_that_a_retry_doubles_them() {
    let sender = start().await;
    let state = sender.server.state();
    state.script_faults([Fault::lost_response()]);
    let rows = json!([{"EventCount": 1}]);
    assert!(sender.request().body(rows.to_string()).send().await.is_err());
    assert_eq!((state.counters(TABLE).rows, state.totals().lost_responses), (1, 1));
    assert_eq!(sender.post(&rows).await.status(), 204);
    assert_eq!(state.counters(TABLE).rows, 2);
}

#[tokio::test]
async fn a_delay_waits_and_a_fault_waits_for_its_stream() {
    let sender = start().await;
    let state = sender.server.state();
    state.script_faults([
        Fault::status(500).on_stream("Custom-Other"),
        Fault::delay(Duration::from_millis(120)).on_stream(STREAM),
    ]);
    let started = Instant::now();
    assert_eq!(sender.post(&json!([{}])).await.status(), 204);
    assert!(started.elapsed() >= Duration::from_millis(120));
    let left: Value = sender.client.get(sender.url("/stand-in/faults")).send().await.unwrap().json().await.unwrap();
    assert_eq!(left[0]["stream"], "Custom-Other");
    let cleared = sender.client.delete(sender.url("/stand-in/faults")).send().await.unwrap();
    assert_eq!(cleared.status(), 204);
    assert!(state.faults_left().is_empty());
}

#[tokio::test]
async fn the_token_endpoint_takes_faults_of_its_own() {
    let sender = start().await;
    sender.server.state().script_faults([Fault::status(503).retry_after_seconds(1).on_token()]);
    let form = [("grant_type", "client_credentials")];
    let answer = sender.token_request(&form).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert!(!sender.ask_for_token().await.is_empty());
}

#[tokio::test]
async fn a_misspelt_script_is_refused_whole() {
    let sender = start().await;
    for script in [r#"[{"status":500},{"stauts":500}]"#, "5", ""] {
        let answer = sender.client.post(sender.url("/stand-in/faults")).body(script).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{script}");
    }
    assert!(sender.server.state().faults_left().is_empty());
}
