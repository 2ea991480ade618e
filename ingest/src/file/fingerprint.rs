//! How a file is told from another: by what it begins with, and by what stands just before the place that was reached.
//!
//! A path is no identity: logs are rotated, replaced and emptied under their names. A file that grows keeps its
//! beginning; so the beginning of the text, as much of it as was there at first sight and never more than
//! [`HEAD_BYTES`], is its fingerprint. Files that begin alike (CSV with one header) are told apart where we stopped: the
//! bytes before that place must be those that were read.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most bytes of a text that a fingerprint covers.
pub(crate) const HEAD_BYTES: usize = 4096;

/// A hash over the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// Bytes that it covers.
    pub(crate) length: u16,
    /// The hash: the same on every machine and in every version, since it is part of partitions' names.
    pub(crate) hash: u64,
}

impl Fingerprint {
    /// The fingerprint of a text that begins with `head`: over its first 4096, 2048, 1024, … bytes, the most that are
    /// there. So few lengths occur, and files can be looked up by their beginning.
    pub(crate) fn of(head: &[u8]) -> Self {
        let length = match head.len().min(HEAD_BYTES) {
            0 => 0,
            length => 1 << length.ilog2(),
        };
        Self { length: length as u16, hash: hash(&head[..length]) }
    }

    /// Every fingerprint that a file may have had which begins with `head` now, the longest first.
    pub(crate) fn candidates(head: &[u8]) -> impl Iterator<Item = Self> {
        let longest = Self::of(head);
        let lengths = std::iter::successors(Some(longest.length), |length| (*length > 1).then_some(length / 2));
        lengths.filter(|length| *length > 0).map(|length| Self { length, hash: hash(&head[..usize::from(length)]) })
    }

    /// Whether a text that begins with `head` is, by its beginning, the file.
    pub(crate) fn fits(self, head: &[u8]) -> bool {
        head.get(..usize::from(self.length)).is_some_and(|start| hash(start) == self.hash)
    }
}

/// The last bytes before a place in a text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent(Vec<u8>);

impl Recent {
    /// Most bytes that are kept.
    pub(crate) const BYTES: usize = 256;

    /// Goes on over `text`.
    pub(crate) fn push(&mut self, text: &[u8]) {
        let text = &text[text.len().saturating_sub(Self::BYTES)..];
        let excess = (self.0.len() + text.len()).saturating_sub(Self::BYTES);
        self.0.drain(..excess);
        self.0.extend_from_slice(text);
    }

    /// A hash of them.
    pub(crate) fn hash(&self) -> u64 {
        hash(&self.0)
    }
}

/// The first eight bytes of the SHA-256 of `bytes`.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_keeps_its_fingerprint() {
        let text = vec![b'x'; 10_000];
        for start in [1, 5, 700, 4096, 5000] {
            let found = Fingerprint::of(&text[..start]);
            assert!(found.fits(&text[..HEAD_BYTES]), "{start}");
            assert!(Fingerprint::candidates(&text[..HEAD_BYTES]).any(|candidate| candidate == found), "{start}");
        }
        assert!(!Fingerprint::of(&text[..700]).fits(&text[..300]), "one that shrank is another");
        assert!(!Fingerprint::of(b"abcd").fits(b"abXd"));
    }

    #[test]
    fn the_hash_is_the_same_for_ever() {
        // The first bytes of SHA-256("abc"), FIPS 180-2, appendix B.1.
        assert_eq!(hash(b"abc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn only_the_last_bytes_count_in_whatever_pieces_they_come() {
        let text: Vec<u8> = (0..1000_u32).map(|number| number as u8).collect();
        let mut whole = Recent::default();
        whole.push(&text);
        let mut pieces = Recent::default();
        text.chunks(7).for_each(|piece| pieces.push(piece));
        assert_eq!(whole.hash(), pieces.hash());
        assert_eq!(whole.hash(), hash(&text[744..]));
    }
}
