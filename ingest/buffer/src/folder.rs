//! The file system as the log uses it: one flat folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A folder of files. Names have no slashes.
pub trait Folder: Send + 'static {
    /// An open file.
    type File: StoredFile;

    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file, in place of one that is there.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file to read and write.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Puts a file in the place of another, at once.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes durable which files there are.
    fn sync(&self) -> io::Result<()>;
}

/// An open file, read and written by position.
#[expect(clippy::len_without_is_empty, reason = "the length is that of the stored file, and may fail")]
pub trait StoredFile: Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `out.len()` bytes; fewer, or none, at the end of the file.
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of `bytes`. After an error, any part of them may be written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Cuts the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes its content durable.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of this machine.
#[derive(Debug)]
pub struct DiskFolder {
    path: PathBuf,
}

impl DiskFolder {
    /// The folder at `path`, which exists.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Folder for DiskFolder {
    type File = File;

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // Our own names are ASCII; what is not is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl StoredFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < out.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut out[read..], at + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
