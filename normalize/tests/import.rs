//! Parsers and rules written elsewhere become mappings that make the rows they should.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use weir_contract::ack::Ack;
use weir_contract::batch::{Batch, Framing, RawBatch, RawRecord, RowKind};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats};
use weir_contract::schema::{Column, ColumnType};
use weir_ingest::decode::Decoder;
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::schema::RawTables;
use weir_kql::{Catalog, Mode};
use weir_normalize::import::{Imported, Kind, Options, Severity, import, read, read_columns};
use weir_normalize::library::Library;
use weir_normalize::mapping::Mapping;
use weir_normalize::metrics::NormalizeMetrics;
use weir_normalize::normalizer::Normalizer;

const FIREWALL: &str = include_str!("import/branches.yaml");
const FIREWALL_COLUMNS: &str = "name,type\nTimeGenerated,datetime\nKind,string\nAction,string\nDetails,string\nBytes,long\n\
                                DeviceName,string\nZone,string\n";

fn columns(text: &str) -> Vec<Column> {
    read_columns(Path::new("columns.csv"), text).unwrap()
}

fn imported(file: &str, text: &str, options: &Options) -> Vec<Imported> {
    let raw = RawTables::builtin();
    let contents = read(Path::new(file), text).unwrap();
    let import = |content| import(content, options, &|table| raw.schema(table).cloned(), &Catalog::default());
    contents.iter().flat_map(import).collect()
}

fn firewall(pack: bool) -> Imported {
    let options = Options { columns: columns(FIREWALL_COLUMNS), pack, ..Options::default() };
    let mut made = imported("branches.yaml", FIREWALL, &options);
    assert_eq!(made.len(), 1);
    made.remove(0)
}

fn named(imported: &Imported, kind: Kind) -> Vec<&str> {
    let of_kind = imported.findings.iter().filter(|finding| finding.kind == kind);
    of_kind.map(|finding| finding.subject.as_str()).collect()
}

/// What `weir run` makes of JSON lines of the mapping's raw table: the decoder takes the columns that the file declares.
fn run(imported: &Imported, lines: &str) -> Vec<Batch> {
    let yaml = imported.yaml.as_ref().unwrap_or_else(|| panic!("{:#?}", imported.findings));
    let mapping = Mapping::parse(&imported.name, "made.yaml", yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let raw = RawTables::builtin();
    let library = Library::compile(vec![mapping], |table| raw.schema(table).cloned(), Mode::Strict)
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let tables = RawTables::builtin().with_declared(library.declared_tables());
    let budget = MemoryBudget::new(1 << 30);
    let decoder = Decoder::new(Arc::new(tables), IngestMetrics::new(&MetricSet::new()));
    let range =
        OffsetRange { partition: "p".into(), start: Offset(0), next: Offset(lines.len() as u64), delivered: Offset(0) };
    let decoded = decoder.decode(
        RawBatch {
            origin: Arc::new(Origin { source: "test".into(), ranges: vec![range], positions: Repeats::Unrelated }),
            framing: Framing::Lines,
            default_table: Some(imported.table.as_str().into()),
            records: vec![RawRecord { payload: lines.to_owned().into(), partition: 0, offset: Offset(0) }],
            ack: Ack::detached(),
            permit: budget.charge(lines.len()),
        },
        &budget,
    );
    assert!(decoded.dead_letters.is_empty(), "{:?}", decoded.dead_letters);
    decoded.ack.done();
    let normalizer = Normalizer::new(library, NormalizeMetrics::new(&MetricSet::new()), budget);
    decoded.batches.into_iter().flat_map(|batch| normalizer.normalize(batch).batches).collect()
}

/// The rows of `columns`, `|` between cells, of the batches of one kind.
fn cells(batches: &[Batch], kind: RowKind, columns: &[&str]) -> Vec<String> {
    let options = FormatOptions::default();
    let rows = |rows: &RecordBatch| -> Vec<String> {
        let columns: Vec<_> = columns
            .iter()
            .map(|name| rows.column_by_name(name).unwrap_or_else(|| panic!("no column {name} in {:?}", rows.schema())))
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
        (0..rows.num_rows()).map(row).collect()
    };
    batches.iter().filter(|batch| batch.kind == kind).flat_map(|batch| rows(&batch.rows)).collect()
}

fn done(batches: Vec<Batch>) {
    batches.into_iter().for_each(|batch| batch.ack.done());
}

const FIREWALL_LINES: &str = r#"
{"TimeGenerated":"2026-11-20T10:00:00Z","Kind":"traffic","Action":"pass","Details":"src=192.0.2.1 dst=\"198.51.100.7\" dpt=443","DeviceName":"fw1.example.test","Zone":"dmz"}
{"TimeGenerated":"2026-11-20T10:00:01Z","Kind":"traffic","Action":"drop","Details":"dst=198.51.100.8 dpt=x","DeviceName":"fw1.example.test"}
{"TimeGenerated":"2026-11-20T10:00:02Z","Kind":"flow","Bytes":77,"Details":"src=192.0.2.9","DeviceName":"fw2"}
{"TimeGenerated":"2026-11-20T10:00:03Z","Kind":"flow","Bytes":0,"Details":"src=192.0.2.10","DeviceName":"fw2"}
{"TimeGenerated":"2026-11-20T10:00:04Z","Kind":"config","DeviceName":"fw2"}
"#;

#[test]
fn a_parser_of_query_time_makes_the_rows_that_it_makes_there() {
    let imported = firewall(false);
    assert_eq!((&*imported.table, &*imported.target), ("ExampleFw_CL", "ASimNetworkSessionLogs"));
    let batches = run(&imported, FIREWALL_LINES.trim_start());
    let expected = [
        "NetworkSession|Success|Allow|192.0.2.1|198.51.100.7|443|fw1|example.test|",
        // A key that the lookup's table has twice gives two rows, as there.
        "NetworkSession|Failure|Drop||198.51.100.8||fw1|example.test|",
        "NetworkSession|Failure|Deny||198.51.100.8||fw1|example.test|",
        "Flow|Success||192.0.2.9|||fw2||77",
    ];
    let columns = [
        "EventType",
        "EventResult",
        "DvcAction",
        "SrcIpAddr",
        "DstIpAddr",
        "DstPortNumber",
        "DvcHostname",
        "DvcDomain",
        "NetworkBytes",
    ];
    assert_eq!(cells(&batches, RowKind::Normalized, &columns), expected);
    // What the parser's own filters drop is nobody's: it stays raw.
    assert_eq!(cells(&batches, RowKind::Raw, &["Kind", "Bytes"]), ["flow|0", "config|"]);
    done(batches);
}

#[test]
fn a_parsers_pack_is_an_option() {
    for (pack, expected) in [(false, "{}"), (true, r#"{"zone":"dmz"}"#)] {
        let batches = run(&firewall(pack), FIREWALL_LINES.lines().nth(1).unwrap());
        assert_eq!(cells(&batches, RowKind::Normalized, &["AdditionalFields"]), [expected]);
        done(batches);
    }
}

#[test]
fn the_report_names_what_is_left_out_converted_and_missing() {
    let imported = firewall(false);
    assert_eq!(named(&imported, Kind::UnknownColumn), ["Missing"]);
    assert_eq!(imported.findings.iter().find(|f| f.kind == Kind::UnknownColumn).unwrap().line, Some(64));
    assert_eq!(named(&imported, Kind::Alias), ["IpAddr"], "the table stores `Dvc`");
    assert_eq!(named(&imported, Kind::Converted), ["DstPortNumber"]);
    assert!(named(&imported, Kind::NotStored).contains(&"Zone"), "{:?}", imported.findings);
    assert!(!named(&imported, Kind::MissingMandatory).contains(&"EventVendor"));
    assert!(imported.findings.iter().all(|finding| finding.severity < Severity::Error));
    let yaml = imported.yaml.unwrap();
    assert!(yaml.contains("UnknownColumns: empty\n") && yaml.contains("  Bytes: long\n"), "{yaml}");
    assert!(
        yaml.contains("Version: \"1.2.0\"") && yaml.contains("'drop', 'Failure', 'Deny',   // the vendor"),
        "{yaml}"
    );
}

#[test]
fn a_scalar_that_yaml_folds_is_read_line_by_line() {
    let options = Options { columns: columns("TimeGenerated,datetime\nMessage,string\n"), ..Options::default() };
    let imported = imported("folded.yaml", include_str!("import/folded.yaml"), &options).remove(0);
    assert_eq!(&*imported.target, "ASimDnsActivityLogs");
    let lines = "{\"TimeGenerated\":\"2026-11-20T10:00:00Z\",\"Message\":\"query a.example from 192.0.2.1 = 3\"}\n\
                 {\"TimeGenerated\":\"2026-11-20T10:00:00Z\",\"Message\":\"started\"}\n";
    let batches = run(&imported, lines);
    let columns = ["DnsQuery", "SrcIpAddr", "DnsResponseCode", "EventResultDetails", "EventResult"];
    assert_eq!(cells(&batches, RowKind::Normalized, &columns), ["a.example|192.0.2.1|3|NXDOMAIN|Failure"]);
    assert_eq!(cells(&batches, RowKind::Raw, &["Message"]), ["started"]);
    done(batches);
}

#[test]
fn a_rules_flows_are_mappings_of_its_streams() {
    let made = imported("rule.json", include_str!("import/rule.json"), &Options::default());
    let names: Vec<&str> = made.iter().map(|imported| imported.name.as_str()).collect();
    assert_eq!(names, ["rule_ExampleVpn_CL", "rule_ExampleVpn_CL_2"]);
    let lines = "{\"TimeGenerated\":\"2026-11-20T10:00:00Z\",\"Who\":\"eva\",\"Ok\":true,\"Info\":{\"ip\":\"192.0.2.4\"}}\n\
                 {\"TimeGenerated\":\"2026-11-20T10:00:00Z\",\"Ok\":true}\n";
    let batches = run(&made[0], lines);
    let columns = ["TargetUsername", "EventResult", "SrcIpAddr"];
    assert_eq!(cells(&batches, RowKind::Normalized, &columns), ["eva|Success|192.0.2.4"]);
    done(batches);
    assert_eq!(made[1].yaml, None);
    let refused = &made[1].findings[0];
    assert_eq!((refused.kind, refused.line), (Kind::RefusedOperator, Some(24)), "the line of the file");
    assert!(refused.message.contains("--> rule.json:24, query:1:10\n"), "{}", refused.message);
    assert!(refused.message.contains("`summarize` cannot run at ingest"), "{}", refused.message);
}

#[test]
fn a_query_over_several_raw_tables_is_one_mapping_per_table() {
    let options = Options { target: Some("ASimAuditEventLogs".to_owned()), ..Options::default() };
    let made = imported("three.kql", include_str!("import/three.kql"), &options);
    let names: Vec<&str> = made.iter().map(|imported| imported.name.as_str()).collect();
    assert_eq!(names, ["three_DeviceLogonEvents", "three_DeviceFileEvents"]);
    for imported in &made {
        assert_eq!(named(imported, Kind::UnknownTable), ["ElsewhereLogs_CL"], "{:?}", imported.findings);
        assert_eq!(named(imported, Kind::UnknownColumn), ["NoSuchColumn"]);
    }
    let line = |action: &str| {
        format!(
            "{{\"Timestamp\":\"2026-11-20T10:00:00Z\",\"ActionType\":\"{action}\",\"DeviceName\":\"d1\",\"DeviceId\":\"x\"}}\n"
        )
    };
    let logons = run(&made[0], &(line("LogonSuccess") + &line("LogonFailed")));
    assert_eq!(cells(&logons, RowKind::Normalized, &["EventType", "DvcHostname"]), ["Logon|d1"]);
    assert_eq!(cells(&logons, RowKind::Raw, &["ActionType"]), ["LogonFailed"]);
    done(logons);
    let files = run(&made[1], &line("FileCreated"));
    assert_eq!(cells(&files, RowKind::Normalized, &["EventType", "DvcHostname"]), ["Other|d1"]);
    done(files);
}

#[test]
fn what_cannot_be_bound_says_what_to_give() {
    let told = |text: &str, options: &Options| {
        let imported = imported("q.kql", text, options).remove(0);
        assert_eq!(imported.yaml, None);
        imported.findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>().join("\n")
    };
    let none = Options::default();
    let target = Options { target: Some("ASimDnsActivityLogs".to_owned()), ..Options::default() };
    assert!(told("source | extend a = 1", &none).contains("`--table NAME`"));
    assert!(told("Fw_CL | extend a = 1", &none).contains("`--schema FILE`"));
    assert!(told("A_CL | join (B_CL) on k", &none).contains("`A_CL`, `B_CL`"));
    assert!(told("DeviceEvents | extend a = 1", &none).contains("`--target TABLE`"));
    assert!(told("DeviceEvents | extend a = nosuch(1)", &target).contains("q.kql:1:27"));
    assert!(told("DeviceEvents\n| extend a = (1", &target).contains("q.kql:2"));
    assert!(told("DeviceEvents | project DeviceId", &target).contains("`TimeGenerated`"));
    assert!(told("DeviceEvents | summarize count() by DeviceId", &target).contains("cannot run at ingest"));
    let elsewhere = Options { target: Some("Syslog".to_owned()), ..Options::default() };
    assert!(told("DeviceEvents | extend a = 1", &elsewhere).contains("`Syslog` is neither"));
}

#[test]
fn files_that_hold_no_query_say_so_with_their_line() {
    let told = |file: &str, text: &str| read(Path::new(file), text).unwrap_err().to_string();
    assert!(told("a.yaml", "Title: x\n").starts_with("a.yaml:1: no query"));
    assert!(told("a.yaml", "a: 1\na: 2\n").starts_with("a.yaml:2: "));
    assert!(told("a.yaml", "ParserQuery: T\nNormalization:\n  Schema: Nothing\n").starts_with("a.yaml:3: `Nothing`"));
    assert!(told("a.json", "{\n\"a\": }").starts_with("a.json:2: no valid JSON"));
    assert!(told("a.json", "{}").contains("`dataFlows`"));
    let expression = r#"{"dataFlows":[{"streams":["Custom-A"],"transformKql":"[variables('kql')]"}]}"#;
    assert!(told("a.json", expression).contains("a template's expression"));
    let stream = r#"{"streamDeclarations":{"Custom-A":{"columns":[
        {"name":"a","type":"int"},
        {"name":"b","type":"text"}]}},"dataFlows":[{"streams":["Custom-A"]}]}"#;
    assert!(told("a.json", stream).starts_with("a.json:3: the declaration of stream `Custom-A`, column `b`"));
    assert!(told("a.json", &format!("[\n{expression}]")).starts_with("a.json:2: the data flow of stream `Custom-A`"));
    assert!(told("a.kql", "\n").contains("the file is empty"));
    let columns = |text: &str| read_columns(Path::new("c.csv"), text).unwrap_err();
    assert!(columns("a,int\nb\n").starts_with("c.csv:2: expected `name,type`"));
    assert!(columns("a,int\nb,text\n").starts_with("c.csv:2: column `b`: `text` is no column type"));
    let json = read_columns(Path::new("c.json"), r#"{"columns":[{"name":"a","type":"boolean"}]}"#).unwrap();
    assert_eq!(json, [Column::new("a", ColumnType::Bool)]);
}

#[test]
fn an_ingest_time_file_comes_back_as_a_mapping_with_its_filter() {
    let text = "InputStream: Custom-Fw_CL\nSourceRawTable: Fw_CL\nTargetASIMTable: Microsoft-ASimDnsActivityLogs\nDCRType: \
                Kind\nParserFilterQuery: |\n  Fw_CL | where k == 1\nParserQuery: |\n  Fw_CL\n  | extend DnsQuery = q\n  | \
                project TimeGenerated, DnsQuery\n";
    let options = Options { columns: columns("k,int\nq,string\n"), ..Options::default() };
    let imported = imported("in.yaml", text, &options).remove(0);
    let batches =
        run(&imported, "{\"k\":1,\"q\":\"a\",\"TimeGenerated\":\"2026-11-20T10:00:00Z\"}\n{\"k\":2,\"q\":\"b\"}\n");
    assert_eq!(cells(&batches, RowKind::Normalized, &["DnsQuery"]), ["a"]);
    let times = batches.iter().find(|batch| batch.kind == RowKind::Normalized).unwrap();
    let times = times.rows.column_by_name("TimeGenerated").unwrap();
    assert!(times.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().is_valid(0));
    assert_eq!(cells(&batches, RowKind::Raw, &["q"]), ["b"]);
    done(batches);
}
