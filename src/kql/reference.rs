//! The reference page, made from the code so that it can't differ from it.

use std::fmt::Write as _;
use std::process::ExitCode;

use weir_kql::{FunctionDoc, Runs};

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
         `mv-apply` it works on the array of one row. **Hunting** runs over the tables of the lake.\n\n\
         Semantics are KQL's: a `string` is never null, equality is never null, a conversion that fails gives null.\n\
         Times have microseconds. `decimal` is read as `real`.\n\n",
    );
    operators(&mut page);
    functions(&mut page);
    let aggregates = weir_kql::aggregates();
    heading(&mut page, "Aggregates", "In `summarize`. At ingest over the array of one row or a constant table.");
    table(&mut page, aggregates.iter().map(|aggregate| (aggregate.name, aggregate.doc)));
    let windows = weir_kql::window_functions();
    heading(
        &mut page,
        "Window functions",
        "In `extend` and `serialize`, over the rows in their order: when hunting, and over constant tables.",
    );
    table(&mut page, windows.iter().map(|function| (function.name, function.doc)));
    let aliases: Vec<String> = weir_kql::aliases().map(|(alias, name)| format!("`{alias}` is `{name}`")).collect();
    heading(&mut page, "Other names", "Names of the same functions, for queries that use them.");
    let _ = writeln!(page, "{}.\n", aliases.join(", "));
    let helpers: Vec<String> = weir_kql::helpers().map(|name| format!("`{name}`")).collect();
    heading(&mut page, "ASIM helper functions", "Stored functions that public ASIM parsers call by name.");
    let _ = writeln!(page, "{}.", helpers.join(", "));
    page
}

/// Tabular operators, by where they run.
fn operators(page: &mut String) {
    let groups = [
        (Runs::Everywhere, "Operators at ingest and when hunting", "They work row by row."),
        (Runs::OverAllRows, "Operators that need all rows", "When hunting; at ingest over constant tables only."),
        (
            Runs::Nowhere,
            "Operators that are refused",
            "They are parsed; a query with one is told what to write instead.",
        ),
    ];
    for (runs, title, text) in groups {
        heading(page, title, text);
        let docs = weir_kql::operators().iter().filter(|operator| operator.runs == runs);
        table(page, docs.map(|operator| (operator.name, operator.doc)));
    }
}

/// Scalar functions and operators, a table a family.
fn functions(page: &mut String) {
    // A form that only the compiler makes has a name that nobody can write.
    let is_written = |function: &&FunctionDoc| !function.name.contains(' ') || function.doc.contains(function.name);
    let reference: Vec<&FunctionDoc> = weir_kql::reference().iter().filter(is_written).collect();
    let mut families: Vec<&str> = Vec::new();
    for function in &reference {
        if !families.contains(&function.family) {
            families.push(function.family);
        }
    }
    heading(page, "Functions", "In every expression, at ingest and when hunting.");
    for family in families {
        let mut title = family.to_owned();
        title[..1].make_ascii_uppercase();
        let _ = writeln!(page, "### {title}\n");
        let of_family = reference.iter().filter(|function| function.family == family);
        table(page, of_family.map(|function| (function.name, function.doc)));
    }
}

fn heading(page: &mut String, title: &str, text: &str) {
    let _ = write!(page, "## {title}\n\n{text}\n\n");
}

fn table<'a>(page: &mut String, docs: impl Iterator<Item = (&'a str, &'a str)>) {
    let _ = writeln!(page, "| name | use and meaning |\n| --- | --- |");
    for (name, doc) in docs {
        let _ = writeln!(page, "| `{}` | {} |", cell(name), cell(doc));
    }
    page.push('\n');
}

/// A pipe would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
