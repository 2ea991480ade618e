//! A file's text: opened, decompressed, without a byte order mark.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use weir_contract::position::SourceName;

use crate::file::progress::Progress;
use crate::source::SourceError;

/// Bytes read from the disk at once.
const DISK_BUFFER: usize = 256 << 10;

/// The text of a file, from its beginning.
pub(crate) struct Text {
    reader: Box<dyn Read>,
    codec: Option<&'static str>,
    /// Bytes of the file, as stored, that were read.
    stored: Rc<Cell<u64>>,
}

impl Text {
    /// Opens a file; gzip (of any number of members) and zstd (of any number of frames) are told by their first bytes.
    pub(crate) fn open(path: &Path, progress: Arc<Progress>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; 4];
        let length = read_full(&mut file, &mut magic)?;
        let stored = Rc::new(Cell::new(0));
        let counted =
            Counted { inner: io::Cursor::new(magic[..length].to_vec()).chain(file), stored: stored.clone(), progress };
        let (reader, codec): (Box<dyn Read>, _) = match magic[..length] {
            [0x1f, 0x8b, ..] => {
                (Box::new(MultiGzDecoder::new(BufReader::with_capacity(DISK_BUFFER, counted))), Some("gzip"))
            }
            [0x28, 0xb5, 0x2f, 0xfd] => (Box::new(zstd::stream::read::Decoder::new(counted)?), Some("zstd")),
            _ => (Box::new(counted), None),
        };
        Ok(Self { reader, codec, stored })
    }

    /// Appends up to `wanted` bytes to `buffer`; fewer only at the end of the text. Returns whether that is reached.
    ///
    /// What was read before an error stays in `buffer`.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, wanted: usize) -> io::Result<bool> {
        let start = buffer.len();
        // At once: growing by doubling would hold up to twice of what the permit says.
        buffer.reserve_exact(wanted);
        let read = self.reader.by_ref().take(wanted as u64).read_to_end(buffer);
        read.map(|_| buffer.len() - start < wanted)
    }

    /// The error for a failed read.
    pub(crate) fn error(&self, source_name: &SourceName, path: &Path, source: io::Error) -> SourceError {
        let (source_name, path, at) = (source_name.clone(), path.to_owned(), self.stored.get());
        let is_damage = matches!(
            source.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::Other
        );
        match self.codec {
            Some(codec) if is_damage => SourceError::Corrupt { source_name, path, codec, at, source },
            _ => SourceError::Read { source_name, path, at, source },
        }
    }
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

struct Counted<R> {
    inner: R,
    stored: Rc<Cell<u64>>,
    progress: Arc<Progress>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.stored.set(self.stored.get() + read as u64);
        self.progress.add(read as u64);
        Ok(read)
    }
}
