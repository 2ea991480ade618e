//! Errors that several parts of the binder tell.

use super::Relation;
use crate::diagnostic::{Diagnostic, Span, Subject, nearest};
use crate::operators::operators;

/// Says what to do instead of an operator that runs nowhere.
pub(super) fn refused(name: &str, span: Span) -> Diagnostic {
    let error = Diagnostic::error(span, format!("`{name}` does not run here"));
    match operators().iter().find(|operator| operator.name == name) {
        Some(operator) => error.with_help(operator.doc),
        None => error,
    }
}

/// Says why an operator over many events cannot run.
pub(super) fn stateful(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(span, format!("stateful operator `{name}` cannot run at ingest"))
        .with_help("it would need the rows of all batches; use it in a hunting query")
        .about(Subject::Stateful)
}

pub(super) fn unknown_column(name: &str, span: &Span, relation: &Relation) -> Diagnostic {
    let mut error = Diagnostic::error(span.clone(), format!("unknown column `{name}`")).about(Subject::UnknownColumn);
    error.help = nearest(name, relation.columns.iter().map(|column| &*column.name));
    error
}
