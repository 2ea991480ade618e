//! The scalar functions: one table per family, one row per function.
//!
//! A row says a function's name, the types that it wants, the type that it gives, its kernel, and one line of
//! documentation. The binder converts arguments to the wanted types before it calls a kernel, so kernels meet only
//! those; it folds calls with constant arguments by running the kernel once. A kernel is total: no value makes it fail.

pub(crate) mod accumulate;
pub(crate) mod aggregates;
pub(crate) mod args;
mod arithmetic;
mod arrays;
mod bags;
mod bits;
pub(crate) mod compare;
mod compression;
mod conditional;
mod conversion;
mod datetime;
mod digests;
mod encoding;
mod geography;
mod h3;
mod math;
mod network;
pub(crate) mod pieces;
pub(crate) mod polygons;
pub(crate) mod prepared;
pub(crate) mod regexes;
mod sequence;
mod series;
mod term;
mod text;
mod text_match;
mod units;
mod url;
mod views;
mod xxhash;

use std::sync::OnceLock;

use ahash::AHashMap;
use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType;

use self::args::Args;
pub(crate) use self::arithmetic::result_type;
pub(crate) use self::bags::{MERGED_PACK, merged_pack};
pub(crate) use self::conversion::{Printer, converter};
pub(crate) use self::math::YEAR_ONE_US;
use self::prepared::Prepare;
pub(crate) use self::prepared::Prepared;
pub(crate) use self::series::STATS as SERIES_STATS;

/// What a parameter accepts; the binder converts what is not of that type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Anything, unconverted.
    Any,
    /// Anything, as its text.
    Text,
    /// A string or a dynamic, as its text.
    Str,
    /// A string or a dynamic, unconverted.
    StrOrDynamic,
    Guid,
    Bool,
    Long,
    /// Any number, cut off to a long.
    Whole,
    Real,
    /// A long or a real; an int becomes a long.
    Number,
    /// A number or a dynamic, unconverted.
    NumberOrDynamic,
    /// A whole number or a dynamic, unconverted.
    LongOrDynamic,
    /// A number, datetime or timespan, unconverted.
    Summable,
    Datetime,
    Timespan,
    Dynamic,
}

/// The type of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Returns {
    Ty(ColumnType),
    /// The type of an argument after conversion.
    Arg(usize),
    /// Special to the function; the binder knows.
    Special,
}

/// One scalar function.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Wanted types. With [`Function::repeats`], the last one repeats.
    pub(crate) params: &'static [Want],
    /// How many arguments must be there.
    pub(crate) required: usize,
    /// The last parameters that repeat (0: none; 2: pairs, as in `bag_pack`).
    pub(crate) repeats: usize,
    /// The arguments that Kusto wants as constants.
    pub(crate) constants: &'static [usize],
    pub(crate) returns: Returns,
    /// False for what depends on more than its arguments (`now`).
    pub(crate) pure: bool,
    pub(crate) prepare: Option<Prepare>,
    pub(crate) kernel: fn(&Args<'_>) -> ArrayRef,
    /// Signature and meaning, for the reference.
    pub(crate) doc: &'static str,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A function with the common defaults: pure, no repetition, nothing prepared.
pub(crate) const fn function(
    name: &'static str,
    params: &'static [Want],
    returns: Returns,
    kernel: fn(&Args<'_>) -> ArrayRef,
    doc: &'static str,
) -> Function {
    Function {
        name,
        params,
        required: params.len(),
        repeats: 0,
        constants: &[],
        returns,
        pure: true,
        prepare: None,
        kernel,
        doc,
    }
}

impl Function {
    /// With the last parameters optional.
    pub(crate) const fn requires(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    /// With the last `count` parameters repeated any number of times.
    pub(crate) const fn repeating(mut self, count: usize) -> Self {
        self.repeats = count;
        self
    }

    /// With arguments that Kusto wants as constants.
    pub(crate) const fn constant_at(mut self, places: &'static [usize]) -> Self {
        self.constants = places;
        self
    }

    pub(crate) const fn prepared(mut self, prepare: Prepare) -> Self {
        self.prepare = Some(prepare);
        self
    }

    pub(crate) const fn volatile(mut self) -> Self {
        self.pure = false;
        self
    }

    /// The wanted type of argument `position`, if so many are allowed.
    pub(crate) fn want(&self, position: usize) -> Option<Want> {
        if position < self.params.len() {
            return Some(self.params[position]);
        }
        if self.repeats == 0 {
            return None;
        }
        let first_repeated = self.params.len() - self.repeats;
        Some(self.params[first_repeated + (position - first_repeated) % self.repeats])
    }
}

/// What the reference says of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionDoc {
    /// Name; operators stand under their symbol.
    pub name: &'static str,
    /// Family: the kind of things that it works on.
    pub family: &'static str,
    /// Signature and meaning in one line.
    pub doc: &'static str,
}

/// Other names of the same functions.
const ALIASES: &[(&str, &str)] = &[
    ("iif", "iff"),
    ("notempty", "isnotempty"),
    ("notnull", "isnotnull"),
    ("todouble", "toreal"),
    ("todecimal", "toreal"),
    ("toboolean", "tobool"),
    ("parse_json", "todynamic"),
    ("parsejson", "todynamic"),
    ("toobject", "todynamic"),
    ("pack", "bag_pack"),
    ("pack_dictionary", "bag_pack"),
    ("columnifexists", "column_ifexists"),
    ("replace", "replace_regex"),
    ("replace_strings_regex", "replace_regex"),
    ("floor", "bin"),
    ("arraylength", "array_length"),
    ("base64_decodestring", "base64_decode_tostring"),
    ("base64_encodestring", "base64_encode_tostring"),
    ("getmonth", "monthofyear"),
    ("weekofyear", "week_of_year"),
    ("parseurl", "parse_url"),
    ("make_timespan", "make_timespan"),
    ("min", "min_of"),
    ("max", "max_of"),
    ("array_concatenate", "array_concat"),
    ("parsepath", "parse_path"),
];

struct Registry {
    by_name: AHashMap<&'static str, &'static Function>,
    docs: Vec<FunctionDoc>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let families: &[(&'static str, &'static [Function])] = &[
            ("comparison", compare::FUNCTIONS),
            ("arithmetic", arithmetic::FUNCTIONS),
            ("conditional", conditional::FUNCTIONS),
            ("conversion", conversion::FUNCTIONS),
            ("text", text::FUNCTIONS),
            ("text matching", text_match::FUNCTIONS),
            ("terms", term::FUNCTIONS),
            ("regular expressions", regexes::FUNCTIONS),
            ("dynamic arrays", arrays::FUNCTIONS),
            ("dynamic arrays", sequence::FUNCTIONS),
            ("dynamic bags", bags::FUNCTIONS),
            ("date and time", datetime::FUNCTIONS),
            ("mathematics", math::FUNCTIONS),
            ("bits", bits::FUNCTIONS),
            ("encoding and hashes", encoding::FUNCTIONS),
            ("encoding and hashes", xxhash::FUNCTIONS),
            ("encoding and hashes", compression::FUNCTIONS),
            ("series", series::FUNCTIONS),
            ("digests", digests::FUNCTIONS),
            ("units", units::FUNCTIONS),
            ("geography", geography::FUNCTIONS),
            ("geography", polygons::FUNCTIONS),
            ("geography", h3::FUNCTIONS),
            ("network addresses", network::FUNCTIONS),
            ("urls and paths", url::FUNCTIONS),
        ];
        let mut by_name = AHashMap::new();
        let mut docs = Vec::new();
        for (family, functions) in families {
            for function in *functions {
                by_name.insert(function.name, function);
                docs.push(FunctionDoc { name: function.name, family, doc: function.doc });
            }
        }
        for (alias, name) in ALIASES {
            if let Some(function) = by_name.get(name).copied() {
                by_name.entry(alias).or_insert(function);
            }
        }
        Registry { by_name, docs }
    })
}

/// The function called `name`, also under its other names.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    registry().by_name.get(name).copied()
}

/// The function called `name`, which this crate itself defines.
pub(crate) fn builtin(name: &str) -> &'static Function {
    find(name).expect("the binder names only functions of the tables")
}

/// All names, for near-name hints.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    registry().by_name.keys().copied().filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The reference of all functions and operators, in the order of their families.
pub fn reference() -> &'static [FunctionDoc] {
    &registry().docs
}

/// Other names of functions, each with the name that the reference has.
pub fn aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALIASES.iter().copied().filter(|(alias, name)| alias != name)
}
