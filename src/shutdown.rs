//! Signals: the first SIGTERM or SIGINT stops the sources and drains; a second one ends the process at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` on the first signal.
pub(crate) fn on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                tracing::info!(signal = name, "stopping: sources end, what is in flight is written");
                stop.cancel();
            } else {
                tracing::warn!(signal = name, "ended at once; what is not durable is read again at the next start");
                std::process::exit(130);
            }
        }
    });
    Ok(())
}

/// Completes `deadline` after `stop` was cancelled; never, if it is not.
pub(crate) async fn deadline_after(stop: &CancellationToken, deadline: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(deadline).await;
}
