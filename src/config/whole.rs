//! Faults of a config that no single key shows: what belongs together, and what each stage says of its own part.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;
use weir_contract::yaml::{Document, pointer_to};
use weir_ingest::kafka::config::KafkaConfig;

use super::faults::Collector;
use super::{Config, Fault, SinkName, SourceConfig};

/// Every fault that the config alone shows; `base` is the folder that its mapping folders are named relative to.
pub(super) fn faults(config: &Config, document: &Document, base: &Path) -> Vec<Fault> {
    let mut found = Collector::new(document);
    check_sources(config, &mut found);
    for (index, folder) in config.mappings.directories.iter().enumerate() {
        if !base.join(folder).is_dir() {
            let message = format!("`{}` is no folder; correct it, or create it", base.join(folder).display());
            found.add(&format!("/mappings/directories/{index}"), message);
        }
    }
    for (index, path) in config.mappings.functions.iter().enumerate() {
        let path = base.join(path);
        if !path.exists() {
            let message = format!("`{}` is neither a folder nor a file; correct it, or create it", path.display());
            found.add(&format!("/mappings/functions/{index}"), message);
        }
    }
    for (alias, path) in &config.mappings.watchlists {
        let path = base.join(path);
        if !path.is_file() {
            let message = format!("`{}` is no file; correct it, or write the watchlist there", path.display());
            found.add(&pointer_to("/mappings/watchlists", alias), message);
        }
    }
    let share = config.mappings.check_share;
    if !(0.0..=1.0).contains(&share) {
        found.add("/mappings/check_share", format!("is {share}; write a share from 0 to 1, such as 0.001"));
    }
    if config.lake.is_none() && config.sentinel.is_none() {
        found.add("", "no sink is configured; add `lake:` or `sentinel:`".to_owned());
    }
    if let Some(lake) = &config.lake {
        for (key, message) in lake.faults() {
            found.add(&format!("/lake/{}", key.replace('.', "/")), message);
        }
    }
    if let Some(sentinel) = &config.sentinel {
        for message in sentinel.faults() {
            found.add(&place_of_first_key("/sentinel", &message, document), message);
        }
        for (key, message) in sentinel.credential.faults() {
            found.add(&below_kind("/sentinel/credential", key, document), message.to_owned());
        }
    }
    check_routes(config, &mut found);
    let set_aside = config.sources.iter().filter_map(|source| source.http.as_ref());
    let set_aside: u64 = set_aside.map(|http| http.request_memory.0).fold(0, u64::saturating_add);
    if set_aside > config.memory.budget.0 / 2 {
        let message =
            "more than half of the budget is set aside by the sources' `request_memory`; raise it, or lower those";
        found.add("/memory/budget", message.to_owned());
    }
    if config.memory.budget.0 < 32 << 20 {
        let message = "the budget is below 32MiB, less than the batches of two workers; raise it".to_owned();
        found.add("/memory/budget", message);
    }
    check_secret_names("", &document.value, &mut found);
    found.into_faults()
}

fn check_sources(config: &Config, found: &mut Collector<'_>) {
    if config.sources.is_empty() {
        let message = "no source is configured; add one with `kafka:`, `files:`, `objects:` or `http:`";
        found.add("/sources", message.to_owned());
    }
    let mut names = HashSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        let place = format!("/sources/{index}");
        if source.name.trim().is_empty() {
            found.add(&format!("{place}/name"), "the name is empty".to_owned());
        } else if !names.insert(&source.name) {
            let message = format!("another source is called `{}` too; names must differ", source.name);
            found.add(&format!("{place}/name"), message);
        }
        let kinds = [source.kafka.is_some(), source.files.is_some(), source.objects.is_some(), source.http.is_some()];
        match kinds.into_iter().filter(|is_there| *is_there).count() {
            0 => {
                let message = "the source has no kind; add `kafka:`, `files:`, `objects:` or `http:`";
                found.add(&place, message.to_owned());
            }
            1 => check_source(source, &place, found),
            _ => found.add(&place, "the source has two kinds; make two sources of them".to_owned()),
        }
        if source.http.is_some() && !is_folder_name(&source.name) {
            let message = "the name is that of the source's folder below `state.directory`; write letters, digits, `-`, `_` and `.`";
            found.add(&format!("{place}/name"), message.to_owned());
        }
    }
}

/// Whether a source's name can be that of a folder, and leads nowhere else.
fn is_folder_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().all(is_plain) && !name.starts_with('.') && name.len() <= 100
}

fn check_source(source: &SourceConfig, place: &str, found: &mut Collector<'_>) {
    if let Some(files) = &source.files {
        for (key, message) in files.faults() {
            found.add(&format!("{place}/files/{key}"), message);
        }
    }
    if let Some(objects) = &source.objects {
        for (key, message) in objects.faults() {
            found.add(&format!("{place}/objects/{key}"), message);
        }
    }
    if let Some(http) = &source.http {
        for (key, message) in http.faults() {
            found.add(&format!("{place}/http/{}", key.replace('.', "/")), message);
        }
    }
    if let Some(kafka) = &source.kafka {
        check_kafka(kafka, &format!("{place}/kafka"), found);
    }
}

fn check_kafka(kafka: &KafkaConfig, place: &str, found: &mut Collector<'_>) {
    for problem in kafka.problems() {
        // The names of librdkafka's settings hold dots of their own.
        let pointer = match problem.key.strip_prefix("properties.") {
            Some(name) => pointer_to(&format!("{place}/properties"), name),
            None => format!("{place}/{}", problem.key.replace('.', "/")),
        };
        found.add(&pointer, problem.text);
    }
    let credential = kafka.event_hubs.as_ref().and_then(|hubs| hubs.auth.credential());
    for (key, message) in credential.iter().flat_map(|credential| credential.faults()) {
        let pointer = below_kind(&format!("{place}/event_hubs/auth"), key, found.document());
        found.add(&pointer, message.to_owned());
    }
}

fn check_routes(config: &Config, found: &mut Collector<'_>) {
    for (index, route) in config.routes.iter().enumerate() {
        let place = format!("/routes/{index}");
        if route.tables.is_empty() {
            found.add(&format!("{place}/tables"), "the route names no table; write `\"*\"` for all".to_owned());
        }
        for (at, pattern) in route.tables.iter().enumerate() {
            if let Err(error) = globset::Glob::new(pattern) {
                found.add(&format!("{place}/tables/{at}"), format!("no valid pattern: {}", error.kind()));
            }
        }
        for (at, sink) in route.to.iter().enumerate() {
            let (missing, key) = match sink {
                SinkName::Lake => (config.lake.is_none(), "lake"),
                SinkName::Sentinel => (config.sentinel.is_none(), "sentinel"),
            };
            if missing {
                let message = format!("`{key}` is not configured; add `{key}:` or drop it here");
                found.add(&format!("{place}/to/{at}"), message);
            }
        }
    }
}

/// A secret that was put where the name of its variable belongs must be told of without repeating it.
fn check_secret_names(pointer: &str, value: &Value, found: &mut Collector<'_>) {
    let is_name = |text: &str| {
        !text.is_empty()
            && !text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match value {
        Value::Object(map) => match (map.len(), map.get("env")) {
            (1, Some(Value::String(name))) if !is_name(name) => {
                let message = "no name of an environment variable; write its name, never the secret itself".to_owned();
                found.add(&pointer_to(pointer, "env"), message);
            }
            _ => map.iter().for_each(|(key, inner)| check_secret_names(&pointer_to(pointer, key), inner, found)),
        },
        Value::Array(list) => {
            let mut place = |(index, inner)| check_secret_names(&format!("{pointer}/{index}"), inner, found);
            list.iter().enumerate().for_each(&mut place);
        }
        _ => {}
    }
}

/// The place of the key that a sentence begins with, in backticks; `place` itself where there is no such key.
fn place_of_first_key(place: &str, message: &str, document: &Document) -> String {
    let key = message.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(key, _)| key);
    let pointer = key.map(|key| format!("{place}/{}", key.replace('.', "/")));
    pointer.filter(|pointer| document.value.pointer(pointer).is_some()).unwrap_or_else(|| place.to_owned())
}

/// The place of a credential's `key`, below whichever kind of credential is written at `place`.
fn below_kind(place: &str, key: &str, document: &Document) -> String {
    let kind = document.value.pointer(place).and_then(Value::as_object).and_then(|kinds| kinds.keys().next());
    kind.map_or_else(|| place.to_owned(), |kind| format!("{place}/{kind}/{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigFaults, check};

    fn told(text: &str) -> String {
        let path = Path::new("weir.yaml");
        ConfigFaults::new(path, check::inspect(path, text).faults, Vec::new()).expect("faulty").to_string()
    }

    #[test]
    fn what_only_the_whole_can_tell_is_told() {
        let told = told(
            "sources:\n  - name: a\n    files: {paths: [x]}\n  - name: a\n\
             lake: {url: ./lake}\nroutes:\n  - tables: [\"ASim*\"]\n    to: [sentinel]\n",
        );
        assert!(told.contains("weir.yaml:4: `sources[1].name`: another source is called `a` too"), "{told}");
        let no_kind = "`sources[1]`: the source has no kind; add `kafka:`, `files:`, `objects:` or `http:`";
        assert!(told.contains(no_kind), "{told}");
        assert!(told.contains("`routes[0].to[0]`: `sentinel` is not configured"), "{told}");
    }

    #[test]
    fn every_stage_tells_of_its_part_with_the_line() {
        let told = told(
            "sources:\n  - name: hub\n    kafka:\n      brokers: [\"k1\"]\n      topics: [a, a]\n      properties:\n        \
             fetch.min.bytes: \"1\"\n        enable.auto.commit: \"true\"\n  - name: files\n    files:\n      \
             paths: [x]\n      chunk_size: 1B\n      table: ../x\nlake:\n  url: x\n  compression_level: 40\n  \
             flush_interval: 0s\n  retry:\n    max_attempts: 0\nsentinel:\n  endpoint: https://x.ingest.monitor.azure.com\n  \
             concurrency: 0\n  rules: []\n  credential:\n    client_secret:\n      tenant_id: \"a b\"\n      client_id: c\n      \
             secret: {env: \"not-a-name\"}\nmappings: {directories: [nowhere], check_share: 2}\n",
        );
        for expected in [
            "weir.yaml:3: `sources[0].kafka.group`: is missing",
            "weir.yaml:4: `sources[0].kafka.brokers`: has `k1`",
            "weir.yaml:5: `sources[0].kafka.topics`: names `a` twice",
            "weir.yaml:8: `sources[0].kafka.properties.enable.auto.commit`: can't be changed",
            "weir.yaml:12: `sources[1].files.chunk_size`: must lie between",
            "weir.yaml:13: `sources[1].files.table`: is `../x`, which is no table name",
            "weir.yaml:16: `lake.compression_level`: is 40; write a number from 1 to 22",
            "weir.yaml:17: `lake.flush_interval`: is 0",
            "weir.yaml:19: `lake.retry.max_attempts`: is 0",
            "weir.yaml:22: `sentinel.concurrency`:",
            "weir.yaml:23: `sentinel.rules`:",
            "weir.yaml:26: `sentinel.credential.client_secret.tenant_id`: ",
            "weir.yaml:28: `sentinel.credential.client_secret.secret.env`: no name of an environment variable",
            "weir.yaml:29: `mappings.directories[0]`: `nowhere` is no folder",
            "weir.yaml:29: `mappings.check_share`: is 2; write a share from 0 to 1",
        ] {
            assert!(told.contains(expected), "{expected}\nis not in\n{told}");
        }
        assert_eq!(told.lines().count(), 15, "{told}");
        assert!(!told.contains("not-a-name"));
    }
}
