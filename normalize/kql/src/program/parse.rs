//! `parse` and `parse-where`: texts that must stand in order, and what stands between them.
//!
//! Simple patterns search their literals one after the other; the pattern covers the text from its start to its end.
//! One failed literal or typed capture blanks all captures of a row (`relaxed`: a typed capture fails alone). Regex
//! patterns are greedy, unanchored, and shape their typed captures.

use std::sync::Arc;

use arrow::array::{Array, AsArray, DurationMicrosecondArray, StringViewArray, TimestampMicrosecondArray};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringViewBuilder};
use regex::Regex;
use weir_contract::schema::ColumnType;

use crate::convert;
use crate::functions::args::BLOCK_BYTES;
use crate::functions::regexes;
use crate::syntax::ast::{ParseKind, ParsePart};

/// A prepared pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    matcher: Matcher,
    types: Vec<ColumnType>,
    all_or_nothing: bool,
}

#[derive(Debug)]
enum Matcher {
    Literal(Vec<Piece>),
    Regex(Regex),
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Skip,
    Capture(ColumnType),
}

impl Pattern {
    /// Prepares a pattern; `Err` says why its regular expression is none.
    pub(crate) fn new(kind: ParseKind, flags: &str, parts: &[ParsePart]) -> Result<Self, String> {
        let types = parts
            .iter()
            .filter_map(|part| match part {
                ParsePart::Column(_, ty) => Some(ty.unwrap_or(ColumnType::String)),
                _ => None,
            })
            .collect();
        let matcher = if kind == ParseKind::Regex {
            let mut pattern = String::new();
            let flags: String = flags.chars().filter(|flag| "imsUux".contains(*flag)).collect();
            if !flags.is_empty() {
                pattern = format!("(?{flags})");
            }
            let mut names = 0;
            for part in parts {
                match part {
                    ParsePart::Star => pattern.push_str(".*"),
                    ParsePart::Text(text) => pattern.push_str(text),
                    ParsePart::Column(_, ty) => {
                        let shape = match ty.unwrap_or(ColumnType::String) {
                            ColumnType::Int | ColumnType::Long => r"-?\d+",
                            ColumnType::Real => r"-?\d+(?:\.\d+)?",
                            ColumnType::Bool => "true|false|True|False",
                            _ => ".*",
                        };
                        // Named, because the author's own groups are captures too.
                        pattern.push_str(&format!("(?P<weir_{names}>{shape})"));
                        names += 1;
                    }
                }
            }
            Matcher::Regex(regexes::compile(&pattern)?)
        } else {
            Matcher::Literal(
                parts
                    .iter()
                    .map(|part| match part {
                        ParsePart::Star => Piece::Skip,
                        ParsePart::Text(text) => Piece::Text(text.clone()),
                        ParsePart::Column(_, ty) => Piece::Capture(ty.unwrap_or(ColumnType::String)),
                    })
                    .collect(),
            )
        };
        Ok(Self { matcher, types, all_or_nothing: kind != ParseKind::Relaxed })
    }

    /// One column per capture, then a bool column: whether the row matched.
    pub(crate) fn run(&self, texts: &ArrayRef) -> Vec<ArrayRef> {
        let texts = texts.as_string_view();
        let rows = texts.len();
        let mut columns: Vec<Vec<Option<&str>>> = self.types.iter().map(|_| Vec::with_capacity(rows)).collect();
        let mut matched = Vec::with_capacity(rows);
        let mut captures = Vec::with_capacity(self.types.len());
        for row in 0..rows {
            let text = if texts.is_null(row) { "" } else { texts.value(row) };
            captures.clear();
            let found = self.captures(text, &mut captures)
                && (!self.all_or_nothing
                    || captures.iter().zip(&self.types).all(|(capture, ty)| reads_as(capture, *ty)));
            matched.push(found);
            for (number, column) in columns.iter_mut().enumerate() {
                column.push(if found { captures.get(number).copied() } else { None });
            }
        }
        let mut arrays: Vec<ArrayRef> =
            columns.iter().zip(&self.types).map(|(column, ty)| typed_column(column, *ty)).collect();
        arrays.push(Arc::new(BooleanArray::from(matched)));
        arrays
    }

    fn captures<'t>(&self, text: &'t str, captures: &mut Vec<&'t str>) -> bool {
        match &self.matcher {
            Matcher::Regex(regex) => {
                let Some(found) = regex.captures(text) else { return false };
                for number in 0..self.types.len() {
                    captures.push(found.name(&format!("weir_{number}")).map_or("", |capture| capture.as_str()));
                }
                true
            }
            Matcher::Literal(pieces) => literal_captures(pieces, text, captures),
        }
    }
}

fn literal_captures<'t>(pieces: &[Piece], text: &'t str, captures: &mut Vec<&'t str>) -> bool {
    let mut position = 0;
    // Whether a capture or `*` is open: the next literal may stand anywhere behind `position`.
    let mut open: Option<Option<ColumnType>> = None;
    for (number, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(literal) => {
                let rest = &text[position..];
                let last = number + 1 == pieces.len();
                let start = match open {
                    None if rest.starts_with(literal.as_str()) => Some(0),
                    None => None,
                    Some(_) if last => rest.ends_with(literal.as_str()).then(|| rest.len() - literal.len()),
                    Some(_) => rest.find(literal.as_str()),
                };
                let Some(start) = start else { return false };
                if let Some(Some(_)) = open {
                    captures.push(&rest[..start]);
                }
                position += start + literal.len();
                open = None;
            }
            Piece::Skip | Piece::Capture(_) => {
                if let Some(Some(ty)) = open {
                    // Nothing stands between two gaps: a number takes its digits, anything else takes nothing.
                    let length = shaped_length(&text[position..], ty);
                    captures.push(&text[position..position + length]);
                    position += length;
                }
                open = Some(match piece {
                    Piece::Capture(ty) => Some(*ty),
                    _ => None,
                });
            }
        }
    }
    match open {
        Some(Some(_)) => {
            captures.push(&text[position..]);
            true
        }
        Some(None) => true,
        None => position == text.len(),
    }
}

/// Length of the number at the start of `text`; 0 for types without a shape of their own.
fn shaped_length(text: &str, ty: ColumnType) -> usize {
    if !matches!(ty, ColumnType::Int | ColumnType::Long | ColumnType::Real) {
        return 0;
    }
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    length += digits(length);
    if ty == ColumnType::Real && bytes.get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    length
}

fn reads_as(text: &str, ty: ColumnType) -> bool {
    match ty {
        ColumnType::String | ColumnType::Dynamic => true,
        ColumnType::Bool => convert::bool_of_text(text).is_some(),
        ColumnType::Int => convert::int_of_text(text).is_some(),
        ColumnType::Long => convert::long_of_text(text).is_some(),
        ColumnType::Real => convert::real_of_text(text).is_some(),
        ColumnType::Datetime => convert::datetime_of_text(text).is_some(),
        ColumnType::Timespan => convert::timespan_of_text(text).is_some(),
        ColumnType::Guid => convert::guid_of_text(text).is_some(),
    }
}

/// Texts read as values of `ty`; `None` and what cannot be read are null.
pub(crate) fn typed_column(texts: &[Option<&str>], ty: ColumnType) -> ArrayRef {
    let strings = |read: &dyn Fn(&str) -> Option<String>| -> ArrayRef {
        Arc::new(texts.iter().map(|text| text.and_then(read)).collect::<StringViewArray>())
    };
    match ty {
        ColumnType::String => {
            let mut builder = StringViewBuilder::with_capacity(texts.len()).with_fixed_block_size(BLOCK_BYTES);
            for text in texts {
                builder.append_value(text.unwrap_or(""));
            }
            Arc::new(builder.finish())
        }
        ColumnType::Bool => {
            Arc::new(texts.iter().map(|text| text.and_then(convert::bool_of_text)).collect::<BooleanArray>())
        }
        ColumnType::Int => {
            Arc::new(texts.iter().map(|text| text.and_then(convert::int_of_text)).collect::<Int32Array>())
        }
        ColumnType::Long => {
            Arc::new(texts.iter().map(|text| text.and_then(convert::long_of_text)).collect::<Int64Array>())
        }
        ColumnType::Real => {
            Arc::new(texts.iter().map(|text| text.and_then(convert::real_of_text)).collect::<Float64Array>())
        }
        ColumnType::Datetime => Arc::new(
            texts
                .iter()
                .map(|text| text.and_then(convert::datetime_of_text))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
        ColumnType::Timespan => Arc::new(
            texts.iter().map(|text| text.and_then(convert::timespan_of_text)).collect::<DurationMicrosecondArray>(),
        ),
        ColumnType::Guid => strings(&|text| convert::guid_of_text(text)),
        ColumnType::Dynamic => strings(&|text| {
            let text = text.trim();
            if text.is_empty() || text == "null" {
                return None;
            }
            Some(if crate::json::is_valid(text) {
                crate::json::compact(text).into_owned()
            } else {
                let mut out = String::new();
                crate::json::write_string(&mut out, text);
                out
            })
        }),
    }
}
