//! The rules of the log: what is appended, made durable, read and given up. Nothing here waits for anybody.
//!
//! Writing has two steps, so that readers need not wait for the disk: [`Log::append`] writes, then the caller syncs
//! what [`Log::begin_sync`] gives it, and tells [`Log::end_sync`] how that went. Only then are the records readable.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::folder::{Folder, StoredFile as _};
use crate::front;
use crate::record::{HEADER, Header, MAX_PAYLOAD, Record, stored_size};
use crate::segment::{Found, Segment, base_of, check_at, header_at, name_of, next_whole, recover};

/// Small records are written together, up to this many bytes.
const WRITE_TOGETHER: usize = 256 << 10;
/// Appended times are remembered this far apart, in microseconds, to tell the age of the oldest record.
const TIMES_APART_US: i64 = 1_000_000;
/// Most remembered times; above it, every second one is forgotten.
const MAX_TIMES: usize = 10_000;

/// The log of one folder.
#[derive(Debug)]
pub struct Log<F: Folder> {
    folder: F,
    id: String,
    /// A segment that would grow beyond this many bytes is followed by a new one.
    segment_bytes: u64,
    /// In order; never empty.
    segments: VecDeque<Segment<F::File>>,
    /// The number of the next record.
    next: u64,
    /// The number behind the last record that was written.
    written: u64,
    /// Every record before it is readable, or was taken back.
    durable: u64,
    cursor: Cursor,
    /// Every record before it is acknowledged.
    front: u64,
    stored_front: u64,
    must_roll: bool,
    /// `(sequence, microseconds)` of some records, in order.
    times: VecDeque<(u64, i64)>,
    damaged: u64,
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    base: u64,
    at: u64,
    /// The least number that the next record may have.
    next: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Bytes that failed their checksum and were passed over; they are kept in a file of their own.
    pub damaged: u64,
}

/// What is to be synced, outside of any lock.
#[derive(Debug)]
pub struct Sync<S> {
    /// The file to sync.
    pub file: Arc<S>,
    base: u64,
    end: u64,
    next: u64,
}

impl<F: Folder> Log<F> {
    /// Opens the log in `folder`, or makes one. A record that was cut off by a crash is cut away.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn open(folder: F, segment_bytes: u64) -> io::Result<Self> {
        let id = front::id(&folder)?;
        let stored = front::load(&folder)?;
        let mut bases: Vec<u64> = folder.names()?.iter().filter_map(|name| base_of(name)).collect();
        bases.sort_unstable();
        let mut segments = VecDeque::new();
        for base in &bases {
            let file = Arc::new(folder.open(&name_of(*base))?);
            let length = file.len()?;
            segments.push_back(Segment { base: *base, file, end: length, durable: length });
        }
        let front = stored.unwrap_or(0).max(bases.first().copied().unwrap_or(0));
        let mut next = front;
        if let Some(last) = segments.back_mut() {
            let (end, behind) = recover(&*last.file, last.end, last.base)?;
            if end < last.end {
                tracing::warn!(
                    bytes = last.end - end,
                    "the end of the buffer was cut off by a crash; it is taken away"
                );
                last.file.set_len(end)?;
            }
            (last.end, last.durable) = (end, end);
            next = next.max(behind);
            // What a crash of the process alone has left in the system's memory must be durable before it is read: else
            // a second crash could give its numbers to other records.
            last.file.sync()?;
            folder.sync()?;
        }
        let mut log = Self {
            folder,
            id,
            segment_bytes,
            segments,
            next,
            written: next,
            durable: next,
            cursor: Cursor { base: 0, at: 0, next: front },
            front,
            stored_front: stored.unwrap_or(0),
            must_roll: false,
            times: VecDeque::new(),
            damaged: 0,
        };
        if log.segments.is_empty() {
            log.add_segment()?;
        }
        log.drop_acknowledged()?;
        log.find_front()?;
        Ok(log)
    }

    /// Random, made with the log.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number behind the last durable record.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Every record before it is acknowledged.
    pub fn front(&self) -> u64 {
        self.front
    }

    /// Bytes that the segments take up.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end).sum()
    }

    /// Bytes so far that failed their checksum.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// When the oldest record that is not acknowledged was appended, in microseconds since 1970 UTC, a second early at
    /// most; `None` if all are acknowledged.
    pub fn oldest_us(&self) -> Option<i64> {
        let known = self.times.iter().take_while(|(sequence, _)| *sequence <= self.front).last();
        (self.front < self.durable).then(|| known.or(self.times.front()).map(|(_, time)| *time)).flatten()
    }

    /// Whether `bytes` more begin a new segment; what was appended before must be durable by then.
    pub fn is_to_roll(&self, bytes: u64) -> bool {
        let last = self.last();
        self.must_roll || (last.end > 0 && last.end + bytes > self.segment_bytes)
    }

    /// Writes records, all in one segment. They are neither durable nor readable yet.
    ///
    /// # Errors
    ///
    /// What the file system says; nothing of them is kept then. Their numbers are not used again.
    pub fn append(&mut self, payloads: &[Bytes], now_us: i64) -> io::Result<u64> {
        if payloads.iter().any(|payload| payload.len() > MAX_PAYLOAD) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the record is too large for a buffer"));
        }
        if self.is_to_roll(payloads.iter().map(|payload| stored_size(payload)).sum()) {
            self.add_segment()?;
        }
        let first = self.next;
        self.next += payloads.len() as u64;
        match self.write(payloads, first, now_us) {
            Ok(end) => {
                self.last_mut().end = end;
                self.written = self.next;
                self.remember_time(first, now_us);
                Ok(self.next)
            }
            Err(error) => {
                self.take_back(self.last().end);
                Err(error)
            }
        }
    }

    fn write(&self, payloads: &[Bytes], first: u64, now_us: i64) -> io::Result<u64> {
        let last = self.last();
        let mut at = last.end;
        let mut together = Vec::new();
        for (sequence, payload) in (first..).zip(payloads) {
            together.extend_from_slice(&Header::of(payload, sequence, now_us).to_bytes());
            let is_large = payload.len() >= WRITE_TOGETHER;
            if !is_large {
                together.extend_from_slice(payload);
            }
            if is_large || together.len() >= WRITE_TOGETHER {
                last.file.write_at(&together, at)?;
                at += together.len() as u64;
                together.clear();
            }
            if is_large {
                last.file.write_at(payload, at)?;
                at += payload.len() as u64;
            }
        }
        last.file.write_at(&together, at)?;
        Ok(at + together.len() as u64)
    }

    /// What is to be synced to make everything appended so far durable.
    pub fn begin_sync(&self) -> Sync<F::File> {
        let last = self.last();
        Sync { file: Arc::clone(&last.file), base: last.base, end: last.end, next: self.written }
    }

    /// Takes note that a sync succeeded, or failed; then everything that was not durable before is taken back.
    pub fn end_sync(&mut self, sync: &Sync<F::File>, succeeded: bool) {
        if succeeded {
            if let Some(segment) = self.segments.iter_mut().rev().find(|segment| segment.base == sync.base) {
                segment.durable = segment.durable.max(sync.end);
            }
            self.durable = self.durable.max(sync.next);
        } else {
            self.take_back(self.last().durable);
            // What the system holds of this file after a failure is not to be trusted: no more is written to it.
            self.must_roll = true;
        }
    }

    /// Bytes of the next read with `limit`: at least one record, however large; 0 if nothing is there to read.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn ready(&mut self, limit: u64) -> io::Result<u64> {
        let Some((file, end)) = self.readable() else { return Ok(0) };
        let left = end - self.cursor.at;
        if left <= limit {
            return Ok(left);
        }
        Ok(match header_at(&*file, self.cursor.at, end)? {
            Found::Record(header) => header.size().max(limit),
            Found::End | Found::Damage => limit,
        })
    }

    /// Reads durable records behind those that were read before, no more than `bytes` of them, as they stand in the log.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn read(&mut self, bytes: u64) -> io::Result<Read> {
        let mut read = Read::default();
        let Some((file, end)) = self.readable() else { return Ok(read) };
        let wanted = usize::try_from(bytes.min(end - self.cursor.at)).map_err(io::Error::other)?;
        let mut chunk = vec![0; wanted];
        let length = file.read_at(&mut chunk, self.cursor.at)?;
        chunk.truncate(length);
        let chunk = Bytes::from(chunk);
        let mut at = 0;
        while let Some(header) = chunk[at..].first_chunk::<HEADER>() {
            let whole = Header::parse(header).filter(|header| header.sequence >= self.cursor.next);
            let Some(header) = whole.filter(|header| header.size() <= end - self.cursor.at) else { break };
            let (start, stop) = (at + HEADER, at + HEADER + header.length as usize);
            if stop > chunk.len() {
                // Cut by the limit, not by damage; the next read begins with it.
                if at > 0 || length < wanted {
                    return Ok(read);
                }
                break;
            }
            if crc32fast::hash(&chunk[start..stop]) != header.payload_crc {
                break;
            }
            let payload = chunk.slice(start..stop);
            read.records.push(Record { sequence: header.sequence, appended_us: header.appended_us, payload });
            self.cursor.at += header.size();
            self.cursor.next = header.sequence + 1;
            at = stop;
        }
        // A header that is cut by the limit is no damage either.
        if read.records.is_empty() && self.cursor.at < end {
            let is_whole = check_at(&*file, self.cursor.at, end, self.cursor.next)?;
            if is_whole == Found::Damage {
                read.damaged = self.skip_damage(&file, end)?;
            }
        }
        Ok(read)
    }

    /// Takes note that every record before `front` is durable in the sinks. Not stored yet.
    pub fn acknowledge(&mut self, front: u64) {
        self.front = self.front.max(front.min(self.durable));
        while self.times.get(1).is_some_and(|(sequence, _)| *sequence <= self.front) {
            self.times.pop_front();
        }
    }

    /// Whether the front moved since it was stored.
    pub fn is_front_to_store(&self) -> bool {
        self.front > self.stored_front
    }

    /// Stores the front, and deletes the segments before it.
    ///
    /// # Errors
    ///
    /// What the file system says. Segments are deleted even if the front can't be stored: on a full disk, that is what
    /// makes room for it, and the first segment's name tells a front too.
    pub fn store_front(&mut self) -> io::Result<()> {
        let stored = front::store(&self.folder, self.front);
        if stored.is_ok() {
            self.stored_front = self.front;
        }
        self.drop_acknowledged().and(stored)
    }

    /// The segment of the cursor and its readable end, if there is something to read.
    fn readable(&mut self) -> Option<(Arc<F::File>, u64)> {
        loop {
            let index = self.segments.iter().position(|segment| segment.base >= self.cursor.base)?;
            let segment = &self.segments[index];
            if segment.base > self.cursor.base {
                // The segment was deleted: all of it was acknowledged.
                self.cursor = Cursor { base: segment.base, at: 0, next: self.cursor.next.max(segment.base) };
            }
            if self.cursor.at < segment.durable {
                return Some((Arc::clone(&segment.file), segment.durable));
            }
            let following = self.segments.get(index + 1)?;
            self.cursor = Cursor { base: following.base, at: 0, next: self.cursor.next.max(following.base) };
        }
    }

    /// Moves the cursor behind damaged bytes, and keeps these in a file of their own.
    fn skip_damage(&mut self, file: &F::File, end: u64) -> io::Result<u64> {
        let from = self.cursor.at;
        let to = next_whole(file, from + 1, end, self.cursor.next)?.unwrap_or(end);
        let name = format!("damaged-{:020}-{from}", self.cursor.base);
        let kept = self.keep(file, from..to, &name);
        tracing::error!(
            bytes = to - from,
            file = name,
            kept = kept.is_ok(),
            "the buffer is damaged: bytes on the disk are not those that were written; they are passed over, check the disk"
        );
        self.cursor.at = to;
        self.damaged += to - from;
        Ok(to - from)
    }

    fn keep(&self, file: &F::File, range: std::ops::Range<u64>, name: &str) -> io::Result<()> {
        let out = self.folder.create(name)?;
        let mut window = vec![0; WRITE_TOGETHER];
        let mut at = range.start;
        while at < range.end {
            let wanted = usize::try_from(range.end - at).map_or(window.len(), |left| left.min(window.len()));
            let read = file.read_at(&mut window[..wanted], at)?;
            if read == 0 {
                break;
            }
            out.write_at(&window[..read], at - range.start)?;
            at += read as u64;
        }
        out.sync()?;
        self.folder.sync()
    }

    /// Puts the cursor at the first record that is not acknowledged.
    fn find_front(&mut self) -> io::Result<()> {
        let first = self.segments.front().expect("a log has a segment");
        let (file, end) = (Arc::clone(&first.file), first.durable);
        let mut at = 0;
        while let Found::Record(header) = header_at(&*file, at, end)? {
            if header.sequence >= self.front {
                break;
            }
            at += header.size();
        }
        self.cursor = Cursor { base: first.base, at, next: self.front };
        for index in 0..self.segments.len() {
            let segment = &self.segments[index];
            let at = if index == 0 { at } else { 0 };
            if let Found::Record(header) = header_at(&*segment.file, at, segment.durable)? {
                self.times.push_back((header.sequence, header.appended_us));
            }
        }
        Ok(())
    }

    fn add_segment(&mut self) -> io::Result<()> {
        // If this fails half way, there may be a file that claims the next number: it must not go to the segment before.
        self.must_roll = true;
        let file = Arc::new(self.folder.create(&name_of(self.next))?);
        file.sync()?;
        self.folder.sync()?;
        if self.segments.back().is_some_and(|last| last.base == self.next) {
            // It held no record, and its file was just made anew under the same name.
            self.segments.pop_back();
        }
        self.segments.push_back(Segment { base: self.next, file, end: 0, durable: 0 });
        self.must_roll = false;
        Ok(())
    }

    /// Deletes segments whose records are all acknowledged; the last one stays, it tells the next number.
    fn drop_acknowledged(&mut self) -> io::Result<()> {
        let mut dropped = false;
        while self.segments.get(1).is_some_and(|following| following.base <= self.front) {
            let first = self.segments.front().expect("there are two");
            self.folder.remove(&name_of(first.base))?;
            self.segments.pop_front();
            dropped = true;
        }
        if dropped { self.folder.sync() } else { Ok(()) }
    }

    /// Cuts the last segment back to `end`.
    fn take_back(&mut self, end: u64) {
        let last = self.last_mut();
        last.end = end;
        // Where it can't be cut, nothing may be written behind what is left over.
        if last.file.set_len(end).is_err() {
            self.must_roll = true;
        }
    }

    fn remember_time(&mut self, sequence: u64, now_us: i64) {
        if self.times.back().is_some_and(|(_, time)| now_us - time < TIMES_APART_US) {
            return;
        }
        if self.times.len() >= MAX_TIMES {
            let mut index = 0;
            self.times.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.times.push_back((sequence, now_us));
    }

    fn last(&self) -> &Segment<F::File> {
        self.segments.back().expect("a log has a segment")
    }

    fn last_mut(&mut self) -> &mut Segment<F::File> {
        self.segments.back_mut().expect("a log has a segment")
    }
}
