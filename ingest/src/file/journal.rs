//! How far files are read, on disk: an append-only journal in the source's own folder.
//!
//! `progress` begins with a line that names its format. Each further line is a checksum and the state of one file as
//! JSON; the last line of a file wins. What changed is appended and synced. When most lines are outdated, or an append
//! failed midway, the whole is written beside it, synced and renamed over it, and the folder is synced.
//!
//! A last line that a crash cut off is dropped: its file is read on from the state before. Damage elsewhere is told, not
//! guessed around. `lock` keeps a second process away.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::file::fingerprint::hash;
use crate::file::ledger::Known;

const HEADER: &str = "weir file progress 1";
/// Outdated lines that are not worth a rewrite.
const SLACK_LINES: usize = 10_000;
/// How long to wait for another holder of the lock: a source that was just stopped in this process may still hold it.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The open journal of one source.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    file: File,
    /// Lines behind the header.
    lines: usize,
    /// An append failed, and what it left is unknown.
    must_rewrite: bool,
    _lock: File,
}

/// Why a journal cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("cannot {operation} `{}`; let the user that Weir runs as write there, or set `state.directory`", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{}` is in use by another process{holder}; give each process a `state.directory` of its own, or stop that one",
        folder.display()
    )]
    Locked { folder: PathBuf, holder: String },
    #[error(
        "`{}` is no journal that this version writes (it begins with {found}); move it away to read all files anew, or \
         set `state.directory` to another folder",
        path.display()
    )]
    Foreign { path: PathBuf, found: String },
    #[error(
        "`{}` is damaged at line {line}; restore it from a backup, or delete it to read all files anew (their rows may \
         come twice)",
        path.display()
    )]
    Damaged { path: PathBuf, line: usize },
}

impl Journal {
    /// Opens the journal in `folder`, which is made if need be, and reads it.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Vec<Known>), JournalError> {
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { operation, path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
        let lock = lock(folder)?;
        let path = folder.join("progress");
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut file) => {
                file.read_to_end(&mut bytes).map_err(failed("read", &path))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("read", &path)(error)),
        }
        let is_new = bytes.is_empty();
        let (known, good, lines) = if is_new { (Vec::new(), 0, 0) } else { parse(&path, &bytes)? };
        if is_new {
            write_whole(folder, std::iter::empty()).map_err(failed("write", &path))?;
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).open(&path).map_err(failed("write", &path))?;
        if good < bytes.len() {
            tracing::warn!(
                path = %path.display(),
                bytes = bytes.len() - good,
                "the last entry was cut off, by a crash perhaps; its file is read on from the entry before"
            );
            file.set_len(good as u64).map_err(failed("write", &path))?;
        }
        Ok((Self { folder: folder.to_owned(), file, lines, must_rewrite: false, _lock: lock }, known))
    }

    /// Whether the whole has to be written, rather than what changed; `files`: how many there are.
    pub(crate) fn wants_rewrite(&self, files: usize) -> bool {
        self.must_rewrite || self.lines > 2 * files + SLACK_LINES
    }

    /// Appends what changed; durable when it returns.
    pub(crate) fn append(&mut self, changed: &[Known]) -> Result<(), JournalError> {
        let mut text = Vec::new();
        for known in changed {
            write_line(&mut text, known).expect("memory takes all writes");
        }
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        self.must_rewrite = written.is_err();
        written.map_err(|source| self.failed(source))?;
        self.lines += changed.len();
        Ok(())
    }

    /// Writes the whole; durable when it returns, and if it fails the journal before stands.
    pub(crate) fn rewrite(&mut self, all: impl Iterator<Item = Known>) -> Result<(), JournalError> {
        self.must_rewrite = true;
        self.lines = write_whole(&self.folder, all).map_err(|source| self.failed(source))?;
        let opened = OpenOptions::new().append(true).open(self.folder.join("progress"));
        self.file = opened.map_err(|source| self.failed(source))?;
        self.must_rewrite = false;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { operation: "write", path: self.folder.join("progress"), source }
    }
}

/// The folder of a source below the state's: its name, with `_` and a number for what a file name should not hold.
pub(crate) fn folder_of(state: &Path, source_name: &str) -> PathBuf {
    let mut folder = String::new();
    for (index, char) in source_name.chars().enumerate() {
        let is_plain = char.is_ascii_alphanumeric() || char == '-' || (char == '.' && index > 0);
        if is_plain {
            folder.push(char);
        } else {
            folder.push_str(&format!("_{:x}_", u32::from(char)));
        }
    }
    state.join(folder)
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join("lock");
    let failed = |source| JournalError::Io { operation: "lock", path: path.clone(), source };
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    let start = std::time::Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                let process = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = match process.trim() {
                    "" => String::new(),
                    process => format!(" (process {process})"),
                };
                return Err(JournalError::Locked { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

/// The files of a journal in the order of their first lines, the length that is whole, and the lines behind the header.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Known>, usize, usize), JournalError> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    if first != format!("{HEADER}\n").as_bytes() {
        let start = String::from_utf8_lossy(&first[..first.len().min(40)]).into_owned();
        return Err(JournalError::Foreign { path: path.to_owned(), found: format!("{start:?}") });
    }
    let mut order = Vec::new();
    let mut places = HashMap::new();
    let mut good = first.len();
    let mut count = 0;
    for line in lines {
        let Some(known) = parse_line(line) else {
            if good + line.len() == bytes.len() {
                break;
            }
            return Err(JournalError::Damaged { path: path.to_owned(), line: count + 2 });
        };
        good += line.len();
        count += 1;
        match places.entry(known.partition()) {
            std::collections::hash_map::Entry::Occupied(entry) => {
                let place: &usize = entry.get();
                order[*place] = known;
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(order.len());
                order.push(known);
            }
        }
    }
    Ok((order, good, count))
}

fn parse_line(line: &[u8]) -> Option<Known> {
    let (checksum, json) = line.strip_suffix(b"\n")?.split_at_checked(17)?;
    let is_whole = std::str::from_utf8(checksum).ok()? == format!("{:016x} ", hash(json));
    if is_whole { serde_json::from_slice(json).ok() } else { None }
}

fn write_line(out: &mut impl Write, known: &Known) -> io::Result<()> {
    let json = serde_json::to_vec(known)?;
    write!(out, "{:016x} ", hash(&json))?;
    out.write_all(&json)?;
    out.write_all(b"\n")
}

/// Replaces the journal in `folder`; returns its lines behind the header.
fn write_whole(folder: &Path, all: impl Iterator<Item = Known>) -> io::Result<usize> {
    let beside = folder.join("progress.new");
    let mut out = BufWriter::new(File::create(&beside)?);
    writeln!(out, "{HEADER}")?;
    let mut lines = 0;
    for known in all {
        write_line(&mut out, &known)?;
        lines += 1;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&beside, folder.join("progress"))?;
    File::open(folder)?.sync_all()?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::fingerprint::Fingerprint;
    use crate::file::framing::Mark;
    use crate::file::ledger::{Reached, Whereabouts};

    fn known(path: &str, position: u64) -> Known {
        let reached = Reached { position, mark: Some(Mark::Lines { amid: false }), before: u64::MAX };
        let (home, fingerprint) = (path.into(), Fingerprint::of(path.as_bytes()));
        Known { home, fingerprint, twin: 0, whereabouts: Whereabouts::Home, reached, stamp: 1, size: 2, finished: true }
    }

    fn reopened(folder: &Path) -> Vec<Known> {
        Journal::open(folder).expect("a journal").1
    }

    #[test]
    fn the_last_line_of_a_file_wins_also_when_the_whole_was_rewritten() {
        let folder = tempfile::tempdir().expect("temp dir");
        let (mut journal, found) = Journal::open(folder.path()).expect("a journal");
        assert!(found.is_empty());
        journal.append(&[known("/a", 1), known("/b \"\n", 2)]).expect("written");
        journal.append(&[known("/a", 3)]).expect("written");
        drop(journal);
        assert_eq!(reopened(folder.path()), [known("/a", 3), known("/b \"\n", 2)]);
        let (mut journal, _) = Journal::open(folder.path()).expect("a journal");
        assert!(!journal.wants_rewrite(2));
        for _ in 0..=SLACK_LINES {
            journal.lines += 1;
        }
        journal.lines += 5;
        assert!(journal.wants_rewrite(2));
        journal.rewrite([known("/a", 4)].into_iter()).expect("written");
        journal.append(&[known("/c", 5)]).expect("written");
        assert!(!journal.wants_rewrite(2));
        drop(journal);
        assert_eq!(reopened(folder.path()), [known("/a", 4), known("/c", 5)]);
    }

    #[test]
    fn a_torn_last_line_is_dropped_wherever_it_was_cut() {
        let folder = tempfile::tempdir().expect("temp dir");
        let path = folder.path().join("progress");
        let (mut journal, _) = Journal::open(folder.path()).expect("a journal");
        journal.append(&[known("/a", 1)]).expect("written");
        let whole = std::fs::metadata(&path).expect("there").len();
        journal.append(&[known("/a", 2)]).expect("written");
        drop(journal);
        let bytes = std::fs::read(&path).expect("there");
        for cut in whole as usize + 1..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("writable");
            assert_eq!(reopened(folder.path()), [known("/a", 1)], "cut at {cut}");
            let (mut journal, _) = Journal::open(folder.path()).expect("a journal");
            journal.append(&[known("/b", 7)]).expect("written");
            drop(journal);
            assert_eq!(reopened(folder.path()), [known("/a", 1), known("/b", 7)], "it goes on behind the cut");
        }
    }

    #[test]
    fn damage_and_foreign_files_are_told_with_advice() {
        let folder = tempfile::tempdir().expect("temp dir");
        let path = folder.path().join("progress");
        let (mut journal, _) = Journal::open(folder.path()).expect("a journal");
        journal.append(&[known("/a", 1), known("/b", 1)]).expect("written");
        drop(journal);
        let text = std::fs::read_to_string(&path).expect("there");
        std::fs::write(&path, text.replacen("/a", "/x", 1)).expect("writable");
        let error = Journal::open(folder.path()).expect_err("damaged").to_string();
        assert!(error.contains("damaged at line 2; restore it"), "{error}");
        for foreign in ["{\"a\":1}\n", "weir file progress 2\n", "weir file prog"] {
            std::fs::write(&path, foreign).expect("writable");
            let error = Journal::open(folder.path()).expect_err("foreign").to_string();
            assert!(error.contains("move it away"), "{error}");
        }
    }

    #[test]
    fn folders_are_named_by_their_source_and_stay_below_the_state() {
        let state = Path::new("/state");
        assert_eq!(folder_of(state, "defender-hub"), Path::new("/state/defender-hub"));
        assert_eq!(folder_of(state, "../x y"), Path::new("/state/_2e_._2f_x_20_y"));
        assert_ne!(folder_of(state, "a_2f_"), folder_of(state, "a/"));
    }
}
