//! `weir asim import`, and what a run makes of the mappings that it writes.

use std::path::Path;

use arrow::array::AsArray as _;
use serde_json::Value;

use crate::support::weir::{Workplace, assert_accounted, lake_counts, lake_rows, run_once, text, weir};

const PARSER: &str = "Parser:\n  Title: Example gateway\n  Version: '1.0'\nNormalization:\n  Schema: NetworkSession\n\
    ParserName: vimNetworkSessionExample\nParserParams:\n- Name: disabled\n  Type: bool\n  Default: false\n\
    ParserQuery: |\n  let parser = (disabled:bool=false) {\n    ExampleGw_CL\n    | where not(disabled) and Kind == 'session'\n    \
    | invoke SiteOf('Host')\n    | lookup (_GetWatchlist('sites') | project Site, DvcZone = Zone) on Site\n    \
    | extend EventVendor = 'Example', EventProduct = 'Gw', EventCount = int(1), EventType = 'NetworkSession',\n        \
    EventResult = 'Success', SrcIpAddr = Source, Src = Source, DvcDescription = Nothing\n    | project-away Kind, Source\n  };\n  \
    parser(disabled=disabled)\n";

/// A place with the parser, a function and a watchlist that it needs, and events.
fn place() -> Workplace {
    let place = Workplace::new();
    place.write("content/gateway.yaml", PARSER);
    place.write("content/columns.csv", "name,type\nTimeGenerated,datetime\nKind,string\nHost,string\nSource,string\n");
    let function = "FunctionName: SiteOf\nParserParams:\n- Name: T\n  Type: table:(*)\n- Name: column\n  Type: string\n\
                    FunctionQuery: |\n  T | extend Site = tostring(split(column_ifexists(column, ''), '-')[0])\n";
    place.write("functions/site.yaml", function);
    place.write("sites.csv", "Site,Zone\nber,lab\n");
    let event = |kind: &str, host: &str| {
        format!(
            "{{\"TimeGenerated\":\"2026-11-20T10:00:00Z\",\"Kind\":\"{kind}\",\"Host\":\"{host}\",\"Source\":\"192.0.2.1\"}}\n"
        )
    };
    let events = [event("session", "ber-fw1"), event("session", "muc-fw2"), event("config", "ber-fw1")].concat();
    place.write("input/gateway.json", events);
    place.config(
        "sources:\n  - name: gateway\n    files: {paths: [\"{dir}/input\"], table: ExampleGw_CL}\nlake: {url: \"{dir}/lake\"}\n\
         mappings:\n  directories: [own]\n  functions: [functions]\n  watchlists: {sites: sites.csv}\n",
    );
    place.write("own/.keep", "");
    place
}

fn import(place: &Workplace, more: &[&str]) -> (Option<i32>, String) {
    let path = |name: &str| place.path(name).display().to_string();
    let (file, out, config) = (path("content/gateway.yaml"), path("own"), path("weir.yaml"));
    let mut args = vec!["asim", "import", &file, "--out", &out, "-c", &config];
    args.extend(more);
    let output = weir(&args).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn schema_of(place: &Workplace) -> String {
    place.path("content/columns.csv").display().to_string()
}

#[tokio::test]
async fn an_imported_parser_is_checked_and_run() {
    let place = place();
    let (code, told) = import(&place, &["--schema", &schema_of(&place)]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("vimNetworkSessionExample: ExampleGw_CL → ASimNetworkSessionLogs, written to"), "{told}");
    assert!(told.contains("gateway.yaml:18:83") && told.contains("unknown column `Nothing`"), "{told}");
    assert!(told.contains("column `Src` is an alias"), "{told}");

    let config = place.path("weir.yaml").display().to_string();
    let check = weir(&["check", "-c", &config]).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));

    let summary = run_once(Path::new(&config));
    assert_accounted(&summary);
    let counts = lake_counts(&place.lake()).await;
    assert_eq!((counts["ASimNetworkSessionLogs"], counts["ExampleGw_CL"]), (2, 1), "{counts:?}");
    let mut zones: Vec<String> = Vec::new();
    for batch in lake_rows(&place.lake(), "ASimNetworkSessionLogs").await {
        let column = arrow::compute::cast(batch.column_by_name("DvcZone").unwrap(), &arrow::datatypes::DataType::Utf8);
        let column = column.unwrap();
        zones.extend(column.as_string::<i32>().iter().map(|zone| zone.unwrap_or_default().to_owned()));
    }
    zones.sort();
    assert_eq!(zones, ["", "lab"], "the function and the watchlist were at work");
}

#[test]
fn a_mapping_that_is_there_is_kept_unless_it_is_to_be_overwritten() {
    let place = place();
    let schema = schema_of(&place);
    let written = place.write("own/vimNetworkSessionExample.yaml", "kept");
    let (code, told) = import(&place, &["--schema", &schema]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("is there already; overwrite it with `--force`"), "{told}");
    assert_eq!(std::fs::read_to_string(&written).unwrap(), "kept");
    let (code, told) = import(&place, &["--schema", &schema, "--force"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(std::fs::read_to_string(&written).unwrap().contains("SourceRawTable: ExampleGw_CL"));
}

#[test]
fn the_report_is_one_json_object_and_the_status_tells_of_failures() {
    let place = place();
    let (code, told) = import(&place, &["--format", "json"]);
    assert_eq!(code, Some(1), "no columns are known: {told}");
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&report["imported"], &report["failed"]), (&0.into(), &1.into()));
    let finding = &report["mappings"][0]["findings"][0];
    assert_eq!((&finding["severity"], &finding["kind"]), (&"error".into(), &"binding".into()));
    assert!(finding["message"].as_str().unwrap().contains("`--schema FILE`"), "{report}");
    let missing = place.path("nowhere.yaml").display().to_string();
    let (code, told) = import(&place, &["--schema", &schema_of(&place), &missing]);
    assert_eq!(code, Some(1), "one of two: {told}");
    assert!(told.contains("nowhere.yaml: cannot be read") && told.contains("1 imported, 1 not"), "{told}");
}

#[test]
fn faults_of_functions_and_watchlists_are_told_with_those_of_the_config() {
    let place = place();
    place.write("functions/bad.kql", "(text:string) {\n  toupper(text\n}\n");
    place.write("sites.csv", "Site,Site\nber,lab\n");
    let config = place.config(
        "sources:\n  - name: gateway\n    files: {paths: [\"{dir}/input\"]}\nlake: {url: \"{dir}/lake\"}\n\
         mappings:\n  functions: [functions, nowhere]\n  watchlists:\n    sites: sites.csv\n    other: none.csv\n",
    );
    let output = weir(&["check", "-c", &config.display().to_string()]).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{told}");
    for expected in [
        "weir.yaml:6: `mappings.functions[1]`",
        "weir.yaml:9: `mappings.watchlists.other`",
        "bad.kql:3:1",
        "sites.csv:1: column `Site` stands twice",
    ] {
        assert!(told.contains(expected), "{expected} in\n{told}");
    }
}
