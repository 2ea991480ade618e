//! What is kept of many values to count or rank them later: `hll` and `tdigest` states.
//!
//! Kusto's states are sketches; these keep the different values themselves, as a dynamic array, so that what is read from
//! them is exact. A state of `hll` is an array of values; one of `tdigest`, an array of `[value, weight]`; merging
//! digests nests them.

use ahash::AHashSet;
use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{Dynamic, Long, Real};

use super::args::Args;
use super::arrays::list;
use super::{Function, Returns, Want, function};
use crate::text;

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "dcount_hll",
        &[Want::Dynamic],
        Returns::Ty(Long),
        |args| {
            let a = args.text(0);
            args.longs(|row| Some(list(a.get(row))?.into_iter().collect::<AHashSet<_>>().len() as i64))
        },
        "`dcount_hll(state)`: how many different values a state of `hll` has seen, exact",
    ),
    function(
        "percentile_tdigest",
        &[Want::Dynamic, Want::Real],
        Returns::Ty(Dynamic),
        percentile,
        "`percentile_tdigest(state, p)`: by nearest rank, exact",
    ),
    function(
        "rank_tdigest",
        &[Want::Dynamic, Want::Real],
        Returns::Ty(Real),
        rank,
        "`rank_tdigest(state, value)`: the weight of all values up to that one",
    ),
    function(
        "percentrank_tdigest",
        &[Want::Dynamic, Want::Real],
        Returns::Ty(Real),
        |args| {
            let (a, value) = (args.text(0), args.real(1));
            args.reals(|row| {
                let weights = weights(a.get(row))?;
                let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
                (total > 0.0).then_some(100.0 * weight_up_to(&weights, value.get(row)?) / total)
            })
        },
        "`percentrank_tdigest(state, value)`: as `rank_tdigest`, in percent of all",
    ),
];

/// The digest's values in order, each with its weight.
fn weights(state: &str) -> Option<Vec<(f64, f64)>> {
    let mut found = Vec::new();
    collect(state, &mut found, 0)?;
    found.sort_by(|a: &(f64, f64), b| a.0.total_cmp(&b.0));
    Some(found)
}

fn collect(state: &str, found: &mut Vec<(f64, f64)>, depth: usize) -> Option<()> {
    // Digests of digests of digests: deeper than anyone merges.
    if depth > 8 {
        return None;
    }
    let items = list(state)?;
    if let [value, weight] = items.as_slice()
        && !value.starts_with('[')
    {
        if let (Ok(value), Ok(weight)) = (value.parse::<f64>(), weight.parse::<f64>()) {
            found.push((value, weight));
        }
        return Some(());
    }
    items.into_iter().try_for_each(|item| collect(item, found, depth + 1))
}

fn weight_up_to(weights: &[(f64, f64)], limit: f64) -> f64 {
    weights.iter().take_while(|(value, _)| *value <= limit).map(|(_, weight)| weight).sum()
}

fn rank(args: &Args<'_>) -> ArrayRef {
    let (a, value) = (args.text(0), args.real(1));
    args.reals(|row| Some(weight_up_to(&weights(a.get(row))?, value.get(row)?)))
}

fn percentile(args: &Args<'_>) -> ArrayRef {
    let (a, percent) = (args.text(0), args.real(1));
    args.opt_texts(|row, out| {
        let (Some(weights), Some(percent)) = (weights(a.get(row)), percent.get(row)) else { return false };
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let wanted = percent / 100.0 * total;
        let mut sum = 0.0;
        let reached = weights.iter().find(|(_, weight)| {
            sum += weight;
            sum >= wanted
        });
        let Some((value, _)) = reached.or(weights.last()) else { return false };
        text::write_real_json(*value, out);
        true
    })
}
