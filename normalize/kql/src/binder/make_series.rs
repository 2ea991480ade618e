//! `make-series`: aggregates as arrays along an axis, one array per group.
//!
//! Rules: <https://learn.microsoft.com/kusto/query/make-series-operator>. The bins are found first; then `summarize` runs
//! with the bin's number as a further key, and its rows are laid out as arrays.

use std::rc::Rc;

use ahash::AHashMap;
use weir_contract::schema::ColumnType;

use super::rows::{Cells, array, null_of};
use super::scope::{Context, Scope};
use super::{Binder, Bound, BoundColumn, Relation, names};
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::YEAR_ONE_US;
use crate::program::gather::array_of;
use crate::scalar::Scalar;
use crate::syntax::ast::{Assignment, Expr, ExprKind, MakeSeries, Name};

/// Most bins of one series, as in Kusto.
const MAX_BINS: i64 = 1 << 20;
/// The key that is the bin's number; no author's column is called so.
const BIN: &str = "$bin";

/// Bins of one width: number `n` begins at `start + n * step`.
struct Axis {
    ty: ColumnType,
    start: f64,
    step: f64,
    /// The same in whole numbers, where the axis has them.
    whole: Option<(i64, i64)>,
    bins: i64,
}

impl Axis {
    fn bin(&self, value: &Scalar) -> Option<i64> {
        let bin = match (self.whole, whole(value)) {
            (Some((start, step)), Some(value)) => value.checked_sub(start)?.div_euclid(step),
            _ => ((number(value)? - self.start) / self.step).floor() as i64,
        };
        (0..self.bins).contains(&bin).then_some(bin)
    }

    fn value(&self, bin: i64) -> Scalar {
        let Some((start, step)) = self.whole else { return Scalar::Real(self.start + bin as f64 * self.step) };
        let value = start + bin * step;
        match self.ty {
            ColumnType::Datetime => Scalar::Datetime(value),
            ColumnType::Timespan => Scalar::Timespan(value),
            _ => Scalar::Long(value),
        }
    }
}

impl Binder<'_> {
    pub(super) fn make_series(
        &mut self,
        relation: Relation,
        spec: &MakeSeries,
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let mut relation = self.known_rows(relation, "make-series", span)?;
        let node = self.expr(&spec.axis, Context { relation: Some(&relation), scope })?;
        let axis_name = names::implied(&spec.axis).unwrap_or_else(|| names::unnamed(&[], &relation.columns));
        let values = self.values_of(node, &relation, span)?;
        let axis = self.axis(spec, self.graph.ty(node), &values, scope)?;
        // The rows that fall into a bin, and its number.
        let bins: Vec<Option<i64>> = values.iter().map(|value| axis.bin(value)).collect();
        let kept: Vec<usize> = (0..bins.len()).filter(|row| bins[*row].is_some()).collect();
        relation = self.picked_rows(&relation, &kept, span)?;
        let numbers: Vec<Scalar> = bins.into_iter().flatten().map(Scalar::Long).collect();
        let node = self.graph.column(array_of(&numbers, ColumnType::Long), ColumnType::Long);
        relation.columns.push(BoundColumn { name: BIN.into(), node });

        let mut keys = spec.by.clone();
        let bin = Expr { kind: ExprKind::Name(BIN.to_owned()), span: span.clone() };
        let name = Name { text: BIN.to_owned(), span: span.clone() };
        keys.push(Assignment { name: Some(name), more: Vec::new(), value: bin });
        let aggregates: Vec<Assignment> = spec.aggregates.iter().map(|(aggregate, _)| aggregate.clone()).collect();
        let grouped = self.summarize(&relation, &aggregates, &keys, scope)?;
        let grouped = self.known_rows(grouped, "make-series", span)?;
        let cells = self.cells_of(&grouped, span)?;
        let (keys, rest) = cells.split_at(spec.by.len());
        let (numbers, results) = rest.split_first().expect("the bin is a key");
        if results.len() != spec.aggregates.len() {
            return Err(Diagnostic::error(span.clone(), "an aggregate of `make-series` gives one column"));
        }

        let mut groups: Vec<Vec<Scalar>> = Vec::new();
        let mut index: AHashMap<Vec<Scalar>, usize> = AHashMap::new();
        let mut rows: Vec<AHashMap<i64, usize>> = Vec::new();
        for (row, number) in numbers.2.iter().enumerate() {
            let key: Vec<Scalar> = keys.iter().map(|(_, _, cells)| cells[row].clone()).collect();
            let group = *index.entry(key.clone()).or_insert_with(|| {
                groups.push(key);
                rows.push(AHashMap::new());
                groups.len() - 1
            });
            if let Scalar::Long(number) = number {
                rows[group].insert(*number, row);
            }
        }
        if groups.is_empty() && spec.nonempty && spec.by.is_empty() {
            groups.push(Vec::new());
            rows.push(AHashMap::new());
        }

        let mut columns: Vec<Cells> = Vec::new();
        for (place, (name, ty, _)) in keys.iter().enumerate() {
            columns.push((name.clone(), *ty, groups.iter().map(|key| key[place].clone()).collect()));
        }
        for ((name, ty, values), (_, default)) in results.iter().zip(&spec.aggregates) {
            let default = self.series_default(default.as_ref(), *ty, scope)?;
            let series = rows.iter().map(|rows| {
                let cell = |bin: i64| rows.get(&bin).map_or(&default, |row| &values[*row]);
                array((0..axis.bins).map(cell))
            });
            columns.push((name.clone(), ColumnType::Dynamic, series.collect()));
        }
        let points: Vec<Scalar> = (0..axis.bins).map(|bin| axis.value(bin)).collect();
        let line = array(points.iter());
        columns.push((axis_name.as_str().into(), ColumnType::Dynamic, vec![line; groups.len()]));
        Ok(self.constant_rows(groups.len(), columns))
    }

    /// What stands in a bin without rows: 0 unless the author says otherwise.
    fn series_default(&mut self, default: Option<&Expr>, ty: ColumnType, scope: &Rc<Scope>) -> Bound<Scalar> {
        let node = match default {
            Some(default) => self.expr(default, Context { relation: None, scope })?,
            None => self.graph.scalar(Scalar::Long(0)),
        };
        let node = match ty {
            ColumnType::Int | ColumnType::Long | ColumnType::Real => self.graph.convert(node, ty),
            _ => node,
        };
        match (self.graph.constant(node), default) {
            (Some(constant), _) => Ok(constant.clone()),
            (None, Some(default)) => Err(Diagnostic::error(default.span.clone(), "a default must be a constant")),
            (None, None) => Ok(null_of(ty)),
        }
    }

    fn axis(&mut self, spec: &MakeSeries, ty: ColumnType, values: &[Scalar], scope: &Rc<Scope>) -> Bound<Axis> {
        let wrong = |span: &Span, message: &str| Err(Diagnostic::error(span.clone(), message.to_owned()));
        if !matches!(
            ty,
            ColumnType::Int | ColumnType::Long | ColumnType::Real | ColumnType::Datetime | ColumnType::Timespan
        ) {
            return wrong(&spec.axis.span, "the axis of a series is a datetime, a timespan or a number");
        }
        let mut bounds = [None, None, None];
        for (bound, expr) in bounds.iter_mut().zip([&spec.from, &spec.to, &spec.step]) {
            let Some(expr) = expr else { continue };
            let node = self.expr(expr, Context { relation: None, scope })?;
            match self.graph.constant(node) {
                Some(constant) if number(constant).is_some() => *bound = Some(constant.clone()),
                _ => return wrong(&expr.span, "a bound of a series must be a constant number, datetime or timespan"),
            }
        }
        let [from, to, step] = bounds;
        let Some(step) = step.filter(|step| number(step).is_some_and(|step| step > 0.0)) else {
            return wrong(&spec.axis.span, "the step of a series must be more than zero");
        };
        let extreme = |pick: fn(f64, f64) -> f64| values.iter().filter_map(number).reduce(pick);
        let is_whole = whole(&step).is_some()
            && from.iter().chain(&to).all(|bound| whole(bound).is_some())
            && ty != ColumnType::Real;
        // In whole numbers, where microseconds may exceed what a real holds exactly.
        if is_whole {
            let step = whole(&step).unwrap_or(1);
            let origin = if ty == ColumnType::Datetime { YEAR_ONE_US } else { 0 };
            let floor = |value: i64| value.saturating_sub(value.saturating_sub(origin).rem_euclid(step));
            let all = || values.iter().filter_map(whole);
            let start = match from.as_ref().and_then(whole) {
                Some(from) if spec.inclusive => floor(from),
                Some(from) => from,
                None => floor(all().min().unwrap_or(0)),
            };
            let last = match to.as_ref().and_then(whole) {
                Some(to) if spec.inclusive => to,
                Some(to) => to.saturating_sub(1),
                None => all().max().unwrap_or(start.saturating_sub(1)),
            };
            let bins = if last < start { 0 } else { last.saturating_sub(start) / step + 1 };
            let axis = Axis { ty, start: start as f64, step: step as f64, whole: Some((start, step)), bins };
            return self.checked_axis(axis, spec);
        }
        let step = number(&step).unwrap_or(1.0);
        let floor = |value: f64| (value / step).floor() * step;
        let start = match from.as_ref().and_then(number) {
            Some(from) if spec.inclusive => floor(from),
            Some(from) => from,
            None => floor(extreme(f64::min).unwrap_or(0.0)),
        };
        let bins = match to.as_ref().and_then(number) {
            Some(to) if spec.inclusive => ((to - start) / step).floor() + 1.0,
            Some(to) => ((to - start) / step).ceil(),
            None => extreme(f64::max).map_or(0.0, |last| ((last - start) / step).floor() + 1.0),
        };
        self.checked_axis(Axis { ty, start, step, whole: None, bins: bins.max(0.0) as i64 }, spec)
    }

    fn checked_axis(&mut self, axis: Axis, spec: &MakeSeries) -> Bound<Axis> {
        if axis.bins > MAX_BINS {
            let message = format!("the series has {} bins, at most {MAX_BINS} are allowed", axis.bins);
            return Err(Diagnostic::error(spec.axis.span.clone(), message).with_help("take a longer step"));
        }
        Ok(axis)
    }
}

fn whole(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Long(value) | Scalar::Datetime(value) | Scalar::Timespan(value) => Some(*value),
        Scalar::Int(value) => Some(i64::from(*value)),
        _ => None,
    }
}

fn number(value: &Scalar) -> Option<f64> {
    match value {
        Scalar::Real(value) => value.is_finite().then_some(*value),
        value => whole(value).map(|value| value as f64),
    }
}
