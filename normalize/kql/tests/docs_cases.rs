//! The documented examples: Microsoft's own queries with the output that its pages show.
//!
//! The cases stand outside of the repository (they are Microsoft's, CC-BY-4.0); without them the test says that it
//! skips. A case passes if the columns' names and types and all cells agree; rows without a documented order are compared
//! as a set. Reals agree to six digits (the pages round), times to the microsecond that we keep, dynamic values as JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use weir_contract::schema::TableSchema;
use weir_kql::{Mode, compile};

/// Cases that no right program passes: what the page shows is not what its query gives. `(number, page, why)`
const WRONG_PAGES: &[(usize, &str, &str)] = &[
    (19, "base64-decode-toguid-function.md", "the third group's bytes are swapped, the first two groups' are not"),
    (24, "cursor-current.md", "the value is the service's cursor at one time in 2024"),
    (37, "geospatial-joins.md", "the row of location b is shown with the coordinates of location a"),
    (100, "parse-path-function.md", "the backslashes of the JSON shown are not escaped"),
    (104, "range-operator.md", "the first three of ten rows are left out"),
    (121, "strcat-function.md", "the text is shown as a numbered list of its lines"),
    (130, "toguid-function.md", "an input text is shown reworded, with `isn't` for `is not`"),
    (131, "trim-start-function.md", "the input is shown as a link in angle brackets"),
    (143, "zlib-base64-compress-function.md", "the text is shown inside quotes that are no part of it"),
];

/// Cases that do not pass yet.
const MISSING: &[(usize, &str, &str)] = &[(53, "hash-combine-function.md", "no page says how hashes are combined")];

#[derive(serde::Deserialize)]
struct Case {
    page: String,
    query: String,
    output_rows: Vec<Vec<String>>,
    schema: Vec<DocColumn>,
    ordered: bool,
}

#[derive(serde::Deserialize)]
struct DocColumn {
    name: String,
    #[serde(rename = "type")]
    ty: String,
}

/// `Err`: what is different, or why the query does not run here.
fn run(case: &Case) -> Result<(), String> {
    let nowhere = TableSchema { name: "NoTable".into(), columns: Vec::new() };
    let program =
        compile(&case.query, &nowhere, Mode::Strict).map_err(|errors| format!("refused: {}", errors[0].message))?;
    let found: Vec<(String, String)> =
        program.output().columns.iter().map(|column| (column.name.to_string(), column.ty.to_string())).collect();
    let expected: Vec<(String, String)> =
        case.schema.iter().map(|column| (column.name.clone(), column.ty.clone())).collect();
    if found != expected {
        return Err(format!("columns {found:?} instead of {expected:?}"));
    }
    let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let result = program.run(&empty).map_err(|error| error.to_string())?;
    let options = FormatOptions::default();
    // Arrow prints no time of a named zone.
    let plain = |column: &ArrayRef| match column.data_type() {
        DataType::Timestamp(unit, _) => cast(column, &DataType::Timestamp(*unit, None)).expect("drops the zone"),
        _ => Arc::clone(column),
    };
    let plain: Vec<ArrayRef> = result.columns().iter().map(plain).collect();
    let columns: Vec<ArrayFormatter<'_>> =
        plain.iter().map(|column| ArrayFormatter::try_new(column, &options).expect("printable")).collect();
    let mut left: Vec<Vec<String>> = (0..result.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect())
        .collect();
    if left.len() != case.output_rows.len() {
        return Err(format!("{} rows instead of {}: {left:?}", left.len(), case.output_rows.len()));
    }
    for wanted in &case.output_rows {
        let fits = |row: &Vec<String>| {
            row.iter().zip(wanted).zip(&case.schema).all(|((found, wanted), column)| same(found, wanted, &column.ty))
        };
        let place =
            if case.ordered { left.first().filter(|row| fits(row)).map(|_| 0) } else { left.iter().position(fits) };
        match place {
            Some(place) => drop(left.remove(place)),
            None => return Err(format!("no row is {wanted:?}; left are {left:?}")),
        }
    }
    Ok(())
}

fn same(found: &str, wanted: &str, ty: &str) -> bool {
    let (found, wanted) = (found.trim(), wanted.trim());
    // Some pages write a null as `null`, and the infinite as `∞`.
    let wanted = if wanted == "null" && ty != "string" && ty != "dynamic" { "" } else { wanted };
    let wanted = &wanted.replace('∞', "inf");
    match ty {
        "bool" => {
            let truth = |text: &str| matches!(text.to_lowercase().as_str(), "true" | "1");
            found.is_empty() == wanted.is_empty() && truth(found) == truth(wanted)
        }
        "real" => match (found.parse::<f64>(), wanted.parse::<f64>()) {
            (Ok(found), Ok(wanted)) => {
                (found - wanted).abs() <= 1e-6 * wanted.abs() || found == wanted || (found.is_nan() && wanted.is_nan())
            }
            _ => found == *wanted,
        },
        "datetime" => {
            let time = |text: &str| {
                let text = text.replace('T', " ").replace('Z', "");
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                format!("{whole}.{:0<6.6}", fraction)
            };
            found.is_empty() == wanted.is_empty() && time(found) == time(wanted)
        }
        "dynamic" => {
            let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            match (json(found), json(wanted)) {
                (Some(serde_json::Value::String(found)), _) if found == *wanted => true,
                (Some(found), Some(wanted)) => same_json(&found, &wanted),
                _ => found == wanted,
            }
        }
        // The pages show line ends as blanks, and backslashes with or without a second one.
        _ => found == wanted,
    }
}

fn same_json(found: &serde_json::Value, wanted: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (found, wanted) {
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        (Number(a), Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

#[test]
fn documented_examples_give_their_documented_output() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/kql/docs_cases.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: {path} is not there");
        return;
    };
    let cases: Vec<Case> = serde_json::from_str(&text).expect("the cases are JSON");
    let mut failed = Vec::new();
    let mut report = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if let Err(reason) = run(case) {
            failed.push((number, case.page.as_str()));
            report.push(format!("{number:3} {}: {}", case.page, reason.chars().take(300).collect::<String>()));
        }
    }
    let passed = cases.len() - failed.len();
    println!("{passed} of {} documented examples pass; the others:\n{}", cases.len(), report.join("\n"));
    let mut expected: Vec<(usize, &str)> =
        WRONG_PAGES.iter().chain(MISSING).map(|(number, page, _)| (*number, *page)).collect();
    expected.sort_unstable();
    assert_eq!(failed, expected, "the lists above name all cases that fail, and no others\n{}", report.join("\n"));
}
