//! Random appends, syncs, reads, acknowledgements, full disks and crashes at any byte, against a simple model.
//!
//! The file system of the test keeps what is durable apart from what is only written. A crash takes the second away,
//! in parts: a prefix of the unsynced bytes of a file may have reached the disk, the last of them damaged; files that
//! were made, renamed or deleted since the last sync of the folder may be so or not.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use weir_buffer::folder::{Folder, StoredFile};
use weir_buffer::log::Log;

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

type Shared = Arc<Mutex<Content>>;

#[derive(Debug, Default)]
struct Disk {
    now: BTreeMap<String, Shared>,
    durable: BTreeMap<String, Shared>,
    /// Bytes and operations that still work; then the machine is off.
    left: usize,
    /// Bytes that still fit on the disk.
    free: usize,
    /// Whether syncs fail.
    broken: bool,
}

#[derive(Debug, Clone)]
struct Memory(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct MemoryFile {
    disk: Arc<Mutex<Disk>>,
    content: Shared,
}

fn off() -> io::Error {
    io::Error::other("the machine is off")
}

impl Disk {
    fn step(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(off)?;
        Ok(())
    }
}

impl Folder for Memory {
    type File = MemoryFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().now.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut disk = self.0.lock().unwrap();
        disk.step()?;
        if disk.free == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let content = Shared::default();
        disk.now.insert(name.to_owned(), Arc::clone(&content));
        Ok(MemoryFile { disk: Arc::clone(&self.0), content })
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let disk = self.0.lock().unwrap();
        let content = disk.now.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(MemoryFile { disk: Arc::clone(&self.0), content })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.step()?;
        let content = disk.now.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.now.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.step()?;
        disk.now.remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.step()?;
        disk.durable = disk.now.clone();
        Ok(())
    }
}

impl StoredFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().now.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let content = self.content.lock().unwrap();
        let from = content.now.get(at as usize..).unwrap_or_default();
        let count = from.len().min(out.len());
        out[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        let mut content = self.content.lock().unwrap();
        let at = at as usize;
        let written = bytes.len().min(disk.left).min(disk.free);
        if content.now.len() < at + written {
            content.now.resize(at + written, 0);
        }
        content.now[at..at + written].copy_from_slice(&bytes[..written]);
        disk.left -= written;
        disk.free -= written;
        match written == bytes.len() {
            true => Ok(()),
            false if disk.left == 0 => Err(off()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.lock().unwrap().step()?;
        self.content.lock().unwrap().now.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        disk.step()?;
        if disk.broken {
            return Err(io::ErrorKind::Other.into());
        }
        let mut content = self.content.lock().unwrap();
        content.durable = content.now.clone();
        Ok(())
    }
}

impl Memory {
    /// What a machine finds on its disk after it went off. `seed` decides on what is not durable.
    fn after_crash(&self, seed: u64) -> Self {
        let disk = self.0.lock().unwrap();
        let mut random = seed;
        let mut roll = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below.max(1)
        };
        let names = if roll(2) == 0 { &disk.now } else { &disk.durable };
        let mut found = BTreeMap::new();
        for (name, content) in names {
            let content = content.lock().unwrap();
            let mut bytes = content.durable.clone();
            if content.now.len() > bytes.len() {
                let kept = roll(content.now.len() - bytes.len() + 1);
                let start = bytes.len();
                bytes.extend_from_slice(&content.now[start..start + kept]);
                if kept > 0 && roll(3) == 0 {
                    let damaged = start + roll(kept);
                    bytes[damaged..].fill(0);
                }
            }
            let content = Content { now: bytes.clone(), durable: bytes };
            found.insert(name.clone(), Arc::new(Mutex::new(content)));
        }
        let disk = Disk { durable: found.clone(), now: found, left: usize::MAX, free: usize::MAX, broken: false };
        Self(Arc::new(Mutex::new(disk)))
    }
}

#[derive(Debug, Clone)]
enum Action {
    /// Appends records of these lengths, then syncs if true.
    Append(Vec<usize>, bool),
    Read(u64),
    Acknowledge(usize),
    Store,
    /// The disk takes this many more bytes.
    Fill(usize),
    Free,
    /// Syncs fail from here on, or no more.
    Break(bool),
    /// The machine goes off after so many more bytes.
    Crash(usize, u64),
    /// The process ends and starts again; what was written stays.
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (prop::collection::vec(0..90usize, 1..4), prop::bool::weighted(0.7)).prop_map(|(sizes, sync)| Action::Append(sizes, sync)),
        5 => (1..400u64).prop_map(Action::Read),
        4 => any::<usize>().prop_map(Action::Acknowledge),
        3 => Just(Action::Store),
        1 => (0..200usize).prop_map(Action::Fill),
        1 => Just(Action::Free),
        1 => prop::bool::weighted(0.4).prop_map(Action::Break),
        2 => (0..500usize, any::<u64>()).prop_map(|(after, seed)| Action::Crash(after, seed)),
        1 => Just(Action::Reopen),
    ]
}

/// What must come of it.
#[derive(Default)]
struct Model {
    /// Every payload that was ever given to the log, by the number that it would have.
    given: BTreeMap<u64, Vec<Bytes>>,
    /// Records whose sync succeeded.
    synced: BTreeMap<u64, Bytes>,
    /// Records that were read, ever: their numbers are taken.
    read: BTreeMap<u64, Bytes>,
    front: u64,
    /// The front that is surely on the disk.
    stored: u64,
    /// The number behind the last record read since the log was opened.
    reached: u64,
    serial: u64,
}

impl Model {
    fn payload(&mut self, size: usize) -> Bytes {
        self.serial += 1;
        let mut bytes = self.serial.to_le_bytes().to_vec();
        // Payloads that look like records must not be taken for such.
        bytes.extend(b"WRB1".iter().cycle().take(size));
        bytes.into()
    }

    fn check_read(&mut self, read: &weir_buffer::log::Read) {
        for record in &read.records {
            assert!(record.sequence >= self.reached, "order: {} after {}", record.sequence, self.reached);
            assert!(record.sequence >= self.stored, "{} is before the stored front {}", record.sequence, self.stored);
            let skipped: Vec<_> = self.synced.range(self.reached..record.sequence).collect();
            assert!(skipped.is_empty(), "durable records were passed over: {skipped:?}");
            let given = self.given.get(&record.sequence).expect("only what was given comes back");
            assert!(given.contains(&record.payload), "a payload was changed");
            if let Some(synced) = self.synced.get(&record.sequence) {
                assert_eq!(synced, &record.payload);
            }
            let before = self.read.insert(record.sequence, record.payload.clone());
            assert!(before.is_none_or(|before| before == record.payload), "a number stands for two records");
            self.reached = record.sequence + 1;
        }
    }
}

/// Reads all that is left and checks that nothing durable is missing.
fn drain(log: &mut Log<Memory>, model: &mut Model) {
    while let bytes @ 1.. = log.ready(64).unwrap() {
        let read = log.read(bytes).unwrap();
        assert!(!read.records.is_empty() || read.damaged > 0, "reading goes on");
        model.check_read(&read);
    }
    let missed: Vec<_> = model.synced.range(model.reached.max(model.front)..).collect();
    assert!(missed.is_empty(), "durable records are lost: {missed:?}");
}

fn reopen(disk: &Memory, model: &mut Model) -> Log<Memory> {
    let log = Log::open(disk.clone(), 300).unwrap();
    assert!(log.front() >= model.stored && log.front() <= model.front, "the front is one that was acknowledged");
    (model.front, model.stored, model.reached) = (log.front(), log.front(), log.front());
    log
}

fn play(actions: Vec<Action>) {
    let mut disk = Memory(Arc::new(Mutex::new(Disk { left: usize::MAX, free: usize::MAX, ..Disk::default() })));
    let mut model = Model::default();
    let mut log = reopen(&disk, &mut model);
    let id = log.id().to_owned();
    let mut crash = None;
    let mut unsynced: Vec<(u64, Bytes)> = Vec::new();
    for action in actions {
        match action {
            Action::Append(sizes, sync) => {
                let payloads: Vec<Bytes> = sizes.into_iter().map(|size| model.payload(size)).collect();
                // The rule of the caller: what is not durable must be so before a new segment.
                let bytes = payloads.iter().map(|payload| weir_buffer::record::stored_size(payload)).sum();
                if log.is_to_roll(bytes) && !unsynced.is_empty() {
                    commit(&mut log, &mut model, &mut unsynced);
                }
                match log.append(&payloads, 0) {
                    Ok(next) => {
                        let first = next - payloads.len() as u64;
                        for (number, payload) in (first..).zip(payloads) {
                            model.given.entry(number).or_default().push(payload.clone());
                            unsynced.push((number, payload));
                        }
                    }
                    // Some of them may still be found after a crash, if they could not be cut away.
                    Err(_) => {
                        for number in 0..64 {
                            let number = log.durable() + number;
                            model.given.entry(number).or_default().extend(payloads.iter().cloned());
                        }
                    }
                }
                if sync {
                    commit(&mut log, &mut model, &mut unsynced);
                }
            }
            Action::Read(limit) => {
                let bytes = log.ready(limit).unwrap();
                if bytes > 0 {
                    let read = log.read(bytes).unwrap();
                    model.check_read(&read);
                }
            }
            Action::Acknowledge(choice) => {
                let unacknowledged: Vec<u64> =
                    model.read.range(model.front..model.reached).map(|(n, _)| n + 1).collect();
                if let Some(front) = unacknowledged.get(choice % unacknowledged.len().max(1)) {
                    log.acknowledge(*front);
                    model.front = *front;
                }
            }
            Action::Store => {
                if log.store_front().is_ok() {
                    model.stored = model.front;
                }
            }
            Action::Fill(free) => disk.0.lock().unwrap().free = free,
            Action::Free => disk.0.lock().unwrap().free = usize::MAX,
            Action::Break(broken) => disk.0.lock().unwrap().broken = broken,
            Action::Crash(after, seed) => {
                disk.0.lock().unwrap().left = after;
                crash = Some(seed);
            }
            Action::Reopen if crash.is_none() => {
                let mut state = disk.0.lock().unwrap();
                (state.free, state.broken) = (usize::MAX, false);
                drop(state);
                drop(log);
                unsynced.clear();
                log = reopen(&disk, &mut model);
            }
            Action::Reopen => {}
        }
        if let Some(seed) = crash
            && disk.0.lock().unwrap().left == 0
        {
            drop(log);
            crash = None;
            unsynced.clear();
            disk = disk.after_crash(seed);
            log = reopen(&disk, &mut model);
        }
        assert_eq!(log.id(), id);
    }
    // What is left, now and after a last crash.
    disk = disk.after_crash(7);
    log = reopen(&disk, &mut model);
    drain(&mut log, &mut model);
}

fn commit(log: &mut Log<Memory>, model: &mut Model, unsynced: &mut Vec<(u64, Bytes)>) {
    let sync = log.begin_sync();
    let succeeded = sync.file.sync().is_ok();
    log.end_sync(&sync, succeeded);
    if succeeded {
        model.synced.extend(unsynced.drain(..));
    }
    unsynced.clear();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn nothing_durable_is_lost_and_nothing_stored_as_acknowledged_comes_back(
        actions in prop::collection::vec(action(), 1..60)
    ) {
        play(actions);
    }
}
