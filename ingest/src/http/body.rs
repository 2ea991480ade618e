//! A request's body: read within bounds, its memory held, decompressed.

use std::io::Read;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use weir_contract::memory::Permit;

use super::Shared;

/// A body and the memory that it holds.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) permit: Permit,
}

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// Larger than `max_request_size`.
    TooLarge,
    /// An encoding that is not known.
    Encoding(String),
    /// Compressed data that can't be decompressed.
    Damaged(&'static str),
    /// The sender went away, or paused for too long.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Plain,
    Gzip,
    Deflate,
    Zstd,
}

/// Reads the body of a request; waits for memory first.
pub(super) async fn receive(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Received, BodyFault> {
    let most = shared.config.max_request_size.as_usize();
    let codec = codec(headers)?;
    let declared = headers.get(CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > most) {
        return Err(BodyFault::TooLarge);
    }
    // What is not known yet is taken to be the most that it may be. Twice: as it comes, and as it is kept.
    let expected = if codec == Codec::Plain { declared.unwrap_or(most) } else { most };
    let permit = shared.intake.memory.reserve(expected.saturating_mul(2)).await;
    let received = axum::body::to_bytes(body, most).await.map_err(|error| {
        let is_too_large = std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit"));
        if is_too_large { BodyFault::TooLarge } else { BodyFault::Broken }
    })?;
    if codec == Codec::Plain {
        return Ok(Received { bytes: received, permit });
    }
    let unpacked = tokio::task::spawn_blocking(move || decompress(codec, &received, most)).await;
    let bytes = unpacked.unwrap_or(Err(BodyFault::Broken))?;
    Ok(Received { bytes: bytes.into(), permit })
}

fn codec(headers: &HeaderMap) -> Result<Codec, BodyFault> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Codec::Plain) };
    let text = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    match &*text {
        "" | "identity" => Ok(Codec::Plain),
        "gzip" | "x-gzip" => Ok(Codec::Gzip),
        "deflate" => Ok(Codec::Deflate),
        "zstd" => Ok(Codec::Zstd),
        _ => Err(BodyFault::Encoding(text.chars().take(40).collect())),
    }
}

/// Decompresses at most `most` bytes, whatever the data promise.
fn decompress(codec: Codec, bytes: &[u8], most: usize) -> Result<Vec<u8>, BodyFault> {
    let limited = |reader: &mut dyn Read, name| {
        let mut out = Vec::new();
        let read = reader.take(most as u64 + 1).read_to_end(&mut out);
        match read {
            _ if out.len() > most => Err(BodyFault::TooLarge),
            Ok(_) => Ok(out),
            Err(_) => Err(BodyFault::Damaged(name)),
        }
    };
    match codec {
        Codec::Plain => Ok(bytes.to_vec()),
        Codec::Gzip => limited(&mut flate2::read::MultiGzDecoder::new(bytes), "gzip"),
        // The standard says zlib; some senders leave its two bytes and the checksum out.
        Codec::Deflate => match limited(&mut flate2::read::ZlibDecoder::new(bytes), "deflate") {
            Err(BodyFault::Damaged(_)) => limited(&mut flate2::read::DeflateDecoder::new(bytes), "deflate"),
            other => other,
        },
        Codec::Zstd => match zstd::stream::read::Decoder::new(bytes) {
            Ok(mut decoder) => {
                // Its window may be no larger than what it may become: 2^27 is the most that zstd itself allows by default.
                limited(&mut decoder, "zstd")
            }
            Err(_) => Err(BodyFault::Damaged("zstd")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_undone_and_none_gives_more_than_the_limit() {
        let text = vec![b'x'; 10_000];
        let level = flate2::Compression::fast();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
        for writer in [&mut gzip as &mut dyn std::io::Write, &mut zlib, &mut raw] {
            writer.write_all(&text).expect("memory takes it");
        }
        let packed = [
            (Codec::Gzip, gzip.finish().expect("memory")),
            (Codec::Deflate, zlib.finish().expect("memory")),
            (Codec::Deflate, raw.finish().expect("memory")),
            (Codec::Zstd, zstd::encode_all(&*text, 1).expect("memory")),
        ];
        for (codec, bytes) in packed {
            assert_eq!(decompress(codec, &bytes, 10_000).as_deref(), Ok(&*text), "{codec:?}");
            assert_eq!(decompress(codec, &bytes, 9_999), Err(BodyFault::TooLarge), "{codec:?}");
            let cut = decompress(codec, &bytes[..bytes.len() / 2], 10_000);
            assert!(matches!(cut, Err(BodyFault::Damaged(_))), "{codec:?}: {cut:?}");
        }
    }
}
