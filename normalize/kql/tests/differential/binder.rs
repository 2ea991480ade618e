//! Microsoft's own binder: accepted or refused, and the names and types of the columns. The queries are our mappings, the
//! documented examples where they are at hand, random queries of a seeded grammar, and calls of every function. A query
//! that we refuse because it cannot run at ingest is no disagreement: it is counted by itself.

use std::collections::{BTreeMap, HashSet};
use std::process::Command;

use weir_contract::schema::{Column, TableSchema};
use weir_kql::{Mode, compile};

use crate::classes::{self, Class, Difference, Right};
use crate::{ask, calls, generator, random, repository, tool};

/// Queries of the random grammar; and of each function, calls that we take, and any.
const QUERIES: usize = 2_000;
const CALLS: usize = 6;

struct Case {
    group: &'static str,
    query: String,
    table: TableSchema,
}

#[derive(serde::Deserialize)]
struct Answer {
    errors: Vec<String>,
    columns: Option<Vec<Named>>,
}

#[derive(serde::Deserialize)]
struct Named {
    name: String,
    #[serde(rename = "type")]
    ty: String,
}

fn declaration(table: &TableSchema) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("['{}']:{}", column.name, column.ty)).collect();
    format!("({})", columns.join(", "))
}

fn answers(package: &str, cases: &[Case]) -> Vec<Answer> {
    let queries: Vec<serde_json::Value> = cases
        .iter()
        .map(|case| {
            let tables = BTreeMap::from([(case.table.name.to_string(), declaration(&case.table))]);
            serde_json::json!({"query": case.query, "tables": tables})
        })
        .collect();
    let mut node = Command::new("node");
    node.arg(repository().join("scripts/kql_differential.js"));
    ask(node, &serde_json::json!({"package": package, "queries": queries}))
}

/// The mappings of this repository, each with its raw table.
fn mappings() -> Vec<Case> {
    let mut tables: BTreeMap<String, TableSchema> = BTreeMap::new();
    for file in ["defender.csv", "aws.csv"] {
        let text = std::fs::read_to_string(repository().join("ingest/schemas").join(file)).expect("a schema file");
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let table = tables
                .entry(cells[0].to_owned())
                .or_insert_with(|| TableSchema { name: cells[0].into(), columns: Vec::new() });
            table.columns.push(Column::new(cells[1], cells[2].parse().expect("a type")));
        }
    }
    let mut cases = Vec::new();
    let mut folders = vec![repository().join("normalize/families")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let text = std::fs::read_to_string(&path).expect("a mapping");
                let raw = text.lines().find_map(|line| line.strip_prefix("SourceRawTable: ")).expect("a raw table");
                let mut table = tables.get(raw).expect("a known raw table").clone();
                if table.column("TimeGenerated").is_none() {
                    table.columns.push(Column::new("TimeGenerated", weir_contract::schema::ColumnType::Datetime));
                }
                for key in ["ParserFilterQuery: |", "ParserQuery: |"] {
                    let lines = text.lines().skip_while(|line| *line != key).skip(1);
                    let block: Vec<&str> = lines.take_while(|line| line.is_empty() || line.starts_with("  ")).collect();
                    // Not every mapping has a filter.
                    if block.is_empty() {
                        continue;
                    }
                    cases.push(Case { group: "mappings", query: block.join("\n"), table: table.clone() });
                }
            }
        }
    }
    assert!(cases.len() >= 14, "all mappings are found");
    cases
}

fn documented() -> Vec<Case> {
    let Ok(text) = std::fs::read_to_string(repository().join("../shared/kql/docs_cases.json")) else {
        eprintln!("the documented examples are not at hand");
        return Vec::new();
    };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("the cases are JSON");
    let table =
        TableSchema { name: "NoTable".into(), columns: vec![Column::new("a", "string".parse().expect("a type"))] };
    let query = |case: &serde_json::Value| case["query"].as_str().unwrap_or_default().to_owned();
    cases.iter().map(|case| Case { group: "documented", query: query(case), table: table.clone() }).collect()
}

/// What stands for a refusal that is no disagreement.
fn not_at_ingest(message: &str) -> bool {
    message.contains("cannot run at ingest")
        || message.contains("must be constant")
        || message.contains("at ingest")
        || message.starts_with("only the service knows")
}

/// What we make of a query: its columns, or the error.
fn ours(case: &Case) -> Result<String, String> {
    match compile(&case.query, &case.table, Mode::Strict) {
        Ok(program) => {
            Ok(columns(program.output().columns.iter().map(|column| (column.name.to_string(), column.ty.to_string()))))
        }
        Err(errors) => {
            let message = errors.iter().find(|error| not_at_ingest(&error.message)).unwrap_or(&errors[0]);
            Err(message.message.clone())
        }
    }
}

/// Decimals are reals to us.
fn theirs(answer: &Answer) -> Result<String, String> {
    match answer.errors.first() {
        Some(error) => Err(error.clone()),
        None => Ok(columns(
            answer.columns.iter().flatten().map(|column| (column.name.clone(), column.ty.replace("decimal", "real"))),
        )),
    }
}

fn columns(columns: impl Iterator<Item = (String, String)>) -> String {
    columns.map(|(name, ty)| format!("{name}:{ty}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn microsofts_binder_agrees() {
    let Some(package) = tool("WEIR_KUSTO_LANGUAGE") else { return };
    let table = random::table();
    let of_table = |group: &'static str, query: String| Case { group, query, table: table.clone() };
    let mut cases = mappings();
    cases.extend(documented());
    cases.extend(CLASSES.iter().map(|class| of_table("examples", class.example.to_owned())));
    cases.extend(generator::queries(QUERIES).into_iter().map(|query| of_table("random", query)));
    let takes = |call: &str| compile(&format!("T | project x = {call}"), &table, Mode::Strict).is_ok();
    let taken = calls::calls(CALLS, takes).into_values();
    let any = calls::calls(CALLS, |_| true).into_values();
    cases.extend(taken.chain(any).flatten().map(|call| of_table("calls", format!("T | project x = {call}"))));
    let answers = answers(&package, &cases);
    assert_eq!(answers.len(), cases.len());
    // Per group: agreed, elsewhere only, disagreed.
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut differences = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let count = counts.entry(case.group).or_default();
        let (ours, theirs) = (ours(case), theirs(answer));
        match (&ours, &theirs) {
            (Err(message), Ok(_)) if not_at_ingest(message) => count[1] += 1,
            (Err(_), Err(_)) => count[0] += 1,
            _ if ours == theirs => count[0] += 1,
            _ => {
                count[2] += 1;
                differences.push(Difference { query: case.query.replace('\n', " "), ours, theirs });
            }
        }
    }
    for (group, [agreed, elsewhere, disagreed]) in &counts {
        println!("{group}: {agreed} agree, {disagreed} disagree, {elsewhere} cannot run at ingest");
    }
    assert_eq!(counts["mappings"][2], 0, "a mapping means the same to Microsoft\n{differences:#?}");
    classes::assert_listed("binder", CLASSES, &differences);
}

#[test]
fn the_differences_from_the_binder_are_documented() {
    classes::assert_documented("## Microsoft's binder", CLASSES);
}

/// What stays different.
const CLASSES: &[Class] = &[
    Class {
        name: "a capture of a column that is there",
        example: "T | parse s with 'a' w:long | parse s with 'b' w:long",
        right: Right::Weir,
        why: "the engine replaces the column, as `extend` does (measured on the emulator); the binder adds a second one",
        is: |difference| match &difference.theirs {
            Ok(columns) => difference.query.contains("| parse") && named_twice(columns),
            Err(_) => false,
        },
    },
    Class {
        name: "unnamed columns of a union",
        example: "T | extend 1 | union (T | extend 1.5)",
        right: Right::Weir,
        why: "a union goes by names, and columns of one name and two types get both types' names (page of `union`); \
              the binder keeps apart what it named itself",
        is: |difference| difference.query.contains("union") && holds(&difference.theirs, "Column2:"),
    },
    Class {
        name: "what a constant dynamic holds",
        example: "T | extend x = array_length(dynamic({'a': 1}))",
        right: Right::Weir,
        why: "a function of arrays gives null for a bag (measured on the emulator for `array_length`), and one of texts takes \
              the JSON; the binder looks into constants, but not into columns",
        is: |difference| {
            let kinds =
                ["must be a dynamic array", "must be a dynamic bag", "of type string expected", "types: int or long"];
            let operands = ["is not defined for the operand types", "is not compatible with arguments (dynamic"];
            difference.query.contains("dynamic(")
                && difference.ours.is_ok()
                && kinds.iter().chain(&operands).any(|kind| fails(&difference.theirs, kind))
        },
    },
    Class {
        name: "datetimes added or multiplied",
        example: "T | extend x = t + t",
        right: Right::Weir,
        why: "the page of datetime arithmetic knows no such sum or product, and the engine refuses the sum; the binder \
              counts ticks",
        is: |difference| {
            difference.theirs.is_ok()
                && fails(&difference.ours, "does not take")
                && fails(&difference.ours, "datetime")
                && ["`+`", "`*`"].iter().any(|operator| fails(&difference.ours, operator))
        },
    },
    Class {
        name: "equality of unlike types",
        example: "T | where s == l",
        right: Right::Open,
        why: "the binder takes any two types for `==`, `!=` and `in`, but not for `<`; we take a text for a time, a guid \
              and a dynamic, and else ask for a conversion, which is never a wrong answer",
        is: |difference| {
            difference.theirs.is_ok()
                && (fails(&difference.ours, "is never in a list for")
                    || ["`==` does not take", "`!=` does not take"].iter().any(|text| fails(&difference.ours, text)))
        },
    },
    Class {
        name: "functions not built",
        example: "print x = cursor_current()",
        right: Right::Other,
        why: "they are missing here; `cursor_current` only the service can answer",
        is: |difference| fails(&difference.ours, "unknown function"),
    },
    Class {
        name: "functions of our own",
        example: "T | extend x = hex_tolong(s)",
        right: Right::Weir,
        why: "`hex_tolong` and `pack_nonempty` are extensions for mappings; the reference marks them",
        is: |difference| {
            difference.ours.is_ok()
                && ["hex_tolong", "pack_nonempty"].iter().any(|name| fails(&difference.theirs, &format!("'{name}'")))
        },
    },
    Class {
        name: "the type of a rounded whole number",
        example: "T | extend x = round(l)",
        right: Right::Weir,
        why: "the engine gives a real (measured on the emulator); the binder gives the argument's type",
        is: |difference| difference.query.contains("round(") && difference.ours.is_ok() && difference.theirs.is_ok(),
    },
    Class {
        name: "seconds of a timespan",
        example: "T | extend x = make_timespan(1, 12, 30, 55.123)",
        right: Right::Weir,
        why: "they are a real (page of `make_timespan`, whose example this is); the binder wants an integer",
        is: |difference| difference.query.contains("make_timespan(") && fails(&difference.theirs, "must be an integer"),
    },
    Class {
        name: "canonical text of what is not dynamic",
        example: "T | extend x = dynamic_to_json(l)",
        right: Right::Weir,
        why: "the argument is dynamic (page of `dynamic_to_json`); the binder takes any value",
        is: |difference| fails(&difference.ours, "`dynamic_to_json` expects"),
    },
    Class {
        name: "a time made of one value",
        example: "T | extend x = make_datetime(s)",
        right: Right::Weir,
        why: "the pages of `make_datetime` and `make_timespan` know no such call; `todatetime` and `totimespan` read a text",
        is: |difference| {
            difference.theirs.is_ok()
                && ["`make_datetime` takes", "`make_timespan` takes"].iter().any(|text| fails(&difference.ours, text))
        },
    },
    Class {
        name: "a type for a text",
        example: "T | extend x = strcat(s, typeof(long))",
        right: Right::Open,
        why: "no page gives `typeof` a value; the binder takes a type for any scalar, and we say that none stands there",
        is: |difference| fails(&difference.ours, "a type stands for no value here"),
    },
];

fn holds(answer: &Result<String, String>, part: &str) -> bool {
    answer.as_ref().is_ok_and(|columns| columns.contains(part))
}

fn fails(answer: &Result<String, String>, part: &str) -> bool {
    answer.as_ref().is_err_and(|message| message.contains(part))
}

fn named_twice(columns: &str) -> bool {
    let mut seen = HashSet::new();
    !columns.split(", ").filter_map(|column| column.split_once(':')).all(|(name, _)| seen.insert(name))
}
