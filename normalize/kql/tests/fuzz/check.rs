//! What must hold for any query and any values. Shared by the test and the fuzz targets.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DurationMicrosecondArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringViewArray, TimestampMicrosecondArray,
};
use weir_contract::schema::TableSchema;
use weir_kql::compile_plan;
use weir_kql::plan::{Host, Plan};
use weir_kql::{Catalog, Diagnostic, Mode, compile, compile_filter, dcr_strict, format};

use super::mutator::random::table;

/// Parses, formats and lints. What the formatter writes, it reads as the same query.
pub(crate) fn parses(query: &str) {
    if let Ok(formatted) = format(query) {
        match format(&formatted) {
            Ok(again) => assert_eq!(again, formatted, "formatting twice changes the query"),
            Err(errors) => panic!("the formatted query is refused: {}\n{formatted}", errors[0].message),
        }
    }
    renders(query, &dcr_strict(query));
}

/// Binds in every way, and runs what binds over a few rows; `text` is among their values.
pub(crate) fn binds(query: &str, text: &str) {
    let table = table();
    let batch = batch(text);
    for mode in [Mode::Strict, Mode::Lenient] {
        match compile(query, &table, mode) {
            Ok(program) => {
                let result = program.run(&batch).expect("data never makes a program fail");
                assert_eq!(result.schema(), program.output().arrow());
                renders(query, program.warnings());
            }
            Err(errors) => refused(query, &errors),
        }
        match compile_filter(query, &table, mode) {
            Ok(filter) => {
                let mask = filter.mask(&batch).expect("data never makes a filter fail");
                assert_eq!(mask.len(), batch.num_rows());
            }
            Err(errors) => refused(query, &errors),
        }
    }
    match compile_plan(query, &EmptyTable(table), &Catalog::default(), 1_700_000_000_000_000) {
        Ok(bound) => assert!(!bound.plan.to_string().is_empty()),
        Err(errors) => refused(query, &errors),
    }
}

fn refused(query: &str, errors: &[Diagnostic]) {
    assert!(!errors.is_empty(), "a refusal says why");
    renders(query, errors);
}

fn renders(query: &str, diagnostics: &[Diagnostic]) {
    // A hundred say as much as all of them.
    for diagnostic in diagnostics.iter().take(100) {
        assert!(!diagnostic.render("q", query, 1).is_empty());
    }
}

/// A host whose one table has no rows; every plan gives none.
struct EmptyTable(TableSchema);

impl Host for EmptyTable {
    fn table(&self, name: &str) -> Option<TableSchema> {
        (*name == *self.0.name).then(|| self.0.clone())
    }

    fn table_names(&self) -> Vec<String> {
        vec![self.0.name.to_string()]
    }

    fn rows(&self, plan: &Arc<Plan>, _limit: usize) -> Result<RecordBatch, String> {
        let columns = plan.columns();
        let fields: Vec<_> = columns.iter().map(|column| column.ty.field(&column.id)).collect();
        Ok(RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::new(fields))))
    }
}

/// Four rows: one of nulls, one plain, one of extremes, one with `text`.
fn batch(text: &str) -> RecordBatch {
    const GUID: &str = "74be27de-1e4e-49d9-b579-fe0b331d3642";
    let texts = |plain, odd| Arc::new(StringViewArray::from(vec![None, Some(plain), Some(odd), Some(text)]));
    let times = [None, Some(1_600_000_000_123_456), Some(i64::MIN), Some(253_402_300_799_999_999)];
    let spans = [None, Some(3_600_000_000), Some(i64::MAX), Some(-1)];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("s", texts("a b=c, d='e' host.example.com 10.1.2.3", "\u{1F600}\u{e9}\0\"\\")),
        ("u", texts("http://user:p@h:80/a/b?c=d#e", "")),
        ("i", Arc::new(Int32Array::from(vec![None, Some(7), Some(i32::MIN), Some(-1)]))),
        ("l", Arc::new(Int64Array::from(vec![None, Some(3), Some(i64::MIN), Some(i64::MAX)]))),
        ("r", Arc::new(Float64Array::from(vec![None, Some(1.5), Some(f64::NAN), Some(f64::MAX)]))),
        ("b", Arc::new(BooleanArray::from(vec![None, Some(true), Some(false), Some(true)]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC"))),
        ("p", Arc::new(DurationMicrosecondArray::from(spans.to_vec()))),
        ("d", texts("{\"a\":{\"b\":[1,\"x\",null]},\"items\":[{\"x\":1}]}", "[1,\"a\",{\"k\":-1e400}]")),
        ("g", Arc::new(StringViewArray::from(vec![None, Some(GUID), Some(GUID), None]))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
