//! Bound graph to relational plan.
//!
//! A row domain of the graph is a table of the plan. A node of the graph is an expression over its domain's table, or,
//! where it is used more than once or comes out of an operator, a column of it. Carrying a column through a filter or a
//! sort changes no value, so such nodes stand for the one that they carry ([`Lowering::origin`]).

use std::rc::Rc;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use weir_contract::schema::ColumnType;

use super::kernel::Kernel;
use super::{Aggregation, Expr, Plan, PlanColumn, SortKey};
use crate::program::gather::{ArrangeSpec, GatherSpec};
use crate::program::graph::{Domain, DomainId, Graph, INPUT, Node, NodeId, Op};
use crate::program::join::JoinSpec;
use crate::program::{Program, needed};
use crate::scalar::Scalar;

/// An expression of more levels than this becomes a column, so that no engine's recursion runs out of stack.
const MAX_LEVELS: usize = 24;

/// The plan of `columns`, which are nodes of `domain` or constants, and the plan's columns in that order.
pub(crate) fn plan(graph: &Graph, columns: &[NodeId], domain: DomainId) -> (Arc<Plan>, Vec<PlanColumn>) {
    let mut lowering = Lowering::new(graph, columns, domain);
    let table = lowering.domain(domain);
    let mut output = Vec::with_capacity(columns.len());
    for (number, node) in columns.iter().enumerate() {
        let column = PlanColumn { id: format!("o{number}").into(), ty: graph.ty(*node) };
        output.push((column, lowering.expr(*node, &table)));
    }
    let names = output.iter().map(|(column, _)| column.clone()).collect();
    if output.is_empty() {
        return (table.plan, names);
    }
    (Arc::new(Plan::Project { input: table.plan, columns: output }), names)
}

/// A domain's rows so far, and the nodes that are columns of them.
#[derive(Debug, Clone)]
struct Table {
    plan: Arc<Plan>,
    columns: Rc<AHashMap<NodeId, PlanColumn>>,
}

impl Table {
    fn new(plan: Plan, columns: AHashMap<NodeId, PlanColumn>) -> Self {
        Self { plan: Arc::new(plan), columns: Rc::new(columns) }
    }

    /// The same columns over other rows.
    fn over(&self, plan: impl FnOnce(Arc<Plan>) -> Plan) -> Self {
        Self { plan: Arc::new(plan(Arc::clone(&self.plan))), columns: Rc::clone(&self.columns) }
    }

    /// With more columns; all that are there stay.
    fn with(&self, more: Vec<(NodeId, PlanColumn, Expr)>) -> Self {
        if more.is_empty() {
            return self.clone();
        }
        let mut known = (*self.columns).clone();
        let mut columns: Vec<(PlanColumn, Expr)> =
            self.plan.columns().into_iter().map(|column| (column.clone(), Expr::Column(column))).collect();
        for (node, column, expr) in more {
            known.insert(node, column.clone());
            columns.push((column, expr));
        }
        Self::new(Plan::Project { input: Arc::clone(&self.plan), columns }, known)
    }
}

struct Lowering<'g> {
    graph: &'g Graph,
    /// Needed nodes by the domain that they belong to, in the order of their creation.
    by_domain: AHashMap<DomainId, Vec<NodeId>>,
    /// How many nodes and operators use a node.
    uses: Vec<usize>,
    /// Levels of a node's expression above the nearest columns.
    levels: Vec<usize>,
    tables: AHashMap<DomainId, Table>,
}

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph, outputs: &[NodeId], domain: DomainId) -> Self {
        let needed = needed(graph, outputs, domain);
        let mut lowering = Self {
            graph,
            by_domain: AHashMap::new(),
            uses: vec![0; graph.nodes.len()],
            levels: vec![0; graph.nodes.len()],
            tables: AHashMap::new(),
        };
        for node in (0..graph.nodes.len()).filter(|node| needed[*node]) {
            let found = &graph.nodes[node];
            if let Some(domain) = found.domain {
                lowering.by_domain.entry(domain).or_default().push(node);
            }
            if !lowering.is_carried(node) {
                for arg in &found.args {
                    let origin = lowering.origin(*arg);
                    lowering.uses[origin] += 1;
                }
            }
        }
        for output in outputs {
            let origin = lowering.origin(*output);
            lowering.uses[origin] += 1;
        }
        lowering
    }

    /// Whether a node only carries another through a filter or a sort.
    fn is_carried(&self, node: NodeId) -> bool {
        matches!(self.graph.nodes[node].op, Op::Move) && self.keeps_rows(self.graph.nodes[node].args[1])
    }

    /// Whether a selection leaves rows as they are.
    fn keeps_rows(&self, selection: NodeId) -> bool {
        matches!(self.graph.nodes[selection].op, Op::Where | Op::Arrange(ArrangeSpec { outside: None, .. }))
    }

    fn origin(&self, mut node: NodeId) -> NodeId {
        while self.is_carried(node) {
            node = self.graph.nodes[node].args[0];
        }
        node
    }

    fn column(&self, node: NodeId) -> PlanColumn {
        PlanColumn { id: format!("c{node}").into(), ty: self.graph.ty(node) }
    }

    fn needed_in(&self, domain: DomainId) -> &[NodeId] {
        self.by_domain.get(&domain).map_or(&[], Vec::as_slice)
    }

    /// The rows of a domain, with a column for each node that is not better computed where it is used.
    fn domain(&mut self, domain: DomainId) -> Table {
        if let Some(table) = self.tables.get(&domain) {
            return table.clone();
        }
        let table = match &self.graph.domains[domain] {
            Domain::Input => unreachable!("a hunting query has no raw table"),
            Domain::Stored(name) => self.scan(domain, name),
            Domain::Rows(rows) => self.values(domain, *rows),
            Domain::Union(branches) => self.union(domain, branches),
            Domain::Selected(selection) => self.selected(*selection, domain),
        };
        let table = self.computed(domain, table);
        self.tables.insert(domain, table.clone());
        table
    }

    fn scan(&self, domain: DomainId, name: &Arc<str>) -> Table {
        let mut known = AHashMap::new();
        let mut columns = Vec::new();
        for node in self.needed_in(domain) {
            if let Op::Input(column) = &self.graph.nodes[*node].op {
                known.insert(*node, self.column(*node));
                columns.push((Arc::clone(column), self.column(*node)));
            }
        }
        Table::new(Plan::Scan { table: Arc::clone(name), columns }, known)
    }

    fn values(&self, domain: DomainId, rows: usize) -> Table {
        let mut known = AHashMap::new();
        let mut columns: Vec<(PlanColumn, ArrayRef)> = Vec::new();
        for node in self.needed_in(domain) {
            if let Op::Column(array) = &self.graph.nodes[*node].op {
                known.insert(*node, self.column(*node));
                columns.push((self.column(*node), Arc::clone(array)));
            }
        }
        if columns.is_empty() {
            // Engines count the rows of a column.
            let mark = PlanColumn { id: format!("r{domain}").into(), ty: ColumnType::Bool };
            columns.push((mark, Arc::new(BooleanArray::from(vec![true; rows]))));
        }
        let (columns, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let rows = batch(&columns, arrays, rows);
        Table::new(Plan::Values { columns, rows }, known)
    }

    fn union(&mut self, domain: DomainId, branches: &[DomainId]) -> Table {
        let nodes: Vec<NodeId> = self.needed_in(domain).to_vec();
        let nodes = nodes.into_iter().filter(|node| matches!(self.graph.nodes[*node].op, Op::Concat));
        let nodes: Vec<NodeId> = nodes.collect();
        let mut known = AHashMap::new();
        let mut columns: Vec<PlanColumn> = Vec::new();
        for node in &nodes {
            known.insert(*node, self.column(*node));
            columns.push(self.column(*node));
        }
        let mark = nodes.is_empty().then(|| PlanColumn { id: format!("r{domain}").into(), ty: ColumnType::Bool });
        columns.extend(mark.clone());
        let mut inputs = Vec::new();
        for (number, branch) in branches.iter().enumerate() {
            let table = self.domain(*branch);
            let mut columns = Vec::new();
            for node in &nodes {
                let arg = self.graph.nodes[*node].args[number];
                columns.push((self.column(*node), self.expr(arg, &table)));
            }
            columns.extend(mark.clone().map(|mark| (mark, literal(&Scalar::Bool(true)))));
            inputs.push(Arc::new(Plan::Project { input: table.plan, columns }));
        }
        Table::new(Plan::Union { inputs, columns }, known)
    }

    fn selected(&mut self, selection: NodeId, domain: DomainId) -> Table {
        let graph = self.graph;
        let node = &graph.nodes[selection];
        let source = node.domain.expect("a selection selects rows of a domain");
        match &node.op {
            Op::Where => {
                let table = self.domain(source);
                let condition = self.expr(node.args[0], &table);
                table.over(|input| Plan::Filter { input, condition })
            }
            Op::Arrange(ArrangeSpec { outside: None, keys, limit }) => {
                let table = self.domain(source);
                if keys.is_empty() {
                    let rows = *limit;
                    return if rows == usize::MAX { table } else { table.over(|input| Plan::Limit { input, rows }) };
                }
                let keys = keys.iter().zip(&node.args).map(|(key, arg)| SortKey {
                    value: self.expr(*arg, &table),
                    ascending: key.ascending,
                    nulls_first: key.nulls_first,
                });
                let keys = keys.collect();
                let limit = (*limit != usize::MAX).then_some(*limit);
                table.over(|input| Plan::Sort { input, keys, limit })
            }
            Op::Gather(spec) if spec.outside.is_none() => {
                let table = self.domain(source);
                self.aggregate(selection, spec, &table, domain)
            }
            Op::Join(spec) => {
                let left = self.domain(source);
                let right = self.domain(spec.right);
                self.join(selection, spec, &left, &right, domain)
            }
            Op::Gather(GatherSpec { outside: Some(outside), .. })
            | Op::Arrange(ArrangeSpec { outside: Some(outside), .. }) => self.fragment(*outside, selection, domain),
            _ => self.fragment(source, selection, domain),
        }
    }

    /// The columns that an operator gives: `field` nodes of `selection` that are needed, by their numbers.
    fn fields(&self, selection: NodeId, domain: DomainId) -> AHashMap<NodeId, PlanColumn> {
        let nodes = self.needed_in(domain).iter().copied();
        nodes
            .filter_map(|node| match self.graph.nodes[node] {
                Node { op: Op::Gathered(number) | Op::Joined(number), ref args, ty, .. } if args[0] == selection => {
                    Some((node, PlanColumn { id: field_id(selection, number), ty }))
                }
                _ => None,
            })
            .collect()
    }

    fn aggregate(&self, selection: NodeId, spec: &GatherSpec, table: &Table, domain: DomainId) -> Table {
        let args = &self.graph.nodes[selection].args;
        let keys = (0..spec.keys).map(|number| {
            (PlanColumn { id: field_id(selection, number), ty: spec.types[number] }, self.expr(args[number], table))
        });
        let expr = |place: Option<usize>| place.map(|place| self.expr(args[place], table));
        let aggregates = spec.calls.iter().enumerate().map(|(number, call)| {
            let column = PlanColumn { id: field_id(selection, spec.keys + number), ty: call.ty };
            let aggregation = Aggregation {
                function: call.kind,
                value: expr(call.value),
                carried: expr(call.carried),
                condition: expr(call.mask),
                parameter: call.parameter,
                ty: call.ty,
            };
            (column, aggregation)
        });
        let (keys, aggregates) = (keys.collect(), aggregates.collect());
        let plan = Plan::Aggregate { input: Arc::clone(&table.plan), keys, aggregates };
        Table::new(plan, self.fields(selection, domain))
    }

    fn join(&self, selection: NodeId, spec: &JoinSpec, left: &Table, right: &Table, domain: DomainId) -> Table {
        // Both sides may come from one table: each gets ids of its own.
        let args = &self.graph.nodes[selection].args;
        let brought = &args[2 * spec.keys..];
        let side = |table: &Table, mark: char, keys: &[NodeId], brought: &[NodeId], first: usize| {
            let mut columns = Vec::new();
            for (number, node) in keys.iter().enumerate() {
                let id = format!("{mark}{selection}_{number}").into();
                columns.push((PlanColumn { id, ty: self.graph.ty(*node) }, self.expr(*node, table)));
            }
            let keys = columns.iter().map(|(column, _)| Expr::Column(column.clone())).collect::<Vec<_>>();
            for (number, node) in brought.iter().enumerate() {
                let id = field_id(selection, first + number);
                columns.push((PlanColumn { id, ty: self.graph.ty(*node) }, self.expr(*node, table)));
            }
            if columns.is_empty() {
                let mark = PlanColumn { id: format!("{mark}{selection}").into(), ty: ColumnType::Bool };
                columns.push((mark, literal(&Scalar::Bool(true))));
            }
            (Arc::new(Plan::Project { input: Arc::clone(&table.plan), columns }), keys)
        };
        let (left, left_keys) = side(left, 'j', &args[..spec.keys], &brought[..spec.left_columns], 0);
        let right_keys = &args[spec.keys..2 * spec.keys];
        let (right, right_keys) = side(right, 'k', right_keys, &brought[spec.left_columns..], spec.left_columns);
        let keys = left_keys.into_iter().zip(right_keys).collect();
        Table::new(Plan::Join { kind: spec.kind, left, right, keys }, self.fields(selection, domain))
    }

    /// What runs row by row outside of the engine's own operators: a program from the rows of `source` to those of
    /// `domain`, which is what `selection` leaves.
    fn fragment(&mut self, source: DomainId, selection: NodeId, domain: DomainId) -> Table {
        let table = self.domain(source);
        let wanted = self.needed_in(domain).iter().copied().filter(|node| {
            let node = &self.graph.nodes[*node];
            matches!(node.op, Op::Move | Op::Probed(_) | Op::Unnested(_) | Op::Gathered(_))
                && node.args.last() == Some(&selection)
        });
        let wanted: Vec<NodeId> = wanted.collect();
        self.program(source, domain, &table, &wanted, false)
    }

    /// Runs the nodes `wanted` of `domain` as a program over `table`, the rows of `source`. With `keep`, all columns of
    /// the table stay beside them.
    fn program(&self, source: DomainId, domain: DomainId, table: &Table, wanted: &[NodeId], keep: bool) -> Table {
        let part = self.part(source, domain, wanted);
        // Values of the source that are not columns yet become such.
        let mut more: Vec<(NodeId, PlanColumn, Expr)> = Vec::new();
        for node in &part {
            let origin = self.origin(*node);
            let is_source = self.graph.nodes[*node].domain == Some(source);
            let is_known = table.columns.contains_key(&origin) || more.iter().any(|(other, ..)| *other == origin);
            if is_source && !is_known && !self.runs_inside(*node, source, wanted) {
                more.push((origin, self.column(origin), self.expr(*node, table)));
            }
        }
        let table = table.with(more);
        let mut copy = Copy { from: self.graph, to: Graph::new(), nodes: AHashMap::new(), source };
        for node in part {
            if self.graph.nodes[node].domain == Some(source) && !self.runs_inside(node, source, wanted) {
                let column = &table.columns[&self.origin(node)];
                let input = copy.to.input(&column.id, column.ty, INPUT);
                copy.nodes.insert(node, input);
            } else {
                copy.node(node);
            }
        }
        let mut columns: Vec<PlanColumn> = Vec::new();
        let mut outputs: Vec<(Arc<str>, NodeId)> = Vec::new();
        let mut known = AHashMap::new();
        if keep {
            known = (*table.columns).clone();
            for column in table.plan.columns() {
                let input = copy.to.input(&column.id, column.ty, INPUT);
                outputs.push((Arc::clone(&column.id), input));
                columns.push(column);
            }
        }
        for node in wanted {
            let column = match self.carried_from(*node, source).and_then(|origin| table.columns.get(&origin)) {
                // The id says that the value is that of the row it came from.
                Some(column) => column.clone(),
                None => self.column(*node),
            };
            known.insert(*node, column.clone());
            if !columns.contains(&column) {
                outputs.push((Arc::clone(&column.id), copy.nodes[node]));
                columns.push(column);
            }
        }
        if outputs.is_empty() {
            let mark = PlanColumn { id: format!("r{domain}").into(), ty: ColumnType::Bool };
            outputs.push((Arc::clone(&mark.id), copy.to.scalar(Scalar::Bool(true))));
            columns.push(mark);
        }
        let domain = copy.domain(domain);
        let program = Arc::new(Program::new(copy.to, &outputs, domain, "", Vec::new()));
        Table::new(Plan::Map { input: table.plan, program, columns }, known)
    }

    /// Whether a node of the source's own domain belongs to the program: what the program is there for, and row numbers.
    fn runs_inside(&self, node: NodeId, source: DomainId, wanted: &[NodeId]) -> bool {
        let found = &self.graph.nodes[node];
        match found.op {
            Op::RowNumbers | Op::Parse(_) | Op::ParseKv(_) => true,
            Op::Part(_) => wanted.contains(&node),
            Op::Where | Op::Probe(_) | Op::Unnest(_) | Op::Gather(_) | Op::Arrange(_) => found.domain == Some(source),
            _ => false,
        }
    }

    /// The nodes that a program from `source` to `wanted` needs, in the order of their creation; values of the source
    /// end the search.
    fn part(&self, source: DomainId, domain: DomainId, wanted: &[NodeId]) -> Vec<NodeId> {
        let mut found: AHashSet<NodeId> = AHashSet::new();
        let mut domains: AHashSet<DomainId> = AHashSet::from([source]);
        let mut open: Vec<NodeId> = wanted.to_vec();
        let mut open_domains = vec![domain];
        loop {
            if let Some(node) = open.pop() {
                if !found.insert(node) {
                    continue;
                }
                let data = &self.graph.nodes[node];
                if data.domain == Some(source) && !self.runs_inside(node, source, wanted) {
                    continue;
                }
                open.extend(&data.args);
                open_domains.extend(data.domain);
            } else if let Some(domain) = open_domains.pop() {
                if domains.insert(domain) {
                    match &self.graph.domains[domain] {
                        Domain::Selected(selection) => open.push(*selection),
                        Domain::Union(branches) => open_domains.extend(branches),
                        Domain::Input | Domain::Stored(_) | Domain::Rows(_) => {}
                    }
                }
            } else {
                let mut nodes: Vec<NodeId> = found.into_iter().collect();
                nodes.sort_unstable();
                return nodes;
            }
        }
    }

    /// The node of `source` that `node` carries along, if it carries one.
    fn carried_from(&self, mut node: NodeId, source: DomainId) -> Option<NodeId> {
        while matches!(self.graph.nodes[node].op, Op::Move) {
            node = self.graph.nodes[node].args[0];
            if self.graph.nodes[node].domain == Some(source) {
                return Some(self.origin(node));
            }
        }
        None
    }

    /// The table with a column for each node of its domain that is used more than once, is a part of a text, or is an
    /// expression of many levels.
    fn computed(&mut self, domain: DomainId, mut table: Table) -> Table {
        let mut pending: Vec<(NodeId, PlanColumn, Expr)> = Vec::new();
        let nodes: Vec<NodeId> = self.needed_in(domain).to_vec();
        for node in nodes {
            let data = &self.graph.nodes[node];
            match &data.op {
                Op::Call(..) | Op::Path(..) => {
                    let levels = data.args.iter().map(|arg| self.levels[self.origin(*arg)]).max().unwrap_or(0) + 1;
                    self.levels[node] = levels;
                    if self.uses[node] < 2 && levels < MAX_LEVELS {
                        continue;
                    }
                    // An expression over columns that are only coming needs them first.
                    if self.reads(node, &table, &pending) {
                        table = table.with(std::mem::take(&mut pending));
                    }
                    pending.push((node, self.column(node), self.expr(node, &table)));
                    self.levels[node] = 0;
                }
                Op::Parse(_) | Op::ParseKv(_) => {
                    table = table.with(std::mem::take(&mut pending));
                    let parts = self.needed_in(domain).iter().copied().filter(|part| {
                        let part = &self.graph.nodes[*part];
                        matches!(part.op, Op::Part(_)) && part.args[0] == node
                    });
                    let parts: Vec<NodeId> = parts.collect();
                    table = self.program(domain, domain, &table, &parts, true);
                }
                _ => {}
            }
        }
        table.with(pending)
    }

    /// Whether a node's expression over `table` reads a node that is pending.
    fn reads(&self, node: NodeId, table: &Table, pending: &[(NodeId, PlanColumn, Expr)]) -> bool {
        let mut open: Vec<NodeId> = self.graph.nodes[node].args.clone();
        while let Some(node) = open.pop() {
            let node = self.origin(node);
            if pending.iter().any(|(other, ..)| *other == node) {
                return true;
            }
            if !table.columns.contains_key(&node) {
                open.extend(&self.graph.nodes[node].args);
            }
        }
        false
    }

    /// A node as an expression over a table of its domain.
    fn expr(&self, node: NodeId, table: &Table) -> Expr {
        let node = self.origin(node);
        if let Some(column) = table.columns.get(&node) {
            return Expr::Column(column.clone());
        }
        let data = &self.graph.nodes[node];
        let args = || data.args.iter().map(|arg| self.expr(*arg, table)).collect();
        match &data.op {
            Op::Const(scalar) => literal(scalar),
            Op::Call(function, prepared) => {
                let types = data.args.iter().map(|arg| self.graph.ty(*arg)).collect();
                Expr::Call(Kernel::function(function, Arc::clone(prepared), types, data.ty), args())
            }
            Op::Path(path, as_text) => Expr::Call(Kernel::path(path, *as_text), args()),
            other => unreachable!("{other:?} is a column of its domain's table"),
        }
    }
}

/// Copies a part of a graph into one of its own, whose raw table are the rows of `source`.
struct Copy<'g> {
    from: &'g Graph,
    to: Graph,
    nodes: AHashMap<NodeId, NodeId>,
    source: DomainId,
}

impl Copy<'_> {
    /// Copies a node whose arguments were copied before.
    fn node(&mut self, node: NodeId) {
        let data = &self.from.nodes[node];
        let args = data.args.iter().map(|arg| self.nodes[arg]).collect();
        let domain = data.domain.map(|domain| self.domain(domain));
        let op = match &data.op {
            Op::Input(name) => unreachable!("`{name}` is a column of the source"),
            Op::Join(_) | Op::Joined(_) => unreachable!("no program joins stored tables"),
            Op::Gather(spec) => {
                let outside = spec.outside.map(|outside| self.domain(outside));
                Op::Gather(GatherSpec { outside, ..spec.clone() })
            }
            Op::Arrange(spec) => {
                let outside = spec.outside.map(|outside| self.domain(outside));
                Op::Arrange(ArrangeSpec { outside, ..spec.clone() })
            }
            other => other.clone(),
        };
        let copied = self.to.push(op, args, data.ty, domain);
        self.nodes.insert(node, copied);
    }

    fn domain(&mut self, domain: DomainId) -> DomainId {
        if domain == self.source {
            return INPUT;
        }
        let copied = match &self.from.domains[domain] {
            Domain::Selected(selection) => Domain::Selected(self.nodes[selection]),
            Domain::Union(branches) => {
                let branches = branches.clone();
                Domain::Union(branches.into_iter().map(|branch| self.domain(branch)).collect())
            }
            Domain::Rows(rows) => Domain::Rows(*rows),
            Domain::Input | Domain::Stored(_) => unreachable!("a program reads one table"),
        };
        self.to.domain(copied)
    }
}

fn literal(scalar: &Scalar) -> Expr {
    Expr::Literal(scalar.to_array(), scalar.ty())
}

fn field_id(selection: NodeId, number: usize) -> Arc<str> {
    format!("c{selection}_{number}").into()
}

fn batch(columns: &[PlanColumn], arrays: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .zip(&arrays)
        .map(|(column, array)| Field::new(&*column.id, array.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .expect("the columns of a constant table have its number of rows")
}
