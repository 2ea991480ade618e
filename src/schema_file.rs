//! A table's columns, from a file: CSV with a name and a type a line, or JSON.
//!
//! | form | example |
//! | --- | --- |
//! | CSV, with or without a heading | `SrcIp,string` |
//! | CSV as `getschema` prints it | `ColumnName,ColumnOrdinal,DataType,ColumnType` |
//! | JSON array | `[{"name": "SrcIp", "type": "string"}]` |
//! | JSON object, as a stream declaration of a collection rule | `{"columns": [{"name": "SrcIp", "type": "string"}]}` |
//! | JSON object of names | `{"SrcIp": "string"}` |

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use weir_contract::schema::{Column, TableSchema};

/// Reads the columns of table `name`.
///
/// # Errors
///
/// A file that cannot be read, a line without a type, an unknown type, a column given twice.
pub(crate) fn read(path: &Path, name: &str) -> anyhow::Result<TableSchema> {
    let text = std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let columns = if is_json { of_json(&text) } else { of_csv(&text) };
    let columns = columns.with_context(|| format!("`{}` is no list of columns", path.display()))?;
    anyhow::ensure!(!columns.is_empty(), "`{}` has no columns", path.display());
    for (number, column) in columns.iter().enumerate() {
        let twice = columns[..number].iter().any(|other| other.name == column.name);
        anyhow::ensure!(!twice, "`{}` has the column `{}` twice; keep one", path.display(), column.name);
    }
    Ok(TableSchema { name: name.into(), columns })
}

fn of_csv(text: &str) -> anyhow::Result<Vec<Column>> {
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().trim_matches('"').to_owned()).collect::<Vec<_>>();
    let mut lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .peekable();
    let (mut name_at, mut type_at) = (0, 1);
    if let Some((_, heading)) = lines.peek() {
        let heading = cells(heading);
        let find = |names: &[&str]| {
            names.iter().find_map(|name| heading.iter().position(|cell| cell.eq_ignore_ascii_case(name)))
        };
        if let (Some(name), Some(ty)) = (find(&["name", "column", "ColumnName"]), find(&["ColumnType", "type"])) {
            (name_at, type_at) = (name, ty);
            lines.next();
        }
    }
    let columns = lines.map(|(number, line)| {
        let cells = cells(line);
        let (Some(name), Some(ty)) = (cells.get(name_at), cells.get(type_at)) else {
            anyhow::bail!("line {}: expected `name,type`", number + 1);
        };
        column(name, ty).with_context(|| format!("line {}", number + 1))
    });
    columns.collect()
}

fn of_json(text: &str) -> anyhow::Result<Vec<Column>> {
    let value: Value = serde_json::from_str(text)?;
    let list = |columns: &[Value]| {
        let columns =
            columns.iter().enumerate().map(|(number, value)| match (value["name"].as_str(), value["type"].as_str()) {
                (Some(name), Some(ty)) => column(name, ty),
                _ => anyhow::bail!("column {}: expected `{{\"name\": …, \"type\": …}}`", number + 1),
            });
        columns.collect()
    };
    match &value {
        Value::Array(columns) => list(columns),
        Value::Object(members) => match members.get("columns") {
            Some(Value::Array(columns)) => list(columns),
            _ => members
                .iter()
                .map(|(name, ty)| match ty.as_str() {
                    Some(ty) => column(name, ty),
                    None => anyhow::bail!("column `{name}`: its type must be text, such as \"string\""),
                })
                .collect(),
        },
        _ => anyhow::bail!("expected an array of columns, or an object of names and types"),
    }
}

fn column(name: &str, ty: &str) -> anyhow::Result<Column> {
    anyhow::ensure!(!name.is_empty(), "a column without a name");
    Ok(Column::new(name, ty.to_ascii_lowercase().parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(columns: anyhow::Result<Vec<Column>>) -> String {
        match columns {
            Ok(columns) => {
                columns.iter().map(|column| format!("{}:{}", column.name, column.ty)).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn every_form_of_csv_is_read() {
        assert_eq!(told(of_csv("a,string\nb, Int\n")), "a:string b:int");
        assert_eq!(told(of_csv("name,type\n\"a\",\"double\"\n")), "a:real");
        let getschema = "ColumnName,ColumnOrdinal,DataType,ColumnType\nAt,0,System.DateTime,datetime\n";
        assert_eq!(told(of_csv(getschema)), "At:datetime");
        assert_eq!(told(of_csv("a,string\nb\n")), "line 2: expected `name,type`");
        assert!(told(of_csv("a,text\n")).starts_with("line 1: `text` is no column type"));
    }

    #[test]
    fn every_form_of_json_is_read() {
        assert_eq!(told(of_json(r#"[{"name":"a","type":"string"}]"#)), "a:string");
        assert_eq!(told(of_json(r#"{"columns":[{"name":"a","type":"boolean"}]}"#)), "a:bool");
        assert_eq!(told(of_json(r#"{"b":"long","a":"dynamic"}"#)), "b:long a:dynamic");
        assert_eq!(told(of_json(r#"{"b":1}"#)), "column `b`: its type must be text, such as \"string\"");
    }
}
