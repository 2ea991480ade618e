//! KQL written elsewhere, made mappings of: official ASIM parsers (of query time and of ingest time), plain queries, and
//! the transformations of data collection rules.
//!
//! [`read`] finds the queries of a file; [`import`] binds one to the raw tables that it reads. The query's own text stays
//! as it is. What a mapping needs beside it is put around it: the defaults of the parser's parameters before it, on its
//! first line, and after it a `project` of the columns that the target stores. Each file that results is compiled as `weir
//! run` will compile it before it counts as imported.

mod bind;
mod dcr;
mod finding;
mod mapping_file;
pub(crate) mod params;
mod parser;

use std::path::Path;

use weir_contract::schema::Column;

pub use self::bind::{Imported, Options, import, read_columns};
pub use self::finding::{Finding, Kind, Severity};
pub use self::mapping_file::MappingFile;
pub use self::params::Param;
use crate::query::Query;

/// A query found in a file.
#[derive(Debug, Clone)]
pub struct Content {
    /// The file, for messages; with the place within it where one file has several queries.
    pub file: String,
    /// The file alone.
    pub path: String,
    /// What its mapping will be called.
    pub name: String,
    /// What the file says it is.
    pub title: Option<String>,
    /// The file's version of it.
    pub version: Option<String>,
    /// Makes the target's rows.
    pub query: Query,
    /// Which rows it claims.
    pub filter: Option<Query>,
    /// Values that it expects from outside.
    pub params: Vec<Param>,
    /// The raw table, if the file names one.
    pub table: Option<String>,
    /// The target table, if the file names one.
    pub target: Option<String>,
    /// The raw table's columns, if the file has them.
    pub columns: Vec<Column>,
}

/// A file that holds no query that could be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct ReadError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what is expected.
    pub message: String,
}

/// The queries in `text`, the content of the file at `path`: `.yaml` and `.yml` are parsers, `.json` rules with
/// transformations (an ARM template too), everything else is one query.
pub fn read(path: &Path, text: &str) -> Result<Vec<Content>, ReadError> {
    let file = path.display().to_string();
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}');
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => parser::read(&file, &stem, text).map(|content| vec![content]),
        Some("json") => dcr::read(&file, &stem, text),
        _ if text.trim().is_empty() => {
            Err(ReadError { file, line: 1, message: "the file is empty; expected a query".to_owned() })
        }
        _ => Ok(vec![Content {
            path: file.clone(),
            file,
            name: stem,
            title: None,
            version: None,
            query: Query::at(text, 1),
            filter: None,
            params: Vec::new(),
            table: None,
            target: None,
            columns: Vec::new(),
        }]),
    }
}

/// A stream's name without what Azure puts before it: `Custom-Fw_CL` and `Microsoft-Syslog` are `Fw_CL` and `Syslog`.
pub(crate) fn without_prefix(stream: &str) -> &str {
    let stream = stream.trim();
    stream.strip_prefix("Custom-").or(stream.strip_prefix("Microsoft-")).unwrap_or(stream)
}
