//! The unifying functions of ASIM, over the ASIM tables of a lake: `_Im_<Schema>` and `_ASim_<Schema>`
//! (<https://learn.microsoft.com/azure/sentinel/normalization-about-parsers>).
//!
//! The tables, native ones and the custom one of EmailEvent, leave out the aliases, and the functions add them. `_Im_`
//! functions take filters, by the names and in the order of the schemas' pages; `data/asim_filters.csv` has them. The
//! functions are KQL, made from the tables of this crate, for a [`weir_kql::Catalog`].
//!
//! Where an alias stands for several columns, the pages name no order: here the most exact name of a device comes first
//! (FQDN, host name, address, id), and the longest hash that is in common use.

use weir_contract::schema::{ColumnType, TableSchema};

use crate::asim;

const FILTERS: &str = include_str!("../data/asim_filters.csv");

/// Endings of the columns that an alias may stand for, the preferred ones first.
const PREFERRED: [&str; 9] = ["FQDN", "Hostname", "IpAddr", "DvcId", "SHA256", "SHA1", "MD5", "SHA512", "IMPHASH"];

/// Functions that are narrower than their schema: name, schema, condition.
const NARROWER: [(&str, &str, &str); 2] = [
    ("ProcessCreate", "ProcessEvent", "EventType == 'ProcessCreated'"),
    ("ProcessTerminate", "ProcessEvent", "EventType == 'ProcessTerminated'"),
];

/// All unifying functions: the name, and parameters and body as KQL.
pub fn functions() -> Vec<(String, String)> {
    let mut functions = Vec::new();
    for table in asim::tables().chain(asim::custom_tables()) {
        let schema = asim::schema_of(&table.schema.name);
        functions.extend(pair(schema, schema, None, &table.schema));
        for (name, of, condition) in NARROWER.iter().filter(|(_, of, _)| *of == schema) {
            functions.extend(pair(name, of, Some(condition), &table.schema));
        }
    }
    functions
}

/// The function with filters, and the one without.
fn pair(name: &str, schema: &str, condition: Option<&str>, table: &TableSchema) -> [(String, String); 2] {
    let filters: Vec<Filter<'_>> = filters(schema).collect();
    let parameters: Vec<String> = ["starttime:datetime=datetime(null)", "endtime:datetime=datetime(null)"]
        .into_iter()
        .map(str::to_owned)
        .chain(filters.iter().map(Filter::parameter))
        .chain(["pack:bool=false".to_owned()])
        .collect();
    let mut conditions = vec![
        "isnull(starttime) or TimeGenerated >= starttime".to_owned(),
        "isnull(endtime) or TimeGenerated <= endtime".to_owned(),
    ];
    conditions.extend(filters.iter().map(Filter::condition));
    let body = |conditions: &[String]| {
        let own = condition.map(str::to_owned);
        let conditions = own.iter().chain(conditions).map(|condition| format!("| where {condition}\n"));
        let aliases = aliases(schema, table);
        let extend = if aliases.is_empty() { String::new() } else { format!("| extend {}\n", aliases.join(", ")) };
        format!("{}\n{}{extend}", table.name, conditions.collect::<String>())
    };
    let filtering = format!("({}) {{\n{}}}", parameters.join(", "), body(&conditions));
    let plain = format!("(pack:bool=false) {{\n{}}}", body(&[]));
    [(format!("_Im_{name}"), filtering), (format!("_ASim_{name}"), plain)]
}

/// A filter parameter.
struct Filter<'a> {
    parameter: &'a str,
    test: &'a str,
    columns: Vec<&'a str>,
}

fn filters(schema: &str) -> impl Iterator<Item = Filter<'static>> {
    let cells = FILTERS.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    cells.filter_map(move |cells| match cells[..] {
        [of, parameter, test, columns] if of == schema => {
            Some(Filter { parameter, test, columns: columns.split('|').collect() })
        }
        _ => None,
    })
}

impl Filter<'_> {
    /// With its type, and the default that filters nothing.
    fn parameter(&self) -> String {
        let name = self.parameter;
        match self.test.split_once('=') {
            Some((_, default)) => format!("{name}:string='{default}'"),
            None => match self.test {
                "equals" | "has" | "has_ipv4" => format!("{name}:string='*'"),
                "number" => format!("{name}:int=int(null)"),
                _ => format!("{name}:dynamic=dynamic([])"),
            },
        }
    }

    /// True for every row if the parameter has the value that filters nothing.
    fn condition(&self) -> String {
        let name = self.parameter;
        let test = self.test.split_once('=').map_or(self.test, |(test, _)| test);
        let unset = match test {
            "equals" | "has" | "has_ipv4" => format!("{name} == '*'"),
            "number" => format!("isnull({name})"),
            _ => format!("array_length({name}) == 0"),
        };
        let tests = self.columns.iter().map(|column| match test {
            "equals" => format!("{column} =~ {name}"),
            "number" => format!("{column} == {name}"),
            "has" => format!("{column} has {name}"),
            "has_ipv4" => format!("has_ipv4({column}, {name})"),
            "ip_prefix" => format!("has_any_ipv4_prefix({column}, {name})"),
            "in" => format!("{column} in~ ({name})"),
            test => format!("{column} {test} ({name})"),
        });
        let tests: Vec<String> = tests.collect();
        format!("{unset} or {}", tests.join(" or "))
    }
}

/// `Alias = value`, for the aliases of a schema. Few tables store aliases of theirs, and a sender may leave them empty;
/// `Dvc`, where it is stored, is the sender's to fill.
fn aliases(schema: &str, table: &TableSchema) -> Vec<String> {
    let rank = |column: &str| PREFERRED.iter().position(|ending| column.ends_with(ending)).unwrap_or(PREFERRED.len());
    let mut aliases = Vec::new();
    for alias in asim::aliases(schema) {
        let stored = table.column(alias.name);
        let mut sources: Vec<_> = alias.of.iter().filter_map(|name| table.column(name)).collect();
        if sources.is_empty() || (stored.is_some() && alias.name == "Dvc") {
            continue;
        }
        sources.sort_by_key(|column| rank(&column.name));
        let is_text = |ty: ColumnType| ty == ColumnType::String;
        let values = stored.into_iter().chain(sources).map(|column| match is_text(alias.ty) && !is_text(column.ty) {
            true => format!("tostring({})", column.name),
            false => column.name.to_string(),
        });
        let values: Vec<String> = values.collect();
        match values.as_slice() {
            [value] => aliases.push(format!("{} = {value}", alias.name)),
            values => aliases.push(format!("{} = coalesce({})", alias.name, values.join(", "))),
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::RecordBatch;
    use weir_kql::Catalog;
    use weir_kql::compile_plan;
    use weir_kql::plan::{Host, Plan};

    /// The native tables, without rows.
    struct Tables;

    impl Host for Tables {
        fn table(&self, name: &str) -> Option<TableSchema> {
            asim::table(name).map(|table| table.schema.clone())
        }

        fn table_names(&self) -> Vec<String> {
            asim::tables().map(|table| table.schema.name.to_string()).collect()
        }

        fn rows(&self, _: &Arc<Plan>, _: usize) -> Result<RecordBatch, String> {
            Err("there are no rows".to_owned())
        }
    }

    /// The plan of a query over the functions, as text.
    fn plan(query: &str) -> String {
        let mut catalog = Catalog::default();
        for (name, text) in functions() {
            catalog.add_function(&name, &text).expect("a function");
        }
        match compile_plan(query, &Tables, &catalog, 0) {
            Ok(bound) => bound.plan.to_string(),
            Err(errors) => panic!("{}", errors.iter().map(|error| error.render("q", query, 1)).collect::<String>()),
        }
    }

    #[test]
    fn every_function_binds_to_its_table() {
        for (name, _) in functions() {
            let found = plan(&format!("{name}() | take 1"));
            assert!(found.contains("scan ASim"), "{name}: {found}");
        }
    }

    #[test]
    fn filters_that_are_not_set_cost_nothing() {
        let found = plan("_Im_NetworkSession() | project TimeGenerated");
        assert!(!found.contains("filter"), "{found}");
        let found = plan("_Im_ProcessEvent(starttime=datetime(2026-01-01), eventtype='ProcessCreated') | project User");
        // The time is compared by itself, so that a scan can be told of it.
        let filter = found.lines().find(|line| line.contains("filter")).expect("two filters are set");
        assert!(filter.contains(" >= datetime(2026-01-01") && filter.contains("=~ string(ProcessCreated)"), "{found}");
        assert!(!filter.contains(" or ") && !filter.contains("isnull"), "{found}");
    }

    #[test]
    fn every_asim_table_has_both_functions_and_they_are_kql() {
        let functions = functions();
        let tables = asim::tables().chain(asim::custom_tables());
        assert_eq!(functions.len(), 2 * (tables.count() + NARROWER.len()));
        assert!(functions.iter().any(|(name, _)| name == "_Im_EmailEvent"));
        let mut catalog = Catalog::default();
        for (name, text) in &functions {
            if let Err(errors) = catalog.add_function(name, text) {
                let shown: Vec<String> = errors.iter().map(|error| error.render(name, text, 1)).collect();
                panic!("{}", shown.join("\n"));
            }
        }
    }

    #[test]
    fn filters_name_columns_of_their_tables() {
        for table in asim::tables() {
            for filter in filters(asim::schema_of(&table.schema.name)) {
                for column in &filter.columns {
                    assert!(table.schema.column(column).is_some(), "{}: {column}", table.schema.name);
                }
            }
        }
        let schemas: Vec<&str> = asim::tables().map(|table| asim::schema_of(&table.schema.name)).collect();
        for line in FILTERS.lines().skip(1) {
            assert!(schemas.iter().any(|schema| line.starts_with(&format!("{schema},"))), "{line}");
        }
    }

    #[test]
    fn aliases_stand_for_the_columns_that_the_schema_names() {
        let table = asim::table("ASimProcessEventLogs").expect("native");
        let aliases = aliases("ProcessEvent", &table.schema);
        assert!(aliases.contains(&"User = TargetUsername".to_owned()), "{aliases:?}");
        assert!(aliases.contains(&"CommandLine = TargetProcessCommandLine".to_owned()), "{aliases:?}");
        let hash = aliases.iter().find(|alias| alias.starts_with("Hash = ")).expect("a hash");
        assert!(hash.starts_with("Hash = coalesce(TargetProcessSHA256, TargetProcessSHA1, TargetProcessMD5"), "{hash}");
    }

    #[test]
    fn an_alias_that_its_table_stores_has_its_value_though_the_sender_left_it_empty() {
        let table = asim::table("ASimAlertEventLogs").expect("native");
        let found = aliases("AlertEvent", &table.schema);
        assert!(found.contains(&"User = coalesce(User, Username)".to_owned()), "{found:?}");
        assert!(found.contains(&"Rule = coalesce(Rule, RuleName, tostring(RuleNumber))".to_owned()), "{found:?}");
        let table = asim::table("ASimDnsActivityLogs").expect("native");
        assert!(aliases("Dns", &table.schema).iter().all(|alias| !alias.starts_with("Dvc = ")));
    }
}
