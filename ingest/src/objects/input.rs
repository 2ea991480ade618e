//! The bytes of one object, by ranges.
//!
//! Each range is a request of its own: a reader that has to wait holds no connection open. A range of plain text is as
//! long as the chunk that it is read into, and is gone when that is full; while both are there it is charged to the
//! budget. Of archives, and of what is only looked at, short ranges are read.
//!
//! Ranges are asked of the content whose tag the listing told. When that changed, an append blob has grown: the bytes
//! that were read last must still stand where they did, then reading goes on.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use object_store::{Error as StoreError, GetOptions, ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use weir_contract::memory::{MemoryBudget, Permit};

use crate::file::open::Input;
use crate::objects::listing::{At, Objects};

/// The first range of an object: its head, and the whole of a small one.
const FIRST_RANGE: usize = 64 << 10;
/// Any other range of which the reader did not say how much it wants.
const RANGE: usize = 256 << 10;
/// Attempts to read one range, those of the client aside.
const MAX_ATTEMPTS: u32 = 6;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Bytes read last that are looked at again when the object changed.
const OVERLAP: usize = 256;

/// An object that is being read.
pub(crate) struct ObjectInput {
    store: Arc<dyn ObjectStore>,
    object: At,
    /// Where the listing saw its end; what is behind it is for the next look.
    size: u64,
    /// The next byte to be requested.
    at: u64,
    /// What was requested and not read yet.
    piece: Bytes,
    /// The last bytes before `at`.
    last: Bytes,
    /// Bytes that the reader will ask for.
    expected: usize,
    is_first: bool,
    permit: Permit,
    budget: MemoryBudget,
    runtime: Handle,
    stop: CancellationToken,
}

/// Why a range cannot be read.
#[derive(Debug, thiserror::Error)]
enum RangeError {
    #[error("the object store failed")]
    Store(#[source] StoreError),
    #[error("the object was replaced while it was read; it is looked at again")]
    Replaced,
    #[error("stopped")]
    Stopped,
}

impl ObjectInput {
    pub(crate) fn new(objects: &Objects, object: At, size: u64) -> Self {
        Self {
            store: Arc::clone(&objects.place.root),
            object,
            size,
            at: 0,
            piece: Bytes::new(),
            last: Bytes::new(),
            expected: 0,
            is_first: true,
            permit: objects.budget.charge(0),
            budget: objects.budget.clone(),
            runtime: objects.runtime.clone(),
            stop: objects.stop.clone(),
        }
    }

    /// Requests the next range.
    fn fetch(&mut self) -> Result<(), RangeError> {
        let usual = if std::mem::take(&mut self.is_first) { FIRST_RANGE } else { RANGE };
        let length = self.expected.max(usual) as u64;
        let range = self.at..self.size.min(self.at + length);
        self.permit = self.budget.charge((range.end - range.start) as usize);
        let runtime = self.runtime.clone();
        let stop = self.stop.clone();
        let piece = runtime.block_on(async {
            tokio::select! {
                piece = self.fetch_patiently(range) => piece,
                () = stop.cancelled() => Err(RangeError::Stopped),
            }
        })?;
        self.at += piece.len() as u64;
        self.last = piece.slice(piece.len().saturating_sub(OVERLAP)..);
        // A copy: a slice would keep the whole piece.
        self.last = Bytes::copy_from_slice(&self.last);
        self.piece = piece;
        Ok(())
    }

    async fn fetch_patiently(&mut self, range: Range<u64>) -> Result<Bytes, RangeError> {
        let mut attempt = 1;
        loop {
            let error = match self.get(range.clone()).await {
                Ok(piece) if piece.is_empty() => return Err(RangeError::Replaced),
                Ok(piece) => return Ok(piece),
                Err(StoreError::Precondition { .. }) if attempt < MAX_ATTEMPTS => {
                    attempt += 1;
                    self.adopt_growth().await?;
                    continue;
                }
                Err(error) => error,
            };
            if attempt >= MAX_ATTEMPTS || !is_passing(&error) {
                return Err(RangeError::Store(error));
            }
            tracing::debug!(object = %self.object.path, attempt, %error, "a range could not be read; trying again");
            tokio::time::sleep(FIRST_PAUSE * (1 << (attempt - 1))).await;
            attempt += 1;
        }
    }

    async fn get(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let options = GetOptions::new().with_range(Some(range)).with_if_match(self.object.e_tag.clone());
        self.store.get_opts(&self.object.path, options).await?.bytes().await
    }

    /// Goes on with the object as it is now, if it has only grown.
    async fn adopt_growth(&mut self) -> Result<(), RangeError> {
        let now = self.store.head(&self.object.path).await.map_err(RangeError::Store)?;
        if now.size < self.size {
            return Err(RangeError::Replaced);
        }
        self.object.e_tag = now.e_tag;
        if self.last.is_empty() {
            return Ok(());
        }
        match self.get(self.at - self.last.len() as u64..self.at).await {
            Ok(found) if found == self.last => Ok(()),
            Ok(_) => Err(RangeError::Replaced),
            // It changed once more; the next attempt is told so too.
            Err(StoreError::Precondition { .. }) => Ok(()),
            Err(error) => Err(RangeError::Store(error)),
        }
    }
}

impl Read for ObjectInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.piece.is_empty() {
            if self.at >= self.size {
                return Ok(0);
            }
            self.fetch().map_err(io::Error::from)?;
        }
        let read = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        self.expected = self.expected.saturating_sub(read);
        if self.piece.is_empty() {
            self.piece = Bytes::new();
            self.permit.resize(0);
        }
        Ok(read)
    }
}

impl Input for ObjectInput {
    fn go_to(&mut self, position: u64) -> io::Result<()> {
        let start = self.at - self.piece.len() as u64;
        if (start..=self.at).contains(&position) {
            self.piece.advance((position - start) as usize);
        } else {
            (self.at, self.piece, self.last) = (position, Bytes::new(), Bytes::new());
            self.permit.resize(0);
        }
        Ok(())
    }

    fn expect(&mut self, bytes: usize) {
        self.expected = bytes;
    }
}

/// Whether the same request may succeed later.
fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Generic { .. } | StoreError::JoinError { .. })
}

impl From<RangeError> for io::Error {
    fn from(error: RangeError) -> Self {
        // Kinds that no decompressor uses for damage: a store that fails says nothing of the object.
        let kind = match &error {
            RangeError::Store(StoreError::NotFound { .. }) => io::ErrorKind::NotFound,
            RangeError::Store(StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }) => {
                io::ErrorKind::PermissionDenied
            }
            _ => io::ErrorKind::ConnectionAborted,
        };
        io::Error::new(kind, error)
    }
}
