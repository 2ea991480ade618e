//! Objects of a store, read as services export them: append blobs that grow, archives that are put once.

use std::io::Write as _;

use serde_json::Value;

use crate::support::azurite::Azurite;
use crate::support::weir::{Workplace, lake_counts, run_once, text, try_run_once};

/// Records in the storage export's form, numbered `from` up to `to`.
fn records(from: u64, to: u64) -> String {
    let record = |number| {
        format!(
            "{{\"time\":\"2026-01-01T00:00:00Z\",\"category\":\"AdvancedHunting-DeviceInfo\",\"properties\":\
             {{\"Timestamp\":\"2026-01-01T00:00:00Z\",\"DeviceId\":\"d{number}\",\"ReportId\":{number}}}}}\r\n"
        )
    };
    (from..to).map(record).collect()
}

async fn once(config: &std::path::Path) -> Value {
    let config = config.to_owned();
    tokio::task::spawn_blocking(move || run_once(&config)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_blob_is_read_on_where_it_was() {
    let azurite = Azurite::start().await;
    let container = azurite.create_container("insights-logs-advancedhunting-deviceinfo").await;
    let place = Workplace::new();
    place.write("key", azurite.account_key());
    let config = place.config(&format!(
        "sources:\n  - name: export\n    objects:\n      url: az://{container}\n      glob: \"**/PT1H.json\"\n      storage:\n        \
         azure_storage_account_name: {account}\n        azure_storage_account_key: {{file: \"{{dir}}/key\"}}\n        \
         azure_storage_endpoint: {endpoint}\n        allow_http: true\nlake: {{url: \"{{dir}}/lake\"}}\n",
        account = azurite.account_name(),
        endpoint = azurite.endpoint(),
    ));
    let blob = |hour: u32| format!("{container}/tenantId=0/y=2026/m=01/d=01/h={hour:02}/m=00/PT1H.json");
    azurite.create_append_blob(&blob(1));
    azurite.append(&blob(1), &records(0, 500));
    azurite.append(&blob(1), "{\"time\":\"2026");
    azurite.create_append_blob(&format!("{container}/other.txt"));
    azurite.append(&format!("{container}/other.txt"), "no export\n");
    assert_eq!(once(&config).await["records"], 500, "the beginning of a line waits for its rest");
    assert_eq!(once(&config).await["records"], 0);
    azurite.append(&blob(1), &records(500, 501)["{\"time\":\"2026".len()..]);
    azurite.append(&blob(1), &records(501, 510));
    azurite.create_append_blob(&blob(2));
    azurite.append(&blob(2), &records(510, 520));
    let summary = once(&config).await;
    assert_eq!((&summary["records"], &summary["dead_letters"]), (&20.into(), &serde_json::json!({})));
    assert_eq!(lake_counts(&place.lake()).await.values().sum::<u64>(), 520);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_read_as_a_store_and_a_damaged_object_keeps_no_other_from_being_read() {
    let place = Workplace::new();
    let config = place.config(
        "sources:\n  - name: export\n    objects:\n      url: \"file://{dir}/store\"\n      prefix: logs/2026-\n      \
         start_after: logs/2026-01-01\n      chunk_size: 8KiB\nlake: {url: \"{dir}/lake\"}\n",
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(records(0, 2000).as_bytes()).unwrap();
    let whole = gzip.finish().unwrap();
    place.write("store/logs/2025-12-31", records(0, 1));
    place.write("store/logs/2026-01-01", records(0, 1));
    // More than one range of plain text, and an archive.
    place.write("store/logs/2026-01-02", records(2000, 6000));
    place.write("store/logs/2026-01-03", &whole);
    assert_eq!(once(&config).await["records"], 6000);
    // Cut off before what was read of it, and long enough ago for it to be no upload that is still under way.
    let damaged = place.write("store/logs/2026-01-04", &whole[..whole.len() / 2]);
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options().append(true).open(damaged).unwrap().set_modified(hour_ago).unwrap();
    place.write("store/logs/2026-01-05", records(6000, 6010));
    let failed = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || try_run_once(&config)).await.unwrap()
    };
    assert!(!failed.status.success());
    assert!(text(&failed.stderr).contains("2026-01-04` is damaged gzip"), "{}", text(&failed.stderr));
    let before = lake_counts(&place.lake()).await.values().sum::<u64>();
    assert!((6010..8010).contains(&before), "{before}");
    place.write("store/logs/2026-01-04", &whole);
    once(&config).await;
    assert_eq!(lake_counts(&place.lake()).await.values().sum::<u64>(), 8010, "mended, it is read on");
}
