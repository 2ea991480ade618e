//! Operators, scopes and errors, query by query.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, StringViewArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Mode, Program, compile, compile_filter};

fn table() -> TableSchema {
    TableSchema {
        name: "Raw".into(),
        columns: vec![
            Column::new("Name", ColumnType::String),
            Column::new("Count", ColumnType::Long),
            Column::new("Extra", ColumnType::Dynamic),
            Column::new("Unused", ColumnType::String),
        ],
    }
}

fn batch() -> RecordBatch {
    let names: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some("alice"),
        Some("BOB"),
        None,
        Some("a name that is longer than twelve bytes"),
    ]));
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None]));
    let extra: ArrayRef = Arc::new(StringViewArray::from(vec![
        Some(r#"{"a":"x","l":[1,2]}"#),
        Some(""),
        None,
        Some(r#"{"a":{"b":"deep"},"l":[]}"#),
    ]));
    RecordBatch::try_from_iter([("Count", counts), ("Name", names), ("Extra", extra)]).expect("a batch")
}

fn compiled(query: &str, mode: Mode) -> Program {
    compile(query, &table(), mode).unwrap_or_else(|errors| {
        let rendered: Vec<String> = errors.iter().map(|error| error.render("q", query, 1)).collect();
        panic!("{query}\n{}", rendered.join("\n"))
    })
}

/// Column names and rows, `|` between cells; null prints as nothing.
fn rows_in(query: &str, mode: Mode) -> Vec<String> {
    let program = compiled(query, mode);
    let result = program.run(&batch()).expect("runs");
    assert_eq!(result.schema(), program.output().arrow());
    let options = FormatOptions::default();
    let columns: Vec<ArrayFormatter<'_>> =
        result.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("printable")).collect();
    let names: Vec<&str> = program.output().columns.iter().map(|column| &*column.name).collect();
    let mut rows = vec![names.join("|")];
    rows.extend(
        (0..result.num_rows())
            .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")),
    );
    rows
}

fn rows(query: &str) -> Vec<String> {
    rows_in(query, Mode::Strict)
}

fn errors(query: &str) -> Vec<String> {
    match compile(query, &table(), Mode::Strict) {
        Ok(_) => panic!("{query} compiles"),
        Err(errors) => errors.into_iter().map(|error| error.message).collect(),
    }
}

#[test]
fn assignments_of_one_extend_see_the_operators_input() {
    assert_eq!(
        rows("Raw | where Count == 1 | project Count | extend Count = 10, Twice = Count * 2"),
        ["Count|Twice", "10|2"]
    );
}

#[test]
fn extend_replaces_in_place_and_adds_at_the_end() {
    assert_eq!(
        rows("source | where Count == 2 | project Name, Count | extend New = 1, Name = 'n'"),
        ["Name|Count|New", "n|2|1"]
    );
}

#[test]
fn the_project_family_moves_names() {
    assert_eq!(rows("Raw | where Count == 2 | project-away Extra, Un*"), ["Name|Count", "BOB|2"]);
    assert_eq!(rows("Raw | where Count == 2 | project-keep C*, Name"), ["Name|Count", "BOB|2"]);
    assert_eq!(rows("Raw | where Count == 2 | project-rename N = Name | project-keep N, Count"), ["N|Count", "BOB|2"]);
    assert_eq!(
        rows("Raw | where Count == 2 | project-away Extra, Unused | project-reorder Count"),
        ["Count|Name", "2|BOB"]
    );
    assert_eq!(
        rows("Raw | where Count == 2 | project Extra, Extra.a, tostring(Count), Count + 1")[0],
        "Extra|Extra_a|Count|Column1"
    );
}

#[test]
fn null_texts_are_empty_and_absent_columns_are_null() {
    assert_eq!(
        rows("Raw | where Name == '' | project Name = strcat('[', Name, Unused, ']'), e = isempty(Unused)"),
        ["Name|e", "[]|true"]
    );
    assert_eq!(rows("Raw | where Name != 'alice' | project Count"), ["Count", "2", "3", ""]);
    assert_eq!(rows("Raw | where Count > 1 | project Count"), ["Count", "2", "3"]);
    assert_eq!(rows("Raw | where not(Count > 1) | project Count"), ["Count", "1"]);
}

#[test]
fn dynamic_paths_of_all_rows_are_found() {
    assert_eq!(
        rows("Raw | project a = tostring(Extra.a), b = Extra.a.b, n = array_length(Extra.l), f = toint(Extra.l[0])"),
        ["a|b|n|f", "x||2|1", "|||", "|||", r#"{"b":"deep"}|"deep"|0|"#]
    );
}

#[test]
fn lets_functions_defaults_and_invoke_expand() {
    assert_eq!(
        rows(
            "let f = (n:long, by:long = 10) { n * by }; let T = Raw | where Count < 3; T | project x = f(Count), y = f(by = 2, n = Count)"
        ),
        ["x|y", "10|2", "20|4"]
    );
    assert_eq!(
        rows("let big = (T:(*), low:long) { T | where Count > low }; Raw | invoke big(2) | project Count"),
        ["Count", "3"]
    );
    assert_eq!(
        rows(
            "let parser = (disabled:bool=false) { let inner = Raw | where not(disabled); inner | project Count }; parser(disabled=false)"
        ),
        ["Count", "1", "2", "3", ""]
    );
    assert_eq!(
        rows("let parser = (disabled:bool=false) { Raw | where not(disabled) | project Count }; parser(disabled=true)"),
        ["Count"]
    );
}

#[test]
fn a_column_shadows_a_let_and_a_parameter_shadows_a_column() {
    assert_eq!(rows("let Count = 7; Raw | where Name == 'BOB' | project x = Count"), ["x", "2"]);
    assert_eq!(rows("let f = (Count:long) { Raw | where Name == 'BOB' | project x = Count }; f(9)"), ["x", "9"]);
}

#[test]
fn lookup_multiplies_duplicates_and_fills_what_is_missing() {
    assert_eq!(
        rows(
            "let d = datatable(Key:long, Text:string, N:int) [1, 'one', 11, 2, 'two', 22, 2, 'zwei', 23,]; Raw | project Count | lookup d on $left.Count == $right.Key"
        ),
        ["Count|Text|N", "1|one|11", "2|two|22", "2|zwei|23", "3||", "||"]
    );
    assert_eq!(
        rows(
            "Raw | project Count | join kind=inner (datatable(Count:long, T:string)[2, 'x', long(null), 'nil']) on Count"
        ),
        ["Count|Count1|T", "2|2|x", "||nil"]
    );
    assert_eq!(
        rows(
            "Raw | project Count, Text = 'old' | lookup kind=inner (datatable(Count:long, Text:string)[1, 'new']) on Count"
        ),
        ["Count|Text|Text1", "1|old|new"]
    );
}

#[test]
fn union_joins_branches_by_name() {
    assert_eq!(
        rows(
            "let a = Raw | where Count == 1 | project Count, A = 'a'; let b = Raw | where Count == 2 | project B = 'b', Count; union a, b"
        ),
        ["Count|A|B", "1|a|", "2||b"]
    );
    assert_eq!(
        rows("union (Raw | where Count == 1 | project X = Count), (Raw | where Count == 2 | project X = Name)"),
        ["X_long|X_string", "1|", "|BOB"]
    );
    assert_eq!(
        rows_in("union isfuzzy=true Raw, Other | where Count == 1 | project Name", Mode::Lenient),
        ["Name", "alice"]
    );
}

#[test]
fn mv_expand_walks_arrays() {
    assert_eq!(
        rows("Raw | project Count, l = Extra.l | mv-expand l to typeof(long)"),
        ["Count|l", "1|1", "1|2", "2|", "3|"]
    );
    assert_eq!(
        rows("print a = dynamic({'x':1,'y':2}), b = dynamic([5]) | mv-expand with_itemindex=i a, b"),
        ["a|b|i", r#"{"x":1}|5|0"#, r#"{"y":2}||1"#]
    );
}

#[test]
fn parse_is_all_or_nothing() {
    let text = "let T = datatable(t:string)['k=1, v=abc', 'k=x, v=abc', 'nothing'];";
    assert_eq!(
        rows(&format!("{text} T | parse t with 'k=' k:long ', v=' v | project k, v")),
        ["k|v", "1|abc", "|", "|"]
    );
    assert_eq!(
        rows(&format!("{text} T | parse kind=relaxed t with 'k=' k:long ', v=' v | project k, v")),
        ["k|v", "1|abc", "|abc", "|"]
    );
    assert_eq!(rows(&format!("{text} T | parse-where t with 'k=' k:long ', v=' v | project k, v")), ["k|v", "1|abc"]);
    assert_eq!(
        rows(&format!("{text} T | parse kind=regex t with 'k=' k:string ', v=' v | project k, v")),
        ["k|v", "1|abc", "x|abc", "|"]
    );
    assert_eq!(rows("print t = 'a:b:c' | parse t with t ':' rest | project t, rest"), ["t|rest", "a|b:c"]);
    assert_eq!(rows("print t = 'xay' | parse t with * 'a' r | project r"), ["r", "y"]);
    assert_eq!(rows("print t = 'one two' | parse t with a 'two' | project a"), ["a", "one "]);
}

#[test]
fn parse_kv_takes_the_listed_keys() {
    assert_eq!(
        rows(
            r#"print t = 'a=1 b="x y" a=2 c=z' | parse-kv t as (a:long, b:string, missing:string) with (quote='"') | project a, b, missing"#
        ),
        ["a|b|missing", "1|x y|"]
    );
    assert_eq!(
        rows(
            r#"print t = 'k1: v 1, k2: v2' | parse-kv t as (k1:string, k2:string) with (pair_delimiter=',', kv_delimiter=':') | project k1, k2"#
        ),
        ["k1|k2", "v 1|v2"]
    );
    assert_eq!(
        rows(r#"print t = 'a=1 2 b=3' | parse-kv t as (a:string, b:long) with (greedy=true) | project a, b"#),
        ["a|b", "1 2|3"]
    );
    assert_eq!(
        rows(
            r#"print t = '<Data Name="U">bob</Data><Data Name="V">9</Data>' | parse-kv t as (U:string, V:int) with (regex=@'<Data Name="(\w+)">{?([^<]*?)}?</Data>') | project U, V"#
        ),
        ["U|V", "bob|9"]
    );
}

#[test]
fn constant_tables_fold() {
    assert_eq!(
        rows("let ids = datatable(i:long)[1, 3]; Raw | where Count in (ids) | project Count"),
        ["Count", "1", "3"]
    );
    assert_eq!(rows("print x = toscalar(datatable(a:string)['q', 'r'] | where a == 'r')"), ["x", "r"]);
    assert_eq!(rows("range x from 1 to 5 step 2"), ["x", "1", "3", "5"]);
}

#[test]
fn only_columns_that_matter_are_read() {
    let program =
        compiled("Raw | extend Big = toupper(Name), Small = Count + 1 | where Count > 0 | project Small", Mode::Strict);
    let inputs: Vec<&str> = program.inputs().iter().map(|name| &**name).collect();
    assert_eq!(inputs, ["Count"]);
}

#[test]
fn passed_through_columns_share_their_buffers() {
    let batch = batch();
    let program = compiled(
        "Raw | project-rename Renamed = Name | project Renamed, k = 'a constant longer than inline'",
        Mode::Strict,
    );
    let result = program.run(&batch).expect("runs");
    assert!(Arc::ptr_eq(result.column(0), batch.column(1)));
    let constant = result.column(1).as_string_view();
    assert_eq!(constant.len(), 4);
    assert!(constant.data_buffers().iter().map(|buffer| buffer.len()).sum::<usize>() < 60, "the text is stored once");
}

#[test]
fn other_arrow_types_of_a_column_are_read() {
    let schema =
        Schema::new(vec![Field::new("Name", DataType::Utf8, true), Field::new("Count", DataType::UInt64, true)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec!["x"])), Arc::new(UInt64Array::from(vec![5]))];
    let batch = RecordBatch::try_new(Arc::new(schema), columns).expect("a batch");
    let result = compiled("Raw | project Name, Count", Mode::Strict).run(&batch).expect("runs");
    assert_eq!(result.column(0).as_string_view().value(0), "x");
    assert_eq!(result.column(1).as_primitive::<arrow::datatypes::Int64Type>().value(0), 5);
    let wrong: ArrayRef =
        Arc::new(arrow::array::new_null_array(&DataType::List(Arc::new(Field::new("item", DataType::Int8, true))), 1));
    let batch = RecordBatch::try_from_iter([("Count", wrong)]).expect("a batch");
    assert!(compiled("Raw | project Count", Mode::Strict).run(&batch).is_err());
}

#[test]
fn filters_give_a_mask_without_nulls() {
    for query in [
        "Raw | where Count > 1 | where Name =~ 'bob'",
        "Count > 1 and Name =~ 'bob'",
        "source | extend C = Count + 1 | where C == 3",
    ] {
        let filter = compile_filter(query, &table(), Mode::Strict).expect("compiles");
        assert_eq!(
            filter.mask(&batch()).expect("runs"),
            BooleanArray::from(vec![false, true, false, false]),
            "{query}"
        );
    }
    let all = compile_filter("Raw", &table(), Mode::Strict).expect("compiles");
    assert_eq!(all.mask(&batch()).expect("runs").true_count(), 4);
    assert!(compile_filter("Raw | summarize count()", &table(), Mode::Strict).is_err());
}

#[test]
fn lenient_mode_binds_what_is_missing_to_nothing() {
    let query = "Raw | where Count == 1 | project-away Nope | project x = strcat('a', Gone), y = isempty(Missing), z = tostring(Missing.a.b), c = column_ifexists('Gone', 'dflt')";
    assert_eq!(rows_in(query, Mode::Lenient), ["x|y|z|c", "a|true||dflt"]);
    let warnings = compiled(query, Mode::Lenient).warnings().len();
    assert_eq!(warnings, 4, "Nope, Gone, and Missing at two places");
    assert!(compile(query, &table(), Mode::Strict).is_err());
}

#[test]
fn errors_name_the_fault() {
    assert_eq!(errors("Raw | where Nmae == 'x'"), ["unknown column `Nmae`"]);
    assert_eq!(errors("Raw | extend a = Bad1, b = Bad2"), ["unknown column `Bad1`", "unknown column `Bad2`"]);
    assert_eq!(errors("Raw | summarize count() by Name"), ["stateful operator `summarize` cannot run at ingest"]);
    assert_eq!(errors("Raw | top 5 by Count"), ["stateful operator `top` cannot run at ingest"]);
    assert_eq!(errors("Raw | wehre Count == 1"), ["unknown operator `wehre`"]);
    assert_eq!(errors("Raw | where frob(Name)"), ["unknown function `frob`"]);
    assert_eq!(errors("Raw | where strlen()"), ["`strlen` takes 1 arguments, found 0"]);
    assert_eq!(errors("Raw | where Name"), ["expected a condition, found a value of type string"]);
    assert_eq!(errors("Raw | where Name matches regex '('")[0], "bad regular expression: error: unclosed group");
    assert_eq!(errors("Raw | where"), ["expected an expression, found the end of the query"]);
    assert_eq!(errors("Raw | where Count + "), ["expected an expression, found the end of the query"]);
    assert_eq!(errors("Raw | extend x = 'abc"), ["the text is never closed: expected ' on the same line"]);
    assert_eq!(errors("Raw | project Count, Count = 1"), ["`Count` is projected twice"]);
    assert_eq!(errors("Nope | where Count == 1"), ["unknown table `Nope`"]);
    assert_eq!(errors("Raw | where Name == 1")[0], "`==` does not take string and long");
    assert_eq!(errors("Raw | join (Raw) on Name")[0], "stateful operator `join` of this kind cannot run at ingest");
    assert_eq!(errors("Raw | lookup Raw on Name")[0], "this table must be constant at ingest");
}

#[test]
fn deep_and_long_queries_are_refused() {
    let deep = format!("print x = {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(errors(&deep)[0].contains("levels deep"));
    let deep = format!("print x = {}1", "-".repeat(5000));
    assert!(errors(&deep)[0].contains("levels deep"));
    assert!(errors(&" ".repeat(weir_kql::MAX_QUERY_BYTES + 1))[0].contains("longer than"));
    let doubling: String = (0..40).map(|n| format!("let f{} = (x:long) {{ f{n}(x) + f{n}(x + 1) }};", n + 1)).collect();
    let query = format!("let f0 = (x:long) {{ x }}; {doubling} Raw | project y = f40(Count)");
    assert!(compile(&query, &table(), Mode::Strict).is_err());
    let chain = (0..20_000).map(|n| format!("Count == {n}")).collect::<Vec<_>>().join(" or ");
    assert!(compile(&format!("Raw | where {chain}"), &table(), Mode::Strict).is_ok());
}

#[test]
fn oddities_of_public_parsers_are_accepted() {
    assert_eq!(
        rows(
            "// head\nRaw // tail\n| where Count==2 // more\n| extend ['odd name'] = iif (Name has 'bob', 'y' 'es', 'no'), Peer = strcat('a', b = 'c')\n| project ['odd name'], Peer;"
        ),
        ["odd name|Peer", "yes|ac"]
    );
}

#[test]
fn a_call_of_several_columns_names_the_first() {
    let query = "datatable(a:dynamic, b:dynamic)[dynamic([2, 1]), dynamic(['x', 'y'])] ";
    assert_eq!(rows(&format!("{query} | project x = array_sort_asc(a, b)")), ["x|b_sorted", "[1,2]|[\"y\",\"x\"]"]);
    assert_eq!(
        rows(&format!("{query} | project x = array_sort_asc(b, dynamic([4, 3])), n = 1")),
        ["x|array1_sorted|n", "[\"x\",\"y\"]|[4,3]|1"]
    );
}

#[test]
fn a_case_gives_each_row_its_own_branch_whatever_is_left_out() {
    let nested = r#"Raw | project r = case(
        Name == "alice", strcat(Name, "1"),
        Count > 1, case(isempty(Name), strcat("none", tostring(Count)), strcat(Name, "2")),
        Name startswith "x" and strlen(Name) > 3, strcat(Name, "no"),
        strcat(substring(Name, 0, 6), "3"))"#;
    assert_eq!(rows(nested), ["r", "alice1", "BOB2", "none3", "a name3"]);
    // A value that is used elsewhere too, and branches that no row takes.
    let shared = r#"Raw | extend twice = strcat(Name, Name)
        | project a = iff(Count == 1, twice, "b"), c = case(Count > 9, strcat(Name, "!"), Count == 2, twice, "d"), twice"#;
    let long = "a name that is longer than twelve bytes";
    let expected = ["a|c|twice", "alicealice|d|alicealice", "b|BOBBOB|BOBBOB", "b|d|", &format!("b|d|{long}{long}")];
    assert_eq!(rows(shared), expected);
}

#[test]
fn bags_merge_into_a_pack_as_into_any_other_bag() {
    for pack in [
        r#"pack_nonempty("a", Name, "n", Count, "l", "")"#,
        r#"bag_pack("a", Name, "n", Count)"#,
        r#"pack_nonempty("x", "")"#,
        r#"pack_nonempty("l", Extra.l, "b", Extra.a.b)"#,
        r#"pack_nonempty(Name, 1)"#,
        r#"pack_nonempty("a", Name, "a", Count)"#,
    ] {
        for others in ["Extra", "Extra, Extra.a", r#"dynamic({"n": 7, "m\u0061": 1, "a": 2}), Extra"#, "Extra.l, Extra"]
        {
            let packed = rows(&format!("Raw | project b = bag_merge({pack}, {others})"));
            let read = rows(&format!("Raw | project b = bag_merge(todynamic(tostring({pack})), {others})"));
            assert_eq!(packed, read, "{pack}, {others}");
        }
    }
}
