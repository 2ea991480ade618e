//! Filters that are evaluated together say what each would say alone; a program knows the rows that it makes rows of.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringViewArray};
use arrow::compute::filter_record_batch;
use proptest::prelude::*;
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Catalog, Dispatch, Filter, Mode, Program, compile, compile_filter, compile_with};

fn table() -> TableSchema {
    TableSchema {
        name: "Fw_CL".into(),
        columns: vec![
            Column::new("Vendor", ColumnType::String),
            Column::new("Id", ColumnType::Int),
            Column::new("Message", ColumnType::String),
            Column::new("Bag", ColumnType::Dynamic),
        ],
    }
}

fn batch(rows: &[(Option<&str>, Option<i32>, &str)]) -> RecordBatch {
    let vendors: ArrayRef = Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.0)));
    let ids: ArrayRef = Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.1)));
    let messages: ArrayRef = Arc::new(StringViewArray::from_iter_values(rows.iter().map(|row| row.2)));
    let bags: ArrayRef =
        Arc::new(StringViewArray::from_iter_values(rows.iter().map(|row| format!("{{\"k\":\"{}\"}}", row.2))));
    RecordBatch::try_from_iter([("Vendor", vendors), ("Id", ids), ("Message", messages), ("Bag", bags)])
        .expect("a batch")
}

fn sample() -> RecordBatch {
    batch(&[
        (Some("Alpha"), Some(1), "login ok"),
        (Some("alpha"), Some(2), "login failed"),
        (Some("Beta"), Some(1), "a vendor whose message is long"),
        (None, None, ""),
        (Some("Gamma, a name longer than twelve bytes"), Some(4688), "x=1"),
        (Some("Beta"), Some(4688), "login ok"),
    ])
}

fn filter(query: &str) -> Arc<Filter> {
    Arc::new(compile_filter(query, &table(), Mode::Strict).unwrap_or_else(|errors| panic!("{query}: {errors:?}")))
}

fn program(query: &str) -> Program {
    compile(query, &table(), Mode::Lenient).unwrap_or_else(|errors| panic!("{query}: {errors:?}"))
}

fn assert_same(queries: &[String], rows: &RecordBatch) {
    let dispatch = Dispatch::new(queries.iter().map(|query| filter(query)).collect());
    let together = dispatch.masks(rows);
    assert_eq!(together.len(), queries.len());
    for (query, mask) in queries.iter().zip(together) {
        assert_eq!(mask.expect("fits"), filter(query).mask(rows).expect("fits"), "{query} among {queries:?}");
    }
}

#[test]
fn filters_say_together_what_they_say_alone() {
    let queries = [
        "Vendor == 'Alpha'",
        "Fw_CL | where Vendor == 'Beta' | where Message has 'login'",
        "Fw_CL | where Vendor in ('Beta', 'Gamma, a name longer than twelve bytes') and Id == 4688",
        "Vendor =~ 'ALPHA'",
        "Vendor in~ ('alpha', 'BETA') and isnotempty(Message)",
        "Vendor == ''",
        "Id == 1",
        "Id in (1, 2) or Id == 4688",
        "Vendor == 'Alpha' or Vendor == 'Beta' and Id == 1",
        "Vendor == 'Alpha' and Vendor == 'Beta'",
        "'Beta' == Vendor",
        "Vendor != 'Beta'",
        "not(Vendor == 'Beta')",
        "tostring(Bag.k) == 'x=1'",
        "tostring(Bag.k) == 'login ok' and Id > 1",
        "Message matches regex '^l.*d$'",
        "true",
        "Id > 1",
        "Id == 1 and Message == 'login ok'",
    ];
    let queries: Vec<String> = queries.map(str::to_owned).to_vec();
    assert_same(&queries, &sample());
    assert_same(&queries, &sample().slice(1, 3));
    assert_same(&queries, &sample().slice(0, 0));
    assert_same(&[], &sample());
}

#[test]
fn a_filter_that_cannot_read_a_batch_fails_alone() {
    let rows = sample();
    let list: ArrayRef = Arc::new(arrow::array::ListArray::new_null(
        Arc::new(arrow::datatypes::Field::new_list_field(arrow::datatypes::DataType::Int32, true)),
        6,
    ));
    let columns = [("Vendor", Arc::clone(rows.column(0))), ("Id", list)];
    let rows = RecordBatch::try_from_iter(columns).expect("a batch");
    let dispatch = Dispatch::new(vec![filter("Id == 1"), filter("Vendor == 'Beta'")]);
    let masks = dispatch.masks(&rows);
    assert!(masks[0].is_err());
    let kept = masks[1].as_ref().expect("reads its own column");
    assert_eq!(kept.true_count(), 2);
}

#[test]
fn filters_that_contradict_themselves_hold_nowhere() {
    let queries = ["(Id == 1 and Vendor == 'Alpha') and Id == 2", "Id == 1 and Id == 2"].map(str::to_owned);
    assert_same(&queries, &sample());
}

/// Conditions of the shapes that mappings have, over few values, so that they often meet.
fn condition() -> impl Strategy<Value = String> {
    let vendor =
        prop::sample::select(vec!["'Alpha'", "'alpha'", "'Beta'", "''", "'Gamma, a name longer than twelve bytes'"]);
    let id = prop::sample::select(vec!["1", "2", "4688", "7"]);
    let leaf = prop_oneof![
        vendor.clone().prop_map(|v| format!("Vendor == {v}")),
        vendor.clone().prop_map(|v| format!("Vendor =~ {v}")),
        vendor.clone().prop_map(|v| format!("Vendor != {v}")),
        (vendor.clone(), vendor).prop_map(|(a, b)| format!("Vendor in ({a}, {b})")),
        id.clone().prop_map(|v| format!("Id == {v}")),
        (id.clone(), id).prop_map(|(a, b)| format!("Id !in ({a}, {b})")),
        Just("Message has 'login'".to_owned()),
        Just("isempty(Vendor)".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::collection::vec(inner, 2..4), prop::sample::select(vec![" and ", " or "]))
            .prop_map(|(parts, op)| format!("({})", parts.join(op)))
    })
}

proptest! {
    #[test]
    fn any_filters_say_together_what_they_say_alone(
        queries in prop::collection::vec(condition(), 1..12),
        picks in prop::collection::vec(0..6_usize, 0..20),
    ) {
        let sample = sample();
        let indices = arrow::array::UInt32Array::from_iter_values(picks.into_iter().map(|pick| pick as u32));
        let rows = arrow::compute::take_record_batch(&sample, &indices).expect("rows of the sample");
        assert_same(&queries, &rows);
    }
}

/// Running the program over the rows that it claims gives what it gives over all rows, and no claimed row is lost.
fn assert_claims(query: &str, expected: &[bool]) {
    let program = program(query);
    let rows = sample();
    let mask = match program.claims() {
        Some(filter) => filter.mask(&rows).expect("fits"),
        None => BooleanArray::from(vec![true; rows.num_rows()]),
    };
    assert_eq!(mask, BooleanArray::from(expected.to_vec()), "{query}");
    let selected = filter_record_batch(&rows, &mask).expect("a mask per row");
    let (all, some) = (program.run(&rows).expect("runs"), program.run(&selected).expect("runs"));
    assert_eq!(all, some, "{query}");
}

const NONE: [bool; 6] = [false; 6];
const ALL: [bool; 6] = [true; 6];

#[test]
fn a_program_claims_the_rows_that_pass_its_filters() {
    assert_claims("Fw_CL | where Vendor == 'Beta'", &[false, false, true, false, false, true]);
    assert_claims(
        "Fw_CL | extend V = tolower(Vendor) | where V == 'alpha' | project V, Id | where Id == 2",
        &[false, true, false, false, false, false],
    );
    assert_claims("Fw_CL | project Id", &ALL);
    assert_claims("let off = true; Fw_CL | where not(off)", &NONE);
    assert_claims("Fw_CL | parse-where Message with 'login ' What", &[true, true, false, false, false, true]);
    assert_claims(
        "Fw_CL | parse Message with 'login ' What | where What == 'failed'",
        &[false, true, false, false, false, false],
    );
    assert_claims(
        "Fw_CL | extend K = tostring(Bag.k) | where K startswith 'x'",
        &[false, false, false, false, true, false],
    );
}

#[test]
fn a_union_claims_what_any_branch_claims() {
    let query = "let parser = (disabled:bool=false) {
          let raw = Fw_CL | where not(disabled);
          let one = (T:(*)) { T | where Vendor == 'Alpha' | extend Kind = 'one' };
          let two = () { raw | where Id == 4688 | extend Kind = 'two' };
          union isfuzzy=true (raw | invoke one()), two()
          | where isnotempty(Kind)
        };
        parser()";
    assert_claims(query, &[true, false, false, false, true, true]);
    let after = "union (Fw_CL | where Id == 1 | extend K = 'a'), (Fw_CL | extend K = Vendor) | where K == 'Beta'";
    assert_claims(after, &[false, false, true, false, false, true]);
}

#[test]
fn a_lookup_keeps_the_claim_of_what_stands_before_it() {
    let query = "let names = datatable(Id:int, Name:string)[1, 'one', 1, 'uno'];
        Fw_CL | where Vendor == 'Beta' | lookup names on Id";
    assert_claims(query, &[false, false, true, false, false, true]);
    // What the lookup brought is not known of the row alone.
    assert_claims("let n = datatable(Id:int, N:string)[1, 'one']; Fw_CL | lookup n on Id | where N == 'one'", &ALL);
}

#[test]
fn other_raw_tables_are_empty_and_their_branches_vanish() {
    let mut catalog = Catalog::default();
    catalog.add_table("Event", &[Column::new("EventID", ColumnType::Int), Column::new("Vendor", ColumnType::Long)]);
    let query = "union (Fw_CL | where Id == 1), (Event | where EventID == 7 | extend Who = Computer) | extend T = Type";
    let program = compile_with(query, &table(), Mode::Lenient, &catalog).expect("compiles");
    let result = program.run(&sample()).expect("runs");
    assert_eq!(result.num_rows(), 2);
    let names: Vec<&str> = program.output().columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["Vendor", "Id", "Message", "Bag", "T"], "no `Vendor_long` of a table without rows");
    assert_eq!(program.claims().expect("some").mask(&sample()).expect("fits").true_count(), 2);
    let alone = compile_with("Event | extend A = 1", &table(), Mode::Lenient, &catalog).expect("compiles");
    assert_eq!(alone.run(&sample()).expect("runs").num_rows(), 0);
    assert!(compile_with(query, &table(), Mode::Strict, &catalog).is_err(), "an author names one table");
}
