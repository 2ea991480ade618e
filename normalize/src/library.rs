//! The mappings in force: the built-in files and the user's own, compiled against the raw tables.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use weir_contract::batch::{Batch, RowKind};
use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Catalog, Diagnostic, Dispatch, EvalError, Filter, Mode, Program};

use crate::asim;
use crate::batch_lookup::Lookup;
use crate::mapping::{Mapping, MappingError, Query};

include!(concat!(env!("OUT_DIR"), "/families.rs"));

/// A mapping that is ready to run.
#[derive(Debug)]
pub struct CompiledMapping {
    /// The mapping as written.
    pub mapping: Mapping,
    /// Tells which rows it claims: its `ParserFilterQuery`, else the rows that its program makes rows of. `None` claims
    /// all.
    pub filter: Option<Arc<Filter>>,
    /// Makes the target's rows.
    pub program: Program,
}

/// Compiled mappings by raw table.
#[derive(Debug, Default)]
pub struct Library {
    by_table: BTreeMap<Arc<str>, TableMappings>,
    declared: Vec<TableSchema>,
    warnings: Vec<String>,
}

/// The mappings of one raw table.
#[derive(Debug)]
struct TableMappings {
    mappings: Vec<CompiledMapping>,
    /// Their filters, without those that claim all.
    dispatch: Dispatch,
    /// What they look up in other tables, together.
    lookups: Vec<Lookup>,
}

/// What is wrong with the mappings: every fault at once, each with file, line and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", faults.join("\n"))]
pub struct LibraryError {
    /// The faults, ready to print.
    pub faults: Vec<String>,
}

/// The built-in mapping files: path below `families/`, text.
pub fn builtin_files() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// The file that belongs to a built-in one, as [`crate::samples::beside`] names it: samples or expected rows.
pub fn builtin_sample(path: &Path) -> Option<&'static str> {
    SAMPLES.iter().find(|(known, _)| Path::new(known) == path).map(|(_, text)| *text)
}

/// Parses the built-in mappings.
pub fn builtin() -> Result<Vec<Mapping>, Vec<MappingError>> {
    parse_all(FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
}

/// Reads and parses every `.yaml` and `.yml` file below `folder`.
pub fn from_folder(folder: &Path) -> Result<Vec<Mapping>, Vec<MappingError>> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    let mut fail = |path: PathBuf, message: String| {
        errors.push(MappingError { file: path.display().to_string(), line: 1, message });
    };
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        match entry {
            Ok(entry) if entry.path().extension().is_some_and(|e| e == "yaml" || e == "yml") => {
                match std::fs::read_to_string(entry.path()) {
                    Ok(text) => files.push((entry.path().display().to_string(), text)),
                    Err(cause) => fail(entry.path().to_owned(), format!("cannot be read: {cause}")),
                }
            }
            Ok(_) => {}
            Err(cause) => fail(folder.to_owned(), format!("cannot be listed: {cause}")),
        }
    }
    match parse_all(files.into_iter()) {
        Ok(mappings) if errors.is_empty() => Ok(mappings),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

fn parse_all(files: impl Iterator<Item = (String, String)>) -> Result<Vec<Mapping>, Vec<MappingError>> {
    let mut mappings = Vec::new();
    let mut errors = Vec::new();
    for (path, text) in files {
        let name = path.strip_suffix(".yaml").or(path.strip_suffix(".yml")).unwrap_or(&path);
        match Mapping::parse(name, &path, &text) {
            Ok(mapping) => mappings.push(mapping),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(mappings) } else { Err(errors) }
}

impl Library {
    /// Compiles `mappings` without functions or watchlists of the host: see [`Library::compile_with`].
    pub fn compile(
        mappings: Vec<Mapping>,
        raw_table: impl Fn(&str) -> Option<TableSchema>,
        mode: Mode,
    ) -> Result<Self, LibraryError> {
        Self::compile_with(mappings, raw_table, mode, &Catalog::default())
    }

    /// Compiles `mappings` against the raw tables that `raw_table` knows, or that their files declare, and checks that what
    /// they make fits the target. A later mapping of the same name takes the place of an earlier one, so that a user's
    /// folder can override a built-in file. `catalog` has the functions and watchlists that they may call.
    pub fn compile_with(
        mappings: Vec<Mapping>,
        raw_table: impl Fn(&str) -> Option<TableSchema>,
        mode: Mode,
        catalog: &Catalog,
    ) -> Result<Self, LibraryError> {
        let mut by_name: BTreeMap<Arc<str>, Mapping> = BTreeMap::new();
        for mapping in mappings {
            by_name.insert(Arc::clone(&mapping.name), mapping);
        }
        let mut faults = Vec::new();
        let declared = declared_tables(by_name.values(), &raw_table, &mut faults);
        let schema_of = |table: &str| raw_table(table).or_else(|| declared.get(table).cloned());
        let mut by_table: BTreeMap<Arc<str>, Vec<CompiledMapping>> = BTreeMap::new();
        let mut lookups: BTreeMap<Arc<str>, Vec<Lookup>> = BTreeMap::new();
        let mut warnings = Vec::new();
        for mapping in by_name.into_values() {
            let Some(schema) = schema_of(&mapping.source_table) else {
                faults.push(format!(
                    "{}: no schema is known for the raw table `{}`; check `SourceRawTable`, or declare the table's columns \
                     under `SourceColumns`",
                    mapping.file, mapping.source_table
                ));
                continue;
            };
            let (schema, lookup) = match with_lookup(&mapping, schema, schema_of) {
                Ok(read) => read,
                Err(more) => {
                    faults.extend(more.iter().map(ToString::to_string));
                    continue;
                }
            };
            if let Some(lookup) = lookup {
                let clashes = lookup.add_to(lookups.entry(Arc::clone(&mapping.source_table)).or_default());
                faults.extend(clashes.iter().map(|name| {
                    format!(
                        "{}: another mapping of `{}` looks up something else as `{name}`; give it another name here",
                        mapping.file, mapping.source_table
                    )
                }));
            }
            match compile_one(mapping, &schema, mode, catalog, schema_of) {
                Ok((compiled, more)) => {
                    warnings.extend(more);
                    by_table.entry(Arc::clone(&compiled.mapping.source_table)).or_default().push(compiled);
                }
                Err(more) => faults.extend(more),
            }
        }
        if !faults.is_empty() {
            return Err(LibraryError { faults });
        }
        let by_table = by_table.into_iter().map(|(table, mappings)| {
            let filters = mappings.iter().filter_map(|mapping| mapping.filter.clone()).collect();
            let lookups = lookups.remove(&table).unwrap_or_default();
            (table, TableMappings { dispatch: Dispatch::new(filters), mappings, lookups })
        });
        Ok(Self { by_table: by_table.collect(), declared: declared.into_values().collect(), warnings })
    }

    /// The mappings of a raw table, in order of their names.
    pub fn of_table(&self, table: &str) -> &[CompiledMapping] {
        self.by_table.get(table).map_or(&[], |table| table.mappings.as_slice())
    }

    /// The rows of `batches`, all those that one raw batch was decoded into, as the mappings read them: with the
    /// columns that they look up in each other ([`Mapping::batch_lookup`]), each row in its place.
    ///
    /// A column whose table has no rows here is left out; to a mapping it is null.
    pub fn with_lookups(&self, batches: &[Batch]) -> Vec<RecordBatch> {
        let raw_rows = |table: &str| -> Vec<&RecordBatch> {
            let of_table = |batch: &&Batch| batch.kind == RowKind::Raw && *batch.table == *table;
            batches.iter().filter(of_table).map(|batch| &batch.rows).collect()
        };
        let read = batches.iter().map(|batch| {
            let mut rows = batch.rows.clone();
            let is_raw = batch.kind == RowKind::Raw;
            let table = self.by_table.get(&batch.table).filter(|_| is_raw);
            for lookup in table.iter().flat_map(|table| &table.lookups) {
                let others = raw_rows(&lookup.table);
                if others.is_empty() {
                    continue;
                }
                match lookup.fill(&rows, &others) {
                    Ok(filled) => rows = filled,
                    Err(error) => tracing::error!(
                        table = &*batch.table,
                        looked_up = &*lookup.table,
                        error = %error,
                        "rows cannot be looked up; the mappings run without them"
                    ),
                }
            }
            rows
        });
        read.collect()
    }

    /// Which rows of `rows`, a batch of the raw table `table`, each of the table's mappings claims, in the order of
    /// [`Library::of_table`]. All filters are evaluated together, once.
    pub fn claims(&self, table: &str, rows: &RecordBatch) -> Vec<Result<BooleanArray, EvalError>> {
        let Some(table) = self.by_table.get(table) else { return Vec::new() };
        let mut masks = table.dispatch.masks(rows).into_iter();
        let all = || Ok(BooleanArray::new(BooleanBuffer::new_set(rows.num_rows()), None));
        let claims = table.mappings.iter().map(|mapping| match mapping.filter {
            Some(_) => masks.next().expect("the dispatch has every filter"),
            None => all(),
        });
        claims.collect()
    }

    /// The raw tables that only the mapping files describe, for the decoder.
    pub fn declared_tables(&self) -> &[TableSchema] {
        &self.declared
    }

    /// All mappings.
    pub fn iter(&self) -> impl Iterator<Item = &CompiledMapping> {
        self.by_table.values().flat_map(|table| &table.mappings)
    }

    /// What the compiler noticed and let pass, ready to print.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The raw table that a mapping's file describes under `SourceColumns`, if it does.
pub fn declared_table(mapping: &Mapping) -> Option<TableSchema> {
    declared_tables(std::iter::once(mapping), |_| None, &mut Vec::new()).into_values().next()
}

/// The columns that a mapping's queries may read: those of `table`, its raw table, and those that it looks up in
/// another one.
///
/// # Errors
///
/// What is wrong with its `BatchLookup`: a table or a column that is not there, a key that does not fit, a name that is
/// taken.
pub fn readable(
    mapping: &Mapping,
    table: TableSchema,
    schema_of: impl Fn(&str) -> Option<TableSchema>,
) -> Result<TableSchema, Vec<MappingError>> {
    with_lookup(mapping, table, schema_of).map(|(readable, _)| readable)
}

fn with_lookup(
    mapping: &Mapping,
    mut table: TableSchema,
    schema_of: impl Fn(&str) -> Option<TableSchema>,
) -> Result<(TableSchema, Option<Lookup>), Vec<MappingError>> {
    let Some(written) = &mapping.batch_lookup else { return Ok((table, None)) };
    let lookup = Lookup::resolve(written, &mapping.file, &table, schema_of(&written.table.name).as_ref())?;
    table.columns.extend(lookup.columns().cloned());
    Ok((table, Some(lookup)))
}

/// The raw tables that `raw_table` does not know and the mappings' files describe; the columns of several files together.
fn declared_tables<'m>(
    mappings: impl Iterator<Item = &'m Mapping>,
    raw_table: impl Fn(&str) -> Option<TableSchema>,
    faults: &mut Vec<String>,
) -> BTreeMap<Arc<str>, TableSchema> {
    let mut declared: BTreeMap<Arc<str>, TableSchema> = BTreeMap::new();
    for mapping in mappings.filter(|mapping| !mapping.source_columns.is_empty()) {
        let name = &mapping.source_table;
        if raw_table(name).is_some() {
            continue;
        }
        let table = declared.entry(Arc::clone(name)).or_insert_with(|| {
            let time = Column::new("TimeGenerated", ColumnType::Datetime);
            TableSchema { name: Arc::clone(name), columns: vec![time] }
        });
        for column in &mapping.source_columns {
            match table.column(&column.name) {
                None => table.columns.push(column.clone()),
                Some(known) if known.ty == column.ty => {}
                Some(known) => faults.push(format!(
                    "{}: `SourceColumns` says that `{}` of `{name}` is {}, elsewhere it is {}; give it one type",
                    mapping.file, column.name, column.ty, known.ty
                )),
            }
        }
    }
    declared
}

fn compile_one(
    mapping: Mapping,
    schema: &TableSchema,
    mode: Mode,
    catalog: &Catalog,
    schema_of: impl Fn(&str) -> Option<TableSchema>,
) -> Result<(CompiledMapping, Vec<String>), Vec<String>> {
    let print = |diagnostics: &[Diagnostic], query: &Query| -> Vec<String> {
        diagnostics.iter().map(|d| d.render(&mapping.file, &query.text, query.line)).collect()
    };
    let mode = mapping.mode.unwrap_or(mode);
    let catalog = with_other_tables(catalog, &mapping, schema_of);
    let mut faults = Vec::new();
    let filter = match &mapping.filter {
        None => None,
        Some(query) => weir_kql::compile_filter_with(&query.text, schema, mode, &catalog)
            .map_err(|diagnostics| faults.extend(print(&diagnostics, query)))
            .ok(),
    };
    let program = weir_kql::compile_with(&mapping.parser.text, schema, mode, &catalog)
        .map_err(|diagnostics| faults.extend(print(&diagnostics, &mapping.parser)))
        .ok();
    faults.extend(unknown_target(&mapping.target_table).map(|fault| format!("{}: {fault}", mapping.file)));
    if let Some(program) = &program {
        faults.extend(print(&misfits(&mapping.target_table, program), &mapping.parser));
    }
    match program {
        Some(program) if faults.is_empty() => {
            let warnings = print(program.warnings(), &mapping.parser);
            let filter = filter.or_else(|| program.claims()).map(Arc::new);
            Ok((CompiledMapping { mapping, filter, program }, warnings))
        }
        _ => Err(faults),
    }
}

/// The catalog, and the raw tables that the mapping's query reads beside its own: no rows of theirs are here.
fn with_other_tables<'c>(
    catalog: &'c Catalog,
    mapping: &Mapping,
    schema_of: impl Fn(&str) -> Option<TableSchema>,
) -> Cow<'c, Catalog> {
    let outline = weir_kql::outline(&mapping.parser.text).unwrap_or_default();
    let mut catalog = Cow::Borrowed(catalog);
    for (name, _) in outline.tables.iter().filter(|(name, _)| **name != *mapping.source_table) {
        let columns = schema_of(name).map(|table| table.columns).unwrap_or_default();
        catalog.to_mut().add_table(name, &columns);
    }
    catalog
}

/// What is wrong with the name of a target table, if anything.
pub fn unknown_target(target: &str) -> Option<String> {
    let known = asim::table(target).is_some() || target.ends_with("_CL");
    (!known).then(|| format!("`{target}` is no native ASIM table; a custom table's name ends in `_CL`"))
}

/// Checks the output columns of a mapping against its target table: name, type, and whether a sender may fill them.
///
/// The errors have spans into the mapping's query: the assignment of the column that does not fit.
pub fn misfits(target: &str, program: &Program) -> Vec<Diagnostic> {
    let output = program.output();
    let mut faults = Vec::new();
    if output.column("TimeGenerated").is_none_or(|column| column.ty != ColumnType::Datetime) {
        faults.push(Diagnostic::error(0..0, "the output needs a column `TimeGenerated` of type datetime"));
    }
    let Some(table) = asim::table(target) else { return faults };
    for (column, lineage) in output.columns.iter().zip(program.lineage()) {
        let fault = |message: String| Diagnostic::error(lineage.span.clone().unwrap_or_default(), message);
        if let Some(why) = table.forbidden(&column.name) {
            let message = format!("column `{}` of `{target}` {}", column.name, why.reason());
            faults.push(fault(message).with_help("leave it out"));
            continue;
        }
        match table.schema.column(&column.name) {
            None => {
                let near = asim::nearest(&table.schema, &column.name)
                    .map(|name| format!("did you mean `{name}`?"))
                    .unwrap_or_else(|| "put it into `AdditionalFields`".to_owned());
                faults.push(fault(format!("`{target}` has no column `{}`", column.name)).with_help(near));
            }
            Some(known) if known.ty != column.ty => {
                let message = format!(
                    "column `{}` is {} in `{target}`, but the query makes {}",
                    column.name, known.ty, column.ty
                );
                faults.push(fault(message).with_help(format!("convert it with `to{}()`", known.ty)));
            }
            Some(_) => {}
        }
    }
    faults
}
