//! Which nodes run, in which order, and when their values may be dropped.

use std::sync::Arc;

use ahash::AHashMap;

use super::gather::{ArrangeSpec, GatherSpec};
use super::graph::{Domain, DomainId, Graph, NodeId, Op};
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
        // A node's arguments come before it, so the order of creation is an order of evaluation.
        for node in (0..graph.nodes.len()).filter(|node| needed[*node]) {
            let Op::Path(path, as_text) = &graph.nodes[node].op else {
                steps.push(Step { node, paths: None, frees: Vec::new() });
                continue;
            };
            let root = graph.nodes[node].args[0];
            let step = *groups.entry(root).or_insert_with(|| {
                let paths = PathGroup { tree: PathTree::default(), outputs: Vec::new() };
                steps.push(Step { node, paths: Some(paths), frees: Vec::new() });
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
