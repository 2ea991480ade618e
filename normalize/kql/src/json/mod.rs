//! JSON as text: what a `dynamic` column holds. Values are slices of the text; nothing is parsed into a tree.

mod path;
mod scan;

use std::borrow::Cow;

pub(crate) use path::{PathTree, Segment};
pub(crate) use scan::{elements, members};

/// Whether `text` is one JSON value (nesting up to serde_json's limit of 128).
pub(crate) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Appends `text` as a JSON string with its quotes.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    if !scan::needs_escape(text.as_bytes()) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut start = 0;
    for (position, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            8 => "\\b",
            12 => "\\f",
            0..=31 => "",
            _ => continue,
        };
        out.push_str(&text[start..position]);
        if escape.is_empty() {
            use std::fmt::Write;
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        start = position + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

/// The text of a JSON string token; `token` unchanged if it is none. Lone surrogates become U+FFFD.
pub(crate) fn unquote(token: &str) -> Cow<'_, str> {
    let Some(inner) = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(token);
    };
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    unescape(inner, &mut text);
    Cow::Owned(text)
}

/// Appends what stands between the quotes of a JSON string token.
fn unescape(inner: &str, text: &mut String) {
    let mut rest = inner;
    while let Some(position) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..position]);
        // The two escapes that most texts have.
        if let Some(escaped @ (b'"' | b'\\')) = rest.as_bytes().get(position + 1) {
            text.push(char::from(*escaped));
            rest = &rest[position + 2..];
            continue;
        }
        let escape = rest[position + 1..].chars().next();
        rest = &rest[position + 1 + escape.map_or(0, char::len_utf8)..];
        match escape {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let (c, length) = unicode_escape(rest);
                text.push(c);
                rest = &rest[length..];
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    text.push_str(rest);
}

/// Decodes what follows `\u`: the character and the bytes read.
fn unicode_escape(text: &str) -> (char, usize) {
    let unit = |text: &str| text.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(high) = unit(text) else { return (char::REPLACEMENT_CHARACTER, 0) };
    if (0xd800..0xdc00).contains(&high)
        && let Some(low) = text.get(4..).and_then(|rest| rest.strip_prefix("\\u")).and_then(unit)
        && (0xdc00..0xe000).contains(&low)
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

/// `text` without blanks between its tokens.
pub(crate) fn compact(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    let mut copied = 0;
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'"' => position = scan::skip_string(bytes, position).unwrap_or(bytes.len()),
            b' ' | b'\n' | b'\r' | b'\t' => {
                out.get_or_insert_with(|| String::with_capacity(text.len())).push_str(&text[copied..position]);
                while position < bytes.len() && matches!(bytes[position], b' ' | b'\n' | b'\r' | b'\t') {
                    position += 1;
                }
                copied = position;
            }
            _ => position += 1,
        }
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
    }
}

/// Whether a packed value counts as nothing: null, an empty text, array or object.
pub(crate) fn is_empty(text: &str) -> bool {
    let text = text.trim_ascii();
    match text.as_bytes() {
        [] => true,
        b"null" | b"\"\"" | b"{}" | b"[]" => true,
        [open @ (b'{' | b'['), inner @ .., close @ (b'}' | b']')] => {
            (*open == b'{') == (*close == b'}') && inner.iter().all(u8::is_ascii_whitespace)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_string_reads_back(text in "\\PC{0,40}[\\x00-\\x1f\"\\\\]{0,4}") {
            let mut out = String::new();
            write_string(&mut out, &text);
            prop_assert!(is_valid(&out));
            prop_assert_eq!(unquote(&out).into_owned(), text);
        }

        #[test]
        fn no_text_makes_the_scanners_panic(text in "[\\[\\]{}:,\"\\\\a1 é]{0,40}") {
            let _ = compact(&text);
            let _ = unquote(&text);
            let _ = scan::skip_value(text.as_bytes(), 0);
            let _ = members(&text, |_, _| {});
            let _ = elements(&text, |_| {});
        }
    }

    #[test]
    fn surrogate_pairs_become_one_character() {
        assert_eq!(unquote(r#""\ud83d\ude00\u00e9\ud800""#), "😀é\u{fffd}");
    }

    #[test]
    fn compact_keeps_blanks_inside_texts() {
        assert_eq!(compact("{ \"a b\" : [ 1 , 2 ] }"), "{\"a b\":[1,2]}");
    }
}
