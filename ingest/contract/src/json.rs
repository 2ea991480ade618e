//! Where values stand in a JSON text: so that an error in one can name its line.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

/// The bytes of the value at a JSON pointer (RFC 6901) as they stand in `text`, a string with its quotes. Of a member given
/// twice, the last one, as serde_json reads it. `None`: the text is no JSON, or has no such value.
pub fn locate(text: &str, pointer: &str) -> Option<Range<usize>> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    for step in pointer.split('/').skip(1) {
        value = if value.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            *items.get(step.parse::<usize>().ok()?)?
        } else {
            let members: HashMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
            *members.get(&step.replace("~1", "/").replace("~0", "~"))?
        };
    }
    // A raw value borrows from the text.
    let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
    Some(start..start + value.get().len())
}

/// The line, from 1, of a byte of a text.
pub fn line_at(text: &str, position: usize) -> usize {
    text.as_bytes()[..position.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where byte `position` of the text that the JSON string `token` (with its quotes) stands for is written: a byte of the
/// token; inside of an escape, its first.
pub fn position_in_string(token: &str, position: usize) -> usize {
    let bytes = token.as_bytes();
    let (mut at, mut read) = (1, 0);
    while read < position && at + 1 < bytes.len() {
        let (written, width) = match (bytes[at], bytes[at + 1]) {
            (b'\\', b'u') => match token.get(at + 2..at + 6).and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
                // The first half of a pair, whose second half is another escape.
                Some(0xd800..0xdc00) => (12, 4),
                code => (6, code.and_then(char::from_u32).map_or(3, char::len_utf8)),
            },
            (b'\\', _) => (2, 1),
            // The bytes of a longer character one by one.
            _ => (1, 1),
        };
        if read + width > position {
            break;
        }
        at += written;
        read += width;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_found_by_its_pointer() {
        let text = "\n{\"a/b\": [1, {\"~\": \"x\\ny\"}], \"c\": 1,\n \"c\": {}}";
        let at = |pointer: &str| locate(text, pointer).map(|bytes| &text[bytes]);
        assert_eq!(at("/a~1b/1/~0"), Some("\"x\\ny\""));
        assert_eq!(at("/a~1b/0"), Some("1"));
        assert_eq!(at("/c"), Some("{}"));
        assert_eq!(locate(text, "/c").map(|bytes| line_at(text, bytes.start)), Some(3));
        assert_eq!(at("").map(str::len), Some(text.len() - 1));
        assert_eq!((at("/d"), at("/a~1b/2"), at("/c/d"), at("/a~1b/0/x")), (None, None, None, None));
        assert_eq!(locate("{", "/a"), None);
    }

    proptest! {
        #[test]
        fn every_character_is_found_where_it_is_written(text in "(?s:.{0,20})", escape in any::<bool>()) {
            let token = match escape {
                // As strict an escaping as JSON allows.
                true => {
                    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                    format!("\"{}\"", units.collect::<String>())
                }
                false => serde_json::to_string(&text).expect("a text"),
            };
            for (position, character) in text.char_indices() {
                let from = position_in_string(&token, position);
                let to = position_in_string(&token, position + character.len_utf8());
                let written: String = serde_json::from_str(&format!("\"{}\"", &token[from..to])).expect("a string");
                prop_assert_eq!(written, character.to_string());
            }
            prop_assert_eq!(position_in_string(&token, text.len()), token.len() - 1);
        }
    }
}
