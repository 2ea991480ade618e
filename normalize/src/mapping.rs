//! A mapping file: which raw table it reads, which rows it claims, and the KQL that makes ASIM rows of them.
//!
//! The keys are those of Microsoft's own ingest-time ASIM parsers, so that such a file and ours are the same kind of
//! thing. Read here: `SourceRawTable`, `TargetASIMTable`, `ParserFilterQuery` (optional; all rows if absent),
//! `ParserQuery`, and `InputStream` (the raw table's stream name; gives the raw table where `SourceRawTable` is
//! absent). Other keys describe the file to people and other tools, and are left alone.

use std::sync::Arc;

use serde_json::Value;
use weir_contract::yaml::Document;

/// A mapping as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// What metrics and messages call it: the file's path without `.yaml`, such as
    /// `microsoft/defender-xdr/DeviceProcessEvents`.
    pub name: Arc<str>,
    /// The file, for messages.
    pub file: String,
    /// The raw table that it reads.
    pub source_table: Arc<str>,
    /// The table that its rows belong to.
    pub target_table: Arc<str>,
    /// Which rows it claims.
    pub filter: Option<Query>,
    /// Makes the target's rows of the claimed ones.
    pub parser: Query,
}

/// KQL text and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text.
    pub text: String,
    /// The line of the file (from 1) that the text's first line stands in.
    pub line: usize,
}

/// A file that is no mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct MappingError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what is expected.
    pub message: String,
}

impl Mapping {
    /// Reads a mapping file. `file` is its path as messages show it, `name` what it will be called.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, MappingError> {
        let fail = |line: usize, message: String| MappingError { file: file.to_owned(), line, message };
        let document = Document::parse(text).map_err(|error| fail(error.line, error.message))?;
        let Value::Object(keys) = &document.value else {
            return Err(fail(
                1,
                "a mapping file is a YAML mapping with `SourceRawTable`, `TargetASIMTable` and \
                                `ParserQuery`"
                    .to_owned(),
            ));
        };
        let text_of = |key: &str| -> Result<Option<&str>, MappingError> {
            match keys.get(key) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(value)) if value.trim().is_empty() => Ok(None),
                Some(Value::String(value)) => Ok(Some(value)),
                Some(_) => Err(fail(document.line(&format!("/{key}")), format!("`{key}` must be text"))),
            }
        };
        let need = |key: &str| -> Result<&str, MappingError> {
            text_of(key)?.ok_or_else(|| fail(1, format!("the key `{key}` is missing or empty")))
        };
        let source = match text_of("SourceRawTable")? {
            Some(table) => table,
            None => {
                let stream = need("InputStream")?;
                stream.strip_prefix("Custom-").or(stream.strip_prefix("Microsoft-")).unwrap_or(stream)
            }
        };
        let target = need("TargetASIMTable")?;
        let query = |key: &str, value: &str| Query {
            text: value.to_owned(),
            line: first_line_of(text, document.line(&format!("/{key}")), value),
        };
        Ok(Self {
            name: name.into(),
            file: file.to_owned(),
            source_table: source.trim().into(),
            target_table: target.trim().strip_prefix("Microsoft-").unwrap_or(target.trim()).into(),
            filter: text_of("ParserFilterQuery")?.map(|value| query("ParserFilterQuery", value)),
            parser: query("ParserQuery", need("ParserQuery")?),
        })
    }
}

/// The line of a key's text: the key's own line, or the next one for a block scalar (`key: |`).
fn first_line_of(file: &str, key_line: usize, value: &str) -> usize {
    let start = value.lines().next().unwrap_or_default().trim();
    let on_key_line = file.lines().nth(key_line - 1).is_some_and(|line| line.contains(start) && !start.is_empty());
    if on_key_line { key_line } else { key_line + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "InputStream: Custom-Fw\nSourceRawTable: Fw_CL\nTargetASIMTable: Microsoft-ASimDnsActivityLogs\n\
                        ParserFilterQuery: Fw_CL | where a == 1\nParserQuery: |\n  Fw_CL\n  | extend b = 2\n";

    #[test]
    fn a_file_with_the_keys_of_ingest_time_parsers_is_read() {
        let mapping = Mapping::parse("x/y", "x/y.yaml", FILE).expect("valid");
        assert_eq!(&*mapping.source_table, "Fw_CL");
        assert_eq!(&*mapping.target_table, "ASimDnsActivityLogs");
        assert_eq!(mapping.parser, Query { text: "Fw_CL\n| extend b = 2\n".to_owned(), line: 6 });
        assert_eq!(mapping.filter.expect("given").line, 4);
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = Mapping::parse("x", "x.yaml", "SourceRawTable: A\nTargetASIMTable: B\n").expect_err("incomplete");
        assert_eq!(error.to_string(), "x.yaml:1: the key `ParserQuery` is missing or empty");
    }
}
