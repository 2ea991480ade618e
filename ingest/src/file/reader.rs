//! Reads files on a thread of its own and hands their records over.
//!
//! Each look at the place lists what is there, asks the ledger what is new in it, and reads that. Room for a chunk is
//! reserved before it is read; the permit travels with the batch. What was read but not cut off (the beginning of a
//! record) moves to the next chunk and is counted there.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_contract::ack::AckSender;
use weir_contract::batch::{Framing, RawBatch, RawRecord};
use weir_contract::memory::{MemoryBudget, Permit};
use weir_contract::position::{Offset, OffsetRange, Origin, PartitionId, Repeats, SourceName};

use crate::file::files::{Files, LastLine, Listed, Reading};
use crate::file::fingerprint::{Fingerprint, Recent};
use crate::file::framing::{Cut, Framer, Mark, Step, first_row_end, is_whole_value};
use crate::file::ledger::{FileId, Known, Ledger, Reached};
use crate::file::open::Text;
use crate::file::progress::Progress;
use crate::metrics::IngestMetrics;
use crate::source::SourceError;

/// The longest pause before a place that could not be listed is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What the reading thread needs.
pub(crate) struct Reader<F: Files> {
    pub(crate) name: SourceName,
    pub(crate) reading: Reading,
    pub(crate) files: F,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) budget: MemoryBudget,
    pub(crate) metrics: IngestMetrics,
    pub(crate) progress: Arc<Progress>,
    pub(crate) acks: AckSender,
    pub(crate) out: mpsc::Sender<RawBatch>,
    pub(crate) stop: CancellationToken,
    pub(crate) runtime: Handle,
    /// The number of the next batch.
    pub(crate) next_batch: u64,
    /// Paths that are not opened until their stamp differs from this one: damaged files, and emptied ones.
    pub(crate) set_aside: HashMap<String, u64>,
}

/// Why the reading of a file ended before its end.
enum Ended {
    /// Asked to stop, or nobody takes batches any more.
    Stopped,
    Failed(SourceError),
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<F: Files> Reader<F> {
    /// Reads what is there, and then what comes, until told to stop. A file that cannot be read to its end does not keep
    /// the others from being read; where there is one look only, the first such error is returned at the end.
    pub(crate) fn read(mut self) -> Result<(), SourceError> {
        let mut first_error = None;
        let mut failures = 0;
        loop {
            match self.look(&mut first_error) {
                Ok(()) => failures = 0,
                Err(Ended::Stopped) if self.out.is_closed() && !self.stop.is_cancelled() => {
                    return Err(SourceError::Closed { source_name: self.name });
                }
                Err(Ended::Stopped) => break,
                Err(Ended::Failed(error)) if self.reading.poll_interval.is_some() && error.is_retryable() => {
                    failures += 1;
                    tracing::warn!(
                        source = %self.name,
                        failures,
                        error = &error as &dyn std::error::Error,
                        "cannot list the files; trying again"
                    );
                }
                Err(Ended::Failed(error)) => return Err(error),
            }
            let Some(interval) = self.reading.poll_interval else { break };
            let pause = interval.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE.max(interval));
            if self.wait(pause).is_err() {
                break;
            }
        }
        match self.reading.poll_interval {
            Some(_) => Ok(()),
            None => first_error.map_or(Ok(()), Err),
        }
    }

    /// Lists the files and reads what is new in them.
    fn look(&mut self, first_error: &mut Option<SourceError>) -> Result<(), Ended> {
        let mut due = Vec::new();
        let mut behind = 0;
        let Self { files, ledger, reading, set_aside, progress, .. } = self;
        let listing = files.list(&mut |listed| {
            let ledger = locked(ledger);
            if is_due(&ledger, &listed, reading.last_line, set_aside) {
                behind += unread_bytes(&ledger, &listed);
                progress.expect(listed.size);
                due.push(listed);
            }
        });
        listing.map_err(Ended::Failed)?;
        self.show(behind);
        for listed in due {
            if self.stop.is_cancelled() || self.out.is_closed() {
                return Err(Ended::Stopped);
            }
            behind -= unread_bytes(&locked(&self.ledger), &listed).min(behind);
            match self.read_file(&listed) {
                Ok(()) => {}
                Err(Ended::Stopped) => return Err(Ended::Stopped),
                Err(Ended::Failed(error)) => self.note_failure(&listed, error, first_error),
            }
            self.show(behind);
        }
        Ok(())
    }

    fn note_failure(&mut self, listed: &Listed<F::At>, error: SourceError, first_error: &mut Option<SourceError>) {
        if self.stop.is_cancelled() {
            // What was being requested was given up; it is read at the next start.
            return;
        }
        let is_gone = matches!(&error, SourceError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound);
        if is_gone && self.reading.poll_interval.is_some() {
            tracing::debug!(path = listed.path, "the file went away before it was read");
            return;
        }
        if matches!(error, SourceError::Corrupt { .. }) {
            self.set_aside.insert(listed.path.clone(), listed.stamp);
        }
        self.metrics.files_failed.with_label_values(&[self.name.as_ref()]).inc();
        let path = self.files.shown(listed);
        tracing::error!(path = %path.display(), error = &error as &dyn std::error::Error, "file not read to its end");
        first_error.get_or_insert(error);
    }

    /// Reads what is new in one file.
    fn read_file(&mut self, listed: &Listed<F::At>) -> Result<(), Ended> {
        let Some((id, mut text, recent)) = self.identify(listed)? else { return Ok(()) };
        let known = locked(&self.ledger).get(id).clone();
        let shown = self.files.shown(listed);
        let (chunk, max_record) = (self.reading.chunk_bytes, self.reading.max_record_bytes);
        let mut file = OpenFile {
            id,
            partition: known.partition(),
            position: known.reached.position,
            header: Bytes::new(),
            buffer: Vec::new(),
            recent,
        };
        let is_settled = self.reading.last_line.is_due(listed.changed);
        let end = |ledger: &Mutex<Ledger>, finished| locked(ledger).end(id, listed.stamp, listed.size, finished);
        let mut permit = self.reserve(chunk)?;
        let (mut at_end, mut error) = fill(&mut text, &mut file.buffer, chunk);
        if file.position == 0 && file.buffer.starts_with(BYTE_ORDER_MARK) {
            file.drop_front(BYTE_ORDER_MARK.len());
        }
        if file.buffer.is_empty() && at_end && error.is_none() && file.position > 0 {
            end(&self.ledger, true);
            return Ok(());
        }
        // Whether the end of what is there now is the end of the last record.
        let remembers = self.reading.remembers;
        let takes_last = |text: &Text, error: &Option<io::Error>| match error {
            Some(_) => !remembers,
            None => is_settled || text.is_compressed(),
        };
        let resumed = known.reached.mark.and_then(|mark| Framer::resume(self.reading.format, mark, max_record));
        let is_resumed = resumed.is_some();
        let mut framer = match resumed {
            Some(framer) => framer,
            None => {
                let is_whole = at_end && (takes_last(&text, &error) || is_whole_value(&file.buffer));
                let has_line = file.buffer.contains(&b'\n') || !at_end;
                if !is_whole && !has_line && error.is_none() {
                    // Too little to tell how the file is written.
                    end(&self.ledger, file.buffer.is_empty());
                    return Ok(());
                }
                Framer::new(self.reading.format, &shown, &file.buffer, is_whole, max_record)
            }
        };
        if framer.is_csv() && is_resumed {
            file.header = self.header_of(listed)?;
        } else if framer.is_csv() {
            file.header = loop {
                match first_row_end(&file.buffer) {
                    Some(length) => break self.header(Some(&shown), &file.drop_front(length)),
                    // A file of one line is a header without rows.
                    None if (at_end && takes_last(&text, &error)) || file.buffer.len() >= max_record => {
                        let length = file.buffer.len();
                        break self.header(Some(&shown), &file.drop_front(length));
                    }
                    None if at_end => {
                        return match error {
                            Some(error) => Err(Ended::Failed(text.error(&self.name, &shown, error))),
                            None => {
                                end(&self.ledger, false);
                                Ok(())
                            }
                        };
                    }
                    None => (at_end, error) = fill(&mut text, &mut file.buffer, chunk),
                }
            };
            locked(&self.ledger).pass(id, file.reached(framer.mark()));
        }
        while !(file.buffer.is_empty() && at_end) {
            let is_end = at_end && (takes_last(&text, &error) || (framer.is_lines() && is_whole_value(&file.buffer)));
            match framer.step(&file.buffer, is_end) {
                Step::Cut(cut) => {
                    let left = file.buffer.len() - cut.length;
                    self.hand_over(&mut file, cut, framer.mark(), &mut permit)?;
                    if !at_end && left < chunk {
                        permit = self.reserve(chunk)?;
                        (at_end, error) = fill(&mut text, &mut file.buffer, chunk - left);
                    }
                }
                // The beginning of a record, whose rest may come.
                Step::More if at_end => break,
                Step::More => {
                    // A record larger than a chunk: the buffer grows, at most by one chunk over the limit.
                    permit.resize(file.buffer.len() + chunk);
                    (at_end, error) = fill(&mut text, &mut file.buffer, chunk);
                }
            }
        }
        match error {
            None => end(&self.ledger, file.buffer.is_empty()),
            Some(error) if is_being_written(&text, &error, is_settled) => end(&self.ledger, false),
            Some(error) => return Err(Ended::Failed(text.error(&self.name, &shown, error))),
        }
        Ok(())
    }

    /// Finds out which file lies at a path, and goes to the place in it up to which it was read. `None`: it holds no
    /// text.
    fn identify(&mut self, listed: &Listed<F::At>) -> Result<Option<(FileId, Text, Recent)>, Ended> {
        let here = locked(&self.ledger).at(&listed.path).filter(|_| listed.stamp != 0);
        if let Some(id) = here {
            let known = locked(&self.ledger).get(id).clone();
            if known.reached.position > 0
                && let Some((text, recent)) = self.holds(listed, &known, &self.progress)?
            {
                return Ok(Some((id, text, recent)));
            }
        }
        let mut text = self.open(listed, &self.progress)?;
        if text.head().is_empty() {
            match text.take_error() {
                Some(error) if is_being_written(&text, &error, self.reading.last_line.is_due(listed.changed)) => {}
                Some(error) => return Err(Ended::Failed(text.error(&self.name, &self.files.shown(listed), error))),
                None => drop(self.set_aside.insert(listed.path.clone(), listed.stamp)),
            }
            return Ok(None);
        }
        if F::CAN_RENAME && listed.stamp != 0 {
            let alike = locked(&self.ledger).alike(text.head(), &listed.path);
            for id in alike {
                let known = locked(&self.ledger).get(id).clone();
                // One that cannot be read so far is told of when it is read from its beginning.
                if let Ok(Some((text, recent))) = self.holds(listed, &known, &Arc::default())
                    && !self.is_still_there(&known)
                {
                    tracing::info!(
                        path = listed.path,
                        partition = %known.partition(),
                        "the file was renamed; it is read on"
                    );
                    locked(&self.ledger).move_to(id, &listed.path);
                    return Ok(Some((id, text, recent)));
                }
            }
        }
        if here.is_some_and(|id| locked(&self.ledger).get(id).reached.position > 0) {
            tracing::info!(path = listed.path, "another file lies at the path; it is read from its beginning");
        }
        let id = locked(&self.ledger).admit(&listed.path, Fingerprint::of(text.head()));
        Ok(Some((id, text, Recent::default())))
    }

    /// The text behind what was read of `known`, if it is that file which lies there.
    fn holds(
        &self,
        listed: &Listed<F::At>,
        known: &Known,
        progress: &Arc<Progress>,
    ) -> Result<Option<(Text, Recent)>, Ended> {
        let mut text = self.open(listed, progress)?;
        if !known.fingerprint.fits(text.head()) {
            return Ok(None);
        }
        let skipped = text.skip_to(known.reached.position);
        let skipped =
            skipped.map_err(|error| Ended::Failed(text.error(&self.name, &self.files.shown(listed), error)))?;
        Ok(skipped.filter(|recent| recent.hash() == known.reached.before).map(|recent| (text, recent)))
    }

    /// Whether a file still lies where it was last seen. One that cannot be asked is taken to be there: its copy is then
    /// read as a file of its own, and nothing is lost.
    fn is_still_there(&self, known: &Known) -> bool {
        let Some(listed) = known.path().and_then(|path| self.files.look(path)) else { return false };
        listed.stamp == known.stamp || !matches!(self.holds(&listed, known, &Arc::default()), Ok(None))
    }

    fn open(&self, listed: &Listed<F::At>, progress: &Arc<Progress>) -> Result<Text, Ended> {
        let opened = self.files.open(listed).and_then(|input| Text::open(input, Arc::clone(progress)));
        opened.map_err(|source| {
            let (source_name, path) = (self.name.clone(), self.files.shown(listed));
            Ended::Failed(SourceError::Read { source_name, path, at: 0, source })
        })
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

    /// Waits for the next look, unless told to stop.
    fn wait(&self, pause: Duration) -> Result<(), Ended> {
        let wait = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => Ok(()),
                () = self.stop.cancelled() => Err(Ended::Stopped),
                () = self.out.closed() => Err(Ended::Stopped),
            }
        };
        self.runtime.block_on(wait)
    }

    /// Sends what `cut` names off the front of the file's buffer, with the permit.
    fn hand_over(&mut self, file: &mut OpenFile, cut: Cut, mark: Mark, permit: &mut Permit) -> Result<(), Ended> {
        let start = file.position;
        let front = file.drop_front(cut.length);
        if cut.records.is_empty() {
            locked(&self.ledger).pass(file.id, file.reached(mark));
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
        // What remembers nothing reads its files anew each time, and means to.
        let positions = if self.reading.remembers { Repeats::Same } else { Repeats::Unrelated };
        let batch = self.next_batch;
        self.next_batch += 1;
        // Before it is sent: it may be acknowledged at once.
        locked(&self.ledger).hand_over(file.id, batch, file.reached(mark));
        let batch = RawBatch {
            origin: Arc::new(Origin { source: self.name.clone(), ranges: vec![range], positions }),
            framing: cut.framing,
            default_table: self.reading.table.as_deref().map(Into::into),
            records,
            ack: self.acks.issue(batch),
            permit: held,
        };
        self.out.blocking_send(batch).map_err(|_| Ended::Stopped)
    }

    fn show(&self, behind: u64) {
        let ledger = locked(&self.ledger);
        let (known, finished) = (ledger.known(), ledger.finished());
        let label = &[self.name.as_ref()];
        self.metrics.files_known.with_label_values(label).set(known.cast_signed());
        self.metrics.files_finished.with_label_values(label).set(finished.cast_signed());
        self.metrics.files_open.with_label_values(label).set(known.saturating_sub(finished).cast_signed());
        self.metrics.files_behind.with_label_values(label).set(behind.cast_signed());
    }

    /// The header line of a CSV file that is read on.
    fn header_of(&self, listed: &Listed<F::At>) -> Result<Bytes, Ended> {
        let mut text = self.open(listed, &Arc::default())?;
        let mut buffer = Vec::new();
        loop {
            let (at_end, error) = fill(&mut text, &mut buffer, 16 << 10);
            if let Some(error) = error {
                return Err(Ended::Failed(text.error(&self.name, &self.files.shown(listed), error)));
            }
            let start = if buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            match first_row_end(&buffer[start..]) {
                Some(length) => return Ok(self.header(None, &buffer[start..start + length])),
                None if at_end || buffer.len() >= self.reading.max_record_bytes => {
                    return Ok(self.header(None, &buffer[start..]));
                }
                None => {}
            }
        }
    }

    /// The header line for all pieces; local times get their configured zone. `path` where it is read for the first time.
    fn header(&self, path: Option<&Path>, line: &[u8]) -> Bytes {
        let mut header = String::from_utf8_lossy(line).into_owned();
        if header.contains("[Local Time]") {
            if let Some(path) = path
                && self.reading.local_time == "+00:00"
            {
                tracing::warn!(
                    path = %path.display(),
                    "the file has times in an unnamed local zone, which are read as UTC; set `local_time` to its offset"
                );
            }
            header = header.replace("[Local Time]", &format!("[UTC{}]", self.reading.local_time));
        }
        if !header.ends_with('\n') {
            header.push('\n');
        }
        header.into()
    }
}

struct OpenFile {
    id: FileId,
    partition: PartitionId,
    /// Position of the buffer's front in the file's text.
    position: u64,
    /// The header line of a CSV file.
    header: Bytes,
    buffer: Vec<u8>,
    /// The last bytes before the buffer's front.
    recent: Recent,
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
        self.recent.push(&front);
        front.into()
    }

    /// The buffer's front, as a place to go on from.
    fn reached(&self, mark: Mark) -> Reached {
        Reached { position: self.position, mark: Some(mark), before: self.recent.hash() }
    }
}

/// Whether there may be something new in a file.
fn is_due<At>(ledger: &Ledger, listed: &Listed<At>, last_line: LastLine, set_aside: &HashMap<String, u64>) -> bool {
    if listed.stamp == 0 {
        return true;
    }
    if set_aside.get(&listed.path) == Some(&listed.stamp) {
        return false;
    }
    match ledger.at(&listed.path).map(|id| ledger.get(id)) {
        None => listed.size > 0,
        Some(known) if known.stamp == listed.stamp => !known.finished && last_line.is_due(listed.changed),
        Some(_) => true,
    }
}

/// Bytes of a file, as stored, that were not there when it was last read to its end.
fn unread_bytes<At>(ledger: &Ledger, listed: &Listed<At>) -> u64 {
    let read = ledger.at(&listed.path).map_or(0, |id| ledger.get(id).size);
    listed.size.saturating_sub(read)
}

/// Whether an error only says that an archive is still being written: it ends anywhere then.
fn is_being_written(text: &Text, error: &io::Error, is_settled: bool) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof && text.is_compressed() && !is_settled
}

/// Reads on. An error counts as the end: what came before it is still handed over, then the error is returned.
fn fill(text: &mut Text, buffer: &mut Vec<u8>, wanted: usize) -> (bool, Option<io::Error>) {
    match text.fill(buffer, wanted) {
        Ok(is_end) => (is_end, None),
        Err(error) => (true, Some(error)),
    }
}

fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no panic while the ledger is held")
}
