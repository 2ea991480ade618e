//! Every rule is broken once, and reported; and kept once, and not reported.

#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use weir_contract::datetime::parse_iso;

use super::column::Column;
use super::definition::{self, Field};
use super::rows::Selection;
use super::tally::Tally;
use super::{Checker, Mode, Numbers, Origin, Report, Rule, Severity, Target, official};

const PROCESS: &str = "ASimProcessEventLogs";
const FILE: &str = "ASimFileEventLogs";
const LOGON: &str = "ASimAuthenticationEventLogs";
const NETWORK: &str = "ASimNetworkSessionLogs";
const REGISTRY: &str = "ASimRegistryEventLogs";
const DNS: &str = "ASimDnsActivityLogs";

fn target(name: &str) -> Target {
    Target::of_table(name).or_else(|| Target::of_schema(name)).expect("a table or a schema")
}

fn check(mode: Mode, name: &str, rows: &[Value]) -> Report {
    let clock = parse_iso("2026-11-24T00:00:00Z").expect("a time");
    let mut checker = Checker::new(mode).with_clock(clock);
    let rows = rows.iter().enumerate().map(|(at, row)| (at as u64 + 1, row.as_object().expect("a row").clone()));
    let place: Arc<str> = "rows.json".into();
    for batch in Selection::default().with_default(target(name)).sort(rows.collect()).batches {
        let origin = Origin { place: &place, numbers: Numbers::Each(&batch.numbers) };
        checker.check(&batch.target, &batch.rows, &origin).expect("typed columns");
    }
    checker.finish()
}

fn reports(report: &Report, rule: Rule, field: &str) -> bool {
    report.findings().iter().any(|finding| finding.rule == rule && &*finding.field == field)
}

/// Rule, what the rows are held against, field, a row that keeps the rule, a row that breaks it.
type Case = (Rule, &'static str, &'static str, Value, Value);

/// Asserts that each case's second row breaks its rule, and that its first does not.
fn prove(mode: Mode, cases: &[Case]) {
    let mut faults = Vec::new();
    for (rule, name, field, good, bad) in cases {
        if reports(&check(mode, name, rows_of(good)), *rule, field) {
            faults.push(format!("{rule} {name}.{field} is reported of a good row: {good}"));
        }
        if !reports(&check(mode, name, rows_of(bad)), *rule, field) {
            faults.push(format!("{rule} {name}.{field} is not reported of {bad}"));
        }
    }
    assert!(faults.is_empty(), "{mode:?}:\n{}", faults.join("\n"));
}

/// A case's row, or its rows.
fn rows_of(case: &Value) -> &[Value] {
    case.as_array().map_or(std::slice::from_ref(case), Vec::as_slice)
}

/// One row with one value.
fn one(field: &str, value: impl Into<Value>) -> Value {
    json!({ field: value.into() })
}

fn official_cases() -> Vec<Case> {
    use Rule::*;
    let hash = "0123456789abcdef0123456789abcdef";
    vec![
        (S1, "ProcessEvent", "EventType", one("EventType", "ProcessCreated"), one("EventVendor", "x")),
        (S1, "ProcessEvent", "EventVendor", one("EventVendor", "x"), one("EventType", "ProcessCreated")),
        (S2, "ProcessEvent", "ActorUserId", one("ActorUserId", "x"), one("EventVendor", "x")),
        (S3, "ProcessEvent", "ActorUsernameType", one("ActorUsernameType", "Simple"), one("EventVendor", "x")),
        (S4, "ProcessEvent", "ActorUserIdType", one("EventVendor", "x"), one("ActorUserId", "x")),
        (S5, "ProcessEvent", "User", one("User", "x"), one("TargetUsername", "x")),
        (S5, "ProcessEvent", "User", one("User", "x"), one("EventVendor", "x")),
        (S6, "Dns", "IpAddr", json!({"SrcIpAddr": "x", "IpAddr": "x"}), one("SrcIpAddr", "x")),
        (S7, "Dns", "IpAddr", one("SrcIpAddr", "x"), one("EventVendor", "x")),
        (S8, "Dns", "Rule", one("EventVendor", "x"), one("RuleName", "x")),
        (S9, "Dns", "Rule", one("RuleName", "x"), one("EventVendor", "x")),
        // The testers' list of targets is no field's name, so its absence can only be an info.
        (S9, "ProcessEvent", "Hash", one("Hash", "x"), one("TargetProcessMD5", hash)),
        (S10, "ProcessEvent", "EventMessage", one("EventMessage", "x"), one("EventVendor", "x")),
        (S11, "ProcessEvent", "Mine", one("EventVendor", "x"), one("Mine", "x")),
        (S12, "ProcessEvent", "EventCount", one("EventCount", 1), one("EventCount", "1")),
        // The definition says `double`, and getschema prints `real`.
        (S12, "AgentEvent", "EventRequestTemperature", one("EventVendor", "x"), one("EventRequestTemperature", 0.5)),
        (D1, "ProcessEvent", "EventCount", one("EventCount", 1), one("EventCount", "1")),
        (D2, "ProcessEvent", "EventType", one("EventType", "ProcessCreated"), one("EventType", "")),
        (D3, "ProcessEvent", "ActorUserId", one("ActorUserId", "x"), one("ActorUserId", "")),
        (D4, "ProcessEvent", "EventMessage", one("EventMessage", " "), one("EventMessage", "")),
        (
            D5,
            "ProcessEvent",
            "AdditionalFields",
            one("AdditionalFields", json!({})),
            one("AdditionalFields", json!([])),
        ),
        (
            D6,
            "AssetEntity",
            "AssetRelatedIndicators",
            one("AssetRelatedIndicators", json!(["a", "b"])),
            one("AssetRelatedIndicators", json!(["a", 1])),
        ),
        (
            D6,
            "AssetEntity",
            "AssetRelatedIndicators",
            one("AssetRelatedIndicators", json!(["a"])),
            one("AssetRelatedIndicators", json!([1])),
        ),
        // `has` takes any case, and a word of an entry.
        (D7, "ProcessEvent", "EventResult", one("EventResult", "success"), one("EventResult", "Succ")),
        (D7, "Dns", "SrcDeviceType", one("SrcDeviceType", "Device"), one("SrcDeviceType", "Phone")),
        (D8, "Dns", "DvcMacAddr", one("DvcMacAddr", "00:1B:44:11:3A:B7"), one("DvcMacAddr", "001B44113AB7")),
        (D9, "Dns", "SrcIpAddr", one("SrcIpAddr", "192.0.2.0/24"), one("SrcIpAddr", "192.0.2.256")),
        (D10, "Dns", "DvcFQDN", one("DvcFQDN", "a.example"), one("DvcFQDN", "a")),
        (D12, "Authentication", "DvcDomain", one("DvcDomain", "contoso"), one("DvcDomain", "contoso-1")),
        (D14, "Dns", "DnsQuery", one("DnsQuery", "a.example"), one("DnsQuery", "a b")),
        (
            D15,
            "Dns",
            "SrcProcessGuid",
            one("SrcProcessGuid", "aaaaaaaa-0000-4000-8000-000000000001"),
            one("SrcProcessGuid", "aaaaaaaa"),
        ),
        (D16, "Dns", "DvcHostname", one("DvcHostname", "192.0.2.1"), one("DvcHostname", "a.example")),
        (D17, "Dns", "ThreatRiskLevel", one("ThreatRiskLevel", 100), one("ThreatRiskLevel", 101)),
        (D19, "Dns", "DnsQueryTypeName", one("DnsQueryTypeName", "AAAA"), one("DnsQueryTypeName", "aaaa")),
        (D20, "Dns", "DnsQueryClassName", one("DnsQueryClassName", "IN"), one("DnsQueryClassName", "in")),
        (D21, "NetworkSession", "NetworkProtocol", one("NetworkProtocol", "TCP"), one("NetworkProtocol", "tcp")),
        (D22, "ProcessEvent", "TargetProcessMD5", one("TargetProcessMD5", hash), one("TargetProcessMD5", "0123")),
        // Any letters pass, and more of them.
        (
            D22,
            "ProcessEvent",
            "TargetProcessMD5",
            one("TargetProcessMD5", format!("z{hash}")),
            one("TargetProcessMD5", &hash[..31]),
        ),
    ]
}

/// Rules of logical types that no definition uses today.
const UNUSED_LOGICAL_TYPES: [(Rule, &str, &str, &str); 3] = [
    (Rule::D11, "RecommendedFQDN", "a.example", "a"),
    (Rule::D13, "DnsDomain", "a.example", "a b"),
    (Rule::D18, "DnsResponseCodeName", "NXDOMAIN", "NXDomain"),
];

#[test]
fn each_official_rule_is_reported_where_it_is_broken_and_only_there() {
    let cases = official_cases();
    prove(Mode::Official, &cases);
    let mut proved: HashSet<Rule> = cases.iter().map(|case| case.0).collect();
    for (rule, logical, good, bad) in UNUSED_LOGICAL_TYPES {
        let field = Field { logical, ..definition::tester("Dns").unwrap().get("DnsQuery").unwrap().clone() };
        for (value, expected) in [(good, 0), (bad, 1)] {
            let rows = [(1, one("DnsQuery", value).as_object().unwrap().clone())];
            let batch = Selection::default().with_default(target("Dns")).sort(rows.to_vec()).batches.remove(0);
            let column = Column::all(&batch.rows).unwrap().remove(0);
            let place = "x".into();
            let origin = Origin { place: &place, numbers: Numbers::From(1) };
            let mut tally = Tally::default();
            official::check_texts(&field, &column, 1, &origin, &mut tally);
            let found: Vec<Rule> = tally.into_entries().map(|((rule, _), _)| rule).collect();
            assert_eq!(found, vec![rule; expected], "{logical} {value}");
        }
        proved.insert(rule);
    }
    let official = Rule::ALL.iter().filter(|rule| !rule.id().starts_with('W'));
    let unproved: Vec<_> = official.filter(|rule| !proved.contains(rule)).collect();
    assert!(unproved.is_empty(), "without a case: {unproved:?}");
}

fn full_cases() -> Vec<Case> {
    use Rule::*;
    let sha1 = "0123456789abcdef0123456789abcdef01234567";
    let long = "x".repeat(65_537);
    vec![
        (S1, PROCESS, "EventType", one("EventType", "ProcessCreated"), one("EventVendor", "x")),
        (S2, PROCESS, "ActorUserId", one("ActorUserId", "x"), one("EventVendor", "x")),
        (S3, PROCESS, "ActorUsernameType", one("ActorUsernameType", "Simple"), one("EventVendor", "x")),
        (S4, PROCESS, "ActorUserIdType", one("EventVendor", "x"), one("ActorUserId", "x")),
        (S5, "ProcessEvent", "User", one("User", "x"), one("EventVendor", "x")),
        (S6, "Dns", "IpAddr", json!({"SrcIpAddr": "x", "IpAddr": "x"}), one("SrcIpAddr", "x")),
        (S7, "Dns", "IpAddr", one("SrcIpAddr", "x"), one("EventVendor", "x")),
        (S8, "ProcessEvent", "Hash", one("EventVendor", "x"), one("TargetProcessSHA1", sha1)),
        (S9, "ProcessEvent", "Hash", one("TargetProcessSHA1", sha1), one("EventVendor", "x")),
        (S10, PROCESS, "EventMessage", one("EventMessage", "x"), one("EventVendor", "x")),
        (S11, "ProcessEvent", "Mine", one("EventVendor", "x"), one("Mine", "x")),
        // The table's type counts, not the schema's.
        (S12, PROCESS, "EventCount", one("EventCount", 1), one("EventCount", "1")),
        (S12, "ASimAlertEventLogs", "FileSize", one("FileSize", "1"), one("FileSize", 1)),
        (D2, PROCESS, "EventType", one("EventType", "ProcessCreated"), one("EventType", "")),
        (D3, PROCESS, "ActorUserId", one("ActorUserId", "x"), one("ActorUserId", "")),
        (D4, PROCESS, "EventMessage", one("EventMessage", "x"), one("EventMessage", "")),
        (D5, PROCESS, "AdditionalFields", one("AdditionalFields", json!({})), one("AdditionalFields", json!([]))),
        (
            D6,
            "ASimAssetEntityLogs",
            "AssetRelatedIndicators",
            one("AssetRelatedIndicators", json!([])),
            one("AssetRelatedIndicators", json!(["a", 1])),
        ),
        (D7, PROCESS, "EventResult", one("EventResult", "Success"), one("EventResult", "Good")),
        (D8, DNS, "DvcMacAddr", one("DvcMacAddr", "00:1B:44:11:3A:B7"), one("DvcMacAddr", "00-1B-44-11-3A-B7")),
        (D9, DNS, "SrcIpAddr", one("SrcIpAddr", "2001:db8::1"), one("SrcIpAddr", "host")),
        (D10, DNS, "DvcFQDN", one("DvcFQDN", "a.example"), one("DvcFQDN", "a")),
        (D12, LOGON, "DvcDomain", one("DvcDomain", "contoso"), one("DvcDomain", "contoso-1")),
        (D14, DNS, "DnsQuery", one("DnsQuery", "a.example"), one("DnsQuery", "a b")),
        (
            D15,
            DNS,
            "SrcProcessGuid",
            one("SrcProcessGuid", "{aaaaaaaa-0000-4000-8000-000000000001}"),
            one("SrcProcessGuid", "x"),
        ),
        (D16, DNS, "DvcHostname", one("DvcHostname", "a-1"), one("DvcHostname", "a.example")),
        (D17, DNS, "ThreatRiskLevel", one("ThreatRiskLevel", 0), one("ThreatRiskLevel", -1)),
        (D18, DNS, "EventResultDetails", one("EventResultDetails", "NXDOMAIN"), one("EventResultDetails", "NXDomain")),
        (D19, DNS, "DnsQueryTypeName", one("DnsQueryTypeName", "TYPE65"), one("DnsQueryTypeName", "65")),
        (D21, NETWORK, "NetworkProtocol", one("NetworkProtocol", "IPv6-ICMP"), one("NetworkProtocol", "ICMPv6")),
        (D22, PROCESS, "TargetProcessSHA1", one("TargetProcessSHA1", sha1), one("TargetProcessSHA1", "x")),
        (W1, PROCESS, "EventResult", one("EventResult", "Success"), one("EventResult", "success")),
        (W1, DNS, "SrcDeviceType", one("SrcDeviceType", "Mobile Device"), one("SrcDeviceType", "Device")),
        (W2, PROCESS, "ActorUserType", one("ActorUserType", "Regular"), one("ActorUserType", "Anonymous")),
        (
            W3,
            PROCESS,
            "ActorUserIdType",
            json!({"ActorUserId": "S-1-5-18", "ActorUserIdType": "SID"}),
            json!({"ActorUserId": "S-1-5-18", "ActorUserIdType": ""}),
        ),
        // A hash type qualifies an alias, and so the hashes that it stands for.
        (
            W3,
            FILE,
            "HashType",
            json!({"TargetFileSHA1": sha1, "HashType": "SHA"}),
            json!({"TargetFileSHA1": sha1, "HashType": ""}),
        ),
        (
            W4,
            PROCESS,
            "ActorUserIdType",
            json!({"ActorUserId": "S-1-5-18", "ActorUserIdType": "SID"}),
            json!({"ActorUserId": "", "ActorUserIdType": "SID"}),
        ),
        (
            W5,
            PROCESS,
            "ActorUsername",
            json!({"ActorUsername": "contoso\\dana", "ActorUsernameType": "Windows"}),
            json!({"ActorUsername": "dana", "ActorUsernameType": "Windows"}),
        ),
        (
            W6,
            PROCESS,
            "ActorUserId",
            json!({"ActorUserId": "S-1-5-18", "ActorUserIdType": "SID"}),
            json!({"ActorUserId": "1000", "ActorUserIdType": "SID"}),
        ),
        (
            W7,
            PROCESS,
            "DvcId",
            json!({"DvcId": sha1, "DvcIdType": "MDEid"}),
            json!({"DvcId": "wks", "DvcIdType": "MDEid"}),
        ),
        (
            W8,
            PROCESS,
            "DvcDomain",
            json!({"DvcDomain": "contoso.example", "DvcDomainType": "FQDN"}),
            json!({"DvcDomain": "contoso", "DvcDomainType": "FQDN"}),
        ),
        (
            W9,
            PROCESS,
            "DvcFQDN",
            json!({"DvcFQDN": "A.contoso.example", "DvcHostname": "a", "DvcDomain": "contoso.example"}),
            json!({"DvcFQDN": "b.contoso.example", "DvcHostname": "a", "DvcDomain": "contoso.example"}),
        ),
        (W10, FILE, "TargetUrl", one("TargetUrl", "https://a.example/x"), one("TargetUrl", "a.example/x")),
        (
            W11,
            PROCESS,
            "TargetProcessSHA1",
            one("TargetProcessSHA1", sha1),
            one("TargetProcessSHA1", format!("{sha1}0")),
        ),
        (
            W11,
            PROCESS,
            "TargetProcessIMPHASH",
            one("TargetProcessIMPHASH", &sha1[..32]),
            one("TargetProcessIMPHASH", sha1),
        ),
        (W12, DNS, "SrcIpAddr", one("SrcIpAddr", "192.0.2.1"), one("SrcIpAddr", "192.0.2.1/32")),
        (W13, DNS, "SrcIpAddr", one("SrcIpAddr", "192.0.2.1"), one("SrcIpAddr", "::ffff:192.0.2.1")),
        (W14, DNS, "SrcPortNumber", one("SrcPortNumber", 65_535), one("SrcPortNumber", 65_536)),
        (W15, DNS, "SrcGeoLatitude", one("SrcGeoLatitude", 90.0), one("SrcGeoLatitude", 90.5)),
        (W15, DNS, "SrcGeoLongitude", one("SrcGeoLongitude", 90.5), one("SrcGeoLongitude", -180.5)),
        (W16, DNS, "SrcGeoCountry", one("SrcGeoCountry", "DE"), one("SrcGeoCountry", "XX")),
        (W17, DNS, "ThreatConfidence", one("ThreatConfidence", 100), one("ThreatConfidence", 101)),
        (W18, DNS, "EventCount", one("EventCount", 1), one("EventCount", 0)),
        (W18, NETWORK, "SrcBytes", one("SrcBytes", 0), one("SrcBytes", -1)),
        (W19, DNS, "EventSchemaVersion", one("EventSchemaVersion", "1.0.0"), one("EventSchemaVersion", "0.1.7")),
        (W20, PROCESS, "EventMessage", one("EventMessage", &long[1..]), one("EventMessage", &*long)),
        (
            W21,
            PROCESS,
            "AdditionalFields",
            one("AdditionalFields", json!({"a": 1})),
            one("AdditionalFields", json!({"a": long})),
        ),
        (W22, PROCESS, "User", one("User", ""), one("User", "dana")),
        (W22, PROCESS, "DvcEntityKey", one("DvcId", "x"), one("DvcEntityKey", "x")),
        (W22, PROCESS, "TenantId", one("DvcId", "x"), one("TenantId", "x")),
        (W23, PROCESS, "DvcHostName", one("Mine_CF", "x"), one("DvcHostName", "x")),
        (W24, "ProcessEvent", "a-b", one("a_b", "x"), one("a-b", "x")),
        (
            W25,
            "ProcessEvent",
            "User",
            json!({"User": "dana", "TargetUsername": "dana"}),
            json!({"User": "dana", "TargetUsername": "eve"}),
        ),
        (W26, PROCESS, "Dvc", json!({"DvcHostname": "", "DvcId": "x"}), json!({"DvcHostname": "", "DvcId": ""})),
        (
            W27,
            DNS,
            "TimeGenerated",
            one("TimeGenerated", "2026-11-20T10:00:00Z"),
            json!([{"TimeGenerated": "2026-11-20T10:00:00Z"}, {"TimeGenerated": null}]),
        ),
        (
            W28,
            PROCESS,
            "TargetProcessCreationTime",
            one("TargetProcessCreationTime", "2000-01-01"),
            one("TargetProcessCreationTime", "1601-01-01"),
        ),
        (
            W29,
            PROCESS,
            "TimeGenerated",
            one("TimeGenerated", "2026-11-25T00:00:00Z"),
            one("TimeGenerated", "2026-11-25T00:00:01Z"),
        ),
        (
            W30,
            PROCESS,
            "EventEndTime",
            json!({"EventStartTime": "2026-11-20", "EventEndTime": "2026-11-20"}),
            json!({"EventStartTime": "2026-11-20", "EventEndTime": "2026-11-19"}),
        ),
        (
            W31,
            PROCESS,
            "TimeGenerated",
            json!({"EventStartTime": "2026-11-20", "EventEndTime": "2026-11-20", "TimeGenerated": "2026-11-22"}),
            json!({"EventStartTime": "2026-11-20", "EventEndTime": "2026-11-20", "TimeGenerated": "2026-11-23"}),
        ),
        (W32, PROCESS, "ActorUsername", one("ActorUsername", "none-such"), one("ActorUsername", "N/A")),
        (W32, PROCESS, "DvcHostname", one("TargetProcessCommandLine", "-"), one("DvcHostname", "-")),
        (W33, PROCESS, "ActorUsername", one("ActorUsername", "da na"), one("ActorUsername", "dana ")),
        (
            W35,
            FILE,
            "TargetFilePath",
            json!({"TargetFilePath": "C:\\x\\A.txt", "TargetFileName": "a.txt"}),
            json!({"TargetFilePath": "C:\\x\\", "TargetFileName": "a.txt"}),
        ),
        (
            W35,
            PROCESS,
            "ActingProcessName",
            json!({"ActingProcessName": "/bin/sh", "ActingProcessFilename": "sh"}),
            json!({"ActingProcessName": "/bin/bash", "ActingProcessFilename": "sh"}),
        ),
        (
            W36,
            FILE,
            "TargetFilePath",
            json!({"TargetFilePath": "C:\\x", "TargetFilePathType": "Windows Local"}),
            json!({"TargetFilePath": "/x", "TargetFilePathType": "Windows Local"}),
        ),
        (W37, REGISTRY, "RegistryKey", one("RegistryKey", "HKEY_USERS\\x"), one("RegistryKey", "HKU\\x")),
        (W38, PROCESS, "TargetProcessId", one("TargetProcessId", "8412"), one("TargetProcessId", "0x20dc")),
        (
            W39,
            FILE,
            "HashType",
            json!({"TargetFileSHA1": sha1, "HashType": "SHA"}),
            json!({"TargetFileSHA1": sha1, "HashType": "SHA256"}),
        ),
        (W40, DNS, "TransactionIdHex", one("TransactionIdHex", "0x1F"), one("TransactionIdHex", "31x")),
        (W41, FILE, "EventSchema", one("EventSchema", "FileEvent"), one("EventSchema", "ProcessEvent")),
    ]
}

/// Rules that tests of their own prove below, or that Weir's own check replaces: D1 by S12, D20's list by the page's.
const ELSEWHERE_OR_REPLACED: [Rule; 5] = [Rule::D1, Rule::D11, Rule::D13, Rule::D20, Rule::W34];

#[test]
fn each_rule_of_the_full_check_is_reported_where_it_is_broken_and_only_there() {
    let cases = full_cases();
    prove(Mode::Full, &cases);
    let proved: HashSet<Rule> = cases.iter().map(|case| case.0).chain(ELSEWHERE_OR_REPLACED).collect();
    let unproved: Vec<_> = Rule::ALL.iter().filter(|rule| !proved.contains(rule)).collect();
    assert!(unproved.is_empty(), "without a case: {unproved:?}");
}

#[test]
fn broken_json_in_a_dynamic_column_is_reported() {
    use arrow::array::{RecordBatch, StringViewArray};
    use weir_contract::schema::{ColumnType, TableSchema};
    let columns = vec![weir_contract::schema::Column::new("AdditionalFields", ColumnType::Dynamic)];
    let schema = TableSchema { name: PROCESS.into(), columns }.arrow();
    for (text, expected) in [("{\"a\":1}", false), ("{\"a\":", true)] {
        let rows =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringViewArray::from(vec![text]))]).unwrap();
        let place = "x".into();
        let mut checker = Checker::new(Mode::Full);
        checker.check(&target(PROCESS), &rows, &Origin { place: &place, numbers: Numbers::From(1) }).unwrap();
        assert_eq!(reports(&checker.finish(), Rule::W34, "AdditionalFields"), expected, "{text}");
    }
}

#[test]
fn a_native_table_lacks_neither_aliases_nor_what_it_has_no_column_for() {
    let native = check(Mode::Full, PROCESS, &[one("TargetUsername", "dana")]);
    for field in ["User", "Hash", "Dvc", "EventSchema", "Type", "EventUid", "DvcEntityKey", "HashType"] {
        let absent =
            native.findings().iter().find(|finding| &*finding.field == field && finding.rule.id().starts_with('S'));
        assert!(absent.is_none(), "{absent:?}");
    }
    let official = check(Mode::Official, PROCESS, &[one("TargetUsername", "dana")]);
    assert!(reports(&official, Rule::S5, "User") && reports(&official, Rule::S1, "EventSchema"));
    let view = check(Mode::Full, "ProcessEvent", &[one("TargetUsername", "dana")]);
    assert!(reports(&view, Rule::S5, "User") && reports(&view, Rule::S1, "EventSchema"));
}

#[test]
fn a_finding_counts_rows_and_values_and_names_the_first_row() {
    let rows: Vec<Value> =
        (0..40).map(|at| one("EventResult", if at < 3 { "Success".into() } else { format!("r{}", at / 2) })).collect();
    for mode in [Mode::Full, Mode::Official] {
        let report = check(mode, PROCESS, &rows);
        let finding = report.findings().iter().find(|finding| finding.rule == Rule::D7).expect("found");
        assert_eq!((finding.count, finding.rows, finding.distinct, finding.values.len()), (37, 40, 19, 10));
        assert_eq!(finding.example.as_deref(), Some("rows.json:4"));
        let json = report.to_json();
        let listed = json["findings"].as_array().unwrap();
        let errors = listed.iter().filter(|finding| finding["severity"] == "error").count();
        assert_eq!(json["errors"], errors);
        assert_eq!(report.count(Severity::Error), errors);
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["errors", "warnings", "infos", "findings"]);
    }
}

#[test]
fn the_official_text_is_one_tagged_line_per_finding_sorted() {
    let rows = [one("EventResult", "Good"), one("EventResult", "Bad"), one("EventResult", "Success")];
    let text = check(Mode::Official, "ProcessEvent", &rows).to_text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines.is_sorted()
            && lines
                .iter()
                .all(|line| ["(0) Error: ", "(1) Warning: ", "(2) Info: "].iter().any(|tag| line.starts_with(tag)))
    );
    let expected = "(0) Error: value is not in the field's list (expected Success, Failure, Partial, NA): [EventResult] \
                    has 2 such values (Good, Bad) in 2 records (66.67%), schema ProcessEvent";
    assert!(lines.contains(&expected), "{text}");
}

#[test]
fn rows_without_a_schema_are_held_against_the_common_fields_or_refused() {
    let rows = [json!({"EventVendor": "", "EventType": "Logon"})];
    let sort = || Selection::default().sort(vec![(1, rows[0].as_object().unwrap().clone())]).batches.remove(0);
    let place = "x".into();
    let of = |mode| {
        let batch = sort();
        let mut checker = Checker::new(mode);
        let origin = Origin { place: &place, numbers: Numbers::Each(&batch.numbers) };
        checker.check(&batch.target, &batch.rows, &origin).unwrap();
        checker.finish()
    };
    assert!(reports(&of(Mode::Full), Rule::W41, "EventSchema"));
    let official = of(Mode::Official);
    assert!(reports(&official, Rule::D2, "EventVendor"));
    // The common rows list a dummy value.
    assert!(reports(&official, Rule::D7, "EventType"));
}

#[test]
fn the_schema_tester_asks_of_every_schema_what_the_notes_say_of_its_definitions() {
    let absent = |schema: &str| -> HashMap<String, Rule> {
        let report = check(Mode::Official, schema, &[one("Nothing", "x")]);
        report.findings().iter().map(|finding| (finding.field.to_string(), finding.rule)).collect()
    };
    for schema in Target::schemas() {
        let found = absent(schema);
        assert_eq!((found["EventVendor"], found["EventProduct"]), (Rule::S1, Rule::S1), "{schema}");
    }
    let agent = absent("AgentEvent");
    assert!(["Dvc", "EventResult", "TimeGenerated", "Type"].iter().all(|field| agent[*field] == Rule::S1));
    for (schema, field) in [
        ("FileEvent", "Hash"),
        ("ProcessEvent", "Hash"),
        ("WebSession", "Hash"),
        ("DhcpEvent", "Hostname"),
        ("NetworkSession", "Rule"),
    ] {
        assert_eq!(absent(schema)[field], Rule::S9, "{schema}.{field}");
    }
    let with_hash = check(Mode::Official, "FileEvent", &[one("Hash", "x")]);
    assert!(reports(&with_hash, Rule::S4, "HashType"));
}

#[test]
fn the_page_lists_every_rule() {
    let page = include_str!("../../../docs/asim-check.md");
    for rule in Rule::ALL {
        let line = format!("| {} | {} | {} | {} |", rule.id(), rule.name(), rule.severity(), rule.says());
        assert!(page.contains(&line), "docs/asim-check.md lacks the line\n{line}");
    }
}
