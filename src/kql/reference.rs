//! The reference page, made from the code so that it can't differ from it.

use std::fmt::Write as _;
use std::process::ExitCode;

use weir_kql::FunctionDoc;

/// Prints `docs/kql.md`.
pub(crate) fn print() -> anyhow::Result<ExitCode> {
    print!("{}", page());
    Ok(ExitCode::SUCCESS)
}

fn page() -> String {
    let mut page = String::from(
        "# KQL\n\n\
         The language of mappings, filters and hunting queries. This page is made from the code:\n\
         `weir kql reference > docs/kql.md`. How to write a mapping is told in [mappings.md](mappings.md).\n\n\
         **At ingest** every operator works on one row at a time, or on constant tables (`datatable`, `print`, `range`,\n\
         a watchlist), which are computed once, when the query is compiled. What needs all rows of a table\n\
         (`summarize`, `sort`, `join` of two tables…) is refused there with the place and the reason; inside of\n\
         `mv-apply` it works on the array of one row. **Hunting** runs over the lake's tables, with every operator.\n\n\
         Semantics are KQL's: a `string` is never null, equality is never null, a conversion that fails gives null.\n\
         Times have microseconds. `decimal` is read as `real`.\n",
    );
    operators(&mut page);
    functions(&mut page);
    let aggregates = weir_kql::aggregates();
    heading(&mut page, "Aggregates", "In `summarize`. At ingest over the array of one row or a constant table.");
    table(&mut page, &aggregates.iter().collect::<Vec<_>>());
    let aliases: Vec<String> = weir_kql::aliases().map(|(alias, name)| format!("`{alias}` is `{name}`")).collect();
    heading(&mut page, "Other names", "Names of the same functions, for queries that use them.");
    let _ = writeln!(page, "{}.", aliases.join(", "));
    let helpers: Vec<String> = weir_kql::helpers().map(|name| format!("`{name}`")).collect();
    heading(&mut page, "ASIM helper functions", "Stored functions that public ASIM parsers call by name.");
    let _ = writeln!(page, "{}.", helpers.join(", "));
    page
}

/// Tabular operators.
fn operators(_page: &mut String) {}

/// Scalar functions and operators, a table a family.
fn functions(page: &mut String) {
    let reference = weir_kql::reference();
    let mut families: Vec<&str> = Vec::new();
    for function in reference {
        if !families.contains(&function.family) {
            families.push(function.family);
        }
    }
    heading(page, "Functions", "In every expression, at ingest and when hunting.");
    for family in families {
        let mut title = family.to_owned();
        title[..1].make_ascii_uppercase();
        let _ = writeln!(page, "\n### {title}\n");
        table(page, &reference.iter().filter(|function| function.family == family).collect::<Vec<_>>());
    }
}

fn heading(page: &mut String, title: &str, text: &str) {
    let _ = write!(page, "\n## {title}\n\n{text}\n\n");
}

fn table(page: &mut String, functions: &[&FunctionDoc]) {
    let _ = writeln!(page, "| name | use and meaning |\n| --- | --- |");
    for function in functions {
        let _ = writeln!(page, "| `{}` | {} |", cell(function.name), cell(function.doc));
    }
}

/// A pipe would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
