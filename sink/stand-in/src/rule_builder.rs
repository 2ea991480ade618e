//! Data collection rules for ASIM tables, as a person would write them.

use serde_json::{Map, Value, json};

use crate::rules::MAX_PER_RULE;
use crate::tables::{ColumnType, custom_table, native_table};

/// Makes the JSON of a direct rule for `tables`: stream `Custom-<Table>` with all columns of the table that a sender
/// may fill, transformation `source`, output `Microsoft-<Table>`, or `Custom-<Table>` for a custom table.
///
/// A rule holds ten flows, so more than ten tables give a JSON array of rules; [`crate::Workspace::add_rule`] and
/// `PUT /stand-in/rules` take both forms. The immutable id follows from the tables' names: the same tables have the
/// same id on every start. A name that is no ASIM table yields a flow that the rule check refuses.
pub fn rule_for_tables(tables: &[&str]) -> Value {
    let mut rules: Vec<Value> = tables.chunks(MAX_PER_RULE).map(one_rule).collect();
    if rules.len() == 1 { rules.remove(0) } else { Value::Array(rules) }
}

fn one_rule(tables: &[&str]) -> Value {
    let mut declarations = Map::new();
    let mut flows = Vec::new();
    for table in tables {
        let stream = format!("Custom-{table}");
        let origin = if table.ends_with("_CL") { "Custom" } else { "Microsoft" };
        let columns: Vec<Value> = match native_table(table).or_else(|| custom_table(table)) {
            Some(known) => {
                let column = |(name, kind): (&String, &ColumnType)| json!({"name": name, "type": kind.declaration()});
                known.columns.iter().map(column).collect()
            }
            None => vec![json!({"name": "TimeGenerated", "type": "datetime"})],
        };
        flows.push(json!({
            "streams": [&stream],
            "destinations": ["workspace"],
            "transformKql": "source",
            "outputStream": format!("{origin}-{table}"),
        }));
        declarations.insert(stream, json!({ "columns": columns }));
    }
    let workspace = "/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/stand-in/providers/\
                     Microsoft.OperationalInsights/workspaces/stand-in";
    let id = fingerprint(tables);
    json!({
        "location": "westeurope",
        "kind": "Direct",
        "name": format!("asim-{}", &id[..8]),
        "properties": {
            "immutableId": format!("dcr-{id}"),
            "streamDeclarations": declarations,
            "destinations": {"logAnalytics": [{"name": "workspace", "workspaceResourceId": workspace}]},
            "dataFlows": flows,
        }
    })
}

/// 128 bits of FNV-1a over the names, in hex: stable over versions and machines, and not meant to be secure.
fn fingerprint(tables: &[&str]) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in tables.iter().flat_map(|table| table.bytes().chain([b'\n'])) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    }
    format!("{hash:032x}")
}
