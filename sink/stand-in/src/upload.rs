//! A call's body: read with bounded memory, then unpacked with bounded memory.

use std::io::Read;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;

use crate::config::CALL_LIMIT_BYTES;

/// Bytes of one body that are read at all; a longer one is answered while the client still sends.
const MAX_READ_BYTES: u64 = 64 << 20;

/// A body as it came over the wire.
pub(crate) struct Upload {
    /// The body, if it is within the call limit; else empty, because it will be refused.
    pub(crate) bytes: Bytes,
    /// Its length, read to the end or to 64 MiB, or as `Content-Length` says where that is more.
    pub(crate) wire_bytes: u64,
}

/// Why no upload came out of a request.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The client went away, or sent bad chunks.
    Aborted,
    /// So many bytes came as the scripted fault waited for.
    CutHere,
}

/// Reads a body. With `cut_after`, stops once so many bytes are read, or at the end of a shorter body.
///
/// A body above the call limit is read on without being kept, because a client that is still sending may not see
/// the refusal.
pub(crate) async fn receive(body: Body, declared: Option<u64>, cut_after: Option<u64>) -> Result<Upload, Broken> {
    let mut kept = BytesMut::new();
    let mut read = 0u64;
    let mut stream = body.into_data_stream();
    while read <= MAX_READ_BYTES {
        if cut_after.is_some_and(|bytes| read >= bytes) {
            return Err(Broken::CutHere);
        }
        match stream.next().await {
            Some(Ok(piece)) => {
                read += piece.len() as u64;
                if read <= CALL_LIMIT_BYTES {
                    kept.extend_from_slice(&piece);
                } else {
                    kept = BytesMut::new();
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "an upload broke off");
                return Err(Broken::Aborted);
            }
            None if cut_after.is_some() => return Err(Broken::CutHere),
            None => break,
        }
    }
    Ok(Upload { bytes: kept.freeze(), wire_bytes: read.max(declared.unwrap_or(0)) })
}

/// What a body unpacks to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unpacked {
    /// The whole text.
    Whole(Vec<u8>),
    /// More than the limit; unpacking stopped there.
    TooLarge,
    /// Not gzip, or cut off.
    Broken,
}

/// Unpacks gzip (several members count as one text), holding at most `limit` bytes.
pub(crate) fn gunzip(packed: &[u8], limit: u64) -> Unpacked {
    let mut text = Vec::new();
    match MultiGzDecoder::new(packed).take(limit.saturating_add(1)).read_to_end(&mut text) {
        Ok(_) if text.len() as u64 > limit => Unpacked::TooLarge,
        Ok(_) => Unpacked::Whole(text),
        Err(_) => Unpacked::Broken,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        assert_eq!(gunzip(&gzip(b"[]"), 2), Unpacked::Whole(b"[]".to_vec()));
        assert_eq!(gunzip(&gzip(&vec![b' '; 1 << 20]), 1 << 10), Unpacked::TooLarge);
        assert_eq!(gunzip(&gzip(b"[{}]")[..12], 100), Unpacked::Broken);
        assert_eq!(gunzip(b"[{}]", 100), Unpacked::Broken);
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_counted_but_not_kept() {
        let upload = receive(Body::from(vec![b' '; 3 << 20]), None, None).await.unwrap();
        assert_eq!((upload.wire_bytes, upload.bytes.len()), (3 << 20, 0));
    }

    #[tokio::test]
    async fn a_scripted_cut_waits_for_its_bytes_or_the_end() {
        for cut_after in [0, 2, 100] {
            let outcome = receive(Body::from("[{}]"), None, Some(cut_after)).await;
            assert!(matches!(outcome, Err(Broken::CutHere)), "{cut_after}");
        }
    }
}
