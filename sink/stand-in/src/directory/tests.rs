//! The decision on token requests.

use super::*;
use crate::config::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_TENANT};

const NOW: i64 = 1_764_000_000;
const SCOPE: &str = "https://monitor.azure.com/.default";

fn form(changes: &[(&str, &str)]) -> HashMap<String, String> {
    let mut form: HashMap<String, String> = [
        ("grant_type", "client_credentials"),
        ("client_id", DEFAULT_CLIENT_ID),
        ("client_secret", DEFAULT_CLIENT_SECRET),
        ("scope", SCOPE),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in changes {
        if value.is_empty() {
            form.remove(*name);
        } else {
            form.insert((*name).to_owned(), (*value).to_owned());
        }
    }
    form
}

fn asked(changes: &[(&str, &str)]) -> Result<String, u32> {
    let config = StandInConfig { federated_token: Some("plain-text-token".to_owned()), ..Default::default() };
    audience_asked_for(&form(changes), DEFAULT_TENANT, &config, NOW)
        .map(str::to_owned)
        .map_err(|refusal| refusal.number)
}

fn jwt(claims: Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "PS256", "typ": "JWT"})), part(&claims))
}

fn asserted(assertion: &str) -> Result<String, u32> {
    asked(&[("client_secret", ""), ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)])
}

#[test]
fn a_secret_gives_a_token_for_the_scope() {
    assert_eq!(asked(&[]), Ok("https://monitor.azure.com".to_owned()));
    assert_eq!(asked(&[("scope", "https://monitor.azure.com//.default")]), Ok("https://monitor.azure.com/".to_owned()));
}

#[test]
fn each_wrong_field_has_its_number() {
    assert_eq!(asked(&[("client_secret", "guess")]), Err(7_000_215));
    assert_eq!(asked(&[("client_secret", "")]), Err(7_000_218));
    assert_eq!(asked(&[("client_id", "someone")]), Err(700_016));
    assert_eq!(asked(&[("grant_type", "password")]), Err(70003));
    assert_eq!(asked(&[("grant_type", "")]), Err(900_144));
    assert_eq!(asked(&[("scope", "monitor")]), Err(70011));
    let form = form(&[]);
    let elsewhere = audience_asked_for(&form, "another", &StandInConfig::default(), NOW);
    assert_eq!(elsewhere.map_err(|refusal| refusal.number), Err(90002));
}

#[test]
fn assertions_are_read_by_their_claims() {
    let certificate = json!({
        "iss": DEFAULT_CLIENT_ID, "sub": DEFAULT_CLIENT_ID, "nbf": NOW, "exp": NOW + 300,
        "aud": format!("https://login.example.org/{DEFAULT_TENANT}/oauth2/v2.0/token"),
    });
    let federated = json!({
        "iss": "https://oidc.example.org/cluster/", "sub": "system:serviceaccount:weir:weir", "exp": NOW + 3600,
        "aud": ["api://AzureADTokenExchange"],
    });
    let changed = |claims: &Value, name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        asserted(&jwt(claims))
    };
    assert!(asserted(&jwt(certificate.clone())).is_ok());
    assert!(asserted(&jwt(federated.clone())).is_ok());
    assert!(asserted("plain-text-token\n").is_ok(), "the configured text");
    assert_eq!(asserted("other text"), Err(50027));
    assert_eq!(changed(&certificate, "aud", json!("https://login.example.org/other")), Err(700_213));
    assert_eq!(changed(&certificate, "exp", json!(NOW - 301)), Err(700_024));
    assert_eq!(changed(&certificate, "nbf", json!(NOW + 301)), Err(700_024));
    assert_eq!(changed(&federated, "aud", json!("api://elsewhere")), Err(700_213));
    assert_eq!(changed(&federated, "exp", Value::Null), Err(700_024));
    let untyped = asked(&[("client_secret", ""), ("client_assertion", &jwt(federated))]);
    assert_eq!(untyped, Err(7_000_218), "client_assertion_type is missing");
}
