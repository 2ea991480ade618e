//! A workspace that answers as a script says: a token endpoint and the Logs Ingestion API over plain sockets, so that it
//! can break connections as well as answer.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do with one request for rows, after its token was found good.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Answer with a status, header lines and a body.
    Answer(u16, &'static str, String),
    /// Break the connection without an answer.
    Reset,
    /// Take the rows, then close the connection.
    LoseAnswer,
}

#[derive(Default)]
pub(crate) struct State {
    /// What comes first; when it is used up, rows are taken.
    pub(crate) script: VecDeque<Step>,
    /// Rows taken, with their stream.
    pub(crate) rows: Vec<(String, Value)>,
    /// Status of every answer; 0 for none.
    pub(crate) statuses: Vec<u16>,
    /// Sizes of the bodies taken, before and after decompression.
    pub(crate) bodies: Vec<(usize, usize)>,
    /// Request ids seen.
    pub(crate) request_ids: Vec<String>,
    /// Bodies longer than this on the wire are refused with 413.
    pub(crate) wire_limit: usize,
    /// Bodies with a row that holds this text are refused with 400.
    pub(crate) poison: Option<String>,
    /// Tokens handed out, numbered from 1.
    pub(crate) tokens: usize,
    /// Tokens before this one are refused; raised to make old ones bad.
    pub(crate) first_good_token: usize,
}

pub(crate) struct Workspace {
    pub(crate) url: String,
    pub(crate) state: Arc<Mutex<State>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Workspace {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(Mutex::new(State { wire_limit: 1_048_576, ..State::default() }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        Self { url, state, server }
    }

    pub(crate) fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.state.lock().expect("lock").script.extend(steps);
    }

    pub(crate) fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().expect("lock"))
    }

    /// Values of the column `n` of all rows taken, sorted.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        let mut numbers: Vec<_> =
            self.with(|state| state.rows.iter().map(|(_, row)| row["n"].as_i64().expect("numbered")).collect());
        numbers.sort_unstable();
        numbers
    }
}

pub(crate) fn status(status: u16) -> Step {
    Step::Answer(status, "", String::new())
}

struct Request {
    path: String,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

async fn serve(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    while let Some(request) = read(&mut socket).await {
        let step = answer(&request, &mut state.lock().expect("lock"));
        match step {
            Step::Answer(status, headers, body) => {
                let text = format!(
                    "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                    if status == 204 { 0 } else { body.len() }
                );
                if socket.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Step::Reset => {
                socket.set_zero_linger().expect("a socket");
                return;
            }
            Step::LoseAnswer => return,
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let headers = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let path = headers.split(' ').nth(1)?.to_owned();
    let mut request = Request { path, headers, body: bytes.split_off(head + 4) };
    let length: usize = request.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    while request.body.len() < length {
        if socket.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}

fn answer(request: &Request, state: &mut State) -> Step {
    if request.path.ends_with("/oauth2/v2.0/token") {
        let form = String::from_utf8_lossy(&request.body);
        assert!(form.contains("client_secret=s3cret") && form.contains("grant_type=client_credentials"), "{form}");
        state.tokens += 1;
        let body = format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"token-{}"}}"#, state.tokens);
        return Step::Answer(200, "Content-Type: application/json\r\n", body);
    }
    let step = ingest(request, state);
    state.statuses.push(match &step {
        Step::Answer(status, ..) => *status,
        Step::Reset | Step::LoseAnswer => 0,
    });
    step
}

fn ingest(request: &Request, state: &mut State) -> Step {
    state.request_ids.push(request.header("x-ms-client-request-id").expect("sent with each attempt").to_owned());
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert!(request.path.ends_with("?api-version=2023-01-01"), "{}", request.path);
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer token-"));
    if bearer.and_then(|number| number.parse().ok()).is_none_or(|number: usize| number < state.first_good_token) {
        return Step::Answer(401, "WWW-Authenticate: Bearer\r\n", String::new());
    }
    let takes_rows = match state.script.pop_front() {
        Some(step @ Step::LoseAnswer) => step,
        Some(step) => return step,
        None => status(204),
    };
    if request.body.len() > state.wire_limit {
        let body = format!(
            r#"{{"error":{{"code":"ContentLengthLimitExceeded","message":"Provided content length: {} bytes."}}}}"#,
            request.body.len()
        );
        return Step::Answer(413, "", body);
    }
    let mut json = String::new();
    GzDecoder::new(&*request.body).read_to_string(&mut json).expect("gzip");
    let rows: Vec<Value> = serde_json::from_str(&json).expect("a JSON array");
    if state.poison.as_ref().is_some_and(|poison| json.contains(poison)) {
        let body = r#"{"error":{"code":"InvalidPayload","message":"a column has the wrong type"}}"#;
        return Step::Answer(400, "", body.to_owned());
    }
    let stream = request.path.split('?').next().and_then(|path| path.rsplit('/').next()).expect("a stream").to_owned();
    if !rows.is_empty() {
        state.bodies.push((json.len(), request.body.len()));
    }
    state.rows.extend(rows.into_iter().map(|row| (stream.clone(), row)));
    takes_rows
}
