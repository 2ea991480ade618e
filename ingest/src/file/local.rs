//! Files of this machine, as the paths of a config name them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use weir_contract::position::SourceName;

use crate::file::config::FileConfig;
use crate::file::files::{Files, Listed};
use crate::file::fingerprint::hash;
use crate::file::open::Input;
use crate::source::SourceError;

/// The files that a config names.
#[derive(Debug)]
pub(crate) struct LocalFiles {
    pub(crate) name: SourceName,
    pub(crate) config: FileConfig,
    /// The files that were found before the start; taken by the first listing.
    pub(crate) found: Option<Vec<PathBuf>>,
    /// Files may come later: a path where nothing lies yet is no fault.
    pub(crate) follows: bool,
}

impl Files for LocalFiles {
    type At = PathBuf;

    fn list(&mut self, visit: &mut dyn FnMut(Listed<PathBuf>)) -> Result<(), SourceError> {
        let found = match self.found.take() {
            Some(found) => found,
            None if self.follows => self.config.present(&self.name)?,
            None => self.config.resolve(&self.name)?,
        };
        for path in found {
            // One that is gone by now is told when it is its turn to be read.
            visit(listed(path));
        }
        Ok(())
    }

    fn open(&self, listed: &Listed<PathBuf>) -> io::Result<Box<dyn Input>> {
        Ok(Box::new(File::open(&listed.at)?))
    }

    fn look(&self, path: &str) -> Option<Listed<PathBuf>> {
        let found = listed(PathBuf::from(path));
        (found.stamp != 0).then_some(found)
    }

    fn shown(&self, listed: &Listed<PathBuf>) -> PathBuf {
        listed.at.clone()
    }

    const CAN_RENAME: bool = true;
}

fn listed(at: PathBuf) -> Listed<PathBuf> {
    // The same file whatever folder the process was started in.
    let path = std::path::absolute(&at).unwrap_or_else(|_| at.clone()).to_string_lossy().into_owned();
    match std::fs::metadata(&at) {
        Ok(metadata) if metadata.is_file() => {
            Listed { path, size: metadata.len(), stamp: stamp(&metadata), changed: metadata.modified().ok(), at }
        }
        _ => Listed { path, at, size: 0, stamp: 0, changed: None },
    }
}

fn stamp(metadata: &Metadata) -> u64 {
    let parts = [
        metadata.len(),
        metadata.mtime().cast_unsigned(),
        metadata.mtime_nsec().cast_unsigned(),
        metadata.ino(),
        metadata.dev(),
    ];
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_be_bytes()).collect();
    hash(&bytes).max(1)
}

/// Whether a file or folder of this name is looked into: hidden ones, Parquet files and Delta logs are no logs.
pub(crate) fn is_read(name: &str) -> bool {
    !(name.starts_with('.') || name == "_delta_log" || name.ends_with(".parquet"))
}

/// The name of a path's last part, as text.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
