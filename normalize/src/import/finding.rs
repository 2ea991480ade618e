//! What an import has to say.

use weir_kql::Subject;

/// One thing that an import noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// The line of the file, from 1, if it has one.
    pub line: Option<usize>,
    /// What it names: a column, a table, a function; empty if nothing.
    pub subject: String,
    /// The whole message; of a compiler's message, with the source line.
    pub message: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// The mapping runs, but perhaps not as meant.
    Warning,
    /// There is no mapping.
    Error,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A column that the raw table does not have.
    UnknownColumn,
    /// A table that Weir does not know; its branch is empty.
    UnknownTable,
    /// A function that nobody has.
    UnknownFunction,
    /// A watchlist that the config does not name.
    UnknownWatchlist,
    /// An operator that cannot run at ingest.
    RefusedOperator,
    /// Another error of the query.
    Query,
    /// An output column that is an alias: the unifying functions compute it.
    Alias,
    /// An output column that the workspace fills or Microsoft reserves.
    Reserved,
    /// An output column that the target does not store.
    NotStored,
    /// An output column that is converted to the target's type.
    Converted,
    /// A mandatory column of the target that the query does not make.
    MissingMandatory,
    /// What the file or the command line lacks: a raw table, its columns, a target.
    Binding,
}

impl Kind {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownColumn => "unknown_column",
            Self::UnknownTable => "unknown_table",
            Self::UnknownFunction => "unknown_function",
            Self::UnknownWatchlist => "unknown_watchlist",
            Self::RefusedOperator => "refused_operator",
            Self::Query => "query",
            Self::Alias => "alias",
            Self::Reserved => "reserved",
            Self::NotStored => "not_stored",
            Self::Converted => "converted",
            Self::MissingMandatory => "missing_mandatory",
            Self::Binding => "binding",
        }
    }

    pub(super) fn of_subject(subject: Subject) -> Self {
        match subject {
            Subject::UnknownColumn => Self::UnknownColumn,
            Subject::UnknownTable => Self::UnknownTable,
            Subject::UnknownFunction => Self::UnknownFunction,
            Subject::UnknownWatchlist => Self::UnknownWatchlist,
            Subject::Stateful => Self::RefusedOperator,
            Subject::Other => Self::Query,
        }
    }
}

impl Severity {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Finding {
    pub(super) fn new(severity: Severity, kind: Kind, subject: &str, message: String) -> Self {
        Self { kind, severity, line: None, subject: subject.to_owned(), message }
    }
}
