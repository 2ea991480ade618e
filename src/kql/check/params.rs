//! Parameters of query-time ASIM parsers, which stand beside the query in their YAML files.

use std::fmt::Write as _;

use serde_json::Value;

/// The parameters of a parser file (`ParserParams`: a list of `Name`, `Type`, `Default`) as `let` statements that give
/// each its default: what a call without arguments means. Empty without parameters.
pub(super) fn as_lets(document: &Value) -> String {
    let mut lets = String::new();
    for param in document["ParserParams"].as_array().into_iter().flatten() {
        let (Some(name), Some(ty)) = (param["Name"].as_str(), param["Type"].as_str()) else { continue };
        let default = match &param["Default"] {
            Value::String(text) if ty.eq_ignore_ascii_case("string") => literal(text),
            Value::String(text) => text.clone(),
            Value::Null => format!("{ty}(null)"),
            value => value.to_string(),
        };
        let _ = write!(lets, "let {name} = {default}; ");
    }
    lets
}

/// A text as KQL writes it.
fn literal(text: &str) -> String {
    let is_quoted = text.len() > 1 && text.starts_with(['"', '\'']) && text.ends_with(['"', '\'']);
    if is_quoted {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::as_lets;

    #[test]
    fn each_parameter_has_its_default() {
        let document = json!({"ParserParams": [
            {"Name": "disabled", "Type": "bool", "Default": false},
            {"Name": "name", "Type": "string", "Default": "*"},
            {"Name": "path", "Type": "string", "Default": "a\\b"},
            {"Name": "quoted", "Type": "string", "Default": "'x'"},
            {"Name": "list", "Type": "dynamic", "Default": "dynamic([])"},
            {"Name": "since", "Type": "datetime", "Default": null},
        ]});
        let expected = "let disabled = false; let name = \"*\"; let path = \"a\\\\b\"; let quoted = 'x'; \
                        let list = dynamic([]); let since = datetime(null); ";
        assert_eq!(as_lets(&document), expected);
        assert_eq!(as_lets(&json!({})), "");
    }
}
