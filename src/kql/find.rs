//! The files that a command line names: files as they are, folders with all that may hold KQL.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Endings of files that hold KQL.
const ENDINGS: [&str; 4] = ["kql", "csl", "yaml", "yml"];

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// Named itself, not found in a folder: it must hold KQL.
    pub(crate) named: bool,
}

/// The files, sorted within a folder. `-` stands for standard input.
///
/// # Errors
///
/// A folder that cannot be listed, or without any such file.
pub(crate) fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            below(path, &mut found)?;
            let listed = ENDINGS.map(|ending| format!("`.{ending}`")).join(", ");
            anyhow::ensure!(found.len() > before, "there is no file with KQL in `{}` ({listed})", path.display());
        } else {
            found.push(Found { path: path.clone(), named: true });
        }
    }
    Ok(found)
}

fn below(folder: &Path, found: &mut Vec<Found>) -> anyhow::Result<()> {
    let cannot = || format!("`{}` cannot be listed", folder.display());
    let entries = std::fs::read_dir(folder).with_context(cannot)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().with_context(cannot)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // The type of the entry, not of what it points to: a link to a folder above would never end.
        if entry.file_type().with_context(cannot)?.is_dir() {
            below(&path, found)?;
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
        {
            found.push(Found { path, named: false });
        }
    }
    Ok(())
}
