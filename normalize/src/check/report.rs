//! What a check found, as text and as JSON.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::check::Mode;
use crate::check::rule::{Rule, Severity};
use crate::check::tally::Tally;
use crate::check::target::Target;

/// What one rule found in one field of one table.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The schema that the rows were held against.
    pub schema: &'static str,
    /// The table, or the schema where the rows are a view's.
    pub table: Arc<str>,
    /// The field.
    pub field: Arc<str>,
    /// Rows that it is about; 1 for a finding about a column.
    pub count: u64,
    /// Rows that were checked.
    pub rows: u64,
    /// Different offending values.
    pub distinct: u64,
    /// Up to ten of them, each cut to 120 characters.
    pub values: Vec<String>,
    /// The first offending row: file or table, and the row's number there.
    pub example: Option<String>,
    /// What the rule's own text does not tell; may be empty.
    pub detail: String,
}

/// All findings of a check, in the order of tables, severities, rules and fields.
#[derive(Debug)]
pub struct Report {
    mode: Mode,
    checked: Vec<(Arc<str>, &'static str, u64)>,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, checked: Vec::new(), findings: Vec::new() }
    }

    pub(super) fn add(&mut self, target: &Target, rows: u64, tally: Tally) {
        self.checked.push((target.label(), target.schema, rows));
        let mut findings: Vec<Finding> = tally
            .into_entries()
            .map(|((rule, field), entry)| Finding {
                rule,
                schema: target.schema,
                table: target.label(),
                field,
                count: entry.count,
                rows,
                distinct: entry.distinct(),
                example: entry.example.map(|place| place.to_string()),
                values: entry.values,
                detail: entry.detail,
            })
            .collect();
        findings.sort_by(|a, b| (a.rule.severity(), a.rule, &a.field).cmp(&(b.rule.severity(), b.rule, &b.field)));
        self.findings.extend(findings);
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether nothing was there to be checked.
    pub fn is_empty(&self) -> bool {
        self.checked.is_empty()
    }

    /// Rows that were checked.
    pub fn rows(&self) -> u64 {
        self.checked.iter().map(|(_, _, rows)| rows).sum()
    }

    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.rule.severity() == severity).count()
    }

    /// One object: `{"errors":n,"warnings":n,"infos":n,"findings":[…]}`.
    pub fn to_json(&self) -> Value {
        json!({
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "infos": self.count(Severity::Info),
            "findings": self.findings.iter().map(|finding| self.finding_json(finding)).collect::<Vec<_>>(),
        })
    }

    fn finding_json(&self, finding: &Finding) -> Value {
        let message = match self.mode {
            Mode::Official => official_line(finding),
            Mode::Full => finding.says(),
        };
        json!({
            "severity": finding.rule.severity().name(),
            "rule": finding.rule.id(),
            "name": finding.rule.name(),
            "schema": finding.schema,
            "table": &*finding.table,
            "field": &*finding.field,
            "message": message,
            "value": finding.values.first(),
            "values": finding.values,
            "distinct": finding.distinct,
            "count": finding.count,
            "rows": finding.rows,
            "example": finding.example,
        })
    }

    /// The findings for people; ends with a line end.
    pub fn to_text(&self) -> String {
        match self.mode {
            Mode::Official => self.official_text(),
            Mode::Full => self.full_text(),
        }
    }

    /// One line per finding, sorted as text: what the official testers give.
    fn official_text(&self) -> String {
        let mut lines: Vec<String> = self.findings.iter().map(official_line).collect();
        lines.sort();
        lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    fn full_text(&self) -> String {
        let mut text = String::new();
        let mut write = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        for (table, schema, rows) in &self.checked {
            write(format!("{table} (schema {schema}): {} checked", counted(*rows, "row")));
            let mut empty_optional = 0;
            for finding in self.findings.iter().filter(|finding| finding.table == *table) {
                // There are a hundred or more; the JSON names them.
                if matches!(finding.rule, Rule::S9 | Rule::S10 | Rule::D4) {
                    empty_optional += 1;
                    continue;
                }
                write(format!("  {}", finding.line()));
            }
            if empty_optional > 0 {
                let fields = counted(empty_optional, "optional field");
                write(format!("  info     {fields} absent or empty in some rows (`--format json` names them)"));
            }
        }
        write(format!(
            "{}, {}, {}",
            counted(self.count(Severity::Error) as u64, "error"),
            counted(self.count(Severity::Warning) as u64, "warning"),
            counted(self.count(Severity::Info) as u64, "info")
        ));
        text
    }
}

impl Finding {
    /// What is wrong, without the field's name.
    pub fn says(&self) -> String {
        let says = self.rule.says();
        if self.detail.is_empty() { says.to_owned() } else { format!("{says} ({})", self.detail) }
    }

    /// `error W5 TargetUsername: …: 2 of 8 rows, such as `x` (rows.json:3)`
    fn line(&self) -> String {
        let mut line = format!("{:<8} {:<3} {}: {}", self.rule.severity(), self.rule, self.field, self.says());
        if self.rule.is_about_columns() {
            return line;
        }
        let _ = write!(line, ": {} of {}", self.count, counted(self.rows, "row"));
        if let Some(value) = self.values.first() {
            let others = match self.distinct {
                1 => String::new(),
                distinct => format!("{distinct} values "),
            };
            let _ = write!(line, ", {others}such as `{value}`");
        }
        if let Some(example) = &self.example {
            let _ = write!(line, " ({example})");
        }
        line
    }
}

/// One line of the official testers.
fn official_line(finding: &Finding) -> String {
    let Finding { rule, field, schema, count, rows, .. } = finding;
    let mut line = format!("{}: {}: [{field}]", rule.severity().tag(), finding.says());
    if rule.is_about_columns() {
        return line;
    }
    let share = if *rows == 0 { 0.0 } else { *count as f64 * 100.0 / *rows as f64 };
    if finding.distinct > 0 {
        let more = if finding.distinct > finding.values.len() as u64 { ", …" } else { "" };
        let _ = write!(line, " has {} ({}{more})", counted(finding.distinct, "such value"), finding.values.join(", "));
    }
    let _ = write!(line, " in {} ({share:.2}%), schema {schema}", counted(*count, "record"));
    line
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("{count} {noun}") } else { format!("{count} {noun}s") }
}
