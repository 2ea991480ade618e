//! Writes one record as JSON, straight into the output's bytes.
//!
//! Most of a record is text that repeats from event to event. It is escaped once, when the organisation is made, and
//! kept as [`JsonText`]; a record is then little more than copies of memory.

use std::sync::Arc;

use super::clock::push_time;

/// Text that is already escaped for a JSON string, without its quotes; a clone shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonText(Arc<str>);

impl JsonText {
    /// Escapes `text`.
    pub(crate) fn new(text: &str) -> Self {
        let mut escaped = Vec::with_capacity(text.len() + 8);
        push_escaped(&mut escaped, text.as_bytes());
        Self(String::from_utf8(escaped).expect("escaping keeps UTF-8").into())
    }

    /// The escaped text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One JSON object under construction. Keys are written in call order.
pub(crate) struct Row<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Row<'a> {
    /// Opens an object at the end of `out`.
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Closes the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes the key and gives the output, to which the caller appends one JSON value.
    pub(crate) fn value(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// An escaped string, or null.
    pub(crate) fn text(&mut self, key: &str, text: Option<&JsonText>) {
        match text {
            Some(text) => self.plain(key, text.as_str()),
            None => self.null(key),
        }
    }

    /// A string that needs no escaping.
    pub(crate) fn plain(&mut self, key: &str, text: &str) {
        let out = self.value(key);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }

    /// A string that is escaped here.
    pub(crate) fn escaped(&mut self, key: &str, text: &str) {
        let out = self.value(key);
        out.push(b'"');
        push_escaped(out, text.as_bytes());
        out.push(b'"');
    }

    /// A string that is escaped here, or null.
    pub(crate) fn escaped_or_null(&mut self, key: &str, text: Option<&str>) {
        match text {
            Some(text) => self.escaped(key, text),
            None => self.null(key),
        }
    }

    /// A number.
    pub(crate) fn number(&mut self, key: &str, number: i64) {
        push_number(self.value(key), number);
    }

    /// A number in a string, as the unique ids of processes are.
    pub(crate) fn number_text(&mut self, key: &str, number: i64) {
        let out = self.value(key);
        out.push(b'"');
        push_number(out, number);
        out.push(b'"');
    }

    /// `true` or `false`.
    pub(crate) fn bool(&mut self, key: &str, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.value(key).extend_from_slice(text);
    }

    /// `null`.
    pub(crate) fn null(&mut self, key: &str) {
        self.value(key).extend_from_slice(b"null");
    }

    /// `null` for each key.
    pub(crate) fn nulls(&mut self, keys: &[&str]) {
        for key in keys {
            self.null(key);
        }
    }

    /// A time with `Z`, zeros at the end of its fraction left out.
    pub(crate) fn time(&mut self, key: &str, ticks: i64) {
        let out = self.value(key);
        out.push(b'"');
        push_time(out, ticks, true);
        out.extend_from_slice(b"Z\"");
    }

    /// Ready JSON.
    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.value(key).extend_from_slice(json.as_bytes());
    }
}

/// Appends `text`, escaped for a JSON string (RFC 8259, section 7); what is not ASCII stays as it is.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut copied = 0;
    for (position, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[copied..position]);
        copied = position + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text[copied..]);
}

fn push_number(out: &mut Vec<u8>, number: i64) {
    let mut text = [0; 20];
    let mut start = text.len();
    let mut left = number.unsigned_abs();
    loop {
        start -= 1;
        text[start] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        text[start] = b'-';
    }
    out.extend_from_slice(&text[start..]);
}
