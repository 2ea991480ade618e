//! Holds a config text against the JSON Schema and against what only the whole can tell.

use std::collections::HashSet;
use std::path::Path;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;
use weir_contract::yaml::{Document, pointer_to};

use super::{Config, ConfigFaults, Fault, SinkName};

/// Parses and checks `text`, the content of the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Config, ConfigFaults> {
    let document = Document::parse(text)
        .map_err(|error| ConfigFaults::single(path, Some(error.line), format!("no valid YAML: {}", error.message)))?;
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
    if let Some(faults) = ConfigFaults::new(path, faults) {
        return Err(faults);
    }
    // What the schema lets pass and the types refuse, such as a size too large for 64 bits.
    let config: Config =
        serde_json::from_value(value).map_err(|error| ConfigFaults::single(path, None, error.to_string()))?;
    match ConfigFaults::new(path, whole(&config, &document)) {
        Some(faults) => Err(faults),
        None => Ok(config),
    }
}

/// Faults that no single key shows.
fn whole(config: &Config, document: &Document) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, message: String| {
        let line = Some(document.line(pointer));
        faults.push(Fault { line, key: dotted(pointer), message });
    };
    if config.sources.is_empty() {
        fault("/sources", "no source is configured; add one with `kafka:` or `files:`".to_owned());
    }
    let mut names = HashSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        let place = format!("/sources/{index}");
        if source.name.trim().is_empty() {
            fault(&format!("{place}/name"), "the name is empty".to_owned());
        } else if !names.insert(&source.name) {
            let message = format!("another source is called `{}` too; names must differ", source.name);
            fault(&format!("{place}/name"), message);
        }
        match usize::from(source.kafka.is_some()) + usize::from(source.files.is_some()) {
            1 => {}
            0 => fault(&place, "the source has no kind; add `kafka:` or `files:`".to_owned()),
            _ => fault(&place, "the source has two kinds; make two sources of them".to_owned()),
        }
    }
    if config.lake.is_none() && config.sentinel.is_none() {
        fault("", "no sink is configured; add `lake:` or `sentinel:`".to_owned());
    }
    for message in config.sentinel.iter().flat_map(|sentinel| sentinel.faults()) {
        fault("/sentinel", message);
    }
    for (index, route) in config.routes.iter().enumerate() {
        let place = format!("/routes/{index}");
        if route.tables.is_empty() {
            fault(&format!("{place}/tables"), "the route names no table; write `\"*\"` for all".to_owned());
        }
        for (at, pattern) in route.tables.iter().enumerate() {
            if let Err(error) = globset::Glob::new(pattern) {
                fault(&format!("{place}/tables/{at}"), format!("no valid pattern: {}", error.kind()));
            }
        }
        for (at, sink) in route.to.iter().enumerate() {
            let (missing, key) = match sink {
                SinkName::Lake => (config.lake.is_none(), "lake"),
                SinkName::Sentinel => (config.sentinel.is_none(), "sentinel"),
            };
            if missing {
                fault(&format!("{place}/to/{at}"), format!("`{key}` is not configured; add `{key}:` or drop it here"));
            }
        }
    }
    if config.memory.budget.0 < 32 << 20 {
        let message = "the budget is below 32MiB, less than the batches of two workers; raise it".to_owned();
        fault("/memory/budget", message);
    }
    faults
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
            push(&pointer, format!("{} is given; expected {}", shown(error.instance()), type_names(kind)));
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            push(&pointer, one_of(error.instance(), options));
        }
        ValidationErrorKind::Constant { expected_value } => {
            push(&pointer, one_of(error.instance(), std::slice::from_ref(expected_value)));
        }
        ValidationErrorKind::Pattern { .. } => {
            let expected = expected_text(error, schema);
            push(&pointer, format!("{} is given; expected {expected}", shown(error.instance())));
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
                    push(&pointer, format!("{} is given; expected {expected}", shown(error.instance())));
                }
            }
        }
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

fn one_of(given: &Value, options: &[Value]) -> String {
    let options: Vec<_> = options.iter().map(|option| format!("`{}`", plain(option))).collect();
    format!("{} is given; expected {}", shown(given), options.join(" or "))
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

fn shown(value: &Value) -> String {
    match value {
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

/// `/sources/0/kafka` → `sources[0].kafka`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').skip(1) {
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push('[');
            path.push_str(step);
            path.push(']');
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> String {
        parse(Path::new("weir.yaml"), text).expect_err("faulty").to_string()
    }

    #[test]
    fn a_small_config_is_accepted() {
        let text = "sources:\n  - name: a\n    files: {paths: [/var/log/a.json]}\nlake: {url: ./lake}\n";
        let config = parse(Path::new("weir.yaml"), text).expect("valid");
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
    fn what_only_the_whole_can_tell_is_told() {
        let text = "sources:\n  - name: a\n    files: {paths: [x]}\n  - name: a\n\
                    lake: {url: ./lake}\nroutes:\n  - tables: [\"ASim*\"]\n    to: [sentinel]\n";
        let told = faults(text);
        assert!(told.contains("weir.yaml:4: `sources[1].name`: another source is called `a` too"), "{told}");
        assert!(told.contains("`sources[1]`: the source has no kind; add `kafka:` or `files:`"), "{told}");
        assert!(told.contains("`routes[0].to[0]`: `sentinel` is not configured"), "{told}");
    }

    #[test]
    fn an_empty_config_says_what_is_needed() {
        let told = faults("");
        assert!(told.contains("no source is configured") && told.contains("no sink is configured"), "{told}");
    }
}
