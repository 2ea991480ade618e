//! Which nodes run, in which order, and when their values may be dropped.

use std::sync::Arc;

use ahash::AHashMap;

use super::gather::{ArrangeSpec, GatherSpec};
use super::graph::{Domain, DomainId, Graph, Node, NodeId, Op};
use crate::json::PathTree;

/// All needed paths of one dynamic value.
#[derive(Debug)]
pub(crate) struct PathGroup {
    pub(crate) tree: PathTree,
    /// The node of each output of the tree, and whether it wants text.
    pub(crate) outputs: Vec<(NodeId, bool)>,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) node: NodeId,
    pub(crate) paths: Option<PathGroup>,
    /// Nodes whose values no later step needs.
    pub(crate) frees: Vec<NodeId>,
    /// The place that alone needs the value: where no row comes to it, the step is left out.
    pub(crate) place: Option<Place>,
}

/// An argument of a `case`: a condition, or the value of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) case: NodeId,
    pub(crate) argument: usize,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) graph: Arc<Graph>,
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<NodeId>,
    pub(crate) domain: DomainId,
}

impl Schedule {
    pub(crate) fn new(graph: Arc<Graph>, outputs: Vec<NodeId>, domain: DomainId) -> Self {
        let needed = needed(&graph, &outputs, domain);
        let mut steps: Vec<Step> = Vec::new();
        let mut groups: AHashMap<NodeId, usize> = AHashMap::new();
        let places = places(&graph, &needed, &outputs);
        for node in order(&graph, &needed, &places) {
            let place = places[node];
            let Op::Path(path, as_text) = &graph.nodes[node].op else {
                steps.push(Step { node, paths: None, frees: Vec::new(), place });
                continue;
            };
            let root = graph.nodes[node].args[0];
            let step = *groups.entry(root).or_insert_with(|| {
                let paths = PathGroup { tree: PathTree::default(), outputs: Vec::new() };
                steps.push(Step { node, paths: Some(paths), frees: Vec::new(), place: None });
                steps.len() - 1
            });
            if let Some(group) = &mut steps[step].paths {
                group.tree.add(path);
                group.outputs.push((node, *as_text));
            }
        }
        let mut last_use: AHashMap<NodeId, usize> = AHashMap::new();
        for (number, step) in steps.iter().enumerate() {
            for arg in &graph.nodes[step.node].args {
                last_use.insert(*arg, number);
            }
        }
        for output in &outputs {
            last_use.remove(output);
        }
        for (node, step) in last_use {
            steps[step].frees.push(node);
        }
        Self { graph, steps, outputs, domain }
    }

    /// The raw columns that the steps read.
    pub(crate) fn inputs(&self) -> Vec<Arc<str>> {
        self.steps
            .iter()
            .filter_map(|step| match &self.graph.nodes[step.node].op {
                Op::Input(name) => Some(Arc::clone(name)),
                _ => None,
            })
            .collect()
    }
}

/// Per node, the one argument of a `case` that needs its value; `None` where more than that needs it, or a first
/// condition, which all rows come to.
fn places(graph: &Graph, needed: &[bool], outputs: &[NodeId]) -> Vec<Option<Place>> {
    // `Some(None)`: needed in any case; `None`: no use met so far. Uses of a node come behind it.
    let mut uses: Vec<Option<Option<Place>>> = vec![None; graph.nodes.len()];
    for output in outputs {
        uses[*output] = Some(None);
    }
    for node in (0..graph.nodes.len()).rev().filter(|node| needed[*node]) {
        let Node { op, args, .. } = &graph.nodes[node];
        if !matches!(op, Op::Call(..)) {
            uses[node] = Some(None);
        }
        let own = uses[node].flatten();
        let is_case = matches!(op, Op::Call(function, _) if matches!(function.name, "case" | "iff"));
        for (argument, arg) in args.iter().enumerate() {
            let place = if is_case && argument > 0 { Some(Place { case: node, argument }) } else { own };
            uses[*arg] = Some(match uses[*arg] {
                None => place,
                Some(other) if other == place => place,
                Some(_) => None,
            });
        }
    }
    uses.into_iter().map(Option::flatten).collect()
}

/// An order of evaluation: a node's arguments come before it, as in the order of creation; what one argument of a `case`
/// alone needs comes just before the `case`, argument by argument.
fn order(graph: &Graph, needed: &[bool], places: &[Option<Place>]) -> Vec<NodeId> {
    let mut deferred: AHashMap<NodeId, Vec<NodeId>> = AHashMap::new();
    // Stacks, the first node on top.
    let mut open: Vec<(NodeId, bool)> = Vec::new();
    for node in (0..graph.nodes.len()).rev().filter(|node| needed[*node]) {
        match places[node] {
            Some(place) => deferred.entry(place.case).or_default().push(node),
            None => open.push((node, false)),
        }
    }
    for nodes in deferred.values_mut() {
        nodes.sort_by_key(|node| std::cmp::Reverse((places[*node].map(|place| place.argument), *node)));
    }
    let mut order = Vec::new();
    while let Some((node, ready)) = open.pop() {
        match deferred.get(&node) {
            Some(before) if !ready => {
                open.push((node, true));
                open.extend(before.iter().map(|node| (*node, false)));
            }
            _ => order.push(node),
        }
    }
    order
}

/// Which nodes the outputs, and the rows of `domain`, depend on.
pub(crate) fn needed(graph: &Graph, outputs: &[NodeId], domain: DomainId) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    let mut domains = vec![false; graph.domains.len()];
    let mut nodes: Vec<NodeId> = outputs.to_vec();
    let mut open_domains = vec![domain];
    loop {
        if let Some(node) = nodes.pop() {
            if !std::mem::replace(&mut needed[node], true) {
                nodes.extend(&graph.nodes[node].args);
                open_domains.extend(graph.nodes[node].domain);
                match &graph.nodes[node].op {
                    Op::Gather(GatherSpec { outside, .. }) | Op::Arrange(ArrangeSpec { outside, .. }) => {
                        open_domains.extend(*outside);
                    }
                    Op::Join(spec) => open_domains.push(spec.right),
                    _ => {}
                }
            }
        } else if let Some(domain) = open_domains.pop() {
            if !std::mem::replace(&mut domains[domain], true) {
                match &graph.domains[domain] {
                    Domain::Input | Domain::Stored(_) | Domain::Rows(_) => {}
                    Domain::Selected(selection) => nodes.push(*selection),
                    Domain::Union(branches) => open_domains.extend(branches),
                }
            }
        } else {
            return needed;
        }
    }
}

/// Whether columns are the same for every batch.
pub(crate) fn is_constant(graph: &Graph, columns: &[NodeId], domain: DomainId) -> bool {
    let needed = needed(graph, columns, domain);
    let varies = |domain: DomainId| matches!(graph.domains[domain], Domain::Input | Domain::Stored(_));
    let mut depends = varies(domain);
    for (node, _) in needed.iter().enumerate().filter(|(_, needed)| **needed) {
        depends |= graph.nodes[node].domain.is_some_and(varies);
    }
    !depends
}

#[cfg(test)]
mod tests {
    use weir_contract::schema::{Column, ColumnType, TableSchema};

    use crate::{Mode, compile};

    #[test]
    fn only_what_one_argument_of_a_case_needs_waits_for_its_rows() {
        let columns = ["x", "y"].map(|name| Column::new(name, ColumnType::String));
        let table = TableSchema { name: "T".into(), columns: columns.into() };
        for (query, waiting) in [
            ("T | project a = case(x == 'a', strcat(x, 'b'), y startswith 'c', strcat(y, 'd'), x)", 3),
            ("T | project a = iff(x == 'a', strcat(x, 'b'), x), b = strcat(x, 'b')", 0),
            ("T | project a = iff(x == 'a', iff(y == 'b', toupper(x), y), strcat(tolower(x), y))", 5),
            ("T | project a = iff(x == 'a', strcat(x, 'b'), strcat(x, 'b'))", 0),
        ] {
            let program = compile(query, &table, Mode::Strict).unwrap_or_else(|errors| panic!("{errors:?}"));
            assert_eq!(program.schedule.steps.iter().filter(|step| step.place.is_some()).count(), waiting, "{query}");
        }
    }
}
