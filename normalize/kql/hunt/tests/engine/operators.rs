//! Orders, limits, unions, programs, and what is evaluated once.

use crate::support::{NOW, columns, hunt, hunt_set, hunter, try_hunt};
use weir_hunt::Hunter;

const ROWS: &str = "datatable(id:long, s:string, r:real, b:bool, t:datetime, d:dynamic)[
    1, 'b', 1.5, true, datetime(2026-01-01), dynamic(10),
    2, 'a', real(null), false, datetime(null), dynamic(9.5),
    3, 'B', real(nan), bool(null), datetime(2025-01-01), dynamic('x'),
    4, '', -1.0, true, datetime(0001-01-01), dynamic(null),
    5, 'ä', 0.0, false, datetime(9999-12-31), dynamic({'k':1})]";

fn tables() -> Hunter {
    hunter(&[("T", ROWS), ("U", "datatable(id:long, s:string, extra:int)[7, 'u', 1, 8, 'v', 2]")])
}

async fn order(by: &str) -> String {
    hunt(&tables(), &format!("T | sort by {by} | project id")).await.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_sort_by_every_type_with_null_as_the_smallest_value() {
    assert_eq!(order("s asc").await, "43215");
    assert_eq!(order("r asc").await, "24513");
    assert_eq!(order("r desc").await, "31542");
    assert_eq!(order("t asc").await, "24315");
    assert_eq!(order("t desc nulls first").await, "25134");
    assert_eq!(order("b asc, id asc").await, "32514");
    assert_eq!(order("b desc, id desc").await, "41523");
    // Numbers by value, then texts.
    assert_eq!(order("d asc").await, "42135");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_lasts_through_what_is_computed_of_its_rows() {
    let query =
        "T | sort by id desc | extend u = toupper(s) | where id != 3 | parse u with w:string | take 3 | project id, w";
    assert_eq!(hunt(&tables(), query).await, ["5|Ä", "4|", "2|A"]);
    let query = "T | top 2 by t desc | project id";
    assert_eq!(hunt(&tables(), query).await, ["5", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_follow_the_order_of_their_rows() {
    let rows: Vec<String> = (0..500).map(|n| format!("{}, {n}", (n * 7919) % 500)).collect();
    let hunter = hunter(&[("T", &format!("datatable(a:long, b:long)[{}]", rows.join(",")))]);
    for (order, expected) in [("a asc", (0..500).collect::<Vec<_>>()), ("a desc", (0..500).rev().collect())] {
        let query = format!("T | sort by {order} | extend c = a | where b >= 0 | summarize l = make_list(c)");
        let found = hunt(&hunter, &query).await;
        assert_eq!(serde_json::from_str::<Vec<i64>>(&found[0]).unwrap(), expected, "{order}");
        let query = format!("T | sort by {order} | summarize l = make_list(a) by k = b % 3");
        for found in hunt(&hunter, &query).await {
            let list: Vec<i64> = serde_json::from_str(found.split('|').nth(1).unwrap()).unwrap();
            let is_sorted = if order == "a asc" { list.is_sorted() } else { list.iter().rev().is_sorted() };
            assert!(is_sorted && list.len() > 100, "{order}: {list:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_count_rows() {
    assert_eq!(hunt(&tables(), "T | take 2 | count").await, ["2"]);
    assert_eq!(hunt(&tables(), "T | take 0").await.len(), 0);
    assert_eq!(hunt(&tables(), "T | count").await, ["5"]);
    assert_eq!(hunt(&tables(), "T | where id > 2 | count").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_union_brings_columns_together_by_name() {
    let (schema, _) = try_hunt(&tables(), "union withsource=Source T, U | project Source, id, s, extra").await.unwrap();
    assert_eq!(columns(&schema), ["Source:string", "id:long", "s:string", "extra:int"]);
    let rows = hunt_set(&tables(), "union withsource=Source T, U | where id > 4 | project Source, id, s, extra").await;
    assert_eq!(rows, ["T|5|ä|-", "U|7|u|1", "U|8|v|2"]);
    assert_eq!(hunt(&tables(), "union T, U, (print id = 9) | count").await, ["8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_run_over_batches() {
    let query = "T | mv-expand e = pack_array(s, id) to typeof(string) | summarize n = count(), c = countif(e == 'a')";
    assert_eq!(hunt(&tables(), query).await, ["10|1"]);
    let query =
        "T | mv-apply e = pack_array(1, id) to typeof(long) on (summarize m = max(e)) | where m > 3 | project id, m";
    assert_eq!(hunt_set(&tables(), query).await, ["4|4", "5|5"]);
    let query = "T | extend x = strcat(s, '-', id) | parse x with a:string '-' b:long | where id == 2 | project a, b";
    assert_eq!(hunt(&tables(), query).await, ["a|2"]);
    let query =
        "T | lookup (datatable(id:long, name:string)[1, 'one', 2, 'two']) on id | where name != '' | project id, name";
    assert_eq!(hunt_set(&tables(), query).await, ["1|one", "2|two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_evaluated_once_is_run_while_the_query_is_bound() {
    assert_eq!(
        hunt(&tables(), "let last = toscalar(T | summarize max(t)); T | where t == last | project id").await,
        ["5"]
    );
    assert_eq!(hunt_set(&tables(), "T | where s in ((T | where id < 3 | project s)) | project id").await, ["1", "2"]);
    let query = "let m = materialize(T | where id > 3); union m, m | count";
    assert_eq!(hunt(&tables(), query).await, ["4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_stored_rows_find_their_polygons() {
    // Both tables are stored: the polygons are read while the query is bound.
    let query = "T | evaluate geo_polygon_lookup((T | where id <= 2 | project name = s, shape = geo_point_buffer(id, 0, \
                 150000)), shape, id, 0";
    assert_eq!(hunt_set(&tables(), &format!("{query}) | summarize n = count() by id")).await, ["1|2", "2|2", "3|1"]);
    let unmatched = format!("{query}, return_unmatched = true) | summarize n = countif(isnotempty(name)) by id");
    assert_eq!(hunt_set(&tables(), &unmatched).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn equality_is_two_valued() {
    assert_eq!(hunt_set(&tables(), "T | where r == 0.0 | project id").await, ["5"]);
    assert_eq!(hunt_set(&tables(), "T | where r != 0.0 | project id").await, ["1", "2", "3", "4"]);
    assert_eq!(hunt_set(&tables(), "T | where t != datetime(2026-01-01) | project id").await, ["2", "3", "4", "5"]);
    assert_eq!(hunt_set(&tables(), "T | where not(b) | project id").await, ["2", "5"]);
    assert_eq!(hunt_set(&tables(), "T | where not(t > datetime(2026-01-01)) | project id").await, ["1", "3", "4"]);
    assert_eq!(hunt_set(&tables(), "T | where isempty(s) or isnull(t) | project id").await, ["2", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_keep_their_types() {
    let query = "T | take 1 | project d, g = toguid('74be27de-1e4e-49d9-b579-fe0b331d3642'), span = t - t, n = now()";
    let (schema, rows) = try_hunt(&tables(), query).await.unwrap();
    assert_eq!(columns(&schema), ["d:dynamic", "g:guid", "span:timespan", "n:datetime"]);
    assert_eq!(rows.schema(), schema.arrow());
    assert_eq!(NOW, 1_767_323_045_000_000);
    assert_eq!(crate::support::shown(&rows)[0].rsplit('|').next(), Some("2026-01-02T03:04:05"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_of_operators_is_planned() {
    let mut query = "T | where id == 1".to_owned();
    for number in 0..300 {
        query.push_str(&format!(" | extend c{number} = id + {number} | where c{number} > 0"));
    }
    query.push_str(" | project c299");
    assert_eq!(hunt(&tables(), &query).await, ["300"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_point_into_the_query() {
    let error = try_hunt(&tables(), "T | where idd == 1").await.unwrap_err();
    assert!(error.contains("unknown column `idd`") && error.contains("^^^"), "{error}");
    let error = try_hunt(&tables(), "Tt | take 1").await.unwrap_err();
    assert!(error.contains("unknown table `Tt`"), "{error}");
}
