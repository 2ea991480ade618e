//! Hashes (lower-case hexadecimal of the value's text; empty for nothing), base64, hexadecimal.

use arrow::array::ArrayRef;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;
use weir_contract::schema::ColumnType::{Guid, Long, String as Str};

use super::args::Args;
use super::{Function, Returns, Want, function};

/// What is hashed is the value's text.
const ANY: &[Want] = &[Want::Text];
const T1: &[Want] = &[Want::Str];
const TEXT: Returns = Returns::Ty(Str);

pub(super) const FUNCTIONS: &[Function] = &[
    function("hash_sha256", ANY, TEXT, hash::<sha2::Sha256>, "`hash_sha256(a)`: of the value's text"),
    function("hash_sha1", ANY, TEXT, hash::<sha1::Sha1>, "`hash_sha1(a)`: of the value's text"),
    function("hash_md5", ANY, TEXT, hash::<md5::Md5>, "`hash_md5(a)`: of the value's text"),
    function(
        "base64_encode_tostring",
        T1,
        TEXT,
        |args| {
            let a = args.text(0);
            args.texts(|row, out| STANDARD.encode_string(a.get(row), out))
        },
        "`base64_encode_tostring(text)`",
    ),
    function(
        "base64_decode_tostring",
        T1,
        TEXT,
        |args| {
            let a = args.text(0);
            args.texts(|row, out| {
                if let Some(text) = STANDARD.decode(a.get(row)).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                    out.push_str(&text);
                }
            })
        },
        "`base64_decode_tostring(text)`: empty if it is no base64 of UTF-8",
    ),
    function(
        "base64_encode_fromguid",
        &[Want::Guid],
        TEXT,
        |args| {
            let a = args.text(0);
            args.texts(|row, out| {
                if let Some(bytes) = hex::decode(a.get(row).replace('-', "")).ok().and_then(mixed_endian) {
                    STANDARD.encode_string(bytes, out);
                }
            })
        },
        "`base64_encode_fromguid(guid)`: of its 16 bytes as .NET orders them",
    ),
    function(
        "base64_decode_toguid",
        T1,
        Returns::Ty(Guid),
        |args| {
            let a = args.text(0);
            args.opt_texts(|row, out| {
                let Some(bytes) = STANDARD.decode(a.get(row)).ok().and_then(mixed_endian) else { return false };
                let digits = hex::encode(bytes);
                let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                out.push_str(&parts.join("-"));
                true
            })
        },
        "`base64_decode_toguid(text)`: null if it is no base64 of 16 bytes",
    ),
    function(
        "tohex",
        &[Want::Long, Want::Long],
        TEXT,
        |args| {
            let (a, width) = (args.long(0), args.long_or(1, 0));
            args.texts(|row, out| {
                if let Some(value) = a.get(row) {
                    let width = usize::try_from(width.get(row).unwrap_or(0)).unwrap_or(0).min(16);
                    out.push_str(&format!("{value:0width$x}"));
                }
            })
        },
        "`tohex(number[, width])`: of 64 bits, lower case",
    )
    .requires(1),
    function(
        "hex_tolong",
        T1,
        Returns::Ty(Long),
        |args| {
            let a = args.text(0);
            args.longs(|row| {
                let text = a.get(row).trim();
                let digits = text.strip_prefix("0x").unwrap_or(text);
                u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
            })
        },
        "`hex_tolong(text)`: the number that hexadecimal digits stand for (Weir's own)",
    ),
];

/// The bytes of a guid between its written order and .NET's, whose first three parts are little-endian.
fn mixed_endian(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    if bytes.len() != 16 {
        return None;
    }
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Some(bytes)
}

fn hash<D: Digest>(args: &Args<'_>) -> ArrayRef {
    let a = args.text(0);
    args.texts(|row, out| {
        let text = a.get(row);
        if !text.is_empty() {
            out.push_str(&hex::encode(D::digest(text)));
        }
    })
}
