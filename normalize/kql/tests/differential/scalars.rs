//! Scalar values, beside those of duckdb-kql (PyPI), which translates KQL to DuckDB's SQL and was held against Microsoft's
//! emulator: calls of every function and operator, and random expressions, over four rows.

use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DurationMicrosecondType, Float64Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use weir_contract::schema::{ColumnType, TableSchema};
use weir_kql::{Mode, compile};

use crate::classes::{self, Class, Difference, Right};
use crate::generator::TYPES;
use crate::random::{self, Random};
use crate::{ask, calls, repository, tool};

/// Calls of each function, and random expressions.
const CALLS: usize = 6;
const EXPRESSIONS: usize = 600;

/// Ordinary values, odd ones, and nothing at all.
const ROWS: &str = r#"datatable(s:string, u:string, i:int, l:long, r:real, b:bool, t:datetime, p:timespan, d:dynamic, g:guid)[
    "Contoso_Server-01 a.b", "a,b;c", 7, 42, 2.5, true, datetime(2020-02-29 13:14:15.123456), timespan(1.02:03:04),
    dynamic({"a": {"b": [1, 2, "x"]}, "k": "text", "items": [3, 4]}), guid(74be27de-1e4e-49d9-b579-fe0b331d3642),
    "", "10.1.2.3", -3, -20, -0.5, false, datetime(1999-12-31 23:59:59), timespan(-00:00:01.5),
    dynamic([1, "a", null, 2.5]), guid(00000000-0000-0000-0000-000000000000),
    "https://a.b/c?d=e", "Straße 2020-01-02", 0, 1099511627776, 1e10, true, datetime(1970-01-01), 365d,
    dynamic("a,b"), guid(0f8fad5b-d9cb-469f-a165-70867728950e),
    "YWJj", "", int(null), long(null), real(null), bool(null), datetime(null), timespan(null), dynamic(null), guid(null)]"#;

#[derive(serde::Deserialize)]
struct Answer {
    values: Option<Vec<Option<String>>>,
}

fn rows() -> RecordBatch {
    let nowhere = TableSchema { name: "NoTable".into(), columns: Vec::new() };
    let program = compile(ROWS, &nowhere, Mode::Strict).expect("a constant table");
    program.run(&RecordBatch::new_empty(Arc::new(Schema::empty()))).expect("runs")
}

/// The values as the other side's script writes them.
fn texts(column: &ArrayRef, ty: ColumnType) -> Vec<Option<String>> {
    let text = |row: usize| match ty {
        ColumnType::Bool => column.as_boolean().value(row).to_string(),
        ColumnType::Int => column.as_primitive::<Int32Type>().value(row).to_string(),
        ColumnType::Long => column.as_primitive::<Int64Type>().value(row).to_string(),
        ColumnType::Real => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        ColumnType::Datetime => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        ColumnType::Timespan => column.as_primitive::<DurationMicrosecondType>().value(row).to_string(),
        ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => column.as_string_view().value(row).to_owned(),
    };
    (0..column.len()).map(|row| column.is_valid(row).then(|| text(row))).collect()
}

fn same(ours: Option<&str>, theirs: Option<&str>, ty: ColumnType) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    match (ours, theirs) {
        // A string is never null.
        _ if ty == ColumnType::String => ours.unwrap_or_default() == theirs.unwrap_or_default(),
        (None, None) => true,
        (None, Some(text)) | (Some(text), None) => ty == ColumnType::Dynamic && text == "null",
        (Some(ours), Some(theirs)) => match ty {
            // Their whole numbers may be reals.
            ColumnType::Real | ColumnType::Int | ColumnType::Long => match (number(ours), number(theirs)) {
                _ if ours == theirs => true,
                (Some(a), Some(b)) => {
                    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
                }
                _ => false,
            },
            ColumnType::Dynamic => {
                let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                ours == theirs || json(ours).is_some_and(|value| json(theirs).as_ref() == Some(&value))
            }
            _ => ours == theirs,
        },
    }
}

#[test]
fn duckdb_kql_gives_the_same_values() {
    let Some(python) = tool("WEIR_DUCKDB_KQL") else { return };
    let table = random::table();
    let compiled = |expression: &str| compile(&format!("T | project x = {expression}"), &table, Mode::Strict).ok();
    let reads = |call: &str| compiled(call).is_some_and(|program| !program.inputs().is_empty());
    let mut expressions: Vec<String> = calls::calls(CALLS, reads).into_values().flatten().collect();
    expressions.extend(CLASSES.iter().map(|class| class.example.to_owned()));
    let of_the_moment = |expression: &String| expression.contains("now(") || expression.contains("ago(");
    let mut random = Random::new();
    let random = TYPES.iter().cycle().take(EXPRESSIONS).map(|ty| random.expr(ty, 3));
    expressions.extend(random.filter(|expression| !of_the_moment(expression) && reads(expression)));

    let queries: Vec<String> = expressions.iter().map(|expression| format!("T | project x = {expression}")).collect();
    let mut command = Command::new(python);
    command.arg(repository().join("scripts/kql_differential.py"));
    let answers: Vec<Answer> = ask(command, &serde_json::json!({"table": ROWS, "queries": queries}));
    assert_eq!(answers.len(), expressions.len());

    let rows = rows();
    let (mut agreed, mut only_here, mut differences) = (0, 0, Vec::new());
    for (expression, answer) in expressions.iter().zip(&answers) {
        let program = compiled(expression).unwrap_or_else(|| panic!("the example `{expression}` compiles"));
        let Some(theirs) = &answer.values else {
            only_here += 1;
            continue;
        };
        let ty = program.output().columns[0].ty;
        let ours = texts(program.run(&rows).expect("runs").column(0), ty);
        assert_eq!(ours.len(), theirs.len(), "{expression}");
        let differs = (0..ours.len()).find(|row| !same(ours[*row].as_deref(), theirs[*row].as_deref(), ty));
        match differs {
            None => agreed += 1,
            Some(row) => {
                let shown = |value: &Option<String>| Ok(value.clone().unwrap_or_else(|| "null".to_owned()));
                let (ours, theirs) = (shown(&ours[row]), shown(&theirs[row]));
                differences.push(Difference { query: expression.clone(), ours, theirs });
            }
        }
    }
    println!("{agreed} agree, {} disagree, {only_here} run only here", differences.len());
    assert!(agreed > 700, "the comparison has become an empty one");
    classes::assert_listed("values", CLASSES, &differences);
}

#[test]
fn the_differences_from_duckdb_kql_are_documented() {
    classes::assert_documented("## duckdb-kql", CLASSES);
}

/// What stays different.
const CLASSES: &[Class] = &[
    Class {
        name: "division and remainder of reals",
        example: "r % i",
        right: Right::Weir,
        why: "IEEE's: exact remainders, NaN or infinity for a divisor of zero (page of `isinf`); the other computes a \
              remainder in steps that lose digits, and gives null for a column that is zero (its own list of divergences)",
        is: |difference| {
            let reals =
                [&difference.ours, &difference.theirs].map(|value| value.as_ref().is_ok_and(|text| is_real(text)));
            difference.query.contains([' ', '('])
                && difference.query.contains(['%', '/'])
                && reals.iter().any(|real| *real)
        },
    },
    Class {
        name: "halves",
        example: "round(r)",
        right: Right::Open,
        why: "no page says how `round` takes a half: we to the even side, the other away from zero",
        is: |difference| difference.query.contains("round("),
    },
    Class {
        name: "bins of a negative size",
        example: "bin(l, i)",
        right: Right::Weir,
        why: "null (page of `bin`)",
        is: |difference| difference.query.contains("bin(") && is(&difference.ours, "null"),
    },
    Class {
        name: "shifts by a negative number",
        example: "binary_shift_right(l, i)",
        right: Right::Weir,
        why: "null (page of `binary_shift_right`)",
        is: |difference| difference.query.contains("binary_shift_") && is(&difference.ours, "null"),
    },
    Class {
        name: "unlike branches of a condition",
        example: "case(b, r, d)",
        right: Right::Weir,
        why: "beside a dynamic the other branches' type counts, and branches of unlike types make a dynamic of each (as \
              Microsoft's binder types both); the other casts to what DuckDB's types meet in",
        is: |difference| difference.query.starts_with("case(") || difference.query.starts_with("iff("),
    },
    Class {
        name: "null among the terms",
        example: "s has_all ('contoso', r)",
        right: Right::Weir,
        why: "a null is the empty text, which every text has (measured on the emulator for arrays of terms)",
        is: |difference| {
            [" has_any (", " has_all ("].iter().any(|operator| difference.query.contains(operator))
                && is(&difference.ours, "true")
        },
    },
    Class {
        name: "null dynamics beside the affixes of terms",
        example: "s hasprefix d",
        right: Right::Weir,
        why: "the text of a null is the empty one to these four operators as to all others; the other makes a null of it \
              here alone",
        is: |difference| {
            ["hasprefix", "hassuffix"].iter().any(|operator| difference.query.contains(operator))
                && [" d", "d "].iter().any(|operand| difference.query.contains(operand))
        },
    },
    Class {
        name: "a column of arrays in a list",
        example: "d !in~ (d, s)",
        right: Right::Weir,
        why: "an array stands for its elements (measured on the emulator); the other takes only a constant one apart",
        is: |difference| difference.query.contains("in~ (") || difference.query.contains("in ("),
    },
    Class {
        name: "a null dynamic for a text",
        example: "countof('a.b', d)",
        right: Right::Weir,
        why: "its text is the empty one (measured on the emulator for `tostring`), so the function has a value",
        is: |difference| is(&difference.theirs, "null") && of_dynamic_text(&difference.query),
    },
    Class {
        name: "a dynamic text in functions of texts",
        example: "replace_string(d, 'a', 'b')",
        right: Right::Open,
        why: "the engine refuses the call (measured on the emulator), the binder takes it; we go by the text, the other \
              by its JSON with quotes",
        is: |difference| {
            difference.theirs.as_ref().is_ok_and(|text| text.starts_with('"')) && of_dynamic_text(&difference.query)
        },
    },
    Class {
        name: "whether null is a number",
        example: "isfinite(r)",
        right: Right::Weir,
        why: "`false`: the pages of `isnan`, `isinf` and `isfinite` know no third answer",
        is: |difference| {
            ["isnan(", "isinf(", "isfinite("].iter().any(|name| difference.query.starts_with(name))
                && is(&difference.ours, "false")
        },
    },
    Class {
        name: "timespans of parts out of range",
        example: "make_timespan(i, 0)",
        right: Right::Weir,
        why: "null (page of `make_timespan`)",
        is: |difference| difference.query.contains("make_timespan(") && is(&difference.ours, "null"),
    },
    Class {
        name: "microseconds of a time",
        example: "datetime_part('microsecond', t)",
        right: Right::Weir,
        why: "those of its second (example on the page of `datetime_part`); the other counts the seconds in",
        is: |difference| difference.query.contains("datetime_part('microsecond'"),
    },
    Class {
        name: "a text split by nothing",
        example: "split(s, '')",
        right: Right::Open,
        why: "no page says: we give the whole text, the other its characters",
        is: |difference| difference.query.contains("split("),
    },
    Class {
        name: "times as conditions",
        example: "tobool(t)",
        right: Right::Open,
        why: "no page says: we take a time for its number of ticks, the other gives null",
        is: |difference| difference.query.starts_with("tobool(") && is(&difference.theirs, "null"),
    },
    Class {
        name: "times of numbers",
        example: "todatetime(l)",
        right: Right::Open,
        why: "no page says: we take a number for ticks, as `totimespan` does (measured on the emulator); the other gives \
              null",
        is: |difference| difference.query.starts_with("todatetime(") && is(&difference.theirs, "null"),
    },
    Class {
        name: "what is no JSON",
        example: "todynamic(s)",
        right: Right::Weir,
        why: "a dynamic text (measured on the emulator, and on the other's own list of divergences)",
        is: |difference| difference.query.contains("todynamic(") && is(&difference.theirs, "null"),
    },
    Class {
        name: "upper case of two letters",
        example: "toupper(u)",
        right: Right::Open,
        why: "no page says what `ß` becomes: `SS` here, as Unicode has it, `ẞ` there",
        is: |difference| difference.ours.as_ref().is_ok_and(|text| text.starts_with("STRASSE")),
    },
    Class {
        name: "the order of two dynamics",
        example: "d > dynamic(1)",
        right: Right::Open,
        why: "the engine refuses to compare them (measured on the emulator), the binder takes it; we go by the text",
        is: |difference| {
            [" > ", " >= ", " < ", " <= "].iter().any(|operator| difference.query.contains(operator))
                && ["dynamic(", "d["].iter().any(|operand| difference.query.contains(operand))
        },
    },
];

fn is(answer: &Result<String, String>, value: &str) -> bool {
    answer.as_ref().is_ok_and(|answer| answer == value)
}

fn is_real(text: &str) -> bool {
    text.contains(['.', 'N', 'i']) && text.parse::<f64>().is_ok()
}

/// Whether a function of texts is called with the dynamic column.
fn of_dynamic_text(query: &str) -> bool {
    let functions =
        ["countof", "extract", "parse_url", "replace_regex", "replace_string", "trim", "trim_end", "trim_start"];
    let call = query.split_once('(');
    call.is_some_and(|(name, arguments)| {
        functions.contains(&name) && arguments.trim_end_matches(')').split(", ").any(|argument| argument == "d")
    })
}
