//! The page at `/`: what arrived, for a person with a browser. Self-contained, without scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::counters::{TableCounters, Totals};
use crate::workspace::LoadedRule;

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Weir stand-in workspace</title>\
<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}\
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .7rem;border-bottom:1px solid #ccc;text-align:right}\
td:first-child,th:first-child{text-align:left}code{background:#eee;padding:.1em .3em}</style>\
<h1>Stand-in workspace</h1><p>A local server that takes logs as a Microsoft Sentinel workspace does. \
Counters as JSON: <a href=\"/stand-in/tables\">/stand-in/tables</a>, rules: \
<a href=\"/stand-in/rules\">/stand-in/rules</a>, faults to come: <a href=\"/stand-in/faults\">/stand-in/faults</a>.</p>";

/// Renders the page.
pub(crate) fn render(tables: &BTreeMap<String, TableCounters>, totals: &Totals, rules: &[LoadedRule]) -> String {
    let mut page = HEAD.to_owned();
    let refused: u64 = totals.refusals.values().sum();
    let line = format!(
        "<p>{} calls: {} accepted, {refused} refused. Tokens issued: {}.</p>",
        totals.requests, totals.accepted, totals.tokens
    );
    page.push_str(&line);
    page.push_str(
        "<table><tr><th>Table<th>Rows<th>Calls<th>Wire bytes<th>Raw bytes<th>Billed bytes<th>Dropped values\
         <th>Mistyped<th>Cut<th>Times rewritten<th>Rows with aliases",
    );
    for (name, table) in tables {
        let sum = |names: &BTreeMap<String, u64>| names.values().sum::<u64>();
        let name = escape(name);
        let cells = [
            table.rows,
            table.requests,
            table.wire_bytes,
            table.raw_bytes,
            table.billed_bytes,
            sum(&table.dropped_columns),
            sum(&table.mismatched_values),
            sum(&table.truncated_values),
            table.time_rewritten + table.time_missing,
            table.alias_columns,
        ];
        page.push_str(&format!("<tr><td><a href=\"/stand-in/tables/{name}/rows?limit=20\">{name}</a>"));
        for cell in cells {
            // Writing to a `String` cannot fail.
            let _ = write!(page, "<td>{cell}");
        }
    }
    page.push_str("</table><h2>Rules</h2><ul>");
    for rule in rules {
        let name = rule.name.as_deref().map(escape).unwrap_or_default();
        let _ = write!(page, "<li><code>{}</code> {name}: {} streams", escape(&rule.immutable_id), rule.streams.len());
    }
    page.push_str("</ul></html>\n");
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_write_markup() {
        let tables = BTreeMap::from([("<b>\"x\"".to_owned(), TableCounters::default())]);
        let page = render(&tables, &Totals::default(), &[]);
        assert!(page.contains("&lt;b&gt;&quot;x&quot;") && !page.contains("<b>"));
    }
}
