//! Which objects there are.

use std::io;
use std::path::PathBuf;

use futures::StreamExt as _;
use globset::GlobMatcher;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use weir_contract::memory::MemoryBudget;
use weir_contract::position::SourceName;
use weir_object_storage::Place;

use crate::file::files::{Files, Listed};
use crate::file::fingerprint::hash;
use crate::file::local::is_read;
use crate::file::open::Input;
use crate::objects::config::ObjectsConfig;
use crate::objects::input::ObjectInput;
use crate::source::SourceError;

/// The objects that a config names.
pub(crate) struct Objects {
    pub(crate) name: SourceName,
    pub(crate) config: ObjectsConfig,
    pub(crate) glob: Option<GlobMatcher>,
    pub(crate) place: Place,
    /// Whether what is not there yet may come.
    pub(crate) follows: bool,
    /// That nothing is there was told once.
    pub(crate) told_missing: bool,
    pub(crate) budget: MemoryBudget,
    pub(crate) runtime: Handle,
    pub(crate) stop: CancellationToken,
}

/// What it takes to open an object.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) path: Path,
    /// The store's tag of its content.
    pub(crate) e_tag: Option<String>,
}

impl Files for Objects {
    type At = At;

    fn list(&mut self, visit: &mut dyn FnMut(Listed<At>)) -> Result<(), SourceError> {
        let below = self.config.prefix.as_deref().and_then(|prefix| prefix.rsplit_once('/')).map(|(folder, _)| folder);
        let folder = self.named(below.unwrap_or_default());
        let folder = (!folder.as_ref().is_empty()).then_some(folder);
        let after = self.config.start_after.as_deref().map(|name| self.named(name));
        let mut found = match &after {
            Some(after) => self.place.root.list_with_offset(folder.as_ref(), after),
            None => self.place.root.list(folder.as_ref()),
        };
        loop {
            let next = self.runtime.block_on(async {
                tokio::select! {
                    next = found.next() => next,
                    () = self.stop.cancelled() => None,
                }
            });
            match next {
                None => return Ok(()),
                Some(Ok(object)) => {
                    // Not every store can begin behind a name.
                    let is_behind = after.as_ref().is_none_or(|after| object.location.as_ref() > after.as_ref());
                    if is_behind && self.is_wanted(&object) {
                        visit(listed(object));
                    }
                }
                Some(Err(error)) => {
                    drop(found);
                    return self.failed(error);
                }
            }
        }
    }

    fn open(&self, listed: &Listed<At>) -> io::Result<Box<dyn Input>> {
        Ok(Box::new(ObjectInput::new(self, listed.at.clone(), listed.size)))
    }

    fn look(&self, _path: &str) -> Option<Listed<At>> {
        None
    }

    fn shown(&self, listed: &Listed<At>) -> PathBuf {
        PathBuf::from(format!("{}{}", self.place.url, self.name_below(&listed.at.path)))
    }

    // A renamed object is a copy whose original was deleted; nothing tells that from a second export.
    const CAN_RENAME: bool = false;
}

impl Objects {
    /// The path of what is called `name` below the URL.
    fn named(&self, name: &str) -> Path {
        name.split('/').filter(|part| !part.is_empty()).fold(self.place.prefix.clone(), |path, part| path.join(part))
    }

    fn name_below<'p>(&self, path: &'p Path) -> &'p str {
        let name = path.as_ref().strip_prefix(self.place.prefix.as_ref()).unwrap_or(path.as_ref());
        name.trim_start_matches('/')
    }

    fn is_wanted(&self, object: &ObjectMeta) -> bool {
        let name = self.name_below(&object.location);
        name.split('/').all(is_read)
            && self.config.prefix.as_deref().is_none_or(|prefix| name.starts_with(prefix))
            && self.glob.as_ref().is_none_or(|glob| glob.is_match(name))
    }

    fn failed(&mut self, error: StoreError) -> Result<(), SourceError> {
        let url = &self.place.url;
        let (problem, retryable) = match &error {
            // Exports make their containers with the first record.
            StoreError::NotFound { .. } if self.follows => {
                if !std::mem::replace(&mut self.told_missing, true) {
                    tracing::warn!(source = %self.name, %url, "nothing is there yet; looking again at each interval");
                }
                return Ok(());
            }
            StoreError::NotFound { .. } => {
                (format!("`{url}` does not exist; check the container or bucket and its name in `url`"), false)
            }
            StoreError::PermissionDenied { .. } => {
                let needs = "Storage Blob Data Reader on Azure; s3:ListBucket and s3:GetObject on S3";
                (format!("`{url}` may not be listed; give Weir's identity the right to read it ({needs})"), false)
            }
            StoreError::Unauthenticated { .. } => {
                let check = "check the credentials under `storage`, or the store's environment variables";
                (format!("`{url}` does not know Weir's identity; {check}"), false)
            }
            _ => (format!("`{url}` cannot be listed; check `url`, `storage` and the network"), true),
        };
        Err(SourceError::Service { source_name: self.name.clone(), problem, retryable, source: Some(Box::new(error)) })
    }
}

fn listed(object: ObjectMeta) -> Listed<At> {
    let ObjectMeta { location, last_modified, size, e_tag, .. } = object;
    let tag = e_tag.clone().unwrap_or_else(|| last_modified.to_rfc3339());
    let stamp = hash(format!("{size} {tag}").as_bytes()).max(1);
    Listed {
        path: location.as_ref().to_owned(),
        at: At { path: location, e_tag },
        size,
        stamp,
        changed: Some(last_modified.into()),
    }
}
