//! Aggregates whose rows come in parts: what an engine that stores tables needs, where [`Kind::value`] has all rows of a
//! group at hand.
//!
//! [`Accumulators`] holds one state per group. Extrema, moments and bits take constant room per group; lists, sets,
//! bags and percentiles keep what they are made of. States can be given away as arrays and merged elsewhere, so that
//! parts of a table are read side by side, and a table of groups that outgrows the memory goes to disk.

use std::cmp::Ordering;
use std::sync::Arc;

use ahash::AHashSet;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, DurationMicrosecondBuilder, Float64Array, Float64Builder,
    Int32Builder, Int64Array, Int64Builder, ListArray, ListBuilder, StringViewArray, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use weir_contract::schema::ColumnType;

use super::aggregates::{Kind, compare, null, whole};
use crate::json;
use crate::scalar::Scalar;
use crate::text;

/// The states of one aggregate, by group.
#[derive(Debug)]
pub struct Accumulators {
    kind: Kind,
    shape: Shape,
    /// Types of the columns that [`Accumulators::update`] reads.
    types: Vec<ColumnType>,
    ty: ColumnType,
    parameter: Option<f64>,
    states: Vec<State>,
    /// Bytes behind the states' texts and numbers.
    bytes: usize,
}

/// What a state of an aggregate looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Best,
    Items,
    Members,
    Numbers,
    Mean,
    Moments,
    Bits,
}

#[derive(Debug)]
enum State {
    /// An extremum, and what its row brings along. `seen`: there was a row at all.
    Best {
        value: Scalar,
        carried: Option<Scalar>,
        seen: bool,
    },
    /// JSON values with commas between them; `known` is used by sets.
    Items {
        text: String,
        count: usize,
        known: AHashSet<Box<str>>,
    },
    /// Numbers in an encoding that sorts as they do.
    Numbers(Vec<i64>),
    Mean {
        count: i64,
        sum: i128,
    },
    /// Number of values, their mean, and the sum of the squares of their distances from it.
    Moments {
        count: i64,
        mean: f64,
        squares: f64,
    },
    Bits(Option<i64>),
}

impl Accumulators {
    /// No groups yet. `types` are those of the value and, for `arg_min` and `arg_max`, of what is brought along; `ty` is
    /// the result's type, `parameter` the percentile or the most elements of a list.
    ///
    /// `None` for counts, sums and means of numbers, and extrema of whole numbers, times and texts: any engine has those.
    pub fn new(kind: Kind, types: Vec<ColumnType>, ty: ColumnType, parameter: Option<f64>) -> Option<Self> {
        let shape = match kind {
            Kind::Count | Kind::CountDistinct | Kind::Sum => return None,
            Kind::Average if ty == ColumnType::Real => return None,
            Kind::Min | Kind::Max if !matches!(ty, ColumnType::Real | ColumnType::Dynamic) => return None,
            Kind::Average => Shape::Mean,
            Kind::Min | Kind::Max | Kind::ArgMin | Kind::ArgMax | Kind::Any => Shape::Best,
            Kind::List | Kind::ListWithNulls | Kind::Set => Shape::Items,
            Kind::Bag => Shape::Members,
            Kind::Percentile => Shape::Numbers,
            Kind::Variance | Kind::VariancePopulation | Kind::Deviation | Kind::DeviationPopulation => Shape::Moments,
            Kind::BitsAnd | Kind::BitsOr | Kind::BitsXor => Shape::Bits,
        };
        Some(Self { kind, shape, types, ty, parameter, states: Vec::new(), bytes: 0 })
    }

    /// The types of the arrays that [`Accumulators::take_states`] gives.
    pub fn state_types(&self) -> Vec<DataType> {
        let long = DataType::Int64;
        match self.shape {
            Shape::Best => self.types.iter().map(|ty| ty.arrow()).chain([DataType::Boolean]).collect(),
            Shape::Items | Shape::Members => vec![DataType::Utf8View],
            Shape::Numbers => vec![DataType::List(Arc::new(Field::new_list_field(long, true)))],
            Shape::Mean => vec![long; 3],
            Shape::Moments => vec![long, DataType::Float64, DataType::Float64],
            Shape::Bits => vec![long],
        }
    }

    /// Reads rows: `columns` have the types given to [`Accumulators::new`], `groups` says each row's group, below
    /// `total`; rows where `mask` is not true are passed over.
    pub fn update(&mut self, columns: &[ArrayRef], groups: &[usize], mask: Option<&BooleanArray>, total: usize) {
        self.grow(total);
        let carried_type = self.types.get(1).copied();
        for (row, group) in groups.iter().enumerate() {
            if mask.is_none_or(|mask| mask.is_valid(row) && mask.value(row)) {
                let value = Scalar::of_array(&columns[0], row, self.types[0]);
                let carried = || carried_type.map(|ty| Scalar::of_array(&columns[1], row, ty));
                self.add(*group, value, carried);
            }
        }
    }

    /// Adds states that [`Accumulators::take_states`] of the same aggregate gave, one row for each group in `groups`.
    pub fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) {
        self.grow(total);
        for (row, group) in groups.iter().enumerate() {
            let long = |n: usize| states[n].as_primitive::<Int64Type>().value(row);
            let real = |n: usize| states[n].as_primitive::<Float64Type>().value(row);
            match self.shape {
                Shape::Best => {
                    let seen = states.last().expect("a state has its columns").as_boolean().value(row);
                    let value = Scalar::of_array(&states[0], row, self.types[0]);
                    let carried = self.types.get(1).map(|ty| Scalar::of_array(&states[1], row, *ty));
                    if seen {
                        self.add(*group, value, || carried);
                    }
                }
                Shape::Items | Shape::Members => {
                    let text: Scalar = Scalar::Dynamic(states[0].as_string_view().value(row).into());
                    if self.shape == Shape::Members {
                        self.add(*group, text, || None);
                    } else if let Scalar::Dynamic(text) = text {
                        let _ = json::elements(&text, |item| self.add_item(*group, item));
                    }
                }
                Shape::Numbers => {
                    let more = states[0].as_list::<i32>().value(row);
                    let more = more.as_primitive::<Int64Type>().values();
                    self.bytes += size_of_val(&more[..]);
                    let State::Numbers(numbers) = &mut self.states[*group] else { unreachable!("by shape") };
                    numbers.extend_from_slice(more);
                }
                Shape::Mean => {
                    let State::Mean { count, sum } = &mut self.states[*group] else { unreachable!("by shape") };
                    *count += long(0);
                    *sum += (i128::from(long(1)) << 64) | i128::from(long(2) as u64);
                }
                Shape::Moments => {
                    let State::Moments { count, mean, squares } = &mut self.states[*group] else {
                        unreachable!("by shape")
                    };
                    let (count_b, mean_b, squares_b) = (long(0), real(1), real(2));
                    if count_b > 0 {
                        // Chan, Golub, LeVeque: Updating formulae for computing sample variances (1979).
                        let all = (*count + count_b) as f64;
                        let distance = mean_b - *mean;
                        *squares += squares_b + distance * distance * (*count as f64) * (count_b as f64) / all;
                        *mean += distance * count_b as f64 / all;
                        *count += count_b;
                    }
                }
                Shape::Bits => {
                    let value = states[0].is_valid(row).then(|| Scalar::Long(long(0)));
                    if let Some(value) = value {
                        self.add(*group, value, || None);
                    }
                }
            }
        }
    }

    /// The states of the first `groups` groups as arrays, one row each. The later groups move up in their place.
    pub fn take_states(&mut self, groups: usize) -> Vec<ArrayRef> {
        let states = self.take(groups);
        match self.shape {
            Shape::Best => {
                let mut columns: Vec<ArrayRef> = Vec::new();
                for (place, ty) in self.types.iter().enumerate() {
                    let cells = states.iter().map(|state| match state {
                        State::Best { value, .. } if place == 0 => value.clone(),
                        State::Best { carried: Some(carried), .. } => carried.clone(),
                        _ => null(*ty),
                    });
                    columns.push(column(cells, *ty));
                }
                let seen = states.iter().map(|state| Some(matches!(state, State::Best { seen: true, .. })));
                columns.push(Arc::new(seen.collect::<BooleanArray>()));
                columns
            }
            Shape::Items | Shape::Members => {
                let texts = states.into_iter().map(|state| self.enclosed(state));
                vec![Arc::new(StringViewArray::from_iter_values(texts))]
            }
            Shape::Numbers => {
                let mut lists = ListBuilder::new(Int64Builder::new());
                for state in states {
                    let State::Numbers(numbers) = state else { unreachable!("by shape") };
                    lists.values().append_slice(&numbers);
                    lists.append(true);
                }
                let lists: ListArray = lists.finish();
                vec![Arc::new(lists)]
            }
            Shape::Mean => {
                let (mut counts, mut high, mut low) = (Vec::new(), Vec::new(), Vec::new());
                for state in states {
                    let State::Mean { count, sum } = state else { unreachable!("by shape") };
                    counts.push(count);
                    high.push((sum >> 64) as i64);
                    low.push(sum as i64);
                }
                let columns = [counts, high, low].map(|numbers| Arc::new(Int64Array::from(numbers)) as ArrayRef);
                columns.to_vec()
            }
            Shape::Moments => {
                let (mut counts, mut means, mut sums) = (Vec::new(), Vec::new(), Vec::new());
                for state in states {
                    let State::Moments { count, mean, squares } = state else { unreachable!("by shape") };
                    counts.push(count);
                    means.push(mean);
                    sums.push(squares);
                }
                vec![
                    Arc::new(Int64Array::from(counts)),
                    Arc::new(Float64Array::from(means)),
                    Arc::new(Float64Array::from(sums)),
                ]
            }
            Shape::Bits => {
                let bits = states.iter().map(|state| match state {
                    State::Bits(bits) => *bits,
                    _ => unreachable!("by shape"),
                });
                vec![Arc::new(bits.collect::<Int64Array>())]
            }
        }
    }

    /// The values of the first `groups` groups, of the result's type. The later groups move up in their place.
    pub fn take_values(&mut self, groups: usize) -> ArrayRef {
        let states = self.take(groups);
        let cells: Vec<Scalar> = states.into_iter().map(|state| self.value(state)).collect();
        column(cells.into_iter(), self.ty)
    }

    /// Makes room for `total` groups, which are empty if they are new.
    pub fn grow(&mut self, total: usize) {
        while self.states.len() < total {
            self.states.push(match self.shape {
                Shape::Best => State::Best { value: Scalar::Null(self.types[0]), carried: None, seen: false },
                Shape::Items | Shape::Members => {
                    State::Items { text: String::new(), count: 0, known: AHashSet::default() }
                }
                Shape::Numbers => State::Numbers(Vec::new()),
                Shape::Mean => State::Mean { count: 0, sum: 0 },
                Shape::Moments => State::Moments { count: 0, mean: 0.0, squares: 0.0 },
                Shape::Bits => State::Bits(None),
            });
        }
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.states.len()
    }

    /// Bytes of memory held, about.
    pub fn bytes(&self) -> usize {
        self.bytes + self.states.capacity() * size_of::<State>()
    }

    fn take(&mut self, groups: usize) -> Vec<State> {
        let later = self.states.split_off(groups.min(self.states.len()));
        let taken = std::mem::replace(&mut self.states, later);
        self.bytes = if self.states.is_empty() { 0 } else { self.states.iter().map(bytes_of).sum() };
        taken
    }

    fn add(&mut self, group: usize, new: Scalar, carry: impl FnOnce() -> Option<Scalar>) {
        let kind = self.kind;
        match &mut self.states[group] {
            State::Best { value, carried, seen } => {
                let better = match kind {
                    Kind::Any => is_filled(&new) && !is_filled(value),
                    _ if new.is_null() => false,
                    _ if value.is_null() => true,
                    Kind::Min | Kind::ArgMin => compare(&new, value) == Ordering::Less,
                    _ => compare(&new, value) == Ordering::Greater,
                };
                if better || !*seen {
                    self.bytes -= text_bytes(value) + carried.as_ref().map_or(0, text_bytes);
                    *value = new;
                    *carried = carry();
                    self.bytes += text_bytes(value) + carried.as_ref().map_or(0, text_bytes);
                }
                *seen = true;
            }
            State::Items { .. } if self.shape == Shape::Members => {
                if let Scalar::Dynamic(bag) = &new {
                    self.add_members(group, bag);
                }
            }
            State::Items { .. } => {
                if kind == Kind::Set
                    && let Scalar::Dynamic(array) = &new
                {
                    // A set of arrays is the set of their elements.
                    let mut elements: Vec<String> = Vec::new();
                    if json::elements(array, |item| elements.push(item.to_owned())).is_some() {
                        elements.iter().for_each(|element| self.add_item(group, element));
                        return;
                    }
                }
                if !new.is_null() || kind == Kind::ListWithNulls {
                    let mut item = String::new();
                    text::write_json(&new, &mut item);
                    self.add_item(group, &item);
                }
            }
            State::Numbers(numbers) => {
                if let Some(number) = sortable(&new) {
                    numbers.push(number);
                    self.bytes += size_of::<i64>();
                }
            }
            State::Mean { count, sum } => {
                if let Some(number) = whole(&new) {
                    *count += 1;
                    *sum += i128::from(number);
                }
            }
            State::Moments { count, mean, squares } => {
                if let Scalar::Real(number) = new {
                    *count += 1;
                    let distance = number - *mean;
                    *mean += distance / *count as f64;
                    *squares += distance * (number - *mean);
                }
            }
            State::Bits(bits) => {
                if let Some(new) = whole(&new) {
                    *bits = Some(match (*bits, kind) {
                        (None, _) => new,
                        (Some(bits), Kind::BitsAnd) => bits & new,
                        (Some(bits), Kind::BitsOr) => bits | new,
                        (Some(bits), _) => bits ^ new,
                    });
                }
            }
        }
    }

    /// Adds a JSON value to a list or set.
    fn add_item(&mut self, group: usize, item: &str) {
        let limit = self.parameter.map_or(usize::MAX, |limit| limit.max(0.0) as usize);
        let State::Items { text, count, known } = &mut self.states[group] else { unreachable!("by shape") };
        let is_null = item == "null" && self.kind != Kind::ListWithNulls;
        if *count >= limit || is_null || (self.kind == Kind::Set && known.contains(item)) {
            return;
        }
        if self.kind == Kind::Set {
            known.insert(item.into());
            self.bytes += item.len() + size_of::<Box<str>>();
        }
        if *count > 0 {
            text.push(',');
        }
        text.push_str(item);
        *count += 1;
        self.bytes += item.len() + 1;
    }

    /// Adds the members of a JSON object that are new.
    fn add_members(&mut self, group: usize, bag: &str) {
        let State::Items { text, count, known } = &mut self.states[group] else { unreachable!("by shape") };
        let mut bytes = 0;
        let _ = json::members(bag, |key, member| {
            if known.contains(key) {
                return;
            }
            known.insert(key.into());
            if *count > 0 {
                text.push(',');
            }
            text.push_str(key);
            text.push(':');
            text.push_str(member);
            *count += 1;
            bytes += 2 * key.len() + member.len() + 2 + size_of::<Box<str>>();
        });
        self.bytes += bytes;
    }

    fn enclosed(&self, state: State) -> String {
        let State::Items { text, .. } = state else { unreachable!("by shape") };
        if self.shape == Shape::Members { format!("{{{text}}}") } else { format!("[{text}]") }
    }

    fn value(&self, state: State) -> Scalar {
        let none = || null(self.ty);
        match state {
            State::Best { seen: false, .. } => none(),
            State::Best { carried: Some(carried), .. } => carried,
            State::Best { value, .. } => value,
            state @ State::Items { .. } => Scalar::Dynamic(self.enclosed(state).into()),
            State::Numbers(mut numbers) => {
                let rank = (self.parameter.unwrap_or(50.0) / 100.0 * numbers.len() as f64).ceil() as usize;
                let place = rank.clamp(1, numbers.len().max(1)) - 1;
                if numbers.is_empty() {
                    return none();
                }
                let number = *numbers.select_nth_unstable(place).1;
                match self.ty {
                    ColumnType::Real => Scalar::Real(f64::from_bits(flipped(number) as u64)),
                    ColumnType::Datetime => Scalar::Datetime(number),
                    ColumnType::Timespan => Scalar::Timespan(number),
                    _ => Scalar::Long(number),
                }
            }
            State::Mean { count: 0, .. } => none(),
            State::Mean { count, sum } => {
                let mean = (sum / i128::from(count)) as i64;
                if self.ty == ColumnType::Datetime { Scalar::Datetime(mean) } else { Scalar::Timespan(mean) }
            }
            State::Moments { count, squares, .. } => {
                let is_sample = matches!(self.kind, Kind::Variance | Kind::Deviation);
                let variance = match (count, is_sample) {
                    (0, _) => return none(),
                    (1, true) => 0.0,
                    (count, true) => squares / (count - 1) as f64,
                    (count, false) => squares / count as f64,
                };
                let is_variance = matches!(self.kind, Kind::Variance | Kind::VariancePopulation);
                Scalar::Real(if is_variance { variance } else { variance.sqrt() })
            }
            State::Bits(bits) => bits.map_or_else(none, Scalar::Long),
        }
    }
}

fn is_filled(value: &Scalar) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

fn text_bytes(value: &Scalar) -> usize {
    match value {
        Scalar::String(text) | Scalar::Guid(text) | Scalar::Dynamic(text) => text.len(),
        _ => 0,
    }
}

fn bytes_of(state: &State) -> usize {
    match state {
        State::Best { value, carried, .. } => text_bytes(value) + carried.as_ref().map_or(0, text_bytes),
        State::Items { text, known, .. } => {
            text.len() + known.iter().map(|item| item.len() + size_of::<Box<str>>()).sum::<usize>()
        }
        State::Numbers(numbers) => size_of_val(&numbers[..]),
        State::Mean { .. } | State::Moments { .. } | State::Bits(_) => 0,
    }
}

/// A number in the order of its bits; reals in their total order, as [`compare`] has it.
fn sortable(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Real(number) => Some(flipped(number.to_bits() as i64)),
        value => whole(value),
    }
}

/// Turns the bits of a real into a whole number of the same order, and back.
fn flipped(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// A column of values of type `ty`.
fn column(cells: impl Iterator<Item = Scalar>, ty: ColumnType) -> ArrayRef {
    macro_rules! column {
        ($builder:expr, $variant:ident) => {{
            let mut builder = $builder;
            for cell in cells {
                match cell {
                    Scalar::$variant(value) => builder.append_value(value),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    match ty {
        ColumnType::Bool => column!(BooleanBuilder::new(), Bool),
        ColumnType::Int => column!(Int32Builder::new(), Int),
        ColumnType::Long => column!(Int64Builder::new(), Long),
        ColumnType::Real => column!(Float64Builder::new(), Real),
        ColumnType::Datetime => column!(TimestampMicrosecondBuilder::new().with_timezone("UTC"), Datetime),
        ColumnType::Timespan => column!(DurationMicrosecondBuilder::new(), Timespan),
        ColumnType::String | ColumnType::Guid | ColumnType::Dynamic => {
            let mut builder = StringViewBuilder::new();
            for cell in cells {
                match cell {
                    Scalar::String(text) | Scalar::Guid(text) | Scalar::Dynamic(text) => builder.append_value(&*text),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reals() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            Just(Scalar::Null(ColumnType::Real)),
            Just(Scalar::Real(f64::NAN)),
            Just(Scalar::Real(f64::NEG_INFINITY)),
            (-5_i32..5).prop_map(|n| Scalar::Real(f64::from(n) / 2.0)),
        ]
    }

    fn values(ty: ColumnType) -> BoxedStrategy<Scalar> {
        match ty {
            ColumnType::Real => reals().boxed(),
            ColumnType::Dynamic => prop_oneof![
                Just(Scalar::Null(ty)),
                prop::sample::select(vec!["1", "\"a\"", "[1,\"b\",1]", "{\"k\":1}", "{\"k\":2,\"l\":[]}", "2.5"])
                    .prop_map(|text| Scalar::Dynamic(text.into())),
            ]
            .boxed(),
            ColumnType::String => "[ab]{0,2}".prop_map(|text| Scalar::String(text.into())).boxed(),
            ColumnType::Datetime => prop_oneof![
                Just(Scalar::Null(ty)),
                prop::sample::select(vec![i64::MIN, -7, 0, 5, i64::MAX]).prop_map(Scalar::Datetime),
            ]
            .boxed(),
            _ => prop_oneof![
                Just(Scalar::Null(ty)),
                prop::sample::select(vec![i64::MIN, -3, 0, 6, 12, i64::MAX]).prop_map(Scalar::Long),
            ]
            .boxed(),
        }
    }

    fn cases() -> impl Strategy<Value = (Kind, ColumnType, ColumnType, Option<f64>, Vec<Scalar>)> {
        use ColumnType::{Datetime, Dynamic, Long, Real, String};
        let kinds = vec![
            (Kind::Min, Real, None),
            (Kind::Max, Real, None),
            (Kind::Any, String, None),
            (Kind::Any, Long, None),
            (Kind::List, Long, None),
            (Kind::List, Real, Some(2.0)),
            (Kind::ListWithNulls, Real, None),
            (Kind::Set, String, Some(2.0)),
            (Kind::Set, Dynamic, None),
            (Kind::Bag, Dynamic, None),
            (Kind::Percentile, Real, Some(50.0)),
            (Kind::Percentile, Long, Some(95.0)),
            (Kind::Percentile, Datetime, Some(0.0)),
            (Kind::Average, Datetime, None),
            (Kind::BitsAnd, Long, None),
            (Kind::BitsOr, Long, None),
            (Kind::BitsXor, Long, None),
        ];
        prop::sample::select(kinds).prop_flat_map(|(kind, ty, parameter)| {
            let result = kind.types(ty).expect("it takes the type").1;
            prop::collection::vec(values(ty), 0..12).prop_map(move |values| (kind, ty, result, parameter, values))
        })
    }

    /// The value of one group that is read in two parts, of which the second is merged into the first.
    fn in_parts(
        kind: Kind,
        ty: ColumnType,
        result: ColumnType,
        parameter: Option<f64>,
        parts: [&[Scalar]; 2],
    ) -> Scalar {
        let read = |values: &[Scalar]| {
            let mut states = Accumulators::new(kind, vec![ty], result, parameter).expect("not every engine's");
            // Group 0 is another one, which must not be touched.
            let column = column(values.iter().cloned(), ty);
            states.update(&[column], &vec![1; values.len()], None, 2);
            states
        };
        let (mut first, mut second) = (read(parts[0]), read(parts[1]));
        let state = second.take_states(2);
        let types: Vec<DataType> = state.iter().map(|array| array.data_type().clone()).collect();
        assert_eq!(types, first.state_types());
        first.merge(&state, &[0, 1], 2);
        let values = first.take_values(2);
        assert_eq!((values.len(), first.groups()), (2, 0));
        Scalar::of_array(&values, 1, result)
    }

    proptest! {
        #[test]
        fn rows_in_parts_give_what_all_rows_give((kind, ty, result, parameter, values) in cases(), at in 0_usize..12) {
            let (a, b) = values.split_at(at.min(values.len()));
            let expected = kind.value(&values, result, parameter);
            let found = in_parts(kind, ty, result, parameter, [a, b]);
            let shown = |value: &Scalar| format!("{value:?}");
            prop_assert_eq!(shown(&found), shown(&expected));
        }

        #[test]
        fn moments_in_parts_are_those_of_all_rows(values in prop::collection::vec(-1e3_f64..1e3, 0..20), at in 0_usize..20) {
            let values: Vec<Scalar> = values.into_iter().map(Scalar::Real).collect();
            let (a, b) = values.split_at(at.min(values.len()));
            for kind in [Kind::Variance, Kind::VariancePopulation, Kind::Deviation, Kind::DeviationPopulation] {
                let found = in_parts(kind, ColumnType::Real, ColumnType::Real, None, [a, b]);
                match (kind.value(&values, ColumnType::Real, None), found) {
                    (Scalar::Real(a), Scalar::Real(b)) => prop_assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0)),
                    (a, b) => prop_assert_eq!(a, b),
                }
            }
        }

        #[test]
        fn an_extremum_brings_its_own_row_along(values in prop::collection::vec(values(ColumnType::Long), 0..12)) {
            for (kind, wanted) in [(Kind::ArgMin, Ordering::Less), (Kind::ArgMax, Ordering::Greater)] {
                let types = vec![ColumnType::Long, ColumnType::Long];
                let mut states = Accumulators::new(kind, types, ColumnType::Long, None).expect("not every engine's");
                let rows: ArrayRef = Arc::new((0..values.len() as i64).collect::<Int64Array>());
                let column = column(values.iter().cloned(), ColumnType::Long);
                states.update(&[column, rows], &vec![0; values.len()], None, 1);
                let found = states.take_values(1);
                let first = (!values.is_empty()).then_some(0);
                let row = crate::functions::aggregates::extreme(&values, wanted).or(first);
                prop_assert_eq!(found.is_valid(0).then(|| found.as_primitive::<Int64Type>().value(0) as usize), row);
            }
        }
    }
}
