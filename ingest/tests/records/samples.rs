//! Golden files: the samples beside this file, and real records where they are at hand.

use std::path::{Path, PathBuf};

use weir_contract::memory::MemoryBudget;
use weir_ingest::file::FileConfig;

use crate::files::{Out, read_with};

fn read(path: &Path) -> Out {
    let (out, result) = read_with(FileConfig::new([path.to_str().unwrap()]), &MemoryBudget::new(64 << 20));
    result.unwrap();
    out
}

/// The samples' rows are those in `expected/`; `UPDATE=1` writes them anew.
#[test]
fn samples_give_the_expected_rows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let mut samples: Vec<PathBuf> =
        std::fs::read_dir(folder.join("samples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    samples.sort();
    assert!(samples.len() >= 4);
    for sample in samples {
        let out = read(&sample);
        let mut found = String::new();
        for (table, rows) in &out.rows {
            rows.iter().for_each(|row| found += &format!("{table} {row}\n"));
        }
        for (reason, offset, bytes) in &out.letters {
            found += &format!("dead_letter {reason} at {offset}: {}\n", String::from_utf8_lossy(bytes));
        }
        let expected = folder.join("expected").join(sample.file_name().unwrap()).with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        let text = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(found, text, "{} (UPDATE=1 writes it anew)", sample.display());
    }
}

/// Published real records, if they lie beside the repository: their licences keep them out of it.
#[test]
fn real_records_are_all_accounted_for() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/defender");
    if !shared.exists() {
        eprintln!("skipped: `{}` is not here", shared.display());
        return;
    }
    let manifest = std::fs::read_to_string(shared.join("samples/MANIFEST.csv")).unwrap();
    let mut total = 0;
    for line in manifest.lines().skip(1) {
        let file = line.split(',').next().unwrap();
        // file, repository, path (perhaps quoted, with commas), licence, rows, tables, note
        let rows: usize = line.split(',').find_map(|cell| cell.parse().ok()).unwrap();
        let out = read(&shared.join("samples").join(file));
        let found: usize = out.rows.values().map(Vec::len).sum();
        let tables: Vec<_> = out.rows.iter().map(|(table, rows)| format!("{table} {}", rows.len())).collect();
        let letters: Vec<_> = out.letters.iter().map(|(reason, at, _)| format!("{reason} at {at}")).collect();
        println!("{file}: {rows} records, {}; dead letters: {letters:?}", tables.join(", "));
        assert_eq!(found + letters.len(), rows, "{file}");
        for (reason, _, bytes) in &out.letters {
            let has_time = String::from_utf8_lossy(bytes).contains("\"Timestamp\"");
            assert!(reason == "missing_time" && !has_time, "{file}: {letters:?}");
        }
        assert!(tables.iter().all(|table| !table.starts_with('?')), "{file}: {tables:?}");
        total += found;
    }
    for entry in std::fs::read_dir(shared.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let out = read(&path);
        let found: usize = out.rows.values().map(Vec::len).sum();
        println!("{}: {found} rows in {} tables", path.file_name().unwrap().to_string_lossy(), out.rows.len());
        let categories = std::fs::read_to_string(&path).unwrap().matches("\"category\"").count();
        assert_eq!((found, out.letters.len()), (categories, 0), "{}", path.display());
        let unknown = out.rows.values().flatten().filter(|row| row.contains("\"UnknownColumns\"")).count();
        assert_eq!(unknown, 0, "{}: the schemas know the stream's columns", path.display());
        total += found;
    }
    println!("{total} rows");
}
