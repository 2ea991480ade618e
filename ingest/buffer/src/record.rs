//! A record as it stands in a segment.
//!
//! ```text
//! 0   4  marker "WRB1"
//! 4   4  length of the payload
//! 8   8  sequence number
//! 16  8  when it was appended, microseconds since 1970 UTC
//! 24  4  CRC-32 of the payload
//! 28  4  CRC-32 of the 28 bytes before
//! 32     payload
//! ```
//!
//! Numbers are little-endian. The header has a checksum of its own, so that a damaged length is never believed.

use bytes::Bytes;

/// What every record begins with; the digit is the version of the format.
pub const MARKER: [u8; 4] = *b"WRB1";
/// Bytes before the payload.
pub const HEADER: usize = 32;
/// Longest payload, in bytes. More than any source takes in at once.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log: numbers rise, but may have gaps.
    pub sequence: u64,
    /// When it was appended, in microseconds since 1970 UTC.
    pub appended_us: i64,
    /// What was appended.
    pub payload: Bytes,
}

/// What a record's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: u32,
    pub(crate) sequence: u64,
    pub(crate) appended_us: i64,
    pub(crate) payload_crc: u32,
}

impl Header {
    pub(crate) fn of(payload: &[u8], sequence: u64, appended_us: i64) -> Self {
        let length = u32::try_from(payload.len()).expect("payloads are at most MAX_PAYLOAD long");
        Self { length, sequence, appended_us, payload_crc: crc32fast::hash(payload) }
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MARKER);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.appended_us.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` if it is none, or damaged.
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let four = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let eight = |at: usize| (u64::from(u32::from_le_bytes(four(at + 4))) << 32) | u64::from(number(four(at)));
        fn number(bytes: [u8; 4]) -> u32 {
            u32::from_le_bytes(bytes)
        }
        if bytes[..4] != MARKER || crc32fast::hash(&bytes[..28]) != number(four(28)) {
            return None;
        }
        let header = Self {
            length: number(four(4)),
            sequence: eight(8),
            appended_us: eight(16).cast_signed(),
            payload_crc: number(four(24)),
        };
        (header.length as usize <= MAX_PAYLOAD && header.sequence < u64::MAX).then_some(header)
    }

    /// Bytes of the whole record.
    pub(crate) fn size(self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }
}

/// Bytes that `payload` takes up in the log.
pub fn stored_size(payload: &[u8]) -> u64 {
    (HEADER + payload.len()) as u64
}
