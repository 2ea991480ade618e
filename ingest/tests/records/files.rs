//! The file source, alone and with the decoder behind it.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::memory::MemoryBudget;
use weir_contract::units::ByteSize;
use weir_ingest::decode::Decoder;
use weir_ingest::file::{FileConfig, FileSource};
use weir_ingest::source::{Source, SourceError};

use crate::support::*;

/// What came out of a source: shown rows by table in order, dead letters as reason, offset and bytes.
#[derive(Debug, Default, PartialEq)]
pub struct Out {
    pub rows: std::collections::BTreeMap<String, Vec<String>>,
    pub letters: Vec<(String, u64, Vec<u8>)>,
    pub batches: usize,
}

/// Reads and decodes all that `config` names; every batch is acknowledged.
pub fn read_with(config: FileConfig, budget: &MemoryBudget) -> (Out, Result<(), SourceError>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let source = Box::new(FileSource::new("files".into(), config, budget.clone(), metrics()).unwrap());
        let progress = source.progress();
        let (tx, mut rx) = mpsc::channel(2);
        let running = tokio::spawn(source.run(tx, CancellationToken::new()));
        let decoder = Decoder::new(tables(), metrics());
        let mut out = Out::default();
        while let Some(raw) = rx.recv().await {
            out.batches += 1;
            let decoded = decoder.decode(raw, budget);
            for (table, rows) in rows_by_table(&decoded) {
                out.rows.entry(table).or_default().extend(rows);
            }
            let letters = decoded.dead_letters.iter();
            out.letters.extend(letters.map(|l| (l.reason.to_owned(), l.offset.0, l.payload.to_vec())));
            decoded.batches.into_iter().for_each(|batch| batch.ack.done());
            decoded.ack.done();
        }
        let result = running.await.unwrap();
        if result.is_ok() {
            assert_eq!(progress.read_bytes(), progress.total_bytes());
        }
        (out, result)
    })
}

fn read(path: &Path) -> Out {
    let (out, result) = read_with(small(path), &MemoryBudget::new(64 << 20));
    result.unwrap();
    out
}

/// Small chunks, so that records lie across their borders.
fn small(path: &Path) -> FileConfig {
    FileConfig { chunk_size: ByteSize(1024), ..FileConfig::new([path.to_str().unwrap()]) }
}

fn event(number: usize) -> String {
    format!(
        "{{\"category\":\"AdvancedHunting-DeviceInfo\",\"properties\":{{\"Timestamp\":\"2026-01-01T00:00:00Z\",\"DeviceId\":\"d{number}\",\"ReportId\":{number}}}}}"
    )
}

fn file(folder: &Path, name: &str, text: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn all_ways_to_write_a_file_give_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let events: Vec<_> = (0..100).map(event).collect();
    let lines = events.join("\n");
    let array = format!("[\n{}\n]", events.join(",\n"));
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&array).unwrap()).unwrap();
    let halves = [gzip(&lines.as_bytes()[..5000]), gzip(&lines.as_bytes()[5000..])].concat();
    let expected = read(&file(folder.path(), "lines.json", format!("{lines}\n").as_bytes()));
    assert_eq!(expected.rows["DeviceInfo"].len(), 100);
    assert!(expected.batches > 5, "the file is read in pieces");
    for (name, text) in [
        ("no_end.json", lines.clone().into_bytes()),
        ("crlf.json", events.join("\r\n").into_bytes()),
        ("bom.json", format!("\u{feff}{lines}").into_bytes()),
        ("blank_lines.json", events.join("\n\n \n").into_bytes()),
        ("members.json.gz", halves),
        ("named_wrongly.json", zstd::encode_all(lines.as_bytes(), 1).unwrap()),
        ("array.json", array.clone().into_bytes()),
        ("one_line.json", format!("{{\"records\":[{}]}}", events.join(",")).into_bytes()),
        ("pretty.json", pretty.clone().into_bytes()),
        ("wrapper.json", format!("{{\"records\": {pretty}}}\n").into_bytes()),
        ("values.json", pretty.trim_matches(['[', ']']).replace("\n  },", "\n  }\n").into_bytes()),
    ] {
        let found = read(&file(folder.path(), name, &text));
        assert_eq!((found.rows, found.letters), (expected.rows.clone(), vec![]), "{name}");
    }
}

#[test]
fn a_folder_is_read_in_order_with_its_empty_files() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("b.json", event(2)), ("a.json", event(1)), ("empty.json", String::new()), ("z.json", event(3))]
    {
        file(folder.path(), name, text.as_bytes());
    }
    file(folder.path(), "empty.json.gz", &gzip(b""));
    let rows = read(folder.path()).rows;
    let order: Vec<_> = rows["DeviceInfo"].iter().map(|row| row.contains("\"d1\"") || row.contains("\"d2\"")).collect();
    assert_eq!(order, [true, true, false]);
    let empty = read(&folder.path().join("empty.json"));
    assert_eq!(empty, Out::default());
}

#[test]
fn csv_files_are_cut_into_rows_with_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("Type,Timestamp [Local Time],DeviceId,OSPlatform\n");
    for number in 0..200 {
        text += &format!("DeviceInfo,\"1/1/2026, 2:00:00.000 AM\",d{number},\"two\nlines, \"\"quoted\"\"\"\n");
    }
    text += "DeviceInfo,too,few\n";
    let path = file(folder.path(), "export.csv", text.as_bytes());
    let config = FileConfig { local_time: "+02:00".to_owned(), ..small(&path) };
    let (out, result) = read_with(config, &MemoryBudget::new(64 << 20));
    result.unwrap();
    let rows = &out.rows["DeviceInfo"];
    assert_eq!(rows.len(), 200);
    assert!(rows[199].contains(r#""TimeGenerated":"2026-01-01T00:00:00.0000000Z""#), "{}", rows[199]);
    assert!(rows[199].contains(r#""DeviceId":"d199","OSPlatform":"two\nlines, \"quoted\"""#), "{}", rows[199]);
    let at = text.find("DeviceInfo,too,few").unwrap() as u64;
    let whole = b"Type,Timestamp [UTC+02:00],DeviceId,OSPlatform\nDeviceInfo,too,few".to_vec();
    assert_eq!(out.letters, [("invalid_csv".to_owned(), at, whole)], "with the header as it was read");
}

#[test]
fn a_record_of_twenty_megabytes_is_read_with_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let huge = event(1).replace("\"d1\"", &format!("\"{}\"", "x".repeat(20_000_000)));
    let path = file(folder.path(), "huge.json", format!("{}\n{huge}\n{}\n", event(0), event(2)).as_bytes());
    let (out, result) = read_with(FileConfig::new([path.to_str().unwrap()]), &MemoryBudget::new(8 << 20));
    result.unwrap();
    assert!(out.letters.is_empty());
    let lengths: Vec<_> = out.rows["DeviceInfo"].iter().map(|row| row.len() > 20_000_000).collect();
    assert_eq!(lengths, [false, true, false], "even over a budget of 8 MiB");
}

#[test]
fn a_record_over_the_limit_is_kept_in_pieces_and_its_neighbours_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let huge = event(1).replace("\"d1\"", &format!("\"{}\"", "x".repeat(50_000)));
    for (name, text) in [
        ("lines.json", format!("{}\n{huge}\n{}\n", event(0), event(2))),
        ("array.json", format!("[{},{huge},{}]", event(0), event(2))),
    ] {
        let path = file(folder.path(), name, text.as_bytes());
        let config = FileConfig { max_record_size: ByteSize(10_000), ..small(&path) };
        let (out, result) = read_with(config, &MemoryBudget::new(64 << 20));
        result.unwrap();
        assert_eq!(out.rows["DeviceInfo"].len(), 2, "{name}");
        let kept: Vec<u8> = out.letters.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect();
        assert_eq!(String::from_utf8(kept).unwrap().trim_end(), huge, "{name}");
        for (reason, offset, bytes) in &out.letters {
            assert_eq!(reason, "too_large");
            assert!(text.as_bytes()[*offset as usize..].starts_with(bytes));
            assert!(bytes.len() <= 12_000);
        }
    }
}

#[test]
fn a_damaged_archive_is_told_after_everything_else_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..2000).map(event).collect::<Vec<_>>().join("\n");
    let whole = gzip(lines.as_bytes());
    file(folder.path(), "a.json.gz", &whole[..whole.len() / 2]);
    file(folder.path(), "b.json", event(5000).as_bytes());
    let (out, result) = read_with(small(folder.path()), &MemoryBudget::new(64 << 20));
    let error = result.expect_err("damaged");
    assert!(matches!(&error, SourceError::Corrupt { codec: "gzip", at, .. } if *at > 0), "{error}");
    assert!(error.to_string().contains("a.json.gz` is damaged gzip near byte"), "{error}");
    let rows = &out.rows["DeviceInfo"];
    assert!(rows.len() > 100 && rows.last().unwrap().contains("d5000"), "{} rows", rows.len());
    assert!(out.letters.len() <= 1, "the record that was cut off");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.json", event(1).as_bytes());
    let config = small(&path);
    let source = Box::new(FileSource::new("files".into(), config, MemoryBudget::new(1 << 20), metrics()).unwrap());
    std::fs::remove_file(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (tx, _rx) = mpsc::channel(2);
    let error = runtime.block_on(source.run(tx, CancellationToken::new())).expect_err("gone");
    assert!(error.to_string().contains("cannot read `"), "{error}");
    assert!(!error.is_retryable());
    let missing = FileSource::new("files".into(), small(&path), MemoryBudget::new(1 << 20), metrics());
    assert!(matches!(missing, Err(SourceError::Missing { .. })));
}

#[tokio::test]
async fn a_batch_that_is_not_durable_ends_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..1000).map(event).collect::<Vec<_>>().join("\n");
    let path = file(folder.path(), "a.json", lines.as_bytes());
    let source = FileSource::new("files".into(), small(&path), MemoryBudget::new(1 << 20), metrics()).unwrap();
    let (tx, mut rx) = mpsc::channel(1);
    let running = tokio::spawn(Box::new(source).run(tx, CancellationToken::new()));
    rx.recv().await.unwrap().ack.done();
    drop(rx.recv().await.unwrap());
    while let Some(raw) = rx.recv().await {
        raw.ack.done();
    }
    let error = running.await.unwrap().expect_err("not durable");
    assert!(matches!(error, SourceError::NotDurable { batch: 1, .. }), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_stopped_source_reads_no_more_and_waits_for_its_acknowledgements() {
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..1000).map(event).collect::<Vec<_>>().join("\n");
    let path = file(folder.path(), "a.json", lines.as_bytes());
    // Room for two chunks: the source waits for memory when it is stopped.
    let budget = MemoryBudget::new(2048);
    let source = FileSource::new("files".into(), small(&path), budget.clone(), metrics()).unwrap();
    let (tx, mut rx) = mpsc::channel(100);
    let stop = CancellationToken::new();
    let running = tokio::spawn(Box::new(source).run(tx, stop.clone()));
    let first = rx.recv().await.unwrap();
    let second = rx.recv().await.unwrap();
    budget.pressure().await;
    stop.cancel();
    assert!(rx.recv().await.is_none(), "nothing more is handed over");
    first.ack.done();
    assert!(!running.is_finished());
    second.ack.done();
    running.await.unwrap().unwrap();
}
