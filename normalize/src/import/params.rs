//! Parameters of saved functions and parsers (`ParserParams`).

use serde_json::Value;
use weir_contract::schema::ColumnType;
use weir_contract::yaml::Document;

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its scalar type; `None` for a table.
    pub ty: Option<ColumnType>,
    /// Its default, as KQL.
    pub default: Option<String>,
}

impl Param {
    /// The parameter as a function declares it.
    pub fn declaration(&self) -> String {
        match (self.ty, &self.default) {
            (None, _) => format!("{}:(*)", self.name),
            (Some(ty), None) => format!("{}:{ty}", self.name),
            (Some(ty), Some(default)) => format!("{}:{ty}={default}", self.name),
        }
    }

    /// The value that stands for the parameter where nobody hands one over.
    pub fn value(&self) -> String {
        match (&self.default, self.ty) {
            (Some(default), _) => default.clone(),
            (None, Some(ColumnType::Bool)) => "false".to_owned(),
            (None, Some(ColumnType::String) | None) => "''".to_owned(),
            (None, Some(ColumnType::Dynamic)) => "dynamic([])".to_owned(),
            (None, Some(ty)) => format!("{ty}(null)"),
        }
    }
}

/// The parameters under `ParserParams` (or `FunctionParams`); the error has a line and what is wrong there.
pub(crate) fn params_of(document: &Document) -> Result<Vec<Param>, (usize, String)> {
    let mut params = Vec::new();
    for key in ["ParserParams", "FunctionParams"] {
        let list = match document.value.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(list)) => list,
            Some(_) => {
                let message = format!("`{key}` must be a list of parameters with `Name`, `Type` and `Default`");
                return Err((document.line(&format!("/{key}")), message));
            }
        };
        for (index, entry) in list.iter().enumerate() {
            let place = format!("/{key}/{index}");
            let text = |field: &str| entry.get(field).and_then(Value::as_str).map(str::trim);
            let Some(name) = text("Name").filter(|name| is_name(name)) else {
                return Err((document.line(&place), "a parameter needs a `Name`, a word".to_owned()));
            };
            let ty = match text("Type") {
                None => Some(ColumnType::String),
                Some(ty) if ty.to_ascii_lowercase().starts_with("table") || ty.starts_with('(') => None,
                Some(ty) => {
                    let parsed = ty.to_ascii_lowercase().parse::<ColumnType>();
                    let message = format!("`{ty}` is no type of a parameter; expected one of KQL's, or `table:(*)`");
                    Some(parsed.map_err(|_| (document.line(&format!("{place}/Type")), message))?)
                }
            };
            let default = match entry.get("Default") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) if ty == Some(ColumnType::String) => Some(quoted(text)),
                Some(Value::String(text)) => Some(text.trim().to_owned()),
                Some(other) if ty == Some(ColumnType::String) => Some(quoted(&other.to_string())),
                Some(other) => Some(other.to_string()),
            };
            params.push(Param { name: name.to_owned(), ty, default });
        }
    }
    Ok(params)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// A text as a KQL literal; one that has its quotes already is one.
fn quoted(text: &str) -> String {
    let is_literal =
        text.len() >= 2 && ['"', '\''].iter().any(|quote| text.starts_with(*quote) && text.ends_with(*quote));
    if is_literal { text.to_owned() } else { format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_kql_of_the_parameters_type() {
        let text = "ParserParams:\n- Name: disabled\n  Type: bool\n  Default: false\n- Name: starttime\n  Type: datetime\n  \
                    Default: datetime(null)\n- Name: app\n  Type: string\n  Default: '*'\n- Name: ips\n  Type: dynamic\n  \
                    Default: dynamic([])\n- Name: T\n  Type: table:(*)\n- Name: n\n  Type: int\n";
        let params = params_of(&Document::parse(text).expect("YAML")).expect("good");
        let declared: Vec<String> = params.iter().map(Param::declaration).collect();
        assert_eq!(
            declared,
            [
                "disabled:bool=false",
                "starttime:datetime=datetime(null)",
                "app:string='*'",
                "ips:dynamic=dynamic([])",
                "T:(*)",
                "n:int",
            ]
        );
        assert_eq!(params[5].value(), "int(null)");
    }
}
