//! The lake on Azure Blob storage: the same sink against Azurite, Microsoft's emulator, on loopback.
//!
//! Runs where `scripts/azurite.sh` has put the emulator (or `$WEIR_AZURITE` names its binary), and a Python with pyarrow
//! stands at `$WEIR_VENV` or `target/venv`, which makes the container; says so when it skips.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, Schema};
use futures::TryStreamExt;
use tokio::sync::mpsc;
use weir_contract::ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::datetime::parse_iso;
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin, Repeats, RowPosition};
use weir_contract::schema::ColumnType;
use weir_sink::lake::LakeSink;
use weir_sink::lake::config::{LakeConfig, StorageOption};
use weir_sink::lake::read::Lake;
use weir_sink::metrics::SinkMetrics;
use weir_sink::sink::Sink;

/// The emulator's account, the same in every installation
/// (<https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>).
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const MAKE_CONTAINER: &str = "
import sys, pyarrow.fs
fs = pyarrow.fs.AzureFileSystem(account_name=sys.argv[1], account_key=sys.argv[2], blob_storage_authority=sys.argv[3],
    dfs_storage_authority=sys.argv[3], blob_storage_scheme='http', dfs_storage_scheme='http')
fs.create_dir('weir')
";

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_write_one_table_in_blob_storage() {
    let (Some(azurite), Some(python)) = (azurite(), python()) else {
        eprintln!("SKIPPED: no Azurite ($WEIR_AZURITE, scripts/azurite.sh) or no Python with pyarrow (target/venv)");
        return;
    };
    let emulator = Emulator::start(&azurite).await;
    let made = Command::new(python).args(["-c", MAKE_CONTAINER, ACCOUNT, ACCOUNT_KEY, &emulator.authority]).output();
    let made = made.expect("python starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let secret = emulator.directory.path().join("key");
    std::fs::write(&secret, ACCOUNT_KEY).expect("a file");
    let mut config = LakeConfig::at("az://weir/some/lake");
    let text = |text: &str| StorageOption::Text(text.to_owned());
    let endpoint = format!("http://{}/{ACCOUNT}", emulator.authority);
    config.storage.insert("azure_storage_account_name".into(), text(ACCOUNT));
    config.storage.insert("azure_storage_endpoint".into(), text(&endpoint));
    config.storage.insert("allow_http".into(), StorageOption::Flag(true));
    config.storage.insert(
        "azure_storage_account_key".into(),
        StorageOption::Secret(weir_contract::secret::SecretRef::File(secret)),
    );
    config.checkpoint_interval = 3;
    config.target_file_size = weir_contract::units::ByteSize(1);

    let workers = (0..2_i64).map(|worker| tokio::spawn(write(config.clone(), worker * 1000)));
    for worker in workers {
        worker.await.expect("no panic");
    }

    let lake = Lake::open(&config).expect("a lake");
    assert_eq!(lake.tables().await.expect("listed"), ["Events"]);
    let table = lake.table("Events").await.expect("readable").expect("a table");
    let batches: Vec<RecordBatch> = table.read(1000).try_collect().await.expect("readable");
    let mut numbers: Vec<i64> =
        batches.iter().flat_map(|rows| rows["N"].as_primitive::<Int64Type>().values().to_vec()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).chain(1000..1100).collect::<Vec<_>>());
    assert_eq!(table.rows(), 200);

    let mut lost = config.clone();
    lost.url = "az://nosuchcontainer/lake".into();
    lost.retry.max_attempts = 1;
    let mut sink =
        LakeSink::new(lost, MemoryBudget::new(1 << 20), SinkMetrics::new(&MetricSet::new())).expect("a sink");
    let error = sink.check().await.expect_err("no container").to_string();
    assert!(error.contains("check that the bucket or container exists"), "{error}");
}

/// Ten batches of ten rows, each committed on its own.
async fn write(config: LakeConfig, first: i64) {
    let budget = MemoryBudget::new(1 << 30);
    let metrics = SinkMetrics::new(&MetricSet::new());
    let mut sink = LakeSink::new(config, budget.clone(), metrics).expect("a sink");
    sink.check().await.expect("a writable container");
    let (acks, mut reports) = ack::channel();
    let (sender, receiver) = mpsc::channel(1);
    let running = tokio::spawn(Box::new(sink).run(receiver));
    for index in 0..10 {
        let rows = numbered(first + index * 10..first + index * 10 + 10);
        let batch = Batch {
            table: "Events".into(),
            kind: RowKind::Normalized,
            positions: RowPosition::numbered(0, rows.num_rows()),
            mapping: None,
            has_more: false,
            permit: budget.charge(rows.get_array_memory_size()),
            rows,
            origin: Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: acks.issue(index as u64),
        };
        sender.send(batch).await.expect("the sink runs");
    }
    drop(sender);
    let summary = running.await.expect("no panic").expect("written");
    assert_eq!(summary.tables["Events"].rows, 100);
    for _ in 0..10 {
        assert!(reports.recv().await.expect("a report").durable);
    }
}

fn numbered(range: std::ops::Range<i64>) -> RecordBatch {
    let noon = parse_iso("2026-11-23T12:00:00Z").expect("a date");
    let times = TimestampMicrosecondArray::from_iter_values(range.clone().map(|n| noon + n)).with_timezone("UTC");
    let columns: [(&str, ColumnType, ArrayRef); 2] = [
        ("TimeGenerated", ColumnType::Datetime, Arc::new(times)),
        ("N", ColumnType::Long, Arc::new(Int64Array::from_iter_values(range))),
    ];
    let schema = Schema::new(columns.iter().map(|(name, ty, _)| ty.field(name)).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, _, array)| array).collect()).expect("a batch")
}

/// A running Azurite; killed when dropped.
struct Emulator {
    process: Child,
    authority: String,
    directory: tempfile::TempDir,
}

impl Emulator {
    async fn start(binary: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
        let directory = tempfile::tempdir().expect("a directory");
        let process = Command::new(binary)
            .args(["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"])
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("azurite starts");
        let emulator = Self { process, authority: format!("127.0.0.1:{port}"), directory };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&emulator.authority).await.is_ok() {
                return emulator;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("azurite did not open its port within 20 s");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn azurite() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("WEIR_AZURITE") {
        return Some(named.into());
    }
    let tools = std::env::var_os("WEIR_TOOLS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/weir-tools"))
    })?;
    let versions = std::fs::read_dir(tools).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let binary = |root: PathBuf| root.join("node_modules/.bin/azurite-blob");
    versions.map(binary).find(|binary| binary.exists())
}

fn python() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv");
    let python = std::env::var_os("WEIR_VENV").map_or(here, PathBuf::from).join("bin/python");
    let imports = Command::new(&python).args(["-c", "import pyarrow.fs"]).output();
    imports.is_ok_and(|output| output.status.success()).then_some(python)
}
