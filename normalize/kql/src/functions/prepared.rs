//! What a call computes once, at compile time, from its constant arguments.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use arrow::array::ArrayRef;
use regex::Regex;
use weir_contract::schema::ColumnType;

use crate::json;
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

/// Constant names of the pairs of a pack, to which other bags are merged.
#[derive(Debug)]
pub(crate) struct MergedPack {
    /// Escaped, as [`Prepared::Names`].
    pub(super) names: Vec<String>,
    numbers: AHashMap<String, usize>,
    pub(super) keep_empty: bool,
}

impl MergedPack {
    /// `None` if two pairs have one name.
    pub(super) fn new(names: &[String], keep_empty: bool) -> Option<Self> {
        // Between the comma and the colon stands the name's token.
        let plain = |name: &String| json::unquote(&name[1..name.len() - 1]).into_owned();
        let numbers: AHashMap<_, _> = names.iter().enumerate().map(|(number, name)| (plain(name), number)).collect();
        (numbers.len() == names.len()).then(|| Self { names: names.to_vec(), numbers, keep_empty })
    }

    /// The number of the pair whose name is the token `name`.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        if name.as_bytes().contains(&b'\\') {
            return self.numbers.get(&*json::unquote(name)).copied();
        }
        self.numbers.get(&name[1..name.len() - 1]).copied()
    }
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
