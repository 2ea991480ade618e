//! Holds a config text against the JSON Schema.

use std::path::Path;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;
use weir_contract::yaml::{Document, pointer_to};

use super::faults::dotted;
use super::{Checked, Config, Fault, outside, whole};

/// Reads `text`, the content of the file at `path`, and tells everything that is wrong with it. What only the whole can
/// tell is told of a text that has the form of a config.
pub(super) fn inspect(path: &Path, text: &str) -> Checked {
    let failed = |faults| Checked { config: None, faults, outside: Vec::new() };
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let message = format!("no valid YAML: {}", error.message);
            return failed(vec![Fault { line: Some(error.line), key: String::new(), message }]);
        }
    };
    let mut value = document.value.clone();
    if value.is_null() {
        value = Value::Object(serde_json::Map::new());
    }
    let schema = super::json_schema();
    let validator = jsonschema::validator_for(&schema).expect("schemars makes valid schemas");
    let mut faults = Vec::new();
    for error in validator.iter_errors(&value) {
        describe(&error, &schema, &document, &mut faults);
    }
    if !faults.is_empty() {
        return failed(faults);
    }
    match serde_json::from_value::<Config>(value) {
        Ok(config) => {
            let base = path.parent().unwrap_or(Path::new("."));
            let mut faults = whole::faults(&config, &document, base);
            let outside = outside::missing(&config, &document, &mut faults);
            Checked { config: Some(config), faults, outside }
        }
        // What the schema lets pass and the types refuse, such as a size too large for 64 bits.
        Err(error) => failed(vec![Fault { line: None, key: String::new(), message: error.to_string() }]),
    }
}

/// Turns one error of the validator into faults that a person can act on.
fn describe(error: &ValidationError<'_>, schema: &Value, document: &Document, faults: &mut Vec<Fault>) {
    let pointer = error.instance_path().as_str().to_owned();
    let mut push = |pointer: &str, message: String| {
        faults.push(Fault { line: Some(document.line(pointer)), key: dotted(pointer), message });
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = sibling_keys(error, schema);
            for key in unexpected {
                push(&pointer_to(&pointer, key), unknown_key(key, &known));
            }
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            push(&pointer, format!("the key `{key}` is missing; add it"));
        }
        ValidationErrorKind::Type { kind } => {
            push(&pointer, format!("{} is given; expected {}", shown(&pointer, error.instance()), type_names(kind)));
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            push(&pointer, one_of(&pointer, error.instance(), options));
        }
        ValidationErrorKind::Constant { expected_value } => {
            push(&pointer, one_of(&pointer, error.instance(), std::slice::from_ref(expected_value)));
        }
        ValidationErrorKind::Pattern { .. } => {
            let expected = expected_text(error, schema);
            push(&pointer, format!("{} is given; expected {expected}", shown(&pointer, error.instance())));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // The alternative that came closest tells most: an optional key's own errors, not "it is not null".
            match context.iter().filter(|errors| !errors.is_empty()).min_by_key(|errors| closeness(errors, &pointer)) {
                Some(errors) if !alternatives_only(context, &pointer) => {
                    for inner in errors {
                        describe(inner, schema, document, faults);
                    }
                }
                _ => {
                    let options: Vec<String> = context.iter().flatten().filter_map(alternative).collect();
                    let expected = if options.is_empty() { "another form".to_owned() } else { options.join(" or ") };
                    push(&pointer, format!("{} is given; expected {expected}", shown(&pointer, error.instance())));
                }
            }
        }
        _ if is_secret(&pointer) => push(&pointer, "the value has not the expected form".to_owned()),
        _ => push(&pointer, error.to_string()),
    }
}

/// How far an alternative is from the value: errors deeper inside the value mean that its outer form did fit.
fn closeness(errors: &[ValidationError<'_>], pointer: &str) -> (usize, usize) {
    let at_the_top = errors.iter().filter(|error| is_about_form(error) && error.instance_path().as_str() == pointer);
    (at_the_top.count(), errors.len())
}

fn is_about_form(error: &ValidationError<'_>) -> bool {
    matches!(
        error.kind(),
        ValidationErrorKind::Type { .. }
            | ValidationErrorKind::Required { .. }
            | ValidationErrorKind::Constant { .. }
            | ValidationErrorKind::Enum { .. }
    )
}

/// Whether every alternative failed at the value's own form, so that none is closer than another.
fn alternatives_only(context: &[Vec<ValidationError<'_>>], pointer: &str) -> bool {
    let closest = context.iter().map(|errors| closeness(errors, pointer).0).min().unwrap_or(0);
    let equally_close = context.iter().filter(|errors| closeness(errors, pointer).0 == closest).count();
    closest > 0 && equally_close > 1
}

/// The form that an alternative expects, in words.
fn alternative(error: &ValidationError<'_>) -> Option<String> {
    match error.kind() {
        ValidationErrorKind::Type { kind } => Some(type_names(kind)).filter(|names| names != "nothing"),
        ValidationErrorKind::Required { property } => Some(format!("a mapping with the key `{}`", property.as_str()?)),
        ValidationErrorKind::Constant { expected_value } => Some(format!("`{}`", plain(expected_value))),
        ValidationErrorKind::Enum { options } => {
            Some(options.as_array()?.iter().map(|o| format!("`{}`", plain(o))).collect::<Vec<_>>().join(" or "))
        }
        _ => None,
    }
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, key), name))
        .min()
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3));
    match near {
        Some((_, name)) => format!("unknown key; did you mean `{name}`?"),
        None if known.is_empty() => "unknown key; remove it".to_owned(),
        None => format!("unknown key; known here: {}", known.join(", ")),
    }
}

fn one_of(pointer: &str, given: &Value, options: &[Value]) -> String {
    let options: Vec<_> = options.iter().map(|option| format!("`{}`", plain(option))).collect();
    format!("{} is given; expected {}", shown(pointer, given), options.join(" or "))
}

/// The keys that the schema knows at the place of an `additionalProperties` error.
fn sibling_keys(error: &ValidationError<'_>, schema: &Value) -> Vec<String> {
    let place = error.schema_path().as_str();
    let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
    let node = resolve(schema, parent);
    node.and_then(|node| node.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// The description of the schema node whose pattern failed.
fn expected_text(error: &ValidationError<'_>, schema: &Value) -> String {
    let place = error.schema_path().as_str();
    let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
    let node = resolve(schema, parent);
    match node.and_then(|node| node.get("description")).and_then(Value::as_str) {
        Some(description) => description.to_owned(),
        None => "another form of text".to_owned(),
    }
}

/// Follows a schema location that passes through `$ref`s.
fn resolve<'a>(schema: &'a Value, location: &str) -> Option<&'a Value> {
    let mut node = schema;
    for step in location.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step == "$ref" {
            let target = node.get("$ref")?.as_str()?.strip_prefix('#')?;
            node = schema.pointer(target)?;
        } else if let Some(next) = node.get(&step) {
            node = next;
        } else {
            node = node.get(step.parse::<usize>().ok()?)?;
        }
    }
    Some(node)
}

fn type_names(kind: &TypeKind) -> String {
    let name = |ty: String| match ty.as_str() {
        "string" => "text".to_owned(),
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "a mapping of keys".to_owned(),
        "null" => "nothing".to_owned(),
        other => other.to_owned(),
    };
    match kind {
        TypeKind::Single(ty) => name(ty.to_string()),
        TypeKind::Multiple(types) => {
            let names: Vec<_> = types.iter().map(|ty| name(ty.to_string())).filter(|n| n != "nothing").collect();
            names.join(" or ")
        }
    }
}

/// Whether the value at `pointer` is a secret, or would be one where its reference belongs.
fn is_secret(pointer: &str) -> bool {
    let key = pointer.rsplit('/').next().unwrap_or_default();
    ["secret", "password", "passphrase", "connection_string", "token", "sas", "key"]
        .iter()
        .any(|word| key.contains(word))
}

/// The value, as a message repeats it; a secret that was written out is not repeated.
fn shown(pointer: &str, value: &Value) -> String {
    match value {
        Value::String(_) | Value::Number(_) if is_secret(pointer) => "the value itself".to_owned(),
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        scalar => {
            let text = plain(scalar);
            let cut: String = text.chars().take(60).collect();
            if cut.len() < text.len() { format!("`{cut}…`") } else { format!("`{cut}`") }
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigFaults;

    fn faults(text: &str) -> String {
        let path = Path::new("weir.yaml");
        ConfigFaults::new(path, inspect(path, text).faults, Vec::new()).expect("faulty").to_string()
    }

    #[test]
    fn a_small_config_is_accepted() {
        let text = "sources:\n  - name: a\n    files: {paths: [/var/log/a.json]}\nlake: {url: ./lake}\n";
        let checked = inspect(Path::new("weir.yaml"), text);
        assert_eq!(checked.faults, []);
        let config = checked.config.expect("valid");
        assert_eq!(config.sources[0].name, "a");
        assert_eq!(config.memory.budget.0, 512 << 20);
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_line() {
        let text = "sources:\n  - name: a\n    fils: {paths: [x]}\n  - name: a\n    files: {paths: 7}\n\
                    memory: {budget: 12 potatoes}\nlakes: {}\n";
        let told = faults(text);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "weir.yaml:3: `sources[0].fils`: unknown key; did you mean `files`?",
                "weir.yaml:5: `sources[1].files.paths`: `7` is given; expected a list",
                "weir.yaml:6: `memory.budget`: `12 potatoes` is given; expected a size with its unit, such as 512MiB \
                 or 1GB",
                "weir.yaml:7: `lakes`: unknown key; did you mean `lake`?",
            ]
        );
    }

    #[test]
    fn a_secret_in_the_place_of_its_reference_is_not_repeated() {
        let text = "sources:\n  - name: a\n    kafka:\n      event_hubs:\n        namespace: n.servicebus.windows.net\n        \
                    auth: {connection_string: hunter2}\n  - name: b\n    kafka:\n      security: {sasl: {username: u, \
                    password: 31337}}\nlake: {url: x, storage: {azure_storage_account_key: [hunter3]}}\n";
        let told = faults(text);
        assert!(
            told.contains("weir.yaml:6: `sources[0].kafka.event_hubs.auth.connection_string`: the value itself"),
            "{told}"
        );
        assert!(told.contains("weir.yaml:9: `sources[1].kafka.security.sasl.password`: the value itself"), "{told}");
        assert!(!told.contains("hunter") && !told.contains("31337"), "{told}");
    }

    #[test]
    fn an_empty_config_says_what_is_needed() {
        let told = faults("");
        assert!(told.contains("no source is configured") && told.contains("no sink is configured"), "{told}");
    }
}
