//! The text of a mapping file.

use std::fmt::Write as _;

use weir_contract::schema::Column;

/// What a mapping file says.
pub(super) struct MappingFile<'a> {
    pub(super) name: &'a str,
    pub(super) title: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    /// Where it came from.
    pub(super) origin: &'a str,
    pub(super) table: &'a str,
    pub(super) target: &'a str,
    pub(super) lenient: bool,
    pub(super) columns: &'a [Column],
    pub(super) filter: Option<&'a str>,
    pub(super) query: &'a str,
}

impl MappingFile<'_> {
    /// The file, as YAML. Queries stand in literal blocks, line by line as they are.
    pub(super) fn to_yaml(&self) -> String {
        let mut text = format!("# Imported from {}.\n", one_line(self.origin));
        let mut key = |key: &str, value: &str| {
            let _ = writeln!(text, "{key}: {}", quoted(value));
        };
        key("Name", self.name);
        if let Some(title) = self.title {
            key("Title", title);
        }
        if let Some(version) = self.version {
            key("Version", version);
        }
        key("SourceRawTable", self.table);
        key("TargetASIMTable", self.target);
        if self.lenient {
            key("UnknownColumns", "empty");
        }
        if !self.columns.is_empty() {
            text.push_str("SourceColumns:\n");
            for column in self.columns {
                let _ = writeln!(text, "  {}: {}", quoted(&column.name), column.ty);
            }
        }
        if let Some(filter) = self.filter {
            block(&mut text, "ParserFilterQuery", filter);
        }
        block(&mut text, "ParserQuery", self.query);
        text
    }
}

/// A literal block; the indentation is told, as the first line may have one of its own.
fn block(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key}: |2");
    for line in value.lines() {
        let line = line.trim_end();
        if line.is_empty() {
            text.push('\n');
        } else {
            let _ = writeln!(text, "  {line}");
        }
    }
}

/// A text as YAML: bare where it is a word, else in JSON's quotes, which YAML reads.
fn quoted(value: &str) -> String {
    let is_word = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&value.to_ascii_lowercase().as_str());
    if is_word { value.to_owned() } else { serde_json::Value::from(one_line(value)).to_string() }
}

fn one_line(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
