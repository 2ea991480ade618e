//! What a push source keeps of a record beside its bytes, in front of them, until the decoder reads it.
//!
//! ```text
//! 0  1  what the body is ([`Kind`])
//! 1  8  when it was received, microseconds since 1970 UTC, little-endian
//! 9  1  length of the table's name, 0 without one
//! 10    the name, then the body
//! ```
//!
//! Records of one source differ in these, and stand in one order; so they travel with each record, not with the batch.

use bytes::Bytes;

/// What a pushed record's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As [`crate::batch::Framing::Document`].
    Document,
    /// As [`crate::batch::Framing::Lines`].
    Lines,
    /// One event of Splunk's HTTP Event Collector: `{"time":…,"host":…,"sourcetype":…,"event":…}`.
    Event,
}

const KINDS: [(u8, Kind); 3] = [(1, Kind::Document), (2, Kind::Lines), (3, Kind::Event)];

/// A pushed record, as it stands in a buffer and in a payload of [`crate::batch::Framing::Pushed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed<'a> {
    /// What the body is.
    pub kind: Kind,
    /// When it was received, in microseconds since 1970 UTC.
    pub received_us: i64,
    /// The table of rows that name none themselves.
    pub table: Option<&'a str>,
    /// The bytes as received.
    pub body: &'a [u8],
}

impl<'a> Pushed<'a> {
    /// The record with what is kept beside it. A table's name is at most 64 bytes long.
    pub fn to_bytes(&self) -> Bytes {
        let table = self.table.unwrap_or_default().as_bytes();
        let length = u8::try_from(table.len()).expect("the config refuses longer names");
        let kind = KINDS.iter().find(|(_, kind)| *kind == self.kind).expect("every kind has a number").0;
        let mut bytes = Vec::with_capacity(10 + table.len() + self.body.len());
        bytes.push(kind);
        bytes.extend_from_slice(&self.received_us.to_le_bytes());
        bytes.push(length);
        bytes.extend_from_slice(table);
        bytes.extend_from_slice(self.body);
        bytes.into()
    }

    /// Reads what [`Pushed::to_bytes`] wrote; `None` if it is anything else.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first()?;
        let (received, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first()?;
        let (table, body) = rest.split_at_checked(usize::from(*length))?;
        let table = std::str::from_utf8(table).ok()?;
        Some(Self {
            kind: KINDS.iter().find(|(known, _)| known == number)?.1,
            received_us: i64::from_le_bytes(*received),
            table: (!table.is_empty()).then_some(table),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(received_us: i64, table in "[A-Z][a-z]{0,20}|", body: Vec<u8>, kind in 0..3usize) {
            let table = (!table.is_empty()).then_some(&*table);
            let pushed = Pushed { kind: KINDS[kind].1, received_us, table, body: &body };
            let bytes = pushed.to_bytes();
            prop_assert_eq!(Pushed::parse(&bytes), Some(pushed));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Pushed::parse(&bytes);
        }
    }
}
