//! `weir check`, `weir config` and `weir completions`.

use crate::support::weir::{Workplace, text, weir};

fn check(config: &std::path::Path) -> (Option<i32>, String) {
    let output = weir(&["check", "-c", &config.display().to_string()]).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_good_config_is_ok() {
    let place = Workplace::new();
    place.write("input/a.json", "");
    let (code, told) = check(&place.files_to_lake());
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(": ok (1 sources,"), "{told}");
}

#[test]
fn all_faults_are_told_at_once_and_the_status_is_64() {
    let place = Workplace::new();
    let config = place.config("sorces: []\nlake: {url: 7}\nmemory: {budget: lots}\n");
    let (code, told) = check(&config);
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("weir.yaml:1: `sorces`: unknown key; did you mean `sources`?"), "{told}");
    assert!(told.contains("weir.yaml:2: `lake.url`: `7` is given; expected text"), "{told}");
    assert!(told.contains("weir.yaml:3: `memory.budget`"), "{told}");
    assert!(told.contains("3 faults to mend"), "{told}");
}

#[test]
fn a_fault_in_a_mapping_names_its_line_and_column() {
    let place = Workplace::new();
    place.write("input/a.json", "");
    place.write(
        "own/mine.yaml",
        "SourceRawTable: DeviceProcessEvents\nTargetASIMTable: ASimProcessEventLogs\nParserQuery: |\n  \
         DeviceProcessEvents\n  | extend DvcHostname = DeviceNme\n  | project TimeGenerated, DvcHostname\n",
    );
    let config = place.config(
        "sources:\n  - name: files\n    files: {paths: [\"{dir}/input\"]}\nlake: {url: \"{dir}/lake\"}\n\
         mappings: {directories: [own]}\n",
    );
    let (_, told) = check(&config);
    assert!(told.contains("mine.yaml") && told.contains("DeviceNme"), "{told}");
    assert!(told.contains("DeviceName"), "a near name is proposed: {told}");
}

#[test]
fn the_schema_is_a_json_schema_and_completions_are_printed() {
    let schema = weir(&["config", "schema"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    assert!(schema["properties"]["sources"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        let script = weir(&["completions", shell]).output().unwrap();
        assert!(script.status.success() && text(&script.stdout).contains("stand-in"));
    }
}
