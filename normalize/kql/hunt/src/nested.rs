//! Lists and structs of stored columns as the JSON text of a dynamic value.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DataFusionError, Result};

/// Whether a nested type can be shown as JSON: lists, structs and maps, of such and of plain values.
pub(crate) fn is_readable(ty: &DataType) -> bool {
    let of = |field: &Arc<Field>| is_readable(field.data_type());
    match ty {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => of(item),
        DataType::Struct(fields) => fields.iter().all(of),
        DataType::Map(entries, _) => of(entries),
        ty => is_plain(ty),
    }
}

fn is_plain(ty: &DataType) -> bool {
    ty.is_numeric()
        || ty.is_temporal()
        || matches!(ty, DataType::Null | DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Each value as compact JSON; a null stays null.
pub(crate) fn to_json(array: &ArrayRef) -> Result<ArrayRef> {
    let mut texts = StringViewBuilder::with_capacity(array.len());
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        write(array.as_ref(), row, &mut text)?;
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

fn write(array: &dyn Array, row: usize, out: &mut String) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::List(_) => write_items(&array.as_list::<i32>().value(row), out),
        DataType::LargeList(_) => write_items(&array.as_list::<i64>().value(row), out),
        DataType::FixedSizeList(..) => write_items(&array.as_fixed_size_list().value(row), out),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            out.push('{');
            for entry in 0..entries.len() {
                if entry > 0 {
                    out.push(',');
                }
                write_text(&plain_text(entries.column(0).as_ref(), entry)?, out);
                out.push(':');
                write(entries.column(1).as_ref(), entry, out)?;
            }
            out.push('}');
            Ok(())
        }
        DataType::Struct(fields) => {
            out.push('{');
            for (number, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write_text(field.name(), out);
                out.push(':');
                write(column.as_ref(), row, out)?;
            }
            out.push('}');
            Ok(())
        }
        ty if is_plain(ty) => {
            let text = plain_text(array, row)?;
            let is_finite = !ty.is_floating() || text.parse::<f64>().is_ok_and(f64::is_finite);
            if (ty.is_numeric() && is_finite) || *ty == DataType::Boolean {
                out.push_str(&text);
            } else {
                write_text(&text, out);
            }
            Ok(())
        }
        ty => Err(DataFusionError::NotImplemented(format!("values of type {ty} inside of a stored column"))),
    }
}

fn write_items(items: &ArrayRef, out: &mut String) -> Result<()> {
    out.push('[');
    for row in 0..items.len() {
        if row > 0 {
            out.push(',');
        }
        write(items.as_ref(), row, out)?;
    }
    out.push(']');
    Ok(())
}

fn plain_text(array: &dyn Array, row: usize) -> Result<String> {
    Ok(ArrayFormatter::try_new(array, &FormatOptions::default())?.value(row).to_string())
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if (control as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", control as u32)),
            char => out.push(char),
        }
    }
    out.push('"');
}

/// The text of a JSON string, other values as they are.
pub(crate) fn unquoted(value: &str) -> Cow<'_, str> {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else { return value.into() };
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(char) = rest.next() {
        match (char, char == '\\') {
            (_, true) => match rest.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some('u') => {
                    let code: String = rest.by_ref().take(4).collect();
                    text.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                }
                Some(other) => text.push(other),
                None => {}
            },
            (char, false) => text.push(char),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, ListBuilder, StringArray, StringBuilder, StructArray};

    #[test]
    fn structs_and_lists_become_json() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("a\"b"), None]);
        lists.append_null();
        let lists: ArrayRef = Arc::new(lists.finish());
        let fields = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
        let parts = vec![(fields("l", &lists), lists), (fields("n", &numbers), numbers), (fields("t", &texts), texts)];
        let rows: ArrayRef = Arc::new(StructArray::from(parts));
        assert!(is_readable(rows.data_type()));
        let json = to_json(&rows).expect("JSON");
        let json: Vec<&str> = json.as_string_view().iter().flatten().collect();
        assert_eq!(json, [r#"{"l":["a\"b",null],"n":1,"t":"x"}"#, r#"{"l":null,"n":null,"t":"y"}"#]);
    }

    #[test]
    fn escapes_of_a_json_string_are_undone() {
        assert_eq!(unquoted(r#""a\n\u0041\\""#), "a\nA\\");
        assert_eq!(unquoted("[1]"), "[1]");
    }
}
