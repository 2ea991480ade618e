//! A progress bar for file sources, on a terminal only.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use weir_ingest::file::Progress;

/// Shows the progress of `files` on standard error until the returned guard is dropped; nothing if there is no
/// terminal or no file.
pub(crate) fn show(files: &[Arc<Progress>]) -> Option<Guard> {
    if files.is_empty() || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(files.iter().map(|file| file.total_bytes()).sum());
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    let files = files.to_vec();
    let task = tokio::spawn({
        let bar = bar.clone();
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            loop {
                tick.tick().await;
                bar.set_length(files.iter().map(|file| file.total_bytes()).sum());
                bar.set_position(files.iter().map(|file| file.read_bytes()).sum());
            }
        }
    });
    Some(Guard { bar, task })
}

/// Ends the bar when dropped.
pub(crate) struct Guard {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}
