//! What can be told of a query before anything is known of its tables: which it reads, and what it expects from outside.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Span};
use crate::scalar::Scalar;
use crate::syntax::ast::{
    Arg, Expr, ExprKind, FunctionDef, LetValue, OperatorKind, Param, PartitionBody, Query, Statement, Union,
};
use crate::syntax::parser;

/// The outline of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Tables that the query reads and does not define, in order, with the first place of each. The raw table's other
    /// name, `source`, is not among them.
    pub tables: Vec<(String, Span)>,
    /// Names handed to one of the query's own functions that nothing defines, as `disabled` in
    /// `parser(disabled=disabled)`, with the text of that parameter's default.
    pub expected: Vec<(String, String)>,
    /// Where the last expression ends: what comes behind is a semicolon or a comment.
    pub end: usize,
}

/// Reads the outline of `query`; the errors are those of its syntax.
pub fn outline(query: &str) -> Result<Outline, Vec<Diagnostic>> {
    let tree = parser::parse(query)?;
    let mut reader = Reader { query, scopes: vec![Vec::new()], functions: BTreeMap::new(), found: Outline::default() };
    reader.query(&tree);
    reader.found.tables.sort_by_key(|(_, span)| span.start);
    reader.found.end = tree.body.span.end;
    Ok(reader.found)
}

struct Reader<'q> {
    query: &'q str,
    /// Names that are defined, innermost last.
    scopes: Vec<Vec<String>>,
    /// Parameters with their defaults, by function.
    functions: BTreeMap<String, Vec<(String, Option<String>)>>,
    found: Outline,
}

impl Reader<'_> {
    fn is_defined(&self, name: &str) -> bool {
        self.scopes.iter().flatten().any(|defined| defined == name)
    }

    fn define(&mut self, name: &str) {
        self.scopes.last_mut().expect("the query's own scope stays").push(name.to_owned());
    }

    fn query(&mut self, query: &Query) {
        self.scopes.push(Vec::new());
        for statement in &query.statements {
            match statement {
                Statement::Let(statement) => {
                    match &statement.value {
                        // A name alone may be a value; one that is a table is used as one later on, or nowhere.
                        LetValue::Expr(expr) => self.value(expr),
                        LetValue::Function(function) => self.function(&statement.name.text, function),
                    }
                    self.define(&statement.name.text);
                }
                Statement::Declare(params) => params.iter().for_each(|param| self.define(&param.name.text)),
                Statement::Result(expr) => self.table(expr),
                Statement::Set(..) | Statement::Other(_) => {}
            }
        }
        self.table(&query.body);
        self.scopes.pop();
    }

    fn function(&mut self, name: &str, function: &FunctionDef) {
        let text_of = |param: &Param| {
            let span = param.default.as_ref()?.span.clone();
            self.query.get(span).map(str::to_owned)
        };
        let params = function.params.iter().map(|param| (param.name.text.clone(), text_of(param))).collect();
        self.functions.insert(name.to_owned(), params);
        self.scopes.push(function.params.iter().map(|param| param.name.text.clone()).collect());
        self.query(&function.body);
        self.scopes.pop();
    }

    /// An expression where a table stands, if it is a name.
    fn table(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(name) => self.read(name, &expr.span),
            _ => self.value(expr),
        }
    }

    fn read(&mut self, name: &str, span: &Span) {
        let is_known = self.found.tables.iter().any(|(known, _)| known == name);
        if name != "source" && !is_known && !self.is_defined(name) {
            self.found.tables.push((name.to_owned(), span.clone()));
        }
    }

    fn union(&mut self, union: &Union) {
        union.tables.iter().for_each(|table| self.table(table));
    }

    fn call(&mut self, name: &str, args: &[Arg]) {
        if let ("table", [Arg { value: Expr { kind: ExprKind::Literal(Scalar::String(table)), span }, .. }, ..]) =
            (name, args)
        {
            self.read(table, span);
        }
        if let ("materialize" | "toscalar", [arg]) = (name, args) {
            self.table(&arg.value);
        }
        let Some(params) = self.functions.get(name) else { return };
        let mut expected = Vec::new();
        for (place, arg) in args.iter().enumerate() {
            let ExprKind::Name(value) = &arg.value.kind else { continue };
            let param = match &arg.name {
                Some(name) => params.iter().find(|(param, _)| param == name),
                None => params.get(place),
            };
            if let Some((_, Some(default))) = param
                && !self.is_defined(value)
            {
                expected.push((value.clone(), default.clone()));
            }
        }
        for (value, default) in expected {
            if !self.found.expected.iter().any(|(known, _)| *known == value) {
                self.found.expected.push((value, default));
            }
        }
    }

    /// Looks for tables inside an expression.
    fn value(&mut self, expr: &Expr) {
        let mut open = vec![expr];
        while let Some(expr) = open.pop() {
            match &expr.kind {
                ExprKind::Pipe(source, operators) => {
                    self.table(source);
                    operators.iter().for_each(|operator| self.operator(&operator.kind));
                    continue;
                }
                ExprKind::Union(union) => {
                    self.union(union);
                    continue;
                }
                ExprKind::Source(operator) => self.operator(&operator.kind),
                ExprKind::Call(name, args) => self.call(&name.text, args),
                _ => {}
            }
            open.extend(expr.children());
        }
    }

    fn operator(&mut self, kind: &OperatorKind) {
        match kind {
            OperatorKind::Where(condition) => self.value(condition),
            OperatorKind::Extend(assignments)
            | OperatorKind::Project(assignments)
            | OperatorKind::Serialize(assignments)
            | OperatorKind::Distinct(assignments) => {
                assignments.iter().for_each(|assignment| self.value(&assignment.value));
            }
            OperatorKind::Summarize { aggregates, by } => {
                aggregates.iter().chain(by).for_each(|assignment| self.value(&assignment.value));
            }
            OperatorKind::Join(join) => self.table(&join.right),
            OperatorKind::Union(union) => self.union(union),
            OperatorKind::Invoke(name, args) => {
                // The first parameter is the table that the pipeline hands over.
                let handed = Arg { name: None, value: Expr { kind: ExprKind::Missing, span: name.span.clone() } };
                let args: Vec<Arg> = std::iter::once(handed).chain(args.iter().cloned()).collect();
                self.call(&name.text, &args);
                args.iter().for_each(|arg| self.value(&arg.value));
            }
            OperatorKind::Parse(spec) => self.value(&spec.input),
            OperatorKind::ParseKv(spec) => self.value(&spec.input),
            OperatorKind::Expand(expand) => {
                expand.columns.iter().for_each(|(assignment, _)| self.value(&assignment.value));
            }
            OperatorKind::Apply(apply) => {
                apply.expand.columns.iter().for_each(|(assignment, _)| self.value(&assignment.value));
                apply.body.iter().for_each(|operator| self.operator(&operator.kind));
            }
            OperatorKind::As(name) => self.define(&name.text),
            OperatorKind::Partition(_, body) => match &**body {
                PartitionBody::Operators(operators) => {
                    operators.iter().for_each(|operator| self.operator(&operator.kind));
                }
                PartitionBody::Query(query) => self.query(query),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(query: &str) -> Vec<String> {
        outline(query).expect("parses").tables.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn tables_are_names_where_a_table_stands_and_nothing_defines_them() {
        assert_eq!(tables("Fw_CL | where a == b"), ["Fw_CL"]);
        assert_eq!(tables("source | extend x = 1"), [""; 0]);
        assert_eq!(tables("let T = Fw_CL | where a; T | extend x = 1"), ["Fw_CL"]);
        assert_eq!(tables("let f = (T:(*)) { T | join kind=inner (B) on k }; A | invoke f()"), ["B", "A"]);
        assert_eq!(tables("union isfuzzy=true (A | where x), B, table('D')"), ["A", "B", "D"]);
        assert_eq!(tables("A | where x in (B) | lookup (C | project k) on k"), ["A", "C"], "B may be a list");
    }

    #[test]
    fn names_handed_to_a_function_and_defined_nowhere_are_expected_from_outside() {
        let query = "let p = (disabled:bool=false, pack:bool = false, n:long=1+1) { T | where not(disabled) };\n\
                     let n = 3;\np(disabled=disabled, pack, n=n); // end";
        let outline = outline(query).expect("parses");
        let expected = [("disabled", "false"), ("pack", "false")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(outline.expected, expected);
        assert_eq!(&query[outline.end..], "; // end");
    }
}
