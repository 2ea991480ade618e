//! A data collection rule's JSON: which columns its streams declare, and whether rows fit them.
//!
//! The service answers 204 to a column that the stream doesn't declare and drops it; a value of another type becomes
//! null. Neither is visible to the sender. So columns are compared here, before rows are sent
//! (<https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure>).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use serde_json::Value;
use weir_contract::schema::ColumnType;

use crate::sentinel::config::RuleId;
use crate::sink::SinkError;

/// Columns that the workspace fills in itself and that a sender must not send to a native table
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table>, reserved names; the rest are the standard
/// columns of agents and storage). Other names with a leading `_` are its own, too.
const SYSTEM: [&str; 10] = [
    "TenantId",
    "SourceSystem",
    "MG",
    "ManagementGroupName",
    "Type",
    "Title",
    "UniqueId",
    "id",
    "IsBillable",
    "BilledSize",
];

/// The streams of one rule.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// Columns by stream name.
    pub streams: HashMap<String, Arc<StreamColumns>>,
}

/// The declared columns of one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamColumns(HashMap<String, DeclaredType>);

/// A type of a stream declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredType {
    /// `string`
    String,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `real`
    Real,
    /// `boolean`
    Boolean,
    /// `datetime`
    Datetime,
    /// `dynamic`
    Dynamic,
}

/// What [`select`] lets through.
#[derive(Debug)]
pub struct Selected {
    /// The rows, with the columns that are sent.
    pub rows: RecordBatch,
    /// System columns that had values and are not sent.
    pub withheld: Vec<String>,
}

impl Definition {
    /// Reads the JSON file of the rule `id`; the error says what is wrong with it.
    pub fn read(path: &Path, id: &RuleId) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| format!("cannot read the rule's definition `{}`: {cause}", path.display()))?;
        Self::parse(&text, id).map_err(|message| format!("the rule's definition `{}`: {message}", path.display()))
    }

    /// Reads the JSON of the rule `id`, with its `properties` or as these alone.
    pub fn parse(text: &str, id: &RuleId) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|cause| format!("not JSON: {cause}"))?;
        let properties = json.get("properties").unwrap_or(&json);
        if let Some(other) = properties.get("immutableId").and_then(Value::as_str)
            && !other.eq_ignore_ascii_case(id.as_str())
        {
            return Err(format!("it is that of `{other}`, not of `{id}`"));
        }
        let Some(declarations) = properties.get("streamDeclarations").and_then(Value::as_object) else {
            return Err("it has no `streamDeclarations`; export the rule's JSON from Azure".to_owned());
        };
        let mut streams = HashMap::new();
        for (stream, declaration) in declarations {
            let mut columns = HashMap::new();
            for column in declaration.get("columns").and_then(Value::as_array).into_iter().flatten() {
                let name = column.get("name").and_then(Value::as_str);
                let ty = column.get("type").and_then(Value::as_str);
                let (Some(name), Some(ty)) = (name, ty) else {
                    return Err(format!("stream `{stream}` has a column without `name` and `type`: {column}"));
                };
                let Some(ty) = DeclaredType::parse(ty) else {
                    return Err(format!("column `{name}` of stream `{stream}` has the unknown type `{ty}`"));
                };
                columns.insert(name.to_owned(), ty);
            }
            streams.insert(stream.clone(), Arc::new(StreamColumns(columns)));
        }
        Ok(Self { streams })
    }
}

impl StreamColumns {
    /// Number of columns.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The type of a column, if it is declared.
    pub fn declared(&self, name: &str) -> Option<DeclaredType> {
        self.0.get(name).copied()
    }
}

impl DeclaredType {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "string" => Self::String,
            "int" => Self::Int,
            "long" => Self::Long,
            "real" => Self::Real,
            "boolean" | "bool" => Self::Boolean,
            "datetime" => Self::Datetime,
            "dynamic" => Self::Dynamic,
            _ => return None,
        })
    }

    /// Whether every value of type `ty` is stored as it is.
    fn takes(self, ty: ColumnType) -> bool {
        use ColumnType as C;
        match self {
            Self::String => matches!(ty, C::String | C::Guid | C::Timespan),
            Self::Int => ty == C::Int,
            Self::Long => matches!(ty, C::Int | C::Long),
            Self::Real => matches!(ty, C::Int | C::Long | C::Real),
            Self::Boolean => ty == C::Bool,
            Self::Datetime => ty == C::Datetime,
            Self::Dynamic => true,
        }
    }
}

/// Whether a column can be sent, by its name and type alone.
enum Verdict {
    Send,
    Withhold,
    Refuse(String),
}

fn judge(field: &Field, stream: &str, declared: Option<&StreamColumns>) -> Verdict {
    let Some(ty) = ColumnType::of_field(field) else {
        return Verdict::Refuse(format!("its type {} is none that a workspace table has", field.data_type()));
    };
    match declared.map(|columns| columns.0.get(field.name())) {
        Some(Some(declared)) if declared.takes(ty) => Verdict::Send,
        Some(Some(declared)) => Verdict::Refuse(format!(
            "stream `{stream}` declares it as {declared:?}, the rows have {ty}: the service would store nulls; change \
             the stream or the mapping"
        )),
        _ if field.name().starts_with('_') || SYSTEM.contains(&field.name().as_str()) => Verdict::Withhold,
        Some(None) => Verdict::Refuse(format!(
            "stream `{stream}` does not declare it: the service would drop it without a word; add it to the rule and to \
             its `definition`, or leave it out of the mapping"
        )),
        None => Verdict::Send,
    }
}

/// Makes sure that a table with these columns can be sent to `stream`, whatever its values.
///
/// # Errors
///
/// [`SinkError::Schema`] on the first column that can't.
pub fn check(
    fields: &arrow::datatypes::Fields,
    table: &str,
    stream: &str,
    declared: Option<&StreamColumns>,
) -> Result<(), SinkError> {
    for field in fields {
        if let Verdict::Refuse(message) = judge(field, stream, declared) {
            return Err(SinkError::Schema { table: table.to_owned(), column: field.name().clone(), message });
        }
    }
    Ok(())
}

/// Picks the columns of `rows` that are sent to `stream`: those with values, without the workspace's own.
///
/// # Errors
///
/// [`SinkError::Schema`] if a column has values and the stream does not declare it, or with another type.
pub fn select(
    rows: &RecordBatch,
    table: &str,
    stream: &str,
    declared: Option<&StreamColumns>,
) -> Result<Selected, SinkError> {
    let mut sent = Vec::new();
    let mut withheld = Vec::new();
    for (index, (field, column)) in rows.schema_ref().fields().iter().zip(rows.columns()).enumerate() {
        if column.null_count() == column.len() {
            continue;
        }
        match judge(field, stream, declared) {
            Verdict::Send => sent.push(index),
            // An empty string is a null to a workspace, and is not written.
            _ if is_blank(column) => {}
            Verdict::Withhold => withheld.push(field.name().clone()),
            Verdict::Refuse(message) => {
                return Err(SinkError::Schema { table: table.to_owned(), column: field.name().clone(), message });
            }
        }
    }
    let rows = rows.project(&sent).map_err(|cause| SinkError::encode(table, cause))?;
    Ok(Selected { rows, withheld })
}

fn is_blank(column: &ArrayRef) -> bool {
    let is_text = matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    is_text
        && cast(column, &DataType::Utf8View)
            .is_ok_and(|texts| texts.as_string_view().iter().all(|text| text.is_none_or(str::is_empty)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};
    use arrow::datatypes::Schema;
    use serde_json::json;

    use super::*;

    const ID: &str = "dcr-0123456789abcdef0123456789abcdef";

    fn id() -> RuleId {
        RuleId::parse(ID).expect("an id")
    }

    fn columns() -> Arc<StreamColumns> {
        let json = json!({"properties": {"immutableId": ID, "streamDeclarations": {"Custom-T": {"columns": [
            {"name": "TimeGenerated", "type": "datetime"},
            {"name": "Name", "type": "string"},
            {"name": "Count", "type": "int"},
        ]}}}});
        let definition = Definition::parse(&json.to_string(), &id()).expect("a rule");
        Arc::clone(&definition.streams["Custom-T"])
    }

    fn rows(name: &str, ty: ColumnType, column: ArrayRef) -> RecordBatch {
        RecordBatch::try_new(Arc::new(Schema::new(vec![ty.field(name)])), vec![column]).expect("one column")
    }

    fn text(value: &str) -> ArrayRef {
        Arc::new(StringViewArray::from(vec![value]))
    }

    #[test]
    fn undeclared_and_mistyped_columns_are_errors_that_name_them() {
        let declared = columns();
        let long: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        for (rows, word) in [
            (rows("Other", ColumnType::String, text("x")), "does not declare"),
            (rows("Count", ColumnType::Long, long), "declares it as Int"),
            (rows("name", ColumnType::String, text("x")), "does not declare"),
        ] {
            let error = select(&rows, "T", "Custom-T", Some(&declared)).expect_err("refused").to_string();
            assert!(error.contains(word) && error.contains(rows.schema().field(0).name()), "{error}");
            assert!(check(rows.schema().fields(), "T", "Custom-T", Some(&declared)).is_err());
        }
    }

    #[test]
    fn columns_without_values_are_no_loss() {
        let declared = columns();
        let empty = rows("Other", ColumnType::String, text(""));
        assert_eq!(select(&empty, "T", "Custom-T", Some(&declared)).expect("nothing lost").rows.num_columns(), 0);
        let null = rows("Other", ColumnType::Long, Arc::new(Int64Array::new_null(1)));
        assert_eq!(select(&null, "T", "Custom-T", Some(&declared)).expect("nothing lost").rows.num_rows(), 1);
    }

    #[test]
    fn system_columns_are_withheld_and_told() {
        for name in ["Type", "TenantId", "_ResourceId"] {
            let selected = select(&rows(name, ColumnType::String, text("x")), "T", "Custom-T", None).expect("fine");
            assert_eq!((selected.rows.num_columns(), selected.withheld), (0, vec![name.to_owned()]));
        }
        let selected = select(&rows("Free", ColumnType::String, text("x")), "T", "Custom-T", None).expect("fine");
        assert_eq!(selected.rows.num_columns(), 1);
    }

    #[test]
    fn a_wrong_definition_is_told() {
        for (json, word) in [
            ("{".to_owned(), "not JSON"),
            (json!({"properties": {}}).to_string(), "streamDeclarations"),
            (json!({"immutableId": "dcr-0", "streamDeclarations": {}}).to_string(), "dcr-0"),
            (
                json!({"streamDeclarations": {"Custom-T": {"columns": [{"name": "X", "type": "guid"}]}}}).to_string(),
                "guid",
            ),
        ] {
            let error = Definition::parse(&json, &id()).expect_err("refused");
            assert!(error.contains(word), "{error}");
        }
    }
}
