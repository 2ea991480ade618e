//! What Azure would refuse in a data collection rule's `transformKql`, though Weir runs it.
//!
//! The rule is the documented list
//! (<https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-transformations-kql>): every statement
//! works on one row, and what is not listed is not supported. The service accepts a little more than it lists
//! (`in~`, `todynamic`, `iff`, `coalesce`, `replace_string`…); those come as warnings.

use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::scalar::Scalar;
use crate::syntax::ast::{
    Expr, ExprKind, LetValue, Operator, OperatorKind, ParamType, ParseKind, ParsePart, Query, Statement,
};
use crate::syntax::parser;
use weir_contract::schema::ColumnType;

/// Longest `transformKql`, in characters.
const MAX_CHARACTERS: usize = 15_360;
/// Most columns of one `parse`.
const MAX_PARSE_COLUMNS: usize = 10;

/// Checks a transformation against the documented subset. Empty: nothing to say.
///
/// Errors are what the documentation leaves out; warnings are what it leaves out but the service is known to take. A text
/// that is no query comes back as its syntax errors. Types are not checked here.
pub fn dcr_strict(query: &str) -> Vec<Diagnostic> {
    let tree = match parser::parse(query) {
        Ok(tree) => tree,
        Err(errors) => return errors,
    };
    let mut lint = Lint { found: Vec::new(), functions: Vec::new(), tables: Vec::new() };
    let characters = query.chars().count();
    if characters > MAX_CHARACTERS {
        let message = format!("{characters} characters are more than the {MAX_CHARACTERS} of a transformation");
        lint.found.push(Diagnostic::error(0..query.len(), message));
    }
    lint.query(&tree);
    lint.literals(query);
    lint.found.sort_by_key(|diagnostic| diagnostic.span.start);
    lint.found
}

struct Lint {
    found: Vec<Diagnostic>,
    /// The query's own functions.
    functions: Vec<String>,
    tables: Vec<String>,
}

impl Lint {
    fn refuse(&mut self, span: &Span, what: &str) {
        self.found.push(Diagnostic::error(span.clone(), format!("{what} is not supported in a transformation")));
    }

    fn query(&mut self, query: &Query) {
        for statement in &query.statements {
            match statement {
                Statement::Let(statement) => match &statement.value {
                    LetValue::Expr(expr) => {
                        self.tables.push(statement.name.text.clone());
                        self.expr(expr);
                    }
                    LetValue::Function(function) => {
                        self.functions.push(statement.name.text.clone());
                        for param in &function.params {
                            if matches!(param.ty, ParamType::Table(_)) {
                                self.refuse(&param.name.span, "a function over tables");
                            }
                        }
                        self.query(&function.body);
                    }
                },
                Statement::Set(name, _) | Statement::Other(name) => self.refuse(&name.span, "this statement"),
                Statement::Declare(params) => {
                    let span = params.first().map_or(0..0, |param| param.name.span.clone());
                    self.refuse(&span, "`declare query_parameters`");
                }
                Statement::Result(expr) => self.refuse(&expr.span, "a second result"),
            }
        }
        self.expr(&query.body);
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Pipe(source, operators) => {
                self.source(source);
                for operator in operators {
                    self.operator(operator);
                }
                return;
            }
            ExprKind::Call(name, _) => self.call(&name.text, &name.span),
            ExprKind::Binary(op, left, right) => {
                // Long chains are walked, not recursed into.
                let mut chain = vec![(*op, &**right, &expr.span)];
                let mut first: &Expr = left;
                while let ExprKind::Binary(op, left, right) = &first.kind {
                    chain.push((*op, right, &first.span));
                    first = left;
                }
                self.expr(first);
                for (op, right, span) in chain.into_iter().rev() {
                    self.word_operator(op, span);
                    self.expr(right);
                }
                return;
            }
            ExprKind::Among(op, ..) => self.word_operator(op, &expr.span),
            ExprKind::Between(..) => self.refuse(&expr.span, "`between`"),
            ExprKind::Union(_) => self.refuse(&expr.span, "`union`"),
            ExprKind::Range(..) => self.refuse(&expr.span, "`range`"),
            ExprKind::Source(operator) => self.refuse(&operator.name_span, &format!("`{}`", operator.kind.name())),
            ExprKind::External(_) => self.refuse(&expr.span, "`externaldata`"),
            ExprKind::Method(..) | ExprKind::Wildcard(_) => self.refuse(&expr.span, "another table"),
            _ => {}
        }
        for child in expr.children() {
            self.expr(child);
        }
    }

    fn source(&mut self, source: &Expr) {
        match &source.kind {
            ExprKind::Name(name) if name == "source" || self.tables.contains(name) => {}
            ExprKind::Name(name) => {
                let error = Diagnostic::error(source.span.clone(), format!("a transformation does not know `{name}`"));
                self.found.push(error.with_help("its input is called `source`"));
            }
            _ => self.expr(source),
        }
    }

    fn operator(&mut self, operator: &Operator) {
        match &operator.kind {
            OperatorKind::Where(condition) => self.expr(condition),
            OperatorKind::Extend(assignments) | OperatorKind::Project(assignments) => {
                for assignment in assignments {
                    self.expr(&assignment.value);
                }
            }
            OperatorKind::ProjectAway(_) | OperatorKind::ProjectRename(_) => {}
            OperatorKind::Parse(spec) if !spec.filter => {
                let columns = spec.parts.iter().filter(|part| matches!(part, ParsePart::Column(..))).count();
                if columns > MAX_PARSE_COLUMNS {
                    let message =
                        format!("one `parse` extracts at most {MAX_PARSE_COLUMNS} columns, this one {columns}");
                    self.found.push(Diagnostic::error(operator.span.clone(), message).with_help("use several `parse`"));
                }
                if spec.kind == ParseKind::Relaxed {
                    self.found
                        .push(Diagnostic::warning(operator.name_span.clone(), "`kind=relaxed` is not documented"));
                }
                self.expr(&spec.input);
            }
            kind => self.refuse(&operator.name_span, &format!("`{}`", kind.name())),
        }
    }

    fn word_operator(&mut self, op: &str, span: &Span) {
        if OPERATORS.contains(&op) {
            return;
        }
        if UNDOCUMENTED.contains(&op) {
            self.found.push(undocumented(op, span));
        } else {
            self.refuse(span, &format!("`{op}`"));
        }
    }

    fn call(&mut self, name: &str, span: &Span) {
        if FUNCTIONS.contains(&name) || self.functions.iter().any(|known| known == name) {
            return;
        }
        if UNDOCUMENTED.contains(&name) {
            self.found.push(undocumented(name, span));
            return;
        }
        let mut error = Diagnostic::error(span.clone(), format!("`{name}` is not supported in a transformation"));
        error.help = SPELLINGS
            .iter()
            .find(|(ours, _)| *ours == name)
            .map(|(_, theirs)| format!("write `{theirs}`"))
            .or_else(|| nearest(name, FUNCTIONS.iter().copied()));
        self.found.push(error);
    }

    /// `dynamic(…)` is one token to the parser, so it is looked for among the tokens.
    fn literals(&mut self, query: &str) {
        for token in crate::syntax::literal_tokens(query) {
            let is_dynamic = matches!(&token.1, Scalar::Dynamic(_) | Scalar::Null(ColumnType::Dynamic));
            if is_dynamic {
                let error = Diagnostic::error(token.0, "`dynamic(…)` is not supported in a transformation");
                self.found.push(error.with_help("write `parse_json('…')`"));
            }
        }
    }
}

fn undocumented(name: &str, span: &Span) -> Diagnostic {
    Diagnostic::warning(span.clone(), format!("`{name}` is not documented for transformations"))
        .with_help("the service is known to take it, but need not")
}

/// Names that transformations spell in another way.
const SPELLINGS: &[(&str, &str)] = &[
    ("column_ifexists", "columnifexists"),
    ("bag_pack", "pack"),
    ("pack_dictionary", "pack"),
    ("base64_encode_tostring", "base64_encodestring"),
    ("base64_decode_tostring", "base64_decodestring"),
    ("monthofyear", "getmonth"),
    ("week_of_year", "weekofyear"),
];

/// Not on the list, but in transformations that the service took.
const UNDOCUMENTED: &[&str] = &[
    "in~",
    "!in~",
    "todynamic",
    "iff",
    "coalesce",
    "replace",
    "replace_string",
    "trim",
    "trim_start",
    "trim_end",
    "strcat_array",
    "not",
    "unixtime_milliseconds_todatetime",
    "unixtime_seconds_todatetime",
    "parse_ipv4",
    "parse_ipv6",
    "extractjson",
    "array_slice",
    "bag_merge",
    "parse_url",
    "isutf8",
];

const OPERATORS: &[&str] = &[
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "and",
    "or",
    "=~",
    "!~",
    "contains",
    "!contains",
    "contains_cs",
    "!contains_cs",
    "has",
    "!has",
    "has_cs",
    "!has_cs",
    "startswith",
    "!startswith",
    "startswith_cs",
    "!startswith_cs",
    "endswith",
    "!endswith",
    "endswith_cs",
    "!endswith_cs",
    "matches regex",
    "in",
    "!in",
];

const FUNCTIONS: &[&str] = &[
    // Conversion
    "tobool",
    "todatetime",
    "todouble",
    "toreal",
    "toguid",
    "toint",
    "tolong",
    "tostring",
    "totimespan",
    // Date and time
    "ago",
    "datetime_add",
    "datetime_diff",
    "datetime_part",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "endofday",
    "endofmonth",
    "endofweek",
    "endofyear",
    "getmonth",
    "getyear",
    "hourofday",
    "make_datetime",
    "make_timespan",
    "now",
    "startofday",
    "startofmonth",
    "startofweek",
    "startofyear",
    "weekofyear",
    // Dynamic values
    "array_concat",
    "array_length",
    "pack_array",
    "pack",
    "parse_json",
    "parse_xml",
    "zip",
    // Numbers
    "abs",
    "bin",
    "floor",
    "ceiling",
    "exp",
    "exp10",
    "exp2",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log10",
    "log2",
    "pow",
    "round",
    "sign",
    "binary_and",
    "binary_or",
    "binary_xor",
    "binary_not",
    "binary_shift_left",
    "binary_shift_right",
    // Conditions
    "case",
    "iif",
    "max_of",
    "min_of",
    // Text
    "base64_encodestring",
    "base64_decodestring",
    "countof",
    "extract",
    "extract_all",
    "indexof",
    "isempty",
    "isnotempty",
    "split",
    "strcat",
    "strcat_delim",
    "strlen",
    "substring",
    "tolower",
    "toupper",
    "hash_sha256",
    // Types
    "gettype",
    "isnotnull",
    "isnull",
    "columnifexists",
    // Only in transformations
    "parse_cef_dictionary",
    "geo_location",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Severity;

    fn found(query: &str) -> Vec<String> {
        dcr_strict(query).into_iter().map(|diagnostic| diagnostic.message).collect()
    }

    #[test]
    fn the_documented_subset_passes() {
        for query in [
            "source",
            "source | where Severity == 'Critical' and Count > 5 | project-away Properties",
            "source | extend Props = parse_json(Properties) | extend Name = tostring(Props.name), At = todatetime(Props['at'])",
            "let big = 5; let f = (x:string) { toupper(x) }; source | extend A = f(B) | where C >= big and D has_cs 'x'",
            "source | parse Text with * 'id=' Id:long ' ' Rest | project-rename Body = Rest",
            "print x = 1",
            "let codes = datatable(code:int, name:string) [1, 'a']; source | project Q = columnifexists('W', '')",
            "source | extend R = iif(S matches regex @'\\d+', 1, 2), T = case(U !in ('v'), now(), ago(1d))",
        ] {
            assert_eq!(found(query), [""; 0], "{query}");
        }
    }

    #[test]
    fn what_azure_refuses_is_named() {
        for (query, message) in [
            ("source | summarize count()", "`summarize` is not supported in a transformation"),
            ("source | lookup (datatable(a:string)['x']) on a", "`lookup` is not supported in a transformation"),
            ("union source, source", "`union` is not supported in a transformation"),
            ("source | mv-expand a", "`mv-expand` is not supported in a transformation"),
            ("source | project-keep a", "`project-keep` is not supported in a transformation"),
            ("source | parse-where a with 'x' b", "`parse-where` is not supported in a transformation"),
            ("source | where a has_any ('x')", "`has_any` is not supported in a transformation"),
            ("source | where a between (1 .. 2)", "`between` is not supported in a transformation"),
            ("source | extend a = bag_pack('b', c)", "`bag_pack` is not supported in a transformation"),
            ("source | extend a = column_ifexists('b', c)", "`column_ifexists` is not supported in a transformation"),
            ("source | extend a = dynamic({})", "`dynamic(…)` is not supported in a transformation"),
            ("Raw | where a == 1", "a transformation does not know `Raw`"),
            (
                "source | parse t with a 'b' c 'd' e 'f' g 'h' i 'j' k 'l' m 'n' o 'p' q 'r' s 't' u",
                "one `parse` extracts at most 10 columns, this one 11",
            ),
            ("let f = (T:(*)) { T }; source", "a function over tables is not supported in a transformation"),
            ("source | extend a = strrep('x', 2)", "`strrep` is not supported in a transformation"),
            ("source |", "expected an operator, found the end of the query"),
        ] {
            let all = found(query);
            assert!(all.iter().any(|other| other == message), "{query}: {all:?}");
        }
        let long = format!("source | where a == '{}'", "x".repeat(MAX_CHARACTERS));
        assert!(found(&long)[0].contains("characters are more than"));
    }

    #[test]
    fn what_azure_takes_without_saying_so_is_a_warning() {
        let all = dcr_strict("source | where a in~ ('x') | extend b = coalesce(c, todynamic(d))");
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|diagnostic| diagnostic.severity == Severity::Warning));
    }
}
