//! What the reading of files asks of the place where they lie: folders of this machine, or an object store.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::file::config::FileFormat;
use crate::file::open::Input;
use crate::source::SourceError;

/// A place with files. All its methods may block; they are called by one thread.
pub(crate) trait Files: Send + 'static {
    /// What it takes to open a file.
    type At: Send;

    /// Tells `visit` of every file that is there now, in the order in which they are to be read.
    fn list(&mut self, visit: &mut dyn FnMut(Listed<Self::At>)) -> Result<(), SourceError>;

    /// Opens a file that was listed.
    fn open(&self, listed: &Listed<Self::At>) -> io::Result<Box<dyn Input>>;

    /// What lies at a path now. Asked only where files [can be renamed](Files::CAN_RENAME).
    fn look(&self, path: &str) -> Option<Listed<Self::At>>;

    /// The file as a message names it.
    fn shown(&self, listed: &Listed<Self::At>) -> PathBuf;

    /// Whether a file may come to lie under another path with all that it holds.
    const CAN_RENAME: bool;
}

/// A file, as a listing tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Listed<At> {
    /// What the ledger calls it.
    pub(crate) path: String,
    /// What it takes to open it.
    pub(crate) at: At,
    /// Bytes as stored.
    pub(crate) size: u64,
    /// Differs once the file has changed; 0 where nothing can be told (a pipe): it is read whatever is known.
    pub(crate) stamp: u64,
    /// When it was last written to.
    pub(crate) changed: Option<SystemTime>,
}

/// How files are read; what the configs of all such sources say alike.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) format: FileFormat,
    pub(crate) table: Option<String>,
    pub(crate) chunk_bytes: usize,
    pub(crate) max_record_bytes: usize,
    pub(crate) local_time: String,
    /// The pause between two looks for what is new; none: one look.
    pub(crate) poll_interval: Option<Duration>,
    /// When a last line without an end is taken.
    pub(crate) last_line: LastLine,
    /// Whether a later run reads on, so that the rest of a damaged file is left for when it is mended.
    pub(crate) remembers: bool,
}

/// When a last line without an end is taken. One that is a whole JSON value always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLine {
    /// At once: nothing will follow.
    AtOnce,
    /// When the file has not changed for so long.
    Settled(Duration),
}

impl LastLine {
    /// Whether the last line of a file that was last written to at `changed` is to be taken now.
    pub(crate) fn is_due(self, changed: Option<SystemTime>) -> bool {
        match self {
            Self::AtOnce => true,
            Self::Settled(after) => changed.is_some_and(|at| at.elapsed().is_ok_and(|age| age >= after)),
        }
    }
}
