//! Graphs: `make-graph`, `graph-match` and `graph-shortest-paths` with their patterns `(a)-[e]->(b)`.

use super::ast::{Direction, GraphMatch, MakeGraph, OperatorKind, PathEdge, PathPattern};
use super::cursor::{Parsed, Parser, comma_list};
use super::lexer::TokenKind;
use crate::scalar::Scalar;

impl Parser {
    /// The operator called `word`, if it is one of this file's.
    pub(super) fn graph(&mut self, word: &str) -> Parsed<Option<OperatorKind>> {
        if !matches!(word, "make-graph" | "graph-match" | "graph-shortest-paths") {
            return Ok(None);
        }
        // Arrows are tokens that touch: the formatter leaves all of the operator as it is written.
        let start = self.position();
        self.skip()?;
        self.rewind(start);
        Ok(Some(match word {
            "make-graph" => OperatorKind::MakeGraph(Box::new(self.make_graph()?)),
            _ => OperatorKind::GraphMatch(Box::new(self.graph_match(word == "graph-shortest-paths")?)),
        }))
    }

    /// `source --> target [with nodes on id | with_node_id=name]`
    fn make_graph(&mut self) -> Parsed<MakeGraph> {
        let source = self.name()?;
        for symbol in ["-", "-", ">"] {
            self.expect(symbol)?;
        }
        let target = self.name()?;
        let mut graph = MakeGraph { source, target, nodes: None, node_id: None };
        if self.accept_word("with_node_id") {
            self.expect("=")?;
            graph.node_id = Some(self.name()?);
        } else if self.accept_word("with") {
            let nodes = self.source()?;
            self.expect_word("on")?;
            graph.nodes = Some((nodes, self.name()?));
            if self.is(",") {
                return Err(self.unexpected("one table of nodes (`union` several)"));
            }
        }
        Ok(graph)
    }

    fn graph_match(&mut self, shortest: bool) -> Parsed<GraphMatch> {
        let options = self.options()?;
        let patterns = comma_list(self, Self::path_pattern)?;
        let condition = if self.accept_word("where") { Some(self.expression()?) } else { None };
        self.expect_word("project")?;
        Ok(GraphMatch { shortest, options, patterns, condition, project: self.assignments()? })
    }

    /// `(a)-[e*1..3]->(b)<--(c)`
    fn path_pattern(&mut self) -> Parsed<PathPattern> {
        let mut path = PathPattern { nodes: vec![self.pattern_node()?], edges: Vec::new() };
        while self.is("-") || self.is("<") {
            path.edges.push(self.pattern_edge()?);
            path.nodes.push(self.pattern_node()?);
        }
        Ok(path)
    }

    fn pattern_node(&mut self) -> Parsed<Option<super::ast::Name>> {
        self.expect("(")?;
        let name = if self.is(")") { None } else { Some(self.name()?) };
        self.expect(")")?;
        Ok(name)
    }

    fn pattern_edge(&mut self) -> Parsed<PathEdge> {
        let backward = self.accept("<");
        self.expect("-")?;
        let mut edge = PathEdge { name: None, direction: Direction::Any, hops: None };
        if self.accept("[") {
            if !self.is("*") && !self.is("]") {
                edge.name = Some(self.name()?);
            }
            if self.accept("*") {
                let fewest = self.hops()?;
                self.expect("..")?;
                edge.hops = Some((fewest, self.hops()?));
            }
            self.expect("]")?;
        }
        self.expect("-")?;
        let forward = self.accept(">");
        edge.direction = match (backward, forward) {
            (false, true) => Direction::Forward,
            (true, false) => Direction::Backward,
            _ => Direction::Any,
        };
        Ok(edge)
    }

    fn hops(&mut self) -> Parsed<usize> {
        if let TokenKind::Literal(Scalar::Long(number)) = self.peek()
            && let Ok(number) = usize::try_from(*number)
        {
            self.advance();
            return Ok(number);
        }
        Err(self.unexpected("a number of edges, as in `*1..3`"))
    }
}
