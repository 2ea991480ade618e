//! KQL over Arrow batches: syntax, binder, typed program
