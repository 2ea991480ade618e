//! Weir's own check: the testers' rules by the schemas' pages, fitted to the table at hand, and the values that neither
//! tester looks at. What needs two fields of a row stands in [`relations`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use weir_contract::datetime::{DAY_US, SECOND_US};
use weir_contract::schema::ColumnType;

use crate::check::column::{Column, Values};
use crate::check::definition::{self, Class, Field, Fields};
use crate::check::official::{self, Fits, absence, empty_rule, expected_shape, logical_rule, shape_rule};
use crate::check::registry;
use crate::check::relations;
use crate::check::rule::Rule;
use crate::check::tally::{Origin, Tally};
use crate::check::target::{Target, is_reserved};
use crate::check::text;

/// Longest value of a column in a workspace, in bytes
/// (<https://learn.microsoft.com/azure/azure-monitor/service-limits>, "maximum size for field values").
const MAX_FIELD_BYTES: usize = 65_536;
/// Longest name of a column.
const MAX_NAME_CHARS: usize = 45;
/// The current version of every schema.
const SCHEMA_VERSION: &str = "1.0.0";
/// 2000-01-01 in microseconds since 1970 UTC.
const YEAR_2000_US: i64 = 946_684_800 * SECOND_US;

/// The rules about columns: which are absent, and which should not be there.
pub(super) fn check_columns(target: &Target, columns: &BTreeMap<Arc<str>, Vec<ColumnType>>, tally: &mut Tally) {
    let Some(fields) = definition::documented(target.schema) else { return };
    for field in fields.iter().filter(|field| target.asks_for(field) && !columns.contains_key(field.name)) {
        if let Some(rule) = absent(field, fields, |name| columns.contains_key(name)) {
            let of = if field.class == Class::Alias { &field.alias_of } else { &field.conditional_on };
            let relation = if field.class == Class::Alias { "alias of" } else { "qualifies" };
            let detail = if of.is_empty() { String::new() } else { format!("{relation} {}", of.join(" or ")) };
            tally.column(rule, field.name, detail);
        }
    }
    for (name, types) in columns {
        match target.type_of(name) {
            Some(expected) => {
                for ty in types.iter().filter(|ty| ty.name() != expected) {
                    tally.column(Rule::S12, name, format!("is {ty}, expected {expected}"));
                }
            }
            None => extra_column(target, fields, name, tally),
        }
        let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.len() <= MAX_NAME_CHARS;
        if !fits {
            tally.column(Rule::W24, name, String::new());
        }
    }
}

/// A column that neither the table nor the schema has.
fn extra_column(target: &Target, fields: &Fields, name: &str, tally: &mut Tally) {
    match target.native() {
        // Columns of a workspace's own end so; those that must stay empty are another rule's.
        Some(_) if name.ends_with("_CF") || target.forbidden(name).is_some() => {}
        Some(table) => {
            let columns = table.schema.columns.iter().map(|column| &*column.name);
            tally.column(Rule::W23, name, nearest(columns, name));
        }
        None if target.forbidden(name).is_some() => {}
        None => tally.column(Rule::S11, name, nearest(fields.iter().map(|field| field.name), name)),
    }
}

fn nearest<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> String {
    let near = names.map(|name| (strsim::damerau_levenshtein(name, wanted), name)).min();
    near.filter(|(distance, _)| *distance <= 3).map(|(_, near)| format!("did you mean {near}?")).unwrap_or_default()
}

/// The schema tester's rule for an absent field, by all fields that it stands for or qualifies.
fn absent(field: &Field, fields: &Fields, present: impl Fn(&str) -> bool) -> Option<Rule> {
    let named = if field.class == Class::Alias { &field.alias_of } else { &field.conditional_on };
    let parents: Vec<&str> = named.iter().flat_map(|name| fields.sources_of(name)).collect();
    let is_present = parents.iter().any(|name| present(name));
    // An alias of several fields is as necessary as the most necessary of them.
    let classes = parents.iter().filter_map(|name| fields.get(name)).map(|parent| parent.class);
    let strictest = classes.min_by_key(|class| match class {
        Class::Mandatory => 0,
        Class::Recommended => 1,
        _ => 2,
    });
    absence(field.class, strictest, is_present)
}

/// The rules about values. `now_us` is the clock: microseconds since 1970 UTC.
pub(super) fn check_values(
    target: &Target,
    columns: &[Column],
    rows: usize,
    now_us: i64,
    origin: &Origin<'_>,
    tally: &mut Tally,
) {
    let Some(fields) = definition::documented(target.schema) else { return };
    for column in columns {
        if let Some(why) = target.forbidden(&column.name) {
            forbidden_column(column, why.reason(), rows, origin, tally);
            continue;
        }
        let field = fields.get(&column.name);
        if let Some(field) = field.filter(|_| !is_reserved(&column.name))
            && let (Some(rule), Some((count, first))) = (empty_rule(field.class), column.empties())
        {
            tally.rows(rule, &column.name, count, first, origin);
        }
        match &column.values {
            Values::Text(_) if column.ty == ColumnType::Dynamic => check_dynamic(field, column, rows, origin, tally),
            Values::Text(_) => check_text(target, field, column, rows, origin, tally),
            Values::Time(_) => check_time(column, rows, now_us, origin, tally),
            Values::Int(_) | Values::Long(_) | Values::Real(_) => check_number(field, column, rows, origin, tally),
            Values::Bool(_) | Values::Other(_) => {}
        }
    }
    relations::check(target, fields, columns, rows, origin, tally);
}

fn forbidden_column(column: &Column, why: &str, rows: usize, origin: &Origin<'_>, tally: &mut Tally) {
    for row in (0..rows).filter(|row| !column.is_empty(*row)) {
        tally.value(Rule::W22, &column.name, row, &column.text(row), origin);
    }
    tally.explain(Rule::W22, &column.name, || format!("it {why}"));
}

fn check_dynamic(field: Option<&Field>, column: &Column, rows: usize, origin: &Origin<'_>, tally: &mut Tally) {
    for row in 0..rows {
        let Some(text) = column.str(row) else { continue };
        if text.len() > MAX_FIELD_BYTES {
            tally.value(Rule::W21, &column.name, row, text, origin);
        }
        if serde_json::from_str::<&RawValue>(text).is_err() {
            tally.value(Rule::W34, &column.name, row, text, origin);
            continue;
        }
        let Some(field) = field.filter(|field| !field.shape.is_empty()) else { continue };
        // Neither an empty array nor an undefined element type is wrong, though the testers' rule refuses both.
        match shape_rule(field, text) {
            Some(Rule::D6) if field.elements.is_empty() || text.trim() == "[]" => {}
            Some(rule) => {
                tally.value(rule, &column.name, row, text, origin);
                tally.explain(rule, &column.name, || expected_shape(field));
            }
            None => {}
        }
    }
}

/// The tests of one column's texts, chosen once.
struct TextChecks {
    list: Option<(Vec<&'static str>, &'static Field)>,
    tests: Vec<(Rule, Fits)>,
    may_be_a_word_for_nothing: bool,
    must_be_trim: bool,
}

impl TextChecks {
    fn of(field: Option<&'static Field>, name: &str) -> Self {
        let mut tests: Vec<(Rule, Fits)> = Vec::new();
        let logical = field.map_or("", |field| field.logical);
        let as_the_testers_write = match logical {
            "IPaddress" => "IP Address",
            "MACAddress" => "MAC Address",
            other => other,
        };
        tests.extend(logical_rule(as_the_testers_write));
        match logical {
            "IPaddress" => {
                // What is no address at all is the testers' finding.
                tests.push((Rule::W12, |value| text::is_one_address(value) || !text::is_ip_or_prefix(value)));
                tests.push((Rule::W13, |value| !text::is_mapped_ipv4(value)));
            }
            "MD5" => tests.push((Rule::W11, |value| text::is_hex(value, 32) || !text::has_run(value, 32))),
            "SHA1" => tests.push((Rule::W11, |value| text::is_hex(value, 40) || !text::has_run(value, 40))),
            "SHA256" => tests.push((Rule::W11, |value| text::is_hex(value, 64) || !text::has_run(value, 64))),
            "SHA512" => tests.push((Rule::W11, |value| text::is_hex(value, 128) || !text::has_run(value, 128))),
            "URL" => tests.push((Rule::W10, text::is_url)),
            "Country" => tests.push((Rule::W16, registry::is_country)),
            "SchemaVersion" => tests.push((Rule::W19, |value| text::is_version(value) && value == SCHEMA_VERSION)),
            "Hexadecimal" => tests.push((Rule::W40, text::is_hexadecimal)),
            _ => {}
        }
        if name.ends_with("IMPHASH") {
            tests.push((Rule::W11, |value| text::is_hex(value, 32)));
        }
        if field.is_some() && name.ends_with("ProcessId") {
            tests.push((Rule::W38, text::is_decimal));
        }
        if matches!(name, "RegistryKey" | "RegistryPreviousKey") {
            tests.push((Rule::W37, |value| value.starts_with("HKEY_")));
        }
        let is_free_text = is_free_text(name);
        Self {
            list: field.and_then(values_of),
            tests,
            may_be_a_word_for_nothing: is_free_text,
            must_be_trim: !is_free_text && field.is_some(),
        }
    }
}

/// The closed list of a field's values. `EventSchema` is compared with the rows' schema instead, and lists with a
/// pattern among their entries are open.
fn values_of(field: &'static Field) -> Option<(Vec<&'static str>, &'static Field)> {
    let is_closed = !field.list.is_empty() && !field.list.contains('<') && !field.name.ends_with("Schema");
    is_closed.then(|| (field.list.split('|').collect(), field))
}

/// Whether a source's own words stand in the field, as they came.
fn is_free_text(name: &str) -> bool {
    let source_words =
        ["Original", "CommandLine", "Message", "Value", "ValueData", "Description", "UserAgent", "Prompt"];
    source_words.iter().any(|word| name.contains(word))
}

fn check_text(
    target: &Target,
    field: Option<&'static Field>,
    column: &Column,
    rows: usize,
    origin: &Origin<'_>,
    tally: &mut Tally,
) {
    let checks = TextChecks::of(field, &column.name);
    let must_be_filled = !checks.may_be_a_word_for_nothing;
    for row in 0..rows {
        let Some(text) = column.str(row) else { continue };
        let mut found = |rule| tally.value(rule, &column.name, row, text, origin);
        if text.len() > MAX_FIELD_BYTES {
            found(Rule::W20);
        }
        if checks.must_be_trim && text.trim().len() != text.len() {
            found(Rule::W33);
        }
        if let Some((values, field)) = &checks.list {
            if let Some(rule) = list_rule(values, field, text) {
                found(rule);
            }
            continue;
        }
        if must_be_filled && text::stands_for_nothing(text) {
            found(Rule::W32);
            continue;
        }
        if matches!(&*column.name, "EventSchema" | "EntitySchema") && text != target.schema {
            found(Rule::W41);
        }
        for (rule, fits) in &checks.tests {
            if !fits(text) {
                found(*rule);
            }
        }
    }
    if let Some((values, field)) = &checks.list {
        tally.explain(Rule::D7, &column.name, || format!("expected {}", values.join(", ")));
        tally.explain(Rule::W1, &column.name, || format!("expected {}", values.join(", ")));
        tally.explain(Rule::W2, &column.name, || format!("it takes {}", field.tester_list.replace('|', ", ")));
    }
    tally.explain(Rule::W19, &column.name, || format!("expected {SCHEMA_VERSION}"));
    tally.explain(Rule::W41, &column.name, || format!("expected {}", target.schema));
}

fn list_rule(values: &[&str], field: &Field, text: &str) -> Option<Rule> {
    if values.contains(&text) {
        let known = field.tester_list == field.list || field.tester_list.split('|').any(|value| value == text);
        // The tester finds words within its entries, too: only what it refuses is told.
        return (!known && !text::has_term(field.tester_list, text)).then_some(Rule::W2);
    }
    Some(if text::has_term(field.list, text) { Rule::W1 } else { Rule::D7 })
}

fn check_time(column: &Column, rows: usize, now_us: i64, origin: &Origin<'_>, tally: &mut Tally) {
    for row in 0..rows {
        let Some(time) = column.time(row) else {
            if &*column.name == "TimeGenerated" {
                tally.rows(Rule::W27, &column.name, 1, row, origin);
            }
            continue;
        };
        if time < YEAR_2000_US {
            tally.value(Rule::W28, &column.name, row, &column.text(row), origin);
        } else if time > now_us.saturating_add(DAY_US) {
            tally.value(Rule::W29, &column.name, row, &column.text(row), origin);
        }
    }
}

/// A range that numbers must lie in.
type InRange = fn(f64) -> bool;

fn check_number(field: Option<&Field>, column: &Column, rows: usize, origin: &Origin<'_>, tally: &mut Tally) {
    let name = &*column.name;
    let logical = field.map_or("", |field| field.logical);
    match logical {
        "RiskLevel" => official::check_levels(Rule::D17, column, rows, origin, tally),
        "ConfidenceLevel" => official::check_levels(Rule::W17, column, rows, origin, tally),
        _ => {}
    }
    let range: (Rule, InRange) = match logical {
        "Latitude" => (Rule::W15, |value| (-90.0..=90.0).contains(&value)),
        "Longitude" => (Rule::W15, |value| (-180.0..=180.0).contains(&value)),
        _ if name == "EventCount" => (Rule::W18, |value| value >= 1.0),
        _ if name.ends_with("PortNumber") => (Rule::W14, |value| (0.0..=65_535.0).contains(&value)),
        _ if is_quantity(name) => (Rule::W18, |value| value >= 0.0),
        _ => return,
    };
    for row in 0..rows {
        if column.number(row).is_some_and(|value| !range.1(value)) {
            tally.value(range.0, &column.name, row, &column.text(row), origin);
        }
    }
}

fn is_quantity(name: &str) -> bool {
    ["Bytes", "Packets", "Size", "Duration", "Count", "Used", "Time"].iter().any(|end| name.ends_with(end))
}
