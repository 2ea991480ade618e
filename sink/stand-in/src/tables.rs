//! The ASIM tables: their columns, and the columns that a sender must leave out.
//!
//! The lists are the product's own data files, embedded: `asim_tables.csv` (`table,column,type`) has the native tables,
//! `asim_custom_tables.csv` those that stand in for schemas without one, and `asim_fields.csv` one row per schema and
//! field, with its class.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use indexmap::IndexMap;

const TABLES_CSV: &str = include_str!("../../../normalize/data/asim_tables.csv");
const CUSTOM_TABLES_CSV: &str = include_str!("../../../normalize/data/asim_custom_tables.csv");
const FIELDS_CSV: &str = include_str!("../../../normalize/data/asim_fields.csv");

/// Columns that the workspace fills by itself, beside all whose name begins with `_`.
const SYSTEM_COLUMNS: [&str; 3] = ["TenantId", "SourceSystem", "Type"];
/// Further names that Log Analytics reserves in every table.
const RESERVED_NAMES: [&str; 6] = ["id", "BilledSize", "IsBillable", "InvalidTimeGenerated", "Title", "UniqueId"];
/// Fields that the native tables' parsers compute at query time where the table has no such column.
const QUERY_TIME_FIELDS: [&str; 3] = ["EventSchema", "EventUid", "Dvc"];

/// A column's type, by the words of a rule's `streamDeclarations`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// 32-bit signed integer.
    Int,
    /// 64-bit signed integer.
    Long,
    /// Double.
    Real,
    /// True or false.
    Boolean,
    /// RFC 3339 time.
    DateTime,
    /// Any JSON.
    Dynamic,
}

impl ColumnType {
    /// Reads a type as a rule declares it; `None` for a word that rules do not know (`guid`, `decimal`, `timespan`…).
    pub fn from_declaration(word: &str) -> Option<Self> {
        Some(match word {
            "string" => Self::String,
            "int" => Self::Int,
            "long" => Self::Long,
            "real" => Self::Real,
            "boolean" => Self::Boolean,
            "datetime" => Self::DateTime,
            "dynamic" => Self::Dynamic,
            _ => return None,
        })
    }

    /// The word for a rule's `streamDeclarations`.
    pub fn declaration(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Long => "long",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::DateTime => "datetime",
            Self::Dynamic => "dynamic",
        }
    }

    /// The word that the service's `InvalidTransformOutput` text uses.
    pub(crate) fn in_refusals(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::Int => "Int",
            Self::Long => "Long",
            Self::Real => "Real",
            Self::Boolean => "Boolean",
            Self::DateTime => "DateTime",
            Self::Dynamic => "Dynamic",
        }
    }

    fn from_table_list(word: &str) -> Option<Self> {
        Self::from_declaration(if word == "bool" { "boolean" } else { word })
    }
}

/// One ASIM table.
#[derive(Debug)]
pub struct NativeTable {
    /// Columns that a sender may fill, with their types, in the list's order.
    pub columns: IndexMap<String, ColumnType>,
    /// Names that a row for this table must not carry: aliases and query-time fields without a column here, and
    /// what the workspace reserves.
    pub forbidden: BTreeSet<String>,
}

/// Looks a native table up by its exact name, such as `ASimProcessEventLogs`.
pub fn native_table(name: &str) -> Option<&'static NativeTable> {
    NATIVE_TABLES.get(name)
}

/// Looks a custom table up by its exact name, such as `ASimEmailEventLogs_CL`: as a person would make it, with the fields
/// of its schema without the aliases.
pub fn custom_table(name: &str) -> Option<&'static NativeTable> {
    CUSTOM_TABLES.get(name)
}

/// All native tables by name, in the list's order.
pub fn native_tables() -> &'static IndexMap<String, NativeTable> {
    &NATIVE_TABLES
}

/// Names that rows for `table` must not carry; empty for a table that is not native.
pub fn forbidden_columns(table: &str) -> impl Iterator<Item = &'static str> {
    native_table(table).into_iter().flat_map(|table| table.forbidden.iter().map(String::as_str))
}

/// Whether the workspace fills the column itself.
pub(crate) fn is_system_column(name: &str) -> bool {
    name.starts_with('_') || SYSTEM_COLUMNS.contains(&name)
}

static NATIVE_TABLES: LazyLock<IndexMap<String, NativeTable>> = LazyLock::new(|| read(TABLES_CSV));

static CUSTOM_TABLES: LazyLock<IndexMap<String, NativeTable>> = LazyLock::new(|| {
    let aliases = aliases_by_schema();
    let mut tables = read(CUSTOM_TABLES_CSV);
    for (name, table) in &mut tables {
        for alias in schema_of(name, &aliases).and_then(|schema| aliases.get(schema)).into_iter().flatten() {
            table.columns.shift_remove(*alias);
            table.forbidden.insert((*alias).to_owned());
        }
    }
    tables
});

fn read(csv: &str) -> IndexMap<String, NativeTable> {
    let mut tables: IndexMap<String, NativeTable> = IndexMap::new();
    for line in csv.lines().skip(1) {
        let mut cells = line.split(',');
        let (Some(name), Some(column), Some(word)) = (cells.next(), cells.next(), cells.next()) else { continue };
        let table = tables
            .entry(name.to_owned())
            .or_insert_with(|| NativeTable { columns: IndexMap::new(), forbidden: BTreeSet::new() });
        if is_system_column(column) {
            table.forbidden.insert(column.to_owned());
        } else if let Some(kind) = ColumnType::from_table_list(word) {
            table.columns.insert(column.to_owned(), kind);
        }
    }
    let aliases = aliases_by_schema();
    for (name, table) in &mut tables {
        let no_column = |field: &&str| !table.columns.contains_key(*field);
        let aliases = schema_of(name, &aliases).and_then(|schema| aliases.get(schema)).into_iter().flatten();
        let names = aliases.chain(&QUERY_TIME_FIELDS).copied().filter(no_column);
        let names: Vec<String> = names.chain(SYSTEM_COLUMNS).chain(RESERVED_NAMES).map(str::to_owned).collect();
        table.forbidden.extend(names);
    }
    tables
}

/// Alias fields of each schema; a schema without one has an empty list.
fn aliases_by_schema() -> IndexMap<&'static str, Vec<&'static str>> {
    let mut header = FIELDS_CSV.lines().next().unwrap_or_default().split(',');
    let class_at = header.position(|column| column == "class").unwrap_or(2);
    let mut aliases: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for line in FIELDS_CSV.lines().skip(1) {
        // The columns up to `class` hold plain words; quoted cells come after them.
        let cells: Vec<&str> = line.split(',').take(class_at + 1).collect();
        let (Some(schema), Some(class)) = (cells.first(), cells.get(class_at)) else { continue };
        let Some(field) = cells.get(class_at - 1) else { continue };
        let fields = aliases.entry(schema).or_default();
        if *class == "Alias" {
            fields.push(field);
        }
    }
    aliases
}

/// The schema of a native table: the longest one that the table's name goes on with after `ASim`
/// (`ASimDnsActivityLogs` → `Dns`).
fn schema_of(table: &str, schemas: &IndexMap<&'static str, Vec<&'static str>>) -> Option<&'static str> {
    let rest = table.strip_prefix("ASim")?;
    schemas.keys().copied().filter(|schema| rest.starts_with(schema)).max_by_key(|schema| schema.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirteen_native_tables_are_known_with_their_types() {
        assert_eq!(native_tables().len(), 13);
        let process = native_table("ASimProcessEventLogs").expect("listed");
        assert_eq!(process.columns["TimeGenerated"], ColumnType::DateTime);
        assert_eq!(process.columns["AdditionalFields"], ColumnType::Dynamic);
        assert_eq!(process.columns["EventCount"], ColumnType::Int);
        assert!(!process.columns.contains_key("_BilledSize") && !process.columns.contains_key("TenantId"));
        assert!(native_table("asimprocesseventlogs").is_none(), "names are case sensitive");
    }

    #[test]
    fn aliases_without_a_column_are_forbidden_and_stored_ones_are_not() {
        let forbidden = |table| native_table(table).expect("listed").forbidden.clone();
        for name in ["User", "Hash", "EventSchema", "Dvc", "Type", "_ResourceId", "Title"] {
            assert!(forbidden("ASimProcessEventLogs").contains(name), "{name}");
        }
        assert!(
            forbidden("ASimProcessEventLogs").contains("Process") && !forbidden("ASimAlertEventLogs").contains("User")
        );
        assert!(!forbidden("ASimNetworkSessionLogs").contains("Dvc"), "the table stores it");
        assert!(
            forbidden("ASimAuthenticationEventLogs").contains("LogonTarget"),
            "three names differ from their schema's"
        );
        assert_eq!(forbidden_columns("Nothing").count(), 0);
        for (name, table) in native_tables() {
            assert!(table.forbidden.iter().all(|column| !table.columns.contains_key(column)), "{name}");
        }
    }

    #[test]
    fn a_custom_table_has_the_fields_of_its_schema_without_the_aliases() {
        let email = custom_table("ASimEmailEventLogs_CL").expect("listed");
        assert_eq!(email.columns["EmailToRecipients"], ColumnType::Dynamic);
        assert_eq!(email.columns["EventSchema"], ColumnType::String);
        assert!(email.forbidden.contains("User") && !email.columns.contains_key("User"));
        assert!(email.forbidden.contains("Type") && !email.columns.contains_key("Type"));
        assert!(native_table("ASimEmailEventLogs_CL").is_none());
    }

    #[test]
    fn declaration_words_survive_the_way_there_and_back() {
        for word in ["string", "int", "long", "real", "boolean", "datetime", "dynamic"] {
            assert_eq!(ColumnType::from_declaration(word).map(ColumnType::declaration), Some(word));
        }
        assert_eq!(ColumnType::from_declaration("guid"), None);
    }
}
