//! JSON as text: where values end, whether text is JSON, and the same text without blanks.
//!
//! simd-json tells what a document holds, but not where in the text its parts stand. These functions do, without
//! changing a byte of what they find, so that numbers keep their digits and refused records keep their bytes.

use std::ops::Range;

use memchr::memchr2;
use serde::{Deserialize, Serialize};

/// Deepest nesting that is read. KQL's dynamic values and JSON readers behind us stop at about as many levels.
pub(crate) const MAX_DEPTH: usize = 100;

/// Finds the end of an object, array or string that arrives in pieces.
///
/// It looks at brackets, quotes and escapes alone: enough to find the end of valid JSON, and to get past most damage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValueScanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl ValueScanner {
    /// Feeds the next piece. The first piece begins with `{`, `[` or `"`. Returns how many bytes of this piece belong
    /// to the value once its end is reached.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < piece.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                at += memchr2(b'"', b'\\', &piece[at..])?;
                if piece[at] == b'\\' {
                    self.escaped = true;
                } else {
                    self.in_string = false;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                at += 1;
                continue;
            }
            match piece[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Just past the JSON value that starts at `start`; `None` if the text ends before it does.
pub(crate) fn value_end(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b'{' | b'[' | b'"' => ValueScanner::default().feed(&text[start..]).map(|length| start + length),
        _ => Some(scalar_end(text, start)),
    }
}

/// Just past the number, literal or junk that starts at `start`: up to a comma, bracket or blank, but at least a byte.
pub(crate) fn scalar_end(text: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    text[start + 1..].iter().position(ends).map_or(text.len(), |length| start + 1 + length)
}

/// The value under a key of a valid document, as written. `key` is the position just behind the key's opening quote.
pub(crate) fn value_of_key(document: &[u8], key: usize) -> &[u8] {
    let mut at = key;
    loop {
        match memchr2(b'"', b'\\', &document[at..]) {
            Some(length) if document[at + length] == b'\\' => at = (at + length + 2).min(document.len()),
            Some(length) => break at += length + 1,
            None => return &[],
        }
    }
    let start = skip_blanks(document, at);
    let start = skip_blanks(document, (start + 1).min(document.len()));
    let end = value_end(document, start).unwrap_or(document.len());
    document.get(start..end).unwrap_or_default()
}

/// The first position at or behind `at` that holds no blank.
pub(crate) fn skip_blanks(text: &[u8], at: usize) -> usize {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + text[at..].iter().take_while(|byte| blank(byte)).count()
}

/// How a document begins, as far as it can be told from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// An array of records: the position behind its `[`.
    Array(usize),
    /// A wrapper `{"records":[` or `{"Records":[`: the position behind its `[`.
    Wrapper(usize),
    /// Anything else.
    Other,
    /// More bytes are needed.
    Unclear,
}

/// Tells how the document at the start of `text` begins. Leading blanks are passed over.
pub(crate) fn opening(text: &[u8]) -> Opening {
    let start = skip_blanks(text, 0);
    match text.get(start) {
        None => return Opening::Unclear,
        Some(b'[') => return Opening::Array(start + 1),
        Some(b'{') => {}
        Some(_) => return Opening::Other,
    }
    let mut at = skip_blanks(text, start + 1);
    for expected in [&b"\""[..], b"Rr", b"e", b"c", b"o", b"r", b"d", b"s", b"\"", b" ", b":", b" ", b"["] {
        if expected == b" " {
            at = skip_blanks(text, at);
            continue;
        }
        match text.get(at) {
            None => return Opening::Unclear,
            Some(byte) if expected.contains(byte) => at += 1,
            Some(_) => return Opening::Other,
        }
    }
    Opening::Wrapper(at)
}

/// The parts of a document that could not be parsed whole, as ranges: the elements of an array or wrapper, or a
/// sequence of values. What is left behind the last part (a cut-off element too) is the last range.
pub(crate) fn parts(document: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut at, in_array) = match opening(document) {
        Opening::Array(at) | Opening::Wrapper(at) => (at, true),
        Opening::Other | Opening::Unclear => (0, false),
    };
    loop {
        at = skip_blanks(document, at);
        match document.get(at) {
            None => return parts,
            Some(b',') if in_array => at += 1,
            Some(b']') if in_array => {
                let rest = skip_blanks(document, at + 1);
                let rest = if document.get(rest) == Some(&b'}') { skip_blanks(document, rest + 1) } else { rest };
                if rest < document.len() {
                    parts.push(rest..document.len());
                }
                return parts;
            }
            Some(_) => {
                let end = value_end(document, at).unwrap_or(document.len());
                parts.push(at..end);
                at = end;
            }
        }
    }
}

/// What [`check`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    /// No blanks stand between the tokens.
    pub(crate) is_compact: bool,
}

/// Whether `text` is exactly one JSON object or array by RFC 8259, no deeper than [`MAX_DEPTH`].
///
/// The text is valid UTF-8 already.
pub(crate) fn check(text: &[u8]) -> Option<Checked> {
    let mut checker = Checker { text, at: 0, is_compact: true };
    if !matches!(checker.peek()?, b'{' | b'[') {
        return None;
    }
    // One bit per level: whether it is an object.
    let mut levels: u128 = 0;
    let mut depth = 0;
    loop {
        let byte = checker.peek()?;
        match byte {
            b'{' | b'[' => {
                if depth == MAX_DEPTH {
                    return None;
                }
                depth += 1;
                levels = levels << 1 | u128::from(byte == b'{');
                checker.at += 1;
                // `}` is `{` + 2, `]` is `[` + 2.
                if checker.peek()? == byte + 2 {
                    checker.at += 1;
                    depth -= 1;
                    levels >>= 1;
                } else {
                    if byte == b'{' {
                        checker.key()?;
                    }
                    continue;
                }
            }
            b'"' => checker.string()?,
            b't' => checker.literal(b"true")?,
            b'f' => checker.literal(b"false")?,
            b'n' => checker.literal(b"null")?,
            _ => checker.number()?,
        }
        loop {
            if depth == 0 {
                checker.blanks();
                return (checker.at == text.len()).then_some(Checked { is_compact: checker.is_compact });
            }
            let in_object = levels & 1 == 1;
            let byte = checker.peek()?;
            checker.at += 1;
            match byte {
                b',' => {
                    if in_object {
                        checker.key()?;
                    }
                    break;
                }
                b'}' if in_object => {}
                b']' if !in_object => {}
                _ => return None,
            }
            depth -= 1;
            levels >>= 1;
        }
    }
}

struct Checker<'a> {
    text: &'a [u8],
    at: usize,
    is_compact: bool,
}

impl Checker<'_> {
    fn blanks(&mut self) {
        let next = skip_blanks(self.text, self.at);
        self.is_compact &= next == self.at;
        self.at = next;
    }

    fn peek(&mut self) -> Option<u8> {
        match *self.text.get(self.at)? {
            b' ' | b'\t' | b'\n' | b'\r' => {
                self.blanks();
                self.text.get(self.at).copied()
            }
            byte => Some(byte),
        }
    }

    fn key(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        self.string()?;
        (self.peek()? == b':').then(|| self.at += 1)
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')?;
            match self.text[self.at] {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => match self.text.get(self.at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                    b'u' => match unicode_escape(&self.text[self.at..])? {
                        // Half of a surrogate pair stands for no character; readers behind us would refuse it.
                        0xd800..0xdc00 => match unicode_escape(self.text.get(self.at + 6..)?)? {
                            0xdc00..0xe000 => self.at += 12,
                            _ => return None,
                        },
                        0xdc00..0xe000 => return None,
                        _ => self.at += 6,
                    },
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn digits(&mut self) -> Option<()> {
        let length = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += length;
        (length > 0).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let byte = |checker: &Self| checker.text.get(checker.at).copied();
        if byte(self) == Some(b'-') {
            self.at += 1;
        }
        if byte(self) == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if byte(self) == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(byte(self), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(byte(self), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }
}

/// The code unit of the `\uXXXX` that `text` begins with.
fn unicode_escape(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// A copy of `document` with `\ufffd` in place of each escape of half a surrogate pair; `None` if it holds none.
///
/// Writers that cut long text by UTF-16 units leave such halves behind. The copy has the same length.
pub(crate) fn without_lone_surrogates(document: &[u8]) -> Option<Vec<u8>> {
    let mut repaired: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', &document[at..]) {
        at += length;
        let Some(unit) = unicode_escape(&document[at..]) else {
            at = (at + 2).min(document.len());
            continue;
        };
        let next = document.get(at + 6..).and_then(unicode_escape);
        match (unit, next) {
            (0xd800..0xdc00, Some(0xdc00..0xe000)) => at += 12,
            (0xd800..0xe000, _) => {
                let copy = repaired.get_or_insert_with(|| document.to_vec());
                copy[at..at + 6].copy_from_slice(b"\\ufffd");
                at += 6;
            }
            _ => at += 6,
        }
    }
    repaired
}

/// Appends valid JSON `text` to `out` without the blanks between its tokens; all else stays byte for byte.
pub(crate) fn compact_into(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                let end = value_end(text, at).unwrap_or(text.len());
                out.extend_from_slice(&text[at..end]);
                at = end;
            }
            _ => {
                let run = text[at..].iter().take_while(|byte| !matches!(byte, b'"' | b' ' | b'\t' | b'\n' | b'\r'));
                let end = at + run.count();
                out.extend_from_slice(&text[at..end]);
                at = end;
            }
        }
    }
}

/// Appends `text` to `out` as a JSON string literal.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_value_of_a_key_is_found_as_written() {
        let text = br#"{"a\"b" : [1.0, {"x":"]"}] , "n":-1e5,"s":"q\"}"}"#;
        let key = |name: &str| text.windows(name.len()).position(|w| w == name.as_bytes()).expect("a key");
        assert_eq!(value_of_key(text, key(r#"a\"b"#)), br#"[1.0, {"x":"]"}]"#);
        assert_eq!(value_of_key(text, key("n\"")), b"-1e5");
        assert_eq!(value_of_key(text, key("s\":")), br#""q\"}""#);
    }

    #[test]
    fn openings_are_told_apart() {
        assert_eq!(opening(b" [ {"), Opening::Array(2));
        assert_eq!(opening(b"{ \"records\" : [ {"), Opening::Wrapper(15));
        assert_eq!(opening(b"{\"Records\":["), Opening::Wrapper(12));
        assert_eq!(opening(b"{\"recor"), Opening::Unclear);
        assert_eq!(opening(b"{\"recordz\":["), Opening::Other);
        assert_eq!(opening(b"{\"records\":{}"), Opening::Other);
        assert_eq!(opening(b"  "), Opening::Unclear);
    }

    #[test]
    fn parts_of_a_broken_document_keep_all_records() {
        let text = br#"{"records":[{"a":1},2,{"b":"]"},{"c":"#;
        let found: Vec<_> = parts(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, [&br#"{"a":1}"#[..], b"2", br#"{"b":"]"}"#, br#"{"c":"#]);
        let text = b"{\"a\":1}\n{\"a\":2}\n";
        assert_eq!(parts(text), [0..7, 8..15]);
        let text = b"[{}] tail";
        assert_eq!(parts(text), [1..3, 5..9]);
    }

    #[test]
    fn only_objects_and_arrays_are_checked_as_json() {
        let compact = |is_compact| Some(Checked { is_compact });
        for text in ["{}", "[]", r#"{"a":[1,-2.5e+7,true,false,null,"\u00e9\n"]}"#, r#"[{},[[]],0]"#] {
            assert_eq!(check(text.as_bytes()), compact(true), "{text}");
        }
        assert_eq!(check(b"{ \"a\" : 1 }"), compact(false));
        for text in
            ["", "1", "\"a\"", "{", "{]", "[1,]", "{\"a\"}", "{\"a\":}", "[01]", "[1.]", "[\"\\x\"]", "{} {}", "[tru]"]
        {
            assert_eq!(check(text.as_bytes()), None, "{text}");
        }
        assert_eq!(check("[".repeat(101).as_bytes()), None);
        let deep = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        assert_eq!(check(deep.as_bytes()), compact(true));
        assert_eq!(check(format!("[{deep}]").as_bytes()), None);
    }

    #[test]
    fn halves_of_surrogate_pairs_are_replaced() {
        let repaired = without_lone_surrogates(br#"["\ud83d\ude00","\ud83d","\ude00x","\\ud83d"]"#).expect("repaired");
        assert_eq!(repaired, br#"["\ud83d\ude00","\ufffd","\ufffdx","\\ud83d"]"#);
        assert_eq!(without_lone_surrogates(br#"["\u00e9"]"#), None);
        assert_eq!(check(br#"["\ud83d"]"#), None);
        assert!(check(br#"["\ud83d\ude00"]"#).is_some());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "\\PC{0,12}".prop_map(Into::into),
            Just("\"\\\n\u{1}".into()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::vec(("\\PC{0,6}", inner), 0..4)
                    .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_is_recognised_and_compacted(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            let compact = serde_json::to_string(&value).expect("JSON");
            let mut out = Vec::new();
            compact_into(pretty.as_bytes(), &mut out);
            prop_assert_eq!(String::from_utf8(out).expect("UTF-8"), compact.clone());
            let is_container = value.is_object() || value.is_array();
            prop_assert_eq!(check(pretty.as_bytes()).is_some(), is_container);
            prop_assert_eq!(check(compact.as_bytes()), is_container.then_some(Checked { is_compact: true }));
            prop_assert_eq!(value_end(compact.as_bytes(), 0), Some(compact.len()));
        }

        #[test]
        fn checking_agrees_with_serde_json(text in r#"[\[\]{}",:0-9eE.\-+ \\utrfalsn]{0,24}"#) {
            let container = text.trim_start().starts_with(['{', '[']);
            let parses = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // serde_json refuses numbers beyond a double and lone surrogates, which are valid by the grammar.
            prop_assert!(check(text.as_bytes()).is_some() || !(parses && container));
        }

        #[test]
        fn strings_are_escaped_as_json(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("a JSON string"), text);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), at in 0_usize..64) {
            let _ = check(&bytes);
            let _ = parts(&bytes);
            let _ = opening(&bytes);
            compact_into(&bytes, &mut Vec::new());
            if at < bytes.len() {
                let _ = value_end(&bytes, at);
                let _ = value_of_key(&bytes, at);
            }
        }
    }
}
