//! The aggregates of `summarize`: many rows of a group become one value.
//!
//! At ingest they run over a row's own array (inside `mv-apply`) and over constant tables. A null takes part in none of
//! them, except in `make_list_with_nulls` and where an extremum carries other columns along. Values are read one by one:
//! groups here are small.

use std::cmp::Ordering;

use ahash::AHashSet;
use weir_contract::schema::ColumnType::{self, Bool, Datetime, Dynamic, Int, Long, Real, String, Timespan};

use super::FunctionDoc;
use crate::json;
use crate::scalar::Scalar;
use crate::text;

/// What an aggregate computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the reference of the aggregates says what each is")]
pub enum Kind {
    Count,
    CountDistinct,
    Sum,
    Average,
    Min,
    Max,
    ArgMin,
    ArgMax,
    Any,
    List,
    ListWithNulls,
    Set,
    Bag,
    Percentile,
    Variance,
    VariancePopulation,
    Deviation,
    DeviationPopulation,
    BitsAnd,
    BitsOr,
    BitsXor,
}

/// One aggregate under one name.
#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The last argument is a condition that picks rows.
    pub(crate) masked: bool,
    /// Begins the name of an unnamed result.
    pub(crate) prefix: &'static str,
    doc: &'static str,
}

const fn aggregate(name: &'static str, kind: Kind, masked: bool, prefix: &'static str, doc: &'static str) -> Aggregate {
    Aggregate { name, kind, masked, prefix, doc }
}

#[rustfmt::skip]
const AGGREGATES: &[Aggregate] = &[
    aggregate("count", Kind::Count, false, "count", "`count()`: number of rows"),
    aggregate("countif", Kind::Count, true, "countif", "`countif(condition)`: number of rows where it holds"),
    aggregate("dcount", Kind::CountDistinct, false, "dcount", "`dcount(value)`: number of different values, exact"),
    aggregate("dcountif", Kind::CountDistinct, true, "dcountif", "`dcountif(value, condition)`"),
    aggregate("count_distinct", Kind::CountDistinct, false, "count_distinct", "`count_distinct(value)`: as `dcount`"),
    aggregate("count_distinctif", Kind::CountDistinct, true, "count_distinctif", "`count_distinctif(value, condition)`"),
    aggregate("sum", Kind::Sum, false, "sum", "`sum(value)`: of numbers or timespans"),
    aggregate("sumif", Kind::Sum, true, "sumif", "`sumif(value, condition)`"),
    aggregate("avg", Kind::Average, false, "avg", "`avg(value)`: mean of numbers, datetimes or timespans"),
    aggregate("avgif", Kind::Average, true, "avgif", "`avgif(value, condition)`"),
    aggregate("min", Kind::Min, false, "min", "`min(value)`: the smallest"),
    aggregate("minif", Kind::Min, true, "minif", "`minif(value, condition)`"),
    aggregate("max", Kind::Max, false, "max", "`max(value)`: the largest"),
    aggregate("maxif", Kind::Max, true, "maxif", "`maxif(value, condition)`"),
    aggregate("arg_min", Kind::ArgMin, false, "", "`arg_min(value, column, …)`: the columns (or `*`) of the row with the smallest value"),
    aggregate("argmin", Kind::ArgMin, false, "", "`argmin(…)`: as `arg_min`"),
    aggregate("arg_max", Kind::ArgMax, false, "", "`arg_max(value, column, …)`: the columns (or `*`) of the row with the largest value"),
    aggregate("argmax", Kind::ArgMax, false, "", "`argmax(…)`: as `arg_max`"),
    aggregate("take_any", Kind::Any, false, "", "`take_any(column, …)`: the values of one row; `*` for all columns"),
    aggregate("take_anyif", Kind::Any, true, "", "`take_anyif(column, condition)`"),
    aggregate("any", Kind::Any, false, "any", "`any(column, …)`: as `take_any`"),
    aggregate("anyif", Kind::Any, true, "anyif", "`anyif(column, condition)`: as `take_anyif`"),
    aggregate("make_list", Kind::List, false, "list", "`make_list(value, max)`: array of the values"),
    aggregate("make_list_if", Kind::List, true, "list", "`make_list_if(value, condition, max)`"),
    aggregate("make_list_with_nulls", Kind::ListWithNulls, false, "list", "`make_list_with_nulls(value)`"),
    aggregate("makelist", Kind::List, false, "list", "`makelist(…)`: as `make_list`"),
    aggregate("make_set", Kind::Set, false, "set", "`make_set(value, max)`: array of the different values"),
    aggregate("make_set_if", Kind::Set, true, "set", "`make_set_if(value, condition, max)`"),
    aggregate("makeset", Kind::Set, false, "set", "`makeset(…)`: as `make_set`"),
    aggregate("hll", Kind::Set, false, "hll", "`hll(value)`: the different values, for `dcount_hll` and `hll_merge`; exact"),
    aggregate("hll_if", Kind::Set, true, "hll_if", "`hll_if(value, condition)`"),
    aggregate("hll_merge", Kind::Set, false, "hll_merge", "`hll_merge(state)`: what several states of `hll` have seen"),
    aggregate("tdigest", Kind::List, false, "tdigest", "`tdigest(value[, weight])`: all values, for `percentile_tdigest` and `rank_tdigest`; exact"),
    aggregate("tdigest_merge", Kind::List, false, "tdigest_merge", "`tdigest_merge(state)`: what several states of `tdigest` have seen"),
    aggregate("merge_tdigest", Kind::List, false, "merge_tdigest", "`merge_tdigest(state)`: as `tdigest_merge`"),
    aggregate("make_bag", Kind::Bag, false, "bag", "`make_bag(bag, max)`: all members; an earlier one wins"),
    aggregate("make_bag_if", Kind::Bag, true, "bag", "`make_bag_if(bag, condition, max)`"),
    aggregate("make_dictionary", Kind::Bag, false, "bag", "`make_dictionary(…)`: as `make_bag`"),
    aggregate("percentile", Kind::Percentile, false, "percentile", "`percentile(value, p)`: by nearest rank, exact"),
    aggregate("percentiles", Kind::Percentile, false, "percentile", "`percentiles(value, p, …)`: one column each"),
    aggregate("variance", Kind::Variance, false, "variance", "`variance(value)`: of a sample"),
    aggregate("varianceif", Kind::Variance, true, "varianceif", "`varianceif(value, condition)`"),
    aggregate("variancep", Kind::VariancePopulation, false, "variancep", "`variancep(value)`: of a population"),
    aggregate("variancepif", Kind::VariancePopulation, true, "variancepif", "`variancepif(value, condition)`"),
    aggregate("stdev", Kind::Deviation, false, "stdev", "`stdev(value)`: of a sample"),
    aggregate("stdevif", Kind::Deviation, true, "stdevif", "`stdevif(value, condition)`"),
    aggregate("stdevp", Kind::DeviationPopulation, false, "stdevp", "`stdevp(value)`: of a population"),
    aggregate("stdevpif", Kind::DeviationPopulation, true, "stdevpif", "`stdevpif(value, condition)`"),
    aggregate("binary_all_and", Kind::BitsAnd, false, "binary_all_and", "`binary_all_and(value)`"),
    aggregate("binary_all_or", Kind::BitsOr, false, "binary_all_or", "`binary_all_or(value)`"),
    aggregate("binary_all_xor", Kind::BitsXor, false, "binary_all_xor", "`binary_all_xor(value)`"),
];

/// The aggregate called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Aggregate> {
    AGGREGATES.iter().find(|aggregate| aggregate.name == name)
}

/// The reference of all aggregates.
pub fn aggregates() -> Vec<FunctionDoc> {
    let docs = AGGREGATES.iter();
    docs.map(|aggregate| FunctionDoc { name: aggregate.name, family: "aggregates", doc: aggregate.doc }).collect()
}

impl Kind {
    /// The type in which its value is read, and the type of the result; `None`: it takes no value of type `ty`.
    pub(crate) fn types(self, ty: ColumnType) -> Option<(ColumnType, ColumnType)> {
        Some(match self {
            Self::Count | Self::CountDistinct => (ty, Long),
            Self::Min | Self::Max | Self::ArgMin | Self::ArgMax | Self::Any => (ty, ty),
            Self::List | Self::ListWithNulls | Self::Set => (ty, Dynamic),
            Self::Bag => match ty {
                Dynamic => (Dynamic, Dynamic),
                _ => return None,
            },
            Self::Sum => match ty {
                Int | Long | Bool => (Long, Long),
                Real | Dynamic => (Real, Real),
                Timespan => (Timespan, Timespan),
                _ => return None,
            },
            Self::Average => match ty {
                Int | Long | Real | Dynamic | Bool => (Real, Real),
                Timespan | Datetime => (ty, ty),
                _ => return None,
            },
            Self::Percentile => match ty {
                Int | Long => (Long, Long),
                Real | Timespan | Datetime => (ty, ty),
                Dynamic => (Real, Real),
                _ => return None,
            },
            Self::Variance | Self::VariancePopulation | Self::Deviation | Self::DeviationPopulation => match ty {
                Int | Long | Real | Dynamic | Bool => (Real, Real),
                _ => return None,
            },
            Self::BitsAnd | Self::BitsOr | Self::BitsXor => match ty {
                Int | Long => (Long, Long),
                _ => return None,
            },
        })
    }

    /// The value of a group. `values` are the group's rows where the condition held, in their order; `ty` is the result's
    /// type; `parameter` is the percentile, or the most elements of a list.
    pub(crate) fn value(self, values: &[Scalar], ty: ColumnType, parameter: Option<f64>) -> Scalar {
        let present = || values.iter().filter(|value| !value.is_null());
        match self {
            Self::Count => Scalar::Long(values.len() as i64),
            Self::CountDistinct => Scalar::Long(present().collect::<AHashSet<_>>().len() as i64),
            Self::Min => extreme(values, Ordering::Less).map_or_else(|| null(ty), |row| values[row].clone()),
            Self::Max => extreme(values, Ordering::Greater).map_or_else(|| null(ty), |row| values[row].clone()),
            Self::Any | Self::ArgMin | Self::ArgMax => {
                let filled = values.iter().find(|value| !value.is_null() && value.as_str() != Some(""));
                filled.or(values.first()).cloned().unwrap_or_else(|| null(ty))
            }
            Self::Sum => sum(values, ty),
            Self::Average => average(values, ty),
            Self::List | Self::ListWithNulls | Self::Set => list(self, values, parameter),
            Self::Bag => bag(values),
            Self::Percentile => {
                let mut sorted: Vec<&Scalar> = present().collect();
                sorted.sort_by(|a, b| compare(a, b));
                let rank = (parameter.unwrap_or(50.0) / 100.0 * sorted.len() as f64).ceil() as usize;
                sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).map_or_else(|| null(ty), |value| (*value).clone())
            }
            Self::Variance => moment(values, true).map_or_else(|| null(ty), Scalar::Real),
            Self::VariancePopulation => moment(values, false).map_or_else(|| null(ty), Scalar::Real),
            Self::Deviation => moment(values, true).map_or_else(|| null(ty), |v| Scalar::Real(v.sqrt())),
            Self::DeviationPopulation => moment(values, false).map_or_else(|| null(ty), |v| Scalar::Real(v.sqrt())),
            Self::BitsAnd | Self::BitsOr | Self::BitsXor => {
                let bits = values.iter().filter_map(whole);
                let all = match self {
                    Self::BitsAnd => bits.reduce(|a, b| a & b),
                    Self::BitsOr => bits.reduce(|a, b| a | b),
                    _ => bits.reduce(|a, b| a ^ b),
                };
                all.map_or_else(|| null(ty), Scalar::Long)
            }
        }
    }
}

pub(super) fn null(ty: ColumnType) -> Scalar {
    if ty == String { Scalar::String("".into()) } else { Scalar::Null(ty) }
}

/// The place of the smallest (`Less`) or largest value; the first of equals. Nulls do not count.
pub(crate) fn extreme(values: &[Scalar], wanted: Ordering) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (row, value) in values.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        if best.is_none_or(|best| compare(value, &values[best]) == wanted) {
            best = Some(row);
        }
    }
    best
}

/// The order of values: null first, texts by code points, `false` before `true`, NaN after all numbers.
pub(crate) fn compare(a: &Scalar, b: &Scalar) -> Ordering {
    match (a, b) {
        (Scalar::Null(_), Scalar::Null(_)) => Ordering::Equal,
        (Scalar::Null(_), _) => Ordering::Less,
        (_, Scalar::Null(_)) => Ordering::Greater,
        (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
        (Scalar::Int(a), Scalar::Int(b)) => a.cmp(b),
        (Scalar::Real(a), Scalar::Real(b)) => a.total_cmp(b),
        (Scalar::Long(a), Scalar::Long(b))
        | (Scalar::Datetime(a), Scalar::Datetime(b))
        | (Scalar::Timespan(a), Scalar::Timespan(b)) => a.cmp(b),
        (Scalar::Dynamic(a), Scalar::Dynamic(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            _ => text::dynamic_text(a).cmp(&text::dynamic_text(b)),
        },
        (Scalar::String(a) | Scalar::Guid(a), Scalar::String(b) | Scalar::Guid(b)) => a.cmp(b),
        _ => text::to_text(a).cmp(&text::to_text(b)),
    }
}

pub(super) fn whole(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Long(value) | Scalar::Timespan(value) | Scalar::Datetime(value) => Some(*value),
        Scalar::Int(value) => Some(i64::from(*value)),
        _ => None,
    }
}

fn number(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Real(value) => Some(*value),
        value => whole(value).map(|value| value as f64),
    }
}

fn sum(values: &[Scalar], ty: ColumnType) -> Scalar {
    match ty {
        Real => Scalar::Real(values.iter().filter_map(number).sum()),
        Timespan => Scalar::Timespan(values.iter().filter_map(whole).fold(0, i64::wrapping_add)),
        _ => Scalar::Long(values.iter().filter_map(whole).fold(0, i64::wrapping_add)),
    }
}

fn average(values: &[Scalar], ty: ColumnType) -> Scalar {
    if ty == Real {
        let numbers: Vec<f64> = values.iter().filter_map(number).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        return if numbers.is_empty() { Scalar::Real(f64::NAN) } else { Scalar::Real(mean) };
    }
    let times: Vec<i128> = values.iter().filter_map(whole).map(i128::from).collect();
    if times.is_empty() {
        return null(ty);
    }
    let mean = (times.iter().sum::<i128>() / times.len() as i128) as i64;
    if ty == Datetime { Scalar::Datetime(mean) } else { Scalar::Timespan(mean) }
}

/// The variance; `None` for too few values.
fn moment(values: &[Scalar], sample: bool) -> Option<f64> {
    let numbers: Vec<f64> = values.iter().filter_map(number).collect();
    let divisor = if sample { numbers.len().checked_sub(1)? } else { numbers.len() };
    if divisor == 0 {
        return (sample && numbers.len() == 1).then_some(0.0);
    }
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    Some(numbers.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / divisor as f64)
}

fn list(kind: Kind, values: &[Scalar], limit: Option<f64>) -> Scalar {
    let limit = limit.map_or(usize::MAX, |limit| limit.max(0.0) as usize);
    let mut seen: AHashSet<std::string::String> = AHashSet::new();
    let mut out = std::string::String::from("[");
    let mut count = 0;
    // A set of arrays is the set of their elements.
    let mut elements = Vec::new();
    let values = if kind == Kind::Set && values.iter().any(|value| matches!(value, Scalar::Dynamic(_))) {
        for value in values {
            let Scalar::Dynamic(array) = value else { continue };
            let start = elements.len();
            if json::elements(array, |item| elements.push(Scalar::Dynamic(item.into()))).is_none() {
                elements.truncate(start);
                elements.push(value.clone());
            }
        }
        &elements[..]
    } else {
        values
    };
    for value in values {
        if count >= limit {
            break;
        }
        if value.is_null() && kind != Kind::ListWithNulls {
            continue;
        }
        let start = out.len();
        if count > 0 {
            out.push(',');
        }
        let item = out.len();
        text::write_json(value, &mut out);
        if kind == Kind::Set && !seen.insert(out[item..].to_owned()) {
            out.truncate(start);
            continue;
        }
        count += 1;
    }
    out.push(']');
    Scalar::Dynamic(out.into())
}

fn bag(values: &[Scalar]) -> Scalar {
    let mut seen: AHashSet<std::string::String> = AHashSet::new();
    let mut out = std::string::String::from("{");
    for value in values {
        let Scalar::Dynamic(value) = value else { continue };
        let _ = json::members(value, |key, member| {
            if seen.insert(key.to_owned()) {
                if out.len() > 1 {
                    out.push(',');
                }
                out.push_str(key);
                out.push(':');
                out.push_str(member);
            }
        });
    }
    out.push('}');
    Scalar::Dynamic(out.into())
}
