//! Compressed texts in base64: gzip (RFC 1952) and zlib (RFC 1950) around deflate (RFC 1951).

use std::io::{Read, Write};

use arrow::array::ArrayRef;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Crc;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::DeflateEncoder;
use weir_contract::schema::ColumnType::String as Str;

use super::args::Args;
use super::{Function, Returns, Want, function};

const T1: &[Want] = &[Want::Str];
const TEXT: Returns = Returns::Ty(Str);

/// Most bytes that one text may unpack to: a few bytes can stand for gigabytes.
const MAX_UNPACKED: u64 = 16 << 20;

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "gzip_compress_to_base64_string",
        T1,
        TEXT,
        |args| pack(args, gzip),
        "`gzip_compress_to_base64_string(text)`",
    ),
    function(
        "gzip_decompress_from_base64_string",
        T1,
        TEXT,
        |args| unpack(args, |bytes, out| MultiGzDecoder::new(bytes).take(MAX_UNPACKED + 1).read_to_end(out)),
        "`gzip_decompress_from_base64_string(text)`: empty if it cannot be unpacked, or to more than 16 MiB",
    ),
    function(
        "zlib_compress_to_base64_string",
        T1,
        TEXT,
        |args| pack(args, zlib),
        "`zlib_compress_to_base64_string(text)`",
    ),
    function(
        "zlib_decompress_from_base64_string",
        T1,
        TEXT,
        |args| unpack(args, |bytes, out| ZlibDecoder::new(bytes).take(MAX_UNPACKED + 1).read_to_end(out)),
        "`zlib_decompress_from_base64_string(text)`: as `gzip_decompress_from_base64_string`",
    ),
];

fn pack(args: &Args<'_>, frame: fn(&[u8]) -> Vec<u8>) -> ArrayRef {
    let a = args.text(0);
    args.texts(|row, out| STANDARD.encode_string(frame(a.get(row).as_bytes()), out))
}

fn unpack(args: &Args<'_>, read: fn(&[u8], &mut Vec<u8>) -> std::io::Result<usize>) -> ArrayRef {
    let a = args.text(0);
    args.texts(|row, out| {
        let Ok(bytes) = STANDARD.decode(a.get(row)) else { return };
        let mut unpacked = Vec::new();
        if read(&bytes, &mut unpacked).is_ok()
            && unpacked.len() as u64 <= MAX_UNPACKED
            && let Ok(text) = std::str::from_utf8(&unpacked)
        {
            out.push_str(text);
        }
    })
}

/// Kusto's header: no time, no level, an unknown system.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    deflate(bytes, &mut out);
    let mut crc = Crc::new();
    crc.update(bytes);
    out.extend(crc.sum().to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    deflate(bytes, &mut out);
    // Adler-32, RFC 1950 section 8.2.
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    out.extend(((high << 16) | low).to_be_bytes());
    out
}

/// What does not shrink is stored as it is, as Kusto does.
fn deflate(bytes: &[u8], out: &mut Vec<u8>) {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes all bytes");
    match u16::try_from(bytes.len()) {
        Ok(length) if packed.len() >= bytes.len() => {
            // One last block of type 00 (RFC 1951 section 3.2.4): its length, the length's complement, the bytes.
            out.push(1);
            out.extend(length.to_le_bytes());
            out.extend((!length).to_le_bytes());
            out.extend(bytes);
        }
        _ => out.extend(packed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_text_unpacks() {
        for text in ["", "a", "1234567890qwertyuiop", &"abc".repeat(50_000)] {
            let mut unpacked = String::new();
            MultiGzDecoder::new(&gzip(text.as_bytes())[..]).read_to_string(&mut unpacked).expect("gzip");
            assert_eq!(unpacked, text);
            unpacked.clear();
            ZlibDecoder::new(&zlib(text.as_bytes())[..]).read_to_string(&mut unpacked).expect("zlib");
            assert_eq!(unpacked, text);
        }
        assert!(gzip("abc".repeat(50_000).as_bytes()).len() < 1_000);
    }
}
