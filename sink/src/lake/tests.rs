//! The sink's contract, on a store in memory, on a local directory, and on stores that fail.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatchOptions, StringViewArray};
use arrow::array::{BooleanArray, DurationMicrosecondArray, Float64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use url::Url;
use weir_contract::ack::{self, AckReport, AckSender, Answered};
use weir_contract::batch::RowKind;
use weir_contract::datetime::{DAY_US, SECOND_US, parse_iso};
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin, Repeats, RowPosition};
use weir_contract::schema::ColumnType;
use weir_contract::units::{ByteSize, Span};

use super::read::Lake;
use super::*;

const NOON: &str = "2026-11-23T12:00:00Z";

/// One lake with one sink over it, and what the source would see.
pub(super) struct Bench {
    lake: LakeStore,
    config: LakeConfig,
    pub(super) budget: MemoryBudget,
    pub(super) acks: AckSender,
    reports: mpsc::UnboundedReceiver<AckReport>,
    next: u64,
}

impl Bench {
    pub(super) fn on(store: Arc<dyn ObjectStore>) -> Self {
        let lake = LakeStore::with_store(store, Url::parse("memory:///some/lake/").expect("a URL")).expect("a lake");
        Self::over(lake, LakeConfig::at("memory"))
    }

    fn in_directory(path: &std::path::Path) -> Self {
        let config = LakeConfig::at(path.to_str().expect("UTF-8"));
        Self::over(LakeStore::open(&config).expect("a lake"), config)
    }

    fn over(lake: LakeStore, mut config: LakeConfig) -> Self {
        config.retry.initial = Span(Duration::from_millis(1));
        config.flush_interval = Span(Duration::from_secs(3600));
        let (acks, reports) = ack::channel();
        Self { lake, config, budget: MemoryBudget::new(1 << 30), acks, reports, next: 0 }
    }

    pub(super) fn sink(&self) -> Box<LakeSink> {
        let metrics = SinkMetrics::new(&MetricSet::new());
        let sink = LakeSink::with_store(self.config.clone(), self.lake.clone(), self.budget.clone(), metrics);
        Box::new(sink.expect("a sink"))
    }

    fn batch(&mut self, table: &str, rows: RecordBatch) -> Batch {
        self.next += 1;
        Batch {
            table: table.into(),
            kind: RowKind::Normalized,
            positions: RowPosition::numbered(0, rows.num_rows()),
            mapping: None,
            has_more: false,
            permit: self.budget.charge(rows.get_array_memory_size()),
            rows,
            origin: Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: self.acks.issue(self.next),
        }
    }

    /// Writes `batches` to one table in one life of the sink.
    async fn write(&mut self, table: &str, batches: Vec<RecordBatch>) -> Result<SinkSummary, SinkError> {
        let batches: Vec<Batch> = batches.into_iter().map(|rows| self.batch(table, rows)).collect();
        let (sender, receiver) = mpsc::channel(1);
        let sink = tokio::spawn(self.sink().run(receiver));
        for batch in batches {
            // A sink that died has its error returned below.
            let _ = sender.send(batch).await;
        }
        drop(sender);
        sink.await.expect("no panic")
    }

    async fn rows(&self, table: &str) -> Vec<RecordBatch> {
        let lake = Lake::with_store(self.lake.clone());
        match lake.table(table).await.expect("a readable log") {
            Some(table) => table.read(1000).try_collect().await.expect("readable files"),
            None => Vec::new(),
        }
    }

    /// The numbers of all rows in `table`, sorted.
    pub(super) async fn numbers(&self, table: &str) -> Vec<i64> {
        let mut numbers = Vec::new();
        for batch in self.rows(table).await {
            numbers.extend_from_slice(batch["N"].as_primitive::<Int64Type>().values());
        }
        numbers.sort_unstable();
        numbers
    }

    fn answered(&mut self) -> Vec<AckReport> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    pub(super) fn reports(&mut self) -> &mut mpsc::UnboundedReceiver<AckReport> {
        &mut self.reports
    }

    pub(super) fn durable(&mut self) -> usize {
        let reports = self.answered();
        assert!(reports.iter().all(|report| report.durable), "{reports:?}");
        reports.len()
    }
}

/// Rows numbered `range`, one second apart, from noon on.
pub(super) fn numbered(range: std::ops::Range<i64>) -> RecordBatch {
    at(parse_iso(NOON).expect("a date"), range)
}

fn at(start_us: i64, range: std::ops::Range<i64>) -> RecordBatch {
    let times = TimestampMicrosecondArray::from_iter_values(range.clone().map(|n| start_us + n * SECOND_US));
    let text = StringViewArray::from_iter_values(range.clone().map(|n| format!("row {n}")));
    table(vec![
        ("TimeGenerated", ColumnType::Datetime, Arc::new(times.with_timezone("UTC"))),
        ("N", ColumnType::Long, Arc::new(Int64Array::from_iter_values(range))),
        ("Text", ColumnType::String, Arc::new(text)),
    ])
}

fn table(columns: Vec<(&str, ColumnType, ArrayRef)>) -> RecordBatch {
    let schema = Schema::new(columns.iter().map(|(name, ty, _)| ty.field(name)).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, _, array)| array).collect()).expect("a batch")
}

#[tokio::test]
async fn rows_come_back_as_they_were_and_each_batch_is_acknowledged() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let summary = bench.write("T", vec![numbered(0..500), numbered(500..700)]).await.expect("written");
    assert_eq!(summary.tables["T"].rows, 700);
    assert_eq!(summary.tables["T"].batches, 2);
    assert!(summary.tables["T"].bytes > 0);
    assert_eq!(bench.durable(), 2);
    assert_eq!(bench.numbers("T").await, (0..700).collect::<Vec<_>>());
    let first = &bench.rows("T").await[0];
    let expected = numbered(0..500);
    for field in expected.schema().fields() {
        let whole = arrow::compute::concat_batches(&first.schema(), &bench.rows("T").await).expect("one batch");
        assert_eq!(&whole[field.name().as_str()].slice(0, 500), &expected[field.name().as_str()]);
    }
    assert_eq!(bench.budget.used(), 0, "nothing is held after the end");
    assert_eq!(bench.lake.tables().await.expect("listed"), ["T"]);
}

impl Bench {
    async fn type_of(&self, table: &str, column: &str) -> DataType {
        self.rows(table).await[0].schema().field_with_name(column).expect("a column").data_type().clone()
    }
}

#[tokio::test]
async fn every_column_type_survives() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let noon = parse_iso(NOON).expect("a date");
    let text = |values: [Option<&str>; 2]| Arc::new(StringViewArray::from(values.to_vec())) as ArrayRef;
    let rows = table(vec![
        (
            "TimeGenerated",
            ColumnType::Datetime,
            Arc::new(TimestampMicrosecondArray::from(vec![noon, noon + 1]).with_timezone("UTC")),
        ),
        ("B", ColumnType::Bool, Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("I", ColumnType::Int, Arc::new(Int32Array::from(vec![None, Some(i32::MIN)]))),
        ("L", ColumnType::Long, Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]))),
        ("R", ColumnType::Real, Arc::new(Float64Array::from(vec![0.1, f64::NAN]))),
        ("S", ColumnType::String, text([Some("naïve — 日本"), Some("")])),
        ("G", ColumnType::Guid, text([Some("6f9619ff-8b86-d011-b42d-00c04fc964ff"), None])),
        ("D", ColumnType::Dynamic, text([Some(r#"{"a":[1,2]}"#), None])),
        ("Span", ColumnType::Timespan, Arc::new(DurationMicrosecondArray::from(vec![Some(-5), None]))),
    ]);
    bench.write("Types", vec![rows.clone()]).await.expect("written");
    let read = bench.rows("Types").await.remove(0);
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        assert_eq!(read.schema().field_with_name(field.name()).expect("a column"), field.as_ref());
        assert_eq!(&read[field.name().as_str()], array, "{}", field.name());
    }
    assert_eq!(bench.type_of("Types", DATE_COLUMN).await, DataType::Date32);
}

#[tokio::test]
async fn dead_letters_keep_their_bytes() {
    use weir_contract::dead_letter::{DEAD_LETTERS, DeadLetter, Form, Stage, to_rows};
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let letter = DeadLetter {
        source: "hub".into(),
        partition: "t/0".into(),
        offset: weir_contract::position::Offset(7),
        table: None,
        mapping: None,
        stage: Stage::Decode,
        reason: "invalid_utf8",
        detail: "byte 1".into(),
        form: Form::Document,
        payload: bytes::Bytes::from_static(b"\xff\x00{"),
    };
    bench.write(DEAD_LETTERS, vec![to_rows(&[letter], parse_iso(NOON).expect("a date"))]).await.expect("written");
    let read = bench.rows(DEAD_LETTERS).await.remove(0);
    assert_eq!(read["Payload"].as_binary::<i32>().value(0), b"\xff\x00{");
}

#[tokio::test]
async fn dead_letters_of_an_earlier_version_stay_beside_new_ones() {
    use weir_contract::dead_letter::{DEAD_LETTERS, DeadLetter, Form, Stage, to_rows};
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let letter = DeadLetter {
        source: "hub".into(),
        partition: "t/0".into(),
        offset: weir_contract::position::Offset(7),
        table: None,
        mapping: None,
        stage: Stage::Decode,
        reason: "invalid_json",
        detail: "byte 1".into(),
        form: Form::Document,
        payload: bytes::Bytes::from_static(b"{"),
    };
    let new = to_rows(&[letter], parse_iso(NOON).expect("a date"));
    let added = ["Id", "Mapping", "MappingVersion", "WeirVersion", "Form"];
    let schema = new.schema();
    let kept = (0..new.num_columns()).filter(|at| !added.contains(&schema.field(*at).name().as_str()));
    let old = new.project(&kept.collect::<Vec<_>>()).expect("fewer columns");
    bench.write(DEAD_LETTERS, vec![old]).await.expect("written by the version before");
    bench.write(DEAD_LETTERS, vec![new]).await.expect("the table gets the columns that it lacks");
    let rows = bench.rows(DEAD_LETTERS).await;
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let with_id: usize = rows.iter().map(|batch| batch["Id"].len() - batch["Id"].null_count()).sum();
    assert_eq!(with_id, 1);
}

#[tokio::test]
async fn rows_stand_under_the_day_of_their_event() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let midnight = parse_iso("2026-11-23").expect("a date");
    bench.write("T", vec![at(midnight - 2 * SECOND_US, 0..5)]).await.expect("written");
    let table = Lake::with_store(bench.lake.clone()).table("T").await.expect("readable").expect("a table");
    let days: Vec<_> = table.files().iter().map(|file| (file.date.clone().expect("a day"), file.rows)).collect();
    assert_eq!(days, [("2026-11-22".to_owned(), Some(2)), ("2026-11-23".to_owned(), Some(3))]);
    assert_eq!(table.version(), 0, "one commit holds both days");
}

#[tokio::test]
async fn a_flood_of_late_days_opens_few_files_at_once_and_loses_none() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    bench.config.max_open_files = 4;
    let day = |n: i64| at(parse_iso(NOON).expect("a date") - n * DAY_US, n..n + 1);
    let batches: Vec<_> = (0..30).map(day).collect();
    let schema = batches[0].schema();
    let flood = arrow::compute::concat_batches(&schema, &batches).expect("one batch");
    bench.write("T", vec![flood, numbered(30..40)]).await.expect("written");
    assert_eq!(bench.numbers("T").await, (0..40).collect::<Vec<_>>());
    assert_eq!(bench.durable(), 2);
}

#[tokio::test]
async fn new_columns_are_added_and_missing_ones_are_null() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let numbers = |range: std::ops::Range<i64>| Arc::new(Int64Array::from_iter_values(range)) as ArrayRef;
    let narrow = table(vec![("N", ColumnType::Long, numbers(0..3))]);
    let wide = table(vec![("N", ColumnType::Long, numbers(3..5)), ("More", ColumnType::Long, numbers(0..2))]);
    // Twice in one life, so that an open file meets both shapes, and once in the next one.
    bench.write("T", vec![narrow.clone(), wide.clone(), narrow.clone()]).await.expect("written");
    let wider = table(vec![
        ("N", ColumnType::Int, Arc::new(Int32Array::from(vec![9]))),
        ("Even more", ColumnType::Long, numbers(7..8)),
    ]);
    bench.write("T", vec![wider]).await.expect("written");
    assert_eq!(bench.numbers("T").await, [0, 0, 1, 1, 2, 2, 3, 4, 9]);
    let all = bench.rows("T").await;
    let filled = |name: &str| all.iter().map(|rows| rows.num_rows() - rows[name].null_count()).sum::<usize>();
    assert_eq!((filled("More"), filled("Even_more")), (2, 1));
}

#[tokio::test]
async fn a_type_conflict_stops_the_sink_and_names_the_column() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    bench.write("T", vec![numbered(0..3)]).await.expect("written");
    bench.durable();
    let text = table(vec![("N", ColumnType::String, Arc::new(StringViewArray::from(vec!["x"])) as ArrayRef)]);
    let error = bench.write("T", vec![text]).await.expect_err("a conflict").to_string();
    assert!(error.contains("`N` of table `T`"), "{error}");
    assert!(bench.answered().iter().all(|report| !report.durable));
}

#[tokio::test]
async fn an_empty_batch_is_acknowledged_at_once_and_makes_no_table() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    let options = RecordBatchOptions::new().with_row_count(Some(0));
    let empty = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).expect("a batch");
    bench.write("T", vec![empty]).await.expect("written");
    assert_eq!(bench.durable(), 1);
    assert!(bench.lake.tables().await.expect("listed").is_empty());
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing_visible_and_fails_the_acks() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    bench.write("T", vec![numbered(0..10)]).await.expect("written");
    bench.durable();
    let batch = bench.batch("T", numbered(10..20));
    let (sender, receiver) = mpsc::channel(1);
    let sink = tokio::spawn(bench.sink().run(receiver));
    sender.send(batch).await.expect("taken");
    while bench.budget.used() == 0 || sender.capacity() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sink.abort();
    assert!(sink.await.expect_err("aborted").is_cancelled());
    assert_eq!(bench.numbers("T").await, (0..10).collect::<Vec<_>>());
    let report = bench.reports.recv().await.expect("an answer");
    assert!(!report.durable);
    assert_eq!(bench.budget.used(), 0);
}

#[tokio::test]
async fn rows_are_committed_after_the_interval_without_further_batches() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    bench.config.flush_interval = Span(Duration::from_millis(20));
    let batch = bench.batch("T", numbered(0..10));
    let (sender, receiver) = mpsc::channel(1);
    let sink = tokio::spawn(bench.sink().run(receiver));
    sender.send(batch).await.expect("taken");
    assert!(bench.reports.recv().await.expect("an answer").durable);
    assert_eq!(bench.numbers("T").await.len(), 10);
    drop(sender);
    assert_eq!(sink.await.expect("no panic").expect("written").tables["T"].rows, 10);
}

#[tokio::test]
async fn a_source_that_waits_for_memory_makes_the_sink_commit() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    bench.budget = MemoryBudget::new(64 << 10);
    let batch = bench.batch("T", numbered(0..100));
    let (sender, receiver) = mpsc::channel(1);
    let _sink = tokio::spawn(bench.sink().run(receiver));
    sender.send(batch).await.expect("taken");
    let room = tokio::time::timeout(Duration::from_secs(20), bench.budget.reserve(64 << 10)).await;
    room.expect("the sink gave its memory back");
    assert!(bench.reports.recv().await.expect("an answer").durable);
}

#[tokio::test]
async fn memory_that_another_sink_holds_makes_no_small_commits() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    bench.budget = MemoryBudget::new(1 << 20);
    let elsewhere = bench.budget.charge((1 << 20) - 1);
    let batch = bench.batch("T", numbered(0..100));
    let (sender, receiver) = mpsc::channel(1);
    let sink = tokio::spawn(bench.sink().run(receiver));
    sender.send(batch).await.expect("taken");
    let budget = bench.budget.clone();
    let waiting = tokio::spawn(async move { budget.reserve(1 << 20).await });
    tokio::time::sleep(8 * PRESSURE_TICK).await;
    assert!(bench.answered().is_empty(), "a commit would not help the source");
    drop(elsewhere);
    assert!(bench.reports.recv().await.expect("an answer").durable, "now it does");
    assert_eq!(waiting.await.expect("room").bytes(), 1 << 20);
    drop(sender);
    sink.await.expect("no panic").expect("written");
}

#[tokio::test]
async fn a_full_file_is_committed_before_the_interval() {
    let mut bench = Bench::on(Arc::new(InMemory::new()));
    bench.config.target_file_size = ByteSize(1);
    let batch = bench.batch("T", numbered(0..10));
    let (sender, receiver) = mpsc::channel(1);
    let _sink = tokio::spawn(bench.sink().run(receiver));
    sender.send(batch).await.expect("taken");
    assert!(bench.reports.recv().await.expect("an answer").durable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_that_append_to_one_table_lose_nothing_and_double_nothing() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut workers = JoinSet::new();
    for worker in 0..4_i64 {
        let mut bench = Bench::on(Arc::clone(&store));
        bench.config.target_file_size = ByteSize(1);
        bench.config.checkpoint_interval = 5;
        workers.spawn(async move {
            let batches = (0..10).map(|n| numbered(worker * 1000 + n * 10..worker * 1000 + n * 10 + 10)).collect();
            bench.write("T", batches).await.expect("written");
            bench.durable()
        });
    }
    let acknowledged: usize = workers.join_all().await.into_iter().sum();
    assert_eq!(acknowledged, 40);
    let bench = Bench::on(Arc::clone(&store));
    let expected: Vec<i64> = (0..4).flat_map(|worker| worker * 1000..worker * 1000 + 100).collect();
    assert_eq!(bench.numbers("T").await, expected);
    let log = Path::from("some/lake/T/_delta_log");
    let objects: Vec<ObjectMeta> = store.list(Some(&log)).try_collect().await.expect("listed");
    let checkpoints = objects.iter().filter(|object| object.location.as_ref().contains("checkpoint.parquet")).count();
    assert!(checkpoints >= 7, "{checkpoints} checkpoints for 40 commits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_may_add_different_columns() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut workers = JoinSet::new();
    for column in ["A", "B"] {
        let mut bench = Bench::on(Arc::clone(&store));
        workers.spawn(async move {
            let numbers = Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
            let rows = table(vec![("N", ColumnType::Long, Arc::clone(&numbers)), (column, ColumnType::Long, numbers)]);
            bench.write("T", vec![rows]).await.expect("written");
        });
    }
    workers.join_all().await;
    let rows = Bench::on(store).rows("T").await;
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 6);
    assert!(rows[0].schema().column_with_name("A").is_some() && rows[0].schema().column_with_name("B").is_some());
}

#[tokio::test]
async fn a_local_lake_is_probed_written_and_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::in_directory(&directory.path().join("deep/lake with blank"));
    bench.sink().check().await.expect("writable");
    bench.write("T", vec![numbered(0..10)]).await.expect("written");
    bench.write("T", vec![numbered(10..20)]).await.expect("written");
    assert_eq!(bench.numbers("T").await, (0..20).collect::<Vec<_>>());
    assert_eq!(bench.lake.tables().await.expect("listed"), ["T"]);
    let left: Vec<_> = std::fs::read_dir(directory.path().join("deep/lake with blank")).expect("listed").collect();
    assert_eq!(left.len(), 1, "the probe left nothing");
}

#[tokio::test]
async fn a_lake_that_is_a_file_is_refused_at_start_with_advice() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "x").expect("a file");
    let mut bench = Bench::in_directory(&file.join("lake"));
    let error = bench.sink().check().await.expect_err("not writable");
    assert!(error.to_string().contains("choose another `url`"), "{error}");
    let error = bench.write("T", vec![numbered(0..10)]).await.expect_err("not writable");
    assert!(!error.is_retryable());
    assert!(bench.answered().iter().all(|report| !report.durable));
}

#[tokio::test]
async fn a_table_made_by_another_program_is_refused_by_name() {
    let store = Arc::new(InMemory::new());
    let entry = concat!(
        r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}"#,
        "\n",
        r#"{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{}}}"#
    );
    let path = Path::from("some/lake/T/_delta_log/00000000000000000000.json");
    store.put_opts(&path, entry.into(), PutOptions::default()).await.expect("put");
    let error = Bench::on(store).write("T", vec![numbered(0..1)]).await.expect_err("refused").to_string();
    assert!(error.contains("lake/T/") && error.contains("another program"), "{error}");
}

/// Fails puts whose path holds `on`, as `fault` says.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    on: &'static str,
    fault: Fault,
    /// Puts that still fail.
    left: AtomicU64,
    seen: Mutex<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing is written, and an error comes back.
    Lost(std::io::ErrorKind),
    /// It is written, but the answer is an error.
    LostAnswer,
}

impl Faulty {
    fn new(on: &'static str, fault: Fault, times: u64) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), on, fault, left: AtomicU64::new(times), seen: Mutex::default() })
    }

    fn error(kind: std::io::ErrorKind) -> object_store::Error {
        object_store::Error::Generic { store: "faulty", source: Box::new(std::io::Error::from(kind)) }
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.seen.lock().expect("no panic").push(at.to_string());
        let fails = at.as_ref().contains(self.on)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        match self.fault {
            _ if !fails => self.inner.put_opts(at, payload, options).await,
            Fault::Lost(kind) => Err(Self::error(kind)),
            Fault::LostAnswer => {
                self.inner.put_opts(at, payload, options).await?;
                Err(Self::error(std::io::ErrorKind::ConnectionReset))
            }
        }
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }
    fn delete_stream(
        &self,
        at: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(at)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

const RESET: Fault = Fault::Lost(std::io::ErrorKind::ConnectionReset);

#[tokio::test]
async fn a_put_or_commit_that_fails_for_a_while_is_tried_again() {
    for on in ["part-", "_delta_log"] {
        let store = Faulty::new(on, RESET, 4);
        let mut bench = Bench::on(store.clone());
        bench.write("T", vec![numbered(0..10)]).await.expect("written at last");
        assert_eq!(bench.durable(), 1);
        assert_eq!(bench.numbers("T").await.len(), 10, "{on}");
        assert_eq!(store.left.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_store_that_fails_for_good_stops_the_sink_and_fails_the_acks() {
    for on in ["part-", "_delta_log"] {
        let mut bench = Bench::on(Faulty::new(on, RESET, u64::MAX));
        let error = bench.write("T", vec![numbered(0..10)]).await.expect_err("gave up");
        assert!(matches!(error, SinkError::GaveUp { attempts: 5, .. }), "{error:?}");
        let reports = bench.answered();
        assert_eq!(reports, [AckReport { batch: 1, of: Answered::All, durable: false }]);
        assert!(bench.numbers("T").await.is_empty());
        assert_eq!(bench.budget.used(), 0);
    }
}

#[tokio::test]
async fn a_full_disk_ends_in_an_error_that_says_so() {
    let mut bench = Bench::on(Faulty::new("part-", Fault::Lost(std::io::ErrorKind::StorageFull), u64::MAX));
    let error = bench.write("T", vec![numbered(0..10)]).await.expect_err("gave up");
    let text = crate::sink::chain(&error);
    assert!(text.contains("the disk is full") && text.contains("part-"), "{text}");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_recognised_and_not_doubled() {
    let store = Faulty::new("_delta_log", Fault::LostAnswer, 1);
    let mut bench = Bench::on(store.clone());
    bench.write("T", vec![numbered(0..10)]).await.expect("written");
    assert_eq!(bench.numbers("T").await.len(), 10);
    let commits = store.seen.lock().expect("no panic").iter().filter(|path| path.contains("_delta_log")).count();
    assert_eq!(commits, 2, "the second look at version 0 is enough");
    let lake = Lake::with_store(bench.lake.clone());
    assert_eq!(lake.table("T").await.expect("readable").expect("a table").version(), 0);
}

/// Takes every put as if nothing were there, as some S3 look-alikes do.
#[tokio::test]
async fn a_store_without_conditional_puts_is_refused_at_start() {
    #[derive(Debug)]
    struct Careless(InMemory);
    impl std::fmt::Display for Careless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("careless")
        }
    }
    #[async_trait]
    impl ObjectStore for Careless {
        async fn put_opts(&self, at: &Path, payload: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
            self.0.put_opts(at, payload, PutOptions::default()).await
        }
        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> object_store::Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(at, options).await
        }
        async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
            self.0.get_opts(at, options).await
        }
        fn delete_stream(
            &self,
            at: BoxStream<'static, object_store::Result<Path>>,
        ) -> BoxStream<'static, object_store::Result<Path>> {
            self.0.delete_stream(at)
        }
        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
            self.0.list(prefix)
        }
        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }
        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }
    let error = Bench::on(Arc::new(Careless(InMemory::new()))).sink().check().await.expect_err("refused");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
}
