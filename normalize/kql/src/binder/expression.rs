//! Scalar expressions: names, operators, paths, and the conversions between types that operators imply.

use std::rc::Rc;

use weir_contract::schema::ColumnType;

use super::faults::refused;
use super::scope::{Binding, Context, Scope};
use super::{Binder, Bound, MAX_NODES, Mode, Relation, names, scan};
use crate::diagnostic::{Diagnostic, Span, Subject, nearest};
use crate::functions::{builtin, result_type};
use crate::json::{self, Segment};
use crate::program::graph::NodeId;
use crate::scalar::Scalar;
use crate::syntax::ast::{Expr, ExprKind};
use crate::text;

impl Binder<'_> {
    /// A boolean expression. Lenient mode takes a dynamic, too, as a bool.
    pub(super) fn predicate(&mut self, expr: &Expr, relation: &Relation, scope: &Rc<Scope>) -> Bound<NodeId> {
        let node = self.expr(expr, Context { relation: Some(relation), scope })?;
        match self.graph.ty(node) {
            ColumnType::Bool => Ok(node),
            ColumnType::Dynamic if self.mode == Mode::Lenient => Ok(self.graph.convert(node, ColumnType::Bool)),
            ty => {
                Err(Diagnostic::error(expr.span.clone(), format!("expected a condition, found a value of type {ty}"))
                    .with_help("compare it with something, as in `x == …`"))
            }
        }
    }

    pub(super) fn expr(&mut self, expr: &Expr, context: Context<'_>) -> Bound<NodeId> {
        if self.graph.nodes.len() > MAX_NODES {
            return Err(Diagnostic::error(expr.span.clone(), "the query expands to too many expressions"));
        }
        match &expr.kind {
            ExprKind::Literal(scalar) => Ok(self.graph.scalar(scalar.clone())),
            ExprKind::Name(name) => self.name(name, &expr.span, context),
            ExprKind::Member(base, name) => {
                if let Some(node) = scan::of_step(base, name, context) {
                    return Ok(node);
                }
                let base = self.path_base(base, context)?;
                Ok(self.graph.path(base, Segment::Key(name.clone())))
            }
            ExprKind::Index(base, index) => self.index(base, index, context),
            ExprKind::Call(name, args) => {
                if let Some((_, node)) = self.gathered.iter().find(|(span, _)| *span == expr.span) {
                    return Ok(*node);
                }
                self.call(name, args, &expr.span, context)
            }
            ExprKind::Negate(inner) => {
                let inner_node = self.expr(inner, context)?;
                let zero = match self.graph.ty(inner_node) {
                    ColumnType::Timespan => Scalar::Timespan(0),
                    ColumnType::Real => Scalar::Real(-0.0),
                    ColumnType::Dynamic => Scalar::Dynamic("0".into()),
                    _ => Scalar::Long(0),
                };
                let zero = self.graph.scalar(zero);
                self.binary("-", zero, inner_node, &expr.span)
            }
            ExprKind::Binary(op, left, right) => self.binary_chain(op, left, right, expr, context),
            ExprKind::Among(op, value, items) => self.among(op, value, items, context),
            ExprKind::Between(negated, value, low, high) => {
                let value_node = self.expr(value, context)?;
                let low_node = self.expr(low, context)?;
                let mut high_node = self.expr(high, context)?;
                // `between (start .. 1d)`: a span as the upper bound of a time counts from the lower one.
                if self.graph.ty(high_node) == ColumnType::Timespan && self.graph.ty(low_node) == ColumnType::Datetime {
                    high_node = self.binary("+", low_node, high_node, &high.span)?;
                }
                if self.mode == Mode::Strict && self.graph.ty(value_node) == ColumnType::Bool {
                    return Err(Diagnostic::error(value.span.clone(), "`between` does not take a bool"));
                }
                let above = self.binary(">=", value_node, low_node, &expr.span)?;
                let below = self.binary("<=", value_node, high_node, &expr.span)?;
                let inside = self.graph.builtin("and", vec![above, below]);
                Ok(if *negated { self.graph.builtin("not", vec![inside]) } else { inside })
            }
            ExprKind::Method(base, name, _) => Err(Diagnostic::error(
                base.span.start..name.span.end,
                "only the service knows its clusters and databases",
            )
            .with_help("name the table alone")),
            ExprKind::Missing => Err(Diagnostic::error(expr.span.clone(), "expected an expression")),
            ExprKind::Star => Err(Diagnostic::error(expr.span.clone(), "`*` stands for no value here")),
            ExprKind::TypeOf(_) => Err(Diagnostic::error(expr.span.clone(), "a type stands for no value here")),
            ExprKind::External(_) => Err(Diagnostic::error(
                expr.span.clone(),
                "`externaldata` does not run here: no query fetches from elsewhere",
            )
            .with_help("give its rows as a `datatable`, or as a watchlist that `_GetWatchlist` names")),
            ExprKind::Source(operator) => Err(refused(operator.kind.name(), operator.name_span.clone())),
            ExprKind::Pipe(..)
            | ExprKind::Datatable(..)
            | ExprKind::Print(_)
            | ExprKind::Range(..)
            | ExprKind::Union(_)
            | ExprKind::Wildcard(_) => Err(Diagnostic::error(expr.span.clone(), "expected a value, found a table")
                .with_help("`toscalar(…)` takes the first value of a table")),
        }
    }

    fn name(&mut self, name: &str, span: &Span, context: Context<'_>) -> Bound<NodeId> {
        if let Some(Binding::Scalar(node)) = context.scope.param(name) {
            return Ok(node);
        }
        if let Some(node) = context.relation.and_then(|relation| relation.column(name)) {
            return Ok(node);
        }
        match context.scope.get(name) {
            Some(Binding::Scalar(node)) => return Ok(node),
            Some(_) => {
                return Err(Diagnostic::error(span.clone(), format!("`{name}` is a table or a function, not a value")));
            }
            None => {}
        }
        if self.mode == Mode::Lenient && context.relation.is_some() {
            match (name, names::standard_column(name)) {
                ("Type", _) => return Ok(self.graph.text(&self.table.name)),
                (_, Some(ty)) => return Ok(self.null(ty)),
                _ => {}
            }
        }
        let visible = context.scope.visible();
        let columns = context.relation.map(|relation| relation.columns.as_slice()).unwrap_or_default();
        let mut error =
            Diagnostic::error(span.clone(), format!("unknown column `{name}`")).about(Subject::UnknownColumn);
        error.help =
            nearest(name, columns.iter().map(|column| &*column.name).chain(visible.iter().map(String::as_str)));
        if context.relation.is_none() {
            return Err(error);
        }
        self.complain(error)?;
        Ok(self.null(ColumnType::String))
    }

    /// The base of a path: a dynamic value. A text that names no column is a missing bag in lenient mode.
    fn path_base(&mut self, base: &Expr, context: Context<'_>) -> Bound<NodeId> {
        let node = self.expr(base, context)?;
        match self.graph.ty(node) {
            ColumnType::Dynamic => Ok(node),
            ColumnType::String
                if self.mode == Mode::Lenient && self.graph.constant(node).and_then(Scalar::as_str) == Some("") =>
            {
                Ok(self.null(ColumnType::Dynamic))
            }
            ty => {
                let error = Diagnostic::error(base.span.clone(), format!("a value of type {ty} has no members"))
                    .with_help("`parse_json(…)` reads a text as a dynamic value");
                match self.mode {
                    Mode::Strict => Err(error),
                    Mode::Lenient => {
                        self.complain(error)?;
                        Ok(self.graph.convert(node, ColumnType::Dynamic))
                    }
                }
            }
        }
    }

    fn index(&mut self, base: &Expr, index: &Expr, context: Context<'_>) -> Bound<NodeId> {
        let base = self.path_base(base, context)?;
        let node = self.expr(index, context)?;
        let node = match self.graph.ty(node) {
            ColumnType::Int => self.graph.convert(node, ColumnType::Long),
            ColumnType::Long | ColumnType::String | ColumnType::Dynamic => node,
            ty => {
                return Err(Diagnostic::error(index.span.clone(), format!("a value of type {ty} is no index"))
                    .with_help("an index is a number or a member's name"));
            }
        };
        Ok(match self.graph.constant(node) {
            Some(Scalar::Long(position)) => {
                let position = *position;
                self.graph.path(base, Segment::Index(position))
            }
            Some(Scalar::String(name)) => {
                let name = name.to_string();
                self.graph.path(base, Segment::Key(name))
            }
            _ => self.graph.builtin("[]", vec![base, node]),
        })
    }

    /// A left-deep chain of operators (`a or b or c …`) without recursion: it may be thousands of operators long.
    fn binary_chain(
        &mut self,
        op: &'static str,
        left: &Expr,
        right: &Expr,
        whole: &Expr,
        context: Context<'_>,
    ) -> Bound<NodeId> {
        let mut chain = vec![(op, right, &whole.span)];
        let mut first = left;
        while let ExprKind::Binary(op, left, right) = &first.kind {
            chain.push((op, right, &first.span));
            first = left;
        }
        let mut node = self.expr(first, context)?;
        for (op, right, span) in chain.into_iter().rev() {
            let right = self.expr(right, context)?;
            node = self.binary(op, node, right, span)?;
        }
        Ok(node)
    }

    /// `left op right` with the conversions that it implies.
    pub(super) fn binary(&mut self, op: &'static str, left: NodeId, right: NodeId, span: &Span) -> Bound<NodeId> {
        let (left_ty, right_ty) = (self.graph.ty(left), self.graph.ty(right));
        let mismatch = || {
            Diagnostic::error(span.clone(), format!("`{op}` does not take {left_ty} and {right_ty}"))
                .with_help("convert one side, as with `tostring(…)`, `tolong(…)` or `todatetime(…)`")
        };
        let unordered = |ty| matches!(ty, ColumnType::String | ColumnType::Guid);
        let is_no_number = |ty| matches!(ty, ColumnType::Datetime | ColumnType::Timespan | ColumnType::Bool);
        // What a dynamic holds is taken for a number here.
        let no_number_and_dynamic = is_no_number(left_ty) && right_ty == ColumnType::Dynamic
            || left_ty == ColumnType::Dynamic && is_no_number(right_ty);
        match op {
            // Texts have no order in Kusto.
            "<" | "<=" | ">" | ">=" if self.mode == Mode::Strict && (unordered(left_ty) || unordered(right_ty)) => {
                Err(mismatch().with_help("texts have no order; `strcmp(a, b)` compares them"))
            }
            "<" | "<=" | ">" | ">=" | "*" | "/" | "%" if self.mode == Mode::Strict && no_number_and_dynamic => {
                Err(mismatch())
            }
            "+" | "-" | "*" | "/" | "%"
                if self.mode == Mode::Strict && (left_ty == ColumnType::Bool || right_ty == ColumnType::Bool) =>
            {
                Err(mismatch())
            }
            "+" | "-" | "*" | "/" | "%" => {
                let (ty, want_left, want_right) = result_type(op, left_ty, right_ty).ok_or_else(mismatch)?;
                let args = vec![self.graph.convert(left, want_left), self.graph.convert(right, want_right)];
                self.graph.call(builtin(op), args, Some(ty)).map_err(|message| Diagnostic::error(span.clone(), message))
            }
            "==" | "!=" | "<" | "<=" | ">" | ">=" => {
                let (left, right) = self.comparable(left, right).ok_or_else(mismatch)?;
                Ok(self.graph.builtin(op, vec![left, right]))
            }
            "and" | "or" => {
                let mut args = Vec::new();
                for node in [left, right] {
                    args.push(match self.graph.ty(node) {
                        ColumnType::Bool => node,
                        ColumnType::Dynamic => self.graph.convert(node, ColumnType::Bool),
                        _ => return Err(mismatch()),
                    });
                }
                // One constant side decides or vanishes.
                for (constant, other) in [(0, 1), (1, 0)] {
                    if let Some(Scalar::Bool(value)) = self.graph.constant(args[constant]) {
                        let decides = *value == (op == "or");
                        return Ok(args[if decides { constant } else { other }]);
                    }
                }
                Ok(self.graph.builtin(op, args))
            }
            _ => {
                // The text operators.
                let is_text = |ty| matches!(ty, ColumnType::String | ColumnType::Dynamic);
                if self.mode == Mode::Strict && !(is_text(left_ty) && is_text(right_ty)) {
                    return Err(mismatch());
                }
                let args =
                    vec![self.graph.convert(left, ColumnType::String), self.graph.convert(right, ColumnType::String)];
                self.graph.call(builtin(op), args, None).map_err(|message| Diagnostic::error(span.clone(), message))
            }
        }
    }

    /// Both sides in one type in which they can be compared; ints and bools beside numbers become longs.
    fn comparable(&mut self, left: NodeId, right: NodeId) -> Option<(NodeId, NodeId)> {
        use ColumnType::{Bool, Datetime, Dynamic, Guid, Int, Long, Real, String, Timespan};
        // A constant text beside a time is a time.
        let text_of_time = |binder: &Self, node| {
            binder.graph.ty(node) == String && binder.graph.constant(node).is_some_and(|text| text.as_str() != Some(""))
        };
        let target = match (self.graph.ty(left), self.graph.ty(right)) {
            (ty @ (Datetime | Timespan), String) if text_of_time(self, right) => ty,
            (String, ty @ (Datetime | Timespan)) if text_of_time(self, left) => ty,
            (Int | Long, Int | Long) => Long,
            (Int | Long | Real, Int | Long | Real) => Real,
            (Dynamic, Dynamic) => String,
            // A real inside a dynamic is not cut off to fit a whole number.
            (Dynamic, Int | Long) | (Int | Long, Dynamic) => return Some(self.compare_with_whole(left, right)),
            (Dynamic, other) | (other, Dynamic) => other,
            (Bool, Int | Long) | (Int | Long, Bool) => Long,
            (Bool, Real) | (Real, Bool) => Real,
            (Guid, String) | (String, Guid) => Guid,
            (a, b) if a == b => a,
            _ => return None,
        };
        debug_assert!(!matches!(target, Int | Datetime | Timespan) || target != Int);
        Some((self.graph.convert(left, target), self.graph.convert(right, target)))
    }

    fn compare_with_whole(&mut self, left: NodeId, right: NodeId) -> (NodeId, NodeId) {
        let constant = [left, right].into_iter().find_map(|node| match self.graph.constant(node) {
            Some(Scalar::Long(value)) => Some(*value),
            Some(Scalar::Int(value)) => Some(i64::from(*value)),
            _ => None,
        });
        // Up to 2^53 a real holds every whole number exactly.
        let target = match constant {
            Some(value) if value.unsigned_abs() <= 1 << 53 => ColumnType::Real,
            _ => ColumnType::Long,
        };
        (self.graph.convert(left, target), self.graph.convert(right, target))
    }

    fn among(&mut self, op: &'static str, value: &Expr, items: &[Expr], context: Context<'_>) -> Bound<NodeId> {
        let value_node = self.expr(value, context)?;
        let mut list: Vec<NodeId> = Vec::new();
        let mut arrays: Vec<NodeId> = Vec::new();
        for item in items {
            let node = match self.item(item, context)? {
                super::Item::Scalar(node) => node,
                super::Item::Table(relation) => {
                    list.extend(self.first_column(&relation, &item.span)?);
                    continue;
                }
            };
            match self.graph.constant(node).cloned() {
                Some(Scalar::Dynamic(array)) => {
                    let mut elements = Vec::new();
                    // A null is equal to nothing, but has the empty text.
                    let counts = |element: &str| element != "null" || matches!(op, "has_any" | "has_all");
                    let mut push = |element: &str| {
                        if counts(element) {
                            elements.push(text::dynamic_text(element).into_owned());
                        }
                    };
                    if json::elements(&array, &mut push).is_none() {
                        elements.push(text::dynamic_text(&array).into_owned());
                    }
                    list.extend(elements.iter().map(|element| self.graph.text(element)));
                }
                Some(Scalar::Null(ColumnType::Dynamic)) => {}
                _ if self.graph.ty(node) == ColumnType::Dynamic => arrays.push(node),
                _ => list.push(node),
            }
        }
        let value_ty = self.graph.ty(value_node);
        if matches!(op, "has_any" | "has_all" | "in~" | "!in~")
            && self.mode == Mode::Strict
            && !matches!(value_ty, ColumnType::String | ColumnType::Dynamic)
        {
            let message = format!("`{op}` compares texts, found {value_ty}");
            return Err(Diagnostic::error(value.span.clone(), message).with_help("`tostring(…)` gives the text"));
        }
        if matches!(op, "has_any" | "has_all") {
            let mut args = vec![self.graph.convert(value_node, ColumnType::String)];
            for node in list {
                args.push(self.graph.convert(node, ColumnType::String));
            }
            args.extend(arrays);
            return Ok(self.graph.builtin(op, args));
        }
        let negated = op.starts_with('!');
        let ignore_case = op.ends_with('~');
        let mut ty = match self.graph.ty(value_node) {
            _ if ignore_case => ColumnType::String,
            ColumnType::Int => ColumnType::Long,
            ColumnType::Dynamic => list.first().map_or(ColumnType::String, |first| self.graph.ty(*first)),
            ty => ty,
        };
        if ty == ColumnType::Long && list.iter().any(|item| self.graph.ty(*item) == ColumnType::Real) {
            ty = ColumnType::Real;
        }
        if ty == ColumnType::Int {
            ty = ColumnType::Long;
        }
        let mut args = vec![self.graph.convert(value_node, ty)];
        for (node, item) in list.into_iter().zip(items.iter().chain(std::iter::repeat(value))) {
            let item_ty = self.graph.ty(node);
            let fits = item_ty == ty
                || item_ty == ColumnType::String
                || matches!(
                    (item_ty, ty),
                    (ColumnType::Int | ColumnType::Long | ColumnType::Real, ColumnType::Long | ColumnType::Real)
                )
                || (ignore_case && item_ty == ColumnType::Guid);
            if !fits {
                return Err(Diagnostic::error(
                    item.span.clone(),
                    format!("a value of type {item_ty} is never in a list for {ty}"),
                ));
            }
            args.push(self.graph.convert(node, ty));
        }
        if arrays.is_empty() {
            return Ok(self.graph.builtin(op, args));
        }
        let mut found = self.graph.builtin(if ignore_case { "in~" } else { "in" }, args.clone());
        for array in arrays {
            let held = self.among_dynamic(args[0], array, ignore_case);
            found = self.graph.builtin("or", vec![found, held]);
        }
        Ok(if negated { self.graph.builtin("not", vec![found]) } else { found })
    }

    /// Whether a value is an element of an array, or equal to what is no array. Never null.
    fn among_dynamic(&mut self, value: NodeId, array: NodeId, ignore_case: bool) -> NodeId {
        let mut value = self.graph.convert(value, ColumnType::String);
        let mut text = self.graph.convert(array, ColumnType::String);
        let mut array = array;
        if ignore_case {
            value = self.graph.builtin("tolower", vec![value]);
            text = self.graph.builtin("tolower", vec![text]);
            array = self.graph.convert(text, ColumnType::Dynamic);
        }
        let element = self.graph.builtin("set_has_element", vec![array, value]);
        let there = self.graph.builtin("isnotnull", vec![array]);
        let same = self.graph.builtin("==", vec![value, text]);
        let itself = self.graph.builtin("and", vec![there, same]);
        self.graph
            .call(builtin("coalesce"), vec![element, itself], Some(ColumnType::Bool))
            .expect("coalesce refuses nothing")
    }
}
