//! Holds rows against the ASIM schemas.
//!
//! A [`Checker`] takes batches of rows and the [`Target`] that each belongs to, and in the end gives a [`Report`] of
//! findings by [`Rule`] and field. It has two modes:
//!
//! - [`Mode::Official`]: what Microsoft's `ASimSchemaTester` and `ASimDataTester` would report, with their leniencies
//!   and quirks, from their own definitions;
//! - [`Mode::Full`]: the same rules by the schemas' pages, fitted to how a table stores its schema (a native table has
//!   no aliases, and not all fields), and Weir's own rules for what the testers do not look at.
//!
//! Checks run over Arrow columns; [`rows`] makes columns of JSON and CSV, [`sample`] checks live batches.

mod column;
pub mod csv;
mod definition;
mod full;
mod official;
mod registry;
mod relations;
mod report;
pub mod rows;
mod rule;
pub mod sample;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::record_batch::RecordBatch;
use weir_contract::schema::ColumnType;

use crate::check::column::Column;
use crate::check::tally::Tally;

pub use crate::check::column::UnreadableColumn;
pub use crate::check::definition::Class;
pub use crate::check::report::{Finding, Report};
pub use crate::check::rule::{Rule, Severity};
pub use crate::check::tally::{Numbers, Origin};
pub use crate::check::target::Target;

/// Which rules are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All rules, by the schemas' pages and the tables.
    Full,
    /// The official testers' rules, by their definitions.
    Official,
}

/// Counts what is wrong with rows, batch by batch.
#[derive(Debug)]
pub struct Checker {
    mode: Mode,
    now_us: i64,
    groups: BTreeMap<Arc<str>, Group>,
}

/// The rows of one target.
#[derive(Debug)]
struct Group {
    target: Target,
    rows: u64,
    /// Every type that a column had.
    columns: BTreeMap<Arc<str>, Vec<ColumnType>>,
    tally: Tally,
}

impl Checker {
    /// A checker that has seen nothing; times are compared with the clock of now.
    pub fn new(mode: Mode) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { mode, now_us: i64::try_from(now.as_micros()).unwrap_or(i64::MAX), groups: BTreeMap::new() }
    }

    /// The same with a clock that stands at `now_us`, in microseconds since 1970 UTC.
    pub fn with_clock(self, now_us: i64) -> Self {
        Self { now_us, ..self }
    }

    /// Checks a batch of rows, of types as in [`weir_contract::schema`] or narrower.
    ///
    /// # Errors
    ///
    /// A column of nested or binary type; nothing of the batch is counted then.
    pub fn check(&mut self, target: &Target, rows: &RecordBatch, origin: &Origin<'_>) -> Result<(), UnreadableColumn> {
        let columns = Column::all(rows)?;
        let (mode, now_us) = (self.mode, self.now_us);
        let group = self.group(target, columns.iter().map(|column| (&column.name, column.ty)));
        let count = rows.num_rows();
        group.rows += count as u64;
        match mode {
            Mode::Official => official::check_values(target.schema, &columns, count, origin, &mut group.tally),
            Mode::Full if target.is_unknown() => {
                group.tally.rows(Rule::W41, &"EventSchema".into(), count as u64, 0, origin);
            }
            Mode::Full => full::check_values(target, &columns, count, now_us, origin, &mut group.tally),
        }
        Ok(())
    }

    /// Notes that a table exists even if no row of it comes, so that its columns are checked.
    pub fn expect(&mut self, target: &Target, columns: &[(Arc<str>, ColumnType)]) {
        self.group(target, columns.iter().map(|(name, ty)| (name, *ty)));
    }

    fn group<'a>(&mut self, target: &Target, columns: impl Iterator<Item = (&'a Arc<str>, ColumnType)>) -> &mut Group {
        let group = self.groups.entry(target.label()).or_insert_with(|| Group {
            target: target.clone(),
            rows: 0,
            columns: BTreeMap::new(),
            tally: Tally::default(),
        });
        for (name, ty) in columns {
            let types = group.columns.entry(Arc::clone(name)).or_default();
            if !types.contains(&ty) {
                types.push(ty);
            }
        }
        group
    }

    /// Checks the columns seen, and gives all findings.
    pub fn finish(mut self) -> Report {
        for group in self.groups.values_mut().filter(|group| !group.target.is_unknown()) {
            match self.mode {
                Mode::Official => {
                    official::check_columns(group.target.schema, &group.columns, &mut group.tally);
                }
                Mode::Full => full::check_columns(&group.target, &group.columns, &mut group.tally),
            }
        }
        self.values_only()
    }

    /// The findings about values alone: columns that no row has yet are not missed.
    pub fn values_only(self) -> Report {
        let mut report = Report::new(self.mode);
        for group in self.groups.into_values() {
            report.add(&group.target, group.rows, group.tally);
        }
        report
    }
}
