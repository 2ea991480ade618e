//! What all push sources share: sources whose senders cannot be asked again.
//!
//! ```text
//! sender ─▶ listener ─▶ intake ─▶ buffer (disk) ─▶ delivery ─▶ pipeline
//!              ▲          │  durable                  │  ▲
//!              └── answer ┘                  the front ◀─┘ acknowledgements
//! ```
//!
//! `intake` takes records in and says when they are durable; `delivery` hands them to the pipeline and moves the
//! buffer's front. Both have memory of their own share, so that a pipeline that waits for a slow sink does not keep the
//! buffer from taking records in.

pub mod config;
pub(crate) mod delivery;
pub(crate) mod intake;
pub(crate) mod listener;
pub(crate) mod metrics;
