//! A mapping file: which raw table it reads, which rows it claims, and the KQL that makes ASIM rows of them.
//!
//! The keys are those of Microsoft's own ingest-time ASIM parsers, so that such a file and ours are the same kind of
//! thing. Read here: `SourceRawTable`, `TargetASIMTable`, `ParserFilterQuery` (optional; if absent, the rows that
//! `ParserQuery` makes rows of),
//! `ParserQuery`, and `InputStream` (the raw table's stream name; gives the raw table where `SourceRawTable` is
//! absent). Three keys are Weir's own: `SourceColumns` (the columns of a raw table that Weir does not know),
//! `BatchLookup` (columns that are filled from another raw table's rows of the same batch) and `UnknownColumns` (what a
//! column means that the raw table lacks, where this file differs from the config). Other keys describe the file to
//! people and other tools, and are left alone.

use std::sync::Arc;

use serde_json::{Map, Value};
use weir_contract::schema::{Column, ColumnType};
use weir_contract::yaml::{Document, pointer_to};
use weir_kql::Mode;

pub use crate::query::Query;

/// A mapping as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// What metrics and messages call it: the file's path without `.yaml`, such as
    /// `microsoft/defender-xdr/DeviceProcessEvents`.
    pub name: Arc<str>,
    /// The file, for messages.
    pub file: String,
    /// The version that the file states, under `Version` or `Parser.Version`.
    pub version: Option<Arc<str>>,
    /// The raw table that it reads.
    pub source_table: Arc<str>,
    /// The table that its rows belong to.
    pub target_table: Arc<str>,
    /// Which rows it claims.
    pub filter: Option<Query>,
    /// Makes the target's rows of the claimed ones.
    pub parser: Query,
    /// The raw table's columns, where Weir does not know the table.
    pub source_columns: Vec<Column>,
    /// The columns that rows of another raw table fill.
    pub batch_lookup: Option<BatchLookup>,
    /// What a column means that the raw table lacks; `None`: what the config says.
    pub mode: Option<Mode>,
}

/// Columns that are filled from the rows of another raw table that came in the same batch and have the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchLookup {
    /// The raw table whose rows are looked up.
    pub table: Written,
    /// The column, of both tables, by which rows meet.
    pub key: Written,
    /// The columns that the mapping's raw table gets, in the order of the file: what the mapping calls each, and the
    /// column of the other table that fills it.
    pub columns: Vec<(Arc<str>, Written)>,
}

/// A name and its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The name.
    pub name: Arc<str>,
    /// The line, from 1.
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
        let query = |key: &str| Query::of_key(text, &document, &format!("/{key}"));
        let mode = match text_of("UnknownColumns")? {
            None => None,
            Some("error") => Some(Mode::Strict),
            Some("empty") => Some(Mode::Lenient),
            Some(other) => {
                let message = format!("`UnknownColumns` is `{other}`; expected `error` or `empty`");
                return Err(fail(document.line("/UnknownColumns"), message));
            }
        };
        need("ParserQuery")?;
        Ok(Self {
            name: name.into(),
            file: file.to_owned(),
            version: version(&document.value),
            source_table: source.trim().into(),
            target_table: target.trim().strip_prefix("Microsoft-").unwrap_or(target.trim()).into(),
            filter: text_of("ParserFilterQuery")?.and_then(|_| query("ParserFilterQuery")),
            parser: query("ParserQuery").expect("the key has a text"),
            source_columns: source_columns(&document, keys, fail)?,
            batch_lookup: batch_lookup(&document, keys, fail)?,
            mode,
        })
    }
}

/// The version that a file states; YAML takes `1.0` for a number.
fn version(file: &Value) -> Option<Arc<str>> {
    match file.get("Version").or_else(|| file.pointer("/Parser/Version"))? {
        Value::String(text) => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// The columns of `SourceColumns`: names with their KQL types, in the order written.
fn source_columns(
    document: &Document,
    keys: &Map<String, Value>,
    fail: impl Fn(usize, String) -> MappingError,
) -> Result<Vec<Column>, MappingError> {
    let expected = "`SourceColumns` must hold column names with their types, as in `EventID: int`";
    let columns = match keys.get("SourceColumns") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(columns)) => columns,
        Some(_) => return Err(fail(document.line("/SourceColumns"), expected.to_owned())),
    };
    let mut found = Vec::with_capacity(columns.len());
    for (name, ty) in columns {
        let line = document.line(&pointer_to("/SourceColumns", name));
        let Value::String(ty) = ty else { return Err(fail(line, expected.to_owned())) };
        let ty: ColumnType = ty.parse().map_err(|error| fail(line, format!("column `{name}`: {error}")))?;
        found.push(Column::new(name, ty));
    }
    Ok(found)
}

/// The lookup of `BatchLookup`.
fn batch_lookup(
    document: &Document,
    keys: &Map<String, Value>,
    fail: impl Fn(usize, String) -> MappingError,
) -> Result<Option<BatchLookup>, MappingError> {
    const EXPECTED: &str = "`BatchLookup` must hold `Table` (a raw table), `On` (a column of both tables) and \
                            `Columns` (new columns with those of the table that fill them, as in `InfoTitle: Title`)";
    let wrong = |pointer: &str| fail(document.line(pointer), EXPECTED.to_owned());
    let lookup = match keys.get("BatchLookup") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(lookup)) => lookup,
        Some(_) => return Err(wrong("/BatchLookup")),
    };
    if let Some(key) = lookup.keys().find(|key| !["Table", "On", "Columns"].contains(&key.as_str())) {
        let line = document.line(&pointer_to("/BatchLookup", key));
        return Err(fail(line, format!("`BatchLookup` has a key `{key}`; {EXPECTED}")));
    }
    let written = |value: Option<&Value>, pointer: &str| match value {
        Some(Value::String(name)) if !name.trim().is_empty() => {
            Ok(Written { name: name.trim().into(), line: document.line(pointer) })
        }
        _ => Err(wrong(pointer)),
    };
    let table = written(lookup.get("Table"), "/BatchLookup/Table")?;
    let key = written(lookup.get("On"), "/BatchLookup/On")?;
    let columns = match lookup.get("Columns") {
        Some(Value::Object(columns)) if !columns.is_empty() => columns.iter(),
        _ => return Err(wrong("/BatchLookup/Columns")),
    };
    let columns = columns.map(|(name, source)| {
        let source = written(Some(source), &pointer_to("/BatchLookup/Columns", name))?;
        Ok((name.as_str().into(), source))
    });
    Ok(Some(BatchLookup { table, key, columns: columns.collect::<Result<_, _>>()? }))
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
        assert_eq!(mapping.parser, Query::at("Fw_CL\n| extend b = 2\n", 6));
        assert_eq!(mapping.filter.expect("given").line, 4);
    }

    #[test]
    fn columns_of_an_unknown_table_are_declared_with_types() {
        let file = format!("{FILE}UnknownColumns: empty\nSourceColumns:\n  a: int\n  b: boolean\n");
        let mapping = Mapping::parse("x", "x.yaml", &file).expect("valid");
        assert_eq!(mapping.mode, Some(Mode::Lenient));
        assert_eq!(mapping.source_columns, [Column::new("a", ColumnType::Int), Column::new("b", ColumnType::Bool)]);
        let wrong = format!("{FILE}SourceColumns:\n  a: int\n  b: text\n");
        let error = Mapping::parse("x", "x.yaml", &wrong).expect_err("no such type").to_string();
        assert!(error.starts_with("x.yaml:10: column `b`: `text` is no column type"), "{error}");
        let wrong = format!("{FILE}UnknownColumns: skip\n");
        let error = Mapping::parse("x", "x.yaml", &wrong).expect_err("no such choice").to_string();
        assert_eq!(error, "x.yaml:8: `UnknownColumns` is `skip`; expected `error` or `empty`");
    }

    #[test]
    fn a_lookup_is_read_with_the_lines_of_its_names_and_a_faulty_one_told() {
        let lookup = |lines: &str| Mapping::parse("x", "x.yaml", &format!("{FILE}BatchLookup:\n{lines}"));
        let read = lookup("  Table: Info\n  On: Id\n  Columns:\n    InfoTitle: Title\n    A: B\n").expect("valid");
        let at = |name: &str, line| Written { name: name.into(), line };
        let columns = vec![("InfoTitle".into(), at("Title", 12)), ("A".into(), at("B", 13))];
        let expected = BatchLookup { table: at("Info", 9), key: at("Id", 10), columns };
        assert_eq!(read.batch_lookup, Some(expected));
        for (lines, line, says) in [
            ("  Table: Info\n  Key: Id\n", 10, "`BatchLookup` has a key `Key`; `BatchLookup` must hold `Table`"),
            ("  Table: Info\n  Columns: {A: B}\n", 8, "`BatchLookup` must hold `Table` (a raw table), `On`"),
            ("  Table: Info\n  On: Id\n  Columns: {}\n", 11, "`BatchLookup` must hold"),
            ("  Table: Info\n  On: Id\n  Columns:\n    A: 1\n", 12, "`BatchLookup` must hold"),
            ("  - Info\n", 8, "`BatchLookup` must hold"),
        ] {
            let error = lookup(lines).expect_err("faulty").to_string();
            assert!(error.starts_with(&format!("x.yaml:{line}: {says}")), "{error}");
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = Mapping::parse("x", "x.yaml", "SourceRawTable: A\nTargetASIMTable: B\n").expect_err("incomplete");
        assert_eq!(error.to_string(), "x.yaml:1: the key `ParserQuery` is missing or empty");
    }
}
