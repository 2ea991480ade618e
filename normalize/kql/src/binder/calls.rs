//! Calls: the user's `let` functions, the functions that need the binder itself, and those of the tables.

use std::rc::Rc;

use ahash::AHashMap;
use weir_contract::schema::ColumnType;

use super::hunting::MAX_LISTED;
use super::scope::{Binding, Context, Scope};
use super::{Binder, Bound, Item, MAX_CALL_DEPTH, MAX_EXPANSIONS, Relation};
use crate::diagnostic::{Diagnostic, Span, Subject, nearest};
use crate::functions::{self, Function, Prepared, Want, builtin};
use crate::program::graph::{NodeId, Op};
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, ExprKind, FunctionDef, Name, ParamType, Query};
use crate::syntax::expression::TEXT_OPERATORS;

/// A chain of this many comparisons becomes a map.
const MIN_CASE_MAP: usize = 3;

impl Binder<'_> {
    pub(super) fn call(&mut self, name: &Name, args: &[Arg], span: &Span, context: Context<'_>) -> Bound<NodeId> {
        if let Some(Binding::Function(definition, scope)) = context.scope.get(&name.text) {
            return self.expand(&definition, &scope, None, args, span, context)?.into_scalar(span);
        }
        if super::window::is_window_function(&name.text) {
            return self.window(&name.text, args, span, context);
        }
        match name.text.as_str() {
            "column_ifexists" | "columnifexists" => return self.column_if_exists(args, span, context),
            "toscalar" => {
                let [arg] = args else { return Err(Diagnostic::error(span.clone(), "`toscalar` takes one table")) };
                return match self.item(&arg.value, context)? {
                    Item::Scalar(node) => Ok(node),
                    Item::Table(mut relation) => {
                        if self.is_hunting() && !self.is_constant_table(&relation) {
                            relation = self.first_row(&relation);
                        }
                        let first = self.first_column(&relation, &arg.value.span)?.first().copied();
                        Ok(first.unwrap_or_else(|| self.null(ColumnType::Dynamic)))
                    }
                };
            }
            "bag_pack_columns" => return self.pack_columns(args, context),
            "pack_all" => return self.pack_all(args, span, context),
            "extract" if args.len() == 4 => {
                let ExprKind::TypeOf(ty) = args[3].value.kind else {
                    return Err(Diagnostic::error(args[3].value.span.clone(), "expected `typeof(…)`"));
                };
                let extracted = self.call(name, &args[..3], span, context)?;
                return Ok(self.graph.convert(extracted, ty));
            }
            "floor" if args.len() == 1 && self.mode == super::Mode::Lenient => {
                let node = self.expr(&args[0].value, context)?;
                let one = self.graph.scalar(Scalar::Real(1.0));
                let real = self.graph.convert(node, ColumnType::Real);
                return Ok(self.graph.builtin("bin", vec![real, one]));
            }
            _ => {}
        }
        let Some(function) = functions::find(&name.text).filter(|_| is_callable(&name.text)) else {
            if let Some(definition) = self.stored(&name.text) {
                return self.expand_stored(&definition, None, args, span, context)?.into_scalar(span);
            }
            if crate::functions::aggregates::find(&name.text).is_some() {
                let message = format!("the aggregate `{}` stands only in `summarize`", name.text);
                return Err(Diagnostic::error(name.span.clone(), message));
            }
            let visible = context.scope.visible();
            let mut error = Diagnostic::error(name.span.clone(), format!("unknown function `{}`", name.text))
                .about(Subject::UnknownFunction);
            error.help = nearest(
                &name.text,
                functions::names()
                    .map(|name| name as &str)
                    .chain(self.catalog.names())
                    .chain(visible.iter().map(String::as_str)),
            );
            return Err(error);
        };
        let mut nodes = Vec::with_capacity(args.len());
        for arg in args {
            nodes.push(self.expr(&arg.value, context)?);
        }
        // The older `replace(pattern, rewrite, text)` has its text last.
        if name.text == "replace" && nodes.len() == 3 {
            nodes.rotate_right(1);
        }
        self.call_function(function, &name.text, nodes, args, span)
    }

    fn call_function(
        &mut self,
        function: &'static Function,
        name: &str,
        mut nodes: Vec<NodeId>,
        args: &[Arg],
        span: &Span,
    ) -> Bound<NodeId> {
        let few = nodes.len() < function.required;
        if few || (nodes.len() > function.params.len() && function.repeats == 0) {
            let expected = match (function.repeats, function.required == function.params.len()) {
                (0, true) => function.required.to_string(),
                (0, false) => format!("{} to {}", function.required, function.params.len()),
                _ => format!("at least {}", function.required),
            };
            return Err(Diagnostic::error(
                span.clone(),
                format!("`{name}` takes {expected} arguments, found {}", nodes.len()),
            )
            .with_help(function.doc));
        }
        if self.mode == super::Mode::Strict {
            self.strict(function, &nodes, name, args, span)?;
        }
        let given = nodes.first().map(|node| self.graph.ty(*node));
        let count = nodes.len();
        for (position, node) in nodes.iter_mut().enumerate() {
            let want = match function.name {
                // Conditions and values take turns, and the last value stands alone.
                "case" | "iff" if position.is_multiple_of(2) && position + 1 < count => Want::Bool,
                "case" | "iff" => Want::Any,
                // Without groups, the text is the second argument.
                "extract_all" if position == 1 => {
                    if count == 2 {
                        Want::Str
                    } else {
                        Want::Dynamic
                    }
                }
                // Behind the arrays may stand whether nulls are last.
                "array_sort_asc" | "array_sort_desc"
                    if position > 0 && position + 1 == count && self.graph.ty(*node) == ColumnType::Bool =>
                {
                    Want::Any
                }
                "array_sort_asc" | "array_sort_desc" => Want::Dynamic,
                _ => function.want(position).unwrap_or(Want::Any),
            };
            let at = args.get(position).map_or(span, |arg| &arg.value.span);
            *node = self.wanted(*node, want, name, at)?;
        }
        let ty = match function.name {
            "case" | "iff" => {
                if nodes.len().is_multiple_of(2) {
                    return Err(Diagnostic::error(span.clone(), "`case` takes pairs and a last value for the rest")
                        .with_help("`case(condition, value, …, otherwise)`"));
                }
                return self.case(nodes, name, span);
            }
            "coalesce" | "min_of" | "max_of" => {
                let all: Vec<usize> = (0..nodes.len()).collect();
                let ty = self.common_type(&nodes, &all, name, span)?;
                // The kernels of `min_of` and `max_of` compare longs.
                let wide = if function.name != "coalesce" && ty == ColumnType::Int { ColumnType::Long } else { ty };
                for node in &mut nodes {
                    *node = self.graph.convert(*node, wide);
                }
                let chosen = match nodes.as_slice() {
                    [only] => *only,
                    _ => self
                        .graph
                        .call(function, nodes, Some(wide))
                        .map_err(|message| Diagnostic::error(span.clone(), message))?,
                };
                return Ok(self.graph.convert(chosen, ty));
            }
            "abs"
                if !matches!(
                    self.graph.ty(nodes[0]),
                    ColumnType::Int | ColumnType::Long | ColumnType::Real | ColumnType::Timespan
                ) && self.mode == super::Mode::Strict =>
            {
                let message = format!("`abs` expects a number or a timespan, found {}", self.graph.ty(nodes[0]));
                return Err(Diagnostic::error(span.clone(), message).with_help("convert it with `toreal(…)`"));
            }
            "bin" | "bin_at" => Some(self.bin_types(&mut nodes, name, span)?),
            "abs" if self.graph.ty(nodes[0]) == ColumnType::Int => {
                nodes[0] = self.graph.convert(nodes[0], ColumnType::Long);
                None
            }
            // A whole number stays what it is.
            "ceiling" => match given {
                Some(whole @ (ColumnType::Int | ColumnType::Long)) => return Ok(self.graph.convert(nodes[0], whole)),
                _ => None,
            },
            _ => None,
        };
        // A conversion to the type that a value already has is nothing.
        if let functions::Returns::Ty(ty) = function.returns
            && functions::converter(ty) == function.name
        {
            return Ok(self.graph.convert(nodes[0], ty));
        }
        let function = if function.name == "case" { builtin("case") } else { function };
        self.graph.call(function, nodes, ty).map_err(|message| Diagnostic::error(span.clone(), message))
    }

    /// What Kusto refuses though it could be computed: patterns and formats that are not constant, the smallest of what has
    /// no order.
    fn strict(
        &self,
        function: &'static Function,
        nodes: &[NodeId],
        name: &str,
        args: &[Arg],
        span: &Span,
    ) -> Bound<()> {
        let at = |place: usize| args.get(place).map_or(span, |arg| &arg.value.span).clone();
        for place in function.constants {
            let Some(node) = nodes.get(*place) else { continue };
            let Some(constant) = self.graph.constant(*node) else {
                return Err(Diagnostic::error(at(*place), format!("`{name}` needs a constant here")));
            };
            if function.name.starts_with("format_") && constant.as_str() == Some("") {
                return Err(Diagnostic::error(at(*place), "the format is empty"));
            }
        }
        let refused = match function.name {
            "min_of" | "max_of" => [ColumnType::Guid, ColumnType::Dynamic].as_slice(),
            "hash" | "hash_md5" | "hash_sha1" | "hash_sha256" | "hash_xxhash64" => &[ColumnType::Dynamic],
            _ => &[],
        };
        if function.name.starts_with("array_sort_")
            && let Some(last) = nodes.last().filter(|node| self.graph.ty(**node) == ColumnType::Bool)
            && self.graph.constant(*last).is_none()
        {
            return Err(Diagnostic::error(at(nodes.len() - 1), format!("`{name}` needs a constant here")));
        }
        let of_two_numbers = |want: &Want| *want == Want::NumberOrDynamic;
        if function.params.iter().all(of_two_numbers)
            && nodes.len() == 2
            && nodes.iter().all(|node| self.graph.ty(*node) != ColumnType::Dynamic)
        {
            return Err(Diagnostic::error(span.clone(), format!("`{name}` takes at least one array")));
        }
        for (place, node) in nodes.iter().enumerate() {
            let ty = self.graph.ty(*node);
            if refused.contains(&ty) && !self.is_null(*node) {
                return Err(Diagnostic::error(at(place), format!("`{name}` takes no values of type {ty}"))
                    .with_help("convert them, as with `tostring(…)` or `tolong(…)`"));
            }
        }
        Ok(())
    }

    fn is_null(&self, node: NodeId) -> bool {
        matches!(self.graph.constant(node), Some(Scalar::Null(_)))
    }

    /// The argument in the type that the function wants. Of dynamics, Kusto converts only those that stand for a text;
    /// lenient mode converts what can be.
    fn wanted(&mut self, node: NodeId, want: Want, name: &str, span: &Span) -> Bound<NodeId> {
        use ColumnType::{Bool, Datetime, Dynamic, Guid, Int, Long, Real, String, Timespan};
        let ty = self.graph.ty(node);
        let lenient = self.mode == super::Mode::Lenient;
        let target = match (want, ty) {
            (Want::Any, _) => return Ok(node),
            (Want::StrOrDynamic, String | Dynamic)
            | (Want::NumberOrDynamic, Int | Long | Real | Dynamic)
            | (Want::LongOrDynamic, Int | Long | Dynamic)
            | (Want::Summable, Int | Long | Real | Datetime | Timespan) => return Ok(node),
            (Want::StrOrDynamic | Want::NumberOrDynamic | Want::LongOrDynamic | Want::Summable, _) if lenient => {
                return Ok(node);
            }
            (Want::Text, _) | (Want::Str, String | Dynamic) => String,
            (Want::Str, _) if lenient => String,
            (Want::Guid, Guid) => Guid,
            (Want::Guid, _) if lenient => String,
            (Want::Bool, Bool) => Bool,
            (Want::Bool, Int | Long | Dynamic) if lenient => Bool,
            (Want::Long | Want::Whole, Int | Long) | (Want::Whole, Real) => Long,
            (Want::Long | Want::Whole, Real | Dynamic | Bool) if lenient => Long,
            (Want::Number, Int | Long) => Long,
            (Want::Real, Int | Long | Real) | (Want::Number, Real) => Real,
            (Want::Real | Want::Number, Dynamic) if lenient => Real,
            (Want::Datetime, Datetime) => Datetime,
            (Want::Datetime, Dynamic) if lenient => Datetime,
            (Want::Timespan, Timespan) => Timespan,
            (Want::Timespan, Dynamic) if lenient => Timespan,
            (Want::Dynamic, Dynamic) => Dynamic,
            // A missing column is the empty text; as a bag or a number it is nothing.
            (want, String) if lenient && self.graph.constant(node).and_then(Scalar::as_str) == Some("") => {
                let ty = match want {
                    Want::Bool => Bool,
                    Want::Long | Want::Whole => Long,
                    Want::Real | Want::Number => Real,
                    Want::Datetime => Datetime,
                    Want::Timespan => Timespan,
                    _ => Dynamic,
                };
                return Ok(self.null(ty));
            }
            (Want::Dynamic, String | Guid) if lenient => Dynamic,
            _ => {
                let (expected, help) = match want {
                    Want::Str => ("a string", "`tostring(…)` gives the text of any value"),
                    Want::StrOrDynamic => ("a string or a dynamic value", "`tostring(…)` gives the text of any value"),
                    Want::Guid => ("a guid", "`toguid(…)` reads a text as one"),
                    Want::Bool => ("a bool", "compare the value, or convert it with `tobool(…)`"),
                    Want::Long => ("a whole number", "convert it with `tolong(…)`"),
                    Want::Whole | Want::Real | Want::Number => {
                        ("a number", "convert it with `toreal(…)` or `tolong(…)`")
                    }
                    Want::NumberOrDynamic => ("a number or an array", "convert it with `toreal(…)` or `parse_json(…)`"),
                    Want::LongOrDynamic => ("a whole number or an array", "convert it with `tolong(…)`"),
                    Want::Summable => {
                        ("a number, datetime or timespan", "convert it with `toreal(…)` or `todatetime(…)`")
                    }
                    Want::Datetime => ("a datetime", "convert it with `todatetime(…)`"),
                    Want::Timespan => ("a timespan", "convert it with `totimespan(…)`"),
                    _ => ("a dynamic value", "`parse_json(…)` reads a text as one"),
                };
                let message = format!("`{name}` expects {expected} here, found {ty}");
                return Err(Diagnostic::error(span.clone(), message).with_help(help));
            }
        };
        Ok(self.graph.convert(node, target))
    }

    /// The type in which `places` of `nodes` meet: int → long → real; nulls of dynamic fit anything.
    fn common_type(&self, nodes: &[NodeId], places: &[usize], name: &str, span: &Span) -> Bound<ColumnType> {
        use ColumnType::{Dynamic, Int, Long, Real, String};
        let mut common: Option<ColumnType> = None;
        // Branches that do not meet make the whole dynamic.
        let mut mixed = false;
        for place in places {
            let node = nodes[*place];
            let ty = self.graph.ty(node);
            let of_condition = matches!(name, "case" | "iff" | "iif");
            let untyped = of_condition || self.mode == super::Mode::Lenient;
            if untyped && matches!(self.graph.constant(node), Some(Scalar::Null(Dynamic))) {
                continue;
            }
            common = Some(match (common, ty) {
                (None, ty) => ty,
                (Some(a), b) if a == b => a,
                (Some(Int | Long), Int | Long) => Long,
                (Some(Int | Long | Real), Int | Long | Real) => Real,
                // Beside a dynamic branch of a condition, the other one's type counts.
                (Some(Dynamic), other) | (Some(other), Dynamic) if of_condition => other,
                (Some(Dynamic), _) | (Some(_), Dynamic) if self.mode == super::Mode::Lenient => Dynamic,
                (Some(String), _) if self.is_missing(nodes, places, String) => ty,
                (Some(other), String)
                    if self.graph.constant(node).and_then(Scalar::as_str) == Some("")
                        && self.mode == super::Mode::Lenient =>
                {
                    other
                }
                // The branches of a condition may differ: the result is dynamic.
                (Some(_), _) if of_condition && self.mode == super::Mode::Strict => {
                    mixed = true;
                    Dynamic
                }
                (Some(a), b) => {
                    return Err(Diagnostic::error(
                        span.clone(),
                        format!("the values of `{name}` are of types {a} and {b}"),
                    )
                    .with_help("convert them to one type"));
                }
            });
        }
        Ok(common.filter(|_| !mixed).unwrap_or(Dynamic))
    }

    /// In lenient mode: whether all values of type `ty` are the stand-ins of missing columns.
    fn is_missing(&self, nodes: &[NodeId], places: &[usize], ty: ColumnType) -> bool {
        self.mode == super::Mode::Lenient
            && places.iter().all(|place| {
                self.graph.ty(nodes[*place]) != ty
                    || self.graph.constant(nodes[*place]).and_then(Scalar::as_str) == Some("")
            })
    }

    fn case(&mut self, mut nodes: Vec<NodeId>, name: &str, span: &Span) -> Bound<NodeId> {
        let last = nodes.len() - 1;
        let places: Vec<usize> = (1..nodes.len()).step_by(2).chain([last]).collect();
        let ty = self.common_type(&nodes, &places, name, span)?;
        for place in places {
            nodes[place] = self.graph.convert(nodes[place], ty);
        }
        // Constant conditions decide now.
        let mut kept = Vec::new();
        let mut otherwise = nodes[last];
        for pair in nodes[..last].chunks(2) {
            match self.graph.constant(pair[0]) {
                Some(Scalar::Bool(true)) => {
                    otherwise = pair[1];
                    break;
                }
                Some(_) => {}
                None => kept.extend_from_slice(pair),
            }
        }
        if kept.is_empty() {
            return Ok(otherwise);
        }
        kept.push(otherwise);
        if let Some(node) = self.case_map(&kept, ty) {
            return Ok(node);
        }
        self.graph.call(builtin("case"), kept, Some(ty)).map_err(|message| Diagnostic::error(span.clone(), message))
    }

    /// `case(x == "a", 1, x == "b", 2, …, 0)` with constant results as one map lookup.
    fn case_map(&mut self, nodes: &[NodeId], ty: ColumnType) -> Option<NodeId> {
        let (otherwise, pairs) = nodes.split_last()?;
        if pairs.len() / 2 < MIN_CASE_MAP {
            return None;
        }
        let mut rows: AHashMap<String, usize> = AHashMap::new();
        let mut results: Vec<Scalar> = Vec::new();
        let mut subject = None;
        for pair in pairs.chunks(2) {
            let condition = &self.graph.nodes[pair[0]];
            let Op::Call(function, _) = &condition.op else { return None };
            let (value, texts) = match (function.name, condition.args.as_slice()) {
                ("==" | "in", [value, texts @ ..]) => (*value, texts),
                _ => return None,
            };
            if self.graph.ty(value) != ColumnType::String || *subject.get_or_insert(value) != value {
                return None;
            }
            let row = results.len();
            results.push(self.graph.constant(pair[1])?.clone());
            for text in texts {
                let text = self.graph.constant(*text)?.as_str()?.to_owned();
                rows.entry(text).or_insert(row);
            }
        }
        results.push(self.graph.constant(*otherwise)?.clone());
        let arrays: Vec<_> = results.iter().map(Scalar::to_array).collect();
        let arrays: Vec<&dyn arrow::array::Array> = arrays.iter().map(AsRef::as_ref).collect();
        let results = arrow::compute::concat(&arrays).ok()?;
        let prepared = Prepared::CaseMap { rows, results };
        Some(self.graph.call_prepared(builtin("case of a text"), vec![subject?], ty, prepared))
    }

    fn bin_types(&mut self, nodes: &mut [NodeId], name: &str, span: &Span) -> Bound<ColumnType> {
        use ColumnType::{Datetime, Dynamic, Int, Long, Real, Timespan};
        let (value, size) = (self.graph.ty(nodes[0]), self.graph.ty(nodes[1]));
        let whole = nodes.iter().all(|node| matches!(self.graph.ty(*node), Int | Long));
        let numbers = nodes.iter().all(|node| matches!(self.graph.ty(*node), Int | Long | Real));
        let (ty, size_ty) = match (value, size) {
            (Int | Long, Int | Long) if whole => (Long, Long),
            (Int | Long | Real, Int | Long | Real) if numbers => (Real, Real),
            (Dynamic, Int | Long | Real) if self.mode == super::Mode::Lenient => (Real, Real),
            (Datetime | Timespan, Timespan) if nodes.get(2).is_none_or(|fixed| self.graph.ty(*fixed) == value) => {
                (value, Timespan)
            }
            _ => {
                return Err(Diagnostic::error(span.clone(), format!("`{name}` does not take {value} and {size}"))
                    .with_help("numbers go with numbers, datetimes and timespans with a timespan"));
            }
        };
        nodes[0] = self.graph.convert(nodes[0], ty);
        nodes[1] = self.graph.convert(nodes[1], size_ty);
        if let Some(fixed) = nodes.get_mut(2) {
            *fixed = self.graph.convert(*fixed, ty);
        }
        Ok(ty)
    }

    fn column_if_exists(&mut self, args: &[Arg], span: &Span, context: Context<'_>) -> Bound<NodeId> {
        let [name, default] = args else {
            return Err(Diagnostic::error(span.clone(), "`column_ifexists` takes a column's name and a default"));
        };
        let wanted = match &name.value.kind {
            ExprKind::Name(column) if context.scope.get(column).is_none() => column.clone(),
            _ => {
                let node = self.expr(&name.value, context)?;
                match self.graph.constant(node).and_then(Scalar::as_str) {
                    Some(name) => name.to_owned(),
                    None => {
                        return Err(Diagnostic::error(name.value.span.clone(), "the column's name must be constant"));
                    }
                }
            }
        };
        match context.relation.and_then(|relation| relation.column(&wanted)) {
            Some(node) => Ok(node),
            None => self.expr(&default.value, context),
        }
    }

    fn pack_columns(&mut self, args: &[Arg], context: Context<'_>) -> Bound<NodeId> {
        let mut pairs = Vec::new();
        for arg in args {
            let name = super::names::implied(&arg.value).ok_or_else(|| {
                Diagnostic::error(arg.value.span.clone(), "`bag_pack_columns` takes names of columns")
            })?;
            pairs.push(self.graph.text(&name));
            pairs.push(self.expr(&arg.value, context)?);
        }
        Ok(self.graph.builtin("bag_pack", pairs))
    }

    fn pack_all(&mut self, args: &[Arg], span: &Span, context: Context<'_>) -> Bound<NodeId> {
        let Some(relation) = context.relation else {
            return Err(Diagnostic::error(span.clone(), "`pack_all` needs a table's row"));
        };
        let ignore_empty = match args {
            [] => false,
            [arg] => {
                let node = self.expr(&arg.value, context)?;
                matches!(self.graph.constant(node), Some(Scalar::Bool(true)))
            }
            _ => return Err(Diagnostic::error(span.clone(), "`pack_all` takes at most one argument")),
        };
        let mut pairs = Vec::new();
        for column in &relation.columns {
            pairs.push(self.graph.text(&column.name));
            pairs.push(column.node);
        }
        Ok(self.graph.builtin(if ignore_empty { "pack_nonempty" } else { "bag_pack" }, pairs))
    }

    /// The stored function called `name`.
    pub(super) fn stored(&mut self, name: &str) -> Option<Rc<FunctionDef>> {
        if let Some(known) = self.stored.get(name) {
            return known.clone();
        }
        let found = self.catalog.find_function(name).map(Rc::new);
        self.stored.insert(name.to_owned(), found.clone());
        found
    }

    /// A call of a stored function. What is wrong inside it is reported at the call.
    pub(super) fn expand_stored(
        &mut self,
        definition: &Rc<FunctionDef>,
        first: Option<Relation>,
        args: &[Arg],
        span: &Span,
        context: Context<'_>,
    ) -> Bound<Item> {
        let scope = Rc::clone(context.scope);
        let (errors, warnings, assigned) = (self.errors.len(), self.warnings.len(), self.assigned.len());
        let result = self.expand(definition, &scope, first, args, span, context);
        for inside in self.errors[errors..].iter_mut().chain(&mut self.warnings[warnings..]) {
            inside.span = span.clone();
        }
        for (.., inside) in &mut self.assigned[assigned..] {
            *inside = span.clone();
        }
        result.map_err(|error| Diagnostic { span: span.clone(), ..error })
    }

    /// A call of a `let` function: its body bound with the arguments in place of the parameters. `first` is the table
    /// that `invoke` hands over.
    pub(super) fn expand(
        &mut self,
        definition: &Rc<FunctionDef>,
        scope: &Rc<Scope>,
        first: Option<Relation>,
        args: &[Arg],
        span: &Span,
        context: Context<'_>,
    ) -> Bound<Item> {
        self.expansions += 1;
        if self.expansions > MAX_EXPANSIONS || self.call_depth >= MAX_CALL_DEPTH {
            return Err(Diagnostic::error(span.clone(), "functions call each other too often"));
        }
        let inner = Scope::inside(scope, true);
        let mut positional = args.iter().filter(|arg| arg.name.is_none());
        let mut first = first;
        for param in &definition.params {
            let named = args.iter().find(|arg| arg.name.as_deref() == Some(&*param.name.text));
            let binding = if let (ParamType::Table(_), Some(table)) = (&param.ty, first.take_if(|_| named.is_none())) {
                Binding::Table(Rc::new(table))
            } else if let Some(arg) = named.or_else(|| positional.next()) {
                match (self.item(&arg.value, context)?, &param.ty) {
                    (Item::Table(relation), ParamType::Table(_)) => Binding::Table(Rc::new(relation)),
                    (Item::Scalar(node), ParamType::Scalar(ty)) => Binding::Scalar(self.graph.convert(node, *ty)),
                    (Item::Scalar(_), ParamType::Table(_)) => {
                        return Err(Diagnostic::error(
                            arg.value.span.clone(),
                            format!("parameter `{}` is a table", param.name.text),
                        ));
                    }
                    (Item::Table(_), ParamType::Scalar(_)) => {
                        return Err(Diagnostic::error(
                            arg.value.span.clone(),
                            format!("parameter `{}` is a value, not a table", param.name.text),
                        ));
                    }
                }
            } else if let Some(default) = &param.default {
                let node = self.expr(default, Context { relation: None, scope })?;
                let ty = match &param.ty {
                    ParamType::Scalar(ty) => *ty,
                    ParamType::Table(_) => self.graph.ty(node),
                };
                Binding::Scalar(self.graph.convert(node, ty))
            } else {
                return Err(Diagnostic::error(span.clone(), format!("argument `{}` is missing", param.name.text)));
            };
            inner.insert(&param.name.text, binding);
        }
        let unknown = args.iter().find(|arg| {
            arg.name.as_ref().is_some_and(|name| !definition.params.iter().any(|param| param.name.text == *name))
        });
        if positional.next().is_some() || unknown.is_some() {
            let at = unknown.map_or(span, |arg| &arg.value.span);
            return Err(Diagnostic::error(at.clone(), "the function has no such parameter"));
        }
        self.call_depth += 1;
        // The spans of the body are those of another place, perhaps of another text.
        let gathered = std::mem::take(&mut self.gathered);
        let body = self.query(&definition.body, &inner);
        self.gathered = gathered;
        self.call_depth -= 1;
        body
    }

    pub(super) fn query(&mut self, query: &Query, scope: &Rc<Scope>) -> Bound<Item> {
        let scope = self.statements(&query.statements, scope)?;
        self.item(&query.body, Context { relation: None, scope: &scope })
    }

    /// Values of a constant table's first column.
    pub(super) fn first_column(&mut self, relation: &Relation, span: &Span) -> Bound<Vec<NodeId>> {
        let Some(first) = relation.columns.first() else { return Ok(Vec::new()) };
        let ty = self.graph.ty(first.node);
        let (columns, rows) = if self.is_hunting() && !self.is_constant_table(relation) {
            self.collect(&[first.node], relation.domain, span, MAX_LISTED)?
        } else {
            self.constant_table(&[first.node], relation.domain, span)?
        };
        let array = columns.into_iter().next().expect("one column was asked for");
        Ok((0..rows).map(|row| self.graph.scalar(Scalar::of_array(&array, row, ty))).collect())
    }
}

/// Operators and inner forms stand in the same registry; they are not called by name.
fn is_callable(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !TEXT_OPERATORS.contains(&name)
        && !matches!(name, "and" | "or" | "in" | "has_any" | "has_all")
}
