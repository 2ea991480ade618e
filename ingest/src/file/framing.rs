//! Cuts the text of a file into pieces that hold whole records.
//!
//! A [`Framer`] is fed a growing buffer and says what may be cut off its front; it does no I/O. Four layouts:
//!
//! - *lines*: cut at the last line end.
//! - *documents*: JSON values one behind the other, over any number of lines. Of an array or a `{"records":[…]}` wrapper
//!   each element is a record of its own, so that a file that is one huge array needs no more memory than a record.
//! - *CSV*: cut at the last line end outside of quotes; the header stands before each piece.
//!
//! A record over the limit is handed on in pieces, as [`Framing::Oversized`], and the next one is read as usual.

use std::ops::Range;
use std::path::Path;

use memchr::{memchr, memchr_iter, memchr2_iter, memrchr};
use serde::{Deserialize, Serialize};
use weir_contract::batch::Framing;

use crate::file::config::FileFormat;
use crate::json_text::{Opening, ValueScanner, opening, scalar_end, skip_blanks};

/// What may be cut off the front of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// How the records are to be read.
    pub(crate) framing: Framing,
    /// Where the records stand, from the front of the buffer.
    pub(crate) records: Vec<Range<usize>>,
    /// How much of the buffer is done with.
    pub(crate) length: usize,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Hand on and drop the front.
    Cut(Cut),
    /// No record ends within the buffer: read on.
    More,
}

/// How the cutting stands behind a cut: all that is needed to go on from there, also in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    /// In lines.
    Lines {
        /// Amid a line that is over the limit.
        amid: bool,
    },
    /// In CSV.
    Csv {
        /// Amid a row that is over the limit.
        amid: bool,
    },
    /// In documents.
    Documents {
        /// Where among arrays and wrappers.
        level: Level,
        /// The value that is over the limit and has begun.
        amid: Option<ValueScanner>,
    },
}

/// Cuts one file.
#[derive(Debug)]
pub(crate) struct Framer {
    layout: Layout,
    max_record: usize,
    /// Amid a record that is over the limit.
    oversized: bool,
}

#[derive(Debug)]
enum Layout {
    Lines,
    Documents(Documents),
    Csv,
}

/// Where the reading of documents stands at the front of the buffer.
#[derive(Debug, Default)]
struct Documents {
    level: Level,
    /// A value has begun at the front of the buffer, and this much of it was looked at.
    open: Option<(ValueScanner, usize)>,
    /// Pieces of that value were handed on already.
    oversized: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Before or between documents.
    #[default]
    Top,
    /// In an array; `true`: of a wrapper.
    Array(bool),
    /// Behind the array of a wrapper: up to its closing brace.
    WrapperEnd,
}

impl Framer {
    /// A framer for a file that begins with `start`; `is_whole`: which is all of it.
    pub(crate) fn new(format: FileFormat, path: &Path, start: &[u8], is_whole: bool, max_record: usize) -> Self {
        let layout = match format {
            FileFormat::Csv => Layout::Csv,
            FileFormat::Auto if is_csv(path, start) => Layout::Csv,
            FileFormat::Auto | FileFormat::Json if is_lines(start, is_whole) => Layout::Lines,
            FileFormat::Auto | FileFormat::Json => Layout::Documents(Documents::default()),
        };
        Self { layout, max_record, oversized: false }
    }

    /// A framer that goes on where another stood; `None` where `format` does not read such a layout.
    pub(crate) fn resume(format: FileFormat, mark: Mark, max_record: usize) -> Option<Self> {
        let is_csv = matches!(mark, Mark::Csv { .. });
        if (is_csv && format == FileFormat::Json) || (!is_csv && format == FileFormat::Csv) {
            return None;
        }
        let (layout, oversized) = match mark {
            Mark::Lines { amid } => (Layout::Lines, amid),
            Mark::Csv { amid } => (Layout::Csv, amid),
            Mark::Documents { level, amid } => {
                let open = amid.map(|scanner| (scanner, 0));
                (Layout::Documents(Documents { level, oversized: open.is_some(), open }), false)
            }
        };
        Some(Self { layout, max_record, oversized })
    }

    /// How it stands; asked right behind a [`Step::Cut`].
    pub(crate) fn mark(&self) -> Mark {
        match &self.layout {
            Layout::Lines => Mark::Lines { amid: self.oversized },
            Layout::Csv => Mark::Csv { amid: self.oversized },
            Layout::Documents(documents) => {
                Mark::Documents { level: documents.level, amid: documents.open.as_ref().map(|(scanner, _)| *scanner) }
            }
        }
    }

    /// Whether each line is a record.
    pub(crate) fn is_lines(&self) -> bool {
        matches!(self.layout, Layout::Lines)
    }

    /// Whether the file is CSV, whose first row is a header.
    pub(crate) fn is_csv(&self) -> bool {
        matches!(self.layout, Layout::Csv)
    }

    /// Looks for records in `buffer`; `is_end`: nothing follows it, so that something is always cut off.
    pub(crate) fn step(&mut self, buffer: &[u8], is_end: bool) -> Step {
        if buffer.is_empty() {
            return Step::More;
        }
        if let Layout::Documents(documents) = &mut self.layout {
            return documents.step(buffer, is_end, self.max_record);
        }
        let framing = if self.is_csv() { Framing::Csv } else { Framing::Lines };
        if self.oversized {
            // A damaged quote may have made a CSV row endless; the next line is the next chance for all layouts.
            let end = memchr(b'\n', buffer).map(|end| end + 1);
            self.oversized = end.is_none() && !is_end;
            return whole(Framing::Oversized, end.unwrap_or(buffer.len()));
        }
        let (cut, is_full) = match framing {
            Framing::Csv => last_of(row_ends(buffer), most_records(buffer)),
            _ if memchr_iter(b'\n', buffer).count() < most_records(buffer) => (memrchr(b'\n', buffer), false),
            _ => last_of(memchr_iter(b'\n', buffer), most_records(buffer)),
        };
        match cut.map(|end| end + 1) {
            Some(length) if is_full => whole(framing, length),
            _ if is_end => whole(framing, buffer.len()),
            Some(length) => whole(framing, length),
            None if buffer.len() >= self.max_record => {
                self.oversized = true;
                whole(Framing::Oversized, buffer.len())
            }
            None => Step::More,
        }
    }
}

impl Documents {
    fn step(&mut self, buffer: &[u8], is_end: bool, max_record: usize) -> Step {
        let mut records = Vec::new();
        let mut at = 0;
        // A value that began before: `seen` bytes of it stand at the front and were looked at.
        if let Some((mut scanner, seen)) = self.open.take() {
            match scanner.feed(&buffer[seen..]) {
                Some(length) => {
                    let end = seen + length;
                    if std::mem::take(&mut self.oversized) {
                        return whole(Framing::Oversized, end);
                    }
                    records.push(0..end);
                    at = end;
                }
                None => return self.wait(scanner, buffer, is_end, max_record),
            }
        }
        let most = most_records(buffer);
        loop {
            if records.len() >= most {
                break;
            }
            at = skip_blanks(buffer, at);
            let Some(byte) = buffer.get(at) else { break };
            match (self.level, byte) {
                (Level::Top, b'{' | b'[') => match opening(&buffer[at..]) {
                    Opening::Array(length) => {
                        self.level = Level::Array(false);
                        at += length;
                        continue;
                    }
                    Opening::Wrapper(length) => {
                        self.level = Level::Array(true);
                        at += length;
                        continue;
                    }
                    Opening::Unclear if !is_end => break,
                    Opening::Unclear | Opening::Other => {}
                },
                (Level::Top, _) => {
                    // No JSON: up to the line's end, for the decoder to refuse.
                    let end = match memchr(b'\n', &buffer[at..]) {
                        Some(length) => at + length,
                        None if is_end || buffer.len() - at >= max_record => buffer.len(),
                        None => break,
                    };
                    records.push(at..end);
                    at = end;
                    continue;
                }
                (Level::Array(_), b',') => {
                    at += 1;
                    continue;
                }
                (Level::Array(in_wrapper), b']') => {
                    self.level = if in_wrapper { Level::WrapperEnd } else { Level::Top };
                    at += 1;
                    continue;
                }
                (Level::Array(_), b'{' | b'[' | b'"') => {}
                (Level::Array(_), _) => {
                    let end = scalar_end(buffer, at);
                    if end == buffer.len() && !is_end && end - at < max_record {
                        break;
                    }
                    records.push(at..end);
                    at = end;
                    continue;
                }
                (Level::WrapperEnd, byte) => {
                    // Other members of a wrapper are no records.
                    match byte {
                        b'}' => {
                            self.level = Level::Top;
                            at += 1;
                        }
                        b'{' | b'[' | b'"' => match ValueScanner::default().feed(&buffer[at..]) {
                            Some(length) => at += length,
                            None if is_end => at = buffer.len(),
                            None if buffer.len() - at >= max_record => at += 1,
                            None => break,
                        },
                        _ => at += 1,
                    }
                    continue;
                }
            }
            let mut scanner = ValueScanner::default();
            match scanner.feed(&buffer[at..]) {
                Some(length) => {
                    records.push(at..at + length);
                    at += length;
                }
                None if records.is_empty() => {
                    if at > 0 {
                        // The value moves to the front first, so that its parts are counted from there.
                        return Step::Cut(Cut { framing: Framing::Document, records, length: at });
                    }
                    return self.wait(scanner, buffer, is_end, max_record);
                }
                None => break,
            }
        }
        if at == 0 && !is_end {
            return Step::More;
        }
        let length = if is_end && at == 0 { buffer.len() } else { at };
        Step::Cut(Cut { framing: Framing::Document, records, length })
    }

    /// A value at the front of the buffer does not end in it.
    fn wait(&mut self, scanner: ValueScanner, buffer: &[u8], is_end: bool, max_record: usize) -> Step {
        if is_end {
            let framing = if std::mem::take(&mut self.oversized) { Framing::Oversized } else { Framing::Document };
            return whole(framing, buffer.len());
        }
        if buffer.len() >= max_record {
            // The pieces before are dropped from the buffer, so the scanner goes on at its front.
            self.open = Some((scanner, 0));
            self.oversized = true;
            return whole(Framing::Oversized, buffer.len());
        }
        self.open = Some((scanner, buffer.len()));
        Step::More
    }
}

/// One record, or lines, from the front up to `length`.
fn whole(framing: Framing, length: usize) -> Step {
    Step::Cut(Cut { framing, records: std::iter::once(0..length).collect(), length })
}

/// Most records of one cut. Each costs some hundred bytes behind the source whatever its size, as a row or as a dead
/// letter; so text of records below 64 bytes on average is cut into smaller pieces.
fn most_records(buffer: &[u8]) -> usize {
    (buffer.len() / 64).max(1024)
}

/// The last of the first `most` ends, and whether there were as many.
fn last_of(ends: impl Iterator<Item = usize>, most: usize) -> (Option<usize>, bool) {
    let (mut count, mut last) = (0, None);
    for end in ends.take(most) {
        (count, last) = (count + 1, Some(end));
    }
    (last, count == most)
}

/// The line ends outside of quotes. `buffer` begins with a row. As the decoder reads cells, a quote opens one only at
/// its beginning, and a doubled quote stays within; any other quote is text.
fn row_ends(buffer: &[u8]) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    let mut closed = None;
    memchr2_iter(b'"', b'\n', buffer).filter(move |at| {
        if buffer[*at] == b'\n' {
            return !quoted;
        }
        let before = at.checked_sub(1);
        if quoted {
            (quoted, closed) = (false, Some(*at));
        } else {
            let is_doubled = before.is_some() && before == closed;
            quoted = is_doubled || before.is_none_or(|before| matches!(buffer[before], b',' | b'\n'));
        }
        false
    })
}

/// Just past the first row.
pub(crate) fn first_row_end(buffer: &[u8]) -> Option<usize> {
    row_ends(buffer).next().map(|end| end + 1)
}

/// Whether `text` is one whole JSON object or array: a last line that has all of its record needs no line end.
pub(crate) fn is_whole_value(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    matches!(text.first(), Some(b'{' | b'[')) && ValueScanner::default().feed(text) == Some(text.len())
}

fn is_csv(path: &Path, start: &[u8]) -> bool {
    let first = start.get(skip_blanks(start, 0));
    if matches!(first, None | Some(b'{' | b'[')) {
        return false;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b" _-.$[]\",\r".contains(byte);
    [".csv", ".csv.gz", ".csv.zst"].iter().any(|end| name.ends_with(end))
        || (line.contains(&b',') && line.iter().all(is_name))
}

/// Whether each line is a document of its own: one of the first lines is a whole object or array at the line's start,
/// and the first line does not open an array that the others are elements of.
fn is_lines(start: &[u8], is_whole: bool) -> bool {
    let mut lines = start.split_inclusive(|byte| *byte == b'\n').take(20).peekable();
    let mut is_first = true;
    while let Some(line) = lines.next() {
        let is_last = lines.peek().is_none();
        let is_complete = line.ends_with(b"\n") || (is_whole && is_last);
        if !is_complete {
            // The last line may go on behind what was read.
            break;
        }
        let text = line.trim_ascii_end();
        if is_first && matches!(opening(text), Opening::Array(end) | Opening::Wrapper(end) if end == text.len()) {
            return false;
        }
        is_first &= text.is_empty();
        if matches!(text.first(), Some(b'{' | b'[')) && ValueScanner::default().feed(text) == Some(text.len()) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
