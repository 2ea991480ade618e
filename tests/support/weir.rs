//! Runs the real binary, and reads what it leaves behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt as _;
use serde_json::Value;
use tempfile::TempDir;
use weir_sink::lake::config::LakeConfig;
use weir_sink::lake::read::Lake;

/// A folder of one test: config, input and lake.
pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A path below it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file below it, with its parent folders.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
        std::fs::write(&path, content).expect("writable");
        path
    }

    /// Writes `weir.yaml`; `{dir}` stands for the folder. What must outlive the process is kept below it.
    pub(crate) fn config(&self, text: &str) -> PathBuf {
        let text = if text.contains("state:") {
            text.to_owned()
        } else {
            format!("{text}\nstate: {{directory: \"{{dir}}/state\"}}\n")
        };
        self.write("weir.yaml", text.replace("{dir}", &self.folder.path().display().to_string()))
    }

    /// A config that reads everything in `input/` into `lake/`.
    pub(crate) fn files_to_lake(&self) -> PathBuf {
        self.config("sources:\n  - name: files\n    files: {paths: [\"{dir}/input\"]}\nlake: {url: \"{dir}/lake\"}\n")
    }

    /// The lake that [`Workplace::files_to_lake`] writes.
    pub(crate) fn lake(&self) -> LakeConfig {
        LakeConfig::at(self.path("lake").display().to_string())
    }
}

/// The binary with arguments; its log is kept quiet unless the test fails.
pub(crate) fn weir(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).stdin(Stdio::null()).env_remove("WEIR_LOG").env_remove("WEIR_LOG_FORMAT");
    if let Some(filter) = std::env::var_os("WEIR_TEST_LOG") {
        command.env("WEIR_LOG", filter);
    }
    command
}

/// `weir run --once --summary json`; panics with the log if it fails.
pub(crate) fn run_once(config: &Path) -> Value {
    let output = try_run_once(config);
    assert!(output.status.success(), "weir failed:\n{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the summary is one JSON object")
}

/// The same, for runs that may fail.
pub(crate) fn try_run_once(config: &Path) -> Output {
    let config = config.display().to_string();
    weir(&["run", "--once", "--summary", "json", "-c", &config]).output().expect("the binary starts")
}

/// Runs a command; gives its status, standard output and standard error.
pub(crate) fn told(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the binary starts");
    (output.status.code().expect("it ends by itself"), text(&output.stdout), text(&output.stderr))
}

/// Bytes as text, for messages.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All rows of a lake table; none if the table does not exist.
pub(crate) async fn lake_rows(lake: &LakeConfig, table: &str) -> Vec<RecordBatch> {
    let lake = Lake::open(lake).expect("the lake's URL is valid");
    match lake.table(table).await.expect("the table can be opened") {
        Some(table) => table.read(8192).try_collect().await.expect("the rows can be read"),
        None => Vec::new(),
    }
}

/// The number of rows per table of a lake.
pub(crate) async fn lake_counts(lake: &LakeConfig) -> BTreeMap<String, u64> {
    let lake = Lake::open(lake).expect("the lake's URL is valid");
    let mut counts = BTreeMap::new();
    for name in lake.tables().await.expect("the lake can be listed") {
        let table = lake.table(&name).await.expect("the table can be opened").expect("it was listed");
        counts.insert(name, table.rows());
    }
    counts
}

/// Checks that every record of a summary ended somewhere, and that the lake's counts are the summary's.
pub(crate) fn assert_accounted(summary: &Value) {
    let number = |value: &Value| value.as_u64().expect("a count");
    let mut accounted = 0;
    for (table, raw) in summary["raw_tables"].as_object().expect("per raw table") {
        let (records, mapped, passed) =
            (number(&raw["records"]), number(&raw["mapped"]), number(&raw["passed_through"]));
        assert_eq!(records, mapped + passed, "{table}: {raw}");
        accounted += records;
    }
    let refused: u64 = summary["dead_letters"].as_object().expect("per reason").values().map(number).sum();
    assert_eq!(number(&summary["records"]), accounted + refused);
}

/// A running `weir`, killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it; its log goes to the test's standard error.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self(weir(args).stdout(Stdio::null()).spawn().expect("the binary starts"))
    }

    /// Sends SIGTERM and waits for the end; returns the exit code.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.signal();
        self.wait()
    }

    /// Sends SIGTERM.
    pub(crate) fn signal(&self) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill is there");
        assert!(sent.success(), "the process had ended before");
    }

    /// Waits for the end; returns the exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.0.wait().expect("waits").code()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child can be asked").is_some()
    }

    /// Bytes of memory that it has in use (`VmRSS`); 0 when it has ended.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Polls until `done` or for 60 seconds; tells whether it was done.
pub(crate) async fn wait_until<F: Future<Output = bool>>(mut done: impl FnMut() -> F) -> bool {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !done().await {
        if std::time::Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    true
}

/// The own synthetic samples, `(raw table, text)`.
pub(crate) fn own_samples() -> Vec<(String, String)> {
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize/families");
    let mut samples = Vec::new();
    let mut folders = vec![families];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.parent().is_some_and(|p| p.ends_with("samples")) {
                let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                samples.push((name, std::fs::read_to_string(&path).expect("readable")));
            }
        }
    }
    samples.sort();
    assert!(!samples.is_empty(), "the mappings have samples");
    samples
}
