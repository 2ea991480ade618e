//! Operators that gather many rows: `summarize`, `sort`, `top`, `make-series`, `search`, `scan` and the rest.

use super::ast::{
    Assignment, Expr, ExprKind, MakeSeries, Name, NestedLevel, Operator, OperatorKind, PartitionBody, Scan, ScanStep,
    Search, SortKey,
};
use super::cursor::{Parsed, Parser, comma_list};
use super::lexer::TokenKind;

impl Parser {
    /// The operator called `word`, if it is one of this file's.
    pub(super) fn gathering(&mut self, word: &str) -> Parsed<Option<OperatorKind>> {
        Ok(Some(match word {
            "summarize" => self.summarize()?,
            "distinct" => {
                self.hints()?;
                OperatorKind::Distinct(self.assignments()?)
            }
            "count" => {
                self.hints()?;
                OperatorKind::Count
            }
            "sort" | "order" => {
                self.hints()?;
                self.expect_word("by")?;
                OperatorKind::Sort(comma_list(self, Self::sort_key)?)
            }
            "top" => {
                self.hints()?;
                let count = self.expression()?;
                self.expect_word("by")?;
                OperatorKind::Top(count, comma_list(self, Self::sort_key)?)
            }
            "take" | "limit" => {
                self.hints()?;
                OperatorKind::Take(self.expression()?)
            }
            "getschema" => OperatorKind::GetSchema,
            "sample" => OperatorKind::Sample(self.expression()?),
            "sample-distinct" => {
                let count = self.expression()?;
                self.expect_word("of")?;
                OperatorKind::SampleDistinct(count, self.expression()?)
            }
            "top-hitters" => {
                let count = self.expression()?;
                self.expect_word("of")?;
                let of = self.expression()?;
                let by = if self.accept_word("by") { Some(self.expression()?) } else { None };
                OperatorKind::TopHitters(count, of, by)
            }
            "top-nested" => self.top_nested()?,
            "make-series" => OperatorKind::MakeSeries(Box::new(self.make_series()?)),
            "evaluate" => {
                self.hints()?;
                let call = self.expression()?;
                let schema = if self.accept(":") {
                    self.expect("(")?;
                    let columns = self.columns()?;
                    self.expect(")")?;
                    Some(columns)
                } else {
                    None
                };
                OperatorKind::Evaluate(call, schema)
            }
            "reduce" => {
                self.hints()?;
                self.expect_word("by")?;
                let of = self.expression()?;
                let mut properties = Vec::new();
                if self.accept_word("with") {
                    properties = comma_list(self, |parser| {
                        let name = parser.name()?;
                        parser.expect("=")?;
                        parser.layout_named();
                        Ok((name, parser.expression()?))
                    })?;
                }
                OperatorKind::Reduce(of, properties)
            }
            "render" => {
                let kind = self.name()?;
                self.options()?;
                let properties = if self.accept_word("with") { self.properties()? } else { Vec::new() };
                OperatorKind::Render(kind, properties)
            }
            "search" => OperatorKind::Search(Box::new(self.search()?)),
            "find" => OperatorKind::Find(Box::new(self.find()?)),
            "facet" => {
                self.expect_word("by")?;
                let columns = self.name_list()?;
                let body = if self.accept_word("with") { self.facet_body()? } else { Vec::new() };
                OperatorKind::Facet(columns, body)
            }
            "fork" => self.fork()?,
            "partition" => self.partition()?,
            "scan" => OperatorKind::Scan(Box::new(self.scan()?)),
            _ => return Ok(None),
        }))
    }

    fn summarize(&mut self) -> Parsed<OperatorKind> {
        self.hints()?;
        let mut aggregates = Vec::new();
        if !self.is_word("by") {
            aggregates = self.assignments()?;
        }
        let by = if self.accept_word("by") { self.assignments()? } else { Vec::new() };
        Ok(OperatorKind::Summarize { aggregates, by })
    }

    /// `expression [asc|desc] [nulls first|last]`
    fn sort_key(&mut self) -> Parsed<SortKey> {
        let value = self.assignment()?;
        let ascending = self.accept_word("asc");
        if !ascending {
            self.accept_word("desc");
        }
        let mut nulls_first = ascending;
        if self.accept_word("nulls") {
            nulls_first = self.accept_word("first");
            if !nulls_first {
                self.expect_word("last")?;
            }
        }
        Ok(SortKey { value, ascending, nulls_first })
    }

    fn top_nested(&mut self) -> Parsed<OperatorKind> {
        let levels = comma_list(self, |parser| {
            if parser.is_word("top") && parser.is_at(1, "-") && parser.is_word_at(2, "nested") {
                parser.glue(1);
                parser.glue(2);
                for _ in 0..3 {
                    parser.advance();
                }
            }
            let count = if parser.is_word("of") { None } else { Some(parser.expression()?) };
            parser.expect_word("of")?;
            let of = parser.assignment()?;
            let mut others = None;
            if parser.accept_word("with") {
                parser.expect_word("others")?;
                parser.expect("=")?;
                others = Some(parser.expression()?);
            }
            parser.expect_word("by")?;
            let by = parser.assignment()?;
            let ascending = parser.accept_word("asc");
            if !ascending {
                parser.accept_word("desc");
            }
            Ok(NestedLevel { count, of, others, by, ascending })
        })?;
        Ok(OperatorKind::TopNested(levels))
    }

    fn make_series(&mut self) -> Parsed<MakeSeries> {
        let options = self.options()?;
        let nonempty = options.iter().any(|(name, value)| name == "kind" && value == "nonempty");
        let aggregates = comma_list(self, |parser| {
            let aggregate = parser.assignment()?;
            let mut default = None;
            if parser.accept_word("default") {
                parser.expect("=")?;
                parser.layout_named();
                default = Some(parser.expression()?);
            }
            Ok((aggregate, default))
        })?;
        self.expect_word("on")?;
        let axis = self.operand()?;
        let mut bounds = [None, None, None];
        let inclusive = self.accept_word("in");
        if inclusive {
            // The old form: `in range(from, to, step)`.
            self.expect_word("range")?;
            self.glue(0);
            self.expect("(")?;
            for (number, bound) in bounds.iter_mut().enumerate() {
                if number > 0 {
                    self.expect(",")?;
                }
                *bound = Some(self.expression()?);
            }
            self.expect(")")?;
        } else {
            for (word, bound) in ["from", "to", "step"].iter().zip(&mut bounds) {
                if self.accept_word(word) {
                    *bound = Some(self.expression()?);
                }
            }
            if bounds[2].is_none() {
                return Err(self.unexpected("`step`"));
            }
        }
        let by = if self.accept_word("by") { self.assignments()? } else { Vec::new() };
        let [from, to, step] = bounds;
        Ok(MakeSeries { nonempty, inclusive, aggregates, axis, from, to, step, by })
    }

    fn search(&mut self) -> Parsed<Search> {
        let mut options = self.options()?;
        let tables = self.in_tables()?;
        options.extend(self.options()?);
        Ok(Search {
            options,
            tables,
            condition: self.expression()?,
            project: Vec::new(),
            project_smart: false,
            project_away: Vec::new(),
        })
    }

    fn in_tables(&mut self) -> Parsed<Vec<Expr>> {
        if !self.is_word("in") {
            return Ok(Vec::new());
        }
        self.advance();
        self.expect("(")?;
        let tables = self.table_list()?;
        self.expect(")")?;
        Ok(tables)
    }

    fn find(&mut self) -> Parsed<Search> {
        let options = self.options()?;
        let tables = self.in_tables()?;
        self.accept_word("where");
        let condition = self.expression()?;
        let mut find =
            Search { options, tables, condition, project: Vec::new(), project_smart: false, project_away: Vec::new() };
        if self.is_word("project") && self.is_at(1, "-") && self.adjacent(1) {
            self.glue(1);
            self.glue(2);
            let smart = self.is_word_at(2, "smart");
            for _ in 0..3 {
                self.advance();
            }
            if smart {
                find.project_smart = true;
            } else {
                find.project_away = self.patterns()?;
            }
        } else if self.accept_word("project") {
            find.project = comma_list(self, |parser| {
                let column = parser.expression()?;
                let ty = if parser.accept(":") { Some(parser.column_type()?) } else { None };
                Ok((column, ty))
            })?;
        }
        Ok(find)
    }

    fn facet_body(&mut self) -> Parsed<Vec<Operator>> {
        if self.is("(") { self.inner_operators() } else { Ok(vec![self.operator()?]) }
    }

    fn fork(&mut self) -> Parsed<OperatorKind> {
        let mut branches = Vec::new();
        while self.is("(") || (matches!(self.peek(), TokenKind::Word(_)) && self.is_at(1, "=")) {
            let mut name: Option<Name> = None;
            if !self.is("(") {
                name = Some(self.name()?);
                self.expect("=")?;
                self.layout_named();
            }
            branches.push((name, self.inner_operators()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected("`(` and the first branch"));
        }
        Ok(OperatorKind::Fork(branches))
    }

    fn partition(&mut self) -> Parsed<OperatorKind> {
        self.options()?;
        self.expect_word("by")?;
        let by = self.partition_key()?;
        if self.is("(") {
            return Ok(OperatorKind::Partition(by, Box::new(PartitionBody::Operators(self.inner_operators()?))));
        }
        self.expect("{")?;
        let query = self.query()?;
        self.expect("}")?;
        Ok(OperatorKind::Partition(by, Box::new(PartitionBody::Query(query))))
    }

    /// A column: a call would swallow the parentheses of the body.
    fn partition_key(&mut self) -> Parsed<Expr> {
        let name = self.name()?;
        Ok(Expr { kind: ExprKind::Name(name.text), span: name.span })
    }

    fn scan(&mut self) -> Parsed<Scan> {
        let options = self.options()?;
        let mut scan =
            Scan { options, order: Vec::new(), partition: Vec::new(), declared: Vec::new(), steps: Vec::new() };
        if self.accept_word("order") {
            self.expect_word("by")?;
            scan.order = comma_list(self, Self::sort_key)?;
        }
        if self.accept_word("partition") {
            self.expect_word("by")?;
            scan.partition = self.assignments()?;
        }
        if self.accept_word("declare") {
            self.expect("(")?;
            scan.declared = comma_list(self, Self::param)?;
            self.expect(")")?;
        }
        self.expect_word("with")?;
        self.expect("(")?;
        while self.accept_word("step") {
            scan.steps.push(self.scan_step()?);
            if !self.accept(";") {
                break;
            }
        }
        self.expect(")")?;
        Ok(scan)
    }

    fn scan_step(&mut self) -> Parsed<ScanStep> {
        let name = self.name()?;
        let optional = self.accept_word("optional");
        let options = self.options()?;
        self.expect(":")?;
        let condition = self.expression()?;
        let mut assignments: Vec<Assignment> = Vec::new();
        if self.accept("=>") {
            assignments = self.assignments()?;
        }
        Ok(ScanStep { name, optional, options, condition, assignments })
    }
}
