//! Joins: kinds, null keys, and what stands where there is no match.

use crate::support::{hunt, hunt_set, hunter};
use weir_hunt::Hunter;

const LEFT: &str = "datatable(k:long, a:string, n:int)[1, 'x', 10, 2, 'y', 20, 2, 'z', 21, long(null), 'w', int(null)]";
const RIGHT: &str = "datatable(k:long, b:string, m:real)[2, 'p', 0.5, 3, 'q', 1.5, long(null), 'r', real(null)]";

fn tables() -> Hunter {
    hunter(&[("L", LEFT), ("R", RIGHT)])
}

async fn joined(kind: &str) -> Vec<String> {
    hunt_set(&tables(), &format!("L | join kind={kind} R on k")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn null_keys_equal_each_other() {
    assert_eq!(joined("inner").await, ["-|w|-|-|r|-", "2|y|20|2|p|0.5", "2|z|21|2|p|0.5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_without_match_is_null_and_its_texts_are_empty() {
    let both = ["-|w|-|-|r|-", "2|y|20|2|p|0.5", "2|z|21|2|p|0.5"];
    let (left, right) = ("1|x|10|-||-", "-||-|3|q|1.5");
    let sorted = |rows: &[&str]| {
        let mut rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        rows.sort();
        rows
    };
    assert_eq!(joined("leftouter").await, sorted(&[both[0], both[1], both[2], left]));
    assert_eq!(joined("rightouter").await, sorted(&[both[0], both[1], both[2], right]));
    assert_eq!(joined("fullouter").await, sorted(&[both[0], both[1], both[2], left, right]));
    // The empty text is a value like any other to what follows.
    let query = "L | join kind=leftouter R on k | where b == '' | project a, isempty(b), isnull(m)";
    assert_eq!(hunt(&tables(), query).await, ["x|true|true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn semi_and_anti_joins_keep_one_side() {
    assert_eq!(joined("leftsemi").await, ["-|w|-", "2|y|20", "2|z|21"]);
    assert_eq!(joined("leftanti").await, ["1|x|10"]);
    assert_eq!(joined("rightsemi").await, ["-|r|-", "2|p|0.5"]);
    assert_eq!(joined("rightanti").await, ["3|q|1.5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_kind_takes_one_left_row_per_key() {
    let rows = hunt_set(&tables(), "L | join R on k | project k, a, n, b").await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    // The row is whole: its parts come from one left row.
    assert!(rows[1] == "2|y|20|p" || rows[1] == "2|z|21|p", "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_has_several_keys_of_different_names() {
    let rows =
        hunt_set(&tables(), "L | join kind=inner (R | extend t = 'y') on $left.k == $right.k, $left.a == $right.t")
            .await;
    assert_eq!(rows, ["2|y|20|2|p|0.5|y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_of_a_stored_table_keeps_rows_without_match() {
    let rows = hunt_set(&tables(), "L | lookup R on k").await;
    assert_eq!(rows, ["-|w|-|r|-", "1|x|10||-", "2|y|20|p|0.5", "2|z|21|p|0.5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_joins_itself() {
    let rows =
        hunt_set(&tables(), "L | where n > 10 | join kind=inner (L | project k, other = n) on k | project n, other")
            .await;
    assert_eq!(rows, ["20|20", "20|21", "21|20", "21|21"]);
}
