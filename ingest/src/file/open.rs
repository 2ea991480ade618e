//! A file's text: opened, decompressed, from any place in it.
//!
//! What is read, a file of this machine or an object of a store, is an [`Input`]. Its first bytes tell how it is
//! compressed, and the first of its text, the *head*, tell which file it is ([`crate::file::fingerprint`]).

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use weir_contract::position::SourceName;

use crate::file::fingerprint::{HEAD_BYTES, Recent};
use crate::file::progress::Progress;
use crate::source::SourceError;

/// Bytes read from the disk at once.
const DISK_BUFFER: usize = 256 << 10;

/// The bytes of a file as they are stored.
pub(crate) trait Input: Read + Send {
    /// Goes on at byte `position` from the beginning; one behind the end is no error, nothing is read there.
    fn go_to(&mut self, position: u64) -> io::Result<()>;

    /// Learns how many bytes will be read next, so that no more need be requested at once.
    fn expect(&mut self, bytes: usize) {
        let _ = bytes;
    }
}

impl Input for std::fs::File {
    fn go_to(&mut self, position: u64) -> io::Result<()> {
        io::Seek::seek(self, io::SeekFrom::Start(position)).map(|_| ())
    }
}

/// The text of a file.
pub(crate) struct Text {
    body: Body,
    /// Bytes of the file, as stored, that were read.
    stored: Rc<Cell<u64>>,
    /// The first bytes of the text, and how many of them were given out.
    head: Vec<u8>,
    given: usize,
    /// An error behind the head, told once the head is given out.
    error: Option<io::Error>,
}

enum Body {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Counted>>>),
}

impl Text {
    /// Opens a file; gzip (of any number of members) and zstd (of any number of frames) are told by their first bytes.
    pub(crate) fn open(mut input: Box<dyn Input>, progress: Arc<Progress>) -> io::Result<Self> {
        let mut magic = [0; 4];
        let length = read_full(&mut *input, &mut magic)?;
        let stored = Rc::new(Cell::new(0));
        let counted = Counted { magic, length, given: 0, input, stored: stored.clone(), progress };
        let mut body = match magic[..length] {
            [0x1f, 0x8b, ..] => {
                Body::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(DISK_BUFFER, counted))))
            }
            [0x28, 0xb5, 0x2f, 0xfd] => Body::Zstd(Box::new(zstd::stream::read::Decoder::new(counted)?)),
            _ => Body::Plain(counted),
        };
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let error = body.reader().take(HEAD_BYTES as u64).read_to_end(&mut head).err();
        Ok(Self { body, stored, head, given: 0, error })
    }

    /// The first bytes of the text: [`HEAD_BYTES`], or all of a shorter one.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The error that the head ended with.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Whether it is compressed, so that its end is told by the file itself.
    pub(crate) fn is_compressed(&self) -> bool {
        !matches!(self.body, Body::Plain(_))
    }

    /// Appends up to `wanted` bytes to `buffer`; fewer only at the end of the text. Returns whether that is reached.
    ///
    /// What was read before an error stays in `buffer`.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, wanted: usize) -> io::Result<bool> {
        let start = buffer.len();
        // At once: growing by doubling would hold up to twice of what the permit says.
        buffer.reserve_exact(wanted);
        let from_head = wanted.min(self.head.len() - self.given);
        buffer.extend_from_slice(&self.head[self.given..self.given + from_head]);
        self.given += from_head;
        if from_head < wanted {
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            if let Body::Plain(counted) = &mut self.body {
                counted.input.expect(wanted - from_head);
            }
            self.body.reader().take((wanted - from_head) as u64).read_to_end(buffer)?;
        }
        Ok(buffer.len() - start < wanted)
    }

    /// Goes on behind the first `position` bytes of the text, from its beginning; returns the last bytes before that
    /// place, or nothing if the text is shorter. Plain text is not read up to there.
    pub(crate) fn skip_to(&mut self, position: u64) -> io::Result<Option<Recent>> {
        debug_assert_eq!(self.given, 0, "from the beginning");
        let mut recent = Recent::default();
        let head = self.head.len() as u64;
        if position <= head {
            self.given = position as usize;
            recent.push(&self.head[..self.given]);
            return Ok(Some(recent));
        }
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        self.given = self.head.len();
        recent.push(&self.head);
        let mut at = head;
        if let Body::Plain(counted) = &mut self.body {
            at = at.max(position.saturating_sub(Recent::BYTES as u64));
            counted.go_to(at)?;
        }
        let mut piece = [0; 8192];
        while at < position {
            let wanted = (position - at).min(piece.len() as u64) as usize;
            let read = read_full(self.body.reader(), &mut piece[..wanted])?;
            recent.push(&piece[..read]);
            at += read as u64;
            if read < wanted {
                return Ok(None);
            }
        }
        Ok(Some(recent))
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
        let codec = match self.body {
            Body::Gzip(_) => "gzip",
            Body::Zstd(_) => "zstd",
            Body::Plain(_) => return SourceError::Read { source_name, path, at, source },
        };
        if is_damage {
            SourceError::Corrupt { source_name, path, codec, at, source }
        } else {
            SourceError::Read { source_name, path, at, source }
        }
    }
}

impl Body {
    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Plain(reader) => reader,
            Self::Gzip(reader) => reader,
            Self::Zstd(reader) => reader,
        }
    }
}

fn read_full<R: Read + ?Sized>(reader: &mut R, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// An input whose first bytes were looked at, and whose bytes are counted.
struct Counted {
    magic: [u8; 4],
    length: usize,
    given: usize,
    input: Box<dyn Input>,
    stored: Rc<Cell<u64>>,
    progress: Arc<Progress>,
}

impl Counted {
    fn go_to(&mut self, position: u64) -> io::Result<()> {
        self.input.go_to(position)?;
        self.given = self.length;
        self.progress.add(position.saturating_sub(self.stored.get()));
        self.stored.set(position);
        Ok(())
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let looked_at = &self.magic[self.given..self.length];
        let read = if looked_at.is_empty() {
            self.input.read(buffer)?
        } else {
            let read = looked_at.len().min(buffer.len());
            buffer[..read].copy_from_slice(&looked_at[..read]);
            self.given += read;
            read
        };
        self.stored.set(self.stored.get() + read as u64);
        self.progress.add(read as u64);
        Ok(read)
    }
}
