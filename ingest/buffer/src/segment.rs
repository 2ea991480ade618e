//! One file of records: how it is read, and what of it is valid.

use std::io;
use std::sync::Arc;

use crate::folder::StoredFile;
use crate::record::{HEADER, Header, MARKER};

/// Bytes that are looked at together where a file is searched or checked.
const WINDOW: usize = 64 << 10;

/// A segment of the log.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    /// The sequence number that its name tells: no record of it has a lower one.
    pub(crate) base: u64,
    pub(crate) file: Arc<F>,
    /// Bytes written.
    pub(crate) end: u64,
    /// Bytes that are durable: what may be read.
    pub(crate) durable: u64,
}

/// What stands at a position of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Record(Header),
    /// The segment ends here.
    End,
    /// No record, or one that is damaged or cut off.
    Damage,
}

pub(crate) fn name_of(base: u64) -> String {
    format!("{base:020}.seg")
}

pub(crate) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// The header of the record at `at`, of a segment that ends at `end`; its payload is not looked at.
pub(crate) fn header_at(file: &impl StoredFile, at: u64, end: u64) -> io::Result<Found> {
    if at >= end {
        return Ok(Found::End);
    }
    let mut bytes = [0; HEADER];
    if end - at < HEADER as u64 || file.read_at(&mut bytes, at)? < HEADER {
        return Ok(Found::Damage);
    }
    Ok(match Header::parse(&bytes) {
        Some(header) if header.size() <= end - at => Found::Record(header),
        _ => Found::Damage,
    })
}

/// The record at `at`, its payload checked, if its number is `least` or higher. Holds one window of it at a time.
pub(crate) fn check_at(file: &impl StoredFile, at: u64, end: u64, least: u64) -> io::Result<Found> {
    let header = match header_at(file, at, end)? {
        Found::Record(header) if header.sequence >= least => header,
        Found::Record(_) => return Ok(Found::Damage),
        other => return Ok(other),
    };
    let mut hasher = crc32fast::Hasher::new();
    let mut window = vec![0; WINDOW.min(header.length as usize)];
    let (mut next, last) = (at + HEADER as u64, at + header.size());
    while next < last {
        let wanted = usize::try_from(last - next).map_or(WINDOW, |left| left.min(WINDOW));
        let read = file.read_at(&mut window[..wanted], next)?;
        if read == 0 {
            return Ok(Found::Damage);
        }
        hasher.update(&window[..read]);
        next += read as u64;
    }
    Ok(if hasher.finalize() == header.payload_crc { Found::Record(header) } else { Found::Damage })
}

/// Where behind damage the next whole record begins, if there is one.
pub(crate) fn next_whole(file: &impl StoredFile, from: u64, end: u64, least: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; WINDOW];
    let mut at = from;
    while at < end {
        let wanted = usize::try_from(end - at).map_or(WINDOW, |left| left.min(WINDOW));
        let read = file.read_at(&mut window[..wanted], at)?;
        for found in memchr::memmem::find_iter(&window[..read], &MARKER) {
            let place = at + found as u64;
            if matches!(check_at(file, place, end, least)?, Found::Record(_)) {
                return Ok(Some(place));
            }
        }
        if read < MARKER.len() {
            break;
        }
        // A marker may stand across two windows.
        at += (read - (MARKER.len() - 1)) as u64;
    }
    Ok(None)
}

/// The end of the last whole record of a segment, and the number behind it (`least` without one). What lies between
/// damaged records and whole ones behind them stays, to be skipped by the reader.
pub(crate) fn recover(file: &impl StoredFile, length: u64, least: u64) -> io::Result<(u64, u64)> {
    let (mut at, mut next, mut end) = (0, least, 0);
    loop {
        match check_at(file, at, length, next)? {
            Found::Record(header) => {
                at += header.size();
                next = header.sequence + 1;
                end = at;
            }
            Found::End => return Ok((end, next)),
            Found::Damage => match next_whole(file, at + 1, length, next)? {
                Some(place) => at = place,
                None => return Ok((end, next)),
            },
        }
    }
}
