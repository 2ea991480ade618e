//! Operators and functions that look at all rows of a table, over constant tables: each query with the rows that the
//! documentation's rules give it. Cells stand between `|`; a null is empty.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Mode, compile};

fn table() -> TableSchema {
    let columns = [("S", ColumnType::String), ("N", ColumnType::Long), ("D", ColumnType::Dynamic)];
    TableSchema { name: "T".into(), columns: columns.map(|(name, ty)| Column::new(name, ty)).to_vec() }
}

/// Names with types, then rows.
fn rows(query: &str) -> Result<Vec<String>, String> {
    let program = compile(query, &table(), Mode::Strict)
        .map_err(|errors| errors.iter().map(|error| error.render("q", query, 1)).collect::<String>())?;
    let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let result = program.run(&empty).map_err(|error| error.to_string())?;
    let options = FormatOptions::default();
    let columns = program.output().columns.iter();
    let names: Vec<String> = columns.map(|column| format!("{}:{}", column.name, column.ty)).collect();
    // Times as KQL prints them are beside the point here; casting keeps the formatter from needing a time zone table.
    let plain: Vec<_> = result
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            arrow::datatypes::DataType::Timestamp(unit, _) => {
                arrow::compute::cast(column, &arrow::datatypes::DataType::Timestamp(*unit, None))
                    .expect("drops the zone")
            }
            _ => Arc::clone(column),
        })
        .collect();
    let columns: Vec<ArrayFormatter<'_>> =
        plain.iter().map(|column| ArrayFormatter::try_new(column, &options).expect("printable")).collect();
    let cells = |row: usize| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    Ok(std::iter::once(names.join("|")).chain((0..result.num_rows()).map(cells)).collect())
}

/// `(query, expected)`; all that differ are reported at once.
fn check(cases: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (query, expected) in cases {
        match rows(query) {
            Ok(found) if found == *expected => {}
            Ok(found) => wrong.push(format!("{query}\n  expected {expected:#?}\n  found    {found:#?}")),
            Err(error) => wrong.push(format!("{query}\n{error}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// `(query, part of its error)`.
fn refuses(cases: &[(&str, &str)]) {
    for (query, part) in cases {
        match rows(query) {
            Ok(found) => panic!("{query}\n  gave {found:#?}"),
            Err(error) => assert!(error.contains(part), "{query}\n  should say {part:?}:\n{error}"),
        }
    }
}

#[test]
fn window_functions_see_neighbours_in_the_order_of_the_rows() {
    check(&[
        (
            "range x from 1 to 4 step 1 | extend p = prev(x), n = next(x, 2, 0), p2 = prev(x, 2, 9)",
            &["x:long|p:long|n:long|p2:long", "1||3|9", "2|1|4|9", "3|2|0|1", "4|3|0|2"],
        ),
        (
            "datatable(s:string)['a','b'] | extend p = prev(s), m = prev(s, -1, 'z')",
            &["s:string|p:string|m:string", "a||b", "b|a|z"],
        ),
        (
            "range x from 1 to 3 step 1 | sort by x desc | extend r = row_number(), z = row_number(0)",
            &["x:long|r:long|z:long", "3|1|0", "2|2|1", "1|3|2"],
        ),
        (
            "datatable(k:string, v:int)['a',1,'a',2,'b',3,'b',int(null)] | serialize \
             | extend r = row_number(1, prev(k) != k), c = row_cumsum(v, prev(k) != k)",
            &["k:string|v:int|r:long|c:long", "a|1|1|1", "a|2|2|3", "b|3|1|3", "b||2|3"],
        ),
        (
            "datatable(v:real, p:timespan)[1.5, 1m, 2.0, 2m] | project a = row_cumsum(v), b = tostring(row_cumsum(p))",
            &["a:real|b:string", "1.5|00:01:00", "3.5|00:03:00"],
        ),
        (
            "datatable(v:long)[3, 3, 7, 7, 9] | extend d = row_rank_dense(v), m = row_rank_min(v)",
            &["v:long|d:long|m:long", "3|1|1", "3|1|1", "7|2|3", "7|2|3", "9|3|5"],
        ),
        // Filters before, after, and about neighbours.
        (
            "range x from 1 to 6 step 1 | where x % 2 == 0 | where x - prev(x, 1, 0) == 2 and row_number() > 1 | where x < 6",
            &["x:long", "4"],
        ),
        ("range x from 1 to 3 step 1 | where x > 5 | extend r = row_number()", &["x:long|r:long"]),
        ("range x from 1 to 4 step 1 | summarize m = max(x - prev(x))", &["m:long", "1"]),
    ]);
    refuses(&[
        ("T | extend p = prev(N)", "cannot run at ingest"),
        ("print x = row_number()", "over a table whose rows are known"),
        ("range x from 1 to 2 step 1 | extend p = prev(x, x)", "constant whole number"),
        ("range x from 1 to 2 step 1 | extend p = row_cumsum('a')", "numbers or timespans"),
        ("range x from 1 to 2 step 1 | extend p = prev()", "1 to 3 arguments"),
    ]);
}

#[test]
fn a_session_ends_by_either_distance_by_restart_and_by_null() {
    let times = "datatable(k:string, t:datetime)['a', datetime(2024-01-01 00:00), 'a', datetime(2024-01-01 00:04),
        'a', datetime(2024-01-01 00:09), 'a', datetime(2024-01-01 00:11), 'a', datetime(null),
        'a', datetime(2024-01-01 00:12), 'b', datetime(2024-01-01 00:13)]";
    let query = format!("{times} | project s = format_datetime(row_window_session(t, 10m, 5m, k != prev(k)), 'HH:mm')");
    // 00:09 is five minutes after 00:04, which ends the session.
    let expected = ["s:string", "00:00", "00:00", "00:09", "00:09", "", "00:12", "00:13"];
    assert_eq!(rows(&query).expect("runs"), expected);
    let query = format!("{times} | where k == 'a' | project s = format_datetime(row_window_session(t, 9m, 1h), 'mm')");
    assert_eq!(rows(&query).expect("runs"), ["s:string", "00", "00", "09", "09", "", "12"]);
}

#[test]
fn make_series_fills_the_bins_between_its_bounds() {
    let data =
        "datatable(t:datetime, m:real, k:string)[datetime(2016-12-31T06:00), 50, 'a', datetime(2017-01-01), 4, 'a',
        datetime(2017-01-02T03:00), 3, 'b', datetime(2017-01-02T08:00), 5, 'b', datetime(2017-01-04), 6, 'a']";
    let query = |rest: &str| format!("{data} | make-series {rest}");
    let days = r#"["2017-01-01T00:00:00.0000000Z","2017-01-02T00:00:00.0000000Z","2017-01-03T00:00:00.0000000Z"]"#;
    let bounds = "on t from datetime(2017-01-01) to datetime(2017-01-04) step 1d";
    check(&[
        (
            &query(&format!("avg(m), n = count() default=-1 {bounds}")),
            &["avg_m:dynamic|n:dynamic|t:dynamic", &format!("[4.0,4.0,0.0]|[1,2,-1]|{days}")],
        ),
        (
            &query(&format!("s = sum(m) default=real(null) {bounds} by k | sort by k asc")),
            &[
                "k:string|s:dynamic|t:dynamic",
                &format!("a|[4.0,null,null]|{days}"),
                &format!("b|[null,8.0,null]|{days}"),
            ],
        ),
        // Bounds that are left out are those of the rows, in whole steps.
        (&query("n = count() on t step 2d | project n"), &["n:dynamic", "[2,2,1]"]),
        // `in range` includes its end.
        (
            &query("n = count() on t in range(datetime(2017-01-01), datetime(2017-01-03), 1d) | project n"),
            &["n:dynamic", "[1,2,0]"],
        ),
        (
            "range x from 1 to 9 step 1 | make-series n = count() on x from 2 to 10 step 3",
            &["n:dynamic|x:dynamic", "[3,3,2]|[2,5,8]"],
        ),
        (
            "print x = 0.25 | make-series n = count() on x from 0.0 to 1.0 step 0.5",
            &["n:dynamic|x:dynamic", "[1,0]|[0.0,0.5]"],
        ),
        (
            "range x from 1 to 9 step 1 | take 0 | make-series n = count() on x from 0 to 2 step 1",
            &["n:dynamic|x:dynamic"],
        ),
        (
            "range x from 1 to 9 step 1 | take 0 | make-series kind=nonempty n = count() default=7 on x from 0 to 2 step 1",
            &["n:dynamic|x:dynamic", "[7,7]|[0,1]"],
        ),
    ]);
    refuses(&[
        ("T | make-series n = count() on N from 0 to 9 step 1", "cannot run at ingest"),
        ("range x from 1 to 9 step 1 | make-series n = count() on x from 0 to 9 step 0", "more than zero"),
        ("range x from 1 to 9 step 1 | make-series n = count() on x from 0 to 99999999 step 1", "bins"),
        ("print x = 'a' | make-series n = count() on x step 1", "the axis"),
    ]);
}

#[test]
fn bag_unpack_gives_each_slot_a_column_of_its_type() {
    let people = "datatable(Name:string, d:dynamic)['x', dynamic({\"Name\":\"John\",\"Age\":20,\"Tags\":[1]}), \
                  'y', dynamic({\"Name\":\"Dave\",\"Age\":40.5}), 'z', dynamic(null)]";
    let query = |rest: &str| format!("{people} | evaluate bag_unpack(d{rest}");
    check(&[
        (
            "datatable(d:dynamic)[dynamic({'b':1,'a':'x','t':true}), dynamic({'b':2,'n':null})] | evaluate bag_unpack(d)",
            &["a:string|b:long|n:dynamic|t:bool", "x|1||true", "|2||"],
        ),
        (
            &query(", 'P_')"),
            &["Name:string|P_Age:dynamic|P_Name:string|P_Tags:dynamic", "x|20|John|[1]", "y|40.5|Dave|", "z|||"],
        ),
        (
            &query(", columnsConflict='replace_source', ignoredProperties=dynamic(['Age','Tags']))"),
            &["Name:string", "John", "Dave", ""],
        ),
        (
            &query(", columnsConflict='keep_source', ignoredProperties=dynamic(['Age','Tags']))"),
            &["Name:string", "x", "y", "z"],
        ),
        (
            "datatable(d:dynamic)[dynamic({'Name':'John','Age':20})] | evaluate bag_unpack(d) : (Name:string, Age:long, X:bool)",
            &["Name:string|Age:long|X:bool", "John|20|"],
        ),
    ]);
    refuses(&[
        (&query(")"), "there is already a column `Name`"),
        ("T | evaluate bag_unpack(D)", "give the columns"),
        ("T | evaluate bag_unpack(S) : (a:string)", "needs a dynamic column"),
        ("T | evaluate bag_unpack(Missing)", "unknown column"),
        ("T | evaluate autocluster()", "does not run here"),
    ]);
    // With a schema, it runs on events.
    let program = compile("T | evaluate bag_unpack(D) : (S:string, N:long, a:long)", &table(), Mode::Strict);
    let batch = {
        let d: arrow::array::ArrayRef = Arc::new(arrow::array::StringViewArray::from(vec![Some(r#"{"a":"7"}"#), None]));
        RecordBatch::try_from_iter([("D", d)]).expect("a batch")
    };
    let result = program.expect("compiles").run(&batch).expect("runs");
    let a = ArrayFormatter::try_new(result.column(2), &FormatOptions::default()).expect("printable");
    assert_eq!((a.value(0).to_string(), a.value(1).to_string()), ("7".to_owned(), String::new()));
}

/// The page's polygons and places, with shorter digits.
const NEW_YORK: &str = "[[[-73.97375,40.743],[-73.98654,40.75487],[-73.99911,40.74113],[-73.97375,40.743]]]";
const PARIS: &str = "[[[2.57565,48.76957],[2.4201,49.05163],[2.10168,48.80114],[2.57565,48.76957]]]";

/// The lookup of those places among those polygons.
fn places_in_polygons(arguments: &str) -> String {
    let polygon = |name: &str, rings: &str| format!("'{name}', dynamic({{'type':'Polygon','coordinates':{rings}}})");
    format!(
        "let shapes = datatable(name:string, shape:dynamic)[{}, {}, 'none', dynamic(null)]; \
         datatable(name:string, x:real, y:real)['Empire State', -73.98567, 40.74843, 'Museum', -73.98779, 40.74357, \
         'Eiffel', 2.29449, 48.85826, 'London', -0.13246, 51.4988, 'Liberty', -74.04462, 40.6892, 'nowhere', 200, 1] \
         | evaluate geo_polygon_lookup({arguments}) | project-away x, y",
        polygon("New York", NEW_YORK),
        polygon("Paris", PARIS)
    )
}

#[test]
fn places_find_their_polygons() {
    let found = ["Empire State|New York", "Museum|New York", "Eiffel|Paris"];
    let names = "name:string|name1:string";
    let all = [found[0], found[1], found[2], "London|", "Liberty|", "nowhere|"];
    check(&[
        (&places_in_polygons("shapes, shape, x, y"), &[&[names], &found[..]].concat()),
        (&places_in_polygons("shapes, shape, x, y, return_unmatched = true"), &[&[names], &all[..]].concat()),
        // Liberty stands 6.6 km from the border; a wider radius changes nothing there.
        (
            &places_in_polygons("shapes, shape, x, y, 7000, false, 1.5"),
            &[names, found[0], found[1], found[2], "Liberty|New York"],
        ),
        (
            &(places_in_polygons("shapes, shape, x, y, Radius = 6000, return_lookup_key = true") + " | take 1"),
            &[
                "name:string|name1:string|shape:dynamic",
                &format!("{}|{{\"type\":\"Polygon\",\"coordinates\":{NEW_YORK}}}", found[0]),
            ],
        ),
        // A place in several polygons comes once for each.
        (
            &(places_in_polygons("(union shapes, shapes), shape, x, y") + " | where name == 'Eiffel'"),
            &[names, found[2], found[2]],
        ),
        (&(places_in_polygons("shapes, shape, x, y") + " | getschema | count"), &["Count:long", "2"]),
    ]);
    refuses(&[
        (&places_in_polygons("shapes, shape, x"), "needs a table, its column of polygons"),
        (&places_in_polygons("shapes, 'shape', x, y"), "expected the name of the table's column"),
        (&places_in_polygons("shapes, shap, x, y"), "did you mean `shape`"),
        (&places_in_polygons("shapes, name, x, y"), "must be dynamic values"),
        (&places_in_polygons("shapes, shape, x, yy"), "unknown column `yy`"),
        (&places_in_polygons("shapes, shape, x, y, radius = x"), "unknown"),
        (&places_in_polygons("shapes, shape, x, y, join_hint = 2.0"), "has no argument `join_hint`"),
        (&places_in_polygons("shapes, shape, x, y, 1, true, 1, true, 1"), "at most eight"),
        ("T | evaluate geo_polygon_lookup(T, D, N, N)", "must be constant at ingest"),
    ]);
}

#[test]
fn places_of_events_find_their_polygons() {
    let table = TableSchema {
        name: "T".into(),
        columns: vec![Column::new("x", ColumnType::Real), Column::new("y", ColumnType::Real)],
    };
    let real = |values: Vec<Option<f64>>| Arc::new(arrow::array::Float64Array::from(values)) as arrow::array::ArrayRef;
    let x = real(vec![Some(0.5), Some(5.0), None, Some(1.5)]);
    let y = real(vec![Some(0.5), Some(5.0), Some(1.0), Some(0.5)]);
    let batch = RecordBatch::try_from_iter([("x", x), ("y", y)]).expect("a batch");
    let shapes = "let shapes = range n from 0 to 2 step 1 | extend shape = geo_point_buffer(n, 0.5, 100000);";
    for (arguments, expected) in [
        ("shapes, shape, x, y", vec!["0.5 0", "0.5 1", "1.5 1", "1.5 2"]),
        ("shapes, shape, x, y, return_unmatched = true", vec!["0.5 0", "0.5 1", "5.0 ", " ", "1.5 1", "1.5 2"]),
        ("shapes, shape, 0.5, 0.5", vec!["0.5 0", "0.5 1", "5.0 0", "5.0 1", " 0", " 1", "1.5 0", "1.5 1"]),
    ] {
        let query = format!("{shapes} T | evaluate geo_polygon_lookup({arguments}) | project x, n");
        let program = compile(&query, &table, Mode::Strict).expect("compiles");
        let rows = program.run(&batch).expect("runs");
        let cells: Vec<ArrayFormatter<'_>> = rows
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &FormatOptions::default()).expect("printable"))
            .collect();
        let found: Vec<String> =
            (0..rows.num_rows()).map(|row| format!("{} {}", cells[0].value(row), cells[1].value(row))).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn cells_and_their_neighbors_are_keys_of_joins() {
    // As the page on geospatial joins does it: places within a cell of each other share one of the tokens.
    check(&[(
        "let tokens = (x:real, y:real) { let cell = geo_point_to_h3cell(x, y, 14); \
         array_concat(pack_array(cell), geo_h3cell_neighbors(cell)) }; \
         datatable(a:string, x:real, y:real)['a', -0.12433080766874127, 51.51115841361647, \
         'b', -0.12432651341458723, 51.511160848670585, 'c', -0.12432466939637266, 51.51115959669167, 'd', 1, 1] \
         | mv-expand token = tokens(x, y) to typeof(string) \
         | join kind=inner (datatable(id:long, x:real, y:real)[1, -0.12432668105284961, 51.51115938802832] \
         | mv-expand token = tokens(x, y) to typeof(string)) on token | distinct a, id",
        &["a:string|id:long", "a|1", "b|1", "c|1"],
    )]);
}

#[test]
fn pivot_and_narrow_turn_rows_and_columns() {
    let deaths = "datatable(State:string, Kind:string, Source:string, Dead:long)['AL','Wind','x',1, 'AK','Wind','y',2, \
                  'AL','Flood','x',3, 'AL','Wind','x',4]";
    let query = |rest: &str| format!("{deaths} | evaluate {rest}");
    check(&[
        (&query("pivot(State, count(), Kind)"), &["Kind:string|AL:long|AK:long", "Wind|2|1", "Flood|1|0"]),
        (
            &query("pivot(State, sum(Dead))"),
            &["Kind:string|Source:string|AL:long|AK:long", "Wind|x|5|0", "Wind|y|0|2", "Flood|x|3|0"],
        ),
        (&query("pivot(State, max(Dead), Kind)"), &["Kind:string|AL:long|AK:long", "Wind|4|2", "Flood|3|"]),
        (
            &query("pivot(State, sum(Dead), Kind) : (Kind:string, AK:long)"),
            &["Kind:string|AK:long", "Wind|2", "Flood|0"],
        ),
        (
            "datatable(a:long, b:string)[1,'x', long(null),'y'] | evaluate narrow()",
            &["Row:long|Column:string|Value:string", "0|a|1", "0|b|x", "1|a|", "1|b|y"],
        ),
    ]);
    refuses(&[
        ("T | evaluate pivot(S)", "cannot run at ingest"),
        (&query("pivot(State, sum(Dead), Kind) : (Kind:string, TX:long)"), "no column `TX`"),
        (&query("pivot()"), "needs the column"),
    ]);
}

#[test]
fn scan_follows_its_steps_from_the_last_to_the_first() {
    let events = "datatable(Ts:timespan, Event:string)[0m,'A', 1m,'Start', 2m,'B', 3m,'D', 4m,'Stop', 6m,'C', 8m,'Start', \
                  11m,'E', 12m,'Stop']";
    let steps = "step s1: Event == 'Start'; step s2: Event != 'Start' and Event != 'Stop' and Ts - s1.Ts <= 5m; \
                 step s3: Event == 'Stop' and Ts - s1.Ts <= 5m;";
    check(&[
        (
            "range x from 1 to 4 step 1 | scan declare (c:long=0) with (step s1: true => c = x + s1.c;)",
            &["x:long|c:long", "1|1", "2|3", "3|6", "4|10"],
        ),
        (
            "range x from 1 to 5 step 1 | scan declare (c:long=0) with (step s1: true => c = iff(s1.c >= 10, x, x + s1.c);)",
            &["x:long|c:long", "1|1", "2|3", "3|6", "4|10", "5|5"],
        ),
        (
            "datatable(e:string)['A','','B','',''] | scan declare (f:string='') with (step s: true => f = iff(isempty(e), s.f, e))",
            &["e:string|f:string", "A|A", "|A", "B|B", "|B", "|B"],
        ),
        (
            &format!("{events} | scan with_match_id=m with ({steps}) | project Event, m"),
            &["Event:string|m:long", "Start|0", "B|0", "D|0", "Stop|0", "Start|1", "E|1", "Stop|1"],
        ),
        // Sessions of thirty minutes: a step without output ends one, and the same row begins the next.
        (
            "datatable(Ts:timespan)[0m, 3m, 32m, 41m, 75m] | scan with_match_id=id declare (first:timespan) with (\
             step inside: true => first = iff(isnull(inside.first), Ts, inside.first); \
             step over output=none: Ts - inside.first > 30m;) | project m = Ts / 1m, f = first / 1m, id",
            &["m:real|f:real|id:long", "0.0|0.0|0", "3.0|0.0|0", "32.0|32.0|1", "41.0|32.0|1", "75.0|75.0|2"],
        ),
        (
            "datatable(k:string, v:long)['a',1,'b',5,'a',2,'b',6] \
             | scan partition by k declare (c:long=0) with (step s: true => c = v + s.c;)",
            &["k:string|v:long|c:long", "a|1|1", "a|2|3", "b|5|5", "b|6|11"],
        ),
        ("range x from 1 to 5 step 1 | scan with (step a output=last: x < 4; step b: x > 4;)", &["x:long", "3", "5"]),
    ]);
    refuses(&[
        ("T | scan with (step s: true;)", "cannot run at ingest"),
        ("range x from 1 to 2 step 1 | scan with (step s: true => y = x;)", "not declared"),
        ("range x from 1 to 2 step 1 | scan with (step s optional: true;)", "optional"),
    ]);
}

#[test]
fn partition_runs_its_operators_on_each_part() {
    let data = "datatable(k:string, v:long)['a',1,'b',5,'a',2,'b',6,'a',3]";
    check(&[
        (&format!("{data} | partition by k (top 1 by v)"), &["k:string|v:long", "a|3", "b|6"]),
        (
            &format!(
                "{data} | partition hint.strategy=native by k (sort by v asc | extend r = row_number() | where r == 2)"
            ),
            &["k:string|v:long|r:long", "a|2|2", "b|6|2"],
        ),
        (
            &format!(
                "let D = {data}; range n from 1 to 2 step 1 | partition by n {{ D | where v == toscalar(n) | project k, v }}"
            ),
            &["k:string|v:long", "a|1", "a|2"],
        ),
        (&format!("{data} | where v > 9 | partition by k (count)"), &["Count:long", "0"]),
    ]);
    refuses(&[
        ("T | partition by S (take 1)", "cannot run at ingest"),
        ("range x from 1 to 1001 step 1 | partition by x (take 1)", "at most 1000"),
    ]);
}

#[test]
fn top_groups_nest_and_the_others_are_added_up() {
    let data =
        "datatable(s:string, p:string, v:long)['KS','x',5, 'KS','y',4, 'TX','x',9, 'TX','z',1, 'OH','x',2, 'KS','z',3]";
    check(&[
        (
            &format!("{data} | top-nested 2 of s by sum(v), top-nested 1 of p by t = max(v)"),
            &["s:string|aggregated_s:long|p:string|t:long", "KS|12|x|5", "TX|10|x|9"],
        ),
        (
            &format!(
                "{data} | top-nested 1 of s with others='rest' by sum(v), top-nested 1 of p with others='more' by sum(v)"
            ),
            &["s:string|aggregated_s:long|p:string|aggregated_p:long", "KS|12|x|5", "KS|12|more|7", "rest|12|more|12"],
        ),
        // A level without `with others` is empty in the others' row.
        (
            &format!("{data} | top-nested 1 of s by sum(v), top-nested 1 of p with others='more' by sum(v)"),
            &["s:string|aggregated_s:long|p:string|aggregated_p:long", "KS|12|x|5", "KS|12|more|7", "||more|12"],
        ),
        (&format!("{data} | top-nested 1 of s by sum(v) asc"), &["s:string|aggregated_s:long", "OH|2"]),
        (&format!("{data} | top-nested of s by count() | summarize count()"), &["count_:long", "3"]),
        (&format!("{data} | top-hitters 1 of s"), &["s:string|approximate_count_s:long", "KS|3"]),
        (&format!("{data} | top-hitters 2 of p by v"), &["p:string|approximate_sum_v:long", "x|16", "y|4"]),
        (&format!("{data} | sample-distinct 2 of s"), &["s:string", "KS", "TX"]),
    ]);
    refuses(&[
        ("T | top-hitters 2 of S", "cannot run at ingest"),
        ("T | sample-distinct 2 of S", "cannot run at ingest"),
    ]);
}

#[test]
fn reduce_keeps_the_words_that_a_group_shares() {
    check(&[
        (
            "datatable(s:string)['user 17 logged in','user 23 logged in','disk is full','user 5 logged in'] | reduce by s",
            &["Pattern:string|Count:long|Representative:string", "user * logged in|3|user 17 logged in", "others|1|"],
        ),
        (
            "datatable(s:string)['a-1','a-2','b-1','b-2','b-3'] | reduce by s with threshold=0.5",
            &["Pattern:string|Count:long|Representative:string", "b-*|3|b-1", "others|2|"],
        ),
        (
            "datatable(s:string)['same','same'] | reduce by s",
            &["Pattern:string|Count:long|Representative:string", "same|2|same"],
        ),
    ]);
    refuses(&[("T | reduce by S", "cannot run at ingest"), ("print s='a' | reduce by s with x=1", "`threshold`")]);
}

#[test]
fn what_runs_nowhere_says_what_to_do_instead() {
    refuses(&[
        ("T | fork (take 1) (count)", "one query for each branch"),
        ("T | facet by S", "one `summarize count() by column` for each"),
        ("T | search 'x'", "`where column has text`"),
        ("search 'x'", "`where column has text`"),
        ("find where S == 'x'", "`union withsource"),
        ("externaldata(a:string)['https://example.com/a.csv'] | take 1", "as a `datatable`"),
    ]);
}

#[test]
fn a_null_expands_to_one_row_and_an_empty_array_to_none() {
    let data = "datatable(k:long, d:dynamic)[1, dynamic(null), 2, dynamic([]), 3, dynamic([null,5]), 4, dynamic('x'), \
                5, dynamic({'a':1}), 6, dynamic({})]";
    check(&[
        (
            &format!("{data} | mv-expand with_itemindex=i d"),
            &["k:long|d:dynamic|i:long", "1||0", "3||0", "3|5|1", "4|\"x\"|0", "5|{\"a\":1}|0"],
        ),
        (
            &format!("{data} | mv-expand kind=array d to typeof(string) | where k == 5"),
            &["k:long|d:string", "5|[\"a\",1]"],
        ),
        // Side by side, the shorter one ends with nulls; a text is no number.
        (
            "print a = dynamic([1,2]), b = dynamic(['7']) | mv-expand a to typeof(long), b to typeof(long)",
            &["a:long|b:long", "1|", "2|"],
        ),
        ("print a = dynamic([1,2,3]) | mv-expand a limit 2", &["a:dynamic", "1", "2"]),
    ]);
}

#[test]
fn paths_of_a_graph_are_found_by_their_shape() {
    let graph = "let N = datatable(n:string, kind:string)['a','user', 'b','host', 'c','host', 'd','db']; \
                 datatable(s:string, t:string, w:long)['a','b',1, 'b','c',2, 'c','d',3, 'a','d',9, 'c','a',4, 'd','x',5] \
                 | make-graph s --> t with N on n";
    let query = |rest: &str| format!("{graph} | {rest}");
    check(&[
        (
            &query("graph-match (u)-[e]->(h) where u.kind == 'user' project u.n, h.n, e.w, twice = e.w * 2"),
            &["u_n:string|h_n:string|e_w:long|twice:long", "a|b|1|2", "a|d|9|18"],
        ),
        (
            &query("graph-match (x)<-[e]-(y) where x.n == 'a' project from = y.n, w = e.w"),
            &["from:string|w:long", "c|4"],
        ),
        (
            &query("graph-match (x)-[e]-(y) where x.n == 'd' project other = y.n | sort by other asc"),
            &["other:string", "a", "c", "x"],
        ),
        // A node that only edges name has its name alone.
        (&query("graph-match (x)-->(y) where y.n == 'x' project x.n, k = y.kind"), &["x_n:string|k:string", "d|"]),
        (
            &query(
                "graph-match (x)-[e*2..3]->(y) where x.n == 'a' and y.n == 'd' project w = map(e, w), \
                    over = map(inner_nodes(e), n), big = any(e, w > 2), hosts = all(inner_nodes(e), kind == 'host')",
            ),
            &["w:dynamic|over:dynamic|big:dynamic|hosts:dynamic", "[1,2,3]|[\"b\",\"c\"]|true|true"],
        ),
        // A cycle may use each edge once; with `none` there is none.
        (&query("graph-match (x)-[e*3..6]->(x) project x.n | sort by x_n asc"), &["x_n:string", "a", "b", "c"]),
        (&query("graph-match cycles=none (x)-[e*3..6]->(x) project x.n"), &["x_n:string"]),
        // Patterns that share a node.
        (
            &query("graph-match (x)-->(y), (z)-->(y) where x.n != z.n and x.n == 'a' project x.n, y.n, z.n"),
            &["x_n:string|y_n:string|z_n:string", "a|d|c"],
        ),
        (
            &query(
                "graph-shortest-paths (x)-[e*1..5]->(y) where x.n == 'a' project to = y.n, hops = array_length(map(e, w)) \
                    | sort by to asc",
            ),
            &["to:string|hops:dynamic", "b|1", "c|2", "d|1", "x|2"],
        ),
        (
            "print a = 1, b = 2 | make-graph a --> b with_node_id=id | graph-match (p)-->(q) project p.id, q.id",
            &["p_id:long|q_id:long", "1|2"],
        ),
    ]);
    refuses(&[
        ("T | make-graph S --> S | graph-match (a)-->(b) project a.S", "cannot run at ingest"),
        (&query("take 1"), "stands right behind `make-graph`"),
        (graph, "stands right behind `make-graph`"),
        ("print a = 1 | graph-match (a)-->(b) project 1", "stands right behind `make-graph`"),
        (&query("graph-match (a)-[e*1..99]->(b) project a.n"), "at most 32 edges"),
        (&query("graph-match (a)-->(b) where any(e, w > 1) project a.n"), "no edge `e`"),
        (&query("graph-match (a)->(b) project a.n"), "expected `-`"),
        ("print a = 1, b = 'x' | make-graph a --> b | graph-match (p)-->(q) project 1", "different types"),
        (
            "range x from 1 to 400 step 1 | extend y = 1 | join kind=inner (range z from 1 to 400 step 1 | extend y = 1) on y \
             | make-graph x --> z | graph-match (a)-[e*1..3]->(b) project 1",
            "more than 100000 matches",
        ),
    ]);
}
