//! String literals: `"…"` and `'…'` with escapes, `@"…"` without, fences over several lines, and `h` before any of them.

/// Reads a string literal at the start of `text`: its value and its length. `None` if there is none; `Err` says why one that
/// begins there is none.
pub(super) fn string(text: &str) -> Option<Result<(String, usize), String>> {
    let prefix = match text.as_bytes() {
        [b'h' | b'H', b'"' | b'\'' | b'@', ..] => 1,
        _ => 0,
    };
    let body = &text[prefix..];
    for fence in ["```", "~~~"] {
        if let Some(inner) = body.strip_prefix(fence) {
            return Some(match inner.find(fence) {
                Some(end) => Ok((inner[..end].to_owned(), prefix + end + 6)),
                None => Err(format!("the text is never closed: expected {fence}")),
            });
        }
    }
    let (verbatim, body, prefix) = match body.strip_prefix('@') {
        Some(rest) if rest.starts_with(['"', '\'']) => (true, rest, prefix + 1),
        Some(_) => return None,
        None => (false, body, prefix),
    };
    let quote = body.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let result = if verbatim { verbatim_string(&body[1..], quote) } else { escaped_string(&body[1..], quote) };
    Some(result.map(|(value, length)| (value, prefix + 1 + length)))
}

fn verbatim_string(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find(quote).ok_or_else(|| format!("the text is never closed: expected {quote}"))?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return Ok((value, text.len() - rest.len())),
        }
    }
}

fn escaped_string(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((position, c)) = chars.next() {
        match c {
            _ if c == quote => return Ok((value, position + 1)),
            '\n' => break,
            '\\' => {
                let Some((start, escape)) = chars.next() else { break };
                let (decoded, extra) = match escape {
                    'n' => ('\n', 0),
                    't' => ('\t', 0),
                    'r' => ('\r', 0),
                    'a' => ('\u{7}', 0),
                    'b' => ('\u{8}', 0),
                    'f' => ('\u{c}', 0),
                    'v' => ('\u{b}', 0),
                    '\\' | '"' | '\'' => (escape, 0),
                    'x' => (code_point(text, start + 1, 2, 16)?, 2),
                    'u' => (code_point(text, start + 1, 4, 16)?, 4),
                    'U' => (code_point(text, start + 1, 8, 16)?, 8),
                    '0'..='7' => {
                        let length = text[start..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                        (code_point(text, start, length, 8)?, length - 1)
                    }
                    other => return Err(format!("`\\{other}` is no escape; write `\\\\` for a backslash, or @\"…\"")),
                };
                value.push(decoded);
                for _ in 0..extra {
                    chars.next();
                }
            }
            c => value.push(c),
        }
    }
    Err(format!("the text is never closed: expected {quote} on the same line"))
}

fn code_point(text: &str, start: usize, length: usize, radix: u32) -> Result<char, String> {
    text.get(start..start + length)
        .and_then(|digits| u32::from_str_radix(digits, radix).ok())
        .and_then(char::from_u32)
        .ok_or_else(|| "the escape names no character".to_owned())
}
