//! `evaluate geo_polygon_lookup`: the rows of a constant table whose polygon a place is in, or near.
//!
//! Rules: <https://learn.microsoft.com/kusto/query/geo-polygon-lookup-plugin>. A call gives each row the numbers of its
//! polygons, an unnesting makes a row of each number, and a probe brings the columns of the table's row with that number.
//! So it runs on events as `mv-expand` and `lookup` do.

use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use weir_contract::schema::ColumnType;

use super::faults::unknown_column;
use super::scope::{Context, Scope};
use super::{Binder, Bound, BoundColumn, Relation};
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::polygons;
use crate::functions::prepared::{PolygonTable, Prepared};
use crate::program::graph::Op;
use crate::program::probe::Matching;
use crate::program::unnest::UnnestSpec;
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, ExprKind};

const FORM: &str = "write `geo_polygon_lookup(table, polygon column, longitude, latitude[, radius][, return_unmatched]\
                    [, lookup_area_radius][, return_lookup_key])`";

/// What may follow the first four arguments, by place or by name.
const OPTIONS: [&str; 4] = ["radius", "return_unmatched", "lookup_area_radius", "return_lookup_key"];

#[derive(Default)]
struct LookupOptions {
    radius_m: Option<f64>,
    return_unmatched: bool,
    return_lookup_key: bool,
}

impl Binder<'_> {
    pub(super) fn geo_polygon_lookup(
        &mut self,
        relation: &Relation,
        args: &[Arg],
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let [table_arg, key_arg, longitude, latitude, rest @ ..] = args else {
            let message = "`geo_polygon_lookup` needs a table, its column of polygons, a longitude and a latitude";
            return Err(Diagnostic::error(span.clone(), message).with_help(FORM));
        };
        let ExprKind::Name(key) = &key_arg.value.kind else {
            let message = "expected the name of the table's column of polygons";
            return Err(Diagnostic::error(key_arg.value.span.clone(), message).with_help(FORM));
        };
        let options = self.geo_lookup_options(rest, scope)?;
        let table = self.table(&table_arg.value, Context { relation: None, scope })?;
        let key_span = &key_arg.value.span;
        let key_node = table.column(key).ok_or_else(|| unknown_column(key, key_span, &table))?;
        if self.graph.ty(key_node) != ColumnType::Dynamic {
            let message = format!("the polygons in `{key}` must be dynamic values");
            return Err(Diagnostic::error(key_span.clone(), message)
                .with_help("`todynamic(…)` reads a text as a dynamic value"));
        }
        let place = [longitude, latitude].map(|arg| {
            let node = self.expr(&arg.value, Context { relation: Some(relation), scope })?;
            Ok(self.graph.convert(node, ColumnType::Real))
        });
        let [longitude, latitude] = place;
        let place = vec![longitude?, latitude?];

        let brought = table.columns.iter().filter(|column| options.return_lookup_key || *column.name != **key);
        let brought: Vec<BoundColumn> = brought.cloned().collect();
        let nodes: Vec<_> = [key_node].into_iter().chain(brought.iter().map(|column| column.node)).collect();
        let (mut arrays, rows) = self.constant_table(&nodes, table.domain, &table_arg.value.span)?;
        let columns = arrays.split_off(1);
        let polygons = (0..rows).map(|row| match Scalar::of_array(&arrays[0], row, ColumnType::Dynamic) {
            Scalar::Dynamic(polygon) => polygons::read_polygon(&polygon),
            _ => None,
        });
        let polygons = PolygonTable {
            polygons: polygons.collect(),
            radius_m: options.radius_m,
            return_unmatched: options.return_unmatched,
        };
        let found = Prepared::PolygonTable(polygons);
        let found = self.graph.call_prepared(&polygons::MATCHES, place, ColumnType::Dynamic, found);
        let unnest = Op::Unnest(UnnestSpec { as_array: false, limit: usize::MAX });
        let (selection, domain) = self.graph.selection(unnest, vec![found], relation.domain);
        let relation = self.carried(relation, selection, domain);
        let number = self.graph.field(Op::Unnested(0), 0, selection, ColumnType::Dynamic, domain);
        let number = self.graph.convert(number, ColumnType::Long);
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let matching = if options.return_unmatched { Matching::Outer } else { Matching::Inner };
        Ok(self.probe(&relation, &[number], &[number], &brought, (vec![numbers], columns, rows), matching))
    }

    fn geo_lookup_options(&mut self, args: &[Arg], scope: &Rc<Scope>) -> Bound<LookupOptions> {
        let mut options = LookupOptions::default();
        for (place, arg) in args.iter().enumerate() {
            let span = &arg.value.span;
            let given = arg.name.as_deref().or(OPTIONS.get(place).copied());
            let known = OPTIONS.into_iter().find(|option| given.is_some_and(|name| name.eq_ignore_ascii_case(option)));
            let Some(option) = known else {
                let message = match &arg.name {
                    Some(name) => format!("`geo_polygon_lookup` has no argument `{name}`"),
                    None => "`geo_polygon_lookup` has at most eight arguments".to_owned(),
                };
                return Err(Diagnostic::error(span.clone(), message).with_help(FORM));
            };
            let node = self.expr(&arg.value, Context { relation: None, scope })?;
            let ty = if option.starts_with("return") { ColumnType::Bool } else { ColumnType::Real };
            let node = self.graph.convert(node, ty);
            match (option, self.graph.constant(node)) {
                ("radius", Some(Scalar::Real(radius))) => options.radius_m = Some(*radius),
                // How the service finds candidates: without effect on what matches.
                ("lookup_area_radius", Some(Scalar::Real(_))) => {}
                ("return_unmatched", Some(Scalar::Bool(flag))) => options.return_unmatched = *flag,
                ("return_lookup_key", Some(Scalar::Bool(flag))) => options.return_lookup_key = *flag,
                _ => return Err(Diagnostic::error(span.clone(), format!("`{option}` must be a constant {ty}"))),
            }
        }
        Ok(options)
    }
}
