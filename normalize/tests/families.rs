//! Every built-in mapping makes the expected rows of its samples, and only what its target table takes.
//!
//! `UPDATE=1 cargo test -p weir-normalize --test families` rewrites the expected rows; read the difference before you
//! commit it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, Framing, RawBatch, RawRecord, RowKind};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats};
use weir_ingest::decode::Decoder;
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::schema::RawTables;
use weir_kql::Mode;
use weir_normalize::library::{self, Library};
use weir_normalize::mapping::Mapping;
use weir_normalize::metrics::NormalizeMetrics;
use weir_normalize::normalizer::Normalizer;
use weir_normalize::samples::{self, json_rows as rows};

#[path = "families/action_types.rs"]
mod action_types;
#[path = "families/batch_lookup.rs"]
mod batch_lookup;
#[path = "families/identity.rs"]
mod identity;
#[path = "families/identity_rules.rs"]
mod identity_rules;
#[path = "families/lossless.rs"]
mod lossless;
#[path = "families/one_row.rs"]
mod one_row;
#[path = "families/rules.rs"]
mod rules;

fn families() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("families")
}

fn mappings() -> Vec<Mapping> {
    library::builtin().expect("the built-in files are mappings")
}

fn compile(mappings: Vec<Mapping>) -> Library {
    let raw = RawTables::builtin();
    match Library::compile(mappings, |table| raw.schema(table).cloned(), Mode::Strict) {
        Ok(library) => library,
        Err(error) => panic!("{error}"),
    }
}

fn decode(text: &str) -> Vec<Batch> {
    let budget = MemoryBudget::new(1 << 30);
    let decoder = Decoder::new(Arc::new(RawTables::builtin()), IngestMetrics::new(&MetricSet::new()));
    let range = OffsetRange {
        partition: "sample".into(),
        start: Offset(0),
        next: Offset(text.len() as u64),
        delivered: Offset(0),
    };
    let raw = RawBatch {
        origin: Arc::new(Origin { source: "test".into(), ranges: vec![range], positions: Repeats::Unrelated }),
        framing: Framing::Lines,
        default_table: None,
        records: vec![RawRecord { payload: text.to_owned().into(), partition: 0, offset: Offset(0) }],
        ack: Ack::detached(),
        permit: budget.charge(text.len()),
    };
    let decoded = decoder.decode(raw, &budget);
    assert!(decoded.dead_letters.is_empty(), "{:?}", decoded.dead_letters);
    decoded.ack.done();
    decoded.batches
}

fn normalizer(library: Library) -> Normalizer {
    Normalizer::new(library, NormalizeMetrics::new(&MetricSet::new()), MemoryBudget::new(1 << 30))
}

fn file_of(mapping: &Mapping, kind: &str) -> PathBuf {
    let (folder, name) = mapping.name.rsplit_once('/').expect("vendor, product and name");
    families().join(folder).join(kind).join(format!("{name}.json"))
}

/// What a mapping makes of its own samples.
fn made(mapping: &Mapping) -> Vec<Value> {
    let path = file_of(mapping, "samples");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let normalizer = normalizer(compile(vec![mapping.clone()]));
    let mut out = Vec::new();
    for batch in decode(&text) {
        if batch.table != mapping.source_table {
            batch.ack.done();
            continue;
        }
        for made in normalizer.normalize(batch).batches {
            if made.kind == RowKind::Normalized {
                out.extend(samples::expected_rows(&made.table, &made.rows));
            }
            made.ack.done();
        }
    }
    out
}

#[test]
fn every_mapping_makes_the_expected_rows_of_its_samples() {
    let mut faults = Vec::new();
    for mapping in mappings() {
        let rows = made(&mapping);
        let path = file_of(&mapping, "expected");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, samples::print_expected(&rows)).unwrap();
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let expected = samples::parse_expected(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let found = samples::differences(&rows, &expected);
        faults.extend(found.into_iter().map(|difference| format!("{} {difference}", mapping.name)));
    }
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_value_of_an_enumerated_field_is_one_that_the_schema_allows() {
    let allowed = enumerations();
    let mut faults = Vec::new();
    let mut checked = 0;
    for mapping in mappings() {
        let schema = schema_of(&mapping.target_table);
        for (index, row) in made(&mapping).iter().enumerate() {
            for (column, value) in row.as_object().unwrap() {
                let Some(values) = allowed.get(&(schema.to_owned(), column.clone())) else { continue };
                checked += 1;
                if let Value::String(text) = value
                    && !values.contains(text.as_str())
                {
                    faults.push(format!("{} row {}: {column} is `{text}`", mapping.name, index + 1));
                }
            }
        }
    }
    assert!(checked > 100, "the schemas' enumerations are known");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `(schema, field)` → allowed values, of the fields that have a list: enumerations, and types of users, ids and names.
fn enumerations() -> HashMap<(String, String), HashSet<&'static str>> {
    let mut known = HashMap::new();
    for line in include_str!("../data/asim_fields.csv").lines().skip(1) {
        let cells = csv_cells(line);
        if cells.len() > 5 && !cells[5].is_empty() {
            known.insert((cells[0].to_owned(), cells[1].to_owned()), cells[5].split('|').map(str::trim).collect());
        }
    }
    known
}

fn csv_cells(line: &'static str) -> Vec<&'static str> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        cells.push(cell);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return cells,
        }
    }
}

fn schema_of(table: &str) -> &str {
    let name = table.strip_suffix("_CL").unwrap_or(table);
    match name.strip_prefix("ASim").unwrap().strip_suffix("Logs").unwrap() {
        "AuthenticationEvent" => "Authentication",
        "DnsActivity" => "Dns",
        "UserManagementActivity" => "UserManagement",
        other => other,
    }
}

#[test]
fn no_value_of_a_raw_row_is_dropped() {
    let mut faults = BTreeMap::new();
    for mapping in mappings() {
        if !mapping.name.starts_with("microsoft/") {
            continue;
        }
        let program = compile(vec![mapping.clone()]);
        let compiled = program.of_table(&mapping.source_table).first().expect("compiled");
        let raw = RawTables::builtin();
        let read: HashSet<&str> = compiled.program.inputs().iter().map(|name| &**name).collect();
        let filter: HashSet<&str> =
            compiled.filter.iter().flat_map(|filter| filter.inputs()).map(|name| &**name).collect();
        let schema = raw.schema(&mapping.source_table).unwrap();
        let dropped: Vec<String> = schema
            .columns
            .iter()
            .map(|column| column.name.to_string())
            .filter(|name| !read.contains(&**name) && !filter.contains(&**name))
            .collect();
        if !dropped.is_empty() {
            faults.insert(mapping.name.to_string(), dropped);
        }
    }
    assert!(faults.is_empty(), "raw columns that a mapping does not read: {faults:#?}");
}

#[test]
fn every_sample_is_claimed_or_passes_through() {
    let all = normalizer(compile(mappings()));
    for mapping in mappings() {
        let text = std::fs::read_to_string(file_of(&mapping, "samples")).unwrap();
        for batch in decode(&text) {
            let rows = batch.rows.num_rows() as u64;
            let normalized = all.normalize(batch);
            let claimed: u64 = normalized.outcomes.iter().map(|outcome| outcome.rows_in).sum();
            assert!(claimed + normalized.passed_through >= rows, "{}", mapping.name);
            for outcome in &normalized.outcomes {
                assert_eq!(outcome.rows_in, outcome.rows_out, "{}: a claimed row makes one row", outcome.mapping);
            }
            normalized.batches.into_iter().for_each(|batch| batch.ack.done());
        }
    }
}
