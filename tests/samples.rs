//! Real samples and published examples, where they are at hand; they are not part of the repository.

use std::path::{Path, PathBuf};

use crate::support::weir::{Workplace, assert_accounted, run_once, weir};

fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/defender");
    if folder.is_dir() {
        Some(folder)
    } else {
        eprintln!("SKIPPED: the real samples are not on this machine");
        None
    }
}

#[test]
fn every_real_record_is_accounted_for_and_its_asim_row_has_no_error() {
    let Some(folder) = shared() else { return };
    let place = Workplace::new();
    let config = place.config(&format!(
        "sources:\n  - name: samples\n    files: {{paths: [\"{samples}/elastic\", \"{samples}/otrf\", \
         \"{samples}/dafneb\", \"{samples}/azure-sentinel\"]}}\n  - name: examples\n    files: {{paths: \
         [\"{examples}\"]}}\nlake: {{url: \"{{dir}}/lake\"}}\n",
        samples = folder.join("samples").display(),
        examples = folder.join("examples").display(),
    ));
    let summary = run_once(&config);
    assert_accounted(&summary);
    println!("{}", serde_json::to_string_pretty(&summary).unwrap());
    // 66 lines of the streaming captures, 9 of the hunting export, 25 and 4 rows of CSV, and the examples.
    assert!(summary["records"].as_u64().unwrap() >= 104, "{summary}");
    // One mail record of the captures has no event time in it; no publish time is taken in its place.
    assert_eq!(summary["dead_letters"], serde_json::json!({"missing_time": 1}));
    // What is made of them breaks no rule of the schemas.
    let lake = place.path("lake").display().to_string();
    let checked = weir(&["asim", "check", &lake, "--format", "json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((report["errors"].as_u64(), checked.status.code()), (Some(0), Some(0)), "{report:#}");
    let tables = |report: &serde_json::Value| -> std::collections::BTreeSet<String> {
        report["findings"].as_array().unwrap().iter().map(|f| f["table"].as_str().unwrap().to_owned()).collect()
    };
    assert!(tables(&report).len() >= 10, "rows of each schema are checked: {:?}", tables(&report));
}
