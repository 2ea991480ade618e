//! The syntax tree. Every expression keeps the bytes it came from.

use weir_contract::schema::ColumnType;

use crate::diagnostic::Span;
use crate::scalar::Scalar;

/// Statements (`let …;`) and the tabular or scalar expression at the end.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) lets: Vec<Let>,
    pub(crate) body: Expr,
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

#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: Name,
    pub(crate) ty: ParamType,
    pub(crate) default: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParamType {
    Scalar(ColumnType),
    Table,
}

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

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Literal(Scalar),
    Name(String),
    /// `base.name` and `base['name']` with a literal name.
    Member(Box<Expr>, String),
    /// `base[expr]`
    Index(Box<Expr>, Box<Expr>),
    Call(Name, Vec<Arg>),
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
    /// `typeof(long)`
    TypeOf(ColumnType),
    Star,
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
    pub(crate) value: Expr,
}

#[derive(Debug, Clone)]
pub(crate) struct Union {
    pub(crate) tables: Vec<Expr>,
    pub(crate) inner: bool,
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
    LeftOuter,
}

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
    Join {
        kind: JoinKind,
        drop_right_keys: bool,
        right: Expr,
        keys: Vec<JoinKey>,
    },
    Union(Union),
    Parse(Box<ParseSpec>),
    ParseKv(Box<ParseKv>),
    Expand(Expand),
    Invoke(Name, Vec<Arg>),
    /// `as name`, `serialize`, `consume` and hints: no effect on rows.
    Nothing,
    /// A known operator that needs more than the rows of one batch.
    Stateful(String),
}
