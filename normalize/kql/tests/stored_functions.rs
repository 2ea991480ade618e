//! Stored functions by themselves: how they are told from queries, parsed, formatted and bound.

use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{BoundFunction, Catalog, Mode, compile_function, format, is_function, syntax_errors};

fn table() -> TableSchema {
    TableSchema { name: "Raw".into(), columns: vec![Column::new("Host", ColumnType::String)] }
}

fn bound(text: &str) -> Result<BoundFunction, Vec<String>> {
    compile_function(text, &table(), Mode::Strict, &Catalog::default()).map_err(|errors| {
        errors.iter().map(|error| format!("{} at `{}`", error.message, &text[error.span.clone()])).collect()
    })
}

#[test]
fn a_function_is_told_from_a_query_by_its_beginning() {
    for (text, expected) in [
        ("(a:string) { a }", true),
        ("// what it is for\n() { print 1 }", true),
        ("view () { Raw }", true),
        ("(a:string) { a", true),
        ("(Raw | take 1)", false),
        ("let f = (a:string) { a }; print f('x')", false),
        ("", false),
    ] {
        assert_eq!(is_function(text), expected, "{text}");
    }
}

#[test]
fn syntax_errors_of_functions_and_queries_come_in_order() {
    assert_eq!(syntax_errors("(a:string, T:(*)) { T | where x == a }"), []);
    assert_eq!(syntax_errors("Raw | where Host == 'a'"), []);
    let errors = syntax_errors("Raw | where | extend = 1");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].span.start < errors[1].span.start);
    assert_eq!(syntax_errors("(a:string) { a ").len(), 1);
    assert_eq!(syntax_errors("(a:text) { a }").len(), 1);
}

#[test]
fn a_function_is_formatted_as_one_of_a_let_is() {
    let short = format("( a:string )  {toupper( a )}").expect("a function");
    assert_eq!(short, "(a:string) { toupper(a) }\n");
    let long = "(T:(*), name:string) { T | where Host == name | extend Second = strcat(name, '-', Host), \
                Third = tolower(name) | project Second, Third }";
    let once = format(long).expect("a function");
    assert!(once.lines().count() > 3, "{once}");
    assert_eq!(format(&once).expect("still a function"), once);
    assert!(format("(a:string) { toupper( }").is_err());
}

#[test]
fn a_function_gives_a_value_or_a_table() {
    let value = bound("(text:string, by:long = 2) { strlen(text) * by }").expect("a function");
    assert_eq!(value.value, Some(Column::new("result", ColumnType::Long)));
    assert_eq!(value.table, None);
    let gives = bound("(T:(User:string)) { T | extend Both = strcat(Host, User) }").expect("a function");
    let columns = gives.table.expect("a table").columns;
    let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["Host", "User", "Both"]);
    assert!(bound("() { Raw | where Host != '' }").is_ok(), "a free name is the host's table");
}

#[test]
fn errors_stand_in_the_function_itself() {
    assert_eq!(bound("(text:string) { touper(text) }"), Err(vec!["unknown function `touper` at `touper`".to_owned()]));
    assert_eq!(
        bound("(T:(*)) { T | where Hst == '' | extend x = touper(Host) }"),
        Err(vec!["unknown column `Hst` at `Hst`".to_owned(), "unknown function `touper` at `touper`".to_owned()])
    );
}
