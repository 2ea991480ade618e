//! What a call computes once, at compile time, from its constant arguments.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use arrow::array::ArrayRef;
use regex::Regex;
use weir_contract::schema::ColumnType;

use super::bags::MergedPack;
use crate::scalar::Scalar;
use crate::sphere::Polygon;

/// The state of a call. [`Prepared::Nothing`] where the arguments that matter are not constant.
#[derive(Debug, Default)]
pub(crate) enum Prepared {
    #[default]
    Nothing,
    Regex(Regex),
    /// A set of texts (lower-cased where the operator ignores case).
    Texts(AHashSet<String>),
    /// Needles, in order.
    Needles(Vec<String>),
    Longs(AHashSet<i64>),
    /// Escaped member names with comma, quotes and colon, one per pair.
    Names(Vec<String>),
    MergedPack(MergedPack),
    /// A chain `case(x == "a", 1, …)`: which row of `results` a text leads to, the last row being the default.
    CaseMap {
        rows: AHashMap<String, usize>,
        results: ArrayRef,
    },
    /// `None`: a constant that is no polygon.
    Polygon(Option<Polygon>),
    PolygonTable(PolygonTable),
}

/// The polygons of a constant table, which places are looked up in.
#[derive(Debug)]
pub(crate) struct PolygonTable {
    /// By the table's rows; `None`: no polygon stands there.
    pub(crate) polygons: Vec<Option<Polygon>>,
    /// Meters around a polygon that count as in it; `None`: a place must be inside.
    pub(crate) radius_m: Option<f64>,
    /// Places that are in none stay, too.
    pub(crate) return_unmatched: bool,
}

/// Builds the state from the arguments (`None`: not constant), or says why they cannot be right.
pub(crate) type Prepare = fn(&[Option<Scalar>], &[ColumnType]) -> Result<Prepared, String>;

/// Shared by the copies of a program.
pub(crate) type SharedPrepared = Arc<Prepared>;

/// Prepares nothing, but refuses a constant that is none of `words`; `word` gives a text the form of those.
pub(crate) fn one_of(
    words: &[&str],
    constant: Option<&Scalar>,
    word: impl Fn(&str) -> String,
) -> Result<Prepared, String> {
    match constant.and_then(Scalar::as_str) {
        Some(text) if !words.contains(&word(text).as_str()) => {
            Err(format!("`{text}` is not one of `{}`", words.join("`, `")))
        }
        _ => Ok(Prepared::Nothing),
    }
}
