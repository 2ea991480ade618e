//! Finding the end of a JSON value without building it. Malformed text gives `None`; nothing recurses.

/// The position behind the value that starts at or after `position`.
pub(crate) fn skip_value(bytes: &[u8], position: usize) -> Option<usize> {
    let start = skip_blanks(bytes, position);
    match bytes.get(start)? {
        b'"' => skip_string(bytes, start),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut position = start;
            loop {
                match bytes.get(position)? {
                    b'"' => {
                        position = skip_string(bytes, position)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(position + 1);
                        }
                    }
                    _ => {}
                }
                position += 1;
            }
        }
        b',' | b':' | b'}' | b']' => None,
        _ => {
            let length = bytes[start..]
                .iter()
                .take_while(|b| !matches!(b, b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t'))
                .count();
            Some(start + length)
        }
    }
}

/// The position behind the string whose opening quote stands at `position`.
#[inline]
pub(crate) fn skip_string(bytes: &[u8], position: usize) -> Option<usize> {
    string_end(bytes, position).map(|(end, _)| end)
}

/// As [`skip_string`], and whether the string has escapes.
#[inline]
pub(crate) fn string_end(bytes: &[u8], position: usize) -> Option<(usize, bool)> {
    let mut position = position + 1;
    let mut escaped = false;
    loop {
        position = quote_or_backslash(bytes, position)?;
        if bytes[position] == b'"' {
            return Some((position + 1, escaped));
        }
        escaped = true;
        position += 2;
    }
}

/// The next `"` or `\`. Most strings are short, so eight bytes at a time in line beat a call; long ones are left to
/// memchr.
#[inline]
fn quote_or_backslash(bytes: &[u8], mut position: usize) -> Option<usize> {
    for _ in 0..IN_LINE_WORDS {
        let Some(word) = bytes.get(position..).and_then(|rest| rest.first_chunk::<8>()) else { break };
        let word = u64::from_le_bytes(*word);
        let hits = zeros(word ^ repeat(b'"')) | zeros(word ^ repeat(b'\\'));
        if hits != 0 {
            return Some(position + hits.trailing_zeros() as usize / 8);
        }
        position += 8;
    }
    Some(position + memchr::memchr2(b'"', b'\\', bytes.get(position..)?)?)
}

/// Whether a text needs escapes as a JSON string: control characters, `"` and `\`. Eight bytes at a time; most texts
/// need none, so all of them are looked at.
#[inline]
pub(super) fn needs_escape(bytes: &[u8]) -> bool {
    let special = |word: [u8; 8]| {
        let word = u64::from_le_bytes(word);
        let control = word.wrapping_sub(repeat(0x20)) & !word & HIGH_BITS;
        control | zeros(word ^ repeat(b'"')) | zeros(word ^ repeat(b'\\'))
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | special(*word));
    let last = match bytes.last_chunk::<8>() {
        _ if rest.is_empty() => 0,
        Some(last) => special(*last),
        None => {
            let mut padded = [b' '; 8];
            padded[..rest.len()].copy_from_slice(rest);
            special(padded)
        }
    };
    found | last != 0
}

#[inline]
const fn repeat(byte: u8) -> u64 {
    byte as u64 * LOW_BITS
}

/// High bit of each byte that is zero (and of bytes above the first one, which do not matter).
#[inline]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;
const IN_LINE_WORDS: usize = 6;

#[inline]
pub(crate) fn skip_blanks(bytes: &[u8], mut position: usize) -> usize {
    while matches!(bytes.get(position), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        position += 1;
    }
    position
}

/// Calls `visit(key token with quotes, value)` for each member of the object `text`; `None` if it is none or breaks
/// off.
pub(crate) fn members<'a>(text: &'a str, mut visit: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let bytes = text.as_bytes();
    let mut position = skip_blanks(bytes, 0);
    if bytes.get(position) != Some(&b'{') {
        return None;
    }
    position = skip_blanks(bytes, position + 1);
    if bytes.get(position) == Some(&b'}') {
        return Some(());
    }
    loop {
        let key_start = skip_blanks(bytes, position);
        if bytes.get(key_start) != Some(&b'"') {
            return None;
        }
        let key_end = skip_string(bytes, key_start)?;
        let colon = skip_blanks(bytes, key_end);
        if bytes.get(colon) != Some(&b':') {
            return None;
        }
        let start = skip_blanks(bytes, colon + 1);
        let end = skip_value(bytes, start)?;
        visit(text.get(key_start..key_end)?, text.get(start..end)?);
        position = skip_blanks(bytes, end);
        match bytes.get(position)? {
            b',' => position += 1,
            b'}' => return Some(()),
            _ => return None,
        }
    }
}

/// Calls `visit(element)` for each element of the array `text`; `None` if it is none or breaks off.
pub(crate) fn elements<'a>(text: &'a str, mut visit: impl FnMut(&'a str)) -> Option<()> {
    let bytes = text.as_bytes();
    let mut position = skip_blanks(bytes, 0);
    if bytes.get(position) != Some(&b'[') {
        return None;
    }
    position = skip_blanks(bytes, position + 1);
    if bytes.get(position) == Some(&b']') {
        return Some(());
    }
    loop {
        let start = skip_blanks(bytes, position);
        let end = skip_value(bytes, start)?;
        visit(text.get(start..end)?);
        position = skip_blanks(bytes, end);
        match bytes.get(position)? {
            b',' => position += 1,
            b']' => return Some(()),
            _ => return None,
        }
    }
}
