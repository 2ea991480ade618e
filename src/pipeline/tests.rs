//! How a run ends when a stage fails, with sources and sinks that do as told; and what becomes of rows that a mapping
//! fails at.

use std::time::Instant;

use arrow::array::{Array as _, AsArray as _};
use async_trait::async_trait;
use bytes::Bytes;
use weir_contract::ack;
use weir_contract::batch::{Framing, RawRecord};
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, Origin, Repeats, SourceName};
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::schema::RawTables;
use weir_kql::{EvalError, Mode};
use weir_normalize::engine::Engine;
use weir_normalize::library::{self, CompiledMapping, Library};
use weir_normalize::metrics::NormalizeMetrics;
use weir_sink::sink::SinkError;

use super::*;

/// Sends one batch, then does as told.
struct OneBatch {
    name: SourceName,
    budget: MemoryBudget,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Waits for the stop, as a topic without news.
    Idle,
    /// Fails by itself.
    Fail,
    /// Fails because of a file.
    FailOnFile,
}

#[async_trait]
impl Source for OneBatch {
    fn name(&self) -> &SourceName {
        &self.name
    }

    async fn run(self: Box<Self>, out: mpsc::Sender<RawBatch>, stop: CancellationToken) -> Result<(), SourceError> {
        let (acks, mut reports) = ack::channel();
        let payload = Bytes::from_static(b"{\"some\": \"record\"}");
        let batch = RawBatch {
            origin: Arc::new(Origin { source: self.name.clone(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            framing: Framing::Document,
            default_table: None,
            permit: self.budget.reserve(payload.len()).await,
            records: vec![RawRecord { payload, partition: 0, offset: Offset(0) }],
            ack: acks.issue(7),
        };
        drop(acks);
        let _ = out.send(batch).await;
        match self.then {
            Then::Idle => stop.cancelled().await,
            Then::Fail => {
                let (source_name, problem) = (self.name, "the broker is gone".to_owned());
                return Err(SourceError::Service { source_name, problem, retryable: false, source: None });
            }
            Then::FailOnFile => {
                let source = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                let (source_name, path) = (self.name, "/a.json.gz".into());
                return Err(SourceError::Corrupt { source_name, path, codec: "gzip", at: 1, source });
            }
        }
        drop(out);
        match reports.recv().await {
            Some(report) if !report.durable => Err(SourceError::NotDurable { source_name: self.name, batch: 7 }),
            _ => Ok(()),
        }
    }
}

/// A sink that takes everything, fails at the first batch, or never ends.
enum Toy {
    Takes,
    Fails,
    Hangs,
}

#[async_trait]
impl Sink for Toy {
    fn name(&self) -> &str {
        match self {
            Self::Takes => "takes",
            Self::Fails => "fails",
            Self::Hangs => "hangs",
        }
    }

    async fn check(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn run(self: Box<Self>, mut input: mpsc::Receiver<Batch>) -> Result<SinkSummary, SinkError> {
        while let Some(batch) = input.recv().await {
            match *self {
                Self::Takes => batch.ack.done(),
                Self::Fails => return Err(SinkError::config("the disk is on fire")),
                Self::Hangs => {}
            }
        }
        match *self {
            Self::Hangs => std::future::pending().await,
            _ => Ok(SinkSummary::default()),
        }
    }
}

/// Runs `sources` into a lake, and beside it a second sink that is idle.
async fn run_toys(sources: &[Then], lake: Toy, other: Toy) -> (anyhow::Result<Outcome>, Duration) {
    let set = MetricSet::new();
    let budget = MemoryBudget::new(1 << 20);
    let (lake_tx, lake_rx) = mpsc::channel(SINK_QUEUE);
    let (other_tx, other_rx) = mpsc::channel(SINK_QUEUE);
    let router = Router::new(&[], Some(lake_tx.clone()), Some(other_tx), lake_tx).expect("no patterns");
    let source = |(number, then): (usize, &Then)| {
        let name = SourceName::from(format!("source-{number}").as_str());
        Box::new(OneBatch { name, budget: budget.clone(), then: *then }) as Box<dyn Source>
    };
    let ingest = IngestMetrics::new(&set);
    let stages = Stages {
        decoder: Decoder::new(Arc::new(RawTables::builtin()), ingest),
        normalizer: Normalizer::new(Library::default(), NormalizeMetrics::new(&set), budget.clone()),
        budget: budget.clone(),
        metrics: PipelineMetrics::new(&set),
    };
    let pipeline = Pipeline {
        sources: sources.iter().enumerate().map(source).collect(),
        replayed: None,
        stages: Arc::new(stages),
        router,
        sinks: vec![(Box::new(lake), lake_rx), (Box::new(other), other_rx)],
        workers: 2,
    };
    let started = Instant::now();
    let outcome = run(pipeline, CancellationToken::new(), Duration::from_millis(300)).await;
    (outcome, started.elapsed())
}

fn error(outcome: anyhow::Result<Outcome>) -> String {
    match outcome {
        Ok(_) => panic!("it should have failed"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn a_source_that_fails_stops_the_others_and_its_error_is_told() {
    let (outcome, _) = run_toys(&[Then::Idle, Then::Fail, Then::Idle], Toy::Takes, Toy::Takes).await;
    let told = error(outcome);
    assert!(told.contains("source `source-1`") && told.contains("the broker is gone"), "{told}");
}

#[tokio::test]
async fn a_damaged_file_stops_no_other_source_but_fails_the_run() {
    let (lake, other) = (Toy::Takes, Toy::Takes);
    let idle = tokio::time::timeout(Duration::from_millis(400), run_toys(&[Then::FailOnFile, Then::Idle], lake, other));
    assert!(idle.await.is_err(), "the idle source goes on");
    let (outcome, _) = run_toys(&[Then::FailOnFile], Toy::Takes, Toy::Takes).await;
    assert!(error(outcome).contains("a.json.gz"));
}

#[tokio::test]
async fn a_sink_that_fails_stops_an_idle_source_and_is_the_cause_that_is_told() {
    let (outcome, _) = run_toys(&[Then::Idle], Toy::Fails, Toy::Takes).await;
    assert_eq!(error(outcome), "the sink `fails` failed: the disk is on fire");
}

#[tokio::test]
async fn a_sink_that_never_ends_keeps_a_failed_run_for_no_longer_than_the_deadline() {
    let (outcome, took) = run_toys(&[Then::Idle], Toy::Fails, Toy::Hangs).await;
    assert_eq!(error(outcome), "the sink `fails` failed: the disk is on fire", "not the deadline, the cause");
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    let (outcome, _) = run_toys(&[Then::Fail], Toy::Takes, Toy::Hangs).await;
    assert!(error(outcome).contains("the broker is gone"));
}

/// A mapping with a defect: it panics at rows of the device `poison`.
#[derive(Debug)]
struct Defect(&'static str);

impl Engine for Defect {
    fn make(&self, mapping: &CompiledMapping, rows: &RecordBatch) -> Result<weir_kql::Made, EvalError> {
        let devices = rows.column_by_name("DeviceName").expect("a column").as_string_view();
        let is_hit = mapping.mapping.name.ends_with(self.0) && devices.iter().flatten().any(|name| name == "poison");
        assert!(!is_hit, "a defect");
        mapping.program.make(rows)
    }
}

#[test]
fn a_row_that_a_mapping_fails_at_is_kept_with_its_own_bytes_and_position() {
    let set = MetricSet::new();
    let budget = MemoryBudget::new(1 << 30);
    let tables = RawTables::builtin();
    let builtin = library::builtin().expect("the built-in mappings are valid");
    let library = Library::compile(builtin, |table| tables.schema(table).cloned(), Mode::Strict).expect("they compile");
    let normalizer = Normalizer::new(library, NormalizeMetrics::new(&set), budget.clone());
    let stages = Stages {
        decoder: Decoder::new(Arc::new(tables), IngestMetrics::new(&set)),
        normalizer: normalizer.running_by(Box::new(Defect("DeviceProcessEvents"))),
        budget: budget.clone(),
        metrics: PipelineMetrics::new(&set),
    };
    let record = |device: &str| {
        format!(
            r#"{{"category":"AdvancedHunting-DeviceProcessEvents","properties":{{"Timestamp":"2026-11-20T09:00:00Z","ActionType":"ProcessCreated","DeviceName":"{device}"}}}}"#
        )
    };
    let messages =
        [record("a"), format!("{{\"records\": [{}, {}, {{\"cut]", record("b"), record("poison")), record("c")];
    let range = weir_contract::position::OffsetRange {
        partition: "events/4".into(),
        start: Offset(70),
        next: Offset(73),
        delivered: Offset(0),
    };
    let (acks, mut reports) = ack::channel();
    let raw = RawBatch {
        origin: Arc::new(Origin { source: "hub".into(), ranges: vec![range], positions: Repeats::Same }),
        framing: Framing::Document,
        default_table: None,
        records: (70..)
            .zip(&messages)
            .map(|(at, text)| RawRecord { payload: text.clone().into(), partition: 0, offset: Offset(at) })
            .collect(),
        ack: acks.issue(1),
        permit: budget.charge(0),
    };
    let worked = stages.decode_and_normalize(raw);
    let rows = |table: &str| {
        worked.batches.iter().filter(|batch| &*batch.table == table).map(|batch| batch.rows.num_rows()).sum::<usize>()
    };
    assert_eq!((rows("ASimProcessEventLogs"), rows("DeviceProcessEvents"), rows(DEAD_LETTERS)), (3, 0, 2));
    let letters = worked.batches.iter().find(|batch| &*batch.table == DEAD_LETTERS).expect("letters");
    let text = |name: &str| letters.rows.column_by_name(name).expect("a column").as_string_view().clone();
    let at = (0..2).find(|row| text("Stage").value(*row) == "normalize").expect("one of the normalizer");
    assert_eq!((text("Reason").value(at), text("Partition").value(at)), ("panic", "events/4"));
    assert_eq!(text("Mapping").value(at), "microsoft/defender-xdr/DeviceProcessEvents");
    assert!(text("MappingVersion").is_valid(at) && text("WeirVersion").is_valid(at));
    let payloads = letters.rows.column_by_name("Payload").expect("a column").as_binary::<i32>();
    assert_eq!(payloads.value(at), record("poison").as_bytes(), "of a message with several records its own");
    let offsets = letters.rows.column_by_name("Offset").expect("a column");
    assert_eq!(offsets.as_primitive::<arrow::datatypes::Int64Type>().value(at), 71);
    for batch in worked.batches {
        assert!(reports.try_recv().is_err(), "not before everything is durable");
        batch.ack.done();
    }
    assert!(reports.try_recv().expect("answered").durable);
    assert_eq!(budget.used(), 0, "no permit is kept");
}
