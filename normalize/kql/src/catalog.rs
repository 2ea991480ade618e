//! What a query may call beside its own `let`s and the built-in functions: stored functions and watchlists.
//!
//! Public ASIM parsers call helpers by name (`_ASIM_ResolveDvcFQDN`, `_ASIM_LookupDnsQueryType`…). Those helpers come
//! with this crate, written in KQL from their public description
//! (<https://learn.microsoft.com/azure/sentinel/normalization-functions>); a host may add functions and watchlists of its
//! own. A stored function's free names mean what they mean where it is called.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use weir_contract::schema::Column;

use crate::diagnostic::Diagnostic;
use crate::stored;
use crate::syntax::ast::FunctionDef;
use crate::syntax::parser;

/// Stored functions and watchlists for [`crate::compile_with`].
///
/// ```
/// use weir_contract::schema::{Column, ColumnType, TableSchema};
/// let mut catalog = weir_kql::Catalog::default();
/// catalog.add_function("Shout", "(text:string) { toupper(text) }").expect("a function");
/// let table = TableSchema { name: "Raw".into(), columns: vec![Column::new("Host", ColumnType::String)] };
/// let query = "Raw | extend Loud = Shout(Host) | invoke _ASIM_ResolveDvcFQDN('Host')";
/// let program = weir_kql::compile_with(query, &table, weir_kql::Mode::Strict, &catalog).expect("compiles");
/// assert_eq!(program.output().columns.len(), 6);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    functions: BTreeMap<String, String>,
    watchlists: BTreeMap<String, RecordBatch>,
    tables: BTreeMap<String, Vec<Column>>,
}

impl Catalog {
    /// Adds a function, written as its parameters and its body: `(a:string, T:(*)) { … }`. It wins over a helper of this
    /// crate that has the same name. The errors have spans into `text`.
    pub fn add_function(&mut self, name: &str, text: &str) -> Result<(), Vec<Diagnostic>> {
        parser::parse_function(text)?;
        self.functions.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    /// Adds a table that `_GetWatchlist('alias')` gives. Columns of Arrow types that hold no KQL value are left out.
    pub fn add_watchlist(&mut self, alias: &str, rows: RecordBatch) {
        self.watchlists.insert(alias.to_owned(), rows);
    }

    /// Tells of a raw table that queries may read beside their own. A lenient query finds it without rows: a parser over
    /// several raw tables is one program per table, and this one's rows are another program's.
    pub fn add_table(&mut self, name: &str, columns: &[Column]) {
        self.tables.insert(name.to_owned(), columns.to_vec());
    }

    pub(crate) fn find_table(&self, name: &str) -> Option<&[Column]> {
        self.tables.get(name).map(Vec::as_slice)
    }

    pub(crate) fn find_watchlist(&self, alias: &str) -> Option<&RecordBatch> {
        self.watchlists.get(alias)
    }

    /// The parsed function called `name`: the host's, else this crate's.
    pub(crate) fn find_function(&self, name: &str) -> Option<FunctionDef> {
        let text = match self.functions.get(name) {
            Some(text) => text.clone(),
            None => stored::text(name)?,
        };
        Some(parser::parse_function(&text).expect("stored functions were parsed when they were added, or by a test"))
    }

    /// All names, for near-name hints.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str).chain(stored::names().map(|name| name as &str))
    }
}
