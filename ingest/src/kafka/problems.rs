//! Faults of a Kafka source's config, all at once.

/// A fault in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, with dots between levels.
    pub key: String,
    /// What is wrong and what to write instead.
    pub text: String,
}

/// Faults found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem { key: key.into(), text: text.into() });
    }

    pub(super) fn into_inner(self) -> Vec<Problem> {
        self.0
    }
}
