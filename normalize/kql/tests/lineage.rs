//! Where output columns come from.

use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Mode, compile};

/// Per output column: its sources, and the text of its assignment.
fn lineage(query: &str) -> Vec<(String, Vec<String>, String)> {
    let columns = [
        ("Host", ColumnType::String),
        ("Port", ColumnType::Int),
        ("User", ColumnType::String),
        ("Bag", ColumnType::Dynamic),
    ];
    let columns = columns.into_iter().map(|(name, ty)| Column::new(name, ty)).collect();
    let table = TableSchema { name: "T".into(), columns };
    let program = compile(query, &table, Mode::Strict).expect("compiles");
    let found = program.lineage().into_iter();
    found
        .map(|column| {
            let text = column.span.map_or("", |span| &query[span]);
            (column.column.to_string(), column.sources, text.to_owned())
        })
        .collect()
}

fn expect(query: &str, expected: &[(&str, &[&str], &str)]) {
    let expected: Vec<(String, Vec<String>, String)> = expected
        .iter()
        .map(|(name, sources, text)| {
            let sources = sources.iter().map(|source| (*source).to_owned()).collect();
            ((*name).to_owned(), sources, (*text).to_owned())
        })
        .collect();
    assert_eq!(lineage(query), expected, "{query}");
}

#[test]
fn a_column_comes_from_all_that_its_value_depends_on() {
    expect(
        "T | extend a = strcat(User, Host) | where Port > 3 | extend b = iff(a == Bag.x.y[0], Port, 0) | project Host, a, b",
        &[
            ("Host", &["Host"], ""),
            ("a", &["User", "Host"], "a = strcat(User, Host)"),
            ("b", &["User", "Host", "Bag.x.y[0]", "Port"], "b = iff(a == Bag.x.y[0], Port, 0)"),
        ],
    );
}

#[test]
fn a_renamed_column_keeps_its_assignment_and_a_bare_one_has_none() {
    expect(
        "T | extend a = toupper(Host) | project-rename c = a | project c, Host, p = Port",
        &[("c", &["Host"], "a = toupper(Host)"), ("Host", &["Host"], ""), ("p", &["Port"], "p = Port")],
    );
}

#[test]
fn what_a_lookup_or_a_stored_function_gives_comes_from_its_keys_and_arguments() {
    expect(
        "T | lookup (datatable(Port:int, Name:string)[22, 'ssh']) on Port | project Name",
        &[("Name", &["Port"], "")],
    );
    let found = lineage("T | invoke _ASIM_ResolveDvcFQDN('Host') | project DvcHostname");
    assert_eq!(found[0].1, ["Host"], "{found:?}");
    assert_eq!(found[0].2, "invoke _ASIM_ResolveDvcFQDN('Host')");
}
