//! What a deployment brings for its mappings to call: stored functions and watchlists.
//!
//! A function file holds one function: `.kql` (its parameters and body, `(a:string) { … }`, or a body alone), or the YAML
//! of a saved function (`FunctionQuery` or `ParserQuery`, with its `ParserParams`). The function is called as the file's
//! header says (`FunctionName`, `ParserName`, `FunctionAlias`), else as the file's stem. A watchlist is a CSV file with a
//! header line; its values are text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Value;
use weir_contract::yaml::Document;
use weir_kql::Catalog;

use crate::import::params::{Param, params_of};
use crate::query::Query;

/// Keys that tell how a saved function is called, the surest first.
const NAME_KEYS: [&str; 4] = ["FunctionName", "ParserName", "FunctionAlias", "EquivalentBuiltInParser"];

/// A function as its file has it.
struct Function {
    name: String,
    /// `(a:string) {` or nothing; stands on a line of its own before the query.
    opening: String,
    query: Query,
}

/// Loads every `.kql`, `.yaml` and `.yml` file below the folders (a file may be named itself) and every watchlist by its
/// alias.
///
/// # Errors
///
/// Every fault at once, ready to print: what cannot be read or parsed, with file and line, and a name given twice.
pub fn load(functions: &[PathBuf], watchlists: &BTreeMap<String, PathBuf>) -> Result<Catalog, Vec<String>> {
    let mut catalog = Catalog::default();
    let mut faults = Vec::new();
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in functions.iter().flat_map(|folder| function_files(folder, &mut faults)).collect::<Vec<_>>() {
        match add_function(&mut catalog, &path) {
            Ok(name) => {
                if let Some(other) = files.insert(name.clone(), path.clone()) {
                    faults.push(format!(
                        "{}: the function `{name}` stands in {} too; keep one",
                        path.display(),
                        other.display()
                    ));
                }
            }
            Err(more) => faults.extend(more),
        }
    }
    for (alias, path) in watchlists {
        match read_watchlist(path) {
            Ok(rows) => catalog.add_watchlist(alias, rows),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(catalog) } else { Err(faults) }
}

fn function_files(folder: &Path, faults: &mut Vec<String>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        match entry {
            Ok(entry) if entry.path().extension().is_some_and(|e| e == "kql" || e == "yaml" || e == "yml") => {
                files.push(entry.into_path());
            }
            Ok(_) => {}
            Err(cause) => faults.push(format!("{}: cannot be listed: {cause}", folder.display())),
        }
    }
    files
}

fn add_function(catalog: &mut Catalog, path: &Path) -> Result<String, Vec<String>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|cause| vec![format!("{file}: cannot be read: {cause}")])?;
    let is_kql = path.extension().is_some_and(|extension| extension == "kql");
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let function =
        if is_kql { of_kql(stem, &text) } else { of_yaml(stem, &file, &text).map_err(|fault| vec![fault])? };
    let Function { name, opening, query } = function;
    // The query's own lines keep their columns: what opens and closes the function stands on other lines.
    let (whole, first_line) = match opening.as_str() {
        "" => (query.text, query.line),
        opening => {
            (format!("{opening}\n{}\n}}", query.text.trim_end().trim_end_matches(';')), query.line.saturating_sub(1))
        }
    };
    match catalog.add_function(&name, &whole) {
        Ok(()) => Ok(name),
        Err(diagnostics) => Err(diagnostics.iter().map(|d| d.render(&file, &whole, first_line)).collect()),
    }
}

/// `(a:string) { … }`, or a body, whose function takes nothing.
fn of_kql(stem: String, text: &str) -> Function {
    let text = text.trim_start_matches('\u{feff}');
    let starts_with_parameters = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("//"))
        .is_some_and(|line| line.starts_with('('));
    let opening = if starts_with_parameters { String::new() } else { "() {".to_owned() };
    Function { name: stem, opening, query: Query::at(text, 1) }
}

fn of_yaml(stem: String, file: &str, text: &str) -> Result<Function, String> {
    let text = text.trim_start_matches('\u{feff}');
    let document = Document::parse(text).map_err(|error| format!("{file}:{}: {}", error.line, error.message))?;
    let query = ["FunctionQuery", "ParserQuery"]
        .iter()
        .find_map(|key| Query::of_key(text, &document, &format!("/{key}")))
        .ok_or_else(|| format!("{file}:1: no function: the key `FunctionQuery` is missing or empty"))?;
    let params = params_of(&document).map_err(|(line, message)| format!("{file}:{line}: {message}"))?;
    let declared: Vec<String> = params.iter().map(Param::declaration).collect();
    let name = NAME_KEYS
        .iter()
        .find_map(|key| document.value.get(key).and_then(Value::as_str))
        .map_or(stem, |name| name.trim().to_owned());
    Ok(Function { name, opening: format!("({}) {{", declared.join(", ")), query })
}

/// Reads a CSV file with a header line; every column is text.
fn read_watchlist(path: &Path) -> Result<RecordBatch, String> {
    let file = path.display();
    let fault = |error: csv::Error| {
        let line = error.position().map(|position| format!("{}: ", position.line())).unwrap_or_default();
        format!("{file}:{line}not a watchlist in CSV: {error}")
    };
    let mut reader = csv::Reader::from_path(path).map_err(fault)?;
    let names: Vec<String> = reader
        .headers()
        .map_err(fault)?
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').trim().to_owned())
        .collect();
    if let Some((at, name)) = names.iter().enumerate().find(|(at, name)| name.is_empty() || names[..*at].contains(name))
    {
        let what = if name.is_empty() {
            format!("column {} has no name", at + 1)
        } else {
            format!("column `{name}` stands twice")
        };
        return Err(format!("{file}:1: {what}; the first line names the columns, each once"));
    }
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        for (column, cell) in cells.iter_mut().zip(&record.map_err(fault)?) {
            column.push(cell.to_owned());
        }
    }
    let fields: Vec<Field> = names.iter().map(|name| Field::new(name, DataType::Utf8View, true)).collect();
    let columns: Vec<ArrayRef> =
        cells.into_iter().map(|cells| Arc::new(StringViewArray::from_iter_values(cells)) as ArrayRef).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| format!("{file}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use weir_contract::schema::{Column, ColumnType, TableSchema};
    use weir_kql::Mode;

    use super::*;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("weir-content-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("writable");
        for (file, text) in files {
            fs::write(folder.join(file), text).expect("writable");
        }
        folder
    }

    #[test]
    fn functions_and_watchlists_of_a_folder_can_be_called() {
        let yaml = "FunctionName: Zone\nParserParams:\n- Name: T\n  Type: table:(*)\n- Name: column\n  Type: string\n  \
                    Default: Host\nFunctionQuery: |\n  T\n  | extend Zone = tostring(split(column_ifexists(column, ''), '.')[1]);\n";
        let folder = folder(
            "good",
            &[
                ("Shout.kql", "// loud\n(text:string) {\n  toupper(text)\n}\n"),
                ("Vips.kql", "_GetWatchlist('vips') | project Host, Level"),
                ("zone.yaml", yaml),
                ("vips.csv", "Host,Level\nweb.example,\"high, really\"\n"),
            ],
        );
        let watchlists = BTreeMap::from([("vips".to_owned(), folder.join("vips.csv"))]);
        let catalog = load(std::slice::from_ref(&folder), &watchlists).expect("good");
        let table = TableSchema { name: "Raw".into(), columns: vec![Column::new("Host", ColumnType::String)] };
        let query =
            "Raw | extend Loud = Shout(Host) | lookup Vips() on Host | invoke Zone() | invoke Zone(column='Loud')";
        let program = weir_kql::compile_with(query, &table, Mode::Strict, &catalog).expect("compiles");
        let rows = RecordBatch::try_from_iter([(
            "Host",
            Arc::new(StringViewArray::from_iter_values(["web.example"])) as ArrayRef,
        )]);
        let made = program.run(&rows.expect("a batch")).expect("runs");
        let text = |name: &str| {
            let column = made.column_by_name(name).expect("there");
            arrow::array::AsArray::as_string_view(column).value(0).to_owned()
        };
        assert_eq!([text("Loud"), text("Level"), text("Zone")], ["WEB.EXAMPLE", "high, really", "EXAMPLE"]);
        fs::remove_dir_all(folder).expect("removable");
    }

    #[test]
    fn every_fault_is_told_with_file_and_line() {
        let folder = folder(
            "bad",
            &[
                ("A.kql", "// a\n(text:string) {\n  toupper(text\n}\n"),
                ("B.yaml", "FunctionName: B\nParserParams:\n- Name: n\n  Type: number\nFunctionQuery: print 1\n"),
                ("C.yaml", "FunctionName: C\nFunctionQuery: |\n  T |\n  | extend\n"),
                ("D.yaml", "Title: none\n"),
                ("E.csv", "a,b\n1,2\n3\n"),
            ],
        );
        let watchlists =
            BTreeMap::from([("e".to_owned(), folder.join("E.csv")), ("f".to_owned(), folder.join("missing.csv"))]);
        let faults = load(std::slice::from_ref(&folder), &watchlists).expect_err("faulty").join("\n");
        for expected in [
            "A.kql:4:1",
            "B.yaml:4: `number` is no type",
            "C.yaml:4:",
            "D.yaml:1: no function",
            "E.csv:3:",
            "missing.csv:",
        ] {
            assert!(faults.contains(expected), "{expected} in\n{faults}");
        }
        fs::remove_dir_all(folder).expect("removable");
    }
}
