//! Mapping files with what stands beside them, and what a mapping makes of sample records.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::Array as _;
use serde_json::Value;
use weir_contract::memory::MemoryBudget;
use weir_contract::schema::Column;
use weir_ingest::schema::RawTables;
use weir_kql::{Catalog, Mode};
use weir_normalize::content;
use weir_normalize::library::{self, CompiledMapping, Library, LibraryError};
use weir_normalize::mapping::{Mapping, MappingError};
use weir_normalize::samples;

use crate::assembly;
use crate::config::{ConfigFaults, MappingsConfig};
use crate::kql::find;
use crate::records;

/// A mapping file, built in or somebody's own.
#[derive(Debug, Clone)]
pub(crate) struct MappingFile {
    /// Its path; of a built-in one that below `normalize/families/`.
    pub(crate) path: PathBuf,
    text: String,
    is_builtin: bool,
}

/// A file that belongs to a mapping.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) path: PathBuf,
    /// What it holds; `None` if it is not there.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl MappingFile {
    /// The built-in mappings.
    pub(crate) fn builtin() -> Vec<Self> {
        let files = library::builtin_files().iter();
        files.map(|(path, text)| Self { path: path.into(), text: (*text).to_owned(), is_builtin: true }).collect()
    }

    /// The built-in mapping of this name, with or without `.yaml`.
    pub(crate) fn builtin_called(name: &Path) -> Option<Self> {
        Self::builtin().into_iter().find(|file| file.path == name || file.path.with_extension("") == name)
    }

    /// The mappings among files and below folders, sorted within a folder.
    ///
    /// # Errors
    ///
    /// A path that cannot be read; no mapping among them.
    pub(crate) fn below(paths: &[PathBuf]) -> anyhow::Result<Vec<Self>> {
        let mut files = Vec::new();
        for found in find::files(paths)? {
            let text = std::fs::read_to_string(&found.path)
                .with_context(|| format!("`{}` cannot be read", found.path.display()))?;
            if found.named || text.contains("TargetASIMTable") {
                files.push(Self { path: found.path, text, is_builtin: false });
            }
        }
        anyhow::ensure!(!files.is_empty(), "there is no mapping file among these files");
        Ok(files)
    }

    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(crate) fn parse(&self) -> Result<Mapping, MappingError> {
        let name = self.name();
        Mapping::parse(&name, &name, &self.text)
    }

    /// The file of kind `samples` or `expected`.
    pub(crate) fn beside(&self, kind: &str) -> anyhow::Result<Beside> {
        let path = samples::beside(&self.path, kind);
        let bytes = if self.is_builtin {
            library::builtin_sample(&path).map(|text| text.as_bytes().to_vec())
        } else if path.exists() {
            Some(std::fs::read(&path).with_context(|| format!("`{}` cannot be read", path.display()))?)
        } else {
            None
        };
        Ok(Beside { path, bytes })
    }
}

/// What mappings are compiled with: the raw tables, and what a deployment brings.
pub(crate) struct Runner {
    catalog: Catalog,
    mode: Mode,
}

impl Runner {
    /// With the functions and watchlists of a config. Where `is_lenient`, an unknown column is empty whatever it says.
    pub(crate) fn new(config: &MappingsConfig, is_lenient: bool) -> Result<Self, ConfigFaults> {
        let catalog = content::load(&config.functions, &config.watchlists).map_err(ConfigFaults::of_mappings)?;
        Ok(Self { catalog, mode: if is_lenient { Mode::Lenient } else { assembly::mode(config) } })
    }

    /// A mapping that is ready to run.
    pub(crate) fn compile(&self, mapping: Mapping) -> Result<Runnable, LibraryError> {
        let tables = RawTables::builtin();
        let table = Arc::clone(&mapping.source_table);
        let library =
            Library::compile_with(vec![mapping], |name| tables.schema(name).cloned(), self.mode, &self.catalog)?;
        let tables = Arc::new(tables.with_declared(library.declared_tables()));
        Ok(Runnable { library, tables, table })
    }
}

/// A compiled mapping, and the decoder's tables.
pub(crate) struct Runnable {
    library: Library,
    tables: Arc<RawTables>,
    table: Arc<str>,
}

/// What to do with a record of a raw table that the mapping does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherTables {
    /// The samples are the mapping's own: it is a fault.
    Refuse,
    Skip,
}

impl Runnable {
    fn mapping(&self) -> &CompiledMapping {
        self.library.of_table(&self.table).first().expect("one mapping was compiled")
    }

    /// The raw table that it reads.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Columns of the rows that it makes.
    pub(crate) fn output(&self) -> &[Column] {
        &self.mapping().program.output().columns
    }

    /// The rows that it makes of each record of its raw table, in the order of the records, as expected files have them.
    ///
    /// Each record runs alone, so that its rows are known as its own. What the mapping looks up is found before, in all
    /// records together, as if they had come in one batch; those of the other table make no rows here.
    ///
    /// # Errors
    ///
    /// A record that cannot be read, one of another table if these are refused, a fault while it runs.
    pub(crate) fn run(&self, bytes: Vec<u8>, others: OtherTables) -> anyhow::Result<Vec<Vec<Value>>> {
        let budget = MemoryBudget::new(usize::MAX >> 1);
        let decoded = records::decode("samples", bytes, Some(&self.table), Arc::clone(&self.tables), &budget);
        if let Some(letter) = decoded.dead_letters.first() {
            anyhow::bail!("a sample is no record that can be read: {}: {}", letter.reason, letter.detail);
        }
        decoded.ack.done();
        let compiled = self.mapping();
        let looked_up = compiled.mapping.batch_lookup.as_ref().map(|lookup| &*lookup.table.name);
        let read = self.library.with_lookups(&decoded.batches);
        let mut made = Vec::new();
        for (batch, read) in decoded.batches.into_iter().zip(read) {
            batch.ack.done();
            if batch.table != self.table {
                anyhow::ensure!(
                    others == OtherTables::Skip || looked_up == Some(&*batch.table),
                    "a sample is a record of `{}`, which this mapping does not read",
                    batch.table
                );
                continue;
            }
            let claims = self.library.claims(&batch.table, &read).into_iter().next();
            let claims = claims.expect("one mapping was compiled")?;
            for row in 0..read.num_rows() {
                let number = made.len() + 1;
                let rows = if claims.is_valid(row) && claims.value(row) {
                    let rows = compiled.program.run(&read.slice(row, 1));
                    let rows = rows.with_context(|| format!("the mapping fails at record {number}"))?;
                    samples::expected_rows(&compiled.mapping.target_table, &rows)
                } else {
                    Vec::new()
                };
                made.push(rows);
            }
        }
        Ok(made)
    }
}
