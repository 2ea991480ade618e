//! A file again, without some of its rows.

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use std::sync::Arc;

use crate::lake::encode::{EncodeOptions, EncodedFile, OpenFile};
use crate::lake::read::given_back;
use crate::lake::schema::TableColumns;

/// The rows of `file` for which `keep` is true, in their order; `None` if there are none. `columns` has at least the
/// file's.
pub(crate) fn without(
    file: &EncodedFile,
    keep: &[bool],
    columns: TableColumns,
    options: EncodeOptions,
) -> Result<Option<EncodedFile>, ParquetError> {
    if !keep.contains(&true) {
        return Ok(None);
    }
    let fields: Vec<Field> = columns.iter().map(|column| column.storage.field(&column.name)).collect();
    let schema = Arc::new(Schema::new(fields));
    let reading = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file.bytes.clone(), reading)?.build()?;
    let as_given = columns.clone();
    let mut remade = OpenFile::new(columns, options)?;
    let mut start = 0;
    for rows in reader {
        let rows = RecordBatch::try_new(Arc::clone(&schema), given_back(&as_given, &rows?)?)?;
        let end = start + rows.num_rows();
        let mask = BooleanArray::from(keep[start..end].to_vec());
        let rows = filter_record_batch(&rows, &mask)?;
        let kept = keep[start..end].iter().zip(&file.keys[start..end]).filter(|(keep, _)| **keep);
        let keys: Vec<_> = kept.map(|(_, key)| *key).collect();
        if !keys.is_empty() {
            remade.write(&rows, &keys)?;
        }
        start = end;
    }
    remade.finish().map(Some)
}
