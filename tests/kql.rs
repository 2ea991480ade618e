//! `weir kql`: check, fmt, parse and reference, as a user runs them.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::weir::{Workplace, text, weir};

/// Runs `weir kql …` in the folder; gives status, standard output, standard error.
fn kql(place: &Workplace, args: &[&str]) -> (i32, String, String) {
    let output = weir(&[&["kql"], args].concat()).current_dir(place.path("")).output().unwrap();
    told(&output)
}

/// The same, with standard input.
fn kql_with(place: &Workplace, args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = weir(&[&["kql"], args].concat());
    command.current_dir(place.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    told(&child.wait_with_output().unwrap())
}

fn told(output: &Output) -> (i32, String, String) {
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const MAPPING: &str = "SourceRawTable: DeviceLogonEvents\nTargetASIMTable: ASimAuthenticationEventLogs\n\
                       ParserFilterQuery: |\n  DeviceLogonEvents\n  | where ActionType == \"LogonSuccess\"\n\
                       # A remark.\nParserQuery: |\n  DeviceLogonEvents\n  | extend   LogonProtocol=Protocol\n\n  \
                       | project TimeGenerated,   LogonProtocol\n";

#[test]
fn a_sound_query_is_told_with_its_columns() {
    let place = Workplace::new();
    place.write("q.kql", "DeviceLogonEvents | where isnotempty(Protocol) | project Protocol, n = LogonId + 1\n");
    let (status, out, errors) = kql(&place, &["check", "q.kql"]);
    assert_eq!((status, &*errors), (0, ""));
    assert_eq!(out, "q.kql: DeviceLogonEvents to 2 columns\n  Protocol  string\n  n         long\n1 file: no errors\n");
}

#[test]
fn all_faults_of_all_files_come_at_once_with_their_places() {
    let place = Workplace::new();
    place.write("a.kql", "DeviceLogonEvents\n| where Protocl == 'x'\n| extend y = tolowr(Protocol)\n");
    place.write("b.kql", "print 1 +\n");
    let (status, out, errors) = kql(&place, &["check", "a.kql", "b.kql"]);
    assert_eq!((status, &*out), (1, "2 files: 3 errors\n"));
    assert!(errors.contains("error: unknown column `Protocl`\n --> a.kql:2:9\n"), "{errors}");
    assert!(
        errors.contains("2 | | where Protocl == 'x'\n  |         ^^^^^^^\n  = help: did you mean `Protocol`?"),
        "{errors}"
    );
    assert!(errors.contains(" --> a.kql:3:14\n") && errors.contains(" --> b.kql:"), "{errors}");
}

#[test]
fn json_is_one_object_with_places_for_editors() {
    let place = Workplace::new();
    place.write("m.yaml", MAPPING.replace("=Protocol", "=Prötocol"));
    let (status, out, errors) = kql(&place, &["check", "m.yaml", "missing.kql", "--format", "json"]);
    assert_eq!((status, &*errors), (1, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["errors"], &report["warnings"]), (&json!(2), &json!(0)));
    let first = json!({
        "file": "m.yaml", "line": 9, "column": 28, "endLine": 9, "endColumn": 36, "severity": "error",
        "message": "unknown column `Prötocol`", "help": "did you mean `Protocol`?",
    });
    assert_eq!(report["diagnostics"][0], first, "lines and columns are those of the file");
    assert_eq!(report["diagnostics"][1]["file"], "missing.kql");
    place.write("m.yaml", MAPPING);
    let (status, out, _) = kql(&place, &["check", "m.yaml", "--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &report["errors"], &report["diagnostics"]), (0, &json!(0), &json!([])));
    let output = json!({
        "file": "m.yaml", "query": "ParserQuery", "reads": "DeviceLogonEvents", "target": "ASimAuthenticationEventLogs",
        "columns": [{"name": "TimeGenerated", "type": "datetime"}, {"name": "LogonProtocol", "type": "string"}],
    });
    assert_eq!(report["outputs"], json!([output]));
}

#[test]
fn a_mapping_is_held_against_its_raw_table_and_its_target() {
    let place = Workplace::new();
    place.write(
        "m.yaml",
        MAPPING.replace("project TimeGenerated,   LogonProtocol", "project LogonProtocl = Protocol, Src = 1"),
    );
    let (status, _, errors) = kql(&place, &["check", "m.yaml"]);
    assert_eq!(status, 1);
    for part in [
        "the output needs a column `TimeGenerated`",
        "`ASimAuthenticationEventLogs` has no column `LogonProtocl`\n  --> m.yaml:11:13\n",
        "did you mean `LogonProtocol`?",
    ] {
        assert!(errors.contains(part), "{part}\nis not in\n{errors}");
    }
    place.write("m.yaml", MAPPING.replace("ASimAuthenticationEventLogs", "ASimNoSuchLogs"));
    let (status, _, errors) = kql(&place, &["check", "m.yaml"]);
    assert_eq!(status, 1);
    assert!(errors.contains("`ASimNoSuchLogs` is no native ASIM table") && errors.contains("m.yaml:2:1"), "{errors}");
    place.write("m.yaml", MAPPING.replace("SourceRawTable: DeviceLogonEvents", "SourceRawTable: Own_CL"));
    let (status, _, errors) = kql(&place, &["check", "m.yaml"]);
    assert_eq!(status, 1);
    assert!(
        errors.contains("no schema is known for the raw table `Own_CL`") && errors.contains("`--schema"),
        "{errors}"
    );
}

#[test]
fn a_mapping_may_describe_its_raw_table_itself() {
    let place = Workplace::new();
    let own = MAPPING.replace("DeviceLogonEvents", "Own_CL");
    place.write("m.yaml", format!("{own}SourceColumns:\n  ActionType: string\n  Protocol: string\n"));
    let (status, out, errors) = kql(&place, &["check", "m.yaml"]);
    assert_eq!((status, &*errors), (0, ""));
    assert!(out.contains("Own_CL to ASimAuthenticationEventLogs, 2 columns"), "{out}");
    place.write("m.yaml", format!("{own}SourceColumns:\n  ActionType: string\n"));
    let (status, _, errors) = kql(&place, &["check", "m.yaml"]);
    assert!(status == 1 && errors.contains("unknown column `Protocol`"), "{errors}");
}

#[test]
fn a_mapping_reads_what_it_looks_up_and_a_faulty_lookup_is_told_at_its_line() {
    let place = Workplace::new();
    let own = "SourceRawTable: AlertEvidence\nTargetASIMTable: Own_CL\nParserQuery: AlertEvidence | project \
               TimeGenerated, InfoTitle\nBatchLookup:\n  Table: AlertInfo\n  On: AlertId\n  Columns:\n    InfoTitle: \
               Title\n";
    place.write("m.yaml", own);
    let (status, out, errors) = kql(&place, &["check", "m.yaml"]);
    assert_eq!((status, &*errors), (0, ""), "{out}");
    place.write("m.yaml", own.replace("InfoTitle: Title", "InfoTitle: Titel"));
    let (status, _, errors) = kql(&place, &["check", "m.yaml"]);
    assert_eq!(status, 1);
    let fault = "`AlertInfo` has no column `Titel`; did you mean `Title`?";
    assert!(errors.contains(fault) && errors.contains("m.yaml:8:1"), "{errors}");
}

#[test]
fn a_table_that_nobody_described_is_asked_for_with_the_option() {
    let place = Workplace::new();
    for query in ["source | where x == 1", "Own_CL | where x == 1"] {
        let (status, _, errors) = kql_with(&place, &["check", "-"], query);
        assert_eq!(status, 1);
        assert!(errors.contains("--table NAME") && errors.contains("--schema FILE"), "{errors}");
    }
    place.write("Own_CL.csv", "x,long\nT,datetime\n");
    let (status, out, errors) = kql_with(&place, &["check", "-", "--schema", "Own_CL.csv"], "Own_CL | where x == 1");
    assert_eq!(status, 0, "{errors}");
    assert_eq!(out, "stdin: Own_CL to 2 columns\n  x  long\n  T  datetime\n1 file: no errors\n");
    place.write("columns.json", r#"{"columns":[{"name":"x","type":"string"}]}"#);
    let given = ["check", "-", "--schema", "columns.json", "--table", "Other_CL"];
    let (status, out, _) = kql_with(&place, &given, "source | union Other_CL");
    assert_eq!((status, &*out), (0, "stdin: Other_CL to 1 column\n  x  string\n1 file: no errors\n"));
    let (status, _, errors) = kql_with(&place, &["check", "-", "--table", "DeviceLogonEvent"], "source");
    assert_eq!(status, 1);
    assert!(errors.contains("did you mean `DeviceLogonEvents`?"), "{errors}");
}

#[test]
fn lenient_dcr_strict_and_hunt_each_change_what_is_a_fault() {
    let place = Workplace::new();
    let check = |args: &[&str], query: &str| kql_with(&place, &[&["check", "-"], args].concat(), query);
    let unknown = "DeviceLogonEvents | where NoSuchColumn == 'x' | project Protocol";
    assert_eq!(check(&[], unknown).0, 1);
    let (status, out, errors) = check(&["--lenient"], unknown);
    assert_eq!(status, 0, "{errors}");
    assert!(errors.contains("warning: ") && out.ends_with("1 file: no errors, 1 warning\n"), "{out}{errors}");

    let wide = "DeviceLogonEvents | extend x = pack_nonempty('a', Protocol)";
    assert_eq!(check(&[], wide).0, 0);
    let (status, _, errors) = check(&["--dcr-strict"], wide);
    assert_eq!(status, 1);
    assert!(errors.contains("not supported in a transformation"), "{errors}");

    let hunting = "DeviceLogonEvents | join kind=inner (DeviceInfo) on DeviceId | summarize n = count() by DeviceName";
    let (status, _, errors) = check(&[], hunting);
    assert_eq!(status, 1);
    assert!(errors.contains("`DeviceLogonEvents`, `DeviceInfo`") && errors.contains("--hunt"), "{errors}");
    let (status, out, errors) = check(&["--hunt"], hunting);
    assert_eq!(status, 0, "{errors}");
    assert!(out.contains("  DeviceName  string\n  n           long\n"), "{out}");
}

#[test]
fn a_parser_file_is_checked_with_the_defaults_of_its_parameters() {
    let place = Workplace::new();
    let file = "ParserParams:\n  - Name: disabled\n    Type: bool\n    Default: false\nParserQuery: |\n  \
                let parser = (disabled:bool = false) {\n    DeviceLogonEvents | where not(disabled) | project Protocol\n  };\n  \
                parser(disabled = disabled)\n";
    place.write("p.yaml", file);
    let (status, out, errors) = kql(&place, &["check", "p.yaml"]);
    assert_eq!((status, &*errors), (0, ""));
    assert!(out.starts_with("p.yaml: ParserQuery: DeviceLogonEvents to 1 column\n  Protocol  string\n"), "{out}");
    place.write("p.yaml", file.replace("project Protocol", "project Protocl"));
    let (status, _, errors) = kql(&place, &["check", "p.yaml"]);
    assert_eq!(status, 1);
    assert!(errors.contains("p.yaml:7:55\n") && errors.contains("`Protocl`"), "{errors}");
}

#[test]
fn a_stored_function_is_checked_by_itself() {
    let place = Workplace::new();
    place.write("f.kql", "(T:(*), text:string, n:long = 2) {\n  T | extend short = substring(text, 0, n)\n}\n");
    let (status, out, errors) = kql(&place, &["check", "f.kql"]);
    assert_eq!(status, 0, "{errors}");
    assert_eq!(out, "f.kql: 1 column\n  short  string\n1 file: no errors\n");
    place.write("f.kql", "(text:string) {\n  touper(text)\n}\n");
    let (status, _, errors) = kql(&place, &["check", "f.kql"]);
    assert_eq!(status, 1);
    assert!(errors.contains("f.kql:2:3") && errors.contains("did you mean `toupper`?"), "{errors}");
}

#[test]
fn fmt_rewrites_queries_and_leaves_the_rest_of_a_file_alone() {
    let place = Workplace::new();
    let query = place.write("q.csl", "T|where a==1|extend b=2\n");
    let mapping = place.write("sub/m.yaml", MAPPING);
    let folded = "query: >\n  T\n  |where a\n";
    place.write("sub/folded.yml", folded);
    place.write("sub/other.yaml", "a:   [1,2]\n");
    let (status, out, _) = kql(&place, &["fmt", "--check", "q.csl", "sub"]);
    assert_eq!((status, &*out), (1, "q.csl\nsub/m.yaml\n"));
    assert_eq!(std::fs::read_to_string(&mapping).unwrap(), MAPPING, "a check changes nothing");
    let (status, out, errors) = kql(&place, &["fmt", "q.csl", "sub"]);
    assert_eq!((status, &*out), (0, ""), "{errors}");
    assert!(errors.contains("sub/folded.yml:2: `query` is no block scalar"), "{errors}");
    assert_eq!(std::fs::read_to_string(place.path("sub/folded.yml")).unwrap(), folded);
    assert_eq!(std::fs::read_to_string(&query).unwrap(), "T\n| where a == 1\n| extend b = 2\n");
    let expected = MAPPING
        .replace("  DeviceLogonEvents\n  | where ActionType ==", "  DeviceLogonEvents | where ActionType ==")
        .replace("extend   LogonProtocol=Protocol\n\n", "extend LogonProtocol = Protocol\n")
        .replace("TimeGenerated,   LogonProtocol", "TimeGenerated, LogonProtocol");
    assert_eq!(std::fs::read_to_string(&mapping).unwrap(), expected);
    let (status, out, _) = kql(&place, &["fmt", "--check", "q.csl", "sub"]);
    assert_eq!((status, &*out), (0, ""), "formatted once is formatted");
}

#[test]
fn fmt_filters_standard_input_and_prints_nothing_of_a_faulty_query() {
    let place = Workplace::new();
    let (status, out, _) = kql_with(&place, &["fmt", "-"], "T|take   5");
    assert_eq!((status, &*out), (0, "T | take 5\n"));
    let (status, out, errors) =
        kql_with(&place, &["fmt", "-", "--stdin-name", "x.yaml"], "a: 1\nquery: |\n  T|take 5\n");
    assert_eq!((status, &*out), (0, "a: 1\nquery: |\n  T | take 5\n"), "{errors}");
    let (status, out, errors) = kql_with(&place, &["fmt", "-"], "T | where (");
    assert_eq!((status, &*out), (1, ""));
    assert!(errors.contains("error: ") && errors.contains("stdin:1:"), "{errors}");
}

#[test]
fn a_file_that_does_not_parse_stays_as_it_is_and_the_others_are_formatted() {
    let place = Workplace::new();
    let faulty = place.write("a.kql", "T|where (\n");
    let sound = place.write("b.kql", "T|take 5\n");
    let (status, _, errors) = kql(&place, &["fmt", "a.kql", "b.kql"]);
    assert_eq!(status, 1);
    assert!(errors.contains("a.kql:"), "{errors}");
    assert_eq!(std::fs::read_to_string(faulty).unwrap(), "T|where (\n");
    assert_eq!(std::fs::read_to_string(sound).unwrap(), "T | take 5\n");
}

#[test]
fn parse_takes_text_and_every_known_key_of_yaml() {
    let place = Workplace::new();
    for key in ["query", "filter", "ParserQuery", "FunctionQuery", "ParserFilterQuery"] {
        place.write(&format!("{key}.yaml"), format!("id: 1\nrule:\n  {key}: |\n    T\n    | where a ==\n"));
        let (status, out, errors) = kql(&place, &["parse", &format!("{key}.yaml")]);
        assert_eq!((status, &*out), (1, "1 file, 1 query: 1 error\n"));
        assert!(errors.contains(&format!(" --> {key}.yaml:5:17\n")), "{errors}");
    }
    place.write("good/a.kql", "let f = (x:long) { x }; T | where Anything == f(1)\n");
    place.write("good/b.csl", "(a:string) { a }\n");
    place.write("good/c.yaml", "ParserQuery: T | take 1\nParserFilterQuery: T\n");
    place.write("good/none.yaml", "a: 1\n");
    let (status, out, errors) = kql(&place, &["parse", "good"]);
    assert_eq!((status, &*out, &*errors), (0, "3 files, 4 queries: no errors\n", ""));
    let (status, _, errors) = kql(&place, &["parse", "good/none.yaml"]);
    assert_eq!(status, 1, "a file that is named must hold a query");
    assert!(errors.contains("has no query") && errors.contains("`ParserQuery`"), "{errors}");
    place.write("twice.yaml", "query: T\nquery: T\n");
    let (status, _, errors) = kql(&place, &["parse", "twice.yaml"]);
    assert_eq!(status, 1);
    assert!(errors.contains("twice.yaml:2:1"), "{errors}");
    assert_eq!(kql_with(&place, &["parse", "-"], "T | where").0, 1);
    assert_eq!(kql_with(&place, &["parse", "-"], "T | where a").0, 0);
}

#[test]
fn functions_and_watchlists_of_a_config_can_be_called() {
    let place = Workplace::new();
    place.write("functions/SiteOf.kql", "(host:string) {\n  tostring(split(host, '-')[0])\n}\n");
    place.write("sites.csv", "Site,Zone\nber,lab\n");
    place.write(
        "weir.yaml",
        "sources:\n  - name: s\n    files: {paths: [input]}\nlake: {url: lake}\nmappings:\n  functions: [functions]\n  \
         watchlists: {sites: sites.csv}\n",
    );
    let calling = MAPPING
        .replace("ActionType == \"LogonSuccess\"", "SiteOf(DeviceName) == \"ber\"")
        .replace("LogonProtocol=Protocol", "Site = SiteOf(DeviceName)\n  | lookup (_GetWatchlist('sites')) on Site")
        .replace("LogonProtocol\n", "LogonProtocol = Zone\n");
    place.write("own/m.yaml", calling);
    let (status, _, errors) = kql(&place, &["check", "own/m.yaml"]);
    assert_eq!(status, 1);
    assert!(errors.contains("unknown function `SiteOf`"), "{errors}");
    assert!(errors.contains("`--config FILE` brings the functions"), "{errors}");
    let (status, _, errors) = kql(&place, &["check", "own/m.yaml", "--config", "missing.yaml"]);
    assert_eq!(status, 64, "{errors}");
    let (status, out, errors) = kql(&place, &["check", "own/m.yaml", "functions", "-c", "weir.yaml"]);
    assert_eq!((status, &*errors), (0, ""));
    assert!(out.ends_with("2 files: no errors\n"), "{out}");
    let (status, out, errors) =
        kql_with(&place, &["check", "-", "-c", "weir.yaml"], "DeviceInfo | project s = SiteOf(DeviceName)");
    assert_eq!((status, &*out), (0, "stdin: DeviceInfo to 1 column\n  s  string\n1 file: no errors\n"), "{errors}");
}

#[test]
fn the_transformations_of_a_rule_are_checked_at_their_places() {
    let place = Workplace::new();
    let columns = "{\"columns\": [\n    {\"name\": \"TimeGenerated\", \"type\": \"datetime\"},\n    {\"name\": \"Bytes\", \"type\": \
                   \"long\"}]}";
    let rule = |query: &str| {
        let query = serde_json::to_string(query).unwrap().replace('<', "\\u003c");
        format!(
            "{{\"properties\": {{\n  \"streamDeclarations\": {{\"Custom-Fw_CL\": {columns}, \"Custom-Gw_CL\": {columns}}},\n  \
             \"dataFlows\": [{{\n    \"streams\": [\"Custom-Fw_CL\", \"Custom-Gw_CL\"],\n    \
             \"transformKql\": {query},\n    \"outputStream\": \"Custom-Out_CL\"}}]}}}}\n"
        )
    };
    place.write("rule.json", rule("source\r\n| where 1 < Byts\r\n| extend x = 1 +"));
    let (status, out, errors) = kql(&place, &["check", "rule.json"]);
    assert_eq!((status, &*out), (1, "1 file: 1 error\n"), "it is told once for both streams");
    assert!(errors.contains(" --> rule.json:9:") && errors.contains(", query:3:"), "{errors}");

    place.write("rule.json", rule("source\r\n| where 1 < Byts\r\n| project TimeGenerated"));
    let (status, out, errors) = kql(&place, &["check", "rule.json", "--format", "json"]);
    assert_eq!((status, &*errors), (1, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    let found = &report["diagnostics"][0];
    // `    "transformKql": "source\\r\\n| where 1 \\u003c ` is what stands before it.
    let column = "    \"transformKql\": \"source\\r\\n| where 1 \\u003c ".len() + 1;
    assert_eq!(
        (&found["line"], &found["column"], &found["endColumn"]),
        (&json!(9), &json!(column), &json!(column + 4))
    );
    assert_eq!(report["errors"], json!(1), "what is the same for both streams is told once: {out}");
    let (_, _, errors) = kql(&place, &["check", "rule.json"]);
    let expected = format!(
        "error: unknown column `Byts`\n --> rule.json:9:{column}, query:2:13\n  |\n2 | | where 1 < Byts\n  |             ^^^^\n  \
         = help: did you mean `Bytes`?\n"
    );
    assert!(errors.contains(&expected), "{errors}");

    place.write("rule.json", rule("source | project TimeGenerated"));
    let (status, out, errors) = kql(&place, &["check", "rule.json"]);
    assert_eq!(status, 0, "{errors}");
    let of_stream = |table: &str| format!("rule.json: transformKql: {table} to 1 column\n  TimeGenerated  datetime\n");
    assert_eq!(out, of_stream("Fw_CL") + &of_stream("Gw_CL") + "1 file: no errors\n");
    let (status, _, errors) = kql(&place, &["fmt", "rule.json"]);
    assert_eq!(status, 0);
    assert!(errors.contains("rule.json:9: `transformKql` is a JSON string"), "{errors}");

    for (text, expected) in [
        (rule("[variables('kql')]"), "is a template's expression"),
        ("{\"dataFlows\": [{\"streams\": [\"Custom-A\"]}]}".to_owned(), "has no query"),
        (rule("source").replace("\"long\"", "\"text\""), "column `Bytes`: `text` is no column type"),
        ("[1]".to_owned(), "no data collection rule"),
        (
            rule("source").replace("Custom-Fw_CL\": {\"columns\"", "Custom-Other_CL\": {\"columns\""),
            "declare its columns under",
        ),
    ] {
        place.write("rule.json", text);
        let (status, _, errors) = kql(&place, &["check", "rule.json"]);
        assert!(status == 1 && errors.contains(expected), "{expected}\nis not in\n{errors}");
    }
}

#[test]
fn the_built_in_mappings_pass_the_tools() {
    let place = Workplace::new();
    let families = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("normalize/families");
    let families = families.to_str().unwrap();
    for command in ["check", "parse"] {
        let (status, out, errors) = kql(&place, &[command, families]);
        assert_eq!(status, 0, "{command}: {out}{errors}");
    }
}
