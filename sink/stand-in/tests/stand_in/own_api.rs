//! Everything over HTTP alone, as a client outside the process has it.

use crate::sender::{STREAM, Sender, TABLE};
use serde_json::{Value, json};
use weir_stand_in::config::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_TENANT};
use weir_stand_in::{StandIn, StandInConfig, rule_for_tables};

async fn get(sender: &Sender, path: &str) -> (u16, Value) {
    let answer = sender.client.get(sender.url(path)).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn put(sender: &Sender, path: &str, body: &Value) -> (u16, Value) {
    let answer = sender.client.put(sender.url(path)).body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

/// What an official client does: load nothing in process, ask for a token, post gzip, look at the result.
#[tokio::test]
async fn a_client_that_knows_only_urls_gets_its_rows_in() {
    let server = StandIn::start(StandInConfig::default()).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let rule: Value = client
        .put(format!("{}/stand-in/rules", server.url()))
        .json(&rule_for_tables(&[TABLE]))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let endpoint = rule["endpoints"]["logsIngestion"].as_str().unwrap();
    let id = rule["immutableId"].as_str().unwrap();
    assert!(id.starts_with("dcr-") && id.len() == 36);
    assert_eq!(rule["streams"][STREAM], json!([TABLE]));

    let form = format!(
        "client_id={DEFAULT_CLIENT_ID}&client_secret={DEFAULT_CLIENT_SECRET}&grant_type=client_credentials&\
         scope=https%3A%2F%2Fmonitor.azure.com%2F.default"
    );
    let token: Value = client
        .post(format!("{}/{DEFAULT_TENANT}/oauth2/v2.0/token", server.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((token["token_type"].as_str(), token["expires_in"].as_u64()), (Some("Bearer"), Some(3599)));

    let answer = client
        .post(format!("{endpoint}/dataCollectionRules/{id}/streams/{STREAM}?api-version=2023-01-01"))
        .bearer_auth(token["access_token"].as_str().unwrap())
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .header("x-ms-client-request-id", "6f0a1b9e-0000-4000-8000-000000000000")
        .body(crate::sender::gzip(br#"[{"TimeGenerated":"2026-11-20T08:00:00Z","Dvc":"ws1"},{"DvcHostname":"ws2"}]"#))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 204);

    let overview: Value =
        client.get(format!("{}/stand-in/tables", server.url())).send().await.unwrap().json().await.unwrap();
    let table = &overview["tables"][TABLE];
    assert_eq!((&table["rows"], &table["alias_columns"]), (&json!(2), &json!(1)));
    assert_eq!(table["dropped_columns"], json!({"Dvc": 1}));
    assert_eq!(overview["totals"]["accepted"], 1);
    let page = client.get(server.url()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(TABLE) && page.contains(id));
}

#[tokio::test]
async fn a_wrong_secret_is_refused_as_entra_does() {
    let sender = Sender::start(StandInConfig::default()).await;
    let form = [
        ("client_id", DEFAULT_CLIENT_ID),
        ("client_secret", "guess"),
        ("grant_type", "client_credentials"),
        ("scope", "https://monitor.azure.com/.default"),
    ];
    let answer = sender.token_request(&form).await;
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["error"], &body["error_codes"]), (&json!("invalid_client"), &json!([7_000_215])));
    assert!(!body.to_string().contains("guess") && !body.to_string().contains(DEFAULT_CLIENT_SECRET));
}

#[tokio::test]
async fn a_managed_identity_token_opens_the_endpoint() {
    let mut sender = Sender::start(StandInConfig::default()).await;
    let url =
        sender.url("/metadata/identity/oauth2/token?api-version=2019-08-01&resource=https%3A%2F%2Fmonitor.azure.com");
    assert_eq!(sender.client.get(&url).send().await.unwrap().status(), 400, "the Metadata header is required");
    let token: Value = sender.client.get(&url).header("Metadata", "true").send().await.unwrap().json().await.unwrap();
    assert_eq!(token["expires_in"], "3599", "numbers are strings here");
    sender.token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(sender.post(&json!([{}])).await.status(), 204);
}

#[tokio::test]
async fn rows_are_paged_and_filtered() {
    let sender = Sender::start(StandInConfig::default()).await;
    let rows: Vec<Value> = (0..250).map(|i| json!({"EventCount": i, "DvcHostname": format!("ws{}", i % 5)})).collect();
    assert_eq!(sender.post(&json!(rows)).await.status(), 204);
    let path = format!("/stand-in/tables/{TABLE}/rows");
    let (_, page) = get(&sender, &format!("{path}?limit=2&offset=1&where=DvcHostname:ws3")).await;
    assert_eq!((&page["total"], &page["kept"], &page["matching"]), (&json!(250), &json!(250), &json!(50)));
    let counts: Vec<i64> =
        page["rows"].as_array().unwrap().iter().filter_map(|row| row["EventCount"].as_i64()).collect();
    assert_eq!(counts, [8, 13]);
    let (_, page) = get(&sender, &path).await;
    assert_eq!(page["rows"].as_array().map(Vec::len), Some(100), "the default limit");
    assert_eq!(get(&sender, &format!("{path}?limit=all")).await.0, 400);
    assert_eq!(get(&sender, "/stand-in/tables/Nothing/rows").await.0, 404);

    assert_eq!(sender.client.delete(sender.url("/stand-in/rows")).send().await.unwrap().status(), 204);
    let (_, page) = get(&sender, &path).await;
    assert_eq!((&page["total"], &page["rows"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn a_bad_rule_is_refused_with_every_fault_and_changes_nothing() {
    let sender = Sender::start(StandInConfig::default()).await;
    let mut bad = rule_for_tables(&["ASimDnsActivityLogs"]);
    bad["properties"]["dataFlows"][0]["transformKql"] = json!("source | take 1");
    bad["properties"]["dataFlows"][0]["outputStream"] = json!("Microsoft-Nothing");
    let both = json!([rule_for_tables(&["ASimFileEventLogs"]), bad]);
    let (status, answer) = put(&sender, "/stand-in/rules", &both).await;
    let codes: Vec<&str> =
        answer["error"]["details"].as_array().unwrap().iter().filter_map(|detail| detail["code"].as_str()).collect();
    assert_eq!((status, codes), (400, vec!["InvalidTransformQuery", "InvalidOutputTable"]));
    let (_, rules) = get(&sender, "/stand-in/rules").await;
    assert_eq!(rules.as_array().map(Vec::len), Some(1), "all or none");
    assert_eq!(put(&sender, "/stand-in/rules", &json!("text")).await.0, 400);
}

#[tokio::test]
async fn a_rule_of_the_same_name_keeps_its_id() {
    let sender = Sender::start(StandInConfig::default()).await;
    let mut rule = rule_for_tables(&["ASimDnsActivityLogs"]);
    rule["properties"].as_object_mut().unwrap().remove("immutableId");
    let (_, first) = put(&sender, "/stand-in/rules", &rule).await;
    let (_, second) = put(&sender, "/stand-in/rules", &rule).await;
    assert_eq!(first["immutableId"], second["immutableId"]);
    rule["name"] = json!("another");
    let (_, third) = put(&sender, "/stand-in/rules", &rule).await;
    assert_ne!(first["immutableId"], third["immutableId"]);
}

#[tokio::test]
async fn the_role_is_taken_and_given_over_http() {
    let sender = Sender::start(StandInConfig::default()).await;
    let path = format!("/stand-in/rules/{}/role", sender.rule);
    assert_eq!(put(&sender, &path, &json!({"granted": false})).await.0, 204);
    assert_eq!(sender.post(&json!([{}])).await.status(), 403);
    assert_eq!(put(&sender, &path, &json!({"granted": true})).await.0, 204);
    assert_eq!(sender.post(&json!([{}])).await.status(), 204);
    assert_eq!(put(&sender, &path, &json!({"grant": true})).await.0, 400);
    assert_eq!(put(&sender, "/stand-in/rules/dcr-0/role", &json!({"granted": true})).await.0, 404);
}

#[tokio::test]
async fn tokens_are_revoked_over_http() {
    let sender = Sender::start(StandInConfig::default()).await;
    assert_eq!(sender.client.delete(sender.url("/stand-in/tokens")).send().await.unwrap().status(), 204);
    assert_eq!(sender.post(&json!([{}])).await.status(), 401);
}
