//! All constant paths of one `dynamic` column, found in one pass over each row's text.

use std::borrow::Cow;

use super::scan::{skip_blanks, skip_value, string_end};
use super::{unescape, unquote};
use crate::text;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    Key(String),
    /// Negative counts from the end.
    Index(i64),
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, ".{key}"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A value that a path leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found<'a> {
    pub(crate) json: &'a str,
    /// A string without escapes: its text stands between the quotes.
    plain: bool,
}

impl<'a> Found<'a> {
    /// The text of a string; other values as compact JSON. `buffer` is for what does not stand so in the value.
    #[inline]
    pub(crate) fn text<'b>(self, buffer: &'b mut String) -> &'b str
    where
        'a: 'b,
    {
        if self.plain {
            return &self.json[1..self.json.len() - 1];
        }
        if self.json.starts_with('"') {
            buffer.clear();
            unescape(&self.json[1..self.json.len() - 1], buffer);
            return buffer;
        }
        match text::dynamic_text(self.json) {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => {
                *buffer = text;
                buffer
            }
        }
    }
}

/// A prefix tree of paths; each path has an output number.
#[derive(Debug, Default)]
pub(crate) struct PathTree {
    root: Node,
    outputs: usize,
}

#[derive(Debug)]
struct Node {
    outputs: Vec<usize>,
    keys: Vec<(Key, Node)>,
    /// Which key to try first for a name, by [`slot`]: its number and one, or 0 where no key has the slot.
    slots: [u16; SLOTS],
    indices: Vec<(i64, Node)>,
}

/// A member name. Its length and its ends are all of a name of up to sixteen bytes.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    name: String,
    ends: Ends,
}

/// The first and the last eight bytes of a name; of a shorter one, all that it has.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ends {
    first: u64,
    last: u64,
}

impl Ends {
    #[inline]
    fn of(name: &[u8]) -> Self {
        if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            return Self { first: u64::from_le_bytes(*first), last: u64::from_le_bytes(*last) };
        }
        let first = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
            }
            _ => name.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte)),
        };
        Self { first, last: 0 }
    }
}

impl Key {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ends: Ends::of(name.as_bytes()) }
    }

    #[inline]
    fn is(&self, name: &[u8], ends: Ends) -> bool {
        self.ends == ends && self.name.len() == name.len() && (name.len() <= 16 || self.name.as_bytes() == name)
    }
}

const SLOTS: usize = 64;

/// A number from a name's length and first byte, which tell most names of an object apart.
#[inline]
fn slot(name: &[u8]) -> usize {
    let first = name.first().map_or(0, |byte| usize::from(*byte));
    (first + 11 * name.len()) % SLOTS
}

impl Default for Node {
    fn default() -> Self {
        Self { outputs: Vec::new(), keys: Vec::new(), slots: [0; SLOTS], indices: Vec::new() }
    }
}

impl PathTree {
    /// Adds a path and returns its output number: 0, 1, 2…
    pub(crate) fn add(&mut self, path: &[Segment]) -> usize {
        let mut node = &mut self.root;
        for segment in path {
            node = match segment {
                Segment::Key(key) => {
                    let first = &mut node.slots[slot(key.as_bytes())];
                    if *first == 0 {
                        *first = u16::try_from(node.keys.len() + 1).unwrap_or(u16::MAX);
                    }
                    child(&mut node.keys, &Key::new(key))
                }
                Segment::Index(index) => child(&mut node.indices, index),
            };
        }
        node.outputs.push(self.outputs);
        self.outputs += 1;
        self.outputs - 1
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Fills `found` (one place per output) with the slices of `text` that the paths lead to; `None` where a path
    /// leads nowhere, or to null. A key that stands twice counts with its last value.
    pub(crate) fn find<'a>(&self, text: &'a str, found: &mut [Option<Found<'a>>]) {
        found.fill(None);
        if matches!(text, "" | "{}" | "[]" | "null") {
            return;
        }
        let bytes = text.as_bytes();
        self.root.walk(text, skip_blanks(bytes, 0), found);
    }
}

fn child<'n, K: PartialEq + Clone>(children: &'n mut Vec<(K, Node)>, key: &K) -> &'n mut Node {
    let position = match children.iter().position(|(name, _)| name == key) {
        Some(position) => position,
        None => {
            children.push((key.clone(), Node::default()));
            children.len() - 1
        }
    };
    &mut children[position].1
}

impl Node {
    /// Reads the value at `start` and returns the position behind it.
    fn walk<'a>(&self, text: &'a str, start: usize, found: &mut [Option<Found<'a>>]) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut plain = false;
        let end = match bytes.get(start)? {
            b'"' => {
                let (end, escaped) = string_end(bytes, start)?;
                plain = !escaped;
                end
            }
            b'{' if !self.keys.is_empty() => self.object(text, start, found)?,
            b'[' if !self.indices.is_empty() => self.array(text, start, found)?,
            _ => skip_value(bytes, start)?,
        };
        // JSON's null is nothing; and of a key that stands twice the last value counts.
        if !self.outputs.is_empty() && &bytes[start..end] == b"null" {
            self.outputs.iter().for_each(|output| found[*output] = None);
        } else if !self.outputs.is_empty() {
            let value = Found { json: text.get(start..end)?, plain };
            for output in &self.outputs {
                found[*output] = Some(value);
            }
        }
        Some(end)
    }

    fn object<'a>(&self, text: &'a str, start: usize, found: &mut [Option<Found<'a>>]) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut position = skip_blanks(bytes, start + 1);
        if bytes.get(position) == Some(&b'}') {
            return Some(position + 1);
        }
        loop {
            position = skip_blanks(bytes, position);
            if bytes.get(position) != Some(&b'"') {
                return None;
            }
            let (key_end, escaped) = string_end(bytes, position)?;
            let child = if escaped {
                self.key(unquote(text.get(position..key_end)?).as_bytes())
            } else {
                self.key(&bytes[position + 1..key_end - 1])
            };
            position = skip_blanks(bytes, key_end);
            if bytes.get(position) != Some(&b':') {
                return None;
            }
            position = skip_blanks(bytes, position + 1);
            position = match child {
                Some(node) => node.walk(text, position, found)?,
                None => skip_value(bytes, position)?,
            };
            position = skip_blanks(bytes, position);
            match bytes.get(position)? {
                b',' => position += 1,
                b'}' => return Some(position + 1),
                _ => return None,
            }
        }
    }

    #[inline]
    fn key(&self, name: &[u8]) -> Option<&Node> {
        let first = match self.slots[slot(name)] {
            0 => return None,
            first => usize::from(first) - 1,
        };
        let ends = Ends::of(name);
        if let Some((key, node)) = self.keys.get(first)
            && key.is(name, ends)
        {
            return Some(node);
        }
        self.keys.iter().find(|(key, _)| key.is(name, ends)).map(|(_, node)| node)
    }

    fn array<'a>(&self, text: &'a str, start: usize, found: &mut [Option<Found<'a>>]) -> Option<usize> {
        let bytes = text.as_bytes();
        // Only indices from the end need to know where the elements start.
        let from_end = self.indices.iter().any(|(index, _)| *index < 0);
        let mut starts = Vec::new();
        let mut position = skip_blanks(bytes, start + 1);
        if bytes.get(position) != Some(&b']') {
            for number in 0.. {
                position = skip_blanks(bytes, position);
                if from_end {
                    starts.push(position);
                }
                let node = self.indices.iter().find(|(index, _)| *index == number).map(|(_, node)| node);
                let end = match node.and_then(|node| node.walk(text, position, found)) {
                    Some(end) => end,
                    None => skip_value(bytes, position)?,
                };
                position = skip_blanks(bytes, end);
                match bytes.get(position)? {
                    b',' => position += 1,
                    b']' => break,
                    _ => return None,
                }
            }
        }
        for (index, node) in self.indices.iter().filter(|(index, _)| *index < 0) {
            let index = *index + starts.len() as i64;
            if let Some(start) = usize::try_from(index).ok().and_then(|index| starts.get(index)) {
                node.walk(text, *start, found);
            }
        }
        Some(position + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Segment {
        Segment::Key(name.into())
    }

    fn json<'a>(found: &[Option<Found<'a>>]) -> Vec<Option<&'a str>> {
        found.iter().map(|found| found.map(|found| found.json)).collect()
    }

    #[test]
    fn all_paths_are_found_in_one_pass() {
        let mut tree = PathTree::default();
        let paths = [
            vec![key("a")],
            vec![key("b"), key("c")],
            vec![key("b"), Segment::Index(0)],
            vec![key("l"), Segment::Index(-1)],
            vec![key("l"), Segment::Index(0), key("x")],
            vec![key("é\"")],
            vec![key("l"), Segment::Index(9)],
        ];
        for path in &paths {
            tree.add(path);
        }
        let mut found = vec![None; tree.outputs()];
        tree.find(r#" {"a": 1, "b":{"c":[1, {"c":2}]}, "l":[{"x":"y"}, null , "z"], "\u00e9\"": true}"#, &mut found);
        assert_eq!(
            json(&found),
            [Some("1"), Some(r#"[1, {"c":2}]"#), None, Some("\"z\""), Some("\"y\""), Some("true"), None]
        );
        let text = |output: usize| found[output].expect("a value").text(&mut String::new()).to_owned();
        assert_eq!([3, 4, 1].map(text), ["z", "y", r#"[1,{"c":2}]"#]);
        tree.find("not json", &mut found);
        assert_eq!(json(&found), [None; 7]);
    }
}
