//! Which raw rows a program makes rows of: the conditions of its filters, carried back to the raw table.

use ahash::AHashMap;

use super::graph::{Domain, DomainId, Graph, INPUT, NodeId, Op};
use super::{Filter, Program};
use crate::scalar::Scalar;

/// Most ways through the unions of one program; a program with more claims all rows.
const MAX_WAYS: usize = 256;

/// The branch that each union is entered by.
type Choices = AHashMap<DomainId, usize>;

/// One way from the raw rows to the output: the filters that a row passes, and the branches that it takes.
#[derive(Debug, Clone, Default)]
struct Way {
    masks: Vec<NodeId>,
    choices: Choices,
}

impl Program {
    /// The rows of the raw table that the program makes rows of; `None` if it may be all of them.
    ///
    /// Exact for `where` and `parse-where` on what is computed from the row itself, through any `union` and projection.
    /// A condition on what a `lookup` brought, or on the elements of an array, is taken to hold: such a filter may claim
    /// rows that the program then drops, never the other way round.
    pub fn claims(&self) -> Option<Filter> {
        let from = &*self.schedule.graph;
        let mut graph = Graph::new();
        let mut claimed: Option<NodeId> = None;
        for way in ways(from, self.schedule.domain)? {
            let mut all: Option<NodeId> = None;
            for mask in rebuild(from, &way.masks, &way.choices, &mut graph).into_iter().flatten() {
                all = Some(match all {
                    None => mask,
                    Some(before) => graph.builtin("and", vec![before, mask]),
                });
            }
            let all = all?;
            match graph.constant(all) {
                Some(Scalar::Bool(true)) => return None,
                Some(_) => continue,
                None => {}
            }
            claimed = Some(match claimed {
                None => all,
                Some(before) if before == all => before,
                Some(before) => graph.builtin("or", vec![before, all]),
            });
        }
        let mask = claimed.unwrap_or_else(|| graph.scalar(Scalar::Bool(false)));
        let program = Program::new(graph, &[("mask".into(), mask)], INPUT, &self.output.name, Vec::new());
        Some(Filter { program })
    }
}

/// The ways of raw rows into `domain`; `None` if they are too many.
fn ways(graph: &Graph, domain: DomainId) -> Option<Vec<Way>> {
    // From the output back: each entry is a domain still to be left, and what was passed behind it.
    let mut open = vec![(domain, Way::default())];
    let mut found = Vec::new();
    while let Some((domain, mut way)) = open.pop() {
        if open.len() + found.len() > MAX_WAYS {
            return None;
        }
        match &graph.domains[domain] {
            Domain::Input => found.push(way),
            Domain::Rows(_) | Domain::Stored(_) => {}
            Domain::Union(branches) => {
                for (number, branch) in branches.iter().enumerate() {
                    let mut way = way.clone();
                    way.choices.insert(domain, number);
                    open.push((*branch, way));
                }
            }
            Domain::Selected(selection) => {
                let node = &graph.nodes[*selection];
                let parent = match &node.op {
                    Op::Where => {
                        way.masks.push(node.args[0]);
                        node.domain
                    }
                    Op::Gather(spec) => spec.outside.or(node.domain),
                    Op::Arrange(spec) => spec.outside.or(node.domain),
                    _ => node.domain,
                };
                open.push((parent?, way));
            }
        }
    }
    Some(found)
}

/// Builds `wanted` anew over the raw rows, in `into`: carried values are taken before they were carried, a union's from
/// the chosen branch. `None` for a node that a row alone does not give.
pub(super) fn rebuild(from: &Graph, wanted: &[NodeId], choices: &Choices, into: &mut Graph) -> Vec<Option<NodeId>> {
    let source = |node: NodeId| -> Vec<NodeId> {
        let args = &from.nodes[node].args;
        match &from.nodes[node].op {
            Op::Move => vec![args[0]],
            Op::Concat => from.nodes[node]
                .domain
                .and_then(|domain| choices.get(&domain))
                .map_or(Vec::new(), |branch| vec![args[*branch]]),
            Op::Call(..) | Op::Path(..) | Op::Parse(_) | Op::ParseKv(_) | Op::Part(_) => args.clone(),
            _ => Vec::new(),
        }
    };
    let mut needed = vec![false; from.nodes.len()];
    let mut open = wanted.to_vec();
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut needed[node], true) {
            open.extend(source(node));
        }
    }
    let mut rebuilt: Vec<Option<NodeId>> = vec![None; from.nodes.len()];
    // Arguments stand before what uses them.
    for node in (0..from.nodes.len()).filter(|node| needed[*node]) {
        let args: Option<Vec<NodeId>> = source(node).into_iter().map(|arg| rebuilt[arg]).collect();
        let Some(args) = args else { continue };
        rebuilt[node] = match &from.nodes[node].op {
            Op::Move | Op::Concat => args.first().copied(),
            Op::Input(_) if from.nodes[node].domain != Some(INPUT) => None,
            Op::Input(_) | Op::Const(_) | Op::Call(..) | Op::Path(..) | Op::Parse(_) | Op::ParseKv(_) | Op::Part(_) => {
                Some(into.adopt(from, node, args))
            }
            _ => None,
        };
    }
    wanted.iter().map(|node| rebuilt[*node]).collect()
}
