//! CSV rows (RFC 4180): cells are unquoted in place, so that they become views as JSON strings do.
//!
//! A payload begins with its header line. Two exports are known: the hunting portal's (column names as they are), and
//! Log Analytics' (times named `Timestamp [UTC]` or `[Local Time]`, a `Type` column).

use std::ops::Range;

use crate::decode::route::Hints;
use crate::decode::values::zone_offset_us;
use crate::json_text::write_string;

/// The header of a payload.
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// The columns, in order.
    pub(crate) columns: Vec<HeaderColumn>,
}

/// One column of a header.
#[derive(Debug)]
pub(crate) struct HeaderColumn {
    /// The name, without a time zone behind it.
    pub(crate) name: Box<str>,
    /// What to subtract from a time of the column to get UTC, in microseconds.
    pub(crate) offset_us: i64,
}

/// A row's place in the payload and its cells, all as positions in the payload.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// The row with its quotes, without its line end.
    pub(crate) span: Range<usize>,
    /// The cells, unquoted.
    pub(crate) cells: Vec<Range<usize>>,
    /// Whether a quoted cell never ends.
    pub(crate) is_open: bool,
}

impl Row {
    /// Reads the row at `start`, which must lie within `text`, and unquotes its cells in place. Returns where the next
    /// row starts.
    pub(crate) fn read(&mut self, text: &mut [u8], start: usize) -> usize {
        self.cells.clear();
        self.is_open = false;
        let mut at = start;
        loop {
            let (cell, end) = self.read_cell(text, at);
            self.cells.push(cell);
            match text.get(end) {
                Some(b',') => at = end + 1,
                Some(b'\r') => {
                    self.span = start..end;
                    return end + 2;
                }
                Some(_) => {
                    self.span = start..end;
                    return end + 1;
                }
                None => {
                    self.span = start..end;
                    return end;
                }
            }
        }
    }

    /// Whether the line is blank.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(&*self.cells, [cell] if cell.is_empty()) && self.span.is_empty()
    }

    /// A cell and the position behind it: of a comma, a line end, or the end of the text.
    fn read_cell(&mut self, text: &mut [u8], start: usize) -> (Range<usize>, usize) {
        if text.get(start) != Some(&b'"') {
            let end = plain_end(text, start);
            return (start..end, end);
        }
        let (mut from, mut to) = (start + 1, start);
        loop {
            match (text.get(from), text.get(from + 1)) {
                (Some(b'"'), Some(b'"')) => {
                    text[to] = b'"';
                    from += 2;
                }
                (Some(b'"'), _) => break,
                (Some(byte), _) => {
                    text[to] = *byte;
                    from += 1;
                }
                (None, _) => {
                    self.is_open = true;
                    return (start..to, from);
                }
            }
            to += 1;
        }
        // Whatever stands behind the closing quote belongs to the cell too.
        let end = plain_end(text, from + 1);
        let tail = from + 1..end;
        let length = tail.len();
        text.copy_within(tail, to);
        (start..to + length, end)
    }
}

fn plain_end(text: &[u8], start: usize) -> usize {
    let mut end = start;
    while let Some(byte) = text.get(end) {
        let ends = match byte {
            b',' | b'\n' => true,
            b'\r' => text.get(end + 1) == Some(&b'\n'),
            _ => false,
        };
        if ends {
            break;
        }
        end += 1;
    }
    end
}

impl Header {
    /// The header whose cells are `names`.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let column = |name: &str| {
            let name = name.trim();
            match name.strip_suffix(']').and_then(|name| name.rsplit_once(" [")) {
                Some((name, zone)) if zone.starts_with("UTC") || zone == "Local Time" => {
                    HeaderColumn { name: name.into(), offset_us: zone_offset_us(zone) }
                }
                _ => HeaderColumn { name: name.into(), offset_us: 0 },
            }
        };
        Self { columns: names.map(column).collect() }
    }

    /// What a row shows of its table.
    pub(crate) fn hints<'a>(&self, cells: &[&'a str]) -> Hints<'a> {
        let mut hints = Hints::default();
        for (column, cell) in self.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            hints.note(&column.name, Some(cell));
        }
        hints
    }

    /// The filled cells as one JSON object.
    pub(crate) fn append_json(&self, cells: &[&str], out: &mut Vec<u8>) {
        out.push(b'{');
        let start = out.len();
        for (column, cell) in self.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            if out.len() > start {
                out.push(b',');
            }
            write_string(&column.name, out);
            out.push(b':');
            write_string(cell, out);
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<Vec<String>> {
        let mut bytes = text.as_bytes().to_vec();
        let mut row = Row::default();
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            at = row.read(&mut bytes, at);
            if !row.is_blank() {
                let cell = |range: &Range<usize>| String::from_utf8(bytes[range.clone()].to_vec()).expect("UTF-8");
                found.push(row.cells.iter().map(cell).collect());
            }
        }
        found
    }

    #[test]
    fn quotes_commas_and_line_breaks_are_read() {
        let text = "a,\"b,\"\"c\"\"\",\r\n\"line\nbreak\",x\"y,\"q\" z\n\n,\n";
        assert_eq!(rows(text), [vec!["a", "b,\"c\"", ""], vec!["line\nbreak", "x\"y", "q z"], vec!["", ""]]);
        assert_eq!(rows("a,b"), [vec!["a", "b"]]);
    }

    #[test]
    fn an_open_quote_is_told() {
        let mut bytes = b"a,\"b\nc".to_vec();
        let mut row = Row::default();
        assert_eq!(row.read(&mut bytes, 0), 6);
        assert!(row.is_open);
    }

    #[test]
    fn headers_lose_their_time_zone() {
        let header =
            Header::new(["Type", " Timestamp [UTC] ", "T [UTC+01:00]", "T [Local Time]", "Size [MB]"].into_iter());
        let names: Vec<_> = header.columns.iter().map(|column| (&*column.name, column.offset_us)).collect();
        assert_eq!(names, [("Type", 0), ("Timestamp", 0), ("T", 3_600_000_000), ("T", 0), ("Size [MB]", 0)]);
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(cells in proptest::collection::vec("[a\",\r\n é]{0,6}", 1..5)) {
            let quoted: Vec<_> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            let text = format!("{}\r\nend", quoted.join(","));
            prop_assert_eq!(rows(&text), vec![cells, vec!["end".to_owned()]]);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut at = 0;
            let mut row = Row::default();
            while at < bytes.len() {
                let next = row.read(&mut bytes, at);
                prop_assert!(next > at);
                at = next;
            }
        }
    }
}
