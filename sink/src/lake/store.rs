//! The object store that the lake lies in.
//!
//! We build the store ourselves and hand it to deltalake, so that one set of options serves both. Commits rest on
//! "put if absent": a hard link on local disks, `If-None-Match` on S3 and Azure. [`LakeStore::probe`] tries it out.
//!
//! Local files are synced to disk, with their directory, before they count as written; object stores need no such step.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use url::Url;
use uuid::Uuid;
use weir_object_storage::{Place, StorageError};

use crate::lake::config::LakeConfig;
use crate::lake::error::from_store;
use crate::lake::layout;
use crate::sink::SinkError;

/// Objects above this size are uploaded in parts of [`PART_BYTES`]: one request of 128 MiB would pass the client's
/// time limit on a slow line.
const MULTIPART_ABOVE: usize = 16 << 20;
const PART_BYTES: usize = 8 << 20;
const PARTS_IN_FLIGHT: usize = 4;

/// The store and the place of the lake in it.
#[derive(Debug, Clone)]
pub(crate) struct LakeStore {
    /// The store's root: a bucket, a container, or the local file system's `/`.
    root: Arc<dyn ObjectStore>,
    /// The lake's URL, ending in `/`.
    url: Url,
    /// The lake's path below the root.
    prefix: Path,
    local: bool,
}

/// The place of one table.
#[derive(Debug, Clone)]
pub(crate) struct TableStore {
    lake: LakeStore,
    /// The table's directory in the lake.
    pub(crate) directory: String,
    prefix: Path,
}

impl LakeStore {
    /// Builds the store that `config.url` names. Nothing is requested yet.
    pub(crate) fn open(config: &LakeConfig) -> Result<Self, SinkError> {
        // The sink retries on its own; the client only bridges short gaps, or the two would multiply.
        let retry = object_store::RetryConfig {
            max_retries: 2,
            retry_timeout: Duration::from_secs(20),
            ..object_store::RetryConfig::default()
        };
        Place::open(&config.url, &config.storage, retry).map(Self::at).map_err(from_storage)
    }

    /// The lake at `url` in the store `root`, whose paths start where those of `url` do.
    #[cfg(test)]
    pub(crate) fn with_store(root: Arc<dyn ObjectStore>, url: Url) -> Result<Self, SinkError> {
        Place::with_store(root, url).map(Self::at).map_err(from_storage)
    }

    fn at(place: Place) -> Self {
        let Place { root, url, prefix, is_local } = place;
        Self { root, url, prefix, local: is_local }
    }

    /// The place of the table called `table`.
    pub(crate) fn table(&self, table: &str) -> TableStore {
        let directory = layout::directory(table);
        TableStore { prefix: self.prefix.clone().join(directory.as_str()), lake: self.clone(), directory }
    }

    /// Writes an object, makes sure that the store refuses to write it twice, and deletes it.
    ///
    /// On a local disk this makes the lake's directory if need be, and makes that last.
    pub(crate) async fn probe(&self) -> Result<(), SinkError> {
        let path = self.prefix.clone().join(format!(".weir-probe-{}", Uuid::new_v4()));
        let shown = || format!("{}.weir-probe", self.url);
        let create = || PutOptions::from(PutMode::Create);
        let payload = || PutPayload::from_static(b"weir");
        self.root
            .put_opts(&path, payload(), create())
            .await
            .map_err(|error| from_store("write to", self.url.as_str(), error))?;
        let again = self.root.put_opts(&path, payload(), create()).await;
        let deleted = self.root.delete(&path).await;
        match again {
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {}
            Err(error) => return Err(from_store("write to", self.url.as_str(), error)),
            Ok(_) => {
                return Err(SinkError::Refused {
                    operation: "rely on",
                    target: shown(),
                    advice: "the store ignores conditional puts (`If-None-Match`), so two workers could overwrite \
                             each other's commits; use a store that has them"
                        .into(),
                    source: "a second put of the same object was accepted".into(),
                });
            }
        }
        deleted.map_err(|error| from_store("delete in", self.url.as_str(), error))?;
        if self.local {
            self.sync_ancestors().await;
        }
        Ok(())
    }

    /// Brings the entries of the lake's directory and of those above it to the disk, as far as they may be opened: those
    /// that were just made could always be.
    async fn sync_ancestors(&self) {
        let directory = PathBuf::from("/").join(self.prefix.as_ref());
        let synced = tokio::task::spawn_blocking(move || {
            for directory in directory.ancestors() {
                let _ = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
            }
        });
        if let Err(error) = synced.await {
            tracing::warn!(%error, "cannot sync the lake's directory");
        }
    }

    /// The directories below the lake that hold a Delta log, sorted.
    pub(crate) async fn tables(&self) -> Result<Vec<String>, SinkError> {
        let failed = |error| from_store("list", self.url.as_str(), error);
        let listed = match self.root.list_with_delimiter(Some(&self.prefix)).await {
            Ok(listed) => listed,
            Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut tables = Vec::new();
        for directory in listed.common_prefixes {
            let log = directory.clone().join("_delta_log");
            if self.root.list(Some(&log)).try_next().await.map_err(failed)?.is_some()
                && let Some(name) = directory.filename()
            {
                tables.push(name.to_owned());
            }
        }
        tables.sort_unstable();
        Ok(tables)
    }
}

impl TableStore {
    /// The table's URL, ending in `/`, for messages and for the log.
    pub(crate) fn url(&self) -> Url {
        self.lake.url.join(&format!("{}/", self.directory)).expect("a directory name is a valid relative URL")
    }

    /// The table's log.
    pub(crate) fn log(&self) -> LogStoreRef {
        let prefixed = Arc::new(PrefixStore::new(Arc::clone(&self.lake.root), self.prefix.clone()));
        default_logstore(prefixed, Arc::clone(&self.lake.root), &self.url(), &StorageConfig::default())
    }

    /// Whether the table's log has any entry.
    pub(crate) async fn exists(&self) -> Result<bool, SinkError> {
        let log = self.prefix.clone().join("_delta_log");
        match self.lake.root.list(Some(&log)).try_next().await {
            Ok(entry) => Ok(entry.is_some()),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(from_store("list", self.url().as_str(), error)),
        }
    }

    /// Writes the object at `path` below the table; when it returns, a crash of the machine does not lose it.
    ///
    /// Putting the same bytes again at the same path is harmless.
    pub(crate) async fn put(&self, path: &str, bytes: Bytes) -> Result<(), SinkError> {
        let location = self.location(path);
        let failed = |error| from_store("put", &format!("{}{path}", self.url()), error);
        if self.lake.local || bytes.len() <= MULTIPART_ABOVE {
            self.lake.root.put(&location, bytes.into()).await.map_err(failed)?;
        } else {
            self.put_in_parts(&location, bytes).await.map_err(failed)?;
        }
        self.sync(path).await
    }

    /// Removes an object that no log names; a failure leaves it there.
    pub(crate) async fn delete(&self, path: &str) {
        if let Err(error) = self.lake.root.delete(&self.location(path)).await {
            tracing::debug!(path, %error, "cannot remove a file that is not part of the table");
        }
    }

    /// Reads the object at `location` (below the table) whole.
    pub(crate) async fn get(&self, location: &Path) -> Result<Bytes, SinkError> {
        let path = location.parts().fold(self.prefix.clone(), |path, part| path.join(part));
        let failed = |error| from_store("read", &format!("{}{location}", self.url()), error);
        self.lake.root.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Brings the file at `path` and its entry in the directory to the disk; nothing to do for object stores.
    pub(crate) async fn sync(&self, path: &str) -> Result<(), SinkError> {
        if !self.lake.local {
            return Ok(());
        }
        let target = format!("{}{path}", self.url());
        let failed = |error: std::io::Error| {
            from_store("sync", &target, StoreError::Generic { store: "local", source: error.into() })
        };
        let file = PathBuf::from("/").join(self.location(path).as_ref());
        tokio::task::spawn_blocking(move || {
            std::fs::File::open(&file)?.sync_all()?;
            // The table's first files come with new directories, whose entries must last too.
            file.ancestors().skip(1).take(3).try_for_each(|directory| std::fs::File::open(directory)?.sync_all())
        })
        .await
        .map_err(|error| failed(error.into()))?
        .map_err(failed)
    }

    async fn put_in_parts(&self, location: &Path, bytes: Bytes) -> Result<(), StoreError> {
        let mut upload = self.lake.root.put_multipart(location).await?;
        let parts = (0..bytes.len()).step_by(PART_BYTES).map(|start| {
            let end = bytes.len().min(start + PART_BYTES);
            Ok::<_, StoreError>(upload.put_part(bytes.slice(start..end).into()))
        });
        let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
        let sent = futures::stream::iter(parts.into_iter().map(Ok))
            .try_for_each_concurrent(PARTS_IN_FLIGHT, |part| part)
            .await;
        let done = match sent {
            Ok(()) => upload.complete().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // Parts of an upload that was given up cost money until a lifecycle rule removes them.
            let _ = upload.abort().await;
        }
        done
    }

    fn location(&self, path: &str) -> Path {
        path.split('/').fold(self.prefix.clone(), |location, part| location.join(part))
    }
}

fn from_storage(error: StorageError) -> SinkError {
    match error {
        StorageError::Build { url, source } => from_store("open", &url, source),
        error => SinkError::config(format!("lake: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_contract::secret::SecretRef;
    use weir_object_storage::StorageOption;

    #[test]
    fn a_secret_in_plain_text_is_refused_without_printing_it() {
        let mut config = LakeConfig::at("az://container/lake");
        config.storage.insert("azure_storage_account_key".into(), StorageOption::Text("hunter2".into()));
        let error = LakeStore::open(&config).expect_err("a secret").to_string();
        assert!(error.contains("{env: NAME}") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn unknown_keys_and_missing_secrets_are_named() {
        let mut config = LakeConfig::at("s3://bucket/lake");
        config.storage.insert("aws_regoin".into(), StorageOption::Text("x".into()));
        assert!(LakeStore::open(&config).expect_err("unknown").to_string().contains("aws_regoin"));
        let mut config = LakeConfig::at("s3://bucket/lake");
        let secret = SecretRef::Env("WEIR_TEST_NOT_SET".into());
        config.storage.insert("aws_secret_access_key".into(), StorageOption::Secret(secret));
        assert!(LakeStore::open(&config).expect_err("not set").to_string().contains("WEIR_TEST_NOT_SET"));
    }

    #[test]
    fn azure_and_s3_stores_are_built_from_options_alone() {
        let mut config = LakeConfig::at("az://container/lake");
        config.storage.insert("azure_storage_use_emulator".into(), StorageOption::Flag(true));
        let lake = LakeStore::open(&config).expect("a store");
        assert_eq!(lake.prefix.as_ref(), "lake");
        let mut config = LakeConfig::at("s3://bucket/a/b");
        config.storage.insert("aws_region".into(), StorageOption::Text("eu-central-1".into()));
        assert_eq!(LakeStore::open(&config).expect("a store").prefix.as_ref(), "a/b");
    }
}
