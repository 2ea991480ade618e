//! `summarize`, `distinct`, `count`, `sort`, `top`, `take` and `mv-apply`.
//!
//! An aggregate may stand inside an expression (`round(avg(x), 2)`): first all aggregate calls of the operator are
//! found and bound over the rows, then the expressions are bound over the groups, the calls being names of results.

use std::rc::Rc;
use std::sync::Arc;

use weir_contract::schema::ColumnType;

use super::scope::{Context, Scope};
use super::{Applied, Binder, Bound, BoundColumn, Relation, names};
use crate::diagnostic::{Diagnostic, Span};
use crate::functions::aggregates::{self, Aggregate, Kind};
use crate::program::gather::{AggregateCall, ArrangeKey, ArrangeSpec, GatherSpec};
use crate::program::graph::{Domain, NodeId, Op};
use crate::scalar::Scalar;
use crate::syntax::ast::{Apply, Arg, Assignment, Expr, ExprKind, Name, SortKey};

/// A result column of one aggregate call: its call, and its name if the author gave none.
struct Output {
    call: AggregateCall,
    name: String,
}

/// Arguments of a gathering under construction.
struct Values {
    nodes: Vec<NodeId>,
    types: Vec<ColumnType>,
}

impl Values {
    fn push(&mut self, node: NodeId, ty: ColumnType) -> usize {
        self.nodes.push(node);
        self.types.push(ty);
        self.nodes.len() - 1
    }
}

impl Binder<'_> {
    pub(super) fn summarize(
        &mut self,
        relation: &Relation,
        assignments: &[Assignment],
        by: &[Assignment],
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let mut values = self.origin_values(relation);
        let mut keys: Vec<(String, ColumnType)> = Vec::new();
        for (number, assignment) in by.iter().enumerate() {
            let node = self.expr(&assignment.value, Context { relation: Some(relation), scope })?;
            let name = match (&assignment.name, names::implied(&assignment.value)) {
                (Some(name), _) => name.text.clone(),
                (None, Some(name)) => name,
                (None, None) => format!("Column{}", number + 1),
            };
            let ty = self.graph.ty(node);
            values.push(node, ty);
            keys.push((name, ty));
        }
        // All aggregate calls of all assignments.
        let mut outputs: Vec<Output> = Vec::new();
        let mut calls: Vec<(Span, std::ops::Range<usize>)> = Vec::new();
        for assignment in assignments {
            let mut found = Vec::new();
            aggregate_calls(&assignment.value, &mut found);
            if found.is_empty() {
                return Err(Diagnostic::error(assignment.value.span.clone(), "`summarize` needs an aggregate here")
                    .with_help("such as `count()`, `make_set(x)` or `take_any(x)`"));
            }
            for (aggregate, args, span) in found {
                let first = outputs.len();
                let is_carrying = matches!(aggregate.kind, Kind::ArgMin | Kind::ArgMax);
                if is_carrying || aggregate.kind == Kind::Any {
                    let excluded: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
                    self.row_of(aggregate, args, span, relation, &excluded, &mut values, &mut outputs, scope)?;
                } else {
                    self.aggregate(aggregate, args, span, relation, &mut values, &mut outputs, scope)?;
                }
                calls.push((span.clone(), first..outputs.len()));
            }
        }
        let key_count = keys.len();
        let mut result_types: Vec<ColumnType> = keys.iter().map(|(_, ty)| *ty).collect();
        let mut output_names = Vec::new();
        let mut specs = Vec::new();
        for output in outputs {
            result_types.push(output.call.ty);
            output_names.push(output.name);
            specs.push(output.call);
        }
        let mut result = self.gathered(relation, key_count, values, specs);
        let mut fields = Vec::new();
        let selection = match self.graph.domains[result.domain] {
            Domain::Selected(selection) => selection,
            _ => unreachable!("a gathering is a selection"),
        };
        for (number, ty) in result_types.iter().enumerate() {
            fields.push(self.graph.field(Op::Gathered(number), number, selection, *ty, result.domain));
        }
        for ((name, _), node) in keys.iter().zip(&fields) {
            let name = names::unique(name, &result.columns);
            result.columns.push(BoundColumn { name: name.into(), node: *node });
        }
        let groups = result.clone();
        for assignment in assignments {
            // An aggregate that stands alone may give several columns.
            let alone = calls.iter().find(|(span, _)| *span == assignment.value.span);
            if let Some((_, range)) = alone {
                let written = assignment.name.iter().chain(&assignment.more);
                let mut written = written.map(|name| name.text.clone());
                for number in range.clone() {
                    // One name for several columns names the first; the others keep theirs.
                    let name = written.next().unwrap_or_else(|| names::unique(&output_names[number], &result.columns));
                    let node = fields[key_count + number];
                    if result.columns.iter().any(|column| *column.name == *name) {
                        return Err(Diagnostic::error(
                            assignment.value.span.clone(),
                            format!("there is already a column `{name}`"),
                        ));
                    }
                    result.columns.push(BoundColumn { name: name.into(), node });
                }
                continue;
            }
            let known: Vec<(Span, NodeId)> =
                calls.iter().map(|(span, range)| (span.clone(), fields[key_count + range.start])).collect();
            let outer = std::mem::replace(&mut self.gathered, known);
            let bound = self.expr(&assignment.value, Context { relation: Some(&groups), scope });
            self.gathered = outer;
            let node = bound?;
            let name = match (&assignment.name, implied_by_aggregate(&assignment.value)) {
                (Some(name), _) => name.text.clone(),
                (None, Some(name)) => names::unique(&name, &result.columns),
                (None, None) => names::unnamed(&relation.columns, &result.columns),
            };
            result.columns.push(BoundColumn { name: name.into(), node });
        }
        Ok(result)
    }

    pub(super) fn distinct(
        &mut self,
        relation: &Relation,
        columns: &[Assignment],
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let all: Vec<Assignment>;
        let columns = match columns {
            [Assignment { value: Expr { kind: ExprKind::Star, span }, .. }] => {
                let name =
                    |column: &BoundColumn| Expr { kind: ExprKind::Name(column.name.to_string()), span: span.clone() };
                let columns = relation.columns.iter();
                all = columns.map(|column| Assignment { name: None, more: Vec::new(), value: name(column) }).collect();
                &all[..]
            }
            columns => columns,
        };
        self.summarize(relation, &[], columns, scope)
    }

    pub(super) fn count(&mut self, relation: &Relation) -> Bound<Relation> {
        let values = self.origin_values(relation);
        let call = AggregateCall {
            kind: Kind::Count,
            value: None,
            carried: None,
            mask: None,
            parameter: None,
            ty: ColumnType::Long,
        };
        let mut result = self.gathered(relation, 0, values, vec![call]);
        if let Domain::Selected(selection) = self.graph.domains[result.domain] {
            let node = self.graph.field(Op::Gathered(0), 0, selection, ColumnType::Long, result.domain);
            result.columns.push(BoundColumn { name: "Count".into(), node });
        }
        Ok(result)
    }

    /// `sort`, `top` and `take`.
    pub(super) fn arrange(
        &mut self,
        relation: &Relation,
        keys: &[SortKey],
        limit: usize,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let mut args: Vec<NodeId> = relation.applied.iter().map(|applied| applied.origin).collect();
        let mut specs = Vec::new();
        for key in keys {
            let node = self.expr(&key.value.value, Context { relation: Some(relation), scope })?;
            let ty = self.graph.ty(node);
            args.push(node);
            specs.push(ArrangeKey { ty, ascending: key.ascending, nulls_first: key.nulls_first });
        }
        let spec = ArrangeSpec {
            outside: relation.applied.as_ref().map(|applied| applied.outside.domain),
            keys: specs,
            limit,
        };
        let (selection, domain) = self.graph.selection(Op::Arrange(spec), args, relation.domain);
        Ok(self.carried(relation, selection, domain))
    }

    /// `mv-apply`: the row's elements become a table of their own, the operators run on it, and what they leave is
    /// joined to the row.
    pub(super) fn mv_apply(&mut self, relation: Relation, apply: &Apply, scope: &Rc<Scope>) -> Bound<Relation> {
        let (selection, domain, expanded) = self.unnest(&relation, &apply.expand, scope)?;
        let origin_number = apply.expand.columns.len() + 1;
        let origin = self.graph.field(Op::Unnested(origin_number), origin_number, selection, ColumnType::Long, domain);
        // `mv-apply a on …` puts the elements in the column's place, for good.
        let names: Vec<Arc<str>> = relation.columns.iter().map(|column| Arc::clone(&column.name)).collect();
        let mut relation = relation;
        let in_place = |name: &str| {
            apply.expand.columns.iter().any(|(assignment, _)| {
                assignment.name.is_none() && matches!(&assignment.value.kind, ExprKind::Name(other) if other == name)
            })
        };
        relation.columns.retain(|column| !in_place(&column.name));
        let outside = Rc::new(relation);
        let carried = Rc::new(self.carried(&outside, selection, domain));
        let inner = Relation { domain, columns: expanded, applied: Some(Applied { origin, outside, carried }) };
        let inner = self.operators(inner, &apply.body, scope)?;
        let Some(applied) = inner.applied else { unreachable!("the operators of `mv-apply` keep the rows outside") };
        let mut result = Relation { columns: Vec::new(), ..(*applied.carried).clone() };
        result.domain = inner.domain;
        for name in names {
            let own = inner.columns.iter().find(|column| column.name == name).map(|column| column.node);
            if let Some(node) = own.or_else(|| applied.carried.column(&name)) {
                result.columns.push(BoundColumn { name, node });
            }
        }
        for column in &inner.columns {
            result.set(&column.name, column.node);
        }
        Ok(result)
    }

    /// `getschema`: a constant table about the columns.
    pub(super) fn schema_of(&mut self, relation: &Relation) -> Relation {
        let types: Vec<ColumnType> = relation.columns.iter().map(|column| self.graph.ty(column.node)).collect();
        let names = relation.columns.iter().map(|column| Scalar::String(Arc::clone(&column.name))).collect();
        let ordinals = (0..types.len()).map(|number| Scalar::Long(number as i64)).collect();
        let data_types = types.iter().map(|ty| Scalar::String(dotnet_name(*ty).into())).collect();
        let kusto_types = types.iter().map(|ty| Scalar::String(ty.name().into())).collect();
        let columns: [(&str, ColumnType, Vec<Scalar>); 4] = [
            ("ColumnName", ColumnType::String, names),
            ("ColumnOrdinal", ColumnType::Long, ordinals),
            ("DataType", ColumnType::String, data_types),
            ("ColumnType", ColumnType::String, kusto_types),
        ];
        let domain = self.graph.domain(Domain::Rows(types.len()));
        let mut result = Relation::new(domain);
        for (name, ty, cells) in columns {
            let node = self.graph.column(crate::program::gather::array_of(&cells, ty), ty);
            result.columns.push(BoundColumn { name: name.into(), node });
        }
        result
    }

    fn origin_values(&mut self, relation: &Relation) -> Values {
        let mut values = Values { nodes: Vec::new(), types: Vec::new() };
        if let Some(applied) = &relation.applied {
            values.push(applied.origin, ColumnType::Long);
        }
        values
    }

    /// The groups' table, without columns yet.
    fn gathered(&mut self, relation: &Relation, keys: usize, values: Values, calls: Vec<AggregateCall>) -> Relation {
        let outside = relation.applied.as_ref().map(|applied| applied.outside.domain);
        let spec = GatherSpec { outside, keys, types: values.types, calls };
        let (selection, domain) = self.graph.selection(Op::Gather(spec), values.nodes, relation.domain);
        let mut result = Relation::new(domain);
        if let Some(applied) = &relation.applied {
            let carried = Rc::new(self.carried(&applied.outside, selection, domain));
            // Another gathering may follow: its groups belong to rows outside, too.
            let numbers = self.graph.row_numbers(applied.outside.domain);
            let origin = self.graph.moved(numbers, selection, domain);
            result.applied = Some(Applied { origin, outside: Rc::clone(&applied.outside), carried });
        }
        result
    }

    #[expect(clippy::too_many_arguments, reason = "what a call needs, and where its parts go")]
    fn aggregate(
        &mut self,
        aggregate: &'static Aggregate,
        args: &[Arg],
        span: &Span,
        relation: &Relation,
        values: &mut Values,
        outputs: &mut Vec<Output>,
        scope: &Rc<Scope>,
    ) -> Bound<()> {
        let context = Context { relation: Some(relation), scope };
        let weighed;
        let args = match (aggregate.name, args) {
            ("tdigest", [_, ..]) => {
                weighed = [names::weighed(args, span)];
                &weighed[..]
            }
            // The accuracy: states are exact.
            ("hll" | "hll_merge" | "tdigest_merge" | "merge_tdigest", [value, ..]) => std::slice::from_ref(value),
            ("hll_if", [_, _, _, ..]) => &args[..2],
            _ => args,
        };
        let takes_value = aggregate.name != "count" && aggregate.name != "countif";
        let wanted = usize::from(takes_value) + usize::from(aggregate.masked);
        if args.len() < wanted {
            return Err(Diagnostic::error(span.clone(), format!("`{}` takes {wanted} arguments", aggregate.name)));
        }
        let mut value = None;
        let mut ty = ColumnType::Long;
        if takes_value {
            let node = self.expr(&args[0].value, context)?;
            let found = self.graph.ty(node);
            let Some((read_as, gives)) = aggregate.kind.types(found) else {
                return Err(Diagnostic::error(
                    args[0].value.span.clone(),
                    format!("`{}` does not take a value of type {found}", aggregate.name),
                ));
            };
            ty = gives;
            let node = self.graph.convert(node, read_as);
            value = Some(values.push(node, read_as));
        }
        let mask = self.mask(aggregate, args.get(usize::from(takes_value)), context, values)?;
        let rest = &args[wanted..];
        let mut parameters = Vec::new();
        // `count(*)`, and the accuracy of `dcount`, which is exact here.
        let is_count = matches!(aggregate.kind, Kind::Count | Kind::CountDistinct);
        for arg in rest.iter().filter(|_| !is_count) {
            let node = self.expr(&arg.value, context)?;
            let node = self.graph.convert(node, ColumnType::Real);
            match self.graph.constant(node) {
                Some(Scalar::Real(number)) => parameters.push(Some(*number)),
                _ => return Err(Diagnostic::error(arg.value.span.clone(), "this argument must be a constant number")),
            }
        }
        let subject = subject_of(args).filter(|_| takes_value);
        let subject = subject.unwrap_or_default();
        if aggregate.kind != Kind::Percentile {
            parameters.resize(1, None);
        } else if parameters.is_empty() {
            return Err(Diagnostic::error(span.clone(), format!("`{}` needs a percentile", aggregate.name)));
        }
        for parameter in parameters {
            let mut name = format!("{}_{subject}", aggregate.prefix);
            if let Some(percentile) = parameter.filter(|_| aggregate.kind == Kind::Percentile) {
                name.push_str(&format!("_{percentile}").replace('.', "_"));
            }
            let call = AggregateCall { kind: aggregate.kind, value, carried: None, mask, parameter, ty };
            outputs.push(Output { call, name });
        }
        Ok(())
    }

    /// `take_any`, `arg_min`, `arg_max`: columns of one row of the group.
    #[expect(clippy::too_many_arguments, reason = "what a call needs, and where its parts go")]
    fn row_of(
        &mut self,
        aggregate: &'static Aggregate,
        args: &[Arg],
        span: &Span,
        relation: &Relation,
        keys: &[&str],
        values: &mut Values,
        outputs: &mut Vec<Output>,
        scope: &Rc<Scope>,
    ) -> Bound<()> {
        let context = Context { relation: Some(relation), scope };
        let Some((first, rest)) = args.split_first() else {
            return Err(Diagnostic::error(span.clone(), format!("`{}` needs a column", aggregate.name)));
        };
        let compares = aggregate.kind != Kind::Any;
        let (mask, columns): (Option<usize>, &[Arg]) = match aggregate.masked {
            true => (self.mask(aggregate, rest.first(), context, values)?, &args[..1]),
            false => (None, if compares { rest } else { args }),
        };
        let mut compared = None;
        if compares {
            let node = self.expr(&first.value, context)?;
            let ty = self.graph.ty(node);
            let place = values.push(node, ty);
            compared = Some(place);
            let name = names::implied(&first.value).unwrap_or_else(|| format!("{}_", aggregate.name));
            let kind = if aggregate.kind == Kind::ArgMin { Kind::Min } else { Kind::Max };
            let call = AggregateCall { kind, value: compared, carried: None, mask, parameter: None, ty };
            outputs.push(Output { call, name });
        }
        let mut wanted: Vec<(String, NodeId)> = Vec::new();
        for column in columns {
            if matches!(column.value.kind, ExprKind::Star) {
                let compared_name = if compares { names::implied(&first.value) } else { None };
                for column in &relation.columns {
                    let name = &*column.name;
                    if !keys.contains(&name) && compared_name.as_deref() != Some(name) {
                        wanted.push((name.to_owned(), column.node));
                    }
                }
                continue;
            }
            let node = self.expr(&column.value, context)?;
            let implied = names::implied(&column.value).unwrap_or_default();
            let prefixed = !aggregate.prefix.is_empty();
            let name = if prefixed { format!("{}_{implied}", aggregate.prefix) } else { implied };
            wanted.push((name, node));
        }
        for (name, node) in wanted {
            let ty = self.graph.ty(node);
            let place = values.push(node, ty);
            let (value, carried) = if compares { (compared, Some(place)) } else { (Some(place), None) };
            let call = AggregateCall { kind: aggregate.kind, value, carried, mask, parameter: None, ty };
            outputs.push(Output { call, name });
        }
        Ok(())
    }

    fn mask(
        &mut self,
        aggregate: &Aggregate,
        arg: Option<&Arg>,
        context: Context<'_>,
        values: &mut Values,
    ) -> Bound<Option<usize>> {
        let Some(arg) = arg.filter(|_| aggregate.masked) else { return Ok(None) };
        let node = self.expr(&arg.value, context)?;
        match self.graph.ty(node) {
            ColumnType::Bool | ColumnType::Dynamic => {
                let node = self.graph.convert(node, ColumnType::Bool);
                Ok(Some(values.push(node, ColumnType::Bool)))
            }
            ty => Err(Diagnostic::error(arg.value.span.clone(), format!("expected a condition, found a {ty}"))),
        }
    }
}

/// The aggregate calls inside an expression, outermost first.
fn aggregate_calls<'e>(expr: &'e Expr, found: &mut Vec<(&'static Aggregate, &'e [Arg], &'e Span)>) {
    if let ExprKind::Call(name, args) = &expr.kind
        && let Some(aggregate) = aggregates::find(&name.text)
    {
        found.push((aggregate, args, &expr.span));
        return;
    }
    for child in expr.children() {
        aggregate_calls(child, found);
    }
}

/// The name of what is aggregated; of a weighed value, the value's.
fn subject_of(args: &[Arg]) -> Option<String> {
    let value = &args.first()?.value;
    match &value.kind {
        ExprKind::Call(name, inner) if name.text == "pack_array" => subject_of(inner),
        _ => names::implied(value),
    }
}

/// `tostring(make_set(x))` is called as `make_set(x)` would be.
fn implied_by_aggregate(expr: &Expr) -> Option<String> {
    let ExprKind::Call(Name { text, .. }, args) = &expr.kind else { return None };
    if let Some(aggregate) = aggregates::find(text) {
        let subject = args.first().and_then(|arg| names::implied(&arg.value)).unwrap_or_default();
        return Some(format!("{}_{subject}", aggregate.prefix));
    }
    match args.as_slice() {
        [Arg { name: None, value }] if names::passes_through(text) => implied_by_aggregate(value),
        _ => None,
    }
}

fn dotnet_name(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Bool => "System.SByte",
        ColumnType::Int => "System.Int32",
        ColumnType::Long => "System.Int64",
        ColumnType::Real => "System.Double",
        ColumnType::String => "System.String",
        ColumnType::Datetime => "System.DateTime",
        ColumnType::Timespan => "System.TimeSpan",
        ColumnType::Guid => "System.Guid",
        ColumnType::Dynamic => "System.Object",
    }
}
