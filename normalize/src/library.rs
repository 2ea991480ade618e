//! The mappings in force: the built-in files and the user's own, compiled against the raw tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_contract::schema::{ColumnType, TableSchema};
use weir_kql::{Diagnostic, Filter, Mode, Program};

use crate::asim;
use crate::mapping::{Mapping, MappingError, Query};

include!(concat!(env!("OUT_DIR"), "/families.rs"));

/// A mapping that is ready to run.
#[derive(Debug)]
pub struct CompiledMapping {
    /// The mapping as written.
    pub mapping: Mapping,
    /// Tells which rows it claims; `None` claims all.
    pub filter: Option<Filter>,
    /// Makes the target's rows.
    pub program: Program,
}

/// Compiled mappings by raw table.
#[derive(Debug, Default)]
pub struct Library {
    by_table: BTreeMap<Arc<str>, Vec<CompiledMapping>>,
    warnings: Vec<String>,
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
    /// Compiles `mappings` against the raw tables that `raw_table` knows, and checks that what they make fits the
    /// target. A later mapping of the same name takes the place of an earlier one, so that a user's folder can
    /// override a built-in file.
    pub fn compile(
        mappings: Vec<Mapping>,
        raw_table: impl Fn(&str) -> Option<TableSchema>,
        mode: Mode,
    ) -> Result<Self, LibraryError> {
        let mut by_name: BTreeMap<Arc<str>, Mapping> = BTreeMap::new();
        for mapping in mappings {
            by_name.insert(Arc::clone(&mapping.name), mapping);
        }
        let mut library = Self::default();
        let mut faults = Vec::new();
        for mapping in by_name.into_values() {
            let Some(schema) = raw_table(&mapping.source_table) else {
                faults.push(format!(
                    "{}: no schema is known for the raw table `{}`; check `SourceRawTable`, or declare the table",
                    mapping.file, mapping.source_table
                ));
                continue;
            };
            match compile_one(mapping, &schema, mode) {
                Ok((compiled, warnings)) => {
                    library.warnings.extend(warnings);
                    library.by_table.entry(Arc::clone(&compiled.mapping.source_table)).or_default().push(compiled);
                }
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() { Ok(library) } else { Err(LibraryError { faults }) }
    }

    /// The mappings of a raw table, in order of their names.
    pub fn of_table(&self, table: &str) -> &[CompiledMapping] {
        self.by_table.get(table).map_or(&[], Vec::as_slice)
    }

    /// All mappings.
    pub fn iter(&self) -> impl Iterator<Item = &CompiledMapping> {
        self.by_table.values().flatten()
    }

    /// What the compiler noticed and let pass, ready to print.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn compile_one(
    mapping: Mapping,
    schema: &TableSchema,
    mode: Mode,
) -> Result<(CompiledMapping, Vec<String>), Vec<String>> {
    let print = |diagnostics: &[Diagnostic], query: &Query| -> Vec<String> {
        diagnostics.iter().map(|d| d.render(&mapping.file, &query.text, query.line)).collect()
    };
    let mut faults = Vec::new();
    let filter = match &mapping.filter {
        None => None,
        Some(query) => weir_kql::compile_filter(&query.text, schema, mode)
            .map_err(|diagnostics| faults.extend(print(&diagnostics, query)))
            .ok(),
    };
    let program = weir_kql::compile(&mapping.parser.text, schema, mode)
        .map_err(|diagnostics| faults.extend(print(&diagnostics, &mapping.parser)))
        .ok();
    faults.extend(unknown_target(&mapping.target_table).map(|fault| format!("{}: {fault}", mapping.file)));
    if let Some(program) = &program {
        faults.extend(print(&misfits(&mapping.target_table, program), &mapping.parser));
    }
    match program {
        Some(program) if faults.is_empty() => {
            let warnings = print(program.warnings(), &mapping.parser);
            Ok((CompiledMapping { mapping, filter, program }, warnings))
        }
        _ => Err(faults),
    }
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
                let near = table
                    .schema
                    .columns
                    .iter()
                    .map(|known| (strsim::damerau_levenshtein(&known.name, &column.name), &known.name))
                    .min()
                    .filter(|(distance, _)| *distance <= 3)
                    .map(|(_, name)| format!("did you mean `{name}`?"))
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
