//! A server process that a test starts: found in the cache folder, watched until it answers, killed when dropped.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to answer for the first time; the machine may be busy with a build.
const START: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    folder: TempDir,
}

/// The path of a tool below the cache folder; panics with the script that installs it.
pub(crate) fn tool(path: &str, script: &str) -> PathBuf {
    let folder = std::env::var_os("WEIR_TOOLS").map(PathBuf::from).unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("HOME or WEIR_TOOLS is set");
        PathBuf::from(home).join(".cache/weir-tools")
    });
    let tool = folder.join(path);
    assert!(tool.exists(), "`{}` is missing: run `scripts/{script}` first (`make test` does)", tool.display());
    tool
}

/// A port that nobody listens on right now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Server {
    /// Starts `command` in a folder of its own, its output kept for the case that it fails.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("a writable folder");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the file can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name, child, folder }
    }

    /// Waits until `answers` says so; panics with the server's output when it ended, or never answers.
    pub(crate) async fn ready(&mut self, mut answers: impl FnMut() -> bool) {
        let start = Instant::now();
        while !answers() {
            let ended = self.child.try_wait().expect("the child can be asked");
            if ended.is_some() || start.elapsed() > START {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("{} does not answer ({ended:?}); its output:\n{log}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
