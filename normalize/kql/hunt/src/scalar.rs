//! Scalar functions of the engine: KQL's kernels, the reading of stored columns, and the order of dynamic values.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, StringViewArray};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, is_not_null};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use weir_contract::datetime::PRINTABLE_US;
use weir_contract::schema::ColumnType;
use weir_kql::plan::{Kernel, Operand};

use crate::nested;

/// A call of one of KQL's kernels.
pub(crate) fn call(kernel: &Kernel, args: Vec<Expr>) -> Expr {
    let function = KernelFunction { name: kernel.label(), signature: of_any(args.len()), kernel: kernel.clone() };
    ScalarUDF::new_from_impl(function).call(args)
}

/// A stored column as KQL has it.
pub(crate) fn stored(column: Expr, reading: Reading) -> Expr {
    ScalarUDF::new_from_impl(StoredFunction { reading, signature: of_any(1) }).call(vec![column])
}

/// What a dynamic value is sorted by: nulls, then numbers, then texts, as bytes.
pub(crate) fn dynamic_order(value: Expr) -> Expr {
    ScalarUDF::new_from_impl(OrderFunction { signature: of_any(1) }).call(vec![value])
}

/// The array with its nulls as empty texts. Without nulls it is shared, not copied.
pub(crate) fn without_nulls(array: &ArrayRef) -> ArrayRef {
    if array.null_count() == 0 {
        return Arc::clone(array);
    }
    if array.null_count() == array.len() {
        return Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n("", array.len())));
    }
    let present = is_not_null(array).expect("every array can be asked for its nulls");
    zip(&present, array, &StringViewArray::new_scalar("")).expect("both sides are texts")
}

fn of_any(arguments: usize) -> Signature {
    match arguments {
        0 => Signature::nullary(Volatility::Immutable),
        count => Signature::any(count, Volatility::Immutable),
    }
}

#[derive(Debug)]
struct KernelFunction {
    kernel: Kernel,
    name: String,
    signature: Signature,
}

impl PartialEq for KernelFunction {
    fn eq(&self, other: &Self) -> bool {
        self.kernel == other.kernel
    }
}

impl Eq for KernelFunction {}

impl Hash for KernelFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kernel.hash(state);
    }
}

impl ScalarUDFImpl for KernelFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kernel.ty().arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_constant { 1 } else { args.number_rows };
        let mut operands = Vec::with_capacity(args.args.len());
        for (arg, ty) in args.args.into_iter().zip(self.kernel.argument_types()) {
            let operand = match arg {
                ColumnarValue::Array(array) => Operand::Column(array),
                ColumnarValue::Scalar(scalar) => Operand::Constant(scalar.to_array()?),
            };
            let (Operand::Column(array) | Operand::Constant(array)) = &operand;
            if *array.data_type() != ty.arrow() {
                let message = format!("`{}` wants {ty} and was given {}", self.name, array.data_type());
                return Err(DataFusionError::Internal(message));
            }
            operands.push(operand);
        }
        let mut result = self.kernel.evaluate(&operands, rows);
        if self.kernel.ty() == ColumnType::String {
            result = without_nulls(&result);
        }
        Ok(if all_constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
        } else {
            ColumnarValue::Array(result)
        })
    }
}

/// How a stored column becomes one of KQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    pub(crate) ty: ColumnType,
    /// Datetimes outside the years 1 to 9999 become null: no KQL datetime can hold them, and the sink puts their rows
    /// under a day that has nothing to do with them.
    pub(crate) within_years: bool,
}

impl Reading {
    /// Whether a column of Arrow type `stored` is taken as it is.
    pub(crate) fn is_plain(self, stored: &DataType) -> bool {
        *stored == self.ty.arrow() && self.ty != ColumnType::String && !self.within_years
    }

    fn read(self, array: &ArrayRef) -> Result<ArrayRef> {
        let wanted = self.ty.arrow();
        let array = match array.data_type() {
            found if *found == wanted => Arc::clone(array),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => readable_bytes(array)?,
            found if found.is_nested() && !matches!(found, DataType::Dictionary(..)) => nested::to_json(array)?,
            // Delta has no type for spans of time.
            DataType::Int32 | DataType::Int64 if self.ty == ColumnType::Timespan => {
                cast(&cast(array, &DataType::Int64)?, &wanted)?
            }
            DataType::Date32 | DataType::Date64 => {
                cast(&cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?, &wanted)?
            }
            _ => cast(array, &wanted)?,
        };
        if self.ty == ColumnType::String {
            return Ok(without_nulls(&array));
        }
        if self.within_years {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            if times.values().iter().all(|time| PRINTABLE_US.contains(time)) {
                return Ok(array);
            }
            let times =
                times.unary_opt::<_, TimestampMicrosecondType>(|time| PRINTABLE_US.contains(&time).then_some(time));
            return Ok(Arc::new(times.with_timezone("UTC")));
        }
        Ok(array)
    }
}

/// Bytes as text; what is no UTF-8 becomes `�`.
fn readable_bytes(array: &ArrayRef) -> Result<ArrayRef> {
    let bytes = cast(array, &DataType::BinaryView)?;
    let bytes = bytes.as_binary_view();
    let texts = bytes.iter().map(|bytes| bytes.map(String::from_utf8_lossy));
    Ok(Arc::new(texts.collect::<StringViewArray>()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StoredFunction {
    reading: Reading,
    signature: Signature,
}

impl ScalarUDFImpl for StoredFunction {
    fn name(&self) -> &str {
        "stored"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.reading.ty.arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(self.reading.read(array)?)),
            ColumnarValue::Scalar(scalar) => {
                let array = self.reading.read(&scalar.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderFunction {
    signature: Signature,
}

impl ScalarUDFImpl for OrderFunction {
    fn name(&self) -> &str {
        "dynamic_order"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let mut keys = BinaryBuilder::new();
        let mut key = Vec::new();
        for value in arrays[0].as_string_view() {
            match value {
                None => keys.append_null(),
                Some(value) => {
                    key.clear();
                    order_key(value, &mut key);
                    keys.append_value(&key);
                }
            }
        }
        Ok(ColumnarValue::Array(Arc::new(keys.finish())))
    }
}

fn order_key(value: &str, key: &mut Vec<u8>) {
    if let Ok(number) = value.parse::<f64>() {
        let bits = number.to_bits();
        // The bits of a real sort as it does once the sign is turned, and all bits of a negative one.
        let sortable = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        key.push(0);
        key.extend_from_slice(&sortable.to_be_bytes());
    } else {
        key.push(1);
        key.extend_from_slice(nested::unquoted(value).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamic_values_sort_as_numbers_then_as_texts() {
        let key = |value: &str| {
            let mut key = Vec::new();
            order_key(value, &mut key);
            key
        };
        let sorted = ["-2e3", "-1", "0", "0.5", "10", "[1]", "\"a\"", "\"a\\\"\"", "\"b\""];
        assert!(sorted.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
    }

    #[test]
    fn a_null_text_is_stored_as_the_empty_one() {
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some("a text of some length")]));
        let reading = Reading { ty: ColumnType::String, within_years: false };
        let read = reading.read(&texts).expect("texts");
        let read: Vec<Option<&str>> = read.as_string_view().iter().collect();
        assert_eq!(read, [Some("a"), Some(""), Some("a text of some length")]);
    }
}
