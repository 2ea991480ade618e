//! The operators of a pipeline. Each takes a table and gives one; only names and domains change hands.

use std::rc::Rc;
use std::sync::Arc;

use weir_contract::schema::ColumnType;

use super::faults::{refused, stateful, unknown_column};
use super::graph_match::PropertyGraph;
use super::scope::{Binding, Context, Scope};
use super::window::window_call;
use super::{Applied, Binder, Bound, BoundColumn, Relation, names};
use crate::diagnostic::{Diagnostic, nearest};
use crate::functions::{builtin, regexes};
use crate::program::graph::{DomainId, NodeId, Op};
use crate::program::is_constant;
use crate::program::parse::Pattern as ParsePattern;
use crate::program::parse_kv::KvPattern;
use crate::program::unnest::UnnestSpec;
use crate::scalar::Scalar;
use crate::syntax::ast::{
    Assignment, Expand, Expr, ExprKind, Name, Operator, OperatorKind, ParseKv, ParsePart, ParseSpec, Pattern,
};

impl Binder<'_> {
    pub(super) fn operators(
        &mut self,
        mut relation: Relation,
        operators: &[Operator],
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let mut pending: Option<NodeId> = None;
        let mut graph: Option<PropertyGraph> = None;
        for operator in operators {
            // A graph is no table: what makes one and what finds paths in it stand together.
            if let Some(graph) = graph.take() {
                let OperatorKind::GraphMatch(spec) = &operator.kind else { return Err(no_table(operator)) };
                relation = self.graph_match(&graph, spec, &operator.name_span, scope)?;
                continue;
            }
            // Window functions see the rows that are there, in their order.
            if let Some((name, span)) = window_call(operator, scope) {
                if let Some(mask) = pending.take() {
                    relation = self.filtered(relation, mask);
                }
                relation = self.known_rows(relation, name, span)?;
            }
            // Neighbouring filters are one filter.
            if let OperatorKind::Where(condition) = &operator.kind {
                let bound = self.predicate(condition, &relation, scope);
                let mask = self.recover(bound, |binder| binder.graph.scalar(Scalar::Bool(true)));
                pending = Some(match pending {
                    Some(before) => self.binary("and", before, mask, &condition.span)?,
                    None => mask,
                });
                continue;
            }
            if let Some(mask) = pending.take() {
                relation = self.filtered(relation, mask);
            }
            if let OperatorKind::MakeGraph(spec) = &operator.kind {
                graph = Some(self.make_graph(relation.clone(), spec, &operator.name_span, scope)?);
                continue;
            }
            relation = self.operator(relation, operator, scope)?;
        }
        if let (Some(_), Some(last)) = (graph, operators.last()) {
            return Err(no_table(last));
        }
        Ok(match pending {
            Some(mask) => self.filtered(relation, mask),
            None => relation,
        })
    }

    fn filtered(&mut self, relation: Relation, mask: NodeId) -> Relation {
        if self.is_filter {
            let all = match self.conjunction {
                Some(before) => self.graph.builtin("and", vec![before, mask]),
                None => mask,
            };
            self.conjunction = Some(all);
            return relation;
        }
        if matches!(self.graph.constant(mask), Some(Scalar::Bool(true))) {
            return relation;
        }
        let (selection, domain) = self.graph.filter(mask, relation.domain);
        self.carried(&relation, selection, domain)
    }

    /// The table's columns carried through a selection.
    pub(super) fn carried(&mut self, relation: &Relation, selection: NodeId, domain: DomainId) -> Relation {
        let mut result = Relation::new(domain);
        for column in &relation.columns {
            let node = self.graph.moved(column.node, selection, domain);
            result.columns.push(BoundColumn { name: Arc::clone(&column.name), node });
        }
        result.applied = relation.applied.as_ref().map(|applied| Applied {
            origin: self.graph.moved(applied.origin, selection, domain),
            outside: Rc::clone(&applied.outside),
            carried: Rc::new(self.carried(&applied.carried, selection, domain)),
        });
        result
    }

    fn operator(&mut self, relation: Relation, operator: &Operator, scope: &Rc<Scope>) -> Bound<Relation> {
        match &operator.kind {
            OperatorKind::Where(_) => unreachable!("filters are gathered before"),
            OperatorKind::Extend(assignments) => Ok(self.extend(relation, assignments, scope)),
            OperatorKind::Project(assignments) => Ok(self.project(&relation, assignments, scope)),
            OperatorKind::ProjectAway(patterns) => {
                let matched = self.matched(&relation, patterns)?;
                let mut place = 0;
                let mut relation = relation;
                relation.columns.retain(|_| {
                    place += 1;
                    !matched.contains(&(place - 1))
                });
                Ok(relation)
            }
            OperatorKind::ProjectKeep(patterns) => {
                let matched = self.matched(&relation, patterns)?;
                let mut place = 0;
                let mut relation = relation;
                relation.columns.retain(|_| {
                    place += 1;
                    matched.contains(&(place - 1))
                });
                Ok(relation)
            }
            OperatorKind::ProjectReorder(patterns) => self.reorder(relation, patterns),
            OperatorKind::ProjectRename(pairs) => self.rename(relation, pairs),
            OperatorKind::Join(join) => self.join(relation, join, &operator.name_span, scope),
            OperatorKind::Union(union) => {
                self.union(Some(relation), union, &operator.span, Context { relation: None, scope })
            }
            OperatorKind::Parse(spec) => self.parse(relation, spec, scope),
            OperatorKind::ParseKv(spec) => self.parse_kv(relation, spec, scope),
            OperatorKind::Expand(spec) => self.mv_expand(relation, spec, scope),
            OperatorKind::Invoke(name, args) => {
                // The arguments may not name columns: the function is called on the whole table.
                let context = Context { relation: None, scope };
                let Some(Binding::Function(definition, inner)) = scope.get(&name.text) else {
                    if let Some(definition) = self.stored(&name.text) {
                        return self
                            .expand_stored(&definition, Some(relation), args, &operator.span, context)?
                            .into_table(&operator.span);
                    }
                    let mut error = Diagnostic::error(name.span.clone(), format!("unknown function `{}`", name.text));
                    let visible = scope.visible();
                    error.help = nearest(&name.text, self.catalog.names().chain(visible.iter().map(String::as_str)));
                    return Err(error);
                };
                self.expand(&definition, &inner, Some(relation), args, &operator.span, context)?
                    .into_table(&operator.span)
            }
            OperatorKind::Nothing | OperatorKind::As(_) | OperatorKind::Render(..) => Ok(relation),
            OperatorKind::Serialize(assignments) => Ok(self.extend(relation, assignments, scope)),
            OperatorKind::GetSchema => Ok(self.schema_of(&relation)),
            OperatorKind::Apply(apply) => self.mv_apply(relation, apply, scope),
            OperatorKind::Summarize { aggregates, by } => {
                self.gathers(&relation, operator)?;
                self.summarize(&relation, aggregates, by, scope)
            }
            OperatorKind::Distinct(columns) => {
                self.gathers(&relation, operator)?;
                self.distinct(&relation, columns, scope)
            }
            OperatorKind::Count => {
                self.gathers(&relation, operator)?;
                self.count(&relation)
            }
            OperatorKind::Sort(keys) => {
                self.gathers(&relation, operator)?;
                self.arrange(&relation, keys, usize::MAX, scope)
            }
            OperatorKind::Top(count, keys) => {
                self.gathers(&relation, operator)?;
                let limit = self.row_count(count, scope)?;
                self.arrange(&relation, keys, limit, scope)
            }
            OperatorKind::Take(count) | OperatorKind::Sample(count) => {
                self.gathers(&relation, operator)?;
                let limit = self.row_count(count, scope)?;
                self.arrange(&relation, &[], limit, scope)
            }
            OperatorKind::SampleDistinct(count, of) => {
                self.gathers(&relation, operator)?;
                self.sample_distinct(&relation, count, of, scope)
            }
            OperatorKind::TopHitters(count, of, by) => {
                self.gathers(&relation, operator)?;
                self.top_hitters(&relation, (count, of, by.as_ref()), scope)
            }
            OperatorKind::TopNested(levels) => self.top_nested(relation, levels, &operator.name_span, scope),
            OperatorKind::MakeSeries(spec) => self.make_series(relation, spec, &operator.name_span, scope),
            OperatorKind::Evaluate(call, schema) => self.evaluate(relation, call, schema.as_ref(), scope),
            OperatorKind::Partition(by, body) => self.partition(relation, by, body, &operator.name_span, scope),
            OperatorKind::Scan(scan) => self.scan(relation, scan, &operator.name_span, scope),
            OperatorKind::Reduce(of, properties) => self.reduce(relation, of, properties, &operator.name_span, scope),
            OperatorKind::GraphMatch(_) => Err(no_table(operator)),
            kind => Err(refused(kind.name(), operator.name_span.clone())),
        }
    }

    /// An operator that gathers rows runs over constants, and over a row's own array; over events it is refused.
    fn gathers(&self, relation: &Relation, operator: &Operator) -> Bound<()> {
        let columns: Vec<NodeId> = relation.columns.iter().map(|column| column.node).collect();
        if self.is_hunting() || relation.applied.is_some() || is_constant(&self.graph, &columns, relation.domain) {
            return Ok(());
        }
        Err(stateful(operator.kind.name(), operator.name_span.clone()))
    }

    /// The value of an assignment; on an error, reports it and stands in a null.
    fn value(&mut self, assignment: &Assignment, relation: &Relation, scope: &Rc<Scope>) -> NodeId {
        let bound = self.expr(&assignment.value, Context { relation: Some(relation), scope });
        self.recover(bound, |binder| binder.null(ColumnType::Dynamic))
    }

    /// Keeps in mind where a column got its value, for whoever explains the program.
    fn note_assignment(&mut self, node: NodeId, name: &str, assignment: &Assignment) {
        let start = assignment.name.as_ref().map_or(assignment.value.span.start, |name| name.span.start);
        self.assigned.push((node, name.into(), start..assignment.value.span.end));
    }

    fn extend(&mut self, relation: Relation, assignments: &[Assignment], scope: &Rc<Scope>) -> Relation {
        let mut result = relation.clone();
        let mut declared: Vec<String> = Vec::new();
        for assignment in &*names::taken_apart(assignments, false) {
            // All assignments see the operator's input, never each other.
            let node = self.value(assignment, &relation, scope);
            let name = match &assignment.name {
                Some(name) => name.text.clone(),
                // A name that follows from the expression replaces a column, once.
                None => match names::implied(&assignment.value) {
                    Some(name) if declared.contains(&name) => names::unique(&name, &result.columns),
                    Some(name) => name,
                    None => names::unnamed(&relation.columns, &result.columns),
                },
            };
            self.note_assignment(node, &name, assignment);
            declared.push(name.clone());
            result.set(&name, node);
        }
        result
    }

    pub(super) fn project(&mut self, relation: &Relation, assignments: &[Assignment], scope: &Rc<Scope>) -> Relation {
        let mut result = Relation { columns: Vec::new(), ..relation.clone() };
        for assignment in &*names::taken_apart(assignments, false) {
            let node = self.value(assignment, relation, scope);
            let name = match &assignment.name {
                Some(name) => {
                    if result.column(&name.text).is_some() {
                        self.errors
                            .push(Diagnostic::error(name.span.clone(), format!("`{}` is projected twice", name.text)));
                    }
                    name.text.clone()
                }
                None => match (&assignment.value.kind, names::implied(&assignment.value)) {
                    (ExprKind::Name(name), _) if result.columns.iter().any(|column| *column.name == **name) => {
                        let message = format!("`{name}` is projected twice");
                        self.errors.push(Diagnostic::error(assignment.value.span.clone(), message));
                        continue;
                    }
                    (_, Some(name)) => names::unique(&name, &result.columns),
                    (_, None) => names::unnamed(&relation.columns, &result.columns),
                },
            };
            // A column's bare name gives it no value.
            if assignment.name.is_some() || !matches!(assignment.value.kind, ExprKind::Name(_)) {
                self.note_assignment(node, &name, assignment);
            }
            result.columns.push(BoundColumn { name: name.into(), node });
        }
        result
    }

    /// The places that the patterns match, in the patterns' order; a name that matches nothing is a complaint.
    fn matched(&mut self, relation: &Relation, patterns: &[Pattern]) -> Bound<Vec<usize>> {
        let mut places = Vec::new();
        for pattern in patterns {
            let mut matched = names::matching(pattern, relation);
            if matched.is_empty() && !pattern.wildcard {
                let error = unknown_column(&pattern.text, &pattern.span, relation);
                self.complain(error)?;
            }
            if let Some(ascending) = pattern.order {
                matched.sort_by(|a, b| relation.columns[*a].name.cmp(&relation.columns[*b].name));
                if !ascending {
                    matched.reverse();
                }
            }
            places.extend(matched.into_iter().filter(|place| !places.contains(place)).collect::<Vec<_>>());
        }
        Ok(places)
    }

    fn reorder(&mut self, relation: Relation, patterns: &[Pattern]) -> Bound<Relation> {
        let first = self.matched(&relation, patterns)?;
        let rest = (0..relation.columns.len()).filter(|place| !first.contains(place));
        let columns = first.iter().copied().chain(rest).map(|place| relation.columns[place].clone()).collect();
        Ok(Relation { columns, ..relation })
    }

    fn rename(&mut self, relation: Relation, pairs: &[(Name, Name)]) -> Bound<Relation> {
        let mut result = relation.clone();
        for (new, old) in pairs {
            let place = relation.columns.iter().position(|column| *column.name == *old.text);
            match place {
                Some(place) => result.columns[place].name = new.text.as_str().into(),
                None => {
                    self.complain(unknown_column(&old.text, &old.span, &relation))?;
                    if result.column(&new.text).is_none() {
                        let node = self.null(ColumnType::String);
                        result.set(&new.text, node);
                    }
                }
            }
        }
        for (number, column) in result.columns.iter().enumerate() {
            if result.columns[..number].iter().any(|other| other.name == column.name) {
                let span = pairs.iter().find(|(new, _)| *new.text == *column.name).map(|(new, _)| new.span.clone());
                return Err(Diagnostic::error(
                    span.unwrap_or(0..0),
                    format!("there is already a column `{}`", column.name),
                ));
            }
        }
        Ok(result)
    }

    fn parse(&mut self, relation: Relation, spec: &ParseSpec, scope: &Rc<Scope>) -> Bound<Relation> {
        let input = self.expr(&spec.input, Context { relation: Some(&relation), scope })?;
        let input = self.graph.convert(input, ColumnType::String);
        let pattern = ParsePattern::new(spec.kind, &spec.flags, &spec.parts)
            .map_err(|message| Diagnostic::error(spec.input.span.clone(), message))?;
        let domain = relation.domain;
        let tuple = self.graph.tuple(Op::Parse(Arc::new(pattern)), input, domain);
        let mut result = relation;
        let columns = spec.parts.iter().filter_map(|part| match part {
            ParsePart::Column(name, ty) => Some((name, ty.unwrap_or(ColumnType::String))),
            _ => None,
        });
        let mut count = 0;
        for (name, ty) in columns {
            let node = self.graph.field(Op::Part(count), count, tuple, ty, domain);
            result.set(&name.text, node);
            count += 1;
        }
        if spec.filter {
            let matched = self.graph.field(Op::Part(count), count, tuple, ColumnType::Bool, domain);
            return Ok(self.filtered(result, matched));
        }
        Ok(result)
    }

    fn parse_kv(&mut self, relation: Relation, spec: &ParseKv, scope: &Rc<Scope>) -> Bound<Relation> {
        let context = Context { relation: Some(&relation), scope };
        let input = self.expr(&spec.input, context)?;
        let input = self.graph.convert(input, ColumnType::String);
        let mut pattern = KvPattern {
            columns: spec.columns.iter().map(|(name, ty)| (name.text.clone(), *ty)).collect(),
            pair_delimiters: vec![' '],
            kv_delimiters: vec!['='],
            quotes: None,
            escape: None,
            greedy: false,
            regex: None,
        };
        for (name, value) in &spec.options {
            let node = self.expr(value, context)?;
            let constant = self.graph.constant(node).cloned();
            let text = constant.as_ref().and_then(Scalar::as_str);
            let bad = || Diagnostic::error(value.span.clone(), format!("`{}` needs a constant text", name.text));
            let one = || text.and_then(|text| text.chars().next()).ok_or_else(bad);
            match name.text.as_str() {
                "pair_delimiter" => pattern.pair_delimiters = text.ok_or_else(bad)?.chars().collect(),
                "kv_delimiter" => pattern.kv_delimiters = text.ok_or_else(bad)?.chars().collect(),
                "quote" => {
                    let mut quotes = text.ok_or_else(bad)?.chars();
                    let open = quotes.next().ok_or_else(bad)?;
                    pattern.quotes = Some((open, quotes.next().unwrap_or(open)));
                }
                "escape" => pattern.escape = Some(one()?),
                "greedy" => pattern.greedy = matches!(constant, Some(Scalar::Bool(true))),
                "regex" => {
                    let regex = regexes::compile(text.ok_or_else(bad)?)
                        .map_err(|message| Diagnostic::error(value.span.clone(), message))?;
                    pattern.regex = Some(regex);
                }
                other => {
                    return Err(Diagnostic::error(name.span.clone(), format!("unknown option `{other}` of parse-kv"))
                        .with_help("expected pair_delimiter, kv_delimiter, quote, escape, greedy or regex"));
                }
            }
        }
        let domain = relation.domain;
        let tuple = self.graph.tuple(Op::ParseKv(Arc::new(pattern)), input, domain);
        let mut result = relation;
        for (number, (name, ty)) in spec.columns.iter().enumerate() {
            let node = self.graph.field(Op::Part(number), number, tuple, *ty, domain);
            result.set(&name.text, node);
        }
        Ok(result)
    }

    fn mv_expand(&mut self, relation: Relation, spec: &Expand, scope: &Rc<Scope>) -> Bound<Relation> {
        let (selection, domain, expanded) = self.unnest(&relation, spec, scope)?;
        let mut result = self.carried(&relation, selection, domain);
        for column in expanded {
            result.set(&column.name, column.node);
        }
        Ok(result)
    }

    /// One row per element: the selection, its domain, and the elements' columns.
    pub(super) fn unnest(
        &mut self,
        relation: &Relation,
        spec: &Expand,
        scope: &Rc<Scope>,
    ) -> Bound<(NodeId, DomainId, Vec<BoundColumn>)> {
        let context = Context { relation: Some(relation), scope };
        let mut nodes = Vec::new();
        let mut outputs: Vec<(String, ColumnType)> = Vec::new();
        for (assignment, ty) in &spec.columns {
            let mut node = self.expr(&assignment.value, context)?;
            // A missing column is an empty text, here an array without elements.
            if self.graph.ty(node) == ColumnType::String
                && self.graph.constant(node).and_then(Scalar::as_str) == Some("")
            {
                node = self.null(ColumnType::Dynamic);
            }
            if self.graph.ty(node) != ColumnType::Dynamic {
                return Err(Diagnostic::error(assignment.value.span.clone(), "only dynamic values can be expanded")
                    .with_help("`parse_json(…)` or `todynamic(…)` reads a text as a dynamic value"));
            }
            let name = match &assignment.name {
                Some(name) => name.text.clone(),
                None => names::implied(&assignment.value).unwrap_or_else(|| names::unnamed(&[], &relation.columns)),
            };
            nodes.push(node);
            outputs.push((name, ty.unwrap_or(ColumnType::Dynamic)));
        }
        let limit = match &spec.limit {
            Some(expr) => self.row_count(expr, scope)?,
            None => usize::MAX,
        };
        let count = nodes.len();
        let op = Op::Unnest(UnnestSpec { as_array: spec.as_array, limit });
        let (selection, domain) = self.graph.selection(op, nodes, relation.domain);
        let mut expanded = Vec::new();
        for (number, (name, ty)) in outputs.iter().enumerate() {
            let node = self.graph.field(Op::Unnested(number), number, selection, ColumnType::Dynamic, domain);
            let node = self.element_as(node, *ty);
            expanded.push(BoundColumn { name: name.as_str().into(), node });
        }
        if let Some(index) = &spec.index {
            let node = self.graph.field(Op::Unnested(count), count, selection, ColumnType::Long, domain);
            expanded.push(BoundColumn { name: index.text.as_str().into(), node });
        }
        Ok((selection, domain, expanded))
    }

    /// An element of an array as a `ty`. Kusto casts and does not parse: a text is no number, whatever it says.
    fn element_as(&mut self, node: NodeId, ty: ColumnType) -> NodeId {
        let converted = self.graph.convert(node, ty);
        if !matches!(ty, ColumnType::Int | ColumnType::Long | ColumnType::Real | ColumnType::Bool) {
            return converted;
        }
        let kind = self.graph.builtin("gettype", vec![node]);
        let text = self.graph.text("string");
        let is_text = self.graph.builtin("==", vec![kind, text]);
        let null = self.null(ty);
        self.graph.call(builtin("case"), vec![is_text, null, converted], Some(ty)).expect("`case` takes any values")
    }

    /// A constant number of rows.
    pub(super) fn row_count(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Bound<usize> {
        let node = self.expr(expr, Context { relation: None, scope })?;
        match self.graph.constant(node) {
            Some(Scalar::Long(value)) => Ok(usize::try_from(*value).unwrap_or(0)),
            Some(Scalar::Int(value)) => Ok(usize::try_from(*value).unwrap_or(0)),
            _ => Err(Diagnostic::error(expr.span.clone(), "the number of rows must be a constant")),
        }
    }
}

/// Says that a graph is no table.
fn no_table(operator: &Operator) -> Diagnostic {
    let message = format!("`{}` leaves a graph, or works on one, where a table is needed", operator.kind.name());
    Diagnostic::error(operator.name_span.clone(), message)
        .with_help("`graph-match` or `graph-shortest-paths` stands right behind `make-graph`, and gives a table")
}
