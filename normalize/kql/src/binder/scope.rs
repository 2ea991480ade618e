//! Names of `let` statements and of function parameters.

use std::cell::RefCell;
use std::rc::Rc;

use ahash::AHashMap;

use super::Relation;
use crate::program::graph::NodeId;
use crate::syntax::ast::FunctionDef;

/// What an expression may name: the columns of a row, if there is one, and the scope.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) relation: Option<&'a Relation>,
    pub(super) scope: &'a Rc<Scope>,
}

#[derive(Debug, Clone)]
pub(super) enum Binding {
    Scalar(NodeId),
    Table(Rc<Relation>),
    /// With the scope that its body sees.
    Function(Rc<FunctionDef>, Rc<Scope>),
}

#[derive(Debug)]
pub(super) struct Scope {
    parent: Option<Rc<Scope>>,
    names: RefCell<AHashMap<String, Binding>>,
    /// Holds a function's parameters: they win over columns, which win over other scalars.
    params: bool,
}

impl Scope {
    pub(super) fn root() -> Rc<Self> {
        Rc::new(Self { parent: None, names: RefCell::default(), params: false })
    }

    /// A scope inside `parent`; each `let` opens one, so that a function sees only what stands before it.
    pub(super) fn inside(parent: &Rc<Self>, params: bool) -> Rc<Self> {
        Rc::new(Self { parent: Some(Rc::clone(parent)), names: RefCell::default(), params })
    }

    pub(super) fn insert(&self, name: &str, binding: Binding) {
        self.names.borrow_mut().insert(name.to_owned(), binding);
    }

    pub(super) fn get(&self, name: &str) -> Option<Binding> {
        let mut scope = self;
        loop {
            if let Some(binding) = scope.names.borrow().get(name) {
                return Some(binding.clone());
            }
            scope = scope.parent.as_deref()?;
        }
    }

    /// A parameter of the innermost function.
    pub(super) fn param(&self, name: &str) -> Option<Binding> {
        let mut scope = self;
        while !scope.params {
            scope = scope.parent.as_deref()?;
        }
        scope.names.borrow().get(name).cloned()
    }

    /// All names in sight, for hints.
    pub(super) fn visible(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = Some(self);
        while let Some(scope) = next {
            names.extend(scope.names.borrow().keys().cloned());
            next = scope.parent.as_deref();
        }
        names
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // A chain of thousands of `let`s would otherwise be dropped by recursion.
        let mut next = self.parent.take();
        while let Some(scope) = next {
            match Rc::try_unwrap(scope) {
                Ok(mut scope) => next = scope.parent.take(),
                Err(_) => break,
            }
        }
    }
}
