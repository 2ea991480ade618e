//! Opens a folder, bucket or container by its URL and options.
//!
//! The lake writes to such a place and sources read from one; both take the same `url` and the same `storage`, so that
//! whoever has configured one knows the other. The options are those of the `object_store` crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, RetryConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;
use weir_contract::secret::SecretRef;

/// The value of a storage option: plain, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StorageOption {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// Plain text; refused for options that hold a secret.
    Text(String),
    /// `{env: NAME}` or `{file: PATH}`.
    Secret(SecretRef),
}

/// A folder in a store.
#[derive(Debug, Clone)]
pub struct Place {
    /// The store's root: a bucket, a container, or the local file system's `/`.
    pub root: Arc<dyn ObjectStore>,
    /// The folder's URL, ending in `/`.
    pub url: Url,
    /// The folder's path below the root.
    pub prefix: Path,
    /// Whether it lies on a disk of this machine.
    pub is_local: bool,
}

/// Why a place cannot be opened. Each begins with the config's key.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The URL names no place that can be opened.
    #[error(
        "`url: {url}` {problem}; write a local path, `file:///…`, `s3://bucket/prefix`, `az://container/prefix` or \
         `abfss://container@account.dfs.core.windows.net/prefix`"
    )]
    Url {
        /// The URL as configured.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The URL holds what may be a secret, so it is not repeated.
    #[error("`url` holds a query or a password; give credentials under `storage`")]
    SecretInUrl,
    /// An option is unknown, out of place or lacks its secret.
    #[error("`storage.{key}` {problem}")]
    Option {
        /// The option's name.
        key: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// The store's client cannot be made of these options.
    #[error("cannot open `{url}`")]
    Build {
        /// The URL.
        url: String,
        /// The cause.
        #[source]
        source: StoreError,
    },
}

impl Place {
    /// Opens the place that `url` names; nothing is requested yet. What `storage` does not give is taken from the
    /// store's usual environment variables. `retry` bridges short gaps within the client.
    ///
    /// # Errors
    ///
    /// [`StorageError`], with what to write instead.
    pub fn open(
        url: &str,
        storage: &BTreeMap<String, StorageOption>,
        retry: RetryConfig,
    ) -> Result<Self, StorageError> {
        let url = parse_url(url)?;
        let options = read_options(storage)?;
        let root: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => match storage.keys().next() {
                Some(key) => return Err(option(key, "has no meaning for a local path; remove it")),
                None => Arc::new(LocalFileSystem::new()),
            },
            "s3" | "s3a" => {
                let mut builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry);
                for (key, value) in options {
                    builder = builder.with_config(key.parse().map_err(|error| unusable(&url, error))?, value);
                }
                Arc::new(builder.build().map_err(|error| unusable(&url, error))?)
            }
            _ => {
                let mut builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str()).with_retry(retry);
                for (key, value) in options {
                    builder = builder.with_config(key.parse().map_err(|error| unusable(&url, error))?, value);
                }
                Arc::new(builder.build().map_err(|error| unusable(&url, error))?)
            }
        };
        Self::with_store(root, url)
    }

    /// The place at `url` in the store `root`, whose paths start where those of `url` do.
    ///
    /// # Errors
    ///
    /// A URL whose path no object can have.
    pub fn with_store(root: Arc<dyn ObjectStore>, url: Url) -> Result<Self, StorageError> {
        let prefix = Path::from_url_path(url.path()).map_err(|error| StorageError::Url {
            url: url.to_string(),
            problem: format!("holds no valid path ({error})"),
        })?;
        let is_local = url.scheme() == "file";
        Ok(Self { root, url, prefix, is_local })
    }
}

/// What the config alone tells to be wrong with `url`.
///
/// # Errors
///
/// [`StorageError::Url`] and [`StorageError::SecretInUrl`].
pub fn parse_url(text: &str) -> Result<Url, StorageError> {
    let bad = |problem: String| StorageError::Url { url: text.to_owned(), problem };
    let mut url = if text.contains("://") {
        Url::parse(text).map_err(|error| bad(format!("is no URL ({error})")))?
    } else {
        let path = std::path::absolute(text).map_err(|error| bad(format!("is no path ({error})")))?;
        Url::from_directory_path(path).map_err(|()| bad("is no path".to_owned()))?
    };
    if url.query().is_some() || url.password().is_some() {
        return Err(StorageError::SecretInUrl);
    }
    if !matches!(url.scheme(), "file" | "s3" | "s3a" | "az" | "azure" | "abfs" | "abfss") {
        return Err(bad(format!("has the unknown scheme `{}`", url.scheme())));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The options as the store takes them, with the secrets read.
fn read_options(storage: &BTreeMap<String, StorageOption>) -> Result<Vec<(String, String)>, StorageError> {
    let mut options = Vec::new();
    for (key, value) in storage {
        let key = key.to_ascii_lowercase();
        let value = match value {
            StorageOption::Flag(flag) => flag.to_string(),
            StorageOption::Number(number) => number.to_string(),
            StorageOption::Text(_) if holds_secret(&key) => {
                let problem = format!("is a secret; write `{key}: {{env: NAME}}` or `{key}: {{file: PATH}}`");
                return Err(option(&key, &problem));
            }
            StorageOption::Text(text) => text.clone(),
            StorageOption::Secret(secret) => match secret.read() {
                Ok(value) => value.expose().to_owned(),
                Err(error) => return Err(option(&key, &format!("names a secret that is not there: {error}"))),
            },
        };
        options.push((key, value));
    }
    Ok(options)
}

fn holds_secret(key: &str) -> bool {
    let secret = ["secret", "token", "sas", "password", "account_key", "access_key", "master_key", "key_base64"];
    secret.iter().any(|word| key.contains(word)) && !key.ends_with("_id") && !key.ends_with("_file")
}

fn option(key: &str, problem: &str) -> StorageError {
    StorageError::Option { key: key.to_owned(), problem: problem.to_owned() }
}

fn unusable(url: &Url, error: StoreError) -> StorageError {
    match error {
        StoreError::UnknownConfigurationKey { key, .. } => {
            option(&key, "is a key that this store does not know; remove or correct it")
        }
        source => StorageError::Build { url: url.to_string(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_become_folders() {
        assert_eq!(parse_url("/data/my lake").expect("a path").as_str(), "file:///data/my%20lake/");
        assert_eq!(parse_url("s3://b/p").expect("a URL").as_str(), "s3://b/p/");
        assert!(parse_url("relative/lake").expect("a path").as_str().ends_with("/relative/lake/"));
        assert!(parse_url("https://a.blob.core.windows.net/c").is_err());
        let error = parse_url("az://c/p?sig=hunter2").expect_err("a secret").to_string();
        assert!(error.contains("`storage`") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn options_are_checked_without_printing_a_secret() {
        let open = |url: &str, key: &str, value: StorageOption| {
            let storage = BTreeMap::from([(key.to_owned(), value)]);
            Place::open(url, &storage, RetryConfig::default()).expect_err("refused").to_string()
        };
        let text = |text: &str| StorageOption::Text(text.to_owned());
        let error = open("az://c/p", "azure_storage_account_key", text("hunter2"));
        assert!(error.contains("{env: NAME}") && !error.contains("hunter2"), "{error}");
        assert!(open("s3://b/p", "aws_regoin", text("x")).contains("`storage.aws_regoin` is a key that"));
        assert!(open("/data", "aws_region", text("x")).contains("no meaning for a local path"));
        let unset = StorageOption::Secret(SecretRef::Env("WEIR_TEST_NOT_SET".into()));
        assert!(open("s3://b/p", "aws_secret_access_key", unset).contains("WEIR_TEST_NOT_SET"));
    }
}
