//! What the config says about an object source.

use std::collections::BTreeMap;
use std::time::Duration;

use globset::{Glob, GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_contract::units::{ByteSize, Span};
use weir_object_storage::{StorageOption, parse_url};

use crate::decode::table_name_fault;
use crate::file::FileFormat;
use crate::file::config::{
    BAD_LOCAL_TIME, default_chunk_size, default_close_after, default_local_time, default_max_record_size,
    default_remember, is_default_local_time, is_offset, size_faults,
};
use crate::file::files::{LastLine, Reading};

/// A source that reads the objects of a bucket, a container or a folder, and what is added to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectsConfig {
    /// Where the objects are: `az://container/folder`, `abfss://container@account.dfs.core.windows.net/folder`,
    /// `s3://bucket/folder`, `file:///…` or a local path.
    pub url: String,
    /// Options of the object store, by the names that the `object_store` crate gives them, as the lake's are:
    /// `azure_storage_account_name`, `aws_region` and so on. Keys and tokens are given by reference:
    /// `azure_storage_account_key: {env: AZURE_KEY}`. What is not given is taken from the store's usual environment
    /// variables.
    #[serde(default)]
    pub storage: BTreeMap<String, StorageOption>,
    /// Only objects whose names below `url` begin so; asked of the store, so that it lists no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Only objects whose names below `url` match: `*` and `?` within a folder, `**` across folders, `[ab]`, `{a,b}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// Only objects whose names below `url` come behind this one in the order of the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// How the objects are written; `auto` looks at the beginning of each. Gzip and zstd are recognised by content.
    #[serde(default)]
    pub format: FileFormat,
    /// The table of rows that name none themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The pause between two listings (default 30s).
    #[serde(default = "default_poll_interval")]
    pub poll_interval: Span,
    /// A last line that lacks its line end is taken when its object has not changed for so long (default 5m). One that
    /// is a whole JSON value is taken at once.
    #[serde(default = "default_close_after")]
    pub close_after: Span,
    /// Keep in `state.directory` how far each object was read, and go on from there at the next start (default true).
    /// False: read everything each time.
    #[serde(default = "default_remember")]
    pub remember: bool,
    /// Text that is read, decoded and acknowledged together.
    #[serde(default = "default_chunk_size")]
    pub chunk_size: ByteSize,
    /// A larger record is refused: it goes to the dead letters in pieces of this size. At most 256MiB.
    #[serde(default = "default_max_record_size")]
    pub max_record_size: ByteSize,
    /// The zone of the times in CSV columns that are marked `[Local Time]`, as an offset from UTC such as `+02:00`.
    #[serde(default = "default_local_time", skip_serializing_if = "is_default_local_time")]
    pub local_time: String,
}

fn default_poll_interval() -> Span {
    Span(Duration::from_secs(30))
}

impl ObjectsConfig {
    /// The default config for the objects at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            storage: BTreeMap::new(),
            prefix: None,
            glob: None,
            start_after: None,
            format: FileFormat::default(),
            table: None,
            poll_interval: default_poll_interval(),
            close_after: default_close_after(),
            remember: default_remember(),
            chunk_size: default_chunk_size(),
            max_record_size: default_max_record_size(),
            local_time: default_local_time(),
        }
    }

    /// Every value that the source cannot work with, as its key and what is wrong with it. Asks no store.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = size_faults(self.chunk_size, self.max_record_size);
        if let Err(error) = parse_url(&self.url) {
            faults.push(("url", error.to_string()));
        }
        for (key, name) in [("prefix", &self.prefix), ("start_after", &self.start_after)] {
            if name.as_ref().is_some_and(|name| name.is_empty() || name.starts_with('/')) {
                faults.push((key, "is no name below `url`; write it without a slash in front".to_owned()));
            }
        }
        if let Some(Err(error)) = self.parsed_glob() {
            let problem = format!("is no valid glob ({}); escape `[`, `{{` and `*` with `\\`", error.kind());
            faults.push(("glob", problem));
        }
        if self.poll_interval.0.is_zero() {
            faults.push(("poll_interval", "is 0; write a duration such as `30s`".to_owned()));
        }
        if !is_offset(&self.local_time) {
            faults.push(("local_time", BAD_LOCAL_TIME.to_owned()));
        }
        if let Some(text) = self.table.as_deref().and_then(table_name_fault) {
            faults.push(("table", text));
        }
        faults
    }

    /// The glob, compiled; the faults were told before.
    pub(crate) fn matcher(&self) -> Option<GlobMatcher> {
        self.parsed_glob()?.ok().map(|glob| glob.compile_matcher())
    }

    /// How the objects are read; `once`: what is there now only.
    pub(crate) fn reading(&self, once: bool) -> Reading {
        Reading {
            format: self.format,
            table: self.table.clone(),
            chunk_bytes: self.chunk_size.as_usize(),
            max_record_bytes: self.max_record_size.as_usize(),
            local_time: self.local_time.clone(),
            poll_interval: (!once).then_some(self.poll_interval.0),
            // A service may append at any time, also while one look is taken.
            last_line: LastLine::Settled(self.close_after.0),
            remembers: self.remember,
        }
    }

    fn parsed_glob(&self) -> Option<Result<Glob, globset::Error>> {
        self.glob.as_ref().map(|glob| GlobBuilder::new(glob).literal_separator(true).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_work_are_named() {
        let mut config = ObjectsConfig::at("https://account.blob.core.windows.net/c");
        config.prefix = Some("/logs".into());
        config.glob = Some("{a".into());
        config.table = Some("../x".into());
        config.local_time = "CET".into();
        config.chunk_size = ByteSize(1);
        let keys: Vec<_> = config.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["chunk_size", "url", "prefix", "glob", "local_time", "table"]);
        assert_eq!(ObjectsConfig::at("az://c").faults(), []);
    }
}
