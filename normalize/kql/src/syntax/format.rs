//! The formatter: one layout for a query, whatever its blanks were.
//!
//! It works on tokens, so nothing of the text is lost: only blanks and line ends change. What fits on a line, with at
//! most one pipe, stays on it; longer pipelines have one operator a line, longer lists one item a line, a `datatable` one
//! row a line. Comments keep their place: behind what they followed, or on a line of their own. One empty line between
//! statements and before comments is kept. As the layout follows from tokens and comments alone, formatting twice is
//! formatting once.

use std::ops::Range;

use super::cursor::Layout;
use super::lexer::{self, TokenKind};
use super::parser;
use crate::diagnostic::Diagnostic;

/// Widest line, in characters, that a part is put on whole.
const WIDTH: usize = 110;
/// Blanks per level.
const INDENT: usize = 4;

/// Formats a query or a stored function.
///
/// The result parses to the same tree and ends with one line end; formatting it again changes nothing. A text that is
/// no query comes back as its errors.
pub fn format(query: &str) -> Result<String, Vec<Diagnostic>> {
    let layout = parser::parse_text(query)?;
    let pieces = pieces(query);
    let closes = closing_brackets(&pieces);
    let mut writer =
        Writer { pieces: &pieces, closes: &closes, layout: &layout, out: String::new(), column: 0, pending: None };
    writer.statements(0..pieces.len(), 0);
    writer.out.push('\n');
    Ok(writer.out)
}

/// A token or a comment.
struct Piece<'a> {
    text: &'a str,
    /// `None` for a comment.
    token: Option<usize>,
    /// A comment behind something else on its line.
    trailing: bool,
    /// An empty line stood before it.
    blank_before: bool,
}

fn pieces(source: &str) -> Vec<Piece<'_>> {
    let lexed = lexer::lex(source);
    let mut comments = lexed.comments.into_iter().peekable();
    let mut spans: Vec<(Range<usize>, Option<usize>)> = Vec::new();
    for (number, token) in lexed.tokens.iter().enumerate() {
        while let Some(comment) = comments.next_if(|comment| comment.start < token.span.start) {
            spans.push((comment, None));
        }
        if token.kind != TokenKind::End {
            spans.push((token.span.clone(), Some(number)));
        }
    }
    spans.extend(comments.map(|comment| (comment, None)));
    let mut previous = 0;
    let mut pieces = Vec::with_capacity(spans.len());
    for (span, token) in spans {
        let between = &source[previous..span.start];
        let lines = between.matches('\n').count();
        pieces.push(Piece {
            text: &source[span.clone()],
            token,
            trailing: token.is_none() && lines == 0 && previous > 0,
            blank_before: lines > 1,
        });
        previous = span.end;
    }
    pieces
}

/// For each opening bracket, the place of its closing one.
fn closing_brackets(pieces: &[Piece<'_>]) -> Vec<usize> {
    let mut closes = vec![0; pieces.len()];
    let mut open = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        match piece.text {
            "(" | "[" | "{" => open.push(place),
            ")" | "]" | "}" => {
                if let Some(start) = open.pop() {
                    closes[start] = place;
                }
            }
            _ => {}
        }
    }
    closes
}

struct Writer<'a> {
    pieces: &'a [Piece<'a>],
    closes: &'a [usize],
    layout: &'a Layout,
    out: String,
    column: usize,
    /// A line end, and the blanks after it, that the next token brings.
    pending: Option<usize>,
}

impl Writer<'_> {
    /// `a; b; c`, one a line.
    fn statements(&mut self, range: Range<usize>, indent: usize) {
        for part in self.split(range, |text| text == ";") {
            if !self.out.is_empty() {
                self.newline(indent);
            }
            let (body, separator) = self.without_last(part, ";");
            let body = self.leading_comments(body, indent);
            if self.pieces.get(body.start).is_some_and(|piece| piece.blank_before) && !body.is_empty() {
                self.empty_line();
            }
            let is_let = !body.is_empty() && self.pieces[body.start].text == "let";
            self.pipeline(body, indent, if is_let { indent + INDENT } else { indent });
            if let Some(separator) = separator {
                self.emit(separator, false);
            }
        }
    }

    /// `source | operator | …`: whole if it fits, else one operator a line, at `inner`.
    fn pipeline(&mut self, range: Range<usize>, indent: usize, inner: usize) {
        let range = self.leading_comments(range, indent);
        if self.flat(&range) {
            return;
        }
        for (number, segment) in self.split_before(range, |text| text == "|").into_iter().enumerate() {
            if number > 0 {
                self.newline(inner);
                self.emit(segment.start, true);
                self.segment(segment.start + 1..segment.end, inner, inner);
            } else {
                self.segment(segment, indent, inner);
            }
        }
    }

    /// One operator, or the source. What follows stands at `next`.
    fn segment(&mut self, range: Range<usize>, indent: usize, next: usize) {
        let range = self.leading_comments(range, indent);
        let (core, tail) = self.trailing_comments(range);
        if !self.flat(&core) {
            let keyword = core
                .clone()
                .take(7)
                .find(|place| self.pieces[*place].token.is_some_and(|token| self.layout.keywords[token]));
            match keyword {
                Some(last) => {
                    for place in core.start..=last {
                        self.emit(place, true);
                    }
                    let operands = last + 1..core.end;
                    let conditions = self.splits_at(&operands, is_junction) && !self.splits_at(&operands, is_comma);
                    if self.splits_at(&operands, is_comma) || conditions {
                        self.newline(indent + INDENT);
                        self.list(operands, indent + INDENT);
                    } else {
                        self.sequence(operands, indent);
                    }
                }
                None => self.sequence(core, indent),
            }
        }
        for place in tail {
            // A comment on its own line is about the operator that follows it.
            if !self.pieces[place].trailing {
                self.pending = Some(next);
            }
            self.emit(place, true);
        }
    }

    /// Items between commas, one a line; an item without commas that does not fit is broken at `and` and `or`.
    fn list(&mut self, range: Range<usize>, indent: usize) {
        let items = self.split(range, is_comma);
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                self.newline(indent);
            }
            let (body, comma) = self.without_last(item, ",");
            self.item(body, indent);
            if let Some(comma) = comma {
                self.emit(comma, false);
            }
        }
    }

    fn item(&mut self, range: Range<usize>, indent: usize) {
        let range = self.leading_comments(range, indent);
        let (core, tail) = self.trailing_comments(range);
        if self.splits_at(&core, |text| text == "|") {
            self.pipeline(core, indent, indent);
        } else if !self.flat(&core) {
            for (number, part) in self.split_before(core, is_junction).into_iter().enumerate() {
                if number > 0 {
                    self.newline(indent);
                }
                self.sequence(part, indent);
            }
        }
        for place in tail {
            self.emit(place, true);
        }
    }

    /// Pieces one after the other; brackets that do not fit open up.
    fn sequence(&mut self, range: Range<usize>, indent: usize) {
        let mut place = range.start;
        while place < range.end {
            let close = self.closes[place];
            if close == 0 || close >= range.end {
                self.emit(place, true);
                place += 1;
                continue;
            }
            if !self.flat(&(place..close + 1)) {
                self.emit(place, true);
                let inner = place + 1..close;
                if !inner.is_empty() {
                    self.newline(indent + INDENT);
                    self.group(place, inner, indent + INDENT);
                    self.newline(indent);
                }
                self.emit(close, true);
            }
            place = close + 1;
        }
    }

    fn group(&mut self, open: usize, inner: Range<usize>, indent: usize) {
        let columns = self.pieces[open].token.and_then(|token| self.layout.tables.get(&token)).copied();
        if let Some(columns) = columns {
            let items = self.split(inner, is_comma);
            for (number, item) in items.into_iter().enumerate() {
                if number > 0 && number.is_multiple_of(columns) {
                    self.newline(indent);
                }
                self.sequence(item, indent);
            }
        } else if self.pieces[open].text == "{" || self.splits_at(&inner, |text| text == ";") {
            self.statements(inner, indent);
        } else if self.splits_at(&inner, is_comma) {
            self.list(inner, indent);
        } else if self.splits_at(&inner, |text| text == "|") {
            self.pipeline(inner, indent, indent);
        } else {
            self.item(inner, indent);
        }
    }

    /// Writes the range on the line if it fits there; says whether it did.
    fn flat(&mut self, range: &Range<usize>) -> bool {
        let mut width = match self.pending {
            Some(indent) => indent,
            None => self.column,
        };
        let mut pipes = 0;
        for place in range.clone() {
            let piece = &self.pieces[place];
            pipes += usize::from(piece.text == "|");
            width += piece.text.chars().count() + usize::from(place > range.start && self.spaced(place));
            if piece.token.is_none() || pipes > 1 || piece.text == ";" || width > WIDTH {
                return false;
            }
        }
        for place in range.clone() {
            self.emit(place, true);
        }
        true
    }

    /// Writes one piece, with a blank before it where one belongs and `blank` allows it.
    fn emit(&mut self, place: usize, blank: bool) {
        let piece = &self.pieces[place];
        if piece.token.is_none() {
            if piece.trailing {
                self.out.push(' ');
            } else {
                let indent = self.pending.take().unwrap_or(self.line_indent());
                self.break_line(indent);
                if piece.blank_before {
                    self.empty_line_here(indent);
                }
                self.pending = Some(indent);
            }
            self.out.push_str(piece.text);
            let indent = self.pending.unwrap_or(self.line_indent());
            self.pending = Some(indent);
            return;
        }
        if let Some(indent) = self.pending.take() {
            self.break_line(indent);
        } else if blank && self.column > 0 && self.spaced(place) && !self.out.ends_with(' ') {
            self.out.push(' ');
            self.column += 1;
        }
        self.out.push_str(piece.text);
        match piece.text.rfind('\n') {
            Some(newline) => self.column = piece.text[newline + 1..].chars().count(),
            None => self.column += piece.text.chars().count(),
        }
    }

    fn newline(&mut self, indent: usize) {
        self.pending = Some(indent);
    }

    fn break_line(&mut self, indent: usize) {
        if !self.out.is_empty() {
            self.out.truncate(self.out.trim_end_matches(' ').len());
            self.out.push('\n');
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// An empty line before the next piece.
    fn empty_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn empty_line_here(&mut self, indent: usize) {
        let line_start = self.out.len() - indent;
        if line_start > 1 {
            self.out.insert(line_start, '\n');
        }
    }

    /// The blanks at the start of the line that is being written.
    fn line_indent(&self) -> usize {
        let line = self.out.rfind('\n').map_or(&*self.out, |newline| &self.out[newline + 1..]);
        line.len() - line.trim_start_matches(' ').len()
    }

    /// Whether a blank stands before the piece, on a line.
    fn spaced(&self, place: usize) -> bool {
        let Some(previous) = place.checked_sub(1).map(|previous| &self.pieces[previous]) else { return false };
        let piece = &self.pieces[place];
        // `=~` would be another token.
        if piece.text.starts_with('~') {
            return true;
        }
        let glued = piece.token.is_some_and(|token| self.layout.glued[token]);
        !(glued
            || matches!(previous.text, "(" | "[" | "." | ":")
            || matches!(piece.text, ")" | "]" | "," | ";" | "." | ":"))
    }

    fn leading_comments(&mut self, range: Range<usize>, indent: usize) -> Range<usize> {
        let mut start = range.start;
        while start < range.end && self.pieces[start].token.is_none() {
            if !self.pieces[start].trailing && !self.out.is_empty() {
                self.pending.get_or_insert(indent);
            }
            self.emit(start, true);
            start += 1;
        }
        start..range.end
    }

    fn trailing_comments(&self, range: Range<usize>) -> (Range<usize>, Range<usize>) {
        let mut end = range.end;
        while end > range.start && self.pieces[end - 1].token.is_none() {
            end -= 1;
        }
        (range.start..end, end..range.end)
    }

    /// The range without its last piece, if that is `text`.
    fn without_last(&self, range: Range<usize>, text: &str) -> (Range<usize>, Option<usize>) {
        match range.end.checked_sub(1) {
            Some(last) if range.contains(&last) && self.pieces[last].text == text => (range.start..last, Some(last)),
            _ => (range, None),
        }
    }

    /// Whether a piece outside of inner brackets is a separator.
    fn splits_at(&self, range: &Range<usize>, separator: impl Fn(&str) -> bool) -> bool {
        self.top_level(range).any(|place| self.pieces[place].token.is_some() && separator(self.pieces[place].text))
    }

    /// The pieces of a range outside of inner brackets.
    fn top_level(&self, range: &Range<usize>) -> impl Iterator<Item = usize> {
        let end = range.end;
        std::iter::successors(Some(range.start), move |place| {
            let close = self.closes.get(*place).copied()?;
            Some(if close > 0 && close < end { close } else { place + 1 })
        })
        .take_while(move |place| *place < end)
    }

    /// Parts that end with their separator.
    fn split(&self, range: Range<usize>, separator: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let mut start = range.start;
        for place in self.top_level(&range) {
            if self.pieces[place].token.is_some() && separator(self.pieces[place].text) {
                parts.push(start..place + 1);
                start = place + 1;
            }
        }
        if start < range.end {
            parts.push(start..range.end);
        }
        parts
    }

    /// Parts that begin with their separator.
    fn split_before(&self, range: Range<usize>, separator: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let mut start = range.start;
        for place in self.top_level(&range) {
            if place > start && self.pieces[place].token.is_some() && separator(self.pieces[place].text) {
                parts.push(start..place);
                start = place;
            }
        }
        parts.push(start..range.end);
        parts
    }
}

fn is_comma(text: &str) -> bool {
    text == ","
}

fn is_junction(text: &str) -> bool {
    matches!(text, "and" | "or")
}
