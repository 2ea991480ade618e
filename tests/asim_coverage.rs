//! `weir asim coverage`, and the page that it makes.

use std::path::Path;
use std::process::Output;

use crate::support::weir::{Workplace, text, weir};

const MAPPING: &str = "SourceRawTable: T_CL\nTargetASIMTable: ASimDnsActivityLogs\nParserQuery: |\n  T_CL\n";
/// A row without most of what the schema asks for.
const ROW: &str = "{\"table\":\"ASimDnsActivityLogs\",\"TimeGenerated\":\"2026-11-20T09:00:00.0000000Z\",\
                   \"EventOriginalType\":\"query\",\"EventType\":\"Query\",\"DnsQuery\":\"a.example\"}\n";

fn coverage(place: &Workplace) -> Output {
    weir(&["asim", "coverage", &place.path("m").display().to_string()]).output().unwrap()
}

#[test]
fn the_coverage_page_is_the_one_that_the_families_make_and_nothing_lacks_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = weir(&["asim", "coverage", "normalize/families"]).current_dir(root).output().unwrap();
    assert_eq!(text(&made.stderr), "", "fields without a reason, reasons without a field, or errors of the check");
    assert!(made.status.success());
    let page = std::fs::read_to_string(root.join("docs/coverage.md")).unwrap();
    assert_eq!(text(&made.stdout), page, "run `weir asim coverage normalize/families > docs/coverage.md`");
    assert!(page.contains("Of the 30 tables that Defender XDR streams, 25 have mappings and 5 go to the lake"));
    assert!(page.contains("mapping by mapping: 0 errors"));
}

#[test]
fn a_field_without_a_reason_and_a_reason_without_a_field_are_told() {
    let place = Workplace::new();
    place.write("m/T_Dns.yaml", MAPPING);
    place.write("m/expected/T_Dns.json", ROW);
    let open = coverage(&place);
    assert_eq!(open.status.code(), Some(1));
    let told = text(&open.stderr);
    assert!(told.contains("T_Dns.yaml: `SrcIpAddr`: no reason is given; add `empty,T_Dns,SrcIpAddr,…`"), "{told}");
    assert!(!told.contains("`DnsQuery`"), "a field that is filled needs no reason: {told}");
    assert!(text(&open.stdout).contains("| `query` | Query | 4 of "), "{}", text(&open.stdout));
    // Lines that fit all fields leave nothing to say, but for one that fits none.
    let header = "about,mapping,field,reason\n";
    let reasons =
        "empty,T_Dns,EventVendor|Old,no source tells it\nempty,ASimDns*,*,\"nothing, in a test\"\nW26,*,*,no\n";
    place.write("m/reasons.csv", format!("{header}{reasons}"));
    let told = text(&coverage(&place).stderr);
    let lines: Vec<&str> = told.lines().filter(|line| !line.contains(": is missing")).collect();
    let unused = lines.iter().filter(|line| line.contains("gives no reason for anything")).count();
    assert!(lines.iter().any(|line| line.contains("reasons.csv:2: the field `Old` gives no reason")), "{told}");
    assert_eq!(unused, 1, "{told}");
}

#[test]
fn files_that_cannot_be_used_are_told_with_their_line() {
    let place = Workplace::new();
    let fails = |expected: &str| {
        let output = coverage(&place);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    };
    std::fs::create_dir(place.path("m")).unwrap();
    fails("has no mapping files (`*.yaml`)");
    place.write("m/T_Dns.yaml", MAPPING);
    fails("T_Dns.json:1: cannot be read");
    place.write("m/expected/T_Dns.json", format!("{ROW}[]\n"));
    fails("T_Dns.json:2: not a JSON object");
    place.write("m/expected/T_Dns.json", ROW);
    place.write("m/lake_only.csv", "table,reason\n");
    fails("lake_only.csv:1: the first line must be `table,action_type,rows,reason`");
    place.write("m/lake_only.csv", "table,action_type,rows,reason\nT_CL,a\n");
    fails("lake_only.csv:2: 2 cells; expected 4");
}
