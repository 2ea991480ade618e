//! `summarize`, `distinct`, `sort` and `top` where they may run: over constant tables, and over the rows that one row's
//! array became (`mv-apply`). In the second case each group belongs to one row outside, its origin.

use std::cmp::Ordering;

use ahash::AHashMap;
use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::Int64Type;
use weir_contract::schema::ColumnType;

use super::selection::{DomainId, Selection, SelectionKind};
use crate::functions::aggregates::{self, Kind};
use crate::scalar::Scalar;

/// One aggregate; its values are arguments of the node.
#[derive(Debug, Clone)]
pub(crate) struct AggregateCall {
    pub(crate) kind: Kind,
    /// The place of its value; `None` for `count`. For `arg_min` and `arg_max`, what is compared.
    pub(crate) value: Option<usize>,
    /// What `arg_min` and `arg_max` bring along.
    pub(crate) carried: Option<usize>,
    /// The place of its condition.
    pub(crate) mask: Option<usize>,
    pub(crate) parameter: Option<f64>,
    pub(crate) ty: ColumnType,
}

/// Arguments of the node: the origin if there is one, the keys, then the values of the aggregates.
#[derive(Debug, Clone)]
pub(crate) struct GatherSpec {
    /// The rows outside.
    pub(crate) outside: Option<DomainId>,
    /// How many keys.
    pub(crate) keys: usize,
    pub(crate) types: Vec<ColumnType>,
    pub(crate) calls: Vec<AggregateCall>,
}

impl GatherSpec {
    /// One row per group, groups in the order of their first rows (by origin first). Without keys there is one group,
    /// also for no rows at all. The selection's columns are the keys and the aggregates' values.
    pub(crate) fn gather(&self, columns: &[ArrayRef], rows: usize, outside: Option<usize>) -> Selection {
        let first_key = usize::from(self.outside.is_some());
        let origins = self.outside.map(|_| columns[0].as_primitive::<Int64Type>());
        let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut index: AHashMap<(usize, Vec<Scalar>), usize> = AHashMap::new();
        if self.keys == 0 {
            let count = outside.unwrap_or(1);
            groups = (0..count).map(|origin| (origin, Vec::new())).collect();
            for row in 0..rows {
                let origin = origins.map_or(0, |origins| origins.value(row) as usize);
                groups[origin].1.push(row);
            }
        } else {
            for row in 0..rows {
                let origin = origins.map_or(0, |origins| origins.value(row) as usize);
                let key = (first_key..first_key + self.keys)
                    .map(|n| Scalar::of_array(&columns[n], row, self.types[n]))
                    .collect::<Vec<_>>();
                let group = *index.entry((origin, key)).or_insert_with(|| {
                    groups.push((origin, Vec::new()));
                    groups.len() - 1
                });
                groups[group].1.push(row);
            }
        }
        let mut results: Vec<ArrayRef> = Vec::new();
        for column in &columns[first_key..first_key + self.keys] {
            let firsts: UInt32Array = groups.iter().map(|(_, rows)| rows[0] as u32).collect();
            results.push(arrow::compute::take(column, &firsts, None).expect("rows of the column"));
        }
        for call in &self.calls {
            let cells: Vec<Scalar> = groups.iter().map(|(_, rows)| self.call(call, columns, rows)).collect();
            results.push(array_of(&cells, call.ty));
        }
        let indices: UInt32Array = groups.iter().map(|(origin, _)| *origin as u32).collect();
        Selection { rows: groups.len(), kind: SelectionKind::Take(indices), columns: results }
    }

    fn call(&self, call: &AggregateCall, columns: &[ArrayRef], rows: &[usize]) -> Scalar {
        let holds = |row: &&usize| match call.mask {
            Some(mask) => {
                let mask = columns[mask].as_boolean();
                !mask.is_null(**row) && mask.value(**row)
            }
            None => true,
        };
        let rows: Vec<usize> = rows.iter().filter(holds).copied().collect();
        let read = |n: usize, row: usize| Scalar::of_array(&columns[n], row, self.types[n]);
        let values: Vec<Scalar> = match call.value {
            Some(n) => rows.iter().map(|row| read(n, *row)).collect(),
            None => rows.iter().map(|_| Scalar::Bool(true)).collect(),
        };
        let Some(carried) = call.carried else { return call.kind.value(&values, call.ty, call.parameter) };
        let wanted = if call.kind == Kind::ArgMin { Ordering::Less } else { Ordering::Greater };
        // If no value can be compared, any row will do.
        match aggregates::extreme(&values, wanted).or((!rows.is_empty()).then_some(0)) {
            Some(place) => read(carried, rows[place]),
            None => call.kind.value(&[], call.ty, None),
        }
    }
}

/// How rows are put in order, and how many of them stay. Arguments of the node: the origin if there is one, the keys.
#[derive(Debug, Clone)]
pub(crate) struct ArrangeSpec {
    /// The rows outside.
    pub(crate) outside: Option<DomainId>,
    pub(crate) keys: Vec<ArrangeKey>,
    /// Most rows (per origin).
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ArrangeKey {
    pub(crate) ty: ColumnType,
    pub(crate) ascending: bool,
    pub(crate) nulls_first: bool,
}

impl ArrangeSpec {
    pub(crate) fn arrange(&self, columns: &[ArrayRef], rows: usize) -> Selection {
        let origins = self.outside.map(|_| columns[0].as_primitive::<Int64Type>());
        let origin = |row: usize| origins.map_or(0, |origins| origins.value(row));
        let keys: Vec<Vec<Scalar>> = (0..rows)
            .map(|row| {
                let columns = &columns[usize::from(self.outside.is_some())..];
                columns.iter().zip(&self.keys).map(|(column, key)| Scalar::of_array(column, row, key.ty)).collect()
            })
            .collect();
        let mut order: Vec<usize> = (0..rows).collect();
        // Stable: equal rows keep their order.
        order.sort_by(|a, b| origin(*a).cmp(&origin(*b)).then_with(|| self.compare(&keys[*a], &keys[*b])));
        let mut kept: Vec<u32> = Vec::with_capacity(rows);
        let mut run = (i64::MIN, 0);
        for row in order {
            if run.0 != origin(row) {
                run = (origin(row), 0);
            }
            if run.1 < self.limit {
                kept.push(row as u32);
            }
            run.1 += 1;
        }
        Selection { rows: kept.len(), kind: SelectionKind::Take(UInt32Array::from(kept)), columns: Vec::new() }
    }

    fn compare(&self, a: &[Scalar], b: &[Scalar]) -> Ordering {
        for ((a, b), key) in a.iter().zip(b).zip(&self.keys) {
            let ordering = match (a.is_null(), b.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if key.nulls_first => Ordering::Less,
                (true, false) => Ordering::Greater,
                (false, true) if key.nulls_first => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) if key.ascending => aggregates::compare(a, b),
                (false, false) => aggregates::compare(b, a),
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

/// A column of values of type `ty`.
pub(crate) fn array_of(cells: &[Scalar], ty: ColumnType) -> ArrayRef {
    let cells: Vec<ArrayRef> = cells.iter().map(Scalar::to_array).collect();
    let cells: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
    if cells.is_empty() {
        return new_empty_array(&ty.arrow());
    }
    concat(&cells).expect("all cells have the column's type")
}
