//! KQL that stands in a file: its text, and the line that its first line has there.

use std::ops::Range;

use serde_json::Value;
use weir_contract::yaml::Document;
use weir_kql::Diagnostic;

/// KQL text and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text.
    pub text: String,
    /// The line of the file (from 1) that the text's first line stands in.
    pub line: usize,
    /// Of a text that is a JSON string: the bytes of the file where it stands, with its quotes. All of its lines are in one
    /// line of the file, as `\n`.
    pub json: Option<Range<usize>>,
}

impl Query {
    /// A text whose lines are lines of its file, from line `line` on.
    pub fn at(text: impl Into<String>, line: usize) -> Self {
        Self { text: text.into(), line, json: None }
    }

    /// The text of the YAML key at `pointer` (`/ParserQuery`) as it stands in `file`, the file's whole text.
    ///
    /// YAML folds the lines of a plain or `>` scalar into one, where a `//` comment would swallow all that follows it:
    /// such a text is read again from the file's own lines. `None` if there is no text under the key.
    pub(crate) fn of_key(file: &str, document: &Document, pointer: &str) -> Option<Self> {
        let Some(Value::String(value)) = document.value.pointer(pointer) else { return None };
        let line = document.line(pointer);
        let lines: Vec<&str> = file.lines().collect();
        let key_line = lines.get(line - 1).copied().unwrap_or_default();
        let written = key_line.split_once(':').map_or("", |(_, written)| written.trim_start());
        let plain = || Self::at(value.clone(), line);
        match written.chars().next() {
            Some('|') => Some(Self::at(value.clone(), line + 1)),
            Some('"' | '\'') => Some(plain()),
            Some('>') => Some(Self::at(own_lines(&lines, line), line + 1)),
            None => Some(Self::at(own_lines(&lines, line), line + 1)).filter(|query| !query.text.is_empty()),
            Some(_) => match own_lines(&lines, line) {
                more if more.is_empty() => Some(plain()),
                more => Some(Self::at(format!("{written}\n{more}"), line)),
            },
        }
    }

    /// The line of the file that byte `position` of the text stands in.
    pub fn line_of(&self, position: usize) -> usize {
        if self.json.is_some() {
            return self.line;
        }
        let before = &self.text.as_bytes()[..position.min(self.text.len())];
        self.line + before.iter().filter(|byte| **byte == b'\n').count()
    }

    /// A diagnostic with its source line and its place in `file`. In a JSON string, the place is the file's line, and line
    /// and column within the text.
    pub fn render(&self, file: &str, diagnostic: &Diagnostic) -> String {
        match &self.json {
            Some(_) => diagnostic.render(&format!("{file}:{}, query", self.line), &self.text, 1),
            None => diagnostic.render(file, &self.text, self.line),
        }
    }
}

/// The lines below a key that are indented deeper than it, without their common indentation.
fn own_lines(lines: &[&str], key_line: usize) -> String {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let outer = indentation(lines[key_line - 1]);
    let below: Vec<&str> = lines[key_line..]
        .iter()
        .copied()
        .take_while(|line| line.trim().is_empty() || indentation(line) > outer)
        .collect();
    let inner = below.iter().filter(|line| !line.trim().is_empty()).map(|line| indentation(line)).min().unwrap_or(0);
    let dedented: Vec<&str> = below.iter().map(|line| line.get(inner..).unwrap_or_default().trim_end()).collect();
    dedented.join("\n").trim_end().to_owned()
}

/// A column's name as KQL takes it: bare where it is a word, else in brackets.
pub fn quoted_name(name: &str) -> String {
    let is_word = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_word { name.to_owned() } else { format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str) -> Query {
        Query::of_key(file, &Document::parse(file).expect("YAML"), "/ParserQuery").expect("text")
    }

    #[test]
    fn a_literal_block_is_taken_as_yaml_reads_it() {
        let query = read("A: 1\nParserQuery: |\n  T // raw\n    | take 1\n");
        assert_eq!(query, Query::at("T // raw\n  | take 1\n", 3));
        assert_eq!(query.line_of(query.text.find("take").expect("there")), 4);
    }

    #[test]
    fn lines_that_yaml_would_fold_are_kept() {
        let expected = "T // all of it\n| where a == 1";
        assert_eq!(read("ParserQuery:\n  T // all of it\n  | where a == 1\nB: 2\n"), Query::at(expected, 2));
        assert_eq!(read("A: 0\nParserQuery: T // all of it\n  | where a == 1\n"), Query::at(expected, 2));
        assert_eq!(read("ParserQuery: >-\n    T // all of it\n    | where a == 1\n\nB: x\n"), Query::at(expected, 2));
    }

    #[test]
    fn a_text_on_the_keys_own_line_stands_there() {
        assert_eq!(read("ParserQuery: T | take 1\n"), Query::at("T | take 1", 1));
        assert_eq!(read("A: 1\nParserQuery: \"T | take 1\"\n"), Query::at("T | take 1", 2));
    }
}
