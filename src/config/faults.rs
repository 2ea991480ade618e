//! Faults of a config file: all at once, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};

use weir_contract::yaml::Document;

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

/// Collects the faults of one document.
pub(super) struct Collector<'d> {
    document: &'d Document,
    faults: Vec<Fault>,
}

/// All faults of a config and of the mappings that it names, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigFaults {
    file: PathBuf,
    faults: Vec<Fault>,
    /// Ready to print, each with its own file, line and column.
    mappings: Vec<String>,
}

impl<'d> Collector<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self { document, faults: Vec::new() }
    }

    pub(super) fn document(&self) -> &'d Document {
        self.document
    }

    /// Notes a fault of the value at `pointer`, or of the nearest value around it that is written down.
    pub(super) fn add(&mut self, pointer: &str, message: String) {
        self.faults.push(Fault { line: Some(self.document.line(pointer)), key: dotted(pointer), message });
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }
}

impl ConfigFaults {
    /// Faults of `file`, sorted by line, and of its mappings; `None` if there are none.
    pub(crate) fn new(file: &Path, mut faults: Vec<Fault>, mappings: Vec<String>) -> Option<Self> {
        faults.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        faults.dedup();
        let is_faulty = !(faults.is_empty() && mappings.is_empty());
        is_faulty.then(|| Self { file: file.to_owned(), faults, mappings })
    }

    /// Faults of mappings alone, each ready to print.
    pub(crate) fn of_mappings(mappings: Vec<String>) -> Self {
        Self { file: PathBuf::new(), faults: Vec::new(), mappings }
    }

    /// The faults of the mappings, ready to print.
    pub(crate) fn into_mappings(self) -> Vec<String> {
        self.mappings
    }

    /// The number of faults.
    pub(crate) fn len(&self) -> usize {
        self.faults.len() + self.mappings.len()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.faults.iter().map(|fault| fault.in_file(&self.file));
        let mappings = self.mappings.iter().map(|text| text.trim_end().to_owned());
        f.write_str(&own.chain(mappings).collect::<Vec<_>>().join("\n"))
    }
}

impl Fault {
    /// The fault as a line that begins with its place in `file`.
    pub(crate) fn in_file(&self, file: &Path) -> String {
        let line = self.line.map(|line| format!("{line}:")).unwrap_or_default();
        let key = if self.key.is_empty() { String::new() } else { format!(" `{}`:", self.key) };
        format!("{}:{line}{key} {}", file.display(), self.message)
    }
}

impl std::error::Error for ConfigFaults {}

/// `/sources/0/kafka` → `sources[0].kafka`.
pub(super) fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push('[');
            path.push_str(step);
            path.push(']');
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}
