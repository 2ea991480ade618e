//! What people say beside mapping files, as lists (CSV, RFC 4180):
//!
//! - `lake_only.csv`, `table,action_type,rows,reason`: what no schema fits. Without `action_type` it is the whole raw
//!   table, without `rows` all rows of the type; `rows` says in words which ones.
//! - `reasons.csv`, `about,mapping,field,reason`: why a mandatory or recommended field is empty in some rows (`about` is
//!   [`EMPTY`]), or why a warning of the check stays (`about` is the rule, such as `W10`). `mapping` is the name of the
//!   mapping's file without its ending, or the target table's; both `mapping` and `field` may have `|` between
//!   alternatives, and `*` for any text. The first line that fits counts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::check::csv;
use crate::coverage::CoverageError;

/// The name of the list of what no schema fits.
pub const LAKE_ONLY: &str = "lake_only.csv";
/// The name of the list of reasons.
pub const REASONS: &str = "reasons.csv";
/// What a reason for an empty field is about.
pub const EMPTY: &str = "empty";

/// Events that no schema fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeOnly {
    /// The raw table.
    pub table: String,
    /// The action type; `None`: all rows of the table.
    pub action_type: Option<String>,
    /// Which rows of the action type; `None`: all.
    pub rows: Option<String>,
    /// Why no schema fits them.
    pub reason: String,
}

/// A text with `*` for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(String);

/// A line of the list of reasons.
#[derive(Debug)]
pub struct Reason {
    /// [`EMPTY`], or a rule.
    pub about: String,
    /// The reason.
    pub text: String,
    mappings: Vec<Pattern>,
    fields: Vec<Pattern>,
    place: String,
}

/// The reasons of a folder.
#[derive(Debug, Default)]
pub(super) struct Reasons(Vec<Reason>);

/// A part of a reason that was of use: the line, and which of its alternatives (mappings first).
pub(super) type Use = (String, usize);

/// Reads the lists of what no schema fits, below `folder`.
pub(super) fn lake_only(folder: &Path) -> Result<Vec<LakeOnly>, CoverageError> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let lines = read(folder, LAKE_ONLY, ["table", "action_type", "rows", "reason"])?;
    let lines = lines.into_iter().map(|(_, [table, action_type, rows, reason])| LakeOnly {
        table,
        action_type: some(action_type),
        rows: some(rows),
        reason,
    });
    Ok(lines.collect())
}

impl Reasons {
    /// Reads the lists of reasons below `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, CoverageError> {
        let alternatives = |text: &str| text.split('|').map(|name| Pattern(name.trim().to_owned())).collect();
        let lines = read(folder, REASONS, ["about", "mapping", "field", "reason"])?;
        let lines = lines.into_iter().map(|(place, [about, mapping, field, text])| Reason {
            about,
            text,
            mappings: alternatives(&mapping),
            fields: alternatives(&field),
            place,
        });
        Ok(Self(lines.collect()))
    }

    /// The reason for what `about` tells of a field; `mapping` is its name and its target table.
    pub(super) fn of(&self, about: &str, mapping: [&str; 2], field: &str) -> Option<&Reason> {
        self.0.iter().find(|reason| reason.about == about && reason.fits(mapping, field))
    }

    /// What no use was made of.
    pub(super) fn unused(&self, used: &BTreeSet<Use>) -> Vec<String> {
        let mut faults = Vec::new();
        for reason in &self.0 {
            for (at, name) in reason.mappings.iter().chain(&reason.fields).enumerate() {
                if !used.contains(&(reason.place.clone(), at)) {
                    let what = if at < reason.mappings.len() { "mapping" } else { "field" };
                    faults.push(format!(
                        "{}: the {what} `{}` gives no reason for anything (`{}`); an earlier line does, or nothing is \
                         left to explain: take it out",
                        reason.place, name.0, reason.about
                    ));
                }
            }
        }
        faults
    }
}

impl Reason {
    fn fits(&self, mapping: [&str; 2], field: &str) -> bool {
        self.mappings.iter().any(|name| name.fits_any(mapping)) && self.fields.iter().any(|name| name.fits(field))
    }

    /// Which of its alternatives fit.
    pub(super) fn uses(&self, mapping: [&str; 2], field: &str) -> Vec<Use> {
        let mappings = self.mappings.iter().map(|name| name.fits_any(mapping));
        let fits = mappings.chain(self.fields.iter().map(|name| name.fits(field)));
        fits.enumerate().filter(|(_, fits)| *fits).map(|(at, _)| (self.place.clone(), at)).collect()
    }
}

impl Pattern {
    fn fits_any(&self, texts: [&str; 2]) -> bool {
        texts.iter().any(|text| self.fits(text))
    }

    /// Whether the pattern is `text`.
    fn fits(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(mut left) = text.strip_prefix(start) else { return false };
        let mut pieces: Vec<&str> = rest.split('*').collect();
        let end = pieces.pop().unwrap_or_default();
        for piece in pieces {
            match left.find(piece) {
                Some(at) => left = &left[at + piece.len()..],
                None => return false,
            }
        }
        left.ends_with(end)
    }
}

/// The lines of all files called `name` below `folder`, each with its place (`file:line`).
fn read<const N: usize>(
    folder: &Path,
    name: &str,
    header: [&str; N],
) -> Result<Vec<(String, [String; N])>, CoverageError> {
    let mut lines = Vec::new();
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name();
    for entry in entries.into_iter().flatten().filter(|entry| entry.file_name() == name) {
        let file = entry.path().display().to_string();
        let fault = |line: u64, message: String| CoverageError::File {
            file: file.clone(),
            line: usize::try_from(line).unwrap_or(usize::MAX),
            message,
        };
        let text =
            std::fs::read_to_string(entry.path()).map_err(|cause| fault(1, format!("cannot be read: {cause}")))?;
        let records = csv::records(&text).map_err(|error| fault(error.line, error.to_string()))?;
        let mut records = records.into_iter();
        if records.next().is_none_or(|(_, names)| names != header) {
            return Err(fault(1, format!("the first line must be `{}`", header.join(","))));
        }
        for (line, cells) in records {
            let count = cells.len();
            let cells = cells
                .try_into()
                .map_err(|_| fault(line, format!("{count} cells; expected {N}: `{}`", header.join(","))))?;
            lines.push((format!("{file}:{line}"), cells));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let fits = |pattern: &str, text: &str| Pattern(pattern.to_owned()).fits(text);
        assert!(fits("Dvc*", "DvcIpAddr") && fits("*IpAddr", "DvcIpAddr") && fits("D*Ip*r", "DvcIpAddr"));
        assert!(fits("*", "") && fits("Dvc", "Dvc"));
        assert!(!fits("Dvc", "DvcId") && !fits("Dvc*Addr", "DvcId") && !fits("Dvc*Dvc", "Dvc"));
    }

    #[test]
    fn a_reason_tells_which_of_its_alternatives_were_of_use() {
        let patterns = |names: &[&str]| names.iter().map(|name| Pattern((*name).to_owned())).collect();
        let reason = Reason {
            about: EMPTY.to_owned(),
            text: "no device is told".to_owned(),
            mappings: patterns(&["Cloud*", "ASimDnsActivityLogs", "Old"]),
            fields: patterns(&["Dvc*", "SrcHostname"]),
            place: "reasons.csv:2".to_owned(),
        };
        assert!(!reason.fits(["Cloud_Audit", "ASimAuditEventLogs"], "TargetHostname"));
        let mut used = BTreeSet::new();
        for (mapping, field) in [
            (["Cloud_Audit", "ASimAuditEventLogs"], "DvcIpAddr"),
            (["Device_Dns", "ASimDnsActivityLogs"], "SrcHostname"),
        ] {
            assert!(reason.fits(mapping, field));
            used.extend(reason.uses(mapping, field));
        }
        let unused = Reasons(vec![reason]).unused(&used);
        assert_eq!(unused.len(), 1);
        assert!(unused[0].starts_with("reasons.csv:2: the mapping `Old` gives no reason"), "{unused:?}");
    }
}
