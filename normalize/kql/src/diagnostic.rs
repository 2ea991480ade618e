//! What the compiler has to say about a query: where, what is wrong, and what to write instead.

use std::fmt::Write;
use std::ops::Range;

/// A byte range of the query text.
pub type Span = Range<usize>;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The query cannot run.
    Error,
    /// The query runs, but perhaps not as its author meant.
    Warning,
}

/// What a diagnostic is about, for those who sort them; the text of the message is for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Anything else: syntax, types, arguments.
    #[default]
    Other,
    /// A column that the table does not have.
    UnknownColumn,
    /// A table that neither the query nor the host has.
    UnknownTable,
    /// A function that is neither built in, nor stored, nor the query's own.
    UnknownFunction,
    /// A watchlist that the host does not have.
    UnknownWatchlist,
    /// An operator that needs the rows of more than one batch.
    Stateful,
}

/// One message about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The bytes of the query that the message is about.
    pub span: Span,
    /// What is wrong: lowercase, no final period.
    pub message: String,
    /// What to write instead, if there is a likely answer.
    pub help: Option<String>,
    /// What it is about.
    pub subject: Subject,
}

impl Diagnostic {
    /// An error without a hint.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, span, message: message.into(), help: None, subject: Subject::Other }
    }

    /// A warning without a hint.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, span, message: message.into(), help: None, subject: Subject::Other }
    }

    /// The same diagnostic with a hint.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same diagnostic, sorted under `subject`.
    #[must_use]
    pub(crate) fn about(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Renders the message with its source line and a caret under the span.
    ///
    /// `first_line` is the number that the query's first line has in `file` (1 for a file that holds only the query).
    /// Tabs count as one column; a span over several lines is marked to the end of its first.
    pub fn render(&self, file: &str, source: &str, first_line: usize) -> String {
        let start = floor_boundary(source, self.span.start);
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
        let line = source[line_start..line_end].trim_end_matches('\r').replace('\t', " ");
        let line_number = first_line + source[..start].matches('\n').count();
        let column = source[line_start..start].chars().count();
        let marked_end = floor_boundary(source, self.span.end).clamp(start, line_end);
        let width = source[start..marked_end].chars().count().max(1);
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let gutter = " ".repeat(line_number.to_string().len());
        let mut text = format!("{severity}: {}\n{gutter}--> {file}:{line_number}:{}\n", self.message, column + 1);
        let _ = writeln!(text, "{gutter} |\n{line_number} | {line}");
        let _ = writeln!(text, "{gutter} | {}{}", " ".repeat(column), "^".repeat(width));
        if let Some(help) = &self.help {
            let _ = writeln!(text, "{gutter} = help: {help}");
        }
        text
    }
}

/// The candidate nearest to `name`, if it is near enough to be a likely slip of the pen.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()) / 3)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

fn floor_boundary(text: &str, position: usize) -> usize {
    let mut position = position.min(text.len());
    while !text.is_char_boundary(position) {
        position -= 1;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_its_line_and_points_at_the_span() {
        let source = "T\n| where Nmae == 1";
        let rendered = Diagnostic::error(10..14, "unknown column `Nmae`")
            .with_help("did you mean `Name`?")
            .render("map.yaml", source, 7);
        assert_eq!(
            rendered,
            "error: unknown column `Nmae`\n --> map.yaml:8:9\n  |\n8 | | where Nmae == 1\n  |         ^^^^\n  \
             = help: did you mean `Name`?\n"
        );
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        assert_eq!(nearest("tostirng", ["tostring", "toint"].into_iter()), Some("did you mean `tostring`?".into()));
        assert_eq!(nearest("frobnicate", ["tostring", "toint"].into_iter()), None);
    }
}
