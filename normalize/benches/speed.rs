//! The costs of the query language, as three limits that must hold.
//!
//! 1. What the built-in mapping of DeviceProcessEvents costs beside decoding the same rows from JSON: at most 25 %.
//! 2. Binding a parser of 500 lines: under 50 ms.
//! 3. 25 constant paths of one dynamic column beside one path: at most twice.
//!
//! One thread; no disk. Both sides of a ratio run in turns on the same data, and what counts is the thread's time on a
//! processor, so that what else the machine does matters little; printed are medians. The allocator keeps freed memory
//! (the bench starts itself anew with `MIMALLOC_PURGE_DELAY=-1` unless the variable is set), so that neither side pays
//! for pages that the system clears. `WEIR_BENCH_INPUT` names a file of process events from `benches/generate.py`;
//! without it the bench calls that script. Exits with 1 where a limit is broken.

use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use rustix::time::{ClockId, clock_gettime};
use weir_contract::ack::Ack;
use weir_contract::batch::{Framing, RawBatch, RawRecord};
use weir_contract::memory::MemoryBudget;
use weir_contract::metrics::MetricSet;
use weir_contract::position::{Offset, OffsetRange, Origin, Repeats};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_ingest::decode::Decoder;
use weir_ingest::metrics::IngestMetrics;
use weir_ingest::schema::RawTables;
use weir_kql::{Mode, compile};
use weir_normalize::library::{self, Library};
use weir_normalize::metrics::NormalizeMetrics;
use weir_normalize::normalizer::Normalizer;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes that a file source hands over at once.
const CHUNK_BYTES: usize = 4 << 20;
const CHUNKS: usize = 8;
/// Measured turns, after one that warms up.
const TURNS: usize = 15;

/// A name, and what measures and tells whether the limit holds.
type Measurement = (&'static str, fn() -> bool);

fn main() -> ExitCode {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        let program = std::env::current_exe().expect("the bench's own path");
        let mut again = Command::new(program);
        let status = again.args(std::env::args_os().skip(1)).env("MIMALLOC_PURGE_DELAY", "-1").status();
        return if status.expect("the bench starts again").success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // Names of measurements; cargo adds `--bench`. None: all.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let measurements: [Measurement; 3] = [("mapping", mapping), ("binding", binding), ("paths", paths)];
    let mut held = true;
    for (name, measure) in measurements {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            held &= measure();
        }
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn verdict(what: &str, value: f64, most: f64, unit: &str) -> bool {
    let held = value <= most;
    println!("{what}: {value:.2}{unit} (limit {most}{unit}){}", if held { "" } else { " EXCEEDED" });
    held
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// The median of each side, in seconds; the two run in turns.
fn compare(mut one: impl FnMut() -> Duration, mut other: impl FnMut() -> Duration) -> (f64, f64) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let times = (one(), other());
        if turn > 0 {
            ones.push(times.0);
            others.push(times.1);
        }
    }
    (median(&mut ones), median(&mut others))
}

/// How long the work keeps this thread on a processor.
fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let started = clock_gettime(ClockId::ThreadCPUTime);
    black_box(work());
    let ended = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = (ended.tv_sec - started.tv_sec) * 1_000_000_000 + (ended.tv_nsec - started.tv_nsec);
    Duration::from_nanos(nanoseconds as u64)
}

fn mapping() -> bool {
    let text = process_events();
    let chunks = chunks(&text);
    let events: usize = chunks.iter().map(|chunk| chunk.lines().count()).sum();
    let raw = RawTables::builtin();
    let library =
        match Library::compile(library::builtin().expect("mappings"), |table| raw.schema(table).cloned(), Mode::Strict)
        {
            Ok(library) => library,
            Err(error) => panic!("{error}"),
        };
    let budget = MemoryBudget::new(4 << 30);
    let normalizer = Normalizer::new(library, NormalizeMetrics::new(&MetricSet::new()), budget.clone());
    let decoder = Decoder::new(Arc::new(raw), IngestMetrics::new(&MetricSet::new()));
    let mut times = Vec::new();
    for turn in 0..=TURNS {
        let (mut decoding, mut mapping) = (Duration::ZERO, Duration::ZERO);
        // As a worker of the pipeline does: each batch is mapped as soon as it is decoded.
        for chunk in &chunks {
            let input = raw_batch(chunk, &budget);
            let mut decoded = None;
            decoding += timed(|| decoded = Some(decoder.decode(input, &budget)));
            let decoded = decoded.expect("decoded just now");
            assert!(decoded.dead_letters.is_empty(), "{:?}", decoded.dead_letters);
            let rows: usize = decoded.batches.iter().map(|batch| batch.rows.num_rows()).sum();
            let mut made = Vec::new();
            mapping += timed(|| made.extend(normalizer.normalize_all(decoded.batches)));
            let made: usize = made.iter().flat_map(|made| &made.batches).map(|batch| batch.rows.num_rows()).sum();
            assert_eq!(made, rows);
        }
        if turn > 0 {
            times.push((decoding, mapping));
        }
    }
    let (mut decoding, mut mapping): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    let (decoding, mapping) = (median(&mut decoding), median(&mut mapping));
    println!(
        "process events: decoding {:.2} µs, mapping {:.2} µs an event",
        decoding * 1e6 / events as f64,
        mapping * 1e6 / events as f64
    );
    verdict("mapping beside decoding", mapping / decoding * 100.0, 25.0, " %")
}

fn process_events() -> String {
    let path = std::env::var_os("WEIR_BENCH_INPUT").map_or_else(generated, PathBuf::from);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn generated() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/generate.py");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("process-12000.jsonl");
    if !out.exists() {
        let status = Command::new("python3").arg(script).args(["--events", "12000", "--out"]).arg(&out).status();
        assert!(status.expect("python3 runs").success(), "benches/generate.py failed");
    }
    out
}

/// The first chunks of whole lines.
fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while chunks.len() < CHUNKS && rest.len() > CHUNK_BYTES {
        let end = rest.as_bytes()[..CHUNK_BYTES].iter().rposition(|byte| *byte == b'\n').expect("a line end") + 1;
        let (chunk, after) = rest.split_at(end);
        chunks.push(chunk);
        rest = after;
    }
    assert!(!chunks.is_empty(), "the input has at least {CHUNK_BYTES} bytes");
    chunks
}

fn raw_batch(text: &str, budget: &MemoryBudget) -> RawBatch {
    let range = OffsetRange {
        partition: "bench".into(),
        start: Offset(0),
        next: Offset(text.len() as u64),
        delivered: Offset(0),
    };
    RawBatch {
        origin: Arc::new(Origin { source: "bench".into(), ranges: vec![range], positions: Repeats::Unrelated }),
        framing: Framing::Lines,
        default_table: None,
        records: vec![RawRecord { payload: text.to_owned().into(), partition: 0, offset: Offset(0) }],
        ack: Ack::detached(),
        permit: budget.charge(text.len()),
    }
}

fn binding() -> bool {
    let parser = parser();
    let lines = parser.lines().count();
    let columns = ["EventID", "Level"].map(|name| Column::new(name, ColumnType::Long)).into_iter();
    let texts = ["Computer", "Message", "Account", "Path", "SourceIp", "Url"];
    let columns = columns.chain(texts.map(|name| Column::new(name, ColumnType::String)));
    let columns = columns.chain([Column::new("EventData", ColumnType::Dynamic)]);
    let table = TableSchema { name: "Raw".into(), columns: columns.collect() };
    let mut times = Vec::new();
    for turn in 0..=TURNS {
        let time = timed(|| match compile(&parser, &table, Mode::Strict) {
            Ok(program) => assert_eq!(program.warnings().len(), 0, "{:?}", program.warnings()),
            Err(errors) => panic!("{}", errors[0].render("parser", &parser, 1)),
        });
        if turn > 0 {
            times.push(time);
        }
    }
    verdict(&format!("binding a parser of {lines} lines"), median(&mut times) * 1e3, 50.0, " ms")
}

/// A parser of 500 lines in the shape of the public ones: an outer function with parameters, lookup tables, branches of a
/// union over one table, helper functions with tabular parameters, captures, paths, long conditions.
fn parser() -> String {
    let mut text = String::from("let parser = (disabled:bool = false, pack:bool = false) {\n");
    for table in 0..4 {
        let _ = writeln!(
            text,
            "  let Lookup{table} = datatable(EventID:long, EventType{table}:string, Result{table}:string)\n  ["
        );
        for row in 0..25 {
            let _ = writeln!(text, "    {}, \"Type {row}\", \"Success\",", table * 100 + row);
        }
        text.push_str("  ];\n");
    }
    text.push_str("  let Host = (T:(Computer:string)) {\n    T\n    | extend Parts = split(Computer, '.')\n");
    text.push_str("    | extend Name = tostring(Parts[0]), Domain = strcat_array(array_slice(Parts, 1, -1), '.')\n");
    text.push_str("    | project-away Parts\n  };\n  union\n");
    let mut branch = 0;
    while text.lines().count() < 470 {
        let _ = writeln!(text, "  {}(", if branch == 0 { "" } else { "," });
        let _ = writeln!(
            text,
            "    Raw\n    | where not(disabled)\n    | where EventID in ({branch}, {}, 4624)",
            branch + 100
        );
        let _ = writeln!(text, "    | where Message has 'branch {branch}' or Account startswith 'svc-{branch}'");
        let _ = writeln!(text, "    | parse Message with * 'user=' User:string ' id=' Id:long ' ' Rest:string");
        let _ = writeln!(
            text,
            "    | parse-kv Rest as (src:string, dst:string, port:int) with (pair_delimiter=' ', kv_delimiter='=')"
        );
        let _ = writeln!(text, "    | lookup Lookup{} on EventID\n    | invoke Host()", branch % 4);
        text.push_str("    | extend\n");
        for path in 0..12 {
            let _ = writeln!(text, "        Field{path} = tostring(EventData.Group{}.Value{path}),", path % 3);
        }
        text.push_str(
            "        Severity = case(Level == 1, 'High', Level == 2, 'Medium', Level == 3, 'Low', 'Informational'),\n",
        );
        text.push_str("        Ip = coalesce(src, extract(@'(\\d+\\.\\d+\\.\\d+\\.\\d+)', 1, SourceIp), 'unknown'),\n");
        text.push_str("        Kind = iff(isnotempty(User) and User endswith '$', 'Machine', iff(Id > 1000, 'Regular', 'System'))\n");
        text.push_str(
            "    | extend Extra = iff(pack, bag_pack('id', Id, 'port', port, 'rest', Rest), dynamic(null))\n",
        );
        text.push_str("    | project-away EventData, Rest\n  )\n");
        branch += 1;
    }
    while text.lines().count() < 497 {
        text.push_str("  | extend Domain = tolower(Domain), Name = toupper(Name)\n");
    }
    text.push_str("};\nparser(disabled = false)\n| project-rename Device = Computer\n");
    text
}

fn paths() -> bool {
    const ROWS: usize = 4096;
    const PATHS: usize = 25;
    let events: Vec<String> = (0..ROWS).map(event).collect();
    let bytes: usize = events.iter().map(String::len).sum();
    let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(&events));
    let batch = RecordBatch::try_from_iter([("d", column)]).expect("a batch");
    let table = TableSchema { name: "T".into(), columns: vec![Column::new("d", ColumnType::Dynamic)] };
    let mut held = true;
    for (label, open, close) in [("as text", "tostring(", ")"), ("as dynamic", "", "")] {
        let program = |count: usize| {
            let paths: Vec<String> = (0..count).map(|n| format!("p{n} = {open}{}{close}", PATH[n])).collect();
            compile(&format!("T | project {}", paths.join(", ")), &table, Mode::Strict).expect("binds")
        };
        let (one, many) = (program(1), program(PATHS));
        let run = |program: &weir_kql::Program| {
            timed(|| {
                for _ in 0..4 {
                    black_box(program.run(&batch).expect("runs"));
                }
            })
        };
        let (one, many) = compare(|| run(&one), || run(&many));
        let microseconds = |seconds: f64| seconds * 1e6 / (4 * ROWS) as f64;
        println!(
            "paths of events of {} bytes {label}: one {:.2} µs, {PATHS} {:.2} µs an event",
            bytes / ROWS,
            microseconds(one),
            microseconds(many)
        );
        held &= verdict(&format!("{PATHS} paths beside one, {label}"), many / one, 2.0, " times");
    }
    held
}

/// In the order of the documents now and then only, as in real queries.
const PATH: [&str; 25] = [
    "d.actor.displayName",
    "d.eventType",
    "d.published",
    "d.actor.alternateId",
    "d.actor.id",
    "d.client.userAgent.rawUserAgent",
    "d.client.userAgent.os",
    "d.client.ipAddress",
    "d.client.geographicalContext.city",
    "d.client.geographicalContext.geolocation.lat",
    "d.outcome.result",
    "d.outcome.reason",
    "d.severity",
    "d.displayMessage",
    "d.uuid",
    "d.target[0].displayName",
    "d.target[0].alternateId",
    "d.target[1].id",
    "d.debugContext.debugData.requestUri",
    "d.debugContext.debugData.threatSuspected",
    "d.authenticationContext.externalSessionId",
    "d.securityContext.asNumber",
    "d.securityContext.isp",
    "d.transaction.id",
    "d.legacyEventType",
];

/// An event of an identity provider, about 1.6 kB.
fn event(n: usize) -> String {
    format!(
        r#"{{"actor":{{"id":"00u{n:017}","type":"User","alternateId":"user{n}@example.com","displayName":"User Number {n}","detailEntry":null}},"client":{{"userAgent":{{"rawUserAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0 Safari/537.36","os":"Windows 10","browser":"CHROME"}},"zone":"null","device":"Computer","id":null,"ipAddress":"192.0.2.{}","geographicalContext":{{"city":"Springfield","state":"Oregon","country":"United States","postalCode":"97477","geolocation":{{"lat":44.05,"lon":-{}.02}}}}}},"authenticationContext":{{"authenticationProvider":null,"credentialProvider":null,"credentialType":null,"issuer":null,"interface":null,"authenticationStep":0,"externalSessionId":"trs{n:022}"}},"displayMessage":"User login to the portal \"{n}\"","eventType":"user.session.start","outcome":{{"result":"{}","reason":null}},"published":"2026-11-23T09:{:02}:{:02}.331Z","securityContext":{{"asNumber":{},"asOrg":"example net","isp":"example provider of access","domain":"example.net","isProxy":false}},"severity":"INFO","debugContext":{{"debugData":{{"requestId":"XkcAsWb8WjwDP76xh@1v8wAABp0","requestUri":"/api/v1/authn","deviceFingerprint":"541daf91d15bef64a7e08c946fd9a9d0","threatSuspected":"false","url":"/api/v1/authn?"}}}},"legacyEventType":"core.user_auth.login_success","transaction":{{"type":"WEB","id":"X{n:026}","detail":{{}}}},"uuid":"{:08x}-0dbf-11ea-9d3b-3f8a8a1b2c3d","version":"0","request":{{"ipChain":[{{"ip":"192.0.2.1","geographicalContext":{{"city":"Springfield","country":"United States"}},"version":"V4","source":null}}]}},"target":[{{"id":"0ua{n:017}","type":"AppUser","alternateId":"user{n}@example.com","displayName":"User Number {n}"}},{{"id":"0oa{n:017}","type":"AppInstance","alternateId":"portal","displayName":"Portal"}}]}}"#,
        n % 250,
        n % 120,
        if n.is_multiple_of(3) { "FAILURE" } else { "SUCCESS" },
        n / 60 % 60,
        n % 60,
        n % 65_000,
        n
    )
}
