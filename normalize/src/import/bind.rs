//! Binds a query to the raw tables that it reads, and makes a mapping file of each pair.

use std::path::Path;

use weir_contract::schema::{Column, ColumnType, TableSchema};
use weir_kql::{Catalog, Diagnostic, Mode, Program};

use super::mapping_file::MappingFile;
use super::{Content, Finding, Kind, Severity, without_prefix};
use crate::asim;
use crate::library::Library;
use crate::mapping::Mapping;
use crate::query::{Query, quoted_name};

/// What a person says about an import.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The raw table, in place of what the file or the query names.
    pub table: Option<String>,
    /// The target table, in place of what the file names.
    pub target: Option<String>,
    /// The columns of the raw table, if Weir does not know it.
    pub columns: Vec<Column>,
    /// Whether parsers pack what has no column of its own (`pack=true`).
    pub pack: bool,
}

/// What became of a query and one raw table.
#[derive(Debug, Clone)]
pub struct Imported {
    /// What the mapping is called; its file is this name with `.yaml`.
    pub name: String,
    /// The raw table; empty if none was found.
    pub table: String,
    /// The target table; empty if none was found.
    pub target: String,
    /// The mapping file; `None` if the query could not be imported.
    pub yaml: Option<String>,
    /// What was noticed, the worst first.
    pub findings: Vec<Finding>,
}

/// Imports `content`: one mapping for each raw table that its query reads and Weir knows.
///
/// `raw_table` gives the columns of the tables that Weir knows; `catalog` has the functions and watchlists in force.
pub fn import(
    content: &Content,
    options: &Options,
    raw_table: &dyn Fn(&str) -> Option<TableSchema>,
    catalog: &Catalog,
) -> Vec<Imported> {
    let refuse = |table: &str, findings: Vec<Finding>| Imported {
        name: content.name.clone(),
        table: table.to_owned(),
        target: options.target.clone().or_else(|| content.target.clone()).unwrap_or_default(),
        yaml: None,
        findings,
    };
    let query = match prepared(content, options) {
        Ok(query) => query,
        Err(findings) => return vec![refuse("", findings)],
    };
    let outline = weir_kql::outline(&query.text).expect("it was parsed to be prepared");
    let tables = match raw_tables(content, options, &outline.tables, raw_table) {
        Ok(tables) => tables,
        Err(message) => {
            return vec![refuse("", vec![Finding::new(Severity::Error, Kind::Binding, "", message)])];
        }
    };
    let several = tables.len() > 1;
    let bound = tables.into_iter().map(|schema| {
        let name = if several { format!("{}_{}", content.name, schema.name) } else { content.name.clone() };
        let binding = Binding { content, options, raw_table, catalog, query: &query, schema: &schema, name };
        let mut imported = binding.import();
        let missing = outline.tables.iter().filter(|(table, _)| **table != *schema.name && raw_table(table).is_none());
        for (table, span) in missing {
            let message = format!(
                "Weir does not know the table `{table}`, which is empty here; for its rows, import again with \
                 `--table {table} --schema FILE`"
            );
            let finding = Finding::new(Severity::Warning, Kind::UnknownTable, table, message);
            imported.findings.push(Finding { line: Some(query.line_of(span.start)), ..finding });
        }
        imported.findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.line));
        imported
    });
    bound.collect()
}

/// The query with the values that it expects from outside, all on its first line, so that lines keep their numbers.
fn prepared(content: &Content, options: &Options) -> Result<Query, Vec<Finding>> {
    let query = &content.query;
    let outline =
        weir_kql::outline(&query.text).map_err(|errors| findings(&errors, &content.path, query, Severity::Error))?;
    let mut values: Vec<(String, String)> = Vec::new();
    for param in &content.params {
        let value = match (param.ty, param.name.as_str()) {
            (None, _) => "source".to_owned(),
            (_, "pack") => options.pack.to_string(),
            _ => param.value(),
        };
        values.push((param.name.clone(), value));
    }
    for (name, default) in &outline.expected {
        if !values.iter().any(|(known, _)| known == name) {
            let value = if name == "pack" { options.pack.to_string() } else { default.clone() };
            values.push((name.clone(), value));
        }
    }
    let lets: String = values.iter().map(|(name, value)| format!("let {name} = {value}; ")).collect();
    Ok(Query { text: format!("{lets}{}", query.text), ..query.clone() })
}

/// The raw tables to bind to, with their columns.
fn raw_tables(
    content: &Content,
    options: &Options,
    read: &[(String, weir_kql::Span)],
    raw_table: &dyn Fn(&str) -> Option<TableSchema>,
) -> Result<Vec<TableSchema>, String> {
    let given = if options.columns.is_empty() { &content.columns } else { &options.columns };
    let schema_of = |table: &str| {
        raw_table(table).or_else(|| {
            let columns = with_time(given);
            (!given.is_empty()).then(|| TableSchema { name: table.into(), columns })
        })
    };
    let need_schema = |table: &str| {
        format!(
            "Weir does not know the raw table `{table}`; give its columns with `--schema FILE` (CSV or JSON, name and type), \
             or another table with `--table NAME`"
        )
    };
    if let Some(table) = options.table.as_ref().or(content.table.as_ref()) {
        let table = without_prefix(table);
        return schema_of(table).map(|schema| vec![schema]).ok_or_else(|| need_schema(table));
    }
    let known: Vec<TableSchema> = read.iter().filter_map(|(table, _)| raw_table(table)).collect();
    match (known.is_empty(), read) {
        (false, _) => Ok(known),
        (true, [(table, _)]) => schema_of(table).map(|schema| vec![schema]).ok_or_else(|| need_schema(table)),
        (true, []) => Err("the query names no raw table; name it with `--table NAME`".to_owned()),
        (true, several) => {
            let names: Vec<String> = several.iter().map(|(table, _)| format!("`{table}`")).collect();
            Err(format!(
                "Weir knows none of the tables that the query reads ({}); name the raw one with `--table NAME` and give its \
                 columns with `--schema FILE`",
                names.join(", ")
            ))
        }
    }
}

/// The columns, with the event time that every raw table has.
fn with_time(columns: &[Column]) -> Vec<Column> {
    let mut all = columns.to_vec();
    if !all.iter().any(|column| &*column.name == "TimeGenerated") {
        all.insert(0, Column::new("TimeGenerated", ColumnType::Datetime));
    }
    all
}

/// A query and one raw table.
struct Binding<'a> {
    content: &'a Content,
    options: &'a Options,
    raw_table: &'a dyn Fn(&str) -> Option<TableSchema>,
    catalog: &'a Catalog,
    query: &'a Query,
    schema: &'a TableSchema,
    name: String,
}

impl Binding<'_> {
    fn import(&self) -> Imported {
        let mut findings = Vec::new();
        let target = self.options.target.as_ref().or(self.content.target.as_ref());
        let target = target.map(|target| without_prefix(target).to_owned());
        let yaml = match &target {
            Some(target) => self.mapping(target, &mut findings),
            None => {
                let message = "the file names no target table; name it with `--target TABLE`, such as \
                               `ASimNetworkSessionLogs`"
                    .to_owned();
                findings.push(Finding::new(Severity::Error, Kind::Binding, "", message));
                None
            }
        };
        Imported {
            name: self.name.clone(),
            table: self.schema.name.to_string(),
            target: target.unwrap_or_default(),
            yaml,
            findings,
        }
    }

    /// The mapping file for `target`, compiled and found good.
    fn mapping(&self, target: &str, found: &mut Vec<Finding>) -> Option<String> {
        if asim::table(target).is_none() && !target.ends_with("_CL") {
            let message = format!(
                "`{target}` is neither a native ASIM table nor a custom one (`…_CL`); give another with `--target`"
            );
            found.push(Finding::new(Severity::Error, Kind::Binding, target, message));
            return None;
        }
        let program = self.compiled(found)?;
        let lenient = !program.warnings().is_empty() || self.compile(Mode::Strict).is_err();
        let query = self.fitted(&program, target, found)?;
        let remark = format!("Imported from {}.", self.content.file);
        let file = MappingFile {
            name: &self.name,
            title: self.content.title.as_deref(),
            version: self.content.version.as_deref(),
            remark: &remark,
            table: &self.schema.name,
            target,
            lenient,
            columns: if (self.raw_table)(&self.schema.name).is_some() { &[] } else { &self.schema.columns },
            filter: self.content.filter.as_ref().map(|filter| filter.text.as_str()),
            query: &query,
        };
        let yaml = file.to_yaml();
        match self.check(&yaml) {
            Ok(()) => Some(yaml),
            Err(faults) => {
                found.extend(faults.into_iter().map(|fault| Finding::new(Severity::Error, Kind::Query, "", fault)));
                None
            }
        }
    }

    fn compile(&self, mode: Mode) -> Result<Program, Vec<Diagnostic>> {
        let outline = weir_kql::outline(&self.query.text)?;
        let mut catalog = self.catalog.clone();
        for (name, _) in outline.tables.iter().filter(|(name, _)| **name != *self.schema.name) {
            let columns = (self.raw_table)(name).map(|table| table.columns).unwrap_or_default();
            catalog.add_table(name, &columns);
        }
        weir_kql::compile_with(&self.query.text, self.schema, mode, &catalog)
    }

    fn compiled(&self, found: &mut Vec<Finding>) -> Option<Program> {
        match self.compile(Mode::Lenient) {
            Ok(program) => {
                found.extend(findings(program.warnings(), &self.content.path, self.query, Severity::Warning));
                Some(program)
            }
            Err(errors) => {
                found.extend(findings(&errors, &self.content.path, self.query, Severity::Error));
                None
            }
        }
    }

    /// The query with a `project` of what the target stores, if it makes anything else.
    fn fitted(&self, program: &Program, target: &str, found: &mut Vec<Finding>) -> Option<String> {
        let output = &program.output().columns;
        if !output.iter().any(|column| &*column.name == "TimeGenerated" && column.ty == ColumnType::Datetime) {
            let message = "the query makes no `TimeGenerated` of type datetime; add it".to_owned();
            found.push(Finding::new(Severity::Error, Kind::MissingMandatory, "TimeGenerated", message));
            return None;
        }
        let text = self.query.text.as_str();
        let Some(table) = asim::table(target) else { return Some(text.to_owned()) };
        let mut kept = Vec::new();
        let mut fits = true;
        for column in output {
            let name = &*column.name;
            let mut note = |kind, message: String| found.push(Finding::new(Severity::Note, kind, name, message));
            let forbidden = table.forbidden(name);
            match (forbidden, table.schema.column(name)) {
                (Some(why), _) => {
                    let kind = if why == asim::Forbidden::Alias { Kind::Alias } else { Kind::Reserved };
                    note(kind, format!("column `{name}` {}; it is left out", why.reason()));
                    fits = false;
                }
                (None, None) if asim::is_alias(target, name) => {
                    let why = asim::Forbidden::Alias.reason();
                    note(Kind::Alias, format!("column `{name}` {why}; it is left out"));
                    fits = false;
                }
                (None, None) => {
                    // A raw column that merely passed by is not what the parser is about.
                    let is_raw = self.schema.column(name).is_some();
                    let what = if is_raw { "raw column" } else { "column" };
                    note(Kind::NotStored, format!("`{target}` does not store the {what} `{name}`; it is left out"));
                    fits = false;
                }
                (None, Some(stored)) if stored.ty == column.ty => kept.push(quoted_name(name)),
                (None, Some(stored)) => {
                    note(Kind::Converted, format!("column `{name}` is {} and made {}", column.ty, stored.ty));
                    kept.push(format!("{0}=to{1}({0})", quoted_name(name), stored.ty));
                    fits = false;
                }
            }
        }
        for field in asim::mandatory_fields(target) {
            if table.schema.column(field).is_some() && !output.iter().any(|column| &*column.name == field) {
                let message = format!("the query does not make `{field}`, which is mandatory in `{target}`");
                found.push(Finding::new(Severity::Warning, Kind::MissingMandatory, field, message));
            }
        }
        if fits {
            return Some(text.to_owned());
        }
        let end = weir_kql::outline(text).map_or(text.len(), |outline| outline.end);
        // What comes behind the last expression is a semicolon and comments.
        Some(format!("{}\n| project {}", &text[..end], kept.join(", ")))
    }

    /// Compiles the file as a run would.
    fn check(&self, yaml: &str) -> Result<(), Vec<String>> {
        let file = format!("{}.yaml", self.name);
        let mapping = Mapping::parse(&self.name, &file, yaml).map_err(|error| vec![error.to_string()])?;
        Library::compile_with(vec![mapping], self.raw_table, Mode::Strict, self.catalog)
            .map(|_| ())
            .map_err(|error| error.faults)
    }
}

/// The compiler's messages as findings.
fn findings(diagnostics: &[Diagnostic], file: &str, query: &Query, severity: Severity) -> Vec<Finding> {
    let finding = |diagnostic: &Diagnostic| Finding {
        kind: Kind::of_subject(diagnostic.subject),
        severity,
        line: Some(query.line_of(diagnostic.span.start)),
        subject: named(&diagnostic.message).to_owned(),
        message: query.render(file, diagnostic).trim_end().to_owned(),
    };
    diagnostics.iter().map(finding).collect()
}

/// What a message names in backticks.
fn named(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or_default()
}

/// Reads the columns of a raw table: a CSV file with `name,type` (a header line is known by these words), a JSON list of
/// `{"name", "type"}`, or a stream declaration with such a list under `columns`. `path` is for messages and tells the form.
///
/// # Errors
///
/// What is wrong, with file and line.
pub fn read_columns(path: &Path, text: &str) -> Result<Vec<Column>, String> {
    let file = path.display();
    let text = text.trim_start_matches('\u{feff}');
    let column = |name: &str, ty: &str| -> Result<Column, String> {
        let ty: ColumnType =
            ty.trim().to_ascii_lowercase().parse().map_err(|error| format!("column `{name}`: {error}"))?;
        Ok(Column::new(name.trim(), ty))
    };
    let mut columns: Vec<Column> = Vec::new();
    if path.extension().is_some_and(|extension| extension == "json") {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("{file}:{}: {error}", error.line()))?;
        let list = value.as_array().or_else(|| value.get("columns")?.as_array());
        let list = list.ok_or_else(|| format!("{file}:1: expected a list of columns with `name` and `type`"))?;
        for entry in list {
            let text = |key: &str| entry.get(key).and_then(serde_json::Value::as_str);
            let (Some(name), Some(ty)) = (text("name"), text("type")) else {
                return Err(format!("{file}: a column needs `name` and `type`, found {entry}"));
            };
            columns.push(column(name, ty).map_err(|message| format!("{file}: {message}"))?);
        }
    } else {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.map_err(|error| format!("{file}: {error}"))?;
            let line = record.position().map_or(1, csv::Position::line);
            let (Some(name), Some(ty)) = (record.get(0), record.get(1)) else {
                return Err(format!("{file}:{line}: expected `name,type`, as in `EventID,int`"));
            };
            if line == 1 && ty.trim().eq_ignore_ascii_case("type") {
                continue;
            }
            columns.push(column(name, ty).map_err(|message| format!("{file}:{line}: {message}"))?);
        }
    }
    if let Some(twice) =
        columns.iter().enumerate().find(|(at, column)| columns[..*at].iter().any(|c| c.name == column.name))
    {
        return Err(format!("{file}: column `{}` stands twice", twice.1.name));
    }
    if columns.is_empty() { Err(format!("{file}:1: no column; expected lines of `name,type`")) } else { Ok(columns) }
}
