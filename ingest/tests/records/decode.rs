//! What becomes of payloads, good and bad.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use weir_contract::batch::{Framing, RowKind};
use weir_contract::dead_letter::Form;
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_ingest::decode::Decoder;
use weir_ingest::metrics::IngestMetrics;

use crate::support::*;

const LOGON: &str = r#"{"time":"2026-11-20T09:00:02.0000001Z","tenantId":"t-1","operationName":"Publish","category":"AdvancedHunting-DeviceLogonEvents","_TimeReceivedBySvc":"2026-11-20T09:00:01.5Z","properties":{"Timestamp":"2026-11-20T09:00:00.1234567Z","DeviceId":"d1","ActionType":"LogonSuccess","ReportId":638123456789012345,"IsLocalAdmin":true,"AdditionalFields":"{\"IsLocalLogon\":true}","RemotePort":"443"},"Tenant":"DefaultTenant"}"#;
const FILE: &str = r#"{"category":"AdvancedHunting-DeviceFileEvents","time":"2026-11-20T09:00:03Z","tenantId":"t-1","properties":{"Timestamp":"2026-11-20T09:00:01Z","ActionType":"FileCreated","FileName":"täst \u00fc \"x\".txt","FileSize":10}}"#;

fn logon_row() -> serde_json::Value {
    json!({
        "TimeGenerated": "2026-11-20T09:00:00.1234560Z",
        "Timestamp": "2026-11-20T09:00:00.1234560Z",
        "DeviceId": "d1",
        "ActionType": "LogonSuccess",
        "ReportId": 638123456789012345_i64,
        "IsLocalAdmin": true,
        "AdditionalFields": {"IsLocalLogon": true},
        "RemotePort": 443,
        "TenantId": "t-1",
        "PublishedTime": "2026-11-20T09:00:02.0000000Z",
        "TimeReceivedBySvc": "2026-11-20T09:00:01.5000000Z",
    })
}

#[test]
fn the_three_envelope_shapes_give_the_same_rows() {
    let wrapper = format!("{{\"records\":[{LOGON},\n {FILE}]}}");
    let array = format!(" [{LOGON},{FILE}]\n");
    let lines = format!("{LOGON}\r\n\n{FILE}");
    let expected = rows_by_table(&decode_with(Framing::Lines, None, &[lines.as_bytes()]));
    assert_eq!(expected.len(), 2);
    assert_eq!(rows_by_table(&decode(&wrapper)), expected);
    assert_eq!(rows_by_table(&decode(&array)), expected);
    assert_eq!(rows_by_table(&decode(&format!("\u{feff}{LOGON}\n{FILE}"))), expected, "lines in one message");
    let messages = [LOGON.as_bytes(), FILE.as_bytes()];
    assert_eq!(rows_by_table(&decode_with(Framing::Document, None, &messages)), expected);
    let row: serde_json::Value = serde_json::from_str(&expected["DeviceLogonEvents"][0]).unwrap();
    assert_eq!(row, logon_row());
    let row: serde_json::Value = serde_json::from_str(&expected["DeviceFileEvents"][0]).unwrap();
    assert_eq!(row["FileName"], "täst ü \"x\".txt");
}

#[test]
fn raw_bytes_of_the_tables_sum_up_to_the_payload() {
    let wrapper = format!("{{\"records\":[{LOGON},\n {FILE}, {LOGON} ]}}");
    let decoded = decode(&wrapper);
    let of = |table: &str| decoded.batches.iter().find(|batch| &*batch.table == table).unwrap().raw_bytes as usize;
    assert_eq!(of("DeviceLogonEvents") + of("DeviceFileEvents"), wrapper.len());
    assert!(of("DeviceFileEvents").abs_diff(FILE.len()) < 8);
}

#[test]
fn a_record_that_is_no_object_is_refused_alone() {
    let decoded = decode(&format!("{{\"records\":[{LOGON}, \"text\" ,{FILE}, [ ] ,null]}}"));
    assert_eq!(decoded.records, 4, "an empty array holds no record");
    let refused: Vec<_> =
        decoded.dead_letters.iter().map(|letter| (letter.reason, letter.payload.as_ref(), letter.offset.0)).collect();
    assert_eq!(refused, [("not_an_object", &b"\"text\""[..], 100), ("not_an_object", b"null", 100)]);
    let decoded = decode(r#"{"category":"AdvancedHunting-DeviceInfo","properties":[1]}"#);
    assert_eq!(decoded.dead_letters[0].reason, "not_an_object");
    assert_eq!(decoded.dead_letters[0].table.as_deref(), Some("DeviceInfo"));
}

#[test]
fn a_truncated_message_loses_only_its_last_record() {
    let whole = format!("{{\"records\":[{LOGON},{FILE},{LOGON}]}}");
    let cut = whole.len() - 30;
    let decoded = decode(&whole[..cut]);
    assert_eq!(decoded.records, 3);
    let letter = &decoded.dead_letters[0];
    assert_eq!((letter.reason, letter.offset.0), ("invalid_json", 100));
    assert_eq!(letter.payload, &whole.as_bytes()[whole.len() - LOGON.len() - 2..cut]);
    assert_eq!(rows_by_table(&decoded)["DeviceFileEvents"].len(), 1);
}

#[test]
fn bad_lines_are_refused_with_their_bytes_and_offset() {
    let mut payload = format!("{LOGON}\n{{\"a\":").into_bytes();
    payload.extend_from_slice(b"\n{\"category\":\"AdvancedHunting-DeviceInfo\",\"x\":\"\xff\"}\r\n");
    payload.extend_from_slice(FILE.as_bytes());
    payload.extend_from_slice(format!("\n{}1{}\n", "[".repeat(200), "]".repeat(200)).as_bytes());
    let decoded = decode_with(Framing::Lines, None, &[&payload]);
    assert_eq!(rows_by_table(&decoded).len(), 2);
    let refused: Vec<_> = decoded.dead_letters.iter().map(|letter| (letter.reason, letter.offset.0 - 100)).collect();
    let second = LOGON.len() as u64 + 1;
    assert_eq!(refused[..2], [("invalid_json", second), ("invalid_utf8", second + 6)]);
    assert_eq!(refused[2].0, "too_deep");
    let letter = &decoded.dead_letters[1];
    assert_eq!(letter.payload, &b"{\"category\":\"AdvancedHunting-DeviceInfo\",\"x\":\"\xff\"}"[..]);
    assert_eq!((letter.source.as_ref(), letter.partition.as_ref()), ("hub", "hub/0"));
}

#[test]
fn invalid_utf8_in_one_record_of_a_message_leaves_the_others() {
    let mut payload = format!("{{\"records\":[{LOGON},{{\"category\":\"").into_bytes();
    payload.extend_from_slice(b"\xc3\"},");
    payload.extend_from_slice(format!("{FILE}]}}").as_bytes());
    let decoded = decode_with(Framing::Document, None, &[&payload]);
    assert_eq!(rows_by_table(&decoded).len(), 2);
    assert_eq!(decoded.dead_letters[0].payload, &b"{\"category\":\"\xc3\"}"[..]);
    assert_eq!(decoded.dead_letters[0].reason, "invalid_utf8");
}

#[test]
fn text_cut_within_a_surrogate_pair_is_read() {
    let record = r#"{"category":"AdvancedHunting-DeviceEvents","properties":{"Timestamp":"2026-01-01","FileName":"a\ud83d","DeviceName":"\ud83d\ude00","New":"\udc00"}}"#;
    let row = only_row(&decode(record));
    assert_eq!((&row["FileName"], &row["DeviceName"]), (&json!("a\u{fffd}"), &json!("😀")));
    assert_eq!(row["UnknownColumns"], json!({"New": "\u{fffd}"}));
}

#[test]
fn a_refused_record_keeps_its_bytes_where_the_text_had_to_be_repaired() {
    let record = r#"{"category":"AdvancedHunting-DeviceEvents","properties":{"FileName":"a\ud83d"}}"#;
    let letter = &decode(record).dead_letters[0];
    assert_eq!((letter.reason, letter.payload.as_ref()), ("missing_time", record.as_bytes()));
    let cut = format!("{{\"records\":[{FILE},{{\"a\":\"\\udc00\",}}]}}");
    let letter = &decode(&cut).dead_letters[0];
    assert_eq!((letter.reason, letter.payload.as_ref()), ("invalid_json", &br#"{"a":"\udc00",}"#[..]));
}

#[test]
fn a_row_with_a_column_called_records_is_a_row() {
    let row =
        only_row(&decode(r#"{"$table":"DeviceInfo","Timestamp":"2026-01-01","records":[1,{"a":2}],"DeviceId":"d"}"#));
    assert_eq!((&row["DeviceId"], &row["UnknownColumns"]), (&json!("d"), &json!({"records": [1, {"a": 2}]})));
}

#[test]
fn elements_of_nested_arrays_are_refused_with_their_own_bytes() {
    let decoded = decode(&format!("[[\"a\", {FILE}], [[ 17 ], {{}}]]"));
    let refused: Vec<_> = decoded.dead_letters.iter().map(|letter| letter.payload.as_ref()).collect();
    assert_eq!(refused, [&b"\"a\""[..], b"17"]);
    assert_eq!(decoded.records, 4);
}

/// Each in its own letter, or looked for from the array's beginning, these would take gigabytes and hours.
#[test]
fn a_message_of_nothing_but_junk_makes_few_letters_and_keeps_every_byte() {
    let numbers = format!("[{}7]", "1,".repeat(300_000));
    let started = std::time::Instant::now();
    for text in [numbers.clone(), format!("[{numbers}]"), format!("{numbers}x"), "1\n".repeat(300_000)] {
        let decoded = decode(&text);
        let kept: usize = decoded.dead_letters.iter().map(|letter| letter.payload.len()).sum();
        assert!(decoded.dead_letters.len() <= 1002, "{}", decoded.dead_letters.len());
        assert!(kept >= text.len() - 1010, "only commas, brackets and blanks are left out: {kept} of {}", text.len());
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn what_the_row_and_its_envelope_both_say_is_kept_twice() {
    let record = r#"{"category":"AdvancedHunting-DeviceInfo","tenantId":"t-1","properties":{"Timestamp":"2026-01-01","TenantId":"w-1"}}"#;
    let row = only_row(&decode(record));
    assert_eq!(row["TenantId"], "w-1");
    assert_eq!(row["UnknownColumns"], json!({"envelope.tenantId": "t-1"}));
}

#[test]
fn dynamic_values_are_json_for_every_reader() {
    let odd = [
        "\"tab\there\"",
        "\"nul\u{0}\"",
        "01",
        "1.",
        "-",
        "1e",
        "+1",
        ".5",
        "NaN",
        "tru",
        "1e400",
        "-0",
        "1E5",
        "\"\\x41\"",
        "\"\\u12g4\"",
        "{\"\":1}",
        "{\"a\":1,}",
        "[1,]",
        "{\"a\\\"\":[\"\\\\\"]}",
        "\"\u{7f}\u{2028}\"",
        "12345678901234567890123",
        "{\"\":{\"\":\"\"}}",
        "[]",
        "[[],{}]",
        "1 2",
        "\"\\ud800\\u0041\"",
    ];
    for value in odd {
        let text = format!(
            r#"{{"category":"AdvancedHunting-DeviceInfo","":{value},"properties":{{"Timestamp":"2026-01-01","LoggedOnUsers":{{"x":{value}}},"":[{value}],"DeviceId":"d"}}}}"#
        );
        let decoded = decode(&text);
        assert_eq!(decoded.records, 1, "{text}");
        for batch in &decoded.batches {
            for row in row_texts(&batch.rows) {
                serde_json::from_str::<Box<serde_json::value::RawValue>>(&row)
                    .unwrap_or_else(|error| panic!("{value}: {error}: {row}"));
            }
        }
        for letter in &decoded.dead_letters {
            assert_eq!(letter.payload, text.as_bytes(), "{value}");
        }
    }
}

#[test]
fn what_the_schema_does_not_know_is_kept_as_written() {
    let record = r#"{"category":"AdvancedHunting-DeviceInfo","NewEnvelopeKey":1,"Tenant":"Other","properties":{
        "Timestamp":"2026-01-01T00:00:00Z","ReportId":18446744073709551615,"OnboardingStatus":{"a": 1.0},
        "NewColumn":[1.0, 12345678901234567890123, "\u00e9\"x"],"N\"ull":null,"Emp\"ty":"",
        "__UDI_RequiredFields_X":"plumbing","LoggedOnUsers":"[{\"UserName\": \"a\"}]"}}"#;
    let decoded = decode(record);
    let text = &row_texts(&decoded.batches[0].rows)[0];
    let unknown = concat!(
        r#""UnknownColumns":{"ReportId":18446744073709551615,"OnboardingStatus":{"a":1.0},"#,
        r#""NewColumn":[1.0,12345678901234567890123,"\u00e9\"x"],"Emp\"ty":"","envelope.NewEnvelopeKey":1,"envelope.Tenant":"Other"}"#
    );
    assert!(text.contains(unknown), "{text}");
    assert!(text.contains(r#""LoggedOnUsers":[{"UserName":"a"}]"#), "{text}");
    assert!(!text.contains("plumbing"));
}

#[test]
fn unknown_columns_of_a_replayed_row_are_merged() {
    let record = r#"{"$table":"DeviceInfo","TimeGenerated":"2026-01-01T00:00:00Z","UnknownColumns":{"A":1},"B":2}"#;
    let row = only_row(&decode(record));
    assert_eq!(row["UnknownColumns"], json!({"A": 1, "B": 2}));
    assert_eq!(row["TimeGenerated"], "2026-01-01T00:00:00.0000000Z");
}

#[test]
fn of_duplicate_keys_the_last_wins() {
    let record = r#"{"category":"AdvancedHunting-DeviceInfo","properties":{"Timestamp":"2026-01-01","DeviceId":"a","OSPlatform":"x","DeviceId":"b","OSPlatform":null}}"#;
    let row = only_row(&decode(record));
    assert_eq!((&row["DeviceId"], row.get("OSPlatform")), (&json!("b"), None));
}

#[test]
fn columns_that_a_union_has_split_by_type_are_joined() {
    let record = r#"{"ActionType":"LdapSearch","Timestamp":"2021-08-02T13:11:39Z","ReportId_long":113597,"ReportId_string":"","AdditionalFields_string":"{\"a\":1}","AdditionalFields_dynamic":{"b":2},"DeviceId":"d"}"#;
    let decoded = decode_with(Framing::Document, Some("DeviceEvents"), &[record.as_bytes()]);
    let row = only_row(&decoded);
    assert_eq!((&row["ReportId"], &row["AdditionalFields"]), (&json!(113597), &json!({"a": 1})));
    assert_eq!(row["UnknownColumns"], json!({"AdditionalFields_dynamic": {"b": 2}}), "the second value is kept");
}

#[test]
fn an_event_without_a_time_is_refused_and_its_publication_is_no_time() {
    for timestamp in ["", r#""Timestamp":"","#, r#""Timestamp":"yesterday","#, r#""Timestamp":5,"#] {
        let record = format!(
            r#"{{"time":"2026-11-20T09:00:02Z","category":"AdvancedHunting-DeviceInfo","properties":{{{timestamp}"DeviceId":"d"}}}}"#
        );
        let decoded = decode(&format!("[{record},{LOGON}]"));
        let letter = &decoded.dead_letters[0];
        assert_eq!((letter.reason, letter.payload.as_ref()), ("missing_time", record.as_bytes()));
        assert_eq!(decoded.records, 2);
    }
    let snapshot = r#"{"category":"AdvancedHunting-DeviceTvmSoftwareInventory","properties":{"DeviceId":"d"}}"#;
    assert_eq!(only_row(&decode(snapshot)), json!({"DeviceId": "d"}), "snapshots have no event time");
}

#[test]
fn a_refused_row_leaves_nothing_behind() {
    let bad = r#"{"category":"AdvancedHunting-DeviceInfo","properties":{"DeviceId":"bad","New":1}}"#;
    let good = r#"{"category":"AdvancedHunting-DeviceInfo","properties":{"Timestamp":"2026-01-01","OSPlatform":"x"}}"#;
    let decoded = decode(&format!("[{bad},{good},{bad},{good}]"));
    assert_eq!(decoded.dead_letters.len(), 2);
    for text in row_texts(&decoded.batches[0].rows) {
        assert!(!text.contains("bad") && !text.contains("New"), "{text}");
    }
}

#[test]
fn tables_without_a_schema_pass_through_whole() {
    let record =
        r#"{ "category": "AdvancedHunting-BrandNew", "properties": {"Timestamp":"2026-01-02T03:04:05Z", "X": 1.0} }"#;
    let decoded = decode(record);
    assert_eq!(decoded.batches[0].kind, RowKind::Unknown);
    let rows = rows_by_table(&decoded);
    let text = concat!(
        r#"{"TimeGenerated":"2026-01-02T03:04:05.0000000Z","Type":"BrandNew","#,
        r#""RawRecord":{"category":"AdvancedHunting-BrandNew","properties":{"Timestamp":"2026-01-02T03:04:05Z","X":1.0}}}"#
    );
    assert_eq!(rows["?BrandNew"], [text]);
    let rows = rows_by_table(&decode(r#"[{"what":"ever"},{}]"#));
    assert_eq!(
        rows["?UnroutedEvents"],
        [r#"{"Type":"UnroutedEvents","RawRecord":{"what":"ever"}}"#, r#"{"Type":"UnroutedEvents","RawRecord":{}}"#]
    );
}

#[test]
fn a_cloud_trail_file_is_flattened() {
    let record = r#"{"Records":[{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROA:s","arn":"arn:aws:sts::1:assumed-role/r/s","accountId":"111111111111","sessionContext":{"sessionIssuer":{"type":"Role","userName":"r"},"attributes":{"mfaAuthenticated":"false","creationDate":"2026-01-01T00:00:00Z"}},"x":1.0},"eventTime":"2026-01-01T00:00:01Z","eventSource":"s3.amazonaws.com","eventName":"PutObject","readOnly":false,"requestParameters":{"bucketName":"b"},"responseElements":null,"newKey":"n"}]}"#;
    let decoded = decode(record);
    assert_eq!(&*decoded.batches[0].table, "AWSCloudTrail");
    let row = only_row(&decoded);
    assert_eq!(row["TimeGenerated"], "2026-01-01T00:00:01.0000000Z");
    assert_eq!(row["UserIdentityArn"], "arn:aws:sts::1:assumed-role/r/s");
    assert_eq!((&row["SessionMfaAuthenticated"], &row["SessionIssuerUserName"]), (&json!(false), &json!("r")));
    assert_eq!((&row["UserIdentity"]["x"], &row["RequestParameters"]["bucketName"]), (&json!(1.0), &json!("b")));
    assert_eq!(row["UnknownColumns"], json!({"newKey": "n"}));
}

#[test]
fn csv_rows_are_typed_like_json() {
    let payload = "\u{feff}Type,\"Timestamp [UTC]\",DeviceId,ReportId,AdditionalFields,Extra,IsLocalAdmin\r\n\
        DeviceLogonEvents,\"11/20/2026, 9:00:00.000 AM\",\"d\"\"1\",638123456789012345,\"{\"\"a\"\": 1}\",e,true\r\n\
        DeviceLogonEvents,2026-11-20T09:00:00Z,d2\r\n\
        DeviceLogonEvents,2026-11-20T09:00:00Z,d3,,,,\r\n\
        ,2026-11-20T09:00:00Z,d4,1,,,\r\n";
    let decoded = decode_with(Framing::Csv, None, &[payload.as_bytes()]);
    let rows = rows_by_table(&decoded);
    let row: serde_json::Value = serde_json::from_str(&rows["DeviceLogonEvents"][0]).unwrap();
    assert_eq!(row["TimeGenerated"], "2026-11-20T09:00:00.0000000Z");
    assert_eq!((&row["DeviceId"], &row["ReportId"]), (&json!("d\"1"), &json!(638123456789012345_i64)));
    assert_eq!((&row["AdditionalFields"], &row["IsLocalAdmin"]), (&json!({"a": 1}), &json!(true)));
    assert_eq!(row["UnknownColumns"], json!({"Extra": "e"}));
    assert_eq!(rows["DeviceLogonEvents"].len(), 2);
    assert!(rows["?UnroutedEvents"][0].contains(r#""DeviceId":"d4""#));
    let letter = &decoded.dead_letters[0];
    let first_row_end = payload.find("true\r\n").unwrap() + 6 - payload.find("DeviceLogonEvents").unwrap();
    assert_eq!((letter.reason, letter.offset.0), ("invalid_csv", 100 + first_row_end as u64));
    let header = &payload[..payload.find("DeviceLogonEvents").unwrap()];
    let whole = format!("{header}DeviceLogonEvents,2026-11-20T09:00:00Z,d2");
    assert_eq!((letter.form, &letter.payload[..]), (Form::Csv, whole.as_bytes()), "with the names of its cells");
}

#[test]
fn pieces_of_an_oversized_record_are_kept() {
    let decoded = decode_with(Framing::Oversized, None, &[b"{\"a\":\"xxx", b"xxx\"}"]);
    assert_eq!(decoded.dead_letters.len(), 2);
    assert!(decoded.dead_letters.iter().all(|letter| letter.reason == "too_large"));
}

#[test]
fn memory_and_metrics_follow_the_batch() {
    let budget = MemoryBudget::new(1 << 20);
    let metrics = metrics();
    let decoder = Decoder::new(tables(), metrics.clone());
    let payload = format!("{LOGON}\n{FILE}\nbad\n");
    let mut raw = raw_batch(Framing::Lines, None, &[payload.as_bytes()]);
    raw.permit = budget.charge(payload.len());
    let decoded = decoder.decode(raw, &budget);
    let held: usize = decoded.batches.iter().map(|batch| batch.permit.bytes()).sum();
    assert_eq!(budget.used(), held, "the raw batch's own bytes are released");
    assert!(held > 1000);
    let count = |table: &str| metrics.records.with_label_values(&["hub", table]).get();
    assert_eq!((count("DeviceLogonEvents"), count("DeviceFileEvents"), count("dead_letters")), (1, 1, 1));
    assert_eq!(metrics.dead_letters.letters.with_label_values(&["hub", "decode", "invalid_json", ""]).get(), 1);
    drop(decoded);
    assert_eq!(budget.used(), 0);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_all_are_accounted_for(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        framing in proptest::sample::select(vec![Framing::Document, Framing::Lines, Framing::Csv]),
    ) {
        // `decode_with` checks that rows and dead letters make up all records.
        decode_with(framing, None, &[&bytes]);
    }

    #[test]
    fn damage_to_one_line_never_reaches_another(at in 0_usize..LOGON.len(), byte: u8, cut: bool) {
        let mut damaged = LOGON.as_bytes().to_vec();
        damaged[at] = byte;
        if cut {
            damaged.truncate(at);
        }
        let payload = [FILE.as_bytes(), b"\n", &damaged, b"\n", FILE.as_bytes(), b"\n"].concat();
        let decoded = decode_with(Framing::Lines, None, &[&payload]);
        prop_assert_eq!(rows_by_table(&decoded)["DeviceFileEvents"].len(), 2);
        for letter in &decoded.dead_letters {
            let start = (letter.offset.0 - 100) as usize;
            prop_assert_eq!(&payload[start..start + letter.payload.len()], letter.payload.as_ref());
        }
    }

    #[test]
    fn a_damaged_message_keeps_every_byte_of_what_it_refuses(at in 0_usize..900, byte: u8) {
        let mut message = format!("{{\"records\":[{FILE},{LOGON},{FILE}]}}").into_bytes();
        let at = at % message.len();
        message[at] = byte;
        let decoded = decode_with(Framing::Document, None, &[&message]);
        for letter in &decoded.dead_letters {
            prop_assert!(memchr::memmem::find(&message, &letter.payload).is_some());
        }
        prop_assert!(decoded.records >= 1);
    }
}

#[test]
fn unknown_columns_and_tables_are_counted_by_name() {
    let set = MetricSet::new();
    let decoder = Decoder::new(tables(), IngestMetrics::new(&set));
    let row = |members: &str| format!("{{\"category\":\"AdvancedHunting-DeviceInfo\",\"properties\":{{{members}}}}}\n");
    let mut text = String::new();
    for (time, members) in
        [(true, "\"New\":1,\"Odd key\":[2]"), (true, "\"New\":null"), (true, "\"New\":2"), (false, "\"New\":3")]
    {
        let time = if time { "\"Timestamp\":\"2026-11-20T09:00:00Z\"," } else { "" };
        text += &row(&format!("{time}{members}"));
    }
    let many: Vec<String> = (0..150).map(|number| format!("\"Many{number}\":true")).collect();
    text += &row(&format!("\"Timestamp\":\"2026-11-20T09:00:00Z\",{}", many.join(",")));
    text += "{\"category\":\"AdvancedHunting-NewTable\",\"properties\":{\"a\":1}}\n{\"category\":\"x\"}\n{\"b\":1}\n";
    let budget = MemoryBudget::new(1 << 30);
    let decoded = decoder.decode(raw_batch(Framing::Lines, None, &[text.as_bytes()]), &budget);
    assert_eq!(decoded.dead_letters.len(), 1, "a row without its time is refused");

    let counts = |name: &str| -> BTreeMap<String, u64> {
        let families = set.registry().gather();
        let family = families.iter().find(|family| family.name() == name).expect("declared and counted");
        let series = family.get_metric().iter().map(|metric| {
            let labels: Vec<&str> = metric.get_label().iter().map(|label| label.value()).collect();
            (labels.join(" "), metric.get_counter().get_value() as u64)
        });
        series.collect()
    };
    let columns = counts("weir_decode_unknown_columns_total");
    assert_eq!(columns["New DeviceInfo"], 2, "neither the null nor the refused row counts");
    assert_eq!(columns["Odd_key DeviceInfo"], 1);
    assert_eq!(columns.len(), 101, "a hundred names, and all others together");
    assert_eq!(columns["other DeviceInfo"], 52);
    assert_eq!(
        counts("weir_decode_unknown_table_records_total"),
        BTreeMap::from([("NewTable".to_owned(), 1), ("UnroutedEvents".to_owned(), 1), ("x".to_owned(), 1),])
    );
}
