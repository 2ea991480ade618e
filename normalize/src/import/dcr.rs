//! Data collection rules: every data flow with its transformation, wherever in the document the rule stands.

use serde_json::Value;
use weir_contract::schema::{Column, ColumnType};

use super::{Content, ReadError, without_prefix};
use crate::query::Query;

pub(super) fn read(file: &str, stem: &str, text: &str) -> Result<Vec<Content>, ReadError> {
    let fail = |line: usize, message: String| ReadError { file: file.to_owned(), line, message };
    let document: Value =
        serde_json::from_str(text).map_err(|error| fail(error.line(), format!("no valid JSON: {error}")))?;
    let mut rules = Vec::new();
    find_rules(&document, &mut rules);
    let mut contents = Vec::new();
    for rule in rules {
        let flows = rule.get("dataFlows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for flow in flows {
            for stream in flow.get("streams").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
            {
                contents.push(content(file, stem, rule, flow, stream).map_err(|message| fail(1, message))?);
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

/// Objects with `dataFlows`: a rule's properties, at the top or inside a template's resources.
fn find_rules<'v>(value: &'v Value, rules: &mut Vec<&'v Value>) {
    match value {
        Value::Object(keys) if keys.get("dataFlows").is_some_and(Value::is_array) => rules.push(value),
        Value::Object(keys) => keys.values().for_each(|inner| find_rules(inner, rules)),
        Value::Array(items) => items.iter().for_each(|inner| find_rules(inner, rules)),
        _ => {}
    }
}

fn content(file: &str, stem: &str, rule: &Value, flow: &Value, stream: &str) -> Result<Content, String> {
    let place = |key: &str| format!("the data flow of stream `{stream}`: `{key}`");
    let transform = match flow.get("transformKql") {
        None | Some(Value::Null) => "source".to_owned(),
        Some(Value::String(text)) => literal(text).ok_or_else(|| {
            format!("{} is a template's expression; import the rule as deployed", place("transformKql"))
        })?,
        Some(_) => return Err(format!("{} must be text", place("transformKql"))),
    };
    let output = match flow.get("outputStream") {
        None | Some(Value::Null) => stream.to_owned(),
        Some(Value::String(text)) => literal(text).ok_or_else(|| {
            format!("{} is a template's expression; import the rule as deployed", place("outputStream"))
        })?,
        Some(_) => return Err(format!("{} must be text", place("outputStream"))),
    };
    let declared = rule.get("streamDeclarations").and_then(|streams| streams.get(stream)?.get("columns")?.as_array());
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
    let (table, target) = (without_prefix(stream).to_owned(), without_prefix(&output).to_owned());
    Ok(Content {
        file: format!("{file} ({table} → {target})"),
        name: stem.to_owned(),
        title: None,
        version: None,
        query: Query { text: transform.replace("\r\n", "\n"), line: 1 },
        filter: None,
        params: Vec::new(),
        columns: columns.collect::<Result<_, String>>()?,
        table: Some(table),
        target: Some(target),
    })
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
