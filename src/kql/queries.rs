//! A file with KQL: one query or stored function, a YAML file with queries under known keys, or a data collection rule
//! with transformations.
//!
//! What the compiler says of a query is told at its place in the file. Inside a YAML block scalar (`key: |`) that place is
//! exact; text that YAML folds or quotes is told by the line of its key. Inside a JSON string the place in the file is exact,
//! and the lines that people see are the query's.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use weir_contract::json;
use weir_contract::schema::TableSchema;
use weir_contract::yaml::{Document, pointer_to};
use weir_kql::Diagnostic;
use weir_normalize::import;

use super::find::Found;
use super::report::Finding;

/// Keys of YAML files whose text is KQL: those of mapping files, ASIM parsers, and analytics and hunting rules.
const QUERY_KEYS: [&str; 5] = ["ParserQuery", "ParserFilterQuery", "FunctionQuery", "query", "filter"];

/// A file that was read.
#[derive(Debug)]
pub(super) struct QueryFile {
    /// As messages show it.
    pub(super) name: String,
    pub(super) text: String,
    /// The YAML document, of such a file.
    pub(super) document: Option<Document>,
    /// In the order of the file.
    pub(super) queries: Vec<Query>,
}

/// One query of a file.
#[derive(Debug)]
pub(super) struct Query {
    /// The key that it stands under; `None` where it is the whole file.
    pub(super) key: Option<String>,
    pub(super) text: String,
    pub(super) place: Place,
    /// Of a data collection rule: the stream that the query reads, under its table's name, with the columns that the rule
    /// declares.
    pub(super) stream: Option<TableSchema>,
}

/// Where a query's text stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the file.
    Whole,
    /// A literal block scalar: these bytes of the file, each line indented by so many blanks.
    Block { bytes: Range<usize>, indent: usize },
    /// Text that YAML changes while it reads it; its first line, from 1.
    Changed { line: usize },
    /// A JSON string: these bytes of the file, with the quotes.
    Json { bytes: Range<usize> },
}

impl QueryFile {
    /// Reads a file; `-` is standard input, which messages call `stdin_name`, and whose kind is told by that name.
    /// `None`: a YAML file without queries, which nobody asked for.
    pub(super) fn read(found: &Found, stdin_name: &str) -> Result<Option<Self>, Box<Finding>> {
        let is_stdin = found.path.as_os_str() == "-";
        let name = if is_stdin { stdin_name.to_owned() } else { found.path.display().to_string() };
        let mut bytes = Vec::new();
        let read = match is_stdin {
            true => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
            false => std::fs::read(&found.path),
        };
        let unreadable = |message: String| Box::new(Finding::of_file(&name, message));
        let bytes = read.map_err(|cause| unreadable(format!("cannot be read: {cause}")))?;
        let text = String::from_utf8(bytes).map_err(|_| unreadable("is not UTF-8 text".to_owned()))?;
        // A byte order mark is no part of the query.
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        if Path::new(&name).extension().is_some_and(|ending| ending == "json") {
            return Self::of_rule(name, text).map(Some);
        }
        let is_yaml = Path::new(&name).extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if !is_yaml {
            let query = Query { key: None, text: text.clone(), place: Place::Whole, stream: None };
            return Ok(Some(Self { name, text, document: None, queries: vec![query] }));
        }
        let mut file = Self { name, text, document: None, queries: Vec::new() };
        let document =
            Document::parse(&file.text).map_err(|error| Box::new(file.at_line(error.line, error.message, None)))?;
        file.collect(&document, &document.value, "");
        file.queries.sort_by_key(|query| match &query.place {
            Place::Whole => 0,
            Place::Block { bytes, .. } | Place::Json { bytes } => file.text[..bytes.start].matches('\n').count() + 1,
            Place::Changed { line } => *line,
        });
        if file.queries.is_empty() {
            let keys = QUERY_KEYS.map(|key| format!("`{key}`")).join(", ");
            let missing = || file.at_line(1, "has no query".to_owned(), Some(format!("a query stands under {keys}")));
            return if found.named { Err(Box::new(missing())) } else { Ok(None) };
        }
        file.document = Some(document);
        Ok(Some(file))
    }

    /// A data collection rule, or a template with such: a query for each stream of a flow with a transformation.
    fn of_rule(name: String, text: String) -> Result<Self, Box<Finding>> {
        let mut file = Self { name, text, document: None, queries: Vec::new() };
        let flows = import::read(Path::new(&file.name), &file.text);
        let flows = flows.map_err(|error| Box::new(file.at_line(error.line, error.message, None)))?;
        for flow in flows {
            let Some(bytes) = flow.query.json else { continue };
            file.queries.push(Query {
                key: Some("transformKql".to_owned()),
                text: flow.query.text,
                place: Place::Json { bytes },
                stream: flow.table.map(|name| TableSchema { name: name.as_str().into(), columns: flow.columns }),
            });
        }
        if file.queries.is_empty() {
            let help = "a query stands under `transformKql` of a data flow".to_owned();
            return Err(Box::new(file.at_line(1, "has no query".to_owned(), Some(help))));
        }
        Ok(file)
    }

    fn collect(&mut self, document: &Document, value: &Value, pointer: &str) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let pointer = pointer_to(pointer, key);
                    match value {
                        Value::String(query) if QUERY_KEYS.contains(&key.as_str()) && !query.trim().is_empty() => {
                            let line = document.line(&pointer);
                            let place = block(&self.text, line, query).unwrap_or(Place::Changed {
                                line: if block_header(self.text.lines().nth(line - 1)).is_some() {
                                    line + 1
                                } else {
                                    line
                                },
                            });
                            self.queries.push(Query {
                                key: Some(key.clone()),
                                text: query.clone(),
                                place,
                                stream: None,
                            });
                        }
                        value => self.collect(document, value, &pointer),
                    }
                }
            }
            Value::Array(values) => {
                for (number, value) in values.iter().enumerate() {
                    self.collect(document, value, &format!("{pointer}/{number}"));
                }
            }
            _ => {}
        }
    }

    /// What the compiler says of one of the file's queries, at its place in the file.
    pub(super) fn finding(&self, query: &Query, diagnostic: &Diagnostic) -> Finding {
        // What is missing at the end is shown behind the last word, not on an empty line.
        let end = query.text.trim_end().len();
        let span = diagnostic.span.start.min(end)..diagnostic.span.end.min(end);
        let diagnostic = &Diagnostic { span, ..diagnostic.clone() };
        match &query.place {
            Place::Whole => Finding::new(&self.name, &self.text, 1, diagnostic),
            Place::Block { bytes, indent } => {
                let place = |position| in_block(&self.text, bytes, *indent, &query.text, position);
                let span = place(diagnostic.span.start)..place(diagnostic.span.end);
                Finding::new(&self.name, &self.text, 1, &Diagnostic { span, ..diagnostic.clone() })
            }
            Place::Changed { line } => Finding::new(&self.name, &query.text, *line, diagnostic),
            Place::Json { bytes } => {
                let place = |position| in_json(&self.text, bytes, &query.text, position);
                let span = place(diagnostic.span.start)..place(diagnostic.span.end);
                let found = Finding::new(&self.name, &self.text, 1, &Diagnostic { span, ..diagnostic.clone() });
                // The file's line has all of the query: people read it line by line.
                let label = format!("{}:{}:{}, query", self.name, found.line, found.column);
                Finding { rendered: diagnostic.render(&label, &query.text, 1), ..found }
            }
        }
    }

    /// An error that a line of the file (from 1) is to blame for.
    pub(super) fn at_line(&self, line: usize, message: String, help: Option<String>) -> Finding {
        let start = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
        let end = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
        Finding::new(&self.name, &self.text, 1, &Diagnostic { help, ..Diagnostic::error(start..end, message) })
    }
}

/// The header of a block scalar that begins in a line, such as the `|-` of `key: |-`.
fn block_header(line: Option<&str>) -> Option<&str> {
    let (_, value) = line?.split_once(": ")?;
    let header = value.split(" #").next().unwrap_or_default().trim();
    (header.starts_with(['|', '>']) && header.len() <= 3).then_some(header)
}

/// The place of a literal block scalar whose key stands in line `key_line`, if `value` is what it reads as.
fn block(file: &str, key_line: usize, value: &str) -> Option<Place> {
    // A folded one (`>`) reads as other lines than it has.
    block_header(file.lines().nth(key_line - 1)).filter(|header| header.starts_with('|'))?;
    let start = file.split_inclusive('\n').take(key_line).map(str::len).sum::<usize>();
    let lines = || file[start..].split_inclusive('\n');
    let indent_of = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let indent = lines().find(|line| !line.trim().is_empty()).map(indent_of)?;
    // The text that the block reads as, line by line; blank lines at its end belong to whoever comes next.
    let expected: Vec<&str> = value.trim_end().lines().collect();
    let mut end = start;
    for (line, expected) in lines().zip(&expected) {
        let text = line.trim_end_matches(['\n', '\r']);
        if text.get(indent.min(indent_of(text))..)? != *expected {
            return None;
        }
        end += line.len();
    }
    (lines().count() >= expected.len()).then_some(Place::Block { bytes: start..end, indent })
}

/// The position in the file of a position in a block's text.
fn in_block(file: &str, bytes: &Range<usize>, indent: usize, query: &str, position: usize) -> usize {
    let position = position.min(query.len());
    let before = &query.as_bytes()[..position];
    let number = before.iter().filter(|byte| **byte == b'\n').count();
    let column = position - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let mut start = bytes.start;
    for (at, line) in file[bytes.clone()].split_inclusive('\n').enumerate() {
        if at == number {
            let width = line.trim_end_matches(['\n', '\r']).len();
            return start + (indent.min(width) + column).min(width);
        }
        start += line.len();
    }
    bytes.end.min(file.len())
}

/// The position in the file of a position in a query that a JSON string holds. The query begins behind a template's escape
/// (`[[` for `[`), and its lines end without carriage returns.
fn in_json(file: &str, bytes: &Range<usize>, query: &str, position: usize) -> usize {
    let token = &file[bytes.clone()];
    let written: String = serde_json::from_str(token).unwrap_or_default();
    let mut at = written.find("[[").filter(|_| written.trim_start().starts_with("[[")).map_or(0, |start| start + 1);
    for byte in &query.as_bytes()[..position.min(query.len())] {
        at += if *byte == b'\n' && written.as_bytes().get(at) == Some(&b'\r') { 2 } else { 1 };
    }
    bytes.start + json::position_in_string(token, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> QueryFile {
        let mut file =
            QueryFile { name: "x.yaml".to_owned(), text: text.to_owned(), document: None, queries: Vec::new() };
        let document = Document::parse(text).expect("YAML");
        file.collect(&document, &document.value, "");
        file
    }

    #[test]
    fn a_place_in_a_block_is_the_place_in_the_file() {
        let file = yaml("a: 1\nrule:\n  query: |-\n    T\n\n    | where Nmae == 'ä'\n\n  other: 2\n");
        let [query] = file.queries.as_slice() else { panic!("one query: {file:?}") };
        assert_eq!(query.text, "T\n\n| where Nmae == 'ä'");
        let start = query.text.find("Nmae").expect("there");
        let finding = file.finding(query, &Diagnostic::error(start..start + 4, "no"));
        assert_eq!((finding.line, finding.column, finding.end_line, finding.end_column), (6, 13, 6, 17));
        let end = file.finding(query, &Diagnostic::error(query.text.len()..query.text.len(), "more"));
        assert_eq!((end.line, end.column), (6, 24));
    }

    #[test]
    fn text_that_yaml_changes_is_told_by_its_line() {
        let file = yaml("query: >\n  T | take 5\nfilter: 'T | where x == ''y'''\nFunctionQuery: T\n");
        let places: Vec<Place> = file.queries.iter().map(|query| query.place.clone()).collect();
        assert_eq!(places, [2, 3, 4].map(|line| Place::Changed { line }));
    }

    #[test]
    fn lines_that_end_as_windows_ends_them_keep_their_places() {
        let file = yaml("query: | # as it is\r\n  T\r\n  | take x\r\n");
        let query = &file.queries[0];
        assert!(matches!(query.place, Place::Block { indent: 2, .. }), "{query:?}");
        let start = query.text.find('x').expect("there");
        let finding = file.finding(query, &Diagnostic::error(start..start + 1, "no"));
        assert_eq!((finding.line, finding.column), (3, 10));
    }
}
