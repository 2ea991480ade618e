//! The rules of the two official testers, with all their effects.
//!
//! The schema tester compares columns with the schema's rows and the common ones; the data tester looks at values, by
//! the schema's own rows alone. For each pair of column and definition, and for each value, the first rule that fits
//! decides.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_contract::schema::ColumnType;

use crate::check::column::{Column, Values};
use crate::check::definition::{self, Class, Field, Fields};
use crate::check::registry;
use crate::check::rule::Rule;
use crate::check::tally::{Origin, Tally};
use crate::check::text;

/// The schema tester: `columns` are name and types of the output.
pub(super) fn check_columns(schema: &str, columns: &BTreeMap<std::sync::Arc<str>, Vec<ColumnType>>, tally: &mut Tally) {
    let Some(fields) = definition::tester_with_common(schema) else { return };
    for field in fields.iter() {
        let Some(types) = columns.get(field.name) else {
            if let Some(rule) = absent(field, fields, |name| columns.contains_key(name)) {
                tally.column(rule, field.name, detail_of_absence(rule, field));
            }
            continue;
        };
        for ty in types.iter().filter(|ty| ty.name() != field.ty) {
            tally.column(Rule::S12, field.name, format!("is {ty}, expected {}", field.ty));
        }
    }
    for name in columns.keys().filter(|name| fields.get(name).is_none()) {
        tally.column(Rule::S11, name, String::new());
    }
}

/// The rule that an absent field breaks, if any; `present` says whether a column of that name is there.
pub(super) fn absent(field: &Field, fields: &Fields, present: impl Fn(&str) -> bool) -> Option<Rule> {
    let parent_class = fields.get(field.aliased).map(|parent| parent.class);
    let parent_present = !field.aliased.is_empty() && present(field.aliased);
    absence(field.class, parent_class, parent_present)
}

/// The schema tester's rules for an absent field of a class, by the class and presence of the field that it stands for
/// or qualifies.
pub(super) fn absence(class: Class, parent_class: Option<Class>, parent_present: bool) -> Option<Rule> {
    match (class, parent_class, parent_present) {
        (Class::Mandatory, ..) => Some(Rule::S1),
        (Class::Recommended, ..) => Some(Rule::S2),
        (Class::Conditional, Some(Class::Mandatory), _) => Some(Rule::S3),
        (Class::Conditional, _, true) => Some(Rule::S4),
        (Class::Conditional, _, false) => None,
        (Class::Alias, Some(Class::Mandatory), _) => Some(Rule::S5),
        (Class::Alias, Some(Class::Recommended), true) => Some(Rule::S6),
        (Class::Alias, Some(Class::Recommended), false) => Some(Rule::S7),
        (Class::Alias, _, true) => Some(Rule::S8),
        (Class::Alias, _, false) => Some(Rule::S9),
        (Class::Optional, ..) => Some(Rule::S10),
    }
}

fn detail_of_absence(rule: Rule, field: &Field) -> String {
    match rule {
        Rule::S3 | Rule::S4 => format!("qualifies {}", field.aliased),
        Rule::S5 | Rule::S6 | Rule::S7 | Rule::S8 | Rule::S9 if !field.aliased.is_empty() => {
            format!("alias of {}", field.aliased)
        }
        _ => String::new(),
    }
}

/// The data tester over the columns of a batch of `rows` rows.
pub(super) fn check_values(schema: &str, columns: &[Column], rows: usize, origin: &Origin<'_>, tally: &mut Tally) {
    let Some(fields) = definition::tester(schema) else { return };
    for column in columns {
        let Some(field) = fields.get(&column.name) else { continue };
        if column.ty.name() != field.ty {
            tally.rows(Rule::D1, &column.name, rows as u64, 0, origin);
            tally.explain(Rule::D1, &column.name, || format!("is {}, expected {}", column.ty, field.ty));
            continue;
        }
        if let (Some(rule), Some((count, first))) = (empty_rule(field.class), column.empties()) {
            tally.rows(rule, &column.name, count, first, origin);
        }
        check_shapes(field, column, rows, origin, tally);
        check_texts(field, column, rows, origin, tally);
    }
}

/// The rule for an empty value of a field of a class.
pub(super) fn empty_rule(class: Class) -> Option<Rule> {
    match class {
        Class::Mandatory => Some(Rule::D2),
        Class::Recommended => Some(Rule::D3),
        Class::Optional => Some(Rule::D4),
        Class::Conditional | Class::Alias => None,
    }
}

/// D5 and D6.
fn check_shapes(field: &Field, column: &Column, rows: usize, origin: &Origin<'_>, tally: &mut Tally) {
    if field.shape.is_empty() {
        return;
    }
    for row in 0..rows {
        let Some(text) = column.str(row) else { continue };
        if let Some(rule) = shape_rule(field, text) {
            tally.value(rule, &column.name, row, text, origin);
            tally.explain(rule, &column.name, || expected_shape(field));
        }
    }
}

/// The rule that a dynamic value breaks, by the kind of it and, in an array, of its elements.
pub(super) fn shape_rule(field: &Field, text: &str) -> Option<Rule> {
    let value: Option<Value> = serde_json::from_str(text).ok();
    // What is no JSON is a text to Kusto.
    let kind = value.as_ref().map_or("string", kind);
    if kind != field.shape {
        return Some(Rule::D5);
    }
    let elements = value.as_ref().and_then(Value::as_array)?;
    let first = elements.first().map_or("", self::kind);
    let mixed = elements.iter().any(|element| self::kind(element) != first);
    (mixed || first != field.elements).then_some(Rule::D6)
}

/// What a dynamic field must hold.
pub(super) fn expected_shape(field: &Field) -> String {
    if field.elements.is_empty() {
        format!("expected {}", field.shape)
    } else {
        format!("expected {} of {}", field.shape, field.elements)
    }
}

/// What `gettype` says of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "long",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "dictionary",
    }
}

/// D7 to D22.
pub(super) fn check_texts(field: &Field, column: &Column, rows: usize, origin: &Origin<'_>, tally: &mut Tally) {
    if field.logical == "RiskLevel" {
        check_levels(Rule::D17, column, rows, origin, tally);
    }
    let Values::Text(_) = &column.values else { return };
    let listed = field.logical == "Enumerated" && !field.list.is_empty();
    let logical = logical_rule(field.logical);
    if !listed && logical.is_none() {
        return;
    }
    for row in 0..rows {
        let Some(text) = column.str(row) else { continue };
        if listed {
            if !text::has_term(field.list, text) {
                tally.value(Rule::D7, &column.name, row, text, origin);
                tally.explain(Rule::D7, &column.name, || format!("expected {}", field.list.replace('|', ", ")));
            }
        } else if let Some((rule, fits)) = logical
            && !fits(text)
        {
            tally.value(rule, &column.name, row, text, origin);
        }
    }
}

/// Counts numbers that are not from 0 to 100.
pub(super) fn check_levels(rule: Rule, column: &Column, rows: usize, origin: &Origin<'_>, tally: &mut Tally) {
    for row in 0..rows {
        if column.number(row).is_some_and(|level| !(0.0..=100.0).contains(&level)) {
            tally.value(rule, &column.name, row, &column.text(row), origin);
        }
    }
}

/// A test that a text passes.
pub(super) type Fits = fn(&str) -> bool;

/// The rule of a logical type, as the testers spell it, and the test that its values must pass.
pub(super) fn logical_rule(logical: &str) -> Option<(Rule, Fits)> {
    Some(match logical {
        "MAC Address" => (Rule::D8, text::is_mac),
        "IP Address" => (Rule::D9, text::is_ip_or_prefix),
        "FQDN" => (Rule::D10, text::is_fqdn),
        "RecommendedFQDN" => (Rule::D11, text::is_fqdn),
        "Domain" => (Rule::D12, text::is_domain),
        "DnsDomain" => (Rule::D13, text::is_domain),
        "RecommendedDnsDomain" => (Rule::D14, text::is_domain),
        "GUID" => (Rule::D15, text::is_guid),
        "Hostname" => (Rule::D16, text::is_hostname),
        "DnsResponseCodeName" => (Rule::D18, registry::is_rcode),
        "DnsQueryTypeName" => (Rule::D19, registry::is_rr_type),
        "DnsQueryClassName" => (Rule::D20, registry::is_dns_class),
        "NetworkProtocol" => (Rule::D21, registry::is_protocol),
        "MD5" => (Rule::D22, |value| text::has_run(value, 32)),
        "SHA1" => (Rule::D22, |value| text::has_run(value, 40)),
        "SHA256" => (Rule::D22, |value| text::has_run(value, 64)),
        "SHA512" => (Rule::D22, |value| text::has_run(value, 128)),
        _ => return None,
    })
}
