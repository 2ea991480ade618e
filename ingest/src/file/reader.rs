//! Reads files on a thread of its own and hands their records over.
//!
//! Room for a chunk is reserved before it is read; the permit travels with the batch. What was read but not cut off
//! (the beginning of a record) moves to the next chunk and is counted there.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::ack::AckSender;
use weir_contract::batch::{Framing, RawBatch, RawRecord};
use weir_contract::memory::{MemoryBudget, Permit};
use weir_contract::position::{Offset, OffsetRange, Origin, PartitionId, Repeats, SourceName};

use crate::file::config::FileConfig;
use crate::file::framing::{Cut, Framer, Step, first_row_end};
use crate::file::open::Text;
use crate::file::progress::Progress;
use crate::source::SourceError;

/// What the reading thread needs.
pub(crate) struct Reader {
    pub(crate) name: SourceName,
    pub(crate) config: FileConfig,
    pub(crate) budget: MemoryBudget,
    pub(crate) progress: Arc<Progress>,
    pub(crate) acks: AckSender,
    pub(crate) out: mpsc::Sender<RawBatch>,
    pub(crate) stop: CancellationToken,
    pub(crate) runtime: Handle,
    /// The number of the next batch.
    pub(crate) next_batch: u64,
}

/// Why the reading of a file ended before its end.
enum Ended {
    /// Asked to stop, or nobody takes batches any more.
    Stopped,
    Failed(SourceError),
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Reader {
    /// Reads `files` one after the other. A file that cannot be read to its end does not keep the others from being
    /// read; the first such error is returned at the end.
    pub(crate) fn read(mut self, files: &[std::path::PathBuf]) -> Result<(), SourceError> {
        let mut first_error = None;
        for path in files {
            match self.read_file(path) {
                Ok(()) => {}
                Err(Ended::Stopped) if self.out.is_closed() && !self.stop.is_cancelled() => {
                    return Err(SourceError::Closed { source_name: self.name });
                }
                Err(Ended::Stopped) => break,
                Err(Ended::Failed(error)) => {
                    tracing::error!(path = %path.display(), error = &error as &dyn std::error::Error, "file not read to its end");
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), Ended> {
        let failed = |source| {
            let (source_name, path) = (self.name.clone(), path.to_owned());
            Ended::Failed(SourceError::Read { source_name, path, at: 0, source })
        };
        let mut text = Text::open(path, Arc::clone(&self.progress)).map_err(failed)?;
        let mut file = OpenFile {
            partition: PartitionId(path.to_string_lossy().into()),
            position: 0,
            header: Bytes::new(),
            buffer: Vec::new(),
        };
        let chunk = self.config.chunk_size.as_usize();
        let mut permit = self.reserve(chunk)?;
        let (mut is_end, mut error) = self.fill(&mut text, path, &mut file.buffer, chunk);
        if file.buffer.starts_with(BYTE_ORDER_MARK) {
            file.drop_front(BYTE_ORDER_MARK.len());
        }
        let max_record = self.config.max_record_size.as_usize();
        let mut framer = Framer::new(self.config.format, path, &file.buffer, is_end, max_record);
        if framer.is_csv() {
            file.header = loop {
                match first_row_end(&file.buffer) {
                    Some(end) => break self.header(path, &file.drop_front(end)),
                    // A file of one line is a header without rows.
                    None if is_end || file.buffer.len() >= max_record => {
                        let length = file.buffer.len();
                        break self.header(path, &file.drop_front(length));
                    }
                    None => (is_end, error) = self.fill(&mut text, path, &mut file.buffer, chunk),
                }
            };
        }
        loop {
            if file.buffer.is_empty() && is_end {
                return error.map_or(Ok(()), |error| Err(Ended::Failed(error)));
            }
            match framer.step(&file.buffer, is_end) {
                Step::Cut(cut) => {
                    let left = file.buffer.len() - cut.length;
                    self.hand_over(&mut file, cut, &mut permit)?;
                    if !is_end && left < chunk {
                        permit = self.reserve(chunk)?;
                        (is_end, error) = self.fill(&mut text, path, &mut file.buffer, chunk - left);
                    }
                }
                Step::More => {
                    // A record larger than a chunk: the buffer grows, at most by one chunk over the limit.
                    permit.resize(file.buffer.len() + chunk);
                    (is_end, error) = self.fill(&mut text, path, &mut file.buffer, chunk);
                }
            }
        }
    }

    /// Reads on. An error counts as the end: what came before it is still handed over, then the error is returned.
    fn fill(&self, text: &mut Text, path: &Path, buffer: &mut Vec<u8>, wanted: usize) -> (bool, Option<SourceError>) {
        match text.fill(buffer, wanted) {
            Ok(is_end) => (is_end, None),
            Err(source) => (true, Some(text.error(&self.name, path, source))),
        }
    }

    /// Waits for room, unless told to stop.
    fn reserve(&self, bytes: usize) -> Result<Permit, Ended> {
        if self.stop.is_cancelled() {
            return Err(Ended::Stopped);
        }
        let reserve = async {
            tokio::select! {
                permit = self.budget.reserve(bytes) => Ok(permit),
                () = self.stop.cancelled() => Err(Ended::Stopped),
                () = self.out.closed() => Err(Ended::Stopped),
            }
        };
        self.runtime.block_on(reserve)
    }

    /// Sends what `cut` names off the front of the file's buffer, with the permit.
    fn hand_over(&mut self, file: &mut OpenFile, cut: Cut, permit: &mut Permit) -> Result<(), Ended> {
        let start = file.position;
        let front = file.drop_front(cut.length);
        if cut.records.is_empty() {
            return Ok(());
        }
        let record = |payload: Bytes, offset: u64| RawRecord { payload, partition: 0, offset: Offset(offset) };
        let records: Vec<RawRecord> = match cut.framing {
            Framing::Csv => {
                let payload = [&file.header[..], &front[..]].concat();
                vec![record(payload.into(), start)]
            }
            _ => {
                let slices = cut.records.into_iter();
                slices.map(|range| record(front.slice(range.clone()), start + range.start as u64)).collect()
            }
        };
        let range = OffsetRange {
            partition: file.partition.clone(),
            start: Offset(start),
            next: Offset(file.position),
            delivered: Offset(0),
        };
        // The rest of the buffer is reserved anew with the next chunk.
        let mut held = std::mem::replace(permit, self.budget.charge(0));
        held.resize(front.len());
        let batch = RawBatch {
            origin: Arc::new(Origin { source: self.name.clone(), ranges: vec![range], positions: Repeats::Unrelated }),
            framing: cut.framing,
            default_table: self.config.table.as_deref().map(Into::into),
            records,
            ack: self.acks.issue(self.next_batch),
            permit: held,
        };
        self.next_batch += 1;
        self.out.blocking_send(batch).map_err(|_| Ended::Stopped)
    }

    /// The header line for all pieces; local times get their configured zone.
    fn header(&self, path: &Path, line: &[u8]) -> Bytes {
        let mut header = String::from_utf8_lossy(line).into_owned();
        if header.contains("[Local Time]") {
            if self.config.local_time == "+00:00" {
                tracing::warn!(
                    path = %path.display(),
                    "the file has times in an unnamed local zone, which are read as UTC; set `local_time` to its offset"
                );
            }
            header = header.replace("[Local Time]", &format!("[UTC{}]", self.config.local_time));
        }
        if !header.ends_with('\n') {
            header.push('\n');
        }
        header.into()
    }
}

struct OpenFile {
    partition: PartitionId,
    /// Position of the buffer's front in the file's text.
    position: u64,
    /// The header line of a CSV file.
    header: Bytes,
    buffer: Vec<u8>,
}

impl OpenFile {
    /// Takes `length` bytes off the front. The rest is copied, which is short of a record in the usual case.
    fn drop_front(&mut self, length: usize) -> Bytes {
        self.position += length as u64;
        let rest = self.buffer.split_off(length);
        let mut front = std::mem::replace(&mut self.buffer, rest);
        if front.capacity() > front.len() * 2 {
            front.shrink_to_fit();
        }
        front.into()
    }
}
