//! What a filter implies for single columns, in a form that a scan understands.
//!
//! A condition here holds for every row that the filter lets through; it may hold for others too, since the filter
//! itself stays above it. So it can be told to a scan, where it decides over partitions, files and row groups.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr as Native, Operator};
use weir_contract::datetime::{DAY_US, PRINTABLE_US};
use weir_contract::schema::ColumnType;
use weir_kql::plan::Expr;

/// A list longer than this is told as its smallest and largest values.
const MAX_LISTED: usize = 64;

/// A condition on columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    /// A test of one column, by its id.
    Column(Arc<str>, Test),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// `column operator value`; the value is not null.
    Compare(Operator, ScalarValue),
    /// Null or, for strings, empty.
    Empty,
    NotEmpty,
}

impl Condition {
    /// What follows from `expr` being true; `None` if nothing is known.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        let (kernel, args) = match expr {
            Expr::Call(kernel, args) => (kernel, args),
            // What is never true, as the part of a filter that is not asked for.
            Expr::Literal(value, ColumnType::Bool) => {
                let is_true = value.as_boolean().is_valid(0) && value.as_boolean().value(0);
                return (!is_true).then(|| Self::Any(Vec::new()));
            }
            _ => return None,
        };
        match (kernel.name(), args.as_slice()) {
            ("and", args) => Self::all(args.iter().filter_map(Self::of).collect()),
            ("or", args) => Some(Self::Any(args.iter().map(Self::of).collect::<Option<_>>()?)),
            // A string is never null.
            ("isnotnull", [column]) if column.ty() == ColumnType::String => None,
            ("isnull", [column]) if column.ty() == ColumnType::String => Some(Self::Any(Vec::new())),
            ("isnotnull" | "isnotempty", [column]) => Some(Self::Column(id_of(column)?, Test::NotEmpty)),
            ("isnull" | "isempty", [column]) => Some(Self::Column(id_of(column)?, Test::Empty)),
            ("in", [column, list @ ..]) => Self::membership(column, list),
            (name, [Expr::Literal(value, ty), column]) => {
                Self::comparison(column, flipped(operator(name)?), &ScalarValue::try_from_array(value, 0).ok()?, *ty)
            }
            (name, [column, Expr::Literal(value, ty)]) => {
                Self::comparison(column, operator(name)?, &ScalarValue::try_from_array(value, 0).ok()?, *ty)
            }
            _ => None,
        }
    }

    fn all(mut conditions: Vec<Self>) -> Option<Self> {
        match conditions.len() {
            0 => None,
            1 => conditions.pop(),
            _ => Some(Self::All(conditions)),
        }
    }

    fn comparison(column: &Expr, operator: Operator, value: &ScalarValue, ty: ColumnType) -> Option<Self> {
        let id = id_of(column)?;
        if value.is_null() {
            // A comparison with null is true of no row or, with `!=`, of all that are not null.
            return (operator == Operator::NotEq).then_some(Self::Column(id, Test::NotEmpty));
        }
        let compare = |operator, value| Self::Column(Arc::clone(&id), Test::Compare(operator, value));
        match ty {
            // Guids ignore case, and dynamic values are not compared as text alone.
            ColumnType::Guid | ColumnType::Dynamic => None,
            ColumnType::Real => {
                let ScalarValue::Float64(Some(number)) = value else { return None };
                // Arrow tells 0 from -0, and holds NaN for the largest number.
                if number.is_nan() {
                    return None;
                }
                let (low, high) = if *number == 0.0 { (-0.0, 0.0) } else { (*number, *number) };
                Some(match operator {
                    Operator::Eq => {
                        Self::All(vec![compare(Operator::GtEq, low.into()), compare(Operator::LtEq, high.into())])
                    }
                    Operator::Lt | Operator::LtEq => compare(operator, high.into()),
                    Operator::Gt | Operator::GtEq => compare(operator, low.into()),
                    _ => return None,
                })
            }
            _ => Some(compare(operator, value.clone())),
        }
    }

    fn membership(column: &Expr, list: &[Expr]) -> Option<Self> {
        let mut values = Vec::with_capacity(list.len());
        for item in list {
            let Expr::Literal(value, ty) = item else { return None };
            let value = ScalarValue::try_from_array(value, 0).ok()?;
            if !value.is_null() {
                values.push((value, *ty));
            }
        }
        if values.len() <= MAX_LISTED {
            let any = values.iter().map(|(value, ty)| Self::comparison(column, Operator::Eq, value, *ty));
            return Some(Self::Any(any.collect::<Option<_>>()?));
        }
        let (_, ty) = values[0];
        let smaller = |a: &ScalarValue, b: &ScalarValue| a.partial_cmp(b).is_some_and(std::cmp::Ordering::is_lt);
        let mut bounds = (values[0].0.clone(), values[0].0.clone());
        for (value, _) in values {
            if smaller(&value, &bounds.0) {
                bounds.0 = value;
            } else if smaller(&bounds.1, &value) {
                bounds.1 = value;
            }
        }
        let low = Self::comparison(column, Operator::GtEq, &bounds.0, ty)?;
        Some(Self::All(vec![low, Self::comparison(column, Operator::LtEq, &bounds.1, ty)?]))
    }

    /// The condition on other columns, where `name` says what a column is there. What is about a column without such a
    /// name is left out.
    pub(crate) fn renamed(&self, name: &impl Fn(&str) -> Option<Arc<str>>) -> Option<Self> {
        match self {
            Self::All(parts) => Self::all(parts.iter().filter_map(|part| part.renamed(name)).collect()),
            Self::Any(parts) => Some(Self::Any(parts.iter().map(|part| part.renamed(name)).collect::<Option<_>>()?)),
            Self::Column(id, test) => Some(Self::Column(name(id)?, test.clone())),
        }
    }

    /// The condition over stored columns; `find` gives a column's stored name and types. A condition on the time of a table
    /// that is partitioned by day comes with one on the day.
    pub(crate) fn native(&self, find: &impl Fn(&str) -> Option<StoredColumn>) -> Option<Native> {
        match self {
            Self::All(parts) => parts.iter().filter_map(|part| part.native(find)).reduce(Native::and),
            Self::Any(parts) if parts.is_empty() => Some(Native::Literal(ScalarValue::Boolean(Some(false)), None)),
            Self::Any(parts) => {
                let parts: Vec<Native> = parts.iter().map(|part| part.native(find)).collect::<Option<_>>()?;
                parts.into_iter().reduce(Native::or)
            }
            Self::Column(id, test) => find(id)?.test(test),
        }
    }
}

/// A column as the table stores it.
pub(crate) struct StoredColumn {
    pub(crate) column: Column,
    pub(crate) stored: DataType,
    pub(crate) ty: ColumnType,
    /// The date column with the day of this one.
    pub(crate) day: Option<Column>,
}

impl StoredColumn {
    fn test(&self, test: &Test) -> Option<Native> {
        let column = || Native::Column(self.column.clone());
        match test {
            Test::Compare(operator, value) => {
                // Only where values compare in the store as they do in KQL.
                let is_same = self.stored == self.ty.arrow()
                    || (self.ty == ColumnType::String && self.stored.is_string())
                    || (matches!(self.ty, ColumnType::Int | ColumnType::Long) && self.stored.is_integer());
                if !is_same {
                    return None;
                }
                let literal = value.cast_to(&self.stored).ok().filter(|literal| {
                    let back = literal.cast_to(&value.data_type());
                    !literal.is_null() && back.is_ok_and(|back| back == *value)
                })?;
                let test = binary(column(), *operator, literal);
                let is_empty_text = self.ty == ColumnType::String && is_empty(value);
                // A null text is the empty one, and unequal to any other; other nulls are unequal to any value.
                let nulls_fit = match operator {
                    Operator::Eq | Operator::LtEq | Operator::GtEq if is_empty_text => true,
                    Operator::NotEq => !is_empty_text,
                    Operator::Lt | Operator::LtEq => self.ty == ColumnType::String && !is_empty_text,
                    _ => false,
                };
                let test = if nulls_fit { test.or(column().is_null()) } else { test };
                Some(match self.day_test(*operator, value) {
                    Some(day) => test.and(day),
                    None => test,
                })
            }
            // A stored time outside of KQL's years counts as null.
            Test::Empty if self.ty == ColumnType::Datetime => None,
            Test::Empty if self.ty == ColumnType::String && self.stored.is_string() => {
                let empty = ScalarValue::from("").cast_to(&self.stored).ok()?;
                Some(column().is_null().or(binary(column(), Operator::Eq, empty)))
            }
            Test::NotEmpty if self.ty == ColumnType::String && self.stored.is_string() => {
                let empty = ScalarValue::from("").cast_to(&self.stored).ok()?;
                Some(binary(column(), Operator::NotEq, empty))
            }
            Test::Empty | Test::NotEmpty if self.ty == ColumnType::String => None,
            // An empty list of a dynamic column is no null.
            Test::Empty => Some(column().is_null()).filter(|_| self.stored == self.ty.arrow()),
            Test::NotEmpty => Some(column().is_not_null()),
        }
    }

    /// A row's day follows from its time if that is within KQL's years, and only then is it not null to a query.
    fn day_test(&self, operator: Operator, value: &ScalarValue) -> Option<Native> {
        let day = self.day.clone()?;
        let array = value.to_array().ok()?;
        let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(0);
        if !PRINTABLE_US.contains(&micros) {
            return None;
        }
        let (operator, micros) = match operator {
            Operator::Eq => (Operator::Eq, micros),
            Operator::GtEq | Operator::Gt => (Operator::GtEq, micros),
            Operator::LtEq => (Operator::LtEq, micros),
            Operator::Lt => (Operator::LtEq, micros - 1),
            _ => return None,
        };
        let date = i32::try_from(micros.div_euclid(DAY_US)).ok()?;
        Some(binary(Native::Column(day), operator, ScalarValue::Date32(Some(date))))
    }
}

fn binary(left: Native, operator: Operator, right: ScalarValue) -> Native {
    let right = Native::Literal(right, None);
    Native::BinaryExpr(BinaryExpr { left: Box::new(left), op: operator, right: Box::new(right) })
}

fn is_empty(value: &ScalarValue) -> bool {
    matches!(value, ScalarValue::Utf8View(Some(text)) if text.is_empty())
}

/// The column that an expression is, also behind a widening of `int` to `long`.
pub(crate) fn id_of(expr: &Expr) -> Option<Arc<str>> {
    match expr {
        Expr::Column(column) => Some(Arc::clone(&column.id)),
        Expr::Call(kernel, args) if kernel.name() == "tolong" => match args.as_slice() {
            [Expr::Column(column)] if column.ty == ColumnType::Int => Some(Arc::clone(&column.id)),
            _ => None,
        },
        _ => None,
    }
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        "==" => Operator::Eq,
        "!=" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

fn flipped(operator: Operator) -> Operator {
    operator.swap().unwrap_or(operator)
}

/// An expression that is true for the same rows as the kernel `name` over these arguments, where a null counts as false.
pub(crate) fn exact(name: &str, ty: ColumnType, left: &Native, right: &Native) -> Option<Native> {
    let operator = operator(name)?;
    let has_total_order = matches!(
        ty,
        ColumnType::Int
            | ColumnType::Long
            | ColumnType::Bool
            | ColumnType::Datetime
            | ColumnType::Timespan
            | ColumnType::String
    );
    // Two nulls are unequal to each other neither in KQL nor here.
    let operator = if operator == Operator::NotEq { Operator::IsDistinctFrom } else { operator };
    has_total_order.then(|| {
        Native::BinaryExpr(BinaryExpr { left: Box::new(left.clone()), op: operator, right: Box::new(right.clone()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(ty: ColumnType, day: bool) -> StoredColumn {
        let day = day.then(|| Column::new_unqualified("EventDate"));
        StoredColumn { column: Column::new_unqualified("c"), stored: ty.arrow(), ty, day }
    }

    fn shown(ty: ColumnType, day: bool, test: &Test) -> String {
        stored(ty, day).test(test).map_or_else(|| "nothing".into(), |native| native.to_string())
    }

    #[test]
    fn nulls_fit_where_a_null_text_is_the_empty_one() {
        let text = |operator, value: &str| {
            shown(ColumnType::String, false, &Test::Compare(operator, ScalarValue::Utf8View(Some(value.into()))))
        };
        assert!(!text(Operator::Eq, "a").contains("NULL"));
        assert!(text(Operator::Eq, "").contains("IS NULL"));
        assert!(text(Operator::NotEq, "a").contains("IS NULL"));
        assert!(!text(Operator::NotEq, "").contains("IS NULL"));
        assert!(text(Operator::Lt, "a").contains("IS NULL"));
        assert!(text(Operator::GtEq, "").contains("IS NULL"));
        assert!(!text(Operator::Gt, "").contains("IS NULL"));
    }

    #[test]
    fn a_time_implies_its_day() {
        let time = |operator, micros| {
            let value = ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
            shown(ColumnType::Datetime, true, &Test::Compare(operator, value))
        };
        assert!(
            time(Operator::Lt, DAY_US).contains("EventDate <= Date32(\"1970-01-01\")"),
            "{}",
            time(Operator::Lt, DAY_US)
        );
        assert!(time(Operator::LtEq, DAY_US).contains("EventDate <= Date32(\"1970-01-02\")"));
        assert!(time(Operator::Gt, DAY_US - 1).contains("EventDate >= Date32(\"1970-01-01\")"));
        assert!(!time(Operator::NotEq, DAY_US).contains("EventDate"));
        assert!(!time(Operator::Gt, PRINTABLE_US.end).contains("EventDate"));
    }

    #[test]
    fn zeros_of_both_signs_are_one_number() {
        let expected = ScalarValue::Float64(Some(-0.0));
        assert!(matches!(&expected, ScalarValue::Float64(Some(zero)) if zero.is_sign_negative()));
        let column = Expr::Column(weir_kql::plan::PlanColumn { id: "c".into(), ty: ColumnType::Real });
        let zero = ScalarValue::Float64(Some(0.0));
        let above = Condition::comparison(&column, Operator::GtEq, &zero, ColumnType::Real).expect("known");
        let Condition::Column(_, Test::Compare(_, ScalarValue::Float64(Some(bound)))) = above else {
            panic!("a comparison");
        };
        assert!(bound.is_sign_negative());
    }
}
