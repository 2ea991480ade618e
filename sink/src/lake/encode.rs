//! Rows to Parquet, in memory.
//!
//! Encoding is the largest share of the sink's work, so the columns of a batch are encoded in parallel on rayon, each
//! into the page buffers of its own writer; only the assembly of a row group is serial. A file grows by whole row
//! groups of `row_group_rows` rows; pages are compressed as they fill, so an open file holds little more memory than
//! its bytes on disk.
//!
//! Measured on rows of 150 columns (`benches/lake.rs`), which is why:
//!
//! - every column tries a dictionary: written plain, the same rows take a third more time and a tenth more space, and
//!   choosing by a sample gains nothing over the writer's own way out when a dictionary grows past 1 MiB;
//! - statistics are kept per row group and for the table's indexed columns only: for all columns they took a fifth of
//!   the time;
//! - there are no page indexes and no Bloom filters, whose use is small in files sorted by nothing but arrival.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::prelude::*;
use weir_contract::position::Offset;

use crate::lake::schema::TableColumns;
use crate::lake::stats;

/// Batches below this many cells are encoded on one thread; the others would cost more to wake than they save.
const PARALLEL_CELLS: usize = 16 * 1024;

/// How files are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodeOptions {
    pub(crate) compression: ZstdLevel,
    pub(crate) row_group_rows: usize,
}

/// A Parquet file that grows in memory.
pub(crate) struct OpenFile {
    columns: TableColumns,
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
    /// Of the row group in progress; empty before its first row.
    writers: Vec<ArrowColumnWriter>,
    group_rows: usize,
    row_group_rows: usize,
    rows: u64,
    keys: Vec<RowKey>,
}

/// Where a row of a file came from, as far as the table keeps account of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowKey {
    /// The number of the stream ([`crate::lake::progress::Streams`]); `None` where rows come from none.
    pub(crate) stream: Option<u32>,
    pub(crate) offset: Offset,
}

/// A whole Parquet file.
#[derive(Debug)]
pub(crate) struct EncodedFile {
    pub(crate) bytes: Bytes,
    /// Delta's statistics of the file, as JSON.
    pub(crate) stats: String,
    /// Where each row came from.
    pub(crate) keys: Vec<RowKey>,
}

impl OpenFile {
    /// A file with `columns`, without rows.
    pub(crate) fn new(columns: TableColumns, options: EncodeOptions) -> Result<Self, ParquetError> {
        let schema = columns.written();
        let properties = properties(&columns, options);
        // Readers go by Delta's schema. The Arrow schema would tell them that text is a view, which some can't read.
        let options_of_writer = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options_of_writer)?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self {
            columns,
            schema,
            file,
            factory,
            writers: Vec::new(),
            group_rows: 0,
            row_group_rows: options.row_group_rows,
            rows: 0,
            keys: Vec::new(),
        })
    }

    /// The file's columns.
    pub(crate) fn columns(&self) -> &TableColumns {
        &self.columns
    }

    /// Bytes that the file holds in memory.
    pub(crate) fn memory(&self) -> usize {
        let keys = self.keys.capacity() * size_of::<RowKey>();
        keys + self.file.bytes_written() + self.writers.iter().map(ArrowColumnWriter::memory_size).sum::<usize>()
    }

    /// Appends `batch`, whose columns are all among the file's; `keys` has one for each row.
    pub(crate) fn write(&mut self, batch: &RecordBatch, keys: &[RowKey]) -> Result<(), ParquetError> {
        self.keys.extend_from_slice(keys);
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = (batch.num_rows() - start).min(self.row_group_rows - self.group_rows);
            let part = if rows == batch.num_rows() { batch.clone() } else { batch.slice(start, rows) };
            self.write_into_group(&part)?;
            start += rows;
            if self.group_rows >= self.row_group_rows {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<EncodedFile, ParquetError> {
        self.end_group()?;
        let metadata = self.file.finish()?;
        let stats = stats::to_json(&self.columns, &metadata, self.rows);
        let bytes = std::mem::take(self.file.inner_mut());
        Ok(EncodedFile { bytes: bytes.into(), stats, keys: self.keys })
    }

    fn write_into_group(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.writers.is_empty() {
            self.writers = self.factory.create_column_writers(self.file.flushed_row_groups().len())?;
        }
        let arrays = self.columns.arrange(batch)?;
        let schema = &self.schema;
        let write = |(index, (writer, array)): (usize, (&mut ArrowColumnWriter, &ArrayRef))| {
            for leaf in compute_leaves(schema.field(index), array)? {
                writer.write(&leaf)?;
            }
            Ok::<_, ParquetError>(())
        };
        if batch.num_rows() * arrays.len() < PARALLEL_CELLS {
            self.writers.iter_mut().zip(&arrays).enumerate().try_for_each(write)?;
        } else {
            self.writers.par_iter_mut().zip(&arrays).enumerate().try_for_each(write)?;
        }
        self.group_rows += batch.num_rows();
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let writers = std::mem::take(&mut self.writers);
        // The last pages of all columns are compressed here.
        let chunks: Vec<_> = writers.into_par_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>()?;
        let mut group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.group_rows = 0;
        Ok(())
    }
}

fn properties(columns: &TableColumns, options: EncodeOptions) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("weir {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(options.compression))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None);
    for name in columns.indexed() {
        let path = ColumnPath::new(vec![name.clone()]);
        builder = builder.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
    }
    builder.build()
}
