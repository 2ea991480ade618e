//! The stand-in workspace, and a config that sends to it.

use serde_json::Value;
use weir_stand_in::{StandIn, StandInConfig, rule_for_tables};

use super::weir::Workplace;

/// The tables that the stand-in has a rule for.
pub(crate) const TABLES: [&str; 11] = [
    "ASimProcessEventLogs",
    "ASimNetworkSessionLogs",
    "ASimFileEventLogs",
    "ASimRegistryEventLogs",
    "ASimAuthenticationEventLogs",
    "ASimAuditEventLogs",
    "ASimUserManagementActivityLogs",
    "ASimDnsActivityLogs",
    "ASimWebSessionLogs",
    "ASimAlertEventLogs",
    "ASimEmailEventLogs_CL",
];

/// A stand-in with rules for the tables, and a workplace whose config sends to it.
pub(crate) async fn connected(extra: &str) -> (StandIn, Workplace, std::path::PathBuf) {
    let settings = StandInConfig::default();
    let (tenant, client, secret) =
        (settings.tenant.clone(), settings.client_id.clone(), settings.client_secret.clone());
    let server = StandIn::start(settings).await.expect("a free port");
    let place = Workplace::new();
    place.write("secret", secret);
    let rules = load_rules(&server, &place);
    let url = server.url();
    let config = place.config(&format!(
        "sources:\n  - name: files\n    files: {{paths: [\"{{dir}}/input\"]}}\n\
         lake: {{url: \"{{dir}}/lake\"}}\n\
         sentinel:\n  endpoint: {url}\n  rules:\n{rules}  \
         credential:\n    client_secret:\n      tenant_id: {tenant}\n      client_id: {client}\n      \
         secret: {{file: \"{{dir}}/secret\"}}\n      authority: {url}\n{extra}"
    ));
    (server, place, config)
}

/// Loads rules for the tables, and writes their definitions below `place`; gives what stands under `rules:`.
pub(crate) fn load_rules(server: &StandIn, place: &Workplace) -> String {
    let definitions = rule_for_tables(&TABLES);
    let definitions = definitions.as_array().expect("more tables than one rule takes");
    let mut rules = String::new();
    for (number, definition) in definitions.iter().enumerate() {
        let loaded = server.state().add_rule(definition).expect("the rule is valid");
        place.write(&format!("rule{number}.json"), definition.to_string());
        let id = &loaded[0].immutable_id;
        rules += &format!("    - id: {id}\n      definition: \"{{dir}}/rule{number}.json\"\n");
    }
    rules
}

/// Its counters per table.
pub(crate) async fn tables(server: &StandIn) -> Value {
    let url = format!("{}/stand-in/tables", server.url());
    reqwest::get(url).await.expect("answers").json().await.expect("JSON")
}

/// The rows of a table, 10,000 at the most.
pub(crate) async fn rows_of(server: &StandIn, table: &str) -> Vec<Value> {
    let url = format!("{}/stand-in/tables/{table}/rows?limit=10000", server.url());
    let answer: Value = reqwest::get(url).await.expect("answers").json().await.expect("JSON");
    answer.as_array().or_else(|| answer["rows"].as_array()).expect("a list of rows").clone()
}

/// Appends to its script of faults.
pub(crate) async fn script(server: &StandIn, faults: Value) {
    let url = format!("{}/stand-in/faults", server.url());
    let answer = reqwest::Client::new().post(url).json(&faults).send().await.expect("answers");
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
}

/// Ends its script of faults.
pub(crate) fn unscript(server: &StandIn) {
    server.state().clear_faults();
}

/// Rows that it took, over all tables.
pub(crate) fn delivered(server: &StandIn) -> u64 {
    server.state().tables().values().map(|table| table.rows).sum()
}
