//! `make-graph`, and the paths that `graph-match` and `graph-shortest-paths` find in it.
//!
//! Rules: <https://learn.microsoft.com/kusto/query/graph-operators>. Paths are found by their shape alone; each becomes a row
//! with the columns of its nodes and edges, over which the condition and the projection are bound.

use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use weir_contract::schema::ColumnType;

use super::rows::{Cells, array, null_of};
use super::scan::state_column;
use super::scope::{Context, Scope};
use super::{Binder, Bound, BoundColumn, Relation};
use crate::diagnostic::{Diagnostic, Span};
use crate::program::gather::array_of;
use crate::program::graph::NodeId;
use crate::scalar::Scalar;
use crate::syntax::ast::{Arg, Direction, Expr, ExprKind, GraphMatch, MakeGraph, PathPattern};

/// Most matches of one pattern.
const MAX_MATCHES: usize = 100_000;
/// Most edges tried while they are looked for.
const MAX_TRIED: usize = 10_000_000;
/// Longest path of an edge of variable length.
const MAX_HOPS: usize = 32;

/// A graph of known rows.
pub(super) struct PropertyGraph {
    /// One row per edge, and per node.
    edges: Relation,
    nodes: Relation,
    /// The nodes of each edge: from, to.
    ends: Vec<(usize, usize)>,
    /// The edges that leave and enter each node.
    leaving: Vec<Vec<usize>>,
    entering: Vec<Vec<usize>>,
}

/// A step of the search: a pattern begins at a node, or an edge leads on to one. Nodes are numbered by variable.
enum Leg {
    Start(usize),
    Edge {
        from: usize,
        to: usize,
        direction: Direction,
        fewest: usize,
        most: usize,
        /// It leads back to a node of its own path.
        closes: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cycles {
    All,
    None,
    UniqueEdges,
}

/// The nodes by variable; for each edge of the pattern its edges, and the nodes between them.
#[derive(Clone)]
struct Match {
    nodes: Vec<Option<usize>>,
    edges: Vec<Vec<usize>>,
    inner: Vec<Vec<usize>>,
}

/// What the patterns name.
struct Variables {
    legs: Vec<Leg>,
    nodes: Vec<Option<String>>,
    /// Name of each edge, and whether it is a path of several.
    edges: Vec<(Option<String>, bool)>,
}

impl Binder<'_> {
    pub(super) fn make_graph(
        &mut self,
        edges: Relation,
        spec: &MakeGraph,
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<PropertyGraph> {
        let edges = self.known_rows(edges, "make-graph", span)?;
        let mut ends = Vec::new();
        for name in [&spec.source, &spec.target] {
            let Some(node) = edges.column(&name.text) else {
                return Err(super::faults::unknown_column(&name.text, &name.span, &edges));
            };
            ends.push((self.graph.ty(node), self.values_of(node, &edges, span)?));
        }
        let id_type = ends[0].0;
        let (mut columns, id): (Vec<Cells>, usize) = match &spec.nodes {
            Some((table, id)) => {
                let nodes = self.table(table, Context { relation: None, scope })?;
                let nodes = self.known_rows(nodes, "make-graph", &table.span)?;
                let Some(place) = nodes.columns.iter().position(|column| *column.name == *id.text) else {
                    return Err(super::faults::unknown_column(&id.text, &id.span, &nodes));
                };
                (self.cells_of(&nodes, span)?, place)
            }
            None => {
                let name = spec.node_id.as_ref().map_or("$id", |name| &name.text);
                (vec![(name.into(), id_type, Vec::new())], 0)
            }
        };
        if ends[1].0 != id_type || columns[id].1 != id_type {
            return Err(Diagnostic::error(span.clone(), "the nodes' names are of different types in the tables")
                .with_help("convert them to one, as with `tostring(…)`"));
        }
        let mut index: AHashMap<Scalar, usize> = AHashMap::new();
        for (row, key) in columns[id].2.iter().enumerate() {
            index.entry(key.clone()).or_insert(row);
        }
        // A node that only edges name has nothing but its name.
        for key in ends.iter().flat_map(|(_, values)| values) {
            if !index.contains_key(key) {
                index.insert(key.clone(), columns[id].2.len());
                for (place, (_, ty, cells)) in columns.iter_mut().enumerate() {
                    cells.push(if place == id { key.clone() } else { null_of(*ty) });
                }
            }
        }
        let total = columns[id].2.len();
        let ends: Vec<(usize, usize)> =
            ends[0].1.iter().zip(&ends[1].1).map(|(from, to)| (index[from], index[to])).collect();
        let (mut leaving, mut entering) = (vec![Vec::new(); total], vec![Vec::new(); total]);
        for (edge, (from, to)) in ends.iter().enumerate() {
            leaving[*from].push(edge);
            entering[*to].push(edge);
        }
        let nodes = self.constant_rows(total, columns);
        Ok(PropertyGraph { edges, nodes, ends, leaving, entering })
    }

    pub(super) fn graph_match(
        &mut self,
        graph: &PropertyGraph,
        spec: &GraphMatch,
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<Relation> {
        let variables = variables(&spec.patterns, span)?;
        let option =
            |wanted: &str| spec.options.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let cycles = match option("cycles") {
            _ if spec.shortest => Cycles::None,
            None | Some("unique_edges") => Cycles::UniqueEdges,
            Some("all") => Cycles::All,
            Some("none") => Cycles::None,
            Some(_) => return Err(Diagnostic::error(span.clone(), "`cycles` is `all`, `none` or `unique_edges`")),
        };
        let mut search = Search { graph, legs: &variables.legs, cycles, tried: 0, found: Vec::new() };
        let empty = Match {
            nodes: vec![None; variables.nodes.len()],
            edges: vec![Vec::new(); variables.edges.len()],
            inner: vec![Vec::new(); variables.edges.len()],
        };
        let mut start = empty;
        if !search.leg(0, 0, &mut start) {
            let message = format!("the pattern has more than {MAX_MATCHES} matches, or takes too long to look for");
            return Err(Diagnostic::error(span.clone(), message).with_help("look for shorter paths, in fewer edges"));
        }
        let matches = search.found;
        let (mut relation, calls) = self.matched_rows(graph, spec, &variables, &matches, span, scope)?;
        let outer = std::mem::replace(&mut self.gathered, calls);
        let condition = spec.condition.as_ref().map(|condition| self.predicate(condition, &relation, scope));
        let result = match condition.transpose() {
            Ok(mask) => {
                // The projection sees all matches; those that the condition leaves are picked from its rows.
                relation = self.project(&relation, &spec.project, scope);
                // To Microsoft's binder, all that is made of an edge of several hops is dynamic, whatever a call gives.
                for (column, assignment) in relation.columns.iter_mut().zip(&spec.project) {
                    if variables.of_several_hops(&assignment.value) {
                        column.node = self.graph.convert(column.node, ColumnType::Dynamic);
                    }
                }
                self.kept_matches(relation, mask, &matches, spec, option("output") == Some("all"), span)
            }
            Err(error) => Err(error),
        };
        self.gathered = outer;
        result
    }

    /// One row per match: the columns of each named node and edge as `\0name\0column`; and the calls of `any`, `all` and `map`.
    fn matched_rows(
        &mut self,
        graph: &PropertyGraph,
        spec: &GraphMatch,
        variables: &Variables,
        matches: &[Match],
        span: &Span,
        scope: &Rc<Scope>,
    ) -> Bound<(Relation, Vec<(Span, NodeId)>)> {
        let node_cells = self.cells_of(&graph.nodes, span)?;
        let edge_cells = self.cells_of(&graph.edges, span)?;
        let mut columns: Vec<Cells> = Vec::new();
        for (number, name) in variables.nodes.iter().enumerate() {
            let Some(variable) = name else { continue };
            for (name, ty, cells) in &node_cells {
                let of_match = |one: &Match| one.nodes[number].map_or_else(|| null_of(*ty), |node| cells[node].clone());
                let name: Arc<str> = state_column(variable, name).into();
                columns.push((name, *ty, matches.iter().map(of_match).collect()));
            }
        }
        for (number, (name, several)) in variables.edges.iter().enumerate() {
            let Some(variable) = name.as_ref().filter(|_| !several) else { continue };
            for (name, ty, cells) in &edge_cells {
                let of_match =
                    |one: &Match| one.edges[number].first().map_or_else(|| null_of(*ty), |edge| cells[*edge].clone());
                let name: Arc<str> = state_column(variable, name).into();
                columns.push((name, *ty, matches.iter().map(of_match).collect()));
            }
        }
        let relation = self.constant_rows(matches.len(), columns);
        let mut calls = Vec::new();
        let values = spec.project.iter().map(|assignment| &assignment.value);
        for expr in spec.condition.iter().chain(values) {
            path_calls(expr, &mut calls);
        }
        let mut results = Vec::new();
        for (function, path, inner, span) in calls {
            let (variable, of_nodes) = match &path.kind {
                ExprKind::Name(name) => (name, false),
                ExprKind::Call(name, args) if name.text == "inner_nodes" => match args.as_slice() {
                    [Arg { value: Expr { kind: ExprKind::Name(name), .. }, .. }] => (name, true),
                    _ => {
                        return Err(Diagnostic::error(path.span.clone(), "`inner_nodes` takes an edge of the pattern"));
                    }
                },
                _ => {
                    return Err(Diagnostic::error(
                        path.span.clone(),
                        "expected an edge of the pattern, or its `inner_nodes`",
                    ));
                }
            };
            let number = variables.edges.iter().position(|(name, _)| name.as_deref() == Some(variable));
            let Some(number) = number else {
                return Err(Diagnostic::error(path.span.clone(), format!("the pattern has no edge `{variable}`")));
            };
            let rows = if of_nodes { &graph.nodes } else { &graph.edges };
            let node = if function == "map" {
                self.expr(inner, Context { relation: Some(rows), scope })?
            } else {
                self.predicate(inner, rows, scope)?
            };
            let values = self.values_of(node, rows, span)?;
            let holds = |row: &usize| matches!(values[*row], Scalar::Bool(true));
            let of_match = |one: &Match| {
                let rows = if of_nodes { &one.inner[number] } else { &one.edges[number] };
                match function {
                    "any" => Scalar::Bool(rows.iter().any(holds)),
                    "all" => Scalar::Bool(rows.iter().all(holds)),
                    _ => array(rows.iter().map(|row| &values[*row])),
                }
            };
            let ty = if function == "map" { ColumnType::Dynamic } else { ColumnType::Bool };
            let cells: Vec<Scalar> = matches.iter().map(of_match).collect();
            results.push((span.clone(), self.graph.column(array_of(&cells, ty), ty)));
        }
        Ok((relation, results))
    }

    /// The rows of the matches for which the condition holds; of shortest paths, one (or `all`) for each pair of ends.
    fn kept_matches(
        &mut self,
        relation: Relation,
        mask: Option<NodeId>,
        matches: &[Match],
        spec: &GraphMatch,
        all: bool,
        span: &Span,
    ) -> Bound<Relation> {
        let mut kept: Vec<usize> = (0..matches.len()).collect();
        if let Some(mask) = mask {
            let mask = self.values_of(mask, &relation, span)?;
            kept.retain(|row| matches!(mask[*row], Scalar::Bool(true)));
        }
        if spec.shortest {
            let length = |row: usize| matches[row].edges.iter().map(Vec::len).sum::<usize>();
            let ends = |row: usize| (matches[row].nodes.first().copied(), matches[row].nodes.last().copied());
            let mut best: AHashMap<_, (usize, usize)> = AHashMap::new();
            for row in &kept {
                let found = best.entry(ends(*row)).or_insert((length(*row), *row));
                if length(*row) < found.0 {
                    *found = (length(*row), *row);
                }
            }
            kept.retain(|row| {
                let (shortest, first) = best[&ends(*row)];
                if all { length(*row) == shortest } else { *row == first }
            });
        }
        // Columns that are the same for all rows have no domain; the table's rows give them one.
        let mut columns: Vec<Cells> = Vec::new();
        for BoundColumn { name, node } in &relation.columns {
            let values = self.values_of(*node, &relation, span)?;
            let cells = kept.iter().map(|row| values[*row].clone()).collect();
            columns.push((Arc::clone(name), self.graph.ty(*node), cells));
        }
        Ok(self.constant_rows(kept.len(), columns))
    }
}

struct Search<'g> {
    graph: &'g PropertyGraph,
    legs: &'g [Leg],
    cycles: Cycles,
    tried: usize,
    found: Vec<Match>,
}

impl Search<'_> {
    /// Goes on with leg `number`, whose edge is the pattern's edge `edge`. `false`: there is too much to look for.
    fn leg(&mut self, number: usize, edge: usize, so_far: &mut Match) -> bool {
        match self.legs.get(number) {
            None => {
                self.found.push(so_far.clone());
                self.found.len() <= MAX_MATCHES
            }
            Some(Leg::Start(variable)) if so_far.nodes[*variable].is_some() => self.leg(number + 1, edge, so_far),
            Some(Leg::Start(variable)) => (0..self.graph.leaving.len()).all(|node| {
                so_far.nodes[*variable] = Some(node);
                let goes_on = self.leg(number + 1, edge, so_far);
                so_far.nodes[*variable] = None;
                goes_on
            }),
            Some(Leg::Edge { from, .. }) => match so_far.nodes[*from] {
                Some(node) => self.hop(number, edge, node, so_far),
                None => true,
            },
        }
    }

    /// One more edge of the path from `node`, or its end there.
    fn hop(&mut self, number: usize, edge: usize, node: usize, so_far: &mut Match) -> bool {
        let Leg::Edge { to, direction, fewest, most, closes, .. } = &self.legs[number] else { return true };
        let hops = so_far.edges[edge].len();
        if hops >= *fewest && so_far.nodes[*to].is_none_or(|bound| bound == node) {
            let bound = so_far.nodes[*to].replace(node);
            let goes_on = self.leg(number + 1, edge + 1, so_far);
            so_far.nodes[*to] = bound;
            if !goes_on {
                return false;
            }
        }
        if hops == *most {
            return true;
        }
        let graph = self.graph;
        let forward = graph.leaving[node].iter().map(|edge| (*edge, graph.ends[*edge].1));
        let backward = graph.entering[node].iter().map(|edge| (*edge, graph.ends[*edge].0));
        let next: Vec<(usize, usize)> = match direction {
            Direction::Forward => forward.collect(),
            Direction::Backward => backward.collect(),
            Direction::Any => forward.chain(backward).collect(),
        };
        for (taken, reached) in next {
            self.tried += 1;
            if self.tried > MAX_TRIED {
                return false;
            }
            let visited =
                || so_far.nodes.iter().flatten().chain(so_far.inner.iter().flatten()).any(|seen| *seen == reached);
            let repeats = match self.cycles {
                Cycles::All => false,
                Cycles::UniqueEdges => so_far.edges.iter().flatten().any(|seen| *seen == taken),
                // The end that another path has bound is where this one may arrive.
                Cycles::None => reached == node || (visited() && (*closes || so_far.nodes[*to] != Some(reached))),
            };
            if repeats {
                continue;
            }
            so_far.edges[edge].push(taken);
            if hops > 0 {
                so_far.inner[edge].push(node);
            }
            let goes_on = self.hop(number, edge, reached, so_far);
            so_far.edges[edge].pop();
            if hops > 0 {
                so_far.inner[edge].pop();
            }
            if !goes_on {
                return false;
            }
        }
        true
    }
}

impl Variables {
    /// Whether the expression asks for the edges, or the nodes, of an edge of several hops.
    fn of_several_hops(&self, expr: &Expr) -> bool {
        let mut calls = Vec::new();
        path_calls(expr, &mut calls);
        let mut open: Vec<&Expr> = calls.into_iter().map(|(_, path, ..)| path).collect();
        while let Some(expr) = open.pop() {
            if let ExprKind::Name(name) = &expr.kind
                && self.edges.iter().any(|(edge, several)| *several && edge.as_deref() == Some(name))
            {
                return true;
            }
            open.extend(expr.children());
        }
        false
    }
}

fn variables(patterns: &[PathPattern], span: &Span) -> Bound<Variables> {
    let mut found = Variables { legs: Vec::new(), nodes: Vec::new(), edges: Vec::new() };
    for pattern in patterns {
        let numbers: Vec<usize> = pattern
            .nodes
            .iter()
            .map(|name| {
                let name = name.as_ref().map(|name| name.text.clone());
                let known = found.nodes.iter().position(|known| name.is_some() && *known == name);
                known.unwrap_or_else(|| {
                    found.nodes.push(name);
                    found.nodes.len() - 1
                })
            })
            .collect();
        found.legs.push(Leg::Start(numbers[0]));
        for (place, (edge, ends)) in pattern.edges.iter().zip(numbers.windows(2)).enumerate() {
            let (fewest, most) = edge.hops.unwrap_or((1, 1));
            if most > MAX_HOPS || fewest > most {
                let message = format!("a path has from few to at most {MAX_HOPS} edges, found {fewest}..{most}");
                return Err(Diagnostic::error(span.clone(), message));
            }
            let closes = numbers[..=place].contains(&ends[1]);
            let (from, to, direction) = (ends[0], ends[1], edge.direction);
            found.legs.push(Leg::Edge { from, to, direction, fewest, most, closes });
            found.edges.push((edge.name.as_ref().map(|name| name.text.clone()), edge.hops.is_some()));
        }
    }
    Ok(found)
}

/// The calls of `any`, `all` and `map` over the edges of a path: function, path, inner expression, place.
fn path_calls<'e>(expr: &'e Expr, found: &mut Vec<(&'static str, &'e Expr, &'e Expr, &'e Span)>) {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        if let ExprKind::Call(name, args) = &expr.kind
            && let Some(function) = ["any", "all", "map"].iter().find(|function| **function == name.text)
            && let [path, inner] = args.as_slice()
        {
            found.push((function, &path.value, &inner.value, &expr.span));
            continue;
        }
        open.extend(expr.children());
    }
}
