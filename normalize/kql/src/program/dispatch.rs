//! Many filters over one raw table, evaluated together.
//!
//! All predicates go into one graph, so that equal comparisons are made once per batch. Filters that begin by comparing
//! one value (a vendor, a product, an action type, an event id) with constants are not even that: the value is looked up
//! once per row, and what else such a filter asks is evaluated on the rows of its own constants only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ahash::AHashMap;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type};
use weir_contract::schema::ColumnType;

use super::claims::rebuild;
use super::graph::{Graph, INPUT, NodeId, Op};
use super::{EvalError, Filter, Program, two_valued};
use crate::functions::compare::push_lower;
use crate::scalar::Scalar;

/// Fewest filters that make a key worth its lookup.
const MIN_FILTERS: usize = 2;
/// Deepest alternation of `and` and `or` that is searched for keys.
const MAX_ALTERNATION: usize = 32;

/// Filters over one raw table that are evaluated together.
#[derive(Debug)]
pub struct Dispatch {
    filters: Vec<Arc<Filter>>,
    /// How each filter is answered.
    answers: Vec<Answer>,
    keys: Vec<KeyIndex>,
    /// Gives the masks of [`Answer::Shared`], then the keys' values.
    shared: Program,
}

#[derive(Debug)]
enum Answer {
    /// By its own program.
    Alone,
    /// By this column of the shared program.
    Shared(usize),
    /// By the rows whose key has one of these classes; `exact` if the filter asks nothing else.
    Keyed { key: usize, classes: Vec<bool>, exact: bool },
}

/// The constants that filters compare one value with. Class 0 has the rows whose value is none of them.
#[derive(Debug)]
struct KeyIndex {
    column: usize,
    classes: Classes,
    count: usize,
}

#[derive(Debug)]
enum Classes {
    Texts(AHashMap<String, u32>),
    Lowered(AHashMap<String, u32>),
    Numbers(AHashMap<i64, u32>),
}

/// A value that is compared with constants; texts perhaps without regard to case.
type Key = (NodeId, bool);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Text(String),
    Number(i64),
}

/// What a predicate needs: for each key, the values of which the key must have one.
#[derive(Debug, Default)]
struct Needs {
    by_key: BTreeMap<Key, BTreeSet<Wanted>>,
    /// The predicate is just this comparison.
    exact: Option<Key>,
}

impl Dispatch {
    /// Filters over one raw table, evaluated together from now on.
    pub fn new(filters: Vec<Arc<Filter>>) -> Self {
        let mut graph = Graph::new();
        let masks: Vec<Option<NodeId>> = filters
            .iter()
            .map(|filter| {
                let schedule = &filter.program.schedule;
                rebuild(&schedule.graph, &schedule.outputs, &AHashMap::new(), &mut graph)[0]
            })
            .collect();
        let needs: Vec<Needs> =
            masks.iter().map(|mask| mask.map_or_else(Needs::default, |mask| needs(&graph, mask, 0))).collect();
        let chosen = choose_keys(&needs);

        let mut columns = Vec::new();
        let mut answers = Vec::new();
        for (mask, need) in masks.iter().zip(&needs) {
            let Some(mask) = mask else {
                answers.push(Answer::Alone);
                continue;
            };
            let keyed = chosen.iter().position(|key| need.by_key.contains_key(&key.0));
            answers.push(match keyed {
                Some(key) => {
                    let values = &chosen[key].1;
                    let mut classes = vec![false; values.len() + 1];
                    for (number, value) in values.iter().enumerate() {
                        classes[number + 1] = need.by_key[&chosen[key].0].contains(value);
                    }
                    Answer::Keyed { key, classes, exact: need.exact == Some(chosen[key].0) }
                }
                None => {
                    columns.push(*mask);
                    Answer::Shared(columns.len() - 1)
                }
            });
        }
        let mut keys = Vec::new();
        for ((node, lowered), values) in chosen {
            columns.push(node);
            keys.push(KeyIndex::new(columns.len() - 1, lowered, &values));
        }
        let named: Vec<_> = columns.iter().map(|node| ("mask".into(), *node)).collect();
        Self { filters, answers, keys, shared: Program::new(graph, &named, INPUT, "", Vec::new()) }
    }

    /// The filters, in the order given.
    pub fn filters(&self) -> &[Arc<Filter>] {
        &self.filters
    }

    /// Which rows of `batch` each filter holds for, in the order given: what [`Filter::mask`] of each would say.
    pub fn masks(&self, batch: &RecordBatch) -> Vec<Result<BooleanArray, EvalError>> {
        let shared = match self.shared.run(batch) {
            Ok(shared) => shared,
            // A column that one filter cannot read must not keep the others from their rows.
            Err(_) => return self.filters.iter().map(|filter| filter.mask(batch)).collect(),
        };
        let classes: Vec<RowClasses> = self.keys.iter().map(|key| key.classify(shared.column(key.column))).collect();
        let answered = self.filters.iter().zip(&self.answers);
        answered
            .map(|(filter, answer)| match answer {
                Answer::Alone => filter.mask(batch),
                Answer::Shared(column) => Ok(two_valued(shared.column(*column).as_boolean())),
                Answer::Keyed { key, classes: wanted, exact } => {
                    let mask = classes[*key].among(wanted, batch.num_rows());
                    if *exact || mask.true_count() == 0 { Ok(mask) } else { narrow(filter, batch, mask) }
                }
            })
            .collect()
    }
}

/// The rows of `mask` for which `filter` holds.
fn narrow(filter: &Filter, batch: &RecordBatch, mask: BooleanArray) -> Result<BooleanArray, EvalError> {
    if mask.true_count() == mask.len() {
        return filter.mask(batch);
    }
    let schema = batch.schema_ref();
    let columns: Vec<usize> = filter.inputs().iter().filter_map(|name| schema.index_of(name).ok()).collect();
    let selected = filter_record_batch(&batch.project(&columns)?, &mask)?;
    let holds = filter.mask(&selected)?;
    let mut kept = vec![false; mask.len()];
    for (at, row) in mask.values().set_indices().enumerate() {
        kept[row] = holds.value(at);
    }
    Ok(BooleanArray::from(kept))
}

/// Keys that serve several filters, those with most values first, with all their values.
fn choose_keys(needs: &[Needs]) -> Vec<(Key, Vec<Wanted>)> {
    let mut by_key: BTreeMap<Key, (usize, BTreeSet<Wanted>)> = BTreeMap::new();
    for (key, values) in needs.iter().flat_map(|needs| &needs.by_key) {
        let (filters, all) = by_key.entry(*key).or_default();
        *filters += 1;
        all.extend(values.iter().cloned());
    }
    let mut keys: Vec<(Key, Vec<Wanted>)> = by_key
        .into_iter()
        // Conditions that contradict each other (`Id == 1 and Id == 2`) leave a key no value, and no type to look up.
        .filter(|(_, (filters, values))| *filters >= MIN_FILTERS && !values.is_empty())
        .map(|(key, (_, values))| (key, values.into_iter().collect()))
        .collect();
    keys.sort_by_key(|(_, values)| std::cmp::Reverse(values.len()));
    // A key whose filters all go by a better one is not looked up.
    let mut used = vec![false; keys.len()];
    for need in needs {
        if let Some(first) = keys.iter().position(|(key, _)| need.by_key.contains_key(key)) {
            used[first] = true;
        }
    }
    let mut used = used.into_iter();
    keys.retain(|_| used.next().unwrap_or(false));
    keys
}

fn needs(graph: &Graph, mask: NodeId, depth: usize) -> Needs {
    let Op::Call(function, _) = &graph.nodes[mask].op else { return Needs::default() };
    let args = &graph.nodes[mask].args;
    match function.name {
        "==" | "=~" => {
            let (value, constant) = match (graph.constant(args[0]), graph.constant(args[1])) {
                (None, Some(constant)) => (args[0], constant),
                (Some(constant), None) => (args[1], constant),
                _ => return Needs::default(),
            };
            compared(graph, value, std::iter::once(Some(constant)), function.name == "=~")
        }
        "in" | "in~" => {
            let constants = args[1..].iter().map(|arg| graph.constant(*arg));
            compared(graph, args[0], constants, function.name == "in~")
        }
        "and" | "or" if depth < MAX_ALTERNATION => {
            let name = function.name;
            // A chain leans to the left.
            let mut parts = Vec::new();
            let mut open = vec![mask];
            while let Some(node) = open.pop() {
                match &graph.nodes[node].op {
                    Op::Call(function, _) if function.name == name => open.extend(&graph.nodes[node].args),
                    _ => parts.push(needs(graph, node, depth + 1)),
                }
            }
            if name == "and" { all_of(parts) } else { one_of(parts) }
        }
        _ => Needs::default(),
    }
}

fn compared<'a>(
    graph: &Graph,
    value: NodeId,
    constants: impl Iterator<Item = Option<&'a Scalar>>,
    ignoring_case: bool,
) -> Needs {
    let mut values = BTreeSet::new();
    let is_text = graph.ty(value) == ColumnType::String;
    for constant in constants {
        values.insert(match constant {
            Some(Scalar::String(text)) if is_text && ignoring_case => {
                let mut lowered = String::new();
                push_lower(text, &mut lowered);
                Wanted::Text(lowered)
            }
            Some(Scalar::String(text)) if is_text => Wanted::Text(text.to_string()),
            Some(Scalar::Long(number)) if graph.ty(value) == ColumnType::Long => Wanted::Number(*number),
            Some(Scalar::Int(number)) if graph.ty(value) == ColumnType::Int => Wanted::Number(i64::from(*number)),
            _ => return Needs::default(),
        });
    }
    let key = (value, ignoring_case);
    Needs { by_key: BTreeMap::from([(key, values)]), exact: Some(key) }
}

/// Needs of a conjunction: those of any part; of a key in several parts, the common values.
fn all_of(parts: Vec<Needs>) -> Needs {
    let mut by_key: BTreeMap<Key, BTreeSet<Wanted>> = BTreeMap::new();
    for (key, values) in parts.into_iter().flat_map(|part| part.by_key) {
        by_key.entry(key).and_modify(|before| before.retain(|value| values.contains(value))).or_insert(values);
    }
    Needs { by_key, exact: None }
}

/// Needs of an alternative: keys that every part needs, with the values of all.
fn one_of(parts: Vec<Needs>) -> Needs {
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    for part in parts {
        if all.exact != part.exact {
            all.exact = None;
        }
        all.by_key.retain(|key, _| part.by_key.contains_key(key));
        for (key, values) in part.by_key {
            if let Some(before) = all.by_key.get_mut(&key) {
                before.extend(values);
            }
        }
    }
    all
}

/// The class of each row's key, and how many rows each class has.
struct RowClasses {
    of_rows: Vec<u32>,
    rows: Vec<usize>,
}

impl RowClasses {
    /// The rows whose class is wanted.
    fn among(&self, wanted: &[bool], rows: usize) -> BooleanArray {
        let count: usize = self.rows.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(rows, _)| rows).sum();
        let values = match count {
            0 => BooleanBuffer::new_unset(rows),
            all if all == rows => BooleanBuffer::new_set(rows),
            _ => BooleanBuffer::collect_bool(rows, |row| wanted[self.of_rows[row] as usize]),
        };
        BooleanArray::new(values, None)
    }
}

impl KeyIndex {
    fn new(column: usize, lowered: bool, values: &[Wanted]) -> Self {
        let (mut texts, mut numbers) = (AHashMap::new(), AHashMap::new());
        for (class, value) in (1..).zip(values) {
            match value {
                Wanted::Text(text) => {
                    texts.insert(text.clone(), class);
                }
                Wanted::Number(number) => {
                    numbers.insert(*number, class);
                }
            }
        }
        let classes = match (lowered, numbers.is_empty()) {
            (_, false) => Classes::Numbers(numbers),
            (true, true) => Classes::Lowered(texts),
            (false, true) => Classes::Texts(texts),
        };
        Self { column, classes, count: values.len() + 1 }
    }

    fn classify(&self, column: &ArrayRef) -> RowClasses {
        let mut of_rows = Vec::with_capacity(column.len());
        match &self.classes {
            Classes::Numbers(classes) => {
                let class_of = |number: Option<i64>| number.and_then(|number| classes.get(&number)).copied();
                if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
                    of_rows.extend(numbers.iter().map(|number| class_of(number).unwrap_or(0)));
                } else {
                    let numbers = column.as_primitive::<Int32Type>();
                    of_rows.extend(numbers.iter().map(|number| class_of(number.map(i64::from)).unwrap_or(0)));
                }
            }
            Classes::Texts(classes) => classify_texts(column, &mut of_rows, |text| classes.get(text).copied()),
            Classes::Lowered(classes) => {
                let mut lowered = String::new();
                classify_texts(column, &mut of_rows, |text| {
                    lowered.clear();
                    push_lower(text, &mut lowered);
                    classes.get(lowered.as_str()).copied()
                });
            }
        }
        let mut rows = vec![0; self.count];
        for class in &of_rows {
            rows[*class as usize] += 1;
        }
        RowClasses { of_rows, rows }
    }
}

fn classify_texts(column: &ArrayRef, of_rows: &mut Vec<u32>, mut class_of: impl FnMut(&str) -> Option<u32>) {
    let column = column.as_string_view();
    // Neighbouring events often have one vendor, one action: the same view is the same text.
    let mut last: Option<(u128, u32)> = None;
    for (row, view) in column.views().iter().enumerate() {
        // A null is the empty text.
        let text = if column.is_null(row) { "" } else { column.value(row) };
        let class = match last {
            Some((before, class)) if before == *view && column.is_valid(row) => class,
            _ => class_of(text).unwrap_or(0),
        };
        last = column.is_valid(row).then_some((*view, class));
        of_rows.push(class);
    }
}
