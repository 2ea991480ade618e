//! Aggregates: DataFusion's own where they mean the same, else KQL's [`Accumulators`].

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction as Call;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility, cast, lit,
    when,
};
use weir_contract::schema::ColumnType;
use weir_kql::plan::{Accumulators, AggregateFunction, Aggregation};

/// A call over columns of the aggregate's input, and what makes KQL's value of its result.
pub(crate) struct Lowered {
    pub(crate) call: Expr,
    finish: Finish,
}

#[derive(Clone)]
enum Finish {
    Nothing,
    /// What a group without values gives.
    OrElse(ScalarValue),
    /// Whole numbers become a timespan.
    Timespan(Option<ScalarValue>),
}

impl Lowered {
    /// The value, from the column that holds the call's result.
    pub(crate) fn value(&self, result: Expr) -> Result<Expr> {
        let or_else = |result: Expr, value: &ScalarValue| {
            when(result.clone().is_null(), Expr::Literal(value.clone(), None)).otherwise(result)
        };
        match &self.finish {
            Finish::Nothing => Ok(result),
            Finish::OrElse(value) => or_else(result, value),
            Finish::Timespan(value) => {
                let result = value.iter().try_fold(result, or_else)?;
                Ok(cast(result, DataType::Duration(TimeUnit::Microsecond)))
            }
        }
    }
}

/// Lowers an aggregate whose arguments are columns already.
pub(crate) fn lower(
    aggregation: &Aggregation,
    value: Option<Expr>,
    carried: Option<Expr>,
    condition: Option<Expr>,
) -> Lowered {
    use AggregateFunction as Function;
    let ty = aggregation.ty;
    let of_native = |function: Arc<AggregateUDF>, value: Expr, distinct: bool| {
        Expr::AggregateFunction(Call::new_udf(
            function,
            vec![value],
            distinct,
            condition.clone().map(Box::new),
            vec![],
            None,
        ))
    };
    let is_span = ty == ColumnType::Timespan;
    // DataFusion counts with whole numbers where it may not know spans of time.
    let plain = |value: Expr| if is_span { cast(value, DataType::Int64) } else { value };
    match (aggregation.function, value) {
        (Function::Count, _) | (_, None) => {
            Lowered { call: of_native(count_udaf(), lit(1_i64), false), finish: Finish::Nothing }
        }
        (Function::CountDistinct, Some(value)) => {
            Lowered { call: of_native(count_udaf(), value, true), finish: Finish::Nothing }
        }
        (Function::Sum, Some(value)) => {
            let zero = if ty == ColumnType::Real { ScalarValue::from(0.0) } else { ScalarValue::from(0_i64) };
            let finish = if is_span { Finish::Timespan(Some(zero)) } else { Finish::OrElse(zero) };
            Lowered { call: of_native(sum_udaf(), plain(value), false), finish }
        }
        (Function::Average, Some(value)) if ty == ColumnType::Real => {
            let call = of_native(avg_udaf(), value, false);
            Lowered { call, finish: Finish::OrElse(ScalarValue::from(f64::NAN)) }
        }
        (function @ (Function::Min | Function::Max), Some(value))
            if !matches!(ty, ColumnType::Real | ColumnType::Dynamic) =>
        {
            let native = if function == Function::Min { min_udaf() } else { max_udaf() };
            let finish = match ty {
                ColumnType::String => Finish::OrElse(ScalarValue::Utf8View(Some(String::new()))),
                ColumnType::Timespan => Finish::Timespan(None),
                _ => Finish::Nothing,
            };
            Lowered { call: of_native(native, plain(value), false), finish }
        }
        (_, Some(value)) => {
            let types = aggregation.value.iter().chain(&aggregation.carried).map(weir_kql::plan::Expr::ty).collect();
            let args: Vec<Expr> = [value].into_iter().chain(carried).collect();
            let function = KqlAggregate::new(aggregation, types);
            let function = Arc::new(AggregateUDF::new_from_impl(function));
            let call = Call::new_udf(function, args, false, condition.map(Box::new), vec![], None);
            Lowered { call: Expr::AggregateFunction(call), finish: Finish::Nothing }
        }
    }
}

/// An aggregate that DataFusion has not, or not with KQL's meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct KqlAggregate {
    function: AggregateFunction,
    types: Vec<ColumnType>,
    ty: ColumnType,
    /// The bits of the parameter.
    parameter: Option<u64>,
    name: String,
    signature: Signature,
}

impl KqlAggregate {
    fn new(aggregation: &Aggregation, types: Vec<ColumnType>) -> Self {
        Self {
            function: aggregation.function,
            ty: aggregation.ty,
            parameter: aggregation.parameter.map(f64::to_bits),
            name: format!("kql_{:?}", aggregation.function).to_lowercase(),
            signature: Signature::any(types.len(), Volatility::Immutable),
            types,
        }
    }

    fn states(&self) -> Accumulators {
        Accumulators::new(self.function, self.types.clone(), self.ty, self.parameter.map(f64::from_bits))
            .expect("lowering takes DataFusion's own aggregate where there are no accumulators")
    }
}

impl AggregateUDFImpl for KqlAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.ty.arrow())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(self.states())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let types = self.states().state_types().into_iter().enumerate();
        Ok(types.map(|(place, ty)| Arc::new(Field::new(format!("{}[{place}]", args.name), ty, true))).collect())
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { aggregate: self.clone(), states: self.states() }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The whole table as one group.
#[derive(Debug)]
struct OneGroup(Accumulators);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(values, &vec![0; values[0].len()], None, 1);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states, &vec![0; states[0].len()], 1);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.grow(1);
        ScalarValue::try_from_array(&self.0.take_values(1), 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.grow(1);
        self.0.take_states(1).iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.bytes()
    }
}

/// The groups of a `summarize … by`.
#[derive(Debug)]
struct Groups {
    aggregate: KqlAggregate,
    states: Accumulators,
}

impl Groups {
    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.states.groups(),
            EmitTo::First(groups) => groups,
        }
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.states.update(values, groups, filter, total);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.states.merge(states, groups, total);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.emitted(emit_to);
        Ok(self.states.take_values(groups))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.emitted(emit_to);
        Ok(self.states.take_states(groups))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut states = self.aggregate.states();
        states.update(values, &(0..rows).collect::<Vec<_>>(), filter, rows);
        Ok(states.take_states(rows))
    }

    fn size(&self) -> usize {
        self.states.bytes()
    }
}
