//! One payload, until each of its rows is delivered or a dead letter.
//!
//! Compress, send, ask [`decide`] what the answer means, do it. A payload that is too large or partly refused goes on in
//! halves, so that in the end a refusal names one row. What is left when the sink stops is dropped unanswered.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::dead_letter::{self, DEAD_LETTERS, DeadLetter, Form, MappedBy, Stage};
use weir_contract::memory::{MemoryBudget, unique_bytes};
use weir_contract::position::{Origin, Repeats};

use crate::sentinel::SINK;
use crate::sentinel::client::Client;
use crate::sentinel::config::{Packing, SentinelConfig};
use crate::sentinel::decide::{Answer, Decision, Fault, History, Policy, Reason, Response, decide};
use crate::sentinel::metrics::SentinelMetrics;
use crate::sentinel::pack::{CameFrom, Payload, Segment};
use crate::sentinel::routing::Destination;
use crate::sink::{SinkError, SinkSummary, TableTotals};

/// Sends payloads; shared by all that are under way.
pub struct Courier {
    client: Client,
    policy: Policy,
    packing: Packing,
    gzip_level: u32,
    metrics: SentinelMetrics,
    budget: MemoryBudget,
    dead_letters: mpsc::Sender<Batch>,
    totals: Mutex<SinkSummary>,
}

/// What became of one body.
enum Outcome {
    Delivered,
    TooLarge(Response),
    Refused(Response),
}

impl Courier {
    /// A courier with connections of its own.
    pub fn new(
        config: &SentinelConfig,
        metrics: SentinelMetrics,
        budget: MemoryBudget,
        dead_letters: mpsc::Sender<Batch>,
    ) -> Result<Self, SinkError> {
        Ok(Self {
            client: Client::new(config)?,
            policy: config.retry.policy(),
            packing: config.packing,
            gzip_level: config.gzip_level,
            metrics,
            budget,
            dead_letters,
            totals: Mutex::default(),
        })
    }

    /// What was delivered so far.
    pub fn totals(&self) -> SinkSummary {
        self.totals.lock().expect("no panic while counting").clone()
    }

    /// Delivers every row of `payload`, or makes it a dead letter.
    ///
    /// # Errors
    ///
    /// When no retry helps or retries are used up; rows that are not settled by then fail their batches.
    pub async fn deliver(&self, to: &Destination, payload: Payload) -> Result<(), SinkError> {
        let mut stack = vec![payload];
        while let Some(payload) = stack.pop() {
            let raw = payload.body_len();
            let (payload, body) = self.compress(to, payload).await?;
            to.note_ratio(raw, body.len());
            if body.len() > self.packing.max_wire() {
                self.split_or_bury(to, payload, &mut stack, "row_too_large", || {
                    format!(
                        "the row takes {} bytes compressed; a request takes {}",
                        body.len(),
                        self.packing.max_wire()
                    )
                })
                .await?;
                continue;
            }
            let wire = body.len();
            match self.send(to, body, &self.policy).await? {
                Outcome::Delivered => self.settle(to, payload, wire),
                Outcome::TooLarge(answer) => {
                    to.rule.refuse_body(raw);
                    self.split_or_bury(to, payload, &mut stack, "row_too_large", || {
                        format!("the workspace finds the row too large: {}", told(&answer))
                    })
                    .await?;
                }
                Outcome::Refused(answer) => {
                    self.split_or_bury(to, payload, &mut stack, "refused_by_workspace", || {
                        format!("the workspace refuses the row: {}", told(&answer))
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Makes a row a dead letter; the lake that takes it answers its acknowledgement.
    pub async fn bury(
        &self,
        to: &Destination,
        row: Segment,
        reason: &'static str,
        detail: String,
    ) -> Result<(), SinkError> {
        let (came, place) = row.origin();
        let came = came.clone();
        let json = row.json().strip_suffix(b",").unwrap_or(row.json());
        let letter = letter(&came, place, &to.table, reason, detail, json);
        self.metrics.dead_letters.count(std::slice::from_ref(&letter));
        self.metrics.shared.buffered_rows.with_label_values(&[SINK]).dec();
        self.metrics.shared.buffered_bytes.with_label_values(&[SINK]).sub(row.json().len() as i64);
        let (ack, was_last) = row.hand_over();
        self.count(&to.table, TableTotals { batches: u64::from(was_last), refused: 1, ..TableTotals::default() });
        let batch = letters(&[letter], &came, place, ack, &self.budget);
        self.hand_to_lake(&to.table, batch).await
    }

    /// Hands on rows of a table that the workspace has no place for; `letters` carry their acknowledgement.
    pub async fn refuse(&self, table: &str, letters: Batch) -> Result<(), SinkError> {
        let rows = letters.rows.num_rows() as u64;
        self.metrics.shared.buffered_rows.with_label_values(&[SINK]).sub(rows as i64);
        self.count(table, TableTotals { batches: 1, refused: rows, ..TableTotals::default() });
        self.hand_to_lake(table, letters).await
    }

    async fn hand_to_lake(&self, table: &str, letters: Batch) -> Result<(), SinkError> {
        self.dead_letters.send(letters).await.map_err(|_| SinkError::Refused {
            operation: "keep a dead letter of",
            target: table.to_owned(),
            advice: "the lake that keeps dead letters has stopped; see its error".to_owned(),
            source: "its queue is closed".into(),
        })
    }

    /// Fetches a token, to learn whether the credential is right.
    pub async fn sign_in(&self) -> Result<(), SinkError> {
        let Err(answer) = self.client.token().await else { return Ok(()) };
        Err(SinkError::Refused {
            operation: "sign in for",
            target: self.client.scope().to_owned(),
            advice: "check `credential`, and that the sign-in service can be reached".to_owned(),
            source: describe(&answer).into(),
        })
    }

    /// Sends an empty array, which stores nothing, to learn whether endpoint, rule, stream and role are right.
    pub async fn probe(&self, to: &Destination) -> Result<(), SinkError> {
        let patience =
            Policy { max_attempts: self.policy.max_attempts.min(3), role_patience: Duration::ZERO, ..self.policy };
        let body = gzip(&Payload::default(), self.gzip_level).map_err(|cause| SinkError::encode(&to.table, cause))?;
        match self.send(to, body, &patience).await? {
            Outcome::Delivered => Ok(()),
            // It is there and lets us in; that it dislikes an empty array says nothing about rows.
            Outcome::TooLarge(_) | Outcome::Refused(_) => Ok(()),
        }
    }

    async fn split_or_bury(
        &self,
        to: &Destination,
        payload: Payload,
        stack: &mut Vec<Payload>,
        reason: &'static str,
        detail: impl FnOnce() -> String,
    ) -> Result<(), SinkError> {
        match payload.halves() {
            Ok((front, back)) => stack.extend([back, front]),
            Err(row) => self.bury(to, row, reason, detail()).await?,
        }
        Ok(())
    }

    async fn compress(&self, to: &Destination, payload: Payload) -> Result<(Payload, Bytes), SinkError> {
        let level = self.gzip_level;
        let compressed = tokio::task::spawn_blocking(move || gzip(&payload, level).map(|body| (payload, body))).await;
        let failed = |cause: crate::sink::Cause| SinkError::encode(&to.table, cause);
        compressed.map_err(|cause| failed(cause.into()))?.map_err(|cause| failed(cause.into()))
    }

    /// Sends one body until it is delivered, refused, or hopeless.
    async fn send(&self, to: &Destination, body: Bytes, policy: &Policy) -> Result<Outcome, SinkError> {
        let mut history = History::default();
        loop {
            to.rule.wait_until_free().await;
            let request_id = Uuid::new_v4();
            let token = self.client.token().await;
            let answer = match &token {
                Ok(token) => {
                    let start = Instant::now();
                    let answer = self.client.post(&to.url, body.clone(), token, request_id).await;
                    self.metrics.shared.write_seconds.with_label_values(&[SINK]).observe(start.elapsed().as_secs_f64());
                    self.count_request(to, &answer);
                    answer
                }
                Err(answer) => answer.clone(),
            };
            let decision = decide(&answer, history, policy, SystemTime::now(), rand::rng().random());
            history.note(decision);
            match (decision, answer) {
                (Decision::Delivered, _) => return Ok(Outcome::Delivered),
                (Decision::Split, Answer::Response(response)) => return Ok(Outcome::TooLarge(response)),
                (Decision::Bisect, Answer::Response(response)) => return Ok(Outcome::Refused(response)),
                (Decision::RefreshToken, answer) => {
                    self.log_retry(to, request_id, &answer, "unauthorized", Duration::ZERO);
                    if let Ok(token) = &token {
                        self.client.forget(token);
                    }
                }
                (Decision::Retry { wait, reason }, answer) => {
                    self.log_retry(to, request_id, &answer, reason.name(), wait);
                    if matches!(reason, Reason::Throttled | Reason::Forbidden) {
                        to.rule.pause(wait);
                    } else {
                        sleep(wait).await;
                    }
                }
                (Decision::GiveUp(reason), answer) => {
                    self.metrics.shared.failures.with_label_values(&[SINK, reason.name()]).inc();
                    return Err(gave_up(to, reason, &answer, request_id, history));
                }
                (Decision::Stop(fault), answer) => {
                    self.metrics.shared.failures.with_label_values(&[SINK, "refused"]).inc();
                    return Err(stopped(to, fault, &answer, request_id));
                }
                (Decision::Split | Decision::Bisect, answer) => {
                    return Err(stopped(to, Fault::Unexpected, &answer, request_id));
                }
            }
        }
    }

    fn settle(&self, to: &Destination, payload: Payload, wire: usize) {
        let rows = payload.rows() as u64;
        let bytes = payload.body_len() as i64 - 1;
        let billed = payload.billed_bytes();
        let batches = payload.into_segments().into_iter().map(Segment::settle).filter(|was_last| *was_last).count();
        let totals =
            TableTotals { rows, bytes: wire as u64, billed_bytes: billed, batches: batches as u64, refused: 0 };
        self.count(&to.table, totals);
        let table = &*to.table;
        let shared = &self.metrics.shared;
        shared.rows.with_label_values(&[SINK, table]).inc_by(rows);
        shared.bytes.with_label_values(&[SINK, table]).inc_by(wire as u64);
        shared.billed_bytes.with_label_values(&[SINK, table, to.tier.name()]).inc_by(billed);
        shared.commits.with_label_values(&[SINK, table]).inc();
        shared.buffered_rows.with_label_values(&[SINK]).sub(rows as i64);
        shared.buffered_bytes.with_label_values(&[SINK]).sub(bytes);
    }

    fn count(&self, table: &str, totals: TableTotals) {
        self.metrics.shared.batches.with_label_values(&[SINK, table]).inc_by(totals.batches);
        self.totals.lock().expect("no panic while counting").add(table, totals);
    }

    fn count_request(&self, to: &Destination, answer: &Answer) {
        let status = match answer {
            Answer::Response(response) => response.status.to_string(),
            Answer::None { .. } | Answer::NoToken { .. } => "none".to_owned(),
        };
        self.metrics.requests.with_label_values(&[to.rule.id.as_str(), &*status]).inc();
    }

    fn log_retry(&self, to: &Destination, request_id: Uuid, answer: &Answer, reason: &str, wait: Duration) {
        self.metrics.shared.retries.with_label_values(&[SINK, reason]).inc();
        tracing::warn!(
            table = &*to.table,
            rule = %to.rule.id,
            %request_id,
            reason,
            answer = %describe(answer),
            wait_ms = wait.as_millis() as u64,
            "request is sent again"
        );
    }
}

/// A dead letter for the row at `place` of a batch for `table`; `json` is the row as it would have been sent.
pub(super) fn letter(
    came: &CameFrom,
    place: usize,
    table: &Arc<str>,
    reason: &'static str,
    detail: String,
    json: &[u8],
) -> DeadLetter {
    let position = came.positions[place];
    let range = came.origin.ranges.get(position.partition as usize);
    DeadLetter {
        source: came.origin.source.clone(),
        partition: range.map_or_else(|| "".into(), |range| range.partition.clone()),
        offset: position.offset,
        table: Some(Arc::clone(table)),
        mapping: came.mapping.clone().map(|mapping| MappedBy { mapping, version: None }),
        stage: Stage::Sink,
        reason,
        detail,
        form: Form::Row,
        payload: Bytes::copy_from_slice(json),
    }
}

/// The batch of `letters`, which are for the rows of `came` from `first` on, with their acknowledgement.
pub(super) fn letters(letters: &[DeadLetter], came: &CameFrom, first: usize, ack: Ack, budget: &MemoryBudget) -> Batch {
    let rows = dead_letter::to_rows(letters, now_us());
    // Rows are refused in any order: their positions tell nothing of what came before.
    let origin = Origin { positions: Repeats::Unrelated, ..(*came.origin).clone() };
    Batch {
        table: DEAD_LETTERS.into(),
        kind: RowKind::DeadLetter,
        permit: budget.charge(unique_bytes(&rows)),
        rows,
        origin: Arc::new(origin),
        positions: came.positions[first..first + letters.len()].into(),
        mapping: came.mapping.clone(),
        has_more: false,
        raw_bytes: 0,
        ack,
    }
}

/// The present moment in microseconds since 1970 UTC.
pub(super) fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

fn gzip(payload: &Payload, level: u32) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(payload.body_len() / 6 + 64), Compression::new(level));
    payload.write_to(&mut encoder)?;
    Ok(encoder.finish()?.into())
}

fn gave_up(to: &Destination, reason: Reason, answer: &Answer, request_id: Uuid, history: History) -> SinkError {
    let advice = match reason {
        Reason::Forbidden => Some(format!(
            "give the application the role Monitoring Metrics Publisher on the data collection rule `{}` (it takes up \
             to 30 minutes to work), and check that the rule belongs to this endpoint",
            to.rule.id
        )),
        Reason::Unauthorized => Some(
            "the token is not accepted: check `scope`, the tenant of `credential`, and this machine's clock".to_owned(),
        ),
        Reason::Throttled | Reason::ServerError | Reason::Connection | Reason::Timeout | Reason::Token => None,
    };
    let source = format!("{} (request {request_id})", describe(answer)).into();
    match advice {
        Some(advice) => SinkError::Refused { operation: "post to", target: target(to), advice, source },
        None => SinkError::GaveUp {
            attempts: history.failures + 1,
            source: Box::new(SinkError::Unavailable { operation: "post to", target: target(to), source }),
        },
    }
}

fn stopped(to: &Destination, fault: Fault, answer: &Answer, request_id: Uuid) -> SinkError {
    let advice = match fault {
        Fault::NoSuchRule => format!(
            "check that the data collection rule `{}` exists, that this is its immutable id, and that `endpoint` is its own \
             or that of its data collection endpoint",
            to.rule.id
        ),
        Fault::NoSuchStream => format!(
            "the data collection rule `{}` does not declare the stream `{}`: declare it, or name another one for table \
             `{}` in `streams`",
            to.rule.id, to.stream, to.table
        ),
        Fault::Credential => "check `credential`".to_owned(),
        Fault::Unexpected => {
            "the answer is none that the Logs Ingestion API gives: check `endpoint`, and any proxy on the way"
                .to_owned()
        }
    };
    let source = format!("{} (request {request_id})", describe(answer)).into();
    SinkError::Refused { operation: "post to", target: target(to), advice, source }
}

fn target(to: &Destination) -> String {
    to.url.as_str().split('?').next().unwrap_or_default().to_owned()
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Response(response) => told(response),
        Answer::None { timed_out: true, detail } => format!("no answer in time: {detail}"),
        Answer::None { timed_out: false, detail } => format!("no answer: {detail}"),
        Answer::NoToken { detail, .. } => format!("no access token: {detail}"),
    }
}

fn told(response: &Response) -> String {
    let mut text = response.status.to_string();
    for part in [&response.code, &response.message].into_iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    text
}
