//! The log with a thread that commits, for sources that run on tokio.
//!
//! Appends that come while the disk is busy are written and synced together: one sync answers all of them. What is on
//! its way to the thread is bounded by the room that its sender was granted before.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::folder::{DiskFolder, StoredFile as _};
use crate::log::{Log, Read};
use crate::record::stored_size;

/// Bytes that are written before one sync, about: the next ones wait for the sync after.
const SYNC_TOGETHER: u64 = 32 << 20;
/// How long the lock of a process that just ends is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What a buffer is made with.
#[derive(Clone)]
pub struct Options {
    /// The folder; it is made if it is not there.
    pub folder: PathBuf,
    /// Most bytes on the disk.
    pub max_bytes: u64,
    /// Called with the time that each sync took.
    pub on_sync: Arc<dyn Fn(Duration) + Send + Sync>,
}

/// Why the buffer can't be used, or did not take a record.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BufferError {
    /// The folder can't be made, listed or locked.
    #[error(
        "cannot use the folder `{}` for the buffer; check its permissions and its disk, or name another one by `state.directory`",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process has the folder.
    #[error(
        "the buffer in `{}` is in use by another process; stop that one, or give this one another `state.directory`",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The disk did not take what was to be written, or did not give what was to be read.
    #[error("the buffer in `{}` cannot be written or read; free or mend its disk", path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<io::Error>,
    },
    /// There is no room now.
    #[error("the buffer is full: {needed} bytes are needed, {free} of {limit} are free")]
    Full {
        /// Bytes of the records in the log.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// The buffer's limit.
        limit: u64,
    },
    /// There is never room for so much at once.
    #[error("{needed} bytes at once are more than half of the buffer of {limit} bytes; raise `buffer.max_size`")]
    TooLarge {
        /// Bytes of the records in the log.
        needed: u64,
        /// The buffer's limit.
        limit: u64,
    },
    /// The buffer's thread is gone.
    #[error("the buffer's thread has ended unexpectedly; this is a defect, please report it")]
    Closed,
}

/// What a buffer holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Records that are not acknowledged.
    pub records: u64,
    /// When the oldest of them was appended, in microseconds since 1970 UTC.
    pub oldest_us: Option<i64>,
    /// Bytes so far that failed their checksum.
    pub damaged: u64,
}

/// A buffer of one folder. Cloning shares it; the folder is free again when the last clone is dropped.
#[derive(Clone)]
pub struct Buffer {
    shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Request>,
}

/// The word that appended records are durable, when they are.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<u64, BufferError>>);

struct Shared {
    path: PathBuf,
    id: String,
    max_bytes: u64,
    state: Mutex<State>,
    /// The front that was last acknowledged, stored or not.
    front: AtomicU64,
    on_sync: Arc<dyn Fn(Duration) + Send + Sync>,
    /// Told when records became readable.
    filled: Notify,
    /// Told when room was made.
    freed: Notify,
    /// Held by the first of those that wait for room; the others queue for it.
    turn: tokio::sync::Mutex<()>,
    /// Locked as long as it is open.
    _lock: File,
}

struct State {
    log: Log<DiskFolder>,
    /// Bytes that were granted and are not written yet.
    granted: u64,
}

struct Request {
    records: Vec<Bytes>,
    bytes: u64,
    answer: oneshot::Sender<Result<u64, BufferError>>,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl Buffer {
    /// Opens the buffer, or makes one. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`BufferError::InUse`], [`BufferError::Folder`] or [`BufferError::Disk`].
    pub fn open(options: Options) -> Result<Self, BufferError> {
        let path = options.folder;
        let folder_fault = |error: io::Error| BufferError::Folder { path: path.clone(), source: Arc::new(error) };
        std::fs::create_dir_all(&path).map_err(folder_fault)?;
        let lock = lock(&path)?;
        // Of a small buffer, the segment that is being written must not be most of it.
        let segment_bytes = (options.max_bytes / 16).clamp(64 << 10, 64 << 20);
        let log = Log::open(DiskFolder::new(&path), segment_bytes).map_err(folder_fault)?;
        let shared = Arc::new(Shared {
            id: log.id().to_owned(),
            front: AtomicU64::new(log.front()),
            state: Mutex::new(State { log, granted: 0 }),
            max_bytes: options.max_bytes,
            on_sync: options.on_sync,
            filled: Notify::new(),
            freed: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            _lock: lock,
            path,
        });
        let (queue, requests) = mpsc::unbounded_channel();
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("weir-buffer".to_owned())
            .spawn(move || thread.commit_all(requests))
            .map_err(|error| shared.disk(error))?;
        Ok(Self { shared, queue })
    }

    /// The buffer's id: 32 hexadecimal digits, made once.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Hands records over, to be written together, if there is room.
    ///
    /// # Errors
    ///
    /// [`BufferError::Full`], [`BufferError::TooLarge`] or [`BufferError::Closed`]; nothing of them is taken then.
    pub fn try_append(&self, records: Vec<Bytes>) -> Result<Receipt, BufferError> {
        let bytes = records.iter().map(|record| stored_size(record)).sum();
        self.shared.grant(bytes)?;
        let (answer, receipt) = oneshot::channel();
        self.queue.send(Request { records, bytes, answer }).map_err(|_| BufferError::Closed)?;
        Ok(Receipt(receipt))
    }

    /// As [`Buffer::try_append`], but waits for room. Those that wait pass in the order in which they came.
    /// Cancel-safe: a dropped future has taken nothing.
    ///
    /// # Errors
    ///
    /// [`BufferError::TooLarge`] or [`BufferError::Closed`].
    pub async fn append(&self, records: Vec<Bytes>) -> Result<Receipt, BufferError> {
        let _turn = self.shared.turn.lock().await;
        loop {
            let freed = self.shared.freed.notified();
            tokio::pin!(freed);
            // Registered before the look, or room that is made between the two would be missed.
            freed.as_mut().enable();
            match self.try_append(records.clone()) {
                Err(BufferError::Full { .. }) => freed.await,
                other => return other,
            }
        }
    }

    /// Whether nothing at all would be taken now.
    pub fn is_full(&self) -> bool {
        let state = self.shared.state();
        state.log.bytes() + state.granted >= self.shared.max_bytes
    }

    /// Waits until there is something to read; returns how many bytes the next [`Buffer::read`] with `limit` takes: at
    /// least one record, however large.
    ///
    /// # Errors
    ///
    /// [`BufferError::Disk`].
    pub async fn ready(&self, limit: u64) -> Result<u64, BufferError> {
        loop {
            let filled = self.shared.filled.notified();
            tokio::pin!(filled);
            filled.as_mut().enable();
            match self.ready_now(limit)? {
                0 => filled.await,
                bytes => return Ok(bytes),
            }
        }
    }

    /// As [`Buffer::ready`], without waiting; 0 if there is nothing to read.
    ///
    /// # Errors
    ///
    /// [`BufferError::Disk`].
    pub fn ready_now(&self, limit: u64) -> Result<u64, BufferError> {
        self.shared.state().log.ready(limit).map_err(|error| self.shared.disk(error))
    }

    /// Reads on, up to `bytes` bytes of the log. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`BufferError::Disk`].
    pub fn read(&self, bytes: u64) -> Result<Read, BufferError> {
        self.shared.state().log.read(bytes).map_err(|error| self.shared.disk(error))
    }

    /// Takes note that every record before `front` is durable in the sinks. [`Buffer::store_front`] stores it.
    pub fn acknowledge(&self, front: u64) {
        let mut state = self.shared.state();
        state.log.acknowledge(front);
        self.shared.front.store(state.log.front(), Ordering::Release);
    }

    /// The number of the first record that is not acknowledged.
    pub fn front(&self) -> u64 {
        self.shared.front.load(Ordering::Acquire)
    }

    /// Stores the front if it moved, and makes room. Waits for the disk.
    ///
    /// # Errors
    ///
    /// [`BufferError::Disk`]; the front is only kept in memory then, and can be stored later.
    pub fn store_front(&self) -> Result<(), BufferError> {
        let mut state = self.shared.state();
        if !state.log.is_front_to_store() {
            return Ok(());
        }
        let stored = state.log.store_front();
        drop(state);
        self.shared.freed.notify_waiters();
        stored.map_err(|error| self.shared.disk(error))
    }

    /// What the buffer holds now.
    pub fn stats(&self) -> Stats {
        let state = self.shared.state();
        Stats {
            bytes: state.log.bytes(),
            records: state.log.durable().saturating_sub(state.log.front()),
            oldest_us: state.log.oldest_us(),
            damaged: state.log.damaged(),
        }
    }
}

impl Receipt {
    /// Waits until the records are durable; returns the number behind the last of them.
    ///
    /// # Errors
    ///
    /// [`BufferError::Disk`] if they are not: nothing of them is kept. [`BufferError::Closed`].
    pub async fn durable(self) -> Result<u64, BufferError> {
        self.0.await.unwrap_or(Err(BufferError::Closed))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the log is held")
    }

    fn disk(&self, error: io::Error) -> BufferError {
        BufferError::Disk { path: self.path.clone(), source: Arc::new(error) }
    }

    fn grant(&self, needed: u64) -> Result<(), BufferError> {
        let mut state = self.state();
        let limit = self.max_bytes;
        if needed > limit / 2 {
            return Err(BufferError::TooLarge { needed, limit });
        }
        let free = limit.saturating_sub(state.log.bytes() + state.granted);
        if needed > free {
            return Err(BufferError::Full { needed, free, limit });
        }
        state.granted += needed;
        Ok(())
    }

    /// The thread: writes and commits until the last sender is gone.
    fn commit_all(&self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let mut written = Vec::new();
        while let Some(first) = requests.blocking_recv() {
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(request) = next.take() {
                bytes += request.bytes;
                self.write(request, &mut written);
                if bytes < SYNC_TOGETHER {
                    next = requests.try_recv().ok();
                }
            }
            self.commit(&mut written);
        }
    }

    fn write(&self, request: Request, written: &mut Vec<(u64, oneshot::Sender<Result<u64, BufferError>>)>) {
        if self.state().log.is_to_roll(request.bytes) {
            self.commit(written);
        }
        let mut state = self.state();
        let result = state.log.append(&request.records, now_us());
        state.granted -= request.bytes;
        drop(state);
        match result {
            Ok(next) => written.push((next, request.answer)),
            Err(error) => {
                // A receipt that nobody waits for is no matter; the source's own log tells of the refusal.
                let _ = request.answer.send(Err(self.disk(error)));
                self.freed.notify_waiters();
            }
        }
    }

    fn commit(&self, written: &mut Vec<(u64, oneshot::Sender<Result<u64, BufferError>>)>) {
        if written.is_empty() {
            return;
        }
        let sync = self.state().log.begin_sync();
        let started = Instant::now();
        let result = sync.file.sync();
        (self.on_sync)(started.elapsed());
        self.state().log.end_sync(&sync, result.is_ok());
        if result.is_ok() {
            self.filled.notify_waiters();
        }
        let error = result.err().map(|error| self.disk(error));
        for (next, answer) in written.drain(..) {
            let _ = answer.send(error.clone().map_or(Ok(next), Err));
        }
    }
}

/// Takes the folder's lock; it is given back when the file is closed, also by a crash.
fn lock(path: &Path) -> Result<File, BufferError> {
    let fault = |error| BufferError::Folder { path: path.to_owned(), source: Arc::new(error) };
    let file = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(fault)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => return Err(fault(error)),
            Err(std::fs::TryLockError::WouldBlock) if started.elapsed() > LOCK_PATIENCE => {
                return Err(BufferError::InUse { path: path.to_owned() });
            }
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
