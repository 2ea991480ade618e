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
    let text_of = |mappings: &str| {
        format!(
            "sources:\n  - name: files\n    files: {{paths: [\"{{dir}}/input\"]}}\nlake: {{url: \"{{dir}}/lake\"}}\n\
             mappings: {{directories: [own]{mappings}}}\n"
        )
    };
    let config = place.config(&text_of(""));
    let run = |command: &str| {
        let output = weir(&[command, "-c", &config.display().to_string()]).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    for command in ["check", "run"] {
        let (code, told) = run(command);
        assert_eq!(code, Some(64), "{told}");
        assert!(told.contains("mine.yaml:5:24") && told.contains("DeviceNme"), "file, line and column: {told}");
        assert!(told.contains("DeviceName"), "a near name is proposed: {told}");
        assert!(told.contains("1 fault to mend; nothing was started") && !told.contains("because:"), "{told}");
    }
    place.config(&text_of(", unknown_columns: empty"));
    let (code, told) = run("check");
    assert_eq!(code, Some(0), "for parsers that were written against wider tables: {told}");
    assert!(told.contains("mine.yaml:5:24") && told.contains("warning: unknown column"), "{told}");
}

#[test]
fn faults_of_every_stage_and_of_mappings_are_told_together() {
    let place = Workplace::new();
    place
        .write("own/mine.yaml", "SourceRawTable: NoSuchTable\nTargetASIMTable: ASimProcessEventLogs\nParserQuery: x\n");
    let config = place.config(
        "sources:\n  - name: hub\n    kafka:\n      topics: [a]\n      group: g\n      brokers: [nonsense]\n  - name: files\n    \
         files: {paths: [\"/nowhere/{a\"]}\n\
         lake: {url: \"{dir}/lake\", compression_level: 99}\nmappings: {directories: [own]}\n",
    );
    let (code, told) = check(&config);
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("weir.yaml:6: `sources[0].kafka.brokers`: has `nonsense`; write `host:port`"), "{told}");
    assert!(told.contains("weir.yaml:9: `lake.compression_level`: is 99"), "{told}");
    assert!(told.contains("weir.yaml:8: `sources[1].files.paths[0]`: `/nowhere/{a` is no valid glob"), "{told}");
    assert!(told.contains("mine.yaml: no schema is known for the raw table `NoSuchTable`"), "{told}");
    assert!(told.contains("4 faults to mend"), "{told}");
}

/// A container's config is checked where its volumes and secrets are not; to run without them is another matter.
#[test]
fn what_this_machine_lacks_is_a_warning_of_the_check_and_a_fault_of_the_run() {
    let place = Workplace::new();
    let config = place.config(
        "sources:\n  - name: files\n    files:\n      paths: [\"{dir}/nowhere.json\"]\n  - name: hub\n    kafka:\n      \
         event_hubs:\n        namespace: contoso.servicebus.windows.net\n        \
         auth: {connection_string: {env: WEIR_TEST_NOT_SET}}\n      topics: [a]\n      group: g\n\
         lake:\n  url: \"{dir}/lake\"\n  storage: {azure_storage_account_key: {file: \"{dir}/no-secret\"}}\n",
    );
    let expected = [
        "weir.yaml:4: `sources[0].files.paths[0]`: ",
        "nowhere.json` does not exist; correct `paths`",
        "weir.yaml:9: `sources[1].kafka.event_hubs.auth.connection_string`: environment variable `WEIR_TEST_NOT_SET`",
        "weir.yaml:14: `lake.storage.azure_storage_account_key`: cannot read the secret file",
    ];
    let (code, told) = check(&config);
    assert_eq!(code, Some(0), "{told}");
    let output = weir(&["run", "-c", &config.display().to_string()]).output().unwrap();
    let faults = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{faults}");
    for part in expected {
        assert!(told.contains(part) && faults.contains(part), "{part}\nis not in\n{told}\nor not in\n{faults}");
    }
    assert_eq!(told.matches("warning: ").count(), 3, "{told}");
    assert!(faults.contains("3 faults to mend; nothing was started"), "{faults}");
    assert!(!place.path("lake").exists(), "nothing was started");
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
