//! `weir kql check`: syntax, names and types, and what comes out.

mod params;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use weir_contract::schema::{Column, TableSchema};
use weir_kql::{Catalog, Diagnostic, Mode, Subject};
use weir_normalize::library;
use weir_normalize::mapping::Mapping;

use self::tables::{Reads, Tables};
use super::find;
use super::queries::{Query, QueryFile};
use super::report::{Format, Report, plural};
use crate::assembly::load_catalog;

/// Arguments of `weir kql check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files with a query or a stored function, mapping files, other YAML files with queries, data collection rules
    /// (`.json`), or folders of such; `-` reads standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The raw table that a query reads, as the query calls it; absent: the known table that it names.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The table's columns: a CSV or JSON file of names and types, or a table that Weir knows.
    #[arg(long, value_name = "FILE|NAME")]
    schema: Option<String>,
    /// A config file, for the functions and watchlists under its `mappings:`.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check as a hunting query: every operator, over any of the known tables.
    #[arg(long, conflicts_with = "dcr_strict")]
    hunt: bool,
    /// Tell also what Azure refuses in a collection rule's `transformKql`, though Weir runs it.
    #[arg(long)]
    dcr_strict: bool,
    /// An unknown column is empty, with a warning.
    #[arg(long)]
    lenient: bool,
    /// What messages call standard input; its ending tells YAML from KQL.
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    stdin_name: String,
    /// How to print what was found.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// What a sound query gives.
#[derive(Debug, Serialize)]
struct Output {
    file: String,
    /// The key that it stands under.
    query: Option<String>,
    /// The table that it reads; absent: none, or any.
    reads: Option<String>,
    /// The table that a mapping makes rows of.
    target: Option<String>,
    columns: Vec<OutputColumn>,
}

#[derive(Debug, Serialize)]
struct OutputColumn {
    name: String,
    #[serde(rename = "type")]
    ty: &'static str,
}

struct Checker<'a> {
    args: &'a CheckArgs,
    tables: Tables,
    catalog: Catalog,
    report: Report<Output>,
}

/// Checks every query of every file.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let tables = Tables::new(args.table.as_deref(), args.schema.as_deref())?;
    let report = Report { errors: 0, warnings: 0, diagnostics: Vec::new(), outputs: Vec::new() };
    let catalog = load_catalog(args.config.as_deref())?;
    let mut checker = Checker { args, tables, catalog, report };
    let mut files = 0;
    for found in find::files(&args.files)? {
        match QueryFile::read(&found, &args.stdin_name) {
            Ok(Some(file)) => {
                files += 1;
                checker.file(&file);
            }
            Ok(None) => {}
            Err(finding) => checker.report.add(*finding),
        }
    }
    checker.report.print(args.format, |report| summary(report, files))?;
    Ok(if checker.report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(report: &Report<Output>, files: usize) -> String {
    let mut text = String::new();
    for Output { file, query, reads, target, columns } in &report.outputs {
        let key = query.as_ref().map(|key| format!(": {key}")).unwrap_or_default();
        let from = reads.as_ref().map(|table| format!("{table} to ")).unwrap_or_default();
        let target = target.as_ref().map(|target| format!("{target}, ")).unwrap_or_default();
        text += &format!("{file}{key}: {from}{target}{}\n", plural(columns.len(), "column"));
        let width = columns.iter().map(|column| column.name.chars().count()).max().unwrap_or_default();
        for column in columns {
            text += &format!("  {:width$}  {}\n", column.name, column.ty);
        }
    }
    text + &format!("{}: {}\n", plural(files, "file"), report.count())
}

impl Checker<'_> {
    fn mode(&self) -> Mode {
        if self.args.lenient { Mode::Lenient } else { Mode::Strict }
    }

    fn tell(&mut self, file: &QueryFile, query: &Query, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics {
            let is_of_config = matches!(diagnostic.subject, Subject::UnknownFunction | Subject::UnknownWatchlist);
            let is_near = diagnostic.help.as_ref().is_some_and(|help| help.starts_with("did you mean"));
            let mut diagnostic = diagnostic.clone();
            if is_of_config && !is_near && self.args.config.is_none() {
                diagnostic.help = Some("`--config FILE` brings the functions and watchlists of a config".to_owned());
            }
            self.report.add(file.finding(query, &diagnostic));
        }
    }

    fn file(&mut self, file: &QueryFile) {
        let is_mapping = file.document.as_ref().is_some_and(|document| {
            document.value.get("TargetASIMTable").is_some() && document.value.get("ParserQuery").is_some()
        });
        if is_mapping {
            return self.mapping(file);
        }
        for query in &file.queries {
            match &query.key {
                None if weir_kql::is_function(&query.text) => self.function(file, query),
                _ => self.query(file, query),
            }
        }
    }

    /// A mapping file: its queries against its raw table, what they make against the target.
    fn mapping(&mut self, file: &QueryFile) {
        let mapping = match Mapping::parse(&file.name, &file.name, &file.text) {
            Ok(mapping) => mapping,
            Err(error) => return self.report.add(file.at_line(error.line, error.message, None)),
        };
        let line_of = |key: &str| file.document.as_ref().map_or(1, |document| document.line(&format!("/{key}")));
        let schema = match self.tables.of_mapping(&mapping.source_table) {
            Ok(schema) => schema,
            Err(help) => match library::declared_table(&mapping) {
                Some(schema) => schema,
                None => {
                    let message = format!("no schema is known for the raw table `{}`", mapping.source_table);
                    return self.report.add(file.at_line(line_of("SourceRawTable"), message, Some(help)));
                }
            },
        };
        let schema = match library::readable(&mapping, schema, |table| self.tables.known(table)) {
            Ok(schema) => schema,
            Err(faults) => {
                let findings = faults.into_iter().map(|fault| file.at_line(fault.line, fault.message, None));
                return findings.for_each(|finding| self.report.add(finding));
            }
        };
        if let Some(fault) = library::unknown_target(&mapping.target_table) {
            self.report.add(file.at_line(line_of("TargetASIMTable"), fault, None));
        }
        for query in &file.queries {
            match query.key.as_deref() {
                Some("ParserFilterQuery") => self.filter(file, query, &schema),
                Some("ParserQuery") => {
                    if let Some(program) = self.ingest(file, query, &schema) {
                        let misfits = library::misfits(&mapping.target_table, &program);
                        self.tell(file, query, &misfits);
                        if misfits.is_empty() {
                            self.output(file, query, Some(&schema), Some(&mapping.target_table), program.output());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// A query of its own.
    fn query(&mut self, file: &QueryFile, query: &Query) {
        if self.args.hunt {
            return self.hunting(file, query);
        }
        let params = file.document.as_ref().map(|document| params::as_lets(&document.value)).unwrap_or_default();
        let text = params.clone() + &query.text;
        let in_query = |mut diagnostics: Vec<Diagnostic>| {
            for diagnostic in &mut diagnostics {
                let place = |position: usize| position.saturating_sub(params.len());
                diagnostic.span = place(diagnostic.span.start)..place(diagnostic.span.end);
            }
            diagnostics
        };
        let schema = match &query.stream {
            Some(stream) => match self.tables.of_stream(stream) {
                Ok(schema) => schema,
                Err(help) => {
                    let message = format!("no columns are known for the stream of `{}`", stream.name);
                    return self.tell(file, query, &[Diagnostic::error(0..0, message).with_help(help)]);
                }
            },
            None => match self.tables.of_query(&text, &self.catalog) {
                Reads::Table(schema) => schema,
                Reads::Faulty(errors) => return self.tell(file, query, &in_query(errors)),
            },
        };
        if matches!(query.key.as_deref(), Some("ParserFilterQuery" | "filter")) {
            return self.filter(file, query, &schema);
        }
        match weir_kql::compile_with(&text, &schema, self.mode(), &self.catalog) {
            Ok(program) => {
                self.tell(file, query, &in_query(program.warnings().to_vec()));
                self.output(file, query, Some(&schema), None, program.output());
            }
            Err(errors) => self.tell(file, query, &in_query(errors)),
        }
        self.strict(file, query);
    }

    fn ingest(&mut self, file: &QueryFile, query: &Query, schema: &TableSchema) -> Option<weir_kql::Program> {
        let program = match weir_kql::compile_with(&query.text, schema, self.mode(), &self.catalog) {
            Ok(program) => Some(program),
            Err(errors) => {
                self.tell(file, query, &errors);
                None
            }
        };
        if let Some(program) = &program {
            self.tell(file, query, program.warnings());
        }
        self.strict(file, query);
        program
    }

    fn filter(&mut self, file: &QueryFile, query: &Query, schema: &TableSchema) {
        match weir_kql::compile_filter_with(&query.text, schema, self.mode(), &self.catalog) {
            Ok(filter) => self.tell(file, query, filter.warnings()),
            Err(errors) => self.tell(file, query, &errors),
        }
        self.strict(file, query);
    }

    /// What Azure would refuse, if that is asked for and the query parses.
    fn strict(&mut self, file: &QueryFile, query: &Query) {
        if self.args.dcr_strict && weir_kql::syntax_errors(&query.text).is_empty() {
            self.tell(file, query, &weir_kql::dcr_strict(&query.text));
        }
    }

    fn hunting(&mut self, file: &QueryFile, query: &Query) {
        let now = chrono::Utc::now().timestamp_micros();
        match weir_kql::compile_plan(&query.text, &self.tables, &self.catalog, now) {
            Ok(bound) => {
                self.tell(file, query, &bound.warnings);
                let columns = bound.output.iter().map(|(column, name)| Column { name: name.clone(), ty: column.ty });
                let output = TableSchema { name: "".into(), columns: columns.collect() };
                self.output(file, query, None, None, &output);
            }
            Err(errors) => self.tell(file, query, &errors),
        }
    }

    fn function(&mut self, file: &QueryFile, query: &Query) {
        let schema = self.tables.given();
        match weir_kql::compile_function(&query.text, &schema, self.mode(), &self.catalog) {
            Ok(bound) => {
                self.tell(file, query, &bound.warnings);
                let value = bound.value.into_iter().collect();
                let gives = bound.table.unwrap_or_else(|| TableSchema { name: "".into(), columns: value });
                self.output(file, query, Some(&schema), None, &gives);
            }
            Err(mut errors) => {
                for error in &mut errors {
                    self.tables.explain(error);
                }
                self.tell(file, query, &errors);
            }
        }
    }

    fn output(
        &mut self,
        file: &QueryFile,
        query: &Query,
        reads: Option<&TableSchema>,
        target: Option<&str>,
        output: &TableSchema,
    ) {
        let columns = output.columns.iter();
        self.report.outputs.push(Output {
            file: file.name.clone(),
            query: query.key.clone(),
            reads: reads.map(|table| table.name.to_string()).filter(|name| !name.is_empty()),
            target: target.map(str::to_owned),
            columns: columns
                .map(|column| OutputColumn { name: column.name.to_string(), ty: column.ty.name() })
                .collect(),
        });
    }
}
