//! What the config says about every push source.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_contract::units::ByteSize;

/// The disk buffer before a push source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BufferConfig {
    /// Most bytes on the disk, below `state.directory` (default 1GiB).
    pub max_size: ByteSize,
    /// What senders are told while it is full (default `block`).
    pub when_full: WhenFull,
}

/// What happens while the buffer is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Senders wait for room.
    #[default]
    Block,
    /// Senders are refused at once, and may come again.
    Refuse,
}

/// The certificate that a listener shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file with the certificate, and behind it those that lead to its root.
    pub certificate: PathBuf,
    /// A PEM file with the certificate's private key.
    pub private_key: PathBuf,
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self { max_size: ByteSize(1 << 30), when_full: WhenFull::default() }
    }
}

impl BufferConfig {
    /// What is wrong with it, if records of `largest` bytes are taken in at once.
    pub(crate) fn fault(&self, largest: u64) -> Option<String> {
        let least = largest.saturating_mul(4).max(1 << 20);
        (self.max_size.0 < least).then(|| {
            let least = ByteSize(least);
            format!("is below {least}, four of the largest requests; raise it, or lower what is taken in at once")
        })
    }
}
