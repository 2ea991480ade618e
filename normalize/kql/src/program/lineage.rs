//! Where the values of an output column come from.

use std::sync::Arc;

use super::graph::{NodeId, Op};
use super::{Program, Schedule};
use crate::diagnostic::Span;
use crate::json::Segment;

/// An output column's origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The output column.
    pub column: Arc<str>,
    /// The raw columns that its values are computed from, as `Column` or `Column.path[0]` where only a path is read, in
    /// the order of their first use. What only decides which rows there are is not among them.
    pub sources: Vec<String>,
    /// The assignment in the query; `None` for a raw column that passes through. For a value that a stored function
    /// gives, its call.
    pub span: Option<Span>,
}

impl Program {
    /// The origin of each output column, in their order.
    pub fn lineage(&self) -> Vec<Lineage> {
        let columns = self.output.columns.iter().zip(&self.schedule.outputs).zip(&self.spans);
        columns
            .map(|((column, node), span)| Lineage {
                column: Arc::clone(&column.name),
                sources: sources(&self.schedule, *node),
                span: span.clone(),
            })
            .collect()
    }
}

fn sources(schedule: &Schedule, node: NodeId) -> Vec<String> {
    let nodes = &schedule.graph.nodes;
    let mut found: Vec<String> = Vec::new();
    let mut seen = vec![false; nodes.len()];
    let mut open = vec![node];
    while let Some(number) = open.pop() {
        if std::mem::replace(&mut seen[number], true) {
            continue;
        }
        let node = &nodes[number];
        match &node.op {
            Op::Input(name) => {
                if !found.iter().any(|known| **known == **name) {
                    found.push(name.to_string());
                }
            }
            Op::Path(path, _) if matches!(nodes[carried(schedule, node.args[0])].op, Op::Input(_)) => {
                let Op::Input(name) = &nodes[carried(schedule, node.args[0])].op else { continue };
                let source = format!("{name}{}", path.iter().map(Segment::to_string).collect::<String>());
                if !found.contains(&source) {
                    found.push(source);
                }
            }
            Op::Move => open.push(node.args[0]),
            // Last pushed is first looked at: the order is that of the query.
            _ => open.extend(node.args.iter().rev()),
        }
    }
    found
}

/// The node that a node carries through selections.
fn carried(schedule: &Schedule, mut node: NodeId) -> NodeId {
    while let Op::Move = schedule.graph.nodes[node].op {
        node = schedule.graph.nodes[node].args[0];
    }
    node
}
