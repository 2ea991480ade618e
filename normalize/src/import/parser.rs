//! ASIM parsers in YAML: those of ingest time have a mapping's own keys, those of query time are saved functions.

use serde_json::Value;
use weir_contract::yaml::Document;

use super::params::params_of;
use super::{Content, ReadError, without_prefix};
use crate::asim;
use crate::query::Query;

/// Keys that tell how a parser is called, the plainest first.
const NAME_KEYS: [&str; 4] = ["ParserName", "FunctionName", "Name", "EquivalentBuiltInParser"];

pub(super) fn read(file: &str, stem: &str, text: &str) -> Result<Content, ReadError> {
    let fail = |line: usize, message: String| ReadError { file: file.to_owned(), line, message };
    let document = Document::parse(text).map_err(|error| fail(error.line, error.message))?;
    let value = &document.value;
    let text_at = |pointer: &str| {
        let value = value.pointer(pointer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(text.trim().to_owned()).filter(|text| !text.is_empty() && !value.is_null())
    };
    let query = ["ParserQuery", "FunctionQuery"]
        .iter()
        .find_map(|key| Query::of_key(text, &document, &format!("/{key}")))
        .ok_or_else(|| {
            fail(1, "no query: the key `ParserQuery` (or `FunctionQuery`) is missing or empty".to_owned())
        })?;
    let params = params_of(&document).map_err(|(line, message)| fail(line, message))?;
    let table = text_at("/SourceRawTable").or_else(|| text_at("/InputStream"));
    let schema = text_at("/Normalization/Schema");
    let target = match (text_at("/TargetASIMTable"), &schema) {
        (Some(target), _) => Some(target),
        (None, Some(schema)) => Some(asim::table_of_schema(schema).map(str::to_owned).ok_or_else(|| {
            let message = format!("`{schema}` is no schema with a native ASIM table");
            fail(document.line("/Normalization/Schema"), message)
        })?),
        (None, None) => None,
    };
    let name = NAME_KEYS.iter().find_map(|key| value.get(key).and_then(Value::as_str)).unwrap_or(stem);
    Ok(Content {
        file: file.to_owned(),
        path: file.to_owned(),
        name: name.trim().to_owned(),
        title: text_at("/Parser/Title").or_else(|| text_at("/Title")),
        version: text_at("/Parser/Version").or_else(|| text_at("/Version")),
        query,
        filter: Query::of_key(text, &document, "/ParserFilterQuery").filter(|query| !query.text.trim().is_empty()),
        params,
        table: table.map(|table| without_prefix(&table).to_owned()),
        target: target.map(|target| without_prefix(&target).to_owned()),
        columns: Vec::new(),
    })
}
