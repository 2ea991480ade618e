//! What the mappings of a folder cover: which events become which ASIM rows, how many of the schema's fields those fill,
//! what the check says of them, and what has no ASIM row at all.
//!
//! It is all read from what stands beside the mapping files: their expected rows ([`crate::samples`]) and two lists
//! ([`notes`]), `lake_only.csv` of what no schema fits, and `reasons.csv` of why fields stay empty and findings stay.

pub mod notes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::check::rows::Selection;
use crate::check::{Checker, Class, Finding, Mode, Numbers, Origin, Rule, Severity, Target};
use crate::coverage::notes::{LakeOnly, Reason, Reasons};
use crate::library;
use crate::mapping::{Mapping, MappingError};
use crate::samples;

/// What the mappings of a folder cover.
#[derive(Debug)]
pub struct Coverage {
    /// Each mapping, in the order of their raw tables.
    pub mappings: Vec<MappingCoverage>,
    /// What stays in the lake as it is.
    pub lake_only: Vec<LakeOnly>,
    reasons: Reasons,
}

/// What one mapping covers.
#[derive(Debug)]
pub struct MappingCoverage {
    /// The file, from the folder on.
    pub file: String,
    /// The mapping.
    pub mapping: Mapping,
    /// What its rows are held against; `None` for a custom table whose name tells no schema.
    pub target: Option<Target>,
    /// The expected rows of its samples.
    pub rows: Vec<Map<String, Value>>,
    /// What the check finds in them.
    pub findings: Vec<Finding>,
}

/// Events that a mapping makes the same kind of row of: those of one type in the source's own words.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// `EventOriginalType`, in any case; `None` where the source has no types.
    pub action_type: Option<String>,
    /// The `EventType`s of its rows.
    pub event_types: BTreeSet<String>,
    /// Expected rows.
    pub rows: usize,
    /// Fields that some of its rows fill.
    pub filled: usize,
}

/// How often a mapping fills a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// The field.
    pub field: &'static str,
    /// How much its schema asks for it.
    pub class: Class,
    /// Expected rows that have it.
    pub rows: usize,
}

/// A mandatory or recommended field that a mapping leaves empty in some of its rows, or in all.
#[derive(Debug)]
pub struct Gap<'a> {
    /// The mapping.
    pub of: &'a MappingCoverage,
    /// The field, and how many rows have it.
    pub fill: Fill,
    /// Why the others do not; `None` if no one has said it.
    pub reason: Option<&'a Reason>,
}

/// A warning of the check that is not about an empty field.
#[derive(Debug)]
pub struct Warning<'a> {
    /// The mapping.
    pub of: &'a MappingCoverage,
    /// What was found.
    pub finding: &'a Finding,
    /// Why it stays; `None` if no one has said it.
    pub reason: Option<&'a Reason>,
}

/// Why the coverage of a folder cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum CoverageError {
    /// Files that are no mappings.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mappings(Vec<MappingError>),
    /// A folder without mappings.
    #[error("`{0}` has no mapping files (`*.yaml`); name a folder that has them")]
    Nothing(String),
    /// A list or an expected file that cannot be used.
    #[error("{file}:{line}: {message}")]
    File {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what is expected.
        message: String,
    },
}

impl Coverage {
    /// Reads all mappings below `folder`, and what stands beside them.
    ///
    /// # Errors
    ///
    /// A file that is no mapping, a mapping without expected rows, rows that cannot be checked, a list that does not have
    /// its columns.
    pub fn of_folder(folder: &Path) -> Result<Self, CoverageError> {
        let mappings = library::from_folder(folder).map_err(CoverageError::Mappings)?;
        if mappings.is_empty() {
            return Err(CoverageError::Nothing(folder.display().to_string()));
        }
        let mut covered = Vec::new();
        for mapping in mappings {
            covered.push(MappingCoverage::of(folder, mapping)?);
        }
        covered.sort_by(|a, b| (&a.mapping.source_table, &a.file).cmp(&(&b.mapping.source_table, &b.file)));
        Ok(Self { mappings: covered, lake_only: notes::lake_only(folder)?, reasons: Reasons::read(folder)? })
    }

    /// The mandatory and recommended fields that are not in all expected rows.
    pub fn gaps(&self) -> Vec<Gap<'_>> {
        let asked = |fill: &Fill| matches!(fill.class, Class::Mandatory | Class::Recommended);
        let gaps = self.mappings.iter().flat_map(|of| {
            let open = of.fills().into_iter().filter(move |fill| asked(fill) && fill.rows < of.rows.len());
            open.map(move |fill| Gap { of, fill, reason: self.reasons.of(notes::EMPTY, of.names(), fill.field) })
        });
        gaps.collect()
    }

    /// The check's warnings, without those about empty fields: these are [`Coverage::gaps`].
    pub fn warnings(&self) -> Vec<Warning<'_>> {
        let warnings = self.mappings.iter().flat_map(|of| {
            let told = of.findings.iter().filter(|finding| {
                finding.rule.severity() == Severity::Warning && !matches!(finding.rule, Rule::S2 | Rule::D2)
            });
            told.map(move |finding| Warning {
                of,
                finding,
                reason: self.reasons.of(finding.rule.id(), of.names(), &finding.field),
            })
        });
        warnings.collect()
    }

    /// What is left to be done, ready to print: errors of the check, gaps and warnings without a reason, and reasons of
    /// what is no longer so.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for of in &self.mappings {
            let errors = of.findings.iter().filter(|finding| finding.rule.severity() == Severity::Error);
            faults.extend(errors.map(|finding| format!("{}: {}: {}", of.file, finding.field, finding.says())));
        }
        let mut used = BTreeSet::new();
        let mut told = |about: &str, of: &MappingCoverage, field: &str, reason: Option<&Reason>| match reason {
            Some(reason) => used.extend(reason.uses(of.names(), field)),
            None => faults.push(format!(
                "{}: `{field}`: no reason is given; add `{about},{},{field},…` to `{}` beside it",
                of.file,
                of.stem(),
                notes::REASONS
            )),
        };
        for gap in self.gaps() {
            told(notes::EMPTY, gap.of, gap.fill.field, gap.reason);
        }
        for warning in self.warnings() {
            told(warning.finding.rule.id(), warning.of, &warning.finding.field, warning.reason);
        }
        faults.extend(self.reasons.unused(&used));
        faults
    }

    /// Raw tables and what is made of their events, by mapping.
    pub fn by_table(&self) -> BTreeMap<&str, Vec<&MappingCoverage>> {
        let mut tables: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for of in &self.mappings {
            tables.entry(&of.mapping.source_table).or_default().push(of);
        }
        tables
    }
}

impl MappingCoverage {
    fn of(folder: &Path, mapping: Mapping) -> Result<Self, CoverageError> {
        let path = PathBuf::from(&mapping.file);
        let expected = samples::beside(&path, "expected");
        let place: Arc<str> = expected.display().to_string().into();
        let fault = |line: usize, message: String| CoverageError::File { file: place.to_string(), line, message };
        let text = std::fs::read_to_string(&expected).map_err(|cause| {
            fault(1, format!("cannot be read ({cause}); `weir kql test --update` writes it from the samples"))
        })?;
        let rows = samples::parse_expected(&text).map_err(|error| fault(error.line, "not a JSON object".to_owned()))?;
        let rows = rows.into_iter().filter_map(|row| match row {
            Value::Object(row) => Some(row),
            _ => None,
        });
        let rows: Vec<Map<String, Value>> = rows.collect();
        let mut checker = Checker::new(Mode::Full);
        for batch in Selection::default().sort((1..).zip(rows.iter().cloned()).collect()).batches {
            let origin = Origin { place: &place, numbers: Numbers::Each(&batch.numbers) };
            checker
                .check(&batch.target, &batch.rows, &origin)
                .map_err(|error| fault(1, format!("cannot be checked: {error}")))?;
        }
        let target = Target::of_table(&mapping.target_table);
        let findings = checker.finish().findings().to_vec();
        let file = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        Ok(Self { file, target, rows, findings, mapping })
    }

    /// The file's name without its ending: what lists call the mapping.
    pub fn stem(&self) -> &str {
        let name = self.file.rsplit('/').next().unwrap_or(&self.file);
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// What the list of reasons may call it: its own name, or its target table's.
    fn names(&self) -> [&str; 2] {
        [self.stem(), &self.mapping.target_table]
    }

    /// The fields that the mapping could fill, in the order of the schema, and how often it does.
    pub fn fills(&self) -> Vec<Fill> {
        let fields = self.target.iter().flat_map(Target::fillable);
        let fills = fields.map(|(field, class)| Fill {
            field,
            class,
            rows: self.rows.iter().filter(|row| is_filled(row, field)).count(),
        });
        fills.collect()
    }

    /// Its events by type, in the order of their first rows.
    pub fn kinds(&self) -> Vec<Kind> {
        let text = |row: &Map<String, Value>, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        let fields: Vec<&str> = self.target.iter().flat_map(Target::fillable).map(|(field, _)| field).collect();
        let mut kinds: Vec<(Kind, BTreeSet<&str>)> = Vec::new();
        for row in &self.rows {
            let action_type = text(row, "EventOriginalType");
            let is_same = |kind: &Kind| match (&kind.action_type, &action_type) {
                (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
                (one, other) => one == other,
            };
            let at = kinds.iter().position(|(kind, _)| is_same(kind)).unwrap_or_else(|| {
                let kind = Kind { action_type, event_types: BTreeSet::new(), rows: 0, filled: 0 };
                kinds.push((kind, BTreeSet::new()));
                kinds.len() - 1
            });
            let (kind, filled) = &mut kinds[at];
            kind.rows += 1;
            kind.event_types.extend(text(row, "EventType"));
            filled.extend(fields.iter().filter(|field| is_filled(row, field)));
            kind.filled = filled.len();
        }
        kinds.into_iter().map(|(kind, _)| kind).collect()
    }
}

/// Expected rows leave out what is empty.
fn is_filled(row: &Map<String, Value>, field: &str) -> bool {
    row.get(field).is_some_and(|value| !value.is_null())
}
