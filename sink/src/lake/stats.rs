//! Delta's per-file statistics, from the Parquet footer
//! (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics>).
//!
//! Readers skip files by them. The log holds them for every file, so they cover a few columns only, which the table's
//! property names ([`crate::lake::schema::INDEXED_PROPERTY`]).

use parquet::data_type::ByteArray;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};
use weir_contract::datetime::{PRINTABLE_US, format_iso};
use weir_contract::schema::ColumnType;

use crate::lake::schema::{Storage, TableColumns};

/// The statistics of a file of `rows` rows with the given footer, as JSON.
pub(crate) fn to_json(columns: &TableColumns, metadata: &ParquetMetaData, rows: u64) -> String {
    let mut min_values = Map::new();
    let mut max_values = Map::new();
    let mut null_count = Map::new();
    for (index, column) in columns.iter().enumerate() {
        let Storage::Kql(ty) = column.storage else { continue };
        let name = &column.name;
        if !columns.indexed().contains(name) {
            continue;
        }
        let Some(Extent { min, max, nulls }) = extent(metadata, index, ty) else { continue };
        null_count.insert(name.clone(), nulls.into());
        if let (Some(min), Some(max)) = (min, max) {
            min_values.insert(name.clone(), min.to_json(ty));
            max_values.insert(name.clone(), max.to_json(ty));
        }
    }
    json!({ "numRecords": rows, "minValues": min_values, "maxValues": max_values, "nullCount": null_count }).to_string()
}

struct Extent {
    min: Option<Bound>,
    max: Option<Bound>,
    nulls: u64,
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Bound {
    Flag(bool),
    Whole(i64),
    Real(f64),
    Text(String),
}

impl Bound {
    fn to_json(&self, ty: ColumnType) -> Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            // Seven fractional digits are Kusto's form; Delta's timestamps have six.
            Self::Whole(micros) if ty == ColumnType::Datetime => {
                let text = format_iso(*micros);
                format!("{}Z", &text[..text.len() - 2]).into()
            }
            Self::Whole(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

/// Smallest and largest value over all row groups. `None` if a group lacks statistics; the bounds are `None` if there is
/// no value, or one that JSON can't hold.
fn extent(metadata: &ParquetMetaData, column: usize, ty: ColumnType) -> Option<Extent> {
    let mut extent = Extent { min: None, max: None, nulls: 0 };
    let mut bounded = true;
    for group in metadata.row_groups() {
        let statistics = group.column(column).statistics()?;
        let nulls = statistics.null_count_opt()?;
        extent.nulls += nulls;
        if nulls == u64::try_from(group.num_rows()).ok()? {
            continue;
        }
        match bounds(statistics, ty) {
            Some((min, max)) => {
                extent.min = Some(extent.min.map_or(min.clone(), |known| if min < known { min } else { known }));
                extent.max = Some(extent.max.map_or(max.clone(), |known| if max > known { max } else { known }));
            }
            None => bounded = false,
        }
    }
    if !bounded {
        (extent.min, extent.max) = (None, None);
    }
    Some(extent)
}

fn bounds(statistics: &Statistics, ty: ColumnType) -> Option<(Bound, Bound)> {
    Some(match statistics {
        Statistics::Boolean(values) => (Bound::Flag(*values.min_opt()?), Bound::Flag(*values.max_opt()?)),
        Statistics::Int32(values) => {
            (Bound::Whole((*values.min_opt()?).into()), Bound::Whole((*values.max_opt()?).into()))
        }
        Statistics::Int64(values) => {
            let (min, max) = (*values.min_opt()?, *values.max_opt()?);
            if ty == ColumnType::Datetime && !(PRINTABLE_US.contains(&min) && PRINTABLE_US.contains(&max)) {
                return None;
            }
            (Bound::Whole(min), Bound::Whole(max))
        }
        Statistics::Double(values) => {
            let (min, max) = (*values.min_opt()?, *values.max_opt()?);
            if !min.is_finite() || !max.is_finite() {
                return None;
            }
            (Bound::Real(min), Bound::Real(max))
        }
        Statistics::ByteArray(values) => {
            let text = |bytes: &ByteArray| bytes.as_utf8().ok().map(|text| Bound::Text(text.to_owned()));
            // The writer cuts long text: a lower bound down, an upper bound up. They stay bounds.
            (text(values.min_opt()?)?, text(values.max_opt()?)?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::encode::{EncodeOptions, OpenFile};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
    use arrow::datatypes::Schema;
    use parquet::basic::ZstdLevel;
    use std::sync::Arc;

    #[test]
    fn bounds_and_null_counts_span_all_row_groups() {
        let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(-1)]).with_timezone("UTC");
        let columns: Vec<(&str, ColumnType, ArrayRef)> = vec![
            ("T", ColumnType::Datetime, Arc::new(times)),
            ("N", ColumnType::Long, Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(3), None]))),
            ("S", ColumnType::String, Arc::new(StringViewArray::from(vec!["b", "a", "ü"]))),
            ("Null", ColumnType::Long, Arc::new(Int64Array::from(vec![None, None, None]))),
            ("D", ColumnType::Dynamic, Arc::new(StringViewArray::from(vec!["{}", "{}", "{}"]))),
        ];
        let schema = Schema::new(columns.iter().map(|(name, ty, _)| ty.field(name)).collect::<Vec<_>>());
        let rows = RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, _, array)| array).collect());
        let rows = rows.expect("a batch");
        let mut table = TableColumns::default();
        table.admit("T", &rows.schema()).expect("admitted");
        table.choose_indexed();
        let options = EncodeOptions { compression: ZstdLevel::default(), row_group_rows: 2 };
        let mut file = OpenFile::new(table, options).expect("a file");
        file.write(&rows, &[]).expect("written");
        let stats: Value = serde_json::from_str(&file.finish().expect("finished").stats).expect("JSON");
        let expected = json!({
            "numRecords": 3,
            "minValues": {"T": "1969-12-31T23:59:59.999999Z", "N": 3, "S": "a"},
            "maxValues": {"T": "1970-01-01T00:00:01.500000Z", "N": i64::MAX, "S": "ü"},
            "nullCount": {"T": 1, "N": 1, "S": 0, "Null": 3},
        });
        assert_eq!(stats, expected);
    }
}
