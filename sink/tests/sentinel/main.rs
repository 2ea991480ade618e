//! The Sentinel sink against a workspace on loopback that answers as scripted: whatever it answers, each row ends
//! delivered or as a dead letter, or its batch is not acknowledged.

mod workspace;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::Schema;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use weir_contract::ack::{self, AckReport, AckSender, Answered};
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats, RowPosition};
use weir_contract::schema::ColumnType;
use weir_sink::billing::billed_bytes;
use weir_sink::metrics::SinkMetrics;
use weir_sink::sentinel::SentinelSink;
use weir_sink::sentinel::config::{Packing, SentinelConfig};
use weir_sink::sentinel::metrics::SentinelMetrics;
use weir_sink::sink::{Sink, SinkError, SinkSummary};
use workspace::{Step, Workspace, status};

const RULE: &str = "dcr-0123456789abcdef0123456789abcdef";
const TABLE: &str = "ASimProcessEventLogs";

/// A sink at work: batches in, reports and dead letters out.
struct Run {
    budget: MemoryBudget,
    input: Option<mpsc::Sender<Batch>>,
    acks: AckSender,
    reports: mpsc::UnboundedReceiver<AckReport>,
    dead_letters: mpsc::Receiver<Batch>,
    done: JoinHandle<Result<SinkSummary, SinkError>>,
    next_batch: u64,
    next_row: i64,
}

/// The folder of the secret that all tests read, written once.
static SECRET: OnceLock<tempfile::TempDir> = OnceLock::new();

fn config(workspace: &Workspace) -> SentinelConfig {
    let secret = SECRET.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temp folder");
        std::fs::write(folder.path().join("secret"), "s3cret").expect("a temp file");
        folder
    });
    let secret = secret.path().join("secret");
    serde_json::from_value(json!({
        "endpoint": workspace.url,
        "rules": [{"id": RULE}],
        "credential": {"client_secret": {
            "tenant_id": "contoso", "client_id": "app", "secret": {"file": secret}, "authority": workspace.url
        }},
        "max_wait": "20ms",
        "timeout": "5s",
        "retry": {
            "max_attempts": 4, "initial": "1ms", "max": "30ms", "role_wait": "5ms", "role_patience": "50ms"
        },
    }))
    .expect("a config")
}

fn metrics() -> SentinelMetrics {
    let set = MetricSet::new();
    SentinelMetrics::new(&set, SinkMetrics::new(&set))
}

fn start(config: SentinelConfig) -> Run {
    start_with(config, MemoryBudget::new(64 << 20))
}

fn start_with(config: SentinelConfig, budget: MemoryBudget) -> Run {
    let (dead_tx, dead_letters) = mpsc::channel(64);
    let sink = SentinelSink::new(config, budget.clone(), metrics(), dead_tx).expect("a valid config");
    let (input, batches) = mpsc::channel(2);
    let (acks, reports) = ack::channel();
    let done = tokio::spawn(Box::new(sink).run(batches));
    Run { budget, input: Some(input), acks, reports, dead_letters, done, next_batch: 0, next_row: 0 }
}

fn rows(first: i64, names: &[String]) -> RecordBatch {
    let count = names.len() as i64;
    let fields = vec![
        ColumnType::Datetime.field("TimeGenerated"),
        ColumnType::Long.field("n"),
        ColumnType::String.field("Name"),
        ColumnType::String.field("Type"),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values((0..count).map(|n| n * 1_000)).with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(first..first + count)),
        Arc::new(StringViewArray::from_iter_values(names)),
        Arc::new(StringViewArray::from_iter_values(names.iter().map(|_| TABLE))),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit")
}

impl Run {
    async fn send(&mut self, table: &str, rows: RecordBatch) {
        self.send_as(RowKind::Normalized, table, rows).await;
    }

    async fn send_as(&mut self, kind: RowKind, table: &str, rows: RecordBatch) {
        let range =
            OffsetRange { partition: "topic/0".into(), start: Offset(7), next: Offset(8), delivered: Offset(0) };
        let batch = Batch {
            table: table.into(),
            kind,
            positions: RowPosition::numbered(0, rows.num_rows()),
            mapping: None,
            has_more: false,
            origin: Arc::new(Origin { source: "hub".into(), ranges: vec![range], positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: self.acks.issue(self.next_batch),
            permit: self.budget.charge(rows.get_array_memory_size()),
            rows,
        };
        self.next_batch += 1;
        // A sink that stopped takes no more.
        let _ = self.input.as_ref().expect("open").send(batch).await;
    }

    /// Sends numbered rows with these names.
    async fn send_names(&mut self, names: &[String]) {
        let rows = rows(self.next_row, names);
        self.next_row += names.len() as i64;
        self.send(TABLE, rows).await;
    }

    /// Sends `count` small numbered rows.
    async fn send_rows(&mut self, count: usize) {
        let names: Vec<_> = (0..count).map(|n| format!("name-{n}")).collect();
        self.send_names(&names).await;
    }

    /// Closes the input, answers the dead letters as a lake does, and waits for the end.
    async fn end(mut self) -> End {
        self.input = None;
        let mut letters = Vec::new();
        while let Some(letter) = self.dead_letters.recv().await {
            assert_eq!((&*letter.table, letter.kind), ("dead_letters", RowKind::DeadLetter));
            let column = |name: &str| letter.rows.column_by_name(name).expect("a column").clone();
            letters.push(Letter {
                reason: column("Reason").as_string_view().value(0).to_owned(),
                detail: column("Detail").as_string_view().value(0).to_owned(),
                payload: column("Payload").as_binary::<i32>().value(0).to_vec(),
            });
            assert_eq!(column("Partition").as_string_view().value(0), "topic/0");
            letter.ack.done();
        }
        let result = self.done.await.expect("no panic");
        let mut durable = BTreeMap::new();
        drop(self.acks);
        while let Some(report) = self.reports.recv().await {
            assert!(durable.insert(report.batch, report.durable).is_none(), "one report per batch");
        }
        assert_eq!(durable.len() as u64, self.next_batch, "every batch is answered");
        assert_eq!(self.budget.used(), 0, "nothing is held in the end");
        End { result, durable, letters }
    }
}

struct End {
    result: Result<SinkSummary, SinkError>,
    durable: BTreeMap<u64, bool>,
    letters: Vec<Letter>,
}

struct Letter {
    reason: String,
    detail: String,
    payload: Vec<u8>,
}

impl End {
    /// The totals, of a run in which everything became durable.
    fn totals(&self) -> &SinkSummary {
        assert!(self.durable.values().all(|durable| *durable), "{:?}", self.durable);
        self.result.as_ref().expect("no error")
    }

    /// The error of a run that acknowledged nothing, with its causes.
    fn error(&self) -> String {
        assert!(self.durable.values().all(|durable| !*durable), "{:?}", self.durable);
        let mut error: &dyn std::error::Error = self.result.as_ref().expect_err("stopped");
        let mut text = error.to_string();
        while let Some(cause) = error.source() {
            error = cause;
            text += &format!(": {error}");
        }
        assert!(!text.contains("s3cret") && !text.contains("token-"), "no secrets: {text}");
        text
    }
}

fn numbers(count: i64) -> Vec<i64> {
    (0..count).collect()
}

fn answer(status: u16, headers: &'static str) -> Step {
    Step::Answer(status, headers, String::new())
}

#[tokio::test]
async fn every_row_arrives_once_as_it_was_and_is_counted() {
    let workspace = Workspace::start().await;
    let mut run = start(config(&workspace));
    // Each row carries its id.
    let billed_id = r#"{"WeirId":"0123456789abcdef"}"#.len() as u64;
    let mut billed = 0;
    for first in [0, 300, 600] {
        let names: Vec<_> = (0..300).map(|n| format!("\"näme\"\n{n}")).collect();
        billed += billed_bytes(&rows(first, &names)) + 300 * billed_id;
        run.send_names(&names).await;
    }
    run.send("ASimDnsActivityLogs", rows(900, &["dns".into()])).await;
    run.send("ASimDnsActivityLogs", rows(901, &[])).await;
    let end = run.end().await;
    assert_eq!(workspace.numbers(), numbers(901));
    let totals = end.totals().tables[TABLE];
    assert_eq!((totals.rows, totals.batches, totals.billed_bytes), (900, 3, billed));
    assert_eq!(end.totals().tables["ASimDnsActivityLogs"].rows, 1);
    workspace.with(|state| {
        let wire: usize = state.bodies.iter().map(|(_, wire)| wire).sum();
        let counted: u64 = end.totals().tables.values().map(|table| table.bytes).sum();
        assert_eq!(counted, wire as u64);
        let (stream, row) = state.rows.iter().find(|(_, row)| row["n"] == 301).expect("delivered");
        assert_eq!(stream, "Custom-ASimProcessEventLogs");
        let id = row["AdditionalFields"]["WeirId"].as_str().expect("each row has an id");
        let expected = json!({
            "TimeGenerated": "1970-01-01T00:00:00.001000Z", "n": 301, "Name": "\"näme\"\n1",
            "AdditionalFields": {"WeirId": id},
        });
        assert_eq!(*row, expected, "the system column `Type` is not sent");
        assert_eq!(state.tokens, 1);
    });
}

#[tokio::test]
async fn bodies_are_full_but_never_over_the_limit() {
    for packing in [Packing::Safe, Packing::Dense] {
        let workspace = Workspace::start().await;
        let mut random = StdRng::seed_from_u64(5);
        let mut config = config(&workspace);
        config.packing = packing;
        config.max_wait.0 = Duration::from_secs(3600);
        let mut run = start(config);
        for _ in 0..8 {
            // Hexadecimal digits of noise compress to about half.
            let names: Vec<_> = (0..500)
                .map(|_| (0..random.random_range(1..80)).map(|_| format!("{:016x}", random.random::<u64>())).collect())
                .collect();
            run.send_names(&names).await;
        }
        let end = run.end().await;
        assert_eq!(workspace.numbers(), numbers(4000), "{packing:?}");
        assert_eq!(end.totals().tables[TABLE].batches, 8);
        workspace.with(|state| {
            let last = state.bodies.iter().map(|(raw, _)| *raw).min().expect("bodies");
            for (raw, wire) in &state.bodies {
                match packing {
                    Packing::Safe => assert!(*raw <= 1_000_000 && (*raw > 990_000 || *raw == last), "{raw}"),
                    Packing::Dense => assert!(*raw <= 20_000_000 && *wire <= 1_040_000, "{raw} {wire}"),
                }
            }
            let total: usize = state.bodies.iter().map(|(raw, _)| raw).sum();
            let most = if packing == Packing::Safe { total / 990_000 + 1 } else { total / 990_000 };
            assert!(state.bodies.len() <= most, "{packing:?}: {:?}", state.bodies);
        });
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let workspace = Workspace::start().await;
    let mut run = start(config(&workspace));
    run.send_rows(10).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    workspace.with(|state| state.first_good_token = 2);
    run.send_rows(10).await;
    run.end().await.totals();
    assert_eq!(workspace.numbers(), numbers(20));
    workspace.with(|state| {
        assert_eq!(state.tokens, 2);
        assert_eq!(state.statuses, [204, 401, 204]);
        state.request_ids.sort_unstable();
        state.request_ids.dedup();
        assert_eq!(state.request_ids.len(), 3, "each attempt has an id of its own");
    });
}

#[tokio::test]
async fn a_token_that_is_never_accepted_stops_the_sink() {
    let workspace = Workspace::start().await;
    workspace.with(|state| state.first_good_token = 99);
    let mut run = start(config(&workspace));
    run.send_rows(10).await;
    let error = run.end().await.error();
    assert!(error.contains("`scope`") && error.contains("401"), "{error}");
}

#[tokio::test]
async fn a_missing_role_is_waited_for_and_then_named() {
    let workspace = Workspace::start().await;
    let forbidden = Step::Answer(403, "x-ms-error-code: OperationFailed\r\n", String::new());
    workspace.script([forbidden.clone(), forbidden.clone()]);
    let mut run = start(config(&workspace));
    run.send_rows(3).await;
    run.end().await.totals();
    assert_eq!(workspace.numbers(), numbers(3));

    workspace.script(std::iter::repeat_n(forbidden, 100));
    let mut run = start(config(&workspace));
    run.send_rows(3).await;
    let error = run.end().await.error();
    assert!(error.contains("Monitoring Metrics Publisher") && error.contains(RULE), "{error}");
    assert!(error.contains("OperationFailed"), "{error}");
}

#[tokio::test]
async fn a_config_that_names_what_is_not_there_stops_the_sink() {
    let no_stream = r#"{"error":{"code":"InvalidStream","message":"does not contain stream"}}"#;
    for (step, word) in [
        (status(404), "immutable id"),
        (Step::Answer(400, "", no_stream.to_owned()), "Custom-ASimProcessEventLogs"),
        (status(405), "proxy"),
        (answer(307, "Location: http://127.0.0.1:1/\r\n"), "307"),
    ] {
        let workspace = Workspace::start().await;
        workspace.script([step]);
        let mut run = start(config(&workspace));
        run.send_rows(3).await;
        let error = run.end().await.error();
        assert!(error.contains(word) && error.contains(RULE), "{error}");
    }
}

#[tokio::test]
async fn the_start_up_check_proves_rule_and_role_without_sending_rows() {
    let workspace = Workspace::start().await;
    let mut config = config(&workspace);
    config.rules[0].streams.insert(TABLE.into(), "Custom-Process".into());
    let (dead_letters, _keep) = mpsc::channel(1);
    let budget = MemoryBudget::new(1 << 20);
    let mut sink = SentinelSink::new(config.clone(), budget.clone(), metrics(), dead_letters.clone()).expect("valid");
    sink.check().await.expect("all is well");
    workspace.with(|state| assert_eq!((state.statuses.as_slice(), state.rows.len()), ([204].as_slice(), 0)));
    let mut catch_all = config.clone();
    catch_all.rules[0].streams.clear();
    catch_all.credential = serde_json::from_value(json!({"client_secret": {
        "tenant_id": "no-such-tenant", "client_id": "app", "secret": {"file": "no/such/file"}, "authority": workspace.url
    }}))
    .expect("a credential");
    let mut blind = SentinelSink::new(catch_all, budget.clone(), metrics(), dead_letters.clone()).expect("valid");
    assert!(blind.check().await.is_err(), "a wrong credential shows although no stream is known");
    for (step, word) in [(status(403), "Monitoring Metrics Publisher"), (status(404), "immutable id")] {
        workspace.script([step]);
        let error = sink.check().await.expect_err("refused").to_string();
        assert!(error.contains(word), "{error}");
    }
    config.credential = serde_json::from_value(json!({"client_secret": {
        "tenant_id": "contoso", "client_id": "app", "secret": {"env": "WEIR_TEST_NO_SUCH_SECRET"}
    }}))
    .expect("a credential");
    let mut sink = SentinelSink::new(config, budget, metrics(), dead_letters).expect("valid");
    let error = sink.check().await.expect_err("no secret").to_string();
    assert!(error.contains("WEIR_TEST_NO_SUCH_SECRET"), "{error}");
}

#[tokio::test]
async fn too_large_bodies_are_split_and_the_size_is_remembered() {
    let workspace = Workspace::start().await;
    workspace.with(|state| state.wire_limit = 300_000);
    let mut config = config(&workspace);
    config.concurrency = 1;
    let mut random = StdRng::seed_from_u64(6);
    let mut run = start(config);
    for _ in 0..10 {
        let names: Vec<_> =
            (0..500).map(|_| (0..60).map(|_| format!("{:016x}", random.random::<u64>())).collect()).collect();
        run.send_names(&names).await;
    }
    run.end().await.totals();
    assert_eq!(workspace.numbers(), numbers(5000));
    workspace.with(|state| {
        let refused = state.statuses.iter().filter(|status| **status == 413).count();
        assert!((1..=4).contains(&refused), "refused {refused} of {}", state.statuses.len());
    });
}

#[tokio::test]
async fn a_row_that_no_request_can_hold_becomes_a_dead_letter_and_its_neighbours_arrive() {
    let workspace = Workspace::start().await;
    let mut run = start(config(&workspace));
    let huge = "x".repeat(1_100_000);
    run.send_names(&["a".into(), huge.clone(), "b".into()]).await;
    let end = run.end().await;
    assert_eq!(end.totals().tables[TABLE].rows, 2);
    assert_eq!(workspace.numbers(), [0, 2]);
    let [letter] = &end.letters[..] else { panic!("one letter, not {}", end.letters.len()) };
    assert_eq!(letter.reason, "row_too_large");
    let row: serde_json::Value = serde_json::from_slice(&letter.payload).expect("whole");
    assert_eq!(row["Name"], huge);
}

#[tokio::test]
async fn a_row_that_the_workspace_finds_too_large_becomes_a_dead_letter() {
    let workspace = Workspace::start().await;
    workspace.with(|state| state.wire_limit = 2_000);
    let mut random = StdRng::seed_from_u64(7);
    let noise: String = (0..400).map(|_| format!("{:016x}", random.random::<u64>())).collect();
    let mut run = start(config(&workspace));
    run.send_names(&["a".into(), noise, "b".into()]).await;
    let end = run.end().await;
    end.totals();
    assert_eq!(workspace.numbers(), [0, 2]);
    assert_eq!(end.letters.len(), 1);
    assert!(end.letters[0].detail.contains("ContentLengthLimitExceeded"), "{}", end.letters[0].detail);
}

#[tokio::test]
async fn a_bad_row_is_found_by_bisection_and_its_batch_waits_for_the_dead_letter() {
    let workspace = Workspace::start().await;
    workspace.with(|state| state.poison = Some("poison".into()));
    let mut run = start(config(&workspace));
    let mut names: Vec<_> = (0..100).map(|n| format!("name-{n}")).collect();
    names[37] = "poison".into();
    names[99] = "poison".into();
    run.send_names(&names).await;
    for expected in ["37", "99"] {
        let letter = run.dead_letters.recv().await.expect("a letter");
        let payload = letter.rows.column_by_name("Payload").expect("a column").as_binary::<i32>().value(0).to_vec();
        let row: serde_json::Value = serde_json::from_slice(&payload).expect("whole");
        assert_eq!(row["n"].to_string(), expected);
        assert!(run.reports.try_recv().is_err(), "not durable before its dead letters are");
        letter.ack.done();
    }
    let end = run.end().await;
    assert_eq!(end.totals().tables[TABLE].rows, 98);
    assert_eq!(end.totals().tables[TABLE].batches, 1);
    assert_eq!(workspace.numbers().len(), 98);
}

#[tokio::test]
async fn throttling_is_waited_out_as_told_but_within_bounds() {
    let workspace = Workspace::start().await;
    let date = httpdate_in(Duration::from_secs(3600));
    workspace.script([
        answer(429, "Retry-After: 0\r\n"),
        answer(429, "Retry-After: 86400\r\n"),
        Step::Answer(429, Box::leak(format!("Retry-After: {date}\r\n").into_boxed_str()), String::new()),
        answer(429, "Retry-After: nonsense\r\n"),
    ]);
    // More of them than an error of the service would be tried.
    workspace.script(std::iter::repeat_n(status(429), 10));
    let start_time = std::time::Instant::now();
    let mut run = start(config(&workspace));
    run.send_rows(5).await;
    run.end().await.totals();
    assert_eq!(workspace.numbers(), numbers(5));
    assert!(start_time.elapsed() < Duration::from_secs(10));
    assert!(start_time.elapsed() >= Duration::from_millis(60), "two of the waits are bounded at 30 ms, not skipped");
}

fn httpdate_in(wait: Duration) -> String {
    httpdate::fmt_http_date(SystemTime::now() + wait)
}

#[tokio::test]
async fn errors_of_the_service_and_the_network_are_retried() {
    for step in [status(500), status(503), answer(503, "Retry-After: 1\r\n"), status(408), Step::Reset] {
        let workspace = Workspace::start().await;
        workspace.script([step.clone(), step]);
        let mut run = start(config(&workspace));
        run.send_rows(5).await;
        run.end().await.totals();
        assert_eq!(workspace.numbers(), numbers(5));
    }
}

#[tokio::test]
async fn a_lost_answer_doubles_rows_but_loses_none() {
    let workspace = Workspace::start().await;
    workspace.script([Step::LoseAnswer]);
    let mut run = start(config(&workspace));
    run.send_rows(2).await;
    let end = run.end().await;
    assert_eq!(end.totals().tables[TABLE].rows, 2, "counted once");
    assert_eq!(workspace.numbers(), [0, 0, 1, 1]);
}

#[tokio::test]
async fn a_service_that_stays_down_stops_the_sink_without_acknowledging() {
    for (step, word) in [(status(500), "500"), (Step::Reset, "no answer")] {
        let workspace = Workspace::start().await;
        workspace.script(std::iter::repeat_n(step, 1000));
        let mut run = start(config(&workspace));
        for _ in 0..5 {
            run.send_rows(5).await;
        }
        let end = run.end().await;
        assert!(!end.result.as_ref().expect_err("stopped").is_retryable());
        let error = end.error();
        assert!(error.contains("after 4 attempts") && error.contains(word) && error.contains(RULE), "{error}");
    }
}

#[tokio::test]
async fn an_undeclared_column_stops_the_sink_before_it_is_lost() {
    let workspace = Workspace::start().await;
    let mut config = config(&workspace);
    let folder = tempfile::tempdir().expect("a temp folder");
    let definition = folder.path().join("rule.json");
    let columns = json!([{"name": "TimeGenerated", "type": "datetime"}, {"name": "n", "type": "long"}]);
    let json = json!({"properties": {"streamDeclarations": {format!("Custom-{TABLE}"): {"columns": columns}}}});
    std::fs::write(&definition, json.to_string()).expect("a temp file");
    config.rules[0].definition = Some(definition.clone());
    let (dead_letters, _keep) = mpsc::channel(1);
    let sink = SentinelSink::new(config.clone(), MemoryBudget::new(1), metrics(), dead_letters).expect("valid");
    let error = sink.check_table(TABLE, &rows(0, &[]).schema()).expect_err("undeclared").to_string();
    assert!(error.contains("`Name`") && error.contains(TABLE), "{error}");
    assert!(sink.check_table("Other", &rows(0, &[]).schema()).is_err(), "no rule takes it");
    let mut run = start(config);
    run.send_names(&["lost".into()]).await;
    let error = run.end().await.error();
    assert!(error.contains("`Name`"), "{error}");
    assert_eq!(workspace.with(|state| state.rows.len()), 0);
}

#[tokio::test]
async fn raw_rows_that_the_workspace_has_no_place_for_become_dead_letters_and_stop_nothing() {
    let workspace = Workspace::start().await;
    let mut config = config(&workspace);
    let folder = tempfile::tempdir().expect("a temp folder");
    let definition = folder.path().join("rule.json");
    let columns = json!([{"name": "TimeGenerated", "type": "datetime"}, {"name": "n", "type": "long"}]);
    let json = json!({"properties": {"streamDeclarations": {"Custom-DeviceInfo": {"columns": columns}}}});
    std::fs::write(&definition, json.to_string()).expect("a temp file");
    config.rules[0].definition = Some(definition);
    for (kind, table, reason) in
        [(RowKind::Unknown, "BrandNewEvents", "no_rule"), (RowKind::Raw, "DeviceInfo", "not_declared")]
    {
        let mut run = start(config.clone());
        run.send_as(kind, table, rows(40, &["kept".into(), "kept".into(), "kept".into()])).await;
        let letters = run.dead_letters.recv().await.expect("letters");
        let texts = |name: &str| letters.rows.column_by_name(name).expect("a column").as_string_view().clone();
        assert!(texts("Reason").iter().all(|found| found == Some(reason)), "{table}");
        assert!(texts("Table").iter().all(|found| found == Some(table)));
        let payloads = letters.rows.column_by_name("Payload").expect("a column").as_binary::<i32>();
        let numbers: Vec<i64> = payloads
            .iter()
            .map(|row| serde_json::from_slice::<serde_json::Value>(row.expect("bytes")).expect("JSON"))
            .map(|row| row["n"].as_i64().expect("numbered"))
            .collect();
        assert_eq!(numbers, [40, 41, 42], "every row whole, in order");
        assert!(run.reports.try_recv().is_err(), "not durable before its dead letters are");
        letters.ack.done();
        drop(letters.permit);
        let end = run.end().await;
        assert_eq!((end.totals().tables[table].refused, end.totals().tables[table].rows), (3, 0));
        assert!(end.letters.is_empty(), "once");
    }
    assert_eq!(workspace.with(|state| state.rows.len()), 0);
}

#[tokio::test]
async fn a_waiting_source_makes_an_idle_sink_send_early() {
    let workspace = Workspace::start().await;
    let mut config = config(&workspace);
    config.max_wait.0 = Duration::from_secs(3600);
    let budget = MemoryBudget::new(40_000);
    let mut run = start_with(config, budget.clone());
    run.send_rows(500).await;
    let permit = tokio::time::timeout(Duration::from_secs(10), budget.reserve(39_000)).await.expect("room is made");
    drop(permit);
    assert_eq!(workspace.numbers(), numbers(500));
    run.end().await.totals();
}

#[tokio::test]
async fn rows_do_not_wait_longer_than_told() {
    let workspace = Workspace::start().await;
    let mut run = start(config(&workspace));
    run.send_rows(1).await;
    let report = tokio::time::timeout(Duration::from_secs(10), run.reports.recv()).await.expect("in time");
    assert_eq!(report, Some(AckReport { batch: 0, of: Answered::All, durable: true }));
    run.next_batch = 0;
    run.end().await.result.expect("no error");
}

#[tokio::test]
async fn any_sequence_of_answers_ends_with_every_row_delivered_or_a_dead_letter() {
    for seed in 0..8 {
        let workspace = Workspace::start().await;
        let mut random = StdRng::seed_from_u64(seed);
        workspace.script((0..60).map(|_| match random.random_range(0..9) {
            0 => answer(429, "Retry-After: 0\r\n"),
            1 => status(429),
            2 => status(503),
            3 => status(413),
            4 => status(400),
            5 => Step::LoseAnswer,
            6 => Step::Reset,
            7 => status(500),
            _ => status(403),
        }));
        let mut config = config(&workspace);
        config.retry.max_attempts = 100;
        config.retry.role_patience.0 = Duration::from_secs(10);
        let mut run = start(config);
        for _ in 0..20 {
            let count = random.random_range(1..40);
            run.send_rows(count).await;
        }
        let sent = run.next_row;
        let end = run.end().await;
        let buried: Vec<i64> = end
            .letters
            .iter()
            .map(|letter| serde_json::from_slice::<serde_json::Value>(&letter.payload).expect("whole")["n"].as_i64())
            .map(|number| number.expect("numbered"))
            .collect();
        assert_eq!(end.totals().tables[TABLE].rows, sent as u64 - buried.len() as u64, "seed {seed}");
        let mut all = workspace.numbers();
        all.extend(buried);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, numbers(sent), "seed {seed}");
        assert_eq!(end.totals().tables[TABLE].batches, 20, "seed {seed}");
    }
}
