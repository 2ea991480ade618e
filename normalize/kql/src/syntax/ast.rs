//! The syntax tree. Every expression keeps the bytes it came from.

use weir_contract::schema::ColumnType;

use crate::diagnostic::Span;
use crate::scalar::Scalar;

/// Statements, and the tabular or scalar expression at the end.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) statements: Vec<Statement>,
    pub(crate) body: Expr,
}

/// What stands before a `;`.
#[derive(Debug, Clone)]
pub(crate) enum Statement {
    Let(Let),
    /// `set option = value;`: a hint to the service.
    Set(Name, Option<Expr>),
    /// `declare query_parameters(name:type = default);`
    Declare(Vec<Param>),
    /// A query whose result comes before the last one's.
    Result(Expr),
    /// `alias database …`, `restrict access to (…)`, `declare pattern …`: read, but only the service knows them.
    Other(Name),
}

/// `let name = value;`
#[derive(Debug, Clone)]
pub(crate) struct Let {
    pub(crate) name: Name,
    pub(crate) value: LetValue,
}

#[derive(Debug, Clone)]
pub(crate) enum LetValue {
    Expr(Expr),
    Function(std::rc::Rc<FunctionDef>),
}

/// `(T:(*), a:string = "x") { … }`
#[derive(Debug)]
pub(crate) struct FunctionDef {
    pub(crate) params: Vec<Param>,
    pub(crate) body: Query,
}

#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) name: Name,
    pub(crate) ty: ParamType,
    pub(crate) default: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParamType {
    Scalar(ColumnType),
    /// With the columns that it must have; empty for `(*)`.
    Table(Schema),
}

/// Columns with their types.
pub(crate) type Schema = Vec<(Name, ColumnType)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

impl Expr {
    /// The scalar expressions directly inside; those of a pipeline's operators are not among them.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Member(base, _) | ExprKind::Negate(base) => vec![base],
            ExprKind::Index(a, b) | ExprKind::Binary(_, a, b) => vec![a, b],
            ExprKind::Call(_, args) => args.iter().map(|arg| &arg.value).collect(),
            ExprKind::Method(base, _, args) => {
                std::iter::once(&**base).chain(args.iter().map(|arg| &arg.value)).collect()
            }
            ExprKind::Among(_, value, items) => std::iter::once(&**value).chain(items).collect(),
            ExprKind::Between(_, value, low, high) => vec![value, low, high],
            ExprKind::Pipe(source, _) => vec![source],
            ExprKind::Datatable(_, values) => values.iter().collect(),
            ExprKind::Print(assignments) => assignments.iter().map(|assignment| &assignment.value).collect(),
            ExprKind::Range(_, bounds) => bounds.iter().collect(),
            ExprKind::Union(union) => union.tables.iter().collect(),
            ExprKind::External(external) => external.addresses.iter().collect(),
            ExprKind::Literal(_)
            | ExprKind::Name(_)
            | ExprKind::Source(_)
            | ExprKind::Wildcard(_)
            | ExprKind::TypeOf(_)
            | ExprKind::Star
            | ExprKind::Missing => Vec::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Literal(Scalar),
    Name(String),
    /// `base.name` and `base['name']` with a literal name.
    Member(Box<Expr>, String),
    /// `base[expr]`
    Index(Box<Expr>, Box<Expr>),
    Call(Name, Vec<Arg>),
    /// `database("x").f(…)`
    Method(Box<Expr>, Name, Vec<Arg>),
    Negate(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `value in (a, b)`: the operator's name as in the function table, and the list.
    Among(&'static str, Box<Expr>, Vec<Expr>),
    /// `value between (low .. high)`; the flag negates.
    Between(bool, Box<Expr>, Box<Expr>, Box<Expr>),
    /// `source | operator | …`
    Pipe(Box<Expr>, Vec<Operator>),
    Datatable(Vec<(Name, ColumnType)>, Vec<Expr>),
    Print(Vec<Assignment>),
    Range(Name, Box<[Expr; 3]>),
    /// `union` at the start of a pipeline.
    Union(Union),
    /// `find`, `search`, `evaluate` or `externaldata` at the start of a pipeline.
    Source(Box<Operator>),
    External(Box<External>),
    /// `Security*` among the tables of a union.
    Wildcard(String),
    /// `typeof(long)`
    TypeOf(ColumnType),
    Star,
    /// Where an expression could not be read.
    Missing,
}

/// `externaldata (a:string) [@"https://…"] with (format="csv")`
#[derive(Debug, Clone)]
pub(crate) struct External {
    pub(crate) columns: Schema,
    pub(crate) addresses: Vec<Expr>,
    pub(crate) properties: Vec<(Name, Expr)>,
}

/// An operator that is also a function of the registry.
pub(crate) type BinaryOp = &'static str;

/// A call's argument, possibly named.
#[derive(Debug, Clone)]
pub(crate) struct Arg {
    pub(crate) name: Option<String>,
    pub(crate) value: Expr,
}

/// `name = value`, `(a, b) = value` or a bare expression.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) name: Option<Name>,
    /// The names after the first of `(a, b) = value`.
    pub(crate) more: Vec<Name>,
    pub(crate) value: Expr,
}

#[derive(Debug, Clone)]
pub(crate) struct Union {
    pub(crate) tables: Vec<Expr>,
    pub(crate) inner: bool,
    /// An unknown table is empty.
    pub(crate) fuzzy: bool,
    pub(crate) withsource: Option<String>,
}

/// A name or a wildcard pattern of the `project-` family.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    pub(crate) wildcard: bool,
    pub(crate) span: Span,
    /// `project-reorder`: `asc` or `desc` of the matched names.
    pub(crate) order: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    InnerUnique,
    LeftOuter,
    RightOuter,
    FullOuter,
    LeftAnti,
    RightAnti,
    LeftSemi,
    RightSemi,
}

#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) kind: JoinKind,
    /// `lookup`: the right keys do not come along.
    pub(crate) lookup: bool,
    pub(crate) right: Expr,
    pub(crate) keys: Vec<JoinKey>,
}

/// A key of `sort` and `top`.
#[derive(Debug, Clone)]
pub(crate) struct SortKey {
    pub(crate) value: Assignment,
    pub(crate) ascending: bool,
    pub(crate) nulls_first: bool,
}

/// `mv-apply columns on (operators)`
#[derive(Debug, Clone)]
pub(crate) struct Apply {
    pub(crate) expand: Expand,
    pub(crate) body: Vec<Operator>,
}

#[derive(Debug, Clone)]
pub(crate) struct MakeSeries {
    /// `kind=nonempty`: a series of defaults where there are no rows.
    pub(crate) nonempty: bool,
    /// `in range(…)`: the last bound belongs to the series, and bins are multiples of the step.
    pub(crate) inclusive: bool,
    /// Each aggregate with its default.
    pub(crate) aggregates: Vec<(Assignment, Option<Expr>)>,
    pub(crate) axis: Expr,
    pub(crate) from: Option<Expr>,
    pub(crate) to: Option<Expr>,
    pub(crate) step: Option<Expr>,
    pub(crate) by: Vec<Assignment>,
}

/// `search [in (tables)] condition` and `find [in (tables)] where condition [project …]`.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) options: Options,
    pub(crate) tables: Vec<Expr>,
    pub(crate) condition: Expr,
    pub(crate) project: Vec<(Expr, Option<ColumnType>)>,
    pub(crate) project_smart: bool,
    pub(crate) project_away: Vec<Pattern>,
}

/// One level of `top-nested`.
#[derive(Debug, Clone)]
pub(crate) struct NestedLevel {
    pub(crate) count: Option<Expr>,
    pub(crate) of: Assignment,
    pub(crate) others: Option<Expr>,
    pub(crate) by: Assignment,
    pub(crate) ascending: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub(crate) options: Options,
    pub(crate) order: Vec<SortKey>,
    pub(crate) partition: Vec<Assignment>,
    pub(crate) declared: Vec<Param>,
    pub(crate) steps: Vec<ScanStep>,
}

/// `step name [optional] [output=all]: condition => column = value, …;`
#[derive(Debug, Clone)]
pub(crate) struct ScanStep {
    pub(crate) name: Name,
    pub(crate) optional: bool,
    pub(crate) options: Options,
    pub(crate) condition: Expr,
    pub(crate) assignments: Vec<Assignment>,
}

/// `name = value` before an operator's operands, the value as its text.
pub(crate) type Options = Vec<(String, String)>;

/// One condition of `on`: left and right column names.
#[derive(Debug, Clone)]
pub(crate) struct JoinKey {
    pub(crate) left: Name,
    pub(crate) right: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParseKind {
    Simple,
    Relaxed,
    Regex,
}

#[derive(Debug, Clone)]
pub(crate) enum ParsePart {
    Star,
    Text(String),
    Column(Name, Option<ColumnType>),
}

#[derive(Debug, Clone)]
pub(crate) struct ParseSpec {
    pub(crate) kind: ParseKind,
    pub(crate) flags: String,
    pub(crate) input: Expr,
    pub(crate) parts: Vec<ParsePart>,
    /// `parse-where`
    pub(crate) filter: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct ParseKv {
    pub(crate) input: Expr,
    pub(crate) columns: Vec<(Name, ColumnType)>,
    pub(crate) options: Vec<(Name, Expr)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Expand {
    pub(crate) columns: Vec<(Assignment, Option<ColumnType>)>,
    pub(crate) index: Option<Name>,
    pub(crate) as_array: bool,
    pub(crate) limit: Option<Expr>,
}

#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) kind: OperatorKind,
    pub(crate) span: Span,
    /// Of its keyword.
    pub(crate) name_span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum OperatorKind {
    Where(Expr),
    Extend(Vec<Assignment>),
    Project(Vec<Assignment>),
    ProjectAway(Vec<Pattern>),
    ProjectKeep(Vec<Pattern>),
    ProjectReorder(Vec<Pattern>),
    ProjectRename(Vec<(Name, Name)>),
    Join(Box<Join>),
    Union(Union),
    Parse(Box<ParseSpec>),
    ParseKv(Box<ParseKv>),
    Expand(Expand),
    Invoke(Name, Vec<Arg>),
    /// `as name`, `serialize`, `consume` and hints: no effect on rows.
    Nothing,
    As(Name),
    Serialize(Vec<Assignment>),
    Summarize {
        aggregates: Vec<Assignment>,
        by: Vec<Assignment>,
    },
    Distinct(Vec<Assignment>),
    Count,
    Sort(Vec<SortKey>),
    Top(Expr, Vec<SortKey>),
    Take(Expr),
    Apply(Box<Apply>),
    GetSchema,
    Sample(Expr),
    SampleDistinct(Expr, Expr),
    TopHitters(Expr, Expr, Option<Expr>),
    TopNested(Vec<NestedLevel>),
    MakeSeries(Box<MakeSeries>),
    /// A plugin's call, and the columns that it is said to give.
    Evaluate(Expr, Option<Schema>),
    Reduce(Expr, Vec<(Name, Expr)>),
    Render(Name, Vec<(Name, Expr)>),
    Search(Box<Search>),
    Find(Box<Search>),
    Facet(Vec<Name>, Vec<Operator>),
    /// The branches of `fork`, with their names.
    Fork(Vec<(Option<Name>, Vec<Operator>)>),
    Partition(Expr, Box<PartitionBody>),
    Scan(Box<Scan>),
    MakeGraph(Box<MakeGraph>),
    GraphMatch(Box<GraphMatch>),
    /// A known operator whose operands are only skipped over (the graph family).
    Opaque(String),
}

/// `make-graph source --> target with nodes on id`
#[derive(Debug, Clone)]
pub(crate) struct MakeGraph {
    pub(crate) source: Name,
    pub(crate) target: Name,
    /// The nodes' table, and which of its columns names them.
    pub(crate) nodes: Option<(Expr, Name)>,
    /// `with_node_id=name`
    pub(crate) node_id: Option<Name>,
}

#[derive(Debug, Clone)]
pub(crate) struct GraphMatch {
    /// `graph-shortest-paths`
    pub(crate) shortest: bool,
    pub(crate) options: Options,
    pub(crate) patterns: Vec<PathPattern>,
    pub(crate) condition: Option<Expr>,
    pub(crate) project: Vec<Assignment>,
}

/// `(a)-[e]->(b)<--(c)`: nodes and the edges between them, each with or without a name.
#[derive(Debug, Clone)]
pub(crate) struct PathPattern {
    pub(crate) nodes: Vec<Option<Name>>,
    pub(crate) edges: Vec<PathEdge>,
}

#[derive(Debug, Clone)]
pub(crate) struct PathEdge {
    pub(crate) name: Option<Name>,
    pub(crate) direction: Direction,
    /// `*1..3`: so many edges in a row.
    pub(crate) hops: Option<(usize, usize)>,
}

/// Which way an edge leads, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
    Any,
}

#[derive(Debug, Clone)]
pub(crate) enum PartitionBody {
    /// `(operators)`, run on each part.
    Operators(Vec<Operator>),
    /// `{ query }`, which names its own source.
    Query(Query),
}

impl OperatorKind {
    /// Its name as written in KQL.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Where(_) => "where",
            Self::Extend(_) => "extend",
            Self::Project(_) => "project",
            Self::ProjectAway(_) => "project-away",
            Self::ProjectKeep(_) => "project-keep",
            Self::ProjectReorder(_) => "project-reorder",
            Self::ProjectRename(_) => "project-rename",
            Self::Join(join) if join.lookup => "lookup",
            Self::Join(_) => "join",
            Self::Union(_) => "union",
            Self::Parse(spec) if spec.filter => "parse-where",
            Self::Parse(_) => "parse",
            Self::ParseKv(_) => "parse-kv",
            Self::Expand(_) => "mv-expand",
            Self::Invoke(..) => "invoke",
            Self::Nothing => "consume",
            Self::As(_) => "as",
            Self::Serialize(_) => "serialize",
            Self::Summarize { .. } => "summarize",
            Self::Distinct(_) => "distinct",
            Self::Count => "count",
            Self::Sort(_) => "sort",
            Self::Top(..) => "top",
            Self::Take(_) => "take",
            Self::Apply(_) => "mv-apply",
            Self::GetSchema => "getschema",
            Self::Sample(_) => "sample",
            Self::SampleDistinct(..) => "sample-distinct",
            Self::TopHitters(..) => "top-hitters",
            Self::TopNested(_) => "top-nested",
            Self::MakeSeries(_) => "make-series",
            Self::Evaluate(..) => "evaluate",
            Self::Reduce(..) => "reduce",
            Self::Render(..) => "render",
            Self::Search(_) => "search",
            Self::Find(_) => "find",
            Self::Facet(..) => "facet",
            Self::Fork(_) => "fork",
            Self::Partition(..) => "partition",
            Self::Scan(_) => "scan",
            Self::MakeGraph(_) => "make-graph",
            Self::GraphMatch(spec) if spec.shortest => "graph-shortest-paths",
            Self::GraphMatch(_) => "graph-match",
            Self::Opaque(name) => name,
        }
    }
}
