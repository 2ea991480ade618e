//! Mappings that fail at some rows, over a real library and real batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray as _, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use proptest::prelude::*;
use weir_contract::ack::{self, AckReport, Answered};
use weir_contract::batch::{Batch, RowKind};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Origin, Repeats, RowPosition};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Made, Mode};

use super::*;
use crate::mapping::Mapping;
use crate::metrics::NormalizeMetrics;
use crate::normalizer::{Normalized, Normalizer};

/// Fails at given rows: by the number in their column `N`.
#[derive(Debug, Default, Clone)]
struct Poisoned {
    /// Rows at which the filter of the mapping `even` panics.
    filter_panics: BTreeSet<i64>,
    /// Rows at which the program of the mapping `all` panics.
    panics: BTreeSet<i64>,
    /// Rows at which the program of the mapping `even` gives an error.
    errors: BTreeSet<i64>,
}

impl Poisoned {
    fn numbers(rows: &RecordBatch) -> Vec<i64> {
        rows.column_by_name("N").expect("a column").as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
    }

    fn look(&self, mapping: &str, rows: &RecordBatch) {
        let hit = Self::numbers(rows).into_iter().find(|n| mapping == "even" && self.filter_panics.contains(n));
        assert_eq!(hit, None, "a filter's defect");
    }
}

impl Engine for Poisoned {
    fn claims(&self, library: &Library, table: &str, rows: &RecordBatch) -> Vec<Result<BooleanArray, EvalError>> {
        library.of_table(table).iter().for_each(|mapping| self.look(&mapping.mapping.name, rows));
        library.claims(table, rows)
    }

    fn claim(&self, mapping: &CompiledMapping, rows: &RecordBatch) -> Result<BooleanArray, EvalError> {
        self.look(&mapping.mapping.name, rows);
        Compiled.claim(mapping, rows)
    }

    fn make(&self, mapping: &CompiledMapping, rows: &RecordBatch) -> Result<Made, EvalError> {
        for number in Self::numbers(rows) {
            match &*mapping.mapping.name {
                "all" => assert!(!self.panics.contains(&number), "a defect at {number}"),
                _ if self.errors.contains(&number) => {
                    return Err(ArrowError::ComputeError(format!("no room for {number}")).into());
                }
                _ => {}
            }
        }
        Compiled.make(mapping, rows)
    }
}

/// Two mappings of the raw table `Raw`: one claims all rows but those over 900, one the even rows below 900.
fn normalizer(engine: Poisoned, set: &MetricSet) -> Normalizer {
    let mapping = |name: &str, filter: &str| {
        let text = format!(
            "Version: 1.2.0\nSourceRawTable: Raw\nTargetASIMTable: Out_{name}_CL\nParserFilterQuery: Raw | where {filter}\n\
             ParserQuery: Raw | project TimeGenerated, N, Text\n"
        );
        Mapping::parse(name, &format!("{name}.yaml"), &text).expect("a mapping")
    };
    let columns = vec![
        Column::new("TimeGenerated", ColumnType::Datetime),
        Column::new("N", ColumnType::Long),
        Column::new("Text", ColumnType::String),
    ];
    let schema = TableSchema { name: "Raw".into(), columns };
    let mappings = vec![mapping("all", "N <= 900"), mapping("even", "N % 2 == 0 and N < 900")];
    let library = Library::compile(mappings, |_| Some(schema.clone()), Mode::Strict).expect("they compile");
    let budget = MemoryBudget::new(1 << 30);
    Normalizer::new(library, NormalizeMetrics::new(set), budget).running_by(Box::new(engine))
}

fn batch(numbers: &[i64]) -> RecordBatch {
    let time = TimestampMicrosecondArray::from(vec![0; numbers.len()]).with_timezone("UTC");
    let text: Vec<String> = numbers.iter().map(|n| format!("text {n}")).collect();
    RecordBatch::try_from_iter([
        ("TimeGenerated", Arc::new(time) as arrow::array::ArrayRef),
        ("N", Arc::new(Int64Array::from(numbers.to_vec()))),
        ("Text", Arc::new(StringViewArray::from_iter_values(text))),
    ])
    .expect("columns")
}

/// What becomes of the rows, and whether they are acknowledged once all that comes out is.
fn normalize(normalizer: &Normalizer, numbers: &[i64]) -> (Normalized, Option<AckReport>) {
    let (acks, mut reports) = ack::channel();
    let batch = Batch {
        table: "Raw".into(),
        kind: RowKind::Raw,
        rows: batch(numbers),
        origin: Arc::new(Origin { source: "test".into(), ranges: Vec::new(), positions: Repeats::Unrelated }),
        positions: RowPosition::numbered(0, numbers.len()),
        mapping: None,
        has_more: false,
        raw_bytes: 0,
        ack: acks.issue(5),
        permit: MemoryBudget::new(1 << 30).charge(0),
    };
    let mut made = normalizer.normalize(batch);
    let mut report = reports.try_recv().ok();
    if !made.batches.is_empty() {
        assert_eq!(report, None, "not before the rows are durable");
        let batches = std::mem::take(&mut made.batches);
        for mut batch in batches {
            std::mem::replace(&mut batch.ack, ack::Ack::detached()).done();
            made.batches.push(batch);
        }
        report = reports.try_recv().ok();
    }
    (made, report)
}

fn numbers_of(made: &Normalized, table: &str) -> Vec<i64> {
    made.batches
        .iter()
        .filter(|batch| &*batch.table == table)
        .flat_map(|batch| Poisoned::numbers(&batch.rows))
        .collect()
}

fn some(max: usize) -> impl Strategy<Value = BTreeSet<i64>> {
    prop::collection::btree_set(0i64..120, 0..max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_rows_may_fail_and_exactly_these_are_refused(
        count in 0i64..120,
        filter_panics in some(5),
        panics in some(8),
        errors in some(8),
    ) {
        // Some rows that no mapping claims stand between.
        let numbers: Vec<i64> = (0..count).flat_map(|n| if n % 7 == 3 { vec![1000 + n, n] } else { vec![n] }).collect();
        let engine = Poisoned { filter_panics, panics, errors };
        let set = MetricSet::new();
        let (made, report) = normalize(&normalizer(engine.clone(), &set), &numbers);

        let fails_in_all = |n: &i64| engine.panics.contains(n);
        let fails_in_even = |n: &i64| engine.filter_panics.contains(n) || (n % 2 == 0 && engine.errors.contains(n));
        let of = |keep: &dyn Fn(&i64) -> bool| numbers.iter().copied().filter(|n| keep(n)).collect::<Vec<_>>();
        prop_assert_eq!(numbers_of(&made, "Out_all_CL"), of(&|n| *n < 900 && !fails_in_all(n)));
        prop_assert_eq!(numbers_of(&made, "Out_even_CL"), of(&|n| *n < 900 && n % 2 == 0 && !fails_in_even(n)));
        prop_assert_eq!(numbers_of(&made, "Raw"), of(&|n| *n > 900));
        for (mapping, expected) in [
            ("all", of(&|n| *n < 900 && fails_in_all(n))),
            ("even", of(&|n| *n < 900 && fails_in_even(n))),
        ] {
            let refused = made.refused.iter().filter(|refused| &*refused.by.mapping == mapping);
            let refused: Vec<i64> = refused.map(|refused| numbers[refused.row]).collect();
            prop_assert_eq!(&refused, &expected);
            let rows_in = made.outcomes.iter().find(|outcome| &*outcome.mapping == mapping);
            let counted = rows_in.map_or((0, 0, 0), |outcome| (outcome.rows_in, outcome.rows_out, outcome.refused));
            prop_assert_eq!(counted.0, counted.1 + counted.2, "claimed rows are made or refused, once");
            prop_assert_eq!(counted.2, expected.len() as u64);
            let metric = set.registry().gather();
            let sum = |name: &str| -> u64 {
                let family = metric.iter().find(|family| family.name() == name);
                let of_mapping = |m: &&prometheus::proto::Metric| m.get_label().iter().any(|l| l.value() == mapping);
                let values = family.into_iter().flat_map(|family| family.get_metric()).filter(of_mapping);
                values.map(|metric| metric.get_counter().get_value() as u64).sum()
            };
            prop_assert_eq!(sum("weir_normalize_rows_in_total"), counted.0);
            prop_assert_eq!(sum("weir_normalize_rows_out_total"), counted.1);
            prop_assert_eq!(sum("weir_normalize_filtered_rows_total"), 0);
        }
        prop_assert_eq!(made.passed_through, numbers.iter().filter(|n| **n > 900).count() as u64);
        prop_assert_eq!(report, Some(AckReport { batch: 5, of: Answered::All, durable: true }));
    }
}

#[test]
fn a_refusal_says_which_mapping_of_which_version_and_why() {
    let engine = Poisoned { panics: [2].into(), errors: [4].into(), ..Poisoned::default() };
    let (made, _) = normalize(&normalizer(engine, &MetricSet::new()), &[1, 2, 3, 4]);
    let told = made
        .refused
        .iter()
        .map(|refused| (&*refused.by.mapping, refused.by.version.as_deref(), refused.row, refused.reason));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("all", Some("1.2.0"), 1, "panic"), ("even", Some("1.2.0"), 3, "mapping_failed")]);
    assert!(made.refused[0].detail.contains("a defect at 2"), "{}", made.refused[0].detail);
    assert!(made.refused[1].detail.contains("no room for 4"), "{}", made.refused[1].detail);
}

/// Cannot read a column of any row, and counts the tries.
#[derive(Debug, Default)]
struct Unreadable(std::sync::atomic::AtomicUsize);

impl Engine for Unreadable {
    fn make(&self, _: &CompiledMapping, _: &RecordBatch) -> Result<Made, EvalError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Err(EvalError::InputType { column: "N".to_owned(), found: "Binary".to_owned(), expected: "long".to_owned() })
    }
}

#[test]
fn a_column_that_cannot_be_read_refuses_every_row_without_a_search() {
    let normalizer = normalizer(Poisoned::default(), &MetricSet::new());
    let engine = Unreadable::default();
    let made = run(&engine, &normalizer.library().of_table("Raw")[0], &batch(&[1, 2, 3, 1000]), None);
    assert_eq!((made.refused.len(), made.rows.num_rows(), made.claimed.true_count()), (3, 0, 3));
    assert!(made.refused.iter().all(|(_, failure)| failure.reason == MAPPING_FAILED));
    assert_eq!(engine.0.into_inner(), 1);
}

#[test]
fn a_replay_for_one_mapping_makes_no_other_rows_again() {
    let mut normalizer = normalizer(Poisoned::default(), &MetricSet::new());
    normalizer.run_only("even");
    let (made, _) = normalize(&normalizer, &[1, 2, 3, 4, 1001]);
    assert_eq!(numbers_of(&made, "Out_even_CL"), [2, 4]);
    assert_eq!(numbers_of(&made, "Out_all_CL"), [0i64; 0]);
    assert_eq!(numbers_of(&made, "Raw"), [1001], "what another mapping claims is not raw");
}
