//! The reference of the tabular operators: what each does, and where it runs.

/// Where an operator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// On each batch at ingest, and when hunting.
    Everywhere,
    /// It needs all rows: when hunting, and at ingest over constant tables only.
    OverAllRows,
    /// Nowhere; the message says what to do instead.
    Nowhere,
}

/// What the reference says of one operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorDoc {
    /// As written in KQL.
    pub name: &'static str,
    /// Where it runs.
    pub runs: Runs,
    /// Form and meaning in one line.
    pub doc: &'static str,
}

const fn operator(name: &'static str, runs: Runs, doc: &'static str) -> OperatorDoc {
    OperatorDoc { name, runs, doc }
}

use Runs::{Everywhere, Nowhere, OverAllRows};

#[rustfmt::skip]
const DOCS: &[OperatorDoc] = &[
    // What begins a pipeline.
    operator("datatable", Everywhere, "`datatable(name:type, …)[value, …]`: a table of constants"),
    operator("print", Everywhere, "`print name = value, …`: one row"),
    operator("range", Everywhere, "`range name from a to b step c`: one column of numbers, datetimes or timespans"),
    operator("externaldata", Nowhere, "rows of a file elsewhere; give them as a `datatable` or a watchlist"),
    // What works row by row.
    operator("where", Everywhere, "`where condition`: the rows for which it is true"),
    operator("filter", Everywhere, "as `where`"),
    operator("extend", Everywhere, "`extend name = value, …`: adds columns, or replaces them in place"),
    operator("project", Everywhere, "`project name = value, …`: these columns only, in this order"),
    operator("project-away", Everywhere, "`project-away pattern, …`: without these columns"),
    operator("project-keep", Everywhere, "`project-keep pattern, …`: these columns only, in the table's order"),
    operator("project-rename", Everywhere, "`project-rename new = old, …`"),
    operator("project-reorder", Everywhere, "`project-reorder pattern [asc|desc], …`: these columns first"),
    operator("parse", Everywhere, "`parse [kind=…] text with \"literal\" name:type * …`: columns from a text"),
    operator("parse-where", Everywhere, "as `parse`, and only the rows that match"),
    operator("parse-kv", Everywhere, "`parse-kv text as (name:type, …) with (pair_delimiter=…, …)`: columns from key-value pairs"),
    operator("mv-expand", Everywhere, "`mv-expand array [to typeof(type)], …`: one row per element"),
    operator("mv-apply", Everywhere, "`mv-apply name = array on (operators)`: the operators on the elements of each row"),
    operator("union", Everywhere, "`union [withsource=…] [isfuzzy=true] table, …`: the rows of all, columns by name"),
    operator("lookup", Everywhere, "`lookup [kind=leftouter|inner] table on key, …`: columns of a table of facts (at ingest, a constant one)"),
    operator("join", Everywhere, "`join kind=… table on key, …`: pairs of rows (at ingest, inner and left outer joins with a constant table)"),
    operator("invoke", Everywhere, "`invoke function(…)`: a function of the whole table"),
    operator("as", Everywhere, "`as name`: names the table for `union withsource`"),
    operator("getschema", Everywhere, "a table of the columns and their types"),
    operator("consume", Everywhere, "no effect here"),
    operator("render", Everywhere, "no effect here: who shows the result decides how"),
    operator("serialize", Everywhere, "`serialize [name = value, …]`: keeps the order of rows; else as `extend`"),
    // What needs all rows.
    operator("summarize", OverAllRows, "`summarize name = aggregate(…), … by key, …`: one row per group (inside `mv-apply` also at ingest)"),
    operator("distinct", OverAllRows, "`distinct column, …` or `distinct *`"),
    operator("count", OverAllRows, "the number of rows"),
    operator("sort", OverAllRows, "`sort by value [asc|desc] [nulls first|last], …`; descending without a word"),
    operator("order", OverAllRows, "as `sort`"),
    operator("top", OverAllRows, "`top n by value [asc|desc]`: the first rows in that order"),
    operator("take", OverAllRows, "`take n`: any n rows"),
    operator("limit", OverAllRows, "as `take`"),
    operator("sample", OverAllRows, "`sample n`: any n rows"),
    operator("sample-distinct", OverAllRows, "`sample-distinct n of value`: any n different values"),
    operator("top-hitters", OverAllRows, "`top-hitters n of value [by weight]`: the values that occur or weigh most, exact"),
    operator("top-nested", OverAllRows, "`top-nested n of value [with others=label] by aggregate, …`: top groups inside top groups"),
    operator("make-series", OverAllRows, "`make-series name = aggregate default=value on axis from a to b step c by key, …`: arrays along an axis"),
    operator("evaluate", OverAllRows, "`evaluate plugin(…)`: `bag_unpack` (at ingest with an output schema), `geo_polygon_lookup` (at ingest in a constant table), `pivot`, `narrow`"),
    operator("partition", OverAllRows, "`partition by column (operators)`: the operators on each part, at most 1,000 of them"),
    operator("scan", OverAllRows, "`scan declare (…) with (step name: condition => column = value; …)`: rows that match steps in turn"),
    operator("reduce", OverAllRows, "`reduce by text with threshold=0.1, characters=\"-\"`: groups of similar texts"),
    operator("make-graph", OverAllRows, "`make-graph source --> target [with nodes on id]`: a graph of known rows, for the next operator"),
    operator("graph-match", OverAllRows, "`graph-match (a)-[e*1..3]->(b) where … project …`: the paths of that shape"),
    operator("graph-shortest-paths", OverAllRows, "`graph-shortest-paths (a)-[e*1..9]->(b) where … project …`: the shortest of them"),
    // What runs nowhere.
    operator("search", Nowhere, "a text in any column; `where column has text`"),
    operator("find", Nowhere, "rows of many tables; `union withsource=source_ table, … | where condition`"),
    operator("facet", Nowhere, "several results; one `summarize count() by column` for each"),
    operator("fork", Nowhere, "several results; one query for each branch"),
    operator("macro-expand", Nowhere, "a query over a group of clusters; `union` the tables"),
    operator("assert-schema", Nowhere, "checks column types; `project` gives the columns that are meant"),
    operator("execute-and-cache", Nowhere, "a hint to the service; remove it"),
    operator("partition-by", Nowhere, "a hint to the service; remove it"),
    operator("project-by-names", Nowhere, "columns by computed names; `project-keep` takes patterns"),
    operator("graph-to-table", Nowhere, "the edges and nodes of a graph"),
    operator("graph-where-edges", Nowhere, "some edges of a graph; `where` before `make-graph`"),
    operator("graph-where-nodes", Nowhere, "some nodes of a graph; `where` before `make-graph`"),
    operator("graph-mark-components", Nowhere, "connected parts of a graph"),
];

/// The reference of all tabular operators: those that begin a pipeline, those that work row by row, those that need all
/// rows, those that run nowhere.
pub fn operators() -> &'static [OperatorDoc] {
    DOCS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::operator::{OPAQUE, OPERATORS};

    /// What begins a pipeline; the parser knows these without a list.
    const SOURCES: &[&str] = &["datatable", "externaldata", "print", "range"];

    #[test]
    fn the_reference_has_every_operator_of_the_parser_once() {
        let mut documented: Vec<&str> = operators().iter().map(|operator| operator.name).collect();
        documented.sort_unstable();
        let mut known: Vec<&str> = OPERATORS.iter().chain(OPAQUE).chain(SOURCES).copied().collect();
        known.sort_unstable();
        known.dedup();
        assert_eq!(documented, known);
    }
}
