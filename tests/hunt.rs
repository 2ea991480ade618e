//! `weir hunt`: KQL over a lake that `weir run` wrote.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, FieldRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt as _;
use serde_json::{Value, json};
use weir_contract::ack::Ack;
use weir_contract::batch::{Framing, RawBatch, RawRecord};
use weir_contract::datetime::format_iso;
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats};
use weir_contract::schema::{ColumnType, TableSchema};
use weir_hunt::{Hunter, Settings, Table};
use weir_ingest::decode::Decoder;
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::schema::RawTables;
use weir_kql::Mode;
use weir_normalize::library::{self, Library};
use weir_sink::lake::read::Lake;
use weir_sink::lake::{DATE_COLUMN, TIME_COLUMN};

use crate::support::weir::{Workplace, own_samples, run_once, text, weir};

const DAYS: i64 = 5;
const PER_DAY: i64 = 40;
/// 2026-11-17
const FIRST: i64 = 1_795_132_800_000_000 - 3 * 86_400_000_000;
const DAY: i64 = 86_400_000_000;

/// A lake with process events of five days, one file per day, and its raw sample tables.
fn lake() -> Workplace {
    let place = Workplace::new();
    let (_, text) = own_samples().into_iter().find(|(name, _)| name == "DeviceProcessEvents").expect("a sample");
    let mut record: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let mut lines = String::new();
    for day in 0..DAYS {
        for number in 0..PER_DAY {
            let properties = &mut record["properties"];
            properties["Timestamp"] = format_iso(FIRST + day * DAY + number * 60_000_000).into();
            properties["ProcessId"] = (day * PER_DAY + number).into();
            properties["ProcessCommandLine"] = format!("tool.exe --day {day} --number n{number}").into();
            properties["AccountName"] = format!("user{}", number % 4).into();
            properties["AccountUpn"] = format!("user{}@contoso.example", number % 4).into();
            lines.push_str(&record.to_string());
            lines.push('\n');
        }
    }
    place.write("input/events.json", lines);
    run_once(&place.files_to_lake());
    place
}

fn hunt(place: &Workplace, query: &str) -> Value {
    let lake = place.path("lake").display().to_string();
    let output = weir(&["hunt", "--lake", &lake, "--format", "json", query]).output().expect("the binary starts");
    assert!(output.status.success(), "{query}\n{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{}", text(&output.stdout)))
}

fn rows(place: &Workplace, query: &str) -> Value {
    hunt(place, query)["rows"].take()
}

#[test]
fn tables_of_a_lake_answer_queries() {
    let place = lake();
    assert_eq!(rows(&place, "ASimProcessEventLogs | count"), json!([[DAYS * PER_DAY]]));
    let query = "ASimProcessEventLogs | where TargetProcessCommandLine has 'n7' | summarize n = count() by \
                 Day = startofday(TimeGenerated) | sort by Day asc | project Day, n | take 1";
    let answer = hunt(&place, query);
    assert_eq!(answer["columns"], json!([{"name": "Day", "type": "datetime"}, {"name": "n", "type": "long"}]));
    assert_eq!(answer["rows"], json!([[format_iso(FIRST), 1]]));
    let query = "ASimProcessEventLogs | summarize arg_max(TimeGenerated, TargetProcessId) by TargetUsername | count";
    assert_eq!(rows(&place, query), json!([[4]]));
}

#[test]
fn unifying_functions_filter_and_bring_the_aliases() {
    let place = lake();
    let since = format_iso(FIRST + 3 * DAY);
    let query =
        format!("_Im_ProcessEvent(starttime=datetime({since}), commandline_has_any=dynamic(['n3', 'n4'])) | count");
    assert_eq!(rows(&place, &query), json!([[4]]));
    let query = "_Im_ProcessCreate(targetusername_has='user1') | where CommandLine has 'n1' and isnotempty(Hash) \
                 | summarize count(), users = make_set(User), dcount(Dvc)";
    let found = rows(&place, query);
    assert_eq!((&found[0][0], &found[0][2]), (&json!(DAYS), &json!(1)), "{found}");
    assert_eq!(found[0][1].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(rows(&place, "_ASim_ProcessTerminate() | count"), json!([[0]]));
    // A native table that the lake has not is empty, and has its columns.
    assert_eq!(
        rows(&place, "_Im_Dns(srcipaddr='10.0.0.1') | summarize count(), dcount(Src), take_any(Domain)"),
        json!([[0, 0, ""]])
    );
}

#[test]
fn every_unifying_function_runs() {
    let place = lake();
    let calls = weir_normalize::unifying::functions()
        .into_iter()
        .map(|(name, _)| format!("({name}() | summarize n = count())"));
    let calls: Vec<String> = calls.collect();
    let found = rows(&place, &format!("union {} | summarize sum(n), count()", calls.join(", ")));
    // Process events come by four functions: two of them ask for created processes alone.
    assert_eq!(found, json!([[4 * DAYS * PER_DAY, calls.len()]]));
}

#[test]
fn a_config_names_the_lake_too() {
    let place = lake();
    let config = place.files_to_lake().display().to_string();
    let query = place.write("query.kql", "ASimProcessEventLogs\n| count\n").display().to_string();
    let output = weir(&["hunt", "--config", &config, "--file", &query, "--format", "csv"]).output().expect("starts");
    assert_eq!(text(&output.stdout), format!("Count\n{}\n", DAYS * PER_DAY), "{}", text(&output.stderr));
    let query = "ASimProcessEventLogs | project EventType";
    let output =
        weir(&["hunt", "--config", &config, "--format", "table", "--limit", "2", query]).output().expect("starts");
    assert_eq!(text(&output.stdout), "EventType\n--------------\nProcessCreated\nProcessCreated\n2 rows\n");
}

#[test]
fn faults_of_a_query_point_to_their_place() {
    let place = lake();
    let lake = place.path("lake").display().to_string();
    let output = weir(&["hunt", "--lake", &lake, "ASimProcessEventLogs\n| where TargetProcesName == 'x'"])
        .output()
        .expect("starts");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("query:2:9") && error.contains("did you mean `TargetProcessName`?"), "{error}");
    let output = weir(&["hunt", "--lake", "/nowhere/at/all", "print 1"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there are no tables at `/nowhere/at/all`"), "{}", text(&output.stderr));
    let output = weir(&["hunt", "print 1"]).output().expect("starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

/// A hunter over the lake's process events, as the command makes it.
async fn hunter(lake: &Path) -> Hunter {
    let config = weir_sink::lake::config::LakeConfig::at(lake.display().to_string());
    let lake = Lake::open(&config).expect("a lake");
    let table = lake.queryable("ASimProcessEventLogs").await.expect("readable").expect("a table");
    let mut hunter = Hunter::new(Settings { partitions: 1, ..Settings::default() }).expect("an engine");
    hunter.register(Table::new(table.schema, table.provider).partitioned_by_day(TIME_COLUMN, DATE_COLUMN));
    hunter
}

/// Numbers of a plan's metrics by name, summed up; of `a total → b matched` the matched ones.
fn counts(plan: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (name, value) in plan.split([',', '[', ']', '{', '}']).filter_map(|metric| metric.trim().split_once('=')) {
        let number = value.rsplit('→').next().unwrap_or(value).trim();
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        if let Ok(number) = digits.parse::<u64>() {
            *counts.entry(name.to_owned()).or_default() += number;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_the_time_skips_the_files_of_other_days() {
    let place = lake();
    let hunter = hunter(&place.path("lake")).await;
    let day = |number: i64| format_iso(FIRST + number * DAY);
    let cases = [
        ("ASimProcessEventLogs | project TargetProcessId".to_owned(), DAYS as usize, DAYS * PER_DAY),
        (
            format!("ASimProcessEventLogs | where TimeGenerated >= datetime({}) | project TargetProcessId", day(3)),
            2,
            2 * PER_DAY,
        ),
        (
            format!(
                "ASimProcessEventLogs | where TimeGenerated between (datetime({}) .. 1h) | project TargetProcessId",
                day(2)
            ),
            1,
            PER_DAY,
        ),
        // The lake keeps statistics of few columns, of which this is none: every file is read.
        ("ASimProcessEventLogs | where TargetProcessId == '199' | project TimeGenerated".to_owned(), DAYS as usize, 1),
    ];
    for (query, files, found) in cases {
        let bound = hunter.compile(&query, &Arc::default(), FIRST).await.unwrap_or_else(|errors| panic!("{errors:?}"));
        let plan = hunter.analyze(&bound).await.expect("it runs");
        let read = plan.matches(".parquet").count();
        assert_eq!(read, files, "{query}\n{plan}");
        let rows = plan.lines().next().map(counts).and_then(|counts| counts.get("output_rows").copied());
        assert_eq!(rows.unwrap_or(0), found as u64, "{query}\n{plan}");
    }
}

/// The batches of a raw table that a sample holds, as the pipeline decodes them.
fn decoded(sample: &str, table: &str) -> Vec<RecordBatch> {
    let budget = MemoryBudget::new(1 << 30);
    let decoder = Decoder::new(Arc::new(RawTables::builtin()), IngestMetrics::new(&MetricSet::new()));
    let range = OffsetRange {
        partition: "sample".into(),
        start: Offset(0),
        next: Offset(sample.len() as u64),
        delivered: Offset(0),
    };
    let raw = RawBatch {
        origin: Arc::new(Origin { source: "test".into(), ranges: vec![range], positions: Repeats::Unrelated }),
        framing: Framing::Lines,
        default_table: None,
        records: vec![RawRecord { payload: sample.to_owned().into(), partition: 0, offset: Offset(0) }],
        ack: Ack::detached(),
        permit: budget.charge(sample.len()),
    };
    let decoded = decoder.decode(raw, &budget);
    decoded.ack.done();
    let mut batches = Vec::new();
    for batch in decoded.batches {
        batch.ack.done();
        if &*batch.table == table {
            batches.push(batch.rows);
        }
    }
    batches
}

/// Rows as text; a null string is the empty one.
fn lines(rows: &RecordBatch, schema: &TableSchema) -> Vec<String> {
    let plain = |(array, ty): (&ArrayRef, ColumnType)| -> ArrayRef {
        match ty {
            ColumnType::String => {
                let texts = array.as_string_view().iter().map(|text| Some(text.unwrap_or_default()));
                Arc::new(texts.collect::<StringViewArray>())
            }
            // Arrow prints no time of a named zone.
            ColumnType::Datetime => {
                cast(array, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)).unwrap()
            }
            _ => Arc::clone(array),
        }
    };
    let arrays: Vec<ArrayRef> =
        rows.columns().iter().zip(schema.columns.iter().map(|column| column.ty)).map(plain).collect();
    let options = FormatOptions::default().with_null("null");
    let cells: Vec<ArrayFormatter<'_>> =
        arrays.iter().map(|array| ArrayFormatter::try_new(array, &options).unwrap()).collect();
    let mut lines: Vec<String> = (0..rows.num_rows())
        .map(|row| cells.iter().map(|cells| cells.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_give_the_same_rows_at_ingest_and_over_the_stored_raw_table() {
    let raw = RawTables::builtin();
    let library =
        Library::compile(library::builtin().expect("valid"), |table| raw.schema(table).cloned(), Mode::Strict);
    let library = library.unwrap_or_else(|error| panic!("{error}"));
    let samples = own_samples();
    let mut compared = 0;
    for compiled in library.iter() {
        let mapping = &compiled.mapping;
        let name = mapping.name.rsplit('/').next().expect("a name");
        let (_, sample) = samples.iter().find(|(sample, _)| sample == name).expect("each mapping has samples");
        let batches = decoded(sample, &mapping.source_table);
        let schema = raw.schema(&mapping.source_table).expect("a raw table").clone();
        let schema = library::readable(mapping, schema, |table| raw.schema(table).cloned()).expect("it compiled");
        let rows = concat_batches(&batches[0].schema(), &batches).expect("one schema");
        // What a mapping looks up in another table is null here, as in a batch that has none of its rows.
        let null = |field: &FieldRef| new_null_array(field.data_type(), rows.num_rows());
        let column = |field: &FieldRef| rows.column_by_name(field.name()).cloned().unwrap_or_else(|| null(field));
        let columns = schema.arrow().fields().iter().map(column).collect();
        let rows = RecordBatch::try_new(schema.arrow(), columns).expect("one schema");
        let expected = compiled.program.run(&rows).expect("it runs");
        let mut hunter = Hunter::new(Settings::default()).expect("an engine");
        hunter.register(Table::of_rows(schema, vec![rows]).expect("a table"));
        let query = &mapping.parser.text;
        let bound = hunter.compile(query, &Arc::default(), FIRST).await.unwrap_or_else(|errors| {
            panic!("{}", errors.iter().map(|error| error.render(&mapping.name, query, 1)).collect::<String>())
        });
        let answer = hunter.run(&bound).await.expect("it starts");
        let schema = answer.schema;
        assert_eq!(schema.columns, compiled.program.output().columns, "{}", mapping.name);
        let found: Vec<RecordBatch> = answer.rows.try_collect().await.expect("it runs");
        let found = concat_batches(&schema.arrow(), &found).expect("one schema");
        assert_eq!(lines(&found, &schema), lines(&expected, &schema), "{}", mapping.name);
        compared += found.num_rows();
    }
    assert!(compared > 20, "only {compared} rows were compared");
}
