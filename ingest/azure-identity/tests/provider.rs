//! The provider against a sign-in service on loopback.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;
use weir_azure_identity::credential::{Authority, ClientSecret, WorkloadIdentity};
use weir_azure_identity::exchange::http_client;
use weir_azure_identity::{AzureCredential, TokenError, TokenProvider};
use weir_contract::secret::SecretRef;

const SCOPE: &str = "https://monitor.azure.com/.default";

type Form = HashMap<String, String>;

/// Answers the scripted statuses and lives in turn; then 200 with an hour.
#[derive(Default)]
struct Script {
    answers: Vec<(u16, &'static str)>,
    seen: Vec<(String, Form)>,
}

#[derive(Clone, Default)]
struct SignIn(Arc<Mutex<Script>>);

impl SignIn {
    async fn start(answers: &[(u16, &'static str)]) -> (Self, Authority) {
        let sign_in = Self::default();
        sign_in.0.lock().unwrap().answers = answers.to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = Authority::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let app = Router::new().route("/{tenant}/oauth2/v2.0/token", post(answer)).with_state(sign_in.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (sign_in, authority)
    }

    fn seen(&self) -> Vec<(String, Form)> {
        self.0.lock().unwrap().seen.clone()
    }
}

async fn answer(State(sign_in): State<SignIn>, Path(tenant): Path<String>, body: String) -> impl IntoResponse {
    let form = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    // Long enough for callers that arrive together to find the request under way.
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut script = sign_in.0.lock().unwrap();
    script.seen.push((tenant, form));
    let number = script.seen.len();
    let (status, extra) =
        if script.answers.is_empty() { (200, r#""expires_in":3600"#) } else { script.answers.remove(0) };
    let body = format!(r#"{{"token_type":"Bearer","access_token":"token-{number}",{extra}}}"#);
    (StatusCode::from_u16(status).unwrap(), [("retry-after", "0")], body)
}

fn secret_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn client_secret(authority: Authority, file: PathBuf) -> TokenProvider {
    let credential = AzureCredential::ClientSecret(ClientSecret {
        tenant_id: "tenant-1".to_owned(),
        client_id: "client-1".to_owned(),
        secret: SecretRef::File(file),
        authority,
    });
    TokenProvider::new(credential, http_client().unwrap())
}

#[tokio::test]
async fn a_client_secret_is_sent_as_the_form_that_entra_asks_for() {
    let (sign_in, authority) = SignIn::start(&[]).await;
    let (_directory, file) = secret_file("p&ss wörd\n");
    let token = client_secret(authority, file).token(SCOPE).await.unwrap();
    assert_eq!(token.token.expose(), "token-1");
    let life = token.expires_at.duration_since(std::time::SystemTime::now()).unwrap();
    assert!(life > Duration::from_secs(3_590) && life <= Duration::from_secs(3_600), "{life:?}");
    let [(tenant, form)] = &sign_in.seen()[..] else { panic!("one request") };
    assert_eq!(tenant, "tenant-1");
    assert_eq!(form["client_id"], "client-1");
    assert_eq!(form["client_secret"], "p&ss wörd");
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], SCOPE);
}

#[tokio::test]
async fn the_federated_token_is_read_anew_for_each_request() {
    let (sign_in, authority) = SignIn::start(&[]).await;
    let (_directory, file) = secret_file("jwt-1");
    let credential = AzureCredential::WorkloadIdentity(WorkloadIdentity {
        tenant_id: Some("tenant-1".to_owned()),
        client_id: Some("client-1".to_owned()),
        token_file: Some(file.clone()),
        authority: Some(authority),
    });
    let provider = TokenProvider::new(credential, http_client().unwrap());
    provider.token(SCOPE).await.unwrap();
    std::fs::write(&file, "jwt-2\n").unwrap();
    provider.token("https://ns.servicebus.windows.net/.default").await.unwrap();
    let seen = sign_in.seen();
    assert_eq!(seen[0].1["client_assertion"], "jwt-1");
    assert_eq!(seen[1].1["client_assertion"], "jwt-2");
    assert_eq!(seen[1].1["scope"], "https://ns.servicebus.windows.net/.default");
    assert_eq!(seen[0].1["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!seen[0].1.contains_key("client_secret"));
}

#[tokio::test]
async fn many_callers_cause_one_request_and_later_ones_none() {
    let (sign_in, authority) = SignIn::start(&[]).await;
    let (_directory, file) = secret_file("s");
    let provider = client_secret(authority, file);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { provider.token(SCOPE).await.unwrap().token })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().expose(), "token-1");
    }
    provider.token(SCOPE).await.unwrap();
    assert_eq!(sign_in.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_token_is_fetched_once_more_and_late_refusals_leave_the_new_one() {
    let (sign_in, authority) = SignIn::start(&[]).await;
    let (_directory, file) = secret_file("s");
    let provider = client_secret(authority, file);
    let first = provider.token(SCOPE).await.unwrap();
    provider.invalidate_token(SCOPE, &first);
    assert_eq!(provider.token(SCOPE).await.unwrap().token.expose(), "token-2");
    provider.invalidate_token(SCOPE, &first);
    assert_eq!(provider.token(SCOPE).await.unwrap().token.expose(), "token-2");
    provider.invalidate(SCOPE);
    assert_eq!(provider.token(SCOPE).await.unwrap().token.expose(), "token-3");
    assert_eq!(sign_in.seen().len(), 3);
}

#[tokio::test]
async fn a_valid_token_serves_on_while_its_renewal_fails() {
    let refused = r#""error":"invalid_client","error_codes":[7000222]"#;
    let (sign_in, authority) = SignIn::start(&[(200, r#""expires_in":3600,"refresh_in":0"#), (401, refused)]).await;
    let (_directory, file) = secret_file("s");
    let provider = client_secret(authority, file);
    for _ in 0..5 {
        assert_eq!(provider.token(SCOPE).await.unwrap().token.expose(), "token-1");
    }
    // The first call fetched, the second failed to renew, and the others left the service in peace.
    assert_eq!(sign_in.seen().len(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_an_ended_one_is_replaced() {
    let (sign_in, authority) =
        SignIn::start(&[(200, r#""expires_in":3600,"refresh_in":0"#), (200, r#""expires_in":0"#)]).await;
    let (_directory, file) = secret_file("s");
    let provider = client_secret(authority, file);
    for expected in ["token-1", "token-2", "token-3", "token-3"] {
        assert_eq!(provider.token(SCOPE).await.unwrap().token.expose(), expected);
    }
    assert_eq!(sign_in.seen().len(), 3);
}

#[tokio::test]
async fn throttling_is_waited_out_and_a_refusal_is_told_at_once() {
    let refused = r#""error":"invalid_client","error_description":"AADSTS7000215: wrong","error_codes":[7000215]"#;
    let (sign_in, authority) =
        SignIn::start(&[(429, r#""x":0"#), (503, r#""x":0"#), (200, r#""expires_in":60"#), (401, refused)]).await;
    let (_directory, file) = secret_file("topsecret");
    let provider = client_secret(authority, file);
    assert_eq!(provider.token(SCOPE).await.unwrap().token.expose(), "token-3");
    let error = provider.token("other").await.unwrap_err();
    assert!(matches!(error, TokenError::Refused { number: 7_000_215, .. }), "{error:?}");
    assert!(!format!("{error:?} {provider:?}").contains("topsecret"));
    assert_eq!(sign_in.seen().len(), 4);
}

#[tokio::test]
async fn an_unreachable_service_is_named() {
    let (_directory, file) = secret_file("s");
    // Bound and dropped: nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = Authority::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = client_secret(authority.clone(), file).token(SCOPE).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains(&authority.to_string()), "{error}");
}
