//! The same lake in an object store: Azure Blob, by its emulator.

use weir_contract::secret::SecretRef;

use crate::support::azurite::Azurite;
use crate::support::weir::{Workplace, assert_accounted, own_samples, run_once};

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_stands_in_azure_blob_storage() {
    let azurite = Azurite::start().await;
    let container = azurite.create_container("lake").await;
    let place = Workplace::new();
    for (table, text) in own_samples() {
        place.write(&format!("input/{table}.json"), text);
    }
    place.write("key", azurite.account_key());
    let config = place.config(&format!(
        "sources:\n  - name: files\n    files: {{paths: [\"{{dir}}/input\"]}}\nlake:\n  url: az://{container}/weir\n  \
         storage:\n    azure_storage_account_name: {account}\n    azure_storage_account_key: {{file: \"{{dir}}/key\"}}\n    \
         azure_storage_endpoint: {endpoint}\n    allow_http: \"true\"\n",
        account = azurite.account_name(),
        endpoint = azurite.endpoint(),
    ));
    let in_azure = tokio::task::spawn_blocking(move || run_once(&config)).await.unwrap();
    assert_accounted(&in_azure);
    let local = Workplace::new();
    for (table, text) in own_samples() {
        local.write(&format!("input/{table}.json"), text);
    }
    let config = local.files_to_lake();
    let on_disk = tokio::task::spawn_blocking(move || run_once(&config)).await.unwrap();
    let rows = |summary: &serde_json::Value| {
        let tables = summary["sinks"]["lake"].as_object().unwrap().clone();
        tables.into_iter().map(|(table, totals)| (table, totals["rows"].as_u64())).collect::<Vec<_>>()
    };
    assert_eq!(rows(&in_azure), rows(&on_disk));
    // What was written can be read back.
    let mut lake = weir_sink::lake::config::LakeConfig::at(format!("az://{container}/weir"));
    let storage = [
        ("azure_storage_account_name", azurite.account_name().to_owned()),
        ("azure_storage_endpoint", azurite.endpoint()),
        ("allow_http", "true".to_owned()),
    ];
    for (key, value) in storage {
        lake.storage.insert(key.to_owned(), weir_sink::lake::config::StorageOption::Text(value));
    }
    lake.storage.insert(
        "azure_storage_account_key".to_owned(),
        weir_sink::lake::config::StorageOption::Secret(SecretRef::File(place.path("key"))),
    );
    let counts = crate::support::weir::lake_counts(&lake).await;
    for (table, count) in rows(&in_azure) {
        assert_eq!(counts.get(&table).copied(), count, "{table}");
    }
}
