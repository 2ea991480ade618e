//! What hunting queries are lowered to.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::Catalog;
use weir_kql::compile_plan;
use weir_kql::plan::{Host, Plan};

/// Tables without rows.
struct Tables;

impl Host for Tables {
    fn table(&self, name: &str) -> Option<TableSchema> {
        let columns: &[(&str, ColumnType)] = match name {
            "T" => &[
                ("Time", ColumnType::Datetime),
                ("Host", ColumnType::String),
                ("Port", ColumnType::Int),
                ("Bag", ColumnType::Dynamic),
            ],
            "U" => &[("Host", ColumnType::String), ("Owner", ColumnType::String)],
            _ => return None,
        };
        let columns = columns.iter().map(|(name, ty)| Column::new(name, *ty)).collect();
        Some(TableSchema { name: name.into(), columns })
    }

    fn table_names(&self) -> Vec<String> {
        ["T", "U", "Events"].map(str::to_owned).to_vec()
    }

    fn rows(&self, plan: &Arc<Plan>, _limit: usize) -> Result<RecordBatch, String> {
        Err(format!("no rows here for\n{plan}"))
    }
}

/// The plan as text, with ids numbered in the order of their appearance.
fn plan(query: &str) -> String {
    let now = 1_700_000_000_000_000;
    let bound = match compile_plan(query, &Tables, &Catalog::default(), now) {
        Ok(bound) => bound,
        Err(errors) => return errors.iter().map(|error| error.render("query", query, 1)).collect(),
    };
    let text = bound.plan.to_string();
    let ids = regex::Regex::new(r"\b[cjkr]\d+(_\d+)?\b").expect("a pattern");
    let mut seen: Vec<String> = Vec::new();
    let text = ids.replace_all(&text, |found: &regex::Captures<'_>| {
        let id = found[0].to_owned();
        let place = seen.iter().position(|other| *other == id).unwrap_or_else(|| {
            seen.push(id);
            seen.len() - 1
        });
        format!("#{place}")
    });
    text.into_owned()
}

fn assert_plan(query: &str, expected: &str) {
    let found = plan(query);
    let lines = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let expected = expected.trim_start_matches('\n');
    let indent = expected.len() - expected.trim_start().len();
    let expected: Vec<&str> = expected.lines().map(|line| line.get(indent..).unwrap_or("")).collect();
    assert_eq!(lines(&found).trim_end(), lines(&expected.join("\n")).trim_end(), "{query}\n{found}");
}

#[test]
fn a_filter_and_what_is_computed_above_it_stand_over_one_scan() {
    assert_plan(
        "T | where Host == 'a' and Time > ago(1h) | extend P = Port + 1 | project Host, P | take 5",
        "
        project o0 = #0, o1 = (tolong(#1) + 1)
          limit 5
            filter ((#0 == string(a)) and (#2 > datetime(2023-11-14T21:13:20.0000000Z)))
              scan T: #2 = Time, #0 = Host, #1 = Port",
    );
}

#[test]
fn a_value_that_is_used_twice_is_computed_once() {
    assert_plan(
        "T | extend a = strcat(Host, 'x') | extend c = strcat(a, a) | where c != '' | project c",
        "
        project o0 = #0
          filter (#0 != string())
            project #1 = #1, #2 = #2, #0 = strcat(#2, #2)
              project #1 = #1, #2 = strcat(#1, string(x))
                scan T: #1 = Host",
    );
}

#[test]
fn aggregates_and_the_conditions_on_them_are_operators_of_the_engine() {
    assert_plan(
        "T | summarize n = count(), arg_max(Time, Host) by bin(Time, 1h), Port | where n > 2 | sort by n",
        "
        project o0 = #0, o1 = #1, o2 = #2, o3 = #3, o4 = #4
          sort #2 desc nulls last
            filter (#2 > 2)
              aggregate #2 = Count(), #3 = Max(#5), #4 = ArgMax(#5, #6) by #0 = bin(#5, timespan(01:00:00)), #1 = #7
                scan T: #5 = Time, #6 = Host, #7 = Port",
    );
}

#[test]
fn both_sides_of_a_self_join_have_ids_of_their_own() {
    assert_plan(
        "T | join kind=inner (T | project Host, P = Port) on Host | project P, Port",
        "
        project o0 = #0, o1 = #1
          join Inner on #2 == #3
            project #2 = #4, #5 = #6, #7 = #4, #1 = #8, #9 = #10
              scan T: #6 = Time, #4 = Host, #8 = Port, #10 = Bag
            project #3 = #4, #11 = #4, #0 = #8
              scan T: #6 = Time, #4 = Host, #8 = Port, #10 = Bag",
    );
}

#[test]
fn a_join_without_a_kind_takes_one_left_row_per_key() {
    assert_plan(
        "T | project Host, Port | join U on Host | count",
        "
        project o0 = #0
          aggregate #0 = Count() by
            join Inner on #1 == #2
              project #1 = #3, #4 = #5, #6 = #7
                aggregate #5 = ArgMin(bool(True), #8), #7 = ArgMin(bool(True), #9) by #3 = #8
                  scan T: #8 = Host, #9 = Port
              project #2 = #10, #11 = #10, #12 = #13
                scan U: #10 = Host, #13 = Owner",
    );
}

#[test]
fn work_on_a_single_row_is_a_program() {
    assert_plan(
        "T | parse Host with a:string '-' b:long | where b > 3 | project a, b, upper = toupper(a)",
        "
        project o0 = #0, o1 = #1, o2 = toupper(#0)
          filter (#1 > 3)
            map to #2, #0, #1
              scan T: #2 = Host",
    );
    assert_plan(
        "T | mv-apply e = Bag on (where e.k == 'a' | summarize n = count(), v = take_any(tostring(e.v))) | project Host, n",
        "
        project o0 = #0, o1 = #1
          map to #0, #1
            scan T: #0 = Host, #2 = Bag",
    );
    assert_plan(
        "T | lookup (datatable(Port:int, Name:string)[22, 'ssh']) on Port | where Name == 'ssh' | project Host",
        "
        project o0 = #0
          filter (#1 == string(ssh))
            map to #0, #1
              scan T: #0 = Host, #2 = Port",
    );
}

#[test]
fn branches_of_a_union_meet_under_the_same_ids() {
    assert_plan(
        "union withsource=Source T, (U | extend Port = int(1)) | where Host != '' | summarize count() by Source, Port",
        "
        project o0 = #0, o1 = #1, o2 = #2
          aggregate #2 = Count() by #0 = #3, #1 = #4
            filter (#5 != string())
              union #3, #5, #4
                project #3 = string(T), #5 = #6, #4 = #7
                  scan T: #6 = Host, #7 = Port
                project #3 = string(union_arg1), #5 = #8, #4 = 1
                  scan U: #8 = Host",
    );
}

#[test]
fn what_is_evaluated_once_is_asked_of_the_host_with_its_place() {
    let text = plan("T | where Host in (U | project Owner)");
    assert!(text.contains("no rows here for") && text.contains("scan U"), "{text}");
    let text = plan("let first = toscalar(T | summarize max(Time)); T | where Time == first");
    assert!(text.contains("limit 1") && text.contains("Max("), "{text}");
}

#[test]
fn an_unknown_table_is_an_error_with_a_near_name() {
    let text = plan("Event | take 1");
    assert!(text.contains("unknown table `Event`") && text.contains("`Events`"), "{text}");
    assert!(plan("source | take 1").contains("unknown table `source`"));
}

/// As [`Tables`], with the same three rows whatever is asked for.
struct Filled;

impl Host for Filled {
    fn table(&self, name: &str) -> Option<TableSchema> {
        Tables.table(name)
    }

    fn table_names(&self) -> Vec<String> {
        Tables.table_names()
    }

    fn rows(&self, plan: &Arc<Plan>, _limit: usize) -> Result<RecordBatch, String> {
        let texts = |texts: [&str; 3]| Arc::new(StringViewArray::from(texts.to_vec())) as ArrayRef;
        let columns = plan.columns().into_iter().enumerate().map(|(place, column)| {
            let array: ArrayRef = match column.ty {
                ColumnType::Datetime => {
                    Arc::new(TimestampMicrosecondArray::from(vec![0, 60_000_000, 0]).with_timezone("UTC"))
                }
                ColumnType::Int => Arc::new(Int32Array::from(vec![Some(80), None, Some(443)])),
                ColumnType::Dynamic => texts([r#"{"u":"x"}"#, r#"{"u":"y","n":1}"#, "{}"]),
                _ => texts(["a", "b", "a"]),
            };
            (place.to_string(), array)
        });
        RecordBatch::try_from_iter(columns).map_err(|error| error.to_string())
    }
}

/// Operators without a plan node of their own have the host run what they depend on, and give a constant table.
#[test]
fn an_operator_that_needs_all_rows_at_hand_asks_the_host_for_them() {
    let counts = regex::Regex::new(r"values \((\d+) rows\)").expect("a pattern");
    for (query, rows) in [
        ("T | make-series n = count() on Time from datetime(1970-01-01) to datetime(1970-01-02) step 1h by Host", 2),
        ("T | evaluate bag_unpack(Bag)", 3),
        ("T | evaluate pivot(Host, count(), Port)", 3),
        ("T | evaluate narrow()", 12),
        ("T | sort by Time asc | extend before = prev(Host)", 3),
        ("T | sort by Time asc | scan declare (n:long=0) with (step s: Host == 'a' => n = s.n + 1;)", 2),
        ("T | partition by Host (top 1 by Port)", 3),
        ("T | top-nested 1 of Host by count()", 1),
        ("T | reduce by Host", 2),
    ] {
        let bound = compile_plan(query, &Filled, &Catalog::default(), 0);
        let bound = bound.map_err(|errors| errors.iter().map(|error| error.render("q", query, 1)).collect::<String>());
        let text = bound.expect("binds").plan.to_string();
        // `partition` puts its parts together.
        let found: usize = counts.captures_iter(&text).filter_map(|count| count[1].parse::<usize>().ok()).sum();
        assert!(found == rows && !text.contains("scan"), "{query}\n{rows} rows expected in\n{text}");
    }
    // Those that other operators express are planned as those are.
    for query in ["T | top-hitters 2 of Host by Port", "T | sample-distinct 2 of Host"] {
        assert!(plan(query).contains("scan T"), "{query}\n{}", plan(query));
    }
}
