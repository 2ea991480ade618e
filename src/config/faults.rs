//! Faults of a config file: all at once, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line, from 1; `None` where the fault is not in the text.
    pub(crate) line: Option<usize>,
    /// The key, as a dotted path such as `sources[0].kafka.group`; empty for the document.
    pub(crate) key: String,
    /// What is wrong, and what to write instead.
    pub(crate) message: String,
}

/// All faults of one file, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFaults {
    file: PathBuf,
    faults: Vec<Fault>,
}

impl ConfigFaults {
    /// Faults of `file`, sorted by line; `None` if there are none.
    pub(crate) fn new(file: &Path, mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        faults.dedup();
        (!faults.is_empty()).then(|| Self { file: file.to_owned(), faults })
    }

    /// One fault.
    pub(crate) fn single(file: &Path, line: Option<usize>, message: String) -> Self {
        Self { file: file.to_owned(), faults: vec![Fault { line, key: String::new(), message }] }
    }

    /// The number of faults.
    pub(crate) fn len(&self) -> usize {
        self.faults.len()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file.display())?;
            if let Some(line) = fault.line {
                write!(f, "{line}:")?;
            }
            if !fault.key.is_empty() {
                write!(f, " `{}`:", fault.key)?;
            }
            write!(f, " {}", fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}
