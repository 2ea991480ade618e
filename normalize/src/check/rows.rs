//! Rows of JSON and CSV as columns, sorted by what they are to be held against.
//!
//! A column takes the type that its table or schema defines if every value fits it; else the type that its values show,
//! so that the checker reports the mismatch.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use serde_json::{Map, Value};
use weir_contract::datetime::parse_iso;
use weir_contract::schema::{ColumnType, TYPE_KEY};

use crate::check::target::Target;

/// The key that names a row's table, and is no column.
const TABLE_KEY: &str = "table";
/// The column that names it, too; in the output of a parser, it names the raw table that the row was made of.
const TYPE_COLUMN: &str = "Type";
/// Keys that name a row's schema.
const SCHEMA_KEYS: [&str; 2] = ["EventSchema", "EntitySchema"];

/// Which rows are checked, against what.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    schema: Option<Target>,
    default: Option<Target>,
}

/// Rows of one target.
#[derive(Debug)]
pub struct TypedRows {
    /// What they are to be held against.
    pub target: Target,
    /// The rows.
    pub rows: RecordBatch,
    /// Their numbers in their file.
    pub numbers: Vec<u64>,
}

/// The JSON rows of one target.
struct Group {
    target: Target,
    numbers: Vec<u64>,
    rows: Vec<Map<String, Value>>,
}

/// Rows as columns, and what was left out.
#[derive(Debug, Default)]
pub struct Sorted {
    /// The rows to check.
    pub batches: Vec<TypedRows>,
    /// Rows of tables that are not checked, by table.
    pub left_out: BTreeMap<String, u64>,
}

impl Selection {
    /// All rows that tell their schema; or, with a schema, that schema's rows and all that tell none.
    pub fn of_schema(schema: Option<Target>) -> Self {
        Self { schema, default: None }
    }

    /// The same, where rows that tell no table belong to `target`.
    pub fn with_default(&self, target: Target) -> Self {
        Self { schema: self.schema.clone(), default: Some(target) }
    }

    /// What rows of a table are held against; `None` if they are not checked.
    pub fn of_table(&self, table: &str) -> Option<Target> {
        match (&self.schema, Target::of_table(table)) {
            (None, target) => target,
            (Some(wanted), Some(target)) => (target.schema() == wanted.schema()).then_some(target),
            // A custom table whose name tells no schema: the one that is asked for.
            (Some(wanted), None) if table.ends_with("_CL") => Target::of_custom_table(table, wanted.schema()),
            (Some(_), None) => None,
        }
    }

    /// What rows are held against that name no table, by the schema that they name.
    pub fn of_rows(&self, schema: Option<&str>) -> Target {
        let chosen = self.default.clone().or_else(|| self.schema.clone());
        chosen.or_else(|| schema.and_then(Target::of_schema)).unwrap_or_else(Target::unknown)
    }

    /// What a row is held against; the name of its table if it is not checked.
    fn target_of<'a>(&self, row: &'a Map<String, Value>) -> Result<Target, &'a str> {
        let text = |key: &str| row.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let schema = SCHEMA_KEYS.iter().find_map(|key| text(key));
        let table = match (text(TABLE_KEY), text(TYPE_COLUMN)) {
            (Some(table), _) => Some(table),
            (None, Some(name)) => {
                let is_of_a_parser = schema.is_some() || self.schema.is_some() || self.default.is_some();
                (Target::of_table(name).is_some() || !is_of_a_parser).then_some(name)
            }
            (None, None) => None,
        };
        match table {
            Some(table) => self.of_table(table).ok_or(table),
            None => Ok(self.of_rows(schema)),
        }
    }

    /// Sorts JSON objects, each with its number, by target, and makes columns of them.
    pub fn sort(&self, rows: Vec<(u64, Map<String, Value>)>) -> Sorted {
        let mut sorted = Sorted::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut by_label: HashMap<Arc<str>, usize> = HashMap::new();
        for (number, mut row) in rows {
            let target = match self.target_of(&row) {
                Ok(target) => target,
                Err(table) => {
                    *sorted.left_out.entry(table.to_owned()).or_default() += 1;
                    continue;
                }
            };
            row.remove(TABLE_KEY);
            if target.is_table() {
                row.remove(TYPE_COLUMN);
            }
            let at = *by_label.entry(target.label()).or_insert_with(|| {
                groups.push(Group { target, numbers: Vec::new(), rows: Vec::new() });
                groups.len() - 1
            });
            groups[at].numbers.push(number);
            groups[at].rows.push(row);
        }
        sorted.batches = groups
            .into_iter()
            .map(|group| TypedRows {
                rows: columns(&group.target, &group.rows),
                target: group.target,
                numbers: group.numbers,
            })
            .collect();
        sorted
    }

    /// The same for CSV records below their header. A cell is read as the type that its column should have, if it can.
    pub fn sort_csv(&self, header: &[String], records: Vec<(u64, Vec<String>)>) -> Sorted {
        let rows = records.into_iter().map(|(number, cells)| {
            let filled = header.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
            (number, filled.map(|(name, cell)| (name.clone(), Value::String(cell))).collect::<Map<_, _>>())
        });
        let mut rows: Vec<_> = rows.collect();
        for (_, row) in &mut rows {
            let Ok(target) = self.target_of(row) else { continue };
            for (name, value) in row.iter_mut() {
                if let (Some(ty), Value::String(cell)) = (target.type_of(name), &*value)
                    && let Some(read) = read_cell(ty, cell)
                {
                    *value = read;
                }
            }
        }
        self.sort(rows)
    }
}

/// Gives text columns that should be `dynamic` or `guid` that type: a Parquet file of another writer can't say it.
pub fn retype(target: &Target, rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let fields = schema.fields().iter().map(|field| {
        let is_plain_text = ColumnType::of_field(field) == Some(ColumnType::String);
        match target.type_of(field.name()) {
            Some(ty @ ("dynamic" | "guid")) if is_plain_text => {
                let mut metadata = field.metadata().clone();
                metadata.insert(TYPE_KEY.to_owned(), ty.to_owned());
                Field::clone(field).with_metadata(metadata)
            }
            _ => Field::clone(field),
        }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new_with_options(schema, rows.columns().to_vec(), &with_rows(rows.num_rows()))
        .expect("the same columns, of the same Arrow types")
}

fn read_cell(ty: &str, cell: &str) -> Option<Value> {
    match ty {
        "int" | "long" => cell.parse::<i64>().ok().map(Value::from),
        "real" | "double" => cell.parse::<f64>().ok().map(Value::from),
        "bool" if cell.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
        "bool" if cell.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
        "dynamic" => serde_json::from_str(cell).ok(),
        _ => None,
    }
}

fn columns(target: &Target, rows: &[Map<String, Value>]) -> RecordBatch {
    columns_by(|name| target.type_of(name).and_then(|ty| ty.parse().ok()), rows)
}

/// The members of JSON objects as columns, sorted by name. A column has the type that `type_of` tells, if every value
/// fits it; else the one that its values show.
pub fn columns_by(type_of: impl Fn(&str) -> Option<ColumnType>, rows: &[Map<String, Value>]) -> RecordBatch {
    let mut values: BTreeMap<&str, Vec<Option<&Value>>> = BTreeMap::new();
    for (row, map) in rows.iter().enumerate() {
        for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            values.entry(name).or_insert_with(|| vec![None; rows.len()])[row] = Some(value);
        }
    }
    let mut fields = Vec::with_capacity(values.len());
    let mut arrays = Vec::with_capacity(values.len());
    for (name, values) in &values {
        let typed = type_of(name).and_then(|ty| Some((ty, array(ty, values)?)));
        let (ty, array) = typed.unwrap_or_else(|| {
            let ty = shown_type(values);
            (ty, array(ty, values).expect("every value shows this type"))
        });
        fields.push(ty.field(name));
        arrays.push(array);
    }
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &with_rows(rows.len()))
        .expect("every column has one value per row")
}

fn with_rows(rows: usize) -> RecordBatchOptions {
    RecordBatchOptions::new().with_row_count(Some(rows))
}

/// The type that values show by themselves; every value fits it.
fn shown_type(values: &[Option<&Value>]) -> ColumnType {
    let all = |fits: fn(&Value) -> bool| values.iter().flatten().all(|value| fits(value));
    if all(Value::is_string) {
        ColumnType::String
    } else if all(Value::is_boolean) {
        ColumnType::Bool
    } else if all(Value::is_i64) {
        ColumnType::Long
    } else if all(Value::is_number) {
        ColumnType::Real
    } else {
        ColumnType::Dynamic
    }
}

/// The values as a column of type `ty`, if every one of them fits.
fn array(ty: ColumnType, values: &[Option<&Value>]) -> Option<ArrayRef> {
    /// `None` as soon as one value does not fit.
    fn each<'a, T>(values: &[Option<&'a Value>], read: impl Fn(&'a Value) -> Option<T>) -> Option<Vec<Option<T>>> {
        values.iter().map(|value| value.map_or(Some(None), |value| read(value).map(Some))).collect()
    }
    Some(match ty {
        ColumnType::Bool => Arc::new(BooleanArray::from(each(values, Value::as_bool)?)),
        ColumnType::Int => Arc::new(Int32Array::from(each(values, |value| i32::try_from(value.as_i64()?).ok())?)),
        ColumnType::Long => Arc::new(Int64Array::from(each(values, Value::as_i64)?)),
        ColumnType::Real => Arc::new(Float64Array::from(each(values, Value::as_f64)?)),
        ColumnType::String | ColumnType::Guid => Arc::new(StringViewArray::from(each(values, Value::as_str)?)),
        ColumnType::Dynamic => Arc::new(StringViewArray::from(each(values, |value| Some(value.to_string()))?)),
        ColumnType::Datetime => {
            let times = each(values, |value| parse_iso(value.as_str()?))?;
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
        }
        ColumnType::Timespan => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sort(selection: &Selection, rows: &[Value]) -> Sorted {
        let rows = rows.iter().enumerate().map(|(at, row)| (at as u64 + 1, row.as_object().expect("a row").clone()));
        selection.sort(rows.collect())
    }

    #[test]
    fn rows_are_sorted_by_their_table_then_by_their_schema() {
        let rows = [
            json!({"table": "ASimDnsActivityLogs", "DnsQuery": "a.example"}),
            json!({"Type": "ASimFileEventLogs", "EventCount": 1}),
            json!({"EventSchema": "Dns", "DnsQuery": "b.example"}),
            json!({"EventCount": 1}),
            json!({"table": "DeviceEvents"}),
            json!({"Type": "DeviceEvents"}),
            json!({"Type": "DeviceEvents", "EventSchema": "Dns"}),
        ];
        let sorted = sort(&Selection::default(), &rows);
        let found: Vec<_> = sorted.batches.iter().map(|b| (b.target.label().to_string(), b.numbers.clone())).collect();
        let expected: [(&str, &[u64]); 4] =
            [("ASimDnsActivityLogs", &[1]), ("ASimFileEventLogs", &[2]), ("Dns", &[3, 7]), ("Common", &[4])];
        assert_eq!(found, expected.map(|(label, numbers)| (label.to_owned(), numbers.to_vec())));
        assert_eq!(sorted.left_out, BTreeMap::from([("DeviceEvents".to_owned(), 2)]));
        assert!(sorted.batches[2].rows.column_by_name("Type").is_some(), "a parser's output has the column");
        assert!(sorted.batches[1].rows.column_by_name("Type").is_none(), "a table's row need not name it");
        let only = sort(&Selection::of_schema(Target::of_schema("Dns")), &rows);
        assert_eq!(only.batches.iter().map(|batch| batch.rows.num_rows()).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn a_column_takes_its_defined_type_only_if_every_value_fits() {
        let ty = |values: &[Value]| {
            let rows: Vec<Value> = values.iter().map(|v| json!({"EventSchema": "Dns", "EventCount": v})).collect();
            let sorted = sort(&Selection::default(), &rows);
            ColumnType::of_field(sorted.batches[0].rows.schema().field_with_name("EventCount").expect("it is there"))
        };
        assert_eq!(ty(&[json!(1), json!(null), json!(2)]), Some(ColumnType::Int));
        assert_eq!(ty(&[json!(1), json!(5_000_000_000_i64)]), Some(ColumnType::Long));
        assert_eq!(ty(&[json!(1), json!(1.5)]), Some(ColumnType::Real));
        assert_eq!(ty(&[json!("1")]), Some(ColumnType::String));
        assert_eq!(ty(&[json!("1"), json!(1)]), Some(ColumnType::Dynamic));
    }

    #[test]
    fn csv_cells_are_read_as_the_type_that_the_column_should_have() {
        let header = ["EventSchema", "EventCount", "TimeGenerated", "AdditionalFields", "Mine"].map(str::to_owned);
        let cells = ["Dns", "3", "2026-11-20T10:00:00Z", "{\"a\": 1}", "7"].map(str::to_owned);
        let sorted = Selection::default().sort_csv(&header, vec![(2, cells.to_vec())]);
        let schema = sorted.batches[0].rows.schema();
        let ty = |name: &str| ColumnType::of_field(schema.field_with_name(name).expect("a column"));
        assert_eq!(ty("EventCount"), Some(ColumnType::Int));
        assert_eq!(ty("TimeGenerated"), Some(ColumnType::Datetime));
        assert_eq!(ty("AdditionalFields"), Some(ColumnType::Dynamic));
        assert_eq!(ty("Mine"), Some(ColumnType::String));
    }
}
