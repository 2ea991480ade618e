//! The text of a mapping file.

use std::fmt::Write as _;

use weir_contract::schema::Column;

/// What a mapping file says.
#[derive(Debug, Clone, Copy)]
pub struct MappingFile<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What it is.
    pub title: Option<&'a str>,
    /// Its version.
    pub version: Option<&'a str>,
    /// What its first line says.
    pub remark: &'a str,
    /// The raw table that it reads.
    pub table: &'a str,
    /// The table that its rows belong to.
    pub target: &'a str,
    /// Whether a column that the raw table lacks is empty.
    pub lenient: bool,
    /// The columns of a raw table that Weir does not know.
    pub columns: &'a [Column],
    /// Which rows it claims.
    pub filter: Option<&'a str>,
    /// Makes the rows.
    pub query: &'a str,
}

impl MappingFile<'_> {
    /// The file, as YAML. Queries stand in literal blocks, line by line as they are.
    pub fn to_yaml(&self) -> String {
        let mut text = format!("# {}\n", one_line(self.remark));
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
