//! What Microsoft's own parser and binder say of a query, beside what we say: accepted or refused, and the names and
//! types of the columns.
//!
//! Runs only where `WEIR_KUSTO_LANGUAGE` names the folder of the npm package (`scripts/kql_differential.sh` installs it and
//! sets the variable); otherwise the test says that it skips. The queries are our mappings, the constructs of the public
//! parsers, the documented examples where they are at hand, and random queries from a seeded grammar. A query that we
//! refuse because it cannot run at ingest is no disagreement: it is counted by itself. All disagreements are printed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use weir_contract::schema::{Column, TableSchema};
use weir_kql::{Mode, compile};

#[path = "differential/generator.rs"]
mod generator;

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

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn declaration(table: &TableSchema) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("['{}']:{}", column.name, column.ty)).collect();
    format!("({})", columns.join(", "))
}

fn ask(package: &str, cases: &[Case]) -> Vec<Answer> {
    let queries: Vec<serde_json::Value> = cases
        .iter()
        .map(|case| {
            let tables = BTreeMap::from([(case.table.name.to_string(), declaration(&case.table))]);
            serde_json::json!({"query": case.query, "tables": tables})
        })
        .collect();
    let script = repository().join("scripts/kql_differential.js");
    let mut node = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs; install Node 20 or later");
    let input = serde_json::json!({"package": package, "queries": queries}).to_string();
    let mut stdin = node.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = node.wait_with_output().expect("node ends");
    writer.join().expect("the writer ends").expect("node reads all");
    assert!(output.status.success(), "the script failed");
    serde_json::from_slice(&output.stdout).expect("the script answers in JSON")
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

#[test]
fn microsofts_binder_agrees() {
    let Ok(package) = std::env::var("WEIR_KUSTO_LANGUAGE") else {
        eprintln!("skipped: run scripts/kql_differential.sh, which sets WEIR_KUSTO_LANGUAGE");
        return;
    };
    let mut cases = mappings();
    cases.extend(documented());
    let table = generator::table();
    let random = generator::queries(2_000);
    cases.extend(random.into_iter().map(|query| Case { group: "random", query, table: table.clone() }));
    let answers = ask(&package, &cases);
    assert_eq!(answers.len(), cases.len());
    // Per group: agreed, elsewhere only, disagreed.
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut report = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let count = counts.entry(case.group).or_default();
        let disagreement = match compile(&case.query, &case.table, Mode::Strict) {
            Ok(_) if !answer.errors.is_empty() => Some(format!("only we accept it: {}", answer.errors[0])),
            Ok(program) => {
                let ours: Vec<String> =
                    program.output().columns.iter().map(|column| format!("{}:{}", column.name, column.ty)).collect();
                let theirs: Vec<String> = answer
                    .columns
                    .iter()
                    .flatten()
                    .map(|column| format!("{}:{}", column.name, column.ty.replace("decimal", "real")))
                    .collect();
                (ours != theirs).then(|| format!("ours {}; theirs {}", ours.join(", "), theirs.join(", ")))
            }
            Err(errors) if answer.errors.is_empty() => {
                if errors.iter().any(|error| not_at_ingest(&error.message)) {
                    count[1] += 1;
                    continue;
                }
                Some(format!("only we refuse it: {}", errors[0].message))
            }
            Err(_) => None,
        };
        match disagreement {
            None => count[0] += 1,
            Some(text) => {
                count[2] += 1;
                report.push(format!("[{}] {}\n    {text}", case.group, case.query.replace('\n', " ")));
            }
        }
    }
    if let Ok(path) = std::env::var("WEIR_KQL_REPORT") {
        std::fs::write(path, report.join("\n")).expect("the report is written");
    }
    let mut wrong = Vec::new();
    for (group, [agreed, elsewhere, disagreed]) in &counts {
        println!("{group}: {agreed} agree, {disagreed} disagree, {elsewhere} cannot run at ingest");
        let share = *disagreed as f64 / (agreed + disagreed) as f64;
        let most = match *group {
            "mappings" => 0.0,
            "random" => 0.03,
            _ => MOST_DISAGREEMENTS,
        };
        if share > most {
            wrong.push(format!("{group}: {:.1} % disagree", share * 100.0));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), report.join("\n"));
}

/// Share of the queries on which the two may differ today: functions that we lack.
const MOST_DISAGREEMENTS: f64 = 0.05;
