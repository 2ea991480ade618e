//! Bits of longs.

use weir_contract::schema::ColumnType::Long;

use super::{Function, Returns, Want, function};

const L2: &[Want] = &[Want::Long, Want::Long];
const LONG: Returns = Returns::Ty(Long);

macro_rules! bit_function {
    ($name:literal, $operation:expr, $doc:literal) => {
        function(
            $name,
            L2,
            LONG,
            |args| {
                let (a, b) = (args.long(0), args.long(1));
                let operation: fn(i64, i64) -> Option<i64> = $operation;
                args.longs(|row| operation(a.get(row)?, b.get(row)?))
            },
            $doc,
        )
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    bit_function!("binary_and", |a, b| Some(a & b), "`binary_and(a, b)`"),
    bit_function!("binary_or", |a, b| Some(a | b), "`binary_or(a, b)`"),
    bit_function!("binary_xor", |a, b| Some(a ^ b), "`binary_xor(a, b)`"),
    bit_function!(
        "binary_shift_left",
        |a, b| (b >= 0).then(|| a.wrapping_shl((b & 63) as u32)),
        "`binary_shift_left(a, count)`: the count modulo 64; null if it is negative"
    ),
    bit_function!(
        "binary_shift_right",
        |a, b| (b >= 0).then(|| a.wrapping_shr((b & 63) as u32)),
        "`binary_shift_right(a, count)`: keeps the sign; null if the count is negative"
    ),
    function(
        "binary_not",
        &[Want::Long],
        LONG,
        |args| {
            let a = args.long(0);
            args.longs(|row| a.get(row).map(|value| !value))
        },
        "`binary_not(a)`",
    ),
    function(
        "bitset_count_ones",
        &[Want::Long],
        LONG,
        |args| {
            let a = args.long(0);
            args.longs(|row| a.get(row).map(|value| i64::from(value.count_ones())))
        },
        "`bitset_count_ones(a)`: number of set bits",
    ),
];
