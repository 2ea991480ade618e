//! One scalar call without its arguments: what an engine wraps as a function of its own.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use weir_contract::schema::ColumnType;

use crate::functions::Function;
use crate::functions::args::Args;
use crate::functions::prepared::SharedPrepared;
use crate::json::{PathTree, Segment};
use crate::program::eval::path_values;
use crate::scalar::{Scalar, Value};

/// A scalar call without its arguments.
#[derive(Debug, Clone)]
pub struct Kernel {
    call: Call,
    types: Vec<ColumnType>,
    ty: ColumnType,
}

#[derive(Debug, Clone)]
enum Call {
    Function(&'static Function, SharedPrepared),
    /// A constant path into a dynamic; as text, the value is unquoted.
    Path(Arc<PathTree>, Vec<Segment>, bool),
}

/// An argument: a column of the batch, or one value (an array of length 1) for all its rows.
#[derive(Debug, Clone)]
pub enum Operand {
    /// One value per row.
    Column(ArrayRef),
    /// The same value for all rows.
    Constant(ArrayRef),
}

impl Kernel {
    pub(crate) fn function(
        function: &'static Function,
        prepared: SharedPrepared,
        types: Vec<ColumnType>,
        ty: ColumnType,
    ) -> Self {
        Self { call: Call::Function(function, prepared), types, ty }
    }

    pub(crate) fn path(path: &[Segment], as_text: bool) -> Self {
        let mut tree = PathTree::default();
        tree.add(path);
        let ty = if as_text { ColumnType::String } else { ColumnType::Dynamic };
        Self { call: Call::Path(Arc::new(tree), path.to_vec(), as_text), types: vec![ColumnType::Dynamic], ty }
    }

    /// The function's or operator's name, as [`crate::reference`] lists it; `path` for a path into a dynamic.
    pub fn name(&self) -> &'static str {
        match &self.call {
            Call::Function(function, _) => function.name,
            Call::Path(..) => "path",
        }
    }

    /// The name, with the path where it is one: for people.
    pub fn label(&self) -> String {
        match &self.call {
            Call::Function(function, _) => function.name.to_owned(),
            Call::Path(_, path, as_text) => {
                let steps: String = path.iter().map(Segment::to_string).collect();
                format!("{}{steps}", if *as_text { "text" } else { "path" })
            }
        }
    }

    /// Types of the arguments.
    pub fn argument_types(&self) -> &[ColumnType] {
        &self.types
    }

    /// Type of the result.
    pub fn ty(&self) -> ColumnType {
        self.ty
    }

    /// The call's values for a batch of `rows` rows, always as many. Total: no value makes it fail. The arrays have the
    /// types of [`Kernel::argument_types`], as [`ColumnType::arrow`] gives them.
    pub fn evaluate(&self, arguments: &[Operand], rows: usize) -> ArrayRef {
        let values: Vec<Value> = arguments
            .iter()
            .zip(&self.types)
            .map(|(argument, ty)| match argument {
                Operand::Column(array) => Value::Array(Arc::clone(array)),
                Operand::Constant(array) => Value::Scalar(Scalar::of_array(array, 0, *ty)),
            })
            .collect();
        match &self.call {
            Call::Function(function, prepared) => {
                let all_constant = values.iter().all(|value| matches!(value, Value::Scalar(_)));
                let args = Args {
                    values: &values,
                    types: &self.types,
                    rows: if all_constant { 1 } else { rows },
                    prepared,
                    now: 0,
                };
                let result = (function.kernel)(&args);
                if result.len() == rows {
                    return result;
                }
                Value::Scalar(Scalar::of_array(&result, 0, self.ty)).materialise(rows)
            }
            Call::Path(tree, _, as_text) => {
                let mut results = path_values(tree, &[*as_text], &values[0], rows);
                results.pop().expect("one path has one result").materialise(rows)
            }
        }
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        let same_call = match (&self.call, &other.call) {
            (Call::Function(a, prepared), Call::Function(b, other)) => {
                std::ptr::eq(*a, *b) && Arc::ptr_eq(prepared, other)
            }
            (Call::Path(_, a, a_text), Call::Path(_, b, b_text)) => a == b && a_text == b_text,
            _ => false,
        };
        same_call && self.types == other.types && self.ty == other.ty
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.call {
            Call::Function(function, prepared) => {
                function.name.hash(state);
                std::ptr::hash(Arc::as_ptr(prepared), state);
            }
            Call::Path(_, path, as_text) => (path, as_text).hash(state),
        }
        self.ty.hash(state);
    }
}
