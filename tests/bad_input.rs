//! What must not stop the stream, and what must.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::weir::{
    Workplace, assert_accounted, lake_counts, lake_rows, own_samples, run_once, text, try_run_once,
};

fn good_line() -> String {
    let (_, text) = own_samples().into_iter().find(|(name, _)| name == "DeviceProcessEvents").unwrap();
    text.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_bad_record_becomes_a_dead_letter_and_its_neighbours_are_untouched() {
    let place = Workplace::new();
    let good = good_line();
    let truncated = &good[..good.len() / 2];
    let mut input = Vec::new();
    for line in
        [good.as_bytes(), truncated.as_bytes(), good.as_bytes(), b"{\"a\":\"\xff\xfe\"}", b"[1, 2]", good.as_bytes()]
    {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    place.write("input/events.json", input);
    let summary = run_once(&place.files_to_lake());
    assert_accounted(&summary);
    assert_eq!(summary["raw_tables"]["DeviceProcessEvents"]["records"], 3);
    assert_eq!(summary["records"], 7, "the bare array holds two records: {summary}");
    let counts = lake_counts(&place.lake()).await;
    assert_eq!(counts["dead_letters"], 4);
    assert_eq!(counts["ASimProcessEventLogs"], 3);
    let letters = lake_rows(&place.lake(), "dead_letters").await;
    let payloads: Vec<Vec<u8>> = letters
        .iter()
        .flat_map(|batch| {
            let column =
                arrow::compute::cast(batch.column_by_name("Payload").unwrap(), &arrow::datatypes::DataType::Binary);
            let column = column.unwrap();
            let column = arrow::array::AsArray::as_binary::<i32>(&column);
            column.iter().map(|value| value.unwrap().to_vec()).collect::<Vec<_>>()
        })
        .collect();
    assert!(payloads.contains(&truncated.as_bytes().to_vec()), "the bytes are kept whole");
    assert!(payloads.contains(&b"{\"a\":\"\xff\xfe\"}".to_vec()));
}

#[tokio::test]
async fn a_record_of_twenty_megabytes_passes() {
    let place = Workplace::new();
    let mut record: serde_json::Value = serde_json::from_str(&good_line()).unwrap();
    record["properties"]["ProcessCommandLine"] = "x".repeat(20 << 20).into();
    place.write("input/huge.json", format!("{}\n{record}\n{}\n", good_line(), good_line()));
    let summary = run_once(&place.files_to_lake());
    assert_accounted(&summary);
    assert_eq!(lake_counts(&place.lake()).await["ASimProcessEventLogs"], 3);
}

#[tokio::test]
async fn wrong_types_in_every_column_lose_nothing() {
    let place = Workplace::new();
    let record: serde_json::Value = serde_json::from_str(&good_line()).unwrap();
    let odd = [
        serde_json::json!({"odd": [1]}),
        serde_json::json!([true, null]),
        serde_json::json!(1e300),
        serde_json::json!("text"),
        serde_json::json!(false),
    ];
    let mut input = String::new();
    let mut written = 0;
    for value in odd {
        let mut record = record.clone();
        for (key, cell) in record["properties"].as_object_mut().unwrap() {
            if key != "Timestamp" && key != "ActionType" {
                *cell = value.clone();
            }
        }
        input.push_str(&format!("{record}\n"));
        written += 1;
    }
    place.write("input/odd.json", input);
    let summary = run_once(&place.files_to_lake());
    assert_accounted(&summary);
    assert_eq!(summary["records"], written);
    assert_eq!(lake_counts(&place.lake()).await["ASimProcessEventLogs"], written);
}

#[test]
fn an_empty_file_is_fine_and_a_missing_one_is_named() {
    let place = Workplace::new();
    place.write("input/empty.json", "");
    let summary = run_once(&place.files_to_lake());
    assert_eq!(summary["records"], 0);

    let config = place.config(
        "sources:\n  - name: files\n    files: {paths: [\"{dir}/nowhere.json\"]}\nlake: {url: \"{dir}/lake\"}\n",
    );
    let output = try_run_once(&config);
    assert_eq!(output.status.code(), Some(64));
    let told = text(&output.stderr);
    assert!(told.contains("weir.yaml:3: ") && told.contains("nowhere.json` does not exist"), "{told}");
}

#[test]
fn an_unwritable_lake_ends_the_run_with_an_error() {
    let place = Workplace::new();
    place.write("input/events.json", good_line());
    // A file where the folder should be: not even root can write below it.
    place.write("lake", "not a folder");
    let output = try_run_once(&place.files_to_lake());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("lake"), "{}", text(&output.stderr));
}

/// A disk of 1 MiB: the lake starts well and then has no room.
#[test]
fn a_full_disk_ends_the_run_with_an_error_and_loses_nothing() {
    let place = Workplace::new();
    let mount = place.path("small");
    std::fs::create_dir(&mount).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs", &mount.display().to_string()])
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this user may not mount a small disk");
        return;
    }
    let mut record: serde_json::Value = serde_json::from_str(&good_line()).unwrap();
    let mut input = String::new();
    for number in 0..20_000 {
        // Text that does not compress away.
        let noise: String =
            (0..8).map(|part| format!("{:x}", (number * 8 + part) as u64 * 0x9E37_79B9_7F4A_7C15)).collect();
        record["properties"]["ProcessCommandLine"] = noise.into();
        input.push_str(&format!("{record}\n"));
    }
    place.write("input/events.json", input);
    let config = place.config(
        "sources:\n  - name: files\n    files: {paths: [\"{dir}/input\"]}\nlake: {url: \"{dir}/small/lake\"}\n",
    );
    let output = try_run_once(&config);
    let log = text(&output.stderr);
    let unmounted = std::process::Command::new("umount").arg(&mount).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("space") || log.contains("full"), "{log}");
}

#[test]
fn an_unreadable_config_is_told_with_its_path() {
    let place = Workplace::new();
    let path = place.write("weir.yaml", "");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let output = try_run_once(&place.path("other.yaml"));
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("other.yaml"));
}
