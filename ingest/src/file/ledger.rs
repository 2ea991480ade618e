//! What is known of every file: which it is, where it lies, how far it was read and how far that is durable.
//!
//! A file is an identity, not a path: the path where it was first seen, with its fingerprint, names its partition, and
//! keeps naming it when the file is renamed. The reading thread notes what it hands over, the acknowledgements come back
//! in any order, and what may be stored of a file is the place up to which all of them are there.
//!
//! A file takes some 300 bytes of memory here, most of them its path; that is outside of the memory budget, which is for
//! what is in flight.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use weir_contract::position::PartitionId;

use crate::file::fingerprint::{Fingerprint, Recent};
use crate::file::framing::Mark;

/// Most files that are asked whether they were renamed to a new path; each may have to be opened for it.
const MAX_CANDIDATES: usize = 64;

/// A place in a file's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reached {
    /// Bytes of text before it.
    pub(crate) position: u64,
    /// How the text is cut there; none at the beginning.
    pub(crate) mark: Option<Mark>,
    /// The hash of the last bytes before it ([`Recent::hash`]).
    pub(crate) before: u64,
}

/// Where a file lies now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whereabouts {
    /// Where it was seen first.
    Home,
    /// It was renamed.
    At(Box<str>),
    /// Another file took its path, and it was not found under another yet.
    Unknown,
}

/// What is known of one file; what the journal keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Where it was seen first.
    pub(crate) home: Box<str>,
    /// Its beginning.
    pub(crate) fingerprint: Fingerprint,
    /// Tells files apart that began alike at the same path: 0 for the first.
    pub(crate) twin: u32,
    /// Where it lies.
    pub(crate) whereabouts: Whereabouts,
    /// How far it was read.
    pub(crate) reached: Reached,
    /// What the listing told of it (size, time, tag) when it was last read to its end; 0 if it was not.
    pub(crate) stamp: u64,
    /// Its size then, as stored.
    pub(crate) size: u64,
    /// Whether all that it had then was taken, its last line too.
    pub(crate) finished: bool,
}

/// A file's number in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(u32);

/// All files of a source.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    files: Vec<Known>,
    by_path: HashMap<u128, FileId>,
    by_fingerprint: HashMap<Fingerprint, Vec<FileId>>,
    in_flight: HashMap<FileId, InFlight>,
    batches: HashMap<u64, FileId>,
    /// Files whose durable state changed since it was last taken.
    dirty: HashSet<FileId>,
    finished: u64,
}

/// What was handed over of a file and is not all acknowledged.
#[derive(Debug)]
struct InFlight {
    /// Everything before it is durable.
    front: Reached,
    stretches: VecDeque<Stretch>,
}

#[derive(Debug)]
struct Stretch {
    batch: Option<u64>,
    end: Reached,
    is_durable: bool,
}

impl Reached {
    /// The beginning of a text.
    pub(crate) fn start() -> Self {
        Self { position: 0, mark: None, before: Recent::default().hash() }
    }
}

impl Known {
    /// The name of its partition: it stays when the file grows or is renamed, and differs when its content does.
    pub(crate) fn partition(&self) -> PartitionId {
        let hash = self.fingerprint.hash;
        let twin = if self.twin == 0 { String::new() } else { format!(".{}", self.twin + 1) };
        PartitionId(format!("{}@{hash:016x}{twin}", self.home).into())
    }

    /// The path where it was last seen.
    pub(crate) fn path(&self) -> Option<&str> {
        match &self.whereabouts {
            Whereabouts::Home => Some(&self.home),
            Whereabouts::At(path) => Some(path),
            Whereabouts::Unknown => None,
        }
    }
}

impl Ledger {
    /// A ledger of what was stored.
    pub(crate) fn new(stored: impl IntoIterator<Item = Known>) -> Self {
        let mut ledger = Self::default();
        for known in stored {
            ledger.add(known);
        }
        ledger
    }

    /// The file that was last seen at `path`.
    pub(crate) fn at(&self, path: &str) -> Option<FileId> {
        self.by_path.get(&path_key(path)).copied()
    }

    /// What is known of a file, as far as it was read.
    pub(crate) fn get(&self, id: FileId) -> &Known {
        &self.files[id.0 as usize]
    }

    /// The files other than the one at `path` that begin as `head` does; those whose whereabouts are unknown first.
    pub(crate) fn alike(&self, head: &[u8], path: &str) -> Vec<FileId> {
        let here = self.at(path);
        let mut found = Vec::new();
        for fingerprint in Fingerprint::candidates(head) {
            let ids = self.by_fingerprint.get(&fingerprint).into_iter().flatten();
            found.extend(ids.copied().filter(|id| Some(*id) != here && self.get(*id).reached.position > 0));
        }
        found.sort_by_key(|id| (self.get(*id).whereabouts != Whereabouts::Unknown, std::cmp::Reverse(*id)));
        found.truncate(MAX_CANDIDATES);
        found
    }

    /// Takes in a file that was not known, at `path`. One that was there before is elsewhere now.
    pub(crate) fn admit(&mut self, path: &str, fingerprint: Fingerprint) -> FileId {
        if let Some(id) = self.at(path) {
            let known = self.get(id);
            // Nothing was read of it yet, so nothing has its name: it is the same file, which has more of a beginning.
            if known.reached.position == 0 && !self.in_flight.contains_key(&id) && known.path() == Some(&*known.home) {
                self.forget_fingerprint(id);
                self.set_finished(id, false);
                self.files[id.0 as usize].fingerprint = fingerprint;
                self.files[id.0 as usize].twin = self.free_twin(path, fingerprint, Some(id));
                self.by_fingerprint.entry(fingerprint).or_default().push(id);
                return id;
            }
        }
        self.detach(path);
        self.add(Known {
            home: path.into(),
            fingerprint,
            twin: self.free_twin(path, fingerprint, None),
            whereabouts: Whereabouts::Home,
            reached: Reached::start(),
            stamp: 0,
            size: 0,
            finished: false,
        })
    }

    /// Notes that a known file was found at another path.
    pub(crate) fn move_to(&mut self, id: FileId, path: &str) {
        self.detach(path);
        if let Some(old) = self.get(id).path() {
            let old = path_key(old);
            if self.by_path.get(&old) == Some(&id) {
                self.by_path.remove(&old);
            }
        }
        let known = &mut self.files[id.0 as usize];
        known.whereabouts = if *known.home == *path { Whereabouts::Home } else { Whereabouts::At(path.into()) };
        self.by_path.insert(path_key(path), id);
        self.dirty.insert(id);
    }

    /// Notes that `batch` holds the file's text from where it was read to up to `end`.
    pub(crate) fn hand_over(&mut self, id: FileId, batch: u64, end: Reached) {
        self.batches.insert(batch, id);
        self.push(id, Stretch { batch: Some(batch), end, is_durable: false });
    }

    /// Notes that the text up to `end` holds no record.
    pub(crate) fn pass(&mut self, id: FileId, end: Reached) {
        if self.in_flight.contains_key(&id) {
            self.push(id, Stretch { batch: None, end, is_durable: true });
        } else {
            self.files[id.0 as usize].reached = end;
            self.dirty.insert(id);
        }
    }

    /// Notes that the file was read to its present end, of which the listing said `stamp` and `size`.
    pub(crate) fn end(&mut self, id: FileId, stamp: u64, size: u64, finished: bool) {
        self.set_finished(id, finished);
        let known = &mut self.files[id.0 as usize];
        if (known.stamp, known.size) != (stamp, size) || finished {
            (known.stamp, known.size) = (stamp, size);
            self.dirty.insert(id);
        }
    }

    /// Notes that a batch is durable.
    pub(crate) fn acknowledge(&mut self, batch: u64) {
        let Some(id) = self.batches.remove(&batch) else { return };
        let Some(flight) = self.in_flight.get_mut(&id) else { return };
        if let Some(stretch) = flight.stretches.iter_mut().find(|stretch| stretch.batch == Some(batch)) {
            stretch.is_durable = true;
        }
        while let Some(stretch) = flight.stretches.pop_front_if(|stretch| stretch.is_durable) {
            flight.front = stretch.end;
            self.dirty.insert(id);
        }
        if flight.stretches.is_empty() {
            self.in_flight.remove(&id);
        }
    }

    /// The durable state of all files whose state has changed since the last call.
    pub(crate) fn take_dirty(&mut self) -> Vec<Known> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|id| self.durable(id)).filter(is_worth_storing).collect()
    }

    /// The durable state of all files.
    pub(crate) fn all(&self) -> impl Iterator<Item = Known> {
        (0..self.files.len() as u32).map(|id| self.durable(FileId(id))).filter(is_worth_storing)
    }

    /// The number of files.
    pub(crate) fn known(&self) -> u64 {
        self.files.len() as u64
    }

    /// The number of files that were read to their end.
    pub(crate) fn finished(&self) -> u64 {
        self.finished
    }

    /// What may be said of a file to another process: nothing behind the first unacknowledged byte.
    fn durable(&self, id: FileId) -> Known {
        let known = self.get(id).clone();
        match self.in_flight.get(&id) {
            Some(flight) => Known { reached: flight.front, stamp: 0, size: 0, finished: false, ..known },
            None => known,
        }
    }

    fn add(&mut self, known: Known) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("memory ends before four billion files"));
        if let Some(path) = known.path() {
            self.by_path.insert(path_key(path), id);
        }
        self.by_fingerprint.entry(known.fingerprint).or_default().push(id);
        self.finished += u64::from(known.finished);
        self.files.push(known);
        id
    }

    fn push(&mut self, id: FileId, stretch: Stretch) {
        let known = &mut self.files[id.0 as usize];
        let before = std::mem::replace(&mut known.reached, stretch.end);
        let flight = self.in_flight.entry(id);
        let flight = flight.or_insert_with(|| InFlight { front: before, stretches: VecDeque::new() });
        flight.stretches.push_back(stretch);
        self.set_finished(id, false);
    }

    /// Takes `path` from the file that lay there.
    fn detach(&mut self, path: &str) {
        if let Some(id) = self.by_path.remove(&path_key(path)) {
            self.files[id.0 as usize].whereabouts = Whereabouts::Unknown;
            self.dirty.insert(id);
        }
    }

    fn set_finished(&mut self, id: FileId, finished: bool) {
        let known = &mut self.files[id.0 as usize];
        let before = std::mem::replace(&mut known.finished, finished);
        self.finished = self.finished + u64::from(finished) - u64::from(before);
    }

    fn forget_fingerprint(&mut self, id: FileId) {
        let fingerprint = self.get(id).fingerprint;
        if let Some(ids) = self.by_fingerprint.get_mut(&fingerprint) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_fingerprint.remove(&fingerprint);
            }
        }
    }

    /// The lowest number that no other file has which began alike at the same path.
    fn free_twin(&self, home: &str, fingerprint: Fingerprint, but: Option<FileId>) -> u32 {
        // Names hold the hash alone, so lengths don't matter; equal hashes of different lengths do not occur.
        let alike = self.by_fingerprint.get(&fingerprint).into_iter().flatten().filter(|id| Some(**id) != but);
        let twins = alike.map(|id| self.get(*id)).filter(|known| *known.home == *home).map(|known| known.twin + 1);
        twins.max().unwrap_or(0)
    }
}

/// Of a file that nothing was read of there is nothing to remember.
fn is_worth_storing(known: &Known) -> bool {
    known.reached.position > 0
}

/// A path as a key of fixed size: a million paths are kept once, with their files.
fn path_key(path: &str) -> u128 {
    let digest = Sha256::digest(path.as_bytes());
    u128::from_be_bytes(digest[..16].try_into().expect("a SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(position: u64) -> Reached {
        Reached { position, mark: Some(Mark::Lines { amid: false }), before: position }
    }

    fn stored(ledger: &mut Ledger) -> Vec<(u64, bool)> {
        ledger.take_dirty().iter().map(|known| (known.reached.position, known.finished)).collect()
    }

    #[test]
    fn only_what_is_acknowledged_without_a_gap_is_stored() {
        let mut ledger = Ledger::default();
        let id = ledger.admit("/a", Fingerprint::of(b"a"));
        for batch in 0..4 {
            ledger.hand_over(id, batch, reached(10 * (batch + 1)));
        }
        ledger.pass(id, reached(45));
        ledger.end(id, 7, 45, true);
        assert_eq!(stored(&mut ledger), [], "nothing is durable");
        ledger.acknowledge(2);
        ledger.acknowledge(1);
        assert_eq!(stored(&mut ledger), [], "the first batch is still open");
        ledger.acknowledge(0);
        assert_eq!(stored(&mut ledger), [(30, false)]);
        ledger.acknowledge(3);
        assert_eq!(stored(&mut ledger), [(45, true)], "blanks at the end need no batch");
        assert_eq!(ledger.get(id).stamp, 7);
        assert_eq!((ledger.known(), ledger.finished()), (1, 1));
    }

    #[test]
    fn a_renamed_file_keeps_its_partition_and_a_new_one_at_its_path_gets_another() {
        let mut ledger = Ledger::default();
        let old = ledger.admit("/log", Fingerprint::of(b"first"));
        ledger.pass(old, reached(5));
        let partition = ledger.get(old).partition();
        let new = ledger.admit("/log", Fingerprint::of(b"second"));
        assert_ne!(ledger.get(new).partition(), partition);
        assert_eq!(ledger.alike(b"first and more", "/log.1"), [old]);
        ledger.move_to(old, "/log.1");
        assert_eq!((ledger.at("/log"), ledger.at("/log.1")), (Some(new), Some(old)));
        assert_eq!(ledger.get(old).partition(), partition);
        let again = Ledger::new(ledger.all());
        assert_eq!(again.at("/log.1").map(|id| again.get(id).partition()), Some(partition));
        assert_eq!(again.at("/log"), None, "nothing was read of it yet");
    }

    #[test]
    fn content_that_begins_alike_at_one_path_has_names_of_its_own() {
        let mut ledger = Ledger::default();
        let mut names = HashSet::new();
        for _ in 0..3 {
            let id = ledger.admit("/export.csv", Fingerprint::of(b"Name,Time\n"));
            ledger.pass(id, reached(100));
            names.insert(ledger.get(id).partition());
        }
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn a_file_of_which_nothing_was_read_is_named_by_what_it_begins_with_when_it_is() {
        let mut ledger = Ledger::default();
        let id = ledger.admit("/a", Fingerprint::of(b"{"));
        ledger.end(id, 1, 1, false);
        assert_eq!(ledger.admit("/a", Fingerprint::of(b"{\"a\":1}\n")), id);
        assert_eq!(ledger.known(), 1);
        assert_eq!(ledger.get(id).fingerprint, Fingerprint::of(b"{\"a\":1}\n"));
        assert_eq!(stored(&mut ledger), []);
    }
}
