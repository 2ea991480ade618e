//! Tests of whole text columns on their views: a view holds a text's length and its first four bytes, so most rows are
//! decided without a look at the text itself. Null texts count as empty ones.

use arrow::array::{Array, StringViewArray};
use arrow::buffer::BooleanBuffer;

use crate::text::same_ignoring_case;

/// Longest text that a view holds itself; no buffer has its bytes.
pub(super) const INLINE_BYTES: usize = 12;

/// Length in bytes of the text of a view.
#[inline]
pub(super) fn length(view: u128) -> usize {
    view as u32 as usize
}

/// The first four bytes of the text of a view, zeros behind a shorter one.
#[inline]
fn head(view: u128) -> u32 {
    (view >> 32) as u32
}

/// Which rows hold the empty text.
pub(super) fn empty(array: &StringViewArray) -> BooleanBuffer {
    decide(array, true, |_, view| length(view) == 0)
}

/// Asks `row` of each row that is not null; `at_null` is the answer elsewhere.
pub(super) fn decide(
    array: &StringViewArray,
    at_null: bool,
    mut row: impl FnMut(usize, u128) -> bool,
) -> BooleanBuffer {
    let views = array.views();
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => BooleanBuffer::collect_bool(views.len(), |number| {
            if nulls.is_null(number) { at_null } else { row(number, views[number]) }
        }),
        _ => BooleanBuffer::collect_bool(views.len(), |number| row(number, views[number])),
    }
}

/// The text of a row.
fn text(array: &StringViewArray, row: usize) -> &str {
    if array.is_null(row) { "" } else { array.value(row) }
}

/// Which rows of two columns hold equal texts.
pub(super) fn equal(a: &StringViewArray, b: &StringViewArray) -> BooleanBuffer {
    let others = b.views();
    if a.null_count() + b.null_count() > 0 {
        return BooleanBuffer::collect_bool(a.len(), |row| text(a, row) == text(b, row));
    }
    decide(a, false, |row, view| {
        let other = others[row];
        // The low half has the length and the head.
        view as u64 == other as u64
            && if length(view) <= INLINE_BYTES { view == other } else { a.value(row) == b.value(row) }
    })
}

/// A constant ASCII text to find at the start of others.
pub(super) struct AsciiNeedle<'a> {
    text: &'a str,
    /// The first four bytes; letters with the bit that makes them lower, where case is ignored.
    head: u32,
    /// That bit, where the text has letters and case is ignored.
    fold: u32,
    /// The bytes of `head` that the text has.
    mask: u32,
    /// What a byte above ASCII has, within `mask`.
    high: u32,
    /// The same four for the first sixteen bytes.
    long: [u128; 4],
}

impl<'a> AsciiNeedle<'a> {
    /// `None` if the text is not ASCII.
    pub(super) fn new(text: &'a str, ignore_case: bool) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (mut bytes, mut fold, mut mask) = ([0; 16], [0; 16], [0; 16]);
        for (place, byte) in text.bytes().take(16).enumerate() {
            fold[place] = if ignore_case && byte.is_ascii_alphabetic() { 0x20 } else { 0 };
            bytes[place] = byte | fold[place];
            mask[place] = 0xff;
        }
        let [bytes, fold, mask] = [bytes, fold, mask].map(u128::from_le_bytes);
        let high = mask & u128::from_le_bytes([0x80; 16]);
        let long = [bytes, fold, mask, high];
        // The low quarters.
        let [head, fold, mask, high] = long.map(|word| word as u32);
        Some(Self { text, head, fold, mask, high, long })
    }

    /// What the view tells of whether its text starts with this one; `None` if only the text can tell. Right for case
    /// by Unicode too: a text that starts with other ASCII bytes does not start with this one in lower case either, and
    /// no text is shorter than an ASCII text that it equals but for case.
    #[inline]
    pub(super) fn starts(&self, view: u128) -> Option<bool> {
        if length(view) < self.text.len() {
            return Some(false);
        }
        let head = head(view);
        if (head | self.fold) & self.mask == self.head {
            return (self.text.len() <= 4).then_some(true);
        }
        (head & self.high == 0).then_some(false)
    }

    /// Whether the text of `row` starts with this one; `otherwise` tells what the first bytes do not.
    #[inline]
    pub(super) fn starts_in(
        &self,
        array: &StringViewArray,
        row: usize,
        view: u128,
        otherwise: impl FnOnce(&str) -> bool,
    ) -> bool {
        if let Some(answer) = self.starts(view) {
            return answer;
        }
        let text = array.value(row);
        self.starts_text(text).unwrap_or_else(|| otherwise(text))
    }

    /// As [`AsciiNeedle::starts`], told by the first sixteen bytes.
    #[inline]
    fn starts_text(&self, text: &str) -> Option<bool> {
        let first = match text.as_bytes().first_chunk::<16>() {
            Some(first) => *first,
            None => {
                let mut padded = [0; 16];
                padded[..text.len()].copy_from_slice(text.as_bytes());
                padded
            }
        };
        let (first, [bytes, fold, mask, high]) = (u128::from_le_bytes(first), self.long);
        if (first | fold) & mask == bytes {
            return (self.text.len() <= 16).then_some(true);
        }
        (first & high == 0).then_some(false)
    }

    /// What the view tells of whether its text equals this one but for case.
    #[inline]
    fn equals(&self, view: u128) -> Option<bool> {
        match self.starts(view) {
            Some(true) if length(view) == self.text.len() => Some(true),
            Some(false) => Some(false),
            _ => None,
        }
    }
}

/// Which rows hold a text of `items`.
pub(super) fn among(array: &StringViewArray, items: &[AsciiNeedle<'_>]) -> BooleanBuffer {
    let at_null = items.iter().any(|item| item.text.is_empty());
    decide(array, at_null, |row, view| {
        items.iter().any(|item| {
            length(view) == item.text.len() && item.starts(view).unwrap_or_else(|| array.value(row) == item.text)
        })
    })
}

/// Which rows hold a text of `items` but for case; they are ASCII.
pub(super) fn among_ignoring_case(array: &StringViewArray, items: &[AsciiNeedle<'_>]) -> BooleanBuffer {
    let at_null = items.iter().any(|item| item.text.is_empty());
    decide(array, at_null, |row, view| {
        items.iter().any(|item| match item.equals(view) {
            Some(answer) => answer,
            None => {
                let text = array.value(row);
                match item.starts_text(text) {
                    Some(true) if text.len() == item.text.len() => true,
                    Some(false) => false,
                    _ => same_ignoring_case(text, item.text),
                }
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts() -> impl Strategy<Value = Option<String>> {
        let text = prop_oneof!["[aAbBkK@ ]{0,3}", "[aAbBk\u{212a}é]{0,7}", "[abAB]{10,16}"];
        proptest::option::weighted(0.8, text)
    }

    proptest! {
        #[test]
        fn views_tell_what_the_texts_tell(
            rows in prop::collection::vec((texts(), texts()), 0..40),
            needle in "[aAbBkK@]{0,6}",
        ) {
            let (a, b): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            let (first, second): (StringViewArray, StringViewArray) = (a.iter().collect(), b.iter().collect());
            let text = |row: usize| a[row].as_deref().unwrap_or("");
            let other = |row: usize| b[row].as_deref().unwrap_or("");
            let expected = |test: &dyn Fn(usize) -> bool| BooleanBuffer::collect_bool(a.len(), test);
            prop_assert_eq!(empty(&first), expected(&|row| text(row).is_empty()));
            prop_assert_eq!(equal(&first, &second), expected(&|row| text(row) == other(row)));
            let items = [AsciiNeedle::new(&needle, true).expect("ASCII")];
            prop_assert_eq!(
                among_ignoring_case(&first, &items),
                expected(&|row| same_ignoring_case(text(row), &needle))
            );
            let exact = AsciiNeedle::new(&needle, false).expect("ASCII");
            for (row, view) in first.views().iter().enumerate().filter(|(row, _)| first.is_valid(*row)) {
                if let Some(answer) = exact.starts(*view) {
                    prop_assert_eq!(answer, text(row).starts_with(&needle));
                }
                if let Some(answer) = items[0].starts(*view) {
                    let head: String = text(row).chars().take(needle.len()).collect();
                    prop_assert_eq!(answer, same_ignoring_case(&head, &needle));
                }
            }
        }
    }
}
