//! A plan as an indented tree, inputs below their operator: for people and for tests.

use std::fmt::{Display, Formatter, Result};

use super::{Aggregation, Expr, Plan, PlanColumn};
use crate::scalar::Scalar;
use crate::text;

/// Operators of an expression that stand between their arguments.
fn is_infix(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || matches!(name, "and" | "or")
}

struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (number, item) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}

impl Display for PlanColumn {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.id)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Column(column) => write!(f, "{column}"),
            Self::Literal(value, ty) if value.is_null(0) => write!(f, "{ty}(null)"),
            Self::Literal(value, ty) => {
                let text = text::to_text(&Scalar::of_array(value, 0, *ty));
                if value.data_type().is_numeric() { f.write_str(&text) } else { write!(f, "{ty}({text})") }
            }
            Self::Call(kernel, args) => match args.as_slice() {
                [left, right] if is_infix(kernel.name()) => write!(f, "({left} {} {right})", kernel.name()),
                args => write!(f, "{}({})", kernel.label(), List(args)),
            },
        }
    }
}

impl Display for Aggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:?}(", self.function)?;
        let args: Vec<&Expr> = self.value.iter().chain(&self.carried).collect();
        write!(f, "{}", List(&args))?;
        if let Some(parameter) = self.parameter {
            write!(f, "; {parameter}")?;
        }
        if let Some(condition) = &self.condition {
            write!(f, " where {condition}")?;
        }
        f.write_str(")")
    }
}

/// `column = value`
struct Named<'a, T>(&'a (PlanColumn, T));

impl<T: Display> Display for Named<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} = {}", self.0.0, self.0.1)
    }
}

impl Plan {
    fn write(&self, f: &mut Formatter<'_>, depth: usize) -> Result {
        write!(f, "{:1$}", "", depth * 2)?;
        match self {
            Self::Scan { table, columns } => {
                let columns: Vec<String> = columns.iter().map(|(name, column)| format!("{column} = {name}")).collect();
                writeln!(f, "scan {table}: {}", List(&columns))
            }
            Self::Values { columns, rows } => writeln!(f, "values ({} rows): {}", rows.num_rows(), List(columns)),
            Self::Filter { input, condition } => {
                writeln!(f, "filter {condition}")?;
                input.write(f, depth + 1)
            }
            Self::Project { input, columns } => {
                let columns: Vec<Named<'_, Expr>> = columns.iter().map(Named).collect();
                writeln!(f, "project {}", List(&columns))?;
                input.write(f, depth + 1)
            }
            Self::Aggregate { input, keys, aggregates } => {
                let keys: Vec<Named<'_, Expr>> = keys.iter().map(Named).collect();
                let calls: Vec<Named<'_, Aggregation>> = aggregates.iter().map(Named).collect();
                writeln!(f, "aggregate {} by {}", List(&calls), List(&keys))?;
                input.write(f, depth + 1)
            }
            Self::Sort { input, keys, limit } => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let order = if key.ascending { "asc" } else { "desc" };
                        let nulls = if key.nulls_first { "first" } else { "last" };
                        format!("{} {order} nulls {nulls}", key.value)
                    })
                    .collect();
                let limit = limit.map(|limit| format!(" limit {limit}")).unwrap_or_default();
                writeln!(f, "sort {}{limit}", List(&keys))?;
                input.write(f, depth + 1)
            }
            Self::Limit { input, rows } => {
                writeln!(f, "limit {rows}")?;
                input.write(f, depth + 1)
            }
            Self::Union { inputs, columns } => {
                writeln!(f, "union {}", List(columns))?;
                inputs.iter().try_for_each(|input| input.write(f, depth + 1))
            }
            Self::Join { kind, left, right, keys } => {
                let keys: Vec<String> = keys.iter().map(|(left, right)| format!("{left} == {right}")).collect();
                writeln!(f, "join {kind:?} on {}", List(&keys))?;
                left.write(f, depth + 1)?;
                right.write(f, depth + 1)
            }
            Self::Map { input, columns, .. } => {
                writeln!(f, "map to {}", List(columns))?;
                input.write(f, depth + 1)
            }
        }
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.write(f, 0)
    }
}
