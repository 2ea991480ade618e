//! Files that grow, are renamed and replaced, read by a source that is stopped and killed in between.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::batch::RawBatch;
use weir_contract::memory::MemoryBudget;
use weir_contract::units::{ByteSize, Span};
use weir_ingest::file::{FileConfig, FileSource};
use weir_ingest::source::{Source, SourceError};

use crate::support::metrics;

/// What happens to the log.
#[derive(Debug, Clone)]
enum Step {
    /// Whole lines are added.
    Grow(usize),
    /// The beginning of a line is added; its rest comes with whatever is added next.
    Begin,
    /// The log is renamed and a new one is begun.
    Rotate,
    /// The log is read until nothing new comes, and the source is stopped in order.
    Read,
    /// So many batches are taken and acknowledged, the next one is not, and the process dies.
    Crash(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..200_usize).prop_map(Step::Grow),
        1 => Just(Step::Begin),
        2 => Just(Step::Rotate),
        3 => Just(Step::Read),
        2 => (0..4_usize).prop_map(Step::Crash),
    ];
    proptest::collection::vec(step, 1..14)
}

/// A log, what was written to it, and how often each line was delivered.
struct World {
    folder: tempfile::TempDir,
    next: u64,
    pending: Option<(String, usize)>,
    rotations: usize,
    /// By the line's number.
    delivered: BTreeMap<u64, u32>,
    has_crashed: bool,
}

impl World {
    fn append(&self, text: &str) {
        let path = self.folder.path().join("logs/log");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        self.next += 1;
        format!("{{\"n\":{},\"pad\":\"{}\"}}\n", self.next, "x".repeat((self.next % 50) as usize))
    }

    fn finish_line(&mut self) {
        if let Some((line, from)) = self.pending.take() {
            self.append(&line[from..]);
        }
    }

    async fn apply(&mut self, step: &Step) {
        match step {
            Step::Grow(lines) => {
                self.finish_line();
                let text: String = (0..*lines).map(|_| self.line()).collect();
                self.append(&text);
            }
            Step::Begin => {
                self.finish_line();
                let line = self.line();
                self.append(&line[..4]);
                self.pending = Some((line, 4));
            }
            Step::Rotate => {
                self.finish_line();
                self.rotations += 1;
                let logs = self.folder.path().join("logs");
                if logs.join("log").exists() {
                    std::fs::rename(logs.join("log"), logs.join(format!("log.{}", self.rotations))).unwrap();
                }
            }
            Step::Read => self.read(None).await,
            Step::Crash(batches) => self.read(Some(*batches)).await,
        }
    }

    async fn read(&mut self, crash_after: Option<usize>) {
        let config = FileConfig {
            chunk_size: ByteSize(1024),
            follow: true,
            poll_interval: Span(Duration::from_millis(5)),
            close_after: Span(Duration::from_secs(3600)),
            ..FileConfig::new([format!("{}/logs/log*", self.folder.path().display())])
        };
        let source = FileSource::new("log".into(), config, MemoryBudget::new(1 << 20), metrics()).unwrap();
        let source = Box::new(source.remember_in(&self.folder.path().join("state")));
        let (tx, mut rx) = mpsc::channel::<RawBatch>(1);
        let stop = CancellationToken::new();
        let running = tokio::spawn(source.run(tx, stop.clone()));
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut batches = 0;
        let written = self.next - u64::from(self.pending.is_some());
        loop {
            let is_complete = (1..=written).all(|line| self.delivered.contains_key(&line));
            let patience = if is_complete { Duration::from_millis(60) } else { Duration::from_secs(20) };
            let Ok(Some(batch)) = tokio::time::timeout(patience, rx.recv()).await else { break };
            assert!(Instant::now() < deadline, "it does not come to an end");
            for record in &batch.records {
                for line in record.payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let value: serde_json::Value = serde_json::from_slice(line).expect("only whole lines");
                    *self.delivered.entry(value["n"].as_u64().unwrap()).or_default() += 1;
                }
            }
            if crash_after == Some(batches) {
                self.has_crashed = true;
                running.abort();
                let _ = running.await;
                return;
            }
            batches += 1;
            batch.ack.done();
        }
        if crash_after.is_some() {
            self.has_crashed = true;
            running.abort();
            let _ = running.await;
            return;
        }
        stop.cancel();
        while let Some(batch) = rx.recv().await {
            batch.ack.done();
        }
        running.await.unwrap().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_line_is_delivered_and_none_twice_but_after_a_crash(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("logs")).unwrap();
            let mut world = World {
                folder, next: 0, pending: None, rotations: 0, delivered: BTreeMap::new(), has_crashed: false,
            };
            for step in &steps {
                world.apply(step).await;
            }
            world.finish_line();
            world.apply(&Step::Read).await;
            let missing: Vec<_> = (1..=world.next).filter(|line| !world.delivered.contains_key(line)).collect();
            assert_eq!(missing, [0; 0], "lines that were never delivered");
            if !world.has_crashed {
                let twice: Vec<_> = world.delivered.iter().filter(|(_, times)| **times > 1).collect();
                assert!(twice.is_empty(), "{twice:?}");
            }
        });
    }
}

/// One look at `folder/in`: partition, offset and payload of each record, all acknowledged.
async fn look(
    folder: &Path,
    change: impl FnOnce(&mut FileConfig),
) -> (Vec<(String, u64, String)>, Option<SourceError>) {
    let mut config = FileConfig::new([folder.join("in").display().to_string()]);
    change(&mut config);
    let source = FileSource::new("files".into(), config, MemoryBudget::new(1 << 20), metrics()).unwrap();
    let source = Box::new(source.once(true).remember_in(&folder.join("state")));
    let (tx, mut rx) = mpsc::channel::<RawBatch>(1);
    let running = tokio::spawn(source.run(tx, CancellationToken::new()));
    let mut found = Vec::new();
    while let Some(batch) = rx.recv().await {
        for record in &batch.records {
            let partition = batch.origin.ranges[record.partition as usize].partition.to_string();
            found.push((partition, record.offset.0, String::from_utf8(record.payload.to_vec()).unwrap()));
        }
        batch.ack.done();
    }
    (found, running.await.unwrap().err())
}

fn write(folder: &Path, name: &str, text: &[u8]) {
    std::fs::create_dir_all(folder.join("in")).unwrap();
    std::fs::write(folder.join("in").join(name), text).unwrap();
}

async fn texts(folder: &Path) -> Vec<String> {
    let (found, error) = look(folder, |_| {}).await;
    assert!(error.is_none(), "{error:?}");
    found.into_iter().map(|(_, _, text)| text).collect()
}

#[tokio::test]
async fn each_layout_is_read_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let nothing: [&str; 0] = [];
    write(root, "a.csv", b"Type,DeviceId\nDeviceInfo,d1\n");
    write(root, "b.json", b"[\n{\"a\":1},\n{\"a\":2}\n");
    write(root, "c.json.zst", &zstd::encode_all(&b"{\"c\":1}\n"[..], 1).unwrap());
    assert_eq!(texts(root).await, ["Type,DeviceId\nDeviceInfo,d1\n", "{\"a\":1}", "{\"a\":2}", "{\"c\":1}\n"]);
    assert_eq!(texts(root).await, nothing);
    write(root, "a.csv", b"Type,DeviceId\nDeviceInfo,d1\nDeviceInfo,d2\n");
    write(root, "b.json", b"[\n{\"a\":1},\n{\"a\":2}\n,{\"a\":3}]\n");
    write(root, "c.json.zst", &zstd::encode_all(&b"{\"c\":1}\n{\"c\":2}\n"[..], 1).unwrap());
    assert_eq!(texts(root).await, ["Type,DeviceId\nDeviceInfo,d2\n", "{\"a\":3}", "{\"c\":2}\n"]);
    assert_eq!(texts(root).await, nothing);
}

#[tokio::test]
async fn a_partition_stays_when_its_file_grows_and_differs_when_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut partitions = Vec::new();
    // Grown, cut short, and replaced by what begins alike.
    for text in ["n,m\n1,1\n", "n,m\n1,1\n2,2\n", "n,m\n1,1\n", "n,m\n7,7\n8,8\n9,9\n"] {
        write(root, "x.csv", text.as_bytes());
        let (found, error) = look(root, |_| {}).await;
        assert!(error.is_none() && found.len() == 1, "{found:?} {error:?}");
        partitions.push((found[0].0.clone(), found[0].1));
    }
    assert_eq!(partitions[0].0, partitions[1].0);
    assert_eq!((partitions[0].1, partitions[1].1), (4, 8));
    assert_eq!((partitions[2].1, partitions[3].1), (4, 4), "read from their beginning");
    let names: std::collections::BTreeSet<_> = partitions.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 3, "{partitions:?}");
}

#[tokio::test]
async fn a_renamed_packed_file_is_known_and_a_copy_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let text = "{\"n\":1}\n{\"n\":2}\n";
    write(root, "log", text.as_bytes());
    assert_eq!(texts(root).await, [text]);
    std::fs::remove_file(root.join("in/log")).unwrap();
    write(root, "log.1.zst", &zstd::encode_all(text.as_bytes(), 1).unwrap());
    write(root, "log", b"{\"n\":3}\n");
    assert_eq!(texts(root).await, ["{\"n\":3}\n"]);
    write(root, "other", b"{\"n\":3}\n");
    assert_eq!(texts(root).await, ["{\"n\":3}\n"], "two hosts may well write the same line");
}

#[tokio::test]
async fn a_damaged_file_is_read_on_once_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let text: String = (0..3000).map(|number| format!("{{\"n\":{}}}\n", number * 7919 % 100_003)).collect();
    let whole = zstd::encode_all(text.as_bytes(), 1).unwrap();
    write(root, "a.zst", &whole[..whole.len() / 2]);
    write(root, "b", b"{\"b\":1}\n");
    let (found, error) = look(root, |config| config.chunk_size = ByteSize(1024)).await;
    assert!(matches!(error, Some(SourceError::Corrupt { codec: "zstd", .. })), "{error:?}");
    assert_eq!(found.last().unwrap().2, "{\"b\":1}\n", "the others are read");
    let mut read: String = found[..found.len() - 1].iter().map(|(_, _, text)| text.as_str()).collect();
    write(root, "a.zst", &whole);
    read += &texts(root).await.concat();
    assert_eq!(read, text, "no line is missing, none comes twice");
}

#[tokio::test]
async fn a_second_process_and_a_foreign_journal_are_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", b"{\"a\":1}\n");
    texts(folder.path()).await;
    let journal = folder.path().join("state/files/progress");
    std::fs::write(&journal, "something else\n").unwrap();
    let (found, error) = look(folder.path(), |_| {}).await;
    assert!(found.is_empty());
    let error = error.expect("refused");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("move it away to read all files anew"), "{cause}");
    std::fs::remove_file(journal).unwrap();
    let lock = std::fs::File::open(folder.path().join("state/files/lock")).unwrap();
    lock.lock().unwrap();
    let (_, error) = look(folder.path(), |_| {}).await;
    let cause = std::error::Error::source(&error.expect("refused")).expect("a cause").to_string();
    assert!(cause.contains("in use by another process (process "), "{cause}");
}
