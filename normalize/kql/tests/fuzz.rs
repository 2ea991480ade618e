//! What must hold for any text and any values: nothing panics, and what compiles runs.
//!
//! `WEIR_FUZZ_SECONDS` is how long the mutation of tokens goes on (default 10), `WEIR_FUZZ_SEED` where it starts; a failure
//! prints the query. `scripts/fuzz.sh` does the same with coverage as its guide.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray};
use arrow::array::{DurationMicrosecondArray, TimestampMicrosecondArray};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Mode, compile, reference};

#[path = "fuzz/check.rs"]
mod check;
#[path = "fuzz/mutator.rs"]
mod mutator;

/// Longest that one query of at most 64 KiB may take, on a machine that does much else.
const MOST: Duration = Duration::from_secs(20);

#[test]
fn no_mutation_of_tokens_makes_anything_panic() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let end = Instant::now() + Duration::from_secs(number("WEIR_FUZZ_SECONDS", 10));
    let mutator = mutator::Mutator::new(Path::new(env!("CARGO_MANIFEST_DIR")), SEEDS);
    let mut random = mutator::Random(number("WEIR_FUZZ_SEED", 0x5eed) | 1);
    let mut cases = 0;
    let mut query = String::new();
    while Instant::now() < end || cases < 100 {
        if random.below(8) == 0 || query.is_empty() {
            query = mutator.seed(&mut random).to_owned();
        }
        query = mutator.mutate(&query, 1 << 16, &mut random);
        let started = Instant::now();
        let checked = std::panic::catch_unwind(|| {
            check::parses(&query);
            check::binds(&query, "[1, {\"a\": 'b'}] x=y");
        });
        assert!(checked.is_ok(), "case {cases} fails:\n{query}");
        assert!(started.elapsed() < MOST, "case {cases} takes {:?}:\n{query}", started.elapsed());
        cases += 1;
    }
    println!("{cases} queries");
}

fn table() -> TableSchema {
    use ColumnType::{Bool, Datetime, Dynamic, Int, Long, Real, String, Timespan};
    let columns = [
        ("s", String),
        ("u", String),
        ("i", Int),
        ("l", Long),
        ("r", Real),
        ("b", Bool),
        ("t", Datetime),
        ("p", Timespan),
        ("d", Dynamic),
    ];
    TableSchema { name: "T".into(), columns: columns.map(|(name, ty)| Column::new(name, ty)).to_vec() }
}

/// Queries that mutation starts from.
const SEEDS: &[&str] = &[
    "T | where s has 'x' and l in (1, 2) | extend a = case(s == 'a', 1, s == 'b', 2, 0) | project a, s",
    "let f = (x:long = 5, T:(*)) { T | extend y = x }; f(T = T) | project-away a*, *b | union T",
    "T | parse kind=regex s with 'a' b:long * 'c' d | mv-expand d to typeof(string) | lookup (datatable(s:string)['x']) on s",
    "T | parse-kv s as (a:string, b:int) with (pair_delimiter=' ', quote='\"') | where d.a['b'][0] between (1d .. 2h)",
    "T | mv-apply e = d to typeof(string) on (summarize m = make_list(e), count() by s | top 3 by count_) | project m",
    "datatable(k:long, v:string)[1, 'a', 2, 'b'] | join kind=fullouter (range k from 1 to 3 step 1) on k | summarize arg_max(k, *) by v | sort by k | take 2",
    "print dynamic({'a':[1,2,datetime(2020-01-01)]}), @'x', h\"y\", ```z```, 0x1F, 1.5e3, bool(null)",
];

fn mutated() -> impl Strategy<Value = String> {
    (0..SEEDS.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,6}").prop_map(
        |(seed, at, length, insert)| {
            let mut chars: Vec<char> = SEEDS[seed].chars().collect();
            let start = at.index(chars.len());
            let end = start + length.index((chars.len() - start).min(12) + 1);
            chars.splice(start..end, insert.chars());
            chars.into_iter().collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_makes_the_compiler_panic(query in "\\PC{0,80}") {
        let _ = compile(&query, &table(), Mode::Strict);
    }

    #[test]
    fn no_mutation_makes_the_compiler_panic_or_a_render_fail(query in mutated()) {
        for mode in [Mode::Strict, Mode::Lenient] {
            match compile(&query, &table(), mode) {
                Ok(program) => {
                    let empty = RecordBatch::new_empty(table().arrow());
                    prop_assert!(program.run(&empty).is_ok());
                }
                Err(errors) => {
                    prop_assert!(!errors.is_empty());
                    for error in errors {
                        let _ = error.render("q", &query, 1);
                    }
                }
            }
        }
    }
}

/// A value of each kind that a column may hold, with the odd ones.
fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(
        0.9,
        prop_oneof![
            "\\PC{0,20}",
            "[a-c_ .,:=/\\\\\"'{}\\[\\]0-9éÜß-]{0,24}",
            Just("10.1.2.3/8".to_owned()),
            Just("2020-02-30T25:00:00Z".to_owned()),
            Just("{\"a\":[1,{\"b\":null}]".to_owned()),
        ],
    )
}

fn json() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(
        0.9,
        prop_oneof![
            "[\\[\\]{}:,\"a-c0-9 nultrefs.\\\\]{0,24}",
            Just("{\"a\":{\"b\":[1,\"x\",null]},\"c\":-1e400}".to_owned()),
            Just("[9223372036854775808, -0, 1.5, \"\\ud800\", true]".to_owned()),
        ],
    )
}

fn time() -> impl Strategy<Value = Option<i64>> {
    prop::option::weighted(0.9, prop_oneof![any::<i64>(), -62_135_596_800_000_000_i64..253_402_300_800_000_000])
}

prop_compose! {
    fn batch()(
        rows in prop::collection::vec((text(), text(), any::<Option<i32>>(), any::<Option<i64>>(), any::<Option<f64>>(),
            any::<Option<bool>>(), time(), any::<Option<i64>>(), json()), 0..6)
    ) -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("s", Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringViewArray>())),
            ("u", Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringViewArray>())),
            ("i", Arc::new(rows.iter().map(|row| row.2).collect::<Int32Array>())),
            ("l", Arc::new(rows.iter().map(|row| row.3).collect::<Int64Array>())),
            ("r", Arc::new(rows.iter().map(|row| row.4).collect::<Float64Array>())),
            ("b", Arc::new(rows.iter().map(|row| row.5).collect::<BooleanArray>())),
            ("t", Arc::new(rows.iter().map(|row| row.6).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
            ("p", Arc::new(rows.iter().map(|row| row.7).collect::<DurationMicrosecondArray>())),
            ("d", Arc::new(rows.iter().map(|row| row.8.as_deref()).collect::<StringViewArray>())),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }
}

/// Every callable function of the reference on every combination of columns that it accepts, one query each.
fn calls() -> Vec<(String, weir_kql::Program)> {
    let mut programs = Vec::new();
    let columns = ["s", "l", "r", "b", "t", "p", "d", "i"];
    let all = columns;
    for function in reference() {
        // Many functions of one shape: the types that they take, and one that they do not.
        let columns: &[&str] = match function.family {
            "units" => &["r", "s"],
            "series" => &["d", "r", "s"],
            _ => &all,
        };
        let operator = !function.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let mut calls = vec![format!("{}()", function.name)];
        for a in columns {
            calls.push(format!("{}({a})", function.name));
            for b in columns {
                calls.push(format!("{}({a}, {b})", function.name));
                calls.push(format!("{a} {} {b}", function.name));
                calls.push(format!("{a} {} ({b}, {b})", function.name));
                for c in if operator { &columns[..0] } else { columns } {
                    calls.push(format!("{}({a}, {b}, {c})", function.name));
                    if matches!(function.name, "indexof" | "make_datetime" | "make_timespan" | "case") {
                        calls.push(format!("{}({a}, {b}, {c}, l, l)", function.name));
                    }
                }
            }
        }
        if function.name.starts_with("geo_") {
            calls.extend(["r, r, r, r", "r, l, r, r, r"].map(|args| format!("{}({args})", function.name)));
        }
        for call in calls {
            if let Ok(program) = compile(&format!("T | project x = {call}"), &table(), Mode::Lenient) {
                programs.push((call, program));
            }
        }
    }
    programs
}

#[test]
fn no_value_makes_a_function_panic() {
    let programs = calls();
    let covered: Vec<&str> = reference()
        .iter()
        .map(|function| function.name)
        .filter(|name| !programs.iter().any(|(call, _)| call.contains(name)))
        .collect();
    assert_eq!(covered, ["case of a text", "[]", "bag_merge of a pack"], "every function is called with some types");
    let mut runner = TestRunner::new(ProptestConfig::with_cases(60));
    runner
        .run(&batch(), |batch| {
            for (call, program) in &programs {
                let result = program.run(&batch).map_err(|error| TestCaseError::fail(format!("{call}: {error}")))?;
                prop_assert_eq!(result.num_rows(), batch.num_rows(), "{}", call);
            }
            Ok(())
        })
        .expect("no value makes a function panic");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_value_makes_an_operator_panic(batch in batch()) {
        for query in [
            "T | where s has u | extend x = d.a.b[0], y = d[-1], z = tostring(d.c), w = d[s] | project x, y, z, w",
            "T | parse s with a ':' b:long * 'x' c | parse kind=regex u with '(' q:real ')' | project a, b, c, q",
            "T | parse-kv s as (a:string, b:long) with (pair_delimiter=' ', kv_delimiter='=', quote='\"', greedy=true)",
            "T | mv-expand with_itemindex=n d | extend e = d.a | where isnotempty(e)",
            "T | lookup (datatable(s:string, k:int)['a', 1, '', 2, 'a', 3]) on s | where k > 1",
            "union (T | where b), (T | where not(b) | extend extra = l), (T | project s)",
            "T | mv-apply e = d on (where isnotempty(e) | summarize m = make_set(e, 3), c = count(), arg_max(tolong(e), e) by k = gettype(e) | top 2 by c desc) | project m, c, k, s",
            "T | mv-apply with_itemindex=n e = d to typeof(real), f = d.a on (summarize s = sum(e), v = stdev(e), p = percentile(e, 50), b = make_bag(f), x = minif(e, n > 0), y = strcat_array(make_list(f), ',')) | extend z = s + 1",
            "T | mv-apply e = d on (mv-apply f = e on (summarize c = count()) | sort by c asc | take 1) | project s, c",
            "T | invoke _ASIM_ResolveDvcFQDN('s') | invoke _ASIM_ResolveDnsQueryType('l') | extend ut = _ASIM_GetUsernameType(u), wt = _ASIM_GetWindowsUserType(u, s)",
            "T | extend m = bag_merge(pack_nonempty('s', s, 'd', d, 'r', r, 't', t), d) | project m, k = bag_keys(m)",
            "T | project c = case(s == 'a', 1, s == 'b', 2, s == '', 3, 0), f = format_datetime(t, u), g = format_timespan(p, u)",
        ] {
            let program = compile(query, &table(), Mode::Lenient).expect(query);
            let result = program.run(&batch).expect("data never makes a program fail");
            prop_assert_eq!(result.schema(), program.output().arrow());
        }
    }
}
