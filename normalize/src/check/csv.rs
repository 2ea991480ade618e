//! Records of a CSV text (RFC 4180, <https://www.rfc-editor.org/rfc/rfc4180>).

/// A quoted field that never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: a quoted field starts here and never ends; close the quote, or double it if it is text")]
pub struct OpenQuote {
    /// The line, from 1.
    pub line: u64,
}

/// The records of `text`, each with the line (from 1) that it starts in. Quoted fields may hold commas, line ends and
/// doubled quotes; blank lines are no records; a byte-order mark is not part of the first field.
///
/// # Errors
///
/// A quoted field that never ends.
pub fn records(text: &str) -> Result<Vec<(u64, Vec<String>)>, OpenQuote> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Vec::new();
    let mut record: Vec<String> = Vec::new();
    let mut field = String::new();
    let (mut line, mut record_line) = (1, 1);
    let mut opened_at = None;
    let mut was_quoted = false;
    let mut chars = text.chars().peekable();
    loop {
        let c = chars.next();
        match (c, opened_at) {
            (Some('"'), Some(_)) => match chars.peek() {
                Some('"') => {
                    chars.next();
                    field.push('"');
                }
                _ => opened_at = None,
            },
            (Some(c), Some(_)) => {
                line += u64::from(c == '\n');
                field.push(c);
            }
            (None, Some(line)) => return Err(OpenQuote { line }),
            (Some('"'), None) if field.is_empty() => {
                opened_at = Some(line);
                was_quoted = true;
            }
            (Some(','), None) => record.push(std::mem::take(&mut field)),
            (Some('\r'), None) if chars.peek() == Some(&'\n') => {}
            (Some('\n') | None, None) => {
                if !record.is_empty() || !field.is_empty() || was_quoted {
                    record.push(std::mem::take(&mut field));
                    records.push((record_line, std::mem::take(&mut record)));
                }
                was_quoted = false;
                line += 1;
                record_line = line;
                if c.is_none() {
                    return Ok(records);
                }
            }
            (Some(c), None) => field.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_line_ends_and_quotes() {
        let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n,\n\"\"\n";
        let rows = records(text).expect("every quote is closed");
        let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 5, 6]);
        assert_eq!(rows[1].1, ["1", "x, \"y\"\nz"]);
        assert_eq!((rows[2].1.len(), rows[3].1.len()), (2, 1));
        assert_eq!(records("a\n\"b\nc"), Err(OpenQuote { line: 2 }));
    }
}
