//! Data collection rules: every data flow with its transformation, wherever in the document the rule stands.

use std::ops::Range;

use serde_json::Value;
use weir_contract::json;
use weir_contract::schema::{Column, ColumnType};
use weir_contract::yaml::pointer_to;

use super::{Content, ReadError, without_prefix};
use crate::query::Query;

pub(super) fn read(file: &str, stem: &str, text: &str) -> Result<Vec<Content>, ReadError> {
    let fail = |line: usize, message: String| ReadError { file: file.to_owned(), line, message };
    let document: Value =
        serde_json::from_str(text).map_err(|error| fail(error.line(), format!("no valid JSON: {error}")))?;
    let mut rules = Vec::new();
    find_rules(&document, String::new(), &mut rules);
    let mut contents = Vec::new();
    for (pointer, rule) in rules {
        let flows = rule.get("dataFlows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (number, flow) in flows.iter().enumerate() {
            let reading = Flow { file, stem, text, rule, flow, pointer: format!("{pointer}/dataFlows/{number}") };
            for stream in flow.get("streams").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
            {
                contents.push(reading.content(stream)?);
            }
        }
    }
    if contents.is_empty() {
        let message = "no data collection rule: nothing here has `dataFlows` with `streams`".to_owned();
        return Err(fail(1, message));
    }
    // One flow is called as its file; several are told apart by their streams, and by number where these repeat.
    if contents.len() > 1 {
        let mut taken: Vec<String> = Vec::new();
        for content in &mut contents {
            let base = format!("{stem}_{}", content.table.as_deref().unwrap_or_default());
            let free = |name: &String| !taken.contains(name);
            let name = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base}_{number}"))).find(free);
            content.name = name.unwrap_or(base);
            taken.push(content.name.clone());
        }
    }
    Ok(contents)
}

/// Objects with `dataFlows` and their JSON pointers: a rule's properties, at the top or inside a template's resources.
fn find_rules<'v>(value: &'v Value, pointer: String, rules: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(keys) if keys.get("dataFlows").is_some_and(Value::is_array) => rules.push((pointer, value)),
        Value::Object(keys) => keys.iter().for_each(|(key, inner)| find_rules(inner, pointer_to(&pointer, key), rules)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(number, inner)| find_rules(inner, format!("{pointer}/{number}"), rules))
        }
        _ => {}
    }
}

/// A data flow of a rule, in the file that has it.
struct Flow<'a> {
    file: &'a str,
    stem: &'a str,
    text: &'a str,
    rule: &'a Value,
    flow: &'a Value,
    pointer: String,
}

impl Flow<'_> {
    /// What the flow makes of a stream.
    fn content(&self, stream: &str) -> Result<Content, ReadError> {
        let fail = |bytes: Option<Range<usize>>, message: String| ReadError {
            file: self.file.to_owned(),
            line: bytes.map_or(1, |bytes| json::line_at(self.text, bytes.start)),
            message,
        };
        let place = |key: &str| json::locate(self.text, &pointer_to(&self.pointer, key));
        let text_of = |key: &str| {
            let text = match self.flow.get(key) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => {
                    literal(text).ok_or("is a template's expression; import the rule as deployed")
                }
                Some(_) => Err("must be text"),
            };
            text.map(Some).map_err(|why| fail(place(key), format!("the data flow of stream `{stream}`: `{key}` {why}")))
        };
        let query = match text_of("transformKql")? {
            None => Query::at("source", 1),
            Some(transform) => {
                let json = place("transformKql");
                let line = json.as_ref().map_or(1, |bytes| json::line_at(self.text, bytes.start));
                Query { text: transform.replace("\r\n", "\n"), line, json }
            }
        };
        let output = text_of("outputStream")?.unwrap_or_else(|| stream.to_owned());
        let declared =
            self.rule.get("streamDeclarations").and_then(|streams| streams.get(stream)?.get("columns")?.as_array());
        let columns = declared.into_iter().flatten().map(|column| {
            let text = |key: &str| column.get(key).and_then(Value::as_str);
            let (Some(name), Some(ty)) = (text("name"), text("type")) else {
                return Err(format!("the declaration of stream `{stream}` has a column without `name` or `type`"));
            };
            let ty: ColumnType = ty
                .to_ascii_lowercase()
                .parse()
                .map_err(|error| format!("the declaration of stream `{stream}`, column `{name}`: {error}"))?;
            Ok(Column::new(name, ty))
        });
        let columns = columns.enumerate().map(|(number, column)| {
            column.map_err(|message| {
                let rule = self.pointer.rsplit_once("/dataFlows/").map_or("", |(rule, _)| rule);
                let stream = pointer_to(&format!("{rule}/streamDeclarations"), stream);
                fail(json::locate(self.text, &format!("{stream}/columns/{number}")), message)
            })
        });
        let columns = columns.collect::<Result<_, _>>()?;
        let (table, target) = (without_prefix(stream).to_owned(), without_prefix(&output).to_owned());
        Ok(Content {
            file: format!("{} ({table} → {target})", self.file),
            path: self.file.to_owned(),
            name: self.stem.to_owned(),
            title: None,
            version: None,
            query,
            filter: None,
            params: Vec::new(),
            columns,
            table: Some(table),
            target: Some(target),
        })
    }
}

/// A template's text: `[…]` is an expression that only a deployment evaluates, `[[` stands for one bracket.
fn literal(text: &str) -> Option<String> {
    let trimmed = text.trim();
    match trimmed.strip_prefix("[[") {
        Some(rest) => Some(format!("[{rest}")),
        None if trimmed.starts_with('[') && trimmed.ends_with(']') => None,
        None => Some(text.to_owned()),
    }
}
