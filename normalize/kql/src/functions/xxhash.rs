//! `hash` and `hash_xxhash64`: xxHash64 of a value's bytes
//! (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>), with seed 0, as a long.
//!
//! A text gives its UTF-8 bytes, a number its little-endian bytes, a time its ticks of 100 ns since the year 1.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Bool, Datetime, Int, Long, Real, Timespan};

use super::args::Args;
use super::{Function, Returns, Want, function};

const LONG: Returns = Returns::Ty(Long);

pub(super) const FUNCTIONS: &[Function] = &[
    function("hash", &[Want::Any, Want::Long], LONG, hash, "`hash(value[, modulus])`: xxHash64 as a long").requires(1),
    function("hash_xxhash64", &[Want::Any, Want::Long], LONG, hash, "`hash_xxhash64(value[, modulus])`: as `hash`")
        .requires(1),
];

/// Ticks from the year 1 to 1970.
const EPOCH_TICKS: i64 = 621_355_968_000_000_000;

fn hash(args: &Args<'_>) -> ArrayRef {
    let reader = Reader::new(args);
    let modulus = args.long_or(1, 0);
    args.longs(|row| {
        let hash = reader.hash(row)?;
        match modulus.get(row)? {
            0 => Some(hash),
            modulus => hash.checked_rem_euclid(modulus),
        }
    })
}

/// Reads argument 0 as bytes, whatever its type.
struct Reader<'a, 'b>(&'b Args<'a>);

impl<'a, 'b> Reader<'a, 'b> {
    fn new(args: &'b Args<'a>) -> Self {
        Self(args)
    }

    fn hash(&self, row: usize) -> Option<i64> {
        let args = self.0;
        let bytes = match args.types[0] {
            Long => args.long(0).get(row)?.to_le_bytes(),
            Datetime => args.long(0).get(row)?.checked_mul(10)?.checked_add(EPOCH_TICKS)?.to_le_bytes(),
            Timespan => args.long(0).get(row)?.checked_mul(10)?.to_le_bytes(),
            Real => args.real(0).get(row)?.to_le_bytes(),
            Int => return Some(xxh64(&args.int(0).get(row)?.to_le_bytes()).cast_signed()),
            Bool => return Some(xxh64(&[u8::from(args.bool(0).get(row)?)]).cast_signed()),
            // A null text is the empty one.
            weir_contract::schema::ColumnType::String => {
                return Some(xxh64(args.text(0).get(row).as_bytes()).cast_signed());
            }
            _ => return Some(xxh64(args.text(0).opt(row)?.as_bytes()).cast_signed()),
        };
        Some(xxh64(&bytes).cast_signed())
    }
}

const P1: u64 = 0x9e37_79b1_85eb_ca87;
const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const P3: u64 = 0x1656_67b1_9e37_79f9;
const P4: u64 = 0x85eb_ca77_c2b2_ae63;
const P5: u64 = 0x27d4_eb2f_1656_67c5;

fn round(accumulator: u64, lane: u64) -> u64 {
    accumulator.wrapping_add(lane.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// xxHash64 with seed 0.
fn xxh64(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    let mut hash = if bytes.len() >= 32 {
        let mut lanes = [P1.wrapping_add(P2), P2, 0, 0_u64.wrapping_sub(P1)];
        while rest.len() >= 32 {
            for (number, lane) in lanes.iter_mut().enumerate() {
                *lane = round(*lane, word(&rest[number * 8..number * 8 + 8]));
            }
            rest = &rest[32..];
        }
        let [a, b, c, d] = lanes;
        let mut hash = a
            .rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18));
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
        }
        hash
    } else {
        P5
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while rest.len() >= 8 {
        hash = (hash ^ round(0, word(&rest[..8]))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        rest = &rest[8..];
    }
    if rest.len() >= 4 {
        hash = (hash ^ word(&rest[..4]).wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        rest = &rest[4..];
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(P2);
    hash = (hash ^ hash >> 29).wrapping_mul(P3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::xxh64;

    #[test]
    fn hashes_are_those_of_the_specification() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(xxh64(b"World").cast_signed(), 1_846_988_464_401_551_951);
    }
}
