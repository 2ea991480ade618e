//! What the errors of the object store and of the Delta log mean for the sink: try again, or tell a person what to do.

use std::error::Error;
use std::io::ErrorKind;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::TransactionError;
use object_store::Error as StoreError;

use crate::sink::{Cause, SinkError};

/// A full disk: worth another try, since cleaners run, but a person should know.
#[derive(Debug, thiserror::Error)]
#[error("the disk is full; free space there, or move the lake to a larger disk")]
struct DiskFull(#[source] Cause);

/// The sink's error for an object store's `error` while it tried to `operation` `target`.
pub(crate) fn from_store(operation: &'static str, target: &str, error: StoreError) -> SinkError {
    let refused = |advice: &str, source: StoreError| SinkError::Refused {
        operation,
        target: target.to_owned(),
        advice: advice.to_owned(),
        source: source.into(),
    };
    match &error {
        StoreError::PermissionDenied { .. } => refused(
            "give Weir's identity the right to read, write and list there (Storage Blob Data Contributor on Azure; \
             s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket on S3)",
            error,
        ),
        StoreError::Unauthenticated { .. } => {
            refused("check the credentials under `storage`, or the store's environment variables", error)
        }
        StoreError::NotFound { .. } => {
            refused("check that the bucket or container exists, and its name in `url`", error)
        }
        StoreError::NotSupported { .. } | StoreError::NotImplemented { .. } => {
            refused("the store lacks an operation that Delta needs; use another one", error)
        }
        StoreError::InvalidPath { .. } => refused("check the path in `url`", error),
        StoreError::UnknownConfigurationKey { key, .. } => {
            SinkError::config(format!("lake: `storage` has the unknown key `{key}`; remove or correct it"))
        }
        _ => match io_kind(&error) {
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => SinkError::Unavailable {
                operation,
                target: target.to_owned(),
                source: Box::new(DiskFull(error.into())),
            },
            Some(ErrorKind::PermissionDenied) => {
                refused("let the user that Weir runs as write to that directory, or choose another `url`", error)
            }
            Some(ErrorKind::ReadOnlyFilesystem) => {
                refused("the file system is mounted read-only; mount it writable, or choose another `url`", error)
            }
            Some(ErrorKind::NotADirectory) => {
                refused("a part of the path is a file; remove it, or choose another `url`", error)
            }
            _ => SinkError::Unavailable { operation, target: target.to_owned(), source: error.into() },
        },
    }
}

/// The sink's error for a Delta log's `error` while it tried to `operation` the table at `target`.
pub(crate) fn from_delta(operation: &'static str, target: &str, error: DeltaTableError) -> SinkError {
    match error {
        DeltaTableError::ObjectStore { source } => from_store(operation, target, source),
        DeltaTableError::Transaction { source } => from_transaction(operation, target, source),
        other => SinkError::Unavailable { operation, target: target.to_owned(), source: other.into() },
    }
}

/// The sink's error for a failed write of a log entry.
pub(crate) fn from_transaction(operation: &'static str, target: &str, error: TransactionError) -> SinkError {
    match error {
        TransactionError::ObjectStore { source } => from_store(operation, target, source),
        other => SinkError::Unavailable { operation, target: target.to_owned(), source: other.into() },
    }
}

/// A short word for the metric's label.
pub(crate) fn reason(error: &SinkError) -> &'static str {
    match error {
        SinkError::Unavailable { .. } => "unavailable",
        SinkError::Refused { .. } => "refused",
        SinkError::GaveUp { .. } => "gave_up",
        SinkError::Schema { .. } => "schema",
        SinkError::Encode { .. } => "encode",
        SinkError::Config { .. } => "config",
    }
}

fn io_kind(error: &StoreError) -> Option<ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: ErrorKind) -> StoreError {
        StoreError::Generic { store: "test", source: Box::new(std::io::Error::from(kind)) }
    }

    #[test]
    fn a_full_disk_is_tried_again_and_named() {
        let error = from_store("put", "t/a.parquet", generic(ErrorKind::StorageFull));
        assert!(error.is_retryable());
        assert!(error.source().expect("a cause").to_string().contains("disk is full"));
    }

    #[test]
    fn what_no_retry_helps_is_refused_with_advice() {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::NotADirectory] {
            let error = from_store("put", "t/a.parquet", generic(kind));
            assert!(!error.is_retryable(), "{kind}");
            assert!(error.to_string().contains("`t/a.parquet`; "), "{error}");
        }
        assert!(from_store("put", "x", generic(ErrorKind::ConnectionReset)).is_retryable());
    }
}
