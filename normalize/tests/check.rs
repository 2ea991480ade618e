//! The ASIM check finds no error in the expected rows of any built-in mapping.
//!
//! `TELL=1 cargo test -p weir-normalize --test check -- --nocapture` prints everything that it finds.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringViewArray, TimestampMicrosecondArray};
use serde_json::{Map, Value};
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin as BatchOrigin, Repeats, RowPosition};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::Mode as KqlMode;
use weir_normalize::check::rows::Selection;
use weir_normalize::check::{Checker, Mode, Numbers, Origin, Rule, Severity};
use weir_normalize::library::Library;
use weir_normalize::mapping::Mapping;
use weir_normalize::metrics::NormalizeMetrics;
use weir_normalize::normalizer::Normalizer;

/// Checks all expected rows of `families/`.
fn checked(mode: Mode) -> weir_normalize::check::Report {
    let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("families");
    let mut checker = Checker::new(mode);
    let mut files = 0;
    for entry in walkdir::WalkDir::new(&families).sort_by_file_name() {
        let entry = entry.unwrap();
        let is_expected = entry.path().parent().is_some_and(|folder| folder.ends_with("expected"));
        if !is_expected || entry.path().extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        files += 1;
        let place: Arc<str> = entry.path().strip_prefix(&families).unwrap().display().to_string().into();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let rows: Vec<(u64, Map<String, Value>)> =
            lines.map(|(at, line)| (at as u64 + 1, serde_json::from_str(line).unwrap())).collect();
        let sorted = Selection::default().sort(rows);
        assert!(sorted.left_out.is_empty(), "{place}: {:?}", sorted.left_out);
        for batch in sorted.batches {
            let origin = Origin { place: &place, numbers: Numbers::Each(&batch.numbers) };
            checker.check(&batch.target, &batch.rows, &origin).unwrap();
        }
    }
    assert!(files >= 7, "the families have expected rows");
    let report = checker.finish();
    if std::env::var_os("TELL").is_some() {
        println!("{}", report.to_text());
    }
    report
}

#[test]
fn no_expected_row_breaks_a_rule_whose_breach_is_an_error() {
    let report = checked(Mode::Full);
    let told: Vec<String> = report
        .findings()
        .iter()
        .filter(|finding| finding.rule.severity() == Severity::Error)
        .map(|f| format!("{} {} {}: {} {:?} {:?}", f.rule, f.table, f.field, f.says(), f.values, f.example))
        .collect();
    assert!(told.is_empty(), "{} errors:\n{}", told.len(), told.join("\n"));
}

#[test]
fn the_official_data_tester_refuses_nothing_but_what_the_schemas_pages_allow() {
    // Values that the pages list and the tester's older list does not.
    let full = checked(Mode::Full);
    let only_on_pages: HashSet<_> = full
        .findings()
        .iter()
        .filter(|finding| finding.rule == Rule::W2)
        .map(|finding| (Arc::clone(&finding.table), Arc::clone(&finding.field)))
        .collect();
    let report = checked(Mode::Official);
    // The tables have no aliases and no constants, which the schema tester asks for: those are Sentinel's to add.
    let told: Vec<String> = report
        .findings()
        .iter()
        .filter(|finding| finding.rule.severity() == Severity::Error && finding.rule >= Rule::D1)
        // Any array that is not empty breaks this rule, as the testers are written.
        .filter(|f| f.rule != Rule::D6)
        // The native table stores a text where the testers want a number.
        .filter(|f| (f.rule, &*f.table, &*f.field) != (Rule::D1, "ASimAlertEventLogs", "FileSize"))
        .filter(|f| f.rule != Rule::D7 || !only_on_pages.contains(&(Arc::clone(&f.table), Arc::clone(&f.field))))
        .map(|f| format!("{} {} {}: {} {:?} {:?}", f.rule, f.table, f.field, f.says(), f.values, f.example))
        .collect();
    assert!(told.is_empty(), "{} errors:\n{}", told.len(), told.join("\n"));
}

#[test]
fn rows_that_a_mapping_makes_are_checked_live_and_counted_by_mapping_and_rule() {
    let text = "SourceRawTable: T_CL\nTargetASIMTable: ASimProcessEventLogs\nParserQuery: |\n  T_CL\n  \
                | project TimeGenerated, EventResult = Outcome\n";
    let mapping = Mapping::parse("own/t", "t.yaml", text).unwrap();
    let columns = vec![Column::new("TimeGenerated", ColumnType::Datetime), Column::new("Outcome", ColumnType::String)];
    let raw = TableSchema { name: "T_CL".into(), columns };
    let times = TimestampMicrosecondArray::from(vec![1_700_000_000_000_000; 3]).with_timezone("UTC");
    let outcomes = StringViewArray::from(vec!["Success", "success", "fine"]);
    let rows = RecordBatch::try_new(raw.arrow(), vec![Arc::new(times), Arc::new(outcomes)]).unwrap();
    for (share, expected) in [(1.0, [3, 1, 1]), (0.0, [0, 0, 0])] {
        let set = MetricSet::new();
        let library = Library::compile(vec![mapping.clone()], |_| Some(raw.clone()), KqlMode::Strict).unwrap();
        let budget = MemoryBudget::new(1 << 20);
        let normalizer = Normalizer::new(library, NormalizeMetrics::new(&set), budget.clone()).checking(share);
        let out = normalizer.normalize(Batch {
            table: "T_CL".into(),
            kind: RowKind::Raw,
            positions: RowPosition::numbered(0, rows.num_rows()),
            mapping: None,
            has_more: false,
            rows: rows.clone(),
            origin: Arc::new(BatchOrigin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
            raw_bytes: 0,
            ack: Ack::detached(),
            permit: budget.charge(0),
        });
        assert_eq!(out.batches.len(), 1, "what breaks a rule goes on");
        let value = |name: &str, labels: &[(&str, &str)]| -> f64 {
            let families = set.registry().gather();
            let metrics = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
            let has = |metric: &&prometheus::proto::Metric| {
                labels.iter().all(|(key, value)| {
                    metric.get_label().iter().any(|label| label.name() == *key && label.value() == *value)
                })
            };
            metrics.filter(has).map(|metric| metric.get_counter().get_value()).sum()
        };
        let of_rule =
            |rule| value("weir_asim_findings_total", &[("mapping", "own/t"), ("rule", rule), ("severity", "error")]);
        let counts = [value("weir_asim_checked_rows_total", &[("mapping", "own/t")]), of_rule("W1"), of_rule("D7")];
        assert_eq!(counts, expected.map(f64::from), "share {share}");
        out.batches.into_iter().for_each(|batch| batch.ack.done());
    }
}
