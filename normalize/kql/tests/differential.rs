//! Our KQL beside two others: Microsoft's own parser and binder (npm `@kusto/language-service-next`), and duckdb-kql (PyPI),
//! which runs KQL on DuckDB and was held against Microsoft's emulator.
//!
//! Each runs only where an environment variable names it (`scripts/kql_differential.sh` installs both and sets the
//! variables, `make test` too); otherwise its test says that it skips. A disagreement must be of a class that
//! `docs/kql-differences.md` lists with who is right and why; one that no class knows fails, and so does a class that
//! nothing shows any more.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "differential/binder.rs"]
mod binder;
#[path = "support/calls.rs"]
mod calls;
#[path = "differential/classes.rs"]
mod classes;
#[path = "differential/generator.rs"]
mod generator;
#[path = "support/random.rs"]
mod random;
#[path = "differential/scalars.rs"]
mod scalars;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What an environment variable names; without it, says that the test skips. CI has it always.
fn tool(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok();
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "`{variable}` is not set: run `make test`");
        eprintln!("SKIPPED: run scripts/kql_differential.sh, which sets {variable}");
    }
    found
}

/// Hands `input` to a script, and reads its answer.
fn ask<T: serde::de::DeserializeOwned>(mut script: Command, input: &serde_json::Value) -> T {
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script's program is there");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_string();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the script ends");
    writer.join().expect("the writer ends").expect("the script reads all");
    assert!(output.status.success(), "the script failed");
    serde_json::from_slice(&output.stdout).expect("the script answers in JSON")
}
