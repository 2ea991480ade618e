//! What the config says about a file source, and which files that means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::GlobBuilder;
use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;
use weir_contract::position::SourceName;
use weir_contract::units::{ByteSize, Span};

use crate::decode::{MAX_CHUNK_BYTES, table_name_fault};
use crate::file::files::{LastLine, Reading};
use crate::file::local::{file_name, is_read};
use crate::source::SourceError;

/// A source that reads log files to their end, and remembers how far it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Files, directories (read with all that is below them) or globs (`*` and `?` within a folder, `**` across
    /// folders, `[ab]`, `{a,b}`). Gzip and zstd are recognised by content. Hidden files, Parquet files and `_delta_log`
    /// folders are skipped.
    pub paths: Vec<String>,
    /// How the files are written; `auto` looks at the beginning of each.
    #[serde(default)]
    pub format: FileFormat,
    /// The table of rows that name none themselves, such as a hunting query's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Text that is read, decoded and acknowledged together.
    #[serde(default = "default_chunk_size")]
    pub chunk_size: ByteSize,
    /// A larger record is refused: it goes to the dead letters in pieces of this size. At most 256MiB.
    #[serde(default = "default_max_record_size")]
    pub max_record_size: ByteSize,
    /// Go on when the end is reached: look for new files and for what was added (default false). `--once` does not.
    #[serde(default)]
    pub follow: bool,
    /// The pause between two such looks.
    #[serde(default = "default_poll_interval")]
    pub poll_interval: Span,
    /// While following, a last line that lacks its line end is taken when its file has not changed for so long. One that
    /// is a whole JSON value is taken at once.
    #[serde(default = "default_close_after")]
    pub close_after: Span,
    /// Keep in `state.directory` how far each file was read, and go on from there at the next start (default true).
    /// False: read everything each time.
    #[serde(default = "default_remember")]
    pub remember: bool,
    /// The zone of the times in CSV columns that are marked `[Local Time]`, as an offset from UTC such as `+02:00`.
    #[serde(default = "default_local_time", skip_serializing_if = "is_default_local_time")]
    pub local_time: String,
}

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// CSV if the file does not begin with `{` or `[` and is called `.csv` or begins with a line of names; else JSON.
    #[default]
    Auto,
    /// JSON Lines, JSON documents one behind the other, or one array or `{"records":[…]}` of any size.
    Json,
    /// CSV with a header line.
    Csv,
}

pub(crate) fn default_chunk_size() -> ByteSize {
    ByteSize(4 << 20)
}

pub(crate) fn default_max_record_size() -> ByteSize {
    ByteSize(64 << 20)
}

fn default_poll_interval() -> Span {
    Span(Duration::from_secs(10))
}

pub(crate) fn default_close_after() -> Span {
    Span(Duration::from_secs(300))
}

pub(crate) fn default_remember() -> bool {
    true
}

pub(crate) fn default_local_time() -> String {
    "+00:00".to_owned()
}

pub(crate) fn is_default_local_time(offset: &str) -> bool {
    offset == default_local_time()
}

impl FileConfig {
    /// The default config for `paths`.
    pub fn new(paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            format: FileFormat::default(),
            table: None,
            chunk_size: default_chunk_size(),
            max_record_size: default_max_record_size(),
            follow: false,
            poll_interval: default_poll_interval(),
            close_after: default_close_after(),
            remember: default_remember(),
            local_time: default_local_time(),
        }
    }

    /// Every value that the source cannot work with, as its key and what is wrong with it. Looks at no file.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.paths.is_empty() {
            faults.push(("paths", "names no file; give at least one file, directory or glob".to_owned()));
        }
        faults.extend(size_faults(self.chunk_size, self.max_record_size));
        if self.poll_interval.0.is_zero() {
            faults.push(("poll_interval", "is 0; write a duration such as `10s`".to_owned()));
        }
        if !is_offset(&self.local_time) {
            faults.push(("local_time", BAD_LOCAL_TIME.to_owned()));
        }
        if let Some(text) = self.table.as_deref().and_then(table_name_fault) {
            faults.push(("table", text));
        }
        faults
    }

    /// The entries of `paths` that give no file to read now: the index of each, and why. Lists folders, opens nothing. A
    /// glob that can't be parsed is among them, as [`SourceError::BadGlob`]. While following, files may come later.
    pub fn unreadable(&self, source_name: &SourceName) -> Vec<(usize, SourceError)> {
        let fault = |(index, pattern): (usize, &String)| {
            let error = files_of(pattern, source_name).err()?;
            (!(self.follow && is_not_there(&error))).then_some((index, error))
        };
        self.paths.iter().enumerate().filter_map(fault).collect()
    }

    /// How the files are read; `once`: whatever `follow` says.
    pub(crate) fn reading(&self, once: bool) -> Reading {
        let follows = self.follow && !once;
        Reading {
            format: self.format,
            table: self.table.clone(),
            chunk_bytes: self.chunk_size.as_usize(),
            max_record_bytes: self.max_record_size.as_usize(),
            local_time: self.local_time.clone(),
            poll_interval: follows.then_some(self.poll_interval.0),
            last_line: if follows { LastLine::Settled(self.close_after.0) } else { LastLine::AtOnce },
            remembers: self.remember,
        }
    }

    /// The files that are there now; where none is yet, none.
    pub(crate) fn present(&self, source_name: &SourceName) -> Result<Vec<PathBuf>, SourceError> {
        self.check(source_name)?;
        let mut files: IndexSet<PathBuf> = IndexSet::new();
        for pattern in &self.paths {
            match files_of(pattern, source_name) {
                Ok(found) => files.extend(found),
                Err(error) if is_not_there(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files.into_iter().collect())
    }

    /// Checks the values and lists the files, each once, in the order of `paths` and sorted within each.
    pub(crate) fn resolve(&self, source_name: &SourceName) -> Result<Vec<PathBuf>, SourceError> {
        self.check(source_name)?;
        let mut files: IndexSet<PathBuf> = IndexSet::new();
        for pattern in &self.paths {
            files.extend(files_of(pattern, source_name)?);
        }
        Ok(files.into_iter().collect())
    }

    fn check(&self, source_name: &SourceName) -> Result<(), SourceError> {
        match self.faults().into_iter().next() {
            Some((key, problem)) => {
                Err(SourceError::Config { source_name: source_name.clone(), key: key.to_owned(), problem })
            }
            None => Ok(()),
        }
    }
}

/// What is wrong with the sizes that every source of files has.
pub(crate) fn size_faults(chunk: ByteSize, record: ByteSize) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    if !(1024..=MAX_CHUNK_BYTES as u64 / 4).contains(&chunk.0) {
        faults.push(("chunk_size", "must lie between 1KiB and 128MiB; 4MiB suits most files".to_owned()));
    }
    if !(1024..=MAX_CHUNK_BYTES as u64 / 2).contains(&record.0) {
        faults.push(("max_record_size", "must lie between 1KiB and 256MiB; 64MiB suits most files".to_owned()));
    }
    faults
}

/// What is said of a `local_time` that [`is_offset`] refuses.
pub(crate) const BAD_LOCAL_TIME: &str = "is no offset from UTC; write it as `+02:00` or `-05:30`";

/// Whether an error says that there is nothing yet, rather than that something is wrong.
fn is_not_there(error: &SourceError) -> bool {
    matches!(error, SourceError::Missing { .. } | SourceError::NothingMatches { .. })
}

/// Whether `text` is `±hh:mm`, no more than the fourteen hours that zones have.
pub(crate) fn is_offset(text: &str) -> bool {
    let [b'+' | b'-', h1, h2, b':', m1, m2] = text.as_bytes() else { return false };
    let are_digits = [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit());
    are_digits && text[1..3] <= *"14" && text[4..6] <= *"59"
}

fn files_of(pattern: &str, source_name: &SourceName) -> Result<Vec<PathBuf>, SourceError> {
    let path = Path::new(pattern);
    let nothing = || SourceError::NothingMatches { source_name: source_name.clone(), pattern: pattern.to_owned() };
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Ok(vec![path.to_owned()]),
        Ok(_) => {
            let files = files_below(path, source_name)?;
            return if files.is_empty() { Err(nothing()) } else { Ok(files) };
        }
        // A path that cannot be looked at is no glob either.
        Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(SourceError::Read { source_name: source_name.clone(), path: path.to_owned(), at: 0, source });
        }
        Err(_) => {}
    }
    if !pattern.contains(['*', '?', '[', '{']) {
        return Err(SourceError::Missing { source_name: source_name.clone(), path: path.to_owned() });
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    let glob = glob.map_err(|source| SourceError::BadGlob {
        source_name: source_name.clone(),
        pattern: pattern.to_owned(),
        source,
    })?;
    let matcher = glob.compile_matcher();
    // The folders before the first wildcard need not be matched, only walked.
    let fixed = &pattern[..pattern.find(['*', '?', '[', '{']).unwrap_or_default()];
    let root = fixed.rfind('/').map_or(Path::new("."), |slash| Path::new(&pattern[..slash.max(1)]));
    if !root.exists() {
        return Err(SourceError::Missing { source_name: source_name.clone(), path: root.to_owned() });
    }
    let shown = |file: &Path| if fixed.contains('/') { file.to_owned() } else { strip_dot(file) };
    let files = files_below(root, source_name)?.into_iter().map(|file| shown(&file));
    let files: Vec<_> = files.filter(|file| matcher.is_match(file)).collect();
    if files.is_empty() { Err(nothing()) } else { Ok(files) }
}

fn strip_dot(file: &Path) -> PathBuf {
    file.strip_prefix(".").unwrap_or(file).to_owned()
}

fn files_below(root: &Path, source_name: &SourceName) -> Result<Vec<PathBuf>, SourceError> {
    let is_read = |entry: &walkdir::DirEntry| entry.depth() == 0 || is_read(&file_name(entry.path()));
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(is_read) {
        let entry = entry.map_err(|cause| SourceError::Read {
            source_name: source_name.clone(),
            path: cause.path().unwrap_or(root).to_owned(),
            at: 0,
            source: cause.into(),
        })?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(paths: &[&str]) -> Result<Vec<String>, SourceError> {
        let files = FileConfig::new(paths.iter().copied()).resolve(&"files".into())?;
        Ok(files.iter().map(|file| file.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn directories_and_globs_are_listed_sorted_without_what_is_no_log() {
        let folder = tempfile::tempdir().expect("temp dir");
        let root = folder.path().to_str().expect("UTF-8");
        for name in ["b.json", "a/c.json", "a/.hidden", "a/d.parquet", "_delta_log/0.json", "a/e.csv"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("temp dir");
            std::fs::write(path, "").expect("temp file");
        }
        let below = |names: &[&str]| names.iter().map(|name| format!("{root}/{name}")).collect::<Vec<_>>();
        assert_eq!(resolve(&[root]).expect("files"), below(&["a/c.json", "a/e.csv", "b.json"]));
        assert_eq!(resolve(&[&format!("{root}/*.json")]).expect("files"), below(&["b.json"]));
        assert_eq!(
            resolve(&[&format!("{root}/**/*.json"), root]).expect("files"),
            below(&["a/c.json", "b.json", "a/e.csv"])
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = resolve(&["/nowhere/x.json"]).expect_err("missing");
        assert!(error.to_string().contains("`/nowhere/x.json` does not exist"), "{error}");
        let error = resolve(&["/nowhere/*.json"]).expect_err("missing");
        assert!(error.to_string().contains("`/nowhere` does not exist"), "{error}");
        let folder = tempfile::tempdir().expect("temp dir");
        let error = resolve(&[folder.path().to_str().expect("UTF-8")]).expect_err("empty");
        assert!(matches!(error, SourceError::NothingMatches { .. }), "{error}");
        assert!(matches!(resolve(&["/tmp/{a"]), Err(SourceError::BadGlob { .. })));
    }

    #[test]
    fn values_out_of_range_are_refused_with_advice() {
        let fault = |change: fn(&mut FileConfig)| {
            let mut config = FileConfig::new(["/"]);
            change(&mut config);
            config.resolve(&"files".into()).expect_err("refused").to_string()
        };
        assert!(fault(|config| config.paths.clear()).contains("`paths` names no file"));
        assert!(fault(|config| config.chunk_size = ByteSize(1)).contains("`chunk_size` must lie"));
        assert!(fault(|config| config.max_record_size = ByteSize(1 << 40)).contains("`max_record_size` must lie"));
        assert!(fault(|config| config.local_time = "CET".into()).contains("`local_time` is no offset"));
        assert!(fault(|config| config.local_time = "+20:00".into()).contains("`local_time` is no offset"));
        assert!(
            fault(|config| config.table = Some("../x".into())).contains("`table` is `../x`, which is no table name")
        );
    }
}
