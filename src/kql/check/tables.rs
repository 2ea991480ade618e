//! Which table a query reads, and its columns.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use weir_contract::schema::TableSchema;
use weir_ingest::schema::RawTables;
use weir_kql::plan::{Host, Plan};
use weir_kql::{Catalog, Diagnostic};
use weir_normalize::asim;

use crate::schema_file;

/// The known tables: raw ones, ASIM ones, and the one that the command line describes.
pub(super) struct Tables {
    raw: RawTables,
    given: Option<TableSchema>,
    /// Known tables that a query named while it was bound.
    named: RefCell<Vec<TableSchema>>,
}

/// What a query reads.
pub(super) enum Reads {
    /// The table; one without name and columns for a query that reads none.
    Table(TableSchema),
    /// It cannot be told; or the query is faulty already.
    Faulty(Vec<Diagnostic>),
}

/// What to do about a table that nobody described.
const DESCRIBE: &str = "say which table it is with `--table NAME`, or give its columns with `--schema FILE`";

impl Tables {
    /// The known tables and what the command line says.
    ///
    /// # Errors
    ///
    /// A table that is not known, a faulty schema file.
    pub(super) fn new(table: Option<&str>, schema: Option<&str>) -> anyhow::Result<Self> {
        let mut tables = Self { raw: RawTables::builtin(), given: None, named: RefCell::default() };
        let Some(schema) = schema else {
            if let Some(table) = table {
                tables.given = Some(tables.require(table)?);
            }
            return Ok(tables);
        };
        let path = Path::new(schema);
        let is_file = path.extension().is_some_and(|ending| ending == "csv" || ending == "json") || path.is_file();
        let mut described = if is_file {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            schema_file::read(path, &stem)?
        } else {
            tables.require(schema)?
        };
        if let Some(table) = table {
            described.name = table.into();
        }
        tables.given = Some(described);
        Ok(tables)
    }

    /// The table of this name, if it is known.
    pub(super) fn known(&self, name: &str) -> Option<TableSchema> {
        match &self.given {
            Some(given) if *given.name == *name => Some(given.clone()),
            _ => self.raw.schema(name).or_else(|| Some(&asim::table(name)?.schema)).cloned(),
        }
    }

    fn require(&self, name: &str) -> anyhow::Result<TableSchema> {
        self.known(name).ok_or_else(|| {
            let names = self.table_names();
            let near = names.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
            match near.filter(|(distance, _)| *distance <= 3) {
                Some((_, near)) => anyhow::anyhow!("there is no table `{name}`; did you mean `{near}`?"),
                None => anyhow::anyhow!("there is no table `{name}`; give its columns with `--schema FILE`"),
            }
        })
    }

    /// The described table; without one, a table without name and columns.
    pub(super) fn given(&self) -> TableSchema {
        self.given.clone().unwrap_or_else(|| TableSchema { name: "".into(), columns: Vec::new() })
    }

    /// The raw table of a mapping; columns that the command line gives win. `Err`: what to do.
    pub(super) fn of_mapping(&self, name: &str) -> Result<TableSchema, String> {
        match &self.given {
            Some(given) => Ok(TableSchema { name: name.into(), columns: given.columns.clone() }),
            None => self.known(name).ok_or_else(|| {
                "check `SourceRawTable`, declare the table's columns under `SourceColumns`, or give `--schema FILE`"
                    .to_owned()
            }),
        }
    }

    /// The stream of a data collection rule's flow: its declared columns, else those of the known table; columns that the
    /// command line gives win. `Err`: what to do.
    pub(super) fn of_stream(&self, stream: &TableSchema) -> Result<TableSchema, String> {
        if let Some(given) = &self.given {
            return Ok(TableSchema { name: Arc::clone(&stream.name), columns: given.columns.clone() });
        }
        if !stream.columns.is_empty() {
            return Ok(stream.clone());
        }
        self.known(&stream.name)
            .ok_or_else(|| "declare its columns under `streamDeclarations`, or give `--schema FILE`".to_owned())
    }

    /// The table that a query reads: the described one, else the only known one that it names.
    pub(super) fn of_query(&self, query: &str, catalog: &Catalog) -> Reads {
        if let Some(given) = &self.given {
            return Reads::Table(given.clone());
        }
        self.named.borrow_mut().clear();
        let bound = weir_kql::compile_plan(query, self, catalog, 0);
        let named = self.named.take();
        match (named.as_slice(), bound) {
            ([table], _) => Reads::Table(table.clone()),
            ([], Ok(_)) => Reads::Table(self.given()),
            ([], Err(mut errors)) => {
                errors.iter_mut().for_each(|error| self.explain(error));
                Reads::Faulty(errors)
            }
            (several, _) => {
                let names = several.iter().map(|table| format!("`{}`", table.name)).collect::<Vec<_>>().join(", ");
                let start = several.iter().filter_map(|table| query.find(&*table.name)).min().unwrap_or_default();
                let length = several.iter().find(|table| query[start..].starts_with(&*table.name));
                let span = start..start + length.map_or(0, |table| table.name.len());
                let error = Diagnostic::error(span, format!("a query at ingest reads one table, this one {names}"));
                Reads::Faulty(vec![error.with_help("`--hunt` checks it as a hunting query, `--table NAME` for one")])
            }
        }
    }

    /// Gives an unknown table's error the help that the command line can give.
    pub(super) fn explain(&self, error: &mut Diagnostic) {
        let is_near = error.help.as_ref().is_some_and(|help| help.starts_with("did you mean"));
        if error.message.starts_with("unknown table") && !is_near && self.given.is_none() {
            error.help = Some(DESCRIBE.to_owned());
        }
    }
}

impl Host for Tables {
    fn table(&self, name: &str) -> Option<TableSchema> {
        let table = self.known(name)?;
        let mut named = self.named.borrow_mut();
        if !named.iter().any(|known| known.name == table.name) {
            named.push(table.clone());
        }
        Some(table)
    }

    fn table_names(&self) -> Vec<String> {
        let given = self.given.iter().map(|table| table.name.to_string());
        let raw = self.raw.all().into_iter().map(|table| table.name().to_string());
        let asim = asim::tables().chain(asim::custom_tables()).map(|table| table.schema.name.to_string());
        given.chain(raw).chain(asim).collect()
    }

    /// A check has no rows: whatever the query evaluates once comes out empty.
    fn rows(&self, plan: &Arc<Plan>, _limit: usize) -> Result<RecordBatch, String> {
        let fields: Vec<_> = plan.columns().iter().map(|column| column.ty.field(&column.id)).collect();
        Ok(RecordBatch::new_empty(Arc::new(Schema::new(fields))))
    }
}
