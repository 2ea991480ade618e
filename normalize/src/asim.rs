//! The native ASIM tables of a Sentinel workspace, and which of their columns a sender may fill.
//!
//! `data/asim_tables.csv` has the columns (state of the public reference on 2026-08-14), `data/asim_fields.csv` the
//! schemas. A sender must not fill columns that the workspace owns, aliases (the query-time stubs add them) and the
//! entity-correlation columns that are reserved for Microsoft.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use weir_contract::schema::{Column, ColumnType, TableSchema};

const TABLES: &str = include_str!("../data/asim_tables.csv");
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

/// One native ASIM table.
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

/// The native ASIM table called `name`, such as `ASimProcessEventLogs`.
pub fn table(name: &str) -> Option<&'static AsimTable> {
    ASIM_TABLES.get(name)
}

/// All native ASIM tables by name.
pub fn tables() -> impl Iterator<Item = &'static AsimTable> {
    let mut all: Vec<_> = ASIM_TABLES.values().collect();
    all.sort_by(|a, b| a.schema.name.cmp(&b.schema.name));
    all.into_iter()
}

static ASIM_TABLES: LazyLock<HashMap<&'static str, AsimTable>> = LazyLock::new(|| {
    let aliases = aliases_by_schema();
    let mut tables: HashMap<&'static str, AsimTable> = HashMap::new();
    for line in TABLES.lines().skip(1) {
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
    let name = table.strip_prefix("ASim").unwrap_or(table);
    match name.strip_suffix("Logs").unwrap_or(name) {
        "AuthenticationEvent" => "Authentication",
        "DnsActivity" => "Dns",
        "UserManagementActivity" => "UserManagement",
        other => other,
    }
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
    fn aliases_reserved_and_workspace_columns_are_no_targets() {
        let process = table("ASimProcessEventLogs").expect("native");
        assert_eq!(process.forbidden("DvcEntityKey"), Some(Forbidden::Reserved));
        assert_eq!(process.forbidden("_BilledSize"), Some(Forbidden::Workspace));
        assert!(process.schema.column("User").is_none());
        assert!(process.schema.column("TargetUsername").is_some());
    }
}
