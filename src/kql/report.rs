//! What the checks found, for people and for editors.

use std::io::Write as _;

use clap::ValueEnum;
use serde::Serialize;
use weir_kql::{Diagnostic, Severity};

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people: findings to standard error, the summary to standard output.
    Text,
    /// One JSON object on standard output, for editors and scripts.
    Json,
}

/// One message, at its place in a file. Lines and columns count from 1, columns in characters; the end is the first
/// column behind what is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) end_line: usize,
    pub(super) end_column: usize,
    pub(super) severity: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// With the source line and a mark under it.
    #[serde(skip)]
    pub(super) rendered: String,
}

/// All messages.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report<Output> {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) diagnostics: Vec<Finding>,
    /// What else is known of what is sound.
    pub(super) outputs: Vec<Output>,
}

impl Finding {
    /// A diagnostic of `text`, whose first line is line `first_line` of the file.
    pub(super) fn new(file: &str, text: &str, first_line: usize, diagnostic: &Diagnostic) -> Self {
        let place = |position: usize| {
            let mut position = position.min(text.len());
            while !text.is_char_boundary(position) {
                position -= 1;
            }
            let line_start = text[..position].rfind('\n').map_or(0, |newline| newline + 1);
            (first_line + text[..position].matches('\n').count(), text[line_start..position].chars().count() + 1)
        };
        let (line, column) = place(diagnostic.span.start);
        let (end_line, end_column) = place(diagnostic.span.end.max(diagnostic.span.start));
        Self {
            file: file.to_owned(),
            line,
            column,
            end_line,
            end_column,
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            rendered: diagnostic.render(file, text, first_line),
        }
    }

    /// An error of a file that could not be read.
    pub(super) fn of_file(file: &str, message: String) -> Self {
        let rendered = format!("error: `{file}` {message}\n");
        let (line, column, end_line, end_column) = (1, 1, 1, 1);
        Self {
            file: file.to_owned(),
            line,
            column,
            end_line,
            end_column,
            severity: "error",
            message,
            help: None,
            rendered,
        }
    }
}

impl<Output: Serialize> Report<Output> {
    /// Adds a finding. One query may be checked for several streams; what is the same is told once.
    pub(super) fn add(&mut self, finding: Finding) {
        if self.diagnostics.contains(&finding) {
            return;
        }
        match finding.severity {
            "error" => self.errors += 1,
            _ => self.warnings += 1,
        }
        self.diagnostics.push(finding);
    }

    /// Prints all; `summary` is what people read at the end.
    pub(super) fn print(&self, format: Format, summary: impl FnOnce(&Self) -> String) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match format {
            Format::Json => writeln!(out, "{}", serde_json::to_string(self)?)?,
            Format::Text => {
                for finding in &self.diagnostics {
                    eprintln!("{}", finding.rendered);
                }
                write!(out, "{}", summary(self))?;
            }
        }
        Ok(())
    }

    /// `1 error, 2 warnings`; names only what there is.
    pub(super) fn count(&self) -> String {
        match (self.errors, self.warnings) {
            (0, 0) => "no errors".to_owned(),
            (0, warnings) => format!("no errors, {}", plural(warnings, "warning")),
            (errors, 0) => plural(errors, "error"),
            (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
        }
    }
}

/// `1 file`, `2 files`.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
