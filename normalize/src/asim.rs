//! The ASIM tables of a Sentinel workspace, and which of their columns a sender may fill.
//!
//! `data/asim_tables.csv` has the columns of the native tables (state of the public reference on 2026-08-14),
//! `data/asim_fields.csv` the schemas. A schema without a native table (EmailEvent) has a custom one whose columns are
//! its fields, `data/asim_custom_tables.csv`; the same rules hold for it. A sender must not fill columns that the
//! workspace owns, aliases (the query-time stubs add them) and the entity-correlation columns that are reserved for
//! Microsoft.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use weir_contract::schema::{Column, ColumnType, TableSchema};

const TABLES: &str = include_str!("../data/asim_tables.csv");
const CUSTOM_TABLES: &str = include_str!("../data/asim_custom_tables.csv");
const FIELDS: &str = include_str!("../data/asim_fields.csv");

/// Columns that the workspace fills or reserves, in every table
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table>, reserved names).
const WORKSPACE_COLUMNS: [&str; 20] = [
    "Type",
    "TenantId",
    "SourceSystem",
    "MG",
    "ManagementGroupName",
    "id",
    "UniqueId",
    "Title",
    "BilledSize",
    "IsBillable",
    "InvalidTimeGenerated",
    "_ItemId",
    "_ResourceId",
    "_SubscriptionId",
    "_BilledSize",
    "_IsBillable",
    "_TimeReceived",
    "_ResourceGroup",
    "_TenantId",
    "_Internal_WorkspaceResourceId",
];

/// One ASIM table.
#[derive(Debug)]
pub struct AsimTable {
    /// The columns that a sender may fill, in the order of the reference: what the lake's table has, too.
    pub schema: TableSchema,
    /// Why a column that the table has must stay empty.
    forbidden: HashMap<String, Forbidden>,
}

/// Why a mapping must not fill a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// The workspace fills it.
    Workspace,
    /// An alias: queries see it through the unifying functions, which compute it.
    Alias,
    /// Reserved for Microsoft's entity correlation.
    Reserved,
}

impl Forbidden {
    /// The reason, to follow "column `x` ".
    pub fn reason(self) -> &'static str {
        match self {
            Self::Workspace => "is filled by the workspace itself",
            Self::Alias => "is an alias, which the unifying functions compute at query time",
            Self::Reserved => "is reserved for Microsoft's entity correlation",
        }
    }
}

impl AsimTable {
    /// Why column `name` must stay empty, if it must.
    pub fn forbidden(&self, name: &str) -> Option<Forbidden> {
        self.forbidden.get(name).copied()
    }
}

/// The ASIM table called `name`: a native one, such as `ASimProcessEventLogs`, or the custom one of a schema that has
/// none, `ASimEmailEventLogs_CL`.
pub fn table(name: &str) -> Option<&'static AsimTable> {
    ASIM_TABLES.get(name)
}

/// The native table of a schema as parsers name it: `Dns` → `ASimDnsActivityLogs`.
pub fn table_of_schema(schema: &str) -> Option<&'static str> {
    let known = ASIM_TABLES.keys().copied();
    let mut fitting = known.filter(|table| schema_of(table).eq_ignore_ascii_case(schema.trim()));
    fitting.next()
}

/// The column of a table that `name` may be a misspelling of.
pub(crate) fn nearest<'t>(table: &'t TableSchema, name: &str) -> Option<&'t str> {
    let distances = table.columns.iter().map(|known| (strsim::damerau_levenshtein(&known.name, name), &*known.name));
    distances.min().filter(|(distance, _)| *distance <= 3).map(|(_, name)| name)
}

/// The mandatory fields of a table's schema, also those that the table does not store.
pub fn mandatory_fields(table: &str) -> impl Iterator<Item = &'static str> {
    fields_of_class(table, "Mandatory")
}

/// Whether a field is an alias in the schema of a table, stored or not.
pub fn is_alias(table: &str, field: &str) -> bool {
    fields_of_class(table, "Alias").any(|alias| alias == field)
}

fn fields_of_class(table: &str, class: &'static str) -> impl Iterator<Item = &'static str> {
    let schema = schema_of(table).to_owned();
    FIELDS.lines().skip(1).filter_map(move |line| {
        // Only later cells are ever quoted.
        let mut cells = line.split(',');
        match (cells.next(), cells.next(), cells.next()) {
            (Some(of), Some(field), Some(of_class)) if of == schema && of_class == class => Some(field),
            _ => None,
        }
    })
}

/// All native ASIM tables by name.
pub fn tables() -> impl Iterator<Item = &'static AsimTable> {
    let mut all: Vec<_> = ASIM_TABLES.values().filter(|table| !table.schema.name.ends_with("_CL")).collect();
    all.sort_by(|a, b| a.schema.name.cmp(&b.schema.name));
    all.into_iter()
}

/// The custom tables that stand in for schemas without a native one, by name.
pub fn custom_tables() -> impl Iterator<Item = &'static AsimTable> {
    let mut all: Vec<_> = ASIM_TABLES.values().filter(|table| table.schema.name.ends_with("_CL")).collect();
    all.sort_by(|a, b| a.schema.name.cmp(&b.schema.name));
    all.into_iter()
}

static ASIM_TABLES: LazyLock<HashMap<&'static str, AsimTable>> = LazyLock::new(|| {
    let aliases = aliases_by_schema();
    let mut tables: HashMap<&'static str, AsimTable> = HashMap::new();
    for line in TABLES.lines().skip(1).chain(CUSTOM_TABLES.lines().skip(1)) {
        let mut cells = line.split(',');
        let (Some(table), Some(column), Some(ty)) = (cells.next(), cells.next(), cells.next()) else { continue };
        let ty: ColumnType = ty.parse().expect("the embedded table names KQL types only");
        let entry = tables.entry(table).or_insert_with(|| AsimTable {
            schema: TableSchema { name: Arc::from(table), columns: Vec::new() },
            forbidden: HashMap::new(),
        });
        match forbid(table, column, &aliases) {
            Some(why) => {
                entry.forbidden.insert(column.to_owned(), why);
            }
            None => entry.schema.columns.push(Column::new(column, ty)),
        }
    }
    tables
});

fn forbid(table: &str, column: &str, aliases: &HashMap<&str, HashSet<&str>>) -> Option<Forbidden> {
    if WORKSPACE_COLUMNS.contains(&column) {
        Some(Forbidden::Workspace)
    } else if is_reserved(column) {
        Some(Forbidden::Reserved)
    } else if aliases.get(schema_of(table)).is_some_and(|names| names.contains(column)) {
        // These tables store some of their schema's aliases as columns of their own.
        let stored = matches!(
            (table, column),
            ("ASimAlertEventLogs", "AlertId" | "AlertDescription" | "Rule" | "User")
                | ("ASimAssetEntityLogs", "AssetPath" | "User")
                | ("ASimWebSessionLogs", "Rule")
        );
        (!stored).then_some(Forbidden::Alias)
    } else {
        None
    }
}

/// Whether a field is one of the entity-correlation fields that are reserved for Microsoft.
pub(crate) fn is_reserved(field: &str) -> bool {
    field.ends_with("EntityKey") || field.ends_with("AdditionalIds") || field == "AdditionalEntities"
}

/// `ASimProcessEventLogs` → `ProcessEvent`.
pub(crate) fn schema_of(table: &str) -> &str {
    let name = table.strip_suffix("_CL").unwrap_or(table);
    let name = name.strip_prefix("ASim").unwrap_or(name);
    match name.strip_suffix("Logs").unwrap_or(name) {
        "AuthenticationEvent" => "Authentication",
        "DnsActivity" => "Dns",
        "UserManagementActivity" => "UserManagement",
        other => other,
    }
}

/// A field that stands for others.
pub(crate) struct Alias {
    pub(crate) name: &'static str,
    pub(crate) ty: ColumnType,
    /// The fields that it may stand for, in no order.
    pub(crate) of: Vec<&'static str>,
}

/// The fields of a schema that stand for others. `Dvc` is one, though its class is that of a mandatory field.
pub(crate) fn aliases(schema: &str) -> impl Iterator<Item = Alias> {
    FIELDS.lines().skip(1).filter_map(move |line| {
        // No cell of these rows is quoted.
        let cells: Vec<&str> = line.split(',').collect();
        let [of, name, class, ty, .., alias_of, _] = cells[..] else { return None };
        let is_alias = of == schema && (class == "Alias" || name == "Dvc") && !alias_of.is_empty();
        let ty = ty.parse().ok()?;
        is_alias.then(|| Alias { name, ty, of: alias_of.split('|').collect() })
    })
}

fn aliases_by_schema() -> HashMap<&'static str, HashSet<&'static str>> {
    let mut aliases: HashMap<_, HashSet<_>> = HashMap::new();
    for line in FIELDS.lines().skip(1) {
        // Only later cells are ever quoted.
        let mut cells = line.split(',');
        if let (Some(schema), Some(field), Some("Alias")) = (cells.next(), cells.next(), cells.next()) {
            aliases.entry(schema).or_default().insert(field);
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_thirteen_native_tables_have_their_time_and_product_columns() {
        assert_eq!(tables().count(), 13);
        for table in tables() {
            let name = &table.schema.name;
            for column in ["TimeGenerated", "EventProduct", "EventVendor", "AdditionalFields"] {
                let known = table.schema.column(column).is_some() || &**name == "ASimAssetEntityLogs";
                assert!(known, "{name} lacks {column}");
            }
        }
    }

    #[test]
    fn every_schema_with_a_table_is_found_by_its_name() {
        assert_eq!(table_of_schema("Dns"), Some("ASimDnsActivityLogs"));
        assert_eq!(table_of_schema("Authentication"), Some("ASimAuthenticationEventLogs"));
        assert_eq!(table_of_schema("EmailEvent"), Some("ASimEmailEventLogs_CL"));
        assert_eq!(table_of_schema("Nothing"), None);
        assert!(mandatory_fields("ASimDnsActivityLogs").any(|field| field == "DnsQuery" || field == "EventResult"));
    }

    #[test]
    fn aliases_reserved_and_workspace_columns_are_no_targets() {
        let process = table("ASimProcessEventLogs").expect("native");
        assert_eq!(process.forbidden("DvcEntityKey"), Some(Forbidden::Reserved));
        assert_eq!(process.forbidden("_BilledSize"), Some(Forbidden::Workspace));
        assert!(process.schema.column("User").is_none());
        assert!(process.schema.column("TargetUsername").is_some());
    }

    #[test]
    fn a_schema_without_a_native_table_has_a_custom_one_under_the_same_rules() {
        let email = table("ASimEmailEventLogs_CL").expect("custom");
        assert_eq!(email.schema.column("EmailToRecipients").map(|column| column.ty), Some(ColumnType::Dynamic));
        assert_eq!(email.forbidden("User"), Some(Forbidden::Alias));
        assert_eq!(email.forbidden("Type"), Some(Forbidden::Workspace));
        assert_eq!(email.forbidden("AdditionalEntities"), Some(Forbidden::Reserved));
        assert!(tables().all(|table| table.schema.name != email.schema.name));
        assert!(custom_tables().any(|table| table.schema.name == email.schema.name));
    }
}
