//! What to write for a column or a table that no schema knows.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use weir_contract::datetime::format_iso;
use weir_contract::schema::{Column, ColumnType};
use weir_ingest::decode::UNROUTED;
use weir_ingest::schema::{TIME_GENERATED, UNKNOWN_COLUMNS};
use weir_normalize::asim;
use weir_normalize::import::MappingFile;
use weir_normalize::query::quoted_name;

use super::Known;
use super::seen::{Seen, SeenColumn, SeenTable, When};
use crate::kql::report::plural;

/// Longest name of a column of a workspace's table
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table>).
const MAX_COLUMN_NAME: usize = 45;
/// Columns that a mapping's raw table has without being told, or that the decoder fills itself.
const OWN_COLUMNS: [&str; 2] = [TIME_GENERATED, UNKNOWN_COLUMNS];

/// What was seen, with what to write.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) columns: Vec<DriftedColumn>,
    pub(super) tables: Vec<DriftedTable>,
    /// Records of the files that the decoder refuses; the pipeline keeps them as dead letters.
    pub(super) refused: usize,
}

/// An unknown column.
#[derive(Debug, Serialize)]
pub(super) struct DriftedColumn {
    /// Its raw table; several where a mapped row does not tell which.
    pub(super) tables: Vec<String>,
    pub(super) column: String,
    pub(super) state: State,
    #[serde(flatten)]
    pub(super) found: Found,
    /// The column's type in the schema, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema_type: Option<&'static str>,
    /// What to add to which mapping.
    pub(super) mapping: Vec<MappingLine>,
    /// What to add to the columns of the raw table's stream in a collection rule.
    pub(super) stream_column: StreamColumn,
}

/// How a column stands to its table's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// The schema lacks it.
    Unknown,
    /// The schema has it, with a type that these values do not fit.
    Mistyped,
    /// The schema has it by now; older rows do not.
    KnownByNow,
}

/// How often a column was seen, and what it holds.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) rows: u64,
    /// Event times of the first and the last row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<String>,
    /// The narrowest KQL type of all its values.
    #[serde(rename = "type")]
    pub(super) ty: &'static str,
    pub(super) examples: Vec<String>,
}

/// A line for a mapping's query.
#[derive(Debug, Serialize)]
pub(super) struct MappingLine {
    /// The mapping's file.
    pub(super) file: String,
    pub(super) place: Place,
    pub(super) line: String,
}

/// Where a line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// The target table has a column of that name: an assignment, whose column is projected, too.
    Extend,
    /// An argument of the function that packs `AdditionalFields`.
    AdditionalFields,
}

/// A column of a stream declaration.
#[derive(Debug, Serialize)]
pub(super) struct StreamColumn {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) ty: &'static str,
}

/// An unknown table.
#[derive(Debug, Serialize)]
pub(super) struct DriftedTable {
    pub(super) table: String,
    pub(super) rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<String>,
    pub(super) columns: Vec<TableColumn>,
    /// A mapping file to start from; absent where the records name no table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mapping: Option<String>,
    /// The member of `streamDeclarations` of a collection rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<Value>,
}

/// A column of an unknown table.
#[derive(Debug, Serialize)]
pub(super) struct TableColumn {
    pub(super) column: String,
    #[serde(flatten)]
    pub(super) found: Found,
}

pub(super) fn report(seen: &Seen, known: &Known) -> Report {
    let mut columns: Vec<DriftedColumn> =
        seen.columns.iter().map(|((tables, name), column)| drifted(tables, name, column, known)).collect();
    columns.sort_by(|a, b| (&a.tables, &a.column).cmp(&(&b.tables, &b.column)));
    let mut tables: Vec<DriftedTable> = seen.tables.iter().map(|(name, table)| drifted_table(name, table)).collect();
    tables.sort_by(|a, b| a.table.cmp(&b.table));
    Report { columns, tables, refused: seen.refused }
}

fn drifted(tables: &[String], name: &str, column: &SeenColumn, known: &Known) -> DriftedColumn {
    let ty = column.guess.ty();
    let in_schema = tables.iter().find_map(|table| known.tables.schema(table)?.column(name));
    let state = match in_schema {
        None => State::Unknown,
        Some(column) if fits(ty, column.ty) => State::KnownByNow,
        Some(_) => State::Mistyped,
    };
    DriftedColumn {
        tables: tables.to_vec(),
        column: name.to_owned(),
        state,
        found: found(column),
        schema_type: in_schema.map(|column| column.ty.name()),
        // A column that the schema has needs no line: its rows go through the pipeline again.
        mapping: if state == State::KnownByNow { Vec::new() } else { lines(tables, name, known) },
        stream_column: StreamColumn { name: stream_name(name), ty: stream_type(ty) },
    }
}

/// Whether the decoder puts values of type `ty` into a column of type `column`.
fn fits(ty: ColumnType, column: ColumnType) -> bool {
    use ColumnType as C;
    ty == column
        || match column {
            C::String => ty != C::Dynamic,
            C::Dynamic => true,
            C::Real => ty == C::Long,
            C::Guid => ty == C::String,
            _ => false,
        }
}

fn found(column: &SeenColumn) -> Found {
    let When { rows, first, last } = column.when;
    Found {
        rows,
        first: first.map(format_iso),
        last: last.map(format_iso),
        ty: column.guess.ty().name(),
        examples: column.examples.clone(),
    }
}

/// The lines for every mapping of the tables: the column of that name in the target, if it has one that the mapping does
/// not fill, else a pair for `AdditionalFields`.
fn lines(tables: &[String], name: &str, known: &Known) -> Vec<MappingLine> {
    let value = path(UNKNOWN_COLUMNS, name);
    let mut lines = Vec::new();
    for mapping in tables.iter().flat_map(|table| known.library.of_table(table)) {
        let target = asim::table(&mapping.mapping.target_table);
        let own = target.and_then(|table| table.schema.column(name));
        let (place, line) = match own.filter(|_| mapping.program.output().column(name).is_none()) {
            Some(own) => (Place::Extend, format!("{} = {}", quoted_name(name), converted(&value, own.ty))),
            None => (Place::AdditionalFields, format!("{}, {value}", Value::from(name))),
        };
        lines.push(MappingLine { file: mapping.mapping.file.clone(), place, line });
    }
    lines
}

/// A member of a bag, as KQL asks for it.
fn path(bag: &str, member: &str) -> String {
    match quoted_name(member) {
        word if word == member => format!("{bag}.{member}"),
        bracketed => format!("{bag}{bracketed}"),
    }
}

fn converted(value: &str, ty: ColumnType) -> String {
    match ty {
        ColumnType::Dynamic => value.to_owned(),
        ty => format!("to{}({value})", ty.name()),
    }
}

/// A name that a stream's column may have: ASCII letters, digits and `_`, a letter first, 2 to 45 of them.
fn stream_name(name: &str) -> String {
    let clean = name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' });
    let mut clean: String = clean.collect();
    if !clean.starts_with(|first: char| first.is_ascii_alphabetic()) {
        clean.insert_str(0, "c_");
    }
    if clean.len() < 2 {
        clean.push('_');
    }
    clean.truncate(MAX_COLUMN_NAME);
    clean
}

/// The type of a stream declaration.
fn stream_type(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Bool => "boolean",
        ColumnType::Guid | ColumnType::Timespan => "string",
        ty => ty.name(),
    }
}

fn drifted_table(name: &str, table: &SeenTable) -> DriftedTable {
    let is_named = name != UNROUTED;
    let columns = table.columns.iter().map(|(name, column)| TableColumn { column: name.clone(), found: found(column) });
    DriftedTable {
        table: name.to_owned(),
        rows: table.when.rows,
        first: table.when.first.map(format_iso),
        last: table.when.last.map(format_iso),
        columns: columns.collect(),
        mapping: is_named.then(|| stub(name, table)),
        stream: is_named.then(|| stream(name, table)),
    }
}

/// The columns of a table, with names that a custom table takes, each once.
fn named_columns(table: &SeenTable) -> Vec<(&str, String, ColumnType)> {
    let mut taken: BTreeSet<String> = OWN_COLUMNS.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut columns = Vec::new();
    for (name, column) in &table.columns {
        if OWN_COLUMNS.contains(&name.as_str()) {
            continue;
        }
        let clean = stream_name(name);
        let numbered = (2..).map(|number| {
            let suffix = format!("_{number}");
            format!("{}{suffix}", &clean[..clean.len().min(MAX_COLUMN_NAME - suffix.len())])
        });
        let mut candidates = std::iter::once(clean.clone()).chain(numbered);
        let free = candidates.find(|name| taken.insert(name.to_ascii_lowercase())).expect("numbers do not end");
        columns.push((name.as_str(), free, column.guess.ty()));
    }
    columns
}

/// A mapping that carries every column on into a custom table: what a person turns into one to an ASIM table.
fn stub(name: &str, table: &SeenTable) -> String {
    let columns = named_columns(table);
    let mut source: Vec<Column> = columns.iter().map(|(raw, _, ty)| Column::new(raw, *ty)).collect();
    source.push(Column::new(UNKNOWN_COLUMNS, ColumnType::Dynamic));
    let mut query = format!("{}\n| project\n    {TIME_GENERATED}", quoted_name(name));
    for (raw, clean, _) in &columns {
        let raw = quoted_name(raw);
        query += &if raw == *clean { format!(",\n    {clean}") } else { format!(",\n    {clean} = {raw}") };
    }
    query += &format!(",\n    {UNKNOWN_COLUMNS}");
    let target = if name.ends_with("_CL") { name.to_owned() } else { format!("{name}_CL") };
    let file = MappingFile {
        name,
        title: None,
        version: None,
        remark: &format!(
            "Proposed by `weir drift`, from {}. Name the ASIM table that these events belong to, and fill its \
             columns.",
            plural(table.when.rows as usize, "record")
        ),
        table: name,
        target: &target,
        lenient: false,
        columns: &source,
        filter: None,
        query: &query,
    };
    file.to_yaml()
}

/// The stream of a custom table with every column.
fn stream(name: &str, table: &SeenTable) -> Value {
    let time = json!({"name": TIME_GENERATED, "type": "datetime"});
    let columns = named_columns(table).into_iter().map(|(_, name, ty)| json!({"name": name, "type": stream_type(ty)}));
    let unknown = json!({"name": UNKNOWN_COLUMNS, "type": "dynamic"});
    let columns: Vec<Value> = std::iter::once(time).chain(columns).chain([unknown]).collect();
    let stream = format!("Custom-{}", name.strip_suffix("_CL").unwrap_or(name));
    Value::Object(Map::from_iter([(stream, json!({"columns": columns}))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_the_name_of_a_column_or_one_near_it() {
        for (name, expected) in [
            ("NewColumn", "NewColumn"),
            ("envelope.id", "envelope_id"),
            ("_x", "c__x"),
            ("7z", "c_7z"),
            ("a", "a_"),
            ("naïve", "na_ve"),
        ] {
            assert_eq!(stream_name(name), expected);
        }
        assert_eq!(stream_name(&"x".repeat(80)).len(), MAX_COLUMN_NAME);
    }

    #[test]
    fn names_of_a_table_differ_also_where_they_were_cleaned() {
        let mut table = SeenTable::default();
        for name in ["a.b", "a-b", "TimeGenerated", "unknowncolumns"] {
            table.columns.insert(name.to_owned(), SeenColumn::default());
        }
        let names: Vec<String> = named_columns(&table).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["a_b", "a_b_2", "unknowncolumns_2"]);
    }
}
