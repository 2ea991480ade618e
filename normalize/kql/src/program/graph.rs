//! Typed nodes, hash-consed: asking twice for the same thing gives the same node. Constants fold while it is built.

use std::sync::Arc;

use ahash::AHashMap;
use arrow::array::{ArrayRef, new_empty_array};
use weir_contract::schema::ColumnType;

use super::gather::{ArrangeSpec, GatherSpec};
use super::join::JoinSpec;
use super::parse::Pattern;
use super::parse_kv::KvPattern;
use super::probe::ProbeTable;
pub(crate) use super::selection::{DomainId, NodeId};
use super::unnest::UnnestSpec;
use crate::functions::args::Args;
use crate::functions::prepared::{Prepared, SharedPrepared};
use crate::functions::{Function, MERGED_PACK, Returns, builtin, merged_pack};
use crate::json::Segment;
use crate::scalar::{Scalar, Value};

/// What a node computes from its arguments.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A column of the raw table, or of a stored one.
    Input(Arc<str>),
    Const(Scalar),
    /// A column of a constant table.
    Column(ArrayRef),
    Call(&'static Function, SharedPrepared),
    /// A constant path into a dynamic argument; as text, the value is unquoted.
    Path(Vec<Segment>, bool),
    /// Selection: the rows where the mask (argument 0) is true.
    Where,
    /// Argument 0 carried through the selection, argument 1.
    Move,
    /// Selection: rows matched with a constant table.
    Probe(Arc<ProbeTable>),
    /// Column of the constant table at argument 0, a probe.
    Probed(usize),
    /// Selection: one row per element of the arguments.
    Unnest(UnnestSpec),
    /// The numbers of the domain's rows, from 0.
    RowNumbers,
    /// Column of an unnest.
    Unnested(usize),
    /// Selection: one row per group; takes rows from outside where groups belong to rows there.
    Gather(GatherSpec),
    /// Key or aggregate of a gathering.
    Gathered(usize),
    /// Selection: the rows in another order, or fewer of them.
    Arrange(ArrangeSpec),
    /// Selection: rows of two tables side by side; only an engine that stores tables runs it.
    Join(JoinSpec),
    /// Column of a join.
    Joined(usize),
    /// Tuple: the captures of `parse`.
    Parse(Arc<Pattern>),
    ParseKv(Arc<KvPattern>),
    /// A column of a tuple.
    Part(usize),
    /// The branches' columns, one after the other; the domain is a union.
    Concat,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) args: Vec<NodeId>,
    pub(crate) ty: ColumnType,
    /// `None`: the same value for all rows.
    pub(crate) domain: Option<DomainId>,
}

/// A set of rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Domain {
    Input,
    /// The rows of a stored table, which only a hunting query has.
    Stored(Arc<str>),
    /// A constant table's rows.
    Rows(usize),
    /// What a selection node leaves.
    Selected(NodeId),
    Union(Vec<DomainId>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Input(Arc<str>, DomainId),
    Const(Scalar),
    Call(&'static str, Vec<NodeId>),
    Path(Vec<Segment>, bool, NodeId),
    Where(NodeId, DomainId),
    Move(NodeId, NodeId),
    Field(&'static str, usize, NodeId),
    RowNumbers(DomainId),
}

#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) domains: Vec<Domain>,
    /// Per domain: how often a row of a source may come out of it, as unions in unions multiply.
    copies: Vec<u64>,
    interned: AHashMap<Key, NodeId>,
    /// Domains of raw tables that have no rows here, and what follows from them alone.
    absent: Vec<DomainId>,
    /// The time that `now()` is for the whole query, microseconds; `None` where each batch has its own.
    pub(crate) now: Option<i64>,
}

/// The domain of the raw table's rows.
pub(crate) const INPUT: DomainId = 0;

impl Graph {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            domains: vec![Domain::Input],
            copies: vec![1],
            interned: AHashMap::new(),
            absent: Vec::new(),
            now: None,
        }
    }

    pub(crate) fn ty(&self, node: NodeId) -> ColumnType {
        self.nodes[node].ty
    }

    pub(crate) fn constant(&self, node: NodeId) -> Option<&Scalar> {
        match &self.nodes[node].op {
            Op::Const(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(crate) fn domain(&mut self, domain: Domain) -> DomainId {
        if let Some(known) = self.domains.iter().position(|other| *other == domain) {
            return known;
        }
        let copies = match &domain {
            Domain::Union(branches) => {
                branches.iter().fold(0, |sum: u64, branch| sum.saturating_add(self.copies(*branch)))
            }
            Domain::Selected(selection) => self.nodes[*selection].domain.map_or(1, |source| self.copies(source)),
            _ => 1,
        };
        self.copies.push(copies);
        self.domains.push(domain);
        self.domains.len() - 1
    }

    /// A domain without rows that is no constant table: that of a raw table which another program reads.
    pub(crate) fn absent_domain(&mut self) -> DomainId {
        self.copies.push(1);
        self.domains.push(Domain::Rows(0));
        self.absent.push(self.domains.len() - 1);
        self.domains.len() - 1
    }

    /// A column of an absent domain.
    pub(crate) fn absent_column(&mut self, ty: ColumnType, domain: DomainId) -> NodeId {
        self.push(Op::Column(new_empty_array(&ty.arrow())), Vec::new(), ty, Some(domain))
    }

    /// Whether a domain has no rows because the tables that they would come from are absent.
    pub(crate) fn is_absent(&self, domain: DomainId) -> bool {
        let mut domain = domain;
        loop {
            match &self.domains[domain] {
                _ if self.absent.contains(&domain) => return true,
                // A selection's node stands in the domain that it selects from.
                Domain::Selected(selection) => match self.nodes[*selection].domain {
                    Some(parent) => domain = parent,
                    None => return false,
                },
                Domain::Union(branches) => return branches.iter().all(|branch| self.is_absent(*branch)),
                Domain::Input | Domain::Stored(_) | Domain::Rows(_) => return false,
            }
        }
    }

    pub(crate) fn push(&mut self, op: Op, args: Vec<NodeId>, ty: ColumnType, domain: Option<DomainId>) -> NodeId {
        self.nodes.push(Node { op, args, ty, domain });
        self.nodes.len() - 1
    }

    /// How often a row of a source may come out of a domain.
    pub(crate) fn copies(&self, domain: DomainId) -> u64 {
        self.copies[domain]
    }

    fn intern(&mut self, key: Key, build: impl FnOnce() -> (Op, Vec<NodeId>, ColumnType, Option<DomainId>)) -> NodeId {
        if let Some(node) = self.interned.get(&key) {
            return *node;
        }
        let (op, args, ty, domain) = build();
        let node = self.push(op, args, ty, domain);
        self.interned.insert(key, node);
        node
    }

    /// A column of the raw table ([`INPUT`]) or of a stored table's domain.
    pub(crate) fn input(&mut self, name: &Arc<str>, ty: ColumnType, domain: DomainId) -> NodeId {
        let key = Key::Input(Arc::clone(name), domain);
        self.intern(key, || (Op::Input(Arc::clone(name)), Vec::new(), ty, Some(domain)))
    }

    pub(crate) fn scalar(&mut self, scalar: Scalar) -> NodeId {
        self.intern(Key::Const(scalar.clone()), || {
            let ty = scalar.ty();
            (Op::Const(scalar), Vec::new(), ty, None)
        })
    }

    pub(crate) fn text(&mut self, text: &str) -> NodeId {
        self.scalar(Scalar::String(text.into()))
    }

    pub(crate) fn column(&mut self, array: ArrayRef, ty: ColumnType) -> NodeId {
        let domain = self.domain(Domain::Rows(array.len()));
        self.push(Op::Column(array), Vec::new(), ty, Some(domain))
    }

    /// A call; the arguments have the types that the function wants. `Err`: a constant argument cannot be right.
    pub(crate) fn call(
        &mut self,
        function: &'static Function,
        args: Vec<NodeId>,
        ty: Option<ColumnType>,
    ) -> Result<NodeId, String> {
        let ty = ty.unwrap_or_else(|| match function.returns {
            Returns::Ty(ty) => ty,
            Returns::Arg(n) => self.ty(args[n]),
            Returns::Special => args.first().map_or(ColumnType::Dynamic, |first| self.ty(*first)),
        });
        let key = Key::Call(function.name, args);
        if let Some(node) = self.interned.get(&key) {
            return Ok(*node);
        }
        let Key::Call(_, args) = &key else { unreachable!("built just above") };
        let constants: Vec<Option<Scalar>> = args.iter().map(|arg| self.constant(*arg).cloned()).collect();
        let types: Vec<ColumnType> = args.iter().map(|arg| self.ty(*arg)).collect();
        let prepared = match function.prepare {
            Some(prepare) => prepare(&constants, &types)?,
            None => Prepared::Nothing,
        };
        if (function.pure || self.now.is_some()) && constants.iter().all(Option::is_some) {
            let values: Vec<Value> = constants.into_iter().flatten().map(Value::Scalar).collect();
            let call =
                Args { values: &values, types: &types, rows: 1, prepared: &prepared, now: self.now.unwrap_or(0) };
            let folded = Scalar::of_array(&(function.kernel)(&call), 0, ty);
            return Ok(self.scalar(folded));
        }
        let args = args.clone();
        let domain = args.iter().find_map(|arg| self.nodes[*arg].domain);
        let node = match self.merged_pack(function, &args) {
            Some((op, args)) => self.push(op, args, ty, domain),
            None => self.push(Op::Call(function, Arc::new(prepared)), args, ty, domain),
        };
        self.interned.insert(key, node);
        Ok(node)
    }

    /// `bag_merge` of a bag that is packed there, as one call.
    fn merged_pack(&self, function: &Function, args: &[NodeId]) -> Option<(Op, Vec<NodeId>)> {
        let (first, rest) = args.split_first()?;
        let Op::Call(pack, names) = &self.nodes[*first].op else { return None };
        if function.name != "bag_merge" {
            return None;
        }
        let prepared = merged_pack(pack, names)?;
        let args = self.nodes[*first].args.iter().chain(rest).copied().collect();
        Some((Op::Call(builtin(MERGED_PACK), Arc::new(prepared)), args))
    }

    /// The node of another graph that works on one row, over the arguments that stand for its own here.
    pub(crate) fn adopt(&mut self, from: &Graph, node: NodeId, args: Vec<NodeId>) -> NodeId {
        let original = &from.nodes[node];
        let (op, ty) = (original.op.clone(), original.ty);
        let domain = args.iter().find_map(|arg| self.nodes[*arg].domain);
        match &op {
            Op::Input(name) => self.input(name, ty, INPUT),
            Op::Const(scalar) => self.scalar(scalar.clone()),
            Op::Path(path, as_text) => {
                let key = Key::Path(path.clone(), *as_text, args[0]);
                self.intern(key, || (op.clone(), args, ty, domain))
            }
            Op::Part(number) => self.field(Op::Part(*number), *number, args[0], ty, domain.unwrap_or(INPUT)),
            Op::Call(function, _) => {
                // A call whose state the binder made is told apart by that state, which its key does not hold.
                if from.interned.get(&Key::Call(function.name, original.args.clone())) != Some(&node) {
                    return self.push(op, args, ty, domain);
                }
                if function.pure
                    && args.iter().all(|arg| self.constant(*arg).is_some())
                    && let Ok(folded) = self.call(function, args.clone(), Some(ty))
                {
                    return folded;
                }
                self.intern(Key::Call(function.name, args.clone()), || (op.clone(), args, ty, domain))
            }
            _ => self.push(op, args, ty, domain.or(Some(INPUT))),
        }
    }

    /// A call to a function of this crate that takes whatever it is given.
    pub(crate) fn builtin(&mut self, name: &str, args: Vec<NodeId>) -> NodeId {
        self.call(builtin(name), args, None).expect("only patterns can be refused, and these calls have none")
    }

    /// A call whose state the binder prepared itself.
    pub(crate) fn call_prepared(
        &mut self,
        function: &'static Function,
        args: Vec<NodeId>,
        ty: ColumnType,
        prepared: Prepared,
    ) -> NodeId {
        let domain = args.iter().find_map(|arg| self.nodes[*arg].domain);
        self.push(Op::Call(function, Arc::new(prepared)), args, ty, domain)
    }

    /// `base` followed by one more step.
    pub(crate) fn path(&mut self, base: NodeId, segment: Segment) -> NodeId {
        if let Some(scalar) = self.constant(base) {
            let key = match segment {
                Segment::Key(name) => Scalar::String(name.into()),
                Segment::Index(index) => Scalar::Long(index),
            };
            let base = match scalar {
                Scalar::Dynamic(_) => base,
                _ => return self.scalar(Scalar::Null(ColumnType::Dynamic)),
            };
            let key = self.scalar(key);
            return self.builtin("[]", vec![base, key]);
        }
        let (root, path) = match &self.nodes[base] {
            Node { op: Op::Path(path, false), args, .. } => {
                (args[0], path.iter().cloned().chain([segment]).collect::<Vec<_>>())
            }
            _ => (base, vec![segment]),
        };
        self.path_of(root, path, false)
    }

    fn path_of(&mut self, root: NodeId, path: Vec<Segment>, as_text: bool) -> NodeId {
        let domain = self.nodes[root].domain;
        let ty = if as_text { ColumnType::String } else { ColumnType::Dynamic };
        self.intern(Key::Path(path.clone(), as_text, root), || (Op::Path(path, as_text), vec![root], ty, domain))
    }

    /// `node` converted to `ty`; itself if it has that type.
    pub(crate) fn convert(&mut self, node: NodeId, ty: ColumnType) -> NodeId {
        if self.ty(node) == ty {
            return node;
        }
        if ty == ColumnType::String
            && let Node { op: Op::Path(path, false), args, .. } = &self.nodes[node]
        {
            let (root, path) = (args[0], path.clone());
            return self.path_of(root, path, true);
        }
        if let Some(Scalar::Null(_)) = self.constant(node)
            && ty != ColumnType::String
        {
            return self.scalar(Scalar::Null(ty));
        }
        self.builtin(crate::functions::converter(ty), vec![node])
    }

    /// The selection of the rows of `domain` where `mask` is true, and its domain.
    pub(crate) fn filter(&mut self, mask: NodeId, domain: DomainId) -> (NodeId, DomainId) {
        let selection =
            self.intern(Key::Where(mask, domain), || (Op::Where, vec![mask], ColumnType::Bool, Some(domain)));
        let selected = self.domain(Domain::Selected(selection));
        (selection, selected)
    }

    /// A selection that is not shared.
    pub(crate) fn selection(&mut self, op: Op, args: Vec<NodeId>, domain: DomainId) -> (NodeId, DomainId) {
        let selection = self.push(op, args, ColumnType::Bool, Some(domain));
        let selected = self.domain(Domain::Selected(selection));
        (selection, selected)
    }

    /// The numbers of a domain's rows, from 0.
    pub(crate) fn row_numbers(&mut self, domain: DomainId) -> NodeId {
        self.intern(Key::RowNumbers(domain), || (Op::RowNumbers, Vec::new(), ColumnType::Long, Some(domain)))
    }

    /// `node` carried through a selection; constants need no carrying.
    pub(crate) fn moved(&mut self, node: NodeId, selection: NodeId, domain: DomainId) -> NodeId {
        if self.nodes[node].domain.is_none() {
            return node;
        }
        let ty = self.ty(node);
        self.intern(Key::Move(node, selection), || (Op::Move, vec![node, selection], ty, Some(domain)))
    }

    /// For each row of `domain`, the number of the input row that it came from. `None` where that is the row itself.
    pub(crate) fn came_from(&mut self, domain: DomainId) -> Option<NodeId> {
        if domain == INPUT { None } else { Some(self.input_rows(domain)) }
    }

    /// Whether a row of the input may become several rows of `domain`.
    pub(crate) fn multiplies(&self, domain: DomainId) -> bool {
        match &self.domains[domain] {
            Domain::Input => false,
            Domain::Selected(selection) => {
                let node = &self.nodes[*selection];
                !matches!(node.op, Op::Where) || node.domain.is_none_or(|source| self.multiplies(source))
            }
            Domain::Union(_) | Domain::Stored(_) | Domain::Rows(_) => true,
        }
    }

    fn input_rows(&mut self, domain: DomainId) -> NodeId {
        match self.domains[domain].clone() {
            Domain::Input => self.row_numbers(INPUT),
            Domain::Selected(selection) => {
                let node = &self.nodes[selection];
                // A gathering takes its rows from outside, where its groups belong to rows there.
                let outside = if let Op::Gather(spec) = &node.op { spec.outside } else { None };
                match outside.or(node.domain) {
                    Some(source) => {
                        let rows = self.input_rows(source);
                        self.moved(rows, selection, domain)
                    }
                    None => self.scalar(Scalar::Long(0)),
                }
            }
            Domain::Union(branches) => {
                let rows = branches.iter().map(|branch| self.input_rows(*branch)).collect();
                self.concat(rows, ColumnType::Long, domain)
            }
            // Rows that the query itself writes down came from none; they go with the first.
            Domain::Stored(_) | Domain::Rows(_) => self.scalar(Scalar::Long(0)),
        }
    }

    /// Column `number` of a probe, an unnest (both give `domain`) or a tuple.
    pub(crate) fn field(&mut self, op: Op, number: usize, of: NodeId, ty: ColumnType, domain: DomainId) -> NodeId {
        let kind = match op {
            Op::Probed(_) => "probed",
            Op::Unnested(_) => "unnested",
            Op::Gathered(_) => "gathered",
            Op::Joined(_) => "joined",
            _ => "part",
        };
        self.intern(Key::Field(kind, number, of), || (op, vec![of], ty, Some(domain)))
    }

    /// A tuple of the rows of `domain`.
    pub(crate) fn tuple(&mut self, op: Op, arg: NodeId, domain: DomainId) -> NodeId {
        self.push(op, vec![arg], ColumnType::Dynamic, Some(domain))
    }

    pub(crate) fn concat(&mut self, args: Vec<NodeId>, ty: ColumnType, domain: DomainId) -> NodeId {
        if let Some(first) = args.first()
            && self.nodes[*first].domain.is_none()
            && args.iter().all(|arg| arg == first)
        {
            return *first;
        }
        self.push(Op::Concat, args, ty, Some(domain))
    }
}
