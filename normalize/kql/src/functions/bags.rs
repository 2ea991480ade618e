//! Property bags inside `dynamic` values: JSON text is written directly, never through a tree.

use arrow::array::ArrayRef;
use weir_contract::schema::ColumnType::{self, Bool, Dynamic};

use super::args::{Args, Texts};
use super::conversion::Printer;
use super::prepared::{MergedPack, Prepared};
use super::{Function, Returns, Want, function};
use crate::json;
use crate::scalar::Scalar;

const DYNAMIC: Returns = Returns::Ty(Dynamic);

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "dynamic_to_json",
        &[Want::Dynamic],
        Returns::Ty(weir_contract::schema::ColumnType::String),
        |args| {
            let a = args.text(0);
            args.texts(|row, out| canonical(a.get(row).trim_ascii(), out, 0))
        },
        "`dynamic_to_json(a)`: as JSON text with the members of bags in order, so that equal values give equal texts",
    ),
    function("bag_pack", &[Want::Str, Want::Any], DYNAMIC, |args| pack(args, true), "`bag_pack(name, value, …)`: a bag of all pairs, empty values included").requires(2).repeating(2).prepared(names),
    function("pack_nonempty", &[Want::Str, Want::Any], DYNAMIC, |args| pack(args, false), "`pack_nonempty(name, value, …)`: as `bag_pack` without the pairs whose value is null, an empty text, array or bag; null if none is left (Weir's own)").requires(0).repeating(2).prepared(names),
    function("bag_merge", &[Want::Dynamic], DYNAMIC, merge, "`bag_merge(a, b, …)`: all members; the leftmost value of a name counts; what is no bag is left out").requires(2).repeating(1),
    function(MERGED_PACK, &[Want::Any], DYNAMIC, merge_into_pack, "`bag_merge` whose first bag is packed").repeating(1),
    function("bag_keys", &[Want::Dynamic], DYNAMIC, keys, "`bag_keys(bag)`: array of the member names"),
    function("bag_has_key", &[Want::Dynamic, Want::Str], Returns::Ty(Bool), has_key, "`bag_has_key(bag, name)`: whether the bag has such a member"),
    function("bag_remove_keys", &[Want::Dynamic, Want::Dynamic], DYNAMIC, remove_keys, "`bag_remove_keys(bag, names)`: without these members; `$.a.b` names a nested one"),
    function("bag_set_key", &[Want::Dynamic, Want::Str, Want::Any], DYNAMIC, set_key, "`bag_set_key(bag, name, value)`: the member set or added; `$.a.b` names a nested one").constant_at(&[1]),
    function("bag_zip", &[Want::Dynamic, Want::Dynamic], DYNAMIC, zip, "`bag_zip(names, values)`: a bag of two arrays"),
    function("treepath", &[Want::Dynamic], DYNAMIC, tree_path, "`treepath(value)`: array of the paths of all leaves and inner bags"),
];

/// Escapes constant names once: `,"name":`.
fn names(constants: &[Option<Scalar>], _: &[ColumnType]) -> Result<Prepared, String> {
    if !constants.len().is_multiple_of(2) {
        return Err("expected pairs of a name and a value".into());
    }
    let mut names = Vec::new();
    for name in constants.iter().step_by(2) {
        let Some(name) = name.as_ref().and_then(Scalar::as_str) else { return Ok(Prepared::Nothing) };
        names.push(escaped_name(name));
    }
    Ok(Prepared::Names(names))
}

fn escaped_name(name: &str) -> String {
    let mut out = String::from(",");
    json::write_string(&mut out, name);
    out.push(':');
    out
}

fn pack(args: &Args<'_>, keep_empty: bool) -> ArrayRef {
    let constant_names = match args.prepared {
        Prepared::Names(names) => Some(names),
        _ => None,
    };
    let pairs = Pairs::new(args, constant_names, keep_empty);
    args.opt_texts(|row, out| {
        pairs.write(row, out, |_| {});
        out.push('}');
        out.len() > 1
    })
}

/// The pairs of a call that packs them, as far as any row of the batch has something to pack.
struct Pairs<'a> {
    pairs: Vec<Pair<'a>>,
    keep_empty: bool,
}

struct Pair<'a> {
    number: usize,
    name: Name<'a>,
    value: Printer<'a>,
}

enum Name<'a> {
    Escaped(&'a str),
    Text(Texts<'a>),
}

impl<'a> Pairs<'a> {
    /// The first arguments, pair by pair: as many as there are constant names, or all.
    fn new(args: &Args<'a>, names: Option<&'a Vec<String>>, keep_empty: bool) -> Self {
        let pairs = (0..names.map_or(args.len() / 2, Vec::len)).filter_map(|number| {
            let value = Printer::new(args, 2 * number + 1);
            let name = match names {
                Some(names) => Name::Escaped(&names[number]),
                None => Name::Text(args.text(2 * number)),
            };
            (keep_empty || !value.is_nothing_everywhere(args.rows)).then_some(Pair { number, name, value })
        });
        Self { pairs: pairs.collect(), keep_empty }
    }

    /// Appends an object without its closing brace; nothing where no pair has a value, unless empty ones are kept. Tells
    /// which pairs it has.
    #[inline]
    fn write(&self, row: usize, out: &mut String, mut written: impl FnMut(usize)) {
        for Pair { number, name, value } in &self.pairs {
            let escaped;
            let name: &str = match name {
                Name::Escaped(name) => name,
                Name::Text(names) => {
                    escaped = escaped_name(names.get(row));
                    &escaped
                }
            };
            // The first name has the opening brace in the place of its comma.
            let (open, name) = if out.is_empty() { ("{", &name[1..]) } else { ("", name) };
            if value.member(row, self.keep_empty, [open, name], out) {
                written(*number);
            }
        }
        if self.keep_empty && out.is_empty() {
            out.push('{');
        }
    }
}

/// What [`MERGED_PACK`] prepares for `bag_merge(pack, …)`, if `function` packs pairs of constant names into `pack`.
pub(crate) fn merged_pack(function: &Function, prepared: &Prepared) -> Option<Prepared> {
    let keep_empty = match function.name {
        "bag_pack" => true,
        "pack_nonempty" => false,
        _ => return None,
    };
    let Prepared::Names(names) = prepared else { return None };
    MergedPack::new(names, keep_empty).map(Prepared::MergedPack)
}

/// The function that packs pairs and merges other bags to them, without reading again what it packed.
pub(crate) const MERGED_PACK: &str = "bag_merge of a pack";

fn merge_into_pack(args: &Args<'_>) -> ArrayRef {
    let Prepared::MergedPack(pack) = args.prepared else { unreachable!("the graph prepares the names with the call") };
    let pairs = Pairs::new(args, Some(&pack.names), pack.keep_empty);
    let bags: Vec<_> = (2 * pack.names.len()..args.len()).map(|n| args.text(n)).collect();
    let mut merger = Merger::default();
    let mut written = vec![false; pack.names.len()];
    args.opt_texts(|row, out| {
        written.fill(false);
        pairs.write(row, out, |number| written[number] = true);
        merger.begin();
        for bag in &bags {
            merger.add(bag.get(row), out, |name| pack.number(name).is_some_and(|number| written[number]));
        }
        out.push('}');
        out.len() > 1
    })
}

/// The members of a bag as (name token, value); empty for what is no bag.
fn bag(value: &str) -> Vec<(&str, &str)> {
    let mut members = Vec::new();
    match json::members(value, |key, member| members.push((key, member))) {
        Some(()) => members,
        None => Vec::new(),
    }
}

#[inline]
fn same_key(a: &str, b: &str) -> bool {
    a == b || (a.contains('\\') || b.contains('\\')) && json::unquote(a) == json::unquote(b)
}

fn write_bag<'a>(out: &mut String, members: impl IntoIterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    let start = out.len();
    for (key, value) in members {
        if out.len() > start {
            out.push(',');
        }
        out.push_str(key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
}

fn is_bag(value: &str) -> bool {
    value.trim_ascii_start().starts_with('{')
}

fn merge(args: &Args<'_>) -> ArrayRef {
    let bags: Vec<_> = (0..args.len()).map(|n| args.text(n)).collect();
    let mut merger = Merger::default();
    args.opt_texts(|row, out| {
        merger.begin();
        for bag in &bags {
            merger.add(bag.get(row), out, |_| false);
        }
        out.push('}');
        out.len() > 1
    })
}

/// Merges the bags of one row. The first bag is copied as it stands; the members of later ones follow unless their name
/// is there already.
#[derive(Default)]
struct Merger<'a> {
    /// Name tokens that are in the result.
    names: Vec<&'a str>,
    /// Members of one bag; kept for its memory.
    members: Vec<(&'a str, &'a str)>,
    /// Whether a name has escapes; names without are equal if their tokens are.
    escapes: bool,
}

impl<'a> Merger<'a> {
    fn begin(&mut self) {
        self.names.clear();
        self.escapes = false;
    }

    /// Appends the members of `bag` to the object in `out`, which lacks its closing brace and is empty before the first
    /// one. Names that are `taken` are left out.
    fn add(&mut self, bag: &'a str, out: &mut String, taken: impl Fn(&str) -> bool) {
        let bag = bag.trim_ascii();
        self.members.clear();
        let members = &mut self.members;
        if !is_bag(bag) || json::members(bag, |name, member| members.push((name, member))).is_none() {
            return;
        }
        if out.is_empty() {
            if let Some(open) = bag.strip_suffix('}') {
                out.push_str(if self.members.is_empty() { "{" } else { open });
                self.names.extend(self.members.iter().map(|(name, _)| *name));
                self.escapes = self.names.iter().any(|name| name.contains('\\'));
            }
            return;
        }
        for (name, member) in &self.members {
            self.escapes |= name.contains('\\');
            let stands = if self.escapes {
                self.names.iter().any(|other| same_key(other, name))
            } else {
                self.names.contains(name)
            };
            if stands || taken(name) {
                continue;
            }
            if !out.ends_with('{') {
                out.push(',');
            }
            self.names.push(name);
            out.push_str(name);
            out.push(':');
            out.push_str(member);
        }
    }
}

fn keys(args: &Args<'_>) -> ArrayRef {
    let a = args.text(0);
    args.opt_texts(|row, out| {
        let value = a.get(row);
        if !is_bag(value) {
            return false;
        }
        super::arrays::write_list(out, bag(value).into_iter().map(|(key, _)| key));
        true
    })
}

fn has_key(args: &Args<'_>) -> ArrayRef {
    let (a, key) = (args.text(0), args.text(1));
    args.opt_bools(|row| {
        let value = a.get(row);
        let key = key.get(row);
        is_bag(value).then(|| bag(value).iter().any(|(name, _)| json::unquote(name) == key))
    })
}

fn remove_keys(args: &Args<'_>) -> ArrayRef {
    let (a, names) = (args.text(0), args.text(1));
    args.opt_texts(|row, out| {
        let value = a.get(row);
        if !is_bag(value) {
            return false;
        }
        let mut paths: Vec<Vec<String>> = Vec::new();
        let _ = json::elements(names.get(row), |name| {
            let name = crate::text::dynamic_text(name);
            paths.push(match name.strip_prefix("$.") {
                Some(path) => path.split('.').map(str::to_owned).collect(),
                None => vec![name.into_owned()],
            });
        });
        let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
        remove(value, &paths, out);
        true
    })
}

fn remove(value: &str, paths: &[&[String]], out: &mut String) {
    let mut kept: Vec<(&str, String)> = Vec::new();
    for (key, member) in bag(value) {
        let name = json::unquote(key);
        let below: Vec<&[String]> = paths
            .iter()
            .filter(|path| path.first().is_some_and(|first| *first == name))
            .map(|path| &path[1..])
            .collect();
        if below.iter().any(|path| path.is_empty()) {
            continue;
        }
        let mut text = String::new();
        if below.is_empty() || !is_bag(member) {
            text.push_str(member);
        } else {
            remove(member, &below, &mut text);
        }
        kept.push((key, text));
    }
    write_bag(out, kept.iter().map(|(key, member)| (*key, member.as_str())));
}

fn set_key(args: &Args<'_>) -> ArrayRef {
    let (a, key, print) = (args.text(0), args.text(1), Printer::new(args, 2));
    args.opt_texts(|row, out| {
        let value = a.get(row);
        if !is_bag(value) {
            return false;
        }
        let mut new = String::new();
        print.json(row, &mut new);
        let key = key.get(row);
        let path: Vec<&str> = match key.strip_prefix("$.") {
            Some(path) => path.split('.').take(MAX_TREE_DEPTH).collect(),
            None => vec![key],
        };
        set(value, &path, &new, out);
        true
    })
}

/// The bag with the member at `path` set; what is no bag on the way becomes one.
fn set(bag_text: &str, path: &[&str], new: &str, out: &mut String) {
    let Some((first, rest)) = path.split_first() else {
        out.push_str(new);
        return;
    };
    let mut name = String::new();
    json::write_string(&mut name, first);
    let mut members = bag(bag_text);
    let place = members.iter().position(|(key, _)| same_key(key, &name));
    let inner = place.map_or("{}", |place| members[place].1);
    let mut text = String::new();
    set(inner, rest, new, &mut text);
    match place {
        Some(place) => members[place].1 = &text,
        None => members.push((&name, &text)),
    }
    write_bag(out, members);
}

fn zip(args: &Args<'_>) -> ArrayRef {
    let (names, values) = (args.text(0), args.text(1));
    args.opt_texts(|row, out| {
        let Some(names) = super::arrays::list(names.get(row)) else { return false };
        let values = super::arrays::list(values.get(row)).unwrap_or_default();
        let quoted: Vec<String> = names
            .iter()
            .map(|name| {
                let mut out = String::new();
                json::write_string(&mut out, &crate::text::dynamic_text(name));
                out
            })
            .collect();
        write_bag(
            out,
            quoted
                .iter()
                .enumerate()
                .map(|(position, name)| (name.as_str(), values.get(position).copied().unwrap_or("null"))),
        );
        true
    })
}

/// Deepest value whose paths are listed.
const MAX_TREE_DEPTH: usize = 64;

fn tree_path(args: &Args<'_>) -> ArrayRef {
    let a = args.text(0);
    args.opt_texts(|row, out| {
        let value = a.get(row);
        let mut paths = Vec::new();
        walk(value, "", &mut paths, 0);
        let quoted: Vec<String> = paths
            .iter()
            .map(|path| {
                let mut out = String::new();
                json::write_string(&mut out, path);
                out
            })
            .collect();
        super::arrays::write_list(out, quoted.iter().map(String::as_str));
        !paths.is_empty()
    })
}

fn walk(value: &str, path: &str, paths: &mut Vec<String>, depth: usize) {
    if depth > MAX_TREE_DEPTH {
        return;
    }
    for (key, member) in bag(value) {
        let path = format!("{path}['{}']", json::unquote(key));
        paths.push(path.clone());
        walk(member, &path, paths, depth + 1);
    }
    if let Some(items) = super::arrays::list(value) {
        let path = format!("{path}[0]");
        paths.push(path.clone());
        for item in items {
            walk(item, &path, paths, depth + 1);
        }
    }
}

/// Deepest bag whose members are put in order; JSON nested deeper is kept as it is written.
const MAX_CANONICAL: usize = 128;

/// Appends a value as compact JSON, members sorted by name at every level.
fn canonical(value: &str, out: &mut String, depth: usize) {
    let mut bag: Vec<(&str, &str)> = Vec::new();
    let mut array: Vec<&str> = Vec::new();
    if depth < MAX_CANONICAL && json::members(value, |key, member| bag.push((key, member))).is_some() {
        bag.sort_by_key(|(key, _)| json::unquote(key));
        out.push('{');
        for (number, (key, member)) in bag.into_iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            out.push_str(key);
            out.push(':');
            canonical(member, out, depth + 1);
        }
        out.push('}');
    } else if depth < MAX_CANONICAL && json::elements(value, |item| array.push(item)).is_some() {
        out.push('[');
        for (number, item) in array.into_iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            canonical(item, out, depth + 1);
        }
        out.push(']');
    } else {
        out.push_str(&json::compact(value));
    }
}
