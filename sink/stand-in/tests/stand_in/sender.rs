//! A sender as small as one can be, for the tests: plain reqwest, no code of Weir's sink.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use weir_stand_in::config::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_TENANT};
use weir_stand_in::{StandIn, StandInConfig, rule_for_tables};

pub(crate) const TABLE: &str = "ASimProcessEventLogs";
pub(crate) const STREAM: &str = "Custom-ASimProcessEventLogs";

/// A running stand-in with a rule for [`TABLE`], and what a sender needs to reach it.
pub(crate) struct Sender {
    pub(crate) server: StandIn,
    pub(crate) client: Client,
    pub(crate) rule: String,
    pub(crate) token: String,
}

impl Sender {
    pub(crate) async fn start(config: StandInConfig) -> Self {
        let server = StandIn::start(config).await.unwrap();
        let rule = server.state().add_rule(rule_for_tables(&[TABLE])).unwrap().remove(0).immutable_id;
        let client = Client::builder().no_proxy().build().unwrap();
        let mut sender = Self { server, client, rule, token: String::new() };
        sender.token = sender.ask_for_token().await;
        sender
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    pub(crate) async fn token_request(&self, form: &[(&str, &str)]) -> Response {
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", value.replace('&', "%26"))).collect();
        let request = self.client.post(self.url(&format!("/{DEFAULT_TENANT}/oauth2/v2.0/token")));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(form.join("&")).send().await.unwrap()
    }

    pub(crate) async fn ask_for_token(&self) -> String {
        let form = [
            ("client_id", DEFAULT_CLIENT_ID),
            ("client_secret", DEFAULT_CLIENT_SECRET),
            ("grant_type", "client_credentials"),
            ("scope", "https%3A%2F%2Fmonitor.azure.com%2F%2F.default"),
        ];
        let answer: Value = self.token_request(&form).await.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A good call's request, before its body.
    pub(crate) fn request_to(&self, rule: &str, stream: &str) -> RequestBuilder {
        let path = format!("/dataCollectionRules/{rule}/streams/{stream}?api-version=2023-01-01");
        self.client.post(self.url(&path)).bearer_auth(&self.token).header("content-type", "application/json")
    }

    pub(crate) fn request(&self) -> RequestBuilder {
        self.request_to(&self.rule, STREAM)
    }

    pub(crate) async fn post(&self, rows: &Value) -> Response {
        self.request().body(rows.to_string()).send().await.unwrap()
    }

    pub(crate) async fn post_gzip(&self, body: &[u8]) -> Response {
        self.request().header("content-encoding", "gzip").body(gzip(body)).send().await.unwrap()
    }
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The status and `error.code` of a refusal, whose header must say the same.
pub(crate) async fn refusal(answer: Response) -> (u16, String) {
    let (status, header) = (answer.status().as_u16(), answer.headers().get("x-ms-error-code").cloned());
    let body = answer.bytes().await.unwrap();
    if body.is_empty() {
        assert_eq!(header, None);
        return (status, String::new());
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let code = body["error"]["code"].as_str().unwrap().to_owned();
    assert_eq!(header.unwrap(), code.as_str());
    (status, code)
}
