//! The lake's configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_contract::units::{ByteSize, Span};

pub use weir_object_storage::StorageOption;

use crate::sink::SinkError;

/// Where the lake is, and how its files are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LakeConfig {
    /// The directory that holds the tables: a local path, `file:///…`, `s3://bucket/prefix`, `az://container/prefix`
    /// or `abfss://container@account.dfs.core.windows.net/prefix`.
    pub url: String,
    /// Options of the object store, by the names that the `object_store` crate gives them, such as
    /// `azure_storage_account_name`, `azure_storage_use_emulator`, `aws_region`, `aws_endpoint` or `allow_http`.
    /// Keys and tokens are given by reference: `azure_storage_account_key: {env: AZURE_KEY}`. What is not given is
    /// taken from the store's usual environment variables.
    #[serde(default)]
    pub storage: BTreeMap<String, StorageOption>,
    /// Longest time that a row waits before it is committed (default 30s). Shorter means smaller files.
    #[serde(default = "default_flush_interval")]
    pub flush_interval: Span,
    /// A table's rows are committed early when one of its files reaches this size (default 128MiB).
    #[serde(default = "default_target_file_size")]
    pub target_file_size: ByteSize,
    /// Rows of one Parquet row group (default 262144): what one thread of a reader takes at a time.
    #[serde(default = "default_row_group_rows")]
    pub row_group_rows: u32,
    /// Level of the zstd compression, 1 to 22 (default 1, the fastest).
    #[serde(default = "default_compression_level")]
    pub compression_level: i32,
    /// Most files that are being encoded at one time (default 64). Late events open one file per table and day.
    #[serde(default = "default_max_open_files")]
    pub max_open_files: usize,
    /// Commits of a table from one checkpoint of its log to the next (default 20). Used when a table is created.
    #[serde(default = "default_checkpoint_interval")]
    pub checkpoint_interval: u32,
    /// How writes are tried again.
    #[serde(default)]
    pub retry: RetryConfig,
}

/// How often, and after which pauses, a failed write is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryConfig {
    /// Attempts in all before the sink gives up and the pipeline stops (default 5).
    #[serde(default = "default_max_attempts")]
    pub max_attempts: u32,
    /// The pause after the first failure (default 200ms); it doubles with each further one, and up to half of it is
    /// taken off at random.
    #[serde(default = "default_initial")]
    pub initial: Span,
    /// The longest pause (default 10s).
    #[serde(default = "default_max")]
    pub max: Span,
}

impl LakeConfig {
    /// The defaults, at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            storage: BTreeMap::new(),
            flush_interval: default_flush_interval(),
            target_file_size: default_target_file_size(),
            row_group_rows: default_row_group_rows(),
            compression_level: default_compression_level(),
            max_open_files: default_max_open_files(),
            checkpoint_interval: default_checkpoint_interval(),
            retry: RetryConfig::default(),
        }
    }

    /// Every value that is out of range, as its key (with dots between levels) and what to write instead.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if !(1..=22).contains(&self.compression_level) {
            let text = format!("is {}; write a number from 1 to 22", self.compression_level);
            faults.push(("compression_level", text));
        }
        let at_least_one = [
            ("row_group_rows", u64::from(self.row_group_rows)),
            ("target_file_size", self.target_file_size.0),
            ("max_open_files", self.max_open_files as u64),
            ("checkpoint_interval", u64::from(self.checkpoint_interval)),
            ("retry.max_attempts", u64::from(self.retry.max_attempts)),
        ];
        let zeros = at_least_one.iter().filter(|(_, value)| *value == 0);
        faults.extend(zeros.map(|(key, _)| (*key, "is 0; write 1 or more".to_owned())));
        if self.flush_interval.0.is_zero() {
            faults.push(("flush_interval", "is 0; write a duration such as `30s`".to_owned()));
        }
        faults
    }

    /// The first of [`LakeConfig::faults`], as the error of a sink that cannot be made.
    pub fn validate(&self) -> Result<(), SinkError> {
        match self.faults().into_iter().next() {
            Some((key, text)) => Err(SinkError::config(format!("lake: `{key}` {text}"))),
            None => Ok(()),
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { max_attempts: default_max_attempts(), initial: default_initial(), max: default_max() }
    }
}

fn default_flush_interval() -> Span {
    Span(Duration::from_secs(30))
}
fn default_target_file_size() -> ByteSize {
    ByteSize(128 << 20)
}
fn default_row_group_rows() -> u32 {
    1 << 18
}
fn default_compression_level() -> i32 {
    1
}
fn default_max_open_files() -> usize {
    64
}
fn default_checkpoint_interval() -> u32 {
    20
}
fn default_max_attempts() -> u32 {
    5
}
fn default_initial() -> Span {
    Span(Duration::from_millis(200))
}
fn default_max() -> Span {
    Span(Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_contract::secret::SecretRef;

    #[test]
    fn a_lone_url_is_a_whole_config_and_unknown_keys_are_refused() {
        let config: LakeConfig = serde_json::from_str(r#"{"url": "/data/lake"}"#).expect("a config");
        assert_eq!(config, LakeConfig::at("/data/lake"));
        config.validate().expect("defaults are valid");
        assert!(serde_json::from_str::<LakeConfig>(r#"{"url": "/x", "flush": "1s"}"#).is_err());
    }

    #[test]
    fn storage_options_take_plain_values_and_references() {
        let text = r#"{"url": "az://c/p", "storage": {"allow_http": true, "azure_storage_account_name": "a",
            "azure_storage_account_key": {"env": "KEY"}}}"#;
        let config: LakeConfig = serde_json::from_str(text).expect("a config");
        assert_eq!(config.storage["allow_http"], StorageOption::Flag(true));
        assert_eq!(config.storage["azure_storage_account_key"], StorageOption::Secret(SecretRef::Env("KEY".into())));
    }

    #[test]
    fn values_out_of_range_are_named() {
        let config = LakeConfig { compression_level: 40, ..LakeConfig::at("/x") };
        assert!(config.validate().expect_err("out of range").to_string().contains("`compression_level` is 40"));
        let config = LakeConfig { row_group_rows: 0, ..LakeConfig::at("/x") };
        assert!(config.validate().expect_err("out of range").to_string().contains("row_group_rows"));
    }
}
