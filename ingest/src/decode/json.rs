//! JSON documents to rows: the three envelope shapes, and flat rows.
//!
//! A parsed document is simd-json's tape: a flat list of nodes, in which an object or array tells how many nodes it
//! spans. Its strings lie in the chunk, and their addresses tell where in the document they stand.

use simd_json::{Node, StaticNode};

use crate::decode::columns::ChunkBase;
use crate::decode::route::{Hints, NAMING_KEYS};
use crate::decode::table::{Field, MissingTime, TableBuilder};
use crate::decode::values::{Value, Written};
use crate::json_text::{skip_blanks, value_end};
use crate::schema::Keys;

/// A parsed document.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    /// The tape.
    pub(crate) nodes: &'a [Node<'a>],
    /// The document as it was received.
    pub(crate) text: &'a [u8],
    /// Address of the document's copy in the chunk, which the parser changed in place.
    pub(crate) address: usize,
}

/// An object of a document, by the position of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object {
    at: usize,
    len: usize,
}

/// What stands in a document's place for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// An object: a record, with or without an envelope.
    Record(Object),
    /// An array of items: its node, and the position of the key before it in a wrapper.
    Items { at: usize, len: usize, key: Option<usize> },
    /// Anything else: no record.
    Other,
}

/// Keys of the export's plumbing, which are no columns (seen in sibling exports of Azure).
const PLUMBING: &str = "__UDI_RequiredFields_";

impl<'a> Document<'a> {
    /// What stands at node `at`: a wrapper `{"records":[…]}` counts as the array that it holds.
    pub(crate) fn item(&self, at: usize) -> Item {
        match self.nodes[at] {
            Node::Array { len, .. } => Item::Items { at, len, key: None },
            Node::Object { len, .. } => {
                let object = Object { at, len };
                let wrapped = self.fields(object).find_map(|(key, value)| match self.nodes[value] {
                    Node::Array { len, .. } if key == "records" || key == "Records" => {
                        Some(Item::Items { at: value, len, key: Some(self.position(key)) })
                    }
                    _ => None,
                });
                // A record may have a column of that name; a wrapper names no table.
                let names_table = |key: &str| matches!(key, "category" | "ActionType") || NAMING_KEYS.contains(&key);
                match wrapped {
                    Some(items) if !self.fields(object).any(|(key, _)| names_table(key)) => items,
                    _ => Item::Record(object),
                }
            }
            _ => Item::Other,
        }
    }

    /// The nodes of the elements of the array at node `at`.
    pub(crate) fn elements(&self, at: usize, len: usize) -> impl Iterator<Item = usize> {
        let nodes = self.nodes;
        let mut next = at + 1;
        (0..len).map(move |_| {
            let at = next;
            next = after(nodes, at);
            at
        })
    }

    /// Where in the document the item at node `at` begins, if it is an object with members; give or take blanks.
    pub(crate) fn start(&self, at: usize) -> Option<usize> {
        match (self.nodes[at], self.nodes.get(at + 1)) {
            (Node::Object { len: 1.., .. }, Some(Node::String(key))) => {
                // Back over the quote and blanks to the brace.
                let before = &self.text[..self.position(key) - 1];
                before.iter().rposition(|byte| *byte == b'{')
            }
            _ => None,
        }
    }

    /// The text of an object, as it was received.
    pub(crate) fn object_text(&self, object: Object) -> &'a [u8] {
        match self.start(object.at) {
            Some(start) => &self.text[start..value_end(self.text, start).unwrap_or(self.text.len())],
            None => b"{}",
        }
    }

    /// Where `part`, a piece of the document's text, begins in it.
    pub(crate) fn start_in_text(&self, part: &[u8]) -> usize {
        let distance = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        // An empty object is not taken from the text.
        if distance < self.text.len() { distance } else { 0 }
    }

    /// The text of an array: of the one under the key at position `key`, or the whole document.
    pub(crate) fn array_text(&self, key: Option<usize>) -> &'a [u8] {
        match key {
            Some(key) => crate::json_text::value_of_key(self.text, key),
            None => &self.text[skip_blanks(self.text, 0)..],
        }
    }

    /// What an object shows of its table, and its `properties` if it has an envelope.
    pub(crate) fn hints(&self, object: Object) -> (Hints<'a>, Option<usize>) {
        let mut hints = Hints::default();
        let mut properties = None;
        for (key, value) in self.fields(object) {
            match (key, self.nodes[value]) {
                ("properties", _) => properties = Some(value),
                (_, Node::String(text)) => hints.note(key, Some(text)),
                _ => {}
            }
        }
        hints.has_envelope = properties.is_some() && hints.category.is_some();
        (hints, properties.filter(|_| hints.has_envelope))
    }

    /// The object at node `at`, if it is one.
    pub(crate) fn object(&self, at: usize) -> Option<Object> {
        match self.nodes[at] {
            Node::Object { len, .. } => Some(Object { at, len }),
            _ => None,
        }
    }

    /// Calls back with each key of `object` that has a value.
    pub(crate) fn filled_keys(&self, object: Object, call: &mut dyn FnMut(&str)) {
        for (key, value) in self.fields(object) {
            if !matches!(self.nodes[value], Node::Static(StaticNode::Null) | Node::String("")) {
                call(key);
            }
        }
    }

    /// The first text under one of `names`, in their order, for records of which no more is known.
    pub(crate) fn text_of(&self, object: Object, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| {
            self.fields(object).find_map(|(key, value)| match self.nodes[value] {
                Node::String(text) if key == *name => Some(text),
                _ => None,
            })
        })
    }

    /// Adds `row` to `builder`; with the fields of `envelope` if it came in one.
    pub(crate) fn add_row(
        &self,
        row: Object,
        envelope: Option<Object>,
        builder: &mut TableBuilder,
        raw_bytes: u64,
    ) -> Result<(), MissingTime> {
        self.fill_row(row, envelope, builder);
        builder.end_row(raw_bytes)
    }

    /// As [`Document::add_row`], but leaves the row open.
    pub(crate) fn fill_row(&self, row: Object, envelope: Option<Object>, builder: &mut TableBuilder) {
        let table = builder.table().clone();
        let mut halves: Vec<Field<'_>> = Vec::new();
        for (key, value) in self.fields(row) {
            let field = self.field(key, value);
            match builder.slot(table.keys(), key) {
                Some(slot) => {
                    if let Some(column) = slot.column {
                        builder.put(column, &field);
                    }
                    if let (Some(keys), Some(object)) = (&slot.inner, self.object(value)) {
                        self.add_inner(object, keys, builder);
                    }
                }
                None => add_unknown(field, builder, &mut halves),
            }
        }
        join_halves(&halves, table.keys(), builder);
        if let Some(envelope) = envelope {
            self.add_envelope(envelope, builder);
        }
    }

    fn add_inner(&self, object: Object, keys: &Keys, builder: &mut TableBuilder) {
        for (key, value) in self.fields(object) {
            // What has no column of its own is kept within the object, which has.
            let Some(slot) = keys.find(key).map(|at| keys.slot(at)) else { continue };
            if let Some(column) = slot.column {
                builder.put(column, &self.field(key, value));
            }
            if let (Some(keys), Some(object)) = (&slot.inner, self.object(value)) {
                self.add_inner(object, keys, builder);
            }
        }
    }

    fn add_envelope(&self, envelope: Object, builder: &mut TableBuilder) {
        let columns = builder.table().envelope();
        for (key, value) in self.fields(envelope) {
            let field = self.field(key, value);
            match (key, columns, field.value) {
                // The category is the table's name, and these two always say the same.
                ("category" | "properties", ..)
                | ("operationName", _, Value::Text("Publish"))
                | ("Tenant", _, Value::Text("DefaultTenant")) => {}
                (_, _, Value::Null) => {}
                ("tenantId", Some(columns), _) => builder.put_envelope(columns.tenant_id, &field),
                ("time", Some(columns), _) => builder.put_envelope(columns.published_time, &field),
                ("_TimeReceivedBySvc", Some(columns), _) => builder.put_envelope(columns.time_received, &field),
                _ => builder.keep_envelope(&field),
            }
        }
    }

    /// Keys and the nodes of their values.
    pub(crate) fn fields(&self, object: Object) -> impl Iterator<Item = (&'a str, usize)> {
        let nodes = self.nodes;
        let mut next = object.at + 1;
        (0..object.len).map(move |_| {
            let Node::String(key) = nodes[next] else { unreachable!("a tape has a text before each member's value") };
            let value = next + 1;
            next = after(nodes, value);
            (key, value)
        })
    }

    pub(crate) fn field(&self, key: &'a str, value: usize) -> Field<'a> {
        let value = match self.nodes[value] {
            Node::String(text) => Value::Text(text),
            Node::Static(StaticNode::Null) => Value::Null,
            Node::Static(StaticNode::Bool(value)) => Value::Bool(value),
            Node::Static(StaticNode::I64(value)) => Value::Int(value),
            Node::Static(StaticNode::U64(value)) => i64::try_from(value).map_or(Value::Big(value), Value::Int),
            Node::Static(StaticNode::F64(value)) => Value::Float(value),
            Node::Object { .. } | Node::Array { .. } => Value::Nested,
        };
        Field { key, value, written: Written::Json { document: self.text, key: self.position(key) } }
    }

    /// Where in the document a string of the tape begins.
    fn position(&self, text: &str) -> usize {
        (text.as_ptr() as usize).wrapping_sub(self.address)
    }
}

impl<'a> Document<'a> {
    /// The base of views into a chunk that lies `before` bytes before this document's copy.
    pub(crate) fn chunk_base(address: usize, before: usize) -> ChunkBase {
        ChunkBase(address - before)
    }
}

/// The node behind the value at node `at`.
fn after(nodes: &[Node<'_>], at: usize) -> usize {
    match nodes[at] {
        Node::Object { count, .. } | Node::Array { count, .. } => at + 1 + count,
        Node::String(_) | Node::Static(_) => at + 1,
    }
}

/// Handles a field that has no column: unknown, unless it is one half of a column that a union has split by type
/// (`ReportId_long`, `ReportId_string`), which waits in `halves` for the rest of the row.
pub(crate) fn add_unknown<'a>(field: Field<'a>, builder: &mut TableBuilder, halves: &mut Vec<Field<'a>>) {
    if field.key == crate::schema::UNKNOWN_COLUMNS {
        builder.keep_unknown_members(&field);
    } else if whole_name(field.key).is_some() {
        halves.push(field);
    } else if !(field.key.starts_with(PLUMBING) || names_the_table(&field, builder)) {
        builder.keep_unknown(&field);
    }
}

/// Whether the field says no more than which table the row is in.
fn names_the_table(field: &Field<'_>, builder: &TableBuilder) -> bool {
    NAMING_KEYS.contains(&field.key) && matches!(field.value, Value::Text(text) if *text == **builder.table().name())
}

/// Puts each half that has a value into the column of its whole name, if the row has none there yet.
pub(crate) fn join_halves(halves: &[Field<'_>], keys: &Keys, builder: &mut TableBuilder) {
    for field in halves {
        let column = whole_name(field.key).and_then(|name| keys.find(name)).and_then(|at| keys.slot(at).column);
        match (column, field.value) {
            (Some(_), Value::Null | Value::Text("")) => {}
            (Some(column), _) if !builder.is_set(column) => builder.put(column, field),
            _ => builder.keep_unknown(field),
        }
    }
}

fn whole_name(key: &str) -> Option<&str> {
    let (name, ty) = key.rsplit_once('_')?;
    matches!(ty, "string" | "long" | "int" | "real" | "bool" | "boolean" | "datetime" | "dynamic" | "guid")
        .then_some(name)
}
