//! What a config names outside of itself and this machine lacks: files, secrets, variables.
//!
//! A run cannot start without them. A check only warns: the config of a container is checked where its volumes and its
//! secrets are not.

use std::path::Path;

use serde_json::Value;
use weir_contract::secret::SecretRef;
use weir_contract::yaml::{Document, pointer_to};
use weir_ingest::source::SourceError;

use super::faults::Collector;
use super::{Config, Fault};

/// Everything that is missing here and now, in the order of the lines. Looks at no network. Globs that can't be parsed
/// are no matter of this machine: they go to `faults`.
pub(super) fn missing(config: &Config, document: &Document, faults: &mut Vec<Fault>) -> Vec<Fault> {
    let mut found = Collector::new(document);
    let mut bad_globs = Collector::new(document);
    for (index, source) in config.sources.iter().enumerate() {
        let place = format!("/sources/{index}");
        if let Some(files) = &source.files {
            for (at, error) in files.unreadable(&source.name.as_str().into()) {
                let found = if matches!(error, SourceError::BadGlob { .. }) { &mut bad_globs } else { &mut found };
                found.add(&format!("{place}/files/paths/{at}"), sentence(&error, &source.name));
            }
        }
        if let Some(tls) = source.http.as_ref().and_then(|http| http.tls.as_ref()) {
            must_be_file(&tls.certificate, &format!("{place}/http/tls/certificate"), &mut found);
            must_be_file(&tls.private_key, &format!("{place}/http/tls/private_key"), &mut found);
        }
        let tls = source.kafka.as_ref().and_then(|kafka| kafka.security.as_ref()?.tls.as_ref()?.ca.as_ref());
        if let Some(ca) = tls {
            must_be_file(ca, &format!("{place}/kafka/security/tls/ca"), &mut found);
        }
        let hubs = source.kafka.as_ref().and_then(|kafka| kafka.event_hubs.as_ref());
        if let Some(credential) = hubs.and_then(|hubs| hubs.auth.credential()) {
            check_environment(credential.missing(), &format!("{place}/kafka/event_hubs/auth"), &mut found);
        }
    }
    if let Some(sentinel) = &config.sentinel {
        for (index, rule) in sentinel.rules.iter().enumerate() {
            if let Some(definition) = &rule.definition {
                must_be_file(definition, &format!("/sentinel/rules/{index}/definition"), &mut found);
            }
        }
        check_environment(sentinel.credential.missing(), "/sentinel/credential", &mut found);
    }
    check_secrets("", &document.value, &mut found);
    faults.extend(bad_globs.into_faults());
    let mut missing = found.into_faults();
    missing.sort_by_key(|fault| fault.line);
    missing
}

fn must_be_file(path: &Path, pointer: &str, found: &mut Collector<'_>) {
    if !path.is_file() {
        found.add(pointer, format!("`{}` is no file; correct the path, or mount it", path.display()));
    }
}

fn check_environment(missing: Option<String>, pointer: &str, found: &mut Collector<'_>) {
    if let Some(message) = missing {
        found.add(pointer, message);
    }
}

/// Reads every secret that is referred to, wherever it stands: `{env: NAME}` or `{file: PATH}` is nothing else.
fn check_secrets(pointer: &str, value: &Value, found: &mut Collector<'_>) {
    match value {
        Value::Object(map) => {
            let secret = serde_json::from_value::<SecretRef>(value.clone());
            match (map.len(), secret) {
                (1, Ok(secret)) => {
                    if let Err(error) = secret.read() {
                        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                        found.add(pointer, format!("{error}{}", cause.unwrap_or_default()));
                    }
                }
                _ => map.iter().for_each(|(key, inner)| check_secrets(&pointer_to(pointer, key), inner, found)),
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                check_secrets(&format!("{pointer}/{index}"), inner, found);
            }
        }
        _ => {}
    }
}

/// A source's error without the source's name, which the key tells.
fn sentence(error: &SourceError, source_name: &str) -> String {
    let text = error.to_string();
    let text = text.strip_prefix(&format!("source `{source_name}`: ")).unwrap_or(&text).to_owned();
    match std::error::Error::source(error) {
        Some(cause) => format!("{text} ({cause})"),
        None => text,
    }
}
